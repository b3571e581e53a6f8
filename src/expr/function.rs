//! Functions of values of one row, as data.

use std::sync::Arc;

use super::kernels::list::ListFunction;
use super::kernels::text::TextFunction;
use super::kernels::time::TimeFunction;
use super::user::UserFunction;
use super::{Expr, Value};

/// A function of values of one row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// The first value that is not null.
    Coalesce,
    /// Whether it is one of these values. Null where it is null, and where it is none of them while one of them is null.
    IsIn(Arc<[Value]>),
    /// The second of the first pair whose first is the value; the value itself where there is none.
    Replace(Arc<[(Value, Value)]>),
    /// Of numbers.
    Math(MathFunction),
    /// Of several columns.
    Horizontal(Horizontal),
    /// Of text.
    Text(TextFunction),
    /// Of dates, times and durations.
    Time(TimeFunction),
    /// Of lists.
    List(ListFunction),
    /// The field of a struct.
    Field(Arc<str>),
    /// A user's function.
    User(UserFunction),
    /// What cannot be, with the reason: kept until the expression is typed.
    Invalid(Arc<str>),
}

/// A function of numbers. Of floats `Float32` stays; integers become `Float64` where the result is no integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MathFunction {
    /// Without its sign.
    Abs,
    /// -1, 0 or 1.
    Sign,
    /// Rounded down.
    Floor,
    /// Rounded up.
    Ceil,
    /// Rounded towards zero.
    Trunc,
    /// Rounded to so many decimals, halves to the even neighbour.
    Round(i32),
    /// Square root.
    Sqrt,
    /// Cube root.
    Cbrt,
    /// e to this power.
    Exp,
    /// e to this power, less 1.
    Expm1,
    /// Natural logarithm.
    Ln,
    /// Logarithm to base 10.
    Log10,
    /// Logarithm to base 2.
    Log2,
    /// Natural logarithm of one more.
    Log1p,
    /// Sine.
    Sin,
    /// Cosine.
    Cos,
    /// Tangent.
    Tan,
    /// Arc sine.
    Asin,
    /// Arc cosine.
    Acos,
    /// Arc tangent.
    Atan,
    /// Hyperbolic sine.
    Sinh,
    /// Hyperbolic cosine.
    Cosh,
    /// Hyperbolic tangent.
    Tanh,
    /// From radians.
    Degrees,
    /// From degrees.
    Radians,
    /// Whether it is NaN.
    IsNan,
    /// Whether it is neither NaN nor infinite.
    IsFinite,
    /// Whether it is infinite.
    IsInfinite,
    /// To a power. An integer to a constant one that is not negative is an integer of the same type, and may overflow;
    /// all else is a float.
    Pow,
    /// Logarithm to a base.
    Log,
    /// The angle of the point (second, first).
    Atan2,
    /// The square root of the sum of the squares.
    Hypot,
}

/// A function of several columns of a row. Nulls are skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Horizontal {
    /// The least value; NaN only where there is no other.
    Min,
    /// The greatest value; NaN only where there is no other.
    Max,
    /// Sum; 0 where there is no value.
    Sum,
    /// Whether any is true.
    Any,
    /// Whether all are true.
    All,
}

impl Function {
    /// As it is called.
    pub fn name(&self) -> &str {
        match self {
            Function::Coalesce => "coalesce",
            Function::IsIn(_) => "is_in",
            Function::Replace(_) => "replace",
            Function::Math(function) => function.name(),
            Function::Horizontal(function) => match function {
                Horizontal::Min => "min_horizontal",
                Horizontal::Max => "max_horizontal",
                Horizontal::Sum => "sum_horizontal",
                Horizontal::Any => "any_horizontal",
                Horizontal::All => "all_horizontal",
            },
            Function::Text(function) => function.name(),
            Function::Time(function) => function.name(),
            Function::List(function) => function.name(),
            Function::Field(_) => "field",
            Function::User(function) => function.name(),
            Function::Invalid(_) => "invalid",
        }
    }

    /// What stands behind the operands in brackets: what else it is told.
    pub(super) fn settings(&self) -> Vec<String> {
        match self {
            Function::IsIn(values) => {
                let values: Vec<String> = values.iter().map(Value::to_string).collect();
                vec![format!("[{}]", values.join(", "))]
            }
            Function::Replace(pairs) => {
                let pairs: Vec<String> = pairs.iter().map(|(from, to)| format!("{from}: {to}")).collect();
                vec![format!("{{{}}}", pairs.join(", "))]
            }
            Function::Math(MathFunction::Round(decimals)) => vec![decimals.to_string()],
            Function::Text(function) => function.settings(),
            Function::Time(function) => function.settings(),
            Function::List(function) => function.settings(),
            Function::Field(name) => vec![format!("{name:?}")],
            Function::Invalid(text) => vec![format!("{text:?}")],
            Function::User(function) => vec![function.identity()],
            Function::Coalesce | Function::Math(_) | Function::Horizontal(_) => Vec::new(),
        }
    }

    /// Whether it takes any number of operands, so that a selector among them stands for so many more.
    pub(super) fn takes_many(&self) -> bool {
        matches!(
            self,
            Function::Coalesce
                | Function::Horizontal(_)
                | Function::Text(TextFunction::Concat { .. })
                | Function::User(_)
        )
    }
}

impl MathFunction {
    /// As it is called.
    pub fn name(self) -> &'static str {
        match self {
            MathFunction::Abs => "abs",
            MathFunction::Sign => "sign",
            MathFunction::Floor => "floor",
            MathFunction::Ceil => "ceil",
            MathFunction::Trunc => "trunc",
            MathFunction::Round(_) => "round",
            MathFunction::Sqrt => "sqrt",
            MathFunction::Cbrt => "cbrt",
            MathFunction::Exp => "exp",
            MathFunction::Expm1 => "expm1",
            MathFunction::Ln => "ln",
            MathFunction::Log10 => "log10",
            MathFunction::Log2 => "log2",
            MathFunction::Log1p => "log1p",
            MathFunction::Sin => "sin",
            MathFunction::Cos => "cos",
            MathFunction::Tan => "tan",
            MathFunction::Asin => "asin",
            MathFunction::Acos => "acos",
            MathFunction::Atan => "atan",
            MathFunction::Sinh => "sinh",
            MathFunction::Cosh => "cosh",
            MathFunction::Tanh => "tanh",
            MathFunction::Degrees => "degrees",
            MathFunction::Radians => "radians",
            MathFunction::IsNan => "is_nan",
            MathFunction::IsFinite => "is_finite",
            MathFunction::IsInfinite => "is_infinite",
            MathFunction::Pow => "pow",
            MathFunction::Log => "log",
            MathFunction::Atan2 => "atan2",
            MathFunction::Hypot => "hypot",
        }
    }
}

impl Expr {
    pub(super) fn call(self, function: Function) -> Expr {
        Expr::Call(function, [self].into())
    }

    /// What cannot be: an error once it is typed.
    pub(super) fn invalid(self, reason: impl Into<Arc<str>>) -> Expr {
        self.call(Function::Invalid(reason.into()))
    }
}
