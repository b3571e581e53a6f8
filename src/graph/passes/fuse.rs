//! Runs chains as one task.
//!
//! ```text
//! 0 load  100 tasks                     0 sum  100 tasks  = load, half, sum
//! 1 half  100 tasks  <- 0 one-to-one
//! 2 sum   100 tasks  <- 1 one-to-one
//! ```
//!
//! A regular layer goes into the one that reads it if that one reads it one-to-one, nobody else does, it gives one piece
//! per task and none of them is a result. The reader may read other layers too, and several may go into it; a layer with
//! several readers goes with them if all of them go into the same one. What the lower layer reads takes the place of what was read of it. A layer that is a barrier
//! ([`LayerOp::is_barrier`](crate::graph::LayerOp::is_barrier)) or reads one stays alone.
//!
//! In an explicit layer a task goes into its reader if it has one reader, gives one piece that is no result, and the
//! reader reads nothing else.

use std::collections::HashMap;
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
        let stays = |at: usize| into[at] == at as u32;
        if (0..into.len()).all(stays) && chains.iter().all(Option::is_none) {
            return Ok(graph);
        }

        let trees: Vec<Option<Region>> = (0..graph.layers.len()).map(|at| Region::collect(&graph, at, &into)).collect();
        let (mut rebuild, layers) = Rebuild::new(graph);
        for (at, ((layer, tree), chains)) in layers.into_iter().zip(trees).zip(chains).enumerate() {
            if into[at] != at as u32 {
                rebuild.drop_layer();
            } else if let Some(Region { op, outer }) = tree {
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

/// Per layer the one it goes into; itself where it stays.
fn fused_into(graph: &Graph, outputs: &[Range<u32>]) -> Vec<u32> {
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
    // From the readers down: a layer goes where all its readers went, so that a fork that joins again is fused as well.
    let mut root: Vec<u32> = (0..graph.layers.len() as u32).collect();
    for (at, layer) in graph.layers.iter().enumerate().rev() {
        let Some((first, _)) = layer.readers.first() else { continue };
        let into = root[*first as usize];
        let above = &graph.layers[into as usize];
        let one_to_one = layer.readers.iter().all(|(reader, slot)| match &graph.layers[*reader as usize].body {
            Body::Regular { inputs, .. } => {
                root[*reader as usize] == into && inputs[*slot as usize].pattern == Pattern::OneToOne
            }
            Body::Explicit(_) => false,
        });
        let fits = one_to_one
            && !alone[at]
            && !alone[into as usize]
            && layer.explicit_readers.is_empty()
            && layer.pieces_per_task == 1
            && !layer.is_empty()
            && layer.kept == above.kept
            && !any_output(outputs, &layer.pieces);
        if fits {
            root[at] = into;
        }
    }
    root
}

/// A layer with all that goes into it.
struct Region {
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

impl Region {
    /// What ends in layer `root`, if anything goes into it. From the inputs up, those of each layer in order.
    fn collect(graph: &Graph, root: usize, into: &[u32]) -> Option<Region> {
        let inputs_of = |layer: u32| match &graph.layers[layer as usize].body {
            Body::Regular { inputs, .. } => &inputs[..],
            Body::Explicit(_) => &[],
        };
        let inside = |layer: u32| into[layer as usize] == root as u32;
        if !inside(root as u32) || !inputs_of(root as u32).iter().any(|input| inside(input.layer)) {
            return None;
        }
        let mut outer: Vec<Input> = Vec::new();
        let mut extents: Vec<(Pattern, Extent)> = Vec::new();
        let mut members: Vec<Member> = Vec::new();
        // Members by layer; what goes into this one goes nowhere else, so that each is met here only.
        let mut made: HashMap<u32, u32> = HashMap::new();
        let mut open = vec![Open { layer: root as u32, slot: 0, arguments: Vec::new() }];
        while let Some(top) = open.last_mut() {
            let layer = &graph.layers[top.layer as usize];
            if let Some(input) = inputs_of(top.layer).get(top.slot) {
                top.slot += 1;
                match made.get(&input.layer) {
                    Some(member) => top.arguments.push(Argument::Member(*member)),
                    None if inside(input.layer) => {
                        open.push(Open { layer: input.layer, slot: 0, arguments: Vec::new() });
                    }
                    None => {
                        top.arguments.push(Argument::Outer(outer.len() as u32));
                        outer.push(input.clone());
                        extents.push((input.pattern.clone(), graph.extent(layer, input)));
                    }
                }
                continue;
            }
            let Some(Open { layer: number, arguments, .. }) = open.pop() else { break };
            let Body::Regular { op, .. } = &layer.body else { return None };
            let many = layer.original_len() > 1;
            made.insert(number, members.len() as u32);
            if let Some(reader) = open.last_mut() {
                reader.arguments.push(Argument::Member(members.len() as u32));
            }
            members.push(Member { op: op.clone(), meta: layer.meta.clone(), many, arguments });
        }
        Some(Region { op: FusedOp::new(members, extents)?, outer })
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
        // No layer reads it by a pattern: it needs no index space.
        rebuild.replace_tasks(meta, tasks, places, None)
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "lists of ranges are meant")]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::graph::Draft;
    use crate::graph::testing::{Mix, add, add_layer, arc, before_after, evaluate, meta, pieces, text};
    use crate::schedule::Topology;

    const SAME: Pattern = Pattern::OneToOne;

    #[test]
    fn a_chain() {
        let mut draft = Draft::new();
        let load = add(&mut draft, "load", 9, &[]);
        let half = add(&mut draft, "half", 9, &[(load, SAME)]);
        let sum = add(&mut draft, "sum", 9, &[(half, SAME)]);
        let total = add(&mut draft, "total", 3, &[(sum, Pattern::Tree { fan: 3 })]);
        let outputs = vec![pieces(&draft, total)];
        insta::assert_snapshot!(before_after(&Fuse, draft.finish(outputs)), @"
        0 load  9 tasks
        1 half  9 tasks <- 0 one-to-one
        2 sum   9 tasks <- 1 one-to-one
        3 total 3 tasks <- 2 tree of 3
        results: 3
        --
        0 sum   9 tasks = load, half, sum
        1 total 3 tasks <- 0 tree of 3
        results: 1
        ");
    }

    /// Operands go into what reads them, in the place of the slot; what is read by another pattern does not.
    #[test]
    fn a_fork_that_joins() {
        let mut draft = Draft::new();
        let shared = add(&mut draft, "shared", 4, &[]);
        let wide = add(&mut draft, "wide", 4, &[]);
        let blur = add(&mut draft, "blur", 4, &[(wide, Pattern::Stencil { before: 1, after: 1 }), (shared, SAME)]);
        let one = add(&mut draft, "one", 1, &[]);
        let scale = add(&mut draft, "scale", 4, &[(one, Pattern::Broadcast), (shared, SAME)]);
        let square = add(&mut draft, "square", 4, &[(scale, SAME), (scale, SAME)]);
        let add_up = add(&mut draft, "add", 4, &[(shared, SAME), (blur, SAME), (square, SAME), (one, Pattern::All)]);
        let outputs = vec![pieces(&draft, add_up)];
        insta::assert_snapshot!(before_after(&Fuse, draft.finish(outputs)), @"
        0 shared 4 tasks
        1 wide   4 tasks
        2 blur   4 tasks <- 1 stencil -1+1, 0 one-to-one
        3 one    1 task
        4 scale  4 tasks <- 3 broadcast, 0 one-to-one
        5 square 4 tasks <- 4 one-to-one, 4 one-to-one
        6 add    4 tasks <- 0 one-to-one, 2 one-to-one, 5 one-to-one, 3 all
        results: 6
        --
        0 wide 4 tasks
        1 one  1 task
        2 add  4 tasks <- 0 stencil -1+1, 1 broadcast, 1 all = shared, blur, scale, square, add
        results: 2
        ");
    }

    /// Shared layers, results, exchanges and layers of several pieces stay.
    #[test]
    fn nothing_to_do() {
        let mut draft = Draft::new();
        let shared = add(&mut draft, "shared", 2, &[]);
        let left = add(&mut draft, "left", 2, &[(shared, SAME)]);
        let right = add(&mut draft, "right", 2, &[(shared, SAME)]);
        let after = add(&mut draft, "after", 2, &[(right, SAME)]);
        let source = add(&mut draft, "source", 1, &[]);
        let input = vec![Input { layer: source, pattern: SAME }];
        let seal = add_layer(&mut draft, "seal", 1, input, Mix { barrier: true, ..Mix::default() });
        let split = add(&mut draft, "split", 1, &[(seal, SAME)]);
        let end = add(&mut draft, "end", 1, &[(split, SAME)]);
        let two = add_layer(&mut draft, "two", 1, Vec::new(), Mix { pieces: 2, ..Mix::default() });
        let all = add(&mut draft, "all", 1, &[(two, Pattern::All)]);
        let outputs = [left, right, after, end, all].map(|layer| pieces(&draft, layer)).to_vec();
        insta::assert_snapshot!(before_after(&Fuse, draft.finish(outputs)), @"
        0 shared 2 tasks
        1 left   2 tasks <- 0 one-to-one
        2 right  2 tasks <- 0 one-to-one
        3 after  2 tasks <- 2 one-to-one
        4 source 1 task
        5 seal   1 task <- 4 one-to-one, barrier
        6 split  1 task <- 5 one-to-one
        7 end    1 task <- 6 one-to-one
        8 two    1 task, 2 pieces
        9 all    1 task <- 8 all
        results: 1, 2, 3, 7, 9
        (untouched)
        ");
    }

    #[test]
    fn calls() {
        let mut draft = Draft::new();
        let mut tasks = Tasks::with_capacity(0, 0);
        let call = |name: &str, pieces: u32| arc(Mix { name: name.to_string(), pieces, ..Mix::default() });
        tasks.push(call("load", 1), [], 1);
        tasks.push(call("parse", 1), [0], 1);
        tasks.push(call("split", 2), [1], 2);
        tasks.push(call("left", 1), [2], 1);
        tasks.push(call("right", 1), [3], 1);
        tasks.push(call("twice", 1), [4, 4], 1);
        tasks.push(call("result", 1), [5], 1);
        tasks.push(call("end", 1), [7], 1);
        tasks.push(call("join", 1), [8, 6], 1);
        draft.explicit(meta("calls"), tasks).unwrap();
        let graph = draft.finish(vec![7..8, 9..10]);
        insta::assert_snapshot!(before_after(&Fuse, graph), @"
        0 calls 9 tasks, 10 pieces, 10 edges: load, parse, split, left, right, twice, … 9 in all
        results: 0[7..8], 0[9..10]
        --
        0 calls 6 tasks, 7 pieces, 7 edges: split (3 fused), left, twice, result (2 fused), end, join
        results: 0[4..5], 0[6..7]
        ");
    }

    /// The error of a member names the member, in regular and in explicit layers.
    #[test]
    fn errors_and_panics_name_the_member() {
        for panics in [false, true] {
            let kind = if panics { ErrorKind::Panic } else { ErrorKind::Task };
            let mut draft = Draft::new();
            let load = add(&mut draft, "load", 5, &[]);
            let input = |layer| vec![Input { layer, pattern: SAME }];
            let bad = add_layer(&mut draft, "bad", 5, input(load), Mix { fails: Some(3), panics, ..Mix::default() });
            let end = add(&mut draft, "end", 5, &[(bad, SAME)]);
            let outputs = vec![pieces(&draft, end)];
            let fused = Fuse.run(draft.finish(outputs)).unwrap();
            assert_eq!(fused.layers().len(), 1);
            let error = evaluate(&fused).unwrap_err();
            assert_eq!((error.kind(), error.task().unwrap().to_string().as_str()), (kind, "bad #3"));
            assert_eq!(error.frames()[0].verb, "map");

            let mut draft = Draft::new();
            let mut tasks = Tasks::with_capacity(0, 0);
            tasks.push(arc(Mix { name: "first".to_string(), fails: Some(0), panics, ..Mix::default() }), [], 1);
            tasks.push(arc(Mix::default()), [0], 1);
            draft.explicit(meta("calls"), tasks).unwrap();
            let fused = Fuse.run(draft.finish(vec![1..2])).unwrap();
            let error = evaluate(&fused).unwrap_err();
            assert_eq!((error.kind(), error.task().unwrap().to_string().as_str()), (kind, "first"));
            assert_eq!(error.frames()[0].verb, "delayed");
        }
    }

    /// Of a chain the pieces of two members are held at a time.
    #[test]
    fn needs_and_keys() {
        let mut draft = Draft::new();
        let mut last = None;
        for (seed, need) in [5, 100, 20, 90].into_iter().enumerate() {
            let input = last.map(|layer| Input { layer, pattern: SAME }).into_iter().collect();
            let op = Mix { need, seed: seed as u64, key: true, ..Mix::default() };
            last = Some(add_layer(&mut draft, "step", 2, input, op));
        }
        let outputs = vec![pieces(&draft, 3)];
        let fused = Fuse.run(draft.finish(outputs)).unwrap();
        assert_eq!(fused.need(0), 120);
        let Body::Regular { op, .. } = &fused.layers()[0].body else { panic!("it is regular") };
        let key = op.content_key().unwrap();
        assert!(key.contains("mix 0 ") && key.contains("mix 3 "), "{key}");
        assert!(text(&fused).contains("= step ×4"), "{}", text(&fused));
    }

    /// A chain of a million calls is one task; running and dropping it does not recurse.
    #[test]
    fn a_long_chain() {
        let n = 1_000_000u32;
        let mut draft = Draft::new();
        let mut tasks = Tasks::with_capacity(n as usize, n as usize);
        let call = arc(Mix::default());
        (0..n).for_each(|task| {
            tasks.push(call.clone(), task.checked_sub(1), 1);
        });
        draft.explicit(meta("calls"), tasks).unwrap();
        let fused = Fuse.run(draft.finish(vec![n - 1..n])).unwrap();
        assert_eq!(fused.task_count(), 1);
        assert!(text(&fused).contains("mix (1000000 fused)"));
        assert_eq!(evaluate(&fused).unwrap().len(), 1);
    }
}
