//! Proves the brain's invariants in debug builds: cheaply after each event, in full from time to time, and tells the
//! story of a task or piece when one is broken.

use super::brain::Brain;
#[cfg(any(debug_assertions, test))]
use super::event::OutputMode;
use super::event::{Event, RunId};
use super::ledger::Place;
#[cfg(any(debug_assertions, test))]
use super::run::Run;
use super::run::TaskState;

/// The last transitions, in debug builds.
#[derive(Default)]
pub(super) struct Story {
    #[cfg(any(debug_assertions, test))]
    last: std::collections::VecDeque<(RunId, Word)>,
    #[cfg(any(debug_assertions, test))]
    events_since_full: usize,
}

#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "printed, and only in debug builds")]
enum Word {
    Task(u32, TaskState),
    Piece(u32, Place),
}

/// Transitions kept.
#[cfg(any(debug_assertions, test))]
const KEPT: usize = 8192;

impl Story {
    #[inline]
    pub fn task(&mut self, run: RunId, task: u32, state: TaskState) {
        self.push(run, Word::Task(task, state));
    }

    #[inline]
    pub fn piece(&mut self, run: RunId, piece: u32, place: Place) {
        self.push(run, Word::Piece(piece, place));
    }

    #[cfg(any(debug_assertions, test))]
    fn push(&mut self, run: RunId, word: Word) {
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back((run, word));
    }

    #[cfg(not(any(debug_assertions, test)))]
    #[inline]
    fn push(&mut self, _: RunId, _: Word) {}

    /// The last transitions of one run, for a message.
    #[cfg(any(debug_assertions, test))]
    fn tell(&self, of: RunId) -> String {
        let mine = self.last.iter().filter(|(run, _)| *run == of).map(|(_, word)| format!("\n  {word:?}"));
        let mut lines: Vec<String> = mine.collect();
        let first = lines.len().saturating_sub(60);
        lines.drain(..first);
        lines.concat()
    }
}

impl Brain {
    /// What must hold for the task of an event.
    #[cfg(any(debug_assertions, test))]
    pub(super) fn check_event(&self, event: &Event<'_>) {
        let (run, task) = match *event {
            Event::Done { run, task, .. }
            | Event::DonePieces { run, task, .. }
            | Event::Sealed { run, task, .. }
            | Event::Failed { run, task, .. }
            | Event::Skipped { run, task, .. }
            | Event::Spilled { run, task, .. } => (run, task),
            Event::Loaded { run, piece, .. } => match self.find(run) {
                Some(at) => (run, self.runs[at].shape.task_of(piece)),
                None => return,
            },
            _ => return,
        };
        let Some(at) = self.find(run) else { return };
        let run = &self.runs[at];
        for piece in run.shape.pieces_of(task) {
            self.check_piece(run, piece);
        }
        self.check_sums();
    }

    #[cfg(not(any(debug_assertions, test)))]
    #[inline]
    pub(super) fn check_event(&self, _: &Event<'_>) {}

    /// A full check, once as many events have passed as it costs.
    #[cfg(any(debug_assertions, test))]
    pub(super) fn check_sometimes(&mut self, events: usize) {
        self.story.events_since_full += events.max(1);
        let cost: usize = self.runs.iter().map(|run| run.state.len()).sum();
        if self.story.events_since_full > 16 + cost / 4 {
            self.story.events_since_full = 0;
            self.check();
        }
    }

    #[cfg(not(any(debug_assertions, test)))]
    #[inline]
    pub(super) fn check_sometimes(&mut self, _: usize) {}

    /// Proves every invariant; panics with the story of the run where one is broken. Debug builds only: costs time in
    /// proportion to the graphs.
    #[cfg(any(debug_assertions, test))]
    pub fn check(&self) {
        self.check_sums();
        for run in &self.runs {
            self.check_run(run);
        }
        let outstanding: u32 = self.workers.iter().map(|worker| worker.outstanding).sum();
        let leased: u32 = self.runs.iter().map(|run| run.leased).sum();
        assert_eq!(outstanding, leased, "tasks given to workers and tasks leased");
        let active = self.workers.iter().filter(|worker| worker.active).count() as u32;
        assert_eq!(active, self.active, "active workers");
        assert!(self.active + self.waking <= self.config.workers, "more workers than there may be");
    }

    #[cfg(any(debug_assertions, test))]
    fn check_sums(&self) {
        let used: u64 = self.runs.iter().map(|run| run.ledger.used()).sum();
        let writing: u64 = self.runs.iter().map(|run| run.ledger.writing).sum();
        let busy: u32 = self.runs.iter().map(|run| run.leased + run.loading + run.disk_work).sum();
        assert_eq!((used, writing, busy), (self.used, self.writing, self.busy), "sums over the runs");
    }

    #[cfg(any(debug_assertions, test))]
    fn check_piece(&self, run: &Run, piece: u32) {
        let place = run.ledger.place[piece as usize];
        let left = run.ledger.left[piece as usize];
        let task = run.shape.task_of(piece);
        let done = run.state[task as usize] == TaskState::Done;
        let sound = match place {
            Place::None => left == 0 && (!done || run.ending.is_some()),
            Place::Gone => left == 0 && done,
            Place::Memory | Place::Writing | Place::Both | Place::Disk | Place::Reading => left > 0 && done,
        };
        assert!(
            sound,
            "{:?}: piece {piece} of task {task} ({:?}) is {place:?} with {left} readers left{}",
            run.id,
            run.state[task as usize],
            self.story.tell(run.id)
        );
    }

    #[cfg(any(debug_assertions, test))]
    fn check_run(&self, run: &Run) {
        let story = || self.story.tell(run.id);
        let ledger = &run.ledger;
        let (mut held, mut reserved, mut delivered, mut writing, mut on_disk) = (0, 0, 0, 0, 0);
        let mut made_outputs = 0;
        for piece in 0..ledger.place.len() as u32 {
            self.check_piece(run, piece);
            let place = ledger.place[piece as usize];
            let done = run.state[run.shape.task_of(piece) as usize] == TaskState::Done;
            if place != Place::None && ledger.is_output(piece) {
                made_outputs += 1;
            }
            if ledger.is_delivered(piece) && place != Place::None {
                delivered += ledger.bytes(piece);
            } else if place.charged() {
                held += ledger.bytes(piece);
            } else if !done {
                reserved += ledger.bytes(piece);
            }
            writing += if place == Place::Writing { ledger.bytes(piece) } else { 0 };
            on_disk += u32::from(place.needs_read());
        }
        assert_eq!(
            (held, reserved, delivered, writing, on_disk),
            (ledger.held, ledger.reserved, ledger.delivered, ledger.writing, ledger.on_disk),
            "{:?}: held, reserved, delivered, writing, on disk{}",
            run.id,
            story()
        );

        let mut counts = [0u32; 7];
        let mut scratch = Vec::new();
        for task in 0..run.state.len() as u32 {
            let state = run.state[task as usize];
            counts[state as usize] += 1;
            if run.ending.is_some() || run.ended {
                continue;
            }
            let dependencies = run.shape.dependencies(task, &mut scratch);
            let missing = dependencies.iter().filter(|piece| ledger.place[**piece as usize] == Place::None).count();
            let reading = dependencies.iter().filter(|piece| ledger.place[**piece as usize].needs_read()).count();
            let gone = dependencies.iter().any(|piece| ledger.place[*piece as usize] == Place::Gone);
            let waiting = run.waiting[task as usize] as usize;
            let sound = match state {
                TaskState::New => waiting == missing && !gone,
                TaskState::Ready => missing == 0 && !gone,
                TaskState::Loading => missing == 0 && !gone && waiting == reading && reading > 0,
                TaskState::Loaded | TaskState::Leased => missing == 0 && !gone && reading == 0,
                TaskState::Behind => missing == 1 && waiting == 1 && !gone && reading == 0,
                TaskState::Done => true,
            };
            assert!(
                sound,
                "{:?}: task {task} is {state:?}, waits for {waiting}; {missing} inputs are missing, {reading} on disk, \
                 some gone: {gone}{}",
                run.id,
                story()
            );
        }
        let out = counts[TaskState::Leased as usize] + counts[TaskState::Behind as usize];
        assert_eq!(out, run.leased, "{:?}: leased{}", run.id, story());
        if run.ending.is_none() && !run.ended {
            assert_eq!(counts[TaskState::Ready as usize] as usize, run.fresh.len(), "{:?}: ready{}", run.id, story());
            assert_eq!(counts[TaskState::Loaded as usize] as usize, run.loaded.len(), "{:?}: loaded", run.id);
            let loading = counts[TaskState::Loading as usize] + counts[TaskState::Loaded as usize];
            assert_eq!(loading, run.loading, "{:?}: loading{}", run.id, story());
            assert_eq!(made_outputs + run.outputs_left, run.output_count(), "{:?}: outputs", run.id);
            if run.mode == OutputMode::Collect {
                assert_eq!(run.untaken, 0);
            }
        }
    }
}

#[cfg(test)]
impl Brain {
    /// Whether a piece that a task is about to read has no other reader left.
    pub(super) fn is_last_use(&mut self, run: RunId, task: u32, piece: u32) -> bool {
        let mut inputs = Vec::new();
        self.each_input(run, task, |piece, last, _| inputs.push((piece, last)));
        inputs.contains(&(piece, true))
    }

    /// The pieces a task reads.
    pub(super) fn dependencies(&mut self, run: RunId, task: u32) -> Vec<u32> {
        let mut inputs = Vec::new();
        self.each_input(run, task, |piece, last, _| inputs.push((piece, last)));
        inputs.into_iter().map(|(piece, _)| piece).collect()
    }
}
