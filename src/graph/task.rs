//! What a task sees when it runs: its inputs, the place for its outputs, and its surroundings.

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, ErrorKind, Result};
use crate::store::{Budget, Chunk};

/// State that belongs to one run of a graph: that of its exchanges, and counters its sources add to.
#[derive(Default)]
pub struct Scope {
    states: Mutex<HashMap<usize, Arc<dyn Any + Send + Sync>>>,
    bytes_read: AtomicU64,
}

impl Scope {
    /// The state under `key`, made by the first one who asks. The key is the address of the plan data it belongs to,
    /// which lives as long as the graph.
    pub fn state<S: Any + Send + Sync>(&self, key: usize, make: impl FnOnce() -> S) -> Result<Arc<S>> {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let state = states.entry(key).or_insert_with(|| Arc::new(make())).clone();
        state.downcast().map_err(|_| Error::internal("two exchanges share a key"))
    }

    /// Takes the state out, so that it is dropped with its last user.
    pub fn close(&self, key: usize) {
        self.states.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }

    /// Drops all states, so that what they hold is free when the run is over, however it ended.
    pub(crate) fn clear(&self) {
        let states = std::mem::take(&mut *self.states.lock().unwrap_or_else(PoisonError::into_inner));
        drop(states);
    }

    /// Bytes that sources have read from files since the run began.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }
}

/// The surroundings of a running task.
pub struct TaskContext<'a> {
    pub(crate) scope: &'a Scope,
    pub(crate) budget: &'a Budget,
    pub(crate) cancelled: &'a AtomicBool,
}

impl TaskContext<'_> {
    /// State of this run.
    pub fn scope(&self) -> &Scope {
        self.scope
    }

    /// The budget on which the task may make reservations beyond what it declared.
    pub fn budget(&self) -> &Budget {
        self.budget
    }

    /// To be called now and then by what takes long: an error of kind `Cancelled` once the run is ending.
    pub fn check_cancelled(&self) -> Result<()> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Cancelled, "the run was cancelled"));
        }
        Ok(())
    }

    /// Counts bytes that a source has read from files.
    pub fn count_read(&self, bytes: u64) {
        self.scope.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// The inputs of a task, in the order of its dependencies.
pub struct Inputs<'a> {
    chunks: &'a mut [Option<Chunk>],
}

impl<'a> Inputs<'a> {
    /// Inputs over chunks that are all there.
    pub fn new(chunks: &'a mut [Option<Chunk>]) -> Inputs<'a> {
        Inputs { chunks }
    }

    /// Number of inputs, taken ones included.
    pub fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// An input by reference.
    pub fn get<T: Any + Send + Sync>(&self, index: usize) -> Result<&T> {
        match self.chunks.get(index) {
            Some(Some(chunk)) => chunk.get(),
            _ => Err(missing(index)),
        }
    }

    /// An input by value: moved when this is its last use, else cloned.
    pub fn take<T: Any + Send + Sync + Clone>(&mut self, index: usize) -> Result<T> {
        self.take_chunk(index)?.take_or_clone()
    }

    /// An input as it is.
    pub fn take_chunk(&mut self, index: usize) -> Result<Chunk> {
        self.chunks.get_mut(index).and_then(Option::take).ok_or_else(|| missing(index))
    }

    /// The inputs from `from` on, `len` of them.
    pub fn part(&mut self, from: usize, len: usize) -> Inputs<'_> {
        Inputs { chunks: &mut self.chunks[from..from + len] }
    }
}

fn missing(index: usize) -> Error {
    Error::internal(format!("input {index} of a task is missing"))
}

/// Where a task puts what it gives.
pub struct Outputs<'a> {
    pub(crate) chunks: &'a mut Vec<Chunk>,
    pub(crate) counted: &'a mut Vec<u64>,
}

impl<'a> Outputs<'a> {
    /// Outputs into the ends of two lists.
    pub fn new(chunks: &'a mut Vec<Chunk>, counted: &'a mut Vec<u64>) -> Outputs<'a> {
        Outputs { chunks, counted }
    }

    /// The next piece.
    pub fn push<T: Any + Send + Sync>(&mut self, value: T) {
        self.chunks.push(Chunk::new(value));
    }

    /// The next piece, already erased.
    pub fn push_chunk(&mut self, chunk: Chunk) {
        self.chunks.push(chunk);
    }

    /// What a sealing task counted, for the expansion of what follows.
    pub fn count(&mut self, counted: impl IntoIterator<Item = u64>) {
        self.counted.extend(counted);
    }
}
