//! What the passes cost on large graphs: a million tasks in a release build. Times are printed, not compared: run with
//! `--release -- --nocapture`.

use std::time::Instant;

use super::*;
use crate::graph::pattern::Pattern;
use crate::graph::testing::{Mix, add, arc, meta, pieces};
use crate::graph::{Csr, Draft, Tasks, depth_first};

const TASKS: u32 = if cfg!(debug_assertions) { 20_000 } else { 1_000_000 };

/// A million calls that read others; the last one reads what nobody else does.
fn calls(reads: impl Fn(u32) -> Vec<u32>) -> Graph {
    let mut tasks = Tasks::with_capacity(TASKS as usize, 0);
    let mut unread = vec![true; TASKS as usize];
    let call = arc(Mix::default());
    for task in 0..TASKS {
        let mut row = reads(task);
        row.iter().for_each(|read| unread[*read as usize] = false);
        if task == TASKS - 1 {
            row = (0..task).filter(|task| unread[*task as usize]).collect();
        }
        tasks.push(call.clone(), row, 1);
    }
    let mut draft = Draft::new();
    draft.explicit(meta("calls"), tasks).unwrap();
    #[allow(clippy::single_range_in_vec_init, reason = "a list of ranges is meant")]
    draft.finish(vec![TASKS - 1..TASKS])
}

fn measure(name: &str, graph: Graph) {
    let before = graph.task_count();
    for pass in passes(Switches::default()) {
        let copy = graph.clone();
        let start = Instant::now();
        let after = pass.run(copy).unwrap();
        let nanos = start.elapsed().as_nanos() as f64 / f64::from(before);
        println!("{name:12} {:6} {nanos:7.2} ns per task, {before} -> {} tasks", pass.name(), after.task_count());
    }
    let start = Instant::now();
    let optimized = optimize(graph, Switches::default()).unwrap();
    let nanos = start.elapsed().as_nanos() as f64 / f64::from(before);
    assert!(optimized.graph.task_count() <= before);
    println!("{name:12} all    {nanos:7.2} ns per task, {before} -> {} tasks", optimized.graph.task_count());
}

#[test]
fn passes_over_large_graphs() {
    measure("independent", calls(|_| Vec::new()));
    measure(
        "tree",
        calls(|task| if task < TASKS / 2 { vec![] } else { (0..2).map(|n| (task - TASKS / 2) * 2 + n).collect() }),
    );
    measure("grid", calls(|task| task.checked_sub(1000).into_iter().flat_map(|up| [up, up + 1]).collect()));
    measure("chains", calls(|task| task.checked_sub(1).filter(|_| task % 10 > 0).into_iter().collect()));
    measure("half unread", {
        let graph = calls(|task| task.checked_sub(2).into_iter().collect());
        let last = graph.task_count() - 2;
        #[allow(clippy::single_range_in_vec_init, reason = "a list of ranges is meant")]
        Graph { outputs: vec![last..last + 1], ..graph }
    });

    let mut draft = Draft::new();
    let load = add(&mut draft, "load", TASKS, &[]);
    let sum = add(&mut draft, "sum", TASKS / 10, &[(load, Pattern::Tree { fan: 10 })]);
    let outputs = vec![pieces(&draft, sum)];
    let start = Instant::now();
    let graph = draft.finish(outputs);
    println!("finish of two regular layers {:?}", start.elapsed());
    measure("regular", graph);
    // Ten thousand layers: costs per layer.
    let mut draft = Draft::new();
    let mut last = add(&mut draft, "load", 100, &[]);
    for _ in 0..10_000 {
        last = add(&mut draft, "next", 100, &[(last, Pattern::Stencil { before: 1, after: 1 })]);
    }
    let outputs = vec![pieces(&draft, last)];
    measure("layers", draft.finish(outputs));

    let mut rows = Csr::with_capacity(TASKS as usize, 2 * TASKS as usize);
    for task in 0..TASKS {
        rows.push_row((1..=2).map(|n| task * 2 + n).filter(|child| *child < TASKS));
    }
    let start = Instant::now();
    let order = depth_first(&rows, &[0]);
    println!("depth_first of a tree {:.2} ns per task", start.elapsed().as_nanos() as f64 / order.len() as f64);
}
