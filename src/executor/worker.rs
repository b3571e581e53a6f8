//! A worker: takes leases from the brain, runs their tasks, reports.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::core::{Core, Effects};
use super::engine::Shared;
use super::lease::{Ending, Finished, Record, Timing, Todo};
use super::relief::LOOK_EVERY;
use super::run::{Hold, RunState, lock};
use super::values::drop_all;
use crate::error::{Error, Result};
use crate::graph::{Inputs, Layer, Outputs};
use crate::schedule::{Event, OutputMode, Topology, Worker};
use crate::store::Chunk;

/// A worker on a pool that was handed over lets other jobs run this often.
const YIELD_EVERY: Duration = Duration::from_millis(2);

/// Places for inputs that a worker keeps after a task with more.
const MOST_KEPT: usize = 1024;

/// What a worker has made and not reported is at most its share of this part of the limit, and what one task makes.
const REPORT_SHARE: u64 = 16;

/// A worker's buffers, kept from one time at work to the next.
#[derive(Default)]
pub(super) struct Local {
    inputs: Vec<Option<Chunk>>,
    chunks: Vec<Chunk>,
    bytes: Vec<u64>,
    counted: Vec<u64>,
    finished: Finished,
    deliveries: Vec<(u32, Chunk)>,
    scratch: Vec<u32>,
    effects: Effects,
}

/// Times of one task, for those who watch.
#[derive(Clone, Copy, Debug)]
pub struct TaskTimes {
    /// The task's number in the graph; of a sub-task, the task it is a part of.
    pub task: u32,
    /// The worker that ran it.
    pub worker: u32,
    /// Since the run began.
    pub start: Duration,
    /// Since the run began.
    pub end: Duration,
    /// Bytes of all inputs, as far as they are known.
    pub bytes_in: u64,
    /// Bytes of all outputs.
    pub bytes_out: u64,
}

thread_local! {
    /// The engines whose workers stand on this thread's stack, the innermost last.
    static AT_WORK: RefCell<Vec<Arc<Shared>>> = const { RefCell::new(Vec::new()) };
    /// The runs whose tasks stand on this thread's stack.
    static RUNS: RefCell<Vec<Arc<Hold>>> = const { RefCell::new(Vec::new()) };
}

/// Marks this thread as working for an engine.
struct AtWork;

impl AtWork {
    fn enter(shared: &Arc<Shared>) -> AtWork {
        AT_WORK.with_borrow_mut(|stack| stack.push(shared.clone()));
        AtWork
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        AT_WORK.with_borrow_mut(|stack| stack.pop());
    }
}

/// The engine of the task that runs on this thread.
pub(super) fn current_engine() -> Option<Arc<Shared>> {
    AT_WORK.with_borrow(|stack| stack.last().cloned())
}

/// The innermost engine of a family on this thread's stack.
pub(super) fn engine_at_work(family: u64) -> Option<Arc<Shared>> {
    AT_WORK.with_borrow(|stack| stack.iter().rfind(|shared| shared.family == family).cloned())
}

/// The families of the engines whose tasks wait for what this thread does: those on its stack, and those inside whose
/// tasks the run of its task was started.
pub(super) fn lineage() -> Vec<u64> {
    let mut families: Vec<u64> = AT_WORK.with_borrow(|stack| stack.iter().map(|shared| shared.family).collect());
    RUNS.with_borrow(|runs| runs.iter().for_each(|run| families.extend(&run.lineage)));
    families.sort_unstable();
    families.dedup();
    families
}

/// Marks this thread as working for a run.
struct ForRun;

impl ForRun {
    fn enter(run: &Arc<Hold>) -> ForRun {
        RUNS.with_borrow_mut(|runs| runs.push(run.clone()));
        ForRun
    }
}

impl Drop for ForRun {
    fn drop(&mut self) {
        // Dropped outside the borrow.
        let run = RUNS.with_borrow_mut(|runs| runs.pop());
        drop(run);
    }
}

/// Whether this thread is inside a task of the engine, or of one nested in such a task.
pub(super) fn is_at_work(shared: &Arc<Shared>) -> bool {
    AT_WORK.with_borrow(|stack| stack.iter().any(|other| Arc::ptr_eq(other, shared)))
}

/// What a worker says when it comes to the brain.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Arrived,
    Ask,
    Leave,
    /// It has more to do, and only says what it has finished.
    Report,
}

impl Shared {
    /// Works until there is nothing to do, or `until` says so.
    pub(super) fn work(self: &Arc<Shared>, worker: Worker, until: Option<&dyn Fn() -> bool>) {
        let _busy = self.busy();
        let _at_work = AtWork::enter(self);
        let _pool = self.pool.enter();
        let mut local = lock(&self.seats[worker as usize].local).take().unwrap_or_default();
        let mut word = Word::Arrived;
        let mut yielded = Instant::now();
        while self.come(worker, word, &mut local) {
            let more = self.run_lease(worker, &mut local);
            if self.is_synchronous() {
                while let Some(job) = self.disk.try_next() {
                    self.do_disk_job(job);
                }
                self.check_deadlines();
            } else if self.yields() && yielded.elapsed() > YIELD_EVERY {
                rayon::yield_now();
                yielded = Instant::now();
            }
            word = match until {
                _ if more => Word::Report,
                Some(until) if until() => Word::Leave,
                _ => Word::Ask,
            };
        }
        *lock(&self.seats[worker as usize].local) = Some(local);
    }

    /// Reports what is finished and says a word to the brain; whether the worker is to go on.
    fn come(self: &Arc<Shared>, worker: Worker, word: Word, local: &mut Local) -> bool {
        let seat = &self.seats[worker as usize];
        let mut lease = lock(&seat.lease);
        let run = lease.run.clone();
        std::mem::swap(&mut lease.finished, &mut local.finished);
        drop(lease);
        if let Some(run) = &run {
            self.deliver(run, &mut local.finished, &mut local.deliveries, &mut local.scratch);
        }

        let active = {
            let mut core = lock(&self.core);
            let core = &mut *core;
            if core.broken.is_some() {
                return false;
            }
            if let Some(run) = &run {
                core.take_in(worker, run, &mut local.finished, &mut local.effects);
            }
            let event = match word {
                Word::Arrived => Some(Event::Arrived(worker)),
                Word::Ask => Some(Event::Ask(worker)),
                Word::Leave => Some(Event::Leave(worker)),
                Word::Report => None,
            };
            self.note_outside(core);
            if let Some(event) = event {
                core.brain.note(&event, &mut core.actions);
            }
            let mut lease = lock(&seat.lease);
            core.decide(Some(&mut lease), &mut local.effects);
            // One that was in vain may be followed by another.
            while let Some((from, to)) = core.steals.pop() {
                // Only the worker that asks is told to steal.
                debug_assert_eq!(to, worker);
                let mut victim = lock(&self.seats[from as usize].lease);
                let tasks = victim.share(&mut lease);
                let mut collected = victim.finished.take_tasks();
                let of = victim.run.clone();
                drop(victim);
                if let Some(of) = &of {
                    self.deliver(of, &mut collected, &mut local.deliveries, &mut local.scratch);
                    core.take_in(from, of, &mut collected, &mut local.effects);
                }
                core.brain.note(&Event::Stolen { from, to, tasks }, &mut core.actions);
                core.decide(Some(&mut lease), &mut local.effects);
            }
            if lease.todo.is_empty() {
                lease.run = None;
            }
            self.take_in_hand(&mut local.effects);
            self.publish(core);
            core.brain.is_active(worker)
        };
        local.effects.garbage.runs.extend(run);
        self.give_back(&mut local.effects);
        active
    }

    /// Takes in what workers have finished that are long at the next task of their lease: somebody may wait for it.
    pub(super) fn collect_from_late(&self, core: &mut Core, effects: &mut Effects) {
        let (mut deliveries, mut scratch) = (Vec::new(), Vec::new());
        for (worker, seat) in self.seats.iter().enumerate() {
            let worker = worker as Worker;
            if !core.brain.is_late(worker) {
                continue;
            }
            let mut lease = lock(&seat.lease);
            let mut collected = lease.finished.take_tasks();
            let run = lease.run.clone();
            drop(lease);
            if let Some(run) = &run {
                self.deliver(run, &mut collected, &mut deliveries, &mut scratch);
                core.take_in(worker, run, &mut collected, effects);
            }
        }
    }

    /// Hands outputs to their receiver; those that no task reads are moved.
    fn deliver(
        &self,
        run: &RunState,
        finished: &mut Finished,
        deliveries: &mut Vec<(u32, Chunk)>,
        scratch: &mut Vec<u32>,
    ) {
        for timing in finished.timings.iter().filter(|_| run.counts) {
            self.watch(run, |watch| watch.progress(timing.layer, u64::from(timing.tasks), run.started.elapsed()));
        }
        let (OutputMode::Collect, Some(receiver)) = (run.mode, &run.receiver) else { return };
        let mut at = 0;
        for record in &finished.records {
            let pieces = record.first_piece..record.first_piece + record.pieces;
            if run.has_outputs(&pieces) {
                for (piece, slot) in pieces.zip(&mut finished.chunks[at..]) {
                    let Some(output) = run.output_number(piece) else { continue };
                    let unread = run.graph.consumers(piece, scratch).is_empty();
                    let chunk = if unread { slot.take() } else { slot.clone() };
                    deliveries.extend(chunk.map(|chunk| (output, chunk)));
                }
            }
            at += record.pieces as usize;
        }
        if deliveries.is_empty() {
            return;
        }
        let put = catch_unwind(AssertUnwindSafe(|| receiver.put(deliveries)));
        if let Err(error) = put.unwrap_or_else(|panic| Err(Error::from_panic(panic))) {
            run.fail(error);
        }
        let _ = drop_all(deliveries);
    }

    /// Runs the tasks of the worker's lease, or some of them where they make so much that the brain is to know of it first;
    /// whether there are more.
    fn run_lease(&self, worker: Worker, local: &mut Local) -> bool {
        let seat = &self.seats[worker as usize];
        let Some(run) = lock(&seat.lease).run.clone() else { return false };
        let _for_run = ForRun::enter(&run);
        lock(&seat.lease).warm();
        // Under the tiniest limit still something, so that a task is run before the worker comes again.
        let enough = (self.budget.limit() / (REPORT_SHARE * self.seats.len() as u64)).max(1);
        let (mut unreported, mut unseen) = (0, 0);
        let mut since = Instant::now();
        let mut timing = Timing { layer: u32::MAX, tasks: 0, nanos: 0 };
        let mut last: Option<Record> = None;
        // The layer of the task before: that of the next one nearly always.
        let mut layer: Option<&Layer> = None;
        let mut even_bytes = None;
        loop {
            let todo = {
                let mut lease = lock(&seat.lease);
                if let Some(record) = last.take() {
                    lease.finished.push(record, &mut local.chunks, &mut local.bytes, &mut local.counted);
                }
                // One that stands behind another takes that one's value before anything is reported.
                let goes_on = unreported < enough || lease.todo.front().is_some_and(|todo| todo.behind);
                if goes_on { lease.next(&mut local.inputs) } else { None }
            };
            let owner = todo.as_ref().map(|todo| todo.part.map_or(todo.task, |part| part.owner));
            if layer.is_none_or(|layer| owner.is_none_or(|owner| !layer.tasks.contains(&owner))) {
                if timing.tasks > 0 {
                    let now = Instant::now();
                    timing.nanos = (now - since).as_nanos() as u64;
                    since = now;
                    lock(&seat.lease).finished.timings.push(timing);
                }
                let at = owner.map_or(usize::MAX, |owner| run.graph.layer_at(owner));
                layer = run.graph.layers().get(at);
                even_bytes = layer.and_then(Layer::even_bytes);
                timing = Timing { layer: at as u32, tasks: 0, nanos: 0 };
            }
            let (Some(todo), Some(layer)) = (todo, layer) else {
                return unreported >= enough && !lock(&seat.lease).todo.is_empty();
            };
            let even_bytes = if todo.part.is_none() { even_bytes } else { None };
            let mut record = self.run_task(worker, &run, layer, even_bytes, &todo, local);
            record.layer = timing.layer;
            let bytes = local.bytes.iter().sum::<u64>();
            unreported += bytes;
            unseen += bytes;
            if unseen >= LOOK_EVERY {
                self.relieve();
                unseen = 0;
            }
            timing.tasks += 1;
            last = Some(record);
        }
    }

    fn run_task(
        &self,
        worker: Worker,
        run: &RunState,
        layer: &Layer,
        even_bytes: Option<u64>,
        todo: &Todo,
        local: &mut Local,
    ) -> Record {
        let pieces = match todo.part {
            None => layer.pieces_of(todo.task),
            // Sub-tasks stand behind the tasks of the graph, and give one piece each.
            Some(_) => {
                let piece = run.graph.piece_count() + (todo.task - run.graph.task_count());
                piece..piece + 1
            }
        };
        let mut record = Record {
            task: todo.task,
            layer: 0,
            ending: Ending::Skipped,
            first_piece: pieces.start,
            pieces: 0,
            counted: 0,
        };
        if run.is_ending() {
            let _ = drop_all(&mut local.inputs);
            return record;
        }
        let owner = todo.part.map_or(todo.task, |part| part.owner);
        let start = run.trace.then(|| (run.started.elapsed(), self.bytes_in(run, owner, &mut local.scratch)));
        let Local { inputs, chunks, bytes, counted, .. } = local;
        let ran = catch_unwind(AssertUnwindSafe(|| -> Result<()> {
            let context = run.context(&self.budget);
            let mut out = Outputs::new(chunks, counted);
            layer.run(owner, todo.part.map(|part| part.part), &context, &mut Inputs::new(inputs), &mut out)?;
            if chunks.len() != pieces.len() {
                return Err(Error::internal(format!("gave {} pieces instead of {}", chunks.len(), pieces.len())));
            }
            if let Some(each) = even_bytes {
                bytes.extend(chunks.iter().map(|_| each));
                return Ok(());
            }
            for (place, chunk) in chunks.iter().enumerate() {
                let kind = match todo.part {
                    None => layer.kind_of(owner, place as u32),
                    Some(_) => layer.part_kind(owner),
                };
                bytes.push(kind.bytes(chunk));
            }
            Ok(())
        }));
        // Inputs that the task did not take go before it is reported, so that their memory is free by then.
        let dropped = drop_all(inputs);
        if inputs.capacity() > MOST_KEPT {
            inputs.shrink_to(MOST_KEPT);
        }
        match ran.and_then(|ran| dropped.map(|()| ran)).unwrap_or_else(|panic| Err(Error::from_panic(panic))) {
            Ok(()) => {
                record.ending = Ending::Done;
                record.pieces = chunks.len() as u32;
                record.counted = counted.len() as u32;
            }
            Err(error) => {
                run.fail(run.task_error(owner, error));
                record.ending = Ending::Failed;
                let _ = drop_all(chunks);
                bytes.clear();
                counted.clear();
            }
        }
        if let Some((start, bytes_in)) = start {
            let bytes_out = bytes.iter().sum();
            let times = TaskTimes { task: owner, worker, start, end: run.started.elapsed(), bytes_in, bytes_out };
            self.watch(run, |watch| watch.task(&run.graph, &times));
        }
        record
    }

    /// Bytes of what a task reads, as the brain counts them.
    fn bytes_in(&self, run: &RunState, task: u32, scratch: &mut Vec<u32>) -> u64 {
        let pieces = run.graph.dependencies(task, scratch).to_vec();
        let core = lock(&self.core);
        pieces.into_iter().map(|piece| core.brain.bytes_of(run.id, piece)).sum()
    }
}
