//! Tables of Parquet and of Arrow IPC files, and how they are read.

use std::sync::Arc;

use arrow::datatypes::DataType;

use super::DataFrame;
use super::io::{file_columns, opened};
use crate::error::Result;
use crate::formats::ipc::{IpcOptions, IpcSource};
#[cfg(feature = "parquet")]
use crate::formats::parquet::{ParquetOptions, ParquetSource};
use crate::formats::scan::TableSource;
use crate::origin::Origin;

/// Parquet files, and how they are read; [`ReadParquet::open`] makes a table of them.
#[cfg(feature = "parquet")]
#[derive(Clone, Debug)]
#[must_use = "nothing is read before `open`"]
pub struct ReadParquet {
    paths: Vec<String>,
    columns: Option<Vec<String>>,
    options: ParquetOptions,
    origin: Origin,
}

/// A Parquet file, a pattern (`*` and `?` stand for letters of names), or a directory with all files in it and below, in natural
/// order of their names. Directories called `key=value` give a column for their key.
///
/// Columns are matched by name: one that a file lacks is null there, and one that has different types in two files is an error,
/// but for [`ReadParquet::widen`]. Only columns that are used are read, of them only the row groups and pages in which, by statistics,
/// page index and bloom filters, there can be rows that are wanted; columns of conditions are read first.
///
/// # Memory
/// A page of each column and a batch of rows for each task, whatever the size of row groups; the footers of all files.
#[cfg(feature = "parquet")]
#[track_caller]
pub fn read_parquet(path: impl Into<String>) -> ReadParquet {
    let (paths, origin) = (vec![path.into()], Origin::caller());
    ReadParquet { paths, columns: None, options: ParquetOptions::default(), origin }
}

#[cfg(feature = "parquet")]
impl ReadParquet {
    file_columns!();

    /// One more file, pattern or directory.
    pub fn and(mut self, path: impl Into<String>) -> ReadParquet {
        self.paths.push(path.into());
        self
    }

    /// Only these columns, in this order.
    pub fn columns<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> ReadParquet {
        self.columns = Some(columns.into_iter().map(Into::into).collect());
        self
    }

    /// A column that has different types in different files gets the smallest type that holds all, instead of an error.
    pub fn widen(mut self) -> ReadParquet {
        self.options.widen = true;
        self
    }

    /// About how many bytes a partition takes in memory, in place of 128 MiB.
    pub fn partition_bytes(mut self, bytes: u64) -> ReadParquet {
        self.options.partition_bytes = bytes;
        self
    }

    /// Finds the files and reads their footers.
    ///
    /// # Errors
    /// Of kind `Io`, where there is no file or one cannot be read; of kind `Data`, where one is no Parquet or does not fit
    /// the others; of kind `Plan`, where an option names a column that is not there.
    pub fn open(&self) -> Result<DataFrame> {
        let source = ParquetSource::open(&self.paths, self.options.clone());
        let source = source.map(|source| Arc::new(source) as Arc<dyn TableSource>);
        opened(source, self.columns.as_deref(), "read_parquet", self.origin)
    }
}

/// Arrow IPC files, and how they are read; [`ReadIpc::open`] makes a table of them.
#[derive(Clone, Debug)]
#[must_use = "nothing is read before `open`"]
pub struct ReadIpc {
    paths: Vec<String>,
    columns: Option<Vec<String>>,
    options: IpcOptions,
    origin: Origin,
}

/// An Arrow IPC file (also called Feather), a pattern, or a directory, found as [`read_parquet`] finds its own, with columns for
/// directories called `key=value`. Each record batch is read as a whole, but for columns that are not used.
#[track_caller]
pub fn read_ipc(path: impl Into<String>) -> ReadIpc {
    let (paths, origin) = (vec![path.into()], Origin::caller());
    ReadIpc { paths, columns: None, options: IpcOptions::default(), origin }
}

impl ReadIpc {
    file_columns!();

    /// Only these columns, in this order.
    pub fn columns<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> ReadIpc {
        self.columns = Some(columns.into_iter().map(Into::into).collect());
        self
    }

    /// A column that has different types in different files gets the smallest type that holds all, instead of an error.
    pub fn widen(mut self) -> ReadIpc {
        self.options.widen = true;
        self
    }

    /// About how many bytes a partition takes in memory, in place of 128 MiB.
    pub fn partition_bytes(mut self, bytes: u64) -> ReadIpc {
        self.options.partition_bytes = bytes;
        self
    }

    /// Finds the files and reads their footers.
    ///
    /// # Errors
    /// As for Parquet files.
    pub fn open(&self) -> Result<DataFrame> {
        let source = IpcSource::open(&self.paths, self.options.clone());
        let source = source.map(|source| Arc::new(source) as Arc<dyn TableSource>);
        opened(source, self.columns.as_deref(), "read_ipc", self.origin)
    }
}
