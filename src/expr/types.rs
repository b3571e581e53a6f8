//! To which type operands are brought.

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType, TimeUnit};

use super::value::logical;
use super::{AggregateFunction, BinaryOp, Value};
use crate::error::{Error, ErrorKind, Result};

/// What is known of an operand when the plan is made.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// The type of its values, whatever way they lie.
    pub data_type: DataType,
    /// Its value, where it is a constant.
    pub value: Option<Value>,
}

impl Known {
    pub fn of(data_type: &DataType) -> Known {
        Known { data_type: logical(data_type).clone(), value: None }
    }

    /// The value, where it has no type of its own.
    fn untyped(&self) -> Option<&Value> {
        self.value.as_ref().filter(|value| !matches!(value, Value::Typed(_)))
    }
}

pub(super) fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

pub(super) fn is_decimal(data_type: &DataType) -> bool {
    data_type.is_decimal()
}

pub(super) fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

pub(super) fn is_temporal(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Date32
            | DataType::Date64
            | DataType::Timestamp(..)
            | DataType::Time32(_)
            | DataType::Time64(_)
            | DataType::Duration(_)
            | DataType::Interval(_)
    )
}

/// The type to which both are brought, where there is one: constants follow the other operand.
pub(super) fn common(left: &Known, right: &Known) -> Option<DataType> {
    match (left.untyped(), right.untyped()) {
        (None, Some(value)) => facing(value, &left.data_type),
        (Some(value), None) => facing(value, &right.data_type),
        _ => common_type(&left.data_type, &right.data_type),
    }
}

/// The type to which all are brought, where there is one: constants follow the others.
pub(super) fn common_of(all: &[Known]) -> Option<DataType> {
    let typed = all.iter().filter(|known| known.untyped().is_none());
    let mut common: Option<DataType> = None;
    for known in typed {
        common = Some(match common {
            None => known.data_type.clone(),
            Some(so_far) => common_type(&so_far, &known.data_type)?,
        });
    }
    let mut untyped = all.iter().filter_map(Known::untyped);
    let start = match common {
        Some(common) => common,
        None => untyped.next()?.data_type(),
    };
    let of_constants = all.iter().all(|known| known.untyped().is_some());
    untyped.try_fold(start, |so_far, value| {
        if of_constants { common_type(&so_far, &value.data_type()) } else { facing(value, &so_far) }
    })
}

/// The type that a constant and a column of a type are brought to.
fn facing(value: &Value, other: &DataType) -> Option<DataType> {
    match value {
        Value::Null | Value::Typed(_) => common_type(&value.data_type(), other),
        Value::Int(value) => match other {
            DataType::Null => Some(DataType::Int64),
            DataType::Float16 | DataType::Float32 if value.unsigned_abs() <= 1 << 24 => Some(DataType::Float32),
            other if other.is_integer() => common_type(&smallest(*value, other), other),
            other if is_decimal(other) => {
                let digits = value.unsigned_abs().checked_ilog10().map_or(1, |log| log as u8 + 1);
                common_type(&DataType::Decimal128(digits, 0), other)
            }
            other => common_type(&DataType::Int64, other),
        },
        Value::Float(value) => match other {
            DataType::Float16 | DataType::Float32 => Some(DataType::Float32),
            other if is_decimal(other) && value.is_finite() => {
                let text = value.abs().to_string();
                let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
                if whole.len() + fraction.len() > DECIMAL128_MAX_PRECISION as usize {
                    return Some(DataType::Float64);
                }
                let own = DataType::Decimal128((whole.len() + fraction.len()) as u8, fraction.len() as i8);
                common_type(&own, other)
            }
            other => common_type(&DataType::Float64, other),
        },
        Value::Boolean(_) => common_type(&DataType::Boolean, other),
        Value::Text(_) if is_temporal(other) && !matches!(other, DataType::Duration(_) | DataType::Interval(_)) => {
            Some(other.clone())
        }
        Value::Text(_) if is_text(other) => Some(other.clone()),
        Value::Text(_) => common_type(&DataType::Utf8, other),
    }
}

/// The smallest type of integers that holds a value, signed as the other is where that can be.
fn smallest(value: i64, other: &DataType) -> DataType {
    let unsigned = other.is_unsigned_integer() && value >= 0;
    match (unsigned, value) {
        (true, ..=0xFF) => DataType::UInt8,
        (true, ..=0xFFFF) => DataType::UInt16,
        (true, ..=0xFFFF_FFFF) => DataType::UInt32,
        (true, _) => DataType::UInt64,
        (false, -0x80..=0x7F) => DataType::Int8,
        (false, -0x8000..=0x7FFF) => DataType::Int16,
        (false, -0x8000_0000..=0x7FFF_FFFF) => DataType::Int32,
        (false, _) => DataType::Int64,
    }
}

/// Whether a type is of a kind, or has one that is inside of it.
pub fn has_type(of: &DataType, is: impl Fn(&DataType) -> bool) -> bool {
    let mut open = vec![of];
    while let Some(of) = open.pop() {
        if is(of) {
            return true;
        }
        match of {
            DataType::List(item)
            | DataType::LargeList(item)
            | DataType::ListView(item)
            | DataType::LargeListView(item)
            | DataType::Map(item, _)
            | DataType::FixedSizeList(item, _)
            | DataType::RunEndEncoded(_, item) => open.push(item.data_type()),
            DataType::Struct(fields) => open.extend(fields.iter().map(|field| field.data_type())),
            DataType::Union(fields, _) => open.extend(fields.iter().map(|(_, field)| field.data_type())),
            DataType::Dictionary(_, values) => open.push(values),
            _ => {}
        }
    }
    false
}

/// The smallest type that holds the values of both.
pub fn common_type(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType::*;
    let (left, right) = (logical(left), logical(right));
    if left == right {
        return Some(left.clone());
    }
    match (left, right) {
        (Null, other) | (other, Null) => Some(other.clone()),
        (l, r) if is_number(l) && is_number(r) => numbers(l, r),
        (LargeUtf8, r) if is_text(r) => Some(LargeUtf8),
        (l, LargeUtf8) if is_text(l) => Some(LargeUtf8),
        (l, r) if is_text(l) && is_text(r) => Some(Utf8),
        (
            Binary | LargeBinary | BinaryView | FixedSizeBinary(_),
            Binary | LargeBinary | BinaryView | FixedSizeBinary(_),
        ) => Some(if matches!(left, LargeBinary) || matches!(right, LargeBinary) { LargeBinary } else { Binary }),
        (Date32, Date64) | (Date64, Date32) => Some(Date64),
        (Date32 | Date64, Timestamp(unit, None)) | (Timestamp(unit, None), Date32 | Date64) => Some(Timestamp(
            (*unit).max(if matches!((left, right), (Date64, _) | (_, Date64)) {
                TimeUnit::Millisecond
            } else {
                TimeUnit::Second
            }),
            None,
        )),
        (Timestamp(a, None), Timestamp(b, None)) => Some(Timestamp(*a.max(b), None)),
        // Both are points in time: the zone of the left one is kept.
        (Timestamp(a, Some(zone)), Timestamp(b, Some(_))) => Some(Timestamp(*a.max(b), Some(zone.clone()))),
        (Duration(a), Duration(b)) => Some(Duration(*a.max(b))),
        (Time32(_) | Time64(_), Time32(_) | Time64(_)) => Some(time_of(unit_of(left)?.max(unit_of(right)?))),
        _ => None,
    }
}

fn numbers(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType::*;
    match (left, right) {
        (l, r) if l.is_integer() && r.is_integer() => integers(l, r),
        (l, r) if is_decimal(l) || is_decimal(r) => {
            let (Some((p1, s1)), Some((p2, s2))) = (as_decimal(l), as_decimal(r)) else {
                return Some(Float64);
            };
            let scale = s1.max(s2);
            let whole = (i16::from(p1) - i16::from(s1)).max(i16::from(p2) - i16::from(s2));
            let precision = u8::try_from(whole + i16::from(scale)).ok()?;
            let large = matches!((l, r), (Decimal256(..), _) | (_, Decimal256(..)));
            match precision {
                0..=DECIMAL128_MAX_PRECISION if !large => Some(Decimal128(precision.max(1), scale)),
                0..=DECIMAL256_MAX_PRECISION => Some(Decimal256(precision.max(1), scale)),
                _ => None,
            }
        }
        (Float64, _) | (_, Float64) => Some(Float64),
        (Float32 | Float16, Float32 | Float16) => Some(Float32),
        (Float32 | Float16, Int8 | Int16 | UInt8 | UInt16) | (Int8 | Int16 | UInt8 | UInt16, Float32 | Float16) => {
            Some(Float32)
        }
        _ => Some(Float64),
    }
}

fn integers(left: &DataType, right: &DataType) -> Option<DataType> {
    let (l, r) = (left.primitive_width()?, right.primitive_width()?);
    if left.is_signed_integer() == right.is_signed_integer() {
        return Some(if l >= r { left.clone() } else { right.clone() });
    }
    let (signed, unsigned) = if left.is_signed_integer() { (l, r) } else { (r, l) };
    match signed.max(2 * unsigned) {
        2 => Some(DataType::Int16),
        4 => Some(DataType::Int32),
        8 => Some(DataType::Int64),
        _ => None,
    }
}

/// Precision and scale of a decimal or of what an integer fits into.
pub(super) fn as_decimal(of: &DataType) -> Option<(u8, i8)> {
    use DataType::*;
    match of {
        Decimal32(precision, scale)
        | Decimal64(precision, scale)
        | Decimal128(precision, scale)
        | Decimal256(precision, scale) => Some((*precision, *scale)),
        Int8 | UInt8 => Some((3, 0)),
        Int16 | UInt16 => Some((5, 0)),
        Int32 | UInt32 => Some((10, 0)),
        Int64 => Some((19, 0)),
        UInt64 => Some((20, 0)),
        _ => None,
    }
}

/// The unit of a type that has one.
pub(super) fn unit_of(of: &DataType) -> Option<TimeUnit> {
    match of {
        DataType::Timestamp(unit, _) | DataType::Duration(unit) | DataType::Time32(unit) | DataType::Time64(unit) => {
            Some(*unit)
        }
        _ => None,
    }
}

/// The type of times of day of a unit.
pub(super) fn time_of(unit: TimeUnit) -> DataType {
    match unit {
        TimeUnit::Second | TimeUnit::Millisecond => DataType::Time32(unit),
        TimeUnit::Microsecond | TimeUnit::Nanosecond => DataType::Time64(unit),
    }
}

/// Whether a cast may meet a value that does not fit.
pub(super) fn cast_can_fail(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    let (from, to) = (logical(from), logical(to));
    match (from, to) {
        (from, to) if from == to => false,
        (Null, _) => false,
        // A calendar ends before these do.
        (Date32 | Date64 | Timestamp(TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond, _), to)
            if is_text(to) =>
        {
            true
        }
        (from, to) if is_text(to) => !(is_text(from) || from.is_primitive() || matches!(from, Boolean)),
        (from, to) if from.is_integer() && to.is_integer() => common_type(from, to).as_ref() != Some(to),
        (from, Float32 | Float64) if is_number(from) => false,
        (Boolean, to) if is_number(to) => false,
        (Date32, Date64 | Timestamp(TimeUnit::Second, None)) => false,
        (Timestamp(a, _), Timestamp(b, _)) | (Duration(a), Duration(b)) => b > a,
        _ => true,
    }
}

impl BinaryOp {
    /// Whether it compares.
    pub(super) fn is_comparison(self) -> bool {
        matches!(self, BinaryOp::Eq | BinaryOp::NotEq | BinaryOp::Lt | BinaryOp::LtEq | BinaryOp::Gt | BinaryOp::GtEq)
    }
}

impl AggregateFunction {
    /// The type of the aggregate of values of these types.
    ///
    /// Sums and products of integers have 64 bits, of floats `Float64`; sums of decimals have all digits there are,
    /// products of them are `Float64`.
    ///
    /// # Errors
    /// Of kind `Plan`, where it takes other values, or another number of them.
    pub fn result_type(&self, of: &[DataType]) -> Result<DataType> {
        use AggregateFunction as F;
        let takes = match self {
            F::Size => 0,
            F::User(user) => return Ok(user.data_type().clone()),
            F::Correlations | F::Covariances => of.len(),
            F::Correlation | F::Covariance(_) | F::MinBy | F::MaxBy => 2,
            _ => 1,
        };
        if of.len() != takes {
            let text = format!("`{}` takes {takes} expressions, not {}", self.name(), of.len());
            return Err(Error::new(ErrorKind::Plan, text));
        }
        let first = of.first().map_or(&DataType::Null, logical);
        let number =
            |data_type: &DataType| is_number(data_type) || matches!(data_type, DataType::Boolean | DataType::Null);
        let found = match self {
            F::Size | F::Count => Some(DataType::Int64),
            F::NUnique => (!matches!(first, DataType::Map(..) | DataType::Union(..))).then_some(DataType::Int64),
            #[cfg(feature = "sketches")]
            F::ApproxNUnique => (!matches!(first, DataType::Map(..) | DataType::Union(..))).then_some(DataType::Int64),
            #[cfg(feature = "sketches")]
            F::ApproxQuantile(_) => number(first).then_some(DataType::Float64),
            F::MinBy | F::MaxBy => {
                let by = logical(&of[1]);
                (!by.is_nested() && !matches!(by, DataType::Interval(_))).then(|| first.clone())
            }
            F::Sum | F::SumMin(_) => match first {
                DataType::Decimal256(_, scale) => Some(DataType::Decimal256(DECIMAL256_MAX_PRECISION, *scale)),
                DataType::Duration(_) => Some(first.clone()),
                other if is_decimal(other) => {
                    as_decimal(other).map(|(_, scale)| DataType::Decimal128(DECIMAL128_MAX_PRECISION, scale))
                }
                other => sum_type(other),
            },
            F::Product => sum_type(if is_decimal(first) { &DataType::Float64 } else { first }),
            F::Mean | F::Var(_) | F::Std(_) | F::Sem(_) | F::Skew | F::Kurtosis => {
                number(first).then_some(DataType::Float64)
            }
            F::Correlation | F::Covariance(_) => {
                of.iter().all(|data_type| number(logical(data_type))).then_some(DataType::Float64)
            }
            F::Correlations | F::Covariances => {
                of.iter().all(|data_type| number(logical(data_type))).then(|| list_of(&DataType::Float64))
            }
            F::Summary => number(first).then(|| list_of(&DataType::Float64)),
            F::Min | F::Max | F::TopK(_) | F::BottomK(_) => {
                let ordered = !first.is_nested() && !matches!(first, DataType::Interval(_));
                ordered.then(|| match self {
                    F::Min | F::Max => first.clone(),
                    _ => list_of(first),
                })
            }
            F::List => Some(list_of(first)),
            F::First | F::Last => Some(first.clone()),
            F::User(user) => Some(user.data_type().clone()),
            F::Any | F::All => matches!(first, DataType::Boolean | DataType::Null).then_some(DataType::Boolean),
        };
        found.ok_or_else(|| {
            let types = of.iter().map(DataType::to_string).collect::<Vec<_>>().join(" and ");
            Error::new(ErrorKind::Plan, format!("`{}` does not take {types}", self.name()))
        })
    }
}

fn list_of(data_type: &DataType) -> DataType {
    DataType::new_list(data_type.clone(), true)
}

/// The type of sums of values of a type.
pub(super) fn sum_type(of: &DataType) -> Option<DataType> {
    match of {
        DataType::Null | DataType::Boolean => Some(DataType::Int64),
        of if of.is_unsigned_integer() => Some(DataType::UInt64),
        of if of.is_signed_integer() => Some(DataType::Int64),
        of if of.is_floating() => Some(DataType::Float64),
        _ => None,
    }
}
