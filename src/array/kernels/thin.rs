//! Blocks out of parts of others.

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

/// Of each axis of a block the first element and every one that lies a number of steps further, so many of them.
///
/// # Errors
/// Of kind `Internal`, where the block has fewer.
pub(crate) fn thinned(block: &NdBlock, lens: &[usize], steps: &[usize]) -> Result<NdBlock> {
    fn pick<T: Lane + Stored>(block: &NdBlock, lens: &[usize], steps: &[usize]) -> Result<Block<T>> {
        let (from, short) = (block.get::<T>()?, || Error::internal("a block is thinner than what is taken of it"));
        let mut strides = vec![1usize; lens.len()];
        for axis in (1..lens.len()).rev() {
            strides[axis - 1] = strides[axis] * block.shape()[axis];
        }
        let (row, by) = (lens.last().copied().unwrap_or(1), steps.last().copied().unwrap_or(1));
        let mut at = vec![0usize; lens.len().saturating_sub(1)];
        Block::try_build(lens.iter().product(), |out| {
            for out in out.chunks_exact_mut(row.max(1)) {
                let first: usize =
                    at.iter().zip(steps).zip(&strides).map(|((at, step), stride)| at * step * stride).sum();
                let values = from.get(first..first + (row - 1) * by + 1).ok_or_else(short)?;
                out.iter_mut().zip(values.iter().step_by(by)).for_each(|(out, value)| *out = *value);
                for axis in (0..at.len()).rev() {
                    at[axis] += 1;
                    if at[axis] < lens[axis] {
                        break;
                    }
                    at[axis] = 0;
                }
            }
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
