//! What the executor tells the brain, and what the brain tells the executor to do.

use std::ops::Range;
use std::sync::Arc;

use super::topology::Topology;

/// The number of a run; never used twice by one brain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u32);

/// The number of a worker, below the brain's number of workers.
pub type Worker = u32;

/// Something that happened.
pub enum Event<'a> {
    /// A worker arrived (because of [`Actions::wake`]) and takes part from now on.
    Arrived(Worker),
    /// A worker has nothing left to do and asks for tasks.
    Ask(Worker),
    /// A worker that has nothing to do stops taking part.
    Leave(Worker),
    /// So many workers that were called for cannot come.
    Missed(u32),
    /// A task has run and gave one piece of so many bytes.
    Done { worker: Worker, run: RunId, task: u32, bytes: u64 },
    /// Tasks have run, in this order, and gave one piece each: the task and the piece's bytes.
    DoneEach { worker: Worker, run: RunId, tasks: &'a [(u32, u64)] },
    /// A task has run and gave several pieces.
    DonePieces { worker: Worker, run: RunId, task: u32, bytes: &'a [u64] },
    /// A task that seals an exchange has run; `counted` is what [`Topology::expand`] decides by.
    Sealed { worker: Worker, run: RunId, task: u32, bytes: u64, counted: &'a [u64] },
    /// A task returned an error or panicked; the run ends with it.
    Failed { worker: Worker, run: RunId, task: u32 },
    /// A task was given out but not run, because its run is ending. It may be told before the failure or cancellation
    /// that is the reason, and ends the run just as well.
    Skipped { worker: Worker, run: RunId, task: u32 },
    /// Tasks given to `from` and not begun went over to `to`; told before `to` reports any of them.
    Stolen { from: Worker, to: Worker, tasks: u32 },
    /// How long so many tasks of one layer took together.
    Timing { run: RunId, layer: u32, tasks: u32, nanos: u64 },
    /// The run is to end, whatever is left.
    Cancel(RunId),
    /// The first `outputs` outputs of a streaming run are wanted.
    Demand { run: RunId, outputs: u32 },
    /// A kept output, which had been made, was taken out for good. It may have been on disk: it is the receiver's now.
    Taken { run: RunId, output: u32 },
    /// Nobody will ask for the kept outputs any more.
    Release(RunId),
    /// All pieces of a task that were to be written are on disk (or, not `ok`, could not be written).
    Spilled { run: RunId, task: u32, ok: bool },
    /// A piece was read back (or could not be).
    Loaded { run: RunId, piece: u32, ok: bool },
    /// Bytes held under reservations that the brain does not count itself.
    Outside(u64),
    /// Time has passed: the executor is allowed to run long-waiting work elsewhere.
    Tick,
}

/// A new run, for [`super::Brain::submit`].
pub struct Submission {
    pub run: RunId,
    pub topology: Arc<dyn Topology>,
    /// The pieces that are the results, in the order of the plan; no piece stands twice.
    pub outputs: Vec<Range<u32>>,
    pub mode: OutputMode,
}

/// What becomes of the results of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputMode {
    /// The executor hands each result to its receiver the moment it is there. It stays in memory, counted, until the
    /// run has ended.
    Collect,
    /// Results are pieces like others, spillable, until they are taken or the run is released.
    Keep,
    /// As `Keep`, and tasks start only when an output that needs them is wanted.
    Stream,
}

/// A task for a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    pub worker: Worker,
    pub run: RunId,
    pub task: u32,
    /// Whether it may read anything.
    pub reads: bool,
    /// The task reads the only piece of the start before it, which is for the same worker and must run first: its
    /// value goes from one to the other. The two are never stolen apart.
    pub behind: bool,
}

/// A piece, or a row of pieces, of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pieces {
    pub run: RunId,
    pub first: u32,
    pub count: u32,
}

/// Results of so few bytes are never refused, however low the limit is: they are less than what one thread may take beside
/// the limit.
pub const SMALL_RESULTS: u64 = 1 << 20;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All outputs are there.
    Finished,
    /// By [`Event::Cancel`], a failed task or failed disk work; the executor knows which.
    Stopped,
    /// A task can never fit: its inputs and what it declares to need together are larger than the limit.
    TooLarge { task: u32, needed: u64 },
    /// The results that were handed over, so many bytes so far, are larger than the limit by themselves.
    ResultTooLarge { delivered: u64 },
}

/// What is to be done, in this order: release, evict, spill, load, start, steal, wake, ended. Filled by
/// [`super::Brain::handle`], emptied by the executor.
#[derive(Default)]
pub struct Actions {
    /// Values nobody needs any more: drop them, in memory and on disk. A piece that was being written when its last
    /// reader was through stands here again when it is written; pieces of the same task may stand here again with it.
    pub release: Vec<Pieces>,
    /// Values whose copy in memory is to be dropped; they are on disk. A piece may stand under [`Actions::release`] as
    /// well: then nothing is left to do.
    pub evict: Vec<Pieces>,
    /// Write by one append the pieces of a task that are in memory and not on disk, delivered outputs left out; answer
    /// with [`Event::Spilled`].
    pub spill: Vec<(RunId, u32)>,
    /// Read a piece back; answer with [`Event::Loaded`].
    pub load: Vec<(RunId, u32)>,
    /// Tasks for workers.
    pub start: Vec<Start>,
    /// Take over tasks that `from` has not begun: `(from, to)`; answer with [`Event::Stolen`].
    pub steal: Vec<(Worker, Worker)>,
    /// So many more workers are wanted; each answers with [`Event::Arrived`].
    pub wake: u32,
    /// Runs of which nothing is under way any more.
    pub ended: Vec<(RunId, Outcome)>,
    /// Runs that are gone; whatever the executor kept for them is to be dropped.
    pub gone: Vec<RunId>,
}

impl Actions {
    /// Forgets everything, keeping the space.
    pub fn clear(&mut self) {
        self.release.clear();
        self.evict.clear();
        self.spill.clear();
        self.load.clear();
        self.start.clear();
        self.steal.clear();
        self.wake = 0;
        self.ended.clear();
        self.gone.clear();
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.release.is_empty()
            && self.evict.is_empty()
            && self.spill.is_empty()
            && self.load.is_empty()
            && self.start.is_empty()
            && self.steal.is_empty()
            && self.wake == 0
            && self.ended.is_empty()
            && self.gone.is_empty()
    }

    pub(super) fn release_piece(&mut self, run: RunId, piece: u32) {
        append(&mut self.release, run, piece);
    }

    pub(super) fn evict_piece(&mut self, run: RunId, piece: u32) {
        append(&mut self.evict, run, piece);
    }
}

/// Adds a piece, to the last row where it continues it.
fn append(rows: &mut Vec<Pieces>, run: RunId, piece: u32) {
    match rows.last_mut() {
        Some(last) if last.run == run && last.first + last.count == piece => last.count += 1,
        Some(last) if last.run == run && piece + 1 == last.first => {
            last.first = piece;
            last.count += 1;
        }
        _ => rows.push(Pieces { run, first: piece, count: 1 }),
    }
}
