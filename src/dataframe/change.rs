//! Verbs for what is missing or wrong: nulls and NaN filled or dropped, values replaced and clipped.

use super::DataFrame;
use super::plan::Frame;
use super::select::{filtered, known, selected, with};
use crate::error::Result;
use crate::expr::{Expr, Value, col, lit};
use crate::origin::Origin;

impl DataFrame {
    /// A value in place of the nulls of a column.
    #[track_caller]
    pub fn fill_null(&self, column: &str, value: impl Into<Value>) -> DataFrame {
        self.change("fill_null", [column], |column| column.fill_null(lit(value)))
    }

    /// A value in place of the NaN of a column of floats.
    #[track_caller]
    pub fn fill_nan(&self, column: &str, value: impl Into<Value>) -> DataFrame {
        self.change("fill_nan", [column], |column| column.fill_nan(lit(value)))
    }

    /// Values of a column replaced by others: pairs of old and new.
    #[track_caller]
    pub fn replace<A: Into<Value>, B: Into<Value>>(
        &self,
        column: &str,
        values: impl IntoIterator<Item = (A, B)>,
    ) -> DataFrame {
        let values: Vec<(Value, Value)> = values.into_iter().map(|(from, to)| (from.into(), to.into())).collect();
        self.change("replace", [column], |column| column.replace(values))
    }

    /// The values of a column brought between two bounds; null stays null, and NaN stays NaN.
    #[track_caller]
    pub fn clip(&self, column: &str, least: impl Into<Value>, most: impl Into<Value>) -> DataFrame {
        self.change("clip", [column], |column| column.clip(lit(least), lit(most)))
    }

    /// The rows without a null in these columns; of no columns, in any.
    #[track_caller]
    pub fn drop_nulls<S: AsRef<str>>(&self, columns: impl IntoIterator<Item = S>) -> DataFrame {
        self.keep_rows("drop_nulls", columns, |column| column.is_not_null(), |_| true)
    }

    /// The rows without a NaN in these columns of floats; of no columns, in any such. A null is no NaN.
    #[track_caller]
    pub fn drop_nans<S: AsRef<str>>(&self, columns: impl IntoIterator<Item = S>) -> DataFrame {
        let is_number = |column: Expr| column.clone().is_null() | column.is_not_nan();
        self.keep_rows("drop_nans", columns, is_number, arrow::datatypes::DataType::is_floating)
    }

    /// Rows that have at least so many values that are not null.
    #[track_caller]
    pub fn drop_sparse(&self, least: usize) -> DataFrame {
        let origin = Origin::caller();
        self.derive("drop_sparse", origin, |frame| {
            let there = |field: &std::sync::Arc<arrow::datatypes::Field>| {
                crate::expr::when(col(field.name()).is_null()).then(lit(0)).otherwise(lit(1))
            };
            let count = frame.schema.fields().iter().map(there).reduce(|sum, next| sum + next);
            let condition = count.unwrap_or_else(|| lit(0)).ge(least as i64);
            filtered(frame, condition, "drop_sparse", origin)
        })
    }

    /// One column computed anew, under its own name.
    #[track_caller]
    fn change<const N: usize>(
        &self,
        verb: &'static str,
        columns: [&str; N],
        change: impl FnOnce(Expr) -> Expr,
    ) -> DataFrame {
        let origin = Origin::caller();
        self.derive(verb, origin, |frame| {
            known(frame, &columns.map(str::to_string))?;
            let Some(name) = columns.first() else { return Ok(frame.clone()) };
            let changed = change(col(name)).alias(name);
            selected(frame, with(frame, vec![changed])?, verb, origin)
        })
    }

    /// The rows for which a condition holds in all of some columns.
    #[track_caller]
    fn keep_rows<S: AsRef<str>>(
        &self,
        verb: &'static str,
        columns: impl IntoIterator<Item = S>,
        condition: impl Fn(Expr) -> Expr,
        is_meant: impl Fn(&arrow::datatypes::DataType) -> bool,
    ) -> DataFrame {
        let origin = Origin::caller();
        let mut names: Vec<String> = columns.into_iter().map(|name| name.as_ref().to_string()).collect();
        self.derive(verb, origin, |frame| -> Result<Frame> {
            known(frame, &names)?;
            if names.is_empty() {
                let meant = frame.schema.fields().iter().filter(|field| is_meant(field.data_type()));
                names.extend(meant.map(|field| field.name().clone()));
            }
            let all = names.iter().map(|name| condition(col(name))).reduce(|all, next| all & next);
            all.map_or_else(|| Ok(frame.clone()), |all| filtered(frame, all, verb, origin))
        })
    }
}
