//! Every task of some runs with its times, to be asked and to be written to files.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::event::{LayerInfo, Observer, RunEvent, TaskRecord, seconds};
use super::report::Outcome;
use super::trace;
use crate::error::{Error, ErrorKind, Result};

/// An observer that keeps the times of every task: which thread ran what, and when.
///
/// It is a handle: a clone given to a runtime fills the one that is kept. It holds about 80 bytes a task.
///
/// ```
/// use chunkwise::runtime::observe::{Observer, Profile};
///
/// let profile = Profile::new();
/// let given_to_a_runtime = profile.clone();
/// assert!(given_to_a_runtime.wants_tasks());
/// assert_eq!((profile.tasks().len(), profile.max_concurrency()), (0, 0));
///
/// let mut json = Vec::new();
/// profile.to_chrome_trace(&mut json)?;
/// assert!(json.starts_with(b"{"));
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Profile(Arc<Mutex<Recorded>>);

/// All that a profile has been told.
#[derive(Debug, Default, Serialize)]
pub(super) struct Recorded {
    pub(super) runs: Vec<ProfiledRun>,
    pub(super) tasks: Vec<TaskRecord>,
    pub(super) moves: Vec<Move>,
}

/// One run in a profile.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ProfiledRun {
    /// The number of the run in its runtime.
    pub run: u64,
    /// Its layers: [`TaskRecord::layer`] is an index into them.
    pub layers: Vec<LayerInfo>,
    /// When it started, since the start of the runtime.
    #[serde(rename = "start_seconds", serialize_with = "seconds")]
    pub start: Duration,
    /// When and how it ended, if it has.
    pub end: Option<RunEnd>,
}

/// When and how a run ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RunEnd {
    /// When, since the start of the runtime.
    #[serde(rename = "at_seconds", serialize_with = "seconds")]
    pub at: Duration,
    /// How.
    pub outcome: Outcome,
}

/// A chunk that went to disk or came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Move {
    /// The number of the run.
    pub run: u64,
    /// The layer that made the chunk.
    pub layer: u32,
    /// Which way.
    pub kind: MoveKind,
    /// Its size on disk.
    pub bytes: u64,
    /// When it was done, since the start of the runtime.
    #[serde(rename = "at_seconds", serialize_with = "seconds")]
    pub at: Duration,
}

/// Which way a chunk went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveKind {
    /// To disk.
    Spilled,
    /// From disk.
    ReadBack,
}

impl Profile {
    /// An empty profile.
    pub fn new() -> Profile {
        Profile::default()
    }

    /// All tasks, in the order in which they were reported.
    pub fn tasks(&self) -> Vec<TaskRecord> {
        self.recorded().tasks.clone()
    }

    /// The tasks with this name, those of the layers with it, and those into which a member with it was fused.
    pub fn tasks_of(&self, name: &str) -> Vec<TaskRecord> {
        let recorded = self.recorded();
        recorded.tasks.iter().filter(|task| recorded.names(task, name)).copied().collect()
    }

    /// The runs, in the order in which they started.
    pub fn runs(&self) -> Vec<ProfiledRun> {
        self.recorded().runs.clone()
    }

    /// What went to disk and came back.
    pub fn moves(&self) -> Vec<Move> {
        self.recorded().moves.clone()
    }

    /// The threads that ran tasks, ascending.
    pub fn threads(&self) -> Vec<u32> {
        let threads: BTreeSet<u32> = self.recorded().tasks.iter().map(|task| task.thread).collect();
        threads.into_iter().collect()
    }

    /// How long a thread ran tasks. A task inside another one (a nested compute) counts once.
    pub fn busy(&self, thread: u32) -> Duration {
        let mut spans: Vec<(Duration, Duration)> = Vec::new();
        spans.extend(
            self.recorded().tasks.iter().filter(|task| task.thread == thread).map(|task| (task.start, task.end)),
        );
        spans.sort();
        let (mut busy, mut covered) = (Duration::ZERO, Duration::ZERO);
        for (start, end) in spans {
            busy += end.saturating_sub(start.max(covered));
            covered = covered.max(end);
        }
        busy
    }

    /// The most tasks that ran at the same moment, on different threads. One that starts when another ends is not beside it.
    pub fn max_concurrency(&self) -> usize {
        let mut edges: Vec<(Duration, bool, u32)> = Vec::new();
        for task in &self.recorded().tasks {
            // A task shorter than the clock's tick still ran.
            let end = task.end.max(task.start + Duration::from_nanos(1));
            edges.extend([(task.start, true, task.thread), (end, false, task.thread)]);
        }
        edges.sort();
        let mut running: std::collections::BTreeMap<u32, usize> = std::collections::BTreeMap::new();
        let mut most = 0;
        for (_, starts, thread) in edges {
            let on_thread = running.entry(thread).or_default();
            if starts {
                *on_thread += 1;
            } else if *on_thread > 1 {
                *on_thread -= 1;
            } else {
                running.remove(&thread);
            }
            most = most.max(running.len());
        }
        most
    }

    /// Forgets all that has been recorded.
    pub fn clear(&self) {
        *self.recorded() = Recorded::default();
    }

    /// Writes runs, tasks and moves as JSON, with times in seconds.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Io`]: the writer fails.
    pub fn to_json(&self, out: impl Write) -> Result<()> {
        write_json(out, &*self.recorded())
    }

    /// Writes what [`Profile::to_json`] gives into a file.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Io`]: the file cannot be created or written.
    pub fn save_json(&self, path: impl AsRef<Path>) -> Result<()> {
        save(path.as_ref(), |out| self.to_json(out))
    }

    /// Writes a trace for `chrome://tracing` and Perfetto: a process per run, a row per thread, the layers as categories,
    /// what went to disk and came back as instants on two rows of their own.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Io`]: the writer fails.
    pub fn to_chrome_trace(&self, out: impl Write) -> Result<()> {
        write_json(out, &trace::of(&self.recorded()))
    }

    /// Writes what [`Profile::to_chrome_trace`] gives into a file.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Io`]: the file cannot be created or written.
    pub fn save_chrome_trace(&self, path: impl AsRef<Path>) -> Result<()> {
        save(path.as_ref(), |out| self.to_chrome_trace(out))
    }

    fn recorded(&self) -> MutexGuard<'_, Recorded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorded {
    /// The layer of a task, unless the profile was given to the runtime in the middle of the run.
    pub(super) fn layer(&self, run: u64, layer: u32) -> Option<&LayerInfo> {
        self.runs.iter().rfind(|known| known.run == run)?.layers.get(layer as usize)
    }

    fn names(&self, task: &TaskRecord, name: &str) -> bool {
        let Some(layer) = self.layer(task.run, task.layer) else { return false };
        let named = usize::try_from(task.index).ok().and_then(|index| layer.named.get(index));
        let fused = named.is_some_and(|named| named.members.iter().any(|member| member == name));
        layer.name_of(task) == name || layer.name == name || fused
    }
}

impl Observer for Profile {
    fn wants_tasks(&self) -> bool {
        true
    }

    fn observe(&self, event: &RunEvent<'_>) {
        let mut recorded = self.recorded();
        match *event {
            RunEvent::Started { run, layers, at } => {
                recorded.runs.push(ProfiledRun { run, layers: layers.to_vec(), start: at, end: None });
            }
            RunEvent::Task(task) => recorded.tasks.push(*task),
            RunEvent::Spilled { run, layer, bytes, at } => {
                recorded.moves.push(Move { run, layer, kind: MoveKind::Spilled, bytes, at });
            }
            RunEvent::ReadBack { run, layer, bytes, at } => {
                recorded.moves.push(Move { run, layer, kind: MoveKind::ReadBack, bytes, at });
            }
            RunEvent::Ended { run, error, at, .. } => {
                if let Some(known) = recorded.runs.iter_mut().rfind(|known| known.run == run) {
                    known.end = Some(RunEnd { at, outcome: Outcome::of(error) });
                }
            }
            RunEvent::Progress { .. } => {}
        }
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let recorded = self.recorded();
        write!(f, "Profile({} runs, {} tasks)", recorded.runs.len(), recorded.tasks.len())
    }
}

fn write_json(mut out: impl Write, value: &impl Serialize) -> Result<()> {
    let failed = |error: std::io::Error| Error::with_source(ErrorKind::Io, "writing a profile", error);
    serde_json::to_writer(&mut out, value).map_err(|error| failed(error.into()))?;
    out.flush().map_err(failed)
}

fn save(path: &Path, write: impl FnOnce(BufWriter<File>) -> Result<()>) -> Result<()> {
    let file = File::create(path).map_err(|error| Error::io(path, "creating", error))?;
    write(BufWriter::new(file)).map_err(|error| Error::with_source(ErrorKind::Io, path.display(), error))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{record, small_run};
    use super::*;

    #[test]
    fn a_run_is_recorded() {
        let profile = Profile::new();
        small_run(&profile.clone(), None);
        assert_eq!(profile.tasks().len(), 4);
        assert_eq!(profile.tasks_of("parse").len(), 2);
        assert_eq!(profile.tasks_of("sum").len(), 1);
        assert_eq!(profile.tasks_of("filter+sum").len(), 2);
        assert_eq!(profile.threads(), [0, 1]);
        assert_eq!(profile.busy(0), Duration::from_millis(10));
        assert_eq!(profile.busy(1), Duration::from_millis(11));
        assert_eq!(profile.busy(2), Duration::ZERO);
        assert_eq!(profile.max_concurrency(), 2);
        assert_eq!(profile.moves().map_kinds(), [MoveKind::Spilled, MoveKind::ReadBack]);
        let end = profile.runs()[0].end.clone().unwrap();
        assert_eq!((end.at, end.outcome), (Duration::from_millis(118), Outcome::Finished));
        assert_eq!(format!("{profile:?}"), "Profile(1 runs, 4 tasks)");
        profile.clear();
        assert_eq!(profile.runs().len() + profile.tasks().len(), 0);
    }

    trait MapKinds {
        fn map_kinds(&self) -> Vec<MoveKind>;
    }

    impl MapKinds for Vec<Move> {
        fn map_kinds(&self) -> Vec<MoveKind> {
            self.iter().map(|moved| moved.kind).collect()
        }
    }

    #[track_caller]
    fn check_concurrency(tasks: &[TaskRecord], most: usize) {
        let profile = Profile::new();
        tasks.iter().for_each(|task| profile.observe(&RunEvent::Task(task)));
        assert_eq!(profile.max_concurrency(), most);
    }

    #[test]
    fn overlap_is_of_threads_and_touching_is_none() {
        check_concurrency(&[record(0, 0, 0, 0, 10), record(0, 1, 1, 10, 20)], 1);
        check_concurrency(&[record(0, 0, 0, 0, 10), record(0, 1, 1, 9, 20), record(0, 2, 2, 15, 16)], 2);
        check_concurrency(&[record(0, 0, 0, 0, 10), record(0, 1, 0, 2, 3)], 1);
        check_concurrency(&[record(0, 0, 0, 5, 5)], 1);
        check_concurrency(&[record(0, 0, 0, 5, 5), record(0, 1, 1, 0, 9)], 2);
    }

    #[test]
    fn a_nested_task_is_busy_once() {
        let profile = Profile::new();
        for task in [record(0, 1, 0, 2, 4), record(0, 0, 0, 0, 10), record(0, 2, 0, 9, 12)] {
            profile.observe(&RunEvent::Task(&task));
        }
        assert_eq!(profile.busy(0), Duration::from_millis(12));
    }

    #[test]
    fn files() {
        let profile = Profile::new();
        small_run(&profile, Some(&Error::new(ErrorKind::Cancelled, "stop")));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile.json");
        profile.save_json(&path).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(json["tasks"][1]["start_seconds"], 0.104);
        assert_eq!(json["runs"][0]["end"]["outcome"], "cancelled");
        assert_eq!(json["moves"][1]["kind"], "read_back");
        let error = profile.save_json(folder.path().join("no/where.json")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.message().contains("where.json"), "{error}");
    }
}
