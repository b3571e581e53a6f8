//! From operations on bags to layers of tasks.

use std::any::{Any, type_name};
use std::hash::Hash;

use super::kernels::{Ranked, Tally, measured};
use super::plan::{FromVec, Op, Step};
use crate::error::{Error, Result};
use crate::graph::{Each, Input, Inputs, LayerRef, Meta, Pattern, TaskContext};
use crate::origin::Origin;
use crate::plan::LayerLowering;

/// How many partial counts a step of the tree takes together.
const TREE_FAN: u32 = 8;

/// Gives the items that the plan holds.
pub(super) fn from_vec<T: Any + Send + Sync + Clone>(
    source: &FromVec<T>,
    lowering: &mut LayerLowering<'_>,
) -> Result<u32> {
    let (parts, count) = (source.parts.clone(), source.parts.len() as u32);
    let take = move |_: &TaskContext<'_>, index: u32, _: &mut Inputs<'_>| {
        let part = parts.get(index as usize).map(|part| Vec::clone(part));
        part.ok_or_else(|| Error::internal("a partition that is not there"))
    };
    let meta = meta("from_vec", source.origin);
    let made: LayerRef<Vec<T>> = lowering.draft().regular(meta, count, Vec::new(), Each::new(take))?;
    Ok(made.layer())
}

/// Counts each partition, then all.
pub(super) fn count<T: Any + Send + Sync>(step: &Step<T>, lowering: &mut LayerLowering<'_>) -> Result<u32> {
    let meta = meta(Op::Count.verb(), step.origin);
    let count = |_: &TaskContext<'_>, _, inputs: &mut Inputs<'_>| Ok(inputs.get::<Vec<T>>(0)?.len() as u64);
    let count = Each::new(count).key(format!("count {}", type_name::<T>()));
    let reads = vec![below(lowering)?];
    let counts: LayerRef<u64> = lowering.draft().regular(meta.clone(), step.input.partitions, reads, count)?;
    let total = Each::new(|_: &TaskContext<'_>, _, inputs: &mut Inputs<'_>| {
        (0..inputs.len()).map(|at| inputs.get::<u64>(at).copied()).sum::<Result<u64>>()
    });
    let total = total.key("count total".to_string());
    let total: LayerRef<u64> = lowering.draft().regular(meta, 1, vec![counts.read(Pattern::All)], total)?;
    Ok(total.layer())
}

/// Counts the distinct items of each partition, puts the counts together in a tree, and ranks them.
pub(super) fn frequencies<T>(step: &Step<T>, lowering: &mut LayerLowering<'_>) -> Result<u32>
where
    T: Any + Send + Sync + Clone + Ord + Hash,
{
    let (meta, name) = (meta(Op::Frequencies.verb(), step.origin), type_name::<T>());
    let kind = measured::<Tally<T>>();
    let tally = |_: &TaskContext<'_>, _, inputs: &mut Inputs<'_>| Ok(Tally::of(inputs.get::<Vec<T>>(0)?));
    let tally = Each::new(tally).kind(kind).key(format!("tally {name}"));
    let reads = vec![below(lowering)?];
    let draft = lowering.draft();
    let mut partial: LayerRef<Tally<T>> = draft.regular(meta.clone(), step.input.partitions, reads, tally)?;
    let merged = |inputs: &mut Inputs<'_>| -> Result<Tally<T>> {
        let mut all = Tally::default();
        for at in 0..inputs.len() {
            all.add(inputs.take::<Tally<T>>(at)?);
        }
        Ok(all)
    };
    while partial.tasks() > TREE_FAN {
        let merge = Each::new(move |_: &TaskContext<'_>, _, inputs: &mut Inputs<'_>| merged(inputs));
        let merge = merge.kind(kind).key(format!("merge tallies {name}"));
        let (tasks, reads) = (partial.tasks().div_ceil(TREE_FAN), vec![partial.read(Pattern::Tree { fan: TREE_FAN })]);
        partial = draft.regular(meta.clone(), tasks, reads, merge)?;
    }
    let rank = Each::new(move |_: &TaskContext<'_>, _, inputs: &mut Inputs<'_>| Ok(merged(inputs)?.ranked()));
    let rank = rank.kind(measured::<Ranked<T>>()).key(format!("rank tallies {name}"));
    let ranked: LayerRef<Ranked<T>> = draft.regular(meta, 1, vec![partial.read(Pattern::All)], rank)?;
    Ok(ranked.layer())
}

fn below(lowering: &LayerLowering<'_>) -> Result<Input> {
    let (layer, _) = lowering.input(0)?;
    Ok(Input { layer, pattern: Pattern::OneToOne })
}

fn meta(verb: &'static str, origin: Origin) -> Meta {
    Meta { name: verb.to_string(), verb, origin }
}
