//! Elements by lists of places and by masks, and arrays with other elements at some places.

use std::sync::Arc;

use ndarray::{Dimension, Ix1, Ix2, SliceArg, SliceInfoElem};

use super::Array;
use super::blocks::{Mapped, at_line};
use super::element::Element;
use super::kernels::{Every, Number, keep_places, places_kept};
use super::plan::{AxisMap, Blocks, Cuts, MadeOp, Op, Taken, View, broadcast_cuts, plan, resolve_axis};
use super::reshape::rows_of;
use crate::error::{Error, Result};
use crate::origin::Origin;
use crate::store::{DType, NdBlock};

/// Elements of a block whose places are told: places may take many times as much as elements.
const MOST_PLACES: usize = 1 << 20;

/// Places of an axis, in blocks of about as many as the axis has.
pub(super) fn taken(
    blocks: &Blocks,
    axis: usize,
    places: &[usize],
    verb: &'static str,
    origin: Origin,
) -> Result<Blocks> {
    let len = blocks.len_of(axis)?;
    if let Some(beyond) = places.iter().find(|place| **place >= len) {
        return Err(plan(format!("{beyond} lies outside of an axis of length {len}")));
    }
    let mut cuts = blocks.cuts.to_vec();
    // Even steps are a view.
    let step = match places {
        [] | [_] => Some(1),
        [first, second, ..] => {
            let step = *second as i64 - *first as i64;
            let even = places.windows(2).all(|two| two[1] as i64 - two[0] as i64 == step);
            (even && step != 0).then_some(step)
        }
    };
    if let Some(step) = step {
        let (start, known) = (places.first().copied().unwrap_or(0) as i64, blocks.cuts[axis].known().unwrap_or(&[]));
        cuts[axis] = super::select::sliced_cuts(known, start, step, places.len());
        let mut view = View::identity(blocks.rank());
        view.axes[axis] = AxisMap { of: Some(axis), start, step };
        return Blocks::new(Op::View(view), &[blocks], blocks.dtype, cuts, verb, origin);
    }
    cuts[axis] = Cuts::even(places.len(), blocks.cuts[axis].most().unwrap_or(1));
    Blocks::new(Op::Take { axis, places: places.into() }, &[blocks], blocks.dtype, cuts, verb, origin)
}

/// Two arrays of one shape as they are put together by rows: what tasks take of each, and how many tasks there are.
fn by_rows_together(x: &Blocks, mask: &Blocks) -> Result<(Vec<Vec<Taken>>, Vec<Cuts>)> {
    let (shape, of_mask) = (x.known_shape()?, mask.known_shape()?);
    if shape != of_mask {
        return Err(plan(format!("a mask of the shape {of_mask:?} for an array of the shape {shape:?}")));
    }
    let rows = rows_of(&x.cuts, usize::MAX);
    let takes: Vec<Taken> = rows.iter().enumerate().map(|(axis, cuts)| Taken::blocks(axis, cuts)).collect();
    Ok((vec![takes.clone(), takes], rows))
}

impl<A: Element, D: Dimension> Array<A, D> {
    /// The elements at some places of an axis, in the order in which they are named and as often.
    ///
    /// Negative places count from behind. Blocks are read that have some of them, and no others.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where a place or the axis is not there.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::arange(0, 10, 1, 4);
    /// assert_eq!(x.take(&[7, 0, 0, -1], 0).compute()?, ndarray::arr1(&[7, 0, 0, 9]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn take(&self, places: &[isize], axis: isize) -> Array<A, D> {
        let (verb, origin) = ("take", Origin::caller());
        let made = || {
            let blocks = self.planned()?;
            let axis = resolve_axis(axis, blocks.rank())?;
            let len = blocks.len_of(axis)?;
            let places = places.iter().map(|place| resolved(*place, len)).collect::<Result<Vec<_>>>()?;
            taken(blocks, axis, &places, verb, origin)
        };
        at_line(made(), verb, origin)
    }

    /// The places of an axis for which a mask is true. How many there are is known after a run only: the length of the axis is unknown.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where the mask has another length than the axis.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::from_ndarray(ndarray::arr2(&[[1, 2], [3, 4], [5, 6]]), 2);
    /// let rows = x.compress(&x.sum_axis(Axis(1)).gt(5_i64), 0);
    /// assert_eq!(rows.compute()?, ndarray::arr2(&[[3, 4], [5, 6]]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn compress(&self, mask: &Array<bool, Ix1>, axis: isize) -> Array<A, D> {
        let (verb, origin) = ("compress", Origin::caller());
        let made = || {
            let (blocks, mask) = (self.planned()?, mask.planned()?);
            let axis = resolve_axis(axis, blocks.rank())?;
            let (len, of_mask) = (blocks.cuts[axis].len(), mask.cuts[0].len());
            let fits = len == of_mask && (len.is_some() || blocks.cuts[axis].blocks() == mask.cuts[0].blocks());
            if !fits {
                let show = |len: Option<usize>| len.map_or("unknown length".to_string(), |len| format!("length {len}"));
                return Err(plan(format!("a mask of {} for an axis of {}", show(of_mask), show(len))));
            }
            let (grid, takes) = super::blocks::as_cut(blocks);
            let takes = vec![takes, vec![Taken::blocks(axis, &blocks.cuts[axis])]];
            let mut cuts = blocks.cuts.to_vec();
            cuts[axis] = Cuts::Unknown(cuts[axis].blocks());
            let inputs = vec![blocks, mask];
            let key = Some(format!("compress {axis}"));
            let mapped = Mapped { verb, origin, inputs, grid, takes, cuts, key };
            mapped.of_type(blocks.dtype, blocks.most_bytes(), move |given, _| {
                let [block, mask] = &given[..] else { return Err(Error::internal("a mask without an array")) };
                keep_places(block, axis, mask)
            })
        };
        at_line(made(), verb, origin)
    }

    /// All elements for which a mask of the same shape is true, by rows, along one axis of unknown length.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where the mask has another shape.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::from_ndarray(ndarray::arr2(&[[1, 5], [7, 2]]), 1);
    /// assert_eq!(x.extract(&x.gt(3)).compute()?, ndarray::arr1(&[5, 7]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn extract(&self, mask: &Array<bool, D>) -> Array<A, Ix1> {
        let (verb, origin) = ("extract", Origin::caller());
        let made = || {
            let (blocks, mask) = (self.planned()?, mask.planned()?);
            let (takes, rows) = by_rows_together(blocks, mask)?;
            let grid: Vec<u32> = rows.iter().map(Cuts::blocks).collect();
            let cuts = vec![Cuts::Unknown(grid.iter().product())];
            let (inputs, key) = (vec![blocks, mask], Some("extract".to_string()));
            let mapped = Mapped { verb, origin, inputs, grid, takes, cuts, key };
            mapped.of_type(blocks.dtype, blocks.most_bytes(), move |given, _| {
                let [block, mask]: [NdBlock; 2] =
                    given.try_into().map_err(|_| Error::internal("a mask without an array"))?;
                let line = |block: NdBlock| NdBlock::new([block.data().len()], block.into_data());
                keep_places(&line(block)?, 0, &line(mask)?)
            })
        };
        at_line(made(), verb, origin)
    }

    /// The elements at some points, each named by its place along all axes: `points[axis][n]` is the place of point `n` along an axis.
    ///
    /// Negative places count from behind.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where there is not one list for each axis, they differ in length, or a place is not there.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::from_ndarray(ndarray::arr2(&[[1, 2], [3, 4]]), 1);
    /// assert_eq!(x.vindex(&[&[1, 0, 1], &[0, 1, -1]]).compute()?, ndarray::arr1(&[3, 2, 4]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn vindex(&self, points: &[&[isize]]) -> Array<A, Ix1> {
        let (verb, origin) = ("vindex", Origin::caller());
        let made = || {
            let blocks = self.planned()?;
            let shape = blocks.known_shape()?;
            if points.len() != shape.len() {
                return Err(plan(format!("{} lists of places for an array of {} axes", points.len(), shape.len())));
            }
            let count = points.first().map_or(1, |places| places.len());
            if points.iter().any(|places| places.len() != count) {
                return Err(plan("lists of places of different lengths"));
            }
            let mut flat = vec![0usize; count];
            for (places, len) in points.iter().zip(&shape) {
                for (flat, place) in flat.iter_mut().zip(*places) {
                    *flat = *flat * len + resolved(*place, *len)?;
                }
            }
            let line = super::reshape::reshaped(blocks, &[shape.iter().product()], verb, origin)?;
            taken(&line, 0, &flat, verb, origin)
        };
        at_line(made(), verb, origin)
    }

    /// The array with other elements in a slice, as `s![]` says it; they broadcast to its shape. The array itself stays as it is.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where a place lies outside or the shapes do not fit.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::zeros::<i32, _>(6, 4);
    /// let y = x.assign(s![1..5], &array::arange(1, 5, 1, 4)).assign(s![..;3], &array::full(1, 9, 1));
    /// assert_eq!(y.compute()?, ndarray::arr1(&[9, 1, 2, 9, 4, 0]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn assign<I: SliceArg<D>, E: Dimension>(&self, info: I, values: &Array<A, E>) -> Array<A, D> {
        let (verb, origin) = ("assign", Origin::caller());
        let made = || assigned(self.planned()?, info.as_ref(), values.planned()?, verb, origin);
        at_line(made(), verb, origin)
    }

    /// The array with other elements where a mask is true. Both broadcast to its shape. The array itself stays as it is.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where the shapes do not fit.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::arange(0, 4, 1, 2);
    /// assert_eq!(x.assign_where(&x.gt(1), &-&x).compute()?, ndarray::arr1(&[0, 1, -2, -3]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn assign_where<E: Dimension, F: Dimension>(&self, mask: &Array<bool, E>, values: &Array<A, F>) -> Array<A, D> {
        let (verb, origin) = ("assign_where", Origin::caller());
        let made = || {
            let (blocks, mask, values) = (self.planned()?, mask.planned()?, values.planned()?);
            let both = broadcast_cuts(mask, values)?;
            let stretched = Blocks::new(Op::Full(Number::zero(blocks.dtype)), &[], blocks.dtype, both, verb, origin)?;
            let cuts = broadcast_cuts(blocks, &stretched)?;
            if cuts.iter().map(Cuts::len).ne(blocks.cuts.iter().map(Cuts::len)) {
                return Err(plan("the mask and the values have a larger shape than the array"));
            }
            Blocks::new(Op::Select, &[mask, values, blocks], blocks.dtype, cuts, verb, origin)
        };
        at_line(made(), verb, origin)
    }

    /// Where elements are not zero: a row for each, by rows, with its place along each axis.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::from_ndarray(ndarray::arr2(&[[0, 5], [7, 0]]), 1);
    /// assert_eq!(x.argwhere().compute()?, ndarray::arr2(&[[0, 1], [1, 0]]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn argwhere(&self) -> Array<i64, Ix2> {
        let (verb, origin) = ("argwhere", Origin::caller());
        let made = || {
            let blocks = self.planned()?;
            blocks.known_shape()?;
            let rows = rows_of(&blocks.cuts, MOST_PLACES);
            let takes = rows.iter().enumerate().map(|(axis, cuts)| Taken::blocks(axis, cuts)).collect();
            let grid: Vec<u32> = rows.iter().map(Cuts::blocks).collect();
            let cuts = vec![Cuts::Unknown(grid.iter().product()), Cuts::whole(blocks.rank())];
            let (inputs, key) = (vec![blocks], Some("argwhere".to_string()));
            let mapped = Mapped { verb, origin, inputs, grid, takes: vec![takes], cuts, key };
            // Beside its place along each axis each has one among all, for a moment.
            let most: usize = rows.iter().filter_map(Cuts::most).product();
            let most = (most * 8 * (blocks.rank() + 1)) as u64;
            mapped.of_type(DType::I64, Some(most), move |given, place| {
                let starts = place.starts.first().map_or(&[][..], |starts| starts);
                places_kept(&super::blocks::only(given)?, starts)
            })
        };
        at_line(made(), verb, origin)
    }

    /// Where elements are not zero: for each axis their places along it, by rows.
    ///
    /// # Errors
    /// As [`Array::argwhere`]; of the first verb that was wrong.
    pub fn nonzero(&self) -> Result<Vec<Array<i64, Ix1>>> {
        let (rank, places) = (self.ndim()?, self.argwhere());
        Ok((0..rank).map(|axis| places.index_axis(ndarray::Axis(1), axis)).collect())
    }

    /// Where elements are not zero: their places among all by rows.
    #[track_caller]
    pub fn flatnonzero(&self) -> Array<i64, Ix1> {
        self.ravel().argwhere().index_axis(ndarray::Axis(1), 0)
    }
}

/// A place on an axis, from behind where it is negative.
fn resolved(place: isize, len: usize) -> Result<usize> {
    let from = if place < 0 { place.checked_add_unsigned(len).unwrap_or(-1) } else { place };
    let inside = usize::try_from(from).ok().filter(|at| *at < len);
    inside.ok_or_else(|| plan(format!("{place} lies outside of an axis of length {len}")))
}

/// A mask for an array that is true at every so manieth place along an axis, from the first on.
fn every(step: u64, axis: usize, of: &Blocks, verb: &'static str, origin: Origin) -> Result<Blocks> {
    let made = MadeOp { label: format!("every {step}"), kernel: Arc::new(Every { step }), cost: 1 };
    let cuts = vec![of.cuts[axis].clone()];
    let line = Blocks::new(Op::Made(made), &[], DType::Bool, cuts, verb, origin)?;
    let view = View { axes: vec![AxisMap::same(axis)] };
    Blocks::new(Op::View(view), &[&line], DType::Bool, of.cuts.clone(), verb, origin)
}

/// The array with other elements in a slice.
fn assigned(
    blocks: &Blocks,
    parts: &[SliceInfoElem],
    values: &Blocks,
    verb: &'static str,
    origin: Origin,
) -> Result<Blocks> {
    let shape = blocks.known_shape()?;
    // Of each axis where the slice begins, its step and how many places it has; and whether the axis is one of the values'.
    let (mut spans, mut is_kept, mut axes) = (Vec::new(), Vec::new(), shape.iter());
    for part in parts {
        if let SliceInfoElem::NewAxis = part {
            return Err(plan("elements are assigned to axes that are there, not to new ones"));
        }
        let len = *axes.next().ok_or_else(|| plan("a slice of more axes than there are"))?;
        match *part {
            SliceInfoElem::Index(at) => {
                spans.push((resolved(at, len)? as i64, 1, 1));
                is_kept.push(false);
            }
            SliceInfoElem::Slice { start, end, step } => {
                spans.push(super::select::along(len, start, end, step)?);
                is_kept.push(true);
            }
            SliceInfoElem::NewAxis => {}
        }
    }
    if axes.next().is_some() {
        return Err(plan(format!("a slice of {} axes of an array of {}", spans.len(), shape.len())));
    }
    // The values, with the axes of the array: where the slice has a single place they have none.
    let kept: Vec<usize> = (0..shape.len()).filter(|axis| is_kept[*axis]).collect();
    let lens: Vec<usize> = kept.iter().map(|axis| spans[*axis].2).collect();
    let of_values = values.known_shape()?;
    let behind = lens.len().checked_sub(of_values.len());
    let fits = |behind: usize| of_values.iter().zip(&lens[behind..]).all(|(from, to)| from == to || *from == 1);
    let Some(behind) = behind.filter(|behind| fits(*behind)) else {
        return Err(plan(format!("elements of the shape {of_values:?} in a slice of the shape {lens:?}")));
    };
    if lens.contains(&0) {
        return Ok(blocks.clone());
    }
    // From where to where along each axis, and the values in the order of the array.
    let mut view = View { axes: vec![AxisMap::fixed(0); of_values.len()] };
    let mut cuts: Vec<Cuts> = Vec::with_capacity(shape.len());
    let mut ranges = Vec::with_capacity(shape.len());
    for (axis, (first, step, count)) in spans.iter().copied().enumerate() {
        let last = first + step * (count as i64 - 1);
        ranges.push((first.min(last) as usize, first.max(last) as usize + 1));
        let own = kept.iter().position(|of| *of == axis).and_then(|at| at.checked_sub(behind));
        let known = blocks.cuts[axis].known().unwrap_or(&[]);
        cuts.push(super::select::sliced_cuts(known, first.min(last), step.abs(), count));
        if let Some(own) = own.filter(|own| of_values[*own] != 1) {
            let start = if step > 0 { 0 } else { count as i64 - 1 };
            view.axes[own] = AxisMap { of: Some(axis), start, step: step.signum() };
        }
    }
    let mut region = Blocks::new(Op::View(view), &[values], values.dtype, cuts, verb, origin)?;
    // Between places of a slice with larger steps stand the array's own elements.
    for (axis, (_, step, count)) in spans.iter().copied().enumerate() {
        if step.abs() > 1 && count > 1 {
            let step = step.unsigned_abs() as usize;
            let repeated = super::join::repeated(&region, axis, step, verb, origin)?;
            region = super::join::range(&repeated, axis, 0, (count - 1) * step + 1, verb, origin)?;
        }
    }
    let inner = |axis: usize, from: usize, to: usize, of: &Blocks| super::join::range(of, axis, from, to, verb, origin);
    let mut own = blocks.clone();
    for (axis, (from, to)) in ranges.iter().enumerate() {
        own = inner(axis, *from, *to, &own)?;
    }
    let mut whole = region;
    for (axis, (_, step, count)) in spans.iter().copied().enumerate() {
        if step.abs() > 1 && count > 1 {
            let mask = every(step.unsigned_abs(), axis, &own, verb, origin)?;
            whole = Blocks::new(Op::Select, &[&mask, &whole, &own], own.dtype, own.cuts.clone(), verb, origin)?;
        }
    }
    // What stands around it, axis by axis from the last one.
    for axis in (0..shape.len()).rev() {
        let mut around = blocks.clone();
        for (before, (from, to)) in ranges.iter().enumerate().take(axis) {
            around = inner(before, *from, *to, &around)?;
        }
        let (from, to) = ranges[axis];
        let (front, back) = (inner(axis, 0, from, &around)?, inner(axis, to, shape[axis], &around)?);
        let all: Vec<&Blocks> = [(&front, from > 0), (&whole, true), (&back, to < shape[axis])]
            .into_iter()
            .filter_map(|(part, is_there)| is_there.then_some(part))
            .collect();
        whole = super::join::joined(&all, axis, verb, origin)?;
    }
    Ok(whole)
}
