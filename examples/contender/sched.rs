//! Graphs of tasks that do next to nothing: the time of the scheduler itself.

use std::hint::black_box;
use std::time::Duration;

use chunkwise::prelude::*;

/// The random graph of the other engines: node `i` reads 2 to 4 of the 1000 nodes before it.
fn dag(nodes: u32) -> Vec<Delayed<u64>> {
    let mut state: u64 = 88_172_645_463_325_252;
    let mut step = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32
    };
    let mut made: Vec<Delayed<u64>> = Vec::with_capacity(nodes as usize);
    for i in 0..nodes {
        let count = if i < 4 { 0 } else { 2 + step() % 3 };
        let inputs: Vec<Delayed<u64>> =
            (0..count).map(|_| made[(i - 1 - step() % i.min(1000)) as usize].clone()).collect();
        made.push(delayed_with(inputs, |values| (1 + values.into_iter().sum::<u64>()) & MASK));
    }
    made
}

const MASK: u64 = 0x7FFF_FFFF;

/// The value of a case, and how many tasks it has. Building the graph is part of the time.
pub fn run(case: &str) -> Result<(u64, u64)> {
    let (name, size) = case.split_once('_').unwrap_or((case, "0"));
    let size = size.parse::<f64>().unwrap_or(0.0) as u32;
    match name {
        // One layer of many tasks.
        "empty" => {
            let row = DelayedVec::from_fn(size, |_| black_box(1u64)).compute()?;
            Ok((row.iter().sum(), u64::from(size)))
        }
        // The same number of tasks made one by one.
        "many" => {
            let tasks: Vec<Delayed<u64>> = (0..size).map(|_| delayed(|| black_box(1u64))).collect();
            Ok((Delayed::all(&tasks).compute()?.iter().sum(), u64::from(size)))
        }
        "chain" => {
            let mut last = delayed(|| 0u64);
            for _ in 0..size {
                last = last.map(|x| x + 1);
            }
            Ok((last.compute()?, u64::from(size)))
        }
        "tree" => {
            let mut level: Vec<Delayed<u64>> = (0..size).map(|i| delayed(move || u64::from(i))).collect();
            while level.len() > 1 {
                level = level.chunks(2).map(|pair| delayed_with((&pair[0], &pair[1]), |(a, b)| a + b)).collect();
            }
            Ok((level[0].compute()?, 2 * u64::from(size) - 1))
        }
        "dag" => {
            let nodes = dag(size);
            Ok((Delayed::all(&nodes).compute()?.iter().sum::<u64>() & MASK, u64::from(size)))
        }
        "sleep8" => {
            let naps: Vec<Delayed<u64>> = (0..8)
                .map(|_| {
                    delayed(|| {
                        std::thread::sleep(Duration::from_secs(1));
                        1
                    })
                })
                .collect();
            Ok((Delayed::all(&naps).compute()?.iter().sum(), 8))
        }
        _ => Err(Error::new(ErrorKind::Plan, format!("no such case: {case}"))),
    }
}
