//! Obeys the brain's actions, and objects where one of them must not be.

use super::super::super::event::{Actions, Outcome, Pieces, RunId, Start, Worker};
use super::super::super::run::TaskState;
use super::super::super::topology::Topology;
use super::super::coverage::Seen;
use super::super::model::{Life, RunModel, in_cells};
use super::{DiskOp, Report, World};

impl World {
    pub(super) fn obey(&mut self, reports: &[Report]) {
        let mut actions = std::mem::take(&mut self.actions);
        for row in &actions.release {
            (row.first..row.first + row.count).for_each(|piece| self.obey_release(self.index(row.run), piece));
        }
        for row in &actions.evict {
            for piece in row.first..row.first + row.count {
                let within =
                    |other: &Pieces| other.run == row.run && (other.first..other.first + other.count).contains(&piece);
                let run = self.index(row.run);
                let written = |report: &Report| match report {
                    Report::Spilled { run: of, task, .. } => {
                        *of == run && self.runs[run].pieces_of(*task).contains(&piece)
                    }
                    _ => false,
                };
                if !reports.iter().any(written) {
                    self.seen.saw(Seen::CleanEviction);
                }
                self.obey_evict(run, piece, actions.release.iter().any(within));
            }
        }
        for (run, task) in &actions.spill {
            self.obey_spill(self.index(*run), *task);
        }
        for (run, piece) in &actions.load {
            self.obey_load(self.index(*run), *piece);
        }
        let mut admitted = 0;
        for start in &actions.start {
            admitted += self.obey_start(*start, self.index(start.run));
        }
        for (from, to) in &actions.steal {
            say!(self, "  -> {to} steals from {from}");
            let thief = &mut self.workers[*to as usize];
            assert!(from != to && thief.active && thief.asked && thief.queue.is_empty());
            thief.asked = false;
            thief.stealing = true;
            self.steals.push((*from, *to));
        }
        if let [Report::Arrived(worker)] = reports {
            let nothing = actions.start.is_empty() && actions.steal.is_empty();
            let in_vain = nothing && actions.load.is_empty() && actions.spill.is_empty();
            assert!(!in_vain || actions.wake == 0, "worker {worker} came in vain, and the next one is called at once");
        }
        if actions.wake > 0 {
            say!(self, "  -> wake {}", actions.wake);
        }
        self.waking += actions.wake;
        admitted += self.note_loading();
        if admitted > 0 {
            self.check_admission(admitted, &actions);
        }
        for (run, outcome) in &actions.ended {
            // Kept outputs may go to disk from the moment the run has ended.
            let spills = actions.spill.iter().filter(|(other, _)| other == run).count();
            self.obey_ended(self.index(*run), *outcome, spills as u32);
        }
        for run in &actions.gone {
            self.obey_gone(self.index(*run));
        }
        actions.clear();
        self.actions = actions;
        for worker in 0..self.workers.len() {
            let model = &mut self.workers[worker];
            if std::mem::take(&mut model.asked) {
                model.active = false;
            }
            assert_eq!(model.active, self.brain.is_active(worker as Worker), "whether worker {worker} takes part");
        }
        let active = self.workers.iter().filter(|worker| worker.active).count();
        assert!(active + self.waking as usize <= self.workers.len(), "more workers are called than there may be");
        self.check_released(reports);
        self.check_counts();
    }

    fn index(&self, run: RunId) -> usize {
        let at = run.0 as usize;
        assert!(matches!(self.runs[at].life, Life::Live | Life::Ended), "run {at} is {:?}", self.runs[at].life);
        at
    }

    fn obey_release(&mut self, run: usize, piece: u32) {
        say!(self, "  -> release {piece} of run {run}");
        let model = &mut self.runs[run];
        let kept = model.is_kept(piece);
        let complete = model.is_complete();
        let known = &mut model.pieces[piece as usize];
        assert!(known.made, "run {run}: release of piece {piece}, which was not made");
        assert!(!kept, "run {run}: release of output piece {piece}, which nobody took");
        assert!(known.open == 0 || complete, "run {run}: release of piece {piece} before its readers ran: {known:?}");
        assert!(known.pins == 0, "run {run}: release of piece {piece} under a running task: {known:?}");
        if known.open > 0 {
            self.seen.saw(Seen::Useless);
        }
        if known.writing {
            self.seen.saw(Seen::SpillMeanwhileRead);
        }
        known.released = true;
        known.memory = false;
        known.disk = false;
    }

    /// `released`: the same actions have released it already.
    fn obey_evict(&mut self, run: usize, piece: u32, released: bool) {
        say!(self, "  -> evict {piece} of run {run}");
        let known = &mut self.runs[run].pieces[piece as usize];
        if released {
            return;
        }
        assert!(known.memory && known.disk && !known.writing, "run {run}: evict of piece {piece}: {known:?}");
        assert!(known.pins == 0, "run {run}: evict of piece {piece} under a running task: {known:?}");
        known.memory = false;
    }

    fn obey_spill(&mut self, run: usize, task: u32) {
        say!(self, "  -> spill task {task} of run {run}");
        self.seen.saw(Seen::Spill);
        let model = &mut self.runs[run];
        assert!(model.graph.spillable(model.owner_of(task)), "run {run}: task {task} cannot be spilled");
        let mut any = false;
        for piece in model.pieces_of(task) {
            let delivered = model.is_delivered(piece);
            let known = &mut model.pieces[piece as usize];
            assert!(!known.writing, "run {run}: task {task} is being written already");
            if known.memory && !known.disk && !delivered {
                known.writing = true;
                any = true;
            }
        }
        assert!(any, "run {run}: nothing of task {task} is to be written");
        model.writes += 1;
        self.disk.push(DiskOp::Write { run, task });
    }

    fn obey_load(&mut self, run: usize, piece: u32) {
        say!(self, "  -> load {piece} of run {run}");
        self.seen.saw(Seen::Load);
        let model = &mut self.runs[run];
        assert!(model.life == Life::Live, "run {run} reads after its end");
        let known = &mut model.pieces[piece as usize];
        assert!(known.disk && !known.memory && !known.reading, "run {run}: load of piece {piece}: {known:?}");
        known.reading = true;
        model.reads += 1;
        self.disk.push(DiskOp::Read { run, piece });
    }

    /// Gives 1 if the task was let in just now, and not when its inputs began to be read.
    fn obey_start(&mut self, start: Start, run: usize) -> u32 {
        let Start { worker, task, reads, behind, .. } = start;
        say!(self, "  -> start task {task} of run {run} on {worker}");
        self.seen.tasks += 1;
        let model = &mut self.runs[run];
        assert!(model.life == Life::Live, "run {run}: task {task} starts after the end");
        assert!(model.wanted[task as usize], "run {run}: task {task} starts and serves no demanded output");
        let mut missing = Vec::new();
        for piece in model.inputs(task) {
            let known = &mut model.pieces[piece as usize];
            if !known.memory {
                missing.push(piece);
            }
            known.pins += 1;
        }
        if !reads {
            self.seen.saw(Seen::ReadsNothing);
            assert_eq!(model.inputs(task).len(), 0, "run {run}: task {task} is said to read nothing");
        }
        let ahead = self.workers[worker as usize].queue.back().map(|(run, task, _)| (*run, *task));
        if behind {
            self.seen.saw(Seen::Behind);
            let of = missing.iter().map(|piece| (run, model.task_of(*piece))).collect::<Vec<_>>();
            assert_eq!(
                of,
                ahead.into_iter().collect::<Vec<_>>(),
                "task {task} stands behind what it does not wait for"
            );
        } else {
            assert!(missing.is_empty(), "run {run}: task {task} starts without pieces {missing:?}");
        }
        let before = model.loading.iter().position(|(other, _)| *other == task);
        let reserved = match before {
            Some(at) => model.loading.swap_remove(at).1,
            None => model.need(task),
        };
        let known = &mut model.tasks[task as usize];
        assert!(!known.started, "run {run}: task {task} starts twice");
        known.started = true;
        known.out = true;
        known.reserved = reserved;
        model.leased += 1;
        if let Some(part) = task.checked_sub(model.graph.tasks()) {
            let (owner, part, _) = model.parts[part as usize];
            let told = self.brain.sub_task(model.id, task).map(|sub| (sub.owner, sub.part));
            assert_eq!(told, Some((owner, part)), "what sub-task {task} is");
        }
        let worker = &mut self.workers[worker as usize];
        assert!(worker.active && !worker.stealing, "a task for a worker that is not there");
        worker.asked = false;
        worker.queue.push_back((run, task, behind));
        u32::from(before.is_none())
    }

    /// Looks up which tasks wait for reads; gives the number of new ones.
    fn note_loading(&mut self) -> u32 {
        let mut new = 0;
        for run in &mut self.runs {
            if self.brain.find(run.id).is_none() {
                run.loading.clear();
            }
        }
        for at in &self.brain.runs {
            let model = &mut self.runs[at.id.0 as usize];
            if at.loading == 0 && model.loading.is_empty() {
                continue;
            }
            let before = std::mem::take(&mut model.loading);
            for (task, state) in at.state.iter().enumerate() {
                if !matches!(state, TaskState::Loading | TaskState::Loaded) {
                    continue;
                }
                let task = task as u32;
                let known = before.iter().find(|(other, _)| *other == task).copied();
                new += u32::from(known.is_none());
                let entry = known.unwrap_or_else(|| (task, model.need(task)));
                model.loading.push(entry);
            }
        }
        new
    }

    /// Whoever is let in must fit, unless nothing else is under way.
    fn check_admission(&mut self, admitted: u32, actions: &Actions) {
        let counted = self.brain.used() + self.outside;
        if counted <= self.limit {
            return;
        }
        let loading: usize = self.runs.iter().map(|run| run.loading.len()).sum();
        let leased: u32 = self.runs.iter().map(|run| run.leased).sum();
        let under_way = loading as u32 + leased;
        let other_disk = self.disk.len() - actions.load.len();
        assert!(
            admitted == 1 && under_way == 1 && other_disk == 0,
            "{admitted} tasks are let in at {counted} of {} bytes while {under_way} tasks and {other_disk} disk \
             operations are under way",
            self.limit
        );
        self.seen.saw(Seen::Forced);
    }

    fn obey_ended(&mut self, run: usize, outcome: Outcome, spills: u32) {
        say!(self, "  -> run {run} ended: {outcome:?}");
        let limit = self.limit;
        let model = &mut self.runs[run];
        assert!(model.life == Life::Live, "run {run} ends twice");
        assert!(model.leased == 0 && model.reads + model.writes == spills, "run {run} ends with work under way");
        model.life = Life::Ended;
        match outcome {
            Outcome::Finished => {
                assert!(model.is_complete(), "run {run} has finished without all outputs");
                for piece in model.outputs.clone() {
                    let known = &model.pieces[piece as usize];
                    assert!(
                        !model.is_kept(piece) || known.memory || known.disk,
                        "run {run}: output piece {piece} is lost: {known:?}"
                    );
                }
            }
            Outcome::Stopped => assert!(model.fault, "run {run} was stopped and nobody knows why"),
            Outcome::TooLarge { task, needed } => {
                let declared = model.graph.declared(model.owner_of(task));
                let mut inputs = model.inputs(task);
                inputs.sort_unstable();
                inputs.dedup();
                let inputs: u64 = inputs.iter().map(|piece| in_cells(model.pieces[*piece as usize].bytes)).sum();
                assert!(
                    needed > limit && needed <= inputs + in_cells(declared),
                    "run {run}: task {task} is called too large with {needed} of {limit} bytes; its inputs have \
                     {inputs}, it declares {declared}"
                );
                self.seen.saw(Seen::TooLarge);
                model.fault = true;
            }
            Outcome::ResultTooLarge { delivered } => {
                let made = model.outputs.iter().map(|piece| &model.pieces[*piece as usize]).filter(|known| known.made);
                let made: u64 = made.map(|known| known.bytes).sum();
                assert!(
                    delivered > limit && delivered <= made && model.mode == crate::schedule::OutputMode::Collect,
                    "run {run}: the results are called too large with {delivered} of {limit} bytes; {made} were made"
                );
                self.seen.saw(Seen::ResultTooLarge);
                model.fault = true;
            }
        }
    }

    fn obey_gone(&mut self, run: usize) {
        say!(self, "  -> run {run} is gone");
        let model = &mut self.runs[run];
        assert!(model.life == Life::Ended, "run {run} is gone before it ended");
        let untaken = model.outputs.iter().any(|piece| model.is_kept(*piece));
        assert!(model.fault || model.released || !untaken, "run {run} is gone with outputs nobody took");
        assert!(model.writes == 0, "run {run} is gone while it is written");
        model.life = Life::Gone;
        model.loading.clear();
    }

    // What must hold after each call.

    /// What nobody needs any more is dropped in the very call that tells so.
    fn check_released(&self, reports: &[Report]) {
        for report in reports {
            let (run, task) = match *report {
                Report::Done { run, task, .. } | Report::Spilled { run, task, .. } => (run, task),
                _ => continue,
            };
            let model = &self.runs[run];
            if model.life != Life::Live || model.fault || self.is_ending(run) {
                continue;
            }
            for piece in model.inputs(task).into_iter().chain(model.pieces_of(task)) {
                let known = &model.pieces[piece as usize];
                let needed = known.open > 0 || model.is_kept(piece) || !known.made || model.is_delivered(piece);
                assert!(
                    needed || !(known.memory || known.disk),
                    "run {run}: piece {piece} is kept although nobody needs it: {known:?}"
                );
            }
        }
    }

    fn is_ending(&self, run: usize) -> bool {
        self.brain.find(self.runs[run].id).is_none_or(|at| self.brain.runs[at].ending.is_some())
    }

    /// The brain counts what is there, and nothing else.
    fn check_counts(&mut self) {
        let live = |run: &&RunModel| matches!(run.life, Life::Live | Life::Ended);
        if self.runs.iter().filter(live).any(|run| self.is_ending(run.id.0 as usize)) {
            return;
        }
        let (mut held, mut reserved, mut busy) = (0, 0, 0);
        for run in self.runs.iter().filter(live) {
            held += run.held();
            let out = run.tasks.iter().map(|task| task.reserved);
            reserved += out.chain(run.loading.iter().map(|(_, bytes)| *bytes)).sum::<u64>();
            busy += run.leased + run.loading.len() as u32 + run.reads + run.writes;
        }
        assert_eq!(held + reserved, self.brain.used(), "bytes counted: {held} held and {reserved} reserved");
        assert_eq!(busy > 0, self.brain.is_busy());
        if held + reserved > self.limit {
            self.seen.saw(Seen::Overdraft);
        }
    }
}
