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
//! its patterns and only notes which indices are left ([`Kept`]); an explicit one is written anew, and notes it too
//! where others read it by patterns.
//! A task of which one piece is needed stays with all its pieces: what nobody reads is dropped the moment it is made.

use std::ops::Range;
use std::sync::Arc;

use super::Pass;
use super::rebuild::Rebuild;
use crate::error::Result;
use crate::graph::explicit::Tasks;
use crate::graph::kept::{Kept, join_ranges};
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
    /// Of an explicit layer, by place.
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
            Body::Explicit(tasks) => match of_explicit(graph, at, tasks, all, &indices, &needed) {
                // A layer without tasks that stays refers to it.
                Needed::None if read => Needed::All,
                needed => needed,
            },
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
            let extent = graph.extent(layer, input);
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
    // Of one that was culled before, indices are not places.
    if above_needed && layer.kept.is_none() {
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
    for index in indices.iter().cloned().flatten() {
        if let Some(place) = layer.place(index) {
            keep[place as usize] = true;
        }
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
    // What others read by a pattern keeps its index space.
    let kept = (!layer.readers.is_empty()).then(|| {
        let left = (0..layer.len()).filter(|task| keep[*task as usize]).map(|task| layer.index(task));
        let mut indices: Vec<Range<u32>> = left.map(|index| index..index + 1).collect();
        join_ranges(&mut indices);
        Arc::new(Kept::new(indices, layer.original_len()))
    });
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
    rebuild.replace_tasks(meta, tasks, places, kept)
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "lists of ranges are meant")]
mod tests {
    use super::*;
    use crate::graph::pattern::Pattern;
    use crate::graph::testing::{Mix, add, add_layer, arc, before_after, meta, pieces};
    use crate::graph::{Draft, Tasks};
    use crate::schedule::Topology;

    #[test]
    fn layers_that_no_result_needs() {
        let mut draft = Draft::new();
        let load = add(&mut draft, "load", 1000, &[]);
        let half = add(&mut draft, "half", 1000, &[(load, Pattern::OneToOne)]);
        add(&mut draft, "other", 1000, &[(load, Pattern::OneToOne)]);
        let from = pieces(&draft, half).start;
        let graph = draft.finish(vec![from..from + 10]);
        insta::assert_snapshot!(before_after(&Cull, graph), @"
        0 load  1000 tasks
        1 half  1000 tasks <- 0 one-to-one
        2 other 1000 tasks <- 0 one-to-one
        results: 1[0..10]
        --
        0 load 10 tasks of 1000
        1 half 10 tasks of 1000 <- 0 one-to-one
        results: 1
        ");
    }

    #[test]
    fn nothing_to_do() {
        let mut draft = Draft::new();
        let load = add(&mut draft, "load", 9, &[]);
        let sum = add(&mut draft, "sum", 3, &[(load, Pattern::Tree { fan: 3 })]);
        let outputs = vec![pieces(&draft, sum)];
        insta::assert_snapshot!(before_after(&Cull, draft.finish(outputs)), @"
        0 load 9 tasks
        1 sum  3 tasks <- 0 tree of 3
        results: 1
        (untouched)
        ");
    }

    /// Two readers want different parts: the shared layer keeps both.
    #[test]
    fn a_shared_layer_keeps_what_each_reader_needs() {
        let mut draft = Draft::new();
        let load = add(&mut draft, "load", 100, &[]);
        let first = add(&mut draft, "first", 3, &[(load, Pattern::Slice { start: 10, step: 1 })]);
        let each = add(&mut draft, "each", 5, &[(load, Pattern::Slice { start: 50, step: 10 })]);
        let outputs = vec![pieces(&draft, first), pieces(&draft, each)];
        insta::assert_snapshot!(before_after(&Cull, draft.finish(outputs)), @"
        0 load  100 tasks
        1 first 3 tasks <- 0 slice from 10
        2 each  5 tasks <- 0 slice from 50 by 10
        results: 1, 2
        --
        0 load  8 tasks of 100
        1 first 3 tasks <- 0 slice from 10
        2 each  5 tasks <- 0 slice from 50 by 10
        results: 1, 2
        ");
    }

    /// Every pattern passes on what it needs; names and errors keep the original index.
    #[test]
    fn through_all_patterns() {
        let mut draft = Draft::new();
        let one = add(&mut draft, "one", 1, &[]);
        let rows = add(&mut draft, "rows", 20, &[(one, Pattern::Broadcast)]);
        let grid = add(&mut draft, "grid", 60, &[(rows, Pattern::Product { stride: 3, extent: 20 })]);
        let blur = add(&mut draft, "blur", 60, &[(grid, Pattern::Stencil { before: 1, after: 2 })]);
        let sum = add(&mut draft, "sum", 15, &[(blur, Pattern::Tree { fan: 4 })]);
        let cut = {
            let read = crate::graph::Input { layer: sum, pattern: Pattern::OneToOne };
            add_layer(&mut draft, "cut", 15, vec![read], Mix { pieces: 4, ..Mix::default() })
        };
        add(&mut draft, "dealt", 4, &[(cut, Pattern::AllToAll)]);
        let from = pieces(&draft, cut).start;
        // The last piece of task 6, and the first of task 7.
        let graph = draft.finish(vec![from + 27..from + 29]);
        insta::assert_snapshot!(before_after(&Cull, graph.clone()), @"
        0 one   1 task
        1 rows  20 tasks <- 0 broadcast
        2 grid  60 tasks <- 1 product 20 by 3
        3 blur  60 tasks <- 2 stencil -1+2
        4 sum   15 tasks <- 3 tree of 4
        5 cut   15 tasks, 60 pieces <- 4 one-to-one
        6 dealt 4 tasks <- 5 all-to-all
        results: 5[27..29]
        --
        0 one  1 task
        1 rows 5 tasks of 20 <- 0 broadcast
        2 grid 11 tasks of 60 <- 1 product 20 by 3
        3 blur 8 tasks of 60 <- 2 stencil -1+2
        4 sum  2 tasks of 15 <- 3 tree of 4
        5 cut  2 tasks of 15, 8 pieces <- 4 one-to-one
        results: 5[3..5]
        ");
        let culled = Cull.run(graph).unwrap();
        let name = |task: u32| culled.describe(task).1;
        assert_eq!((name(0), name(1)), (None, Some(7)));
        assert_eq!(culled.describe(culled.task_count() - 1).1, Some(7));
    }

    #[test]
    fn tasks_of_an_explicit_layer() {
        let mut draft = Draft::new();
        let load = add(&mut draft, "load", 10, &[]);
        let mut tasks = Tasks::with_capacity(0, 0);
        let call = |name: &str, pieces: u32| arc(Mix { name: name.to_string(), pieces, ..Mix::default() });
        tasks.push(call("a", 1), [3], 1);
        tasks.push(call("lost", 2), [10, 5], 2);
        tasks.push(call("b", 2), [10, 7], 2);
        tasks.push(call("lost too", 1), [12], 1);
        tasks.push(call("c", 1), [14, 10], 1);
        draft.explicit(meta("calls"), tasks).unwrap();
        let unused = add(&mut draft, "unused", 2, &[(load, Pattern::Slice { start: 0, step: 1 })]);
        assert_eq!(unused, 2);
        let graph = draft.finish(vec![16..17]);
        insta::assert_snapshot!(before_after(&Cull, graph.clone()), @"
        0 load   10 tasks
        1 calls  5 tasks, 7 pieces, 8 edges: a, lost, b, lost too, c
        2 unused 2 tasks <- 0 slice from 0
        results: 1[6..7]
        --
        0 load  2 tasks of 10
        1 calls 3 tasks, 4 pieces, 5 edges: a, b, c
        results: 1[3..4]
        ");
        let culled = Cull.run(graph).unwrap();
        assert_eq!(culled.dependencies(4, &mut Vec::new()), [4, 2]);
    }

    /// What reads an explicit layer by a pattern goes on speaking of its original indices.
    #[test]
    fn tasks_of_an_explicit_layer_that_is_read_by_a_pattern() {
        let mut draft = Draft::new();
        let mut tasks = Tasks::with_capacity(0, 0);
        for name in ["a", "b", "c", "d", "e"] {
            let seed = u64::from(name.as_bytes()[0]);
            tasks.push(arc(Mix { name: name.to_string(), seed, ..Mix::default() }), [], 1);
        }
        let calls = draft.explicit(meta("calls"), tasks).unwrap();
        let wide = add(&mut draft, "wide", 3, &[(calls, Pattern::Slice { start: 1, step: 0 })]);
        let each = add(&mut draft, "each", 5, &[(calls, Pattern::OneToOne)]);
        let (wide, each) = (pieces(&draft, wide), pieces(&draft, each));
        let graph = draft.finish(vec![wide.start..wide.start + 2, each.start + 3..each.start + 4]);
        insta::assert_snapshot!(before_after(&Cull, graph.clone()), @"
        0 calls 5 tasks, 0 edges: a, b, c, d, e
        1 wide  3 tasks <- 0 slice from 1 by 0
        2 each  5 tasks <- 0 one-to-one
        results: 1[0..2], 2[3..4]
        --
        0 calls 2 tasks of 5, 0 edges: b, d
        1 wide  2 tasks of 3 <- 0 slice from 1 by 0
        2 each  1 task of 5 <- 0 one-to-one
        results: 1, 2
        ");
        // And again, when less is wanted.
        let mut once = Cull.run(graph).unwrap();
        once.outputs.truncate(1);
        insta::assert_snapshot!(before_after(&Cull, once), @"
        0 calls 2 tasks of 5, 0 edges: b, d
        1 wide  2 tasks of 3 <- 0 slice from 1 by 0
        2 each  1 task of 5 <- 0 one-to-one
        results: 1
        --
        0 calls 1 task of 5, 0 edges: b
        1 wide  2 tasks of 3 <- 0 slice from 1 by 0
        results: 1
        ");
    }

    #[test]
    fn without_results_nothing_is_left() {
        let mut draft = Draft::new();
        add(&mut draft, "load", 10, &[]);
        insta::assert_snapshot!(before_after(&Cull, draft.finish(vec![3..3])), @"
        0 load 10 tasks
        results: none
        --
        results: none
        ");
    }
}
