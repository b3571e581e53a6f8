//! What is made of the rows of a group.

use std::sync::Arc;

use super::{Expr, UserAggregate};

/// An aggregate in an expression.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Aggregate {
    /// What is made of the values.
    pub function: AggregateFunction,
    /// Of what: one expression over the rows, two for a correlation, none for the number of rows.
    pub args: Vec<Expr>,
    /// Only of the rows for which this is true.
    pub filter: Option<Expr>,
}

/// What is made of all values of a group. Nulls are skipped unless said otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AggregateFunction {
    /// Number of values that are not null.
    Count,
    /// Number of rows.
    Size,
    /// Sum; 0 where there is no value. Of integers exact in 64 bits, an error beyond.
    Sum,
    /// Sum, as [`AggregateFunction::Sum`]; null of fewer values than this.
    SumMin(u32),
    /// Product; 1 where there is no value. Of integers exact in 64 bits, an error beyond; of decimals a float.
    Product,
    /// Arithmetic mean; null where there is no value.
    Mean,
    /// The least value; NaN only where there is no other.
    Min,
    /// The greatest value; NaN only where there is no other.
    Max,
    /// Variance, divided by n less this number; null where that is not positive.
    Var(u32),
    /// The square root of the variance.
    Std(u32),
    /// Standard error of the mean, with this number less in the divisor of the variance.
    Sem(u32),
    /// Skewness, without correction for bias.
    Skew,
    /// Excess kurtosis, without correction for bias.
    Kurtosis,
    /// Whether any is true; false where there is no value.
    Any,
    /// Whether all are true; true where there is no value.
    All,
    /// The first value in the order of the rows.
    First,
    /// The last value in the order of the rows.
    Last,
    /// Of two expressions the first, in the row in which the second is least: the first of several such rows. Rows in which that is
    /// null are skipped, those with NaN unless there are no others.
    MinBy,
    /// As [`AggregateFunction::MinBy`], where the second is greatest.
    MaxBy,
    /// Number of distinct values.
    NUnique,
    /// About how many distinct values there are.
    #[cfg(feature = "sketches")]
    ApproxNUnique,
    /// About which value stands at this part of all, in millionths.
    #[cfg(feature = "sketches")]
    ApproxQuantile(u32),
    /// All values in the order of the rows as a list, nulls too.
    List,
    /// So many of the greatest values as a list, greatest first; nulls are left out, NaN is the greatest.
    TopK(usize),
    /// So many of the least values as a list, least first; nulls are left out, NaN is the greatest.
    BottomK(usize),
    /// Pearson's correlation of two expressions over the rows where both have a value.
    Correlation,
    /// Covariance of two expressions over the rows where both have a value, divided by n less this number.
    Covariance(u32),
    /// Pearson's correlation of each two of some expressions, each with those before it and itself one after the other: a list. Of all
    /// rows, not of groups.
    Correlations,
    /// The covariances of each two of some expressions, divided by n - 1; as [`AggregateFunction::Correlations`].
    Covariances,
    /// Number of values, mean, standard deviation, least and greatest value as floats: a list.
    Summary,
    /// An aggregate of the user's own.
    User(UserAggregate),
}

impl AggregateFunction {
    /// What a summary is of.
    pub(crate) fn summarized() -> [AggregateFunction; 5] {
        use AggregateFunction as F;
        [F::Count, F::Mean, F::Std(1), F::Min, F::Max]
    }

    /// Whether the order of the rows decides what comes out.
    pub fn goes_by_order(&self) -> bool {
        use AggregateFunction as F;
        matches!(self, F::First | F::Last | F::List | F::MinBy | F::MaxBy)
    }
}

macro_rules! aggregates {
    ($($(#[$doc:meta])+ $name:ident $function:expr;)+) => {
        impl Expr {$(
            $(#[$doc])+
            #[must_use]
            pub fn $name(self) -> Expr {
                self.aggregate($function)
            }
        )+}
    };
}

aggregates! {
    /// Number of values of the group that are not null.
    count AggregateFunction::Count;
    /// Sum over the group; 0 where it has no values.
    sum AggregateFunction::Sum;
    /// Product over the group; 1 where it has no values. Of integers exact, an error where it does not fit 64 bits; of decimals a
    /// `Float64`, with its rounding.
    product AggregateFunction::Product;
    /// Mean over the group; null where it has no values.
    mean AggregateFunction::Mean;
    /// The least value of the group; NaN only where there is no other, null where there are none.
    min AggregateFunction::Min;
    /// The greatest value of the group; NaN only where there is no other, null where there are none.
    max AggregateFunction::Max;
    /// Standard deviation, divided by n - 1; null of fewer than two values.
    std AggregateFunction::Std(1);
    /// Variance, divided by n - 1; null of fewer than two values.
    var AggregateFunction::Var(1);
    /// Standard error of the mean, divided by n - 1.
    sem AggregateFunction::Sem(1);
    /// Skewness, without correction for bias.
    skew AggregateFunction::Skew;
    /// Excess kurtosis, without correction for bias.
    kurtosis AggregateFunction::Kurtosis;
    /// Whether any value is true; false where there is none.
    any AggregateFunction::Any;
    /// Whether all values are true; true where there is none.
    all AggregateFunction::All;
    /// The first value that is not null, in the order of the rows.
    first AggregateFunction::First;
    /// The last value that is not null, in the order of the rows.
    last AggregateFunction::Last;
    /// Number of distinct values that are not null.
    nunique AggregateFunction::NUnique;
}

impl Expr {
    pub(super) fn aggregate(self, function: AggregateFunction) -> Expr {
        Expr::Aggregate(Arc::new(Aggregate { function, args: vec![self], filter: None }))
    }

    /// Standard deviation, divided by n less `ddof`.
    #[must_use]
    pub fn std_with(self, ddof: u32) -> Expr {
        self.aggregate(AggregateFunction::Std(ddof))
    }

    /// Variance, divided by n less `ddof`.
    #[must_use]
    pub fn var_with(self, ddof: u32) -> Expr {
        self.aggregate(AggregateFunction::Var(ddof))
    }

    /// Sum over the group; null where it has fewer values than `count`.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let df = dataframe::from_columns([("k", vec![1i64, 2, 2]), ("v", vec![5, 6, 7])]);
    /// let sums = df.group_by(["k"]).agg([col("v").sum_min_count(2)]).compute()?;
    /// assert_eq!(sums.to_string(), "k     v\n-  ----\n1  null\n2    13\n");
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[must_use]
    pub fn sum_min_count(self, count: u32) -> Expr {
        self.aggregate(AggregateFunction::SumMin(count))
    }

    /// All values of the group as a list, in the order of the rows; nulls are kept.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let df = dataframe::from_columns([("k", vec![1i64, 2, 1]), ("v", vec![9, 8, 7])]);
    /// let lists = df.group_by(["k"]).agg([col("v").collect_list()]).compute()?;
    /// assert_eq!(lists.to_string(), "k  v\n-  ------\n1  [9, 7]\n2  [8]\n");
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[must_use]
    pub fn collect_list(self) -> Expr {
        self.aggregate(AggregateFunction::List)
    }

    /// The `k` greatest values of the group as a list, greatest first, or all where there are fewer. Nulls are left out, NaN
    /// is the greatest value.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let df = dataframe::from_columns([("k", vec![1i64, 2, 1, 1]), ("v", vec![7, 8, 9, 1])]);
    /// let best = df.group_by(["k"]).agg([col("v").top_k(2)]).compute()?;
    /// assert_eq!(best.to_string(), "k  v\n-  ------\n1  [9, 7]\n2  [8]\n");
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[must_use]
    pub fn top_k(self, k: usize) -> Expr {
        self.aggregate(AggregateFunction::TopK(k))
    }

    /// The `k` least values of the group as a list, least first, or all where there are fewer. Nulls are left out, NaN is the
    /// greatest value.
    #[must_use]
    pub fn bottom_k(self, k: usize) -> Expr {
        self.aggregate(AggregateFunction::BottomK(k))
    }

    /// The value in the row of the group in which another expression is greatest: of several such rows the first. Rows in which that
    /// is null do not count, those in which it is NaN only where there are no others.
    ///
    /// With the number of each row it tells where a column is greatest (`idxmax`).
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let df = dataframe::from_columns([("day", vec![1i64, 2, 3]), ("rain", vec![4, 9, 2])]);
    /// let wettest = df.agg([col("day").max_by(col("rain"))]).compute()?;
    /// assert_eq!(wettest.to_string(), "day\n---\n  2\n");
    /// let place = df.with_row_index("row").agg([col("row").min_by(col("rain"))]).compute()?;
    /// assert_eq!(place.to_string(), "row\n---\n  2\n");
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[must_use]
    pub fn max_by(self, by: impl Into<Expr>) -> Expr {
        of_two(AggregateFunction::MaxBy, self, by.into())
    }

    /// As [`Expr::max_by`], for the row in which the other expression is least.
    #[must_use]
    pub fn min_by(self, by: impl Into<Expr>) -> Expr {
        of_two(AggregateFunction::MinBy, self, by.into())
    }

    /// About how many distinct values that are not null the group has: by HyperLogLog (Flajolet et al. 2007) with 16 384 registers,
    /// whose standard error is 0.81 %. It takes at most 16 KiB for each group and thread, however many values there are.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let df = dataframe::from_columns([("v", (0..100_000i64).map(|n| n % 50_000).collect::<Vec<_>>())]);
    /// let count = df.agg([col("v").approx_nunique()]).compute()?.column::<arrow::datatypes::Int64Type>("v")?.value(0);
    /// assert!((48_500..51_500).contains(&count));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[cfg(feature = "sketches")]
    #[must_use]
    pub fn approx_nunique(self) -> Expr {
        self.aggregate(AggregateFunction::ApproxNUnique)
    }

    /// About the value below which this part of the group's values lies, between 0 and 1: by a t-digest (Dunning and Ertl 2019) of
    /// about 200 centroids. What is given stands within 1 % of the ranks, and nearer at the ends. Nulls are skipped, NaN gives NaN.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let df = dataframe::from_columns([("v", (0..=10_000i64).collect::<Vec<_>>())]);
    /// let median = df.agg([col("v").approx_quantile(0.5)]).compute()?.column::<arrow::datatypes::Float64Type>("v")?.value(0);
    /// assert!((4_900.0..5_100.0).contains(&median));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[cfg(feature = "sketches")]
    #[must_use]
    pub fn approx_quantile(self, part: f64) -> Expr {
        if !(0.0..=1.0).contains(&part) {
            return self.invalid("`approx_quantile` takes a part between 0 and 1");
        }
        // As an integer, so that expressions can be told apart.
        self.aggregate(AggregateFunction::ApproxQuantile((part * 1e6).round() as u32))
    }

    /// The aggregates in it of those rows alone for which a condition is true.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let late = col("delay").mean().filter_by(col("delay").gt(0));
    /// assert_eq!(late.to_string(), "mean(delay where delay > 0)");
    /// ```
    #[must_use]
    pub fn filter_by(self, condition: impl Into<Expr>) -> Expr {
        if !self.has_aggregate() {
            return self.invalid("`filter_by` takes the rows of an aggregate, and there is none");
        }
        let condition = condition.into();
        self.rebuild(|expr| match &expr {
            Expr::Aggregate(aggregate) => {
                let filter = match &aggregate.filter {
                    Some(filter) => filter.clone() & condition.clone(),
                    None => condition.clone(),
                };
                Expr::Aggregate(Arc::new(Aggregate { filter: Some(filter), ..Aggregate::clone(aggregate) }))
            }
            _ => expr,
        })
    }
}

/// Number of rows of the group.
pub fn size() -> Expr {
    Expr::Aggregate(Arc::new(Aggregate { function: AggregateFunction::Size, args: Vec::new(), filter: None }))
}

/// Pearson's correlation of two expressions over the rows where both have a value.
pub fn corr(left: impl Into<Expr>, right: impl Into<Expr>) -> Expr {
    of_two(AggregateFunction::Correlation, left.into(), right.into())
}

/// Covariance of two expressions over the rows where both have a value, divided by n - 1.
pub fn cov(left: impl Into<Expr>, right: impl Into<Expr>) -> Expr {
    of_two(AggregateFunction::Covariance(1), left.into(), right.into())
}

fn of_two(function: AggregateFunction, left: Expr, right: Expr) -> Expr {
    Expr::Aggregate(Arc::new(Aggregate { function, args: vec![left, right], filter: None }))
}
