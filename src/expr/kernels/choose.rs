//! Values of one of several operands: conditions, the first that is not null, the least and the greatest of a row.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray, downcast_primitive};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::kernels::{boolean, zip::zip};
use arrow::datatypes::{DataType, Float32Type, Float64Type};

use super::super::types::{Known, common_of, sum_type};
use super::super::{BinaryOp, Horizontal, Value};
use super::{Misfit, Operand, Outcome, Planned, as_boolean, compare, defect, logic};

/// Plans the value of the first true condition: operands are condition, value, condition, value, …, and the value of none.
pub(in super::super) fn case(conditions: &[Known], values: &[Known]) -> Result<Planned, Misfit> {
    for condition in conditions {
        if !matches!(condition.data_type, DataType::Boolean | DataType::Null) {
            return Err(format!("a condition has to be a Boolean, and one is a {}", condition.data_type));
        }
    }
    let data_type = common_of(values).ok_or_else(|| misfit(values))?;
    let mut operands = Vec::with_capacity(conditions.len() + values.len());
    for _ in conditions {
        operands.extend([DataType::Boolean, data_type.clone()]);
    }
    operands.push(data_type.clone());
    let kernel = |operands: &mut [Operand], rows: usize| {
        let Some((last, branches)) = operands.split_last() else { return Err(defect()) };
        let mut chosen = last.clone();
        for pair in branches.chunks_exact(2).rev() {
            let mask = pair[0].to_rows(rows)?;
            let mask = logic::true_rows(as_boolean(&mask)?);
            chosen = Operand::Rows(select(&mask, &pair[1], &chosen)?);
        }
        chosen.to_rows(rows)
    };
    Ok(Planned::new(data_type, operands, kernel).lenient())
}

fn misfit(values: &[Known]) -> String {
    let types: Vec<String> = values.iter().map(|value| value.data_type.to_string()).collect();
    format!("no type holds {}: cast some of them", types.join(" and "))
}

/// Of the first where the mask is set, else of the second.
pub(super) fn select(mask: &BooleanBuffer, left: &Operand, right: &Operand) -> Outcome {
    macro_rules! primitive {
        ($t:ty) => {
            select_primitive::<$t>(mask, left, right)
        };
    }
    downcast_primitive! {
        left.array().data_type() => (primitive),
        _ => {
            let mask = BooleanArray::new(mask.clone(), None);
            Ok(zip(&mask, left, right)?)
        }
    }
}

fn select_primitive<T: ArrowPrimitiveType>(mask: &BooleanBuffer, left: &Operand, right: &Operand) -> Outcome {
    let of = |operand: &Operand| operand.array().as_primitive_opt::<T>().cloned().ok_or_else(defect);
    let (l, r) = (of(left)?, of(right)?);
    let rows = mask.len();
    let one = |operand: &Operand| matches!(operand, Operand::One(_)) && rows != 1;
    let mut values: Vec<T::Native> = match right {
        _ if one(right) => vec![r.value(0); rows],
        _ => r.values().to_vec(),
    };
    match one(left) {
        true => {
            let value = l.value(0);
            each_word(mask, &mut values, |_, word, values| {
                for (bit, old) in values.iter_mut().enumerate() {
                    *old = if (word >> bit) & 1 == 1 { value } else { *old };
                }
            });
        }
        false => each_word(mask, &mut values, |start, word, values| {
            for (bit, (old, new)) in values.iter_mut().zip(&l.values()[start..]).enumerate() {
                *old = if (word >> bit) & 1 == 1 { *new } else { *old };
            }
        }),
    }
    let bits = |operand: &Operand, of: &PrimitiveArray<T>| match of.nulls() {
        _ if one(operand) => of.is_null(0).then(|| BooleanBuffer::new_unset(rows)),
        nulls => nulls.map(|nulls| nulls.inner().clone()),
    };
    let nulls = match (bits(left, &l), bits(right, &r)) {
        (None, None) => None,
        (l, r) => {
            let all = || BooleanBuffer::new_set(rows);
            let (l, r) = (l.unwrap_or_else(all), r.unwrap_or_else(all));
            Some(NullBuffer::new(&(mask & &l) | &(&!mask & &r)))
        }
    };
    let array = PrimitiveArray::<T>::new(values.into(), nulls);
    Ok(Arc::new(array.with_data_type(left.array().data_type().clone())))
}

/// Goes over values with the bits of the mask, 64 at a time, where one of them is set.
fn each_word<V>(mask: &BooleanBuffer, values: &mut [V], mut change: impl FnMut(usize, u64, &mut [V])) {
    let chunks = mask.bit_chunks();
    for (at, (word, values)) in chunks.iter_padded().zip(values.chunks_mut(64)).enumerate() {
        if word != 0 {
            change(64 * at, word, values);
        }
    }
}

/// Plans the first value that is not null.
pub(super) fn coalesce(args: &[Known]) -> Result<Planned, Misfit> {
    if args.is_empty() {
        return Err("it takes at least one operand".to_string());
    }
    let data_type = common_of(args).ok_or_else(|| misfit(args))?;
    let kernel = |operands: &mut [Operand], rows: usize| {
        let Some((first, others)) = operands.split_first() else { return Err(defect()) };
        let mut filled = first.clone();
        for other in others {
            let array = filled.array();
            let Some(nulls) = array.logical_nulls().filter(|nulls| nulls.null_count() > 0) else { break };
            filled = match &filled {
                Operand::One(_) => other.clone(),
                Operand::Rows(_) => Operand::Rows(select(nulls.inner(), &filled, other)?),
            };
        }
        filled.to_rows(rows)
    };
    Ok(Planned::new(data_type.clone(), vec![data_type; args.len()], kernel).lenient())
}

/// Plans a function of several columns.
pub(super) fn horizontal(function: Horizontal, args: &[Known]) -> Result<Planned, Misfit> {
    if args.is_empty() {
        return Err("it takes at least one operand".to_string());
    }
    let common = common_of(args).ok_or_else(|| misfit(args))?;
    let many = |data_type: &DataType| vec![data_type.clone(); args.len()];
    match function {
        Horizontal::Min | Horizontal::Max => {
            if common.is_nested() {
                return Err(format!("it does not take {common}"));
            }
            let op = if function == Horizontal::Min { BinaryOp::Lt } else { BinaryOp::Gt };
            let kernel = move |operands: &mut [Operand], rows: usize| {
                let mut best = operands[0].to_rows(rows)?;
                for other in &operands[1..] {
                    best = better(op, best, other.to_rows(rows)?, rows)?;
                }
                Ok(best)
            };
            Ok(Planned::new(common.clone(), many(&common), kernel).lenient())
        }
        Horizontal::Sum => {
            let data_type = sum_type(&common).ok_or_else(|| format!("it does not take {common}"))?;
            let sum = super::arithmetic::plan(BinaryOp::Add, &Known::of(&data_type), &Known::of(&data_type))?;
            let zero = Value::Int(0).to_array_of(&data_type).ok_or("there is no 0 of that type")?;
            let kernel = move |operands: &mut [Operand], rows: usize| {
                let filled = |operand: &Operand| -> Outcome {
                    let array = operand.to_rows(rows)?;
                    match array.nulls() {
                        Some(nulls) if nulls.null_count() > 0 => {
                            select(nulls.inner(), &Operand::Rows(array.clone()), &Operand::One(zero.clone()))
                        }
                        _ => Ok(array),
                    }
                };
                let mut total = filled(&operands[0])?;
                for other in &operands[1..] {
                    total = (sum.kernel)(&mut [Operand::Rows(total), Operand::Rows(filled(other)?)], rows)?;
                }
                Ok(total)
            };
            let planned = Planned::new(data_type.clone(), many(&data_type), kernel).lenient();
            Ok(if data_type.is_integer() { planned.failing() } else { planned })
        }
        Horizontal::Any | Horizontal::All => {
            if !matches!(common, DataType::Boolean | DataType::Null) {
                return Err(format!("it takes Booleans, not {common}"));
            }
            let all = function == Horizontal::All;
            let kernel = move |operands: &mut [Operand], rows: usize| {
                let mut result = if all { BooleanBuffer::new_set(rows) } else { BooleanBuffer::new_unset(rows) };
                for operand in operands.iter() {
                    let array = operand.to_rows(rows)?;
                    let array = as_boolean(&array)?;
                    result = match all {
                        // What is null does not count: true of all.
                        true => !&(&logic::true_rows(&boolean::not(array)?) | &!&result),
                        false => &result | &logic::true_rows(array),
                    };
                }
                Ok(Arc::new(BooleanArray::new(result, None)) as ArrayRef)
            };
            Ok(Planned::new(DataType::Boolean, many(&DataType::Boolean), kernel).lenient())
        }
    }
}

/// The lesser (or greater) of two; the other where one is null or NaN.
fn better(op: BinaryOp, left: ArrayRef, right: ArrayRef, rows: usize) -> Outcome {
    let mut operands = [Operand::Rows(left), Operand::Rows(right)];
    let is_less = compare::any(op, &mut operands, rows)?;
    let [left, right] = operands;
    let mut keep = logic::true_rows(as_boolean(&is_less)?);
    // NaN is not less than anything: it gives way.
    if let Some(nan) = nan_rows(right.array()) {
        keep = &keep | &nan;
    }
    if let Some(nulls) = right.array().logical_nulls() {
        keep = &keep | &!nulls.inner();
    }
    if let Some(nulls) = left.array().logical_nulls() {
        keep = &keep & nulls.inner();
    }
    select(&keep, &left, &right)
}

fn nan_rows(array: &ArrayRef) -> Option<BooleanBuffer> {
    match array.data_type() {
        DataType::Float64 => Some(compare::with_one(array.as_primitive_opt::<Float64Type>()?.values(), f64::is_nan)),
        DataType::Float32 => Some(compare::with_one(array.as_primitive_opt::<Float32Type>()?.values(), f32::is_nan)),
        _ => None,
    }
}
