//! The promise about the process, for tables: what a run over files adds to its resident memory stays within the limit and a fixed
//! allowance, however much larger than the limit the files are.
//!
//! Each configuration runs in a process of its own, this test again, so that nothing that ran before counts. In optimized builds,
//! or with `MEMORY_TEST_FULL=1`, the data are 5 GiB and the limit is 256 MiB.

#![cfg(all(target_os = "linux", feature = "parquet"))]

mod resident;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use chunkwise::prelude::*;
use chunkwise::runtime::config::Scheduler;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use resident::{MIB, growth, in_a_child, is_full, noise, promised};

/// Says to the test that it is the child, and what it is to do.
const CASE: &str = "TABLE_MEMORY_TEST_CASE";

fn by_size(full: u64, small: u64) -> u64 {
    if is_full() { full } else { small }
}

/// Rows of a batch at most.
const BATCH_ROWS: u64 = 16 << 10;

/// How many times as much is made of rows that become many more.
fn times() -> u64 {
    by_size(100, 40)
}

/// A file of three columns of noise with 24 bytes in a row, and so many names for it.
fn data(directory: &Path, rows: u64, names: u64) {
    let first = directory.join("part.0.parquet");
    let properties = WriterProperties::builder()
        .set_compression(Compression::UNCOMPRESSED)
        .set_dictionary_enabled(false)
        // Read and written whole, a row group has to fit.
        .set_max_row_group_row_count(Some(by_size(1 << 20, 1 << 16) as usize))
        .build();
    let batch = |start: u64, len: u64| {
        let place = || start..start + len;
        let n: ArrayRef = Arc::new(Int64Array::from_iter_values(place().map(|at| (noise(at) >> 20) as i64)));
        let a: ArrayRef = Arc::new(Float64Array::from_iter_values(place().map(|at| (noise(at ^ 1) >> 40) as f64)));
        let b: ArrayRef = Arc::new(Float64Array::from_iter_values(place().map(|at| noise(at ^ 2) as f64)));
        RecordBatch::try_from_iter([("n", n), ("a", a), ("b", b)]).unwrap()
    };
    let file = std::fs::File::create(&first).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch(0, 1).schema(), Some(properties)).unwrap();
    for start in (0..rows).step_by(1 << 16) {
        writer.write(&batch(start, (rows - start).min(1 << 16))).unwrap();
    }
    writer.close().unwrap();
    for name in 1..names {
        std::fs::hard_link(&first, directory.join(format!("part.{name}.parquet"))).unwrap();
    }
}

/// What the child does with the data; gives a number that does not depend on threads.
fn work(what: &str, from: &Path, to: &Path, runtime: &Runtime) -> u64 {
    let df = dataframe::read_parquet(from.to_str().unwrap()).open().unwrap();
    match what {
        "convert" => {
            let derived = df.filter((col("n") % 3).ne(0)).with_column((col("a") * 2.0 + col("n")).alias("c"));
            derived.to_parquet(to).compute_on(runtime).unwrap().rows
        }
        "text" => {
            df.filter((col("n") % 3).ne(0)).to_csv(to.join("all.csv")).single_file().compute_on(runtime).unwrap().rows
        }
        "once" => {
            // Rows that wait in pieces, and are read again beside a table that is held.
            let keyed = df.with_column((col("n") % 1000).alias("key"));
            let kept = keyed.drop_duplicates(["key"], dataframe::Keep::Last);
            let sums = kept.agg([col("a").sum(), size().alias("rows")]).compute_on(runtime).unwrap();
            assert_eq!(sums.column::<Int64Type>("rows").unwrap().value(0), 1000);
            sums.column::<Float64Type>("a").unwrap().value(0).to_bits()
        }
        // Thousands of bytes are made of each row.
        "enlarge" => {
            let long = col("n").cast(DataType::Utf8).str().repeat(1000);
            let sums = df.agg([long.clone().str().len_bytes().sum().alias("bytes"), long.max().str().len_bytes()]);
            sums.compute_on(runtime).unwrap().column::<Int64Type>("bytes").unwrap().value(0) as u64
        }
        "enlarge_write" => {
            let long = df.with_column(col("n").cast(DataType::Utf8).str().repeat(1000).alias("long"));
            let few = long.filter(col("long").str().ends_with("7"));
            few.to_csv(to.join("all.csv")).single_file().compute_on(runtime).unwrap().rows
        }
        // Nobody knows how many rows come of a morsel.
        "multiply" => {
            let times = times() as usize;
            let schema = df.schema().unwrap();
            let more = df.map_batches(schema, move |batch| {
                let parts = vec![&batch; times];
                Ok(arrow::compute::concat_batches(batch.schema_ref(), parts)?)
            });
            let (csv, ipc) = (to.join("all.csv"), to.join("all.arrow"));
            let rows = more.to_ipc(ipc).single_file().compute_on(runtime).unwrap().rows;
            rows + more.filter((col("n") % 3).ne(0)).to_csv(csv).single_file().compute_on(runtime).unwrap().rows
        }
        "keys" => {
            let keys = by_size(100_000, 2_000) as i64;
            let derived = df.with_column((col("n") % keys).alias("key")).drop(["b"]);
            let written = derived.to_ipc(to).partition_by(["key"]).compute_on(runtime).unwrap();
            assert_eq!(written.files.len() as i64, keys);
            written.rows
        }
        _ => {
            let sums = df.agg([col("a").sum(), col("n").max()]).compute_on(runtime).unwrap();
            let sum = sums.column::<Float64Type>("a").unwrap().value(0).to_bits();
            sum ^ sums.column::<Int64Type>("n").unwrap().value(0) as u64
        }
    }
}

/// A table in memory of so many columns of numbers and rows.
fn wide(columns: u64, rows: u64) -> DataFrame {
    let column = |at: u64| {
        let values: ArrayRef =
            Arc::new(Int64Array::from_iter_values((0..rows).map(|row| (noise(at << 20 | row) >> 40) as i64)));
        (format!("c{at}"), values)
    };
    dataframe::from_batches(vec![RecordBatch::try_from_iter((0..columns).map(column)).unwrap()], 1)
}

/// What the child does with a wide table; gives the rows that come of it.
fn work_wide(what: &str, df: &DataFrame, to: &Path, runtime: &Runtime) -> chunkwise::Result<u64> {
    let all = || df.schema().unwrap().fields().iter().map(|field| field.name().clone()).collect::<Vec<String>>();
    let rows = |table: chunkwise::dataframe::Table| table.num_rows() as u64;
    match what {
        "to_parquet" => Ok(df.to_parquet(to).compute_on(runtime)?.rows),
        "to_csv" => Ok(df.to_csv(to).compute_on(runtime)?.rows),
        "to_json" => Ok(df.to_json(to).compute_on(runtime)?.rows),
        "to_ipc" => Ok(df.to_ipc(to).compute_on(runtime)?.rows),
        "drop_duplicates" => df.drop_duplicates(all(), dataframe::Keep::First).count_rows().compute_on(runtime),
        "unique" => df.unique(all()).count_rows().compute_on(runtime),
        "group_by" => df.group_by(["c0"]).sum().compute_on(runtime).map(rows),
        "sum" => df.sum().compute_on(runtime).map(rows),
        "max" => df.max().compute_on(runtime).map(rows),
        "nlargest" => df.nlargest(5, ["c1"]).compute_on(runtime).map(rows),
        "describe" => df.describe().compute_on(runtime).map(rows),
        "head" => df.head(5).compute_on(runtime).map(rows),
        // Whatever becomes of a long text.
        "lengths" => {
            let lengths = df.agg([col("t").str().len_bytes().max().alias("most"), size().alias("rows")]);
            let lengths = lengths.compute_on(runtime)?;
            Ok(lengths.column::<Int64Type>("most")?.value(0) as u64)
        }
        "concat" => dataframe::concat([df, &df.filter(col("c0").gt(0))]).head(5).compute_on(runtime).map(rows),
        _ => unreachable!("{what}"),
    }
}

#[test]
fn child() {
    let Ok(case) = std::env::var(CASE) else { return };
    let words: Vec<&str> = case.split(' ').collect();
    if words[0] == "wide" {
        let (threads, limit) = (words[2].parse().unwrap(), words[3].parse::<u64>().unwrap());
        let runtime = Runtime::builder().memory_limit(limit).threads(threads).build().unwrap();
        let (from, to) = (words[4], Path::new(words[5]));
        let df = match from.rsplit('.').next() {
            Some("parquet") => dataframe::read_parquet(from).open().unwrap(),
            Some("csv" | "gz") if from.contains("csv") => dataframe::read_csv(from).open().unwrap(),
            Some("jsonl" | "gz") => dataframe::read_json(from).open().unwrap(),
            Some("arrow") => dataframe::read_ipc(from).open().unwrap(),
            _ => {
                let (columns, rows) = from.split_once('x').unwrap();
                wide(columns.parse().unwrap(), rows.parse().unwrap())
            }
        };
        let begun = Instant::now();
        let (made, growth) = growth(|| work_wide(words[1], &df, to, &runtime));
        let made = match made {
            Ok(rows) => rows.to_string(),
            Err(error) => format!("{:?}_{}", error.kind(), error.to_string().replace([' ', '\n'], "_")),
        };
        println!("result {growth} {made} {:.1?}", begun.elapsed());
        return;
    }
    let (what, threads, limit) = (words[0], words[1].parse().unwrap(), words[2].parse::<u64>().unwrap());
    let builder = Runtime::builder().memory_limit(limit);
    let runtime = match threads {
        0 => builder.scheduler(Scheduler::Synchronous),
        _ => builder.threads(threads),
    };
    let runtime = runtime.build().unwrap();
    let begun = Instant::now();
    let (made, growth) = growth(|| work(what, Path::new(words[3]), Path::new(words[4]), &runtime));
    assert_eq!(runtime.memory_held(), 0);
    println!("result {growth} {made} {:.1?}", begun.elapsed());
}

fn check(what: &str, rows: u64, names: u64, limit: u64) {
    if std::env::var_os(CASE).is_some() {
        return;
    }
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let from: PathBuf = dir.path().join("from");
    std::fs::create_dir(&from).unwrap();
    data(&from, rows, names);
    let all: &[u64] = if is_full() { &[0, 1, 2, 8] } else { &[0, 2] };
    let mut results = Vec::new();
    for threads in all {
        let to = dir.path().join("to");
        let case = format!("{what} {threads} {limit} {} {}", from.display(), to.display());
        let fields = in_a_child(CASE, &case);
        let growth: u64 = fields[0].parse().unwrap();
        println!("{what}, {threads} threads: grew by {} MiB in {}", growth / MIB, fields[2]);
        // What the function of batches makes of one is its own.
        let own = if what == "multiply" { threads.max(&1) * BATCH_ROWS * 24 * times() } else { 0 };
        let allowed = promised(limit, *threads) + own;
        assert!(
            growth <= allowed,
            "{what}, {threads} threads: grew by {} MiB, {} are allowed",
            growth / MIB,
            allowed / MIB
        );
        results.push(fields[1].clone());
        if to.exists() {
            std::fs::remove_dir_all(&to).unwrap();
        }
    }
    results.dedup();
    assert_eq!(results.len(), 1, "{what}: the same results on any number of threads");
}

#[test]
fn scan_filter_derive_and_write() {
    // 5 GiB under 256 MiB, or 128 MiB under 16.
    check("convert", by_size(2_796_202, 349_525), by_size(80, 16), by_size(256, 16) * MIB);
}

#[test]
fn rows_that_wait_to_be_looked_up() {
    check("once", by_size(2_796_202, 349_525), by_size(20, 16), by_size(128, 32) * MIB);
}

#[test]
fn texts_that_are_much_longer_than_what_they_are_made_of() {
    check("enlarge", by_size(20_000, 5_000), by_size(20, 8), by_size(64, 16) * MIB);
}

#[test]
fn rows_that_become_many_more() {
    check("multiply", by_size(200_000, 20_000), by_size(8, 4), by_size(64, 16) * MIB);
}

#[test]
fn writing_of_texts_that_are_much_longer_than_what_they_are_made_of() {
    check("enlarge_write", by_size(20_000, 5_000), by_size(20, 8), by_size(64, 16) * MIB);
}

#[test]
fn text_of_many_rows() {
    check("text", by_size(2_796_202, 349_525), by_size(20, 8), by_size(256, 16) * MIB);
}

#[test]
fn many_small_files() {
    check("sum", 100, by_size(10_000, 2_000), by_size(256, 32) * MIB);
}

#[test]
fn many_keys() {
    check("keys", by_size(2_796_202, 20_000), by_size(8, 4), by_size(256, 64) * MIB);
}

/// What became of a run over a table or a file under a limit, in a process of its own: the promise is kept whatever it was.
fn outcome(what: &str, limit: u64, from: &str) -> String {
    let threads = 2;
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let case = format!("wide {what} {threads} {limit} {from} {}", dir.path().join("to").display());
    let fields = in_a_child(CASE, &case);
    let (growth, allowed) = (fields[0].parse::<u64>().unwrap(), promised(limit, threads));
    let (grown, most) = (growth / MIB, allowed / MIB);
    println!("{what} of {from}: grew by {grown} MiB of {most} in {}: {}", fields[2], fields[1]);
    assert!(growth <= allowed, "{what} of {from}: grew by {grown} MiB, {most} are allowed: {}", fields[1]);
    fields[1].clone()
}

#[test]
fn tables_of_thousands_of_columns() {
    if std::env::var_os(CASE).is_some() {
        return;
    }
    let from = &format!("{}x60", by_size(10_000, 3_000));
    for what in ["to_parquet", "to_csv", "to_json", "to_ipc", "unique", "group_by", "nlargest", "head", "describe"] {
        let rows = match what {
            "nlargest" | "head" | "describe" => 5,
            _ => 60,
        };
        let small = outcome(what, 4 * MIB, from);
        let is_refused = small.starts_with("LimitTooSmall_") || small.starts_with("OutOfMemory_");
        assert!(is_refused || small == rows.to_string(), "{what}: {small}");
        assert!(!is_refused || small.contains("raise_memory_limit"), "{what}: {small}");
        assert_eq!(outcome(what, 256 * MIB, from), rows.to_string(), "{what}");
    }
    // It is known before anything runs.
    let writing = outcome("to_parquet", 4 * MIB, from);
    assert!(writing.starts_with("LimitTooSmall_`to_parquet`_needs_"), "{writing}");
}

#[test]
fn files_of_thousands_of_columns() {
    if std::env::var_os(CASE).is_some() {
        return;
    }
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (columns, rows) = (by_size(10_000, 3_000), by_size(1000, 60));
    let df = wide(columns, rows);
    let runtime = Runtime::builder().threads(2).memory_limit(1024 * MIB).build().unwrap();
    for name in ["a.parquet", "groups.parquet", "a.csv", "a.jsonl", "a.arrow"] {
        let path = dir.path().join(name);
        match name {
            // The footer has a part for each column of each row group.
            "groups.parquet" => many_groups(columns, rows, &path),
            "a.parquet" => drop(df.to_parquet(&path).single_file().compute_on(&runtime).unwrap()),
            "a.csv" => drop(df.to_csv(&path).single_file().compute_on(&runtime).unwrap()),
            "a.jsonl" => drop(df.to_json(&path).single_file().compute_on(&runtime).unwrap()),
            _ => drop(df.to_ipc(&path).single_file().compute_on(&runtime).unwrap()),
        };
        for (what, rows) in [("max", "1"), ("describe", "5")] {
            for limit in [4, 64] {
                let small = outcome(what, limit * MIB, path.to_str().unwrap());
                let is_refused = small.starts_with("LimitTooSmall_") || small.starts_with("OutOfMemory_");
                assert!(is_refused || small == rows, "{name}: {small}");
            }
            assert_eq!(outcome(what, 256 * MIB, path.to_str().unwrap()), rows, "{name}");
        }
    }
}

/// A file as other writers make it: ten row groups of many columns.
fn many_groups(columns: u64, rows: u64, path: &Path) {
    let column = |at: u64| {
        let values: ArrayRef =
            Arc::new(Int64Array::from_iter_values((0..rows).map(|row| noise(at << 20 | row) as i64)));
        (format!("c{at}"), values)
    };
    let batch = RecordBatch::try_from_iter((0..columns).map(column)).unwrap();
    let groups = WriterProperties::builder().set_max_row_group_row_count(Some(rows.div_ceil(10) as usize)).build();
    let mut writer = ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), Some(groups)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[cfg(feature = "gzip")]
#[test]
fn a_long_text_in_one_line() {
    use std::io::Write;
    if std::env::var_os(CASE).is_some() {
        return;
    }
    const LONG: usize = 12 << 20;
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let text = |before: &str, row: &dyn Fn(&str) -> String| {
        let mut text = before.to_string();
        for at in 0..2000 {
            text += &row(&if at == 1000 { "x".repeat(LONG) } else { format!("short {at}") });
        }
        text
    };
    let csv = text("n,t\n", &|long| format!("1,\"{long}\"\n"));
    let json = text("", &|long| format!("{{\"n\":1,\"t\":\"{long}\"}}\n"));
    for (name, text, line) in [("a.csv", &csv, 1002), ("a.jsonl", &json, 1001)] {
        let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zipped.write_all(text.as_bytes()).unwrap();
        for (name, bytes) in
            [(name.to_string(), text.clone().into_bytes()), (format!("{name}.gz"), zipped.finish().unwrap())]
        {
            let path = dir.path().join(&name);
            std::fs::write(&path, bytes).unwrap();
            let path = path.to_str().unwrap();
            let refused = outcome("lengths", 16 * MIB, path);
            let place = format!("{path},_line_{line}:_a_");
            assert!(refused.starts_with("OutOfMemory_") && refused.contains(&place), "{name}: {refused}");
            assert!(refused.contains("_to_be_read:") && refused.contains("raise_memory_limit"), "{name}: {refused}");
            assert_eq!(outcome("lengths", 96 * MIB, path), LONG.to_string(), "{name}");
        }
    }
}
