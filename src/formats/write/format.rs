//! One format of files: how batches are encoded and a file is written.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};

use crate::error::{Error, Result};
use crate::formats::csv::{self, CsvWriteOptions};
use crate::formats::ipc::{IPC_BUFFER, IpcCompression, IpcFileWriter};
use crate::formats::json;
#[cfg(feature = "parquet")]
use crate::formats::parquet::{EncodedRowGroup, ParquetEncoder, ParquetEncoding, ParquetFileWriter};
use crate::store::{ARRAY_BYTES, shown_bytes};

/// A format, and how it is written.
#[derive(Clone, Debug, PartialEq)]
pub enum Format {
    /// Parquet.
    #[cfg(feature = "parquet")]
    Parquet(ParquetEncoding),
    /// Comma-separated values.
    Csv(CsvWriteOptions),
    /// One JSON object per line.
    Json,
    /// Arrow IPC.
    Ipc(IpcCompression),
}

/// Rows that are fewer than this, and smaller than [`SMALL_BYTES`], are put together with others before they are encoded.
pub const SMALL_ROWS: usize = 16 << 10;

/// See [`SMALL_ROWS`].
pub const SMALL_BYTES: usize = 2 << 20;

/// Bytes of a column in as many rows as are encoded by themselves, at least.
const SMALL_COLUMN_BYTES: usize = 1 << 10;

/// Text of this size is handed on, so that little of what is allocated ahead of it is not used.
const TEXT_BYTES: usize = 1 << 20;

/// Text that is written to a file at once.
const TEXT_BUFFER: usize = 64 << 10;

/// Encodes batches of one schema.
#[derive(Clone, Debug)]
pub struct Encoder {
    format: Format,
    schema: SchemaRef,
    #[cfg(feature = "parquet")]
    parquet: Option<ParquetEncoder>,
}

/// A part of a file, in memory.
pub enum Item {
    /// Rows that are still to be encoded.
    Rows(Vec<RecordBatch>),
    /// A row group.
    #[cfg(feature = "parquet")]
    Group(EncodedRowGroup),
    /// Text of so many rows.
    Text(Vec<u8>, u64),
}

impl Item {
    /// Memory it takes.
    pub fn bytes(&self) -> u64 {
        match self {
            Item::Rows(batches) => batches.iter().map(memory_of).sum(),
            #[cfg(feature = "parquet")]
            Item::Group(group) => group.memory(),
            Item::Text(text, _) => text.capacity() as u64,
        }
    }
}

impl Format {
    /// The ending of file names.
    pub fn extension(&self) -> &'static str {
        match self {
            #[cfg(feature = "parquet")]
            Format::Parquet(_) => "parquet",
            Format::Csv(_) => "csv",
            Format::Json => "jsonl",
            Format::Ipc(_) => "arrow",
        }
    }
}

impl Encoder {
    /// For tables of a schema.
    ///
    /// # Errors
    /// Of kind `Plan` or `Unsupported`, where the format cannot hold such tables or an option is wrong.
    pub fn new(format: &Format, schema: &SchemaRef) -> Result<Encoder> {
        if schema.fields().is_empty() && !matches!(format, Format::Ipc(_)) {
            let text =
                "a table without columns cannot be written in this format: nothing would tell how many rows it has";
            return Err(Error::new(crate::error::ErrorKind::Plan, text));
        }
        if let Format::Csv(options) = format {
            csv::encode_header(schema, options, &mut Vec::new())?;
            if let Some(field) = schema.fields().iter().find(|field| field.data_type().is_nested()) {
                let text = format!("column `{}` is a {}, which CSV cannot hold", field.name(), field.data_type());
                return Err(Error::new(crate::error::ErrorKind::Plan, text));
            }
        }
        if matches!(format, Format::Csv(_) | Format::Json) {
            let has_duration = |field: &&FieldRef| {
                let alone = Schema::new(vec![(*field).clone()]);
                alone.flattened_fields().iter().any(|part| matches!(part.data_type(), DataType::Duration(_)))
            };
            if let Some(field) = schema.fields().iter().find(has_duration) {
                let (name, of) = (field.name(), field.data_type());
                let text =
                    format!("column `{name}` is a {of}: durations cannot be read back from text, cast them to Int64");
                return Err(Error::new(crate::error::ErrorKind::Plan, text));
            }
        }
        Ok(Encoder {
            #[cfg(feature = "parquet")]
            parquet: match format {
                Format::Parquet(encoding) => Some(ParquetEncoder::new(schema.clone(), encoding)?),
                _ => None,
            },
            format: format.clone(),
            schema: schema.clone(),
        })
    }

    /// The schema of what is written.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The format.
    pub fn format(&self) -> &Format {
        &self.format
    }

    /// About how many bytes it takes at most to encode rows of so many bytes, with what becomes of them.
    pub fn need(&self, bytes: u64) -> u64 {
        let encoded = match &self.format {
            // What is encoded is hardly larger than the rows; of each column a page or a dictionary is there twice.
            #[cfg(feature = "parquet")]
            Format::Parquet(encoding) => {
                let columns = self.schema.flattened_fields().len() as u64;
                let fixed = self.parquet.as_ref().map_or(0, ParquetEncoder::fixed_bytes);
                bytes + (bytes / 2).min(columns.saturating_mul(encoding.page_bytes as u64)) + fixed
            }
            Format::Csv(_) => (bytes as f64 * text_ratio(&self.schema, false)) as u64,
            Format::Json => (bytes as f64 * text_ratio(&self.schema, true)) as u64,
            // The rows themselves.
            Format::Ipc(_) => bytes,
        };
        encoded + self.small_bytes() as u64
    }

    /// Rows of so many bytes are not put together with others. In a wide table they are more: each column of a row group takes memory and
    /// room in the file beside its values.
    pub(super) fn small_bytes(&self) -> usize {
        #[cfg(feature = "parquet")]
        let columns = self.parquet.as_ref().map_or(0, ParquetEncoder::leaves);
        #[cfg(not(feature = "parquet"))]
        let columns = 0;
        SMALL_BYTES.max(columns * SMALL_COLUMN_BYTES)
    }

    /// Whether so many rows of so many bytes are encoded by themselves.
    pub(super) fn is_large(&self, rows: usize, bytes: usize) -> bool {
        rows >= SMALL_ROWS || bytes >= self.small_bytes()
    }

    /// As [`Encoder::need`], where what is made of the rows is written after each batch.
    pub fn piecewise_need(&self, bytes: u64) -> u64 {
        match &self.format {
            #[cfg(feature = "parquet")]
            Format::Parquet(_) => self.need(bytes),
            Format::Csv(_) | Format::Json | Format::Ipc(_) => bytes.min((SMALL_BYTES + TEXT_BYTES) as u64),
        }
    }

    /// Memory of a file that is open and has few rows.
    pub(super) fn open_bytes(&self) -> u64 {
        match &self.format {
            #[cfg(feature = "parquet")]
            Format::Parquet(_) => self.parquet.as_ref().map_or(0, ParquetEncoder::footer_bytes),
            Format::Csv(_) | Format::Json => TEXT_BUFFER as u64,
            Format::Ipc(_) => IPC_BUFFER as u64,
        }
    }

    /// Encodes rows as they come.
    pub fn begin(&self) -> Part<'_> {
        Part {
            encoder: self,
            items: Vec::new(),
            rows: Vec::new(),
            row_count: 0,
            row_bytes: 0,
            #[cfg(feature = "parquet")]
            group: None,
        }
    }

    /// Makes a file.
    ///
    /// # Errors
    /// Of kind `Io`.
    pub fn create(&self, path: &Path) -> Result<FileWriter> {
        let kind = match &self.format {
            #[cfg(feature = "parquet")]
            Format::Parquet(_) => {
                let encoder = self.parquet.as_ref().ok_or_else(|| Error::internal("Parquet without an encoder"))?;
                WriterKind::Parquet(Box::new(ParquetFileWriter::create(path, encoder)?))
            }
            Format::Csv(_) | Format::Json => {
                let file = File::create(path).map_err(|error| Error::io(path, "cannot create", error))?;
                let mut writer = TextWriter { to: BufWriter::with_capacity(TEXT_BUFFER, file), rows: 0, bytes: 0 };
                if let Format::Csv(options) = &self.format
                    && options.header
                {
                    let mut header = Vec::new();
                    csv::encode_header(&self.schema, options, &mut header)?;
                    writer.write(&header, 0).map_err(|error| Error::io(path, "cannot write", error))?;
                }
                WriterKind::Text(writer)
            }
            Format::Ipc(compression) => {
                WriterKind::Ipc(Box::new(IpcFileWriter::create(path, self.schema.clone(), *compression)?))
            }
        };
        Ok(FileWriter { kind, path: path.to_path_buf() })
    }
}

/// Rows of one task on their way into a file. What is large enough is encoded at once; the rest is handed on as rows.
pub struct Part<'a> {
    encoder: &'a Encoder,
    items: Vec<Item>,
    rows: Vec<RecordBatch>,
    row_count: usize,
    row_bytes: usize,
    #[cfg(feature = "parquet")]
    group: Option<crate::formats::parquet::RowGroupEncoder>,
}

impl Part<'_> {
    /// Adds rows.
    ///
    /// # Errors
    /// Of kind `Data`, where a value cannot be written.
    pub fn add(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        match &self.encoder.format {
            Format::Csv(options) => {
                let (text, rows) = self.text();
                csv::encode(&batch, options, text)?;
                *rows += batch.num_rows() as u64;
            }
            Format::Json => {
                let (text, rows) = self.text();
                json::encode_lines(&batch, text)?;
                *rows += batch.num_rows() as u64;
            }
            Format::Ipc(_) => {
                self.row_count += batch.num_rows();
                self.row_bytes += shown_bytes_of(&batch) as usize;
                self.rows.push(batch);
                if self.row_bytes >= 4 * SMALL_BYTES {
                    self.hand_on();
                }
            }
            #[cfg(feature = "parquet")]
            Format::Parquet(_) => self.add_to_group(batch)?,
        }
        Ok(())
    }

    fn text(&mut self) -> (&mut Vec<u8>, &mut u64) {
        if !matches!(self.items.last(), Some(Item::Text(text, _)) if text.len() < TEXT_BYTES) {
            self.end_text();
            self.items.push(Item::Text(Vec::with_capacity(64 << 10), 0));
        }
        match self.items.last_mut() {
            Some(Item::Text(text, rows)) => (text, rows),
            _ => unreachable!("it was pushed above"),
        }
    }

    /// Gives back what was allocated ahead of the last text.
    fn end_text(&mut self) {
        if let Some(Item::Text(text, _)) = self.items.last_mut() {
            text.shrink_to_fit();
        }
    }

    #[cfg(feature = "parquet")]
    fn add_to_group(&mut self, batch: RecordBatch) -> Result<()> {
        let mut left = Some(batch);
        while let Some(batch) = left.take() {
            let Some(group) = &mut self.group else {
                // Few rows wait until it is known whether there are more.
                self.row_count += batch.num_rows();
                self.row_bytes += shown_bytes_of(&batch) as usize;
                self.rows.push(batch);
                if self.encoder.is_large(self.row_count, self.row_bytes) {
                    let encoder = self.encoder.parquet.as_ref();
                    let encoder = encoder.ok_or_else(|| Error::internal("Parquet without an encoder"))?;
                    self.group = self.rows.first().map(|first| encoder.begin_with(first)).transpose()?;
                    (self.row_count, self.row_bytes) = (0, 0);
                    for batch in std::mem::take(&mut self.rows) {
                        self.add_to_group(batch)?;
                    }
                }
                return Ok(());
            };
            let room = group.rows_left().max(1);
            group.write(&batch.slice(0, room.min(batch.num_rows())))?;
            if group.is_full() {
                self.end_group()?;
            }
            if room < batch.num_rows() {
                left = Some(batch.slice(room, batch.num_rows() - room));
            }
        }
        Ok(())
    }

    #[cfg(feature = "parquet")]
    fn end_group(&mut self) -> Result<()> {
        if let Some(group) = self.group.take() {
            self.items.push(Item::Group(group.finish()?));
        }
        Ok(())
    }

    fn hand_on(&mut self) {
        (self.row_count, self.row_bytes) = (0, 0);
        if !self.rows.is_empty() {
            self.items.push(Item::Rows(std::mem::take(&mut self.rows)));
        }
    }

    /// Memory it takes.
    pub fn bytes(&self) -> u64 {
        let items: u64 = self.items.iter().map(Item::bytes).sum();
        #[cfg(feature = "parquet")]
        let group = self.group.as_ref().map_or(0, |group| group.memory() as u64);
        #[cfg(not(feature = "parquet"))]
        let group = 0;
        items + self.row_bytes as u64 + group
    }

    /// What the rows have become until now: it comes before what [`Part::finish`] gives.
    pub fn drain(&mut self) -> Vec<Item> {
        std::mem::take(&mut self.items)
    }

    /// The same, where it stays if it is not taken.
    pub fn items(&mut self) -> &mut Vec<Item> {
        &mut self.items
    }

    /// What became of the rows, in their order.
    ///
    /// # Errors
    /// Of kind `Data`, where they cannot be encoded.
    pub fn finish(mut self) -> Result<Vec<Item>> {
        #[cfg(feature = "parquet")]
        self.end_group()?;
        self.end_text();
        self.hand_on();
        Ok(self.items)
    }
}

/// Memory that the rows of a batch take, however much larger the buffers are that they lie in.
pub(super) fn shown_bytes_of(batch: &RecordBatch) -> u64 {
    batch.columns().iter().map(|column| shown_bytes(column)).sum()
}

/// The same with the arrays themselves, which of a few rows of many columns are most of it.
pub(super) fn memory_of(batch: &RecordBatch) -> u64 {
    shown_bytes_of(batch) + batch.num_columns() as u64 * ARRAY_BYTES
}

/// How many times the bytes of rows in memory their text has at most, about.
fn text_ratio(schema: &SchemaRef, named: bool) -> f64 {
    let (mut memory, mut text) = (0.0, 1.0);
    for field in schema.fields() {
        let (of_value, of_text) = widths(field.data_type());
        memory += of_value;
        // As `"name":"value",`.
        text += of_text + if named { field.name().len() as f64 + 5.0 } else { 0.0 };
    }
    if memory > 0.0 { text / memory } else { 1.0 }
}

/// Bytes of a value in memory, and as text with what stands behind it.
fn widths(data_type: &DataType) -> (f64, f64) {
    match data_type {
        DataType::Null => (1.0, 5.0),
        DataType::Boolean => (0.125, 6.0),
        DataType::Int8 | DataType::UInt8 => (1.0, 5.0),
        DataType::Int16 | DataType::UInt16 => (2.0, 7.0),
        DataType::Int32 | DataType::UInt32 | DataType::Date32 | DataType::Time32(_) => (4.0, 13.0),
        DataType::Int64 | DataType::UInt64 => (8.0, 21.0),
        DataType::Float16 => (2.0, 10.0),
        DataType::Float32 => (4.0, 16.0),
        DataType::Float64 => (8.0, 25.0),
        DataType::Decimal128(..) => (16.0, 41.0),
        DataType::Decimal256(..) => (32.0, 79.0),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => (16.0, 18.0),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => (16.0, 36.0),
        other => match other.primitive_width() {
            // Of points in time and the like.
            Some(width) => (width as f64, 34.0),
            // Of lists and the like, by numbers in them.
            None => (8.0, 25.0),
        },
    }
}

/// A file that is being written.
pub struct FileWriter {
    kind: WriterKind,
    path: PathBuf,
}

enum WriterKind {
    #[cfg(feature = "parquet")]
    Parquet(Box<ParquetFileWriter<File>>),
    Text(TextWriter),
    Ipc(Box<IpcFileWriter<File>>),
}

struct TextWriter {
    to: BufWriter<File>,
    rows: u64,
    bytes: u64,
}

impl TextWriter {
    fn write(&mut self, text: &[u8], rows: u64) -> std::io::Result<()> {
        self.to.write_all(text)?;
        self.rows += rows;
        self.bytes += text.len() as u64;
        Ok(())
    }
}

/// Rows and bytes of a file that was written.
pub type Counts = crate::formats::Written;

impl FileWriter {
    /// Writes what was encoded, or encodes rows and writes them.
    ///
    /// # Errors
    /// Of kind `Io`; of kind `Data`, where rows cannot be encoded.
    pub fn write(&mut self, encoder: &Encoder, item: Item) -> Result<()> {
        match (&mut self.kind, item) {
            #[cfg(feature = "parquet")]
            (WriterKind::Parquet(writer), Item::Group(group)) => writer.append(group),
            #[cfg(feature = "parquet")]
            (WriterKind::Parquet(writer), Item::Rows(batches)) => {
                let parquet = encoder.parquet.as_ref();
                let parquet = parquet.ok_or_else(|| Error::internal("Parquet without an encoder"))?;
                writer.append(parquet.encode(&batches)?)
            }
            (WriterKind::Text(writer), Item::Text(text, rows)) => {
                writer.write(&text, rows).map_err(|error| Error::io(&self.path, "cannot write", error))
            }
            (WriterKind::Text(_), Item::Rows(batches)) => {
                let mut part = encoder.begin();
                batches.into_iter().try_for_each(|batch| part.add(batch))?;
                for item in part.finish()? {
                    self.write(encoder, item)?;
                }
                Ok(())
            }
            (WriterKind::Ipc(writer), Item::Rows(batches)) => batches.iter().try_for_each(|batch| writer.append(batch)),
            _ => Err(Error::internal("a part of a file of another format")),
        }
    }

    /// About how much memory it takes: for what stands at the end of the file, or for what is to be written at once.
    pub fn memory(&self) -> u64 {
        match &self.kind {
            #[cfg(feature = "parquet")]
            WriterKind::Parquet(writer) => writer.footer_memory(),
            WriterKind::Text(_) => TEXT_BUFFER as u64,
            WriterKind::Ipc(_) => IPC_BUFFER as u64,
        }
    }

    /// Ends the file; with `durable` it survives a loss of power.
    ///
    /// # Errors
    /// Of kind `Io`.
    pub fn finish(self, durable: bool) -> Result<Counts> {
        let (counts, file) = match self.kind {
            #[cfg(feature = "parquet")]
            WriterKind::Parquet(writer) => (*writer).finish()?,
            WriterKind::Ipc(writer) => (*writer).finish()?,
            WriterKind::Text(writer) => {
                let counts = Counts { rows: writer.rows, bytes: writer.bytes };
                let file = writer.to.into_inner();
                (counts, file.map_err(|error| Error::io(&self.path, "cannot write", error.into_error()))?)
            }
        };
        if durable {
            file.sync_all().map_err(|error| Error::io(&self.path, "cannot make durable", error))?;
        }
        Ok(counts)
    }
}
