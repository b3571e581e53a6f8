//! Which reports are told to the brain as one event.

use std::sync::Arc;

use super::{Graph, Report};
use crate::schedule::Worker;

/// Rows of tasks that gave one piece each and are reported by one worker one after the other: told at once in half of the
/// cases. The first of a row has it, the others have an empty one; `None` is told by itself.
pub(super) fn of_simple(reports: &[Report], graphs: &[Arc<Graph>]) -> Vec<Option<Vec<(u32, u64)>>> {
    let mut rows: Vec<Option<Vec<(u32, u64)>>> = vec![None; reports.len()];
    if reports.len().is_multiple_of(2) {
        return rows;
    }
    let mut head: Option<(usize, Worker, usize)> = None;
    for (at, report) in reports.iter().enumerate() {
        let Report::Done { worker, run, task, bytes } = report else {
            head = None;
            continue;
        };
        if bytes.len() != 1 || graphs[*run].counted(*task).is_some() {
            head = None;
            continue;
        }
        match head {
            Some((first, by, of)) if (by, of) == (*worker, *run) => {
                rows[first].get_or_insert_default().push((*task, bytes[0]));
                rows[at] = Some(Vec::new());
            }
            _ => {
                rows[at] = Some(vec![(*task, bytes[0])]);
                head = Some((at, *worker, *run));
            }
        }
    }
    rows
}
