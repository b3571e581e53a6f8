//! The engine: one brain with its budget, pool, spill area and threads; the door of the executor.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::core::{Core, Effects};
use super::crew::{Crew, Seat, Service};
use super::disk::DiskQueue;
use super::presence::Owner;
use super::relief::Relief;
use super::run::{Hold, Receiver, RunHandle, RunState, RunStats, Target, lock};
use super::worker::{TaskTimes, current_engine, engine_at_work, lineage};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::Graph;
use crate::schedule::{Brain, BrainConfig, Event, Outcome, OutputMode, RunId};
use crate::store::SpillArea;
use crate::store::{Budget, Chunk, Pool, process};

/// Which threads an engine works on.
pub enum Threads {
    /// The thread that waits for a run does everything, in a fixed order.
    Synchronous,
    /// Threads of its own.
    Own(usize),
    /// A pool that others use as well.
    Handed(Arc<rayon::ThreadPool>),
}

/// What an engine is made of.
pub struct EngineOptions {
    /// Its threads.
    pub threads: Threads,
    /// Bytes that all its runs together may hold.
    pub limit_bytes: u64,
    /// Where it spills.
    pub spill: SpillArea,
}

/// Looks on while a run goes. All methods are called from worker threads and must be quick.
pub trait Watch: Send + Sync {
    /// Whether every task is to be reported, which costs two looks at the clock for each.
    fn wants_tasks(&self) -> bool;
    /// Whether to be told how many tasks have run.
    fn wants_progress(&self) -> bool;
    /// So many tasks of a layer have run; only if [`Watch::wants_progress`].
    fn progress(&self, layer: u32, done: u64, at: Duration);
    /// A task has run; only if [`Watch::wants_tasks`].
    fn task(&self, graph: &Graph, times: &TaskTimes);
    /// The values of a task were written to disk.
    fn spilled(&self, graph: &Graph, task: u32, bytes: u64, at: Duration);
    /// A value of a task was read back.
    fn read_back(&self, graph: &Graph, task: u32, bytes: u64, at: Duration);
    /// The run has ended; called before anyone who waits for it is told.
    fn ended(&self, graph: &Graph, stats: &RunStats, error: Option<&Error>);
}

/// How one run is to go.
#[derive(Default)]
pub struct RunOptions {
    /// Ends the run with an error of kind `Timeout` when it is not over by then.
    pub timeout: Option<Duration>,
    /// Who looks on.
    pub watch: Option<Arc<dyn Watch>>,
}

pub(crate) struct Shared {
    pub core: Mutex<Core>,
    pub(super) seats: Vec<Seat>,
    pub crew: Crew,
    pub budget: Budget,
    pub pool: Pool,
    pub spill: SpillArea,
    /// The disk thread and the one that keeps time wait on these, not on the engine: nothing keeps it but its handles, its
    /// runs and those that do something for it.
    pub(super) disk: Arc<DiskQueue>,
    pub(super) service: Arc<Service>,
    pub(super) sync_turn: Mutex<()>,
    /// Threads that have spilled values in hand that nobody needs: while there are some, no run is told to be over.
    pub(super) in_hand: AtomicUsize,
    /// Calls that have told the brain something and not yet done all that it said.
    pub(super) telling: AtomicUsize,
    /// Threads that wait inside a task for a run.
    pub(super) waiting: AtomicUsize,
    /// Signalled when an output of a run that keeps them was made, and when a run ends.
    pub made: Condvar,
    pub(super) relief: Relief,
    /// The same number in an engine and those nested in it.
    pub(super) family: u64,
    /// It works inside a task of another engine, whose pool it uses.
    pub(super) is_nested: bool,
    /// Threads that work for it or have in hand what the brain said.
    pub(super) busy: AtomicUsize,
    /// Somebody waits until there are none.
    pub(super) closing: AtomicBool,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.service.close();
        self.disk.close();
    }
}

/// One brain with everything it needs.
///
/// Dropping the last of its handles cancels its runs. The last to be dropped of its handles and those of its runs waits
/// until the tasks under way are over and the spill files are removed. A thread does not wait where it would wait for
/// itself: inside a task, on a thread of the pool; nor while it panics. The threads end soon after.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    /// Of an engine for what is computed inside a task: the engine it was made from.
    outer: Option<Arc<Shared>>,
    owner: Arc<Owner>,
}

impl Engine {
    /// An engine without runs.
    pub fn new(options: EngineOptions) -> Result<Engine> {
        let EngineOptions { threads, limit_bytes, spill } = options;
        Ok(Engine::of(Crew::new(threads)?, limit_bytes, spill))
    }

    /// A synchronous engine, which needs no threads and so cannot fail to start.
    pub fn synchronous(limit_bytes: u64, spill: SpillArea) -> Engine {
        Engine::of(Crew::Synchronous, limit_bytes, spill)
    }

    fn of(crew: Crew, limit_bytes: u64, spill: SpillArea) -> Engine {
        static FAMILIES: AtomicU64 = AtomicU64::new(0);
        let family = FAMILIES.fetch_add(1, Ordering::Relaxed);
        let pool = Pool::new(usize::try_from(limit_bytes).unwrap_or(usize::MAX));
        Engine::with(crew, Budget::new(limit_bytes), pool, spill, family, false)
    }

    fn with(crew: Crew, budget: Budget, pool: Pool, spill: SpillArea, family: u64, is_nested: bool) -> Engine {
        let workers = crew.workers() as u32;
        let config = BrainConfig { workers, limit: budget.limit(), max_lease: 256 };
        let shared = Arc::new(Shared {
            core: Mutex::new(Core::new(Brain::new(config).refusing_beyond(budget.root_limit()))),
            seats: (0..workers).map(|_| Seat::default()).collect(),
            crew,
            budget,
            pool,
            spill,
            disk: Arc::default(),
            service: Arc::default(),
            sync_turn: Mutex::new(()),
            in_hand: AtomicUsize::new(0),
            telling: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            made: Condvar::new(),
            relief: Relief::default(),
            family,
            is_nested,
            busy: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
        });
        let owner = Arc::new(Owner::new(&shared));
        Engine { shared, outer: None, owner }
    }

    /// The engine for a compute on this thread: this one, or a synchronous one under a child of its budget, which runs
    /// the work on this thread, where a task of this one waits for what this thread does: inside one of its tasks, and
    /// inside a task of another engine whose run was started there. Its own threads might all be waiting.
    pub fn here(&self) -> Engine {
        let family = self.shared.family;
        let at_work = engine_at_work(family)
            .or_else(|| (Engine::inside_task() && lineage().contains(&family)).then(|| self.shared.clone()));
        match at_work {
            Some(at_work) => Engine { outer: Some(self.shared.clone()), ..Engine::nested(&at_work) },
            None => self.clone(),
        }
    }

    fn nested(outer: &Arc<Shared>) -> Engine {
        let limit = outer.budget.limit();
        let free = limit.saturating_sub(outer.budget.held());
        let share = limit / (2 * outer.seats.len().max(1) as u64);
        let budget = outer.budget.child(free.max(share));
        Engine::with(Crew::Synchronous, budget, outer.pool.clone(), outer.spill.clone(), outer.family, true)
    }

    /// Whether this thread runs a task of this engine.
    pub fn is_at_work_here(&self) -> bool {
        engine_at_work(self.shared.family).is_some()
    }

    /// Whether this thread runs a task of some engine.
    pub fn inside_task() -> bool {
        current_engine().is_some()
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Number of threads it works on.
    pub fn threads(&self) -> usize {
        self.shared.seats.len()
    }

    /// Its memory limit in bytes.
    pub fn limit_bytes(&self) -> u64 {
        self.shared.budget.limit()
    }

    /// Its budget.
    pub fn budget(&self) -> &Budget {
        &self.shared.budget
    }

    /// Its pool of blocks.
    pub fn pool(&self) -> &Pool {
        &self.shared.pool
    }

    /// Where it spills.
    pub fn spill(&self) -> &SpillArea {
        &self.shared.spill
    }

    /// Starts a run. Outputs go to `receiver`, or, without one, stay until they are taken; with `stream` tasks start
    /// only as outputs are wanted.
    pub fn start(
        &self,
        graph: Arc<Graph>,
        receiver: Option<Arc<dyn Receiver>>,
        stream: bool,
        options: RunOptions,
    ) -> RunHandle {
        let mode = match (&receiver, stream) {
            (Some(_), _) => OutputMode::Collect,
            (None, true) => OutputMode::Stream,
            (None, false) => OutputMode::Keep,
        };
        let shared = &self.shared;
        let state = Arc::new(RunState::new(shared.next_run(), graph, mode, receiver, options));
        shared.begin(&state);
        RunHandle {
            target: Arc::new(Mutex::new(Target::of(shared, &state))),
            shared: shared.clone(),
            state,
            detached: false,
            outer: self.outer.clone(),
            // An engine that was made for this run lives as long.
            owner: shared.is_nested.then(|| self.owner.clone()),
            presence: self.owner.presence.clone(),
        }
    }
}

/// Counts a call in [`Shared::telling`].
pub(super) struct Telling<'a>(&'a AtomicUsize);

impl Telling<'_> {
    pub fn begin(shared: &Shared) -> Telling<'_> {
        shared.telling.fetch_add(1, Ordering::AcqRel);
        Telling(&shared.telling)
    }
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Shared {
    pub fn is_synchronous(&self) -> bool {
        matches!(self.crew, Crew::Synchronous)
    }

    pub(super) fn next_run(&self) -> RunId {
        lock(&self.core).next_run()
    }

    /// Gives a run to the brain; one that cannot be is over at once.
    pub(super) fn begin(self: &Arc<Shared>, state: &Arc<RunState>) {
        let _busy = self.busy();
        let _telling = Telling::begin(self);
        let mut effects = Effects::default();
        let hold = Hold::of(state.clone());
        let refused = {
            let mut core = lock(&self.core);
            let core = &mut *core;
            let refused = core.refusal();
            if refused.is_none() {
                if core.runs.is_empty() {
                    self.relief.begin();
                    core.foreign = self.pool.in_use() as u64;
                }
                core.submit(hold.clone(), &mut effects);
                self.take_in_hand(&mut effects);
                self.publish(core);
            }
            refused
        };
        drop(hold);
        if let Some(error) = refused {
            state.fail(error);
            state.settle(Outcome::Stopped, self.budget.limit());
            state.end.announce();
            return;
        }
        self.service_starts();
        self.give_back(&mut effects);
        self.time_goes_on();
    }

    /// Tells the brain what is held beside its own account.
    pub(super) fn note_outside(&self, core: &mut Core) {
        let mut held = self.budget.held();
        if !self.is_nested {
            // A slab stays as a whole while one piece of it is there, and of what the brain counts only pieces are left.
            held = held.max((self.pool.in_use() as u64).saturating_sub(core.foreign));
        }
        let outside = held.saturating_sub(core.brain.used());
        core.brain.note(&Event::Outside(outside), &mut core.actions);
    }

    /// Shows the brain's account to those who make reservations.
    pub(super) fn publish(&self, core: &mut Core) {
        self.budget.set_base(core.brain.used());
    }

    /// Tells the brain something and does what it says.
    pub(super) fn tell(self: &Arc<Shared>, effects: &mut Effects, what: impl FnOnce(&mut Core)) {
        let _busy = self.busy();
        let _telling = Telling::begin(self);
        {
            let mut core = lock(&self.core);
            let core = &mut *core;
            if core.broken.is_some() {
                // Its account is not to be asked any more.
                return;
            }
            self.note_outside(core);
            what(core);
            core.decide(None, effects);
            self.take_in_hand(effects);
            self.publish(core);
        }
        self.give_back(effects);
    }

    /// Counts garbage on disk; under the core lock, so that nobody sees the end of its run before.
    pub(super) fn take_in_hand(&self, effects: &mut Effects) {
        if !effects.in_hand && effects.garbage.is_on_disk() {
            effects.in_hand = true;
            self.in_hand.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Waits until other threads have let go of what they have in hand. They do so at once, and nothing they wait for
    /// is held here.
    fn wait_for_hands(&self) {
        while self.in_hand.load(Ordering::Acquire) > 0 {
            std::thread::yield_now();
        }
    }

    /// Does what is to be done without the core lock.
    pub(super) fn give_back(self: &Arc<Shared>, effects: &mut Effects) {
        effects.garbage.clear_disk();
        if std::mem::take(&mut effects.in_hand) {
            self.in_hand.fetch_sub(1, Ordering::AcqRel);
        }
        effects.garbage.clear();
        self.trim_pool();
        if !effects.jobs.is_empty() {
            self.disk.push(effects.jobs.drain(..));
        }
        let wake = std::mem::take(&mut effects.wake);
        if wake > 0 {
            self.wake(wake);
        }
        if std::mem::take(&mut effects.made) {
            // Whoever waits has looked at the values under the core lock, so it is waiting by now or sees them.
            self.made.notify_all();
        }
        if effects.idle || !effects.ended.is_empty() {
            // Files go with their last value.
            self.wait_for_hands();
        }
        if std::mem::take(&mut effects.idle) {
            // What cannot be removed now is removed with the area, or by the next process.
            let _ = self.spill.idle();
        }
        effects.garbage.let_go();
        for (state, outcome) in effects.ended.drain(..) {
            self.end_run(state, outcome);
        }
    }

    fn end_run(&self, state: Arc<Hold>, outcome: Outcome) {
        state.settle(outcome, self.budget.root_limit());
        // Nothing of the run is under way. A panic in the drop of what a state holds goes no further.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| state.scope.clear()));
        let stats = self.stats(&state);
        state.keep_stats(stats.clone());
        let is_replaced = state.replaced.load(Ordering::Acquire);
        if let Some(watch) = state.watch.as_ref().filter(|_| !is_replaced) {
            let error = state.result().and_then(Result::err);
            let ended = || watch.ended(&state.graph, &stats, error.as_ref());
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(ended));
        }
        // Those that are told find the run in nobody's hand, if it is in no other thread's.
        let end = state.end.clone();
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(state)));
        end.announce();
        drop(lock(&self.core));
        self.made.notify_all();
        self.unpark_callers();
    }

    pub(super) fn watch(&self, run: &RunState, tell: impl FnOnce(&dyn Watch)) {
        if let Some(watch) = &run.watch {
            // Those who look on cannot break a run.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| tell(&**watch)));
        }
    }

    /// Ends a run with an error, unless it has failed already.
    pub fn cancel(self: &Arc<Shared>, state: &RunState, error: Error) {
        if state.is_over() {
            return;
        }
        state.fail(error);
        self.stop(state);
    }

    /// Tells the brain to end a run.
    pub(super) fn stop(self: &Arc<Shared>, state: &RunState) {
        let mut effects = Effects::default();
        self.tell(&mut effects, |core| core.brain.note(&Event::Cancel(state.id), &mut core.actions));
    }

    /// Nobody holds the run any more: it is cancelled if it is under way, and what it keeps is dropped.
    pub fn release(self: &Arc<Shared>, state: &RunState) {
        if !state.is_over() {
            state.fail(Error::new(ErrorKind::Cancelled, "the run was cancelled: its handle was dropped"));
        }
        let mut effects = Effects::default();
        self.tell(&mut effects, |core| core.brain.note(&Event::Release(state.id), &mut core.actions));
        if self.is_synchronous() && !state.is_over() {
            // Inside a task nobody waits: the rest goes when the task is over.
            let _ = self.drive(state);
        }
    }

    pub fn demand(self: &Arc<Shared>, state: &RunState, outputs: u32) {
        let mut effects = Effects::default();
        let event = Event::Demand { run: state.id, outputs };
        self.tell(&mut effects, |core| core.brain.note(&event, &mut core.actions));
    }

    /// Waits for an output of a run that keeps its outputs, and reads it from disk where it was spilled.
    pub fn take_output(self: &Arc<Shared>, state: &RunState, output: u32, for_good: bool) -> Result<Chunk> {
        let piece =
            state.output_piece(output).ok_or_else(|| Error::internal("an output that is not there is taken"))?;
        self.drive_until(state, |core| core.has_value(state.id, piece))?;
        let (chunk, extent) = {
            let mut core = lock(&self.core);
            let live = core.live(state.id);
            live.map_or((None, None), |live| (live.values.get(piece), live.values.extent(piece)))
        };
        let result = match (chunk, extent) {
            (Some(chunk), _) => Ok(chunk),
            (None, Some(extent)) => self.read(state, piece, &extent),
            (None, None) => {
                self.drive(state)?;
                match state.result() {
                    Some(Err(error)) => Err(error),
                    _ => Err(Error::internal("an output was taken twice")),
                }
            }
        };
        if for_good && result.is_ok() {
            let mut effects = Effects::default();
            let event = Event::Taken { run: state.id, output };
            self.tell(&mut effects, |core| core.brain.note(&event, &mut core.actions));
        }
        result
    }

    /// What has happened in a run so far. After its end, what was known then.
    pub fn stats(&self, state: &RunState) -> RunStats {
        if state.is_over() {
            return state.kept_stats();
        }
        let resident = self.sample_resident();
        let live = lock(&self.core).live(state.id).map(|live| {
            live.peak_resident = live.peak_resident.max(resident);
            live.stats()
        });
        // A run that is gone kept its numbers.
        let mut stats = live.unwrap_or_else(|| state.kept_stats());
        stats.peak_resident = stats.peak_resident.max(resident);
        stats.page_faults = match (state.faults_before, process::page_faults()) {
            (Some(before), Some(after)) => Some((after.0 - before.0, after.1 - before.1)),
            _ => None,
        };
        stats
    }

    /// Cancels runs that are out of time.
    pub(super) fn check_deadlines(self: &Arc<Shared>) {
        let now = Instant::now();
        let late = |state: &Arc<Hold>| state.deadline.is_some_and(|deadline| deadline <= now) && !state.is_ending();
        let late: Vec<Arc<Hold>> = {
            let core = lock(&self.core);
            core.runs.iter().map(|live| &live.state).filter(|state| late(state)).cloned().collect()
        };
        for state in late {
            let timeout = state.timeout.unwrap_or_default();
            let text = format!("the run did not end within its timeout of {timeout:?}");
            self.cancel(&state, Error::new(ErrorKind::Timeout, text));
        }
    }
}
