//! Numbers for the distinct ones of many strings of bytes.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, GenericByteArray};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{
    ArrowNativeType, BinaryType, ByteArrayType, DataType, LargeBinaryType, LargeUtf8Type, Utf8Type,
};
use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::intern::failed;
use crate::error::{Error, ErrorKind, Result};

/// An arena of distinct values, and a table to find them.
pub struct BytesTable {
    /// Values one after another, and where each ends.
    arena: Vec<u8>,
    ends: Vec<usize>,
    /// The upper half of each hash, and the number.
    table: HashTable<(u32, u32)>,
    hasher: FixedState,
}

impl Default for BytesTable {
    fn default() -> BytesTable {
        BytesTable { arena: Vec::new(), ends: Vec::new(), table: HashTable::new(), hasher: FixedState::default() }
    }
}

impl BytesTable {
    /// The number of a value; `len` is the next new one.
    #[inline]
    pub fn number(&mut self, value: &[u8], len: &mut u32) -> u32 {
        let hash = self.hash(value);
        let tag = (hash >> 32) as u32;
        let (arena, ends) = (&self.arena, &self.ends);
        let found = self.table.find(hash, |(known, number)| *known == tag && slice(arena, ends, *number) == value);
        if let Some((_, number)) = found {
            return *number;
        }
        let number = *len;
        *len += 1;
        self.arena.extend_from_slice(value);
        self.ends.push(self.arena.len());
        let (arena, ends, hasher) = (&self.arena, &self.ends, &self.hasher);
        self.table.insert_unique(hash, (tag, number), |(_, number)| hash_with(hasher, slice(arena, ends, *number)));
        number
    }

    /// The number of a value, if it has one.
    #[inline]
    pub fn find(&self, value: &[u8]) -> Option<u32> {
        let hash = self.hash(value);
        let tag = (hash >> 32) as u32;
        let known = |(other, number): &(u32, u32)| *other == tag && slice(&self.arena, &self.ends, *number) == value;
        self.table.find(hash, known).map(|(_, number)| *number)
    }

    /// A number that no value has.
    pub fn push_unfindable(&mut self) {
        self.ends.push(self.arena.len());
    }

    /// The value of a number.
    pub fn value(&self, number: u32) -> &[u8] {
        slice(&self.arena, &self.ends, number)
    }

    /// Memory it takes.
    pub fn bytes(&self) -> usize {
        self.arena.capacity() + 8 * self.ends.capacity() + self.table.capacity() * 9
    }

    /// Bytes of all values.
    pub fn text_bytes(&self) -> usize {
        self.arena.len()
    }

    /// Values as an array of text or bytes; none stands for null.
    pub fn array(&self, numbers: impl Iterator<Item = Option<u32>> + Clone, data_type: &DataType) -> Result<ArrayRef> {
        let array: ArrayRef = match data_type {
            DataType::LargeBinary => Arc::new(self.typed::<LargeBinaryType>(numbers)?),
            DataType::Binary | DataType::BinaryView => Arc::new(self.typed::<BinaryType>(numbers)?),
            // What was put in as text comes out as text; the check of all at once is cheap.
            DataType::LargeUtf8 => Arc::new(self.typed::<LargeUtf8Type>(numbers)?),
            _ => Arc::new(self.typed::<Utf8Type>(numbers)?),
        };
        if array.data_type() == data_type { Ok(array) } else { cast(&array, data_type).map_err(failed) }
    }

    fn typed<T: ByteArrayType>(
        &self,
        numbers: impl Iterator<Item = Option<u32>> + Clone,
    ) -> Result<GenericByteArray<T>> {
        let total: usize = numbers.clone().flatten().map(|number| self.value(number).len()).sum();
        if T::Offset::from_usize(total).is_none() {
            let text = format!(
                "the keys of all groups are {total} bytes of text, and an array holds 2 147 483 647: cast the key to LargeUtf8 \
                 or LargeBinary"
            );
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        let count = numbers.clone().count();
        let mut bytes = Vec::with_capacity(total);
        let mut lengths = Vec::with_capacity(count);
        let mut valid = Vec::with_capacity(count);
        for number in numbers {
            let value = number.map_or(&[][..], |number| self.value(number));
            bytes.extend_from_slice(value);
            lengths.push(value.len());
            valid.push(number.is_some());
        }
        let nulls = Some(NullBuffer::from(valid)).filter(|nulls| nulls.null_count() > 0);
        let offsets = OffsetBuffer::<T::Offset>::from_lengths(lengths);
        GenericByteArray::<T>::try_new(offsets, Buffer::from_vec(bytes), nulls).map_err(failed)
    }

    fn hash(&self, value: &[u8]) -> u64 {
        hash_with(&self.hasher, value)
    }
}

#[inline]
fn hash_with(hasher: &FixedState, value: &[u8]) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(value);
    hasher.finish()
}

#[inline]
fn slice<'a>(arena: &'a [u8], ends: &[usize], number: u32) -> &'a [u8] {
    let number = number as usize;
    let start = if number == 0 { 0 } else { ends[number - 1] };
    &arena[start..ends[number]]
}
