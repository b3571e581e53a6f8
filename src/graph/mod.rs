//! The task graph: layers of tasks with typed edges, made from plans by lowering, improved by passes.
//!
//! A graph is a list of layers, not a map of tasks. A *regular* layer is one operation over an index space whose
//! dependencies are [`Pattern`]s; nothing is stored per task. An *explicit* layer holds a call and the edges of each
//! task, for differently typed tasks in any shape.

mod draft;
mod draw;
mod each;
mod exchange;
mod explain;
mod explicit;
mod grid;
mod kept;
mod layer;
mod order;
#[cfg(test)]
mod order_tests;
pub mod passes;
mod pattern;
mod task;
#[cfg(test)]
mod testing;
mod topology;
mod wrapped;

pub use draft::{Draft, LayerRef};
pub use each::{Each, call_of, call_of_kind, one_call};
pub use exchange::{Exchange, exchange};
pub use explain::{Estimate, ExplainOptions};
pub use explicit::{Call, Csr, Tasks};
pub use grid::{Grid, GridAxis};
pub use kept::Kept;
pub use layer::{Body, Graph, Input, Layer, LayerOp, Meta};
pub use order::depth_first;
pub use pattern::Pattern;
pub use task::{Inputs, Outputs, Scope, TaskContext};
pub use wrapped::StandIn;

// What plans say of values when they are lowered.
pub use crate::store::{Chunk, Kind};
