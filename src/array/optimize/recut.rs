//! What only reductions see is read in smaller blocks than its array is cut into, along what is reduced.
//!
//! Blocks begin where the pieces of the source do, as far as they can.

use std::sync::Arc;

use super::super::plan::{Cuts, Op, ReadOp};
use super::arena::Plan;

/// Bytes of a block that is read for reductions alone. Unlike numbers that are made it is held, by each thread one at least.
const PIECE_BYTES: usize = 4 << 20;

/// Runs the pass.
pub(super) fn run(plan: &mut Plan) {
    let free = free(plan);
    // By node the cuts it had, where it has others now.
    let mut before: Vec<Option<Arc<[Cuts]>>> = vec![None; plan.nodes.len()];
    for at in 0..plan.nodes.len() {
        let Some(free) = &free[at] else { continue };
        let node = &plan.nodes[at];
        let finer = match &node.op {
            Op::Read(read) => finer(read, &node.cuts, free, node.dtype.bytes()),
            // As what it is made of is cut, it is cut, too.
            Op::Unary(_) | Op::Binary(_) | Op::Select | Op::Cast => node.inputs.iter().find_map(|input| {
                let old = before[*input].as_ref()?;
                (old[..] == node.cuts[..]).then(|| plan.nodes[*input].cuts.clone())
            }),
            _ => None,
        };
        if let Some(finer) = finer {
            before[at] = Some(std::mem::replace(&mut plan.nodes[at].cuts, finer));
        }
    }
}

/// By node along which axes it may be cut in another way, as nobody sees that; nothing where nobody needs the node.
fn free(plan: &Plan) -> Vec<Option<Vec<bool>>> {
    let mut free: Vec<Option<Vec<bool>>> = vec![None; plan.nodes.len()];
    for root in &plan.roots {
        free[*root] = Some(vec![false; plan.nodes[*root].cuts.len()]);
    }
    for at in (0..plan.nodes.len()).rev() {
        let Some(own) = free[at].clone() else { continue };
        let node = &plan.nodes[at];
        for input in &node.inputs {
            let (of, rank) = (&plan.nodes[*input].cuts, node.cuts.len());
            let below: Vec<bool> = match &node.op {
                Op::Reduce(reduce) => (0..of.len()).map(|axis| reduce.axes.contains(&axis)).collect(),
                Op::Unary(_) | Op::Cast | Op::Binary(_) | Op::Select | Op::Rechunk => (0..of.len())
                    .map(|axis| {
                        let above = axis + rank - of.len();
                        of[axis].len() != node.cuts[above].len() || own[above]
                    })
                    .collect(),
                Op::View(view) => view.axes.iter().map(|axis| axis.of.is_none_or(|of| own[of])).collect(),
                _ => vec![false; of.len()],
            };
            match &mut free[*input] {
                Some(known) => known.iter_mut().zip(below).for_each(|(known, below)| *known &= below),
                none => *none = Some(below),
            }
        }
    }
    free
}

/// Finer cuts, where blocks are large.
fn finer(read: &ReadOp, cuts: &Arc<[Cuts]>, free: &[bool], bytes: usize) -> Option<Arc<[Cuts]>> {
    let most = cuts.iter().map(Cuts::most).try_fold(bytes, |all, most| all.checked_mul(most?.max(1)))?;
    let (mut all, mut finer) = (most, cuts.to_vec());
    for (axis, window) in read.windows.iter().enumerate().filter(|(axis, _)| free[*axis]) {
        let (known, most) = (cuts[axis].known()?, cuts[axis].most()?);
        let parts = all.div_ceil(PIECE_BYTES).clamp(1, most.max(1));
        if parts == 1 {
            continue;
        }
        let natural = if window.step == 1 { read.source.natural()[axis].max(1) } else { 1 };
        let mut ends = vec![0];
        for two in known.windows(2) {
            let mut at = two[0];
            while at < two[1] {
                let next = at + most.div_ceil(parts);
                // Down to where a piece of the source ends, but not further than one is long.
                let down = next - (window.start + next) % natural;
                let next = if down > at { down } else { at + natural - (window.start + at) % natural };
                at = next.min(two[1]);
                ends.push(at);
            }
        }
        finer[axis] = Cuts::Known(ends.into());
        all = (all / most.max(1)).saturating_mul(finer[axis].most()?.max(1));
    }
    (finer[..] != cuts[..]).then(|| finer.into())
}
