//! Functions of partitions that see their neighbours, and lists and structs that become rows and columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{Field, Int64Type, Schema, SchemaRef};
use chunkwise::prelude::*;

use crate::support::{AMPLE, EVERYWHERE, assert_nothing_held, noise};

/// Runs a check on all kinds of threads, with an ample and a small limit, optimized and not.
fn everywhere(small: u64, check: impl Fn(&Runtime, &str)) {
    for on in EVERYWHERE {
        for limit in [AMPLE, small] {
            for flag in [true, false] {
                let (_, disk) = on.runtime(limit);
                let builder = on.set(Runtime::builder().memory_limit(limit)).spill_dir("/spill").disk(disk);
                let passes = ["pipeline", "limits", "predicates", "columns", "merge", "simplify"];
                let builder =
                    passes.iter().fold(builder, |builder, pass| builder.set(&format!("optimize.{pass}"), flag));
                let runtime = builder.build().unwrap();
                let case = format!("{on:?}, limit {limit}, optimized {flag}");
                check(&runtime, &case);
                assert_nothing_held(&runtime, &case);
            }
        }
    }
}

fn column(table: &Table, name: &str) -> Vec<i64> {
    table.column::<Int64Type>(name).unwrap().values().to_vec()
}

fn numbers(names: &[&str]) -> SchemaRef {
    Arc::new(Schema::new(names.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect::<Vec<_>>()))
}

/// A sum over each row, those before and those behind it, in which places count.
fn windows(values: &[i64], before: usize, after: usize) -> Vec<i64> {
    let of = |row: usize| {
        let (first, end) = (row.saturating_sub(before), row.saturating_add(after).saturating_add(1).min(values.len()));
        (first..end).map(|at| values[at].wrapping_mul(at as i64 - row as i64 + 1000)).fold(0, i64::wrapping_add)
    };
    (0..values.len()).map(of).collect()
}

/// The value, what [`windows`] makes of it, and how many rows the function was given.
fn windowed(df: &DataFrame, before: usize, after: usize) -> DataFrame {
    let schema = numbers(&["v", "w", "given"]);
    let own = schema.clone();
    df.map_overlap(before, after, schema, move |t: Table| {
        let v = column(&t, "v");
        let (w, given) = (windows(&v, before, after), vec![v.len() as i64; v.len()]);
        let arrays = [v, w, given].map(|values| Arc::new(Int64Array::from(values)) as ArrayRef);
        Ok(Table::from_batch(RecordBatch::try_new(own.clone(), arrays.to_vec()).unwrap()))
    })
}

#[test]
fn rows_of_neighbours_stand_around_partitions() {
    let dir = tempfile::tempdir().unwrap();
    for seed in 0..4u64 {
        let count = if seed == 3 { 1 } else { 9 };
        let sizes: Vec<usize> =
            (0..count).map(|at| [0, 0, 1, 2, 3, 7, 40][noise(seed * 100 + at) as usize % 7]).collect();
        let values: Vec<i64> = (0..sizes.iter().sum()).map(|at: usize| noise(at as u64) as i64 % 1000).collect();
        // In memory, read again; in files of text, which wait.
        let mut rest = &values[..];
        let mut parts = Vec::new();
        for (at, size) in sizes.iter().enumerate() {
            let (own, left) = rest.split_at(*size);
            rest = left;
            parts.push(dataframe::from_columns([("v", own.to_vec())]));
            let lines: String = own.iter().map(|value| format!("{value}\n")).collect();
            std::fs::create_dir_all(dir.path().join(seed.to_string())).unwrap();
            std::fs::write(dir.path().join(format!("{seed}/{at}.csv")), format!("v\n{lines}")).unwrap();
        }
        let memory = dataframe::concat(&parts);
        assert_eq!(memory.npartitions().unwrap(), sizes.len());
        let text = dataframe::read_csv(dir.path().join(format!("{seed}/*.csv")).to_str().unwrap());
        let text = text.dtype("v", DataType::Int64).open().unwrap();
        let overlaps = [(0, 0), (1, 0), (0, 1), (3, 5), (50, 2), (usize::MAX, 10), (0, usize::MAX)];
        for (number, (before, after)) in overlaps.into_iter().enumerate() {
            // All of them would take minutes.
            let df = if (number + seed as usize).is_multiple_of(2) { &memory } else { &text };
            let mut first = 0;
            let given: Vec<i64> = sizes
                .iter()
                .flat_map(|size| {
                    let around = before.min(first) + after.min(values.len() - first - size);
                    first += size;
                    std::iter::repeat_n((size + around) as i64, *size)
                })
                .collect();
            let made = windowed(df, before, after);
            let wanted = if (before, after) == (0, 0) {
                values.iter().map(|v| v * 1000).collect()
            } else {
                windows(&values, before, after)
            };
            everywhere(1 << 20, |runtime, case| {
                let (table, kept) =
                    runtime.run(|| compute((&made, made.filter(col("v").gt(500)).select(["w"])))).unwrap();
                let case = format!("{sizes:?}, {before} and {after}, {case}");
                assert_eq!(column(&table, "v"), values, "{case}");
                assert_eq!(column(&table, "w"), wanted, "{case}");
                if std::ptr::eq(df, &memory) {
                    assert_eq!(column(&table, "given"), given, "{case}");
                }
                let picked: Vec<i64> = values.iter().zip(&wanted).filter(|(v, _)| **v > 500).map(|(_, w)| *w).collect();
                assert_eq!(column(&kept, "w"), picked, "{case}");
            });
        }
    }
}

#[test]
fn more_rows_than_memory_holds_have_neighbours() {
    let dir = tempfile::tempdir().unwrap();
    let values: Vec<i64> = (0..400_000).map(|at| noise(at) as i64 % 1000).collect();
    let df = dataframe::from_columns([("v", values.clone())]).repartition(32);
    df.to_csv(dir.path().join("csv")).write().unwrap();
    let text = dataframe::read_csv(&format!("{}/csv/*.csv", dir.path().display())).open().unwrap();
    let kept = text.persist().unwrap();
    let wanted = windows(&values, 20, 5).into_iter().fold(0, i64::wrapping_add);
    for df in [&df, &text, &kept] {
        let sum = windowed(df, 20, 5).agg([col("w").sum(), col("w").count().alias("rows")]);
        for on in EVERYWHERE {
            let (runtime, _) = on.runtime(2 << 20);
            let table = sum.compute_on(&runtime).unwrap();
            assert_eq!((column(&table, "w"), column(&table, "rows")), (vec![wanted], vec![400_000]), "{on:?}");
            assert!(!std::ptr::eq(df, &text) || runtime.last_report().spilled_bytes > 0, "{on:?}");
            assert_nothing_held(&runtime, "after windows");
        }
    }
}

#[test]
fn functions_of_neighbours_that_are_wrong() {
    let df = dataframe::from_columns([("v", (0..10i64).collect::<Vec<_>>())]).repartition(2);
    let schema = df.schema().unwrap();
    let says = |df: DataFrame, kind: ErrorKind, parts: &[&str]| {
        let error = df.compute().unwrap_err();
        let text = error.to_string();
        assert!(error.kind() == kind && parts.iter().all(|part| text.contains(part)), "{text}");
        assert!(text.contains("table_shapes.rs"), "{text}");
    };
    let cut = df.map_overlap(2, 1, schema.clone(), |t| Ok(Table::from_batch(t.batches()[0].slice(1, 2))));
    says(cut, ErrorKind::Task, &["the function gave 2 rows of 6", "in map_overlap at "]);
    let other = df.map_overlap(2, 1, numbers(&["w"]), Ok);
    says(other, ErrorKind::Task, &["the function gave (v: Int64), and (w: Int64) was declared", "in map_overlap at "]);
    let fails = df.map_overlap(0, 1, schema.clone(), |_| Err(Error::new(ErrorKind::Task, "out of luck")));
    says(fails, ErrorKind::Task, &["out of luck", "in map_overlap at "]);
    let any = df.group_by(["v"]).unordered().agg([col("v").sum().alias("v_sum")]).select(["v"]);
    says(any.map_overlap(1, 0, schema.clone(), Ok), ErrorKind::Plan, &["which `.unordered()` waived"]);
    assert_eq!(any.map_overlap(0, 0, schema.clone(), Ok).compute().unwrap().num_rows(), 10);
    // The same rows again; nothing is handed on without need.
    assert_eq!(
        df.map_overlap(3, 3, schema.clone(), Ok).compute().unwrap(),
        df.map_partitions(schema.clone(), Ok).compute().unwrap()
    );
    let notes = |before, after| {
        let text = df.filter(col("v").gt(2)).map_overlap(before, after, schema.clone(), Ok).explain().unwrap();
        let (_, notes) = text.split_once("tables, as they run:\n").unwrap();
        notes.lines().next().unwrap().to_string()
    };
    assert_eq!(
        notes(0, 0),
        "map partitions with 0 rows before them and 0 behind  [holds a partition, at most about 40 B, twice]"
    );
    assert!(notes(1, 0).ends_with("twice; the last rows of each are handed on]"), "{}", notes(1, 0));
    assert!(
        notes(0, 1).ends_with("twice; rows behind each are found first, and all wait in pieces that spill]"),
        "{}",
        notes(0, 1)
    );
    let memory = dataframe::from_columns([("v", vec![1i64])]).map_overlap(0, 1, schema, Ok).explain().unwrap();
    assert!(memory.contains("rows behind each are found first, and read twice]"), "{memory}");
}
