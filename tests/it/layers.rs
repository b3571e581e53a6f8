//! The layers of settings as `compute` follows them. Each test has a scope around all it does: the layer below is shared with
//! every other test.

use std::collections::HashSet;
use std::sync::{Arc, Barrier};
use std::thread::ThreadId;

use chunkwise::prelude::*;
use chunkwise::runtime::config;

/// The threads on which a row of tasks ran.
fn threads_of(tasks: u32) -> Result<HashSet<ThreadId>> {
    Ok(DelayedVec::from_fn(tasks, |_| std::thread::current().id()).compute()?.into_iter().collect())
}

#[test]
fn a_scope_says_how_many_threads_compute_uses() {
    delayed(|| 1).compute().unwrap();
    let one = config::with([("threads", "1")], || {
        assert_eq!(Runtime::current().unwrap().threads(), 1);
        threads_of(2_000).unwrap()
    });
    assert_eq!(one.len(), 1);
    config::with([("threads", "3")], || {
        // Ends only if three tasks run at a time.
        let together = Arc::new(Barrier::new(3));
        let row = DelayedVec::from_fn(3, move |_| together.wait().is_leader());
        assert_eq!(row.compute().unwrap().into_iter().filter(|leader| *leader).count(), 1);
        let inner = config::with([("scheduler", "synchronous")], || threads_of(10).unwrap());
        assert_eq!(inner, HashSet::from([std::thread::current().id()]));
        assert_eq!(Runtime::current().unwrap().threads(), 3);
    });
}

#[test]
fn a_scope_says_the_memory_limit() {
    let limit = |text: &str| config::with([("memory_limit", text)], || Runtime::current().unwrap().memory_limit());
    assert_eq!((limit("64 MiB"), limit("1 GB")), (64 << 20, 1_000_000_000));
    config::with([("memory_limit", "1 MiB")], || {
        let rows: Vec<Delayed<Vec<u8>>> = (0..8).map(|i| delayed(move || vec![i; 200 << 10]).spillable()).collect();
        let all_there = Delayed::checkpoint(rows.iter().map(|row| row.map(Vec::len)).collect::<Vec<_>>());
        let lens: Vec<_> = rows.iter().map(|row| row.wait_on(&all_there).map(Vec::len)).collect();
        assert_eq!(Delayed::all(&lens).compute().unwrap(), [200 << 10; 8]);
        let report = Runtime::current().unwrap().last_report();
        assert!(report.spilled_bytes > 0 && report.peak_accounted_bytes <= 1 << 20, "{report}");
    });
}

#[test]
fn a_task_stays_with_the_runtime_of_its_scope() {
    let limit = || Runtime::current().unwrap().memory_limit();
    let inner = delayed(limit);
    let outer = delayed(move || (limit(), inner.compute().unwrap()));
    assert_eq!(config::with([("memory_limit", "88 MiB")], || outer.compute()).unwrap(), (88 << 20, 88 << 20));
    // But for a scope of its own.
    let outer = delayed(move || config::with([("memory_limit", "89 MiB")], limit));
    assert_eq!(config::with([("memory_limit", "88 MiB")], || outer.compute()).unwrap(), 89 << 20);
}

#[test]
fn one_runtime_for_all_that_is_computed_in_a_scope() {
    config::with([("threads", "2"), ("memory_limit", "77 MiB")], || {
        delayed(|| 1).compute().unwrap();
        let first = Runtime::current().unwrap();
        // Settings of a run do not make another runtime.
        config::with([("timeout", "1 h"), ("optimize.fuse", "off")], || delayed(|| 1).compute()).unwrap();
        assert_eq!(first.last_report().run, 2);
        config::with([("memory_limit", "78 MiB")], || delayed(|| 1).compute()).unwrap();
        assert_eq!(first.last_report().run, 2);
    });
}

#[test]
fn what_runs_read_anew() {
    let row = DelayedVec::from_fn(10, |i| i).map(|i| i + 1);
    let layers = |row: &DelayedVec<u32>| row.counts(chunkwise::runtime::Stage::Fused).unwrap().0;
    assert_eq!(layers(&row), 1);
    assert_eq!(config::with([("optimize.fuse", "off")], || layers(&row)), 2);

    // A builder is stronger than a scope, a scope at the call stronger than the scope a runtime was built in.
    let said = Runtime::builder().threads(1).set("optimize.fuse", true).build().unwrap();
    assert_eq!(config::with([("optimize.fuse", "off")], || said.run(|| layers(&row))), 1);
    let built_in = config::with([("optimize.fuse", "off")], || Runtime::builder().threads(1).build().unwrap());
    assert_eq!(built_in.run(|| layers(&row)), 2);
    assert_eq!(config::with([("optimize.fuse", "on")], || built_in.run(|| layers(&row))), 1);

    let slow = delayed(|| std::thread::sleep(std::time::Duration::from_millis(200))).map(|()| 1);
    let error = config::with([("timeout", "1 ms")], || slow.compute()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let error = config::with([("timeout", "1 ms")], || slow.compute_on(&said)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(slow.compute().unwrap(), 1);
}

#[test]
fn a_wrong_value_comes_out_of_compute() {
    delayed(|| 1).compute().unwrap();
    let runtime = Runtime::builder().threads(1).build().unwrap();
    for (key, value) in [("threads", "many"), ("timeout", "soon"), ("memory_limit", "0"), ("optimize.fues", "on")] {
        let both = || (delayed(|| 1).compute(), delayed(|| 1).compute_on(&runtime));
        let (line, (error, on)) = (line!(), config::with([(key, value)], both));
        for error in [error.unwrap_err(), on.unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::Config);
            let text = error.to_string();
            assert!(text.starts_with(&format!("setting `{key}` (scope)")), "{text}");
            assert!(text.contains(&format!("in `config::with` at {}:{line}", file!())), "{text}");
        }
    }
    delayed(|| 1).compute().unwrap();
}

#[test]
fn what_outlives_the_scope_it_was_made_in() {
    let (kept, mut iterator) = config::with([("memory_limit", "66 MiB")], || {
        let row = DelayedVec::from_fn(100, |i| i);
        (delayed(|| vec![7; 10]).persist().unwrap(), row.iter().unwrap())
    });
    assert_eq!(kept.compute().unwrap(), [7; 10]);
    assert_eq!(iterator.by_ref().map(Result::unwrap).sum::<u32>(), 4950);
}
