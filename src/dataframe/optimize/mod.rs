//! What is improved in plans of tables: a list of small passes over all tables of a request at once.
//!
//! A pass leaves rows, columns and their order as they are. What may fail at some rows is never moved to rows it would not
//! have seen.

mod arena;
mod columns;
mod limits;
mod merge;
mod predicates;
mod rescan;
mod simplify;

use crate::error::{Error, ErrorKind, Result};

pub(super) use arena::{Node, Plan};
pub(super) use rescan::reads_again;

/// A rewriting of plans.
struct Pass {
    name: &'static str,
    run: fn(&mut Plan) -> Result<()>,
}

/// The passes in the order in which they run.
const PASSES: [Pass; 7] = [
    // First, so that others see who shares what.
    Pass { name: "merge", run: merge::run },
    Pass { name: "simplify", run: simplify::run },
    // Before filters and columns go their ways in each of two scans.
    Pass { name: "rescan", run: rescan::run },
    Pass { name: "predicates", run: predicates::run },
    Pass { name: "limits", run: limits::run },
    // Again, of what now stands together.
    Pass { name: "simplify", run: simplify::run },
    // Last: the others move expressions, and with them what is read.
    Pass { name: "columns", run: columns::run },
];

/// Runs the passes that are switched on, and checks the plan after each.
///
/// # Errors
/// Of kind `Internal`, with the name of the pass, where it broke the plan.
pub(super) fn optimize(plan: &mut Plan, is_on: &dyn Fn(&str) -> bool) -> Result<()> {
    for pass in PASSES.iter().filter(|pass| is_on(pass.name)) {
        let before = plan.promises()?;
        (pass.run)(plan)?;
        plan.sort();
        plan.check(&before).map_err(|error| {
            let text = format!("the pass `{}` broke a plan: {}", pass.name, error.message());
            Error::new(ErrorKind::Internal, text)
        })?;
    }
    Ok(())
}
