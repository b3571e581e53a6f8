//! Layers, and the graph made of them.

use std::ops::Range;
use std::sync::Arc;

use super::explicit::{Call, Csr, Tasks};
use super::kept::Kept;
use super::order::Placing;
use super::pattern::{Extent, Pattern};
use super::task::{Inputs, Outputs, TaskContext};
use crate::error::Result;
use crate::origin::Origin;
use crate::schedule::Expansion;
use crate::store::Kind;

/// The operation of a regular layer.
pub trait LayerOp: Send + Sync {
    /// Runs task `index`. The inputs stand in the order of the layer's [`Input`]s.
    fn run(&self, context: &TaskContext<'_>, index: u32, inputs: &mut Inputs<'_>, out: &mut Outputs<'_>) -> Result<()>;

    /// What the engine knows about the pieces.
    fn kind(&self) -> &'static dyn Kind;

    /// Bytes a task needs beside its inputs, as far as known before the run: outputs and scratch memory.
    fn need(&self, index: u32) -> u64 {
        let _ = index;
        0
    }

    /// Whether [`LayerOp::need`] is the same for all tasks, so that it is asked for once.
    fn needs_alike(&self) -> bool {
        true
    }

    /// If this layer seals an exchange: how the tasks of the layer that reads it are to be split, as a pure function of
    /// what [`Outputs::count`] was given. `(task, parts)` by place in that layer.
    fn expand(&self, counted: &[u64]) -> Vec<(u32, u32)> {
        let _ = counted;
        Vec::new()
    }

    /// Runs part `part` of task `index`, where an exchange split it.
    fn run_part(
        &self,
        context: &TaskContext<'_>,
        index: u32,
        part: u32,
        inputs: &mut Inputs<'_>,
        out: &mut Outputs<'_>,
    ) -> Result<()> {
        let _ = (context, index, part, inputs, out);
        Err(crate::error::Error::internal("a task was split whose layer has no parts"))
    }

    /// What the engine knows about the pieces of parts.
    fn part_kind(&self) -> &'static dyn Kind {
        self.kind()
    }

    /// A key that is equal for operations that are equal as plain data, so that two layers doing the same are merged.
    /// Closures and sources in memory have none. Operations that share a state of the run give a key all or none.
    fn content_key(&self) -> Option<String> {
        None
    }

    /// Whether the layer has to stay as it is, because it seals an exchange or belongs to one: neither it nor a layer
    /// that reads it is fused with another.
    fn is_barrier(&self) -> bool {
        false
    }

    /// What was fused into this operation, in the order in which it runs.
    fn members(&self) -> &[Meta] {
        &[]
    }
}

/// What a layer is called and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The name in errors, profile and drawings.
    pub name: String,
    /// The verb of the public API.
    pub verb: &'static str,
    /// The user's line.
    pub origin: Origin,
}

/// An edge between layers: the layer below, and how its pieces are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The layer below, by its place in the graph.
    pub layer: u32,
    /// How it is read.
    pub pattern: Pattern,
}

/// What a layer does.
#[derive(Clone)]
pub enum Body {
    /// One operation over an index space.
    Regular {
        /// The operation.
        op: Arc<dyn LayerOp>,
        /// What it reads.
        inputs: Vec<Input>,
    },
    /// A call for each task.
    Explicit(Tasks),
}

/// A layer of a graph.
#[derive(Clone)]
pub struct Layer {
    /// Name and origin.
    pub meta: Meta,
    /// What it does.
    pub body: Body,
    /// Its tasks, by their numbers in the graph.
    pub tasks: Range<u32>,
    /// Its pieces, by their numbers in the graph.
    pub pieces: Range<u32>,
    /// Pieces per task; in an explicit layer 1, or 0 where the tasks differ.
    pub pieces_per_task: u32,
    /// What is left of a layer that was culled; of an explicit one only where others read it by patterns.
    pub(super) kept: Option<Arc<Kept>>,
    /// Layers that read this one by a pattern: layer, and which of its inputs.
    pub(super) readers: Vec<(u32, u32)>,
    /// Explicit layers that read this one: per piece the tasks, by their numbers in the graph.
    pub(super) explicit_readers: Vec<Csr>,
    /// Where it stands in the static order.
    pub(super) order: Placing,
}

impl Layer {
    /// Number of tasks.
    pub fn len(&self) -> u32 {
        self.tasks.end - self.tasks.start
    }

    /// Whether it has no tasks.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Number of tasks before culling: the index space its operation and patterns speak of.
    pub fn original_len(&self) -> u32 {
        self.kept.as_ref().map_or(self.len(), |kept| kept.of())
    }

    /// What culling left of a regular layer; `None` where that is all.
    pub fn kept(&self) -> Option<&Kept> {
        self.kept.as_deref()
    }

    /// The index by which the operation knows the task at a place in the layer.
    pub fn index(&self, place: u32) -> u32 {
        self.kept.as_ref().map_or(place, |kept| kept.index(place))
    }

    /// The place of the task that the operation knows by an index, if it was not culled.
    pub fn place(&self, index: u32) -> Option<u32> {
        match &self.kept {
            None => (index < self.len()).then_some(index),
            Some(kept) => kept.place(index),
        }
    }

    /// The pieces that one of its tasks gives.
    #[inline]
    pub fn pieces_of(&self, task: u32) -> Range<u32> {
        let index = task - self.tasks.start;
        let own = match (self.pieces_per_task, &self.body) {
            (0, Body::Explicit(tasks)) => tasks.pieces_of(index),
            (each, _) => index * each..(index + 1) * each,
        };
        self.pieces.start + own.start..self.pieces.start + own.end
    }

    /// Reads a little of what a task is, and gives a number that means nothing. Tasks of explicit layers may lie anywhere in
    /// memory: when some are asked for together, they are waited for together.
    #[inline]
    pub(crate) fn warm(&self, task: u32) -> usize {
        match &self.body {
            Body::Regular { .. } => 0,
            Body::Explicit(tasks) => Arc::strong_count(&tasks.calls[(task - self.tasks.start) as usize]),
        }
    }

    /// Runs one of its tasks, or, of a task that an exchange split, a part.
    pub(crate) fn run(
        &self,
        task: u32,
        part: Option<u32>,
        context: &TaskContext<'_>,
        inputs: &mut Inputs<'_>,
        out: &mut Outputs<'_>,
    ) -> Result<()> {
        let index = task - self.tasks.start;
        match (&self.body, part) {
            (Body::Regular { op, .. }, None) => op.run(context, self.index(index), inputs, out),
            (Body::Regular { op, .. }, Some(part)) => op.run_part(context, self.index(index), part, inputs, out),
            (Body::Explicit(tasks), None) => tasks.calls[index as usize].call(context, inputs, out),
            (Body::Explicit(_), Some(_)) => Err(crate::error::Error::internal("a task of an explicit layer was split")),
        }
    }

    /// What the engine knows about piece number `place` of one of its tasks.
    pub(crate) fn kind_of(&self, task: u32, place: u32) -> &'static dyn Kind {
        match &self.body {
            Body::Regular { op, .. } => op.kind(),
            Body::Explicit(tasks) => tasks.calls[(task - self.tasks.start) as usize].kind(place),
        }
    }

    /// The bytes of each piece of its tasks, where they are known to be the same.
    pub(crate) fn even_bytes(&self) -> Option<u64> {
        match &self.body {
            Body::Regular { op, .. } => op.kind().even_bytes(),
            Body::Explicit(_) => None,
        }
    }

    /// What the engine knows about the pieces of the parts of one of its tasks.
    pub(crate) fn part_kind(&self, owner: u32) -> &'static dyn Kind {
        match &self.body {
            Body::Regular { op, .. } => op.part_kind(),
            Body::Explicit(_) => self.kind_of(owner, 0),
        }
    }
}

/// Layers with their edges; the layers stand in an order in which each reads only earlier ones or itself.
#[derive(Clone, Default)]
pub struct Graph {
    pub(super) layers: Vec<Layer>,
    /// The pieces that are the results; no range is empty.
    pub(super) outputs: Vec<Range<u32>>,
    /// Per result its place among the output pieces; none where result `n` is output piece `n`.
    pub(super) results: Option<Arc<[u32]>>,
}

impl Graph {
    /// The layers, in topological order.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The pieces that are results, each once, in the order in which they were first asked for.
    pub fn outputs(&self) -> &[Range<u32>] {
        &self.outputs
    }

    /// Per result its place among the output pieces, where results share pieces; `None` where result number `n` simply
    /// is output piece number `n`.
    pub fn results(&self) -> Option<&[u32]> {
        self.results.as_deref()
    }

    /// Number of results.
    pub fn result_count(&self) -> u32 {
        match &self.results {
            Some(results) => results.len() as u32,
            None => self.outputs.iter().map(|range| range.len() as u32).sum(),
        }
    }

    /// Number of tasks.
    pub fn task_count(&self) -> u32 {
        self.layers.last().map_or(0, |layer| layer.tasks.end)
    }

    /// Number of pieces.
    pub fn piece_count(&self) -> u32 {
        self.layers.last().map_or(0, |layer| layer.pieces.end)
    }

    /// The layer of a task, by its place.
    #[inline]
    pub fn layer_at(&self, task: u32) -> usize {
        self.layers.partition_point(|layer| layer.tasks.end <= task)
    }

    /// The layer of a piece, by its place.
    pub(super) fn layer_at_piece(&self, piece: u32) -> usize {
        self.layers.partition_point(|layer| layer.pieces.end <= piece)
    }

    pub(super) fn extent(&self, above: &Layer, input: &Input) -> Extent {
        let below = &self.layers[input.layer as usize];
        Extent { below: below.original_len(), pieces: below.pieces_per_task, above: above.original_len() }
    }

    /// What the engine knows about a piece.
    pub(crate) fn kind(&self, piece: u32) -> &'static dyn Kind {
        let layer = &self.layers[self.layer_at_piece(piece)];
        match &layer.body {
            Body::Regular { op, .. } => op.kind(),
            Body::Explicit(tasks) => {
                let piece = piece - layer.pieces.start;
                let task = tasks.task_of(piece);
                tasks.calls[task as usize].kind(piece - tasks.pieces_of(task).start)
            }
        }
    }

    /// The task that gives a piece.
    pub fn task_giving(&self, piece: u32) -> u32 {
        crate::schedule::Topology::task_of(self, piece)
    }

    /// Name of a task, and its index where its layer has more than one; its verb and origin.
    pub fn describe(&self, task: u32) -> (String, Option<u64>, &'static str, Origin) {
        let layer = &self.layers[self.layer_at(task)];
        let index = task - layer.tasks.start;
        match &layer.body {
            Body::Regular { .. } => {
                let index = (layer.original_len() > 1).then(|| u64::from(layer.index(index)));
                (layer.meta.name.clone(), index, layer.meta.verb, layer.meta.origin)
            }
            Body::Explicit(tasks) => {
                let call: &dyn Call = &*tasks.calls[index as usize];
                (call.name().to_string(), None, call.verb(), call.origin())
            }
        }
    }

    /// As [`Graph::describe`], but of a chain of calls that were fused the first, which alone reads what the task reads.
    pub fn describe_reader(&self, task: u32) -> (String, Option<u64>, &'static str, Origin) {
        let layer = &self.layers[self.layer_at(task)];
        if let Body::Explicit(tasks) = &layer.body
            && let Some(first) = tasks.calls[(task - layer.tasks.start) as usize].members().first()
        {
            return (first.name().to_string(), None, first.verb(), first.origin());
        }
        self.describe(task)
    }

    pub(super) fn expansions(&self, task: u32, counted: &[u64], out: &mut Vec<Expansion>) {
        let at = self.layer_at(task);
        let Body::Regular { op, .. } = &self.layers[at].body else { return };
        for (index, parts) in op.expand(counted) {
            let reader = self.layers[at].readers.first().map(|(layer, _)| &self.layers[*layer as usize]);
            let place = reader.and_then(|layer| Some(layer.tasks.start + layer.place(index)?));
            out.extend(place.map(|task| Expansion { task, parts }));
        }
    }
}
