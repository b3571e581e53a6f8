//! Memory: who is let in, what is spilled for it, what is read back ahead.
//!
//! A task is let in when its inputs that are on disk, and its declared or learned need, fit beside all that is counted.
//! Where they do not fit, pieces are spilled by the static order, the farthest next use first. If nothing is under way
//! and nothing can be spilled, the task is let in all the same: what cannot be spilled can only become free by going on.

use super::brain::Brain;
use super::event::{Actions, Outcome, RunId};
use super::ledger::{Place, whole_cells};
use super::run::{Run, TaskState};

/// Why the next task of a run cannot be given out.
pub(super) enum Entry {
    /// It is admitted, and so many bytes are to be reserved for it with the lease.
    Admitted(u64),
    /// Its inputs are being read back now; another task may be looked at.
    Loading,
    /// Enough tasks are loading.
    LoadsEnough,
    /// It must wait until so many bytes have become free.
    Short(u64),
    /// It never fits.
    TooLarge(u64),
}

impl Brain {
    /// Tasks that may be loading at a time: one for each worker and some ahead.
    fn most_loading(&self) -> u32 {
        self.config.workers + 2
    }

    /// Lets a `Ready` task in, or says why not. `force` lets it in although it does not fit.
    #[inline]
    pub(super) fn admit(&mut self, at: usize, task: u32, force: bool, actions: &mut Actions) -> Entry {
        let entry = self.weigh(at, task, force);
        if matches!(entry, Entry::Loading) {
            self.with_run(at, |run, _| {
                let need = run.need(task);
                run.ledger.reserve(run.shape.pieces_of(task).start, need);
            });
            self.ready_to_loading(at, task, actions);
        }
        entry
    }

    /// What [`Brain::admit`] would say.
    #[inline]
    pub(super) fn weigh(&mut self, at: usize, task: u32, force: bool) -> Entry {
        let limit = self.config.limit;
        let counted = self.used + self.outside;
        let most_loading = self.most_loading();
        let run = &self.runs[at];
        let need = whole_cells(run.need(task));
        let (mut missing, mut reads) = (0, false);
        if run.ledger.on_disk > 0 {
            run.each_input(task, &mut self.scratch, |piece| match run.ledger.place[piece as usize] {
                Place::Disk => {
                    missing += run.ledger.bytes(piece);
                    reads = true;
                }
                Place::Reading => reads = true,
                Place::None | Place::Memory | Place::Writing | Place::Both | Place::Gone => {}
            });
        }
        let wanted = counted + need + missing;
        if wanted > limit {
            // Inputs are counted or missing, so a task that fits is never too large: whether one is does not depend on
            // what happens to be in memory.
            let mut least = run.shape.topology.need(run.shape.owner_of(task));
            run.each_input(task, &mut self.scratch, |piece| least += run.ledger.bytes(piece));
            if least > self.largest {
                return Entry::TooLarge(least);
            }
        }
        if reads && run.loading >= most_loading && !force {
            return Entry::LoadsEnough;
        }
        if wanted > limit && !force {
            return Entry::Short(wanted - limit);
        }
        if reads { Entry::Loading } else { Entry::Admitted(need) }
    }

    /// Whether nothing of the run can go on before something was read: enough tasks are loading, and the next one would
    /// have to be read for as well.
    pub(super) fn waits_for_reads(&mut self, at: usize) -> bool {
        let run = &self.runs[at];
        run.loading >= self.most_loading()
            && run.loaded.is_empty()
            && run.fresh.last().is_some_and(|task| wants_reading(run, *task, &mut self.scratch.dependencies))
    }

    fn ready_to_loading(&mut self, at: usize, task: u32, actions: &mut Actions) {
        self.story.task(self.runs[at].id, task, TaskState::Loading);
        self.with_run(at, |run, scratch| {
            run.state[task as usize] = TaskState::Loading;
            run.loading += 1;
            run.pin(task, 1, &mut scratch.dependencies);
            let mut reads = 0;
            for piece in run.shape.dependencies(task, &mut scratch.dependencies) {
                let piece = *piece;
                let place = &mut run.ledger.place[piece as usize];
                match *place {
                    Place::Disk => {
                        *place = Place::Reading;
                        run.ledger.held += run.ledger.bytes(piece);
                        run.disk_work += 1;
                        actions.load.push((run.id, piece));
                        reads += 1;
                    }
                    Place::Reading => reads += 1,
                    _ => {}
                }
            }
            // Counted per edge, as `reading_to_both` counts.
            run.waiting[task as usize] = reads;
        });
    }

    /// A piece was read back, or could not be.
    pub(super) fn reading_to_both(&mut self, run: RunId, piece: u32, ok: bool) {
        let Some(at) = self.find(run) else { return };
        self.story.piece(run, piece, Place::Both);
        if !ok {
            self.stop_at(at, Outcome::Stopped);
        }
        self.with_run(at, |run, scratch| {
            run.disk_work -= 1;
            run.ledger.on_disk -= 1;
            run.ledger.place[piece as usize] = Place::Both;
            if run.ending.is_some() {
                return;
            }
            let mut consumers = std::mem::take(&mut scratch.consumers);
            for task in run.shape.consumers(piece, &mut consumers) {
                if run.state[*task as usize] != TaskState::Loading {
                    continue;
                }
                let waiting = &mut run.waiting[*task as usize];
                *waiting -= 1;
                if *waiting == 0 {
                    run.state[*task as usize] = TaskState::Loaded;
                    run.loaded.push_back(*task);
                }
            }
            scratch.consumers = consumers;
            // It can be let go again without being written.
            let next = run.next_use(piece, &mut scratch.consumers);
            let task = run.shape.task_of(piece);
            run.victims.push((next, task));
        });
    }

    /// The pieces of a task were written, or could not be.
    pub(super) fn writing_to_disk(&mut self, run: RunId, task: u32, ok: bool, actions: &mut Actions) {
        let Some(at) = self.find(run) else { return };
        if !ok {
            self.stop_at(at, Outcome::Stopped);
        }
        let story = &mut self.story;
        let run = &mut self.runs[at];
        let (used, writing) = (run.ledger.used(), run.ledger.writing);
        run.disk_work -= 1;
        self.busy -= 1;
        for piece in run.shape.pieces_of(task) {
            let bytes = run.ledger.bytes(piece);
            match run.ledger.place[piece as usize] {
                Place::Writing if !ok => {
                    run.ledger.writing -= bytes;
                    run.ledger.place[piece as usize] = Place::Memory;
                }
                Place::Writing => {
                    run.ledger.writing -= bytes;
                    if run.is_pinned(piece, u32::MAX, &mut self.scratch.consumers) {
                        // A task took it up meanwhile.
                        run.ledger.place[piece as usize] = Place::Both;
                        let next = run.next_use(piece, &mut self.scratch.consumers);
                        run.victims.push((next, task));
                    } else {
                        story.piece(run.id, piece, Place::Disk);
                        run.ledger.place[piece as usize] = Place::Disk;
                        run.ledger.held -= bytes;
                        run.ledger.on_disk += 1;
                        actions.evict_piece(run.id, piece);
                    }
                }
                // Its last reader was through before it was written.
                Place::Gone => actions.release_piece(run.id, piece),
                Place::None | Place::Memory | Place::Both | Place::Disk | Place::Reading => {}
            }
        }
        self.used = self.used - used + run.ledger.used();
        self.writing = self.writing - writing + run.ledger.writing;
    }

    /// Lets go of pieces until `bytes` more are free or on the way to be, but not of the inputs of the task they are
    /// for. Whether any became free at once.
    pub(super) fn make_room(&mut self, bytes: u64, wanted_by: (usize, u32), actions: &mut Actions) -> bool {
        let mut wanted = bytes.saturating_sub(self.writing);
        let mut freed = false;
        // The run that was submitted last gives first: the older ones are nearer to their end.
        for at in (0..self.runs.len()).rev() {
            if wanted == 0 {
                break;
            }
            if self.runs[at].ending.is_some() {
                continue;
            }
            while wanted > 0 {
                let Some((_, task)) = self.runs[at].victims.pop() else { break };
                let reader = if at == wanted_by.0 { wanted_by.1 } else { u32::MAX };
                let (now, soon) = self.let_go(at, task, reader, actions);
                freed |= now > 0;
                wanted = wanted.saturating_sub(now + soon);
            }
            let aside = std::mem::take(&mut self.scratch.aside);
            self.runs[at].victims.extend(aside.iter().copied());
            self.scratch.aside = aside;
            self.scratch.aside.clear();
        }
        freed
    }

    /// Lets go of what can be of one task's pieces, and of nothing that `reader` reads: bytes free now, and bytes that
    /// are to be written first.
    fn let_go(&mut self, at: usize, task: u32, reader: u32, actions: &mut Actions) -> (u64, u64) {
        let pieces = self.runs[at].shape.pieces_of(task);
        let mut pinned = false;
        let (mut now, mut soon) = (0, 0);
        self.with_run(at, |run, scratch| {
            for piece in pieces.clone() {
                let place = run.ledger.place[piece as usize];
                if !matches!(place, Place::Memory | Place::Both) || run.ledger.is_delivered(piece) {
                    continue;
                }
                if run.is_pinned(piece, reader, &mut scratch.consumers) {
                    pinned = true;
                    continue;
                }
                let bytes = run.ledger.bytes(piece);
                if place == Place::Both {
                    run.ledger.place[piece as usize] = Place::Disk;
                    run.ledger.held -= bytes;
                    run.ledger.on_disk += 1;
                    actions.evict_piece(run.id, piece);
                    now += bytes;
                } else {
                    run.ledger.place[piece as usize] = Place::Writing;
                    run.ledger.writing += bytes;
                    soon += bytes;
                }
            }
            if soon > 0 {
                run.disk_work += 1;
                actions.spill.push((run.id, task));
                // The rest goes along in the same append, and is clean from then on.
                for piece in pieces.clone() {
                    if run.ledger.place[piece as usize] == Place::Memory && !run.ledger.is_delivered(piece) {
                        run.ledger.place[piece as usize] = Place::Writing;
                        run.ledger.writing += run.ledger.bytes(piece);
                    }
                }
            }
            if pinned {
                let next = pieces.clone().map(|piece| run.next_use(piece, &mut scratch.consumers)).min();
                scratch.aside.extend(next.map(|next| (next, task)));
            }
        });
        (now, soon)
    }

    /// Reads ahead: begins to load the inputs of the tasks that come next while there is room. Whether any were.
    pub(super) fn read_ahead(&mut self, actions: &mut Actions) -> bool {
        let mut any = false;
        for at in 0..self.runs.len() {
            while self.runs[at].is_open()
                && self.runs[at].ledger.on_disk > 0
                && self.runs[at].loading < self.most_loading()
            {
                let Some(task) = self.runs[at].fresh.last().copied() else { break };
                if !wants_reading(&self.runs[at], task, &mut self.scratch.dependencies) {
                    break;
                }
                match self.admit(at, task, false, actions) {
                    Entry::Loading => {
                        self.runs[at].fresh.pop();
                        any = true;
                    }
                    Entry::Admitted(_) | Entry::LoadsEnough | Entry::Short(_) | Entry::TooLarge(_) => break,
                }
            }
        }
        any
    }
}

/// Whether an input of the task is not in memory.
fn wants_reading(run: &Run, task: u32, scratch: &mut Vec<u32>) -> bool {
    let mut dependencies = run.shape.dependencies(task, scratch).iter();
    dependencies.any(|piece| run.ledger.place[*piece as usize].needs_read())
}
