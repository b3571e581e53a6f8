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

use super::intern::failed;
use crate::error::{Error, ErrorKind, Result};

/// An arena of distinct values, and a table to find them.
pub struct BytesTable {
    /// Values one after another, and where each begins; the last begins where the next will.
    arena: Vec<u8>,
    starts: Vec<usize>,
    /// A power of two of places, at most half of them taken: the upper half of a hash, then the number. A value is at the place
    /// that the first bits of its hash say, or behind it.
    places: Vec<u64>,
    taken: usize,
    hasher: FixedState,
}

/// A place where nothing is.
const EMPTY: u64 = u64::MAX;

/// The half of a place that is of the hash.
const TAG: u64 = 0xffff_ffff << 32;

/// A table of fewer values is at hand in the processor's cache.
const SMALL: usize = 1 << 13;

impl Default for BytesTable {
    fn default() -> BytesTable {
        let (arena, starts, places) = (Vec::new(), vec![0], vec![EMPTY; 64]);
        BytesTable { arena, starts, places, taken: 0, hasher: FixedState::default() }
    }
}

impl BytesTable {
    /// The number of a value; `len` is the next new one.
    #[inline]
    pub fn number(&mut self, value: &[u8], len: &mut u32) -> u32 {
        self.number_of(value, self.hash(value), len)
    }

    #[inline]
    fn number_of(&mut self, value: &[u8], hash: u64, len: &mut u32) -> u32 {
        let mut at = self.first_place(hash);
        loop {
            let place = self.places[at];
            if place == EMPTY {
                break;
            }
            if (place ^ hash) & TAG == 0 && self.value(place as u32) == value {
                return place as u32;
            }
            at = (at + 1) & (self.places.len() - 1);
        }
        let number = *len;
        *len += 1;
        self.arena.extend_from_slice(value);
        self.starts.push(self.arena.len());
        self.places[at] = hash & TAG | u64::from(number);
        self.taken += 1;
        if 2 * self.taken > self.places.len() {
            self.widen();
        }
        number
    }

    /// The numbers of many values, one after another. Of a large table the steps of a look-up are done for some values at a time: so
    /// the processor waits for the memory of all of them at once.
    #[inline]
    pub fn number_each<'v>(
        &mut self,
        count: usize,
        value: impl Fn(usize) -> &'v [u8],
        len: &mut u32,
        mut each: impl FnMut(usize, u32),
    ) {
        const BLOCK: usize = 32;
        let mut at = 0;
        while at < count && self.taken < SMALL {
            each(at, self.number(value(at), len));
            at += 1;
        }
        let (mut hashes, mut places, mut bounds) = ([0; BLOCK], [EMPTY; BLOCK], [(0, 0); BLOCK]);
        while at < count {
            let block = BLOCK.min(count - at);
            for (step, hash) in hashes[..block].iter_mut().enumerate() {
                *hash = self.hash(value(at + step));
            }
            for (place, hash) in places[..block].iter_mut().zip(&hashes) {
                *place = self.places[self.first_place(*hash)];
            }
            for (bounds, place) in bounds[..block].iter_mut().zip(&places) {
                // Of a place where nothing is, whatever there is.
                let number = (*place as u32 as usize).min(self.starts.len() - 2);
                *bounds = (self.starts[number], self.starts[number + 1]);
            }
            for step in 0..block {
                let (value, hash, place, (start, end)) = (value(at + step), hashes[step], places[step], bounds[step]);
                let found = place != EMPTY && (place ^ hash) & TAG == 0 && self.arena[start..end] == *value;
                each(at + step, if found { place as u32 } else { self.number_of(value, hash, len) });
            }
            at += block;
        }
    }

    #[inline]
    fn first_place(&self, hash: u64) -> usize {
        // By the half of the hash that is kept, so that the table can be widened without the values.
        (hash >> 32) as usize >> (32 - self.places.len().trailing_zeros())
    }

    fn widen(&mut self) {
        let wide = vec![EMPTY; 4 * self.places.len()];
        for place in std::mem::replace(&mut self.places, wide) {
            if place != EMPTY {
                let mut at = self.first_place(place);
                while self.places[at] != EMPTY {
                    at = (at + 1) & (self.places.len() - 1);
                }
                self.places[at] = place;
            }
        }
    }

    /// The number of a value, if it has one.
    #[inline]
    pub fn find(&self, value: &[u8]) -> Option<u32> {
        let hash = self.hash(value);
        let mut at = self.first_place(hash);
        loop {
            let place = self.places[at];
            if place == EMPTY {
                return None;
            }
            if (place ^ hash) & TAG == 0 && self.value(place as u32) == value {
                return Some(place as u32);
            }
            at = (at + 1) & (self.places.len() - 1);
        }
    }

    /// A number that no value has.
    pub fn push_unfindable(&mut self) {
        self.starts.push(self.arena.len());
    }

    /// The value of a number.
    #[inline]
    pub fn value(&self, number: u32) -> &[u8] {
        let number = number as usize;
        &self.arena[self.starts[number]..self.starts[number + 1]]
    }

    /// Memory it takes.
    pub fn bytes(&self) -> usize {
        self.arena.capacity() + 8 * self.starts.capacity() + 8 * self.places.capacity()
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

    #[inline]
    fn hash(&self, value: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(value);
        hasher.finish()
    }
}
