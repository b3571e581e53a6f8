//! Spill throughput against a plain loop over a plain file, and the cost of a pooled block.
//!
//! `cargo run --release --example spill_throughput [directory] [GiB]`

use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use chunkwise::store::spill::{RealDisk, SpillOptions};
use chunkwise::store::{Block, Chunk, Extent, Pool, SpillArea, chunk};

const BLOCK: usize = 32 << 20;

fn main() -> chunkwise::Result<()> {
    let mut args = std::env::args().skip(1);
    let root = args.next().map_or_else(chunkwise::store::spill::default_root, PathBuf::from);
    let gib: usize = args.next().and_then(|text| text.parse().ok()).unwrap_or(4);
    pool();
    system();
    for round in 0..4 {
        println!("round {round}: {gib} GiB of 32 MiB blocks in {}", root.display());
        // The order changes, so that neither always meets the disk that the other left busy.
        if round % 2 == 1 {
            spill(&root, gib << 30)?;
        }
        for call in [1 << 20, 4 << 20] {
            let (write, read) = plain(&root, gib << 30, call).expect("the plain loop");
            println!("  plain, calls of {} MiB: write {write:.2} GB/s, read {read:.2} GB/s", call >> 20);
        }
        if round % 2 == 0 {
            spill(&root, gib << 30)?;
        }
        // Twenty blocks on disk at a time: files are written over.
        turnover(&root, gib << 30)?;
    }
    Ok(())
}

fn pool() {
    let pool = Pool::new(1 << 30);
    let _guard = pool.enter();
    for bytes in [64 << 10, 1 << 20, 32 << 20] {
        let rounds = 100_000;
        drop(Block::<u8>::build(bytes, |_| ()));
        let start = Instant::now();
        for _ in 0..rounds {
            drop(black_box(Block::<u8>::build(bytes, |_| ())));
        }
        println!("pool hit, {} KiB: {:.0} ns", bytes >> 10, start.elapsed().as_secs_f64() * 1e9 / f64::from(rounds));
    }
    let fill = |name: &str, rounds: usize| {
        let start = Instant::now();
        for i in 0..rounds {
            drop(black_box(Block::<u8>::build(BLOCK, |out| out.fill(i as u8))));
        }
        println!("fill 32 MiB, {name}: {:.1} GB/s", rate(rounds * BLOCK, start));
    };
    fill("recycled slab", 50);
    drop(_guard);
    let bare = Pool::new(0);
    let _guard = bare.enter();
    fill("fresh slab", 20);
    drop(_guard);
    fill("fresh vector", 20);
}

fn system() {
    let rounds = 10_000;
    let start = Instant::now();
    for _ in 0..rounds {
        black_box(chunkwise::store::process::resident());
    }
    println!("resident(): {:.1} µs", start.elapsed().as_secs_f64() * 1e6 / f64::from(rounds));
    let budget = chunkwise::store::Budget::new(1 << 30);
    let mut held = budget.reserve("bench", 0).expect("nothing is asked");
    let rounds = 10_000_000;
    let start = Instant::now();
    for _ in 0..rounds {
        black_box(held.try_grow(64)).expect("within the limit");
        held.shrink(64);
    }
    println!("try_grow and shrink: {:.0} ns", start.elapsed().as_secs_f64() * 1e9 / f64::from(rounds));
    let rounds = 1_000_000;
    let start = Instant::now();
    for _ in 0..rounds {
        drop(black_box(budget.reserve("bench", 64)).expect("within the limit"));
    }
    println!("reserve and drop: {:.0} ns", start.elapsed().as_secs_f64() * 1e9 / f64::from(rounds));
}

fn rate(bytes: usize, start: Instant) -> f64 {
    bytes as f64 / start.elapsed().as_secs_f64() / 1e9
}

fn plain(root: &Path, bytes: usize, call: usize) -> std::io::Result<(f64, f64)> {
    let path = root.join("plain-loop");
    let mut file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
    let mut buffer = vec![7u8; BLOCK];
    let start = Instant::now();
    for _ in 0..bytes / BLOCK {
        for part in buffer.chunks(call) {
            file.write_all(part)?;
        }
    }
    let write = rate(bytes, start);
    file.rewind()?;
    let start = Instant::now();
    for _ in 0..bytes / BLOCK {
        for part in buffer.chunks_mut(call) {
            file.read_exact(part)?;
        }
    }
    let read = rate(bytes, start);
    std::fs::remove_file(&path)?;
    Ok((write, read))
}

fn block(seed: usize) -> Chunk {
    Chunk::new(Block::build(BLOCK / 8, |out: &mut [u64]| {
        out.iter_mut().enumerate().for_each(|(i, out)| *out = (i ^ seed) as u64);
    }))
}

fn spill(root: &Path, bytes: usize) -> chunkwise::Result<()> {
    let area = SpillArea::new(Arc::new(RealDisk), root.to_path_buf(), None);
    let codec = chunk::plain::<Block<u64>>().codec().expect("blocks have a codec");
    let pool = Pool::new(256 << 20);
    let _guard = pool.enter();
    let value = block(1);
    let start = Instant::now();
    let mut extents: Vec<Extent> = Vec::new();
    for _ in 0..bytes / BLOCK {
        extents.extend(area.write(&[(&value, codec)])?);
    }
    let write = rate(bytes, start);
    let start = Instant::now();
    for extent in &extents {
        black_box(area.read(extent, codec)?);
    }
    let read = rate(bytes, start);
    let start = Instant::now();
    drop(extents);
    area.idle()?;
    println!(
        "  spill, new files:     write {write:.2} GB/s, read {read:.2} GB/s, free {:.2} s",
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

fn turnover(root: &Path, bytes: usize) -> chunkwise::Result<()> {
    for recycle_bytes in [0, SpillOptions::default().recycle_bytes] {
        let options = SpillOptions { recycle_bytes, ..SpillOptions::default() };
        let area = SpillArea::with_options(Arc::new(RealDisk), root.to_path_buf(), options);
        let codec = chunk::plain::<Block<u64>>().codec().expect("blocks have a codec");
        let pool = Pool::new(256 << 20);
        let _guard = pool.enter();
        let value = block(1);
        let mut on_disk = std::collections::VecDeque::new();
        let (mut write, mut read) = (0.0, 0.0);
        for _ in 0..bytes / BLOCK {
            let start = Instant::now();
            on_disk.extend(area.write(&[(&value, codec)])?);
            write += start.elapsed().as_secs_f64();
            if on_disk.len() > 20 {
                let start = Instant::now();
                let oldest = on_disk.pop_front().expect("just counted");
                black_box(area.read(&oldest, codec)?);
                drop(oldest);
                read += start.elapsed().as_secs_f64();
            }
        }
        let gb = bytes as f64 / 1e9;
        println!(
            "  spill, turnover, {} MiB recycled: write {:.2} GB/s, read and free {:.2} GB/s, {} files made",
            recycle_bytes >> 20,
            gb / write,
            gb / read,
            area.stats().files_created
        );
    }
    Ok(())
}
