//! The runtime: threads, memory limit, spill directory and observers, shared by all that is computed with it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::IntoBytes;
use super::config::{MAX_THREADS, Overrides, PerRun, Scheduler, Settings};
use super::current;
use super::observe::{Observer, Observers, Profile, RunReport};
use crate::error::{Error, ErrorKind, Result};
use crate::executor::{Engine, EngineOptions, Threads};
use crate::store::spill::{Disk, RealDisk, SpillOptions, default_root};
use crate::store::{SpillArea, allocator, process};

/// Share of the machine's memory that a runtime takes as its limit where none is set.
const DEFAULT_SHARE: f64 = 0.6;

/// Where work runs: threads, a memory limit, a place to spill, and who looks on.
///
/// A clone is the same runtime. Without one, `compute` uses a default made from the cores and memory that the machine and
/// its control groups allow and from the settings in force: scopes, `config::set` and `CHUNKWISE_*` variables; see
/// [`super::config`].
///
/// ```
/// use chunkwise::prelude::*;
///
/// let runtime = Runtime::builder().threads(2).memory_limit("64 MiB").build()?;
/// let answer = runtime.run(|| delayed(|| 6).map(|x| x * 7).compute())?;
/// assert_eq!(answer, 42);
/// assert_eq!(delayed(|| 1).compute_on(&runtime)?, 1);
/// # Ok::<(), chunkwise::Error>(())
/// ```
///
/// # Dropping it
/// Dropping the last handle cancels what still runs, detached runs too. The last to be dropped of a runtime's handles, of
/// its [`Run`](super::Run)s, of its iterators and of the collections over values it keeps waits until the tasks under way
/// are over: when that drop returns, nothing of the user's is in use any more and no spill file is left. A task that never
/// returns keeps it waiting. It does not wait where it would wait for itself: inside a task, in an observer, on a thread of
/// the pool it works on; nor while its thread panics. There the work ends, and the files go, a little later. The threads
/// end by themselves soon after.
///
/// While there are other handles, dropping a run or an iterator midway only cancels it. Dropping the last collection over
/// kept values removes their files before it returns, if no other run is under way. The default runtime is never dropped:
/// what it has under way when the process ends goes with the process, and files that are left then are removed by the
/// next start that spills to the same place.
#[derive(Clone)]
pub struct Runtime(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub engine: Engine,
    /// Why nothing can be run, if that is so.
    pub broken: Option<Error>,
    /// What its builder said and what the scopes say that it was built in, for what every run reads anew.
    builder: Overrides,
    built_in: Overrides,
    /// Made for a `compute` without one.
    is_default: bool,
    pub observers: Arc<Observers>,
    pub profile: Option<Profile>,
    pub started: Instant,
    pub runs: AtomicU64,
    pub last_report: Arc<Mutex<RunReport>>,
}

impl Runtime {
    /// A runtime with everything as it is set by configuration and machine, to be changed before it is built.
    pub fn builder() -> RuntimeBuilder {
        RuntimeBuilder::default()
    }

    /// A runtime that does everything on the thread that waits for the result, in a fixed order: for debuggers and for
    /// results that do not depend on threads even where a user's function does.
    ///
    /// A bad setting in the environment is an error of the first `compute` with it.
    pub fn synchronous() -> Runtime {
        let made = Runtime::builder().scheduler(Scheduler::Synchronous).build();
        made.unwrap_or_else(Runtime::broken)
    }

    /// A runtime every run of which gives the error that kept it from being what it was to be.
    fn broken(error: Error) -> Runtime {
        let spill = SpillArea::new(Arc::new(RealDisk), default_root(), None);
        let engine = Engine::synchronous(1 << 30, spill);
        Runtime(Arc::new(Inner {
            engine,
            broken: Some(error),
            builder: Overrides::new(),
            built_in: Overrides::new(),
            is_default: false,
            observers: Arc::default(),
            profile: None,
            started: Instant::now(),
            runs: AtomicU64::new(0),
            last_report: Arc::default(),
        }))
    }

    /// The runtime that `compute` uses here: the innermost [`Runtime::run`] on this thread, or the default one for the
    /// settings in force.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Config`] where the default one cannot be made because a setting is wrong.
    pub fn current() -> Result<Runtime> {
        current::current()
    }

    /// Runs a function in whose calls this runtime is the one that `compute` uses.
    pub fn run<R>(&self, work: impl FnOnce() -> R) -> R {
        let _scope = current::enter(self);
        work()
    }

    /// How the last run that ended went. Before the first one all is zero.
    pub fn last_report(&self) -> RunReport {
        self.0.last_report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Times of all tasks of all its runs, where it was built with [`RuntimeBuilder::profile`].
    pub fn profile(&self) -> Option<Profile> {
        self.0.profile.clone()
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.0.engine.threads()
    }

    /// The memory limit in bytes.
    pub fn memory_limit(&self) -> u64 {
        self.0.engine.limit_bytes()
    }

    /// Bytes that are held now: values that wait, running tasks and reservations.
    pub fn memory_held(&self) -> u64 {
        self.0.engine.budget().held()
    }

    /// Bytes that are on disk now.
    pub fn spilled(&self) -> u64 {
        self.0.engine.spill().live_bytes()
    }

    /// The settings of a run that begins now, on this thread.
    pub(super) fn per_run(&self) -> Result<PerRun> {
        PerRun::resolve(&self.0.built_in, &self.0.builder)
    }

    /// A handle for what may outlive the scope that holds it, where nobody else can hold it.
    pub(super) fn if_default(&self) -> Option<Runtime> {
        self.0.is_default.then(|| self.clone())
    }

    pub(super) fn next_run(&self) -> u64 {
        self.0.runs.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let limit = crate::error::human_bytes(self.memory_limit());
        write!(f, "Runtime({} threads, memory limit {limit})", self.threads())
    }
}

/// Says what a [`Runtime`] is to be; a wrong value is an error of [`RuntimeBuilder::build`].
///
/// ```
/// use chunkwise::prelude::*;
///
/// let runtime = Runtime::builder()
///     .threads(2)
///     .memory_limit("512 MiB")
///     .timeout(std::time::Duration::from_secs(60))
///     .set("optimize.fuse", false) // any setting by its key
///     .build()?;
/// assert_eq!((runtime.threads(), runtime.memory_limit()), (2, 512 << 20));
/// let error = Runtime::builder().memory_limit("much").build().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Config);
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[derive(Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct RuntimeBuilder {
    overrides: Overrides,
    pool: Option<Arc<rayon::ThreadPool>>,
    observers: Vec<Arc<dyn Observer>>,
    disk: Option<Arc<dyn Disk>>,
}

impl RuntimeBuilder {
    /// Number of threads of its own, at most 1024; without it the number of cores the process may use.
    #[track_caller]
    pub fn threads(mut self, threads: usize) -> Self {
        self.overrides.set("threads", threads);
        self
    }

    /// Works on a pool that others use as well: it takes at most one job per thread and lets others run in between.
    pub fn pool(mut self, pool: Arc<rayon::ThreadPool>) -> Self {
        self.pool = Some(pool);
        self
    }

    /// Bytes that may be held: a number, or a text such as `"2GB"` or `"512 MiB"`. Without it 60 % of the memory the
    /// process may use.
    #[track_caller]
    pub fn memory_limit(mut self, limit: impl IntoBytes) -> Self {
        self.overrides.bytes("memory_limit", limit);
        self
    }

    /// Directory for what does not fit into memory; without it the system's temporary directory, if that is on disk.
    #[track_caller]
    pub fn spill_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.overrides.path("spill_dir", dir);
        self
    }

    /// Most bytes to have on disk at a time.
    #[track_caller]
    pub fn spill_cap(mut self, cap: impl IntoBytes) -> Self {
        self.overrides.bytes("spill_cap", cap);
        self
    }

    /// Threads or synchronous.
    #[track_caller]
    pub fn scheduler(mut self, scheduler: Scheduler) -> Self {
        let word = match scheduler {
            Scheduler::Threads => "threads",
            Scheduler::Synchronous => "synchronous",
        };
        self.overrides.set("scheduler", word);
        self
    }

    /// Shows a bar on stderr during long runs, if that is a terminal. Needs the feature `progress`.
    #[track_caller]
    pub fn progress(mut self, progress: bool) -> Self {
        self.overrides.set("progress", progress);
        self
    }

    /// Ends every run that takes longer with an error of kind [`ErrorKind::Timeout`]. `Duration::MAX` is no timeout.
    #[track_caller]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.overrides.duration("timeout", timeout);
        self
    }

    /// Notes start, end, thread and bytes of every task, for [`Runtime::profile`].
    #[track_caller]
    pub fn profile(mut self, profile: bool) -> Self {
        self.overrides.set("observe.tasks", profile);
        self
    }

    /// Any other setting, by its key; see [`super::config`].
    #[track_caller]
    pub fn set(mut self, key: &str, value: impl ToString) -> Self {
        self.overrides.set(key, value);
        self
    }

    /// Tells an observer of every run.
    pub fn observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    /// Spills to something else than the file system.
    pub fn disk(mut self, disk: impl Disk + 'static) -> Self {
        self.disk = Some(Arc::new(disk));
        self
    }

    /// Makes the runtime.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Config`] where a setting is wrong, wherever it comes from, or threads cannot be started.
    pub fn build(self) -> Result<Runtime> {
        let settings = Settings::resolve(&self.overrides)?;
        self.build_with(settings, Overrides::of_scopes(), false)
    }

    /// A runtime of these settings that keeps to no scope: every run of it asks the layers of its moment.
    pub(super) fn build_default(self, settings: Settings) -> Result<Runtime> {
        self.build_with(settings, Overrides::new(), true)
    }

    fn build_with(self, settings: Settings, built_in: Overrides, is_default: bool) -> Result<Runtime> {
        let threads = match (settings.scheduler, self.pool) {
            (Scheduler::Synchronous, None) => Threads::Synchronous,
            (Scheduler::Synchronous, Some(_)) => {
                let text = "a synchronous runtime has no use for a thread pool";
                return Err(Error::new(ErrorKind::Config, text));
            }
            (Scheduler::Threads, Some(pool)) => Threads::Handed(pool),
            (Scheduler::Threads, None) => {
                Threads::Own(settings.threads.unwrap_or_else(|| process::cpu_limit().min(MAX_THREADS)))
            }
        };
        let limit_bytes = settings.memory_limit_bytes.unwrap_or_else(|| {
            // Where the system does not tell, a size that every machine has.
            let memory = process::memory_limit().unwrap_or(4 << 30);
            (memory as f64 * DEFAULT_SHARE) as u64
        });
        allocator::keep_freed_memory();
        let root = settings.spill_dir.clone().unwrap_or_else(default_root);
        let disk = self.disk.unwrap_or_else(|| Arc::new(RealDisk));
        let options =
            SpillOptions { cap: settings.spill_cap_bytes, open_files: settings.open_files, ..SpillOptions::default() };
        let spill = SpillArea::with_options(disk, root, options);
        let engine = Engine::new(EngineOptions { threads, limit_bytes, spill })?;

        let mut observers = self.observers;
        let profile = settings.observe_tasks.then(Profile::new);
        if let Some(profile) = &profile {
            observers.push(Arc::new(profile.clone()));
        }
        if settings.progress {
            observers.push(progress_bar()?);
        }
        #[cfg(feature = "tracing")]
        observers.push(Arc::new(super::observe::TracingObserver::new()));
        Ok(Runtime(Arc::new(Inner {
            engine,
            broken: None,
            builder: self.overrides,
            built_in,
            is_default,
            observers: Arc::new(Observers::new(observers)),
            profile,
            started: Instant::now(),
            runs: AtomicU64::new(0),
            last_report: Arc::default(),
        })))
    }
}

#[cfg(feature = "progress")]
fn progress_bar() -> Result<Arc<dyn Observer>> {
    Ok(Arc::new(super::observe::ProgressBar::new()))
}

#[cfg(not(feature = "progress"))]
fn progress_bar() -> Result<Arc<dyn Observer>> {
    let text = "a progress bar needs the feature `progress` of chunkwise";
    Err(Error::new(ErrorKind::Unsupported, text))
}
