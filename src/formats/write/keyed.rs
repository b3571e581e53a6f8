//! A file for each value of some columns, as directories `key=value` have them.
//!
//! Rows come in order. While there are few values, rows of each wait until they are worth a row group. Where there are more values than files can be
//! open, rows go by the hash of their values into buckets on disk, in the order in which they come; each bucket is then
//! written by itself, with fewer values in it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::hash::BuildHasher;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use arrow::row::{RowConverter, SortField};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use hashbrown::HashTable;

pub use super::format::Counts;
use super::format::{Encoder, FileWriter, Item, SMALL_BYTES, SMALL_ROWS};
use crate::error::{Error, ErrorKind, Result};
use crate::store::Reservation;

/// Files that are open at once, at most and at least: what they keep in memory may be an eighth of the limit.
const MOST_OPEN: usize = 256;
const LEAST_OPEN: usize = 8;

/// Memory that open files may take without being asked whether it is there.
const UNASKED: u64 = 1 << 20;

/// Buckets of rows on disk.
const BUCKETS: usize = 64;

/// Bytes of rows that wait for others at most.
const MOST_WAITING: u64 = 32 << 20;

/// How the directory of null is called.
pub const NULL_NAME: &str = "__HIVE_DEFAULT_PARTITION__";

/// Writes a file for each value of the key columns.
pub struct Keyed {
    encoder: Encoder,
    directory: PathBuf,
    /// The name of the next file of each value.
    file_name: String,
    /// Where buckets lie.
    scratch: PathBuf,
    /// The key columns and the others, by their places in the batches that come.
    keys: Vec<usize>,
    others: Vec<usize>,
    schema: SchemaRef,
    durable: bool,
    values: HashMap<String, Value>,
    waiting: usize,
    buckets: Option<Vec<Bucket>>,
    /// How often rows have been put into buckets before.
    depth: u32,
    limit_bytes: u64,
    most_waiting: usize,
    most_open: usize,
    /// For what open files keep in memory.
    held: Reservation,
    written: Vec<(PathBuf, Counts)>,
    /// Brings keys to bytes that are equal where they are.
    converter: Option<RowConverter>,
}

/// What is known of one value of the keys.
#[derive(Default)]
struct Value {
    rows: Vec<RecordBatch>,
    row_count: usize,
    bytes: usize,
    writer: Option<FileWriter>,
    /// Memory that the writer was counted with.
    held: u64,
    path: PathBuf,
}

/// Rows of some values on disk.
struct Bucket {
    path: PathBuf,
    writer: Option<StreamWriter<BufWriter<File>>>,
    rows: Vec<RecordBatch>,
    bytes: usize,
}

impl Keyed {
    /// Writes into a directory tables of `schema`, by the columns at the places `keys`; the encoder is for the other columns. What open files
    /// keep in memory is added to `held`.
    pub fn new(
        encoder: Encoder,
        directory: PathBuf,
        schema: SchemaRef,
        keys: Vec<usize>,
        file_name: String,
        limit_bytes: u64,
        held: Reservation,
    ) -> Keyed {
        let others = (0..schema.fields().len()).filter(|column| !keys.contains(column)).collect();
        let scratch = directory.join("_chunkwise_buckets");
        // At most [`MOST_WAITING`].
        let most_waiting = Self::most_waiting(limit_bytes) as usize;
        let fitting = usize::try_from(limit_bytes / 8 / encoder.open_bytes().max(1)).unwrap_or(MOST_OPEN);
        Keyed {
            encoder,
            directory,
            file_name,
            scratch,
            keys,
            others,
            schema,
            durable: false,
            values: HashMap::new(),
            waiting: 0,
            buckets: None,
            depth: 0,
            limit_bytes,
            most_waiting,
            most_open: fitting.clamp(LEAST_OPEN, MOST_OPEN),
            held,
            written: Vec::new(),
            converter: None,
        }
    }

    /// Whether the files survive a loss of power; otherwise that is left to the system.
    #[must_use]
    pub fn durable(self, durable: bool) -> Keyed {
        Keyed { durable, ..self }
    }

    /// Memory that rows take while they wait, at most.
    pub fn most_waiting(limit_bytes: u64) -> u64 {
        (limit_bytes / 8).clamp(1 << 20, MOST_WAITING)
    }

    /// Memory that it takes to write the rows of a value, at most.
    pub fn need(encoder: &Encoder, limit_bytes: u64) -> u64 {
        encoder.piecewise_need(Self::most_waiting(limit_bytes).min(4 * SMALL_BYTES as u64))
    }

    /// Adds rows, which have the columns of the table.
    ///
    /// # Errors
    /// Of kind `Io`, where a file cannot be written; of kind `Data`, where a value cannot be.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let (names, number_of) = self.names(batch)?;
        let new = names.iter().filter(|name| !self.values.contains_key(*name)).count();
        if self.buckets.is_none() && self.values.len() + new > self.most_open && self.depth < 4 {
            self.open_buckets()?;
        }
        if self.buckets.is_some() {
            // Those that have a file already stay with it: their rows keep their order.
            let bucket_of: Vec<Option<usize>> =
                names.iter().map(|name| (!self.values.contains_key(name)).then(|| self.bucket(name))).collect();
            let mut rows: Vec<Vec<u32>> = vec![Vec::new(); BUCKETS];
            for (row, number) in number_of.iter().enumerate() {
                if let Some(bucket) = bucket_of[*number as usize] {
                    rows[bucket].push(row as u32);
                }
            }
            for (bucket, rows) in rows.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
                let own = take_record_batch(batch, &UInt32Array::from(rows)).map_err(failed)?;
                self.add_to_bucket(bucket, own)?;
            }
            if bucket_of.iter().all(Option::is_some) {
                return Ok(());
            }
            return self.add_values(batch, &names, &number_of, &|name| bucket_of[name].is_none());
        }
        self.add_values(batch, &names, &number_of, &|_| true)
    }

    fn add_values(
        &mut self,
        batch: &RecordBatch,
        names: &[String],
        number_of: &[u32],
        is_meant: &dyn Fn(usize) -> bool,
    ) -> Result<()> {
        let mut rows: Vec<Vec<u32>> = vec![Vec::new(); names.len()];
        for (row, number) in number_of.iter().enumerate() {
            rows[*number as usize].push(row as u32);
        }
        let table = batch.project(&self.others).map_err(failed)?;
        for (at, (name, rows)) in names.iter().zip(rows).enumerate() {
            if !is_meant(at) {
                continue;
            }
            let own = if rows.len() == batch.num_rows() {
                table.clone()
            } else {
                take_record_batch(&table, &UInt32Array::from(rows)).map_err(failed)?
            };
            let value = self.values.entry(name.clone()).or_default();
            let bytes = own.get_array_memory_size();
            value.row_count += own.num_rows();
            value.bytes += bytes;
            value.rows.push(own);
            self.waiting += bytes;
            if value.row_count >= 4 * SMALL_ROWS || value.bytes >= 4 * SMALL_BYTES {
                self.flush(name)?;
            }
        }
        while self.waiting > self.most_waiting {
            let largest = self.values.iter().max_by_key(|(name, value)| (value.bytes, std::cmp::Reverse(*name)));
            let Some(largest) = largest.map(|(name, _)| name.clone()) else { break };
            self.flush(&largest)?;
        }
        Ok(())
    }

    /// Writes the rows of a value that wait.
    fn flush(&mut self, name: &str) -> Result<()> {
        let Some(value) = self.values.get_mut(name) else { return Ok(()) };
        self.waiting -= value.bytes;
        (value.row_count, value.bytes) = (0, 0);
        let rows = std::mem::take(&mut value.rows);
        if rows.is_empty() {
            return Ok(());
        }
        if value.writer.is_none() {
            let directory = self.directory.join(name);
            std::fs::create_dir_all(&directory).map_err(|error| Error::io(&directory, "cannot create", error))?;
            value.path = directory.join(&self.file_name);
            value.writer = Some(self.encoder.create(&value.path)?);
        }
        let mut part = self.encoder.begin();
        let writer = value.writer.as_mut().ok_or_else(|| Error::internal("a file that was not made"))?;
        let mut write = |items: Vec<Item>| items.into_iter().try_for_each(|item| writer.write(&self.encoder, item));
        for batch in rows {
            part.add(batch)?;
            write(part.drain())?;
        }
        write(part.finish()?)?;
        let now = writer.memory();
        let more = now.saturating_sub(std::mem::replace(&mut value.held, now));
        if self.held.bytes() + more <= UNASKED {
            self.held.force_grow(more);
            return Ok(());
        }
        self.held.try_grow(more).map_err(|refused| {
            let text = format!(
                "{}: of each file that is open its end is kept in memory, which says where each column of each row group lies; partition \
                 by columns with fewer values, or raise memory_limit",
                refused.message()
            );
            Error::new(ErrorKind::OutOfMemory, text)
        })
    }

    /// The directories of the values in a batch, each once, and which of them each row has.
    fn names(&mut self, batch: &RecordBatch) -> Result<(Vec<String>, Vec<u32>)> {
        let columns: Vec<ArrayRef> = self.keys.iter().map(|column| batch.column(*column).clone()).collect();
        let converter = match &mut self.converter {
            Some(converter) => converter,
            none => {
                let fields = columns.iter().map(|column| SortField::new(column.data_type().clone()));
                none.insert(RowConverter::new(fields.collect()).map_err(failed)?)
            }
        };
        let rows = converter.convert_columns(&columns).map_err(failed)?;
        let shown = columns.iter().map(|column| ArrayFormatter::try_new(column, &FormatOptions::new()).map_err(failed));
        let shown = shown.collect::<Result<Vec<_>>>()?;
        let hasher = foldhash::fast::FixedState::default();
        // The first row of each value of this batch.
        let mut table: HashTable<(u64, u32)> = HashTable::new();
        let mut firsts: Vec<usize> = Vec::new();
        let mut number_of = Vec::with_capacity(batch.num_rows());
        for (at, row) in rows.iter().enumerate() {
            let hash = hasher.hash_one(row.data());
            let known = table.find(hash, |(known, number)| *known == hash && rows.row(firsts[*number as usize]) == row);
            number_of.push(match known {
                Some((_, number)) => *number,
                None => {
                    let number = firsts.len() as u32;
                    firsts.push(at);
                    table.insert_unique(hash, (hash, number), |(hash, _)| *hash);
                    number
                }
            });
        }
        let name = |row: &usize| {
            let mut text = String::new();
            for ((column, shown), key) in columns.iter().zip(&shown).zip(&self.keys) {
                if !text.is_empty() {
                    text.push('/');
                }
                let name = self.schema.field(*key).name();
                match name.strip_prefix('.') {
                    // Readers pass over what begins with a point.
                    Some(rest) => {
                        text.push_str("%2E");
                        escape(rest, &mut text);
                    }
                    None => escape(name, &mut text),
                }
                text.push('=');
                if column.is_null(*row) {
                    text.push_str(NULL_NAME);
                } else {
                    let mut value = shown.value(*row).try_to_string().map_err(failed)?;
                    if value == "-0.0" && is_float(column.data_type()) {
                        value.remove(0);
                    }
                    if value == NULL_NAME {
                        return Err(null_name(self.schema.field(*key).name()));
                    }
                    escape(&value, &mut text);
                }
            }
            Ok(text)
        };
        let names = firsts.iter().map(name).collect::<Result<Vec<String>>>()?;
        Ok(match columns.iter().any(|column| is_float(column.data_type())) {
            true => each_once(names, number_of),
            false => (names, number_of),
        })
    }

    fn bucket(&self, name: &str) -> usize {
        use std::hash::Hasher;
        let mut hasher = foldhash::fast::FixedState::with_seed(u64::from(self.depth)).build_hasher();
        hasher.write(name.as_bytes());
        (hasher.finish() >> 32) as usize % BUCKETS
    }

    fn open_buckets(&mut self) -> Result<()> {
        std::fs::create_dir_all(&self.scratch).map_err(|error| Error::io(&self.scratch, "cannot create", error))?;
        let path = |at: usize| self.scratch.join(format!("{}-{at}", self.depth));
        let bucket = |at: usize| Bucket { path: path(at), writer: None, rows: Vec::new(), bytes: 0 };
        self.buckets = Some((0..BUCKETS).map(bucket).collect());
        Ok(())
    }

    fn add_to_bucket(&mut self, at: usize, rows: RecordBatch) -> Result<()> {
        let most = self.most_waiting / (2 * BUCKETS);
        let schema = self.schema.clone();
        let Some(bucket) = self.buckets.as_mut().and_then(|buckets| buckets.get_mut(at)) else {
            return Err(Error::internal("a bucket that is not there"));
        };
        bucket.bytes += rows.get_array_memory_size();
        bucket.rows.push(rows);
        if bucket.bytes >= most { bucket.flush(&schema) } else { Ok(()) }
    }

    /// Writes all that waits, and ends all files; gives them in the order of their names.
    ///
    /// # Errors
    /// As [`Keyed::add`].
    pub fn finish(mut self, check: &dyn Fn() -> Result<()>) -> Result<Vec<(PathBuf, Counts)>> {
        self.end_values()?;
        let mut open: Vec<(PathBuf, u32)> = self.end_buckets()?;
        while let Some((path, depth)) = open.pop() {
            check()?;
            // The values of this bucket alone: a writer of its own.
            let mut inner = Keyed::new(
                self.encoder.clone(),
                self.directory.clone(),
                self.schema.clone(),
                self.keys.clone(),
                self.file_name.clone(),
                self.limit_bytes,
                self.held.budget().force_reserve("write", 0),
            )
            .durable(self.durable);
            inner.depth = depth;
            inner.scratch = path.with_extension("buckets");
            let file = File::open(&path).map_err(|error| Error::io(&path, "cannot read", error))?;
            let reader = StreamReader::try_new(BufReader::new(file), None).map_err(|error| corrupt(&path, error))?;
            for batch in reader {
                check()?;
                inner.add(&batch.map_err(|error| corrupt(&path, error))?)?;
            }
            std::fs::remove_file(&path).map_err(|error| Error::io(&path, "cannot remove", error))?;
            inner.end_values()?;
            open.extend(inner.end_buckets()?);
            self.written.append(&mut inner.written);
        }
        if self.scratch.exists() {
            std::fs::remove_dir_all(&self.scratch).map_err(|e| Error::io(&self.scratch, "cannot remove", e))?;
        }
        self.written.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(self.written)
    }

    fn end_values(&mut self) -> Result<()> {
        let mut names: Vec<String> = self.values.keys().cloned().collect();
        names.sort_unstable();
        for name in names {
            self.flush(&name)?;
            let Some(Value { writer: Some(writer), path, held, .. }) = self.values.remove(&name) else { continue };
            self.written.push((path, writer.finish(self.durable)?));
            self.held.shrink(held);
        }
        Ok(())
    }

    /// Ends all buckets; gives those that have rows, and at which depth they are read.
    fn end_buckets(&mut self) -> Result<Vec<(PathBuf, u32)>> {
        let mut full = Vec::new();
        for mut bucket in self.buckets.take().unwrap_or_default() {
            bucket.flush(&self.schema)?;
            if let Some(mut writer) = bucket.writer {
                writer.finish().map_err(|error| corrupt(&bucket.path, error))?;
                full.push((bucket.path, self.depth + 1));
            }
        }
        Ok(full)
    }
}

impl Bucket {
    fn flush(&mut self, schema: &SchemaRef) -> Result<()> {
        self.bytes = 0;
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() {
            return Ok(());
        }
        if self.writer.is_none() {
            if let Some(parent) = self.path.parent() {
                std::fs::create_dir_all(parent).map_err(|error| Error::io(parent, "cannot create", error))?;
            }
            let file = File::create(&self.path).map_err(|error| Error::io(&self.path, "cannot create", error))?;
            let writer = StreamWriter::try_new(BufWriter::new(file), schema);
            self.writer = Some(writer.map_err(|error| corrupt(&self.path, error))?);
        }
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let all = arrow::compute::concat_batches(schema, &rows).map_err(failed)?;
        writer.write(&all).map_err(|error| corrupt(&self.path, error))
    }
}

/// How the files of a data set are called: what stands before their numbers, and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileNames {
    pub prefix: String,
    pub suffix: String,
}

impl FileNames {
    /// `part.0.csv` and so on.
    pub fn parts(extension: &str) -> FileNames {
        FileNames { prefix: "part.".to_string(), suffix: format!(".{extension}") }
    }

    /// The name of a file.
    pub fn name(&self, part: u32) -> String {
        format!("{}{part}{}", self.prefix, self.suffix)
    }

    /// The number of a file, if it is called so.
    pub fn number(&self, name: &str) -> Option<u32> {
        name.strip_prefix(&*self.prefix)?.strip_suffix(&*self.suffix)?.parse().ok()
    }

    /// The ending of all names, if they have one.
    pub fn extension(&self) -> Option<&str> {
        self.suffix.rsplit_once('.').map(|(_, extension)| extension)
    }
}

/// Whether values may be equal that differ as rows: zeros, and what is no number.
fn is_float(of: &DataType) -> bool {
    match of {
        DataType::Dictionary(_, values) => values.is_floating(),
        other => other.is_floating(),
    }
}

/// The names without those that are there twice, and the numbers of what is left.
fn each_once(names: Vec<String>, mut number_of: Vec<u32>) -> (Vec<String>, Vec<u32>) {
    let mut places: HashMap<&str, u32> = HashMap::with_capacity(names.len());
    let mut firsts: Vec<usize> = Vec::with_capacity(names.len());
    let mut renumbered: Vec<u32> = Vec::with_capacity(names.len());
    for (at, name) in names.iter().enumerate() {
        renumbered.push(*places.entry(name).or_insert_with(|| {
            firsts.push(at);
            firsts.len() as u32 - 1
        }));
    }
    if firsts.len() < names.len() {
        number_of.iter_mut().for_each(|number| *number = renumbered[*number as usize]);
        return (firsts.into_iter().map(|at| names[at].clone()).collect(), number_of);
    }
    (names, number_of)
}

/// A text as a part of a path: what has a meaning there is written as `%2F`.
fn escape(text: &str, out: &mut String) {
    for letter in text.chars() {
        if letter.is_ascii_control() || "\"#%'*/:=?\\{}[]^<>|".contains(letter) {
            // Writing to a text does not fail.
            let _ = write!(out, "%{:02X}", letter as u32);
        } else {
            out.push(letter);
        }
    }
}

/// A text that would be read back as null.
fn null_name(column: &str) -> Error {
    let text = format!(
        "column `{column}`: the text `{NULL_NAME}` names the directory of null, and cannot be a value of `partition_by`: \
         replace it, or make it null"
    );
    Error::new(ErrorKind::Data, text)
}

fn corrupt(path: &Path, error: arrow::error::ArrowError) -> Error {
    Error::with_source(ErrorKind::Io, format_args!("{}", path.display()), error)
}

fn failed(error: arrow::error::ArrowError) -> Error {
    Error::with_source(ErrorKind::Data, "cannot write", error)
}
