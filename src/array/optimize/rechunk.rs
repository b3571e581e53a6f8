//! What is cut anew is read as it is cut then, where the source gives that as well: no block is held to be put together from, or spilled.
//!
//! Element-wise work in between is cut with it. A source gives other regions as well where they are whole pieces of it, or, of one without
//! pieces, where what lies together in it is not much shorter than it was.

use std::sync::Arc;

use hashbrown::HashSet;

use super::super::plan::{Cuts, Op, ReadOp};
use super::arena::Plan;
use crate::formats::array::run_len;

/// Bytes that lie together from which on it takes little more to read them one by one.
const RUN_BYTES: usize = 16 << 10;

/// Runs the pass.
pub(super) fn run(plan: &mut Plan) {
    let needed = plan.needed();
    let mut readers = vec![0u32; plan.nodes.len()];
    plan.roots.iter().for_each(|root| readers[*root] += 2);
    for (at, _) in needed.iter().enumerate().filter(|(_, needed)| **needed) {
        let mut inputs = plan.nodes[at].inputs.clone();
        inputs.sort_unstable();
        inputs.dedup();
        inputs.into_iter().for_each(|input| readers[input] += 1);
    }
    for at in (0..plan.nodes.len()).rev().filter(|at| needed[*at]) {
        if !matches!(plan.nodes[at].op, Op::Rechunk) {
            continue;
        }
        let cuts = plan.nodes[at].cuts.clone();
        if let Some(below) = below(plan, plan.nodes[at].inputs[0], &cuts, &readers) {
            below.into_iter().for_each(|node| plan.nodes[node].cuts = cuts.clone());
        }
    }
}

/// All nodes from one down to what is read, if nobody else looks at any of them and each source gives these cuts as well.
fn below(plan: &Plan, from: usize, cuts: &Arc<[Cuts]>, readers: &[u32]) -> Option<HashSet<usize>> {
    let (own, mut open, mut all, mut reads) = (&plan.nodes[from].cuts, vec![from], HashSet::new(), false);
    while let Some(at) = open.pop() {
        let node = &plan.nodes[at];
        if all.contains(&at) {
            continue;
        }
        match &node.op {
            // One number, which has no cuts.
            Op::Full(_) if node.cuts.is_empty() => continue,
            Op::Read(read) if gives(read, &node.cuts, cuts, node.dtype.bytes()) => reads = true,
            Op::Unary(_) | Op::Cast | Op::Binary(_) | Op::Select => open.extend(&node.inputs),
            _ => return None,
        }
        if readers[at] > 1 || node.cuts != *own {
            return None;
        }
        all.insert(at);
    }
    reads.then_some(all)
}

/// Whether a source gives other blocks as well as those it was to give.
fn gives(read: &ReadOp, old: &[Cuts], new: &[Cuts], bytes: usize) -> bool {
    let (natural, shape) = (read.source.natural(), read.source.shape());
    if !read.source.is_free() || read.windows.iter().any(|window| window.step != 1) {
        return false;
    }
    let mut axes = read.windows.iter().zip(natural).zip(new);
    let in_pieces = axes.all(|((window, piece), cuts)| {
        let Some(known) = cuts.known() else { return false };
        // The ends of what is read are what they are.
        let inner = known.iter().filter(|cut| **cut > 0 && **cut < window.len);
        *piece <= 1 || inner.into_iter().all(|cut| (window.start + cut).is_multiple_of(*piece))
    });
    if !in_pieces || natural.iter().any(|piece| *piece > 1) {
        return in_pieces;
    }
    let run = |cuts: &[Cuts]| -> Option<usize> {
        let ranges: Option<Vec<_>> = cuts.iter().map(|cuts| cuts.most().map(|most| 0..most)).collect();
        Some(run_len(shape, &ranges?).saturating_mul(bytes))
    };
    matches!((run(old), run(new)), (Some(old), Some(new)) if new >= old.min(RUN_BYTES))
}
