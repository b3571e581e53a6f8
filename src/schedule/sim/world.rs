//! The fake world around a brain: workers, a disk, receivers of results, and misfortune. It obeys the brain's actions,
//! reports in an order drawn from the seed, and objects where the brain asks for what must not be.

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::brain::{Brain, BrainConfig};
use super::super::event::{Actions, Event, OutputMode, RunId, Submission, Worker};
use super::super::topology::Topology;
use super::coverage::{Coverage, Seen};
use super::graph::Graph;
use super::model::{Life, RunModel};
use super::prng::Prng;

/// An event that owns what it speaks of. Runs are indices into the world's list, which equal their numbers.
#[derive(Clone, Debug)]
enum Report {
    Arrived(Worker),
    Ask(Worker),
    Done { worker: Worker, run: usize, task: u32, bytes: Vec<u64> },
    Failed { worker: Worker, run: usize, task: u32 },
    Skipped { worker: Worker, run: usize, task: u32 },
    Stolen { from: Worker, to: Worker, tasks: u32 },
    Timing { run: usize, layer: u32, tasks: u32, nanos: u64 },
    Cancel(usize),
    Demand { run: usize, outputs: u32 },
    Taken { run: usize, output: u32 },
    Release(usize),
    Spilled { run: usize, task: u32, ok: bool },
    Loaded { run: usize, piece: u32, ok: bool },
    Outside(u64),
    Tick,
}

#[derive(Default)]
struct WorkerModel {
    active: bool,
    asked: bool,
    /// Run, task, and whether it stands behind the one before it.
    queue: VecDeque<(usize, u32, bool)>,
    begun: Option<(usize, u32)>,
    reports: Vec<Report>,
    stealing: bool,
}

enum DiskOp {
    Write { run: usize, task: u32 },
    Read { run: usize, piece: u32 },
}

/// How likely misfortunes are, per 10 000.
#[derive(Default)]
struct Misfortune {
    task_fails: u64,
    write_fails: u64,
    read_fails: u64,
    cancel: Option<Cancel>,
}

/// A run is called off.
#[derive(Clone, Copy)]
struct Cancel {
    /// Not before this step.
    at: u64,
    run: usize,
    /// Its results are dropped, instead of a cancellation.
    drop: bool,
    /// Not before it is in this phase.
    phase: Option<Seen>,
}

pub(super) struct World {
    rng: Prng,
    brain: Brain,
    actions: Actions,
    runs: Vec<RunModel>,
    workers: Vec<WorkerModel>,
    disk: Vec<DiskOp>,
    steals: Vec<(Worker, Worker)>,
    waking: u32,
    outside: u64,
    limit: u64,
    ticks: bool,
    /// A worker that hardly gets on, so that others steal from it.
    slow: Option<usize>,
    misfortune: Misfortune,
    steps: u64,
    pub seen: Coverage,
    /// Tells everything as it happens.
    recording: bool,
}

macro_rules! say {
    ($world:expr, $($words:tt)*) => {
        if $world.recording {
            println!("  {:>5} {}", $world.steps, format_args!($($words)*));
        }
    };
}

mod obey;
mod rows;

impl World {
    pub fn new(seed: u64, recording: bool) -> World {
        let mut rng = Prng::new(seed);
        let mut seen = Coverage::default();
        let run_count = rng.pick(&[1, 1, 1, 2, 2, 3]);
        let runs: Vec<RunModel> = (0..run_count).map(|at| random_run(&mut rng, at, &mut seen)).collect();
        if run_count > 1 {
            seen.saw(Seen::SeveralRuns);
        }
        let all: u64 = runs.iter().flat_map(|run| run.graph.bytes.iter()).sum();
        let footprint =
            |run: &RunModel| (0..run.graph.tasks()).map(|task| run.graph.footprint(task)).max().unwrap_or(0);
        let largest = runs.iter().map(footprint).max().unwrap_or(0);
        let limit = match rng.below(20) {
            0..6 => 4 * all + largest,
            6..16 => largest + (all.saturating_sub(largest) as f64 * rng.below(500) as f64 / 1000.0) as u64,
            16..18 => largest,
            _ => 1 + (largest as f64 * (0.1 + rng.below(900) as f64 / 1000.0)) as u64,
        };
        if limit < all {
            seen.saw(Seen::Tight);
        }
        let workers = rng.within(1, 8);
        let mut misfortune = Misfortune::default();
        if rng.chance(45) {
            match rng.below(5) {
                0 => misfortune.task_fails = rng.pick(&[30, 200, 1000]),
                1 => misfortune.write_fails = rng.pick(&[300, 3000]),
                2 => misfortune.read_fails = rng.pick(&[300, 3000]),
                _ => {
                    let most = rng.pick(&[4, 40, 400]);
                    let phases = [None, None, Some(Seen::CancelDuringDisk), Some(Seen::CancelKept)];
                    misfortune.cancel = Some(Cancel {
                        at: rng.below(most),
                        run: rng.below(run_count as u64) as usize,
                        drop: rng.chance(40),
                        phase: rng.pick(&phases),
                    });
                }
            }
        }
        let config = BrainConfig { workers, limit, max_lease: rng.pick(&[1, 4, 64]) };
        let world = World {
            brain: Brain::new(config),
            actions: Actions::default(),
            runs,
            workers: (0..workers).map(|_| WorkerModel::default()).collect(),
            disk: Vec::new(),
            steals: Vec::new(),
            waking: 0,
            outside: 0,
            limit,
            ticks: rng.chance(60),
            slow: rng.chance(25).then(|| rng.below(u64::from(workers)) as usize),
            misfortune,
            steps: 0,
            seen,
            recording,
            rng,
        };
        say!(world, "limit {limit}, all chunks {all}, largest task {largest}, {workers} workers");
        for run in &world.runs {
            say!(world, "run {}: {:?}, {} tasks, outputs {:?}", run.id.0, run.mode, run.graph.tasks(), run.ranges);
            for task in 0..run.graph.tasks() {
                say!(
                    world,
                    "  task {task}: layer {}, reads {:?}, gives {:?} of {:?} bytes, declares {}, position {}{}",
                    run.graph.layer_of(task),
                    run.inputs(task),
                    run.pieces_of(task),
                    &run.graph.bytes[run.pieces_of(task).start as usize..run.pieces_of(task).end as usize],
                    run.graph.declared(task),
                    run.graph.position(task),
                    if run.graph.spillable(task) { "" } else { ", stays in memory" },
                );
            }
        }
        world
    }

    /// Lives until all runs are gone.
    pub fn live(&mut self) {
        let tasks: u64 = self.runs.iter().map(|run| u64::from(run.graph.tasks())).sum();
        let most = 3000 + 300 * tasks;
        while self.runs.iter().any(|run| run.life != Life::Gone) {
            self.steps += 1;
            assert!(self.steps < most, "no end in sight after {most} steps");
            self.misfortune_at_step();
            if !self.step() && self.runs.iter().any(|run| run.life != Life::Gone) {
                self.stuck();
            }
        }
        // The workers that are left find nothing more to do.
        while self.work() || self.arrive() || self.answer_steal() {}
        self.outside(0);
        self.brain.check();
        assert!(self.workers.iter().all(|worker| !worker.active), "a worker stays without work");
        assert_eq!(self.brain.used(), 0, "bytes counted at the end");
        assert!(self.brain.is_idle() && !self.brain.is_busy());
        assert!(self.disk.is_empty() && self.waking == 0);
    }

    fn stuck(&self) {
        let told: Vec<String> = self
            .runs
            .iter()
            .map(|run| {
                let done = run.tasks.iter().filter(|task| task.done).count();
                format!("run {} {:?} {:?}: {done} of {} tasks have run", run.id.0, run.mode, run.life, run.tasks.len())
            })
            .collect();
        panic!("nothing is under way and nothing is asked for, but work is left: {told:?}");
    }

    fn misfortune_at_step(&mut self) {
        let Some(Cancel { at, run, drop, phase: wanted }) = self.misfortune.cancel else { return };
        if self.steps <= at || self.runs[run].life == Life::Unborn {
            return;
        }
        let model = &self.runs[run];
        let phase = match model.life {
            Life::Ended => Seen::CancelKept,
            _ if model.reads + model.writes > 0 => Seen::CancelDuringDisk,
            _ if model.tasks.iter().any(|task| task.started) => Seen::CancelRunning,
            _ => Seen::CancelEarly,
        };
        let gone = model.life == Life::Gone;
        if gone || wanted.is_none_or(|wanted| wanted == phase) {
            self.misfortune.cancel = None;
        }
        if gone || self.misfortune.cancel.is_some() {
            return;
        }
        self.seen.saw(phase);
        if drop {
            self.seen.saw(Seen::Dropped);
            self.release(run);
        } else {
            if model.life == Life::Live {
                self.runs[run].fault = true;
                self.runs[run].stopping = true;
            }
            self.tell(vec![Report::Cancel(run)]);
        }
    }

    /// One thing happens; false if nothing can.
    fn step(&mut self) -> bool {
        let happened = match self.rng.below(100) {
            0..55 => self.work(),
            55..70 => self.disk_answers(),
            70..78 => self.arrive(),
            78..82 => self.answer_steal(),
            82..90 => self.ticks && self.tick(),
            90..96 => self.receive(),
            96 => self.outside_changes(),
            _ => self.submit(),
        };
        happened
            || self.work()
            || self.disk_answers()
            || self.arrive()
            || self.answer_steal()
            || self.submit()
            || self.receive()
    }

    // What can happen.

    fn submit(&mut self) -> bool {
        let Some(run) = self.runs.iter().position(|run| run.life == Life::Unborn) else { return false };
        say!(self, "submit run {run}");
        let model = &mut self.runs[run];
        model.life = Life::Live;
        let submission = Submission {
            run: model.id,
            topology: Arc::clone(&model.graph) as Arc<dyn Topology>,
            outputs: model.ranges.clone(),
            mode: model.mode,
        };
        self.brain.submit(submission, &mut self.actions);
        self.obey(&[]);
        true
    }

    fn tick(&mut self) -> bool {
        self.tell(vec![Report::Tick]);
        true
    }

    fn outside_changes(&mut self) -> bool {
        let bytes = match self.rng.below(4) {
            0 => 0,
            1 => self.rng.below(self.limit + self.limit / 4 + 1),
            _ => self.rng.below(self.limit / 3 + 1),
        };
        self.outside(bytes);
        true
    }

    fn outside(&mut self, bytes: u64) {
        self.outside = bytes;
        self.tell(vec![Report::Outside(bytes)]);
    }

    fn arrive(&mut self) -> bool {
        // Besides those that were woken, a thread of the pool may come by itself.
        let uncalled = self.waking == 0 && self.rng.below(200) == 0;
        if self.waking == 0 && !uncalled {
            return false;
        }
        let Some(worker) = (0..self.workers.len()).find(|at| !self.workers[*at].active) else { return false };
        if !uncalled {
            self.waking -= 1;
        }
        if self.runs.iter().all(|run| run.life == Life::Gone) {
            self.seen.saw(Seen::LateWake);
        }
        self.workers[worker].active = true;
        self.workers[worker].asked = true;
        self.tell(vec![Report::Arrived(worker as Worker)]);
        true
    }

    fn answer_steal(&mut self) -> bool {
        if self.steals.is_empty() {
            return false;
        }
        let at = self.rng.below(self.steals.len() as u64) as usize;
        let (from, to) = self.steals.swap_remove(at);
        let queue = &mut self.workers[from as usize].queue;
        let mut first = queue.len() / 2;
        while queue.get(first).is_some_and(|(_, _, behind)| *behind) {
            first += 1;
        }
        let moved = queue.split_off(first);
        let tasks = moved.len();
        let thief = &mut self.workers[to as usize];
        thief.stealing = false;
        thief.asked = tasks == 0;
        thief.queue.extend(moved);
        self.seen.saw(if tasks > 0 { Seen::Steal } else { Seen::StealInVain });
        self.tell(vec![Report::Stolen { from, to, tasks: tasks as u32 }]);
        true
    }

    /// Some worker begins, ends or reports tasks.
    fn work(&mut self) -> bool {
        let count = self.workers.len();
        let first = self.rng.below(count as u64) as usize;
        let busy = |worker: &WorkerModel| worker.active && !worker.stealing && !worker.asked;
        let Some(at) = (0..count).map(|step| (first + step) % count).find(|at| busy(&self.workers[*at])) else {
            return false;
        };
        if self.slow == Some(at) && self.rng.chance(90) {
            return true;
        }
        for _ in 0..=self.rng.below(4) {
            self.work_on(at);
        }
        let worker = &mut self.workers[at];
        let empty = worker.queue.is_empty() && worker.begun.is_none();
        if empty || self.rng.chance(20) {
            let mut reports = std::mem::take(&mut worker.reports);
            if empty {
                worker.asked = true;
                reports.push(Report::Ask(at as Worker));
            }
            if !reports.is_empty() {
                self.tell(reports);
            }
        }
        true
    }

    fn work_on(&mut self, at: usize) {
        let worker = at as Worker;
        let Some((run, task)) = self.workers[at].begun.take() else {
            let Some((run, task, behind)) = self.workers[at].queue.pop_front() else { return };
            if self.runs[run].stopping {
                self.seen.saw(Seen::Skipped);
                self.workers[at].reports.push(Report::Skipped { worker, run, task });
            } else {
                self.workers[at].begun = Some((run, task));
                self.begin(run, task, behind);
            }
            return;
        };
        let model = &mut self.runs[run];
        if self.rng.below(10_000) < self.misfortune.task_fails {
            self.seen.saw(Seen::TaskFailed);
            model.fault = true;
            model.stopping = true;
            self.workers[at].reports.push(Report::Failed { worker, run, task });
            return;
        }
        let bytes = model.pieces_of(task).map(|piece| model.pieces[piece as usize].bytes).collect();
        self.workers[at].reports.push(Report::Done { worker, run, task, bytes });
        if self.rng.chance(20) {
            let layer = model.graph.layer_of(model.owner_of(task));
            let nanos = self.rng.pick(&[200, 1000, 5000, 50_000]);
            self.workers[at].reports.push(Report::Timing { run, layer, tasks: 1, nanos });
        }
    }

    fn begin(&mut self, run: usize, task: u32, behind: bool) {
        let model = &self.runs[run];
        for piece in model.inputs(task) {
            let known = &model.pieces[piece as usize];
            // What it stands behind was run by the same worker, and perhaps not reported yet.
            assert!(known.memory || behind, "run {run}: task {task} begins without piece {piece}: {known:?}");
            if known.memory && self.brain.is_last_use(model.id, task, piece) {
                self.seen.saw(Seen::HandedOver);
                // A piece that the task reads twice is handed over with the last reading.
                let readings = model.inputs(task).into_iter().filter(|read| *read == piece).count();
                assert!(
                    known.open as usize <= readings && !model.is_kept(piece),
                    "run {run}: piece {piece} is handed over to task {task} while others need it: {known:?}"
                );
            }
        }
    }

    fn disk_answers(&mut self) -> bool {
        if self.disk.is_empty() {
            return false;
        }
        let at = self.rng.below(self.disk.len() as u64) as usize;
        let report = match self.disk.swap_remove(at) {
            DiskOp::Write { run, task } => {
                let ok = self.rng.below(10_000) >= self.misfortune.write_fails;
                Report::Spilled { run, task, ok }
            }
            DiskOp::Read { run, piece } => {
                let ok = self.rng.below(10_000) >= self.misfortune.read_fails;
                Report::Loaded { run, piece, ok }
            }
        };
        if let Report::Spilled { run, ok: false, .. } | Report::Loaded { run, ok: false, .. } = report {
            let write = matches!(report, Report::Spilled { .. });
            self.seen.saw(if write { Seen::SpillFailed } else { Seen::LoadFailed });
            self.runs[run].fault = true;
            self.runs[run].stopping = true;
        }
        self.tell(vec![report]);
        true
    }

    /// A receiver of results does something: takes one, demands more, or gives up what is left.
    fn receive(&mut self) -> bool {
        let count = self.runs.len();
        let first = self.rng.below(count as u64) as usize;
        (0..count).map(|step| (first + step) % count).any(|run| self.receive_from(run))
    }

    fn receive_from(&mut self, run: usize) -> bool {
        let model = &self.runs[run];
        if !matches!(model.life, Life::Live | Life::Ended) || model.mode == OutputMode::Collect || model.released {
            return false;
        }
        let count = model.outputs.len() as u32;
        if model.mode == OutputMode::Stream && model.demanded < count {
            let ready = model.next_take == model.demanded;
            if ready || self.rng.chance(10) {
                let window = self.rng.pick(&[1, 1, 2, 5, 1000]);
                let outputs = model.demanded.saturating_add(window);
                if ready && model.demanded > 0 {
                    self.seen.saw(Seen::StreamWaited);
                }
                let model = &mut self.runs[run];
                while model.demanded < outputs.min(count) {
                    let output = model.outputs[model.demanded as usize];
                    model.demanded += 1;
                    model.want(output);
                }
                self.tell(vec![Report::Demand { run, outputs }]);
                return true;
            }
        }
        if model.mode == OutputMode::Keep && model.life == Life::Ended && self.rng.chance(15) {
            self.release(run);
            return true;
        }
        // A stream is taken in order, kept results in any.
        let next = if model.mode == OutputMode::Stream {
            model.next_take
        } else {
            let open = (0..count).filter(|output| model.is_kept(model.outputs[*output as usize]));
            open.max_by_key(|output| (u64::from(*output) * 7919 + self.steps) % 101).unwrap_or(count)
        };
        let Some(piece) = model.outputs.get(next as usize).copied() else { return false };
        let known = &mut self.runs[run].pieces[piece as usize];
        if !known.made || known.taken {
            return false;
        }
        if !known.memory {
            assert!(known.disk, "run {run}: output {next} is nowhere: {known:?}");
            self.seen.saw(Seen::TakenFromDisk);
        }
        known.taken = true;
        self.runs[run].next_take = next + 1;
        self.tell(vec![Report::Taken { run, output: next }]);
        true
    }

    fn release(&mut self, run: usize) {
        let model = &mut self.runs[run];
        model.released = true;
        if model.life == Life::Live {
            model.fault = true;
            model.stopping = true;
        }
        self.tell(vec![Report::Release(run)]);
    }

    // Telling the brain.

    fn tell(&mut self, reports: Vec<Report>) {
        say!(self, "{reports:?}");
        for report in &reports {
            self.take_effect(report);
        }
        let ids: Vec<RunId> = self.runs.iter().map(|run| run.id).collect();
        let graphs: Vec<Arc<Graph>> = self.runs.iter().map(|run| Arc::clone(&run.graph)).collect();
        let rows = rows::of_simple(&reports, &graphs);
        let events: Vec<Event<'_>> = reports
            .iter()
            .zip(&rows)
            .filter(|(_, row)| row.as_ref().is_none_or(|row| !row.is_empty()))
            .map(|(report, row)| match *report {
                Report::Done { worker, run, .. } if row.is_some() => {
                    Event::DoneEach { worker, run: ids[run], tasks: row.as_deref().unwrap_or_default() }
                }
                Report::Arrived(worker) => Event::Arrived(worker),
                Report::Ask(worker) => Event::Ask(worker),
                Report::Done { worker, run, task, ref bytes } => match graphs[run].counted(task) {
                    Some(counted) => Event::Sealed { worker, run: ids[run], task, bytes: bytes[0], counted },
                    None if bytes.len() == 1 => Event::Done { worker, run: ids[run], task, bytes: bytes[0] },
                    None => Event::DonePieces { worker, run: ids[run], task, bytes },
                },
                Report::Failed { worker, run, task } => Event::Failed { worker, run: ids[run], task },
                Report::Skipped { worker, run, task } => Event::Skipped { worker, run: ids[run], task },
                Report::Stolen { from, to, tasks } => Event::Stolen { from, to, tasks },
                Report::Timing { run, layer, tasks, nanos } => Event::Timing { run: ids[run], layer, tasks, nanos },
                Report::Cancel(run) => Event::Cancel(ids[run]),
                Report::Demand { run, outputs } => Event::Demand { run: ids[run], outputs },
                Report::Taken { run, output } => Event::Taken { run: ids[run], output },
                Report::Release(run) => Event::Release(ids[run]),
                Report::Spilled { run, task, ok } => Event::Spilled { run: ids[run], task, ok },
                Report::Loaded { run, piece, ok } => Event::Loaded { run: ids[run], piece, ok },
                Report::Outside(bytes) => Event::Outside(bytes),
                Report::Tick => Event::Tick,
            })
            .collect();
        self.brain.handle(&events, &mut self.actions);
        self.obey(&reports);
    }

    /// What a report means for what is where.
    fn take_effect(&mut self, report: &Report) {
        match *report {
            Report::Done { run, task, .. } => {
                self.comes_back(run, task);
                let model = &mut self.runs[run];
                model.tasks[task as usize].done = true;
                if let Some(counted) = model.graph.counted(task).map(<[u64]>::to_vec) {
                    self.expand(run, task, &counted);
                }
                let model = &mut self.runs[run];
                let mut total = 0;
                for piece in model.pieces_of(task) {
                    let known = &mut model.pieces[piece as usize];
                    assert!(!known.made, "run {run}: piece {piece} is made twice");
                    known.made = true;
                    known.memory = true;
                    total += known.bytes;
                }
                for piece in model.inputs(task) {
                    model.pieces[piece as usize].open -= 1;
                }
                let layer = model.graph.layer_of(model.owner_of(task));
                let known = model.most[layer as usize];
                model.most[layer as usize] = match model.graph.uniform(layer) {
                    true => known.max(total),
                    false if known == 0 => total,
                    false => known - known / 8 + total / 8,
                };
            }
            Report::Failed { run, task, .. } | Report::Skipped { run, task, .. } => self.comes_back(run, task),
            Report::Spilled { run, task, ok } => {
                let model = &mut self.runs[run];
                model.writes -= 1;
                for piece in model.pieces_of(task) {
                    let known = &mut model.pieces[piece as usize];
                    if std::mem::take(&mut known.writing) {
                        known.disk = ok;
                    }
                }
            }
            Report::Loaded { run, piece, ok } => {
                let model = &mut self.runs[run];
                model.reads -= 1;
                model.pieces[piece as usize].reading = false;
                model.pieces[piece as usize].memory = ok;
            }
            _ => {}
        }
    }

    fn comes_back(&mut self, run: usize, task: u32) {
        let model = &mut self.runs[run];
        let known = &mut model.tasks[task as usize];
        assert!(std::mem::take(&mut known.out));
        known.reserved = 0;
        model.leased -= 1;
        for piece in model.inputs(task) {
            model.pieces[piece as usize].pins -= 1;
        }
    }

    fn expand(&mut self, run: usize, task: u32, counted: &[u64]) {
        let model = &mut self.runs[run];
        let mut expansions = Vec::new();
        model.graph.expand(task, counted, &mut expansions);
        let seal = model.pieces_of(task).start;
        for expansion in expansions {
            if expansion.parts > 0 {
                self.seen.saw(Seen::Expansion);
                model.split(expansion.task, expansion.parts, seal);
            }
        }
    }
}

fn random_run(rng: &mut Prng, at: usize, seen: &mut Coverage) -> RunModel {
    let target = match rng.below(100) {
        0..50 => rng.within(1, 36),
        50..90 => rng.within(37, 90),
        _ => rng.within(91, 170),
    };
    let graph = Graph::random(rng, target);
    let mode = rng.pick(&[OutputMode::Collect, OutputMode::Keep, OutputMode::Stream]);
    match mode {
        OutputMode::Collect => {}
        OutputMode::Keep => seen.saw(Seen::Kept),
        OutputMode::Stream => seen.saw(Seen::Stream),
    }
    // What nobody reads is wanted, and now and then something in between; sometimes only a part, so that tasks are left
    // that serve nothing.
    let all = !rng.chance(10);
    let mut outputs: Vec<u32> = (0..graph.pieces())
        .filter(|piece| {
            let unread = graph.readers[*piece as usize].is_empty();
            if unread { all || rng.chance(50) } else { rng.chance(3) }
        })
        .collect();
    if outputs.is_empty() {
        outputs.push(graph.pieces() - 1);
    }
    let mut ranges: Vec<std::ops::Range<u32>> = Vec::new();
    for piece in outputs {
        match ranges.last_mut() {
            Some(last) if last.end == piece => last.end += 1,
            _ => ranges.push(piece..piece + 1),
        }
    }
    if rng.chance(30) {
        ranges.reverse();
    }
    RunModel::new(RunId(at as u32), Arc::new(graph), mode, ranges)
}
