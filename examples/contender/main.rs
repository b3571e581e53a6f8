//! chunkwise as a contender in a benchmark of several engines: one case per process, one line of JSON on stdout.
//!
//! ```text
//! contender --family sched --case chain_1e5 --data DIR --tmp DIR --threads 2
//! ```

mod arrays;
mod sched;
mod tables;

use std::path::PathBuf;
use std::time::Instant;

use chunkwise::prelude::*;
use chunkwise::runtime::observe::{Observer, RunEvent};
use serde_json::json;

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
    let (is_sched, is_array) = (text("--family") == "sched", text("--family") == "array");
    // Fusing chains of empty tasks would leave nothing to measure.
    let fuse = !is_sched || text("--fuse") == "true";
    let mut builder = Runtime::builder().threads(threads).set("optimize.fuse", fuse);
    if let Ok(cap) = text("--cap").parse::<u64>()
        && cap > 0
    {
        builder = builder.memory_limit(cap * 8 / 10);
    }
    if text("--observer") == "idle" {
        builder = builder.observer(Idle);
    }
    let runtime = builder.build()?;
    let (data, tmp) = (PathBuf::from(text("--data")), PathBuf::from(text("--tmp")));
    let inputs = if is_array { arrays::load(&case, &data)? } else { arrays::Inputs::default() };
    let mut seconds = Vec::new();
    let mut done = Done::default();
    // Threads are started before the clock, as those of the others are.
    runtime.run(|| delayed(|| 1).compute())?;
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    for _ in 0..repeat {
        let start = Instant::now();
        done = runtime.run(|| match (is_sched, is_array) {
            (true, _) => sched(&case),
            (_, true) => Ok(Done { given: Some(arrays::run(&case, &inputs, &data, &tmp)?), ..Done::default() }),
            _ => tables::run(&case, &data, &tmp),
        })?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    let peak = peak_resident();
    let mut record = json!({ "peer": "chunkwise", "case": case, "seconds": seconds, "peak_rss": peak });
    if is_sched {
        let mut sorted = seconds;
        sorted.sort_unstable_by(f64::total_cmp);
        let (median, tasks) = (sorted[sorted.len() / 2], done.tasks);
        record["note"] = json!({ "tasks": tasks, "us_per_task": median * 1e6 / tasks as f64, "fused": fuse });
        record["check"] = json!({ "scalars": { "value": done.value } });
    } else if std::env::var_os("BENCH_NOCHECK").is_none() && text("--cap").is_empty() {
        record["check"] = match &done.given {
            Some(given) => arrays::summary(given)?,
            None => tables::summary(&done)?,
        };
    }
    if let Some(written) = &done.written {
        record["out"] = json!({ "path": written, "order": [] });
    }
    println!("{record}");
    Ok(())
}

/// What a case gave.
#[derive(Default)]
struct Done {
    /// Of graphs: their value, and how many tasks they have.
    value: u64,
    tasks: u64,
    /// Of tables: what came back, and where Parquet was written.
    table: Option<Table>,
    written: Option<PathBuf>,
    /// Of arrays: what came back.
    given: Option<arrays::Given>,
}

fn sched(case: &str) -> Result<Done> {
    let (value, tasks) = sched::run(case)?;
    Ok(Done { value, tasks, ..Done::default() })
}
