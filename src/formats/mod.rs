//! File formats: bytes to tables and back.
//!
//! [`scan`] is what every source of tables is to the engine. [`files`] finds and opens files, [`hive`] finds those of a data
//! set; [`blocks`] cuts text into ranges, [`window`] moves over the text of a file, [`lines`] counts lines for messages,
//! `per_file` gives columns that are the same in a whole file, [`integers`] tells the type of integers by their texts,
//! [`narrow`] keeps the rows that are wanted. [`csv`] reads and writes comma-separated values, [`json`] lines of JSON, `parquet`
//! (feature `parquet`) and [`ipc`] the formats of those names; `npy` holds arrays in NumPy's own format, by what `array` says of stored ones; [`memory`] and [`user`] are tables that lie in memory or come
//! from a program's own source.

pub(crate) mod array;
pub mod blocks;
pub mod csv;
pub mod files;
mod guard;
pub mod hive;
pub mod integers;
pub mod ipc;
pub mod json;
pub mod lines;
pub mod memory;
pub mod narrow;
pub(crate) mod npy;
#[cfg(feature = "parquet")]
pub mod parquet;
mod per_file;
mod pick;
pub(crate) mod raw;
pub mod scan;
mod unify;
pub mod user;
pub mod widen;
pub mod window;
pub mod write;
mod written;
#[cfg(feature = "zarr")]
pub mod zarr;

pub use per_file::FileColumns;
pub use written::Written;
