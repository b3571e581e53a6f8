//! Regions of numbers that lie by rows in a file.

use std::fs::File;
use std::io;
use std::ops::Range;

use super::array::{run_len, runs};
use super::files::read_at;

/// Between two runs that are read at once: reading so much more takes no longer than asking twice.
pub(crate) const MOST_GAP: usize = 16 << 10;

/// Bytes that are read at once for runs with gaps between.
pub(crate) const SPAN_BYTES: usize = 1 << 20;

/// Reads a region of numbers that lie by rows from a place of a file on, one behind another; gives how many bytes were read.
///
/// # Errors
/// Of the kind `UnexpectedEof`, where the file ends before; else those of the system.
pub(crate) fn read_region(
    file: &File,
    start: u64,
    shape: &[usize],
    region: &[Range<usize>],
    out: &mut [u8],
) -> io::Result<u64> {
    let elements: usize = region.iter().map(ExactSizeIterator::len).product();
    if elements == 0 {
        return Ok(0);
    }
    let mut spans = Spans { file, start, bytes_read: 0, pending: Vec::new() };
    spans.read(shape, region, out.len() / elements, out)?;
    Ok(spans.bytes_read)
}

/// Reads runs, those that lie near together at once.
struct Spans<'f> {
    file: &'f File,
    /// Where the numbers begin.
    start: u64,
    bytes_read: u64,
    /// Where runs begin that are still to be read, in bytes.
    pending: Vec<usize>,
}

impl Spans<'_> {
    fn read(&mut self, shape: &[usize], region: &[Range<usize>], size: usize, out: &mut [u8]) -> io::Result<()> {
        let run = run_len(shape, region) * size;
        let (mut done, mut scratch) = (0, Vec::new());
        runs(shape, region, |first| {
            let first = first * size;
            if let (Some(oldest), Some(last)) = (self.pending.first(), self.pending.last())
                && (first - (last + run) > MOST_GAP || first + run - oldest > SPAN_BYTES)
            {
                done += self.take(run, &mut out[done..], &mut scratch)?;
            }
            self.pending.push(first);
            Ok::<(), io::Error>(())
        })?;
        self.take(run, &mut out[done..], &mut scratch).map(drop)
    }

    /// Reads what is pending into the beginning of `out`; gives how much that is.
    fn take(&mut self, run: usize, out: &mut [u8], scratch: &mut Vec<u8>) -> io::Result<usize> {
        let pending = std::mem::take(&mut self.pending);
        let (Some(first), Some(last)) = (pending.first(), pending.last()) else { return Ok(0) };
        if let [only] = pending[..] {
            self.exact(&mut out[..run], only)?;
            return Ok(run);
        }
        scratch.resize(last + run - first, 0);
        self.exact(scratch, *first)?;
        for (at, out) in pending.iter().zip(out.chunks_exact_mut(run)) {
            out.copy_from_slice(&scratch[at - first..at - first + run]);
        }
        Ok(run * pending.len())
    }

    fn exact(&mut self, out: &mut [u8], at: usize) -> io::Result<()> {
        let read = read_at(self.file, out, self.start + at as u64)?;
        self.bytes_read += read as u64;
        if read < out.len() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}
