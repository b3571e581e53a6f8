//! What is shared: one runtime by many threads and runs, one pool by runtime and program, one directory by runtimes, one
//! value by many readers. And what is left when one of those that share it goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use chunkwise::prelude::*;
use chunkwise::runtime::Stage;
use chunkwise::store::Block;
use chunkwise::store::spill::MemoryDisk;
use rayon::prelude::*;

use crate::gate::Gate;
use crate::support::{
    EVERYWHERE, On, assert_empty, assert_nothing_held, assert_same, eventually, noise_block, rayon_pool,
};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

fn sum_to(count: u32) -> Delayed<u64> {
    DelayedVec::from_fn(count, u64::from).tree_reduce(|a, b| a + b).map(|sum| sum.unwrap_or(0))
}

/// Blocks of 64 KiB from `seed` on that are all read again after the last one was made.
fn spilling(seed: u32, blocks: u32) -> DelayedVec<u64> {
    let row = DelayedVec::from_fn(blocks, move |at| noise_block(seed + at, 8 << 10));
    let last = row.map(|block| block[7]).tree_reduce(u64::wrapping_add);
    row.map_with(&last, |block, last| block[3] ^ last.unwrap_or(0))
}

#[test]
fn many_threads_with_runs_of_every_fate_on_one_runtime() {
    const ROUNDS: u32 = 5;
    for on in EVERYWHERE.into_iter().chain([On::Handed(1)]) {
        let (runtime, disk) = on.runtime(MIB);
        let expected: Vec<Vec<u64>> = (0..ROUNDS).map(|seed| spilling(seed, 20).compute().unwrap()).collect();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for (seed, expected) in expected.iter().enumerate() {
                        assert_eq!(&spilling(seed as u32, 20).compute_on(&runtime).unwrap(), expected, "{on:?}");
                    }
                });
            }
            scope.spawn(|| {
                for round in 0..ROUNDS {
                    let row = spilling(round, 20);
                    let error = row.try_map(|_| Err::<u8, _>("refused")).compute_on(&runtime).unwrap_err();
                    assert_eq!((error.kind(), error.message()), (ErrorKind::Task, "refused"), "{on:?}");
                }
            });
            scope.spawn(|| {
                for round in 0..ROUNDS {
                    let row = spilling(round, 20).map(|_| -> u8 { panic!("struck") });
                    let error = row.compute_on(&runtime).unwrap_err();
                    assert_eq!((error.kind(), error.message()), (ErrorKind::Panic, "panicked: struck"), "{on:?}");
                }
            });
            scope.spawn(|| {
                for round in 0..ROUNDS {
                    let run = spilling(round, 20).start_on(&runtime);
                    run.canceller().cancel();
                    if let Err(error) = run.wait() {
                        assert_eq!(error.kind(), ErrorKind::Cancelled, "{on:?}: {error}");
                    }
                    drop(spilling(round, 20).start_on(&runtime));
                }
            });
            scope.spawn(|| {
                for round in 0..ROUNDS {
                    let row = DelayedVec::from_fn(40, move |at| noise_block(round + at, 8 << 10));
                    let some = runtime.run(|| row.iter().unwrap().take(3).collect::<Result<Vec<_>>>()).unwrap();
                    assert_eq!(some[2], noise_block(round + 2, 8 << 10), "{on:?}");
                }
            });
            scope.spawn(|| {
                for round in 0..ROUNDS {
                    let made = delayed(move || noise_block(round, 8 << 10));
                    let kept = made.persist_on(&runtime).unwrap();
                    let first = kept.map(|block| block[1]).compute_on(&runtime).unwrap();
                    assert_eq!(first, noise_block(round, 2)[1], "{on:?}");
                }
            });
        });
        eventually("the end", || runtime.memory_held() == 0 && runtime.spilled() == 0 && disk.paths().is_empty());
    }
}

#[test]
fn runtimes_that_spill_to_one_directory() {
    let root = tempfile::tempdir().unwrap();
    let expected = spilling(0, 20).compute().unwrap();
    for _ in 0..3 {
        let runtimes: Vec<Runtime> = EVERYWHERE
            .into_iter()
            .map(|on| on.set(Runtime::builder().memory_limit(512 * KIB).spill_dir(root.path())).build().unwrap())
            .collect();
        std::thread::scope(|scope| {
            for (rounds, runtime) in runtimes.into_iter().enumerate() {
                let expected = &expected;
                // One ends after the other, and takes only what is its own.
                scope.spawn(move || {
                    for _ in 0..=rounds {
                        assert_eq!(&spilling(0, 20).compute_on(&runtime).unwrap(), expected);
                        assert!(runtime.last_report().spilled_bytes > 0);
                    }
                });
            }
        });
        assert_empty(root.path(), "all are gone");
    }
}

/// Counts its clones and drops.
struct Counted {
    alive: Arc<AtomicU64>,
    clones: Arc<AtomicU64>,
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.alive.fetch_add(1, Ordering::Relaxed);
        self.clones.fetch_add(1, Ordering::Relaxed);
        Counted { alive: self.alive.clone(), clones: self.clones.clone() }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn one_value_read_by_a_hundred_thousand_separate_tasks() {
    const READERS: u64 = 100_000;
    for on in [On::Synchronous, On::Threads(2)] {
        let (runtime, _) = on.runtime(1 << 30);
        let (alive, clones) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let (seed, copies) = (alive.clone(), clones.clone());
        let shared = delayed(move || {
            seed.fetch_add(1, Ordering::Relaxed);
            Counted { alive: seed.clone(), clones: copies.clone() }
        });
        let readers: Vec<Delayed<u64>> =
            (0..READERS).map(|at| shared.map(move |shared| at + shared.alive.load(Ordering::Relaxed))).collect();
        let sum = Delayed::all(&readers).map(|all| all.iter().sum::<u64>()).compute_on(&runtime).unwrap();
        assert_eq!(sum, READERS * (READERS - 1) / 2 + READERS, "{on:?}: exactly one was alive for each");
        assert_eq!((alive.load(Ordering::Relaxed), clones.load(Ordering::Relaxed)), (0, 0), "{on:?}");

        // Readers that want it for themselves: all but the last get a copy.
        let readers: Vec<Delayed<u64>> =
            (0..READERS).map(|_| shared.then(|shared| shared.alive.load(Ordering::Relaxed).min(1))).collect();
        let sum = Delayed::all(&readers).map(|all| all.iter().sum::<u64>()).compute_on(&runtime).unwrap();
        assert_eq!((sum, alive.load(Ordering::Relaxed)), (READERS, 0), "{on:?}");
        let clones = clones.load(Ordering::Relaxed);
        assert!((READERS - 1..=READERS).contains(&clones), "{on:?}: {clones}");
        assert_nothing_held(&runtime, &format!("{on:?}"));
    }
}

#[test]
fn a_value_that_is_ready_does_not_wait_for_the_next_of_its_worker() {
    for (on, threads) in [(On::Threads(1), 1), (On::Handed(1), 1), (On::Threads(2), 2)] {
        for ready in 1..=6 {
            let (runtime, _) = on.runtime(MIB);
            let gate = Gate::default();
            let at_gate = gate.clone();
            // Short tasks are given out many at a time; then comes one that takes long after all.
            let row = DelayedVec::from_fn(1000, move |at| {
                if at >= ready {
                    at_gate.pass();
                }
                at
            });
            let mut values = runtime.run(|| row.iter().unwrap());
            for at in 0..ready {
                assert_eq!(values.next().unwrap().unwrap(), at, "{on:?}");
            }
            gate.wait_for(threads);
            gate.open();
            assert_eq!(values.next().unwrap().unwrap(), ready, "{on:?}");
        }
    }
}

#[test]
fn computing_inside_par_iter_inside_a_task() {
    for on in [On::Threads(1), On::Threads(2), On::Threads(8), On::Handed(1), On::Handed(2)] {
        for limit in [1 << 30, MIB] {
            let (runtime, disk) = on.runtime(limit);
            let inner = runtime.clone();
            // Some of these run on the task's own thread, some on threads that are in no task.
            let row = DelayedVec::from_fn(4, move |at| {
                let sums = (0..16u32).into_par_iter().map(|count| {
                    let spilled = spilling(at, 12).compute_on(&inner).unwrap();
                    sum_to(count + 1).compute_on(&inner).unwrap() + spilled[0] % 2
                });
                sums.sum::<u64>()
            });
            let odd = |at: u32| spilling(at, 12).compute().unwrap()[0] % 2;
            let expected: Vec<u64> =
                (0..4).map(|at| (0..16).map(|n| n * (n + 1) / 2).sum::<u64>() + 16 * odd(at)).collect();
            assert_eq!(row.compute_on(&runtime).unwrap(), expected, "{on:?}, limit {limit}");
            eventually("the end", || runtime.memory_held() == 0 && disk.paths().is_empty());
        }
    }
}

#[test]
fn everything_on_the_only_thread_of_a_pool_that_was_handed_over() {
    let (pool, disk) = (rayon_pool(1), MemoryDisk::new("/spill"));
    let builder = Runtime::builder().pool(pool.clone()).memory_limit(512 * KIB);
    let runtime = builder.spill_dir("/spill").disk(disk.clone()).build().unwrap();
    let expected = spilling(0, 20).compute().unwrap();
    let all = || {
        assert_eq!(spilling(0, 20).compute_on(&runtime).unwrap(), expected);
        assert!(runtime.last_report().spilled_bytes > 0);
        let run = spilling(0, 20).start_on(&runtime);
        assert_eq!(run.wait().unwrap(), expected);
        let (one, two) = (spilling(0, 20).start_on(&runtime), sum_to(100).start_on(&runtime));
        assert_eq!((two.wait().unwrap(), one.wait().unwrap()), (4950, expected.clone()));
        runtime.run(|| {
            let row = DelayedVec::from_fn(40, |seed| noise_block(seed, 8 << 10));
            for (seed, block) in row.iter().unwrap().enumerate().take(30) {
                assert_eq!(block.unwrap(), noise_block(seed as u32, 8 << 10));
                assert_eq!(sum_to(10).compute().unwrap(), 45);
            }
        });
        let kept = spilling(0, 20).all().persist_on(&runtime).unwrap();
        assert_eq!(kept.compute_on(&runtime).unwrap(), expected);
        drop(kept);
        let inner = runtime.clone();
        let nested = delayed(move || spilling(0, 20).compute_on(&inner).unwrap());
        assert_eq!(nested.compute_on(&runtime).unwrap(), expected);
        let error = spilling(0, 20).map(|_| -> u8 { panic!("struck") }).compute_on(&runtime).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Panic);
        let run = spilling(0, 20).start_on(&runtime);
        run.canceller().cancel();
        assert_eq!(run.wait().unwrap_err().kind(), ErrorKind::Cancelled);
        drop(spilling(0, 20).start_on(&runtime));
        assert_eq!(sum_to(100).compute_on(&runtime).unwrap(), 4950);
    };
    all();
    pool.install(all);
    pool.install(|| rayon::join(all, all));
    eventually("the end", || runtime.memory_held() == 0 && runtime.spilled() == 0 && disk.paths().is_empty());
}

#[test]
fn a_runtime_is_dropped_by_its_own_task() {
    for on in EVERYWHERE.into_iter().chain([On::Handed(1)]) {
        let (runtime, disk) = on.runtime(MIB);
        let (gate, over) = (Gate::default(), Arc::new(AtomicBool::new(false)));
        let (at_gate, is_over, last) = (gate.clone(), over.clone(), std::sync::Mutex::new(Some(runtime.clone())));
        let row = DelayedVec::from_fn(100, move |at| {
            at_gate.pass();
            drop(last.lock().unwrap().take());
            is_over.store(true, Ordering::Relaxed);
            at
        });
        let run = row.start_on(&runtime);
        drop(runtime);
        gate.open();
        assert_eq!(run.wait().unwrap_err().kind(), ErrorKind::Cancelled, "{on:?}");
        assert!(over.load(Ordering::Relaxed), "{on:?}: what ran was awaited");
        assert!(disk.paths().is_empty());
    }
}

#[test]
fn a_runtime_is_dropped_with_a_run_that_was_let_go() {
    for (on, threads) in [(On::Threads(1), 1), (On::Threads(2), 2), (On::Handed(1), 1), (On::Handed(2), 2)] {
        let (runtime, disk) = on.runtime(MIB);
        let gate = Gate::default();
        let held = Arc::new(());
        let (at_gate, in_tasks) = (gate.clone(), held.clone());
        let row = DelayedVec::from_fn(100, move |at| {
            at_gate.pass();
            (at, in_tasks.clone())
        });
        row.start_on(&runtime).detach();
        drop(row);
        gate.wait_for(threads);
        std::thread::scope(|scope| {
            scope.spawn(|| gate.open());
            // It is the last handle, so it waits for the tasks.
            drop(runtime);
        });
        assert_eq!(Arc::strong_count(&held), 1, "{on:?}");
        assert!(disk.paths().is_empty());
    }
}

#[test]
fn kept_values_outlive_the_handles_of_their_runtime() {
    for on in EVERYWHERE {
        let (runtime, disk) = on.runtime(512 * KIB);
        let parts: Vec<Delayed<Block<u64>>> = (0..16).map(|seed| delayed(move || noise_block(seed, 8 << 10))).collect();
        let kept = parts.persist_on(&runtime).unwrap();
        drop(runtime);
        let (other, _) = on.runtime(1 << 30);
        for (seed, kept) in kept.iter().enumerate() {
            match kept.compute_on(&other) {
                Ok(block) => assert_eq!(block, noise_block(seed as u32, 8 << 10), "{on:?}"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Cancelled, "{on:?}: {error}"),
            }
        }
        drop(kept);
        eventually("the end", || other.memory_held() == 0 && disk.paths().is_empty());
    }
}

#[test]
fn graphs_without_tasks_in_every_verb() {
    for on in EVERYWHERE {
        let (runtime, disk) = on.runtime(MIB);
        runtime.run(|| {
            let none = DelayedVec::from_fn(0, |at| at);
            let sum = none.tree_reduce(|a, b| a + b);
            assert_eq!(none.start_on(&runtime).wait().unwrap(), Vec::<u32>::new());
            ().start_on(&runtime).wait().unwrap();
            none.start_on(&runtime).detach();
            assert!(none.explain().unwrap().contains("0 tasks"));
            assert_eq!(none.counts(Stage::Fused).unwrap().1, 0);
            assert_eq!(none.estimate().unwrap().tasks, 0);
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("none.dot");
            for drawn in [none.visualize(&path), sum.visualize(&path)] {
                drawn.unwrap();
                assert!(std::fs::read_to_string(&path).unwrap().starts_with("digraph"));
            }
            assert_eq!(none.all().persist().unwrap().compute().unwrap(), Vec::<u32>::new());
            assert_eq!(GraphBuilder::new().build().unwrap().names().count(), 0);
            GraphBuilder::new().build().unwrap().compute(()).unwrap();
            assert_eq!(array::from_vec(Vec::<f64>::new(), 10).compute().unwrap().len(), 0);
            assert_eq!(bag::from_vec(Vec::<u8>::new(), 4).compute().unwrap(), Vec::<u8>::new());
        });
        assert_nothing_held(&runtime, &format!("{on:?}"));
        assert!(disk.paths().is_empty());
    }
    assert!(!assert_same(MIB, || DelayedVec::from_fn(0, |at| at), Vec::new()));
}

/// One caller may be reading back what the other one's run waits for.
#[test]
fn two_callers_of_a_synchronous_runtime_that_spills() {
    for _ in 0..150 {
        let builder = Runtime::builder().scheduler(chunkwise::runtime::config::Scheduler::Synchronous);
        let runtime = builder.memory_limit(200_000).set("optimize.fuse", false).build().unwrap();
        let source = delayed(|| vec![1u64; 8000]);
        let nested = source.map(|values| {
            let first = values[0];
            delayed(move || vec![first; 8000]).compute().unwrap()
        });
        let sum = delayed_with((&source, &source), |(a, b)| vec![a[0] + b[0]; 100]);
        let both = vec![nested.map(|values| vec![values[0]; 1000]), sum.wait_on(&sum)];
        let expected = [vec![1; 1000], vec![2; 100]];
        std::thread::scope(|scope| {
            let other = scope.spawn(|| both.compute_on(&runtime).unwrap());
            assert_eq!(both.compute_on(&runtime).unwrap(), expected);
            assert_eq!(other.join().unwrap(), expected);
        });
        assert_eq!((runtime.memory_held(), runtime.spilled()), (0, 0));
    }
}
