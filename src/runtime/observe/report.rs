//! What a run took: one struct, printed as a table and written as JSON.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::event::{LayerInfo, origin_or_null, seconds};
use crate::error::{Error, ErrorKind, human_bytes};
use crate::origin::Origin;
use crate::runtime::duration;

/// What a run took, as far as it went.
///
/// `Display` prints it as a table for people; through serde, or [`RunReport::to_json`], it is JSON with sizes in bytes and
/// times in seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RunReport {
    /// The number of the run in its runtime.
    pub run: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// From its start to its end.
    #[serde(rename = "elapsed_seconds", serialize_with = "seconds")]
    pub elapsed: Duration,
    /// How many threads it could use.
    pub threads: u32,
    /// How many tasks have run.
    pub tasks: u64,
    /// The layers as they were asked for.
    pub layers_before: u64,
    /// Their tasks.
    pub tasks_before: u64,
    /// The layers after optimization.
    pub layers_after: u64,
    /// Their tasks: what runs if nothing fails.
    pub tasks_after: u64,
    /// The memory limit.
    pub limit_bytes: u64,
    /// The most that was held under reservations at once.
    pub peak_accounted_bytes: u64,
    /// The growth of the resident memory of the process, from the start of the run to its highest point; `None` where the
    /// system does not tell.
    pub peak_resident_growth_bytes: Option<u64>,
    /// What was written to spill files.
    pub spilled_bytes: u64,
    /// What was read back from them.
    pub read_back_bytes: u64,
    /// What readers took from files, as it lies there.
    pub source_bytes: u64,
    /// Pages given by the system without reading a disk, to the whole process; `None` where the system does not tell.
    pub minor_faults: Option<u64>,
    /// Pages that had to be read from a disk.
    pub major_faults: Option<u64>,
    /// Per layer, in the order of the graph.
    pub layers: Vec<LayerReport>,
}

/// What one layer of a run took.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LayerReport {
    /// Its name.
    pub name: String,
    /// The line of the user's program that asked for it.
    #[serde(serialize_with = "origin_or_null")]
    pub origin: Origin,
    /// The names of the layers that were fused into it; empty where nothing was.
    pub members: Vec<String>,
    /// How many of its tasks have run.
    pub tasks: u64,
    /// How long they ran, over all threads.
    #[serde(rename = "busy_seconds", serialize_with = "seconds")]
    pub busy: Duration,
    /// The size of what they made.
    pub out_bytes: u64,
    /// How much of that was written to spill files.
    pub spilled_bytes: u64,
    /// How much of it was read back.
    pub read_back_bytes: u64,
}

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// All results are there.
    #[default]
    Finished,
    /// It was cancelled.
    Cancelled,
    /// It did not end within its timeout.
    TimedOut,
    /// The first error, as text.
    Failed(String),
}

impl Outcome {
    /// The outcome that an error stands for, or its absence.
    pub fn of(error: Option<&Error>) -> Outcome {
        match error.map(|error| (error.kind(), error)) {
            None => Outcome::Finished,
            Some((ErrorKind::Cancelled, _)) => Outcome::Cancelled,
            Some((ErrorKind::Timeout, _)) => Outcome::TimedOut,
            Some((_, error)) => Outcome::Failed(error.to_string()),
        }
    }

    /// `finished`, `cancelled`, `timed out` or `failed`.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Finished => "finished",
            Outcome::Cancelled => "cancelled",
            Outcome::TimedOut => "timed out",
            Outcome::Failed(_) => "failed",
        }
    }
}

impl LayerReport {
    /// The report of a layer of which nothing has run yet.
    pub fn new(layer: &LayerInfo) -> LayerReport {
        LayerReport {
            name: layer.name.clone(),
            origin: layer.origin,
            members: layer.members.clone(),
            tasks: 0,
            busy: Duration::ZERO,
            out_bytes: 0,
            spilled_bytes: 0,
            read_back_bytes: 0,
        }
    }
}

impl RunReport {
    /// The report as indented JSON.
    ///
    /// # Errors
    /// None is known; one of kind [`ErrorKind::Internal`] would be a defect.
    pub fn to_json(&self) -> crate::error::Result<String> {
        serde_json::to_string_pretty(self).map_err(|error| Error::internal(format!("a report as JSON: {error}")))
    }
}

impl fmt::Display for RunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "run {} {} in {}: {} of {}, {} ({} of {} before optimization), {}",
            self.run,
            self.outcome.word(),
            duration::human(self.elapsed),
            self.tasks,
            counted(self.tasks_after, "task"),
            counted(self.layers_after, "layer"),
            counted(self.tasks_before, "task"),
            counted(self.layers_before, "layer"),
            counted(u64::from(self.threads), "thread"),
        )?;
        if let Outcome::Failed(text) = &self.outcome {
            writeln!(f, "error   {}", text.replace('\n', "\n        "))?;
        }
        write!(f, "memory  {} of {} accounted", human_bytes(self.peak_accounted_bytes), human_bytes(self.limit_bytes))?;
        if let Some(bytes) = self.peak_resident_growth_bytes {
            write!(f, ", resident growth {}", human_bytes(bytes))?;
        }
        if let (Some(minor), Some(major)) = (self.minor_faults, self.major_faults) {
            write!(f, ", page faults {minor} minor and {major} major")?;
        }
        let (read, spilled, back) = (self.source_bytes, self.spilled_bytes, self.read_back_bytes);
        let [read, spilled, back] = [read, spilled, back].map(human_bytes);
        writeln!(f, "\ndisk    read {read} from sources, spilled {spilled}, read back {back}")?;
        if self.layers.is_empty() {
            return Ok(());
        }
        writeln!(f)?;
        let mut rows = vec![["layer", "tasks", "time", "out", "spilled", "read back", "from"].map(str::to_string)];
        rows.extend(self.layers.iter().map(LayerReport::row));
        f.write_str(&aligned(&rows))
    }
}

impl LayerReport {
    fn row(&self) -> [String; 7] {
        // A blank says zero: what is there stands out.
        let size = |bytes| if bytes == 0 { String::new() } else { human_bytes(bytes) };
        [
            if self.members.is_empty() {
                self.name.clone()
            } else {
                format!("{} [{}]", self.name, self.members.join(", "))
            },
            self.tasks.to_string(),
            duration::human(self.busy),
            size(self.out_bytes),
            size(self.spilled_bytes),
            size(self.read_back_bytes),
            if self.origin.is_known() { self.origin.to_string() } else { String::new() },
        ]
    }
}

fn counted(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Rows as columns two spaces apart: the first and the last to the left, those between, which are numbers, to the right.
fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let gap = if column == 0 { "" } else { "  " };
            line += &match column {
                0 => format!("{cell:<width$}"),
                _ if column + 1 == N => format!("{gap}{cell}"),
                _ => format!("{gap}{cell:>width$}"),
            };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::fixture::layer;
    use super::*;

    fn report() -> RunReport {
        let parse = LayerReport {
            tasks: 1200,
            busy: Duration::from_millis(3210),
            out_bytes: 96 << 20,
            spilled_bytes: 32 << 20,
            read_back_bytes: 32 << 20,
            ..LayerReport::new(&LayerInfo { members: vec!["read".into(), "parse".into()], ..layer("parse", 1200) })
        };
        let sum = LayerReport {
            tasks: 1,
            busy: Duration::from_micros(15),
            out_bytes: 8,
            ..LayerReport::new(&layer("sum", 1))
        };
        RunReport {
            run: 3,
            outcome: Outcome::Finished,
            elapsed: Duration::from_millis(1240),
            threads: 4,
            tasks: 1201,
            layers_before: 5,
            tasks_before: 2402,
            layers_after: 2,
            tasks_after: 1201,
            limit_bytes: 128 << 20,
            peak_accounted_bytes: 100 << 20,
            peak_resident_growth_bytes: Some(110 << 20),
            spilled_bytes: 32 << 20,
            read_back_bytes: 32 << 20,
            source_bytes: 3 << 29,
            minor_faults: Some(5120),
            major_faults: Some(0),
            layers: vec![parse, sum],
        }
    }

    #[test]
    fn a_table_for_people() {
        insta::assert_snapshot!(report(), @r"
        run 3 finished in 1.24 s: 1201 of 1201 tasks, 2 layers (2402 tasks of 5 layers before optimization), 4 threads
        memory  100 MiB of 128 MiB accounted, resident growth 110 MiB, page faults 5120 minor and 0 major
        disk    read 1.5 GiB from sources, spilled 32 MiB, read back 32 MiB

        layer                tasks     time     out  spilled  read back  from
        parse [read, parse]   1200   3.21 s  96 MiB   32 MiB     32 MiB
        sum                      1  15.0 µs     8 B
        ");
    }

    #[test]
    fn a_failed_run_without_what_the_system_does_not_tell() {
        let error = Error::new(ErrorKind::Task, "no luck").in_task("parse", Some(17));
        let report = RunReport {
            outcome: Outcome::of(Some(&error)),
            tasks: 1,
            threads: 1,
            layers_after: 1,
            peak_resident_growth_bytes: None,
            minor_faults: None,
            layers: Vec::new(),
            ..report()
        };
        insta::assert_snapshot!(report, @r"
        run 3 failed in 1.24 s: 1 of 1201 tasks, 1 layer (2402 tasks of 5 layers before optimization), 1 thread
        error   task `parse #17` failed: no luck
        memory  100 MiB of 128 MiB accounted
        disk    read 1.5 GiB from sources, spilled 32 MiB, read back 32 MiB
        ");
    }

    #[test]
    fn outcomes() {
        let of = |kind| Outcome::of(Some(&Error::new(kind, "why")));
        assert_eq!(of(ErrorKind::Cancelled).word(), "cancelled");
        assert_eq!(of(ErrorKind::Timeout).word(), "timed out");
        assert_eq!(of(ErrorKind::Panic), Outcome::Failed("why".to_string()));
        assert_eq!(Outcome::of(None), Outcome::Finished);
    }

    #[test]
    fn json_for_programs() {
        let report =
            RunReport { layers: report().layers.split_off(1), outcome: Outcome::Failed("why".into()), ..report() };
        insta::assert_snapshot!(report.to_json().unwrap(), @r#"
        {
          "run": 3,
          "outcome": {
            "failed": "why"
          },
          "elapsed_seconds": 1.24,
          "threads": 4,
          "tasks": 1201,
          "layers_before": 5,
          "tasks_before": 2402,
          "layers_after": 2,
          "tasks_after": 1201,
          "limit_bytes": 134217728,
          "peak_accounted_bytes": 104857600,
          "peak_resident_growth_bytes": 115343360,
          "spilled_bytes": 33554432,
          "read_back_bytes": 33554432,
          "source_bytes": 1610612736,
          "minor_faults": 5120,
          "major_faults": 0,
          "layers": [
            {
              "name": "sum",
              "origin": null,
              "members": [],
              "tasks": 1,
              "busy_seconds": 0.000015,
              "out_bytes": 8,
              "spilled_bytes": 0,
              "read_back_bytes": 0
            }
          ]
        }
        "#);
    }
}
