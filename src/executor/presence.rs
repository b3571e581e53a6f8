//! Who is still there: the handles of an engine and of its runs, and the threads that have something of it in hand. What
//! happens when the last handle goes.

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::crew::Crew;
use super::engine::{Shared, Telling};
use super::run::{Hold, RunState, lock};
use crate::error::{Error, ErrorKind};

thread_local! {
    /// How many [`Busy`] stand on this thread's stack, of whatever engine.
    static BUSY_HERE: Cell<usize> = const { Cell::new(0) };
}

/// Held by all handles of an engine. Ends its runs when it is dropped; handles of runs keep what they need of it.
pub(super) struct Owner {
    shared: Arc<Shared>,
    /// Dropped after the runs were told to end.
    pub presence: Arc<Presence>,
}

impl Owner {
    pub fn new(shared: &Arc<Shared>) -> Owner {
        Owner { shared: shared.clone(), presence: Arc::new(Presence(shared.clone())) }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let runs: Vec<Arc<Hold>> = {
            let mut core = lock(&self.shared.core);
            core.closed = true;
            core.runs.iter().map(|live| live.state.clone()).collect()
        };
        for run in runs {
            let text = "the run was cancelled: its runtime was dropped";
            self.shared.cancel(&run, Error::new(ErrorKind::Cancelled, text));
        }
    }
}

/// Held by all that a user has of an engine: its handles and those of its runs. The last one waits until nothing is under
/// way, so that no thread is still at the user's values, and no file is left, when its drop returns.
pub(super) struct Presence(Arc<Shared>);

impl Drop for Presence {
    fn drop(&mut self) {
        let shared = &self.0;
        // What is nested in a task works on the thread of that task alone.
        if shared.is_nested || !shared.may_wait() {
            return;
        }
        shared.do_disk_jobs_of_nobody();
        shared.closing.store(true, Ordering::SeqCst);
        let mut core = lock(&shared.core);
        while core.broken.is_none() {
            let is_quiet = shared.is_synchronous() || (core.runs.is_empty() && shared.disk.is_empty());
            if is_quiet && shared.busy.load(Ordering::SeqCst) == 0 {
                return;
            }
            core = shared.made.wait(core).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Marks a thread that works for an engine, or does what its brain said.
pub(super) struct Busy<'a>(&'a Shared);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        // While a thread ends the mark may be gone already.
        let _ = BUSY_HERE.try_with(|here| here.set(here.get() - 1));
        if self.0.busy.fetch_sub(1, Ordering::SeqCst) == 1 && self.0.closing.load(Ordering::SeqCst) {
            // Whoever waits has looked at the number under the core lock, so it is waiting by now or sees the new one.
            drop(lock(&self.0.core));
            self.0.made.notify_all();
        }
    }
}

impl Shared {
    pub(super) fn busy(&self) -> Busy<'_> {
        let _ = BUSY_HERE.try_with(|here| here.set(here.get() + 1));
        self.busy.fetch_add(1, Ordering::SeqCst);
        Busy(self)
    }

    /// Whether this thread may wait for work of the engine to end: not if that work, or another engine's, stands on its own
    /// stack, nor if the work may need it as a thread of the pool. A thread that panics does not wait either: what would
    /// let the work go on may be done further up its stack.
    fn may_wait(&self) -> bool {
        let on_pool = match &self.crew {
            Crew::Synchronous => false,
            Crew::Pool { pool, .. } => pool.current_thread_index().is_some(),
        };
        let is_busy = BUSY_HERE.try_with(|here| here.get() > 0).unwrap_or(false);
        !on_pool && !is_busy && !std::thread::panicking()
    }

    /// Waits until no thread of the engine has a run in hand that is over and released.
    pub(super) fn wait_until_let_go(self: &Arc<Shared>, run: &RunState) {
        if self.may_wait() {
            self.do_disk_jobs_of_nobody();
            run.end.wait_until_let_go();
        }
    }

    /// In a synchronous engine work for the disk is done by who waits for a run; here by who waits for its end.
    fn do_disk_jobs_of_nobody(self: &Arc<Shared>) {
        if self.is_synchronous() {
            // From before a job is taken: who drives another run sees it in the queue or here, and does not take what it
            // waits for as a standstill.
            let _telling = Telling::begin(self);
            while let Some(job) = self.disk.try_next() {
                self.do_disk_job(job);
            }
        }
    }
}
