//! The promise about the process: what a run adds to its resident memory stays within the limit and a fixed allowance.
//!
//! Each configuration runs in a process of its own, this test again, so that nothing that ran before counts.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chunkwise::prelude::*;
use chunkwise::runtime::config::Scheduler;
use chunkwise::store::Block;
use chunkwise::store::spill::default_root;

const MIB: u64 = 1 << 20;
const LIMIT: u64 = 256 * MIB;

/// Says to the test that it is the child, and how many threads it takes, 0 for a synchronous runtime, and how many blocks.
const CASE: &str = "MEMORY_TEST_CASE";

/// Asks for the full size in a build that is not optimized.
const FULL: &str = "MEMORY_TEST_FULL";

/// Elements of each of the blocks, 32 MiB.
const LEN: usize = (32 * MIB / 8) as usize;

/// 160 blocks in optimized builds or where it is asked for, an eighth of that elsewhere.
fn blocks() -> u32 {
    let full = !cfg!(debug_assertions) || std::env::var_os(FULL).is_some_and(|full| full == "1");
    if full { 160 } else { 20 }
}

const PIECES: usize = 160;

fn noise(place: u64) -> u64 {
    let mut x = place.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn element(block: u64, at: usize) -> u64 {
    noise(block << 32 | at as u64)
}

/// Where piece `piece` of each block begins; pieces differ by an element at most.
fn begin(piece: usize) -> usize {
    piece * LEN / PIECES
}

/// Anonymous and shared resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    };
    field("RssAnon:") + field("RssShmem:")
}

/// Runs something while the resident memory is sampled; its growth at the highest.
fn growth<R>(work: impl FnOnce() -> R) -> (R, u64) {
    let (stop, highest) = (AtomicBool::new(false), AtomicU64::new(0));
    let before = resident();
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                highest.fetch_max(resident(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let result = work();
        stop.store(true, Ordering::Relaxed);
        result
    });
    (result, highest.into_inner().saturating_sub(before))
}

/// Blocks of 32 MiB, each cut into 160 pieces, and a task for each piece that checks it in all blocks.
fn transpose(blocks: u32) -> DelayedVec<u64> {
    let made = DelayedVec::from_fn(blocks, |block| {
        Block::build(LEN, |out| out.iter_mut().enumerate().for_each(|(at, out)| *out = element(u64::from(block), at)))
    });
    made.all_to_all(
        PIECES as u32,
        |block| (0..PIECES).map(|piece| block.slice(begin(piece)..begin(piece + 1))).collect(),
        |pieces: Vec<Block<u64>>| {
            let part = (0..PIECES).find(|part| element(0, begin(*part)) == pieces[0][0]).expect("a known piece");
            let mut sum = 0u64;
            for (block, piece) in pieces.iter().enumerate() {
                assert_eq!(piece.len(), begin(part + 1) - begin(part));
                for (at, found) in piece.iter().enumerate() {
                    assert!(*found == element(block as u64, begin(part) + at), "block {block}, piece {part}");
                    sum = sum.wrapping_add(*found);
                }
            }
            sum
        },
    )
}

#[test]
fn child() {
    let Ok(case) = std::env::var(CASE) else { return };
    let (threads, blocks) = case.split_once(' ').unwrap();
    let (threads, blocks): (usize, u32) = (threads.parse().unwrap(), blocks.parse().unwrap());
    let dir = tempfile::tempdir_in(default_root()).unwrap();
    let builder = Runtime::builder().memory_limit(LIMIT).spill_dir(dir.path());
    let runtime = match threads {
        0 => builder.scheduler(Scheduler::Synchronous),
        _ => builder.threads(threads),
    };
    let runtime = runtime.build().unwrap();
    let begun = Instant::now();
    let (sums, growth) = growth(|| transpose(blocks).compute_on(&runtime).unwrap());
    let report = runtime.last_report();
    assert_eq!((runtime.memory_held(), runtime.spilled()), (0, 0));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left on disk");
    let sum = sums.into_iter().fold(0u64, |sum, next| noise(sum ^ next));
    println!("result {growth} {sum} {} {:.1?}", report.spilled_bytes, begun.elapsed());
}

#[test]
#[cfg(target_os = "linux")]
fn five_gibibytes_through_256_mebibytes() {
    if std::env::var_os(CASE).is_some() {
        return;
    }
    let mut sums = Vec::new();
    for threads in [0, 1, 2, 8u64] {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "child", "--nocapture"]).env(CASE, format!("{threads} {}", blocks()));
        let output = child.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{threads} threads: {text}{}", String::from_utf8_lossy(&output.stderr));
        let line = text.lines().find_map(|line| line.split_once("result ").map(|(_, line)| line)).expect(&text);
        let fields: Vec<&str> = line.split(' ').collect();
        let (growth, sum, spilled) = (fields[0].parse::<u64>().unwrap(), fields[1].to_string(), fields[2]);
        println!("{threads} threads: grew by {} MiB, spilled {spilled}, in {}", growth / MIB, fields[3]);
        let least_spilled = (u64::from(blocks()) * 32 * MIB).saturating_sub(2 * LIMIT) / 2;
        assert!(spilled.parse::<u64>().unwrap() >= least_spilled, "{threads} threads: spilled only {spilled}");
        let allowed = LIMIT + 64 * MIB + 4 * MIB * threads.max(1);
        assert!(growth <= allowed, "{threads} threads: grew by {} MiB, {} are allowed", growth / MIB, allowed / MIB);
        sums.push(sum);
    }
    sums.dedup();
    assert_eq!(sums.len(), 1, "the same results on any number of threads");
}
