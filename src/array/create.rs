//! Arrays of numbers that are in memory.

use super::plan::{Blocks, Op};
use super::{Array, Ix1};
use crate::error::{Error, ErrorKind, Role};
use crate::origin::Origin;
use crate::store::{Block, Element};

/// An array of these numbers in blocks of `block_len`, which share the vector's memory.
#[track_caller]
pub fn from_vec<A: Element>(values: Vec<A>, block_len: usize) -> Array<A, Ix1> {
    let origin = Origin::caller();
    if block_len == 0 {
        let error = Error::new(ErrorKind::Plan, "blocks of no elements").frame(Role::In, "from_vec", origin);
        return Array::of(Err(error));
    }
    let len = values.len();
    let whole = Block::from_vec(values);
    let cuts = (0..len).step_by(block_len);
    let blocks = cuts.map(|start| whole.slice(start..len.min(start.saturating_add(block_len)))).collect();
    let made = Blocks::source(Op::FromVec(blocks), len as u64, origin);
    Array::of(made.map_err(|error| error.frame(Role::In, "from_vec", origin)))
}
