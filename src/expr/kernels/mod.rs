//! What is done with the values of a batch: one function per family says which types an operation takes and gives, and
//! gives the kernel that does it.

pub(super) mod arithmetic;
pub(super) mod choose;
pub(super) mod compare;
pub(super) mod convert;
pub mod list;
pub(super) mod logic;
pub(super) mod math;
pub(super) mod member;
pub mod text;
pub(super) mod text_edit;
pub(super) mod text_find;
pub mod time;
pub(super) mod time_parse;
pub(super) mod time_round;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Datum, UInt32Array, make_array, new_empty_array, new_null_array};
use arrow::buffer::NullBuffer;
use arrow::compute::take;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::types::Known;
use super::{Expr, Function};
use crate::error::{Error, Result};

/// The values of an operand.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    /// One for each row.
    Rows(ArrayRef),
    /// One for all rows: an array of length 1.
    One(ArrayRef),
}

/// Why a kernel did not do it.
#[derive(Debug)]
pub(super) enum Failure {
    /// For some row, which is yet to be found; the text says what is wrong with its values.
    Row(String),
    /// As a whole.
    Whole(Error),
}

pub(super) type Outcome = std::result::Result<ArrayRef, Failure>;

/// Gives one value for each row. Not all operands are [`Operand::One`], unless there is one row. A kernel that can fail
/// leaves its operands as they are.
pub(super) type Kernel = Arc<dyn Fn(&mut [Operand], usize) -> Outcome + Send + Sync>;

/// An operation of operands of known types.
#[derive(Clone)]
pub(super) struct Planned {
    /// The type of what it gives.
    pub data_type: DataType,
    /// The types to which its operands are brought.
    pub operands: Vec<DataType>,
    pub kernel: Kernel,
    /// Whether it may fail for some row.
    pub can_fail: bool,
    /// Whether a null operand makes it null.
    pub strict: bool,
}

impl Planned {
    pub fn new(
        data_type: DataType,
        operands: Vec<DataType>,
        kernel: impl Fn(&mut [Operand], usize) -> Outcome + Send + Sync + 'static,
    ) -> Planned {
        Planned { data_type, operands, kernel: Arc::new(kernel), can_fail: false, strict: true }
    }

    /// Of one array.
    pub fn unary(
        data_type: DataType,
        operand: DataType,
        kernel: impl Fn(&ArrayRef) -> Outcome + Send + Sync + 'static,
    ) -> Planned {
        Planned::new(data_type, vec![operand], move |operands, rows| kernel(&operands[0].to_rows(rows)?))
    }

    pub fn failing(self) -> Planned {
        Planned { can_fail: true, ..self }
    }

    pub fn lenient(self) -> Planned {
        Planned { strict: false, ..self }
    }
}

impl Operand {
    pub fn array(&self) -> &ArrayRef {
        match self {
            Operand::Rows(array) | Operand::One(array) => array,
        }
    }

    /// One value for each row.
    pub fn to_rows(&self, rows: usize) -> Outcome {
        match self {
            Operand::Rows(array) => Ok(array.clone()),
            Operand::One(array) => repeat(array, rows),
        }
    }

    /// Takes the array, so that it may be the only owner of its buffers.
    pub fn take(&mut self) -> ArrayRef {
        let empty = new_empty_array(&DataType::Null);
        match self {
            Operand::Rows(array) | Operand::One(array) => std::mem::replace(array, empty),
        }
    }

    /// The value where it is the same for all rows.
    pub fn one(&self) -> Option<&ArrayRef> {
        match self {
            Operand::One(array) => Some(array),
            Operand::Rows(_) => None,
        }
    }
}

impl Datum for Operand {
    fn get(&self) -> (&dyn Array, bool) {
        match self {
            Operand::Rows(array) => (array.as_ref(), false),
            Operand::One(array) => (array.as_ref(), true),
        }
    }
}

/// One value as often as there are rows.
pub(super) fn repeat(one: &ArrayRef, rows: usize) -> Outcome {
    if one.len() == rows {
        return Ok(one.clone());
    }
    if one.is_null(0) {
        return Ok(new_null_array(one.data_type(), rows));
    }
    Ok(take(one, &UInt32Array::from(vec![0; rows]), None)?)
}

/// The same values, null also where `nulls` says so.
pub(super) fn with_nulls(array: &dyn Array, nulls: Option<&NullBuffer>) -> Outcome {
    let all = NullBuffer::union(array.nulls(), nulls);
    let data = array.to_data().into_builder().nulls(all).build()?;
    Ok(make_array(data))
}

impl From<ArrowError> for Failure {
    fn from(error: ArrowError) -> Failure {
        let text = match error {
            ArrowError::CastError(text)
            | ArrowError::ComputeError(text)
            | ArrowError::ParseError(text)
            | ArrowError::ArithmeticOverflow(text)
            | ArrowError::InvalidArgumentError(text) => text,
            other => other.to_string(),
        };
        Failure::Row(format!("fails: {text}"))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Whole(error)
    }
}

/// Of another type than was promised: a defect.
pub(super) fn defect() -> Failure {
    Failure::Whole(Error::internal("a kernel is given another type than it takes"))
}

pub(super) fn as_boolean(array: &ArrayRef) -> std::result::Result<&BooleanArray, Failure> {
    array.as_any().downcast_ref::<BooleanArray>().ok_or_else(defect)
}

/// Why an operation does not take operands of these types.
pub(super) type Misfit = String;

/// Plans a function.
pub(super) fn plan_call(function: &Function, args: &[Known], exprs: &[Expr]) -> Result<Planned, Misfit> {
    match function {
        Function::Coalesce => choose::coalesce(args),
        Function::IsIn(values) => member::is_in(values, &one(args)?),
        Function::Replace(pairs) => member::replace(pairs, &one(args)?),
        Function::Math(function) => math::plan(*function, args, exprs),
        Function::Horizontal(function) => choose::horizontal(*function, args),
        Function::Text(function) => text::plan(function, args),
        Function::Time(function) => time::plan(function, &one(args)?),
        Function::List(function) => list::plan(function, args),
        Function::Field(name) => list::field(name, &one(args)?),
        Function::User(function) => user(function, args),
        Function::Invalid(reason) => Err(reason.to_string()),
    }
}

fn one(args: &[Known]) -> Result<Known, Misfit> {
    match args {
        [one] => Ok(one.clone()),
        _ => Err(format!("it takes one operand, not {}", args.len())),
    }
}

fn user(function: &super::UserFunction, args: &[Known]) -> Result<Planned, Misfit> {
    let takes: Vec<DataType> = match function.takes() {
        None => args.iter().map(|arg| arg.data_type.clone()).collect(),
        Some(takes) => {
            for (arg, take) in args.iter().zip(takes) {
                if super::types::cast_can_fail(&arg.data_type, take)
                    || super::types::is_text(take) != super::types::is_text(&arg.data_type)
                        && arg.data_type != DataType::Null
                {
                    return Err(format!("the function takes {take} and not {}: cast it first", arg.data_type));
                }
            }
            takes.to_vec()
        }
    };
    let (gives, function) = (function.data_type().clone(), function.clone());
    let call = move |operands: &mut [Operand], rows: usize| {
        let arrays = operands.iter().map(|operand| operand.to_rows(rows)).collect::<Result<Vec<_>, Failure>>()?;
        Ok(function.call(&arrays, rows)?)
    };
    Ok(Planned::new(gives, takes, call).failing().lenient())
}
