//! Tables to files: which files there are, what is in them, and that they appear whole or not at all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::{Int64Type, Schema};
use chunkwise::dataframe::{CsvWriteOptions, IfExists, IntoArray, Writer};
use chunkwise::prelude::*;

use crate::gate::Gate;
use crate::support::On;

/// All files below a directory with their bytes, hidden ones too.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut open = vec![directory.to_path_buf()];
    while let Some(path) = open.pop() {
        for entry in std::fs::read_dir(&path).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false => {
                    drop(all.insert(path.strip_prefix(directory).unwrap().to_path_buf(), std::fs::read(&path).unwrap()))
                }
            }
        }
    }
    all
}

fn names(directory: &Path) -> Vec<String> {
    files(directory).into_keys().map(|path| path.to_str().unwrap().to_string()).collect()
}

/// Rows 0 to `len` in partitions, with a key of seven values.
fn rows(len: i64, partitions: usize) -> DataFrame {
    let n: ArrayRef = Arc::new(Int64Array::from_iter_values(0..len));
    let k: ArrayRef = Arc::new(StringArray::from_iter_values((0..len).map(|at| format!("k{}", at % 7))));
    dataframe::from_batches(vec![RecordBatch::try_from_iter([("n", n), ("k", k)]).unwrap()], partitions)
}

fn numbers(table: &Table) -> Vec<i64> {
    table.column::<Int64Type>("n").unwrap().iter().map(Option::unwrap).collect()
}

/// A writer of each format, and how it is read again.
type Format = (&'static str, fn(&DataFrame, &Path) -> Writer, fn(&str) -> Result<DataFrame>);

fn formats() -> Vec<Format> {
    vec![
        #[cfg(feature = "parquet")]
        ("parquet", |df, path| df.to_parquet(path), |path| dataframe::read_parquet(path).open()),
        ("arrow", |df, path| df.to_ipc(path), |path| dataframe::read_ipc(path).open()),
        (
            "csv",
            |df, path| df.to_csv(path),
            |path| dataframe::read_csv(path).dtype("n", DataType::Int64).dtype("k", DataType::Utf8).open(),
        ),
        (
            "jsonl",
            |df, path| df.to_json(path),
            |path| dataframe::read_json(path).dtype("n", DataType::Int64).dtype("k", DataType::Utf8).open(),
        ),
    ]
}

#[test]
fn one_file_or_one_for_each_partition() {
    for (ending, write, read) in formats() {
        for on in [On::Synchronous, On::Threads(8)] {
            let (runtime, _) = on.runtime(1 << 30);
            let dir = tempfile::tempdir().unwrap();
            let many = dir.path().join("many");
            let written = write(&rows(1000, 3), &many).compute_on(&runtime).unwrap();
            let expected: Vec<PathBuf> = (0..3).map(|at| many.join(format!("part.{at}.{ending}"))).collect();
            assert_eq!((written.files, written.rows), (expected, 1000), "{ending}");
            let bytes: u64 = files(&many).values().map(|bytes| bytes.len() as u64).sum();
            assert_eq!(written.bytes, bytes, "{ending}");
            let back = read(many.to_str().unwrap()).unwrap().compute_on(&runtime).unwrap();
            assert_eq!(numbers(&back), (0..1000).collect::<Vec<_>>(), "{ending}");

            let single = dir.path().join(format!("single.{ending}"));
            let written = write(&rows(1000, 3), &single).single_file().compute_on(&runtime).unwrap();
            assert_eq!((written.files, written.rows), (vec![single.clone()], 1000), "{ending}");
            let back = read(single.to_str().unwrap()).unwrap().compute_on(&runtime).unwrap();
            assert_eq!(numbers(&back), (0..1000).collect::<Vec<_>>(), "{ending}");
            assert_eq!(back.texts("k").unwrap().value(8), "k1");
            // Nothing lies beside them.
            assert_eq!(names(dir.path()).len(), 4, "{ending}");
        }
    }
}

#[test]
fn the_same_bytes_on_any_threads() {
    for (ending, write, _) in formats() {
        let mut known: Option<BTreeMap<PathBuf, Vec<u8>>> = None;
        for on in [On::Synchronous, On::Threads(2), On::Threads(8)] {
            let (runtime, _) = on.runtime(1 << 30);
            let dir = tempfile::tempdir().unwrap();
            let df = rows(5000, 5).filter((col("n") % 3).ne(1));
            write(&df, &dir.path().join("many")).compute_on(&runtime).unwrap();
            write(&df, &dir.path().join("single")).single_file().compute_on(&runtime).unwrap();
            write(&df, &dir.path().join("keys")).partition_by(["k"]).compute_on(&runtime).unwrap();
            let found = files(dir.path());
            assert!(found.len() == 5 + 1 + 7, "{ending}: {:?}", found.keys());
            let known = known.get_or_insert_with(|| found.clone());
            assert!(*known == found, "{ending}: other bytes on {on:?}");
        }
    }
}

#[test]
fn tables_without_rows_keep_their_columns() {
    for (ending, write, read) in formats().into_iter().filter(|(ending, ..)| *ending != "jsonl") {
        let dir = tempfile::tempdir().unwrap();
        for (name, none) in [("filtered", rows(100, 4).filter(col("n").lt(0))), ("empty", rows(0, 1))] {
            let (many, single) = (dir.path().join(name), dir.path().join(format!("{name}.{ending}")));
            assert_eq!(write(&none, &many).write().unwrap().rows, 0);
            assert_eq!(write(&none, &single).single_file().write().unwrap().rows, 0);
            for path in [many, single] {
                let back = read(path.to_str().unwrap()).unwrap_or_else(|error| panic!("{ending}: {error}"));
                assert_eq!(back.columns().unwrap(), ["n", "k"], "{ending}");
                assert_eq!(back.count_rows().compute().unwrap(), 0, "{ending}");
            }
            let appended = dir.path().join(format!("{name} appended"));
            write(&none, &appended).append().write().unwrap();
            let back = read(appended.to_str().unwrap()).unwrap_or_else(|error| panic!("{ending}, appended: {error}"));
            assert_eq!(back.columns().unwrap(), ["n", "k"], "{ending}");
        }
    }
}

#[test]
fn tables_without_rows_have_no_keys_but_columns() {
    for (ending, write, read) in formats().into_iter().filter(|(ending, ..)| *ending != "jsonl") {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("set");
        let none = rows(100, 4).filter(col("n").lt(0));
        let written = write(&none, &path).partition_by(["k"]).write().unwrap();
        assert_eq!((written.rows, written.files), (0, vec![path.join(format!("part.0.{ending}"))]), "{ending}");
        let open = || read(path.to_str().unwrap()).unwrap_or_else(|error| panic!("{ending}: {error}"));
        let types = |df: DataFrame| -> Vec<(String, DataType)> {
            let schema = df.schema().unwrap();
            schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
        };
        assert_eq!(types(open()), types(rows(1, 1)), "{ending}");
        assert_eq!(open().count_rows().compute().unwrap(), 0, "{ending}");
        // Nothing put beside something is no file more.
        write(&rows(7, 1), &path).partition_by(["k"]).append().write().unwrap();
        let written = write(&none, &path).partition_by(["k"]).append().write().unwrap();
        assert_eq!((written.files.len(), names(&path).len()), (0, 8), "{ending}");
        let back = open().nsmallest(10, ["n"]).compute().unwrap();
        let keys = back.texts("k").unwrap();
        let keys: Vec<Option<&str>> = keys.iter().collect();
        assert_eq!(keys, ["k0", "k1", "k2", "k3", "k4", "k5", "k6"].map(Some), "{ending}");
        write(&none, &path).partition_by(["k"]).write().unwrap();
        assert_eq!(names(&path).len(), 1, "{ending}");
    }
}

#[test]
fn the_name_of_null_is_no_key() {
    for (ending, write, _) in formats() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("set");
        let n = vec![1_i64, 2].into_array();
        let k = vec![Some("a"), Some("__HIVE_DEFAULT_PARTITION__")].into_array();
        let df = dataframe::from_columns([("n", n), ("k", k)]);
        let error = write(&df, &path).partition_by(["k"]).write().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data, "{ending}: {error}");
        let text = "column `k`: the text `__HIVE_DEFAULT_PARTITION__` names the directory of null";
        assert!(error.to_string().contains(text), "{ending}: {error}");
        assert_eq!(names(dir.path()).len(), 0, "{ending}");
        let columns = [("n", vec![1_i64, 2].into_array()), ("k", vec![Some("a"), None].into_array())];
        let null = dataframe::from_columns(columns);
        assert_eq!(write(&null, &path).partition_by(["k"]).write().unwrap().files.len(), 2, "{ending}");
    }
}

#[test]
fn what_a_writer_needs_is_said() {
    for (ending, write, _) in formats() {
        let dir = tempfile::tempdir().unwrap();
        // One morsel of some MiB.
        let df = rows(400_000, 1);
        for writer in [write(&df, &dir.path().join("a")), write(&df, &dir.path().join("a")).partition_by(["k"])] {
            let runtime = Runtime::builder().threads(1).memory_limit("256 KiB").build().unwrap();
            let error = writer.compute_on(&runtime).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::LimitTooSmall, "{ending}: {error}");
            assert!(error.to_string().contains("to start and the memory limit is 256 KiB"), "{ending}: {error}");
            assert_eq!(names(dir.path()).len(), 0, "{ending}");
            let runtime = Runtime::builder().threads(1).memory_limit("8 MiB").build().unwrap();
            assert_eq!(writer.compute_on(&runtime).unwrap().rows, 400_000, "{ending}");
            std::fs::remove_dir_all(dir.path().join("a")).unwrap();
        }
    }
}

#[test]
fn progress_of_a_writer() {
    for (_, write, _) in formats() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = Runtime::builder().threads(2).build().unwrap();
        let gate = Gate::default();
        let own = gate.clone();
        let df = rows(1000, 20).map_batches(rows(1, 1).schema().unwrap(), move |batch| {
            if batch.column(0).as_primitive::<Int64Type>().value(0) >= 500 {
                own.pass();
            }
            Ok(batch)
        });
        let run = write(&df, &dir.path().join("set")).start_on(&runtime);
        gate.wait_for(2);
        let before = run.progress();
        assert!(before.tasks > 20, "{before:?}");
        // At least what stands before the two that wait.
        assert!((9..20).contains(&before.done), "{before:?}");
        gate.open();
        while run.progress().done < before.tasks {
            std::thread::yield_now();
        }
        assert_eq!(run.wait().unwrap().rows, 1000);
    }
}

#[test]
#[cfg(feature = "parquet")]
fn a_partition_without_rows_left_by_pruning() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("a"), dir.path().join("b"));
    rows(1000, 4).to_parquet(&first).write().unwrap();
    let read = || dataframe::read_parquet(first.to_str().unwrap()).partition_bytes(4_000).open().unwrap();
    // By their statistics no row group has such rows.
    let written = read().filter(col("n").gt(10_000)).to_parquet(&second).write().unwrap();
    assert_eq!((written.rows, written.files.len()), (0, 1));
    assert_eq!(dataframe::read_parquet(second.to_str().unwrap()).open().unwrap().columns().unwrap(), ["n", "k"]);
    let written = read().filter(col("n").gt(990)).to_parquet(&second).write().unwrap();
    assert_eq!(written.rows, 9);
    assert_eq!(names(&second).len(), written.files.len());
}

#[test]
fn appended_files_are_numbered_on() {
    for (ending, write, read) in formats() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("set");
        write(&rows(10, 2), &path).append().write().unwrap();
        let before = files(&path);
        let written = write(&rows(20, 3), &path).append().write().unwrap();
        let expected: Vec<PathBuf> = (2..5).map(|at| path.join(format!("part.{at}.{ending}"))).collect();
        assert_eq!((written.files, written.rows), (expected, 20));
        let after = files(&path);
        assert_eq!(after.len(), 5);
        assert!(before.iter().all(|(path, bytes)| after[path] == *bytes), "{ending}: old files changed");
        let back = read(path.to_str().unwrap()).unwrap().compute().unwrap();
        assert_eq!(numbers(&back), (0..10).chain(0..20).collect::<Vec<_>>());

        // Rows that cannot be written change nothing.
        let failing =
            rows(20, 3).with_column((lit(1_000) - col("n")).cast(DataType::Int8).cast(DataType::Int64).alias("n"));
        let error = write(&failing, &path).append().write().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data, "{error}");
        assert!(files(dir.path()).len() == 5 && files(&path) == after, "{ending}");
    }
}

#[test]
fn of_two_appends_at_once_one_is_an_error() {
    for (ending, write, read) in formats() {
        for before in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("set");
            if before {
                write(&rows(10, 2), &path).write().unwrap();
            }
            let old = if before { 2 } else { 0 };
            let gate = Gate::default();
            let slow = |len| {
                let own = gate.clone();
                rows(len, 1).map_batches(rows(1, 1).schema().unwrap(), move |batch| {
                    own.pass();
                    Ok(batch)
                })
            };
            let (one, two) = (write(&slow(3), &path).append(), write(&slow(4), &path).append());
            let runtime = Runtime::builder().threads(2).build().unwrap();
            let results = std::thread::scope(|scope| {
                let both = [scope.spawn(|| one.compute_on(&runtime)), scope.spawn(|| two.compute_on(&runtime))];
                gate.wait_for(2);
                gate.open();
                both.map(|run| run.join().unwrap())
            });
            assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{ending}: {results:?}");
            let error = results.into_iter().find_map(Result::err).unwrap();
            assert_eq!(error.kind(), ErrorKind::Data, "{ending}: {error}");
            let text = "meanwhile: nothing was changed, write again";
            assert!(error.to_string().contains(text), "{ending}: {error}");
            // What was there, and the file of the one that was first.
            assert_eq!(names(&path).len(), old + 1, "{ending}");
            let back = numbers(&read(path.to_str().unwrap()).unwrap().compute().unwrap());
            let old: Vec<i64> = (0..if before { 10 } else { 0 }).collect();
            let either = [3, 4].map(|len| [old.clone(), (0..len).collect()].concat());
            assert!(either.contains(&back), "{ending}: {back:?}");
            assert_eq!(names(dir.path()).len(), names(&path).len(), "{ending}");
        }
    }
}

#[test]
fn what_is_replaced_is_gone() {
    for (_, write, read) in formats() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("set");
        write(&rows(10, 5), &path).write().unwrap();
        write(&rows(10, 5), &path).partition_by(["k"]).write().unwrap();
        assert_eq!(names(&path).len(), 7);
        let written = write(&rows(3, 2), &path).write().unwrap();
        assert_eq!((names(&path).len(), written.files.len()), (2, 2));
        assert_eq!(numbers(&read(path.to_str().unwrap()).unwrap().compute().unwrap()), [0, 1, 2]);
        // From where it is written to.
        for _ in 0..3 {
            let own = read(path.to_str().unwrap()).unwrap();
            write(&own.filter(col("n").ge(1)), &path).write().unwrap();
            assert_eq!(numbers(&read(path.to_str().unwrap()).unwrap().compute().unwrap()), [1, 2]);
            write(&rows(3, 2), &path).write().unwrap();
        }
    }
}

#[test]
fn what_is_not_to_be_replaced_stays() {
    let (_, write, _) = formats()[0];
    let dir = tempfile::tempdir().unwrap();
    let refuse = |writer: Writer, text: &str| {
        let before = files(dir.path());
        let error = writer.write().unwrap_err();
        assert!(error.kind() == ErrorKind::Plan && error.to_string().contains(text), "{error}");
        assert!(files(dir.path()) == before, "{text}");
    };
    let path = dir.path().join("set");
    write(&rows(3, 1), &path).if_exists(IfExists::Fail).write().unwrap();
    refuse(write(&rows(3, 1), &path).if_exists(IfExists::Fail), "is there already");
    refuse(write(&rows(3, 1), &path).single_file(), "is no file, and a single file is to be written");
    let single = dir.path().join("single");
    write(&rows(3, 1), &single).single_file().write().unwrap();
    refuse(write(&rows(3, 1), &single), "is a file, and a directory is to be written");
    refuse(write(&rows(3, 1), &single).single_file().append(), "only a directory can be appended to");
    for foreign in ["notes.txt", "k=1/photo.jpg", "sub/part.0.parquet"] {
        let file = path.join(foreign);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "mine").unwrap();
        refuse(write(&rows(3, 1), &path), "which is no part of a data set: write to a directory of its own");
        refuse(write(&rows(3, 1), &path).append(), "which is no part of a data set");
        std::fs::remove_file(&file).unwrap();
        let _ = std::fs::remove_dir(file.parent().unwrap());
    }
    write(&rows(3, 1), &path).write().unwrap();
    refuse(write(&rows(3, 1), Path::new("/")), "is no name of a file or directory");
    refuse(write(&rows(3, 1), &dir.path().join("new")).partition_by(["n", "k"]), "leaves at least one for the files");
    refuse(write(&rows(3, 1), &dir.path().join("new")).partition_by(["kk"]), "did you mean `k`?");
    refuse(
        write(&rows(3, 1), &dir.path().join("new")).csv_options(Default::default()),
        "`csv_options` is no option of",
    );
}

#[test]
fn failures_leave_the_target_as_it_was() {
    for (ending, write, _) in formats() {
        for on in [On::Synchronous, On::Threads(8)] {
            let (runtime, _) = on.runtime(1 << 30);
            let dir = tempfile::tempdir().unwrap();
            let (many, single) = (dir.path().join("many"), dir.path().join("single"));
            write(&rows(50, 5), &many).write().unwrap();
            write(&rows(50, 5), &single).single_file().write().unwrap();
            let before = files(dir.path());
            let schema = rows(1, 1).schema().unwrap();
            let panics = rows(5000, 50).map_batches(schema, |batch| {
                assert!(batch.column(0).as_primitive::<Int64Type>().values()[0] < 3000, "no more");
                Ok(batch)
            });
            let overflows = rows(5000, 50).with_column((col("n") * (i64::MAX / 4000)).alias("n"));
            for (df, kind) in [(panics, ErrorKind::Panic), (overflows, ErrorKind::Data)] {
                for writer in
                    [write(&df, &many), write(&df, &single).single_file(), write(&df, &many).partition_by(["k"])]
                {
                    let error = writer.compute_on(&runtime).unwrap_err();
                    assert_eq!(error.kind(), kind, "{ending}: {error}");
                    assert!(files(dir.path()) == before, "{ending}: {:?}", names(dir.path()));
                }
            }
            write(&rows(5, 1), &many).compute_on(&runtime).unwrap();
            assert_eq!(names(&many).len(), 1);
        }
    }
}

#[test]
fn a_cancelled_run_leaves_the_target_as_it_was() {
    let (_, write, _) = formats()[0];
    for by_key in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("set");
        write(&rows(50, 5), &path).write().unwrap();
        let before = files(dir.path());
        let runtime = Runtime::builder().threads(2).build().unwrap();
        let gate = Gate::default();
        let own = gate.clone();
        let df = rows(1000, 20).map_batches(rows(1, 1).schema().unwrap(), move |batch| {
            own.pass();
            Ok(batch)
        });
        let writer = if by_key { write(&df, &path).partition_by(["k"]) } else { write(&df, &path) };
        let run = writer.start_on(&runtime);
        let stop = run.canceller();
        gate.wait_for(2);
        stop.cancel();
        gate.open();
        assert_eq!(run.wait().unwrap_err().kind(), ErrorKind::Cancelled);
        assert!(files(dir.path()) == before, "{:?}", names(dir.path()));
    }
}

#[test]
fn places_that_cannot_be_written_to() {
    let (_, write, _) = formats()[0];
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    for target in [file.join("set"), file.join("deep/set"), dir.path().join("x".repeat(300))] {
        for writer in [write(&rows(3, 1), &target), write(&rows(3, 1), &target).single_file()] {
            let error = writer.write().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        }
    }
    assert_eq!(names(dir.path()), ["file"]);
    // A disk without room, where there is such a device.
    #[cfg(target_os = "linux")]
    if std::fs::symlink_metadata("/dev/full").is_ok() {
        let link = dir.path().join("full");
        std::os::unix::fs::symlink("/dev/full", &link).unwrap();
        let error = write(&rows(3, 1), &link).single_file().write().unwrap_err();
        assert!(error.to_string().contains("is no file"), "{error}");
    }
}

/// So many different keys, each with several rows that do not stand together.
fn many_keys(keys: i64, limit: u64) {
    let len = 4 * keys;
    let scattered: Vec<i64> = (0..len).map(|at| (at * 7919) % keys).collect();
    let df = dataframe::from_columns([
        ("n", (0..len).collect::<Vec<i64>>().into_array()),
        ("k", scattered.clone().into_array()),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("set");
    let (runtime, _) = On::Threads(2).runtime(limit);
    let written = df.to_csv(&path).partition_by(["k"]).compute_on(&runtime).unwrap();
    assert_eq!((written.files.len() as i64, written.rows as i64), (keys, len));
    assert_eq!(runtime.memory_held(), 0);
    assert_eq!(std::fs::read_dir(&path).unwrap().count() as i64, keys);
    for key in [0, 1, keys / 2, keys - 1] {
        let text = std::fs::read_to_string(path.join(format!("k={key}/part.0.csv"))).unwrap();
        let expected = (0..len).filter(|at| scattered[*at as usize] == key).map(|at| format!("{at}\n"));
        assert_eq!(text, format!("n\n{}", expected.collect::<String>()), "key {key}");
    }
    // Nothing is left beside it, or in it.
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn two_thousand_keys() {
    many_keys(2_000, 64 << 20);
}

#[test]
fn twenty_thousand_keys_under_a_small_limit() {
    many_keys(20_000, 48 << 20);
}

#[test]
fn a_writer_and_an_aggregate_in_one_pass() {
    use std::sync::atomic::{AtomicU64, Ordering};
    let dir = tempfile::tempdir().unwrap();
    let calls = Arc::new(AtomicU64::new(0));
    let own = calls.clone();
    let df = rows(1000, 4).map_batches(rows(1, 1).schema().unwrap(), move |batch| {
        own.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        Ok(batch)
    });
    for (_, write, _) in formats() {
        calls.store(0, Ordering::Relaxed);
        let path = dir.path().join("set");
        let (written, table, count) =
            compute((write(&df, &path), df.agg([col("n").sum()]), df.filter(col("k").eq("k3")).count_rows())).unwrap();
        assert_eq!((written.rows, table.column::<Int64Type>("n").unwrap().value(0), count), (1000, 499_500, 143));
        assert_eq!(calls.load(Ordering::Relaxed), 1000, "the rows are made once");
        std::fs::remove_dir_all(&path).unwrap();
    }
}

#[test]
fn two_writers_to_one_place_do_not_mix() {
    let (_, write, read) = formats()[0];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("set");
    std::thread::scope(|scope| {
        for len in [300, 500] {
            let path = path.clone();
            scope.spawn(move || (0..10).for_each(|_| drop(write(&rows(len, 3), &path).write())));
        }
    });
    let count = read(path.to_str().unwrap()).unwrap().count_rows().compute().unwrap();
    assert!(count == 300 || count == 500, "{count}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "{:?}", names(dir.path()));
}

#[test]
fn options_that_do_not_fit_the_schema() {
    let dir = tempfile::tempdir().unwrap();
    let nested: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1)])]));
    let df = dataframe::from_columns([("v", nested)]);
    let error = df.to_csv(dir.path().join("x")).write().unwrap_err();
    assert!(error.kind() == ErrorKind::Plan && error.to_string().contains("which CSV cannot hold"), "{error}");
    let none = dataframe::from_batches(vec![RecordBatch::new_empty(Arc::new(Schema::empty()))], 1);
    none.to_ipc(dir.path().join("x")).write().unwrap();
    for writer in [none.to_csv(dir.path().join("x")), none.to_json(dir.path().join("x"))] {
        let error = writer.write().unwrap_err();
        assert!(error.kind() == ErrorKind::Plan && error.to_string().contains("without columns"), "{error}");
    }
}

#[test]
fn what_is_appended_has_the_columns_that_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let old = dataframe::from_columns([("k", vec![1i64].into_array()), ("t", vec!["a"].into_array())]);
    let other = dataframe::from_columns([("k", vec!["x"].into_array()), ("t", vec!["a"].into_array())]);
    let more = dataframe::from_columns([("k", vec![1i64]), ("z", vec![2])]);
    type Write = fn(&DataFrame, &std::path::Path) -> dataframe::Writer;
    let formats: [(&str, Write); 6] = [
        ("parquet", |df, path| df.to_parquet(path)),
        ("ipc", |df, path| df.to_ipc(path)),
        ("csv", |df, path| df.to_csv(path)),
        ("jsonl", |df, path| df.to_json(path)),
        ("hive", |df, path| df.to_parquet(path).partition_by(["t"])),
        ("hive of JSON", |df, path| df.to_json(path).partition_by(["t"])),
    ];
    for (name, write) in formats {
        let path = dir.path().join(name);
        write(&old, &path).write().unwrap();
        let before = names(&path);
        let says = |df: &DataFrame, part: &str| {
            let error = write(df, &path).append().write().unwrap_err();
            assert!(error.kind() == ErrorKind::Plan && error.to_string().contains(part), "{name}: {error}");
            assert_eq!(names(&path), before, "{name}");
        };
        if name != "csv" {
            says(&other, "column `k` is a Utf8, and was a Int64 before");
        }
        if name == "csv" {
            says(&more, "the header is another one");
        } else if !name.starts_with("hive") {
            says(&more, "there is no column `z`");
        }
        let (by, wrong) = match name.starts_with("hive") {
            true => {
                let plain: Write = if name == "hive" { formats[0].1 } else { formats[3].1 };
                (plain(&old.select(["k"]), &path), "not partitioned, and `t=a/part.0.")
            }
            // What lies there would have null in place of its own `t`.
            false => (write(&old, &path).partition_by(["t"]), "partitioned by `t`, and `part.0."),
        };
        let error = by.append().write().unwrap_err();
        assert!(error.kind() == ErrorKind::Plan && error.to_string().contains(wrong), "{name}: {error}");
        assert_eq!(names(&path), before, "{name}");
        if name.starts_with("hive") {
            let both = old.with_columns([col("t").alias("u")]);
            let other = write(&both, &path).partition_by(["u"]).append().write().unwrap_err();
            assert!(
                other.kind() == ErrorKind::Plan && other.to_string().contains("partitioned by `u`"),
                "{name}: {other}"
            );
            assert_eq!(names(&path), before, "{name}");
        }
        write(&old, &path).append().write().unwrap();
        assert_eq!(names(&path).len(), 2 * before.len(), "{name}");
    }
}

#[test]
fn rows_without_a_header_are_appended_to_rows_of_as_many_fields() {
    let options = || CsvWriteOptions { header: false, delimiter: b';', quote: b'\'', ..CsvWriteOptions::default() };
    let table = |columns: &[&str], text: &'static str| {
        dataframe::from_columns(columns.iter().map(|name| (*name, vec![text])).collect::<Vec<_>>())
    };
    for by_key in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("set");
        let write = |df: DataFrame| match by_key {
            true => df.with_column(lit(1).alias("key")).to_csv(&path).csv_options(options()).partition_by(["key"]),
            false => df.to_csv(&path).csv_options(options()),
        };
        // A file without rows tells nothing.
        write(table(&["a", "b"], "x").filter(lit(false))).write().unwrap();
        write(table(&["a", "b"], "x;\n'y")).append().write().unwrap();
        let before = files(&path);
        for (columns, count) in [(&["a"][..], 1), (&["a", "b", "c"], 3)] {
            let error = write(table(columns, "x")).append().write().unwrap_err();
            let says =
                format!("there are {count} columns, and 2 before: what is appended has to have the columns of `");
            assert!(error.kind() == ErrorKind::Plan && error.message().starts_with(&says), "{error}");
            assert!(files(&path) == before && names(dir.path()).len() == before.len());
        }
        write(table(&["c", "d"], "z")).append().write().unwrap();
        assert_eq!(names(&path).len(), before.len() + 1);
    }
    // What is read behind a header would take the first of them for another one.
    let dir = tempfile::tempdir().unwrap();
    table(&["a", "b"], "x").to_csv(dir.path()).write().unwrap();
    let without = CsvWriteOptions { header: false, ..CsvWriteOptions::default() };
    let error = table(&["a", "b"], "y").to_csv(dir.path()).csv_options(without).append().write().unwrap_err();
    assert!(error.message().starts_with("there is no header, and there was one: "), "{error}");
    // Rows of a single null are blank lines.
    let dir = tempfile::tempdir().unwrap();
    let null = dataframe::from_columns([("a", vec![None::<i64>, Some(1)])]);
    null.to_csv(dir.path()).csv_options(options()).write().unwrap();
    null.to_csv(dir.path()).csv_options(options()).append().write().unwrap();
    let error = table(&["a", "b"], "x").to_csv(dir.path()).csv_options(options()).append().write().unwrap_err();
    assert!(error.message().starts_with("there are 2 columns, and 1 before: "), "{error}");
}

#[test]
fn lines_of_json_are_looked_at_before_more_are_appended() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("set");
    // A file without rows tells nothing, and null is of any kind.
    dataframe::from_columns([("k", vec![0_i64; 0])]).to_json(&path).write().unwrap();
    let nulls =
        dataframe::from_columns([("k", vec![None::<i64>].into_array()), ("d", vec!["2024-01-01"].into_array())]);
    nulls.to_json(&path).append().write().unwrap();
    let days: ArrayRef = Arc::new(Date32Array::from(vec![1]));
    let fitting = dataframe::from_columns([("d", days.clone()), ("k", vec!["x"].into_array())]);
    fitting.to_json(&path).append().write().unwrap();
    assert_eq!(names(&path).len(), 3);
    std::fs::remove_file(path.join("part.1.jsonl")).unwrap();
    let wrong = dataframe::from_columns([("d", days), ("k", vec![1.5].into_array())]);
    let error = wrong.to_json(&path).append().write().unwrap_err();
    let says =
        "column `k` is a Float64, and was a Utf8 before: what is appended has to have the columns of `part.2.jsonl`";
    assert!(error.kind() == ErrorKind::Plan && error.to_string().contains(says), "{error}");
    std::fs::write(path.join("part.0.jsonl"), "{\"k\":").unwrap();
    let error = fitting.to_json(&path).append().write().unwrap_err();
    assert!(error.kind() == ErrorKind::Data && error.to_string().contains("part.0.jsonl"), "{error}");
}

#[test]
fn options_that_do_not_go_together() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("set");
    for writer in [
        rows(10, 2).to_csv(&path).single_file().partition_by(["k"]),
        rows(10, 2).to_csv(&path).partition_by(["k"]).single_file(),
    ] {
        let error = writer.write().unwrap_err();
        assert!(error.kind() == ErrorKind::Plan && error.message().contains("leave one of them out"), "{error}");
    }
    for writer in [
        rows(10, 2).to_csv(dir.path().join("p-*.csv.gz")),
        rows(10, 2).to_csv(dir.path().join("one.csv.gz")).single_file(),
        rows(10, 2).to_json(dir.path().join("one.jsonl.zst")).single_file(),
    ] {
        let error = writer.write().unwrap_err();
        assert!(error.kind() == ErrorKind::Plan && error.message().contains("says it is compressed"), "{error}");
    }
    assert!(files(dir.path()).is_empty());
}
