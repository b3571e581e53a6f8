//! Results that are larger than the memory limit are refused, before anything runs where their size is known.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chunkwise::prelude::*;

use super::support::{EVERYWHERE, eventually};

const MIB: usize = 1 << 20;

#[test]
fn results_of_known_size_are_refused_before_anything_runs() {
    let ran = Arc::new(AtomicU32::new(0));
    let count = {
        let ran = ran.clone();
        delayed(move || ran.fetch_add(1, Ordering::Relaxed))
    };
    let big = array::from_vec(vec![1.0_f64; 3 * MIB / 8], 8 << 10);
    for on in EVERYWHERE {
        let (runtime, _) = on.runtime(2 * MIB as u64);
        let line = line!() + 1;
        let error = (&count, &big).compute_on(&runtime).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ResultTooLarge, "{on:?}: {error}");
        let expected = format!(
            "the results to be held in memory are 3 MiB and the memory limit is 2 MiB: take them one by one with `iter`, `batches` or `blocks`, \
             keep them with `persist`, write them to files, reduce them, or raise memory_limit\n  under \
             compute_on at {}:{line}",
            file!()
        );
        assert_eq!(error.to_string(), expected);
        assert_eq!(big.mean().compute_on(&runtime).unwrap(), 1.0);
    }
    assert_eq!(ran.load(Ordering::Relaxed), 0);
}

#[test]
fn results_that_turn_out_too_large_end_the_run() {
    for on in EVERYWHERE {
        let (runtime, disk) = on.runtime(2 * MIB as u64);
        let ran = Arc::new(AtomicU32::new(0));
        let row = {
            let ran = ran.clone();
            DelayedVec::from_fn(100, move |i| {
                ran.fetch_add(1, Ordering::Relaxed);
                vec![i as u8; MIB / 4]
            })
        };
        let error = row.compute_on(&runtime).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ResultTooLarge, "{on:?}: {error}");
        assert!(
            error.message().contains(" bytes so far and the memory limit is 2097152 bytes: "),
            "alike in MiB: {error}"
        );
        assert!(error.to_string().contains(&format!("under compute_on at {}:", file!())), "{error}");
        assert!(ran.load(Ordering::Relaxed) < 60, "{on:?}: it ends soon");
        // What the error advises works.
        let sizes = runtime.run(|| row.iter().unwrap().map(|value| value.unwrap().len()).sum::<usize>());
        assert_eq!(sizes, 100 * MIB / 4);
        let kept = row.persist_on(&runtime).unwrap();
        assert_eq!(kept.map(|value| value[0]).compute_on(&runtime).unwrap(), (0..100).collect::<Vec<u8>>());
        drop(kept);
        eventually("the end", || runtime.memory_held() == 0 && runtime.spilled() == 0 && disk.paths().is_empty());
    }
}

#[test]
fn many_small_results_are_counted_as_they_are() {
    let (runtime, _) = EVERYWHERE[0].runtime(MIB as u64);
    let row = DelayedVec::from_fn(100_000, u64::from);
    assert_eq!(row.compute_on(&runtime).unwrap().len(), 100_000);
}
