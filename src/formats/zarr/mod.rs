//! Arrays in Zarr, versions 2 and 3: a directory with a file for each chunk and one that describes them.

mod write;

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use std::sync::Arc;

use serde_json::Value;
use zarrs::array::{Array, ArrayBytes, ArrayError, ArrayShardedExt, ArraySubset, CodecOptions};
use zarrs::filesystem::FilesystemStore;
use zarrs::storage::ReadableStorageTraits;

use super::array::{BlockSource, numpy_descriptor, numpy_name};
use super::raw::{SPAN_BYTES, read_region};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Block, DType, NdBlock, Stored, with_stored};
pub use write::{ZarrCompression, ZarrFormat};
pub(crate) use write::{ZarrRegion, ZarrTarget};

/// What describes an array, or a group, of version 3.
const META_V3: &str = "zarr.json";
/// An array of version 2.
const META_V2: &str = ".zarray";
/// A group of version 2.
const GROUP_V2: &str = ".zgroup";

/// The longest description that is read.
const MOST_META_BYTES: u64 = 64 << 20;

fn wrong(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Data, text)
}

/// One thread is enough: other chunks are other tasks.
fn options() -> CodecOptions {
    CodecOptions::default().with_concurrent_target(1)
}

fn failed(error: ArrayError) -> Error {
    let kind = if let ArrayError::StorageError(_) = error { ErrorKind::Io } else { ErrorKind::Data };
    Error::with_source(kind, "", error)
}

/// An array that is there.
pub(crate) struct ZarrArray {
    path: PathBuf,
    array: Array<FilesystemStore>,
    /// What describes it, and when that was changed.
    key: String,
    dtype: DType,
    shape: Vec<usize>,
    /// Of a chunk, as it is stored.
    chunk: Vec<usize>,
    /// Of what can be read of a chunk alone.
    natural: Vec<usize>,
    is_sharded: bool,
    /// Whether chunks are files with nothing but their elements by rows, as they lie in memory.
    is_plain: bool,
}

/// The description of what stands at a path.
fn description(path: &Path) -> Result<(Value, PathBuf)> {
    let names = [META_V3, META_V2, GROUP_V2].map(|name| path.join(name));
    let Some(file) = names.iter().find(|file| file.exists()) else {
        fs::metadata(path).map_err(|error| Error::io(path, "cannot open", error))?;
        let text = format!("{} is no Zarr array: it has neither `{META_V3}` nor `{META_V2}`", path.display());
        return Err(wrong(text));
    };
    let meta = fs::metadata(file).map_err(|error| Error::io(file, "cannot open", error))?;
    if meta.len() > MOST_META_BYTES {
        return Err(wrong(format!("{} is too large to describe an array", file.display())));
    }
    let bytes = fs::read(file).map_err(|error| Error::io(file, "cannot read", error))?;
    let value = serde_json::from_slice(&bytes);
    let value = value.map_err(|error| Error::with_source(ErrorKind::Data, file.display(), error))?;
    Ok((value, file.clone()))
}

/// The arrays and groups in a group.
fn inside(path: &Path) -> String {
    let is_node = |path: &Path| [META_V3, META_V2, GROUP_V2].iter().any(|name| path.join(name).exists());
    let entries = fs::read_dir(path).into_iter().flatten().flatten().filter(|entry| is_node(&entry.path()));
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    match names.len() {
        0 => "it is empty".to_string(),
        _ => format!("in it are {}", names.join(", ")),
    }
}

/// The type that a description tells.
fn dtype(meta: &Value) -> Result<DType> {
    let tell = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
    if let Some(name) = meta.get("data_type") {
        let known = |dtype: &DType| Some(v3_name(*dtype)) == name.as_str();
        let found = DType::ALL.into_iter().find(known);
        return found
            .ok_or_else(|| wrong(format!("holds elements of the type `{}`, which arrays cannot hold", tell(name))));
    }
    let name = meta.get("dtype").ok_or_else(|| wrong("is described without a type of its elements"))?;
    let text = name.as_str().and_then(|text| text.strip_prefix(['<', '>', '|', '=']));
    let found = DType::ALL.into_iter().find(|dtype| Some(numpy_name(*dtype)) == text);
    found.ok_or_else(|| wrong(format!("holds elements of the type `{}`, which arrays cannot hold", tell(name))))
}

/// Whether chunks are their elements by rows as they lie in memory, by a description.
fn is_plain(meta: &Value, dtype: DType) -> bool {
    let nothing = |value: Option<&Value>| match value {
        None | Some(Value::Null) => true,
        Some(Value::Array(all)) => all.is_empty(),
        _ => false,
    };
    if meta.get("data_type").is_some() {
        let native = if cfg!(target_endian = "little") { "little" } else { "big" };
        let Some([codec]) = meta.get("codecs").and_then(Value::as_array).map(Vec::as_slice) else { return false };
        let endian = codec.get("configuration").and_then(|of| of.get("endian")).and_then(Value::as_str);
        return codec.get("name").and_then(Value::as_str) == Some("bytes")
            && endian.map_or(dtype.bytes() == 1, |endian| endian == native)
            && nothing(meta.get("storage_transformers"));
    }
    nothing(meta.get("compressor"))
        && nothing(meta.get("filters"))
        && meta.get("order").and_then(Value::as_str) == Some("C")
        && meta.get("dtype").and_then(Value::as_str) == Some(&*numpy_descriptor(dtype))
}

fn v3_name(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "bool",
        DType::I8 => "int8",
        DType::I16 => "int16",
        DType::I32 => "int32",
        DType::I64 => "int64",
        DType::U8 => "uint8",
        DType::U16 => "uint16",
        DType::U32 => "uint32",
        DType::U64 => "uint64",
        DType::F32 => "float32",
        DType::F64 => "float64",
        DType::C32 => "complex64",
        DType::C64 => "complex128",
    }
}

impl ZarrArray {
    /// Opens an array: a directory, which may lie in a group.
    ///
    /// # Errors
    /// Of kind `Io`, where it cannot be read; of kind `Data`, where it is none, or one that cannot be understood.
    pub fn open(path: &Path) -> Result<ZarrArray> {
        let (meta, file) = description(path)?;
        let said = |error: Error| error.reworded(|text| format!("{} {text}", path.display()));
        let is_group = file.ends_with(GROUP_V2) || meta.get("node_type").and_then(Value::as_str) == Some("group");
        if is_group {
            return Err(said(wrong(format!("is a Zarr group and no array: {}", inside(path)))));
        }
        let dtype = dtype(&meta).map_err(said)?;
        let modified = fs::metadata(&file).and_then(|meta| meta.modified()).ok();
        let key = format!("zarr {} {modified:?} {meta}", path.display());
        let broken = |error: &dyn std::fmt::Display| wrong(format!("{}: {error}", file.display()));
        let store = FilesystemStore::new(path).map_err(|error| broken(&error))?;
        let array = Array::open(Arc::new(store), "/").map_err(|error| broken(&error))?;
        let rank = array.dimensionality();
        let whole = |len: &u64| usize::try_from(*len).ok().filter(|len| *len <= isize::MAX as usize);
        let shape: Option<Vec<usize>> = array.shape().iter().map(whole).collect();
        let shape = shape.ok_or_else(|| broken(&"an axis is longer than can be"))?;
        let v3_grid = meta.get("chunk_grid").and_then(|grid| grid.get("name")).and_then(Value::as_str);
        if let Some(grid) = v3_grid.filter(|grid| *grid != "regular") {
            let text = format!("{}: chunks in a grid of the kind `{grid}` cannot be read", path.display());
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        let lens = |lens: &[std::num::NonZeroU64]| -> Option<Vec<usize>> {
            lens.iter().map(|len| usize::try_from(len.get()).ok()).collect()
        };
        let chunk = array.chunk_shape(&vec![0; rank]).map_err(|error| broken(&error))?;
        let chunk = lens(&chunk).ok_or_else(|| broken(&"a chunk is longer than can be"))?;
        let inner = array.effective_subchunk_shape().and_then(|inner| lens(&inner));
        let (natural, is_sharded) = (inner.unwrap_or_else(|| chunk.clone()), array.is_sharded());
        let is_plain = !is_sharded && is_plain(&meta, dtype);
        Ok(ZarrArray { path: path.to_path_buf(), array, key, dtype, shape, chunk, natural, is_sharded, is_plain })
    }

    /// Copies what a region has of a chunk; gives how many bytes the chunk has on disk.
    fn copy_chunk<T: Stored>(&self, at: &[usize], region: &[Range<usize>], out: &mut [T]) -> Result<u64> {
        let starts: Vec<usize> = at.iter().zip(&self.chunk).map(|(at, len)| at * len).collect();
        let part: Vec<Range<usize>> = (0..at.len())
            .map(|axis| {
                let end = starts[axis].saturating_add(self.chunk[axis]);
                region[axis].start.max(starts[axis])..region[axis].end.min(end)
            })
            .collect();
        if self.is_plain
            && let Some(read) = self.copy_plain(at, &part, region, bytemuck::cast_slice_mut(out))?
        {
            return Ok(read);
        }
        let local =
            part.iter().zip(&starts).map(|(range, start)| (range.start - start) as u64..(range.end - start) as u64);
        let subset = ArraySubset::new_with_ranges(&local.collect::<Vec<_>>());
        let indices: Vec<u64> = at.iter().map(|at| *at as u64).collect();
        let key = self.array.chunk_key(&indices);
        let place = |error| failed(error).reworded(|text| format!("chunk `{key}`: {text}"));
        let bytes: ArrayBytes<'static> =
            self.array.retrieve_chunk_subset_opt(&indices, &subset, &options()).map_err(place)?;
        let bytes = bytes.into_fixed().map_err(|error| wrong(format!("chunk `{key}`: {error}")))?;
        if self.dtype == DType::Bool && bytes.iter().any(|byte| *byte > 1) {
            return Err(wrong(format!("chunk `{key}` holds bytes as truths that are neither 0 nor 1")));
        }
        let elements: usize = part.iter().map(ExactSizeIterator::len).product();
        if bytes.len() != elements * size_of::<T>() {
            return Err(wrong(format!("chunk `{key}` has {} bytes", bytes.len())));
        }
        scatter(&bytes, &part, region, bytemuck::cast_slice_mut(out));
        let stored = self.array.storage().size_key(&key).ok().flatten().unwrap_or(0);
        Ok(if self.is_sharded { stored.min(bytes.len() as u64) } else { stored })
    }

    /// The same of a chunk that is there as it lies in memory; nothing where there is no file. What lies in one chunk goes straight to its
    /// place, of several a little at a time so that it stays in the processor's cache.
    fn copy_plain(
        &self,
        at: &[usize],
        part: &[Range<usize>],
        region: &[Range<usize>],
        out: &mut [u8],
    ) -> Result<Option<u64>> {
        let indices: Vec<u64> = at.iter().map(|at| *at as u64).collect();
        let key = self.array.chunk_key(&indices);
        let path = self.path.join(key.as_str());
        let io = |error: io::Error| Error::io(&path, "cannot read", error);
        let file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
        };
        let (there, wanted) = (file.metadata().map_err(io)?.len(), self.bytes(&self.chunk));
        if there != wanted {
            return Err(wrong(format!("chunk `{key}` has {there} bytes, and {wanted} belong to it")));
        }
        let read = |part: &[Range<usize>], out: &mut [u8]| -> Result<u64> {
            let local = part.iter().zip(at).zip(&self.chunk);
            let local: Vec<Range<usize>> =
                local.map(|((range, at), len)| range.start - at * len..range.end - at * len).collect();
            let bytes = read_region(&file, 0, &self.chunk, &local, out).map_err(io)?;
            match self.dtype == DType::Bool && out.iter().any(|byte| *byte > 1) {
                true => Err(wrong(format!("chunk `{key}` holds bytes as truths that are neither 0 nor 1"))),
                false => Ok(bytes),
            }
        };
        if part == region {
            return read(part, out).map(Some);
        }
        let bytes =
            |part: &[Range<usize>]| part.iter().map(ExactSizeIterator::len).product::<usize>() * self.dtype.bytes();
        // An array without axes is one chunk.
        let rows = part.first().cloned().unwrap_or(0..1);
        let few = (SPAN_BYTES * rows.len() / bytes(part).max(1)).max(1);
        let (mut scratch, mut all, mut piece) = (Vec::new(), 0, part.to_vec());
        for start in rows.clone().step_by(few) {
            piece[0] = start..(start + few).min(rows.end);
            scratch.resize(bytes(&piece), 0);
            all += read(&piece, &mut scratch)?;
            scatter(&scratch, &piece, region, out);
        }
        Ok(Some(all))
    }

    fn read_as<T: Stored>(&self, region: &[Range<usize>]) -> Result<(NdBlock, u64)> {
        let lens: Vec<usize> = region.iter().map(ExactSizeIterator::len).collect();
        let chunks = region.iter().zip(&self.chunk).map(|(range, len)| range.start / len..(range.end - 1) / len + 1);
        let chunks: Vec<Range<usize>> = chunks.collect();
        let mut bytes = 0;
        let block = Block::<T>::try_build(lens.iter().product(), |out| {
            let mut at: Vec<usize> = chunks.iter().map(|range| range.start).collect();
            loop {
                bytes += self.copy_chunk(&at, region, out)?;
                let next = (0..at.len()).rev().find(|axis| at[*axis] + 1 < chunks[*axis].end);
                let Some(next) = next else { return Ok::<(), Error>(()) };
                at[next] += 1;
                for axis in next + 1..at.len() {
                    at[axis] = chunks[axis].start;
                }
            }
        })?;
        let data = T::wrap(block);
        Ok((NdBlock::new(lens, if self.dtype == DType::Bool { data.into_bools() } else { data })?, bytes))
    }

    fn bytes(&self, lens: &[usize]) -> u64 {
        lens.iter().fold(self.dtype.bytes() as u64, |all, len| all.saturating_mul(*len as u64))
    }
}

/// Puts a part, by rows, to its place in a region that has all of it.
fn scatter(bytes: &[u8], part: &[Range<usize>], region: &[Range<usize>], out: &mut [u8]) {
    let lens: Vec<usize> = part.iter().map(ExactSizeIterator::len).collect();
    let (row, rank) = (lens.last().copied().unwrap_or(1), lens.len());
    let elements: usize = lens.iter().product();
    if elements == 0 {
        return;
    }
    let size = bytes.len() / elements;
    let mut strides = vec![1usize; rank];
    for axis in (1..rank).rev() {
        strides[axis - 1] = strides[axis] * region[axis].len();
    }
    let first: usize = (0..rank).map(|axis| (part[axis].start - region[axis].start) * strides[axis]).sum();
    let mut place = vec![0usize; rank.saturating_sub(1)];
    for values in bytes.chunks_exact(row * size) {
        let to = first + place.iter().zip(&strides).map(|(place, stride)| place * stride).sum::<usize>();
        out[to * size..(to + row) * size].copy_from_slice(values);
        for axis in (0..place.len()).rev() {
            place[axis] += 1;
            if place[axis] < lens[axis] {
                break;
            }
            place[axis] = 0;
        }
    }
}

impl BlockSource for ZarrArray {
    fn label(&self) -> String {
        self.path.display().to_string()
    }

    fn key(&self) -> Option<String> {
        Some(self.key.clone())
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn dtype(&self) -> DType {
        self.dtype
    }

    fn natural(&self) -> &[usize] {
        &self.natural
    }

    fn times_again(&self) -> u32 {
        if self.is_plain { 3 } else { 1 }
    }

    fn read(&self, region: &[Range<usize>]) -> Result<(NdBlock, u64)> {
        with_stored!(self.dtype, T => self.read_as::<T>(region))
    }

    fn need(&self, lens: &[usize]) -> u64 {
        // A chunk as it is stored, decoded, and in the order of axes of the array; of shards what is wanted of them.
        let shard = if self.is_sharded { self.bytes(lens).min(self.bytes(&self.chunk)) } else { 0 };
        self.bytes(&self.natural).saturating_mul(3).saturating_add(shard)
    }
}
