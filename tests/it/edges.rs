//! Settings at the edge of what is possible, and code of the user's that panics where no task runs.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use chunkwise::prelude::*;

use crate::gate::Gate;
use crate::support::{EVERYWHERE, On, assert_nothing_held, noise_block};

const MIB: u64 = 1 << 20;

fn sum_to(count: u32) -> Delayed<u64> {
    DelayedVec::from_fn(count, u64::from).tree_reduce(|a, b| a + b).map(|sum| sum.unwrap_or(0))
}

#[test]
fn a_limit_of_next_to_nothing() {
    for on in EVERYWHERE {
        for limit in [1, 15, 127] {
            let (runtime, _) = on.runtime(limit);
            let sum = sum_to(100).compute_on(&runtime).map(|sum| sum == 4950);
            let blocks = DelayedVec::from_fn(5, |seed| noise_block(seed, 100)).map(|block| block[7]);
            let blocks = blocks.compute_on(&runtime).map(|numbers| numbers.len() == 5);
            for result in [sum, blocks] {
                match result {
                    Ok(right) => assert!(right, "{on:?}, {limit}"),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::LimitTooSmall, "{on:?}, {limit}: {error}"),
                }
            }
            assert_nothing_held(&runtime, &format!("{on:?}, {limit}"));
        }
    }
}

#[test]
fn timeouts_of_any_length() {
    let timeout = Duration::from_millis(40);
    for on in [On::Threads(2), On::Handed(2)] {
        let runtime = on.set(Runtime::builder().timeout(timeout)).build().unwrap();
        // It ends long after its time, when it notices that nothing is to begin any more.
        let late = DelayedVec::from_fn(10_000, |_| std::thread::sleep(Duration::from_millis(10)));
        let error = late.compute_on(&runtime).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{on:?}");
        assert!(error.to_string().contains("within its timeout of 40ms"), "{on:?}: {error}");
    }
    for timeout in [Duration::MAX, Duration::from_secs(u64::MAX / 2), Duration::from_nanos(u64::MAX)] {
        let runtime = Runtime::builder().threads(1).timeout(timeout).build().unwrap();
        assert_eq!(sum_to(10).compute_on(&runtime).unwrap(), 45);
    }
}

#[test]
fn more_threads_than_anybody_has() {
    for threads in [0, 1025, 65_535] {
        let error = Runtime::builder().threads(threads).build().map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("from 1 to 1024"), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn a_spill_directory_with_a_name_that_is_no_text() {
    use std::os::unix::ffi::OsStrExt;

    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join(std::ffi::OsStr::from_bytes(b"spill \xff\xfe"));
    if std::fs::create_dir(&dir).is_err() {
        return; // the file system takes only text
    }
    let runtime = Runtime::builder().threads(1).memory_limit(MIB / 4).spill_dir(&dir).build().unwrap();
    let parts: Vec<_> = (0..16).map(|seed| delayed(move || noise_block(seed, 8 << 10))).collect();
    let kept = parts.persist_on(&runtime).unwrap();
    assert!(runtime.spilled() > 0);
    let entries = |path: &std::path::Path| std::fs::read_dir(path).unwrap().count();
    assert_eq!((entries(&dir), entries(root.path())), (1, 1));
    drop(kept);
    drop(runtime);
    assert_eq!((entries(&dir), entries(root.path())), (0, 1));
}

#[derive(Debug)]
struct Fragile;

impl Clone for Fragile {
    fn clone(&self) -> Fragile {
        panic!("not to be copied");
    }
}

#[test]
fn a_clone_that_panics_when_the_result_is_made() {
    for on in EVERYWHERE {
        let (runtime, _) = on.runtime(MIB);
        let value = Delayed::value(Fragile).named("the fragile one");
        let errors = [
            value.compute_on(&runtime).unwrap_err(),
            vec![&value, &value].compute_on(&runtime).unwrap_err(),
            value.start_on(&runtime).wait().unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::Panic, "{on:?}");
            let text = error.to_string();
            assert!(text.contains("not to be copied") && text.contains("the fragile one"), "{on:?}: {text}");
        }
        assert_eq!(sum_to(10).compute_on(&runtime).unwrap(), 45, "{on:?}");
        assert_nothing_held(&runtime, &format!("{on:?}"));
    }
}

struct Bad;

impl Wake for Bad {
    fn wake(self: Arc<Self>) {
        panic!("nobody wakes me");
    }
}

#[test]
fn a_waker_that_panics_does_no_harm() {
    for on in [On::Threads(1), On::Threads(2), On::Handed(2)] {
        let (runtime, _) = on.runtime(MIB);
        let gate = Gate::default();
        let at_gate = gate.clone();
        let run = delayed(move || {
            at_gate.pass();
            7
        });
        let mut run = pin!(run.start_on(&runtime));
        let bad = Waker::from(Arc::new(Bad));
        assert!(run.as_mut().poll(&mut Context::from_waker(&bad)).is_pending());
        gate.open();
        // The run is over only when its wakers are being told, so this is a run beside it or after it.
        assert_eq!(sum_to(100).compute_on(&runtime).unwrap(), 4950, "{on:?}");
        let result = loop {
            if let Poll::Ready(result) = run.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                break result;
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        assert_eq!(result.unwrap(), 7, "{on:?}");
        for _ in 0..3 {
            assert_eq!(sum_to(100).compute_on(&runtime).unwrap(), 4950, "{on:?}");
        }
        assert_nothing_held(&runtime, &format!("{on:?}"));
    }
}
