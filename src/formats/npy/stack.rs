//! Stacks of `.npy` files as Dask has them: a directory with a file for each block along an axis, and `info`, which says how they
//! stand together.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::super::array::{BlockSource, BlockTarget, OpenTarget, commit, numpy_descriptor};
use super::super::files::SourceFile;
use super::super::write::{IfExists, Staging};
use super::{NpyFile, create, header, pickle, write_at};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{DType, NdBlock};

const INFO: &str = "info";

/// The longest description that is read.
const MOST_INFO_BYTES: u64 = 64 << 20;

/// A directory that is there.
pub(crate) struct NpyStack {
    directory: PathBuf,
    info: SourceFile,
    dtype: DType,
    shape: Vec<usize>,
    natural: Vec<usize>,
    axis: usize,
    /// Where each file begins along the axis, and where the last one ends.
    cuts: Vec<usize>,
}

impl NpyStack {
    /// Reads the description of a stack; its files are opened when they are read.
    ///
    /// # Errors
    /// Of kind `Io`, where it cannot be read; of kind `Data`, where it cannot be understood.
    pub fn open(directory: &Path) -> Result<NpyStack> {
        let path = directory.join(INFO);
        let info = SourceFile::at(&path)?;
        let said = |error: Error| error.reworded(|text| format!("{} {text}", path.display()));
        if info.bytes > MOST_INFO_BYTES {
            return Err(said(Error::new(ErrorKind::Data, "is too large to describe a stack")));
        }
        let bytes = fs::read(&path).map_err(|error| Error::io(&path, "cannot read", error))?;
        NpyStack::described(directory, info.clone(), &bytes).map_err(said)
    }

    fn described(directory: &Path, info: SourceFile, bytes: &[u8]) -> Result<NpyStack> {
        let wrong = || Error::new(ErrorKind::Data, "does not tell `chunks`, `dtype` and `axis` of a stack");
        let value = pickle::read(bytes)?;
        let length = |value: &pickle::Value| value.int().and_then(|int| usize::try_from(int).ok());
        let chunks = value.get("chunks").and_then(|chunks| {
            let lens = |axis: &pickle::Value| axis.all()?.iter().map(length).collect::<Option<Vec<usize>>>();
            chunks.all()?.iter().map(lens).collect::<Option<Vec<_>>>()
        });
        let axis = value.get("axis").and_then(length);
        let (Some(chunks), Some(axis)) = (chunks, axis) else { return Err(wrong()) };
        let dtype = value.get("dtype").and_then(pickle::Value::dtype).ok_or_else(wrong)?;
        let (dtype, _) = header::dtype(&dtype)?;
        let sum = |lens: &Vec<usize>| lens.iter().try_fold(0usize, |sum, len| sum.checked_add(*len));
        let shape: Vec<usize> = chunks.iter().map(sum).collect::<Option<_>>().ok_or_else(wrong)?;
        let mut end = 0;
        let ends = chunks.get(axis).ok_or_else(wrong)?.iter().map(|len| {
            end += len;
            end
        });
        let cuts = std::iter::once(0).chain(ends).collect();
        let natural = vec![1; shape.len()];
        Ok(NpyStack { directory: directory.to_path_buf(), info, dtype, shape, natural, axis, cuts })
    }

    /// The lengths of its files, and the axis along which they stand.
    pub fn parts(&self) -> (usize, Vec<usize>) {
        (self.axis, self.cuts.windows(2).map(|two| two[1] - two[0]).collect())
    }
}

impl BlockSource for NpyStack {
    fn label(&self) -> String {
        self.directory.display().to_string()
    }

    fn key(&self) -> Option<String> {
        let SourceFile { path, bytes, modified } = &self.info;
        Some(format!("npy stack {} {bytes} {modified:?}", path.display()))
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

    fn is_free(&self) -> bool {
        // A region lies within one file.
        false
    }

    fn times_again(&self) -> u32 {
        3
    }

    fn read(&self, region: &[Range<usize>]) -> Result<(NdBlock, u64)> {
        let wanted = region[self.axis].clone();
        let part = self.cuts.partition_point(|cut| *cut <= wanted.start).saturating_sub(1);
        let (start, end) = (self.cuts[part], self.cuts[(part + 1).min(self.cuts.len() - 1)]);
        if wanted.end > end {
            // Blocks are the files, or parts of them.
            return Err(Error::internal("a block of a stack lies in several files"));
        }
        let path = self.directory.join(format!("{part}.npy"));
        let file = NpyFile::open(&path)?;
        let mut shape = self.shape.clone();
        shape[self.axis] = end - start;
        if file.shape() != shape || file.dtype() != self.dtype {
            let text = format!(
                "{} holds {} of the shape {:?}, and the stack tells of {} of the shape {shape:?}",
                path.display(),
                file.dtype(),
                file.shape(),
                self.dtype
            );
            return Err(Error::new(ErrorKind::Data, text));
        }
        let mut inside = region.to_vec();
        inside[self.axis] = wanted.start - start..wanted.end - start;
        file.read(&inside)
    }

    fn need(&self, lens: &[usize]) -> u64 {
        // Files may lie with the first axis varying fastest.
        let block = lens.iter().fold(self.dtype.bytes() as u64, |all, len| all.saturating_mul(*len as u64));
        block.saturating_add(super::super::raw::SPAN_BYTES as u64)
    }
}

/// A directory to be written.
pub(crate) struct NpyStackTarget {
    pub directory: PathBuf,
    pub dtype: DType,
    pub shape: Vec<usize>,
    pub axis: usize,
    /// Where files begin along the axis, and where the last one ends.
    pub cuts: Vec<usize>,
    pub if_exists: IfExists,
    pub durable: bool,
}

struct OpenStack {
    directory: PathBuf,
    temporary: PathBuf,
    axis: usize,
    info: Vec<u8>,
    durable: bool,
    staging: Mutex<Option<Staging>>,
}

/// Something in a directory that no stack has.
fn foreign(directory: &Path) -> Result<Option<PathBuf>> {
    let failed = |error| Error::io(directory, "cannot list", error);
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        let is_part = number.is_some() && path.extension().is_some_and(|extension| extension == "npy");
        if !is_part && path.file_name().is_none_or(|name| name != INFO) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

impl BlockTarget for NpyStackTarget {
    fn begin(&self) -> Result<Box<dyn OpenTarget>> {
        let staging = Staging::begin_where(&self.directory, true, &foreign, self.if_exists)?;
        let chunks = self.shape.iter().enumerate().map(|(axis, len)| match axis == self.axis {
            true => self.cuts.windows(2).map(|two| two[1] - two[0]).collect(),
            false => vec![*len],
        });
        let info = pickle::written(&chunks.collect::<Vec<_>>(), &numpy_descriptor(self.dtype), self.axis);
        Ok(Box::new(OpenStack {
            directory: self.directory.clone(),
            temporary: staging.path().to_path_buf(),
            axis: self.axis,
            info,
            durable: self.durable,
            staging: Mutex::new(Some(staging)),
        }))
    }

    fn need(&self, _: u64) -> u64 {
        0
    }
}

impl OpenTarget for OpenStack {
    fn write(&self, at: &[u32], _: &[Range<usize>], block: &NdBlock) -> Result<u64> {
        let path = self.temporary.join(format!("{}.npy", at[self.axis]));
        let bytes = block.data().as_bytes();
        let (file, start) = create(&path, block.data().dtype(), block.shape())?;
        let written = write_at(&file, bytes, start).and_then(|()| if self.durable { file.sync_all() } else { Ok(()) });
        written.map_err(|error| Error::io(&path, "cannot write", error))?;
        Ok(bytes.len() as u64)
    }

    fn finish(&self) -> Result<Vec<PathBuf>> {
        let path = self.temporary.join(INFO);
        fs::write(&path, &self.info).map_err(|error| Error::io(&path, "cannot write", error))?;
        if self.durable {
            let synced = fs::File::open(&path).and_then(|file| file.sync_all());
            synced.map_err(|error| Error::io(&path, "cannot sync", error))?;
        }
        commit(&self.staging, self.durable)?;
        Ok(vec![self.directory.clone()])
    }
}
