//! The type of an expression, known before anything runs.

use arrow::datatypes::{DataType, Schema};

use super::{Aggregate, BinaryOp, Expr, UnaryOp, Value, unknown_column};
use crate::error::{Error, ErrorKind, Result};

impl Expr {
    /// The type it has over tables of a schema.
    ///
    /// # Errors
    /// Of kind `Plan`, where a column is not there or the operands do not fit.
    pub fn data_type(&self, schema: &Schema) -> Result<DataType> {
        match self {
            Expr::Column(name) => match schema.field_with_name(name) {
                Ok(field) => Ok(field.data_type().clone()),
                Err(_) => Err(unknown_column(name, schema)),
            },
            Expr::Literal(value) => Ok(value.data_type()),
            Expr::Alias(of, _) => of.data_type(schema),
            Expr::Unary(UnaryOp::IsNull | UnaryOp::IsNotNull, of) => {
                of.data_type(schema)?;
                Ok(DataType::Boolean)
            }
            Expr::Unary(UnaryOp::Not, of) => match of.data_type(schema)? {
                DataType::Boolean => Ok(DataType::Boolean),
                other => Err(misfit(format!("`!` needs a Boolean, and `{of}` is a {other}"))),
            },
            Expr::Binary(left, op, right) => {
                let (left, right) = (left.data_type(schema)?, right.data_type(schema)?);
                let operands = operand_type(*op, &left, &right)
                    .ok_or_else(|| misfit(format!("`{self}`: `{}` does not take {left} and {right}", op.sign())))?;
                Ok(if op.is_arithmetic() { operands } else { DataType::Boolean })
            }
            Expr::Aggregate(aggregate, of) => {
                let of_type = of.data_type(schema)?;
                aggregate
                    .data_type(&of_type)
                    .ok_or_else(|| misfit(format!("`{}` of `{of}`, which is {of_type}", aggregate.name())))
            }
        }
    }

    /// The aggregate and what it is taken of, where the expression is one (under a name or not).
    pub fn as_aggregate(&self) -> Option<(Aggregate, &Expr)> {
        let mut expr = self;
        while let Expr::Alias(of, _) = expr {
            expr = of;
        }
        match expr {
            Expr::Aggregate(aggregate, of) => Some((*aggregate, of)),
            Expr::Column(_) | Expr::Literal(_) | Expr::Alias(..) | Expr::Unary(..) | Expr::Binary(..) => None,
        }
    }

    /// Whether there is an aggregate somewhere in it.
    pub fn has_aggregate(&self) -> bool {
        let mut open = vec![self];
        while let Some(expr) = open.pop() {
            match expr {
                Expr::Aggregate(..) => return true,
                Expr::Column(_) | Expr::Literal(_) => {}
                Expr::Alias(of, _) | Expr::Unary(_, of) => open.push(of),
                Expr::Binary(left, _, right) => open.extend([&**left, &**right]),
            }
        }
        false
    }
}

impl Value {
    /// Its type.
    pub fn data_type(&self) -> DataType {
        match self {
            Value::Boolean(_) => DataType::Boolean,
            Value::Int(_) => DataType::Int64,
            Value::Float(_) => DataType::Float64,
            Value::Text(_) => DataType::Utf8,
        }
    }
}

impl BinaryOp {
    pub(super) fn is_arithmetic(self) -> bool {
        match self {
            BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div => true,
            BinaryOp::Eq
            | BinaryOp::NotEq
            | BinaryOp::Lt
            | BinaryOp::LtEq
            | BinaryOp::Gt
            | BinaryOp::GtEq
            | BinaryOp::And
            | BinaryOp::Or => false,
        }
    }
}

impl Aggregate {
    /// The type of the aggregate of values of a type, if it has one.
    pub fn data_type(self, of: &DataType) -> Option<DataType> {
        match self {
            Aggregate::Count => Some(DataType::Int64),
            Aggregate::Sum if of.is_integer() => Some(DataType::Int64),
            Aggregate::Sum | Aggregate::Mean if of.is_integer() || of.is_floating() => Some(DataType::Float64),
            Aggregate::Sum | Aggregate::Mean => None,
        }
    }
}

/// The type to which both operands are brought, if there is one.
pub(super) fn operand_type(op: BinaryOp, left: &DataType, right: &DataType) -> Option<DataType> {
    let number = |of: &DataType| of.is_integer() || of.is_floating();
    let numbers = if number(left) && number(right) {
        let both_integers = left.is_integer() && right.is_integer();
        Some(if both_integers { DataType::Int64 } else { DataType::Float64 })
    } else {
        None
    };
    match op {
        BinaryOp::Div => numbers.map(|_| DataType::Float64),
        BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul => numbers,
        BinaryOp::And | BinaryOp::Or => (left == right && *left == DataType::Boolean).then_some(DataType::Boolean),
        BinaryOp::Eq | BinaryOp::NotEq | BinaryOp::Lt | BinaryOp::LtEq | BinaryOp::Gt | BinaryOp::GtEq => {
            numbers.or_else(|| (left == right && !left.is_nested()).then(|| left.clone()))
        }
    }
}

fn misfit(text: String) -> Error {
    Error::new(ErrorKind::Plan, text)
}
