//! The plainest operation: a function of a task's place and inputs that gives one value.

use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

use super::explicit::Call;
use super::layer::{LayerOp, Meta};
use super::task::{Inputs, Outputs, TaskContext};
use crate::error::Result;
use crate::origin::Origin;
use crate::store::{Kind, chunk};

/// An operation that is a kernel and what is known of it.
pub struct Each<F, T> {
    run: F,
    kind: &'static dyn Kind,
    need: u64,
    key: Option<String>,
    type_of: PhantomData<fn() -> T>,
}

impl<F, T> Each<F, T>
where
    F: Fn(&TaskContext<'_>, u32, &mut Inputs<'_>) -> Result<T> + Send + Sync,
    T: Any + Send + Sync,
{
    /// An operation of which nothing is known but its result's type.
    pub fn new(run: F) -> Each<F, T> {
        Each { run, kind: chunk::plain::<T>(), need: 0, key: None, type_of: PhantomData }
    }

    /// With what the engine is to know about the result.
    #[must_use]
    pub fn kind(self, kind: &'static dyn Kind) -> Each<F, T> {
        Each { kind, ..self }
    }

    /// With the bytes that a task needs beside its inputs.
    #[must_use]
    pub fn need(self, bytes: u64) -> Each<F, T> {
        Each { need: bytes, ..self }
    }

    /// With a text that is equal for operations that do the same.
    #[must_use]
    pub fn key(self, key: String) -> Each<F, T> {
        Each { key: Some(key), ..self }
    }
}

impl<F, T> LayerOp for Each<F, T>
where
    F: Fn(&TaskContext<'_>, u32, &mut Inputs<'_>) -> Result<T> + Send + Sync,
    T: Any + Send + Sync,
{
    fn run(&self, context: &TaskContext<'_>, index: u32, inputs: &mut Inputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        out.push((self.run)(context, index, inputs)?);
        Ok(())
    }

    fn kind(&self) -> &'static dyn Kind {
        self.kind
    }

    fn need(&self, _: u32) -> u64 {
        self.need
    }

    fn content_key(&self) -> Option<String> {
        self.key.clone()
    }
}

/// Tasks of an explicit layer that are a function of their inputs and give one value.
pub fn one_call<T: Any + Send + Sync>(
    meta: &Arc<Meta>,
    run: impl Fn(&mut Inputs<'_>) -> Result<T> + Send + Sync + 'static,
) -> Arc<dyn Call> {
    call_of::<T>(meta, 0, move |_, inputs, out| {
        out.push(run(inputs)?);
        Ok(())
    })
}

/// Tasks of an explicit layer that are a function: with the name, verb and line of the layer, a need, and values of one type.
pub fn call_of<T: Any + Send + Sync>(
    meta: &Arc<Meta>,
    need: u64,
    run: impl Fn(&TaskContext<'_>, &mut Inputs<'_>, &mut Outputs<'_>) -> Result<()> + Send + Sync + 'static,
) -> Arc<dyn Call> {
    call_of_kind(meta, need, chunk::plain::<T>(), run)
}

/// As [`call_of`], of values of which the engine is to know more than their type.
pub fn call_of_kind(
    meta: &Arc<Meta>,
    need: u64,
    kind: &'static dyn Kind,
    run: impl Fn(&TaskContext<'_>, &mut Inputs<'_>, &mut Outputs<'_>) -> Result<()> + Send + Sync + 'static,
) -> Arc<dyn Call> {
    Arc::new(FunctionCall { meta: meta.clone(), kind, need, run })
}

struct FunctionCall<F> {
    meta: Arc<Meta>,
    kind: &'static dyn Kind,
    need: u64,
    run: F,
}

impl<F> Call for FunctionCall<F>
where
    F: Fn(&TaskContext<'_>, &mut Inputs<'_>, &mut Outputs<'_>) -> Result<()> + Send + Sync,
{
    fn call(&self, context: &TaskContext<'_>, inputs: &mut Inputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        (self.run)(context, inputs, out)
    }

    fn name(&self) -> &str {
        &self.meta.name
    }

    fn verb(&self) -> &'static str {
        self.meta.verb
    }

    fn origin(&self) -> Origin {
        self.meta.origin
    }

    fn kind(&self, _: u32) -> &'static dyn Kind {
        self.kind
    }

    fn need(&self) -> u64 {
        self.need
    }
}
