//! The threads: workers as jobs on a rayon pool or on the thread that waits, a service thread for time, one for the
//! disk.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::core::{Core, Effects};
use super::disk::DiskQueue;
use super::engine::{Engine, Shared, Threads};
use super::lease::Lease;
use super::run::{Hold, RunState, lock};
use super::worker::{Local, is_at_work};
use crate::error::{Error, ErrorKind, Result};
use crate::schedule::{Event, Worker};

/// How often time is told to the brain while runs are live.
const TICK: Duration = Duration::from_millis(2);

/// How often the process's memory is looked at, in ticks.
const SAMPLE_EVERY: u32 = 3;

/// The place of one worker. On a pool, the worker of thread `i` has seat `i`, so there is at most one per thread.
#[derive(Default)]
pub(super) struct Seat {
    pub lease: Mutex<Lease>,
    pub local: Mutex<Option<Local>>,
    /// A worker stands on this thread's stack.
    taken: AtomicBool,
    /// For a thread of the pool that waits for its own run.
    called: Mutex<bool>,
    calls: Condvar,
}

pub(crate) enum Crew {
    Synchronous,
    Pool { pool: Arc<rayon::ThreadPool>, own: bool },
}

impl Crew {
    pub fn new(threads: Threads) -> Result<Crew> {
        match threads {
            Threads::Synchronous => Ok(Crew::Synchronous),
            Threads::Handed(pool) => Ok(Crew::Pool { pool, own: false }),
            Threads::Own(threads) => {
                let builder = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1));
                let pool = builder.thread_name(|thread| format!("chunkwise-{thread}")).build();
                let pool = pool.map_err(|error| Error::with_source(ErrorKind::Config, "starting threads", error))?;
                Ok(Crew::Pool { pool: Arc::new(pool), own: true })
            }
        }
    }

    pub fn workers(&self) -> usize {
        match self {
            Crew::Synchronous => 1,
            Crew::Pool { pool, .. } => pool.current_num_threads(),
        }
    }
}

/// The threads that are not workers.
#[derive(Default)]
pub(super) struct Service {
    started: AtomicBool,
    call: Mutex<Call>,
    bell: Condvar,
}

#[derive(Default)]
struct Call {
    /// There is something to look after.
    awake: bool,
    /// There will be nothing more.
    closed: bool,
}

impl Service {
    /// Waits until there is something to look after; false if there never will be.
    fn wait(&self) -> bool {
        let mut call = lock(&self.call);
        while !call.awake && !call.closed {
            call = self.bell.wait(call).unwrap_or_else(PoisonError::into_inner);
        }
        !call.closed
    }

    fn awake(&self) {
        lock(&self.call).awake = true;
        self.bell.notify_all();
    }

    fn sleep(&self) {
        lock(&self.call).awake = false;
    }

    /// Lets the thread that keeps time end.
    pub fn close(&self) {
        lock(&self.call).closed = true;
        self.bell.notify_all();
    }
}

impl Shared {
    /// Whether its workers should let others have the threads now and then.
    pub(super) fn yields(&self) -> bool {
        matches!(self.crew, Crew::Pool { own: false, .. })
    }

    /// Calls for workers: first those threads of the pool that wait in `compute`, then jobs on the pool.
    pub(super) fn wake(self: &Arc<Shared>, workers: u32) {
        let Crew::Pool { pool, .. } = &self.crew else { return };
        let mut jobs = workers;
        while jobs > 0 {
            let Some(caller) = lock(&self.core).callers.pop() else { break };
            self.unpark(caller);
            jobs -= 1;
        }
        // Who begins a run goes to sleep as soon as it has. A worker that it woke while it is still at work itself is put behind another one
        // where processors are few, and found there by the system's scheduler only after some milliseconds: so the first worker calls the others.
        if jobs < 2 || pool.current_thread_index().is_some() {
            (0..jobs).for_each(|_| self.spawn_worker());
            return;
        }
        let shared = self.clone();
        pool.spawn(move || {
            (1..jobs).for_each(|_| shared.spawn_worker());
            shared.work_as_job();
        });
    }

    /// Puts a job on the pool that is a worker.
    fn spawn_worker(self: &Arc<Shared>) {
        if let Crew::Pool { pool, .. } = &self.crew {
            let shared = self.clone();
            pool.spawn(move || shared.work_as_job());
        }
    }

    /// A job on the pool that is a worker.
    fn work_as_job(self: Arc<Shared>) {
        let Crew::Pool { pool, .. } = &self.crew else { return };
        let Some(thread) = pool.current_thread_index() else { return };
        let seat = &self.seats[thread];
        if seat.taken.swap(true, Ordering::AcqRel) {
            // This thread is inside a task and took the job while waiting for another: it cannot be two workers.
            lock(&self.core).missed += 1;
            return;
        }
        self.work_guarded(thread as Worker, None);
        seat.taken.store(false, Ordering::Release);
    }

    /// A defect of the engine must not take the process with it: rayon aborts where a job panics.
    fn work_guarded(self: &Arc<Shared>, worker: Worker, until: Option<&dyn Fn() -> bool>) {
        let work = std::panic::AssertUnwindSafe(|| self.work(worker, until));
        if let Err(panic) = std::panic::catch_unwind(work) {
            let error = Error::internal(Error::from_panic(panic).message().to_string());
            self.break_down(error);
        }
    }

    /// After a defect nothing can be trusted: all runs end at once, and no other one is begun.
    pub(super) fn break_down(&self, error: Error) {
        let states: Vec<Arc<Hold>> = {
            let mut core = lock(&self.core);
            core.broken.get_or_insert(error.clone());
            core.runs.iter().map(|live| live.state.clone()).collect()
        };
        for state in states {
            state.fail(error.clone());
            state.settle(crate::schedule::Outcome::Stopped, self.budget.limit());
            state.end.announce();
            // It may stand in tables that nobody looks at any more.
            state.end.let_go();
        }
        // Whoever waits has looked at its run under the core lock, so it is waiting by now or sees the end.
        drop(lock(&self.core));
        self.made.notify_all();
        self.unpark_callers();
    }

    /// What a service thread does; a defect of the engine ends all runs, not the thread alone.
    fn serve_guarded(&self, work: impl FnOnce()) {
        if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
            self.break_down(Error::internal(Error::from_panic(panic).message().to_string()));
        }
    }

    fn unpark(&self, caller: Worker) {
        let seat = &self.seats[caller as usize];
        *lock(&seat.called) = true;
        seat.calls.notify_all();
    }

    pub(super) fn unpark_callers(&self) {
        let callers = std::mem::take(&mut lock(&self.core).callers);
        for caller in callers {
            self.unpark(caller);
        }
    }

    /// Waits for the end of a run, working for it where this thread is one of the workers.
    ///
    /// # Errors
    /// Inside a task of this engine, where no thread would be left to do what is waited for.
    pub fn drive(self: &Arc<Shared>, state: &RunState) -> Result<()> {
        self.drive_until(state, |_| false)
    }

    /// As [`Shared::drive`], until the deadline; what is not over by then goes on when it is waited for again. Inside a task
    /// of this engine the thread only waits.
    pub fn drive_for(self: &Arc<Shared>, state: &RunState, deadline: Option<Instant>) {
        if is_at_work(self) {
            state.wait_until(deadline);
        } else if !state.is_over() {
            self.drive_outside(state, |_| false, deadline);
        }
    }

    /// As [`Shared::drive`], until something is there.
    pub(super) fn drive_until(self: &Arc<Shared>, state: &RunState, there: impl Fn(&mut Core) -> bool) -> Result<()> {
        if state.is_over() || there(&mut lock(&self.core)) {
            return Ok(());
        }
        if !is_at_work(self) {
            self.drive_outside(state, there, None);
            return Ok(());
        }
        // The thread keeps its seat, so it cannot help.
        let waiting = self.waiting.fetch_add(1, Ordering::AcqRel) + 1;
        let result = if waiting < self.seats.len() {
            self.drive_outside(state, there, None);
            Ok(())
        } else {
            let text = "a task waits for a run of its own runtime and no thread is left to work on it: use `compute` \
                        inside tasks, or make the run an input of the task";
            Err(Error::new(ErrorKind::Unsupported, text))
        };
        self.waiting.fetch_sub(1, Ordering::AcqRel);
        result
    }

    fn drive_outside(
        self: &Arc<Shared>,
        state: &RunState,
        there: impl Fn(&mut Core) -> bool,
        deadline: Option<Instant>,
    ) {
        match &self.crew {
            Crew::Synchronous => self.drive_synchronously(state, there, deadline),
            Crew::Pool { pool, .. } => {
                if let Some(thread) = pool.current_thread_index() {
                    let seat = &self.seats[thread];
                    if !seat.taken.swap(true, Ordering::AcqRel) {
                        self.drive_on_pool(thread as Worker, state, there, deadline);
                        seat.taken.store(false, Ordering::Release);
                        return;
                    }
                }
                if deadline.is_some() {
                    state.wait_until(deadline);
                    return;
                }
                let mut core = lock(&self.core);
                while !state.is_over() && !there(&mut core) {
                    core = self.made.wait(core).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// This thread belongs to the pool: it is a worker until its run is over, so a pool of one thread goes on as well.
    fn drive_on_pool(
        self: &Arc<Shared>,
        worker: Worker,
        state: &RunState,
        there: impl Fn(&mut Core) -> bool,
        deadline: Option<Instant>,
    ) {
        let stop = || state.is_over() || is_past(deadline);
        let seat = &self.seats[worker as usize];
        loop {
            {
                let mut core = lock(&self.core);
                if stop() || there(&mut core) {
                    return;
                }
            }
            self.work_guarded(worker, Some(&stop));
            let mut core = lock(&self.core);
            if stop() || there(&mut core) {
                return;
            }
            *lock(&seat.called) = false;
            core.callers.push(worker);
            drop(core);
            let mut called = lock(&seat.called);
            while !*called {
                // The time bound only covers an output made by another worker: that does not call this one.
                let waited = seat.calls.wait_timeout(called, TICK).unwrap_or_else(PoisonError::into_inner);
                called = waited.0;
                if waited.1.timed_out() {
                    break;
                }
            }
            drop(called);
            lock(&self.core).callers.retain(|caller| *caller != worker);
        }
    }

    fn drive_synchronously(
        self: &Arc<Shared>,
        state: &RunState,
        there: impl Fn(&mut Core) -> bool,
        deadline: Option<Instant>,
    ) {
        let stop = || state.is_over() || is_past(deadline);
        let _turn = lock(&self.sync_turn);
        let mut idle_rounds = 0;
        while !stop() && !there(&mut lock(&self.core)) {
            self.work_guarded(0, Some(&stop));
            let mut jobs = 0;
            while let Some(job) = self.disk.try_next() {
                self.do_disk_job(job);
                jobs += 1;
            }
            self.check_deadlines();
            // Whatever can happen has happened: a run that is not over then never will be. Unless another thread (one that
            // cancels, starts or takes) still has in hand what the brain told it: work for the disk, the end of a run.
            idle_rounds = if jobs > 0 { 0 } else { idle_rounds + 1 };
            if self.telling.load(Ordering::Acquire) > 0 {
                idle_rounds = 0;
                std::thread::yield_now();
            }
            if idle_rounds > 2 && !state.is_over() {
                let busy = lock(&self.core).brain.is_busy();
                self.break_down(Error::internal(format!("a synchronous run stands still (busy: {busy})")));
            }
        }
    }

    /// With the first run, starts the service threads and removes what dead processes left on disk.
    pub(super) fn service_starts(self: &Arc<Shared>) {
        let is_first = !self.service.started.swap(true, Ordering::AcqRel);
        if self.is_synchronous() {
            if is_first && !self.is_nested {
                self.spill.sweep();
            }
            return;
        }
        if is_first {
            let (service, shared) = (self.service.clone(), Arc::downgrade(self));
            let time = std::thread::Builder::new().name("chunkwise-time".into());
            // Without it nothing but timeouts, stealing and memory samples is missing.
            let _ = time.spawn(move || keep_time(&service, &shared));
            let (queue, shared) = (self.disk.clone(), Arc::downgrade(self));
            let disk = std::thread::Builder::new().name("chunkwise-disk".into());
            let started = disk.spawn(move || keep_disk(&queue, &shared));
            if started.is_err() {
                self.break_down(Error::new(ErrorKind::Config, "the disk thread cannot be started"));
            }
        }
    }

    /// Wakes the thread that keeps time: after the workers, which it would take a processor from.
    pub(super) fn time_goes_on(&self) {
        self.service.awake();
    }
}

fn is_past(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| Instant::now() >= deadline)
}

/// Does what is to be done for the disk. While it waits it holds the queue alone.
fn keep_disk(queue: &DiskQueue, shared: &Weak<Shared>) {
    if let Some(shared) = shared.upgrade() {
        // A process that was killed may have left much, and this one may never spill.
        shared.serve_guarded(|| shared.spill.sweep());
    }
    while queue.wait() {
        let Some(shared) = shared.upgrade() else { return };
        // From before the job is taken, so that it is always seen either in the queue or here.
        let _busy = shared.busy();
        if let Some(job) = queue.try_next() {
            shared.serve_guarded(|| shared.do_disk_job(job));
        }
    }
}

/// Tells the brain the time, while there are runs. While it waits it holds the bell alone.
fn keep_time(service: &Service, shared: &Weak<Shared>) {
    let mut ticks = 0u32;
    while service.wait() {
        let Some(shared) = shared.upgrade() else { return };
        let asleep = {
            let mut core = lock(&shared.core);
            let core = &mut *core;
            let live = core.runs.iter().any(|live| !live.state.is_over());
            if !live && !core.brain.is_busy() {
                service.sleep();
            }
            !live
        };
        if !asleep {
            let (mut effects, mut collected) = (Effects::default(), Effects::default());
            shared.serve_guarded(|| {
                shared.tell(&mut effects, |core| {
                    let missed = std::mem::take(&mut core.missed);
                    core.brain.note(&Event::Missed(missed), &mut core.actions);
                    core.brain.note(&Event::Tick, &mut core.actions);
                    shared.collect_from_late(core, &mut collected);
                });
                shared.give_back(&mut collected);
                shared.check_deadlines();
            });
            ticks = ticks.wrapping_add(1);
            if ticks.is_multiple_of(SAMPLE_EVERY) {
                shared.watch_memory();
            }
        }
        drop(shared);
        std::thread::sleep(TICK);
    }
}

impl Engine {
    /// The pool it works on, if it has one.
    pub fn rayon_pool(&self) -> Option<Arc<rayon::ThreadPool>> {
        match &self.shared().crew {
            Crew::Synchronous => None,
            Crew::Pool { pool, .. } => Some(pool.clone()),
        }
    }
}
