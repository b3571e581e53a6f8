//! What the engine knows of values that count their own bytes.

use std::any::{Any, type_name};
use std::marker::PhantomData;

use crate::store::{Chunk, Codec, Kind};

/// A value that counts its own bytes.
pub(in crate::bag) trait Measure: Any + Send + Sync {
    fn bytes(&self) -> u64;
}

/// The kind of such a type; it stays in memory.
pub(in crate::bag) fn measured<T: Measure>() -> &'static dyn Kind {
    const { &Measured::<T>(PhantomData) }
}

struct Measured<T>(PhantomData<fn() -> T>);

impl<T: Measure> Kind for Measured<T> {
    fn type_name(&self) -> &'static str {
        type_name::<T>()
    }

    fn bytes(&self, chunk: &Chunk) -> u64 {
        match chunk.get::<T>() {
            Ok(value) => value.bytes(),
            Err(error) => panic!("{error}"),
        }
    }

    fn codec(&self) -> Option<&dyn Codec> {
        None
    }
}
