//! Writing and reading spill files, off the workers' path.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::core::Effects;
use super::engine::Shared;
use super::run::{Hold, RunState, lock};
use crate::error::{Error, Result};
use crate::schedule::Event;
use crate::store::Chunk;
use crate::store::Extent;

pub(super) enum DiskJob {
    /// Write the values of a task by one append.
    Write { run: Arc<Hold>, task: u32, values: Vec<(u32, Chunk)> },
    /// Read a value back.
    Read { run: Arc<Hold>, piece: u32, extent: Option<Arc<Extent>> },
}

/// Jobs for the disk thread; in a synchronous runtime the worker does them itself.
#[derive(Default)]
pub(super) struct DiskQueue {
    queue: Mutex<Queue>,
    filled: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<DiskJob>,
    /// There will be no more.
    closed: bool,
}

impl DiskQueue {
    pub fn push(&self, jobs: impl Iterator<Item = DiskJob>) {
        lock(&self.queue).jobs.extend(jobs);
        self.filled.notify_all();
    }

    pub fn try_next(&self) -> Option<DiskJob> {
        lock(&self.queue).jobs.pop_front()
    }

    pub fn is_empty(&self) -> bool {
        lock(&self.queue).jobs.is_empty()
    }

    /// Waits until there is a job; false if there will be none.
    pub fn wait(&self) -> bool {
        let mut queue = lock(&self.queue);
        while queue.jobs.is_empty() && !queue.closed {
            queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        !queue.jobs.is_empty()
    }

    /// Lets the disk thread end.
    pub fn close(&self) {
        lock(&self.queue).closed = true;
        self.filled.notify_all();
    }
}

impl Shared {
    /// Does one job and tells the brain.
    pub(super) fn do_disk_job(self: &Arc<Shared>, job: DiskJob) {
        let _busy = self.busy();
        let mut effects = Effects::default();
        match job {
            DiskJob::Write { run, task, values } => {
                let written = self.guarded(|| self.write(&run, &values));
                let bytes = written.as_ref().map_or(0, |extents| extents.iter().map(Extent::bytes).sum());
                if let Err(error) = &written {
                    run.fail(run.task_error(task, error.clone()));
                }
                // The memory is free only when these are gone too.
                let pieces: Vec<u32> = values.iter().map(|(piece, _)| *piece).collect();
                effects.garbage.chunks.extend(values.into_iter().map(|(_, chunk)| chunk));
                effects.garbage.clear();
                // What was written is free now, on the heaps of others.
                self.relieve_after(bytes);
                let ok = written.is_ok();
                self.tell(&mut effects, |core| {
                    if let Some(live) = core.live(run.id) {
                        for (piece, extent) in pieces.into_iter().zip(written.into_iter().flatten()) {
                            live.values.store_extent(piece, Arc::new(extent));
                        }
                        let layer = run.graph.layer_at(task.min(run.graph.task_count().saturating_sub(1)));
                        live.layers[layer].spilled += bytes;
                    }
                    core.brain.note(&Event::Spilled { run: run.id, task, ok }, &mut core.actions);
                });
                self.watch(&run, |watch| watch.spilled(&run.graph, task, bytes, run.started.elapsed()));
            }
            DiskJob::Read { run, piece, extent } => {
                let read = self.guarded(|| {
                    let extent = extent.ok_or_else(|| Error::internal("a value to be read back is not on disk"))?;
                    self.read(&run, piece, &extent).map(|chunk| (chunk, extent.bytes()))
                });
                let task = crate::schedule::Topology::task_of(&*run.graph, piece.min(run.graph.piece_count() - 1));
                let (chunk, bytes) = match read {
                    Ok((chunk, bytes)) => (Some(chunk), bytes),
                    Err(error) => {
                        run.fail(run.task_error(task, error));
                        (None, 0)
                    }
                };
                self.relieve_after(bytes);
                let ok = chunk.is_some();
                self.tell(&mut effects, |core| {
                    if let Some(live) = core.live(run.id) {
                        if let Some(chunk) = chunk {
                            live.values.store(piece, chunk);
                        }
                        live.layers[run.graph.layer_at(task)].read_back += bytes;
                    }
                    core.brain.note(&Event::Loaded { run: run.id, piece, ok }, &mut core.actions);
                });
                self.watch(&run, |watch| watch.read_back(&run.graph, task, bytes, run.started.elapsed()));
            }
        }
    }

    /// A panic in a user's serializer is an error like any other.
    fn guarded<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(Error::from_panic(panic)))
    }

    fn write(&self, run: &RunState, values: &[(u32, Chunk)]) -> Result<Vec<Extent>> {
        let mut pieces = Vec::with_capacity(values.len());
        for (piece, chunk) in values {
            let codec = self.kind(run, *piece).codec();
            pieces.push((chunk, codec.ok_or_else(|| Error::internal("a value without a codec is to be spilled"))?));
        }
        self.spill.write(&pieces)
    }

    pub(super) fn read(&self, run: &RunState, piece: u32, extent: &Extent) -> Result<Chunk> {
        let codec = self.kind(run, piece).codec();
        let codec = codec.ok_or_else(|| Error::internal("a value without a codec was spilled"))?;
        let _pool = self.pool.enter();
        self.spill.read(extent, codec)
    }

    /// What is known about a piece; a sub-task's pieces are of the kind of its owner's.
    fn kind(&self, run: &RunState, piece: u32) -> &'static dyn crate::store::Kind {
        let static_pieces = run.graph.piece_count();
        if piece < static_pieces {
            return run.graph.kind(piece);
        }
        let core = lock(&self.core);
        let part = run.graph.task_count() + (piece - static_pieces);
        let owner = core.brain.sub_task(run.id, part).map_or(0, |part| part.owner);
        drop(core);
        run.graph.layers()[run.graph.layer_at(owner)].part_kind(owner)
    }
}
