//! Running sums and products: the total of each block first, what has run up before each block of these, and then the blocks themselves.

use std::sync::Arc;

use super::super::kernels::{Fold, Line, Running, Walk, scan_tile};
use super::super::plan::{Cuts, Taken, strides};
use super::boxes::Boxes;
use super::{Lowering, meta, reduce};
use crate::error::{Error, Result};
use crate::graph::{Each, Inputs, LayerRef, TaskContext};
use crate::plan::RegionLowering;
use crate::store::{Block, DType, Data, NdBlock};

impl Lowering {
    /// Of each block what a fold makes of it.
    pub(super) fn totals(
        &mut self,
        at: usize,
        (fold, axes): (&Arc<dyn Fold>, &Arc<[usize]>),
        lowering: &mut RegionLowering<'_, '_>,
    ) -> Result<u32> {
        let node = &self.plan.nodes[at];
        let cuts = self.plan.nodes[node.inputs[0]].cuts.clone();
        let (boxes, reads) = self.block_boxes(self.sections_or_read(node.inputs[0])?, &cuts, true, lowering)?;
        let (node, tasks) = (&self.plan.nodes[at], boxes.tasks());
        let left = cuts.iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, cuts)| cuts.most());
        let left: u64 = left.map(|most| most.unwrap_or(1) as u64).product();
        let need = 2 * fold.kept_bytes(left) + boxes.machine_bytes();
        let (folds, axes) = (vec![fold.clone()], axes.clone());
        let op = move |_: &TaskContext<'_>, index, inputs: &mut Inputs<'_>| {
            let kept = reduce::block(&boxes, &cuts, (&folds, &axes), index, inputs)?;
            let kept = kept.first().ok_or_else(|| Error::internal("a reduction that kept nothing"))?;
            let mut shape = boxes.block(index, inputs, 0)?.shape;
            axes.iter().for_each(|axis| shape[*axis] = 1);
            folds[0].finish(kept, &shape)
        };
        let op = Each::new(op).kind(NdBlock::kind()).need(need);
        let layer: LayerRef<NdBlock> =
            lowering.gated(node.member, |draft| draft.regular(meta(node), tasks, reads, op))?;
        Ok(layer.layer())
    }

    /// Blocks in which values run on along an axis, from what has run up before them if there is another input that says so.
    pub(super) fn scan(
        &mut self,
        at: usize,
        (axis, product): (usize, bool),
        lowering: &mut RegionLowering<'_, '_>,
    ) -> Result<u32> {
        let (cuts, given) = (self.plan.nodes[at].cuts.clone(), self.plan.nodes[at].inputs.clone());
        let (boxes, mut reads) = self.block_boxes(self.sections_or_read(given[0])?, &cuts, false, lowering)?;
        let mut need = boxes.most_bytes() + boxes.machine_bytes();
        let before = match given.get(1) {
            Some(before) => {
                // What the block before has run up to; nothing before the first.
                let takes = cuts.iter().enumerate().map(|(of, cuts)| match of == axis {
                    true => Taken::ranges(axis, (0..cuts.blocks() as usize).map(|at| (at.saturating_sub(1), at))),
                    false => Taken::blocks(of, cuts),
                });
                let grid = cuts.iter().map(Cuts::blocks).collect();
                let before = Boxes::new(self.sections_or_read(*before)?, takes.collect(), grid)?;
                reads.extend(self.reads(&before)?);
                need += before.most_bytes() + before.machine_bytes();
                Some(before)
            }
            None => None,
        };
        let node = &self.plan.nodes[at];
        let (tasks, dtype) = (boxes.tasks(), node.dtype);
        let op = move |_: &TaskContext<'_>, index, inputs: &mut Inputs<'_>| {
            let run = Run { boxes: &boxes, before: before.as_ref(), axis, product };
            match dtype {
                DType::I64 => run.stored::<i64>(index, inputs),
                DType::U64 => run.stored::<u64>(index, inputs),
                DType::F32 => run.stored::<f32>(index, inputs),
                DType::F64 => run.stored::<f64>(index, inputs),
                DType::C32 => run.stored::<num_complex::Complex<f32>>(index, inputs),
                DType::C64 => run.stored::<num_complex::Complex<f64>>(index, inputs),
                other => Err(Error::internal(format!("running sums of {other}"))),
            }
        };
        let op = Each::new(op).kind(NdBlock::kind()).need(need);
        let layer: LayerRef<NdBlock> =
            lowering.gated(node.member, |draft| draft.regular(meta(node), tasks, reads, op))?;
        Ok(layer.layer())
    }
}

struct Run<'a> {
    boxes: &'a Boxes,
    before: Option<&'a Boxes>,
    axis: usize,
    product: bool,
}

impl Run<'_> {
    fn stored<T: Running>(&self, index: u32, inputs: &Inputs<'_>) -> Result<NdBlock> {
        let block = self.boxes.block(index, inputs, 0)?;
        let before = match self.before {
            Some(before) if block.coords[self.axis] > 0 => {
                Some(before.stored(index, inputs, self.boxes.count(index))?.1)
            }
            _ => None,
        };
        let before = match &before {
            Some(before) => Some(&before.get::<T>()?[..]),
            None => None,
        };
        let steps = strides(&block.shape);
        let line = Line {
            stride: steps[self.axis].max(1) as usize,
            len: block.shape[self.axis].max(1),
            product: self.product,
        };
        let target = [Walk { first: 0, steps }];
        let stored = Block::<T>::try_build::<Error>(block.shape.iter().product(), |out| {
            self.boxes.run(&block, inputs, 0, &target, &mut |machine, tile, places| {
                scan_tile(line, machine.output::<T>(tile.rows * tile.columns)?, tile, places[0], before, out)
            })
        })?;
        let data: Data = T::wrap(stored);
        NdBlock::new(block.shape, data)
    }
}
