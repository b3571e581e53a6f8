//! Arrays that are stored: read region by region from files and from sources of a program, and written block by block.

mod npy;
mod source;
mod write;
#[cfg(feature = "zarr")]
mod zarr;

pub use super::plan::Written;
pub use crate::formats::write::IfExists;
#[cfg(feature = "zarr")]
pub use crate::formats::zarr::{ZarrCompression, ZarrFormat};
pub use npy::{read_npy, read_npy_stack};
pub use source::{ArraySource, from_source};
pub use write::{ArrayTarget, Writer};
#[cfg(feature = "zarr")]
pub use zarr::{ZarrAny, read_zarr, read_zarr_any, read_zarr_with};

use std::sync::Arc;

use ndarray::Dimension;

use super::chunks::Chunks;
use super::element::Element;
use super::plan::{Blocks, Op, ReadOp};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::array::BlockSource;
use crate::origin::Origin;

/// An array of `A` that a source gives, with so many axes as `D` has.
///
/// # Errors
/// Of kind `Data`, where the source has other elements or axes; of kind `Plan`, where it cannot be cut so.
fn stored<A: Element, D: Dimension>(
    source: Arc<dyn BlockSource>,
    chunks: impl Into<Chunks>,
    verb: &'static str,
    origin: Origin,
) -> Result<Blocks> {
    let rank = source.shape().len();
    if let Some(wanted) = D::NDIM.filter(|wanted| *wanted != rank) {
        let text = format!("{} has {rank} axes, and an array of {wanted} is to be", source.label());
        return Err(Error::new(ErrorKind::Data, text));
    }
    let dtype = source.dtype();
    if dtype != A::DTYPE {
        let text = format!("{} holds {dtype}, and an array of {} is to be: `cast` converts", source.label(), A::DTYPE);
        return Err(Error::new(ErrorKind::Data, text));
    }
    let cuts = chunks.into().cuts_over(source.shape(), dtype, None, source.natural())?;
    Blocks::new(Op::Read(ReadOp::whole(source)), &[], dtype, cuts, verb, origin)
}
