//! Merges layers that do the same to the same.
//!
//! ```text
//! 0 read   100 tasks                    0 read  100 tasks
//! 1 read   100 tasks                    1 sum    10 tasks  <- 0 tree of 10
//! 2 sum     10 tasks  <- 0 tree of 10   2 max    10 tasks  <- 0 tree of 10
//! 3 max     10 tasks  <- 1 tree of 10
//! ```
//!
//! Two layers are equal if their operations have equal content keys and they read the same layers in the same way. One
//! pass from the sources up finds all of them, since what is read was merged before.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::Pass;
use super::rebuild::Rebuild;
use crate::error::Result;
use crate::graph::layer::{Body, Graph, Input};

/// The pass.
pub struct Share;

impl Pass for Share {
    fn name(&self) -> &'static str {
        "share"
    }

    fn run(&self, graph: Graph) -> Result<Graph> {
        let first = first_equal(&graph);
        if first.iter().enumerate().all(|(at, first)| at as u32 == *first) {
            return Ok(graph);
        }
        let (mut rebuild, layers) = Rebuild::new(graph);
        for (at, (layer, first)) in layers.into_iter().zip(first).enumerate() {
            if first == at as u32 { rebuild.keep(layer)? } else { rebuild.same_as(first) }
        }
        rebuild.finish()
    }
}

/// Per layer the first one that is equal to it.
fn first_equal(graph: &Graph) -> Vec<u32> {
    let mut seen = HashMap::new();
    let mut first: Vec<u32> = Vec::with_capacity(graph.layers.len());
    for (at, layer) in graph.layers.iter().enumerate() {
        let at = at as u32;
        let Body::Regular { op, inputs } = &layer.body else {
            first.push(at);
            continue;
        };
        let Some(key) = op.content_key() else {
            first.push(at);
            continue;
        };
        let merged = |input: &Input| (first[input.layer as usize], input.pattern);
        let inputs: Vec<_> = inputs.iter().map(merged).collect();
        let tasks = (layer.len(), layer.pieces_per_task, layer.kept.clone());
        let place = match seen.entry((key, op.kind().type_name(), inputs, tasks)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(free) => *free.insert(at),
        };
        first.push(place);
    }
    first
}
