//! The streams codecs write to and read from: checksummed, and without a copy for what is large.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;

use crate::error::{Error, ErrorKind, Result};
use crate::store::{Chunk, Codec};

/// The checksum is taken over steps of this many bytes, counted from the start of a value, so that it depends on the
/// bytes alone and not on how they are cut into writes and reads.
const STEP: usize = 64 << 10;

/// The most that is read or written by one call: small enough that the bytes are still in the processor's cache when
/// they are looked at for the second time.
const RUN: usize = 8 * STEP;

/// Where a codec writes to.
pub trait SpillSink {
    /// Appends bytes. Large slices go through without a copy in between.
    ///
    /// # Errors
    /// What the disk says.
    fn write(&mut self, bytes: &[u8]) -> Result<()>;
}

impl SpillSink for Vec<u8> {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

/// What a [`SpillSource`] reads from: bytes at positions.
pub trait ReadAt {
    /// Fills `out` from `offset` on.
    ///
    /// # Errors
    /// Of kind [`Corrupt`](ErrorKind::Corrupt) where there are not that many bytes.
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> Result<()>;

    /// How errors call it.
    fn name(&self) -> String;
}

impl ReadAt for &[u8] {
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> Result<()> {
        let from = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)?.get(..out.len()));
        let from = from.ok_or_else(|| Error::new(ErrorKind::Corrupt, "memory ends too early"))?;
        out.copy_from_slice(from);
        Ok(())
    }

    fn name(&self) -> String {
        "memory".to_string()
    }
}

/// The checksum of the bytes so far: each step is hashed with the hash of the ones before it as its seed.
struct Checksum(u64);

impl Checksum {
    fn add(&mut self, bytes: &[u8]) {
        for step in bytes.chunks(STEP) {
            let mut hasher = FixedState::with_seed(self.0).build_hasher();
            hasher.write(step);
            self.0 = hasher.finish();
        }
    }
}

/// Writes the pieces of one group: small writes are gathered, large ones passed through.
pub struct GroupWriter<'a> {
    append: &'a mut dyn FnMut(&[u8]) -> Result<()>,
    /// What was not given to `append` yet.
    staged: Vec<u8>,
    /// From here on `staged` is not in the checksum of the current piece yet.
    hashed: usize,
    sum: Checksum,
    len: u64,
}

/// Length and checksum of one written piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes.
    pub len: u64,
    /// Over all of them.
    pub checksum: u64,
}

impl<'a> GroupWriter<'a> {
    /// A writer that hands its bytes to `append`, in order.
    pub fn new(append: &'a mut dyn FnMut(&[u8]) -> Result<()>) -> GroupWriter<'a> {
        GroupWriter { append, staged: Vec::new(), hashed: 0, sum: Checksum(0), len: 0 }
    }

    /// Ends the current piece and begins the next; its bytes may still be staged.
    pub fn end_piece(&mut self) -> Written {
        self.sum.add(&self.staged[self.hashed..]);
        self.hashed = self.staged.len();
        let written = Written { len: self.len, checksum: self.sum.0 };
        (self.sum, self.len) = (Checksum(0), 0);
        written
    }

    /// Appends what is staged. To be called after the last piece.
    ///
    /// # Errors
    /// What `append` returned.
    pub fn flush(&mut self) -> Result<()> {
        debug_assert_eq!(self.hashed, self.staged.len(), "the piece has not ended");
        if !self.staged.is_empty() {
            (self.append)(&self.staged)?;
            self.staged.clear();
        }
        self.hashed = 0;
        Ok(())
    }
}

impl SpillSink for GroupWriter<'_> {
    fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.len += bytes.len() as u64;
        while !bytes.is_empty() {
            let unhashed = self.staged.len() - self.hashed;
            if unhashed == 0 && bytes.len() >= STEP {
                self.flush()?;
                let (run, rest) = bytes.split_at((bytes.len() / STEP * STEP).min(RUN));
                self.sum.add(run);
                (self.append)(run)?;
                bytes = rest;
            } else {
                let (part, rest) = bytes.split_at((STEP - unhashed).min(bytes.len()));
                self.staged.extend_from_slice(part);
                bytes = rest;
                if self.staged.len() - self.hashed == STEP {
                    self.sum.add(&self.staged[self.hashed..]);
                    self.hashed = self.staged.len();
                    if self.staged.len() >= RUN {
                        self.flush()?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// The bytes of one spilled value, read from front to back and checked on the way.
pub struct SpillSource<'a> {
    from: &'a dyn ReadAt,
    offset: u64,
    len: u64,
    /// Bytes taken from `from`: whole steps, or all.
    fetched: u64,
    /// The step that small reads are served from, and how much of it was.
    staged: Vec<u8>,
    served: usize,
    sum: Checksum,
    checksum: u64,
}

impl<'a> SpillSource<'a> {
    /// Reads a value that lies at `offset` and verifies that it is the one that was written.
    ///
    /// # Errors
    /// Of kind [`Corrupt`](ErrorKind::Corrupt), naming file and offset, where the bytes do not have that checksum; what
    /// the codec returned otherwise.
    pub fn decode(from: &'a dyn ReadAt, offset: u64, len: u64, checksum: u64, codec: &dyn Codec) -> Result<Chunk> {
        let mut source =
            SpillSource { from, offset, len, fetched: 0, staged: Vec::new(), served: 0, sum: Checksum(0), checksum };
        match codec.decode(&mut source) {
            Ok(chunk) => {
                source.verify()?;
                Ok(chunk)
            }
            // What a codec says of damaged bytes is noise: the damage is the cause.
            Err(error) => {
                source.verify()?;
                Err(error)
            }
        }
    }

    /// The length of the encoded value.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the encoded value has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes that were not read yet.
    pub fn remaining(&self) -> u64 {
        self.len - self.fetched + (self.staged.len() - self.served) as u64
    }

    /// Fills `out`, straight from the file where it is large.
    ///
    /// The checksum is compared at the end: a decoder for which damaged bytes are dangerous reads everything and calls
    /// [`SpillSource::verify`] before it looks at them.
    ///
    /// # Errors
    /// What the disk says; of kind [`Corrupt`](ErrorKind::Corrupt) past the end.
    pub fn read_exact(&mut self, mut out: &mut [u8]) -> Result<()> {
        if out.len() as u64 > self.remaining() {
            return Err(self.corrupt(format_args!("ends before the {} bytes that belong there", out.len())));
        }
        while !out.is_empty() {
            if self.served < self.staged.len() {
                let ready = &self.staged[self.served..];
                let count = ready.len().min(out.len());
                out[..count].copy_from_slice(&ready[..count]);
                self.served += count;
                out = &mut out[count..];
                continue;
            }
            let left = self.len - self.fetched;
            let direct = if out.len() as u64 >= left { out.len() } else { out.len() / STEP * STEP };
            if direct > 0 {
                let (run, rest) = out.split_at_mut(direct.min(RUN));
                self.fetch(run)?;
                out = rest;
            } else {
                self.stage()?;
            }
        }
        Ok(())
    }

    /// Reads what is left and compares the checksum.
    ///
    /// # Errors
    /// Of kind [`Corrupt`](ErrorKind::Corrupt), naming file and offset.
    pub fn verify(&mut self) -> Result<()> {
        while self.fetched < self.len {
            self.stage()?;
        }
        self.served = self.staged.len();
        if self.sum.0 == self.checksum {
            Ok(())
        } else {
            Err(self.corrupt(format_args!("is not what was written there (checksum differs)")))
        }
    }

    /// An error of kind [`Corrupt`](ErrorKind::Corrupt) that names file and offset.
    pub fn corrupt(&self, what: impl std::fmt::Display) -> Error {
        let Self { offset, len, .. } = self;
        Error::new(ErrorKind::Corrupt, format!("{}, {len} bytes at offset {offset}: {what}", self.from.name()))
    }

    fn stage(&mut self) -> Result<()> {
        let mut staged = std::mem::take(&mut self.staged);
        staged.resize((self.len - self.fetched).min(STEP as u64) as usize, 0);
        let fetched = self.fetch(&mut staged);
        self.staged = staged;
        self.served = 0;
        if fetched.is_err() {
            self.staged.clear();
        }
        fetched
    }

    fn fetch(&mut self, out: &mut [u8]) -> Result<()> {
        self.from.read_exact_at(out, self.offset + self.fetched)?;
        self.fetched += out.len() as u64;
        self.sum.add(out);
        Ok(())
    }
}

impl std::io::Read for SpillSource<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let count = self.remaining().min(out.len() as u64) as usize;
        self.read_exact(&mut out[..count]).map_err(std::io::Error::other)?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn write(parts: &[&[u8]]) -> (Vec<u8>, Written) {
        let mut bytes = Vec::new();
        let mut append = |part: &[u8]| {
            bytes.extend_from_slice(part);
            Ok(())
        };
        let mut writer = GroupWriter::new(&mut append);
        for part in parts {
            writer.write(part).unwrap();
        }
        let written = writer.end_piece();
        writer.flush().unwrap();
        (bytes, written)
    }

    struct Cuts(Vec<usize>, Vec<u8>);

    impl Codec for Cuts {
        fn encode(&self, _: &Chunk, _: &mut dyn SpillSink) -> Result<()> {
            Ok(())
        }

        fn decode(&self, input: &mut SpillSource<'_>) -> Result<Chunk> {
            let mut out = vec![0; self.1.len()];
            let mut rest = &mut out[..];
            for cut in &self.0 {
                let (now, later) = rest.split_at_mut((*cut).min(rest.len()));
                input.read_exact(now)?;
                rest = later;
            }
            input.read_exact(rest)?;
            assert_eq!(input.remaining(), 0);
            assert_eq!(input.read_exact(&mut [0]).unwrap_err().kind(), ErrorKind::Corrupt);
            assert!(out == self.1);
            Ok(Chunk::new(()))
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_checksum_does_not_depend_on_the_cuts(
            len in 0usize..20 * STEP,
            writes in proptest::collection::vec(0usize..2 * RUN, 0..8),
            reads in proptest::collection::vec(0usize..2 * RUN, 0..8),
        ) {
            let bytes: Vec<u8> = (0..len).map(|i| (i * 31 + i / 251) as u8).collect();
            let whole = write(&[&bytes]).1;
            let mut parts = Vec::new();
            let mut rest = &bytes[..];
            for cut in writes {
                let (part, later) = rest.split_at(cut.min(rest.len()));
                parts.push(part);
                rest = later;
            }
            parts.push(rest);
            let (out, written) = write(&parts);
            prop_assert!(out == bytes);
            prop_assert_eq!(written, whole);
            let source: &[u8] = &bytes;
            SpillSource::decode(&source, 0, len as u64, whole.checksum, &Cuts(reads, bytes.clone())).unwrap();
        }
    }

    #[test]
    fn pieces_of_a_group_are_checked_apart() {
        let mut calls = 0;
        let mut append = |_: &[u8]| {
            calls += 1;
            Ok(())
        };
        let mut writer = GroupWriter::new(&mut append);
        let mut pieces = Vec::new();
        for piece in 0..100u8 {
            writer.write(&[piece; 1000]).unwrap();
            pieces.push(writer.end_piece());
        }
        writer.flush().unwrap();
        assert_eq!(calls, 1);
        for (i, piece) in pieces.into_iter().enumerate() {
            assert_eq!(piece, write(&[&[i as u8; 1000]]).1);
        }
    }
}
