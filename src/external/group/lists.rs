//! Lists of the values of each group: all of them, or the greatest and the least ones.

use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, PrimitiveArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{SortOptions, cast, interleave};
use arrow::datatypes::{DataType, Field, Float64Type, Int32Type, Int64Type, UInt64Type};
use arrow::row::{RowConverter, SortField};

use super::intern::{failed, take_rows};
use super::{NONE, Rows};
use crate::error::{Error, ErrorKind, Result};

/// The type of lists of values of a type.
pub(super) fn list_of(data_type: &DataType) -> Arc<Field> {
    Arc::new(Field::new_list_field(data_type.clone(), true))
}

/// All values of each group in the order of the rows, nulls too.
pub struct Lists {
    data_type: DataType,
    /// Values as they came, and the group of each.
    parts: Vec<(ArrayRef, Vec<u32>)>,
    /// What the parts hold: counted as they come, for there may be many.
    bytes: usize,
}

impl Lists {
    pub fn new(data_type: &DataType) -> Lists {
        Lists { data_type: data_type.clone(), parts: Vec::new(), bytes: 0 }
    }

    pub fn bytes(&self) -> usize {
        self.bytes + size_of::<(ArrayRef, Vec<u32>)>() * self.parts.capacity()
    }

    pub fn update(&mut self, rows: &Rows<'_>, array: &ArrayRef) -> Result<()> {
        let all: Vec<u32> = match rows.groups {
            None => (0..rows.len as u32).collect(),
            Some(groups) => (0..rows.len as u32).filter(|row| groups[*row as usize] != NONE).collect(),
        };
        if all.is_empty() {
            return Ok(());
        }
        let groups: Vec<u32> = match rows.groups {
            None => vec![0; all.len()],
            Some(groups) => all.iter().map(|row| groups[*row as usize]).collect(),
        };
        // Only what is kept: the array may be a part of a larger one.
        let own = take_rows(array, &all)?;
        self.bytes += own.get_array_memory_size() + 4 * groups.capacity();
        self.parts.push((own, groups));
        Ok(())
    }

    pub fn merge(&mut self, other: Lists, map: &[u32]) {
        self.bytes += other.bytes;
        for (array, mut groups) in other.parts {
            groups.iter_mut().for_each(|group| *group = map[*group as usize]);
            self.parts.push((array, groups));
        }
    }

    /// The list of each group; of none an empty one.
    pub fn finish(&mut self, count: usize) -> Result<ArrayRef> {
        let mut lengths = vec![0usize; count];
        self.parts.iter().flat_map(|(_, groups)| groups).for_each(|group| lengths[*group as usize] += 1);
        let arrays: Vec<&dyn Array> = self.parts.iter().map(|(array, _)| &**array).collect();
        let total = check_size(&lengths, &arrays)?;
        let mut next: Vec<usize> = Vec::with_capacity(count);
        let mut start = 0;
        for length in &lengths {
            next.push(start);
            start += length;
        }
        let mut places = vec![(0, 0); total];
        for (part, (_, groups)) in self.parts.iter().enumerate() {
            for (row, group) in groups.iter().enumerate() {
                let next = &mut next[*group as usize];
                places[*next] = (part, row);
                *next += 1;
            }
        }
        let values = match arrays.is_empty() {
            true => arrow::array::new_empty_array(&self.data_type),
            false => interleave(&arrays, &places).map_err(failed)?,
        };
        lists(&self.data_type, lengths, values)
    }
}

/// The number of values, where they fit one array.
fn check_size(lengths: &[usize], arrays: &[&dyn Array]) -> Result<usize> {
    let total: usize = lengths.iter().sum();
    let text = |array: &&dyn Array| match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value_data().len(),
        DataType::Binary => array.as_binary::<i32>().value_data().len(),
        _ => 0,
    };
    let bytes: usize = arrays.iter().map(text).sum();
    if total > i32::MAX as usize || bytes > i32::MAX as usize {
        let text = format!(
            "lists of {total} values and {bytes} bytes of text are more than one array holds (2 147 483 647): \
             aggregate fewer rows, or cast the text to LargeUtf8"
        );
        return Err(Error::new(ErrorKind::Unsupported, text));
    }
    Ok(total)
}

fn lists(data_type: &DataType, lengths: Vec<usize>, values: ArrayRef) -> Result<ArrayRef> {
    let values = if values.data_type() == data_type { values } else { cast(&values, data_type).map_err(failed)? };
    let offsets = OffsetBuffer::<i32>::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(list_of(data_type), offsets, values, None).map_err(failed)?))
}

/// The greatest values of each group, or the least ones, best first.
///
/// Values are kept as keys of which the least ones are wanted. Keys that are equal are of values that are the same in every bit, so
/// it does not matter in which order they come.
pub struct Tops {
    data_type: DataType,
    most: bool,
    len: usize,
    keys: Keys,
    /// What the heaps hold: counted as they grow, for there may be many.
    bytes: usize,
}

enum Keys {
    Words(Vec<BinaryHeap<u64>>),
    /// Encoded, and in descending order where the greatest are wanted.
    Bytes {
        groups: Vec<BinaryHeap<Box<[u8]>>>,
        converter: RowConverter,
    },
}

impl Tops {
    pub fn new(data_type: &DataType, most: bool, len: usize) -> Result<Tops> {
        use DataType::{
            Date32, Date64, Duration, Float16, Float32, Float64, Int8, Int16, Int32, Int64, Time32, Time64, Timestamp,
            UInt8, UInt16, UInt32, UInt64,
        };
        let keys = match data_type {
            Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 | Date32 | Date64 | Time32(_)
            | Time64(_) | Timestamp(..) | Duration(_) | Float16 | Float32 | Float64 => Keys::Words(Vec::new()),
            other => {
                let options = SortOptions { descending: most, nulls_first: false };
                let field = SortField::new_with_options(other.clone(), options);
                let converter = RowConverter::new(vec![field])
                    .map_err(|_| Error::new(ErrorKind::Plan, format!("values of type {other} have no order")))?;
                Keys::Bytes { groups: Vec::new(), converter }
            }
        };
        Ok(Tops { data_type: data_type.clone(), most, len, keys, bytes: 0 })
    }

    pub fn bytes(&self) -> usize {
        let groups = match &self.keys {
            Keys::Words(groups) => groups.capacity(),
            Keys::Bytes { groups, .. } => groups.capacity(),
        };
        24 * groups + self.bytes
    }

    pub fn update(&mut self, rows: &Rows<'_>, array: &ArrayRef) -> Result<()> {
        let nulls = array.logical_nulls();
        let (len, bytes) = (self.len, &mut self.bytes);
        match &mut self.keys {
            Keys::Words(groups) => {
                groups.resize_with(rows.count, BinaryHeap::new);
                let words = to_ordered(array)?;
                let turn = if self.most { u64::MAX } else { 0 };
                rows.each_valid(nulls.as_ref(), |row, group| keep(&mut groups[group], words[row] ^ turn, len, bytes));
            }
            Keys::Bytes { groups, converter } => {
                groups.resize_with(rows.count, BinaryHeap::new);
                let encoded = converter.convert_columns(std::slice::from_ref(array)).map_err(failed)?;
                rows.each_valid(nulls.as_ref(), |row, group| {
                    let (own, key) = (&mut groups[group], encoded.row(row));
                    // Most rows are none of the best: no copy of those.
                    if own.len() < len || own.peek().is_some_and(|worst| *key.data() < **worst) {
                        keep(own, key.data().into(), len, bytes);
                    }
                });
            }
        }
        Ok(())
    }

    pub fn merge(&mut self, other: Tops, map: &[u32], count: usize) -> Result<()> {
        let (len, bytes) = (self.len, &mut self.bytes);
        match (&mut self.keys, other.keys) {
            (Keys::Words(groups), Keys::Words(others)) => merge(groups, others, map, count, len, bytes),
            (Keys::Bytes { groups, .. }, Keys::Bytes { groups: others, .. }) => {
                merge(groups, others, map, count, len, bytes)
            }
            _ => return Err(Error::internal("the best values of two kinds are to be merged")),
        }
        Ok(())
    }

    /// The list of each group; of none an empty one.
    pub fn finish(&mut self, count: usize) -> Result<ArrayRef> {
        match &mut self.keys {
            Keys::Words(groups) => {
                groups.resize_with(count, BinaryHeap::new);
                let lengths: Vec<usize> = groups.iter().map(BinaryHeap::len).collect();
                check_size(&lengths, &[])?;
                let turn = if self.most { u64::MAX } else { 0 };
                let words = groups.iter_mut().flat_map(|own| std::mem::take(own).into_sorted_vec());
                let values = from_ordered(words.map(|word| word ^ turn).collect(), &self.data_type)?;
                lists(&self.data_type, lengths, values)
            }
            Keys::Bytes { groups, converter } => {
                groups.resize_with(count, BinaryHeap::new);
                let lengths: Vec<usize> = groups.iter().map(BinaryHeap::len).collect();
                check_size(&lengths, &[])?;
                let sorted: Vec<Box<[u8]>> =
                    groups.iter_mut().flat_map(|own| std::mem::take(own).into_sorted_vec()).collect();
                // A value of n bytes is encoded in more than n.
                if sorted.iter().map(|key| key.len()).sum::<usize>() > i32::MAX as usize {
                    return Err(Error::new(
                        ErrorKind::Unsupported,
                        "the greatest or least values are more than the 2 GiB that one array holds: ask for fewer",
                    ));
                }
                let parser = converter.parser();
                let mut arrays = converter.convert_rows(sorted.iter().map(|key| parser.parse(key))).map_err(failed)?;
                let values = arrays.pop().ok_or_else(|| Error::internal("values without a column"))?;
                lists(&self.data_type, lengths, values)
            }
        }
    }
}

/// A key in a heap.
trait Key: Ord {
    /// Memory that it takes beside its place in the heap.
    fn outside(&self) -> usize;
}

impl Key for u64 {
    fn outside(&self) -> usize {
        0
    }
}

impl Key for Box<[u8]> {
    fn outside(&self) -> usize {
        // With what the allocator takes.
        self.len() + 16
    }
}

/// Keeps a key among the `len` least ones, and counts the bytes that the heap grows or shrinks by.
#[inline]
fn keep<K: Key>(own: &mut BinaryHeap<K>, key: K, len: usize, bytes: &mut usize) {
    if own.len() < len {
        let before = own.capacity();
        *bytes += key.outside();
        own.push(key);
        *bytes += size_of::<K>() * (own.capacity() - before);
    } else if let Some(mut worst) = own.peek_mut()
        && key < *worst
    {
        *bytes = *bytes + key.outside() - worst.outside();
        *worst = key;
        // Brings it to its place.
        drop::<PeekMut<'_, K>>(worst);
    }
}

fn merge<K: Key>(
    groups: &mut Vec<BinaryHeap<K>>,
    others: Vec<BinaryHeap<K>>,
    map: &[u32],
    count: usize,
    len: usize,
    bytes: &mut usize,
) {
    groups.resize_with(count, BinaryHeap::new);
    for (group, other) in map.iter().zip(others) {
        other.into_iter().for_each(|key| keep(&mut groups[*group as usize], key, len, bytes));
    }
}

const SIGN: u64 = 1 << 63;

/// Values as words in the same order; NaN is the greatest.
fn to_ordered(array: &ArrayRef) -> Result<Vec<u64>> {
    let signed = |value: &i64| *value as u64 ^ SIGN;
    Ok(match array.data_type() {
        DataType::UInt64 => array.as_primitive::<UInt64Type>().values().to_vec(),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            let floats = cast(array, &DataType::Float64).map_err(failed)?;
            let word = |value: &f64| {
                let bits = if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() };
                if bits & SIGN == 0 { bits ^ SIGN } else { !bits }
            };
            floats.as_primitive::<Float64Type>().values().iter().map(word).collect()
        }
        DataType::Date32 | DataType::Time32(_) => {
            let days = cast(array, &DataType::Int32).map_err(failed)?;
            days.as_primitive::<Int32Type>().values().iter().map(|value| signed(&i64::from(*value))).collect()
        }
        _ => {
            let words = cast(array, &DataType::Int64).map_err(failed)?;
            words.as_primitive::<Int64Type>().values().iter().map(signed).collect()
        }
    })
}

fn from_ordered(words: Vec<u64>, data_type: &DataType) -> Result<ArrayRef> {
    let signed = |word: u64| (word ^ SIGN) as i64;
    Ok(match data_type {
        DataType::UInt64 => Arc::new(PrimitiveArray::<UInt64Type>::from(words)),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            let float = |word: u64| f64::from_bits(if word & SIGN == 0 { !word } else { word ^ SIGN });
            Arc::new(PrimitiveArray::<Float64Type>::from_iter_values(words.into_iter().map(float)))
        }
        DataType::Date32 | DataType::Time32(_) => {
            let words = words.into_iter().map(|word| signed(word) as i32);
            Arc::new(PrimitiveArray::<Int32Type>::from_iter_values(words))
        }
        _ => Arc::new(PrimitiveArray::<Int64Type>::from_iter_values(words.into_iter().map(signed))),
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray};
    use proptest::prelude::*;

    use super::*;

    fn counted(lists: &Lists) -> usize {
        let part = |(array, groups): &(ArrayRef, Vec<u32>)| array.get_array_memory_size() + 4 * groups.capacity();
        lists.parts.iter().map(part).sum()
    }

    fn counted_tops(tops: &Tops) -> usize {
        match &tops.keys {
            Keys::Words(groups) => groups.iter().map(|own| 8 * own.capacity()).sum(),
            Keys::Bytes { groups, .. } => {
                let heap = |own: &BinaryHeap<Box<[u8]>>| {
                    16 * own.capacity() + own.iter().map(|key| key.len() + 16).sum::<usize>()
                };
                groups.iter().map(heap).sum()
            }
        }
    }

    proptest! {
        /// What is counted as values come is what is there when all of it is looked at.
        #[test]
        fn the_running_count_is_right(
            rows in prop::collection::vec((0u32..4, prop::option::of(0i64..90)), 0..120),
            cut in 1usize..30, len in 1usize..6, most in any::<bool>(),
        ) {
            let mut lists = [Lists::new(&DataType::Utf8), Lists::new(&DataType::Utf8)];
            let tops = |data_type| [Tops::new(data_type, most, len).unwrap(), Tops::new(data_type, most, len).unwrap()];
            let (mut words, mut texts) = (tops(&DataType::Int64), tops(&DataType::Utf8));
            for (at, part) in rows.chunks(cut).enumerate() {
                let groups: Vec<u32> = part.iter().map(|row| row.0).collect();
                let numbers: ArrayRef = Arc::new(part.iter().map(|row| row.1).collect::<Int64Array>());
                let text = part.iter().map(|row| row.1.map(|n| "x".repeat(n as usize)));
                let text: ArrayRef = Arc::new(text.collect::<StringArray>());
                let rows = Rows { groups: Some(&groups), len: part.len(), count: 4 };
                lists[at % 2].update(&rows, &text).unwrap();
                words[at % 2].update(&rows, &numbers).unwrap();
                texts[at % 2].update(&rows, &text).unwrap();
                prop_assert_eq!(lists[at % 2].bytes, counted(&lists[at % 2]));
                prop_assert_eq!(words[at % 2].bytes, counted_tops(&words[at % 2]));
                prop_assert_eq!(texts[at % 2].bytes, counted_tops(&texts[at % 2]));
            }
            let ([mut lists, other], [mut words, more], [mut texts, most]) = (lists, words, texts);
            let map = [3, 2, 1, 0];
            lists.merge(other, &map);
            words.merge(more, &map, 4).unwrap();
            texts.merge(most, &map, 4).unwrap();
            prop_assert_eq!(lists.bytes, counted(&lists));
            prop_assert_eq!(words.bytes, counted_tops(&words));
            prop_assert_eq!(texts.bytes, counted_tops(&texts));
        }
    }
}
