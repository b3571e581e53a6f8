//! A `head` goes below what keeps rows as they are, so that no more is computed than is taken.

use super::super::plan::{NumberOp, Op};
use super::arena::Plan;
use crate::error::Result;

pub(super) fn run(plan: &mut Plan) -> Result<()> {
    let readers = plan.readers();
    for start in 0..plan.nodes.len() {
        let mut at = start;
        while let Op::Slice { len, end } = plan.nodes[at].op {
            let below = plan.nodes[at].inputs[0];
            if readers[below] > 1 {
                break;
            }
            match &plan.nodes[below].op {
                // A number is that of a row from the beginning.
                of @ (Op::Select(_) | Op::Number(NumberOp::Index(_))) if !end || matches!(of, Op::Select(_)) => {
                    // The nodes change places: the lower one takes rows of what the upper one then computes on.
                    let input = plan.nodes[below].inputs[0];
                    let schema = plan.nodes[input].schema.clone();
                    let mut slice = plan.nodes[at].beside(Op::Slice { len, end }, vec![input], schema);
                    slice.partitions = 1;
                    let mut select = std::mem::replace(&mut plan.nodes[below], slice);
                    select.inputs[0] = below;
                    select.partitions = 1;
                    plan.nodes[at] = select;
                    at = below;
                }
                Op::Slice { len: other, end: same } if *same == end => {
                    let len = len.min(*other);
                    plan.nodes[at].op = Op::Slice { len, end };
                    plan.nodes[at].inputs = plan.nodes[below].inputs.clone();
                }
                _ => break,
            }
        }
    }
    Ok(())
}
