//! What a process holds, and tests that run themselves again as processes of their own, so that nothing that ran before counts.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

pub const MIB: u64 = 1 << 20;

/// Asks for the full size in a build that is not optimized.
const FULL: &str = "MEMORY_TEST_FULL";

/// What the resident memory of a process may grow by in a run: the promise.
pub fn promised(limit: u64, threads: u64) -> u64 {
    limit + 64 * MIB + 4 * MIB * threads.max(1)
}

/// Whether data are as large as they are meant to be: in optimized builds or where it is asked for.
pub fn is_full() -> bool {
    !cfg!(debug_assertions) || std::env::var_os(FULL).is_some_and(|full| full == "1")
}

/// A number that looks like any other.
pub fn noise(place: u64) -> u64 {
    let mut x = place.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Anonymous and shared resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    };
    field("RssAnon:") + field("RssShmem:")
}

/// Runs something while the resident memory is sampled; its growth at the highest.
pub fn growth<R>(work: impl FnOnce() -> R) -> (R, u64) {
    /// Also where the work panics.
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let (stop, highest) = (AtomicBool::new(false), AtomicU64::new(0));
    let before = resident();
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                highest.fetch_max(resident(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let _stop = Stop(&stop);
        work()
    });
    (result, highest.into_inner().saturating_sub(before))
}

/// Runs the test `child` of this program in a process of its own, and gives the words behind `result` of what it prints.
pub fn in_a_child(variable: &str, case: &str) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "child", "--nocapture"]).env(variable, case);
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{case}: {text}{}", String::from_utf8_lossy(&output.stderr));
    let line = text.lines().find_map(|line| line.split_once("result ").map(|(_, line)| line)).expect(&text);
    line.split(' ').map(str::to_string).collect()
}
