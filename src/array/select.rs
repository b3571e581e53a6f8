//! Views: slices, transposed and broadcast arrays. None of them moves an element.

use ndarray::{Axis, DimAdd, Dimension, IntoDimension, Ix1, IxDyn, RemoveAxis, SliceArg, SliceInfoElem};

use super::Array;
use super::plan::{AxisMap, Blocks, Cuts, Op, View, plan, resolve_axis};
use crate::error::{Result, Role};
use crate::origin::Origin;

/// Of a slice along an axis of known length: the first place, the step, and how many there are.
pub(super) fn along(len: usize, start: isize, end: Option<isize>, step: isize) -> Result<(i64, i64, usize)> {
    if step == 0 {
        return Err(plan("a slice with step 0"));
    }
    let place = |at: isize| -> Result<usize> {
        let from = if at < 0 { at + len as isize } else { at };
        usize::try_from(from)
            .ok()
            .filter(|at| *at <= len)
            .ok_or_else(|| plan(format!("{at} lies outside of an axis of length {len}")))
    };
    let (from, to) = (place(start)?, end.map_or(Ok(len), place)?);
    let room = to.saturating_sub(from);
    let count = room.div_ceil(step.unsigned_abs());
    // As in ndarray a negative step goes through the same range from behind.
    let first = if step > 0 { from as i64 } else { to as i64 - 1 };
    // Of one place the step tells nothing, and may be larger than can be counted with.
    let step = if count > 1 { step } else { step.signum() };
    Ok((first, step as i64, count))
}

/// The cuts of a slice, by those of the axis.
pub(super) fn sliced_cuts(cuts: &[usize], first: i64, step: i64, count: usize) -> Cuts {
    let map = AxisMap { of: Some(0), start: first, step };
    // How many of the slice's places lie on the near side of each cut.
    let before = |cut: &usize| map.beyond(*cut as i64).unwrap_or(0).clamp(0, count as i64) as usize;
    let mut ends: Vec<usize> = cuts.iter().map(before).collect();
    ends.extend([0, count]);
    ends.sort_unstable();
    ends.dedup();
    if ends.len() == 1 {
        ends.push(count);
    }
    Cuts::Known(ends.into())
}

/// With a new axis of length 1.
pub(super) fn with_axis(blocks: &Blocks, axis: usize) -> Result<(View, Vec<Cuts>)> {
    if axis > blocks.rank() {
        return Err(plan(format!("a new axis {axis} in an array of {} axes", blocks.rank())));
    }
    let mut cuts = blocks.cuts.to_vec();
    cuts.insert(axis, Cuts::whole(1));
    let axes = (0..blocks.rank()).map(|at| AxisMap::same(if at < axis { at } else { at + 1 }));
    Ok((View { axes: axes.collect() }, cuts))
}

impl<A, D: Dimension> Array<A, D> {
    fn view_as<E>(
        &self,
        verb: &'static str,
        origin: Origin,
        make: impl FnOnce(&Blocks) -> Result<(View, Vec<Cuts>)>,
    ) -> Array<A, E> {
        let made = || {
            let blocks = self.planned()?;
            let (view, cuts) = make(blocks)?;
            Blocks::new(Op::View(view), &[blocks], blocks.dtype, cuts, verb, origin)
        };
        Array::of(made().map_err(|error| error.frame(Role::In, verb, origin)))
    }

    /// A slice, as ndarray's `s![]` says it: ranges with any step, single places (their axes are dropped), new axes. A negative step
    /// goes through its range from behind, as in ndarray.
    ///
    /// A single place that is written as a plain number leaves open what axes are left until the compiler has seen more of the
    /// program, which is too late for `?`: give it a type (`s![3_usize, ..]`), or take [`Array::index_axis`].
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where a place lies outside.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::arange(0, 10, 1, 4);
    /// assert_eq!(x.slice(s![1..8;3]).compute()?, ndarray::arr1(&[1, 4, 7]));
    /// assert_eq!(x.slice(s![..;-4]).compute()?, ndarray::arr1(&[9, 5, 1]));
    /// assert_eq!(x.slice(s![-1_isize]).compute()?, 9);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn slice<I: SliceArg<D>>(&self, info: I) -> Array<A, I::OutDim> {
        let origin = Origin::caller();
        self.view_as("slice", origin, |blocks| {
            let (mut view, mut cuts, mut axes) = (View { axes: Vec::new() }, Vec::new(), blocks.cuts.iter());
            for part in info.as_ref() {
                if let SliceInfoElem::NewAxis = part {
                    cuts.push(Cuts::whole(1));
                    continue;
                }
                let of = axes.next().ok_or_else(|| plan("a slice of more axes than there are"))?;
                let whole = matches!(part, SliceInfoElem::Slice { start: 0, end: None, step: 1 });
                if whole && of.known().is_none() {
                    view.axes.push(AxisMap::same(cuts.len()));
                    cuts.push(of.clone());
                    continue;
                }
                let known = blocks.cuts_of(view.axes.len())?;
                let len = known.last().copied().unwrap_or(0);
                match *part {
                    SliceInfoElem::Index(at) => {
                        let from = if at < 0 { at + len as isize } else { at };
                        let from = usize::try_from(from).ok().filter(|at| *at < len);
                        let from = from.ok_or_else(|| plan(format!("{at} lies outside of an axis of length {len}")))?;
                        view.axes.push(AxisMap::fixed(from as i64));
                    }
                    SliceInfoElem::Slice { start, end, step } => {
                        let (start, step, count) = along(len, start, end, step)?;
                        view.axes.push(AxisMap { of: Some(cuts.len()), start, step });
                        cuts.push(sliced_cuts(known, start, step, count));
                    }
                    SliceInfoElem::NewAxis => {}
                }
            }
            if axes.next().is_some() {
                return Err(plan(format!("a slice of {} axes of an array of {}", view.axes.len(), blocks.rank())));
            }
            Ok((view, cuts))
        })
    }

    /// What is at one place of an axis, which is dropped.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where the place or the axis is not there.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::from_ndarray(ndarray::arr2(&[[1, 2], [3, 4]]), 1);
    /// assert_eq!(x.index_axis(ndarray::Axis(0), 1).compute()?, ndarray::arr1(&[3, 4]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn index_axis(&self, axis: Axis, place: usize) -> Array<A, D::Smaller>
    where
        D: RemoveAxis,
    {
        let origin = Origin::caller();
        let made = || {
            let blocks = self.planned()?;
            let at = resolve_axis(isize::try_from(axis.0).unwrap_or(isize::MAX), blocks.rank())?;
            let len = blocks.len_of(at)?;
            if place >= len {
                return Err(plan(format!("{place} lies outside of an axis of length {len}")));
            }
            blocks.at_places(&[(at, place as i64)], "index_axis", origin)
        };
        Array::of(made().map_err(|error| error.frame(Role::In, "index_axis", origin)))
    }

    /// With the axes in the opposite order.
    #[track_caller]
    pub fn t(&self) -> Array<A, D> {
        let origin = Origin::caller();
        self.view_as("t", origin, |blocks| {
            let rank = blocks.rank();
            let axes = (0..rank).map(|axis| AxisMap::same(rank - 1 - axis)).collect();
            Ok((View { axes }, blocks.cuts.iter().rev().cloned().collect()))
        })
    }

    /// With the axes in another order: axis `axes[n]` becomes axis `n`.
    #[track_caller]
    pub fn permuted_axes(&self, axes: impl IntoDimension<Dim = D>) -> Array<A, D> {
        let origin = Origin::caller();
        let order = axes.into_dimension();
        self.view_as("permuted_axes", origin, |blocks| permuted(blocks, order.slice()))
    }

    /// With two axes in each other's place.
    #[track_caller]
    pub fn swap_axes(&self, a: isize, b: isize) -> Array<A, D> {
        let origin = Origin::caller();
        self.view_as("swap_axes", origin, |blocks| {
            let mut order: Vec<usize> = (0..blocks.rank()).collect();
            order.swap(resolve_axis(a, blocks.rank())?, resolve_axis(b, blocks.rank())?);
            permuted(blocks, &order)
        })
    }

    /// With one axis at another place, the others in their order.
    #[track_caller]
    pub fn move_axis(&self, from: isize, to: isize) -> Array<A, D> {
        let origin = Origin::caller();
        self.view_as("move_axis", origin, |blocks| {
            let mut order: Vec<usize> = (0..blocks.rank()).collect();
            let axis = order.remove(resolve_axis(from, blocks.rank())?);
            order.insert(resolve_axis(to, blocks.rank())?, axis);
            permuted(blocks, &order)
        })
    }

    /// From behind along some axes.
    #[track_caller]
    pub fn flip(&self, axes: &[isize]) -> Array<A, D> {
        let origin = Origin::caller();
        self.view_as("flip", origin, |blocks| {
            let (mut view, mut cuts) = (View::identity(blocks.rank()), blocks.cuts.to_vec());
            let shape = blocks.known_shape()?;
            for axis in axes {
                let axis = resolve_axis(*axis, blocks.rank())?;
                let len = shape[axis];
                if view.axes[axis].step < 0 {
                    return Err(plan("an axis is named twice"));
                }
                view.axes[axis] = AxisMap { of: Some(axis), start: len as i64 - 1, step: -1 };
                cuts[axis] = Cuts::Known(cuts[axis].known().unwrap_or(&[]).iter().rev().map(|cut| len - cut).collect());
            }
            Ok((view, cuts))
        })
    }

    /// With a new axis of length 1 before `axis`.
    #[track_caller]
    pub fn insert_axis(&self, axis: Axis) -> Array<A, <D as DimAdd<Ix1>>::Output>
    where
        D: DimAdd<Ix1>,
    {
        let origin = Origin::caller();
        self.view_as("insert_axis", origin, |blocks| with_axis(blocks, axis.0))
    }

    /// Without an axis of length 1.
    #[track_caller]
    pub fn remove_axis(&self, axis: Axis) -> Array<A, D::Smaller>
    where
        D: RemoveAxis,
    {
        let origin = Origin::caller();
        self.view_as("remove_axis", origin, |blocks| {
            let at = resolve_axis(isize::try_from(axis.0).unwrap_or(isize::MAX), blocks.rank())?;
            squeezed(blocks, &[at])
        })
    }

    /// Without all axes of length 1.
    #[track_caller]
    pub fn squeeze(&self) -> Array<A, IxDyn> {
        let origin = Origin::caller();
        self.view_as("squeeze", origin, |blocks| {
            let ones: Vec<usize> = (0..blocks.rank()).filter(|at| blocks.cuts[*at].len() == Some(1)).collect();
            squeezed(blocks, &ones)
        })
    }

    /// Stretched to a shape: axes of length 1 and missing first ones are repeated.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where the shape does not fit.
    #[track_caller]
    pub fn broadcast_to<Sh: IntoDimension>(&self, shape: Sh) -> Array<A, Sh::Dim> {
        let origin = Origin::caller();
        let shape = shape.into_dimension();
        self.view_as("broadcast_to", origin, |blocks| {
            let (from, to) = (blocks.known_shape()?, shape.slice());
            let behind = to.len().checked_sub(from.len());
            let fits = |behind: usize| from.iter().zip(&to[behind..]).all(|(from, to)| from == to || *from == 1);
            let Some(behind) = behind.filter(|behind| fits(*behind)) else {
                return Err(plan(format!("the shape {from:?} does not broadcast to {to:?}")));
            };
            let mut view = View { axes: Vec::new() };
            let mut cuts: Vec<Cuts> = to.iter().map(|len| Cuts::whole(*len)).collect();
            for (axis, len) in from.iter().enumerate() {
                if *len == 1 && to[behind + axis] != 1 {
                    view.axes.push(AxisMap::fixed(0));
                } else {
                    view.axes.push(AxisMap::same(behind + axis));
                    cuts[behind + axis] = blocks.cuts[axis].clone();
                }
            }
            Ok((view, cuts))
        })
    }

    /// As an array with a number of axes that is not known when the program is compiled.
    pub fn into_dyn(&self) -> Array<A, IxDyn> {
        Array::of(self.planned().cloned())
    }

    /// As an array with the axes of `E`.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where there are more or fewer.
    #[track_caller]
    pub fn into_dimensionality<E: Dimension>(&self) -> Array<A, E> {
        let origin = Origin::caller();
        let made = self.planned().and_then(|blocks| match E::NDIM {
            Some(rank) if rank != blocks.rank() => {
                let text = format!("an array of {} axes is none of {rank}", blocks.rank());
                Err(plan(text).frame(Role::In, "into_dimensionality", origin))
            }
            _ => Ok(blocks.clone()),
        });
        Array::of(made)
    }
}

fn permuted(blocks: &Blocks, order: &[usize]) -> Result<(View, Vec<Cuts>)> {
    let mut axes = vec![None; blocks.rank()];
    for (to, from) in order.iter().enumerate() {
        let place = axes.get_mut(*from).filter(|place| place.is_none());
        *place.ok_or_else(|| plan(format!("{order:?} is no order of {} axes", blocks.rank())))? =
            Some(AxisMap::same(to));
    }
    let axes: Option<Vec<AxisMap>> = axes.into_iter().collect();
    let axes = axes.ok_or_else(|| plan(format!("{order:?} is no order of {} axes", blocks.rank())))?;
    Ok((View { axes }, order.iter().map(|from| blocks.cuts[*from].clone()).collect()))
}

fn squeezed(blocks: &Blocks, dropped: &[usize]) -> Result<(View, Vec<Cuts>)> {
    for axis in dropped {
        let len = blocks.cuts[*axis].len();
        if len != Some(1) {
            let len = len.map_or("unknown length".to_string(), |len| format!("length {len}"));
            return Err(plan(format!("axis {axis} has {len}: only axes of length 1 are dropped")));
        }
    }
    let cuts = blocks.cuts.iter().enumerate().filter(|(axis, _)| !dropped.contains(axis));
    let places: Vec<(usize, i64)> = dropped.iter().map(|axis| (*axis, 0)).collect();
    Ok((View::without(blocks.rank(), &places), cuts.map(|(_, cuts)| cuts.clone()).collect()))
}
