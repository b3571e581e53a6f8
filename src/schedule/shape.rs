//! A run's graph as the brain walks it: the topology, and the sub-tasks that expansions added.

use std::ops::Range;
use std::sync::Arc;

use super::topology::{Expansion, Topology};

/// A sub-task made by an expansion: part number `part` of `owner`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dynamic {
    pub owner: u32,
    pub part: u32,
    /// The piece of the task that expanded.
    pub seal: u32,
}

/// The sub-tasks of one owner.
#[derive(Clone, Copy, Debug)]
struct Split {
    owner: u32,
    /// First sub-task, and number of sub-tasks.
    first: u32,
    parts: u32,
    seal: u32,
}

pub(super) struct Shape {
    pub topology: Arc<dyn Topology>,
    /// Numbers from here on are sub-tasks and their pieces.
    pub tasks: u32,
    pub pieces: u32,
    /// Each task gives one piece, of its own number: sub-tasks do anyway.
    one_each: bool,
    pub dynamics: Vec<Dynamic>,
    /// Ordered by owner.
    splits: Vec<Split>,
    /// The pieces whose tasks expanded, ascending.
    seals: Vec<u32>,
}

impl Shape {
    pub fn new(topology: Arc<dyn Topology>) -> Shape {
        Shape {
            tasks: topology.tasks(),
            pieces: topology.pieces(),
            one_each: topology.one_piece_each(),
            topology,
            dynamics: Vec::new(),
            splits: Vec::new(),
            seals: Vec::new(),
        }
    }

    /// Whether each task gives one piece, of its own number, and none was split.
    pub fn one_each(&self) -> bool {
        self.one_each && self.dynamics.is_empty()
    }

    /// Number of tasks, sub-tasks included.
    pub fn all_tasks(&self) -> u32 {
        self.tasks + self.dynamics.len() as u32
    }

    #[inline]
    pub fn pieces_of(&self, task: u32) -> Range<u32> {
        if self.one_each {
            task..task + 1
        } else if task < self.tasks {
            self.topology.pieces_of(task)
        } else {
            let piece = self.pieces + (task - self.tasks);
            piece..piece + 1
        }
    }

    #[inline]
    pub fn task_of(&self, piece: u32) -> u32 {
        if self.one_each {
            piece
        } else if piece < self.pieces {
            self.topology.task_of(piece)
        } else {
            self.tasks + (piece - self.pieces)
        }
    }

    /// The static task whose layer, position and need count for a task.
    #[inline]
    pub fn owner_of(&self, task: u32) -> u32 {
        if task < self.tasks { task } else { self.dynamics[(task - self.tasks) as usize].owner }
    }

    #[inline]
    pub fn position(&self, task: u32) -> u64 {
        self.topology.position(self.owner_of(task))
    }

    /// Whether tasks may be split when this one has run.
    pub fn seals(&self, task: u32) -> bool {
        task < self.tasks && self.topology.seals(task)
    }

    /// The pieces a task reads; those of its sub-tasks last.
    #[inline]
    pub fn dependencies<'a>(&'a self, task: u32, scratch: &'a mut Vec<u32>) -> &'a [u32] {
        if self.dynamics.is_empty() {
            return self.topology.dependencies(task, scratch);
        }
        if task >= self.tasks {
            scratch.clear();
            scratch.push(self.dynamics[(task - self.tasks) as usize].seal);
            return scratch;
        }
        let split = self.splits.binary_search_by_key(&task, |split| split.owner);
        let Ok(split) = split else { return self.topology.dependencies(task, scratch) };
        let split = self.splits[split];
        let fixed = self.topology.dependencies(task, scratch).to_vec();
        let first = self.pieces + (split.first - self.tasks);
        scratch.clear();
        scratch.extend(fixed.into_iter().chain(first..first + split.parts));
        scratch
    }

    /// The tasks that read a piece; sub-tasks last.
    #[inline]
    pub fn consumers<'a>(&'a self, piece: u32, scratch: &'a mut Vec<u32>) -> &'a [u32] {
        if self.dynamics.is_empty() {
            return self.topology.consumers(piece, scratch);
        }
        if piece >= self.pieces {
            scratch.clear();
            scratch.push(self.dynamics[(piece - self.pieces) as usize].owner);
            return scratch;
        }
        if self.seals.binary_search(&piece).is_err() {
            return self.topology.consumers(piece, scratch);
        }
        let mut all = self.topology.consumers(piece, scratch).to_vec();
        for split in self.splits.iter().filter(|split| split.seal == piece) {
            all.extend(split.first..split.first + split.parts);
        }
        *scratch = all;
        scratch
    }

    /// Adds the sub-tasks that the task with piece `seal` asks for; gives owner, first sub-task and parts of each.
    pub fn expand(&mut self, expansions: &mut Vec<Expansion>, seal: u32, mut added: impl FnMut(u32, u32, u32)) {
        expansions.retain(|expansion| expansion.parts > 0);
        if !expansions.is_empty() {
            let at = self.seals.partition_point(|other| *other < seal);
            self.seals.insert(at, seal);
        }
        for Expansion { task: owner, parts } in expansions.drain(..) {
            let first = self.all_tasks();
            self.dynamics.extend((0..parts).map(|part| Dynamic { owner, part, seal }));
            let at = self.splits.partition_point(|other| other.owner < owner);
            assert!(self.splits.get(at).is_none_or(|other| other.owner != owner), "task {owner} is split twice");
            self.splits.insert(at, Split { owner, first, parts, seal });
            added(owner, first, parts);
        }
    }
}
