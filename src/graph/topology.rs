//! The graph as the scheduler sees it.

use std::ops::Range;

use super::layer::{Body, Graph};
use super::order;
use super::pattern::Pattern;
use crate::schedule::{Expansion, Topology};

impl Topology for Graph {
    fn tasks(&self) -> u32 {
        self.task_count()
    }

    fn pieces(&self) -> u32 {
        self.piece_count()
    }

    fn layers(&self) -> u32 {
        self.layers.len() as u32
    }

    fn layer_of(&self, task: u32) -> u32 {
        self.layer_at(task) as u32
    }

    fn pieces_of(&self, task: u32) -> Range<u32> {
        self.layers[self.layer_at(task)].pieces_of(task)
    }

    fn task_of(&self, piece: u32) -> u32 {
        let layer = &self.layers[self.layer_at_piece(piece)];
        let index = piece - layer.pieces.start;
        let own = match (layer.pieces_per_task, &layer.body) {
            (1, _) => index,
            (0, Body::Explicit(tasks)) => tasks.task_of(index),
            (each, _) => index / each.max(1),
        };
        layer.tasks.start + own
    }

    fn dependencies<'a>(&'a self, task: u32, scratch: &'a mut Vec<u32>) -> &'a [u32] {
        let layer = &self.layers[self.layer_at(task)];
        let index = task - layer.tasks.start;
        match &layer.body {
            Body::Explicit(tasks) => tasks.reads.row(index),
            Body::Regular { inputs, .. } => {
                scratch.clear();
                let index = layer.index(index);
                for input in inputs {
                    let below = &self.layers[input.layer as usize];
                    let extent = self.extent(layer, input);
                    match &below.kept {
                        None => input.pattern.sources(index, extent, below.pieces.start, scratch),
                        Some(kept) => {
                            let from = scratch.len();
                            input.pattern.sources(index, extent, 0, scratch);
                            retain_from(scratch, from, |piece| {
                                let place = kept.place(piece / extent.pieces)?;
                                Some(below.pieces.start + place * extent.pieces + piece % extent.pieces)
                            });
                        }
                    }
                }
                scratch
            }
        }
    }

    fn count_dependencies(&self, counts: &mut [u32]) {
        for layer in &self.layers {
            let counts = &mut counts[layer.tasks.start as usize..layer.tasks.end as usize];
            match &layer.body {
                Body::Explicit(tasks) if tasks.reads.is_empty() => {}
                Body::Explicit(tasks) => {
                    for (index, count) in counts.iter_mut().enumerate() {
                        *count = tasks.reads.row(index as u32).len() as u32;
                    }
                }
                Body::Regular { inputs, .. } => {
                    for input in inputs {
                        let extent = self.extent(layer, input);
                        for (place, count) in counts.iter_mut().enumerate() {
                            *count += input.pattern.count(layer.index(place as u32), extent);
                        }
                    }
                }
            }
        }
    }

    fn consumers<'a>(&'a self, piece: u32, scratch: &'a mut Vec<u32>) -> &'a [u32] {
        let layer = &self.layers[self.layer_at_piece(piece)];
        let index = piece - layer.pieces.start;
        if let ([], [only]) = (&layer.readers[..], &layer.explicit_readers[..]) {
            return only.row(index);
        }
        scratch.clear();
        for (reader, slot) in &layer.readers {
            let above = &self.layers[*reader as usize];
            let Body::Regular { inputs, .. } = &above.body else { continue };
            let input = &inputs[*slot as usize];
            let extent = self.extent(above, input);
            let original = match &layer.kept {
                None => index,
                Some(kept) => kept.index(index / extent.pieces) * extent.pieces + index % extent.pieces,
            };
            match &above.kept {
                None => input.pattern.readers(original, extent, above.tasks.start, scratch),
                // All of what is left, however much there was.
                Some(_) if matches!(input.pattern, Pattern::All | Pattern::Broadcast) => {
                    scratch.extend(above.tasks.clone());
                }
                Some(kept) => {
                    let from = scratch.len();
                    input.pattern.readers(original, extent, 0, scratch);
                    retain_from(scratch, from, |index| Some(above.tasks.start + kept.place(index)?));
                }
            }
        }
        for readers in &layer.explicit_readers {
            scratch.extend_from_slice(readers.row(index));
        }
        scratch
    }

    fn position(&self, task: u32) -> u64 {
        let layer = &self.layers[self.layer_at(task)];
        order::position(layer, task - layer.tasks.start)
    }

    fn need(&self, task: u32) -> u64 {
        let layer = &self.layers[self.layer_at(task)];
        let index = task - layer.tasks.start;
        match &layer.body {
            Body::Regular { op, .. } => op.need(layer.index(index)),
            Body::Explicit(tasks) => tasks.need(index),
        }
    }

    fn even_need(&self, layer: u32) -> Option<u64> {
        let layer = &self.layers[layer as usize];
        match &layer.body {
            Body::Regular { op, .. } => op.needs_alike().then(|| op.need(layer.index(0))),
            Body::Explicit(tasks) => (!tasks.any_need()).then_some(0),
        }
    }

    fn reads(&self, layer: u32) -> bool {
        match &self.layers[layer as usize].body {
            Body::Regular { inputs, .. } => !inputs.is_empty(),
            Body::Explicit(tasks) => !tasks.reads.is_empty(),
        }
    }

    fn is_read(&self, layer: u32) -> bool {
        let layer = &self.layers[layer as usize];
        !layer.readers.is_empty() || !layer.explicit_readers.is_empty()
    }

    fn one_piece_each(&self) -> bool {
        self.layers.iter().all(|layer| layer.pieces_per_task == 1)
    }

    fn uniform(&self, layer: u32) -> bool {
        matches!(self.layers[layer as usize].body, Body::Regular { .. })
    }

    fn spillable(&self, task: u32) -> bool {
        let layer = &self.layers[self.layer_at(task)];
        match &layer.body {
            Body::Regular { op, .. } => op.kind().codec().is_some(),
            Body::Explicit(tasks) => tasks.calls[(task - layer.tasks.start) as usize].kind(0).codec().is_some(),
        }
    }

    fn seals(&self, task: u32) -> bool {
        match &self.layers[self.layer_at(task)].body {
            Body::Regular { op, .. } => op.is_barrier(),
            Body::Explicit(_) => false,
        }
    }

    fn expand(&self, task: u32, counted: &[u64], out: &mut Vec<Expansion>) {
        self.expansions(task, counted, out);
    }
}

/// Maps the items from place `from` on and drops those that map to nothing.
fn retain_from(items: &mut Vec<u32>, from: usize, map: impl Fn(u32) -> Option<u32>) {
    let mut kept = from;
    for at in from..items.len() {
        if let Some(item) = map(items[at]) {
            items[kept] = item;
            kept += 1;
        }
    }
    items.truncate(kept);
}
