//! Rows taken and counted: `count_rows`, `head`, `tail`, the first of an order, `concat`, whole partitions.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;

use super::super::kernels::parts::Enlarging;
use super::super::kernels::top::Top;
use super::super::kernels::{self, Batches};
use super::super::plan::{Op, SortKey};
use super::pipeline::Pipeline;
use super::{Lowering, Made, gather_call, gather_pieces, meta};
use crate::error::{Error, Result, Role};
use crate::expr::{Expr, Lookup, Program};
use crate::graph::{Each, Input, Inputs, LayerRef, Pattern, TaskContext, Tasks, one_call};
use crate::plan::RegionLowering;
use crate::store::shown_bytes;

/// Tasks of the first wave of a `head`; each further wave has twice as many.
const FIRST_WAVE: u32 = 1;

/// Every task reads the only piece. A broadcast would be a barrier in the order of tasks: rows of one wave are to go on before
/// the next wave is read.
const ONE: Pattern = Pattern::Product { stride: 1, extent: 1 };

/// How many lists of first rows a step of the tree takes together.
const TREE_FAN: u32 = 8;

impl Lowering {
    /// Counts each morsel, then all; nothing is read where the source knows.
    pub(super) fn count_rows(&self, at: usize, lowering: &mut RegionLowering<'_, '_>) -> Result<Made> {
        let node = &self.plan.nodes[at];
        let layer_meta = meta(node, "count_rows");
        let below = &self.plan.nodes[node.inputs[0]];
        if let (Op::Scan(scan), None) = (&below.op, &self.made[node.inputs[0]])
            && scan.predicates.is_empty()
            && let Some(rows) = scan.source.rows()
        {
            let source = scan.source.clone();
            let known = Each::new(move |_: &TaskContext<'_>, _, _: &mut Inputs<'_>| source.unchanged().map(|()| rows));
            let member = node.member;
            let layer: LayerRef<u64> =
                lowering.gated(member, |draft| draft.regular(layer_meta, 1, Vec::new(), known))?;
            return Ok(Made::each(layer.layer(), 1));
        }
        self.summed(at, |batch| Ok(batch.num_rows() as u64), lowering)
    }

    /// The bytes that rows take in memory, summed.
    pub(super) fn count_bytes(&self, at: usize, lowering: &mut RegionLowering<'_, '_>) -> Result<Made> {
        let schema = self.plan.nodes[self.plan.nodes[at].inputs[0]].schema.clone();
        let of = move |batch: RecordBatch| -> Result<u64> {
            Ok(kernels::conform(batch, &schema)?.columns().iter().map(|column| shown_bytes(column)).sum())
        };
        self.summed(at, of, lowering)
    }

    /// The sum of a number of each batch.
    fn summed(
        &self,
        at: usize,
        of: impl Fn(RecordBatch) -> Result<u64> + Send + Sync + 'static,
        lowering: &mut RegionLowering<'_, '_>,
    ) -> Result<Made> {
        let node = &self.plan.nodes[at];
        let layer_meta = meta(node, node.verb);
        let (pipeline, _) = self.front(at, lowering)?;
        let (tasks, inputs, (_, need)) = (pipeline.tasks, pipeline.inputs(), pipeline.most());
        let count = Each::new(move |context: &TaskContext<'_>, index, inputs: &mut Inputs<'_>| {
            let mut sum = 0;
            pipeline.run(context, index, inputs, &mut |batch| {
                sum += of(batch)?;
                Ok(ControlFlow::Continue(()))
            })?;
            Ok(sum)
        });
        let total = Each::new(|_: &TaskContext<'_>, _, inputs: &mut Inputs<'_>| {
            (0..inputs.len()).map(|at| inputs.get::<u64>(at).copied()).sum::<Result<u64>>()
        });
        let member = node.member;
        lowering.gated(member, |draft| {
            let counts: LayerRef<u64> = draft.regular(layer_meta.clone(), tasks, inputs, count.need(need))?;
            let total: LayerRef<u64> = draft.regular(layer_meta, 1, vec![counts.read(Pattern::All)], total)?;
            Ok(Made::each(total.layer(), 1))
        })
    }

    /// The first rows, or the last ones. Morsels are read in waves, each twice as large as the one before; a wave that begins
    /// when enough rows are there reads nothing. What is read of a morsel stays a piece of its own, which is cut off when the rows
    /// before it are counted.
    pub(super) fn slice(&self, at: usize, len: u64, end: bool, lowering: &mut RegionLowering<'_, '_>) -> Result<Made> {
        let node = &self.plan.nodes[at];
        let (pipeline, _) = self.front(at, lowering)?;
        let (pipeline, layer_meta) = (Arc::new(pipeline), meta(node, if end { "tail" } else { "head" }));
        let (bytes, need) = pipeline.most();
        let (tasks, member) = (pipeline.tasks, node.member);
        // Of each wave the number of morsels, what was read of each, and the rows before each of them and after all.
        let mut waves: Vec<(u32, LayerRef<Batches>, LayerRef<Vec<u64>>)> = Vec::new();
        let mut before: Option<LayerRef<Vec<u64>>> = None;
        let (mut next, mut wave) = (0, FIRST_WAVE);
        while next < tasks {
            let count = wave.min(tasks - next);
            // Counted from the side from which rows are taken.
            let first = if end { tasks - next - count } else { next };
            let mut inputs: Vec<Input> = Vec::new();
            if let Some(layer) = pipeline.piece_layer {
                inputs.push(Input { layer, pattern: Pattern::Slice { start: first, step: 1 } });
            }
            inputs.extend(pipeline.shared_inputs());
            inputs.extend(before.map(|before| before.read(ONE)));
            let (own, waits, schema) = (pipeline.clone(), before.is_some(), node.schema.clone());
            let take = Each::new(move |context: &TaskContext<'_>, index, inputs: &mut Inputs<'_>| {
                let taken = if waits { taken(inputs.get::<Vec<u64>>(inputs.len() - 1)?) } else { 0 };
                if taken >= len {
                    return Ok(Batches::new());
                }
                let rows = usize::try_from(len - taken).unwrap_or(usize::MAX);
                slice_of(&own, context, first + index, inputs, (rows, end), &schema)
            });
            let rows = Each::new(|_: &TaskContext<'_>, _, inputs: &mut Inputs<'_>| inputs.get(0).map(rows_of));
            let sum = Each::new(move |_: &TaskContext<'_>, _, inputs: &mut Inputs<'_>| {
                let morsels = inputs.len() - usize::from(waits);
                let mut sum = if waits { taken(inputs.get::<Vec<u64>>(morsels)?) } else { 0 };
                let mut sums = vec![0; morsels + 1];
                for step in 0..morsels {
                    let morsel = if end { morsels - 1 - step } else { step };
                    sums[morsel] = sum;
                    sum += *inputs.get::<u64>(morsel)?;
                }
                sums[morsels] = sum;
                Ok(sums)
            });
            let (made, sums) = lowering.gated(member, |draft| {
                let made: LayerRef<Batches> =
                    draft.regular(layer_meta.clone(), count, inputs, take.need(bytes.min(32 << 20) + need))?;
                // Numbers, so that no task needs all morsels in memory to count them.
                let rows: LayerRef<u64> =
                    draft.regular(layer_meta.clone(), count, vec![made.read(Pattern::OneToOne)], rows)?;
                let mut reads = vec![rows.read(Pattern::All)];
                reads.extend(before.map(|before| before.read(ONE)));
                let sums: LayerRef<Vec<u64>> = draft.regular(layer_meta.clone(), 1, reads, sum)?;
                Ok((made, sums))
            })?;
            waves.push((count, made, sums));
            before = Some(sums);
            next += count;
            wave = wave.saturating_mul(2);
        }
        if end {
            waves.reverse();
        }
        let shared = Arc::new(layer_meta.clone());
        let mut calls = Tasks::with_capacity(tasks as usize, 2 * tasks as usize);
        for (count, made, sums) in waves {
            let layers = lowering.draft().graph().layers();
            let piece = |layer: u32| layers[layer as usize].pieces.start;
            let (pieces, sums) = (piece(made.layer()), piece(sums.layer()));
            for index in 0..count {
                let call = one_call(&shared, move |inputs: &mut Inputs<'_>| cut(inputs, index as usize, len, end));
                calls.push(call, [pieces + index, sums], 1);
            }
        }
        let layer = lowering.draft().explicit(layer_meta, calls)?;
        Ok(Made { layer, bounds: [0, tasks].into(), bytes })
    }

    /// The first rows of an order: of each morsel, then of some together, and so on.
    pub(super) fn top(
        &self,
        at: usize,
        by: &[SortKey],
        len: u64,
        lowering: &mut RegionLowering<'_, '_>,
    ) -> Result<Made> {
        let node = &self.plan.nodes[at];
        let (pipeline, _) = self.front(at, lowering)?;
        let input = pipeline.output().clone();
        let exprs: Vec<Expr> = by.iter().map(|key| key.of.clone()).collect();
        let program = Arc::new(Program::new(&exprs, &input)?);
        let enlarging = Enlarging::of(&exprs, &input).map(Arc::new);
        let descending: Arc<[bool]> = by.iter().map(|key| key.descending).collect();
        let layer_meta = meta(node, node.verb);
        let (tasks, inputs, (bytes, need)) = (pipeline.tasks, pipeline.inputs(), pipeline.most());
        let rows = usize::try_from(len).unwrap_or(usize::MAX);
        let (own, order, schema, large) = (program.clone(), descending.clone(), input.clone(), enlarging.clone());
        let first = Each::new(move |context: &TaskContext<'_>, index, inputs: &mut Inputs<'_>| {
            let mut top = Top::new(&own, &order, rows, context.budget()).enlarging(large.as_deref());
            pipeline.run(context, index, inputs, &mut |batch| {
                top.add(kernels::conform(batch, &schema)?)?;
                Ok(ControlFlow::Continue(()))
            })?;
            top.finish(false)
        });
        let places = Lookup::new(&input);
        let columns: Vec<usize> = (0..node.schema.fields().len())
            .map(|column| places.place(node.schema.field(column).name()))
            .collect::<Option<_>>()
            .ok_or_else(|| Error::internal("the first rows have a column that is not there"))?;
        let output = node.schema.clone();
        let member = node.member;
        lowering.gated(member, |draft| {
            let mut made: LayerRef<Batches> =
                draft.regular(layer_meta.clone(), tasks, inputs, first.need(bytes + need))?;
            loop {
                let last = made.tasks() <= TREE_FAN;
                let (own, order, large) = (program.clone(), descending.clone(), enlarging.clone());
                let (columns, output) = (columns.clone(), output.clone());
                let merge = Each::new(move |context: &TaskContext<'_>, _, inputs: &mut Inputs<'_>| {
                    let mut top = Top::new(&own, &order, rows, context.budget()).enlarging(large.as_deref());
                    for at in 0..inputs.len() {
                        inputs.take::<Batches>(at)?.into_iter().try_for_each(|batch| top.add(batch))?;
                    }
                    let found = top.finish(last)?;
                    if !last {
                        return Ok(found);
                    }
                    let picked = found.into_iter().map(|batch| {
                        let arrays = columns.iter().map(|column| batch.column(*column).clone()).collect();
                        kernels::batch_of(&output, arrays, batch.num_rows())
                    });
                    picked.collect::<Result<Batches>>()
                });
                let count = made.tasks().div_ceil(TREE_FAN).max(1);
                let pattern = if last { Pattern::All } else { Pattern::Tree { fan: TREE_FAN } };
                made = draft.regular(layer_meta.clone(), count, vec![made.read(pattern)], merge)?;
                if last {
                    return Ok(Made::each(made.layer(), 1));
                }
            }
        })
    }

    /// The pieces of all inputs, one behind another.
    pub(super) fn concat(&self, at: usize, lowering: &mut RegionLowering<'_, '_>) -> Result<Made> {
        let node = &self.plan.nodes[at];
        let layer_meta = meta(node, "concat");
        let mut parts: Vec<Made> = Vec::with_capacity(node.inputs.len());
        for input in &node.inputs {
            parts.push(match &self.made[*input] {
                Some(made) => made.clone(),
                None => self.collect(*input, lowering)?,
            });
        }
        let count: usize = parts.iter().map(|made| made.pieces() as usize).sum();
        let call = gather_call(&Arc::new(layer_meta.clone()), Some(node.schema.clone()));
        let mut tasks = Tasks::with_capacity(count, count);
        let mut bounds = vec![0];
        for made in &parts {
            let first = lowering.draft().graph().layers()[made.layer as usize].pieces.start;
            for piece in 0..made.pieces() {
                tasks.push(call.clone(), [first + piece], 1);
            }
            let base = bounds.last().copied().unwrap_or(0);
            bounds.extend(made.bounds.iter().skip(1).map(|bound| base + bound));
        }
        let layer = lowering.draft().explicit(layer_meta, tasks)?;
        let bytes = parts.iter().map(|made| made.bytes).max().unwrap_or(0);
        Ok(Made { layer, bounds: bounds.into(), bytes })
    }

    /// Each partition in one piece, with the types that the schema says.
    pub(super) fn gather(&self, at: usize, lowering: &mut RegionLowering<'_, '_>) -> Result<Made> {
        let node = &self.plan.nodes[at];
        let below = node.inputs[0];
        let made = match &self.made[below] {
            Some(made) => made.clone(),
            None => self.collect(below, lowering)?,
        };
        let each = made.bounds.windows(2).all(|range| range[1] == range[0] + 1);
        if each && made.bounds.len() == node.partitions as usize + 1 {
            return Ok(made);
        }
        let bounds = made.bounds.clone();
        let layer = gather_pieces(lowering, &made, &bounds, meta(node, node.verb), Some(node.schema.clone()))?;
        Ok(Made { bytes: node.bytes.iter().sum(), ..Made::each(layer, node.partitions) })
    }

    /// One piece of the partitions.
    pub(super) fn partition(&self, at: usize, number: u32, lowering: &mut RegionLowering<'_, '_>) -> Result<Made> {
        let node = &self.plan.nodes[at];
        let made = self.made[node.inputs[0]].clone().ok_or_else(|| Error::internal("partitions without a layer"))?;
        let take = Each::new(|_: &TaskContext<'_>, _, inputs: &mut Inputs<'_>| inputs.take::<Batches>(0));
        let reads = vec![Input { layer: made.layer, pattern: Pattern::Slice { start: number, step: 1 } }];
        let layer: LayerRef<Batches> = lowering.draft().regular(meta(node, node.verb), 1, reads, take)?;
        Ok(Made::each(layer.layer(), 1))
    }

    /// A user's function of each partition as one batch.
    pub(super) fn map_partitions(&self, at: usize, lowering: &mut RegionLowering<'_, '_>) -> Result<Made> {
        let node = &self.plan.nodes[at];
        let Op::Map(map) = &node.op else { return Err(Error::internal("a function of partitions that is none")) };
        let (map, own) = (map.clone(), meta(node, node.verb));
        let made = self.made[node.inputs[0]].clone().ok_or_else(|| Error::internal("partitions without a layer"))?;
        let (input, layer_meta) = (self.plan.nodes[node.inputs[0]].schema.clone(), own.clone());
        let call = Each::new(move |_: &TaskContext<'_>, _, inputs: &mut Inputs<'_>| {
            let batches: Batches = inputs.take(0)?;
            let whole = concat_batches(&input, &batches).map_err(kernels::failed)?;
            drop(batches);
            let made = (map.function)(whole).and_then(|made| kernels::declared(made, &map.schema));
            Ok(vec![made.map_err(|error| error.frame(Role::In, own.verb, own.origin))?])
        });
        let bytes: u64 = self.plan.nodes[node.inputs[0]].bytes.iter().sum();
        let reads = vec![Input { layer: made.layer, pattern: Pattern::OneToOne }];
        let layer: LayerRef<Batches> =
            lowering.draft().regular(layer_meta, made.pieces(), reads, call.need(2 * bytes))?;
        Ok(Made::each(layer.layer(), made.pieces()))
    }
}

/// The first or last rows of one morsel.
pub(super) fn slice_of(
    pipeline: &Pipeline,
    context: &TaskContext<'_>,
    morsel: u32,
    inputs: &mut Inputs<'_>,
    (rows, end): (usize, bool),
    schema: &SchemaRef,
) -> Result<Batches> {
    let mut kept = Batches::new();
    let mut count = 0;
    pipeline.run(context, morsel, inputs, &mut |batch: RecordBatch| {
        count += batch.num_rows();
        kept.push(batch);
        if end {
            // What is certainly not among the last rows goes at once.
            while kept.first().is_some_and(|first| count - first.num_rows() >= rows) {
                count -= kept.remove(0).num_rows();
            }
            return Ok(ControlFlow::Continue(()));
        }
        Ok(if count >= rows { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    let mut own = Batches::new();
    for batch in kernels::limit(kept, rows, end) {
        kernels::keep(&mut own, kernels::conform(batch, schema)?)?;
    }
    Ok(own)
}

fn rows_of(batches: &Batches) -> u64 {
    batches.iter().map(|batch| batch.num_rows() as u64).sum()
}

/// The rows of all waves so far.
fn taken(sums: &[u64]) -> u64 {
    sums.last().copied().unwrap_or(0)
}

/// Keeps of the rows of one morsel those that are among the first ones, or the last ones, of the table: by the rows before each
/// morsel of its wave.
fn cut(inputs: &mut Inputs<'_>, index: usize, len: u64, end: bool) -> Result<Batches> {
    let before = inputs.get::<Vec<u64>>(1)?.get(index).copied().unwrap_or(len);
    let rows = usize::try_from(len.saturating_sub(before)).unwrap_or(usize::MAX);
    let batches: Batches = inputs.take(0)?;
    if rows_of(&batches) <= rows as u64 {
        return Ok(batches);
    }
    let mut kept = Batches::new();
    for batch in kernels::limit(batches, rows, end) {
        kernels::keep(&mut kept, batch)?;
    }
    Ok(kept)
}
