//! One check for everything that is computed: the same bits however it is run, and nothing left behind.

use std::fmt::Debug;
use std::panic::Location;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chunkwise::prelude::*;
use chunkwise::runtime::RuntimeBuilder;
use chunkwise::runtime::config::Scheduler;
use chunkwise::runtime::observe::Outcome;
use chunkwise::store::spill::MemoryDisk;
use chunkwise::store::{Block, Element};

/// A value as bits, for equality that tells `0.0` from `-0.0` and knows a NaN again.
pub trait Bits {
    fn bits(&self, out: &mut Vec<u64>);

    fn to_bits_vec(&self) -> Vec<u64> {
        let mut out = Vec::new();
        self.bits(&mut out);
        out
    }
}

macro_rules! integers {
    ($($int:ty)+) => {$(
        impl Bits for $int {
            fn bits(&self, out: &mut Vec<u64>) {
                out.push(*self as u64);
            }
        }
    )+};
}

integers!(u8 u32 u64 usize i32 i64 bool);

impl Bits for f64 {
    fn bits(&self, out: &mut Vec<u64>) {
        out.push(self.to_bits());
    }
}

impl Bits for () {
    fn bits(&self, _: &mut Vec<u64>) {}
}

impl Bits for String {
    fn bits(&self, out: &mut Vec<u64>) {
        out.push(self.len() as u64);
        out.extend(self.bytes().map(u64::from));
    }
}

impl<T: Bits> Bits for Vec<T> {
    fn bits(&self, out: &mut Vec<u64>) {
        out.push(self.len() as u64);
        self.iter().for_each(|item| item.bits(out));
    }
}

impl<T: Bits + Element> Bits for Block<T> {
    fn bits(&self, out: &mut Vec<u64>) {
        out.push(self.len() as u64);
        self.iter().for_each(|item| item.bits(out));
    }
}

impl<T: Bits> Bits for Option<T> {
    fn bits(&self, out: &mut Vec<u64>) {
        out.push(u64::from(self.is_some()));
        self.iter().for_each(|item| item.bits(out));
    }
}

impl<A: Bits, B: Bits> Bits for (A, B) {
    fn bits(&self, out: &mut Vec<u64>) {
        self.0.bits(out);
        self.1.bits(out);
    }
}

impl<A: Bits, B: Bits, C: Bits> Bits for (A, B, C) {
    fn bits(&self, out: &mut Vec<u64>) {
        self.0.bits(out);
        self.1.bits(out);
        self.2.bits(out);
    }
}

/// The threads a program is run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    Synchronous,
    Threads(usize),
    Handed(usize),
}

pub const EVERYWHERE: [On; 5] = [On::Synchronous, On::Threads(1), On::Threads(2), On::Threads(8), On::Handed(2)];

impl On {
    pub fn set(self, builder: RuntimeBuilder) -> RuntimeBuilder {
        match self {
            On::Synchronous => builder.scheduler(Scheduler::Synchronous),
            On::Threads(threads) => builder.threads(threads),
            On::Handed(threads) => builder.pool(rayon_pool(threads)),
        }
    }

    /// A runtime with that limit that spills to memory; the disk tells what is left.
    pub fn runtime(self, limit_bytes: u64) -> (Runtime, MemoryDisk) {
        let disk = MemoryDisk::new("/spill");
        let builder = Runtime::builder().memory_limit(limit_bytes).spill_dir("/spill").disk(disk.clone());
        (self.set(builder).build().unwrap(), disk)
    }
}

pub fn rayon_pool(threads: usize) -> Arc<rayon::ThreadPool> {
    Arc::new(rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap())
}

/// Memory in which every test program fits.
pub const AMPLE: u64 = 1 << 30;

/// Runs a program over all passes on and off, all kinds of threads, and an ample and a tiny limit; every run must give the
/// bits of `expected`, leave nothing in memory or on disk, and tell so in its report. Whether any run spilled is returned.
#[track_caller]
pub fn assert_same<C>(tiny_bytes: u64, build: impl Fn() -> C, expected: C::Output) -> bool
where
    C: Compute,
    C::Output: Bits + Debug,
{
    let from = Location::caller();
    let expected = expected.to_bits_vec();
    let mut spilled = false;
    for flags in 0..8u32 {
        for on in EVERYWHERE {
            for limit_bytes in [AMPLE, tiny_bytes] {
                let real = (on == On::Threads(2)).then(|| tempfile::tempdir().unwrap());
                let memory = MemoryDisk::new("/spill");
                let mut builder = on.set(Runtime::builder().memory_limit(limit_bytes));
                for (bit, pass) in ["optimize.cull", "optimize.share", "optimize.fuse"].into_iter().enumerate() {
                    builder = builder.set(pass, flags >> bit & 1 == 0);
                }
                builder = match &real {
                    Some(dir) => builder.spill_dir(dir.path()),
                    None => builder.spill_dir("/spill").disk(memory.clone()),
                };
                let runtime = builder.build().unwrap();
                let case = format!("{on:?}, passes off: {flags:03b}, limit {limit_bytes}, from {from}");
                let got = build().compute_on(&runtime).unwrap_or_else(|error| panic!("{case}: {error}"));
                assert!(got.to_bits_vec() == expected, "{case}: other values");
                drop(got);

                let report = runtime.last_report();
                assert_eq!(report.outcome, Outcome::Finished, "{case}");
                assert!(report.tasks > 0 || report.tasks_after == 0, "{case}");
                assert!(report.tasks <= report.tasks_after, "{case}");
                assert_eq!(report.layers.iter().map(|layer| layer.tasks).sum::<u64>(), report.tasks, "{case}");
                assert!(report.tasks_after <= report.tasks_before, "{case}");
                assert_eq!(report.limit_bytes, limit_bytes, "{case}");
                assert_eq!(report.threads as usize, runtime.threads(), "{case}");
                assert!(limit_bytes == tiny_bytes || report.spilled_bytes == 0, "{case}: spilled without need");
                spilled |= report.spilled_bytes > 0;
                assert_nothing_held(&runtime, &case);
                assert!(memory.paths().is_empty(), "{case}: {:?} left", memory.paths());
                if let Some(dir) = &real {
                    assert_empty(dir.path(), &case);
                }
            }
        }
    }
    spilled
}

/// Nothing is counted as held, in memory or on disk.
#[track_caller]
pub fn assert_nothing_held(runtime: &Runtime, case: &str) {
    assert_eq!((runtime.memory_held(), runtime.spilled()), (0, 0), "memory and disk: {case}");
}

#[track_caller]
pub fn assert_empty(dir: &Path, case: &str) {
    let left: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{case}: {left:?} left");
}

/// Waits for something another thread does, and fails where it does not happen in a long time.
#[track_caller]
pub fn eventually(what: &str, mut there: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !there() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what} did not happen");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A number that looks random, of its place.
pub fn noise(place: u64) -> u64 {
    let mut x = place.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A block of noise; the numbers of block `seed`.
pub fn noise_block(seed: u32, len: usize) -> Block<u64> {
    Block::build(len, |out| {
        for (at, element) in out.iter_mut().enumerate() {
            *element = noise(u64::from(seed) << 32 | at as u64);
        }
    })
}
