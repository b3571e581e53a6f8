//! From operations on arrays to layers of tasks.

use super::kernels::Moments;
use super::plan::{Op, Step};
use crate::error::{Error, Result};
use crate::graph::{Each, Input, Inputs, LayerRef, Meta, Pattern, TaskContext};
use crate::plan::LayerLowering;
use crate::store::{Block, Element};

/// How many partial results a step of the tree takes together.
const TREE_FAN: u32 = 8;

/// The layer that gives what the step gives.
pub(super) fn lower<A: Element>(step: &Step<A>, lowering: &mut LayerLowering<'_>) -> Result<u32> {
    match &step.op {
        Op::FromVec(blocks) => {
            let (blocks, count) = (blocks.clone(), blocks.len() as u32);
            let take = move |_: &TaskContext<'_>, index: u32, _: &mut Inputs<'_>| {
                let block = blocks.get(index as usize).cloned();
                block.ok_or_else(|| Error::internal("a block that is not there"))
            };
            let made: LayerRef<Block<A>> =
                lowering.draft().regular(meta(step, "from_vec"), count, Vec::new(), Each::new(take))?;
            Ok(made.layer())
        }
        Op::Count => moments(step, lowering, "count", |moments| moments.count),
        Op::Mean => moments(step, lowering, "mean", Moments::mean),
        Op::Std { ddof } => {
            let ddof = *ddof;
            moments(step, lowering, &format!("std {ddof:?}"), move |moments| moments.std(ddof))
        }
    }
}

/// Moments of each block, put together in a tree whose shape depends on the number of blocks alone; then what is asked of
/// them. Equal layers of several reductions are one.
fn moments<A: Element, T: Send + Sync + 'static>(
    step: &Step<A>,
    lowering: &mut LayerLowering<'_>,
    what: &str,
    finish: impl Fn(&Moments) -> T + Send + Sync + 'static,
) -> Result<u32> {
    let input = step.input.as_ref().ok_or_else(|| Error::internal("a reduction without an input"))?;
    let (layer, _) = lowering.input(0)?;
    let draft = lowering.draft();
    let of_block = |_: &TaskContext<'_>, _, inputs: &mut Inputs<'_>| Moments::of(inputs.get::<Block<A>>(0)?);
    let of_block = Each::new(of_block).key(format!("moments of {}", std::any::type_name::<A>()));
    let reads = vec![Input { layer, pattern: Pattern::OneToOne }];
    let name = step.op.verb();
    let mut partial: LayerRef<Moments> = draft.regular(meta(step, name), input.count, reads, of_block)?;
    let merged = |inputs: &Inputs<'_>| -> Result<Moments> {
        let mut all = Moments::default();
        for at in 0..inputs.len() {
            all = all.merge(inputs.get::<Moments>(at)?);
        }
        Ok(all)
    };
    while partial.tasks() > TREE_FAN {
        let merge = Each::new(move |_: &TaskContext<'_>, _, inputs: &mut Inputs<'_>| merged(inputs));
        let merge = merge.key("merge moments".to_string());
        let (tasks, reads) = (partial.tasks().div_ceil(TREE_FAN), vec![partial.read(Pattern::Tree { fan: TREE_FAN })]);
        partial = draft.regular(meta(step, name), tasks, reads, merge)?;
    }
    let last = Each::new(move |_: &TaskContext<'_>, _, inputs: &mut Inputs<'_>| Ok(finish(&merged(inputs)?)));
    let last = last.key(format!("moments to {what}"));
    let last: LayerRef<T> = draft.regular(meta(step, name), 1, vec![partial.read(Pattern::All)], last)?;
    Ok(last.layer())
}

fn meta<A: Element>(step: &Step<A>, verb: &'static str) -> Meta {
    Meta { name: verb.to_string(), verb, origin: step.origin }
}
