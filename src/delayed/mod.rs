//! Plain functions as lazy, parallel work.
//!
//! [`delayed`] makes a task of a function, the verbs of [`Delayed`] combine tasks, [`DelayedVec`] holds many tasks of
//! one kind, and [`GraphBuilder`] takes a graph by names.

mod builder;
mod handle;
mod input;
mod many;
mod many_ops;
mod task;
mod verbs;

pub use builder::{BuiltGraph, GraphBuilder, Key};
pub use handle::Delayed;
pub use input::{Held, Inputs};
pub use many::DelayedVec;
pub use verbs::{delayed, delayed_with, try_delayed, try_delayed_with};
