//! And, or, not; tests for null.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::kernels::boolean;
use arrow::compute::take;
use arrow::datatypes::{DataType, Int32Type};

use super::super::types::Known;
use super::super::{BinaryOp, UnaryOp};
use super::compare::with_one;
use super::{Misfit, Operand, Outcome, Planned, as_boolean};

/// Plans `And`, `Or` and `Xor`.
pub(in super::super) fn plan(op: BinaryOp, left: &Known, right: &Known) -> Result<Planned, Misfit> {
    for of in [left, right] {
        if !matches!(of.data_type, DataType::Boolean | DataType::Null) {
            return Err(format!("`{}` does not take {} and {}", op.sign(), left.data_type, right.data_type));
        }
    }
    let kernel = move |operands: &mut [Operand], rows: usize| -> Outcome {
        let (left, right) = (operands[0].to_rows(rows)?, operands[1].to_rows(rows)?);
        let (left, right) = (as_boolean(&left)?, as_boolean(&right)?);
        Ok(Arc::new(match op {
            BinaryOp::And => boolean::and_kleene(left, right)?,
            BinaryOp::Or => boolean::or_kleene(left, right)?,
            _ => BooleanArray::new(left.values() ^ right.values(), NullBuffer::union(left.nulls(), right.nulls())),
        }))
    };
    let planned = Planned::new(DataType::Boolean, vec![DataType::Boolean; 2], kernel);
    Ok(if op == BinaryOp::Xor { planned } else { planned.lenient() })
}

/// Plans tests for null, and `Not`.
pub(in super::super) fn unary(op: UnaryOp, of: &Known) -> Result<Planned, Misfit> {
    match op {
        UnaryOp::Not => {
            if !matches!(of.data_type, DataType::Boolean | DataType::Null) {
                return Err(format!("`!` needs a Boolean and not a {}", of.data_type));
            }
            Ok(Planned::unary(DataType::Boolean, DataType::Boolean, |array| {
                Ok(Arc::new(boolean::not(as_boolean(array)?)?))
            }))
        }
        UnaryOp::IsNull | UnaryOp::IsNotNull => {
            let wanted = op == UnaryOp::IsNull;
            let planned =
                Planned::unary(DataType::Boolean, of.data_type.clone(), move |array| Ok(nulls(array, wanted)));
            Ok(planned.lenient())
        }
        UnaryOp::Negative => super::arithmetic::negative(of),
    }
}

fn nulls(array: &ArrayRef, wanted: bool) -> ArrayRef {
    let values = match array.logical_nulls() {
        None => BooleanBuffer::collect_bool(array.len(), |_| !wanted),
        Some(nulls) if wanted => !nulls.inner(),
        Some(nulls) => nulls.inner().clone(),
    };
    Arc::new(BooleanArray::new(values, None))
}

/// The rows for which it is true: no nulls.
pub(in super::super) fn true_rows(mask: &BooleanArray) -> BooleanBuffer {
    match mask.nulls() {
        Some(nulls) if nulls.null_count() > 0 => mask.values() & nulls.inner(),
        _ => mask.values().clone(),
    }
}

/// The rows of a branch, or those of the branches behind it, among the rows that come to it.
pub(in super::super) fn guard(operands: &[Operand], rows: usize, then: bool) -> Outcome {
    let condition = operands[0].to_rows(rows)?;
    let mut chosen = true_rows(as_boolean(&condition)?);
    if !then {
        chosen = !&chosen;
    }
    if let Some(rest) = operands.get(1) {
        chosen = &chosen & &true_rows(as_boolean(&rest.to_rows(rows)?)?);
    }
    Ok(Arc::new(BooleanArray::new(chosen, None)))
}

/// Of truth values of a dictionary those of its rows.
pub(in super::super) fn spread(values: &BooleanArray, keys: &dyn Array) -> Outcome {
    let Some(codes) = keys.as_primitive_opt::<Int32Type>().filter(|_| values.null_count() == 0) else {
        return Ok(take(values, keys, None)?);
    };
    let table: Vec<bool> = values.values().iter().collect();
    // What stands under a null may be no code.
    let spread = with_one(codes.values(), |code| table.get(code as usize).copied().unwrap_or(false));
    Ok(Arc::new(BooleanArray::new(spread, codes.nulls().cloned())))
}
