//! For tests: operations that mix what they read, graphs made of them, and the plainest way to run one.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::explain::ExplainOptions;
use super::explicit::Call;
use super::layer::{Graph, Input, Layer, LayerOp, Meta};
use super::passes::Pass;
use super::pattern::{Extent, Pattern};
use super::task::{Inputs, Outputs, Scope, TaskContext};
use super::{Draft, LayerRef};
use crate::error::{Error, ErrorKind, Result};
use crate::origin::Origin;
use crate::schedule::Topology;
use crate::store::chunk::plain;
use crate::store::{Budget, Chunk, Kind};

/// An operation that mixes its seed, the original index and all inputs.
#[derive(Clone)]
pub(super) struct Mix {
    pub seed: u64,
    pub pieces: u32,
    pub key: bool,
    pub barrier: bool,
    pub need: u64,
    /// Fails at this index, or panics if `panics`.
    pub fails: Option<u32>,
    pub panics: bool,
    pub name: String,
}

impl Default for Mix {
    fn default() -> Mix {
        let name = String::from("mix");
        Mix { seed: 0, pieces: 1, key: false, barrier: false, need: 0, fails: None, panics: false, name }
    }
}

impl Mix {
    fn run_at(&self, index: u32, inputs: &mut Inputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        if self.fails == Some(index) {
            assert!(!self.panics, "as asked");
            return Err(Error::new(ErrorKind::Task, "as asked"));
        }
        let mix = |state: u64, value: u64| (state ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
        let mut state = mix(self.seed, u64::from(index));
        for at in 0..inputs.len() {
            state = mix(state, inputs.take::<u64>(at)?);
        }
        (0..self.pieces).for_each(|piece| out.push(mix(state, u64::from(piece))));
        Ok(())
    }
}

impl LayerOp for Mix {
    fn run(&self, _: &TaskContext<'_>, index: u32, inputs: &mut Inputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        self.run_at(index, inputs, out)
    }

    fn kind(&self) -> &'static dyn Kind {
        plain::<u64>()
    }

    fn need(&self, _: u32) -> u64 {
        self.need
    }

    fn content_key(&self) -> Option<String> {
        self.key.then(|| format!("mix {} {} {}", self.seed, self.pieces, self.barrier))
    }

    fn is_barrier(&self) -> bool {
        self.barrier
    }
}

impl Call for Mix {
    fn call(&self, _: &TaskContext<'_>, inputs: &mut Inputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        self.run_at(0, inputs, out)
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn verb(&self) -> &'static str {
        "delayed"
    }

    fn origin(&self) -> Origin {
        Origin::UNKNOWN
    }

    fn kind(&self, _: u32) -> &'static dyn Kind {
        plain::<u64>()
    }

    fn need(&self) -> u64 {
        self.need
    }
}

pub(super) fn meta(name: &str) -> Meta {
    Meta { name: name.to_string(), verb: "map", origin: Origin::UNKNOWN }
}

/// Adds a layer; gives its number.
pub(super) fn add_layer(draft: &mut Draft, name: &str, tasks: u32, inputs: Vec<Input>, op: Mix) -> u32 {
    let layer: LayerRef<u64> = draft.pieces(meta(name), tasks, op.pieces, inputs, op).unwrap();
    layer.layer()
}

/// A layer that reads others, by number and pattern.
pub(super) fn add(draft: &mut Draft, name: &str, tasks: u32, inputs: &[(u32, Pattern)]) -> u32 {
    let seed = draft.graph().layers().len() as u64;
    let inputs = inputs.iter().map(|(layer, pattern)| Input { layer: *layer, pattern: pattern.clone() }).collect();
    add_layer(draft, name, tasks, inputs, Mix { seed, ..Mix::default() })
}

/// All pieces of a layer.
pub(super) fn pieces(draft: &Draft, layer: u32) -> std::ops::Range<u32> {
    draft.graph().layers()[layer as usize].pieces.clone()
}

/// A pattern that fits the layer below, and a number of tasks that it fits.
pub(super) fn random_pattern(below: &Layer, pattern: u32, size: u32) -> (Pattern, u32) {
    let n = below.original_len();
    let small = 1 + size % 4;
    let grid = || {
        let mut grids = super::grid::examples(n);
        let (grid, above) = grids.swap_remove(size as usize % grids.len());
        (Pattern::Grid(Arc::new(grid)), above)
    };
    let (pattern, above) = match pattern % 16 {
        9..=11 if n > 0 => grid(),
        0 => (Pattern::Stencil { before: size % 3, after: size / 3 % 3 }, n),
        1 => (Pattern::Tree { fan: small + 1 }, n.div_ceil(small + 1)),
        2 => (Pattern::Product { stride: small, extent: n }, small * n),
        3 => (Pattern::Product { stride: 1, extent: n }, 1 + size % (3 * n)),
        4 => (Pattern::Slice { start: size % n, step: 1 }, 1 + size / 7 % (n - size % n)),
        5 => (Pattern::Slice { start: size % n, step: 2 }, (n - size % n).div_ceil(2)),
        6 => (Pattern::Broadcast, small),
        7 => (Pattern::AllToAll, below.pieces_per_task.max(1)),
        8 => (Pattern::All, small),
        _ => (Pattern::OneToOne, n),
    };
    let extent = Extent { below: n, pieces: below.pieces_per_task, above };
    match pattern.fits(extent) {
        true => (pattern, above),
        // Over tasks that give different numbers of pieces nothing fits: the caller makes a source.
        false => (Pattern::All, 1),
    }
}

/// Runs a graph task by task, in the order of their numbers; gives the results in order.
pub(super) fn evaluate(graph: &Graph) -> Result<Vec<u64>> {
    let (scope, budget, cancelled) = (Scope::default(), Budget::new(u64::MAX), AtomicBool::new(false));
    let context = TaskContext { scope: &scope, budget: &budget, cancelled: &cancelled };
    let mut values: Vec<Chunk> = Vec::new();
    let mut scratch = Vec::new();
    for task in 0..graph.task_count() {
        let read = graph.dependencies(task, &mut scratch).iter();
        let mut inputs: Vec<Option<Chunk>> = read.map(|piece| Some(values[*piece as usize].clone())).collect();
        let mut counted = Vec::new();
        let mut out = Outputs::new(&mut values, &mut counted);
        let layer = &graph.layers[graph.layer_at(task)];
        layer.run(task, None, &context, &mut Inputs::new(&mut inputs), &mut out)?;
        assert_eq!(values.len() as u32, graph.pieces_of(task).end);
    }
    let pieces: Vec<u32> = graph.outputs().iter().cloned().flatten().collect();
    let value = |piece: u32| values[piece as usize].get::<u64>().copied();
    match graph.results() {
        None => pieces.into_iter().map(value).collect(),
        Some(results) => results.iter().map(|place| value(pieces[*place as usize])).collect(),
    }
}

/// The graph as text without origins; before and after a pass.
pub(super) fn text(graph: &Graph) -> String {
    graph.explain(ExplainOptions { origins: false, ..ExplainOptions::default() })
}

/// Runs one pass alone. The results must stay, and so must the graph at a second run.
pub(super) fn before_after(pass: &dyn Pass, graph: Graph) -> String {
    let before = (text(&graph), evaluate(&graph).unwrap());
    let graph = pass.run(graph).unwrap();
    assert_eq!(evaluate(&graph).unwrap(), before.1);
    let after = text(&graph);
    assert_eq!(text(&pass.run(graph).unwrap()), after, "a second run finds more to do");
    match after == before.0 {
        true => format!("{after}\n(untouched)"),
        false => format!("{}\n--\n{after}", before.0),
    }
}

pub(super) fn arc(call: Mix) -> Arc<dyn Call> {
    Arc::new(call)
}
