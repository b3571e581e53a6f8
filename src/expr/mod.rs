//! Column expressions: plain data that says what is computed of a table's columns, its type, and its value on a batch.
//!
//! [`col`] names a column, [`lit`] is a value, operators and methods combine them. An expression is typed against a schema
//! before anything runs; [`Program`] makes several ready to be evaluated together on many batches.
//!
//! # Types
//! Numbers of different types are brought to the smallest type that holds both; `Int64` with `UInt64` is an error, and an
//! integer with a float gives `Float64` (`Float32` with integers of 8 and 16 bits stays). A plain number in the
//! program takes the type of the other operand where it fits. Text with a date is read as a date when the plan is made.
//!
//! # Nulls and NaN
//! Null in, null out, except for what asks about nulls, and `&` and `|`, which follow three-valued logic. NaN is a value:
//! comparisons with it are false, but `ne`.
//!
//! # What fails
//! `+`, `-`, `*` and `-x` of integers that overflow, casts of what does not fit, and users' functions. Such an error names the
//! expression, the row of the batch and its values. What stands in a branch of [`when`] fails only for rows of that branch.

mod aggregate;
mod build;
mod compile;
mod display;

mod floats;
mod function;
mod growth;
mod kernels;
mod lookup;
mod names;
mod operators;
mod program;
#[cfg(feature = "query")]
mod query;
mod rewrite;
mod selector;
mod simplify;
mod tree;
mod types;
mod user;
mod user_aggregate;
mod value;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::datatypes::DataType;

pub use aggregate::{Aggregate, AggregateFunction, corr, cov, size};
pub use build::{
    CaseBuilder, all_horizontal, any_horizontal, coalesce, concat_str, max_horizontal, min_horizontal, sum_horizontal,
    when,
};
pub(crate) use floats::one_zero;
pub use function::{Function, Horizontal, MathFunction};
pub use growth::Growth;
pub use kernels::list::{ListExpr, ListFunction};
pub use kernels::text::{CharClass, Side, TextExpr, TextFunction};
pub use kernels::time::{TimeExpr, TimeFlag, TimeFunction, TimePart};
pub(crate) use lookup::Lookup;
pub use names::unknown_column;
pub use program::Program;
#[cfg(feature = "query")]
pub use query::{FUNCTIONS, parse};
pub(crate) use rewrite::AGGREGATE_COLUMN;
pub use rewrite::{SplitAggregates, aggregate_column, aggregate_place, split_aggregates};
pub use selector::{
    Selector, all, booleans, by_type, cols, cols_matching, exclude, floats, integers, numeric, temporal, text,
};
pub use types::{common_type, has_type};
pub use user::{MapInput, MapOutput, UserFunction, map_arrays};
pub(crate) use user_aggregate::built_in_aggregate;
pub use user_aggregate::{UserAggregate, UserState, aggregate};
pub use value::Value;
pub(crate) use value::logical;

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
#[derive(Clone)]
pub enum Expr {
    /// A column by its name.
    Column(Arc<str>),
    /// A value.
    Literal(Value),
    /// A value that is known only when the plan runs.
    Parameter(Parameter),
    /// An expression under another name.
    Alias(Arc<Expr>, Arc<str>),
    /// An expression under its name with one text before it and one behind.
    Affix(Arc<Expr>, Arc<str>, Arc<str>),
    /// As another type; what does not fit is an error, or null where the last is true.
    Cast(Arc<Expr>, DataType, bool),
    /// Of one operand.
    Unary(UnaryOp, Arc<Expr>),
    /// Of two operands.
    Binary(Arc<Expr>, BinaryOp, Arc<Expr>),
    /// The value of the first condition that is true; of none the last value, or null.
    Case(Arc<[(Expr, Expr)]>, Option<Arc<Expr>>),
    /// A function of values of one row.
    Call(Function, Arc<[Expr]>),
    /// Of all rows of a group.
    Aggregate(Arc<Aggregate>),
    /// Columns that are known when there is a schema: stands for as many expressions.
    Selector(Selector),
}

/// A value that a plan computes before the rows that use it.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// What tells it from all others of the process.
    pub id: u64,
    /// What it is called in texts.
    pub label: Arc<str>,
    /// Its type.
    pub data_type: DataType,
}

impl PartialEq for Parameter {
    fn eq(&self, other: &Parameter) -> bool {
        self.id == other.id
    }
}

impl Eq for Parameter {}

/// An operation of one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// Whether it is null.
    IsNull,
    /// Whether it is not null.
    IsNotNull,
    /// True for false; null for null.
    Not,
    /// The number with the other sign.
    Negative,
}

/// An operation of two operands; null where one of them is null, except that `And` and `Or` follow three-valued logic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// Sum.
    Add,
    /// Difference.
    Sub,
    /// Product.
    Mul,
    /// Quotient, always a float.
    Div,
    /// Quotient rounded down; null where integers are divided by zero.
    FloorDiv,
    /// What `FloorDiv` leaves, with the sign of the divisor.
    Rem,
    /// Sum of integers, wrapping.
    WrappingAdd,
    /// Difference of integers, wrapping.
    WrappingSub,
    /// Product of integers, wrapping.
    WrappingMul,
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
    /// Exactly one.
    Xor,
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
