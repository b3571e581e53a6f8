//! Sums, differences, products, quotients. Integers are checked for overflow: a loop without branches notes whether there was
//! one. Floats are computed in place where nobody else holds the buffer.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, Int64Array, PrimitiveArray, new_empty_array,
};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::{binary, binary_mut, kernels::numeric};
use arrow::datatypes::*;

use super::super::BinaryOp;
use super::super::types::{Known, common, is_decimal, is_number, is_temporal, unit_of};
use super::{Failure, Misfit, Operand, Outcome, Planned, defect};

/// Plans an arithmetic operation.
pub(in super::super) fn plan(op: BinaryOp, left: &Known, right: &Known) -> Result<Planned, Misfit> {
    let (l, r) = (&left.data_type, &right.data_type);
    let misfit = |hint: &str| format!("`{}` does not take {l} and {r}{hint}", op.sign());
    if is_temporal(l) || is_temporal(r) {
        return temporal(op, left, right).ok_or_else(|| misfit(""));
    }
    let takes = |of: &DataType| is_number(of) || matches!(of, DataType::Null);
    if !takes(l) || !takes(r) {
        let text = super::super::types::is_text(l) || super::super::types::is_text(r);
        return Err(misfit(if text && (is_number(l) || is_number(r)) { ": cast the text to a number" } else { "" }));
    }
    if op == BinaryOp::Div {
        return Ok(in_floats::<Float64Type>(op));
    }
    let hint = if l.is_integer() && r.is_integer() { ": no integer type holds both, cast one of them" } else { "" };
    let common = common(left, right).ok_or_else(|| misfit(hint))?;
    let common = if common == DataType::Null { DataType::Int64 } else { common };
    let wrapping = matches!(op, BinaryOp::WrappingAdd | BinaryOp::WrappingSub | BinaryOp::WrappingMul);
    match &common {
        DataType::Float64 if !wrapping => Ok(in_floats::<Float64Type>(op)),
        DataType::Float32 | DataType::Float16 if !wrapping => Ok(in_floats::<Float32Type>(op)),
        other if is_decimal(other) && matches!(op, BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul) => {
            decimals(op, left, right, other).ok_or_else(|| misfit(""))
        }
        other if is_decimal(other) => Err(misfit(": cast to Float64 first")),
        other => in_integers(op, other).ok_or_else(|| misfit("")),
    }
}

/// Runs code with `$t` as the Arrow type of a type of integers.
macro_rules! with_integers {
    ($data_type:expr, $t:ident => $code:expr) => {
        match $data_type {
            DataType::Int8 => with_integers!(@ Int8Type, $t, $code),
            DataType::Int16 => with_integers!(@ Int16Type, $t, $code),
            DataType::Int32 => with_integers!(@ Int32Type, $t, $code),
            DataType::Int64 => with_integers!(@ Int64Type, $t, $code),
            DataType::UInt8 => with_integers!(@ UInt8Type, $t, $code),
            DataType::UInt16 => with_integers!(@ UInt16Type, $t, $code),
            DataType::UInt32 => with_integers!(@ UInt32Type, $t, $code),
            DataType::UInt64 => with_integers!(@ UInt64Type, $t, $code),
            _ => None,
        }
    };
    (@ $arrow:ident, $t:ident, $code:expr) => {{
        type $t = $arrow;
        Some($code)
    }};
}
pub(super) use with_integers;

fn in_floats<T: ArrowPrimitiveType>(op: BinaryOp) -> Planned
where
    T::Native: Float,
{
    Planned::new(T::DATA_TYPE, vec![T::DATA_TYPE; 2], move |operands, rows| match op {
        BinaryOp::Add => floats::<T>(operands, rows, |x, y| x.add_wrapping(y)),
        BinaryOp::Sub => floats::<T>(operands, rows, |x, y| x.sub_wrapping(y)),
        BinaryOp::Mul => floats::<T>(operands, rows, |x, y| x.mul_wrapping(y)),
        BinaryOp::Div => floats::<T>(operands, rows, |x, y| x.quotient(y)),
        BinaryOp::FloorDiv => floats::<T>(operands, rows, |x, y| x.floor_div(y)),
        _ => floats::<T>(operands, rows, |x, y| x.floor_rem(y)),
    })
}

/// What floats can do beside the operations of Arrow.
pub(super) trait Float: ArrowNativeTypeOp + PartialOrd {
    fn quotient(self, other: Self) -> Self;
    fn floor_div(self, other: Self) -> Self;
    fn floor_rem(self, other: Self) -> Self;
}

macro_rules! floats {
    ($($native:ty)+) => {$(
        impl Float for $native {
            #[inline]
            fn quotient(self, other: Self) -> Self {
                self / other
            }

            fn floor_div(self, other: Self) -> Self {
                if other == 0.0 {
                    return self / other;
                }
                let rem = self % other;
                let mut quotient = (self - rem) / other;
                if rem != 0.0 && (rem < 0.0) != (other < 0.0) {
                    quotient -= 1.0;
                }
                // It is whole but for rounding.
                let floor = quotient.floor();
                if quotient - floor > 0.5 { floor + 1.0 } else { floor }
            }

            fn floor_rem(self, other: Self) -> Self {
                let rem = self % other;
                if rem == 0.0 {
                    return rem.copysign(other);
                }
                if (rem < 0.0) != (other < 0.0) { rem + other } else { rem }
            }
        }
    )+};
}

floats! { f32 f64 }

/// Of two floats, in the place of one of them where that can be.
pub(super) fn floats<T: ArrowPrimitiveType>(
    operands: &mut [Operand],
    rows: usize,
    op: impl Fn(T::Native, T::Native) -> T::Native,
) -> Outcome {
    let [left, right] = operands else { return Err(defect()) };
    let constant = |one: &ArrayRef| -> Result<Option<T::Native>, Failure> {
        let one = one.as_primitive_opt::<T>().ok_or_else(defect)?;
        Ok(one.is_valid(0).then(|| one.value(0)))
    };
    match (&left, &right) {
        (Operand::Rows(_), Operand::One(one)) => match constant(one)? {
            Some(one) => in_place::<T>(left, |x| op(x, one)),
            None => Ok(Arc::new(PrimitiveArray::<T>::new_null(rows))),
        },
        (Operand::One(one), Operand::Rows(_)) => match constant(one)? {
            Some(one) => in_place::<T>(right, |x| op(one, x)),
            None => Ok(Arc::new(PrimitiveArray::<T>::new_null(rows))),
        },
        _ => {
            let left = owned::<T>(left)?;
            let right = owned::<T>(right)?;
            // Where neither is free, both are left as they are.
            let left = match binary_mut(left, &right, &op) {
                Ok(done) => return Ok(Arc::new(done?)),
                Err(left) => left,
            };
            match binary_mut(right, &left, |y, x| op(x, y)) {
                Ok(done) => Ok(Arc::new(done?)),
                Err(right) => Ok(Arc::new(binary::<T, T, _, T>(&left, &right, op)?)),
            }
        }
    }
}

/// Of one number, in its place where that can be.
pub(super) fn in_place<T: ArrowPrimitiveType>(operand: &mut Operand, op: impl Fn(T::Native) -> T::Native) -> Outcome {
    match owned::<T>(operand)?.unary_mut(&op) {
        Ok(done) => Ok(Arc::new(done)),
        Err(array) => Ok(Arc::new(array.unary::<_, T>(op))),
    }
}

/// The array itself, so that it is the only owner of its buffers if nobody else is.
fn owned<T: ArrowPrimitiveType>(operand: &mut Operand) -> Result<PrimitiveArray<T>, Failure> {
    let array = operand.take();
    Ok(array.as_primitive_opt::<T>().ok_or_else(defect)?.clone())
}

/// Integers: an operation, and whether it overflowed.
pub(super) trait Integer: ArrowNativeTypeOp {
    /// What is gathered over the rows: something else than nothing if one of them overflowed.
    fn checked(self, op: BinaryOp, other: Self) -> (Self, Self);
    fn overflowed(gathered: Self) -> bool;
    fn or(self, other: Self) -> Self;
    fn floor_div(self, other: Self) -> (Self, bool);
    fn floor_rem(self, other: Self) -> Self;
}

macro_rules! signed {
    ($($native:ty)+) => {$(
        impl Integer for $native {
            #[inline(always)]
            fn checked(self, op: BinaryOp, other: Self) -> (Self, Self) {
                match op {
                    BinaryOp::Add => {
                        let sum = self.wrapping_add(other);
                        (sum, (self ^ sum) & (other ^ sum))
                    }
                    BinaryOp::Sub => {
                        let difference = self.wrapping_sub(other);
                        (difference, (self ^ other) & (self ^ difference))
                    }
                    _ => {
                        let (product, over) = self.overflowing_mul(other);
                        (product, -<$native>::from(over))
                    }
                }
            }

            #[inline(always)]
            fn overflowed(gathered: Self) -> bool {
                gathered < 0
            }

            #[inline(always)]
            fn or(self, other: Self) -> Self {
                self | other
            }

            #[inline(always)]
            fn floor_div(self, other: Self) -> (Self, bool) {
                let (quotient, over) = self.overflowing_div(other);
                let rem = self.wrapping_rem(other);
                let down = rem != 0 && (rem < 0) != (other < 0);
                (quotient - <$native>::from(down), over)
            }

            #[inline(always)]
            fn floor_rem(self, other: Self) -> Self {
                let rem = self.wrapping_rem(other);
                if rem != 0 && (rem < 0) != (other < 0) { rem + other } else { rem }
            }
        }
    )+};
}

macro_rules! unsigned {
    ($($native:ty)+) => {$(
        impl Integer for $native {
            #[inline(always)]
            fn checked(self, op: BinaryOp, other: Self) -> (Self, Self) {
                let (value, over) = match op {
                    BinaryOp::Add => self.overflowing_add(other),
                    BinaryOp::Sub => self.overflowing_sub(other),
                    _ => self.overflowing_mul(other),
                };
                (value, <$native>::from(over))
            }

            #[inline(always)]
            fn overflowed(gathered: Self) -> bool {
                gathered != 0
            }

            #[inline(always)]
            fn or(self, other: Self) -> Self {
                self | other
            }

            #[inline(always)]
            fn floor_div(self, other: Self) -> (Self, bool) {
                (self / other, false)
            }

            #[inline(always)]
            fn floor_rem(self, other: Self) -> Self {
                self % other
            }
        }
    )+};
}

signed! { i8 i16 i32 i64 }
unsigned! { u8 u16 u32 u64 }

fn in_integers(op: BinaryOp, data_type: &DataType) -> Option<Planned> {
    let plan = |kernel| Planned {
        data_type: data_type.clone(),
        operands: vec![data_type.clone(); 2],
        kernel,
        can_fail: matches!(op, BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul)
            || op == BinaryOp::FloorDiv && data_type.is_signed_integer(),
        strict: true,
    };
    let name = data_type.to_string();
    with_integers!(data_type, T => plan(Arc::new(move |operands: &mut [Operand], _: usize| match op {
        BinaryOp::Add => checked::<T>(operands, &name, |x, y| x.checked(BinaryOp::Add, y)),
        BinaryOp::Sub => checked::<T>(operands, &name, |x, y| x.checked(BinaryOp::Sub, y)),
        BinaryOp::Mul => checked::<T>(operands, &name, |x, y| x.checked(BinaryOp::Mul, y)),
        BinaryOp::WrappingAdd => Ok(numeric::add_wrapping(&operands[0], &operands[1])?),
        BinaryOp::WrappingSub => Ok(numeric::sub_wrapping(&operands[0], &operands[1])?),
        BinaryOp::WrappingMul => Ok(numeric::mul_wrapping(&operands[0], &operands[1])?),
        _ => divided::<T>(op, operands, &name),
    })))
}

/// Applies a checked operation to all rows, also to what lies under nulls; only if that overflows, null rows are told
/// from others.
pub(super) fn checked<T: ArrowPrimitiveType>(
    operands: &[Operand],
    name: &str,
    op: impl Fn(T::Native, T::Native) -> (T::Native, T::Native),
) -> Outcome
where
    T::Native: Integer,
{
    let [left, right] = operands else { return Err(defect()) };
    let rows = left.array().len().max(right.array().len());
    let of = |operand: &Operand| operand.array().as_primitive_opt::<T>().cloned().ok_or_else(defect);
    let (l, r) = (of(left)?, of(right)?);
    let mut gathered = T::Native::ZERO;
    let nulls;
    let values: Vec<T::Native> = match (left, right) {
        (Operand::Rows(_), Operand::One(_)) | (Operand::One(_), Operand::Rows(_)) => {
            let left_is_one = matches!(left, Operand::One(_));
            let (one, many) = if left_is_one { (&l, &r) } else { (&r, &l) };
            if one.is_null(0) {
                return Ok(Arc::new(PrimitiveArray::<T>::new_null(rows)));
            }
            nulls = many.nulls().cloned();
            let one = one.value(0);
            // A copy that is written over: a loop over two slices, with what is gathered in a register.
            let mut values = many.values().to_vec();
            match left_is_one {
                true => values.iter_mut().for_each(|y| note(y, op(one, *y), &mut gathered)),
                false => values.iter_mut().for_each(|x| note(x, op(*x, one), &mut gathered)),
            }
            values
        }
        _ => {
            nulls = NullBuffer::union(l.nulls(), r.nulls());
            let mut values = l.values().to_vec();
            values.iter_mut().zip(r.values()).for_each(|(x, y)| note(x, op(*x, *y), &mut gathered));
            values
        }
    };
    if T::Native::overflowed(gathered) {
        let at = |of: &PrimitiveArray<T>, row: usize| of.value(if of.len() == 1 { 0 } else { row });
        let valid = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        let real = (0..rows).any(|row| valid(row) && T::Native::overflowed(op(at(&l, row), at(&r, row)).1));
        if real {
            return Err(overflows(name));
        }
    }
    Ok(Arc::new(PrimitiveArray::<T>::new(values.into(), nulls)))
}

#[inline(always)]
fn note<N: Integer>(place: &mut N, (value, over): (N, N), gathered: &mut N) {
    *place = value;
    *gathered = gathered.or(over);
}

pub(super) fn overflows(name: &str) -> Failure {
    Failure::Row(format!("overflows {name}"))
}

/// Quotient and rest, rounded down; null where the divisor is 0.
fn divided<T: ArrowPrimitiveType>(op: BinaryOp, operands: &[Operand], name: &str) -> Outcome
where
    T::Native: Integer,
{
    let [left, right] = operands else { return Err(defect()) };
    let rows = left.array().len().max(right.array().len());
    let of = |operand: &Operand| operand.array().as_primitive_opt::<T>().cloned().ok_or_else(defect);
    let (l, r) = (of(left)?, of(right)?);
    let (l_one, r_one) = (l.len() != rows, r.len() != rows);
    let valid_divisors = BooleanBuffer::collect_bool(r.len(), |row| r.value(row) != T::Native::ZERO);
    let divisors = NullBuffer::union(r.nulls(), Some(&NullBuffer::new(valid_divisors)));
    let all_null = |nulls: Option<&NullBuffer>, one: bool| one && nulls.is_some_and(|nulls| nulls.is_null(0));
    if all_null(divisors.as_ref(), r_one) || all_null(l.nulls(), l_one) {
        return Ok(Arc::new(PrimitiveArray::<T>::new_null(rows)));
    }
    let nulls = match (l_one, r_one) {
        (true, _) => divisors,
        (_, true) => l.nulls().cloned(),
        _ => NullBuffer::union(l.nulls(), divisors.as_ref()),
    };
    let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
    let mut over = false;
    let values: Vec<T::Native> = (0..rows)
        .map(|row| {
            let (x, y) = (l.value(if l_one { 0 } else { row }), r.value(if r_one { 0 } else { row }));
            if y == T::Native::ZERO {
                return T::Native::ZERO;
            }
            if op == BinaryOp::Rem {
                return x.floor_rem(y);
            }
            let (value, overflowed) = x.floor_div(y);
            over |= overflowed && nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
            value
        })
        .collect();
    if over {
        return Err(overflows(name));
    }
    Ok(Arc::new(PrimitiveArray::<T>::new(values.into(), nulls)))
}

/// By Arrow's kernels, which keep precision and scale.
fn decimals(op: BinaryOp, left: &Known, right: &Known, common: &DataType) -> Option<Planned> {
    let large = matches!(common, DataType::Decimal256(..));
    let own = |of: &Known, other: &Known| {
        // A constant has as many digits as it needs, a column those of its type.
        let of = match &of.value {
            Some(_) => super::super::types::common(of, &Known::of(&DataType::Decimal128(1, 0)))
                .filter(|_| is_number(&other.data_type)),
            None => Some(of.data_type.clone()),
        };
        let (precision, scale) = super::super::types::as_decimal(&of?)?;
        Some(if large { DataType::Decimal256(precision, scale) } else { DataType::Decimal128(precision, scale) })
    };
    let operands = vec![own(left, right)?, own(right, left)?];
    by_arrow(op, operands)
}

/// What Arrow's kernels do with operands of these types; the type of the result is found by asking them.
fn by_arrow(op: BinaryOp, operands: Vec<DataType>) -> Option<Planned> {
    let kernel = match op {
        BinaryOp::Add => numeric::add,
        BinaryOp::Sub => numeric::sub,
        BinaryOp::Mul => numeric::mul,
        _ => return None,
    };
    let (left, right) = (new_empty_array(&operands[0]), new_empty_array(&operands[1]));
    let data_type = kernel(&left, &right).ok()?.data_type().clone();
    let what = data_type.to_string();
    let call = move |operands: &mut [Operand], _: usize| -> Outcome {
        kernel(&operands[0], &operands[1]).map_err(|_| overflows(&what))
    };
    Some(Planned::new(data_type, operands, call).failing())
}

/// Dates, timestamps, times of day, durations and intervals.
fn temporal(op: BinaryOp, left: &Known, right: &Known) -> Option<Planned> {
    use DataType::*;
    let (l, r) = (&left.data_type, &right.data_type);
    let operands = match (l, r) {
        (Null, other) | (other, Null) => vec![other.clone(); 2],
        // Text beside a date is one.
        (of, Utf8) if right.value.is_some() && !matches!(of, Duration(_)) => vec![of.clone(); 2],
        (Utf8, of) if left.value.is_some() && !matches!(of, Duration(_)) => vec![of.clone(); 2],
        (Timestamp(_, zone), Duration(_)) => {
            let unit = unit_of(l)?.max(unit_of(r)?);
            vec![Timestamp(unit, zone.clone()), Duration(unit)]
        }
        (Duration(_), Timestamp(_, zone)) => {
            let unit = unit_of(l)?.max(unit_of(r)?);
            vec![Duration(unit), Timestamp(unit, zone.clone())]
        }
        (Date32 | Date64, Duration(unit)) => vec![Timestamp(*unit, None), r.clone()],
        (Duration(unit), Date32 | Date64) => vec![l.clone(), Timestamp(*unit, None)],
        (Date32 | Date64 | Timestamp(..), Date32 | Date64 | Timestamp(..)) | (Duration(_), Duration(_)) => {
            if op == BinaryOp::Div && matches!(l, Duration(_)) {
                return Some(in_floats::<Float64Type>(op))
                    .map(|planned| through_integers(planned, common(left, right)));
            }
            vec![common(left, right)?; 2]
        }
        (Duration(_), other) if is_number(other) && matches!(op, BinaryOp::Mul | BinaryOp::Div) => {
            return scaled(op, l, r, 0);
        }
        (other, Duration(_)) if is_number(other) && op == BinaryOp::Mul => return scaled(op, r, l, 1),
        _ => vec![l.clone(), r.clone()],
    };
    by_arrow(op, operands)
}

/// A duration so many times, or a part of it: with integers exact, otherwise to the nearest of its units. Null where it is divided
/// by 0 or the number is NaN.
fn scaled(op: BinaryOp, duration: &DataType, number: &DataType, place: usize) -> Option<Planned> {
    let exact = op == BinaryOp::Mul && number.is_integer() && *number != DataType::UInt64;
    let counted = if exact { DataType::Int64 } else { DataType::Float64 };
    let mut operands = vec![counted.clone(); 2];
    operands[place] = duration.clone();
    let product = if exact { in_integers(op, &counted)? } else { in_floats::<Float64Type>(op) };
    let (to, kernel) = (duration.clone(), product.kernel);
    let counts = move |operands: &mut [Operand], rows: usize| -> Outcome {
        let count = |array: &ArrayRef| arrow::compute::cast(&arrow::compute::cast(array, &DataType::Int64)?, &counted);
        // They stay as they are, for rows that fail are looked for.
        let mut own = operands.to_vec();
        own[place] = match &operands[place] {
            Operand::Rows(array) => Operand::Rows(count(array)?),
            Operand::One(array) => Operand::One(count(array)?),
        };
        let made = kernel(&mut own, rows).map_err(|failure| match failure {
            Failure::Row(_) => overflows(&to.to_string()),
            whole => whole,
        })?;
        let Some(floats) = made.as_primitive_opt::<Float64Type>() else { return Ok(arrow::compute::cast(&made, &to)?) };
        let mut counts = Vec::with_capacity(floats.len());
        for value in floats {
            counts.push(match value.map(f64::round) {
                None => None,
                Some(value) if value.is_nan() || op == BinaryOp::Div && value.is_infinite() => None,
                Some(value) if value.abs() < i64::MAX as f64 => Some(value as i64),
                Some(_) => return Err(overflows(&to.to_string())),
            });
        }
        Ok(arrow::compute::cast(&Int64Array::from(counts), &to)?)
    };
    Some(Planned::new(duration.clone(), operands, counts).failing())
}

/// Durations divided are numbers: both are brought to one unit, and then counted.
fn through_integers(planned: Planned, common: Option<DataType>) -> Planned {
    let Some(common) = common else { return planned };
    let kernel = planned.kernel.clone();
    let operands = vec![common; 2];
    let counted = move |operands: &mut [Operand], rows: usize| {
        for operand in operands.iter_mut() {
            let counts = arrow::compute::cast(operand.array(), &DataType::Int64)?;
            let floats = arrow::compute::cast(&counts, &DataType::Float64)?;
            *operand = match operand {
                Operand::Rows(_) => Operand::Rows(floats),
                Operand::One(_) => Operand::One(floats),
            };
        }
        kernel(operands, rows)
    };
    Planned::new(planned.data_type, operands, counted)
}

/// Plans the number with the other sign.
pub(super) fn negative(of: &Known) -> Result<Planned, Misfit> {
    let data_type = of.data_type.clone();
    let name = data_type.to_string();
    let planned = match &data_type {
        DataType::Null => return negative(&Known::of(&DataType::Int64)),
        DataType::Float64 => Planned::new(data_type.clone(), vec![data_type], |operands, _| {
            in_place::<Float64Type>(&mut operands[0], |x| -x)
        }),
        DataType::Float32 => Planned::new(data_type.clone(), vec![data_type], |operands, _| {
            in_place::<Float32Type>(&mut operands[0], |x| -x)
        }),
        other if other.is_signed_integer() || is_decimal(other) || matches!(other, DataType::Duration(_)) => {
            Planned::unary(data_type.clone(), data_type, move |array| numeric::neg(array).map_err(|_| overflows(&name)))
                .failing()
        }
        other => return Err(format!("`-` does not take {other}")),
    };
    Ok(planned)
}
