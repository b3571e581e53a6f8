//! Products of arrays as vectors and matrices.

use ndarray::{Dimension, Ix0, Ix1, Ix2, IxDyn};

use super::Array;
use super::blocks::at_line;
use super::element::{Element, Real};
use super::kernels::{ReduceKind, Reduction};
use super::operators::cast;
use super::plan::{AxisMap, Blocks, Cuts, Op, View, broadcast_cuts, plan, shown_shape};
use super::promote::Promote;
use crate::error::{Error, ErrorKind, Result};
use crate::origin::Origin;
use crate::store::DType;

/// Bytes of what a task takes of both operands at most: longer sums are taken in groups. Many times what is made, which is gone through once
/// more by each group.
const GROUP_BYTES: std::ops::RangeInclusive<usize> = 4 << 20..=64 << 20;
const GROUP_TIMES: usize = 16;

/// Blocks of the result from which on the groups of each are summed up one after another, not beside each other.
const MANY_BLOCKS: u64 = 8;

/// In which type products are summed up: whole numbers in 64 bits, and back.
fn summed_in(dtype: DType) -> DType {
    match dtype {
        DType::Bool | DType::I8 | DType::I16 | DType::I32 | DType::I64 => DType::I64,
        DType::U8 | DType::U16 | DType::U32 | DType::U64 => DType::U64,
        other => other,
    }
}

/// Products of the matrices of two arrays of equally many axes, of which those before the last two broadcast.
pub(super) fn products(a: &Blocks, b: &Blocks, to: DType, verb: &'static str, origin: Origin) -> Result<Blocks> {
    let rank = a.rank();
    let of = summed_in(to);
    if matches!(of, DType::F32 | DType::F64 | DType::C32 | DType::C64) && !cfg!(feature = "linalg") {
        return Err(Error::new(ErrorKind::Unsupported, "products of matrices of floats need the feature `linalg`"));
    }
    let (shape_a, shape_b) = (a.known_shape()?, b.known_shape()?);
    if shape_a[rank - 1] != shape_b[rank - 2] {
        let (one, other) = (shown_shape(&a.cuts), shown_shape(&b.cuts));
        let text = format!(
            "arrays of the shapes {one} and {other} have no product: {} columns meet {} rows",
            shape_a[rank - 1],
            shape_b[rank - 2]
        );
        return Err(plan(text));
    }
    let (a, b) = (cast(a, of, verb, origin)?, cast(b, of, verb, origin)?);
    // What stands before the last two axes, as both broadcast.
    let outer = |of: &Blocks| of.at_places(&[(rank - 2, 0), (rank - 1, 0)], verb, origin);
    let mut cuts = broadcast_cuts(&outer(&a)?, &outer(&b)?)?;
    cuts.extend([a.cuts[rank - 2].clone(), b.cuts[rank - 1].clone()]);
    // Along what is summed up both are cut where either is; groups end at cuts as far as they can.
    let sum = a.cuts[rank - 1].united(&b.cuts[rank - 2]);
    let known = sum.known().unwrap_or(&[0, 0]);
    let most = |of: &Blocks, skip: usize| -> usize {
        (0..rank).filter(|axis| *axis != skip).filter_map(|axis| of.cuts[axis].most()).product()
    };
    // What is made may be more than can be counted, and is refused below then.
    let each = (most(&a, rank - 1) + most(&b, rank - 2)).max(1).saturating_mul(of.bytes());
    let made = cuts.iter().filter_map(Cuts::most).fold(of.bytes() * GROUP_TIMES, usize::saturating_mul);
    let group = made.clamp(*GROUP_BYTES.start(), *GROUP_BYTES.end());
    let len = (group / each).max(1);
    if shape_a[rank - 1] / len > u32::MAX as usize / 4 {
        return Err(plan(format!("sums of {} products take too many tasks", shape_a[rank - 1])));
    }
    let mut groups = vec![0];
    for two in known.windows(2) {
        let start = groups[groups.len() - 1];
        if two[1] - start > len {
            if two[0] > start {
                groups.push(two[0]);
            }
            let mut at = groups[groups.len() - 1] + len;
            while at < two[1] {
                groups.push(at);
                at += len;
            }
        }
    }
    let end = known[known.len() - 1];
    if groups[groups.len() - 1] != end || groups.len() == 1 {
        groups.push(end);
    }
    // Where there are blocks enough for many threads, each takes all groups one after another.
    let blocks: u64 = cuts.iter().map(|cuts| u64::from(cuts.blocks())).product();
    let count = if blocks < MANY_BLOCKS { groups.len() - 1 } else { 1 };
    cuts.insert(0, Cuts::even(count, 1));
    let parts = Blocks::new(Op::Product(groups.into()), &[&a, &b], of, cuts.clone(), verb, origin)?;
    let all = match count {
        1 => parts,
        _ => {
            let sum = Reduction { kind: ReduceKind::Sum, skip_nan: false, of };
            cuts[0] = Cuts::whole(1);
            Blocks::new(Op::reduce(sum, [0]), &[&parts], of, cuts.clone(), verb, origin)?
        }
    };
    cast(&all.at_places(&[(0, 0)], verb, origin)?, to, verb, origin)
}

/// The array with new axes of length 1 before, or behind.
fn with_axes(of: &Blocks, before: usize, behind: usize, verb: &'static str, origin: Origin) -> Result<Blocks> {
    let view = View { axes: (0..of.rank()).map(|axis| AxisMap::same(axis + before)).collect() };
    let ones = |count| std::iter::repeat_n(Cuts::whole(1), count);
    let cuts: Vec<Cuts> = ones(before).chain(of.cuts.iter().cloned()).chain(ones(behind)).collect();
    Blocks::new(Op::View(view), &[of], of.dtype, cuts, verb, origin)
}

/// The product of two arrays as NumPy's `matmul` has it: vectors are rows on the left and columns on the right, and what stands before
/// the last two axes broadcasts.
fn multiplied(a: &Blocks, b: &Blocks, to: DType, verb: &'static str, origin: Origin) -> Result<Blocks> {
    if a.rank() == 0 || b.rank() == 0 {
        return Err(plan("a number is multiplied with `*`"));
    }
    let (row, column) = (a.rank() == 1, b.rank() == 1);
    let a = if row { with_axes(a, 1, 0, verb, origin)? } else { a.clone() };
    let b = if column { with_axes(b, 0, 1, verb, origin)? } else { b.clone() };
    let rank = a.rank().max(b.rank());
    let a = with_axes(&a, rank - a.rank(), 0, verb, origin)?;
    let b = with_axes(&b, rank - b.rank(), 0, verb, origin)?;
    let mut made = products(&a, &b, to, verb, origin)?;
    if column {
        made = made.at_places(&[(rank - 1, 0)], verb, origin)?;
    }
    if row {
        made = made.at_places(&[(made.rank() - if column { 1 } else { 2 }, 0)], verb, origin)?;
    }
    Ok(made)
}

/// What a vector or matrix can be multiplied with: see [`Array::dot`].
pub trait Dot<E> {
    /// The axes of the product.
    type Output: Dimension;
}

macro_rules! dots {
    ($($a:ty, $b:ty => $to:ty;)+) => {$(
        impl Dot<$b> for $a {
            type Output = $to;
        }
    )+};
}

dots! { Ix1, Ix1 => Ix0; Ix1, Ix2 => Ix1; Ix2, Ix1 => Ix1; Ix2, Ix2 => Ix2; IxDyn, IxDyn => IxDyn; }

impl<A: Element, D: Dimension> Array<A, D> {
    /// The product of vectors and matrices; of more axes as NumPy's `matmul`: matrices of the last two axes, of which the others broadcast.
    ///
    /// Blocks are multiplied with blocks: of the result there is one for each block of rows of the one and of columns of the other.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where the shapes do not fit; of kind `Unsupported`, of floats without the feature `linalg`.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::from_ndarray(ndarray::arr2(&[[1, 2], [3, 4], [5, 6]]), (2, 1));
    /// assert_eq!(x.t().dot(&x).compute()?, ndarray::arr2(&[[35, 44], [44, 56]]));
    /// assert_eq!(x.dot(&array::from_vec(vec![1, 1], 2)).compute()?, ndarray::arr1(&[3, 7, 11]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn dot<B: Element, E: Dimension>(&self, other: &Array<B, E>) -> Array<A::Output, <D as Dot<E>>::Output>
    where
        A: Promote<B>,
        D: Dot<E>,
    {
        let (verb, origin) = ("dot", Origin::caller());
        let made = || multiplied(self.planned()?, other.planned()?, <A as Promote<B>>::Output::DTYPE, verb, origin);
        at_line(made(), verb, origin)
    }

    /// The products of all elements with all of another array: its axes behind those of this one.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let (x, y) = (array::arange(1, 3, 1, 1), array::arange(1, 4, 1, 2));
    /// assert_eq!(x.outer(&y).compute()?, ndarray::arr2(&[[1, 2, 3], [2, 4, 6]]).into_dyn());
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn outer<B: Element, E: Dimension>(&self, other: &Array<B, E>) -> Array<A::Output, IxDyn>
    where
        A: Promote<B>,
    {
        let (verb, origin) = ("outer", Origin::caller());
        let made = || {
            let (a, b) = (self.planned()?, other.planned()?);
            let a = with_axes(a, 0, b.rank(), verb, origin)?;
            let to = <A as Promote<B>>::Output::DTYPE;
            super::operators::binary(&a, b, super::kernels::Binary::Mul, to, verb, origin)
        };
        at_line(made(), verb, origin)
    }
}

impl<A: Real> Array<A, Ix2> {
    /// The sum of a diagonal, so far right of the main one.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let trace: i64 = array::from_ndarray(ndarray::arr2(&[[1_i64, 2], [3, 4]]), 1).trace(0).compute()?;
    /// assert_eq!(trace, 5);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn trace(&self, offset: isize) -> Array<A::Sum, Ix0> {
        self.diagonal(offset).sum()
    }
}

#[cfg(feature = "linalg")]
impl Array<f64, Ix2> {
    /// The covariances of the rows with each other, divided by the number of columns less `ddof`; NaN where there are not more columns than that.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::from_ndarray(ndarray::arr2(&[[1.0, 2.0, 3.0], [6.0, 4.0, 2.0]]), (1, 2));
    /// assert_eq!(x.cov(1.0).compute()?, ndarray::arr2(&[[1.0, -2.0], [-2.0, 4.0]]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn cov(&self, ddof: f64) -> Array<f64, Ix2> {
        let count = self.shape().map_or(f64::NAN, |shape| shape[1] as f64);
        let apart = self - &self.mean_axis(ndarray::Axis(1)).insert_axis(ndarray::Axis(1));
        // As variances are, of not more columns than that.
        &apart.dot(&apart.t()) / if count > ddof { count - ddof } else { f64::NAN }
    }

    /// The correlations of the rows with each other.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::from_ndarray(ndarray::arr2(&[[1.0, 2.0, 3.0], [6.0, 4.0, 2.0]]), (1, 2));
    /// assert_eq!(x.corrcoef().compute()?, ndarray::arr2(&[[1.0, -1.0], [-1.0, 1.0]]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn corrcoef(&self) -> Array<f64, Ix2> {
        let cov = self.cov(0.0);
        let std = self.std_axis(ndarray::Axis(1), 0.0);
        (&cov / &std.insert_axis(ndarray::Axis(1)) / &std.insert_axis(ndarray::Axis(0))).clip(-1.0, 1.0)
    }
}
