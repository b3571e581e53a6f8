//! Nulls filled from other rows: each task tells its last value, one goes through them, and says what each task begins with.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array, UInt64Array, new_null_array};
use arrow::compute::{concat_batches, take};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};

use super::super::kernels::fill::Carry;
use super::super::kernels::{self, Batches};
use super::super::plan::FillOp;
use super::{Lowering, Made, meta};
use crate::error::{Error, Result};
use crate::expr::Lookup;
use crate::graph::{Each, Input, Inputs, LayerRef, Pattern, TaskContext};
use crate::plan::RegionLowering;

impl Lowering {
    pub(super) fn fill(&self, at: usize, op: &FillOp, lowering: &mut RegionLowering<'_, '_>) -> Result<Made> {
        let node = &self.plan.nodes[at];
        let (first, bounds) = self.front(at, lowering)?;
        let (second, _) = self.front(at, lowering)?;
        let (tasks, (bytes, need)) = (first.tasks, first.most());
        let (first_inputs, mut second_inputs) = (first.inputs(), second.inputs());
        let edges = Arc::new(Edges::new(op, &node.schema)?);
        let (own, schema) = (edges.clone(), node.schema.clone());
        let edge = Each::new(move |context: &TaskContext<'_>, index, inputs: &mut Inputs<'_>| {
            let mut carries = vec![Carry::default(); own.columns.len()];
            let mut rest = own.columns.len();
            first.run(context, index, inputs, &mut |batch| {
                let batch = kernels::conform(batch, &schema)?;
                for (column, carry) in own.columns.iter().zip(&mut carries) {
                    // Backward the first value counts, and the nulls before it.
                    let mut found = Carry { value: None, nulls: carry.nulls };
                    if !own.op.backward || carry.value.is_none() {
                        found.pass(batch.column(*column), own.op.backward)?;
                        if own.op.backward && found.value.is_some() {
                            found.nulls += carry.nulls;
                            rest -= 1;
                        }
                        found.value = found.value.or(carry.value.take());
                        *carry = found;
                    }
                }
                Ok(if own.op.backward && rest == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })?;
            Ok(vec![own.batch(carries)?])
        });
        let own = edges.clone();
        let carried = Each::new(move |_: &TaskContext<'_>, _, inputs: &mut Inputs<'_>| {
            let mut all = Batches::with_capacity(inputs.len());
            for at in 0..inputs.len() {
                all.extend(inputs.take::<Batches>(at)?);
            }
            Ok(vec![own.carried(&all)?])
        });
        let (own, schema) = (edges, node.schema.clone());
        let fill = Each::new(move |context: &TaskContext<'_>, index, inputs: &mut Inputs<'_>| {
            let mut carries = own.carries(inputs.get::<Batches>(inputs.len() - 1)?, index as usize)?;
            let mut kept = Batches::new();
            if own.op.backward {
                let mut all = Batches::new();
                second.run(context, index, inputs, &mut |batch| {
                    all.push(kernels::conform(batch, &schema)?);
                    Ok(ControlFlow::Continue(()))
                })?;
                let mut filled = Batches::new();
                for batch in all.into_iter().rev() {
                    own.fill(batch, &mut carries, &mut |batch| {
                        filled.push(batch);
                        Ok(())
                    })?;
                }
                filled.reverse();
                filled.into_iter().try_for_each(|batch| kernels::keep(&mut kept, batch))?;
            } else {
                second.run(context, index, inputs, &mut |batch| {
                    let batch = kernels::conform(batch, &schema)?;
                    own.fill(batch, &mut carries, &mut |batch| kernels::keep(&mut kept, batch))?;
                    Ok(ControlFlow::Continue(()))
                })?;
            }
            Ok(kept)
        });
        let layer_meta = meta(node, node.verb);
        lowering.gated(node.member, |draft| {
            let edges: LayerRef<Batches> = draft.regular(layer_meta.clone(), tasks, first_inputs, edge.need(need))?;
            let carried: LayerRef<Batches> =
                draft.regular(layer_meta.clone(), 1, vec![edges.read(Pattern::All)], carried)?;
            second_inputs.push(Input { layer: carried.layer(), pattern: Pattern::Slice { start: 0, step: 0 } });
            let filled: LayerRef<Batches> =
                draft.regular(layer_meta, tasks, second_inputs, fill.need(2 * bytes + need))?;
            Ok(Made { layer: filled.layer(), bounds, bytes })
        })
    }
}

/// Bytes of a piece of a batch that is filled, where a single row is not larger.
const PIECE_BYTES: u64 = 16 << 20;

/// What goes from task to task, as a batch: a row for each task, for each column that is filled the value and the number of nulls after
/// it.
struct Edges {
    op: FillOp,
    /// By their places in the table.
    columns: Vec<usize>,
    schema: SchemaRef,
}

impl Edges {
    fn new(op: &FillOp, schema: &SchemaRef) -> Result<Edges> {
        let places = Lookup::new(schema);
        let columns = op.columns.iter().map(|name| places.place(name)).collect::<Option<Vec<usize>>>();
        let columns = columns.ok_or_else(|| Error::internal("a column is filled that is not there"))?;
        let mut fields = Vec::with_capacity(2 * columns.len());
        for (number, column) in columns.iter().enumerate() {
            fields.push(Field::new(format!("value {number}"), schema.field(*column).data_type().clone(), true));
            fields.push(Field::new(format!("nulls {number}"), DataType::UInt64, false));
        }
        Ok(Edges { op: op.clone(), columns, schema: Arc::new(Schema::new(fields)) })
    }

    /// One row.
    fn batch(&self, carries: Vec<Carry>) -> Result<RecordBatch> {
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(2 * carries.len());
        for (carry, field) in carries.into_iter().zip(self.schema.fields().iter().step_by(2)) {
            arrays.push(carry.value.unwrap_or_else(|| new_null_array(field.data_type(), 1)));
            arrays.push(Arc::new(UInt64Array::from(vec![carry.nulls])));
        }
        kernels::batch_of(&self.schema, arrays, 1)
    }

    /// From what each task ends with to what each begins with.
    fn carried(&self, ends: &Batches) -> Result<RecordBatch> {
        let all = concat_batches(&self.schema, ends).map_err(kernels::failed)?;
        let tasks = all.num_rows();
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(all.num_columns());
        for column in (0..all.num_columns()).step_by(2) {
            let (values, nulls) = (all.column(column), all.column(column + 1).as_primitive::<UInt64Type>());
            let there = values.logical_nulls();
            let (mut from, mut counts) = (vec![None; tasks], vec![0u64; tasks]);
            let (mut last, mut since) = (None, 0);
            let mut visit = |task: usize| {
                (from[task], counts[task]) = (last, since);
                if there.as_ref().is_none_or(|there| there.is_valid(task)) {
                    (last, since) = (Some(task as u32), nulls.value(task));
                } else {
                    since += nulls.value(task);
                }
            };
            if self.op.backward {
                (0..tasks).rev().for_each(&mut visit)
            } else {
                (0..tasks).for_each(&mut visit)
            }
            arrays.push(take(values, &UInt32Array::from(from), None).map_err(kernels::failed)?);
            arrays.push(Arc::new(UInt64Array::from(counts)));
        }
        kernels::batch_of(&self.schema, arrays, tasks)
    }

    /// What a task begins with.
    fn carries(&self, carried: &Batches, task: usize) -> Result<Vec<Carry>> {
        let batch = carried.first().filter(|batch| task < batch.num_rows());
        let batch = batch.ok_or_else(|| Error::internal("a task without a beginning"))?;
        let carry = |column: usize| {
            let value = batch.column(column).slice(task, 1);
            let nulls = batch.column(column + 1).as_primitive::<UInt64Type>().value(task);
            Carry { value: (value.logical_null_count() == 0).then_some(value), nulls }
        };
        Ok((0..batch.num_columns()).step_by(2).map(carry).collect())
    }

    /// Fills a batch and gives it, in several pieces where a large value is filled in often; backward the last piece comes first.
    fn fill(
        &self,
        batch: RecordBatch,
        carries: &mut [Carry],
        give: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let rows = batch.num_rows();
        let mut columns = self.columns.iter().zip(&*carries);
        if !columns.any(|(column, carry)| carry.may_exceed(batch.column(*column), PIECE_BYTES)) {
            return give(self.fill_piece(batch, carries)?);
        }
        let mut bytes = vec![0; rows];
        for (column, carry) in self.columns.iter().zip(&*carries) {
            carry.add_bytes(batch.column(*column), self.op.limit, self.op.backward, &mut bytes);
        }
        let mut start = 0;
        while start < rows {
            let (mut len, mut sum) = (0, 0u64);
            while start + len < rows {
                let row = start + len;
                sum += bytes[if self.op.backward { rows - 1 - row } else { row }];
                if sum > PIECE_BYTES && len > 0 {
                    break;
                }
                len += 1;
            }
            let from = if self.op.backward { rows - start - len } else { start };
            give(self.fill_piece(batch.slice(from, len), carries)?)?;
            start += len;
        }
        Ok(())
    }

    fn fill_piece(&self, batch: RecordBatch, carries: &mut [Carry]) -> Result<RecordBatch> {
        let mut arrays = batch.columns().to_vec();
        for (column, carry) in self.columns.iter().zip(carries) {
            arrays[*column] = carry.fill(&arrays[*column], self.op.limit, self.op.backward)?;
        }
        kernels::batch_of(&batch.schema(), arrays, batch.num_rows())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn a_large_value_is_filled_in_pieces() {
        let large = "x".repeat(200 << 10);
        let rows = 500;
        let texts: ArrayRef =
            Arc::new((0..rows).map(|n| (n == 250).then_some(large.as_str())).collect::<StringArray>());
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        let batch = RecordBatch::try_from_iter_with_nullable([("n", numbers, true), ("t", texts, true)]).unwrap();
        for (backward, limit) in [(false, None), (true, None), (false, Some(100)), (true, Some(1))] {
            let op = FillOp { columns: vec!["t".to_string()], limit, backward };
            let edges = Edges::new(&op, &batch.schema()).unwrap();
            let mut pieces = Batches::new();
            let mut give = |batch| {
                pieces.push(batch);
                Ok(())
            };
            edges.fill(batch.clone(), &mut [Carry::default()], &mut give).unwrap();
            if backward {
                pieces.reverse();
            }
            let filled = (if backward { 251 } else { 250 }).min(limit.map_or(500, |limit| limit as usize + 1));
            assert_eq!(pieces.len(), (filled * large.len()).div_ceil(16 << 20), "{backward} {limit:?}");
            assert!(pieces.iter().all(|piece| kernels::batch_bytes(piece) < (17 << 20)));
            let all = concat_batches(&batch.schema(), &pieces).unwrap();
            let whole = edges.fill_piece(batch.clone(), &mut [Carry::default()]).unwrap();
            assert_eq!(all, whole);
        }
    }
}
