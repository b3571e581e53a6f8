//! A stretch of the text of a file in memory, moved along as the text is used up.

use std::fs::File;
use std::io::{self, Read};

use super::files::read_at;

/// Bytes behind the text that may be looked at: the first is a newline, the others zeros.
pub const PADDING: usize = 64;

/// Text, and where it comes from.
pub struct Window {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Where in the file's text `bytes` begins.
    base: u64,
    at_end: bool,
}

/// Where the text of a window comes from.
pub enum Feed {
    /// A file as it is, of so many bytes.
    File(File, u64),
    /// A stream, such as a file that is decompressed.
    Stream(Box<dyn Read + Send>),
}

impl Window {
    /// No text yet, of what begins at a place of a file's text. The buffer is used again.
    pub fn new(buffer: Vec<u8>, base: u64) -> Window {
        let mut window = Window { bytes: buffer, start: 0, end: 0, base, at_end: false };
        window.reserve(0);
        window
    }

    /// The text.
    pub fn text(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// The first bytes of the text, as many as given or as there are, and [`PADDING`] bytes after them.
    pub fn padded(&self, bytes: usize) -> &[u8] {
        let end = self.end.min(self.start.saturating_add(bytes));
        &self.bytes[self.start..end + PADDING]
    }

    /// Where in the file the text starts.
    pub fn offset(&self) -> u64 {
        self.base + self.start as u64
    }

    /// Whether nothing comes after it.
    pub fn at_end(&self) -> bool {
        self.at_end
    }

    /// Drops the first bytes of the text.
    pub fn consume(&mut self, bytes: usize) {
        self.start = self.end.min(self.start + bytes);
    }

    /// Gives back what was allocated beyond the text.
    pub fn shrink(&mut self) {
        self.bytes = self.bytes[self.start..self.end + PADDING].to_vec();
        self.base += self.start as u64;
        (self.start, self.end) = (0, self.end - self.start);
    }

    /// Memory that it takes.
    pub fn memory(&self) -> usize {
        self.bytes.len()
    }

    /// The buffer, to be used again.
    pub fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }

    /// Reads on: `bytes` more, or up to the end. Gives how many there were.
    ///
    /// # Errors
    /// What the system says, or the decompressor; of kind `UnexpectedEof`, where a file is shorter than it was.
    pub fn fill(&mut self, feed: &mut Feed, bytes: usize) -> io::Result<usize> {
        if self.at_end {
            return Ok(0);
        }
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.base += self.start as u64;
            self.end -= self.start;
            self.start = 0;
        }
        let place = self.base + self.end as u64;
        let bytes = match feed {
            Feed::File(_, length) => bytes.min(length.saturating_sub(place) as usize),
            Feed::Stream(_) => bytes,
        };
        self.reserve(bytes);
        let room = &mut self.bytes[self.end..self.end + bytes];
        let (read, at_end) = match feed {
            Feed::File(file, length) => {
                let read = read_at(file, room, place)?;
                if read < bytes {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                (read, place + read as u64 >= *length)
            }
            Feed::Stream(stream) => {
                let read = read_full(stream, room)?;
                (read, read < bytes)
            }
        };
        self.end += read;
        self.at_end = at_end;
        self.bytes[self.end] = b'\n';
        self.bytes[self.end + 1..self.end + PADDING].fill(0);
        Ok(read)
    }

    fn reserve(&mut self, bytes: usize) {
        let wanted = self.end + bytes + PADDING;
        if self.bytes.len() < wanted {
            self.bytes.resize(wanted, 0);
        }
    }
}

/// Reads until the buffer is full or nothing comes any more.
fn read_full(stream: &mut dyn Read, out: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < out.len() {
        match stream.read(&mut out[done..]) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_along() {
        let mut feed = Feed::Stream(Box::new(&b"abcdefgh"[..]));
        let mut window = Window::new(Vec::new(), 0);
        assert_eq!(window.fill(&mut feed, 3).unwrap(), 3);
        window.consume(2);
        assert_eq!((window.text(), window.offset(), window.at_end()), (&b"c"[..], 2, false));
        assert_eq!(window.fill(&mut feed, 4).unwrap(), 4);
        assert_eq!((window.text(), window.offset()), (&b"cdefg"[..], 2));
        assert_eq!(window.padded(2).len(), 2 + PADDING);
        assert_eq!(window.fill(&mut feed, 9).unwrap(), 1);
        assert_eq!((window.text(), window.at_end(), window.padded(99)[6]), (&b"cdefgh"[..], true, b'\n'));
        assert_eq!(window.fill(&mut feed, 9).unwrap(), 0);
    }
}
