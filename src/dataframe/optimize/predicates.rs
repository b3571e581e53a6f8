//! Filters go towards the source, and into it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use arrow::datatypes::DataType;

use super::super::plan::{JoinOp, Matching, Op};
use super::arena::Plan;
use crate::error::Result;
use crate::expr::{Expr, Growth, col, has_type};

/// Filters that one filter passes by at most: a long chain of filters that all stay where they are is looked through only
/// so far for each.
const MOST_PASSED: usize = 64;

pub(super) fn run(plan: &mut Plan) -> Result<()> {
    let mut sinking = Sinking { readers: plan.readers(), gone: HashMap::new(), open: VecDeque::new() };
    // Lower ones first, so that they are out of the way.
    sinking.open.extend((0..plan.nodes.len()).filter(|at| matches!(plan.nodes[*at].op, Op::Filter(_))));
    while let Some(at) = sinking.open.pop_front() {
        sinking.sink(plan, at);
    }
    plan.redirect(&sinking.gone);
    Ok(())
}

struct Sinking {
    readers: Vec<u32>,
    /// Filters that were taken in, and by what.
    gone: HashMap<usize, usize>,
    open: VecDeque<usize>,
}

impl Sinking {
    /// Moves one filter as far down as it goes. Nodes keep their places: the filter and what is below it change theirs.
    fn sink(&mut self, plan: &mut Plan, mut at: usize) {
        let mut passed = 0;
        loop {
            let Op::Filter(condition) = plan.nodes[at].op.clone() else { return };
            let below = self.find(plan.nodes[at].inputs[0]);
            plan.nodes[at].inputs[0] = below;
            // What others read too has to keep its rows, and what may fail is to see the same rows as before.
            if self.readers[below] > 1
                || !plan.nodes[at].parameters.is_empty()
                || !condition.is_deterministic()
                || condition.can_fail(&plan.nodes[below].schema)
            {
                return;
            }
            let input = plan.nodes[below].inputs.first().map(|input| self.find(*input));
            let schema = input.map(|input| plan.nodes[input].schema.clone());
            let moved = match (&mut plan.nodes[below].op, schema) {
                (Op::Scan(scan), _) => {
                    // Readers look at whole batches, of which pipelines take a part at a time then.
                    if Growth::of(std::slice::from_ref(&condition)).is_large() {
                        return;
                    }
                    scan.predicates.push(condition);
                    self.gone.insert(at, below);
                    self.readers[below] = self.readers[at];
                    return;
                }
                (Op::Filter(_), Some(_)) if passed < MOST_PASSED => {
                    passed += 1;
                    condition
                }
                (Op::Select(exprs), Some(schema)) => {
                    let named: HashMap<Arc<str>, &Expr> = exprs.iter().map(|expr| (expr.output_name(), expr)).collect();
                    let movable =
                        |expr: &&Expr| expr.is_deterministic() && !expr.can_fail(&schema) && !has_parameter(expr);
                    if !condition.columns().iter().all(|name| named.get(name).is_some_and(movable)) {
                        return;
                    }
                    condition.substitute(&|column| named.get(column).map(|expr| expr.unnamed().clone()))
                }
                (Op::Aggregate(grouping), Some(schema)) if !grouping.keys.is_empty() => {
                    // A condition on keys holds for whole groups.
                    let keys: HashMap<Arc<str>, &Expr> =
                        grouping.keys.iter().map(|key| (key.output_name(), key)).collect();
                    let of_keys = condition.columns().iter().all(|name| keys.contains_key(name));
                    // The two zeros and all NaN are one key, which a condition on rows tells apart.
                    let one =
                        |key: &&Expr| key.data_type(&schema).is_ok_and(|of| !has_type(&of, DataType::is_floating));
                    if !of_keys || !keys.values().all(one) {
                        return;
                    }
                    if keys.values().any(|key| key.can_fail(&schema) || has_parameter(key)) {
                        return;
                    }
                    condition.substitute(&|column| keys.get(column).map(|key| key.unnamed().clone()))
                }
                (Op::Join(join), _) => {
                    let Some((side, condition)) = below_join(join, &condition) else { return };
                    let input = self.find(plan.nodes[below].inputs[side]);
                    let schema = plan.nodes[input].schema.clone();
                    let filter = plan.nodes[at].beside(Op::Filter(condition), vec![input], schema);
                    plan.nodes.push(filter);
                    self.readers.push(1);
                    let filter = plan.nodes.len() - 1;
                    plan.nodes[below].inputs[side] = filter;
                    self.gone.insert(at, below);
                    self.readers[below] = self.readers[at];
                    self.open.push_back(filter);
                    return;
                }
                // Of columns that are repeated.
                (Op::Explode(columns), Some(_))
                    if !condition.columns().iter().any(|name| columns.iter().any(|column| **column == **name)) =>
                {
                    condition
                }
                (Op::Concat, _) => {
                    self.filter_each(plan, at, below, &condition);
                    return;
                }
                _ => return,
            };
            self.swap(plan, at, below, Op::Filter(moved.unnamed().clone()));
            at = below;
        }
    }

    /// A filter of each input of a `concat` in place of one over all.
    fn filter_each(&mut self, plan: &mut Plan, at: usize, below: usize, condition: &Expr) {
        let mut filters = Vec::with_capacity(plan.nodes[below].inputs.len());
        for input in plan.nodes[below].inputs.clone() {
            let schema = plan.nodes[self.find(input)].schema.clone();
            let node = plan.nodes[at].beside(Op::Filter(condition.clone()), vec![input], schema);
            plan.nodes.push(node);
            self.readers.push(1);
            filters.push(plan.nodes.len() - 1);
        }
        self.open.extend(&filters);
        plan.nodes[below].inputs = filters;
        self.gone.insert(at, below);
        self.readers[below] = self.readers[at];
    }

    /// The upper node becomes what the lower one is, and the lower one a filter of its input.
    fn swap(&self, plan: &mut Plan, upper: usize, lower: usize, filter: Op) {
        let input = self.find(plan.nodes[lower].inputs[0]);
        let schema = plan.nodes[input].schema.clone();
        let filter = plan.nodes[upper].beside(filter, vec![input], schema);
        let mut moved = std::mem::replace(&mut plan.nodes[lower], filter);
        moved.inputs[0] = lower;
        plan.nodes[upper] = moved;
    }

    fn find(&self, mut at: usize) -> usize {
        while let Some(next) = self.gone.get(&at) {
            at = *next;
        }
        at
    }
}

/// A condition on rows of a join as one on rows of one of its tables, and which one that is.
fn below_join(join: &JoinOp, condition: &Expr) -> Option<(usize, Expr)> {
    let given = |name: &str| join.columns.iter().find(|column| column.name == *name);
    let columns = condition.columns();
    let of = |held: bool| columns.iter().all(|name| given(name).is_some_and(|column| column.held == held));
    let side = if of(false) {
        0
    } else if of(true) && matches!(join.matching, Matching::Inner | Matching::Cross) {
        // Of other joins rows of the first table come out that have no partner, or have it only to be told apart.
        1
    } else {
        return None;
    };
    let renamed = condition.substitute(&|name| given(name).map(|column| col(&column.from)));
    Some((side, renamed.unnamed().clone()))
}

fn has_parameter(expr: &Expr) -> bool {
    !expr.parameters().is_empty()
}
