//! Arrays put together of others, one behind another: views into them, none of which moves an element by itself.

use std::sync::Arc;

use ndarray::{DimAdd, Dimension, Ix1};

use super::Array;
use super::blocks::at_line;
use super::element::Element;
use super::kernels::{Arange, Binary, Number, ReduceKind, Unary};
use super::operators::{binary, cast, unary};
use super::plan::{
    AxisMap, Blocks, Cuts, MOST_BLOCKS, MadeOp, Op, View, plan, resolve_axis, shown_shape, too_many_blocks,
};
use super::reduce::reduced;
use crate::error::{Error, Result};
use crate::origin::Origin;
use crate::store::DType;

/// Arrays one behind another along an axis. Along the others all are cut as the first is, and where any other is cut.
pub(super) fn joined(arrays: &[&Blocks], axis: usize, verb: &'static str, origin: Origin) -> Result<Blocks> {
    let first = *arrays.first().ok_or_else(|| plan("no arrays to put together"))?;
    let mut cuts = first.cuts.to_vec();
    // Before all cuts are listed: an array may be put together with itself thousands of times.
    let along =
        arrays.iter().filter_map(|array| array.cuts.get(axis)).map(|cuts| cuts.blocks() as usize).sum::<usize>();
    let beside = cuts.iter().enumerate().filter(|(at, _)| *at != axis).map(|(_, cuts)| cuts.blocks() as usize);
    if beside.fold(along, usize::saturating_mul) > MOST_BLOCKS {
        return Err(too_many_blocks());
    }
    let lens = arrays.iter().filter_map(|array| array.cuts.get(axis)?.len());
    if lens.fold(0, usize::saturating_add) > isize::MAX as usize {
        return Err(plan("arrays one behind another have more elements than can be counted"));
    }
    for (number, array) in arrays.iter().enumerate() {
        let same = |(at, (a, b)): (usize, (&Cuts, &Cuts))| {
            at == axis || (a.len() == b.len() && (a.len().is_some() || a.blocks() == b.blocks()))
        };
        if array.rank() != first.rank() || !first.cuts.iter().zip(array.cuts.iter()).enumerate().all(same) {
            let (one, other) = (shown_shape(&first.cuts), shown_shape(&array.cuts));
            let text = format!(
                "array {number} has the shape {other} and the first {one}: beside axis {axis} they are to be equal"
            );
            return Err(plan(text));
        }
        if array.dtype != first.dtype {
            return Err(Error::internal(format!("{} and {} are put together", first.dtype, array.dtype)));
        }
        cuts.iter_mut().zip(array.cuts.iter()).enumerate().filter(|(at, _)| *at != axis).for_each(|(_, (all, own))| {
            *all = all.united(own);
        });
    }
    let (mut starts, mut ends) = (vec![0], vec![0]);
    for array in arrays {
        let known = array.cuts_of(axis)?;
        let start = ends.last().copied().unwrap_or(0);
        ends.extend(known[1..].iter().map(|end| start + end));
        starts.push(ends.last().copied().unwrap_or(0));
    }
    // What has no elements leaves no block, unless there is nothing else.
    ends.dedup();
    if ends.len() == 1 {
        ends.push(ends[0]);
    }
    cuts[axis] = Cuts::Known(ends.into());
    Blocks::new(Op::Concat { axis, starts: starts.into() }, arrays, first.dtype, cuts, verb, origin)
}

/// A range of an axis.
pub(super) fn range(
    of: &Blocks,
    axis: usize,
    from: usize,
    to: usize,
    verb: &'static str,
    origin: Origin,
) -> Result<Blocks> {
    stepped(of, axis, from as i64, 1, to.saturating_sub(from), verb, origin)
}

/// So many places of an axis, from one on by a step; with step 0 the same again and again.
fn stepped(
    of: &Blocks,
    axis: usize,
    start: i64,
    step: i64,
    count: usize,
    verb: &'static str,
    origin: Origin,
) -> Result<Blocks> {
    if step == 0 {
        return stretched(of, axis, start, (count, of.cuts[axis].most().unwrap_or(count)), verb, origin);
    }
    let (mut view, mut cuts) = (View::identity(of.rank()), of.cuts.to_vec());
    view.axes[axis] = AxisMap { of: Some(axis), start, step };
    cuts[axis] = super::select::sliced_cuts(of.cuts[axis].known().unwrap_or(&[]), start, step, count);
    Blocks::new(Op::View(view), &[of], of.dtype, cuts, verb, origin)
}

/// One place of an axis again and again: so often, in blocks of a length.
fn stretched(
    of: &Blocks,
    axis: usize,
    at: i64,
    (count, block): (usize, usize),
    verb: &'static str,
    origin: Origin,
) -> Result<Blocks> {
    let (mut view, mut cuts) = (View::identity(of.rank()), of.cuts.to_vec());
    view.axes[axis] = AxisMap::fixed(at);
    cuts[axis] = Cuts::even(count, block);
    Blocks::new(Op::View(view), &[of], of.dtype, cuts, verb, origin)
}

/// The same number, of the shape of an array but for one axis.
fn filled(of: &Blocks, axis: usize, len: usize, number: Number, verb: &'static str, origin: Origin) -> Result<Blocks> {
    let mut cuts = of.cuts.to_vec();
    cuts[axis] = Cuts::even(len, of.cuts[axis].most().unwrap_or(len).max(1));
    Blocks::new(Op::Full(number), &[], of.dtype, cuts, verb, origin)
}

/// Arrays one behind another along an axis; all else about them is equal. Elements of other types are [cast](Array::cast) before.
///
/// # Errors
/// At compute, of kind `Plan`, where there are no arrays, or their shapes differ along other axes.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let x = array::from_ndarray(ndarray::arr2(&[[1, 2], [3, 4]]), 1);
/// assert_eq!(array::concatenate(1, &[&x, &x]).compute()?, ndarray::arr2(&[[1, 2, 1, 2], [3, 4, 3, 4]]));
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[track_caller]
pub fn concatenate<A: Element, D: Dimension>(axis: isize, arrays: &[&Array<A, D>]) -> Array<A, D> {
    let (verb, origin) = ("concatenate", Origin::caller());
    at_line(concatenated(axis, arrays, verb, origin), verb, origin)
}

fn concatenated<A: Element, D>(
    axis: isize,
    arrays: &[&Array<A, D>],
    verb: &'static str,
    origin: Origin,
) -> Result<Blocks> {
    let all = arrays.iter().map(|array| array.planned()).collect::<Result<Vec<_>>>()?;
    let rank = all.first().ok_or_else(|| plan("no arrays to put together"))?.rank();
    joined(&all, resolve_axis(axis, rank)?, verb, origin)
}

/// Arrays of one shape along a new axis, each a block of it; from behind where it is negative: -1 is the last axis of what comes out.
///
/// # Errors
/// As [`concatenate`]; of kind `Plan` where the new axis lies beyond those that are there.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let x = array::arange(0, 3, 1, 3);
/// assert_eq!(array::stack(1, &[&x, &(&x * 10)]).compute()?, ndarray::arr2(&[[0, 0], [1, 10], [2, 20]]));
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[track_caller]
pub fn stack<A: Element, D: Dimension + DimAdd<Ix1>>(
    axis: isize,
    arrays: &[&Array<A, D>],
) -> Array<A, <D as DimAdd<Ix1>>::Output> {
    let (verb, origin) = ("stack", Origin::caller());
    let made = || stacked(arrays.iter().map(|array| array.planned().cloned()), axis, verb, origin);
    at_line(made(), verb, origin)
}

/// Arrays along a new axis.
pub(super) fn stacked(
    arrays: impl Iterator<Item = Result<Blocks>>,
    axis: isize,
    verb: &'static str,
    origin: Origin,
) -> Result<Blocks> {
    let all = arrays.collect::<Result<Vec<_>>>()?;
    let first = all.first().ok_or_else(|| plan("no arrays to put together"))?;
    let axis = resolve_axis(axis, first.rank() + 1)?;
    let with_axis = all.iter().map(|blocks| {
        let (view, cuts) = super::select::with_axis(blocks, axis)?;
        Blocks::new(Op::View(view), &[blocks], blocks.dtype, cuts, verb, origin)
    });
    let all = with_axis.collect::<Result<Vec<_>>>()?;
    joined(&all.iter().collect::<Vec<_>>(), axis, verb, origin)
}

/// Rows of blocks put together to one matrix: in each row side by side, and the rows one below another.
///
/// # Errors
/// As [`concatenate`].
///
/// ```
/// use chunkwise::prelude::*;
///
/// let (one, zero) = (array::ones::<i32, _>((1, 1), 1), array::zeros::<i32, _>((1, 1), 1));
/// let made = array::block(&[vec![&one, &zero], vec![&zero, &one]]);
/// assert_eq!(made.compute()?, ndarray::arr2(&[[1, 0], [0, 1]]));
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[track_caller]
pub fn block<A: Element>(rows: &[Vec<&Array<A, ndarray::Ix2>>]) -> Array<A, ndarray::Ix2> {
    let (verb, origin) = ("block", Origin::caller());
    let made = || {
        let rows = rows.iter().map(|row| concatenated(1, row, verb, origin)).collect::<Result<Vec<_>>>()?;
        joined(&rows.iter().collect::<Vec<_>>(), 0, verb, origin)
    };
    at_line(made(), verb, origin)
}

/// What stands around an array that is [padded](Array::pad).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Pad<A> {
    /// A number.
    Constant(A),
    /// The element at the edge.
    Edge,
    /// The array mirrored at its edge, whose elements stand once: `c b | a b c | b a`.
    Reflect,
    /// The array mirrored behind its edge: `b a | a b c | c b`.
    Symmetric,
    /// The other end of the array: `b c | a b c | a b`.
    Wrap,
    /// Evenly from the element at the edge to a number at the outermost place; of integers rounded down.
    LinearRamp(A),
    /// The greatest element along the axis; NaN where one is.
    Maximum,
    /// The mean along the axis; of integers rounded.
    Mean,
    /// The least element along the axis; NaN where one is.
    Minimum,
}

impl<A: Element, D: Dimension> Array<A, D> {
    /// With more elements before and behind along each axis.
    ///
    /// Mirrored and wrapped arrays are repeated where more is asked for than there is.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where there is not one width for each axis, or an axis without elements is to go on.
    ///
    /// ```
    /// use chunkwise::array::Pad;
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::arange(1, 4, 1, 2);
    /// assert_eq!(x.pad(&[(2, 1)], Pad::Reflect).compute()?, ndarray::arr1(&[3, 2, 1, 2, 3, 2]));
    /// assert_eq!(x.pad(&[(1, 2)], Pad::Constant(0)).compute()?, ndarray::arr1(&[0, 1, 2, 3, 0, 0]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn pad(&self, widths: &[(usize, usize)], with: Pad<A>) -> Array<A, D> {
        let (verb, origin) = ("pad", Origin::caller());
        let made = || padded(self.planned()?, widths, with, verb, origin);
        at_line(made(), verb, origin)
    }

    /// Moved along an axis by so many places; what leaves at one end comes in at the other.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// assert_eq!(array::arange(0, 5, 1, 2).roll(2, 0).compute()?, ndarray::arr1(&[3, 4, 0, 1, 2]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn roll(&self, by: isize, axis: isize) -> Array<A, D> {
        let (verb, origin) = ("roll", Origin::caller());
        let made = || {
            let blocks = self.planned()?;
            let axis = resolve_axis(axis, blocks.rank())?;
            let len = blocks.known_shape()?[axis];
            let cut = if len == 0 { 0 } else { (len - by.rem_euclid(len as isize) as usize) % len };
            if cut == 0 {
                return Ok(blocks.clone());
            }
            let behind = range(blocks, axis, cut, len, verb, origin)?;
            joined(&[&behind, &range(blocks, axis, 0, cut, verb, origin)?], axis, verb, origin)
        };
        at_line(made(), verb, origin)
    }

    /// Repeated whole, so many times along each axis.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where there is not one number for each axis.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::from_ndarray(ndarray::arr2(&[[1, 2]]), 1);
    /// assert_eq!(x.tile(&[2, 2]).compute()?, ndarray::arr2(&[[1, 2, 1, 2], [1, 2, 1, 2]]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn tile(&self, times: &[usize]) -> Array<A, D> {
        let (verb, origin) = ("tile", Origin::caller());
        let made = || {
            let mut all = self.planned()?.clone();
            if times.len() != all.rank() {
                return Err(plan(format!("{} numbers for an array of {} axes", times.len(), all.rank())));
            }
            for (axis, times) in times.iter().enumerate() {
                all = match times {
                    0 => range(&all, axis, 0, 0, verb, origin)?,
                    times if *times > MOST_TIMES => {
                        return Err(plan(format!("an array repeated {times} times: each time is a part of the plan")));
                    }
                    times => joined(&vec![&all; *times], axis, verb, origin)?,
                };
            }
            Ok(all)
        };
        at_line(made(), verb, origin)
    }

    /// Each element so many times in a row along an axis.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// assert_eq!(array::arange(0, 3, 1, 2).repeat(2, 0).compute()?, ndarray::arr1(&[0, 0, 1, 1, 2, 2]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn repeat(&self, times: usize, axis: isize) -> Array<A, D> {
        let (verb, origin) = ("repeat", Origin::caller());
        let made = || {
            let blocks = self.planned()?;
            repeated(blocks, resolve_axis(axis, blocks.rank())?, times, verb, origin)
        };
        at_line(made(), verb, origin)
    }

    /// With other elements before a place of an axis.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where the place is not there, or the shapes do not fit.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::arange(0, 4, 1, 2);
    /// assert_eq!(x.insert(1, &array::full(2, 9, 2), 0).compute()?, ndarray::arr1(&[0, 9, 9, 1, 2, 3]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn insert(&self, place: usize, values: &Array<A, D>, axis: isize) -> Array<A, D> {
        let (verb, origin) = ("insert", Origin::caller());
        let made = || {
            let (blocks, values) = (self.planned()?, values.planned()?);
            let axis = resolve_axis(axis, blocks.rank())?;
            let len = blocks.known_shape()?[axis];
            if place > len {
                return Err(plan(format!("{place} lies outside of an axis of length {len}")));
            }
            let before = range(blocks, axis, 0, place, verb, origin)?;
            joined(&[&before, values, &range(blocks, axis, place, len, verb, origin)?], axis, verb, origin)
        };
        at_line(made(), verb, origin)
    }

    /// Without some places of an axis, in any order.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where one is not there.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// assert_eq!(array::arange(0, 5, 1, 2).delete(&[3, 0], 0).compute()?, ndarray::arr1(&[1, 2, 4]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn delete(&self, places: &[usize], axis: isize) -> Array<A, D> {
        let (verb, origin) = ("delete", Origin::caller());
        let made = || {
            let blocks = self.planned()?;
            let axis = resolve_axis(axis, blocks.rank())?;
            let len = blocks.known_shape()?[axis];
            if let Some(beyond) = places.iter().find(|place| **place >= len) {
                return Err(plan(format!("{beyond} lies outside of an axis of length {len}")));
            }
            // What is left between them, one behind another.
            let mut gone = places.to_vec();
            gone.sort_unstable();
            gone.dedup();
            let starts = std::iter::once(0).chain(gone.iter().map(|place| place + 1));
            let runs = starts.zip(gone.iter().copied().chain([len])).filter(|(from, to)| from < to);
            let parts =
                runs.map(|(from, to)| range(blocks, axis, from, to, verb, origin)).collect::<Result<Vec<_>>>()?;
            match parts.is_empty() {
                true => range(blocks, axis, 0, 0, verb, origin),
                false => joined(&parts.iter().collect::<Vec<_>>(), axis, verb, origin),
            }
        };
        at_line(made(), verb, origin)
    }

    /// Turned by a right angle, so many times, from the first axis to the second.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where the axes are not there or the same.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::from_ndarray(ndarray::arr2(&[[1, 2], [3, 4]]), 1);
    /// assert_eq!(x.rot90(1, (0, 1)).compute()?, ndarray::arr2(&[[2, 4], [1, 3]]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn rot90(&self, times: isize, (from, to): (isize, isize)) -> Array<A, D> {
        let (verb, origin) = ("rot90", Origin::caller());
        let checked = self.planned().and_then(|blocks| {
            let (a, b) = (resolve_axis(from, blocks.rank())?, resolve_axis(to, blocks.rank())?);
            if a == b { Err(plan("an array is turned from one axis to another one")) } else { Ok(()) }
        });
        if let Err(error) = checked {
            return at_line(Err(error), verb, origin);
        }
        match times.rem_euclid(4) {
            0 => self.clone(),
            1 => self.flip(&[to]).swap_axes(from, to),
            2 => self.flip(&[from, to]),
            _ => self.swap_axes(from, to).flip(&[to]),
        }
    }
}

/// Each element so many times in a row along an axis.
pub(super) fn repeated(
    blocks: &Blocks,
    axis: usize,
    times: usize,
    verb: &'static str,
    origin: Origin,
) -> Result<Blocks> {
    blocks.known_shape()?;
    let known = blocks.cuts_of(axis)?;
    // Along a new axis behind it all are the same; both are one then.
    let (mut cuts, mut view) = (blocks.cuts.to_vec(), View { axes: Vec::new() });
    cuts.insert(axis + 1, Cuts::whole(times));
    view.axes.extend((0..blocks.rank()).map(|at| AxisMap::same(if at <= axis { at } else { at + 1 })));
    let stretched = Blocks::new(Op::View(view), &[blocks], blocks.dtype, cuts, verb, origin)?;
    let mut cuts = blocks.cuts.to_vec();
    cuts[axis] = Cuts::Known(known.iter().map(|cut| cut * times).collect());
    super::reshape::same_blocks(&stretched, stretched.cuts.to_vec(), cuts, verb, origin)
}

/// How often an axis is repeated at most beyond its edge: each time is a part of the plan.
const MOST_TIMES: usize = 1 << 20;

/// An array with more elements around.
pub(super) fn padded<A: Element>(
    blocks: &Blocks,
    widths: &[(usize, usize)],
    with: Pad<A>,
    verb: &'static str,
    origin: Origin,
) -> Result<Blocks> {
    if widths.len() != blocks.rank() {
        return Err(plan(format!("{} widths for an array of {} axes", widths.len(), blocks.rank())));
    }
    let mut all = blocks.clone();
    for (axis, (before, behind)) in widths.iter().copied().enumerate() {
        if (before, behind) == (0, 0) {
            continue;
        }
        let len = all.len_of(axis)?;
        let most = isize::MAX as usize / all.dtype.bytes();
        if before.checked_add(behind).and_then(|more| more.checked_add(len)).is_none_or(|all| all > most) {
            return Err(plan(format!(
                "an axis of {len} elements with {before} before and {behind} behind is longer than can be"
            )));
        }
        if matches!(with, Pad::Reflect | Pad::Symmetric | Pad::Wrap) && before.max(behind) / len.max(1) > MOST_TIMES {
            return Err(plan(format!("an axis of {len} elements repeated over {} places", before.max(behind))));
        }
        if len == 0 && !matches!(with, Pad::Constant(_)) {
            return Err(plan(format!("axis {axis} has no elements that could go on beyond its edge")));
        }
        let (pieces_before, pieces_behind) = match with {
            Pad::Constant(value) => {
                all.known_shape()?;
                let part = |len| filled(&all, axis, len, value.number(), verb, origin);
                (vec![part(before)?], vec![part(behind)?])
            }
            Pad::Edge => {
                let part = |at: usize, count| stepped(&all, axis, at as i64, 0, count, verb, origin);
                (vec![part(0, before)?], vec![part(len - 1, behind)?])
            }
            Pad::LinearRamp(end) => {
                let part = |at: usize, count, reversed| {
                    let edge = stepped(&all, axis, at as i64, 0, count, verb, origin)?;
                    ramp::<A>(&edge, axis, end.number(), reversed, verb, origin)
                };
                (vec![part(0, before, false)?], vec![part(len - 1, behind, true)?])
            }
            Pad::Maximum | Pad::Mean | Pad::Minimum => {
                let kind = match with {
                    Pad::Maximum => ReduceKind::Max,
                    Pad::Minimum => ReduceKind::Min,
                    _ => ReduceKind::Mean,
                };
                let mut one = reduced(&all, (kind, false), &[axis], true, verb, origin)?;
                if one.dtype != all.dtype {
                    one = cast(&unary(&one, Unary::Rint, verb, origin)?, all.dtype, verb, origin)?;
                }
                let block = all.cuts[axis].most().unwrap_or(1);
                let part = |count| stretched(&one, axis, 0, (count, block), verb, origin);
                (vec![part(before)?], vec![part(behind)?])
            }
            Pad::Reflect | Pad::Symmetric | Pad::Wrap => {
                let before = continued(len, before, with == Pad::Reflect, with == Pad::Wrap, true);
                let behind = continued(len, behind, with == Pad::Reflect, with == Pad::Wrap, false);
                let parts = |runs: Vec<(i64, i64, usize)>| {
                    let part = |(start, step, count)| stepped(&all, axis, start, step, count, verb, origin);
                    runs.into_iter().map(part).collect::<Result<Vec<_>>>()
                };
                (parts(before)?, parts(behind)?)
            }
        };
        let parts: Vec<&Blocks> = pieces_before.iter().chain([&all]).chain(&pieces_behind).collect();
        all = joined(&parts, axis, verb, origin)?;
    }
    Ok(all)
}

/// Evenly from a number to what stands at an edge, or back.
fn ramp<A: Element>(
    edge: &Blocks,
    axis: usize,
    end: Number,
    reversed: bool,
    verb: &'static str,
    origin: Origin,
) -> Result<Blocks> {
    if matches!(A::DTYPE, DType::C32 | DType::C64 | DType::Bool) {
        return Err(plan(format!("a ramp of {}: only of integers and floats", A::DTYPE)));
    }
    let width = edge.len_of(axis)?;
    // The share of the edge at each place.
    let (first, step) = if reversed { (width as f64 - 1.0, -1.0) } else { (0.0, 1.0) };
    let kernel = Arange { start: Number::Float(first), step: Number::Float(step) };
    let made = MadeOp { label: format!("ramp from {first} by {step}"), kernel: Arc::new(kernel), cost: 1 };
    let line = Blocks::new(Op::Made(made), &[], DType::F64, vec![edge.cuts[axis].clone()], verb, origin)?;
    let view = View { axes: vec![AxisMap::same(axis)] };
    let cuts = |at: usize| if at == axis { edge.cuts[axis].clone() } else { Cuts::whole(1) };
    let cuts: Vec<Cuts> = (0..edge.rank()).map(cuts).collect();
    let line = Blocks::new(Op::View(view), &[&line], DType::F64, cuts, verb, origin)?;
    let number = |number: Number| Blocks::new(Op::Full(number), &[], DType::F64, Vec::new(), verb, origin);
    let of = |a: &Blocks, b: &Blocks, f: Binary| binary(a, b, f, DType::F64, verb, origin);
    let (edge, end) = (cast(edge, DType::F64, verb, origin)?, number(end.cast(DType::F64))?);
    let apart = of(&edge, &end, Binary::Sub)?;
    let share = of(&of(&apart, &number(Number::Float(width.max(1) as f64))?, Binary::Div)?, &line, Binary::Mul)?;
    let mut made = of(&end, &share, Binary::Add)?;
    if !matches!(A::DTYPE, DType::F32 | DType::F64) {
        made = unary(&made, Unary::Floor, verb, origin)?;
    }
    cast(&made, A::DTYPE, verb, origin)
}

/// How an axis of a length goes on beyond an edge by so many places, as runs of places: from where, by which step, how many.
fn continued(len: usize, width: usize, once: bool, wraps: bool, before: bool) -> Vec<(i64, i64, usize)> {
    let place = |at: i64| -> i64 {
        let len = len as i64;
        match (wraps, once && len > 1) {
            (true, _) => at.rem_euclid(len),
            (false, true) => {
                let at = at.rem_euclid(2 * len - 2);
                if at < len { at } else { 2 * len - 2 - at }
            }
            (false, false) if once => 0,
            (false, false) => {
                let at = at.rem_euclid(2 * len);
                if at < len { at } else { 2 * len - 1 - at }
            }
        }
    };
    let from = if before { -(width as i64) } else { len as i64 };
    let mut runs: Vec<(i64, i64, usize)> = Vec::new();
    for at in from..from + width as i64 {
        let at = place(at);
        match runs.last_mut() {
            Some((start, step, count)) if *count == 1 && (at - *start).abs() <= 1 => {
                (*step, *count) = (at - *start, 2);
            }
            Some((start, step, count)) if *count > 1 && at == *start + *step * *count as i64 => *count += 1,
            _ => runs.push((at, 1, 1)),
        }
    }
    runs
}
