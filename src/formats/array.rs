//! What stored arrays are to the engine: numbers that are read region by region, and places to which blocks are written.

use std::ops::Range;
use std::path::PathBuf;

use crate::error::Result;
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
