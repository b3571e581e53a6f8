//! Making a new graph out of the layers of an old one, while edges and results follow to where the pieces went.

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::graph::draft::{Draft, LayerRef, distinct};
use crate::graph::explicit::{Csr, Tasks};
use crate::graph::kept::Kept;
use crate::graph::layer::{Body, Graph, Input, Layer, Meta};

/// The new graph so far, and what became of the old layers so far.
pub(super) struct Rebuild {
    draft: Draft,
    moved: Vec<Moved>,
    /// Pieces of all old layers.
    old: Vec<Range<u32>>,
    outputs: Vec<Range<u32>>,
    results: Option<Arc<[u32]>>,
    /// Whether two old layers became one, so that two results may have become one piece.
    merged: bool,
}

/// What became of an old layer.
#[derive(Clone)]
struct Moved {
    layer: u32,
    to: Places,
}

#[derive(Clone)]
enum Places {
    Gone,
    /// All pieces, from here on.
    From(u32),
    /// The pieces of some tasks, from `start` on.
    Some {
        start: u32,
        pieces: u32,
        before: Option<Arc<Kept>>,
        after: Arc<Kept>,
    },
    /// Piece by piece; `GONE` where it is no more.
    Each(Vec<u32>),
}

const GONE: u32 = u32::MAX;

impl Rebuild {
    /// Takes a graph apart. Its layers are to be handed back one after the other, each by one of the methods.
    pub fn new(graph: Graph) -> (Rebuild, Vec<Layer>) {
        let old = graph.layers.iter().map(|layer| layer.pieces.clone()).collect();
        let moved = Vec::with_capacity(graph.layers.len());
        let Graph { layers, outputs, results, .. } = graph;
        (Rebuild { draft: Draft::new(), moved, old, outputs, results, merged: false }, layers)
    }

    /// The layer is no more.
    pub fn drop_layer(&mut self) {
        self.moved.push(Moved { layer: GONE, to: Places::Gone });
    }

    /// The layer is the same as an earlier old one.
    pub fn same_as(&mut self, earlier: u32) {
        let same = self.moved[earlier as usize].clone();
        self.moved.push(same);
        self.merged = true;
    }

    /// Edges of the old graph in the new one.
    pub fn inputs(&self, inputs: &[Input]) -> Result<Vec<Input>> {
        let input = |input: &Input| match self.moved.get(input.layer as usize) {
            Some(Moved { layer, .. }) if *layer != GONE => Ok(Input { layer: *layer, pattern: input.pattern.clone() }),
            _ => Err(Error::internal("a layer reads one that was dropped")),
        };
        inputs.iter().map(input).collect()
    }

    /// The layer stays as it is.
    pub fn keep(&mut self, layer: Layer) -> Result<()> {
        let original = layer.original_len();
        let Layer { meta, body, pieces_per_task, kept, .. } = layer;
        let to = Places::From(self.draft.next_piece());
        match body {
            Body::Regular { op, inputs } => {
                let body = Body::Regular { op, inputs: self.inputs(&inputs)? };
                self.add(meta, original, kept, pieces_per_task, body, to)
            }
            Body::Explicit(tasks) => self.explicit(meta, original, kept, tasks, to),
        }
    }

    /// A regular layer stays, with another operation and with edges of the new graph.
    pub fn replace(&mut self, layer: Layer, body: Body) -> Result<()> {
        let original = layer.original_len();
        let to = Places::From(self.draft.next_piece());
        self.add(layer.meta, original, layer.kept, layer.pieces_per_task, body, to)
    }

    /// Of a regular layer some tasks stay.
    pub fn keep_some(&mut self, layer: Layer, indices: Vec<Range<u32>>) -> Result<()> {
        let original = layer.original_len();
        let Layer { meta, body, pieces_per_task, kept, .. } = layer;
        let Body::Regular { op, inputs } = body else {
            return Err(Error::internal("an explicit layer has no index space"));
        };
        let after = Arc::new(Kept::new(indices, original));
        let start = self.draft.next_piece();
        let to = Places::Some { start, pieces: pieces_per_task, before: kept, after: after.clone() };
        let body = Body::Regular { op, inputs: self.inputs(&inputs)? };
        self.add(meta, original, Some(after), pieces_per_task, body, to)
    }

    /// Of an explicit layer other tasks stand in the place of the old ones. Their reads are pieces of the old graph;
    /// `places` tells for each old piece which of the new layer's it is, or `None`; `kept`, where the layer has an index
    /// space because others read it by patterns, what is left of that.
    pub fn replace_tasks(
        &mut self,
        meta: Meta,
        tasks: Tasks,
        places: Vec<Option<u32>>,
        kept: Option<Arc<Kept>>,
    ) -> Result<()> {
        let start = self.draft.next_piece();
        let each = places.into_iter().map(|place| place.map_or(GONE, |place| start + place)).collect();
        let original = kept.as_ref().map_or(tasks.len(), |kept| kept.of());
        self.explicit(meta, original, kept, tasks, Places::Each(each))
    }

    fn explicit(
        &mut self,
        meta: Meta,
        original: u32,
        kept: Option<Arc<Kept>>,
        mut tasks: Tasks,
        to: Places,
    ) -> Result<()> {
        // Its own pieces are moved before the reads of them are.
        let layer = self.draft.graph().layers().len() as u32;
        self.moved.push(Moved { layer, to });
        let mut reads = Csr::with_capacity(tasks.reads.rows() as usize, tasks.reads.len());
        let mut cursor = 0;
        let mut row = Vec::new();
        for task in 0..tasks.len() {
            row.clear();
            for piece in tasks.reads.row(task) {
                row.push(self.piece(*piece, &mut cursor)?);
            }
            reads.push_row(row.iter().copied());
        }
        tasks.reads = reads;
        let pieces = tasks.even_pieces();
        let _: LayerRef<()> = self.draft.layer(meta, original, kept, pieces, Body::Explicit(tasks))?;
        Ok(())
    }

    fn add(
        &mut self,
        meta: Meta,
        original: u32,
        kept: Option<Arc<Kept>>,
        pieces: u32,
        body: Body,
        to: Places,
    ) -> Result<()> {
        let layer: LayerRef<()> = self.draft.layer(meta, original, kept, pieces, body)?;
        self.moved.push(Moved { layer: layer.layer(), to });
        Ok(())
    }

    /// Where an old piece went. `cursor` is the old layer found last.
    fn piece(&self, old: u32, cursor: &mut usize) -> Result<u32> {
        if !self.old.get(*cursor).is_some_and(|pieces| pieces.contains(&old)) {
            *cursor = self.old.partition_point(|pieces| pieces.end <= old);
        }
        let place = |range: &Range<u32>| old - range.start;
        let found = match (self.old.get(*cursor), self.moved.get(*cursor).map(|moved| &moved.to)) {
            (Some(range), Some(Places::From(start))) => Some(start + place(range)),
            (Some(range), Some(Places::Some { start, pieces, before, after })) => {
                let (task, rest) = (place(range) / pieces, place(range) % pieces);
                let index = before.as_ref().map_or(task, |before| before.index(task));
                after.place(index).map(|task| start + task * pieces + rest)
            }
            (Some(range), Some(Places::Each(each))) => {
                each.get(place(range) as usize).copied().filter(|piece| *piece != GONE)
            }
            _ => None,
        };
        found.ok_or_else(|| Error::internal(format!("piece {old} is needed and was dropped")))
    }

    /// The new graph, with the results of the old one.
    pub fn finish(self) -> Result<Graph> {
        let mut cursor = 0;
        let mut outputs: Vec<Range<u32>> = Vec::with_capacity(self.outputs.len());
        for range in &self.outputs {
            let mut at = range.start;
            while at < range.end {
                let start = self.piece(at, &mut cursor)?;
                // The rest of a range in one layer follows its first piece: an output is never dropped.
                let end = range.end.min(self.old[cursor].end);
                match outputs.last_mut() {
                    Some(last) if at > range.start && last.end == start => last.end += end - at,
                    _ => outputs.push(start..start + (end - at)),
                }
                at = end;
            }
        }
        let results = if self.merged {
            let (apart, again) = distinct(outputs);
            outputs = apart;
            match (self.results, again) {
                (results, None) => results,
                (None, again) => again,
                (Some(results), Some(again)) => {
                    let place = |place: &u32| again.get(*place as usize).copied();
                    let composed: Option<Arc<[u32]>> = results.iter().map(place).collect();
                    Some(composed.ok_or_else(|| Error::internal("a result is no output"))?)
                }
            }
        } else {
            self.results
        };
        let graph = self.draft.finish(outputs);
        Ok(Graph { results, ..graph })
    }
}
