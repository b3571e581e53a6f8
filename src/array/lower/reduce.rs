//! Reductions: each block leaves something, which is put together in a tree of fixed shape. Reductions of one array over the same axes
//! are done in one pass.

use std::sync::Arc;

use hashbrown::HashMap;

use super::super::kernels::{Fold, Place, Target, Walk, Work};
use super::super::optimize::Plan;
use super::super::plan::{Cuts, Op, coords, strides};
use super::boxes::Boxes;
use super::fuse::{LeafSource, Section};
use super::recut::Cut;
use super::{Lowering, meta};
use crate::error::{Error, Result};
use crate::graph::{Each, Grid, GridAxis, Inputs, LayerRef, Pattern, TaskContext};
use crate::plan::RegionLowering;
use crate::store::{NdBlock, NdLists, lists_kind};

/// How many blocks along an axis are put together at once, where one axis is reduced.
const FAN: u32 = 16;
/// Where several are.
const FAN_EACH: u32 = 4;
/// Fewer where what is kept of as many would take more than this; two are always. They are put together in the memory of the first, so that more at
/// once only saves tasks, which matters where they are small.
const TOGETHER_BYTES: u64 = 1 << 20;

/// Where about as much is kept of a block as it has elements, as many blocks are reduced in one task, if so many tasks are left.
const TOGETHER: usize = 4;
const LEAST_TASKS: u32 = 64;

/// Bytes of a block that a task reduces; larger ones are taken apart, for nobody sees them.
const PIECE_BYTES: usize = 16 << 20;

/// So many pieces are made of what lies in memory, unless they would be larger than others, or smaller than this.
const PIECES: usize = 64;
const LEAST_PIECE_BYTES: usize = 1 << 20;
/// So many elements at least become one in each piece, if there are as many; below this nothing is cut anew, for what is left is large.
const REDUCED: usize = 32;
const LEAST_REDUCED: usize = 16;
/// Shorter runs are not read for the sake of fewer places.
const LEAST_RUN: usize = 64;

/// Reductions of one array over the same axes.
pub(super) struct Group {
    input: usize,
    axes: Arc<[usize]>,
    split_every: Option<u32>,
    members: Vec<(usize, Arc<dyn Fold>)>,
    /// The layer of what they keep, once it is there, and the cuts of its blocks.
    made: Option<(u32, Arc<[Cuts]>)>,
}

/// Reductions that are done in one pass.
pub(super) struct Groups {
    all: Vec<Group>,
    /// By node its group, and which of its members it is.
    places: HashMap<usize, (usize, usize)>,
}

impl Groups {
    /// The first of the reductions that are done in one pass with a node; of all else the node itself.
    pub fn pass_of(&self, at: usize) -> usize {
        let first = self.places.get(&at).and_then(|(group, _)| self.all[*group].members.first());
        first.map_or(at, |(first, _)| *first)
    }
}

pub(super) fn groups(plan: &Plan) -> Groups {
    let (mut all, mut places, mut known) = (Vec::<Group>::new(), HashMap::new(), HashMap::new());
    let needed = plan.needed();
    for (at, node) in plan.nodes.iter().enumerate().filter(|(at, _)| needed[*at]) {
        let Op::Reduce(reduce) = &node.op else { continue };
        let key = (node.inputs[0], reduce.axes.clone(), reduce.split_every, node.gate);
        let group = *known.entry(key).or_insert_with(|| {
            let (input, axes, split_every) = (node.inputs[0], reduce.axes.clone(), reduce.split_every);
            all.push(Group { input, axes, split_every, members: Vec::new(), made: None });
            all.len() - 1
        });
        places.insert(at, (group, all[group].members.len()));
        all[group].members.push((at, reduce.fold.clone()));
    }
    Groups { all, places }
}

impl Lowering {
    pub(super) fn reduce(&mut self, at: usize, lowering: &mut RegionLowering<'_, '_>) -> Result<u32> {
        let (group, member) =
            self.groups.places.get(&at).copied().ok_or_else(|| Error::internal("a reduction without a group"))?;
        if self.groups.all[group].made.is_none() {
            let made = self.keep(at, group, lowering)?;
            self.groups.all[group].made = Some(made);
        }
        let group = &self.groups.all[group];
        let (Some((kept, cuts)), node) = (&group.made, &self.plan.nodes[at]) else {
            return Err(Error::internal("a reduction that kept nothing"));
        };
        let (reduction, tasks) = (group.members[member].1.clone(), cuts.iter().map(Cuts::blocks).product());
        let own_cuts = cuts.clone();
        let finish = move |_: &TaskContext<'_>, index, inputs: &mut Inputs<'_>| {
            let kept = inputs.get::<NdLists>(0)?;
            let own = kept.get(member).ok_or_else(|| Error::internal("a reduction that kept nothing"))?;
            reduction.finish(own, &left_shape(&own_cuts, index, own))
        };
        // Sixteen bytes for the widest number, and as many while it is made of a wider one.
        let op = Each::new(finish).kind(NdBlock::kind()).need(32 * left(cuts, &group.axes));
        let reads = vec![crate::graph::Input { layer: *kept, pattern: Pattern::OneToOne }];
        let layer: LayerRef<NdBlock> = lowering.draft().regular(meta(node), tasks, reads, op)?;
        // What is left in the blocks that were reduced, as blocks of the result.
        let own = |(axis, (made, wanted)): (usize, (&Cuts, &Cuts))| match group.axes.contains(&axis) {
            true => wanted.clone(),
            false => made.clone(),
        };
        let made: Arc<[Cuts]> = cuts.iter().zip(node.cuts.iter()).enumerate().map(own).collect();
        if made.len() != node.cuts.len() || made[..] == node.cuts[..] {
            return Ok(layer.layer());
        }
        let wanted = node.cuts.clone();
        self.recut(at, &Cut { layer: layer.layer(), cuts: made }, wanted, lowering).map(|cut| cut.layer)
    }

    /// The layers of what is kept of blocks, down to one along each axis that is reduced.
    fn keep(&mut self, at: usize, group: usize, lowering: &mut RegionLowering<'_, '_>) -> Result<(u32, Arc<[Cuts]>)> {
        let group = &self.groups.all[group];
        let input = &self.plan.nodes[group.input];
        let is_direct = self.is_layer[group.input];
        let sections = self.sections_or_read(group.input)?;
        let bytes = input.dtype.bytes();
        let kept_of = |places: u64| group.members.iter().map(|(_, fold)| fold.kept_bytes(places)).sum::<u64>();
        let runs = if lies_by_rows(&sections) { runs(&input.cuts, &group.axes, bytes, kept_of(1)) } else { None };
        let cuts = match runs {
            Some(runs) => runs,
            None => {
                let cuts = if is_direct { input.cuts.clone() } else { refined(&input.cuts, &group.axes, bytes) };
                let kept = kept_of(left(&cuts, &group.axes));
                together(cuts, &group.axes, bytes, kept)
            }
        };
        let (axes, members, split_every) = (group.axes.clone(), group.members.clone(), group.split_every);
        let (boxes, reads) = self.block_boxes(sections, &cuts, true, lowering)?;
        let node = &self.plan.nodes[at];
        let reductions: Vec<Arc<dyn Fold>> = members.into_iter().map(|(_, fold)| fold).collect();
        let tasks = boxes.tasks();
        let kept_bytes: u64 = reductions.iter().map(|reduction| reduction.kept_bytes(left(&cuts, &axes))).sum();
        let need = kept_bytes + boxes.machine_bytes();
        let (first, own_axes, own_cuts) = (reductions.clone(), axes.clone(), cuts.clone());
        let op = move |_: &TaskContext<'_>, index, inputs: &mut Inputs<'_>| {
            block(&boxes, &own_cuts, (&first, &own_axes), index, inputs)
        };
        let op = Each::<_, NdLists>::new(op).kind(lists_kind()).need(need);
        let layer_meta = meta(node);
        let mut layer: LayerRef<NdLists> =
            lowering.gated(node.member, |draft| draft.regular(layer_meta.clone(), tasks, reads, op))?;
        // So many along an axis, and in all.
        let (fan, most) = split_every.map_or_else(
            || {
                let most = u32::try_from(TOGETHER_BYTES / kept_bytes.max(1)).unwrap_or(u32::MAX).max(2);
                (if axes.len() > 1 { FAN_EACH } else { FAN }, most)
            },
            |count| (count, count),
        );
        let mut grid: Vec<u32> = cuts.iter().map(Cuts::blocks).collect();
        while axes.iter().any(|axis| grid[*axis] > 1) {
            let (mut fans, mut room) = (vec![1; grid.len()], most);
            for axis in axes.iter().rev() {
                fans[*axis] = grid[*axis].min(fan).min(room).max(1);
                room /= fans[*axis];
            }
            let above: Vec<u32> = grid.iter().zip(&fans).map(|(len, fan)| len.div_ceil(*fan)).collect();
            let below = grid.iter().enumerate().map(|(axis, len)| match fans[axis] {
                1 => GridAxis::same(*len, axis),
                fan => {
                    let spans = (0..above[axis]).map(|at| (at * fan, (at * fan + fan).min(*len))).collect();
                    GridAxis::spans(*len, axis, 0, spans)
                }
            });
            let pattern = Pattern::Grid(Arc::new(Grid::new(above.clone(), below.collect())));
            let all = reductions.clone();
            let merge = move |_: &TaskContext<'_>, _, inputs: &mut Inputs<'_>| {
                let mut kept: NdLists = inputs.take(0)?;
                for at in 1..inputs.len() {
                    let other = inputs.get::<NdLists>(at)?;
                    for ((reduction, kept), other) in all.iter().zip(&mut kept).zip(other) {
                        reduction.merge(kept, other)?;
                    }
                }
                Ok(kept)
            };
            let op = Each::<_, NdLists>::new(merge).kind(lists_kind()).need(kept_bytes);
            layer =
                lowering.draft().regular(layer_meta.clone(), above.iter().product(), vec![layer.read(pattern)], op)?;
            grid = above;
        }
        let cuts = cuts
            .iter()
            .enumerate()
            .map(|(axis, cuts)| if axes.contains(&axis) { Cuts::whole(1) } else { cuts.clone() });
        Ok((layer.layer(), cuts.collect()))
    }
}

/// How many places are left of the largest block.
fn left(cuts: &[Cuts], axes: &[usize]) -> u64 {
    let most = cuts.iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, cuts)| cuts.most());
    most.map(|most| most.unwrap_or(1) as u64).product()
}

/// The shape of what is left of a block, with length 1 along what is gone.
fn left_shape(cuts: &[Cuts], index: u32, kept: &[NdBlock]) -> Vec<usize> {
    let at = coords(index, cuts.iter().map(Cuts::blocks));
    let known = cuts.iter().zip(at).map(|(cuts, at)| {
        let cuts = cuts.known()?;
        Some(cuts[at as usize + 1] - cuts[at as usize])
    });
    // Lengths that are not known are those of what is kept.
    let known: Option<Vec<usize>> = known.collect();
    known.unwrap_or_else(|| kept.first().map(|block| block.shape().to_vec()).unwrap_or_default())
}

/// What a task keeps of its block.
pub(super) fn block(
    boxes: &Boxes,
    cuts: &[Cuts],
    (reductions, axes): (&[Arc<dyn Fold>], &[usize]),
    index: u32,
    inputs: &Inputs<'_>,
) -> Result<NdLists> {
    let block = boxes.block(index, inputs, 0)?;
    let left: Vec<usize> =
        block.shape.iter().enumerate().map(|(axis, len)| if axes.contains(&axis) { 1 } else { *len }).collect();
    let places = left.iter().product();
    let mut steps = strides(&left);
    axes.iter().for_each(|axis| steps[*axis] = 0);
    // The number of an element along what is reduced: of one axis its place there, of several the place among all of them by rows.
    let mut numbers = vec![0i64; block.shape.len()];
    let (mut stride, mut first) = (1i64, 0i64);
    for axis in axes.iter().rev() {
        numbers[*axis] = stride;
        first += stride * block.starts[*axis] as i64;
        stride *= cuts[*axis].len().unwrap_or(1) as i64;
    }
    let targets = [Walk { first: 0, steps }, Walk { first, steps: numbers }];
    let mut works: Vec<Box<dyn Work>> = reductions.iter().map(|reduction| reduction.start(places)).collect();
    boxes.run(&block, inputs, 0, &targets, &mut |machine, tile, at: &[Place]| {
        let [(place, down, along), number] = [at[0], at[1]];
        let target = Target { first: place as usize, down: down as usize, along: along as usize, number };
        works.iter_mut().try_for_each(|work| work.add(machine, tile, target))
    })?;
    works.into_iter().map(|work| work.finish(&left)).collect()
}

/// Whether all that a region reads lies in memory by rows, or is made of places: it may be read in any pieces.
fn lies_by_rows(sections: &[Section]) -> bool {
    sections.iter().flat_map(|section| &section.fused.leaves).all(|leaf| {
        let anywhere = matches!(leaf.source, LeafSource::Memory(_) | LeafSource::Made(_));
        anywhere && leaf.view.axes.iter().filter_map(|axis| axis.of).is_sorted()
    })
}

/// Cuts of what is reduced, into rows one behind another as they lie: memory is read fastest in long runs, and numbers are made fastest so.
/// Where some axes are left, of so many places that what is kept of a piece, `kept` bytes of each, is small beside it. Pieces are smaller where
/// there would be few.
fn runs(cuts: &[Cuts], axes: &[usize], bytes: usize, kept: u64) -> Option<Arc<[Cuts]>> {
    let lens: Vec<usize> = cuts.iter().map(Cuts::len).collect::<Option<_>>()?;
    let all = lens.iter().try_fold(bytes, |all, len| all.checked_mul(*len)).filter(|all| *all > 0)?;
    let piece = (all / PIECES).clamp(LEAST_PIECE_BYTES, PIECE_BYTES);
    let mut room = (piece / bytes).max(1);
    let reduced: usize = axes.iter().map(|axis| lens[*axis]).product();
    let is_all = axes.len() == lens.len();
    if !is_all && reduced < LEAST_REDUCED {
        return None;
    }
    let mut places = (room / reduced.min(REDUCED)).min(usize::try_from(piece as u64 / (4 * kept.max(1))).ok()?).max(1);
    let mut runs: Vec<Cuts> = Vec::with_capacity(lens.len());
    for (axis, len) in lens.iter().enumerate().rev() {
        let is_left = !axes.contains(&axis);
        let most = len.div_ceil(len.div_ceil(if is_left { room.min(places) } else { room }));
        if is_left && runs.is_empty() && most < LEAST_RUN.min(*len) {
            return None;
        }
        runs.push(Cuts::even(*len, most));
        room = (room / most).max(1);
        if is_left {
            places = (places / most).max(1);
        }
    }
    runs.reverse();
    Some(runs.into())
}

/// The cuts with blocks of more than so many bytes taken apart along the axes that are reduced.
fn refined(cuts: &Arc<[Cuts]>, axes: &[usize], bytes: usize) -> Arc<[Cuts]> {
    let most: Option<usize> = cuts.iter().map(Cuts::most).try_fold(bytes, |all, most| all.checked_mul(most?.max(1)));
    let Some(mut all) = most.filter(|all| *all > PIECE_BYTES) else { return cuts.clone() };
    let mut finer = cuts.to_vec();
    for axis in axes {
        let (Some(known), Some(most)) = (cuts[*axis].known(), cuts[*axis].most()) else { continue };
        let parts = all.div_ceil(PIECE_BYTES).clamp(1, most.max(1));
        if parts > 1 {
            all = all.div_ceil(parts);
            let len = most.div_ceil(parts);
            let starts = known.windows(2).flat_map(|two| (two[0]..two[1]).step_by(len));
            finer[*axis] = Cuts::Known(starts.chain(known.last().copied()).collect());
        }
    }
    finer.into()
}

/// The cuts with some blocks reduced together along an axis, where what is kept of a block is about as large as it is: to write that for each,
/// and to read it again, would take longer than to reduce.
fn together(cuts: Arc<[Cuts]>, axes: &[usize], bytes: usize, kept: u64) -> Arc<[Cuts]> {
    let most: Option<usize> = cuts.iter().map(Cuts::most).try_fold(bytes, |all, most| all.checked_mul(most?));
    let tasks = cuts.iter().map(Cuts::blocks).try_fold(1u32, u32::checked_mul);
    let (Some(most), Some(tasks)) = (most.filter(|most| *most > 0), tasks) else { return cuts };
    let Some(axis) = axes.iter().rev().copied().find(|axis| cuts[*axis].blocks() > 1) else { return cuts };
    let count = TOGETHER.min(PIECE_BYTES / most).min((tasks / LEAST_TASKS) as usize);
    let Some(known) = cuts[axis].known().filter(|_| count > 1 && kept >= most as u64 / 4) else { return cuts.clone() };
    let mut coarser: Vec<usize> = known.iter().copied().step_by(count).collect();
    if !(known.len() - 1).is_multiple_of(count) {
        coarser.extend(known.last());
    }
    let mut all = cuts.to_vec();
    all[axis] = Cuts::Known(coarser.into());
    all.into()
}
