//! Blocks that are cut in another way than what reads them, of arrays that do not fit in memory.
//!
//! A task that reads parts of many blocks holds all of them, and each block is read by many tasks: from disk, once for each. Therefore such
//! blocks are taken apart first, into cells that belong to one block and one reader each, which are written once and read once. Where cells would
//! be very small there is a step between: blocks of a shape between both, of which each meets few of either.

use std::sync::Arc;

use super::super::plan::{AxisMap, Cuts, Taken};
use super::boxes::Boxes;
use super::fuse::{self, LeafSource, Section};
use super::{Lowering, meta};
use crate::error::Result;
use crate::graph::{Each, Input, Inputs, LayerRef, TaskContext};
use crate::plan::RegionLowering;
use crate::store::NdBlock;

/// Cells of fewer bytes cost more to keep than to copy: a step between is taken.
const LEAST_CELL_BYTES: u64 = 64 << 10;

/// Bytes of the blocks of such a step, at most this part of the limit and so many.
const STEP_PART: u64 = 16;
const MOST_STEP_BYTES: u64 = 64 << 20;

/// A layer of blocks that others are cut into.
pub(super) struct Recut {
    from: u32,
    cuts: Arc<[Cuts]>,
    layer: u32,
}

/// A layer that has the blocks of a node, and how it is cut.
pub(super) struct Cut {
    pub layer: u32,
    pub cuts: Arc<[Cuts]>,
}

/// What readers take along an axis of what they read.
struct Readers {
    /// Where each begins and ends, in ascending order.
    ends: Vec<usize>,
    /// The longest.
    most: usize,
    /// Whether some reader meets several blocks, and some block several readers.
    meets: (bool, bool),
}

/// What the tasks of a grid take along an axis, as places of what they look at; nothing where they take more than once what is there.
fn readers(map: &AxisMap, axes: &[Taken], known: &[usize]) -> Option<Readers> {
    let mut all: Vec<(usize, usize)> = Vec::new();
    match map.of {
        // The same place for all, which lies in one block.
        None => all.push((0, known.last().copied().unwrap_or(0))),
        Some(of) => {
            for range in axes[of].known()?.filter(|range| !range.is_empty()) {
                let (first, last) = (map.at(range.start), map.at(range.end - 1));
                all.push((first.min(last).max(0) as usize, first.max(last).max(0) as usize + 1));
            }
        }
    }
    all.sort_unstable();
    if all.windows(2).any(|two| two[1].0 < two[0].1) {
        return None;
    }
    let len = known.last().copied().unwrap_or(0);
    let mut readers = Readers { ends: Vec::new(), most: 0, meets: (false, false) };
    for (from, to) in all {
        let cut_within = known.partition_point(|cut| *cut <= from) < known.partition_point(|cut| *cut < to);
        readers.meets.0 |= cut_within;
        readers.most = readers.most.max(to - from);
        readers.ends.extend([from.min(len), to.min(len)]);
    }
    readers.ends.dedup();
    readers.meets.1 = readers.ends.iter().any(|end| known.binary_search(end).is_err());
    Some(readers)
}

impl Lowering {
    /// A region of which the tasks of a grid take boxes, and what they read. Where `in_order` says so, no step between is taken: what rounds
    /// would round in another order, and the bits of the result would depend on the limit.
    pub(super) fn boxes(
        &mut self,
        mut sections: Vec<Section>,
        axes: Vec<Taken>,
        grid: Vec<u32>,
        in_order: bool,
        lowering: &mut RegionLowering<'_, '_>,
    ) -> Result<(Boxes, Vec<Input>)> {
        for leaf in sections.iter_mut().flat_map(|section| &mut section.fused.leaves) {
            if let LeafSource::Piece(node) = leaf.source
                && let Some(cells) = self.cells(node, &leaf.view.axes, &axes, in_order, lowering)?
            {
                (leaf.source, leaf.cuts) = (LeafSource::Layer(cells.layer), cells.cuts);
            }
        }
        let boxes = Boxes::new(sections, axes, grid)?;
        let reads = self.reads(&boxes)?;
        Ok((boxes, reads))
    }

    /// A region whose tasks make blocks with these cuts, and what they read.
    pub(super) fn block_boxes(
        &mut self,
        sections: Vec<Section>,
        cuts: &[Cuts],
        in_order: bool,
        lowering: &mut RegionLowering<'_, '_>,
    ) -> Result<(Boxes, Vec<Input>)> {
        let axes = cuts.iter().enumerate().map(|(axis, cuts)| Taken::blocks(axis, cuts)).collect();
        self.boxes(sections, axes, cuts.iter().map(Cuts::blocks).collect(), in_order, lowering)
    }

    /// The blocks of a node in cells, for readers that would read them several times each; nothing where they may be read as they are.
    fn cells(
        &mut self,
        node: usize,
        maps: &[AxisMap],
        axes: &[Taken],
        in_order: bool,
        lowering: &mut RegionLowering<'_, '_>,
    ) -> Result<Option<Cut>> {
        let bytes = self.bytes(node);
        let (Some(bytes), Some(layer)) = (bytes.filter(|bytes| *bytes > self.limit / 2), self.made[node]) else {
            return Ok(None);
        };
        let element = self.plan.nodes[node].dtype.bytes();
        let mut from = Cut { layer, cuts: self.plan.nodes[node].cuts.clone() };
        for step in [true, false] {
            let known: Option<Vec<&[usize]>> = from.cuts.iter().map(Cuts::known).collect();
            let of_axes =
                known.map(|known| maps.iter().zip(known).map(|(map, known)| readers(map, axes, known)).collect());
            let Some(Some(of_axes)) =
                of_axes.map(|all: Vec<Option<Readers>>| all.into_iter().collect::<Option<Vec<_>>>())
            else {
                return Ok(None);
            };
            let meets = |which: fn(&Readers) -> bool| of_axes.iter().any(which);
            if !meets(|readers| readers.meets.0) || !meets(|readers| readers.meets.1) {
                return Ok((!step).then_some(from));
            }
            let with = |(cuts, readers): (&Cuts, &Readers)| {
                let mut ends = readers.ends.clone();
                ends.insert(0, 0);
                ends.push(cuts.len().unwrap_or(0));
                ends.dedup();
                if ends.len() == 1 { cuts.clone() } else { cuts.united(&Cuts::Known(ends.into())) }
            };
            let cells: Arc<[Cuts]> = from.cuts.iter().zip(&of_axes).map(with).collect();
            let count: u64 = cells.iter().map(|cuts| u64::from(cuts.blocks())).product();
            if step && !in_order && bytes / count.max(1) < LEAST_CELL_BYTES {
                let between = between(&from.cuts, &of_axes, element, self.limit);
                let united: Arc<[Cuts]> =
                    from.cuts.iter().zip(between.iter()).map(|(own, other)| own.united(other)).collect();
                if united[..] != from.cuts[..] && between[..] != from.cuts[..] {
                    let small = self.recut(node, &from, united, lowering)?;
                    from = self.recut(node, &small, between, lowering)?;
                    continue;
                }
            }
            return self.recut(node, &from, cells, lowering).map(Some);
        }
        Ok(None)
    }

    /// Bytes of all blocks of a node, if they are known.
    fn bytes(&self, node: usize) -> Option<u64> {
        let node = &self.plan.nodes[node];
        let bytes = node.dtype.bytes() as u64;
        node.cuts.iter().map(Cuts::len).try_fold(bytes, |all, len| all.checked_mul(len? as u64))
    }

    /// The blocks of a layer of a node's elements, cut anew.
    pub(super) fn recut(
        &mut self,
        node: usize,
        from: &Cut,
        cuts: Arc<[Cuts]>,
        lowering: &mut RegionLowering<'_, '_>,
    ) -> Result<Cut> {
        if let Some(known) = self.recuts.iter().find(|known| known.from == from.layer && known.cuts == cuts) {
            return Ok(Cut { layer: known.layer, cuts });
        }
        let mut sections = fuse::read(&self.plan, node)?;
        for leaf in sections.iter_mut().flat_map(|section| &mut section.fused.leaves) {
            (leaf.source, leaf.cuts) = (LeafSource::Layer(from.layer), from.cuts.clone());
        }
        let boxes = Boxes::blocks(sections, &cuts)?;
        let (reads, tasks) = (self.reads(&boxes)?, boxes.tasks());
        let need = boxes.most_bytes() + boxes.machine_bytes();
        let op = move |_: &TaskContext<'_>, index, inputs: &mut Inputs<'_>| {
            boxes.stored(index, inputs, 0).map(|(_, block)| block)
        };
        let op = Each::new(op).kind(NdBlock::kind()).need(need);
        let layer: LayerRef<NdBlock> = lowering.draft().regular(meta(&self.plan.nodes[node]), tasks, reads, op)?;
        self.recuts.push(Recut { from: from.layer, cuts: cuts.clone(), layer: layer.layer() });
        Ok(Cut { layer: layer.layer(), cuts })
    }
}

/// Blocks of a shape between that of those that are there and that of what readers take.
fn between(from: &[Cuts], readers: &[Readers], element: usize, limit: u64) -> Arc<[Cuts]> {
    let most = (limit / STEP_PART).clamp(1 << 16, MOST_STEP_BYTES) as f64 / element as f64;
    let lens: Vec<f64> = from.iter().map(|cuts| cuts.len().unwrap_or(1).max(1) as f64).collect();
    let mut sides: Vec<f64> = from
        .iter()
        .zip(readers)
        .map(|(cuts, readers)| (cuts.most().unwrap_or(1).max(1) as f64 * readers.most.max(1) as f64).sqrt())
        .collect();
    // As large as they may be, in the same proportions; an axis that is reached leaves its part to the others.
    for _ in 0..sides.len() {
        let open = sides.iter().zip(&lens).filter(|(side, len)| side < len).count();
        let scale = (most / sides.iter().product::<f64>()).powf(1.0 / open.max(1) as f64);
        for (side, len) in sides.iter_mut().zip(&lens) {
            if *side < *len {
                *side = (*side * scale).clamp(1.0, *len);
            }
        }
    }
    from.iter().zip(sides).map(|(cuts, side)| Cuts::even(cuts.len().unwrap_or(0), side.ceil() as usize)).collect()
}
