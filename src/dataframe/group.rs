//! Grouping: `group_by(keys).agg(aggregates)`.

use super::parameters::expanded;
use super::plan::{Frame, Grouping, Op};
use super::{DataFrame, IntoColumn};
use crate::error::{Error, Result, Role};
use crate::expr::{Expr, all, exclude, size};
use crate::origin::Origin;

/// A table and the keys of its groups; [`GroupBy::agg`] says what is made of each group.
#[derive(Clone, Debug)]
#[must_use = "groups do nothing until something is made of them"]
pub struct GroupBy {
    frame: DataFrame,
    keys: Vec<Expr>,
    keep_nulls: bool,
    unordered: bool,
}

/// An aggregate by its name, for [`GroupBy::agg_each`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agg {
    /// Number of values that are not null.
    Count,
    /// Number of rows.
    Size,
    /// Sum.
    Sum,
    /// Arithmetic mean.
    Mean,
    /// Least value.
    Min,
    /// Greatest value.
    Max,
    /// Standard deviation, divided by n - 1.
    Std,
    /// Variance, divided by n - 1.
    Var,
    /// Product.
    Product,
    /// First value that is not null.
    First,
    /// Last value that is not null.
    Last,
    /// Number of distinct values.
    NUnique,
    /// Whether any is true.
    Any,
    /// Whether all are true.
    All,
    /// Standard error of the mean, divided by n - 1.
    Sem,
    /// Skewness, without correction for bias.
    Skew,
    /// Excess kurtosis, without correction for bias.
    Kurtosis,
    /// All values as a list, nulls too.
    List,
    /// So many of the greatest values as a list.
    TopK(usize),
    /// So many of the least values as a list.
    BottomK(usize),
}

impl Agg {
    /// What is added to the name of the column.
    pub fn name(self) -> &'static str {
        match self {
            Agg::Count => "count",
            Agg::Size => "size",
            Agg::Sum => "sum",
            Agg::Mean => "mean",
            Agg::Min => "min",
            Agg::Max => "max",
            Agg::Std => "std",
            Agg::Var => "var",
            Agg::Product => "product",
            Agg::First => "first",
            Agg::Last => "last",
            Agg::NUnique => "nunique",
            Agg::Any => "any",
            Agg::All => "all",
            Agg::Sem => "sem",
            Agg::Skew => "skew",
            Agg::Kurtosis => "kurtosis",
            Agg::List => "list",
            Agg::TopK(_) => "top_k",
            Agg::BottomK(_) => "bottom_k",
        }
    }

    /// Of an expression.
    pub fn of(self, expr: Expr) -> Expr {
        match self {
            Agg::Count => expr.count(),
            Agg::Size => size(),
            Agg::Sum => expr.sum(),
            Agg::Mean => expr.mean(),
            Agg::Min => expr.min(),
            Agg::Max => expr.max(),
            Agg::Std => expr.std(),
            Agg::Var => expr.var(),
            Agg::Product => expr.product(),
            Agg::First => expr.first(),
            Agg::Last => expr.last(),
            Agg::NUnique => expr.nunique(),
            Agg::Any => expr.any(),
            Agg::All => expr.all(),
            Agg::Sem => expr.sem(),
            Agg::Skew => expr.skew(),
            Agg::Kurtosis => expr.kurtosis(),
            Agg::List => expr.collect_list(),
            Agg::TopK(k) => expr.top_k(k),
            Agg::BottomK(k) => expr.bottom_k(k),
        }
    }
}

impl DataFrame {
    /// Groups of rows with equal keys: columns by name, or expressions. Rows with a null among their keys are dropped,
    /// whatever is made of the groups, unless [`GroupBy::keep_nulls`] is said.
    #[track_caller]
    pub fn group_by<C: IntoColumn>(&self, keys: impl IntoIterator<Item = C>) -> GroupBy {
        let origin = Origin::caller();
        let keys: Vec<Expr> = keys.into_iter().map(C::into_column).collect();
        let checked = self.frame().and_then(|frame| {
            let checked = expanded(keys, &frame.schema).and_then(|keys| {
                if keys.is_empty() {
                    return Err(Error::new(crate::error::ErrorKind::Plan, "no keys to group by"));
                }
                keys.iter().try_for_each(super::plan::outside_of_agg)?;
                keys.iter().try_for_each(|key| key.data_type(&frame.schema).map(drop))?;
                Ok((frame.clone(), keys))
            });
            checked.map_err(|error| error.frame(Role::In, "group_by", origin))
        });
        match checked {
            Ok((frame, keys)) => {
                GroupBy { frame: DataFrame { state: Ok(frame) }, keys, keep_nulls: false, unordered: false }
            }
            Err(error) => GroupBy {
                frame: DataFrame { state: Err(error) },
                keys: Vec::new(),
                keep_nulls: false,
                unordered: false,
            },
        }
    }
}

impl GroupBy {
    /// Null is a key as others are: its group comes last.
    pub fn keep_nulls(self) -> GroupBy {
        GroupBy { keep_nulls: true, ..self }
    }

    /// Groups may come in any order: they are not sorted by their keys. The order still follows from the data alone, and verbs
    /// that go by the order of rows are errors.
    pub fn unordered(self) -> GroupBy {
        GroupBy { unordered: true, ..self }
    }

    /// One row per group, in ascending order of the keys (nulls last): the keys, and the outputs. An output is an aggregate or
    /// what is computed of aggregates and keys; of a selector it is one for each column.
    ///
    /// The result is one partition. Sums of integers are exact; floats are added in the order of the rows of each
    /// morsel, then of the morsels, so that the bits do not depend on threads.
    ///
    /// # Memory
    /// One row of running values for each key, for each thread: they are held under the name `group_by`, and the run fails with
    /// an error of kind `OutOfMemory` where the budget has no room for them.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let df = dataframe::from_columns([("k", vec![1, 2, 1]), ("v", vec![10, 20, 30])]);
    /// let spread = (col("v").max() - col("v").min()).alias("spread");
    /// let table = df.group_by(["k"]).agg([spread, col("v").mean().alias("mean")]).compute()?;
    /// assert_eq!(table.to_string(), "k  spread  mean\n-  ------  ----\n1      20  20.0\n2       0  20.0\n");
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn agg(&self, outputs: impl IntoIterator<Item = Expr>) -> DataFrame {
        let outputs: Vec<Expr> = outputs.into_iter().collect();
        self.aggregated("agg", Origin::caller(), |_| Ok(outputs))
    }

    /// Several aggregates of several columns: each output is called after its column and its aggregate, `amount_mean`.
    #[track_caller]
    pub fn agg_each<C: IntoColumn>(
        &self,
        columns: impl IntoIterator<Item = C>,
        aggregates: impl IntoIterator<Item = Agg>,
    ) -> DataFrame {
        let columns: Vec<Expr> = columns.into_iter().map(C::into_column).collect();
        let aggregates: Vec<Agg> = aggregates.into_iter().collect();
        self.aggregated("agg_each", Origin::caller(), |frame| {
            let columns = expanded(columns, &frame.schema)?;
            let each = |column: &Expr| {
                let named = |agg: &Agg| {
                    let name = format!("{}_{}", column.output_name(), agg.name());
                    agg.of(column.clone()).alias(&name)
                };
                aggregates.iter().map(named).collect::<Vec<_>>()
            };
            Ok(columns.iter().flat_map(each).collect())
        })
    }

    /// The number of rows of each group, as `size`.
    #[track_caller]
    pub fn size(&self) -> DataFrame {
        self.aggregated("size", Origin::caller(), |_| Ok(vec![size().alias("size")]))
    }

    fn aggregated(
        &self,
        verb: &'static str,
        origin: Origin,
        outputs: impl FnOnce(&Frame) -> Result<Vec<Expr>>,
    ) -> DataFrame {
        self.frame.derive(verb, origin, |frame| {
            let outputs = expanded(outputs(frame)?, &frame.schema)?;
            let grouping = Grouping::new(self.keys.clone(), &outputs, self.keep_nulls)?;
            let grouping = Grouping { unordered: self.unordered, ..grouping };
            Frame::new(Op::Aggregate(grouping), &[frame], verb, origin)
        })
    }

    /// All columns that are no keys.
    fn others(&self) -> Expr {
        let names = self.keys.iter().filter_map(|key| match key.unnamed() {
            Expr::Column(name) => Some(name.to_string()),
            _ => None,
        });
        let names: Vec<String> = names.collect();
        if names.is_empty() { all() } else { exclude(names) }
    }
}

macro_rules! each_column {
    ($($(#[$doc:meta])* $name:ident;)+) => {
        impl GroupBy {
            $($(#[$doc])*
            #[track_caller]
            pub fn $name(&self) -> DataFrame {
                self.aggregated(stringify!($name), Origin::caller(), |_| Ok(vec![self.others().$name()]))
            })+
        }
    };
}

each_column! {
    /// Of every other column the first value that is not null.
    first;
    /// Of every other column the last value that is not null.
    last;
    /// Of every other column the number of values that are not null.
    count;
    /// Of every other column the sum; all of them have to be numbers.
    sum;
    /// Of every other column the mean; all of them have to be numbers.
    mean;
    /// Of every other column the least value.
    min;
    /// Of every other column the greatest value.
    max;
    /// Of every other column the number of distinct values.
    nunique;
}
