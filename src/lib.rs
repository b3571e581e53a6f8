//! Lazy arrays, tables, bags and plain functions over one parallel task engine that stays inside a memory budget.

pub mod prelude;

pub mod delayed;

pub mod runtime;

pub mod plan;

pub mod graph;

pub mod executor;

pub mod schedule;

pub mod store;

pub mod origin;

pub mod error;

pub use error::{Error, ErrorKind, Result};
pub use origin::Origin;
pub use runtime::{Runtime, compute, persist};
