//! What the plans of all collections share: nodes that hold each other, and their way into one graph.
//!
//! A plan is a directed graph without cycles of nodes that are never changed once made. A node is known
//! by its address. Nothing ever recurses over a plan: it is walked once, into a list where children stand before parents, and
//! dropped by a queue.

mod address_map;
mod arrange;
mod flatten;
mod lower;
mod node;
mod poison;
mod region;

pub use lower::{LayerLowering, Lowered, OneValue, RegionLowering, Request, Sink};
pub use node::{Alias, Node, NodeRef, Role};
pub use poison::Poisoned;
pub use region::{Member, PlanOptions, Planned, Read, Region};

/// What stands before a line of a tree so deep; deeper than that the depth is told, for plans may have ten thousand levels.
pub fn indentation(depth: usize) -> String {
    const DEEPEST: usize = 40;
    match depth {
        0..=DEEPEST => "  ".repeat(depth),
        _ => format!("{}({depth}) ", "  ".repeat(DEEPEST)),
    }
}
