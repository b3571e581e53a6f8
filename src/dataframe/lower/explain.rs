//! What each operation of a plan does with memory, for `explain`.

use super::super::optimize::reads_again;
use super::super::plan::{Layout, Op};
use super::Lowering;
use super::pipeline::Starts;
use crate::error::human_bytes;
use crate::formats::scan::{Morsel, Scan};

/// What is known of a scan.
pub(super) struct Seen {
    morsels: usize,
    largest: u64,
    detail: String,
}

impl Seen {
    pub fn of(scan: &dyn Scan) -> Seen {
        let largest = scan.morsels().iter().map(|morsel: &Morsel| morsel.bytes).max().unwrap_or(0);
        Seen { morsels: scan.morsels().len(), largest, detail: scan.detail() }
    }
}

impl Lowering {
    /// Whether an operation streams, what it holds, and what of that may go to disk.
    pub(super) fn note(&self, at: usize) -> String {
        let node = &self.plan.nodes[at];
        let mut notes: Vec<String> = Vec::new();
        let mut say = |text: String| notes.push(text);
        match &node.op {
            Op::Scan(_) => {
                say("streams".to_string());
                if let Some(seen) = self.scans.borrow().get(&at) {
                    let plural = if seen.morsels == 1 { "" } else { "s" };
                    say(format!("{} task{plural} of at most {}", seen.morsels, human_bytes(seen.largest)));
                    if !seen.detail.is_empty() {
                        say(seen.detail.clone());
                    }
                }
            }
            Op::Filter(_) | Op::Select(_) | Op::Explode(_) | Op::Concat => say("streams".to_string()),
            Op::Outside => say("in pieces that spill".to_string()),
            Op::Map(map) if map.whole => {
                say(format!("holds a partition{}, twice", self.partition_size(node.inputs[0])))
            }
            Op::Map(_) => say("streams".to_string()),
            Op::Overlap(overlap) => {
                say(format!("holds a partition{}, twice", self.partition_size(node.inputs[0])));
                if overlap.after > 0 {
                    let again = self.made[node.inputs[0]].is_none();
                    say(match again {
                        true => "rows behind each are found first, and read twice".to_string(),
                        false => "rows behind each are found first, and all wait in pieces that spill".to_string(),
                    });
                } else if overlap.before > 0 {
                    say("the last rows of each are handed on".to_string());
                }
            }
            Op::Number(_) => {
                say("streams".to_string());
                match self.starts.get(&at) {
                    Some(Starts::Layer(_)) => {
                        let again = self.made[node.inputs[0]].is_none() && reads_again(&self.plan, node.inputs[0]);
                        say(match again {
                            true => "rows are counted first, and read twice".to_string(),
                            false => "rows are counted first, and wait in pieces that spill".to_string(),
                        });
                    }
                    _ => say("the source knows the numbers of its rows".to_string()),
                }
            }
            Op::Join(_) => {
                let held = &self.plan.nodes[node.inputs[1]];
                let bytes = held.bytes.iter().sum::<u64>().saturating_mul(held.partitions.into());
                let about = if bytes > 0 { format!(", at most about {}", human_bytes(bytes)) } else { String::new() };
                say(format!("streams the first table, holds the second{about}"));
            }
            Op::Aggregate(grouping) => say(match grouping.keys.is_empty() {
                true => "holds a row for each thread".to_string(),
                false => "holds a row of each group for each thread".to_string(),
            }),
            Op::CountRows | Op::CountBytes => say("holds a number".to_string()),
            Op::Slice { len, .. } => say(format!("holds at most {len} rows, in pieces that spill")),
            Op::Top { len: u64::MAX, .. } => say("holds all rows".to_string()),
            Op::Top { len, .. } => say(format!("holds twice {len} rows for each thread")),
            Op::Fill(_) => {
                say("streams; what values go from task to task is found first, in pieces that spill".to_string())
            }
            Op::Repartition => say("in pieces that spill".to_string()),
            Op::Gather | Op::Partition(_) => {
                say(format!("holds a partition{}, which spills", self.partition_size(node.inputs[0])));
            }
            Op::Write(write) => say(match write.layout {
                Layout::Keys(_) => "streams, through files of its own where there are many keys".to_string(),
                Layout::Single | Layout::Partitions => "streams, holds what is encoded before its turn".to_string(),
            }),
        }
        let steps = matches!(
            node.op,
            Op::Scan(_) | Op::Filter(_) | Op::Select(_) | Op::Join(_) | Op::Explode(_) | Op::Number(_) | Op::Map(_)
        );
        if steps && self.readers[at] > 1 {
            say(format!("kept in pieces that spill for {} readers", self.readers[at]));
        }
        format!("  [{}]", notes.join("; "))
    }

    /// About how large a partition of a table is.
    fn partition_size(&self, at: usize) -> String {
        match self.plan.nodes[at].bytes.iter().sum::<u64>() {
            0 => String::new(),
            bytes => format!(", at most about {}", human_bytes(bytes)),
        }
    }
}
