//! One run as the brain sees it: the states of its tasks, its queues, its outputs.
//!
//! | task      | meaning                                      | held in            | leaves by                     |
//! |-----------|----------------------------------------------|--------------------|-------------------------------|
//! | `New`     | waits for pieces, is a source, or not wanted | `sources` if one   | last dependency, cursor       |
//! | `Ready`   | all pieces are there                         | `fresh`            | lease, or inputs on disk      |
//! | `Loading` | memory reserved, inputs being read back      | nothing            | the last `Loaded`             |
//! | `Loaded`  | memory reserved, all inputs in memory        | `loaded`           | lease                         |
//! | `Leased`  | given to a worker, memory reserved           | the worker         | `Done`, `Failed`, `Skipped`   |
//! | `Behind`  | given to a worker behind the one it waits for| the worker         | that one is `Done`: `Leased`  |
//! | `Done`    | has run                                      | nothing            | never                         |
//!
//! A task given back (`Failed`, `Skipped`) is `New` again and stands nowhere: its run is stopped in the same call.
//!
//! A run stands in one of:
//!
//! | run       | meaning                                                       | leaves by                              |
//! |-----------|---------------------------------------------------------------|----------------------------------------|
//! | open      | no `ending`, outputs are missing: tasks may start             | the last output, or being stopped      |
//! | complete  | all outputs are there; other tasks that are out are awaited   | the last report, spill or load         |
//! | ending    | was stopped: what is out is awaited, results are not counted  | the last report, spill or load         |
//! | kept      | `ended`, complete, not `Collect`: its outputs may be spilled  | the last `Taken`, or `Release`         |
//! | gone      | nothing is counted or known of it                             | never                                  |
//!
//! Tasks that serve no output may be left in a run that is kept; the pieces that only they would read are released at
//! its end.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::ops::Range;

use super::brain::Scratch;
use super::event::{Actions, Outcome, OutputMode, RunId, Submission};
use super::ledger::{Ledger, Place};
use super::shape::Shape;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum TaskState {
    New,
    Ready,
    Loading,
    Loaded,
    Leased,
    Behind,
    Done,
}

/// The tasks from `first` to before `end` belong to one layer.
#[derive(Clone, Copy, Default)]
struct LayerRow {
    first: u32,
    end: u32,
    layer: u32,
    /// What its tasks declare to need, where that is the same for all.
    need: Option<u64>,
    /// Whether its tasks may read anything, and whether anything may read what they give.
    reads: bool,
    read: bool,
}

/// What a task of a layer is taken to give, now that one gave so many bytes.
#[inline]
fn learned(known: u64, bytes: u64, uniform: bool) -> u64 {
    match uniform {
        true => known.max(bytes),
        // What tasks that differ gave of late tells what the next one may give.
        false if known == 0 => bytes,
        false => known - known / 8 + bytes / 8,
    }
}

/// Groups of pieces smaller than this stay in memory: their entries would cost more than they free.
const WORTH_SPILLING: u64 = 4096;

/// From so many readers on a piece is [`Heavy`].
const HEAVY: usize = 64;

/// What is known of a piece with many readers.
pub(super) struct Heavy {
    /// Readings by tasks that are out, loading or loaded.
    pins: i64,
    /// Its next use when last seen, and the readers it had left then.
    next: u64,
    left: u32,
}

pub(super) struct Run {
    pub id: RunId,
    pub mode: OutputMode,
    pub shape: Shape,
    pub ledger: Ledger,

    pub state: Vec<TaskState>,
    /// Pieces a task still waits for; while it is `Loading`, those being read for it.
    pub waiting: Vec<u32>,

    /// Tasks that became ready, the last one first.
    pub fresh: Vec<u32>,
    /// Tasks whose inputs were read back for them, the oldest first.
    pub loaded: VecDeque<u32>,
    /// Next sources by position: one per range, or in a stream all that are wanted.
    sources: BinaryHeap<Reverse<(u64, u32)>>,
    /// Ends of the ranges of tasks in which sources stand.
    source_ends: Vec<u32>,
    sources_left: u32,
    /// One bit per task: it serves a wanted output. Empty when all do.
    needed: Vec<u64>,

    /// Rows of output pieces, each with the number of outputs up to its end.
    outputs: Vec<(u32, Range<u32>)>,
    output_count: u32,
    /// Outputs not there yet.
    pub outputs_left: u32,
    /// Kept outputs not yet taken.
    pub untaken: u32,
    demanded: u32,

    pub leased: u32,
    pub loading: u32,
    /// Spills and loads under way.
    pub disk_work: u32,

    /// Candidates to be spilled: next use when last seen, task.
    pub victims: BinaryHeap<(u64, u32)>,
    /// Pieces that can be spilled and have many readers.
    pub heavy: HashMap<u32, Heavy>,

    /// Per layer: what a task gives in bytes, see [`Run::need`], and the time of a task in nanoseconds (0: not known).
    pub layer_bytes: Vec<u64>,
    pub layer_nanos: Vec<u32>,
    pub uniform: Vec<bool>,
    /// Rows of tasks of one layer, by their ends, and the row that was asked for last.
    layers: Vec<LayerRow>,
    last_layer: Cell<LayerRow>,

    pub ending: Option<Outcome>,
    pub ended: bool,
    pub released: bool,
}

impl Run {
    pub fn new(submission: Submission) -> Run {
        let Submission { run, topology, outputs, mode } = submission;
        let shape = Shape::new(topology);
        let tasks = shape.tasks as usize;
        let layers = shape.topology.layers() as usize;
        let mut waiting = vec![0; tasks];
        shape.topology.count_dependencies(&mut waiting);
        let ledger = Ledger::new(run, mode, shape.pieces, &outputs);
        let mut output_count = 0;
        let ends = outputs.into_iter().filter(|range| !range.is_empty()).map(|range| {
            output_count += range.len() as u32;
            (output_count, range)
        });
        let outputs = ends.collect();
        let stream = mode == OutputMode::Stream;
        let mut run = Run {
            id: run,
            mode,
            ledger,
            state: vec![TaskState::New; tasks],
            waiting,
            fresh: Vec::new(),
            loaded: VecDeque::new(),
            sources: BinaryHeap::new(),
            source_ends: Vec::new(),
            sources_left: 0,
            needed: if stream { vec![0; tasks.div_ceil(64)] } else { Vec::new() },
            outputs,
            output_count,
            outputs_left: output_count,
            untaken: if mode == OutputMode::Collect { 0 } else { output_count },
            demanded: 0,
            leased: 0,
            loading: 0,
            disk_work: 0,
            victims: BinaryHeap::new(),
            heavy: HashMap::new(),
            layer_bytes: vec![0; layers],
            layer_nanos: vec![0; layers],
            uniform: (0..layers as u32).map(|layer| shape.topology.uniform(layer)).collect(),
            layers: Vec::new(),
            last_layer: Cell::default(),
            ending: None,
            ended: false,
            released: false,
            shape,
        };
        run.find_layers();
        if !stream {
            run.find_sources();
        }
        run
    }

    /// Notes where each layer begins and ends.
    fn find_layers(&mut self) {
        let mut at = 0;
        while at < self.shape.tasks {
            let layer = self.shape.topology.layer_of(at);
            // Layers are contiguous, so their ends are found by bisection.
            let (mut low, mut high) = (at, self.shape.tasks);
            while low + 1 < high {
                let middle = low + (high - low) / 2;
                if self.shape.topology.layer_of(middle) == layer { low = middle } else { high = middle }
            }
            let topology = &self.shape.topology;
            let (need, reads, read) = (topology.even_need(layer), topology.reads(layer), topology.is_read(layer));
            self.layers.push(LayerRow { first: at, end: high, layer, need, reads, read });
            at = high;
        }
    }

    /// Notes the ranges of tasks in which sources stand: one per layer that has any.
    fn find_sources(&mut self) {
        for LayerRow { first, end, .. } in &self.layers {
            let waiting = &self.waiting[*first as usize..*end as usize];
            let sources = waiting.iter().filter(|waiting| **waiting == 0).count() as u32;
            if let Some(at) = waiting.iter().position(|waiting| *waiting == 0) {
                let first = first + at as u32;
                self.sources_left += sources;
                self.source_ends.push(*end);
                self.sources.push(Reverse((self.shape.position(first), first)));
            }
        }
    }

    /// The layer of a task, without asking the topology.
    #[inline]
    pub fn layer_of(&self, task: u32) -> u32 {
        self.row_of(self.shape.owner_of(task)).layer
    }

    #[inline]
    fn row_of(&self, owner: u32) -> LayerRow {
        let mut row = self.last_layer.get();
        if owner < row.first || owner >= row.end {
            row = self.layers[self.layers.partition_point(|row| row.end <= owner)];
            self.last_layer.set(row);
        }
        row
    }

    /// Whether a task may read anything.
    #[inline]
    pub fn reads(&self, task: u32) -> bool {
        !self.shape.dynamics.is_empty() || self.row_of(task).reads
    }

    /// Puts tasks in the static order, the first one last.
    #[inline]
    pub fn sort_last_first(&self, tasks: &mut [u32]) {
        let [first, .., last] = *tasks else { return };
        // Inside a layer the order is that of the numbers.
        let row = self.row_of(self.shape.owner_of(first));
        if self.shape.dynamics.is_empty() && tasks.iter().all(|task| (row.first..row.end).contains(task)) {
            match tasks {
                [_, _] if first < last => tasks.swap(0, 1),
                [_, _] => {}
                _ => tasks.sort_unstable_by_key(|task| Reverse(*task)),
            }
        } else {
            tasks.sort_unstable_by_key(|task| Reverse(self.shape.position(*task)));
        }
    }

    /// The source that is first in the static order, without taking it.
    #[inline]
    pub fn peek_source(&self) -> Option<u32> {
        self.sources.peek().map(|Reverse((_, task))| *task)
    }

    /// Takes the source that [`Run::peek_source`] shows, and makes it `Ready`.
    #[inline]
    pub fn take_source(&mut self) -> Option<u32> {
        let only_range = self.sources.len() == 1;
        let mut top = self.sources.peek_mut()?;
        let task = top.0.1;
        let next = if self.mode == OutputMode::Stream {
            None
        } else {
            let range = self.source_ends.partition_point(|end| *end <= task);
            (task + 1..self.source_ends[range])
                .find(|next| self.waiting[*next as usize] == 0 && self.state[*next as usize] == TaskState::New)
        };
        match next {
            // The next one of a range usually is the next in order too: the top is changed in place.
            Some(next) if only_range => top.0.1 = next,
            Some(next) => top.0 = (self.shape.position(next), next),
            None => {
                std::collections::binary_heap::PeekMut::pop(top);
            }
        }
        self.sources_left -= 1;
        self.state[task as usize] = TaskState::Ready;
        Some(task)
    }

    /// Takes sources that stand side by side and are next in the static order, no more than `most`, and gives them out; the
    /// first, and how many.
    pub fn lease_sources(&mut self, most: u32) -> Range<u32> {
        // With several ranges, or where only what is wanted is a source, the next one may stand elsewhere.
        let Some(first) = self.peek_source().filter(|_| self.sources.len() == 1 && self.mode != OutputMode::Stream)
        else {
            return 0..0;
        };
        let end = self.source_ends[self.source_ends.partition_point(|end| *end <= first)];
        let is_source = |state: &[TaskState], waiting: &[u32], task: u32| {
            waiting[task as usize] == 0 && state[task as usize] == TaskState::New
        };
        let mut task = first;
        while task < end && task - first < most && is_source(&self.state, &self.waiting, task) {
            self.state[task as usize] = TaskState::Leased;
            task += 1;
        }
        self.sources_left -= task - first;
        let next = (task..end).find(|next| is_source(&self.state, &self.waiting, *next));
        self.sources.clear();
        self.sources.extend(next.map(|next| Reverse((self.shape.position(next), next))));
        self.leased += task - first;
        first..task
    }

    /// Whether tasks may still start: it was not stopped, and outputs are missing.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.ending.is_none() && self.outputs_left > 0
    }

    /// Lets go of everything that is no output: of a run that is kept and in which tasks are left that serve no output.
    pub fn drop_unserving(&mut self, scratch: &mut Scratch, actions: &mut Actions) {
        if self.state.iter().all(|state| *state == TaskState::Done) {
            return;
        }
        self.heavy.values_mut().for_each(|heavy| heavy.pins = 0);
        self.fresh.clear();
        self.loaded.clear();
        self.sources.clear();
        self.sources_left = 0;
        self.loading = 0;
        for task in 0..self.state.len() as u32 {
            if self.state[task as usize] == TaskState::Done {
                continue;
            }
            self.state[task as usize] = TaskState::New;
            let first = self.shape.pieces_of(task).start;
            self.ledger.unreserve(first);
            for piece in self.shape.dependencies(task, &mut scratch.dependencies) {
                if self.ledger.place[*piece as usize] != Place::None {
                    self.ledger.unread(*piece, actions);
                }
            }
        }
    }

    /// How many tasks could be given out now, not looking at memory.
    #[inline]
    pub fn ready(&self) -> u32 {
        if !self.is_open() {
            return 0;
        }
        self.loaded.len() as u32 + self.fresh.len() as u32 + self.sources_left
    }

    /// Whether a task has all its inputs and memory, and waits for a worker only.
    pub fn loaded_ready(&self) -> bool {
        self.is_open() && !self.loaded.is_empty()
    }

    /// A task whose last dependency is there.
    #[inline]
    pub fn new_to_ready(&mut self, task: u32) {
        if self.state[task as usize] == TaskState::Behind {
            self.state[task as usize] = TaskState::Leased;
            return;
        }
        if self.state[task as usize] == TaskState::New && self.is_needed(task) {
            self.state[task as usize] = TaskState::Ready;
            self.fresh.push(task);
        }
    }

    /// Tasks have run, each of which gave one piece of so many bytes.
    pub fn each_to_done(&mut self, tasks: &[(u32, u64)], scratch: &mut Scratch, actions: &mut Actions) {
        let mut tasks = tasks;
        while let Some((first, bytes)) = tasks.first().copied() {
            let row = self.row_of(self.shape.owner_of(first));
            let alone = self.shape.one_each() && !row.reads && !row.read && self.ending.is_none();
            let alone_too =
                |(task, bytes): &(u32, u64)| *task < row.end && *task >= row.first && *bytes < WORTH_SPILLING;
            let count = if alone { tasks.iter().take_while(|task| alone_too(task)).count() } else { 0 };
            if count == 0 {
                self.leased_to_done(first, &[bytes], scratch, actions);
                tasks = &tasks[1..];
                continue;
            }
            let (these, rest) = tasks.split_at(count);
            self.alone_to_done(row.layer, these, actions);
            tasks = rest;
        }
    }

    /// As [`Run::leased_to_done`], for tasks of a layer that reads nothing and is not read, and whose pieces nobody would
    /// spill: there is only to count.
    fn alone_to_done(&mut self, layer: u32, tasks: &[(u32, u64)], actions: &mut Actions) {
        let (mut known, uniform) = (self.layer_bytes[layer as usize], self.uniform[layer as usize]);
        for (task, bytes) in tasks {
            debug_assert!(self.state[*task as usize] == TaskState::Leased, "task {task} is done");
            self.state[*task as usize] = TaskState::Done;
            known = learned(known, *bytes, uniform);
        }
        self.layer_bytes[layer as usize] = known;
        self.leased -= tasks.len() as u32;
        self.outputs_left -= self.ledger.made_unread(tasks, actions);
    }

    /// A task has run and gave pieces of so many bytes.
    pub fn leased_to_done(&mut self, task: u32, bytes: &[u64], scratch: &mut Scratch, actions: &mut Actions) {
        // What the one before it gave is not looked at any more once the run is ending.
        let behind = self.ending.is_some() && self.state[task as usize] == TaskState::Behind;
        debug_assert!(behind || self.state[task as usize] == TaskState::Leased, "task {task} is done");
        self.state[task as usize] = TaskState::Done;
        self.leased -= 1;
        let pieces = self.shape.pieces_of(task);
        self.ledger.unreserve(pieces.start);
        assert_eq!(pieces.len(), bytes.len(), "task {task} gave another number of pieces than its layer declares");
        if self.ending.is_some() {
            // The executor drops what it gave with everything else of the run.
            return;
        }

        let plain = self.shape.dynamics.is_empty();
        let LayerRow { layer, reads, read, .. } = self.row_of(self.shape.owner_of(task));
        scratch.ready.clear();
        for (piece, bytes) in pieces.clone().zip(bytes) {
            let consumers = match plain && !read {
                true => &[],
                false => self.shape.consumers(piece, &mut scratch.consumers),
            };
            for consumer in consumers {
                let waiting = &mut self.waiting[*consumer as usize];
                *waiting -= 1;
                if *waiting == 0 {
                    scratch.ready.push(*consumer);
                }
            }
            let output = self.ledger.is_output(piece);
            self.outputs_left -= u32::from(output);
            self.ledger.made(piece, *bytes, consumers.len() as u32, output, actions);
        }

        let total = bytes.iter().sum::<u64>();
        let known = &mut self.layer_bytes[layer as usize];
        *known = learned(*known, total, self.uniform[layer as usize]);
        if total >= WORTH_SPILLING && self.shape.topology.spillable(self.shape.owner_of(task)) {
            for piece in pieces.clone() {
                self.note_heavy(piece, self.ledger.left[piece as usize] as usize);
            }
            let next = pieces.map(|piece| self.next_use(piece, &mut scratch.consumers)).min();
            self.victims.extend(next.map(|next| (next, task)));
        }

        if !scratch.ready.is_empty() {
            // The one that is first in the static order is to be on top of the stack.
            self.sort_last_first(&mut scratch.ready);
            for task in scratch.ready.drain(..) {
                self.new_to_ready(task);
            }
        }
        if plain && !reads {
            return;
        }
        self.pin(task, -1, &mut scratch.dependencies);
        for piece in self.shape.dependencies(task, &mut scratch.dependencies) {
            self.ledger.unread(*piece, actions);
        }
    }

    /// Whether a task serves a wanted output.
    #[inline]
    pub fn is_needed(&self, task: u32) -> bool {
        self.needed.is_empty() || self.needed.get(task as usize / 64).is_some_and(|word| word >> (task % 64) & 1 == 1)
    }

    fn set_needed(&mut self, task: u32) {
        let word = task as usize / 64;
        if self.needed.len() <= word {
            self.needed.resize(word + 1, 0);
        }
        self.needed[word] |= 1 << (task % 64);
    }

    /// Makes room for the sub-tasks of `owner`, which run before it.
    pub fn add_parts(&mut self, owner: u32, first: u32, parts: u32) {
        assert_eq!(self.state[owner as usize], TaskState::New, "task {owner} is split after it became ready");
        self.state.resize((first + parts) as usize, TaskState::New);
        self.waiting.resize((first + parts) as usize, 1);
        self.ledger.grow(parts);
        self.waiting[owner as usize] += parts;
        if !self.needed.is_empty() && self.is_needed(owner) {
            (first..first + parts).for_each(|part| self.set_needed(part));
        }
    }

    /// Wants the first `outputs` outputs of a stream, and so all they need.
    pub fn demand(&mut self, outputs: u32, walk: &mut Vec<u32>, scratch: &mut Vec<u32>) {
        let upto = outputs.min(self.output_count);
        while self.mode == OutputMode::Stream && self.demanded < upto {
            let piece = self.output_piece(self.demanded);
            self.demanded += 1;
            walk.extend(piece.map(|piece| self.shape.task_of(piece)));
            while let Some(task) = walk.pop() {
                if self.is_needed(task) {
                    continue;
                }
                self.set_needed(task);
                let dependencies = self.shape.dependencies(task, scratch);
                walk.extend(dependencies.iter().map(|piece| self.shape.task_of(*piece)));
                if self.waiting[task as usize] == 0 && self.state[task as usize] == TaskState::New {
                    if dependencies.is_empty() {
                        self.sources.push(Reverse((self.shape.position(task), task)));
                        self.sources_left += 1;
                    } else {
                        // All its inputs were made for others before it was wanted.
                        self.new_to_ready(task);
                    }
                }
            }
        }
    }

    /// Number of outputs.
    #[cfg(any(debug_assertions, test))]
    pub fn output_count(&self) -> u32 {
        self.output_count
    }

    /// The piece of output number `output`.
    pub fn output_piece(&self, output: u32) -> Option<u32> {
        let row = self.outputs.partition_point(|(end, _)| *end <= output);
        let (end, pieces) = self.outputs.get(row)?;
        Some(pieces.end - (end - output))
    }

    /// Bytes to reserve for a task: what was declared, or what its layer has given so far: the most where its tasks are
    /// alike, else about as much as of late.
    #[inline]
    pub fn need(&self, task: u32) -> u64 {
        let owner = self.shape.owner_of(task);
        let row = self.row_of(owner);
        let declared = row.need.unwrap_or_else(|| self.shape.topology.need(owner));
        declared.max(self.layer_bytes[row.layer as usize])
    }

    /// The need of a task, where all of its layer have the same.
    pub fn even_need(&self, task: u32) -> Option<u64> {
        let row = self.row_of(self.shape.owner_of(task));
        row.need.map(|declared| declared.max(self.layer_bytes[row.layer as usize]))
    }

    /// The first position at which a piece is read again, or an earlier one at which it was; outputs are taken after all.
    pub fn next_use(&mut self, piece: u32, scratch: &mut Vec<u32>) -> u64 {
        let left = self.ledger.left[piece as usize];
        if let Some(heavy) = self.heavy.get(&piece)
            && left > heavy.left - heavy.left / 8
        {
            return heavy.next;
        }
        let tasks = self.shape.consumers(piece, scratch).iter();
        let open = tasks.filter(|task| self.state[**task as usize] != TaskState::Done);
        let next = open.map(|task| self.shape.position(*task)).min().unwrap_or(u64::MAX);
        if let Some(heavy) = self.heavy.get_mut(&piece) {
            (heavy.next, heavy.left) = (next, left);
        }
        next
    }

    /// A piece with so many readers that they cannot be looked through each time: who reads it now is counted.
    pub fn note_heavy(&mut self, piece: u32, readers: usize) {
        if readers >= HEAVY {
            self.heavy.insert(piece, Heavy { pins: 0, next: 0, left: u32::MAX });
        }
    }

    /// A task is out or about to be, or is no more: counted for those of its inputs that have many readers.
    #[inline]
    pub fn pin(&mut self, task: u32, by: i64, scratch: &mut Vec<u32>) {
        if self.heavy.is_empty() {
            return;
        }
        for piece in self.shape.dependencies(task, scratch) {
            if let Some(heavy) = self.heavy.get_mut(piece) {
                heavy.pins += by;
            }
        }
    }

    /// Calls `each` with every piece a task reads, once.
    pub fn each_input(&self, task: u32, scratch: &mut Scratch, mut each: impl FnMut(u32)) {
        let inputs = self.shape.dependencies(task, &mut scratch.dependencies);
        if inputs.len() <= 16 {
            let first = |(at, piece): &(usize, &u32)| !inputs[..*at].contains(piece);
            inputs.iter().enumerate().filter(first).for_each(|(_, piece)| each(*piece));
        } else {
            let sorted = &mut scratch.consumers;
            sorted.clear();
            sorted.extend_from_slice(inputs);
            sorted.sort_unstable();
            sorted.dedup();
            sorted.iter().for_each(|piece| each(*piece));
        }
    }

    /// Whether a task that is out or about to be, or `reader`, reads the piece.
    pub fn is_pinned(&self, piece: u32, reader: u32, scratch: &mut Vec<u32>) -> bool {
        if let Some(heavy) = self.heavy.get(&piece) {
            let read = reader != u32::MAX && self.shape.dependencies(reader, scratch).contains(&piece);
            return heavy.pins > 0 || read;
        }
        let mut tasks = self.shape.consumers(piece, scratch).iter();
        tasks.any(|task| {
            *task == reader
                || matches!(
                    self.state[*task as usize],
                    TaskState::Loading | TaskState::Loaded | TaskState::Leased | TaskState::Behind
                )
        })
    }
}
