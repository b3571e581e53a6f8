//! What stored arrays are to the engine: numbers that are read region by region, and places to which blocks are written.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::write::Staging;
use crate::error::{Error, Result};
use crate::store::{DType, NdBlock};

/// Numbers that lie somewhere, of which any region can be read.
pub(crate) trait BlockSource: Send + Sync {
    /// What it is, in a line; it names the path.
    fn label(&self) -> String;

    /// A text that is equal for sources that give the same numbers.
    fn key(&self) -> Option<String> {
        None
    }

    /// Lengths of the axes.
    fn shape(&self) -> &[usize];

    fn dtype(&self) -> DType;

    /// Lengths of the pieces in which it is read best, which begin at 0; 1 where it is all the same.
    fn natural(&self) -> &[usize];

    /// Whether a region may lie anywhere; otherwise it lies within a block that was asked for when the source was opened.
    fn is_free(&self) -> bool {
        true
    }

    /// How often more than once all of it may be read in a run, where otherwise it were held: that is no slower than what was
    /// written to disk meanwhile.
    fn times_again(&self) -> u32 {
        0
    }

    /// The numbers of a region that is not empty, and how many bytes of files were read for them.
    ///
    /// # Errors
    /// Where they cannot be read, or are not what the source promised.
    fn read(&self, region: &[Range<usize>]) -> Result<(NdBlock, u64)>;

    /// Bytes that reading a region of these lengths takes beside the block.
    fn need(&self, lens: &[usize]) -> u64;
}

/// Where the blocks of an array are put.
pub(crate) trait BlockTarget: Send + Sync {
    /// Makes the place, for one run.
    ///
    /// # Errors
    /// Where it cannot be made, or something stands there that must not be replaced.
    fn begin(&self) -> Result<Box<dyn OpenTarget>>;

    /// Bytes that writing a block of so many takes beside it.
    fn need(&self, block_bytes: u64) -> u64;
}

/// A place that is being written. Dropped before the end it leaves nothing, if it can.
pub(crate) trait OpenTarget: Send + Sync {
    /// Puts a block, which has a place on the grid of all, to its region; called once for each, by several threads. Gives how many bytes
    /// were written.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn write(&self, at: &[u32], region: &[Range<usize>], block: &NdBlock) -> Result<u64>;

    /// Says that all is written; gives where it stands.
    ///
    /// # Errors
    /// Where it cannot be put in place.
    fn finish(&self) -> Result<Vec<PathBuf>>;
}

/// A region in a line: `[0..10, 4..7]`.
pub(crate) fn shown_region(region: &[Range<usize>]) -> String {
    let axes: Vec<String> = region.iter().map(|range| format!("{}..{}", range.start, range.end)).collect();
    format!("[{}]", axes.join(", "))
}

/// The name that NumPy gives a type, without the order of its bytes.
pub(crate) fn numpy_name(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "b1",
        DType::I8 => "i1",
        DType::I16 => "i2",
        DType::I32 => "i4",
        DType::I64 => "i8",
        DType::U8 => "u1",
        DType::U16 => "u2",
        DType::U32 => "u4",
        DType::U64 => "u8",
        DType::F32 => "f4",
        DType::F64 => "f8",
        DType::C32 => "c8",
        DType::C64 => "c16",
    }
}

/// The text of NumPy's for a type, in the order of this machine.
pub(crate) fn numpy_descriptor(dtype: DType) -> String {
    let order = match dtype.bytes() {
        1 => "|",
        _ if cfg!(target_endian = "little") => "<",
        _ => ">",
    };
    format!("{order}{}", numpy_name(dtype))
}

/// Puts what was written in its place.
pub(crate) fn commit(staging: &Mutex<Option<Staging>>, durable: bool) -> Result<()> {
    let staging = staging.lock().unwrap_or_else(PoisonError::into_inner).take();
    staging.ok_or_else(|| Error::internal("an array is put in place twice"))?.commit(durable)
}

/// Tells of all runs of a region that lie together in an array by rows: at which element they begin; all have the length that is
/// returned.
pub(crate) fn runs<E>(
    shape: &[usize],
    region: &[Range<usize>],
    mut each: impl FnMut(usize) -> Result<(), E>,
) -> Result<usize, E> {
    let rank = shape.len();
    // Behind this axis all are whole.
    let whole = (0..rank).rev().take_while(|axis| region[*axis].len() == shape[*axis]).count();
    let outer = (rank - whole).saturating_sub(1);
    let len: usize = region[outer..].iter().map(ExactSizeIterator::len).product();
    let mut strides = vec![1usize; rank];
    for axis in (1..rank).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    let mut at: Vec<usize> = region.iter().map(|range| range.start).collect();
    if region.iter().any(|range| range.is_empty()) {
        return Ok(len);
    }
    loop {
        each(at.iter().zip(&strides).map(|(at, stride)| at * stride).sum())?;
        let Some(next) = (0..outer).rev().find(|axis| at[*axis] + 1 < region[*axis].end) else { return Ok(len) };
        at[next] += 1;
        for axis in next + 1..outer {
            at[axis] = region[axis].start;
        }
    }
}

/// Length of the runs of a region.
pub(crate) fn run_len(shape: &[usize], region: &[Range<usize>]) -> usize {
    let whole = (0..shape.len()).rev().take_while(|axis| region[*axis].len() == shape[*axis]).count();
    region[(shape.len() - whole).saturating_sub(1)..].iter().map(ExactSizeIterator::len).product()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_regions() {
        let found = |shape: &[usize], region: &[Range<usize>]| {
            let mut firsts = Vec::new();
            let len = runs(shape, region, |first| {
                firsts.push(first);
                Ok::<(), ()>(())
            });
            assert_eq!(len, Ok(run_len(shape, region)));
            (firsts, len.unwrap())
        };
        assert_eq!(found(&[3, 4, 5], &[0..3, 0..4, 0..5]), (vec![0], 60));
        assert_eq!(found(&[3, 4, 5], &[1..3, 0..4, 0..5]), (vec![20], 40));
        assert_eq!(found(&[3, 4, 5], &[1..3, 1..3, 0..5]), (vec![25, 45], 10));
        assert_eq!(found(&[3, 4, 5], &[0..2, 1..3, 2..4]), (vec![7, 12, 27, 32], 2));
        assert_eq!(found(&[], &[]), (vec![0], 1));
        assert_eq!(found(&[3, 0], &[0..3, 0..0]), (vec![], 0));
    }
}
