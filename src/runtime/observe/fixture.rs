//! Layers, tasks and a whole small run for the tests of the observers.

use std::time::Duration;

use super::event::{LayerInfo, Observer, RunEvent, TaskRecord};
use super::report::RunReport;
use crate::error::Error;
use crate::origin::Origin;

/// A layer without a line.
pub(super) fn layer(name: &str, tasks: u64) -> LayerInfo {
    LayerInfo { name: name.to_string(), origin: Origin::UNKNOWN, tasks, members: Vec::new(), named: Vec::new() }
}

/// A task of run 1 on a thread, with its times in milliseconds.
pub(super) fn record(layer: u32, index: u64, thread: u32, start: u64, end: u64) -> TaskRecord {
    let (start, end) = (Duration::from_millis(start), Duration::from_millis(end));
    TaskRecord { run: 1, layer, index, member: None, thread, start, end, bytes_in: 8, bytes_out: 16 }
}

/// Run 1: `parse` of two tasks, the second layer fused of `filter` and `sum`; one chunk goes to disk and comes back.
pub(super) fn small_run(observer: &dyn Observer, error: Option<&Error>) {
    let layers =
        [layer("parse", 2), LayerInfo { members: vec!["filter".into(), "sum".into()], ..layer("filter+sum", 1) }];
    let at = Duration::from_millis;
    observer.observe(&RunEvent::Started { run: 1, layers: &layers, at: at(100) });
    observer.observe(&RunEvent::Task(&record(0, 0, 0, 100, 110)));
    observer.observe(&RunEvent::Task(&record(0, 1, 1, 104, 112)));
    observer.observe(&RunEvent::Progress { run: 1, layer: 0, done: 2, at: at(112) });
    observer.observe(&RunEvent::Spilled { run: 1, layer: 0, bytes: 4096, at: at(113) });
    observer.observe(&RunEvent::ReadBack { run: 1, layer: 0, bytes: 4096, at: at(114) });
    observer.observe(&RunEvent::Task(&TaskRecord { member: Some(0), ..record(1, 0, 1, 114, 115) }));
    observer.observe(&RunEvent::Task(&TaskRecord { member: Some(1), ..record(1, 0, 1, 115, 117) }));
    observer.observe(&RunEvent::Progress { run: 1, layer: 1, done: 1, at: at(117) });
    let report = RunReport { run: 1, elapsed: Duration::from_millis(18), tasks: 3, ..RunReport::default() };
    observer.observe(&RunEvent::Ended { run: 1, report: &report, error, at: at(118) });
}
