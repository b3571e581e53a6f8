//! Looking at work before it runs: the plan at each stage, its size, its picture.

use std::path::Path;

use super::builder::Runtime;
use super::compute::{Computable, locate, switches};
use crate::error::Result;
use crate::graph::passes::{Step, Switches, optimize};
use crate::graph::{Estimate, ExplainOptions, Graph};
use crate::origin::Origin;
use crate::plan::Request;

/// How far a graph has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// As the plan says.
    Lowered,
    /// Equal layers are one.
    Shared,
    /// Without what nothing needs.
    Culled,
    /// With tasks fused: what runs.
    Fused,
}

/// The verbs that look at something lazy without running it.
pub trait Inspect: Computable {
    /// The graph at each stage as text: its layers, how many tasks they have and what they read, and what each pass
    /// made of it.
    ///
    /// # Errors
    /// The first error of the plan.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let row = DelayedVec::from_fn(1000, |i| i).map(|i| i + 1);
    /// let text = row.explain()?;
    /// assert!(text.contains("2 layers, 2000 tasks"));
    /// assert!(text.contains("1 layer, 1000 tasks"));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    fn explain(&self) -> Result<String> {
        let origin = Origin::caller();
        let (lowered, _) = graph_at(self, Stage::Lowered, origin)?;
        let (last, steps) = graph_at(self, Stage::Fused, origin)?;
        let options = ExplainOptions::default();
        let mut text = format!("lowered: {}\n{}", counts(&lowered), lowered.explain(options));
        for step in steps {
            let (layers, tasks) = (step.layers_before, step.tasks_before);
            text += &format!(
                "{}: {layers} layers with {tasks} tasks -> {} with {}\n",
                step.pass, step.layers_after, step.tasks_after
            );
        }
        text += &format!("runs: {}\n{}", counts(&last), last.explain(options));
        Ok(text)
    }

    /// The graph at one stage as text.
    ///
    /// # Errors
    /// The first error of the plan.
    #[track_caller]
    fn explain_stage(&self, stage: Stage) -> Result<String> {
        let (graph, _) = graph_at(self, stage, Origin::caller())?;
        Ok(graph.explain(ExplainOptions::default()))
    }

    /// Tasks, layers and bytes of what would run, as far as they are known.
    ///
    /// # Errors
    /// The first error of the plan.
    #[track_caller]
    fn estimate(&self) -> Result<Estimate> {
        Ok(graph_at(self, Stage::Fused, Origin::caller())?.0.estimate())
    }

    /// Draws what would run: `.dot` or `.svg` by the ending, by task up to some hundred, above that by layer.
    ///
    /// # Errors
    /// The first error of the plan; of kind `Io` where the file cannot be written; of kind `Unsupported` for another
    /// ending, or for `.svg` without the feature `visualize`.
    #[track_caller]
    fn visualize(&self, path: impl AsRef<Path>) -> Result<()> {
        graph_at(self, Stage::Fused, Origin::caller())?.0.visualize(path)
    }

    /// As [`Inspect::visualize`], at another stage.
    ///
    /// # Errors
    /// As [`Inspect::visualize`].
    #[track_caller]
    fn visualize_stage(&self, stage: Stage, path: impl AsRef<Path>) -> Result<()> {
        graph_at(self, stage, Origin::caller())?.0.visualize(path)
    }

    /// Number of layers and of tasks at a stage.
    ///
    /// # Errors
    /// The first error of the plan.
    #[track_caller]
    fn counts(&self, stage: Stage) -> Result<(u32, u32)> {
        let (graph, _) = graph_at(self, stage, Origin::caller())?;
        Ok((graph.layers().len() as u32, graph.task_count()))
    }
}

impl<C: Computable + ?Sized> Inspect for C {}

fn counts(graph: &Graph) -> String {
    let (layers, tasks) = (graph.layers().len(), graph.task_count());
    format!("{layers} {}, {tasks} tasks", if layers == 1 { "layer" } else { "layers" })
}

fn graph_at<C: Computable + ?Sized>(what: &C, stage: Stage, origin: Origin) -> Result<(Graph, Vec<Step>)> {
    let runtime = Runtime::current()?;
    let mut request = Request::new();
    let pending = what.request(&mut request);
    drop(pending);
    let lowered = request.lower().map_err(|error| locate(error, origin))?;
    let set = switches(runtime.0.optimize);
    let optimized = optimize(
        lowered.graph,
        Switches {
            share: set.share && stage >= Stage::Shared,
            cull: set.cull && stage >= Stage::Culled,
            fuse: set.fuse && stage >= Stage::Fused,
        },
    )?;
    Ok((optimized.graph, optimized.steps))
}
