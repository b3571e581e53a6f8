//! Reductions: all elements become one.

use super::plan::Op;
use super::{Array, Ix0, Ix1};
use crate::origin::Origin;

impl Array<f64, Ix1> {
    /// The number of elements, for arrays whose length is not known before a run.
    #[track_caller]
    pub fn count(&self) -> Array<u64, Ix0> {
        let origin = Origin::caller();
        Array::of(self.blocks().map(|blocks| blocks.reduced(Op::<f64>::Count, origin)))
    }

    /// The arithmetic mean; NaN where there are no elements.
    ///
    /// The same bits come out on any number of threads: blocks are reduced tile by tile and put together in a tree of
    /// fixed shape.
    #[track_caller]
    pub fn mean(&self) -> Array<f64, Ix0> {
        let origin = Origin::caller();
        Array::of(self.blocks().map(|blocks| blocks.reduced(Op::<f64>::Mean, origin)))
    }

    /// The standard deviation: the root of the summed squared differences from the mean, divided by the number of elements
    /// less `ddof`. NaN where there are not more elements than that.
    #[track_caller]
    pub fn std(&self, ddof: f64) -> Array<f64, Ix0> {
        let origin = Origin::caller();
        Array::of(self.blocks().map(|blocks| blocks.reduced(Op::<f64>::Std { ddof }, origin)))
    }
}
