//! What the core lock guards: the brain, the values of all runs, and how the brain's actions are carried out.

use std::sync::Arc;

use super::disk::DiskJob;
use super::lease::{Ending, Finished, Lease, Todo};
use super::run::{Hold, LayerStats, RunState, RunStats};
use super::values::{Garbage, Values};
use crate::error::{Error, ErrorKind};
use crate::graph::Graph;
use crate::schedule::{Actions, Brain, Event, Outcome, OutputMode, RunId, Start, Submission, Worker};

/// Inputs for which exactly as much room is made as they need.
const MANY_INPUTS: usize = 4096;

/// A run as the executor holds it.
pub(super) struct Live {
    pub state: Arc<Hold>,
    pub values: Values,
    pub layers: Vec<LayerStats>,
    pub done: u64,
    /// Bytes that were handed to the receiver.
    pub delivered: u64,
    pub peak_accounted: u64,
    pub peak_resident: Option<u64>,
}

impl Live {
    /// What has happened so far, without what the system tells.
    pub fn stats(&self) -> RunStats {
        RunStats {
            elapsed: self.state.started.elapsed(),
            layers: self.layers.clone(),
            done: self.done,
            tasks: u64::from(self.state.graph.task_count()),
            peak_accounted: self.peak_accounted,
            peak_resident: self.peak_resident,
            bytes_read: self.state.scope.bytes_read(),
            page_faults: None,
        }
    }
}

pub(super) struct Core {
    pub brain: Brain,
    pub actions: Actions,
    pub runs: Vec<Live>,
    next_run: u32,
    /// Workers called for that found their thread taken; told to the brain at the next tick.
    pub missed: u32,
    /// Threads of the pool that wait in `compute` for work or their run's end.
    pub callers: Vec<Worker>,
    /// Told by the brain, to be carried out by the worker that asked: from, to.
    pub steals: Vec<(Worker, Worker)>,
    /// Bytes in slabs of the pool that belong to the user: results of runs that are gone.
    pub foreign: u64,
    /// The defect after which nothing is run any more.
    pub broken: Option<Error>,
    /// No handle is left that could start a run.
    pub closed: bool,
}

/// What is to be done once the core lock is given back.
#[derive(Default)]
pub(super) struct Effects {
    pub garbage: Garbage,
    /// Some of the garbage is on disk, and counted in [`super::engine::Shared::in_hand`].
    pub in_hand: bool,
    pub jobs: Vec<DiskJob>,
    pub ended: Vec<(Arc<Hold>, Outcome)>,
    pub wake: u32,
    /// Whether an output that somebody may wait for was made.
    pub made: bool,
    /// Whether the last run is gone: spill files can be put away.
    pub idle: bool,
}

impl Core {
    pub fn new(brain: Brain) -> Core {
        Core {
            brain,
            actions: Actions::default(),
            runs: Vec::new(),
            next_run: 0,
            missed: 0,
            callers: Vec::new(),
            steals: Vec::new(),
            foreign: 0,
            broken: None,
            closed: false,
        }
    }

    /// Why no run can be begun, if that is so.
    pub fn refusal(&self) -> Option<Error> {
        let closed = || Error::new(ErrorKind::Cancelled, "the run was cancelled: its runtime was dropped");
        self.broken.clone().or_else(|| self.closed.then(closed))
    }

    pub fn next_run(&mut self) -> RunId {
        self.next_run += 1;
        RunId(self.next_run)
    }

    pub fn submit(&mut self, state: Arc<Hold>, effects: &mut Effects) {
        let graph: Arc<Graph> = state.graph.clone();
        let submission =
            Submission { run: state.id, outputs: graph.outputs().to_vec(), topology: graph.clone(), mode: state.mode };
        self.runs.push(Live {
            layers: vec![LayerStats::default(); graph.layers().len()],
            values: Values::new(graph),
            state,
            done: 0,
            delivered: 0,
            peak_accounted: 0,
            peak_resident: None,
        });
        self.brain.submit(submission, &mut self.actions);
        self.apply(None, effects);
    }

    pub fn live(&mut self, run: RunId) -> Option<&mut Live> {
        self.runs.iter_mut().find(|live| live.state.id == run)
    }

    /// Whether a value is there, in memory or on disk.
    pub fn has_value(&mut self, run: RunId, piece: u32) -> bool {
        self.live(run).is_none_or(|live| live.values.get(piece).is_some() || live.values.extent(piece).is_some())
    }

    /// Takes in what a worker has finished.
    pub fn take_in(&mut self, worker: Worker, run: &RunState, finished: &mut Finished, effects: &mut Effects) {
        let id = run.id;
        let (brain, actions) = (&mut self.brain, &mut self.actions);
        let Some(live) = self.runs.iter_mut().find(|live| live.state.id == id) else {
            // Others have taken in its last task, and the run is over: the time that the task took is told too late, and must
            // not be taken for that of the worker's next run.
            effects.garbage.chunks.extend(finished.chunks.drain(..).flatten());
            finished.clear();
            return;
        };
        let Finished { records, chunks, bytes, counted, each, .. } = finished;
        let mut chunks = chunks.drain(..);
        let (mut bytes, mut counted) = (&bytes[..], &counted[..]);
        for record in &*records {
            let task = record.task;
            let pieces = record.first_piece..record.first_piece + record.pieces;
            let simple = record.ending == Ending::Done && record.pieces == 1 && record.counted == 0;
            if !simple && !each.is_empty() {
                brain.note(&Event::DoneEach { worker, run: id, tasks: each }, actions);
                each.clear();
            }
            match record.ending {
                Ending::Failed => brain.note(&Event::Failed { worker, run: id, task }, actions),
                Ending::Skipped => brain.note(&Event::Skipped { worker, run: id, task }, actions),
                Ending::Done => {
                    live.done += 1;
                    let sizes;
                    (sizes, bytes) = bytes.split_at(record.pieces as usize);
                    let stats = &mut live.layers[record.layer as usize];
                    stats.tasks += 1;
                    stats.bytes_out += sizes.iter().sum::<u64>();
                    if run.mode == OutputMode::Collect && run.has_outputs(&pieces) {
                        let sizes = pieces.clone().zip(sizes).filter(|(piece, _)| run.output_number(*piece).is_some());
                        live.delivered += sizes.map(|(_, bytes)| bytes).sum::<u64>();
                    }
                    for (piece, chunk) in pieces.zip(&mut chunks) {
                        if let Some(chunk) = chunk {
                            live.values.store(piece, chunk);
                        }
                    }
                    let counts;
                    (counts, counted) = counted.split_at(record.counted as usize);
                    match sizes {
                        [only] if counts.is_empty() => each.push((task, *only)),
                        [only] => {
                            brain
                                .note(&Event::Sealed { worker, run: id, task, bytes: *only, counted: counts }, actions);
                        }
                        _ => brain.note(&Event::DonePieces { worker, run: id, task, bytes: sizes }, actions),
                    }
                }
            }
        }
        if !each.is_empty() {
            brain.note(&Event::DoneEach { worker, run: id, tasks: each }, actions);
            each.clear();
        }
        effects.garbage.chunks.extend(chunks.flatten());
        effects.made |= run.mode != OutputMode::Collect && !finished.records.is_empty();
        for timing in &finished.timings {
            live.layers[timing.layer as usize].nanos += timing.nanos;
            let (layer, tasks, nanos) = (timing.layer, timing.tasks, timing.nanos);
            brain.note(&Event::Timing { run: id, layer, tasks, nanos }, actions);
        }
        finished.clear();
    }

    /// Lets the brain decide and carries out what concerns the values; the rest is put into `effects`. `lease` is the
    /// lease of the worker that is being served.
    pub fn decide(&mut self, lease: Option<&mut Lease>, effects: &mut Effects) {
        self.brain.decide(&mut self.actions);
        self.apply(lease, effects);
    }

    fn apply(&mut self, mut lease: Option<&mut Lease>, effects: &mut Effects) {
        let mut actions = std::mem::take(&mut self.actions);
        for pieces in actions.release.drain(..) {
            if let Some(live) = self.live(pieces.run) {
                live.values.discard(pieces, true, &mut effects.garbage);
            }
        }
        for pieces in actions.evict.drain(..) {
            if let Some(live) = self.live(pieces.run) {
                live.values.discard(pieces, false, &mut effects.garbage);
            }
        }
        for (run, task) in actions.spill.drain(..) {
            let pieces = self.brain.pieces_of(run, task).filter(|piece| self.brain.is_writing(run, *piece));
            let pieces: Vec<u32> = pieces.collect();
            if let Some(live) = self.live(run) {
                let values = pieces.into_iter().filter_map(|piece| Some((piece, live.values.get(piece)?)));
                effects.jobs.push(DiskJob::Write { run: live.state.clone(), task, values: values.collect() });
            }
        }
        for (run, piece) in actions.load.drain(..) {
            if let Some(live) = self.live(run) {
                let extent = live.values.extent(piece);
                effects.jobs.push(DiskJob::Read { run: live.state.clone(), piece, extent });
            }
        }
        let mut starts = actions.start.drain(..).peekable();
        while let (Some(first), Some(lease)) = (starts.peek().copied(), lease.as_deref_mut()) {
            // All that is given out at once mostly is of one run.
            let Some(live) = self.runs.iter_mut().find(|live| live.state.id == first.run) else {
                starts.next();
                continue;
            };
            if lease.run.as_ref().is_none_or(|run| run.id != first.run) {
                lease.run = Some(live.state.clone());
            }
            while let Some(start) = starts.next_if(|start| start.run == first.run) {
                if !start.reads {
                    let Start { task, behind, .. } = start;
                    lease.todo.push_back(Todo { task, part: None, inputs: 0, behind });
                    continue;
                }
                let before = lease.inputs.len();
                let (values, inputs) = (&mut live.values, &mut lease.inputs);
                self.brain.each_input(start.run, start.task, |piece, last, left| {
                    if left > MANY_INPUTS && inputs.len() == inputs.capacity() {
                        // A million values are not to be given half as much room again.
                        inputs.reserve_exact(left);
                    }
                    inputs.push(if last { values.take(piece) } else { values.get(piece) });
                });
                let inputs = (lease.inputs.len() - before) as u32;
                let part = self.brain.sub_task(start.run, start.task);
                lease.todo.push_back(Todo { task: start.task, part, inputs, behind: start.behind });
            }
        }
        drop(starts);
        self.steals.append(&mut actions.steal);
        effects.wake += std::mem::take(&mut actions.wake);
        let used = self.brain.counted();
        for live in &mut self.runs {
            live.peak_accounted = live.peak_accounted.max(used);
        }
        for (run, outcome) in actions.ended.drain(..) {
            if let Some(live) = self.live(run) {
                // It may be gone in the same call.
                live.state.keep_stats(live.stats());
                effects.ended.push((live.state.clone(), outcome));
            }
        }
        for run in actions.gone.drain(..) {
            if let Some(at) = self.runs.iter().position(|live| live.state.id == run) {
                self.foreign += self.runs[at].delivered;
                let Live { values, state, .. } = self.runs.remove(at);
                effects.garbage.values.push(values);
                effects.garbage.runs.push(state);
                effects.idle = self.runs.is_empty();
            }
        }
        actions.clear();
        self.actions = actions;
    }
}
