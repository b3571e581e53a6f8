//! Building a graph: layers are added from the sources up, their inputs are typed handles.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use super::explicit::Tasks;
use super::kept::Kept;
use super::layer::{Body, Graph, Input, Layer, LayerOp, Meta};
use super::order::{self, Placing};
use super::pattern::{Extent, Pattern};
use super::wrapped::{Gated, OfKind};
use crate::error::{Error, Result};
use crate::store::Kind;

/// A layer under construction or finished, whose pieces are of type `T`.
pub struct LayerRef<T> {
    layer: u32,
    tasks: u32,
    type_of: PhantomData<fn() -> T>,
}

impl<T> Clone for LayerRef<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for LayerRef<T> {}

impl<T> LayerRef<T> {
    /// Its place in the graph.
    pub fn layer(&self) -> u32 {
        self.layer
    }

    /// Number of tasks.
    pub fn tasks(&self) -> u32 {
        self.tasks
    }

    /// This layer read by a pattern.
    pub fn read(&self, pattern: Pattern) -> Input {
        Input { layer: self.layer, pattern }
    }
}

/// A graph being built.
#[derive(Default)]
pub struct Draft {
    graph: Graph,
    gate: Option<u32>,
}

impl Draft {
    /// An empty one.
    pub fn new() -> Draft {
        Draft::default()
    }

    /// The number the next layer's first piece will have.
    pub fn next_piece(&self) -> u32 {
        self.graph.piece_count()
    }

    /// The layers so far.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// From now on every regular layer that reads nothing waits for the only task of the layer `gate`, which is no input.
    pub fn set_gate(&mut self, gate: Option<u32>) {
        self.gate = gate;
    }

    /// Gives the task of a piece another name and kind where it is the only one of a regular layer; whether it is.
    pub fn describe_only_task(&mut self, piece: u32, name: Option<&str>, kind: Option<&'static dyn Kind>) -> bool {
        let at = self.graph.layer_at_piece(piece);
        let layer = &mut self.graph.layers[at];
        let Body::Regular { op, .. } = &mut layer.body else { return false };
        if layer.pieces.len() != 1 || op.is_barrier() {
            return false;
        }
        if let Some(name) = name {
            layer.meta.name = name.to_string();
        }
        if let Some(kind) = kind {
            *op = Arc::new(OfKind { op: op.clone(), kind });
        }
        true
    }

    /// Adds a regular layer of `tasks` tasks that give one piece of type `T` each.
    pub fn regular<T>(
        &mut self,
        meta: Meta,
        tasks: u32,
        inputs: Vec<Input>,
        op: impl LayerOp + 'static,
    ) -> Result<LayerRef<T>> {
        self.pieces(meta, tasks, 1, inputs, op)
    }

    /// Adds a regular layer whose tasks give `pieces` pieces of type `T` each.
    pub fn pieces<T>(
        &mut self,
        meta: Meta,
        tasks: u32,
        pieces: u32,
        inputs: Vec<Input>,
        op: impl LayerOp + 'static,
    ) -> Result<LayerRef<T>> {
        self.layer(meta, tasks, None, pieces, Body::Regular { op: Arc::new(op), inputs })
    }

    /// Adds a regular layer whose operation others hold too; gives its place.
    pub fn shared(
        &mut self,
        meta: Meta,
        tasks: u32,
        pieces: u32,
        inputs: Vec<Input>,
        op: Arc<dyn LayerOp>,
    ) -> Result<u32> {
        Ok(self.layer::<()>(meta, tasks, None, pieces, Body::Regular { op, inputs })?.layer)
    }

    /// Adds an explicit layer.
    pub fn explicit(&mut self, meta: Meta, tasks: Tasks) -> Result<u32> {
        let pieces = tasks.even_pieces();
        let layer: LayerRef<()> = self.layer(meta, tasks.len(), None, pieces, Body::Explicit(tasks))?;
        Ok(layer.layer)
    }

    /// Adds a layer of `original` tasks, or of those of them that are kept.
    pub(super) fn layer<T>(
        &mut self,
        meta: Meta,
        original: u32,
        kept: Option<Arc<Kept>>,
        pieces: u32,
        body: Body,
    ) -> Result<LayerRef<T>> {
        let tasks = kept.as_ref().map_or(original, |kept| kept.len());
        let body = match (body, self.gate) {
            (Body::Regular { op, inputs }, Some(gate)) if inputs.is_empty() => {
                let inputs = vec![Input { layer: gate, pattern: Pattern::Broadcast }];
                Body::Regular { op: Arc::new(Gated { op }), inputs }
            }
            (Body::Explicit(mut tasks), _) => {
                tasks.note_needs();
                Body::Explicit(tasks)
            }
            (body, _) => body,
        };
        let number = self.graph.layers.len() as u32;
        let first_task = self.graph.task_count();
        let first_piece = self.graph.piece_count();
        let made = match &body {
            Body::Regular { .. } => u64::from(tasks) * u64::from(pieces),
            Body::Explicit(tasks) => u64::from(tasks.pieces()),
        };
        // One value is kept free for "none".
        let most = u64::from(u32::MAX) - 1;
        if u64::from(first_task) + u64::from(tasks) > most || u64::from(first_piece) + made > most {
            return Err(Error::new(
                crate::error::ErrorKind::Plan,
                format!("the graph would have more than {most} tasks at `{}`; use larger chunks", meta.name),
            ));
        }
        let mut layer = Layer {
            meta,
            body,
            tasks: first_task..first_task + tasks,
            pieces: first_piece..first_piece + made as u32,
            pieces_per_task: pieces,
            kept,
            readers: Vec::new(),
            explicit_readers: Vec::new(),
            order: Placing::default(),
        };
        match &layer.body {
            Body::Regular { inputs, .. } => {
                for (slot, input) in inputs.iter().enumerate() {
                    let Some(below) = self.graph.layers.get(input.layer as usize) else {
                        return Err(Error::internal(format!("layer `{}` reads a later one", layer.meta.name)));
                    };
                    let extent = Extent { below: below.original_len(), pieces: below.pieces_per_task, above: original };
                    if !input.pattern.fits(extent) {
                        let (name, lower) = (&layer.meta.name, &below.meta.name);
                        let pattern = &input.pattern;
                        return Err(Error::internal(format!(
                            "`{name}` reads `{lower}` by {pattern:?} over {extent:?}"
                        )));
                    }
                    self.graph.layers[input.layer as usize].readers.push((number, slot as u32));
                }
            }
            Body::Explicit(calls) => {
                // Which layers it reads: each gets the inverse of the edges into it.
                let mut below: Vec<usize> = Vec::new();
                let mut last: Range<u32> = 0..0;
                for piece in calls.reads.rows_flat() {
                    if *piece >= first_piece || last.contains(piece) {
                        continue;
                    }
                    let at = self.graph.layer_at_piece(*piece);
                    last = self.graph.layers[at].pieces.clone();
                    if below.len() == below.capacity() {
                        // Tasks that read two layers in turn name each of them over and over.
                        below.sort_unstable();
                        below.dedup();
                    }
                    below.push(at);
                }
                below.sort_unstable();
                below.dedup();
                for at in below {
                    let lower = &mut self.graph.layers[at];
                    let count = lower.pieces.end - lower.pieces.start;
                    lower.explicit_readers.push(calls.reads.invert(lower.pieces.start, count, first_task));
                }
                if !calls.reads.is_empty() {
                    layer.explicit_readers.push(calls.reads.invert(first_piece, made as u32, first_task));
                }
            }
        }
        self.graph.layers.push(layer);
        Ok(LayerRef { layer: number, tasks, type_of: PhantomData })
    }

    /// The finished graph, with the pieces that are its results. A piece may be named more than once: see
    /// [`Graph::results`].
    pub fn finish(self, outputs: Vec<Range<u32>>) -> Graph {
        let (outputs, results) = distinct(outputs);
        let mut graph = Graph { outputs, results, ..self.graph };
        order::arrange(&mut graph);
        graph
    }
}

/// Names each piece once; where some were named twice, also says which piece each result is. What is wanted of rows without
/// values is dropped: an empty range may begin where another does, and ranges are looked for by their ends.
pub(super) fn distinct(mut outputs: Vec<Range<u32>>) -> (Vec<Range<u32>>, Option<Arc<[u32]>>) {
    outputs.retain(|range| !range.is_empty());
    let apart = |ranges: &[Range<u32>]| ranges.windows(2).all(|pair| pair[0].end <= pair[1].start);
    if apart(&outputs) {
        return (outputs, None);
    }
    let mut sorted: Vec<Range<u32>> = outputs.iter().filter(|range| !range.is_empty()).cloned().collect();
    sorted.sort_unstable_by_key(|range| range.start);
    if apart(&sorted) {
        return (outputs, None);
    }
    let mut places: HashMap<u32, u32> = HashMap::new();
    let mut pieces: Vec<Range<u32>> = Vec::new();
    let mut results = Vec::new();
    for piece in outputs.into_iter().flatten() {
        let next = places.len() as u32;
        let place = *places.entry(piece).or_insert(next);
        results.push(place);
        if place == next {
            match pieces.last_mut() {
                Some(last) if last.end == piece => last.end += 1,
                _ => pieces.push(piece..piece + 1),
            }
        }
    }
    (pieces, Some(results.into()))
}
