//! How long the scheduler's brain takes per task, on one thread and without any work: nanoseconds for independent tasks,
//! a chain, and a binary tree, with few and with many workers.
//!
//! Run with `cargo run --release --example brain_pace`.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use chunkwise::schedule::{Actions, Brain, BrainConfig, Event, OutputMode, RunId, Submission, Topology};

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Independent,
    Chain,
    Tree,
}

/// Nothing is stored: edges are computed. A tree's leaves stand first, its root last.
struct Pattern {
    kind: Kind,
    tasks: u32,
}

impl Pattern {
    fn leaves(&self) -> u32 {
        self.tasks.div_ceil(2)
    }
}

impl Topology for Pattern {
    fn tasks(&self) -> u32 {
        self.tasks
    }
    fn pieces(&self) -> u32 {
        self.tasks
    }
    fn layers(&self) -> u32 {
        if self.kind == Kind::Tree { 2 } else { 1 }
    }
    fn layer_of(&self, task: u32) -> u32 {
        u32::from(self.kind == Kind::Tree && task >= self.leaves())
    }
    fn pieces_of(&self, task: u32) -> Range<u32> {
        task..task + 1
    }
    fn task_of(&self, piece: u32) -> u32 {
        piece
    }
    fn dependencies<'a>(&'a self, task: u32, scratch: &'a mut Vec<u32>) -> &'a [u32] {
        scratch.clear();
        match self.kind {
            Kind::Independent => {}
            Kind::Chain => scratch.extend(task.checked_sub(1)),
            Kind::Tree if task < self.leaves() => {}
            Kind::Tree => scratch.extend([2 * (task - self.leaves()), 2 * (task - self.leaves()) + 1]),
        }
        scratch
    }
    fn count_dependencies(&self, counts: &mut [u32]) {
        match self.kind {
            Kind::Independent => {}
            Kind::Chain => counts[1..].fill(1),
            Kind::Tree => counts[self.leaves() as usize..].fill(2),
        }
    }
    fn consumers<'a>(&'a self, piece: u32, scratch: &'a mut Vec<u32>) -> &'a [u32] {
        scratch.clear();
        let last = piece + 1 == self.tasks;
        match self.kind {
            Kind::Independent => {}
            Kind::Chain => scratch.extend((!last).then_some(piece + 1)),
            Kind::Tree => scratch.extend((!last).then_some(self.leaves() + piece / 2)),
        }
        scratch
    }
    fn position(&self, task: u32) -> u64 {
        u64::from(task)
    }
    fn need(&self, _: u32) -> u64 {
        800
    }
    fn uniform(&self, _: u32) -> bool {
        true
    }
    fn seals(&self, _: u32) -> bool {
        // Every task comes back to the brain by itself: what is measured is its work.
        true
    }
    fn spillable(&self, _: u32) -> bool {
        true
    }
}

/// Nanoseconds per task; all work is done by one worker of so many.
fn pace(kind: Kind, tasks: u32, workers: u32) -> f64 {
    let topology = Arc::new(Pattern { kind, tasks });
    let first = if kind == Kind::Independent { 0 } else { tasks - 1 };
    let outputs = std::iter::once(first..tasks).collect();
    let mut brain = Brain::new(BrainConfig { workers, limit: 1 << 40, max_lease: 64 });
    let mut actions = Actions::default();
    let run = RunId(0);
    brain.submit(Submission { run, topology, outputs, mode: OutputMode::Collect }, &mut actions);
    let mut events = vec![Event::Arrived(0)];
    let begin = Instant::now();
    loop {
        actions.clear();
        brain.handle(&events, &mut actions);
        events.clear();
        if actions.start.is_empty() {
            break;
        }
        let done = |start: &chunkwise::schedule::Start| Event::Done { worker: 0, run, task: start.task, bytes: 800 };
        events.extend(actions.start.iter().map(done));
        events.push(Event::Timing { run, layer: 0, tasks: events.len() as u32, nanos: 100 * events.len() as u64 });
        events.push(Event::Ask(0));
    }
    assert!(brain.is_idle(), "the run has not ended");
    begin.elapsed().as_nanos() as f64 / f64::from(tasks)
}

fn main() {
    for workers in [1, 8, 64] {
        let best = |kind, tasks| (0..5).map(|_| pace(kind, tasks, workers)).fold(f64::INFINITY, f64::min);
        println!(
            "{workers:>2} workers: independent {:6.1} ns per task, chain {:6.1}, binary tree {:6.1}",
            best(Kind::Independent, 1_000_000),
            best(Kind::Chain, 100_000),
            best(Kind::Tree, 1_048_575)
        );
    }
}
