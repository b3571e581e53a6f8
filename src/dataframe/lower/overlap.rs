//! A user's function of each partition with rows of its neighbours.
//!
//! Each morsel gives its last rows and its first ones as small pieces. A chain of tasks goes forward through the last ones, from
//! partition to partition, and says what stands before each; another one goes backward and says what stands behind. Then there
//! is one task for each partition. What stands before a partition is known as soon as that is read; what stands behind it not, so
//! its first rows are found in a pass of their own.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use super::super::kernels::{self, Batches};
use super::super::plan::{OverlapOp, UserMap};
use super::rows::slice_of;
use super::{Lowering, Made, meta};
use crate::error::{Error, ErrorKind, Result, Role};
use crate::graph::{Each, Input, Inputs, LayerRef, Meta, Pattern, TaskContext, Tasks, call_of, one_call};
use crate::plan::RegionLowering;

/// About how many bytes a text or a list takes.
const TEXT_BYTES: usize = 16;

impl Lowering {
    pub(super) fn overlap(&self, at: usize, op: &OverlapOp, lowering: &mut RegionLowering<'_, '_>) -> Result<Made> {
        let node = &self.plan.nodes[at];
        let below = node.inputs[0];
        let (schema, bytes) = (self.plan.nodes[below].schema.clone(), self.plan.nodes[below].bytes.iter().sum::<u64>());
        let layer_meta = meta(node, node.verb);
        let after = match op.after {
            0 => None,
            rows => {
                let (pipeline, bounds) = self.front(at, lowering)?;
                let (tasks, inputs, (_, need)) = (pipeline.tasks, pipeline.inputs(), pipeline.most());
                let own = schema.clone();
                let heads = Each::new(move |context: &TaskContext<'_>, index, inputs: &mut Inputs<'_>| {
                    slice_of(&pipeline, context, index, inputs, (rows, false), &own)
                });
                let heads: LayerRef<Batches> = lowering
                    .gated(node.member, |draft| draft.regular(layer_meta.clone(), tasks, inputs, heads.need(need)))?;
                Some(around(lowering, &layer_meta, heads.layer(), &bounds, (rows, false))?)
            }
        };
        let made = match &self.made[below] {
            Some(made) => made.clone(),
            None => self.collect(below, lowering)?,
        };
        let before = match op.before {
            0 => None,
            rows => {
                let own = schema.clone();
                let tails = Each::new(move |_: &TaskContext<'_>, _, inputs: &mut Inputs<'_>| {
                    last_rows(inputs.get::<Batches>(0)?, rows, &own)
                });
                let reads = vec![Input { layer: made.layer, pattern: Pattern::OneToOne }];
                let tails: LayerRef<Batches> =
                    lowering.draft().regular(layer_meta.clone(), made.pieces(), reads, tails)?;
                Some(around(lowering, &layer_meta, tails.layer(), &made.bounds, (rows, true))?)
            }
        };
        let partitions = made.bounds.len().saturating_sub(1) as u32;
        // Rows around a partition, of which there are no more than the table has; then all of them once more, as the function gives them.
        let width =
            schema.fields().iter().map(|field| field.data_type().primitive_width().unwrap_or(TEXT_BYTES) as u64 + 1);
        let around = (op.before as u64).saturating_add(op.after as u64).saturating_mul(width.sum());
        let declared = 2 * (bytes + around.min(bytes.saturating_mul(partitions.into())));
        let shared = Arc::new(layer_meta.clone());
        let whole =
            OnePartition { map: op.map.clone(), schema, before: before.is_some(), after: after.is_some(), declared };
        let own = shared.clone();
        let call = call_of::<Batches>(&shared, declared, move |context, inputs, out| {
            let made = whole.run(context, inputs).map_err(|error| error.frame(Role::In, own.verb, own.origin));
            out.push(made?);
            Ok(())
        });
        let first = first_piece(lowering, made.layer);
        let mut tasks = Tasks::with_capacity(partitions as usize, made.pieces() as usize + 2 * partitions as usize);
        for (partition, range) in (0..partitions).zip(made.bounds.windows(2)) {
            if let Some(before) = before {
                tasks.push_read(before + partition);
            }
            (range[0]..range[1]).for_each(|piece| tasks.push_read(first + piece));
            if let Some(after) = after {
                tasks.push_read(after + partitions - 1 - partition);
            }
            tasks.push_call(call.clone(), 1);
        }
        let layer = lowering.draft().explicit(layer_meta, tasks)?;
        Ok(Made::each(layer, partitions))
    }
}

/// What stands around each partition: of `rows` rows the last ones before it (`end`), or the first ones behind it. Gives the first
/// of the pieces; those behind partitions stand in the order in which they are found, from the last partition to the first.
fn around(
    lowering: &mut RegionLowering<'_, '_>,
    meta: &Meta,
    edges: u32,
    bounds: &[u32],
    (rows, end): (usize, bool),
) -> Result<u32> {
    let (edges, own) = (first_piece(lowering, edges), lowering.draft().next_piece());
    let partitions = bounds.len().saturating_sub(1);
    let call = one_call(&Arc::new(meta.clone()), move |inputs: &mut Inputs<'_>| {
        let mut all = Batches::new();
        for at in 0..inputs.len() {
            all.extend(inputs.take::<Batches>(at)?);
        }
        let mut kept = Batches::new();
        kernels::limit(all, rows, end).into_iter().try_for_each(|batch| kernels::keep(&mut kept, batch))?;
        Ok(kept)
    });
    let mut tasks = Tasks::with_capacity(partitions, bounds.last().copied().unwrap_or(0) as usize + partitions);
    for step in 0..partitions {
        if step > 0 {
            // The neighbour on that side.
            let of = if end { step - 1 } else { partitions - step };
            let (found, range) = (own + step as u32 - 1, bounds[of]..bounds[of + 1]);
            if end {
                tasks.push_read(found);
            }
            range.for_each(|piece| tasks.push_read(edges + piece));
            if !end {
                tasks.push_read(found);
            }
        }
        tasks.push_call(call.clone(), 1);
    }
    lowering.draft().explicit(meta.clone(), tasks)?;
    Ok(own)
}

fn first_piece(lowering: &mut RegionLowering<'_, '_>, layer: u32) -> u32 {
    lowering.draft().graph().layers()[layer as usize].pieces.start
}

/// The last rows of a morsel, without the memory of the others.
fn last_rows(batches: &Batches, rows: usize, schema: &SchemaRef) -> Result<Batches> {
    let mut kept = Batches::new();
    for batch in kernels::limit(batches.clone(), rows, true) {
        kernels::keep(&mut kept, kernels::conform(batch, schema)?)?;
    }
    Ok(kept)
}

/// The task of one partition: it reads what stands before it, its pieces, and what stands behind it.
struct OnePartition {
    map: UserMap,
    schema: SchemaRef,
    before: bool,
    after: bool,
    /// Bytes that it is admitted with.
    declared: u64,
}

impl OnePartition {
    fn run(&self, context: &TaskContext<'_>, inputs: &mut Inputs<'_>) -> Result<Batches> {
        let (first, end) = (usize::from(self.before), inputs.len() - usize::from(self.after));
        let mut all = Batches::new();
        // Rows before the partition, of it, and in all.
        let (mut before, mut own) = (0, 0);
        for at in 0..inputs.len() {
            for batch in inputs.take::<Batches>(at)? {
                let rows = batch.num_rows();
                match at {
                    _ if at < first => before += rows,
                    _ if at < end => own += rows,
                    _ => {}
                }
                all.push(kernels::conform(batch, &self.schema)?);
            }
        }
        if own == 0 {
            return Ok(Batches::new());
        }
        // What is read is there beside its copy, and what is made of that as large again.
        let bytes: u64 = all.iter().map(kernels::batch_bytes).sum();
        let more = (2 * bytes).saturating_sub(self.declared);
        let _held = context.budget().reserve("map_overlap", more).map_err(|refused| {
            let text = format!(
                "{}: a partition and the rows around it are held together, twice; make partitions smaller with repartition, or \
                 raise memory_limit",
                refused.message()
            );
            Error::new(ErrorKind::OutOfMemory, text)
        })?;
        let whole = kernels::concat_rows(&self.schema, &all)?;
        drop(all);
        let given = whole.num_rows();
        let made = (self.map.function)(whole).and_then(|made| kernels::declared(made, &self.map.schema))?;
        if made.num_rows() != given {
            let text = format!(
                "the function gave {} rows of {given}: it has to give one for each, those around the partition too",
                made.num_rows()
            );
            return Err(Error::new(ErrorKind::Task, text));
        }
        let mut kept = Batches::new();
        kernels::keep(&mut kept, made.slice(before, own))?;
        Ok(kept)
    }
}
