//! The promise about the process, for arrays many times larger than the limit: what a run adds to its resident memory stays within the limit and a
//! fixed allowance.
//!
//! Each configuration runs in a process of its own, this test again, so that nothing that ran before counts. In optimized builds, or with
//! `MEMORY_TEST_FULL=1`, arrays are as large as they are meant to be and the limit is 512 MiB.

#![cfg(target_os = "linux")]

// Others need all of it.
#[allow(dead_code)]
mod resident;

use std::path::Path;
use std::time::Instant;

use chunkwise::array::{Axis, BlockShape, Ix1, s};
use chunkwise::prelude::*;
use chunkwise::runtime::config::Scheduler;
use chunkwise::store::spill::default_root;
use resident::{MIB, growth, in_a_child, is_full, promised};

/// Says to the test that it is the child: what it does, threads, 0 for a synchronous runtime, and where files are.
const CASE: &str = "ARRAY_MEMORY_TEST_CASE";

fn by_size<T>(full: T, small: T) -> T {
    if is_full() { full } else { small }
}

fn limit() -> u64 {
    by_size(512, 16) * MIB
}

/// What the child does; gives a number that does not depend on threads.
fn work(what: &str, dir: &Path) -> Result<f64> {
    let rng = array::random::seed(7);
    match what {
        // 80 GB of random numbers, in blocks of 80 MB.
        "random" => {
            let x = by_size(
                rng.uniform(0.0..1.0, (10_000, 10_000, 100), (1000, 1000, 10)),
                rng.uniform(0.0..1.0, (500, 400, 100), (200, 200, 50)),
            );
            let (mean, std, max) = compute((x.mean(), x.std(0.0), x.max()))?;
            let off = by_size(1e-5, 1e-3);
            assert!((mean - 0.5).abs() < off && (std - 1.0 / 12_f64.sqrt()).abs() < off && max < 1.0 && max > 0.999);
            Ok(mean + std + max)
        }
        // 80 GB in blocks of 800 MB, which are larger than the limit.
        "symmetric" => {
            let (len, block, columns) = by_size((100_000, 10_000, 5000), (6000, 3000, 700));
            let x = rng.uniform(0.0..1.0, (len, len), block);
            let y = &x + &x.t();
            let means: ndarray::Array1<f64> = y.slice(s![..;2, ..columns]).mean_axis(Axis(0)).compute()?;
            assert!(means.len() == columns && means.iter().all(|mean| (mean - 1.0).abs() < by_size(0.02, 0.05)));
            Ok(means.sum())
        }
        // Blocks of rows that are kept become blocks of columns.
        "rechunk" => {
            let (len, block) = by_size((20_000, 1000), (2500, 100));
            let x = rng.uniform(0.0..1.0, (len, len), (block, -1)).map_blocks(|block| block.to_owned());
            let sums: Array<f64, Ix1> = x
                .rechunk((-1, block))
                .map_blocks_as(BlockShape::same().drop_axis(0), |block, _| block.sum_axis(ndarray::Axis(0)));
            let sums = sums.compute()?;
            assert!(sums.len() == len && (sums.sum() / (len as f64).powi(2) - 0.5).abs() < 1e-3);
            Ok(sums[0] + sums[len - 1])
        }
        // Rows as long as blocks: as much is kept of each as it has elements, and more.
        "along" => {
            let (rows, len) = by_size((128, 4_000_000), (96, 120_000));
            let x = rng.uniform(0.0..1.0, (rows, len), (1, -1));
            let kept = x.map_blocks(|block| block.to_owned());
            let all = compute((x.std_axis(Axis(0), 0.0).mean(), x.argmax_axis(Axis(0)).max()))?;
            let of_kept = compute((kept.sum_axis(Axis(0)).mean(), kept.max_axis(Axis(0)).min()))?;
            assert!((all.0 - 1.0 / 12_f64.sqrt()).abs() < 0.01 && all.1 == rows as i64 - 1, "{all:?}");
            assert!((of_kept.0 / rows as f64 - 0.5).abs() < 0.01 && of_kept.1 > 0.5, "{of_kept:?}");
            Ok(all.0 + of_kept.0 + of_kept.1)
        }
        // What months differ by from their mean, stored block by block.
        #[cfg(feature = "zarr")]
        "anomaly" => {
            let (times, side) = by_size((500, 1000), (60, 300));
            let block = by_size((10, 500, 1000), (6, 150, 300));
            let x = rng.normal(3.0, 2.0, (times, side, side), block);
            x.to_zarr(dir.join("x.zarr")).write()?;
            let x = array::read_zarr_with::<f64, ndarray::Ix3>(dir.join("x.zarr"), block)?;
            (&x - &x.mean_axis(Axis(0))).to_zarr(dir.join("y.zarr")).write()?;
            let y = array::read_zarr_with::<f64, ndarray::Ix3>(dir.join("y.zarr"), block)?;
            let (mean, std) = compute((y.mean(), y.std(0.0)))?;
            assert!(mean.abs() < 1e-9 && (std - 2.0).abs() < 0.1, "{mean} {std}");
            Ok(std)
        }
        _ => unreachable!("{what} {}", dir.display()),
    }
}

#[test]
fn child() {
    let Ok(case) = std::env::var(CASE) else { return };
    let words: Vec<&str> = case.split(' ').collect();
    let (threads, dir): (usize, &Path) = (words[1].parse().unwrap(), Path::new(words[2]));
    let builder = Runtime::builder().memory_limit(limit()).spill_dir(dir.join("spill"));
    let runtime = match threads {
        0 => builder.scheduler(Scheduler::Synchronous),
        _ => builder.threads(threads),
    };
    let runtime = runtime.build().unwrap();
    let begun = Instant::now();
    let (given, growth) = growth(|| runtime.run(|| work(words[0], dir)).unwrap());
    assert_eq!((runtime.memory_held(), runtime.spilled()), (0, 0));
    println!("result {growth} {:016x} {:.1?}", given.to_bits(), begun.elapsed());
}

fn check(what: &str) {
    if std::env::var_os(CASE).is_some() {
        return;
    }
    let mut results = Vec::new();
    for threads in by_size(&[0_u64, 1, 2, 8][..], &[0, 2]) {
        let dir = tempfile::tempdir_in(default_root()).unwrap();
        let fields = in_a_child(CASE, &format!("{what} {threads} {}", dir.path().display()));
        let growth: u64 = fields[0].parse().unwrap();
        println!("{what}, {threads} threads: grew by {} MiB in {}", growth / MIB, fields[2]);
        let allowed = promised(limit(), *threads);
        assert!(
            growth <= allowed,
            "{what}, {threads} threads: grew by {} MiB, {} are allowed",
            growth / MIB,
            allowed / MIB
        );
        results.push(fields[1].clone());
    }
    results.dedup();
    assert_eq!(results.len(), 1, "{what}: the same bits on any number of threads");
}

#[test]
fn random_numbers() {
    check("random");
}

#[test]
fn blocks_that_are_larger_than_the_limit() {
    check("symmetric");
}

#[test]
fn what_is_left_along_an_axis() {
    check("along");
}

#[test]
fn rows_that_become_columns() {
    check("rechunk");
}

#[test]
#[cfg(feature = "zarr")]
fn what_is_read_twice() {
    check("anomaly");
}
