//! Functions of whole blocks.

use std::sync::Arc;

use ndarray::{ArrayView, Dimension, IxDyn};

use super::Array;
use super::create::by_rows;
use super::element::Element;
use super::plan::{Blocks, Op, UserMap};
use crate::error::{Error, ErrorKind, Result, Role};
use crate::origin::Origin;
use crate::store::NdBlock;

/// A block as ndarray sees it.
fn view<A: Element, D: Dimension>(block: &NdBlock) -> Result<ArrayView<'_, A, D>> {
    let values = A::slice(block.get::<A::Stored>()?)?;
    let view = ArrayView::from_shape(IxDyn(block.shape()), values);
    let view = view.ok().and_then(|view| view.into_dimensionality().ok());
    view.ok_or_else(|| Error::internal(format!("a block of the shape {:?} has other axes", block.shape())))
}

/// An array of ndarray's as a block, by rows.
fn block<B: Element, D: Dimension>(array: ndarray::Array<B, D>) -> Result<NdBlock> {
    let shape = array.shape().to_vec();
    NdBlock::new(shape, by_rows(array))
}

impl<A: Element, D: Dimension + 'static> Array<A, D> {
    /// What a function makes of each block, of the same shape.
    ///
    /// The function sees one block at a time and nothing of its neighbours; what it allocates is not counted.
    ///
    /// # Errors
    /// At compute, of kind `Data`, where it gives another shape.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::arange(0, 6, 1, 3);
    /// let back = x.map_blocks(|block| block.iter().rev().map(|n| f64::from(*n)).collect::<ndarray::Array1<f64>>());
    /// assert_eq!(back.compute()?.to_vec(), [2.0, 1.0, 0.0, 5.0, 4.0, 3.0]);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn map_blocks<B: Element>(
        &self,
        function: impl Fn(ArrayView<'_, A, D>) -> ndarray::Array<B, D> + Send + Sync + 'static,
    ) -> Array<B, D> {
        let origin = Origin::caller();
        let run = move |given: &[NdBlock], _: &[u32]| {
            let [given] = given else { return Err(Error::internal("a function of one block with several")) };
            let made = function(view::<A, D>(given)?);
            if made.shape() != given.shape() {
                let text = format!("map_blocks made the shape {:?} of a block of {:?}", made.shape(), given.shape());
                return Err(Error::new(ErrorKind::Data, text));
            }
            block(made)
        };
        let made = || {
            let blocks = self.blocks()?;
            let most = blocks.cuts.iter().filter_map(super::Cuts::most).product::<usize>();
            let need = (most * B::DTYPE.bytes()) as u64;
            let op = Op::Map(UserMap { function: Arc::new(run), need });
            Blocks::new(op, &[blocks], B::DTYPE, blocks.cuts.clone(), "map_blocks", origin)
        };
        Array::of(made().map_err(|error: Error| error.frame(Role::In, "map_blocks", origin)))
    }
}
