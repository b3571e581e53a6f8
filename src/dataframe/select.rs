//! Verbs that keep the partitions: `filter`, `select`, `with_columns`.

use super::plan::{Frame, Op};
use super::{DataFrame, Series};
use crate::expr::{Expr, col};
use crate::origin::Origin;

/// A column by its name, or an expression.
pub trait IntoColumn {
    /// As an expression.
    fn into_column(self) -> Expr;
}

impl IntoColumn for Expr {
    fn into_column(self) -> Expr {
        self
    }
}

impl IntoColumn for &str {
    fn into_column(self) -> Expr {
        col(self)
    }
}

impl IntoColumn for String {
    fn into_column(self) -> Expr {
        col(&self)
    }
}

impl DataFrame {
    /// The rows for which a condition is true; where it is null they are dropped.
    #[track_caller]
    pub fn filter(&self, condition: Expr) -> DataFrame {
        let origin = Origin::caller();
        self.derive("filter", origin, |frame| Frame::new(Op::Filter(condition), Some(frame), origin))
    }

    /// Columns by name, or computed ones.
    #[track_caller]
    pub fn select<C: IntoColumn>(&self, columns: impl IntoIterator<Item = C>) -> DataFrame {
        let origin = Origin::caller();
        let exprs = columns.into_iter().map(C::into_column).collect();
        self.derive("select", origin, |frame| Frame::new(Op::Select(exprs), Some(frame), origin))
    }

    /// All columns, and more: one of a name that is there takes its place.
    #[track_caller]
    pub fn with_columns(&self, columns: impl IntoIterator<Item = Expr>) -> DataFrame {
        let origin = Origin::caller();
        self.derive("with_columns", origin, |frame| {
            let mut exprs: Vec<Expr> = frame.schema.fields().iter().map(|field| col(field.name())).collect();
            let there = exprs.len();
            for column in columns {
                let name = column.output_name();
                match exprs[..there].iter_mut().find(|known| known.output_name() == name) {
                    Some(known) => *known = column,
                    None => exprs.push(column),
                }
            }
            Frame::new(Op::Select(exprs), Some(frame), origin)
        })
    }

    /// One column.
    #[track_caller]
    pub fn col(&self, name: &str) -> Series {
        Series::new(self, col(name), "col", Origin::caller())
    }
}
