//! Looking at work before it runs: the plan at each stage, its size, its picture.

use std::path::Path;

use super::builder::Runtime;
use super::compute::{Asked, Computable, switches};
use crate::error::Result;
use crate::graph::passes::{Step, Switches, optimize};
use crate::graph::{Estimate, ExplainOptions, Graph};
use crate::origin::Origin;
use crate::plan::{PlanOptions, Request};

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
        let asked = Asked { verb: "explain", origin: Origin::caller() };
        let Looked { graph: lowered, texts, .. } = look_at(self, Stage::Lowered, asked, true)?;
        let Looked { graph: last, steps, .. } = look_at(self, Stage::Fused, asked, false)?;
        let options = ExplainOptions::default();
        let mut text = String::new();
        for (title, plan) in texts {
            text += &format!("{title}\n{}\n", plan.trim_end());
        }
        text += &format!("lowered: {}\n{}\n", counts(&lowered), lowered.explain(options).trim_end());
        for step in steps {
            let before = counted(step.layers_before, step.tasks_before);
            text += &format!("{}: {before} -> {}\n", step.pass, counted(step.layers_after, step.tasks_after));
        }
        text += &format!("runs: {}\n{}\n", counts(&last), last.explain(options).trim_end());
        Ok(text)
    }

    /// The graph at one stage as text.
    ///
    /// # Errors
    /// The first error of the plan.
    #[track_caller]
    fn explain_stage(&self, stage: Stage) -> Result<String> {
        let Looked { graph, .. } =
            look_at(self, stage, Asked { verb: "explain_stage", origin: Origin::caller() }, false)?;
        Ok(graph.explain(ExplainOptions::default()))
    }

    /// Tasks, layers and bytes of what would run, as far as they are known.
    ///
    /// # Errors
    /// The first error of the plan.
    #[track_caller]
    fn estimate(&self) -> Result<Estimate> {
        Ok(look_at(self, Stage::Fused, Asked { verb: "estimate", origin: Origin::caller() }, false)?.graph.estimate())
    }

    /// Draws what would run: `.dot` or `.svg` by the ending, by task up to some hundred, above that by layer; above some
    /// hundred layers an SVG has them in plain rows.
    ///
    /// # Errors
    /// The first error of the plan; of kind `Io` where the file cannot be written; of kind `Unsupported` for another
    /// ending, or for `.svg` without the feature `visualize`.
    #[track_caller]
    fn visualize(&self, path: impl AsRef<Path>) -> Result<()> {
        look_at(self, Stage::Fused, Asked { verb: "visualize", origin: Origin::caller() }, false)?.graph.visualize(path)
    }

    /// As [`Inspect::visualize`], at another stage.
    ///
    /// # Errors
    /// As [`Inspect::visualize`].
    #[track_caller]
    fn visualize_stage(&self, stage: Stage, path: impl AsRef<Path>) -> Result<()> {
        look_at(self, stage, Asked { verb: "visualize_stage", origin: Origin::caller() }, false)?.graph.visualize(path)
    }

    /// Number of layers and of tasks at a stage.
    ///
    /// # Errors
    /// The first error of the plan.
    #[track_caller]
    fn counts(&self, stage: Stage) -> Result<(u32, u32)> {
        let Looked { graph, .. } = look_at(self, stage, Asked { verb: "counts", origin: Origin::caller() }, false)?;
        Ok((graph.layers().len() as u32, graph.task_count()))
    }
}

impl<C: Computable + ?Sized> Inspect for C {}

fn counts(graph: &Graph) -> String {
    counted(graph.layers().len() as u32, graph.task_count())
}

fn counted(layers: u32, tasks: u32) -> String {
    let plural = |one: bool| if one { "" } else { "s" };
    format!("{layers} layer{}, {tasks} task{}", plural(layers == 1), plural(tasks == 1))
}

/// What is found when something lazy is looked at.
struct Looked {
    graph: Graph,
    steps: Vec<Step>,
    /// Plans as texts, each with a title, where they were asked for.
    texts: Vec<(String, String)>,
}

fn look_at<C: Computable + ?Sized>(what: &C, stage: Stage, asked: Asked, explain: bool) -> Result<Looked> {
    let runtime = Runtime::current().map_err(|error| asked.locate(error))?;
    let settings = runtime.per_run().map_err(|error| asked.locate(error))?;
    let mut request = Request::new();
    let pending = what.request(&mut request);
    drop(pending);
    let is_on = |pass: &str| settings.optimize.is_on(pass);
    let options = PlanOptions { is_on: &is_on, limit_bytes: runtime.memory_limit(), explain };
    let lowered = request.lower(&options).map_err(|error| asked.locate(error))?;
    let set = switches(settings.optimize);
    let optimized = optimize(
        lowered.graph,
        Switches {
            share: set.share && stage >= Stage::Shared,
            cull: set.cull && stage >= Stage::Culled,
            fuse: set.fuse && stage >= Stage::Fused,
        },
    )?;
    Ok(Looked { graph: optimized.graph, steps: optimized.steps, texts: lowered.texts })
}
