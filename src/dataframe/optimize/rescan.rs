//! Two passes over one source: rows that use a value of the same rows, as `x - x.mean()` does.
//!
//! Until the value is there, all rows are held, on disk as far as memory is short; or they are read a second time. Which is cheaper depends on
//! the source: memory is read again for nothing; Parquet and Arrow IPC files are decoded again at gigabytes a second,
//! which beats going over the disk, but not rows that fit well into memory; parsing text again is slower than both.

use std::collections::HashSet;

use super::super::plan::Op;
use super::arena::Plan;
use crate::error::Result;
use crate::expr::Expr;
use crate::formats::scan::Reread;

pub(super) fn run(plan: &mut Plan) -> Result<()> {
    let readers = plan.readers();
    for at in 0..plan.nodes.len() {
        if plan.nodes[at].parameters.is_empty() {
            continue;
        }
        let below = below_parameters(plan, at);
        // From the rows of this node down to what others read too.
        let mut reader = at;
        let mut shared = plan.nodes[at].inputs[0];
        while readers[shared] == 1 && is_step(&plan.nodes[shared].op) {
            (reader, shared) = (shared, plan.nodes[shared].inputs[0]);
        }
        if readers[shared] > 1 && below.contains(&shared) && reads_again(plan, shared) {
            let copy = copy(plan, shared);
            plan.nodes[reader].inputs[0] = copy;
        }
    }
    Ok(())
}

fn is_step(op: &Op) -> bool {
    matches!(op, Op::Filter(_) | Op::Select(_))
}

/// All that has to be there before the parameters of a node are.
fn below_parameters(plan: &Plan, at: usize) -> HashSet<usize> {
    let node = &plan.nodes[at];
    let mut open: Vec<usize> = node.inputs[node.tables().len()..].to_vec();
    let mut found = HashSet::new();
    while let Some(next) = open.pop() {
        if found.insert(next) {
            open.extend(&plan.nodes[next].inputs);
        }
    }
    found
}

/// Whether it is cheaper to read the source of a node again than to hold its rows.
pub(in crate::dataframe) fn reads_again(plan: &Plan, mut at: usize) -> bool {
    // What a user's function gives the second time is not known.
    while is_step(&plan.nodes[at].op) && plan.nodes[at].parameters.is_empty() {
        let sure = match &plan.nodes[at].op {
            Op::Filter(condition) => condition.is_deterministic(),
            Op::Select(exprs) => exprs.iter().all(Expr::is_deterministic),
            _ => false,
        };
        if !sure {
            return false;
        }
        at = plan.nodes[at].inputs[0];
    }
    let Op::Scan(scan) = &plan.nodes[at].op else { return false };
    if !scan.predicates.iter().all(Expr::is_deterministic) {
        return false;
    }
    let each = scan.source.column_bytes();
    let bytes: u64 = scan.columns.iter().filter_map(|column| each.get(*column)).sum();
    match scan.source.reread() {
        Reread::Free => true,
        Reread::Decode => bytes > plan.limit_bytes / 4,
        Reread::Parse => false,
    }
}

/// The steps from a node down to its source once more; gives the new node.
fn copy(plan: &mut Plan, at: usize) -> usize {
    let mut chain = vec![at];
    while let Some(last) = chain.last().copied()
        && is_step(&plan.nodes[last].op)
    {
        chain.push(plan.nodes[last].inputs[0]);
    }
    let mut below = None;
    for at in chain.into_iter().rev() {
        let mut node = plan.nodes[at].clone();
        if let Some(below) = below {
            node.inputs[0] = below;
        }
        plan.nodes.push(node);
        below = Some(plan.nodes.len() - 1);
    }
    below.unwrap_or(at)
}
