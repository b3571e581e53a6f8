//! How long it takes to plan arrays: some 10 000 operations over a million blocks, without running them; and again without what the
//! optimizer does beside fusing.
//!
//! Run with `cargo run --release --example array_plan_pace`.

use std::time::Instant;

use chunkwise::array::{Axis, Ix2, random, s};
use chunkwise::prelude::*;
use chunkwise::runtime::Stage;

/// A chain of operations on one array.
fn chain(x: &Array<f64, Ix2>, operations: usize) -> Array<f64, Ix2> {
    (0..operations / 2).fold(x.clone(), |y, at| &y * 0.5 + at as f64)
}

/// Many slices, turned arrays and sums of equal things, put together.
fn mixed(x: &Array<f64, Ix2>, operations: usize) -> Array<f64, Ix2> {
    let mut all = x.clone();
    for at in 0..operations / 5 {
        let other = match at % 3 {
            0 => x.t(),
            1 => x.slice(s![..;-1, ..]),
            _ => x.sqrt(),
        };
        all = (&all + &other).maximum(&(x * (at % 7) as f64));
    }
    all
}

fn main() -> Result<()> {
    let x = random::seed(1).uniform(0.0..1.0, (1_000_000, 1_000_000), (1000, 1000));
    let time = |name: &str, make: &dyn Fn() -> Array<f64, Ix2>| -> Result<()> {
        let begun = Instant::now();
        let made = make();
        let built = begun.elapsed();
        let mut times: Vec<f64> = Vec::new();
        let mut tasks = (0, 0);
        for _ in 0..5 {
            let begun = Instant::now();
            tasks = made.counts(Stage::Fused)?;
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        println!(
            "{name}: {} blocks, built in {:.1} ms, planned in {:.1} ms: {} layers, {} tasks",
            made.nblocks()?,
            built.as_secs_f64() * 1e3,
            times[2],
            tasks.0,
            tasks.1
        );
        Ok(())
    };
    time("a chain of 10 000 operations", &|| chain(&x, 10_000))?;
    time("10 000 mixed operations", &|| mixed(&x, 10_000))?;
    time("the same and what is less its mean", &|| {
        let y = mixed(&x, 9_990);
        &y - &y.mean_axis(Axis(0))
    })
}
