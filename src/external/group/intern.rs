//! Numbers for the distinct values of one column.
//!
//! A value gets the next number when it is first seen. Values of up to eight bytes are numbered through a dense table while they
//! lie close together, else through a hash table; text and bytes through a hash table over an arena; everything else by its
//! row encoding. Of a dictionary each value is looked up once, when its first row comes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, PrimitiveArray};
use arrow::buffer::ScalarBuffer;
use arrow::compute::{cast, take};
use arrow::datatypes::{
    ArrowDictionaryKeyType, ArrowNativeType, ArrowPrimitiveType, DataType, Field, FieldRef, Float32Type, Float64Type,
    Int32Type, Int64Type, UInt32Type, UInt64Type,
};
use arrow::row::{OwnedRow, RowConverter, SortField};
use hashbrown::HashTable;

use super::bytes::BytesTable;
use super::{NONE, mix};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::one_zero;

/// More entries than this are never held in a dense table.
const MOST_DENSE: u64 = 1 << 18;

/// Numbers for the distinct values of one column.
pub struct Interner {
    pub(super) data_type: DataType,
    pub(super) kind: Kind,
    /// The number of null, where null is a value and was seen.
    pub(super) null: Option<u32>,
    keep_nulls: bool,
    len: u32,
    /// The last dictionary.
    dictionary: Option<Box<Known>>,
}

/// A dictionary, and the numbers of its values as far as they were seen.
struct Known {
    /// As it came, to be recognized.
    dictionary: ArrayRef,
    /// Its values as the column's type.
    values: ArrayRef,
    /// By place; [`UNSEEN`] of those that were not looked up.
    numbers: Vec<u32>,
    /// The values as words, or encoded, where they are numbered so; made when the first is looked up.
    words: Option<ScalarBuffer<i64>>,
    rows: Option<arrow::row::Rows>,
}

/// Not looked up yet; [`NONE`] is what a dropped null has.
const UNSEEN: u32 = u32::MAX - 1;

/// Runs a piece of code with `$value`, which gives the bytes of a row of an array of text or bytes.
macro_rules! with_bytes {
    ($array:expr, $value:ident => $run:expr) => {{
        macro_rules! of {
            ($typed:expr) => {{
                let typed = $typed;
                let $value = |row: usize| -> &[u8] { typed.value(row).as_ref() };
                $run
            }};
        }
        match $array.data_type() {
            DataType::Utf8 => of!($array.as_string::<i32>()),
            DataType::LargeUtf8 => of!($array.as_string::<i64>()),
            DataType::Utf8View => of!($array.as_string_view()),
            DataType::Binary => of!($array.as_binary::<i32>()),
            DataType::LargeBinary => of!($array.as_binary::<i64>()),
            _ => of!($array.as_binary_view()),
        }
    }};
}

pub(super) enum Kind {
    Words(Words),
    Bytes(BytesTable),
    Rows { converter: RowConverter, table: BytesTable },
}

/// Values of up to eight bytes as words.
pub(super) struct Words {
    /// By number; of null anything.
    values: Vec<i64>,
    /// From `value - low` to number.
    pub(super) dense: Vec<u32>,
    pub(super) low: i64,
    /// In place of `dense`, once values lie too far apart.
    pub(super) hashed: Option<HashTable<(i64, u32)>>,
}

impl Interner {
    /// For a column of a type. Null is a value of its own, or no value at all: then its number is [`NONE`].
    ///
    /// # Errors
    /// Of kind `Plan`, where values of the type cannot be compared.
    pub fn new(data_type: &DataType, keep_nulls: bool) -> Result<Interner> {
        let data_type = plain_type(data_type);
        let kind = match &data_type {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Kind::Bytes(BytesTable::default()),
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Kind::Bytes(BytesTable::default()),
            other if is_word(other) => Kind::Words(Words::new()),
            other => {
                let converter = RowConverter::new(vec![SortField::new(other.clone())]);
                let converter = converter
                    .map_err(|_| Error::new(ErrorKind::Plan, format!("a {other} cannot be a key of a group")))?;
                Kind::Rows { converter, table: BytesTable::default() }
            }
        };
        Ok(Interner { data_type, kind, null: None, keep_nulls, len: 0, dictionary: None })
    }

    /// Number of values seen, null included.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Memory it takes.
    pub fn bytes(&self) -> usize {
        let kind = match &self.kind {
            Kind::Words(words) => {
                let hashed = words.hashed.as_ref().map_or(0, |table| table.capacity() * 17);
                8 * words.values.capacity() + 4 * words.dense.capacity() + hashed
            }
            Kind::Bytes(table) => table.bytes(),
            Kind::Rows { converter, table } => table.bytes() + converter.size(),
        };
        kind + self.dictionary.as_ref().map_or(0, |known| known.bytes())
    }

    /// About how many bytes so many values take as an array.
    pub fn value_bytes(&self, count: usize) -> usize {
        match &self.kind {
            Kind::Words(_) => 8 * count,
            Kind::Bytes(table) | Kind::Rows { table, .. } => {
                // As long as the distinct ones are on average.
                let text = table.text_bytes() as u128 * count as u128 / u128::from(self.len.max(1));
                8 * count + text as usize
            }
        }
    }

    /// The number of each value of an array, in place of what `out` held.
    ///
    /// # Errors
    /// Of kind `Internal`, where the array is of another type.
    pub fn number(&mut self, array: &ArrayRef, out: &mut Vec<u32>) -> Result<()> {
        out.clear();
        match array.data_type() {
            DataType::Dictionary(key, _) if **key == DataType::Int32 => {
                self.number_dictionary(array.as_dictionary::<Int32Type>(), out)
            }
            found if *found == self.data_type => self.number_plain(array, out),
            _ => self.number_plain(&self.unpacked(array)?, out),
        }
    }

    /// Values with dictionaries of another layout, or inside of them, as the table has them.
    pub(super) fn unpacked(&self, array: &ArrayRef) -> Result<ArrayRef> {
        let found = array.data_type();
        if matches!(found, DataType::Dictionary(..) | DataType::RunEndEncoded(..))
            || plain_type(found) == self.data_type
        {
            return cast(array, &self.data_type).map_err(failed);
        }
        Err(Error::internal(format!("a {found} where keys are of type {}", self.data_type)))
    }

    fn number_dictionary<K: ArrowDictionaryKeyType>(
        &mut self,
        codes: &DictionaryArray<K>,
        out: &mut Vec<u32>,
    ) -> Result<()> {
        let mut known = match self.dictionary.take() {
            Some(known) if known.is_of(codes.values()) => known,
            _ => Box::new(Known::new(codes.values(), &self.data_type)?),
        };
        let nulls = codes.keys().nulls().filter(|nulls| nulls.null_count() > 0);
        let null = if nulls.is_some() { self.null_number() } else { NONE };
        let is_null = |row: usize| nulls.is_some_and(|nulls| nulls.is_null(row));
        let places = codes.keys().values();
        // The values that come for the first time, in the order in which they do.
        let mut first: Vec<u32> = Vec::new();
        for (row, code) in places.iter().enumerate() {
            // The code of a null is any, also one that no value has.
            if is_null(row) {
                continue;
            }
            let number = &mut known.numbers[code.as_usize()];
            if *number == UNSEEN {
                *number = NONE;
                first.push(code.as_usize() as u32);
            }
        }
        if !first.is_empty() {
            self.number_some(&mut known, &first)?;
        }
        let numbers = &known.numbers;
        match nulls {
            None => out.extend(places.iter().map(|code| numbers[code.as_usize()])),
            Some(_) => out.extend(
                places.iter().enumerate().map(|(row, code)| if is_null(row) { null } else { numbers[code.as_usize()] }),
            ),
        }
        self.dictionary = Some(known);
        Ok(())
    }

    /// Looks up some values of a dictionary, by their places.
    fn number_some(&mut self, known: &mut Known, places: &[u32]) -> Result<()> {
        let Known { values, numbers, words, rows, .. } = known;
        let nulls = values.logical_nulls().filter(|nulls| nulls.null_count() > 0);
        let valid: Vec<u32>;
        let mut places = places;
        if let Some(nulls) = &nulls {
            // A null among the values is a null as well.
            if places.iter().any(|place| nulls.is_null(*place as usize)) {
                let null = self.null_number();
                let null_places = places.iter().filter(|place| nulls.is_null(**place as usize));
                null_places.for_each(|place| numbers[*place as usize] = null);
            }
            valid = places.iter().copied().filter(|place| nulls.is_valid(*place as usize)).collect();
            places = &valid;
        }
        match &mut self.kind {
            Kind::Words(table) => {
                let words = match words {
                    Some(words) => words,
                    none => none.insert(to_words(values)?),
                };
                let own: Vec<i64> = places.iter().map(|place| words[*place as usize]).collect();
                let mut found = Vec::with_capacity(own.len());
                table.number(&own, &mut self.len, &mut found);
                places.iter().zip(found).for_each(|(place, number)| numbers[*place as usize] = number);
            }
            Kind::Bytes(table) => {
                let len = &mut self.len;
                with_bytes!(values, value => {
                    let mut set = |at: usize, number: u32| numbers[places[at] as usize] = number;
                    table.number_each(places.len(), |at| value(places[at] as usize), len, &mut set);
                });
            }
            Kind::Rows { converter, table } => {
                let rows = match rows {
                    Some(rows) => rows,
                    none => none.insert(encoded(converter, values)?),
                };
                for place in places {
                    numbers[*place as usize] = table.number(rows.row(*place as usize).data(), &mut self.len);
                }
            }
        }
        Ok(())
    }

    fn null_number(&mut self) -> u32 {
        if !self.keep_nulls {
            return NONE;
        }
        if let Some(null) = self.null {
            return null;
        }
        let number = self.len;
        self.null = Some(number);
        self.len += 1;
        match &mut self.kind {
            Kind::Words(words) => words.values.push(0),
            Kind::Bytes(table) | Kind::Rows { table, .. } => table.push_unfindable(),
        }
        number
    }

    fn number_plain(&mut self, array: &ArrayRef, out: &mut Vec<u32>) -> Result<()> {
        let nulls = array.logical_nulls().filter(|nulls| nulls.null_count() > 0);
        let null = if nulls.is_some() { self.null_number() } else { NONE };
        out.reserve(array.len());
        match &mut self.kind {
            Kind::Words(words) => {
                let values = to_words(array)?;
                match &nulls {
                    None => words.number(&values, &mut self.len, out),
                    Some(nulls) => {
                        for (row, value) in values.iter().enumerate() {
                            if nulls.is_null(row) {
                                out.push(null);
                            } else {
                                words.number(std::slice::from_ref(value), &mut self.len, out);
                            }
                        }
                    }
                }
            }
            Kind::Bytes(table) => {
                let len = &mut self.len;
                with_bytes!(array, value => match &nulls {
                    None => table.number_each(array.len(), value, len, |_, number| out.push(number)),
                    Some(nulls) => out.extend(
                        (0..array.len()).map(|row| if nulls.is_null(row) { null } else { table.number(value(row), len) }),
                    ),
                });
            }
            Kind::Rows { converter, table } => {
                let rows = encoded(converter, array)?;
                for (at, row) in rows.iter().enumerate() {
                    let is_null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(at));
                    out.push(if is_null { null } else { table.number(row.data(), &mut self.len) });
                }
            }
        }
        Ok(())
    }

    /// The values of some numbers, as an array of the column's type without dictionaries.
    ///
    /// # Errors
    /// Of kind `Internal`, where there are none such.
    pub fn values(&self, numbers: &[u32]) -> Result<ArrayRef> {
        let is_null = |number: &u32| Some(*number) == self.null;
        match &self.kind {
            Kind::Words(words) => {
                let values = numbers.iter().map(|number| (!is_null(number)).then(|| words.values[*number as usize]));
                from_words(&values.collect::<PrimitiveArray<Int64Type>>(), &self.data_type)
            }
            Kind::Bytes(table) => {
                table.array(numbers.iter().map(|number| (!is_null(number)).then_some(*number)), &self.data_type)
            }
            Kind::Rows { converter, table } => {
                let parser = converter.parser();
                let null = self.null.map(|_| null_row(converter, &self.data_type)).transpose()?;
                let rows = numbers.iter().map(|number| match &null {
                    Some(null) if is_null(number) => null.row(),
                    _ => parser.parse(table.value(*number)),
                });
                let mut arrays = converter.convert_rows(rows).map_err(failed)?;
                arrays.pop().ok_or_else(|| Error::internal("keys without a column"))
            }
        }
    }
}

/// A type with the values' types in place of dictionaries, also inside of it: layouts are no part of what a value is.
pub(super) fn plain_type(data_type: &DataType) -> DataType {
    let plain = |field: &FieldRef| Arc::new(Field::clone(field).with_data_type(plain_type(field.data_type())));
    match data_type {
        DataType::Dictionary(_, values) => plain_type(values),
        DataType::RunEndEncoded(_, values) => plain_type(values.data_type()),
        DataType::List(item) => DataType::List(plain(item)),
        DataType::LargeList(item) => DataType::LargeList(plain(item)),
        DataType::FixedSizeList(item, len) => DataType::FixedSizeList(plain(item), *len),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain).collect()),
        other => other.clone(),
    }
}

/// Values encoded so that those which are equal are so in every byte.
pub(super) fn encoded(converter: &RowConverter, array: &ArrayRef) -> Result<arrow::row::Rows> {
    let array = one_zero(array).map_err(failed)?;
    converter.convert_columns(&[array]).map_err(failed)
}

fn null_row(converter: &RowConverter, data_type: &DataType) -> Result<OwnedRow> {
    let null = arrow::array::new_null_array(data_type, 1);
    let rows = converter.convert_columns(&[null]).map_err(failed)?;
    Ok(rows.row(0).owned())
}

impl Known {
    fn new(dictionary: &ArrayRef, data_type: &DataType) -> Result<Known> {
        let values = match dictionary.data_type() == data_type {
            true => dictionary.clone(),
            false => cast(dictionary, data_type).map_err(failed)?,
        };
        let numbers = vec![UNSEEN; values.len()];
        Ok(Known { dictionary: dictionary.clone(), values, numbers, words: None, rows: None })
    }

    /// Whether a dictionary is this one: the same memory.
    fn is_of(&self, dictionary: &ArrayRef) -> bool {
        Arc::ptr_eq(&self.dictionary, dictionary)
            || self.dictionary.len() == dictionary.len() && self.dictionary.to_data().ptr_eq(&dictionary.to_data())
    }

    fn bytes(&self) -> usize {
        let words = self.words.as_ref().map_or(0, |words| 8 * words.len());
        let rows = self.rows.as_ref().map_or(0, arrow::row::Rows::size);
        self.values.get_array_memory_size() + 4 * self.numbers.capacity() + words + rows
    }
}

impl Words {
    fn new() -> Words {
        Words { values: Vec::new(), dense: Vec::new(), low: 0, hashed: None }
    }

    fn number(&mut self, values: &[i64], len: &mut u32, out: &mut Vec<u32>) {
        if values.is_empty() {
            return;
        }
        if self.hashed.is_none() && !self.covers(values) {
            self.hash_all();
        }
        match &mut self.hashed {
            None => {
                for value in values {
                    let place = &mut self.dense[value.wrapping_sub(self.low) as usize];
                    if *place == NONE {
                        *place = *len;
                        *len += 1;
                        self.values.push(*value);
                    }
                    out.push(*place);
                }
            }
            Some(table) => {
                for value in values {
                    let hash = mix(*value as u64);
                    let found = table.find(hash, |(known, _)| known == value);
                    out.push(match found {
                        Some((_, number)) => *number,
                        None => {
                            let number = *len;
                            *len += 1;
                            self.values.push(*value);
                            table.insert_unique(hash, (*value, number), |(known, _)| mix(*known as u64));
                            number
                        }
                    });
                }
            }
        }
    }

    /// Widens the dense table to hold these values, if that is not too wide.
    fn covers(&mut self, values: &[i64]) -> bool {
        let mut least = values[0];
        let mut most = values[0];
        for value in values {
            least = least.min(*value);
            most = most.max(*value);
        }
        if !self.dense.is_empty() {
            let high = self.low.wrapping_add(self.dense.len() as i64 - 1);
            if least >= self.low && most <= high {
                return true;
            }
            least = least.min(self.low);
            most = most.max(high);
        }
        let width = most.abs_diff(least);
        if width >= MOST_DENSE {
            return false;
        }
        // Room on both sides, so that values that come slowly from outside do not move it each time.
        let room = (width / 2 + 64) as i64;
        let (Some(low), Some(high)) = (least.checked_sub(room), most.checked_add(room)) else { return false };
        let mut dense = vec![NONE; (high - low) as usize + 1];
        let shift = self.low.wrapping_sub(low) as usize;
        if !self.dense.is_empty() {
            dense[shift..shift + self.dense.len()].copy_from_slice(&self.dense);
        }
        (self.dense, self.low) = (dense, low);
        true
    }

    fn hash_all(&mut self) {
        let mut table = HashTable::with_capacity(2 * self.values.len());
        for (at, number) in self.dense.iter().enumerate().filter(|(_, number)| **number != NONE) {
            let value = self.low.wrapping_add(at as i64);
            table.insert_unique(mix(value as u64), (value, *number), |(known, _)| mix(*known as u64));
        }
        self.dense = Vec::new();
        self.hashed = Some(table);
    }
}

/// Whether values of a type are words: equal as words exactly where they are equal as values.
fn is_word(data_type: &DataType) -> bool {
    use DataType::{
        Boolean, Date32, Date64, Duration, Float16, Float32, Float64, Int8, Int16, Int32, Int64, Time32, Time64,
        Timestamp, UInt8, UInt16, UInt32, UInt64,
    };
    matches!(
        data_type,
        Boolean
            | Int8
            | Int16
            | Int32
            | Int64
            | UInt8
            | UInt16
            | UInt32
            | UInt64
            | Float16
            | Float32
            | Float64
            | Date32
            | Date64
            | Time32(_)
            | Time64(_)
            | Timestamp(..)
            | Duration(_)
    )
}

/// A float's bits, all NaN alike and zero without a sign.
fn float_word(value: f64) -> i64 {
    let value = if value.is_nan() { f64::NAN } else { value + 0.0 };
    value.to_bits() as i64
}

/// The values of an array as words; where they are integers of 64 bits without a copy.
pub(super) fn to_words(array: &ArrayRef) -> Result<ScalarBuffer<i64>> {
    fn widen<T: ArrowPrimitiveType>(array: &dyn Array, word: impl Fn(T::Native) -> i64) -> Vec<i64> {
        array.as_primitive::<T>().values().iter().map(|value| word(*value)).collect()
    }
    let array: &dyn Array = array;
    let words: Vec<i64> = match array.data_type() {
        DataType::Float64 => widen::<Float64Type>(array, float_word),
        DataType::Float32 => widen::<Float32Type>(array, |value| float_word(value.into())),
        DataType::Float16 => {
            let wide = cast(array, &DataType::Float64).map_err(failed)?;
            widen::<Float64Type>(&wide, float_word)
        }
        DataType::UInt64 => widen::<UInt64Type>(array, |value| value as i64),
        DataType::UInt32 => widen::<UInt32Type>(array, i64::from),
        DataType::Boolean => array.as_boolean().values().iter().map(i64::from).collect(),
        DataType::Int64 => return Ok(array.as_primitive::<Int64Type>().values().clone()),
        DataType::Date32 | DataType::Time32(_) => {
            let days = cast(array, &DataType::Int32).map_err(failed)?;
            widen::<Int32Type>(&days, i64::from)
        }
        _ => return Ok(cast(array, &DataType::Int64).map_err(failed)?.as_primitive::<Int64Type>().values().clone()),
    };
    Ok(words.into())
}

fn from_words(words: &PrimitiveArray<Int64Type>, data_type: &DataType) -> Result<ArrayRef> {
    let float = |word: i64| f64::from_bits(word as u64);
    Ok(match data_type {
        DataType::Float64 => Arc::new(words.unary::<_, Float64Type>(float)),
        DataType::Float32 | DataType::Float16 => {
            cast(&words.unary::<_, Float64Type>(float), data_type).map_err(failed)?
        }
        DataType::UInt64 => Arc::new(words.unary::<_, UInt64Type>(|word| word as u64)),
        DataType::Boolean => {
            let set = words.iter().map(|word| word.map(|word| word != 0));
            Arc::new(set.collect::<arrow::array::BooleanArray>())
        }
        DataType::Date32 | DataType::Time32(_) => {
            let narrow = cast(words, &DataType::Int32).map_err(failed)?;
            cast(&narrow, data_type).map_err(failed)?
        }
        _ => cast(words, data_type).map_err(failed)?,
    })
}

/// Some rows of an array.
pub(super) fn take_rows(array: &ArrayRef, rows: &[u32]) -> Result<ArrayRef> {
    let rows = arrow::array::UInt32Array::from(rows.to_vec());
    take(array, &rows, None).map_err(failed)
}

pub(super) fn failed(error: arrow::error::ArrowError) -> Error {
    Error::with_source(ErrorKind::Data, "group_by", error)
}
