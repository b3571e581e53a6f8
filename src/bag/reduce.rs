//! Reductions: counts of items.

use std::any::Any;
use std::hash::Hash;

use super::Bag;
use super::plan::{Counted, Items, Op, Step};
use crate::origin::Origin;
use crate::plan::{NodeRef, Poisoned};
use crate::runtime::Scalar;

impl<T: Any + Send + Sync> Bag<T> {
    /// The number of items.
    #[track_caller]
    pub fn count(&self) -> Scalar<u64> {
        let origin = Origin::caller();
        match self.items() {
            Ok(items) => Scalar::of(NodeRef::new(Counted(Step::<T>::new(Op::Count, items, origin)))),
            Err(error) => Scalar::of(Poisoned::node(error)),
        }
    }
}

impl<T: Any + Send + Sync + Clone + Ord + Hash> Bag<T> {
    /// Each distinct item with the number of its occurrences, in one partition: the most frequent first, equally frequent
    /// ones in ascending order.
    ///
    /// # Memory
    /// The distinct items of each partition, then of all of them, are held in memory.
    #[track_caller]
    pub fn frequencies(&self) -> Bag<(T, u64)> {
        let origin = Origin::caller();
        Bag::of(self.items().map(|items| Items::new(1, Step::<T>::new(Op::Frequencies, items, origin))))
    }
}
