//! Counts in ranges, the largest elements, weighted means.

use ndarray::{Axis, Dimension, Ix0, Ix1, RemoveAxis};

use super::Array;
use super::blocks::at_line;
use super::element::{Element, Real};
use super::kernels::{Binary, Bincount, Fold, Histogram, ReduceKind, TopK};
use super::many::broadcast_all;
use super::operators::{binary, cast};
use super::plan::{AxisMap, Blocks, Cuts, Op, View, plan, resolve_axis, shown_shape};
use super::promote::Promote;
use super::reduce::reduced;
use crate::error::Result;
use crate::origin::Origin;
use crate::store::DType;

/// Ranges of a histogram are fewer: their edges are a part of the plan.
const MOST_RANGES: usize = 1 << 28;

/// The edges of so many ranges of one width between two numbers: one more than ranges.
///
/// # Errors
/// Of kind `Plan`, where there is no range, or the numbers are not finite and one below the other.
///
/// ```
/// use chunkwise::prelude::*;
///
/// assert_eq!(array::histogram_edges(2, (0.0, 3.0))?, [0.0, 1.5, 3.0]);
/// # Ok::<(), chunkwise::Error>(())
/// ```
pub fn histogram_edges(bins: usize, (low, high): (f64, f64)) -> Result<Vec<f64>> {
    if bins == 0 || bins >= MOST_RANGES {
        return Err(plan(format!("a histogram of {bins} ranges: from 1 to {} there may be", MOST_RANGES - 1)));
    }
    if !(low < high && (high - low).is_finite()) {
        return Err(plan(format!("a histogram from {low} to {high}: the first is to be less, and both finite")));
    }
    let width = (high - low) / bins as f64;
    Ok((0..bins).map(|edge| low + edge as f64 * width).chain([high]).collect())
}

/// An error where elements have no order.
fn ordered(blocks: &Blocks, verb: &str) -> Result<()> {
    match blocks.dtype {
        DType::C32 | DType::C64 => Err(plan(format!("`{verb}` is not defined for {}", blocks.dtype))),
        _ => Ok(()),
    }
}

/// What a fold over all axes makes: some numbers along one axis.
fn over_all(
    blocks: &Blocks,
    fold: impl Fold + 'static,
    dtype: DType,
    cuts: Cuts,
    verb: &'static str,
    origin: Origin,
) -> Result<Blocks> {
    let axes: Vec<usize> = (0..blocks.rank()).collect();
    Blocks::new(Op::reduce(fold, axes), &[blocks], dtype, vec![cuts], verb, origin)
}

impl<A: Real, D: Dimension> Array<A, D> {
    /// How many elements lie in each of so many ranges of one width between two numbers, as NumPy counts them: a range has its lower edge,
    /// the last one its upper edge too; what lies outside, and NaN, is not counted. [`histogram_edges`] gives the edges.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where there is no range, or the numbers are not finite and one below the other.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::from_vec(vec![0.0, 1.0, 1.5, 3.0, 9.0], 2);
    /// assert_eq!(x.histogram(2, (0.0, 3.0)).compute()?, ndarray::arr1(&[2, 2]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn histogram(&self, bins: usize, range: (f64, f64)) -> Array<u64, Ix1> {
        let (verb, origin) = ("histogram", Origin::caller());
        let made = || {
            let (blocks, edges) = (self.planned()?, histogram_edges(bins, range)?);
            ordered(blocks, verb)?;
            let fold = Histogram { of: blocks.dtype, edges: edges.into(), even: true };
            over_all(blocks, fold, DType::U64, Cuts::whole(bins), verb, origin)
        };
        at_line(made(), verb, origin)
    }

    /// As [`Array::histogram`], between edges of one's own.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where there are fewer than two edges, or they do not ascend.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::from_vec(vec![0.0, 1.0, 1.5, 3.0, 9.0], 2);
    /// assert_eq!(x.histogram_between(&[0.0, 1.0, 10.0]).compute()?, ndarray::arr1(&[1, 4]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn histogram_between(&self, edges: &[f64]) -> Array<u64, Ix1> {
        let (verb, origin) = ("histogram_between", Origin::caller());
        let made = || {
            let blocks = self.planned()?;
            ordered(blocks, verb)?;
            if edges.len() < 2 || !edges.windows(2).all(|two| two[0] <= two[1]) {
                return Err(plan("the edges of a histogram are two at least, and ascend"));
            }
            let fold = Histogram { of: blocks.dtype, edges: edges.into(), even: false };
            over_all(blocks, fold, DType::U64, Cuts::whole(edges.len() - 1), verb, origin)
        };
        at_line(made(), verb, origin)
    }

    /// The `k` largest elements along an axis, the largest first; with `-k` the smallest, the smallest first. NaN counts as the
    /// largest. Where there are fewer than `k`, all of them.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where `k` is 0 or a length is not known.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::from_vec(vec![5, 1, 3, 6], 2);
    /// assert_eq!(x.topk(2, 0).compute()?, ndarray::arr1(&[6, 5]));
    /// assert_eq!(x.topk(-2, 0).compute()?, ndarray::arr1(&[1, 3]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn topk(&self, k: isize, axis: isize) -> Array<A, D> {
        let (verb, origin) = ("topk", Origin::caller());
        at_line(self.planned().and_then(|blocks| top(blocks, k, axis, false, verb, origin)), verb, origin)
    }

    /// The places along an axis of what [`Array::topk`] gives; of equal elements the first comes first.
    ///
    /// # Errors
    /// As [`Array::topk`].
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::from_vec(vec![5, 1, 3, 6], 2);
    /// assert_eq!(x.argtopk(2, 0).compute()?, ndarray::arr1(&[3, 0]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn argtopk(&self, k: isize, axis: isize) -> Array<i64, D> {
        let (verb, origin) = ("argtopk", Origin::caller());
        at_line(self.planned().and_then(|blocks| top(blocks, k, axis, true, verb, origin)), verb, origin)
    }

    /// The greatest element less the least, of all.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// assert_eq!(array::from_vec(vec![5, 1, 3], 2).ptp().compute()?, 4);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn ptp(&self) -> Array<A, Ix0>
    where
        A: Promote<A, Output = A>,
    {
        &self.max() - &self.min()
    }

    /// The greatest element less the least along an axis, which is dropped.
    #[track_caller]
    pub fn ptp_axis(&self, axis: Axis) -> Array<A, D::Smaller>
    where
        D: RemoveAxis,
        A: Promote<A, Output = A>,
        D::Smaller: ndarray::DimMax<D::Smaller, Output = D::Smaller>,
    {
        &self.max_axis(axis) - &self.min_axis(axis)
    }
}

/// The first of an order along an axis, or their places.
fn top(blocks: &Blocks, k: isize, axis: isize, places: bool, verb: &'static str, origin: Origin) -> Result<Blocks> {
    ordered(blocks, verb)?;
    let axis = resolve_axis(axis, blocks.rank())?;
    let len = blocks.known_shape()?[axis];
    if k == 0 {
        return Err(plan("the first 0 elements of an order"));
    }
    let count = k.unsigned_abs().min(len);
    let mut cuts = blocks.cuts.to_vec();
    cuts[axis] = Cuts::whole(count);
    let fold = TopK { of: blocks.dtype, k: count, largest: k > 0, places, axis };
    let dtype = if places { DType::I64 } else { blocks.dtype };
    if count == 0 {
        return Blocks::new(Op::Full(super::kernels::Number::zero(dtype)), &[], dtype, cuts, verb, origin);
    }
    Blocks::new(Op::reduce(fold, [axis]), &[blocks], dtype, cuts, verb, origin)
}

impl<A: Element, D: Dimension> Array<A, D> {
    /// How often each number from 0 on is there, up to the largest that is, and `least` numbers at least. How many there are is known after a
    /// run only.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where the elements are no integers; of kind `Data`, where one is negative, or neither below 2²¹ nor below
    /// `least`: each task holds a count for each number.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// assert_eq!(array::from_vec(vec![1, 3, 1], 2).bincount(0).compute()?, ndarray::arr1(&[0, 2, 0, 1]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn bincount(&self, least: usize) -> Array<u64, Ix1> {
        let (verb, origin) = ("bincount", Origin::caller());
        let made = || {
            let blocks = self.planned()?;
            if matches!(blocks.dtype, DType::F32 | DType::F64 | DType::C32 | DType::C64) {
                return Err(plan(format!("bincount counts whole numbers, not {}: cast them", blocks.dtype)));
            }
            if least > isize::MAX as usize / 8 {
                return Err(plan(format!("{least} numbers are more than can be counted")));
            }
            let fold = Bincount { of: blocks.dtype, least };
            over_all(blocks, fold, DType::U64, Cuts::Unknown(1), verb, origin)
        };
        at_line(made(), verb, origin)
    }
}

/// The type of means of elements with weights: of whole numbers an `f64`, of floats what holds both.
type Weighted<A, W> = <<A as Real>::Float as Promote<W>>::Output;

impl<A: Real, D: Dimension> Array<A, D> {
    /// The mean of all elements, each with a weight; both arrays broadcast, and a weight counts as often as it is there. Of whole numbers
    /// an `f64`, of floats the type that holds both.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::from_vec(vec![1.0_f64, 2.0, 6.0], 2);
    /// let mean: f64 = x.average(&array::from_vec(vec![1_i32, 1, 2], 2)).compute()?;
    /// assert_eq!(mean, 3.75);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn average<W: Element, E: Dimension>(&self, weights: &Array<W, E>) -> Array<Weighted<A, W>, Ix0>
    where
        A::Float: Promote<W>,
    {
        let (verb, origin) = ("average", Origin::caller());
        let made = || {
            let of = <Weighted<A, W>>::DTYPE;
            let (own, weights) =
                (cast(self.planned()?, of, verb, origin)?, cast(weights.planned()?, of, verb, origin)?);
            let both = broadcast_all(&[&own, &weights], verb, origin)?;
            let axes: Vec<usize> = (0..both[0].rank()).collect();
            weighted(&both[0], &both[1], &axes, verb, origin)
        };
        at_line(made(), verb, origin)
    }

    /// The mean along an axis, which is dropped, each element with a weight: of an array of the same shape, or one for each place along the
    /// axis. Types are those of [`Array::average`].
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where the axis is not there, or the weights are neither.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::from_ndarray(ndarray::arr2(&[[1.0_f64, 2.0], [3.0, 8.0]]), 1);
    /// let weights = array::from_vec(vec![3.0_f64, 1.0], 1);
    /// let means: Array<f64, _> = x.average_axis(&weights, Axis(1));
    /// assert_eq!(means.compute()?, ndarray::arr1(&[1.25, 4.25]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn average_axis<W: Element, E: Dimension>(
        &self,
        weights: &Array<W, E>,
        axis: Axis,
    ) -> Array<Weighted<A, W>, D::Smaller>
    where
        A::Float: Promote<W>,
        D: RemoveAxis,
    {
        let (verb, origin) = ("average_axis", Origin::caller());
        let made = || {
            let of = <Weighted<A, W>>::DTYPE;
            let (own, weights) =
                (cast(self.planned()?, of, verb, origin)?, cast(weights.planned()?, of, verb, origin)?);
            let at = resolve_axis(isize::try_from(axis.0).unwrap_or(isize::MAX), own.rank())?;
            let same = |(a, b): (&Cuts, &Cuts)| a.len() == b.len() && (a.len().is_some() || a.blocks() == b.blocks());
            let is_line = weights.rank() == 1 && same((&weights.cuts[0], &own.cuts[at]));
            let is_alike = weights.rank() == own.rank() && weights.cuts.iter().zip(own.cuts.iter()).all(same);
            let wide = match (is_alike, is_line) {
                (true, _) => weights,
                (_, true) => {
                    let mut cuts = vec![Cuts::whole(1); own.rank()];
                    cuts[at] = weights.cuts[0].clone();
                    let view = View { axes: vec![AxisMap::same(at)] };
                    Blocks::new(Op::View(view), &[&weights], weights.dtype, cuts, verb, origin)?
                }
                _ if weights.cuts.iter().chain(own.cuts.iter()).any(|cuts| cuts.len().is_none()) => {
                    return Err(plan(
                        "weights of an unknown length, cut in another way: compute_chunk_sizes() finds the lengths",
                    ));
                }
                _ => {
                    let (one, other) = (shown_shape(&weights.cuts), shown_shape(&own.cuts));
                    return Err(plan(format!("weights of the shape {one} for axis {at} of {other}")));
                }
            };
            weighted(&own, &wide, &[at], verb, origin)
        };
        at_line(made(), verb, origin)
    }
}

/// Sums of elements times weights over sums of weights, of one type.
fn weighted(own: &Blocks, weights: &Blocks, axes: &[usize], verb: &'static str, origin: Origin) -> Result<Blocks> {
    let sum = |of: &Blocks| reduced(of, (ReduceKind::Sum, false), axes, false, verb, origin);
    let products = binary(own, weights, Binary::Mul, own.dtype, verb, origin)?;
    binary(&sum(&products)?, &sum(weights)?, Binary::Div, own.dtype, verb, origin)
}
