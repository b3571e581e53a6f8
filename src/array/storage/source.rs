//! A program's own source of an array.

use std::error::Error as StdError;
use std::ops::Range;
use std::sync::Arc;

use ndarray::{ArrayD, Dimension};

use super::super::Array;
use super::super::chunks::Chunks;
use super::super::create::by_rows;
use super::super::element::Element;
use super::stored;
use crate::error::{Error, ErrorKind, Result, Role};
use crate::formats::array::BlockSource;
use crate::origin::Origin;
use crate::store::{DType, NdBlock};

/// An array that a program reads by itself, region by region; see [`from_source`].
pub trait ArraySource<A: Element>: Send + Sync + 'static {
    /// Lengths of the axes. It is asked for once.
    fn shape(&self) -> Vec<usize>;

    /// The elements of a region, which is given along each axis and holds at least one. It may be asked for any region, several times and by
    /// several threads, and gives the same each time.
    ///
    /// # Errors
    /// What goes wrong. It comes out of the run with the region.
    fn read_block(&self, region: &[Range<usize>]) -> Result<ArrayD<A>, Box<dyn StdError + Send + Sync>>;

    /// Lengths of the pieces in which it is stored, from the first place on, where it is best read piece by piece. It is asked for once.
    fn chunk_shape(&self) -> Option<Vec<usize>> {
        None
    }

    /// What it is called in plans and errors. It is asked for once.
    fn label(&self) -> String {
        "a source of the program".to_string()
    }

    /// Bytes that reading a region of these lengths takes beside the elements themselves, at most.
    fn need(&self, lens: &[usize]) -> u64 {
        let _ = lens;
        0
    }
}

/// A program's own source to the engine.
struct UserBlocks<A, S> {
    source: S,
    label: String,
    shape: Vec<usize>,
    natural: Vec<usize>,
    type_of: std::marker::PhantomData<fn() -> A>,
}

impl<A: Element, S: ArraySource<A>> BlockSource for UserBlocks<A, S> {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn dtype(&self) -> DType {
        A::DTYPE
    }

    fn natural(&self) -> &[usize] {
        &self.natural
    }

    fn read(&self, region: &[Range<usize>]) -> Result<(NdBlock, u64)> {
        let array = self.source.read_block(region).map_err(Error::from_user)?;
        let shape = array.shape().to_vec();
        Ok((NdBlock::new(shape, by_rows(array))?, 0))
    }

    fn need(&self, lens: &[usize]) -> u64 {
        self.source.need(lens)
    }
}

/// An array that a program's own source gives: any file, service or computation that can give regions of it.
///
/// Each block is read by a task of its own. Slices are brought to the source: what nobody looks at is not asked for, not even within a
/// block. What only reductions see is asked for in blocks of about 4 MiB. Where `chunks` leaves lengths to the library, blocks are
/// whole pieces of [`ArraySource::chunk_shape`].
///
/// # Errors
/// At compute, of kind `Data`, where the source has not so many axes as the result, or gives another shape than it was asked for; of kind `Task`, with what it returns, unless that is an error of this library.
///
/// ```
/// use std::ops::Range;
/// use chunkwise::array::{ArraySource, Ix2};
/// use chunkwise::prelude::*;
///
/// /// A table of products.
/// struct Products;
///
/// impl ArraySource<u64> for Products {
///     fn shape(&self) -> Vec<usize> {
///         vec![1000, 1000]
///     }
///
///     fn read_block(&self, region: &[Range<usize>]) -> Result<ndarray::ArrayD<u64>, Box<dyn std::error::Error + Send + Sync>> {
///         let lens: Vec<usize> = region.iter().map(|range| range.len()).collect();
///         let product = |at: ndarray::IxDyn| (region[0].start + at[0]) as u64 * (region[1].start + at[1]) as u64;
///         Ok(ndarray::ArrayD::from_shape_fn(lens, product))
///     }
/// }
///
/// let x: Array<u64, Ix2> = array::from_source(Products, (100, 100));
/// let corner = x.slice(s![990.., ..;999]); // asks for 10 rows of two blocks
/// assert_eq!(corner.sum().compute()?, (990..1000).sum::<u64>() * 999);
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[track_caller]
pub fn from_source<A: Element, D: Dimension>(source: impl ArraySource<A>, chunks: impl Into<Chunks>) -> Array<A, D> {
    let origin = Origin::caller();
    let made = || {
        let (shape, label) = (source.shape(), source.label());
        let natural = source.chunk_shape().unwrap_or_else(|| vec![1; shape.len()]);
        if natural.len() != shape.len() || natural.contains(&0) {
            let text = format!("{label} of the shape {shape:?} has pieces of the shape {natural:?}");
            return Err(Error::new(ErrorKind::Plan, text));
        }
        let blocks = UserBlocks { source, label, shape, natural, type_of: std::marker::PhantomData };
        stored::<A, D>(Arc::new(blocks), chunks, "from_source", origin)
    };
    Array::of(made().map_err(|error| error.frame(Role::In, "from_source", origin)))
}
