//! Where the elements of a block come from: which pieces a task reads, and where in them a box of the block lies.

use std::ops::Range;
use std::sync::Arc;

use super::super::kernels::{Bound, Machine, Place, REGISTER_BYTES, Tile, Walk, run_box};
use super::super::plan::{AxisMap, Cuts, coords, strides};
use super::fuse::{Fused, Leaf, LeafSource};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Grid, GridAxis, Inputs, Pattern};
use crate::store::NdBlock;

/// A fused region over a grid of blocks.
pub(super) struct Boxes {
    fused: Fused,
    /// Of the blocks that tasks make.
    cuts: Arc<[Cuts]>,
    /// Of each leaf that is read from a layer, in their order: which pieces.
    reads: Vec<Reads>,
    tasks: u32,
}

struct Reads {
    leaf: usize,
    axes: Vec<GridAxis>,
}

/// What is done with a tile: the machine that made it, and where it is in each target.
pub(super) type Take<'t> = dyn FnMut(&Machine<'_, '_>, Tile, &[Place]) -> Result<()> + 't;

/// A block that a task makes.
pub(super) struct Block {
    /// Where it stands on the grid.
    pub coords: Vec<u32>,
    /// Where it begins; 0 along axes of unknown lengths.
    pub starts: Vec<usize>,
    pub shape: Vec<usize>,
}

/// The block in which a place lies.
fn block_of(cuts: &[usize], place: i64) -> u32 {
    let last = cuts.last().copied().unwrap_or(0).saturating_sub(1);
    let place = usize::try_from(place).unwrap_or(0).min(last);
    (cuts.partition_point(|cut| *cut <= place).max(1) - 1).min(cuts.len().saturating_sub(2)) as u32
}

/// Which blocks along an axis of what is viewed are read, by the place of the task.
fn grid_axis(axis: &AxisMap, source: &Cuts, out: &[Cuts]) -> Result<GridAxis> {
    let len = source.blocks();
    let Some(of) = axis.of else {
        let block = source.known().map_or(0, |cuts| block_of(cuts, axis.start));
        return Ok(GridAxis::fixed(len, block..block + 1));
    };
    let spans = match (source, &out[of]) {
        (Cuts::Known(cuts), Cuts::Known(blocks)) => {
            let span = |two: &[usize]| {
                let (first, last) = (axis.at(two[0]), axis.at(two[1].max(two[0] + 1) - 1));
                (block_of(cuts, first.min(last)), block_of(cuts, first.max(last)) + 1)
            };
            blocks.windows(2).map(span).collect()
        }
        (Cuts::Unknown(blocks), Cuts::Unknown(out)) if blocks == out && (axis.start, axis.step) == (0, 1) => {
            (0..len).map(|at| (at, at + 1)).collect()
        }
        _ => return Err(Error::internal("an axis of unknown length is looked at in another way than block by block")),
    };
    Ok(GridAxis { len, by: Some(of), spans })
}

impl Boxes {
    /// A region whose tasks make blocks with these cuts.
    ///
    /// # Errors
    /// Of kind `Internal`, where views do not fit.
    pub fn new(fused: Fused, cuts: Arc<[Cuts]>) -> Result<Boxes> {
        let mut reads = Vec::new();
        for (at, leaf) in fused.leaves.iter().enumerate() {
            if let LeafSource::Piece(_) = leaf.source {
                let axes =
                    leaf.view.axes.iter().zip(leaf.cuts.iter()).map(|(axis, source)| grid_axis(axis, source, &cuts));
                reads.push(Reads { leaf: at, axes: axes.collect::<Result<_>>()? });
            }
        }
        let tasks = cuts.iter().try_fold(1u32, |tasks, cuts| tasks.checked_mul(cuts.blocks()));
        let Some(tasks) = tasks else {
            let text = "an array of so many elements needs more tasks than can be: reduce a part of it at a time";
            return Err(Error::new(ErrorKind::Plan, text));
        };
        Ok(Boxes { fused, cuts, reads, tasks })
    }

    pub fn fused(&self) -> &Fused {
        &self.fused
    }

    pub fn cuts(&self) -> &Arc<[Cuts]> {
        &self.cuts
    }

    /// Number of tasks.
    pub fn tasks(&self) -> u32 {
        self.tasks
    }

    /// The nodes that are read, and how.
    pub fn inputs(&self) -> impl Iterator<Item = (usize, Pattern)> {
        let above: Vec<u32> = self.cuts.iter().map(Cuts::blocks).collect();
        self.reads.iter().filter_map(move |reads| {
            let LeafSource::Piece(node) = self.fused.leaves[reads.leaf].source else { return None };
            let grid = Grid::new(above.clone(), reads.axes.clone());
            let pattern = if grid.is_identity() { Pattern::OneToOne } else { Pattern::Grid(Arc::new(grid)) };
            Some((node, pattern))
        })
    }

    /// What the registers of the program take, and a little for the walk over the block.
    pub fn machine_bytes(&self) -> u64 {
        u64::from(self.fused.program.registers) * REGISTER_BYTES as u64 + (64 << 10)
    }

    /// Elements of the largest block, if that is known.
    pub fn most_elements(&self) -> Option<usize> {
        self.cuts.iter().map(Cuts::most).try_fold(1usize, |all, most| all.checked_mul(most?))
    }

    /// The block that a task makes, as far as it is known without its inputs.
    pub fn block(&self, index: u32, inputs: &Inputs<'_>) -> Result<Block> {
        let coords = coords(index, self.cuts.iter().map(Cuts::blocks));
        let (mut starts, mut shape) = (Vec::with_capacity(coords.len()), Vec::with_capacity(coords.len()));
        for (axis, (cuts, at)) in self.cuts.iter().zip(&coords).enumerate() {
            match cuts {
                Cuts::Known(cuts) => {
                    starts.push(cuts[*at as usize]);
                    shape.push(cuts[*at as usize + 1] - cuts[*at as usize]);
                }
                Cuts::Unknown(_) => {
                    starts.push(0);
                    shape.push(self.unknown_len(axis, &coords, inputs)?);
                }
            }
        }
        Ok(Block { coords, starts, shape })
    }

    /// The length of a block along an axis that is not known before a run, by the pieces that are read.
    fn unknown_len(&self, axis: usize, coords: &[u32], inputs: &Inputs<'_>) -> Result<usize> {
        let (mut first, mut found) = (0, None);
        for reads in &self.reads {
            let leaf = &self.fused.leaves[reads.leaf];
            let along = (0..leaf.view.axes.len())
                .find(|at| leaf.view.axes[*at].of == Some(axis) && leaf.cuts[*at].known().is_none());
            if let Some(along) = along {
                let len = inputs.get::<NdBlock>(first)?.shape()[along];
                if *found.get_or_insert(len) != len {
                    let text = format!(
                        "axis {axis}: blocks of {len} and of {} elements do not fit together",
                        found.unwrap_or(0)
                    );
                    return Err(Error::new(ErrorKind::Data, text));
                }
            }
            first += reads.count(coords);
        }
        found.ok_or_else(|| Error::internal("an axis of unknown length without a piece that knows it"))
    }

    /// Runs the program over a block. `targets` are strides over its axes, and where its first element is; `take` is given each tile and
    /// where it is in them.
    ///
    /// # Errors
    /// What `take` returns.
    pub fn run(&self, block: &Block, inputs: &Inputs<'_>, targets: &[Walk], take: &mut Take<'_>) -> Result<()> {
        if block.shape.contains(&0) {
            return Ok(());
        }
        // Within a cell each leaf is read from one piece.
        let segments: Vec<Vec<Range<usize>>> = (0..block.shape.len()).map(|axis| self.segments(block, axis)).collect();
        let mut at = vec![0usize; segments.len()];
        loop {
            let cell: Vec<Range<usize>> = at.iter().zip(&segments).map(|(at, all)| all[*at].clone()).collect();
            let shape: Vec<usize> = cell.iter().map(ExactSizeIterator::len).collect();
            let leaves = self.bound(block, &cell, inputs)?;
            let moved: Vec<Walk> = targets
                .iter()
                .map(|walk| {
                    let behind = walk.steps.iter().zip(&cell).map(|(step, cell)| step * cell.start as i64).sum::<i64>();
                    Walk { first: walk.first + behind, steps: walk.steps.clone() }
                })
                .collect();
            run_box(&self.fused.program, &leaves, &moved, &shape, &mut *take)?;
            let next = (0..at.len()).rev().find(|axis| at[*axis] + 1 < segments[*axis].len());
            let Some(next) = next else { return Ok(()) };
            at[next] += 1;
            at[next + 1..].fill(0);
        }
    }

    /// The parts of an axis of a block in which no piece ends.
    fn segments(&self, block: &Block, axis: usize) -> Vec<Range<usize>> {
        let (start, len) = (block.starts[axis], block.shape[axis]);
        let mut ends = vec![len];
        for reads in &self.reads {
            let leaf = &self.fused.leaves[reads.leaf];
            for (map, source) in leaf.view.axes.iter().zip(leaf.cuts.iter()) {
                if let (Some(of), Some(cuts)) = (map.of, source.known())
                    && of == axis
                {
                    for cut in cuts.iter().map(|cut| *cut as i64) {
                        // The first place that lies beyond the cut.
                        let beyond = match map.step {
                            step if step > 0 => {
                                (cut - map.start).div_euclid(step) + i64::from((cut - map.start).rem_euclid(step) != 0)
                            }
                            0 => continue,
                            step => (map.start - cut).div_euclid(-step) + 1,
                        };
                        let beyond = beyond - start as i64;
                        if beyond > 0 && beyond < len as i64 {
                            ends.push(beyond as usize);
                        }
                    }
                }
            }
        }
        ends.sort_unstable();
        ends.dedup();
        let mut from = 0;
        ends.into_iter().map(|end| std::mem::replace(&mut from, end)..end).collect()
    }

    /// The leaves of a cell.
    fn bound<'a>(
        &'a self,
        block: &Block,
        cell: &[Range<usize>],
        inputs: &'a Inputs<'_>,
    ) -> Result<Vec<(Bound<'a>, Walk)>> {
        let mut all = Vec::with_capacity(self.fused.leaves.len());
        let (mut first_input, mut reads) = (0, self.reads.iter());
        for leaf in &self.fused.leaves {
            // Where the cell begins, along each axis of the source.
            let begins = |axis: &AxisMap| axis.of.map_or(axis.start, |of| axis.at(block.starts[of] + cell[of].start));
            let (bound, first, strides) = match &leaf.source {
                LeafSource::Memory(numbers) => {
                    let strides = strides(numbers.shape());
                    (Bound::Memory(numbers.data()), leaf.first(&strides, begins), strides)
                }
                LeafSource::Made(made) => {
                    let shape: Option<Vec<usize>> = leaf.cuts.iter().map(Cuts::len).collect();
                    let strides =
                        strides(&shape.ok_or_else(|| Error::internal("numbers are made of an unknown shape"))?);
                    (Bound::Made(&**made), leaf.first(&strides, begins), strides)
                }
                LeafSource::Piece(_) => {
                    let reads = reads.next().ok_or_else(|| Error::internal("a leaf that nobody reads"))?;
                    let (piece, piece_starts) = reads.piece(leaf, block, &begins);
                    let piece = inputs.get::<NdBlock>(first_input + piece)?;
                    first_input += reads.count(&block.coords);
                    let strides = strides(piece.shape());
                    let mut starts = piece_starts.iter();
                    let local = |axis: &AxisMap| begins(axis) - starts.next().copied().unwrap_or(0);
                    (Bound::Memory(piece.data()), leaf.first(&strides, local), strides)
                }
            };
            let mut steps = vec![0i64; block.shape.len()];
            for (axis, stride) in leaf.view.axes.iter().zip(&strides) {
                if let Some(of) = axis.of {
                    steps[of] += axis.step * stride;
                }
            }
            all.push((bound, Walk { first, steps }));
        }
        Ok(all)
    }
}

impl Leaf {
    /// Where the first element is, by the places along all axes.
    fn first(&self, strides: &[i64], mut place: impl FnMut(&AxisMap) -> i64) -> i64 {
        self.view.axes.iter().zip(strides).map(|(axis, stride)| place(axis) * stride).sum()
    }
}

impl Reads {
    /// Which blocks along an axis are read.
    fn span(axis: &GridAxis, coords: &[u32]) -> (u32, u32) {
        axis.spans[axis.by.map_or(0, |by| coords[by] as usize)]
    }

    /// How many pieces a task reads.
    fn count(&self, coords: &[u32]) -> usize {
        self.axes.iter().map(|axis| Self::span(axis, coords)).map(|(from, to)| (to - from) as usize).product()
    }

    /// Of the pieces that are read the one in which a cell lies, and where it begins along each axis.
    fn piece(&self, leaf: &Leaf, block: &Block, begins: &dyn Fn(&AxisMap) -> i64) -> (usize, Vec<i64>) {
        let (mut piece, mut starts) = (0, Vec::with_capacity(self.axes.len()));
        for ((axis, map), cuts) in self.axes.iter().zip(&leaf.view.axes).zip(leaf.cuts.iter()) {
            let (from, to) = Self::span(axis, &block.coords);
            let (at, start) = match cuts {
                Cuts::Known(cuts) => {
                    let at = block_of(cuts, begins(map)).clamp(from, to - 1);
                    (at, cuts[at as usize] as i64)
                }
                Cuts::Unknown(_) => (from, 0),
            };
            piece = piece * (to - from) as usize + (at - from) as usize;
            starts.push(start);
        }
        (piece, starts)
    }
}
