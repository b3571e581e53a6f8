//! How a value becomes bytes and comes back: the [`Codec`] trait, its formats, and the streams they write and read.

use std::any::{Any, TypeId};

use ::arrow::array::RecordBatch;
use ndarray::{Array, Ix0, Ix1, Ix2, Ix3, Ix4, Ix5, Ix6, IxDyn};

use crate::error::Result;
use crate::store::{Block, Chunk};

pub mod arrow;
pub mod block;
pub(crate) mod measure;
pub mod serde;
mod stream;

pub use stream::{GroupWriter, ReadAt, SpillSink, SpillSource, Written};

/// The spill format of one type.
pub trait Codec: Send + Sync {
    /// Writes the value.
    ///
    /// # Errors
    /// What the sink returned, or of kind [`Spill`](crate::ErrorKind::Spill) where the value cannot be encoded.
    fn encode(&self, chunk: &Chunk, out: &mut dyn SpillSink) -> Result<()>;

    /// Reads the value back.
    ///
    /// # Errors
    /// What the source returned, or of kind [`Corrupt`](crate::ErrorKind::Corrupt) where the bytes are not what
    /// `encode` wrote.
    fn decode(&self, input: &mut SpillSource<'_>) -> Result<Chunk>;

    /// The memory needed to read back a value of `len` encoded bytes, as far as the bytes tell: whoever knows the size the
    /// value had in memory takes the larger of the two.
    fn decode_bytes(&self, len: u64) -> u64 {
        len
    }

    /// About how many bytes `encode` will write, where that is known without encoding; only used to choose a place.
    fn encoded_bytes(&self, _chunk: &Chunk) -> u64 {
        0
    }
}

/// The codec of a type that has a natural format: numeric blocks and vectors, text, ndarray arrays, Arrow batches.
pub(crate) fn natural<T: Any>() -> Option<&'static dyn Codec> {
    natural_of(TypeId::of::<T>())
}

/// Not generic: it is compiled once and not for every type a user spills.
fn natural_of(wanted: TypeId) -> Option<&'static dyn Codec> {
    macro_rules! known {
        ($($kind:ty => $codec:expr;)+) => {
            $(if wanted == TypeId::of::<$kind>() {
                return Some(const { &$codec });
            })+
        };
    }
    macro_rules! known_numbers {
        ($($prim:ty)+) => {$(known! {
            Block<$prim> => block::BlockCodec::<$prim>::new();
            Vec<$prim> => block::VecCodec::<$prim>::new();
            Vec<Block<$prim>> => block::BlocksCodec::<$prim>::new();
            Array<$prim, Ix0> => block::ArrayCodec::<$prim, Ix0>::new();
            Array<$prim, Ix1> => block::ArrayCodec::<$prim, Ix1>::new();
            Array<$prim, Ix2> => block::ArrayCodec::<$prim, Ix2>::new();
            Array<$prim, Ix3> => block::ArrayCodec::<$prim, Ix3>::new();
            Array<$prim, Ix4> => block::ArrayCodec::<$prim, Ix4>::new();
            Array<$prim, Ix5> => block::ArrayCodec::<$prim, Ix5>::new();
            Array<$prim, Ix6> => block::ArrayCodec::<$prim, Ix6>::new();
            Array<$prim, IxDyn> => block::ArrayCodec::<$prim, IxDyn>::new();
        })+};
    }
    macro_rules! known_plain {
        ($($plain:ty)+) => {$(known! { $plain => serde::SerdeCodec::<$plain>::new(); })+};
    }
    known! {
        RecordBatch => arrow::BatchCodec;
        Vec<RecordBatch> => arrow::BatchesCodec;
    }
    known_plain! { String Vec<String> Vec<usize> Vec<isize> Vec<bool> Vec<char> }
    known_numbers! { u8 i8 u16 i16 u32 i32 u64 i64 u128 i128 f32 f64 }
    None
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::error::ErrorKind;

    /// Encodes into memory; gives the bytes and their checksum.
    pub(crate) fn encode(codec: &dyn Codec, chunk: &Chunk) -> (Vec<u8>, u64) {
        let mut bytes = Vec::new();
        let mut append = |part: &[u8]| {
            bytes.extend_from_slice(part);
            Ok(())
        };
        let mut writer = GroupWriter::new(&mut append);
        codec.encode(chunk, &mut writer).unwrap();
        let written = writer.end_piece();
        writer.flush().unwrap();
        assert_eq!(written.len, bytes.len() as u64);
        (bytes, written.checksum)
    }

    pub(crate) fn decode(codec: &dyn Codec, bytes: &[u8], checksum: u64) -> Result<Chunk> {
        SpillSource::decode(&bytes, 0, bytes.len() as u64, checksum, codec)
    }

    /// What every codec must do with every value: give it back as it was, and never take damage for a value.
    #[track_caller]
    pub(crate) fn conforms<T: Any + Send + Sync>(codec: &dyn Codec, value: T, same: impl Fn(&T, &T) -> bool) {
        let chunk = Chunk::new(value);
        let value = chunk.get::<T>().unwrap();
        let (bytes, checksum) = encode(codec, &chunk);
        let back = decode(codec, &bytes, checksum).unwrap();
        assert!(same(value, back.get::<T>().unwrap()), "the value changed on its way");
        let again = encode(codec, &back).0;
        assert!(bytes == again, "encoding what was read back gives other bytes");
        assert!(codec.decode_bytes(bytes.len() as u64) >= bytes.len() as u64);
        // The same bytes in the middle of a file.
        let padded = [&[7u8; 13][..], &bytes, &[7; 5]].concat();
        let back = SpillSource::decode(&&padded[..], 13, bytes.len() as u64, checksum, codec).unwrap();
        assert!(same(value, back.get::<T>().unwrap()), "the value changed in the middle of a file");
        // One flipped bit anywhere, or a missing end, is damage.
        let positions = (0..bytes.len()).step_by(1 + bytes.len() / 50).chain(bytes.len().checked_sub(1));
        for position in positions {
            let mut damaged = bytes.clone();
            damaged[position] ^= 0x40;
            let error = decode(codec, &damaged, checksum).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "flip at {position}: {error}");
            let error = decode(codec, &bytes[..position], checksum).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "cut at {position}: {error}");
        }
        // A chunk of another type is refused.
        struct Other;
        let mut sink = Vec::new();
        assert_eq!(codec.encode(&Chunk::new(Other), &mut sink).unwrap_err().kind(), ErrorKind::Internal);
    }
}
