//! An observer made of closures.

use std::fmt;

use super::event::{LayerInfo, Observer, RunEvent, TaskRecord};
use super::report::RunReport;
use crate::error::Error;

type OnStart = Box<dyn Fn(u64, &[LayerInfo]) + Send + Sync>;
type OnTask = Box<dyn Fn(&TaskRecord) + Send + Sync>;
type OnFinish = Box<dyn Fn(&RunReport, Option<&Error>) + Send + Sync>;

/// Closures to be called when a run starts, when a task has run, and when a run is over.
///
/// ```
/// use chunkwise::runtime::observe::{Callbacks, Observer};
///
/// let callbacks = Callbacks::new()
///     .on_start(|run, layers| eprintln!("run {run} has {} layers", layers.len()))
///     .on_finish(|report, error| eprintln!("{} tasks, {error:?}", report.tasks));
/// assert!(!callbacks.wants_tasks());
/// assert!(callbacks.on_task(|task| eprintln!("{:?}", task.elapsed())).wants_tasks());
/// ```
#[derive(Default)]
#[must_use = "it observes only when given to a runtime"]
pub struct Callbacks {
    start: Option<OnStart>,
    task: Option<OnTask>,
    finish: Option<OnFinish>,
}

impl Callbacks {
    /// No closures yet.
    pub fn new() -> Callbacks {
        Callbacks::default()
    }

    /// Calls `call` with the number of the run and its layers, before the first task.
    pub fn on_start(mut self, call: impl Fn(u64, &[LayerInfo]) + Send + Sync + 'static) -> Callbacks {
        self.start = Some(Box::new(call));
        self
    }

    /// Calls `call` after each task, on the thread that ran it.
    pub fn on_task(mut self, call: impl Fn(&TaskRecord) + Send + Sync + 'static) -> Callbacks {
        self.task = Some(Box::new(call));
        self
    }

    /// Calls `call` with the report, and the error if there is one, after the last task.
    pub fn on_finish(mut self, call: impl Fn(&RunReport, Option<&Error>) + Send + Sync + 'static) -> Callbacks {
        self.finish = Some(Box::new(call));
        self
    }
}

impl Observer for Callbacks {
    fn wants_tasks(&self) -> bool {
        self.task.is_some()
    }

    fn observe(&self, event: &RunEvent<'_>) {
        match event {
            RunEvent::Started { run, layers, .. } => {
                if let Some(call) = &self.start {
                    call(*run, layers);
                }
            }
            RunEvent::Task(record) => {
                if let Some(call) = &self.task {
                    call(record);
                }
            }
            RunEvent::Ended { report, error, .. } => {
                if let Some(call) = &self.finish {
                    call(report, *error);
                }
            }
            RunEvent::Progress { .. } | RunEvent::Spilled { .. } | RunEvent::ReadBack { .. } => {}
        }
    }
}

impl fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_set =
            [("start", self.start.is_some()), ("task", self.task.is_some()), ("finish", self.finish.is_some())];
        f.debug_set().entries(is_set.iter().filter(|(_, set)| *set).map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::super::fixture::{layer, record};
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn each_closure_gets_its_event() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (a, b, c) = (seen.clone(), seen.clone(), seen.clone());
        let callbacks = Callbacks::new()
            .on_start(move |run, layers| a.lock().unwrap().push(format!("start {run} {}", layers[0].name)))
            .on_task(move |task| b.lock().unwrap().push(format!("task {}", task.index)))
            .on_finish(move |report, error| {
                c.lock().unwrap().push(format!("finish {} {}", report.tasks, error.is_some()));
            });
        assert_eq!(format!("{callbacks:?}"), r#"{"start", "task", "finish"}"#);
        let (layers, at, report) =
            ([layer("parse", 1)], Duration::ZERO, RunReport { tasks: 1, ..RunReport::default() });
        let error = Error::new(ErrorKind::Cancelled, "");
        callbacks.observe(&RunEvent::Started { run: 1, layers: &layers, at });
        callbacks.observe(&RunEvent::Progress { run: 1, layer: 0, done: 1, at });
        callbacks.observe(&RunEvent::Task(&record(0, 5, 0, 0, 1)));
        callbacks.observe(&RunEvent::Ended { run: 1, report: &report, error: Some(&error), at });
        assert_eq!(*seen.lock().unwrap(), ["start 1 parse", "task 5", "finish 1 true"]);
        // Without closures nothing happens.
        Callbacks::new().observe(&RunEvent::Ended { run: 1, report: &report, error: None, at });
    }
}
