//! Arrow IPC: files of record batches as a source of tables, and what writes them.

mod file;
mod grow;
mod source;
mod write;

pub use source::{IpcOptions, IpcSource};
pub(crate) use write::IPC_BUFFER;
pub use write::{IpcCompression, IpcFileWriter};

#[cfg(test)]
mod tests;
