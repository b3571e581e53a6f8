//! Runs that are ended from outside: while tasks run, while values are written and read back, from other threads, by letting
//! go of the handle, of the iterator or of the runtime.

use std::sync::{Arc, Mutex};

use chunkwise::prelude::*;
use chunkwise::store::Block;
use chunkwise::store::spill::{MemoryDisk, Op};

use crate::gate::{AskingDisk, Gate};
use crate::support::{EVERYWHERE, On, assert_nothing_held, eventually, noise_block};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const LIMIT: u64 = 512 * KIB;

const POOLED: [(On, usize); 5] =
    [(On::Threads(1), 1), (On::Threads(2), 2), (On::Threads(8), 8), (On::Handed(1), 1), (On::Handed(2), 2)];

/// A MiB in blocks that are all read again after the last one was made.
fn spilling() -> DelayedVec<u64> {
    let row = DelayedVec::from_fn(18, |seed| noise_block(seed, 8 << 10));
    let last = row.map(|block| block[7]).tree_reduce(u64::wrapping_add);
    row.map_with(&last, |block, last| block[3] ^ last.unwrap_or(0))
}

/// Tasks that stand at a gate.
fn gated(gate: &Gate, count: u32) -> DelayedVec<u32> {
    let gate = gate.clone();
    DelayedVec::from_fn(count, move |at| {
        gate.pass();
        at
    })
}

#[track_caller]
fn assert_works(runtime: &Runtime, disk: &MemoryDisk, case: &str) {
    eventually(case, || runtime.memory_held() == 0 && runtime.spilled() == 0 && disk.paths().is_empty());
    assert_eq!(spilling().compute_on(runtime).unwrap(), spilling().compute().unwrap(), "{case}: the next run");
    assert_nothing_held(runtime, case);
    assert!(disk.paths().is_empty(), "{case}: {:?}", disk.paths());
}

#[test]
fn nothing_begins_after_a_cancellation() {
    for (on, threads) in POOLED {
        let case = format!("{on:?}");
        // By another thread, while this one waits.
        let (runtime, disk) = on.runtime(LIMIT);
        let gate = Gate::default();
        let run = gated(&gate, 1000).start_on(&runtime);
        let stop = run.canceller();
        let error = std::thread::scope(|scope| {
            scope.spawn(|| {
                gate.wait_for(threads);
                stop.cancel();
                gate.open();
            });
            run.wait().unwrap_err()
        });
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{case}: {error}");
        assert_eq!(gate.come(), threads, "{case}: one on each thread");
        assert_nothing_held(&runtime, &case);
        assert_works(&runtime, &disk, &case);

        // By letting go of the handle.
        let gate = Gate::default();
        let run = gated(&gate, 1000).start_on(&runtime);
        gate.wait_for(threads);
        drop(run);
        gate.open();
        assert_works(&runtime, &disk, &case);
        assert_eq!(gate.come(), threads, "{case}: one on each thread");
    }
}

#[test]
fn a_synchronous_run_is_cancelled_while_it_is_waited_for() {
    let (runtime, disk) = On::Synchronous.runtime(LIMIT);
    let gate = Gate::default();
    let run = gated(&gate, 1000).start_on(&runtime);
    let stop = run.canceller();
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            gate.wait_for(1);
            stop.cancel();
            gate.open();
        });
        run.wait().unwrap_err()
    });
    assert_eq!((error.kind(), gate.come()), (ErrorKind::Cancelled, 1), "{error}");
    // Before anybody waits: nothing has begun, and nothing does.
    let gate = Gate::default();
    let run = gated(&gate, 1000).start_on(&runtime);
    run.canceller().cancel();
    assert_eq!(run.wait().unwrap_err().kind(), ErrorKind::Cancelled);
    drop(gated(&gate, 1000).start_on(&runtime));
    assert_eq!(gate.come(), 0);
    assert_works(&runtime, &disk, "synchronous");
}

#[test]
fn a_task_may_cancel_its_own_run() {
    for (on, _) in POOLED {
        let (runtime, disk) = on.runtime(LIMIT);
        let stop = Arc::new(Mutex::new(None::<chunkwise::runtime::Canceller>));
        let there = stop.clone();
        let row = DelayedVec::from_fn(100, move |at| {
            if at == 3 {
                let mut stop = None;
                eventually("the canceller", || {
                    stop = there.lock().unwrap().take();
                    stop.is_some()
                });
                stop.unwrap().cancel();
            }
            at
        });
        let run = row.start_on(&runtime);
        *stop.lock().unwrap() = Some(run.canceller());
        assert_eq!(run.wait().unwrap_err().kind(), ErrorKind::Cancelled, "{on:?}");
        assert_works(&runtime, &disk, &format!("{on:?}"));
    }
}

#[test]
fn members_of_a_fused_task_do_not_begin_after_a_cancellation() {
    for (on, threads) in POOLED {
        let (runtime, disk) = on.runtime(LIMIT);
        let (first, second) = (Gate::default(), Gate::default());
        second.open();
        let after = second.clone();
        let row = gated(&first, 100).map(move |at| {
            after.pass();
            at + 1
        });
        assert_eq!(row.counts(chunkwise::runtime::Stage::Fused).unwrap(), (1, 100));
        let run = row.start_on(&runtime);
        first.wait_for(threads);
        run.canceller().cancel();
        first.open();
        assert_eq!(run.wait().unwrap_err().kind(), ErrorKind::Cancelled, "{on:?}");
        assert_eq!((first.come(), second.come()), (threads, 0), "{on:?}");
        assert_works(&runtime, &disk, &format!("{on:?}"));
    }
}

#[test]
fn other_runs_go_on() {
    for (on, threads) in POOLED {
        let (runtime, disk) = on.runtime(LIMIT);
        let gate = Gate::default();
        let run = gated(&gate, 100).start_on(&runtime);
        gate.wait_for(threads);
        let others: Vec<_> = (0..3).map(|_| spilling().start_on(&runtime)).collect();
        drop(run);
        gate.open();
        let expected = spilling().compute().unwrap();
        for other in others {
            assert_eq!(other.wait().unwrap(), expected, "{on:?}");
        }
        assert_works(&runtime, &disk, &format!("{on:?}"));
    }
}

/// How a run is ended.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Cancel,
    Handle,
    Runtime,
}

#[test]
fn in_the_middle_of_a_write_and_of_a_read() {
    for on in EVERYWHERE.into_iter().chain([On::Handed(1)]) {
        for op in [Op::Create, Op::Write, Op::Read] {
            for way in [Way::Cancel, Way::Handle, Way::Runtime] {
                if way == Way::Handle && on == On::Synchronous {
                    continue; // its runs are under way only while the handle waits
                }
                let case = format!("{on:?}, {op:?}, {way:?}");
                let (memory, gate) = (MemoryDisk::new("/spill"), Gate::default());
                let disk = AskingDisk::gated(&memory, op, &gate);
                let builder = Runtime::builder().memory_limit(LIMIT).spill_dir("/spill").disk(disk);
                let mut runtime = Some(on.set(builder).build().unwrap());
                let run = spilling().start_on(runtime.as_ref().unwrap());
                let stop = run.canceller();
                let mut run = Some(run);
                let error = std::thread::scope(|scope| {
                    let waiting = (way != Way::Handle).then(|| run.take().unwrap());
                    let (gate, runtime, run) = (&gate, &mut runtime, &mut run);
                    scope.spawn(move || {
                        gate.wait_for(1);
                        match way {
                            Way::Cancel => stop.cancel(),
                            Way::Handle => drop(run.take()),
                            Way::Runtime => drop(runtime.take()),
                        }
                        gate.open();
                    });
                    waiting.map(|run| run.wait().unwrap_err())
                });
                if let Some(error) = error {
                    assert_eq!(error.kind(), ErrorKind::Cancelled, "{case}: {error}");
                }
                match &runtime {
                    Some(runtime) => assert_works(runtime, &memory, &case),
                    None => eventually(&case, || memory.paths().is_empty()),
                }
            }
        }
    }
}

#[test]
fn an_iterator_is_dropped_while_tasks_run() {
    for (on, threads) in POOLED {
        for taken in [1, 3] {
            let (runtime, disk) = on.runtime(LIMIT);
            let gate = Gate::default();
            let at_gate = gate.clone();
            let row = DelayedVec::from_fn(1000, move |at| {
                if at >= taken {
                    at_gate.pass();
                }
                at
            });
            let mut values = runtime.run(|| row.iter().unwrap());
            assert!((0..taken).eq(values.by_ref().take(taken as usize).map(Result::unwrap)));
            gate.wait_for(threads);
            drop(values);
            gate.open();
            assert_works(&runtime, &disk, &format!("{on:?}"));
            assert_eq!(gate.come(), threads, "{on:?}");
        }
    }
}

#[test]
fn an_iterator_is_dropped_while_its_values_are_written_or_on_disk() {
    for on in EVERYWHERE.into_iter().chain([On::Handed(1)]) {
        let (memory, gate) = (MemoryDisk::new("/spill"), Gate::default());
        let disk = AskingDisk::gated(&memory, Op::Write, &gate);
        let builder = Runtime::builder().memory_limit(LIMIT).spill_dir("/spill").disk(disk);
        let runtime = on.set(builder).build().unwrap();
        // The first value needs all of the others, which do not fit.
        let row = DelayedVec::from_fn(40, |seed| noise_block(seed, 8 << 10));
        let last = row.map(|block| block[7]).tree_reduce(u64::wrapping_add);
        let turned = row.map_with(&last, |block, last| Block::from_vec(vec![block[3] ^ last.unwrap_or(0); 8 << 10]));
        let mut values = runtime.run(|| turned.iter().unwrap());
        if on == On::Synchronous {
            gate.open();
        } else {
            // Nothing has been asked for, so nothing runs: the first is asked for by a thread that waits for it.
            let opened = gate.clone();
            std::thread::spawn(move || {
                opened.wait_for(1);
                opened.open();
            });
        }
        let first = values.next().unwrap().unwrap();
        assert_eq!(first.len(), 8 << 10);
        drop(values);
        drop(first);
        assert_works(&runtime, &memory, &format!("{on:?}"));
    }
}

#[test]
fn an_iterator_outlives_its_runtime() {
    for on in EVERYWHERE {
        let (runtime, disk) = on.runtime(MIB);
        let row = DelayedVec::from_fn(1000, |at| at);
        let mut values = runtime.run(|| row.iter().unwrap());
        assert_eq!(values.next().unwrap().unwrap(), 0);
        drop(runtime);
        // What was ready may still come; then it tells why there is no more, and ends.
        let last = values.by_ref().find_map(|value| value.err());
        assert_eq!(last.map(|error| error.kind()), Some(ErrorKind::Cancelled), "{on:?}");
        assert!(values.next().is_none());
        assert!(disk.paths().is_empty());
    }
}

#[test]
fn an_iterator_ends_with_the_first_error() {
    for on in EVERYWHERE {
        let (runtime, disk) = on.runtime(LIMIT);
        let row = DelayedVec::try_from_fn(50, |at| if at == 20 { Err("the twenty-first") } else { Ok(at) });
        let values: Vec<Result<u32>> = runtime.run(|| row.iter().unwrap().collect());
        let (last, before) = values.split_last().unwrap();
        assert!(before.iter().enumerate().all(|(at, value)| *value.as_ref().unwrap() == at as u32), "{on:?}");
        assert!(before.len() <= 20, "{on:?}");
        assert_eq!(last.as_ref().unwrap_err().kind(), ErrorKind::Task, "{on:?}");
        assert_works(&runtime, &disk, &format!("{on:?}"));
    }
}
