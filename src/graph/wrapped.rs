//! Operations that are another one with something added, and a call that stands for none.

use std::sync::Arc;

use super::explicit::Call;
use super::layer::{LayerOp, Meta};
use super::task::{Inputs, Outputs, TaskContext};
use crate::error::{Error, Result};
use crate::origin::Origin;
use crate::store::{Kind, chunk};

/// A source that waits for a gate, its only input.
pub(super) struct Gated {
    pub op: Arc<dyn LayerOp>,
}

impl LayerOp for Gated {
    fn run(&self, context: &TaskContext<'_>, index: u32, inputs: &mut Inputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        self.op.run(context, index, &mut inputs.part(0, 0), out)
    }

    fn kind(&self) -> &'static dyn Kind {
        self.op.kind()
    }

    fn need(&self, index: u32) -> u64 {
        self.op.need(index)
    }

    fn needs_alike(&self) -> bool {
        self.op.needs_alike()
    }

    fn is_barrier(&self) -> bool {
        self.op.is_barrier()
    }

    fn members(&self) -> &[Meta] {
        self.op.members()
    }
}

/// An operation of one task of which the user said how its value is spilled.
pub(super) struct OfKind {
    pub op: Arc<dyn LayerOp>,
    pub kind: &'static dyn Kind,
}

impl LayerOp for OfKind {
    fn run(&self, context: &TaskContext<'_>, index: u32, inputs: &mut Inputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        self.op.run(context, index, inputs, out)
    }

    fn kind(&self) -> &'static dyn Kind {
        self.kind
    }

    fn need(&self, index: u32) -> u64 {
        self.op.need(index)
    }

    fn needs_alike(&self) -> bool {
        self.op.needs_alike()
    }

    fn run_part(
        &self,
        context: &TaskContext<'_>,
        index: u32,
        part: u32,
        inputs: &mut Inputs<'_>,
        out: &mut Outputs<'_>,
    ) -> Result<()> {
        self.op.run_part(context, index, part, inputs, out)
    }

    fn part_kind(&self) -> &'static dyn Kind {
        self.op.part_kind()
    }

    fn content_key(&self) -> Option<String> {
        self.op.content_key()
    }

    fn members(&self) -> &[Meta] {
        self.op.members()
    }
}

/// Stands in the list of a plan's calls where the plan has layers instead of a task.
pub struct StandIn;

impl Call for StandIn {
    fn call(&self, _: &TaskContext<'_>, _: &mut Inputs<'_>, _: &mut Outputs<'_>) -> Result<()> {
        Err(Error::internal("a place without a task is to be run"))
    }

    fn name(&self) -> &str {
        "layers"
    }

    fn verb(&self) -> &'static str {
        "layers"
    }

    fn origin(&self) -> Origin {
        Origin::UNKNOWN
    }

    fn kind(&self, _: u32) -> &'static dyn Kind {
        chunk::plain::<()>()
    }
}
