//! Functions of whole blocks.

use std::sync::Arc;

use ndarray::{ArrayView, ArrayView1, ArrayViewD, Axis, Dimension, Ix1, IxDyn, RemoveAxis};

use super::Array;
use super::create::by_rows;
use super::element::Element;
use super::plan::{Blocks, Cuts, MapFunction, MapOp, Op, Taken, TaskPlace, broadcast_cuts, coords, plan, resolve_axis};
use crate::error::{Error, ErrorKind, Result, Role};
use crate::origin::Origin;
use crate::store::{DType, NdBlock};

/// What a function of blocks gives: an array of ndarray's, or a `Result` with one.
pub trait BlockValue {
    /// The type of its elements.
    type Elem: Element;
    /// Its axes.
    type Dim: Dimension + 'static;

    /// The array.
    ///
    /// # Errors
    /// What the function returned.
    fn into_block(self) -> Result<ndarray::Array<Self::Elem, Self::Dim>>;
}

impl<B: Element, E: Dimension + 'static> BlockValue for ndarray::Array<B, E> {
    type Elem = B;
    type Dim = E;

    fn into_block(self) -> Result<ndarray::Array<B, E>> {
        Ok(self)
    }
}

impl<B: Element, E: Dimension + 'static> BlockValue for Result<ndarray::Array<B, E>> {
    type Elem = B;
    type Dim = E;

    fn into_block(self) -> Result<ndarray::Array<B, E>> {
        self
    }
}

/// Where a block stands in its array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockPlace {
    /// Which block of the result is made, along each of its axes.
    pub index: Vec<usize>,
    /// Where the first element that is given stands along each axis; 0 along axes of unknown length.
    pub start: Vec<usize>,
}

impl BlockPlace {
    pub(super) fn of(place: &TaskPlace) -> BlockPlace {
        let index = place.coords.iter().map(|at| *at as usize).collect();
        BlockPlace { index, start: place.starts.first().cloned().unwrap_or_default() }
    }
}

/// How the blocks that a function makes differ from those it is given: see [`Array::map_blocks_as`].
///
/// Axes are dropped first; new axes and lengths are named by their places in the result.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct BlockShape {
    dropped: Vec<isize>,
    new: Vec<(usize, usize)>,
    lens: Vec<(usize, Option<usize>)>,
}

impl BlockShape {
    /// The same as those that are given.
    pub fn same() -> BlockShape {
        BlockShape::default()
    }

    /// Without an axis; the function is given all of it.
    pub fn drop_axis(mut self, axis: isize) -> BlockShape {
        self.dropped.push(axis);
        self
    }

    /// With a new axis at this place in the result, of one block of a length.
    pub fn new_axis(mut self, axis: usize, len: usize) -> BlockShape {
        self.new.push((axis, len));
        self
    }

    /// Each block is so long along an axis of the result.
    pub fn block_len(mut self, axis: usize, len: usize) -> BlockShape {
        self.lens.push((axis, Some(len)));
        self
    }

    /// How long the blocks are along an axis of the result is not known before a run.
    pub fn unknown_len(mut self, axis: usize) -> BlockShape {
        self.lens.push((axis, None));
        self
    }

    /// What tasks take of blocks that are given, by places on the grid of the result, and how the result is cut.
    ///
    /// # Errors
    /// Of kind `Plan`, where an axis that is named is not there.
    pub(super) fn of(&self, given: &[Cuts]) -> Result<(Vec<Taken>, Vec<Cuts>)> {
        let rank = given.len();
        let dropped = self.dropped.iter().map(|axis| resolve_axis(*axis, rank)).collect::<Result<Vec<_>>>()?;
        // Those that are left by their numbers, and new ones.
        let mut axes: Vec<Option<usize>> = (0..rank).filter(|axis| !dropped.contains(axis)).map(Some).collect();
        let mut cuts: Vec<Cuts> = axes.iter().flatten().map(|axis| given[*axis].clone()).collect();
        for (axis, len) in &self.new {
            if *axis > axes.len() {
                return Err(plan(format!("a new axis {axis} in a result of {} axes", axes.len())));
            }
            axes.insert(*axis, None);
            cuts.insert(*axis, Cuts::whole(*len));
        }
        for (axis, len) in &self.lens {
            let Some(of) = cuts.get_mut(*axis) else {
                return Err(plan(format!("there is no axis {axis} in a result of {} axes", axes.len())));
            };
            let count = of.blocks();
            *of = match len {
                Some(len) if len.checked_mul(count as usize).is_none() => {
                    return Err(plan(format!("{count} blocks of {len} elements are longer than can be counted")));
                }
                Some(len) => Cuts::of(std::iter::repeat_n(*len, count as usize)),
                None => Cuts::Unknown(count),
            };
        }
        let takes = (0..rank).map(|axis| match axes.iter().position(|of| *of == Some(axis)) {
            Some(to) => Taken::blocks(to, &given[axis]),
            None => Taken::whole(&given[axis]),
        });
        Ok((takes.collect(), cuts))
    }
}

/// A block as ndarray sees it.
pub(crate) fn view<A: Element, D: Dimension>(block: &NdBlock) -> Result<ArrayView<'_, A, D>> {
    let values = A::slice(block.get::<A::Stored>()?)?;
    let view = ArrayView::from_shape(IxDyn(block.shape()), values);
    let view = view.ok().and_then(|view| view.into_dimensionality().ok());
    view.ok_or_else(|| Error::internal(format!("a block of the shape {:?} has other axes", block.shape())))
}

/// An array of ndarray's as a block, by rows.
pub(crate) fn block<B: Element, D: Dimension>(array: ndarray::Array<B, D>) -> Result<NdBlock> {
    let shape = array.shape().to_vec();
    NdBlock::new(shape, by_rows(array))
}

/// What of its inputs a function of blocks is given, and what it makes.
pub(super) struct Mapped<'a> {
    pub verb: &'static str,
    pub origin: Origin,
    pub inputs: Vec<&'a Blocks>,
    pub grid: Vec<u32>,
    pub takes: Vec<Vec<Taken>>,
    pub cuts: Vec<Cuts>,
    /// See [`MapOp::key`].
    pub key: Option<String>,
}

impl Mapped<'_> {
    /// The array of elements of a type that a function makes, whose shape is looked at.
    pub fn of<B: Element>(
        self,
        function: impl Fn(Vec<NdBlock>, &TaskPlace) -> Result<NdBlock> + Send + Sync + 'static,
    ) -> Result<Blocks> {
        self.of_type(B::DTYPE, None, function)
    }

    /// The same of a type that is known as a value only. Where lengths are not known, a block takes no more than `most` bytes.
    pub fn of_type(
        self,
        dtype: DType,
        most: Option<u64>,
        function: impl Fn(Vec<NdBlock>, &TaskPlace) -> Result<NdBlock> + Send + Sync + 'static,
    ) -> Result<Blocks> {
        let Mapped { verb, origin, inputs, grid, takes, cuts, key } = self;
        let cuts: Arc<[Cuts]> = cuts.into();
        let (lens, own, wanted) = (grid.clone(), cuts.clone(), cuts.iter().map(Cuts::blocks).collect::<Vec<_>>());
        // Along axes of unknown lengths blocks of several inputs have to be as long as each other.
        let unknown: Vec<(usize, usize, usize)> = takes
            .iter()
            .enumerate()
            .flat_map(|(input, takes)| takes.iter().enumerate().map(move |(axis, taken)| (input, axis, taken)))
            .filter_map(
                |(input, axis, taken)| {
                    if taken.known().is_some() { None } else { taken.by().map(|by| (by, input, axis)) }
                },
            )
            .collect();
        let checked = move |given: Vec<NdBlock>, place: &TaskPlace| {
            for (by, input, axis) in &unknown {
                let first = unknown
                    .iter()
                    .find(|(of, ..)| of == by)
                    .map_or((*input, *axis), |(_, input, axis)| (*input, *axis));
                let (one, other) = (given[first.0].shape()[first.1], given[*input].shape()[*axis]);
                if one != other {
                    let text = format!("{verb}: blocks of {one} and of {other} elements do not fit together");
                    return Err(Error::new(ErrorKind::Data, text));
                }
            }
            let made = function(given, place)?;
            let index = place.coords.iter().zip(&lens).fold(0, |index, (at, len)| index * len + at);
            let at = coords(index, wanted.iter().copied());
            let fits = |((at, cuts), len): ((&u32, &Cuts), &usize)| {
                cuts.known().is_none_or(|cuts| cuts[*at as usize + 1] - cuts[*at as usize] == *len)
            };
            if made.shape().len() != own.len() || !at.iter().zip(own.iter()).zip(made.shape()).all(fits) {
                let len = |(at, cuts): (&u32, &Cuts)| match cuts.known() {
                    Some(cuts) => (cuts[*at as usize + 1] - cuts[*at as usize]).to_string(),
                    None => "?".to_string(),
                };
                let lens: Vec<String> = at.iter().zip(own.iter()).map(len).collect();
                let text = format!("{verb} made the shape {:?} where [{}] was to be", made.shape(), lens.join(", "));
                return Err(Error::new(ErrorKind::Data, text));
            }
            Ok(made)
        };
        let known = cuts.iter().map(Cuts::most).try_fold(dtype.bytes(), |all, most| all.checked_mul(most?));
        let need = known.map(|bytes| bytes as u64).or(most).unwrap_or(0);
        let function: Arc<MapFunction> = Arc::new(checked);
        let op = Op::Map(MapOp { label: verb.to_string(), grid, takes, function, need, key });
        Blocks::new(op, &inputs, dtype, cuts, verb, origin)
    }
}

/// Looks whether what a function gives has as many axes as its result.
pub(super) fn has_axes<E: Dimension>(cuts: &[Cuts]) -> Result<()> {
    match E::NDIM {
        Some(rank) if rank != cuts.len() => {
            Err(plan(format!("the function gives arrays of {rank} axes, and the result has {}", cuts.len())))
        }
        _ => Ok(()),
    }
}

/// The blocks of an array, each for the task that stands where it stands.
pub(super) fn as_cut(blocks: &Blocks) -> (Vec<u32>, Vec<Taken>) {
    let takes = blocks.cuts.iter().enumerate().map(|(axis, cuts)| Taken::blocks(axis, cuts)).collect();
    (blocks.cuts.iter().map(Cuts::blocks).collect(), takes)
}

pub(super) fn only(given: Vec<NdBlock>) -> Result<NdBlock> {
    given.into_iter().next().ok_or_else(|| Error::internal("a function of one block without it"))
}

/// An array that was made, or what was wrong, at the line of the verb.
pub(super) fn at_line<A, D>(made: Result<Blocks>, verb: &'static str, origin: Origin) -> Array<A, D> {
    Array::of(made.map_err(|error| error.frame(Role::In, verb, origin)))
}

impl<A: Element, D: Dimension + 'static> Array<A, D> {
    /// What a function makes of each block, of the same shape; an array of ndarray's, or a `Result` with one.
    ///
    /// The function sees one block at a time and nothing of its neighbours; what it allocates beside its result is not counted.
    ///
    /// # Errors
    /// At compute, what the function returns; of kind `Data`, where it gives another shape.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::arange(0, 6, 1, 3);
    /// let back = x.map_blocks(|block| block.iter().rev().map(|n| f64::from(*n)).collect::<ndarray::Array1<f64>>());
    /// assert_eq!(back.compute()?.to_vec(), [2.0, 1.0, 0.0, 5.0, 4.0, 3.0]);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn map_blocks<R: BlockValue<Dim = D>>(
        &self,
        function: impl Fn(ArrayView<'_, A, D>) -> R + Send + Sync + 'static,
    ) -> Array<R::Elem, D> {
        let (verb, origin) = ("map_blocks", Origin::caller());
        let made = || {
            let blocks = self.planned()?;
            let (grid, takes) = as_cut(blocks);
            let (inputs, cuts) = (vec![blocks], blocks.cuts.to_vec());
            let mapped = Mapped { verb, origin, inputs, grid, takes: vec![takes], cuts, key: None };
            mapped.of::<R::Elem>(move |given, _| block(function(view::<A, D>(&only(given)?)?).into_block()?))
        };
        at_line(made(), verb, origin)
    }

    /// As [`Array::map_blocks`], with another shape of the blocks; the function is told where its block stands.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where the axes named are not there; of kind `Data`, where the function gives another shape.
    ///
    /// ```
    /// use chunkwise::array::BlockShape;
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::from_ndarray(ndarray::arr2(&[[1, 2], [3, 4], [5, 6]]), (2, 1));
    /// // Of each block of rows the sums, and the number of the first row.
    /// let sums = x.map_blocks_as(BlockShape::same().drop_axis(1).new_axis(1, 2), |block, place| {
    ///     let sums = block.sum_axis(ndarray::Axis(1));
    ///     ndarray::Array2::from_shape_fn((sums.len(), 2), |(row, column)| {
    ///         if column == 0 { place.start[0] as i32 } else { sums[row] }
    ///     })
    /// });
    /// assert_eq!(sums.compute()?, ndarray::arr2(&[[0, 3], [0, 7], [2, 11]]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn map_blocks_as<R: BlockValue>(
        &self,
        shape: BlockShape,
        function: impl Fn(ArrayView<'_, A, D>, &BlockPlace) -> R + Send + Sync + 'static,
    ) -> Array<R::Elem, R::Dim> {
        let (verb, origin) = ("map_blocks_as", Origin::caller());
        let made = || {
            let blocks = self.planned()?;
            let (takes, cuts) = shape.of(&blocks.cuts)?;
            has_axes::<R::Dim>(&cuts)?;
            let (takes, grid) = (vec![takes], cuts.iter().map(Cuts::blocks).collect());
            let mapped = Mapped { verb, origin, inputs: vec![blocks], grid, takes, cuts, key: None };
            mapped.of::<R::Elem>(move |given, place| {
                let made = function(view::<A, D>(&only(given)?)?, &BlockPlace::of(place));
                block(made.into_block()?)
            })
        };
        at_line(made(), verb, origin)
    }

    /// What a function makes of the blocks of two arrays that broadcast: both are cut as the result is. It is given views as they are, of
    /// which ndarray stretches axes of length 1, and gives a block of the shape that they broadcast to.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where the shapes do not broadcast; else as [`Array::map_blocks`].
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let (x, y) = (array::arange(0, 4, 1, 2), array::arange(10, 14, 1, 4));
    /// assert_eq!(x.zip_blocks(&y, |x, y| &x * &y).compute()?, ndarray::arr1(&[0, 11, 24, 39]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn zip_blocks<B: Element, E: Dimension + 'static, R: BlockValue>(
        &self,
        other: &Array<B, E>,
        function: impl Fn(ArrayView<'_, A, D>, ArrayView<'_, B, E>) -> R + Send + Sync + 'static,
    ) -> Array<R::Elem, R::Dim> {
        let (verb, origin) = ("zip_blocks", Origin::caller());
        let made = || {
            let (a, b) = (self.planned()?, other.planned()?);
            let cuts = broadcast_cuts(a, b)?;
            has_axes::<R::Dim>(&cuts)?;
            let takes = [a, b].map(|blocks| {
                let behind = cuts.len() - blocks.rank();
                let axis = |(axis, of): (usize, &Cuts)| match (of.len(), cuts[axis + behind].len()) {
                    (Some(1), to) if to != Some(1) => Taken::whole(of),
                    _ => Taken::blocks(axis + behind, &cuts[axis + behind]),
                };
                blocks.cuts.iter().enumerate().map(axis).collect()
            });
            let (takes, grid) = (takes.to_vec(), cuts.iter().map(Cuts::blocks).collect());
            let mapped = Mapped { verb, origin, inputs: vec![a, b], grid, takes, cuts, key: None };
            mapped.of::<R::Elem>(move |given, _| {
                let [a, b] = &given[..] else { return Err(Error::internal("a function of two blocks without them")) };
                block(function(view::<A, D>(a)?, view::<B, E>(b)?).into_block()?)
            })
        };
        at_line(made(), verb, origin)
    }

    /// What a function makes of each line along an axis, which is given whole; each result has `len` elements.
    ///
    /// # Errors
    /// At compute, of kind `Data`, where a result has another length.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::from_ndarray(ndarray::arr2(&[[3, 1, 2], [6, 5, 4]]), 1);
    /// let ends = x.apply_along_axis(1, 2, |line| ndarray::arr1(&[line[0], line[line.len() - 1]]));
    /// assert_eq!(ends.compute()?, ndarray::arr2(&[[3, 2], [6, 4]]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn apply_along_axis<R: BlockValue<Dim = Ix1>>(
        &self,
        axis: isize,
        len: usize,
        function: impl Fn(ArrayView1<'_, A>) -> R + Send + Sync + 'static,
    ) -> Array<R::Elem, D> {
        let (verb, origin) = ("apply_along_axis", Origin::caller());
        let made = || {
            let blocks = self.planned()?;
            let axis = resolve_axis(axis, blocks.rank())?;
            let mut cuts = blocks.cuts.to_vec();
            cuts[axis] = Cuts::whole(len);
            let takes = blocks.cuts.iter().enumerate().map(|(at, cuts)| match at == axis {
                true => Taken::whole(cuts),
                false => Taken::blocks(at, cuts),
            });
            let (takes, grid) = (vec![takes.collect()], cuts.iter().map(Cuts::blocks).collect());
            let mapped = Mapped { verb, origin, inputs: vec![blocks], grid, takes, cuts, key: None };
            mapped.of::<R::Elem>(move |given, _| {
                let given = only(given)?;
                let lines = view::<A, IxDyn>(&given)?;
                let mut shape = given.shape().to_vec();
                shape[axis] = len;
                let mut made = ndarray::ArrayD::<R::Elem>::default(shape);
                for (line, mut to) in lines.lanes(Axis(axis)).into_iter().zip(made.lanes_mut(Axis(axis))) {
                    let values = function(line).into_block()?;
                    if values.len() != len {
                        let text = format!("a line became {} elements where {len} were to be", values.len());
                        return Err(Error::new(ErrorKind::Data, text));
                    }
                    to.assign(&values);
                }
                block(made)
            })
        };
        at_line(made(), verb, origin)
    }

    /// What a function makes of each line along an axis, which is given whole: a number each; the axis is dropped.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::from_ndarray(ndarray::arr2(&[[3, 1, 2], [6, 5, 4]]), 1);
    /// let spans = x.map_axis(1, |line| line.iter().max().unwrap() - line.iter().min().unwrap());
    /// assert_eq!(spans.compute()?, ndarray::arr1(&[2, 2]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn map_axis<B: Element>(
        &self,
        axis: isize,
        function: impl Fn(ArrayView1<'_, A>) -> B + Send + Sync + 'static,
    ) -> Array<B, D::Smaller>
    where
        D: RemoveAxis,
        D::Smaller: 'static,
    {
        let (verb, origin) = ("map_axis", Origin::caller());
        let made = || {
            let blocks = self.planned()?;
            let axis = resolve_axis(axis, blocks.rank())?;
            let mut cuts = blocks.cuts.to_vec();
            cuts.remove(axis);
            let takes = blocks.cuts.iter().enumerate().map(|(at, cuts)| match at.cmp(&axis) {
                std::cmp::Ordering::Equal => Taken::whole(cuts),
                std::cmp::Ordering::Less => Taken::blocks(at, cuts),
                std::cmp::Ordering::Greater => Taken::blocks(at - 1, cuts),
            });
            let (takes, grid) = (vec![takes.collect()], cuts.iter().map(Cuts::blocks).collect());
            let mapped = Mapped { verb, origin, inputs: vec![blocks], grid, takes, cuts, key: None };
            mapped.of::<B>(move |given, _| {
                let given = only(given)?;
                block(view::<A, IxDyn>(&given)?.map_axis(Axis(axis), &function))
            })
        };
        at_line(made(), verb, origin)
    }
}

/// Blocks put together by letters, as in Einstein's notation: of each array its axes are named by letters, and those of the result. A block of
/// the result is made of the blocks of the arrays that stand at its letters; along letters that the result lacks they are given whole.
/// `new` gives the lengths of letters that only the result has.
///
/// # Errors
/// At compute, of kind `Plan`, where letters and axes do not fit, or axes of one letter differ in length; of kind `Data`, where the
/// function gives another shape.
///
/// ```
/// use chunkwise::prelude::*;
/// use ndarray::{Ix1, Ix2, arr2};
///
/// let x = array::from_ndarray(arr2(&[[1, 2], [3, 4], [5, 6]]), 1).into_dyn();
/// let products = array::blockwise("ik", &[(&x, "ij"), (&x, "kj")], &[], |blocks| {
///     let two = |at: usize| blocks[at].clone().into_dimensionality::<Ix2>().unwrap();
///     two(0).dot(&two(1).t()).into_dyn()
/// });
/// assert_eq!(products.compute()?, arr2(&[[5, 11, 17], [11, 25, 39], [17, 39, 61]]).into_dyn());
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[track_caller]
pub fn blockwise<A: Element, R: BlockValue<Dim = IxDyn>>(
    out: &str,
    arrays: &[(&Array<A, IxDyn>, &str)],
    new: &[(char, usize)],
    function: impl Fn(&[ArrayViewD<'_, A>]) -> R + Send + Sync + 'static,
) -> Array<R::Elem, IxDyn> {
    let (verb, origin) = ("blockwise", Origin::caller());
    let made = || {
        let out: Vec<char> = out.chars().collect();
        if let Some((_, twice)) = out.iter().enumerate().find(|(at, letter)| out[..*at].contains(letter)) {
            return Err(plan(format!("the result has the letter {twice} twice")));
        }
        let mut known: Vec<(char, Cuts)> = new.iter().map(|(letter, len)| (*letter, Cuts::whole(*len))).collect();
        let mut inputs = Vec::with_capacity(arrays.len());
        for (array, letters) in arrays {
            let blocks = array.planned()?;
            let letters: Vec<char> = letters.chars().collect();
            if letters.len() != blocks.rank() {
                return Err(plan(format!("{} letters for an array of {} axes", letters.len(), blocks.rank())));
            }
            for (letter, cuts) in letters.iter().zip(blocks.cuts.iter()) {
                match known.iter_mut().find(|(of, _)| of == letter) {
                    Some((_, of))
                        if of.len() == cuts.len() && (cuts.len().is_some() || of.blocks() == cuts.blocks()) =>
                    {
                        *of = of.united(cuts);
                    }
                    Some((_, of)) => {
                        let show = |len: Option<usize>| len.map_or("unknown length".to_string(), |len| len.to_string());
                        let (one, other) = (show(of.len()), show(cuts.len()));
                        return Err(plan(format!("axes of the letter {letter} have the lengths {one} and {other}")));
                    }
                    None => known.push((*letter, cuts.clone())),
                }
            }
            inputs.push((blocks, letters));
        }
        let of = |letter: &char| known.iter().find(|(of, _)| of == letter).map(|(_, cuts)| cuts.clone());
        let missing =
            |letter: &char| plan(format!("the letter {letter} of the result is of no array, and has no length"));
        let cuts = out.iter().map(|letter| of(letter).ok_or_else(|| missing(letter))).collect::<Result<Vec<_>>>()?;
        let takes = inputs.iter().map(|(_, letters)| {
            let axis = |letter: &char| {
                let cuts = of(letter).ok_or_else(|| missing(letter))?;
                let at = out.iter().position(|of| of == letter);
                Ok(at.map_or_else(|| Taken::whole(&cuts), |at| Taken::blocks(at, &cuts)))
            };
            letters.iter().map(axis).collect::<Result<Vec<_>>>()
        });
        let (takes, grid) = (takes.collect::<Result<_>>()?, cuts.iter().map(Cuts::blocks).collect());
        let inputs = inputs.iter().map(|(blocks, _)| *blocks).collect();
        let mapped = Mapped { verb, origin, inputs, grid, takes, cuts, key: None };
        mapped.of::<R::Elem>(move |given, _| {
            let views = given.iter().map(view::<A, IxDyn>).collect::<Result<Vec<_>>>()?;
            block(function(&views).into_block()?)
        })
    };
    at_line(made(), verb, origin)
}
