//! The value of an expression on a batch.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Datum, Float64Array, Int64Array, RecordBatch, Scalar, StringArray};
use arrow::compute::kernels::{boolean, cmp, numeric};
use arrow::compute::{cast, take};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::typing::operand_type;
use super::{BinaryOp, Expr, UnaryOp, Value, unknown_column};
use crate::error::{Error, ErrorKind, Result};

/// One value per row, or one for all rows.
enum Evaluated {
    Rows(ArrayRef),
    One(ArrayRef),
}

impl Expr {
    /// One value for each row of the batch.
    ///
    /// # Errors
    /// Of kind `Data`, where an operation fails (an integer overflows); of kind `Plan`, where the expression does not
    /// fit the batch.
    pub fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        match self.value(batch)? {
            Evaluated::Rows(array) => Ok(array),
            Evaluated::One(one) => {
                let firsts = arrow::array::UInt32Array::from(vec![0; batch.num_rows()]);
                take(&one, &firsts, None).map_err(failed)
            }
        }
    }

    /// Which rows a condition keeps: those for which it is true, and not null.
    ///
    /// # Errors
    /// As [`Expr::evaluate`].
    pub fn evaluate_mask(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        let array = self.evaluate(batch)?;
        let mask = array.as_any().downcast_ref::<BooleanArray>();
        mask.cloned().ok_or_else(|| Error::new(ErrorKind::Plan, format!("`{self}` is no condition")))
    }

    fn value(&self, batch: &RecordBatch) -> Result<Evaluated> {
        let rows = match self {
            Expr::Column(name) => match batch.column_by_name(name) {
                Some(column) => column.clone(),
                None => return Err(unknown_column(name, batch.schema_ref())),
            },
            Expr::Literal(value) => return Ok(Evaluated::One(value.to_array())),
            Expr::Alias(of, _) => return of.value(batch),
            Expr::Unary(op, of) => {
                let array = of.evaluate(batch)?;
                let result = match op {
                    UnaryOp::IsNull => boolean::is_null(&array),
                    UnaryOp::IsNotNull => boolean::is_not_null(&array),
                    UnaryOp::Not => boolean::not(as_boolean(&array)?),
                };
                Arc::new(result.map_err(failed)?)
            }
            Expr::Binary(left, op, right) => return binary(*op, &left.value(batch)?, &right.value(batch)?),
            Expr::Aggregate(..) => {
                return Err(Error::new(ErrorKind::Plan, format!("`{self}` stands outside of `agg`")));
            }
        };
        Ok(Evaluated::Rows(rows))
    }
}

impl Value {
    fn to_array(&self) -> ArrayRef {
        match self {
            Value::Boolean(value) => Arc::new(BooleanArray::from(vec![*value])),
            Value::Int(value) => Arc::new(Int64Array::from(vec![*value])),
            Value::Float(value) => Arc::new(Float64Array::from(vec![*value])),
            Value::Text(value) => Arc::new(StringArray::from(vec![&**value])),
        }
    }
}

impl Evaluated {
    fn array(&self) -> &ArrayRef {
        match self {
            Evaluated::Rows(array) | Evaluated::One(array) => array,
        }
    }

    fn cast(&self, to: &DataType) -> Result<Box<dyn Datum>> {
        let array = cast(self.array(), to).map_err(failed)?;
        Ok(match self {
            Evaluated::Rows(_) => Box::new(array),
            Evaluated::One(_) => Box::new(Scalar::new(array)),
        })
    }
}

fn binary(op: BinaryOp, left: &Evaluated, right: &Evaluated) -> Result<Evaluated> {
    let (left_type, right_type) = (left.array().data_type(), right.array().data_type());
    let common = operand_type(op, left_type, right_type).ok_or_else(|| {
        Error::new(ErrorKind::Plan, format!("`{}` does not take {left_type} and {right_type}", op.sign()))
    })?;
    let one = matches!((left, right), (Evaluated::One(_), Evaluated::One(_)));
    let (l, r) = (left.cast(&common)?, right.cast(&common)?);
    let (l, r): (&dyn Datum, &dyn Datum) = (&*l, &*r);
    let condition = |result: Result<BooleanArray, ArrowError>| result.map(|array| Arc::new(array) as ArrayRef);
    let result = match op {
        BinaryOp::Add => numeric::add(l, r),
        BinaryOp::Sub => numeric::sub(l, r),
        BinaryOp::Mul => numeric::mul(l, r),
        BinaryOp::Div => numeric::div(l, r),
        BinaryOp::Eq => condition(cmp::eq(l, r)),
        BinaryOp::NotEq => condition(cmp::neq(l, r)),
        BinaryOp::Lt => condition(cmp::lt(l, r)),
        BinaryOp::LtEq => condition(cmp::lt_eq(l, r)),
        BinaryOp::Gt => condition(cmp::gt(l, r)),
        BinaryOp::GtEq => condition(cmp::gt_eq(l, r)),
        BinaryOp::And | BinaryOp::Or => {
            let len = if one { 1 } else { left.array().len().max(right.array().len()) };
            let (l, r) = (left.rows(len)?, right.rows(len)?);
            let (l, r) = (as_boolean(&l)?, as_boolean(&r)?);
            condition(if op == BinaryOp::And { boolean::and_kleene(l, r) } else { boolean::or_kleene(l, r) })
        }
    };
    let result = result.map_err(failed)?;
    Ok(if one { Evaluated::One(result) } else { Evaluated::Rows(result) })
}

impl Evaluated {
    fn rows(&self, len: usize) -> Result<ArrayRef> {
        match self {
            Evaluated::Rows(array) => Ok(array.clone()),
            Evaluated::One(one) => take(one, &arrow::array::UInt32Array::from(vec![0; len]), None).map_err(failed),
        }
    }
}

fn as_boolean(array: &ArrayRef) -> Result<&BooleanArray> {
    let found = array.as_any().downcast_ref::<BooleanArray>();
    found.ok_or_else(|| Error::new(ErrorKind::Plan, format!("{} where a Boolean is needed", array.data_type())))
}

fn failed(error: ArrowError) -> Error {
    Error::with_source(ErrorKind::Data, "", error)
}

#[cfg(test)]
mod tests {
    use super::super::{col, lit};
    use super::*;

    fn batch() -> RecordBatch {
        let a: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]));
        let b: ArrayRef = Arc::new(Float64Array::from(vec![2.0, 0.5, 0.0]));
        let t: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), Some("y"), None]));
        RecordBatch::try_from_iter_with_nullable([("a", a, true), ("b", b, true), ("t", t, true)]).unwrap()
    }

    #[track_caller]
    fn check(expr: Expr, expected: &str) {
        let batch = batch();
        let array = expr.evaluate(&batch).unwrap();
        assert_eq!(array.data_type(), &expr.data_type(batch.schema_ref()).unwrap(), "{expr}");
        let options = arrow::util::display::FormatOptions::new().with_null("-");
        let shown = arrow::util::display::ArrayFormatter::try_new(&array, &options).unwrap();
        let rows: Vec<String> = (0..array.len()).map(|row| shown.value(row).to_string()).collect();
        assert_eq!(rows.join(" "), expected, "{expr}");
    }

    #[test]
    fn values_and_types() {
        check(col("a") + 1, "2 - 4");
        check(col("a") * col("b"), "2.0 - 0.0");
        check(col("a") / 2, "0.5 - 1.5");
        check(col("a") / 0, "inf - inf");
        check(lit(1) - col("b"), "-1.0 0.5 1.0");
        check(lit(1) + 2, "3 3 3");
        check(col("a").gt(1), "false - true");
        check(col("b").le(0.5), "false true true");
        check(col("t").eq("x"), "true false -");
        check(col("t").is_null() | col("a").ge(1), "true - true");
        check(col("a").is_not_null() & true, "true false true");
        check(!col("a").is_null(), "true false true");
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let schema = batch().schema();
        let text = |expr: Expr| expr.data_type(&schema).unwrap_err().to_string();
        assert_eq!(text(col("t") + 1), "`t + 1`: `+` does not take Utf8 and Int64");
        assert_eq!(text(col("t").mean()), "`mean` of `t`, which is Utf8");
        assert_eq!(text(col("A").sum()), "column `A` not found; columns are a, b, t (did you mean `a`?)");
        assert_eq!(text(!col("a")), "`!` needs a Boolean, and `a` is a Int64");
        let overflow = (col("a") + i64::MAX).evaluate(&batch()).unwrap_err();
        assert_eq!(overflow.kind(), ErrorKind::Data);
    }

    #[test]
    fn names_and_columns() {
        let expr = (col("b") / col("a")).mean().alias("m");
        assert_eq!((&*expr.output_name(), &*(col("b") / col("a")).output_name()), ("m", "b"));
        assert_eq!(expr.columns().into_iter().collect::<Vec<_>>(), ["a".into(), "b".into()]);
        assert!(expr.has_aggregate() && expr.as_aggregate().is_some());
    }
}
