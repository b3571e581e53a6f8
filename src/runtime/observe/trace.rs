//! A profile in the trace-event format of Chrome and Perfetto.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::event::{LayerInfo, TaskRecord};
use super::profile::{Move, MoveKind, Recorded};
use crate::origin::Origin;

/// The file: its events in the order of the profile.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Trace {
    trace_events: Vec<Event>,
    display_time_unit: &'static str,
}

#[derive(Serialize)]
struct Event {
    name: String,
    cat: String,
    /// `X` is a span, `i` an instant, `M` a name or place of a row.
    ph: &'static str,
    /// Microseconds.
    ts: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<f64>,
    /// Of an instant: that it belongs to its row.
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<&'static str>,
    pid: u64,
    tid: u64,
    args: Value,
}

/// The rows of the disk stand below those of the threads. Viewers keep ids in 32 bits.
const SPILLED_ROW: u64 = 1 << 30;
const READ_BACK_ROW: u64 = SPILLED_ROW + 1;

/// Viewers take process 0 and thread 0 for the idle ones of the system: both count from 1 here.
fn process(run: u64) -> u64 {
    run.saturating_add(1)
}

fn thread_row(thread: u32) -> u64 {
    u64::from(thread) + 1
}

pub(super) fn of(recorded: &Recorded) -> Trace {
    let mut events = Vec::new();
    for run in &recorded.runs {
        events.push(named("process_name", run.run, 1, format!("run {}", run.run)));
    }
    let rows: BTreeSet<(u64, u64)> = recorded
        .tasks
        .iter()
        .map(|task| (task.run, thread_row(task.thread)))
        .chain(recorded.moves.iter().map(|moved| (moved.run, row(moved.kind))))
        .collect();
    for (run, row) in rows {
        let name = match row {
            SPILLED_ROW => "spilled".to_string(),
            READ_BACK_ROW => "read back".to_string(),
            row => format!("thread {}", row - 1),
        };
        events.push(named("thread_name", run, row, name));
        events
            .push(Event { args: json!({ "sort_index": row }), ..named("thread_sort_index", run, row, String::new()) });
    }
    events.extend(recorded.tasks.iter().map(|task| task_event(task, recorded.layer(task.run, task.layer))));
    events.extend(recorded.moves.iter().map(|moved| move_event(moved, recorded.layer(moved.run, moved.layer))));
    Trace { trace_events: events, display_time_unit: "ms" }
}

fn task_event(task: &TaskRecord, layer: Option<&LayerInfo>) -> Event {
    let category = category(layer, task.layer);
    let name = layer.map_or(&*category, |layer| layer.name_of(task));
    let origin = layer.map(|layer| layer.origin_of(task)).filter(Origin::is_known);
    Event {
        name: format!("{name} #{}", task.index),
        cat: category,
        ph: "X",
        ts: micros(task.start),
        dur: Some(micros(task.elapsed())),
        s: None,
        pid: process(task.run),
        tid: thread_row(task.thread),
        args: json!({
            "bytes_in": task.bytes_in,
            "bytes_out": task.bytes_out,
            "origin": origin.map(|origin| origin.to_string()),
        }),
    }
}

fn move_event(moved: &Move, layer: Option<&LayerInfo>) -> Event {
    let category = category(layer, moved.layer);
    Event {
        name: category.clone(),
        cat: category,
        ph: "i",
        ts: micros(moved.at),
        dur: None,
        s: Some("t"),
        pid: process(moved.run),
        tid: row(moved.kind),
        args: json!({ "bytes": moved.bytes }),
    }
}

fn named(what: &str, run: u64, tid: u64, name: String) -> Event {
    let (pid, args) = (process(run), json!({ "name": name }));
    Event { name: what.to_string(), cat: String::new(), ph: "M", ts: 0.0, dur: None, s: None, pid, tid, args }
}

/// The layer's name; the format takes a comma for the end of a category.
fn category(layer: Option<&LayerInfo>, index: u32) -> String {
    layer.map_or_else(|| format!("layer {index}"), |layer| layer.name.replace(',', ";"))
}

fn row(kind: MoveKind) -> u64 {
    match kind {
        MoveKind::Spilled => SPILLED_ROW,
        MoveKind::ReadBack => READ_BACK_ROW,
    }
}

fn micros(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{record, small_run};
    use super::super::{Observer, Profile, RunEvent};
    use super::*;

    fn lines(profile: &Profile) -> String {
        let mut out = Vec::new();
        profile.to_chrome_trace(&mut out).unwrap();
        let trace: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(trace["displayTimeUnit"], "ms");
        let events = trace["traceEvents"].as_array().unwrap();
        events.iter().map(|event| in_order(event).to_string()).collect::<Vec<_>>().join("\n")
    }

    /// With keys in order: whether they are sorted or stand as they were written is a feature of serde_json that others may switch on.
    fn in_order(value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                let mut fields: Vec<(String, Value)> =
                    fields.iter().map(|(key, value)| (key.clone(), in_order(value))).collect();
                fields.sort_by(|a, b| a.0.cmp(&b.0));
                Value::Object(fields.into_iter().collect())
            }
            other => other.clone(),
        }
    }

    #[test]
    fn a_small_run() {
        let profile = Profile::new();
        small_run(&profile, None);
        insta::assert_snapshot!(lines(&profile), @r#"
        {"args":{"name":"run 1"},"cat":"","name":"process_name","ph":"M","pid":2,"tid":1,"ts":0.0}
        {"args":{"name":"thread 0"},"cat":"","name":"thread_name","ph":"M","pid":2,"tid":1,"ts":0.0}
        {"args":{"sort_index":1},"cat":"","name":"thread_sort_index","ph":"M","pid":2,"tid":1,"ts":0.0}
        {"args":{"name":"thread 1"},"cat":"","name":"thread_name","ph":"M","pid":2,"tid":2,"ts":0.0}
        {"args":{"sort_index":2},"cat":"","name":"thread_sort_index","ph":"M","pid":2,"tid":2,"ts":0.0}
        {"args":{"name":"spilled"},"cat":"","name":"thread_name","ph":"M","pid":2,"tid":1073741824,"ts":0.0}
        {"args":{"sort_index":1073741824},"cat":"","name":"thread_sort_index","ph":"M","pid":2,"tid":1073741824,"ts":0.0}
        {"args":{"name":"read back"},"cat":"","name":"thread_name","ph":"M","pid":2,"tid":1073741825,"ts":0.0}
        {"args":{"sort_index":1073741825},"cat":"","name":"thread_sort_index","ph":"M","pid":2,"tid":1073741825,"ts":0.0}
        {"args":{"bytes_in":8,"bytes_out":16,"origin":null},"cat":"parse","dur":10000.0,"name":"parse #0","ph":"X","pid":2,"tid":1,"ts":100000.0}
        {"args":{"bytes_in":8,"bytes_out":16,"origin":null},"cat":"parse","dur":8000.0,"name":"parse #1","ph":"X","pid":2,"tid":2,"ts":104000.0}
        {"args":{"bytes_in":8,"bytes_out":16,"origin":null},"cat":"filter+sum","dur":1000.0,"name":"filter #0","ph":"X","pid":2,"tid":2,"ts":114000.0}
        {"args":{"bytes_in":8,"bytes_out":16,"origin":null},"cat":"filter+sum","dur":2000.0,"name":"sum #0","ph":"X","pid":2,"tid":2,"ts":115000.0}
        {"args":{"bytes":4096},"cat":"parse","name":"parse","ph":"i","pid":2,"s":"t","tid":1073741824,"ts":113000.0}
        {"args":{"bytes":4096},"cat":"parse","name":"parse","ph":"i","pid":2,"s":"t","tid":1073741825,"ts":114000.0}
        "#);
    }

    #[test]
    fn a_task_of_an_unknown_run() {
        let profile = Profile::new();
        profile.observe(&RunEvent::Task(&record(2, 0, 0, 1, 2)));
        assert!(lines(&profile).contains(r#""name":"layer 2 #0""#));
    }
}
