//! Expressions as text.

use std::fmt;

use super::{Aggregate, BinaryOp, Expr, UnaryOp, Value};

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Column(name) => f.write_str(name),
            Expr::Literal(value) => write!(f, "{value}"),
            Expr::Alias(of, name) => write!(f, "{of} as {name}"),
            Expr::Unary(UnaryOp::IsNull, of) => write!(f, "{} is null", Operand(of)),
            Expr::Unary(UnaryOp::IsNotNull, of) => write!(f, "{} is not null", Operand(of)),
            Expr::Unary(UnaryOp::Not, of) => write!(f, "!{}", Operand(of)),
            Expr::Binary(left, op, right) => write!(f, "{} {} {}", Operand(left), op.sign(), Operand(right)),
            Expr::Aggregate(aggregate, of) => write!(f, "{}({of})", aggregate.name()),
        }
    }
}

/// In brackets where it is compound.
struct Operand<'a>(&'a Expr);

impl fmt::Display for Operand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Expr::Column(_) | Expr::Literal(_) | Expr::Aggregate(..) => write!(f, "{}", self.0),
            Expr::Alias(..) | Expr::Unary(..) | Expr::Binary(..) => write!(f, "({})", self.0),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Boolean(value) => write!(f, "{value}"),
            Value::Int(value) => write!(f, "{value}"),
            Value::Float(value) => write!(f, "{value:?}"),
            Value::Text(value) => write!(f, "{value:?}"),
        }
    }
}

impl BinaryOp {
    /// As it is written.
    pub fn sign(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Eq => "==",
            BinaryOp::NotEq => "!=",
            BinaryOp::Lt => "<",
            BinaryOp::LtEq => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::GtEq => ">=",
            BinaryOp::And => "&",
            BinaryOp::Or => "|",
        }
    }
}

impl Aggregate {
    /// As it is called.
    pub fn name(self) -> &'static str {
        match self {
            Aggregate::Count => "count",
            Aggregate::Sum => "sum",
            Aggregate::Mean => "mean",
        }
    }
}
