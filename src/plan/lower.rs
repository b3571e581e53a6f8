//! From plans to a graph: what is wanted is flattened, nodes become tasks of explicit layers or layers of their own.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::columns::{self, Columns};
use super::flatten::{Flat, Naming, Read};
use super::node::NodeRef;
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
    pub fn lower(self) -> Result<Lowered> {
        let mut flat = Flat::new(self.wanted.iter().map(|wanted| &wanted.node))?;
        let roots: Vec<Read> = self.wanted.iter().map(|wanted| flat.root(&wanted.node)).collect();
        flat.forget_addresses();
        let used = columns::used(&flat, roots.iter().map(|root| root.place()));
        let mut lowering = Builder::new(&flat, used);
        lowering.build(&mut flat)?;

        let mut pieces = Vec::with_capacity(self.wanted.len());
        for (wanted, root) in self.wanted.iter().zip(roots) {
            pieces.push(if wanted.all {
                lowering.all_pieces(&flat, root.place())
            } else {
                let piece = lowering.first_pieces[root.place() as usize] + root.piece();
                piece..piece + 1
            });
        }
        lowering.check_alone(&self.wanted, &pieces)?;
        let sinks = self.wanted.into_iter().zip(&pieces).map(|(wanted, range)| (range.len() as u32, wanted.sink));
        let sinks = sinks.collect();
        Ok(Lowered { graph: lowering.draft.finish(pieces), sinks })
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
    used: Columns,
}

impl LayerLowering<'_> {
    /// The graph being built.
    pub fn draft(&mut self) -> &mut Draft {
        self.draft
    }

    /// The columns of the node's value that are used.
    pub fn used(&self) -> &Columns {
        &self.used
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

struct Builder {
    draft: Draft,
    /// Per place of the flat plan its first piece in the graph.
    first_pieces: Vec<u32>,
    /// Layers of the places that have layers of their own; pieces alone do not tell where a layer has none.
    layers: HashMap<u32, u32>,
    /// Per place the columns that are used of it; empty where none narrows.
    used: Vec<Columns>,
}

impl Builder {
    fn new(flat: &Flat<'_>, used: Vec<Columns>) -> Builder {
        let places = flat.len() as usize;
        Builder { draft: Draft::new(), first_pieces: vec![0; places], layers: HashMap::new(), used }
    }

    fn all_pieces(&self, flat: &Flat<'_>, place: u32) -> Range<u32> {
        let first = self.first_pieces[place as usize];
        match self.layers.get(&place) {
            Some(layer) => self.draft.graph().layers()[*layer as usize].pieces.clone(),
            None => first..first + flat.task_pieces(place).unwrap_or(1),
        }
    }

    /// Tasks that can stand in one explicit layer do: a level is its nodes with layers of their own, then one explicit
    /// layer with its tasks. A task is of the level of what it reads; a node with layers is of the next level where it
    /// reads a task, so that each layer reads only layers before it.
    fn build(&mut self, flat: &mut Flat<'_>) -> Result<()> {
        if !flat.any_layers() {
            // Only where there are layers can there be more than one level.
            let tasks = self.only_tasks(flat);
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
        let mut inputs = Vec::new();
        for read in flat.reads(at) {
            let piece = self.first_pieces[read.place() as usize] + read.piece();
            let layer = match self.layers.get(&read.place()) {
                Some(layer) => *layer,
                // A task's layer has pieces, so it is found by one.
                None => self.draft.graph().layers().partition_point(|layer| layer.pieces.end <= piece) as u32,
            };
            let of = &self.draft.graph().layers()[layer as usize];
            inputs.push(match of.pieces_per_task {
                // Patterns need tasks that give equally many pieces: this piece gets a task of its own.
                0 => (self.pass(piece)?, 0),
                _ => (layer, piece - of.pieces.start),
            });
        }
        if flat.is_gated(at) {
            inputs.pop();
            let gate = flat.reads(at)[inputs.len()];
            // All source tasks read the gate, so it has to be the only piece of its layer.
            let gate = self.pass(self.first_pieces[gate.place() as usize] + gate.piece())?;
            self.draft.set_gate(Some(gate));
        }
        let node = flat.layered(at).ok_or_else(|| Error::internal("a task is to be lowered to layers"))?;
        let used = self.used.get(at as usize).cloned().unwrap_or(Columns::All);
        let layer = node.lower(&mut LayerLowering { draft: &mut self.draft, inputs, used })?;
        self.draft.set_gate(None);
        self.layers.insert(at, layer);
        self.first_pieces[at as usize] = self.draft.graph().layers()[layer as usize].pieces.start;
        Ok(())
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

    /// All places as tasks. What they run is moved as a whole: a million of them are not to be held twice.
    fn only_tasks(&mut self, flat: &mut Flat<'_>) -> Tasks {
        let first = self.draft.next_piece();
        let mut calls = flat.take_calls();
        if flat.any_gated || flat.any_named() {
            for (at, slot) in calls.iter_mut().enumerate() {
                *slot = slot.take().map(|call| described(flat, at as u32, call));
            }
        }
        let mut tasks = Tasks::of_calls(calls.into_iter().flatten().collect(), flat.read_count());
        for at in 0..flat.len() {
            for read in flat.reads(at) {
                tasks.push_read(self.first_pieces[read.place() as usize] + read.piece());
            }
            self.first_pieces[at as usize] = first + tasks.end_row(flat.task_pieces(at).unwrap_or(1));
        }
        tasks
    }

    /// The tasks of one level.
    fn some_tasks(&mut self, flat: &mut Flat<'_>, places: &[u32]) -> Tasks {
        let first = self.draft.next_piece();
        let mut tasks = Tasks::with_capacity(places.len(), 0);
        for at in places.iter().copied() {
            let Some(pieces) = flat.task_pieces(at) else { continue };
            let call = match flat.take_call(at) {
                Some(call) => call,
                None => {
                    let naming = flat.naming_of(at).copied().unwrap_or_default();
                    let read = flat.reads(at)[0];
                    let piece = self.first_pieces[read.place() as usize] + read.piece();
                    if self.draft.describe_only_task(piece, naming.name, naming.kind) {
                        self.first_pieces[at as usize] = piece;
                        continue;
                    }
                    Arc::new(PassPiece::of(&self.draft, piece))
                }
            };
            let reads = flat.reads(at).iter();
            let reads = reads.map(|read| self.first_pieces[read.place() as usize] + read.piece());
            self.first_pieces[at as usize] = first + tasks.push(described(flat, at, call), reads, pieces);
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
    let mut level_of: Vec<u32> = Vec::with_capacity(flat.len() as usize);
    let mut levels: Vec<Level> = Vec::new();
    for at in 0..flat.len() {
        let is_task = flat.task_pieces(at).is_some();
        let of_read = |read: &Read| {
            let reads_task = flat.task_pieces(read.place()).is_some();
            level_of[read.place() as usize] + u32::from(!is_task && reads_task)
        };
        let level = flat.reads(at).iter().map(of_read).max().unwrap_or(0);
        level_of.push(level);
        if levels.len() <= level as usize {
            levels.resize_with(level as usize + 1, Level::default);
        }
        let level = &mut levels[level as usize];
        if is_task { level.tasks.push(at) } else { level.layered.push(at) }
    }
    levels
}

/// A call with what is known of its place: that it waits at a gate, and what aliases say.
fn described(flat: &Flat<'_>, at: u32, call: Arc<dyn Call>) -> Arc<dyn Call> {
    let (gated, naming) = (flat.is_gated(at), flat.naming_of(at));
    if !gated && naming.is_none() {
        return call;
    }
    let Naming { name, kind } = naming.copied().unwrap_or_default();
    Arc::new(Described { call, gated, name: name.map(Box::from), kind })
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
