//! Who gets which tasks, and how many at a time.

use super::brain::Brain;
use super::event::{Actions, Outcome, Start, Worker};
use super::ledger::whole_cells;
use super::memory::Entry;
use super::run::TaskState;

/// A lease should not last longer than this, so that no worker waits behind another's.
const LEASE_NANOS: u32 = 40_000;

/// Tasks of a layer whose time is not known yet that are given out at once.
const FIRST_LEASE: u32 = 4;

/// Most sub-tasks of one lease by bytes: a lease may reserve this share of the limit.
const LEASE_SHARE: u64 = 16;

/// Waking a worker takes about this long; less work than that is not worth it.
const WAKE_NANOS: u32 = 20_000;

/// To schedule a task takes about as long, under the one lock. Tasks shorter than this are done by one worker as fast as by
/// several, which would hand the lock and all that it guards to and fro.
const TINY_NANOS: u32 = 400;

/// A lease that is so many ticks old without a report holds tasks that others may take.
pub(super) const STUCK_TICKS: u32 = 2;

/// What became of the attempt to give a worker one task.
enum Pick {
    /// With the bytes to reserve for it, if they are not reserved yet.
    Task(u32, Option<u64>),
    /// Memory must become free first.
    Short,
    Nothing,
}

/// What became of a worker that asked.
enum Served {
    Given,
    Nothing,
    /// Memory must become free first.
    Short,
}

impl Brain {
    /// Gives tasks to the workers that asked, and calls for more workers where there is more to do.
    pub(super) fn assign(&mut self, actions: &mut Actions) {
        self.stopped = false;
        self.end_runs(actions);
        self.send_surplus_away();
        let mut short = self.serve_or_make_room(actions);
        while std::mem::take(&mut self.stopped) {
            // What a run that was stopped held is free for the others once it is gone.
            self.end_runs(actions);
            short = self.serve_or_make_room(actions);
        }
        while let Some(worker) = self.asking.pop() {
            if !self.steal_for(worker, actions) {
                self.workers[worker as usize].active = false;
                self.active -= 1;
            }
        }
        self.call_workers(short, actions);
    }

    /// Where all that is ready is tiny, all workers but one that ask go.
    fn send_surplus_away(&mut self) {
        if self.active < 2 || self.asking.is_empty() || !self.all_tiny() {
            return;
        }
        let others_at_work = self.active as usize > self.asking.len();
        let stay = usize::from(!others_at_work);
        while self.asking.len() > stay {
            if let Some(worker) = self.asking.pop() {
                self.workers[worker as usize].active = false;
                self.active -= 1;
            }
        }
    }

    /// Whether tasks are ready and all of them are tiny, as far as their layers' times tell, and unless a worker turns out to
    /// be at something long.
    fn all_tiny(&self) -> bool {
        let mut any = false;
        for run in &self.runs {
            let next = run.loaded.front().or(run.fresh.last()).copied();
            let Some(task) = next.or_else(|| run.peek_source()).filter(|_| run.is_open()) else { continue };
            any = true;
            let nanos = run.layer_nanos[run.layer_of(task) as usize];
            if nanos == 0 || nanos >= TINY_NANOS {
                return false;
            }
        }
        any && !self.late
    }

    /// Serves the workers that ask, and lets go of pieces where memory is short; whether it is still short.
    fn serve_or_make_room(&mut self, actions: &mut Actions) -> bool {
        self.serve_all(actions);
        let Some((bytes, at, task)) = self.next_shortage() else {
            // Only now: a run that waits for memory is not overtaken by what others read ahead.
            return self.read_ahead(actions) && self.next_shortage().is_some();
        };
        if self.make_room(bytes, (at, task), actions) {
            self.serve_all(actions);
        }
        let short = self.next_shortage().is_some();
        if short && self.busy == 0 {
            // Nothing is under way that could free memory, and nothing can be let go of.
            self.force_one(actions);
        }
        short
    }

    /// Serves the workers that ask; whether one got nothing because memory is short.
    fn serve_all(&mut self, actions: &mut Actions) -> bool {
        while let Some(worker) = self.asking.last().copied() {
            match self.serve(worker, actions) {
                Served::Given => self.asking.pop(),
                Served::Nothing => break,
                Served::Short => return true,
            };
        }
        false
    }

    /// A lease for one worker.
    fn serve(&mut self, worker: Worker, actions: &mut Actions) -> Served {
        let runs = self.runs.len();
        // What was read back for a task is used first, of whichever run.
        let first = (0..runs).find(|at| self.runs[*at].loaded_ready()).unwrap_or(self.turn);
        for step in 0..runs {
            let at = (first + step) % runs;
            let (mut given, mut most, mut layer, mut reserved) = (0, 1, u32::MAX, 0);
            let mut short = false;
            let share = self.config.limit / (LEASE_SHARE * u64::from(self.config.workers));
            while given < most && reserved <= share {
                let (task, need) = match self.pick(at, actions) {
                    Pick::Task(task, need) => (task, need),
                    Pick::Short => {
                        short = true;
                        break;
                    }
                    Pick::Nothing => break,
                };
                reserved += self.give(worker, at, task, need, false, actions);
                given += 1;
                let of = self.runs[at].layer_of(task);
                if of != layer {
                    layer = of;
                    let allowed = self.lease_size(at, task, layer, given);
                    most = if given == 1 { allowed } else { most.min(allowed) };
                }
                let (tasks, bytes) = self.give_behind(worker, at, task, given, actions);
                given += tasks;
                reserved += bytes;
                if given < most && reserved <= share {
                    let (tasks, bytes) = self.give_row(worker, at, layer, most - given, share - reserved, actions);
                    given += tasks;
                    reserved += bytes;
                }
            }
            if given > 0 {
                self.turn = (at + 1) % runs;
                return Served::Given;
            }
            // A run that waits for memory is not overtaken by others, or it might wait for ever.
            if short {
                return Served::Short;
            }
        }
        Served::Nothing
    }

    /// How many tasks of a layer make a lease: by their time, and by what the other workers could do.
    fn lease_size(&self, at: usize, task: u32, layer: u32, given: u32) -> u32 {
        let run = &self.runs[at];
        let by_time = match run.layer_nanos[layer as usize] {
            // Not even their size is known.
            0 if run.need(task) == 0 => 1,
            0 => FIRST_LEASE,
            nanos => LEASE_NANOS / nanos,
        };
        let by_readiness = (run.ready() + given).div_ceil(self.config.workers);
        by_time.min(by_readiness).min(self.config.max_lease).max(1)
    }

    /// Gives a worker what can only run behind the task it was just given: the one reader of that task's one piece, if
    /// all else it reads is there, and so on along the chain. Nobody else could do anything with these meanwhile, so
    /// only time bounds the lease. Returns the tasks given and the bytes reserved for them.
    fn give_behind(
        &mut self,
        worker: Worker,
        at: usize,
        mut task: u32,
        mut given: u32,
        actions: &mut Actions,
    ) -> (u32, u64) {
        let (mut tasks, mut reserved) = (0, 0);
        loop {
            let run = &self.runs[at];
            let layer = run.layer_of(task);
            let most = match run.layer_nanos[layer as usize] {
                0 => FIRST_LEASE,
                nanos => LEASE_NANOS / nanos,
            };
            if given >= most.min(self.config.max_lease) || run.ledger.on_disk > 0 {
                return (tasks, reserved);
            }
            let pieces = run.shape.pieces_of(task);
            if pieces.len() != 1 || run.ledger.is_output(pieces.start) || run.shape.seals(task) {
                return (tasks, reserved);
            }
            let [next] = *run.shape.consumers(pieces.start, &mut self.scratch.consumers) else {
                return (tasks, reserved);
            };
            let waits = run.waiting[next as usize] == 1 && run.state[next as usize] == TaskState::New;
            let need = run.need(next);
            let wanted = self.used + self.outside + whole_cells(need);
            if !waits || !run.is_needed(next) || wanted > self.config.limit {
                return (tasks, reserved);
            }
            reserved += self.give(worker, at, next, Some(need), true, actions);
            tasks += 1;
            given += 1;
            task = next;
        }
    }

    /// Gives a worker more sources of a layer, one beside the other, at once: they are weighed and counted together. The last
    /// is the first that goes beyond `room`. Returns the tasks given and the bytes reserved for them; none where they have to
    /// be looked at one by one.
    fn give_row(
        &mut self,
        worker: Worker,
        at: usize,
        layer: u32,
        mut most: u32,
        room: u64,
        actions: &mut Actions,
    ) -> (u32, u64) {
        let run = &self.runs[at];
        let Some(first) = run.peek_source().filter(|_| run.fresh.is_empty() && run.loaded.is_empty()) else {
            return (0, 0);
        };
        let piece = run.shape.pieces_of(first);
        if piece.len() != 1 || !run.is_open() || run.layer_of(first) != layer {
            return (0, 0);
        }
        let Some(need) = run.even_need(first).map(whole_cells) else { return (0, 0) };
        let consumers = run.shape.consumers(piece.start, &mut self.scratch.consumers);
        if consumers.len() == 1 && run.waiting[consumers[0] as usize] == 1 {
            // What can run behind it is to be given with it.
            return (0, 0);
        }
        let Some(free) = self.config.limit.checked_sub(self.used + self.outside) else { return (0, 0) };
        if let (Some(before), Some(fit)) = (room.checked_div(need), free.checked_div(need)) {
            most = most.min((before + 1).min(fit).min(u64::from(u32::MAX)) as u32);
        }
        let tasks = self.with_run(at, |run, _| {
            let tasks = run.lease_sources(most);
            if !tasks.is_empty() {
                let pieces = piece.start..run.shape.pieces_of(tasks.end - 1).end;
                if pieces.len() == tasks.len() {
                    run.ledger.reserve_row(pieces, need);
                } else {
                    tasks.clone().for_each(|task| run.ledger.reserve(run.shape.pieces_of(task).start, need));
                }
            }
            tasks
        });
        let count = tasks.end - tasks.start;
        let (run, reads) = (self.runs[at].id, self.runs[at].reads(first));
        tasks.clone().for_each(|task| self.story.task(run, task, TaskState::Leased));
        let state = &mut self.workers[worker as usize];
        state.outstanding += count;
        state.ticks = 0;
        actions.start.extend(tasks.map(|task| Start { worker, run, task, reads, behind: false }));
        (count, need * u64::from(count))
    }

    /// Gives a task to a worker, and reserves its need where that was not done; returns the bytes reserved for it.
    #[inline]
    fn give(
        &mut self,
        worker: Worker,
        at: usize,
        task: u32,
        need: Option<u64>,
        behind: bool,
        actions: &mut Actions,
    ) -> u64 {
        let run = self.runs[at].id;
        let held = if behind { TaskState::Behind } else { TaskState::Leased };
        self.story.task(run, task, held);
        let state = &mut self.workers[worker as usize];
        state.outstanding += 1;
        state.ticks = 0;
        let reads = self.runs[at].reads(task);
        actions.start.push(Start { worker, run, task, reads, behind });
        self.with_run(at, |run, scratch| {
            let first = run.shape.pieces_of(task).start;
            match need {
                Some(need) => {
                    run.ledger.reserve(first, need);
                    run.pin(task, 1, &mut scratch.dependencies);
                }
                None => run.loading -= 1,
            }
            run.state[task as usize] = held;
            run.leased += 1;
            run.ledger.bytes(first)
        })
    }

    /// The next task of a run, admitted.
    #[inline]
    fn pick(&mut self, at: usize, actions: &mut Actions) -> Pick {
        loop {
            let run = &mut self.runs[at];
            if !run.is_open() {
                return Pick::Nothing;
            }
            if let Some(task) = run.loaded.pop_front() {
                return Pick::Task(task, None);
            }
            let fresh = run.fresh.last().copied();
            let Some(task) = fresh.or_else(|| run.peek_source()) else { return Pick::Nothing };
            let entry = self.admit(at, task, false, actions);
            if matches!(entry, Entry::Admitted(_) | Entry::Loading) {
                self.remove_ready(at, fresh.is_some());
            }
            match entry {
                Entry::Admitted(need) => return Pick::Task(task, Some(need)),
                Entry::Loading => {}
                Entry::LoadsEnough => return Pick::Nothing,
                Entry::Short(_) => return Pick::Short,
                Entry::TooLarge(needed) => self.stop_at(at, Outcome::TooLarge { task, needed }),
            }
        }
    }

    #[inline]
    fn remove_ready(&mut self, at: usize, fresh: bool) {
        let run = &mut self.runs[at];
        if fresh {
            run.fresh.pop();
        } else {
            run.take_source();
        }
    }

    /// The run whose turn it is and that has a task to give out, with that task.
    fn next_ready(&mut self) -> Option<(usize, u32)> {
        let runs = self.runs.len();
        let first = (0..runs).find(|at| self.runs[*at].loaded_ready()).unwrap_or(self.turn);
        (0..runs).map(|step| (first + step) % runs).find_map(|at| {
            if !self.runs[at].is_open() || self.waits_for_reads(at) {
                return None;
            }
            let run = &self.runs[at];
            let next = run.loaded.front().or(run.fresh.last()).copied();
            next.or_else(|| run.peek_source()).map(|task| (at, task))
        })
    }

    /// The bytes that are missing for the next task, with its run and number.
    fn next_shortage(&mut self) -> Option<(u64, usize, u32)> {
        let (at, task) = self.next_ready()?;
        if self.runs[at].loaded_ready() {
            // What is reserved for it is there.
            return None;
        }
        match self.weigh(at, task, false) {
            Entry::Short(bytes) => Some((bytes, at, task)),
            Entry::Admitted(_) | Entry::Loading | Entry::LoadsEnough | Entry::TooLarge(_) => None,
        }
    }

    /// Lets one task in although it does not fit, if a worker asks; otherwise one is called by [`Brain::call_workers`].
    fn force_one(&mut self, actions: &mut Actions) {
        let Some(worker) = self.asking.last().copied() else { return };
        let Some((at, task)) = self.next_ready() else { return };
        let fresh = self.runs[at].fresh.last() == Some(&task);
        match self.admit(at, task, true, actions) {
            Entry::Admitted(need) => {
                self.asking.pop();
                self.remove_ready(at, fresh);
                self.give(worker, at, task, Some(need), false, actions);
                self.turn = (at + 1) % self.runs.len();
            }
            Entry::Loading => self.remove_ready(at, fresh),
            Entry::TooLarge(needed) => self.stop_at(at, Outcome::TooLarge { task, needed }),
            Entry::LoadsEnough | Entry::Short(_) => unreachable!("a forced task is neither short nor one too many"),
        }
    }

    /// Lets a worker that found nothing take over what another one was given long ago and has not begun.
    fn steal_for(&mut self, worker: Worker, actions: &mut Actions) -> bool {
        let Some(from) = self.stealable() else { return false };
        self.workers[from as usize].ticks = 0;
        actions.steal.push((from, worker));
        true
    }

    fn stealable(&self) -> Option<Worker> {
        if !self.slow {
            return None;
        }
        let stuck = |worker: &Worker| {
            let state = &self.workers[*worker as usize];
            state.is_stuck()
        };
        (0..self.config.workers).filter(stuck).max_by_key(|worker| self.workers[*worker as usize].outstanding)
    }

    /// Calls for workers where there is more to do than those at work will have done in a moment.
    fn call_workers(&mut self, short: bool, actions: &mut Actions) {
        let at_work = self.active + self.waking;
        let idle = self.config.workers.saturating_sub(at_work);
        if idle == 0 {
            return;
        }
        let ready =
            (0..self.runs.len()).map(|at| if self.waits_for_reads(at) { 0 } else { self.runs[at].ready() }).sum();
        let wanted = if ready == 0 {
            u32::from(self.stealable().is_some())
        } else if short {
            // Those at work will come back; if there are none, one is needed to be let in by force.
            u32::from(at_work == 0 && self.busy == 0)
        } else if at_work > 0 && (self.all_tiny() || self.moments_left(ready)) {
            0
        } else {
            ready
        };
        let wake = wanted.min(idle);
        self.waking += wake;
        actions.wake += wake;
    }

    /// Whether the ready tasks will be done sooner than another worker could come: as far as their times tell, and unless
    /// those at work turn out to be at something long.
    fn moments_left(&mut self, ready: u32) -> bool {
        if self.late {
            return false;
        }
        let Some((at, task)) = self.next_ready() else { return false };
        let run = &self.runs[at];
        let nanos = run.layer_nanos[run.layer_of(task) as usize];
        nanos > 0 && u64::from(nanos) * u64::from(ready) < u64::from(WAKE_NANOS)
    }
}
