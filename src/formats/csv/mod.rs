//! Comma-separated values: schema from a sample, one partition per file, only the columns that are used.

mod locate;
mod quotes;
mod read;
mod sample;

use std::sync::Arc;

use arrow::csv::reader::Format;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use regex::Regex;

use super::files::{self, SourceFile};
use crate::error::{Error, ErrorKind, Result};

/// How the files are written, and what is known of them beforehand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvOptions {
    /// Between two fields.
    pub delimiter: u8,
    /// Fields that are null. An empty field is one only if it is among them.
    pub null_values: Vec<String>,
    /// Types that are not taken from the sample.
    pub dtypes: Vec<(String, DataType)>,
}

impl Default for CsvOptions {
    fn default() -> CsvOptions {
        CsvOptions { delimiter: b',', null_values: vec![String::new()], dtypes: Vec::new() }
    }
}

/// Files of one schema.
#[derive(Clone, Debug)]
pub struct CsvSource {
    files: Vec<SourceFile>,
    options: CsvOptions,
    schema: SchemaRef,
    sample: sample::Sample,
}

/// How many times its size a compressed file is taken to be. Text compresses to a third or a quarter.
const GZIP_RATIO: u64 = 4;

/// The most that is declared for reading one file: beyond it the estimate is no ground to refuse a run.
const MOST_DECLARED: u64 = 128 << 20;

impl CsvSource {
    /// Finds the files of a pattern and takes the schema from the first of them.
    ///
    /// # Errors
    /// Of kind `Io`, where no file matches or the first cannot be read; of kind `Data`, where it is no CSV; of kind
    /// `Plan`, where a type is declared for a column that is not there.
    pub fn open(pattern: &str, options: CsvOptions) -> Result<CsvSource> {
        let files = files::find(pattern)?;
        let first = files.first().ok_or_else(|| Error::internal("a pattern without files"))?;
        let (schema, sample) = sample::take(&first.path, &options)?;
        Ok(CsvSource { files, options, schema: Arc::new(schema), sample })
    }

    /// All columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The files, in natural order.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// What the source is as data: equal texts read the same.
    pub fn key(&self) -> String {
        format!("{:?} {:?} {:?}", self.files, self.options, self.schema)
    }

    /// About how many bytes the text of a file has.
    fn text_bytes(&self, file: usize) -> u64 {
        self.files
            .get(file)
            .map_or(0, |file| if files::is_gzip(&file.path) { file.bytes * GZIP_RATIO } else { file.bytes })
    }

    /// About how many bytes the columns of one file take in memory.
    pub fn decoded_bytes(&self, file: usize, columns: &[usize]) -> u64 {
        self.sample.decoded_bytes(self.text_bytes(file), columns).min(MOST_DECLARED)
    }

    /// About how many bytes reading the columns of one file takes: the columns and the buffers of the reader.
    pub fn need(&self, file: usize, columns: &[usize]) -> u64 {
        self.decoded_bytes(file, columns) + self.sample.scratch_bytes(self.schema.fields().len())
    }

    /// The most that the columns of any of the files take.
    pub fn most_decoded_bytes(&self, columns: &[usize]) -> u64 {
        (0..self.files.len()).map(|file| self.decoded_bytes(file, columns)).max().unwrap_or(0)
    }
}

/// The regular expression of all null markers, for the parser.
fn null_regex(options: &CsvOptions) -> Result<Regex> {
    let markers: Vec<String> = options.null_values.iter().map(|marker| regex::escape(marker)).collect();
    // Without markers nothing is null: no text has its end before its beginning.
    let pattern = if markers.is_empty() { "$.^".to_string() } else { format!("^(?:{})$", markers.join("|")) };
    Regex::new(&pattern).map_err(|error| Error::with_source(ErrorKind::Plan, "null_values", error))
}

fn format(options: &CsvOptions) -> Result<Format> {
    let format = Format::default().with_header(true).with_delimiter(options.delimiter);
    Ok(format.with_null_regex(null_regex(options)?))
}

/// The names of columns as a schema, with a type for all.
fn unnamed_types(names: impl IntoIterator<Item = String>, data_type: &DataType) -> Schema {
    let fields = names.into_iter().map(|name| arrow::datatypes::Field::new(name, data_type.clone(), true));
    Schema::new(fields.collect::<Vec<_>>())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    #[test]
    fn null_markers_match_whole_fields_only() {
        let options = CsvOptions { null_values: vec!["".into(), "NA".into(), "a.b".into()], ..CsvOptions::default() };
        let regex = null_regex(&options).unwrap();
        for (text, null) in [("", true), ("NA", true), ("NAN", false), ("a.b", true), ("axb", false)] {
            assert_eq!(regex.is_match(text), null, "{text}");
        }
        let none = null_regex(&CsvOptions { null_values: Vec::new(), ..CsvOptions::default() }).unwrap();
        assert!(!none.is_match("") && !none.is_match("a"));
    }
}
