//! What is improved in plans of arrays, over all arrays of a request at once.

mod arena;

pub(super) use arena::{Node, Plan};
