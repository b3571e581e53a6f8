//! Methods that make expressions of expressions.

use std::sync::Arc;

use arrow::datatypes::DataType;

use super::kernels::text::TextFunction;
use super::{BinaryOp, Expr, Function, Horizontal, MathFunction, UnaryOp, Value, lit};

macro_rules! binary {
    ($($(#[$doc:meta])+ $name:ident $op:ident;)+) => {
        impl Expr {$(
            $(#[$doc])+
            #[must_use]
            pub fn $name(self, other: impl Into<Expr>) -> Expr {
                self.binary(BinaryOp::$op, other)
            }
        )+}
    };
}

binary! {
    /// Whether both are equal.
    eq Eq;
    /// Whether both are not equal.
    ne NotEq;
    /// Whether it is less.
    lt Lt;
    /// Whether it is less or equal.
    le LtEq;
    /// Whether it is greater.
    gt Gt;
    /// Whether it is greater or equal.
    ge GtEq;
    /// Quotient rounded down; null where integers are divided by zero.
    floor_div FloorDiv;
    /// Sum of integers, wrapping.
    wrapping_add WrappingAdd;
    /// Difference of integers, wrapping.
    wrapping_sub WrappingSub;
    /// Product of integers, wrapping.
    wrapping_mul WrappingMul;
}

macro_rules! math {
    ($($(#[$doc:meta])+ $name:ident $function:ident;)+) => {
        impl Expr {$(
            $(#[$doc])+
            #[must_use]
            pub fn $name(self) -> Expr {
                self.call(Function::Math(MathFunction::$function))
            }
        )+}
    };
}

math! {
    /// Without its sign; the least integer of a type is an error.
    abs Abs;
    /// -1, 0 or 1; NaN for NaN.
    sign Sign;
    /// Rounded down.
    floor Floor;
    /// Rounded up.
    ceil Ceil;
    /// Rounded towards zero.
    trunc Trunc;
    /// Square root.
    sqrt Sqrt;
    /// Cube root.
    cbrt Cbrt;
    /// e to this power.
    exp Exp;
    /// e to this power, less 1; exact near 0.
    expm1 Expm1;
    /// Natural logarithm.
    ln Ln;
    /// Logarithm to base 10.
    log10 Log10;
    /// Logarithm to base 2.
    log2 Log2;
    /// Natural logarithm of one more; exact near 0.
    log1p Log1p;
    /// Sine.
    sin Sin;
    /// Cosine.
    cos Cos;
    /// Tangent.
    tan Tan;
    /// Arc sine.
    asin Asin;
    /// Arc cosine.
    acos Acos;
    /// Arc tangent.
    atan Atan;
    /// Hyperbolic sine.
    sinh Sinh;
    /// Hyperbolic cosine.
    cosh Cosh;
    /// Hyperbolic tangent.
    tanh Tanh;
    /// From radians to degrees.
    degrees Degrees;
    /// From degrees to radians.
    radians Radians;
    /// Whether it is NaN; null for null.
    is_nan IsNan;
    /// Whether it is neither NaN nor infinite; null for null.
    is_finite IsFinite;
    /// Whether it is infinite; null for null.
    is_infinite IsInfinite;
}

impl Expr {
    pub(super) fn binary(self, op: BinaryOp, other: impl Into<Expr>) -> Expr {
        Expr::Binary(Arc::new(self), op, Arc::new(other.into()))
    }

    fn call2(self, function: Function, other: impl Into<Expr>) -> Expr {
        Expr::Call(function, [self, other.into()].into())
    }

    /// The same under another name.
    #[must_use]
    pub fn alias(self, name: &str) -> Expr {
        Expr::Alias(Arc::new(self), name.into())
    }

    /// The same with a text before its name; for selectors, which stand for many names.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// assert_eq!(&*col("x").sum().prefix("total_").output_name(), "total_x");
    /// ```
    #[must_use]
    pub fn prefix(self, text: &str) -> Expr {
        Expr::Affix(Arc::new(self), text.into(), "".into())
    }

    /// The same with a text behind its name; for selectors, which stand for many names.
    #[must_use]
    pub fn suffix(self, text: &str) -> Expr {
        Expr::Affix(Arc::new(self), "".into(), text.into())
    }

    /// As another type. What does not fit is an error: text that is no number, a number out of range, NaN as an integer. A float
    /// loses its fraction as an integer.
    #[must_use]
    pub fn cast(self, to: DataType) -> Expr {
        Expr::Cast(Arc::new(self), to, false)
    }

    /// As another type, and null where it does not fit.
    #[must_use]
    pub fn try_cast(self, to: DataType) -> Expr {
        Expr::Cast(Arc::new(self), to, true)
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

    /// Whether it is not NaN; null for null.
    #[must_use]
    pub fn is_not_nan(self) -> Expr {
        !self.is_nan()
    }

    /// Another value where it is null.
    #[must_use]
    pub fn fill_null(self, value: impl Into<Expr>) -> Expr {
        self.call2(Function::Coalesce, value)
    }

    /// Another value where it is NaN.
    #[must_use]
    pub fn fill_nan(self, value: impl Into<Expr>) -> Expr {
        when(self.clone().is_nan()).then(value).otherwise(self)
    }

    /// Null where it equals a value.
    #[must_use]
    pub fn null_if(self, value: impl Into<Expr>) -> Expr {
        when(self.clone().eq(value)).then(Value::Null).otherwise(self)
    }

    /// The value where a condition is true, another one elsewhere.
    #[must_use]
    pub fn where_(self, condition: impl Into<Expr>, other: impl Into<Expr>) -> Expr {
        when(condition).then(self).otherwise(other)
    }

    /// Another value where a condition is true.
    #[must_use]
    pub fn mask(self, condition: impl Into<Expr>, other: impl Into<Expr>) -> Expr {
        when(condition).then(other).otherwise(self)
    }

    /// Whether it is at least one value and at most another.
    #[must_use]
    pub fn between(self, low: impl Into<Expr>, high: impl Into<Expr>) -> Expr {
        self.clone().ge(low) & self.le(high)
    }

    /// Whether it is one of some values. Null where it is null, and where it is none of them while one of them is null.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// assert_eq!(col("level").is_in(["ERROR", "FATAL"]).to_string(), "is_in(level, [\"ERROR\", \"FATAL\"])");
    /// ```
    #[must_use]
    pub fn is_in<V: Into<Value>>(self, values: impl IntoIterator<Item = V>) -> Expr {
        self.call(Function::IsIn(values.into_iter().map(V::into).collect()))
    }

    /// At least one value and at most another; null for no bound.
    #[must_use]
    pub fn clip(self, low: impl Into<Expr>, high: impl Into<Expr>) -> Expr {
        let (low, high) = (low.into(), high.into());
        let absent = |bound: &Expr| matches!(bound, Expr::Literal(value) if value.is_null());
        let mut branches = Vec::new();
        if !absent(&low) {
            branches.push((self.clone().lt(low.clone()), low));
        }
        if !absent(&high) {
            branches.push((self.clone().gt(high.clone()), high));
        }
        if branches.is_empty() { self } else { Expr::Case(branches.into(), Some(Arc::new(self))) }
    }

    /// Some values for others; what is not among them stays.
    #[must_use]
    pub fn replace<F: Into<Value>, T: Into<Value>>(self, pairs: impl IntoIterator<Item = (F, T)>) -> Expr {
        self.call(Function::Replace(pairs.into_iter().map(|(from, to)| (from.into(), to.into())).collect()))
    }

    /// To a power. An integer to a constant integer that is not negative stays an integer of its type, and is checked for
    /// overflow; all else is a float.
    #[must_use]
    pub fn pow(self, exponent: impl Into<Expr>) -> Expr {
        self.call2(Function::Math(MathFunction::Pow), exponent)
    }

    /// Logarithm to a base.
    #[must_use]
    pub fn log(self, base: impl Into<Expr>) -> Expr {
        self.call2(Function::Math(MathFunction::Log), base)
    }

    /// The angle of the point (`x`, this).
    #[must_use]
    pub fn atan2(self, x: impl Into<Expr>) -> Expr {
        self.call2(Function::Math(MathFunction::Atan2), x)
    }

    /// The square root of the sum of the squares.
    #[must_use]
    pub fn hypot(self, other: impl Into<Expr>) -> Expr {
        self.call2(Function::Math(MathFunction::Hypot), other)
    }

    /// Rounded to so many decimals, halves to the even neighbour: 0.5 and 1.5 to 0 and 2. With a negative number to tens,
    /// hundreds, …
    #[must_use]
    pub fn round(self, decimals: i32) -> Expr {
        self.call(Function::Math(MathFunction::Round(decimals)))
    }

    /// The field of a struct.
    #[must_use]
    pub fn field(self, name: &str) -> Expr {
        self.call(Function::Field(name.into()))
    }
}

/// The first value that is not null.
pub fn coalesce<E: Into<Expr>>(exprs: impl IntoIterator<Item = E>) -> Expr {
    of_all(Function::Coalesce, exprs)
}

/// The least value of a row; nulls are skipped, NaN unless there is no other.
pub fn min_horizontal<E: Into<Expr>>(exprs: impl IntoIterator<Item = E>) -> Expr {
    of_all(Function::Horizontal(Horizontal::Min), exprs)
}

/// The greatest value of a row; nulls are skipped, NaN unless there is no other.
pub fn max_horizontal<E: Into<Expr>>(exprs: impl IntoIterator<Item = E>) -> Expr {
    of_all(Function::Horizontal(Horizontal::Max), exprs)
}

/// The sum of a row, in 64 bits; nulls count as 0.
pub fn sum_horizontal<E: Into<Expr>>(exprs: impl IntoIterator<Item = E>) -> Expr {
    of_all(Function::Horizontal(Horizontal::Sum), exprs)
}

/// Whether any of a row is true; nulls are skipped.
pub fn any_horizontal<E: Into<Expr>>(exprs: impl IntoIterator<Item = E>) -> Expr {
    of_all(Function::Horizontal(Horizontal::Any), exprs)
}

/// Whether all of a row are true; nulls are skipped.
pub fn all_horizontal<E: Into<Expr>>(exprs: impl IntoIterator<Item = E>) -> Expr {
    of_all(Function::Horizontal(Horizontal::All), exprs)
}

/// The texts of a row with another text between them. Numbers and dates are written as text; null where one is null.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let name = concat_str([col("first"), col("last")], " ");
/// assert_eq!(name.to_string(), "concat_str(first, last, \" \")");
/// ```
pub fn concat_str<E: Into<Expr>>(exprs: impl IntoIterator<Item = E>, separator: &str) -> Expr {
    of_all(Function::Text(TextFunction::Concat { separator: separator.into() }), exprs)
}

fn of_all<E: Into<Expr>>(function: Function, exprs: impl IntoIterator<Item = E>) -> Expr {
    Expr::Call(function, exprs.into_iter().map(E::into).collect())
}

/// A condition, to be followed by [`then`](CaseBuilder::then): the value of the first condition that is true.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let size = when(col("n").gt(100)).then("large").when(col("n").gt(10)).then("middle").otherwise("small");
/// assert_eq!(size.to_string(), "when(n > 100, \"large\").when(n > 10, \"middle\").otherwise(\"small\")");
/// ```
pub fn when(condition: impl Into<Expr>) -> CaseBuilder {
    CaseBuilder { branches: Vec::new(), condition: condition.into() }
}

/// Conditions and their values, and one more condition.
#[derive(Clone, Debug)]
#[must_use = "a condition is nothing without `then`"]
pub struct CaseBuilder {
    branches: Vec<(Expr, Expr)>,
    condition: Expr,
}

impl CaseBuilder {
    /// The value where the condition is true. It is an expression already, null where no condition is true;
    /// [`Expr::when`] and [`Expr::otherwise`] go on.
    #[must_use]
    pub fn then(mut self, value: impl Into<Expr>) -> Expr {
        self.branches.push((self.condition, value.into()));
        Expr::Case(self.branches.into(), None)
    }
}

impl Expr {
    /// Another condition of a chain that [`when`] began.
    pub fn when(self, condition: impl Into<Expr>) -> CaseBuilder {
        let branches = match &self {
            Expr::Case(branches, None) => branches.to_vec(),
            _ => {
                let reason = "`when` goes on after `when(…).then(…)` only";
                vec![(lit(true), self.clone().invalid(reason))]
            }
        };
        CaseBuilder { branches, condition: condition.into() }
    }

    /// The value where no condition of a chain is true that [`when`] began.
    #[must_use]
    pub fn otherwise(self, value: impl Into<Expr>) -> Expr {
        match &self {
            Expr::Case(branches, None) => Expr::Case(branches.clone(), Some(Arc::new(value.into()))),
            _ => self.clone().invalid("`otherwise` goes after `when(…).then(…)` only"),
        }
    }
}
