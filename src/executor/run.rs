//! One run from the outside: its graph, its receiver, how it ended.

use std::ops::{Deref, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::engine::{RunOptions, Shared, Watch};
use super::presence::{Owner, Presence};
use crate::error::{Error, ErrorKind, Result, Role, TaskName, human_bytes};
use crate::graph::{Graph, Scope};
use crate::schedule::{Outcome, OutputMode, RunId};
use crate::store::Chunk;

/// Takes the outputs of a run the moment they are made.
pub trait Receiver: Send + Sync {
    /// Takes outputs with their numbers, in no order, and empties the list. Called by several threads.
    fn put(&self, outputs: &mut Vec<(u32, Chunk)>) -> Result<()>;
}

/// What happened in one layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerStats {
    /// Tasks that have run.
    pub tasks: u64,
    /// Time spent in them, over all threads.
    pub nanos: u64,
    /// Bytes of their outputs.
    pub bytes_out: u64,
    /// Bytes written to disk.
    pub spilled: u64,
    /// Bytes read back.
    pub read_back: u64,
}

/// What happened in one run, so far or in all.
#[derive(Clone, Debug, Default)]
pub struct RunStats {
    /// Time from the start of the run.
    pub elapsed: Duration,
    /// Per layer of the graph that was run.
    pub layers: Vec<LayerStats>,
    /// Tasks that have run, and tasks in all.
    pub done: u64,
    pub tasks: u64,
    /// Largest number of bytes the engine counted while the run was live.
    pub peak_accounted: u64,
    /// Largest growth of the process's resident memory seen while the run was live, if the system tells.
    pub peak_resident: Option<u64>,
    /// Bytes that sources have read from files.
    pub bytes_read: u64,
    /// Minor and major page faults of the process while the run was live, if the system tells.
    pub page_faults: Option<(u64, u64)>,
}

pub(crate) struct RunState {
    pub id: RunId,
    pub graph: Arc<Graph>,
    /// Families of engines inside whose tasks it was started.
    pub lineage: Vec<u64>,
    pub mode: OutputMode,
    pub scope: Scope,
    pub receiver: Option<Arc<dyn Receiver>>,
    /// Ranges of output pieces by their start, with the number of their first output.
    outputs: Vec<(Range<u32>, u32)>,
    /// All of them lie between these.
    outputs_start: u32,
    outputs_end: u32,
    /// Nothing new is to begin.
    pub ending: AtomicBool,
    /// Times of each task are wanted.
    pub trace: bool,
    pub watch: Option<Arc<dyn Watch>>,
    /// Counts of tasks are wanted as they run.
    pub counts: bool,
    pub started: Instant,
    pub timeout: Option<Duration>,
    /// The start and the timeout; none where that is too far for the clock.
    pub deadline: Option<Instant>,
    pub faults_before: Option<(u64, u64)>,
    /// Another run does its work, so that it ends without a word.
    pub replaced: AtomicBool,
    error: Mutex<Option<Error>>,
    stats: Mutex<RunStats>,
    pub end: Arc<RunEnd>,
}

/// How a run ends; apart from the run, so that who tells it need not hold what the run holds.
#[derive(Default)]
pub(crate) struct RunEnd {
    end: Mutex<End>,
    changed: Condvar,
}

#[derive(Default)]
struct End {
    result: Option<Result<()>>,
    over: bool,
    let_go: bool,
    wakers: Vec<Waker>,
}

/// The engine's hold on a run: among its live runs, in a lease, with work for the disk. When the last is dropped, only
/// those who have a handle still keep what the graph of the run keeps.
pub(crate) struct Hold {
    state: Arc<RunState>,
    /// After the run, for it says that the run is dropped.
    _let_go: LetGo,
}

struct LetGo(Arc<RunEnd>);

impl Drop for LetGo {
    fn drop(&mut self) {
        self.0.let_go();
    }
}

impl Hold {
    pub fn of(state: Arc<RunState>) -> Arc<Hold> {
        let _let_go = LetGo(state.end.clone());
        Arc::new(Hold { state, _let_go })
    }
}

impl Deref for Hold {
    type Target = RunState;

    fn deref(&self) -> &RunState {
        &self.state
    }
}

impl RunEnd {
    /// Tells those that wait that the run is over.
    pub fn announce(&self) {
        let mut end = lock(&self.end);
        end.over = true;
        let wakers = std::mem::take(&mut end.wakers);
        drop(end);
        self.changed.notify_all();
        for waker in wakers {
            // It is of whoever waits: its panic is no defect of the engine and keeps nobody else from being told.
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }

    /// Tells that the engine does not hold the run any more.
    pub fn let_go(&self) {
        lock(&self.end).let_go = true;
        self.changed.notify_all();
    }

    pub fn wait_until_let_go(&self) {
        let mut end = lock(&self.end);
        while !end.let_go {
            end = self.changed.wait(end).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic under a lock is caught at the worker's door and ends all runs; until then the data is still whole enough
    // to be torn down.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The error of a task that needs more than the limit.
pub fn limit_too_small(task: &dyn std::fmt::Display, needed: u64, limit: u64) -> Error {
    let exact = human_bytes(needed) == human_bytes(limit);
    let tell = |bytes: u64| if exact { format!("{bytes} bytes") } else { human_bytes(bytes) };
    let (needed, limit) = (tell(needed), tell(limit));
    // One task alone: fewer threads would not help.
    let text = format!("`{task}` needs {needed} to start and the memory limit is {limit}: raise memory_limit");
    Error::new(ErrorKind::LimitTooSmall, text)
}

/// The error of results that are larger than the limit: in all, or those made so far.
pub fn result_too_large(bytes: u64, so_far: bool, limit: u64) -> Error {
    let exact = human_bytes(bytes) == human_bytes(limit);
    // Numbers that look alike are told to the byte.
    let tell = |bytes: u64| if exact { format!("{bytes} bytes") } else { human_bytes(bytes) };
    let (bytes, limit) = (tell(bytes), tell(limit));
    let bytes = if so_far { format!("{bytes} so far") } else { bytes };
    let text = format!(
        "the results to be held in memory are {bytes} and the memory limit is {limit}: take them one by one with `iter`, `batches` or `blocks`, \
         keep them with `persist`, write them to files, reduce them, or raise memory_limit"
    );
    Error::new(ErrorKind::ResultTooLarge, text)
}

impl RunState {
    pub fn new(
        id: RunId,
        graph: Arc<Graph>,
        mode: OutputMode,
        receiver: Option<Arc<dyn Receiver>>,
        options: RunOptions,
    ) -> RunState {
        let RunOptions { timeout, watch } = options;
        let mut outputs = Vec::with_capacity(graph.outputs().len());
        let mut first = 0;
        for range in graph.outputs() {
            outputs.push((range.clone(), first));
            first += range.len() as u32;
        }
        outputs.sort_unstable_by_key(|(range, _)| range.start);
        let started = Instant::now();
        RunState {
            id,
            graph,
            lineage: super::worker::lineage(),
            mode,
            scope: Scope::default(),
            receiver,
            outputs_start: outputs.first().map_or(0, |(range, _)| range.start),
            outputs_end: outputs.last().map_or(0, |(range, _)| range.end),
            outputs,
            ending: AtomicBool::new(false),
            counts: watch.as_ref().is_some_and(|watch| watch.wants_progress()),
            trace: watch.as_ref().is_some_and(|watch| watch.wants_tasks()),
            watch,
            started,
            timeout,
            deadline: timeout.and_then(|timeout| started.checked_add(timeout)),
            faults_before: crate::store::process::page_faults(),
            replaced: AtomicBool::new(false),
            error: Mutex::default(),
            stats: Mutex::default(),
            end: Arc::default(),
        }
    }

    /// The same run again, for another engine, where nobody waits for it inside a task.
    pub fn again(&self, id: RunId) -> RunState {
        let options = RunOptions { timeout: self.timeout, watch: self.watch.clone() };
        let mut again = RunState::new(id, self.graph.clone(), self.mode, self.receiver.clone(), options);
        again.lineage.clear();
        again.started = self.started;
        again.deadline = self.deadline;
        again
    }

    /// Whether any of the pieces of a task may be an output.
    #[inline]
    pub fn has_outputs(&self, pieces: &Range<u32>) -> bool {
        pieces.start < self.outputs_end && pieces.end > self.outputs_start
    }

    /// The number of the output that a piece is, if it is one.
    pub fn output_number(&self, piece: u32) -> Option<u32> {
        let at = self.outputs.partition_point(|(range, _)| range.end <= piece);
        let (range, first) = self.outputs.get(at)?;
        range.contains(&piece).then(|| first + (piece - range.start))
    }

    /// The piece of an output.
    pub fn output_piece(&self, output: u32) -> Option<u32> {
        let ranges = self.outputs.iter();
        ranges
            .filter_map(|(range, first)| Some(range.start + output.checked_sub(*first)?).filter(|p| *p < range.end))
            .next()
    }

    /// Keeps the first error and stops what has not begun.
    pub fn fail(&self, error: Error) {
        lock(&self.error).get_or_insert(error);
        self.ending.store(true, Ordering::Release);
    }

    pub fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    /// The error of a task, with its provenance.
    pub fn task_error(&self, task: u32, error: Error) -> Error {
        let (name, index, verb, origin) = self.graph.describe(task);
        // A member of a fused task has put its own name and line on the error.
        if error.task().is_some() { error } else { error.in_task(name, index).frame(Role::From, verb, origin) }
    }

    /// Notes how the run ended; those that wait are told by [`RunEnd::announce`]. Called when nothing of it is under
    /// way any more.
    pub fn settle(&self, outcome: Outcome, limit: u64) {
        let result = match outcome {
            Outcome::Finished => match lock(&self.error).take() {
                // An output could not be delivered.
                Some(error) => Err(error),
                None => Ok(()),
            },
            Outcome::Stopped => Err(lock(&self.error)
                .take()
                .unwrap_or_else(|| Error::new(ErrorKind::Cancelled, "the run was cancelled"))),
            Outcome::TooLarge { task, needed } => {
                let (name, index, verb, origin) = self.graph.describe_reader(task);
                let name = TaskName { layer: name, index };
                Err(limit_too_small(&name, needed, limit).frame(Role::In, verb, origin))
            }
            Outcome::ResultTooLarge { delivered } => Err(result_too_large(delivered, true, limit)),
        };
        lock(&self.end.end).result.get_or_insert(result);
    }

    /// Keeps what happened for after the run is gone.
    pub fn keep_stats(&self, stats: RunStats) {
        *lock(&self.stats) = stats;
    }

    /// What was kept last.
    pub fn kept_stats(&self) -> RunStats {
        lock(&self.stats).clone()
    }

    /// Whether the run has ended.
    pub fn is_over(&self) -> bool {
        lock(&self.end.end).over
    }

    /// Waits for the end, or until the time is over.
    pub fn wait_until(&self, deadline: Option<Instant>) -> bool {
        let mut end = lock(&self.end.end);
        while !end.over {
            match deadline {
                None => end = self.end.changed.wait(end).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return false;
                    }
                    end = self.end.changed.wait_timeout(end, left).unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
        true
    }

    /// How it ended; the error is given to each that asks.
    pub fn result(&self) -> Option<Result<()>> {
        lock(&self.end.end).result.clone()
    }

    /// Registers a waker, unless the run has ended.
    pub fn wake_at_end(&self, waker: &Waker) -> bool {
        let mut end = lock(&self.end.end);
        if end.over {
            return false;
        }
        if !end.wakers.iter().any(|known| known.will_wake(waker)) {
            end.wakers.push(waker.clone());
        }
        true
    }
}

/// A run under way. Dropping it cancels the run, unless [`RunHandle::detach`] was called.
pub struct RunHandle {
    pub(super) shared: Arc<Shared>,
    pub(super) state: Arc<RunState>,
    pub(super) detached: bool,
    pub(super) target: Arc<Mutex<Target>>,
    /// Of a run that was started inside a task: the engine of that task, which does the work if nobody is to wait for it.
    pub(super) outer: Option<Arc<Shared>>,
    #[allow(dead_code, reason = "held for its drop")]
    pub(super) owner: Option<Arc<Owner>>,
    /// The last field, as it may wait for the end of what the others let go.
    #[allow(dead_code, reason = "held for its drop")]
    pub(super) presence: Arc<Presence>,
}

/// What a canceller cancels: another run where the first one was handed over.
pub(super) struct Target {
    shared: Weak<Shared>,
    state: Weak<RunState>,
    cancelled: bool,
}

impl Target {
    pub fn of(shared: &Arc<Shared>, state: &Arc<RunState>) -> Target {
        Target { shared: Arc::downgrade(shared), state: Arc::downgrade(state), cancelled: false }
    }
}

/// Stops a run from anywhere.
#[derive(Clone)]
pub struct RunCanceller(Arc<Mutex<Target>>);

impl RunCanceller {
    /// Ends the run: no new task begins, what runs is awaited, everything is freed.
    pub fn cancel(&self) {
        let (shared, state) = {
            let mut target = lock(&self.0);
            target.cancelled = true;
            (target.shared.upgrade(), target.state.upgrade())
        };
        if let (Some(shared), Some(state)) = (shared, state) {
            shared.cancel(&state, Error::new(ErrorKind::Cancelled, "the run was cancelled"));
        }
    }
}

impl RunHandle {
    /// Waits until the run has ended.
    pub fn wait(&self) -> Result<()> {
        self.shared.drive(&self.state)?;
        self.state.result().unwrap_or_else(|| Err(Error::internal("a run ended without a result")))
    }

    /// Waits for the end so long; whether it has ended.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.shared.drive_for(&self.state, Instant::now().checked_add(timeout));
        self.state.is_over()
    }

    /// Whether the run has ended.
    pub fn is_over(&self) -> bool {
        self.state.is_over()
    }

    /// Whether the work is done by the thread that waits.
    pub fn is_synchronous(&self) -> bool {
        self.shared.is_synchronous()
    }

    /// How it ended, if it has.
    pub fn result(&self) -> Option<Result<()>> {
        self.state.result()
    }

    /// Registers a waker for the end; false where it has ended.
    pub fn wake_at_end(&self, waker: &Waker) -> bool {
        self.state.wake_at_end(waker)
    }

    /// Something that can cancel the run from elsewhere.
    pub fn canceller(&self) -> RunCanceller {
        RunCanceller(self.target.clone())
    }

    /// Lets the run go on when the handle is dropped. One that was started inside a task, where the work is done by who
    /// waits for it, is handed to the engine of that task; or, where a wait was given up after a part of it was done, done
    /// to its end, for nothing is to run twice.
    pub fn detach(mut self) {
        match self.outer.take() {
            Some(_) if self.has_begun() => drop(self.shared.drive(&self.state)),
            Some(outer) => self.hand_over(&outer),
            None => self.detached = true,
        }
    }

    /// Whether a task of it has run.
    fn has_begun(&self) -> bool {
        lock(&self.shared.core).live(self.state.id).is_some_and(|live| live.done > 0)
    }

    fn hand_over(&self, outer: &Arc<Shared>) {
        // Nothing of it has begun.
        let again = {
            let mut target = lock(&self.target);
            if target.cancelled || self.state.is_over() || self.state.is_ending() {
                return;
            }
            let again = Arc::new(self.state.again(outer.next_run()));
            *target = Target::of(outer, &again);
            again
        };
        self.state.replaced.store(true, Ordering::Release);
        outer.begin(&again);
        if again.is_ending() {
            // It may have been cancelled before its engine knew it.
            outer.stop(&again);
        }
    }

    /// What has happened so far.
    pub fn stats(&self) -> RunStats {
        self.shared.stats(&self.state)
    }

    /// The graph that is run.
    pub fn graph(&self) -> &Arc<Graph> {
        &self.state.graph
    }

    /// Wants the first `outputs` outputs of a streaming run.
    pub fn demand(&self, outputs: u32) {
        self.shared.demand(&self.state, outputs);
    }

    /// Waits for a result of a run that keeps them and takes it out for good.
    pub fn take(&self, result: u32) -> Result<Chunk> {
        self.shared.take_output(&self.state, self.output(result), true)
    }

    /// Waits for a result of a run that keeps them and leaves it there, where it may be spilled.
    pub fn get(&self, result: u32) -> Result<Chunk> {
        self.shared.take_output(&self.state, self.output(result), false)
    }

    /// Bytes of the largest of some results of a run that keeps them.
    pub fn largest(&self, results: Range<u32>) -> u64 {
        let core = lock(&self.shared.core);
        let pieces = results.filter_map(|result| self.state.output_piece(self.output(result)));
        pieces.map(|piece| core.brain.bytes_of(self.state.id, piece)).max().unwrap_or(0)
    }

    /// Several results may be one output.
    fn output(&self, result: u32) -> u32 {
        self.state.graph.results().map_or(result, |results| results[result as usize])
    }
}

impl Drop for RunHandle {
    fn drop(&mut self) {
        if self.detached {
            return;
        }
        let was_over = self.state.is_over();
        self.shared.release(&self.state);
        if was_over {
            // A worker may still have it in hand. What the user let go is not to be dropped by that one some time later:
            // perhaps never, if the process ends now, and there may be files.
            self.shared.wait_until_let_go(&self.state);
        }
    }
}
