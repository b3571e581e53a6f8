//! What arrays are made of: operations as plain data, and what is known of their results.

use super::lower;
use crate::error::{Error, ErrorKind, Result};
use crate::origin::Origin;
use crate::plan::{LayerLowering, Node, NodeRef, Role};
use crate::store::{Block, Element};

/// An operation.
pub(super) enum Op<A: Element> {
    /// Blocks in memory.
    FromVec(Vec<Block<A>>),
    /// Number of elements.
    Count,
    /// Arithmetic mean.
    Mean,
    /// Standard deviation; the divisor is the number of elements less `ddof`.
    Std { ddof: f64 },
}

/// A node of the plan and what is known of the array it gives.
#[derive(Clone)]
pub(crate) struct Blocks {
    pub node: NodeRef,
    /// Number of blocks along the only axis, if there is one.
    pub count: u32,
    /// Length of the first axis, if it is known.
    pub len: Option<u64>,
    /// Elements beside each other: the length of the second axis, if there is one.
    pub width: u32,
}

/// A node.
pub(super) struct Step<A: Element> {
    pub origin: Origin,
    pub op: Op<A>,
    pub input: Option<Blocks>,
}

impl Blocks {
    /// Blocks that are there.
    pub(super) fn source<A: Element>(op: Op<A>, len: u64, origin: Origin) -> Result<Blocks> {
        let Op::FromVec(blocks) = &op else { return Err(Error::internal("an array operation without an input")) };
        let count = u32::try_from(blocks.len());
        let count = count.map_err(|_| Error::new(ErrorKind::Plan, "too many blocks: make them larger"))?;
        let node = NodeRef::new(Step { origin, op, input: None });
        Ok(Blocks { node, count, len: Some(len), width: 1 })
    }

    /// An array without axes, reduced from these blocks.
    pub(super) fn reduced<A: Element>(&self, op: Op<A>, origin: Origin) -> Blocks {
        let node = NodeRef::new(Step { origin, op, input: Some(self.clone()) });
        Blocks { node, count: 1, len: Some(1), width: 1 }
    }
}

impl<A: Element> Op<A> {
    pub fn verb(&self) -> &'static str {
        match self {
            Op::FromVec(_) => "from_vec",
            Op::Count => "count",
            Op::Mean => "mean",
            Op::Std { .. } => "std",
        }
    }
}

impl<A: Element> Node for Step<A> {
    fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a NodeRef)) {
        self.input.iter().for_each(|input| visit(&input.node));
    }

    fn label(&self) -> String {
        match &self.op {
            Op::Std { ddof } => format!("std(ddof {ddof})"),
            Op::FromVec(_) | Op::Count | Op::Mean => self.op.verb().to_string(),
        }
    }

    fn role(&self) -> Role<'_> {
        Role::Layers
    }

    fn lower(&self, lowering: &mut LayerLowering<'_>) -> Result<u32> {
        lower::lower(self, lowering)
    }
}
