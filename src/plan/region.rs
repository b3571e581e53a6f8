//! Nodes that are planned together: a collection that rewrites its plans sees all of its nodes in one request at once,
//! before any of them becomes layers.

use std::any::Any;

use super::lower::RegionLowering;
use crate::error::Result;

/// A collection whose nodes are planned together.
pub trait Region: Send + Sync {
    /// What it is called: regions of one name are one.
    fn name(&self) -> &'static str;

    /// Plans all nodes of the region that one request needs. Members stand behind those they read.
    ///
    /// # Errors
    /// Where the plan cannot be carried out.
    fn plan(&self, members: &[Member<'_>], options: &PlanOptions<'_>) -> Result<Box<dyn Planned>>;
}

/// What is asked of the planner.
pub struct PlanOptions<'a> {
    /// Whether a pass may run.
    pub is_on: &'a dyn Fn(&str) -> bool,
    /// The memory limit of the run.
    pub limit_bytes: u64,
    /// Whether texts for `explain` are wanted.
    pub explain: bool,
}

/// A node of the region.
pub struct Member<'a> {
    /// The node, to be downcast.
    pub node: &'a dyn Any,
    /// What it reads, in the order of its inputs.
    pub reads: Vec<Read>,
    /// Whether it is wanted, or read from outside the region.
    pub is_root: bool,
    /// The gate it waits at, by a number that is equal for equal gates.
    pub gate: Option<u32>,
}

/// What a member reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Another member.
    Member(u32),
    /// What stands outside the region: its own input of that number.
    Outside(u32),
}

/// A planned region.
pub trait Planned {
    /// Adds the layers of a root, and of what it needs; says which layer others read.
    ///
    /// # Errors
    /// Where they cannot be made.
    fn lower(&mut self, member: u32, lowering: &mut RegionLowering<'_, '_>) -> Result<u32>;

    /// The plan as text at its stages, each with a title.
    fn texts(&self) -> Vec<(String, String)>;
}
