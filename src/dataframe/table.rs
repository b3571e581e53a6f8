//! A table that is there: batches of one schema.

use std::fmt;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, RecordBatch, StringArray};
use arrow::compute::concat;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::error::{Error, ErrorKind, Result};
use crate::expr::unknown_column;

/// Rows that are printed at most.
const SHOWN_ROWS: usize = 40;

/// Letters of a value that are printed at most.
const SHOWN_LETTERS: usize = 60;

/// What a computed table is: Arrow batches of one schema. `Display` prints it aligned.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl Table {
    /// Batches that have the schema.
    pub(crate) fn new(schema: SchemaRef, mut batches: Vec<RecordBatch>) -> Table {
        batches.retain(|batch| batch.num_rows() > 0);
        Table { schema, batches }
    }

    /// A table of one batch.
    pub fn from_batch(batch: RecordBatch) -> Table {
        Table::new(batch.schema(), vec![batch])
    }

    /// Types and names of the columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Number of rows.
    pub fn num_rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// Number of columns.
    pub fn num_columns(&self) -> usize {
        self.schema.fields().len()
    }

    /// The batches, in order.
    pub fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    /// A column as one array.
    ///
    /// # Errors
    /// Of kind `Plan`, where there is none of this name.
    pub fn array(&self, name: &str) -> Result<ArrayRef> {
        let at = self.schema.index_of(name).map_err(|_| unknown_column(name, &self.schema))?;
        let parts: Vec<&dyn Array> = self.batches.iter().map(|batch| &**batch.column(at)).collect();
        if parts.is_empty() {
            return Ok(arrow::array::new_empty_array(self.schema.field(at).data_type()));
        }
        concat(&parts).map_err(|error| Error::with_source(ErrorKind::Data, format_args!("column `{name}`"), error))
    }

    /// A column of numbers as one array of its Arrow type.
    ///
    /// # Errors
    /// Of kind `Plan`, where there is none of this name or it has another type.
    pub fn column<T: ArrowPrimitiveType>(&self, name: &str) -> Result<PrimitiveArray<T>> {
        let array = self.array(name)?;
        let found = array.as_any().downcast_ref::<PrimitiveArray<T>>().cloned();
        found.ok_or_else(|| other_type(name, &array, &T::DATA_TYPE.to_string()))
    }

    /// A column of text as one array.
    ///
    /// # Errors
    /// Of kind `Plan`, where there is none of this name or it is no text.
    pub fn texts(&self, name: &str) -> Result<StringArray> {
        let array = self.array(name)?;
        let found = array.as_any().downcast_ref::<StringArray>().cloned();
        found.ok_or_else(|| other_type(name, &array, "Utf8"))
    }
}

fn other_type(name: &str, array: &ArrayRef, wanted: &str) -> Error {
    Error::new(ErrorKind::Plan, format!("column `{name}` is a {}, not a {wanted}", array.data_type()))
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = FormatOptions::new().with_null("null");
        let mut columns: Vec<Vec<String>> =
            self.schema.fields().iter().map(|field| vec![shortened(field.name())]).collect();
        let mut left = SHOWN_ROWS;
        for batch in &self.batches {
            let rows = batch.num_rows().min(left);
            left -= rows;
            for (column, cells) in batch.columns().iter().zip(&mut columns) {
                // What cannot be shown is told in its place: to print is never an error.
                let told = |error: ArrowError| format!("<{error}>");
                match ArrayFormatter::try_new(column, &options) {
                    Ok(shown) => cells
                        .extend((0..rows).map(|row| shortened(&shown.value(row).try_to_string().unwrap_or_else(told)))),
                    Err(error) => cells.extend(std::iter::repeat_n(shortened(&told(error)), rows)),
                }
            }
        }
        let width = |cells: &Vec<String>| cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = columns.iter().map(width).collect();
        let numbers: Vec<bool> = self.schema.fields().iter().map(|field| field.data_type().is_numeric()).collect();
        let rows = columns.first().map_or(0, Vec::len);
        for row in 0..rows {
            let cells = columns.iter().zip(&widths).zip(&numbers).map(|((cells, width), number)| {
                if *number { format!("{:>width$}", cells[row]) } else { format!("{:<width$}", cells[row]) }
            });
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
            if row == 0 {
                let ruler: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
                writeln!(f, "{}", ruler.join("  "))?;
            }
        }
        let more = self.num_rows().saturating_sub(SHOWN_ROWS);
        if more > 0 { writeln!(f, "… and {more} more rows") } else { Ok(()) }
    }
}

/// A value on one line, cut where it is long.
fn shortened(text: &str) -> String {
    let text = text.replace(['\n', '\r', '\t'], " ");
    match text.char_indices().nth(SHOWN_LETTERS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
