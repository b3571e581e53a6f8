//! Group-bys and reductions: the tasks of a pipeline fill tables, one task puts them together.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};

use super::super::kernels::parts::Enlarging;
use super::super::kernels::{self, Batches};
use super::super::plan::Grouping;
use super::pipeline::Pipeline;
use super::{Lowering, Made, meta};
use crate::error::{Error, Result};
use crate::expr::{Expr, Lookup, Program};
use crate::external::group::{AggregateCall, Aggregation, Columns, GroupTables};
use crate::graph::{Chunk, Exchange, Inputs, Kind, LayerRef, TaskContext, exchange};
use crate::plan::RegionLowering;
use crate::store::{Budget, Reservation, chunk};

/// Bytes that a task is admitted with for its groups, until they are counted.
const GROUPS_NEED: u64 = 256 << 10;

impl Lowering {
    pub(super) fn aggregate(
        &self,
        at: usize,
        grouping: &Grouping,
        lowering: &mut RegionLowering<'_, '_>,
    ) -> Result<Made> {
        let node = &self.plan.nodes[at];
        let (pipeline, _) = self.pipeline(node.inputs[0], &grouping.keys, lowering)?;
        let input = pipeline.output().clone();
        let (tasks, inputs) = (pipeline.tasks, pipeline.inputs());
        let tenant = GroupExchange::new(grouping, pipeline, &input, node.schema.clone())?;
        let layer_meta = meta(node, node.verb);
        let parts: LayerRef<Batches> =
            lowering.gated(node.member, |draft| exchange(draft, layer_meta, tasks, inputs, 1, tenant))?;
        Ok(Made::each(parts.layer(), 1))
    }
}

/// A group-by.
struct GroupExchange {
    pipeline: Pipeline,
    /// Keys, then what aggregates are taken of, then their conditions.
    program: Program,
    enlarging: Option<Enlarging>,
    keys: usize,
    values: usize,
    aggregation: Arc<Aggregation>,
    /// Of keys and aggregates.
    inner: SchemaRef,
    /// From those to the outputs.
    outputs: Program,
    grouping: Grouping,
    schema: SchemaRef,
    need: u64,
}

/// The tables of a run, and what was made of them.
struct Groups {
    tables: Result<GroupTables>,
    result: Mutex<Option<(Batches, Reservation)>>,
}

/// Expressions, each once.
#[derive(Default)]
struct Listed {
    exprs: Vec<Expr>,
    places: HashMap<Expr, usize>,
}

impl Listed {
    /// Where an expression stands, at the end if it was not there.
    fn place(&mut self, expr: &Expr) -> usize {
        let next = self.exprs.len();
        let at = *self.places.entry(expr.clone()).or_insert(next);
        if at == next {
            self.exprs.push(expr.clone());
        }
        at
    }
}

impl GroupExchange {
    fn new(grouping: &Grouping, pipeline: Pipeline, input: &Schema, schema: SchemaRef) -> Result<GroupExchange> {
        let fields = Lookup::new(input);
        let (mut values, mut filters) = (Listed::default(), Listed::default());
        let mut calls = Vec::with_capacity(grouping.aggregates.len());
        for aggregate in &grouping.aggregates {
            let mut args = Vec::with_capacity(aggregate.args.len());
            for arg in &aggregate.args {
                args.push((values.place(arg), arg.type_in(&fields)?));
            }
            let filter = aggregate.filter.as_ref().map(|filter| filters.place(filter));
            let whole = Expr::Aggregate(Arc::new(aggregate.clone()));
            let data_type = whole.type_in(&fields)?;
            calls.push(AggregateCall { function: aggregate.function.clone(), args, filter, data_type, expr: whole });
        }
        let key_types = grouping.keys.iter().map(|key| key.type_in(&fields)).collect::<Result<Vec<_>>>()?;
        let aggregation =
            Arc::new(Aggregation::new(key_types, grouping.keep_nulls, &calls)?.unordered(grouping.unordered));
        let inner = Arc::new(grouping.inner_schema(input)?);
        let keys = grouping.keys.iter().map(|key| Expr::Column(key.output_name()));
        let outputs: Vec<Expr> = keys.chain(grouping.outputs.iter().cloned()).collect();
        let outputs = Program::new(&outputs, &inner)?;
        let (bytes, need) = pipeline.most();
        // The columns of a batch or two are as large as a part of the morsel.
        let need = need + bytes.min(8 << 20) + aggregation.key_need(bytes) + aggregation.state_need() + GROUPS_NEED;
        let (key_count, value_count) = (grouping.keys.len(), values.exprs.len());
        let all: Vec<Expr> = grouping.keys.iter().cloned().chain(values.exprs).chain(filters.exprs).collect();
        let program = Program::new(&all, input)?;
        let enlarging = Enlarging::of(&all, input);
        let (keys, values) = (key_count, value_count);
        Ok(GroupExchange {
            pipeline,
            program,
            enlarging,
            keys,
            values,
            aggregation,
            inner,
            outputs,
            grouping: grouping.clone(),
            schema,
            need,
        })
    }
}

impl Exchange for GroupExchange {
    type State = Groups;

    fn open(&self, _: u32, budget: &Budget) -> Groups {
        let tables = GroupTables::new(self.aggregation.clone(), budget);
        Groups { tables, result: Mutex::new(None) }
    }

    fn append_need(&self) -> u64 {
        self.need
    }

    fn append(&self, context: &TaskContext<'_>, state: &Groups, producer: u32, inputs: &mut Inputs<'_>) -> Result<()> {
        let tables = state.tables.as_ref().map_err(Error::clone)?;
        let mut worker = tables.begin(producer, context.budget())?;
        let mut add = |batch: &RecordBatch| {
            let arrays = self.program.evaluate(batch)?;
            let filters = arrays[self.keys + self.values..].iter().map(kernels::condition);
            let filters = filters.collect::<Result<Vec<_>>>()?;
            worker.add(&Columns {
                keys: &arrays[..self.keys],
                values: &arrays[self.keys..self.keys + self.values],
                filters: &filters,
                rows: batch.num_rows(),
            })
        };
        self.pipeline.run(context, producer, inputs, &mut |batch| {
            match &self.enlarging {
                None => add(&batch)?,
                Some(enlarging) => {
                    let mut parts = enlarging.parts(batch)?;
                    while let Some(part) = parts.next(enlarging, context.budget())? {
                        context.check_cancelled()?;
                        add(&part).map_err(|error| parts.placed(error))?;
                    }
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        worker.finish()
    }

    fn seal(&self, _: &TaskContext<'_>, state: &Groups) -> Result<Vec<u64>> {
        let tables = state.tables.as_ref().map_err(Error::clone)?;
        let (arrays, mut held) = tables.finish()?;
        let rows = if self.keys == 0 { 1 } else { arrays.first().map_or(0, |array| array.len()) };
        let inner = kernels::batch_of(&self.inner, arrays, rows)?;
        let placed = |error: Error| self.grouping.in_own_words(error.placed(|row| format!("group {row} of {rows}")));
        let outputs = self.outputs.evaluate(&inner).map_err(placed)?;
        let batch: RecordBatch = kernels::batch_of(&self.schema, outputs, rows)?;
        drop(inner);
        let batch = kernels::conform(batch, &self.schema)?;
        GroupTables::hold(&mut held, batch.get_array_memory_size() as u64)?;
        *state.result.lock().unwrap_or_else(PoisonError::into_inner) = Some((vec![batch], held));
        Ok(vec![rows as u64])
    }

    fn kind(&self) -> &'static dyn Kind {
        chunk::plain::<Batches>()
    }

    fn part(&self, _: &TaskContext<'_>, state: &Groups, _: u32, _: &mut Inputs<'_>) -> Result<Chunk> {
        let result = state.result.lock().unwrap_or_else(PoisonError::into_inner);
        let (batches, _) =
            result.as_ref().ok_or_else(|| Error::internal("groups are read before they are put together"))?;
        Ok(Chunk::new(batches.clone()))
    }
}
