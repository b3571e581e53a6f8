//! What goes wrong: errors, panics, cancellation, disks that fail. The right error comes out, nothing is left, and the next
//! run on the same runtime works.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use chunkwise::prelude::*;
use chunkwise::store::Block;
use chunkwise::store::spill::{FaultyDisk, MemoryDisk};
use serde::{Deserialize, Serialize, Serializer};

use crate::support::{EVERYWHERE, On, assert_empty, assert_nothing_held, eventually, noise_block, rayon_pool};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// A run that works: on the same runtime, after whatever went wrong.
#[track_caller]
fn assert_works(runtime: &Runtime, case: &str) {
    let sum = DelayedVec::from_fn(100, u64::from).tree_reduce(|a, b| a + b).compute_on(runtime);
    assert_eq!(sum.unwrap_or_else(|error| panic!("{case}: the next run: {error}")), Some(4950), "{case}");
    assert_nothing_held(runtime, case);
}

/// More than a MiB in blocks that are all read again after the last one was made: a small limit makes it spill.
fn spilling() -> DelayedVec<u64> {
    let row = DelayedVec::from_fn(18, |seed| noise_block(seed, 8 << 10));
    let last = row.map(|block| block[7]).tree_reduce(u64::wrapping_add);
    row.map_with(&last, |block, last| block[3] ^ last.unwrap_or(0))
}

const SPILLING_LIMIT: u64 = 512 * KIB;

/// How a task goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    Error,
    Panic,
    /// The payload of the panic is no text.
    Payload,
}

impl Trouble {
    fn strike(self) -> Result<u64, String> {
        match self {
            Trouble::Error => Err("on purpose".to_string()),
            Trouble::Panic => panic!("on {}", "purpose"),
            Trouble::Payload => std::panic::panic_any(7u8),
        }
    }

    fn kind(self) -> ErrorKind {
        if self == Trouble::Error { ErrorKind::Task } else { ErrorKind::Panic }
    }
}

#[test]
fn every_position_of_a_diamond() {
    let at = |position: u32, bad: u32, trouble: Trouble, value: u64| {
        if position == bad { trouble.strike() } else { Ok(value) }
    };
    for on in EVERYWHERE {
        let (runtime, _) = on.runtime(MIB);
        for trouble in [Trouble::Error, Trouble::Panic, Trouble::Payload] {
            for bad in 0..5 {
                let top = try_delayed(move || at(0, bad, trouble, 1)).named("task 0");
                let left = top.try_map(move |x| at(1, bad, trouble, x + 1)).named("task 1");
                let right = top.try_map(move |x| at(2, bad, trouble, x + 2)).named("task 2");
                let both = try_delayed_with((&left, &right), move |(l, r)| at(3, bad, trouble, l * r)).named("task 3");
                let result = compute_on(&runtime, (&both, &left));
                let case = format!("{on:?}, {trouble:?} in {bad}");
                match result {
                    Ok(values) => assert_eq!((bad, values), (4, (6, 2)), "{case}"),
                    Err(error) => {
                        assert_eq!(error.kind(), trouble.kind(), "{case}: {error}");
                        assert!(error.to_string().contains(&format!("task `task {bad}` failed")), "{case}: {error}");
                        assert!(error.to_string().contains("tests/it/faults.rs"), "{case}: {error}");
                        if trouble != Trouble::Payload {
                            assert!(error.to_string().contains("on purpose"), "{case}: {error}");
                        }
                    }
                }
                assert_nothing_held(&runtime, &case);
            }
        }
        assert_works(&runtime, &format!("{on:?}"));
    }
}

#[test]
fn every_task_of_a_diamond_of_rows() {
    const LEN: u32 = 5;
    for on in EVERYWHERE {
        for fuse in [true, false] {
            let builder = on.set(Runtime::builder().memory_limit(MIB).set("optimize.fuse", fuse));
            let runtime = builder.build().unwrap();
            for trouble in [Trouble::Error, Trouble::Panic] {
                for bad in 0..5 {
                    for place in 0..LEN {
                        let at = move |position: u32, index: u32, value: u64| {
                            if (position, index) == (bad, place) { trouble.strike() } else { Ok(value) }
                        };
                        let top = DelayedVec::try_from_fn(LEN, move |i| at(0, i, u64::from(i)));
                        let left = top.try_map(move |x| at(1, *x as u32, x + 1));
                        let right = top.try_map(move |x| at(2, *x as u32, x + 2));
                        let both = left.zip_with(&right, |l, r| (*l, *r));
                        let both = both.try_map(move |(l, r)| at(3, (l - 1) as u32, l * r));
                        let case = format!("{on:?}, fuse {fuse}, {trouble:?} in {bad} at {place}");
                        match compute_on(&runtime, (&both, &left, both.tree_reduce(|a, b| a + b))) {
                            Ok(values) => {
                                let both = vec![2, 6, 12, 20, 30];
                                assert_eq!((bad, values), (4, (both, vec![1, 2, 3, 4, 5], Some(70))), "{case}");
                            }
                            Err(error) => {
                                assert_eq!(error.kind(), trouble.kind(), "{case}: {error}");
                                assert!(error.message().contains("on purpose"), "{case}: {error}");
                                let verb = if bad == 0 { "try_from_fn" } else { "try_map" };
                                assert_eq!(error.task().unwrap().to_string(), format!("{verb} #{place}"), "{case}");
                                assert!(error.to_string().contains("tests/it/faults.rs"), "{case}: {error}");
                            }
                        }
                        assert_nothing_held(&runtime, &case);
                    }
                }
            }
            assert_works(&runtime, &format!("{on:?}"));
        }
    }
}

fn compute_on<C: Compute>(runtime: &Runtime, what: C) -> Result<C::Output> {
    what.compute_on(runtime)
}

#[test]
fn one_of_many_rows_fails() {
    for on in EVERYWHERE {
        let (runtime, disk) = on.runtime(SPILLING_LIMIT);
        for bad in [0, 17, 31] {
            let row = DelayedVec::from_fn(32, |seed| noise_block(seed, 8 << 10));
            let last = row.map(|block| block[7]).tree_reduce(u64::wrapping_add);
            let read = row.map_with(&last, move |block, _| {
                assert!(*block != noise_block(bad, 8 << 10), "a bad block");
                block[3]
            });
            let error = read.compute_on(&runtime).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Panic, "{on:?}: {error}");
            assert!(error.to_string().contains("a bad block"), "{error}");
            assert_nothing_held(&runtime, &format!("{on:?}"));
            assert!(disk.paths().is_empty(), "{on:?}: {:?}", disk.paths());
        }
        assert_works(&runtime, &format!("{on:?}"));
    }
}

/// Its drop panics, if it is told to.
#[derive(Clone)]
struct Bomb(Arc<AtomicBool>);

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.0.load(Ordering::Relaxed) && !std::thread::panicking() {
            panic!("a drop that panics");
        }
    }
}

#[test]
fn a_drop_that_panics() {
    for on in EVERYWHERE {
        let (runtime, _) = on.runtime(MIB);
        let armed = Arc::new(AtomicBool::new(true));
        // Dropped by the task that reads it last, or by the engine where nobody takes it: either way only this run ends.
        for readers in [0, 1, 3] {
            let seed = armed.clone();
            let bombs = DelayedVec::from_fn(20, move |_| Bomb(seed.clone()));
            let mut sums: Vec<Delayed<Option<u32>>> = (0..readers)
                .map(|reader| {
                    bombs.map(move |bomb| u32::from(bomb.0.load(Ordering::Relaxed)) + reader).tree_reduce(|a, b| a + b)
                })
                .collect();
            sums.push(bombs.windows(1, 0, |bombs| bombs.len() as u32).tree_reduce(|a, b| a + b));
            match compute_on(&runtime, sums) {
                Ok(sums) => assert_eq!(sums.last().copied().flatten(), Some(39), "{on:?}"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Panic, "{on:?}, {readers}: {error}"),
            }
            assert_nothing_held(&runtime, &format!("{on:?}, {readers}"));
            assert_works(&runtime, &format!("{on:?}, {readers}"));
        }
        armed.store(false, Ordering::Relaxed);
    }
}

/// A value whose serializer fails, as it is told.
#[derive(Clone, Deserialize)]
struct Stubborn {
    values: Vec<u64>,
    how: u8,
}

/// Written after the values, so that most of the size is known before.
struct Tail(u8);

impl Serialize for Tail {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            1 => panic!("a serializer that panics"),
            2 => Err(serde::ser::Error::custom("a serializer that refuses")),
            how => how.serialize(serializer),
        }
    }
}

impl Serialize for Stubborn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.values, Tail(self.how)).serialize(serializer)
    }
}

#[test]
fn a_serializer_that_fails() {
    for on in EVERYWHERE {
        let (runtime, disk) = on.runtime(64 * KIB);
        for how in [1, 2] {
            let parts: Vec<Delayed<Stubborn>> = (0..20)
                .map(|seed| delayed(move || Stubborn { how, values: vec![(seed + 1) << 40; 1024] }).spillable())
                .collect();
            let lens: Vec<Delayed<usize>> = parts.iter().map(|part| part.map(|part| part.values.len())).collect();
            let count = Delayed::all(&lens);
            let sums: Vec<Delayed<u64>> =
                parts.iter().map(|part| delayed_with((part, &count), |(part, _)| part.values.iter().sum())).collect();
            let error = compute_on(&runtime, sums).unwrap_err();
            let kind = if how == 1 { ErrorKind::Panic } else { error.kind() };
            assert_eq!(error.kind(), kind, "{on:?}: {error}");
            assert!(error.to_string().contains("a serializer that "), "{on:?}: {error}");
            assert_nothing_held(&runtime, &format!("{on:?}, {how}"));
            assert!(disk.paths().is_empty(), "{on:?}: {:?}", disk.paths());
        }
        assert_works(&runtime, &format!("{on:?}"));
    }
}

/// A row whose tasks wait at a gate, so that a run is surely under way.
struct Gate {
    begun: Arc<AtomicU32>,
    open: Arc<AtomicBool>,
}

impl Gate {
    fn new() -> Gate {
        Gate { begun: Arc::default(), open: Arc::default() }
    }

    fn row(&self) -> DelayedVec<u64> {
        let (begun, open) = (self.begun.clone(), self.open.clone());
        DelayedVec::from_fn(100, move |at| {
            begun.fetch_add(1, Ordering::Relaxed);
            while !open.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_micros(100));
            }
            u64::from(at)
        })
    }

    fn wait_begun(&self) {
        eventually("the first task", || self.begun.load(Ordering::Relaxed) > 0);
    }

    fn open(&self) {
        self.open.store(true, Ordering::Relaxed);
    }
}

const POOLED: [On; 4] = [On::Threads(1), On::Threads(2), On::Threads(8), On::Handed(2)];

#[test]
fn cancelled_while_running() {
    for on in POOLED {
        let (runtime, _) = on.runtime(MIB);
        let gate = Gate::new();
        let run = gate.row().start_on(&runtime);
        let stop = run.canceller();
        gate.wait_begun();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                stop.cancel();
                stop.cancel();
                gate.open();
            });
            assert_eq!(run.wait().unwrap_err().kind(), ErrorKind::Cancelled, "{on:?}");
        });
        assert!(gate.begun.load(Ordering::Relaxed) < 100, "{on:?}: nothing new begins");
        assert_works(&runtime, &format!("{on:?}"));

        // By dropping the handle: what runs is not waited for, but ends.
        let gate = Gate::new();
        let run = gate.row().start_on(&runtime);
        gate.wait_begun();
        drop(run);
        gate.open();
        eventually("the end", || runtime.memory_held() == 0);
        assert!(gate.begun.load(Ordering::Relaxed) < 100, "{on:?}");
        assert_works(&runtime, &format!("{on:?}"));
        stop.cancel(); // long over
    }
}

#[test]
fn cancelled_by_dropping_the_runtime() {
    for on in POOLED {
        let (runtime, disk) = on.runtime(MIB);
        let gate = Gate::new();
        let run = gate.row().start_on(&runtime);
        gate.wait_begun();
        drop(runtime);
        gate.open();
        assert_eq!(run.wait().unwrap_err().kind(), ErrorKind::Cancelled, "{on:?}");
        assert!(disk.paths().is_empty());
    }
}

#[test]
fn cancelled_while_spilling() {
    for on in POOLED {
        let (runtime, disk) = on.runtime(SPILLING_LIMIT);
        for after in [0, 1, 5, 20] {
            let row = DelayedVec::from_fn(200, |seed| noise_block(seed, 8 << 10));
            let last = row.map(|block| block[7]).tree_reduce(u64::wrapping_add);
            let run = row.map_with(&last, |block, last| block[3] ^ last.unwrap_or(0)).start_on(&runtime);
            let stop = run.canceller();
            eventually("spilling", || disk.used() >= after * 64 * KIB || run.is_over());
            stop.cancel();
            match run.wait() {
                Ok(values) => assert_eq!(values.len(), 200),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Cancelled, "{on:?}: {error}"),
            }
            assert_nothing_held(&runtime, &format!("{on:?}, {after}"));
            assert!(disk.paths().is_empty(), "{on:?}: {:?}", disk.paths());
        }
        assert_works(&runtime, &format!("{on:?}"));
    }
}

#[test]
fn cancelled_by_dropping_an_iterator() {
    for on in EVERYWHERE {
        let (runtime, disk) = on.runtime(SPILLING_LIMIT);
        let made = Arc::new(AtomicU32::new(0));
        for taken in [0, 1, 3] {
            let count = made.clone();
            count.store(0, Ordering::Relaxed);
            let row = DelayedVec::from_fn(10_000, move |seed| {
                count.fetch_add(1, Ordering::Relaxed);
                noise_block(seed, 8 << 10)
            });
            let values: Vec<Block<u64>> =
                runtime.run(|| row.iter().unwrap().take(taken).collect::<Result<_>>().unwrap());
            assert_eq!(values, (0..taken as u32).map(|seed| noise_block(seed, 8 << 10)).collect::<Vec<_>>());
            eventually("the end", || runtime.memory_held() == 0);
            assert!(made.load(Ordering::Relaxed) < 100, "{on:?}: {made:?} blocks for {taken}");
            eventually("the end", || disk.paths().is_empty());
        }
        assert_works(&runtime, &format!("{on:?}"));
    }
}

#[test]
fn out_of_time() {
    for on in EVERYWHERE {
        let builder = Runtime::builder().memory_limit(MIB).timeout(Duration::from_millis(20));
        let runtime = on.set(builder).build().unwrap();
        let row = DelayedVec::from_fn(1000, |at| {
            std::thread::sleep(Duration::from_millis(5));
            at
        });
        let error = row.compute_on(&runtime).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{on:?}: {error}");
        assert_works(&runtime, &format!("{on:?}"));
    }
}

/// A runtime over a disk, and the disk.
fn over(on: On) -> (Runtime, FaultyDisk, MemoryDisk) {
    let memory = MemoryDisk::new("/spill");
    let disk = FaultyDisk::new(memory.clone(), None);
    let builder = Runtime::builder().memory_limit(SPILLING_LIMIT).spill_dir("/spill").disk(disk.clone());
    (on.set(builder).build().unwrap(), disk, memory)
}

#[test]
fn a_disk_that_is_full() {
    let expected = spilling().compute().unwrap();
    for on in EVERYWHERE {
        let (runtime, _, memory) = over(on);
        let capped = on.set(Runtime::builder().memory_limit(SPILLING_LIMIT).spill_cap(200 * KIB));
        let capped = capped.spill_dir("/spill").disk(MemoryDisk::new("/spill")).build().unwrap();
        let error = spilling().compute_on(&capped).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SpillFull, "{on:?}: {error}");
        assert!(error.to_string().contains("200 KiB"), "{error}");
        assert_works(&capped, &format!("{on:?}"));

        assert_eq!(spilling().compute_on(&runtime).unwrap(), expected, "{on:?}");
        assert!(memory.paths().is_empty());
    }
}

#[test]
fn a_spill_directory_that_cannot_be_used() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    for on in EVERYWHERE {
        for path in [file.clone(), file.join("below")] {
            let runtime = on.set(Runtime::builder().memory_limit(SPILLING_LIMIT).spill_dir(&path)).build().unwrap();
            // What fits needs no disk.
            assert_works(&runtime, &format!("{on:?}"));
            let error = spilling().compute_on(&runtime).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Spill, "{on:?}: {error}");
            assert!(error.to_string().contains(path.to_str().unwrap()), "{on:?}: {error}");
            assert_works(&runtime, &format!("{on:?}"));
        }
    }
    std::fs::remove_file(&file).unwrap();
    assert_empty(dir.path(), "directory");
}

#[test]
fn a_file_that_is_not_what_was_written() {
    for on in EVERYWHERE {
        let (runtime, disk, memory) = over(on);
        disk.flip_reads(true);
        let error = spilling().compute_on(&runtime).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{on:?}: {error}");
        assert_nothing_held(&runtime, &format!("{on:?}"));
        disk.flip_reads(false);
        assert_works(&runtime, &format!("{on:?}"));
        spilling().compute_on(&runtime).unwrap();
        assert!(memory.paths().is_empty());
    }
}

#[test]
fn a_limit_smaller_than_one_task_needs() {
    for on in EVERYWHERE {
        let (runtime, disk) = on.runtime(100 * KIB);
        let row = DelayedVec::from_fn(10, |seed| noise_block(seed, 4096));
        let line = line!() + 1;
        let error = row.all().map(|all| all.len()).compute_on(&runtime).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitTooSmall, "{on:?}: {error}");
        let text = error.to_string();
        assert!(text.contains("`all`") && text.contains("320") && text.contains("100 KiB"), "{on:?}: {text}");
        assert!(text.contains(&format!("faults.rs:{line}")), "{text}");
        assert_works(&runtime, &format!("{on:?}"));
        assert!(disk.paths().is_empty());
    }
}

#[test]
fn a_need_that_shows_only_while_it_runs() {
    for on in EVERYWHERE {
        let (runtime, disk) = on.runtime(100 * KIB);
        // Nobody knows how large these are before they are made.
        let parts: Vec<Delayed<Block<u64>>> = (0..10).map(|seed| delayed(move || noise_block(seed, 4096))).collect();
        let ran = Arc::new(AtomicBool::new(false));
        let has_run = ran.clone();
        let line = line!() + 1;
        let all = Delayed::all(&parts).named("together").map(move |all| {
            has_run.store(true, Ordering::Relaxed);
            all.len()
        });
        let error = all.compute_on(&runtime).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitTooSmall, "{on:?}: {error}");
        let text = error.to_string();
        assert!(text.contains("`together` needs 320"), "{on:?}: {text}");
        assert!(text.contains("100 KiB") && text.contains(&format!("faults.rs:{line}")), "{on:?}: {text}");
        assert!(!ran.load(Ordering::Relaxed), "{on:?}");
        assert_works(&runtime, &format!("{on:?}"));
        assert!(disk.paths().is_empty());
        // A block at a time fits, and so do two.
        let sum = parts.iter().map(|part| part.map(|block| block[1])).collect::<Vec<_>>();
        let sums = compute_on(&runtime, &sum).unwrap();
        assert_eq!(sums[9], noise_block(9, 2)[1]);
        let two = delayed_with((&parts[0], &parts[1]), |(a, b)| a[1] ^ b[1]);
        assert_eq!(two.compute_on(&runtime).unwrap(), sums[0] ^ sums[1]);
        assert_works(&runtime, &format!("{on:?}"));
    }
}

#[test]
fn a_pool_that_others_use_goes_on_after_a_fault() {
    let pool = rayon_pool(2);
    let runtime = Runtime::builder().pool(pool.clone()).memory_limit(MIB).build().unwrap();
    for _ in 0..20 {
        let error = DelayedVec::from_fn(50, |at| assert!(at != 33)).compute_on(&runtime).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Panic);
        assert_eq!(pool.install(|| rayon::join(|| 1, || 2)), (1, 2));
    }
    assert_works(&runtime, "shared pool");
}
