//! A graph as text, and what is known of it before it runs.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write;

use super::layer::{Body, Graph, Input, Layer};
use super::pattern::Pattern;
use crate::error::human_bytes;
use crate::origin::Origin;
use crate::schedule::Topology;

/// What [`Graph::explain`] tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExplainOptions {
    /// The user's line of each layer.
    pub origins: bool,
    /// Most names of tasks of an explicit layer, and of members of a fused one; runs of the same name count as one.
    pub names: usize,
}

impl Default for ExplainOptions {
    fn default() -> ExplainOptions {
        ExplainOptions { origins: true, names: 6 }
    }
}

/// What is known of a graph before it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Number of layers.
    pub layers: u32,
    /// Number of tasks.
    pub tasks: u32,
    /// Bytes of the results, as far as their tasks declare them; scratch memory they declare counts too.
    pub known_bytes: u64,
    /// Largest number of bytes held at once if one worker runs all tasks in the static order and holds the results to
    /// the end; `None` (unknown) if any task declares nothing.
    pub peak_bytes: Option<u64>,
}

impl Graph {
    /// The graph as text: a line per layer with its number, name and tasks, which layers it reads and how, what was fused
    /// into it, the bytes a task is declared to need, and whether its pieces can be spilled.
    ///
    /// ```text
    /// 0 load   100 tasks, 8 MiB each, spills  at main.rs:3
    /// 1 sum     13 tasks <- 0 tree of 8 = half, sum  at main.rs:4
    /// results: 1
    /// ```
    pub fn explain(&self, options: ExplainOptions) -> String {
        let width = self.layers.iter().map(|layer| layer.meta.name.chars().count()).max().unwrap_or(0).min(24);
        let mut text = String::new();
        for (at, layer) in self.layers.iter().enumerate() {
            // Writing to a string does not fail.
            let _ = self.explain_layer(&mut text, at, layer, width, options);
            text.push('\n');
        }
        let _ = write!(text, "results: {}", self.explain_results());
        text
    }

    fn explain_layer(
        &self,
        text: &mut String,
        at: usize,
        layer: &Layer,
        width: usize,
        options: ExplainOptions,
    ) -> std::fmt::Result {
        write!(text, "{at} {:width$} {}", layer.meta.name, counted(layer.len(), "task"))?;
        if layer.kept.is_some() {
            write!(text, " of {}", layer.original_len())?;
        }
        if layer.pieces_per_task != 1 {
            write!(text, ", {}", counted(layer.pieces.end - layer.pieces.start, "piece"))?;
        }
        match &layer.body {
            Body::Regular { op, inputs } => {
                for (slot, input) in inputs.iter().enumerate() {
                    let arrow = if slot == 0 { " <- " } else { ", " };
                    write!(text, "{arrow}{} {}", input.layer, reads(input))?;
                }
                let members = op.members().iter().map(|member| member.name.as_str());
                if !op.members().is_empty() {
                    write!(text, " = {}", runs(members, options.names))?;
                }
                let need = if layer.is_empty() { 0 } else { op.need(layer.index(0)) };
                if need > 0 {
                    write!(text, ", {} each", human_bytes(need))?;
                }
                if op.kind().codec().is_some() {
                    text.push_str(", spills");
                }
                let tail = op.is_barrier().then_some(", barrier");
                text.push_str(tail.unwrap_or_default());
            }
            Body::Explicit(tasks) => {
                write!(text, ", {}", counted(tasks.reads.len() as u32, "edge"))?;
                let names = (0..tasks.len()).map(|task| {
                    let call = tasks.call(task);
                    (call.name(), call.members().len())
                });
                write!(text, ": {}", runs_of_calls(names, options.names))?;
            }
        }
        match layer.meta.origin {
            origin if options.origins && origin != Origin::UNKNOWN => write!(text, "  at {origin}"),
            _ => Ok(()),
        }
    }

    fn explain_results(&self) -> String {
        let mut text = String::new();
        for range in self.outputs.iter().filter(|range| !range.is_empty()).take(9) {
            if !text.is_empty() {
                text.push_str(", ");
            }
            let Some(layer) = self.layers.get(self.layer_at_piece(range.start)) else { continue };
            let at = self.layer_at_piece(range.start);
            let _ = match *range == layer.pieces {
                true => write!(text, "{at}"),
                false => write!(text, "{at}[{}..{}]", range.start - layer.pieces.start, range.end - layer.pieces.start),
            };
        }
        if self.outputs.len() > 9 {
            let _ = write!(text, ", … {} ranges in all", self.outputs.len());
        }
        if text.is_empty() {
            text.push_str("none");
        }
        if let Some(results) = &self.results {
            let _ = write!(text, " (for {})", counted(results.len() as u32, "result"));
        }
        text
    }

    /// Counts, and what the declared needs of the tasks tell. In time proportional to the tasks and their edges.
    pub fn estimate(&self) -> Estimate {
        let outputs = self.outputs.iter().cloned().flatten();
        let mut known_bytes = 0u64;
        let mut last = None;
        for task in outputs.map(|piece| self.task_of(piece)) {
            if last.replace(task) != Some(task) {
                known_bytes = known_bytes.saturating_add(self.need(task));
            }
        }
        let (layers, tasks) = (self.layers.len() as u32, self.task_count());
        Estimate { layers, tasks, known_bytes, peak_bytes: self.peak_bytes() }
    }

    fn peak_bytes(&self) -> Option<u64> {
        let said = |layer: &Layer| match &layer.body {
            Body::Regular { op, .. } => layer.is_empty() || op.need(layer.index(0)) > 0,
            Body::Explicit(tasks) => tasks.calls.iter().all(|call| call.need() > 0),
        };
        if !self.layers.iter().all(said) {
            return None;
        }
        // A value is held until its last reader has run. A task's need stands for all its pieces, which go together.
        let mut readers = vec![0u32; self.task_count() as usize];
        for piece in self.outputs.iter().cloned().flatten() {
            readers[self.task_of(piece) as usize] += 1;
        }
        let mut scratch = Vec::new();
        for task in 0..self.task_count() {
            for piece in self.dependencies(task, &mut scratch) {
                readers[self.task_of(*piece) as usize] += 1;
            }
        }
        let (mut held, mut peak, mut known) = (0u64, 0u64, true);
        run_by_position(self, |task| {
            let need = self.need(task);
            known &= need > 0;
            held = held.saturating_add(need);
            peak = peak.max(held);
            let mut drop = |other: u32| held = held.saturating_sub(self.need(other));
            if readers[task as usize] == 0 {
                drop(task);
            }
            for piece in self.dependencies(task, &mut scratch) {
                let below = self.task_of(*piece);
                let left = &mut readers[below as usize];
                *left = left.saturating_sub(1);
                if *left == 0 {
                    drop(below);
                }
            }
        });
        known.then_some(peak)
    }
}

/// Visits all tasks in the order in which one worker runs them: what became ready last comes first, of several the one
/// that is first in the static order; if nothing is ready, the next source.
pub(super) fn run_by_position(graph: &dyn Topology, mut visit: impl FnMut(u32)) {
    let tasks = graph.tasks();
    let mut waiting = vec![0; tasks as usize];
    graph.count_dependencies(&mut waiting);
    // The next source of each layer; within one they come in the order of their numbers.
    let mut sources: BinaryHeap<Reverse<(u64, u32)>> = BinaryHeap::new();
    let next_source = |from: u32, layer: u32, waiting: &[u32]| {
        let mut rest = (from..tasks).take_while(|task| graph.layer_of(*task) == layer);
        rest.find(|task| waiting[*task as usize] == 0).map(|task| Reverse((graph.position(task), task)))
    };
    let mut layer = None;
    let is_source: Vec<bool> = waiting.iter().map(|waiting| *waiting == 0).collect();
    for task in (0..tasks).filter(|task| is_source[*task as usize]) {
        if layer.replace(graph.layer_of(task)) != Some(graph.layer_of(task)) {
            sources.push(Reverse((graph.position(task), task)));
        }
    }
    let (mut ready, mut scratch): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
    let fixed: Vec<u32> = waiting.clone();
    loop {
        let task = match ready.pop() {
            Some(task) => task,
            None => {
                let Some(Reverse((_, task))) = sources.pop() else { break };
                sources.extend(next_source(task + 1, graph.layer_of(task), &fixed));
                task
            }
        };
        visit(task);
        let before = ready.len();
        for piece in graph.pieces_of(task) {
            for reader in graph.consumers(piece, &mut scratch) {
                let left = &mut waiting[*reader as usize];
                *left -= 1;
                if *left == 0 {
                    ready.push(*reader);
                }
            }
        }
        ready[before..].sort_unstable_by_key(|task| Reverse(graph.position(*task)));
    }
}

/// `1 task`, `2 tasks`.
fn counted(count: u32, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A pattern in words.
pub(super) fn reads(input: &Input) -> String {
    match &input.pattern {
        Pattern::OneToOne => "one-to-one".to_string(),
        Pattern::Broadcast => "broadcast".to_string(),
        Pattern::Stencil { before, after } => format!("stencil -{before}+{after}"),
        Pattern::Tree { fan } => format!("tree of {fan}"),
        Pattern::Product { stride, extent } => format!("product {extent} by {stride}"),
        Pattern::Slice { start, step: 1 } => format!("slice from {start}"),
        Pattern::Slice { start, step } => format!("slice from {start} by {step}"),
        Pattern::AllToAll => "all-to-all".to_string(),
        Pattern::All => "all".to_string(),
        Pattern::Grid(grid) => grid.to_string(),
    }
}

/// Names with runs summed up: `load, add ×3, … 20 in all`.
pub(super) fn runs<'a>(names: impl Iterator<Item = &'a str>, most: usize) -> String {
    runs_of_calls(names.map(|name| (name, 0)), most)
}

/// The same of names with numbers of members, where more than one.
fn runs_of_calls<'a>(names: impl Iterator<Item = (&'a str, usize)>, most: usize) -> String {
    let mut text = String::new();
    let mut parts = 0;
    let mut total = 0;
    let mut run: Option<((&str, usize), usize)> = None;
    let mut add = |(name, members): (&str, usize), times: usize| {
        parts += 1;
        if parts > most {
            return;
        }
        let _ = write!(text, "{}{name}", if parts > 1 { ", " } else { "" });
        let _ = if members > 1 { write!(text, " ({members} fused)") } else { Ok(()) };
        let _ = if times > 1 { write!(text, " ×{times}") } else { Ok(()) };
    };
    for name in names {
        total += 1;
        match &mut run {
            Some((same, times)) if *same == name => *times += 1,
            _ => {
                if let Some((last, times)) = run.replace((name, 1)) {
                    add(last, times);
                }
            }
        }
    }
    if let Some((last, times)) = run {
        add(last, times);
    }
    if parts > most {
        let _ = write!(text, ", … {total} in all");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::testing::{Mix, add, add_layer, arc, meta, pieces, text};
    use crate::graph::{Draft, Tasks};

    fn sums(need: u64) -> Graph {
        let mut draft = Draft::new();
        let load = add_layer(&mut draft, "load", 8, Vec::new(), Mix { need, ..Mix::default() });
        let input = vec![Input { layer: load, pattern: Pattern::Tree { fan: 4 } }];
        let sum = add_layer(&mut draft, "sum", 2, input, Mix { need: 8, ..Mix::default() });
        let outputs = vec![pieces(&draft, sum)];
        draft.finish(outputs)
    }

    #[test]
    fn all_there_is_to_tell() {
        let mut draft = Draft::new();
        let cut = add_layer(&mut draft, "cut", 3, Vec::new(), Mix { pieces: 2, barrier: true, ..Mix::default() });
        let dealt = add(&mut draft, "dealt", 2, &[(cut, Pattern::AllToAll), (cut, Pattern::All)]);
        let mut tasks = Tasks::with_capacity(0, 0);
        for task in 0..20u32 {
            let name = ["a", "b", "c"][task as usize / 3 % 3].to_string();
            tasks.push(arc(Mix { name, ..Mix::default() }), [task % 3], 1);
        }
        draft.explicit(meta("calls"), tasks).unwrap();
        let from = pieces(&draft, dealt).start;
        let graph = draft.finish(vec![0..6, from..from + 1, 0..1]);
        insta::assert_snapshot!(text(&graph), @"
        0 cut   3 tasks, 6 pieces, barrier
        1 dealt 2 tasks <- 0 all-to-all, 0 all
        2 calls 20 tasks, 20 edges: a ×3, b ×3, c ×3, a ×3, b ×3, c ×3, … 20 in all
        results: 0[0..7] (for 8 results)
        ");
        insta::assert_snapshot!(text(&sums(8 << 20)), @"
        0 load 8 tasks, 8 MiB each
        1 sum  2 tasks <- 0 tree of 4, 8 B each
        results: 1
        ");
    }

    #[test]
    fn estimates() {
        let estimate = sums(100).estimate();
        // Four blocks and their sum while the other sum is there already.
        let expected = Estimate { layers: 2, tasks: 10, known_bytes: 16, peak_bytes: Some(416) };
        assert_eq!(estimate, expected);
        assert_eq!(sums(0).estimate(), Estimate { peak_bytes: None, ..expected });
    }

    #[test]
    fn names_in_runs() {
        let names = |names: &[&'static str], most| runs(names.iter().copied(), most);
        assert_eq!(names(&["a", "a", "b", "a"], 6), "a ×2, b, a");
        assert_eq!(names(&["a", "b", "c"], 2), "a, b, … 3 in all");
        assert_eq!(names(&[], 2), "");
    }
}
