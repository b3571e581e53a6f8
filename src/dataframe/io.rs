//! Where tables come from: files of CSV and of JSON lines, and how they are read.

use std::sync::Arc;

use arrow::datatypes::DataType;

use super::DataFrame;
use super::create::scan;
use crate::error::{Error, ErrorKind, Result, Role};
use crate::formats::csv::{BadRows, CsvOptions, CsvSource, ShortRows};
use crate::formats::json::{JsonOptions, JsonSource};
use crate::formats::scan::TableSource;
use crate::origin::Origin;

/// What readers of files say of the columns beside those in the files.
macro_rules! file_columns {
    () => {
        /// Whether directories called `key=value` give columns; they do by default. A key stands above a column of its name in the files; a
        /// file that lies in no directory of the key has null there.
        ///
        /// The values of a key are integers or dates where each is written just as that integer or date is, and else text: what was text that
        /// looks like this, or of another type, comes back as it was where [`hive_type`](Self::hive_type) says so.
        pub fn hive(mut self, hive: bool) -> Self {
            self.options.file_columns.hive = hive;
            self
        }

        /// The type of a column of the directories, in place of what their values look like.
        pub fn hive_type(mut self, column: impl Into<String>, data_type: DataType) -> Self {
            self.options.file_columns.hive_types.push((column.into(), data_type));
            self
        }

        /// One more column, with the path of the file that a row is from.
        pub fn include_path(mut self, name: impl Into<String>) -> Self {
            self.options.file_columns.include_path = Some(name.into());
            self
        }
    };
}
pub(super) use file_columns;

/// What is to be read, and how; [`ReadCsv::open`] makes a table of it.
#[derive(Clone, Debug)]
#[must_use = "nothing is read before `open`"]
pub struct ReadCsv {
    path: String,
    delimiter: char,
    quote: Option<char>,
    comment: Option<char>,
    columns: Option<Vec<String>>,
    options: CsvOptions,
    origin: Origin,
}

/// A file of comma-separated values, a pattern (`*` and `?` stand for letters of names), or a directory with all files in it and below
/// that end in `.csv` or `.tsv`; files are in natural order of their names (`part-9` before `part-10`). Names that end in `.gz` and `.zst`
/// are decompressed (features `gzip` and `zstd`). Directories called `key=value` give a column for their key; files that a condition on
/// keys leaves out are not opened.
///
/// Columns are matched by name: a file may have them in another order, or have more of them; one that it lacks is null. Types
/// come from the first rows of the first file that has any, where [`ReadCsv::dtype`] does not say otherwise: `Int64`, `UInt64`, `Float64`,
/// `Boolean`, `Date32`, `Timestamp` in microseconds, or text. Integers are `UInt64` where one is too large for `Int64` and none is below
/// zero; where one fits neither they stay text, with all their digits. A blank is null and turns nothing into floats. A value
/// that does not fit its column's type is an error with file, line and column. Only columns that are used are parsed. Blank lines are
/// passed over; in a file of one column they are rows whose field is empty.
///
/// # Memory
/// A block of the file and its rows for each task; a compressed file is read as a stream by one task.
#[track_caller]
pub fn read_csv(path: impl Into<String>) -> ReadCsv {
    ReadCsv {
        path: path.into(),
        delimiter: ',',
        quote: Some('"'),
        comment: None,
        columns: None,
        options: CsvOptions::default(),
        origin: Origin::caller(),
    }
}

impl ReadCsv {
    file_columns!();

    /// The fields that are null, in place of the empty one.
    pub fn null_values<S: Into<String>>(mut self, values: impl IntoIterator<Item = S>) -> ReadCsv {
        self.options.null_values = values.into_iter().map(Into::into).collect();
        self
    }

    /// The fields of one column that are null, in place of those of all columns.
    pub fn column_null_values<S: Into<String>>(
        mut self,
        column: impl Into<String>,
        values: impl IntoIterator<Item = S>,
    ) -> ReadCsv {
        self.options.column_null_values.push((column.into(), values.into_iter().map(Into::into).collect()));
        self
    }

    /// The type of a column, in place of what the sample says, or, of a key, its directories.
    pub fn dtype(mut self, column: impl Into<String>, data_type: DataType) -> ReadCsv {
        self.options.dtypes.push((column.into(), data_type));
        self
    }

    /// Columns that are dates or times, whatever the sample says.
    pub fn parse_dates<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> ReadCsv {
        self.options.parse_dates.extend(columns.into_iter().map(Into::into));
        self
    }

    /// How the dates or times of a column are written, in chrono's letters: `%d.%m.%Y`.
    pub fn date_format(mut self, column: impl Into<String>, format: impl Into<String>) -> ReadCsv {
        self.options.date_formats.push((column.into(), format.into()));
        self
    }

    /// What stands between two fields, in place of a comma.
    pub fn delimiter(mut self, delimiter: char) -> ReadCsv {
        self.delimiter = delimiter;
        self
    }

    /// What stands around a field that has delimiters or line ends in it, in place of `"`; or nothing does.
    pub fn quote(mut self, quote: Option<char>) -> ReadCsv {
        self.quote = quote;
        self
    }

    /// Lines that begin with this are left out.
    pub fn comment(mut self, prefix: char) -> ReadCsv {
        self.comment = Some(prefix);
        self
    }

    /// The files have no header row: their columns are called like this.
    pub fn names<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> ReadCsv {
        self.options.has_header = false;
        self.options.column_names = names.into_iter().map(Into::into).collect();
        self
    }

    /// Lines at the beginning of each file that are left out.
    pub fn skip_rows(mut self, rows: usize) -> ReadCsv {
        self.options.skip_rows = rows;
        self
    }

    /// How many rows are looked at for the types of the columns.
    pub fn sample_rows(mut self, rows: usize) -> ReadCsv {
        self.options.sample_rows = rows;
        self
    }

    /// Only these columns, in this order.
    pub fn columns<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> ReadCsv {
        self.columns = Some(columns.into_iter().map(Into::into).collect());
        self
    }

    /// Fields that are missing at the end of a row are null, instead of an error.
    pub fn pad_short_rows(mut self) -> ReadCsv {
        self.options.short_rows = ShortRows::Null;
        self
    }

    /// Rows with too many or too few fields are left out, instead of an error. A field that is no value of its column's type is
    /// an error.
    pub fn skip_bad_rows(mut self) -> ReadCsv {
        self.options.bad_rows = BadRows::Skip;
        self
    }

    /// What is no UTF-8 is replaced by `�`, instead of an error.
    pub fn lossy(mut self) -> ReadCsv {
        self.options.lossy = true;
        self
    }

    /// About how many bytes of text a task reads, in place of what follows from the sizes of the files.
    pub fn block_bytes(mut self, bytes: u64) -> ReadCsv {
        self.options.block_bytes = Some(bytes);
        self
    }

    /// About how many bytes of text a partition has, in place of 128 MiB.
    pub fn partition_bytes(mut self, bytes: u64) -> ReadCsv {
        self.options.partition_bytes = Some(bytes);
        self
    }

    /// Finds the files and learns the schema from the first one.
    ///
    /// # Errors
    /// Of kind `Io`, where no file matches or one cannot be read; of kind `Data`, where it is no CSV; of kind `Plan`,
    /// where an option is wrong.
    pub fn open(&self) -> Result<DataFrame> {
        opened(self.source(), self.columns.as_deref(), "read_csv", self.origin)
    }

    fn source(&self) -> Result<Arc<dyn TableSource>> {
        let byte = |letter: char, what: &str| {
            let byte = u8::try_from(letter).ok().filter(|byte| byte.is_ascii() && !b"\r\n".contains(byte));
            byte.ok_or_else(|| Error::new(ErrorKind::Plan, format!("{letter:?} cannot {what}")))
        };
        let mut options = self.options.clone();
        options.delimiter = byte(self.delimiter, "stand between fields")?;
        options.quote = self.quote.map(|quote| byte(quote, "stand around fields")).transpose()?;
        options.comment = self.comment.map(|comment| byte(comment, "begin a comment")).transpose()?;
        if options.quote == Some(options.delimiter) {
            let text = format!("{:?} cannot stand between fields: it stands around them", self.delimiter);
            return Err(Error::new(ErrorKind::Plan, text));
        }
        Ok(Arc::new(CsvSource::open(&self.path, options)?))
    }
}

/// Files of JSON lines, and how they are read; [`ReadJson::open`] makes a table of them.
#[derive(Clone, Debug)]
#[must_use = "nothing is read before `open`"]
pub struct ReadJson {
    path: String,
    columns: Option<Vec<String>>,
    options: JsonOptions,
    origin: Origin,
}

/// Files with one JSON object per line, found as [`read_csv`] finds its own; in a directory those that end in `.jsonl`, `.ndjson` or
/// `.json`. Types come from the first rows of the first file that has
/// any, where [`ReadJson::dtype`] does not say otherwise, and so do the columns; nested values are structs and lists. Integers
/// are `UInt64` where one is too large for `Int64` and none is below zero; where one fits neither it is an error, with file, line and key,
/// until a type is declared. A key that an object
/// lacks is null; one that is no column is an error with file and line, unless [`ReadJson::ignore_unknown`] says otherwise.
#[track_caller]
pub fn read_json(path: impl Into<String>) -> ReadJson {
    let (path, origin) = (path.into(), Origin::caller());
    ReadJson { path, columns: None, options: JsonOptions::default(), origin }
}

impl ReadJson {
    file_columns!();

    /// The type of a column, in place of what the sample says, or, of a key, its directories.
    pub fn dtype(mut self, column: impl Into<String>, data_type: DataType) -> ReadJson {
        self.options.dtypes.push((column.into(), data_type));
        self
    }

    /// Keys that are no columns are passed over, with their values, instead of an error.
    pub fn ignore_unknown(mut self) -> ReadJson {
        self.options.ignore_unknown = true;
        self
    }

    /// How many rows are looked at for the columns and their types.
    pub fn sample_rows(mut self, rows: usize) -> ReadJson {
        self.options.sample_rows = rows;
        self
    }

    /// Only these columns, in this order.
    pub fn columns<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> ReadJson {
        self.columns = Some(columns.into_iter().map(Into::into).collect());
        self
    }

    /// About how many bytes of text a task reads, in place of what follows from the sizes of the files.
    pub fn block_bytes(mut self, bytes: u64) -> ReadJson {
        self.options.block_bytes = Some(bytes);
        self
    }

    /// About how many bytes of text a partition has, in place of 128 MiB.
    pub fn partition_bytes(mut self, bytes: u64) -> ReadJson {
        self.options.partition_bytes = Some(bytes);
        self
    }

    /// Finds the files and learns the schema from the first one.
    ///
    /// # Errors
    /// As [`ReadCsv::open`].
    pub fn open(&self) -> Result<DataFrame> {
        let source = JsonSource::open(&self.path, self.options.clone());
        let source = source.map(|source| Arc::new(source) as Arc<dyn TableSource>);
        opened(source, self.columns.as_deref(), "read_json", self.origin)
    }
}

/// The table of a source, of some of its columns.
pub(super) fn opened(
    source: Result<Arc<dyn TableSource>>,
    columns: Option<&[String]>,
    verb: &'static str,
    origin: Origin,
) -> Result<DataFrame> {
    let frame = source.and_then(|source| scan(source, verb, origin));
    let frame = frame.and_then(|frame| match columns {
        None => Ok(frame),
        Some(columns) => {
            super::select::known(&frame, columns)?;
            super::select::selected(&frame, columns.iter().map(|name| crate::expr::col(name)).collect(), verb, origin)
        }
    });
    Ok(DataFrame::of(Ok(frame.map_err(|error| error.frame(Role::In, verb, origin))?)))
}
