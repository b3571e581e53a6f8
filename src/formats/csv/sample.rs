//! What the first rows of the first file say: names, types, and how wide the columns are.

use std::collections::HashSet;
use std::io::{BufRead, Cursor, Read};
use std::path::Path;

use arrow::array::{Array, RecordBatch};
use arrow::csv::ReaderBuilder;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;

use super::quotes::{Quotes, never_closed};
use super::{CsvOptions, format, null_regex};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::unknown_column;
use crate::formats::files;

/// Rows that the types are taken from at most.
pub(super) const SAMPLE_ROWS: usize = 1000;

/// Text that the sample is taken from at most.
const SAMPLE_BYTES: u64 = 1 << 20;

/// Fields that the parser holds at a time: it needs 8 bytes for each beside its text.
const BATCH_FIELDS: usize = 64 << 10;

/// What the sample showed of the sizes.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// Text per row.
    row_bytes: f64,
    /// Memory per row and column.
    widths: Vec<f64>,
}

impl Sample {
    /// Memory of some columns of so much text; a quarter more than the sample says, for it is no more than a sample.
    pub fn decoded_bytes(&self, text_bytes: u64, columns: &[usize]) -> u64 {
        let rows = text_bytes as f64 / self.row_bytes.max(1.0);
        let width: f64 = columns.iter().filter_map(|column| self.widths.get(*column)).sum();
        (rows * width * 1.25) as u64 + 1024
    }

    /// Memory of the reader itself: file and text buffers, the decompressor, and the fields of one batch.
    pub fn scratch_bytes(&self, columns: usize) -> u64 {
        let batch = batch_rows(columns) as f64 * (columns as f64 * 8.0 + self.row_bytes);
        3 * files::READ_BYTES as u64 + (batch * 1.25) as u64
    }
}

/// Rows of a batch: fewer where there are many columns.
pub(super) fn batch_rows(columns: usize) -> usize {
    (BATCH_FIELDS / columns.max(1)).clamp(64, 8192)
}

/// Schema and sizes of a file.
pub(super) fn take(path: &Path, options: &CsvOptions) -> Result<(Schema, Sample)> {
    let mut text = Vec::new();
    let limited = files::open(path)?.take(SAMPLE_BYTES).read_to_end(&mut text);
    let read = limited.map_err(|error| Error::io(path, "cannot read", error))? as u64;
    if read == SAMPLE_BYTES {
        // The last row may have been cut.
        let end = text.iter().rposition(|byte| *byte == b'\n').map_or(text.len(), |at| at + 1);
        text.truncate(end);
    } else {
        let mut quotes = Quotes::new(options.delimiter);
        quotes.pass(&text);
        if let Some(line) = quotes.open() {
            return Err(Error::new(ErrorKind::Data, format!("{}, {}", path.display(), never_closed(line))));
        }
    }
    let infer = |rows| format(options)?.infer_schema(Cursor::new(&text), Some(rows)).map_err(|e| no_csv(path, &e));
    let names = infer(0)?.0;
    check_header(path, &names)?;
    let (found, rows) = infer(SAMPLE_ROWS)?;
    for (name, _) in &options.dtypes {
        if found.field_with_name(name).is_err() {
            return Err(unknown_column(name, &found));
        }
    }
    let fields = found.fields().iter().map(|field| {
        let declared = options.dtypes.iter().rev().find(|(name, _)| name == field.name());
        let data_type = match (declared, field.data_type()) {
            (Some((_, declared)), _) => declared.clone(),
            // Nothing but nulls was seen.
            (None, DataType::Null) => DataType::Utf8,
            (None, seen) => seen.clone(),
        };
        Field::new(field.name(), data_type, true)
    });
    let schema = Schema::new(fields.collect::<Vec<Field>>());
    let sample = measure(&text, rows, &schema, options)?;
    Ok((schema, sample))
}

/// The columns of a file in its own order.
pub(super) fn header(path: &Path, options: &CsvOptions) -> Result<Schema> {
    let mut reader = files::open(path)?;
    let start = reader.fill_buf().map_err(|error| Error::io(path, "cannot read", error))?;
    // Mostly the header is in the first buffer; a longer one is read through the parser.
    let names = if start.contains(&b'\n') && !start.contains(&b'"') {
        format(options)?.infer_schema(Cursor::new(start), Some(0))
    } else {
        format(options)?.infer_schema(reader, Some(0))
    };
    let names = names.map_err(|error| no_csv(path, &error))?.0;
    check_header(path, &names)?;
    Ok(names)
}

fn check_header(path: &Path, names: &Schema) -> Result<()> {
    let path = path.display();
    if names.fields().is_empty() {
        return Err(Error::new(ErrorKind::Data, format!("{path} has no header row")));
    }
    let mut seen = HashSet::new();
    match names.fields().iter().find(|field| !seen.insert(field.name())) {
        Some(twice) => {
            Err(Error::new(ErrorKind::Data, format!("{path}, line 1: two columns are called `{}`", twice.name())))
        }
        None => Ok(()),
    }
}

fn no_csv(path: &Path, error: &ArrowError) -> Error {
    let text = error.to_string();
    let text = text.strip_prefix("Csv error: ").unwrap_or(&text);
    Error::new(ErrorKind::Data, format!("{}: {text}", path.display()))
}

/// Widths of the columns in the sample. Values that do not fit their types are no trouble yet: their column counts as
/// text.
fn measure(text: &[u8], rows: usize, schema: &Schema, options: &CsvOptions) -> Result<Sample> {
    let as_text = super::unnamed_types(schema.fields().iter().map(|field| field.name().clone()), &DataType::Utf8);
    let mut decoder = ReaderBuilder::new(as_text.into())
        .with_format(format(options)?.with_null_regex(null_regex(options)?))
        .with_batch_size(rows.max(1))
        .build_decoder();
    let mut at = 0;
    while let Ok(used) = decoder.decode(&text[at..]) {
        at += used;
        if used == 0 || decoder.capacity() == 0 {
            break;
        }
    }
    let batch: Option<RecordBatch> = decoder.flush().ok().flatten();
    let rows = batch.as_ref().map_or(1, |batch| batch.num_rows().max(1)) as f64;
    let widths = schema.fields().iter().enumerate().map(|(column, field)| match field.data_type().primitive_width() {
        Some(width) => width as f64 + 0.125,
        None => {
            let seen = batch.as_ref().map(|batch| batch.column(column).to_data());
            let bytes = seen.and_then(|data| data.get_slice_memory_size().ok()).unwrap_or(0);
            bytes as f64 / rows + 4.0
        }
    });
    Ok(Sample { row_bytes: at.max(1) as f64 / rows, widths: widths.collect() })
}
