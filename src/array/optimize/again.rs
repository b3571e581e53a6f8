//! What is read for a reduction and once more beside its result is read twice, not held in between.
//!
//! `x - x.mean()` needs all of `x` before the first difference is made: held until then it would be written to disk where memory is short, and
//! read from there, which takes longer than to read the source again. Each pass over a source has a node of its own, with the cheap
//! element-wise work that stands between; within a pass all read the same.

use hashbrown::HashMap;

use super::super::plan::Op;
use super::arena::{Node, Plan};
use super::cost::{costs, is_cheap, is_fusible};

/// A node, and in which pass it is made; 0 where it is made once.
type Key = (usize, u32);

/// Runs the pass.
pub(super) fn run(plan: &mut Plan) {
    let needed = plan.needed();
    let again = |at: usize| match &plan.nodes[at].op {
        Op::Read(read) => read.source.times_again(),
        _ => 0,
    };
    if !(0..plan.nodes.len()).any(|at| needed[at] && again(at) > 0) {
        return;
    }
    let levels = levels(plan);
    let mut is_source: Vec<bool> = (0..plan.nodes.len()).map(|at| again(at) > 0).collect();
    let repeats = repeats(plan, &is_source);
    // What would be read in too many passes is read once.
    let mut passes: HashMap<usize, u32> = HashMap::new();
    order(plan, &levels, &repeats).into_iter().for_each(|(at, _)| *passes.entry(at).or_default() += 1);
    is_source
        .iter_mut()
        .enumerate()
        .for_each(|(at, is)| *is &= passes.get(&at).is_none_or(|found| *found <= 1 + again(at)));
    let repeats = self::repeats(plan, &is_source);
    let order = order(plan, &levels, &repeats);
    *plan = rebuilt(plan, &levels, &repeats, &order);
}

/// By node how many reductions stand one behind another before it.
fn levels(plan: &Plan) -> Vec<u32> {
    let mut levels: Vec<u32> = Vec::with_capacity(plan.nodes.len());
    for node in &plan.nodes {
        let below = node.inputs.iter().map(|input| levels[*input]).max().unwrap_or(0);
        levels.push(below + u32::from(matches!(node.op, Op::Reduce(..) | Op::Totals(..))));
    }
    levels
}

/// Which nodes may be there more than once: sources, and what is cheap to make of them.
fn repeats(plan: &Plan, is_source: &[bool]) -> Vec<bool> {
    let costs = costs(plan);
    let mut repeats: Vec<bool> = Vec::with_capacity(plan.nodes.len());
    for (at, node) in plan.nodes.iter().enumerate() {
        let of_sources = node.inputs.iter().any(|input| repeats[*input]);
        let is_passed = is_fusible(&node.op) && is_cheap(u64::from(costs[at]), node.dtype);
        repeats.push(is_source[at] || (is_passed && of_sources));
    }
    repeats
}

/// What a node is made of, each in its pass.
fn inputs<'p>(
    plan: &'p Plan,
    levels: &'p [u32],
    repeats: &'p [bool],
    (at, pass): Key,
) -> impl Iterator<Item = Key> + 'p {
    let node = &plan.nodes[at];
    // What is made once is made as soon as all is there.
    let pass = if repeats[at] { pass } else { node.inputs.iter().map(|input| levels[*input]).max().unwrap_or(0) };
    node.inputs.iter().map(move |input| key(*input, pass, repeats))
}

fn key(at: usize, pass: u32, repeats: &[bool]) -> Key {
    (at, if repeats[at] { pass } else { 0 })
}

/// All that roots need, behind what it needs itself.
fn order(plan: &Plan, levels: &[u32], repeats: &[bool]) -> Vec<Key> {
    let (mut order, mut seen) = (Vec::new(), HashMap::new());
    let roots = plan.roots.iter().rev().map(|root| (key(*root, levels[*root], repeats), false));
    let mut open: Vec<(Key, bool)> = roots.collect();
    while let Some((key, ready)) = open.pop() {
        if ready {
            order.push(key);
        } else if seen.insert(key, ()).is_none() {
            open.push((key, true));
            let below: Vec<Key> = inputs(plan, levels, repeats, key).collect();
            open.extend(below.into_iter().rev().map(|below| (below, false)));
        }
    }
    order
}

fn rebuilt(plan: &Plan, levels: &[u32], repeats: &[bool], order: &[Key]) -> Plan {
    let mut made = Plan { node_of: vec![usize::MAX; plan.node_of.len()], ..Plan::default() };
    let mut places: HashMap<Key, usize> = HashMap::with_capacity(order.len());
    for key in order {
        let inputs = inputs(plan, levels, repeats, *key).map(|input| places[&input]).collect();
        made.nodes.push(Node { inputs, ..plan.nodes[key.0].clone() });
        places.insert(*key, made.nodes.len() - 1);
    }
    let place = |at: usize| places.get(&key(at, levels[at], repeats)).copied();
    made.roots = plan.roots.iter().filter_map(|root| place(*root)).collect();
    for (new, old) in made.node_of.iter_mut().zip(&plan.node_of) {
        *new = place(*old).unwrap_or(usize::MAX);
    }
    made
}
