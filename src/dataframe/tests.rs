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

#[test]
fn explore() {
    use crate::prelude::*;
    let df = dataframe::from_columns([("n", vec![5_i64, i64::MAX].into_array()), ("t", vec!["a", "b"].into_array())]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    let mut text = String::from("n,t\n");
    (0..200_000).for_each(|row| text += &format!("{},x{row}\n", if row == 150_000 { i64::MAX } else { row }));
    std::fs::write(&path, &text).unwrap();
    let csv = || dataframe::read_csv(path.to_str().unwrap()).open().unwrap();
    let bad = dir.path().join("b.csv");
    std::fs::write(&bad, text + "q,x\n").unwrap();
    let bad = || dataframe::read_csv(bad.to_str().unwrap()).dtype("n", DataType::Int64).open().unwrap();
    let show = |what: &str, error: Option<Error>| println!("== {what}\n{}\n", error.map_or("fine".to_string(), |e| e.to_string()));
    let plus = || col("n") + 1;
    show("select", df.select([plus()]).compute().err());
    show("csv select", csv().select([plus()]).compute().err());
    show("csv filter select", csv().filter(col("n").gt(7)).select([plus()]).compute().err());
    show("csv filter plus", csv().filter(plus().gt(7)).compute().err());
    show("csv agg", csv().select([plus().sum()]).compute().err());
    show("csv group", csv().group_by(["t"]).agg([plus().sum()]).compute().err());
    show("sum", csv().select([(col("n") + (i64::MAX / 2)).alias("n")]).compute().err());
    show("sum2", df.select([(col("n") - 4).alias("n")]).select([col("n").sum()]).select([plus()]).compute().err());
    show("sum3", df.select([col("n").sum()]).compute().err());
    show("group3", df.group_by(["t"]).agg([col("n").sum() + 1]).compute().err());
    show("csv top", csv().nlargest(2, ["n"]).select([plus()]).compute().err());
    show("csv sort by expr", csv().with_column(plus().alias("m")).nlargest(2, ["m"]).compute().err());
    show("cast", csv().cast([("t", DataType::Int64)]).compute().err());
    show("bad", bad().compute().err());
    show("bad agg", bad().select([col("n").sum()]).compute().err());
    show("bad persist", bad().persist().err());
    let kept = csv().persist().unwrap();
    show("kept", kept.select([plus()]).compute().err());
    show("kept agg", kept.select([plus().sum()]).compute().err());
    show("kept group", kept.group_by(["t"]).agg([plus().sum()]).compute().err());
    show("count", csv().filter(plus().gt(1)).count_rows().compute().err());
    show("merge", csv().select([plus(), col("t")]).merge(&df, On::keys(["t"]), How::Left).compute().err());
    show("merge2", df.merge(&csv().select([plus(), col("t")]), On::keys(["t"]), How::Left).compute().err());
    show("merge3", df.merge(&df, On::keys(["t"]), How::Left).select([(col("n") + col("n_right")).alias("z")]).compute().err());
    show("scalar", df.select([col("n") - (col("n") + 1).max()]).compute().err());
    show("scalar2", df.col("n").sum().as_::<i64>().compute().err());
    show("scalar3", (&df.col("n") + &df.col("n")).sum().as_::<i64>().compute().err());
    show("describe", df.select([plus()]).describe().compute().err());
    show("value_counts", csv().with_column(plus().alias("m")).value_counts("m").compute().err());
    show("unique", csv().with_column(plus().alias("m")).unique(["m"]).compute().err());
    show("head", csv().select([plus()]).tail(3).compute().err());
    show("write", csv().select([plus()]).to_csv(dir.path().join("out")).write().err());
    show("partition", csv().select([plus()]).get_partition(0).compute().err());
    show("index", csv().with_row_index("i").select([plus()]).compute().err());
    show("sample", csv().sample(Sample::frac(0.9).seed(1)).select([plus()]).compute().err());
    show("concat", dataframe::concat([&csv().select([plus()]), &df.select([col("n")])]).compute().err());
    show("map", csv().map_batches(df.schema().unwrap(), |b| { let x: Expr = col("n") + 1; x.evaluate(&b)?; Ok(b) }).compute().err());
    show("mapp", csv().map_partitions(df.schema().unwrap(), |t| t.with_columns([col("n") + 1])).compute().err());
    show("mapp user", csv().map_partitions(df.schema().unwrap(), |_| Err(Error::from_user("no way"))).compute().err());
    show("mapp panic", csv().map_partitions(df.schema().unwrap(), |_| panic!("ouch")).compute().err());
    show("batches", csv().select([plus()]).batches().unwrap().find_map(|b| b.err()));
    show("fill", csv().with_column(plus().alias("n")).ffill(["n"], None).compute().err());
    show("to_bag", df.to_bag::<(i32, String)>().compute().err());
    show("records", df.compute().unwrap().to_records::<(i32, String)>().err());
    show("records2", df.compute().unwrap().to_records::<(String, String)>().err());
    show("records3", df.compute().unwrap().to_records::<(f64, f64)>().err());
    show("records4", df.compute().unwrap().to_records::<(f64, String)>().err());
    let nulls = df.with_column(when(col("n").gt(7)).then(lit(1)).otherwise(lit(arrow_null())).alias("m"));
    show("records5", nulls.compute().unwrap().to_records::<(i64, String, i64)>().err());
    show("records6", nulls.compute().unwrap().to_records::<(i64, String, f64)>().err());
    show("map_rows", csv().map_rows(|(a, b): (i32, String)| (a, b)).compute().err());
    show("map_rows2", csv().filter(col("n").gt(3)).map_rows(|(a, b): (i32, String)| (a, b)).compute().err());
    show("map_rows3", csv().map_rows(|(a, b): (f64, String)| (a, b)).count_rows().compute().err());
    show("map_rows4", csv().map_rows(|(a, b): (i64, i64)| (a, b)).compute().err());
    show("bag", crate::bag::from_vec(vec![(1i64, 2i64), (i64::MAX, 2)], 1).to_dataframe_with(Schema::new(vec![Field::new("0", DataType::Int32, true), Field::new("1", DataType::Int32, true)])).compute().err());
    show("from_records_with", dataframe::from_records_with(Schema::new(vec![Field::new("0", DataType::Int32, true), Field::new("1", DataType::Date32, true)]), &[(1i64, "2020-01-01"), (i64::MAX, "2020-01-01")]).compute().err());
    show("from_records_with2", dataframe::from_records_with(Schema::new(vec![Field::new("0", DataType::Int32, true), Field::new("1", DataType::Date32, true)]), &[(1i64, "2020-01-01"), (7, "x")]).compute().err());
    show("array", csv().select(["n"]).select([plus()]).to_array::<f64>().compute().err());
    show("plan", csv().select(["q"]).compute().err());
    show("plan2", kept.filter(col("q").gt(1)).compute().err());
    show("kept filter cast", kept.cast([("t", DataType::Int64)]).persist().err());
    show("list", csv().group_by(["t"]).agg([col("n").collect_list()]).select([col("n").list().get(0) + 1]).compute().err());
    show("product", df.select([col("n").product()]).compute().err());
    let twice = df.select([col("n") - 4]).persist().unwrap();
    show("kept twice", twice.with_columns([plus()]).compute().err());
    show("kept sum", twice.select([col("n").sum()]).select([plus()]).compute().err());
    let kept = df.persist().unwrap();
    show("kept sum", kept.select([col("n").sum()]).compute().err());
    show("kept sum", kept.persist().unwrap().select([col("n").sum()]).compute().err());
}

fn arrow_null() -> crate::expr::Value {
    crate::expr::Value::Null
}
