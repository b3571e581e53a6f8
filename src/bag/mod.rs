//! Lazy bags: any Rust values in partitions, computed partition by partition.

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

pub use create::from_vec;
pub(crate) use plan::Items;

/// Values of type `T` that are not there yet.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let letters = bag::from_vec("mississippi".chars().collect(), 3);
/// let counts = letters.frequencies();
/// let (counts, distinct) = compute((&counts, counts.count()))?;
/// assert_eq!(counts, [('i', 4), ('s', 4), ('p', 2), ('m', 1)]);
/// assert_eq!(distinct, 4);
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[must_use = "a Bag does nothing until it is computed"]
pub struct Bag<T> {
    state: Result<Items>,
    type_of: PhantomData<fn() -> T>,
}

impl<T> Clone for Bag<T> {
    fn clone(&self) -> Self {
        Bag::of(self.state.clone())
    }
}

impl<T> Bag<T> {
    /// A bag of partitions, or what was wrong.
    pub(crate) fn of(state: Result<Items>) -> Bag<T> {
        Bag { state, type_of: PhantomData }
    }

    pub(crate) fn items(&self) -> Result<&Items> {
        self.state.as_ref().map_err(Error::clone)
    }

    /// The node of the plan; of a wrong one, one that gives its error.
    pub(crate) fn node(&self) -> NodeRef {
        match &self.state {
            Ok(items) => items.node.clone(),
            Err(error) => Poisoned::node(error.clone()),
        }
    }

    /// Number of partitions.
    ///
    /// # Errors
    /// Of the first verb that was wrong.
    pub fn npartitions(&self) -> Result<usize> {
        self.items().map(|items| items.partitions as usize)
    }
}

impl<T> fmt::Debug for Bag<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = std::any::type_name::<T>();
        match &self.state {
            Ok(items) => write!(f, "Bag<{name}>: {}, {} partitions", items.node.node().label(), items.partitions),
            Err(error) => write!(f, "Bag<{name}>: {error}"),
        }
    }
}
