//! What it takes to make an element again, against what it takes to keep it.

use super::super::plan::{DType, Op};
use super::arena::Plan;

/// Additions that take as long as to write a byte to disk and to read it again. What several layers need is made again by each where that
/// takes no longer than to keep it: by what is known of the plan alone, not by the memory limit, on which no bit of a result may depend.
const ADDITIONS_PER_BYTE: u32 = 5;

/// Whether a node is made element by element, and may be a part of what reads it.
pub(in crate::array) fn is_fusible(op: &Op) -> bool {
    match op {
        Op::Outside | Op::Read(_) | Op::Write(_) | Op::Reduce(..) | Op::Totals(..) | Op::Scan { .. } => false,
        Op::Product(_) | Op::Map(_) | Op::Take { .. } => false,
        Op::Memory(_) | Op::Full(_) | Op::Made(_) | Op::Unary(_) | Op::Binary(_) => true,
        Op::Select | Op::Cast | Op::View(_) | Op::Rechunk | Op::Concat { .. } => true,
    }
}

/// About how many additions it takes to make an element of each node anew, of what has a layer or is read.
pub(in crate::array) fn costs(plan: &Plan) -> Vec<u32> {
    let mut costs = vec![0u32; plan.nodes.len()];
    for (at, node) in plan.nodes.iter().enumerate() {
        let own = match &node.op {
            Op::Made(made) => made.cost,
            Op::Unary(f) => f.cost(),
            Op::Binary(f) => f.cost(),
            Op::View(_) | Op::Rechunk | Op::Concat { .. } => 0,
            _ => 1,
        };
        let below = node.inputs.iter().map(|input| if is_fusible(&plan.nodes[*input].op) { costs[*input] } else { 1 });
        costs[at] = match &node.op {
            // An element is made of one of them.
            Op::Concat { .. } => below.max().unwrap_or(0),
            _ => below.fold(own, u32::saturating_add),
        };
    }
    costs
}

/// Whether it takes no longer to make an element once more than to write it to disk and to read it again.
pub(in crate::array) fn is_cheap(cost: u64, dtype: DType) -> bool {
    cost <= dtype.bytes() as u64 * u64::from(ADDITIONS_PER_BYTE)
}
