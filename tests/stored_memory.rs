//! The promise about the process for stored arrays: what a run that reads and writes them adds to its resident memory stays within the
//! limit and a fixed allowance.
//!
//! Each configuration runs in a process of its own, this test again, so that nothing that ran before counts.

mod resident;

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use chunkwise::array::Ix2;
use chunkwise::prelude::*;
use chunkwise::runtime::config::Scheduler;
use chunkwise::store::spill::default_root;
use resident::{MIB, growth, in_a_child, is_full, noise, promised};

const LIMIT: u64 = 48 * MIB;

/// Says to the test that it is the child: threads, 0 for a synchronous runtime, and where the file is.
const CASE: &str = "STORED_MEMORY_TEST_CASE";

/// 8 KiB each.
const COLUMNS: usize = 1024;

/// 1 GiB in optimized builds or where it is asked for, a fourth of that elsewhere.
fn rows() -> usize {
    (if is_full() { 1 << 30 } else { 1 << 28 }) / (COLUMNS * 8)
}

/// A file of whole numbers, as other programs write it.
fn write_numbers(path: &Path) -> u64 {
    let mut header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({}, {COLUMNS}), }}", rows());
    while !(header.len() + 11).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    file.write_all(b"\x93NUMPY\x01\x00").unwrap();
    file.write_all(&(header.len() as u16).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    let mut sum = 0;
    for place in 0..rows() * COLUMNS {
        let number = noise(place as u64) % 1000;
        sum += number;
        file.write_all(&(number as f64).to_le_bytes()).unwrap();
    }
    file.flush().unwrap();
    sum
}

/// Sums a file, and writes it in another way: with feature `zarr` to chunks that stand across its rows, then back.
fn work(dir: &Path) -> Result<f64> {
    let x: Array<f64, Ix2> = array::read_npy(dir.join("x.npy"), (512, -1))?;
    let doubled = &x * 2.0;
    let (sum, _) = compute((x.sum(), doubled.to_npy(dir.join("y.npy"))))?;
    let y: Array<f64, Ix2> = array::read_npy(dir.join("y.npy"), (512, -1))?;
    #[cfg(feature = "zarr")]
    let y = {
        y.to_zarr(dir.join("y.zarr")).chunks((256, 512)).write()?;
        array::read_zarr_with::<f64, Ix2>(dir.join("y.zarr"), (512, 1024))?
    };
    // Blocks as large as the whole are read in smaller ones.
    let whole: Array<f64, Ix2> = array::read_npy(dir.join("x.npy"), -1)?;
    let (twice, most) = compute((y.sum(), whole.max()))?;
    assert_eq!((twice, most), (2.0 * sum, 999.0));
    Ok(sum)
}

#[test]
fn child() {
    let Ok(case) = std::env::var(CASE) else { return };
    let (threads, dir) = case.split_once(' ').unwrap();
    let (threads, dir): (usize, &Path) = (threads.parse().unwrap(), Path::new(dir));
    let spill = dir.join("spill");
    let builder = Runtime::builder().memory_limit(LIMIT).spill_dir(&spill);
    let runtime = match threads {
        0 => builder.scheduler(Scheduler::Synchronous),
        _ => builder.threads(threads),
    };
    let runtime = runtime.build().unwrap();
    let begun = Instant::now();
    let (sum, growth) = growth(|| runtime.run(|| work(dir)).unwrap());
    assert_eq!((runtime.memory_held(), runtime.spilled()), (0, 0));
    println!("result {growth} {sum} {:.1?}", begun.elapsed());
}

#[test]
#[cfg(target_os = "linux")]
fn a_gibibyte_through_48_mebibytes() {
    if std::env::var_os(CASE).is_some() {
        return;
    }
    let dir = tempfile::tempdir_in(default_root()).unwrap();
    let sum = write_numbers(&dir.path().join("x.npy")) as f64;
    // Without optimization each takes half a minute.
    let all: &[u64] = if is_full() { &[0, 1, 2, 8] } else { &[1, 8] };
    for threads in all.iter().copied() {
        let fields = in_a_child(CASE, &format!("{threads} {}", dir.path().display()));
        let (growth, found) = (fields[0].parse::<u64>().unwrap(), fields[1].parse::<f64>().unwrap());
        println!("{threads} threads: grew by {} MiB, in {}", growth / MIB, fields[2]);
        assert_eq!(found, sum, "{threads} threads");
        let allowed = promised(LIMIT, threads);
        assert!(growth <= allowed, "{threads} threads: grew by {} MiB, {} are allowed", growth / MIB, allowed / MIB);
    }
}
