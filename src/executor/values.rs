//! The values of one run: in memory, on disk, or both.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::run::Hold;
use crate::graph::Graph;
use crate::schedule::Pieces;
use crate::store::Chunk;
use crate::store::Extent;

/// Values by piece. Space for a layer is made when its first value is stored, so that a layer whose values go straight
/// to a receiver costs nothing.
pub(super) struct Values {
    graph: Arc<Graph>,
    layers: Vec<Vec<Option<Chunk>>>,
    /// Values of sub-tasks, whose pieces stand after those of the graph.
    parts: Vec<Option<Chunk>>,
    on_disk: HashMap<u32, Arc<Extent>>,
}

/// What is dropped after the locks are given back.
#[derive(Default)]
pub(super) struct Garbage {
    pub chunks: Vec<Chunk>,
    pub extents: Vec<Arc<Extent>>,
    pub values: Vec<Values>,
    /// Let go after the others, since a run that nobody holds is one of which nothing is left.
    pub runs: Vec<Arc<Hold>>,
}

impl Garbage {
    /// Whether any of it is on disk.
    pub fn is_on_disk(&self) -> bool {
        !self.extents.is_empty() || self.values.iter().any(|values| !values.on_disk.is_empty())
    }

    /// Drops what is on disk, in which no user's code has a part.
    pub fn clear_disk(&mut self) {
        self.extents.clear();
        self.values.iter_mut().for_each(|values| values.on_disk.clear());
    }

    /// Drops all values; a panic in a user's `Drop` goes no further.
    pub fn clear(&mut self) {
        if self.chunks.is_empty() && self.extents.is_empty() && self.values.is_empty() {
            return;
        }
        let _ = drop_all(&mut self.chunks);
        self.extents.clear();
        for mut values in self.values.drain(..) {
            values.layers.iter_mut().chain([&mut values.parts]).for_each(|slots| drop(drop_all(slots)));
        }
    }

    /// Lets go of runs, and so perhaps of what their graphs hold.
    pub fn let_go(&mut self) {
        let _ = drop_all(&mut self.runs);
    }
}

/// Drops all items, also where the `Drop` of one panics; the first panic.
pub(super) fn drop_all<T>(items: &mut Vec<T>) -> std::thread::Result<()> {
    let mut result = Ok(());
    while !items.is_empty() {
        let dropped = catch_unwind(AssertUnwindSafe(|| {
            while let Some(item) = items.pop() {
                drop(item);
            }
        }));
        if result.is_ok() {
            result = dropped;
        }
    }
    result
}

impl Values {
    pub fn new(graph: Arc<Graph>) -> Values {
        let layers = graph.layers().iter().map(|_| Vec::new()).collect();
        Values { graph, layers, parts: Vec::new(), on_disk: HashMap::new() }
    }

    fn slot(&mut self, piece: u32) -> Option<&mut Option<Chunk>> {
        let layers = self.graph.layers();
        let at = layers.partition_point(|layer| layer.pieces.end <= piece);
        match layers.get(at) {
            Some(layer) => self.layers[at].get_mut((piece - layer.pieces.start) as usize),
            None => {
                let first = layers.last().map_or(0, |layer| layer.pieces.end);
                self.parts.get_mut((piece - first) as usize)
            }
        }
    }

    /// Stores a value that was made or read back.
    pub fn store(&mut self, piece: u32, chunk: Chunk) {
        let layers = self.graph.layers();
        let at = layers.partition_point(|layer| layer.pieces.end <= piece);
        match layers.get(at) {
            Some(layer) => {
                let slots = &mut self.layers[at];
                if slots.is_empty() {
                    slots.resize_with(layer.pieces.len(), || None);
                }
                slots[(piece - layer.pieces.start) as usize] = Some(chunk);
            }
            None => {
                let first = layers.last().map_or(0, |layer| layer.pieces.end);
                let index = (piece - first) as usize;
                if self.parts.len() <= index {
                    self.parts.resize_with(index + 1, || None);
                }
                self.parts[index] = Some(chunk);
            }
        }
    }

    /// A value that is in memory.
    pub fn get(&mut self, piece: u32) -> Option<Chunk> {
        self.slot(piece)?.clone()
    }

    /// Takes a value that is in memory.
    pub fn take(&mut self, piece: u32) -> Option<Chunk> {
        self.slot(piece)?.take()
    }

    /// Notes where a value stands on disk.
    pub fn store_extent(&mut self, piece: u32, extent: Arc<Extent>) {
        self.on_disk.insert(piece, extent);
    }

    /// Where a value stands on disk.
    pub fn extent(&self, piece: u32) -> Option<Arc<Extent>> {
        self.on_disk.get(&piece).cloned()
    }

    /// Moves values that nobody needs to the garbage: those in memory, and with `disk` those on disk as well.
    pub fn discard(&mut self, pieces: Pieces, disk: bool, garbage: &mut Garbage) {
        for piece in pieces.first..pieces.first + pieces.count {
            if let Some(slot) = self.slot(piece) {
                garbage.chunks.extend(slot.take());
            }
            if disk && !self.on_disk.is_empty() {
                garbage.extents.extend(self.on_disk.remove(&piece));
            }
        }
    }
}
