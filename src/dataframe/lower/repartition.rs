//! Partitions cut anew: fewer by putting neighbours together, more by cutting them at rows.
//!
//! New bounds stand at equal fractions of the old partitions, in units of which the table is measured: so a row's place depends on nothing
//! but the rows of its own old partition, and rows are handed on as soon as those are counted.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use super::super::kernels::{self, Batches};
use super::number::running;
use super::{Lowering, Made, meta};
use crate::error::{Error, Result};
use crate::graph::{Each, Inputs, LayerRef, OneCall, Pattern, TaskContext, Tasks};
use crate::plan::RegionLowering;

impl Lowering {
    pub(super) fn repartition(&self, at: usize, lowering: &mut RegionLowering<'_, '_>) -> Result<Made> {
        let node = &self.plan.nodes[at];
        let below = node.inputs[0];
        let made = match &self.made[below] {
            Some(made) => made.clone(),
            None => self.collect(below, lowering)?,
        };
        let (old, new) = (u64::from(self.plan.nodes[below].partitions), u64::from(node.partitions));
        // New partition `p` begins at `p * old / new` old ones: the places where old ones are cut, by the numerator.
        let cuts = |partition: u64| {
            let first = (partition * new) / old + 1;
            (first..new)
                .take_while(move |cut| cut * old < (partition + 1) * new)
                .map(move |cut| cut * old - partition * new)
        };
        // What others read too may have more columns than are wanted here.
        let alike = self.plan.nodes[below].schema.fields() == node.schema.fields();
        if old == 0 || (alike && (0..old).all(|partition| cuts(partition).next().is_none())) {
            let bound = |number: u64| made.bounds[(number * old / new) as usize];
            let bounds = (0..=new).map(bound).collect();
            return Ok(Made { layer: made.layer, bounds, bytes: made.bytes });
        }
        let layer_meta = meta(node, node.verb);
        let counts = Each::new(|_: &TaskContext<'_>, _, inputs: &mut Inputs<'_>| {
            Ok(inputs.get::<Batches>(0)?.iter().map(|batch| batch.num_rows() as u64).sum::<u64>())
        });
        let reads = vec![crate::graph::Input { layer: made.layer, pattern: Pattern::OneToOne }];
        let counts: LayerRef<u64> = lowering.draft().regular(layer_meta.clone(), made.pieces(), reads, counts)?;
        // Of each old partition that is cut: where the rows of its pieces begin.
        let first_of = |lowering: &mut RegionLowering<'_, '_>, layer: u32| {
            lowering.draft().graph().layers()[layer as usize].pieces.start
        };
        let first_count = first_of(lowering, counts.layer());
        let shared = Arc::new(layer_meta.clone());
        let sums_call = OneCall::shared(&shared, |inputs: &mut Inputs<'_>| {
            let counts = (0..inputs.len()).map(|at| inputs.get::<u64>(at).copied()).collect::<Result<Vec<u64>>>()?;
            Ok(running(counts))
        });
        let schema = node.schema.clone();
        let whole = OneCall::shared(&shared, move |inputs: &mut Inputs<'_>| {
            inputs.take::<Batches>(0)?.iter().map(|batch| kernels::named(batch, &schema)).collect::<Result<Batches>>()
        });
        let mut sums = Tasks::with_capacity(old as usize, made.pieces() as usize);
        let mut sums_of = Vec::with_capacity(old as usize);
        for partition in 0..old as usize {
            let pieces = made.bounds[partition]..made.bounds[partition + 1];
            let is_cut = cuts(partition as u64).next().is_some() && !pieces.is_empty();
            sums_of.push(is_cut.then_some(sums.len()));
            if is_cut {
                sums.push(sums_call.clone(), first_count + pieces.start..first_count + pieces.end, 1);
            }
        }
        let sums = lowering.draft().explicit(layer_meta.clone(), sums)?;
        let (first_sum, first_piece) = (first_of(lowering, sums), first_of(lowering, made.layer));
        let mut tasks = Tasks::with_capacity(made.pieces() as usize, 2 * made.pieces() as usize);
        let mut bounds = vec![0u32];
        for partition in 0..old {
            let pieces = made.bounds[partition as usize]..made.bounds[partition as usize + 1];
            let ends = cuts(partition).map(Some).chain([None]);
            let mut from = 0;
            for end in ends {
                for (place, piece) in pieces.clone().enumerate() {
                    match sums_of[partition as usize] {
                        Some(sum) => {
                            let (schema, to) = (node.schema.clone(), end.unwrap_or(new));
                            let cut = Cut { schema, place, from, to, of: new };
                            let call = OneCall::shared(&shared, move |inputs: &mut Inputs<'_>| cut.rows(inputs));
                            tasks.push(call, [first_piece + piece, first_sum + sum], 1);
                        }
                        None => {
                            tasks.push(whole.clone(), [first_piece + piece], 1);
                        }
                    }
                }
                from = end.unwrap_or(new);
                // A cut ends a new partition; so does the end of an old one, where the new bound falls on it.
                if end.is_some() || ((partition + 1) * new) % old == 0 {
                    bounds.push(tasks.len());
                }
            }
        }
        if bounds.len() as u64 != new + 1 {
            return Err(Error::internal(format!("{} partitions in place of {new}", bounds.len() - 1)));
        }
        let layer = lowering.draft().explicit(layer_meta, tasks)?;
        Ok(Made { layer, bounds: bounds.into(), bytes: made.bytes })
    }
}

/// The rows of a piece that lie between two fractions of its partition's.
struct Cut {
    schema: SchemaRef,
    /// Which piece of the partition it is.
    place: usize,
    /// In units of `1 / of`.
    from: u64,
    to: u64,
    of: u64,
}

impl Cut {
    /// Of the piece, by where the rows of each piece of the partition begin.
    fn rows(&self, inputs: &Inputs<'_>) -> Result<Batches> {
        let starts = inputs.get::<Vec<u64>>(1)?;
        let total = starts.last().copied().unwrap_or(0);
        let row = |part: u64| (u128::from(total) * u128::from(part)).div_ceil(u128::from(self.of)) as u64;
        let (from, to) = (row(self.from), row(self.to));
        let mut at = starts.get(self.place).copied().ok_or_else(|| Error::internal("a piece without a place"))?;
        let mut cut = Batches::new();
        for batch in inputs.get::<Batches>(0)? {
            let (first, end) = (at.max(from), (at + batch.num_rows() as u64).min(to));
            if first < end {
                cut.push(kernels::named(&batch.slice((first - at) as usize, (end - first) as usize), &self.schema)?);
            }
            at += batch.num_rows() as u64;
        }
        Ok(cut)
    }
}
