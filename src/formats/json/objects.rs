//! Objects as columns: which key is which column, and what keys must not be there.
//!
//! The library looks each key up among the wanted columns, and passes over all others or none. Here a key may be a column that is not
//! wanted, which costs nothing more; one that is no column, or that an object has twice, is an error, as its value would be lost. So is
//! a fraction where whole numbers are wanted, which the library cuts off, and a number that the library makes infinite.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray, BooleanBufferBuilder, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, FieldRef, Fields, Float16Type, Float32Type, Float64Type, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use arrow::json::reader::{ArrayDecoder, Decoder, DecoderContext, DecoderFactory, Tape, TapeElement};
use foldhash::fast::FixedState;

use super::scan::plain;

/// What objects are made into.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// The columns that come out.
    pub wanted: SchemaRef,
    /// All columns that there are.
    pub all: SchemaRef,
    /// Whether other keys are passed over.
    pub ignore_unknown: bool,
}

impl Shape {
    /// A decoder of so many rows at a time.
    pub fn decoder(&self, rows: usize) -> Result<Decoder, ArrowError> {
        let root = DataType::Struct(self.wanted.fields().clone());
        let factory = Factory { root, all: self.all.clone(), ignore_unknown: self.ignore_unknown };
        let builder = ReaderBuilder::new(self.wanted.clone()).with_batch_size(rows).with_coerce_primitive(true);
        builder.with_decoder_factory(Arc::new(factory)).build_decoder()
    }
}

/// A key whose value would be lost.
#[derive(Debug)]
pub(super) struct LostKey {
    /// The key, behind those of the objects that it is in.
    pub path: Vec<String>,
    /// Whether the object has it a second time; else it is no column.
    pub twice: bool,
}

impl fmt::Display for LostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.twice { "is there twice" } else { "is no column" };
        write!(f, "key `{}` {what}", self.path.join("."))
    }
}

impl std::error::Error for LostKey {}

/// The lost key that an error is about.
pub(super) fn lost_key(error: &ArrowError) -> Option<&LostKey> {
    match error {
        ArrowError::ExternalError(inner) => inner.downcast_ref(),
        _ => None,
    }
}

/// A value of a line that is not what its column is of.
#[derive(Debug)]
pub(super) struct Misfit {
    pub column: String,
    pub data_type: DataType,
    /// What is said of it.
    pub error: ArrowError,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column `{}`: {}", self.column, plain(&self.error))
    }
}

impl std::error::Error for Misfit {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// The misfit that an error is about.
pub(super) fn misfit(error: &ArrowError) -> Option<&Misfit> {
    match error {
        ArrowError::ExternalError(inner) => inner.downcast_ref(),
        _ => None,
    }
}

fn lost(key: &str, twice: bool) -> ArrowError {
    ArrowError::ExternalError(Box::new(LostKey { path: vec![key.to_string()], twice }))
}

/// An error of what lies in a field.
fn inside(error: ArrowError, field: &FieldRef) -> ArrowError {
    match error {
        ArrowError::ExternalError(inner) => match inner.downcast::<LostKey>() {
            Ok(mut key) => {
                key.path.insert(0, field.name().clone());
                ArrowError::ExternalError(key)
            }
            Err(inner) => ArrowError::ExternalError(inner),
        },
        ArrowError::JsonError(text) => {
            ArrowError::JsonError(format!("whilst decoding field '{}': {text}", field.name()))
        }
        other => other,
    }
}

/// An error of the values of a column.
fn of_column(error: ArrowError, field: &FieldRef) -> ArrowError {
    let (column, data_type) = (field.name().clone(), field.data_type().clone());
    ArrowError::ExternalError(Box::new(Misfit { column, data_type, error }))
}

/// Makes the decoders of objects, at any depth.
#[derive(Debug)]
struct Factory {
    root: DataType,
    all: SchemaRef,
    ignore_unknown: bool,
}

impl DecoderFactory for Factory {
    fn make_default_decoder(
        &self,
        context: &DecoderContext,
        field: &FieldRef,
        nullable: bool,
    ) -> Result<Option<Box<dyn ArrayDecoder>>, ArrowError> {
        let DataType::Struct(fields) = field.data_type() else {
            let whole = field.data_type().is_integer() || field.data_type().is_temporal();
            let inner = || context.make_builtin_decoder(field, nullable);
            return Ok(match field.data_type() {
                _ if whole => Some(Box::new(Whole(inner()?))),
                of if of.is_floating() => Some(Box::new(Finite(inner()?))),
                _ => None,
            });
        };
        // No type is within itself, so what is of the type of the root is the root.
        let root = *field.data_type() == self.root;
        let all = if root { self.all.fields() } else { fields };
        let decoders = fields.iter().map(|field| context.make_decoder(field, field.is_nullable() || nullable));
        let mut keys = Keys::default();
        let slots: HashMap<&str, usize, FixedState> =
            fields.iter().enumerate().map(|(slot, field)| (field.name().as_str(), slot)).collect();
        for field in all {
            let slot = slots.get(field.name().as_str()).copied().unwrap_or(Keys::UNWANTED);
            keys.places.entry(field.name().clone()).or_insert(keys.names.len());
            keys.names.push((field.name().clone(), slot));
        }
        keys.next = vec![0; keys.names.len() + 1];
        Ok(Some(Box::new(Objects {
            fields: fields.clone(),
            decoders: decoders.collect::<Result<_, _>>()?,
            nullable,
            root,
            keys,
            ignore_unknown: self.ignore_unknown,
            places: Vec::new(),
        })))
    }
}

/// The keys of objects of one kind.
#[derive(Debug, Default)]
struct Keys {
    /// The names with the number of the wanted column.
    names: Vec<(String, usize)>,
    places: HashMap<String, usize, FixedState>,
    /// Which name came last time behind the one before; the first name comes behind none.
    next: Vec<usize>,
}

impl Keys {
    /// The number of a column that is not wanted.
    const UNWANTED: usize = usize::MAX;

    /// The place of a key that comes behind another one, both counted from 1. Objects mostly have their keys in one order, so a
    /// look at one name is enough.
    #[inline]
    fn find(&mut self, before: usize, key: &str) -> Option<usize> {
        let guess = self.next[before];
        if self.names.get(guess).is_some_and(|(name, _)| name == key) {
            return Some(guess + 1);
        }
        let found = *self.places.get(key)?;
        self.next[before] = found;
        Some(found + 1)
    }
}

/// Makes whole numbers, of which the library would cut off a fraction.
struct Whole(Box<dyn ArrayDecoder>);

/// Below this a float stands for one whole number only.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl ArrayDecoder for Whole {
    fn decode(&mut self, tape: &Tape<'_>, places: &[u32]) -> Result<ArrayRef, ArrowError> {
        for place in places {
            let TapeElement::Number(number) = tape.get(*place) else { continue };
            let text = tape.get_string(number);
            if text.bytes().all(|letter| letter.is_ascii_digit() || letter == b'-') {
                continue;
            }
            let whole = text.parse::<f64>().is_ok_and(|value| value.fract() == 0.0 && value.abs() < EXACT);
            if !whole {
                return Err(ArrowError::JsonError(format!("{text} is no whole number")));
            }
        }
        self.0.decode(tape, places)
    }
}

/// Makes floats, which the library makes infinite where they are out of range.
struct Finite(Box<dyn ArrayDecoder>);

impl ArrayDecoder for Finite {
    fn decode(&mut self, tape: &Tape<'_>, places: &[u32]) -> Result<ArrayRef, ArrowError> {
        let array = self.0.decode(tape, places)?;
        let infinite = match array.data_type() {
            DataType::Float16 => infinite::<Float16Type>(&array),
            DataType::Float32 => infinite::<Float32Type>(&array),
            _ => infinite::<Float64Type>(&array),
        };
        for row in infinite {
            let text = match tape.get(places[row]) {
                TapeElement::Number(text) | TapeElement::String(text) => tape.get_string(text),
                _ => continue,
            };
            // A text may say so.
            if text.bytes().any(|letter| letter.is_ascii_digit()) {
                return Err(ArrowError::JsonError(format!("{text} is out of range")));
            }
        }
        Ok(array)
    }
}

/// The rows of infinite values.
fn infinite<T: ArrowPrimitiveType<Native: Into<f64>>>(array: &ArrayRef) -> Vec<usize> {
    let values = array.as_primitive::<T>().values().iter().enumerate();
    values.filter(|(_, value)| Into::<f64>::into(**value).is_infinite()).map(|(row, _)| row).collect()
}

/// Makes columns of objects.
struct Objects {
    fields: Fields,
    decoders: Vec<Box<dyn ArrayDecoder>>,
    nullable: bool,
    /// Whether they are lines.
    root: bool,
    keys: Keys,
    ignore_unknown: bool,
    /// Of each wanted column, of each row, where its value is; 0 stands for none.
    places: Vec<u32>,
}

impl Objects {
    /// Notes where the values of one object are.
    fn note(&mut self, tape: &Tape<'_>, (row, rows): (usize, usize), from: u32, end: u32) -> Result<(), ArrowError> {
        let (mut at, mut before) = (from, 0);
        while at < end {
            let TapeElement::String(key) = tape.get(at) else { return Err(tape.error(at, "field name")) };
            let key = tape.get_string(key);
            match self.keys.find(before, key) {
                Some(found) => {
                    before = found;
                    let slot = self.keys.names[found - 1].1;
                    if slot != Keys::UNWANTED && std::mem::replace(&mut self.places[slot * rows + row], at + 1) != 0 {
                        return Err(lost(key, true));
                    }
                }
                None if self.ignore_unknown => {}
                None => return Err(lost(key, false)),
            }
            at = tape.next(at + 1, "field value")?;
        }
        Ok(())
    }
}

impl ArrayDecoder for Objects {
    fn decode(&mut self, tape: &Tape<'_>, starts: &[u32]) -> Result<ArrayRef, ArrowError> {
        let rows = starts.len();
        self.places.clear();
        self.places.resize(self.fields.len() * rows, 0);
        let mut valid: Option<BooleanBufferBuilder> = None;
        for (row, start) in starts.iter().enumerate() {
            match tape.get(*start) {
                TapeElement::StartObject(end) => self.note(tape, (row, rows), start + 1, end)?,
                TapeElement::Null if self.nullable => {
                    let bits = valid.get_or_insert_with(|| {
                        let mut bits = BooleanBufferBuilder::new(rows);
                        bits.append_n(rows, true);
                        bits
                    });
                    bits.set_bit(row, false);
                }
                _ => return Err(tape.error(*start, "{")),
            }
        }
        let mut columns = Vec::with_capacity(self.fields.len());
        for (slot, (decoder, field)) in self.decoders.iter_mut().zip(&self.fields).enumerate() {
            let places = &self.places[slot * rows..(slot + 1) * rows];
            columns.push(decoder.decode(tape, places).map_err(|error| {
                match self.root && lost_key(&error).is_none() {
                    true => of_column(error, field),
                    false => inside(error, field),
                }
            })?);
        }
        let nulls = valid.map(|mut bits| NullBuffer::new(bits.finish()));
        Ok(Arc::new(StructArray::try_new_with_length(self.fields.clone(), columns, nulls, rows)?))
    }
}
