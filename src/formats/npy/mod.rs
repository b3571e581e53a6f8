//! Arrays in NumPy's own format, `.npy`: regions are read and written at their places in the file.

mod header;
mod pickle;
pub(crate) mod stack;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ndarray::{ArrayView, ArrayViewMut, IxDyn};

use super::array::{BlockSource, BlockTarget, OpenTarget, commit, run_len, runs};
use super::files::{SourceFile, read_at};
use super::raw::{MOST_GAP, SPAN_BYTES, read_region};
use super::write::{IfExists, Staging};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Block, DType, NdBlock, Stored, with_stored};
use header::Header;

/// A file that is there, and what its header says.
pub(crate) struct NpyFile {
    source: SourceFile,
    file: File,
    header: Header,
    natural: Vec<usize>,
}

impl NpyFile {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// Of kind `Io`, where it cannot be read; of kind `Data`, where it is no such file, or ends early.
    pub fn open(path: &Path) -> Result<NpyFile> {
        let source = SourceFile::at(path)?;
        let file = source.open()?;
        let header = read_header(&file, source.bytes).map_err(|error| match error {
            Ok(error) => Error::io(path, "cannot read", error),
            Err(error) => error.reworded(|text| format!("{} {text}", path.display())),
        })?;
        let natural = vec![1; header.shape.len()];
        Ok(NpyFile { source, file, header, natural })
    }

    fn read_as<T: Stored>(&self, region: &[Range<usize>]) -> Result<(NdBlock, u64)> {
        let Header { dtype, swapped, fortran, shape, start } = &self.header;
        let lens: Vec<usize> = region.iter().map(ExactSizeIterator::len).collect();
        // As it lies there, the first axis varies slowest.
        let (mut shape, mut there) = (shape.clone(), region.to_vec());
        if *fortran {
            shape.reverse();
            there.reverse();
        }
        let mut bytes_read = 0;
        let mut block = Block::<T>::try_build(lens.iter().product(), |out| {
            let read = read_region(&self.file, *start as u64, &shape, &there, bytemuck::cast_slice_mut::<T, u8>(out));
            bytes_read = read.map_err(|error| {
                let cut = error.kind() == io::ErrorKind::UnexpectedEof;
                if cut { self.source.changed() } else { Error::io(&self.source.path, "cannot read", error) }
            })?;
            if *dtype == DType::Bool && bytemuck::cast_slice::<T, u8>(out).iter().any(|byte| *byte > 1) {
                return Err(Error::new(ErrorKind::Data, "holds bytes as truths that are neither 0 nor 1"));
            }
            if *swapped {
                out.iter_mut().for_each(|value| *value = value.swap_bytes());
            }
            Ok(())
        })?;
        if *fortran && lens.len() > 1 {
            let turned: Vec<usize> = lens.iter().rev().copied().collect();
            block = Block::try_build(block.len(), |out| {
                let shapes = |error| Error::internal(format!("blocks of a file: {error}"));
                let from = ArrayView::from_shape(IxDyn(&turned), &block).map_err(shapes)?;
                let mut to = ArrayViewMut::from_shape(IxDyn(&lens), out).map_err(shapes)?;
                to.assign(&from.reversed_axes());
                Ok::<(), Error>(())
            })?;
        }
        let data = T::wrap(block);
        Ok((NdBlock::new(lens, if *dtype == DType::Bool { data.into_bools() } else { data })?, bytes_read))
    }
}

/// The header of a file, and whether all is there that it promises.
fn read_header(file: &File, bytes: u64) -> Result<Header, Result<io::Error, Error>> {
    let mut first = [0; 12];
    let read = read_at(file, &mut first, 0).map_err(Ok)?;
    let mut all = vec![0; header::header_bytes(&first[..read]).map_err(Err)?];
    let read = read_at(file, &mut all, 0).map_err(Ok)?;
    if read < all.len() {
        return Err(Err(Error::new(ErrorKind::Data, "ends within its header")));
    }
    let header = header::parse(&all).map_err(Err)?;
    let elements = header.shape.iter().try_fold(header.dtype.bytes() as u64, |all, len| all.checked_mul(*len as u64));
    let there = bytes.saturating_sub(header.start as u64);
    match elements {
        Some(wanted) if wanted <= there => Ok(header),
        wanted => {
            let wanted = wanted.map_or("more than can be".to_string(), |wanted| wanted.to_string());
            let text = format!(
                "is cut off: its header tells of the shape {:?}, {wanted} bytes of {}, and {there} are there",
                header.shape, header.dtype
            );
            Err(Err(Error::new(ErrorKind::Data, text)))
        }
    }
}

impl BlockSource for NpyFile {
    fn label(&self) -> String {
        self.source.path.display().to_string()
    }

    fn key(&self) -> Option<String> {
        let SourceFile { path, bytes, modified } = &self.source;
        Some(format!("npy {} {bytes} {modified:?}", path.display()))
    }

    fn shape(&self) -> &[usize] {
        &self.header.shape
    }

    fn dtype(&self) -> DType {
        self.header.dtype
    }

    fn natural(&self) -> &[usize] {
        &self.natural
    }

    fn times_again(&self) -> u32 {
        3
    }

    fn read(&self, region: &[Range<usize>]) -> Result<(NdBlock, u64)> {
        with_stored!(self.header.dtype, T => self.read_as::<T>(region))
    }

    fn need(&self, lens: &[usize]) -> u64 {
        let block = lens.iter().fold(self.header.dtype.bytes() as u64, |all, len| all.saturating_mul(*len as u64));
        let turned = if self.header.fortran && lens.len() > 1 { block } else { 0 };
        turned + (SPAN_BYTES as u64).min(block.saturating_mul(1 + MOST_GAP as u64))
    }
}

/// A file to be written.
pub(crate) struct NpyTarget {
    pub path: PathBuf,
    pub dtype: DType,
    pub shape: Vec<usize>,
    pub if_exists: IfExists,
    pub durable: bool,
}

struct OpenNpy {
    path: PathBuf,
    /// Until it is put in its place.
    temporary: PathBuf,
    file: File,
    shape: Vec<usize>,
    start: u64,
    durable: bool,
    staging: Mutex<Option<Staging>>,
}

/// Makes a new file with a header, in its full length.
fn create(path: &Path, dtype: DType, shape: &[usize]) -> Result<(File, u64)> {
    let header = header::written(dtype, shape);
    let bytes = shape.iter().try_fold(dtype.bytes() as u64, |all, len| all.checked_mul(*len as u64));
    let end = bytes.and_then(|bytes| bytes.checked_add(header.len() as u64));
    let end = end.ok_or_else(|| Error::new(ErrorKind::Plan, format!("a file of the shape {shape:?} is too large")))?;
    let file = File::create_new(path).and_then(|file| {
        write_at(&file, &header, 0)?;
        file.set_len(end)?;
        Ok(file)
    });
    Ok((file.map_err(|error| Error::io(path, "cannot create", error))?, header.len() as u64))
}

impl BlockTarget for NpyTarget {
    fn begin(&self) -> Result<Box<dyn OpenTarget>> {
        let staging = Staging::begin(&self.path, false, "npy", self.if_exists)?;
        let temporary = staging.path().to_path_buf();
        let (file, start) = create(&temporary, self.dtype, &self.shape)?;
        let (path, shape, durable) = (self.path.clone(), self.shape.clone(), self.durable);
        Ok(Box::new(OpenNpy { path, temporary, file, shape, start, durable, staging: Mutex::new(Some(staging)) }))
    }

    fn need(&self, _: u64) -> u64 {
        0
    }
}

impl OpenTarget for OpenNpy {
    fn write(&self, _: &[u32], region: &[Range<usize>], block: &NdBlock) -> Result<u64> {
        let (bytes, size) = (block.data().as_bytes(), block.data().dtype().bytes());
        let mut parts = bytes.chunks_exact((run_len(&self.shape, region) * size).max(1));
        runs(&self.shape, region, |first| match parts.next() {
            Some(part) => write_at(&self.file, part, self.start + (first * size) as u64),
            None => Ok(()),
        })
        .map_err(|error| Error::io(&self.temporary, "cannot write", error))?;
        Ok(bytes.len() as u64)
    }

    fn finish(&self) -> Result<Vec<PathBuf>> {
        if self.durable {
            self.file.sync_all().map_err(|error| Error::io(&self.temporary, "cannot sync", error))?;
        }
        commit(&self.staging, self.durable)?;
        Ok(vec![self.path.clone()])
    }
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(windows)]
fn write_at(file: &File, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = std::os::windows::fs::FileExt::seek_write(file, bytes, at)?;
        bytes = &bytes[written..];
        at += written as u64;
    }
    Ok(())
}

#[cfg(not(any(unix, windows)))]
fn write_at(mut file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    use std::io::{Seek as _, Write as _};
    file.seek(io::SeekFrom::Start(at))?;
    file.write_all(bytes)
}
