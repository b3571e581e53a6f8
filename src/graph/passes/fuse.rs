//! Runs chains as one task.
//!
//! ```text
//! 0 load  100 tasks                     0 sum  100 tasks  = load, half, sum
//! 1 half  100 tasks  <- 0 one-to-one
//! 2 sum   100 tasks  <- 1 one-to-one
//! ```
//!
//! A regular layer goes into the one that reads it if that one reads it one-to-one, nobody else does, it gives one piece
//! per task and none of them is a result. The reader may read other layers too, and several that go into it: what is
//! fused is a tree. What the lower layer reads takes the place of what was read of it. A layer that is a barrier
//! ([`LayerOp::is_barrier`](crate::graph::LayerOp::is_barrier)) or reads one stays alone.
//!
//! In an explicit layer a task goes into its reader if it has one reader, gives one piece that is no result, and the
//! reader reads nothing else.

use std::ops::Range;
use std::sync::Arc;

use super::Pass;
use super::fused::{Argument, FusedCall, FusedOp, Member};
use super::rebuild::Rebuild;
use crate::error::Result;
use crate::graph::explicit::{Call, Tasks};
use crate::graph::layer::{Body, Graph, Input, Layer};
use crate::graph::pattern::{Extent, Pattern};

/// The pass.
pub struct Fuse;

impl Pass for Fuse {
    fn name(&self) -> &'static str {
        "fuse"
    }

    fn run(&self, graph: Graph) -> Result<Graph> {
        let outputs = sorted_outputs(&graph);
        let into = fused_into(&graph, &outputs);
        let chains: Vec<Option<Chains>> = graph.layers.iter().map(|layer| Chains::find(layer, &outputs)).collect();
        if into.iter().all(Option::is_none) && chains.iter().all(Option::is_none) {
            return Ok(graph);
        }

        let trees: Vec<Option<Tree>> = (0..graph.layers.len()).map(|at| Tree::collect(&graph, at, &into)).collect();
        let (mut rebuild, layers) = Rebuild::new(graph);
        for (at, ((layer, tree), chains)) in layers.into_iter().zip(trees).zip(chains).enumerate() {
            if into[at].is_some() {
                rebuild.drop_layer();
            } else if let Some(Tree { op, outer }) = tree {
                let inputs = rebuild.inputs(&outer)?;
                rebuild.replace(layer, Body::Regular { op: Arc::new(op), inputs })?;
            } else if let Some(chains) = chains {
                chains.fuse(&mut rebuild, layer)?;
            } else {
                rebuild.keep(layer)?;
            }
        }
        rebuild.finish()
    }
}

fn sorted_outputs(graph: &Graph) -> Vec<Range<u32>> {
    let mut outputs = graph.outputs.clone();
    if !outputs.is_sorted_by_key(|range| range.start) {
        outputs.sort_unstable_by_key(|range| range.start);
    }
    outputs
}

/// Whether any of some pieces is a result.
fn any_output(outputs: &[Range<u32>], pieces: &Range<u32>) -> bool {
    let at = outputs.partition_point(|range| range.end <= pieces.start);
    outputs[at..].iter().take_while(|range| range.start < pieces.end).any(|range| !range.is_empty())
}

/// Per layer the reader it goes into.
fn fused_into(graph: &Graph, outputs: &[Range<u32>]) -> Vec<Option<u32>> {
    let barrier = |layer: &Layer| matches!(&layer.body, Body::Regular { op, .. } if op.is_barrier());
    let alone: Vec<bool> = graph
        .layers
        .iter()
        .map(|layer| match &layer.body {
            Body::Explicit(_) => true,
            Body::Regular { inputs, .. } => {
                barrier(layer) || inputs.iter().any(|input| barrier(&graph.layers[input.layer as usize]))
            }
        })
        .collect();
    let reader = |(at, layer): (usize, &Layer)| {
        let (first, _) = layer.readers.first()?;
        let above = &graph.layers[*first as usize];
        let one_to_one = layer.readers.iter().all(|(reader, slot)| match &above.body {
            Body::Regular { inputs, .. } => reader == first && inputs[*slot as usize].pattern == Pattern::OneToOne,
            Body::Explicit(_) => false,
        });
        let fits = one_to_one
            && !alone[at]
            && !alone[*first as usize]
            && layer.explicit_readers.is_empty()
            && layer.pieces_per_task == 1
            && !layer.is_empty()
            && layer.kept == above.kept
            && !any_output(outputs, &layer.pieces);
        fits.then_some(*first)
    };
    graph.layers.iter().enumerate().map(reader).collect()
}

/// A layer with all that goes into it.
struct Tree {
    op: FusedOp,
    /// What it reads, by layers of the old graph.
    outer: Vec<Input>,
}

/// A layer of which some inputs were looked at.
struct Open {
    layer: u32,
    slot: usize,
    arguments: Vec<Argument>,
}

impl Tree {
    /// The tree that ends in layer `root`, if anything goes into it. From the inputs up, those of each layer in order.
    fn collect(graph: &Graph, root: usize, into: &[Option<u32>]) -> Option<Tree> {
        let inputs_of = |layer: u32| match &graph.layers[layer as usize].body {
            Body::Regular { inputs, .. } => &inputs[..],
            Body::Explicit(_) => &[],
        };
        let inside = |layer: u32| into[layer as usize].is_some();
        if into[root].is_some() || !inputs_of(root as u32).iter().any(|input| inside(input.layer)) {
            return None;
        }
        let mut outer: Vec<Input> = Vec::new();
        let mut extents: Vec<(Pattern, Extent)> = Vec::new();
        let mut members: Vec<Member> = Vec::new();
        let mut open = vec![Open { layer: root as u32, slot: 0, arguments: Vec::new() }];
        while let Some(top) = open.last_mut() {
            let layer = &graph.layers[top.layer as usize];
            if let Some(input) = inputs_of(top.layer).get(top.slot) {
                top.slot += 1;
                let again = inputs_of(top.layer)[..top.slot - 1].iter().position(|other| other.layer == input.layer);
                match again.filter(|_| inside(input.layer)) {
                    Some(before) => {
                        let same = top.arguments[before];
                        top.arguments.push(same);
                    }
                    None if inside(input.layer) => {
                        open.push(Open { layer: input.layer, slot: 0, arguments: Vec::new() });
                    }
                    None => {
                        top.arguments.push(Argument::Outer(outer.len() as u32));
                        outer.push(*input);
                        extents.push((input.pattern, graph.extent(layer, *input)));
                    }
                }
                continue;
            }
            let Some(Open { arguments, .. }) = open.pop() else { break };
            let Body::Regular { op, .. } = &layer.body else { return None };
            let many = layer.original_len() > 1;
            members.push(Member::new(op.clone(), layer.meta.clone(), many, arguments));
            if let Some(reader) = open.last_mut() {
                reader.arguments.push(Argument::Member(members.len() as u32 - 1));
            }
        }
        Some(Tree { op: FusedOp::new(members, extents)?, outer })
    }
}

/// The chains of an explicit layer.
struct Chains {
    /// Per task the one that goes into it.
    before: Vec<u32>,
    /// Per task whether it goes into another.
    inside: Vec<bool>,
}

const NONE: u32 = u32::MAX;

impl Chains {
    /// The chains of a layer, if there are any.
    fn find(layer: &Layer, outputs: &[Range<u32>]) -> Option<Chains> {
        let Body::Explicit(tasks) = &layer.body else { return None };
        if tasks.reads.is_empty() || !layer.readers.is_empty() {
            return None;
        }
        let mut found: Option<Chains> = None;
        for task in 0..tasks.len() {
            // From the reader: it reads one piece, and that is of this layer.
            let [piece] = tasks.reads(task) else { continue };
            let Some(place) = piece.checked_sub(layer.pieces.start) else { continue };
            let readers: usize = layer.explicit_readers.iter().map(|readers| readers.row(place).len()).sum();
            if readers != 1 {
                continue;
            }
            let source = tasks.task_of(place);
            if tasks.pieces_of(source).len() == 1 && !any_output(outputs, &(*piece..*piece + 1)) {
                let len = tasks.len() as usize;
                let chains = found.get_or_insert_with(|| Chains { before: vec![NONE; len], inside: vec![false; len] });
                chains.before[task as usize] = source;
                chains.inside[source as usize] = true;
            }
        }
        found
    }

    /// Writes the layer anew, each chain in the place of its last task.
    fn fuse(self, rebuild: &mut Rebuild, layer: Layer) -> Result<()> {
        let Layer { meta, body: Body::Explicit(old), .. } = layer else { return rebuild.keep(layer) };
        let left = self.inside.iter().filter(|inside| !**inside).count();
        let mut tasks = Tasks::with_capacity(left, old.reads.len());
        let mut places = vec![None; old.pieces() as usize];
        let mut chain: Vec<u32> = Vec::new();
        for last in (0..old.len()).filter(|task| !self.inside[*task as usize]) {
            chain.clear();
            let mut at = last;
            while at != NONE {
                chain.push(at);
                at = self.before[at as usize];
            }
            let pieces = old.pieces_of(last);
            let members = chain.iter().rev().map(|task| old.call(*task).clone());
            let fused = if chain.len() > 1 { FusedCall::new(members) } else { None };
            let call = fused.map_or_else(|| old.call(last).clone(), |fused| Arc::new(fused) as Arc<dyn Call>);
            let first = chain.last().copied().unwrap_or(last);
            let place = tasks.push(call, old.reads(first).iter().copied(), pieces.len() as u32);
            for (at, piece) in pieces.enumerate() {
                places[piece as usize] = Some(place + at as u32);
            }
        }
        rebuild.replace_tasks(meta, tasks, places)
    }
}
