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
        let merged = |input: &Input| (first[input.layer as usize], input.pattern.clone());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Draft;
    use crate::graph::pattern::Pattern;
    use crate::graph::testing::{Mix, add_layer, before_after, pieces};

    /// A layer with a content key.
    fn keyed(draft: &mut Draft, name: &str, seed: u64, tasks: u32, inputs: &[(u32, Pattern)]) -> u32 {
        let inputs = inputs.iter().map(|(layer, pattern)| Input { layer: *layer, pattern: pattern.clone() }).collect();
        add_layer(draft, name, tasks, inputs, Mix { seed, key: true, ..Mix::default() })
    }

    /// Two collections that read one file, and do some things the same.
    #[test]
    fn equal_layers_transitively() {
        let mut draft = Draft::new();
        let tree = Pattern::Tree { fan: 10 };
        let read = keyed(&mut draft, "read", 0, 100, &[]);
        let again = keyed(&mut draft, "read", 0, 100, &[]);
        let half = keyed(&mut draft, "half", 1, 100, &[(read, Pattern::OneToOne)]);
        let half_too = keyed(&mut draft, "half", 1, 100, &[(again, Pattern::OneToOne)]);
        let sum = keyed(&mut draft, "sum", 2, 10, &[(half, tree.clone())]);
        let max = keyed(&mut draft, "max", 3, 10, &[(half_too, tree)]);
        let outputs = vec![pieces(&draft, sum), pieces(&draft, max)];
        insta::assert_snapshot!(before_after(&Share, draft.finish(outputs)), @"
        0 read 100 tasks
        1 read 100 tasks
        2 half 100 tasks <- 0 one-to-one
        3 half 100 tasks <- 1 one-to-one
        4 sum  10 tasks <- 2 tree of 10
        5 max  10 tasks <- 3 tree of 10
        results: 4, 5
        --
        0 read 100 tasks
        1 half 100 tasks <- 0 one-to-one
        2 sum  10 tasks <- 1 tree of 10
        3 max  10 tasks <- 1 tree of 10
        results: 2, 3
        ");
    }

    /// Other keys, patterns or numbers of tasks, and closures, stay apart.
    #[test]
    fn nothing_to_do() {
        let mut draft = Draft::new();
        let read = keyed(&mut draft, "read", 0, 10, &[]);
        keyed(&mut draft, "read", 1, 10, &[]);
        keyed(&mut draft, "read", 0, 11, &[]);
        let shift = |before| Pattern::Stencil { before, after: 0 };
        let one = keyed(&mut draft, "shift", 2, 10, &[(read, shift(1))]);
        let two = keyed(&mut draft, "shift", 2, 10, &[(read, shift(2))]);
        let closures = [0, 1].map(|_| add_layer(&mut draft, "closure", 10, Vec::new(), Mix::default()));
        let outputs = [one, two, closures[0], closures[1]].map(|layer| pieces(&draft, layer)).to_vec();
        insta::assert_snapshot!(before_after(&Share, draft.finish(outputs)), @"
        0 read    10 tasks
        1 read    10 tasks
        2 read    11 tasks
        3 shift   10 tasks <- 0 stencil -1+0
        4 shift   10 tasks <- 0 stencil -2+0
        5 closure 10 tasks
        6 closure 10 tasks
        results: 3, 4, 5, 6
        (untouched)
        ");
    }

    /// The same asked for twice becomes one output that is two results.
    #[test]
    fn results_that_become_one() {
        let mut draft = Draft::new();
        let read = keyed(&mut draft, "read", 0, 4, &[]);
        let again = keyed(&mut draft, "read", 0, 4, &[]);
        let (first, second) = (pieces(&draft, read), pieces(&draft, again));
        let graph = draft.finish(vec![second.start + 1..second.end, first]);
        assert_eq!(graph.results(), None);
        insta::assert_snapshot!(before_after(&Share, graph.clone()), @"
        0 read 4 tasks
        1 read 4 tasks
        results: 1[1..4], 0
        --
        0 read 4 tasks
        results: 0[1..4], 0[0..1] (for 7 results)
        ");
        let shared = Share.run(graph).unwrap();
        assert_eq!(shared.results(), Some(&[0, 1, 2, 3, 0, 1, 2][..]));
        assert_eq!(shared.outputs(), [1..4, 0..1]);
        assert_eq!(shared.result_count(), 7);
    }
}
