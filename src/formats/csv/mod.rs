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

use arrow::datatypes::{Field, SchemaRef};

use super::blocks::Blocks;
use super::files::{self, SourceFile};
use super::hive::{content_key, data_files};
use super::per_file::PerFile;
use super::scan::{Scan, ScanRequest, TableSource};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::{Lookup, unknown_column};

pub use encode::{CsvWriteOptions, Quoting, encode, encode_header};
pub use options::{BadRows, CsvOptions, ShortRows};
pub use sample::fields_of_first;

/// What files in a directory are called.
const EXTENSIONS: [&str; 6] = ["csv", "tsv", "csv.gz", "tsv.gz", "csv.zst", "tsv.zst"];

/// Files of one schema.
#[derive(Debug)]
pub struct CsvSource {
    files: Vec<SourceFile>,
    options: CsvOptions,
    per_file: PerFile,
    sample: sample::Sample,
    blocks: Blocks,
    skipped: AtomicU64,
}

impl CsvSource {
    /// Finds the files of a pattern or a directory and takes the columns from the first of them, and their types from the first that has
    /// rows.
    ///
    /// # Errors
    /// Of kind `Io`, where no file matches or the first cannot be read; of kind `Data`, where it is no CSV; of kind
    /// `Plan`, where an option is wrong, or names a column that is not there.
    pub fn open(path: &str, options: CsvOptions) -> Result<CsvSource> {
        options.check()?;
        let files = data_files(path, &EXTENSIONS)?;
        let (found, sample) = sample::take(files.iter().map(|file| &file.file), &options)?;
        let mut fields = Vec::with_capacity(found.len());
        let by_column = options.by_column();
        for (name, seen) in found {
            let data_type = by_column.declared(&name).unwrap_or(seen);
            fields::Parser::check(&name, &data_type)?;
            fields.push(Arc::new(Field::new(name, data_type, true)));
        }
        let told = by_column.told();
        let per_file = PerFile::new(fields, &files, &options.file_columns, &told)?;
        let columns = Lookup::new(per_file.schema());
        for (name, in_rows) in
            told.iter().map(|(name, _)| (name, false)).chain(options.columns_of_files().map(|name| (name, true)))
        {
            let Some(place) = columns.place(name) else {
                return Err(unknown_column(name, per_file.schema()));
            };
            if in_rows && !per_file.in_rows(place) {
                let text = format!(
                    "column `{name}` does not come from the rows of files: it has no format and no texts that are null"
                );
                return Err(Error::new(ErrorKind::Plan, text));
            }
        }
        let files: Vec<SourceFile> = files.into_iter().map(|file| file.file).collect();
        let blocks = Blocks::cut(&files, options.block_bytes, options.partition_bytes)?;
        Ok(CsvSource { files, options, per_file, sample, blocks, skipped: AtomicU64::new(0) })
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
        self.per_file.schema()
    }

    fn key(&self) -> Option<String> {
        let files = self.files.iter().map(|file| (file.path.as_path(), file.bytes, file.modified));
        // The types are those of the first rows, which are read once.
        Some(content_key("csv", files, &(&self.options, self.schema(), self.per_file.digest())))
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
        Ok(Arc::new(scan::CsvScan::new(self, request)?))
    }
}

#[cfg(test)]
mod tests;
