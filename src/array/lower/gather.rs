//! Places of an axis in any order: which pieces a task reads for its own, and how it puts its block together.

use std::sync::Arc;

use super::super::kernels::{Walk, copy_rows, with_lane};
use super::super::plan::{Cuts, coords, strides};
use super::boxes::{Block as TaskBox, Boxes};
use crate::error::{Error, Result};
use crate::graph::{Csr, Grid, GridAxis, Inputs};
use crate::store::{Block, DType, NdBlock, Stored};

/// Elements at a place, or places of the axis for each that is taken, from which on it pays to make each place by itself.
const RUN_ELEMENTS: usize = 256;

/// Whether places of an axis are better made each by itself than taken from blocks that are made whole.
pub(super) fn takes_runs(cuts: &[Cuts], axis: usize, places: &[usize]) -> bool {
    let most = |axes: &mut dyn Iterator<Item = usize>| axes.filter_map(|axis| cuts[axis].most()).product::<usize>();
    let beside = most(&mut (0..cuts.len()).filter(|at| *at != axis));
    beside >= RUN_ELEMENTS || places.len().saturating_mul(RUN_ELEMENTS) <= cuts[axis].len().unwrap_or(0)
}

/// The blocks of an array that has some places of another along an axis.
pub(super) struct Gather {
    axis: usize,
    places: Arc<[usize]>,
    /// Where the result is cut, and along the axis.
    cuts: Vec<Cuts>,
    to: Arc<[usize]>,
    /// Where what is read is cut along it.
    from: Arc<[usize]>,
    /// For each block along the axis the blocks that are read.
    blocks: Csr,
    /// Lengths of the grid of blocks.
    grid: Vec<u32>,
}

impl Gather {
    /// Along an axis of `from`, as blocks with the cuts of `to`.
    ///
    /// # Errors
    /// Of kind `Internal`, where the length of the axis is not known.
    pub fn new(axis: usize, places: Arc<[usize]>, to: &[Cuts], from: &[Cuts]) -> Result<Gather> {
        let (Cuts::Known(new), Cuts::Known(old)) = (&to[axis], &from[axis]) else {
            return Err(Error::internal("places of an axis of unknown length"));
        };
        let mut blocks = Csr::default();
        for two in new.windows(2) {
            let mut read: Vec<u32> = places[two[0]..two[1]].iter().map(|place| block_of(old, *place)).collect();
            read.sort_unstable();
            read.dedup();
            if read.is_empty() {
                // What there is along the other axes is told by a piece.
                read.push(0);
            }
            blocks.push_row(read);
        }
        let grid = to.iter().map(Cuts::blocks).collect();
        Ok(Gather { axis, places, cuts: to.to_vec(), to: new.clone(), from: old.clone(), blocks, grid })
    }

    /// How tasks read the blocks.
    pub fn grid(&self) -> Grid {
        let below = self.grid.iter().enumerate().map(|(axis, len)| match axis == self.axis {
            true => GridAxis::lists(self.from.len() as u32 - 1, axis, self.blocks.clone()),
            false => GridAxis::same(*len, axis),
        });
        Grid::new(self.grid.clone(), below.collect())
    }

    /// The block of a task, of places that are made by themselves.
    ///
    /// # Errors
    /// What making them gives.
    pub fn made(&self, boxes: &Boxes, index: u32, inputs: &Inputs<'_>) -> Result<NdBlock> {
        let coords = coords(index, self.grid.iter().copied());
        let (mut starts, mut shape) = (Vec::with_capacity(coords.len()), Vec::with_capacity(coords.len()));
        for (cuts, at) in self.cuts.iter().zip(&coords) {
            let known = cuts.known().ok_or_else(|| Error::internal("a source of unknown length"))?;
            starts.push(known[*at as usize]);
            shape.push(known[*at as usize + 1] - known[*at as usize]);
        }
        let (first, len) = (starts[self.axis], shape[self.axis]);
        let data = with_lane!(boxes.dtype(), T => {
            T::wrap(Block::<T>::try_build::<Error>(shape.iter().product(), |out| {
                let steps = strides(&shape);
                let mut done = 0;
                while done < len {
                    // Places that follow each other are one box.
                    let places = &self.places[first + done..first + len];
                    let run = places.iter().enumerate().take_while(|(at, place)| **place == places[0] + at).count();
                    let (mut starts, mut shape) = (starts.clone(), shape.clone());
                    (starts[self.axis], shape[self.axis]) = (places[0], run);
                    let block = TaskBox { coords: coords.clone(), starts, shape };
                    let target = Walk { first: done as i64 * steps[self.axis], steps: steps.clone() };
                    boxes.put::<T>(&block, inputs, 0, target, out)?;
                    done += run;
                }
                Ok(())
            })?)
        });
        NdBlock::new(shape, if boxes.dtype() == DType::Bool { data.into_bools() } else { data })
    }

    /// The block of a task, of pieces that are there.
    ///
    /// # Errors
    /// Of kind `Internal`, where pieces are not those that were asked for.
    pub fn block(&self, index: u32, inputs: &Inputs<'_>) -> Result<NdBlock> {
        let at = coords(index, self.grid.iter().copied())[self.axis];
        let (start, end) = (self.to[at as usize], self.to[at as usize + 1]);
        let read = self.blocks.row(at);
        let mut pieces = Vec::with_capacity(read.len());
        for input in 0..read.len() {
            pieces.push(inputs.get::<NdBlock>(input)?);
        }
        // For each place the piece and where in it.
        let mut rows = Vec::with_capacity(end - start);
        for place in &self.places[start..end] {
            let block = block_of(&self.from, *place);
            let piece = read.binary_search(&block).map_err(|_| Error::internal("a piece that is not read"))?;
            rows.push((piece, place - self.from[block as usize]));
        }
        copy_rows(&pieces, self.axis, &rows)
    }
}

fn block_of(cuts: &[usize], place: usize) -> u32 {
    (cuts.partition_point(|cut| *cut <= place).max(1) - 1).min(cuts.len().saturating_sub(2)) as u32
}
