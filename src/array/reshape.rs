//! The same elements by rows in another shape. Where blocks of the one shape are blocks of the other, nothing moves; else the array is cut anew
//! so that they are.

use ndarray::{Dimension, IntoDimension, Ix1};

use super::Array;
use super::blocks::{Mapped, at_line, only};
use super::element::Element;
use super::kernels::Number;
use super::plan::{Blocks, Cuts, Op, Taken, plan, shown_shape};
use crate::error::{Error, Result};
use crate::origin::Origin;
use crate::store::NdBlock;

/// Some axes of one shape that have as many elements as some of another.
#[derive(Debug, PartialEq, Eq)]
struct Group {
    from: std::ops::Range<usize>,
    to: std::ops::Range<usize>,
}

/// The axes of two shapes in the smallest groups of equally many elements.
fn groups(from: &[usize], to: &[usize]) -> Vec<Group> {
    let (mut all, mut a, mut b) = (Vec::new(), 0, 0);
    while a < from.len() || b < to.len() {
        let (start_a, start_b) = (a, b);
        let (mut of_a, mut of_b) = (1u128, 1u128);
        // One axis of each, and then of the one that has fewer elements.
        loop {
            let grow_a = a < from.len() && (a == start_a || of_a < of_b);
            let grow_b = b < to.len() && (b == start_b || of_b < of_a);
            if grow_a {
                of_a *= from[a] as u128;
                a += 1;
            }
            if grow_b {
                of_b *= to[b] as u128;
                b += 1;
            }
            if !grow_a && !grow_b {
                break;
            }
        }
        // Axes of length 1 that are left over belong to the last group.
        while a < from.len() && from[a] == 1 && b == to.len() {
            a += 1;
        }
        while b < to.len() && to[b] == 1 && a == from.len() {
            b += 1;
        }
        all.push(Group { from: start_a..a, to: start_b..b });
    }
    all
}

/// Cuts of axes whose blocks, by rows, have about so many elements and lie one behind another in memory: first axes in blocks of one, then
/// one in ranges, and the last ones whole.
fn in_rows(lens: &[usize], elements: usize) -> Vec<Cuts> {
    let mut cuts: Vec<Cuts> = lens.iter().map(|len| Cuts::whole(*len)).collect();
    let mut left = elements.max(1);
    for axis in (0..lens.len()).rev() {
        if lens[axis] <= left {
            left /= lens[axis].max(1);
            continue;
        }
        cuts[axis] = Cuts::even(lens[axis], left.max(1));
        for before in 0..axis {
            cuts[before] = Cuts::even(lens[before], 1);
        }
        break;
    }
    cuts
}

/// Where blocks by rows end, in elements.
fn ends(cuts: &[Cuts]) -> Vec<usize> {
    let Some((first, inner)) = cuts.split_first() else { return vec![1] };
    let within = ends(inner);
    let len: usize = inner.iter().filter_map(Cuts::len).product();
    let known = first.known().unwrap_or(&[]);
    let mut all = Vec::new();
    for two in known.windows(2) {
        match within.len() {
            // The inner axes are whole.
            1 => all.push(two[1] * len),
            // The blocks of this axis are of one, or of none.
            _ => all.extend(within.iter().map(|end| two[0] * len + end * (two[1] - two[0]))),
        }
    }
    all
}

/// Cuts of a shape whose blocks by rows end at these elements, if there are such.
fn with_ends(lens: &[usize], wanted: &[usize]) -> Option<Vec<Cuts>> {
    // One axis is cut, those before it are in blocks of one.
    for axis in (0..lens.len()).rev() {
        let inner: usize = lens[axis + 1..].iter().product();
        let outer: usize = lens[..axis].iter().product();
        if inner == 0 || outer == 0 {
            continue;
        }
        let of_axis: Vec<usize> =
            wanted.iter().take_while(|end| **end <= lens[axis] * inner).map(|end| end / inner).collect();
        let own = std::iter::once(0).chain(of_axis.iter().copied()).collect::<Vec<_>>();
        if own.last() != Some(&lens[axis]) {
            continue;
        }
        let mut cuts: Vec<Cuts> = lens.iter().map(|len| Cuts::whole(*len)).collect();
        cuts[axis] = Cuts::Known(own.into());
        if outer > 1 {
            lens[..axis].iter().enumerate().for_each(|(at, len)| cuts[at] = Cuts::even(*len, 1));
        }
        if ends(&cuts) == wanted {
            return Some(cuts);
        }
    }
    None
}

/// Whether blocks lie one behind another in memory by rows: all axes behind the one that is cut last are whole, all before it in blocks of one.
fn lies_in_rows(cuts: &[Cuts]) -> bool {
    let last = cuts.iter().rposition(|cuts| cuts.blocks() > 1);
    last.is_none_or(|last| cuts[..last].iter().all(|cuts| cuts.most() == Some(1)))
}

/// Cuts of the same shape whose blocks lie by rows one behind another: as they are, if they do, else blocks of about as many elements; of no
/// more than `most`.
pub(super) fn rows_of(cuts: &[Cuts], most: usize) -> Vec<Cuts> {
    let own: usize = cuts.iter().filter_map(Cuts::most).product();
    if lies_in_rows(cuts) && own <= most {
        return cuts.to_vec();
    }
    let lens: Vec<usize> = cuts.iter().map(|cuts| cuts.len().unwrap_or(0)).collect();
    in_rows(&lens, own.min(most))
}

/// An array cut in one way, each block of which has the elements of a block of the result by rows.
pub(super) fn same_blocks(
    of: &Blocks,
    inner: Vec<Cuts>,
    cuts: Vec<Cuts>,
    verb: &'static str,
    origin: Origin,
) -> Result<Blocks> {
    let takes = inner.iter().enumerate().map(|(axis, cuts)| Taken::blocks(axis, cuts)).collect();
    let grid: Vec<u32> = inner.iter().map(Cuts::blocks).collect();
    let lens: Vec<u32> = cuts.iter().map(Cuts::blocks).collect();
    if grid.iter().product::<u32>() != lens.iter().product::<u32>() {
        return Err(Error::internal("blocks of another shape are more or fewer"));
    }
    let (own, outer) = (cuts.clone(), grid.clone());
    let reshaped = move |given: Vec<NdBlock>, place: &super::plan::TaskPlace| {
        let index = place.coords.iter().zip(&outer).fold(0, |index, (at, len)| index * len + at);
        let at = super::plan::coords(index, lens.iter().copied());
        let shape = at.iter().zip(&own).map(|(at, cuts)| {
            let known = cuts.known().ok_or_else(|| Error::internal("a shape that is not known"))?;
            Ok(known[*at as usize + 1] - known[*at as usize])
        });
        let shape: Vec<usize> = shape.collect::<Result<_>>()?;
        NdBlock::new(shape, only(given)?.into_data())
    };
    let key = Some(format!("as {inner:?}"));
    let mapped = Mapped { verb, origin, inputs: vec![of], grid, takes: vec![takes], cuts, key };
    mapped.of_type(of.dtype, None, reshaped)
}

/// The same elements by rows in another shape.
pub(super) fn reshaped(blocks: &Blocks, shape: &[usize], verb: &'static str, origin: Origin) -> Result<Blocks> {
    let from = blocks.known_shape()?;
    let count = |shape: &[usize]| shape.iter().try_fold(1usize, |all, len| all.checked_mul(*len));
    if count(&from) != count(shape) {
        let (own, count) = (shown_shape(&blocks.cuts), from.iter().product::<usize>());
        return Err(plan(format!(
            "an array of the shape {own} has {count} elements: it cannot have the shape {shape:?}"
        )));
    }
    if from == shape {
        return Ok(blocks.clone());
    }
    if count(shape) == Some(0) {
        let cuts: Vec<Cuts> = shape.iter().map(|len| Cuts::whole(*len)).collect();
        return Blocks::new(Op::Full(Number::zero(blocks.dtype)), &[], blocks.dtype, cuts, verb, origin);
    }
    let (mut inner, mut cuts) = (Vec::with_capacity(from.len()), Vec::with_capacity(shape.len()));
    for Group { from: own, to } in groups(&from, shape) {
        let (old, new) = (&blocks.cuts[own.clone()], &shape[to.clone()]);
        let most: usize = old.iter().filter_map(Cuts::most).product::<usize>().max(1);
        let is_same = own.len() == 1 && to.len() == 1;
        // As it is cut, if that will do; then as it may be cut; else by rows of both.
        let as_is = if is_same || lies_in_rows(old) { with_ends(new, &ends(old)) } else { None };
        if let Some(found) = as_is {
            inner.extend(old.iter().cloned());
            cuts.extend(found);
            continue;
        }
        let of_old = in_rows(&from[own.clone()], most);
        if let Some(found) = with_ends(new, &ends(&of_old)) {
            inner.extend(of_old);
            cuts.extend(found);
            continue;
        }
        let of_new = in_rows(new, most);
        if let Some(found) = with_ends(&from[own.clone()], &ends(&of_new)) {
            inner.extend(found);
            cuts.extend(of_new);
            continue;
        }
        // Neither's rows are the other's: by way of one axis of all.
        let mut line: Vec<usize> = from[..own.start].to_vec();
        let at = line.len();
        line.push(from[own.clone()].iter().product());
        line.extend(&from[own.end..]);
        let flat = reshaped(blocks, &line, verb, origin)?;
        let mut wanted: Vec<Cuts> = flat.cuts.to_vec();
        let ends = ends(&of_new);
        wanted[at] = Cuts::Known(std::iter::once(0).chain(ends).collect());
        let recut = Blocks::new(Op::Rechunk, &[&flat], flat.dtype, wanted, verb, origin)?;
        return reshaped(&recut, shape, verb, origin);
    }
    same_blocks(blocks, inner, cuts, verb, origin)
}

impl<A: Element, D: Dimension> Array<A, D> {
    /// The same elements by rows in another shape.
    ///
    /// Blocks stay as they are where that can be; else the array is cut by rows first, in blocks of about as many elements as before.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where the shape has more or fewer elements.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::arange(0, 6, 1, 2);
    /// assert_eq!(x.reshape((3, 2)).compute()?, ndarray::arr2(&[[0, 1], [2, 3], [4, 5]]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn reshape<Sh: IntoDimension>(&self, shape: Sh) -> Array<A, Sh::Dim> {
        let (verb, origin) = ("reshape", Origin::caller());
        let shape = shape.into_dimension();
        at_line(self.planned().and_then(|blocks| reshaped(blocks, shape.slice(), verb, origin)), verb, origin)
    }

    /// All elements by rows along one axis.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::from_ndarray(ndarray::arr2(&[[1, 2], [3, 4]]), 1);
    /// assert_eq!(x.ravel().compute()?, ndarray::arr1(&[1, 2, 3, 4]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn ravel(&self) -> Array<A, Ix1> {
        let (verb, origin) = ("ravel", Origin::caller());
        let made = || {
            let blocks = self.planned()?;
            reshaped(blocks, &[blocks.known_shape()?.iter().product()], verb, origin)
        };
        at_line(made(), verb, origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_in_groups() {
        let ranges = |from: &[usize], to: &[usize]| {
            groups(from, to).into_iter().map(|group| (group.from, group.to)).collect::<Vec<_>>()
        };
        assert_eq!(ranges(&[4, 6], &[24]), [(0..2, 0..1)]);
        assert_eq!(ranges(&[24, 5], &[4, 6, 5]), [(0..1, 0..2), (1..2, 2..3)]);
        assert_eq!(ranges(&[6, 4], &[8, 3]), [(0..2, 0..2)]);
        assert_eq!(ranges(&[2, 3, 1], &[6]), [(0..3, 0..1)]);
        assert_eq!(ranges(&[], &[1, 1]), [(0..0, 0..2)]);
        assert_eq!(ranges(&[5], &[1, 5]), [(0..1, 0..2)]);
    }

    #[test]
    fn blocks_by_rows() {
        assert_eq!(in_rows(&[4, 6], 12), [Cuts::even(4, 2), Cuts::whole(6)]);
        assert_eq!(in_rows(&[4, 6], 3), [Cuts::even(4, 1), Cuts::even(6, 3)]);
        assert_eq!(ends(&in_rows(&[4, 6], 4)), [4, 6, 10, 12, 16, 18, 22, 24]);
        assert_eq!(with_ends(&[8, 3], &[6, 12, 24]), Some(vec![Cuts::of([2, 2, 4]), Cuts::whole(3)]));
        assert_eq!(with_ends(&[8, 3], &[4, 24]), None);
    }
}
