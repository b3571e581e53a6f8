//! Drops layers and tasks that no result needs.
//!
//! ```text
//! 0 load   1000 tasks                    0 load     10 of 1000 tasks
//! 1 half   1000 tasks  <- 0 one-to-one   1 half     10 of 1000 tasks  <- 0 one-to-one
//! 2 other  1000 tasks  <- 0 one-to-one
//! results: 1[0..10]                      results: 1[0..10]
//! ```
//!
//! What is needed goes backwards through the patterns as ranges of indices. A regular layer keeps its index space and
//! its patterns and only notes which indices are left ([`Kept`](crate::graph::Kept)); an explicit one is written anew.
//! A task of which one piece is needed stays with all its pieces: what nobody reads is dropped the moment it is made.

use std::ops::Range;

use super::Pass;
use super::rebuild::Rebuild;
use crate::error::Result;
use crate::graph::explicit::Tasks;
use crate::graph::kept::join_ranges;
use crate::graph::layer::{Body, Graph, Layer};

/// The pass.
pub struct Cull;

impl Pass for Cull {
    fn name(&self) -> &'static str {
        "cull"
    }

    fn run(&self, graph: Graph) -> Result<Graph> {
        let needed = needed(&graph);
        if needed.iter().all(|needed| matches!(needed, Needed::All)) {
            return Ok(graph);
        }
        let (mut rebuild, layers) = Rebuild::new(graph);
        for (layer, needed) in layers.into_iter().zip(needed) {
            match needed {
                Needed::None => rebuild.drop_layer(),
                Needed::All => rebuild.keep(layer)?,
                Needed::Indices(indices) => rebuild.keep_some(layer, indices)?,
                Needed::Tasks(keep) => compact(&mut rebuild, layer, &keep)?,
            }
        }
        rebuild.finish()
    }
}

/// Which tasks of a layer are needed.
enum Needed {
    None,
    All,
    /// Of a regular layer, by original index.
    Indices(Vec<Range<u32>>),
    /// Of an explicit layer, one by one.
    Tasks(Vec<bool>),
}

/// What is known of a layer's use before it is its turn.
#[derive(Clone, Default)]
struct Wanted {
    all: bool,
    /// Some layer that stays reads it, be it no task.
    read: bool,
    /// Original indices.
    indices: Vec<Range<u32>>,
}

fn needed(graph: &Graph) -> Vec<Needed> {
    let mut wanted = vec![Wanted::default(); graph.layers.len()];
    for range in graph.outputs.iter().filter(|range| !range.is_empty()) {
        let mut at = graph.layer_at_piece(range.start);
        while let Some(layer) = graph.layers.get(at).filter(|layer| layer.pieces.start < range.end) {
            if range.start <= layer.pieces.start && layer.pieces.end <= range.end {
                wanted[at].all = true;
            } else {
                let start = range.start.max(layer.pieces.start) - layer.pieces.start;
                let last = range.end.min(layer.pieces.end) - layer.pieces.start - 1;
                want_places(layer, task_of(layer, start)..task_of(layer, last) + 1, &mut wanted[at].indices);
            }
            at += 1;
        }
    }

    let mut needed: Vec<Needed> = Vec::with_capacity(graph.layers.len());
    needed.resize_with(graph.layers.len(), || Needed::None);
    for (at, layer) in graph.layers.iter().enumerate().rev() {
        let Wanted { mut all, read, mut indices } = std::mem::take(&mut wanted[at]);
        if all {
            indices.clear();
        }
        join_ranges(&mut indices);
        needed[at] = match &layer.body {
            Body::Explicit(tasks) => of_explicit(graph, at, tasks, all, &indices, &needed),
            Body::Regular { .. } => {
                if !all && !layer.explicit_readers.is_empty() {
                    for place in 0..layer.len() {
                        let pieces = place * layer.pieces_per_task..(place + 1) * layer.pieces_per_task;
                        if pieces.into_iter().any(|piece| explicit_reader_needed(graph, at, layer, piece, &needed)) {
                            want_places(layer, place..place + 1, &mut indices);
                        }
                    }
                    join_ranges(&mut indices);
                }
                let count: u32 = indices.iter().map(|range| range.end - range.start).sum();
                all |= count == layer.len() && count > 0;
                match (all, indices.is_empty()) {
                    (true, _) => Needed::All,
                    // Nothing of it is read, and yet a layer that stays refers to it: it has no tasks.
                    (false, true) if read => Needed::All,
                    (false, true) => Needed::None,
                    (false, false) => Needed::Indices(indices),
                }
            }
        };
        let Body::Regular { inputs, .. } = &layer.body else { continue };
        for input in inputs {
            let extent = graph.extent(layer, *input);
            let below = &mut wanted[input.layer as usize];
            match &needed[at] {
                Needed::Indices(ranges) => {
                    ranges
                        .iter()
                        .for_each(|range| input.pattern.tasks_below(range.clone(), extent, &mut below.indices));
                }
                Needed::All if layer.kept.is_none() && input.pattern.covers(extent) => below.all = true,
                Needed::All if layer.is_empty() => {}
                Needed::All => {
                    let whole = 0..layer.original_len();
                    let ranges = layer.kept.as_ref().map_or(std::slice::from_ref(&whole), |kept| kept.ranges());
                    ranges
                        .iter()
                        .for_each(|range| input.pattern.tasks_below(range.clone(), extent, &mut below.indices));
                }
                Needed::None | Needed::Tasks(_) => continue,
            }
            below.read = true;
        }
    }
    needed
}

/// The task of a piece, both by their places in the layer.
fn task_of(layer: &Layer, piece: u32) -> u32 {
    match &layer.body {
        Body::Explicit(tasks) => tasks.task_of(piece),
        Body::Regular { .. } => piece / layer.pieces_per_task.max(1),
    }
}

/// Adds places of a layer by their original indices.
fn want_places(layer: &Layer, places: Range<u32>, indices: &mut Vec<Range<u32>>) {
    let Some(kept) = &layer.kept else {
        match indices.last_mut() {
            Some(last) if last.end == places.start => last.end = places.end,
            _ => indices.push(places),
        }
        return;
    };
    let (first, last) = (kept.index(places.start), kept.index(places.end - 1));
    let at = kept.ranges().partition_point(|range| range.end <= first);
    for range in kept.ranges()[at..].iter().take_while(|range| range.start <= last) {
        indices.push(range.start.max(first)..range.end.min(last + 1));
    }
}

/// Whether a task of an explicit layer that is needed reads the piece at a place in the layer. The layer's own tasks
/// do not count: they are looked at in [`of_explicit`].
fn explicit_reader_needed(graph: &Graph, at: usize, layer: &Layer, piece: u32, needed: &[Needed]) -> bool {
    layer.explicit_readers.iter().any(|readers| {
        readers.row(piece).iter().any(|task| {
            let above = graph.layer_at(*task);
            above != at
                && match &needed[above] {
                    Needed::All => true,
                    Needed::Tasks(tasks) => tasks[(*task - graph.layers[above].tasks.start) as usize],
                    Needed::None | Needed::Indices(_) => false,
                }
        })
    })
}

fn of_explicit(
    graph: &Graph,
    at: usize,
    tasks: &Tasks,
    all: bool,
    indices: &[Range<u32>],
    needed: &[Needed],
) -> Needed {
    let layer = &graph.layers[at];
    if all {
        return Needed::All;
    }
    // If all that stands above is needed, and each task is read or wanted, then each is needed: following its readers
    // ends at one that is wanted.
    let above_needed = layer.explicit_readers.iter().all(|readers| match readers.rows_flat().first() {
        Some(task) => {
            let above = graph.layer_at(*task);
            above == at || matches!(needed[above], Needed::All)
        }
        None => true,
    });
    if above_needed {
        let mut wanted = indices.iter();
        let mut range = wanted.next();
        let read = |task: u32| {
            tasks.pieces_of(task).any(|piece| layer.explicit_readers.iter().any(|rows| !rows.row(piece).is_empty()))
        };
        let idle = (0..tasks.len()).find(|task| {
            while range.is_some_and(|range| range.end <= *task) {
                range = wanted.next();
            }
            !range.is_some_and(|range| range.contains(task)) && !read(*task)
        });
        if idle.is_none() {
            return Needed::All;
        }
    }
    let mut keep = vec![false; tasks.len() as usize];
    for range in indices {
        keep[range.start as usize..range.end as usize].fill(true);
    }
    for task in (0..tasks.len()).rev() {
        if !keep[task as usize] {
            keep[task as usize] =
                tasks.pieces_of(task).any(|piece| explicit_reader_needed(graph, at, layer, piece, needed));
        }
        if keep[task as usize] {
            for piece in tasks.reads(task) {
                if let Some(own) = piece.checked_sub(layer.pieces.start) {
                    keep[tasks.task_of(own) as usize] = true;
                }
            }
        }
    }
    if keep.iter().any(|keep| *keep) { Needed::Tasks(keep) } else { Needed::None }
}

/// Writes an explicit layer anew with the tasks that stay.
fn compact(rebuild: &mut Rebuild, layer: Layer, keep: &[bool]) -> Result<()> {
    let Layer { meta, body: Body::Explicit(old), .. } = layer else { return rebuild.keep(layer) };
    let mut tasks = Tasks::with_capacity(keep.iter().filter(|keep| **keep).count(), old.reads.len());
    let mut places = vec![None; old.pieces() as usize];
    for task in (0..old.len()).filter(|task| keep[*task as usize]) {
        let pieces = old.pieces_of(task);
        let first = tasks.push(old.call(task).clone(), old.reads(task).iter().copied(), pieces.len() as u32);
        for (place, piece) in pieces.enumerate() {
            places[piece as usize] = Some(first + place as u32);
        }
    }
    rebuild.replace_tasks(meta, tasks, places)
}
