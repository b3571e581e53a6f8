//! Verbs for what is missing or wrong: nulls and NaN filled or dropped, values replaced and clipped.

use super::DataFrame;
use super::plan::{FillOp, Frame, Op};
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

    /// The rows that have a value in at least one of these columns; of no columns, in any.
    #[track_caller]
    pub fn drop_all_null<S: AsRef<str>>(&self, columns: impl IntoIterator<Item = S>) -> DataFrame {
        let origin = Origin::caller();
        let names: Vec<String> = columns.into_iter().map(|name| name.as_ref().to_string()).collect();
        self.derive("drop_all_null", origin, |frame| {
            let names = or_all(frame, names)?;
            let any = names.iter().map(|name| col(name).is_not_null()).reduce(|any, next| any | next);
            any.map_or_else(|| Ok(frame.clone()), |any| filtered(frame, any, "drop_all_null", origin))
        })
    }

    /// Nulls of these columns (of none: of all) take the last value before them, whatever partition it is in; of more than
    /// `limit` nulls in a row only the first ones do.
    ///
    /// # Memory
    /// Rows are gone through twice: they are read again where that is cheap, else they wait, spilled as far as memory is short.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let df = dataframe::from_columns([("x", vec![None, Some(1), None, None, Some(4), None])]);
    /// let filled = df.ffill(["x"], 1).compute()?;
    /// assert_eq!(filled.to_records::<(Option<i32>,)>()?, [None, Some(1), Some(1), None, Some(4), Some(4)].map(|x| (x,)));
    /// let filled = df.bfill(["x"], None).compute()?;
    /// assert_eq!(filled.to_records::<(Option<i32>,)>()?, [Some(1), Some(1), Some(4), Some(4), Some(4), None].map(|x| (x,)));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn ffill<S: AsRef<str>>(
        &self,
        columns: impl IntoIterator<Item = S>,
        limit: impl Into<Option<u64>>,
    ) -> DataFrame {
        self.filled("ffill", columns, limit.into(), false, Origin::caller())
    }

    /// Nulls of these columns (of none: of all) take the first value behind them; of more than `limit` nulls in a row only the
    /// last ones do. See [`DataFrame::ffill`].
    #[track_caller]
    pub fn bfill<S: AsRef<str>>(
        &self,
        columns: impl IntoIterator<Item = S>,
        limit: impl Into<Option<u64>>,
    ) -> DataFrame {
        self.filled("bfill", columns, limit.into(), true, Origin::caller())
    }

    fn filled<S: AsRef<str>>(
        &self,
        verb: &'static str,
        columns: impl IntoIterator<Item = S>,
        limit: Option<u64>,
        backward: bool,
        origin: Origin,
    ) -> DataFrame {
        let names: Vec<String> = columns.into_iter().map(|name| name.as_ref().to_string()).collect();
        self.derive(verb, origin, |frame| {
            let columns = or_all(frame, names)?;
            Frame::new(Op::Fill(FillOp { columns, backward, limit }), &[frame], verb, origin)
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

/// These columns, or all where there are none of them.
fn or_all(frame: &Frame, names: Vec<String>) -> Result<Vec<String>> {
    known(frame, &names)?;
    let all = || frame.schema.fields().iter().map(|field| field.name().clone()).collect();
    Ok(if names.is_empty() { all() } else { names })
}
