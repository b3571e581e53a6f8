//! Tables of what is in memory, and of sources of one's own.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, UInt32Array,
    UInt64Array,
};
use arrow::datatypes::{Field, Schema};

use super::DataFrame;
use super::plan::{Frame, Op, ScanOp};
use crate::error::{Error, ErrorKind, Result, Role};
use crate::formats::memory::MemorySource;
use crate::formats::scan::TableSource;
use crate::origin::Origin;

/// A column of values in memory.
pub trait IntoArray {
    /// As an Arrow array.
    fn into_array(self) -> ArrayRef;
}

impl IntoArray for ArrayRef {
    fn into_array(self) -> ArrayRef {
        self
    }
}

macro_rules! arrays {
    ($($value:ty => $array:ty;)+) => {$(
        impl IntoArray for Vec<$value> {
            fn into_array(self) -> ArrayRef {
                Arc::new(<$array>::from(self))
            }
        }

        impl IntoArray for Vec<Option<$value>> {
            fn into_array(self) -> ArrayRef {
                Arc::new(<$array>::from(self))
            }
        }
    )+};
}

arrays! {
    bool => BooleanArray;
    i32 => Int32Array;
    i64 => Int64Array;
    u32 => UInt32Array;
    u64 => UInt64Array;
    f32 => Float32Array;
    f64 => Float64Array;
    &str => StringArray;
    String => StringArray;
}

/// A table of columns in memory, in one partition. All have to be of one length.
///
/// ```
/// use chunkwise::prelude::*;
/// use chunkwise::dataframe::IntoArray;
///
/// let columns = [("id", vec![1, 2].into_array()), ("name", vec!["a", "b"].into_array())];
/// assert_eq!(dataframe::from_columns(columns).count_rows().compute()?, 2);
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[track_caller]
pub fn from_columns<N: AsRef<str>, A: IntoArray>(columns: impl IntoIterator<Item = (N, A)>) -> DataFrame {
    let origin = Origin::caller();
    let made = || {
        let mut fields = Vec::new();
        let mut arrays = Vec::new();
        for (name, column) in columns {
            let array = column.into_array();
            fields.push(Field::new(name.as_ref(), array.data_type().clone(), true));
            arrays.push(array);
        }
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays);
        batch.map_err(|error| Error::new(ErrorKind::Plan, format!("columns that are no table: {error}")))
    };
    match made() {
        Ok(batch) => memory(vec![batch], 1, "from_columns", origin),
        Err(error) => DataFrame { state: Err(error.frame(Role::In, "from_columns", origin)) },
    }
}

/// A table of batches in memory, in so many partitions of as equal length as can be. All have to have the columns of the first.
#[track_caller]
pub fn from_batches(batches: Vec<RecordBatch>, npartitions: usize) -> DataFrame {
    memory(batches, npartitions, "from_batches", Origin::caller())
}

fn memory(batches: Vec<RecordBatch>, npartitions: usize, verb: &'static str, origin: Origin) -> DataFrame {
    let first = batches.first().ok_or_else(|| Error::new(ErrorKind::Plan, "no batches: a table needs columns"));
    let made = first.and_then(|first| {
        let partitions = u32::try_from(npartitions.max(1)).unwrap_or(u32::MAX);
        MemorySource::new(first.schema(), batches.clone(), Some(partitions))
    });
    let made = made.and_then(|source| scan(Arc::new(source), verb, origin));
    DataFrame { state: made.map_err(|error| error.frame(Role::In, verb, origin)) }
}

/// A table that a source gives.
#[track_caller]
pub fn from_source(source: Arc<dyn TableSource>) -> DataFrame {
    let origin = Origin::caller();
    DataFrame { state: scan(source, "from_source", origin) }
}

/// All columns of a source.
pub(super) fn scan(source: Arc<dyn TableSource>, verb: &'static str, origin: Origin) -> Result<Frame> {
    let mut names = std::collections::HashSet::new();
    if let Some(twice) = source.schema().fields().iter().find(|field| !names.insert(field.name())) {
        let text = format!("two columns are called `{}`: verbs find columns by their names", twice.name());
        return Err(Error::new(ErrorKind::Plan, text));
    }
    let columns = (0..source.schema().fields().len()).collect();
    Frame::new(Op::Scan(ScanOp { source, columns, predicates: Vec::new() }), &[], verb, origin)
}
