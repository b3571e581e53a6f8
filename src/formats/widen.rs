//! The smallest type that holds the values of two.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit};

/// The smallest type that holds all values of both, if there is one: larger integers, integers as floats, dates as timestamps, decimals with
/// more digits, dictionaries as their values, structs and lists by their fields. Whether a field may be null is no difference.
pub fn widest(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType as D;
    if a == b {
        return Some(a.clone());
    }
    Some(match (a, b) {
        (D::Null, other) | (other, D::Null) => other.clone(),
        (D::Dictionary(_, values), other) | (other, D::Dictionary(_, values)) => {
            let other = if let D::Dictionary(_, values) = other { values } else { other };
            widest(values, other)?
        }
        (D::Date32, D::Date64) | (D::Date64, D::Date32) => D::Date64,
        (D::Date32, D::Timestamp(unit, zone)) | (D::Timestamp(unit, zone), D::Date32) => {
            D::Timestamp(*unit, zone.clone())
        }
        (D::Date64, D::Timestamp(unit, zone)) | (D::Timestamp(unit, zone), D::Date64) => {
            D::Timestamp(finer(*unit, TimeUnit::Millisecond), zone.clone())
        }
        (D::Timestamp(one, zone), D::Timestamp(other, same)) if zone == same => {
            D::Timestamp(finer(*one, *other), zone.clone())
        }
        (D::Duration(one), D::Duration(other)) => D::Duration(finer(*one, *other)),
        (D::Time32(one) | D::Time64(one), D::Time32(other) | D::Time64(other)) => match finer(*one, *other) {
            unit @ (TimeUnit::Second | TimeUnit::Millisecond) => D::Time32(unit),
            unit => D::Time64(unit),
        },
        (D::Utf8 | D::LargeUtf8 | D::Utf8View, D::Utf8 | D::LargeUtf8 | D::Utf8View) => {
            if [a, b].contains(&&D::LargeUtf8) { D::LargeUtf8 } else { D::Utf8View }
        }
        (
            D::Binary | D::LargeBinary | D::BinaryView | D::FixedSizeBinary(_),
            D::Binary | D::LargeBinary | D::BinaryView | D::FixedSizeBinary(_),
        ) => match [a, b] {
            both if both.contains(&&D::LargeBinary) => D::LargeBinary,
            both if both.contains(&&D::BinaryView) => D::BinaryView,
            _ => D::Binary,
        },
        (D::Struct(one), D::Struct(other)) => D::Struct(structs(one, other)?),
        (D::List(one), D::List(other)) => D::List(fields(one, other)?),
        (
            D::List(one) | D::LargeList(one) | D::FixedSizeList(one, _),
            D::List(other) | D::LargeList(other) | D::FixedSizeList(other, _),
        ) => match (a, b) {
            (D::FixedSizeList(_, length), D::FixedSizeList(_, same)) if length == same => {
                D::FixedSizeList(fields(one, other)?, *length)
            }
            _ => D::LargeList(fields(one, other)?),
        },
        _ => numbers(a, b)?,
    })
}

/// Of numbers.
fn numbers(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType as D;
    if a.is_integer() && b.is_integer() {
        let (signed, other) = if a.is_signed_integer() { (a, b) } else { (b, a) };
        let bits = match (signed.is_signed_integer(), other.is_signed_integer()) {
            (true, true) | (false, false) => bits(signed).max(bits(other)),
            // One bit more for the sign.
            _ => bits(signed).max(2 * bits(other)),
        };
        return match (signed.is_signed_integer(), bits) {
            (true, 16) => Some(D::Int16),
            (true, 32) => Some(D::Int32),
            (true, 64) => Some(D::Int64),
            (false, 16) => Some(D::UInt16),
            (false, 32) => Some(D::UInt32),
            (false, 64) => Some(D::UInt64),
            _ => None,
        };
    }
    if let (Some((p, s)), Some((q, t))) = (decimal(a), decimal(b)) {
        let scale = s.max(t);
        let digits = (p + scale - s).max(q + scale - t);
        return match digits {
            ..=38 => Some(D::Decimal128(u8::try_from(digits).ok()?, i8::try_from(scale).ok()?)),
            39..=76 => Some(D::Decimal256(u8::try_from(digits).ok()?, i8::try_from(scale).ok()?)),
            _ => None,
        };
    }
    let (exact_a, exact_b) = (float_bits(a)?, float_bits(b)?);
    Some(match exact_a.max(exact_b) {
        ..=16 => D::Float16,
        17..=32 => D::Float32,
        _ => D::Float64,
    })
}

/// Digits and scale of a decimal or an integer, unless it is a float.
fn decimal(of: &DataType) -> Option<(i16, i16)> {
    match of {
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => Some((i16::from(*p), i16::from(*s))),
        integer if integer.is_integer() => Some((
            match bits(integer) {
                8 => 3,
                16 => 5,
                32 => 10,
                _ if integer.is_signed_integer() => 19,
                _ => 20,
            },
            0,
        )),
        _ => None,
    }
}

/// Bits of the smallest float that stands for a number.
fn float_bits(of: &DataType) -> Option<u32> {
    Some(match of {
        DataType::Float16 => 16,
        DataType::Float32 => 32,
        DataType::Float64 => 64,
        integer if integer.is_integer() => {
            if bits(integer) <= 16 {
                32
            } else {
                64
            }
        }
        other => return decimal(other).map(|_| 64),
    })
}

fn bits(integer: &DataType) -> u32 {
    8 * integer.primitive_width().map_or(0, |width| width as u32)
}

fn finer(one: TimeUnit, other: TimeUnit) -> TimeUnit {
    let rank = |unit| match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 1,
        TimeUnit::Microsecond => 2,
        TimeUnit::Nanosecond => 3,
    };
    if rank(one) >= rank(other) { one } else { other }
}

/// Fields of one name in both.
fn fields(one: &FieldRef, other: &FieldRef) -> Option<FieldRef> {
    let of = widest(one.data_type(), other.data_type())?;
    let nullable = one.is_nullable() || other.is_nullable();
    Some(Arc::new(Field::clone(one).with_data_type(of).with_nullable(nullable)))
}

/// Structs with the same names in the same order.
fn structs(one: &Fields, other: &Fields) -> Option<Fields> {
    let same = one.len() == other.len() && one.iter().zip(other).all(|(a, b)| a.name() == b.name());
    same.then(|| one.iter().zip(other).map(|(a, b)| fields(a, b)).collect::<Option<Fields>>())?
}

/// Whether two types differ in nothing but whether fields inside them may be null.
pub fn same_values(a: &DataType, b: &DataType) -> bool {
    use DataType as D;
    let same = |one: &FieldRef, other: &FieldRef| {
        one.name() == other.name() && same_values(one.data_type(), other.data_type())
    };
    match (a, b) {
        (D::Struct(one), D::Struct(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| same(a, b))
        }
        (D::List(one), D::List(other)) | (D::LargeList(one), D::LargeList(other)) => {
            same_values(one.data_type(), other.data_type())
        }
        (D::FixedSizeList(one, n), D::FixedSizeList(other, m)) => {
            n == m && same_values(one.data_type(), other.data_type())
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_type_that_holds_both() {
        use DataType as D;
        let stamp = |unit, zone: Option<&str>| D::Timestamp(unit, zone.map(Into::into));
        let of = |inner: DataType, nullable| Arc::new(Field::new("item", inner, nullable));
        let cases = [
            (D::Int8, D::Int64, Some(D::Int64)),
            (D::UInt8, D::Int8, Some(D::Int16)),
            (D::UInt32, D::Int16, Some(D::Int64)),
            (D::UInt64, D::Int64, None),
            (D::UInt8, D::UInt16, Some(D::UInt16)),
            (D::Int16, D::Float32, Some(D::Float32)),
            (D::Int32, D::Float32, Some(D::Float64)),
            (D::Float16, D::Float64, Some(D::Float64)),
            (D::Date32, stamp(TimeUnit::Second, Some("UTC")), Some(stamp(TimeUnit::Second, Some("UTC")))),
            (D::Date64, stamp(TimeUnit::Second, None), Some(stamp(TimeUnit::Millisecond, None))),
            (
                stamp(TimeUnit::Microsecond, None),
                stamp(TimeUnit::Nanosecond, None),
                Some(stamp(TimeUnit::Nanosecond, None)),
            ),
            (stamp(TimeUnit::Second, None), stamp(TimeUnit::Second, Some("UTC")), None),
            (D::Decimal128(10, 2), D::Int32, Some(D::Decimal128(12, 2))),
            (D::Decimal128(38, 2), D::Decimal128(38, 10), Some(D::Decimal256(46, 10))),
            (D::Decimal128(10, 2), D::Float32, Some(D::Float64)),
            (D::Utf8, D::Utf8View, Some(D::Utf8View)),
            (D::Utf8, D::LargeUtf8, Some(D::LargeUtf8)),
            (D::Dictionary(Box::new(D::Int8), Box::new(D::Utf8)), D::Utf8, Some(D::Utf8)),
            (D::FixedSizeBinary(4), D::FixedSizeBinary(5), Some(D::Binary)),
            (D::Null, D::Boolean, Some(D::Boolean)),
            (D::Boolean, D::Int8, None),
            (D::Utf8, D::Int8, None),
            (D::List(of(D::Int8, false)), D::List(of(D::Int16, true)), Some(D::List(of(D::Int16, true)))),
        ];
        for (a, b, wanted) in cases {
            assert_eq!(widest(&a, &b), wanted, "{a} {b}");
            assert_eq!(widest(&b, &a), wanted, "{b} {a}");
        }
        assert!(same_values(&D::List(of(D::Int8, false)), &D::List(of(D::Int8, true))));
        assert!(!same_values(&D::List(of(D::Int8, false)), &D::List(of(D::Int16, true))));
    }
}
