//! What one worker was given and what it has finished, behind a lock of its own.

use std::collections::VecDeque;
use std::sync::Arc;

use super::run::RunState;
use crate::graph::TaskContext;
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
    pub ending: Ending,
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
    /// Time spent per layer, in the order in which the layers changed.
    pub timings: Vec<Timing>,
}

#[derive(Clone, Copy)]
pub(super) struct Timing {
    pub layer: u32,
    pub tasks: u32,
    pub nanos: u64,
    pub bytes_out: u64,
}

impl Finished {
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
    pub run: Option<Arc<RunState>>,
    pub todo: VecDeque<Todo>,
    pub inputs: VecDeque<Option<Chunk>>,
    pub finished: Finished,
}

impl Lease {
    /// Takes the next task, its inputs going to `inputs`.
    pub fn next(&mut self, inputs: &mut VecDeque<Option<Chunk>>) -> Option<Todo> {
        let todo = self.todo.pop_front()?;
        if todo.inputs as usize == self.inputs.len() && inputs.is_empty() {
            // All of them, perhaps a million: not one by one.
            std::mem::swap(inputs, &mut self.inputs);
        } else {
            inputs.extend(self.inputs.drain(..todo.inputs as usize));
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
        tasks as u32
    }
}

impl RunState {
    /// The surroundings of a task of this run.
    pub(super) fn context<'a>(&'a self, budget: &'a crate::store::Budget) -> TaskContext<'a> {
        TaskContext { scope: &self.scope, budget, cancelled: &self.ending }
    }
}
