//! Aggregation against a naive one.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::*;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use proptest::prelude::*;

use super::*;
use crate::error::ErrorKind;
use crate::expr::{AggregateFunction as F, col};
use crate::store::Budget;

/// A row: what its keys and its value are made of, and whether the condition is true.
type Row = (Option<u8>, Option<u8>, Option<i8>, bool);

/// The kinds of keys: each is an array made of small numbers.
const KINDS: usize = 9;

fn key(kind: usize, of: &[Option<u8>]) -> ArrayRef {
    let word = |n: &u8| format!("word {}", n % 7);
    match kind {
        0 => Arc::new(of.iter().map(|n| n.map(i64::from)).collect::<Int64Array>()),
        // Too far apart for a dense table.
        1 => Arc::new(of.iter().map(|n| n.map(|n| i64::from(n % 11) << 55)).collect::<Int64Array>()),
        2 => Arc::new(of.iter().map(|n| n.as_ref().map(word)).collect::<StringArray>()),
        // Text in a dictionary that has a null among its values, and one value twice.
        3 => {
            let values = StringArray::from(vec![Some("b"), None, Some("a"), Some(""), Some("b")]);
            let codes = of.iter().map(|n| n.map(|n| i32::from(n % 5))).collect::<Int32Array>();
            Arc::new(DictionaryArray::new(codes, Arc::new(values)))
        }
        4 => {
            let values = [f64::NAN, 0.0, -0.0, 1.5, -f64::NAN];
            Arc::new(of.iter().map(|n| n.map(|n| values[n as usize % 5])).collect::<Float64Array>())
        }
        5 => Arc::new(of.iter().map(|n| n.map(|n| n % 2 == 0)).collect::<BooleanArray>()),
        // By its row encoding.
        6 => {
            let values = of.iter().map(|n| n.map(|n| i128::from(n % 6)));
            Arc::new(values.collect::<Decimal128Array>().with_precision_and_scale(20, 2).unwrap())
        }
        // A dictionary of words of eight bytes, of another type than the column.
        7 => {
            let values = Int32Array::from(vec![Some(-3), Some(1 << 30), None]);
            let codes = of.iter().map(|n| n.map(|n| i32::from(n % 3))).collect::<Int32Array>();
            Arc::new(DictionaryArray::new(codes, Arc::new(values)))
        }
        _ => {
            let values = Decimal128Array::from(vec![Some(5), None]).with_precision_and_scale(20, 2).unwrap();
            let codes = of.iter().map(|n| n.map(|n| i32::from(n % 2))).collect::<Int32Array>();
            Arc::new(DictionaryArray::new(codes, Arc::new(values)))
        }
    }
}

/// The type of the column, whatever the layout.
fn key_type(kind: usize) -> DataType {
    match key(kind, &[]).data_type() {
        DataType::Dictionary(_, value) if **value == DataType::Int32 => DataType::Int64,
        DataType::Dictionary(_, value) => DataType::clone(value),
        other => other.clone(),
    }
}

fn cells(array: &dyn Array) -> Vec<String> {
    let options = FormatOptions::new().with_null("null");
    let shown = ArrayFormatter::try_new(array, &options).unwrap();
    (0..array.len()).map(|row| shown.value(row).to_string()).collect()
}

/// As groups show it: all NaN are one, and zero has no sign.
fn key_cell(text: String) -> String {
    match &*text {
        "-NaN" => "NaN".to_string(),
        "-0.0" => "0.0".to_string(),
        "" => "empty".to_string(),
        _ => text,
    }
}

fn functions() -> Vec<(F, bool)> {
    let all = [
        F::Size,
        F::Count,
        F::Sum,
        F::SumMin(2),
        F::Min,
        F::Max,
        F::First,
        F::Last,
        F::NUnique,
        F::List,
        F::TopK(3),
        F::BottomK(2),
    ];
    all.into_iter().flat_map(|function| [(function.clone(), false), (function, true)]).collect()
}

fn calls() -> Vec<AggregateCall> {
    let call = |(function, filtered): (F, bool)| {
        let args: Vec<(usize, DataType)> = if function == F::Size { Vec::new() } else { vec![(0, DataType::Int8)] };
        let types: Vec<DataType> = args.iter().map(|(_, of)| of.clone()).collect();
        let data_type = function.result_type(&types).unwrap();
        AggregateCall { function, args, filter: filtered.then_some(0), data_type, expr: col("v") }
    };
    functions().into_iter().map(call).collect()
}

/// What a function makes of the values of a group, as text.
fn naive(function: &F, values: &[Option<i8>]) -> String {
    let mut valid: Vec<i8> = values.iter().flatten().copied().collect();
    let shown = |value: Option<&i8>| value.map_or("null".to_string(), |value| value.to_string());
    let list = |values: Vec<Option<i8>>| {
        let cells: Vec<String> = values.iter().map(|value| value.map_or("null".into(), |v| v.to_string())).collect();
        format!("[{}]", cells.join(", "))
    };
    let sum = valid.iter().map(|v| i64::from(*v)).sum::<i64>().to_string();
    match function {
        F::Size => values.len().to_string(),
        F::Count => valid.len().to_string(),
        F::Sum => sum,
        F::SumMin(least) => {
            if valid.len() < *least as usize {
                "null".to_string()
            } else {
                sum
            }
        }
        F::Min => shown(valid.iter().min()),
        F::Max => shown(valid.iter().max()),
        F::First => shown(valid.first()),
        F::Last => shown(valid.last()),
        F::NUnique => {
            valid.sort_unstable();
            valid.dedup();
            valid.len().to_string()
        }
        F::List => list(values.to_vec()),
        F::TopK(k) => {
            valid.sort_unstable_by(|a, b| b.cmp(a));
            list(valid.into_iter().take(*k).map(Some).collect())
        }
        F::BottomK(k) => {
            valid.sort_unstable();
            list(valid.into_iter().take(*k).map(Some).collect())
        }
        other => panic!("no naive {other:?}"),
    }
}

/// The groups by way of tables: batches of a few rows, some to a morsel; morsels that are under way at the same time
/// and end in another order.
fn aggregate(kinds: &[usize], keep_nulls: bool, rows: &[Row], schedule: &[u8]) -> Vec<ArrayRef> {
    let types = kinds.iter().map(|kind| key_type(*kind)).collect();
    let aggregation = Arc::new(Aggregation::new(types, keep_nulls, &calls()).unwrap());
    let budget = Budget::new(1 << 30);
    let tables = GroupTables::new(aggregation, &budget).unwrap();
    let step = |at: usize| schedule.get(at % schedule.len().max(1)).copied().unwrap_or(0) as usize;
    let mut morsels: Vec<(u32, &[Row])> = Vec::new();
    let mut left = rows;
    while !left.is_empty() || morsels.is_empty() {
        let (now, rest) = left.split_at((1 + step(morsels.len()) % 9).min(left.len()));
        morsels.push((morsels.len() as u32, now));
        left = rest;
    }
    let mut open: Vec<(table::Worker<'_>, &[Row])> = Vec::new();
    for turn in 0.. {
        if open.len() < 3 && !morsels.is_empty() {
            let (number, own) = morsels.remove(step(turn) % morsels.len().min(4));
            open.push((tables.begin(number, &budget).unwrap(), own));
        }
        if open.is_empty() {
            break;
        }
        let at = step(turn + 1) % open.len();
        let (worker, own) = &mut open[at];
        let (now, rest) = own.split_at(own.len().min(3));
        let firsts: Vec<Option<u8>> = now.iter().map(|row| row.0).collect();
        let seconds: Vec<Option<u8>> = now.iter().map(|row| row.1).collect();
        let keys: Vec<ArrayRef> =
            kinds.iter().zip([&firsts, &seconds].into_iter().cycle()).map(|(kind, of)| key(*kind, of)).collect();
        let value: ArrayRef = Arc::new(now.iter().map(|row| row.2).collect::<Int8Array>());
        let filter: BooleanArray = now.iter().map(|row| Some(row.3)).collect();
        worker.add(&Columns { keys: &keys, values: &[value], filters: &[filter], rows: now.len() }).unwrap();
        *own = rest;
        if own.is_empty() {
            open.remove(at).0.finish().unwrap();
        }
    }
    let (arrays, held) = tables.finish().unwrap();
    let bytes: usize = arrays.iter().map(|array| array.get_array_memory_size()).sum();
    assert_eq!((held.bytes(), budget.held()), (held.bytes(), held.bytes()), "the tables are gone");
    // An array of a few values takes some hundred bytes whatever is in it.
    let least = (bytes as u64).saturating_sub(512 * arrays.len() as u64) / 4;
    assert!(budget.peak() >= least, "{} of {bytes}", budget.peak());
    drop((tables, held));
    assert_eq!(budget.held(), 0);
    arrays
}

fn check(kinds: &[usize], keep_nulls: bool, rows: &[Row], schedule: &[u8]) {
    let found = aggregate(kinds, keep_nulls, rows, schedule);
    let again = aggregate(kinds, keep_nulls, rows, &schedule.iter().rev().copied().chain([1, 5]).collect::<Vec<_>>());
    assert_eq!(found.len(), again.len());
    for (a, b) in found.iter().zip(&again) {
        assert_eq!(a.to_data(), b.to_data(), "the same on any schedule");
    }
    let firsts: Vec<Option<u8>> = rows.iter().map(|row| row.0).collect();
    let seconds: Vec<Option<u8>> = rows.iter().map(|row| row.1).collect();
    let texts = kinds.iter().zip([&firsts, &seconds].into_iter().cycle()).map(|(kind, of)| cells(&key(*kind, of)));
    let texts: Vec<Vec<String>> = texts.collect();
    let mut groups: HashMap<Vec<String>, Vec<&Row>> = HashMap::new();
    if kinds.is_empty() {
        groups.insert(Vec::new(), Vec::new());
    }
    for (at, row) in rows.iter().enumerate() {
        let key: Vec<String> = texts.iter().map(|column| key_cell(column[at].clone())).collect();
        if keep_nulls || !key.contains(&"null".to_string()) {
            groups.entry(key).or_default().push(row);
        }
    }
    let count = if kinds.is_empty() { 1 } else { found[0].len() };
    assert_eq!(count, groups.len());
    let cells: Vec<Vec<String>> = found.iter().map(|array| cells(array)).collect();
    for group in 0..count {
        let key: Vec<String> = cells[..kinds.len()].iter().map(|column| key_cell(column[group].clone())).collect();
        let own = groups.get(&key).unwrap_or_else(|| panic!("no group of {key:?}"));
        for ((function, filtered), column) in functions().iter().zip(&cells[kinds.len()..]) {
            let values: Vec<Option<i8>> = own.iter().filter(|row| row.3 || !filtered).map(|row| row.2).collect();
            assert_eq!(column[group], naive(function, &values), "{function:?} of {values:?} for {key:?}");
        }
    }
}

fn row() -> impl Strategy<Value = Row> {
    let number = proptest::option::weighted(0.9, 0..60u8);
    (number.clone(), number, proptest::option::weighted(0.8, any::<i8>()), any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn groups_are_those_of_a_hash_map(
        kinds in proptest::collection::vec(0..KINDS, 0..=2),
        keep_nulls in any::<bool>(),
        rows in proptest::collection::vec(row(), 0..120),
        schedule in proptest::collection::vec(any::<u8>(), 1..20),
    ) {
        check(&kinds, keep_nulls, &rows, &schedule);
    }
}

#[test]
fn many_keys_are_as_few() {
    let kinds: Vec<usize> = (0..KINDS).cycle().take(40).collect();
    let row = |n: u8| {
        let (first, second) = ((!n.is_multiple_of(9)).then_some(n % 5), (!n.is_multiple_of(7)).then_some(n / 70));
        (first, second, Some(n as i8), n.is_multiple_of(2))
    };
    let rows: Vec<Row> = (0..200).map(row).collect();
    for keep_nulls in [false, true] {
        check(&kinds, keep_nulls, &rows, &[3, 1, 7, 2]);
        check(&kinds, keep_nulls, &[], &[1]);
    }
}

#[test]
fn every_kind_of_key() {
    let rows: Vec<Row> =
        (0..200u8).map(|n| (Some(n), (n % 3 > 0).then_some(n / 7), Some(n as i8), n % 2 == 0)).collect();
    for kind in 0..KINDS {
        for keep_nulls in [false, true] {
            check(&[kind], keep_nulls, &rows, &[3, 1, 4, 1, 5]);
            check(&[kind, (kind + 4) % KINDS], keep_nulls, &rows, &[2, 7, 1, 8]);
        }
    }
}

/// One aggregate of one column without keys, of the batches of one morsel each.
fn whole(function: F, batches: &[ArrayRef]) -> Result<ArrayRef> {
    let of = batches[0].data_type().clone();
    let data_type = function.result_type(std::slice::from_ref(&of))?;
    let call = AggregateCall { function, args: vec![(0, of)], filter: None, data_type, expr: col("v") };
    let budget = Budget::new(1 << 30);
    let tables = GroupTables::new(Arc::new(Aggregation::new(Vec::new(), false, &[call])?), &budget)?;
    for (morsel, batch) in batches.iter().enumerate() {
        let mut worker = tables.begin(morsel as u32, &budget)?;
        let values = std::slice::from_ref(batch);
        worker.add(&Columns { keys: &[], values, filters: &[], rows: batch.len() })?;
        worker.finish()?;
    }
    tables.finish().map(|(arrays, _)| arrays[0].clone())
}

#[test]
fn lists_of_every_type_keep_its_values() {
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("b"), None, Some("a"), Some("c"), Some("")]));
    let cast = |array: &ArrayRef, to: &DataType| arrow::compute::cast(array, to).unwrap();
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), None, Some(f64::NAN), Some(-0.0), Some(0.0)]));
    let words: ArrayRef = Arc::new(Int64Array::from(vec![Some(3), None, Some(-7), Some(100), Some(3)]));
    let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let cases: Vec<(ArrayRef, &str, &str)> = vec![
        (texts.clone(), "[c, b]", "[, a]"),
        (cast(&texts, &DataType::LargeUtf8), "[c, b]", "[, a]"),
        (cast(&texts, &DataType::Utf8View), "[c, b]", "[, a]"),
        (cast(&texts, &DataType::Binary), "[63, 62]", "[, 61]"),
        (floats.clone(), "[NaN, 1.0]", "[-0.0, 0.0]"),
        (cast(&floats, &DataType::Float32), "[NaN, 1.0]", "[-0.0, 0.0]"),
        (cast(&floats, &DataType::Float16), "[NaN, 1]", "[-0, 0]"),
        (words.clone(), "[100, 3]", "[-7, 3]"),
        (cast(&words, &DataType::Int8), "[100, 3]", "[-7, 3]"),
        (cast(&words, &DataType::Decimal128(20, 1)), "[100.0, 3.0]", "[-7.0, 3.0]"),
        (
            cast(&cast(&words, &DataType::Int32), &DataType::Date32),
            "[1970-04-11, 1970-01-04]",
            "[1969-12-25, 1970-01-04]",
        ),
        (
            cast(&words, &micros),
            "[1970-01-01T00:00:00.000100Z, 1970-01-01T00:00:00.000003Z]",
            "[1969-12-31T23:59:59.999993Z, 1970-01-01T00:00:00.000003Z]",
        ),
        (
            Arc::new(UInt64Array::from(vec![Some(u64::MAX), None, Some(5)])),
            "[18446744073709551615, 5]",
            "[5, 18446744073709551615]",
        ),
        (Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])), "[true, false]", "[false, true]"),
        (Arc::new(NullArray::new(3)), "[]", "[]"),
    ];
    for (array, top, bottom) in cases {
        let of = array.data_type().clone();
        let parts = [array.slice(0, 2), array.slice(2, array.len() - 2), array.slice(0, 0)];
        let all = whole(F::List, &parts).unwrap();
        assert_eq!(all.data_type(), &DataType::new_list(of.clone(), true));
        assert_eq!(all.as_list::<i32>().value(0).to_data(), array.to_data(), "{of}");
        assert_eq!(cells(&whole(F::TopK(2), &parts).unwrap()), [top], "{of}");
        assert_eq!(cells(&whole(F::BottomK(2), &parts).unwrap()), [bottom], "{of}");
        assert_eq!(cells(&whole(F::TopK(0), &parts).unwrap()), ["[]"], "{of}");
        // More than there are: all that are not null.
        let valid = array.len() - array.logical_null_count();
        assert_eq!(whole(F::TopK(usize::MAX), &parts).unwrap().as_list::<i32>().value(0).len(), valid, "{of}");
    }
    let nested: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1), None]), None]));
    assert_eq!(
        whole(F::List, std::slice::from_ref(&nested)).unwrap().as_list::<i32>().value(0).to_data(),
        nested.to_data()
    );
    assert_eq!(whole(F::TopK(1), &[nested]).unwrap_err().kind(), ErrorKind::Plan);
}

#[test]
fn a_result_that_does_not_fit_is_an_error() {
    let call = |function: F| {
        let data_type = function.result_type(&[DataType::Int64]).unwrap();
        AggregateCall { function, args: vec![(0, DataType::Int64)], filter: None, data_type, expr: col("v") }
    };
    let budget = Budget::new(6 << 20);
    let calls: Vec<AggregateCall> = (1..20).map(|k| call(F::TopK(k))).collect();
    let aggregation = Aggregation::new(vec![DataType::Int64], false, &calls[..1]).unwrap();
    let tables = GroupTables::new(Arc::new(aggregation), &budget).unwrap();
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values((0..40_000).map(|n| n << 40)));
    let mut worker = tables.begin(0, &budget).unwrap();
    let (keys, values) = (std::slice::from_ref(&numbers), std::slice::from_ref(&numbers));
    worker.add(&Columns { keys, values, filters: &[], rows: numbers.len() }).unwrap();
    worker.finish().unwrap();
    // The tables fit, what is made of them does not fit beside them.
    let error = tables.finish().map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfMemory);
    assert!(error.message().ends_with("the groups do not fit; raise memory_limit"), "{error}");
    drop(tables);
    assert_eq!(budget.held(), 0);
}

/// A morsel may be of any size: what it takes is held as it grows, not when it is over.
#[test]
fn a_large_morsel_holds_what_it_takes_as_it_grows() {
    let call = |column: usize| AggregateCall {
        function: F::NUnique,
        args: vec![(column, DataType::Int64)],
        filter: None,
        data_type: DataType::Int64,
        expr: col("v"),
    };
    let numbers =
        |from: i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values((from..from + 4000).map(|n| n << 40))) };
    // Many batches of a column, and many columns of a batch.
    for columns in [1, 500] {
        let budget = Budget::new(4 << 20);
        let calls: Vec<AggregateCall> = (0..columns).map(call).collect();
        let tables = GroupTables::new(Arc::new(Aggregation::new(Vec::new(), false, &calls).unwrap()), &budget).unwrap();
        let mut worker = tables.begin(0, &budget).unwrap();
        let refused = (0..500 / columns as i64).find_map(|batch| {
            let values = vec![numbers(4000 * batch); columns];
            worker.add(&Columns { keys: &[], values: &values, filters: &[], rows: 4000 }).err()
        });
        let error = refused.unwrap();
        assert_eq!(error.kind(), ErrorKind::OutOfMemory);
        assert!(error.message().ends_with("the groups do not fit; raise memory_limit"), "{error}");
        assert!(budget.held() > 1 << 20, "{}", budget.held());
        drop(worker);
        drop(tables);
        assert_eq!(budget.held(), 0);
    }
}

#[test]
fn large_text_stays_large() {
    for of in [DataType::LargeUtf8, DataType::LargeBinary, DataType::Utf8View, DataType::BinaryView, DataType::Binary] {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("b"), None, Some("a"), Some("b")]));
        let texts = arrow::compute::cast(&texts, &of).unwrap();
        let aggregation = Aggregation::new(vec![of.clone()], true, &[]).unwrap();
        let tables = GroupTables::new(Arc::new(aggregation), &Budget::new(1 << 20)).unwrap();
        let mut worker = tables.begin(0, &Budget::new(1 << 20)).unwrap();
        let keys = std::slice::from_ref(&texts);
        worker.add(&Columns { keys, values: &[], filters: &[], rows: 4 }).unwrap();
        worker.finish().unwrap();
        let (arrays, _) = tables.finish().unwrap();
        let expected = arrow::compute::take(&texts, &UInt32Array::from(vec![2, 0, 1]), None).unwrap();
        assert_eq!(arrays[0].to_data(), expected.to_data(), "{of}");
    }
}

/// The code under a null may point nowhere.
#[test]
fn nulls_alone_need_no_dictionary() {
    use arrow::array::{DictionaryArray, Int32Array};
    let none: ArrayRef = Arc::new(arrow::array::StringArray::from(Vec::<&str>::new()));
    let codes = Int32Array::new(vec![0, 7].into(), Some(arrow::buffer::NullBuffer::new_null(2)));
    let codes: ArrayRef = Arc::new(DictionaryArray::new(codes, none));
    for keep_nulls in [false, true] {
        let mut table = keys::KeyTable::new(&[DataType::Utf8], keep_nulls).unwrap();
        let mut groups = Vec::new();
        table.groups(std::slice::from_ref(&codes), &mut groups).unwrap();
        assert_eq!(groups, if keep_nulls { [0, 0] } else { [NONE, NONE] });
        table.find(std::slice::from_ref(&codes), &mut groups).unwrap();
        assert_eq!(groups, if keep_nulls { [0, 0] } else { [NONE, NONE] });
    }
}
