//! Any value that opted in to serialization: MessagePack with named fields.

use std::any::{Any, type_name};
use std::io;
use std::marker::PhantomData;

use rmp_serde::Serializer;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result};
use crate::store::Chunk;
use crate::store::codec::{Codec, SpillSink, SpillSource};

/// The format of a serializable type.
///
/// Fields are written by name, so types that skip or flatten fields work. What serde itself cannot tell apart is lost:
/// `Some(None)` comes back as `None`.
pub struct SerdeCodec<T>(PhantomData<fn() -> T>);

impl<T> SerdeCodec<T> {
    /// The codec, which has no state.
    pub const fn new() -> Self {
        SerdeCodec(PhantomData)
    }
}

impl<T> Default for SerdeCodec<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Serialize + DeserializeOwned + Any + Send + Sync> Codec for SerdeCodec<T> {
    fn encode(&self, chunk: &Chunk, out: &mut dyn SpillSink) -> Result<()> {
        let value = chunk.get::<T>()?;
        let mut writer = SinkWriter { out, failed: None };
        let done = value.serialize(&mut Serializer::new(&mut writer).with_struct_map());
        // The sink's own error says more than what serde made of it.
        match (writer.failed, done) {
            (Some(error), _) => Err(error),
            (None, Ok(())) => Ok(()),
            (None, Err(error)) => Err(Error::with_source(
                ErrorKind::Spill,
                format_args!("cannot serialize a `{}`", type_name::<T>()),
                error,
            )),
        }
    }

    fn decode(&self, input: &mut SpillSource<'_>) -> Result<Chunk> {
        let mut reader = SourceReader { input, failed: None };
        let value = rmp_serde::from_read::<_, T>(&mut reader);
        let SourceReader { input, failed } = reader;
        match (failed, value) {
            (Some(error), _) => Err(error),
            (None, Ok(_)) if input.remaining() > 0 => Err(input.corrupt("has bytes left over")),
            (None, Ok(value)) => Ok(Chunk::new(value)),
            (None, Err(error)) => {
                Err(input.corrupt(format_args!("cannot be read as a `{}`: {error}", type_name::<T>())))
            }
        }
    }
}

struct SinkWriter<'a> {
    out: &'a mut dyn SpillSink,
    failed: Option<Error>,
}

impl io::Write for SinkWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.out.write(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                self.failed = Some(error.clone());
                Err(io::Error::other(error))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct SourceReader<'a, 'b> {
    input: &'a mut SpillSource<'b>,
    failed: Option<Error>,
}

impl io::Read for SourceReader<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.input.remaining().min(out.len() as u64) as usize;
        match self.input.read_exact(&mut out[..count]) {
            Ok(()) => Ok(count),
            Err(error) => {
                self.failed = Some(error.clone());
                Err(io::Error::other(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;
    use crate::store::codec::tests::conforms;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Shape {
        Point,
        Circle { radius: f64 },
        Path(Vec<(i64, i64)>),
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Record {
        name: String,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        note: Option<String>,
        shapes: Vec<Shape>,
        tags: BTreeMap<String, u128>,
        letter: char,
        small: i8,
    }

    fn record(i: usize) -> Record {
        Record {
            name: format!("record {i}"),
            note: i.is_multiple_of(2).then(|| "even".repeat(i)),
            shapes: vec![Shape::Point, Shape::Circle { radius: -0.0 }, Shape::Path(vec![(i as i64, -1); i % 7])],
            tags: BTreeMap::from([("big".to_string(), u128::MAX - i as u128)]),
            letter: 'ß',
            small: -128,
        }
    }

    #[test]
    fn values_conform() {
        conforms(&SerdeCodec::<Record>::new(), record(3), |a, b| a == b);
        conforms(&SerdeCodec::<Vec<Record>>::new(), (0..500).map(record).collect::<Vec<_>>(), |a, b| a == b);
        conforms(&SerdeCodec::<Vec<Record>>::new(), Vec::<Record>::new(), |a, b| a == b);
        conforms(&SerdeCodec::<()>::new(), (), |a, b| a == b);
        conforms(&SerdeCodec::<String>::new(), "x".repeat(1_000_000), |a, b| a == b);
        let nan = f64::from_bits(0x7ff8_0000_dead_beef);
        conforms(&SerdeCodec::<f64>::new(), nan, |a, b| a.to_bits() == b.to_bits());
        conforms(&SerdeCodec::<serde_json::Value>::new(), serde_json::json!({"a": [1, null, "x"]}), |a, b| a == b);
    }

    #[test]
    fn what_cannot_be_serialized_is_an_error() {
        #[derive(Deserialize)]
        struct Stubborn;
        impl Serialize for Stubborn {
            fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("never"))
            }
        }
        let error = SerdeCodec::<Stubborn>::new().encode(&Chunk::new(Stubborn), &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Spill);
        assert!(error.message().contains("Stubborn`: never"), "{error}");
    }
}
