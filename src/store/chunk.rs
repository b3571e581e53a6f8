//! One erased value and what the engine knows about its type: size in memory and spill format.

use std::any::{Any, type_name};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::store::codec::serde::SerdeCodec;
use crate::store::codec::{self, Codec};
use crate::store::size;

/// One value with its type erased. A clone shares the value; a plain number is copied.
///
/// ```
/// use chunkwise::store::Chunk;
///
/// let chunk = Chunk::new(vec![1, 2, 3]);
/// assert_eq!(chunk.get::<Vec<i32>>().unwrap().len(), 3);
/// assert!(chunk.get::<String>().is_err());
///
/// let shared = chunk.clone();
/// let chunk = chunk.try_take::<Vec<i32>>().unwrap_err(); // two holders
/// drop(shared);
/// assert_eq!(chunk.try_take::<Vec<i32>>().unwrap(), [1, 2, 3]);
/// ```
#[derive(Clone)]
pub struct Chunk(Inner);

#[derive(Clone)]
enum Inner {
    Shared(Arc<dyn Value>),
    /// In place: what many tasks give is a count, a sum or a flag, and an allocation for it would cost more than the task.
    Number(Number),
}

/// `Any` that also knows its name, so that a wrong downcast can say what it found.
trait Value: Any + Send + Sync {
    fn name(&self) -> &'static str;
}

impl<T: Any + Send + Sync> Value for T {
    fn name(&self) -> &'static str {
        type_name::<T>()
    }
}

/// The types that are kept in place. Which one a generic `T` is, is known when it is compiled: of each function here one
/// branch is left.
macro_rules! numbers {
    ($($variant:ident $type:ty),*) => {
        #[derive(Clone, Copy)]
        enum Number {
            $($variant($type)),*
        }

        impl Number {
            fn new<T: Any>(value: &T) -> Option<Number> {
                let value: &dyn Any = value;
                $(if let Some(number) = value.downcast_ref::<$type>() {
                    return Some(Number::$variant(*number));
                })*
                None
            }

            fn get<T: Any>(&self) -> Option<&T> {
                match self {
                    $(Number::$variant(number) => (number as &dyn Any).downcast_ref(),)*
                }
            }

            fn take<T: Any>(self) -> Option<T> {
                let mut taken: Option<T> = None;
                let place: &mut dyn Any = &mut taken;
                match self {
                    $(Number::$variant(number) => {
                        if let Some(place) = place.downcast_mut::<Option<$type>>() {
                            *place = Some(number);
                        }
                    })*
                }
                taken
            }

            fn type_name(&self) -> &'static str {
                match self {
                    $(Number::$variant(_) => type_name::<$type>(),)*
                }
            }
        }
    };
}

numbers!(
    U64 u64, I64 i64, F64 f64, Usize usize, Isize isize, U32 u32, I32 i32, F32 f32, U16 u16, I16 i16, U8 u8, I8 i8,
    Bool bool, Char char, Unit ()
);

impl Chunk {
    /// Erases a value.
    pub fn new<T: Any + Send + Sync>(value: T) -> Chunk {
        match Number::new(&value) {
            Some(number) => Chunk(Inner::Number(number)),
            None => Chunk(Inner::Shared(Arc::new(value))),
        }
    }

    /// The value.
    ///
    /// # Errors
    /// Of kind [`Internal`](crate::ErrorKind::Internal), naming both types, where the value is not a `T`.
    pub fn get<T: Any>(&self) -> Result<&T> {
        let value = match &self.0 {
            Inner::Shared(shared) => {
                let any: &dyn Any = &**shared;
                any.downcast_ref()
            }
            Inner::Number(number) => number.get(),
        };
        value.ok_or_else(|| self.mismatch::<T>())
    }

    /// The value itself where this is its only holder; the chunk where it is not (or is not a `T`).
    pub fn try_take<T: Any + Send + Sync>(self) -> Result<T, Chunk> {
        let shared = match self.0 {
            Inner::Shared(shared) => shared,
            Inner::Number(number) => return number.take().ok_or(self),
        };
        if Arc::strong_count(&shared) > 1 || !(&*shared as &dyn Any).is::<T>() {
            return Err(Chunk(Inner::Shared(shared)));
        }
        let any: Arc<dyn Any + Send + Sync> = shared;
        match any.downcast::<T>() {
            Ok(value) => Arc::try_unwrap(value).map_err(|shared| Chunk(Inner::Shared(shared))),
            Err(_) => unreachable!("the type was compared above"),
        }
    }

    /// The value itself where this is its only holder, a clone of it otherwise.
    ///
    /// # Errors
    /// As for [`Chunk::get`].
    pub fn take_or_clone<T: Any + Send + Sync + Clone>(self) -> Result<T> {
        match self.try_take() {
            Ok(value) => Ok(value),
            Err(chunk) => chunk.get::<T>().cloned(),
        }
    }

    /// The name of the type inside.
    pub fn type_name(&self) -> &'static str {
        match &self.0 {
            // Through the `Arc`, whose own blanket impl would answer first.
            Inner::Shared(shared) => (**shared).name(),
            Inner::Number(number) => number.type_name(),
        }
    }

    fn mismatch<T: Any>(&self) -> Error {
        Error::internal(format!("a chunk holds a `{}`, not a `{}`", self.type_name(), type_name::<T>()))
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk<{}>", self.type_name())
    }
}

/// What the engine knows about all values of one type.
///
/// # Panics
/// `bytes` panics when it is given a chunk of another type: that is a defect of the caller.
pub trait Kind: Send + Sync + 'static {
    /// The name of the type.
    fn type_name(&self) -> &'static str;

    /// The memory that is released when this chunk is dropped, as far as it can be known.
    ///
    /// A [`Block`](crate::store::Block) counts its own elements and not the slab they lie in: many pieces cut from one slab
    /// then sum up to the slab, which is freed when the last of them is dropped. An Arrow batch counts each distinct
    /// buffer once. A type of which nothing is known counts its `size_of`.
    fn bytes(&self, chunk: &Chunk) -> u64;

    /// What [`Kind::bytes`] is, where it is the same for all chunks.
    fn even_bytes(&self) -> Option<u64> {
        None
    }

    /// How to spill a chunk; `None` where it has to stay in memory.
    fn codec(&self) -> Option<&dyn Codec>;
}

/// The kind of a type that has not opted in to serialization.
///
/// Numeric blocks and vectors, text, ndarray arrays and Arrow batches can still be spilled: they have a natural format.
pub fn plain<T: Any + Send + Sync>() -> &'static dyn Kind {
    const { &Plain::<T>(PhantomData) }
}

/// The kind of a type that may be spilled by serde.
///
/// Types with a natural format use that one. The size of a value of which nothing is known is found by walking it as serde
/// does and counting what lies on the heap. A value that cannot be serialized counts as far as it could be walked, and its
/// spill fails.
pub fn serde<T: Serialize + DeserializeOwned + Any + Send + Sync>() -> &'static dyn Kind {
    const { &Serde::<T>(PhantomData) }
}

struct Plain<T>(PhantomData<fn() -> T>);

struct Serde<T>(PhantomData<fn() -> T>);

impl<T: Any + Send + Sync> Kind for Plain<T> {
    fn type_name(&self) -> &'static str {
        type_name::<T>()
    }

    fn bytes(&self, chunk: &Chunk) -> u64 {
        size_of::<T>() as u64 + size::heap_bytes(expect::<T>(chunk)).unwrap_or(0)
    }

    fn even_bytes(&self) -> Option<u64> {
        size::is_even::<T>().then_some(size_of::<T>() as u64)
    }

    fn codec(&self) -> Option<&dyn Codec> {
        codec::natural::<T>()
    }
}

impl<T: Serialize + DeserializeOwned + Any + Send + Sync> Kind for Serde<T> {
    fn type_name(&self) -> &'static str {
        type_name::<T>()
    }

    fn bytes(&self, chunk: &Chunk) -> u64 {
        let value = expect::<T>(chunk);
        size_of::<T>() as u64 + size::heap_bytes(value).unwrap_or_else(|| codec::measure::heap_bytes(value))
    }

    fn even_bytes(&self) -> Option<u64> {
        size::is_even::<T>().then_some(size_of::<T>() as u64)
    }

    fn codec(&self) -> Option<&dyn Codec> {
        codec::natural::<T>().or(Some(const { &SerdeCodec::<T>::new() }))
    }
}

fn expect<T: Any>(chunk: &Chunk) -> &T {
    match chunk.get::<T>() {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::store::Block;

    #[test]
    fn a_wrong_type_names_both() {
        let error = Chunk::new(7u32).get::<String>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!(error.message().contains("`u32`") && error.message().contains("alloc::string::String"), "{error}");
        assert_eq!(format!("{:?}", Chunk::new(7u32)), "Chunk<u32>");
    }

    #[test]
    fn the_sole_holder_takes_without_a_copy() {
        let chunk = Chunk::new(vec![1u8, 2]);
        let at = chunk.get::<Vec<u8>>().unwrap().as_ptr();
        let other = chunk.clone();
        let chunk = chunk.try_take::<Vec<u8>>().unwrap_err();
        assert_eq!(other.take_or_clone::<Vec<u8>>().unwrap(), [1, 2]);
        let chunk = chunk.try_take::<String>().unwrap_err();
        let vec = chunk.take_or_clone::<Vec<u8>>().unwrap();
        assert_eq!(vec.as_ptr(), at);
        assert!(Chunk::new(1u8).take_or_clone::<String>().is_err());
    }

    #[test]
    fn numbers_are_kept_in_place() {
        macro_rules! check {
            ($($value:expr),*) => {$(
                let chunk = Chunk::new($value);
                assert!(matches!(chunk.0, Inner::Number(_)));
                assert_eq!(format!("{chunk:?}"), format!("Chunk<{}>", std::any::type_name_of_val(&$value)));
                assert_eq!(chunk.get().ok(), Some(&$value));
                assert!(chunk.get::<String>().is_err());
                let copy = chunk.clone();
                assert!(chunk.try_take::<[u8; 3]>().is_err());
                assert_eq!(copy.try_take().ok(), Some($value));
            )*};
        }
        check!(1u64, -2i64, 3.5f64, 4usize, -5isize, 6u32, -7i32, 8.5f32, 9u16, -1i16, 2u8, -3i8, true, 'x', ());
        assert!(Chunk::new(1u64).get::<i64>().is_err() && Chunk::new(1u64).get::<usize>().is_err());
        assert_eq!(size_of::<Option<Chunk>>(), 24);
    }

    #[test]
    fn kinds_know_size_and_codec() {
        let chunk = Chunk::new(1.5f64);
        assert_eq!(plain::<f64>().bytes(&chunk), 8);
        assert!(plain::<f64>().codec().is_none());
        assert!(serde::<f64>().codec().is_some());
        assert!(plain::<Block<f64>>().codec().is_some());
        let block = Block::from_vec(vec![0u16; 100]);
        let size = size_of::<Block<u16>>() as u64;
        assert_eq!(plain::<Block<u16>>().bytes(&Chunk::new(block.slice(10..20))), size + 20);
        let map = std::collections::BTreeMap::from([("key".to_string(), 1u8)]);
        // An entry, its key of three letters, its number.
        assert_eq!(serde::<std::collections::BTreeMap<String, u8>>().bytes(&Chunk::new(map)), 24 + 16 + 24 + 3 + 1);
        assert_eq!(plain::<String>().type_name(), "alloc::string::String");
    }

    #[test]
    #[should_panic(expected = "holds a `u8`")]
    fn a_kind_refuses_a_chunk_of_another_type() {
        plain::<String>().bytes(&Chunk::new(1u8));
    }
}
