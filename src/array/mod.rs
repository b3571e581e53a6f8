//! Lazy arrays: blocks of numbers, computed block by block.
//!
//! [`from_vec`] makes one of numbers in memory, columns of a table become one by `to_array`. Reductions are lazy, too:
//! an array without axes, computed to a plain number.

mod compute;
mod create;
mod kernels;
mod lower;
mod plan;
mod reduce;

use std::fmt;
use std::marker::PhantomData;

use crate::error::{Error, Result};
use crate::plan::{NodeRef, Poisoned};
use crate::store::Element;

pub use create::from_vec;
pub use ndarray::{Ix0, Ix1, Ix2};
pub(crate) use plan::Blocks;

/// An array of `A` with axes `D` that is not there yet.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let x = array::from_vec(vec![1.0, 2.0, 3.0, 6.0], 3);
/// let (mean, std) = compute((x.mean(), x.std(0.0)))?; // two f64
/// assert_eq!((mean, std), (3.0, 3.5_f64.sqrt()));
/// assert_eq!(x.compute()?, ndarray::arr1(&[1.0, 2.0, 3.0, 6.0]));
/// assert_eq!(format!("{x:?}"), "Array<f64>: from_vec, shape (4), 2 blocks");
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[must_use = "an Array does nothing until it is computed"]
pub struct Array<A, D> {
    state: Result<Blocks>,
    type_of: PhantomData<fn() -> (A, D)>,
}

impl<A, D> Clone for Array<A, D> {
    fn clone(&self) -> Self {
        Array::of(self.state.clone())
    }
}

impl<A, D> Array<A, D> {
    /// An array of blocks, or what was wrong.
    pub(crate) fn of(state: Result<Blocks>) -> Array<A, D> {
        Array { state, type_of: PhantomData }
    }

    pub(crate) fn blocks(&self) -> Result<&Blocks> {
        self.state.as_ref().map_err(Error::clone)
    }

    /// The node of the plan; of a wrong one, one that gives its error.
    pub(crate) fn node(&self) -> NodeRef {
        match &self.state {
            Ok(blocks) => blocks.node.clone(),
            Err(error) => Poisoned::node(error.clone()),
        }
    }
}

impl<A: Element> Array<A, Ix2> {
    /// Length of the second axis.
    ///
    /// # Errors
    /// Of the first verb that was wrong.
    pub fn ncols(&self) -> Result<usize> {
        self.blocks().map(|blocks| blocks.width as usize)
    }
}

impl<A: Element, D> Array<A, D> {
    /// Number of blocks.
    ///
    /// # Errors
    /// Of the first verb that was wrong.
    pub fn nblocks(&self) -> Result<usize> {
        self.blocks().map(|blocks| blocks.count as usize)
    }

    /// The length of the first axis, where it is known before a run: of what comes from a table it is not, if rows were not
    /// counted.
    ///
    /// # Errors
    /// Of the first verb that was wrong.
    pub fn known_len(&self) -> Result<Option<u64>> {
        self.blocks().map(|blocks| blocks.len)
    }
}

impl<A, D> fmt::Debug for Array<A, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = std::any::type_name::<A>();
        match &self.state {
            Err(error) => write!(f, "Array<{name}>: {error}"),
            Ok(blocks) => {
                let len = blocks.len.map_or("unknown until run".to_string(), |len| len.to_string());
                let shape = if blocks.width == 1 { len } else { format!("{len}, {}", blocks.width) };
                write!(f, "Array<{name}>: {}, shape ({shape}), {} blocks", blocks.node.node().label(), blocks.count)
            }
        }
    }
}
