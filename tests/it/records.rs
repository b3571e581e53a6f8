//! Rows as values of Rust: into tables, out of them, and mapped one by one.

use std::collections::BTreeMap;

use arrow::datatypes::{Field, Schema, TimeUnit};
use chunkwise::prelude::*;
use serde::{Deserialize, Serialize};

use crate::support::{AMPLE, EVERYWHERE};

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Level {
    Info,
    Error,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Place {
    x: f32,
    y: Option<f32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Log {
    id: u64,
    level: Level,
    message: String,
    code: Option<i16>,
    tags: Vec<String>,
    place: Place,
    flag: bool,
}

fn logs(count: u64) -> Vec<Log> {
    let log = |id: u64| Log {
        id,
        level: if id.is_multiple_of(3) { Level::Error } else { Level::Info },
        message: format!("m{id}é"),
        code: (!id.is_multiple_of(4)).then_some(id as i16),
        tags: (0..id % 3).map(|tag| format!("t{tag}")).collect(),
        place: Place { x: id as f32, y: id.is_multiple_of(2).then_some(0.5) },
        flag: id.is_multiple_of(5),
    };
    (0..count).map(log).collect()
}

#[test]
fn records_come_back_as_they_were() {
    let logs = logs(50_000);
    let df = dataframe::from_records(&logs);
    let schema = df.schema().unwrap();
    let types: Vec<String> =
        schema.fields().iter().map(|field| format!("{}: {}", field.name(), field.data_type())).collect();
    assert_eq!(
        types[..4],
        ["id: UInt64", "level: Dictionary(UInt32, Utf8)", "message: Utf8", "code: Int16"].map(String::from)
    );
    for on in EVERYWHERE {
        let (runtime, _) = on.runtime(AMPLE);
        let table = df.compute_on(&runtime).unwrap();
        assert!(table.to_records::<Log>().unwrap() == logs, "{on:?}");
        let errors = df.filter(col("level").cast(DataType::Utf8).eq("Error") & col("id").lt(10));
        let found: Bag<Log> = errors.to_bag();
        let found = found.compute_on(&runtime).unwrap();
        assert_eq!(found.iter().map(|log| log.id).collect::<Vec<_>>(), [0, 3, 6, 9]);
        let again = bag::from_vec(logs.clone(), 7).to_dataframe();
        assert_eq!(again.npartitions().unwrap(), 7);
        assert!(again.compute_on(&runtime).unwrap().to_records::<Log>().unwrap() == logs);
    }
}

#[test]
fn rows_are_mapped_one_by_one() {
    #[derive(Serialize, Deserialize)]
    struct Pair {
        b: i64,
        a: i64,
    }
    let df = dataframe::from_columns([("a", vec![1i64, 2, 3]), ("b", vec![10, 20, 30]), ("c", vec![0, 0, 0])]);
    let made = df.map_rows(|pair: Pair| Pair { b: pair.a * pair.b, a: -pair.a });
    assert_eq!(made.compute().unwrap().to_string(), " b   a\n--  --\n10  -1\n40  -2\n90  -3\n");
    // Only what is read is computed: the column `c` would fail.
    let wrong = df.with_column((col("c").cast(DataType::Int64) + i64::MAX + i64::MAX).alias("c"));
    assert_eq!(wrong.map_rows(|pair: Pair| (pair.a, pair.b)).compute().unwrap().num_rows(), 3);
    let sums = df.map_rows(|(a, b, c): (i64, i64, i64)| (a + b + c,));
    assert_eq!(sums.compute().unwrap().to_records::<(i64,)>().unwrap(), [(11,), (22,), (33,)]);
    let failing = df.try_map_rows(|pair: Pair| match pair.a {
        2 => Err(Error::new(ErrorKind::Data, "two is not wanted")),
        a => Ok((a,)),
    });
    let error = failing.compute().unwrap_err().to_string();
    assert!(error.contains("two is not wanted") && error.contains("in try_map_rows at tests/it/records.rs"), "{error}");
    let nulls = dataframe::from_columns([("a", vec![Some(1i64), None]), ("b", vec![Some(1), Some(2)])]);
    let error = nulls.map_rows(|pair: Pair| (pair.a,)).compute().unwrap_err().to_string();
    assert!(
        error.contains("row 1 of 2 rows in memory: no `") && error.contains("Pair`: column `a` is null"),
        "{error}"
    );
    let some = nulls.map_rows(|(a, b): (Option<i64>, i64)| (a.unwrap_or(-1) + b,));
    assert_eq!(some.compute().unwrap().to_records::<(i64,)>().unwrap(), [(2,), (1,)]);
    let missing = df.select(["a"]).map_rows(|pair: Pair| (pair.a,)).compute().unwrap_err().to_string();
    assert!(missing.contains("missing field `b`") || missing.contains(": no `"), "{missing}");
    let few = df.map_rows(|(a,): (i64,)| (a,)).compute().unwrap_err().to_string();
    assert!(few.contains("has 1 fields, and the table 3 columns: select as many"), "{few}");
}

#[test]
fn items_that_do_not_fit_are_named_by_their_place() {
    let fields = vec![Field::new("0", DataType::Int8, true), Field::new("1", DataType::Int8, true)];
    let items = bag::from_vec(vec![(1i64, 2i64), (300, 2)], 1);
    let error = items.to_dataframe_with(Schema::new(fields)).compute().unwrap_err();
    let wanted =
        "item 1 of partition 0: a `(i64, i64)` does not fit its columns: column `0`, a Int8: the number does not fit";
    assert_eq!((error.kind(), error.message()), (ErrorKind::Data, wanted));
}

#[test]
fn types_that_do_not_tell_their_columns() {
    #[derive(Clone, Serialize, Deserialize)]
    struct Loose {
        any: serde_json::Value,
    }
    let loose = [Loose { any: serde_json::json!(1) }];
    let error = dataframe::from_records(&loose).compute().unwrap_err().to_string();
    assert!(error.contains("are not clear") && error.contains("in from_records at"), "{error}");
    let schema = Schema::new(vec![Field::new("any", DataType::Int64, true)]);
    assert_eq!(dataframe::from_records_with(schema.clone(), &loose).compute().unwrap().to_string(), "any\n---\n  1\n");
    let wrong = [Loose { any: serde_json::json!("x") }];
    let error = dataframe::from_records_with(schema, &wrong).compute().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.message().contains("does not fit its columns"), "{error}");

    let time = DataType::Timestamp(TimeUnit::Microsecond, None);
    let schema = Schema::new(vec![Field::new("at", time, true)]);
    let rows = vec![BTreeMap::from([("at", "2024-01-02T03:04:05")])];
    let df = bag::from_vec(rows, 1).to_dataframe_with(schema);
    let hour = df.select([col("at").dt().hour()]).compute().unwrap();
    assert_eq!(hour.to_string(), "at\n--\n 3\n");
    let error = dataframe::from_records(&[1u8, 2]).compute().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Plan);
    assert_eq!(dataframe::from_records::<Log>(&[]).compute().unwrap().num_rows(), 0);
}

#[test]
fn delayed_parts_and_mapped_items_are_tables() {
    let schema = dataframe::from_columns([("n", vec![0i64])]).schema().unwrap();
    let part = |n: i64| {
        let own = schema.clone();
        delayed(move || {
            let array: arrow::array::ArrayRef = std::sync::Arc::new(arrow::array::Int64Array::from(vec![n, 10 * n]));
            Table::from_batch(arrow::array::RecordBatch::try_new(own.clone(), vec![array]).unwrap())
        })
    };
    let parts: Vec<_> = (1..5).map(part).collect();
    let df = DataFrame::from_delayed(schema.clone(), &parts);
    for on in EVERYWHERE {
        let (runtime, _) = on.runtime(AMPLE);
        let (sum, third) = runtime.run(|| compute((df.sum(), df.get_partition(2)))).unwrap();
        assert_eq!((sum.to_string(), third.to_string()), ("  n\n---\n110\n".into(), " n\n--\n 3\n30\n".into()));
        let mapped = dataframe::from_map(schema.clone(), vec![3i64, 4], |n| {
            dataframe::from_columns([("n", vec![*n, n + 1])]).compute()
        });
        assert_eq!(mapped.filter(col("n").gt(3)).count_rows().compute_on(&runtime).unwrap(), 3);
    }
    let other = dataframe::from_columns([("m", vec![1.0])]).to_delayed();
    let error = DataFrame::from_delayed(schema.clone(), [&parts[0], &other]).compute().unwrap_err().to_string();
    assert!(error.contains("(m: Float64)") && error.contains("(n: Int64) was declared"), "{error}");
    assert!(error.contains("from_delayed at"), "{error}");
    let none = DataFrame::from_delayed(schema.clone(), &[]);
    assert_eq!((none.npartitions().unwrap(), none.compute().unwrap().num_rows()), (0, 0));
    let failing = dataframe::from_map(schema, vec![1], |_| Err(Error::new(ErrorKind::Io, "gone")));
    let error = failing.compute().unwrap_err();
    assert!(error.kind() == ErrorKind::Io && error.to_string().contains("from_map at"), "{error}");
}
