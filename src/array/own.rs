//! Reductions by functions of one's own.

use std::sync::Arc;

use ndarray::{ArrayD, ArrayViewD, Axis, Dimension, IxDyn, Slice};

use super::Array;
use super::blocks::{BlockValue, Mapped, as_cut, at_line, block, only, view};
use super::element::Element;
use super::plan::{Blocks, Cuts, MOST_BLOCKS, Taken, TaskPlace, plan, resolve_axis, too_many_blocks};
use crate::error::{Error, ErrorKind, Result};
use crate::origin::Origin;
use crate::store::NdBlock;

/// How many blocks' states along an axis one task puts together.
const TOGETHER: usize = 8;
/// Fewer where their states would take more than this; two are always.
const TOGETHER_BYTES: u64 = 4 << 20;

/// Windows of less are one block, where the array is not cut.
const WINDOWS_BYTES: usize = 1 << 20;

/// The axes of an array that a reduction takes away, and what is kept of each place that is left.
#[derive(Clone)]
struct Places {
    /// By axis.
    gone: Vec<bool>,
    kept: usize,
}

impl Places {
    /// The shape of the states of a block: axes that stay, and what is kept behind them.
    fn of(&self, shape: &[usize]) -> Vec<usize> {
        let stay = shape.iter().zip(&self.gone).filter(|(_, gone)| !**gone).map(|(len, _)| *len);
        stay.chain([self.kept]).collect()
    }

    /// States as they lie in the plan: with length 1 along axes that are gone.
    fn planned<P: Element>(&self, states: ArrayD<P>, shape: &[usize], what: &str) -> Result<NdBlock> {
        if states.shape() != self.of(shape) {
            let text = format!(
                "reduction: {what} gave states of the shape {:?} where {:?} was to be: the lengths of the axes that stay, and how many \
                 numbers are kept of each place",
                states.shape(),
                self.of(shape)
            );
            return Err(Error::new(ErrorKind::Data, text));
        }
        let lens = shape.iter().zip(&self.gone).map(|(len, gone)| if *gone { 1 } else { *len });
        NdBlock::new(lens.chain([self.kept]).collect::<Vec<_>>(), block(states)?.into_data())
    }

    /// The axes that are gone, the last one first.
    fn gone(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.gone.len()).rev().filter(|axis| self.gone[*axis])
    }
}

/// The state at a place along the axes that are gone, without these.
fn state_at<'a, P>(mut states: ArrayViewD<'a, P>, places: &Places, at: &[usize]) -> ArrayViewD<'a, P> {
    for axis in places.gone() {
        states = states.index_axis_move(Axis(axis), at[axis]);
    }
    states
}

/// Puts the states of two blocks together.
type Combine<P, R> = Arc<dyn Fn(ArrayViewD<'_, P>, ArrayViewD<'_, P>) -> R + Send + Sync>;

/// Puts together neighbours along all axes that are gone, until there is one block along each.
fn put_together<P: Element, R: BlockValue<Elem = P, Dim = IxDyn> + 'static>(
    states: Blocks,
    places: &Places,
    combine: &Combine<P, R>,
    verb: &'static str,
    origin: Origin,
) -> Result<Blocks> {
    let mut states = states;
    while places.gone().any(|axis| states.cuts[axis].blocks() > 1) {
        let (mut cuts, mut takes) = (states.cuts.to_vec(), Vec::with_capacity(states.rank()));
        let mut room = (TOGETHER_BYTES / states.most_bytes().unwrap_or(1).max(1)).max(2) as usize;
        for (axis, cut) in cuts.iter_mut().enumerate() {
            if axis < places.gone.len() && places.gone[axis] {
                let len = states.len_of(axis)?;
                let fan = TOGETHER.min(len).min(room).max(1);
                room /= fan;
                takes.push(Taken::ranges(axis, (0..len).step_by(fan).map(|start| (start, (start + fan).min(len)))));
                *cut = Cuts::even(len.div_ceil(fan), 1);
            } else {
                takes.push(Taken::blocks(axis, &states.cuts[axis]));
            }
        }
        let (grid, places, combine) = (cuts.iter().map(Cuts::blocks).collect(), places.clone(), combine.clone());
        let mapped = Mapped { verb, origin, inputs: vec![&states], grid, takes: vec![takes], cuts, key: None };
        states = mapped.of::<P>(move |given: Vec<NdBlock>, _: &TaskPlace| {
            let given = only(given)?;
            let all = view::<P, IxDyn>(&given)?;
            let shape = &given.shape()[..places.gone.len()];
            // One after another by rows: the order does not depend on who computes what when.
            let lens: Vec<usize> =
                shape.iter().zip(&places.gone).map(|(len, gone)| if *gone { *len } else { 1 }).collect();
            let mut sum: Option<ArrayD<P>> = None;
            for at in ndarray::indices(IxDyn(&lens)) {
                let next = state_at(all.view(), &places, at.slice());
                sum = Some(match sum {
                    Some(sum) => combine(sum.view(), next).into_block()?,
                    None => next.to_owned(),
                });
            }
            let sum = sum.ok_or_else(|| Error::internal("a reduction of no blocks"))?;
            places.planned(sum, shape, "what puts states together")
        })?;
    }
    Ok(states)
}

impl<A: Element, D: Dimension + 'static> Array<A, D> {
    /// A reduction by three functions: along some axes, which are dropped, elements become one.
    ///
    /// `chunk` is given a block and makes its state: an array of the axes that stay, of the block's lengths, and behind them one of `kept`
    /// numbers for each place. `combine` puts the states of two blocks together, of which the first lies before the second; it has to give the
    /// same however blocks are grouped. `finish` makes of a state what comes out: an array of the axes that stay.
    ///
    /// Blocks become states beside each other and are put together in a tree whose form depends on the blocks alone, so that any
    /// number of threads gives the same bits.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where an axis is not there or named twice, or has an unknown length; of kind `Data`, where a function gives
    /// another shape; what a function returns.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    /// use ndarray::{ArrayD, Axis, stack};
    ///
    /// let x = array::from_ndarray(ndarray::arr2(&[[1.0, 2.0, 4.0], [2.0, 2.0, 2.0]]), (1, 2));
    /// // Geometric means along the rows: sums of logarithms, and how many there are.
    /// let means = x.reduction(
    ///     &[1],
    ///     2,
    ///     |block| {
    ///         let sums = block.mapv(f64::ln).sum_axis(Axis(1));
    ///         let counts = ArrayD::from_elem(sums.raw_dim(), block.len_of(Axis(1)) as f64);
    ///         stack(Axis(1), &[sums.view(), counts.view()]).unwrap()
    ///     },
    ///     |a, b| &a + &b,
    ///     |state| (&state.index_axis(Axis(1), 0) / &state.index_axis(Axis(1), 1)).mapv(f64::exp),
    /// );
    /// assert_eq!(means.compute()?.mapv(f64::round).into_raw_vec_and_offset().0, [2.0, 2.0]);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn reduction<P: Element, C, S, R>(
        &self,
        axes: &[isize],
        kept: usize,
        chunk: impl Fn(ArrayViewD<'_, A>) -> C + Send + Sync + 'static,
        combine: impl Fn(ArrayViewD<'_, P>, ArrayViewD<'_, P>) -> S + Send + Sync + 'static,
        finish: impl Fn(ArrayViewD<'_, P>) -> R + Send + Sync + 'static,
    ) -> Array<R::Elem, IxDyn>
    where
        C: BlockValue<Elem = P, Dim = IxDyn>,
        S: BlockValue<Elem = P, Dim = IxDyn> + 'static,
        R: BlockValue<Dim = IxDyn>,
    {
        let (verb, origin) = ("reduction", Origin::caller());
        let made = || {
            let blocks = self.planned()?;
            let mut gone = vec![false; blocks.rank()];
            for axis in axes {
                let axis = resolve_axis(*axis, blocks.rank())?;
                if std::mem::replace(&mut gone[axis], true) {
                    return Err(plan("an axis is named twice"));
                }
            }
            blocks.known_shape()?;
            let places = Places { gone, kept };
            let (grid, takes) = as_cut(blocks);
            let state_cuts = |(cuts, gone): (&Cuts, &bool)| match gone {
                true => Cuts::even(cuts.blocks() as usize, 1),
                false => cuts.clone(),
            };
            let mut cuts: Vec<Cuts> = blocks.cuts.iter().zip(&places.gone).map(state_cuts).collect();
            cuts.push(Cuts::whole(kept));
            let mapped = Mapped { verb, origin, inputs: vec![blocks], grid, takes: vec![takes], cuts, key: None };
            let own = places.clone();
            let states = mapped.of::<P>(move |given, _| {
                let given = only(given)?;
                let states = chunk(view::<A, IxDyn>(&given)?).into_block()?;
                own.planned(states, given.shape(), "what makes them")
            })?;
            let states = put_together(states, &places, &(Arc::new(combine) as _), verb, origin)?;
            // Axes that stay, of which each block is finished by itself.
            let stay: Vec<usize> = (0..blocks.rank()).filter(|axis| !places.gone[*axis]).collect();
            let cuts: Vec<Cuts> = stay.iter().map(|axis| blocks.cuts[*axis].clone()).collect();
            let takes =
                states.cuts.iter().enumerate().map(|(axis, cuts)| match stay.iter().position(|of| *of == axis) {
                    Some(to) => Taken::blocks(to, cuts),
                    None => Taken::whole(cuts),
                });
            let (takes, grid) = (vec![takes.collect()], cuts.iter().map(Cuts::blocks).collect());
            let mapped = Mapped { verb, origin, inputs: vec![&states], grid, takes, cuts, key: None };
            mapped.of::<R::Elem>(move |given, _| {
                let given = only(given)?;
                let state = state_at(view::<P, IxDyn>(&given)?, &places, &vec![0; places.gone.len()]);
                block(finish(state).into_block()?)
            })
        };
        at_line(made(), verb, origin)
    }

    /// Windows of a length along an axis, each one element after the one before: a new last axis runs through each, and along the axis there
    /// are as many as fit.
    ///
    /// Blocks are cut along the axis so that they are about as large as those of the array, or a MiB where that is more.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where the axis is not there or shorter than a window, its length is not known, or windows have
    /// no elements.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::arange(0, 5, 1, 2);
    /// let windows = x.sliding_windows(3, 0);
    /// assert_eq!(windows.compute()?, ndarray::arr2(&[[0, 1, 2], [1, 2, 3], [2, 3, 4]]));
    /// assert_eq!(windows.mean_axis(Axis(1)).compute()?, ndarray::arr1(&[1.0, 2.0, 3.0]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn sliding_windows(&self, len: usize, axis: isize) -> Array<A, <D as ndarray::DimAdd<ndarray::Ix1>>::Output>
    where
        D: ndarray::DimAdd<ndarray::Ix1>,
    {
        let (verb, origin) = ("sliding_windows", Origin::caller());
        let made = || {
            let blocks = self.planned()?;
            let axis = resolve_axis(axis, blocks.rank())?;
            let own = blocks.cuts_of(axis)?;
            let of = blocks.len_of(axis)?;
            if len == 0 || len > of {
                return Err(plan(format!("windows of {len} elements along an axis of {of}")));
            }
            // Where the array is cut, and often enough that a block is not much larger than there.
            let others = (0..blocks.rank()).filter(|other| *other != axis);
            let others: usize = others.filter_map(|other| blocks.cuts[other].most()).product();
            let least = WINDOWS_BYTES / blocks.dtype.bytes() / others.max(1) / len;
            let most = (blocks.cuts[axis].most().unwrap_or(1) / len).max(least).max(1);
            let count = of - len + 1;
            let blocks_of = |two: &[usize]| (two[1].min(count) - two[0].min(count)).div_ceil(most);
            if own.windows(2).map(blocks_of).sum::<usize>() > MOST_BLOCKS {
                return Err(too_many_blocks());
            }
            let mut starts = vec![0];
            for end in own.iter().map(|end| (*end).min(count)).filter(|end| *end > 0) {
                while starts[starts.len() - 1] < end {
                    starts.push((starts[starts.len() - 1] + most).min(end));
                }
            }
            let mut cuts = blocks.cuts.to_vec();
            cuts[axis] = Cuts::Known(starts.into());
            let known = cuts[axis].known().unwrap_or(&[]);
            let takes = (0..blocks.rank()).map(|at| match at == axis {
                true => Taken::ranges(at, known.windows(2).map(|two| (two[0], two[1] + len - 1))),
                false => Taken::blocks(at, &cuts[at]),
            });
            let takes = vec![takes.collect()];
            cuts.push(Cuts::whole(len));
            let grid = cuts.iter().map(Cuts::blocks).collect();
            let key = Some(format!("windows of {len} along {axis}"));
            let mapped = Mapped { verb, origin, inputs: vec![blocks], grid, takes, cuts, key };
            mapped.of::<A>(move |given, _| {
                let given = only(given)?;
                let all = view::<A, IxDyn>(&given)?;
                let mut shape = given.shape().to_vec();
                shape[axis] -= len - 1;
                let count = shape[axis];
                shape.push(len);
                let mut windows = ArrayD::<A>::default(shape);
                let last = Axis(windows.ndim() - 1);
                if len < count {
                    for at in 0..len {
                        let from = all.slice_axis(Axis(axis), Slice::from(at..at + count));
                        windows.index_axis_mut(last, at).assign(&from);
                    }
                } else {
                    // Few windows that are long: each as a whole, its places behind all other axes.
                    let mut turned: Vec<usize> = (0..all.ndim()).filter(|other| *other != axis).collect();
                    turned.push(axis);
                    let all = all.permuted_axes(turned);
                    for at in 0..count {
                        let from = all.slice_axis(Axis(all.ndim() - 1), Slice::from(at..at + len));
                        windows.index_axis_mut(Axis(axis), at).assign(&from);
                    }
                }
                block(windows)
            })
        };
        at_line(made(), verb, origin)
    }

    /// Of windows beside each other, of so many elements along some axes, what a reduction over these makes: it is given the array with a
    /// second axis behind each of the axes that are named, which runs through the window, and the numbers of these second axes, over
    /// which it is to reduce.
    ///
    /// An axis whose length is no multiple of its window's is an error, or what is left over at its end is cut off where `trim` says so.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where an axis is not there, named twice, of unknown length, or does not divide; where windows have no
    /// elements, or something else is left of them than one element each.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::arange(0, 7, 1, 3);
    /// let halved = x.coarsen(&[(0, 2)], true, |windows, axes| windows.mean_axes(axes, false));
    /// assert_eq!(halved.compute()?, ndarray::arr1(&[0.5, 2.5, 4.5]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn coarsen<B: Element>(
        &self,
        windows: &[(isize, usize)],
        trim: bool,
        reduce: impl FnOnce(&Array<A, IxDyn>, &[isize]) -> Array<B, IxDyn>,
    ) -> Array<B, D> {
        let (verb, origin) = ("coarsen", Origin::caller());
        let made = || {
            let mut blocks = self.planned()?.clone();
            let shape = blocks.known_shape()?;
            let mut factors = vec![1; shape.len()];
            let mut named = vec![false; shape.len()];
            for (axis, factor) in windows {
                let axis = resolve_axis(*axis, shape.len())?;
                if std::mem::replace(&mut named[axis], true) {
                    return Err(plan("an axis is named twice"));
                }
                if *factor == 0 {
                    return Err(plan("windows without elements"));
                }
                if !trim && !shape[axis].is_multiple_of(*factor) {
                    let text = format!(
                        "windows of {factor} do not divide axis {axis} of {}: `trim` cuts off what is left",
                        shape[axis]
                    );
                    return Err(plan(text));
                }
                factors[axis] = *factor;
            }
            let (mut wanted, mut split, mut axes) = (blocks.cuts.to_vec(), Vec::new(), Vec::new());
            for (axis, factor) in factors.iter().enumerate() {
                let len = shape[axis] / factor * factor;
                if len < shape[axis] {
                    blocks = super::join::range(&blocks, axis, 0, len, verb, origin)?;
                }
                // Cut between windows.
                let mut cuts: Vec<usize> =
                    blocks.cuts_of(axis)?.iter().map(|cut| cut.div_ceil(*factor) * factor).collect();
                cuts.dedup();
                if cuts.len() == 1 {
                    cuts.push(cuts[0]);
                }
                wanted[axis] = Cuts::Known(cuts.into());
                split.push(len / factor);
                if named[axis] {
                    axes.push(split.len() as isize);
                    split.push(*factor);
                }
            }
            if wanted[..] != blocks.cuts[..] {
                let dtype = blocks.dtype;
                blocks = Blocks::new(super::plan::Op::Rechunk, &[&blocks], dtype, wanted, verb, origin)?;
            }
            let windows = super::reshape::reshaped(&blocks, &split, verb, origin)?;
            let reduced = reduce(&Array::of(Ok(windows)), &axes);
            let reduced = reduced.planned()?;
            let left: Vec<usize> = shape.iter().zip(&factors).map(|(len, factor)| len / factor).collect();
            if reduced.known_shape()? != left {
                let text = format!(
                    "of the windows an array of the shape {} is left, not one of {left:?}: it is to be reduced over the axes that are given",
                    super::plan::shown_shape(&reduced.cuts)
                );
                return Err(plan(text));
            }
            Ok(reduced.clone())
        };
        at_line(made(), verb, origin)
    }
}
