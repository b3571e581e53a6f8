//! Processes that are killed while they write a data set: the target is entirely the old or entirely the new version, and the next
//! writer removes what lies beside it.

#![cfg(unix)]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use arrow::datatypes::Int64Type;
use chunkwise::dataframe::{IntoArray, Writer};
use chunkwise::prelude::*;

/// Says to the test that it is the child, and where and how it is to write.
const CASE: &str = "CRASH_TEST_CASE";

/// How often a process is killed for each way to write.
const KILLS: u64 = 8;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Partitions,
    Single,
    Keys,
    Append,
}

const WAYS: [(&str, Way); 4] =
    [("partitions", Way::Partitions), ("single", Way::Single), ("keys", Way::Keys), ("append", Way::Append)];

/// Rows of a version: how many there are tells it too.
fn rows(version: i64) -> i64 {
    2_000 + 10 * (version % 50)
}

fn writer(way: Way, target: &Path, version: i64) -> Writer {
    let len = rows(version);
    let versions = vec![version; len as usize].into_array();
    let keys = (0..len).map(|at| at % 9).collect::<Vec<i64>>().into_array();
    let table = dataframe::from_columns([("version", versions), ("key", keys)]).compute().unwrap();
    let df = table.to_dataframe(6);
    match way {
        Way::Partitions => df.to_ipc(target),
        Way::Single => df.to_ipc(target).single_file(),
        Way::Keys => df.to_ipc(target).partition_by(["key"]),
        Way::Append => df.to_ipc(target).append(),
    }
}

/// The number of the version that stands at the target, all of it.
fn version(way: Way, target: &Path) -> i64 {
    let path = target.to_str().unwrap();
    let path = if way == Way::Keys { format!("{path}/*/*.arrow") } else { path.to_string() };
    let found = dataframe::read_ipc(path).open().unwrap().compute().unwrap();
    let mut versions: Vec<i64> = found.column::<Int64Type>("version").unwrap().values().to_vec();
    if way == Way::Append {
        // All versions up to the last one, one behind another.
        let last = *versions.last().unwrap();
        let expected = (0..=last).flat_map(|version| vec![version; rows(version) as usize]);
        assert!(expected.eq(versions), "an append is there in part");
        return last;
    }
    let len = versions.len() as i64;
    versions.dedup();
    assert_eq!(versions.len(), 1, "{way:?}: versions are mixed: {versions:?}");
    assert_eq!(len, rows(versions[0]), "{way:?}: a part of version {}", versions[0]);
    versions[0]
}

#[test]
fn child() {
    let Ok(case) = std::env::var(CASE) else { return };
    let (way, rest) = case.split_once(' ').unwrap();
    let (first, target) = rest.split_once(' ').unwrap();
    let way = WAYS.iter().find(|(name, _)| *name == way).unwrap().1;
    for version in first.parse::<i64>().unwrap().. {
        writer(way, Path::new(target), version).write().unwrap();
        println!("written {version}");
        std::io::stdout().flush().unwrap();
    }
}

/// Runs the child until it has written a version, and a little longer; the last version that it said was written.
fn killed(way: &str, first: i64, target: &Path, delay: Duration) -> i64 {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]).stdout(Stdio::piped());
    let mut child = command.env(CASE, format!("{way} {first} {}", target.display())).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut written =
        lines.map_while(Result::ok).filter_map(|line| Some(line.split_once("written ")?.1.parse().unwrap()));
    let mut last: i64 = written.next().expect("the child writes");
    std::thread::sleep(delay);
    child.kill().unwrap();
    child.wait().unwrap();
    for version in written {
        last = version;
    }
    last
}

fn check(name: &str) {
    if std::env::var_os(CASE).is_some() {
        return;
    }
    let way = WAYS.iter().find(|(known, _)| *known == name).unwrap().1;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("target");
    let beside = || std::fs::read_dir(dir.path()).unwrap().count();
    let (mut next, mut left) = (0, 0);
    for round in 0..KILLS {
        // Spread over what a write takes.
        let delay = Duration::from_micros(round * 7_919 % 23_000);
        let told = killed(name, next, &target, delay);
        let found = version(way, &target);
        // It may have been put in place just before it was told.
        assert!(found == told || found == told + 1, "{way:?}: version {found} after {told} was told");
        left += beside() - 1;
        next = found + 1;
        writer(way, &target, next).write().unwrap();
        assert_eq!(version(way, &target), next);
        assert_eq!(beside(), 1, "{way:?}: what a killed process left is removed by the next one");
        next += 1;
    }
    println!("{name}: {left} files and directories were left by {KILLS} killed processes");
}

#[test]
fn partitions() {
    check("partitions");
}

#[test]
fn single_files() {
    check("single");
}

#[test]
fn keys() {
    check("keys");
}

#[test]
fn appended_files() {
    check("append");
}
