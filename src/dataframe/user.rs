//! Verbs that call the user's functions: `map_batches`, `map_partitions`, `map_overlap`.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;

use super::plan::{Frame, Op, OverlapOp, UserMap, nullable};
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
        let map = UserMap { function: of_tables(function), schema, whole: true };
        self.derive("map_partitions", origin, |frame| {
            let whole = frame.gathered("map_partitions", origin)?;
            Frame::new(Op::Map(map), &[&whole], "map_partitions", origin)
        })
    }

    /// What a function makes of each partition as one table that begins with the last `before` rows of what stands before the
    /// partition and ends with the first `after` rows of what stands behind it. At the ends of the table there are fewer;
    /// where a neighbour has too few, those beyond it give theirs. The function gives as many rows as it is given, of the
    /// columns that are declared; what it makes of the rows around the partition is cut off. A partition without rows is
    /// not given to it.
    ///
    /// # Errors
    /// At compute: what the function returns; of kind `Task`, where it gives other columns than declared, or another number
    /// of rows.
    ///
    /// # Memory
    /// As [`DataFrame::map_partitions`], and the rows around a partition, once for each partition until it is worked on (spilled
    /// as far as memory is short). With rows behind them, partitions are gone through twice: they are read again where that
    /// is cheap, else they wait, spilled too.
    ///
    /// ```
    /// use arrow::datatypes::Float64Type;
    /// use chunkwise::prelude::*;
    ///
    /// // Means over each row and the two before it, of rows that are in the order of time.
    /// let df = dataframe::from_columns([("v", vec![1.0, 2.0, 3.0, 7.0, 8.0, 9.0])]).repartition(3);
    /// let means = df.map_overlap(2, 0, df.schema()?, |t: Table| {
    ///     let v = t.column::<Float64Type>("v")?;
    ///     let mean = |row: usize| {
    ///         let window = &v.values()[row.saturating_sub(2)..=row];
    ///         window.iter().sum::<f64>() / window.len() as f64
    ///     };
    ///     dataframe::from_columns([("v", (0..t.num_rows()).map(mean).collect::<Vec<f64>>())]).compute()
    /// });
    /// let means: Vec<(f64,)> = means.compute()?.to_records()?;
    /// assert_eq!(means, [(1.0,), (1.5,), (2.0,), (4.0,), (6.0,), (8.0,)]);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn map_overlap<F>(&self, before: usize, after: usize, schema: impl Into<SchemaRef>, function: F) -> DataFrame
    where
        F: Fn(Table) -> Result<Table> + Send + Sync + 'static,
    {
        let (origin, schema) = (Origin::caller(), nullable(schema.into()));
        let map = UserMap { function: of_tables(function), schema, whole: true };
        let op = Op::Overlap(OverlapOp { before, after, map });
        self.derive("map_overlap", origin, |frame| Frame::new(op, &[frame], "map_overlap", origin))
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

/// A function of tables as one of batches.
fn of_tables<F>(function: F) -> Arc<dyn Fn(RecordBatch) -> Result<RecordBatch> + Send + Sync>
where
    F: Fn(Table) -> Result<Table> + Send + Sync + 'static,
{
    Arc::new(move |batch: RecordBatch| {
        let made = function(Table::new(batch.schema(), vec![batch]))?;
        concat_batches(made.schema(), made.batches()).map_err(super::kernels::failed)
    })
}
