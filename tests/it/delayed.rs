//! Delayed values: the programs of the documentation, and what is easy to get wrong.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chunkwise::prelude::*;

#[test]
fn first_programs() {
    let parts: Vec<Delayed<u64>> = (0..8).map(|i| delayed(move || i * i)).collect();
    let total = Delayed::all(&parts).map(|xs| xs.iter().sum::<u64>());
    assert_eq!(total.compute().unwrap(), 140);

    let a = delayed(|| 10).named("task_a");
    let b = delayed(|| 20);
    let c = delayed_with((&a, &b), |(a, b)| a + b);
    let d = c.map(|c| c * 2);
    let e = d.then(|d| format!("{d}"));
    let k = Delayed::value(5);
    assert_eq!(compute((&d, &e, &k)).unwrap(), (60, "60".to_string(), 5));

    let mut g = GraphBuilder::new();
    let x = g.value("x", 1_i64);
    let y = g.value("y", 2_i64);
    let z = g.task("z", (&x, &y), |(x, y)| x + y);
    let w = g.task("w", &z, |z| z * 2);
    let r = g.task("result", (&w, &y), |(w, y)| w.pow(*y as u32));
    let late = g.key::<i64>("late");
    let after = g.task("after", &late, |late| late + 1);
    g.task("late", &r, |r| r * 100);
    let built = g.build().unwrap();
    assert_eq!(built.compute(&r).unwrap(), 36);
    assert_eq!(built.compute((&after, vec![&w, &z])).unwrap(), (3601, vec![6, 3]));
}

#[test]
fn nested_inputs() {
    let one = delayed(|| 1);
    let list = vec![delayed(|| 2), delayed(|| 3)];
    let maybe: Option<Delayed<i32>> = Some(delayed(|| 4));
    let none: Option<Delayed<i32>> = None;
    let map: HashMap<&'static str, Delayed<i32>> = [("five", delayed(|| 5))].into();
    let tree: BTreeMap<u8, Vec<Delayed<i32>>> = [(6, vec![delayed(|| 6), one.clone()])].into();
    let sum = delayed_with((&one, (&list, &maybe), &none, &map, &tree), |(one, (list, maybe), none, map, tree)| {
        assert!(none.is_none());
        *one + list.into_iter().sum::<i32>() + maybe.unwrap() + map[&"five"] + tree[&6].iter().copied().sum::<i32>()
    });
    assert_eq!(sum.compute().unwrap(), 1 + 5 + 4 + 5 + 7);
}

#[test]
fn a_node_used_twice_runs_once() {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let shared = delayed(move || counted.fetch_add(1, Ordering::Relaxed));
    let left = shared.map(|x| x + 1);
    let right = shared.map(|x| x + 2);
    let both = delayed_with((&left, &right, &shared), |(l, r, s)| l + r + s);
    both.compute().unwrap();
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    both.compute().unwrap();
    assert_eq!(runs.load(Ordering::Relaxed), 2, "a plan may run again");
}

#[test]
fn a_chain_of_a_million_steps() {
    let mut chain = delayed(|| 0u64);
    for _ in 0..1_000_000 {
        chain = chain.map(|x| x + 1);
    }
    assert!(format!("{chain:?}").contains("map"));
    assert_eq!(chain.compute().unwrap(), 1_000_000);
}

#[test]
fn rows_of_all_patterns() {
    let row = DelayedVec::from_fn(100, i64::from);
    assert_eq!(row.compute().unwrap(), (0..100).collect::<Vec<i64>>());
    assert_eq!(row.map(|x| x * 2).tree_reduce(|a, b| a + b).compute().unwrap(), Some(9900));
    assert_eq!(DelayedVec::from_fn(0, |i| i).tree_reduce(|a, b| a + b).compute().unwrap(), None);
    let mean = row.all().map(|xs| xs.iter().sum::<i64>() / xs.len() as i64);
    assert_eq!(row.map_with(&mean, |x, m| x - m).get(99).compute().unwrap(), 50);
    let windows = row.windows(1, 1, |w| w.iter().copied().sum::<i64>());
    assert_eq!(windows.get(0).compute().unwrap(), 1);
    assert_eq!(windows.get(50).compute().unwrap(), 150);
    assert_eq!(row.zip_with(&windows, |a, b| a + b).get(99).compute().unwrap(), 99 + 98 + 99);
    let turned = row.all_to_all(7, |x| (0..7).map(|j| x * 7 + j).collect(), |xs: Vec<i64>| xs);
    let turned = turned.compute().unwrap();
    assert_eq!(turned.len(), 7);
    for (j, values) in turned.iter().enumerate() {
        assert_eq!(values, &(0..100).map(|x| x * 7 + j as i64).collect::<Vec<_>>());
    }
    assert_eq!(row.iter().unwrap().take(5).collect::<Result<Vec<_>>>().unwrap(), [0, 1, 2, 3, 4]);
    let error = row.zip_with(&DelayedVec::from_fn(3, |i| i), |_, _| 0).compute().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Plan);
    assert!(error.to_string().starts_with("rows of 100 and 3 values cannot be zipped\n  in zip_with at tests/"));
}

#[test]
fn copies_and_order() {
    let log = Arc::new(std::sync::Mutex::new(Vec::new()));
    let note = |name: &'static str| {
        let log = log.clone();
        move || log.lock().unwrap().push(name)
    };
    let (a, b) = (delayed(note("a")), delayed(note("b")));
    let bound = a.map(|()| 1).bind(&b);
    bound.compute().unwrap();
    assert_eq!(std::mem::take(&mut *log.lock().unwrap()), ["b", "a"]);
    compute((&a, a.fresh())).unwrap();
    assert_eq!(std::mem::take(&mut *log.lock().unwrap()), ["a", "a"]);
    Delayed::checkpoint((&a, &b)).compute().unwrap();
    assert_eq!(std::mem::take(&mut *log.lock().unwrap()).len(), 2);
    let (x, y) = (delayed(note("p")).pure("key"), delayed(note("q")).pure("key"));
    compute((x.map(|()| 1), y.map(|()| 2))).unwrap();
    assert_eq!(log.lock().unwrap().len(), 1);
}

#[test]
fn persisted_values_do_not_run_again() {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let slow = delayed(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        vec![1, 2, 3]
    });
    let kept = slow.persist().unwrap();
    assert_eq!(kept.map(|v| v.len()).compute().unwrap(), 3);
    assert_eq!(kept.compute().unwrap(), [1, 2, 3]);
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

#[test]
fn errors_name_the_line() {
    let text = delayed(|| String::from("12x"));
    let line = line!() + 1;
    let number = text.try_map(|t| t.parse::<u32>());
    let error = number.map(|n| n + 1).compute().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Task);
    assert_eq!(
        error.to_string(),
        format!("task `try_map` failed: invalid digit found in string\n  from try_map at {}:{line}", file!())
    );
    let panics = delayed(|| -> u32 { panic!("on purpose") }).named("bomb");
    let error = panics.compute().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Panic);
    assert!(error.to_string().starts_with("task `bomb` failed: panicked: on purpose\n  from delayed at "), "{error}");
}
