//! What bags are made of: built-in operations as plain data, and sources in memory.

use std::any::Any;
use std::hash::Hash;
use std::marker::PhantomData;
use std::sync::Arc;

use super::lower;
use crate::error::Result;
use crate::origin::Origin;
use crate::plan::{LayerLowering, Node, NodeRef, Role};

/// A built-in operation on a bag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// The number of items: one value and no bag.
    Count,
    /// Each distinct item with its number of occurrences.
    Frequencies,
}

/// A node of the plan and what is known of the bag it gives.
#[derive(Clone)]
pub(crate) struct Items {
    pub node: NodeRef,
    pub partitions: u32,
}

impl Items {
    pub(crate) fn new(partitions: u32, node: impl Node + 'static) -> Items {
        Items { node: NodeRef::new(node), partitions }
    }
}

/// A node of an operation on items of type `T`.
pub(super) struct Step<T> {
    pub origin: Origin,
    pub op: Op,
    pub input: Items,
    type_of: PhantomData<fn() -> T>,
}

impl<T> Step<T> {
    pub fn new(op: Op, input: &Items, origin: Origin) -> Step<T> {
        Step { origin, op, input: input.clone(), type_of: PhantomData }
    }
}

impl Op {
    pub fn verb(self) -> &'static str {
        match self {
            Op::Count => "count",
            Op::Frequencies => "frequencies",
        }
    }
}

/// The number of items of a bag whose items need not be comparable.
pub(super) struct Counted<T>(pub Step<T>);

impl<T: Any + Send + Sync> Node for Counted<T> {
    fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a NodeRef)) {
        visit(&self.0.input.node);
    }

    fn label(&self) -> String {
        self.0.op.verb().to_string()
    }

    fn role(&self) -> Role<'_> {
        Role::Layers
    }

    fn lower(&self, lowering: &mut LayerLowering<'_>) -> Result<u32> {
        lower::count(&self.0, lowering)
    }
}

impl<T: Any + Send + Sync + Clone + Ord + Hash> Node for Step<T> {
    fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a NodeRef)) {
        visit(&self.input.node);
    }

    fn label(&self) -> String {
        self.op.verb().to_string()
    }

    fn role(&self) -> Role<'_> {
        Role::Layers
    }

    fn lower(&self, lowering: &mut LayerLowering<'_>) -> Result<u32> {
        match self.op {
            Op::Count => lower::count(self, lowering),
            Op::Frequencies => lower::frequencies(self, lowering),
        }
    }
}

/// Items in memory.
pub(super) struct FromVec<T> {
    pub origin: Origin,
    pub parts: Vec<Arc<Vec<T>>>,
}

impl<T> FromVec<T> {
    pub fn new(parts: Vec<Arc<Vec<T>>>, origin: Origin) -> FromVec<T> {
        FromVec { origin, parts }
    }
}

impl<T: Any + Send + Sync + Clone> Node for FromVec<T> {
    fn visit<'a>(&'a self, _: &mut dyn FnMut(&'a NodeRef)) {}

    fn label(&self) -> String {
        "from_vec".to_string()
    }

    fn role(&self) -> Role<'_> {
        Role::Layers
    }

    fn lower(&self, lowering: &mut LayerLowering<'_>) -> Result<u32> {
        lower::from_vec(self, lowering)
    }
}
