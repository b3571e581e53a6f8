//! Rows taken and counted: `count_rows`, `head`, `tail`, the first of an order, `concat`, whole partitions.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::concat_batches;

use super::super::kernels::top::Top;
use super::super::kernels::{self, Batches};
use super::super::plan::{Op, SortKey};
use super::pipeline::{Pipeline, Source};
use super::{GatherCall, Lowering, Made, gather_pieces, meta};
use crate::error::{Error, Result, Role};
use crate::expr::{Expr, Program};
use crate::graph::{Each, Input, Inputs, LayerRef, Pattern, TaskContext, Tasks};
use crate::plan::RegionLowering;

/// Tasks of the first wave of a `head`; each further wave has twice as many.
const FIRST_WAVE: u32 = 1;

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
            let known = Each::new(move |_: &TaskContext<'_>, _, _: &mut Inputs<'_>| Ok(rows));
            let member = node.member;
            let layer: LayerRef<u64> =
                lowering.gated(member, |draft| draft.regular(layer_meta, 1, Vec::new(), known))?;
            return Ok(Made::each(layer.layer(), 1));
        }
        self.summed(at, |batch| Ok(batch.num_rows() as u64), lowering)
    }

    /// The bytes that rows take in memory, summed.
    pub(super) fn count_bytes(&self, at: usize, lowering: &mut RegionLowering<'_, '_>) -> Result<Made> {
        let bytes = |column: &ArrayRef| column.to_data().get_slice_memory_size().unwrap_or(0) as u64;
        let schema = self.plan.nodes[self.plan.nodes[at].inputs[0]].schema.clone();
        let of = move |batch: RecordBatch| -> Result<u64> {
            Ok(kernels::conform(batch, &schema)?.columns().iter().map(bytes).sum())
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
    /// when enough rows are there reads nothing.
    pub(super) fn slice(&self, at: usize, len: u64, end: bool, lowering: &mut RegionLowering<'_, '_>) -> Result<Made> {
        let node = &self.plan.nodes[at];
        let (pipeline, _) = self.front(at, lowering)?;
        let (pipeline, layer_meta) = (Arc::new(pipeline), meta(node, if end { "tail" } else { "head" }));
        let (bytes, need) = pipeline.most();
        let tasks = pipeline.tasks;
        let mut waves: Vec<LayerRef<Batches>> = Vec::new();
        let mut before: Option<LayerRef<u64>> = None;
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
            inputs.extend(before.map(|before| before.read(Pattern::Broadcast)));
            let (own, waits) = (pipeline.clone(), before.is_some());
            let take = Each::new(move |context: &TaskContext<'_>, index, inputs: &mut Inputs<'_>| {
                let taken = if waits { *inputs.get::<u64>(inputs.len() - 1)? } else { 0 };
                if taken >= len {
                    return Ok(Batches::new());
                }
                slice_of(&own, context, first + index, inputs, (len - taken) as usize, end)
            });
            let member = node.member;
            let (made, counted) = lowering.gated(member, |draft| {
                let made: LayerRef<Batches> =
                    draft.regular(layer_meta.clone(), count, inputs, take.need(bytes.min(32 << 20) + need))?;
                let rows = Each::new(move |_: &TaskContext<'_>, _, inputs: &mut Inputs<'_>| {
                    let pieces = inputs.len() - usize::from(waits);
                    let own = (0..pieces).map(|at| inputs.get::<Batches>(at).map(rows_of)).sum::<Result<u64>>()?;
                    Ok(own + if waits { *inputs.get::<u64>(pieces)? } else { 0 })
                });
                let mut reads = vec![made.read(Pattern::All)];
                reads.extend(before.map(|before| before.read(Pattern::Broadcast)));
                let counted: LayerRef<u64> = draft.regular(layer_meta.clone(), 1, reads, rows)?;
                Ok((made, counted))
            })?;
            waves.push(made);
            before = Some(counted);
            next += count;
            wave = wave.saturating_mul(2);
        }
        if end {
            waves.reverse();
        }
        let schema = node.schema.clone();
        let last = Each::new(move |_: &TaskContext<'_>, _, inputs: &mut Inputs<'_>| {
            let mut all = Batches::new();
            for at in 0..inputs.len() {
                all.extend(inputs.take::<Batches>(at)?);
            }
            let all = all.into_iter().map(|batch| kernels::conform(batch, &schema)).collect::<Result<Batches>>()?;
            Ok(kernels::limit(all, len as usize, end))
        });
        let reads = waves.iter().map(|wave| wave.read(Pattern::All)).collect();
        let member = node.member;
        let layer: LayerRef<Batches> = lowering.gated(member, |draft| draft.regular(layer_meta, 1, reads, last))?;
        Ok(Made::each(layer.layer(), 1))
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
        let descending: Arc<[bool]> = by.iter().map(|key| key.descending).collect();
        let layer_meta = meta(node, node.verb);
        let (tasks, inputs, (bytes, need)) = (pipeline.tasks, pipeline.inputs(), pipeline.most());
        let rows = usize::try_from(len).unwrap_or(usize::MAX);
        let (own, order, schema) = (program.clone(), descending.clone(), input.clone());
        let first = Each::new(move |context: &TaskContext<'_>, index, inputs: &mut Inputs<'_>| {
            let mut top = Top::new(&own, &order, rows);
            pipeline.run(context, index, inputs, &mut |batch| {
                top.add(kernels::conform(batch, &schema)?)?;
                Ok(ControlFlow::Continue(()))
            })?;
            top.finish(false)
        });
        let columns: Vec<usize> = (0..node.schema.fields().len())
            .map(|column| input.index_of(node.schema.field(column).name()))
            .collect::<Result<_, _>>()
            .map_err(|_| Error::internal("the first rows have a column that is not there"))?;
        let output = node.schema.clone();
        let member = node.member;
        lowering.gated(member, |draft| {
            let mut made: LayerRef<Batches> =
                draft.regular(layer_meta.clone(), tasks, inputs, first.need(bytes + need))?;
            loop {
                let last = made.tasks() <= TREE_FAN;
                let (own, order) = (program.clone(), descending.clone());
                let (columns, output) = (columns.clone(), output.clone());
                let merge = Each::new(move |_: &TaskContext<'_>, _, inputs: &mut Inputs<'_>| {
                    let mut top = Top::new(&own, &order, rows);
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
        let mut tasks = Tasks::with_capacity(count, count);
        let mut bounds = vec![0];
        for made in &parts {
            let first = lowering.draft().graph().layers()[made.layer as usize].pieces.start;
            for piece in 0..made.pieces() {
                let call = GatherCall { meta: layer_meta.clone(), schema: Some(node.schema.clone()) };
                tasks.push(Arc::new(call), [first + piece], 1);
            }
            let base = bounds.last().copied().unwrap_or(0);
            bounds.extend(made.bounds.iter().skip(1).map(|bound| base + bound));
        }
        let layer = lowering.draft().explicit(layer_meta, tasks)?;
        Ok(Made { layer, bounds: bounds.into() })
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
        Ok(Made::each(layer, node.partitions))
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
fn slice_of(
    pipeline: &Pipeline,
    context: &TaskContext<'_>,
    morsel: u32,
    inputs: &mut Inputs<'_>,
    rows: usize,
    end: bool,
) -> Result<Batches> {
    let _ = matches!(pipeline.source, Source::Piece);
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
        kernels::keep(&mut own, batch)?;
    }
    Ok(own)
}

fn rows_of(batches: &Batches) -> u64 {
    batches.iter().map(|batch| batch.num_rows() as u64).sum()
}
