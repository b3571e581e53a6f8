//! Arrays from `.npy` files and stacks of them.

use std::path::Path;
use std::sync::Arc;

use ndarray::Dimension;

use super::super::Array;
use super::super::chunks::{AxisChunks, Chunks};
use super::super::element::Element;
use super::stored;
use crate::error::{Result, Role};
use crate::formats::npy::NpyFile;
use crate::formats::npy::stack::NpyStack;
use crate::origin::Origin;

/// An array from a `.npy` file, by rows or by columns and in either order of bytes. Its header is read now, and numbers when they are
/// computed: of each block that is needed the part that is looked at.
///
/// # Errors
/// Of kind `Io`, where the file cannot be read; of kind `Data`, where it is no such file, is cut off, or holds other elements or another
/// number of axes than `A` and `D` say.
///
/// ```
/// use chunkwise::array::Ix2;
/// use chunkwise::prelude::*;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("x.npy");
/// array::eye::<f32>(1000, 1000, 0, -1).to_npy(&path).write()?;
/// let x = array::read_npy::<f32, Ix2>(&path, "auto")?;
/// assert_eq!(x.slice(s![..10, ..20]).sum().compute()?, 10.0); // reads 800 bytes
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn read_npy<A: Element, D: Dimension>(path: impl AsRef<Path>, chunks: impl Into<Chunks>) -> Result<Array<A, D>> {
    let origin = Origin::caller();
    let made = NpyFile::open(path.as_ref()).and_then(|file| stored::<A, D>(Arc::new(file), chunks, "read_npy", origin));
    made.map(|blocks| Array::of(Ok(blocks))).map_err(|error| error.frame(Role::In, "read_npy", origin))
}

/// An array from a directory of `.npy` files that stand together along an axis, as [`Array::to_npy_stack`] and Dask write it. Each file is a
/// block.
///
/// # Errors
/// As [`read_npy`]; what is wrong with single files comes out of the run.
#[track_caller]
pub fn read_npy_stack<A: Element, D: Dimension>(directory: impl AsRef<Path>) -> Result<Array<A, D>> {
    let origin = Origin::caller();
    let made = NpyStack::open(directory.as_ref()).and_then(|stack| {
        let (axis, lens) = stack.parts();
        let chunks = Chunks::axis(axis as isize, AxisChunks::Lens(lens));
        let others = (0..crate::formats::array::BlockSource::shape(&stack).len()).filter(|other| *other != axis);
        let chunks = others.fold(chunks, |chunks, other| chunks.and(other as isize, AxisChunks::Whole));
        stored::<A, D>(Arc::new(stack), chunks, "read_npy_stack", origin)
    });
    made.map(|blocks| Array::of(Ok(blocks))).map_err(|error| error.frame(Role::In, "read_npy_stack", origin))
}
