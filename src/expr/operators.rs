//! Operators between expressions and values.

use std::iter::Sum;
use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Not, Rem, Sub};
use std::sync::Arc;

use super::{BinaryOp, Expr, UnaryOp, lit};

macro_rules! operators {
    ($($name:ident $method:ident $op:ident;)+) => {$(
        impl<R: Into<Expr>> $name<R> for Expr {
            type Output = Expr;

            fn $method(self, right: R) -> Expr {
                self.binary(BinaryOp::$op, right)
            }
        }

        impl<R: Into<Expr>> $name<R> for &Expr {
            type Output = Expr;

            fn $method(self, right: R) -> Expr {
                self.clone().binary(BinaryOp::$op, right)
            }
        }
    )+};
}

operators! {
    Add add Add;
    Sub sub Sub;
    Mul mul Mul;
    Div div Div;
    Rem rem Rem;
    BitAnd bitand And;
    BitOr bitor Or;
    BitXor bitxor Xor;
}

macro_rules! of_numbers {
    ($($number:ty: $($name:ident $method:ident $op:ident),+;)+) => {$($(
        impl $name<Expr> for $number {
            type Output = Expr;

            fn $method(self, right: Expr) -> Expr {
                lit(self).binary(BinaryOp::$op, right)
            }
        }
    )+)+};
}

of_numbers! {
    i32: Add add Add, Sub sub Sub, Mul mul Mul, Div div Div, Rem rem Rem;
    i64: Add add Add, Sub sub Sub, Mul mul Mul, Div div Div, Rem rem Rem;
    f64: Add add Add, Sub sub Sub, Mul mul Mul, Div div Div, Rem rem Rem;
}

impl Not for Expr {
    type Output = Expr;

    fn not(self) -> Expr {
        Expr::Unary(UnaryOp::Not, Arc::new(self))
    }
}

impl Neg for Expr {
    type Output = Expr;

    fn neg(self) -> Expr {
        Expr::Unary(UnaryOp::Negative, Arc::new(self))
    }
}

/// The sum of the expressions; 0 of none.
impl Sum for Expr {
    fn sum<I: Iterator<Item = Expr>>(exprs: I) -> Expr {
        exprs.reduce(|left, right| left + right).unwrap_or_else(|| lit(0))
    }
}
