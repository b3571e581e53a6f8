//! Where tables come from: `read_csv` and its options.

use std::sync::Arc;

use super::DataFrame;
use super::plan::{Frame, Op};
use crate::error::{Error, ErrorKind, Result, Role};
use crate::formats::csv::{CsvOptions, CsvSource};
use crate::origin::Origin;

/// What is to be read, and how; [`ReadCsv::open`] makes a table of it.
#[derive(Clone, Debug)]
#[must_use = "nothing is read before `open`"]
pub struct ReadCsv {
    pattern: String,
    delimiter: char,
    options: CsvOptions,
    origin: Origin,
}

/// Files of comma-separated values with a header row: one partition per file, in natural order of their names (`part-9`
/// before `part-10`). `*` and `?` stand for letters of names; names that end in `.gz` are decompressed (feature `gzip`).
///
/// Columns are matched by name: a file may have them in another order, or have more of them; one that lacks a column that
/// is used is an error. Types come from the first 1000 rows of the first file; a value that does not fit its column's
/// type is an error with file, line and column. Only columns that are used are decoded, and each file is read once per
/// `compute`, however many tables are made of it.
///
/// # Memory
/// One partition is held for each file that is being worked on, and freed when its last reader has run.
#[track_caller]
pub fn read_csv(pattern: impl Into<String>) -> ReadCsv {
    ReadCsv { pattern: pattern.into(), delimiter: ',', options: CsvOptions::default(), origin: Origin::caller() }
}

impl ReadCsv {
    /// The fields that are null, in place of the empty one.
    pub fn null_values<S: Into<String>>(mut self, values: impl IntoIterator<Item = S>) -> ReadCsv {
        self.options.null_values = values.into_iter().map(Into::into).collect();
        self
    }

    /// The type of a column, in place of what the sample says.
    pub fn dtype(mut self, column: impl Into<String>, data_type: arrow::datatypes::DataType) -> ReadCsv {
        self.options.dtypes.push((column.into(), data_type));
        self
    }

    /// What stands between two fields, in place of a comma.
    pub fn delimiter(mut self, delimiter: char) -> ReadCsv {
        self.delimiter = delimiter;
        self
    }

    /// Finds the files and learns the schema from the first one.
    ///
    /// # Errors
    /// Of kind `Io`, where no file matches or the first cannot be read; of kind `Data`, where it is no CSV; of kind `Plan`,
    /// where an option is wrong.
    pub fn open(&self) -> Result<DataFrame> {
        let opened = self.source().and_then(|source| Frame::new(Op::ReadCsv(Arc::new(source)), None, self.origin));
        let frame = opened.map_err(|error| error.frame(Role::In, "read_csv", self.origin))?;
        Ok(DataFrame { state: Ok(frame) })
    }

    fn source(&self) -> Result<CsvSource> {
        let delimiter = u8::try_from(self.delimiter).ok().filter(|byte| byte.is_ascii() && !b"\"\r\n".contains(byte));
        let delimiter = delimiter
            .ok_or_else(|| Error::new(ErrorKind::Plan, format!("{:?} cannot stand between fields", self.delimiter)))?;
        for (column, data_type) in &self.options.dtypes {
            if data_type.is_nested() || matches!(data_type, arrow::datatypes::DataType::Null) {
                let text = format!("column `{column}`: a CSV file cannot hold a {data_type}");
                return Err(Error::new(ErrorKind::Plan, text));
            }
        }
        CsvSource::open(&self.pattern, CsvOptions { delimiter, ..self.options.clone() })
    }
}
