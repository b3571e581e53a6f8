//! Keeping values: every collection stays what it is, values are spilled as where they were made, and freed when nobody
//! reads them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chunkwise::prelude::*;

use super::support::{EVERYWHERE, eventually};

const KIB: u64 = 1 << 10;

#[test]
fn spillable_values_stay_spillable() {
    for on in EVERYWHERE {
        let (runtime, disk) = on.runtime(512 * KIB);
        // Nothing can be known of its size or be written, but that it is spillable.
        type Entry = (u32, Vec<u8>);
        let rows: Vec<Delayed<Entry>> =
            (0..16).map(|i| delayed(move || (i, vec![i as u8; 100 << 10])).spillable()).collect();
        let kept = rows.persist_on(&runtime).unwrap();
        let again: Vec<Delayed<Entry>> = {
            // All are there before the first is read for the second time.
            let first: Vec<Delayed<usize>> = kept.iter().map(|row| row.map(|row| row.1.len())).collect();
            let barrier = Delayed::checkpoint(&first);
            kept.iter().map(|row| row.wait_on(&barrier).spillable()).collect()
        };
        let sum = |row: &Delayed<Entry>| row.map(|row| row.0 + row.1.len() as u32);
        let sums = again.iter().map(sum).collect::<Vec<_>>().compute_on(&runtime).unwrap();
        assert_eq!(sums, (0..16).map(|i| i + (100 << 10)).collect::<Vec<u32>>(), "{on:?}");
        let report = runtime.last_report();
        assert!(report.spilled_bytes > 0, "{on:?}: {report}");
        assert!(report.peak_accounted_bytes <= report.limit_bytes, "{on:?}: {report}");
        drop((kept, again, rows));
        eventually("the end", || runtime.memory_held() == 0 && runtime.spilled() == 0 && disk.paths().is_empty());
    }
}

/// Rows of text, and rows of own types that are said to be spillable.
#[test]
fn rows_of_text_and_of_own_types_are_spilled() {
    #[derive(Clone, serde::Serialize, serde::Deserialize)]
    struct Entry(u32, Vec<u8>);

    for on in EVERYWHERE {
        let (runtime, disk) = on.runtime(512 * KIB);
        let texts = DelayedVec::from_fn(16, |i| vec![i.to_string(); 4 << 10]);
        let entries = DelayedVec::from_fn(16, |i| Entry(i, vec![i as u8; 100 << 10])).spillable();
        let texts = texts.persist_on(&runtime).unwrap();
        assert!(runtime.last_report().spilled_bytes > 0, "{on:?}: {}", runtime.last_report());
        let entries = entries.persist_on(&runtime).unwrap();
        assert!(runtime.last_report().spilled_bytes > 0, "{on:?}: {}", runtime.last_report());
        let (seconds, sums) = {
            let sums = entries.map(|entry| entry.0 + entry.1.len() as u32);
            (texts.map(|texts| texts[1].clone()), sums).compute_on(&runtime).unwrap()
        };
        assert_eq!(seconds, (0..16).map(|i| i.to_string()).collect::<Vec<_>>());
        assert_eq!(sums, (0..16).map(|i| i + (100 << 10)).collect::<Vec<u32>>());
        assert!(runtime.last_report().peak_accounted_bytes <= 512 * KIB, "{on:?}: {}", runtime.last_report());
        drop((texts, entries));
        eventually("the end", || runtime.memory_held() == 0 && runtime.spilled() == 0 && disk.paths().is_empty());
    }
}

#[test]
fn every_collection_is_kept_as_what_it_is() {
    for on in EVERYWHERE {
        let (runtime, _) = on.runtime(4096 * KIB);
        let made = Arc::new(AtomicU32::new(0));
        let row = {
            let made = made.clone();
            DelayedVec::from_fn(10, move |i| {
                made.fetch_add(1, Ordering::Relaxed);
                i
            })
        };
        let items = bag::from_vec(vec!["b", "a", "b", "c", "b"], 2);
        let numbers = array::from_vec(vec![1.0, 2.0, 3.0, 6.0], 3);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sales.csv");
        std::fs::write(&path, "shop,amount\nnorth,2\nsouth,5\nnorth,6\n").unwrap();
        let sales = dataframe::read_csv(path.to_str().unwrap()).open().unwrap();

        let kept =
            (&row, &items, items.frequencies(), items.count(), &numbers, numbers.mean(), &sales, sales.count_rows());
        let (row, items, frequencies, count, numbers, mean, sales, rows) = kept.persist_on(&runtime).unwrap();
        drop(dir);
        let sum = row.map(|i| i * 2).tree_reduce(|a, b| a + b);
        let values = (row.clone(), sum, items.clone(), items.count(), frequencies.clone(), count.clone());
        let (row_values, total, item_values, counted, frequent, kept_count) = values.compute_on(&runtime).unwrap();
        drop(values);
        assert_eq!((row_values, total), ((0..10).collect(), Some(90)));
        assert_eq!((item_values, counted, kept_count), (vec!["b", "a", "b", "c", "b"], 5, 5));
        assert_eq!(frequent, [("b", 3), ("a", 1), ("c", 1)]);
        let (all, kept_mean, std) = (&numbers, &mean, numbers.std(0.0)).compute_on(&runtime).unwrap();
        assert_eq!((all.to_vec(), kept_mean, std), (vec![1.0, 2.0, 3.0, 6.0], 3.0, 3.5_f64.sqrt()));
        let north = sales.filter(col("shop").eq("north")).count_rows();
        let (table, north, kept_rows) = (&sales, north, &rows).compute_on(&runtime).unwrap();
        assert_eq!((table.num_rows(), north, kept_rows), (3, 2, 3));
        assert_eq!(row.get(3).compute_on(&runtime).unwrap(), 3);
        assert_eq!(
            runtime.run(|| row.iter().unwrap().map(Result::unwrap).collect::<Vec<_>>()),
            (0..10).collect::<Vec<_>>()
        );
        assert_eq!(made.load(Ordering::Relaxed), 10, "{on:?}: nothing runs again");
        assert!(runtime.memory_held() > 0);
        drop((row, items, frequencies, count, numbers, mean, sales, rows));
        eventually("the end", || runtime.memory_held() == 0);
    }
}

#[test]
fn rows_are_spilled_and_mixes_keep_their_shape() {
    let (runtime, disk) = EVERYWHERE[0].runtime(512 * KIB);
    let row = DelayedVec::from_fn(32, |i| vec![u64::from(i); 8 << 10]);
    let kept = row.persist_on(&runtime).unwrap();
    assert!(runtime.spilled() > 0, "two MiB do not fit into half of one");
    let last = kept.map(|block| block[8_000]).compute_on(&runtime).unwrap();
    assert_eq!(last, (0..32).collect::<Vec<u64>>());
    drop(kept);
    eventually("the end", || runtime.memory_held() == 0 && runtime.spilled() == 0 && disk.paths().is_empty());

    let value = |i: u32| delayed(move || i);
    let by_name: HashMap<&str, Delayed<u32>> = ["x", "y", "z"].into_iter().zip((0..3).map(value)).collect();
    let sorted: BTreeMap<u32, DelayedVec<u32>> = (0..4).map(|n| (n, DelayedVec::from_fn(n, move |i| i * n))).collect();
    let slice = [value(7), value(8)];
    let mix = (by_name, sorted, &slice[..], Some([value(9)]), None::<Delayed<u32>>, ());
    let kept = persist(mix).unwrap();
    let (by_name, sorted, slice, some, none, ()) = compute(&kept).unwrap();
    assert_eq!(by_name, HashMap::from([("x", 0), ("y", 1), ("z", 2)]));
    assert_eq!(sorted, (0..4).map(|n| (n, (0..n).map(|i| i * n).collect())).collect::<BTreeMap<u32, Vec<u32>>>());
    assert_eq!((slice, some, none), (vec![7, 8], Some([9]), None));
}

#[test]
fn errors_name_the_verb_that_was_called() {
    let runtime = Runtime::builder().threads(1).build().unwrap();
    let (wrong, line) = (|| delayed(|| 1).map(|i| i + 1), line!());
    let wrong_row = DelayedVec::from_fn(3, |i| i);
    let stuck = chunkwise::runtime::config::with([("timeout", "soon")], || {
        [
            wrong().compute().unwrap_err(),
            wrong().compute_on(&runtime).unwrap_err(),
            wrong().start_on(&runtime).wait().unwrap_err(),
            wrong().persist().unwrap_err(),
            wrong_row.iter().err().unwrap(),
            wrong().explain().unwrap_err(),
        ]
    });
    // A setting has its own line.
    assert!(stuck.iter().all(|error| error.frames().len() == 1), "{stuck:?} {line}");
    let late = || delayed(|| std::thread::sleep(std::time::Duration::from_millis(50))).map(|()| 1);
    let (compute, on, start, persist, iter) = chunkwise::runtime::config::with([("timeout", "1 ms")], || {
        let slow_row = DelayedVec::from_fn(3, |_| std::thread::sleep(std::time::Duration::from_millis(50)));
        let mut iter = runtime.run(|| slow_row.iter().unwrap());
        (
            late().compute().unwrap_err(),
            late().compute_on(&runtime).unwrap_err(),
            late().start_on(&runtime).wait().unwrap_err(),
            late().persist_on(&runtime).unwrap_err(),
            iter.find_map(Result::err).unwrap(),
        )
    });
    for (error, verb) in
        [(compute, "compute"), (on, "compute_on"), (start, "start_on"), (persist, "persist_on"), (iter, "iter")]
    {
        assert!(error.to_string().contains(&format!("\n  under {verb} at {}:", file!())), "{error}");
    }
}
