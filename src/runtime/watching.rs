//! Between the executor and the observers: counts become reports, tasks get names.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::observe::{LayerInfo, LayerReport, NamedTask, Observers, Outcome, RunEvent, RunReport, TaskRecord};
use crate::error::Error;
use crate::executor::{RunStats, TaskTimes, Watch};
use crate::graph::{Body, Call, Graph};

/// Numbers of a run that the executor does not know.
pub(super) struct Plan {
    pub run: u64,
    pub threads: u32,
    pub limit_bytes: u64,
    pub layers_before: u64,
    pub tasks_before: u64,
}

pub(super) struct Watching {
    pub plan: Plan,
    /// From the start of the runtime to that of the run.
    pub since: Duration,
    pub observers: Arc<Observers>,
    pub last_report: Arc<Mutex<RunReport>>,
}

/// What observers are told of the layers, and of each task where it has a name of its own and they want to know it.
pub(super) fn layers(graph: &Graph, wants_tasks: bool) -> Vec<LayerInfo> {
    let layers = graph.layers().iter().map(|layer| {
        let members = match &layer.body {
            Body::Regular { op, .. } => op.members().iter().map(|member| member.name.clone()).collect(),
            Body::Explicit(_) => Vec::new(),
        };
        let named = match &layer.body {
            Body::Explicit(tasks) if wants_tasks => tasks.calls().map(named).collect(),
            _ => Vec::new(),
        };
        let origin = layer.meta.origin;
        LayerInfo { name: layer.meta.name.clone(), origin, tasks: u64::from(layer.len()), members, named }
    });
    layers.collect()
}

fn named(call: &dyn Call) -> NamedTask {
    let members = call.members().iter().map(|member| member.name().to_string()).collect();
    NamedTask { name: call.name().to_string(), origin: call.origin(), members }
}

impl Watching {
    fn report(&self, graph: &Graph, stats: &RunStats, error: Option<&Error>) -> RunReport {
        let mut report = RunReport {
            run: self.plan.run,
            outcome: Outcome::of(error),
            elapsed: stats.elapsed,
            threads: self.plan.threads,
            tasks: stats.done,
            layers_before: self.plan.layers_before,
            tasks_before: self.plan.tasks_before,
            layers_after: graph.layers().len() as u64,
            tasks_after: stats.tasks,
            limit_bytes: self.plan.limit_bytes,
            peak_accounted_bytes: stats.peak_accounted,
            peak_resident_growth_bytes: stats.peak_resident,
            source_bytes: stats.bytes_read,
            minor_faults: stats.page_faults.map(|(minor, _)| minor),
            major_faults: stats.page_faults.map(|(_, major)| major),
            ..RunReport::default()
        };
        for (info, layer) in layers(graph, false).iter().zip(&stats.layers) {
            report.spilled_bytes += layer.spilled;
            report.read_back_bytes += layer.read_back;
            let mut line = LayerReport::new(info);
            line.tasks = layer.tasks;
            line.busy = Duration::from_nanos(layer.nanos);
            line.out_bytes = layer.bytes_out;
            line.spilled_bytes = layer.spilled;
            line.read_back_bytes = layer.read_back;
            report.layers.push(line);
        }
        report
    }
}

impl Watch for Watching {
    fn wants_tasks(&self) -> bool {
        self.observers.wants_tasks()
    }

    fn wants_progress(&self) -> bool {
        !self.observers.is_empty()
    }

    fn progress(&self, layer: u32, done: u64, at: Duration) {
        self.observers.notify(&RunEvent::Progress { run: self.plan.run, layer, done, at: self.since + at });
    }

    fn task(&self, graph: &Graph, times: &TaskTimes) {
        let at = graph.layer_at(times.task);
        let layer = &graph.layers()[at];
        let place = times.task - layer.tasks.start;
        let index = match &layer.body {
            Body::Regular { .. } => layer.index(place),
            // Calls are known by where they stand.
            Body::Explicit(_) => place,
        };
        self.observers.notify(&RunEvent::Task(&TaskRecord {
            run: self.plan.run,
            layer: at as u32,
            index: u64::from(index),
            member: None,
            thread: times.worker,
            start: self.since + times.start,
            end: self.since + times.end,
            bytes_in: times.bytes_in,
            bytes_out: times.bytes_out,
        }));
    }

    fn spilled(&self, graph: &Graph, task: u32, bytes: u64, at: Duration) {
        let layer = graph.layer_at(task) as u32;
        self.observers.notify(&RunEvent::Spilled { run: self.plan.run, layer, bytes, at: self.since + at });
    }

    fn read_back(&self, graph: &Graph, task: u32, bytes: u64, at: Duration) {
        let layer = graph.layer_at(task) as u32;
        self.observers.notify(&RunEvent::ReadBack { run: self.plan.run, layer, bytes, at: self.since + at });
    }

    fn ended(&self, graph: &Graph, stats: &RunStats, error: Option<&Error>) {
        let report = self.report(graph, stats, error);
        let at = self.since + stats.elapsed;
        self.observers.notify(&RunEvent::Ended { run: self.plan.run, report: &report, error, at });
        *self.last_report.lock().unwrap_or_else(PoisonError::into_inner) = report;
    }
}
