//! File formats: bytes to chunks and back.
//!
//! [`files`] finds and opens files, [`csv`] reads comma-separated values.

pub mod csv;
pub mod files;
