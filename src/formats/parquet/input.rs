//! A file as a Parquet decoder reads it: by position, ahead in each column chunk, counted.

use std::fs::File;
use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// Bytes that are read at a time of a column chunk that is read from front to back.
pub(super) const READ_AHEAD: usize = 256 << 10;

/// Bytes that are read where only the header of a page is wanted.
const HEADER_BYTES: usize = 512;

/// A file with a window on each of some column chunks. A clone reads the same file.
#[derive(Clone, Debug)]
pub(super) struct Input(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: Arc<File>,
    bytes: u64,
    read: Arc<AtomicU64>,
    /// Bytes that are read at a time of what is read from front to back.
    ahead: usize,
    /// By position; they do not overlap.
    windows: Vec<Window>,
}

#[derive(Debug)]
struct Window {
    start: u64,
    end: u64,
    held: Mutex<Held>,
}

/// What is in memory of a column chunk.
#[derive(Debug)]
struct Held {
    at: u64,
    bytes: Bytes,
    /// Where the last page ended that was read: who goes on there reads everything.
    next: u64,
    /// Where the header ended that was read last.
    body: u64,
    /// Whether what was asked for last followed on what was read before.
    streams: bool,
}

impl Input {
    /// A file of a known size.
    pub(super) fn new(file: File, bytes: u64) -> Input {
        let inner = Inner { file: Arc::new(file), bytes, read: Arc::default(), ahead: 0, windows: Vec::new() };
        Input(Arc::new(inner))
    }

    /// The same file, counted together, of which ranges are read `ahead` bytes at a time where they are read from front to back.
    pub(super) fn with_windows(&self, ahead: usize, mut chunks: Vec<(u64, u64)>) -> Input {
        chunks.sort_unstable();
        chunks.dedup();
        let window = |(start, length): (u64, u64)| Window {
            start,
            end: start.saturating_add(length).min(self.0.bytes),
            held: Mutex::new(Held { at: start, bytes: Bytes::new(), next: start, body: start, streams: true }),
        };
        let windows = chunks.into_iter().map(window).collect();
        let (file, read) = (self.0.file.clone(), self.0.read.clone());
        Input(Arc::new(Inner { file, bytes: self.0.bytes, read, ahead, windows }))
    }

    /// Bytes that were read since this was asked last.
    pub(super) fn take_count(&self) -> u64 {
        self.0.read.swap(0, Ordering::Relaxed)
    }
}

impl Inner {
    /// Fills a buffer from a place of the file.
    fn read_into(&self, buffer: &mut [u8], at: u64) -> Result<()> {
        if at.saturating_add(buffer.len() as u64) > self.bytes {
            let text = format!("the file ends at byte {}, and {} bytes at {at} are wanted", self.bytes, buffer.len());
            return Err(ParquetError::EOF(text));
        }
        self.read.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        Ok(read_exact_at(&self.file, buffer, at)?)
    }

    fn window(&self, at: u64) -> Option<&Window> {
        let after = self.windows.partition_point(|window| window.start <= at);
        self.windows[..after].last().filter(|window| at < window.end)
    }

    /// At least `need` bytes from `at` on, of a column chunk: what is held of it, or what is read now.
    fn fetch<'a>(&self, window: &'a Window, at: u64, need: usize, what: Wanted) -> Result<MutexGuard<'a, Held>> {
        let mut held = lock(&window.held);
        let end = held.at + held.bytes.len() as u64;
        // What is held from there on, and where it lies.
        let (from, known) =
            if (held.at..=end).contains(&at) { ((at - held.at) as usize, (end - at) as usize) } else { (0, 0) };
        match what {
            Wanted::Header => held.streams = at == held.next,
            Wanted::Page if at != held.body => held.streams = at == held.next,
            Wanted::Page | Wanted::RestOfHeader => {}
        }
        if known < need {
            let left = usize::try_from(window.end.saturating_sub(at)).unwrap_or(usize::MAX);
            let ahead = match what {
                _ if held.streams => self.ahead,
                Wanted::Header | Wanted::RestOfHeader => HEADER_BYTES,
                Wanted::Page => 0,
            };
            let want = ahead.min(left).max(need);
            if at.saturating_add(want as u64) > self.bytes {
                let text = format!("the file ends at byte {}, and {want} bytes at {at} are wanted", self.bytes);
                return Err(ParquetError::EOF(text));
            }
            // The buffer is used again unless a page still lies in it.
            let mut buffer = match std::mem::take(&mut held.bytes).try_into_mut() {
                Ok(mut buffer) => {
                    buffer.copy_within(from..from + known, 0);
                    buffer
                }
                Err(shared) => {
                    let mut buffer = BytesMut::with_capacity(want);
                    buffer.extend_from_slice(&shared[from..from + known]);
                    buffer
                }
            };
            buffer.resize(want, 0);
            held.at = at;
            self.read_into(&mut buffer[known..], at + known as u64)?;
            held.bytes = buffer.freeze();
        }
        Ok(held)
    }
}

/// What is read of a column chunk.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    /// The header of a page, of unknown length.
    Header,
    /// What did not fit the first part of a header.
    RestOfHeader,
    /// A page.
    Page,
}

fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, at)
}

#[cfg(not(unix))]
fn read_exact_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<()> {
    use std::io::{Seek, SeekFrom};
    // A file is read by one task at a time.
    let mut file = file;
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(buffer)
}

impl Length for Input {
    fn len(&self) -> u64 {
        self.0.bytes
    }
}

impl ChunkReader for Input {
    type T = PageHeader;

    fn get_read(&self, start: u64) -> Result<PageHeader> {
        Ok(PageHeader { input: self.clone(), at: start, wanted: Wanted::Header, part: [0; HEADER_PART], left: 0..0 })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        // A damaged file may ask for anything: nothing is allocated that the file does not have.
        if start.saturating_add(length as u64) > self.0.bytes {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} are beyond the end of the file")));
        }
        if let Some(window) = self.0.window(start) {
            let mut held = self.0.fetch(window, start, length, Wanted::Page)?;
            held.next = start + length as u64;
            let from = (start - held.at) as usize;
            return Ok(held.bytes.slice(from..from + length));
        }
        let mut buffer = vec![0; length];
        self.0.read_into(&mut buffer, start)?;
        Ok(buffer.into())
    }
}

/// Bytes that are taken at a time to find the header of a page.
const HEADER_PART: usize = 128;

/// Reads the header of a page from a place of the file on, out of what is held of the column chunk.
#[derive(Debug)]
pub(super) struct PageHeader {
    input: Input,
    at: u64,
    wanted: Wanted,
    part: [u8; HEADER_PART],
    /// What is left of the part.
    left: std::ops::Range<usize>,
}

impl PageHeader {
    /// Takes the next part, which is empty at the end of the file.
    fn fill(&mut self) -> Result<()> {
        let inner = &self.input.0;
        let most = usize::try_from(inner.bytes.saturating_sub(self.at)).unwrap_or(HEADER_PART).min(HEADER_PART);
        match inner.window(self.at).filter(|_| most > 0) {
            Some(window) => {
                let held = inner.fetch(window, self.at, 1, self.wanted)?;
                self.wanted = Wanted::RestOfHeader;
                let from = (self.at - held.at) as usize;
                let found = &held.bytes[from..held.bytes.len().min(from + most)];
                self.part[..found.len()].copy_from_slice(found);
                self.left = 0..found.len();
            }
            None => {
                inner.read_into(&mut self.part[..most], self.at)?;
                self.left = 0..most;
            }
        }
        Ok(())
    }
}

impl Read for PageHeader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left.is_empty() {
            self.fill().map_err(io::Error::other)?;
        }
        let taken = buffer.len().min(self.left.len());
        buffer[..taken].copy_from_slice(&self.part[self.left.start..self.left.start + taken]);
        self.left.start += taken;
        self.at += taken as u64;
        Ok(taken)
    }
}

impl Drop for PageHeader {
    /// What follows the header is its page.
    fn drop(&mut self) {
        if let Some(window) = self.input.0.window(self.at) {
            lock(&window.held).body = self.at;
        }
    }
}
