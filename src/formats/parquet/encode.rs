//! Writing Parquet: row groups are encoded by themselves, in any number of tasks, and appended to a file in order.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, SchemaRef};
use arrow::row::{RowConverter, SortField};
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::{Compression as Codec, GzipLevel, Type as Physical, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterPropertiesPtr};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnPath, SchemaDescriptor, TypePtr};

use crate::error::{Error, ErrorKind, Result};
use crate::expr::unknown_column;
use crate::formats::written::{Counted, Written};

/// Columns of a row group that have dictionaries at most: each has a hash table from its start on.
const MOST_DICTIONARIES: usize = 128;

/// Memory of a dictionary without a value.
const DICTIONARY_BYTES: u64 = 76 << 10;

/// Memory that the writer of a column takes beside what it was given.
const WRITER_BYTES: u64 = 3 << 10;

/// Memory of what is kept of a column of a row group until the footer is written, and of what the footer becomes.
const CHUNK_BYTES: u64 = 2 << 10;

/// How pages are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// Snappy: fast, and read by everything.
    #[default]
    Snappy,
    /// LZ4, as raw blocks.
    Lz4,
    /// Gzip, with a level from 0 to 9.
    Gzip(u32),
    /// Zstandard, with a level from 1 to 22; needs the feature `zstd`.
    Zstd(i32),
}

/// Which statistics are written, by which readers leave out what is not wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatisticsLevel {
    /// None.
    None,
    /// Of row groups.
    RowGroups,
    /// Of row groups and of pages, in an index.
    #[default]
    Pages,
}

/// How a file is written.
#[derive(Clone, Debug, PartialEq)]
pub struct ParquetEncoding {
    /// How pages are compressed.
    pub compression: Compression,
    /// Rows of a row group at most.
    pub row_group_rows: usize,
    /// Bytes of a row group, encoded, above which it is closed.
    pub row_group_bytes: usize,
    /// Bytes of a page, about.
    pub page_bytes: usize,
    /// Which statistics are written.
    pub statistics: StatisticsLevel,
    /// The columns that get a bloom filter.
    pub bloom_filters: Vec<String>,
    /// Whether values that come often are written once, in a dictionary: of up to 128 columns, texts before others.
    pub dictionary: bool,
}

impl Default for ParquetEncoding {
    fn default() -> Self {
        ParquetEncoding {
            compression: Compression::default(),
            row_group_rows: 256 << 10,
            row_group_bytes: 128 << 20,
            page_bytes: 1 << 20,
            statistics: StatisticsLevel::default(),
            bloom_filters: Vec::new(),
            dictionary: true,
        }
    }
}

/// Encodes the rows of tables of one schema.
///
/// ```
/// use std::sync::Arc;
/// use arrow::array::{ArrayRef, Int64Array, RecordBatch};
/// use chunkwise::formats::parquet::{ParquetEncoder, ParquetEncoding, ParquetFileWriter};
///
/// let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
/// let batch = RecordBatch::try_from_iter([("n", numbers)])?;
/// let encoder = ParquetEncoder::new(batch.schema(), &ParquetEncoding::default())?;
/// // In any task; two of them here.
/// let groups = [encoder.encode(&[batch.slice(0, 500)])?, encoder.encode(&[batch.slice(500, 500)])?];
/// let mut writer = ParquetFileWriter::new(Vec::new(), "memory", &encoder)?;
/// for group in groups {
///     writer.append(group)?;
/// }
/// let (written, file) = writer.finish()?;
/// assert_eq!((written.rows, written.bytes), (1000, file.len() as u64));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ParquetEncoder {
    schema: SchemaRef,
    root: TypePtr,
    properties: WriterPropertiesPtr,
    factory: Arc<ArrowRowGroupWriterFactory>,
    rows: usize,
    bytes: usize,
    /// Columns, those in others as well.
    leaves: usize,
    /// Columns that may have dictionaries.
    dictionaries: usize,
}

/// Whether there is a union in a type: the library of Parquet panics at the sight of one.
fn has_union(data_type: &DataType) -> bool {
    let mut open = vec![data_type];
    while let Some(data_type) = open.pop() {
        match data_type {
            DataType::Union(..) => return true,
            DataType::List(field)
            | DataType::LargeList(field)
            | DataType::ListView(field)
            | DataType::LargeListView(field)
            | DataType::FixedSizeList(field, _)
            | DataType::Map(field, _)
            | DataType::RunEndEncoded(_, field) => open.push(field.data_type()),
            DataType::Struct(fields) => open.extend(fields.iter().map(|field| field.data_type())),
            DataType::Dictionary(_, values) => open.push(values),
            _ => {}
        }
    }
    false
}

impl ParquetEncoder {
    /// For tables of a schema.
    ///
    /// # Errors
    /// Of kind `Plan`, where a column is named that is not there, or a number is out of range; of kind `Unsupported`, where a type cannot be written
    /// or a feature is off.
    pub fn new(schema: SchemaRef, encoding: &ParquetEncoding) -> Result<ParquetEncoder> {
        if let Some(field) = schema.fields().iter().find(|field| has_union(field.data_type())) {
            let text = format!("column `{}` is a {}, which Parquet cannot hold", field.name(), field.data_type());
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        let unsupported =
            |error: ParquetError| Error::with_source(ErrorKind::Unsupported, "cannot be written as Parquet", error);
        let parquet = ArrowSchemaConverter::new().convert(&schema).map_err(unsupported)?;
        let (builder, dictionaries) = chosen(&parquet, properties(&schema, encoding)?, encoding.dictionary);
        let mut properties = builder.build();
        add_encoded_arrow_schema_to_metadata(&schema, &mut properties);
        let properties = Arc::new(properties);
        let root = parquet.root_schema_ptr();
        // The factory is made of a file; this one is never written.
        let file = SerializedFileWriter::new(std::io::sink(), root.clone(), properties.clone()).map_err(unsupported)?;
        let factory = Arc::new(ArrowRowGroupWriterFactory::new(&file, schema.clone()));
        let (rows, bytes) = (encoding.row_group_rows, encoding.row_group_bytes);
        let leaves = parquet.num_columns();
        let encoder = ParquetEncoder { schema, root, properties, factory, rows, bytes, leaves, dictionaries };
        encoder.begin()?;
        Ok(encoder)
    }

    /// The schema of what is written.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Columns, those in others as well: each takes memory of its own, however few rows there are.
    pub(crate) fn leaves(&self) -> usize {
        self.leaves
    }

    /// About how much memory a row group takes beside its rows, while it is encoded and afterwards.
    pub(crate) fn fixed_bytes(&self) -> u64 {
        self.leaves as u64 * (WRITER_BYTES + CHUNK_BYTES) + self.dictionaries as u64 * DICTIONARY_BYTES
    }

    /// About how much memory it takes to keep what the footer will say of one row group.
    pub(crate) fn footer_bytes(&self) -> u64 {
        self.leaves as u64 * CHUNK_BYTES
    }

    /// Begins a row group.
    ///
    /// # Errors
    /// Of kind `Unsupported`, where a type cannot be written.
    pub fn begin(&self) -> Result<RowGroupEncoder> {
        let unsupported =
            |error: ParquetError| Error::with_source(ErrorKind::Unsupported, "cannot be written as Parquet", error);
        let writers = self.factory.create_column_writers(0).map_err(unsupported)?;
        Ok(RowGroupEncoder { schema: self.schema.clone(), writers, rows: 0, most: (self.rows, self.bytes) })
    }

    /// Begins a row group of which these are the first rows. A column whose values hardly ever come twice among them is written
    /// without a dictionary, which would cost time and save nothing.
    ///
    /// # Errors
    /// Of kind `Unsupported`, where a type cannot be written.
    pub fn begin_with(&self, first: &RecordBatch) -> Result<RowGroupEncoder> {
        let plain: Vec<usize> = if self.dictionaries > 0 { unlike(first) } else { Vec::new() };
        if plain.is_empty() {
            return self.begin();
        }
        let mut properties = WriterPropertiesBuilder::from(WriterProperties::clone(&self.properties));
        for column in plain {
            let path = ColumnPath::from(vec![self.schema.field(column).name().clone()]);
            properties = properties.set_column_dictionary_enabled(path, false);
        }
        let unsupported =
            |error: ParquetError| Error::with_source(ErrorKind::Unsupported, "cannot be written as Parquet", error);
        let properties = Arc::new(properties.build());
        let file = SerializedFileWriter::new(std::io::sink(), self.root.clone(), properties).map_err(unsupported)?;
        let factory = ArrowRowGroupWriterFactory::new(&file, self.schema.clone());
        let writers = factory.create_column_writers(0).map_err(unsupported)?;
        Ok(RowGroupEncoder { schema: self.schema.clone(), writers, rows: 0, most: (self.rows, self.bytes) })
    }

    /// Encodes batches as one row group.
    ///
    /// # Errors
    /// Of kind `Data`, where a value cannot be written; of kind `Plan`, where a batch has another schema.
    pub fn encode(&self, batches: &[RecordBatch]) -> Result<EncodedRowGroup> {
        let mut group = match batches.first() {
            Some(first) => self.begin_with(first)?,
            None => self.begin()?,
        };
        batches.iter().try_for_each(|batch| group.write(batch))?;
        group.finish()
    }
}

/// The columns of a batch whose values hardly ever come twice, by a sample of its rows.
fn unlike(batch: &RecordBatch) -> Vec<usize> {
    const SAMPLE: usize = 1024;
    let rows = batch.num_rows();
    if rows < SAMPLE {
        return Vec::new();
    }
    let places = UInt32Array::from_iter_values((0..SAMPLE).map(|at| (at * rows / SAMPLE) as u32));
    let is_unlike = |array: &ArrayRef| -> Option<bool> {
        if array.data_type().is_nested() || matches!(array.data_type(), DataType::Boolean | DataType::Dictionary(..)) {
            return Some(false);
        }
        let sample = take(array, &places, None).ok()?;
        let converter = RowConverter::new(vec![SortField::new(sample.data_type().clone())]).ok()?;
        let encoded = converter.convert_columns(std::slice::from_ref(&sample)).ok()?;
        let distinct: HashSet<&[u8]> = encoded.iter().map(|row| row.data()).collect();
        Some((distinct.len() + sample.null_count()) * 20 > SAMPLE * 19)
    };
    let columns = batch.columns().iter().enumerate();
    columns.filter(|(_, array)| is_unlike(array).unwrap_or(false)).map(|(column, _)| column).collect()
}

/// The settings of the `parquet` crate.
fn properties(schema: &SchemaRef, encoding: &ParquetEncoding) -> Result<WriterPropertiesBuilder> {
    let wrong = |error: ParquetError| Error::with_source(ErrorKind::Plan, "compression", error);
    let codec = match encoding.compression {
        Compression::None => Codec::UNCOMPRESSED,
        Compression::Snappy => Codec::SNAPPY,
        Compression::Lz4 => Codec::LZ4_RAW,
        Compression::Gzip(level) => Codec::GZIP(GzipLevel::try_new(level).map_err(wrong)?),
        Compression::Zstd(_) if cfg!(not(feature = "zstd")) => {
            let text = "writing Parquet with Zstandard needs the feature `zstd` of chunkwise";
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        Compression::Zstd(level) => Codec::ZSTD(ZstdLevel::try_new(level).map_err(wrong)?),
    };
    if encoding.row_group_rows == 0 || encoding.row_group_bytes == 0 || encoding.page_bytes == 0 {
        return Err(Error::new(ErrorKind::Plan, "row groups and pages need room: their rows and bytes are at least 1"));
    }
    let statistics = match encoding.statistics {
        StatisticsLevel::None => EnabledStatistics::None,
        StatisticsLevel::RowGroups => EnabledStatistics::Chunk,
        StatisticsLevel::Pages => EnabledStatistics::Page,
    };
    let mut builder = WriterProperties::builder()
        .set_compression(codec)
        .set_data_page_size_limit(encoding.page_bytes)
        .set_dictionary_page_size_limit(encoding.page_bytes)
        .set_statistics_enabled(statistics)
        .set_offset_index_disabled(encoding.statistics != StatisticsLevel::Pages)
        .set_dictionary_enabled(encoding.dictionary)
        .set_max_row_group_row_count(None)
        .set_created_by(concat!("chunkwise ", env!("CARGO_PKG_VERSION")).to_string());
    for name in &encoding.bloom_filters {
        if schema.column_with_name(name).is_none() {
            return Err(unknown_column(name, schema));
        }
        builder = builder.set_column_bloom_filter_enabled(ColumnPath::from(vec![name.clone()]), true);
    }
    Ok(builder)
}

/// Properties by which no more columns have dictionaries than may, and how many those are. Of wide tables these are texts before others.
fn chosen(
    schema: &SchemaDescriptor,
    builder: WriterPropertiesBuilder,
    wanted: bool,
) -> (WriterPropertiesBuilder, usize) {
    let of = |is_text: bool| {
        let leaves = schema.columns().iter().filter(|leaf| leaf.physical_type() != Physical::BOOLEAN);
        leaves.filter(move |leaf| (leaf.physical_type() == Physical::BYTE_ARRAY) == is_text)
    };
    let count = if wanted { of(true).count() + of(false).count() } else { 0 };
    if count <= MOST_DICTIONARIES {
        return (builder, count);
    }
    let builder = builder.set_dictionary_enabled(false);
    let some = of(true).chain(of(false)).take(MOST_DICTIONARIES);
    let builder = some.fold(builder, |builder, leaf| builder.set_column_dictionary_enabled(leaf.path().clone(), true));
    (builder, MOST_DICTIONARIES)
}

/// A row group that is being encoded.
pub struct RowGroupEncoder {
    schema: SchemaRef,
    writers: Vec<ArrowColumnWriter>,
    rows: usize,
    /// Rows and bytes at which it is full.
    most: (usize, usize),
}

impl RowGroupEncoder {
    /// Adds the rows of a batch. Text may come as dictionaries.
    ///
    /// # Errors
    /// Of kind `Data`, where a value cannot be written, such as null where the schema has none; of kind `Plan`, where the batch has another schema.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_columns() != self.schema.fields().len() {
            let text =
                format!("a batch of {} columns for a file of {}", batch.num_columns(), self.schema.fields().len());
            return Err(Error::new(ErrorKind::Plan, text));
        }
        let mut writers = self.writers.iter_mut();
        for (field, array) in self.schema.fields().iter().zip(batch.columns()) {
            let named = |error: ParquetError| {
                Error::with_source(ErrorKind::Data, format_args!("cannot write column `{}`", field.name()), error)
            };
            // Text that comes as a dictionary is written by its codes.
            let of_array;
            let coded = matches!(array.data_type(), DataType::Dictionary(_, values) if **values == *field.data_type());
            let field = if coded {
                of_array = Arc::new(Field::clone(field).with_data_type(array.data_type().clone()));
                &of_array
            } else if array.data_type() == field.data_type() {
                field
            } else {
                let (found, wanted) = (array.data_type(), field.data_type());
                let text = format!("column `{}` is {found} in a batch, and {wanted} in the file", field.name());
                return Err(Error::new(ErrorKind::Plan, text));
            };
            for leaf in compute_leaves(field, array).map_err(named)? {
                let Some(writer) = writers.next() else { return Err(Error::internal("a column without a writer")) };
                writer.write(&leaf).map_err(named)?;
            }
        }
        self.rows += batch.num_rows();
        Ok(())
    }

    /// Rows that are in it.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether it has the rows or bytes that it is to have.
    pub fn is_full(&self) -> bool {
        self.rows >= self.most.0 || self.encoded_bytes() >= self.most.1
    }

    /// Rows that may be added before it is full, by their number.
    pub fn rows_left(&self) -> usize {
        self.most.0.saturating_sub(self.rows)
    }

    /// About how many bytes it will take in the file.
    pub fn encoded_bytes(&self) -> usize {
        self.writers.iter().map(ArrowColumnWriter::get_estimated_total_bytes).sum()
    }

    /// About how much memory it takes now.
    pub fn memory(&self) -> usize {
        let fixed = self.writers.len() * WRITER_BYTES as usize;
        fixed + self.writers.iter().map(ArrowColumnWriter::memory_size).sum::<usize>()
    }

    /// Ends it.
    ///
    /// # Errors
    /// Of kind `Data`, where it cannot be encoded.
    pub fn finish(self) -> Result<EncodedRowGroup> {
        let failed = |error: ParquetError| Error::with_source(ErrorKind::Data, "cannot encode a row group", error);
        let chunks =
            self.writers.into_iter().map(ArrowColumnWriter::close).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let bytes = chunks.iter().map(|chunk| chunk.close().bytes_written).sum();
        Ok(EncodedRowGroup { chunks, rows: self.rows as u64, bytes })
    }
}

/// A row group as it will lie in a file.
#[derive(Debug)]
pub struct EncodedRowGroup {
    chunks: Vec<ArrowColumnChunk>,
    rows: u64,
    bytes: u64,
}

impl EncodedRowGroup {
    /// Its rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Its bytes in the file, without indexes and its part of the footer.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// About how much memory it takes.
    pub fn memory(&self) -> u64 {
        self.bytes + self.chunks.len() as u64 * CHUNK_BYTES
    }
}

/// Writes row groups one after another, and the footer.
pub struct ParquetFileWriter<W: Write + Send> {
    writer: SerializedFileWriter<Counted<W>>,
    name: PathBuf,
    rows: u64,
    /// Columns of the row groups together.
    chunks: u64,
}

impl ParquetFileWriter<File> {
    /// Makes a file, or empties the one that is there.
    ///
    /// # Errors
    /// Of kind `Io`.
    pub fn create(path: &Path, encoder: &ParquetEncoder) -> Result<ParquetFileWriter<File>> {
        let file = File::create(path).map_err(|error| Error::io(path, "cannot create", error))?;
        ParquetFileWriter::new(file, path, encoder)
    }
}

impl<W: Write + Send> ParquetFileWriter<W> {
    /// Writes to something that is called so in errors.
    ///
    /// # Errors
    /// Of kind `Io`.
    pub fn new(to: W, name: impl Into<PathBuf>, encoder: &ParquetEncoder) -> Result<ParquetFileWriter<W>> {
        let name = name.into();
        let writer = SerializedFileWriter::new(Counted::new(to), encoder.root.clone(), encoder.properties.clone());
        let writer = writer.map_err(|error| failed(&name, error))?;
        Ok(ParquetFileWriter { writer, name, rows: 0, chunks: 0 })
    }

    /// Writes a row group; one without rows is left out.
    ///
    /// # Errors
    /// Of kind `Io`. The file is not to be used then.
    pub fn append(&mut self, group: EncodedRowGroup) -> Result<()> {
        if group.rows == 0 {
            return Ok(());
        }
        self.chunks += group.chunks.len() as u64;
        let write = |writer: &mut SerializedFileWriter<Counted<W>>| {
            let mut to = writer.next_row_group()?;
            for chunk in group.chunks {
                chunk.append_to_row_group(&mut to)?;
            }
            to.close().map(drop)
        };
        write(&mut self.writer).map_err(|error| failed(&self.name, error))?;
        self.rows += group.rows;
        Ok(())
    }

    /// About how much memory it takes to keep what the footer will say of the row groups.
    pub fn footer_memory(&self) -> u64 {
        self.chunks * CHUNK_BYTES
    }

    /// Bytes that were written until now.
    pub fn bytes(&self) -> u64 {
        self.writer.bytes_written() as u64
    }

    /// Writes the footer, and gives back what was written to.
    ///
    /// # Errors
    /// Of kind `Io`.
    pub fn finish(self) -> Result<(Written, W)> {
        let end = |writer: SerializedFileWriter<Counted<W>>| {
            let mut to = writer.into_inner()?;
            to.flush()?;
            Ok(to)
        };
        let to = end(self.writer).map_err(|error| failed(&self.name, error))?;
        Ok((Written { rows: self.rows, bytes: to.bytes }, to.to))
    }
}

fn failed(name: &Path, error: ParquetError) -> Error {
    Error::with_source(ErrorKind::Io, format_args!("cannot write {}", name.display()), error)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::ops::ControlFlow;

    use arrow::array::{ArrayRef, AsArray, DictionaryArray, Int64Array, StringArray};
    use arrow::datatypes::{Int32Type, Int64Type, Schema};

    use super::super::{ParquetOptions, ParquetSource};
    use super::*;
    use crate::formats::scan::{ReadContext, ScanRequest, TableSource};

    fn table(rows: i64) -> RecordBatch {
        let n: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        let t: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(|n| format!("k{}", n % 9))));
        RecordBatch::try_from_iter_with_nullable([("n", n, true), ("t", t, true)]).unwrap()
    }

    fn all() -> Vec<Compression> {
        let mut all = vec![Compression::None, Compression::Snappy, Compression::Lz4, Compression::Gzip(6)];
        if cfg!(feature = "zstd") {
            all.push(Compression::Zstd(3));
        }
        all
    }

    #[test]
    fn row_groups_encoded_apart_are_one_file() {
        let dir = tempfile::tempdir().unwrap();
        let whole = table(10_000);
        for compression in all() {
            let path = dir.path().join("a.parquet");
            let encoding = ParquetEncoding {
                compression,
                row_group_rows: 3_000,
                page_bytes: 4_000,
                bloom_filters: vec!["t".to_string()],
                ..ParquetEncoding::default()
            };
            let encoder = ParquetEncoder::new(whole.schema(), &encoding).unwrap();
            let part = |start| {
                let encoder = encoder.clone();
                let batch = whole.slice(start, 2_500);
                std::thread::spawn(move || encoder.encode(&[batch.slice(0, 1_000), batch.slice(1_000, 1_500)]).unwrap())
            };
            let parts = [part(0), part(2_500), part(5_000), part(7_500)];
            let mut writer = ParquetFileWriter::create(&path, &encoder).unwrap();
            let mut bytes = 0;
            for part in parts {
                let part = part.join().unwrap();
                assert_eq!(part.rows(), 2_500);
                bytes += part.bytes();
                writer.append(part).unwrap();
            }
            writer.append(encoder.encode(&[]).unwrap()).unwrap();
            assert!(writer.bytes() >= bytes);
            let (written, _) = writer.finish().unwrap();
            assert_eq!(written, Written { rows: 10_000, bytes: std::fs::metadata(&path).unwrap().len() });
            let source = Arc::new(ParquetSource::open(&[path.to_str().unwrap()], ParquetOptions::default()).unwrap());
            assert_eq!(source.schema().fields(), whole.schema().fields());
            let request = ScanRequest { columns: vec![0, 1], predicates: vec![], dictionaries: vec![1] };
            let scan = source.clone().scan(&request).unwrap();
            let mut row = 0;
            let mut take = |batch: RecordBatch| {
                let n = batch.column(0).as_primitive::<Int64Type>();
                let t = batch.column(1).as_dictionary::<Int32Type>().downcast_dict::<StringArray>().unwrap();
                for (n, t) in n.values().iter().zip(t) {
                    assert_eq!((*n, t.unwrap()), (row, format!("k{}", row % 9).as_str()));
                    row += 1;
                }
                Ok(ControlFlow::Continue(()))
            };
            for morsel in 0..scan.morsels().len() {
                scan.read(morsel, &ReadContext::default(), &mut take).unwrap();
            }
            assert_eq!(row, 10_000);
        }
    }

    #[test]
    fn dictionaries_are_written_as_what_the_schema_says() {
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("t", DataType::Utf8, true)]));
        let encoder = ParquetEncoder::new(schema.clone(), &ParquetEncoding::default()).unwrap();
        let coded: DictionaryArray<Int32Type> = [Some("a"), None, Some("b"), Some("a")].into_iter().collect();
        let of = Arc::new(Schema::new(vec![Field::new("t", coded.data_type().clone(), true)]));
        let plain: ArrayRef = Arc::new(StringArray::from(vec![Some("c"), None]));
        let batches = [
            RecordBatch::try_new(of, vec![Arc::new(coded)]).unwrap(),
            RecordBatch::try_new(schema, vec![plain]).unwrap(),
        ];
        let mut writer = ParquetFileWriter::new(Vec::new(), "memory", &encoder).unwrap();
        writer.append(encoder.encode(&batches).unwrap()).unwrap();
        let (_, file) = writer.finish().unwrap();
        let mut reader =
            parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(bytes::Bytes::from(file), 100).unwrap();
        let batch = reader.next().unwrap().unwrap();
        let texts: Vec<Option<&str>> = batch.column(0).as_string::<i32>().iter().collect();
        assert_eq!(texts, [Some("a"), None, Some("b"), Some("a"), Some("c"), None]);
    }

    #[test]
    fn a_row_group_knows_when_it_is_full() {
        let whole = table(1_000);
        let encoding = ParquetEncoding { row_group_rows: 1_500, ..ParquetEncoding::default() };
        let mut group = ParquetEncoder::new(whole.schema(), &encoding).unwrap().begin().unwrap();
        group.write(&whole).unwrap();
        assert_eq!((group.rows(), group.rows_left(), group.is_full()), (1_000, 500, false));
        group.write(&whole.slice(0, 500)).unwrap();
        assert!(group.is_full() && group.memory() >= group.encoded_bytes() / 2);
        let encoding = ParquetEncoding { row_group_bytes: 1_000, dictionary: false, ..ParquetEncoding::default() };
        let mut group = ParquetEncoder::new(whole.schema(), &encoding).unwrap().begin().unwrap();
        group.write(&whole).unwrap();
        assert!(group.is_full());
    }

    #[test]
    fn what_cannot_be_written_is_told() {
        struct Full(usize);
        impl Write for Full {
            fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
                if buffer.len() > self.0 {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                self.0 -= buffer.len();
                Ok(buffer.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let whole = table(100_000);
        let encoder = ParquetEncoder::new(whole.schema(), &ParquetEncoding::default()).unwrap();
        let mut writer = ParquetFileWriter::new(Full(20_000), "full.parquet", &encoder).unwrap();
        let error = writer.append(encoder.encode(std::slice::from_ref(&whole)).unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.message().starts_with("cannot write full.parquet: "), "{error}");
        let kind = |encoding: ParquetEncoding| ParquetEncoder::new(whole.schema(), &encoding).unwrap_err().kind();
        assert_eq!(kind(ParquetEncoding { bloom_filters: vec!["q".into()], ..Default::default() }), ErrorKind::Plan);
        assert_eq!(kind(ParquetEncoding { compression: Compression::Gzip(77), ..Default::default() }), ErrorKind::Plan);
        assert_eq!(kind(ParquetEncoding { page_bytes: 0, ..Default::default() }), ErrorKind::Plan);
        let error = encoder.encode(&[whole.project(&[0]).unwrap()]).unwrap_err();
        assert_eq!(error.message(), "a batch of 1 columns for a file of 2");
        let error = encoder.encode(&[whole.project(&[1, 0]).unwrap()]).unwrap_err();
        assert_eq!(error.message(), "column `n` is Utf8 in a batch, and Int64 in the file");
    }
}
