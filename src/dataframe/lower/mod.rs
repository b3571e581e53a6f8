//! From operations on tables to layers of tasks.

mod group;

use arrow::array::RecordBatch;

use super::kernels::{decoded_bytes, filter, select};
use super::plan::{Frame, Op, Step};
use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::graph::{Each, Input, Inputs, LayerRef, Meta, Pattern, TaskContext, exchange};
use crate::plan::{Columns, LayerLowering};

/// A partition.
type Batches = Vec<RecordBatch>;

/// The layer that gives what the step gives.
pub(super) fn lower(step: &Step, lowering: &mut LayerLowering<'_>) -> Result<u32> {
    let used = lowering.used().clone();
    match (&step.op, &step.input) {
        (Op::ReadCsv(source), _) => {
            let mut columns: Vec<usize> = wanted(step, &used);
            if columns.is_empty() {
                // The rows are wanted all the same: they are counted by any column.
                columns.push(0);
            }
            let need = (0..source.files().len()).map(|file| source.need(file, &columns)).max().unwrap_or(0);
            let key = format!("read_csv {} {columns:?}", source.key());
            let source = source.clone();
            let read = move |context: &TaskContext<'_>, index: u32, _: &mut Inputs<'_>| {
                source.read(index as usize, &columns, |batch| {
                    context.count_read(decoded_bytes(batch));
                    context.check_cancelled()
                })
            };
            layer(step, lowering, "read_csv", Vec::new(), Each::new(read).need(need).key(key))
        }
        (Op::Filter(condition), Some(input)) => {
            let columns: Vec<String> = names(step, &used);
            let key = format!("filter {condition:?} {columns:?}");
            let condition = condition.clone();
            let run = move |_: &TaskContext<'_>, _: u32, inputs: &mut Inputs<'_>| {
                filter(inputs.get::<Batches>(0)?, &condition, &columns)
            };
            let reads = vec![below(lowering, Pattern::OneToOne)?];
            layer(step, lowering, "filter", reads, Each::new(run).need(input.used_bytes(&used)).key(key))
        }
        (Op::Select(exprs), Some(_)) => {
            let exprs: Vec<Expr> = wanted(step, &used).into_iter().map(|column| exprs[column].clone()).collect();
            let schema = arrow::datatypes::Schema::new(
                wanted(step, &used).into_iter().map(|column| step.schema.field(column).clone()).collect::<Vec<_>>(),
            );
            let (key, schema) = (format!("select {exprs:?}"), std::sync::Arc::new(schema));
            let run = move |_: &TaskContext<'_>, _: u32, inputs: &mut Inputs<'_>| {
                select(inputs.get::<Batches>(0)?, &exprs, &schema)
            };
            let reads = vec![below(lowering, Pattern::OneToOne)?];
            // Columns that are taken as they are share their memory with the input.
            layer(step, lowering, "select", reads, Each::new(run).need(own_bytes(step, &used)).key(key))
        }
        (Op::GroupBy { keys, aggregates }, Some(input)) => {
            let meta = meta(step, "group_by");
            let tenant = group::GroupExchange::new(keys, aggregates, input, &step.schema)?;
            let reads = vec![below(lowering, Pattern::OneToOne)?];
            let parts: LayerRef<Batches> =
                exchange(lowering.draft(), meta, input.partitions, reads, step.partitions, tenant)?;
            Ok(parts.layer())
        }
        (Op::CountRows, Some(input)) => count_rows(step, input, lowering),
        (Op::Filter(_) | Op::Select(_) | Op::GroupBy { .. } | Op::CountRows, None) => {
            Err(Error::internal("an operation on tables without an input"))
        }
    }
}

/// Counts each partition, then all.
fn count_rows(step: &Step, input: &Frame, lowering: &mut LayerLowering<'_>) -> Result<u32> {
    let count = Each::new(|_: &TaskContext<'_>, _, inputs: &mut Inputs<'_>| {
        Ok(inputs.get::<Batches>(0)?.iter().map(|batch| batch.num_rows() as u64).sum::<u64>())
    });
    let total = Each::new(|_: &TaskContext<'_>, _, inputs: &mut Inputs<'_>| {
        (0..inputs.len()).map(|at| inputs.get::<u64>(at).copied()).sum::<Result<u64>>()
    });
    let reads = vec![below(lowering, Pattern::OneToOne)?];
    let (meta, count) = (meta(step, "count_rows"), count.key("count_rows".to_string()));
    let counts: LayerRef<u64> = lowering.draft().regular(meta.clone(), input.partitions, reads, count)?;
    let total = total.key("count_rows total".to_string());
    let total: LayerRef<u64> = lowering.draft().regular(meta, 1, vec![counts.read(Pattern::All)], total)?;
    Ok(total.layer())
}

fn layer(
    step: &Step,
    lowering: &mut LayerLowering<'_>,
    verb: &'static str,
    reads: Vec<Input>,
    op: Each<impl Fn(&TaskContext<'_>, u32, &mut Inputs<'_>) -> Result<Batches> + Send + Sync + 'static, Batches>,
) -> Result<u32> {
    let made: LayerRef<Batches> = lowering.draft().regular(meta(step, verb), step.partitions, reads, op)?;
    Ok(made.layer())
}

fn below(lowering: &LayerLowering<'_>, pattern: Pattern) -> Result<Input> {
    let (layer, _) = lowering.input(0)?;
    Ok(Input { layer, pattern })
}

fn meta(step: &Step, verb: &'static str) -> Meta {
    Meta { name: verb.to_string(), verb, origin: step.origin }
}

/// The used columns by their places.
fn wanted(step: &Step, used: &Columns) -> Vec<usize> {
    let fields = step.schema.fields().iter().enumerate();
    fields.filter(|(_, field)| used.contains(field.name())).map(|(at, _)| at).collect()
}

fn names(step: &Step, used: &Columns) -> Vec<String> {
    wanted(step, used).into_iter().map(|column| step.schema.field(column).name().clone()).collect()
}

/// Bytes of the used columns that a `select` computes.
fn own_bytes(step: &Step, used: &Columns) -> u64 {
    let Op::Select(exprs) = &step.op else { return 0 };
    let computed = wanted(step, used).into_iter().filter(|column| {
        let mut expr = &exprs[*column];
        while let Expr::Alias(of, _) = expr {
            expr = of;
        }
        !matches!(expr, Expr::Column(_))
    });
    // Operands are brought to one type first.
    computed.map(|column| 3 * step.bytes[column]).sum()
}
