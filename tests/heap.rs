//! What the engine itself needs per task: the heap's high-water over a run, less the values themselves.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use chunkwise::prelude::*;

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn add(bytes: usize) {
    let held = HELD.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(held, Ordering::Relaxed);
}

// Safety: every call is handed on to the system's allocator as it is; the counters touch no memory it gives.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // Safety: the caller's contract is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // Safety: the caller's contract is that of `System`.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size >= layout.size() {
            add(size - layout.size());
        } else {
            HELD.fetch_sub(layout.size() - size, Ordering::Relaxed);
        }
        // Safety: the caller's contract is that of `System`.
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Debug builds check every pass in full, which takes memory of its own; there the figures only must not run away.
fn bound(bytes: f64) -> f64 {
    if cfg!(debug_assertions) { bytes + 150.0 } else { bytes }
}

/// Tests of one process share its heap.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Requires that a kind of plan needs no more than `most` bytes per task.
#[track_caller]
fn expect(what: &str, bytes: f64, most: f64) {
    println!("{what}: {bytes:.1} bytes per task");
    assert!(bytes <= bound(most), "{what}: {bytes} bytes per task");
}

/// Bytes per task at the highest point, less `values` bytes per task.
fn bytes_per_task(tasks: u32, values: usize, work: impl Fn(&Runtime)) -> f64 {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(|poison| poison.into_inner());
    let runtime = Runtime::builder().threads(2).set("optimize.fuse", false).build().unwrap();
    runtime.run(|| delayed(|| 1).compute()).unwrap();
    let before = HELD.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    work(&runtime);
    let most = PEAK.load(Ordering::Relaxed) - before;
    most as f64 / f64::from(tasks) - values as f64
}

#[test]
fn a_regular_layer() {
    let tasks = 1_000_000;
    let bytes = bytes_per_task(tasks, 8, |runtime| {
        let row = DelayedVec::from_fn(tasks, u64::from).compute_on(runtime).unwrap();
        assert_eq!(row.len(), tasks as usize);
    });
    expect("one layer", bytes, 48.0);
}

#[test]
fn separate_tasks_gathered() {
    let tasks = 1_000_000;
    let bytes = bytes_per_task(tasks, 8, |runtime| {
        let all: Vec<Delayed<u64>> = (0..tasks).map(|i| delayed(move || u64::from(i))).collect();
        assert_eq!(Delayed::all(&all).compute_on(runtime).unwrap().len(), tasks as usize);
    });
    expect("separate", bytes, 160.0);
}

#[test]
fn a_chain() {
    let tasks = 100_000;
    let bytes = bytes_per_task(tasks, 0, |runtime| {
        let mut last = delayed(|| 0u64);
        for _ in 0..tasks {
            last = last.map(|x| x + 1);
        }
        assert_eq!(last.compute_on(runtime).unwrap(), u64::from(tasks));
    });
    expect("chain", bytes, 160.0);
}

/// Copies of small plans cost about what the plans do.
#[test]
fn copies_behind_gates() {
    let tasks = 50_000;
    let bytes = bytes_per_task(tasks, 0, |runtime| {
        let mut last = delayed(|| 0u64);
        for _ in 0..tasks {
            last = delayed(|| 1).bind(&last);
        }
        assert_eq!(last.compute_on(runtime).unwrap(), 1);
    });
    expect("nested copies", bytes, 1000.0);
    let bytes = bytes_per_task(tasks, 8, |runtime| {
        let source = delayed(|| 1u64);
        let all: Vec<Delayed<u64>> = (0..tasks).map(|_| source.fresh()).collect();
        assert_eq!(Delayed::all(&all).compute_on(runtime).unwrap().len(), tasks as usize);
    });
    expect("copies", bytes, 500.0);
}

#[test]
fn tasks_of_two_inputs() {
    let tasks = 200_000;
    let bytes = bytes_per_task(tasks, 0, |runtime| {
        let (mut last, mut before) = (delayed(|| 1u64), delayed(|| 1u64));
        for _ in 0..tasks {
            let next = delayed_with((&last, &before), |(a, b)| (a + b) % 1_000_003);
            before = std::mem::replace(&mut last, next);
        }
        assert!(last.compute_on(runtime).unwrap() > 0);
    });
    expect("two inputs", bytes, 160.0);
}

/// What a scan says that reading a morsel takes is about what it takes, also of one row group that is read in parts.
#[cfg(feature = "parquet")]
#[test]
fn morsels_of_parquet() {
    use std::ops::ControlFlow;
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
    use chunkwise::formats::parquet::{
        ParquetEncoder, ParquetEncoding, ParquetFileWriter, ParquetOptions, ParquetSource,
    };
    use chunkwise::formats::scan::{ReadContext, ScanRequest, TableSource};

    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(|poison| poison.into_inner());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let rows = 1_000_000_i64;
    let mixed = |row: i64| row.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.cast_signed());
    let columns: [(&str, ArrayRef); 4] = [
        ("n", Arc::new(Int64Array::from_iter_values((0..rows).map(mixed)))),
        ("v", Arc::new(Float64Array::from_iter_values((0..rows).map(|row| mixed(row) as f64)))),
        ("k", Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("k{}", row % 100))))),
        ("t", Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("{:x}", mixed(row)))))),
    ];
    let whole = RecordBatch::try_from_iter(columns).unwrap();
    for group_rows in [1_000_000, 100_000] {
        let encoder = ParquetEncoder::new(whole.schema(), &ParquetEncoding::default()).unwrap();
        let mut writer = ParquetFileWriter::create(&path, &encoder).unwrap();
        for start in (0..rows as usize).step_by(group_rows) {
            writer.append(encoder.encode(&[whole.slice(start, group_rows)]).unwrap()).unwrap();
        }
        writer.finish().unwrap();
        let source = Arc::new(ParquetSource::open(&[path.to_str().unwrap()], ParquetOptions::default()).unwrap());
        for (columns, predicates) in [
            (vec![0, 1, 2, 3], vec![]),
            (vec![0], vec![]),
            (vec![0, 3], vec![col("n").gt(0)]),
            (vec![0, 1], vec![col("v").gt(9e18)]),
        ] {
            let request = ScanRequest { columns, predicates, dictionaries: vec![2] };
            let scan = source.clone().scan(&request).unwrap();
            let needs = scan.morsels().iter().map(|morsel| morsel.need);
            let (mut most, mut need) = (0, 0);
            for (morsel, needs) in needs.enumerate() {
                let before = HELD.load(Ordering::Relaxed);
                PEAK.store(before, Ordering::Relaxed);
                scan.read(morsel, &ReadContext::default(), &mut |batch| {
                    drop(batch);
                    Ok(ControlFlow::Continue(()))
                })
                .unwrap();
                let took = PEAK.load(Ordering::Relaxed).saturating_sub(before) as u64;
                if took > most {
                    (most, need) = (took, needs);
                }
            }
            let what = format!("{group_rows} rows in a row group, {request:?}: took {most}, said {need}");
            println!("{what}");
            assert!(most < need + need / 4 + (1 << 20), "{what}");
            assert!(need < 8 * most + (1 << 20), "{what}");
        }
    }
}
