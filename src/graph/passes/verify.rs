//! What must hold after every pass.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::graph::layer::{Body, Graph};
use crate::schedule::Topology;

/// Edges that are looked at one by one; a graph with more is looked at by its patterns only.
const EDGES: u64 = 1 << 22;

/// What a pass must leave as it is.
pub(super) struct Promise {
    results: u32,
    /// Per result the name of its type; in debug builds only.
    kinds: Vec<&'static str>,
}

impl Promise {
    /// What holds of a graph.
    pub fn of(graph: &Graph) -> Promise {
        let kinds = if cfg!(debug_assertions) { kinds(graph) } else { Vec::new() };
        Promise { results: graph.result_count(), kinds }
    }

    /// Checks that it still holds, and that the edges of the graph are legal.
    pub fn check(&self, graph: &Graph, pass: &str) -> Result<()> {
        let broken = self.layers(graph).or_else(|| if cfg!(debug_assertions) { self.in_full(graph) } else { None });
        match broken {
            None => Ok(()),
            Some(broken) => Err(Error::internal(format!("the pass `{pass}` broke the graph: {broken}"))),
        }
    }

    fn layers(&self, graph: &Graph) -> Option<String> {
        if graph.result_count() != self.results {
            return Some(format!("{} results became {}", self.results, graph.result_count()));
        }
        let (mut task, mut piece) = (0, 0);
        for (at, layer) in graph.layers.iter().enumerate() {
            let name = &layer.meta.name;
            if layer.tasks.start != task || layer.pieces.start != piece {
                return Some(format!("`{name}` does not begin where the layer before it ends"));
            }
            (task, piece) = (layer.tasks.end, layer.pieces.end);
            let Body::Regular { inputs, .. } = &layer.body else { continue };
            for (slot, input) in inputs.iter().enumerate() {
                let Some(below) = graph.layers[..at].get(input.layer as usize) else {
                    return Some(format!("`{name}` reads layer {}, which does not stand before it", input.layer));
                };
                let extent = graph.extent(layer, input);
                if !input.pattern.fits(extent) {
                    return Some(format!(
                        "`{name}` reads `{}` by {:?} over {extent:?}",
                        below.meta.name, input.pattern
                    ));
                }
                // Layers stand in order, and so do those that read one.
                if below.readers.binary_search(&(at as u32, slot as u32)).is_err() {
                    return Some(format!("`{}` does not know that `{name}` reads it", below.meta.name));
                }
            }
        }
        let outside = |range: &&Range<u32>| range.start > range.end || range.end > piece;
        graph.outputs.iter().find(outside).map(|range| format!("pieces {range:?} are results and do not exist"))
    }

    fn in_full(&self, graph: &Graph) -> Option<String> {
        if kinds(graph) != self.kinds {
            return Some("results changed their types".to_string());
        }
        let mut counts = vec![0; graph.task_count() as usize];
        graph.count_dependencies(&mut counts);
        let mut scratch = Vec::new();
        // Sums over all edges, seen from the readers and from what is read.
        let (mut down, mut up) = (0u64, 0u64);
        let edge =
            |piece: u32, task: u32| (u64::from(piece) << 32 | u64::from(task)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let edges: u64 = counts.iter().map(|count| u64::from(*count)).sum();
        if edges > EDGES {
            return None;
        }
        for task in 0..graph.task_count() {
            let name = || graph.describe(task).0;
            let first = graph.pieces_of(task).start;
            let read = graph.dependencies(task, &mut scratch);
            let (len, count) = (read.len(), counts[task as usize]);
            if len as u32 != count {
                return Some(format!("`{}` ({task}) reads {len} pieces and counts {count}", name()));
            }
            for piece in read {
                if *piece >= first {
                    return Some(format!("`{}` ({task}) reads piece {piece}, which is not made before it", name()));
                }
                down = down.wrapping_add(edge(*piece, task));
            }
        }
        for piece in 0..graph.piece_count() {
            for task in graph.consumers(piece, &mut scratch) {
                up = up.wrapping_add(edge(piece, *task));
            }
        }
        if down != up {
            return Some("what tasks read and who reads a piece differ".to_string());
        }
        None
    }
}

/// Per result the name of its type.
fn kinds(graph: &Graph) -> Vec<&'static str> {
    let pieces = graph.outputs.iter().cloned().flatten();
    let kinds: Vec<&'static str> = pieces.map(|piece| graph.kind(piece).type_name()).collect();
    match graph.results() {
        None => kinds,
        Some(results) => results.iter().filter_map(|place| kinds.get(*place as usize).copied()).collect(),
    }
}
