//! Arrays of numbers that are in memory, and of numbers that follow from their place.

use std::sync::Arc;

use ndarray::{ArrayBase, DataOwned, Dimension, IntoDimension};

use super::chunks::Chunks;
use super::element::Element;
use super::kernels::{Arange, Diagonal, FromNumber, Linspace, Made, Number};
use super::plan::{Blocks, MadeOp, Op};
use super::{Array, Ix1, Ix2};
use crate::error::{Error, ErrorKind, Result, Role};
use crate::origin::Origin;
use crate::store::{Block, DType, Data, NdBlock, Stored};

/// An array that an operation without inputs gives, in blocks.
pub(super) fn source<A: Element, D>(
    op: Op,
    shape: &[usize],
    chunks: impl Into<Chunks>,
    verb: &'static str,
    origin: Origin,
) -> Array<A, D> {
    let made = || {
        let cuts = chunks.into().cuts(shape, A::DTYPE, None)?;
        Blocks::new(op, &[], A::DTYPE, cuts, verb, origin)
    };
    Array::of(made().map_err(|error: Error| error.frame(Role::In, verb, origin)))
}

/// Numbers as they lie in blocks.
fn stored<A: Element>(values: Vec<A>) -> Data {
    as_data::<A>(A::block(values))
}

fn as_data<A: Element>(block: Block<A::Stored>) -> Data {
    let data = A::Stored::wrap(block);
    if A::DTYPE == DType::Bool { data.into_bools() } else { data }
}

/// The elements of an array of ndarray's by rows; without a copy where they are all that its memory holds.
pub(super) fn by_rows<A: Element, D: Dimension>(array: ndarray::Array<A, D>) -> Data {
    let len = array.len();
    if !array.is_standard_layout() {
        return stored(array.iter().copied().collect());
    }
    // What was cut off by a slice is still in the vector, before and behind.
    let (mut values, start) = array.into_raw_vec_and_offset();
    values.drain(..start.unwrap_or(0));
    values.truncate(len);
    stored(values)
}

/// An array of these numbers in blocks of `block_len`, which share the vector's memory.
#[track_caller]
pub fn from_vec<A: Element>(values: Vec<A>, block_len: usize) -> Array<A, Ix1> {
    let origin = Origin::caller();
    let len = values.len();
    in_memory(&[len], stored(values), block_len.into(), "from_vec", origin)
}

fn in_memory<A: Element, D>(
    shape: &[usize],
    data: Data,
    chunks: Chunks,
    verb: &'static str,
    origin: Origin,
) -> Array<A, D> {
    match NdBlock::new(shape, data) {
        Ok(block) => source(Op::Memory(Arc::new(block)), shape, chunks, verb, origin),
        Err(error) => Array::of(Err(error)),
    }
}

/// An array of ndarray's, taken as it is: its memory is shared by all blocks. One whose elements do not lie by rows is put in order.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let x = array::from_ndarray(ndarray::arr2(&[[1, 2], [3, 4]]), array::Chunks::auto());
/// assert_eq!(x.t().compute()?, ndarray::arr2(&[[1, 3], [2, 4]]));
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[track_caller]
pub fn from_ndarray<A: Element, S: DataOwned<Elem = A>, D: Dimension>(
    array: ArrayBase<S, D>,
    chunks: impl Into<Chunks>,
) -> Array<A, D> {
    let origin = Origin::caller();
    let (shape, len) = (array.shape().to_vec(), array.len());
    let flat = match array.is_standard_layout() {
        true => array.into_shared().into_shape_with_order(len),
        false => Ok(array.iter().copied().collect()),
    };
    let made = flat.map_err(|error| Error::internal(format!("elements by rows that are none: {error}")));
    match made {
        Ok(flat) => in_memory(&shape, as_data::<A>(A::shared(flat)), chunks.into(), "from_ndarray", origin),
        Err(error) => Array::of(Err(error)),
    }
}

/// The same number everywhere.
#[track_caller]
pub fn full<A: Element, Sh: IntoDimension>(shape: Sh, value: A, chunks: impl Into<Chunks>) -> Array<A, Sh::Dim> {
    let shape = shape.into_dimension();
    source(Op::Full(value.number()), shape.slice(), chunks, "full", Origin::caller())
}

/// Zeros of the type that the result has.
#[track_caller]
pub fn zeros<A: Element, Sh: IntoDimension>(shape: Sh, chunks: impl Into<Chunks>) -> Array<A, Sh::Dim> {
    whole_number(0, shape, chunks, "zeros", Origin::caller())
}

/// Ones of the type that the result has.
#[track_caller]
pub fn ones<A: Element, Sh: IntoDimension>(shape: Sh, chunks: impl Into<Chunks>) -> Array<A, Sh::Dim> {
    whole_number(1, shape, chunks, "ones", Origin::caller())
}

/// Zeros as `f64`.
#[track_caller]
pub fn zeros_f64<Sh: IntoDimension>(shape: Sh, chunks: impl Into<Chunks>) -> Array<f64, Sh::Dim> {
    whole_number(0, shape, chunks, "zeros_f64", Origin::caller())
}

/// Ones as `f64`.
#[track_caller]
pub fn ones_f64<Sh: IntoDimension>(shape: Sh, chunks: impl Into<Chunks>) -> Array<f64, Sh::Dim> {
    whole_number(1, shape, chunks, "ones_f64", Origin::caller())
}

fn whole_number<A: Element, Sh: IntoDimension>(
    number: i64,
    shape: Sh,
    chunks: impl Into<Chunks>,
    verb: &'static str,
    origin: Origin,
) -> Array<A, Sh::Dim> {
    let shape = shape.into_dimension();
    source(Op::Full(Number::Int(number).cast(A::DTYPE)), shape.slice(), chunks, verb, origin)
}

fn made<A: Element, D>(
    label: String,
    kernel: impl Made + 'static,
    shape: &[usize],
    chunks: impl Into<Chunks>,
    verb: &'static str,
    origin: Origin,
) -> Array<A, D> {
    let op = Op::Made(MadeOp { label, kernel: Arc::new(kernel), cost: 2 });
    source(op, shape, chunks, verb, origin)
}

/// Numbers from `start` on, less than `end`, by steps; from more to less where the step is negative.
///
/// # Errors
/// At compute, of kind `Plan`, where the step is 0 or no number.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let x = array::arange(0, 10, 3, 2);
/// assert_eq!(x.compute()?, ndarray::arr1(&[0, 3, 6, 9]));
/// assert_eq!(array::arange(0.0, 1.0, 0.25, 100).size()?, 4);
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[track_caller]
pub fn arange<A: Element>(start: A, end: A, step: A, chunks: impl Into<Chunks>) -> Array<A, Ix1> {
    let origin = Origin::caller();
    let (start, end, step) = (start.number(), end.number(), step.number());
    match arange_len(start, end, step) {
        Err(error) => Array::of(Err(error.frame(Role::In, "arange", origin))),
        Ok(len) => {
            let label = format!("arange({start}, {end}, {step})");
            made(label, Arange { start, step }, &[len], chunks, "arange", origin)
        }
    }
}

fn arange_len(start: Number, end: Number, step: Number) -> Result<usize> {
    let wrong = |text: &str| Error::new(ErrorKind::Plan, text);
    let len = match step {
        Number::Float(by) => {
            let (from, to) = (f64::from_number(start), f64::from_number(end));
            if by == 0.0 || !by.is_finite() || !from.is_finite() || !to.is_finite() {
                return Err(wrong("a range needs a step other than 0, and finite bounds"));
            }
            ((to - from) / by).ceil().max(0.0)
        }
        Number::Int(_) | Number::Unsigned(_) => {
            let whole = |number: Number| match number {
                Number::Unsigned(int) => i128::from(int),
                other => i128::from(i64::from_number(other)),
            };
            let (from, to, by) = (whole(start), whole(end), whole(step));
            if by == 0 {
                return Err(wrong("a range needs a step other than 0"));
            }
            // Rounded up, whatever the signs.
            let apart = to - from;
            let len = if by > 0 { (apart + by - 1).div_euclid(by) } else { (-apart - by - 1).div_euclid(-by) };
            return usize::try_from(len.max(0)).map_err(|_| wrong("a range of more elements than can be counted"));
        }
        _ => return Err(wrong("a range of numbers that have no order")),
    };
    if len > isize::MAX as f64 {
        return Err(wrong("a range of more elements than can be counted"));
    }
    Ok(len as usize)
}

/// So many numbers, evenly from one to another, both of them taken.
#[track_caller]
pub fn linspace(from: f64, to: f64, len: usize, chunks: impl Into<Chunks>) -> Array<f64, Ix1> {
    let origin = Origin::caller();
    let label = format!("linspace({from:?}, {to:?}, {len})");
    made(label, Linspace { from, to, len: len as u64 }, &[len], chunks, "linspace", origin)
}

/// Ones on the diagonal that is `offset` right of the main one, and 0 elsewhere.
#[track_caller]
pub fn eye<A: Element>(rows: usize, columns: usize, offset: isize, chunks: impl Into<Chunks>) -> Array<A, Ix2> {
    let origin = Origin::caller();
    let label = format!("eye({rows}, {columns}, {offset})");
    let kernel = Diagonal { columns: columns as u64, offset: offset as i64 };
    made(label, kernel, &[rows, columns], chunks, "eye", origin)
}

impl<A: Element, D> Array<A, D> {
    /// The same elements, cut in another way.
    #[track_caller]
    pub fn rechunk(&self, chunks: impl Into<Chunks>) -> Array<A, D> {
        let origin = Origin::caller();
        let cut = || {
            let blocks = self.planned()?;
            let cuts = chunks.into().cuts(&blocks.known_shape()?, blocks.dtype, Some(&blocks.cuts))?;
            if cuts[..] == blocks.cuts[..] {
                return Ok(blocks.clone());
            }
            Blocks::new(Op::Rechunk, &[blocks], blocks.dtype, cuts, "rechunk", origin)
        };
        Array::of(cut().map_err(|error| error.frame(Role::In, "rechunk", origin)))
    }
}
