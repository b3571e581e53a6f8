//! Columns from fields: one loop per type over the places of all fields of a column.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::types::{
    ArrowPrimitiveType, Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow::array::{Array, ArrayRef, BinaryArray, BooleanArray, PrimitiveArray, StringArray};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, TimeUnit};

use super::instant;
use super::number;
use super::words::Words;
use crate::error::{Error, ErrorKind, Result};

/// What a column of text is to become.
#[derive(Clone, Debug)]
pub(super) struct Parser {
    /// Its type.
    pub data_type: DataType,
    /// Whether a field of no letters is null.
    pub empty_is_null: bool,
    /// Other fields that are.
    pub markers: Markers,
    /// How dates and times are written.
    pub format: Option<String>,
    /// The quote.
    pub quote: Option<u8>,
    /// Whether bytes that are no UTF-8 are replaced.
    pub lossy: bool,
}

/// Fields of one letter or more that are null.
#[derive(Clone, Debug, Default)]
pub(super) struct Markers {
    texts: Vec<Vec<u8>>,
    /// A bit for each first letter modulo 64 and one for each length.
    first: u64,
    lengths: u64,
}

impl Markers {
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a String>) -> Markers {
        let mut markers = Markers::default();
        for text in texts {
            if let Some(first) = text.as_bytes().first() {
                markers.first |= 1 << (first % 64);
                markers.lengths |= 1 << text.len().min(63);
                markers.texts.push(text.clone().into_bytes());
            }
        }
        markers
    }

    /// Whether a field is one.
    #[inline(always)]
    pub fn contain(&self, field: &[u8]) -> bool {
        let Some(first) = field.first() else { return false };
        let may = (self.first >> (first % 64)) & (self.lengths >> field.len().min(63)) & 1;
        may != 0 && self.texts.iter().any(|text| text == field)
    }

    fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }
}

/// The fields of a column.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    /// The text in which they stand; at least 16 bytes can be read behind each.
    pub text: &'a [u8],
    /// Where they are: missing fields end before they start.
    pub spans: &'a [(u32, u32)],
    /// Whether there may be quotes inside quoted fields.
    pub doubled: bool,
}

/// The first field of a column that cannot be what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadField {
    /// Its place among the spans.
    pub row: usize,
    pub problem: Problem,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// Not of the type.
    Type,
    /// A byte that is not UTF-8.
    Utf8(u8),
    /// Text behind the closing quote.
    Quote,
}

/// A field as it is written, without quotes; nothing if it is null.
enum Field<'a> {
    Null,
    Text(Cow<'a, [u8]>),
}

impl Parser {
    /// Whether fields can be read as the type at all.
    ///
    /// # Errors
    /// Of kind `Plan`.
    pub fn check(name: &str, data_type: &DataType) -> Result<()> {
        let text = arrow::array::new_empty_array(&DataType::Utf8);
        let known = match data_type {
            DataType::Timestamp(_, Some(zone)) => zone.parse::<Tz>().is_ok(),
            DataType::Null => false,
            other => !other.is_nested() && cast_with_options(&text, other, &CastOptions::default()).is_ok(),
        };
        if known {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Plan, format!("column `{name}`: a CSV file cannot hold a {data_type}")))
    }

    /// The column of some fields.
    pub fn parse(&self, fields: Fields<'_>) -> Result<ArrayRef, BadField> {
        match &self.data_type {
            DataType::Int64 => self.integers::<Int64Type>(fields, Some),
            DataType::Int32 => self.integers::<Int32Type>(fields, |v| v.try_into().ok()),
            DataType::Int16 => self.integers::<Int16Type>(fields, |v| v.try_into().ok()),
            DataType::Int8 => self.integers::<Int8Type>(fields, |v| v.try_into().ok()),
            DataType::UInt64 => self.integers::<UInt64Type>(fields, |v| v.try_into().ok()),
            DataType::UInt32 => self.integers::<UInt32Type>(fields, |v| v.try_into().ok()),
            DataType::UInt16 => self.integers::<UInt16Type>(fields, |v| v.try_into().ok()),
            DataType::UInt8 => self.integers::<UInt8Type>(fields, |v| v.try_into().ok()),
            DataType::Float64 => self.numbers::<Float64Type>(fields, number::float, number::any_float),
            // Its own rounding: through a double it would be rounded twice.
            DataType::Float32 => {
                self.numbers::<Float32Type>(fields, |_, _, _| None, |text| lexical_core::parse(text).ok())
            }
            DataType::Boolean => self.booleans(fields),
            DataType::Date32 => match &self.format {
                Some(format) => {
                    self.numbers::<Date32Type>(fields, |_, _, _| None, |text| instant::date_as(text, format))
                }
                None => {
                    let usual = |text: &[u8], start: usize, end: usize| instant::date(text.get(start..end)?);
                    self.numbers::<Date32Type>(fields, usual, instant::any_date)
                }
            },
            DataType::Timestamp(TimeUnit::Second, zone) => self.instants::<TimestampSecondType>(fields, zone),
            DataType::Timestamp(TimeUnit::Millisecond, zone) => self.instants::<TimestampMillisecondType>(fields, zone),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => self.instants::<TimestampMicrosecondType>(fields, zone),
            DataType::Timestamp(TimeUnit::Nanosecond, zone) => self.instants::<TimestampNanosecondType>(fields, zone),
            DataType::Utf8 => Ok(Arc::new(self.texts(fields)?)),
            other => self.by_cast(fields, other),
        }
    }

    fn integers<T: ArrowPrimitiveType>(
        &self,
        fields: Fields<'_>,
        narrow: impl Fn(i64) -> Option<T::Native>,
    ) -> Result<ArrayRef, BadField>
    where
        T::Native: TryFrom<i128>,
    {
        let fast = |text: &[u8], start: usize, end: usize| number::integer(text, start, end).and_then(&narrow);
        self.numbers::<T>(fields, fast, |text| number::any_integer(text)?.try_into().ok())
    }

    fn instants<T: arrow::array::types::ArrowTimestampType>(
        &self,
        fields: Fields<'_>,
        zone: &Option<Arc<str>>,
    ) -> Result<ArrayRef, BadField> {
        let zone: Option<Tz> = zone.as_ref().and_then(|zone| zone.parse().ok());
        let per_second = instant::per_second(T::UNIT);
        match &self.format {
            Some(format) => {
                let slow = |text: &[u8]| instant::timestamp_as(text, format, T::UNIT, zone);
                self.numbers::<T>(fields, |_, _, _| None, slow)
            }
            None => {
                let local = zone.is_none();
                let usual = |text: &[u8], start: usize, end: usize| {
                    text.get(start..end).filter(|_| local).and_then(|text| instant::timestamp(text, per_second))
                };
                self.numbers::<T>(fields, usual, |text| instant::any_timestamp(text, T::UNIT, zone))
            }
        }
    }

    /// Values of a fixed width. `fast` sees fields as they are; `slow` sees what it did not know, without quotes and spaces.
    fn numbers<T: ArrowPrimitiveType>(
        &self,
        fields: Fields<'_>,
        fast: impl Fn(&[u8], usize, usize) -> Option<T::Native>,
        slow: impl Fn(&[u8]) -> Option<T::Native>,
    ) -> Result<ArrayRef, BadField> {
        let Fields { text, spans, .. } = fields;
        let mut nulls = Vec::new();
        let mut bad: Option<BadField> = None;
        let mut rarely = |row: usize| match self.field(fields, row) {
            Ok(Field::Null) => {
                nulls.push(row);
                T::Native::default()
            }
            Ok(Field::Text(field)) => slow(field.trim_ascii()).unwrap_or_else(|| {
                // Of no letters but quotes.
                match field.is_empty() && self.empty_is_null {
                    true => nulls.push(row),
                    false => _ = bad.get_or_insert(BadField { row, problem: Problem::Type }),
                }
                T::Native::default()
            }),
            Err(problem) => {
                bad.get_or_insert(BadField { row, problem });
                T::Native::default()
            }
        };
        let values: Vec<T::Native> = if self.markers.is_empty() {
            let value = |(row, span): (usize, &(u32, u32))| match fast(text, span.0 as usize, span.1 as usize) {
                Some(value) => value,
                None => rarely(row),
            };
            spans.iter().enumerate().map(value).collect()
        } else {
            let value = |(row, span): (usize, &(u32, u32))| {
                let (start, end) = (span.0 as usize, span.1 as usize);
                let marked = text.get(start..end).is_some_and(|field| self.markers.contain(field));
                let value = if marked { None } else { fast(text, start, end) };
                value.unwrap_or_else(|| rarely(row))
            };
            spans.iter().enumerate().map(value).collect()
        };
        if let Some(bad) = bad {
            return Err(bad);
        }
        let array = PrimitiveArray::<T>::new(values.into(), null_buffer(spans.len(), &nulls));
        Ok(Arc::new(array.with_data_type(self.data_type.clone())))
    }

    fn booleans(&self, fields: Fields<'_>) -> Result<ArrayRef, BadField> {
        let rows = fields.spans.len();
        let mut nulls = Vec::new();
        let mut bad = None;
        let values = BooleanBuffer::collect_bool(rows, |row| {
            let problem = match self.field(fields, row) {
                Ok(Field::Null) => {
                    nulls.push(row);
                    return false;
                }
                Ok(Field::Text(field)) => match boolean(field.trim_ascii()) {
                    Some(value) => return value,
                    None if field.is_empty() && self.empty_is_null => {
                        nulls.push(row);
                        return false;
                    }
                    None => Problem::Type,
                },
                Err(problem) => problem,
            };
            bad.get_or_insert(BadField { row, problem });
            false
        });
        match bad {
            Some(bad) => Err(bad),
            None => Ok(Arc::new(BooleanArray::new(values, null_buffer(rows, &nulls)))),
        }
    }

    fn texts(&self, fields: Fields<'_>) -> Result<StringArray, BadField> {
        let Fields { text, spans, doubled } = fields;
        let raw: usize = spans.iter().map(|(start, end)| end.saturating_sub(*start) as usize).sum();
        let mut bytes = vec![0_u8; raw + SHORT];
        let mut offsets: Vec<i32> = Vec::with_capacity(spans.len() + 1);
        offsets.push(0);
        let mut nulls = Vec::new();
        let mut length = 0_usize;
        for (row, (start, end)) in spans.iter().enumerate() {
            let (start, end) = (*start as usize, *end as usize);
            if let Some((start, end)) = self.plain(text, start, end, doubled) {
                append(&mut bytes, &mut length, text, start, end);
            } else {
                match self.field(fields, row).map_err(|problem| BadField { row, problem })? {
                    Field::Null => nulls.push(row),
                    Field::Text(field) => {
                        bytes[length..length + field.len()].copy_from_slice(&field);
                        length += field.len();
                    }
                }
            }
            offsets.push(length as i32);
        }
        bytes.truncate(length);
        if length > i32::MAX as usize {
            return Err(BadField { row: spans.len().saturating_sub(1), problem: Problem::Type });
        }
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let validity = null_buffer(spans.len(), &nulls);
        match StringArray::try_new(offsets, Buffer::from_vec(bytes), validity) {
            Ok(array) => Ok(array),
            Err(_) => self.texts_one_by_one(fields),
        }
    }

    /// Where the letters of a field are, if it is a text as it stands there.
    #[inline(always)]
    fn plain(&self, text: &[u8], start: usize, end: usize, doubled: bool) -> Option<(usize, usize)> {
        if start >= end {
            return None;
        }
        let inner = if Some(text[start]) == self.quote {
            if doubled || end - start < 2 || text[end - 1] != text[start] {
                return None;
            }
            (start + 1, end - 1)
        } else {
            (start, end)
        };
        (!self.markers.contain(&text[inner.0..inner.1])).then_some(inner)
    }

    /// A column of text as codes; nothing where there are too many different ones, or they are no UTF-8.
    pub fn parse_words(&self, fields: Fields<'_>, words: &mut Words) -> Result<Option<ArrayRef>, BadField> {
        let Fields { text, spans, doubled } = fields;
        let mut nulls = Vec::new();
        let mut codes: Vec<i32> = Vec::with_capacity(spans.len());
        for (row, (start, end)) in spans.iter().enumerate() {
            codes.push(match self.plain(text, *start as usize, *end as usize, doubled) {
                Some((start, end)) => words.code_at(text, start, end),
                None => match self.field(fields, row).map_err(|problem| BadField { row, problem })? {
                    Field::Text(field) => words.code(&field),
                    Field::Null => {
                        nulls.push(row);
                        0
                    }
                },
            });
        }
        if words.over {
            return Ok(None);
        }
        Ok(words.column(codes, null_buffer(spans.len(), &nulls)))
    }

    /// Fields of which one at least is no UTF-8.
    fn texts_one_by_one(&self, fields: Fields<'_>) -> Result<StringArray, BadField> {
        let mut texts: Vec<Option<String>> = Vec::with_capacity(fields.spans.len());
        for row in 0..fields.spans.len() {
            texts.push(match self.field(fields, row).map_err(|problem| BadField { row, problem })? {
                Field::Null => None,
                Field::Text(field) if self.lossy => Some(String::from_utf8_lossy(&field).into_owned()),
                Field::Text(field) => match std::str::from_utf8(&field) {
                    Ok(text) => Some(text.to_string()),
                    Err(error) => {
                        let byte = field.get(error.valid_up_to()).copied().unwrap_or_default();
                        return Err(BadField { row, problem: Problem::Utf8(byte) });
                    }
                },
            });
        }
        Ok(texts.into())
    }

    /// A type that the library makes of text.
    fn by_cast(&self, fields: Fields<'_>, data_type: &DataType) -> Result<ArrayRef, BadField> {
        let text_like = matches!(data_type, DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(_, _));
        let texts = self.texts(fields)?;
        let options = CastOptions { safe: true, ..CastOptions::default() };
        let cast = match data_type {
            // As they are written.
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
                let bytes: BinaryArray = texts.iter().map(|text| text.and_then(from_hex)).collect();
                cast_with_options(&bytes, data_type, &options)
            }
            _ => cast_with_options(&texts, data_type, &options),
        };
        let cast = cast.map_err(|_| BadField { row: 0, problem: Problem::Type })?;
        if !text_like && cast.null_count() != texts.null_count() {
            let wrong = (0..texts.len()).find(|row| {
                let quoted_empty = self.empty_is_null && texts.value(*row).is_empty();
                texts.is_valid(*row) && cast.is_null(*row) && !quoted_empty
            });
            if let Some(row) = wrong {
                return Err(BadField { row, problem: Problem::Type });
            }
        }
        Ok(cast)
    }

    /// A field, whatever it is.
    fn field<'a>(&self, fields: Fields<'a>, row: usize) -> Result<Field<'a>, Problem> {
        let (start, end) = fields.spans[row];
        let Some(raw) = fields.text.get(start as usize..end as usize) else { return Ok(Field::Null) };
        if raw.is_empty() {
            return Ok(if self.empty_is_null { Field::Null } else { Field::Text(Cow::Borrowed(raw)) });
        }
        let field = match self.quote {
            Some(quote) if raw[0] == quote => unquoted(raw, quote).ok_or(Problem::Quote)?,
            Some(_) | None => Cow::Borrowed(raw),
        };
        Ok(if self.markers.contain(&field) { Field::Null } else { Field::Text(field) })
    }
}

/// The bytes that are written with two hexadecimal digits each; nothing where there is anything else.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some((digit(*pair.first()?)? * 16 + digit(*pair.get(1)?)?) as u8)).collect()
}

/// Fields that are copied as a block of fixed size.
const SHORT: usize = 16;

/// Adds a part of the text to a buffer that has room for it, of which `length` bytes are used.
#[inline(always)]
fn append(bytes: &mut [u8], length: &mut usize, text: &[u8], start: usize, end: usize) {
    let taken = end - start;
    let room = bytes.get_mut(*length..).and_then(|room| room.first_chunk_mut::<SHORT>());
    let block = text.get(start..).and_then(|text| text.first_chunk::<SHORT>());
    match (room, block) {
        (Some(room), Some(block)) if taken <= SHORT => *room = *block,
        _ => bytes[*length..*length + taken].copy_from_slice(&text[start..end]),
    }
    *length += taken;
}

/// What stands between the quotes; nothing where a quote is in a wrong place.
pub(super) fn unquoted(raw: &[u8], quote: u8) -> Option<Cow<'_, [u8]>> {
    let inner = raw.get(1..raw.len().checked_sub(1)?).filter(|_| raw[raw.len() - 1] == quote)?;
    if memchr::memchr(quote, inner).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    let mut text = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = memchr::memchr(quote, rest) {
        if rest.get(at + 1) != Some(&quote) {
            return None;
        }
        text.extend_from_slice(&rest[..=at]);
        rest = &rest[at + 2..];
    }
    text.extend_from_slice(rest);
    Some(Cow::Owned(text))
}

/// A truth value.
pub(super) fn boolean(text: &[u8]) -> Option<bool> {
    if text.eq_ignore_ascii_case(b"true") {
        return Some(true);
    }
    text.eq_ignore_ascii_case(b"false").then_some(false)
}

/// Which rows are null.
fn null_buffer(rows: usize, nulls: &[usize]) -> Option<NullBuffer> {
    if nulls.is_empty() {
        return None;
    }
    let mut bits = arrow::array::BooleanBufferBuilder::new(rows);
    bits.append_n(rows, true);
    for row in nulls {
        bits.set_bit(*row, false);
    }
    Some(NullBuffer::new(bits.finish()))
}
