//! What a killed process leaves on disk: the next one that spills there removes it, and leaves alone what a living one has.

#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use chunkwise::prelude::*;
use chunkwise::runtime::config::Scheduler;
use chunkwise::store::Block;

/// Says to the test that it is the child, and where it is to spill.
const DIR: &str = "LEFTOVERS_TEST_DIR";

const LIMIT: u64 = 512 << 10;

/// More blocks than fit, the first of which is read again when all were made and a line was read from `wait`.
fn spilling(wait: impl Fn() + Send + Sync + 'static) -> Delayed<u64> {
    let row = DelayedVec::from_fn(40, |seed| Block::build(8 << 10, |out: &mut [u64]| out.fill(u64::from(seed))));
    let last = row.map(|block| block[7]).tree_reduce(u64::max).map(move |last| {
        wait();
        last.unwrap_or(0)
    });
    row.map_with(&last, |block, last| block[3] + last).tree_reduce(|a, b| a + b).map(|sum| sum.unwrap_or(0))
}

const SUM: u64 = 39 * 20 + 40 * 39;

fn runtime(dir: &Path) -> Runtime {
    Runtime::builder().threads(2).memory_limit(LIMIT).spill_dir(dir).build().unwrap()
}

#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let sum = spilling(|| {
        println!("spilled");
        std::io::stdout().flush().unwrap();
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap();
    });
    assert_eq!(sum.compute_on(&runtime(Path::new(&dir))).unwrap(), SUM);
}

/// Ends with the test, whatever happens.
struct Spiller {
    child: Child,
    stdin: Option<ChildStdin>,
    /// Held open, for what it prints at its end.
    _stdout: BufReader<ChildStdout>,
}

impl Spiller {
    /// A process that has spilled and waits.
    fn start(dir: &Path) -> Spiller {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child", "--nocapture"]).env(DIR, dir).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let spilled = stdout.by_ref().lines().map_while(Result::ok).any(|line| line.ends_with("spilled"));
        let spiller = Spiller { child, stdin, _stdout: stdout };
        assert!(spilled, "the child ended before it spilled");
        spiller
    }

    fn finish(mut self) {
        drop(self.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Spiller {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

#[test]
fn a_killed_process_is_cleaned_up_after_and_a_living_one_left_alone() {
    if std::env::var_os(DIR).is_some() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let killed = Spiller::start(dir.path());
    let left = entries(dir.path());
    assert_eq!(left.len(), 1, "{left:?}");
    drop(killed); // by a signal that cannot be handled
    assert_eq!(entries(dir.path()), left, "nobody was there to remove it");

    let living = Spiller::start(dir.path());
    let of_living = entries(dir.path());
    assert_eq!(of_living.len(), 1, "the new one removed what was left: {of_living:?}");
    assert_ne!(of_living, left);

    // Another start, in this process: the living one's directory stays, and its run goes on to the end.
    let own = runtime(dir.path());
    let sum = spilling(|| {}).compute_on(&own).unwrap();
    assert_eq!(sum, SUM);
    assert!(own.last_report().spilled_bytes > 0);
    assert_eq!(entries(dir.path()), of_living);
    living.finish();
    drop(own);
    assert_eq!(entries(dir.path()), Vec::<PathBuf>::new());
}

#[test]
fn of_a_living_and_a_killed_process_only_the_living_keeps_its_directory() {
    if std::env::var_os(DIR).is_some() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let living = Spiller::start(dir.path());
    let of_living = entries(dir.path());
    let killed = Spiller::start(dir.path());
    assert_eq!(entries(dir.path()).len(), 2);
    drop(killed);
    assert_eq!(entries(dir.path()).len(), 2);

    let own = runtime(dir.path());
    assert_eq!(spilling(|| {}).compute_on(&own).unwrap(), SUM);
    assert_eq!(entries(dir.path()), of_living);
    living.finish();
    assert_eq!(entries(dir.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_start_that_spills_nothing_cleans_up_as_well() {
    if std::env::var_os(DIR).is_some() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let living = Spiller::start(dir.path());
    let of_living = entries(dir.path());
    for scheduler in [Scheduler::Synchronous, Scheduler::Threads] {
        drop(Spiller::start(dir.path()));
        assert_eq!(entries(dir.path()).len(), 2);
        let own = Runtime::builder().scheduler(scheduler).spill_dir(dir.path()).build().unwrap();
        assert_eq!(delayed(|| 1).compute_on(&own).unwrap(), 1);
        // Beside the run, where there is a thread for it.
        let begun = Instant::now();
        while entries(dir.path()) != of_living {
            assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", entries(dir.path()));
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    living.finish();
    assert_eq!(entries(dir.path()), Vec::<PathBuf>::new());
}

#[test]
fn killed_at_any_moment_of_its_runs() {
    if std::env::var_os(DIR).is_some() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let own = runtime(dir.path());
    for round in 0..20 {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "restless_child", "--nocapture"]).env(DIR, dir.path()).stdout(Stdio::piped());
        let mut child = child.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        // Somewhere in a run, further on each time.
        let runs = stdout.lines().map_while(Result::ok).filter(|line| line.ends_with("begins")).take(round / 4 + 1);
        assert_eq!(runs.count(), round / 4 + 1, "the child ended");
        for _ in 0..round * 50_000 {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(spilling(|| {}).compute_on(&own).unwrap(), SUM);
        assert_eq!(entries(dir.path()), Vec::<PathBuf>::new(), "round {round}");
    }
}

/// Makes and removes its directory again and again.
#[test]
fn restless_child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let runtime = runtime(Path::new(&dir));
    loop {
        println!("begins");
        assert_eq!(spilling(|| {}).compute_on(&runtime).unwrap(), SUM);
    }
}

const WAY: &str = "LEFTOVERS_TEST_WAY";

/// Blocks of which most are on disk by then.
fn kept_on(runtime: &Runtime) -> Vec<Delayed<Block<u64>>> {
    let parts: Vec<_> =
        (0..24u64).map(|seed| delayed(move || Block::build(8 << 10, |out: &mut [u64]| out.fill(seed)))).collect();
    let kept = parts.persist_on(runtime).unwrap();
    assert!(runtime.spilled() > 0);
    kept
}

fn read(kept: &[Delayed<Block<u64>>], runtime: &Runtime) {
    let sums: Vec<Delayed<u64>> = kept.iter().map(|kept| kept.map(|block| block[9])).collect();
    assert_eq!(sums.compute_on(runtime).unwrap().iter().sum::<u64>(), 23 * 12);
}

fn wait_until_spilled(runtime: &Runtime) {
    let begun = Instant::now();
    while runtime.spilled() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing was spilled");
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// Lets go of everything in one way and ends the process at once.
#[test]
fn leaving_child() {
    let (Some(dir), Ok(way)) = (std::env::var_os(DIR), std::env::var(WAY)) else { return };
    let dir = Path::new(&dir);
    let runtime = if way.starts_with("default") { Runtime::current().unwrap() } else { runtime(dir) };
    match way.as_str() {
        "kept" | "default kept" => {
            let kept = kept_on(&runtime);
            read(&kept, &runtime);
            drop((runtime, kept));
        }
        "kept outlives" => {
            let kept = kept_on(&runtime);
            drop(runtime);
            drop(kept);
        }
        "run" => {
            let run = spilling(|| {}).start_on(&runtime);
            wait_until_spilled(&runtime);
            drop(run);
            drop(runtime);
        }
        "run outlives" | "detached" => {
            let run = spilling(|| {}).start_on(&runtime);
            wait_until_spilled(&runtime);
            if way == "detached" {
                run.detach()
            } else {
                drop((runtime.clone(), run))
            }
            drop(runtime);
        }
        "iterator" => {
            let row =
                DelayedVec::from_fn(40, |seed| Block::build(8 << 10, |out: &mut [u64]| out.fill(u64::from(seed))));
            let last = row.map(|block| block[7]).tree_reduce(u64::max);
            let again = row.map_with(&last, |block, _| Block::from_vec(block.to_vec()));
            let mut values = runtime.run(|| again.iter().unwrap());
            assert_eq!(values.by_ref().take(3).map(|block| block.unwrap()[0]).sum::<u64>(), 3);
            drop(runtime);
            drop(values);
        }
        _ => panic!("{way} is no way"),
    }
    assert_eq!(entries(dir), Vec::<PathBuf>::new(), "{way}");
    std::process::exit(0);
}

#[test]
fn a_process_that_ends_leaves_nothing() {
    if std::env::var_os(DIR).is_some() {
        return;
    }
    for way in ["kept", "default kept", "kept outlives", "run", "run outlives", "detached", "iterator"] {
        for _ in 0..10 {
            let dir = tempfile::tempdir().unwrap();
            let mut child = Command::new(std::env::current_exe().unwrap());
            child.args(["--exact", "leaving_child", "--nocapture"]).env(DIR, dir.path()).env(WAY, way);
            child.env("CHUNKWISE_THREADS", "2").env("CHUNKWISE_MEMORY_LIMIT", LIMIT.to_string());
            child.env("CHUNKWISE_SPILL_DIR", dir.path()).stdout(Stdio::null());
            assert!(child.status().unwrap().success(), "{way}");
            assert_eq!(entries(dir.path()), Vec::<PathBuf>::new(), "{way}");
        }
    }
}
