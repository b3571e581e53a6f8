//! Where the elements of a task's box come from: which pieces it reads, and where in them each part of the box lies.

use std::ops::Range;
use std::sync::Arc;

use super::super::kernels::{Bound, Lane, Machine, Place, Tile, Walk, register_bytes, run_box, with_lane};
use super::super::plan::{AxisMap, Cuts, Taken, coords, strides};
use super::fuse::{Fused, Leaf, LeafSource, Section};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Grid, GridAxis, Inputs, Pattern};
use crate::store::{DType, Data, NdBlock};

/// A fused region over a grid of tasks, each of which takes a box of it.
pub(super) struct Boxes {
    /// The region; in several sections where other arrays stand at other places.
    parts: Vec<Part>,
    /// What tasks take along each axis of the region.
    axes: Vec<Taken>,
    /// Lengths of the axes of the grid of tasks.
    grid: Vec<u32>,
    tasks: u32,
    dtype: DType,
}

/// A section of the region.
struct Part {
    fused: Fused,
    /// Which places of the region it has.
    within: Vec<Range<usize>>,
    /// Of each leaf that is read from a layer, in their order: which pieces.
    reads: Vec<Reads>,
}

struct Reads {
    leaf: usize,
    axes: Vec<GridAxis>,
}

/// What is done with a tile: the machine that made it, and where it is in each target.
pub(super) type Take<'t> = dyn FnMut(&Machine<'_, '_>, Tile, &[Place]) -> Result<()> + 't;

/// The box that a task takes.
pub(super) struct Block {
    /// Where the task stands on its grid.
    pub coords: Vec<u32>,
    /// Where the box begins; 0 along axes of unknown lengths.
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
fn grid_axis(axis: &AxisMap, source: &Cuts, taken: &[Taken], within: &[Range<usize>]) -> Result<GridAxis> {
    let len = source.blocks();
    let Some(of) = axis.of else {
        let block = source.known().map_or(0, |cuts| block_of(cuts, axis.start));
        return Ok(GridAxis::fixed(len, block..block + 1));
    };
    let (taken, within) = (&taken[of], &within[of]);
    // Blocks as they are, those without elements too.
    let is_whole = taken.most().is_none() || source.len().is_some_and(|len| *within == (0..len));
    if let Some(by) = taken.by()
        && is_whole
        && (axis.start, axis.step) == (0, 1)
        && taken.takes_blocks(source)
    {
        return Ok(GridAxis::same(len, by));
    }
    let ranges = match (source, taken.known()) {
        (Cuts::Known(_), Some(ranges)) => ranges,
        (Cuts::Unknown(blocks), None) if *blocks == taken.places() && (axis.start, axis.step) == (0, 1) => {
            return Ok(match taken.by() {
                Some(by) => GridAxis::same(len, by),
                None => GridAxis::fixed(len, 0..len),
            });
        }
        _ => return Err(Error::internal("an axis of unknown length is looked at in another way than block by block")),
    };
    let cuts = source.known().unwrap_or(&[]);
    let (mut from, mut spans) = (None, Vec::new());
    for (place, range) in ranges.enumerate() {
        let (start, end) = (range.start.max(within.start), range.end.min(within.end));
        // A box without elements reads what stands at its place, where it stands in the section.
        let is_inside = start < end || (range.is_empty() && (within.start..=within.end).contains(&range.start));
        if !is_inside {
            continue;
        }
        from.get_or_insert(place as u32);
        let (first, last) = (axis.at(start), axis.at(end.max(start + 1) - 1));
        spans.push((block_of(cuts, first.min(last)), block_of(cuts, first.max(last)) + 1));
    }
    Ok(match taken.by() {
        Some(by) => GridAxis::spans(len, by, from.unwrap_or(0), spans),
        None => {
            let span = spans.first().copied().unwrap_or((0, 1));
            GridAxis::fixed(len, span.0..span.1)
        }
    })
}

impl Boxes {
    /// A region whose tasks make blocks with these cuts.
    ///
    /// # Errors
    /// Of kind `Internal`, where views do not fit; of kind `Plan`, where there are too many tasks.
    pub fn blocks(sections: Vec<Section>, cuts: &[Cuts]) -> Result<Boxes> {
        let axes = cuts.iter().enumerate().map(|(axis, cuts)| Taken::blocks(axis, cuts)).collect();
        Boxes::new(sections, axes, cuts.iter().map(Cuts::blocks).collect())
    }

    /// A region of which the tasks of a grid take boxes.
    ///
    /// # Errors
    /// As [`Boxes::blocks`].
    pub fn new(sections: Vec<Section>, axes: Vec<Taken>, grid: Vec<u32>) -> Result<Boxes> {
        let dtype = sections.first().map(|section| section.fused.program.outputs[0].1);
        let dtype = dtype.ok_or_else(|| Error::internal("a region without a program"))?;
        let mut parts = Vec::with_capacity(sections.len());
        for Section { fused, within } in sections {
            let mut reads = Vec::new();
            for (at, leaf) in fused.leaves.iter().enumerate() {
                if let LeafSource::Piece(_) | LeafSource::Layer(_) = leaf.source {
                    let of_leaf = leaf.view.axes.iter().zip(leaf.cuts.iter());
                    let of_leaf = of_leaf.map(|(axis, source)| grid_axis(axis, source, &axes, &within));
                    reads.push(Reads { leaf: at, axes: of_leaf.collect::<Result<_>>()? });
                }
            }
            parts.push(Part { fused, within, reads });
        }
        let tasks = grid.iter().try_fold(1u32, |tasks, len| tasks.checked_mul(*len));
        let Some(tasks) = tasks else {
            let text = "an array of so many elements needs more tasks than can be: reduce a part of it at a time";
            return Err(Error::new(ErrorKind::Plan, text));
        };
        Ok(Boxes { parts, axes, grid, tasks, dtype })
    }

    /// Number of tasks.
    pub fn tasks(&self) -> u32 {
        self.tasks
    }

    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Lengths of the axes of the grid of tasks.
    pub fn grid(&self) -> &[u32] {
        &self.grid
    }

    /// What is read, and how.
    pub fn inputs(&self) -> impl Iterator<Item = (&LeafSource, Pattern)> {
        self.parts.iter().flat_map(|part| part.reads.iter().map(move |reads| (part, reads))).map(|(part, reads)| {
            let grid = Grid::new(self.grid.clone(), reads.axes.clone());
            let pattern = if grid.is_identity() { Pattern::OneToOne } else { Pattern::Grid(Arc::new(grid)) };
            (&part.fused.leaves[reads.leaf].source, pattern)
        })
    }

    /// Whether tasks take the blocks of a node as they are, and nothing else.
    pub fn is_plain(&self) -> bool {
        let [part] = &self.parts[..] else { return false };
        let [reads] = &part.reads[..] else { return false };
        let plain = |(at, axis): (usize, &AxisMap)| (axis.of, axis.start, axis.step) == (Some(at), 0, 1);
        let leaf = &part.fused.leaves[reads.leaf];
        let whole = leaf.cuts.iter().zip(&self.axes).all(|(cuts, taken)| taken.takes_blocks(cuts));
        whole
            && self.axes.len() == leaf.cuts.len()
            && part.fused.is_read()
            && leaf.view.axes.iter().enumerate().all(plain)
    }

    /// What the registers of the program take, and a little for the walk over the block.
    pub fn machine_bytes(&self) -> u64 {
        let registers = self.parts.iter().map(|part| part.fused.program.registers).max().unwrap_or(0);
        let leaves = self.parts.iter().flat_map(|part| &part.fused.leaves);
        // Where a leaf is turned, tiles are squares.
        let turned =
            leaves.map(|leaf| leaf.view.axes.iter().filter_map(|axis| axis.of).is_sorted()).any(|by_rows| !by_rows);
        u64::from(registers) * register_bytes(turned) as u64 + (64 << 10)
    }

    /// Elements of the largest box, if that is known.
    pub fn most_elements(&self) -> Option<usize> {
        self.axes.iter().map(Taken::most).try_fold(1usize, |all, most| all.checked_mul(most?))
    }

    /// Bytes of the largest box, as far as that is known.
    pub fn most_bytes(&self) -> u64 {
        self.most_elements().unwrap_or(0) as u64 * self.dtype.bytes() as u64
    }

    /// How many pieces a task reads.
    pub fn count(&self, index: u32) -> usize {
        let coords = coords(index, self.grid.iter().copied());
        self.parts.iter().flat_map(|part| &part.reads).map(|reads| reads.count(&coords)).sum()
    }

    /// The box that a task takes, as far as it is known without its inputs.
    pub fn block(&self, index: u32, inputs: &Inputs<'_>, first_input: usize) -> Result<Block> {
        let coords = coords(index, self.grid.iter().copied());
        let (mut starts, mut shape) = (Vec::with_capacity(self.axes.len()), Vec::with_capacity(self.axes.len()));
        for (axis, taken) in self.axes.iter().enumerate() {
            match taken.range(&coords) {
                Some(range) => {
                    starts.push(range.start);
                    shape.push(range.len());
                }
                None => {
                    starts.push(0);
                    shape.push(self.unknown_len(axis, &coords, inputs, first_input)?);
                }
            }
        }
        Ok(Block { coords, starts, shape })
    }

    /// The length of a block along an axis that is not known before a run, by the pieces that are read.
    fn unknown_len(&self, axis: usize, coords: &[u32], inputs: &Inputs<'_>, first_input: usize) -> Result<usize> {
        let (mut first, mut found) = (first_input, None);
        for (part, reads) in self.parts.iter().flat_map(|part| part.reads.iter().map(move |reads| (part, reads))) {
            let leaf = &part.fused.leaves[reads.leaf];
            let along = (0..leaf.view.axes.len())
                .find(|at| leaf.view.axes[*at].of == Some(axis) && leaf.cuts[*at].known().is_none());
            let count = reads.count(coords);
            if let Some(along) = along.filter(|_| count > 0) {
                let len = inputs.get::<NdBlock>(first)?.shape()[along];
                if *found.get_or_insert(len) != len {
                    let text = format!(
                        "axis {axis}: blocks of {len} and of {} elements do not fit together",
                        found.unwrap_or(0)
                    );
                    return Err(Error::new(ErrorKind::Data, text));
                }
            }
            first += count;
        }
        found.ok_or_else(|| Error::internal("an axis of unknown length without a piece that knows it"))
    }

    /// Runs the program over a box. `targets` are strides over its axes, and where its first element is; `take` is given each tile and
    /// where it is in them. What the task reads for it begins with `first_input`.
    ///
    /// # Errors
    /// What `take` returns.
    pub fn run(
        &self,
        block: &Block,
        inputs: &Inputs<'_>,
        mut first_input: usize,
        targets: &[Walk],
        take: &mut Take<'_>,
    ) -> Result<()> {
        if block.shape.contains(&0) {
            return Ok(());
        }
        for part in &self.parts {
            if let Some(within) = part.of(block) {
                part.run(block, &within, inputs, first_input, targets, take)?;
            }
            first_input += part.reads.iter().map(|reads| reads.count(&block.coords)).sum::<usize>();
        }
        Ok(())
    }

    /// Whether boxes are read as they lie in memory: nothing is computed.
    pub fn is_readable(&self) -> bool {
        match &self.parts[..] {
            [part] => part.fused.is_read() && !matches!(part.fused.leaves[0].source, LeafSource::Made(_)),
            _ => false,
        }
    }

    /// The parts of a box along each axis in which no piece ends, of what [is readable](Boxes::is_readable).
    pub fn segments(&self, block: &Block) -> Vec<Vec<Range<usize>>> {
        let of_axis = |(axis, len): (usize, &usize)| match &self.parts[..] {
            [part] if *len > 0 => part.segments(block, axis, &(0..*len)),
            _ => Vec::new(),
        };
        block.shape.iter().enumerate().map(of_axis).collect()
    }

    /// The memory in which a cell of segments lies, and how.
    ///
    /// # Errors
    /// Of kind `Internal`, where it lies in none.
    pub fn memory<'a>(
        &'a self,
        block: &Block,
        cell: &[Range<usize>],
        inputs: &'a Inputs<'_>,
        first_input: usize,
    ) -> Result<(&'a Data, Walk)> {
        let part = self.parts.first().ok_or_else(|| Error::internal("a region without a program"))?;
        match part.bound(block, cell, inputs, first_input)?.pop() {
            Some((Bound::Memory(data), walk)) => Ok((data, walk)),
            _ => Err(Error::internal("a region that lies in no memory")),
        }
    }

    /// The elements of a box in a block of their own.
    ///
    /// # Errors
    /// What reading gives.
    pub fn stored(&self, index: u32, inputs: &Inputs<'_>, first_input: usize) -> Result<(Block, NdBlock)> {
        let block = self.block(index, inputs, first_input)?;
        let data = with_lane!(self.dtype, T => self.store::<T>(&block, inputs, first_input)?);
        let stored = NdBlock::new(&*block.shape, if self.dtype == DType::Bool { data.into_bools() } else { data })?;
        Ok((block, stored))
    }

    fn store<T: Lane>(&self, block: &Block, inputs: &Inputs<'_>, first_input: usize) -> Result<Data> {
        let target = Walk { first: 0, steps: strides(&block.shape) };
        let stored = crate::store::Block::<T>::try_build(block.shape.iter().product(), |out| {
            self.put(block, inputs, first_input, target, out)
        })?;
        Ok(T::wrap(stored))
    }

    /// Puts the elements of a box where a walk says; along the last axis they lie behind one another.
    ///
    /// # Errors
    /// As [`Boxes::run`].
    pub fn put<T: Lane>(
        &self,
        block: &Block,
        inputs: &Inputs<'_>,
        first_input: usize,
        target: Walk,
        out: &mut [T],
    ) -> Result<()> {
        self.run(block, inputs, first_input, &[target], &mut |machine, tile, places| {
            let values = machine.output::<T>(tile.rows * tile.columns)?;
            let (first, down, _) = places[0];
            for (row, values) in values.chunks_exact(tile.columns).enumerate() {
                let from = (first + row as i64 * down) as usize;
                out[from..from + values.len()].copy_from_slice(values);
            }
            Ok(())
        })
    }
}

impl Part {
    /// The part of a box that lies in this section.
    fn of(&self, block: &Block) -> Option<Vec<Range<usize>>> {
        let axes = self.within.iter().zip(block.starts.iter().zip(&block.shape)).map(|(within, (start, len))| {
            let (from, to) = (within.start.max(*start), within.end.min(start + len));
            (from < to).then(|| from - start..to - start)
        });
        axes.collect()
    }

    fn run(
        &self,
        block: &Block,
        within: &[Range<usize>],
        inputs: &Inputs<'_>,
        first_input: usize,
        targets: &[Walk],
        take: &mut Take<'_>,
    ) -> Result<()> {
        // Within a cell each leaf is read from one piece.
        let segments: Vec<Vec<Range<usize>>> =
            within.iter().enumerate().map(|(axis, within)| self.segments(block, axis, within)).collect();
        let mut at = vec![0usize; segments.len()];
        loop {
            let cell: Vec<Range<usize>> = at.iter().zip(&segments).map(|(at, all)| all[*at].clone()).collect();
            let shape: Vec<usize> = cell.iter().map(ExactSizeIterator::len).collect();
            let leaves = self.bound(block, &cell, inputs, first_input)?;
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

    /// The parts of a range along an axis of a box in which no piece ends.
    fn segments(&self, block: &Block, axis: usize, within: &Range<usize>) -> Vec<Range<usize>> {
        let start = block.starts[axis];
        let mut ends = vec![within.end];
        for reads in &self.reads {
            let leaf = &self.fused.leaves[reads.leaf];
            for (map, source) in leaf.view.axes.iter().zip(leaf.cuts.iter()) {
                if let (Some(of), Some(cuts)) = (map.of, source.known())
                    && of == axis
                {
                    // Those cuts that lie within what is looked at: arrays may have millions.
                    let (first, last) =
                        (map.at(start + within.start), map.at(start + within.end.max(within.start + 1) - 1));
                    let (least, most) = (first.min(last), first.max(last) + 1);
                    let from = cuts.partition_point(|cut| (*cut as i64) < least);
                    let to = cuts.partition_point(|cut| *cut as i64 <= most);
                    for cut in cuts[from..to].iter().filter_map(|cut| map.beyond(*cut as i64)) {
                        let beyond = cut - start as i64;
                        if beyond > within.start as i64 && beyond < within.end as i64 {
                            ends.push(beyond as usize);
                        }
                    }
                }
            }
        }
        ends.sort_unstable();
        ends.dedup();
        let mut from = within.start;
        ends.into_iter().map(|end| std::mem::replace(&mut from, end)..end).collect()
    }

    /// The leaves of a cell.
    fn bound<'a>(
        &'a self,
        block: &Block,
        cell: &[Range<usize>],
        inputs: &'a Inputs<'_>,
        mut first_input: usize,
    ) -> Result<Vec<(Bound<'a>, Walk)>> {
        let mut all = Vec::with_capacity(self.fused.leaves.len());
        let mut reads = self.reads.iter();
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
                LeafSource::Piece(_) | LeafSource::Layer(_) => {
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
        axis.span(axis.by().map_or(0, |by| coords[by]))
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
