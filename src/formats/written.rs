//! What was written, counted.

use std::io::{self, Write};

/// What was written to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its rows.
    pub rows: u64,
    /// Its bytes.
    pub bytes: u64,
}

/// Counts the bytes on their way.
#[derive(Debug)]
pub(super) struct Counted<W> {
    pub(super) to: W,
    pub(super) bytes: u64,
}

impl<W> Counted<W> {
    pub(super) fn new(to: W) -> Counted<W> {
        Counted { to, bytes: 0 }
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.to.write(buffer)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
