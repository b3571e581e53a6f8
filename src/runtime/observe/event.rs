//! What the runtime tells about a run, and who listens.

use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::report::RunReport;
use crate::error::Error;
use crate::origin::Origin;

/// Who is told about runs.
///
/// Called from worker threads, many at once and in the middle of their work: be quick, and never compute with the same
/// runtime from within. A panic in here does not touch the run; the observer is not called again after it.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use chunkwise::runtime::observe::{Observer, RunEvent};
///
/// #[derive(Default)]
/// struct Done(AtomicU64);
///
/// impl Observer for Done {
///     fn observe(&self, event: &RunEvent<'_>) {
///         if let RunEvent::Progress { done, .. } = event {
///             self.0.fetch_add(*done, Ordering::Relaxed);
///         }
///     }
/// }
///
/// let done = Done::default();
/// done.observe(&RunEvent::Progress { run: 0, layer: 0, done: 3, at: Default::default() });
/// assert_eq!(done.0.into_inner(), 3);
/// ```
pub trait Observer: Send + Sync {
    /// Whether every task is to be reported with its times (costs two clock reads a task). Asked when a run starts.
    fn wants_tasks(&self) -> bool {
        false
    }

    /// Takes note of an event.
    fn observe(&self, event: &RunEvent<'_>);
}

impl<T: Observer + ?Sized> Observer for Arc<T> {
    fn wants_tasks(&self) -> bool {
        (**self).wants_tasks()
    }

    fn observe(&self, event: &RunEvent<'_>) {
        (**self).observe(event);
    }
}

/// One thing that happened in a run. Times (`at`) count from the start of the runtime.
///
/// Each run gives one `Started` first and one `Ended` last. Between them events come in no fixed order.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum RunEvent<'a> {
    /// A run begins.
    Started {
        /// The number of the run in its runtime.
        run: u64,
        /// The layers that will run, after optimization.
        layers: &'a [LayerInfo],
        /// When.
        at: Duration,
    },
    /// Tasks of one layer are done.
    Progress {
        /// The number of the run.
        run: u64,
        /// The layer, as an index into those of `Started`.
        layer: u32,
        /// How many tasks are newly done; 0 is allowed, to tell that the run still goes on.
        done: u64,
        /// When.
        at: Duration,
    },
    /// One task has run. Given only where an observer [wants](Observer::wants_tasks) it.
    Task(&'a TaskRecord),
    /// A chunk has been written to disk to free memory.
    Spilled {
        /// The number of the run.
        run: u64,
        /// The layer that made the chunk.
        layer: u32,
        /// Its size on disk.
        bytes: u64,
        /// When the writing ended.
        at: Duration,
    },
    /// A spilled chunk has been read back.
    ReadBack {
        /// The number of the run.
        run: u64,
        /// The layer that made the chunk.
        layer: u32,
        /// Its size on disk.
        bytes: u64,
        /// When the reading ended.
        at: Duration,
    },
    /// The run is over.
    Ended {
        /// The number of the run.
        run: u64,
        /// What it took.
        report: &'a RunReport,
        /// Why it did not give its results.
        error: Option<&'a Error>,
        /// When.
        at: Duration,
    },
}

impl RunEvent<'_> {
    /// The number of the run that the event belongs to.
    pub fn run(&self) -> u64 {
        match self {
            RunEvent::Task(record) => record.run,
            RunEvent::Started { run, .. }
            | RunEvent::Progress { run, .. }
            | RunEvent::Spilled { run, .. }
            | RunEvent::ReadBack { run, .. }
            | RunEvent::Ended { run, .. } => *run,
        }
    }
}

/// A layer of a run, as observers see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerInfo {
    /// Its name: the verb, or what `.named()` said.
    pub name: String,
    /// The line of the user's program that asked for it.
    #[serde(serialize_with = "origin_or_null")]
    pub origin: Origin,
    /// How many tasks it has.
    pub tasks: u64,
    /// The names of the layers that were fused into it, in the order they run in; empty where nothing was.
    pub members: Vec<String>,
    /// Where each task has a name and a line of its own (those of `Delayed`), and an observer wants tasks: theirs, by the
    /// index of the task; empty elsewhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub named: Vec<NamedTask>,
}

impl LayerInfo {
    /// What a task of the layer is called: by itself, or as the layer.
    pub fn name_of(&self, task: &TaskRecord) -> &str {
        let own = || self.named.get(usize::try_from(task.index).ok()?).map(|named| &named.name);
        let member = || self.members.get(task.member? as usize);
        member().or_else(own).unwrap_or(&self.name)
    }

    /// The line that asked for a task: its own, or that of the layer.
    pub fn origin_of(&self, task: &TaskRecord) -> Origin {
        let own = usize::try_from(task.index).ok().and_then(|index| self.named.get(index));
        own.map_or(self.origin, |named| named.origin)
    }
}

/// A task with a name of its own, as observers see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NamedTask {
    /// Its name: the verb, or what `.named()` said.
    pub name: String,
    /// The line of the user's program that asked for it.
    #[serde(serialize_with = "origin_or_null")]
    pub origin: Origin,
    /// The names of the tasks that were fused into it, in the order they run in; empty where nothing was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
}

/// One task that has run; or, of a task that was fused, one member of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TaskRecord {
    /// The number of the run.
    pub run: u64,
    /// The layer, as an index into those of the run.
    pub layer: u32,
    /// The index of the task in its layer.
    pub index: u64,
    /// Which of the layer's members this is about. A fused task gives one record for each member or one without a member
    /// for the whole, never both.
    pub member: Option<u32>,
    /// The thread it ran on, counted from 0.
    pub thread: u32,
    /// When it started, since the start of the runtime.
    #[serde(rename = "start_seconds", serialize_with = "seconds")]
    pub start: Duration,
    /// When it ended.
    #[serde(rename = "end_seconds", serialize_with = "seconds")]
    pub end: Duration,
    /// The size of its inputs.
    pub bytes_in: u64,
    /// The size of what it made.
    pub bytes_out: u64,
}

impl TaskRecord {
    /// How long it ran.
    pub fn elapsed(&self) -> Duration {
        self.end.saturating_sub(self.start)
    }
}

/// A span of time as a number of seconds.
pub(super) fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

/// `file:line`, or null where unknown.
pub(super) fn origin_or_null<S: Serializer>(origin: &Origin, serializer: S) -> Result<S::Ok, S::Error> {
    origin.is_known().then(|| origin.to_string()).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{layer, record};
    use super::*;

    #[test]
    fn records_and_layers_are_json() {
        insta::assert_snapshot!(serde_json::to_string(&record(0, 3, 1, 5, 7)).unwrap(), @r#"{"run":1,"layer":0,"index":3,"member":null,"thread":1,"start_seconds":0.005,"end_seconds":0.007,"bytes_in":8,"bytes_out":16}"#);
        insta::assert_snapshot!(serde_json::to_string(&layer("parse", 3)).unwrap(), @r#"{"name":"parse","origin":null,"tasks":3,"members":[]}"#);
        let line = line!() + 1;
        let info = LayerInfo { origin: Origin::caller(), ..layer("parse", 3) };
        assert!(serde_json::to_string(&info).unwrap().contains(&format!("event.rs:{line}\"")));
    }

    #[test]
    fn every_event_knows_its_run() {
        let record = record(0, 0, 0, 0, 1);
        assert_eq!(RunEvent::Task(&record).run(), 1);
        assert_eq!(RunEvent::Started { run: 7, layers: &[], at: Duration::ZERO }.run(), 7);
    }
}
