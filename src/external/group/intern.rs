//! Numbers for the distinct values of one column.
//!
//! A value gets the next number when it is first seen. Values of up to eight bytes are numbered through a dense table while they
//! lie close together, else through a hash table; text and bytes through a hash table over an arena; everything else by its
//! row encoding. Of a dictionary each value is looked up once, when its first row comes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, PrimitiveArray};
use arrow::compute::{cast, take};
use arrow::datatypes::{
    ArrowDictionaryKeyType, ArrowPrimitiveType, DataType, Float32Type, Float64Type, Int32Type, Int64Type, UInt32Type,
    UInt64Type,
};
use arrow::row::{OwnedRow, RowConverter, SortField};
use hashbrown::HashTable;

use super::bytes::BytesTable;
use super::{NONE, mix};
use crate::error::{Error, ErrorKind, Result};

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
    /// The last dictionary, and the numbers of its values as far as they were seen.
    dictionary: Option<(ArrayRef, Vec<u32>)>,
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
        let kind = match data_type {
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
        Ok(Interner { data_type: data_type.clone(), kind, null: None, keep_nulls, len: 0, dictionary: None })
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
        kind + self.dictionary.as_ref().map_or(0, |(_, map)| 4 * map.capacity())
    }

    /// The number of each value of an array, in place of what `out` held.
    ///
    /// # Errors
    /// Of kind `Internal`, where the array is of another type.
    pub fn number(&mut self, array: &ArrayRef, out: &mut Vec<u32>) -> Result<()> {
        out.clear();
        match array.data_type() {
            DataType::Dictionary(key, value)
                if **key == DataType::Int32 && !matches!(self.data_type, DataType::Dictionary(..)) =>
            {
                let codes = array.as_dictionary::<Int32Type>();
                if **value == self.data_type {
                    self.number_dictionary(codes, out)
                } else {
                    let values = cast(codes.values(), &self.data_type).map_err(failed)?;
                    let codes = codes.with_values(values);
                    self.number_dictionary(&codes, out)
                }
            }
            found if *found == self.data_type => self.number_plain(array, out),
            found => Err(Error::internal(format!("a {found} where keys are of type {}", self.data_type))),
        }
    }

    fn number_dictionary<K: ArrowDictionaryKeyType>(
        &mut self,
        codes: &DictionaryArray<K>,
        out: &mut Vec<u32>,
    ) -> Result<()> {
        use arrow::datatypes::ArrowNativeType;
        /// Not looked up yet; [`NONE`] is what a dropped null has.
        const UNSEEN: u32 = u32::MAX - 1;
        let values = codes.values();
        let mut map = match self.dictionary.take() {
            Some((known, map)) if Arc::ptr_eq(&known, values) || same(&known, values) => map,
            _ => vec![UNSEEN; values.len()],
        };
        let null = if codes.keys().null_count() > 0 { self.null_number() } else { NONE };
        let nulls = codes.keys().nulls();
        let mut one = Vec::with_capacity(1);
        out.reserve(codes.len());
        for (row, code) in codes.keys().values().iter().enumerate() {
            if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                out.push(null);
                continue;
            }
            let code = code.as_usize();
            let mut number = map[code];
            if number == UNSEEN {
                self.number_plain(&values.slice(code, 1), &mut one)?;
                number = one.pop().unwrap_or(NONE);
                map[code] = number;
            }
            out.push(number);
        }
        self.dictionary = Some((values.clone(), map));
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
                let mut each = |row: usize, value: &[u8]| {
                    let is_null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
                    out.push(if is_null { null } else { table.number(value, &mut self.len) });
                };
                macro_rules! values {
                    ($array:expr, $value:ident => $bytes:expr) => {{
                        let array = $array;
                        for row in 0..array.len() {
                            let $value = array.value(row);
                            each(row, $bytes);
                        }
                    }};
                }
                match array.data_type() {
                    DataType::Utf8 => values!(array.as_string::<i32>(), value => value.as_bytes()),
                    DataType::LargeUtf8 => values!(array.as_string::<i64>(), value => value.as_bytes()),
                    DataType::Utf8View => values!(array.as_string_view(), value => value.as_bytes()),
                    DataType::Binary => values!(array.as_binary::<i32>(), value => value),
                    DataType::LargeBinary => values!(array.as_binary::<i64>(), value => value),
                    _ => values!(array.as_binary_view(), value => value),
                }
            }
            Kind::Rows { converter, table } => {
                let rows = converter.convert_columns(std::slice::from_ref(array)).map_err(failed)?;
                for (at, row) in rows.iter().enumerate() {
                    let is_null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(at));
                    out.push(if is_null { null } else { table.number(row.data(), &mut self.len) });
                }
            }
        }
        Ok(())
    }

    /// The values of some numbers, as an array of the column's type.
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

fn null_row(converter: &RowConverter, data_type: &DataType) -> Result<OwnedRow> {
    let null = arrow::array::new_null_array(data_type, 1);
    let rows = converter.convert_columns(&[null]).map_err(failed)?;
    Ok(rows.row(0).owned())
}

/// Whether two dictionaries are the same memory.
fn same(a: &ArrayRef, b: &ArrayRef) -> bool {
    a.len() == b.len() && a.to_data().ptr_eq(&b.to_data())
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
pub(super) fn to_words(array: &ArrayRef) -> Result<arrow::buffer::ScalarBuffer<i64>> {
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
