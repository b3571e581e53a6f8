//! Expressions are folded, conditions split, chains of `select` put together.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::plan::Op;
use super::arena::Plan;
use crate::error::Result;
use crate::expr::{Expr, Lookup, Value};

pub(super) fn run(plan: &mut Plan) -> Result<()> {
    fold(plan);
    join_selects(plan);
    split_filters(plan);
    Ok(())
}

fn fold(plan: &mut Plan) {
    let mut gone = HashMap::new();
    for at in 0..plan.nodes.len() {
        let Some(first) = plan.nodes[at].tables().first().copied() else { continue };
        let schema = plan.nodes[first].schema.clone();
        let fields = Lookup::new(&schema);
        let of = |expr: &mut Expr| *expr = expr.simplified_in(&fields);
        match &mut plan.nodes[at].op {
            Op::Filter(condition) => {
                of(condition);
                if matches!(condition, Expr::Literal(Value::Boolean(true))) {
                    gone.insert(at, first);
                }
            }
            Op::Select(exprs) => exprs.iter_mut().for_each(of),
            Op::Aggregate(grouping) => {
                let args = grouping.aggregates.iter_mut().flat_map(|of| of.args.iter_mut().chain(&mut of.filter));
                grouping.keys.iter_mut().chain(args).for_each(of);
            }
            _ => {}
        }
    }
    plan.redirect(&gone);
}

/// Of so many `select` at most one is made.
const MOST_TOGETHER: u32 = 64;

/// A `select` of a `select` that nobody else reads becomes one, where nothing is computed twice for it.
fn join_selects(plan: &mut Plan) {
    let readers = plan.readers();
    // How many each has taken in: each one more goes through all that is there.
    let mut taken = vec![0u32; plan.nodes.len()];
    for at in 0..plan.nodes.len() {
        while let Some(below) = plan.nodes[at].tables().first().copied() {
            let (Op::Select(upper), Op::Select(lower)) = (&plan.nodes[at].op, &plan.nodes[below].op) else { break };
            let together = taken[at] + taken[below] + 1;
            if together > MOST_TOGETHER
                || readers[below] > 1
                || !plan.nodes[at].parameters.is_empty()
                || !plan.nodes[below].parameters.is_empty()
            {
                break;
            }
            let named: HashMap<Arc<str>, &Expr> = lower.iter().map(|expr| (expr.output_name(), expr)).collect();
            let mut used: HashMap<Arc<str>, u32> = HashMap::new();
            upper.iter().flat_map(Expr::columns).for_each(|name| *used.entry(name).or_default() += 1);
            let input = Lookup::new(&plan.nodes[plan.nodes[below].inputs[0]].schema);
            let cheap = |expr: &Expr| matches!(expr.unnamed(), Expr::Column(_) | Expr::Literal(_));
            let fits = named.iter().all(|(name, expr)| {
                let times = used.get(name).copied().unwrap_or(0);
                // What is not used any more must not have been able to fail, nor what may be skipped in a branch.
                cheap(expr)
                    || (times == 1 && expr.is_deterministic() && !expr.can_fail_in(&input))
                    || (times == 0 && !expr.can_fail_in(&input))
            });
            if !fits {
                break;
            }
            let substituted = upper.iter().map(|expr| {
                let name = expr.output_name();
                let made = expr.substitute(&|column| named.get(column).map(|expr| expr.unnamed().clone()));
                if made.output_name() == name { made } else { made.alias(&name) }
            });
            let exprs: Vec<Expr> = substituted.collect();
            taken[at] = together;
            plan.nodes[at].inputs = plan.nodes[below].inputs.clone();
            plan.nodes[at].op = Op::Select(exprs);
        }
    }
}

/// So many conditions go their own ways, each past all columns of what it passes; the others go together.
const MOST_PARTS: usize = 64;

/// One node for each of the conditions that all have to be true, so that each can go its own way.
fn split_filters(plan: &mut Plan) {
    for at in 0..plan.nodes.len() {
        let Op::Filter(condition) = &plan.nodes[at].op else { continue };
        let mut parts = condition.conjuncts();
        let schema = plan.nodes[at].schema.clone();
        if parts.len() < 2 || !plan.nodes[at].parameters.is_empty() || condition.can_fail(&schema) {
            continue;
        }
        let rest = parts.split_off(parts.len().min(MOST_PARTS) - 1);
        let last = rest.into_iter().reduce(|all, next| all & next);
        for part in parts {
            let below = plan.nodes[at].inputs[0];
            let node = plan.nodes[at].beside(Op::Filter(part), vec![below], schema.clone());
            plan.nodes.push(node);
            plan.nodes[at].inputs = vec![plan.nodes.len() - 1];
        }
        if let Some(last) = last {
            plan.nodes[at].op = Op::Filter(last);
        }
    }
}
