//! From plans to a graph: what is wanted is flattened, nodes become tasks of explicit layers or layers of their own.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::columns::{self, Columns};
use super::flatten::Flat;
use super::node::{NodeRef, Role};
use crate::error::{Error, Result};
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
}

struct Wanted {
    node: NodeRef,
    /// One piece of the node, or all.
    piece: Option<u32>,
    sink: Arc<dyn Sink>,
}

/// A request as a graph.
pub struct Lowered {
    /// The graph; its results are the distinct pieces that are wanted.
    pub graph: Graph,
    /// For each wanted node the numbers of its values among the graph's results, and where they go.
    pub routes: Vec<(Vec<Range<u32>>, Arc<dyn Sink>)>,
}

impl Request {
    /// Nothing yet.
    pub fn new() -> Request {
        Request::default()
    }

    /// Wants all pieces of a node, or one.
    pub fn want(&mut self, node: &NodeRef, piece: Option<u32>, sink: Arc<dyn Sink>) {
        self.wanted.push(Wanted { node: node.clone(), piece, sink });
    }

    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// The graph that computes what is wanted.
    pub fn lower(self) -> Result<Lowered> {
        let mut flat = Flat::new(self.wanted.iter().map(|wanted| &wanted.node))?;
        let roots: Vec<u32> = self.wanted.iter().map(|wanted| flat.root(&wanted.node)).collect();
        let used = columns::used(&mut flat, &roots);
        let mut lowering = Builder::new(&flat, used);
        lowering.build(&mut flat)?;

        let mut pieces = Vec::with_capacity(self.wanted.len());
        for (wanted, at) in self.wanted.iter().zip(roots) {
            let all = lowering.pieces[at as usize].clone();
            pieces.push(match wanted.piece {
                None => all,
                Some(piece) => all.start + piece..all.start + piece + 1,
            });
        }
        let (outputs, routes) = distinct(&pieces);
        let graph = lowering.draft.finish(outputs);
        let sinks = self.wanted.into_iter().map(|wanted| wanted.sink);
        Ok(Lowered { graph, routes: routes.into_iter().zip(sinks).collect() })
    }
}

/// The wanted pieces without repetition, and for each wanted range where its pieces stand among them.
fn distinct(wanted: &[Range<u32>]) -> (Vec<Range<u32>>, Vec<Vec<Range<u32>>>) {
    let mut cuts: Vec<u32> = wanted.iter().flat_map(|range| [range.start, range.end]).collect();
    cuts.sort_unstable();
    cuts.dedup();
    // Pieces between two cuts belong to the same wanted ranges.
    let mut outputs: Vec<Range<u32>> = Vec::new();
    let mut numbers = std::collections::HashMap::new();
    let mut next = 0;
    let mut routes = Vec::with_capacity(wanted.len());
    for range in wanted {
        let first = cuts.partition_point(|cut| *cut < range.start);
        let mut route: Vec<Range<u32>> = Vec::new();
        for pair in cuts[first..].windows(2).take_while(|pair| pair[0] < range.end) {
            let number = *numbers.entry(pair[0]).or_insert_with(|| {
                let number = next;
                next += pair[1] - pair[0];
                outputs.push(pair[0]..pair[1]);
                number
            });
            let len = pair[1] - pair[0];
            match route.last_mut() {
                Some(last) if last.end == number => last.end += len,
                _ => route.push(number..number + len),
            }
        }
        routes.push(route);
    }
    (outputs, routes)
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
    /// Per place of the flat plan its pieces in the graph.
    pieces: Vec<Range<u32>>,
    /// Per place its layer, which pieces alone do not tell where a layer has none.
    layers: Vec<u32>,
    /// Per place the level at which it is emitted; see [`Builder::build`].
    levels: Vec<u32>,
    /// Per place the columns that are used of it; empty where none narrows.
    used: Vec<Columns>,
}

impl Builder {
    fn new(flat: &Flat<'_>, used: Vec<Columns>) -> Builder {
        let places = flat.places.len();
        Builder {
            draft: Draft::new(),
            pieces: vec![0..0; places],
            layers: vec![0; places],
            levels: vec![0; places],
            used,
        }
    }

    /// Tasks that can stand in one explicit layer do: a level is its nodes with layers of their own, then one explicit
    /// layer with its tasks. A task is of the level of what it reads; a node with layers is of the next level where it
    /// reads a task, so that each layer reads only layers before it.
    fn build(&mut self, flat: &mut Flat<'_>) -> Result<()> {
        let count = flat.places.len() as u32;
        let mut most = 0;
        let mut tasks = Vec::new();
        for at in 0..count {
            let is_task = matches!(flat.places[at as usize].node.role(), Role::Task { .. });
            let mut level = 0;
            if most > 0 || !is_task {
                let mut below = Vec::new();
                flat.inputs(at, |input, _| below.push(input));
                for input in below {
                    let reads_task = matches!(flat.places[input as usize].node.role(), Role::Task { .. });
                    level = level.max(self.levels[input as usize] + u32::from(!is_task && reads_task));
                }
            }
            most = most.max(level);
            self.levels[at as usize] = level;
            tasks.push(is_task);
        }
        for level in 0..=most {
            for at in
                (0..count).filter(|at| !tasks[*at as usize] && self.levels[*at as usize] == level).collect::<Vec<_>>()
            {
                self.lower_layers(flat, at)?;
            }
            self.lower_tasks(flat, level, &tasks)?;
        }
        Ok(())
    }

    fn lower_layers(&mut self, flat: &mut Flat<'_>, at: u32) -> Result<()> {
        let mut below = Vec::new();
        flat.inputs(at, |input, piece| below.push((input, piece)));
        let inputs = below.into_iter().map(|(input, piece)| {
            let layer = self.layers[input as usize];
            let first = self.draft.graph().layers()[layer as usize].pieces.start;
            (layer, self.pieces[input as usize].start - first + piece)
        });
        let inputs = inputs.collect();
        let node = flat.places[at as usize].node;
        let used = self.used.get(at as usize).cloned().unwrap_or(Columns::All);
        let layer = node.lower(&mut LayerLowering { draft: &mut self.draft, inputs, used })?;
        self.layers[at as usize] = layer;
        self.pieces[at as usize] = self.draft.graph().layers()[layer as usize].pieces.clone();
        Ok(())
    }

    fn lower_tasks(&mut self, flat: &mut Flat<'_>, level: u32, is_task: &[bool]) -> Result<()> {
        let count = is_task.iter().zip(&self.levels).filter(|(task, of)| **task && **of == level).count();
        if count == 0 {
            return Ok(());
        }
        let first = self.draft.next_piece();
        let layer = self.draft.graph().layers().len() as u32;
        let mut tasks = Tasks::with_capacity(count, 0);
        for at in 0..is_task.len() as u32 {
            if !is_task[at as usize] || self.levels[at as usize] != level {
                continue;
            }
            let node = flat.places[at as usize].node.clone();
            let Role::Task { pieces } = node.role() else { continue };
            let mut call = node.clone().call()?;
            if let Some(naming) = flat.naming.get(&at) {
                call = Arc::new(Named { call, name: naming.name.map(Box::from), kind: naming.kind });
            }
            let known = &self.pieces;
            flat.inputs(at, |input, piece| tasks.push_read(known[input as usize].start + piece));
            let own = first + tasks.end_row(call, pieces);
            self.pieces[at as usize] = own..own + pieces;
            self.layers[at as usize] = layer;
        }
        let meta = Meta { name: "delayed".into(), verb: "delayed", origin: Origin::UNKNOWN };
        self.draft.explicit(meta, tasks)?;
        Ok(())
    }
}

/// A task that an alias gave another name or kind.
struct Named {
    call: Arc<dyn Call>,
    name: Option<Box<str>>,
    kind: Option<&'static dyn Kind>,
}

impl Call for Named {
    fn call(&self, context: &TaskContext<'_>, inputs: &mut Inputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        self.call.call(context, inputs, out)
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
