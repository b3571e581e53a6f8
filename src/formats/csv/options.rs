//! How CSV files are written, and what is known of them beforehand.

use std::collections::{HashMap, HashSet};

use arrow::datatypes::{DataType, TimeUnit};

use super::fields::{Markers, Parser};
use super::mask::Dialect;
use super::rows::Irregular;
use crate::error::{Error, ErrorKind, Result};
use crate::formats::per_file::FileColumns;

/// How the files are written, and what is known of them beforehand.
///
/// Text is UTF-8; a byte-order mark at the start is passed over. Lines end in `\n` or `\r\n`; blank lines are passed over, but where
/// there is one column, of which they are empty fields. Numbers may have spaces around them and leading zeros; declare text for columns in
/// which zeros count. Integers are `Int64`, or `UInt64` where one is above that and none below zero, or else text. `NaN` is a number, an empty
/// field is null, `""` is an empty text and null in other columns. Fields in quotes are as others: `"12"` is a number where the column is of numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvOptions {
    /// Between two fields.
    pub delimiter: u8,
    /// Around fields with delimiters, newlines and quotes in them, which are doubled. A quote inside a field that does not start
    /// with one is a letter.
    pub quote: Option<u8>,
    /// Whether the first row has the names of the columns. Without, they are called `column_1` and so on.
    pub has_header: bool,
    /// Names for the columns of all files, by their places, in place of those in the files.
    pub column_names: Vec<String>,
    /// Fields that are null. An empty field is one only if it is among them.
    pub null_values: Vec<String>,
    /// Fields that are null in one column, in place of those for all.
    pub column_null_values: Vec<(String, Vec<String>)>,
    /// Types that are not taken from the sample. Bytes are written as two hexadecimal digits each.
    pub dtypes: Vec<(String, DataType)>,
    /// Columns of points in time, in microseconds; those with a format as well.
    pub parse_dates: Vec<String>,
    /// How the dates and times of a column are written, in the form of `strftime`.
    pub date_formats: Vec<(String, String)>,
    /// Lines that begin with this are no rows.
    pub comment: Option<u8>,
    /// Lines at the start of each file that are passed over.
    pub skip_rows: usize,
    /// Rows of the first file with any that the types are taken from.
    pub sample_rows: usize,
    /// The columns beside those in the files.
    pub file_columns: FileColumns,
    /// What is done with rows with fewer fields than the header.
    pub short_rows: ShortRows,
    /// What is done with rows with a wrong number of fields.
    pub bad_rows: BadRows,
    /// Whether bytes that are no UTF-8 are replaced by `�`. Otherwise they are an error, in columns that are read.
    pub lossy: bool,
    /// Bytes of text that one task reads; by default a share of all files.
    pub block_bytes: Option<u64>,
    /// Bytes of text of a partition, 128 MiB by default. A file has one at least.
    pub partition_bytes: Option<u64>,
}

/// What is done with rows with fewer fields than the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShortRows {
    /// They are bad.
    #[default]
    Bad,
    /// The fields that are missing are null.
    Null,
}

/// What is done with rows with a wrong number of fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BadRows {
    /// They are an error.
    #[default]
    Error,
    /// They are left out and counted.
    Skip,
}

impl Default for CsvOptions {
    fn default() -> CsvOptions {
        CsvOptions {
            delimiter: b',',
            quote: Some(b'"'),
            has_header: true,
            column_names: Vec::new(),
            null_values: vec![String::new()],
            column_null_values: Vec::new(),
            dtypes: Vec::new(),
            parse_dates: Vec::new(),
            date_formats: Vec::new(),
            comment: None,
            skip_rows: 0,
            sample_rows: 1000,
            file_columns: FileColumns::default(),
            short_rows: ShortRows::Bad,
            bad_rows: BadRows::Error,
            lossy: false,
            block_bytes: None,
            partition_bytes: None,
        }
    }
}

impl CsvOptions {
    /// Whether they make sense.
    ///
    /// # Errors
    /// Of kind `Plan`.
    pub(super) fn check(&self) -> Result<()> {
        let signs = [("delimiter", Some(self.delimiter)), ("quote", self.quote), ("comment", self.comment)];
        for (at, (name, sign)) in signs.iter().enumerate() {
            let Some(sign) = sign else { continue };
            if !sign.is_ascii() || matches!(sign, b'\n' | b'\r' | 0) {
                let text = format!("{:?} cannot be the {name} of a CSV file", char::from(*sign));
                return Err(Error::new(ErrorKind::Plan, text));
            }
            if let Some((other, _)) = signs[..at].iter().find(|(_, other)| *other == Some(*sign)) {
                let text = format!("{:?} cannot be both {other} and {name} of a CSV file", char::from(*sign));
                return Err(Error::new(ErrorKind::Plan, text));
            }
        }
        if self.block_bytes == Some(0) || self.partition_bytes == Some(0) {
            return Err(Error::new(ErrorKind::Plan, "a block and a partition have one byte at least"));
        }
        for (name, format) in &self.date_formats {
            if chrono::format::StrftimeItems::new(format).any(|item| item == chrono::format::Item::Error) {
                let text = format!("column `{name}`: {format:?} is no format of dates");
                return Err(Error::new(ErrorKind::Plan, text));
            }
        }
        for (name, data_type) in &self.dtypes {
            Parser::check(name, data_type)?;
        }
        Ok(())
    }

    pub(super) fn dialect(&self) -> Dialect {
        Dialect { delimiter: self.delimiter, quote: self.quote, comment: self.comment }
    }

    /// What is said of single columns.
    pub(super) fn by_column(&self) -> ByColumn<'_> {
        // Of what is said twice the last counts.
        ByColumn {
            options: self,
            dtypes: self.dtypes.iter().map(|(name, declared)| (name.as_str(), declared)).collect(),
            dates: self.parse_dates.iter().map(String::as_str).collect(),
            formats: self.date_formats.iter().map(|(name, format)| (name.as_str(), format.as_str())).collect(),
            nulls: self.column_null_values.iter().map(|(name, nulls)| (name.as_str(), nulls.as_slice())).collect(),
        }
    }

    /// Columns that have to be in the files.
    pub(super) fn columns_of_files(&self) -> impl Iterator<Item = &String> {
        let nulls = self.column_null_values.iter().map(|(name, _)| name);
        self.date_formats.iter().map(|(name, _)| name).chain(nulls)
    }

    pub(super) fn short(&self) -> Irregular {
        match self.short_rows {
            ShortRows::Null => Irregular::Padded,
            ShortRows::Bad => self.long(),
        }
    }

    pub(super) fn long(&self) -> Irregular {
        match self.bad_rows {
            BadRows::Error => Irregular::Refused,
            BadRows::Skip => Irregular::Skipped,
        }
    }
}

/// What options say of single columns, by their names.
pub(super) struct ByColumn<'a> {
    options: &'a CsvOptions,
    dtypes: HashMap<&'a str, &'a DataType>,
    dates: HashSet<&'a str>,
    formats: HashMap<&'a str, &'a str>,
    nulls: HashMap<&'a str, &'a [String]>,
}

impl ByColumn<'_> {
    /// The type of a column, if it is told.
    pub fn declared(&self, name: &str) -> Option<DataType> {
        let declared = self.dtypes.get(name).map(|declared| DataType::clone(declared));
        declared.or_else(|| {
            let date = self.dates.contains(name) || self.formats.contains_key(name);
            date.then_some(DataType::Timestamp(TimeUnit::Microsecond, None))
        })
    }

    /// The types that are told of columns.
    pub fn told(&self) -> Vec<(String, DataType)> {
        let names = self.options.dtypes.iter().map(|(name, _)| name).chain(&self.options.parse_dates);
        names.filter_map(|name| Some((name.clone(), self.declared(name)?))).collect()
    }

    /// What makes a column of fields.
    pub fn parser(&self, name: &str, data_type: DataType) -> Parser {
        let nulls = self.nulls.get(name).copied().unwrap_or(&self.options.null_values);
        Parser {
            data_type,
            empty_is_null: nulls.iter().any(String::is_empty),
            markers: Markers::new(nulls),
            format: self.formats.get(name).map(|format| format.to_string()),
            quote: self.options.quote,
            lossy: self.options.lossy,
        }
    }
}
