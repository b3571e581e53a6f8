//! Threads of runtimes that nobody has any more. Alone in its process, for it counts all threads there are.

#![cfg(target_os = "linux")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use chunkwise::prelude::*;

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

fn sum_on(runtime: &Runtime) {
    let sum = DelayedVec::from_fn(100, u64::from).tree_reduce(|a, b| a + b);
    assert_eq!(sum.compute_on(runtime).unwrap(), Some(4950));
}

#[test]
fn they_end_with_their_runtime() {
    let before = threads();
    let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap());
    for round in 0..20 {
        let runtime = Runtime::builder().threads(2).build().unwrap();
        sum_on(&runtime);
        let shared = Runtime::builder().pool(pool.clone()).build().unwrap();
        sum_on(&shared);
        match round % 3 {
            0 => drop(runtime),
            // The last handle may be that of a run, or of values that are kept.
            1 => {
                let run = delayed(|| 1).start_on(&runtime);
                drop(runtime);
                drop(run);
            }
            _ => {
                let kept = delayed(|| 1).persist_on(&runtime).unwrap();
                drop(runtime);
                drop(kept);
            }
        }
    }
    drop(pool);
    let begun = Instant::now();
    while threads() > before {
        assert!(begun.elapsed() < Duration::from_secs(60), "{} threads are left, {before} there were", threads());
        std::thread::sleep(Duration::from_millis(5));
    }
}
