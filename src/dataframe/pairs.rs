//! Tables of what each two columns have to do with each other.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Float64Type, Schema};

use super::DataFrame;
use super::plan::{Frame, Op, UserMap};
use super::reduce::{fitting, reduced};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::{Aggregate, AggregateFunction, Expr, numeric};
use crate::origin::Origin;

/// Columns that are paired at most: there are about half as many pairs as their square.
const MOST_COLUMNS: usize = 512;

impl DataFrame {
    /// Pearson's correlation of each two columns of numbers, over the rows where both have a value: a row and a column for each of them.
    /// The rows are called as the columns are, in the column `column`, beside a column of that name `column_`. It is null over
    /// fewer than two rows, and NaN where the values of one column are all alike.
    ///
    /// # Memory
    /// 88 bytes for each two columns, so 12 MB for 512, for each thread and once more.
    ///
    /// # Errors
    /// Of kind `Plan`, where there are no columns of numbers, or more than 512.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let df = dataframe::from_columns([("x", vec![0.0, 2.0, 0.0, 2.0]), ("y", vec![6.0, 2.0, 6.0, 2.0])]);
    /// let shown = "column     x     y\n------  ----  ----\nx        1.0  -1.0\ny       -1.0   1.0\n";
    /// assert_eq!(df.corr().compute()?.to_string(), shown);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn corr(&self) -> DataFrame {
        let origin = Origin::caller();
        self.derive("corr", origin, |frame| paired(frame, AggregateFunction::Correlations, "corr", origin))
    }

    /// The covariance of each two columns of numbers, divided by n - 1, over the rows where both have a value; see
    /// [`DataFrame::corr`] for what the table is.
    ///
    /// # Errors
    /// As [`DataFrame::corr`].
    #[track_caller]
    pub fn cov(&self) -> DataFrame {
        let origin = Origin::caller();
        self.derive("cov", origin, |frame| paired(frame, AggregateFunction::Covariances, "cov", origin))
    }
}

/// A table of each two columns. The correlation of a column with itself is one, where it is a number.
fn paired(frame: &Frame, function: AggregateFunction, verb: &'static str, origin: Origin) -> Result<Frame> {
    let unit = function == AggregateFunction::Correlations;
    let columns = fitting(numeric(), "numbers", frame)?;
    if columns.len() > MOST_COLUMNS {
        let count = columns.len();
        let text =
            format!("`{verb}` pairs {MOST_COLUMNS} columns at most, and {count} are numbers: select some of them");
        return Err(Error::new(ErrorKind::Plan, text));
    }
    let pairs = Expr::Aggregate(Arc::new(Aggregate { function, args: columns.clone(), filter: None }));
    let all = reduced(frame, vec![pairs.alias("pairs")], verb, origin)?;
    let names: Vec<Arc<str>> = columns.iter().map(Expr::output_name).collect();
    let mut column = "column".to_string();
    while names.iter().any(|name| **name == *column) {
        column.push('_');
    }
    let fields = names.iter().map(|name| Field::new(&**name, DataType::Float64, true));
    let fields = std::iter::once(Field::new(column, DataType::Utf8, true)).chain(fields);
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let of_schema = schema.clone();
    let function = move |pairs: RecordBatch| {
        let pairs = pairs.column(0).as_list::<i32>().value(0);
        let pairs: &Float64Array = pairs.as_primitive::<Float64Type>();
        let text: ArrayRef = Arc::new(names.iter().map(|name| Some(&**name)).collect::<StringArray>());
        let columns = (0..names.len()).map(|at| square(pairs, at, names.len(), unit));
        let columns = std::iter::once(text).chain(columns).collect();
        let made = RecordBatch::try_new(of_schema.clone(), columns);
        made.map_err(|error| Error::internal(format!("a table of pairs: {error}")))
    };
    let map = UserMap { function: Arc::new(function), schema, whole: false };
    Frame::new(Op::Map(map), &[&all], verb, origin)
}

/// A column of the square of which one half is there, row by row up to the diagonal.
fn square(pairs: &Float64Array, column: usize, count: usize, unit: bool) -> ArrayRef {
    let value = |row: usize| {
        let (less, more) = (row.min(column), row.max(column));
        let at = more * (more + 1) / 2 + less;
        pairs
            .is_valid(at)
            .then(|| pairs.value(at))
            .map(|value| if unit && row == column && value.is_finite() { 1.0 } else { value })
    };
    Arc::new((0..count).map(value).collect::<Float64Array>())
}
