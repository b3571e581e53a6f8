//! One column of a table that is not there yet.

use std::fmt;

use super::parameters::parameter;
use super::plan::{Frame, Grouping, NumberOp, Op};
use super::reduce::{free_name, reduced};
use super::{DataFrame, Scalar};
use crate::error::{Error, ErrorKind, Result, Role};
use crate::expr::{BinaryOp, Expr, ListExpr, TextExpr, TimeExpr, Value};
use crate::origin::Origin;

/// A column, or what is computed of columns of one table.
///
/// Two of them combine where they come from the same rows; columns of two tables have no common rows before a `join`.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let df = dataframe::from_columns([("x", vec![1.0, 2.0, 3.0]), ("y", vec![3.0, 2.0, 1.0])]);
/// let x = df.col("x");
/// let normal = (&x - &x.mean()) / &x.std(); // reads its table twice
/// let (largest, dot) = compute((normal.max().as_::<f64>(), (&x * &df.col("y")).sum().as_::<f64>()))?;
/// assert_eq!((largest, dot), (1.0, 10.0));
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "a Series does nothing until it is computed"]
pub struct Series {
    frame: DataFrame,
    expr: Expr,
    /// The values in it that are computed first.
    parameters: Vec<(u64, Frame)>,
    error: Option<Error>,
}

impl Series {
    pub(super) fn new(
        frame: &DataFrame,
        expr: Expr,
        parameters: Vec<(u64, Frame)>,
        verb: &'static str,
        origin: Origin,
    ) -> Series {
        let typed = frame.frame().and_then(|frame| {
            let typed = expr.data_type(&frame.schema);
            typed.map_err(|error| error.frame(Role::In, verb, origin))
        });
        Series { frame: frame.clone(), expr, parameters, error: typed.err() }
    }

    /// The expression over the columns of its table.
    pub fn expr(&self) -> &Expr {
        &self.expr
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.expr.output_name().to_string()
    }

    /// Its type.
    ///
    /// # Errors
    /// Of the first verb that was wrong.
    pub fn data_type(&self) -> Result<arrow::datatypes::DataType> {
        match &self.error {
            Some(error) => Err(error.clone()),
            None => self.expr.data_type(&self.frame.frame()?.schema),
        }
    }

    /// A table of this column alone.
    #[track_caller]
    pub fn to_dataframe(&self) -> DataFrame {
        DataFrame::of(self.to_frame(Origin::caller()))
    }

    pub(crate) fn to_frame(&self, origin: Origin) -> Result<Frame> {
        match &self.error {
            Some(error) => Err(error.clone()),
            None => {
                let op = Op::Select(vec![self.expr.clone()]);
                Frame::with_parameters(op, &[self.frame.frame()?], &self.parameters, "select", origin)
            }
        }
    }

    /// What an expression makes of this column, which stands in it under its own name: for all verbs that expressions have
    /// and a Series has not.
    #[track_caller]
    pub fn with_expr(&self, make: impl FnOnce(Expr) -> Expr) -> Series {
        self.changed("with_expr", Origin::caller(), make)
    }

    fn changed(&self, verb: &'static str, origin: Origin, make: impl FnOnce(Expr) -> Expr) -> Series {
        if self.error.is_some() {
            return self.clone();
        }
        Series::new(&self.frame, make(self.expr.clone()), self.parameters.clone(), verb, origin)
    }

    fn refused(&self, error: Error) -> Series {
        Series { error: Some(error), ..self.clone() }
    }

    fn binary(&self, op: BinaryOp, other: Operand<'_>, turned: bool, origin: Origin) -> Series {
        let verb = op.sign();
        if self.error.is_some() {
            return self.clone();
        }
        let mut parameters = self.parameters.clone();
        let right = match other {
            Operand::Value(value) => Expr::Literal(value),
            Operand::Series(series) => {
                if let Some(error) = &series.error {
                    return self.refused(error.clone());
                }
                if self.frame.node().address() != series.frame.node().address() {
                    let text =
                        "columns of two tables have no common rows: join the tables, and take both from the result";
                    return self.refused(Error::new(ErrorKind::Plan, text).frame(Role::In, verb, origin));
                }
                parameters.extend(series.parameters.iter().cloned());
                series.expr.clone()
            }
            Operand::Scalar(scalar) => match &scalar.state {
                Ok(frame) => {
                    let parameter = parameter(frame, scalar.label.clone());
                    parameters.push((parameter.id, frame.clone()));
                    Expr::Parameter(parameter)
                }
                Err(error) => return self.refused(error.clone()),
            },
        };
        let name = self.expr.output_name();
        let (left, right) = if turned { (right, self.expr.clone()) } else { (self.expr.clone(), right) };
        let expr = Expr::Binary(left.into(), op, right.into());
        let expr = if expr.output_name() == name { expr } else { expr.alias(&name) };
        Series::new(&self.frame, expr, parameters, verb, origin)
    }

    fn reduced(&self, verb: &'static str, origin: Origin, make: impl FnOnce(Expr) -> Expr) -> Scalar {
        let label = format!("{verb}({})", self.expr);
        let made = || -> Result<Frame> {
            if let Some(error) = &self.error {
                return Err(error.clone());
            }
            let (frame, expr) = if self.parameters.is_empty() {
                (self.frame.frame()?.clone(), self.expr.clone())
            } else {
                let own = self.to_frame(origin)?;
                let name = own.schema.field(0).name().clone();
                (own, crate::expr::col(&name))
            };
            let grouping = Grouping::new(Vec::new(), &[make(expr)], false)?;
            let made = Frame::new(Op::Aggregate(grouping), &[&frame], verb, origin);
            made.map_err(|error| error.frame(Role::In, verb, origin))
        };
        Scalar::new(made(), label.into())
    }
}

impl Series {
    /// The number of the row, from 0, in which it is least: of several rows the first; see [`DataFrame::idxmin`].
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let df = dataframe::from_columns([("x", vec![3, 1, 2])]);
    /// let (least, most) = compute((df.col("x").idxmin().as_::<u64>(), df.col("x").idxmax().as_::<u64>()))?;
    /// assert_eq!((least, most), (1, 0));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn idxmin(&self) -> Scalar {
        self.place("idxmin", Origin::caller(), Expr::min_by)
    }

    /// The number of the row, from 0, in which it is greatest; see [`Series::idxmin`].
    #[track_caller]
    pub fn idxmax(&self) -> Scalar {
        self.place("idxmax", Origin::caller(), Expr::max_by)
    }

    fn place(&self, verb: &'static str, origin: Origin, best: fn(Expr, Expr) -> Expr) -> Scalar {
        let made = |own: &Frame| -> Result<Frame> {
            let (name, place) = (self.expr.output_name(), free_name(own, "place"));
            let best = best(crate::expr::col(&place), crate::expr::col(&name)).alias(&name);
            let numbered = Frame::new(Op::Number(NumberOp::Index(place)), &[own], verb, origin)?;
            reduced(&numbered, vec![best], verb, origin)
        };
        let made =
            self.to_frame(origin).and_then(|own| made(&own).map_err(|error| error.frame(Role::In, verb, origin)));
        Scalar::new(made, format!("{verb}({})", self.expr).into())
    }
}

/// What stands on the other side of an operator.
enum Operand<'a> {
    Value(Value),
    Series(&'a Series),
    Scalar(&'a Scalar),
}

impl fmt::Debug for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            Some(error) => write!(f, "Series: {error}"),
            None => write!(f, "Series: {}", self.expr),
        }
    }
}

macro_rules! reductions {
    ($($(#[$doc:meta])* $name:ident;)+) => {
        impl Series {
            $($(#[$doc])*
            #[track_caller]
            pub fn $name(&self) -> Scalar {
                self.reduced(stringify!($name), Origin::caller(), Expr::$name)
            })+
        }
    };
}

reductions! {
    /// Number of values that are not null.
    count;
    /// Sum; 0 where there are no values. Of integers exact, an error where it does not fit 64 bits.
    sum;
    /// Product; 1 where there are no values. Of integers exact, an error where it does not fit 64 bits; of decimals a `Float64`.
    product;
    /// Arithmetic mean; null where there are no values.
    mean;
    /// The least value; NaN only where there is no other.
    min;
    /// The greatest value; NaN only where there is no other.
    max;
    /// Standard deviation, divided by n - 1.
    std;
    /// Variance, divided by n - 1.
    var;
    /// Standard error of the mean.
    sem;
    /// Skewness, without correction for bias.
    skew;
    /// Excess kurtosis, without correction for bias.
    kurtosis;
    /// Whether any value is true.
    any;
    /// Whether all values are true.
    all;
    /// The first value that is not null.
    first;
    /// The last value that is not null.
    last;
    /// Number of distinct values that are not null.
    nunique;
}

macro_rules! changes {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*);)+) => {
        impl Series {
            $($(#[$doc])*
            #[track_caller]
            pub fn $name(&self $(, $arg: $type)*) -> Series {
                self.changed(stringify!($name), Origin::caller(), |expr| expr.$name($($arg),*))
            })+
        }
    };
}

changes! {
    /// Under another name.
    alias(name: &str);
    /// Whether it is null.
    is_null();
    /// Whether it is not null.
    is_not_null();
    /// Whether it is NaN.
    is_nan();
    /// As another type; a value that does not fit is an error at compute.
    cast(to: arrow::datatypes::DataType);
    /// As another type; null where a value does not fit.
    try_cast(to: arrow::datatypes::DataType);
    /// The number without its sign.
    abs();
    /// Square root.
    sqrt();
    /// Exponential.
    exp();
    /// Natural logarithm.
    ln();
}

macro_rules! compared {
    ($($(#[$doc:meta])* $name:ident $op:ident;)+) => {
        impl Series {
            $($(#[$doc])*
            #[track_caller]
            pub fn $name(&self, other: impl Into<Value>) -> Series {
                self.binary(BinaryOp::$op, Operand::Value(other.into()), false, Origin::caller())
            })+
        }
    };
}

compared! {
    /// Whether it equals a value.
    eq Eq;
    /// Whether it does not equal a value.
    ne NotEq;
    /// Whether it is less than a value.
    lt Lt;
    /// Whether it is at most a value.
    le LtEq;
    /// Whether it is greater than a value.
    gt Gt;
    /// Whether it is at least a value.
    ge GtEq;
}

/// The verbs of text, of times or of lists, on a column; see [`Series::str`].
macro_rules! spaces {
    ($($(#[$doc:meta])* $name:ident $space:ident;)+) => {
        impl Series {
            $($(#[$doc])*
            #[track_caller]
            pub fn $name(&self, make: impl FnOnce($space) -> Expr) -> Series {
                self.changed(stringify!($name), Origin::caller(), |expr| make(expr.$name()))
            })+
        }
    };
}

spaces! {
    /// What the verbs of text make of it: `names.str(|s| s.to_lowercase())`.
    str TextExpr;
    /// What the verbs of dates and times make of it: `times.dt(|t| t.hour())`.
    dt TimeExpr;
    /// What the verbs of lists make of it.
    list ListExpr;
}

macro_rules! operators {
    ($($name:ident $method:ident $op:ident;)+) => {$(
        operators!(@pair $name $method $op, &Series, &Series, |left, right| (left, Operand::Series(right), false));
        operators!(@pair $name $method $op, &Series, Series, |left, right| (left, Operand::Series(&right), false));
        operators!(@pair $name $method $op, Series, &Series, |left, right| (&left, Operand::Series(right), false));
        operators!(@pair $name $method $op, Series, Series, |left, right| (&left, Operand::Series(&right), false));
        operators!(@pair $name $method $op, &Series, &Scalar, |left, right| (left, Operand::Scalar(right), false));
        operators!(@pair $name $method $op, &Series, Scalar, |left, right| (left, Operand::Scalar(&right), false));
        operators!(@pair $name $method $op, Series, &Scalar, |left, right| (&left, Operand::Scalar(right), false));
        operators!(@pair $name $method $op, Series, Scalar, |left, right| (&left, Operand::Scalar(&right), false));
        operators!(@pair $name $method $op, &Scalar, &Series, |left, right| (right, Operand::Scalar(left), true));
        operators!(@number $name $method $op, f64);
        operators!(@number $name $method $op, i64);
        operators!(@number $name $method $op, i32);
    )+};
    (@number $name:ident $method:ident $op:ident, $number:ty) => {
        operators!(@pair $name $method $op, &Series, $number, |left, right| (left, Operand::Value(right.into()), false));
        operators!(@pair $name $method $op, Series, $number, |left, right| (&left, Operand::Value(right.into()), false));
        operators!(@pair $name $method $op, $number, &Series, |left, right| (right, Operand::Value(left.into()), true));
        operators!(@pair $name $method $op, $number, Series, |left, right| (&right, Operand::Value(left.into()), true));
    };
    (@pair $name:ident $method:ident $op:ident, $l:ty, $r:ty, |$left:ident, $right:ident| $made:expr) => {
        impl std::ops::$name<$r> for $l {
            type Output = Series;

            #[track_caller]
            fn $method(self, right: $r) -> Series {
                let origin = Origin::caller();
                let ($left, $right) = (self, right);
                let (series, other, turned): (&Series, Operand<'_>, bool) = $made;
                series.binary(BinaryOp::$op, other, turned, origin)
            }
        }
    };
}

operators! {
    Add add Add;
    Sub sub Sub;
    Mul mul Mul;
    Div div Div;
    Rem rem Rem;
}
