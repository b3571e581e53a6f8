//! What most programs need: `use chunkwise::prelude::*;`.

pub use crate::delayed::{Delayed, DelayedVec, GraphBuilder, delayed, delayed_with, try_delayed, try_delayed_with};
pub use crate::error::{Error, ErrorKind, Result};
pub use crate::runtime::{Compute, Inspect, Persist, Runtime, compute, persist};
