//! The promise about the process: what a run adds to its resident memory stays within the limit and a fixed allowance.
//!
//! Each configuration runs in a process of its own, this test again, so that nothing that ran before counts.

mod resident;

use std::time::Instant;

use chunkwise::prelude::*;
use chunkwise::runtime::config::Scheduler;
use chunkwise::store::Block;
use chunkwise::store::spill::default_root;
use resident::{MIB, growth, in_a_child, is_full, noise, promised};

const LIMIT: u64 = 256 * MIB;

/// Says to the test that it is the child, and how many threads it takes, 0 for a synchronous runtime, and how many blocks.
const CASE: &str = "MEMORY_TEST_CASE";

/// Elements of each of the blocks, 32 MiB.
const LEN: usize = (32 * MIB / 8) as usize;

/// 160 blocks in optimized builds or where it is asked for, an eighth of that elsewhere.
fn blocks() -> u32 {
    if is_full() { 160 } else { 20 }
}

const PIECES: usize = 160;

fn element(block: u64, at: usize) -> u64 {
    noise(block << 32 | at as u64)
}

/// Where piece `piece` of each block begins; pieces differ by an element at most.
fn begin(piece: usize) -> usize {
    piece * LEN / PIECES
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
        let fields = in_a_child(CASE, &format!("{threads} {}", blocks()));
        let (growth, sum, spilled) = (fields[0].parse::<u64>().unwrap(), fields[1].clone(), &fields[2]);
        println!("{threads} threads: grew by {} MiB, spilled {spilled}, in {}", growth / MIB, fields[3]);
        let least_spilled = (u64::from(blocks()) * 32 * MIB).saturating_sub(2 * LIMIT) / 2;
        assert!(spilled.parse::<u64>().unwrap() >= least_spilled, "{threads} threads: spilled only {spilled}");
        let allowed = promised(LIMIT, threads);
        assert!(growth <= allowed, "{threads} threads: grew by {} MiB, {} are allowed", growth / MIB, allowed / MIB);
        sums.push(sum);
    }
    sums.dedup();
    assert_eq!(sums.len(), 1, "the same results on any number of threads");
}
