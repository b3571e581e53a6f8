//! Column expressions: plain data that says what is computed of a table's columns, its type, and its value on a batch.
//!
//! [`col`] names a column, [`lit`] is a value, operators and methods combine them.

mod display;
mod eval;
mod names;
mod typing;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use names::unknown_column;

/// What is computed of the columns of a table.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let late = col("dep_delay").gt(15) & col("carrier").eq("UA");
/// assert_eq!(late.to_string(), "(dep_delay > 15) & (carrier == \"UA\")");
/// let mean = col("dep_delay").mean().alias("mean_dep_delay");
/// assert_eq!(mean.to_string(), "mean(dep_delay) as mean_dep_delay");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A column by its name.
    Column(Arc<str>),
    /// A value.
    Literal(Value),
    /// An expression under another name.
    Alias(Arc<Expr>, Arc<str>),
    /// Of one operand.
    Unary(UnaryOp, Arc<Expr>),
    /// Of two operands.
    Binary(Arc<Expr>, BinaryOp, Arc<Expr>),
    /// Of all values of a group.
    Aggregate(Aggregate, Arc<Expr>),
}

/// A value in an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// True or false.
    Boolean(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// Text.
    Text(Arc<str>),
}

/// An operation of one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    /// Whether it is null.
    IsNull,
    /// Whether it is not null.
    IsNotNull,
    /// True for false; null for null.
    Not,
}

/// An operation of two operands; null where one of them is null, except that `And` and `Or` follow three-valued logic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    /// Sum.
    Add,
    /// Difference.
    Sub,
    /// Product.
    Mul,
    /// Quotient, always a float.
    Div,
    /// `==`
    Eq,
    /// `!=`
    NotEq,
    /// `<`
    Lt,
    /// `<=`
    LtEq,
    /// `>`
    Gt,
    /// `>=`
    GtEq,
    /// Both.
    And,
    /// At least one.
    Or,
}

/// What is made of all values of a group; nulls are skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// Number of values that are not null.
    Count,
    /// Sum; 0 where there is no value.
    Sum,
    /// Arithmetic mean; null where there is no value.
    Mean,
}

/// A column by its name.
pub fn col(name: &str) -> Expr {
    Expr::Column(name.into())
}

/// A value as an expression.
///
/// ```
/// use chunkwise::prelude::*;
///
/// assert_eq!((lit(1) - col("share")).to_string(), "1 - share");
/// ```
pub fn lit(value: impl Into<Value>) -> Expr {
    Expr::Literal(value.into())
}

impl Expr {
    /// The same under another name.
    #[must_use]
    pub fn alias(self, name: &str) -> Expr {
        Expr::Alias(Arc::new(self), name.into())
    }

    /// Whether it is null.
    #[must_use]
    pub fn is_null(self) -> Expr {
        Expr::Unary(UnaryOp::IsNull, Arc::new(self))
    }

    /// Whether it is not null.
    #[must_use]
    pub fn is_not_null(self) -> Expr {
        Expr::Unary(UnaryOp::IsNotNull, Arc::new(self))
    }

    /// Whether both are equal.
    #[must_use]
    pub fn eq(self, other: impl Into<Expr>) -> Expr {
        self.binary(BinaryOp::Eq, other)
    }

    /// Whether both are not equal.
    #[must_use]
    pub fn ne(self, other: impl Into<Expr>) -> Expr {
        self.binary(BinaryOp::NotEq, other)
    }

    /// Whether it is less.
    #[must_use]
    pub fn lt(self, other: impl Into<Expr>) -> Expr {
        self.binary(BinaryOp::Lt, other)
    }

    /// Whether it is less or equal.
    #[must_use]
    pub fn le(self, other: impl Into<Expr>) -> Expr {
        self.binary(BinaryOp::LtEq, other)
    }

    /// Whether it is greater.
    #[must_use]
    pub fn gt(self, other: impl Into<Expr>) -> Expr {
        self.binary(BinaryOp::Gt, other)
    }

    /// Whether it is greater or equal.
    #[must_use]
    pub fn ge(self, other: impl Into<Expr>) -> Expr {
        self.binary(BinaryOp::GtEq, other)
    }

    /// Number of values of the group that are not null.
    #[must_use]
    pub fn count(self) -> Expr {
        Expr::Aggregate(Aggregate::Count, Arc::new(self))
    }

    /// Sum over the group; 0 where it has no values.
    #[must_use]
    pub fn sum(self) -> Expr {
        Expr::Aggregate(Aggregate::Sum, Arc::new(self))
    }

    /// Mean over the group; null where it has no values.
    #[must_use]
    pub fn mean(self) -> Expr {
        Expr::Aggregate(Aggregate::Mean, Arc::new(self))
    }

    fn binary(self, op: BinaryOp, other: impl Into<Expr>) -> Expr {
        Expr::Binary(Arc::new(self), op, Arc::new(other.into()))
    }

    /// The name of the column it gives: its alias, or the first column in it.
    pub fn output_name(&self) -> Arc<str> {
        let mut expr = self;
        loop {
            expr = match expr {
                Expr::Column(name) | Expr::Alias(_, name) => return name.clone(),
                Expr::Literal(_) => return "literal".into(),
                Expr::Unary(_, of) | Expr::Aggregate(_, of) | Expr::Binary(of, ..) => of,
            };
        }
    }

    /// The columns it reads.
    pub fn columns(&self) -> BTreeSet<Arc<str>> {
        let mut names = BTreeSet::new();
        let mut open = vec![self];
        while let Some(expr) = open.pop() {
            match expr {
                Expr::Column(name) => drop(names.insert(name.clone())),
                Expr::Literal(_) => {}
                Expr::Alias(of, _) | Expr::Unary(_, of) | Expr::Aggregate(_, of) => open.push(of),
                Expr::Binary(left, _, right) => open.extend([&**left, &**right]),
            }
        }
        names
    }
}

macro_rules! operators {
    ($($name:ident $method:ident $op:ident;)+) => {$(
        impl<R: Into<Expr>> std::ops::$name<R> for Expr {
            type Output = Expr;

            fn $method(self, right: R) -> Expr {
                self.binary(BinaryOp::$op, right)
            }
        }
    )+};
}

operators! {
    Add add Add;
    Sub sub Sub;
    Mul mul Mul;
    Div div Div;
    BitAnd bitand And;
    BitOr bitor Or;
}

impl std::ops::Not for Expr {
    type Output = Expr;

    fn not(self) -> Expr {
        Expr::Unary(UnaryOp::Not, Arc::new(self))
    }
}

macro_rules! values {
    ($($from:ty => |$value:ident| $make:expr;)+) => {$(
        impl From<$from> for Value {
            fn from($value: $from) -> Value {
                $make
            }
        }

        impl From<$from> for Expr {
            fn from(value: $from) -> Expr {
                Expr::Literal(value.into())
            }
        }
    )+};
}

values! {
    bool => |value| Value::Boolean(value);
    i32 => |value| Value::Int(value.into());
    i64 => |value| Value::Int(value);
    u32 => |value| Value::Int(value.into());
    f32 => |value| Value::Float(value.into());
    f64 => |value| Value::Float(value);
    &str => |value| Value::Text(value.into());
    String => |value| Value::Text(value.into());
}
