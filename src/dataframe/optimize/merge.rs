//! Equal work is done once: nodes of equal operations over equal inputs become one, and aggregates of the same groups are taken
//! together.

use std::collections::HashMap;
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;

use super::super::plan::{Grouping, Op};
use super::arena::{Node, Plan};
use crate::error::Result;
use crate::expr::{Aggregate, Expr, aggregate_column, aggregate_place};

pub(super) fn run(plan: &mut Plan) -> Result<()> {
    equal(plan);
    plan.sort();
    aggregates(plan)
}

/// What nodes have in common that do the same. Expressions are compared as they are: as text, one that shares parts of itself
/// may be far longer.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    kind: Discriminant<Op>,
    exprs: Vec<Expr>,
    /// All of the operation that is no expression, and how many expressions belong together.
    text: String,
    inputs: Vec<usize>,
    parameters: Vec<u64>,
    gate: Option<u32>,
}

impl Key {
    fn new(node: &Node, exprs: Vec<Expr>, text: String) -> Key {
        let (inputs, parameters) = (node.inputs.clone(), node.parameters.clone());
        Key { kind: discriminant(&node.op), exprs, text, inputs, parameters, gate: node.gate }
    }
}

/// Aggregates of the same groups of the same table become one, of which each takes its columns.
fn aggregates(plan: &mut Plan) -> Result<()> {
    let mut alike: Vec<Vec<usize>> = Vec::new();
    let mut places: HashMap<Key, usize> = HashMap::new();
    for (at, node) in plan.nodes.iter().enumerate() {
        let Op::Aggregate(grouping) = &node.op else { continue };
        let settings = format!("{} {}", grouping.keep_nulls, grouping.unordered);
        let key = Key::new(node, grouping.keys.clone(), settings);
        let place = *places.entry(key).or_insert_with(|| {
            alike.push(Vec::new());
            alike.len() - 1
        });
        alike[place].push(at);
    }
    for members in alike.into_iter().filter(|members| members.len() > 1) {
        take_together(plan, &members)?;
    }
    Ok(())
}

fn take_together(plan: &mut Plan, members: &[usize]) -> Result<()> {
    let mut all: Vec<Aggregate> = Vec::new();
    let mut known: HashMap<Aggregate, usize> = HashMap::new();
    let mut parts: Vec<(usize, Grouping, Vec<usize>)> = Vec::with_capacity(members.len());
    for at in members {
        let Op::Aggregate(grouping) = &plan.nodes[*at].op else { continue };
        let places = grouping.aggregates.iter().map(|aggregate| {
            *known.entry(aggregate.clone()).or_insert_with(|| {
                all.push(aggregate.clone());
                all.len() - 1
            })
        });
        let places = places.collect();
        parts.push((*at, grouping.clone(), places));
    }
    let Some((first, grouping, _)) = parts.first() else { return Ok(()) };
    let outputs = (0..all.len()).map(|at| Expr::Column(aggregate_column(at))).collect();
    let together = Grouping { aggregates: all, outputs, ..grouping.clone() };
    let input = plan.nodes[*first].inputs.clone();
    let schema = Arc::new(together.inner_schema(&plan.nodes[input[0]].schema)?);
    let node = plan.nodes[*first].beside(Op::Aggregate(together), input, schema);
    plan.nodes.push(node);
    let together = plan.nodes.len() - 1;
    for (at, grouping, places) in parts {
        let moved = |name: &str| {
            let place = places.get(aggregate_place(name)?)?;
            Some(Expr::Column(aggregate_column(*place)))
        };
        let keys = grouping.keys.iter().map(|key| Expr::Column(key.output_name()));
        let outputs = grouping.outputs.iter().map(|output| output.substitute(&moved));
        plan.nodes[at].op = Op::Select(keys.chain(outputs).collect());
        plan.nodes[at].inputs = vec![together];
    }
    Ok(())
}

fn equal(plan: &mut Plan) {
    let mut known: HashMap<Key, usize> = HashMap::new();
    let mut places: Vec<usize> = Vec::with_capacity(plan.nodes.len());
    for at in 0..plan.nodes.len() {
        let node = &mut plan.nodes[at];
        node.inputs.iter_mut().for_each(|input| *input = places[*input]);
        places.push(match key(node) {
            Some(key) => *known.entry(key).or_insert(at),
            None => at,
        });
    }
    plan.roots.iter_mut().for_each(|root| *root = places[*root]);
}

/// A key that is equal for nodes that are; none where that is not known.
fn key(node: &Node) -> Option<Key> {
    let (exprs, text) = match &node.op {
        Op::Scan(scan) => (scan.predicates.clone(), format!("{} {:?}", scan.source.key()?, scan.columns)),
        Op::Outside | Op::Map(_) | Op::Overlap(_) | Op::Write(_) => return None,
        Op::Filter(condition) => (vec![condition.clone()], String::new()),
        Op::Select(exprs) => (exprs.clone(), String::new()),
        Op::Aggregate(grouping) => {
            let Grouping { keys, aggregates, outputs, keep_nulls, unordered } = grouping;
            let of = aggregates.iter().map(|of| Expr::Aggregate(Arc::new(of.clone())));
            let exprs = keys.iter().cloned().chain(of).chain(outputs.iter().cloned()).collect();
            (exprs, format!("{} {} {keep_nulls} {unordered}", keys.len(), aggregates.len()))
        }
        Op::Top { by, len } => {
            let descending: Vec<bool> = by.iter().map(|key| key.descending).collect();
            (by.iter().map(|key| key.of.clone()).collect(), format!("{len} {descending:?}"))
        }
        op @ (Op::CountRows
        | Op::CountBytes
        | Op::Slice { .. }
        | Op::Number(_)
        | Op::Fill(_)
        | Op::Join(_)
        | Op::Explode(_)
        | Op::Concat
        | Op::Gather
        | Op::Partition(_)) => (Vec::new(), format!("{op:?}")),
        Op::Repartition => (Vec::new(), node.partitions.to_string()),
    };
    Some(Key::new(node, exprs, text))
}
