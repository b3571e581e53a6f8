//! Verbs that call the user's functions: `map_batches`, `map_partitions`.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;

use super::plan::{Frame, Op, UserMap, nullable};
use super::{DataFrame, Table};
use crate::error::{Error, Result};
use crate::origin::Origin;

impl DataFrame {
    /// What a function makes of each batch of rows, of the columns that are declared; it may give more rows or fewer. Where
    /// batches end is up to the source: a function that must see rows together is one for
    /// [`DataFrame::map_partitions`].
    ///
    /// # Errors
    /// At compute: what the function returns; of kind `Task`, where it gives other columns than declared.
    #[track_caller]
    pub fn map_batches<F>(&self, schema: impl Into<SchemaRef>, function: F) -> DataFrame
    where
        F: Fn(RecordBatch) -> Result<RecordBatch> + Send + Sync + 'static,
    {
        let (origin, schema) = (Origin::caller(), nullable(schema.into()));
        let map = UserMap { function: Arc::new(function), schema, whole: false };
        self.derive("map_batches", origin, |frame| Frame::new(Op::Map(map), &[frame], "map_batches", origin))
    }

    /// What a function makes of each partition as one table, of the columns that are declared.
    ///
    /// # Errors
    /// As [`DataFrame::map_batches`].
    ///
    /// # Memory
    /// A whole partition at a time, twice while it is put together.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let df = dataframe::from_columns([("v", vec![1.0, 3.0])]);
    /// let schema = df.schema()?;
    /// let centred = df.map_partitions(schema, |t: Table| t.with_columns([col("v") - col("v").mean()]));
    /// assert_eq!(centred.compute()?.to_string(), "   v\n----\n-1.0\n 1.0\n");
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn map_partitions<F>(&self, schema: impl Into<SchemaRef>, function: F) -> DataFrame
    where
        F: Fn(Table) -> Result<Table> + Send + Sync + 'static,
    {
        let (origin, schema) = (Origin::caller(), nullable(schema.into()));
        let call = move |batch: RecordBatch| {
            let made = function(Table::new(batch.schema(), vec![batch]))?;
            concat_batches(made.schema(), made.batches()).map_err(super::kernels::failed)
        };
        let map = UserMap { function: Arc::new(call), schema, whole: true };
        self.derive("map_partitions", origin, |frame| {
            let whole = frame.gathered("map_partitions", origin)?;
            Frame::new(Op::Map(map), &[&whole], "map_partitions", origin)
        })
    }

    /// One partition of the table.
    #[track_caller]
    pub fn get_partition(&self, number: usize) -> DataFrame {
        let origin = Origin::caller();
        self.derive("get_partition", origin, |frame| {
            if number >= frame.partitions as usize {
                let text = format!("there is no partition {number}: there are {}", frame.partitions);
                return Err(Error::new(crate::error::ErrorKind::Plan, text));
            }
            let whole = frame.gathered("get_partition", origin)?;
            Frame::new(Op::Partition(number as u32), &[&whole], "get_partition", origin)
        })
    }
}
