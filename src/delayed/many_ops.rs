//! What the layers of a `DelayedVec` do.

use std::any::Any;
use std::marker::PhantomData;

use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Inputs, LayerOp, Outputs, TaskContext};
use crate::store::{Kind, chunk};

type Of<T> = PhantomData<fn() -> T>;

/// An operation that is a function of index, inputs and nothing else.
pub(super) struct Each<F, T> {
    pub run: F,
    pub kind: &'static dyn Kind,
    pub need: u64,
    pub type_of: Of<T>,
}

impl<F, T> Each<F, T>
where
    F: Fn(u32, &mut Inputs<'_>) -> Result<T> + Send + Sync,
    T: Any + Send + Sync,
{
    pub fn new(run: F) -> Each<F, T> {
        Each { run, kind: chunk::plain::<T>(), need: 0, type_of: PhantomData }
    }
}

impl<F, T> LayerOp for Each<F, T>
where
    F: Fn(u32, &mut Inputs<'_>) -> Result<T> + Send + Sync,
    T: Any + Send + Sync,
{
    fn run(&self, _: &TaskContext<'_>, index: u32, inputs: &mut Inputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        let value = (self.run)(index, inputs)?;
        out.push(value);
        Ok(())
    }

    fn kind(&self) -> &'static dyn Kind {
        self.kind
    }

    fn need(&self, _: u32) -> u64 {
        self.need
    }
}

/// Hands each value on as it is, as of a kind of which more is known.
pub(super) struct HandOn(pub &'static dyn Kind);

impl LayerOp for HandOn {
    fn run(&self, _: &TaskContext<'_>, _: u32, inputs: &mut Inputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        out.push_chunk(inputs.take_chunk(0)?);
        Ok(())
    }

    fn kind(&self) -> &'static dyn Kind {
        self.0
    }
}

/// One value cut into a fixed number of pieces.
pub(super) struct Cut<F, T, P> {
    pub cut: F,
    pub pieces: u32,
    pub type_of: Of<(T, P)>,
}

impl<F, T, P> LayerOp for Cut<F, T, P>
where
    F: Fn(T) -> Vec<P> + Send + Sync,
    T: Any + Send + Sync + Clone,
    P: Any + Send + Sync,
{
    fn run(&self, _: &TaskContext<'_>, _: u32, inputs: &mut Inputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        let pieces = (self.cut)(inputs.take(0)?);
        if pieces.len() != self.pieces as usize {
            let text = format!("cut into {} pieces instead of {}", pieces.len(), self.pieces);
            return Err(Error::new(ErrorKind::Data, text));
        }
        pieces.into_iter().for_each(|piece| out.push(piece));
        Ok(())
    }

    fn kind(&self) -> &'static dyn Kind {
        chunk::plain::<P>()
    }
}
