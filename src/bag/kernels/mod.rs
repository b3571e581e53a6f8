//! Pure functions on partitions.

mod kind;
mod tally;

pub(super) use kind::{Measure, measured};
pub(super) use tally::{Ranked, Tally};
