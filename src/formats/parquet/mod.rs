//! Parquet: data sets of files as sources of tables, and what writes such files.
//!
//! A [`ParquetSource`] is opened by reading all footers; of large ones it keeps where their row groups stand, and each is parsed again by
//! the tasks that read it. A scan leaves out files by the keys of their directories and row groups by their
//! statistics; a read leaves out more by bloom filters and by pages, decodes the columns of predicates first, and the others where rows
//! are left. All decoding is that of the `parquet` crate, page by page: no column chunk is ever in memory as a whole.

mod bounds;
mod encode;
mod footer;
mod group;
mod input;
mod prune;
mod read;
mod scan;
mod source;
mod thrift;

pub use encode::{
    Compression, EncodedRowGroup, ParquetEncoder, ParquetEncoding, ParquetFileWriter, RowGroupEncoder, StatisticsLevel,
};
pub use source::{ParquetOptions, ParquetSource};

#[cfg(test)]
mod tests;
