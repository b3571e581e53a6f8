//! Functions of several arrays, and some blocks of an array.

use ndarray::{ArrayViewD, Dimension, IxDyn, SliceArg, SliceInfoElem};

use super::Array;
use super::blocks::{BlockPlace, BlockShape, BlockValue, Mapped, at_line, block, has_axes, view};
use super::element::Element;
use super::join::{joined, range, stacked};
use super::operators::{Operated, cast};
use super::plan::{Blocks, Cuts, Op, Taken, View, broadcast_cuts, plan};
use crate::error::Result;
use crate::origin::Origin;
use crate::store::DType;

/// An array whose elements are of any type: what verbs take that bring several types to one.
///
/// It cannot be implemented elsewhere.
pub trait AnyArray<D>: sealed::Sealed {}

impl<A: Element, D> AnyArray<D> for Array<A, D> {}

mod sealed {
    use super::*;

    pub trait Sealed {
        /// The array as a type.
        fn cast_to(&self, to: DType, verb: &'static str, origin: Origin) -> Operated;
    }

    impl<A: Element, D> Sealed for Array<A, D> {
        fn cast_to(&self, to: DType, verb: &'static str, origin: Origin) -> Operated {
            Operated(self.planned().and_then(|blocks| cast(blocks, to, verb, origin)))
        }
    }
}

/// As [`concatenate`](super::concatenate), of arrays of any types, which become `A` as [`Array::cast`] has it: complex numbers lose their
/// imaginary part where `A` is real.
///
/// # Errors
/// As there.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let (whole, half) = (array::arange(0, 2, 1, 2), array::from_vec(vec![0.5], 1));
/// let all = array::concatenate_as::<f64, _>(0, &[&whole, &half]);
/// assert_eq!(all.compute()?.to_vec(), [0.0, 1.0, 0.5]);
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[track_caller]
pub fn concatenate_as<A: Element, D: Dimension>(axis: isize, arrays: &[&dyn AnyArray<D>]) -> Array<A, D> {
    let (verb, origin) = ("concatenate_as", Origin::caller());
    let made = || {
        let all = arrays.iter().map(|array| array.cast_to(A::DTYPE, verb, origin).0).collect::<Result<Vec<_>>>()?;
        let rank = all.first().ok_or_else(|| plan("no arrays to put together"))?.rank();
        joined(&all.iter().collect::<Vec<_>>(), super::plan::resolve_axis(axis, rank)?, verb, origin)
    };
    at_line(made(), verb, origin)
}

/// As [`stack`](super::stack), of arrays of any types, which become `A` as [`Array::cast`] has it.
///
/// # Errors
/// As there.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let (whole, half) = (array::arange(0, 2, 1, 2), array::from_vec(vec![0.5, 1.5], 1));
/// let both = array::stack_as::<f64, _>(0, &[&whole, &half]);
/// assert_eq!(both.compute()?, ndarray::arr2(&[[0.0, 1.0], [0.5, 1.5]]));
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[track_caller]
pub fn stack_as<A: Element, D: Dimension + ndarray::DimAdd<ndarray::Ix1>>(
    axis: isize,
    arrays: &[&dyn AnyArray<D>],
) -> Array<A, <D as ndarray::DimAdd<ndarray::Ix1>>::Output> {
    let (verb, origin) = ("stack_as", Origin::caller());
    let made = || stacked(arrays.iter().map(|array| array.cast_to(A::DTYPE, verb, origin).0), axis, verb, origin);
    at_line(made(), verb, origin)
}

/// Arrays as the shape that they broadcast to, each cut where any of them is.
///
/// # Errors
/// Of kind `Plan`, where there are none, or their shapes do not fit.
pub(super) fn broadcast_all(arrays: &[&Blocks], verb: &'static str, origin: Origin) -> Result<Vec<Blocks>> {
    let first = *arrays.first().ok_or_else(|| plan("there are no arrays"))?;
    let mut common = first.clone();
    for array in &arrays[1..] {
        common.cuts = broadcast_cuts(&common, array)?.into();
    }
    let cuts = &common.cuts;
    let wide = arrays.iter().map(|array| {
        let shape = array.shape();
        let behind = cuts.len() - shape.len();
        if behind == 0 && shape.iter().zip(cuts.iter()).all(|(own, all)| *own == all.len()) {
            return Ok((*array).clone());
        }
        // What is stretched is cut as the others are.
        let mut own = cuts.to_vec();
        let mut view = View::broadcast(&shape, cuts.len());
        for (axis, len) in shape.iter().enumerate() {
            if *len == Some(1) && cuts[axis + behind].len() == Some(1) {
                view.axes[axis] = super::plan::AxisMap::same(axis + behind);
            }
            if view.axes[axis].of.is_some() {
                own[axis + behind] = array.cuts[axis].clone();
            }
        }
        Blocks::new(Op::View(view), &[array], array.dtype, own, verb, origin)
    });
    wide.collect()
}

/// What a function makes of the blocks of several arrays of one type that broadcast: each is given as the result is cut, stretched where it
/// has length 1, with where the block stands. The blocks that it makes differ from these as a [`BlockShape`] says; an axis that is dropped is
/// given whole.
///
/// # Errors
/// At compute, of kind `Plan`, where there are no arrays, they do not broadcast, or axes that are named are not there; else as
/// [`Array::map_blocks_as`].
///
/// ```
/// use chunkwise::array::BlockShape;
/// use chunkwise::prelude::*;
///
/// let (x, y, z) = (array::arange(0, 4, 1, 2), array::arange(10, 14, 1, 4), array::full(1, 100, 1));
/// let all = array::map_blocks(&[&x, &y, &z], BlockShape::same(), |blocks, place| {
///     (&blocks[0] * &blocks[1] + &blocks[2]).mapv(|n| n + 1000 * place.start[0] as i32)
/// });
/// assert_eq!(all.compute()?, ndarray::arr1(&[100, 111, 2124, 2139]).into_dyn());
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[track_caller]
pub fn map_blocks<A: Element, D: Dimension, R: BlockValue>(
    arrays: &[&Array<A, D>],
    shape: BlockShape,
    function: impl Fn(&[ArrayViewD<'_, A>], &BlockPlace) -> R + Send + Sync + 'static,
) -> Array<R::Elem, R::Dim> {
    let (verb, origin) = ("map_blocks", Origin::caller());
    let made = || {
        let given = arrays.iter().map(|array| array.planned()).collect::<Result<Vec<_>>>()?;
        let inputs = broadcast_all(&given, verb, origin)?;
        let cuts = super::counts::alike(&inputs.iter().collect::<Vec<_>>())?;
        let (takes, made) = shape.of(&cuts)?;
        has_axes::<R::Dim>(&made)?;
        let (takes, grid) = (vec![takes; inputs.len()], made.iter().map(Cuts::blocks).collect());
        let mapped = Mapped { verb, origin, inputs: inputs.iter().collect(), grid, takes, cuts: made, key: None };
        mapped.of::<R::Elem>(move |given, place| {
            let views = given.iter().map(view::<A, IxDyn>).collect::<Result<Vec<_>>>()?;
            block(function(&views, &BlockPlace::of(place)).into_block()?)
        })
    };
    at_line(made(), verb, origin)
}

/// The names in a signature such as `(i,j),(j)->(i)`.
fn signature(text: &str) -> Result<(Vec<Vec<String>>, Vec<String>)> {
    let wrong = || plan(format!("`{text}` is no signature, such as `(i,j),(j)->(i)` of one result"));
    let list = |text: &str| -> Result<Vec<Vec<String>>> {
        let mut lists = Vec::new();
        let mut rest = text;
        loop {
            let (names, behind) = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')).ok_or_else(wrong)?;
            let names: Vec<String> = match names {
                "" => Vec::new(),
                names => names.split(',').map(str::to_string).collect(),
            };
            if names.iter().any(|name| name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || c == '_')) {
                return Err(wrong());
            }
            lists.push(names);
            match behind.strip_prefix(',') {
                Some(more) => rest = more,
                None if behind.is_empty() => return Ok(lists),
                None => return Err(wrong()),
            }
        }
    };
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let (given, made) = text.split_once("->").ok_or_else(wrong)?;
    let [made] = &list(made)?[..] else { return Err(wrong()) };
    Ok((list(given)?, made.clone()))
}

/// A function over the last axes of some arrays, as its signature names them: `(i,j),(j)->(i)` is one of matrices and vectors that gives
/// vectors. Axes before these broadcast and go through block by block; those that are named are given whole, of one length wherever a
/// name stands. `new` gives the lengths of names that only the result has.
///
/// The function is given blocks with all their axes, those that broadcast first, and gives one likewise: it is called once for each block.
///
/// # Errors
/// At compute, of kind `Plan`, where the signature cannot be read, does not fit the arrays, a name stands for two lengths or for none; of kind
/// `Data`, where the function gives another shape.
///
/// ```
/// use chunkwise::prelude::*;
/// use ndarray::Axis;
///
/// let x = array::arange(0, 6, 1, 3).reshape((3, 2));
/// let spread = array::apply_gufunc("(i)->()", &[&x], &[], |blocks| {
///     blocks[0].map_axis(Axis(blocks[0].ndim() - 1), |line| line[line.len() - 1] - line[0])
/// });
/// assert_eq!(spread.compute()?, ndarray::arr1(&[1, 1, 1]).into_dyn());
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[track_caller]
pub fn apply_gufunc<A: Element, D: Dimension, R: BlockValue<Dim = IxDyn>>(
    text: &str,
    arrays: &[&Array<A, D>],
    new: &[(&str, usize)],
    function: impl Fn(&[ArrayViewD<'_, A>]) -> R + Send + Sync + 'static,
) -> Array<R::Elem, IxDyn> {
    let (verb, origin) = ("apply_gufunc", Origin::caller());
    let made = || {
        let (named, out) = signature(text)?;
        if named.len() != arrays.len() {
            return Err(plan(format!("`{text}` is of {} arrays, and {} are given", named.len(), arrays.len())));
        }
        let mut lens: Vec<(String, usize)> = new.iter().map(|(name, len)| (name.to_string(), *len)).collect();
        let inputs = arrays.iter().map(|array| array.planned()).collect::<Result<Vec<_>>>()?;
        for (number, (blocks, names)) in inputs.iter().zip(&named).enumerate() {
            let shape = blocks.known_shape()?;
            let Some(before) = shape.len().checked_sub(names.len()) else {
                return Err(plan(format!("array {number} has {} axes, and `{text}` names more", shape.len())));
            };
            for (name, len) in names.iter().zip(&shape[before..]) {
                match lens.iter().find(|(of, _)| of == name) {
                    Some((_, known)) if known != len => {
                        return Err(plan(format!("`{name}` in `{text}` stands for axes of {known} and of {len}")));
                    }
                    Some(_) => {}
                    None => lens.push((name.clone(), *len)),
                }
            }
        }
        // The axes that broadcast, as arrays of their own.
        let outer = |blocks: &Blocks, names: &[String]| Blocks {
            cuts: blocks.cuts[..blocks.rank() - names.len()].into(),
            ..blocks.clone()
        };
        let first = *inputs.first().ok_or_else(|| plan("there are no arrays"))?;
        let mut loops = Blocks { cuts: [].into(), ..first.clone() };
        for (blocks, names) in inputs.iter().zip(&named) {
            loops.cuts = broadcast_cuts(&loops, &outer(blocks, names))?.into();
        }
        let cuts_of = |name: &String| {
            let len = lens.iter().find(|(of, _)| of == name).map(|(_, len)| Cuts::whole(*len));
            len.ok_or_else(|| plan(format!("`{name}` in `{text}` is of no array, and has no length")))
        };
        let mut cuts = loops.cuts.to_vec();
        for name in &out {
            cuts.push(cuts_of(name)?);
        }
        let takes = inputs.iter().zip(&named).map(|(blocks, names)| {
            let own = blocks.rank() - names.len();
            let axis = |(axis, of): (usize, &Cuts)| {
                let to = axis + loops.rank() - own;
                match loops.cuts.get(to).filter(|_| axis < own) {
                    Some(cuts) if of.len() != Some(1) || cuts.len() == Some(1) => Taken::blocks(to, cuts),
                    _ => Taken::whole(of),
                }
            };
            blocks.cuts.iter().enumerate().map(axis).collect()
        });
        let (takes, grid) = (takes.collect(), cuts.iter().map(Cuts::blocks).collect());
        let mapped = Mapped { verb, origin, inputs, grid, takes, cuts, key: None };
        mapped.of::<R::Elem>(move |given, _| {
            let views = given.iter().map(view::<A, IxDyn>).collect::<Result<Vec<_>>>()?;
            block(function(&views).into_block()?)
        })
    };
    at_line(made(), verb, origin)
}

impl<A: Element, D: Dimension> Array<A, D> {
    /// Some blocks, by their numbers along each axis as ndarray's `s![]` says them: ranges with any step and single numbers, which keep their
    /// axis. Each block is as it was.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where a number is that of no block, a new axis is asked for, or a length is not known.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::arange(0, 10, 1, 4);
    /// assert_eq!(x.block_slice(s![1..]).compute()?.to_vec(), [4, 5, 6, 7, 8, 9]);
    /// assert_eq!(x.block_slice(s![..;-1]).compute()?.to_vec(), [8, 9, 4, 5, 6, 7, 0, 1, 2, 3]);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn block_slice<I: SliceArg<D>>(&self, info: I) -> Array<A, D> {
        let (verb, origin) = ("block_slice", Origin::caller());
        let made = || {
            let mut all = self.planned()?.clone();
            let parts = info.as_ref();
            let named = parts.iter().filter(|part| !matches!(part, SliceInfoElem::NewAxis)).count();
            if named != parts.len() {
                return Err(plan("blocks along a new axis"));
            }
            if named != all.rank() {
                return Err(plan(format!("blocks along {named} axes of an array of {}", all.rank())));
            }
            for (axis, part) in parts.iter().enumerate() {
                let cuts = all.cuts_of(axis)?.to_vec();
                let count = cuts.len() - 1;
                let (first, step, many) = match *part {
                    SliceInfoElem::Slice { start, end, step } => super::select::along(count, start, end, step)?,
                    SliceInfoElem::Index(at) => {
                        let from = if at < 0 { at + count as isize } else { at };
                        if from < 0 || from >= count as isize {
                            return Err(plan(format!("{at} is the number of none of {count} blocks")));
                        }
                        (from as i64, 1, 1)
                    }
                    SliceInfoElem::NewAxis => (0, 1, count),
                };
                let place = |number: usize| (first + step * number as i64) as usize;
                all = match (step, many) {
                    (_, 0) => range(&all, axis, 0, 0, verb, origin)?,
                    (1, many) => range(&all, axis, cuts[place(0)], cuts[place(many - 1) + 1], verb, origin)?,
                    _ => {
                        let blocks = (0..many).map(|number| {
                            let at = place(number);
                            range(&all, axis, cuts[at], cuts[at + 1], verb, origin)
                        });
                        let blocks = blocks.collect::<Result<Vec<_>>>()?;
                        joined(&blocks.iter().collect::<Vec<_>>(), axis, verb, origin)?
                    }
                };
            }
            Ok(all)
        };
        at_line(made(), verb, origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (given, made) = signature(" (i, j),(j), () -> (i)").unwrap();
        assert_eq!((given, made), (vec![names(&["i", "j"]), names(&["j"]), names(&[])], names(&["i"])));
        for wrong in ["", "(i)", "(i)->", "(i)->(i),(j)", "(i->(i)", "(i,)->(i)", "i->i", "(i)(j)->()", "(a-b)->()"] {
            assert!(signature(wrong).is_err(), "{wrong}");
        }
    }
}
