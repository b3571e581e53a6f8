//! Arrays from Zarr and to it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::{Dimension, IxDyn, SliceInfoElem};
use num_complex::Complex;

use super::super::Array;
use super::super::chunks::Chunks;
use super::super::element::Element;
use super::super::plan::{AxisMap, Blocks, Cuts, Op, View, plan};
use super::stored;
use super::write::{Target, Writer};
use crate::error::{Result, Role};
use crate::formats::array::{BlockSource, BlockTarget};
use crate::formats::write::IfExists;
use crate::formats::zarr::{ZarrArray, ZarrCompression, ZarrFormat, ZarrRegion, ZarrTarget};
use crate::origin::Origin;
use crate::store::DType;

/// Bytes of blocks that nobody asked for: they go through small limits, and tasks of as many take far longer than to call them.
const BLOCK_BYTES: u64 = 16 << 20;

/// How an array is written.
#[derive(Clone, Default)]
pub(super) struct ZarrOptions {
    format: Option<ZarrFormat>,
    compression: Option<ZarrCompression>,
    chunks: Option<Chunks>,
    region: Option<Vec<SliceInfoElem>>,
}

/// An array in Zarr, of version 2 or 3: a directory, which may lie in a group. What describes it is read now, and chunks when they are
/// computed. Chunks that are not there are the fill value.
///
/// Blocks are whole chunks, so many that they have about 16 MiB; of shards whole inner chunks. [`read_zarr_with`] cuts them in another way:
/// what is computed of a block has to fit into the memory limit.
///
/// # Errors
/// Of kind `Io`, where it cannot be read; of kind `Data`, where it is no array, cannot be understood, or holds other elements or another number
/// of axes than `A` and `D` say; of kind `Unsupported`, where its chunks are not all of one size.
///
/// ```
/// use chunkwise::array::Ix2;
/// use chunkwise::prelude::*;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("x.zarr");
/// let x = array::eye::<f32>(1000, 1000, 0, 100);
/// x.to_zarr(&path).write()?;
/// let back = array::read_zarr::<f32, Ix2>(&path)?;
/// assert_eq!(back.slice(s![..150, ..]).sum().compute()?, 150.0); // reads 20 of 100 chunks
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn read_zarr<A: Element, D: Dimension>(path: impl AsRef<Path>) -> Result<Array<A, D>> {
    open(path.as_ref(), Chunks::bytes(BLOCK_BYTES), "read_zarr", Origin::caller())
}

/// As [`read_zarr`], cut into given blocks. Where these are no whole chunks, a chunk is read by several tasks.
///
/// # Errors
/// As there; of kind `Plan`, where `chunks` do not fit.
#[track_caller]
pub fn read_zarr_with<A: Element, D: Dimension>(
    path: impl AsRef<Path>,
    chunks: impl Into<Chunks>,
) -> Result<Array<A, D>> {
    open(path.as_ref(), chunks.into(), "read_zarr_with", Origin::caller())
}

/// An array in Zarr whose elements and axes are not known when the program is compiled.
///
/// # Errors
/// As [`read_zarr`], but for the elements and axes.
///
/// ```
/// use chunkwise::array::ZarrAny;
/// use chunkwise::prelude::*;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("x.zarr");
/// array::eye::<f32>(100, 100, 0, 50).to_zarr(&path).write()?;
/// let sum = match array::read_zarr_any(&path)? {
///     ZarrAny::F32(x) => f64::from(x.sum().compute()?),
///     ZarrAny::F64(x) => x.sum().compute()?,
///     other => panic!("{} were not expected", other.dtype()),
/// };
/// assert_eq!(sum, 100.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn read_zarr_any(path: impl AsRef<Path>) -> Result<ZarrAny> {
    let (verb, origin) = ("read_zarr_any", Origin::caller());
    let made = || {
        let array = Arc::new(ZarrArray::open(path.as_ref())?);
        let dtype = array.dtype();
        ZarrAny::stored(array, dtype, verb, origin)
    };
    made().map_err(|error| error.frame(Role::In, verb, origin))
}

macro_rules! any_type {
    ($($variant:ident $type:ty;)+) => {
        /// An array of Zarr with the elements that it has: see [`read_zarr_any`].
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub enum ZarrAny {$(
            #[doc = concat!("Of `", stringify!($type), "`.")]
            $variant(Array<$type, IxDyn>),
        )+}

        impl ZarrAny {
            fn stored(array: Arc<ZarrArray>, dtype: DType, verb: &'static str, origin: Origin) -> Result<ZarrAny> {
                Ok(match dtype {$(
                    DType::$variant => {
                        let blocks = stored::<$type, IxDyn>(array, Chunks::bytes(BLOCK_BYTES), verb, origin)?;
                        ZarrAny::$variant(Array::of(Ok(blocks)))
                    }
                )+})
            }

            /// The name of the type of its elements.
            pub fn dtype(&self) -> &'static str {
                match self {$(
                    ZarrAny::$variant(_) => DType::$variant.name(),
                )+}
            }
        }
    };
}

any_type! {
    Bool bool;
    I8 i8;
    I16 i16;
    I32 i32;
    I64 i64;
    U8 u8;
    U16 u16;
    U32 u32;
    U64 u64;
    F32 f32;
    F64 f64;
    C32 Complex<f32>;
    C64 Complex<f64>;
}

fn open<A: Element, D: Dimension>(
    path: &Path,
    chunks: Chunks,
    verb: &'static str,
    origin: Origin,
) -> Result<Array<A, D>> {
    let made = ZarrArray::open(path).and_then(|array| stored::<A, D>(Arc::new(array), chunks, verb, origin));
    made.map(|blocks| Array::of(Ok(blocks))).map_err(|error| error.frame(Role::In, verb, origin))
}

impl<A: Element, D: Dimension> Array<A, D> {
    /// Writes a Zarr array, a directory; each block is a chunk of it, unless [`Writer::chunks`] says otherwise, or several: where the last block
    /// is shorter and a part of the others, chunks are as long as that, for it would be stored as long as they are. Chunks have to be of one
    /// size: blocks that are not are cut in another way first.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where lengths are not known or something else stands at the path.
    ///
    /// ```
    /// use chunkwise::array::{Ix2, ZarrCompression, ZarrFormat};
    /// use chunkwise::prelude::*;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("x.zarr");
    /// let x = array::zeros_f64((300, 300), 100);
    /// x.to_zarr(&path).zarr_format(ZarrFormat::V2).compression(ZarrCompression::Gzip(5)).write()?;
    /// // The last rows become ones.
    /// array::ones_f64((10, 300), 50).to_zarr(&path).region(s![290.., ..]).write()?;
    /// assert_eq!(array::read_zarr::<f64, Ix2>(&path)?.sum().compute()?, 3000.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn to_zarr(&self, path: impl AsRef<Path>) -> Writer {
        let to = Target::Zarr(path.as_ref().to_path_buf(), ZarrOptions::default());
        self.writer(to, "to_zarr", Origin::caller())
    }
}

impl Writer {
    fn zarr(mut self, option: &str, set: impl FnOnce(&mut ZarrOptions)) -> Writer {
        match &mut self.to {
            Target::Zarr(_, options) => set(options),
            _ => return self.misfit(option),
        }
        self
    }

    /// Which version of Zarr is written; 3 by default.
    pub fn zarr_format(self, format: ZarrFormat) -> Writer {
        self.zarr("zarr_format", |options| options.format = Some(format))
    }

    /// How chunks of Zarr are compressed; by Zstandard by default.
    pub fn compression(self, compression: ZarrCompression) -> Writer {
        self.zarr("compression", |options| options.compression = Some(compression))
    }

    /// How a Zarr array is cut into chunks, which are of one size; blocks that are no whole chunks are cut in another way first.
    pub fn chunks(self, chunks: impl Into<Chunks>) -> Writer {
        let chunks = chunks.into();
        self.zarr("chunks", |options| options.chunks = Some(chunks))
    }

    /// Writes into a part of a Zarr array that is there, as ndarray's `s![]` says it, with steps of 1. Chunks that are written in part
    /// keep the rest. The array is changed in its place: after an error some chunks may be new and others not, and who reads it meanwhile sees
    /// both.
    pub fn region(self, region: impl AsRef<[SliceInfoElem]>) -> Writer {
        let region = region.as_ref().to_vec();
        self.zarr("region", |options| options.region = Some(region))
    }
}

/// Chunks are not made smaller than this for the sake of the last ones.
const LEAST_CHUNK_BYTES: u64 = 4 << 20;

/// The length of the parts of an axis, where all have one, and the last one no more.
fn regular(cuts: &Cuts) -> Option<usize> {
    let (known, most) = (cuts.known()?, cuts.most()?);
    let lens: Vec<usize> = known.windows(2).map(|two| two[1] - two[0]).collect();
    let (last, others) = lens.split_last()?;
    (others.iter().all(|len| *len == most) && (*last > 0 || others.is_empty())).then_some(most)
}

/// Cuts of which each lies between two chunks, where the first element lies at an offset of them; as they are, if they do.
fn aligned(cuts: &Cuts, offset: usize, chunk: usize) -> Cuts {
    let (known, len) = (cuts.known().unwrap_or(&[]), cuts.len().unwrap_or(0));
    let is_between = |cut: &usize| *cut == 0 || *cut == len || (offset + cut).is_multiple_of(chunk);
    if known.iter().all(is_between) {
        return cuts.clone();
    }
    let block = cuts.most().unwrap_or(1).div_ceil(chunk).max(1) * chunk;
    let first = block - offset % block;
    Cuts::Known(std::iter::once(0).chain((first..len.max(1)).step_by(block)).chain([len]).collect())
}

/// What is written, and to where, with the blocks cut as they are written.
pub(super) fn target(
    blocks: &Blocks,
    path: &Path,
    options: &ZarrOptions,
    (if_exists, durable): (IfExists, bool),
    (verb, origin): (&'static str, Origin),
) -> Result<(Blocks, Arc<dyn BlockTarget>)> {
    let (shape, dtype) = (blocks.known_shape()?, blocks.dtype);
    let recut = |blocks: Blocks, cuts: Vec<Cuts>| match cuts[..] == blocks.cuts[..] {
        true => Ok(blocks),
        false => Blocks::new(Op::Rechunk, &[&blocks], dtype, cuts, verb, origin),
    };
    if let Some(region) = &options.region {
        if options.format.is_some()
            || options.compression.is_some()
            || options.chunks.is_some()
            || if_exists != IfExists::Replace
        {
            return Err(plan(
                "`region` writes into an array that is there, with its own version, compression and chunks",
            ));
        }
        let array = ZarrArray::open(path)?;
        let (offset, blocks) = placed(blocks, array.shape(), region, verb, origin)?;
        let target = ZarrRegion::new(array, offset.clone(), &blocks.known_shape()?, dtype, durable)?;
        let axes = blocks.cuts.iter().zip(&offset).zip(target.chunk());
        let cuts = axes.map(|((cuts, offset), chunk)| aligned(cuts, *offset, *chunk)).collect();
        return Ok((recut(blocks, cuts)?, Arc::new(target)));
    }
    let chunks = match &options.chunks {
        Some(chunks) => chunks.cuts(&shape, dtype, Some(&blocks.cuts))?,
        None => blocks.cuts.to_vec(),
    };
    if let Some(axis) = chunks.iter().position(|cuts| options.chunks.is_some() && regular(cuts).is_none()) {
        return Err(plan(format!("axis {axis}: chunks of a Zarr array are all of one length")));
    }
    let mut chunk: Vec<usize> = chunks.iter().map(|cuts| cuts.most().unwrap_or(1).max(1)).collect();
    if options.chunks.is_none() {
        // A short last block would be stored as long as the others: chunks are shorter, if a part of the others is as long and large enough.
        for axis in 0..chunk.len() {
            let known = chunks[axis].known().unwrap_or(&[]);
            let last = known.windows(2).last().map_or(0, |two| two[1] - two[0]);
            let bytes = chunk.iter().fold(dtype.bytes() as u64, |all, len| all.saturating_mul(*len as u64));
            let parts = chunk[axis] / last.max(1);
            if parts > 1 && chunk[axis].is_multiple_of(last) && bytes / parts as u64 >= LEAST_CHUNK_BYTES {
                chunk[axis] = last;
            }
        }
    }
    let cuts = blocks.cuts.iter().zip(&chunk).map(|(cuts, chunk)| aligned(cuts, 0, *chunk)).collect();
    let (format, compression) = (options.format.unwrap_or_default(), options.compression.unwrap_or_default());
    let path: PathBuf = path.to_path_buf();
    let target = ZarrTarget { path, dtype, shape, chunk, format, compression, if_exists, durable };
    Ok((recut(blocks.clone(), cuts)?, Arc::new(target)))
}

/// Where a region of an array begins, and the blocks with an axis of length 1 for each place that the region names.
fn placed(
    blocks: &Blocks,
    of: &[usize],
    region: &[SliceInfoElem],
    verb: &'static str,
    origin: Origin,
) -> Result<(Vec<usize>, Blocks)> {
    if region.len() != of.len() {
        return Err(plan(format!("a region of {} axes of an array of {}", region.len(), of.len())));
    }
    let shape = blocks.known_shape()?;
    let (mut offset, mut lens, mut view, mut cuts) = (Vec::new(), Vec::new(), View { axes: Vec::new() }, Vec::new());
    for (axis, (part, len)) in region.iter().zip(of).enumerate() {
        let place = |at: isize| -> Result<usize> {
            let from = if at < 0 { at.saturating_add_unsigned(*len) } else { at };
            let from = usize::try_from(from).ok().filter(|from| from <= len);
            from.ok_or_else(|| plan(format!("{at} lies outside of an axis of length {len}")))
        };
        match part {
            SliceInfoElem::Slice { start, end, step: 1 } => {
                let (from, to) = (place(*start)?, end.map_or(Ok(*len), place)?);
                offset.push(from);
                lens.push(to.saturating_sub(from));
                if let Some(own) = blocks.cuts.get(view.axes.len()) {
                    view.axes.push(AxisMap::same(cuts.len()));
                    cuts.push(own.clone());
                }
            }
            SliceInfoElem::Slice { step, .. } => {
                return Err(plan(format!("axis {axis}: a region with the step {step}: only 1 can be written")));
            }
            SliceInfoElem::Index(at) => {
                let from = place(*at)?;
                if from == *len {
                    return Err(plan(format!("{at} lies outside of an axis of length {len}")));
                }
                offset.push(from);
                cuts.push(Cuts::whole(1));
            }
            SliceInfoElem::NewAxis => return Err(plan("a region with a new axis")),
        }
    }
    if lens != shape {
        return Err(plan(format!("an array of the shape {shape:?} for a region of the shape {lens:?}")));
    }
    let blocks = match cuts.len() == blocks.rank() {
        true => blocks.clone(),
        false => Blocks::new(Op::View(view), &[blocks], blocks.dtype, cuts, verb, origin)?,
    };
    Ok((offset, blocks))
}
