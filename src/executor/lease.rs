//! What one worker was given and what it has finished, behind a lock of its own.

use std::collections::VecDeque;
use std::sync::Arc;

use super::run::{Hold, RunState};
use crate::graph::{Layer, TaskContext};
use crate::schedule::SubTask;
use crate::store::Chunk;

/// A task given to a worker, its inputs standing in [`Lease::inputs`] in the same order.
pub(super) struct Todo {
    pub task: u32,
    pub part: Option<SubTask>,
    pub inputs: u32,
    /// Reads the value of the task before it, which is not among the inputs yet.
    pub behind: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Done,
    Failed,
    Skipped,
}

/// A task that has run; its pieces and counts stand in [`Finished::chunks`] in the same order.
pub(super) struct Record {
    pub task: u32,
    /// Which layer it belongs to.
    pub layer: u32,
    pub ending: Ending,
    pub first_piece: u32,
    pub pieces: u32,
    pub counted: u32,
}

/// Finished tasks of one run.
#[derive(Default)]
pub(super) struct Finished {
    pub records: Vec<Record>,
    pub chunks: Vec<Option<Chunk>>,
    pub bytes: Vec<u64>,
    pub counted: Vec<u64>,
    /// Consecutive tasks that gave one piece each, for the brain.
    pub each: Vec<(u32, u64)>,
    /// Time spent per layer, in the order in which the layers changed.
    pub timings: Vec<Timing>,
}

#[derive(Clone, Copy)]
pub(super) struct Timing {
    pub layer: u32,
    pub tasks: u32,
    pub nanos: u64,
}

impl Finished {
    /// All but the times, which the worker that took them tells itself: so those who look on are told outside of locks. Where the run
    /// ends before that, what its last tasks took is missing from the times of its layers, but no task and no byte is.
    pub fn take_tasks(&mut self) -> Finished {
        let timings = std::mem::take(&mut self.timings);
        std::mem::replace(self, Finished { timings, ..Finished::default() })
    }

    /// Adds a task and what it gave.
    pub fn push(&mut self, record: Record, chunks: &mut Vec<Chunk>, bytes: &mut Vec<u64>, counted: &mut Vec<u64>) {
        self.records.push(record);
        self.chunks.extend(chunks.drain(..).map(Some));
        self.bytes.append(bytes);
        if !counted.is_empty() {
            self.counted.append(counted);
        }
    }

    pub fn clear(&mut self) {
        self.records.clear();
        self.chunks.clear();
        self.bytes.clear();
        self.counted.clear();
        self.timings.clear();
    }
}

/// All tasks of a lease belong to one run.
#[derive(Default)]
pub(super) struct Lease {
    pub run: Option<Arc<Hold>>,
    pub todo: VecDeque<Todo>,
    /// The inputs of all that is to do; those before `taken` are gone.
    pub inputs: Vec<Option<Chunk>>,
    taken: usize,
    pub finished: Finished,
}

impl Lease {
    /// Takes the next task, its inputs going to the empty list `inputs`.
    pub fn next(&mut self, inputs: &mut Vec<Option<Chunk>>) -> Option<Todo> {
        debug_assert!(inputs.is_empty(), "the inputs of the task before are gone");
        let todo = self.todo.pop_front()?;
        if self.taken == 0 && self.todo.is_empty() {
            // All of them, perhaps a million: not one by one.
            std::mem::swap(inputs, &mut self.inputs);
        } else {
            let end = self.taken + todo.inputs as usize;
            inputs.extend(self.inputs[self.taken..end].iter_mut().map(Option::take));
            self.taken = end;
            if self.todo.is_empty() {
                self.inputs.clear();
                self.taken = 0;
            }
        }
        if todo.behind {
            // Where that task failed there is none, and this one will be skipped.
            let missing = inputs.iter_mut().find(|input| input.is_none());
            if let (Some(missing), Some(value)) = (missing, self.finished.chunks.last_mut()) {
                *missing = value.take();
            }
        }
        Some(todo)
    }

    /// Reads a little of what the tasks are, before they are run: see [`Layer::warm`].
    pub fn warm(&self) {
        let Some(run) = &self.run else { return };
        let mut layer: Option<&Layer> = None;
        let mut seen = 0usize;
        // Those of a chain mostly were made one after the other, and lie so.
        for todo in self.todo.iter().filter(|todo| todo.part.is_none() && !todo.behind) {
            if layer.is_none_or(|layer| !layer.tasks.contains(&todo.task)) {
                layer = run.graph.layers().get(run.graph.layer_at(todo.task));
            }
            seen = seen.wrapping_add(layer.map_or(0, |layer| layer.warm(todo.task)));
        }
        std::hint::black_box(seen);
    }

    /// Moves the later half of what has not begun to another worker's empty lease; gives the number of tasks.
    pub fn share(&mut self, thief: &mut Lease) -> u32 {
        let mut first = self.todo.len() / 2;
        while self.todo.get(first).is_some_and(|todo| todo.behind) {
            first += 1;
        }
        let tasks = self.todo.len() - first;
        if tasks == 0 {
            return 0;
        }
        thief.run = self.run.clone();
        thief.todo.extend(self.todo.drain(first..));
        let inputs: u32 = thief.todo.iter().map(|todo| todo.inputs).sum();
        let first = self.inputs.len() - inputs as usize;
        thief.inputs.extend(self.inputs.drain(first..));
        if self.todo.is_empty() {
            self.inputs.clear();
            self.taken = 0;
        }
        tasks as u32
    }
}

impl RunState {
    /// The surroundings of a task of this run.
    pub(super) fn context<'a>(&'a self, budget: &'a crate::store::Budget) -> TaskContext<'a> {
        TaskContext { scope: &self.scope, budget, cancelled: &self.ending }
    }
}
