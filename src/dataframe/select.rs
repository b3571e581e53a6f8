//! Verbs that go row by row: `filter`, `select`, `with_columns`, `drop`, `rename`, `cast`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::parameters::{all_reduce, expanded, without_aggregates};
use super::plan::{Frame, Grouping, Op};
use super::{DataFrame, Series};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::{Expr, Lookup, col, unknown_column};
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

impl IntoColumn for &Expr {
    fn into_column(self) -> Expr {
        self.clone()
    }
}

impl IntoColumn for &str {
    fn into_column(self) -> Expr {
        col(self)
    }
}

impl IntoColumn for &&str {
    fn into_column(self) -> Expr {
        col(self)
    }
}

impl IntoColumn for String {
    fn into_column(self) -> Expr {
        col(&self)
    }
}

impl IntoColumn for &String {
    fn into_column(self) -> Expr {
        col(self)
    }
}

impl DataFrame {
    /// The rows for which a condition is true; where it is false or null they are dropped. Aggregates in it are of the
    /// whole table: `col("x").gt(col("x").mean())`.
    #[track_caller]
    pub fn filter(&self, condition: Expr) -> DataFrame {
        let origin = Origin::caller();
        self.derive("filter", origin, |frame| filtered(frame, condition, "filter", origin))
    }

    /// The rows for which a condition is true that is said as a text, in the words of SQL: see
    /// [`parse`](crate::expr::parse). Needs the feature `query`.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let df = dataframe::from_columns([("a", vec![1, 2, 3]), ("b", vec![3, 3, 9])]);
    /// assert_eq!(df.query("a between 2 and 5 and b > 3 * a").count_rows().compute()?, 0);
    /// assert_eq!(df.query("a > mean(a) or b = 3").compute()?.to_string(), "a  b\n-  -\n1  3\n2  3\n3  9\n");
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[cfg(feature = "query")]
    #[track_caller]
    pub fn query(&self, condition: &str) -> DataFrame {
        let origin = Origin::caller();
        self.derive("query", origin, |frame| filtered(frame, crate::expr::parse(condition)?, "query", origin))
    }

    /// Columns by name, or computed ones. If all of them are aggregates of the whole table, it is one row.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let df = dataframe::from_columns([("a", vec![1, 2, 3]), ("b", vec![4, 5, 6])]);
    /// let table = df.select([col("a") * 10, col("b") - col("b").min()]).compute()?;
    /// assert_eq!(table.to_string(), " a  b\n--  -\n10  0\n20  1\n30  2\n");
    /// assert_eq!(df.select([(col("a") * col("b")).sum().alias("dot")]).compute()?.to_string(), "dot\n---\n 32\n");
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn select<C: IntoColumn>(&self, columns: impl IntoIterator<Item = C>) -> DataFrame {
        let origin = Origin::caller();
        let exprs: Vec<Expr> = columns.into_iter().map(C::into_column).collect();
        self.derive("select", origin, |frame| {
            let exprs = expanded(exprs, &frame.schema)?;
            if all_reduce(&exprs) {
                let grouping = Grouping::new(Vec::new(), &exprs, false)?;
                return Frame::new(Op::Aggregate(grouping), &[frame], "select", origin);
            }
            selected(frame, exprs, "select", origin)
        })
    }

    /// All columns, and more: one of a name that is there takes its place. All are computed of the columns as they were.
    #[track_caller]
    pub fn with_columns<C: IntoColumn>(&self, columns: impl IntoIterator<Item = C>) -> DataFrame {
        let origin = Origin::caller();
        let columns: Vec<Expr> = columns.into_iter().map(C::into_column).collect();
        self.derive("with_columns", origin, |frame| {
            let columns = expanded(columns, &frame.schema)?;
            selected(frame, with(frame, columns)?, "with_columns", origin)
        })
    }

    /// As [`DataFrame::with_columns`], of one column.
    #[track_caller]
    pub fn with_column(&self, column: Expr) -> DataFrame {
        self.with_columns([column])
    }

    /// All columns but these.
    #[track_caller]
    pub fn drop<S: AsRef<str>>(&self, columns: impl IntoIterator<Item = S>) -> DataFrame {
        let origin = Origin::caller();
        let names: Vec<String> = columns.into_iter().map(|name| name.as_ref().to_string()).collect();
        self.derive("drop", origin, |frame| {
            known(frame, &names)?;
            let gone: HashSet<&str> = names.iter().map(String::as_str).collect();
            let left = frame.schema.fields().iter().filter(|field| !gone.contains(field.name().as_str()));
            let exprs = left.map(|field| col(field.name())).collect();
            Frame::new(Op::Select(exprs), &[frame], "drop", origin)
        })
    }

    /// The same columns, some under other names: pairs of old and new.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let df = dataframe::from_columns([("a", vec![1]), ("b", vec![2])]).rename([("a", "x")]);
    /// assert_eq!(df.columns()?, ["x", "b"]);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn rename<A: AsRef<str>, B: AsRef<str>>(&self, names: impl IntoIterator<Item = (A, B)>) -> DataFrame {
        let origin = Origin::caller();
        let names = names.into_iter().map(|(from, to)| (from.as_ref().to_string(), to.as_ref().to_string()));
        let (from, to): (Vec<String>, Vec<String>) = names.unzip();
        self.derive("rename", origin, |frame| {
            known(frame, &from)?;
            // Of a name that is there twice the first counts.
            let to: HashMap<&str, &String> = from.iter().map(String::as_str).zip(&to).rev().collect();
            let exprs = frame.schema.fields().iter().map(|field| match to.get(field.name().as_str()) {
                Some(to) => col(field.name()).alias(to),
                None => col(field.name()),
            });
            Frame::new(Op::Select(exprs.collect()), &[frame], "rename", origin)
        })
    }

    /// Columns as other types: pairs of name and type. A value that does not fit is an error at compute.
    #[track_caller]
    pub fn cast<S: AsRef<str>>(&self, types: impl IntoIterator<Item = (S, arrow::datatypes::DataType)>) -> DataFrame {
        let origin = Origin::caller();
        let types: Vec<(String, _)> = types.into_iter().map(|(name, to)| (name.as_ref().to_string(), to)).collect();
        self.derive("cast", origin, |frame| {
            let casts = types.into_iter().map(|(name, to)| col(&name).cast(to));
            selected(frame, with(frame, casts.collect())?, "cast", origin)
        })
    }

    /// One column.
    #[track_caller]
    pub fn col(&self, name: &str) -> Series {
        Series::new(self, col(name), Vec::new(), "col", Origin::caller())
    }

    /// What a function makes of this table: for chains of verbs of one's own.
    pub fn pipe<T>(&self, function: impl FnOnce(&DataFrame) -> T) -> T {
        function(self)
    }
}

/// The rows of a frame for which a condition is true.
pub(super) fn filtered(frame: &Frame, condition: Expr, verb: &'static str, origin: Origin) -> Result<Frame> {
    let conditions = condition.expand(&frame.schema)?;
    // A condition on several columns holds where all of them hold.
    let condition = conditions.into_iter().reduce(|all, next| all & next);
    let condition = condition.ok_or_else(|| Error::new(ErrorKind::Plan, "a condition on no columns"))?;
    let (mut exprs, parameters) = without_aggregates(vec![condition], frame, verb, origin)?;
    let condition = exprs.pop().ok_or_else(|| Error::internal("a condition was lost"))?;
    Frame::with_parameters(Op::Filter(condition), &[frame], &parameters, verb, origin)
}

/// Columns computed of a frame.
pub(super) fn selected(frame: &Frame, exprs: Vec<Expr>, verb: &'static str, origin: Origin) -> Result<Frame> {
    let (exprs, parameters) = without_aggregates(exprs, frame, verb, origin)?;
    Frame::with_parameters(Op::Select(exprs), &[frame], &parameters, verb, origin)
}

/// All columns of a frame, with some in place of those of the same name, or behind them.
pub(super) fn with(frame: &Frame, columns: Vec<Expr>) -> Result<Vec<Expr>> {
    let mut exprs: Vec<Expr> = frame.schema.fields().iter().map(|field| col(field.name())).collect();
    let mut places: HashMap<Arc<str>, usize> =
        frame.schema.fields().iter().enumerate().map(|(at, field)| (field.name().as_str().into(), at)).collect();
    let mut seen = HashSet::new();
    for column in columns {
        let name = column.output_name();
        if !seen.insert(name.clone()) {
            let text = format!("two columns would be called `{name}`: give one another name with .alias(\"…\")");
            return Err(Error::new(ErrorKind::Plan, text));
        }
        match places.get(&name) {
            Some(at) => exprs[*at] = column,
            None => {
                places.insert(name, exprs.len());
                exprs.push(column);
            }
        }
    }
    Ok(exprs)
}

/// Whether all of these are columns.
pub(super) fn known(frame: &Frame, names: &[String]) -> Result<()> {
    let fields = Lookup::new(&frame.schema);
    let unknown = names.iter().find(|name| fields.place(name).is_none());
    unknown.map_or(Ok(()), |name| Err(unknown_column(name, &frame.schema)))
}
