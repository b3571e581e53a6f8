//! Comma-separated values: cut into blocks, only the columns and rows that are wanted.
//!
//! `mask` finds the ends of fields by bits, `rows` writes them down row after row, `fields` makes columns of them, `chain`
//! knows what a block begins with, `scan` puts this together for a task. `sample` takes the schema from the first rows, `record` takes rows apart where
//! speed does not matter, `encode` writes.

mod chain;
mod encode;
mod fields;
mod instant;
mod mask;
mod number;
mod options;
mod record;
mod rows;
mod sample;
mod scan;
mod words;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::blocks::Blocks;
use super::files::{self, SourceFile};
use super::scan::{Scan, ScanRequest, TableSource};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::unknown_column;

pub use encode::{CsvWriteOptions, Quoting, encode, encode_header};
pub use options::{BadRows, CsvOptions, ShortRows};

/// Files of one schema.
#[derive(Debug)]
pub struct CsvSource {
    files: Vec<SourceFile>,
    options: CsvOptions,
    schema: SchemaRef,
    sample: sample::Sample,
    blocks: Blocks,
    skipped: AtomicU64,
}

impl CsvSource {
    /// Finds the files of a pattern and takes the schema from the first of them.
    ///
    /// # Errors
    /// Of kind `Io`, where no file matches or the first cannot be read; of kind `Data`, where it is no CSV; of kind
    /// `Plan`, where an option is wrong, or names a column that is not there.
    pub fn open(pattern: &str, options: CsvOptions) -> Result<CsvSource> {
        CsvSource::of_files(files::find(pattern)?, options)
    }

    /// Takes the schema from the first of some files.
    ///
    /// # Errors
    /// As [`CsvSource::open`].
    pub fn of_files(files: Vec<SourceFile>, options: CsvOptions) -> Result<CsvSource> {
        options.check()?;
        let first = files.first().ok_or_else(|| Error::new(ErrorKind::Io, "no files to read"))?;
        let (found, sample) = sample::take(first, &options)?;
        let mut fields = Vec::with_capacity(found.len() + 1);
        for (name, seen) in found {
            let data_type = options.declared(&name).unwrap_or(seen);
            fields::Parser::check(&name, &data_type)?;
            fields.push(Field::new(name, data_type, true));
        }
        if let Some(name) = &options.include_path {
            if fields.iter().any(|field| field.name() == name) {
                let text =
                    format!("the column of paths cannot be called `{name}`: the files have a column of that name");
                return Err(Error::new(ErrorKind::Plan, text));
            }
            fields.push(Field::new(name, DataType::Utf8, false));
        }
        let schema = Schema::new(fields);
        for name in options.named_columns() {
            if schema.index_of(name).is_err() {
                return Err(unknown_column(name, &schema));
            }
        }
        let blocks = Blocks::cut(&files, options.block_bytes, options.partition_bytes)?;
        Ok(CsvSource { files, options, schema: Arc::new(schema), sample, blocks, skipped: AtomicU64::new(0) })
    }

    /// The files, in natural order.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// Rows that were left out, in all reads so far, since they had a wrong number of fields ([`BadRows::Skip`]).
    pub fn skipped_rows(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    /// About how many bytes some columns of so much text take in memory.
    fn decoded_bytes(&self, text: u64, columns: &[usize]) -> u64 {
        self.sample.decoded_bytes(text, columns)
    }
}

impl TableSource for CsvSource {
    fn label(&self) -> String {
        format!("read_csv of {}", files::count(&self.files))
    }

    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn key(&self) -> Option<String> {
        Some(format!("csv {:?} {:?} {:?}", self.files, self.options, self.schema))
    }

    fn partitions(&self) -> u32 {
        self.blocks.partitions
    }

    fn rows(&self) -> Option<u64> {
        None
    }

    fn column_bytes(&self) -> Vec<u64> {
        let text = self.files.iter().map(SourceFile::text_bytes).sum();
        (0..self.schema.fields().len()).map(|column| self.decoded_bytes(text, &[column])).collect()
    }

    fn scan(self: Arc<Self>, request: &ScanRequest) -> Result<Arc<dyn Scan>> {
        Ok(Arc::new(scan::CsvScan::new(self, request)?))
    }
}

#[cfg(test)]
mod tests;
