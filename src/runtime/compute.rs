//! `compute` and its sisters: from something lazy to its value.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::builder::Runtime;
use super::config::Optimize;
use super::router::Router;
use super::run::Run;
use super::watching::{Plan, Watching, layers};
use crate::error::{Error, Result, Role};
use crate::executor::{Receiver, RunHandle, RunOptions, Watch, limit_too_small, result_too_large};
use crate::graph::Graph;
use crate::graph::passes::{Switches, optimize};
use crate::origin::Origin;
use crate::plan::{PlanOptions, Request};
use crate::schedule::SMALL_RESULTS;

/// Something lazy that can be computed: a collection, or any mix of them in tuples, arrays, `Vec`, `Option` and maps.
///
/// Computed together they share what they share: a node that two of them use runs once.
pub trait Computable {
    /// What it is when it is computed.
    type Output;
    /// Where its values wait until the run is over.
    type Pending: Send;

    /// Asks for the values that are needed.
    fn request(&self, request: &mut Request) -> Self::Pending;

    /// Makes the output of the values.
    ///
    /// # Errors
    /// Where the values do not make one.
    fn finish(pending: Self::Pending) -> Result<Self::Output>;
}

/// Computes a mix of collections in one run.
///
/// Inside a task of the same runtime the work is done on the task's own thread. That holds for the thread of the task only:
/// where a task spawns a thread of its own that computes on the same runtime, and waits for it, it keeps its worker from
/// the work it waits for, and once all workers wait like that none goes on. Let such a thread use another runtime
/// ([`Runtime::run`]), or compute in the task itself.
///
/// # Errors
/// The first error of the plan or of a task; of kind [`ErrorKind::ResultTooLarge`](crate::ErrorKind::ResultTooLarge), where what is to come back is larger
/// than the memory limit (and than 1 MiB, which is always let through), before anything runs if that is known; of kind
/// [`ErrorKind::LimitTooSmall`](crate::ErrorKind::LimitTooSmall), where a single task needs more than the limit; of kind [`ErrorKind::Config`](crate::ErrorKind::Config), where a setting in force is wrong. The next `compute` works.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let a = delayed(|| 1);
/// let b = a.map(|a| a + 1);
/// let (a, list, none) = compute((&a, vec![&b, &b.map(|b| b * 10)], None::<Delayed<u8>>))?;
/// assert_eq!((a, list, none), (1, vec![2, 20], None));
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[track_caller]
pub fn compute<C: Computable>(what: C) -> Result<C::Output> {
    compute_at(&what, None, Asked { verb: "compute", origin: Origin::caller() })
}

/// The verbs of everything that can be computed.
pub trait Compute: Computable {
    /// Computes with the current runtime: the innermost [`Runtime::run`], or the default one for the settings in force
    /// ([`super::config`]).
    ///
    /// # Errors
    /// As [`compute`].
    #[track_caller]
    fn compute(&self) -> Result<Self::Output> {
        compute_at(self, None, Asked { verb: "compute", origin: Origin::caller() })
    }

    /// Computes with a runtime.
    ///
    /// # Errors
    /// As [`compute`].
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let runtime = Runtime::builder().threads(2).memory_limit("64 MiB").build()?;
    /// assert_eq!(DelayedVec::from_fn(3, |i| i + 1).compute_on(&runtime)?, [1, 2, 3]);
    /// println!("{}", runtime.last_report());
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    fn compute_on(&self, runtime: &Runtime) -> Result<Self::Output> {
        compute_at(self, Some(runtime), Asked { verb: "compute_on", origin: Origin::caller() })
    }

    /// Starts the run in the background and gives a handle. On a synchronous runtime the work is done by
    /// [`Run::wait`]. So it is inside a task of the same runtime, where nothing else could promise to go on: there the run
    /// begins when it is waited for, on that thread, or with [`Run::detach`], on the runtime's own threads.
    ///
    /// # Errors
    /// As [`compute`], out of the run: also what is wrong with the plan.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let runtime = Runtime::builder().threads(2).build()?;
    /// let run = DelayedVec::from_fn(100, u64::from).tree_reduce(|a, b| a + b).start_on(&runtime);
    /// while !run.is_over() {
    ///     println!("{:?}", run.progress());
    ///     std::thread::sleep(std::time::Duration::from_millis(1));
    /// }
    /// assert_eq!(run.wait()?, Some(4950));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    fn start_on(&self, runtime: &Runtime) -> Run<Self::Output>
    where
        Self::Pending: 'static,
        Self::Output: 'static,
    {
        let asked = Asked { verb: "start_on", origin: Origin::caller() };
        let mut request = Request::new();
        let pending = self.request(&mut request);
        let started = start(request, runtime).map_err(|error| asked.locate(error));
        Run::new(started, Box::new(move || Self::finish(pending)), asked)
    }
}

impl<C: Computable + ?Sized> Compute for C {}

fn compute_at<C: Computable + ?Sized>(what: &C, runtime: Option<&Runtime>, asked: Asked) -> Result<C::Output> {
    let mut request = Request::new();
    let pending = what.request(&mut request);
    if !request.is_empty() {
        let computed = match runtime {
            Some(runtime) => start(request, runtime),
            None => Runtime::current().and_then(|runtime| start(request, &runtime)),
        };
        computed.and_then(|handle| handle.wait()).map_err(|error| asked.locate(error))?;
    }
    finish_guarded(|| C::finish(pending)).map_err(|error| asked.locate(error))
}

/// Makes the output of values; a panic in what the user's types do there (`Clone`, `Hash`) is an error, as in a task.
pub(crate) fn finish_guarded<T>(finish: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(finish)).unwrap_or_else(|panic| Err(Error::from_panic(panic)))
}

/// The call that wants results.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub verb: &'static str,
    pub origin: Origin,
}

impl Asked {
    /// Where nothing in the plan is known by line, the line of this call is named.
    pub fn locate(self, error: Error) -> Error {
        let known = error.frames().iter().any(|frame| frame.origin.is_known());
        if known || !self.origin.is_known() { error } else { error.frame(Role::Under, self.verb, self.origin) }
    }
}

/// A graph ready to run, with who takes its results.
pub(super) struct Prepared {
    pub graph: Arc<Graph>,
    pub receiver: Arc<dyn Receiver>,
    pub layers_before: u64,
    pub tasks_before: u64,
    pub timeout: Option<Duration>,
}

pub(super) fn prepare(request: Request, runtime: &Runtime) -> Result<Prepared> {
    if let Some(error) = &runtime.0.broken {
        return Err(error.clone());
    }
    let settings = runtime.per_run()?;
    let limit = runtime.memory_limit();
    let is_on = |pass: &str| settings.optimize.is_on(pass);
    let mut lowered = request.lower(&PlanOptions { is_on: &is_on, limit_bytes: limit, explain: false })?;
    let graph = std::mem::take(&mut lowered.graph);
    let (layers_before, tasks_before) = (graph.layers().len() as u64, u64::from(graph.task_count()));
    let graph = optimize(graph, switches(settings.optimize))?.graph;
    let receiver = Arc::new(Router::new(&lowered, graph.results()));
    check_needs(&graph, limit)?;
    Ok(Prepared { graph: Arc::new(graph), receiver, layers_before, tasks_before, timeout: settings.timeout })
}

pub(super) fn switches(optimize: Optimize) -> Switches {
    Switches { cull: optimize.is_on("cull"), share: optimize.is_on("share"), fuse: optimize.is_on("fuse") }
}

/// What is known to be too large before anything runs.
fn check_needs(graph: &Graph, limit: u64) -> Result<()> {
    use crate::graph::Body;
    for layer in graph.layers() {
        let Body::Regular { op, .. } = &layer.body else { continue };
        // Needs of a regular layer differ at its borders at most.
        for index in [0, layer.len().saturating_sub(1)] {
            let need = if layer.is_empty() { 0 } else { op.need(index) };
            if need > limit {
                let error = limit_too_small(&layer.meta.name, need, limit);
                return Err(error.frame(Role::In, layer.meta.verb, layer.meta.origin));
            }
        }
    }
    Ok(())
}

/// Starts a run whose results go to those that asked.
pub(super) fn start(request: Request, runtime: &Runtime) -> Result<RunHandle> {
    let (known, limit) = (request.known_bytes(), runtime.memory_limit());
    if known > limit.max(SMALL_RESULTS) {
        return Err(result_too_large(known, false, limit));
    }
    let prepared = prepare(request, runtime)?;
    let receiver = prepared.receiver.clone();
    Ok(launch(prepared, Some(receiver), false, runtime))
}

/// Starts a run, telling the observers.
pub(super) fn launch(
    prepared: Prepared,
    receiver: Option<Arc<dyn Receiver>>,
    stream: bool,
    runtime: &Runtime,
) -> RunHandle {
    let inner = &runtime.0;
    let engine = inner.engine.here();
    let plan = Plan {
        run: runtime.next_run(),
        threads: engine.threads() as u32,
        limit_bytes: engine.limit_bytes(),
        layers_before: prepared.layers_before,
        tasks_before: prepared.tasks_before,
    };
    let since = inner.started.elapsed();
    if !inner.observers.is_empty() {
        let layers = layers(&prepared.graph, inner.observers.wants_tasks());
        inner.observers.notify(&super::observe::RunEvent::Started { run: plan.run, layers: &layers, at: since });
    }
    let watch: Arc<dyn Watch> =
        Arc::new(Watching { plan, since, observers: inner.observers.clone(), last_report: inner.last_report.clone() });
    let options = RunOptions { timeout: prepared.timeout, watch: Some(watch) };
    engine.start(prepared.graph, receiver, stream, options)
}
