//! chunkwise as a contender in a benchmark of several engines: one case per process, one line of JSON on stdout.
//!
//! ```text
//! contender --family sched --case chain_1e5 --data DIR --tmp DIR --threads 2
//! ```

use std::hint::black_box;
use std::time::{Duration, Instant};

use chunkwise::prelude::*;
use chunkwise::runtime::observe::{Observer, RunEvent};

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
fn sched(case: &str) -> Result<(u64, u64)> {
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

/// An observer that does nothing with what it is told.
struct Idle;

impl Observer for Idle {
    fn observe(&self, _: &RunEvent<'_>) {}
}

fn peak_resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

fn main() -> Result<()> {
    let mut options = std::collections::HashMap::new();
    let mut words = std::env::args().skip(1);
    while let (Some(key), Some(value)) = (words.next(), words.next()) {
        options.insert(key, value);
    }
    let text = |key: &str| options.get(key).cloned().unwrap_or_default();
    let case = text("--case");
    let threads = if case == "sleep8" { 4 } else { text("--threads").parse().unwrap_or(2) };
    let repeat: u32 = text("--repeat").parse().unwrap_or(1);
    let fuse = text("--fuse") == "true";
    let mut builder = Runtime::builder().threads(threads).set("optimize.fuse", fuse);
    if text("--observer") == "idle" {
        builder = builder.observer(Idle);
    }
    let runtime = builder.build()?;
    if text("--family") != "sched" {
        println!(r#"{{"error": "no such case: {case}"}}"#);
        return Ok(());
    }
    let mut seconds = Vec::new();
    let mut value = (0, 1);
    // Threads are started before the clock, as those of the others are.
    runtime.run(|| delayed(|| 1).compute())?;
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    for _ in 0..repeat {
        let start = Instant::now();
        value = runtime.run(|| sched(&case))?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    let mut sorted = seconds.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    let median = sorted[sorted.len() / 2];
    let record = serde_json::json!({
        "peer": "chunkwise",
        "case": case,
        "seconds": seconds,
        "peak_rss": peak_resident(),
        "check": { "scalars": { "value": value.0 } },
        "note": { "tasks": value.1, "us_per_task": median * 1e6 / value.1 as f64, "fused": fuse },
    });
    println!("{record}");
    Ok(())
}
