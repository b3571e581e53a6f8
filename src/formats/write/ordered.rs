//! One file that tasks fill side by side: what they encoded is appended in their order.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field};

use super::format::{Counts, Encoder, FileWriter, Item, memory_of, shown_bytes_of};
use super::{Aside, Segment};
use crate::error::{Error, ErrorKind, Result, human_bytes};
use crate::store::Reservation;

/// A file with parts that come in any order.
pub struct Ordered {
    encoder: Encoder,
    path: PathBuf,
    durable: bool,
    /// Parts that have come and wait for earlier ones; no part is taken in under the lock of the file.
    waiting: Mutex<BTreeMap<u32, Part>>,
    aside: Arc<Aside>,
    /// The next part to be written, as far as others have to know.
    next: AtomicU32,
    file: Mutex<FileState>,
}

/// What a task made.
#[derive(Default)]
pub struct Part {
    /// Ready to be written.
    pub items: Vec<Item>,
    /// Rows behind those, which were put aside, to be encoded.
    pub aside: Vec<Segment>,
}

struct FileState {
    writer: Option<FileWriter>,
    /// The next part to be written.
    next: u32,
    /// Rows that are few.
    small: Vec<RecordBatch>,
    small_rows: usize,
    small_bytes: usize,
    /// For those, and for what is kept for the end of the file.
    held: Reservation,
}

/// Batches of few rows that wait at most before they are put together.
const MOST_BATCHES: usize = 32;

impl FileState {
    /// Makes one batch of the rows that are few, where none of them comes as a dictionary: the arrays of many batches take more than their values.
    fn put_together(&mut self) -> Result<()> {
        let Some(schema) = self.small.first().map(RecordBatch::schema) else { return Ok(()) };
        let is_plain = |field: &Arc<Field>| {
            !matches!(field.data_type(), DataType::Dictionary(..)) && !field.data_type().is_nested()
        };
        let alike =
            self.small.iter().all(|batch| *batch.schema_ref() == schema) && schema.fields().iter().all(is_plain);
        if !alike {
            return Ok(());
        }
        let failed = |error| Error::with_source(ErrorKind::Data, "rows of several tasks", error);
        let one = concat_batches(&schema, &self.small).map_err(failed)?;
        self.held.shrink(self.small.iter().map(memory_of).sum());
        self.held.force_grow(memory_of(&one));
        self.small = vec![one];
        Ok(())
    }
}

impl Part {
    fn bytes(&self) -> u64 {
        self.items.iter().map(Item::bytes).sum()
    }
}

impl Ordered {
    /// A file at a path, made when the first row comes.
    pub fn new(encoder: Encoder, path: PathBuf, durable: bool, aside: Arc<Aside>) -> Ordered {
        let held = aside.reservation();
        let file = FileState { writer: None, next: 0, small: Vec::new(), small_rows: 0, small_bytes: 0, held };
        let (waiting, next) = (Mutex::default(), AtomicU32::new(0));
        Ordered { encoder, path, durable, waiting, aside, next, file: Mutex::new(file) }
    }

    /// Whether the rows of a part should be put aside: earlier ones are missing, and much waits already.
    pub fn is_early(&self, number: u32) -> bool {
        self.next.load(Ordering::Relaxed) != number && self.aside.is_full()
    }

    /// Takes in a part, and writes all parts that are next. While another task writes, it is left to that one.
    ///
    /// # Errors
    /// Of kind `Io`, where the file cannot be written.
    pub fn deliver(&self, number: u32, part: Part) -> Result<()> {
        self.aside.hold(part.bytes());
        self.parts().insert(number, part);
        loop {
            let Ok(mut file) = self.file.try_lock() else { return Ok(()) };
            while let Some(part) = self.next(file.next) {
                file.next += 1;
                self.next.store(file.next, Ordering::Relaxed);
                for item in part.items {
                    self.write(&mut file, item)?;
                }
                self.encode(&mut file, part.aside)?;
            }
            let next = file.next;
            drop(file);
            // What came between the last look and the unlocking is to be written by somebody.
            if !self.parts().contains_key(&next) {
                return Ok(());
            }
        }
    }

    fn next(&self, number: u32) -> Option<Part> {
        let part = self.parts().remove(&number)?;
        self.aside.release(part.bytes());
        Some(part)
    }

    fn parts(&self) -> std::sync::MutexGuard<'_, BTreeMap<u32, Part>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the beginning of a part whose task has more to come, if it is the part's turn and nobody writes; what was not
    /// written stays.
    ///
    /// # Errors
    /// Of kind `Io`, where the file cannot be written.
    pub fn write_beginning(&self, number: u32, items: &mut Vec<Item>) -> Result<()> {
        if self.next.load(Ordering::Relaxed) != number {
            return Ok(());
        }
        // Nobody else gets further before this part is delivered, and then looks again.
        let Ok(mut file) = self.file.try_lock() else { return Ok(()) };
        if file.next == number {
            for item in std::mem::take(items) {
                self.write(&mut file, item)?;
            }
        }
        Ok(())
    }

    /// Writes rows that were put aside, as the task that had them would have encoded them.
    fn encode(&self, file: &mut FileState, segments: Vec<Segment>) -> Result<()> {
        let mut part = self.encoder.begin();
        for segment in segments {
            part.add(self.aside.get(segment)?)?;
            for item in part.drain() {
                self.write(file, item)?;
            }
        }
        part.finish()?.into_iter().try_for_each(|item| self.write(file, item))
    }

    fn write(&self, file: &mut FileState, item: Item) -> Result<()> {
        if let Item::Rows(batches) = item {
            for batch in batches {
                file.small_rows += batch.num_rows();
                file.small_bytes += shown_bytes_of(&batch) as usize;
                file.held.force_grow(memory_of(&batch));
                file.small.push(batch);
            }
            if file.small.len() >= MOST_BATCHES {
                file.put_together()?;
            }
            if self.encoder.is_large(file.small_rows, file.small_bytes) {
                self.flush(file)?;
            }
            return Ok(());
        }
        self.flush(file)?;
        self.append(file, item)
    }

    /// Writes what comes next, and counts what is kept of it for the end of the file.
    fn append(&self, file: &mut FileState, item: Item) -> Result<()> {
        let writer = self.writer(file)?;
        let before = writer.memory();
        writer.write(&self.encoder, item)?;
        let (now, path) = (writer.memory(), self.path.display());
        file.held.try_grow(now - before).map_err(|refused| {
            let text = format!(
                "{}: the end of {path} says where each column of each row group lies, which is {} until now; write larger row groups \
                 or more files, or raise memory_limit",
                refused.message(),
                human_bytes(now)
            );
            Error::new(ErrorKind::OutOfMemory, text)
        })
    }

    /// Writes the rows that are few.
    fn flush(&self, file: &mut FileState) -> Result<()> {
        let small = std::mem::take(&mut file.small);
        file.held.shrink(small.iter().map(memory_of).sum());
        (file.small_rows, file.small_bytes) = (0, 0);
        if small.is_empty() {
            return Ok(());
        }
        self.append(file, Item::Rows(small))
    }

    fn writer<'a>(&self, file: &'a mut FileState) -> Result<&'a mut FileWriter> {
        if file.writer.is_none() {
            file.writer = Some(self.encoder.create(&self.path)?);
        }
        file.writer.as_mut().ok_or_else(|| Error::internal("a file that was not made"))
    }

    /// Ends the file, once all of its `parts` have come. Without rows there is no file, unless it is `wanted` all the same.
    ///
    /// # Errors
    /// Of kind `Io`; of kind `Internal`, where a part is missing.
    pub fn finish(&self, parts: u32, wanted: bool) -> Result<Option<(PathBuf, Counts)>> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if file.next != parts {
            return Err(Error::internal("a file is ended before all its parts came"));
        }
        self.flush(&mut file)?;
        if wanted {
            self.writer(&mut file)?;
        }
        let Some(writer) = file.writer.take() else { return Ok(None) };
        Ok(Some((self.path.clone(), writer.finish(self.durable)?)))
    }
}
