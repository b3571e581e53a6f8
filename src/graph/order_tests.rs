//! The order's picture book: graphs, the order that is wanted for each, and why.
//!
//! Pictures go from sources at the left to results at the right; numbers beside a task say when it should run.

use proptest::prelude::*;

use super::Draft;
use super::explain::run_by_position;
use super::explicit::{Csr, Tasks};
use super::layer::Graph;
use super::order::depth_first;
use super::pattern::Pattern;
use super::testing::{Mix, add, arc, meta, pieces};
use crate::schedule::Topology;

/// Runs a graph on one worker. Gives the order, as `name index`, and the most values held at a time, results included.
#[track_caller]
fn check(graph: &Graph) -> (Vec<String>, usize) {
    let mut order = Vec::new();
    run_by_position(graph, |task| order.push(task));
    assert_eq!(order.len() as u32, graph.task_count());
    let mut scratch = Vec::new();
    for task in 0..graph.task_count() {
        for piece in graph.dependencies(task, &mut scratch) {
            let below = graph.task_of(*piece);
            let (early, late) = (graph.position(below), graph.position(task));
            assert!(early < late, "{below} is at {early:x} and {task}, which reads it, at {late:x}");
        }
    }
    let peak = peak(graph, &order);
    let name = |task: &u32| {
        let (name, index, ..) = graph.describe(*task);
        format!("{name}{}", index.map_or(String::new(), |index| index.to_string()))
    };
    (order.iter().map(name).collect(), peak)
}

/// Most values held at a time when tasks run in an order.
fn peak(graph: &Graph, order: &[u32]) -> usize {
    let mut readers = vec![0; graph.piece_count() as usize];
    let mut scratch = Vec::new();
    for piece in graph.outputs().iter().cloned().flatten() {
        readers[piece as usize] += 1;
    }
    for task in 0..graph.task_count() {
        graph.dependencies(task, &mut scratch).iter().for_each(|piece| readers[*piece as usize] += 1);
    }
    let (mut held, mut peak) = (0, 0);
    for task in order {
        held += graph.pieces_of(*task).len();
        peak = peak.max(held);
        held -= graph.pieces_of(*task).filter(|piece| readers[*piece as usize] == 0).count();
        for piece in graph.dependencies(*task, &mut scratch) {
            readers[*piece as usize] -= 1;
            held -= usize::from(readers[*piece as usize] == 0);
        }
    }
    peak
}

fn finish(draft: Draft, outputs: &[u32]) -> Graph {
    let outputs = outputs.iter().map(|layer| pieces(&draft, *layer)).collect();
    draft.finish(outputs)
}

/// ```text
/// a0 -> b0 -> c0        0 1 2
/// a1 -> b1 -> c1        3 4 5
/// ```
/// Each block goes through all layers before the next is begun.
#[test]
fn one_to_one() {
    let mut draft = Draft::new();
    let a = add(&mut draft, "a", 3, &[]);
    let b = add(&mut draft, "b", 3, &[(a, Pattern::OneToOne)]);
    let c = add(&mut draft, "c", 3, &[(b, Pattern::OneToOne)]);
    let (order, peak) = check(&finish(draft, &[c]));
    assert_eq!(order.join(" "), "a0 b0 c0 a1 b1 c1 a2 b2 c2");
    assert_eq!(peak, 4);
}

/// ```text
/// a0 \
/// b0 -> c0              0 1 2: both operands of a block before those of the next
/// a1 \
/// b1 -> c1              3 4 5
/// ```
#[test]
fn two_sources() {
    let mut draft = Draft::new();
    let a = add(&mut draft, "a", 3, &[]);
    let b = add(&mut draft, "b", 3, &[]);
    let c = add(&mut draft, "c", 3, &[(a, Pattern::OneToOne), (b, Pattern::OneToOne)]);
    let (order, peak) = check(&finish(draft, &[c]));
    assert_eq!(order.join(" "), "a0 b0 c0 a1 b1 c1 a2 b2 c2");
    assert_eq!(peak, 5);
}

/// ```text
/// a0 - s0               a task waits for its right neighbour, and no further
///    X
/// a1 - s1
///    X
/// a2 - s2
/// ```
/// Three blocks of `a` are held, and what came out of them.
#[test]
fn stencil() {
    let mut draft = Draft::new();
    let a = add(&mut draft, "a", 6, &[]);
    let s = add(&mut draft, "s", 6, &[(a, Pattern::Stencil { before: 1, after: 1 })]);
    let t = add(&mut draft, "t", 1, &[(s, Pattern::All)]);
    let (order, _) = check(&finish(draft, &[t]));
    assert_eq!(order.join(" "), "a0 a1 s0 a2 s1 a3 s2 a4 s3 a5 s4 s5 t");

    // Two sources of which one is read with neighbours: the other follows it and is not read ahead.
    let mut draft = Draft::new();
    let a = add(&mut draft, "a", 6, &[]);
    let b = add(&mut draft, "b", 6, &[]);
    let s = add(&mut draft, "s", 6, &[(a, Pattern::Stencil { before: 0, after: 2 }), (b, Pattern::OneToOne)]);
    let (order, _) = check(&finish(draft, &[s]));
    assert_eq!(order.join(" "), "a0 a1 a2 b0 s0 a3 b1 s1 a4 b2 s2 a5 b3 s3 b4 s4 b5 s5");
}

/// ```text
/// a0 a1 a2 | a3 a4 a5 | a6 a7 a8 | a9
///    r0         r1         r2      r3
///         q0               |   q1
///               p0
/// ```
/// Each level runs as soon as it can: few values wait at a time, however many blocks there are. The last group of each
/// level is smaller, and still comes after all it reads.
#[test]
fn tree_of_several_levels() {
    let mut draft = Draft::new();
    let a = add(&mut draft, "a", 10, &[]);
    let r = add(&mut draft, "r", 4, &[(a, Pattern::Tree { fan: 3 })]);
    let q = add(&mut draft, "q", 2, &[(r, Pattern::Tree { fan: 3 })]);
    let p = add(&mut draft, "p", 1, &[(q, Pattern::Tree { fan: 3 })]);
    let (order, peak) = check(&finish(draft, &[p]));
    assert_eq!(order.join(" "), "a0 a1 a2 r0 a3 a4 a5 r1 a6 a7 a8 r2 q0 a9 r3 q1 p");
    assert_eq!(peak, 6);
}

/// ```text
/// a0 -> m0 \            both reductions eat a block as soon as it is there:
///    -> s0  m, s        the source is never held whole
/// ```
#[test]
fn two_reductions_of_one_source() {
    let mut draft = Draft::new();
    let a = add(&mut draft, "a", 8, &[]);
    let s = add(&mut draft, "s", 4, &[(a, Pattern::Tree { fan: 2 })]);
    let m = add(&mut draft, "m", 4, &[(a, Pattern::Tree { fan: 2 })]);
    let sum = add(&mut draft, "sum", 1, &[(s, Pattern::All)]);
    let max = add(&mut draft, "max", 1, &[(m, Pattern::All)]);
    let (order, peak) = check(&finish(draft, &[sum, max]));
    assert_eq!(order[..8].join(" "), "a0 a1 s0 m0 a2 a3 s1 m1");
    assert_eq!(peak, 10);
}

/// ```text
/// x0 x1 x2 -> mean -> d0 d1 d2        x - mean(x): x is read once and held
/// ```
/// and `y - mean(x)`: no block of `y` is read before the mean is there, then each when its turn comes.
#[test]
fn two_passes() {
    let mut draft = Draft::new();
    let x = add(&mut draft, "x", 4, &[]);
    let mean = add(&mut draft, "mean", 1, &[(x, Pattern::Tree { fan: 4 })]);
    let d = add(&mut draft, "d", 4, &[(x, Pattern::OneToOne), (mean, Pattern::Broadcast)]);
    let (order, peak) = check(&finish(draft, &[d]));
    assert_eq!(order.join(" "), "x0 x1 x2 x3 mean d0 d1 d2 d3");
    assert_eq!(peak, 6);

    let mut draft = Draft::new();
    let y = add(&mut draft, "y", 4, &[]);
    let x = add(&mut draft, "x", 4, &[]);
    let mean = add(&mut draft, "mean", 1, &[(x, Pattern::Tree { fan: 4 })]);
    let d = add(&mut draft, "d", 4, &[(y, Pattern::OneToOne), (mean, Pattern::Broadcast)]);
    let (order, peak) = check(&finish(draft, &[d]));
    assert_eq!(order.join(" "), "x0 x1 x2 x3 mean y0 d0 y1 d1 y2 d2 y3 d3");
    assert_eq!(peak, 6);
}

/// ```text
/// a0 a1 a2 ═ every task gives a piece to each of b0 b1
/// ```
/// All of `a` before any of `b`; what reads `b` follows at once, and other sources it needs come then only.
#[test]
fn all_to_all() {
    let mut draft = Draft::new();
    let c = add(&mut draft, "c", 2, &[]);
    let a = {
        let op = Mix { pieces: 2, ..Mix::default() };
        super::testing::add_layer(&mut draft, "a", 3, Vec::new(), op)
    };
    let b = add(&mut draft, "b", 2, &[(a, Pattern::AllToAll)]);
    let d = add(&mut draft, "d", 2, &[(b, Pattern::OneToOne), (c, Pattern::OneToOne)]);
    let (order, peak) = check(&finish(draft, &[d]));
    // Both tasks of `b` are ready at once when the last of `a` has run, and go before a source.
    assert_eq!(order.join(" "), "a0 a1 a2 b0 b1 c0 d0 c1 d1");
    assert_eq!(peak, 7);
}

/// ```text
///      b0  b1  b2       rows are made one after the other: all of b stays, one block of a at a time
/// a0   p0  p1  p2
/// a1   p3  p4  p5
/// ```
#[test]
fn product() {
    let mut draft = Draft::new();
    let a = add(&mut draft, "a", 2, &[]);
    let b = add(&mut draft, "b", 3, &[]);
    let inputs = [(a, Pattern::Product { stride: 3, extent: 2 }), (b, Pattern::Product { stride: 1, extent: 3 })];
    let p = add(&mut draft, "p", 6, &inputs);
    let s = add(&mut draft, "s", 1, &[(p, Pattern::All)]);
    let (order, _) = check(&finish(draft, &[s]));
    assert_eq!(order.join(" "), "a0 b0 p0 b1 p1 b2 p2 a1 p3 p4 p5 s");
}

/// ```text
/// a0 .. a9 -> s0 .. s2 = a7 .. a9 \
///                      b0 .. b2    -> c0 .. c2
/// ```
/// What is read of `b` waits for its partner; also if nobody culled `a`.
#[test]
fn slice() {
    let mut draft = Draft::new();
    let b = add(&mut draft, "b", 3, &[]);
    let a = add(&mut draft, "a", 10, &[]);
    let s = add(&mut draft, "s", 3, &[(a, Pattern::Slice { start: 7, step: 1 })]);
    let c = add(&mut draft, "c", 3, &[(s, Pattern::OneToOne), (b, Pattern::OneToOne)]);
    let graph = finish(draft, &[c]);
    let (order, _) = check(&graph);
    assert_eq!(order[7..].join(" "), "b0 a7 s0 c0 b1 a8 s1 c1 b2 a9 s2 c2");
    let culled = super::passes::optimize(graph, super::passes::Switches { fuse: false, ..Default::default() });
    let (order, peak) = check(&culled.unwrap().graph);
    assert_eq!(order.join(" "), "b0 a7 s0 c0 b1 a8 s1 c1 b2 a9 s2 c2");
    assert_eq!(peak, 5);
}

/// Calls with edges of their own that read blocks: a block is read when the first call wants it.
/// ```text
/// a0 -> x0,  a1 -> x1 <- x0,  a2 -> x2 <- x1
/// ```
#[test]
fn calls_over_blocks() {
    let mut draft = Draft::new();
    add(&mut draft, "a", 3, &[]);
    let mut tasks = Tasks::with_capacity(3, 5);
    for task in 0..3 {
        let call = Mix { name: format!("x{task}"), ..Mix::default() };
        tasks.push(arc(call), [task].into_iter().chain((task > 0).then_some(2 + task)), 1);
    }
    let x = draft.explicit(meta("x"), tasks).unwrap();
    let (order, peak) = check(&finish(draft, &[x]));
    assert_eq!(order.join(" "), "a0 x0 a1 x1 a2 x2");
    assert_eq!(peak, 4);
}

/// An explicit graph in the order of [`depth_first`].
fn ordered(children: &[Vec<u32>], outputs: &[u32]) -> (Graph, Vec<u32>) {
    let mut rows = Csr::with_capacity(children.len(), 0);
    children.iter().for_each(|row| rows.push_row(row.iter().copied()));
    let order = depth_first(&rows, outputs);
    let mut number = vec![0; children.len()];
    order.iter().enumerate().for_each(|(at, task)| number[*task as usize] = at as u32);
    let mut tasks = Tasks::with_capacity(children.len(), 0);
    for task in &order {
        let call = Mix { name: task.to_string(), ..Mix::default() };
        tasks.push(arc(call), children[*task as usize].iter().map(|child| number[*child as usize]), 1);
    }
    let mut draft = Draft::new();
    draft.explicit(meta("calls"), tasks).unwrap();
    let outputs = outputs.iter().map(|output| number[*output as usize]).map(|at| at..at + 1).collect();
    (draft.finish(outputs), order)
}

/// ```text
/// 0 ────────────┐
/// 1 ─┐          │       the right part needs three values at a time, the left part one: the right one first,
/// 2 ─┴ 5 ─┐     6       so that 0 does not wait through all of it
/// 3 ─┐    ├ 7 ──┘
/// 4 ─┴ 8 ─┘
/// ```
#[test]
fn the_larger_need_first() {
    let children = vec![vec![], vec![], vec![], vec![], vec![], vec![1, 2], vec![0, 7], vec![5, 8], vec![3, 4]];
    let (graph, order) = ordered(&children, &[6]);
    assert_eq!(order, [1, 2, 5, 3, 4, 8, 7, 0, 6]);
    assert_eq!(check(&graph).1, 4);
}

/// Equal needs: children and outputs stay in their order; what no output needs comes last.
#[test]
fn ties_keep_the_order() {
    let children = vec![vec![], vec![], vec![], vec![2, 0, 1, 2], vec![], vec![4]];
    let (_, order) = ordered(&children, &[5, 3]);
    assert_eq!(order, [2, 0, 1, 3, 4, 5]);
    let (_, order) = ordered(&[vec![], vec![], vec![], vec![1]], &[2, 0, 3]);
    assert_eq!(order, [1, 3, 2, 0]);
    let (_, order) = ordered(&children, &[3]);
    assert_eq!(order, [2, 0, 1, 3, 4, 5]);
}

/// A chain of a million and a million readers of one task: no recursion, and in time.
#[test]
fn deep_and_wide() {
    let n = 1_000_000;
    let mut rows = Csr::with_capacity(n as usize, n as usize);
    (0..n).for_each(|task| rows.push_row((task + 1 < n).then_some(task + 1)));
    assert!(depth_first(&rows, &[0]).into_iter().eq((0..n).rev()));
    let mut rows = Csr::with_capacity(n as usize, 2 * n as usize);
    (0..n).for_each(|task| rows.push_row((task > 0 && task + 1 < n).then_some(0)));
    rows.push_row(1..n);
    assert!(depth_first(&rows, &[n]).into_iter().eq(0..=n));
}

/// A cycle is the caller's to refuse; here it ends, with each task once.
#[test]
fn a_cycle_ends() {
    let mut rows = Csr::with_capacity(3, 3);
    (0..3).for_each(|task| rows.push_row([(task + 1) % 3, 7]));
    let mut order = depth_first(&rows, &[1, 9]);
    order.sort_unstable();
    assert_eq!(order, [0, 1, 2]);
}

/// The fewest values that must be held at a time, over all orders: by sets of tasks that have run.
fn optimum(children: &[Vec<u32>], outputs: &[u32]) -> usize {
    let n = children.len();
    let read = |set: usize, task: usize| {
        (0..n).any(|reader| set >> reader & 1 == 0 && children[reader].contains(&(task as u32)))
            || outputs.contains(&(task as u32))
    };
    let held = |set: usize| (0..n).filter(|task| set >> task & 1 == 1 && read(set, *task)).count();
    let mut best = vec![usize::MAX; 1 << n];
    best[0] = 0;
    for set in 0..1 << n {
        if best[set] == usize::MAX {
            continue;
        }
        let now = held(set) + 1;
        for task in (0..n).filter(|task| set >> task & 1 == 0) {
            if children[task].iter().all(|child| set >> child & 1 == 1) {
                let next = set | 1 << task;
                best[next] = best[next].min(best[set].max(now));
            }
        }
    }
    best[(1 << n) - 1]
}

/// All graphs of a pseudorandom series: how far the order is from the best one.
#[test]
fn near_the_optimum() {
    let mut state = 7u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) % below
    };
    let mut off = [0; 8];
    for _ in 0..2000 {
        let n = 3 + random(7) as u32;
        let sparse = 1 + random(4);
        let children: Vec<Vec<u32>> =
            (0..n).map(|task| (0..task).filter(|_| random(u64::from(n)) < sparse).collect::<Vec<u32>>()).collect();
        let outputs: Vec<u32> = (0..n).filter(|task| children.iter().all(|row| !row.contains(task))).collect();
        let (graph, _) = ordered(&children, &outputs);
        let (_, peak) = check(&graph);
        let best = optimum(&children, &outputs);
        off[peak - best] += 1;
    }
    // Most are best, nearly all within one.
    assert!(off[0] >= 1600 && off[0] + off[1] >= 1980 && off[3..] == [0; 5], "{off:?}");
}

proptest! {
    /// Trees: Sethi and Ullman are best.
    #[test]
    fn best_for_trees(parents in prop::collection::vec(any::<u8>(), 1..9)) {
        let n = parents.len() + 1;
        let mut children = vec![Vec::new(); n];
        for (at, parent) in parents.iter().enumerate() {
            let task = at as u32 + 1;
            children[*parent as usize % (at + 1)].push(task);
        }
        let (graph, _) = ordered(&children, &[0]);
        let mut order = Vec::new();
        run_by_position(&graph, |task| order.push(task));
        prop_assert_eq!(peak(&graph, &order), optimum(&children, &[0]));
    }
}
