//! The brain's door, [`Brain::handle`], and one function per transition of a task or piece.

use super::check::Story;
use super::event::{Actions, Event, Outcome, OutputMode, RunId, SMALL_RESULTS, Submission, Worker};
use super::lease::STUCK_TICKS;
use super::ledger::Place;
use super::run::{Run, TaskState};
use super::topology::Expansion;

/// What a brain is told when it is made.
#[derive(Clone, Copy, Debug)]
pub struct BrainConfig {
    /// Most workers at a time.
    pub workers: u32,
    /// Bytes that all runs together may hold.
    pub limit: u64,
    /// Most tasks one worker takes in one go.
    pub max_lease: u32,
}

/// What a sub-task is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubTask {
    /// The static task it is a part of.
    pub owner: u32,
    /// Which part.
    pub part: u32,
}

#[derive(Clone, Copy, Default)]
pub(super) struct WorkerState {
    pub active: bool,
    /// Tasks given to it and not reported.
    pub outstanding: u32,
    /// Ticks since it last got or reported tasks.
    pub ticks: u32,
}

impl WorkerState {
    /// Whether it was given tasks long ago that others may take.
    pub fn is_stuck(&self) -> bool {
        self.outstanding > 1 && self.ticks >= STUCK_TICKS
    }

    /// Whether it has been at one task so long that nothing else it may be given will soon be done.
    pub fn is_late(&self) -> bool {
        self.outstanding > 0 && self.ticks >= STUCK_TICKS
    }
}

/// Buffers reused from call to call, so that a call does not allocate.
#[derive(Default)]
pub(super) struct Scratch {
    pub dependencies: Vec<u32>,
    pub consumers: Vec<u32>,
    pub ready: Vec<u32>,
    pub expansions: Vec<Expansion>,
    pub aside: Vec<(u64, u32)>,
}

/// The scheduler of a runtime; see the module.
pub struct Brain {
    pub(super) config: BrainConfig,
    /// A task that needs more than this never fits.
    pub(super) largest: u64,
    /// Results of more bytes end their run.
    largest_results: u64,
    pub(super) runs: Vec<Run>,
    pub(super) workers: Vec<WorkerState>,
    pub(super) active: u32,
    /// Workers that ask, until they are served or leave.
    pub(super) asking: Vec<Worker>,
    /// A worker was stuck at the last tick.
    pub(super) slow: bool,
    /// A worker was late at the last tick.
    pub(super) late: bool,
    /// Workers asked for that have not arrived.
    pub(super) waking: u32,
    /// Which run is served next.
    pub(super) turn: usize,
    /// Sums over the runs.
    pub(super) used: u64,
    pub(super) writing: u64,
    pub(super) busy: u32,
    pub(super) outside: u64,
    pub(super) peak: u64,
    /// A run was stopped since the runs were last looked through for their end.
    pub(super) stopped: bool,
    pub(super) scratch: Scratch,
    pub(super) story: Story,
}

impl Brain {
    /// A brain without runs.
    pub fn new(config: BrainConfig) -> Brain {
        Brain {
            config,
            largest: config.limit,
            largest_results: config.limit,
            runs: Vec::new(),
            workers: vec![WorkerState::default(); config.workers as usize],
            active: 0,
            asking: Vec::with_capacity(config.workers as usize),
            slow: false,
            late: false,
            waking: 0,
            turn: 0,
            used: 0,
            writing: 0,
            busy: 0,
            outside: 0,
            peak: 0,
            stopped: false,
            scratch: Scratch::default(),
            story: Story::default(),
        }
    }

    /// Refuses only tasks that need more than `bytes`; one that needs more than the limit goes alone. For a limit that is
    /// no more than what happens to be free.
    #[must_use]
    pub fn refusing_beyond(mut self, bytes: u64) -> Brain {
        self.largest = bytes.max(self.config.limit);
        self.largest_results = self.largest.max(SMALL_RESULTS);
        self
    }

    /// Takes in what happened and says what to do about it.
    pub fn handle(&mut self, events: &[Event<'_>], actions: &mut Actions) {
        for event in events {
            self.note(event, actions);
        }
        self.decide(actions);
    }

    /// Takes in one event; [`Brain::decide`] must follow before the lock is given back. For executors that have the
    /// events in another form than a slice.
    pub fn note(&mut self, event: &Event<'_>, actions: &mut Actions) {
        self.take_in(event, actions);
        self.check_event(event);
    }

    /// Says what to do about what was noted.
    pub fn decide(&mut self, actions: &mut Actions) {
        self.assign(actions);
        self.check_sometimes(1);
    }

    /// Submits a run, which cannot be part of a slice of borrowed events because it is moved.
    pub fn submit(&mut self, submission: Submission, actions: &mut Actions) {
        let run = Run::new(submission);
        self.runs.push(run);
        self.assign(actions);
    }

    fn take_in(&mut self, event: &Event<'_>, actions: &mut Actions) {
        match *event {
            Event::Arrived(worker) => self.worker_arrived(worker),
            Event::Ask(worker) => self.worker_asks(worker),
            Event::Leave(worker) => self.worker_leaves(worker),
            Event::Missed(workers) => self.waking = self.waking.saturating_sub(workers),
            Event::Done { worker, run, task, bytes } => self.leased_to_done(worker, run, task, &[bytes], actions),
            Event::DoneEach { worker, run, tasks } => {
                self.worker_reports(worker, tasks.len() as u32);
                if let Some(at) = self.find(run) {
                    tasks.iter().for_each(|(task, _)| self.story.task(run, *task, TaskState::Done));
                    self.with_run(at, |run, scratch| {
                        run.each_to_done(tasks, scratch, actions);
                    });
                    self.check_results(at);
                }
            }
            Event::DonePieces { worker, run, task, bytes } => self.leased_to_done(worker, run, task, bytes, actions),
            Event::Sealed { worker, run, task, bytes, counted } => {
                self.expand(run, task, counted);
                self.leased_to_done(worker, run, task, &[bytes], actions);
            }
            Event::Failed { worker, run, task } => {
                self.leased_to_new(worker, run, task);
                self.stop(run, Outcome::Stopped);
            }
            Event::Skipped { worker, run, task } => {
                self.leased_to_new(worker, run, task);
                // The executor may know of an error that is still to be told, or of a cancellation.
                self.stop(run, Outcome::Stopped);
            }
            Event::Stolen { from, to, tasks } => self.stolen(from, to, tasks),
            Event::Timing { run, layer, tasks, nanos } => self.timing(run, layer, tasks, nanos),
            Event::Cancel(run) => self.stop(run, Outcome::Stopped),
            Event::Demand { run, outputs } => {
                if let Some(at) = self.find(run) {
                    let scratch = &mut self.scratch;
                    self.runs[at].demand(outputs, &mut scratch.ready, &mut scratch.dependencies);
                }
            }
            Event::Taken { run, output } => self.taken(run, output, actions),
            Event::Release(run) => {
                self.stop(run, Outcome::Stopped);
                if let Some(at) = self.find(run) {
                    self.runs[at].released = true;
                }
            }
            Event::Spilled { run, task, ok } => self.writing_to_disk(run, task, ok, actions),
            Event::Loaded { run, piece, ok } => self.reading_to_both(run, piece, ok),
            Event::Outside(bytes) => self.outside = bytes,
            Event::Tick => {
                for worker in &mut self.workers {
                    worker.ticks = worker.ticks.saturating_add(1);
                }
                self.slow = self.workers.iter().any(WorkerState::is_stuck);
                self.late = self.workers.iter().any(WorkerState::is_late);
            }
        }
    }

    /// Changes a run and keeps the sums over all runs true.
    #[inline]
    pub(super) fn with_run<R>(&mut self, at: usize, change: impl FnOnce(&mut Run, &mut Scratch) -> R) -> R {
        let run = &mut self.runs[at];
        let (used, writing) = (run.ledger.used(), run.ledger.writing);
        let busy = run.leased + run.loading + run.disk_work;
        let result = change(run, &mut self.scratch);
        self.used = self.used - used + run.ledger.used();
        self.writing = self.writing - writing + run.ledger.writing;
        self.busy = self.busy - busy + (run.leased + run.loading + run.disk_work);
        self.peak = self.peak.max(self.used + self.outside);
        result
    }

    // Workers.

    fn worker_arrived(&mut self, worker: Worker) {
        let state = &mut self.workers[worker as usize];
        debug_assert!(!state.active, "worker {worker} arrived twice");
        *state = WorkerState { active: true, ..WorkerState::default() };
        self.asking.push(worker);
        self.active += 1;
        self.waking = self.waking.saturating_sub(1);
    }

    fn worker_asks(&mut self, worker: Worker) {
        debug_assert!(
            self.is_active(worker) && self.workers[worker as usize].outstanding == 0,
            "worker {worker} asks while it has work"
        );
        self.asking.push(worker);
    }

    fn worker_leaves(&mut self, worker: Worker) {
        let state = &mut self.workers[worker as usize];
        debug_assert!(state.active && state.outstanding == 0, "worker {worker} leaves with work");
        if std::mem::take(&mut state.active) {
            self.active -= 1;
        }
    }

    fn stolen(&mut self, from: Worker, to: Worker, tasks: u32) {
        self.workers[from as usize].outstanding -= tasks;
        let thief = &mut self.workers[to as usize];
        thief.outstanding += tasks;
        thief.ticks = 0;
        if tasks == 0 {
            // Nothing was left to take: it may get something else in this call.
            self.asking.push(to);
        }
    }

    fn timing(&mut self, run: RunId, layer: u32, tasks: u32, nanos: u64) {
        let Some(at) = self.find(run) else { return };
        let Some(known) = self.runs[at].layer_nanos.get_mut(layer as usize) else { return };
        let each = (nanos / u64::from(tasks.max(1))).clamp(1, u64::from(u32::MAX)) as u32;
        // Slower at once, faster by and by: a lease that is too long hurts more than one that is too short.
        *known = if *known == 0 || each > *known { each } else { *known - (*known - each) / 2 };
    }

    // Tasks.

    fn expand(&mut self, run: RunId, task: u32, counted: &[u64]) {
        let Some(at) = self.find(run) else { return };
        self.with_run(at, |run, scratch| {
            let seal = run.shape.pieces_of(task).start;
            scratch.expansions.clear();
            run.shape.topology.expand(task, counted, &mut scratch.expansions);
            let mut added = Vec::new();
            run.shape.expand(&mut scratch.expansions, seal, |owner, first, parts| added.push((owner, first, parts)));
            for (owner, first, parts) in added {
                run.add_parts(owner, first, parts);
            }
        });
    }

    fn leased_to_done(&mut self, worker: Worker, run: RunId, task: u32, bytes: &[u64], actions: &mut Actions) {
        self.worker_reports(worker, 1);
        let Some(at) = self.find(run) else { return };
        self.story.task(run, task, TaskState::Done);
        self.with_run(at, |run, scratch| run.leased_to_done(task, bytes, scratch, actions));
        self.check_results(at);
    }

    /// Ends a run whose results are larger than the limit. Whether they are does not depend on the order in which they
    /// are made, nor on what else is held.
    fn check_results(&mut self, at: usize) {
        let delivered = self.runs[at].ledger.result_bytes;
        if delivered > self.largest_results {
            self.stop_at(at, Outcome::ResultTooLarge { delivered });
        }
    }

    fn leased_to_new(&mut self, worker: Worker, run: RunId, task: u32) {
        self.worker_reports(worker, 1);
        let Some(at) = self.find(run) else { return };
        self.story.task(run, task, TaskState::New);
        self.with_run(at, |run, scratch| {
            debug_assert!(
                matches!(run.state[task as usize], TaskState::Leased | TaskState::Behind),
                "task {task} is given back"
            );
            run.state[task as usize] = TaskState::New;
            run.pin(task, -1, &mut scratch.dependencies);
            run.leased -= 1;
            let first = run.shape.pieces_of(task).start;
            run.ledger.unreserve(first);
        });
    }

    #[inline]
    fn worker_reports(&mut self, worker: Worker, tasks: u32) {
        let state = &mut self.workers[worker as usize];
        state.outstanding -= tasks;
        state.ticks = 0;
    }

    // Runs.

    fn stop(&mut self, run: RunId, outcome: Outcome) {
        if let Some(at) = self.find(run) {
            self.stop_at(at, outcome);
        }
    }

    pub(super) fn stop_at(&mut self, at: usize, outcome: Outcome) {
        let run = &mut self.runs[at];
        if run.ending.is_none() && !run.ended {
            run.ending = Some(outcome);
            self.stopped = true;
        }
    }

    fn taken(&mut self, run: RunId, output: u32, actions: &mut Actions) {
        let Some(at) = self.find(run) else { return };
        self.with_run(at, |run, _| {
            // What was made after the run was stopped is not counted; everything goes with the run.
            if run.ending.is_some() {
                return;
            }
            if let Some(piece) = run.output_piece(output) {
                run.untaken -= 1;
                run.ledger.unread(piece, actions);
            }
        });
    }

    /// Ends runs of which nothing is under way any more.
    pub(super) fn end_runs(&mut self, actions: &mut Actions) {
        let mut at = 0;
        while at < self.runs.len() {
            let run = &mut self.runs[at];
            let quiet = run.leased == 0 && run.disk_work == 0;
            if !quiet || run.is_open() {
                at += 1;
                continue;
            }
            let kept = run.mode != OutputMode::Collect && run.ending.is_none() && !run.released && run.untaken > 0;
            if !run.ended {
                run.ended = true;
                actions.ended.push((run.id, run.ending.unwrap_or(Outcome::Finished)));
                if kept {
                    self.with_run(at, |run, scratch| run.drop_unserving(scratch, actions));
                }
            }
            if !kept {
                actions.gone.push(self.runs[at].id);
                let run = &self.runs[at];
                self.used -= run.ledger.used();
                // Tasks whose inputs were read and that never began.
                self.busy -= run.loading;
                self.runs.remove(at);
                if self.turn > at {
                    self.turn -= 1;
                }
            } else {
                at += 1;
            }
        }
    }

    // What the executor may ask.

    /// Bytes counted now: pieces in memory, delivered outputs and reservations for running tasks.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Bytes counted now, with those that are held outside under reservations.
    pub fn counted(&self) -> u64 {
        self.used + self.outside
    }

    /// Largest number of bytes counted at once, with those outside, since the last call.
    pub fn take_peak(&mut self) -> u64 {
        std::mem::replace(&mut self.peak, self.used + self.outside)
    }

    /// Whether any task is out or loading, or disk work is under way.
    pub fn is_busy(&self) -> bool {
        self.busy > 0
    }

    /// Whether there is no run, kept ones included.
    pub fn is_idle(&self) -> bool {
        self.runs.is_empty()
    }

    /// Whether a worker takes part. One that asked and got nothing does not: it is to leave.
    pub fn is_active(&self, worker: Worker) -> bool {
        self.workers[worker as usize].active
    }

    /// Whether a worker has been at one task for long.
    pub fn is_late(&self, worker: Worker) -> bool {
        self.workers[worker as usize].is_late()
    }

    /// What a task beyond the graph's own tasks is.
    pub fn sub_task(&self, run: RunId, task: u32) -> Option<SubTask> {
        let shape = &self.runs[self.find(run)?].shape;
        let at = task.checked_sub(shape.tasks)?;
        let dynamic = shape.dynamics.get(at as usize)?;
        Some(SubTask { owner: dynamic.owner, part: dynamic.part })
    }

    /// Tells of the pieces a task reads, those of its sub-tasks last, each with whether this is its last use, so that the
    /// value can be handed over. Of a piece that is read twice the last reading is the last use; a task with many inputs
    /// that reads one twice does not get it handed over. Told with each is how many are left, with it.
    pub fn each_input(&mut self, run: RunId, task: u32, mut tell: impl FnMut(u32, bool, usize)) {
        let Some(at) = self.find(run) else { return };
        let run = &self.runs[at];
        let dependencies = run.shape.dependencies(task, &mut self.scratch.dependencies);
        let few = dependencies.len() <= 64;
        for (index, piece) in dependencies.iter().enumerate() {
            let left = run.ledger.left[*piece as usize];
            let movable = matches!(run.ledger.place[*piece as usize], Place::Memory | Place::Both);
            // All readings still open are this task's, and none of them comes later.
            let last = movable
                && (left == 1
                    || (few
                        && left as usize <= index + 1
                        && !dependencies[index + 1..].contains(piece)
                        && dependencies.iter().filter(|other| *other == piece).count() == left as usize));
            tell(*piece, last, dependencies.len() - index);
        }
    }

    /// The pieces a task gives; none when the run is gone.
    pub fn pieces_of(&self, run: RunId, task: u32) -> std::ops::Range<u32> {
        self.find(run).map_or(0..0, |at| self.runs[at].shape.pieces_of(task))
    }

    /// Bytes counted for a piece.
    pub fn bytes_of(&self, run: RunId, piece: u32) -> u64 {
        self.find(run).map_or(0, |at| self.runs[at].ledger.bytes(piece))
    }

    /// Whether the piece is one of those to be written by the spill of its task.
    pub fn is_writing(&self, run: RunId, piece: u32) -> bool {
        self.find(run).is_some_and(|at| self.runs[at].ledger.place[piece as usize] == Place::Writing)
    }

    /// Tasks of a run that could be given out now, and those that are out.
    pub fn progress(&self, run: RunId) -> Option<(u32, u32)> {
        self.find(run).map(|at| (self.runs[at].ready(), self.runs[at].leased))
    }

    #[inline]
    pub(super) fn find(&self, run: RunId) -> Option<usize> {
        // Few runs live at a time.
        self.runs.iter().position(|live| live.id == run)
    }
}
