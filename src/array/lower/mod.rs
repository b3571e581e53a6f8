//! From plans of arrays to layers of tasks.
//!
//! All arrays of a request are planned together. Element-wise work, views, and numbers that are in memory or can be made are fused into
//! what reads them; a layer of its own has only what needs more than the same place: reductions, functions of whole blocks, and what is
//! wanted. What two readers need is made for each of them anew where that is cheap.

mod boxes;
mod fuse;
mod reduce;

use std::collections::HashMap;
use std::sync::Arc;

use super::kernels::{Lane, Walk, with_lane};
use super::optimize::{self, Node, Plan};
use super::plan::{Cuts, Op, UserMap, coords, strides};
use crate::error::{Error, Result, Role};
use crate::graph::{Each, Input, Inputs, LayerRef, Meta, Pattern, TaskContext};
use crate::plan::{Member, PlanOptions, Planned, Region, RegionLowering};
use crate::store::{Block, DType, Data, NdBlock};
use boxes::Boxes;
use reduce::Group;

/// All arrays.
pub(super) struct Arrays;

/// Additions per element from which on a value that several need is made once.
const CHEAP: u32 = 40;

impl Region for Arrays {
    fn name(&self) -> &'static str {
        "arrays"
    }

    fn plan(&self, members: &[Member<'_>], options: &PlanOptions<'_>) -> Result<Box<dyn Planned>> {
        let mut plan = Plan::new(members)?;
        let mut texts = Vec::new();
        if options.explain {
            texts.push(("arrays:".to_string(), plan.text()));
        }
        optimize::optimize(&mut plan, options.is_on);
        if options.explain {
            texts.push(("arrays, optimized:".to_string(), plan.text()));
        }
        let is_layer = layers_of(&plan, (options.is_on)("elementwise"));
        let made = vec![None; plan.nodes.len()];
        let groups = reduce::groups(&plan);
        Ok(Box::new(Lowering { plan, is_layer, made, groups, texts }))
    }
}

/// A planned request.
struct Lowering {
    plan: Plan,
    /// Whether a node has a layer of its own.
    is_layer: Vec<bool>,
    /// The layers of nodes that have some.
    made: Vec<Option<u32>>,
    /// Reductions that are done in one pass; by their place among the groups, and within the group.
    groups: (Vec<Group>, HashMap<usize, (usize, usize)>),
    texts: Vec<(String, String)>,
}

/// Who needs a node.
#[derive(Clone, Copy, PartialEq)]
enum Owner {
    Nobody,
    /// One layer alone.
    One(usize),
    Several,
}

/// Which nodes have layers of their own.
fn layers_of(plan: &Plan, fuses: bool) -> Vec<bool> {
    // What it takes to make an element anew.
    let mut costs = vec![0u32; plan.nodes.len()];
    for (at, node) in plan.nodes.iter().enumerate() {
        let own = match &node.op {
            Op::Memory(_) | Op::Full(_) | Op::Outside | Op::Reduce(..) | Op::Map(_) => 1,
            Op::Made(made) => made.cost,
            Op::Unary(f) => f.cost(),
            Op::Binary(f) => f.cost(),
            Op::Select | Op::Cast => 1,
            Op::View(_) | Op::Rechunk => 0,
        };
        let below = node.inputs.iter().map(|input| match plan.nodes[*input].op {
            Op::Outside | Op::Reduce(..) | Op::Map(_) => 1,
            _ => costs[*input],
        });
        costs[at] = below.fold(own, u32::saturating_add);
    }
    let mut owners = vec![Owner::Nobody; plan.nodes.len()];
    let mut is_layer = vec![false; plan.nodes.len()];
    plan.roots.iter().for_each(|root| is_layer[*root] = true);
    let needed = plan.needed();
    for at in (0..plan.nodes.len()).rev().filter(|at| needed[*at]) {
        let node = &plan.nodes[at];
        let fusible = !matches!(node.op, Op::Outside | Op::Reduce(..) | Op::Map(_));
        let is_source = node.inputs.is_empty();
        if !fusible || (!fuses && !is_source) || (owners[at] == Owner::Several && costs[at] > CHEAP && !is_source) {
            is_layer[at] = true;
        }
        let mine = if is_layer[at] { Owner::One(at) } else { owners[at] };
        for input in &node.inputs {
            // A function of blocks is given them as they are cut.
            is_layer[*input] |= matches!(node.op, Op::Map(_));
            owners[*input] = match owners[*input] {
                Owner::Nobody => mine,
                known if known == mine => known,
                _ => Owner::Several,
            };
        }
    }
    is_layer
}

impl Planned for Lowering {
    fn lower(&mut self, member: u32, lowering: &mut RegionLowering<'_, '_>) -> Result<u32> {
        let root = self.plan.node_of[member as usize];
        let mut needed = vec![false; root + 1];
        needed[root] = true;
        for at in (0..=root).rev() {
            if needed[at] {
                self.plan.nodes[at].inputs.iter().for_each(|input| needed[*input] = true);
            }
        }
        for at in (0..=root).filter(|at| needed[*at]) {
            if self.made[at].is_none() && self.is_layer[at] {
                let made = self.make(at, lowering);
                let node = &self.plan.nodes[at];
                self.made[at] = Some(made.map_err(|error| error.frame(Role::In, node.verb, node.origin))?);
            }
        }
        self.made[root].ok_or_else(|| Error::internal("an array without layers"))
    }

    fn texts(&self) -> Vec<(String, String)> {
        self.texts.clone()
    }
}

impl Lowering {
    fn make(&mut self, at: usize, lowering: &mut RegionLowering<'_, '_>) -> Result<u32> {
        let node = &self.plan.nodes[at];
        match &node.op {
            Op::Outside => lowering.outside(node.member, 0).map(|(layer, _)| layer),
            Op::Reduce(..) => self.reduce(at, lowering),
            Op::Map(map) => self.map_blocks(at, map, lowering),
            _ => self.blocks(at, lowering),
        }
    }

    /// The region that gives the elements of nodes, in blocks with these cuts.
    fn region(&self, wanted: &[usize], cuts: Arc<[Cuts]>) -> Result<Boxes> {
        let is_layer = |at: usize| self.is_layer[at];
        Boxes::new(fuse::fuse(&self.plan, wanted, cuts.len(), &is_layer)?, cuts)
    }

    /// What the tasks of a region read.
    fn reads(&self, boxes: &Boxes) -> Result<Vec<Input>> {
        let read = |(node, pattern): (usize, Pattern)| {
            let layer = self.made[node].ok_or_else(|| Error::internal("blocks are read before they are made"))?;
            Ok(Input { layer, pattern })
        };
        boxes.inputs().map(read).collect()
    }

    /// The blocks of element-wise work, written out.
    fn blocks(&self, at: usize, lowering: &mut RegionLowering<'_, '_>) -> Result<u32> {
        let node = &self.plan.nodes[at];
        let boxes = self.region(&[at], node.cuts.clone())?;
        let (reads, tasks, dtype) = (self.reads(&boxes)?, boxes.tasks(), node.dtype);
        let need = boxes.most_elements().unwrap_or(0) as u64 * dtype.bytes() as u64 + boxes.machine_bytes();
        let op = move |_: &TaskContext<'_>, index, inputs: &mut Inputs<'_>| {
            let block = boxes.block(index, inputs)?;
            let data = with_lane!(dtype, T => store::<T>(&boxes, &block, inputs)?);
            NdBlock::new(block.shape, if dtype == DType::Bool { data.into_bools() } else { data })
        };
        let op = Each::new(op).kind(NdBlock::kind()).need(need);
        let meta = meta(node);
        let layer: LayerRef<NdBlock> = lowering.gated(node.member, |draft| draft.regular(meta, tasks, reads, op))?;
        Ok(layer.layer())
    }

    /// What a user's function makes of each block.
    fn map_blocks(&self, at: usize, map: &UserMap, lowering: &mut RegionLowering<'_, '_>) -> Result<u32> {
        let node = &self.plan.nodes[at];
        let reads = node.inputs.iter().map(|input| {
            let layer = self.made[*input].ok_or_else(|| Error::internal("blocks are read before they are made"))?;
            Ok(Input { layer, pattern: Pattern::OneToOne })
        });
        let reads: Vec<Input> = reads.collect::<Result<_>>()?;
        let lens: Vec<u32> = node.cuts.iter().map(Cuts::blocks).collect();
        let (function, tasks) = (map.function.clone(), lens.iter().product());
        let op = move |_: &TaskContext<'_>, index, inputs: &mut Inputs<'_>| {
            let given = (0..inputs.len()).map(|at| inputs.take::<NdBlock>(at)).collect::<Result<Vec<_>>>()?;
            function(&given, &coords(index, lens.iter().copied()))
        };
        let op = Each::new(op).kind(NdBlock::kind()).need(map.need);
        let layer: LayerRef<NdBlock> = lowering.draft().regular(meta(node), tasks, reads, op)?;
        Ok(layer.layer())
    }
}

/// The elements of a block.
fn store<T: Lane>(boxes: &Boxes, block: &boxes::Block, inputs: &Inputs<'_>) -> Result<Data> {
    let (register, _) = boxes.fused().program.outputs[0];
    let target = [Walk { first: 0, steps: strides(&block.shape) }];
    let stored = Block::<T>::try_build(block.shape.iter().product(), |out| {
        boxes.run(block, inputs, &target, &mut |machine, tile, places| {
            let values = machine.get::<T>(register, tile.rows * tile.columns)?;
            let (first, down, _) = places[0];
            for (row, values) in values.chunks_exact(tile.columns).enumerate() {
                let from = (first + row as i64 * down) as usize;
                out[from..from + values.len()].copy_from_slice(values);
            }
            Ok(())
        })
    })?;
    Ok(T::wrap(stored))
}

fn meta(node: &Node) -> Meta {
    Meta { name: node.verb.to_string(), verb: node.verb, origin: node.origin }
}
