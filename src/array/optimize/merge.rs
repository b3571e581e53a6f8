//! Equal work is done once: of nodes that do the same with the same inputs only the first is left.

use std::sync::Arc;

use hashbrown::HashMap;

use super::super::plan::{Binary, Cuts, DType, Number, Op, Unary, View, Window};
use super::arena::Plan;

/// What nodes have in common that do the same.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    what: What,
    inputs: Vec<usize>,
    dtype: DType,
    cuts: Arc<[Cuts]>,
    gate: Option<u32>,
}

#[derive(PartialEq, Eq, Hash)]
enum What {
    /// The very same memory.
    Memory(usize),
    Full(Number),
    Made(String),
    /// Which source, and what of it.
    Read(String, Arc<[Window]>),
    Unary(Unary),
    Binary(Binary),
    Select,
    Cast,
    View(View),
    Rechunk,
    Reduce(String, Arc<[usize]>, Option<u32>),
    Totals(String, Arc<[usize]>),
    Scan(usize, bool),
    Product(Arc<[usize]>),
    Concat(usize, Arc<[usize]>),
    Take(usize, Arc<[usize]>),
    Map(String),
}

impl What {
    /// Nothing of what stands outside, and of users' functions: they are equal to no other.
    fn of(op: &Op) -> Option<What> {
        Some(match op {
            Op::Memory(block) => What::Memory(Arc::as_ptr(block).addr()),
            Op::Full(number) => What::Full(*number),
            Op::Made(made) => What::Made(made.label.clone()),
            Op::Read(read) => What::Read(read.key(), read.windows.clone()),
            Op::Unary(f) => What::Unary(*f),
            Op::Binary(f) => What::Binary(*f),
            Op::Select => What::Select,
            Op::Cast => What::Cast,
            Op::View(view) => What::View(view.clone()),
            Op::Rechunk => What::Rechunk,
            Op::Reduce(reduce) => What::Reduce(reduce.fold.key(), reduce.axes.clone(), reduce.split_every),
            Op::Totals(fold, axes) => What::Totals(fold.key(), axes.clone()),
            Op::Scan { axis, product } => What::Scan(*axis, *product),
            Op::Product(groups) => What::Product(groups.clone()),
            Op::Concat { axis, starts } => What::Concat(*axis, starts.clone()),
            Op::Take { axis, places } => What::Take(*axis, places.clone()),
            Op::Map(map) => What::Map(map.key.clone()?),
            Op::Outside | Op::Write(_) => return None,
        })
    }
}

/// Makes all who read equal nodes read the first of them.
pub(super) fn run(plan: &mut Plan) {
    let mut first: HashMap<Key, usize> = HashMap::with_capacity(plan.nodes.len());
    let mut same: Vec<usize> = Vec::with_capacity(plan.nodes.len());
    for (at, node) in plan.nodes.iter_mut().enumerate() {
        node.inputs.iter_mut().for_each(|input| *input = same[*input]);
        let known = What::of(&node.op).map(|what| {
            let (inputs, cuts) = (node.inputs.clone(), node.cuts.clone());
            let key = Key { what, inputs, dtype: node.dtype, cuts, gate: node.gate };
            *first.entry(key).or_insert(at)
        });
        same.push(known.unwrap_or(at));
    }
    plan.roots.iter_mut().for_each(|root| *root = same[*root]);
    plan.node_of.iter_mut().for_each(|node| *node = same[*node]);
}
