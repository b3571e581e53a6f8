//! Lazy tables: columns of Arrow arrays in partitions, computed partition by partition.
//!
//! [`read_csv`] opens files, the verbs of [`DataFrame`] say what becomes of them, `compute` gives a [`Table`].
//! Nothing is read before that but a sample of the first file.
//!
//! Rows keep their order through `filter`, `select` and `with_columns`; `group_by` gives its groups in ascending order
//! of their keys. Null keys are dropped.

mod change;
mod columnar;
mod compute;
mod create;
mod describe;
mod eager;
mod explode;
mod group;
mod io;
mod join;
mod kernels;
mod lower;
mod optimize;
mod pairs;
mod parameters;
mod plan;
mod records;
mod reduce;
mod repartition;
mod rows;
mod sample;
mod scalar;
mod select;
mod series;
mod table;
#[cfg(test)]
mod tests;
mod user;
mod write;

use std::fmt;

use arrow::datatypes::SchemaRef;

use crate::error::{Error, Result, Role};
use crate::origin::Origin;
use crate::plan::{NodeRef, Poisoned};

pub use arrow::datatypes::DataType;
pub use columnar::{ReadIpc, read_ipc};
#[cfg(feature = "parquet")]
pub use columnar::{ReadParquet, read_parquet};
pub use create::{IntoArray, from_batches, from_columns, from_map, from_source};
pub use group::{Agg, GroupBy};
pub use io::{ReadCsv, ReadJson, read_csv, read_json};
pub use join::{How, On};
pub(crate) use kernels::declared;
pub(crate) use plan::{Frame, nullable};
pub(crate) use records::{Reader, columns_for, schema_of, to_batch};
pub use records::{from_records, from_records_with};
pub use reduce::Keep;
pub use rows::concat;
pub use sample::Sample;
pub use scalar::{FromScalar, Scalar};
pub use select::IntoColumn;
pub use series::Series;
pub use table::Table;
#[cfg(feature = "parquet")]
pub use write::{Compression, StatisticsLevel};
pub use write::{CsvWriteOptions, IfExists, IpcCompression, Writer, Written};

/// A table that is not there yet.
///
/// It is cheap to clone, and verbs take it by reference. A wrong verb (a misspelt column, say) is told by the accessors
/// and by `compute`, with the line of the call.
///
/// ```
/// use chunkwise::prelude::*;
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("sales.csv");
/// # std::fs::write(&path, "shop,amount\nnorth,2\nsouth,5\nnorth,NA\nnorth,6\n").unwrap();
/// # let path = path.to_str().unwrap();
/// let sales = dataframe::read_csv(path).null_values(["", "NA"]).open()?;
/// let by_shop = sales
///     .filter(col("amount").is_not_null())
///     .group_by(["shop"])
///     .agg([col("amount").mean().alias("mean"), col("amount").count().alias("count")]);
/// let (rows, table) = compute((sales.count_rows(), &by_shop))?; // one pass over the file
/// assert_eq!(rows, 4);
/// assert_eq!(
///     table.to_string(),
///     "shop   mean  count\n\
///      -----  ----  -----\n\
///      north   4.0      2\n\
///      south   5.0      1\n"
/// );
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "a DataFrame does nothing until it is computed"]
pub struct DataFrame {
    state: Result<Frame>,
}

impl DataFrame {
    /// Types and names of the columns.
    ///
    /// # Errors
    /// Of the first verb that was wrong.
    pub fn schema(&self) -> Result<SchemaRef> {
        self.frame().map(|frame| frame.schema.clone())
    }

    /// Names of the columns.
    ///
    /// # Errors
    /// Of the first verb that was wrong.
    pub fn columns(&self) -> Result<Vec<String>> {
        self.frame().map(|frame| frame.schema.fields().iter().map(|field| field.name().clone()).collect())
    }

    /// Number of partitions.
    ///
    /// # Errors
    /// Of the first verb that was wrong.
    pub fn npartitions(&self) -> Result<usize> {
        self.frame().map(|frame| frame.partitions as usize)
    }

    /// A table of a frame, or what was wrong.
    pub(crate) fn of(state: Result<Frame>) -> DataFrame {
        DataFrame { state }
    }

    pub(crate) fn frame(&self) -> Result<&Frame> {
        self.state.as_ref().map_err(Error::clone)
    }

    /// The node of the plan; of a wrong one, one that gives its error.
    pub(crate) fn node(&self) -> NodeRef {
        match &self.state {
            Ok(frame) => frame.node.clone(),
            Err(error) => Poisoned::node(error.clone()),
        }
    }

    /// A frame made of this one, or its error; an error of `make` itself gets the line of the verb.
    pub(crate) fn derive(
        &self,
        verb: &'static str,
        origin: Origin,
        make: impl FnOnce(&Frame) -> Result<Frame>,
    ) -> DataFrame {
        let made = |frame: &Frame| make(frame).map_err(|error| error.frame(Role::In, verb, origin));
        DataFrame { state: self.frame().and_then(made) }
    }
}

impl fmt::Debug for DataFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frame = match &self.state {
            Ok(frame) => frame,
            Err(error) => return write!(f, "DataFrame: {error}"),
        };
        write!(f, "DataFrame: {}, {} partitions", frame.node.node().label(), frame.partitions)?;
        for field in frame.schema.fields() {
            write!(f, "\n  {}: {}", field.name(), field.data_type())?;
        }
        Ok(())
    }
}
