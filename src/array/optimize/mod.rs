//! What is improved in plans of arrays, over all arrays of a request at once.

mod again;
mod arena;
mod cost;
mod merge;
mod push;
mod rechunk;
mod recut;

pub(super) use arena::{Node, Plan};
pub(super) use cost::{costs, is_cheap, is_fusible};

/// Runs the passes that are switched on. What stands between layers is fused when they are made.
pub(super) fn optimize(plan: &mut Plan, is_on: &dyn Fn(&str) -> bool) {
    if is_on("merge") {
        merge::run(plan);
    }
    if is_on("reads") {
        again::run(plan);
        push::run(plan);
        rechunk::run(plan);
        recut::run(plan);
    }
}
