//! Arrays to Zarr: new stores, written beside and put in place as a whole, and regions of stores that are there.

use std::borrow::Cow;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use zarrs::array::{Array, ArrayBytes, ArraySubset};
use zarrs::filesystem::FilesystemStore;

use super::super::array::{BlockTarget, OpenTarget, commit, numpy_descriptor, run_len, runs};
use super::super::write::{IfExists, Staging};
use super::{GROUP_V2, META_V2, META_V3, ZarrArray, failed, options, v3_name};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{DType, NdBlock};

/// Which version of Zarr is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ZarrFormat {
    /// Version 2: `.zarray`, and chunks such as `0.0`.
    V2,
    /// Version 3: `zarr.json`, and chunks such as `c/0/0`.
    #[default]
    V3,
}

/// How chunks of Zarr are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ZarrCompression {
    /// Not at all.
    None,
    /// By gzip, at a level from 0 to 9.
    Gzip(u32),
    /// By Zstandard at its usual level.
    #[default]
    Zstd,
}

/// A store to be written.
pub(crate) struct ZarrTarget {
    pub path: PathBuf,
    pub dtype: DType,
    pub shape: Vec<usize>,
    /// Of a chunk, each at least 1.
    pub chunk: Vec<usize>,
    pub format: ZarrFormat,
    pub compression: ZarrCompression,
    pub if_exists: IfExists,
    pub durable: bool,
}

/// A part of a store that is there.
pub(crate) struct ZarrRegion {
    array: ZarrArray,
    /// Where the first element goes.
    offset: Vec<usize>,
    durable: bool,
}

struct OpenZarr {
    path: PathBuf,
    array: Array<FilesystemStore>,
    /// Where chunks lie.
    root: PathBuf,
    chunk: Vec<usize>,
    offset: Vec<usize>,
    durable: bool,
    /// Of a new store.
    staging: Option<Mutex<Option<Staging>>>,
    /// Whether its chunks are written as they lie in memory.
    is_plain: bool,
}

/// Something that keeps a directory from being taken for a Zarr array that may be replaced.
fn foreign(directory: &Path) -> Result<Option<PathBuf>> {
    let is_there = |name: &str| directory.join(name).exists();
    if is_there(META_V2) {
        return Ok(None);
    }
    if is_there(META_V3) {
        let text =
            fs::read(directory.join(META_V3)).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let kind = text.as_ref().and_then(|meta| meta.get("node_type")).and_then(Value::as_str);
        return Ok((kind == Some("group")).then(|| directory.join(META_V3)));
    }
    if is_there(GROUP_V2) {
        return Ok(Some(directory.join(GROUP_V2)));
    }
    let mut entries = fs::read_dir(directory).map_err(|error| Error::io(directory, "cannot list", error))?;
    Ok(entries.next().and_then(|entry| entry.ok()).map(|entry| entry.path()))
}

impl ZarrTarget {
    fn fill(&self) -> Value {
        match self.dtype {
            DType::Bool => json!(false),
            DType::F32 | DType::F64 => json!(0.0),
            DType::C32 | DType::C64 => json!([0.0, 0.0]),
            _ => json!(0),
        }
    }

    /// The file that describes the array, and what stands in it.
    fn description(&self) -> (&'static str, Value) {
        let order = if cfg!(target_endian = "little") { "little" } else { "big" };
        match self.format {
            ZarrFormat::V2 => {
                let compressor = match self.compression {
                    ZarrCompression::None => Value::Null,
                    ZarrCompression::Gzip(level) => json!({"id": "gzip", "level": level}),
                    ZarrCompression::Zstd => json!({"id": "zstd", "level": 3}),
                };
                let meta = json!({
                    "zarr_format": 2, "shape": self.shape, "chunks": self.chunk, "fill_value": self.fill(),
                    "dtype": numpy_descriptor(self.dtype), "compressor": compressor, "filters": null,
                    "order": "C", "dimension_separator": ".",
                });
                (META_V2, meta)
            }
            ZarrFormat::V3 => {
                let bytes = match self.dtype.bytes() {
                    1 => json!({"name": "bytes"}),
                    _ => json!({"name": "bytes", "configuration": {"endian": order}}),
                };
                let compressed = match self.compression {
                    ZarrCompression::None => None,
                    ZarrCompression::Gzip(level) => Some(json!({"name": "gzip", "configuration": {"level": level}})),
                    ZarrCompression::Zstd => {
                        Some(json!({"name": "zstd", "configuration": {"level": 3, "checksum": false}}))
                    }
                };
                let codecs: Vec<Value> = std::iter::once(bytes).chain(compressed).collect();
                let meta = json!({
                    "zarr_format": 3, "node_type": "array", "shape": self.shape, "data_type": v3_name(self.dtype),
                    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": self.chunk}},
                    "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
                    "fill_value": self.fill(), "codecs": codecs, "attributes": {},
                });
                (META_V3, meta)
            }
        }
    }

    fn chunk_bytes(&self) -> u64 {
        self.chunk.iter().fold(self.dtype.bytes() as u64, |all, len| all.saturating_mul(*len as u64))
    }
}

impl BlockTarget for ZarrTarget {
    fn begin(&self) -> Result<Box<dyn OpenTarget>> {
        let staging = Staging::begin_where(&self.path, true, &foreign, self.if_exists)?;
        let root = staging.path().to_path_buf();
        let (name, meta) = self.description();
        let file = root.join(name);
        let text = serde_json::to_string_pretty(&meta).map_err(|error| Error::internal(error.to_string()))?;
        let written = fs::write(&file, text).and_then(|()| match self.durable {
            true => fs::File::open(&file)?.sync_all(),
            false => Ok(()),
        });
        written.map_err(|error| Error::io(&file, "cannot write", error))?;
        let refused = |text: String| Error::new(ErrorKind::Plan, format!("{}: {text}", self.path.display()));
        let store = FilesystemStore::new(&root).map_err(|error| refused(error.to_string()))?;
        let array = Array::open(Arc::new(store), "/").map_err(|error| refused(error.to_string()))?;
        Ok(Box::new(OpenZarr {
            path: self.path.clone(),
            array,
            root,
            chunk: self.chunk.clone(),
            offset: vec![0; self.shape.len()],
            durable: self.durable,
            staging: Some(Mutex::new(Some(staging))),
            is_plain: self.compression == ZarrCompression::None,
        }))
    }

    fn need(&self, block_bytes: u64) -> u64 {
        // A chunk on its own, and as it is stored; at the edge of the array another one that is filled up.
        self.chunk_bytes().min(block_bytes.saturating_mul(2)).saturating_mul(3)
    }
}

impl ZarrRegion {
    /// A region of an array, from an offset on.
    ///
    /// # Errors
    /// Of kind `Plan`, where it does not fit.
    pub fn new(
        array: ZarrArray,
        offset: Vec<usize>,
        shape: &[usize],
        dtype: DType,
        durable: bool,
    ) -> Result<ZarrRegion> {
        let plan = |text: String| Err(Error::new(ErrorKind::Plan, text));
        let path = array.path.display();
        if array.dtype != dtype {
            return plan(format!(
                "{path} holds {}, and an array of {dtype} is to be written: `cast` converts",
                array.dtype
            ));
        }
        let fits = offset.len() == array.shape.len()
            && shape.len() == array.shape.len()
            && (0..shape.len())
                .all(|axis| offset[axis].checked_add(shape[axis]).is_some_and(|end| end <= array.shape[axis]));
        if !fits {
            return plan(format!(
                "{path} has the shape {:?}: {shape:?} from {offset:?} on does not lie in it",
                array.shape
            ));
        }
        Ok(ZarrRegion { array, offset, durable })
    }

    /// Lengths of a chunk, as it is stored.
    pub fn chunk(&self) -> &[usize] {
        &self.array.chunk
    }
}

impl BlockTarget for ZarrRegion {
    fn begin(&self) -> Result<Box<dyn OpenTarget>> {
        // As it is now.
        let ZarrArray { path, array, chunk, .. } = ZarrArray::open(&self.array.path)?;
        if array.shape() != self.array.array.shape() || chunk != self.array.chunk {
            return Err(Error::new(ErrorKind::Data, format!("{} has changed since it was opened", path.display())));
        }
        let (offset, durable, root) = (self.offset.clone(), self.durable, path.clone());
        Ok(Box::new(OpenZarr { path, array, root, chunk, offset, durable, staging: None, is_plain: false }))
    }

    fn need(&self, _: u64) -> u64 {
        // What was there, what is to be there, and as it is stored.
        self.array.bytes(&self.array.chunk).saturating_mul(4)
    }
}

impl OpenZarr {
    /// Puts a part of a block into a chunk; gives how many bytes the chunk has now.
    fn store(&self, at: &[usize], region: &[Range<usize>], bytes: Cow<'_, [u8]>) -> Result<u64> {
        let ranges: Vec<Range<u64>> = region.iter().map(|range| range.start as u64..range.end as u64).collect();
        let subset = ArraySubset::new_with_ranges(&ranges);
        let indices: Vec<u64> = at.iter().map(|at| *at as u64).collect();
        let key = self.array.chunk_key(&indices);
        let file = self.root.join(key.as_str());
        let is_whole = region.iter().zip(&self.chunk).all(|(range, len)| range.len() == *len);
        // What a new store is filled with: such chunks have no file.
        let is_zero = || bytes.iter().all(|byte| *byte == 0);
        if self.is_plain && is_whole && !is_zero() {
            let made = file.parent().map_or(Ok(()), fs::create_dir_all);
            made.and_then(|()| fs::write(&file, &bytes)).map_err(|error| Error::io(&file, "cannot write", error))?;
        } else {
            let stored = self.array.store_array_subset_opt(&subset, ArrayBytes::new_flen(bytes), &options());
            stored.map_err(|error| failed(error).reworded(|text| format!("chunk `{key}`: {text}")))?;
        }
        // A chunk of nothing but what is there anyway has no file.
        let Ok(meta) = fs::metadata(&file) else { return Ok(0) };
        if self.durable {
            let synced = fs::File::open(&file).and_then(|file| file.sync_all());
            synced.map_err(|error| Error::io(&file, "cannot sync", error))?;
        }
        Ok(meta.len())
    }
}

impl OpenTarget for OpenZarr {
    fn write(&self, _: &[u32], region: &[Range<usize>], block: &NdBlock) -> Result<u64> {
        if block.shape().contains(&0) {
            return Ok(0);
        }
        let (all, size, rank) = (block.data().as_bytes(), block.data().dtype().bytes(), region.len());
        let shifted = region.iter().zip(&self.offset).map(|(range, by)| range.start + by..range.end + by);
        let region: Vec<Range<usize>> = shifted.collect();
        let chunks = region.iter().zip(&self.chunk).map(|(range, len)| range.start / len..(range.end - 1) / len + 1);
        let chunks: Vec<Range<usize>> = chunks.collect();
        if chunks.iter().all(|chunks| chunks.len() == 1) {
            let at: Vec<usize> = chunks.iter().map(|chunks| chunks.start).collect();
            return self.store(&at, &region, Cow::Borrowed(all));
        }
        let shape: Vec<usize> = region.iter().map(ExactSizeIterator::len).collect();
        let mut at: Vec<usize> = chunks.iter().map(|range| range.start).collect();
        let mut bytes = 0;
        loop {
            let part = |axis: usize| {
                let start = at[axis] * self.chunk[axis];
                region[axis].start.max(start)..region[axis].end.min(start + self.chunk[axis])
            };
            let part: Vec<Range<usize>> = (0..rank).map(part).collect();
            let within: Vec<Range<usize>> =
                part.iter().zip(&region).map(|(part, all)| part.start - all.start..part.end - all.start).collect();
            let run = run_len(&shape, &within) * size;
            let mut own = Vec::with_capacity(part.iter().map(ExactSizeIterator::len).product::<usize>() * size);
            runs(&shape, &within, |first| {
                own.extend_from_slice(&all[first * size..first * size + run]);
                Ok::<(), Error>(())
            })?;
            bytes += self.store(&at, &part, Cow::Owned(own))?;
            let next = (0..rank).rev().find(|axis| at[*axis] + 1 < chunks[*axis].end);
            let Some(next) = next else { return Ok(bytes) };
            at[next] += 1;
            for axis in next + 1..rank {
                at[axis] = chunks[axis].start;
            }
        }
    }

    fn finish(&self) -> Result<Vec<PathBuf>> {
        if let Some(staging) = &self.staging {
            commit(staging, self.durable)?;
        }
        Ok(vec![self.path.clone()])
    }
}
