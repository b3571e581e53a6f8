//! One column of a table that is not there yet.

use std::fmt;

use super::DataFrame;
use super::plan::{Frame, Op};
use crate::error::{Error, ErrorKind, Result, Role};
use crate::expr::{BinaryOp, Expr};
use crate::origin::Origin;

/// A column, or what is computed of columns of one table.
///
/// ```no_run
/// use chunkwise::prelude::*;
///
/// let flights = dataframe::read_csv("flights-*.csv.gz").null_values(["", "NA"]).open()?;
/// let ratio = (flights.col("dep_delay") / flights.col("distance")).to_array::<f64>();
/// let (mean, std) = compute((ratio.mean(), ratio.std(0.0)))?; // one pass
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "a Series does nothing until it is computed"]
pub struct Series {
    frame: DataFrame,
    expr: Expr,
    error: Option<Error>,
}

impl Series {
    pub(super) fn new(frame: &DataFrame, expr: Expr, verb: &'static str, origin: Origin) -> Series {
        let typed = frame.frame().and_then(|frame| {
            let typed = expr.data_type(&frame.schema);
            typed.map_err(|error| error.frame(Role::In, verb, origin))
        });
        Series { frame: frame.clone(), expr, error: typed.err() }
    }

    /// The expression over the columns of its table.
    pub fn expr(&self) -> &Expr {
        &self.expr
    }

    /// A table of this column alone.
    pub(crate) fn to_frame(&self, origin: Origin) -> Result<Frame> {
        match &self.error {
            Some(error) => Err(error.clone()),
            None => Frame::new(Op::Select(vec![self.expr.clone()]), Some(self.frame.frame()?), origin),
        }
    }

    fn binary(&self, op: BinaryOp, other: Result<Expr, &Series>, origin: Origin) -> Series {
        let verb = op.sign();
        let right = match other {
            Ok(value) => value,
            Err(series) => {
                if let Some(error) = self.error.as_ref().or(series.error.as_ref()) {
                    return Series { error: Some(error.clone()), ..self.clone() };
                }
                if self.frame.node().address() != series.frame.node().address() {
                    let text = "columns of two tables have no common rows: take both from one table";
                    let error = Error::new(ErrorKind::Plan, text).frame(Role::In, verb, origin);
                    return Series { error: Some(error), ..self.clone() };
                }
                series.expr.clone()
            }
        };
        if self.error.is_some() {
            return self.clone();
        }
        let expr = Expr::Binary(self.expr.clone().into(), op, right.into());
        Series::new(&self.frame, expr, verb, origin)
    }
}

impl fmt::Debug for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            Some(error) => write!(f, "Series: {error}"),
            None => write!(f, "Series: {}", self.expr),
        }
    }
}

macro_rules! operators {
    ($($name:ident $method:ident $op:ident;)+) => {$(
        impl std::ops::$name<&Series> for &Series {
            type Output = Series;

            #[track_caller]
            fn $method(self, right: &Series) -> Series {
                self.binary(BinaryOp::$op, Err(right), Origin::caller())
            }
        }

        impl std::ops::$name<Series> for Series {
            type Output = Series;

            #[track_caller]
            fn $method(self, right: Series) -> Series {
                self.binary(BinaryOp::$op, Err(&right), Origin::caller())
            }
        }

        impl std::ops::$name<&Series> for Series {
            type Output = Series;

            #[track_caller]
            fn $method(self, right: &Series) -> Series {
                self.binary(BinaryOp::$op, Err(right), Origin::caller())
            }
        }

        impl std::ops::$name<Series> for &Series {
            type Output = Series;

            #[track_caller]
            fn $method(self, right: Series) -> Series {
                self.binary(BinaryOp::$op, Err(&right), Origin::caller())
            }
        }

        impl std::ops::$name<f64> for &Series {
            type Output = Series;

            #[track_caller]
            fn $method(self, right: f64) -> Series {
                self.binary(BinaryOp::$op, Ok(right.into()), Origin::caller())
            }
        }

        impl std::ops::$name<f64> for Series {
            type Output = Series;

            #[track_caller]
            fn $method(self, right: f64) -> Series {
                self.binary(BinaryOp::$op, Ok(right.into()), Origin::caller())
            }
        }
    )+};
}

operators! {
    Add add Add;
    Sub sub Sub;
    Mul mul Mul;
    Div div Div;
}
