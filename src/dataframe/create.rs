//! Tables of what is in memory, and of sources of one's own.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, UInt32Array,
    UInt64Array,
};
use arrow::datatypes::{Field, Schema, SchemaRef};

use super::kernels::{self, Batches};
use super::plan::{Frame, Op, ScanOp, nullable};
use super::{DataFrame, Table};
use crate::error::{Error, ErrorKind, Result, Role};
use crate::formats::memory::MemorySource;
use crate::formats::scan::TableSource;
use crate::graph::{Each, Inputs, LayerOp, Meta, TaskContext};
use crate::origin::Origin;
use crate::plan::{self, LayerLowering, Node, NodeRef};

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

pub(super) fn memory(batches: Vec<RecordBatch>, npartitions: usize, verb: &'static str, origin: Origin) -> DataFrame {
    let first = batches.first().ok_or_else(|| Error::new(ErrorKind::Plan, "no batches: a table needs columns"));
    let made = first.and_then(|first| {
        let partitions = u32::try_from(npartitions.max(1)).unwrap_or(u32::MAX);
        MemorySource::new(first.schema(), batches.clone(), Some(partitions))
    });
    let made = made.and_then(|source| scan(Arc::new(source), verb, origin));
    DataFrame { state: made.map_err(|error| error.frame(Role::In, verb, origin)) }
}

/// A table with a partition for each item, which a function makes of it when it is wanted: files of a format of one's own, say, or
/// days of a log.
///
/// # Errors
/// At compute: what the function returns; of kind `Task`, where it gives other columns than declared.
///
/// # Memory
/// A whole partition at a time for each thread.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let schema = dataframe::from_columns([("n", vec![0i64]), ("square", vec![0])]).schema()?;
/// let df = dataframe::from_map(schema, vec![2i64, 3], |n| {
///     dataframe::from_columns([("n", vec![*n]), ("square", vec![n * n])]).compute()
/// });
/// assert_eq!(df.compute()?.to_string(), "n  square\n-  ------\n2       4\n3       9\n");
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[track_caller]
pub fn from_map<I: Send + Sync + 'static>(
    schema: impl Into<SchemaRef>,
    items: Vec<I>,
    function: impl Fn(&I) -> Result<Table> + Send + Sync + 'static,
) -> DataFrame {
    let (origin, schema) = (Origin::caller(), nullable(schema.into()));
    let made = u32::try_from(items.len()).map_err(|_| Error::new(ErrorKind::Plan, "more than 2^32 partitions"));
    let made = made.map(|count| {
        let own = schema.clone();
        let op = Each::new(move |_: &TaskContext<'_>, index, _: &mut Inputs<'_>| {
            let item = items.get(index as usize).ok_or_else(|| Error::internal("a partition that is not there"))?;
            let table = function(item)?;
            table.batches().iter().map(|batch| kernels::declared(batch.clone(), &own)).collect::<Result<Batches>>()
        });
        let node = NodeRef::new(MapItems { origin, count, op: Arc::new(op) });
        let bytes = vec![0; schema.fields().len()].into();
        Frame::outside(node, schema, count, bytes, origin)
    });
    DataFrame { state: made.map_err(|error| error.frame(Role::In, "from_map", origin)) }
}

/// A layer of what a user's function makes.
struct MapItems {
    origin: Origin,
    count: u32,
    op: Arc<dyn LayerOp>,
}

impl Node for MapItems {
    fn visit<'a>(&'a self, _: &mut dyn FnMut(&'a NodeRef)) {}

    fn label(&self) -> String {
        "from_map".to_string()
    }

    fn role(&self) -> plan::Role<'_> {
        plan::Role::Layers
    }

    fn lower(&self, lowering: &mut LayerLowering<'_>) -> Result<u32> {
        let meta = Meta { name: "from_map".to_string(), verb: "from_map", origin: self.origin };
        lowering.draft().shared(meta, self.count, 1, Vec::new(), self.op.clone())
    }
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
