//! Rows of tables as items of bags, and back; tables of delayed parts.

use std::any::Any;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::each;
use crate::bag::{Bag, Items};
use crate::dataframe::{DataFrame, Frame, Reader, Table, columns_for, declared, nullable, schema_of, to_batch};
use crate::delayed::Delayed;
use crate::error::{Error, ErrorKind, Result, Role as Place};
use crate::graph::{Call, Each, Inputs as TaskInputs, Meta, TaskContext, Tasks, one_call};
use crate::origin::Origin;
use crate::plan::{LayerLowering, Node, NodeRef, Role};
use crate::store::BATCH_ROWS;

impl DataFrame {
    /// The rows as values, in a bag with the same partitions: structs with fields called as columns are (others are not read), or tuples
    /// of all columns in their order.
    ///
    /// # Errors
    /// At compute, of kind `Data`, where a row does not fit: a null where there is no `Option`, say.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let df = dataframe::from_columns([("k", vec![1i64, 2]), ("v", vec![10, 20])]);
    /// let pairs: Bag<(i64, i64)> = df.to_bag();
    /// assert_eq!(pairs.compute()?, [(1, 10), (2, 20)]);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn to_bag<T: DeserializeOwned + Any + Send + Sync + Clone>(&self) -> Bag<T> {
        let origin = Origin::caller();
        let read = self
            .schema()
            .and_then(|schema| columns_for::<T>(&schema).map_err(|error| error.frame(Place::In, "to_bag", origin)));
        let rows = read.and_then(|columns| {
            let reader = Reader::<T>::new(&columns);
            Ok((self.select(columns).frame()?.gathered("to_bag", origin)?, reader))
        });
        Bag::of(rows.map(|(frame, reader)| {
            let op = move |_: &TaskContext<'_>, partition, inputs: &mut TaskInputs<'_>| {
                let mut items = Vec::new();
                for batch in inputs.get::<Vec<RecordBatch>>(0)? {
                    let place = |row: u64| format!("row {} of partition {partition}", items.len() as u64 + row);
                    let read = reader.read(batch).map_err(|error| error.placed(place))?;
                    items.extend(read);
                }
                Ok(items)
            };
            let op = Each::<_, Vec<T>>::new(op).need(4 * frame.partition_bytes());
            Items { node: each("to_bag", origin, &frame.node, frame.partitions, op), partitions: frame.partitions }
        }))
    }

    /// A table of delayed parts, a partition each. All have to have the columns that are declared.
    ///
    /// # Errors
    /// At compute: of kind `Task`, where a part has other columns.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let part = |n: i64| dataframe::from_columns([("n", vec![n, n + 1])]).to_delayed();
    /// let schema = dataframe::from_columns([("n", vec![0i64])]).schema()?;
    /// let df = DataFrame::from_delayed(schema, &[part(1), part(5)]);
    /// assert_eq!(df.npartitions()?, 2);
    /// assert_eq!(df.compute()?.to_string(), "n\n-\n1\n2\n5\n6\n");
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn from_delayed<'a>(
        schema: impl Into<SchemaRef>,
        parts: impl IntoIterator<Item = &'a Delayed<Table>>,
    ) -> DataFrame {
        let (origin, schema) = (Origin::caller(), nullable(schema.into()));
        let inputs: Vec<NodeRef> = parts.into_iter().map(|part| part.source().clone()).collect();
        let count = u32::try_from(inputs.len());
        let made = count.map_err(|_| Error::new(ErrorKind::Plan, "more than 2^32 partitions")).map(|count| {
            let bytes = vec![0; schema.fields().len()].into();
            let meta = Meta { name: "from_delayed".to_string(), verb: "from_delayed", origin };
            let own = schema.clone();
            let call = one_call(&Arc::new(meta.clone()), move |inputs: &mut TaskInputs<'_>| {
                // With the columns that were declared.
                let table: Table = inputs.take(0)?;
                let batches = table.batches().iter().map(|batch| declared(batch.clone(), &own));
                batches.collect::<Result<Vec<RecordBatch>>>()
            });
            let node = NodeRef::new(Parts { meta, inputs, call });
            Frame::outside(node, schema, count, bytes, origin)
        });
        DataFrame::of(made.map_err(|error| error.frame(Place::In, "from_delayed", origin)))
    }
}

impl<T: Any + Send + Sync + Clone + Serialize> Bag<T> {
    /// The items as rows of a table with the same partitions: a struct's fields are columns, called as they are. Types of columns
    /// are those of the fields: `Option` is a null, `Vec` a list, an enum without data a text.
    ///
    /// # Errors
    /// At compute: of kind `Plan`, where the columns do not follow from the type alone; see
    /// [`Bag::to_dataframe_with`].
    ///
    /// ```
    /// use chunkwise::prelude::*;
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Clone, Serialize, Deserialize)]
    /// struct Log {
    ///     level: String,
    ///     code: Option<u16>,
    /// }
    ///
    /// let logs = vec![Log { level: "INFO".into(), code: None }, Log { level: "ERROR".into(), code: Some(7) }];
    /// let df = bag::from_vec(logs, 2).to_dataframe().filter(col("code").gt(5));
    /// assert_eq!(df.compute()?.to_string(), "level  code\n-----  ----\nERROR     7\n");
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn to_dataframe(&self) -> DataFrame
    where
        T: DeserializeOwned,
    {
        self.rows(schema_of::<T>(), "to_dataframe", Origin::caller())
    }

    /// As [`Bag::to_dataframe`], with the columns said.
    ///
    /// # Errors
    /// At compute, of kind `Data`, where an item does not fit.
    #[track_caller]
    pub fn to_dataframe_with(&self, schema: impl Into<SchemaRef>) -> DataFrame {
        self.rows(Ok(nullable(schema.into())), "to_dataframe_with", Origin::caller())
    }

    fn rows(&self, schema: Result<SchemaRef>, verb: &'static str, origin: Origin) -> DataFrame {
        let made = self.items().and_then(|items| Ok((items, schema?))).map(|(items, schema)| {
            let own = schema.clone();
            let op = Each::new(move |context: &TaskContext<'_>, partition, inputs: &mut TaskInputs<'_>| {
                let mut batches = Vec::new();
                for (at, items) in inputs.get::<Vec<T>>(0)?.chunks(BATCH_ROWS).enumerate() {
                    context.check_cancelled()?;
                    let place = |row: u64| format!("item {} of partition {partition}", (at * BATCH_ROWS) as u64 + row);
                    batches.push(to_batch(&own, items).map_err(|error| error.placed(place))?);
                }
                Ok(batches)
            });
            let bytes = vec![0; schema.fields().len()].into();
            Frame::outside(
                each(verb, origin, &items.node, items.partitions, op),
                schema,
                items.partitions,
                bytes,
                origin,
            )
        });
        DataFrame::of(made.map_err(|error| error.frame(Place::In, verb, origin)))
    }
}

/// Delayed values as the pieces of one layer, each by way of a call.
pub(super) struct Parts {
    pub meta: Meta,
    pub inputs: Vec<NodeRef>,
    pub call: Arc<dyn Call>,
}

impl Node for Parts {
    fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a NodeRef)) {
        self.inputs.iter().for_each(visit);
    }

    fn label(&self) -> String {
        self.meta.name.clone()
    }

    fn role(&self) -> Role<'_> {
        Role::Layers
    }

    fn lower(&self, lowering: &mut LayerLowering<'_>) -> Result<u32> {
        let mut tasks = Tasks::with_capacity(self.inputs.len(), self.inputs.len());
        for at in 0..self.inputs.len() {
            let (layer, piece) = lowering.input(at)?;
            let first = lowering.layer(layer).pieces.start;
            tasks.push(self.call.clone(), [first + piece], 1);
        }
        lowering.draft().explicit(self.meta.clone(), tasks)
    }
}
