//! Blocks one by one, computed as they are pulled.

use std::marker::PhantomData;

use ndarray::Dimension;

use super::Array;
use super::blocks::{BlockPlace, view};
use super::element::Element;
use super::plan::{Cuts, coords};
use crate::error::Result;
use crate::graph::Chunk;
use crate::origin::Origin;
use crate::runtime::Stream;
use crate::store::NdBlock;

/// The blocks of an array, computed as they are pulled: see [`Array::blocks`].
pub struct ArrayBlocks<A, D> {
    pieces: Stream,
    cuts: std::sync::Arc<[Cuts]>,
    next: u32,
    type_of: PhantomData<fn() -> (A, D)>,
}

impl<A: Element, D: Dimension> Array<A, D> {
    /// The blocks in their order by rows, each with where it stands: computed as they are pulled, ahead as far as memory is there. Dropping the
    /// iterator cancels the run.
    ///
    /// # Errors
    /// What is wrong with the plan; what computing a block gives comes out with it.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::arange(0, 10, 1, 4);
    /// for block in (&x * 2).blocks()? {
    ///     let (place, block) = block?;
    ///     assert_eq!(block[0], 2 * place.start[0] as i32);
    /// }
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn blocks(&self) -> Result<ArrayBlocks<A, D>> {
        let origin = Origin::caller();
        let cuts = self.planned()?.cuts.clone();
        let pieces = Stream::start_all(&self.node(), "blocks", origin)?;
        Ok(ArrayBlocks { pieces, cuts, next: 0, type_of: PhantomData })
    }
}

impl<A: Element, D: Dimension> Iterator for ArrayBlocks<A, D> {
    type Item = Result<(BlockPlace, ndarray::Array<A, D>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let block = match self.pieces.next()?.and_then(Chunk::take_or_clone::<NdBlock>) {
            Ok(block) => block,
            Err(error) => return Some(Err(error)),
        };
        let at = coords(self.next, self.cuts.iter().map(Cuts::blocks));
        self.next += 1;
        let start = at.iter().zip(self.cuts.iter()).map(|(at, cuts)| cuts.known().map_or(0, |cuts| cuts[*at as usize]));
        let place = BlockPlace { start: start.collect(), index: at.iter().map(|at| *at as usize).collect() };
        Some(view::<A, D>(&block).map(|view| (place, view.to_owned())))
    }
}
