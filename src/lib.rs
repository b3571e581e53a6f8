//! Lazy arrays, tables, bags and plain functions over one parallel task engine that stays inside a memory budget.
//!
#![doc = include_str!("../README.md")]

pub mod prelude;

pub mod convert;

pub mod array;

pub mod dataframe;

pub mod bag;

pub mod delayed;

pub mod runtime;

pub mod plan;

pub mod graph;

pub mod executor;

pub mod schedule;

pub mod external;

pub mod formats;

pub mod store;

pub mod expr;

pub mod origin;

pub mod error;

pub use error::{Error, ErrorKind, Result};
pub use origin::Origin;
pub use runtime::{Runtime, Scalar, compute, persist};
