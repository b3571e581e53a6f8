//! The static order: in which order the tasks of a graph are best run.
//!
//! The order keeps little in memory: what belongs together goes through all layers before the next begins. Workers
//! prefer what just became ready anyway; the order decides which source comes next, which of several ready tasks goes
//! first, and which value is needed last.
//!
//! **Regular layers** have a position that is computed from three numbers per layer, and nothing is stored per task:
//!
//! - The *phase* counts the barriers before a layer: an exchange, or a result that all tasks of the next layer read.
//!   What follows comes after all that must be done before. A source belongs to the phase of the first layer that
//!   needs it: in `y - mean(x)` no block of `y` is read before the mean is there.
//! - The *time* inside the phase is when the first reader wants the task. It is a straight line over the index, found
//!   from the results down: the last layer runs evenly from 0 to 1, below a tree of 8 each index takes an eighth of its
//!   reader's step, below a stencil that looks `n` ahead a task comes `n` steps before its reader, and in a product of
//!   100 x 100 the axis that turns fast is needed within the first hundredth.
//! - At the same time a layer comes before those that read it.
//!
//! **Explicit layers** are numbered by the order already: plans are walked depth first, and numbered anew by [`depth_first`]
//! where the order in which they were written would hold more.

use super::explicit::Csr;
use super::layer::{Body, Graph, Input, Layer};
use super::pattern::Pattern;

/// Where a layer stands in the order: task `i` comes at `slope * (i + 1) + start`, in its phase.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Placing {
    phase: u32,
    /// Number of earlier layers of the phase.
    rank: u32,
    slope: f64,
    start: f64,
}

impl Placing {
    fn at(&self, index: f64) -> f64 {
        self.slope * (index + 1.0) + self.start
    }
}

/// The position of the task at a place of a layer. No two tasks share one, as long as no phase has more than 65 536
/// layers and no layer more than about 10^9 tasks.
pub(super) fn position(layer: &Layer, place: u32) -> u64 {
    let Placing { phase, rank, .. } = layer.order;
    // Times lie between 0 and 1, or before 0 where a reader looks ahead.
    let time = (layer.order.at(f64::from(layer.index(place))) + 1.0) / 2.0;
    // Rounded, so that equal times stay equal however they were computed. The scale has many factors of two, so that
    // what is computed inexactly lies between two marks only if a layer has a multiple of 65 536 tasks.
    let time = (time.clamp(0.0, 1.0) * f64::from(0xffff_0000_u32)).round() as u64;
    u64::from(phase.min(0xffff)) << 48 | time << 16 | u64::from(rank.min(0xffff))
}

/// Finds where each layer stands.
pub(super) fn arrange(graph: &mut Graph) {
    let phases = phases(graph);
    let mut ranks: Vec<u32> = vec![0; phases.iter().max().map_or(0, |most| *most as usize + 1)];
    for (layer, phase) in graph.layers.iter_mut().zip(&phases) {
        let rank = &mut ranks[*phase as usize];
        layer.order = Placing { phase: *phase, rank: *rank, slope: 0.0, start: 0.0 };
        *rank += 1;
    }
    for at in (0..graph.layers.len()).rev() {
        let (slope, start) = line(graph, at);
        let order = &mut graph.layers[at].order;
        (order.slope, order.start) = (slope, start);
    }
}

/// Whether the tasks above have to wait for the whole layer below, or nearly.
fn waits(graph: &Graph, above: &Layer, input: &Input) -> bool {
    let below = &graph.layers[input.layer as usize];
    let at_hand = is_source(below) && below.pieces.len() == 1;
    match input.pattern {
        Pattern::OneToOne
        | Pattern::Stencil { .. }
        | Pattern::Tree { .. }
        | Pattern::Product { .. }
        | Pattern::Slice { .. }
        | Pattern::Grid(_) => false,
        Pattern::Broadcast => !at_hand,
        Pattern::All => above.original_len() > 1 && !at_hand,
        Pattern::AllToAll => true,
    }
}

fn is_source(layer: &Layer) -> bool {
    match &layer.body {
        Body::Regular { inputs, .. } => inputs.is_empty(),
        Body::Explicit(tasks) => tasks.reads.is_empty(),
    }
}

/// The phase of each layer: as early as its inputs allow, but sources as late as their readers allow.
fn phases(graph: &Graph) -> Vec<u32> {
    let layers = &graph.layers;
    // Which earlier layers each reads, and whether it waits for them.
    let mut edges: Vec<Vec<(usize, u32)>> = vec![Vec::new(); layers.len()];
    for (at, layer) in layers.iter().enumerate() {
        if let Body::Regular { inputs, .. } = &layer.body {
            edges[at].extend(inputs.iter().map(|input| (input.layer as usize, u32::from(waits(graph, layer, input)))));
        }
        for readers in explicit_readers(graph, at) {
            edges[readers.0].push((at, 0));
        }
    }
    let forward = |sources: &[u32]| {
        let mut phases = sources.to_vec();
        for at in 0..layers.len() {
            let after = edges[at].iter().map(|(below, waits)| phases[*below] + waits).max();
            phases[at] = after.unwrap_or(phases[at]);
        }
        phases
    };
    let earliest = forward(&vec![0; layers.len()]);
    let mut latest: Vec<Option<u32>> = vec![None; layers.len()];
    for at in (0..layers.len()).rev() {
        let own = *latest[at].get_or_insert(earliest[at]);
        for (below, waits) in &edges[at] {
            let wanted = own.saturating_sub(*waits);
            latest[*below] = Some(latest[*below].map_or(wanted, |known| known.min(wanted)));
        }
    }
    let latest: Vec<u32> = latest.into_iter().map(Option::unwrap_or_default).collect();
    forward(&latest)
}

/// The explicit layers above that read a layer, with the tasks that read each of its pieces.
fn explicit_readers(graph: &Graph, at: usize) -> impl Iterator<Item = (usize, &Csr)> {
    let readers = graph.layers[at].explicit_readers.iter();
    let above = |readers: &'_ Csr| readers.rows_flat().first().map(|task| graph.layer_at(*task));
    readers.filter_map(move |readers| Some((above(readers)?, readers))).filter(move |(above, _)| *above != at)
}

/// Slope and start of the line that is nowhere above the times at which the readers of the first phase want the tasks.
fn line(graph: &Graph, at: usize) -> (f64, f64) {
    let layer = &graph.layers[at];
    let tasks = f64::from(layer.original_len().max(1));
    let even = (1.0 / tasks, 0.0);
    if matches!(layer.body, Body::Explicit(_)) {
        return even;
    }
    let regular = layer.readers.iter().map(|(above, _)| *above as usize);
    let first = regular.chain(explicit_readers(graph, at).map(|(above, _)| above));
    let Some(first) = first.map(|above| graph.layers[above].order.phase).min() else { return even };

    // The times of the first and of the last task.
    let last = tasks - 1.0;
    let mut ends: Option<(f64, f64)> = None;
    let mut wanted = |of_first: f64, of_last: f64| {
        let (low, high) = ends.get_or_insert((of_first, of_last));
        *low = low.min(of_first);
        *high = high.min(of_last);
    };
    for (above, slot) in &layer.readers {
        let above = &graph.layers[*above as usize];
        let Body::Regular { inputs, .. } = &above.body else { continue };
        let input = &inputs[*slot as usize];
        if above.order.phase != first {
            continue;
        }
        if waits(graph, above, input) {
            wanted(even.0, 1.0);
            continue;
        }
        let place = |first_reader: f64| above.order.at(first_reader);
        match &input.pattern {
            Pattern::OneToOne => wanted(place(0.0), place(last)),
            &Pattern::Stencil { after, .. } => wanted(place(-f64::from(after)), place(last - f64::from(after))),
            &Pattern::Tree { fan } => {
                let reader = |index: f64| place((index + 1.0) / f64::from(fan.max(1)) - 1.0);
                wanted(reader(0.0), reader(last));
            }
            &Pattern::Product { stride, .. } => wanted(place(0.0), place(last * f64::from(stride))),
            &Pattern::Slice { start, step } => {
                let reader = |index: f64| place((index - f64::from(start)) / f64::from(step.max(1)));
                match step {
                    0 => wanted(place(0.0), place(0.0)),
                    _ => wanted(reader(0.0), reader(last)),
                }
            }
            Pattern::Grid(grid) => {
                let (of_first, of_last) = grid.first_readers();
                wanted(place(f64::from(of_first)), place(f64::from(of_last)));
            }
            Pattern::Broadcast | Pattern::All | Pattern::AllToAll => {
                // One task wants all: one after the other, until it is its time.
                let end = place(0.0);
                let span = if end > 0.0 { end } else { 1.0 };
                wanted(end - span * (1.0 - 1.0 / tasks), end);
            }
        }
    }
    let (mut slope, mut start) = match ends {
        Some((low, high)) if last > 0.0 => {
            let slope = ((high - low) / last).max(0.0);
            (slope, low.min(high) - slope)
        }
        Some((low, _)) => (0.0, low),
        None => even,
    };
    for (above, readers) in explicit_readers(graph, at) {
        let above = &graph.layers[above];
        if above.order.phase != first || layer.pieces_per_task == 0 {
            continue;
        }
        // The line goes down until it touches the first one that would come too late.
        for piece in 0..readers.rows() {
            if let Some(task) = readers.row(piece).first() {
                let index = f64::from(layer.index(piece / layer.pieces_per_task));
                let time = above.order.at(f64::from(task - above.tasks.start));
                if ends.is_none() {
                    (slope, start, ends) = (time / tasks, time - time / tasks * (index + 1.0), Some((0.0, time)));
                }
                start = start.min(time - slope * (index + 1.0));
            }
        }
    }
    (slope, start)
}

/// An order of tasks that reads little ahead of what is used: depth first from the outputs, of several children the
/// one that needs the most values at a time first, so that the fewest results wait for it (Sethi and Ullman). Among equal
/// ones the order of the row stays; outputs count as children of one more task.
///
/// `children` holds for each task the tasks whose results it reads, which must not lead back to it (an edge that does is
/// passed over). Gives all tasks once: those that no output needs come last. In time O(V + E log degree), without
/// recursion.
pub fn depth_first(children: &Csr, outputs: &[u32]) -> Vec<u32> {
    let tasks = children.rows();
    let mut roots: Vec<u32> = outputs.iter().copied().filter(|output| *output < tasks).collect();
    let mut below: Vec<u32> = children.rows_flat().to_vec();
    let mut order = Vec::with_capacity(tasks as usize);
    walk(children, &below, roots.iter().copied().chain(0..tasks), &mut order);
    // How many values are held at a time while a task and all it needs are made.
    let mut needs = vec![1u32; tasks as usize];
    let mut row: Vec<u32> = Vec::new();
    let mut read_by = vec![u32::MAX; tasks as usize];
    for task in &order {
        let range = children.range(*task);
        row.clear();
        for child in below[range.clone()].iter().filter(|child| **child < tasks) {
            // A value read twice is held once.
            if std::mem::replace(&mut read_by[*child as usize], *task) != *task {
                row.push(*child);
            }
        }
        if row.is_empty() {
            continue;
        }
        row.sort_by_key(|child| std::cmp::Reverse(needs[*child as usize]));
        let held = row.iter().zip(0..).map(|(child, before)| needs[*child as usize] + before).max();
        needs[*task as usize] = held.unwrap_or(1).max(row.len() as u32 + 1);
        below[range.start..range.start + row.len()].copy_from_slice(&row);
        below[range.start + row.len()..range.end].fill(u32::MAX);
    }
    // The outputs are as the children of one task that reads them all.
    roots.sort_by_key(|output| std::cmp::Reverse(needs[*output as usize]));
    order.clear();
    walk(children, &below, roots.into_iter().chain(0..tasks), &mut order);
    order
}

/// Appends all tasks that the roots need, each after its children.
fn walk(rows: &Csr, below: &[u32], roots: impl Iterator<Item = u32>, order: &mut Vec<u32>) {
    let tasks = rows.rows();
    let mut seen = vec![false; tasks as usize];
    // Tasks begun, with the next child to look at.
    let mut open: Vec<(u32, usize)> = Vec::new();
    for root in roots {
        if !std::mem::replace(&mut seen[root as usize], true) {
            open.push((root, rows.range(root).start));
        }
        while let Some((task, next)) = open.last_mut() {
            if *next == rows.range(*task).end {
                order.push(*task);
                open.pop();
                continue;
            }
            let child = below[*next];
            *next += 1;
            if child < tasks && !std::mem::replace(&mut seen[child as usize], true) {
                open.push((child, rows.range(child).start));
            }
        }
    }
}
