//! The promise about the process: what was freed and is still resident goes back to the system before it counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::engine::Shared;
use super::run::lock;
use crate::store::{allocator, process};

/// Beyond the limit, from where freed memory is given back: a part of the 64 MiB that are allowed, so that what comes until
/// somebody looks again has room too.
const SLACK: u64 = 16 << 20;

/// Again no sooner than after that much growth; where it does not help, since it is not the run's memory, by twice as much each time.
const STEP: u64 = 16 << 20;
const LARGEST_STEP: u64 = 1 << 30;

/// The process is looked at after values of so many bytes were made, or came from disk: about a millisecond of fresh pages.
pub(super) const LOOK_EVERY: u64 = 4 << 20;

/// How much of the process's memory is resident, and what was done about it.
#[derive(Default)]
pub(super) struct Relief {
    /// RssAnon + RssShmem when the first of the live runs began.
    base: AtomicU64,
    /// The least growth since memory was given back for the last time, or at that time.
    relieved: AtomicU64,
    step: AtomicU64,
    /// Bytes that went to disk or came from there since somebody looked.
    unseen: AtomicU64,
}

impl Relief {
    /// The first of the live runs begins.
    pub fn begin(&self) {
        let resident = process::resident().map_or(0, |resident| resident.anon + resident.shmem);
        self.base.store(resident, Relaxed);
        self.relieved.store(0, Relaxed);
        self.step.store(STEP, Relaxed);
    }
}

impl Shared {
    /// How much the process's anonymous and shared memory has grown since the first live run began.
    pub(super) fn sample_resident(&self) -> Option<u64> {
        let resident = process::resident()?;
        Some((resident.anon + resident.shmem).saturating_sub(self.relief.base.load(Relaxed)))
    }

    /// Looks at the process's memory: the largest growth for the report, and what was freed and is kept for reuse given
    /// back where it would go beyond the limit.
    pub(super) fn watch_memory(&self) {
        self.relieve();
        let resident = self.sample_resident();
        {
            let mut core = lock(&self.core);
            for live in &mut core.runs {
                live.peak_resident = live.peak_resident.max(resident);
            }
        }
        self.trim_pool();
    }

    /// Looks at the process when so much went to disk or came back that it may have grown.
    pub(super) fn relieve_after(&self, bytes: u64) {
        if self.relief.unseen.fetch_add(bytes, Relaxed) + bytes >= LOOK_EVERY {
            self.relief.unseen.store(0, Relaxed);
            self.relieve();
        }
    }

    /// Gives freed memory back to the system where the process has grown beyond the limit.
    pub(super) fn relieve(&self) {
        if self.relief.base.load(Relaxed) == 0 {
            // No run began yet, so nothing is known of what others hold.
            return;
        }
        let Some(growth) = self.sample_resident() else { return };
        let relieved = self.relief.relieved.fetch_min(growth, Relaxed).min(growth);
        let (bound, step) = (self.budget.root_limit().saturating_add(SLACK), self.relief.step.load(Relaxed));
        if growth <= bound.max(relieved + step) {
            return;
        }
        // Whoever comes meanwhile sees it as done.
        self.relief.relieved.store(growth, Relaxed);
        allocator::give_back_freed_memory();
        let after = self.sample_resident().unwrap_or(growth);
        self.relief.relieved.fetch_min(after, Relaxed);
        let helped = after <= bound || growth.saturating_sub(after) >= step / 4;
        self.relief.step.store(if helped { STEP } else { (2 * step).min(LARGEST_STEP) }, Relaxed);
    }

    /// Blocks that are kept for reuse count as memory: together with what is held they stay within the limit.
    pub(super) fn trim_pool(&self) {
        let room = self.budget.limit().saturating_sub(self.budget.held());
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        if self.pool.cached() > room {
            self.pool.trim(room);
        }
    }
}
