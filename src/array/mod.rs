//! Lazy arrays: blocks of numbers along any number of axes, computed block by block.
//!
//! Arrays are made of numbers in memory ([`from_vec`], [`from_ndarray`]), of nothing ([`zeros`], [`arange`], [`linspace`], [`eye`], [`random`]), of
//! files ([`read_npy`], [`read_npy_stack`], Zarr with feature `zarr`), of a source of yours ([`from_source`]) or of columns of a table
//! (`to_array`), and written to files or a target of yours block by block ([`Writer`]). Operators, functions, slices and views are lazy;
//! element by element they run as one program over tiles that stay in the processor's cache, together with the reduction or the function
//! that reads them. Reductions are lazy, too: one over all axes is an array without axes, computed to a plain number.

mod blocks;
mod chunks;
mod close;
mod compute;
mod counts;
mod create;
mod cumulative;
mod element;
mod index;
mod join;
mod kernels;
mod linalg;
mod lower;
mod many;
mod math;
mod operators;
mod optimize;
mod overlap;
mod own;
mod plan;
mod promote;
pub mod random;
mod reduce;
mod reshape;
mod select;
mod sizes;
mod stats;
mod storage;
mod stream;
mod tensor;
mod triangle;

use std::fmt;
use std::marker::PhantomData;

use crate::error::{Error, Result};
use crate::plan::{NodeRef, Poisoned};

pub use blocks::{BlockPlace, BlockShape, BlockValue, blockwise};
pub(crate) use blocks::{block as block_of, view as view_of};
pub use chunks::{AxisChunks, Chunks};
pub use close::Tolerance;
pub use compute::Rank;
pub use counts::{choose, histogramdd};
pub use create::{arange, eye, from_ndarray, from_vec, full, linspace, ones, ones_f64, zeros, zeros_f64};
pub(crate) use element::sealed::Sealed;
pub use element::{Element, Real};
pub use join::{Pad, block, concatenate, stack};
pub use linalg::Dot;
pub use many::{AnyArray, apply_gufunc, concatenate_as, map_blocks, stack_as};
pub use ndarray::{Axis, Ix0, Ix1, Ix2, Ix3, Ix4, Ix5, Ix6, IxDyn, s};
pub use num_complex::Complex;
pub use operators::{Choice, Operand};
pub use overlap::{Boundary, Depth};
pub(crate) use plan::{Blocks, Cuts, shown_shape};
pub use promote::Promote;
pub use stats::histogram_edges;
pub use storage::{ArraySource, ArrayTarget, IfExists, Writer, Written, from_source, read_npy, read_npy_stack};
#[cfg(feature = "zarr")]
pub use storage::{ZarrAny, ZarrCompression, ZarrFormat, read_zarr, read_zarr_any, read_zarr_with};
pub use stream::ArrayBlocks;
pub use tensor::einsum;
pub use triangle::{MaskAndValues, diag, select, tri};

/// An array of `A` with axes `D` that is not there yet.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let x = array::from_vec(vec![1.0, 2.0, 3.0, 6.0], 3);
/// let (mean, std) = compute((x.mean(), x.std(0.0)))?; // two f64, in one pass over x
/// assert_eq!((mean, std), (3.0, 3.5_f64.sqrt()));
/// assert_eq!(((&x + 1.0) * 2.0).compute()?, ndarray::arr1(&[4.0, 6.0, 8.0, 14.0]));
/// assert_eq!(format!("{x:?}"), "Array<f64>: from_vec, shape (4,), chunks (3,), 2 blocks, 32 B");
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[must_use = "an Array does nothing until it is computed"]
pub struct Array<A, D> {
    state: Result<Blocks>,
    type_of: PhantomData<fn() -> (A, D)>,
}

impl<A, D> Clone for Array<A, D> {
    fn clone(&self) -> Self {
        Array::of(self.state.clone())
    }
}

impl<A, D> Array<A, D> {
    /// An array of blocks, or what was wrong.
    pub(crate) fn of(state: Result<Blocks>) -> Array<A, D> {
        Array { state, type_of: PhantomData }
    }

    /// What is known of the array.
    pub(crate) fn planned(&self) -> Result<&Blocks> {
        self.state.as_ref().map_err(Error::clone)
    }

    /// The node of the plan; of a wrong one, one that gives its error.
    pub(crate) fn node(&self) -> NodeRef {
        match &self.state {
            Ok(blocks) => blocks.node.clone(),
            Err(error) => Poisoned::node(error.clone()),
        }
    }

    /// Number of axes.
    ///
    /// # Errors
    /// Of the first verb that was wrong, as all these.
    pub fn ndim(&self) -> Result<usize> {
        self.planned().map(Blocks::rank)
    }

    /// Lengths of the axes.
    ///
    /// # Errors
    /// Of kind `Plan`, where one of them is not known before a run: see [`Array::known_shape`].
    pub fn shape(&self) -> Result<Vec<usize>> {
        self.planned()?.known_shape()
    }

    /// Lengths of the axes, those that are known before a run.
    ///
    /// # Errors
    /// Of the first verb that was wrong.
    pub fn known_shape(&self) -> Result<Vec<Option<usize>>> {
        self.planned().map(Blocks::shape)
    }

    /// Number of elements.
    ///
    /// # Errors
    /// As [`Array::shape`].
    pub fn size(&self) -> Result<usize> {
        Ok(self.shape()?.iter().product())
    }

    /// Bytes of all elements.
    ///
    /// # Errors
    /// As [`Array::shape`].
    pub fn nbytes(&self) -> Result<u64> {
        Ok(self.size()? as u64 * self.planned()?.dtype.bytes() as u64)
    }

    /// Lengths of the blocks along each axis, those that are known before a run.
    ///
    /// # Errors
    /// Of the first verb that was wrong.
    pub fn chunks(&self) -> Result<Vec<Vec<Option<usize>>>> {
        Ok(self.planned()?.cuts.iter().map(Cuts::lens).collect())
    }

    /// Length of the longest block along each axis.
    ///
    /// # Errors
    /// As [`Array::shape`].
    pub fn chunksize(&self) -> Result<Vec<usize>> {
        let blocks = self.planned()?;
        blocks.known_shape()?;
        Ok(blocks.cuts.iter().filter_map(Cuts::most).collect())
    }

    /// Number of blocks along each axis.
    ///
    /// # Errors
    /// Of the first verb that was wrong.
    pub fn numblocks(&self) -> Result<Vec<usize>> {
        Ok(self.planned()?.cuts.iter().map(|cuts| cuts.blocks() as usize).collect())
    }

    /// Number of blocks.
    ///
    /// # Errors
    /// Of the first verb that was wrong.
    pub fn nblocks(&self) -> Result<usize> {
        self.planned().map(|blocks| blocks.count() as usize)
    }

    /// The length of the first axis, where it is known before a run: of what comes from a table it is not, if rows were not
    /// counted.
    ///
    /// # Errors
    /// Of the first verb that was wrong.
    pub fn known_len(&self) -> Result<Option<u64>> {
        self.planned().map(|blocks| blocks.cuts.first().and_then(Cuts::len).map(|len| len as u64))
    }
}

impl<A> Array<A, Ix2> {
    /// Length of the first axis.
    ///
    /// # Errors
    /// As [`Array::shape`].
    pub fn nrows(&self) -> Result<usize> {
        self.shape().map(|shape| shape[0])
    }

    /// Length of the second axis.
    ///
    /// # Errors
    /// As [`Array::shape`].
    pub fn ncols(&self) -> Result<usize> {
        let blocks = self.planned()?;
        let len = blocks.cuts.get(1).and_then(Cuts::len);
        len.map_or_else(|| self.shape().map(|shape| shape[1]), Ok)
    }
}

impl<A, D> fmt::Debug for Array<A, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            Err(error) => write!(f, "Array: {error}"),
            Ok(blocks) => {
                let (label, shape) = (blocks.node.node().label(), shown_shape(&blocks.cuts));
                let longest: Vec<String> = blocks
                    .cuts
                    .iter()
                    .map(|cuts| cuts.most().map_or("?".to_string(), |most| most.to_string()))
                    .collect();
                let chunks = match &longest[..] {
                    [only] => format!("({only},)"),
                    all => format!("({})", all.join(", ")),
                };
                write!(
                    f,
                    "Array<{}>: {label}, shape {shape}, chunks {chunks}, {} blocks",
                    blocks.dtype,
                    blocks.count()
                )?;
                match self.nbytes() {
                    Ok(bytes) => write!(f, ", {}", crate::error::human_bytes(bytes)),
                    Err(_) => Ok(()),
                }
            }
        }
    }
}
