//! Whole programs over tables: layouts, wide tables, errors.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};

use super::{
    DataFrame, How, On, ReadCsv, ReadJson, Table, Writer, concat, from_batches, read_csv, read_ipc, read_json,
};
use crate::error::Result;
use crate::expr::{Expr, all, col, cols_matching, corr, cov};
use crate::runtime::{Compute, Persist};

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields = columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    RecordBatch::try_new(schema, columns.into_iter().map(|(_, array)| array).collect()).unwrap()
}

#[test]
fn aggregates_of_dictionaries_are_those_of_their_values() {
    let words = ["b", "a", "", "b", "zz", "c", "a"];
    let part = |from: usize, to: DataType| {
        let text = (0..40).map(|row| (!(row + from).is_multiple_of(5)).then(|| words[(row * 3 + from) % words.len()]));
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
            of(|e| e.max_by(col("t")), "max_by"),
            of(|e| col("k").min_by(e), "of_least"),
        ]);
        #[cfg(feature = "sketches")]
        outputs.push(of(|e| e.approx_nunique(), "approx"));
        if name != "t" {
            outputs.extend([
                of(|e| e.sum(), "sum"),
                of(|e| e.sum_min_count(3), "sum_min"),
                of(|e| e.mean(), "mean"),
                of(|e| e.product(), "product"),
                of(|e| e.std(), "std"),
                of(|e| e.skew(), "skew"),
                #[cfg(feature = "sketches")]
                of(|e| e.approx_quantile(0.3), "quantile"),
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

/// A table of so many columns of three rows each.
fn wide(columns: usize) -> DataFrame {
    let names: Vec<String> = (0..columns).map(|at| format!("column_{at}")).collect();
    let value: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    from_batches(vec![batch(names.iter().map(|name| (name.as_str(), value.clone())).collect())], 1)
}

/// The same columns the other way round.
fn turned(df: &DataFrame) -> Result<DataFrame> {
    Ok(df.select(df.columns()?.into_iter().rev()))
}

/// A reader with all columns declared.
fn declared<R>(df: &DataFrame, reader: R, declare: fn(R, String, DataType) -> R) -> Result<R> {
    Ok(df.columns()?.into_iter().fold(reader, |reader, name| declare(reader, name, DataType::Float64)))
}

/// A table as it comes back from a file.
fn again(
    df: &DataFrame,
    write: impl Fn(&DataFrame, &Path) -> Writer,
    read: impl Fn(&str) -> Result<DataFrame>,
) -> Result<Table> {
    let dir = tempfile::tempdir().unwrap();
    write(df, dir.path()).write()?;
    write(df, dir.path()).append().write()?;
    read(dir.path().to_str().unwrap())?.head(3).compute()
}

/// A verb of many columns, and what it gives: columns of so many, and rows.
type Verb = (&'static str, fn(&DataFrame) -> Result<Table>, fn(usize) -> usize, usize);

/// Runs verbs over tables of different widths. With `WIDE=1` and `--nocapture` it tells what a column costs at each; that is not asserted.
fn take_many_columns(verbs: &[Verb], sizes: &[usize]) {
    let told = std::env::var_os("WIDE").is_some();
    let sizes: &[usize] = if told { &[1000, 10_000, 30_000] } else { sizes };
    let frames: Vec<DataFrame> = sizes.iter().map(|size| wide(*size)).collect();
    for (name, verb, columns, rows) in verbs {
        for (df, size) in frames.iter().zip(sizes) {
            let start = Instant::now();
            let table = verb(df).unwrap();
            let each = start.elapsed().as_secs_f64() * 1e6 / *size as f64;
            assert_eq!((table.num_columns(), table.num_rows()), (columns(*size), *rows), "{name} of {size}");
            if told {
                println!("{name:14} {size:6} columns: {each:.1} µs per column");
            }
        }
    }
}

#[test]
fn verbs_take_any_number_of_columns() {
    let verbs: [Verb; 12] = [
        ("select all", |df| df.select([all()]).compute(), |n| n, 3),
        ("names", |df| df.select(df.columns()?).compute(), |n| n, 3),
        (
            "with_columns",
            |df| df.with_columns([col("column_7") + 1, (col("column_3") * 2).alias("new")]).compute(),
            |n| n + 1,
            3,
        ),
        ("all of them", |df| df.with_columns([all() + 1]).filter(col("column_9").gt(2)).compute(), |n| n, 2),
        ("filter", |df| df.filter(col("column_5").gt(1)).compute(), |n| n, 2),
        ("drop", |df| df.drop(df.columns()?.iter().step_by(2)).compute(), |n| n / 2, 3),
        (
            "rename",
            |df| {
                let names = df.columns()?;
                df.rename(names.iter().map(|name| (name, format!("new_{name}"))))
                    .select([cols_matching("^new_")])
                    .compute()
            },
            |n| n,
            3,
        ),
        ("agg", |df| df.select([all().sum()]).compute(), |n| n, 1),
        ("group", |df| df.group_by(["column_1"]).agg([all().exclude(["column_1"]).max()]).compute(), |n| n, 3),
        ("float", |df| df.select([all().mean()]).compute(), |n| n, 1),
        ("cast", |df| df.cast(df.columns()?.into_iter().map(|name| (name, DataType::Float64))).compute(), |n| n, 3),
        ("fill", |df| df.filter(col("column_1").gt(1)).head(2).drop_nulls(["column_2"]).compute(), |n| n, 2),
    ];
    take_many_columns(&verbs, &[300, 4_800]);
}

#[test]
fn verbs_of_many_steps_take_many_columns() {
    let verbs: [Verb; 9] = [
        ("concat", |df| concat([df, &turned(df)?]).filter(col("column_5").gt(1)).compute(), |n| n, 4),
        ("conditions", |df| concat([df, &turned(df)?]).filter(all().gt(1)).compute(), |n| n, 4),
        ("describe", |df| df.describe().compute(), |n| n + 1, 5),
        ("idxmax", |df| df.idxmax().compute(), |n| n, 1),
        ("residuals", |df| df.with_columns([all() - all().mean()]).compute(), |n| n, 3),
        ("merge", |df| df.merge(df, On::keys(["column_3"]), How::Inner).compute(), |n| 2 * n - 1, 3),
        (
            "csv",
            |df| again(df, |df, to| df.to_csv(to), |from| declared(df, read_csv(from), ReadCsv::dtype)?.open()),
            |n| n,
            3,
        ),
        (
            "json",
            |df| again(df, |df, to| df.to_json(to), |from| declared(df, read_json(from), ReadJson::dtype)?.open()),
            |n| n,
            3,
        ),
        ("ipc", |df| again(df, |df, to| df.to_ipc(to), |from| read_ipc(from).columns(df.columns()?).open()), |n| n, 3),
    ];
    take_many_columns(&verbs, &[300, 1_200]);
}

/// The text of the error of a table.
fn text(df: &DataFrame) -> String {
    df.compute().unwrap_err().to_string()
}

#[test]
fn errors_say_which_row_of_the_source_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    let lines = (0..100_000).map(|row| format!("{},x{row}\n", if row == 90_000 { i64::MAX } else { row }));
    std::fs::write(&path, format!("n,t\n{}", lines.collect::<String>())).unwrap();
    let numbers = (0..100_000).map(|row| if row == 90_000 { i64::MAX } else { row }).collect::<Int64Array>();
    let memory = from_batches(vec![batch(vec![("n", Arc::new(numbers))])], 3);
    let csv = crate::dataframe::read_csv(path.to_str().unwrap()).open().unwrap();
    let plus = || (col("n") + 1).alias("m");
    let groups = |df: &DataFrame| df.group_by([(col("n") % 3).alias("k")]).agg([(col("n") + 1).max()]);
    let on = |df: &DataFrame| {
        [df.select([plus()]), df.filter(plus().gt(3)), groups(df), df.with_column(plus()).nlargest(1, ["m"])]
    };
    for df in on(&memory) {
        assert!(
            text(&df).contains("failed: row 90000 of 100000 rows in memory: `n + 1` overflows Int64, where `n` is ")
        );
    }
    for df in on(&csv) {
        let text = text(&df);
        let (_, row) = text.split_once("failed: row ").unwrap();
        let (row, rest) = row.split_once(" of part ").unwrap();
        assert!(rest.contains(" of read_csv of 1 file: `n + 1` overflows"), "{text}");
        assert!(row.parse::<u64>().unwrap() < 90_000, "{text}");
    }
    for df in on(&memory.filter(col("n").gt(-1))) {
        let text = text(&df);
        assert!(text.contains(" of a batch of ") && !text.contains("in memory"), "{text}");
    }
    let rows = memory.map_rows(|(n,): (i32,)| (n,));
    let wanted =
        "row 90000 of 100000 rows in memory: no `(i32,)`: column `n`, 9223372036854775807, does not fit into Int32";
    assert!(text(&rows).contains(wanted), "{}", text(&rows));
}

#[test]
fn errors_speak_of_the_users_program() {
    let n: ArrayRef = Arc::new(Int64Array::from(vec![5, i64::MAX]));
    let t: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
    let df = from_batches(vec![batch(vec![("n", n), ("t", t)])], 1);
    let kept = df.persist().unwrap();
    for df in [&df, &kept] {
        let programs = [
            (df.select([col("n") + 1]), "in select at "),
            (df.filter((col("n") + 1).gt(3)), "in filter at "),
            (df.select([col("n").sum()]), "from select at "),
            (df.group_by(["t"]).agg([col("n").sum() + 1]), "from agg at "),
            (df.group_by(["t"]).agg([(col("n") + 1).sum()]), "from agg at "),
            (df.cast([("t", DataType::Int64)]), "in cast at "),
            (df.map_batches(df.schema().unwrap(), |_| Err(crate::error::Error::from_user("no"))), "in map_batches at "),
            (df.map_rows(|(a, b): (i64, i64)| (a, b)), "in map_rows at "),
            (df.with_column((col("n") + 1).alias("m")).unique(["m"]), "in with_columns at "),
        ];
        for (program, frame) in programs {
            let text = text(&program);
            let places: Vec<&str> = text.lines().skip(1).map(|line| line.trim().split_once(' ').unwrap().1).collect();
            let mut once = places.clone();
            once.dedup();
            assert_eq!(once, places, "{text}");
            assert!(text.contains(frame), "{text}");
            for inner in ["seal", "__aggregate", "unknown line"] {
                assert!(!text.contains(inner), "{text}");
            }
        }
    }
    let sums = df.group_by(["t"]).agg([col("n").sum() + 1]);
    assert!(
        text(&sums).starts_with("task `agg` failed: group 1 of 2: `sum(n) + 1` overflows Int64, where `sum(n)` is ")
    );
    let wrong = df.group_by(["t"]).agg([col("n").sum() + col("t").max()]);
    let wrong = wrong.schema().unwrap_err().to_string();
    assert!(wrong.contains("sum(n)") && wrong.contains("max(t)") && !wrong.contains("__aggregate"), "{wrong}");
}

#[test]
fn rows_are_read_as_wider_numbers_or_the_column_is_named() {
    #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq, Clone)]
    struct Row {
        a: f64,
        b: Option<f64>,
        c: i64,
        d: f32,
        e: Vec<f64>,
    }
    let int = |values: [Option<i64>; 2]| -> ArrayRef { Arc::new(Int64Array::from(values.to_vec())) };
    let to = |array: ArrayRef, to: DataType| cast(&array, &to).unwrap();
    let lists = |of: DataType| to(int([Some(3), Some(4)]), DataType::new_list(of, true));
    let df = |a: ArrayRef, c: ArrayRef| {
        let b = to(int([None, Some(7)]), DataType::Float32);
        let d = to(int([Some(1), Some(2)]), DataType::UInt8);
        from_batches(vec![batch(vec![("a", a), ("b", b), ("c", c), ("d", d), ("e", lists(DataType::Int32))])], 1)
    };
    let wanted = [
        Row { a: 1.0, b: None, c: -5, d: 1.0, e: vec![3.0] },
        Row { a: 2.0, b: Some(7.0), c: 6, d: 2.0, e: vec![4.0] },
    ];
    let small = || to(int([Some(-5), Some(6)]), DataType::Int8);
    for from in [DataType::Int64, DataType::Int8, DataType::UInt32, DataType::Float32, DataType::Decimal128(9, 2)] {
        let df = df(to(int([Some(1), Some(2)]), from), small());
        assert_eq!(df.compute().unwrap().to_records::<Row>().unwrap(), wanted);
        assert_eq!(df.to_bag::<Row>().compute().unwrap(), wanted);
        assert_eq!(df.map_rows(|row: Row| row).compute().unwrap().to_records::<Row>().unwrap(), wanted);
    }
    let fails = |df: DataFrame, wanted: &str| {
        let error = df.compute().unwrap().to_records::<Row>().unwrap_err();
        assert!(error.message().starts_with("row 1: no `") && error.message().ends_with(wanted), "{error}");
        let error = df.to_bag::<Row>().compute().unwrap_err();
        assert!(
            error.message().starts_with("row 1 of partition 0: no `") && error.message().ends_with(wanted),
            "{error}"
        );
    };
    let fine = || int([Some(1), Some(2)]);
    fails(
        df(int([Some(1), None]), small()),
        "column `a` is null, and the field is a Float64 without an Option: fill_null or drop_nulls",
    );
    let large = to(int([Some(1), Some(-1)]), DataType::Float64);
    let large: ArrayRef =
        Arc::new(arrow::compute::kernels::numeric::mul(&large, &arrow::array::Float64Array::new_scalar(1.5)).unwrap());
    let error = df(fine(), large).compute().unwrap().to_records::<Row>().unwrap_err();
    assert!(error.message().ends_with("column `c` is a Float64, and the field a Int64: cast the column"), "{error}");
    let unsigned = to(Arc::new(StringArray::from(vec!["7", "18446744073709551615"])), DataType::UInt64);
    fails(df(fine(), unsigned), "column `c`, 18446744073709551615, does not fit into Int64");
    let fields = vec![Field::new("0", DataType::Int8, true), Field::new("1", DataType::Date32, true)];
    let rows = |rows: &[(i64, &str)]| text(&crate::dataframe::from_records_with(Schema::new(fields.clone()), rows));
    let wanted = "row 1: a `(i64, &str)` does not fit its columns: column `0`, a Int8: the number does not fit";
    assert!(rows(&[(1, "2020-01-01"), (300, "2020-01-01")]).starts_with(wanted));
    assert!(rows(&[(1, "2020-01-01"), (3, "x")]).contains("column `1`, a Date32: "));
}
