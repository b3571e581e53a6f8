//! What the fake world knows of a run: which values exist where, who still reads them, what was delivered.

use std::ops::Range;
use std::sync::Arc;

use super::super::event::{OutputMode, RunId};
use super::super::ledger::{CELL, cells};
use super::super::topology::Topology;
use super::graph::Graph;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(super) enum Life {
    Unborn,
    Live,
    /// Ended, its outputs kept.
    Ended,
    Gone,
}

#[derive(Clone, Copy, Default, Debug)]
pub(super) struct TaskModel {
    pub started: bool,
    pub out: bool,
    pub done: bool,
    /// Bytes reserved for it while it is out.
    pub reserved: u64,
}

#[derive(Clone, Copy, Default, Debug)]
pub(super) struct PieceModel {
    pub bytes: u64,
    pub made: bool,
    pub memory: bool,
    pub disk: bool,
    pub writing: bool,
    pub reading: bool,
    pub released: bool,
    pub output: bool,
    pub taken: bool,
    /// Edges to tasks that have not run.
    pub open: u32,
    /// Edges to tasks that are out.
    pub pins: u32,
}

pub(super) struct RunModel {
    pub id: RunId,
    pub graph: Arc<Graph>,
    pub mode: OutputMode,
    pub ranges: Vec<Range<u32>>,
    pub outputs: Vec<u32>,
    pub life: Life,
    pub tasks: Vec<TaskModel>,
    pub pieces: Vec<PieceModel>,
    /// Owner, part and seal of each sub-task.
    pub parts: Vec<(u32, u32, u32)>,
    /// Owner, first sub-task and their number.
    splits: Vec<(u32, u32, u32)>,
    /// Tasks that serve a demanded output; all, where it is not a stream.
    pub wanted: Vec<bool>,
    pub demanded: u32,
    pub next_take: u32,
    pub leased: u32,
    /// Under way: pieces being read.
    pub reads: u32,
    /// Under way: tasks being written.
    pub writes: u32,
    /// Tasks that the brain let in and that wait for reads or for a worker, with what is reserved for them.
    pub loading: Vec<(u32, u64)>,
    /// Something went wrong or was called off.
    pub fault: bool,
    /// The executor knows that the run ends: what was not begun is skipped.
    pub stopping: bool,
    pub released: bool,
    /// Largest total a task of each layer has given.
    pub most: Vec<u64>,
}

impl RunModel {
    pub fn new(id: RunId, graph: Arc<Graph>, mode: OutputMode, ranges: Vec<Range<u32>>) -> RunModel {
        let outputs: Vec<u32> = ranges.iter().cloned().flatten().collect();
        let mut pieces: Vec<PieceModel> = (0..graph.pieces() as usize)
            .map(|at| PieceModel {
                bytes: graph.bytes[at],
                open: graph.readers[at].len() as u32,
                ..PieceModel::default()
            })
            .collect();
        for output in &outputs {
            pieces[*output as usize].output = true;
        }
        let tasks = graph.tasks() as usize;
        RunModel {
            id,
            mode,
            ranges,
            outputs,
            life: Life::Unborn,
            tasks: vec![TaskModel::default(); tasks],
            pieces,
            parts: Vec::new(),
            splits: Vec::new(),
            wanted: vec![mode != OutputMode::Stream; tasks],
            demanded: 0,
            next_take: 0,
            leased: 0,
            reads: 0,
            writes: 0,
            loading: Vec::new(),
            fault: false,
            stopping: false,
            released: false,
            most: vec![0; graph.layers() as usize],
            graph,
        }
    }

    pub fn pieces_of(&self, task: u32) -> Range<u32> {
        if task < self.graph.tasks() {
            return self.graph.pieces_of(task);
        }
        let piece = self.graph.pieces() + (task - self.graph.tasks());
        piece..piece + 1
    }

    pub fn task_of(&self, piece: u32) -> u32 {
        if piece < self.graph.pieces() {
            self.graph.task_of(piece)
        } else {
            self.graph.tasks() + (piece - self.graph.pieces())
        }
    }

    pub fn owner_of(&self, task: u32) -> u32 {
        task.checked_sub(self.graph.tasks()).map_or(task, |part| self.parts[part as usize].0)
    }

    /// The pieces a task reads, in order, one for each edge.
    pub fn inputs(&self, task: u32) -> Vec<u32> {
        if let Some(part) = task.checked_sub(self.graph.tasks()) {
            return vec![self.parts[part as usize].2];
        }
        let mut inputs = self.graph.inputs[task as usize].clone();
        for (owner, first, parts) in &self.splits {
            if *owner == task {
                inputs.extend((*first..first + parts).map(|part| self.pieces_of(part).start));
            }
        }
        inputs
    }

    /// Makes the sub-tasks of `owner`; gives the first one's number.
    pub fn split(&mut self, owner: u32, parts: u32, seal: u32) -> u32 {
        let first = self.tasks.len() as u32;
        for part in 0..parts {
            self.parts.push((owner, part, seal));
            self.tasks.push(TaskModel::default());
            let bytes = self.graph.part_bytes(owner, part);
            self.pieces.push(PieceModel { bytes, open: 1, ..PieceModel::default() });
            self.wanted.push(self.wanted[owner as usize]);
        }
        self.pieces[seal as usize].open += parts;
        self.splits.push((owner, first, parts));
        first
    }

    /// Wants one output and all it needs.
    pub fn want(&mut self, output: u32) {
        let mut walk = vec![self.task_of(output)];
        while let Some(task) = walk.pop() {
            if !std::mem::replace(&mut self.wanted[task as usize], true) {
                walk.extend(self.inputs(task).iter().map(|piece| self.task_of(*piece)));
            }
        }
    }

    pub fn is_delivered(&self, piece: u32) -> bool {
        self.mode == OutputMode::Collect && self.pieces[piece as usize].output
    }

    /// Whether somebody outside the graph still has a right to the piece.
    pub fn is_kept(&self, piece: u32) -> bool {
        let piece = &self.pieces[piece as usize];
        piece.output && !piece.taken && self.mode != OutputMode::Collect
    }

    /// Whether all outputs are there.
    pub fn is_complete(&self) -> bool {
        self.outputs.iter().all(|piece| self.pieces[*piece as usize].made)
    }

    /// What is to be reserved for a task that is let in now.
    pub fn need(&self, task: u32) -> u64 {
        let owner = self.owner_of(task);
        let need = self.graph.declared(owner).max(self.most[self.graph.layer_of(owner) as usize]);
        if need == 0 { 0 } else { in_cells(need) }
    }

    /// Bytes of this run that the brain has to count now, reservations apart.
    pub fn held(&self) -> u64 {
        let counted = |at: &usize| {
            let piece = &self.pieces[*at];
            if self.is_delivered(*at as u32) { piece.made } else { piece.memory || piece.reading }
        };
        (0..self.pieces.len()).filter(counted).map(|at| in_cells(self.pieces[at].bytes)).sum()
    }
}

pub(super) fn in_cells(bytes: u64) -> u64 {
    u64::from(cells(bytes)) * CELL
}
