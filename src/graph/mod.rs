//! The task graph: layers of tasks with typed edges, made from plans by lowering, improved by passes.
//!
//! A graph is a list of layers, not a map of tasks. A *regular* layer is one operation over an index space whose
//! dependencies are [`Pattern`]s; nothing is stored per task. An *explicit* layer holds a call and the edges of each
//! task, for differently typed tasks in any shape.

mod draft;
mod each;
mod exchange;
mod explicit;
mod layer;
mod pattern;
mod task;
mod topology;

pub use draft::{Draft, LayerRef};
pub use each::Each;
pub use exchange::{Exchange, exchange};
pub use explicit::{Call, Csr, Tasks};
pub use layer::{Body, Graph, Input, Layer, LayerOp, Meta};
pub use pattern::Pattern;
pub use task::{Inputs, Outputs, Scope, TaskContext};

// What plans say of values when they are lowered.
pub use crate::store::{Chunk, Kind};
