//! From plans to a graph: what is wanted is flattened, nodes become tasks of explicit layers or layers of their own.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::flatten::{Flat, Special};
use super::node::NodeRef;
use super::region::{Member, PlanOptions, Planned, Read, Region};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Call, Chunk, Draft, Graph, Inputs, Kind, Layer, Meta, Outputs, TaskContext, Tasks};
use crate::origin::Origin;

/// Takes the values of one wanted node, numbered within it.
pub trait Sink: Send + Sync {
    /// Takes values, in no order; called by several threads.
    fn put(&self, values: &mut dyn Iterator<Item = (u32, Chunk)>) -> Result<()>;
}

/// What is to be computed together: wanted nodes, and where their values go.
#[derive(Default)]
pub struct Request {
    wanted: Vec<Wanted>,
    /// What is known of the bytes of all results together.
    known_bytes: u64,
}

struct Wanted {
    node: NodeRef,
    /// All pieces of the node, or the one that the handle stands for.
    all: bool,
    /// Whether the value can be given to several that want it.
    copies: bool,
    sink: Arc<dyn Sink>,
}

/// A request as a graph.
pub struct Lowered {
    /// The graph; its results are the wanted pieces, in the order in which they were asked for.
    pub graph: Graph,
    /// For each wanted node the number of values, and where they go.
    pub sinks: Vec<(u32, Arc<dyn Sink>)>,
    /// Plans of regions as texts, where they were wanted, each with a title.
    pub texts: Vec<(String, String)>,
}

impl Request {
    /// Nothing yet.
    pub fn new() -> Request {
        Request::default()
    }

    /// Wants the value that a handle stands for.
    pub fn want(&mut self, node: &NodeRef, sink: Arc<dyn Sink>) {
        self.wanted.push(Wanted { node: node.clone(), all: false, copies: true, sink });
    }

    /// Wants the value that a handle stands for, for itself alone: it is an error where another one wants it too.
    pub fn want_alone(&mut self, node: &NodeRef, sink: Arc<dyn Sink>) {
        self.wanted.push(Wanted { node: node.clone(), all: false, copies: false, sink });
    }

    /// Wants all values of a node with layers of its own.
    pub fn want_all(&mut self, node: &NodeRef, sink: Arc<dyn Sink>) {
        self.wanted.push(Wanted { node: node.clone(), all: true, copies: true, sink });
    }

    /// Says that results of so many bytes are wanted; of results of unknown size nothing is said.
    pub fn expect(&mut self, bytes: u64) {
        self.known_bytes = self.known_bytes.saturating_add(bytes);
    }

    /// The bytes of all results whose size is known.
    pub fn known_bytes(&self) -> u64 {
        self.known_bytes
    }

    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// The graph that computes what is wanted.
    pub fn lower(self, options: &PlanOptions<'_>) -> Result<Lowered> {
        let mut flat = Flat::new(self.wanted.iter().map(|wanted| &wanted.node))?;
        let mut roots: Vec<u32> = self.wanted.iter().map(|wanted| flat.root(&wanted.node)).collect();
        flat.forget_addresses();
        flat.arrange(&mut roots);
        let mut lowering = Builder::new(&flat);
        lowering.plan_regions(&flat, &roots, options)?;
        lowering.build(&mut flat)?;

        let mut pieces = Vec::with_capacity(self.wanted.len());
        for (wanted, root) in self.wanted.iter().zip(roots) {
            pieces.push(lowering.pieces(&flat, root, wanted.all));
        }
        lowering.check_alone(&self.wanted, &pieces)?;
        let sinks = self.wanted.into_iter().zip(&pieces).map(|(wanted, range)| (range.len() as u32, wanted.sink));
        let sinks = sinks.collect();
        let texts = lowering.regions.iter().filter_map(|region| Some(region.planned.as_ref()?.texts())).flatten();
        let texts = if options.explain { texts.collect() } else { Vec::new() };
        Ok(Lowered { graph: lowering.draft.finish(pieces), sinks, texts })
    }
}

/// A sink for one value.
#[derive(Default)]
pub struct OneValue(Mutex<Option<Chunk>>);

impl OneValue {
    /// The value, once.
    pub fn take(&self) -> Option<Chunk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Sink for OneValue {
    fn put(&self, values: &mut dyn Iterator<Item = (u32, Chunk)>) -> Result<()> {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, chunk) in values {
            *place = Some(chunk);
        }
        Ok(())
    }
}

/// Adds layers for a node.
pub struct LayerLowering<'a> {
    draft: &'a mut Draft,
    inputs: Vec<(u32, u32)>,
}

impl LayerLowering<'_> {
    /// The graph being built.
    pub fn draft(&mut self) -> &mut Draft {
        self.draft
    }

    /// The layer of an input of the node, by its place among the inputs, and which piece of that layer is read.
    pub fn input(&self, index: usize) -> Result<(u32, u32)> {
        let found = self.inputs.get(index).copied();
        found.ok_or_else(|| Error::internal("a plan node reads an input it did not tell of"))
    }

    /// A layer of the graph.
    pub fn layer(&self, layer: u32) -> &Layer {
        &self.draft.graph().layers()[layer as usize]
    }
}

/// Adds layers for members of a region.
pub struct RegionLowering<'a, 'p> {
    builder: &'a mut Builder,
    flat: &'a Flat<'p>,
    places: &'a [u32],
}

impl RegionLowering<'_, '_> {
    /// The graph being built.
    pub fn draft(&mut self) -> &mut Draft {
        &mut self.builder.draft
    }

    /// The layer that a member reads as its input of that number, and which piece of it.
    ///
    /// # Errors
    /// Of kind `Internal`, where there is none.
    pub fn outside(&mut self, member: u32, input: u32) -> Result<(u32, u32)> {
        let place = self.places.get(member as usize).copied();
        let place = place.ok_or_else(|| Error::internal("a member of a region that is none"))?;
        let read = self.flat.reads(place).get(input as usize).copied();
        let read = read.ok_or_else(|| Error::internal("a plan node reads an input it did not tell of"))?;
        self.builder.input(self.flat, read)
    }

    /// Adds layers whose sources wait at the gate of a member, if it has one.
    ///
    /// # Errors
    /// What `add` returns.
    pub fn gated<T>(&mut self, member: u32, add: impl FnOnce(&mut Draft) -> Result<T>) -> Result<T> {
        let place = self.places.get(member as usize).copied();
        let gate = place.filter(|place| self.flat.is_gated(*place)).and_then(|place| self.flat.reads(place).last());
        if let Some(gate) = gate {
            let gate = self.builder.pass(self.builder.piece(self.flat, *gate))?;
            self.builder.draft.set_gate(Some(gate));
        }
        let added = add(&mut self.builder.draft);
        self.builder.draft.set_gate(None);
        added
    }
}

/// The nodes of one region, and their plan.
struct Planning {
    /// By member.
    places: Vec<u32>,
    roots: Vec<bool>,
    planned: Option<Box<dyn Planned>>,
}

struct Builder {
    draft: Draft,
    /// Per place of the flat plan its first piece in the graph; empty where there are only tasks, whose pieces have the
    /// numbers of their values.
    first_pieces: Vec<u32>,
    /// Layers of the places that have layers of their own; pieces alone do not tell where a layer has none.
    layers: HashMap<u32, u32>,
    regions: Vec<Planning>,
    /// Of places in regions: which region, and which member of it.
    members: HashMap<u32, (u32, u32)>,
}

impl Builder {
    fn new(flat: &Flat<'_>) -> Builder {
        let first_pieces = if flat.only_tasks() { Vec::new() } else { vec![0; flat.len() as usize] };
        let (layers, regions, members) = (HashMap::new(), Vec::new(), HashMap::new());
        Builder { draft: Draft::new(), first_pieces, layers, regions, members }
    }

    /// Finds the nodes of each region and has them planned.
    fn plan_regions(&mut self, flat: &Flat<'_>, roots: &[u32], options: &PlanOptions<'_>) -> Result<()> {
        if flat.only_tasks() {
            return Ok(());
        }
        let mut regions: Vec<(&'static dyn Region, Vec<Member<'_>>)> = Vec::new();
        for at in 0..flat.len() {
            let Some(Special::Layers(node)) = flat.special(at) else { continue };
            let Some((region, this)) = node.node().region() else { continue };
            let known = regions.iter().position(|(known, _)| known.name() == region.name());
            let number = known.unwrap_or_else(|| {
                regions.push((region, Vec::new()));
                self.regions.push(Planning { places: Vec::new(), roots: Vec::new(), planned: None });
                regions.len() - 1
            });
            let (mut reads, mut gate) = (flat.reads(at), None);
            if flat.is_gated(at)
                && let Some((last, others)) = reads.split_last()
            {
                (reads, gate) = (others, Some(*last));
            }
            let reads = reads.iter().enumerate().map(|(input, read)| {
                match (self.members.get(&flat.place_of(*read)), flat.source(*read)) {
                    (Some((region, member)), (_, 0)) if *region as usize == number => Read::Member(*member),
                    _ => Read::Outside(input as u32),
                }
            });
            let member = Member { node: this, reads: reads.collect(), is_root: false, gate };
            regions[number].1.push(member);
            self.regions[number].places.push(at);
            self.members.insert(at, (number as u32, self.regions[number].places.len() as u32 - 1));
        }
        if regions.is_empty() {
            return Ok(());
        }
        let mut root = |at: u32| {
            if let Some((region, member)) = self.members.get(&at) {
                regions[*region as usize].1[*member as usize].is_root = true;
            }
        };
        roots.iter().for_each(|value| root(flat.place_of(*value)));
        for at in 0..flat.len() {
            let own = self.members.get(&at).map(|(region, _)| *region);
            for read in flat.reads(at) {
                let place = flat.place_of(*read);
                if own.is_none() || self.members.get(&place).map(|(region, _)| *region) != own {
                    root(place);
                }
            }
            if let Some(Special::View { of, .. }) = flat.special(at) {
                root(of);
            }
        }
        for ((region, members), planning) in regions.into_iter().zip(&mut self.regions) {
            planning.roots = members.iter().map(|member| member.is_root).collect();
            planning.planned = Some(region.plan(&members, options)?);
        }
        Ok(())
    }

    /// Adds the layers of a member of a region; nothing where only other members read it.
    fn lower_member(&mut self, flat: &Flat<'_>, region: u32, member: u32) -> Result<Option<u32>> {
        let planning = &mut self.regions[region as usize];
        if !planning.roots[member as usize] {
            return Ok(None);
        }
        let places = std::mem::take(&mut planning.places);
        let planned = planning.planned.take();
        let mut planned = planned.ok_or_else(|| Error::internal("a region is lowered before it is planned"))?;
        let lowered = planned.lower(member, &mut RegionLowering { builder: self, flat, places: &places });
        let planning = &mut self.regions[region as usize];
        (planning.places, planning.planned) = (places, Some(planned));
        lowered.map(Some)
    }

    /// The piece of a value.
    fn piece(&self, flat: &Flat<'_>, value: u32) -> u32 {
        if self.first_pieces.is_empty() {
            return value;
        }
        let (place, offset) = flat.source(value);
        self.first_pieces[place as usize] + offset
    }

    /// The piece of a value, or all pieces of the node that it stands for.
    fn pieces(&self, flat: &Flat<'_>, value: u32, all: bool) -> Range<u32> {
        let piece = self.piece(flat, value);
        if !all {
            return piece..piece + 1;
        }
        let place = flat.place_of(value);
        match self.layers.get(&place) {
            Some(layer) => self.draft.graph().layers()[*layer as usize].pieces.clone(),
            None => piece..piece + flat.values(place),
        }
    }

    /// Tasks that can stand in one explicit layer do: a level is its nodes with layers of their own, then one explicit
    /// layer with its tasks. A task is of the level of what it reads; a node with layers is of the next level where it
    /// reads a task, so that each layer reads only layers before it.
    fn build(&mut self, flat: &mut Flat<'_>) -> Result<()> {
        if flat.only_tasks() {
            // Only where there are layers can there be more than one level.
            let described_places = flat.described();
            let mut tasks = flat.take_tasks();
            described_places.for_each(|at| tasks.replace_call(at, |call| described(flat, at, call)));
            return self.add_tasks(tasks);
        }
        for Level { layered, tasks } in levels(flat) {
            for at in layered {
                self.lower_layers(flat, at)?;
            }
            let tasks = self.some_tasks(flat, &tasks);
            self.add_tasks(tasks)?;
        }
        Ok(())
    }

    /// Refuses before anything runs what could not be delivered.
    fn check_alone(&self, wanted: &[Wanted], pieces: &[Range<u32>]) -> Result<()> {
        if wanted.len() < 2 || wanted.iter().all(|wanted| wanted.copies) {
            return Ok(());
        }
        let mut sorted: Vec<(&Range<u32>, bool)> =
            pieces.iter().zip(wanted.iter().map(|wanted| wanted.copies)).collect();
        sorted.sort_unstable_by_key(|(range, _)| range.start);
        let mut end = 0;
        let mut last_copies = true;
        for (range, copies) in sorted {
            if range.start < end && !(copies && last_copies) {
                let graph = self.draft.graph();
                let task = graph.task_giving(range.start);
                let (name, index, verb, origin) = graph.describe(task);
                let text = "its value was asked for twice in one compute, and it is not known how to clone its type: ask \
                            for it once, or for `.map(T::clone)` of it";
                let error = Error::new(ErrorKind::Plan, text).in_task(name, index);
                return Err(error.frame(crate::error::Role::From, verb, origin));
            }
            if range.end > end {
                (end, last_copies) = (range.end, copies);
            }
        }
        Ok(())
    }

    fn lower_layers(&mut self, flat: &Flat<'_>, at: u32) -> Result<()> {
        let layer = match flat.special(at) {
            Some(Special::View { of, piece }) => {
                let layer = self.layers.get(&of).copied();
                self.first_pieces[at as usize] = self.first_pieces[of as usize] + piece;
                layer.ok_or_else(|| Error::internal("a view of layers stands before them"))?
            }
            Some(Special::Layers(node)) => {
                let layer = match self.members.get(&at).copied() {
                    Some((region, member)) => match self.lower_member(flat, region, member)? {
                        Some(layer) => layer,
                        None => return Ok(()),
                    },
                    None => self.lower_node(flat, at, node)?,
                };
                self.first_pieces[at as usize] = self.draft.graph().layers()[layer as usize].pieces.start;
                layer
            }
            _ => return Err(Error::internal("a task is to be lowered to layers")),
        };
        self.layers.insert(at, layer);
        Ok(())
    }

    fn lower_node(&mut self, flat: &Flat<'_>, at: u32, node: &NodeRef) -> Result<u32> {
        let mut reads = flat.reads(at);
        let mut gate = None;
        if flat.is_gated(at)
            && let Some((last, others)) = reads.split_last()
        {
            (gate, reads) = (Some(*last), others);
        }
        let inputs = reads.iter().map(|read| self.input(flat, *read)).collect::<Result<Vec<(u32, u32)>>>()?;
        if let Some(gate) = gate {
            // All source tasks read the gate, so it has to be the only piece of its layer.
            let gate = self.pass(self.piece(flat, gate))?;
            self.draft.set_gate(Some(gate));
        }
        let layer = node.node().lower(&mut LayerLowering { draft: &mut self.draft, inputs })?;
        self.draft.set_gate(None);
        Ok(layer)
    }

    /// The layer of a value, and which of its pieces it is.
    fn input(&mut self, flat: &Flat<'_>, read: u32) -> Result<(u32, u32)> {
        let piece = self.piece(flat, read);
        let layer = match self.layers.get(&flat.place_of(read)) {
            Some(layer) => *layer,
            // A task's layer has pieces, so it is found by one.
            None => self.draft.graph().layers().partition_point(|layer| layer.pieces.end <= piece) as u32,
        };
        let of = &self.draft.graph().layers()[layer as usize];
        Ok(match of.pieces_per_task {
            // Patterns need tasks that give equally many pieces: this piece gets a task of its own.
            0 => (self.pass(piece)?, 0),
            _ => (layer, piece - of.pieces.start),
        })
    }

    /// A layer of one task that hands one piece on.
    fn pass(&mut self, piece: u32) -> Result<u32> {
        let pass = PassPiece::of(&self.draft, piece);
        let meta = pass.meta.clone();
        let mut tasks = Tasks::with_capacity(1, 1);
        tasks.push(Arc::new(pass), [piece], 1);
        self.draft.explicit(meta, tasks)
    }

    fn add_tasks(&mut self, tasks: Tasks) -> Result<()> {
        if !tasks.is_empty() {
            let meta = Meta { name: "delayed".into(), verb: "delayed", origin: Origin::UNKNOWN };
            self.draft.explicit(meta, tasks)?;
        }
        Ok(())
    }

    /// The tasks of one level.
    fn some_tasks(&mut self, flat: &Flat<'_>, places: &[u32]) -> Tasks {
        let first = self.draft.next_piece();
        let mut tasks = Tasks::with_capacity(places.len(), 0);
        for at in places.iter().copied() {
            let call = match flat.special(at) {
                None => described(flat, at, flat.call(at).clone()),
                Some(_) => {
                    let piece = self.piece(flat, flat.reads(at)[0]);
                    let naming = flat.naming_of(at).copied().unwrap_or_default();
                    if self.draft.describe_only_task(piece, naming.name, naming.kind) {
                        self.first_pieces[at as usize] = piece;
                        continue;
                    }
                    described(flat, at, Arc::new(PassPiece::of(&self.draft, piece)))
                }
            };
            let reads = flat.reads(at).iter().map(|read| self.piece(flat, *read));
            self.first_pieces[at as usize] = first + tasks.push(call, reads, flat.values(at));
        }
        tasks
    }
}

/// Places that can be emitted together, each list in the order of the plan.
#[derive(Default)]
struct Level {
    layered: Vec<u32>,
    tasks: Vec<u32>,
}

/// The places of a plan by level; see [`Builder::build`].
fn levels(flat: &Flat<'_>) -> Vec<Level> {
    let is_task = |at| matches!(flat.special(at), None | Some(Special::Renamed));
    // Per place its level, and whether it is a task.
    let mut found: Vec<(u32, bool)> = Vec::with_capacity(flat.len() as usize);
    let mut levels: Vec<Level> = Vec::new();
    for at in 0..flat.len() {
        let task = is_task(at);
        let above = |read: &u32| {
            let (level, reads_task) = found[flat.place_of(*read) as usize];
            level + u32::from(!task && reads_task)
        };
        let level = flat.reads(at).iter().map(above).max().unwrap_or(0);
        found.push((level, task));
        if levels.len() <= level as usize {
            levels.resize_with(level as usize + 1, Level::default);
        }
        let level = &mut levels[level as usize];
        if task { level.tasks.push(at) } else { level.layered.push(at) }
    }
    levels
}

/// A call with what is known of its place: that it waits at a gate, and what aliases say.
fn described(flat: &Flat<'_>, at: u32, call: Arc<dyn Call>) -> Arc<dyn Call> {
    let (gated, naming) = (flat.is_gated(at), flat.naming_of(at));
    if !gated && naming.is_none() {
        return call;
    }
    let naming = naming.copied().unwrap_or_default();
    Arc::new(Described { call, gated, name: naming.name.map(Box::from), kind: naming.kind })
}

/// A task of which its place in the plan says more than its node.
struct Described {
    call: Arc<dyn Call>,
    /// Its only input is a gate, which it does not see.
    gated: bool,
    name: Option<Box<str>>,
    kind: Option<&'static dyn Kind>,
}

impl Call for Described {
    fn call(&self, context: &TaskContext<'_>, inputs: &mut Inputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        let seen = if self.gated { 0 } else { inputs.len() };
        self.call.call(context, &mut inputs.part(0, seen), out)
    }

    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_else(|| self.call.name())
    }

    fn verb(&self) -> &'static str {
        self.call.verb()
    }

    fn origin(&self) -> Origin {
        self.call.origin()
    }

    fn kind(&self, piece: u32) -> &'static dyn Kind {
        self.kind.unwrap_or_else(|| self.call.kind(piece))
    }

    fn need(&self) -> u64 {
        self.call.need()
    }
}

/// Hands one piece on.
struct PassPiece {
    kind: &'static dyn Kind,
    meta: Meta,
}

impl PassPiece {
    fn of(draft: &Draft, piece: u32) -> PassPiece {
        let layers = draft.graph().layers();
        let layer = layers.partition_point(|layer| layer.pieces.end <= piece);
        PassPiece { kind: draft.graph().kind(piece), meta: layers[layer].meta.clone() }
    }
}

impl Call for PassPiece {
    fn call(&self, _: &TaskContext<'_>, inputs: &mut Inputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        out.push_chunk(inputs.take_chunk(0)?);
        Ok(())
    }

    fn name(&self) -> &str {
        &self.meta.name
    }

    fn verb(&self) -> &'static str {
        self.meta.verb
    }

    fn origin(&self) -> Origin {
        self.meta.origin
    }

    fn kind(&self, _: u32) -> &'static dyn Kind {
        self.kind
    }
}
