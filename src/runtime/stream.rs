//! Values one by one, computed as they are asked for.

use std::sync::Arc;

use super::builder::Runtime;
use super::compute::{Asked, launch, prepare};
use crate::error::Result;
use crate::executor::RunHandle;
use crate::origin::Origin;
use crate::plan::{NodeRef, OneValue, Request};
use crate::store::Chunk;

/// Values of a node in the order of the plan. Tasks begin only for the value that is asked for and a few more: two for
/// each thread. Values that are ready wait in memory, or on disk where it is short. Dropping it cancels the run.
pub struct Stream {
    /// May be one that only a scope holds, which is over before the stream is.
    _runtime: Option<Runtime>,
    handle: RunHandle,
    next: u32,
    count: u32,
    window: u32,
    asked: Asked,
}

impl Stream {
    /// Starts a run for all pieces of a node, with the current runtime, for a verb on the line `origin`.
    ///
    /// # Errors
    /// Where the plan is wrong.
    pub fn start_all(node: &NodeRef, verb: &'static str, origin: Origin) -> Result<Stream> {
        let asked = Asked { verb, origin };
        let runtime = Runtime::current().map_err(|error| asked.locate(error))?;
        let mut request = Request::new();
        request.want_all(node, Arc::new(OneValue::default()));
        let prepared = prepare(request, &runtime).map_err(|error| asked.locate(error))?;
        let count = prepared.graph.result_count();
        let handle = launch(prepared, None, true, &runtime);
        let window = 2 * runtime.threads() as u32;
        Ok(Stream { _runtime: runtime.if_default(), handle, next: 0, count, window, asked })
    }
}

impl Iterator for Stream {
    type Item = Result<Chunk>;

    fn next(&mut self) -> Option<Result<Chunk>> {
        if self.next == self.count {
            return None;
        }
        let output = self.next;
        self.next += 1;
        self.handle.demand(self.next.saturating_add(self.window).min(self.count));
        let value = self.handle.take(output).map_err(|error| self.asked.locate(error));
        if value.is_err() {
            self.next = self.count;
        }
        Some(value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.count - self.next) as usize;
        (left, Some(left))
    }
}
