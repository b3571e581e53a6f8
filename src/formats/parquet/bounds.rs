//! What statistics tell of values, and what an expression compares them with, on one scale.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{self as types, DataType, TimeUnit};
use parquet::data_type::ByteArray;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;

use crate::expr::Value;

/// A value on a scale on which all values of one comparison lie.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Point {
    /// Integers, decimals times a power of ten, instants in nanoseconds, false and true.
    Int(i128),
    /// Floats, never NaN.
    Float(f64),
    /// Text and bytes.
    Bytes(Vec<u8>),
}

impl Point {
    /// How two points of one scale lie to each other.
    pub(super) fn order(&self, other: &Point) -> Option<Ordering> {
        match (self, other) {
            (Point::Int(a), Point::Int(b)) => Some(a.cmp(b)),
            (Point::Float(a), Point::Float(b)) => a.partial_cmp(b),
            (Point::Bytes(a), Point::Bytes(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}

/// What is known of the values of a column in a row group or a page.
#[derive(Clone, Debug, Default)]
pub(super) struct Bounds {
    /// No value is smaller, as it lies in the file.
    pub(super) min: Option<Physical>,
    /// No value is larger.
    pub(super) max: Option<Physical>,
    /// How many are null.
    pub(super) nulls: Option<u64>,
    /// How many there are, nulls among them.
    pub(super) rows: u64,
    /// Whether NaN may be among them, for floats.
    pub(super) nan: bool,
}

/// A value as it lies in the file.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Physical {
    Int(i64),
    Float(f64),
    Bytes(Vec<u8>),
}

/// What the statistics of a row group tell of a column, which has the Arrow type.
pub(super) fn of_statistics(statistics: Option<&Statistics>, of: &DataType, rows: u64) -> Bounds {
    let unknown = Bounds { rows, nan: true, ..Bounds::default() };
    let Some(statistics) = statistics else { return unknown };
    let nulls = statistics.null_count_opt();
    // Old files order text and unsigned integers in their own ways.
    let signed = of.is_signed_integer() || of.is_floating() || of.is_temporal() || *of == DataType::Boolean;
    if statistics.is_min_max_deprecated() && !signed {
        return Bounds { nulls, ..unknown };
    }
    let (min, max) = match statistics {
        Statistics::Boolean(of) => {
            (of.min_opt().map(|v| Physical::Int((*v).into())), of.max_opt().map(|v| Physical::Int((*v).into())))
        }
        Statistics::Int32(of) => {
            (of.min_opt().map(|v| Physical::Int((*v).into())), of.max_opt().map(|v| Physical::Int((*v).into())))
        }
        Statistics::Int64(of) => (of.min_opt().map(|v| Physical::Int(*v)), of.max_opt().map(|v| Physical::Int(*v))),
        Statistics::Float(of) => {
            (of.min_opt().map(|v| Physical::Float((*v).into())), of.max_opt().map(|v| Physical::Float((*v).into())))
        }
        Statistics::Double(of) => {
            (of.min_opt().map(|v| Physical::Float(*v)), of.max_opt().map(|v| Physical::Float(*v)))
        }
        Statistics::ByteArray(of) => (of.min_opt().map(bytes), of.max_opt().map(bytes)),
        Statistics::FixedLenByteArray(of) => (of.min_opt().map(|v| bytes(v)), of.max_opt().map(|v| bytes(v))),
        Statistics::Int96(_) => (None, None),
    };
    Bounds { min, max, nulls, rows, nan: true }
}

fn bytes(of: &ByteArray) -> Physical {
    Physical::Bytes(of.data().to_vec())
}

/// What the column index tells of a page.
pub(super) fn of_page(index: &ColumnIndexMetaData, page: usize, rows: u64) -> Bounds {
    let nulls = if index.is_null_page(page) {
        Some(rows)
    } else {
        index.null_count(page).and_then(|count| u64::try_from(count).ok())
    };
    let (min, max) = match index {
        ColumnIndexMetaData::BOOLEAN(of) => (
            of.min_value(page).map(|v| Physical::Int((*v).into())),
            of.max_value(page).map(|v| Physical::Int((*v).into())),
        ),
        ColumnIndexMetaData::INT32(of) => (
            of.min_value(page).map(|v| Physical::Int((*v).into())),
            of.max_value(page).map(|v| Physical::Int((*v).into())),
        ),
        ColumnIndexMetaData::INT64(of) => {
            (of.min_value(page).map(|v| Physical::Int(*v)), of.max_value(page).map(|v| Physical::Int(*v)))
        }
        ColumnIndexMetaData::FLOAT(of) => (
            of.min_value(page).map(|v| Physical::Float((*v).into())),
            of.max_value(page).map(|v| Physical::Float((*v).into())),
        ),
        ColumnIndexMetaData::DOUBLE(of) => {
            (of.min_value(page).map(|v| Physical::Float(*v)), of.max_value(page).map(|v| Physical::Float(*v)))
        }
        ColumnIndexMetaData::BYTE_ARRAY(of) | ColumnIndexMetaData::FIXED_LEN_BYTE_ARRAY(of) => (
            of.min_value(page).map(|v| Physical::Bytes(v.to_vec())),
            of.max_value(page).map(|v| Physical::Bytes(v.to_vec())),
        ),
        ColumnIndexMetaData::INT96(_) => (None, None),
    };
    Bounds { min, max, nulls, rows, nan: true }
}

/// How the values of a column or of a literal are meant.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Meaning {
    Boolean,
    Integer,
    /// With its bits, by which a literal may have been rounded.
    Float(u32),
    /// With digits behind the point.
    Decimal(i8),
    /// With nanoseconds per unit, and whether it has a zone; or of a day.
    Time(i128, Option<bool>),
    Text,
    Binary,
}

fn meaning(of: &DataType) -> Option<Meaning> {
    Some(match of {
        DataType::Boolean => Meaning::Boolean,
        DataType::Float32 => Meaning::Float(32),
        DataType::Float64 => Meaning::Float(64),
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => Meaning::Decimal(*scale),
        DataType::Date32 => Meaning::Time(86_400_000_000_000, None),
        DataType::Date64 => Meaning::Time(1_000_000, None),
        DataType::Timestamp(unit, zone) => Meaning::Time(nanoseconds(*unit), Some(zone.is_some())),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Meaning::Text,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            Meaning::Binary
        }
        DataType::Dictionary(_, values) => {
            return meaning(values).filter(|of| matches!(of, Meaning::Text | Meaning::Binary));
        }
        integer if integer.is_integer() => Meaning::Integer,
        _ => return None,
    })
}

fn nanoseconds(unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

/// The scale on which the values of a column are compared with one literal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    /// Of integers, each times this; where true they lie in the file without a sign, in so many bits.
    Int(i128, Option<u32>),
    /// Of floats; what is an integer in the file is divided by this.
    Float(f64, Option<u32>),
    /// Of bytes.
    Bytes,
}

/// A literal: between two points, which are equal where it is known exactly how it is compared.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Literal {
    pub(super) low: Point,
    pub(super) high: Point,
}

/// A literal as it is meant.
enum Given {
    Int(i128),
    Float(f64),
    Decimal(i128, i8),
    Time(i128, i128, Option<bool>),
    Boolean(bool),
    Text(Vec<u8>),
    Binary(Vec<u8>),
}

/// The scale on which a column of a type is compared with a literal, and the literal on it; nothing where that is not known.
pub(super) fn compare(column: &DataType, literal: &Value) -> Option<(Scale, Literal)> {
    let given = given(literal)?;
    let unsigned = column.is_unsigned_integer().then(|| 8 * column.primitive_width().unwrap_or(8) as u32);
    let exact = |point: Point| Literal { low: point.clone(), high: point };
    Some(match (meaning(column)?, given) {
        (Meaning::Boolean, Given::Boolean(value)) => (Scale::Int(1, None), exact(Point::Int(value.into()))),
        (Meaning::Integer, Given::Int(value)) => (Scale::Int(1, unsigned), exact(Point::Int(value))),
        (Meaning::Integer, Given::Decimal(value, scale)) => {
            (Scale::Int(power(scale)?, unsigned), exact(Point::Int(value)))
        }
        (Meaning::Decimal(scale), Given::Int(value)) => {
            (Scale::Int(1, None), exact(Point::Int(value.checked_mul(power(scale)?)?)))
        }
        (Meaning::Decimal(scale), Given::Decimal(value, other)) => {
            let common = scale.max(other);
            let value = value.checked_mul(power(common - other)?)?;
            (Scale::Int(power(common - scale)?, None), exact(Point::Int(value)))
        }
        (Meaning::Integer, Given::Float(value)) => (Scale::Float(1.0, unsigned), near(value, 64)?),
        (Meaning::Decimal(scale), Given::Float(value)) => (Scale::Float(power(scale)? as f64, None), near(value, 64)?),
        (Meaning::Float(bits), Given::Float(value)) => (Scale::Float(1.0, None), near(value, bits)?),
        (Meaning::Float(bits), Given::Int(value)) => {
            let mut literal = near(value as f64, bits)?;
            if (value as f64) as i128 != value {
                let (low, high) = (near((value as f64).next_down(), bits)?, near((value as f64).next_up(), bits)?);
                literal = Literal { low: low.low, high: high.high };
            }
            (Scale::Float(1.0, None), literal)
        }
        (Meaning::Float(bits), Given::Decimal(value, scale)) => {
            (Scale::Float(1.0, None), near(value as f64 / power(scale)? as f64, bits)?)
        }
        (Meaning::Time(unit, zone), Given::Time(value, other, other_zone)) => {
            // A zone is compared with a zone only; a day with everything.
            if zone.is_some() && other_zone.is_some() && zone != other_zone {
                return None;
            }
            let value = value.checked_mul(other)?;
            // Either side may be rounded to the unit of the other.
            let slack = if unit == other && zone == other_zone { 0 } else { unit.max(other) };
            let literal = Literal { low: Point::Int(value - slack), high: Point::Int(value + slack) };
            (Scale::Int(unit, None), literal)
        }
        (Meaning::Text, Given::Text(value)) | (Meaning::Binary, Given::Binary(value)) => {
            (Scale::Bytes, exact(Point::Bytes(value)))
        }
        _ => return None,
    })
}

/// A float that may have been rounded to a float of some bits.
fn near(value: f64, bits: u32) -> Option<Literal> {
    if value.is_nan() {
        return None;
    }
    let rounded = if bits == 32 { f64::from(value as f32) } else { value };
    let (low, high) = (value.min(rounded).next_down(), value.max(rounded).next_up());
    // Floats that nothing is done to are compared as they are.
    let literal = if low.next_up() == high.next_down() { (value, value) } else { (low, high) };
    Some(Literal { low: Point::Float(literal.0 + 0.0), high: Point::Float(literal.1 + 0.0) })
}

/// Ten to the power of a scale, where that is no fraction.
fn power(scale: i8) -> Option<i128> {
    10_i128.checked_pow(u32::try_from(scale).ok()?)
}

fn given(literal: &Value) -> Option<Given> {
    Some(match literal {
        Value::Boolean(value) => Given::Boolean(*value),
        Value::Int(value) => Given::Int((*value).into()),
        Value::Float(value) => Given::Float(*value),
        Value::Text(value) => Given::Text(value.as_bytes().to_vec()),
        Value::Typed(array) if array.len() == 1 && array.is_valid(0) => typed(array)?,
        Value::Typed(_) | Value::Null => return None,
    })
}

fn typed(array: &ArrayRef) -> Option<Given> {
    macro_rules! value {
        ($of:ty) => {
            array.as_primitive_opt::<$of>()?.value(0)
        };
    }
    Some(match array.data_type() {
        DataType::Boolean => Given::Boolean(array.as_boolean().value(0)),
        DataType::Int8 => Given::Int(value!(types::Int8Type).into()),
        DataType::Int16 => Given::Int(value!(types::Int16Type).into()),
        DataType::Int32 => Given::Int(value!(types::Int32Type).into()),
        DataType::Int64 => Given::Int(value!(types::Int64Type).into()),
        DataType::UInt8 => Given::Int(value!(types::UInt8Type).into()),
        DataType::UInt16 => Given::Int(value!(types::UInt16Type).into()),
        DataType::UInt32 => Given::Int(value!(types::UInt32Type).into()),
        DataType::UInt64 => Given::Int(value!(types::UInt64Type).into()),
        DataType::Float32 => Given::Float(value!(types::Float32Type).into()),
        DataType::Float64 => Given::Float(value!(types::Float64Type)),
        DataType::Decimal32(_, scale) => Given::Decimal(value!(types::Decimal32Type).into(), *scale),
        DataType::Decimal64(_, scale) => Given::Decimal(value!(types::Decimal64Type).into(), *scale),
        DataType::Decimal128(_, scale) => Given::Decimal(value!(types::Decimal128Type), *scale),
        DataType::Date32 => Given::Time(value!(types::Date32Type).into(), 86_400_000_000_000, None),
        DataType::Date64 => Given::Time(value!(types::Date64Type).into(), 1_000_000, None),
        DataType::Timestamp(unit, zone) => {
            let value = match unit {
                TimeUnit::Second => value!(types::TimestampSecondType),
                TimeUnit::Millisecond => value!(types::TimestampMillisecondType),
                TimeUnit::Microsecond => value!(types::TimestampMicrosecondType),
                TimeUnit::Nanosecond => value!(types::TimestampNanosecondType),
            };
            Given::Time(value.into(), nanoseconds(*unit), Some(zone.is_some()))
        }
        DataType::Utf8 => Given::Text(array.as_string::<i32>().value(0).into()),
        DataType::LargeUtf8 => Given::Text(array.as_string::<i64>().value(0).into()),
        DataType::Utf8View => Given::Text(array.as_string_view().value(0).into()),
        DataType::Binary => Given::Binary(array.as_binary::<i32>().value(0).into()),
        DataType::LargeBinary => Given::Binary(array.as_binary::<i64>().value(0).into()),
        DataType::BinaryView => Given::Binary(array.as_binary_view().value(0).into()),
        DataType::FixedSizeBinary(_) => Given::Binary(array.as_fixed_size_binary().value(0).into()),
        _ => return None,
    })
}

/// Which end of its values a bound is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum End {
    Min,
    Max,
}

impl Scale {
    /// A bound of a column on this scale; where it has to be rounded, outwards. Nothing where it is no bound there.
    pub(super) fn point(&self, value: &Physical, end: End) -> Option<Point> {
        match (self, value) {
            (Scale::Int(factor, unsigned), value) => integer(value, *unsigned)?.checked_mul(*factor).map(Point::Int),
            (Scale::Float(..), Physical::Float(value)) => (!value.is_nan()).then_some(Point::Float(value + 0.0)),
            (Scale::Float(divisor, unsigned), value) => {
                let value = integer(value, *unsigned)? as f64 / divisor;
                // Both the cast and the division round by half a step.
                Some(Point::Float(match end {
                    End::Min => value.next_down().next_down(),
                    End::Max => value.next_up().next_up(),
                }))
            }
            (Scale::Bytes, Physical::Bytes(value)) => Some(Point::Bytes(value.clone())),
            (Scale::Bytes, _) => None,
        }
    }
}

/// An integer as it is meant: without a sign, or the bytes of a decimal.
fn integer(value: &Physical, unsigned: Option<u32>) -> Option<i128> {
    match (value, unsigned) {
        (Physical::Int(value), None) => Some((*value).into()),
        (Physical::Int(value), Some(64)) => Some(value.cast_unsigned().into()),
        // Smaller ones lie in 32 bits.
        (Physical::Int(value), Some(_)) => Some(i128::from(*value) & 0xffff_ffff),
        (Physical::Bytes(bytes), None) if !bytes.is_empty() && bytes.len() <= 16 => {
            let fill = if bytes[0] >= 0x80 { 0xff } else { 0 };
            let mut whole = [fill; 16];
            whole[16 - bytes.len()..].copy_from_slice(bytes);
            Some(i128::from_be_bytes(whole))
        }
        _ => None,
    }
}
