//! Places of an axis in any order: which pieces a task reads for its own, and how it puts its block together.

use std::sync::Arc;

use super::super::kernels::copy_rows;
use super::super::plan::{Cuts, coords};
use crate::error::{Error, Result};
use crate::graph::{Csr, Grid, GridAxis, Inputs};
use crate::store::NdBlock;

/// The blocks of an array that has some places of another along an axis.
pub(super) struct Gather {
    axis: usize,
    places: Arc<[usize]>,
    /// Where the result is cut along the axis.
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
        Ok(Gather { axis, places, to: new.clone(), from: old.clone(), blocks, grid })
    }

    /// How tasks read the blocks.
    pub fn grid(&self) -> Grid {
        let below = self.grid.iter().enumerate().map(|(axis, len)| match axis == self.axis {
            true => GridAxis::lists(self.from.len() as u32 - 1, axis, self.blocks.clone()),
            false => GridAxis::same(*len, axis),
        });
        Grid::new(self.grid.clone(), below.collect())
    }

    /// The block of a task.
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
