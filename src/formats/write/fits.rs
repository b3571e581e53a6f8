//! Whether what is appended to a data set can be read together with what is there.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use arrow::datatypes::{DataType, SchemaRef};

use super::format::{Encoder, Format};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::hive::key_of;
use crate::formats::{csv, json};

impl Encoder {
    /// Whether files of this encoder may stand beside those of a directory: their columns are among those that are there, with the same
    /// types. One file is looked at, the first that tells its columns; CSV without a header tells how many. All have to lie in directories of these `keys`, or of none where there
    /// are none, as a key is null in all rows of a file without it; but those of a table without rows, which has no directories. Lines of
    /// JSON tell keys and kinds of values, in their first rows.
    ///
    /// # Errors
    /// Of kind `Plan`, naming column and file; of kind `Io` or `Data`, where the file cannot be read.
    pub fn fits(&self, directory: &Path, extension: &str, keys: &[String]) -> Result<()> {
        let mut files = files(directory, extension)?;
        for path in &files {
            let found = keys_above(directory, path);
            if !same_keys(&found, keys) && (!found.is_empty() || self.has_rows(path)?) {
                return Err(other_keys(directory, path, &found, keys));
            }
        }
        // Those of tables without rows have the keys too.
        files.retain(|path| keys.is_empty() || path.parent() != Some(directory));
        for path in files {
            let shown = path.strip_prefix(directory).unwrap_or(&path).display();
            let wrong = |what: String| {
                Err(Error::new(
                    ErrorKind::Plan,
                    format!("{what}: what is appended has to have the columns of `{shown}`"),
                ))
            };
            if let Format::Csv(options) = self.format() {
                if options.header {
                    return if self.has_header(&path)? {
                        Ok(())
                    } else {
                        wrong("the header is another one".to_string())
                    };
                }
                if self.has_header(&path)? {
                    return wrong("there is no header, and there was one".to_string());
                }
                let Some(found) = csv::fields_of_first(&path, options)? else { continue };
                let own = self.schema().fields().len();
                return if found == own {
                    Ok(())
                } else {
                    wrong(format!("there are {own} columns, and {found} before"))
                };
            }
            let Some(there) = self.columns_of(&path)? else { continue };
            let same = |own: &DataType, found: &DataType| match self.format() {
                Format::Json => json::may_be(own, found),
                _ => own == found,
            };
            for field in self.schema().fields() {
                let (name, own) = (field.name(), field.data_type());
                match there.field_with_name(name) {
                    Err(_) => return wrong(format!("there is no column `{name}`")),
                    Ok(found) if !same(own, found.data_type()) => {
                        return wrong(format!("column `{name}` is a {own}, and was a {} before", found.data_type()));
                    }
                    Ok(_) => {}
                }
            }
            return Ok(());
        }
        Ok(())
    }

    /// The columns of a file with their types, where it tells them.
    fn columns_of(&self, path: &Path) -> Result<Option<SchemaRef>> {
        let open = || File::open(path).map_err(|error| Error::io(path, "cannot open", error));
        Ok(match self.format() {
            #[cfg(feature = "parquet")]
            Format::Parquet(_) => {
                use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
                let found = ArrowReaderMetadata::load(&open()?, ArrowReaderOptions::new());
                let found = found.map_err(|error| Error::with_source(ErrorKind::Data, path.display(), error))?;
                Some(found.schema().clone())
            }
            Format::Ipc(_) => {
                let found = arrow::ipc::reader::FileReader::try_new(BufReader::new(open()?), None);
                let found = found.map_err(|error| Error::with_source(ErrorKind::Data, path.display(), error))?;
                Some(found.schema())
            }
            Format::Json => json::columns_of(path)?,
            Format::Csv(_) => None,
        })
    }

    /// Whether a file has rows, as far as that is told without reading them: one that lies there as a table without rows is written has none.
    fn has_rows(&self, path: &Path) -> Result<bool> {
        let open = || File::open(path).map_err(|error| Error::io(path, "cannot open", error));
        Ok(match self.format() {
            #[cfg(feature = "parquet")]
            Format::Parquet(_) => {
                use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
                let found = ArrowReaderMetadata::load(&open()?, ArrowReaderOptions::new());
                let found = found.map_err(|error| Error::with_source(ErrorKind::Data, path.display(), error))?;
                found.metadata().file_metadata().num_rows() > 0
            }
            Format::Ipc(_) => {
                let found = arrow::ipc::reader::FileReader::try_new(BufReader::new(open()?), None);
                found.map_err(|error| Error::with_source(ErrorKind::Data, path.display(), error))?.num_batches() > 0
            }
            Format::Csv(options) => {
                let failed = |error| Error::io(path, "cannot read", error);
                let mut lines = BufReader::new(open()?);
                if options.header {
                    lines.skip_until(b'\n').map_err(failed)?;
                }
                !lines.fill_buf().map_err(failed)?.is_empty()
            }
            Format::Json => {
                !BufReader::new(open()?).fill_buf().map_err(|error| Error::io(path, "cannot read", error))?.is_empty()
            }
        })
    }

    /// Whether a file of CSV begins with the header that would be written.
    fn has_header(&self, path: &Path) -> Result<bool> {
        let Format::Csv(options) = self.format() else { return Ok(true) };
        let mut wanted = Vec::new();
        csv::encode_header(self.schema(), options, &mut wanted)?;
        let failed = |error| Error::io(path, "cannot read", error);
        let mut file = BufReader::new(File::open(path).map_err(failed)?);
        let mut found = Vec::with_capacity(wanted.len());
        while found.len() < wanted.len() {
            let part = file.fill_buf().map_err(failed)?;
            if part.is_empty() {
                break;
            }
            let len = part.len().min(wanted.len() - found.len());
            found.extend_from_slice(&part[..len]);
            file.consume(len);
        }
        Ok(found == wanted)
    }
}

/// The keys that the directories above a file name, below that of the data set.
fn keys_above(directory: &Path, path: &Path) -> Vec<String> {
    let above = path.strip_prefix(directory).unwrap_or(path).parent().into_iter().flat_map(Path::components);
    above.filter_map(|part| Some(key_of(part.as_os_str().to_str()?)?.0)).collect()
}

/// Whether these are the same, in any order.
fn same_keys(found: &[String], keys: &[String]) -> bool {
    found.len() == keys.len() && keys.iter().all(|key| found.contains(key))
}

fn other_keys(directory: &Path, path: &Path, found: &[String], keys: &[String]) -> Error {
    let shown = path.strip_prefix(directory).unwrap_or(path).display();
    let by = |keys: &[String]| match keys {
        [] => "not partitioned".to_string(),
        keys => format!("partitioned by `{}`", keys.join("`, `")),
    };
    let text = format!(
        "what is appended is {}, and `{shown}` is {}: rows of one would have no keys of the other",
        by(keys),
        by(found)
    );
    Error::new(ErrorKind::Plan, text)
}

/// The files of a data set.
fn files(directory: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let (mut open, mut found) = (vec![directory.to_path_buf()], Vec::new());
    while let Some(directory) = open.pop() {
        let failed = |error| Error::io(&directory, "cannot list", error);
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|known| known == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
