//! Blocks out of parts of others.

use ndarray::{ArrayView, ArrayViewMut, AxisDescription, IxDyn, Slice};

use super::program::with_lane;
use super::steps::Lane;
use crate::error::{Error, Result};
use crate::store::{Block, DType, NdBlock, Stored};

/// A block of no elements.
///
/// # Errors
/// Of kind `Internal`, where the shape has some.
pub(crate) fn empty(shape: Vec<usize>, dtype: DType) -> Result<NdBlock> {
    let data = with_lane!(dtype, T => T::wrap(Block::<T>::default()));
    NdBlock::new(shape, if dtype == DType::Bool { data.into_bools() } else { data })
}

/// Of each axis of a block the first element and every one that lies a number of steps further, which are so many.
///
/// # Errors
/// Of kind `Internal`, where they are more or fewer.
pub(crate) fn thinned(block: &NdBlock, lens: &[usize], steps: &[usize]) -> Result<NdBlock> {
    fn pick<T: Lane + Stored>(block: &NdBlock, lens: &[usize], steps: &[usize]) -> Result<Block<T>> {
        let thinner = || Error::internal("a block is thinner than what is taken of it");
        let from = ArrayView::from_shape(IxDyn(block.shape()), block.get::<T>()?).map_err(|_| thinner())?;
        let step = |axis: AxisDescription| Slice::new(0, None, steps[axis.axis.index()] as isize);
        let thin = from.slice_each_axis(step);
        if thin.shape() != lens {
            return Err(thinner());
        }
        Block::try_build(lens.iter().product(), |out| {
            ArrayViewMut::from_shape(IxDyn(lens), out).map_err(|_| thinner())?.assign(&thin);
            Ok(())
        })
    }
    let dtype = block.data().dtype();
    let data = with_lane!(dtype, T => T::wrap(pick::<T>(block, lens, steps)?));
    NdBlock::new(lens, if dtype == DType::Bool { data.into_bools() } else { data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_second_of_a_few() {
        let block = NdBlock::new([3, 4], i32::wrap((0..12).collect::<Vec<i32>>().into())).unwrap();
        let thin = thinned(&block, &[2, 2], &[2, 3]).unwrap();
        assert_eq!((thin.shape(), &thin.get::<i32>().unwrap()[..]), (&[2, 2][..], &[0, 3, 8, 11][..]));
        assert!(thinned(&block, &[2, 3], &[2, 3]).is_err());
        assert_eq!(empty(vec![0, 3], DType::Bool).unwrap().data().dtype(), DType::Bool);
    }
}
