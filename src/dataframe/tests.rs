//! Whole programs over tables: layouts, wide tables, errors.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};

use super::{DataFrame, Table, from_batches};
use crate::expr::{Expr, all, col, corr, cov};
use crate::runtime::Compute;

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields = columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    RecordBatch::try_new(schema, columns.into_iter().map(|(_, array)| array).collect()).unwrap()
}

#[test]
fn aggregates_of_dictionaries_are_those_of_their_values() {
    let words = ["b", "a", "", "b", "zz", "c", "a"];
    let part = |from: usize, to: DataType| {
        let text = (0..40).map(|row| ((row + from) % 5 > 0).then(|| words[(row * 3 + from) % words.len()]));
        let text: ArrayRef = Arc::new(text.collect::<StringArray>());
        let key: ArrayRef = Arc::new((0..40).map(|row| Some((row as i64 + 1) % 4)).collect::<Int64Array>());
        let number: ArrayRef =
            Arc::new((0..40).map(|row| (row % 6 > 0).then_some((row as i64 * 7) % 11)).collect::<Int64Array>());
        let float = cast(&number, &DataType::Float64).unwrap();
        let decimal = cast(&number, &DataType::Decimal128(9, 1)).unwrap();
        let yes = cast(&cast(&number, &DataType::Boolean).unwrap(), &DataType::Utf8).unwrap();
        let coded = |array: &ArrayRef| match &to {
            DataType::Null => array.clone(),
            key => {
                let of = DataType::Dictionary(Box::new(key.clone()), Box::new(array.data_type().clone()));
                cast(array, &of).unwrap()
            }
        };
        batch(vec![
            ("k", key),
            ("t", coded(&text)),
            ("n", coded(&number)),
            ("f", coded(&float)),
            ("d", coded(&decimal)),
            ("b", coded(&yes)),
        ])
    };
    let table = |to: &DataType| from_batches((0..4).map(|at| part(at, to.clone())).collect::<Vec<_>>(), 3);
    let mut outputs: Vec<Expr> = Vec::new();
    for name in ["t", "n", "f", "d"] {
        let of = |make: fn(Expr) -> Expr, called: &str| make(col(name)).alias(&format!("{name}_{called}"));
        outputs.extend([
            of(|e| e.first(), "first"),
            of(|e| e.last(), "last"),
            of(|e| e.nunique(), "nunique"),
            of(|e| e.count(), "count"),
            of(|e| e.min(), "min"),
            of(|e| e.max(), "max"),
            of(|e| e.collect_list(), "list"),
            of(|e| e.top_k(2), "top"),
            of(|e| e.bottom_k(3), "bottom"),
        ]);
        if name != "t" {
            outputs.extend([
                of(|e| e.sum(), "sum"),
                of(|e| e.sum_min_count(3), "sum_min"),
                of(|e| e.mean(), "mean"),
                of(|e| e.product(), "product"),
                of(|e| e.std(), "std"),
                of(|e| e.skew(), "skew"),
                of(|e| corr(e.clone(), col("k")), "corr"),
                of(|e| cov(e.clone(), col("f")), "cov"),
            ]);
        }
    }
    outputs.push(col("b").cast(DataType::Boolean).any().alias("any"));
    let plain = table(&DataType::Null);
    let shown = |df: DataFrame| df.compute().map(|table| table.to_string()).map_err(|error| error.to_string());
    for key in [DataType::Int32, DataType::Int8, DataType::UInt16, DataType::Int64] {
        let coded = table(&key);
        let groups: [fn(&DataFrame, Vec<Expr>) -> DataFrame; 4] = [
            |df, outputs| df.group_by(["k"]).agg(outputs),
            |df, outputs| df.group_by(["t"]).agg(outputs),
            |df, outputs| df.group_by(["n", "t"]).agg(outputs),
            |df, outputs| df.select(outputs),
        ];
        for group in groups {
            let all = |df: &DataFrame| shown(group(df, outputs.clone()).cast([("t_list", DataType::Utf8); 0]));
            let (wanted, found) = (all(&plain).unwrap(), all(&coded));
            assert_eq!(found.as_ref(), Ok(&wanted), "{key}, all together");
            for output in &outputs {
                let one = |df: &DataFrame| shown(group(df, vec![output.clone()]));
                assert_eq!(one(&coded), one(&plain), "{key}: {output}");
            }
        }
        assert_eq!(shown(coded.unique(["t"]).select(["t", "n"])), shown(plain.unique(["t"]).select(["t", "n"])));
        assert_eq!(shown(coded.value_counts("t")), shown(plain.value_counts("t")));
    }
}

/// A table of so many columns of one row each.
fn wide(columns: usize) -> DataFrame {
    let names: Vec<String> = (0..columns).map(|at| format!("column_{at}")).collect();
    let value: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    from_batches(vec![batch(names.iter().map(|name| (name.as_str(), value.clone())).collect())], 1)
}

#[test]
fn what_a_column_costs_does_not_depend_on_how_many_there_are() {
    type Verb = (&'static str, fn(&DataFrame) -> crate::error::Result<Table>);
    let verbs: [Verb; 12] = [
        ("select all", |df| df.select([all()]).compute()),
        ("names", |df| df.select(df.columns()?).compute()),
        ("with_columns", |df| df.with_columns([col("column_7") + 1, (col("column_3") * 2).alias("new")]).compute()),
        ("all of them", |df| df.with_columns([all() + 1]).filter(col("column_9").gt(2)).compute()),
        ("filter", |df| df.filter(col("column_5").gt(1)).compute()),
        ("drop", |df| df.drop(df.columns()?.iter().step_by(2)).compute()),
        ("rename", |df| {
            let names = df.columns()?;
            df.rename(names.iter().map(|name| (name, format!("new_{name}")))).compute()
        }),
        ("agg", |df| df.select([all().sum()]).compute()),
        ("group", |df| df.group_by(["column_1"]).agg([all().exclude(["column_1"]).max()]).compute()),
        ("float", |df| df.select([all().mean()]).compute()),
        ("cast", |df| df.cast(df.columns()?.into_iter().map(|name| (name, DataType::Float64))).compute()),
        ("fill", |df| df.filter(col("column_1").gt(1)).head(2).drop_nulls(["column_2"]).compute()),
    ];
    let sizes: Vec<usize> = match std::env::var("WIDE") {
        Ok(_) => vec![1000, 10_000, 30_000],
        Err(_) => vec![300, 4_800],
    };
    let frames: Vec<DataFrame> = sizes.iter().map(|size| wide(*size)).collect();
    for (name, verb) in verbs {
        let timed = frames.iter().zip(&sizes).map(|(df, size)| {
            let once = |_| {
                let start = Instant::now();
                verb(df).unwrap();
                start.elapsed().as_secs_f64() * 1e6 / *size as f64
            };
            (0..2).map(once).fold(f64::MAX, f64::min)
        });
        let timed: Vec<f64> = timed.collect();
        println!("{name:14} {timed:.1?} µs per column");
        assert!(timed[timed.len() - 1] < 6.0 * timed[0] + 20.0, "{name}: {timed:?}");
    }
}
