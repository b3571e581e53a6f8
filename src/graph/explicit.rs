//! Explicit layers: a call and the edges of each task, in compressed rows.

use std::sync::Arc;

use super::task::{Inputs, Outputs, TaskContext};
use crate::error::Result;
use crate::origin::Origin;
use crate::store::Kind;

/// One task of an explicit layer.
pub trait Call: Send + Sync {
    /// Runs the task.
    fn call(&self, context: &TaskContext<'_>, inputs: &mut Inputs<'_>, out: &mut Outputs<'_>) -> Result<()>;

    /// What the task is called in errors, profile and drawings.
    fn name(&self) -> &str;

    /// The verb of the public API that made it.
    fn verb(&self) -> &'static str;

    /// The user's line.
    fn origin(&self) -> Origin;

    /// What the engine knows about piece number `piece`.
    fn kind(&self, piece: u32) -> &'static dyn Kind;

    /// Bytes needed beside the inputs, if known.
    fn need(&self) -> u64 {
        0
    }

    /// Names of the tasks fused into this one; empty when it is one task.
    fn members(&self) -> &[Arc<dyn Call>] {
        &[]
    }
}

/// Rows of numbers in two lists: row `r` is `items[starts[r]..starts[r + 1]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Csr {
    starts: Vec<u32>,
    items: Vec<u32>,
}

impl Csr {
    /// No rows yet, and room for some.
    pub fn with_capacity(rows: usize, items: usize) -> Csr {
        let mut starts = Vec::with_capacity(rows + 1);
        starts.push(0);
        Csr { starts, items: Vec::with_capacity(items) }
    }

    /// Adds a row.
    pub fn push_row(&mut self, row: impl IntoIterator<Item = u32>) {
        if self.starts.is_empty() {
            self.starts.push(0);
        }
        self.items.extend(row);
        self.starts.push(self.items.len() as u32);
    }

    /// Adds an item to the row that is being written, which [`Csr::end_row`] ends.
    pub fn push_item(&mut self, item: u32) {
        self.items.push(item);
    }

    /// Ends the row that is being written.
    pub fn end_row(&mut self) {
        if self.starts.is_empty() {
            self.starts.push(0);
        }
        self.starts.push(self.items.len() as u32);
    }

    /// Number of rows.
    pub fn rows(&self) -> u32 {
        (self.starts.len().max(1) - 1) as u32
    }

    /// Number of items in all rows.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether no row has an item.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// All items, row after row.
    pub fn rows_flat(&self) -> &[u32] {
        &self.items
    }

    /// Where a row lies in [`Csr::rows_flat`].
    pub fn range(&self, row: u32) -> std::ops::Range<usize> {
        self.starts[row as usize] as usize..self.starts[row as usize + 1] as usize
    }

    /// One row.
    pub fn row(&self, row: u32) -> &[u32] {
        &self.items[self.range(row)]
    }

    /// For each number of `base..base + count` the rows that hold it, ascending and as often as they do, plus `first`;
    /// other numbers are passed over. By counting, in time proportional to what there is.
    pub fn invert(&self, base: u32, count: u32, first: u32) -> Csr {
        let mut starts = vec![0u32; count as usize + 1];
        let inside = |item: u32| item.checked_sub(base).filter(|at| *at < count);
        for item in &self.items {
            if let Some(at) = inside(*item) {
                starts[at as usize + 1] += 1;
            }
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut items = vec![0u32; starts[count as usize] as usize];
        // Filling moves each start to the end of its row; shifting by one moves them back.
        for row in 0..self.rows() {
            for item in self.row(row) {
                if let Some(at) = inside(*item) {
                    let start = &mut starts[at as usize];
                    items[*start as usize] = first + row;
                    *start += 1;
                }
            }
        }
        starts.copy_within(0..count as usize, 1);
        starts[0] = 0;
        Csr { starts, items }
    }
}

/// The tasks of an explicit layer.
#[derive(Clone, Default)]
pub struct Tasks {
    pub(super) calls: Vec<Arc<dyn Call>>,
    /// Per task the pieces it reads, by their numbers in the graph.
    pub(super) reads: Csr,
    /// Where the pieces of each task begin, if any task gives more than one.
    pub(super) piece_starts: Vec<u32>,
    /// What each task declares to need, as far as the last one that declares anything.
    needs: Vec<u64>,
}

impl Tasks {
    /// No tasks yet, and room for some.
    pub fn with_capacity(tasks: usize, edges: usize) -> Tasks {
        let (calls, reads) = (Vec::with_capacity(tasks), Csr::with_capacity(tasks, edges));
        Tasks { calls, reads, ..Tasks::default() }
    }

    /// The calls of all tasks, in their order.
    pub fn calls(&self) -> impl Iterator<Item = &dyn Call> {
        self.calls.iter().map(|call| &**call)
    }

    /// Adds a task that reads pieces by their numbers in the graph; gives the number of its first piece in the layer.
    pub fn push(&mut self, call: Arc<dyn Call>, reads: impl IntoIterator<Item = u32>, pieces: u32) -> u32 {
        reads.into_iter().for_each(|piece| self.push_read(piece));
        self.push_call(call, pieces)
    }

    /// Adds a piece that the next task reads.
    pub fn push_read(&mut self, piece: u32) {
        self.reads.push_item(piece);
    }

    /// Adds a task that reads what was pushed; gives the number of its first piece in the layer.
    pub fn push_call(&mut self, call: Arc<dyn Call>, pieces: u32) -> u32 {
        self.calls.push(call);
        let task = self.reads.rows();
        if pieces != 1 && self.piece_starts.is_empty() {
            self.piece_starts.extend(0..=task);
        }
        let first = self.piece_starts.last().copied().unwrap_or(task);
        if !self.piece_starts.is_empty() {
            self.piece_starts.push(first + pieces);
        }
        self.reads.end_row();
        first
    }

    /// Puts another call in the place of a task's.
    pub fn replace_call(&mut self, task: u32, with: impl FnOnce(Arc<dyn Call>) -> Arc<dyn Call>) {
        let call = &mut self.calls[task as usize];
        *call = with(call.clone());
    }

    /// Gives back the room for tasks that are not there.
    pub fn shrink(&mut self) {
        self.calls.shrink_to_fit();
        self.reads.starts.shrink_to_fit();
        self.reads.items.shrink_to_fit();
        self.piece_starts.shrink_to_fit();
    }

    /// How many pieces each task gives: 1, or 0 where they differ.
    pub(super) fn even_pieces(&self) -> u32 {
        u32::from(self.piece_starts.is_empty())
    }

    /// Notes what the calls declare to need: to be called when all are there.
    pub(super) fn note_needs(&mut self) {
        let last = self.calls.iter().rposition(|call| call.need() > 0).map_or(0, |last| last + 1);
        self.needs = self.calls[..last].iter().map(|call| call.need()).collect();
    }

    /// Bytes a task declares to need beside its inputs.
    pub fn need(&self, task: u32) -> u64 {
        self.needs.get(task as usize).copied().unwrap_or(0)
    }

    /// Whether any task declares a need.
    pub fn any_need(&self) -> bool {
        !self.needs.is_empty()
    }

    /// Number of tasks.
    pub fn len(&self) -> u32 {
        self.calls.len() as u32
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Number of pieces.
    pub fn pieces(&self) -> u32 {
        self.piece_starts.last().copied().unwrap_or(self.len())
    }

    /// The call of a task.
    pub fn call(&self, task: u32) -> &Arc<dyn Call> {
        &self.calls[task as usize]
    }

    /// The pieces a task reads.
    pub fn reads(&self, task: u32) -> &[u32] {
        self.reads.row(task)
    }

    /// What all tasks read, task after task.
    pub fn all_reads(&self) -> &[u32] {
        self.reads.rows_flat()
    }

    /// The pieces of a task, by their places in the layer.
    pub fn pieces_of(&self, task: u32) -> std::ops::Range<u32> {
        match self.piece_starts.is_empty() {
            true => task..task + 1,
            false => self.piece_starts[task as usize]..self.piece_starts[task as usize + 1],
        }
    }

    /// The task that gives a piece of the layer.
    pub fn task_of(&self, piece: u32) -> u32 {
        match self.piece_starts.is_empty() {
            true => piece,
            false => self.piece_starts.partition_point(|start| *start <= piece) as u32 - 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_their_inverse() {
        let mut rows = Csr::with_capacity(4, 8);
        rows.push_row([]);
        rows.push_row([5]);
        rows.push_row([6, 5, 6]);
        rows.push_row([5, 99]);
        assert_eq!((rows.rows(), rows.len(), rows.row(0).len()), (4, 6, 0));
        let inverse = rows.invert(4, 3, 100);
        assert_eq!(inverse.rows(), 3);
        assert_eq!((inverse.row(0), inverse.row(1), inverse.row(2)), (&[][..], &[101, 102, 103][..], &[102, 102][..]));
    }
}
