//! Files that are odd, and what is promised of them: no value is lost, and nothing is told of a file that is another one by now.

use std::path::Path;
use std::sync::Arc;

use arrow::array::Array;
use arrow::array::*;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use chunkwise::prelude::*;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn told<T: std::fmt::Debug>(result: Result<T>, kind: ErrorKind, says: &[&str]) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    for part in says {
        assert!(error.to_string().contains(part), "{error}, without {part}");
    }
}

#[test]
fn keys_of_json_that_are_no_columns() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.jsonl");
    std::fs::write(&path, "{\"a\":1,\"b\":1}\n{\"a\":2}\n{\"a\":3,\"late\":9}\n").unwrap();
    let reader = dataframe::read_json(text(&path)).sample_rows(2);
    let says = ["f.jsonl, line 3: key `late` is no column", "dtype(\"late\", …)", "sample_rows", "ignore_unknown()"];
    told(reader.open().unwrap().compute(), ErrorKind::Data, &says);
    told(reader.open().unwrap().select(["a"]).compute(), ErrorKind::Data, &says);
    let ignoring = reader.clone().ignore_unknown().open().unwrap();
    assert_eq!(ignoring.count_rows().compute().unwrap(), 3);
    let declared = reader.dtype("late", DataType::Int64).open().unwrap();
    let sum = declared.agg([col("late").sum()]).compute().unwrap();
    assert_eq!(sum.column::<Int64Type>("late").unwrap().value(0), 9);
    let all = dataframe::read_json(text(&path)).open().unwrap();
    assert_eq!(all.columns().unwrap().len(), 3);
}

#[test]
fn tables_of_json_without_rows() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let df = dataframe::from_columns([("a", vec![1i64, 2, 3, 4])]).repartition(2);
    df.filter(col("a").gt(9)).to_json(&out).write().unwrap();
    let files = format!("{}/*.jsonl", out.display());
    told(dataframe::read_json(&files).open(), ErrorKind::Data, &["has no objects", "dtype(name, …)"]);
    let declared = dataframe::read_json(&files).dtype("a", DataType::Int64).open().unwrap();
    let table = declared.compute().unwrap();
    assert_eq!((table.num_rows(), table.num_columns()), (0, 1));
    // Files without rows before one with some.
    df.filter(col("a").gt(3)).to_json(&out).write().unwrap();
    let back = dataframe::read_json(&files).open().unwrap();
    assert_eq!(back.compute().unwrap().column::<Int64Type>("a").unwrap().values(), &[4]);
}

type Open = fn(&str) -> Result<DataFrame>;

#[test]
fn files_that_change_are_not_counted_from_memory() {
    let dir = tempfile::tempdir().unwrap();
    let readers: Vec<(&str, Open)> = vec![
        #[cfg(feature = "parquet")]
        ("parquet", |path| dataframe::read_parquet(path).open()),
        ("arrow", |path| dataframe::read_ipc(path).open()),
        ("csv", |path| dataframe::read_csv(path).open()),
        ("jsonl", |path| dataframe::read_json(path).open()),
    ];
    for (ending, open) in readers {
        let path = dir.path().join(format!("f.{ending}"));
        let write = |rows: i64| {
            let df = dataframe::from_columns([("a", (0..rows).collect::<Vec<i64>>())]);
            let writer = match ending {
                #[cfg(feature = "parquet")]
                "parquet" => df.to_parquet(&path),
                "arrow" => df.to_ipc(&path),
                "csv" => df.to_csv(&path),
                _ => df.to_json(&path),
            };
            writer.single_file().write().unwrap();
        };
        write(1000);
        let df = open(text(&path)).unwrap();
        assert_eq!(df.count_rows().compute().unwrap(), 1000);
        write(2000);
        let says = ["changed", &format!("f.{ending}"), "open it again"];
        for counted in [df.count_rows(), df.filter(col("a").ge(0)).count_rows(), df.select(["a"]).count_rows()] {
            let error = counted.compute().unwrap_err();
            assert!(says.iter().all(|part| error.to_string().contains(part)), "{ending}: {error}");
        }
        // What the statistics of the old file say is not there.
        let error = df.filter(col("a").ge(1500)).compute().unwrap_err();
        assert!(says.iter().all(|part| error.to_string().contains(part)), "{ending}: {error}");
        std::fs::remove_file(&path).unwrap();
        told(df.count_rows().compute(), ErrorKind::Io, &[&format!("f.{ending}")]);
    }
}

#[test]
fn a_single_file_is_not_appended_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.csv");
    let df = dataframe::from_columns([("a", vec![1i64])]);
    let writer = df.to_csv(&path).single_file().append();
    let says = ["only a directory can be appended to"];
    told(writer.write(), ErrorKind::Plan, &says);
    assert!(!path.exists());
    df.to_csv(&path).single_file().write().unwrap();
    told(writer.write(), ErrorKind::Plan, &says);
    told(df.to_csv(&path).append().single_file().write(), ErrorKind::Plan, &says);
}

#[test]
fn equal_floats_are_one_key() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let odd = f64::from_bits(f64::NAN.to_bits() | 1);
    let k: ArrayRef = Arc::new(Float64Array::from(vec![0.0, -0.0, f64::NAN, odd, -odd, -0.0, 0.5, 0.0]));
    let n: ArrayRef = Arc::new(Int64Array::from_iter_values(0..8));
    let small: ArrayRef = Arc::new(Float32Array::from(vec![-0.0; 8]));
    let t: ArrayRef = Arc::new(StringArray::from(vec!["-0.0"; 8]));
    let batch = RecordBatch::try_from_iter([("k", k), ("n", n), ("s", small), ("t", t)]).unwrap();
    for partitions in [1, 4] {
        let df = dataframe::from_batches(vec![batch.clone()], partitions);
        df.to_csv(&out).partition_by(["k", "s", "t"]).write().unwrap();
        let mut names: Vec<String> =
            std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["k=0.0", "k=0.5", "k=NaN"]);
        let zeros = dataframe::read_csv(text(&out.join("k=0.0/s=0.0/t=-0.0/*.csv"))).open().unwrap().compute().unwrap();
        assert_eq!(zeros.column::<Int64Type>("n").unwrap().values(), &[0, 1, 5, 7]);
    }
}

#[test]
fn two_columns_of_one_name() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_string()
    };
    let csv = write("f.csv", b"a,b,a\n1,2,3\n");
    told(dataframe::read_csv(&csv).open(), ErrorKind::Data, &["f.csv, line 1: two columns are called `a`"]);
    let other = write("g.csv", b"b,b\n1,2\n");
    let first = write("e.csv", b"a,b\n1,2\n");
    let both = dataframe::read_csv(first.replace("e.csv", "?.csv")).open().unwrap();
    told(both.compute(), ErrorKind::Data, &["two columns are called"]);
    told(dataframe::read_csv(&other).names(["x", "x"]).open(), ErrorKind::Plan, &["`x`"]);
    let json = write("f.jsonl", b"{\"a\":1,\"b\":2,\"a\":3}\n");
    let says = ["f.jsonl, line 1: key `a` is there twice"];
    told(dataframe::read_json(&json).open().and_then(|df| df.compute()), ErrorKind::Data, &says);
    let column: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let field = |name: &str| arrow::datatypes::Field::new(name, DataType::Int64, true);
    let schema = Arc::new(arrow::datatypes::Schema::new(vec![field("a"), field("b"), field("a")]));
    let batch = RecordBatch::try_new(schema.clone(), vec![column.clone(), column.clone(), column]).unwrap();
    let path = dir.path().join("f.arrow");
    let mut writer = arrow::ipc::writer::FileWriter::try_new(std::fs::File::create(&path).unwrap(), &schema).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    told(dataframe::read_ipc(text(&path)).open(), ErrorKind::Data, &["f.arrow has two columns `a`"]);
    told(dataframe::from_batches(vec![batch.clone()], 1).compute(), ErrorKind::Plan, &["two columns are called `a`"]);
    #[cfg(feature = "parquet")]
    {
        let path = dir.path().join("f.parquet");
        let file = std::fs::File::create(&path).unwrap();
        let mut writer = parquet::arrow::ArrowWriter::try_new(file, schema, None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        told(dataframe::read_parquet(text(&path)).open(), ErrorKind::Data, &["f.parquet has two columns `a`"]);
    }
}

#[test]
fn nulls_in_one_column_of_csv() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.csv");
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), None, Some(""), None]));
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![None, Some(0.5), None, Some(f64::NAN)]));
    for column in [texts, floats] {
        let df = dataframe::from_columns([("c", column.clone())]);
        df.to_csv(&path).single_file().write().unwrap();
        let back = dataframe::read_csv(text(&path)).open().unwrap().compute().unwrap();
        let whole = arrow::compute::concat_batches(back.schema(), back.batches()).unwrap();
        match column.data_type() {
            DataType::Float64 => {
                let (was, is) = (column.as_primitive::<Float64Type>(), whole.column(0).as_primitive::<Float64Type>());
                assert!(was.iter().zip(is).all(|(a, b)| a.map(f64::to_bits) == b.map(f64::to_bits)));
                assert_eq!(was.len(), is.len());
            }
            _ => assert_eq!(whole.column(0), &column),
        }
    }
}

#[test]
fn types_of_csv_are_those_of_the_first_rows_that_there_are() {
    let dir = tempfile::tempdir().unwrap();
    let files = [("1.csv", "a,b,c\n"), ("2.csv", "a,b,c\n"), ("3.csv", "b,a,z\n0.5,7,x\n"), ("4.csv", "a\nx\n")];
    for (name, content) in files {
        std::fs::write(dir.path().join(name), content).unwrap();
    }
    let set = || dataframe::read_csv(text(dir.path())).open().unwrap();
    let types: Vec<DataType> = set().schema().unwrap().fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types, [DataType::Int64, DataType::Float64, DataType::Utf8]);
    told(set().compute(), ErrorKind::Data, &["4.csv, line 2, column `a`: `x` is not a Int64"]);
    std::fs::remove_file(dir.path().join("4.csv")).unwrap();
    let table = set().compute().unwrap();
    assert_eq!(table.column::<Int64Type>("a").unwrap().values(), &[7]);
    assert_eq!(table.texts("c").unwrap().null_count(), 1);
}

/// A footer that is larger than what is kept of footers, by texts in its statistics, is read once, and not as a whole by each task.
#[cfg(feature = "parquet")]
#[test]
fn large_footers_of_parquet_are_read_once() {
    const GROUPS: i64 = 100;
    const LONG: usize = 200_000;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.parquet");
    let properties = parquet::file::properties::WriterProperties::builder()
        .set_statistics_truncate_length(None)
        .set_dictionary_enabled(false)
        .build();
    let part = |group: i64| {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(group * 10..group * 10 + 10));
        let long = Some(format!("{group:03}{}", "x".repeat(LONG)));
        let texts: ArrayRef = Arc::new(StringArray::from_iter((0..10).map(|row| long.clone().filter(|_| row == 0))));
        RecordBatch::try_from_iter([("n", numbers), ("t", texts)]).unwrap()
    };
    let file = std::fs::File::create(&path).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, part(0).schema(), Some(properties)).unwrap();
    for group in 0..GROUPS {
        writer.write(&part(group)).unwrap();
        writer.flush().unwrap();
    }
    writer.close().unwrap();
    let bytes = std::fs::metadata(&path).unwrap().len();
    let footer_bytes = bytes - GROUPS as u64 * LONG as u64;
    assert!(footer_bytes > 36 << 20, "{footer_bytes}");
    // Each row group is a partition.
    let df = dataframe::read_parquet(text(&path)).partition_bytes(300_000).open().unwrap();
    let least = [0, 500, 995];
    for threads in [1, 2] {
        for from in least {
            // Less than the footer takes.
            let runtime = Runtime::builder().memory_limit(24_u64 << 20).threads(threads).build().unwrap();
            let rows = if from == 0 { df.clone() } else { df.filter(col("n").ge(from)) };
            let sum = rows.agg([col("n").sum()]).compute_on(&runtime).unwrap();
            let expected: i64 = (from..GROUPS * 10).sum();
            assert_eq!(sum.column::<Int64Type>("n").unwrap().value(0), expected);
            let read = runtime.last_report().source_bytes;
            assert!(read < footer_bytes + (4 << 20), "{read} of {bytes} from {from}");
        }
        let runtime = Runtime::builder().memory_limit(24_u64 << 20).threads(threads).build().unwrap();
        let lengths = df.agg([col("t").str().len_bytes().sum()]).compute_on(&runtime).unwrap();
        assert_eq!(lengths.column::<Int64Type>("t").unwrap().value(0), GROUPS * (LONG as i64 + 3));
    }
}
