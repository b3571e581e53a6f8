//! Data sets whose directories are called `key=value`, in all formats: which columns they give, what comes back of what was written, and
//! which files are not opened.

use std::path::Path;
use std::sync::Arc;

use arrow::array::Array;
use arrow::array::*;
use arrow::datatypes::Int64Type;
use chunkwise::dataframe::{IntoArray, Writer};
use chunkwise::prelude::*;

/// What a reader is told of keys.
#[derive(Clone, Copy, Default)]
struct Told<'a> {
    types: &'a [(&'a str, DataType)],
    path: Option<&'a str>,
    off: bool,
}

type Write = fn(&DataFrame, &Path) -> Writer;
type Read = fn(&str, Told<'_>) -> Result<DataFrame>;

macro_rules! read {
    ($verb:ident) => {
        |path, told| {
            let mut read = dataframe::$verb(path).hive(!told.off);
            for (name, data_type) in told.types {
                read = read.hive_type(*name, data_type.clone());
            }
            if let Some(name) = told.path {
                read = read.include_path(name);
            }
            read.open()
        }
    };
}

fn formats() -> Vec<(&'static str, Write, Read)> {
    vec![
        #[cfg(feature = "parquet")]
        ("parquet", |df, path| df.to_parquet(path), read!(read_parquet)),
        ("arrow", |df, path| df.to_ipc(path), read!(read_ipc)),
        ("csv", |df, path| df.to_csv(path), read!(read_csv)),
        ("jsonl", |df, path| df.to_json(path), read!(read_json)),
    ]
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Rows 0 to 6, with a key of three values.
fn rows() -> DataFrame {
    let k = vec![Some(1_i64), Some(2), None, Some(1), Some(2), None].into_array();
    dataframe::from_columns([("n", vec![0_i64, 1, 2, 3, 4, 5].into_array()), ("k", k)])
}

fn numbers(df: &DataFrame) -> Result<Vec<i64>> {
    Ok(df.compute()?.column::<Int64Type>("n")?.iter().map(Option::unwrap).collect())
}

#[test]
fn keys_of_all_kinds_are_names_of_directories() {
    let keys = [
        Some(""),
        Some("plain"),
        Some("a/b"),
        Some("a=b"),
        Some("a b"),
        Some("日本 😀"),
        Some("%2F"),
        Some("."),
        Some(".."),
        Some("_x"),
        Some(".hidden"),
        Some("1"),
        Some("01"),
        Some("1_000"),
        Some("+1"),
        Some("-0"),
        Some("null"),
        Some("*?"),
        Some("a\nb"),
        Some("#x:y"),
        None,
        Some("A"),
        Some("a"),
        Some(" lead"),
        Some("trail "),
        Some("trail."),
    ];
    let n: Vec<i64> = (0..keys.len() as i64).collect();
    let df = dataframe::from_columns([("n", n.into_array()), ("key/1", keys.to_vec().into_array())]);
    let dir = tempfile::tempdir().unwrap();
    for (name, write, read) in formats() {
        let path = dir.path().join(name);
        let written = write(&df, &path).partition_by(["key/1"]).write().unwrap();
        assert_eq!(written.files.len(), keys.len(), "{name}");
        let set = read(text(&path), Told::default()).unwrap();
        let back = set.nsmallest(1000, ["n"]).compute().unwrap();
        assert_eq!(back.texts("key/1").unwrap().iter().collect::<Vec<_>>(), keys, "{name}");
        assert_eq!(back.column::<Int64Type>("n").unwrap().len(), keys.len(), "{name}");
        for key in ["a/b", "%2F", "", "01"] {
            assert_eq!(set.filter(col("key/1").eq(key)).count_rows().compute().unwrap(), 1, "{name} {key}");
        }
    }
}

#[test]
fn keys_of_many_types_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let days: ArrayRef = Arc::new(Date32Array::from(vec![Some(0), Some(19_000), None, Some(-1)]));
    let ints: ArrayRef = Arc::new(Int64Array::from(vec![Some(i64::MIN), Some(7), None, Some(7)]));
    let large: ArrayRef = Arc::new(UInt64Array::from(vec![Some(u64::MAX), Some(7), None, Some(7)]));
    let flags: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), Some(true)]));
    let small: ArrayRef = Arc::new(Int8Array::from(vec![Some(-5), Some(7), None, Some(7)]));
    let digits: ArrayRef = Arc::new(StringArray::from(vec![Some("1"), Some("2"), None, Some("1")]));
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![Some(0.5), Some(f64::NAN), None, Some(-1e300)]));
    let by_itself = [days, ints, large].map(|array| (array, false));
    for (at, (array, told)) in
        by_itself.into_iter().chain([flags, small, digits, floats].map(|array| (array, true))).enumerate()
    {
        for (name, write, read) in formats() {
            let path = dir.path().join(format!("{name}-{at}"));
            let data_type = array.data_type().clone();
            let df = dataframe::from_columns([("n", vec![0_i64, 1, 2, 3].into_array()), ("k", array.clone())]);
            write(&df, &path).partition_by(["k"]).write().unwrap();
            let types = [("k", data_type)];
            let types = if told { &types[..] } else { &[] };
            let set = read(text(&path), Told { types, ..Told::default() }).unwrap();
            let back = set.nsmallest(10, ["n"]).compute().unwrap().array("k").unwrap();
            assert_eq!(format!("{back:?}"), format!("{array:?}"), "{name}");
        }
    }
}

#[test]
fn files_that_a_condition_on_keys_leaves_out_are_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    for (name, write, read) in formats() {
        let path = dir.path().join(name);
        write(&rows(), &path).partition_by(["k"]).write().unwrap();
        let set = read(text(&path), Told { path: Some("file"), ..Told::default() }).unwrap();
        assert_eq!(numbers(&set).unwrap(), [0, 3, 1, 4, 2, 5], "{name}");
        std::fs::write(path.join(format!("k=2/part.0.{name}")), "\u{0}{,\"").unwrap();
        assert_eq!(numbers(&set.filter(col("k").eq(1))).unwrap(), [0, 3], "{name}");
        assert_eq!(numbers(&set.filter(col("k").is_null())).unwrap(), [2, 5], "{name}");
        assert_eq!(numbers(&set.filter(col("k").lt(2)).filter(col("n").gt(0))).unwrap(), [3], "{name}");
        assert_eq!(numbers(&set.filter(col("file").str().contains("k=1"))).unwrap(), [0, 3], "{name}");
        assert_eq!(numbers(&set.filter(col("k").eq(99))).unwrap(), [0_i64; 0], "{name}");
        assert_eq!(set.filter(col("k").eq(1)).count_rows().compute().unwrap(), 2, "{name}");
        let plan = set.filter(col("k").eq(1)).explain().unwrap();
        let part = if name == "parquet" { "row groups 1 of 3" } else { "files 1 of 3" };
        assert!(plan.contains(part), "{name}: {plan}");
        let error = numbers(&set.filter(col("k").eq(2))).unwrap_err();
        assert!(error.to_string().contains("k=2"), "{name}: {error}");
    }
}

#[test]
fn keys_beside_other_columns() {
    let dir = tempfile::tempdir().unwrap();
    for (name, write, read) in formats() {
        let path = dir.path().join(name);
        write(&rows(), &path).partition_by(["k"]).write().unwrap();
        let set = read(text(&path), Told::default()).unwrap();
        // Nothing but the key, and conditions that read both.
        let keys = set.select(["k"]).compute().unwrap();
        let found: Vec<Option<i64>> = keys.column::<Int64Type>("k").unwrap().iter().collect();
        assert_eq!(found, [Some(1), Some(1), Some(2), Some(2), None, None], "{name}");
        assert_eq!(set.count_rows().compute().unwrap(), 6, "{name}");
        assert_eq!(numbers(&set.filter(col("k").eq(col("n") - 2))).unwrap(), [3, 4], "{name}");
        assert_eq!(numbers(&set.filter(col("k").eq(2) | col("n").eq(5))).unwrap(), [1, 4, 5], "{name}");
        let sums = set.group_by(["k"]).agg([col("n").sum()]).compute().unwrap();
        assert_eq!(sums.column::<Int64Type>("k").unwrap().values(), &[1, 2], "{name}");
        assert_eq!(sums.column::<Int64Type>("n").unwrap().values(), &[3, 5], "{name}");
        // Off, there is no such column.
        let off = read(text(&path), Told { off: true, ..Told::default() }).unwrap();
        assert_eq!(off.schema().unwrap().fields().len(), 1, "{name}");
        // By a pattern: from the first part on that is not plain.
        let pattern = format!("{}/k=*/*.{name}", text(&path));
        assert_eq!(read(&pattern, Told::default()).unwrap().schema().unwrap().fields().len(), 2, "{name}");
        let plain = format!("{}/k=1/*.{name}", text(&path));
        assert_eq!(read(&plain, Told::default()).unwrap().schema().unwrap().fields().len(), 1, "{name}");
    }
}

/// What begins so is passed over elsewhere.
#[test]
fn keys_whose_names_begin_oddly() {
    let dir = tempfile::tempdir().unwrap();
    for (name, write, read) in formats() {
        for key in ["_k", ".k", "__", "k."] {
            let path = dir.path().join(format!("{name} {key}"));
            write(&rows().rename([("k", key)]), &path).partition_by([key]).write().unwrap();
            let set = read(text(&path), Told::default()).unwrap();
            assert_eq!(set.columns().unwrap(), ["n", key], "{name}");
            assert_eq!(numbers(&set.filter(col(key).eq(2))).unwrap(), [1, 4], "{name} {key}");
            assert_eq!(set.count_rows().compute().unwrap(), 6, "{name} {key}");
        }
    }
}

#[test]
fn a_key_stands_above_a_column_of_its_name() {
    let dir = tempfile::tempdir().unwrap();
    for (name, write, read) in formats() {
        let path = dir.path().join(name);
        let inner = path.join("k=7");
        std::fs::create_dir_all(&inner).unwrap();
        // The key is the first column, and what is read of a file without any other.
        let df = rows().select(["k", "n"]);
        write(&df, &inner.join(format!("part.{name}"))).single_file().write().unwrap();
        let set = read(text(&path), Told::default()).unwrap();
        let fields: Vec<String> = set.schema().unwrap().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(fields, ["k", "n"], "{name}");
        assert_eq!(numbers(&set.filter(col("k").eq(7))).unwrap().len(), 6, "{name}");
        assert_eq!(set.filter(col("k").eq(1)).count_rows().compute().unwrap(), 0, "{name}");
        assert_eq!(set.select(["k"]).compute().unwrap().column::<Int64Type>("k").unwrap().value(2), 7, "{name}");
        // The same file without the key, in one run: it is not taken for the same.
        let bare = read(text(&inner), Told::default()).unwrap();
        let (one, other) = compute((&set.select(["k"]), &bare.select(["k"]))).unwrap();
        assert_eq!(one.column::<Int64Type>("k").unwrap().null_count(), 0, "{name}");
        assert_eq!(other.column::<Int64Type>("k").unwrap().null_count(), 2, "{name}");
    }
}

#[test]
fn what_is_told_of_keys_has_to_fit() {
    let dir = tempfile::tempdir().unwrap();
    for (name, write, read) in formats() {
        let path = dir.path().join(name);
        write(&rows(), &path).partition_by(["k"]).write().unwrap();
        let fails = |told: Told<'_>, kind: ErrorKind, part: &str| {
            let error = read(text(&path), told).unwrap_err();
            assert!(error.kind() == kind && error.to_string().contains(part), "{name}: {error}");
        };
        let types = [("z", DataType::Int64)];
        fails(Told { types: &types, ..Told::default() }, ErrorKind::Plan, "key `z` is declared");
        let types = [("k", DataType::Date32)];
        fails(
            Told { types: &types, ..Told::default() },
            ErrorKind::Data,
            &format!("part.0.{name}: key `k`: `1` is not a"),
        );
        fails(Told { types: &types, off: true, ..Told::default() }, ErrorKind::Plan, "hive is off");
        fails(Told { path: Some("k"), ..Told::default() }, ErrorKind::Plan, "there is a column `k` already");
        let last = [("k", DataType::Date32), ("k", DataType::Utf8)];
        let set = read(text(&path), Told { types: &last, ..Told::default() }).unwrap();
        assert_eq!(set.schema().unwrap().field_with_name("k").unwrap().data_type(), &DataType::Utf8, "{name}");
    }
    // Types of all columns are those of keys too; formats and nulls are for what stands in files.
    let csv = text(&dir.path().join("csv")).to_string();
    let json = text(&dir.path().join("jsonl")).to_string();
    for set in [
        dataframe::read_csv(&csv).dtype("k", DataType::Utf8).open().unwrap(),
        dataframe::read_json(&json).dtype("k", DataType::Utf8).open().unwrap(),
    ] {
        assert_eq!(set.schema().unwrap().field_with_name("k").unwrap().data_type(), &DataType::Utf8);
        assert_eq!(numbers(&set.filter(col("k").eq("2"))).unwrap(), [1, 4]);
    }
    for read in
        [dataframe::read_csv(&csv).date_format("k", "%Y"), dataframe::read_csv(&csv).column_null_values("k", ["1"])]
    {
        let error = read.open().unwrap_err();
        assert!(error.kind() == ErrorKind::Plan && error.to_string().contains("column `k`"), "{error}");
    }
}

#[test]
fn directories_are_looked_through() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &[u8]| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    put("csv/b/part-10.csv", b"n\n3\n");
    put("csv/b/part-9.CSV", b"n\n2\n");
    put("csv/a.tsv", b"n\n1\n");
    put("csv/_tmp/x.csv", b"other\n");
    put("csv/.x.csv", b"other\n");
    put("csv/notes.md", b"other\n");
    put("json/a.json", b"{\"n\":1}\n");
    put("json/b/c.ndjson", b"{\"n\":2}\n");
    put("json/b/d.jsonl", b"{\"n\":3}\n");
    put("json/_SUCCESS", b"");
    put("none/x.txt", b"");
    let at = |name: &str| text(&dir.path().join(name)).to_string();
    assert_eq!(numbers(&dataframe::read_csv(at("csv")).open().unwrap()).unwrap(), [1, 2, 3]);
    assert_eq!(numbers(&dataframe::read_json(at("json")).open().unwrap()).unwrap(), [1, 2, 3]);
    for error in
        [dataframe::read_csv(at("none")).open().unwrap_err(), dataframe::read_json(at("none")).open().unwrap_err()]
    {
        assert!(error.kind() == ErrorKind::Io && error.to_string().contains("no file in"), "{error}");
    }
    #[cfg(feature = "gzip")]
    {
        use std::io::Write as _;
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(b"n\n4\n").unwrap();
        put("gz/k=1/a.csv.gz", &out.finish().unwrap());
        let set = dataframe::read_csv(at("gz")).open().unwrap();
        assert_eq!(numbers(&set.filter(col("k").eq(1))).unwrap(), [4]);
    }
}
