//! Partitions cut anew: fewer by putting neighbours together, more by cutting them at rows.
//!
//! New bounds stand at equal fractions of the old partitions, in units of which the table is measured: so a row's place depends on nothing
//! but the rows of its own old partition, and rows are handed on as soon as those are counted.

use std::sync::Arc;

use super::super::kernels::{self, Batches};
use super::number::running;
use super::{Lowering, Made, meta};
use crate::error::{Error, Result};
use crate::graph::{Each, Inputs, LayerRef, Pattern, TaskContext, Tasks, call_of, one_call};
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
        let sums_call = one_call(&shared, |inputs: &mut Inputs<'_>| {
            let counts = (0..inputs.len()).map(|at| inputs.get::<u64>(at).copied()).collect::<Result<Vec<u64>>>()?;
            Ok(running(counts))
        });
        let schema = node.schema.clone();
        let whole = one_call(&shared, move |inputs: &mut Inputs<'_>| {
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
        // A piece is read once, and gives a part for each new partition that begins in its old one.
        let mut slices = Tasks::with_capacity(made.pieces() as usize, 2 * made.pieces() as usize);
        let mut parts_of = Vec::with_capacity(made.pieces() as usize);
        for partition in 0..old {
            let pieces = made.bounds[partition as usize]..made.bounds[partition as usize + 1];
            let Some(sum) = sums_of[partition as usize] else {
                parts_of.extend(pieces.map(|_| None));
                continue;
            };
            let ends: Arc<[u64]> = cuts(partition).chain([new]).collect();
            for (place, piece) in pieces.enumerate() {
                let cut = Cut { place, ends: ends.clone(), of: new };
                let call = call_of::<Batches>(&shared, made.bytes, move |_, inputs, out| {
                    cut.rows(inputs)?.into_iter().for_each(|part| out.push(part));
                    Ok(())
                });
                parts_of.push(Some(slices.push(call, [first_piece + piece, first_sum + sum], ends.len() as u32)));
            }
        }
        let slices = lowering.draft().explicit(layer_meta.clone(), slices)?;
        let first_slice = first_of(lowering, slices);
        let mut tasks = Tasks::with_capacity(made.pieces() as usize, made.pieces() as usize);
        let mut bounds = vec![0u32];
        for partition in 0..old {
            let pieces = made.bounds[partition as usize]..made.bounds[partition as usize + 1];
            let ends = cuts(partition).map(Some).chain([None]);
            for (part, end) in (0u32..).zip(ends) {
                for piece in pieces.clone() {
                    let from = match parts_of[piece as usize] {
                        Some(parts) => first_slice + parts + part,
                        None => first_piece + piece,
                    };
                    tasks.push(whole.clone(), [from], 1);
                }
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

/// The rows of a piece by the fractions of its partition's that they lie between.
struct Cut {
    /// Which piece of the partition it is.
    place: usize,
    /// Where parts end, in units of `1 / of`.
    ends: Arc<[u64]>,
    of: u64,
}

impl Cut {
    /// Of the piece the rows of each part, by where the rows of each piece of the partition begin.
    fn rows(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Batches>> {
        let starts = inputs.get::<Vec<u64>>(1)?;
        let total = starts.last().copied().unwrap_or(0);
        let mut at = starts.get(self.place).copied().ok_or_else(|| Error::internal("a piece without a place"))?;
        let row = |part: u64| (u128::from(total) * u128::from(part)).div_ceil(u128::from(self.of)) as u64;
        let mut parts: Vec<Batches> = vec![Batches::new(); self.ends.len()];
        // The part that the next row is of.
        let mut part = 0;
        for batch in inputs.take::<Batches>(0)? {
            let (mut from, rows) = (0, batch.num_rows() as u64);
            while from < rows {
                let end = row(self.ends[part]);
                if end <= at && part + 1 < parts.len() {
                    part += 1;
                    continue;
                }
                let len = if part + 1 < parts.len() { (end - at).min(rows - from) } else { rows - from };
                kernels::keep(&mut parts[part], batch.slice(from as usize, len as usize))?;
                (from, at) = (from + len, at + len);
            }
        }
        Ok(parts)
    }
}
