//! How much memory a value of a serializable type holds beside itself, found by walking it as serde does.

use serde::Serialize;
use serde::de::value::Error;
use serde::ser::{self, Serializer};

/// What a `String`, `Vec` or map holds in its owner's place.
const HEADER: u64 = 24;

/// What an entry of a map costs beside key and value, on average.
const ENTRY: u64 = 16;

/// Bytes on the heap, as far as the value shows them to serde: text, items of sequences and entries of maps. Spare capacity
/// is not seen, nor what a `Box` holds.
pub(crate) fn heap_bytes<T: Serialize + ?Sized>(value: &T) -> u64 {
    let mut measure = Measure { bytes: 0, inside: 0 };
    // An error is reported by the spill that meets it; a size is wanted for what stays in memory, too.
    let _ = value.serialize(&mut measure);
    measure.bytes
}

struct Measure {
    bytes: u64,
    /// Sequences and maps around what is looked at: outside of all, a number stands in the value itself.
    inside: u32,
}

impl Measure {
    fn place(&mut self, bytes: u64) -> Result<(), Error> {
        if self.inside > 0 {
            self.bytes += bytes;
        }
        Ok(())
    }

    fn text(&mut self, len: usize) -> Result<(), Error> {
        self.bytes += len as u64;
        self.place(HEADER)
    }

    /// Items that stand on the heap.
    fn heap(&mut self) -> Result<Level<'_>, Error> {
        self.place(HEADER)?;
        self.inside += 1;
        Ok(Level { measure: self, heap: true })
    }

    /// Items that stand in their owner's place.
    fn inline(&mut self) -> Result<Level<'_>, Error> {
        Ok(Level { measure: self, heap: false })
    }
}

struct Level<'a> {
    measure: &'a mut Measure,
    heap: bool,
}

impl Level<'_> {
    fn add<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut *self.measure)
    }

    fn close(self) -> Result<(), Error> {
        if self.heap {
            self.measure.inside -= 1;
        }
        Ok(())
    }
}

macro_rules! numbers {
    ($($method:ident $type:ty),*) => {$(
        fn $method(self, _: $type) -> Result<(), Error> {
            self.place(size_of::<$type>() as u64)
        }
    )*};
}

impl<'a> Serializer for &'a mut Measure {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Level<'a>;
    type SerializeTuple = Level<'a>;
    type SerializeTupleStruct = Level<'a>;
    type SerializeTupleVariant = Level<'a>;
    type SerializeMap = Level<'a>;
    type SerializeStruct = Level<'a>;
    type SerializeStructVariant = Level<'a>;

    numbers!(
        serialize_bool bool, serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64,
        serialize_i128 i128, serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64,
        serialize_u128 u128, serialize_f32 f32, serialize_f64 f64, serialize_char char
    );

    fn serialize_str(self, text: &str) -> Result<(), Error> {
        self.text(text.len())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Error> {
        self.text(bytes.len())
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.place(8)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<(), Error> {
        self.place(8)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.place(8)?;
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Level<'a>, Error> {
        self.heap()
    }

    fn serialize_tuple(self, _: usize) -> Result<Level<'a>, Error> {
        self.inline()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Level<'a>, Error> {
        self.inline()
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Level<'a>, Error> {
        self.place(8)?;
        self.inline()
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Level<'a>, Error> {
        self.heap()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Level<'a>, Error> {
        self.inline()
    }

    fn serialize_struct_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Level<'a>, Error> {
        self.place(8)?;
        self.inline()
    }

    fn is_human_readable(&self) -> bool {
        // As the format that is spilled: types that show themselves in two ways show the smaller one.
        false
    }
}

macro_rules! items {
    ($($trait:ident $method:ident),*) => {$(
        impl ser::$trait for Level<'_> {
            type Ok = ();
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                self.add(value)
            }

            fn end(self) -> Result<(), Error> {
                self.close()
            }
        }
    )*};
}

items!(
    SerializeSeq serialize_element, SerializeTuple serialize_element, SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field
);

macro_rules! fields {
    ($($trait:ident),*) => {$(
        impl ser::$trait for Level<'_> {
            type Ok = ();
            type Error = Error;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, _: &'static str, value: &T) -> Result<(), Error> {
                self.add(value)
            }

            fn end(self) -> Result<(), Error> {
                self.close()
            }
        }
    )*};
}

fields!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Level<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.measure.bytes += ENTRY;
        self.add(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.add(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Serialize)]
    struct Row {
        id: u64,
        name: String,
        scores: Vec<(f32, u8)>,
        kind: Kind,
    }

    #[derive(Serialize)]
    enum Kind {
        Plain,
        Pair(u32, u32),
        Named { text: String },
    }

    fn row(kind: Kind) -> Row {
        Row { id: 1, name: "abc".into(), scores: vec![(1.0, 2); 10], kind }
    }

    #[test]
    fn only_what_is_on_the_heap_counts() {
        assert_eq!(heap_bytes(&7u64), 0);
        assert_eq!(heap_bytes(&(1u8, [2.0f64; 4], Some(3))), 0);
        assert_eq!(heap_bytes("abc"), 3);
        assert_eq!(heap_bytes(&vec![1u64; 100]), 800, "whatever the numbers are");
        assert_eq!(heap_bytes(&vec![u64::MAX; 100]), 800);
        assert_eq!(heap_bytes(&vec!["abc"; 10]), 10 * (3 + HEADER));
        assert_eq!(heap_bytes(&vec![vec![1u16; 5]; 3]), 3 * (10 + HEADER));
        assert_eq!(heap_bytes(&BTreeMap::from([("key", 1u8)])), ENTRY + HEADER + 3 + 1);
        assert_eq!(heap_bytes(&row(Kind::Plain)), 3 + 50);
        assert_eq!(heap_bytes(&row(Kind::Named { text: "four".into() })), 3 + 50 + 4);
        assert_eq!(heap_bytes(&vec![row(Kind::Pair(1, 2))]), 8 + (3 + HEADER) + (50 + HEADER) + (8 + 8));
    }
}
