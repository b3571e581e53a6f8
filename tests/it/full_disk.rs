//! Disks that get full while tables are written to them: the error says where, the target is what it was, and nothing lies beside it.
//!
//! A process of its own may not make files larger than some bytes, which the system tells as it tells of a full disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use chunkwise::dataframe::{IfExists, Writer};
use chunkwise::prelude::*;

use crate::support::{On, assert_nothing_held, noise};

/// Says to the test that it is the child, and where it is to write.
const CASE: &str = "FULL_DISK_TEST_CASE";

/// Bytes that a file of the child may have, in blocks of 512.
const MOST_BLOCKS: u32 = 128;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Layout {
    Single,
    Partitions,
    Keys,
    /// More than files are open at once.
    ManyKeys,
}

/// So many rows that are hard to encode, in three partitions, of which the first has few and the second none.
fn rows(len: u64, keys: u64) -> DataFrame {
    let at: ArrayRef = Arc::new(Int64Array::from_iter_values((0..len).map(|at| at as i64)));
    let n: ArrayRef = Arc::new(Int64Array::from_iter_values((0..len).map(|at| noise(at) as i64)));
    let k: ArrayRef = Arc::new(StringArray::from_iter_values((0..len).map(|at| format!("k{}", at % keys))));
    let batch = RecordBatch::try_from_iter([("at", at), ("n", n), ("k", k)]).unwrap();
    let kept = col("at").lt(10) | col("at").ge((len * 2 / 3) as i64);
    dataframe::from_batches(vec![batch], 3).filter(kept)
}

type Format = (&'static str, fn(&DataFrame, &Path) -> Writer);

fn formats() -> Vec<Format> {
    vec![
        #[cfg(feature = "parquet")]
        ("parquet", |df, path| df.to_parquet(path)),
        ("arrow", |df, path| df.to_ipc(path)),
        ("csv", |df, path| df.to_csv(path)),
        ("jsonl", |df, path| df.to_json(path)),
    ]
}

/// All ways to write, each with the writer of few or of many rows.
fn cases(dir: &Path, many: bool) -> Vec<(String, Writer)> {
    let mut cases = Vec::new();
    for (ending, write) in formats() {
        for layout in [Layout::Single, Layout::Partitions, Layout::Keys, Layout::ManyKeys] {
            if layout == Layout::ManyKeys && ending != "arrow" {
                continue;
            }
            for if_exists in [IfExists::Replace, IfExists::Append] {
                if layout == Layout::Single && if_exists == IfExists::Append {
                    continue;
                }
                let name = format!("{layout:?}-{if_exists:?}.{ending}");
                let df = match (many, layout) {
                    (false, _) => rows(30, 2),
                    // Each file is small, but not what rows wait in.
                    (true, Layout::ManyKeys) => rows(900_000, 600),
                    (true, _) => rows(60_000, 2),
                };
                let writer = write(&df, &dir.join(&name)).if_exists(if_exists);
                let writer = match layout {
                    Layout::Single => writer.single_file(),
                    Layout::Partitions => writer,
                    Layout::Keys | Layout::ManyKeys => writer.partition_by(["k"]),
                };
                cases.push((name, writer));
            }
        }
    }
    cases
}

/// All files below a directory with their bytes, hidden ones too.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut open = vec![directory.to_path_buf()];
    while let Some(path) = open.pop() {
        for entry in std::fs::read_dir(&path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                all.insert(path, bytes);
            }
        }
    }
    all
}

#[test]
fn a_full_disk_leaves_the_target_as_it_was() {
    if let Some(dir) = std::env::var_os(CASE) {
        return child(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    for (name, writer) in cases(dir.path(), false) {
        writer.write().unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let before = files(dir.path());
    let mut child = std::process::Command::new("sh");
    // What is ignored stays so in the program that takes the place of the shell.
    let script = format!("trap '' XFSZ; ulimit -f {MOST_BLOCKS}; exec \"$0\" \"$@\"");
    child.args(["-c", &script]).arg(std::env::current_exe().unwrap());
    child.args(["--exact", "full_disk::a_full_disk_leaves_the_target_as_it_was", "--nocapture"]);
    let output = child.env(CASE, dir.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{said}");
    assert!(files(dir.path()) == before, "{:?}", files(dir.path()).keys());
    // With room it works.
    for (name, writer) in cases(dir.path(), true) {
        let written = writer.write().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(written.files.iter().all(|file| file.starts_with(dir.path().join(&name))), "{name}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), cases(dir.path(), true).len());
}

/// Writes where there is no room.
fn child(dir: &Path) {
    let before = files(dir);
    for on in [On::Synchronous, On::Threads(4)] {
        let (runtime, _) = on.runtime(1 << 30);
        for (name, writer) in cases(dir, true) {
            let error = writer.compute_on(&runtime).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Io, "{name} on {on:?}: {error}");
            let text = error.to_string();
            assert!(text.contains(&format!("{}/.{name}", dir.display())), "{name} on {on:?}: {text}");
            let said = error.message().split_once(": ").map(|(_, said)| said);
            assert_eq!(said, Some("File too large (os error 27)"), "{name} on {on:?}: {text}");
            assert!(files(dir) == before, "{name} on {on:?}: {:?}", files(dir).keys());
            assert_nothing_held(&runtime, &name);
        }
    }
}
