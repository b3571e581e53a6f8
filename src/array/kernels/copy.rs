//! Blocks put together of places of others.

use super::program::with_lane;
use super::steps::Lane;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Block, DType, Data, NdBlock};

/// A block of places along an axis of others, which are as long along all other axes: of each the number of the piece, and the place in it.
///
/// # Errors
/// Of kind `Internal`, where pieces do not fit together or a place is not there.
pub(crate) fn copy_rows(pieces: &[&NdBlock], axis: usize, rows: &[(usize, usize)]) -> Result<NdBlock> {
    let first = pieces.first().ok_or_else(|| Error::internal("a block of no pieces"))?;
    let mut shape = first.shape().to_vec();
    let fits = |piece: &&NdBlock| {
        piece.data().dtype() == first.data().dtype()
            && piece.shape().len() == shape.len()
            && piece.shape().iter().zip(&shape).enumerate().all(|(at, (len, other))| at == axis || len == other)
    };
    if axis >= shape.len() || !pieces.iter().all(fits) {
        return Err(Error::internal("pieces of a block do not fit together"));
    }
    let (outer, inner) = (shape[..axis].iter().product::<usize>(), shape[axis + 1..].iter().product::<usize>());
    shape[axis] = rows.len();
    let dtype = first.data().dtype();
    let data = with_lane!(dtype, T => copied::<T>(pieces, axis, rows, outer, inner)?);
    NdBlock::new(shape, if dtype == DType::Bool { data.into_bools() } else { data })
}

fn copied<T: Lane>(
    pieces: &[&NdBlock],
    axis: usize,
    rows: &[(usize, usize)],
    outer: usize,
    inner: usize,
) -> Result<Data> {
    let mut all = Vec::with_capacity(pieces.len());
    for piece in pieces {
        all.push((&piece.get::<T>()?[..], piece.shape()[axis]));
    }
    let missing = || Error::internal("a place outside of its piece");
    let block = Block::<T>::try_build::<Error>(outer * rows.len() * inner, |out| {
        let mut to = out.chunks_exact_mut(inner.max(1));
        for before in 0..if inner == 0 { 0 } else { outer } {
            for (piece, place) in rows {
                let (values, len) = all.get(*piece).ok_or_else(missing)?;
                let from = (before * len + place) * inner;
                let values = values.get(from..from + inner).ok_or_else(missing)?;
                to.next().ok_or_else(missing)?.copy_from_slice(values);
            }
        }
        Ok(())
    })?;
    Ok(T::wrap(block))
}

/// The places along an axis for which a mask of bytes is true.
///
/// # Errors
/// Of kind `Internal`, where the mask is as long as nothing else.
pub(crate) fn keep_places(block: &NdBlock, axis: usize, mask: &NdBlock) -> Result<NdBlock> {
    let mask: &[u8] = mask.get::<u8>()?;
    if block.shape().get(axis) != Some(&mask.len()) {
        let len = block.shape().get(axis).copied().unwrap_or(0);
        let text = format!("a block of a mask has {} places, and the one it is for {len}", mask.len());
        return Err(Error::new(ErrorKind::Data, text));
    }
    let rows: Vec<(usize, usize)> =
        mask.iter().enumerate().filter(|(_, kept)| **kept != 0).map(|(at, _)| (0, at)).collect();
    copy_rows(&[block], axis, &rows)
}

/// Where elements are not zero: a row for each, with its place along each axis, from `starts` on.
///
/// # Errors
/// None that can be.
pub(crate) fn places_kept(block: &NdBlock, starts: &[usize]) -> Result<NdBlock> {
    let dtype = block.data().dtype();
    let found: Vec<usize> = with_lane!(dtype, T => {
        let values = block.get::<T>()?;
        values.iter().enumerate().filter(|(_, value)| value.is_true()).map(|(at, _)| at).collect()
    });
    let rank = block.shape().len();
    let mut places = Vec::with_capacity(found.len() * rank);
    for at in &found {
        let (from, mut rest) = (places.len(), *at);
        places.resize(from + rank, 0i64);
        for axis in (0..rank).rev() {
            let len = block.shape()[axis];
            places[from + axis] = (rest % len + starts.get(axis).copied().unwrap_or(0)) as i64;
            rest /= len;
        }
    }
    NdBlock::new([found.len(), rank], Data::I64(Block::from_vec(places)))
}
