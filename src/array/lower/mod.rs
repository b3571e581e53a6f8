//! From plans of arrays to layers of tasks.
//!
//! All arrays of a request are planned together. Element-wise work, views, and numbers that are in memory or can be made are fused into
//! what reads them; a layer of its own has only what needs more than the same place: reductions, functions of whole blocks, and what is
//! wanted. What two readers need is made for each of them anew where that is cheap.

mod boxes;
mod fuse;
mod gather;
mod product;
mod read;
mod recut;
mod reduce;
mod scan;
mod write;

use std::sync::Arc;

use super::optimize::{self, Node, Plan, costs, is_cheap, is_fusible};
use super::plan::{Cuts, MapOp, Op, TaskPlace, coords};
use crate::error::{Error, Result, Role};
use crate::graph::{Each, Input, Inputs, LayerRef, Meta, Pattern, TaskContext};
use crate::plan::{Member, PlanOptions, Planned, Region, RegionLowering};
use crate::store::NdBlock;
use boxes::Boxes;
use fuse::LeafSource;
use gather::Gather;
use reduce::Groups;

/// All arrays.
pub(super) struct Arrays;

/// Layers that are told apart of those that need one node.
const MOST_OWNERS: usize = 64;

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
        let groups = reduce::groups(&plan);
        let Layers { is_layer, owners } = layers_of(&plan, &groups, (options.is_on)("elementwise"));
        if options.explain {
            let owners: Vec<u32> = owners.iter().map(|owners| owners.len() as u32).collect();
            texts.push((
                "arrays, as they run:".to_string(),
                plan.text_of_layers(&is_layer, &owners, &|at| groups.pass_of(at)),
            ));
        }
        let made = vec![None; plan.nodes.len()];
        Ok(Box::new(Lowering { plan, is_layer, made, groups, recuts: Vec::new(), limit: options.limit_bytes, texts }))
    }
}

/// A planned request.
struct Lowering {
    plan: Plan,
    /// Whether a node has a layer of its own.
    is_layer: Vec<bool>,
    /// The layers of nodes that have some.
    made: Vec<Option<u32>>,
    groups: Groups,
    /// Layers whose blocks are cut anew for their readers.
    recuts: Vec<recut::Recut>,
    /// The memory limit.
    limit: u64,
    texts: Vec<(String, String)>,
}

/// Which nodes have layers of their own, and by node which layers make it or read it.
struct Layers {
    is_layer: Vec<bool>,
    owners: Vec<Vec<usize>>,
}

/// Which nodes have layers of their own.
fn layers_of(plan: &Plan, groups: &Groups, fuses: bool) -> Layers {
    let costs = costs(plan);
    // What is made of sources alone, without a layer.
    let mut is_made = vec![false; plan.nodes.len()];
    for (at, node) in plan.nodes.iter().enumerate() {
        is_made[at] = is_fusible(&node.op) && node.inputs.iter().all(|input| is_made[*input]);
    }
    // Whether several that need it had better read it than make it again.
    let is_dear = |at: usize, readers: usize| {
        !is_cheap(u64::from(costs[at]) * (readers as u64).saturating_sub(1), plan.nodes[at].dtype)
    };
    let mut owners: Vec<Vec<usize>> = vec![Vec::new(); plan.nodes.len()];
    let mut is_layer = vec![false; plan.nodes.len()];
    plan.roots.iter().for_each(|root| is_layer[*root] = true);
    let needed = plan.needed();
    for at in (0..plan.nodes.len()).rev().filter(|at| needed[*at]) {
        let node = &plan.nodes[at];
        let is_source = node.inputs.is_empty();
        if !is_fusible(&node.op) || (!is_source && (!fuses || is_dear(at, owners[at].len()))) {
            is_layer[at] = true;
        }
        // Reductions in one pass make what they read once.
        let mine = if is_layer[at] { vec![groups.pass_of(at)] } else { owners[at].clone() };
        for (number, input) in node.inputs.iter().enumerate() {
            let is_read_whole = match &node.op {
                // What is written is given as it is cut.
                Op::Write(_) => true,
                Op::Take { axis, places } => {
                    !is_made[*input] || !gather::takes_runs(&plan.nodes[*input].cuts, *axis, places)
                }
                // What several tasks take is made once.
                Op::Product(_) => is_dear(*input, 2) || !plan.nodes[*input].inputs.is_empty(),
                Op::Map(map) => {
                    map.takes_again(number) && (is_dear(*input, 2) || !plan.nodes[*input].inputs.is_empty())
                }
                _ => false,
            };
            is_layer[*input] |= is_read_whole;
            for layer in &mine {
                // How many there are is of interest as far as it changes what is done.
                if owners[*input].len() < MOST_OWNERS && !owners[*input].contains(layer) {
                    owners[*input].push(*layer);
                }
            }
        }
    }
    Layers { is_layer, owners }
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
        let op = node.op.clone();
        match &op {
            Op::Outside => lowering.outside(node.member, 0).map(|(layer, _)| layer),
            Op::Read(read) => self.read(at, read, lowering),
            Op::Reduce(..) => self.reduce(at, lowering),
            Op::Totals(fold, axes) => self.totals(at, (fold, axes), lowering),
            Op::Scan { axis, product } => self.scan(at, (*axis, *product), lowering),
            Op::Product(groups) => self.product(at, groups, lowering),
            Op::Map(map) => self.map(at, map, lowering),
            Op::Take { axis, places } => self.take(at, *axis, places, lowering),
            Op::Write(write) => self.write(at, write, lowering),
            _ => self.blocks(at, lowering),
        }
    }

    /// The programs that give the elements of a node.
    fn sections(&self, at: usize) -> Result<Vec<fuse::Section>> {
        fuse::fuse(&self.plan, at, &|at: usize| self.is_layer[at])
    }

    /// The same of a node that some task needs: of one that has a layer, what reads that.
    fn sections_or_read(&self, at: usize) -> Result<Vec<fuse::Section>> {
        if self.is_layer[at] { fuse::read(&self.plan, at) } else { self.sections(at) }
    }

    /// What the tasks of a region read.
    fn reads(&self, boxes: &Boxes) -> Result<Vec<Input>> {
        let read = |(source, pattern): (&LeafSource, Pattern)| {
            let layer = match source {
                LeafSource::Piece(node) => self.made[*node],
                LeafSource::Layer(layer) => Some(*layer),
                LeafSource::Memory(_) | LeafSource::Made(_) => None,
            };
            let layer = layer.ok_or_else(|| Error::internal("blocks are read before they are made"))?;
            Ok(Input { layer, pattern })
        };
        boxes.inputs().map(read).collect()
    }

    /// The blocks of element-wise work, written out.
    fn blocks(&mut self, at: usize, lowering: &mut RegionLowering<'_, '_>) -> Result<u32> {
        let cuts = self.plan.nodes[at].cuts.clone();
        let (boxes, reads) = self.block_boxes(self.sections(at)?, &cuts, false, lowering)?;
        let (node, tasks) = (&self.plan.nodes[at], boxes.tasks());
        let need = boxes.most_bytes() + boxes.machine_bytes();
        let op = move |_: &TaskContext<'_>, index, inputs: &mut Inputs<'_>| {
            boxes.stored(index, inputs, 0).map(|(_, block)| block)
        };
        let op = Each::new(op).kind(NdBlock::kind()).need(need);
        let meta = meta(node);
        let layer: LayerRef<NdBlock> = lowering.gated(node.member, |draft| draft.regular(meta, tasks, reads, op))?;
        Ok(layer.layer())
    }

    /// What a function makes of boxes of its inputs.
    fn map(&mut self, at: usize, map: &MapOp, lowering: &mut RegionLowering<'_, '_>) -> Result<u32> {
        let (mut all, mut reads, mut need) = (Vec::new(), Vec::new(), map.need);
        for (input, takes) in self.plan.nodes[at].inputs.clone().into_iter().zip(&map.takes) {
            let sections = self.sections_or_read(input)?;
            let (boxes, read) = self.boxes(sections, takes.clone(), map.grid.clone(), false, lowering)?;
            reads.extend(read);
            let plain = boxes.is_plain();
            need += if plain { 0 } else { boxes.most_bytes() + boxes.machine_bytes() };
            all.push((boxes, plain));
        }
        let (node, function, tasks) = (&self.plan.nodes[at], map.function.clone(), map.grid.iter().product());
        let op = move |_: &TaskContext<'_>, index, inputs: &mut Inputs<'_>| {
            let (mut given, mut starts, mut first) = (Vec::with_capacity(all.len()), Vec::new(), 0);
            for (boxes, plain) in &all {
                let (block, stored) = match plain {
                    // The block that a task takes is the piece.
                    true => (boxes.block(index, inputs, first)?, inputs.take::<NdBlock>(first)?),
                    false => boxes.stored(index, inputs, first)?,
                };
                starts.push(block.starts);
                given.push(stored);
                first += boxes.count(index);
            }
            let coords = all.first().map(|(boxes, _)| coords(index, boxes.grid().iter().copied()));
            function(given, &TaskPlace { coords: coords.unwrap_or_default(), starts })
        };
        let op = Each::new(op).kind(NdBlock::kind()).need(need);
        let meta = meta(node);
        let layer: LayerRef<NdBlock> = lowering.gated(node.member, |draft| draft.regular(meta, tasks, reads, op))?;
        Ok(layer.layer())
    }

    /// Places of an axis. A task reads the pieces in which its places lie, or makes them of sources.
    fn take(
        &self,
        at: usize,
        axis: usize,
        places: &Arc<[usize]>,
        lowering: &mut RegionLowering<'_, '_>,
    ) -> Result<u32> {
        let node = &self.plan.nodes[at];
        let input = node.inputs[0];
        let from = &self.plan.nodes[input].cuts;
        let gather = Gather::new(axis, places.clone(), &node.cuts, from)?;
        let tasks = node.cuts.iter().map(Cuts::blocks).product();
        let most: usize = node.cuts.iter().filter_map(Cuts::most).product();
        let need = (most * node.dtype.bytes()) as u64;
        if !self.is_layer[input] {
            let boxes = Boxes::blocks(self.sections(input)?, from)?;
            let need = need + boxes.machine_bytes();
            let op = move |_: &TaskContext<'_>, index, inputs: &mut Inputs<'_>| gather.made(&boxes, index, inputs);
            let op = Each::new(op).kind(NdBlock::kind()).need(need);
            let meta = meta(node);
            let layer: LayerRef<NdBlock> =
                lowering.gated(node.member, |draft| draft.regular(meta, tasks, Vec::new(), op))?;
            return Ok(layer.layer());
        }
        let layer = self.made[input].ok_or_else(|| Error::internal("blocks are read before they are made"))?;
        let grid = gather.grid();
        let op = move |_: &TaskContext<'_>, index, inputs: &mut Inputs<'_>| gather.block(index, inputs);
        let op = Each::new(op).kind(NdBlock::kind()).need(need);
        let reads = vec![Input { layer, pattern: Pattern::Grid(Arc::new(grid)) }];
        let layer: LayerRef<NdBlock> = lowering.draft().regular(meta(node), tasks, reads, op)?;
        Ok(layer.layer())
    }
}

fn meta(node: &Node) -> Meta {
    Meta { name: node.verb.to_string(), verb: node.verb, origin: node.origin }
}
