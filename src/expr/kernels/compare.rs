//! Comparisons. NaN compares as IEEE says; 0.0 equals -0.0.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, downcast_primitive};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow::compute::kernels::cmp;
use arrow::datatypes::{DataType, Float32Type};

use super::super::BinaryOp;
use super::super::types::{Known, common, is_temporal, is_text};
use super::{Failure, Misfit, Operand, Outcome, Planned};

/// Plans a comparison.
pub(in super::super) fn plan(op: BinaryOp, left: &Known, right: &Known) -> Result<Planned, Misfit> {
    let misfit = || {
        let (l, r) = (&left.data_type, &right.data_type);
        let hint = match (l, r) {
            (l, r) if is_text(l) != is_text(r) && (l.is_numeric() || r.is_numeric()) => ": cast one of them",
            (l, r) if l.is_integer() && r.is_integer() => ": no integer type holds both, cast one of them",
            (l, r) if is_temporal(l) && is_temporal(r) => {
                ": only one of them has a time zone, or they are of other kinds"
            }
            _ => "",
        };
        format!("`{}` does not take {l} and {r}{hint}", op.sign())
    };
    let constant = left.value.is_some() || right.value.is_some();
    let common = match common(left, right) {
        Some(common) => common,
        // A negative constant beside `UInt64`: no integer type holds both, but they compare.
        None if constant && left.data_type.is_integer() && right.data_type.is_integer() => DataType::Decimal128(20, 0),
        None => return Err(misfit()),
    };
    let operands = vec![common.clone(); 2];
    match common {
        DataType::Float16 => {
            let operands = vec![DataType::Float32; 2];
            Ok(Planned::new(DataType::Boolean, operands, move |of, rows| numbers::<Float32Type>(op, of, rows)))
        }
        DataType::Null => {
            Ok(Planned::new(DataType::Boolean, operands, |_, rows| Ok(Arc::new(BooleanArray::new_null(rows)))))
        }
        other if other.is_nested() => Err(misfit()),
        DataType::Interval(_) if !matches!(op, BinaryOp::Eq | BinaryOp::NotEq) => Err(misfit()),
        _ => Ok(Planned::new(DataType::Boolean, operands, move |of, rows| any(op, of, rows))),
    }
}

/// As Arrow compares them.
fn others(op: BinaryOp, left: &Operand, right: &Operand) -> Result<BooleanArray, Failure> {
    Ok(match op {
        BinaryOp::Eq => cmp::eq(left, right),
        BinaryOp::NotEq => cmp::neq(left, right),
        BinaryOp::Lt => cmp::lt(left, right),
        BinaryOp::LtEq => cmp::lt_eq(left, right),
        BinaryOp::Gt => cmp::gt(left, right),
        _ => cmp::gt_eq(left, right),
    }?)
}

/// Of values of any type, as an array of truth values.
pub(super) fn any(op: BinaryOp, operands: &mut [Operand], rows: usize) -> Outcome {
    macro_rules! primitive {
        ($t:ty) => {
            numbers::<$t>(op, operands, rows)
        };
    }
    let data_type = operands[0].array().data_type().clone();
    // Wide integers are compared faster by Arrow where the processor is not known to have an instruction for them.
    let wide = data_type.primitive_width().is_some_and(|width| width >= 8) && data_type != DataType::Float64;
    if wide || data_type == DataType::Float16 {
        return Ok(Arc::new(others(op, &operands[0], &operands[1])?));
    }
    downcast_primitive! {
        data_type => (primitive),
        _ => Ok(Arc::new(others(op, &operands[0], &operands[1])?))
    }
}

fn numbers<T: ArrowPrimitiveType>(op: BinaryOp, operands: &[Operand], rows: usize) -> Outcome
where
    T::Native: PartialOrd,
{
    let op_for_swapped = match op {
        BinaryOp::Lt => BinaryOp::Gt,
        BinaryOp::LtEq => BinaryOp::GtEq,
        BinaryOp::Gt => BinaryOp::Lt,
        BinaryOp::GtEq => BinaryOp::LtEq,
        other => other,
    };
    let (op, left, right) = match (&operands[0], &operands[1]) {
        (Operand::One(one), Operand::Rows(rows)) => (op_for_swapped, rows, &Operand::One(one.clone())),
        (left, right) => (op, left.array(), right),
    };
    fn of<T: ArrowPrimitiveType>(array: &ArrayRef) -> Result<&arrow::array::PrimitiveArray<T>, Failure> {
        array.as_primitive_opt::<T>().ok_or_else(super::defect)
    }
    let left = of::<T>(left)?;
    let (values, nulls) = match right {
        Operand::One(one) => {
            let one = of::<T>(one)?;
            if one.is_null(0) {
                return Ok(Arc::new(BooleanArray::new_null(rows)));
            }
            let (left_values, one) = (left.values(), one.value(0));
            let values = match op {
                BinaryOp::Eq => with_one(left_values, |x| x == one),
                BinaryOp::NotEq => with_one(left_values, |x| x != one),
                BinaryOp::Lt => with_one(left_values, |x| x < one),
                BinaryOp::LtEq => with_one(left_values, |x| x <= one),
                BinaryOp::Gt => with_one(left_values, |x| x > one),
                _ => with_one(left_values, |x| x >= one),
            };
            (values, left.nulls().cloned())
        }
        Operand::Rows(right) => {
            let right = of::<T>(right)?;
            let (a, b) = (left.values(), right.values());
            let values = match op {
                BinaryOp::Eq => with_rows(a, b, |x, y| x == y),
                BinaryOp::NotEq => with_rows(a, b, |x, y| x != y),
                BinaryOp::Lt => with_rows(a, b, |x, y| x < y),
                BinaryOp::LtEq => with_rows(a, b, |x, y| x <= y),
                BinaryOp::Gt => with_rows(a, b, |x, y| x > y),
                _ => with_rows(a, b, |x, y| x >= y),
            };
            (values, NullBuffer::union(left.nulls(), right.nulls()))
        }
    };
    Ok(Arc::new(BooleanArray::new(values, nulls)))
}

/// The bits of 64 truth values: eight bytes of 0 and 1 become eight bits by one multiplication.
fn word(truths: &[bool; 64]) -> u64 {
    let mut word = 0;
    for (at, eight) in truths.as_chunks::<8>().0.iter().enumerate() {
        let bytes = u64::from_le_bytes(eight.map(u8::from));
        word |= (bytes.wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * at);
    }
    word
}

pub(super) fn with_one<T: Copy>(values: &[T], test: impl Fn(T) -> bool) -> BooleanBuffer {
    let (chunks, rest) = values.as_chunks::<64>();
    let mut words: Vec<u64> = Vec::with_capacity(chunks.len() + 1);
    let mut truths = [false; 64];
    for chunk in chunks {
        for (truth, value) in truths.iter_mut().zip(chunk) {
            *truth = test(*value);
        }
        words.push(word(&truths).to_le());
    }
    if !rest.is_empty() {
        truths = [false; 64];
        for (truth, value) in truths.iter_mut().zip(rest) {
            *truth = test(*value);
        }
        words.push(word(&truths).to_le());
    }
    BooleanBuffer::new(Buffer::from_vec(words), 0, values.len())
}

fn with_rows<T: Copy>(left: &[T], right: &[T], test: impl Fn(T, T) -> bool) -> BooleanBuffer {
    let len = left.len().min(right.len());
    let ((chunks, rest), (others, other_rest)) = (left[..len].as_chunks::<64>(), right[..len].as_chunks::<64>());
    let mut words: Vec<u64> = Vec::with_capacity(chunks.len() + 1);
    let mut truths = [false; 64];
    for (chunk, other) in chunks.iter().zip(others) {
        for ((truth, x), y) in truths.iter_mut().zip(chunk).zip(other) {
            *truth = test(*x, *y);
        }
        words.push(word(&truths).to_le());
    }
    if !rest.is_empty() {
        truths = [false; 64];
        for ((truth, x), y) in truths.iter_mut().zip(rest).zip(other_rest) {
            *truth = test(*x, *y);
        }
        words.push(word(&truths).to_le());
    }
    BooleanBuffer::new(Buffer::from_vec(words), 0, len)
}
