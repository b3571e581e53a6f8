//! Who gets which tasks, and how many at a time.

use super::brain::Brain;
use super::event::{Actions, Outcome, Start, Worker};
use super::memory::Entry;
use super::run::TaskState;

/// A lease should not last longer than this, so that no worker waits behind another's.
const LEASE_NANOS: u32 = 20_000;

/// Tasks of a layer whose time is not known yet that are given out at once.
const FIRST_LEASE: u32 = 4;

/// Most sub-tasks of one lease by bytes: a lease may reserve this share of the limit.
const LEASE_SHARE: u64 = 16;

/// Waking a worker takes about this long; less work than that is not worth it.
const WAKE_NANOS: u32 = 20_000;

/// A lease that is so many ticks old without a report holds tasks that others may take.
const STUCK_TICKS: u32 = 2;

/// What became of the attempt to give a worker one task.
enum Pick {
    Task(u32),
    /// Memory must become free first.
    Short(u64),
    Nothing,
}

impl Brain {
    /// Gives tasks to the workers that asked, and calls for more workers where there is more to do.
    pub(super) fn assign(&mut self, actions: &mut Actions) {
        self.stopped = false;
        self.end_runs(actions);
        let mut short = self.serve_or_make_room(actions);
        while std::mem::take(&mut self.stopped) {
            // What a run that was stopped held is free for the others once it is gone.
            self.end_runs(actions);
            short = self.serve_or_make_room(actions);
        }
        for worker in 0..self.config.workers {
            if self.workers[worker as usize].asking {
                self.workers[worker as usize].asking = false;
                if !self.steal_for(worker, actions) {
                    self.workers[worker as usize].active = false;
                    self.active -= 1;
                }
            }
        }
        self.call_workers(short, actions);
    }

    /// Serves the workers that ask, and lets go of pieces where memory is short; whether it is still short.
    fn serve_or_make_room(&mut self, actions: &mut Actions) -> bool {
        if self.serve_all(actions).is_none() {
            // A run that waits for memory is not overtaken by what others read ahead.
            self.read_ahead(actions);
        }
        let Some((bytes, at, task)) = self.next_shortage() else { return false };
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

    /// Serves the workers that ask; gives the bytes that are missing where memory is short.
    fn serve_all(&mut self, actions: &mut Actions) -> Option<u64> {
        let mut short = None;
        for worker in 0..self.config.workers {
            if self.workers[worker as usize].asking && short.is_none() {
                short = self.serve(worker, actions);
            }
        }
        short
    }

    /// A lease for one worker.
    fn serve(&mut self, worker: Worker, actions: &mut Actions) -> Option<u64> {
        let runs = self.runs.len();
        // What was read back for a task is used first, of whichever run.
        let first = (0..runs).find(|at| self.runs[*at].loaded_ready()).unwrap_or(self.turn);
        for step in 0..runs {
            let at = (first + step) % runs;
            let (mut given, mut most, mut layer, mut reserved) = (0, 1, u32::MAX, 0);
            let mut short = None;
            while given < most && reserved <= self.config.limit / (LEASE_SHARE * u64::from(self.config.workers)) {
                let task = match self.pick(at, actions) {
                    Pick::Task(task) => task,
                    Pick::Short(bytes) => {
                        short = Some(bytes);
                        break;
                    }
                    Pick::Nothing => break,
                };
                reserved += self.give(worker, at, task, actions);
                given += 1;
                let of = self.runs[at].shape.layer_of(task);
                if of != layer {
                    layer = of;
                    let allowed = self.lease_size(at, layer, given);
                    most = if given == 1 { allowed } else { most.min(allowed) };
                }
            }
            if given > 0 {
                self.turn = (at + 1) % runs;
                return None;
            }
            // A run that waits for memory is not overtaken by others, or it might wait for ever.
            if short.is_some() {
                return short;
            }
        }
        None
    }

    /// How many tasks of a layer make a lease: by their time, and by what the other workers could do.
    fn lease_size(&self, at: usize, layer: u32, given: u32) -> u32 {
        let run = &self.runs[at];
        let by_time = match run.layer_nanos[layer as usize] {
            0 => FIRST_LEASE,
            nanos => LEASE_NANOS / nanos,
        };
        let by_readiness = (run.ready() + given).div_ceil(self.config.workers);
        by_time.min(by_readiness).min(self.config.max_lease).max(1)
    }

    /// Gives an admitted task to a worker; returns the bytes reserved for it.
    fn give(&mut self, worker: Worker, at: usize, task: u32, actions: &mut Actions) -> u64 {
        let run = self.runs[at].id;
        self.story.task(run, task, TaskState::Leased);
        let state = &mut self.workers[worker as usize];
        state.asking = false;
        state.outstanding += 1;
        state.ticks = 0;
        actions.start.push(Start { worker, run, task });
        self.with_run(at, |run, _| {
            if run.state[task as usize] == TaskState::Loaded {
                run.loading -= 1;
            }
            run.state[task as usize] = TaskState::Leased;
            run.leased += 1;
            run.ledger.bytes(run.shape.pieces_of(task).start)
        })
    }

    /// The next task of a run, admitted.
    fn pick(&mut self, at: usize, actions: &mut Actions) -> Pick {
        loop {
            let run = &mut self.runs[at];
            if !run.is_open() {
                return Pick::Nothing;
            }
            if let Some(task) = run.loaded.pop_front() {
                return Pick::Task(task);
            }
            let fresh = run.fresh.last().copied();
            let Some(task) = fresh.or_else(|| run.peek_source()) else { return Pick::Nothing };
            let entry = self.admit(at, task, false, actions);
            if matches!(entry, Entry::Admitted | Entry::Loading) {
                self.remove_ready(at, fresh.is_some());
            }
            match entry {
                Entry::Admitted => return Pick::Task(task),
                Entry::Loading => {}
                Entry::LoadsEnough => return Pick::Nothing,
                Entry::Short(bytes) => return Pick::Short(bytes),
                Entry::TooLarge(needed) => self.stop_at(at, Outcome::TooLarge { task, needed }),
            }
        }
    }

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
        match self.weigh(at, task, false) {
            Entry::Short(bytes) => Some((bytes, at, task)),
            Entry::Admitted | Entry::Loading | Entry::LoadsEnough | Entry::TooLarge(_) => None,
        }
    }

    /// Lets one task in although it does not fit, if a worker asks; otherwise one is called by [`Brain::call_workers`].
    fn force_one(&mut self, actions: &mut Actions) {
        let Some(worker) = (0..self.config.workers).find(|worker| self.workers[*worker as usize].asking) else {
            return;
        };
        let Some((at, task)) = self.next_ready() else { return };
        let fresh = self.runs[at].fresh.last() == Some(&task);
        match self.admit(at, task, true, actions) {
            Entry::Admitted => {
                self.remove_ready(at, fresh);
                self.give(worker, at, task, actions);
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
        self.workers[worker as usize].thief = true;
        actions.steal.push((from, worker));
        true
    }

    fn stealable(&self) -> Option<Worker> {
        let stuck = |worker: &Worker| {
            let state = &self.workers[*worker as usize];
            state.outstanding > 1 && state.ticks >= STUCK_TICKS
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
        } else if at_work > 0 && self.moments_left(ready) {
            0
        } else {
            ready
        };
        let wake = wanted.min(idle);
        self.waking += wake;
        actions.wake += wake;
    }

    /// Whether the ready tasks will be done sooner than another worker could come.
    fn moments_left(&mut self, ready: u32) -> bool {
        let Some((at, task)) = self.next_ready() else { return false };
        let run = &self.runs[at];
        let nanos = run.layer_nanos[run.shape.layer_of(task) as usize];
        nanos > 0 && u64::from(nanos) * u64::from(ready) < u64::from(WAKE_NANOS)
    }
}
