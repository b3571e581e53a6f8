//! Expressions made simpler without a change of values, types, nulls or errors.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};

use super::compile::{Compiler, Place};
use super::tree::negated;
use super::value::logical;
use super::{BinaryOp, Expr, Function, Lookup, UnaryOp, Value};

impl Expr {
    /// A simpler expression of the same values, type, nulls and errors, under the same name: what is made of constants is
    /// computed, `!!x`, `x & true` and names inside of it go away, `!` moves to comparisons. What does not fit the schema stays as
    /// it is.
    ///
    /// ```
    /// use arrow::datatypes::{Field, Schema};
    /// use chunkwise::prelude::*;
    ///
    /// let schema = Schema::new(vec![Field::new("a", DataType::Int64, true)]);
    /// let condition = !!(col("a").gt(lit(2) * 3) & true);
    /// assert_eq!(condition.simplified(&schema).to_string(), "a > Int64(6)");
    /// ```
    #[must_use]
    pub fn simplified(&self, schema: &Schema) -> Expr {
        self.simplified_in(&Lookup::new(schema))
    }

    /// As [`Expr::simplified`], for one of many.
    pub(crate) fn simplified_in(&self, schema: &Lookup<'_>) -> Expr {
        let name = self.output_name();
        let affixed = matches!(self, Expr::Alias(..) | Expr::Affix(..));
        let simple = self.unnamed().rebuild(|expr| simple(expr, schema));
        if affixed { Expr::Alias(Arc::new(simple), name) } else { simple.named(&name) }
    }
}

/// A part whose operands are simple already.
fn simple(expr: Expr, schema: &Lookup<'_>) -> Expr {
    match &expr {
        Expr::Alias(of, _) | Expr::Affix(of, ..) => (**of).clone(),
        Expr::Cast(of, to, lossy) => match &**of {
            // Of the type already; a cast of a literal is computed.
            of if !*lossy && !matches!(of, Expr::Literal(_)) && shallow_type(of, schema).as_ref() == Some(to) => {
                of.clone()
            }
            _ => folded(expr, schema),
        },
        Expr::Unary(UnaryOp::Not, of) => not(of, schema).unwrap_or_else(|| folded(expr, schema)),
        Expr::Unary(UnaryOp::Negative, of) => match &**of {
            Expr::Literal(Value::Int(value)) if *value != i64::MIN => Expr::Literal(Value::Int(-value)),
            Expr::Literal(Value::Float(value)) => Expr::Literal(Value::Float(-value)),
            _ => folded(expr, schema),
        },
        Expr::Binary(left, op @ (BinaryOp::And | BinaryOp::Or), right) => {
            connected(left, *op, right, schema).unwrap_or_else(|| folded(expr, schema))
        }
        Expr::Case(branches, otherwise) => {
            chosen(branches, otherwise.as_deref(), schema).unwrap_or_else(|| folded(expr, schema))
        }
        Expr::Unary(..) | Expr::Binary(..) | Expr::Call(..) => folded(expr, schema),
        _ => expr,
    }
}

/// The type of a column or of a cast, which is known without looking further.
fn shallow_type(expr: &Expr, schema: &Lookup<'_>) -> Option<DataType> {
    match expr {
        Expr::Column(name) => schema.field(name).map(|field| field.data_type().clone()),
        Expr::Cast(_, to, _) => Some(to.clone()),
        Expr::Literal(Value::Typed(array)) => Some(array.data_type().clone()),
        _ => None,
    }
}

/// Its value, where it is made of constants alone, and does not fail.
fn folded(expr: Expr, schema: &Lookup<'_>) -> Expr {
    let operands = expr.operands();
    if operands.is_empty()
        || matches!(&expr, Expr::Call(Function::User(_) | Function::Invalid(_), _))
        || !operands.iter().all(|operand| matches!(operand, Expr::Literal(_)))
    {
        return expr;
    }
    let mut compiler = Compiler::new(schema);
    match compiler.add(&expr) {
        Ok(part) => match part.place {
            Place::Constant(at) => {
                let array = compiler.constants[at].clone();
                if array.data_type() == &part.data_type { Expr::Literal(Value::Typed(array)) } else { expr.clone() }
            }
            _ => expr.clone(),
        },
        Err(_) => expr.clone(),
    }
}

fn not(of: &Expr, schema: &Lookup<'_>) -> Option<Expr> {
    if let Some(inner) = negated(of) {
        return Some(inner.clone());
    }
    match of {
        Expr::Unary(UnaryOp::IsNull, inner) => Some(Expr::Unary(UnaryOp::IsNotNull, inner.clone())),
        Expr::Unary(UnaryOp::IsNotNull, inner) => Some(Expr::Unary(UnaryOp::IsNull, inner.clone())),
        Expr::Binary(left, op, right) => {
            let opposite = match op {
                BinaryOp::Eq => BinaryOp::NotEq,
                BinaryOp::NotEq => BinaryOp::Eq,
                // With NaN both are false.
                BinaryOp::Lt | BinaryOp::LtEq | BinaryOp::Gt | BinaryOp::GtEq
                    if [left, right].iter().all(|side| no_float(side, schema)) =>
                {
                    match op {
                        BinaryOp::Lt => BinaryOp::GtEq,
                        BinaryOp::LtEq => BinaryOp::Gt,
                        BinaryOp::Gt => BinaryOp::LtEq,
                        _ => BinaryOp::Lt,
                    }
                }
                _ => return None,
            };
            Some(Expr::Binary(left.clone(), opposite, right.clone()))
        }
        _ => None,
    }
}

/// Whether it is certainly no float: by its own type, and as an integer literal of none.
fn no_float(expr: &Expr, schema: &Lookup<'_>) -> bool {
    match expr {
        Expr::Literal(value) => !value.data_type().is_floating() && !matches!(value, Value::Null),
        other => shallow_type(other, schema).is_some_and(|data_type| !logical(&data_type).is_floating()),
    }
}

fn connected(left: &Expr, op: BinaryOp, right: &Expr, schema: &Lookup<'_>) -> Option<Expr> {
    let constant = |expr: &Expr| if let Expr::Literal(value) = expr { value.as_bool() } else { None };
    // `x & x` is `x`: the same part, so that it is found without a long look.
    if left == right && is_condition(left, schema) {
        return Some(left.clone());
    }
    let (value, other) = match (constant(left), constant(right)) {
        (Some(value), _) => (value, right),
        (_, Some(value)) => (value, left),
        _ => return None,
    };
    if value == (op == BinaryOp::And) {
        return is_condition(other, schema).then(|| other.clone());
    }
    // Whatever the other is, unless it fails.
    (is_condition(other, schema) && !other.can_fail_in(schema)).then(|| Expr::Literal(Value::Boolean(value)))
}

/// Whether it certainly is of type Boolean, seen from its outermost operation.
fn is_condition(expr: &Expr, schema: &Lookup<'_>) -> bool {
    match expr {
        Expr::Literal(value) => matches!(value.data_type(), DataType::Boolean),
        Expr::Unary(op, _) => !matches!(op, UnaryOp::Negative),
        Expr::Binary(_, op, _) => op.is_comparison() || matches!(op, BinaryOp::And | BinaryOp::Or | BinaryOp::Xor),
        Expr::Column(_) | Expr::Cast(..) => shallow_type(expr, schema) == Some(DataType::Boolean),
        _ => false,
    }
}

/// Without branches that are never taken; only where the type of the values is clear.
fn chosen(branches: &[(Expr, Expr)], otherwise: Option<&Expr>, schema: &Lookup<'_>) -> Option<Expr> {
    let constant = |expr: &Expr| match expr {
        Expr::Literal(value) => value.as_bool().or(value.is_null().then_some(false)),
        _ => None,
    };
    let first = shallow_type(&branches.first()?.1, schema)?;
    let values = branches.iter().map(|(_, value)| value).chain(otherwise);
    if !values.into_iter().all(|value| shallow_type(value, schema).as_ref() == Some(&first)) {
        return None;
    }
    let mut kept = Vec::new();
    let mut last = otherwise;
    for (condition, value) in branches {
        match constant(condition) {
            Some(false) => {}
            Some(true) => {
                last = Some(value);
                break;
            }
            None => kept.push((condition.clone(), value.clone())),
        }
    }
    if kept.len() == branches.len() {
        return None;
    }
    match (kept.is_empty(), last) {
        (true, Some(last)) => Some(last.clone()),
        // Null of its type.
        (true, None) => Some(Expr::Literal(Value::Typed(arrow::array::new_null_array(&first, 1)))),
        (false, last) => Some(Expr::Case(kept.into(), last.map(|last| Arc::new(last.clone())))),
    }
}
