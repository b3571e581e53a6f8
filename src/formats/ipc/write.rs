//! Writing Arrow IPC files.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{DictionaryHandling, FileWriter, IpcWriteOptions};

use super::file::has_dictionary;
use super::grow::Growing;
use crate::error::{Error, ErrorKind, Result};
use crate::formats::written::{Counted, Written};

/// What is written to a file at once.
pub(crate) const IPC_BUFFER: usize = 256 << 10;

/// How the buffers of a batch are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IpcCompression {
    /// Not at all: the fastest to read.
    #[default]
    None,
    /// LZ4.
    Lz4,
    /// Zstandard; needs the feature `zstd`.
    Zstd,
}

/// Writes record batches one after another to a file.
///
/// ```
/// use std::sync::Arc;
/// use arrow::array::{ArrayRef, Int64Array, RecordBatch};
/// use chunkwise::formats::ipc::{IpcCompression, IpcFileWriter};
///
/// let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
/// let batch = RecordBatch::try_from_iter([("n", numbers)])?;
/// let mut writer = IpcFileWriter::new(Vec::new(), "memory", batch.schema(), IpcCompression::Lz4)?;
/// writer.append(&batch)?;
/// let (written, file) = writer.finish()?;
/// assert_eq!((written.rows, written.bytes), (1000, file.len() as u64));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct IpcFileWriter<W: Write> {
    writer: FileWriter<BufWriter<Counted<W>>>,
    schema: SchemaRef,
    /// Of each column its dictionary, if it has one.
    dictionaries: Vec<Option<Growing>>,
    name: PathBuf,
    rows: u64,
}

impl IpcFileWriter<File> {
    /// Makes a file, or empties the one that is there.
    ///
    /// # Errors
    /// Of kind `Io`; of kind `Unsupported`, where a feature is off.
    pub fn create(path: &Path, schema: SchemaRef, compression: IpcCompression) -> Result<IpcFileWriter<File>> {
        let file = File::create(path).map_err(|error| Error::io(path, "cannot create", error))?;
        IpcFileWriter::new(file, path, schema, compression)
    }
}

impl<W: Write> IpcFileWriter<W> {
    /// Writes to something that is called so in errors.
    ///
    /// # Errors
    /// Of kind `Io`; of kind `Unsupported`, where a feature is off.
    pub fn new(
        to: W,
        name: impl Into<PathBuf>,
        schema: SchemaRef,
        compression: IpcCompression,
    ) -> Result<IpcFileWriter<W>> {
        let name = name.into();
        let codec = match compression {
            IpcCompression::None => None,
            IpcCompression::Lz4 => Some(CompressionType::LZ4_FRAME),
            IpcCompression::Zstd if cfg!(not(feature = "zstd")) => {
                let text = "writing Arrow IPC with Zstandard needs the feature `zstd` of chunkwise";
                return Err(Error::new(ErrorKind::Unsupported, text));
            }
            IpcCompression::Zstd => Some(CompressionType::ZSTD),
        };
        let options = IpcWriteOptions::default().with_dictionary_handling(DictionaryHandling::Delta);
        let options = options.try_with_compression(codec).map_err(|error| failed(&name, error))?;
        let to = BufWriter::with_capacity(IPC_BUFFER, Counted::new(to));
        let writer = FileWriter::try_new_with_options(to, &schema, options).map_err(|error| failed(&name, error))?;
        let dictionaries = schema.fields().iter().map(|field| Growing::of(field)).collect();
        Ok(IpcFileWriter { writer, schema, dictionaries, name, rows: 0 })
    }

    /// Writes a batch. Text may come as a dictionary. Columns that are dictionaries by the schema may have other ones in each batch: the file has
    /// one with the values of all of them. Dictionaries in lists, structs and the like have to have the same values in all batches, or more at the
    /// end.
    ///
    /// # Errors
    /// Of kind `Io`; of kind `Plan`, where the batch has another schema; of kind `Data`, where a dictionary has more values than its keys can
    /// count; of kind `Unsupported`, where dictionaries in lists and the like differ.
    pub fn append(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_columns() != self.schema.fields().len() {
            let text =
                format!("a batch of {} columns for a file of {}", batch.num_columns(), self.schema.fields().len());
            return Err(Error::new(ErrorKind::Plan, text));
        }
        let fields = self.schema.fields().iter().zip(&mut self.dictionaries);
        let columns = fields.zip(batch.columns()).map(|((field, dictionary), array)| match array.data_type() {
            same if same == field.data_type() => match dictionary {
                Some(dictionary) => dictionary.bring(array),
                None => Ok(array.clone()),
            },
            DataType::Dictionary(_, values) if **values == *field.data_type() => {
                cast(array, field.data_type()).map_err(|error| failed(&self.name, error))
            }
            found => {
                let (name, wanted) = (field.name(), field.data_type());
                let text = format!("column `{name}` is {found} in a batch, and {wanted} in the file");
                Err(Error::new(ErrorKind::Plan, text))
            }
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options).map_err(|error| {
            Error::with_source(ErrorKind::Data, format_args!("cannot write {}", self.name.display()), error)
        })?;
        self.writer.write(&batch).map_err(|error| self.refused(error))?;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// What the writer of files says; of dictionaries that it cannot replace, which columns they may be in.
    fn refused(&self, error: ArrowError) -> Error {
        let fields = self.schema.fields().iter().zip(&self.dictionaries);
        let inner = fields.filter(|(field, own)| own.is_none() && has_dictionary(field.data_type()));
        let inner: Vec<String> = inner.map(|(field, _)| format!("`{}`", field.name())).collect();
        if inner.is_empty() || !matches!(&error, ArrowError::InvalidArgumentError(text) if text.contains("ictionary")) {
            return failed(&self.name, error);
        }
        let text = format!(
            "cannot write {}: dictionaries inside the values of column {} differ from batch to batch, and an Arrow IPC file has one of each: \
             cast them to their values",
            self.name.display(),
            inner.join(" or ")
        );
        Error::new(ErrorKind::Unsupported, text)
    }

    /// Bytes that were written until now.
    pub fn bytes(&self) -> u64 {
        self.writer.get_ref().get_ref().bytes + self.writer.get_ref().buffer().len() as u64
    }

    /// Writes the footer, and gives back what was written to.
    ///
    /// # Errors
    /// Of kind `Io`.
    pub fn finish(self) -> Result<(Written, W)> {
        let to = self.writer.into_inner().map_err(|error| failed(&self.name, error))?;
        let flushed = to.into_inner().map_err(|error| failed(&self.name, error.into_error().into()))?;
        Ok((Written { rows: self.rows, bytes: flushed.bytes }, flushed.to))
    }
}

fn failed(name: &Path, error: ArrowError) -> Error {
    Error::with_source(ErrorKind::Io, format_args!("cannot write {}", name.display()), error)
}
