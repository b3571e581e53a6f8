//! Batches as text.

use arrow::array::{Array, AsArray, BooleanArray, PrimitiveArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::error::{Error, ErrorKind, Result};

/// How CSV files are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvWriteOptions {
    /// Whether the names of the columns come first.
    pub header: bool,
    /// Between two fields.
    pub delimiter: u8,
    /// Around fields that need it, or all.
    pub quote: u8,
    /// What is written for null. A text that would look the same is quoted; so read back, an empty text stays one.
    pub null: String,
    /// Which fields are quoted.
    pub quoting: Quoting,
    /// How dates are written, in the form of `strftime`; by default as `2024-02-29`.
    pub date_format: Option<String>,
    /// How points in time are written; by default as `2024-02-29T12:30:00`, with the zone if they have one.
    pub timestamp_format: Option<String>,
}

/// Which fields are quoted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quoting {
    /// Those that could not be read back otherwise.
    #[default]
    Needed,
    /// All that are not null.
    Always,
}

impl Default for CsvWriteOptions {
    fn default() -> CsvWriteOptions {
        CsvWriteOptions {
            header: true,
            delimiter: b',',
            quote: b'"',
            null: String::new(),
            quoting: Quoting::Needed,
            date_format: None,
            timestamp_format: None,
        }
    }
}

impl CsvWriteOptions {
    fn check(&self) -> Result<()> {
        let fits = |sign: u8| sign.is_ascii() && !matches!(sign, b'\n' | b'\r' | 0);
        if fits(self.delimiter) && fits(self.quote) && self.delimiter != self.quote {
            return Ok(());
        }
        let (delimiter, quote) = (char::from(self.delimiter), char::from(self.quote));
        let text = format!("a CSV file cannot have {delimiter:?} between fields and {quote:?} around them");
        Err(Error::new(ErrorKind::Plan, text))
    }

    /// Adds a field, in quotes where it needs them.
    fn put(&self, field: &[u8], out: &mut Vec<u8>) {
        let special = |byte: &u8| *byte == self.delimiter || *byte == self.quote || matches!(byte, b'\n' | b'\r');
        let quoted = match self.quoting {
            Quoting::Always => true,
            Quoting::Needed => field == self.null.as_bytes() || field.iter().any(special),
        };
        if !quoted {
            return out.extend_from_slice(field);
        }
        out.push(self.quote);
        let mut rest = field;
        while let Some(at) = memchr::memchr(self.quote, rest) {
            out.extend_from_slice(&rest[..=at]);
            out.push(self.quote);
            rest = &rest[at + 1..];
        }
        out.extend_from_slice(rest);
        out.push(self.quote);
    }
}

/// A column that is written.
enum Column<'a> {
    Ints(&'a PrimitiveArray<Int64Type>),
    SmallInts(&'a PrimitiveArray<Int32Type>),
    Floats(&'a PrimitiveArray<Float64Type>),
    Booleans(&'a BooleanArray),
    Texts(&'a StringArray),
    Other(&'a dyn Array, Box<ArrayFormatter<'a>>),
}

/// Adds the names of the columns as a row.
///
/// # Errors
/// Of kind `Plan`, where an option is wrong.
pub fn encode_header(schema: &Schema, options: &CsvWriteOptions, out: &mut Vec<u8>) -> Result<()> {
    options.check()?;
    let start = out.len();
    for (at, field) in schema.fields().iter().enumerate() {
        if at > 0 {
            out.push(options.delimiter);
        }
        options.put(field.name().as_bytes(), out);
    }
    if out.len() == start && !schema.fields().is_empty() {
        // A blank line is no header.
        out.extend_from_slice(&[options.quote, options.quote]);
    }
    out.push(b'\n');
    Ok(())
}

/// Adds the rows of a batch as text, without a header.
///
/// A row of a single null is a blank line, which the reader takes for a row where there is one column.
///
/// # Errors
/// Of kind `Plan`, where a column is of a type that a CSV file cannot hold, or an option is wrong.
pub fn encode(batch: &RecordBatch, options: &CsvWriteOptions, out: &mut Vec<u8>) -> Result<()> {
    options.check()?;
    let formats = FormatOptions::default()
        .with_display_error(false)
        .with_date_format(options.date_format.as_deref())
        .with_datetime_format(options.timestamp_format.as_deref())
        .with_timestamp_format(options.timestamp_format.as_deref())
        .with_timestamp_tz_format(options.timestamp_format.as_deref());
    let schema = batch.schema_ref();
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (array, field) in batch.columns().iter().zip(schema.fields()) {
        columns.push(match array.data_type() {
            DataType::Int64 => Column::Ints(array.as_primitive()),
            DataType::Int32 => Column::SmallInts(array.as_primitive()),
            DataType::Float64 => Column::Floats(array.as_primitive()),
            DataType::Boolean => Column::Booleans(array.as_boolean()),
            DataType::Utf8 => Column::Texts(array.as_string()),
            nested if nested.is_nested() => {
                let text = format!("column `{}`: a CSV file cannot hold a {nested}", field.name());
                return Err(Error::new(ErrorKind::Plan, text));
            }
            _ => Column::Other(array, Box::new(ArrayFormatter::try_new(array, &formats).map_err(failed)?)),
        });
    }
    let mut field = String::new();
    let mut number = [0_u8; lexical_core::BUFFER_SIZE];
    for row in 0..batch.num_rows() {
        let start = out.len();
        for (at, column) in columns.iter().enumerate() {
            if at > 0 {
                out.push(options.delimiter);
            }
            match column {
                column if column.is_null(row) => out.extend_from_slice(options.null.as_bytes()),
                Column::Ints(array) => options.put(lexical_core::write(array.value(row), &mut number), out),
                Column::SmallInts(array) => options.put(lexical_core::write(array.value(row), &mut number), out),
                Column::Floats(array) => options.put(lexical_core::write(array.value(row), &mut number), out),
                Column::Booleans(array) => options.put(if array.value(row) { b"true" } else { b"false" }, out),
                Column::Texts(array) => options.put(array.value(row).as_bytes(), out),
                Column::Other(_, formatter) => {
                    field.clear();
                    formatter.value(row).write(&mut field).map_err(|error| {
                        let name = schema.field(at).name();
                        Error::with_source(ErrorKind::Data, format_args!("column `{name}` cannot be written"), error)
                    })?;
                    options.put(field.as_bytes(), out);
                }
            }
        }
        if out.len() == start && columns.first().is_some_and(|column| !column.is_null(row)) {
            // A blank line is null.
            out.extend_from_slice(&[options.quote, options.quote]);
        }
        out.push(b'\n');
    }
    Ok(())
}

impl Column<'_> {
    fn is_null(&self, row: usize) -> bool {
        match self {
            Column::Ints(array) => array.is_null(row),
            Column::SmallInts(array) => array.is_null(row),
            Column::Floats(array) => array.is_null(row),
            Column::Booleans(array) => array.is_null(row),
            Column::Texts(array) => array.is_null(row),
            Column::Other(array, _) => array.is_null(row),
        }
    }
}

fn failed(error: arrow::error::ArrowError) -> Error {
    Error::with_source(ErrorKind::Plan, "writing CSV", error)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Date32Array, Float64Array, Int64Array, ListArray, TimestampMicrosecondArray};

    use super::*;

    fn text(batch: &RecordBatch, options: &CsvWriteOptions) -> String {
        let mut out = Vec::new();
        encode_header(batch.schema_ref(), options, &mut out).unwrap();
        encode(batch, options, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_and_quotes() {
        let columns: [(&str, ArrayRef); 5] = [
            ("a,b", Arc::new(StringArray::from(vec![Some("say \"no\""), Some(""), None, Some("x\ny"), Some("é")]))),
            ("n", Arc::new(Int64Array::from(vec![Some(1), None, Some(i64::MIN), Some(0), Some(7)]))),
            ("f", Arc::new(Float64Array::from(vec![Some(0.1), Some(f64::NAN), None, Some(-1e300), Some(2.0)]))),
            ("d", Arc::new(Date32Array::from(vec![Some(0), None, Some(19782), Some(1), Some(2)]))),
            ("t", Arc::new(TimestampMicrosecondArray::from(vec![Some(0), None, Some(1_500_000), Some(1), Some(2)]))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        assert_eq!(
            text(&batch, &CsvWriteOptions::default()),
            "\"a,b\",n,f,d,t\n\
             \"say \"\"no\"\"\",1,0.1,1970-01-01,1970-01-01T00:00:00\n\
             \"\",,NaN,,\n\
             ,-9223372036854775808,,2024-02-29,1970-01-01T00:00:01.500\n\
             \"x\ny\",0,-1.0e300,1970-01-02,1970-01-01T00:00:00.000001\n\
             é,7,2.0,1970-01-03,1970-01-01T00:00:00.000002\n"
        );
        let options = CsvWriteOptions {
            delimiter: b';',
            quote: b'\'',
            null: "NA".into(),
            quoting: Quoting::Always,
            date_format: Some("%d.%m.%y".into()),
            timestamp_format: Some("%s".into()),
            ..CsvWriteOptions::default()
        };
        let second = text(&batch.slice(1, 2), &options);
        assert_eq!(second, "'a,b';'n';'f';'d';'t'\n'';NA;'NaN';NA;NA\nNA;'-9223372036854775808';NA;'29.02.24';'1'\n");
        let one = RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from(vec![None, Some(1)])) as ArrayRef)]);
        assert_eq!(text(&one.unwrap(), &CsvWriteOptions::default()), "a\n\n1\n");
    }

    #[test]
    fn what_cannot_be_written() {
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([Some([Some(1)])]);
        let batch = RecordBatch::try_from_iter([("l", Arc::new(lists) as ArrayRef)]).unwrap();
        let error = encode(&batch, &CsvWriteOptions::default(), &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Plan);
        assert!(error.message().starts_with("column `l`: a CSV file cannot hold a List"), "{error}");
        let options = CsvWriteOptions { delimiter: b'"', ..CsvWriteOptions::default() };
        assert_eq!(encode(&batch, &options, &mut Vec::new()).unwrap_err().kind(), ErrorKind::Plan);
    }
}
