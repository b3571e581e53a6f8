//! The programs that people write with blocked arrays, each with what it prints: sizes that are never all there, symmetric sums, slices of
//! what nobody holds, anomalies written as they are made, filters over neighbours.
//!
//! ```text
//! cargo run --release --features zarr --example array_tour [full]
//! ```
//!
//! With `full` the arrays are those of the texts the programs come from: 80 GB of random numbers, under a memory limit of 512 MiB.
//! Results go to stdout, what the runs took to stderr.

use chunkwise::array::{Axis, Boundary, Chunks, Depth, Ix1, Ix2, Ix3, random, s};
use chunkwise::prelude::*;
use ndarray::{Array2, ArrayView2};

/// Sizes are divided by it along each axis, unless all of it is wanted.
const SMALLER: usize = 10;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let by = if std::env::args().any(|argument| argument == "full") { 1 } else { SMALLER };
    let runtime = Runtime::builder().memory_limit("512 MiB").build()?;
    let directory = std::env::temp_dir().join(format!("chunkwise-array-tour-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let done = runtime.run(|| {
        large_random_numbers(by)?;
        shown_but_not_computed()?;
        turned_and_sliced(by)?;
        several_at_once(by)?;
        anomalies(&directory)?;
        filters()?;
        ranges(&directory)
    });
    std::fs::remove_dir_all(&directory)?;
    eprintln!("{}", runtime.last_report());
    Ok(done?)
}

/// Statistics of numbers that are made as they are needed.
fn large_random_numbers(by: usize) -> Result<()> {
    let shape = (10_000 / by, 10_000 / by, 100);
    let x = random::seed(7).uniform(0.0..1.0, shape, (1000 / by, 1000 / by, 10));
    println!("{:?} of f64 in {} blocks, {:.2} GB", x.shape()?, x.nblocks()?, x.nbytes()? as f64 / 1e9);
    let (mean, std, max) = compute((x.mean(), x.std(0.0), x.max()))?;
    println!("mean {mean:.6}, std {std:.6}, max {max:.6}");
    Ok(())
}

/// What is lazy says what it is, and computes when it is asked to.
fn shown_but_not_computed() -> Result<()> {
    let x = random::seed(1).uniform(0.0..1.0, (1000, 1000), (100, 100));
    let z = (&x + 1.0) * 2.0;
    println!("{z:?}");
    let y = (&x + &x.t()).mean_axis(Axis(0));
    let size = y.estimate()?;
    println!("{} blocks; of the symmetric mean {} tasks in {} layers", x.nblocks()?, size.tasks, size.layers);
    println!("{:.6?}", y.slice(s![..3]).compute()?.to_vec());
    println!("{:.6}", z.mean().compute()?);
    Ok(())
}

/// A part of a sum of an array and its transpose: only what it needs is made.
fn turned_and_sliced(by: usize) -> Result<()> {
    let n = 100_000 / by;
    let x = random::seed(3).uniform(0.0..1.0, (n, n), (n / 10, n / 10));
    let y = &x + &x.t();
    let z = y.slice(s![..;2, ..n / 20]).mean_axis(Axis(0));
    let means: ndarray::Array1<f64> = z.compute()?;
    println!("{:.2} GB, {} means, the first {:.6}", x.nbytes()? as f64 / 1e9, means.len(), means[0]);
    Ok(())
}

/// Five results of one run, which share what they read.
fn several_at_once(by: usize) -> Result<()> {
    let n = 10_000 / by;
    let x = random::seed(4).uniform(0.0..1.0, (n, n), (n / 10, n / 10));
    let (sum, mean) = compute((x.sum(), (&x + &x.t()).mean()))?;
    println!("sum {sum:.3}, mean of both {mean:.6}");
    let y = random::seed(5).uniform(0.0..1.0, (n, n), (n / 10, n / 10));
    let sums: Vec<_> = (0..5).map(|i| (&x + &y * f64::from(i)).sum()).collect();
    println!("{:.3?}", compute(sums)?);
    Ok(())
}

/// What differs from the mean over time, from one store to another.
fn anomalies(directory: &std::path::Path) -> Result<()> {
    let (stack, anomaly) = (directory.join("stack.zarr"), directory.join("anomaly.zarr"));
    let days = random::seed(6).normal(15.0, 5.0, (120, 90, 100), (12, 90, 100));
    days.to_zarr(&stack).write()?;
    let days = array::read_zarr::<f64, Ix3>(&stack)?;
    let climatology = days.mean_axis(Axis(0));
    (&days - &climatology).to_zarr(&anomaly).write()?;
    let written = array::read_zarr::<f64, Ix3>(&anomaly)?;
    let (mean, std) = compute((written.mean().abs(), written.std(0.0)))?;
    println!("anomalies {:?}: mean below 1e-12: {}, std {std:.6}", written.shape()?, mean < 1e-12);
    Ok(())
}

/// Weights of a Gaussian filter.
fn weights(sigma: f64) -> Vec<f64> {
    let radius = (4.0 * sigma).round() as i32;
    let of: Vec<f64> = (-radius..=radius).map(|at| (-0.5 * (f64::from(at) / sigma).powi(2)).exp()).collect();
    let sum: f64 = of.iter().sum();
    of.into_iter().map(|weight| weight / sum).collect()
}

/// The filter along both axes; what lies beyond the block is mirrored.
fn gaussian(block: ArrayView2<'_, f64>, sigma: f64) -> Array2<f64> {
    let weights = weights(sigma);
    let radius = (weights.len() / 2) as isize;
    let along = |of: &Array2<f64>, axis: Axis| {
        let len = of.len_of(axis) as isize;
        let place = |at: isize| {
            let at = at.rem_euclid(2 * len);
            (if at < len { at } else { 2 * len - 1 - at }) as usize
        };
        let mut out = Array2::zeros(of.dim());
        for at in 0..len {
            for (offset, weight) in weights.iter().enumerate() {
                let from = of.index_axis(axis, place(at + offset as isize - radius));
                out.index_axis_mut(axis, at as usize).scaled_add(*weight, &from);
            }
        }
        out
    };
    along(&along(&block.to_owned(), Axis(0)), Axis(1))
}

/// A filter block by block, and one that sees what stands beside its block: only the second one has no seams.
fn filters() -> Result<()> {
    let x = random::seed(8).uniform(0.0..1.0, (600, 500), (200, 100));
    let by_blocks = x.map_blocks(|block| gaussian(block, 2.0));
    let seamless = x.map_overlap(Depth::all(8), Boundary::Reflect, |block| gaussian(block, 2.0));
    let whole = x.rechunk(-1).map_blocks(|block| gaussian(block, 2.0));
    println!("{by_blocks:?}");
    let (seams, none) = compute(((&by_blocks - &whole).abs().max(), (&seamless - &whole).abs().max()))?;
    println!("seams of blocks {seams:.3}, with neighbours below 1e-12: {}", none < 1e-12);
    let other: Array<f64, Ix2> = seamless.rechunk(Chunks::axis(0, 500).and(1, 50));
    println!("cut anew: {:?} blocks of {:?}", other.numblocks()?, other.chunksize()?);
    Ok(())
}

/// Numbers in order, slices backwards, and a file as a source.
fn ranges(directory: &std::path::Path) -> Result<()> {
    let x = array::arange(0_i64, 1_000_000, 1, 10_000);
    println!("{} blocks; {:?}", x.nblocks()?, x.slice(s![500_000..;100_000]).compute()?.to_vec());
    let grid = array::arange(0_i64, 60_000, 1, 7000).reshape((100, 600));
    let part = grid.slice(s![..50, 101..501;-2]);
    let first = part.index_axis(Axis(0), 0).slice(s![..3]);
    println!("{:?}, of which the first are {:?}", part.shape()?, first.compute()?.to_vec());
    let path = directory.join("numbers.npy");
    x.to_npy(&path).write()?;
    let sum: i64 = array::read_npy::<i64, Ix1>(&path, 100_000)?.sum().compute()?;
    println!("sum of the file {sum}");
    Ok(())
}
