//! Lines of JSON: one object per line, cut into blocks at newlines.
//!
//! A newline in a text is written as `\n` in JSON, so a newline byte always ends a record, and what is before a block does not
//! matter. That each line is one object is checked before Arrow's decoder makes columns of the text.

mod kinds;
mod numbers;
mod objects;
mod sample;
mod scan;
mod strict;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::compute::{cast, max, min};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Int64Type, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::writer::{LineDelimited, WriterBuilder};
use arrow::util::display::{ArrayFormatter, FormatOptions};

pub(super) use self::kinds::{columns_of, may_be};
use self::sample::{infer, sample};
use super::blocks::Blocks;
use super::files::{self, SourceFile};
use super::hive::{content_key, data_files};
use super::per_file::{FileColumns, PerFile};
use super::scan::{Scan, ScanRequest, TableSource};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::{Lookup, unknown_column};

/// What is known of lines of JSON beforehand.
///
/// Each line has one object, by the rules of JSON, or is blank. Objects may have keys in any order; one that is missing is null, as is
/// `null`; a key that is not in the schema, or is there twice, is an error. A column whose numbers are all integers is `Int64`, or `UInt64`
/// where one is above that and none below zero; integers that fit neither are an error, so that none is rounded unseen. With a fraction or an exponent among them they
/// are floats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonOptions {
    /// Types that are not taken from the sample, also of columns that are not in it. Texts are read as dates and times where these are
    /// declared.
    pub dtypes: Vec<(String, DataType)>,
    /// Whether keys that are not in the schema are passed over, in place of an error.
    pub ignore_unknown: bool,
    /// Rows of the first file with any that names and types are taken from.
    pub sample_rows: usize,
    /// The columns beside those in the files.
    pub file_columns: FileColumns,
    /// Bytes of text that one task reads; by default a share of all files.
    pub block_bytes: Option<u64>,
    /// Bytes of text of a partition, 128 MiB by default. A file has one at least.
    pub partition_bytes: Option<u64>,
}

impl Default for JsonOptions {
    fn default() -> JsonOptions {
        JsonOptions {
            dtypes: Vec::new(),
            ignore_unknown: false,
            sample_rows: 1000,
            file_columns: FileColumns::default(),
            block_bytes: None,
            partition_bytes: None,
        }
    }
}

/// What files in a directory are called.
const EXTENSIONS: [&str; 9] =
    ["jsonl", "ndjson", "json", "jsonl.gz", "ndjson.gz", "json.gz", "jsonl.zst", "ndjson.zst", "json.zst"];

/// Files of lines of JSON, of one schema.
#[derive(Debug)]
pub struct JsonSource {
    files: Vec<SourceFile>,
    options: JsonOptions,
    /// The columns in the files; those of them that come from the rows stand first in the schema.
    of_files: SchemaRef,
    per_file: PerFile,
    blocks: Blocks,
    /// Text per row.
    row_bytes: f64,
    /// Memory per row and column.
    widths: Vec<f64>,
}

impl JsonSource {
    /// Finds the files of a pattern or a directory and takes the schema from the first of them that has any objects.
    ///
    /// # Errors
    /// Of kind `Io`, where no file matches or one cannot be read; of kind `Data`, where none has objects and no column is declared; of kind
    /// `Plan`, where an option is wrong.
    pub fn open(path: &str, options: JsonOptions) -> Result<JsonSource> {
        if options.block_bytes == Some(0) || options.partition_bytes == Some(0) {
            return Err(Error::new(ErrorKind::Plan, "a block and a partition have one byte at least"));
        }
        let found = data_files(path, &EXTENSIONS)?;
        let files: Vec<SourceFile> = found.iter().map(|file| file.file.clone()).collect();
        let first = files.first().ok_or_else(|| Error::new(ErrorKind::Io, "no files to read"))?;
        let (mut text, mut fields) = (Vec::new(), Vec::<FieldRef>::new());
        for file in &files {
            text = sample(file)?;
            fields = infer(file, &text, &options)?.fields().iter().map(known).collect();
            if !fields.is_empty() {
                break;
            }
        }
        let keys = options.file_columns.keys(&found);
        let is_key = |name: &str| keys.contains(name);
        let mut places: HashMap<String, usize> =
            fields.iter().enumerate().map(|(at, field)| (field.name().clone(), at)).collect();
        for (name, data_type) in options.dtypes.iter().filter(|(name, _)| !is_key(name)) {
            let declared = Arc::new(Field::new(name, data_type.clone(), true));
            can_be_read(&first.path, &declared)?;
            match places.get(name) {
                Some(at) => fields[*at] = declared,
                None => {
                    places.insert(name.clone(), fields.len());
                    fields.push(declared);
                }
            }
        }
        if fields.is_empty() {
            let (path, more) = (first.path.display(), if files.len() > 1 { ", nor has any other file" } else { "" });
            let text = format!("{path} has no objects with keys{more}: declare the columns with dtype(name, …)");
            return Err(Error::new(ErrorKind::Data, text));
        }
        let of_files = Arc::new(Schema::new(fields.clone()));
        let keys: Vec<_> = options.dtypes.iter().filter(|(name, _)| is_key(name)).cloned().collect();
        let per_file = PerFile::new(fields, &found, &options.file_columns, &keys)?;
        let schema = per_file.schema();
        let rows = memchr::memchr_iter(b'\n', &text).count().max(1) as f64;
        let row_bytes = text.len().max(1) as f64 / rows;
        let columns = schema.fields().len().max(1) as f64;
        // A column without a width of its own has its share of the text.
        let share = row_bytes / columns + 4.0;
        let width = |field: &FieldRef| field.data_type().primitive_width().map_or(share, |width| width as f64 + 0.125);
        let widths = schema.fields().iter().map(width).collect();
        let blocks = Blocks::cut(&files, options.block_bytes, options.partition_bytes)?;
        Ok(JsonSource { files, options, of_files, per_file, blocks, row_bytes, widths })
    }

    /// The files, in natural order.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// The places of columns by their names.
    ///
    /// # Errors
    /// Of kind `Plan`, naming a column that is not there.
    pub fn places(&self, names: &[&str]) -> Result<Vec<usize>> {
        let columns = Lookup::new(self.schema());
        let place = |name: &&str| columns.place(name).ok_or_else(|| unknown_column(name, self.schema()));
        names.iter().map(place).collect()
    }

    /// About how many bytes some columns of so much text take in memory.
    fn decoded_bytes(&self, text: u64, columns: &[usize]) -> u64 {
        let width: f64 = columns.iter().filter_map(|column| self.widths.get(*column)).sum();
        (text as f64 / self.row_bytes * width * 1.25) as u64 + 1024
    }
}

impl TableSource for JsonSource {
    fn label(&self) -> String {
        format!("read_json of {}", files::count(&self.files))
    }

    fn schema(&self) -> &SchemaRef {
        self.per_file.schema()
    }

    fn key(&self) -> Option<String> {
        let files = self.files.iter().map(|file| (file.path.as_path(), file.bytes, file.modified));
        // The types are those of the first rows, which are read once.
        Some(content_key("json", files, &(&self.options, self.schema(), self.per_file.digest())))
    }

    fn partitions(&self) -> u32 {
        self.blocks.partitions
    }

    fn rows(&self) -> Option<u64> {
        None
    }

    fn column_bytes(&self) -> Vec<u64> {
        let text = self.files.iter().map(SourceFile::text_bytes).sum();
        (0..self.schema().fields().len()).map(|column| self.decoded_bytes(text, &[column])).collect()
    }

    fn scan(self: Arc<Self>, request: &ScanRequest) -> Result<Arc<dyn Scan>> {
        Ok(Arc::new(scan::JsonScan::new(self, request)?))
    }
}

/// Whether a column of a declared type can be made of JSON.
fn can_be_read(path: &Path, declared: &FieldRef) -> Result<()> {
    let all: SchemaRef = Arc::new(Schema::new(vec![declared.clone()]));
    let shape = objects::Shape { wanted: all.clone(), all, ignore_unknown: false };
    let (path, name, data_type) = (path.display(), declared.name(), declared.data_type());
    let text = format!("{path}: column `{name}` cannot be read from JSON as a {data_type}");
    match shape.decoder(1) {
        Ok(_) => Ok(()),
        Err(ArrowError::NotYetImplemented(_)) => {
            Err(Error::new(ErrorKind::Plan, format!("{text}: declare another type, and cast the column")))
        }
        Err(error) => Err(Error::with_source(ErrorKind::Plan, text, error)),
    }
}

/// A field of which nothing but nulls was seen, at any depth, is taken for text.
fn known(field: &FieldRef) -> FieldRef {
    // Types are as deep as the text, whose depth the library bounds.
    let data_type = match field.data_type() {
        DataType::Null => DataType::Utf8,
        DataType::List(inner) => DataType::List(known(inner)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(known).collect::<Fields>()),
        other => other.clone(),
    };
    Arc::new(Field::new(field.name(), data_type, true))
}

/// Adds the rows of a batch as lines of JSON; nulls are written as `null`, and so are NaN and infinities, which JSON does not know.
///
/// # Errors
/// Of kind `Plan`, where a column is of a type that JSON cannot hold.
pub fn encode_lines(batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
    for (column, field) in batch.columns().iter().zip(batch.schema_ref().fields()) {
        times_can_be_told(column).map_err(|error| {
            let name = field.name();
            Error::with_source(ErrorKind::Data, format_args!("column `{name}` cannot be written"), error)
        })?;
    }
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(out);
    let written = writer.write(batch).and_then(|()| writer.finish());
    written.map_err(|error| Error::with_source(ErrorKind::Plan, "writing JSON", error))
}

/// Whether all dates and times of an array lie in the calendar: the writer puts its own error in place of one that does not.
fn times_can_be_told(array: &ArrayRef) -> Result<(), ArrowError> {
    match array.data_type() {
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => {
            let numbers =
                cast(array, &DataType::Int64).or_else(|_| cast(&cast(array, &DataType::Int32)?, &DataType::Int64))?;
            let numbers = numbers.as_primitive::<Int64Type>();
            let ends: Int64Array = [min(numbers), max(numbers)].into_iter().flatten().map(Some).collect();
            let ends: ArrayRef = match array.data_type() {
                DataType::Date32 => cast(&cast(&ends, &DataType::Int32)?, &DataType::Date32)?,
                other => cast(&ends, other)?,
            };
            let format = FormatOptions::default().with_display_error(false);
            let formatter = ArrayFormatter::try_new(&ends, &format)?;
            (0..ends.len()).try_for_each(|row| formatter.value(row).write(&mut String::new()))
        }
        DataType::Struct(_) => array.as_struct().columns().iter().try_for_each(times_can_be_told),
        DataType::List(_) => times_can_be_told(array.as_list::<i32>().values()),
        DataType::LargeList(_) => times_can_be_told(array.as_list::<i64>().values()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
