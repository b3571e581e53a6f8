//! Random graphs give the same results with each subset of the passes.

use proptest::prelude::*;

use super::*;
use crate::graph::pattern::{Extent, Pattern};
use crate::graph::testing::{Mix, add_layer, evaluate, meta, random_pattern};
use crate::graph::{Draft, Input, Tasks};

/// A graph out of arbitrary numbers, which shrink to a small one.
pub(super) fn random_graph(layers: &[[u16; 8]], outputs: &[[u16; 2]]) -> Graph {
    let mut draft = Draft::new();
    for (number, choice) in layers.iter().enumerate() {
        let [what, first, second, pattern, size, pieces, seed, key] = choice.map(u32::from);
        let below = draft.graph().layers().len() as u32;
        let mut inputs = Vec::new();
        // Few seeds, so that layers are equal now and then.
        let op = Mix { seed: u64::from(seed % 3), key: key % 3 > 0, ..Mix::default() };
        match what % 8 {
            // Everything below can be read by calls with edges of their own.
            0 if below > 0 => {
                let start = draft.next_piece();
                let mut tasks = Tasks::with_capacity(0, 0);
                let mut next = start;
                for task in 0..1 + size % 12 {
                    let edge = |step: u32| (first + second * step + task * step * 7) % next;
                    let own = next - start;
                    let reads: Vec<u32> = match (pattern + task) % 5 {
                        0 => vec![],
                        // A chain.
                        1 | 2 if own > 0 => vec![next - 1],
                        3 => vec![edge(1), edge(2)],
                        _ => vec![edge(1)],
                    };
                    let made = if (pieces + task) % 5 == 0 { 2 } else { 1 };
                    let call = Mix { seed: u64::from(seed + task), pieces: made, ..Mix::default() };
                    tasks.push(std::sync::Arc::new(call), reads, made);
                    next += made;
                }
                draft.explicit(meta(&format!("calls{number}")), tasks).unwrap();
                continue;
            }
            1 => {}
            _ if below == 0 || draft.graph().layers()[(first % below) as usize].pieces_per_task == 0 => {}
            _ => {
                let layer = first % below;
                let lower = &draft.graph().layers()[layer as usize];
                let (pattern, tasks) = random_pattern(lower, pattern, size);
                inputs.push(Input { layer, pattern });
                let other = second % below;
                let lower = &draft.graph().layers()[other as usize];
                let extent = Extent { below: lower.original_len(), pieces: lower.pieces_per_task, above: tasks };
                let more =
                    [Pattern::OneToOne, Pattern::Stencil { before: 1, after: 2 }, Pattern::Broadcast, Pattern::All];
                if let Some(pattern) = more.into_iter().find(|pattern| pattern.fits(extent))
                    && lower.pieces_per_task > 0
                    && what % 3 > 0
                {
                    inputs.push(Input { layer: other, pattern });
                }
                let pieces = if pieces % 6 == 0 { 1 + pieces % 4 } else { 1 };
                add_layer(&mut draft, "op", tasks, inputs, Mix { pieces, barrier: key % 11 == 0, ..op });
                continue;
            }
        }
        add_layer(&mut draft, "source", 1 + size % 9, inputs, op);
    }
    let pieces = draft.next_piece();
    let range = |[start, len]: &[u16; 2]| {
        let start = u32::from(*start) % pieces;
        start..(start + 1 + u32::from(*len) % 4).min(pieces)
    };
    draft.finish(outputs.iter().map(range).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn all_subsets_of_passes_give_the_same(
        layers in prop::collection::vec(any::<[u16; 8]>(), 1..14),
        outputs in prop::collection::vec(any::<[u16; 2]>(), 1..5),
    ) {
        let graph = random_graph(&layers, &outputs);
        let expected = evaluate(&graph).unwrap();
        for subset in 0..8 {
            let switches = Switches { cull: subset & 1 > 0, share: subset & 2 > 0, fuse: subset & 4 > 0 };
            let once = optimize(graph.clone(), switches).unwrap();
            prop_assert_eq!(&evaluate(&once.graph).unwrap(), &expected, "{:?}", switches);
            let twice = optimize(once.graph, Switches { fuse: true, ..switches }).unwrap();
            prop_assert_eq!(&evaluate(&twice.graph).unwrap(), &expected, "again {:?}", switches);
        }
    }
}
