//! Disks that fail, are full, read-only or damaged under a run that spills: the right error, nothing left, nothing wrong
//! computed, and the next run is fine.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arrow::array::{Int64Array, RecordBatch};
use chunkwise::prelude::*;
use chunkwise::store::spill::{Fault, FaultyDisk, MemoryDisk, Op};

use crate::gate::AskingDisk;
use crate::support::{EVERYWHERE, On, assert_empty, assert_nothing_held, noise, noise_block};

const KIB: u64 = 1 << 10;
const LIMIT: u64 = 512 * KIB;

/// A MiB in blocks that are all read again after the last one was made and `between` was called.
fn spilling_with(between: impl Fn() + Send + Sync + 'static) -> DelayedVec<u64> {
    let row = DelayedVec::from_fn(18, |seed| noise_block(seed, 8 << 10));
    let last = row.map(|block| block[7]).tree_reduce(u64::wrapping_add).map(move |last| {
        between();
        last.unwrap_or(0)
    });
    row.map_with(&last, |block, last| block.iter().fold(*last, |a, b| noise(a ^ b)))
}

fn spilling() -> DelayedVec<u64> {
    spilling_with(|| ())
}

/// What fits needs no disk.
#[track_caller]
fn assert_works_without(runtime: &Runtime, case: &str) {
    let sum = DelayedVec::from_fn(100, u64::from).tree_reduce(|a, b| a + b).compute_on(runtime);
    assert_eq!(sum.unwrap_or_else(|error| panic!("{case}: {error}")), Some(4950), "{case}");
    assert_nothing_held(runtime, case);
}

#[test]
fn each_operation_fails_once_or_from_there_on() {
    let expected = spilling().compute().unwrap();
    let runtime = |on: On, disk: &FaultyDisk| {
        on.set(Runtime::builder().memory_limit(LIMIT).spill_dir("/spill").disk(disk.clone())).build().unwrap()
    };
    for on in [On::Synchronous, On::Threads(1), On::Threads(2)] {
        let clean = FaultyDisk::new(MemoryDisk::new("/spill"), None);
        assert_eq!(spilling().compute_on(&runtime(on, &clean)).unwrap(), expected);
        let operations = clean.operations();
        assert!(operations.len() > 20, "{} operations", operations.len());
        for (kind, wanted) in
            [(io::ErrorKind::Other, ErrorKind::Spill), (io::ErrorKind::StorageFull, ErrorKind::SpillFull)]
        {
            for at in 1..=operations.len() as u64 + 1 {
                for onwards in [false, true] {
                    let memory = MemoryDisk::new("/spill");
                    let disk = FaultyDisk::new(memory.clone(), Some(Fault { at, onwards, kind }));
                    let runtime = runtime(on, &disk);
                    let result = spilling().compute_on(&runtime);
                    // On several threads the operations come in another order each time, and not always as many.
                    let struck = disk.operations().get(at as usize - 1).copied();
                    let case = format!("{on:?}, {kind:?} at {at} ({struck:?}), onwards {onwards}");
                    match &result {
                        Ok(values) => {
                            assert_eq!(*values, expected, "{case}");
                            // What a run cannot do without.
                            let needed = matches!(struck, Some(Op::Write | Op::Read | Op::Create));
                            assert!(!needed || kind == io::ErrorKind::StorageFull, "{case} went unheard");
                        }
                        Err(error) => {
                            assert_eq!(error.kind(), wanted, "{case}: {error}");
                            assert!(error.to_string().contains("/spill"), "{case}: {error}");
                            assert!(struck.is_some(), "{case}: {error}");
                        }
                    }
                    assert_nothing_held(&runtime, &case);
                    if onwards && struck.is_some() {
                        // Nothing can be removed from such a disk; what needs none goes on.
                        assert_works_without(&runtime, &case);
                        let next = spilling().compute_on(&runtime).unwrap_err();
                        assert_eq!(next.kind(), wanted, "{case}: the next run: {next}");
                        assert_nothing_held(&runtime, &case);
                        continue;
                    }
                    let removing = matches!(struck, Some(Op::RemoveFile | Op::RemoveDir | Op::List | Op::Truncate));
                    assert!(removing || memory.paths().is_empty(), "{case}: {:?} left", memory.paths());
                    if struck.is_some() {
                        assert_eq!(spilling().compute_on(&runtime).unwrap(), expected, "{case}: the next run");
                        assert_nothing_held(&runtime, &case);
                        assert!(memory.paths().is_empty(), "{case}: {:?} left by the next run", memory.paths());
                    }
                }
            }
        }
    }
}

#[test]
fn a_full_disk_says_what_is_needed_and_is_used_again_when_there_is_room() {
    let expected = spilling().compute().unwrap();
    for on in EVERYWHERE {
        for most in [0, 1, 2, 5] {
            let memory = MemoryDisk::new("/spill");
            memory.set_available(123 * KIB);
            let (full, writes) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
            let is_full = full.clone();
            let disk = AskingDisk::new(&memory, move |op| {
                let refused = op == Op::Write
                    && writes.fetch_add(1, Ordering::Relaxed) >= most
                    && is_full.load(Ordering::Relaxed);
                if refused { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
            });
            let builder = Runtime::builder().memory_limit(LIMIT).spill_dir("/spill").disk(disk);
            let runtime = on.set(builder).build().unwrap();
            let case = format!("{on:?}, full after {most} writes");
            let error = spilling().compute_on(&runtime).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::SpillFull, "{case}: {error}");
            let text = error.to_string();
            for part in ["/spill/", "the disk is full", "more were needed", "123 KiB are free"] {
                assert!(text.contains(part), "{case}: {text}");
            }
            assert_nothing_held(&runtime, &case);
            assert!(memory.paths().is_empty(), "{case}: {:?} left", memory.paths());
            assert_works_without(&runtime, &case);
            full.store(false, Ordering::Relaxed);
            assert_eq!(spilling().compute_on(&runtime).unwrap(), expected, "{case}");
            assert_nothing_held(&runtime, &case);
            assert!(memory.paths().is_empty(), "{case}: {:?} left", memory.paths());
        }
    }
}

/// Says to the test that it is the child, and where it is to spill.
#[cfg(unix)]
const READ_ONLY: &str = "DISKS_TEST_READ_ONLY";

#[test]
#[cfg(unix)]
fn a_directory_that_is_read_only() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;

    let check = |dir: &Path| {
        for on in EVERYWHERE {
            let runtime = on.set(Runtime::builder().memory_limit(LIMIT).spill_dir(dir)).build().unwrap();
            let error = spilling().compute_on(&runtime).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Spill, "{on:?}: {error}");
            assert!(error.to_string().contains(dir.to_str().unwrap()), "{on:?}: {error}");
            assert_nothing_held(&runtime, &format!("{on:?}"));
            assert_works_without(&runtime, &format!("{on:?}"));
        }
    };
    if let Some(dir) = std::env::var_os(READ_ONLY) {
        return check(Path::new(&dir));
    }
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("locked");
    std::fs::create_dir(&dir).unwrap();
    let set_mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set_mode(outer.path(), 0o755);
    set_mode(&dir, 0o555);
    if std::fs::metadata(&dir).unwrap().uid() != 0 {
        return check(&dir);
    }
    // Permissions do not stop the superuser: somebody else does it.
    const NOBODY: u32 = 65534;
    let mut child = std::process::Command::new("/proc/self/exe");
    child.args(["--exact", "disks::a_directory_that_is_read_only"]).env(READ_ONLY, &dir).uid(NOBODY).gid(NOBODY);
    match child.output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && text.contains("1 passed"), "{text}");
        }
        // A superuser who may not become another one (a container): the next best.
        Err(_) => {
            let fault = Fault { at: 1, onwards: true, kind: io::ErrorKind::ReadOnlyFilesystem };
            let disk = FaultyDisk::new(MemoryDisk::new("/"), Some(fault));
            let runtime = Runtime::builder().memory_limit(LIMIT).spill_dir("/spill").disk(disk).build().unwrap();
            assert_eq!(spilling().compute_on(&runtime).unwrap_err().kind(), ErrorKind::Spill);
        }
    }
    assert_empty(&dir, "read-only");
}

#[test]
fn a_directory_that_is_missing() {
    let outer = tempfile::tempdir().unwrap();
    let expected = spilling().compute().unwrap();
    for on in EVERYWHERE {
        let case = format!("{on:?}");
        // Its parent is there: it is made.
        let dir = outer.path().join("made");
        let runtime = on.set(Runtime::builder().memory_limit(LIMIT).spill_dir(&dir)).build().unwrap();
        assert!(!dir.exists(), "{case}: before anything is spilled");
        assert_eq!(spilling().compute_on(&runtime).unwrap(), expected, "{case}");
        assert_empty(&dir, &case);
        // Somebody removes it between two runs.
        std::fs::remove_dir(&dir).unwrap();
        assert_eq!(spilling().compute_on(&runtime).unwrap(), expected, "{case}");
        drop(runtime);
        std::fs::remove_dir(&dir).unwrap();

        // Its parent is missing as well: that is more likely a wrong path.
        let dir = outer.path().join("no").join("where");
        let runtime = on.set(Runtime::builder().memory_limit(LIMIT).spill_dir(&dir)).build().unwrap();
        let error = spilling().compute_on(&runtime).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Spill, "{case}: {error}");
        assert!(error.to_string().contains(dir.to_str().unwrap()), "{case}: {error}");
        assert_nothing_held(&runtime, &case);
        assert_works_without(&runtime, &case);
        // Once it is there, the same runtime uses it.
        std::fs::create_dir_all(&dir).unwrap();
        assert_eq!(spilling().compute_on(&runtime).unwrap(), expected, "{case}");
        drop(runtime);
        std::fs::remove_dir_all(outer.path().join("no")).unwrap();
    }
    assert_empty(outer.path(), "missing");
}

/// The segment files of all processes that spill below a directory.
fn segments(root: &Path) -> Vec<PathBuf> {
    let entries =
        |dir: &Path| -> Vec<PathBuf> { std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect() };
    let mut all: Vec<PathBuf> = entries(root).iter().flat_map(|dir| entries(dir)).collect();
    all.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with("segment-"));
    all.sort();
    assert!(!all.is_empty(), "nothing was spilled");
    all
}

/// Damages bytes of a file without making another one.
fn damage(path: &Path, which: impl Fn(usize, usize) -> bool) {
    use std::io::Write;

    let mut bytes = std::fs::read(path).unwrap();
    let len = bytes.len();
    bytes.iter_mut().enumerate().filter(|(at, _)| which(*at, len)).for_each(|(_, byte)| *byte ^= 0x10);
    std::fs::OpenOptions::new().write(true).open(path).unwrap().write_all(&bytes).unwrap();
}

/// All of the values, each read again after all were made and `between` was called.
fn read_again<T: Send + Sync + 'static>(
    values: &[Delayed<T>],
    between: impl Fn() + Send + Sync + 'static,
    read: fn(u64, &T) -> u64,
) -> Delayed<u64> {
    let made: Vec<Delayed<u64>> = values.iter().map(|value| value.map(|_| 1)).collect();
    let all = Delayed::all(&made).map(move |made| {
        between();
        made.len() as u64
    });
    let again = values.iter().map(|value| delayed_with((value, &all), move |(value, all)| read(*all, value)));
    let again: Vec<Delayed<u64>> = again.collect();
    Delayed::all(&again).map(|all| all.iter().fold(0, |a, b| noise(a ^ b)))
}

/// Values of every codec, more than a MiB of each.
#[derive(Clone, Copy, Debug)]
enum Values {
    /// Texts, by serde.
    Texts,
    /// Tables, by Arrow.
    Tables,
    /// Vectors of numbers, as they lie in memory.
    Vectors,
}

impl Values {
    fn read_again(self, between: impl Fn() + Send + Sync + 'static) -> Delayed<u64> {
        let place = |seed: u64, at: u64| noise(seed << 32 | at);
        match self {
            Values::Texts => {
                let text = move |seed| (0..4096).map(|at| place(seed, at).to_string()).collect::<Vec<String>>();
                let texts: Vec<_> = (0..20).map(|seed| delayed(move || text(seed)).spillable()).collect();
                let read = |all, texts: &Vec<String>| {
                    texts.iter().map(|text| text.parse::<u64>().unwrap()).fold(all, |a, b| noise(a ^ b))
                };
                read_again(&texts, between, read)
            }
            Values::Tables => {
                let table = move |seed| {
                    let column: Int64Array = (0..8192).map(|at| place(seed, at) as i64).collect();
                    RecordBatch::try_from_iter([("x", Arc::new(column) as _)]).unwrap()
                };
                let tables: Vec<_> = (0..20).map(|seed| delayed(move || table(seed))).collect();
                let read = |all, table: &RecordBatch| {
                    let column = table.column(0).as_any().downcast_ref::<Int64Array>().unwrap();
                    column.values().iter().fold(all, |a, b| noise(a ^ *b as u64))
                };
                read_again(&tables, between, read)
            }
            Values::Vectors => {
                let vector = move |seed| (0..8192).map(|at| place(seed, at) as f64).collect::<Vec<f64>>();
                let vectors: Vec<_> = (0..20).map(|seed| delayed(move || vector(seed))).collect();
                let read = |all, vector: &Vec<f64>| vector.iter().fold(all, |a, b| noise(a ^ b.to_bits()));
                read_again(&vectors, between, read)
            }
        }
    }
}

#[test]
fn files_that_are_damaged_before_they_are_read_back() {
    for values in [Values::Texts, Values::Tables, Values::Vectors] {
        let expected = values.read_again(|| ()).compute().unwrap();
        for on in [On::Synchronous, On::Threads(2), On::Handed(2)] {
            for how in ["everywhere", "here and there", "one bit", "cut off"] {
                let root = tempfile::tempdir().unwrap();
                let runtime = on.set(Runtime::builder().memory_limit(LIMIT).spill_dir(root.path())).build().unwrap();
                let path = root.path().to_path_buf();
                let damaged = values.read_again(move || {
                    for path in segments(&path) {
                        match how {
                            "everywhere" => damage(&path, |_, _| true),
                            "here and there" => damage(&path, |at, _| at % 9973 == 100),
                            "one bit" => damage(&path, |at, len| at == len / 2),
                            _ => {
                                let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
                                file.set_len(1000).unwrap();
                            }
                        }
                    }
                });
                let case = format!("{on:?}, {values:?}, {how}");
                match damaged.compute_on(&runtime) {
                    // A single value may have been in memory still.
                    Ok(sum) => assert_eq!((how, sum), ("one bit", expected), "{case}"),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Corrupt, "{case}: {error}");
                        let text = error.to_string();
                        assert!(text.contains(root.path().to_str().unwrap()) && text.contains("segment-"), "{text}");
                    }
                }
                assert_nothing_held(&runtime, &case);
                assert_empty(root.path(), &case);
                assert_eq!(values.read_again(|| ()).compute_on(&runtime).unwrap(), expected, "{case}: the next run");
                assert!(runtime.last_report().spilled_bytes > 0, "{case}");
                assert_empty(root.path(), &case);
            }
        }
    }
}

#[test]
fn a_directory_that_somebody_empties_under_a_run() {
    let expected = spilling().compute().unwrap();
    for on in [On::Synchronous, On::Threads(2), On::Handed(2)] {
        let root = tempfile::tempdir().unwrap();
        // So few that files have to be opened again.
        let builder = Runtime::builder().memory_limit(LIMIT).spill_dir(root.path()).set("spill.open_files", 1);
        let runtime = on.set(builder).build().unwrap();
        let path = root.path().to_path_buf();
        let result = spilling_with(move || {
            for entry in std::fs::read_dir(&path).unwrap() {
                std::fs::remove_dir_all(entry.unwrap().path()).unwrap();
            }
        })
        .compute_on(&runtime);
        // Files that are open still can be read.
        match result {
            Ok(values) => assert_eq!(values, expected, "{on:?}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Spill, "{on:?}: {error}"),
        }
        assert_nothing_held(&runtime, &format!("{on:?}"));
        assert_eq!(spilling().compute_on(&runtime).unwrap(), expected, "{on:?}: the next run");
        assert_empty(root.path(), &format!("{on:?}"));
    }
}
