//! Group-by as an exchange: a table of running values per partition, put together in the order of the partitions.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;

use super::super::plan::Frame;
use super::Batches;
use crate::error::{Error, ErrorKind, Result};
use crate::expr::{Aggregate, Expr, unknown_column};
use crate::external::aggregate::{Aggregation, Function, Groups};
use crate::external::{Exchange as State, Load};
use crate::graph::{Chunk, Exchange, Inputs, Kind, TaskContext};
use crate::plan::Columns;
use crate::store::{Budget, chunk};

/// A group-by.
pub(super) struct GroupExchange {
    keys: Vec<Arc<str>>,
    /// What each aggregate is taken of.
    values: Vec<Expr>,
    aggregation: Aggregation,
    schema: SchemaRef,
    need: u64,
}

impl GroupExchange {
    pub fn new(keys: &[Arc<str>], aggregates: &[Expr], input: &Frame, schema: &SchemaRef) -> Result<GroupExchange> {
        let mut key_types = Vec::with_capacity(keys.len());
        for key in keys {
            let field = input.schema.field_with_name(key).map_err(|_| unknown_column(key, &input.schema))?;
            key_types.push(field.data_type().clone());
        }
        let (mut values, mut functions) = (Vec::new(), Vec::new());
        for expr in aggregates {
            let (aggregate, of) =
                expr.as_aggregate().ok_or_else(|| Error::internal("an expression in `agg` is no aggregate"))?;
            let integers = of.data_type(&input.schema)?.is_integer();
            functions.push(match aggregate {
                Aggregate::Count => Function::Count,
                Aggregate::Sum if integers => Function::IntSum,
                Aggregate::Sum => Function::FloatSum,
                Aggregate::Mean if integers => Function::IntMean,
                Aggregate::Mean => Function::FloatMean,
            });
            values.push(of.clone());
        }
        // The keys of one batch as bytes, its values as numbers, and the groups. All of it at most once more than the
        // columns themselves.
        let columns: Columns = keys.iter().cloned().chain(values.iter().flat_map(Expr::columns)).collect();
        let need = input.used_bytes(&columns) + (64 << 10);
        let aggregation = Aggregation { keys: key_types, functions };
        Ok(GroupExchange { keys: keys.to_vec(), values, aggregation, schema: schema.clone(), need })
    }

    fn partial(&self, context: &TaskContext<'_>, batches: &[RecordBatch]) -> Result<Groups> {
        let mut groups = self.aggregation.groups();
        for batch in batches {
            context.check_cancelled()?;
            let key = |name: &Arc<str>| {
                let found = batch.column_by_name(name).cloned();
                found.ok_or_else(|| unknown_column(name, batch.schema_ref()))
            };
            let keys = self.keys.iter().map(key).collect::<Result<Vec<ArrayRef>>>()?;
            let values = self.values.iter().map(|expr| expr.evaluate(batch)).collect::<Result<Vec<ArrayRef>>>()?;
            self.aggregation.add(&mut groups, &keys, &values)?;
        }
        Ok(groups)
    }
}

impl Exchange for GroupExchange {
    type State = State<Groups, Batches>;

    fn open(&self, producers: u32, budget: &Budget) -> Self::State {
        State::open("group_by", producers, budget)
    }

    fn content_key(&self) -> Option<String> {
        let GroupExchange { keys, values, aggregation, schema, .. } = self;
        Some(format!("group_by {keys:?} {values:?} {aggregation:?} {schema:?}"))
    }

    fn append_need(&self) -> u64 {
        self.need
    }

    fn append(
        &self,
        context: &TaskContext<'_>,
        state: &Self::State,
        producer: u32,
        inputs: &mut Inputs<'_>,
    ) -> Result<()> {
        let groups = self.partial(context, inputs.get::<Batches>(0)?)?;
        let load = Load { rows: groups.rows(), bytes: groups.bytes() };
        state.append(producer, groups, load, self.need)
    }

    fn seal(&self, _: &TaskContext<'_>, state: &Self::State) -> Result<Vec<u64>> {
        let mut count = 0;
        state.seal(0, |parts| {
            let groups = self.aggregation.merge(parts);
            count = groups.len() as u64;
            let arrays = self.aggregation.finish(&groups)?;
            let bytes = arrays.iter().map(|array| array.get_array_memory_size() as u64).sum();
            let batch = RecordBatch::try_new(self.schema.clone(), arrays);
            let batch = batch.map_err(|error| Error::with_source(ErrorKind::Internal, "group_by", error))?;
            Ok((vec![batch], Load { rows: groups.rows(), bytes }))
        })?;
        Ok(vec![count])
    }

    fn kind(&self) -> &'static dyn Kind {
        chunk::plain::<Batches>()
    }

    fn part(&self, _: &TaskContext<'_>, state: &Self::State, _: u32, _: &mut Inputs<'_>) -> Result<Chunk> {
        let sealed = state.sealed()?;
        Ok(Chunk::new(Batches::clone(&sealed)))
    }
}
