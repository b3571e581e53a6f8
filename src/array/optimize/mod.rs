//! What is improved in plans of arrays, over all arrays of a request at once.

mod arena;
mod merge;
mod push;
mod rechunk;
mod recut;

pub(super) use arena::{Node, Plan};

/// Runs the passes that are switched on. What stands between layers is fused when they are made.
pub(super) fn optimize(plan: &mut Plan, is_on: &dyn Fn(&str) -> bool) {
    if is_on("merge") {
        merge::run(plan);
    }
    if is_on("reads") {
        push::run(plan);
        rechunk::run(plan);
        recut::run(plan);
    }
}
