//! A run in the background.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::compute::{Asked, finish_guarded};
use crate::error::{Error, Result};
use crate::executor::{RunCanceller, RunHandle};

/// A run that was started and goes on by itself; a `Future` of its result.
///
/// Dropping it cancels the run; [`Run::detach`] lets it go on.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let runtime = Runtime::builder().threads(2).build()?;
/// let run = delayed(|| 20).map(|x| x + 1).start_on(&runtime);
/// let stop = run.canceller(); // Clone + Send; `stop.cancel()` would end it
/// assert_eq!(run.wait()?, 21);
/// # drop(stop);
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[must_use = "dropping a run cancels it; call `wait`, `.await` or `detach`"]
pub struct Run<T> {
    handle: Option<Result<RunHandle>>,
    finish: Option<Finish<T>>,
    asked: Asked,
}

type Finish<T> = Box<dyn FnOnce() -> Result<T> + Send>;

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Tasks that have run.
    pub done: u64,
    /// Tasks in all.
    pub tasks: u64,
    /// Since the start.
    pub elapsed: Duration,
}

/// Stops a run from anywhere.
#[derive(Clone)]
pub struct Canceller(Option<RunCanceller>);

impl Canceller {
    /// Ends the run: no new task begins, what runs is awaited, everything is freed.
    pub fn cancel(&self) {
        if let Some(canceller) = &self.0 {
            canceller.cancel();
        }
    }
}

impl<T> Run<T> {
    pub(super) fn new(handle: Result<RunHandle>, finish: Finish<T>, asked: Asked) -> Run<T> {
        Run { handle: Some(handle), finish: Some(finish), asked }
    }

    /// Waits for the result.
    ///
    /// # Errors
    /// As `compute`; of kind `Cancelled` where it was cancelled.
    pub fn wait(mut self) -> Result<T> {
        match self.handle.take() {
            Some(Ok(handle)) => handle.wait().map_err(|error| self.asked.locate(error))?,
            Some(Err(error)) => return Err(error),
            None => return Err(used_up()),
        }
        let finish = self.finish.take().ok_or_else(used_up)?;
        finish_guarded(finish).map_err(|error| self.asked.locate(error))
    }

    /// Waits a while; the run comes back where it is not over by then.
    ///
    /// Where this thread is the one that does the work, as on a synchronous runtime and inside a task, it does so until the
    /// time is over; a task that has begun is not interrupted.
    ///
    /// # Errors
    /// As [`Run::wait`], inside.
    pub fn wait_timeout(self, timeout: Duration) -> Result<Result<T>, Run<T>> {
        match &self.handle {
            Some(Ok(handle)) if !handle.wait_timeout(timeout) => Err(self),
            _ => Ok(self.wait()),
        }
    }

    /// How far it is. On a synchronous runtime, and for a run that was started inside a task, nothing goes on by itself: it
    /// has to be waited for.
    pub fn progress(&self) -> Progress {
        match &self.handle {
            Some(Ok(handle)) => {
                let stats = handle.stats();
                Progress { done: stats.done, tasks: stats.tasks, elapsed: stats.elapsed }
            }
            _ => Progress::default(),
        }
    }

    /// Whether it is over; see [`Run::progress`].
    pub fn is_over(&self) -> bool {
        match &self.handle {
            Some(Ok(handle)) => handle.is_over(),
            _ => true,
        }
    }

    /// Something that can cancel the run from elsewhere.
    pub fn canceller(&self) -> Canceller {
        match &self.handle {
            Some(Ok(handle)) => Canceller(Some(handle.canceller())),
            _ => Canceller(None),
        }
    }

    /// Lets the run go on without anyone waiting for it, until it ends or the last handle of the runtime is dropped. On a
    /// synchronous runtime it goes on while other runs are waited for. A run that was started inside a task, and waited for
    /// in vain with [`Run::wait_timeout`], is done to its end here.
    pub fn detach(mut self) {
        if let Some(Ok(handle)) = self.handle.take() {
            handle.detach();
        }
    }
}

fn used_up() -> Error {
    Error::internal("a run gives its result once")
}

impl<T> Unpin for Run<T> {}

impl<T> Future for Run<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        match &self.handle {
            Some(Ok(handle)) => {
                if handle.is_synchronous() {
                    // Nobody else would do the work.
                    if let (Err(error), None) = (handle.wait(), handle.result()) {
                        return Poll::Ready(Err(error));
                    }
                } else if handle.wake_at_end(context.waker()) {
                    return Poll::Pending;
                }
                let result = handle.result().unwrap_or_else(|| Err(used_up()));
                let finish = self.finish.take();
                self.handle = None;
                let asked = self.asked;
                Poll::Ready(result.map_err(|error| asked.locate(error)).and_then(|()| match finish {
                    Some(finish) => finish_guarded(finish).map_err(|error| asked.locate(error)),
                    None => Err(used_up()),
                }))
            }
            Some(Err(_)) => match self.handle.take() {
                Some(Err(error)) => Poll::Ready(Err(error)),
                _ => Poll::Ready(Err(used_up())),
            },
            None => Poll::Ready(Err(used_up())),
        }
    }
}
