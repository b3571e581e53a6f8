//! Data sets are written by the `parquet` crate in many shapes and read back: pruned and filtered is what a full read filtered is.

use std::fs::File;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::*;
use arrow::compute::{cast, concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, TimeUnit, TimestampMicrosecondType};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion};
use proptest::prelude::*;

use super::{ParquetOptions, ParquetSource};
use crate::error::{ErrorKind, Result};
use crate::expr::{BinaryOp, Expr, Program, UnaryOp, Value, col, lit};
use crate::formats::scan::{ReadContext, Scan, ScanRequest, TableSource};

pub(super) fn write(path: &Path, batch: &RecordBatch, properties: WriterPropertiesBuilder) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties.build())).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

fn open(path: &Path, options: ParquetOptions) -> Result<Arc<ParquetSource>> {
    ParquetSource::open(&[path.to_str().unwrap()], options).map(Arc::new)
}

/// All batches of a scan, and the bytes that were read.
fn batches(scan: &dyn Scan) -> Result<(Vec<RecordBatch>, u64)> {
    let bytes = AtomicU64::new(0);
    let count = |more| _ = bytes.fetch_add(more, Ordering::Relaxed);
    let context = ReadContext { count: &count, ..ReadContext::default() };
    let mut found = Vec::new();
    for (index, morsel) in scan.morsels().iter().enumerate() {
        let before: usize = found.iter().map(RecordBatch::num_rows).sum();
        scan.read(index, &context, &mut |batch| {
            found.push(batch);
            Ok(ControlFlow::Continue(()))
        })?;
        let rows = found.iter().map(RecordBatch::num_rows).sum::<usize>() - before;
        assert!(rows as u64 <= morsel.rows.unwrap());
    }
    Ok((found, bytes.load(Ordering::Relaxed)))
}

/// A scan as one batch in the types of the source.
fn table(source: &Arc<ParquetSource>, request: &ScanRequest) -> Result<RecordBatch> {
    let scan = source.clone().scan(request)?;
    let (found, _) = batches(&*scan)?;
    let fields: Vec<_> = request.columns.iter().map(|column| source.schema().fields()[*column].clone()).collect();
    let schema = Arc::new(Schema::new(fields));
    let typed = |batch: &RecordBatch| {
        let columns =
            batch.columns().iter().zip(schema.fields()).map(|(array, field)| cast(array, field.data_type()).unwrap());
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(schema.clone(), columns.collect(), &options).unwrap()
    };
    let typed: Vec<RecordBatch> = found.iter().map(typed).collect();
    Ok(concat_batches(&schema, &typed).unwrap())
}

fn everything(source: &ParquetSource) -> ScanRequest {
    ScanRequest { columns: (0..source.schema().fields().len()).collect(), ..ScanRequest::default() }
}

fn request(source: &ParquetSource, columns: &[&str], predicates: Vec<Expr>) -> ScanRequest {
    let columns = columns.iter().map(|name| source.schema().index_of(name).unwrap()).collect();
    ScanRequest { columns, predicates, dictionaries: Vec::new() }
}

fn numbers(range: std::ops::Range<i64>) -> RecordBatch {
    let n: ArrayRef = Arc::new(Int64Array::from_iter_values(range));
    RecordBatch::try_from_iter_with_nullable([("n", n, true)]).unwrap()
}

#[test]
fn every_type_travels() {
    let rows = 40_usize;
    let seconds = Arc::new(TimestampSecondArray::from_iter_values(0..rows as i64).with_timezone("+01:00")) as ArrayRef;
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(
        (0..rows).map(|row| (row % 3 > 0).then(|| (0..row as i32 % 5).map(Some).collect::<Vec<_>>())),
    );
    let fields = vec![Field::new("x", DataType::Int8, true), Field::new("y", DataType::Utf8, false)];
    let structs = StructArray::new(
        fields.into(),
        vec![
            Arc::new(Int8Array::from_iter((0..rows).map(|row| (row % 2 == 0).then_some(row as i8)))),
            Arc::new(StringArray::from_iter_values((0..rows).map(|row| "ü".repeat(row % 4)))),
        ],
        None,
    );
    let mut maps = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
    for row in 0..rows {
        for entry in 0..row % 3 {
            maps.keys().append_value(format!("k{entry}"));
            maps.values().append_value(entry as i64);
        }
        maps.append(row % 7 != 0).unwrap();
    }
    let text: Vec<Option<String>> = (0..rows).map(|row| (row % 6 > 0).then(|| "z".repeat(row % 20))).collect();
    let dictionary: DictionaryArray<arrow::datatypes::Int8Type> = text.iter().map(|t| t.as_deref()).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("null", Arc::new(NullArray::new(rows))),
        ("bool", Arc::new(BooleanArray::from_iter((0..rows).map(|row| (row % 5 > 0).then_some(row % 2 == 0))))),
        ("u8", Arc::new(UInt8Array::from_iter_values((0..rows).map(|row| 255 - row as u8)))),
        ("u64", Arc::new(UInt64Array::from_iter_values((0..rows).map(|row| u64::MAX - row as u64)))),
        ("f16", cast(&Float32Array::from_iter_values((0..rows).map(|row| row as f32)), &DataType::Float16).unwrap()),
        ("f32", Arc::new(Float32Array::from_iter_values((0..rows).map(|row| if row == 3 { f32::NAN } else { -0.0 })))),
        (
            "dec",
            Arc::new(
                Decimal128Array::from_iter_values((0..rows).map(|row| row as i128 - 7))
                    .with_precision_and_scale(30, 4)
                    .unwrap(),
            ),
        ),
        ("dec256", cast(&Int64Array::from_iter_values(0..rows as i64), &DataType::Decimal256(50, 2)).unwrap()),
        ("date64", Arc::new(Date64Array::from_iter_values((0..rows).map(|row| row as i64 * 86_400_000)))),
        ("time", Arc::new(Time64NanosecondArray::from_iter_values(0..rows as i64))),
        ("duration", Arc::new(DurationMillisecondArray::from_iter_values(0..rows as i64))),
        ("interval", Arc::new(IntervalYearMonthArray::from_iter_values(0..rows as i32))),
        (
            "day_time",
            Arc::new(IntervalDayTimeArray::from_iter_values(
                (0..rows).map(|row| arrow::datatypes::IntervalDayTime::new(1, row as i32)),
            )),
        ),
        ("seconds", seconds),
        ("utf8", Arc::new(StringArray::from(text.clone()))),
        ("large", Arc::new(LargeStringArray::from(text.clone()))),
        ("view", Arc::new(StringViewArray::from_iter(text.clone()))),
        ("binary", Arc::new(BinaryArray::from_iter(text.iter().map(|t| t.as_ref().map(|t| t.as_bytes()))))),
        ("binary_view", Arc::new(BinaryViewArray::from_iter(text.iter().map(|t| t.as_ref().map(|t| t.as_bytes()))))),
        ("fixed", Arc::new(FixedSizeBinaryArray::try_from_iter((0..rows).map(|row| [row as u8; 5])).unwrap())),
        ("dictionary", Arc::new(dictionary)),
        ("list", Arc::new(list)),
        ("struct", Arc::new(structs)),
        ("map", Arc::new(maps.finish())),
    ];
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    write(&path, &batch, WriterProperties::builder().set_max_row_group_row_count(Some(16)));
    let source = open(&path, ParquetOptions { batch_rows: 7, ..ParquetOptions::default() }).unwrap();
    let types = |schema: &Schema| {
        schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect::<Vec<_>>()
    };
    assert_eq!(types(source.schema()), types(&batch.schema()));
    let whole = table(&source, &everything(&source)).unwrap();
    assert_eq!(whole.columns(), batch.columns());
    // Filtered by a column that stands between them.
    let filtered = ScanRequest { predicates: vec![col("u8").gt(230)], ..everything(&source) };
    assert_eq!(table(&source, &filtered).unwrap().columns(), batch.slice(0, 25).columns());
    let late = ScanRequest { predicates: vec![col("u8").eq(240)], ..everything(&source) };
    assert_eq!(table(&source, &late).unwrap().columns(), batch.slice(15, 1).columns());
}

#[test]
fn directories_make_columns_that_leave_out_files() {
    let dir = tempfile::tempdir().unwrap();
    for (directory, range) in
        [("year=2023/k=a%20b", 0..10), ("year=2024/k=c", 10..20), ("year=2024/k=__HIVE_DEFAULT_PARTITION__", 20..30)]
    {
        write(&dir.path().join(directory).join("part-0.parquet"), &numbers(range), WriterProperties::builder());
    }
    let file_columns = crate::formats::FileColumns { include_path: Some("file".into()), ..Default::default() };
    let source = open(dir.path(), ParquetOptions { file_columns, ..ParquetOptions::default() }).unwrap();
    let names: Vec<String> =
        source.schema().fields().iter().map(|f| format!("{} {}", f.name(), f.data_type())).collect();
    assert_eq!(names, ["n Int64", "year Int64", "k Utf8", "file Utf8"]);
    let rows = |predicates: Vec<Expr>| {
        let found = table(&source, &request(&source, &["n", "k"], predicates)).unwrap();
        let n: Vec<i64> = found.column(0).as_primitive::<arrow::datatypes::Int64Type>().values().to_vec();
        (n.len(), n.first().copied())
    };
    assert_eq!(rows(vec![col("year").eq(2023)]), (10, Some(0)));
    assert_eq!(rows(vec![col("k").is_null()]), (10, Some(20)));
    assert_eq!(rows(vec![col("k").eq("a b"), col("n").ge(4)]), (6, Some(4)));
    assert_eq!(rows(vec![col("k").eq("c") | col("n").lt(2)]), (12, Some(0)));
    assert_eq!(rows(vec![lit(false)]), (0, None));
    let scan = source.clone().scan(&request(&source, &["n"], vec![col("year").eq(2024)])).unwrap();
    assert_eq!((scan.morsels().len(), scan.detail().as_str()), (2, "row groups 2 of 3"));
    let paths = table(&source, &request(&source, &["n", "file"], vec![col("n").eq(10)])).unwrap();
    assert!(paths.column(1).as_string::<i32>().value(0).ends_with("year=2024/k=c/part-0.parquet"));
    let coded = ScanRequest { dictionaries: vec![2], ..request(&source, &["k"], Vec::new()) };
    let (found, _) = batches(&*source.clone().scan(&coded).unwrap()).unwrap();
    assert!(found.iter().all(|batch| matches!(batch.column(0).data_type(), DataType::Dictionary(..))));
    assert_eq!(table(&source, &coded).unwrap().column(0).null_count(), 10);
}

#[test]
fn files_with_other_columns_and_types() {
    let dir = tempfile::tempdir().unwrap();
    let column =
        |name: &'static str, array: ArrayRef| RecordBatch::try_from_iter_with_nullable([(name, array, true)]).unwrap();
    write(
        &dir.path().join("1.parquet"),
        &column("a", Arc::new(Int32Array::from(vec![1, 2]))),
        WriterProperties::builder(),
    );
    write(
        &dir.path().join("2.parquet"),
        &column("b", Arc::new(StringArray::from(vec!["x"]))),
        WriterProperties::builder(),
    );
    let source = open(dir.path(), ParquetOptions::default()).unwrap();
    let whole = table(&source, &everything(&source)).unwrap();
    assert_eq!((whole.column(0).null_count(), whole.column(1).null_count()), (1, 2));
    let missing = request(&source, &["a"], vec![col("b").is_null(), col("a").gt(1)]);
    assert_eq!(table(&source, &missing).unwrap().num_rows(), 1);

    write(
        &dir.path().join("3.parquet"),
        &column("a", Arc::new(Float64Array::from(vec![1.5]))),
        WriterProperties::builder(),
    );
    let error = open(dir.path(), ParquetOptions::default()).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("column `a` is Int32 in ") && text.contains("1.parquet and Float64 in "), "{text}");
    assert_eq!(error.kind(), ErrorKind::Data);
    let wide = open(dir.path(), ParquetOptions { widen: true, ..ParquetOptions::default() }).unwrap();
    let found = table(&wide, &request(&wide, &["a"], vec![col("a").gt(1.2)])).unwrap();
    assert_eq!(found.column(0).as_primitive::<arrow::datatypes::Float64Type>().values().to_vec(), [2.0, 1.5]);
    write(
        &dir.path().join("4.parquet"),
        &column("a", Arc::new(StringArray::from(vec!["x"]))),
        WriterProperties::builder(),
    );
    let error = open(dir.path(), ParquetOptions { widen: true, ..ParquetOptions::default() }).unwrap_err();
    assert!(error.to_string().ends_with("no type holds both"), "{error}");
    let options = ParquetOptions { columns: Some(vec!["zebra".to_string()]), ..ParquetOptions::default() };
    let unknown = open(&dir.path().join("1.parquet"), options).unwrap_err();
    assert_eq!(unknown.to_string(), "column `zebra` not found; columns are a");
}

#[test]
fn rows_are_counted_without_reading() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    write(&path, &numbers(0..50_000), WriterProperties::builder().set_max_row_group_row_count(Some(20_000)));
    let source = open(&path, ParquetOptions::default()).unwrap();
    assert_eq!(source.rows(), Some(50_000));
    let scan = source.clone().scan(&ScanRequest::default()).unwrap();
    let (found, bytes) = batches(&*scan).unwrap();
    assert_eq!((found.iter().map(RecordBatch::num_rows).sum::<usize>(), bytes), (50_000, 0));
    assert!(found.iter().all(|batch| batch.num_columns() == 0 && batch.num_rows() <= 16 << 10));
    let empty = dir.path().join("empty.parquet");
    write(&empty, &numbers(0..0), WriterProperties::builder());
    let source = open(&empty, ParquetOptions::default()).unwrap();
    assert_eq!((source.rows(), source.partitions()), (Some(0), 1));
    assert_eq!(table(&source, &everything(&source)).unwrap().num_rows(), 0);
}

#[test]
fn only_what_is_needed_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let rows = 100_000_i64;
    // Numbers that do not compress, so that bytes are easily told.
    let mixed = |row: i64| row.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.cast_signed());
    let columns: [(&str, ArrayRef, bool); 3] = [
        ("n", Arc::new(Int64Array::from_iter_values(0..rows)), false),
        ("v", Arc::new(Int64Array::from_iter_values((0..rows).map(mixed))), false),
        ("w", Arc::new(Int64Array::from_iter_values((0..rows).map(mixed))), false),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(20_000))
        .set_data_page_row_count_limit(1_000)
        .set_write_batch_size(500)
        .set_dictionary_enabled(false);
    write(&path, &batch, properties);
    let source = open(&path, ParquetOptions::default()).unwrap();
    let one = request(&source, &["v"], vec![col("n").ge(45_500), col("n").lt(46_500)]);
    let scan = source.clone().scan(&one).unwrap();
    assert_eq!(scan.detail(), "row groups 1 of 5");
    let (found, bytes) = batches(&*scan).unwrap();
    let v: Vec<i64> = (45_500..46_500).map(mixed).collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].column(0).as_primitive::<arrow::datatypes::Int64Type>().values().to_vec(), v);
    // Two pages of two columns, and the indexes of these pages.
    let pages = 2 * 2 * 1_000 * 8;
    assert!(bytes > pages && bytes < pages + 6_000, "{bytes}");
    // One page of the values that are looked for in each of two row groups, and of another column the same.
    for (predicate, found_rows, groups) in [
        (col("n").is_in([45_500, 5_500, -7, 100_001]), 2, 2),
        (col("n").is_in((45_100..45_200).step_by(10)), 10, 1),
        (col("n").between(45_500, 45_600), 101, 1),
    ] {
        let scan = source.clone().scan(&request(&source, &["v"], vec![predicate.clone()])).unwrap();
        assert_eq!(scan.detail(), format!("row groups {groups} of 5"), "{predicate}");
        let (found, bytes) = batches(&*scan).unwrap();
        assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), found_rows, "{predicate}");
        let pages = groups * 2 * 1_000 * 8;
        assert!(bytes > pages && bytes < pages + groups * 6_000, "{predicate}: {bytes}");
    }
    for none in [col("n").is_in([-1, 100_000]), col("n").is_null(), col("n").is_in(Vec::<i64>::new())] {
        let scan = source.clone().scan(&request(&source, &["v"], vec![none.clone()])).unwrap();
        assert_eq!((scan.morsels().len(), scan.detail().as_str()), (0, "row groups 0 of 5"), "{none}");
    }
    // A whole column of one row group.
    let (_, bytes) =
        batches(&*source.clone().scan(&request(&source, &["v"], vec![col("n").ge(80_000)])).unwrap()).unwrap();
    assert!((320_000..340_000).contains(&bytes), "{bytes}");
    let (_, bytes) = batches(&*source.clone().scan(&request(&source, &["v"], Vec::new())).unwrap()).unwrap();
    assert!((800_000..820_000).contains(&bytes), "{bytes}");
}

#[test]
fn bloom_filters_leave_out_row_groups() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let columns: [(&str, ArrayRef, bool); 4] = [
        ("n", Arc::new(Int64Array::from_iter_values((0..1000).map(|row| row * 10))), true),
        ("t", Arc::new(StringArray::from_iter_values((0..1000).map(|row| format!("k{}", row * 10)))), true),
        ("u", Arc::new(UInt32Array::from_iter_values((0..1000).map(|row| u32::MAX - row * 10))), true),
        ("v", Arc::new(TimestampMicrosecondArray::from_iter_values((0..1000).map(|row| row * 10))), true),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    write(&path, &batch, WriterProperties::builder().set_bloom_filter_enabled(true));
    let source = open(&path, ParquetOptions::default()).unwrap();
    let stamp = |value: i64| -> Expr { lit(Value::Typed(Arc::new(TimestampMicrosecondArray::from(vec![value])))) };
    for (predicate, rows) in [
        (col("n").eq(500), 1),
        (col("t").eq("k500"), 1),
        (col("u").eq(i64::from(u32::MAX) - 500), 1),
        (col("v").eq(stamp(500)), 1),
        (col("n").is_in([505, 500, 507]), 1),
        (col("t").is_in(["k505", "k500"]), 1),
        (col("n").is_in([5, 1_005, 2_005]), 0),
        (col("t").is_in(["k505", "k506"]), 0),
        (col("u").is_in([i64::from(u32::MAX) - 505, 7]), 0),
        (col("n").eq(505), 0),
        (col("t").eq("k505"), 0),
        (col("u").eq(i64::from(u32::MAX) - 505), 0),
        (col("v").eq(stamp(505)), 0),
    ] {
        let scan = source.clone().scan(&request(&source, &["n", "t", "u", "v"], vec![predicate.clone()])).unwrap();
        let (found, bytes) = batches(&*scan).unwrap();
        assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), rows, "{predicate}");
        let chunk = 2_500;
        assert_eq!(bytes > 2 * chunk, rows > 0, "{predicate}: {bytes}");
    }
}

#[test]
fn dictionaries_stay_where_all_pages_are_coded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let texts = (0..3000).map(|row| if row < 1000 { format!("k{}", row % 7) } else { format!("{row:0>200}") });
    let t: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
    let n: ArrayRef = Arc::new(Int64Array::from_iter_values(0..3000));
    let batch = RecordBatch::try_from_iter_with_nullable([("n", n, true), ("t", t, true)]).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(1000))
        .set_dictionary_page_size_limit(2_000)
        .set_write_batch_size(50);
    write(&path, &batch, properties);
    let source = open(&path, ParquetOptions { batch_rows: 300, ..ParquetOptions::default() }).unwrap();
    let coded = ScanRequest { dictionaries: vec![1], ..everything(&source) };
    let (found, _) = batches(&*source.clone().scan(&coded).unwrap()).unwrap();
    let of = |batch: &RecordBatch| matches!(batch.column(1).data_type(), DataType::Dictionary(..));
    assert_eq!(found.iter().filter(|batch| of(batch)).map(RecordBatch::num_rows).sum::<usize>(), 1000);
    // All batches of a row group share one array of values.
    let values: Vec<ArrayRef> = found
        .iter()
        .filter(|batch| of(batch))
        .map(|batch| batch.column(1).as_any_dictionary().values().clone())
        .collect();
    assert!(values.len() > 3 && values.iter().all(|one| one.to_data().ptr_eq(&values[0].to_data())));
    assert_eq!(table(&source, &coded).unwrap().columns(), batch.columns());
    let filtered = ScanRequest { predicates: vec![col("n").lt(900), col("n").gt(3)], ..coded.clone() };
    let (found, _) = batches(&*source.clone().scan(&filtered).unwrap()).unwrap();
    let first = found[0].column(1).as_any_dictionary().values().to_data();
    assert!(found.iter().all(|batch| batch.column(1).as_any_dictionary().values().to_data().ptr_eq(&first)));
    let off = open(&path, ParquetOptions { dictionaries: false, ..ParquetOptions::default() }).unwrap();
    let (found, _) = batches(&*off.scan(&coded).unwrap()).unwrap();
    assert!(!found.iter().any(of));
}

#[test]
fn morsels_follow_from_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let rows = 200_000;
    for file in 0..4 {
        let path = dir.path().join(format!("{file}.parquet"));
        let properties =
            WriterProperties::builder().set_max_row_group_row_count(Some(1_000)).set_dictionary_enabled(false);
        write(&path, &numbers(0..rows), properties);
    }
    let options = ParquetOptions { partition_bytes: 1 << 20, ..ParquetOptions::default() };
    let source = open(dir.path(), options).unwrap();
    assert_eq!(source.partitions(), 7);
    let scan = source.clone().scan(&everything(&source)).unwrap();
    // Row groups of 8 kB are put together up to 128 KiB.
    assert!((50..=60).contains(&scan.morsels().len()), "{}", scan.morsels().len());
    assert!(scan.morsels().is_sorted_by_key(|morsel| morsel.partition));
    assert_eq!(scan.morsels().iter().filter_map(|morsel| morsel.rows).sum::<u64>(), 4 * rows as u64);

    // One row group of 40 MB is read in parts, cut where pages begin.
    let path = dir.path().join("large.parquet");
    let properties = WriterProperties::builder().set_max_row_group_row_count(None).set_dictionary_enabled(false);
    write(&path, &numbers(0..5_000_000), properties);
    let source = open(&path, ParquetOptions::default()).unwrap();
    let scan = source.clone().scan(&everything(&source)).unwrap();
    let parts: Vec<u64> = scan.morsels().iter().filter_map(|morsel| morsel.rows).collect();
    assert_eq!((parts.len(), parts.iter().sum::<u64>()), (3, 5_000_000));
    assert!(parts[..2].iter().all(|rows| rows % 20_000 == 0), "{parts:?}");
    let (found, bytes) = batches(&*scan).unwrap();
    let n: Vec<i64> = found
        .iter()
        .flat_map(|batch| batch.column(0).as_primitive::<arrow::datatypes::Int64Type>().values().to_vec())
        .collect();
    assert!(n.iter().copied().eq(0..5_000_000));
    let stored = std::fs::metadata(&path).unwrap().len();
    assert!(bytes < stored + stored / 20, "{bytes} of {stored}");
}

#[test]
fn what_changes_or_goes_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    write(&path, &numbers(0..100), WriterProperties::builder());
    let source = open(&path, ParquetOptions::default()).unwrap();
    write(&path, &numbers(0..101), WriterProperties::builder());
    let error = table(&source, &everything(&source)).unwrap_err();
    assert_eq!(error.to_string(), format!("{} was changed after it was opened: open it again", path.display()));
    std::fs::remove_file(&path).unwrap();
    let error = table(&source, &everything(&source)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().starts_with(&format!("cannot open {}", path.display())), "{error}");
    for (content, text) in [
        (&b""[..], "it has 0 bytes"),
        (b"PAR1 this is no Parquet file at all", "it does not end as one"),
        (b"PAR1\xff\xff\xff\x7fPAR1", "its footer has 2147483647 bytes, and the file 12"),
        (b"PAR1\x00\x00\x00\x00PARE", "is encrypted"),
    ] {
        std::fs::write(&path, content).unwrap();
        let error = open(&path, ParquetOptions::default()).unwrap_err();
        assert!(error.to_string().contains(text) && error.to_string().contains("a.parquet"), "{error}");
    }
}

/// A table of many types with `rows` rows, the values from a narrow range so that predicates meet them.
fn random_table(seeds: &[(u16, u16)], sorted: bool) -> RecordBatch {
    let mut seeds = seeds.to_vec();
    if sorted {
        seeds.sort_unstable();
    }
    let value = |row: usize| i64::from(seeds[row].0 % 50);
    let rows = seeds.len();
    let null = |row: usize, of: u16| (seeds[row].1 / of).is_multiple_of(7);
    let int = |row| (!null(row, 1)).then(|| value(row) - 10);
    let text = |row| (!null(row, 3)).then(|| format!("prefix-{:02}", value(row)));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("i", Arc::new(Int64Array::from_iter((0..rows).map(int)))),
        ("s", Arc::new(Int16Array::from_iter((0..rows).map(|row| int(row).map(|v| v as i16))))),
        ("u", Arc::new(UInt32Array::from_iter((0..rows).map(|row| int(row).map(|v| (v as u32).wrapping_mul(3)))))),
        ("f", Arc::new(Float64Array::from_iter((0..rows).map(|row| (!null(row, 5)).then(|| value(row) as f64 / 4.0))))),
        ("g", Arc::new(Float32Array::from_iter((0..rows).map(|row| int(row).map(|v| v as f32 * 0.1))))),
        ("t", Arc::new(StringArray::from_iter((0..rows).map(text)))),
        ("v", Arc::new(StringViewArray::from_iter((0..rows).map(text)))),
        ("b", Arc::new(BooleanArray::from_iter((0..rows).map(|row| (!null(row, 7)).then(|| value(row) > 25))))),
        ("d", Arc::new(Date32Array::from_iter((0..rows).map(|row| int(row).map(|v| v as i32))))),
        (
            "m",
            Arc::new(
                Decimal128Array::from_iter((0..rows).map(|row| int(row).map(i128::from)))
                    .with_precision_and_scale(20, 1)
                    .unwrap(),
            ),
        ),
        ("x", Arc::new(TimestampMicrosecondArray::from_iter((0..rows).map(int)).with_timezone("UTC"))),
        ("a", arrow::array::new_null_array(&DataType::Int64, rows)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn literal(name: &str, value: i64) -> Expr {
    let typed = |array: ArrayRef| lit(Value::Typed(array));
    match name {
        "f" | "g" => lit(value as f64 / 4.0),
        "t" => lit(format!("prefix-{value:02}")),
        "v" => typed(Arc::new(StringViewArray::from(vec![format!("prefix-{value:02}")]))),
        "b" => lit(value % 2 == 0),
        "d" => typed(Arc::new(Date32Array::from(vec![value as i32]))),
        "m" => typed(Arc::new(Decimal128Array::from(vec![i128::from(value)]).with_precision_and_scale(20, 1).unwrap())),
        "x" => typed(Arc::new(PrimitiveArray::<TimestampMicrosecondType>::from(vec![value]).with_timezone("UTC"))),
        _ => lit(value),
    }
}

fn comparison() -> impl Strategy<Value = Expr> {
    let names = prop::sample::select(vec!["i", "s", "u", "f", "g", "t", "v", "b", "d", "m", "x", "a"]);
    let ops = prop::sample::select(vec![
        BinaryOp::Eq,
        BinaryOp::NotEq,
        BinaryOp::Lt,
        BinaryOp::LtEq,
        BinaryOp::Gt,
        BinaryOp::GtEq,
    ]);
    let more = prop::collection::vec(-12_i64..52, 0..12);
    (names, ops, -12_i64..52, 0..9, more).prop_map(|(name, op, value, kind, more)| match kind {
        6 | 7 => {
            let value = |value: &i64| match &literal(name, *value) {
                Expr::Literal(value) => value.clone(),
                _ => Value::Null,
            };
            let mut values: Vec<Value> = more.iter().map(value).collect();
            match op {
                BinaryOp::Gt => values.push(Value::Null),
                // Of two types.
                BinaryOp::Lt if matches!(name, "i" | "s" | "u" | "f" | "g") => {
                    values.extend([Value::Int(3), Value::Float(4.5)]);
                }
                _ => {}
            }
            col(name).is_in(values)
        }
        8 if matches!(name, "t" | "v") => {
            let text = format!("prefix-{value:02}");
            col(name).str().starts_with(&text[..text.len() - more.len() % 4])
        }
        0 => col(name).is_null(),
        1 => col(name).is_not_null(),
        2 => Expr::Binary(Arc::new(literal(name, value)), op, Arc::new(col(name))),
        // An integer against a float, and the other way round.
        3 if matches!(name, "i" | "s" | "u") => {
            Expr::Binary(Arc::new(col(name)), op, Arc::new(lit(value as f64 + 0.5)))
        }
        3 if matches!(name, "f" | "g") => Expr::Binary(Arc::new(col(name)), op, Arc::new(lit(value / 4))),
        _ => Expr::Binary(Arc::new(col(name)), op, Arc::new(literal(name, value))),
    })
}

fn condition() -> impl Strategy<Value = Expr> {
    comparison().prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a & b),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a | b),
            inner.prop_map(|a| Expr::Unary(UnaryOp::Not, Arc::new(a))),
        ]
    })
}

#[derive(Clone, Debug)]
struct Shape {
    group: usize,
    page: usize,
    statistics: EnabledStatistics,
    bloom: bool,
    dictionary: bool,
    version: WriterVersion,
    truncate: Option<usize>,
}

fn shape() -> impl Strategy<Value = Shape> {
    let statistics =
        prop::sample::select(vec![EnabledStatistics::None, EnabledStatistics::Chunk, EnabledStatistics::Page]);
    let version = prop::sample::select(vec![WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0]);
    let truncate = prop::option::of(1_usize..9);
    (20_usize..200, 5_usize..60, statistics, any::<bool>(), any::<bool>(), version, truncate).prop_map(
        |(group, page, statistics, bloom, dictionary, version, truncate)| Shape {
            group,
            page,
            statistics,
            bloom,
            dictionary,
            version,
            truncate,
        },
    )
}

impl Shape {
    fn properties(&self) -> WriterPropertiesBuilder {
        WriterProperties::builder()
            .set_max_row_group_row_count(Some(self.group))
            .set_data_page_row_count_limit(self.page)
            .set_write_batch_size(self.page.min(7))
            .set_statistics_enabled(self.statistics)
            .set_bloom_filter_enabled(self.bloom)
            .set_dictionary_enabled(self.dictionary)
            .set_writer_version(self.version)
            .set_statistics_truncate_length(self.truncate)
            .set_column_index_truncate_length(self.truncate)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 300 } else { 3000 }))]

    #[test]
    fn pruned_and_filtered_is_what_a_full_read_filtered_is(
        seeds in prop::collection::vec(any::<(u16, u16)>(), 0..400),
        sorted in any::<bool>(),
        shape in shape(),
        predicates in prop::collection::vec(condition(), 1..4),
        columns in prop::sample::subsequence((0..12_usize).collect::<Vec<_>>(), 0..6),
        coded in any::<bool>(),
        batch_rows in 1_usize..100,
        partition_bytes in prop::sample::select(vec![500_u64, 3_000, 1 << 30]),
    ) {
        let whole = random_table(&seeds, sorted);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.parquet");
        write(&path, &whole, shape.properties());
        let source = open(&path, ParquetOptions { batch_rows, partition_bytes, ..ParquetOptions::default() }).unwrap();
        let asked = |column: &usize| predicates.iter().any(|one| one.columns().contains(whole.schema().field(*column).name().as_str()));
        let dictionaries: Vec<usize> = (0..12).filter(|column| coded && !asked(column)).collect();
        let all = ScanRequest { dictionaries: dictionaries.clone(), ..everything(&source) };
        let full = table(&source, &all).unwrap();
        prop_assert_eq!(full.columns(), whole.columns());
        let mut wanted = whole.clone();
        for predicate in &predicates {
            let program = Program::new(std::slice::from_ref(predicate), &wanted.schema()).unwrap();
            wanted = filter_record_batch(&wanted, &program.mask(&wanted).unwrap()).unwrap();
        }
        let wanted = wanted.project(&columns).unwrap();
        let request = ScanRequest { columns, predicates, dictionaries };
        let found = table(&source, &request).unwrap();
        prop_assert_eq!(found.num_rows(), wanted.num_rows());
        prop_assert_eq!(found.columns(), wanted.columns());
    }
}

#[test]
fn units_and_times_of_old_files_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let x: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![1, 2]).with_timezone("Europe/Berlin"));
    write(&path, &RecordBatch::try_from_iter([("x", x)]).unwrap(), WriterProperties::builder());
    let source = open(&path, ParquetOptions::default()).unwrap();
    let wanted = DataType::Timestamp(TimeUnit::Millisecond, Some("Europe/Berlin".into()));
    assert_eq!(source.schema().field(0).data_type(), &wanted);
}

/// Reads a file, which may be damaged, and looks for a value: what comes out is an error that names it, or rows.
fn attempt(path: &Path, errors: &mut usize) {
    let read = |source: Arc<ParquetSource>| {
        let all = ScanRequest { dictionaries: vec![5], ..everything(&source) };
        table(&source, &all)?;
        table(&source, &ScanRequest { predicates: vec![col("i").eq(5), col("s").ne(99)], ..all })
    };
    if let Err(error) = open(path, ParquetOptions::default()).and_then(read) {
        assert!(error.to_string().contains("x.parquet"), "{error}");
        assert!(matches!(error.kind(), ErrorKind::Data | ErrorKind::Io | ErrorKind::Unsupported), "{error:?}");
        *errors += 1;
    }
}

#[test]
fn damaged_files_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.parquet");
    let seeds: Vec<(u16, u16)> = (0..60_u16).map(|seed| (seed.wrapping_mul(7919), seed.wrapping_mul(104))).collect();
    let whole = random_table(&seeds, false);
    let (mut tries, mut errors) = (0, 0);
    for (version, bloom) in [(WriterVersion::PARQUET_1_0, true), (WriterVersion::PARQUET_2_0, false)] {
        let properties = WriterProperties::builder()
            .set_writer_version(version)
            .set_bloom_filter_enabled(bloom)
            .set_bloom_filter_max_ndv(10)
            .set_max_row_group_row_count(Some(40))
            .set_data_page_row_count_limit(20)
            .set_write_batch_size(10)
            .set_compression(parquet::basic::Compression::SNAPPY);
        write(&path, &whole, properties);
        let sound = std::fs::read(&path).unwrap();
        for length in (0..sound.len()).step_by(61) {
            replace(&path, &sound[..length]);
            attempt(&path, &mut errors);
            tries += 1;
        }
        assert_eq!(errors, tries);
        for at in (0..sound.len()).step_by(if cfg!(debug_assertions) { 23 } else { 1 }) {
            let mut broken = sound.clone();
            broken[at] ^= 1 << (at % 8);
            if at % 2 == 0 {
                broken[(at * 31 + 7) % sound.len()] ^= 0xff;
            }
            replace(&path, &broken);
            attempt(&path, &mut 0);
        }
        (tries, errors) = (0, 0);
    }
}

/// A new file: one that is emptied first waits for the disk.
fn replace(path: &Path, content: &[u8]) {
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, content).unwrap();
}
