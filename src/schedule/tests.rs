//! Short dialogues with the brain: a few events, and what it answers.

use std::sync::Arc;

use super::brain::{Brain, BrainConfig};
use super::event::{Actions, Event, Outcome, OutputMode, Pieces, RunId, Start, Submission};
use super::topology::{Expansion, Topology};

const KIB: u64 = 1024;

/// A graph written down task by task, one piece each: what it reads, and what it declares to need. Positions are the
/// task numbers unless told otherwise, and all tasks belong to one layer.
#[derive(Default)]
struct Written {
    inputs: Vec<Vec<u32>>,
    readers: Vec<Vec<u32>>,
    needs: Vec<u64>,
    positions: Vec<u64>,
    kept_in_memory: Vec<u32>,
    split: Vec<Expansion>,
    /// Tasks may be given out behind those they wait for.
    chains: bool,
    /// Each task is a layer.
    apart: bool,
}

fn graph(inputs: &[&[u32]]) -> Written {
    let mut readers = vec![Vec::new(); inputs.len()];
    for (task, inputs) in inputs.iter().enumerate() {
        inputs.iter().for_each(|piece| readers[*piece as usize].push(task as u32));
    }
    Written {
        inputs: inputs.iter().map(|inputs| inputs.to_vec()).collect(),
        readers,
        needs: vec![0; inputs.len()],
        positions: (0..inputs.len() as u64).collect(),
        ..Written::default()
    }
}

impl Written {
    fn needs(mut self, bytes: u64) -> Written {
        self.needs.fill(bytes);
        self
    }
}

impl Topology for Written {
    fn tasks(&self) -> u32 {
        self.inputs.len() as u32
    }
    fn pieces(&self) -> u32 {
        self.tasks()
    }
    fn layers(&self) -> u32 {
        if self.apart { self.tasks() } else { 1 }
    }
    fn layer_of(&self, task: u32) -> u32 {
        if self.apart { task } else { 0 }
    }
    fn pieces_of(&self, task: u32) -> std::ops::Range<u32> {
        task..task + 1
    }
    fn task_of(&self, piece: u32) -> u32 {
        piece
    }
    fn dependencies<'a>(&'a self, task: u32, _: &'a mut Vec<u32>) -> &'a [u32] {
        &self.inputs[task as usize]
    }
    fn count_dependencies(&self, counts: &mut [u32]) {
        counts.iter_mut().zip(&self.inputs).for_each(|(count, inputs)| *count = inputs.len() as u32);
    }
    fn consumers<'a>(&'a self, piece: u32, _: &'a mut Vec<u32>) -> &'a [u32] {
        &self.readers[piece as usize]
    }
    fn position(&self, task: u32) -> u64 {
        self.positions[task as usize]
    }
    fn need(&self, task: u32) -> u64 {
        self.needs[task as usize]
    }
    fn uniform(&self, _: u32) -> bool {
        false
    }
    fn spillable(&self, task: u32) -> bool {
        !self.kept_in_memory.contains(&task)
    }
    fn seals(&self, _: u32) -> bool {
        // A task that may split others is never given out with its reader behind it, so each step shows by itself.
        !self.chains
    }
    fn expand(&self, _: u32, _: &[u64], out: &mut Vec<Expansion>) {
        out.extend(&self.split);
    }
}

/// A brain to talk to.
struct Talk {
    brain: Brain,
    heard: Actions,
}

fn talk(workers: u32, limit: u64) -> Talk {
    let brain = Brain::new(BrainConfig { workers, limit, max_lease: 64 });
    Talk { brain, heard: Actions::default() }
}

/// The only run of most dialogues.
const RUN: RunId = RunId(0);

impl Talk {
    fn submit(&mut self, run: RunId, graph: Written, outputs: &[u32], mode: OutputMode) -> &Actions {
        self.heard.clear();
        let outputs = outputs.iter().map(|piece| *piece..piece + 1).collect();
        self.brain.submit(Submission { run, topology: Arc::new(graph), outputs, mode }, &mut self.heard);
        self.brain.check();
        &self.heard
    }

    fn tell(&mut self, events: &[Event<'_>]) -> &Actions {
        self.heard.clear();
        self.brain.handle(events, &mut self.heard);
        self.brain.check();
        &self.heard
    }

    /// Tells and gives the tasks that start.
    fn starts(&mut self, events: &[Event<'_>]) -> Vec<u32> {
        self.tell(events).start.iter().map(|start| start.task).collect()
    }
}

fn done(worker: u32, task: u32, bytes: u64) -> Event<'static> {
    Event::Done { worker, run: RUN, task, bytes }
}

fn pieces(first: u32, count: u32) -> Pieces {
    Pieces { run: RUN, first, count }
}

#[test]
fn a_chain_is_handed_over_one_by_one() {
    let mut talk = talk(2, 1 << 30);
    let heard = talk.submit(RUN, graph(&[&[], &[0], &[1]]), &[2], OutputMode::Collect);
    assert_eq!((heard.wake, heard.start.len()), (1, 0));
    assert_eq!(
        talk.tell(&[Event::Arrived(1)]).start,
        [Start { worker: 1, run: RUN, task: 0, reads: true, behind: false }]
    );
    assert_eq!(talk.starts(&[done(1, 0, 100), Event::Ask(1)]), [1]);
    assert!(talk.brain.is_last_use(RUN, 1, 0), "its only reader gets the value itself");
    assert_eq!(talk.starts(&[done(1, 1, 100), Event::Ask(1)]), [2]);
    assert_eq!(talk.heard.release, [pieces(0, 1)], "dropped with its last reader");
    let heard = talk.tell(&[done(1, 2, 100), Event::Ask(1)]);
    assert_eq!(heard.ended, [(RUN, Outcome::Finished)]);
    assert_eq!(heard.gone, [RUN]);
    assert!(!talk.brain.is_active(1), "it asked and got nothing");
    assert_eq!(talk.brain.used(), 0);
}

#[test]
fn what_just_became_ready_goes_before_the_static_order() {
    // Sources 0, 1, 2; task 3 reads 0 and stands last in the order.
    let mut talk = talk(1, 1 << 30);
    talk.submit(RUN, graph(&[&[], &[], &[], &[0]]), &[1, 2, 3], OutputMode::Collect);
    let slow = Event::Timing { run: RUN, layer: 0, tasks: 1, nanos: 1_000_000 };
    assert_eq!(talk.starts(&[slow, Event::Arrived(0)]), [0]);
    assert_eq!(talk.starts(&[done(0, 0, 8), Event::Ask(0)]), [3]);
    assert_eq!(talk.starts(&[done(0, 3, 8), Event::Ask(0)]), [1]);
}

#[test]
fn of_several_that_became_ready_the_static_order_decides() {
    let mut graph = graph(&[&[], &[0], &[0], &[0]]);
    (graph.positions, graph.apart) = (vec![0, 3, 1, 2], true);
    let mut talk = talk(1, 1 << 30);
    talk.submit(RUN, graph, &[1, 2, 3], OutputMode::Collect);
    assert_eq!(talk.starts(&[Event::Arrived(0)]), [0]);
    assert_eq!(talk.starts(&[done(0, 0, 8), Event::Ask(0)]), [2]);
    assert_eq!(talk.starts(&[done(0, 2, 8), Event::Ask(0)]), [3]);
    assert_eq!(talk.starts(&[done(0, 3, 8), Event::Ask(0)]), [1]);
}

/// Length of the first lease of 1000 independent tasks.
fn first_lease(workers: u32, limit: u64, need: u64, nanos: u64) -> usize {
    let mut talk = talk(workers, limit);
    let sources: Vec<&[u32]> = vec![&[]; 1000];
    let all: Vec<u32> = (0..1000).collect();
    talk.submit(RUN, graph(&sources).needs(need), &all, OutputMode::Collect);
    let timing = Event::Timing { run: RUN, layer: 0, tasks: 1, nanos };
    let times = if nanos > 0 { vec![timing, Event::Arrived(0)] } else { vec![Event::Arrived(0)] };
    talk.starts(&times).len()
}

#[test]
fn a_lease_is_as_long_as_time_readiness_and_bytes_allow() {
    assert_eq!(first_lease(2, 1 << 40, 64, 0), 4, "nothing is known of their time");
    assert_eq!(first_lease(2, 1 << 40, 0, 0), 1, "nor of their size");
    assert_eq!(first_lease(2, 1 << 40, 64, 100), 64, "short tasks: as many as there may be");
    assert_eq!(first_lease(2, 1 << 40, 64, 4_000), 10, "40 microseconds of work");
    assert_eq!(first_lease(2, 1 << 40, 64, 50_000), 1, "long tasks");
    assert_eq!(first_lease(100, 1 << 40, 64, 100), 10, "the others are to get their share");
    assert_eq!(first_lease(2, 1 << 20, 8 * KIB, 100), 5, "a lease reserves no more than a share of the limit");
}

#[test]
fn workers_are_called_where_there_is_work_for_them() {
    let sources: Vec<&[u32]> = vec![&[]; 10];
    let all: Vec<u32> = (0..10).collect();
    let mut short = talk(4, 1 << 30);
    assert_eq!(short.submit(RUN, graph(&sources), &all, OutputMode::Collect).wake, 4);
    // They are on their way: nobody is called twice.
    assert_eq!(short.tell(&[Event::Tick]).wake, 0);

    let mut one = talk(4, 1 << 30);
    assert_eq!(one.submit(RUN, graph(&[&[], &[0], &[0], &[0]]), &[1, 2, 3], OutputMode::Collect).wake, 1);
    one.tell(&[Event::Arrived(0)]);
    let quick = Event::Timing { run: RUN, layer: 0, tasks: 1, nanos: 500 };
    let heard = one.tell(&[quick, done(0, 0, 8), Event::Ask(0)]);
    assert_eq!((heard.start.len(), heard.wake), (1, 0), "two half microseconds of work are left: not worth a call");
    // The one at work does not come back in time: it took a long one, and the others do not wait for that.
    assert_eq!(one.tell(&[Event::Tick]).wake, 0);
    assert_eq!(one.tell(&[Event::Tick]).wake, 2);
    assert_eq!(one.tell(&[Event::Arrived(1)]).start.len(), 1);
    assert_eq!(one.tell(&[Event::Arrived(2)]).start.len(), 1);
}

#[test]
fn long_waiting_tasks_are_taken_over() {
    let mut talk = talk(2, 1 << 30);
    talk.submit(RUN, graph(&[&[], &[], &[], &[]]).needs(64), &[0, 1, 2, 3], OutputMode::Collect);
    assert_eq!(talk.starts(&[Event::Arrived(0)]), [0, 1]);
    assert_eq!(talk.starts(&[Event::Arrived(1)]), [2]);
    assert_eq!(talk.starts(&[done(1, 2, 8), Event::Ask(1)]), [3]);
    assert_eq!(talk.tell(&[Event::Tick]).wake, 0);
    let heard = talk.tell(&[done(1, 3, 8), Event::Ask(1)]);
    assert!(heard.steal.is_empty(), "its tasks wait since one tick only");
    assert!(!talk.brain.is_active(1));
    assert_eq!(talk.tell(&[Event::Tick]).wake, 1, "now they wait since two");
    assert_eq!(talk.tell(&[Event::Arrived(1)]).steal, [(0, 1)]);
    assert!(talk.brain.is_active(1));
    talk.tell(&[Event::Stolen { from: 0, to: 1, tasks: 1 }]);
    talk.tell(&[done(1, 1, 8), Event::Ask(1)]);
    assert_eq!(talk.tell(&[done(0, 0, 8), Event::Ask(0)]).ended, [(RUN, Outcome::Finished)]);
}

/// Three spilled or spillable inputs of 40 KiB in 100 KiB, of which task 3 reads one and tasks 4 and 5 the others.
fn three_inputs() -> Written {
    graph(&[&[], &[], &[], &[0], &[1], &[2]]).needs(40 * KIB)
}

#[test]
fn the_farthest_next_use_is_spilled_first_and_nothing_is_let_in_before() {
    let mut graph = three_inputs();
    // All sources first, then the readers.
    graph.positions = vec![0, 1, 2, 3, 4, 5];
    let mut talk = talk(1, 100 * KIB);
    talk.submit(RUN, graph, &[3, 4, 5], OutputMode::Keep);
    assert_eq!(talk.starts(&[Event::Arrived(0)]), [0]);
    assert_eq!(talk.starts(&[done(0, 0, 40 * KIB), Event::Ask(0)]), [3]);
    // Its result is kept, and next read by nobody in the graph: it goes first.
    let heard = talk.tell(&[done(0, 3, 70 * KIB), Event::Ask(0)]);
    assert_eq!((heard.start.len(), &heard.spill[..]), (0, &[(RUN, 3)][..]));
    assert!(!talk.brain.is_active(0));
    let heard = talk.tell(&[Event::Spilled { run: RUN, task: 3, ok: true }]);
    assert_eq!((heard.evict.as_slice(), heard.wake), (&[pieces(3, 1)][..], 1));
    assert_eq!(talk.brain.used(), 0);
    assert_eq!(talk.starts(&[Event::Arrived(0)]), [1]);
}

#[test]
fn spilled_inputs_are_read_ahead_and_clean_copies_are_not_rewritten() {
    // Task 2 reads 0 and 1; so does 4, after 3, whose large result makes room necessary.
    let mut graph = graph(&[&[], &[], &[0, 1], &[2], &[0, 3]]);
    graph.needs = vec![30 * KIB, 0, 0, 80 * KIB, 30 * KIB];
    let mut talk = talk(1, 100 * KIB);
    talk.submit(RUN, graph, &[4], OutputMode::Collect);
    let slow = Event::Timing { run: RUN, layer: 0, tasks: 1, nanos: 1_000_000 };
    assert_eq!(talk.starts(&[slow, Event::Arrived(0)]), [0]);
    assert_eq!(talk.starts(&[done(0, 0, 30 * KIB), Event::Ask(0)]), [1]);
    assert_eq!(talk.starts(&[done(0, 1, 64), Event::Ask(0)]), [2]);
    // 3 needs 80 of 100 KiB: 0 must go, and is written.
    let heard = talk.tell(&[done(0, 2, 64), Event::Ask(0)]);
    assert_eq!((heard.start.len(), &heard.spill[..]), (0, &[(RUN, 0)][..]));
    talk.tell(&[Event::Spilled { run: RUN, task: 0, ok: true }]);
    assert_eq!(talk.starts(&[Event::Arrived(0)]), [3]);
    // 4 is next: 0 is read for it before any worker gets it.
    let heard = talk.tell(&[done(0, 3, 20 * KIB), Event::Ask(0)]);
    assert_eq!((heard.start.len(), &heard.load[..]), (0, &[(RUN, 0)][..]));
    assert_eq!(talk.tell(&[Event::Loaded { run: RUN, piece: 0, ok: true }]).wake, 1);
    assert_eq!(talk.starts(&[Event::Arrived(0)]), [4]);
    // Nobody is spilled for a shortage while a task reads it.
    assert!(talk.tell(&[Event::Outside(90 * KIB)]).is_empty());
    assert_eq!(talk.tell(&[done(0, 4, 64), Event::Ask(0)]).ended, [(RUN, Outcome::Finished)]);
}

#[test]
fn a_clean_copy_is_dropped_without_being_written_again() {
    // 1 and 3 need nearly all memory; 0 is read after each of them.
    let mut graph = graph(&[&[], &[], &[0, 1], &[2], &[0, 3]]);
    graph.needs = vec![40 * KIB, 90 * KIB, 64, 90 * KIB, 64];
    let mut talk = talk(1, 100 * KIB);
    talk.submit(RUN, graph, &[4], OutputMode::Collect);
    assert_eq!(talk.starts(&[Event::Arrived(0)]), [0]);
    assert_eq!(talk.tell(&[done(0, 0, 40 * KIB), Event::Ask(0)]).spill, [(RUN, 0)]);
    assert_eq!(talk.tell(&[Event::Spilled { run: RUN, task: 0, ok: true }]).evict, [pieces(0, 1)]);
    assert_eq!(talk.starts(&[Event::Arrived(0)]), [1]);
    assert_eq!(talk.tell(&[done(0, 1, 64), Event::Ask(0)]).load, [(RUN, 0)]);
    talk.tell(&[Event::Loaded { run: RUN, piece: 0, ok: true }]);
    assert_eq!(talk.starts(&[Event::Arrived(0)]), [2]);
    // It is on disk still: room is there at once.
    assert_eq!(talk.starts(&[done(0, 2, 64), Event::Ask(0)]), [3]);
    assert_eq!((&talk.heard.evict[..], talk.heard.spill.len()), (&[pieces(0, 1)][..], 0));
    assert_eq!(talk.tell(&[done(0, 3, 64), Event::Ask(0)]).load, [(RUN, 0)]);
}

#[test]
fn a_task_that_never_fits_ends_its_run() {
    let mut alone = talk(1, 100 * KIB);
    alone.submit(RUN, graph(&[&[]]).needs(101 * KIB), &[0], OutputMode::Collect);
    let heard = alone.tell(&[Event::Arrived(0)]);
    assert_eq!(heard.ended, [(RUN, Outcome::TooLarge { task: 0, needed: 101 * KIB })]);
    assert!(heard.start.is_empty() && alone.brain.is_idle());

    // The inputs count, whether they are in memory or not.
    let mut graph = graph(&[&[], &[], &[0, 1]]);
    graph.needs = vec![40 * KIB, 40 * KIB, 40 * KIB];
    let mut both = talk(1, 100 * KIB);
    both.submit(RUN, graph, &[2], OutputMode::Collect);
    assert_eq!(both.starts(&[Event::Arrived(0)]), [0]);
    assert_eq!(both.starts(&[done(0, 0, 40 * KIB), Event::Ask(0)]), [1]);
    let heard = both.tell(&[done(0, 1, 40 * KIB), Event::Ask(0)]);
    assert_eq!(heard.ended, [(RUN, Outcome::TooLarge { task: 2, needed: 120 * KIB })]);
}

#[test]
fn results_that_do_not_fit_end_their_run() {
    // Runs four tasks, whose results are the outputs, one after the other; tells which one the run ended with, and how.
    let run = |limit: u64, sizes: [u64; 4], mode: OutputMode| {
        let mut talk = talk(1, limit);
        talk.submit(RUN, graph(&[&[], &[], &[], &[]]), &[0, 1, 2, 3], mode);
        let mut started = talk.starts(&[Event::Arrived(0)]);
        for count in 1.. {
            let task = started.remove(0);
            let done = done(0, task, sizes[count - 1]);
            let heard = if started.is_empty() { talk.tell(&[done, Event::Ask(0)]) } else { talk.tell(&[done]) };
            if let [(_, outcome)] = heard.ended[..] {
                return (count, outcome);
            }
            started.extend(heard.start.iter().map(|start| start.task));
        }
        unreachable!("a run of four tasks ends")
    };
    let half = 50 * KIB;
    let too_large = Outcome::ResultTooLarge { delivered: 2 * half + 1 };
    assert_eq!(run(100 * KIB, [half, half, 1, 1], OutputMode::Collect), (3, too_large));
    // They may fill the limit, and small ones are counted as what they are, not in cells.
    assert_eq!(run(100 * KIB, [half, half, 0, 0], OutputMode::Collect), (4, Outcome::Finished));
    assert_eq!(run(192, [48; 4], OutputMode::Collect), (4, Outcome::Finished));
    // The last one counts like the others.
    let too_large = Outcome::ResultTooLarge { delivered: half + 30 * KIB * 2 };
    assert_eq!(run(100 * KIB, [half, 30 * KIB, 0, 30 * KIB], OutputMode::Collect), (4, too_large));
}

#[test]
fn what_cannot_be_spilled_is_gone_on_with_one_task_at_a_time() {
    let mut graph = graph(&[&[], &[], &[], &[]]).needs(50 * KIB);
    graph.kept_in_memory = vec![0, 1, 2, 3];
    let mut talk = talk(4, 100 * KIB);
    talk.submit(RUN, graph, &[0, 1, 2, 3], OutputMode::Keep);
    assert_eq!(talk.starts(&[Event::Arrived(0)]), [0]);
    assert_eq!(talk.starts(&[Event::Arrived(1)]), [1]);
    // One result is larger than declared: the overdraft is repaid before anything else is let in.
    assert_eq!(talk.starts(&[done(0, 0, 60 * KIB), Event::Ask(0)]), [] as [u32; 0]);
    // Now nothing is under way, and nothing can be let go of.
    assert_eq!(talk.starts(&[done(1, 1, 50 * KIB), Event::Ask(1)]), [2]);
    assert_eq!(talk.tell(&[Event::Tick]).wake, 0);
    assert_eq!(talk.starts(&[done(1, 2, 50 * KIB), Event::Ask(1)]), [3]);
    assert_eq!(talk.tell(&[done(1, 3, 50 * KIB), Event::Ask(1)]).ended, [(RUN, Outcome::Finished)]);
}

#[test]
fn a_seal_splits_what_follows() {
    // 0 seals; 1 and 2 read their parts; 2 is to be done by two sub-tasks.
    let mut graph = graph(&[&[], &[0], &[0]]);
    graph.split = vec![Expansion { task: 1, parts: 0 }, Expansion { task: 2, parts: 2 }];
    let mut talk = talk(1, 1 << 30);
    talk.submit(RUN, graph, &[1, 2], OutputMode::Collect);
    talk.tell(&[Event::Arrived(0)]);
    let sealed = Event::Sealed { worker: 0, run: RUN, task: 0, bytes: 64, counted: &[1, 9] };
    let slow = Event::Timing { run: RUN, layer: 0, tasks: 1, nanos: 1_000_000 };
    assert_eq!(talk.starts(&[slow, sealed, Event::Ask(0)]), [1]);
    let part = talk.brain.sub_task(RUN, 4);
    assert_eq!(part.map(|part| (part.owner, part.part)), Some((2, 1)));
    let first = talk.starts(&[done(0, 1, 64), Event::Ask(0)])[0];
    let second = talk.starts(&[done(0, first, 64), Event::Ask(0)])[0];
    assert_eq!((first.min(second), first.max(second)), (3, 4));
    assert_eq!(talk.starts(&[done(0, second, 64), Event::Ask(0)]), [2]);
    assert_eq!(talk.brain.dependencies(RUN, 2), [0, 3, 4]);
    assert_eq!(talk.tell(&[done(0, 2, 64), Event::Ask(0)]).ended, [(RUN, Outcome::Finished)]);
}

#[test]
fn a_stream_starts_what_is_demanded() {
    let mut talk = talk(1, 1 << 30);
    let heard = talk.submit(RUN, graph(&[&[], &[], &[], &[0], &[1], &[2]]), &[3, 4, 5], OutputMode::Stream);
    assert!(heard.is_empty(), "nothing is wanted yet");
    assert_eq!(talk.tell(&[Event::Demand { run: RUN, outputs: 1 }]).wake, 1);
    assert_eq!(talk.starts(&[Event::Arrived(0)]), [0]);
    assert_eq!(talk.starts(&[done(0, 0, 8), Event::Ask(0)]), [3]);
    assert_eq!(talk.starts(&[done(0, 3, 8), Event::Ask(0)]), [] as [u32; 0]);
    assert_eq!(talk.tell(&[Event::Taken { run: RUN, output: 0 }]).release, [pieces(3, 1)]);
    assert_eq!(talk.tell(&[Event::Demand { run: RUN, outputs: 2 }]).wake, 1);
    // The iterator is dropped: what is out is awaited.
    assert_eq!(talk.starts(&[Event::Arrived(0)]), [1]);
    assert!(talk.tell(&[Event::Release(RUN)]).is_empty());
    let heard = talk.tell(&[done(0, 1, 8), Event::Ask(0)]);
    assert_eq!((&heard.ended[..], &heard.gone[..]), (&[(RUN, Outcome::Stopped)][..], &[RUN][..]));
}

#[test]
fn kept_outputs_stay_until_they_are_taken_or_released() {
    let mut talk = talk(1, 1 << 30);
    talk.submit(RUN, graph(&[&[], &[]]).needs(64), &[0, 1], OutputMode::Keep);
    assert_eq!(talk.starts(&[Event::Arrived(0)]), [0, 1]);
    let heard = talk.tell(&[done(0, 0, 64), done(0, 1, 64), Event::Ask(0)]);
    assert_eq!((&heard.ended[..], heard.gone.len()), (&[(RUN, Outcome::Finished)][..], 0));
    assert_eq!(talk.brain.used(), 128);
    assert_eq!(talk.tell(&[Event::Taken { run: RUN, output: 1 }]).release, [pieces(1, 1)]);
    assert_eq!(talk.brain.used(), 64);
    assert_eq!(talk.tell(&[Event::Release(RUN)]).gone, [RUN]);
    assert!(talk.brain.is_idle());
    assert_eq!(talk.brain.used(), 0);
}

#[test]
fn runs_share_memory_and_a_waiting_one_is_not_overtaken() {
    let other = RunId(1);
    let mut talk = talk(2, 100 * KIB);
    talk.submit(RUN, graph(&[&[], &[], &[]]).needs(60 * KIB), &[0, 1, 2], OutputMode::Collect);
    assert_eq!(talk.starts(&[Event::Arrived(0)]), [0]);
    talk.submit(other, graph(&[&[]]).needs(60 * KIB), &[0], OutputMode::Collect);
    assert!(talk.tell(&[Event::Arrived(1)]).start.is_empty(), "there is no room for another one");
    let heard = talk.tell(&[done(0, 0, 64), Event::Ask(0)]);
    assert_eq!(heard.start, [Start { worker: 0, run: RUN, task: 1, reads: true, behind: false }]);
    // From then on they take turns.
    let heard = talk.tell(&[done(0, 1, 64), Event::Ask(0)]);
    assert_eq!(heard.start, [Start { worker: 0, run: other, task: 0, reads: true, behind: false }]);
    let heard = talk.tell(&[Event::Done { worker: 0, run: other, task: 0, bytes: 64 }, Event::Ask(0)]);
    assert_eq!((&heard.gone[..], heard.start.len()), (&[other][..], 1));
}

#[test]
fn a_failed_task_ends_its_run_and_frees_everything() {
    let mut talk = talk(2, 1 << 30);
    talk.submit(RUN, graph(&[&[], &[], &[], &[]]).needs(64), &[0, 1, 2, 3], OutputMode::Collect);
    assert_eq!(talk.starts(&[Event::Arrived(0)]), [0, 1]);
    assert_eq!(talk.starts(&[Event::Arrived(1)]), [2]);
    let failed = Event::Failed { worker: 0, run: RUN, task: 0 };
    let skipped = Event::Skipped { worker: 0, run: RUN, task: 1 };
    let heard = talk.tell(&[failed, skipped, Event::Ask(0)]);
    assert!(heard.start.is_empty() && heard.ended.is_empty(), "what runs is awaited");
    let heard = talk.tell(&[done(1, 2, 64), Event::Ask(1)]);
    assert_eq!((&heard.ended[..], &heard.gone[..]), (&[(RUN, Outcome::Stopped)][..], &[RUN][..]));
    assert_eq!(talk.brain.used(), 0);
}

#[test]
fn the_only_reader_goes_along_behind() {
    // 0 -> 1 -> 2 -> 4, and 3 -> 4: the last one waits for two.
    let mut graph = graph(&[&[], &[0], &[1], &[], &[2, 3]]);
    graph.chains = true;
    let mut talk = talk(2, 1 << 30);
    talk.submit(RUN, graph, &[4], OutputMode::Collect);
    let heard = talk.tell(&[Event::Arrived(0)]);
    let given: Vec<(u32, bool)> = heard.start.iter().map(|start| (start.task, start.behind)).collect();
    assert_eq!(given, [(0, false), (1, true), (2, true)]);
    talk.starts(&[Event::Arrived(1)]);
    let reports = [done(0, 0, 64), done(0, 1, 64), done(0, 2, 64), Event::Ask(0)];
    assert!(talk.starts(&reports).is_empty());
    assert_eq!(talk.starts(&[done(1, 3, 64), Event::Ask(1)]), [4]);
}
