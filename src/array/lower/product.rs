//! Products of matrices, block by block. A task takes a block of rows of one and of columns of the other and sums up along what they share,
//! piece by piece, as they lie in memory: nothing is put together before. Long sums are taken in groups: one behind another into the same
//! block where there are blocks enough for all threads, else beside each other, and a reduction puts them together.

use std::ops::Range;
use std::sync::Arc;

use super::super::kernels::{Lane, Matrix, add_product, with_lane};
use super::super::plan::{Cuts, Taken, strides};
use super::boxes::{Block as TaskBox, Boxes};
use super::{Lowering, meta};
use crate::error::{Error, Result};
use crate::graph::{Each, Input, Inputs, LayerRef, Pattern, TaskContext};
use crate::plan::RegionLowering;
use crate::store::{Block, Data, NdBlock};

impl Lowering {
    pub(super) fn product(
        &mut self,
        at: usize,
        groups: &Arc<[usize]>,
        lowering: &mut RegionLowering<'_, '_>,
    ) -> Result<u32> {
        let all: Vec<(usize, usize)> = groups.windows(2).map(|two| (two[0], two[1])).collect();
        if self.plan.nodes[at].cuts[0].blocks() as usize == all.len() {
            return self.products(at, &all, None, lowering);
        }
        let mut sums = None;
        for group in all {
            sums = Some(self.products(at, &[group], sums, lowering)?);
        }
        sums.ok_or_else(|| Error::internal("a product of nothing"))
    }

    /// Blocks of the products of some ranges of what is summed up, each by itself along the first axis; added to the blocks of a layer, where
    /// there is one.
    fn products(
        &mut self,
        at: usize,
        groups: &[(usize, usize)],
        onto: Option<u32>,
        lowering: &mut RegionLowering<'_, '_>,
    ) -> Result<u32> {
        let node = &self.plan.nodes[at];
        let [left, right] = node.inputs[..] else { return Err(Error::internal("a product of two without them")) };
        let grid: Vec<u32> = node.cuts.iter().map(Cuts::blocks).collect();
        let rank = node.cuts.len() - 1;
        // Which groups along what is summed up; the axis of the result that an axis goes along; all of what is stretched.
        let takes = |input: usize, sum_axis: usize| -> Vec<Taken> {
            let of = &self.plan.nodes[input].cuts;
            let axis = |axis: usize| match axis {
                axis if axis == sum_axis => Taken::ranges(0, groups.iter().copied()),
                axis if axis + 2 < rank && of[axis].len() == Some(1) => Taken::whole(&of[axis]),
                axis => Taken::blocks(axis + 1, &node.cuts[axis + 1]),
            };
            (0..rank).map(axis).collect()
        };
        // The pieces of sums are the same whatever the limit is: blocks are read as they are.
        let a = Boxes::new(self.sections_or_read(left)?, takes(left, rank - 1), grid.clone())?;
        let b = Boxes::new(self.sections_or_read(right)?, takes(right, rank - 2), grid.clone())?;
        let mut reads = self.reads(&a)?;
        reads.extend(self.reads(&b)?);
        reads.extend(onto.map(|layer| Input { layer, pattern: Pattern::OneToOne }));
        let most: usize = node.cuts.iter().filter_map(Cuts::most).product();
        let made = |boxes: &Boxes| if boxes.is_readable() { 0 } else { boxes.most_bytes() + boxes.machine_bytes() };
        // Pieces that lie in no order are packed for the product.
        let need = (most * node.dtype.bytes()) as u64 + made(&a) + made(&b) + a.most_bytes() + b.most_bytes();
        let (tasks, dtype) = (grid.iter().product(), node.dtype);
        let product = Product { a, b, is_added: onto.is_some() };
        let op = move |_: &TaskContext<'_>, index, inputs: &mut Inputs<'_>| with_lane!(dtype, T => product.block::<T>(index, inputs));
        let op = Each::new(op).kind(NdBlock::kind()).need(need);
        let layer: LayerRef<NdBlock> =
            lowering.gated(node.member, |draft| draft.regular(meta(node), tasks, reads, op))?;
        Ok(layer.layer())
    }
}

struct Product {
    a: Boxes,
    b: Boxes,
    /// Whether the products are added to a block, which is the last input.
    is_added: bool,
}

/// What a task takes of an operand: as it lies in pieces, or made in a block of its own.
enum Operand<'a> {
    Pieces { boxes: &'a Boxes, first_input: usize, segments: Vec<Vec<Range<usize>>> },
    Made(NdBlock),
}

impl<'a> Operand<'a> {
    fn new(boxes: &'a Boxes, index: u32, inputs: &Inputs<'_>, first_input: usize) -> Result<(TaskBox, Operand<'a>)> {
        if boxes.is_readable() {
            let block = boxes.block(index, inputs, first_input)?;
            let segments = boxes.segments(&block);
            return Ok((block, Operand::Pieces { boxes, first_input, segments }));
        }
        let (block, made) = boxes.stored(index, inputs, first_input)?;
        Ok((block, Operand::Made(made)))
    }

    /// The ranges of an axis in which no piece ends.
    fn segments(&self, block: &TaskBox, axis: usize) -> Vec<Range<usize>> {
        match self {
            Operand::Pieces { segments, .. } => segments[axis].clone(),
            Operand::Made(_) => std::iter::once(0..block.shape[axis]).collect(),
        }
    }

    /// A matrix of it: of the last two axes ranges within a piece, of the others a place.
    fn matrix<'m>(
        &'m self,
        block: &TaskBox,
        place: &[usize],
        (rows, columns): (Range<usize>, Range<usize>),
        inputs: &'m Inputs<'_>,
    ) -> Result<Matrix<'m>> {
        let rank = block.shape.len();
        let (data, first, steps): (&Data, i64, Vec<i64>) = match self {
            Operand::Pieces { boxes, first_input, .. } => {
                let cell: Vec<Range<usize>> =
                    place.iter().map(|at| *at..at + 1).chain([rows.clone(), columns.clone()]).collect();
                let (data, walk) = boxes.memory(block, &cell, inputs, *first_input)?;
                (data, walk.first, walk.steps)
            }
            Operand::Made(made) => {
                let steps = strides(&block.shape);
                let all = place.iter().copied().chain([rows.start, columns.start]);
                let first = all.zip(&steps).map(|(at, step)| at as i64 * step).sum();
                (made.data(), first, steps)
            }
        };
        let first = usize::try_from(first).map_err(|_| Error::internal("a matrix before its memory"))?;
        let (rows, columns) = (rows.len(), columns.len());
        Ok(Matrix { data, first, rows, columns, down: steps[rank - 2], along: steps[rank - 1] })
    }
}

impl Product {
    fn block<T: Lane>(&self, index: u32, inputs: &mut Inputs<'_>) -> Result<NdBlock> {
        let sums =
            (self.is_added).then(|| inputs.take::<NdBlock>(self.a.count(index) + self.b.count(index))).transpose()?;
        let inputs = &*inputs;
        let (of_a, a) = Operand::new(&self.a, index, inputs, 0)?;
        let (of_b, b) = Operand::new(&self.b, index, inputs, self.a.count(index))?;
        let rank = of_a.shape.len();
        let (rows, columns) = (of_a.shape[rank - 2], of_b.shape[rank - 1]);
        // Along the axes before, one of both may be stretched.
        let outer: Vec<usize> = (0..rank - 2).map(|axis| of_a.shape[axis].max(of_b.shape[axis])).collect();
        let outer: Vec<usize> = outer
            .iter()
            .enumerate()
            .map(|(axis, len)| if of_a.shape[axis] == 0 || of_b.shape[axis] == 0 { 0 } else { *len })
            .collect();
        let shape: Vec<usize> = std::iter::once(1).chain(outer.iter().copied()).chain([rows, columns]).collect();
        let summed = both(&a.segments(&of_a, rank - 1), &b.segments(&of_b, rank - 2));
        let (down, along) = (short(a.segments(&of_a, rank - 2)), short(b.segments(&of_b, rank - 1)));
        let add = |out: &mut [T]| {
            for (matrix, out) in out.chunks_exact_mut((rows * columns).max(1)).enumerate() {
                let mut rest = matrix;
                let mut place = vec![0; outer.len()];
                for axis in (0..outer.len()).rev() {
                    place[axis] = rest % outer[axis];
                    rest /= outer[axis];
                }
                let of = |block: &TaskBox| -> Vec<usize> {
                    place.iter().zip(&block.shape).map(|(at, len)| if *len == 1 { 0 } else { *at }).collect()
                };
                let (at_a, at_b) = (of(&of_a), of(&of_b));
                for down in &down {
                    for along in &along {
                        let out = &mut out[down.start * columns + along.start..];
                        for sum in &summed {
                            let left = a.matrix(&of_a, &at_a, (down.clone(), sum.clone()), inputs)?;
                            let right = b.matrix(&of_b, &at_b, (sum.clone(), along.clone()), inputs)?;
                            add_product(out, columns, left, right)?;
                        }
                    }
                }
            }
            Ok(())
        };
        match sums {
            Some(mut sums) => {
                add(sums.get_mut::<T>()?)?;
                Ok(sums)
            }
            None => {
                let stored = Block::<T>::try_build::<Error>(shape.iter().product(), |out| {
                    out.fill(T::default());
                    add(out)
                })?;
                NdBlock::new(shape, T::wrap(stored))
            }
        }
    }
}

/// Rows and columns that are multiplied at once: threads that take more get in each other's way in the last level of the cache.
const AT_ONCE: usize = 1024;

/// The ranges in parts of equal lengths that are not too long.
fn short(ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let parts = ranges.into_iter().flat_map(|range| {
        let len = range.len().div_ceil(range.len().div_ceil(AT_ONCE).max(1)).max(1);
        range.clone().step_by(len).map(move |start| start..(start + len).min(range.end))
    });
    parts.collect()
}

/// Ranges in which neither of two lists of ranges ends.
fn both(a: &[Range<usize>], b: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut ends: Vec<usize> = a.iter().chain(b).map(|range| range.end).collect();
    ends.sort_unstable();
    ends.dedup();
    let mut from = 0;
    ends.into_iter().map(|end| std::mem::replace(&mut from, end)..end).filter(|range| !range.is_empty()).collect()
}
