//! What is improved in a graph before it runs: a list of small passes, each of which can be switched off.

mod cull;
mod fuse;
mod fused;
mod rebuild;
mod share;
mod verify;

#[cfg(test)]
mod cost_tests;
#[cfg(test)]
mod random_tests;

use super::layer::Graph;
use crate::error::Result;

pub use cull::Cull;
pub use fuse::Fuse;
pub use share::Share;

/// A rewriting of graphs that leaves their results as they are.
pub trait Pass {
    /// What it is called in reports and errors.
    fn name(&self) -> &'static str;

    /// The graph with the rewriting done; the same graph, untouched, where there is nothing to do.
    fn run(&self, graph: Graph) -> Result<Graph>;
}

/// Which passes run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switches {
    /// Drop what no result needs.
    pub cull: bool,
    /// Do equal work once.
    pub share: bool,
    /// Run chains as one task.
    pub fuse: bool,
}

impl Default for Switches {
    fn default() -> Switches {
        Switches { cull: true, share: true, fuse: true }
    }
}

/// What one pass did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its name.
    pub pass: &'static str,
    /// Layers before it.
    pub layers_before: u32,
    /// Tasks before it.
    pub tasks_before: u32,
    /// Layers after it.
    pub layers_after: u32,
    /// Tasks after it.
    pub tasks_after: u32,
}

/// A graph after the passes, and what they did.
#[derive(Clone)]
pub struct Optimized {
    /// The graph to run.
    pub graph: Graph,
    /// The passes that ran, in order.
    pub steps: Vec<Step>,
}

/// The passes in the order in which they run.
fn passes(switches: Switches) -> Vec<Box<dyn Pass>> {
    let mut passes: Vec<Box<dyn Pass>> = Vec::new();
    if switches.share {
        // Before culling: two users of a source want different parts of it, and only whole layers are seen to be equal.
        passes.push(Box::new(Share));
    }
    if switches.cull {
        // Before fusing: a reader that no result needs would keep a chain from being fused.
        passes.push(Box::new(Cull));
    }
    if switches.fuse {
        // Last: it hides single layers inside fused ones, where no other pass would find them.
        passes.push(Box::new(Fuse));
    }
    passes
}

/// Runs the passes that are switched on and checks the graph after each.
///
/// # Errors
/// Of kind `Internal` and with the name of the pass, if a pass broke the graph.
pub fn optimize(graph: Graph, switches: Switches) -> Result<Optimized> {
    let mut graph = graph;
    let mut steps = Vec::new();
    for pass in passes(switches) {
        let (layers_before, tasks_before) = (graph.layers.len() as u32, graph.task_count());
        let promise = verify::Promise::of(&graph);
        graph = pass.run(graph)?;
        promise.check(&graph, pass.name())?;
        steps.push(Step {
            pass: pass.name(),
            layers_before,
            tasks_before,
            layers_after: graph.layers.len() as u32,
            tasks_after: graph.task_count(),
        });
    }
    Ok(Optimized { graph, steps })
}
