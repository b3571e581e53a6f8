//! What the plans of all collections share: nodes that hold each other, and their way into one graph.
//!
//! A plan is a directed graph without cycles of nodes that are never changed once made. Every node has a number from
//! one counter, and what it reads was made before it, so the numbers are a topological order and nothing ever recurses
//! over a plan, not even its drop.

mod columns;
mod flatten;
mod id_map;
mod lower;
mod node;
mod poison;

pub use columns::Columns;
pub use lower::{LayerLowering, Lowered, OneValue, Request, Sink};
pub use node::{Alias, Node, NodeRef, Role, next_id};
pub use poison::Poisoned;
