//! Every Arrow type goes through scan, filter, group-by as a payload, the wire of spill files, and files.

use std::sync::Arc;

use arrow::array::Array;
use arrow::array::*;
use arrow::buffer::{Buffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::*;
use chunkwise::prelude::*;

fn cast_of(from: impl Array + 'static, to: DataType) -> ArrayRef {
    cast(&from, &to).unwrap()
}

/// An array of six values of each type, some of them null.
pub fn arrays() -> Vec<ArrayRef> {
    let ints = || Int64Array::from(vec![Some(0), None, Some(1), Some(2), Some(100), None]);
    let texts = || {
        StringArray::from(vec![Some("a"), Some(""), None, Some("日本"), Some("a longer text than twelve"), Some("a")])
    };
    let mut all: Vec<ArrayRef> = vec![Arc::new(NullArray::new(6)), Arc::new(ints()), Arc::new(texts())];
    all.push(Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), Some(true), None, Some(false)])));
    let numbers = [
        DataType::Int8,
        DataType::Int16,
        DataType::Int32,
        DataType::UInt8,
        DataType::UInt16,
        DataType::UInt32,
        DataType::UInt64,
        DataType::Float16,
        DataType::Float32,
        DataType::Float64,
        DataType::Decimal32(9, 2),
        DataType::Decimal64(18, 3),
        DataType::Decimal128(38, 10),
        DataType::Decimal256(76, 20),
        DataType::Date64,
        DataType::Time64(TimeUnit::Microsecond),
        DataType::Time64(TimeUnit::Nanosecond),
    ];
    all.extend(numbers.map(|of| cast_of(ints(), of)));
    let int32 = || cast_of(ints(), DataType::Int32);
    for of in [DataType::Date32, DataType::Time32(TimeUnit::Second), DataType::Time32(TimeUnit::Millisecond)] {
        all.push(cast(&int32(), &of).unwrap());
    }
    for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond] {
        all.push(cast_of(ints(), DataType::Timestamp(unit, None)));
        if cfg!(feature = "timezones") {
            all.push(cast_of(ints(), DataType::Timestamp(unit, Some("UTC".into()))));
        }
        all.push(cast_of(ints(), DataType::Timestamp(unit, Some("+02:00".into()))));
        all.push(cast_of(ints(), DataType::Duration(unit)));
    }
    for of in [
        DataType::LargeUtf8,
        DataType::Utf8View,
        DataType::Binary,
        DataType::LargeBinary,
        DataType::BinaryView,
        DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
        DataType::Dictionary(Box::new(DataType::UInt8), Box::new(DataType::Utf8)),
        DataType::RunEndEncoded(
            Arc::new(Field::new("run_ends", DataType::Int32, false)),
            Arc::new(Field::new("values", DataType::Utf8, true)),
        ),
    ] {
        all.push(cast_of(texts(), of));
    }
    let fixed = [Some(*b"abc"), None, Some(*b"\0\xff\x01"), Some(*b"xyz"), None, Some(*b"abc")];
    all.push(Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(fixed.into_iter(), 3).unwrap()));
    all.push(Arc::new(IntervalYearMonthArray::from(vec![Some(1), None, Some(-14), Some(0), None, Some(1)])));
    let day_time = |days, millis| Some(IntervalDayTime::new(days, millis));
    all.push(Arc::new(IntervalDayTimeArray::from(vec![
        day_time(1, 2),
        None,
        day_time(-1, 0),
        day_time(0, 0),
        None,
        day_time(1, 2),
    ])));
    let mixed = |months, days, nanos| Some(IntervalMonthDayNano::new(months, days, nanos));
    all.push(Arc::new(IntervalMonthDayNanoArray::from(vec![
        mixed(1, 2, 3),
        None,
        mixed(0, 0, -5),
        None,
        None,
        mixed(1, 2, 3),
    ])));
    let lists = || {
        ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
            Some(vec![Some(1), None]),
            None,
            Some(vec![]),
            Some(vec![Some(3)]),
            Some(vec![None]),
            Some(vec![Some(1), None]),
        ])
    };
    let item = Arc::new(Field::new("item", DataType::Int32, true));
    all.push(Arc::new(lists()));
    all.push(cast_of(lists(), DataType::LargeList(item.clone())));
    let pairs = (0..6).map(|at| (at % 3 != 1).then(|| vec![Some(at), None]));
    all.push(Arc::new(FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(pairs, 2)));
    all.push(Arc::new(StructArray::new(
        vec![Field::new("x", DataType::Int64, true), Field::new("y", DataType::Utf8, true)].into(),
        vec![Arc::new(ints()), Arc::new(texts())],
        Some(vec![true, true, false, true, true, false].into()),
    )));
    let entries = StructArray::from(vec![
        (
            Arc::new(Field::new("key", DataType::Utf8, false)),
            Arc::new(StringArray::from(vec!["a", "b", "c"])) as ArrayRef,
        ),
        (
            Arc::new(Field::new("value", DataType::Int32, true)),
            Arc::new(Int32Array::from(vec![Some(1), None, Some(3)])) as ArrayRef,
        ),
    ]);
    let entry = Arc::new(Field::new("entries", entries.data_type().clone(), false));
    let offsets = OffsetBuffer::from_lengths([2, 0, 0, 1, 0, 0]);
    let valid = vec![true, false, true, true, true, false];
    all.push(Arc::new(MapArray::new(entry, offsets, entries, Some(valid.into()), false)));
    let fields: UnionFields = [
        (0_i8, Arc::new(Field::new("int", DataType::Int64, true))),
        (1, Arc::new(Field::new("text", DataType::Utf8, true))),
    ]
    .into_iter()
    .collect();
    let children: Vec<ArrayRef> = vec![Arc::new(ints()), Arc::new(texts())];
    all.push(Arc::new(
        UnionArray::try_new(fields, Buffer::from_vec(vec![0_i8, 1, 0, 1, 1, 0]).into(), None, children).unwrap(),
    ));
    all
}

/// Six rows in two partitions, with a number beside the value.
fn frame(array: &ArrayRef) -> DataFrame {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..6));
    let batch = RecordBatch::try_from_iter_with_nullable([("n", numbers, true), ("v", array.clone(), true)]).unwrap();
    dataframe::from_batches(vec![batch.slice(0, 2), batch.slice(2, 4)], 2)
}

/// The values as text, whatever way they lie.
fn shown(table: &Table) -> Vec<String> {
    let array = table.array("v").unwrap();
    let options = arrow::util::display::FormatOptions::new().with_null("null");
    let format = arrow::util::display::ArrayFormatter::try_new(&array, &options).unwrap();
    (0..array.len()).map(|row| format.value(row).to_string()).collect()
}

/// Fails with all types for which something is wrong.
#[track_caller]
fn each_type(refused: &[&str], check: impl Fn(&ArrayRef) -> Result<(), String>) {
    let mut wrong = Vec::new();
    for array in arrays() {
        let name = array.data_type().to_string();
        let is_refused = refused.iter().any(|refused| name.starts_with(refused));
        match check(&array) {
            Err(text) if !is_refused => wrong.push(format!("{name}: {text}")),
            Ok(()) if is_refused => wrong.push(format!("{name} works, and is said to be refused")),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn compare(array: &ArrayRef, found: Table, rows: std::ops::Range<usize>) -> Result<(), String> {
    let expected = array.slice(rows.start, rows.len());
    let batch = RecordBatch::try_from_iter_with_nullable([("v", expected, true)]).unwrap();
    let expected = Table::from_batch(batch);
    let encoded = matches!(array.data_type(), DataType::Dictionary(..) | DataType::RunEndEncoded(..));
    if !encoded && found.schema().field_with_name("v").unwrap().data_type() != array.data_type() {
        return Err(format!("is {} afterwards", found.schema().field_with_name("v").unwrap().data_type()));
    }
    let (found, expected) = (shown(&found), shown(&expected));
    if found == expected { Ok(()) } else { Err(format!("{found:?} in place of {expected:?}")) }
}

#[test]
fn every_type_is_scanned_filtered_and_taken() {
    each_type(&[], |array| {
        let all = frame(array).compute().map_err(|error| error.to_string())?;
        compare(array, all, 0..6)?;
        let some = frame(array).filter(col("n").between(1, 4)).compute().map_err(|error| error.to_string())?;
        compare(array, some, 1..5)?;
        let last = frame(array).tail(3).compute().map_err(|error| error.to_string())?;
        compare(array, last, 3..6)?;
        let most = frame(array).nsmallest(2, ["n"]).compute().map_err(|error| error.to_string())?;
        compare(array, most, 0..2)?;
        let both = dataframe::concat([&frame(array), &frame(array).head(1)]).compute();
        let both = both.map_err(|error| error.to_string())?;
        if both.num_rows() == 7 { Ok(()) } else { Err("concat".to_string()) }
    });
}

#[test]
fn every_type_has_a_first_and_a_last_value() {
    each_type(&[], |array| {
        let made = frame(array).agg([col("v").first().alias("v")]).compute().map_err(|error| error.to_string())?;
        let first = (0..6).find(|row| !array.logical_nulls().is_some_and(|nulls| nulls.is_null(*row))).unwrap_or(0);
        compare(array, made, first..first + 1)?;
        let counted = frame(array).agg([col("v").count()]).compute().map_err(|error| error.to_string())?;
        let nulls = array.logical_nulls().map_or(0, |nulls| nulls.null_count()) as i64;
        let found = counted.column::<Int64Type>("v").unwrap().value(0);
        if found == 6 - nulls { Ok(()) } else { Err(format!("{found} counted")) }
    });
}

#[test]
#[cfg(feature = "parquet")]
fn every_type_goes_through_parquet() {
    // What Parquet has no place for.
    each_type(&["Interval(MonthDayNano)", "Union"], |array| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t");
        let error = |error: Error| error.to_string();
        frame(array).to_parquet(&path).write().map_err(error)?;
        let back = dataframe::read_parquet(path.to_str().unwrap()).open().map_err(error)?;
        compare(array, back.compute().map_err(error)?, 0..6)?;
        compare(array, back.filter(col("n").ge(3)).compute().map_err(error)?, 3..6)
    });
}

#[test]
fn every_type_goes_through_ipc() {
    each_type(&[], |array| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t");
        let error = |error: Error| error.to_string();
        frame(array).to_ipc(&path).write().map_err(error)?;
        let back = dataframe::read_ipc(path.to_str().unwrap()).open().map_err(error)?;
        compare(array, back.compute().map_err(error)?, 0..6)?;
        compare(array, back.filter(col("n").ge(3)).compute().map_err(error)?, 3..6)
    });
}

#[test]
fn what_text_can_hold_goes_through_csv_and_json() {
    for (of, csv, json) in [
        (DataType::Boolean, true, true),
        (DataType::Int8, true, true),
        (DataType::Int64, true, true),
        (DataType::UInt64, true, true),
        (DataType::Float32, true, true),
        (DataType::Float64, true, true),
        (DataType::Utf8, true, true),
        (DataType::Date32, true, true),
        (DataType::Timestamp(TimeUnit::Microsecond, None), true, true),
    ] {
        let array = arrays().into_iter().find(|array| *array.data_type() == of).expect("an array of the type");
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("c"), dir.path().join("j"));
        frame(&array).to_csv(&one).write().unwrap();
        frame(&array).to_json(&two).write().unwrap();
        if csv {
            let read = dataframe::read_csv(format!("{}/*.csv", one.display())).dtype("v", of.clone());
            compare(&array, read.open().unwrap().compute().unwrap(), 0..6)
                .unwrap_or_else(|text| panic!("CSV of {of}: {text}"));
        }
        if json {
            let read = dataframe::read_json(format!("{}/*.jsonl", two.display())).dtype("v", of.clone());
            compare(&array, read.open().unwrap().compute().unwrap(), 0..6)
                .unwrap_or_else(|text| panic!("JSON of {of}: {text}"));
        }
    }
}
