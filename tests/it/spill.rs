//! More data than memory: the same results through a small limit, over all threads and disks.

use chunkwise::prelude::*;
use chunkwise::store::Block;
use serde::{Deserialize, Serialize};

use crate::support::{Bits, EVERYWHERE, assert_nothing_held, assert_same, noise, noise_block};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Cuts a block into equal pieces.
fn cut(block: &Block<u64>, pieces: usize) -> Vec<Block<u64>> {
    let each = block.len() / pieces;
    (0..pieces).map(|piece| block.slice(piece * each..(piece + 1) * each)).collect()
}

/// `count` blocks, each cut into `count` pieces, piece `j` of all of them checked by task `j`, which gives their sum.
fn transpose(count: u32, len: usize) -> DelayedVec<u64> {
    let blocks = DelayedVec::from_fn(count, move |seed| noise_block(seed, len));
    let each = len / count as usize;
    blocks.all_to_all(
        count,
        move |block| cut(&block, count as usize),
        move |pieces: Vec<Block<u64>>| {
            let first = pieces[0][0];
            let part = (0..count as usize).find(|part| noise((part * each) as u64) == first).expect("a known piece");
            let mut sum = 0u64;
            for (seed, piece) in pieces.iter().enumerate() {
                assert_eq!(piece.len(), each);
                for (at, element) in piece.iter().enumerate() {
                    assert_eq!(*element, noise((seed as u64) << 32 | (part * each + at) as u64), "{seed}, {part}");
                    sum = sum.wrapping_add(*element);
                }
            }
            sum
        },
    )
}

fn transposed(count: u32, len: usize) -> Vec<u64> {
    let each = len / count as usize;
    let sum = |part: usize| {
        let places =
            (0..count).flat_map(|seed| (0..each).map(move |at| u64::from(seed) << 32 | (part * each + at) as u64));
        places.fold(0u64, |sum, place| sum.wrapping_add(noise(place)))
    };
    (0..count as usize).map(sum).collect()
}

#[test]
fn blocks_of_four_times_the_memory_change_places() {
    let (count, len) = (32, MIB as usize / 8);
    let expected = transposed(count, len);
    for on in EVERYWHERE {
        let (runtime, disk) = on.runtime(8 * MIB);
        for _ in 0..2 {
            assert_eq!(transpose(count, len).compute_on(&runtime).unwrap(), expected, "{on:?}");
            let report = runtime.last_report();
            assert!(report.spilled_bytes > 16 * MIB, "{on:?}: {report}");
            assert!(report.read_back_bytes >= report.spilled_bytes / 2, "{on:?}: {report}");
            assert_nothing_held(&runtime, &format!("{on:?}"));
            assert!(disk.paths().is_empty(), "{on:?}: {:?}", disk.paths());
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    name: String,
    values: Vec<f64>,
}

impl Record {
    fn new(seed: u32, len: u32) -> Record {
        let values = (0..len).map(|at| noise(u64::from(seed) << 32 | u64::from(at)) as f64 / 3.0 - 1.0).collect();
        Record { name: format!("record {seed}"), values }
    }
}

impl Bits for Record {
    fn bits(&self, out: &mut Vec<u64>) {
        self.name.bits(out);
        self.values.bits(out);
    }
}

/// Sums in a fixed order, so that their bits can be compared.
fn sum(values: &[f64]) -> f64 {
    values.iter().sum()
}

#[test]
fn rows_of_blocks() {
    const LEN: usize = 2048;
    let row = || DelayedVec::from_fn(24, |seed| noise_block(seed, LEN));
    let blocks: Vec<Block<u64>> = (0..24).map(|seed| noise_block(seed, LEN)).collect();
    // The results alone are larger than the limit: they stay in memory all the same.
    assert_same(64 * KIB, row, blocks.clone());

    let xor = |a: &Block<u64>, b: &Block<u64>| Block::from_vec(a.iter().zip(b.iter()).map(|(a, b)| a ^ b).collect());
    let all = blocks.iter().skip(1).fold(blocks[0].clone(), |a, b| xor(&a, b));
    let spilled = assert_same(160 * KIB, || row().tree_reduce(move |a, b| xor(&a, &b)), Some(all));
    assert!(!spilled || cfg!(unix));

    // Every block is read twice, the second time after all of them were made.
    let twice = || {
        let row = row();
        let last = row.map(|block| block[7]).tree_reduce(u64::wrapping_add);
        row.map_with(&last, |block, last| block[3] ^ last.unwrap_or(0))
    };
    let last = blocks.iter().fold(0u64, |sum, block| sum.wrapping_add(block[7]));
    assert!(assert_same(96 * KIB, twice, blocks.iter().map(|block| block[3] ^ last).collect::<Vec<_>>()));

    let turned = || {
        row().all_to_all(
            8,
            |block| cut(&block, 8),
            |pieces: Vec<Block<u64>>| pieces.iter().flat_map(|piece| piece.iter()).fold(1, |a, b| noise(a ^ b)),
        )
    };
    let part = |part: usize| blocks.iter().flat_map(move |block| block[part * LEN / 8..(part + 1) * LEN / 8].iter());
    let expected = (0..8).map(|at| part(at).fold(1, |a, b| noise(a ^ b))).collect::<Vec<_>>();
    assert!(assert_same(128 * KIB, turned, expected));
}

#[test]
fn rows_of_vectors() {
    let vector = |seed: u32| (0..1024).map(|at| noise(u64::from(seed) << 32 | at) as f64).collect::<Vec<f64>>();
    let row = move || DelayedVec::from_fn(30, vector);
    let windows = move || row().windows(2, 1, |around| around.iter().map(|values| sum(values)).sum::<f64>());
    let sums: Vec<f64> = (0..30).map(|seed| sum(&vector(seed))).collect();
    let expected =
        (0..30usize).map(|at| sums[at.saturating_sub(2)..(at + 2).min(30)].iter().sum()).collect::<Vec<f64>>();
    assert_same(64 * KIB, windows, expected);

    let zipped = move || row().zip_with(&row().map(|values| values[0]), |values, first| sum(values) - first);
    assert_same(48 * KIB, zipped, (0..30).map(|seed| sums[seed as usize] - vector(seed)[0]).collect::<Vec<_>>());

    let all = move || row().all().map(|rows| rows.iter().map(|values| sum(values)).sum::<f64>());
    assert_same(300 * KIB, all, sums.iter().sum());

    let one = move || (row().get(3), row().try_map(|values| values[1].to_string().parse::<f64>()).get(29));
    assert_same(48 * KIB, one, (vector(3), vector(29)[1]));
}

#[test]
fn single_values_that_can_be_spilled() {
    let records: Vec<Record> = (0..16).map(|seed| Record::new(seed, 1000)).collect();
    let build = || {
        let made: Vec<Delayed<Record>> =
            (0..16).map(|seed| delayed(move || Record::new(seed, 1000)).spillable()).collect();
        // Nothing reads a record before all were made.
        let lens = made.iter().map(|record| record.map(|record| record.values.len())).collect::<Vec<_>>();
        let count = Delayed::all(&lens).map(|lens| lens.iter().sum::<usize>());
        let read = |record: &Delayed<Record>| {
            delayed_with((record, &count), |(record, count)| {
                format!("{} of {count}: {:?}", record.name, record.values[9])
            })
        };
        made.iter().map(read).collect::<Vec<_>>()
    };
    let expected = records.iter().map(|record| format!("{} of 16000: {:?}", record.name, record.values[9]));
    assert!(assert_same(48 * KIB, build, expected.collect::<Vec<_>>()));

    // A list split into values of their own, each spilled by itself, and read in the opposite order.
    let split = || {
        let parts = delayed(|| (0..12).map(|seed| Record::new(seed, 700)).collect::<Vec<_>>()).split(12);
        let lens = parts.iter().map(|part| part.map(|record| record.values.len())).collect::<Vec<_>>();
        let count = Delayed::all(&lens).map(|lens| lens.len());
        let mut chain = count.map(|count| *count as f64);
        for part in parts.iter().rev() {
            chain = delayed_with((&chain, part), |(chain, record)| chain * 0.5 + record.values[1]);
        }
        chain
    };
    let expected = (0..12).rev().fold(12.0, |chain, seed| chain * 0.5 + Record::new(seed, 700).values[1]);
    assert_same(200 * KIB, split, expected);
}

#[test]
fn values_that_cannot_be_spilled_go_over_the_limit() {
    // Only their own size is known to the engine, and there is no way to write them.
    let build = || {
        let row = DelayedVec::from_fn(64, |seed| [u64::from(seed); 64]);
        let total = row.map(|array| array[63]).tree_reduce(|a, b| a + b);
        row.map_with(&total, |array, total| array[0] + total.unwrap_or(0))
    };
    assert_same(8 * KIB, build, (0..64).map(|seed| seed + 2016).collect::<Vec<u64>>());
}

#[test]
fn a_value_with_many_readers_under_pressure() {
    let build = || {
        let shared = delayed(|| noise_block(1, 4096));
        let row = DelayedVec::from_fn(4_000, |at| at);
        let read = row.map_with(&shared, |at, block| block[*at as usize % 4096] ^ u64::from(*at));
        let blocks = DelayedVec::from_fn(40, |seed| noise_block(seed, 1024));
        let all = blocks.map(|block| block[0]).tree_reduce(u64::wrapping_add);
        (read.tree_reduce(u64::wrapping_add), blocks.map_with(&all, |block, all| block[1] ^ all.unwrap_or(0)))
    };
    let shared = noise_block(1, 4096);
    let read = (0..4_000u64).fold(0u64, |sum, at| sum.wrapping_add(shared[at as usize % 4096] ^ at));
    let place = |seed: u64, at: u64| noise(seed << 32 | at);
    let all = (0..40).fold(0u64, |sum, seed| sum.wrapping_add(place(seed, 0)));
    assert_same(256 * KIB, build, (Some(read), (0..40).map(|seed| place(seed, 1) ^ all).collect::<Vec<_>>()));
}
