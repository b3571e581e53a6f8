//! Random graphs made of all kinds of layers, and what their tasks really give.

use std::ops::Range;

use super::super::topology::{Expansion, Topology};
use super::prng::Prng;

/// What holds for all tasks of a layer.
struct Facts {
    uniform: bool,
    spillable: bool,
    /// Answers about edges are put into the caller's scratch instead of being lent.
    computed: bool,
}

/// How the needs of a layer are declared.
#[derive(Clone, Copy)]
enum Declared {
    Right,
    Absent,
    Wrong(f64),
}

pub(super) struct Graph {
    layer_of: Vec<u32>,
    /// First piece of each task, and the number of pieces.
    first: Vec<u32>,
    task_of: Vec<u32>,
    /// The pieces each task reads.
    pub inputs: Vec<Vec<u32>>,
    /// The tasks that read each piece.
    pub readers: Vec<Vec<u32>>,
    position: Vec<u64>,
    need: Vec<u64>,
    layers: Vec<Facts>,
    /// What each piece really has.
    pub bytes: Vec<u64>,
    /// Sealing tasks: what they count, and the tasks that may be split by it.
    seals: Vec<(u32, Vec<u64>, Range<u32>)>,
}

/// A layer as others read it.
#[derive(Clone)]
struct Built {
    tasks: Range<u32>,
}

struct Builder<'a> {
    rng: &'a mut Prng,
    graph: Graph,
    built: Vec<Built>,
    /// Usual bytes of a task.
    scale: u64,
    /// Of the layer being built.
    usual: u64,
    declared: Declared,
}

impl Graph {
    /// A graph of at least `target` tasks, and at most about 40 more.
    pub fn random(rng: &mut Prng, target: u32) -> Graph {
        let graph = Graph {
            layer_of: Vec::new(),
            first: vec![0],
            task_of: Vec::new(),
            inputs: Vec::new(),
            readers: Vec::new(),
            position: Vec::new(),
            need: Vec::new(),
            layers: Vec::new(),
            bytes: Vec::new(),
            seals: Vec::new(),
        };
        let scale = rng.pick(&[600, 20_000, 20_000, 300_000, 300_000]);
        let mut builder = Builder { rng, graph, built: Vec::new(), scale, usual: scale, declared: Declared::Right };
        builder.source(target.min(24));
        while (builder.graph.layer_of.len() as u32) < target {
            let left = target - builder.graph.layer_of.len() as u32;
            builder.any_layer(left);
        }
        let Builder { mut graph, .. } = builder;
        graph.connect(rng);
        graph
    }

    fn connect(&mut self, rng: &mut Prng) {
        self.readers = vec![Vec::new(); self.task_of.len()];
        for (task, inputs) in self.inputs.iter().enumerate() {
            for piece in inputs {
                self.readers[*piece as usize].push(task as u32);
            }
        }
        self.position = match rng.below(10) {
            0 => self.shuffled(rng),
            1..4 => (0..self.tasks()).map(u64::from).collect(),
            _ => self.depth_first(),
        };
    }

    fn shuffled(&self, rng: &mut Prng) -> Vec<u64> {
        let mut order: Vec<u64> = (0..u64::from(self.tasks())).collect();
        for at in (1..order.len()).rev() {
            order.swap(at, rng.below(at as u64 + 1) as usize);
        }
        order
    }

    /// Positions in the order of a depth-first walk from the last tasks.
    fn depth_first(&self) -> Vec<u64> {
        let mut position = vec![u64::MAX; self.layer_of.len()];
        let mut next = 0;
        for root in (0..self.tasks()).rev() {
            let mut walk = vec![(root, 0)];
            while let Some((task, at)) = walk.pop() {
                if position[task as usize] != u64::MAX {
                    continue;
                }
                match self.inputs[task as usize].get(at) {
                    Some(piece) => walk.extend([(task, at + 1), (self.task_of[*piece as usize], 0)]),
                    None => {
                        position[task as usize] = next;
                        next += 1;
                    }
                }
            }
        }
        position
    }

    fn tasks_of(&self, layer: u32) -> impl Iterator<Item = u32> {
        let start = self.layer_of.partition_point(|of| *of < layer);
        let end = self.layer_of.partition_point(|of| *of <= layer);
        start as u32..end as u32
    }

    /// What a sealing task counted; `None` for other tasks.
    pub fn counted(&self, task: u32) -> Option<&[u64]> {
        self.seals.iter().find(|seal| seal.0 == task).map(|seal| seal.1.as_slice())
    }

    /// What a sub-task gives.
    pub fn part_bytes(&self, owner: u32, part: u32) -> u64 {
        let all: u64 = self.pieces_of(owner).map(|piece| self.bytes[piece as usize]).sum();
        all / (2 + u64::from(part))
    }

    pub fn declared(&self, task: u32) -> u64 {
        self.need[task as usize]
    }

    /// What all inputs of a task, each once, and its outputs or its need have together.
    pub fn footprint(&self, task: u32) -> u64 {
        let mut inputs = self.inputs[task as usize].clone();
        inputs.sort_unstable();
        inputs.dedup();
        let inputs: u64 = inputs.iter().map(|piece| self.bytes[*piece as usize]).sum();
        let outputs: u64 = self.pieces_of(task).map(|piece| self.bytes[piece as usize]).sum();
        inputs + outputs.max(self.declared(task))
    }
}

impl Builder<'_> {
    fn any_layer(&mut self, left: u32) {
        match self.rng.below(12) {
            0 => self.source(left.min(12)),
            1..=2 => self.one_to_one(),
            3 => self.stencil(),
            4 => self.tree(),
            5 => self.broadcast(left),
            6 => self.product(left),
            7..=8 => self.all_to_all(left),
            9 => self.barrier(),
            10 => self.explicit(left),
            _ => self.exchange(left),
        }
    }

    /// Begins a layer whose tasks are the next ones added.
    fn begin(&mut self) {
        let layer =
            Facts { uniform: self.rng.chance(60), spillable: self.rng.chance(80), computed: self.rng.chance(30) };
        self.graph.layers.push(layer);
        self.usual = (self.scale as f64 * self.rng.off().sqrt()) as u64;
        self.declared = match self.rng.below(5) {
            0..=2 => Declared::Right,
            3 => Declared::Absent,
            _ => Declared::Wrong(self.rng.off()),
        };
        let at = self.next_task();
        self.built.push(Built { tasks: at..at });
    }

    fn next_task(&self) -> u32 {
        self.graph.layer_of.len() as u32
    }

    fn task(&mut self, inputs: Vec<u32>, pieces: u32) {
        let graph = &mut self.graph;
        let task = graph.layer_of.len() as u32;
        let layer = graph.layers.len() - 1;
        graph.layer_of.push(layer as u32);
        let mut total = 0;
        for _ in 0..pieces {
            let factor =
                if graph.layers[layer].uniform { 0.8 + self.rng.below(400) as f64 / 1000.0 } else { self.rng.off() };
            let bytes = (self.usual as f64 * factor / f64::from(pieces)) as u64;
            graph.bytes.push(bytes);
            graph.task_of.push(task);
            total += bytes;
        }
        graph.first.push(graph.task_of.len() as u32);
        graph.inputs.push(inputs);
        graph.need.push(match self.declared {
            Declared::Right => total,
            Declared::Absent => 0,
            Declared::Wrong(factor) => (total as f64 * factor) as u64,
        });
        if let Some(built) = self.built.last_mut() {
            built.tasks.end = task + 1;
        }
    }

    /// The pieces of an earlier layer, one of each task.
    fn some_layer(&mut self) -> Vec<u32> {
        let last = self.built.len() as u64;
        // Mostly the newest, so that the graph grows deep.
        let back = self.rng.below(last).min(self.rng.below(last));
        let built = self.built[(last - 1 - back) as usize].clone();
        let wide = self.rng.next();
        built
            .tasks
            .map(|task| {
                let pieces = self.graph.pieces_of(task);
                pieces.start + (wide % u64::from(pieces.end - pieces.start)) as u32
            })
            .collect()
    }

    fn source(&mut self, most: u32) {
        self.begin();
        for _ in 0..self.rng.within(1, most.max(1)) {
            self.task(Vec::new(), 1);
        }
    }

    fn one_to_one(&mut self) {
        let mut inputs = self.some_layer();
        if self.rng.chance(30) {
            // Only some of the layer's tasks were wanted.
            let keep = self.rng.within(20, 90);
            inputs.retain(|_| self.rng.chance(u64::from(keep)));
        }
        self.begin();
        let first = inputs.first().copied();
        for input in inputs {
            self.task(vec![input], 1);
        }
        if self.built.last().is_some_and(|built| built.tasks.is_empty()) {
            self.task(first.into_iter().collect(), 1);
        }
    }

    fn stencil(&mut self) {
        let inputs = self.some_layer();
        let reach = self.rng.within(1, 2) as usize;
        self.begin();
        for at in 0..inputs.len() {
            // At the border the same piece is read more than once.
            let near = (0..=2 * reach).map(|step| inputs[(at + step).saturating_sub(reach).min(inputs.len() - 1)]);
            self.task(near.collect(), 1);
        }
    }

    fn tree(&mut self) {
        let mut inputs = self.some_layer();
        let arity = self.rng.within(2, 4) as usize;
        loop {
            self.begin();
            let first = self.next_task();
            for group in inputs.chunks(arity) {
                self.task(group.to_vec(), 1);
            }
            inputs = (first..self.next_task()).map(|task| self.graph.pieces_of(task).start).collect();
            if inputs.len() <= 1 {
                break;
            }
        }
    }

    fn broadcast(&mut self, left: u32) {
        let one = self.some_layer()[0];
        let others = self.some_layer();
        let width = self.rng.within(1, left.min(30));
        self.begin();
        for at in 0..width as usize {
            let other = others.get(at).copied();
            self.task(std::iter::once(one).chain(other).collect(), 1);
        }
    }

    fn product(&mut self, left: u32) {
        let (rows, columns) = (self.some_layer(), self.some_layer());
        let rows = &rows[..rows.len().min(6)];
        let columns = &columns[..columns.len().min(6)];
        self.begin();
        for row in rows {
            for column in columns {
                self.task(vec![*row, *column], 1);
            }
            if self.built.last().is_some_and(|built| built.tasks.end - built.tasks.start > left) {
                break;
            }
        }
    }

    fn all_to_all(&mut self, left: u32) {
        let inputs = self.some_layer();
        let parts = self.rng.within(1, left.clamp(1, 8));
        self.begin();
        let first = self.next_task();
        for input in &inputs {
            self.task(vec![*input], parts);
        }
        let split = first..self.next_task();
        self.begin();
        for part in 0..parts {
            let inputs = split.clone().map(|task| self.graph.pieces_of(task).start + part);
            let inputs = inputs.collect();
            self.task(inputs, 1);
        }
    }

    fn barrier(&mut self) {
        let inputs = self.some_layer();
        self.begin();
        self.task(inputs, 1);
    }

    fn explicit(&mut self, left: u32) {
        self.begin();
        for _ in 0..self.rng.within(1, left.min(40)) {
            let pieces = self.graph.task_of.len() as u64;
            let near = pieces.min(12);
            let mut inputs: Vec<u32> = (0..self.rng.below(5))
                .map(|_| if self.rng.chance(70) { pieces - 1 - self.rng.below(near) } else { self.rng.below(pieces) })
                .map(|piece| piece as u32)
                .collect();
            if !inputs.is_empty() && self.rng.chance(15) {
                // The same piece again, also far away from the first time.
                let again = inputs[0];
                let apart = self.rng.below(24);
                inputs.extend((0..apart).map(|step| (step % pieces) as u32));
                inputs.push(again);
            }
            let pieces = if self.rng.chance(10) { 3 } else { 1 };
            self.task(inputs, pieces);
        }
    }

    fn exchange(&mut self, left: u32) {
        let inputs = self.some_layer();
        self.begin();
        let first = self.next_task();
        for input in &inputs {
            self.task(vec![*input], 1);
        }
        let made = (first..self.next_task()).map(|task| self.graph.pieces_of(task).start).collect();
        self.begin();
        let seal = self.next_task();
        self.task(made, 1);
        let sealed = self.graph.pieces_of(seal).start;
        let extra = self.some_layer();
        let with_extra = self.rng.chance(20);
        self.begin();
        let parts = self.next_task()..self.next_task() + self.rng.within(1, left.clamp(1, 12));
        for at in parts.clone() {
            let other = extra[at as usize % extra.len()];
            self.task(if with_extra { vec![other, sealed] } else { vec![sealed] }, 1);
        }
        let skewed = self.rng.chance(60);
        let counted = parts.clone().map(|_| if skewed && self.rng.chance(40) { self.rng.below(5) } else { 0 });
        let counted = counted.collect();
        self.graph.seals.push((seal, counted, parts));
    }
}

impl Topology for Graph {
    fn tasks(&self) -> u32 {
        self.layer_of.len() as u32
    }

    fn pieces(&self) -> u32 {
        self.task_of.len() as u32
    }

    fn layers(&self) -> u32 {
        self.layers.len() as u32
    }

    fn layer_of(&self, task: u32) -> u32 {
        self.layer_of[task as usize]
    }

    fn pieces_of(&self, task: u32) -> Range<u32> {
        self.first[task as usize]..self.first[task as usize + 1]
    }

    fn task_of(&self, piece: u32) -> u32 {
        self.task_of[piece as usize]
    }

    fn dependencies<'a>(&'a self, task: u32, scratch: &'a mut Vec<u32>) -> &'a [u32] {
        let inputs = &self.inputs[task as usize];
        if !self.layers[self.layer_of(task) as usize].computed {
            return inputs;
        }
        scratch.clear();
        scratch.extend(inputs);
        scratch
    }

    fn count_dependencies(&self, counts: &mut [u32]) {
        for (count, inputs) in counts.iter_mut().zip(&self.inputs) {
            *count = inputs.len() as u32;
        }
    }

    fn consumers<'a>(&'a self, piece: u32, scratch: &'a mut Vec<u32>) -> &'a [u32] {
        let readers = &self.readers[piece as usize];
        if !self.layers[self.layer_of(self.task_of(piece)) as usize].computed {
            return readers;
        }
        scratch.clear();
        scratch.extend(readers);
        scratch
    }

    fn position(&self, task: u32) -> u64 {
        self.position[task as usize]
    }

    fn need(&self, task: u32) -> u64 {
        self.need[task as usize]
    }

    fn even_need(&self, layer: u32) -> Option<u64> {
        let mut needs = self.tasks_of(layer).map(|task| self.need(task));
        let first = needs.next()?;
        needs.all(|need| need == first).then_some(first)
    }

    fn reads(&self, layer: u32) -> bool {
        self.tasks_of(layer).any(|task| !self.inputs[task as usize].is_empty())
    }

    fn is_read(&self, layer: u32) -> bool {
        self.tasks_of(layer).flat_map(|task| self.pieces_of(task)).any(|piece| !self.readers[piece as usize].is_empty())
    }

    fn one_piece_each(&self) -> bool {
        self.task_of.len() == self.layer_of.len()
    }

    fn uniform(&self, layer: u32) -> bool {
        self.layers[layer as usize].uniform
    }

    fn spillable(&self, task: u32) -> bool {
        self.layers[self.layer_of(task) as usize].spillable
    }

    fn seals(&self, task: u32) -> bool {
        self.seals.iter().any(|seal| seal.0 == task)
    }

    fn expand(&self, task: u32, counted: &[u64], out: &mut Vec<Expansion>) {
        if let Some((_, _, tasks)) = self.seals.iter().find(|seal| seal.0 == task) {
            out.extend(tasks.clone().zip(counted).map(|(task, parts)| Expansion { task, parts: *parts as u32 }));
        }
    }
}
