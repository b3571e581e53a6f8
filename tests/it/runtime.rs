//! Runtimes: several at once, computing inside tasks, runs in the background, values that are kept.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use chunkwise::prelude::*;
use chunkwise::runtime::config::Scheduler;
use chunkwise::runtime::observe::Outcome;
use chunkwise::store::Block;
use rayon::prelude::*;

use crate::gate::Gate;
use crate::support::{EVERYWHERE, On, assert_nothing_held, eventually, noise_block, rayon_pool};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

fn sum_to(count: u32) -> Delayed<u64> {
    DelayedVec::from_fn(count, u64::from).tree_reduce(|a, b| a + b).map(|sum| sum.unwrap_or(0))
}

#[test]
fn graphs_without_tasks() {
    for on in EVERYWHERE {
        let (runtime, _) = on.runtime(MIB);
        runtime.run(|| {
            compute(()).unwrap();
            assert_eq!(compute(Vec::<Delayed<u8>>::new()).unwrap(), Vec::<u8>::new());
            assert_eq!(compute(None::<Delayed<u8>>).unwrap(), None);
            assert_eq!(Delayed::<u8>::all(&[]).compute().unwrap(), Vec::<u8>::new());
            Delayed::checkpoint(()).compute().unwrap();
            let none = DelayedVec::from_fn(0, |at| at);
            assert_eq!(none.compute().unwrap(), Vec::<u32>::new());
            assert_eq!(
                none.map(|at| at + 1).try_map(|at| at.to_string().parse::<u32>()).compute().unwrap(),
                Vec::<u32>::new()
            );
            assert_eq!(
                none.zip_with(&none, |a, b| a + b).windows(1, 1, |all| all.len()).compute().unwrap(),
                Vec::<usize>::new()
            );
            assert_eq!(none.map_with(&delayed(|| 1), |a, b| a + b).compute().unwrap(), Vec::<u32>::new());
            assert_eq!(none.tree_reduce(|a, b| a + b).compute().unwrap(), None);
            assert_eq!(none.all().compute().unwrap(), Vec::<u32>::new());
            assert_eq!(none.iter().unwrap().count(), 0);
            assert_eq!(none.all_to_all(3, |at| vec![at; 3], |all: Vec<u32>| all.len()).compute().unwrap(), [0, 0, 0]);
            let some = DelayedVec::from_fn(4, |at| at);
            assert_eq!(
                some.all_to_all(0, |_| Vec::<u32>::new(), |all: Vec<u32>| all.len()).compute().unwrap(),
                Vec::<usize>::new()
            );
            assert_eq!(delayed(Vec::<u8>::new).split(0).len(), 0);
            assert_eq!(DelayedVec::from_map(Vec::<u8>::new(), |at| *at).compute().unwrap(), Vec::<u8>::new());
            assert_eq!(none.get(0).compute().unwrap_err().kind(), ErrorKind::Plan);
            persist(Vec::<Delayed<u8>>::new()).unwrap();
        });
        assert_nothing_held(&runtime, &format!("{on:?}"));
    }
}

#[test]
fn a_value_with_very_many_readers() {
    for on in [On::Synchronous, On::Threads(2)] {
        for limit in [1 << 30, 4 * MIB] {
            let (runtime, _) = on.runtime(limit);
            let shared = delayed(|| noise_block(3, 4096));
            let row = DelayedVec::from_fn(100_000, |at| at);
            let read = row.map_with(&shared, |at, block| block[*at as usize % 4096]);
            let sum = read.tree_reduce(u64::wrapping_add).compute_on(&runtime).unwrap();
            let block = noise_block(3, 4096);
            assert_eq!(sum, Some((0..100_000).fold(0u64, |sum, at| sum.wrapping_add(block[at % 4096]))));
            assert_nothing_held(&runtime, &format!("{on:?}"));
        }
    }
}

#[test]
fn several_runtimes_and_threads() {
    let runtimes: Vec<Runtime> = EVERYWHERE.into_iter().map(|on| on.runtime(MIB).0).collect();
    std::thread::scope(|scope| {
        for runtime in &runtimes {
            for count in [10, 1000, 5000] {
                scope.spawn(move || {
                    for _ in 0..3 {
                        let sum = u64::from(count) * u64::from(count - 1) / 2;
                        assert_eq!(sum_to(count).compute_on(runtime).unwrap(), sum);
                        assert_eq!(runtime.run(|| sum_to(count).compute()).unwrap(), sum);
                    }
                });
            }
        }
    });
    runtimes.iter().for_each(|runtime| assert_nothing_held(runtime, &format!("{runtime:?}")));
}

/// Levels of `compute` inside tasks.
fn nested(runtimes: Arc<Vec<Runtime>>, level: usize) -> u64 {
    if level == 0 {
        return 1;
    }
    let runtime = runtimes[level % runtimes.len()].clone();
    let row = DelayedVec::from_fn(3, move |_| nested(runtimes.clone(), level - 1));
    row.tree_reduce(|a, b| a + b).compute_on(&runtime).unwrap().unwrap_or(0)
}

#[test]
fn computing_inside_a_task() {
    for on in EVERYWHERE.into_iter().chain([On::Handed(1)]) {
        let (runtime, _) = on.runtime(4 * MIB);
        let (other, _) = On::Threads(1).runtime(4 * MIB);
        for runtimes in [vec![runtime.clone()], vec![runtime.clone(), other.clone()]] {
            assert_eq!(nested(Arc::new(runtimes), 4), 81, "{on:?}");
        }
        // What the inner run holds counts in the budget of the outer one, and is spilled there.
        let inner = runtime.clone();
        let spilling = DelayedVec::from_fn(2, move |_| {
            let row = DelayedVec::from_fn(40, |seed| noise_block(seed, 32 << 10));
            let last = row.map(|block| block[0]).tree_reduce(u64::wrapping_add);
            let sums = row.map_with(&last, |block, last| block[1] ^ last.unwrap_or(0)).compute_on(&inner).unwrap();
            sums.into_iter().fold(0, u64::wrapping_add)
        });
        let sums = spilling.compute_on(&runtime).unwrap();
        assert_eq!(sums[0], sums[1]);
        assert_nothing_held(&runtime, &format!("{on:?}"));
        // An error inside comes out.
        let inner = runtime.clone();
        let fails = try_delayed(move || delayed(|| -> u8 { panic!("inside") }).compute_on(&inner));
        let error = fails.compute_on(&runtime).unwrap_err();
        assert!(error.to_string().contains("inside"), "{error}");
    }
}

#[test]
fn rayon_inside_tasks_and_computing_inside_rayon() {
    for threads in [1, 2] {
        let pool = rayon_pool(threads);
        let runtime = Runtime::builder().pool(pool.clone()).memory_limit(MIB).build().unwrap();
        let sums = DelayedVec::from_fn(64, |at| (0..1000u64).into_par_iter().map(|x| x * u64::from(at)).sum::<u64>());
        let expected: Vec<u64> = (0..64).map(|at| at * 499_500).collect();
        assert_eq!(sums.compute_on(&runtime).unwrap(), expected);
        // On a thread of the pool.
        assert_eq!(pool.install(|| sums.compute_on(&runtime)).unwrap(), expected);
        let inside: Vec<u64> = pool.install(|| {
            (0..32u32).into_par_iter().map(|count| sum_to(count + 1).compute_on(&runtime).unwrap()).collect()
        });
        assert_eq!(inside, (0..32).map(|count| count * (count + 1) / 2).collect::<Vec<u64>>());
        assert_nothing_held(&runtime, &format!("{threads}"));
    }
}

#[test]
fn waiting_inside_a_task_for_a_run_that_was_started_outside() {
    for on in EVERYWHERE.into_iter().chain([On::Handed(1)]) {
        let (runtime, _) = on.runtime(MIB);
        let inner = runtime.clone();
        let waits = delayed(move || sum_to(100).start_on(&inner).wait().unwrap());
        assert_eq!(waits.compute_on(&runtime).unwrap(), 4950, "{on:?}");

        // Started before, by a thread that is no worker: the task waits in the pool's only thread.
        let run = std::sync::Mutex::new(Some(sum_to(100).start_on(&runtime)));
        let waits = delayed(move || run.lock().unwrap().take().map(|run| run.wait()));
        match waits.compute_on(&runtime).unwrap() {
            Some(Ok(sum)) => assert_eq!(sum, 4950, "{on:?}"),
            Some(Err(error)) => assert_eq!(error.kind(), ErrorKind::Unsupported, "{on:?}: {error}"),
            None => panic!("the task ran twice"),
        }
        assert_nothing_held(&runtime, &format!("{on:?}"));
    }
}

#[test]
fn a_run_that_is_detached_inside_a_task_is_done_by_the_runtime() {
    for on in EVERYWHERE.into_iter().chain([On::Handed(1)]) {
        let (runtime, disk) = on.runtime(512 * KIB);
        let ran = Arc::new(AtomicU32::new(0));
        let (inner, count) = (runtime.clone(), ran.clone());
        let detaches = DelayedVec::from_fn(3, move |_| {
            let count = count.clone();
            let row = DelayedVec::from_fn(40, |seed| noise_block(seed, 8 << 10));
            let last = row.map(|block| block[7]).tree_reduce(u64::wrapping_add);
            let counted = row.map_with(&last, move |_, _| count.fetch_add(1, Ordering::Relaxed));
            // What computes in a task of such a run is nested in it like in any other.
            let nested = inner.clone();
            let checked = counted.map(move |_| assert_eq!(sum_to(4).compute_on(&nested).unwrap(), 6));
            checked.start_on(&inner).detach();
        });
        assert_eq!(detaches.compute_on(&runtime).unwrap().len(), 3, "{on:?}");
        eventually("the detached runs", || {
            // A synchronous runtime works while somebody waits.
            assert_eq!(sum_to(100).compute_on(&runtime).unwrap(), 4950);
            ran.load(Ordering::Relaxed) == 120
        });
        eventually("their end", || {
            assert_eq!(sum_to(10).compute_on(&runtime).unwrap(), 45);
            runtime.memory_held() == 0 && runtime.spilled() == 0 && disk.paths().is_empty()
        });
    }
}

#[test]
fn a_run_started_inside_a_task_is_cancelled_by_letting_go_or_by_its_canceller() {
    for on in [On::Threads(1), On::Threads(2), On::Handed(2)] {
        let (runtime, _) = on.runtime(MIB);
        let (sender, receiver) = std::sync::mpsc::channel();
        let gate = Gate::default();
        let (inner, at_gate, ran) = (runtime.clone(), gate.clone(), Arc::new(AtomicU32::new(0)));
        let count = ran.clone();
        let starts = delayed(move || {
            let count = count.clone();
            drop(DelayedVec::from_fn(10, move |_| count.fetch_add(1, Ordering::Relaxed)).start_on(&inner));
            let at_gate = at_gate.clone();
            let run = DelayedVec::from_fn(1000, move |_| at_gate.pass()).start_on(&inner);
            sender.send(run.canceller()).unwrap();
            run.detach();
        });
        starts.compute_on(&runtime).unwrap();
        let stop = receiver.recv().unwrap();
        gate.wait_for(1);
        stop.cancel();
        gate.open();
        eventually("the end", || runtime.memory_held() == 0 && runtime.last_report().outcome == Outcome::Cancelled);
        assert!(gate.come() < 1000, "{on:?}");
        assert_eq!(ran.load(Ordering::Relaxed), 0, "{on:?}");
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park_timeout(Duration::from_secs(20)),
        }
    }
}

#[test]
fn runs_in_the_background() {
    for on in EVERYWHERE {
        let (runtime, _) = on.runtime(MIB);
        assert_eq!(block_on(sum_to(1000).start_on(&runtime)).unwrap(), 499_500, "{on:?}");
        let both = async {
            let (one, two) = (sum_to(10).start_on(&runtime), sum_to(20).start_on(&runtime));
            two.await.unwrap() + one.await.unwrap()
        };
        assert_eq!(block_on(both), 45 + 190, "{on:?}");
        let error = block_on(try_delayed(|| Err::<u8, _>("no")).start_on(&runtime)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Task);

        let run = sum_to(100).start_on(&runtime);
        let progress = run.progress();
        assert!(progress.done <= progress.tasks && progress.tasks > 0, "{on:?}: {progress:?}");
        assert_eq!(run.wait().unwrap(), 4950);
        assert_eq!(runtime.last_report().outcome, Outcome::Finished);
        assert_nothing_held(&runtime, &format!("{on:?}"));
    }
}

#[test]
fn waiting_a_while_and_letting_go() {
    for on in [On::Threads(1), On::Threads(2), On::Handed(2)] {
        let (runtime, _) = on.runtime(MIB);
        let open = Arc::new(AtomicBool::new(false));
        let gate = open.clone();
        let run = delayed(move || {
            while !gate.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_micros(100));
            }
            7
        });
        let run = run.start_on(&runtime);
        let Err(run) = run.wait_timeout(Duration::from_millis(1)) else { panic!("it cannot be over") };
        assert!(!run.is_over());
        open.store(true, Ordering::Relaxed);
        let Ok(result) = run.wait_timeout(Duration::from_secs(60)) else { panic!("it does not end") };
        assert_eq!(result.unwrap(), 7);

        let ran = Arc::new(AtomicU32::new(0));
        let count = ran.clone();
        DelayedVec::from_fn(100, move |_| count.fetch_add(1, Ordering::Relaxed)).start_on(&runtime).detach();
        eventually("the detached run", || ran.load(Ordering::Relaxed) == 100);
        eventually("its end", || runtime.memory_held() == 0);
    }
}

#[test]
fn an_iterator_with_another_compute_in_its_loop() {
    for on in EVERYWHERE {
        let (runtime, disk) = on.runtime(512 * KIB);
        runtime.run(|| {
            let row = DelayedVec::from_fn(40, |seed| noise_block(seed, 8 << 10));
            let mut count = 0;
            for (seed, block) in row.iter().unwrap().enumerate() {
                let block: Block<u64> = block.unwrap();
                assert_eq!(block, noise_block(seed as u32, 8 << 10));
                assert_eq!(sum_to(50).compute().unwrap(), 1225);
                assert_eq!(row.get(3).map(|block| block[5]).compute().unwrap(), noise_block(3, 6)[5]);
                count += 1;
            }
            assert_eq!(count, 40);
        });
        eventually("the end", || runtime.memory_held() == 0 && runtime.spilled() == 0);
        assert!(disk.paths().is_empty());
    }
}

#[test]
fn kept_values_are_spilled_read_again_and_let_go() {
    for on in EVERYWHERE {
        let (runtime, disk) = on.runtime(512 * KIB);
        let made = Arc::new(AtomicU32::new(0));
        let parts: Vec<Delayed<Block<u64>>> = (0..16)
            .map(|seed| {
                let made = made.clone();
                delayed(move || {
                    made.fetch_add(1, Ordering::Relaxed);
                    noise_block(seed, 8 << 10)
                })
            })
            .collect();
        let kept = parts.persist_on(&runtime).unwrap();
        assert!(runtime.spilled() > 0, "{on:?}: a MiB does not fit into half of one");
        for _ in 0..2 {
            for (seed, kept) in kept.iter().enumerate() {
                let block = kept.compute_on(&runtime).unwrap();
                assert_eq!(block, noise_block(seed as u32, 8 << 10), "{on:?}");
            }
        }
        let first: Vec<Delayed<u64>> = kept.iter().map(|kept| kept.map(|block| block[9])).collect();
        assert_eq!(first.compute_on(&runtime).unwrap()[4], noise_block(4, 10)[9]);
        assert_eq!(made.load(Ordering::Relaxed), 16, "{on:?}: nothing runs again");
        drop((first, kept));
        // A worker may still be letting go of the plan that read them.
        eventually("the end", || runtime.memory_held() == 0 && runtime.spilled() == 0 && disk.paths().is_empty());
        assert_eq!(sum_to(10).compute_on(&runtime).unwrap(), 45);
    }
}

#[test]
fn a_synchronous_runtime_driven_by_several_threads() {
    let (runtime, _) = On::Synchronous.runtime(MIB);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for count in 1..100 {
                    let sum = u64::from(count) * u64::from(count - 1) / 2;
                    assert_eq!(sum_to(count).compute_on(&runtime).unwrap(), sum);
                }
            });
        }
    });
    assert_nothing_held(&runtime, "synchronous");
}

#[test]
fn a_compute_inside_a_full_budget_is_not_refused() {
    for on in EVERYWHERE {
        let (runtime, _) = on.runtime(256 * KIB);
        let inner = runtime.clone();
        // The outer value takes almost all, and the share that is left to the inner run is less than its block.
        let held = delayed(|| noise_block(1, 30 << 10));
        let read = held.map(move |held| {
            let block = delayed(|| noise_block(2, 20 << 10)).map(|block| block[1]);
            held[0] ^ block.compute_on(&inner).unwrap()
        });
        assert_eq!(read.compute_on(&runtime).unwrap(), noise_block(1, 1)[0] ^ noise_block(2, 2)[1], "{on:?}");
        assert_nothing_held(&runtime, &format!("{on:?}"));
    }
}

#[test]
fn waiting_for_a_while_is_waiting() {
    let job =
        || DelayedVec::from_fn(200, |i| (0..20_000u32).fold(i, |x, y| x ^ y.rotate_left(3))).tree_reduce(|a, b| a ^ b);
    let expected = job().compute().unwrap();
    let wait = |runtime: &Runtime| {
        let mut run = job().start_on(runtime);
        loop {
            match run.wait_timeout(Duration::from_millis(1)) {
                Ok(result) => break result.unwrap(),
                Err(again) => run = again,
            }
        }
    };
    let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap());
    let synchronous = Runtime::builder().scheduler(Scheduler::Synchronous).build().unwrap();
    let handed = Runtime::builder().pool(pool.clone()).build().unwrap();
    for runtime in [&synchronous, &handed, &Runtime::builder().threads(2).build().unwrap()] {
        assert_eq!(wait(runtime), expected);
        let inner = runtime.clone();
        let nested = delayed(move || {
            let mut run = job().start_on(&inner);
            loop {
                match run.wait_timeout(Duration::from_millis(1)) {
                    Ok(result) => break result.unwrap(),
                    Err(again) => run = again,
                }
            }
        });
        assert_eq!(nested.compute_on(runtime).unwrap(), expected);
    }
    assert_eq!(pool.install(|| wait(&handed)), expected);
}

#[test]
fn a_run_that_was_waited_for_in_vain_and_let_go_runs_each_task_once() {
    let runtime = Runtime::builder().threads(2).build().unwrap();
    let ran = Arc::new(AtomicU32::new(0));
    let (inner, count) = (runtime.clone(), ran.clone());
    let task = delayed(move || {
        let count = count.clone();
        let slow = DelayedVec::from_fn(50, move |_| {
            std::thread::sleep(Duration::from_millis(1));
            count.fetch_add(1, Ordering::Relaxed)
        });
        let run = slow.tree_reduce(|a, b| a + b).start_on(&inner);
        match run.wait_timeout(Duration::from_millis(5)) {
            Ok(result) => drop(result),
            Err(run) => run.detach(),
        }
    });
    task.compute_on(&runtime).unwrap();
    eventually("the end of what was let go", || runtime.memory_held() == 0);
    assert_eq!(ran.load(Ordering::Relaxed), 50);
}
