//! From one collection to another: the only file that names two of them.
//!
//! A column becomes an [`Array`] or a [`Bag`], partition by partition; everything becomes a [`Delayed`], and is an input
//! of `delayed_with` as it is. What goes through serde is in `rows.rs`, blocks as values of tasks in `arrays.rs`.

mod arrays;
mod rows;

use std::any::Any;
use std::sync::Arc;

use arrow::array::{Array as ArrowArray, AsArray, PrimitiveArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{ArrowNativeType, ArrowPrimitiveType, DataType, Float32Type, Float64Type, Int32Type, Int64Type};

use crate::array::{Array, Blocks, Cuts, Element as ArrayElement, Ix0, Ix1, Ix2, Sealed};
use crate::bag::{Bag, Items};
use crate::dataframe::{DataFrame, Frame, FromScalar, Series, Table};
use crate::delayed::{Delayed, Inputs};
use crate::error::{Error, ErrorKind, Result, Role as Place};
use crate::expr::col;
use crate::graph::{Each, Inputs as TaskInputs, LayerOp, Meta, Pattern, TaskContext};
use crate::origin::Origin;
use crate::plan::{LayerLowering, Node, NodeRef, Poisoned, Role};
use crate::runtime::{Compute, Scalar};
use crate::store::{Block, NdBlock, Stored};

/// A layer that reads another collection's pieces.
struct Conversion {
    verb: &'static str,
    origin: Origin,
    input: NodeRef,
    pattern: Pattern,
    tasks: u32,
    op: Arc<dyn LayerOp>,
}

impl Node for Conversion {
    fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a NodeRef)) {
        visit(&self.input);
    }

    fn label(&self) -> String {
        self.verb.to_string()
    }

    fn role(&self) -> Role<'_> {
        Role::Layers
    }

    fn lower(&self, lowering: &mut LayerLowering<'_>) -> Result<u32> {
        let (layer, _) = lowering.input(0)?;
        let meta = Meta { name: self.verb.to_string(), verb: self.verb, origin: self.origin };
        let reads = vec![crate::graph::Input { layer, pattern: self.pattern.clone() }];
        lowering.draft().shared(meta, self.tasks, 1, reads, self.op.clone())
    }
}

/// A node that makes one piece of each piece.
fn each(verb: &'static str, origin: Origin, input: &NodeRef, tasks: u32, op: impl LayerOp + 'static) -> NodeRef {
    let (input, op) = (input.clone(), Arc::new(op));
    NodeRef::new(Conversion { verb, origin, input, pattern: Pattern::OneToOne, tasks, op })
}

/// A value made of all pieces in their order.
fn gather<P, T>(
    origin: Origin,
    input: Result<NodeRef>,
    make: impl Fn(Vec<P>) -> T + Send + Sync + 'static,
) -> Delayed<T>
where
    P: Any + Send + Sync + Clone,
    T: Any + Send + Sync,
{
    let op = Each::new(move |_: &TaskContext<'_>, _, inputs: &mut TaskInputs<'_>| {
        Ok(make((0..inputs.len()).map(|at| inputs.take::<P>(at)).collect::<Result<Vec<P>>>()?))
    });
    let verb = "to_delayed";
    let node = input.map_or_else(Poisoned::node, |input| {
        let op = Arc::new(op);
        NodeRef::new(Conversion { verb, origin, input, pattern: Pattern::All, tasks: 1, op })
    });
    Delayed::from_node(node)
}

/// What an element of an [`Array`] can be made of: a number in a column.
pub trait FromColumn: ArrayElement + Sealed<Stored = Self> + Stored + ArrowNativeType {
    /// The Arrow type that holds it.
    type Arrow: ArrowPrimitiveType<Native = Self>;
    /// What stands for a null; an integer has none.
    const NULL: Option<Self>;
}

macro_rules! numbers {
    ($($number:ty: $arrow:ty, $null:expr;)+) => {$(
        impl FromColumn for $number {
            type Arrow = $arrow;
            const NULL: Option<$number> = $null;
        }
    )+};
}

numbers! {
    f64: Float64Type, Some(f64::NAN);
    f32: Float32Type, Some(f32::NAN);
    i64: Int64Type, None;
    i32: Int32Type, None;
}

/// What an item of a [`Bag`] can be made of: a value in a column.
pub trait FromValue: Any + Send + Sync + Clone {
    /// The Arrow type that holds it.
    const TYPE: DataType;

    /// Appends the values of an array of this type that are not null.
    fn append(array: &dyn ArrowArray, items: &mut Vec<Self>);
}

impl FromValue for String {
    const TYPE: DataType = DataType::Utf8;

    fn append(array: &dyn ArrowArray, items: &mut Vec<String>) {
        items.extend(array.as_string::<i32>().iter().flatten().map(str::to_string));
    }
}

impl FromValue for i64 {
    const TYPE: DataType = DataType::Int64;

    fn append(array: &dyn ArrowArray, items: &mut Vec<i64>) {
        items.extend(array.as_primitive::<Int64Type>().iter().flatten());
    }
}

impl FromValue for f64 {
    const TYPE: DataType = DataType::Float64;

    fn append(array: &dyn ArrowArray, items: &mut Vec<f64>) {
        items.extend(array.as_primitive::<Float64Type>().iter().flatten());
    }
}

/// What is known of the length of an array that a table becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lengths {
    /// Nothing before a run.
    Unknown,
    /// Rows are counted, by a run where the source does not know.
    Count,
}

impl Series {
    /// The column as an array of one axis, a block per partition; the length is not known before a run. Nulls become NaN.
    ///
    /// # Errors
    /// At compute: of kind `Plan`, where the column has other values than numbers; of kind `Data`, where a null is to be an
    /// integer.
    #[track_caller]
    pub fn to_array<A: FromColumn>(&self) -> Array<A, Ix1> {
        let origin = Origin::caller();
        Array::of(self.to_frame(origin).and_then(|frame| blocks::<A>(&frame, None, true, origin)))
    }

    /// As [`Series::to_array`], with what is said about its length.
    ///
    /// # Errors
    /// Where rows cannot be counted.
    #[track_caller]
    pub fn to_array_with<A: FromColumn>(&self, lengths: Lengths) -> Result<Array<A, Ix1>> {
        let origin = Origin::caller();
        let frame = self.to_frame(origin)?;
        let lens = counted(&DataFrame::of(Ok(frame.clone())), lengths)?;
        Ok(Array::of(blocks::<A>(&frame, lens, true, origin)))
    }

    /// The values of the column that are not null, as a bag with the same partitions.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where the column has values of another type.
    #[track_caller]
    pub fn to_bag<T: FromValue>(&self) -> Bag<T> {
        let origin = Origin::caller();
        let column = self.to_frame(origin).and_then(|frame| {
            let (found, wanted) = (frame.schema.field(0).data_type(), T::TYPE);
            if *found == wanted || (found.is_integer() && wanted == DataType::Int64) {
                return frame.gathered("to_bag", origin);
            }
            let text = format!("column `{}` is a {found}, not a {wanted}", frame.schema.field(0).name());
            Err(Error::new(ErrorKind::Plan, text).frame(Place::In, "to_bag", origin))
        });
        Bag::of(column.map(|frame| {
            // A value by itself takes a pointer, a length and a capacity beside its bytes.
            let need = 4 * frame.partition_bytes();
            let op = |_: &TaskContext<'_>, _, inputs: &mut TaskInputs<'_>| {
                let batches = inputs.get::<Vec<RecordBatch>>(0)?;
                let values = |batch: &RecordBatch| batch.num_rows() - batch.column(0).logical_null_count();
                let mut items = Vec::with_capacity(batches.iter().map(values).sum());
                for batch in batches {
                    T::append(&*cast(batch.column(0), &T::TYPE).map_err(failed)?, &mut items);
                }
                Ok(items)
            };
            let op = Each::<_, Vec<T>>::new(op).need(need).key(format!("to_bag {}", T::TYPE));
            Items { node: each("to_bag", origin, &frame.node, frame.partitions, op), partitions: frame.partitions }
        }))
    }
}

impl DataFrame {
    /// The columns as an array of two axes, rows and columns, a block per partition; the number of rows is not known before a run. Nulls
    /// become NaN.
    ///
    /// # Errors
    /// At compute: of kind `Plan`, where a column has other values than numbers; of kind `Data`, where a null is to be an
    /// integer.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let df = dataframe::from_columns([("value", vec![Some(1.5), None]), ("hour", vec![Some(7.0), Some(8.0)])]);
    /// let array = df.select(["value", "hour"]).to_array::<f64>().compute()?;
    /// assert_eq!(array.shape(), [2, 2]);
    /// assert_eq!((array[[0, 0]], array[[1, 0]].is_nan(), array[[1, 1]]), (1.5, true, 8.0));
    /// let counted = df.to_array_with::<f64>(Lengths::Count)?;
    /// assert_eq!(format!("{counted:?}"), "Array<f64>: to_array, shape (2, 2), chunks (2, 2), 1 blocks, 32 B");
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn to_array<A: FromColumn>(&self) -> Array<A, Ix2> {
        let origin = Origin::caller();
        Array::of(self.frame().and_then(|frame| blocks::<A>(frame, None, false, origin)))
    }

    /// As [`DataFrame::to_array`], with what is said about its length.
    ///
    /// # Errors
    /// Where rows cannot be counted.
    #[track_caller]
    pub fn to_array_with<A: FromColumn>(&self, lengths: Lengths) -> Result<Array<A, Ix2>> {
        let origin = Origin::caller();
        let lens = counted(self, lengths)?;
        Ok(Array::of(self.frame().and_then(|frame| blocks::<A>(frame, lens, false, origin))))
    }
}

/// Rows of each partition, where they are to be counted.
#[track_caller]
fn counted(df: &DataFrame, lengths: Lengths) -> Result<Option<Vec<usize>>> {
    if lengths == Lengths::Unknown {
        return Ok(None);
    }
    let whole = |rows: u64| usize::try_from(rows).map_err(|_| Error::internal("more rows than can be"));
    if df.frame()?.partitions == 1 {
        // Some sources know it without being read.
        return Ok(Some(vec![whole(df.count_rows().compute()?)?]));
    }
    let origin = Origin::caller();
    let one = df.frame()?.schema.fields().first().map(|field| col(field.name()));
    let one = df.select(one);
    let frame = one.frame()?.gathered("to_array", origin)?;
    let op = Each::new(|_: &TaskContext<'_>, _, inputs: &mut TaskInputs<'_>| {
        Ok(inputs.get::<Vec<RecordBatch>>(0)?.iter().map(|batch| batch.num_rows() as u64).sum::<u64>())
    });
    let node = each("count_rows", origin, &frame.node, frame.partitions, op);
    let rows = gather(origin, Ok(node), |parts: Vec<u64>| parts).compute()?;
    rows.into_iter().map(whole).collect::<Result<_>>().map(Some)
}

/// A block for each partition of a table.
fn blocks<A: FromColumn>(frame: &Frame, lens: Option<Vec<usize>>, is_column: bool, origin: Origin) -> Result<Blocks> {
    let framed = |error: Error| error.frame(Place::In, "to_array", origin);
    let fields = frame.schema.fields();
    if let Some(field) = fields.iter().find(|field| !field.data_type().is_numeric()) {
        let text = format!("column `{}` is a {} and no number", field.name(), field.data_type());
        return Err(framed(Error::new(ErrorKind::Plan, text)));
    }
    if fields.is_empty() {
        return Err(framed(Error::new(ErrorKind::Plan, "an array of no columns")));
    }
    let width = fields.len();
    let frame = frame.gathered("to_array", origin)?;
    let need = 2 * frame.partition_bytes();
    let op = move |_: &TaskContext<'_>, _, inputs: &mut TaskInputs<'_>| {
        let batches = inputs.get::<Vec<RecordBatch>>(0)?;
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        let shape = if is_column { vec![rows] } else { vec![rows, width] };
        NdBlock::new(shape, A::wrap(block::<A>(batches)?))
    };
    let key = format!("to_array {} {is_column}", A::Arrow::DATA_TYPE);
    let op = Each::new(op).kind(NdBlock::kind()).need(need).key(key);
    let node = each("to_array", origin, &frame.node, frame.partitions, op);
    let rows = match lens {
        Some(lens) => Cuts::of(lens),
        None => Cuts::Unknown(frame.partitions),
    };
    let cuts = if is_column { vec![rows] } else { vec![rows, Cuts::whole(width)] };
    Blocks::outside(node, <A as ArrayElement>::DTYPE, cuts, "to_array", origin).map_err(framed)
}

/// The numbers of a partition, row by row.
fn block<A: FromColumn>(batches: &[RecordBatch]) -> Result<Block<A>> {
    let len = batches.iter().map(|batch| batch.num_rows() * batch.num_columns()).sum();
    Block::try_build(len, |out| {
        let mut rest = out;
        for batch in batches {
            let width = batch.num_columns();
            let (rows, next) = rest.split_at_mut(batch.num_rows() * width);
            rest = next;
            for (at, column) in batch.columns().iter().enumerate() {
                let column = cast(column, &A::Arrow::DATA_TYPE).map_err(failed)?;
                let column: &PrimitiveArray<A::Arrow> = column.as_primitive();
                if column.null_count() == 0 && width == 1 {
                    rows.copy_from_slice(column.values());
                    continue;
                }
                for (out, value) in rows[at..].iter_mut().step_by(width).zip(column.iter()) {
                    *out = value.or(A::NULL).ok_or_else(|| {
                        let name = batch.schema_ref().field(at).name().clone();
                        let text = format!("column `{name}`: a null cannot be a {}", std::any::type_name::<A>());
                        Error::new(ErrorKind::Data, text)
                    })?;
                }
            }
        }
        Ok(())
    })
}

fn failed(error: arrow::error::ArrowError) -> Error {
    Error::with_source(ErrorKind::Data, "", error)
}

impl crate::dataframe::Scalar {
    /// As a value of Rust: `f64` (null is NaN), `i64`, `u64`, `bool`, `String`, and `Option` of them.
    ///
    /// # Errors
    /// At compute, of kind `Data`, where the value does not fit.
    #[track_caller]
    pub fn as_<T: FromScalar>(&self) -> Scalar<T> {
        let origin = Origin::caller();
        let op = Each::new(|_: &TaskContext<'_>, _, inputs: &mut TaskInputs<'_>| {
            let batches = inputs.get::<Vec<RecordBatch>>(0)?;
            let found = batches.iter().find(|batch| batch.num_rows() > 0);
            match found.and_then(|batch| batch.columns().first()) {
                Some(array) => T::from_scalar(array),
                None => T::from_scalar(&arrow::array::new_null_array(&DataType::Null, 1)),
            }
        });
        Scalar::of(each("as_", origin, &self.node(), 1, op))
    }
}

impl DataFrame {
    /// The partitions as a bag of tables.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let df = dataframe::from_columns([("x", vec![1, 2, 3])]);
    /// let sizes = df.partitions().count();
    /// assert_eq!(sizes.compute()?, 1);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn partitions(&self) -> Bag<Table> {
        let origin = Origin::caller();
        let whole = self.frame().and_then(|frame| frame.gathered("partitions", origin));
        Bag::of(whole.map(|frame| {
            let schema = frame.schema.clone();
            let op = Each::new(move |_: &TaskContext<'_>, _, inputs: &mut TaskInputs<'_>| {
                Ok(vec![Table::new(schema.clone(), inputs.take::<Vec<RecordBatch>>(0)?)])
            });
            Items { node: each("partitions", origin, &frame.node, frame.partitions, op), partitions: frame.partitions }
        }))
    }

    /// The whole table as one value of a task.
    #[track_caller]
    pub fn to_delayed(&self) -> Delayed<Table> {
        self.delayed_at(Origin::caller())
    }

    fn delayed_at(&self, origin: Origin) -> Delayed<Table> {
        let frame = self.frame().cloned();
        let schema = frame.as_ref().map_or_else(|_| Arc::new(arrow::datatypes::Schema::empty()), |f| f.schema.clone());
        let node = frame.map(|Frame { node, .. }| node);
        gather(origin, node, move |parts: Vec<Vec<RecordBatch>>| Table::new(schema.clone(), parts.concat()))
    }
}

impl<T: Any + Send + Sync + Clone> Bag<T> {
    /// All items as one value of a task.
    #[track_caller]
    pub fn to_delayed(&self) -> Delayed<Vec<T>> {
        self.delayed_at(Origin::caller())
    }

    fn delayed_at(&self, origin: Origin) -> Delayed<Vec<T>> {
        let node = self.items().map(|items| items.node.clone());
        gather(origin, node, |parts: Vec<Vec<T>>| {
            let mut parts = parts.into_iter();
            let mut all = parts.next().unwrap_or_default();
            parts.for_each(|part| all.extend(part));
            all
        })
    }
}

impl<A: ArrayElement> Array<A, Ix0> {
    /// The number as a value of a task.
    pub fn to_delayed(&self) -> Delayed<A> {
        let node = self.planned().map_or_else(Poisoned::node, |blocks| {
            let op = Each::new(|_: &TaskContext<'_>, _, inputs: &mut TaskInputs<'_>| {
                let block = inputs.get::<NdBlock>(0)?.get::<A::Stored>()?;
                let number = block.first().ok_or_else(|| Error::internal("a number that is not there"))?;
                Ok(A::of_stored(*number))
            });
            each("to_delayed", Origin::UNKNOWN, &blocks.node, 1, op)
        });
        Delayed::from_node(node)
    }

    fn delayed_at(&self, _: Origin) -> Delayed<A> {
        self.to_delayed()
    }
}

impl<T: Any + Send + Sync> Scalar<T> {
    /// The value as one of a task.
    pub fn to_delayed(&self) -> Delayed<T> {
        Delayed::from_node(self.node().clone())
    }

    fn delayed_at(&self, _: Origin) -> Delayed<T> {
        self.to_delayed()
    }
}

// An input has no line of its own: it belongs to the call that takes it.
macro_rules! inputs {
    ($([$($bounds:tt)*] $collection:ty => $value:ty;)+) => {$(
        impl<$($bounds)*> Inputs for $collection {
            type Held = Delayed<$value>;

            fn hold(self) -> Delayed<$value> {
                self.delayed_at(Origin::UNKNOWN)
            }
        }

        impl<$($bounds)*> Inputs for &$collection {
            type Held = Delayed<$value>;

            fn hold(self) -> Delayed<$value> {
                self.delayed_at(Origin::UNKNOWN)
            }
        }
    )+};
}

inputs! {
    [] DataFrame => Table;
    [T: Any + Send + Sync + Clone] Bag<T> => Vec<T>;
    [A: ArrayElement] Array<A, Ix0> => A;
    [T: Any + Send + Sync] Scalar<T> => T;
}
