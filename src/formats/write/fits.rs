//! Whether what is appended to a data set can be read together with what is there.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;

use super::format::{Encoder, Format};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::csv;

impl Encoder {
    /// Whether files of this encoder may stand beside those of a directory: their columns are among those that are there, with the same
    /// types. One file is looked at; of a `keyed` data set one in a directory of a key, for others have the keys too. Lines of JSON tell no types.
    ///
    /// # Errors
    /// Of kind `Plan`, naming column and file; of kind `Io` or `Data`, where the file cannot be read.
    pub fn fits(&self, directory: &Path, extension: &str, keyed: bool) -> Result<()> {
        let Some(path) = a_file(directory, extension, keyed)? else { return Ok(()) };
        let shown = path.strip_prefix(directory).unwrap_or(&path).display();
        let wrong = |what: String| {
            Err(Error::new(ErrorKind::Plan, format!("{what}: what is appended has to have the columns of `{shown}`")))
        };
        let Some(there) = self.columns_of(&path)? else {
            return match self.has_header(&path)? {
                true => Ok(()),
                false => wrong("the header is another one".to_string()),
            };
        };
        for field in self.schema().fields() {
            let (name, own) = (field.name(), field.data_type());
            match there.field_with_name(name) {
                Err(_) => return wrong(format!("there is no column `{name}`")),
                Ok(found) if found.data_type() != own => {
                    return wrong(format!("column `{name}` is a {own}, and was a {} before", found.data_type()));
                }
                Ok(_) => {}
            }
        }
        Ok(())
    }

    /// The columns of a file, where it tells them with their types.
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
            // What is read of it has the columns that the first lines say.
            Format::Json => Some(self.schema().clone()),
            Format::Csv(_) => None,
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

/// A file of a data set.
fn a_file(directory: &Path, extension: &str, keyed: bool) -> Result<Option<PathBuf>> {
    let (top, mut open) = (directory, vec![directory.to_path_buf()]);
    while let Some(directory) = open.pop() {
        let failed = |error| Error::io(&directory, "cannot list", error);
        let below = directory != top;
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                open.push(path);
            } else if (below || !keyed) && path.extension().is_some_and(|known| known == extension) {
                return Ok(Some(path));
            }
        }
    }
    Ok(None)
}
