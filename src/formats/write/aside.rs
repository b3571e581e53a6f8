//! Rows that come long before their turn: they wait in a file, not in memory.
//!
//! Parts of a file are made side by side and written in their order. A few of them wait in memory for an earlier one; where
//! that one is late, the rows of others go into a file without a name, batch by batch, and are encoded when their turn comes.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use crate::error::{Error, ErrorKind, Result};
use crate::store::{Budget, Reservation};

/// What waits for its turn, in memory and in a file.
pub struct Aside {
    path: PathBuf,
    /// The file and its length; none before the first batch.
    file: Mutex<Option<(File, u64)>>,
    /// Memory that may wait before rows go into the file.
    most: u64,
    held: Mutex<Reservation>,
}

/// Where a batch lies in the file.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    start: u64,
    len: u64,
}

impl Aside {
    /// With a file at a path that nothing else is at, should it come to that, for what exceeds `most` bytes in memory.
    pub fn new(path: PathBuf, most: u64, budget: &Budget) -> Aside {
        let held = Mutex::new(budget.force_reserve("write", 0));
        Aside { path, file: Mutex::new(None), most, held }
    }

    /// Whether no more should wait in memory.
    pub fn is_full(&self) -> bool {
        lock(&self.held).bytes() >= self.most
    }

    /// Counts what waits in memory from now on. It is never refused: a task that has made something has to leave it somewhere.
    pub fn hold(&self, bytes: u64) {
        lock(&self.held).force_grow(bytes);
    }

    /// For what else a file keeps in memory.
    pub fn reservation(&self) -> Reservation {
        lock(&self.held).budget().force_reserve("write", 0)
    }

    /// Counts what does not wait any longer.
    pub fn release(&self, bytes: u64) {
        lock(&self.held).shrink(bytes);
    }

    /// Takes a batch out of memory.
    ///
    /// # Errors
    /// Of kind `Io`, naming the path.
    pub fn put(&self, batch: &RecordBatch) -> Result<Segment> {
        let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).map_err(failed)?;
        writer.write(batch).and_then(|()| writer.finish()).map_err(failed)?;
        let bytes = writer.into_inner().map_err(failed)?;
        let mut file = lock(&self.file);
        if file.is_none() {
            *file = Some((self.open()?, 0));
        }
        let Some((file, end)) = &mut *file else { return Err(Error::internal("a file that was not made")) };
        let written = file.seek(SeekFrom::Start(*end)).and_then(|_| file.write_all(&bytes));
        written.map_err(|error| Error::io(&self.path, "cannot write", error))?;
        let segment = Segment { start: *end, len: bytes.len() as u64 };
        *end += segment.len;
        Ok(segment)
    }

    /// A batch that was put aside.
    ///
    /// # Errors
    /// Of kind `Io`, naming the path.
    pub fn get(&self, segment: Segment) -> Result<RecordBatch> {
        let mut bytes = vec![0; usize::try_from(segment.len).map_err(|_| Error::internal("a batch too large"))?];
        {
            let mut file = lock(&self.file);
            let Some((file, _)) = &mut *file else { return Err(Error::internal("nothing was put aside")) };
            let read = file.seek(SeekFrom::Start(segment.start)).and_then(|_| file.read_exact(&mut bytes));
            read.map_err(|error| Error::io(&self.path, "cannot read", error))?;
        }
        let mut batches = StreamReader::try_new(&bytes[..], None).map_err(failed)?;
        let batch = batches.next().ok_or_else(|| Error::internal("a batch put aside is gone"))?;
        batch.map_err(failed)
    }

    /// Ends the file.
    pub fn close(&self) {
        if lock(&self.file).take().is_some() && !cfg!(unix) {
            let _ = std::fs::remove_file(&self.path);
        }
    }

    fn open(&self) -> Result<File> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&self.path);
        let file = file.map_err(|error| Error::io(&self.path, "cannot create", error))?;
        if cfg!(unix) {
            // Without a name it is gone with its handle, however the process ends.
            std::fs::remove_file(&self.path).map_err(|error| Error::io(&self.path, "cannot remove", error))?;
        }
        Ok(file)
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        self.close();
    }
}

fn failed(error: arrow::error::ArrowError) -> Error {
    Error::with_source(ErrorKind::Data, "rows put aside", error)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
