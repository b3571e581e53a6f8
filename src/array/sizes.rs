//! Lengths that are not known before a run: finding them.

use ndarray::{Dimension, Ix2};

use super::Array;
use super::blocks::{Mapped, as_cut, at_line, only};
use super::element::Element;
use super::plan::{Blocks, Cuts, coords};
use crate::error::{Error, ErrorKind, Result, Role};
use crate::origin::Origin;
use crate::runtime::{Compute, Persist};
use crate::store::{Block, DType, Data, NdBlock};

impl<A: Element, D: Dimension + 'static> Array<A, D> {
    /// The array with lengths that are all known: it is computed and [kept](Persist::persist), and its blocks are looked at. Of one whose lengths
    /// are known nothing is computed.
    ///
    /// # Errors
    /// What computing it gives; of kind `Data`, where blocks beside each other differ in length.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::arange(0, 10, 1, 4);
    /// let even = x.extract(&(&x % 2).eq(0)).compute_chunk_sizes()?;
    /// assert_eq!(even.chunks()?, [[Some(2), Some(2), Some(1)]]);
    /// assert_eq!(even.slice(s![..;-1]).compute()?, ndarray::arr1(&[8, 6, 4, 2, 0]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn compute_chunk_sizes(&self) -> Result<Array<A, D>> {
        let (verb, origin) = ("compute_chunk_sizes", Origin::caller());
        if self.planned()?.cuts.iter().all(|cuts| cuts.known().is_some()) {
            return Ok(self.clone());
        }
        let kept = self.persist()?;
        let blocks = kept.planned()?;
        let found = || {
            let (grid, takes) = as_cut(blocks);
            let (rank, lens) = (blocks.rank(), grid.clone());
            let cuts = vec![Cuts::even(grid.iter().product::<u32>() as usize, 1), Cuts::whole(rank)];
            let mapped = Mapped { verb, origin, inputs: vec![blocks], grid, takes: vec![takes], cuts, key: None };
            let shapes = mapped.of_type(DType::I64, None, move |given, _| {
                let shape: Vec<i64> = only(given)?.shape().iter().map(|len| *len as i64).collect();
                NdBlock::new([1, rank], Data::I64(Block::from_vec(shape)))
            });
            let shapes: Array<i64, Ix2> = at_line(shapes, verb, origin);
            let shapes = shapes.compute()?;
            // The blocks that stand first along all other axes tell the lengths; all others have the same.
            let mut axes: Vec<Vec<Option<usize>>> = lens.iter().map(|len| vec![None; *len as usize]).collect();
            for (index, shape) in shapes.rows().into_iter().enumerate() {
                let at = coords(index as u32, lens.iter().copied());
                for ((axis, place), len) in axes.iter_mut().zip(at).zip(shape) {
                    let len = usize::try_from(*len).unwrap_or(0);
                    if *axis[place as usize].get_or_insert(len) != len {
                        let text = "blocks that stand beside each other differ in length";
                        return Err(Error::new(ErrorKind::Data, text));
                    }
                }
            }
            let cuts = axes.into_iter().map(|lens| Cuts::of(lens.into_iter().flatten())).collect();
            let step = blocks.step();
            let step = step.ok_or_else(|| Error::internal("an array that was kept is none"))?;
            let kept = step.inputs.first().ok_or_else(|| Error::internal("blocks that were not kept"))?;
            Blocks::outside(kept.node.clone(), blocks.dtype, cuts, verb, origin)
        };
        found().map(|blocks| Array::of(Ok(blocks))).map_err(|error: Error| error.frame(Role::In, verb, origin))
    }
}
