//! Values in expressions.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, DurationMicrosecondArray, Float64Array, Int64Array, StringArray,
    Time64MicrosecondArray, TimestampMicrosecondArray, TimestampNanosecondArray, UInt64Array, new_null_array,
};
use arrow::compute::{CastOptions, can_cast_types, cast, cast_with_options};
use arrow::datatypes::{DataType, Date32Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike};

use super::Expr;

/// A value in an expression.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing, of the type that is needed.
    Null,
    /// True or false.
    Boolean(bool),
    /// An integer: of the type of the other operand where it fits.
    Int(i64),
    /// A float.
    Float(f64),
    /// Text.
    Text(Arc<str>),
    /// A value of an Arrow type: an array of length 1.
    Typed(ArrayRef),
}

impl Value {
    /// The type it has by itself.
    pub fn data_type(&self) -> DataType {
        match self {
            Value::Boolean(_) => DataType::Boolean,
            Value::Int(_) => DataType::Int64,
            Value::Float(_) => DataType::Float64,
            Value::Text(_) => DataType::Utf8,
            Value::Null => DataType::Null,
            Value::Typed(array) => array.data_type().clone(),
        }
    }

    /// Whether it is no value.
    pub fn is_null(&self) -> bool {
        match self {
            Value::Null => true,
            Value::Typed(array) => array.len() != 1 || array.is_null(0),
            _ => false,
        }
    }

    /// As an array of length 1, of the type it has by itself.
    pub fn to_array(&self) -> ArrayRef {
        match self {
            Value::Boolean(value) => Arc::new(BooleanArray::from(vec![*value])),
            Value::Int(value) => Arc::new(Int64Array::from(vec![*value])),
            Value::Float(value) => Arc::new(Float64Array::from(vec![*value])),
            Value::Text(value) => Arc::new(StringArray::from(vec![&**value])),
            Value::Null => new_null_array(&DataType::Null, 1),
            Value::Typed(array) => array.clone(),
        }
    }

    /// As an array of length 1 of a type; nothing where it does not fit.
    pub(super) fn to_array_of(&self, to: &DataType) -> Option<ArrayRef> {
        if self.is_null() {
            return Some(new_null_array(to, 1));
        }
        let decimal = matches!(
            to,
            DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..)
        );
        let array = match self {
            // By its shortest text, so that 0.05 is 0.05.
            Value::Float(value) if decimal => Arc::new(StringArray::from(vec![value.to_string()])),
            _ => self.to_array(),
        };
        if array.data_type() == to {
            return Some(array);
        }
        if !can_cast_types(array.data_type(), to) {
            return None;
        }
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        cast_with_options(&array, to, &strict).ok()
    }

    /// The value of the first row of an array.
    pub fn from_array(array: &ArrayRef) -> Value {
        Value::Typed(array.slice(0, array.len().min(1)))
    }

    /// The integer that it is, whatever its type.
    pub(super) fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(value) => Some(*value),
            Value::Typed(array) if array.data_type().is_integer() && !self.is_null() => {
                let array = self.to_array_of(&DataType::Int64)?;
                array.as_any().downcast_ref::<Int64Array>().map(|array| array.value(0))
            }
            _ => None,
        }
    }

    /// The truth value that it is, whatever its type.
    pub(super) fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Boolean(value) => Some(*value),
            Value::Typed(array) if !self.is_null() => {
                array.as_any().downcast_ref::<BooleanArray>().map(|array| array.value(0))
            }
            _ => None,
        }
    }
}

/// By bits: NaN equals itself, and 0.0 is not -0.0, so that equal expressions may take each other's place.
impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Boolean(left), Value::Boolean(right)) => left == right,
            (Value::Int(left), Value::Int(right)) => left == right,
            (Value::Float(left), Value::Float(right)) => left.to_bits() == right.to_bits(),
            (Value::Text(left), Value::Text(right)) => left == right,
            // Arrow compares floats in arrays by their bits.
            (Value::Typed(left), Value::Typed(right)) => left.to_data() == right.to_data(),
            _ => false,
        }
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Value::Null => {}
            Value::Boolean(value) => value.hash(state),
            Value::Int(value) => value.hash(state),
            Value::Float(value) => value.to_bits().hash(state),
            Value::Text(value) => value.hash(state),
            Value::Typed(array) => {
                array.data_type().hash(state);
                shown(array.as_ref(), 0).hash(state);
            }
        }
    }
}

/// Different values are different texts: those of an Arrow type stand behind it.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Boolean(value) => write!(f, "{value}"),
            Value::Int(value) => write!(f, "{value}"),
            Value::Float(value) => write!(f, "{value:?}"),
            Value::Text(value) => write!(f, "{value:?}"),
            Value::Typed(array) => write!(f, "{}({})", array.data_type(), shown(array.as_ref(), 0)),
        }
    }
}

/// The number behind the only value of an array of dates or timestamps, with their type.
fn count(array: &ArrayRef) -> Option<String> {
    let narrow = if *array.data_type() == DataType::Date32 { DataType::Int32 } else { DataType::Int64 };
    let counts = cast(array, &narrow).ok()?;
    Some(format!("{}({})", array.data_type(), shown(counts.as_ref(), 0)))
}

/// A value of an array as text; text itself in quotes.
pub(super) fn shown(array: &dyn Array, row: usize) -> String {
    let options = FormatOptions::new().with_null("null");
    match ArrayFormatter::try_new(array, &options) {
        Ok(_) if row >= array.len() => String::from("nothing"),
        Ok(format) => {
            let text = format.value(row).try_to_string();
            // A time beyond the calendar is shown as its count.
            let text = text.unwrap_or_else(|error| count(&array.slice(row, 1)).unwrap_or_else(|| error.to_string()));
            let quoted =
                matches!(logical(array.data_type()), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
            if quoted && array.is_valid(row) { format!("{text:?}") } else { text }
        }
        Err(error) => error.to_string(),
    }
}

/// The type of the values, whatever way they lie.
pub(crate) fn logical(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => values,
        DataType::RunEndEncoded(_, values) => values.data_type(),
        other => other,
    }
}

macro_rules! values {
    ($($from:ty => |$value:ident| $make:expr;)+) => {$(
        impl From<$from> for Value {
            fn from($value: $from) -> Value {
                $make
            }
        }

        impl From<$from> for Expr {
            fn from(value: $from) -> Expr {
                Expr::Literal(value.into())
            }
        }
    )+};
}

values! {
    bool => |value| Value::Boolean(value);
    i8 => |value| Value::Int(value.into());
    i16 => |value| Value::Int(value.into());
    i32 => |value| Value::Int(value.into());
    i64 => |value| Value::Int(value);
    u8 => |value| Value::Int(value.into());
    u16 => |value| Value::Int(value.into());
    u32 => |value| Value::Int(value.into());
    u64 => |value| unsigned(value);
    usize => |value| unsigned(value as u64);
    isize => |value| Value::Int(value as i64);
    f32 => |value| Value::Float(value.into());
    f64 => |value| Value::Float(value);
    &str => |value| Value::Text(value.into());
    &String => |value| Value::Text(value.as_str().into());
    String => |value| Value::Text(value.into());
    Arc<str> => |value| Value::Text(value);
    NaiveDate => |value| Value::Typed(Arc::new(Date32Array::from(vec![Date32Type::from_naive_date(value)])));
    NaiveDateTime => |value| timestamp(value);
    NaiveTime => |value| Value::Typed(Arc::new(Time64MicrosecondArray::from(vec![micros_of_day(value)])));
    TimeDelta => |value| Value::Typed(Arc::new(DurationMicrosecondArray::from(vec![value.num_microseconds()])));
}

impl From<Value> for Expr {
    fn from(value: Value) -> Expr {
        Expr::Literal(value)
    }
}

impl From<&Expr> for Expr {
    fn from(expr: &Expr) -> Expr {
        expr.clone()
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, T::into)
    }
}

impl<T: Into<Value>> From<Option<T>> for Expr {
    fn from(value: Option<T>) -> Expr {
        Expr::Literal(value.into())
    }
}

fn unsigned(value: u64) -> Value {
    match i64::try_from(value) {
        Ok(value) => Value::Int(value),
        Err(_) => Value::Typed(Arc::new(UInt64Array::from(vec![value]))),
    }
}

/// In microseconds, or in nanoseconds where it has some.
fn timestamp(value: NaiveDateTime) -> Value {
    let value = value.and_utc();
    match value.timestamp_nanos_opt() {
        Some(nanos) if nanos % 1_000 != 0 => Value::Typed(Arc::new(TimestampNanosecondArray::from(vec![nanos]))),
        _ => Value::Typed(Arc::new(TimestampMicrosecondArray::from(vec![value.timestamp_micros()]))),
    }
}

fn micros_of_day(value: NaiveTime) -> i64 {
    i64::from(value.num_seconds_from_midnight()) * 1_000_000 + i64::from(value.nanosecond() / 1_000)
}
