//! Whole small programs of delayed values and of graphs of names, and every verb they have: the same on all threads.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chunkwise::prelude::*;
use chunkwise::runtime::Stage;
use chunkwise::runtime::observe::TaskRecord;

use crate::support::{EVERYWHERE, assert_nothing_held, assert_same};

const MIB: u64 = 1 << 20;

/// A runtime that notes the times of its tasks, and no pass that makes one task of two.
fn noting(threads: usize) -> Runtime {
    let builder = Runtime::builder().threads(threads).memory_limit(MIB).profile(true);
    builder.set("optimize.fuse", false).build().unwrap()
}

/// Whether two tasks ran at the same moment.
fn overlap(a: &TaskRecord, b: &TaskRecord) -> bool {
    a.start < b.end && b.start < a.end
}

fn only(runtime: &Runtime, name: &str) -> TaskRecord {
    let tasks = runtime.profile().unwrap().tasks_of(name);
    assert_eq!(tasks.len(), 1, "tasks named {name}");
    tasks[0]
}

#[test]
fn eight_sleeping_tasks_on_four_threads() {
    let runtime = noting(4);
    let square = |i: u64| {
        delayed(move || {
            std::thread::sleep(Duration::from_secs(1));
            i * i
        })
    };
    let parts: Vec<Delayed<u64>> = (0..8).map(|i| square(i).named("square")).collect();
    let total = Delayed::all(&parts).map(|squares| squares.iter().sum::<u64>()).named("total");
    assert_eq!(total.compute_on(&runtime).unwrap(), 140);

    let profile = runtime.profile().unwrap();
    let tasks = profile.tasks_of("square");
    assert_eq!(tasks.len(), 8);
    assert_eq!(profile.max_concurrency(), 4, "{tasks:?}");
    assert_eq!(profile.threads(), [0, 1, 2, 3]);
    for (at, task) in tasks.iter().enumerate() {
        assert!(task.end - task.start >= Duration::from_secs(1), "{task:?}");
        let beside: Vec<&TaskRecord> = tasks.iter().filter(|other| overlap(task, other)).collect();
        assert!(beside.iter().all(|other| **other == *task || other.thread != task.thread), "{task:?}: {beside:?}");
        assert!(beside.len() >= 2, "{at} ran alone: {tasks:?}");
    }
    let total = only(&runtime, "total");
    assert!(tasks.iter().all(|task| task.end <= total.start), "{tasks:?}, {total:?}");
}

#[test]
fn one_thread_runs_sleeping_tasks_one_by_one() {
    let runtime = noting(1);
    let nap = DelayedVec::from_fn(8, |i| {
        std::thread::sleep(Duration::from_millis(5));
        i * i
    });
    assert_eq!(nap.all().map(|squares| squares.iter().sum::<u32>()).compute_on(&runtime).unwrap(), 140);
    let profile = runtime.profile().unwrap();
    assert_eq!((profile.tasks().len(), profile.max_concurrency()), (10, 1));
}

#[test]
fn two_at_once_then_their_sum_then_its_double() {
    let runtime = noting(2);
    let sleeping = |millis, value: i32| {
        delayed(move || {
            std::thread::sleep(Duration::from_millis(millis));
            value
        })
    };
    let a = sleeping(1000, 10).named("task_a");
    let b = sleeping(1000, 20).named("task_b");
    let c = delayed_with((&a, &b), |(a, b)| a + b).named("task_c");
    let d = c.map(|c| c * 2).named("task_d");
    assert_eq!(d.compute_on(&runtime).unwrap(), 60);

    let [a, b, c, task_d] = ["task_a", "task_b", "task_c", "task_d"].map(|name| only(&runtime, name));
    assert!(overlap(&a, &b) && a.thread != b.thread, "{a:?}, {b:?}");
    assert!(c.start >= a.end.max(b.end), "{a:?}, {b:?}, {c:?}");
    assert!(task_d.start >= c.end, "{c:?}, {task_d:?}");

    let dir = tempfile::tempdir().unwrap();
    let dot = dir.path().join("graph.dot");
    d.visualize_stage(Stage::Lowered, &dot).unwrap();
    let dot = std::fs::read_to_string(dot).unwrap();
    assert!(dot.starts_with("digraph"), "{dot}");
    assert_eq!(dot.matches("->").count(), 3, "{dot}");
    for name in ["task_a", "task_b", "task_c", "task_d"] {
        assert!(dot.contains(name), "{name}: {dot}");
    }
    #[cfg(feature = "visualize")]
    {
        let svg = dir.path().join("graph.svg");
        d.visualize(&svg).unwrap();
        let svg = std::fs::read_to_string(svg).unwrap();
        assert!(svg.contains("<svg") && svg.contains("task_a") && svg.contains("task_b"), "{svg}");
    }
    let error = d.visualize(dir.path().join("graph.bmp")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn a_profile_knows_tasks_by_name_line_and_index() {
    let runtime = Runtime::builder().threads(2).memory_limit(MIB).profile(true).build().unwrap();
    let line = line!() + 2;
    let first = delayed(|| 1).named("first");
    let second = first.map(|x| x + 1).named("second");
    let row = DelayedVec::from_fn(10, |i| i);
    assert_eq!((&second, row.get(7)).compute_on(&runtime).unwrap(), (2, 7));
    // The two were fused, and the one task is found by both names.
    let task = only(&runtime, "second");
    assert_eq!(only(&runtime, "first"), task);
    let profile = runtime.profile().unwrap();
    let layer = &profile.runs()[0].layers[task.layer as usize];
    assert_eq!(layer.name_of(&task), "second");
    assert!(layer.origin_of(&task).to_string().ends_with(&format!("programs.rs:{line}")));
    // Of a row of which one value is needed.
    assert_eq!(only(&runtime, "from_fn").index, 7);
    let mut trace = Vec::new();
    profile.to_chrome_trace(&mut trace).unwrap();
    let trace = String::from_utf8(trace).unwrap();
    for part in ["\"second #0\"", "\"from_fn #7\"", &format!("programs.rs:{line}\"")] {
        assert!(trace.contains(part), "{part}: {trace}");
    }
}

#[test]
fn increments_and_their_sum() {
    let build = || {
        let inc = |x: i32| delayed(move || x + 1);
        delayed_with((&inc(1), &inc(2)), |(a, b)| a + b)
    };
    assert_same(MIB, build, 5);
}

/// Loads, processes and summarizes files.
fn summary(dir: &Path, names: &[&str]) -> Delayed<(usize, i64)> {
    let processed: Vec<Delayed<Vec<i64>>> = names
        .iter()
        .map(|name| {
            let path = dir.join(name);
            let loaded = try_delayed(move || std::fs::read_to_string(&path)).named(format!("load {name}"));
            let numbers = loaded.try_map(|text| text.lines().map(str::parse).collect::<Result<Vec<i64>, _>>());
            numbers.then(|mut numbers| {
                numbers.retain(|number| number % 2 == 0);
                numbers
            })
        })
        .collect();
    Delayed::all(&processed).map(|all| (all.len(), all.iter().flatten().sum()))
}

#[test]
fn three_files_are_loaded_processed_and_summarized() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["a.txt", "b.txt", "c.txt"];
    for (name, text) in names.iter().zip(["1\n2\n3\n4", "10", "7\n-2\n"]) {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    assert_same(MIB, || summary(dir.path(), &names), (3, 14));

    let error = summary(dir.path(), &["a.txt", "d.txt"]).compute().unwrap_err();
    assert_eq!((error.kind(), error.task().unwrap().to_string()), (ErrorKind::Task, "load d.txt".to_string()));
    std::fs::write(dir.path().join("b.txt"), "ten").unwrap();
    let error = summary(dir.path(), &names).compute().unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Task, "invalid digit found in string"));
    std::fs::write(dir.path().join("b.txt"), "10").unwrap();
    assert_eq!(summary(dir.path(), &names).compute().unwrap(), (3, 14), "the next run");
}

#[test]
fn a_graph_of_names() {
    let build = || {
        let mut g = GraphBuilder::new();
        let x = g.value("x", 1_i64);
        let y = g.value("y", 2_i64);
        let z = g.task("z", (&x, &y), |(x, y)| x + y);
        let w = g.task("w", &z, |z| z * 2);
        g.task("result", (&w, &y), |(w, y)| w.pow(*y as u32));
        g.build().unwrap().get::<i64>("result").unwrap()
    };
    assert_same(MIB, build, 36);
}

#[test]
fn a_graph_of_texts() {
    let build = || {
        let mut g = GraphBuilder::new();
        // The last comes first.
        let (a, b) = (g.key::<String>("process_a"), g.key::<String>("process_b"));
        let end = g.task("final", (&a, &b), |(a, b)| format!("merged_{a}_{b}"));
        let load_a = g.task("load_a", (), |()| "data_source_A".to_string());
        let load_b = g.task("load_b", (), |()| "data_source_B".to_string());
        g.task("process_a", &load_a, |text| format!("processed_{text}"));
        g.task("process_b", &load_b, |text| format!("processed_{text}"));
        g.build().unwrap();
        end.clone()
    };
    let build = || {
        let key = build();
        delayed_with(&key, String::clone)
    };
    assert_same(MIB, build, "merged_processed_data_source_A_processed_data_source_B".to_string());
}

#[test]
fn inputs_nested_in_anything() {
    let build = || {
        let one = |i: i32| delayed(move || i);
        let tuple = (&one(1), (&one(2), vec![one(3), one(4)]));
        let list = vec![vec![one(5)], vec![], vec![one(6), one(7)]];
        let array = [one(8), one(9)];
        let map: HashMap<&'static str, Vec<Delayed<i32>>> = [("ten", vec![one(10)]), ("more", vec![])].into();
        let tree: BTreeMap<u8, Option<Delayed<i32>>> = [(11, Some(one(11))), (12, None)].into();
        delayed_with((tuple, &list, array, &map, &tree), |((one, (two, more)), list, array, map, tree)| {
            let mut all = vec![*one, *two];
            all.extend(more.into_iter().copied());
            all.extend(list.into_iter().flatten().copied());
            all.extend(array.into_iter().copied());
            all.extend(map[&"ten"].iter().copied().copied());
            assert!(map[&"more"].is_empty() && tree[&12].is_none());
            all.extend(tree[&11].copied());
            all
        })
    };
    assert_same(MIB, build, (1..=11).collect::<Vec<i32>>());
}

#[test]
fn what_is_computed_nests_in_anything() {
    for on in EVERYWHERE {
        let (runtime, _) = on.runtime(MIB);
        let runs = Arc::new(AtomicU32::new(0));
        let counted = runs.clone();
        let one = delayed(move || counted.fetch_add(1, Ordering::Relaxed) + 1);
        let plus = |more: u32| one.map(move |one| one + more);
        let (two, three) = (plus(1), plus(2));
        let map: HashMap<&str, Delayed<u32>> = [("four", plus(3))].into();
        let tree: BTreeMap<u8, [Delayed<u32>; 1]> = [(5, [plus(4)])].into();
        let got = (&one, vec![vec![&two], vec![]], [Some(&three), None], map, tree).compute_on(&runtime).unwrap();
        let expected = (1, vec![vec![2], vec![]], [Some(3), None], [("four", 4)].into(), [(5, [5])].into());
        assert_eq!(got, expected, "{on:?}");
        assert_eq!(runs.load(Ordering::Relaxed), 1, "{on:?}: used four times, it runs once in a compute");
        two.compute_on(&runtime).unwrap();
        assert_eq!(runs.load(Ordering::Relaxed), 2, "{on:?}: and again in the next");

        // What is known to be clonable can be asked for twice; a result of any type cannot.
        let value = Delayed::value(4);
        assert_eq!(
            (&value, vec![&value, &value.named("four")]).compute_on(&runtime).unwrap(),
            (4, vec![4, 4]),
            "{on:?}"
        );
        assert_eq!((&two, &two).compute_on(&runtime).unwrap(), (4, 4), "{on:?}");
        struct Own;
        let own = two.map(|_| Own);
        let error = (&own, &own).compute_on(&runtime).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Plan, "{on:?}: {error}");
        assert!(error.message().contains("asked for twice"), "{on:?}: {error}");
    }
}

#[test]
fn functions_with_several_results() {
    let build = || {
        let both = delayed(|| (7, "seven".to_string(), 0.5));
        let (number, text, half) = both.unzip();
        let parts = delayed(|| (0..5).map(|i| i * i).collect::<Vec<i32>>()).split(5);
        let last = delayed_with((&parts[4], &number), |(a, b)| a + b);
        (last, text.map(|text| text.len()), half)
    };
    assert_same(MIB, build, (23, 5, 0.5));
    for on in EVERYWHERE {
        let (runtime, _) = on.runtime(MIB);
        let runs = Arc::new(AtomicU32::new(0));
        let counted = runs.clone();
        let (left, right) = delayed(move || (counted.fetch_add(1, Ordering::Relaxed), 5)).unzip();
        assert_eq!((&left, &right).compute_on(&runtime).unwrap(), (0, 5));
        assert_eq!(runs.load(Ordering::Relaxed), 1, "{on:?}");
        let parts = delayed(|| vec![1, 2]).split(3);
        let error = parts[0].compute_on(&runtime).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data, "{on:?}: {error}");
    }
}

#[test]
fn combinators_stand_for_operators() {
    let build = || {
        let (a, b) = (delayed(|| 6.0), Delayed::value(7.0));
        let product = delayed_with((&a, &b), |(a, b)| a * b);
        let negative = product.map(|x: &f64| -x).named("negative");
        let parsed = delayed(|| "2").try_map(|text| text.parse::<f64>());
        let quotient =
            try_delayed_with(
                (&negative, &parsed),
                |(a, b)| {
                    if *b == 0.0 { Err("division by zero") } else { Ok(a / b) }
                },
            );
        quotient.then(f64::abs)
    };
    assert_same(MIB, build, 21.0);
}

#[test]
fn keys_of_a_graph_one_by_one_and_nested() {
    let mut g = GraphBuilder::new();
    let one = g.value("one", 1);
    let same = g.alias("same", &one);
    let two = g.task("two", &same, |one| one + 1);
    let text = g.task("text", &two, |two| format!("{two}"));
    let all = g.task("all", (vec![&one, &two], &text), |(numbers, text)| format!("{numbers:?} and {text}"));
    let late = g.alias("late", &all);
    let graph = g.build().unwrap();
    assert_eq!(graph.names().collect::<Vec<_>>(), ["one", "same", "two", "text", "all", "late"]);
    for on in EVERYWHERE {
        let (runtime, _) = on.runtime(MIB);
        runtime.run(|| {
            assert_eq!(graph.compute(&two).unwrap(), 2);
            assert_eq!(graph.compute(vec![&one, &same, &two]).unwrap(), [1, 1, 2]);
            let nested = graph.compute((&late, vec![vec![&one], vec![&two, &one], vec![]])).unwrap();
            assert_eq!(nested, ("[1, 2] and 2".to_string(), vec![vec![1], vec![2, 1], vec![]]));
            assert_eq!(graph.get::<String>("text").unwrap().compute().unwrap(), "2");
            let by_name: Result<Vec<Delayed<i32>>> = ["two", "one"].iter().map(|name| graph.get(name)).collect();
            assert_eq!(compute(by_name.unwrap()).unwrap(), [2, 1]);
        });
        assert_nothing_held(&runtime, &format!("{on:?}"));
    }
}

/// The kind and the text of what `build` says, with lines of this file as distances from `line`.
#[track_caller]
fn assert_refused(g: GraphBuilder, line: u32, expected: &str) {
    let error = g.build().err().expect("an error");
    assert_eq!(error.kind(), ErrorKind::Plan);
    let mut text = error.to_string();
    for at in (0..20).rev() {
        text = text.replace(&format!("{}:{}", file!(), line + at), &format!("+{at}"));
    }
    assert_eq!(text, expected);
}

#[test]
fn graphs_that_are_wrong() {
    let (mut g, line) = (GraphBuilder::new(), line!());
    let a = g.key::<i32>("a");
    let b = g.task("b", &a, |a| a + 1);
    let c = g.task("c", (&b, &b), |(b, _)| b + 1);
    g.task("a", &c, |c| c + 1);
    assert_refused(g, line, "the graph has a cycle: b -> a -> c -> b\n  in GraphBuilder at +2");

    let (mut g, line) = (GraphBuilder::new(), line!());
    let own = g.key::<i32>("own");
    g.task("own", &own, |own| own + 1);
    assert_refused(g, line, "the graph has a cycle: own -> own\n  in GraphBuilder at +2");

    let (mut g, line) = (GraphBuilder::new(), line!());
    let x = g.key::<i32>("x");
    g.alias("y", &x);
    let y = g.key::<i32>("y");
    g.alias("x", &y);
    assert_refused(g, line, "the graph has a cycle: y -> x -> y\n  in GraphBuilder at +2");

    let (mut g, line) = (GraphBuilder::new(), line!());
    let missing = g.key::<i32>("lod");
    g.task("process", &missing, |x| x + 1);
    g.value("load", 1);
    assert_refused(g, line, "the name `lod` is never defined; names are load, process\n  in key at +1");

    let (mut g, line) = (GraphBuilder::new(), line!());
    g.value("x", 1);
    g.task("x", (), |()| 2);
    assert_refused(g, line, "the name `x` is used twice, first at +1\n  in GraphBuilder at +2");

    let (mut g, line) = (GraphBuilder::new(), line!());
    g.key::<String>("x");
    g.value("x", 1_i64);
    assert_refused(g, line, "the name `x` is a `i64`, not a `alloc::string::String`\n  in key at +1");

    let mut g = GraphBuilder::new();
    g.value("x", 1_i64);
    let early = g.key::<i64>("x").clone();
    let error = delayed_with(&early, |x| x + 1).compute().unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Plan, "the name `x` is used before the graph is built"));
    let graph = g.build().unwrap();
    assert_eq!(graph.compute(&early).unwrap(), 1, "once it is built, it is known");
    let error = graph.get::<i64>("y").unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Plan, "there is no name `y`; names are x"));
    let error = graph.get::<u8>("x").unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Plan, "the name `x` is a `i64`, not a `u8`"));
}

#[test]
fn deep_and_wide_graphs_of_names() {
    const DEEP: u64 = 100_000;
    let mut g = GraphBuilder::new();
    let mut last = g.value("0", 0u64);
    for at in 1..=DEEP {
        // Each second one is named before it is there.
        let next = (at % 2 == 0).then(|| g.key::<u64>(format!("{at}")));
        let made = g.task(format!("{at}"), &last, |x| x + 1);
        last = next.unwrap_or(made);
    }
    let all: Vec<_> = (0..DEEP).map(|at| g.task(format!("wide {at}"), (), move |()| at)).collect();
    let sum = g.task("sum", (&all, &last), |(all, last)| all.into_iter().sum::<u64>() + last);
    let graph = g.build().unwrap();
    assert_eq!(graph.compute(&sum).unwrap(), DEEP * (DEEP - 1) / 2 + DEEP);
    drop((graph, sum, all, last));

    let mut g = GraphBuilder::new();
    let mut last = g.key::<u64>("end");
    for at in 0..DEEP {
        last = g.task(format!("{at}"), &last, |x| x + 1);
    }
    g.alias("end", &last);
    let error = g.build().err().unwrap();
    let names = error.message().strip_prefix("the graph has a cycle: ").unwrap().split(" -> ").count();
    assert_eq!(names as u64, DEEP + 2, "the whole way round");
}

#[test]
fn a_million_separate_tasks_and_a_chain_of_a_hundred_thousand() {
    const WIDE: u64 = 1_000_000;
    let wide: Vec<Delayed<u64>> = (0..WIDE).map(|i| delayed(move || i * 2)).collect();
    assert_eq!(compute(&wide).unwrap(), (0..WIDE).map(|i| i * 2).collect::<Vec<_>>());
    let sum = Delayed::all(&wide).map(|all| all.iter().sum::<u64>());
    drop(wide);
    assert_eq!(sum.compute().unwrap(), WIDE * (WIDE - 1));

    let mut chain = delayed(|| 0u64);
    for _ in 0..100_000 {
        chain = chain.map(|x| x + 1);
    }
    for fuse in [true, false] {
        for builder in EVERYWHERE.map(|on| on.set(Runtime::builder().set("optimize.fuse", fuse))) {
            assert_eq!(chain.compute_on(&builder.build().unwrap()).unwrap(), 100_000);
        }
    }
    assert!(format!("{chain:?}").contains("map") && chain.explain().unwrap().contains("100001 tasks"));
}

#[test]
fn order_copies_and_content() {
    for on in EVERYWHERE {
        for fuse in [true, false] {
            let runtime = on.set(Runtime::builder().memory_limit(MIB).set("optimize.fuse", fuse)).build().unwrap();
            let log = Arc::new(Mutex::new(Vec::new()));
            let note = |name: &'static str| {
                let log = log.clone();
                delayed(move || log.lock().unwrap().push(name))
            };
            let noted = || std::mem::take(&mut *log.lock().unwrap());
            let case = format!("{on:?}, fuse {fuse}");

            // Bound: the whole plan of the copy begins after all of the others.
            let others: Vec<Delayed<()>> = (0..4).map(|_| note("other")).collect();
            let plan = delayed_with((&note("first"), &note("first")), |_| ()).map(|()| 1);
            assert_eq!(plan.bind((&others, &note("other"))).compute_on(&runtime).unwrap(), 1);
            assert_eq!(noted(), ["other", "other", "other", "other", "other", "first", "first"], "{case}");

            // The value alone waits: its own plan may run before.
            let (value, other) = (note("value").map(|()| 2), note("other"));
            let waited = value.wait_on(&other);
            let log_too = log.clone();
            let after = waited.map(move |two| {
                log_too.lock().unwrap().push("after");
                two * 2
            });
            assert_eq!((&after, &value).compute_on(&runtime).unwrap(), (4, 2));
            let notes = noted();
            assert_eq!((notes.len(), notes.last()), (3, Some(&"after")), "{case}: {notes:?}");

            let done = Delayed::checkpoint((&others, &value));
            done.compute_on(&runtime).unwrap();
            assert_eq!(noted().len(), 5, "{case}: all of them have run");

            let shared = note("once");
            (&shared.map(|()| 1), &shared.fresh().map(|()| 2), &shared).compute_on(&runtime).unwrap();
            assert_eq!(noted(), ["once", "once"], "{case}: the copy runs for itself");

            // Equal keys and types are one task; other keys and those without are not.
            let keyed = |key: &str| note("keyed").pure(key).map(|()| 1);
            (keyed("jan"), keyed("jan"), keyed("feb")).compute_on(&runtime).unwrap();
            assert_eq!(noted().len(), 2, "{case}");
            (note("plain").map(|()| 1), note("plain").map(|()| 1)).compute_on(&runtime).unwrap();
            assert_eq!(noted().len(), 2, "{case}");
            assert_nothing_held(&runtime, &case);
        }
    }
}
