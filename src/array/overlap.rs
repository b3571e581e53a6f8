//! Functions of blocks that look at their neighbours.

use ndarray::{ArrayView, Axis, Dimension, IxDyn, Slice};

use super::Array;
use super::blocks::{BlockValue, Mapped, at_line, block, only, view};
use super::element::Element;
use super::join::{Pad, padded};
use super::plan::{Cuts, Taken, TaskPlace, strides};
use crate::error::{Error, ErrorKind, Result};
use crate::origin::Origin;
use crate::store::NdBlock;

/// How many elements of its neighbours a block is given: see [`Array::map_overlap`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Depth(Depths);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Depths {
    All(usize),
    Each(Vec<(usize, usize)>),
}

impl Depth {
    /// As many before and behind along all axes.
    pub fn all(depth: usize) -> Depth {
        Depth(Depths::All(depth))
    }

    /// So many before and behind along each axis.
    pub fn axes(depths: impl IntoIterator<Item = usize>) -> Depth {
        Depth(Depths::Each(depths.into_iter().map(|depth| (depth, depth)).collect()))
    }

    /// Along each axis so many before and so many behind.
    pub fn sides(depths: impl IntoIterator<Item = (usize, usize)>) -> Depth {
        Depth(Depths::Each(depths.into_iter().collect()))
    }

    fn of(self, rank: usize) -> Result<Vec<(usize, usize)>> {
        match self.0 {
            Depths::All(depth) => Ok(vec![(depth, depth); rank]),
            Depths::Each(each) if each.len() == rank => Ok(each),
            Depths::Each(each) => {
                let text = format!("{} depths for an array of {rank} axes", each.len());
                Err(Error::new(ErrorKind::Plan, text))
            }
        }
    }
}

/// What stands beyond the edges of an array whose blocks look at their neighbours.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Boundary<A> {
    /// Nothing: blocks at an edge are given less.
    #[default]
    None,
    /// The array mirrored behind its edge: `b a | a b c | c b`.
    Reflect,
    /// The element at the edge.
    Nearest,
    /// The other end of the array.
    Periodic,
    /// A number.
    Constant(A),
}

/// A part of a block, along each axis from where and how long, in the block's own memory: memory that is not recycled costs more than what most
/// functions do.
fn trimmed<B: Element>(mut made: ndarray::ArrayD<B>, own: &[(usize, usize)]) -> Result<NdBlock> {
    let part: Vec<usize> = own.iter().map(|(_, len)| *len).collect();
    if !made.is_standard_layout() || made.is_empty() || part.contains(&0) {
        for (axis, (from, len)) in own.iter().enumerate() {
            made.slice_axis_inplace(Axis(axis), Slice::from(*from..from + len));
        }
        return block(made.as_standard_layout().into_owned());
    }
    let steps = strides(made.shape());
    let (mut values, first) = made.into_raw_vec_and_offset();
    let first = first.unwrap_or(0);
    let run = part.last().copied().unwrap_or(1);
    let rows = part.iter().product::<usize>() / run;
    // Each run moves towards the front, and none over one that has not moved yet.
    for row in 0..rows {
        let (mut rest, mut from) = (row, first);
        for axis in (0..part.len()).rev() {
            let at = match axis + 1 == part.len() {
                true => 0,
                false => {
                    let at = rest % part[axis];
                    rest /= part[axis];
                    at
                }
            };
            from += (own[axis].0 + at) * steps[axis] as usize;
        }
        values.copy_within(from..from + run, row * run);
    }
    values.truncate(rows * run);
    // Only what is counted is held: of a small block with many neighbours that is little.
    values.shrink_to_fit();
    let values = ndarray::ArrayD::from_shape_vec(IxDyn(&part), values);
    block(values.map_err(|error| Error::internal(format!("a part of another shape: {error}")))?)
}

impl<A: Element, D: Dimension + 'static> Array<A, D> {
    /// What a function makes of each block with some elements of its neighbours; it gives as many as it is given, of which those that belong
    /// to neighbours are dropped.
    ///
    /// A block may be given more elements than a neighbour has: then they come from those behind it, too.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where there is not one depth for each axis, or an axis without elements is to go on; of kind `Data`,
    /// where the function gives another shape; what the function returns.
    ///
    /// ```
    /// use chunkwise::array::{Boundary, Depth};
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::arange(0, 6, 1, 3);
    /// let sums = x.map_overlap(Depth::all(1), Boundary::Reflect, |block| {
    ///     let at = |n: usize| block[n.clamp(0, block.len() - 1)];
    ///     (0..block.len()).map(|n| at(n.saturating_sub(1)) + at(n) + at(n + 1)).collect::<ndarray::Array1<i32>>()
    /// });
    /// assert_eq!(sums.compute()?, ndarray::arr1(&[1, 3, 6, 9, 12, 14]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn map_overlap<R: BlockValue<Dim = D>>(
        &self,
        depth: Depth,
        boundary: Boundary<A>,
        function: impl Fn(ArrayView<'_, A, D>) -> R + Send + Sync + 'static,
    ) -> Array<R::Elem, D> {
        let (verb, origin) = ("map_overlap", Origin::caller());
        let made = || {
            let blocks = self.planned()?;
            let shape = blocks.known_shape()?;
            let mut depths = depth.of(blocks.rank())?;
            let pad = match boundary {
                Boundary::None => None,
                Boundary::Reflect => Some(Pad::Symmetric),
                Boundary::Nearest => Some(Pad::Edge),
                Boundary::Periodic => Some(Pad::Wrap),
                Boundary::Constant(value) => Some(Pad::Constant(value)),
            };
            if pad.is_none() {
                // No further than the array reaches.
                let within = depths.iter_mut().zip(&shape);
                within.for_each(|((front, back), len)| (*front, *back) = ((*front).min(*len), (*back).min(*len)));
            }
            let from = match pad {
                Some(pad) => padded(blocks, &depths, pad, verb, origin)?,
                None => blocks.clone(),
            };
            let own = |axis: usize| blocks.cuts[axis].known().unwrap_or(&[]).windows(2).map(|two| (two[0], two[1]));
            // For each axis and block what is given, and how many of it stand before the block.
            let mut takes = Vec::with_capacity(shape.len());
            let mut before: Vec<Vec<(usize, usize)>> = Vec::with_capacity(shape.len());
            for (axis, (front, back)) in depths.iter().copied().enumerate() {
                let range = |(start, end): (usize, usize)| match pad {
                    Some(_) => (start, end + front + back),
                    None => (start.saturating_sub(front), (end + back).min(shape[axis])),
                };
                let ahead = |own: (usize, usize)| if pad.is_some() { front } else { own.0 - range(own).0 };
                before.push(own(axis).map(|own| (ahead(own), own.1 - own.0)).collect());
                takes.push(Taken::ranges(axis, own(axis).map(range)));
            }
            let (grid, cuts) = (blocks.cuts.iter().map(Cuts::blocks).collect(), blocks.cuts.to_vec());
            let mapped = Mapped { verb, origin, inputs: vec![&from], grid, takes: vec![takes], cuts, key: None };
            mapped.of::<R::Elem>(move |given: Vec<NdBlock>, place: &TaskPlace| {
                let given = only(given)?;
                let made = function(view::<A, D>(&given)?).into_block()?.into_dyn();
                if made.shape() != given.shape() {
                    let text =
                        format!("map_overlap made the shape {:?} of a block of {:?}", made.shape(), given.shape());
                    return Err(Error::new(ErrorKind::Data, text));
                }
                let own = place.coords.iter().zip(&before).map(|(at, before)| before[*at as usize]);
                trimmed(made, &own.collect::<Vec<_>>())
            })
        };
        at_line(made(), verb, origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_part_holds_no_more_than_itself() {
        let made = ndarray::ArrayD::from_shape_fn(IxDyn(&[17, 17, 17]), |at| (at[0] * 289 + at[1] * 17 + at[2]) as f64);
        let part = trimmed(made, &[(8, 2), (8, 1), (7, 3)]).unwrap();
        let values = part.get::<f64>().unwrap();
        assert_eq!(values[..], [2455.0, 2456.0, 2457.0, 2744.0, 2745.0, 2746.0]);
        assert_eq!((part.shape(), values.storage_bytes()), (&[2, 1, 3][..], 48));
    }
}
