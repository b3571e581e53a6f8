//! Copies of plans behind gates, names of single values, and values that are asked for twice.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use chunkwise::prelude::*;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<&'static str>>>);

impl Log {
    fn note(&self, name: &'static str) {
        self.0.lock().unwrap().push(name);
    }

    fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    fn gate(&self) -> Delayed<i32> {
        let log = self.clone();
        delayed(move || {
            log.note("gate");
            7
        })
    }
}

#[test]
fn the_gate_is_no_input() {
    let gate = Log::default().gate();
    assert!(Delayed::<i32>::all(&[]).bind(&gate).compute().unwrap().is_empty());
    assert!(Delayed::<i32>::all(&[]).bind(Delayed::checkpoint(&gate)).compute().unwrap().is_empty());
    assert_eq!(Delayed::value(3).bind(&gate).compute().unwrap(), 3);
    assert_eq!(delayed(|| 4).bind((&gate, vec![&gate, &gate])).compute().unwrap(), 4);
    assert_eq!(delayed(|| 5).bind(()).compute().unwrap(), 5);
}

#[test]
fn layers_wait_for_the_gate_too() {
    let log = Log::default();
    let (gate, inner) = (log.gate(), log.clone());
    let row = DelayedVec::from_fn(4, move |i| {
        inner.note("row");
        i
    });
    let total = row.tree_reduce(|a, b| a + b);
    for runtime in [Runtime::builder().threads(2), Runtime::builder().threads(2).set("optimize.fuse", false)] {
        let runtime = runtime.build().unwrap();
        assert_eq!(total.bind(&gate).compute_on(&runtime).unwrap(), Some(6));
        assert_eq!(log.take(), ["gate", "row", "row", "row", "row"]);
        let (plain, bound) = (&total, total.bind(&gate)).compute_on(&runtime).unwrap();
        assert_eq!((plain, bound), (Some(6), Some(6)));
        assert_eq!(log.take().iter().filter(|name| **name == "row").count(), 8);
    }
    let closed: Delayed<i32> = try_delayed(|| Err("the gate is closed"));
    let error = total.bind(&closed).compute().unwrap_err();
    assert!(error.to_string().contains("the gate is closed"), "{error}");
    assert_eq!(log.take(), [""; 0]);

    // An exchange of the copy has a state of its own.
    let dealt = DelayedVec::from_fn(3, |i| vec![i, i + 10]).all_to_all(2, |row| row, |parts| parts.iter().sum::<u32>());
    let sum = dealt.tree_reduce(|a, b| a + b);
    assert_eq!(compute((&sum, sum.bind(&gate), sum.fresh())).unwrap(), (Some(36), Some(36), Some(36)));
}

#[test]
#[cfg(feature = "gzip")]
fn tables_wait_for_the_gate_too() {
    let closed: Delayed<i32> = try_delayed(|| Err("the gate is closed"));
    let read = chunkwise::dataframe::read_csv("examples/data/flights/*.csv.gz").null_values(["", "NA"]).open().unwrap();
    let rows = read.count_rows().to_delayed();
    assert!(rows.bind(&closed).compute().unwrap_err().to_string().contains("the gate is closed"));
}

#[test]
fn a_pure_task_is_one_in_each_copy() {
    let runs = Arc::new(AtomicU32::new(0));
    let load = |key: &str| {
        let runs = runs.clone();
        delayed(move || runs.fetch_add(1, Ordering::Relaxed)).pure(key)
    };
    let (one, other) = (load("key"), load("key"));
    let log = Log::default();
    compute((one.map(|_| 1), one.bind(log.gate()).map(|_| 2))).unwrap();
    assert_eq!((runs.swap(0, Ordering::Relaxed), log.take()), (2, vec!["gate"]));
    // In the copy they are one as well.
    Delayed::all(&[one.clone(), other.clone()]).bind(log.gate()).compute().unwrap();
    assert_eq!(runs.swap(0, Ordering::Relaxed), 1);
    compute((&one, &other, one.fresh())).unwrap();
    assert_eq!(runs.swap(0, Ordering::Relaxed), 2);
}

#[test]
fn values_of_layers_have_names_and_kinds_of_their_own() {
    let row = DelayedVec::from_fn(4, |i| vec![i; 3]);
    let failing = row.tree_reduce(|_, _| panic!("no sum")).named("my total");
    let error = failing.compute().unwrap_err();
    assert!(error.to_string().contains("my total"), "{error}");
    let third = row.get(3).named("third");
    assert!(third.explain().unwrap().to_string().contains("third"));
    assert_eq!(third.compute().unwrap(), [3; 3]);
    let error = row.get(2).named("second").map(|_| -> u32 { panic!("read") }).named("reader").compute().unwrap_err();
    assert!(error.to_string().contains("reader"), "{error}");

    #[derive(Clone, serde::Serialize, serde::Deserialize)]
    struct Wide(Vec<(f64, f64)>);
    let runtime = Runtime::builder().threads(1).memory_limit("8 MiB").build().unwrap();
    let wide: Vec<Delayed<Wide>> = (0..32)
        .map(|at| {
            DelayedVec::from_fn(1, move |_| Wide((0..32_768).map(|i| (f64::from(i), f64::from(at))).collect()))
                .get(0)
                .spillable()
        })
        .collect();
    let barrier = Delayed::checkpoint(wide.clone());
    let sums: Vec<Delayed<f64>> = wide
        .iter()
        .map(|wide| delayed_with((wide, &barrier), |(wide, ())| wide.0.iter().map(|(_, at)| at).sum::<f64>()))
        .collect();
    let sums = sums.compute_on(&runtime).unwrap();
    assert_eq!(sums, (0..32).map(|at| f64::from(at * 32_768)).collect::<Vec<_>>());
    let report = runtime.last_report();
    assert!(report.spilled_bytes > 8 << 20, "{report}");
}

#[test]
fn what_can_be_cloned_is_given_twice() {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let text = delayed(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        "text".to_string()
    });
    let (a, b) = compute((&text, text.named("other"))).unwrap();
    assert_eq!((a, b, runs.load(Ordering::Relaxed)), ("text".into(), "text".into(), 1));
    let rows = delayed(|| vec![vec![1.5], vec![2.5]]);
    assert_eq!(
        vec![rows.clone(), rows.clone(), rows].compute().unwrap().concat().concat(),
        [1.5, 2.5, 1.5, 2.5, 1.5, 2.5]
    );
    let row = DelayedVec::from_fn(3, |i| i);
    assert_eq!(compute((row.get(1), row.get(1))).unwrap(), (1, 1));

    // What a verb asks to be `Clone` can be given twice, of whatever type it is.
    #[derive(Clone, Debug, PartialEq)]
    struct Own(u32);
    let all = Delayed::all(&[Delayed::value(Own(1)), Delayed::value(Own(2))]);
    assert_eq!(compute((&all, &all)).unwrap().1, [Own(1), Own(2)]);
    let parts = all.split(2);
    assert_eq!(compute((&parts[1], &parts[1])).unwrap(), (Own(2), Own(2)));

    let row = DelayedVec::from_fn(3, Own).tree_reduce(|a, b| Own(a.0 + b.0));
    assert_eq!(compute((&row, &row)).unwrap().1, Some(Own(3)));

    // Of others it is told before anything runs.
    let ran = Arc::new(AtomicU32::new(0));
    let counted = ran.clone();
    let own = delayed(move || Own(counted.fetch_add(1, Ordering::Relaxed)));
    let error = compute((&own, own.named("again"))).unwrap_err();
    assert_eq!((error.kind(), ran.load(Ordering::Relaxed)), (ErrorKind::Plan, 0));
    assert!(error.to_string().contains("asked for twice") && error.to_string().contains(file!()), "{error}");
    assert_eq!(compute((&own, own.map(Own::clone))).unwrap(), (Own(0), Own(0)));
}

#[test]
fn long_rows_of_names_are_no_recursion() {
    let mut value = delayed(|| "deep".to_string());
    for step in 0..100_000 {
        value = value.named(format!("{step}"));
    }
    assert_eq!(compute((&value, &value)).unwrap().1, "deep");
}

#[test]
fn rows_of_nothing_behind_a_gate() {
    let log = Log::default();
    let gate = log.gate();
    let empty = || DelayedVec::from_fn(0, |i| i);
    for cull in [true, false] {
        let runtime = Runtime::builder().threads(2).set("optimize.cull", cull).build().unwrap();
        assert!(empty().all().bind(&gate).compute_on(&runtime).unwrap().is_empty());
        assert_eq!(empty().tree_reduce(|a, b| a + b).bind(&gate).compute_on(&runtime).unwrap(), None);
        assert!(empty().map(|x| x + 1).all().bind(&gate).compute_on(&runtime).unwrap().is_empty());
        let dealt = empty().all_to_all(3, |x| vec![x; 3], |parts: Vec<u32>| parts.len());
        assert_eq!(dealt.all().bind(&gate).compute_on(&runtime).unwrap(), [0, 0, 0]);
    }
}

/// What a row of nothing asks for begins where another result does.
#[test]
fn rows_of_nothing_beside_other_results() {
    let none = DelayedVec::from_fn(0, |i| i);
    let dealt = none.all_to_all(3, |_| vec![0u8; 3], |parts| parts.len());
    for (cull, fuse) in [(true, true), (true, false), (false, true), (false, false)] {
        let runtime =
            Runtime::builder().threads(2).set("optimize.cull", cull).set("optimize.fuse", fuse).build().unwrap();
        assert_eq!((delayed(|| 1), &none).compute_on(&runtime).unwrap(), (1, vec![]));
        assert_eq!((&none.all(), &none).compute_on(&runtime).unwrap(), (vec![], vec![]));
        assert_eq!((none.tree_reduce(|a, _| a), &none).compute_on(&runtime).unwrap(), (None, vec![]));
        let all = (&none, &dealt, &none, dealt.map(|len| len + 1), &none).compute_on(&runtime).unwrap();
        assert_eq!(all, (vec![], vec![0, 0, 0], vec![], vec![1, 1, 1], vec![]));
        let kept = (&none, &dealt, &none).persist_on(&runtime).unwrap();
        assert_eq!(kept.compute_on(&runtime).unwrap(), (vec![], vec![0, 0, 0], vec![]));
    }
}

/// A copy inside a copy waits for the gate of that one where it has none of its own.
#[test]
fn fresh_copies_wait_at_the_gate_around_them() {
    let log = Log::default();
    let (slow, quick) = (log.clone(), log.clone());
    let gate = delayed(move || {
        // Time for those who do not wait.
        std::thread::sleep(std::time::Duration::from_millis(20));
        slow.note("gate");
    });
    let source = delayed(move || quick.note("source"));
    let bound = [
        source.fresh().bind(&gate),
        source.map(|_| ()).fresh().map(|_| ()).fresh().bind(&gate),
        source.bind(delayed(|| 1)).fresh().bind(&gate),
        DelayedVec::from_fn(1, u64::from).map_with(&source, |_, _| ()).get(0).fresh().bind(&gate),
    ];
    for (case, bound) in bound.iter().enumerate() {
        bound.compute_on(&Runtime::builder().threads(2).build().unwrap()).unwrap();
        assert_eq!(log.take(), ["gate", "source"], "{case}");
    }
}

/// Two types of one name are two types.
#[test]
fn equal_keys_of_types_of_equal_names() {
    let number = {
        struct Same(u64);
        delayed(|| Same(5)).pure("key").map(|same| same.0)
    };
    let text = {
        struct Same(String);
        delayed(|| Same("five".into())).pure("key").map(|same| same.0.clone())
    };
    assert_eq!(compute((&number, &text)).unwrap(), (5, "five".to_string()));
}
