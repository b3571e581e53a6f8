//! Reductions: to one value, to one row of a value per column, to the distinct rows.

use super::parameters::expanded;
use super::plan::{Frame, Grouping, JoinColumn, JoinOp, Matching, NumberOp, Op, SortKey};
use super::{DataFrame, IntoColumn};
use crate::error::{Error, ErrorKind, Result, Role};
use crate::expr::{Expr, booleans, col, numeric, size, temporal};
use crate::origin::Origin;
use crate::plan::Poisoned;
use crate::runtime::Scalar;

impl DataFrame {
    /// The number of rows. Where the source knows it (footers of Parquet files), nothing is read.
    #[track_caller]
    pub fn count_rows(&self) -> Scalar<u64> {
        let origin = Origin::caller();
        let counted = self.frame().and_then(|frame| {
            let counted = Frame::new(Op::CountRows, &[frame], "count_rows", origin);
            counted.map_err(|error| error.frame(Role::In, "count_rows", origin))
        });
        match counted {
            Ok(frame) => Scalar::of(frame.node),
            Err(error) => Scalar::of(Poisoned::node(error)),
        }
    }

    /// Aggregates of the whole table: one row.
    #[track_caller]
    pub fn agg(&self, outputs: impl IntoIterator<Item = Expr>) -> DataFrame {
        let (origin, outputs) = (Origin::caller(), outputs.into_iter().collect::<Vec<_>>());
        self.derive("agg", origin, |frame| reduced(frame, outputs, "agg", origin))
    }

    /// The distinct rows of some columns (of none: of all), in ascending order; null is a value of its own and comes last.
    ///
    /// # Memory
    /// As for a group-by with as many groups.
    #[track_caller]
    pub fn unique<C: IntoColumn>(&self, columns: impl IntoIterator<Item = C>) -> DataFrame {
        let origin = Origin::caller();
        let columns: Vec<Expr> = columns.into_iter().map(C::into_column).collect();
        self.derive("unique", origin, |frame| {
            let mut keys = expanded(columns, &frame.schema)?;
            if keys.is_empty() {
                keys = frame.schema.fields().iter().map(|field| col(field.name())).collect();
            }
            let grouping = Grouping::new(keys, &[], true)?;
            Frame::new(Op::Aggregate(grouping), &[frame], "unique", origin)
        })
    }

    /// The rows without those whose values in some columns (of none: in all) another row has too: of each such set of rows the
    /// first is kept, or the last, or none. Null is equal to null. Rows keep their order.
    ///
    /// # Memory
    /// As for a group-by with as many groups, and the places of the rows that are kept; rows are counted first, as for
    /// [`DataFrame::with_row_index`].
    ///
    /// ```
    /// use chunkwise::prelude::*;
    /// use chunkwise::dataframe::Keep;
    ///
    /// let df = dataframe::from_columns([("k", vec![2, 1, 2]), ("v", vec![10, 20, 30])]);
    /// assert_eq!(df.drop_duplicates(["k"], Keep::Last).compute()?.to_string(), "k   v\n-  --\n1  20\n2  30\n");
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn drop_duplicates<C: IntoColumn>(&self, columns: impl IntoIterator<Item = C>, keep: Keep) -> DataFrame {
        let origin = Origin::caller();
        let columns: Vec<Expr> = columns.into_iter().map(C::into_column).collect();
        self.derive("drop_duplicates", origin, |frame| {
            let mut keys = expanded(columns, &frame.schema)?;
            if keys.is_empty() {
                keys = frame.schema.fields().iter().map(|field| col(field.name())).collect();
            }
            single_of_each(frame, keys, keep, "drop_duplicates", origin)
        })
    }

    /// The values of a column that are there most often, in ascending order; null is not counted.
    #[track_caller]
    pub fn mode(&self, column: &str) -> DataFrame {
        let origin = Origin::caller();
        self.derive("mode", origin, |frame| {
            let column = crate::expr::col(column);
            let count = free_name(frame, "size");
            let grouping = Grouping::new(vec![column.clone()], &[size().alias(&count)], false)?;
            let counts = Frame::new(Op::Aggregate(grouping), &[frame], "mode", origin)?;
            let most = super::select::filtered(&counts, col(&count).eq(col(&count).max()), "mode", origin)?;
            Frame::new(Op::Select(vec![col(&column.output_name())]), &[&most], "mode", origin)
        })
    }

    /// How often each value of a column is there, most often first, of equally many the lesser value; null is not counted. The
    /// numbers are called `count`, beside a column of that name `count_`.
    #[track_caller]
    pub fn value_counts(&self, column: &str) -> DataFrame {
        let origin = Origin::caller();
        self.derive("value_counts", origin, |frame| counted(frame, col(column), false, "value_counts", origin))
    }

    /// As [`DataFrame::value_counts`], with null counted too, last among values that are as frequent.
    #[track_caller]
    pub fn value_counts_with_null(&self, column: &str) -> DataFrame {
        let origin = Origin::caller();
        let verb = "value_counts_with_null";
        self.derive(verb, origin, |frame| counted(frame, col(column), true, verb, origin))
    }

    /// Number, mean, standard deviation, least and greatest value of each column of numbers: a row for each of these, called in the
    /// column `statistic`, beside a column of that name `statistic_`. Quantiles are not among them.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let df = dataframe::from_columns([("x", vec![1.0, 2.0, 3.0])]);
    /// let shown = "statistic    x\n---------  ---\ncount      3.0\nmean       2.0\nstd        1.0\nmin        1.0\nmax        3.0\n";
    /// assert_eq!(df.describe().compute()?.to_string(), shown);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn describe(&self) -> DataFrame {
        let origin = Origin::caller();
        self.derive("describe", origin, |frame| super::describe::described(frame, origin))
    }
}

/// Which of equal rows [`DataFrame::drop_duplicates`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Keep {
    /// The first.
    First,
    /// The last.
    Last,
    /// None of them.
    None,
}

/// A name that no column of a table has.
pub(super) fn free_name(frame: &Frame, wanted: &str) -> String {
    let mut name = format!("__{wanted}");
    while frame.schema.index_of(&name).is_ok() {
        name.insert(0, '_');
    }
    name
}

/// Of rows with equal keys the one that is kept: found by its place, and looked up by that.
fn single_of_each(frame: &Frame, keys: Vec<Expr>, keep: Keep, verb: &'static str, origin: Origin) -> Result<Frame> {
    let (place, count) = (free_name(frame, "place"), free_name(frame, "size"));
    let numbered = Frame::new(Op::Number(NumberOp::Index(place.clone())), &[frame], verb, origin)?;
    let kept_place = match keep {
        Keep::Last => col(&place).max(),
        Keep::First | Keep::None => col(&place).min(),
    };
    // Keys may be called as they like: only what is made of them is read on.
    let keys =
        keys.into_iter().enumerate().map(|(at, key)| key.alias(&free_name(frame, &format!("key_{at}")))).collect();
    let grouping = Grouping::new(keys, &[kept_place.alias(&place), size().alias(&count)], true)?;
    let grouping = Grouping { unordered: true, ..grouping };
    let mut kept = Frame::new(Op::Aggregate(grouping), &[&numbered], verb, origin)?;
    if keep == Keep::None {
        kept = Frame::new(Op::Filter(col(&count).eq(1)), &[&kept], verb, origin)?;
    }
    let kept = Frame::new(Op::Select(vec![col(&place)]), &[&kept], verb, origin)?;
    let column = |field: &std::sync::Arc<arrow::datatypes::Field>| {
        let name = field.name().clone();
        JoinColumn { held: false, from: name.clone(), name }
    };
    let columns = frame.schema.fields().iter().map(column).collect();
    let on = vec![(place.clone(), place)];
    let join = JoinOp { matching: Matching::Semi, on, nulls_equal: false, columns };
    Frame::new(Op::Join(join), &[&numbered, &kept], verb, origin)
}

/// One row of aggregates.
pub(super) fn reduced(frame: &Frame, outputs: Vec<Expr>, verb: &'static str, origin: Origin) -> Result<Frame> {
    let outputs = expanded(outputs, &frame.schema)?;
    let grouping = Grouping::new(Vec::new(), &outputs, false)?;
    Frame::new(Op::Aggregate(grouping), &[frame], verb, origin)
}

fn counted(frame: &Frame, column: Expr, nulls: bool, verb: &'static str, origin: Origin) -> Result<Frame> {
    let name = if &*column.output_name() == "count" { "count_" } else { "count" };
    let grouping = Grouping::new(vec![column], &[size().alias(name)], nulls)?;
    let counts = Frame::new(Op::Aggregate(grouping), &[frame], verb, origin)?;
    // Groups come in the order of their keys, and of equal rows the first comes first.
    let by = vec![SortKey { of: col(name), descending: true }];
    Frame::new(Op::Top { by, len: u64::MAX }, &[&counts], verb, origin)
}

/// The columns that are chosen, of which there is at least one.
pub(super) fn fitting(columns: Expr, what: &str, frame: &Frame) -> Result<Vec<Expr>> {
    let columns = columns.expand(&frame.schema)?;
    if columns.is_empty() {
        return Err(Error::new(ErrorKind::Plan, format!("there are no columns of {what}")));
    }
    Ok(columns)
}

macro_rules! each_column {
    ($($(#[$doc:meta])* $name:ident of $columns:ident;)+) => {
        impl DataFrame {
            $($(#[$doc])*
            #[track_caller]
            pub fn $name(&self) -> DataFrame {
                let origin = Origin::caller();
                let verb = stringify!($name);
                self.derive(verb, origin, |frame| {
                    let columns = each_column!($columns, frame);
                    reduced(frame, columns.into_iter().map(Expr::$name).collect(), verb, origin)
                })
            })+
        }
    };
    (all, $frame:ident) => { vec![crate::expr::all()] };
    (numbers, $frame:ident) => { fitting(numeric(), "numbers", $frame)? };
    (booleans, $frame:ident) => { fitting(booleans(), "true and false", $frame)? };
}

each_column! {
    /// The number of values of each column that are not null: one row.
    count of all;
    /// The sum of each column of numbers: one row.
    sum of numbers;
    /// The mean of each column of numbers: one row.
    mean of numbers;
    /// The least value of each column: one row.
    min of all;
    /// The greatest value of each column: one row.
    max of all;
    /// The standard deviation of each column of numbers, divided by n - 1: one row.
    std of numbers;
    /// The variance of each column of numbers, divided by n - 1: one row.
    var of numbers;
    /// The number of distinct values of each column, nulls not counted: one row.
    nunique of all;
    /// The product of each column of numbers, 1 where there are no values: one row. Of integers exact, an error where it does not fit 64 bits; of
    /// decimals a `Float64`, with its rounding.
    product of numbers;
    /// The standard error of the mean of each column of numbers, with n - 1 as the divisor of the variance: one row.
    sem of numbers;
    /// The skewness of each column of numbers, without correction for bias: one row.
    skew of numbers;
    /// The excess kurtosis of each column of numbers, without correction for bias: one row.
    kurtosis of numbers;
    /// Whether any value of each column of true and false is true, false where there are no values: one row.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let df = dataframe::from_columns([("a", vec![1, 5, 3])]).select([col("a").gt(2).alias("large"), col("a").gt(9).alias("huge")]);
    /// assert_eq!(df.any().compute()?.to_string(), "large  huge\n-----  -----\ntrue   false\n");
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    any of booleans;
    /// Whether all values of each column of true and false are true, true where there are no values: one row.
    all of booleans;
}

impl DataFrame {
    /// The number of the row, from 0, in which each column of numbers, dates or times is least: of several rows the first. One row, of
    /// `UInt64`; null where there are no values. Nulls do not count, NaN only where there is no other value.
    ///
    /// To name the row by a column of it in place of its number: `df.agg([col("day").min_by(col("rain"))])`.
    ///
    /// # Memory
    /// As [`DataFrame::with_row_index`]: rows are counted first.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let df = dataframe::from_columns([("a", vec![3, 1, 1]), ("b", vec![4, 5, 6])]);
    /// assert_eq!(df.idxmin().compute()?.to_string(), "a  b\n-  -\n1  0\n");
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn idxmin(&self) -> DataFrame {
        let origin = Origin::caller();
        self.derive("idxmin", origin, |frame| placed(frame, Expr::min_by, "idxmin", origin))
    }

    /// The number of the row in which each column of numbers, dates or times is greatest; see [`DataFrame::idxmin`].
    #[track_caller]
    pub fn idxmax(&self) -> DataFrame {
        let origin = Origin::caller();
        self.derive("idxmax", origin, |frame| placed(frame, Expr::max_by, "idxmax", origin))
    }
}

/// One row of the numbers of rows that are chosen by each column.
fn placed(frame: &Frame, best: fn(Expr, Expr) -> Expr, verb: &'static str, origin: Origin) -> Result<Frame> {
    let place = free_name(frame, "place");
    let columns = fitting(numeric().union(temporal()), "numbers, dates or times", frame)?;
    let outputs = columns.into_iter().map(|column| best(col(&place), column.clone()).alias(&column.output_name()));
    let outputs = outputs.collect();
    let numbered = Frame::new(Op::Number(NumberOp::Index(place)), &[frame], verb, origin)?;
    reduced(&numbered, outputs, verb, origin)
}
