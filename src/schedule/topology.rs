//! What the brain may know of a graph: counts, edges, byte estimates, positions, expansion.

use std::ops::Range;

/// The brain's only view of a graph.
///
/// Tasks and pieces are dense numbers. A task's dependencies are pieces of tasks with smaller numbers, so the numbers
/// are a topological order; [`Topology::position`] is the order in which the tasks are best run. Every edge counts: a
/// task that reads a piece twice depends on it twice and stands twice among its consumers.
pub trait Topology: Send + Sync {
    /// Number of tasks.
    fn tasks(&self) -> u32;

    /// Number of pieces; at least one per task.
    fn pieces(&self) -> u32;

    /// Number of layers.
    fn layers(&self) -> u32;

    /// The layer a task belongs to.
    fn layer_of(&self, task: u32) -> u32;

    /// The pieces a task gives; a non-empty range, ascending with the task.
    fn pieces_of(&self, task: u32) -> Range<u32>;

    /// The task that gives a piece.
    fn task_of(&self, piece: u32) -> u32;

    /// The pieces a task reads, in the order of its inputs. The answer is either stored in the graph or put into
    /// `scratch`.
    fn dependencies<'a>(&'a self, task: u32, scratch: &'a mut Vec<u32>) -> &'a [u32];

    /// For each task the number of pieces it reads. `counts` holds zeros and has one place per task.
    fn count_dependencies(&self, counts: &mut [u32]);

    /// The tasks that read a piece.
    fn consumers<'a>(&'a self, piece: u32, scratch: &'a mut Vec<u32>) -> &'a [u32];

    /// The place of a task in the static order; no two tasks share one, and inside a layer the places ascend.
    fn position(&self, task: u32) -> u64;

    /// Bytes the task needs beside its inputs, as declared before the run: outputs and scratch memory. Zero if unknown.
    fn need(&self, task: u32) -> u64;

    /// What [`Topology::need`] is for all tasks of a layer that has any, if it is known to be the same.
    fn even_need(&self, layer: u32) -> Option<u64> {
        let _ = layer;
        None
    }

    /// Whether any task of a layer reads anything.
    fn reads(&self, layer: u32) -> bool {
        let _ = layer;
        true
    }

    /// Whether anything of a layer is read.
    fn is_read(&self, layer: u32) -> bool {
        let _ = layer;
        true
    }

    /// Whether each task gives one piece, which then has the task's number.
    fn one_piece_each(&self) -> bool {
        false
    }

    /// Whether all tasks of a layer do the same to data of about the same size, so that what one task gave tells what
    /// the next will need.
    fn uniform(&self, layer: u32) -> bool;

    /// Whether the pieces of the task can be written to disk and read back.
    fn spillable(&self, task: u32) -> bool;

    /// Whether [`Topology::expand`] may split tasks when this one has run.
    fn seals(&self, task: u32) -> bool;

    /// Called once when a task that seals an exchange has run, with what it counted: how the tasks that follow are to
    /// be split. Must be a pure function of the plan and `counted`.
    fn expand(&self, task: u32, counted: &[u64], out: &mut Vec<Expansion>) {
        let _ = (task, counted, out);
    }
}

/// One waiting task of which `parts` sub-tasks are to run first, in parallel; their pieces become further inputs of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expansion {
    /// The task to split. It has not started, and reads a piece of the sealing task.
    pub task: u32,
    /// Number of sub-tasks; zero leaves the task as it is.
    pub parts: u32,
}
