//! From states to the values of aggregates.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, ListArray, PrimitiveArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{cast, nullif};
use arrow::datatypes::{DataType, Decimal128Type, Field, Float64Type, UInt64Type};

use super::deviations::Parts;
use super::intern::failed;
use super::state::{AggregateCall, State};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::AggregateFunction;

/// How an aggregate is made of states.
#[derive(Debug)]
pub(crate) struct Output {
    call: AggregateCall,
    /// The states it reads, by their places.
    states: Vec<usize>,
    /// Of sums of floats: which of them.
    column: usize,
    /// Of a summary: what it is of.
    parts: Vec<Output>,
}

/// The states of all groups.
pub(super) struct Finished<'a> {
    pub states: &'a mut [State],
    pub count: usize,
}

impl Output {
    pub fn new(call: &AggregateCall, states: Vec<usize>, column: usize, parts: Vec<Output>) -> Output {
        Output { call: call.clone(), states, column, parts }
    }

    /// About how many bytes the array of its values takes.
    pub fn bytes(&self, states: &[State], count: usize) -> usize {
        // Of a summary the values of its parts as floats, before they stand in lists and in them.
        let parts = 2 * 9 * self.parts.len() * count;
        parts
            + match self.call.data_type.primitive_width() {
                Some(width) => (width + 1) * count,
                // Text or lists: what was kept of them.
                None => self.states.iter().map(|at| states[*at].bytes()).sum::<usize>() + 8 * count,
            }
    }

    /// The value of each group.
    pub fn finish(&self, all: &mut Finished<'_>) -> Result<ArrayRef> {
        use AggregateFunction as F;
        let (count, to) = (all.count, &self.call.data_type);
        let ints = |values: Vec<i64>| -> ArrayRef { Arc::new(Int64Array::from(values)) };
        let array: ArrayRef = match &self.call.function {
            F::Size => ints((0..count).map(|group| self.size(all, 0, group) as i64).collect()),
            F::Count => ints((0..count).map(|group| self.valid(all, 0, group) as i64).collect()),
            F::Sum => self.sum(all)?,
            F::SumMin(least) => {
                let few = (0..count).map(|group| self.valid(all, 1, group) < u64::from(*least));
                let few = BooleanArray::from(few.collect::<Vec<bool>>());
                nullif(&self.sum(all)?, &few).map_err(failed)?
            }
            F::List => match self.state(all, 0) {
                State::Lists(lists) => lists.finish(count)?,
                _ => return Err(mismatch()),
            },
            F::TopK(_) | F::BottomK(_) => match self.state(all, 0) {
                State::Tops(tops) => tops.finish(count)?,
                _ => return Err(mismatch()),
            },
            F::Mean => self.mean(all)?,
            F::Product => {
                let exact = self.is_exact();
                match self.state(all, 0) {
                    State::Products(products) if exact => {
                        let products = products.exact(count);
                        self.exact(&products.ok_or_else(|| self.too_large(""))?)?
                    }
                    State::Products(products) => Arc::new(Float64Array::from(products.floats(count).to_vec())),
                    _ => return Err(mismatch()),
                }
            }
            F::Min | F::Max => match self.state(all, 0) {
                State::Extremes(extremes) => extremes.finish(count)?,
                _ => return Err(mismatch()),
            },
            F::First | F::Last => match self.state(all, 0) {
                State::Ends(ends) => ends.finish(count)?,
                _ => return Err(mismatch()),
            },
            F::MinBy | F::MaxBy => match self.state(all, 0) {
                State::Best(best) => best.finish(count)?,
                _ => return Err(mismatch()),
            },
            #[cfg(feature = "sketches")]
            F::ApproxNUnique => match self.state(all, 0) {
                State::Distincts(distincts) => ints(distincts.counts(count)),
                _ => return Err(mismatch()),
            },
            #[cfg(feature = "sketches")]
            F::ApproxQuantile(part) => match self.state(all, 0) {
                State::Digests(digests) => {
                    Arc::new(Float64Array::from(digests.quantiles(count, f64::from(*part) / 1e6)?))
                }
                _ => return Err(mismatch()),
            },
            F::Any | F::All => match self.state(all, 0) {
                State::Logic(logic) => Arc::new(logic.finish(count, self.call.function == F::All)),
                _ => return Err(mismatch()),
            },
            F::NUnique => match self.state(all, 0) {
                State::Distinct(distinct) => ints(distinct.counts(count).iter().map(|n| *n as i64).collect()),
                _ => return Err(mismatch()),
            },
            F::Var(ddof) => self.floats(all, |m| variance(m, *ddof)),
            F::Std(ddof) => self.floats(all, |m| variance(m, *ddof).map(f64::sqrt)),
            F::Sem(ddof) => self.floats(all, |m| variance(m, *ddof).map(|var| (var / m.n).sqrt())),
            F::Skew => self.floats(all, skew),
            F::Kurtosis => self.floats(all, kurtosis),
            F::Correlation => self.floats(all, correlation),
            F::Covariance(ddof) => self.floats(all, |m| covariance(m, *ddof)),
            F::Correlations => self.pairs(all, correlation)?,
            F::Covariances => self.pairs(all, |m| covariance(m, 1))?,
            F::Summary => self.summary(all)?,
            F::User(_) => match self.state(all, 0) {
                State::User(groups) => groups.finish(count, to)?,
                _ => return Err(mismatch()),
            },
        };
        if array.data_type() == to { Ok(array) } else { cast(&array, to).map_err(failed) }
    }

    fn state<'a>(&self, all: &'a mut Finished<'_>, at: usize) -> &'a mut State {
        &mut all.states[self.states[at]]
    }

    fn is_exact(&self) -> bool {
        self.call.args.first().is_none_or(|(_, of)| of.is_integer() || *of == DataType::Boolean)
    }

    /// Rows of a group, by the state at a place.
    fn size(&self, all: &Finished<'_>, at: usize, group: usize) -> u64 {
        match &all.states[self.states[at]] {
            State::Sizes(sizes) => sizes.0.get(group).copied().unwrap_or(0),
            _ => 0,
        }
    }

    /// Rows with a value, by the state of sizes at a place and that of nulls behind it.
    fn valid(&self, all: &Finished<'_>, at: usize, group: usize) -> u64 {
        let nulls = match &all.states[self.states[at + 1]] {
            State::Nulls(nulls) => nulls.0.get(group).copied().unwrap_or(0),
            _ => 0,
        };
        self.size(all, at, group) - nulls
    }

    fn float_sum(&self, all: &Finished<'_>, group: usize) -> f64 {
        match &all.states[self.states[0]] {
            State::FloatSums(sums) => sums.sum(group, self.column),
            _ => 0.0,
        }
    }

    fn sum(&self, all: &mut Finished<'_>) -> Result<ArrayRef> {
        let count = all.count;
        Ok(match self.state(all, 0) {
            State::IntSums(sums) => {
                sums.0.resize(count, 0);
                let sums = sums.0.clone();
                self.exact(&sums)?
            }
            _ => Arc::new((0..count).map(|group| Some(self.float_sum(all, group))).collect::<Float64Array>()),
        })
    }

    fn mean(&self, all: &mut Finished<'_>) -> Result<ArrayRef> {
        let count = all.count;
        let sums = match self.state(all, 0) {
            State::IntSums(sums) => {
                sums.0.resize(count, 0);
                Some(sums.0.clone())
            }
            _ => None,
        };
        let scale = match self.call.args.first() {
            Some((
                _,
                DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal128(_, scale),
            )) => 10f64.powi(i32::from(*scale)),
            _ => 1.0,
        };
        let means = (0..count).map(|group| {
            let sum = sums.as_ref().map_or_else(|| self.float_sum(all, group), |sums| sums[group] as f64 / scale);
            let rows = self.valid(all, 1, group);
            (rows > 0).then(|| sum / rows as f64)
        });
        Ok(Arc::new(means.collect::<Float64Array>()))
    }

    /// Exact sums as the type of the result.
    fn exact(&self, sums: &[i128]) -> Result<ArrayRef> {
        Ok(match &self.call.data_type {
            DataType::UInt64 => {
                let words = sums.iter().map(|sum| u64::try_from(*sum).map_err(|_| self.too_large(&sum.to_string())));
                Arc::new(PrimitiveArray::<UInt64Type>::from(words.collect::<Result<Vec<u64>>>()?))
            }
            DataType::Decimal128(precision, scale) => {
                let sums = PrimitiveArray::<Decimal128Type>::from(sums.to_vec());
                let sums = sums.with_precision_and_scale(*precision, *scale).map_err(failed)?;
                sums.validate_decimal_precision(*precision).map_err(|_| self.too_large(""))?;
                Arc::new(sums)
            }
            _ => {
                let words = sums.iter().map(|sum| i64::try_from(*sum).map_err(|_| self.too_large(&sum.to_string())));
                Arc::new(Int64Array::from(words.collect::<Result<Vec<i64>>>()?))
            }
        })
    }

    fn too_large(&self, value: &str) -> Error {
        let is = if value.is_empty() { "the result".to_string() } else { value.to_string() };
        let text = format!("`{}` overflows: {is} is no {}", self.call.expr.brief(), self.call.data_type);
        Error::new(ErrorKind::Data, format!("{text}; cast the column to Float64 for an approximate result"))
    }

    fn floats(&self, all: &mut Finished<'_>, of: impl Fn(&Parts) -> Option<f64>) -> ArrayRef {
        if let State::IntMoments(moments) = self.state(all, 0) {
            moments.finish();
        }
        let state = &all.states[self.states[0]];
        let parts = |group: usize| match state {
            State::IntMoments(moments) => moments.parts(group),
            State::CoMoments(moments) => moments.parts(group),
            State::Moments(moments) => moments.parts(group),
            State::FourthMoments(moments) => moments.parts(group),
            _ => Parts::default(),
        };
        Arc::new((0..all.count).map(|group| of(&parts(group))).collect::<Float64Array>())
    }

    /// A list of what each two columns give.
    fn pairs(&self, all: &mut Finished<'_>, of: impl Fn(&Parts) -> Option<f64>) -> Result<ArrayRef> {
        let State::Pairs(pairs) = self.state(all, 0) else { return Err(mismatch()) };
        let values = pairs.parts().map(|parts| of(&parts)).collect::<Float64Array>();
        lists_of(values, 1)
    }

    /// What all parts give, as floats, in one list for each group.
    fn summary(&self, all: &mut Finished<'_>) -> Result<ArrayRef> {
        let parts = self.parts.iter().map(|part| cast(&part.finish(all)?, &DataType::Float64).map_err(failed));
        let parts = parts.collect::<Result<Vec<ArrayRef>>>()?;
        let parts: Vec<&Float64Array> = parts.iter().map(|part| part.as_primitive::<Float64Type>()).collect();
        let value = |group: usize| parts.iter().map(move |part| part.is_valid(group).then(|| part.value(group)));
        lists_of((0..all.count).flat_map(value).collect(), all.count)
    }
}

/// As many lists, all as long.
fn lists_of(values: Float64Array, count: usize) -> Result<ArrayRef> {
    let offsets = OffsetBuffer::from_repeated_length(values.len() / count.max(1), count);
    let item = Arc::new(Field::new_list_field(DataType::Float64, true));
    Ok(Arc::new(ListArray::try_new(item, offsets, Arc::new(values), None).map_err(failed)?))
}

/// None of one row; NaN of values that are all alike.
fn correlation(parts: &Parts) -> Option<f64> {
    (parts.n > 1.0).then(|| (parts.xy / (parts.xx.sqrt() * parts.yy.sqrt())).clamp(-1.0, 1.0))
}

fn covariance(parts: &Parts, ddof: u32) -> Option<f64> {
    let divisor = parts.n - f64::from(ddof);
    (divisor > 0.0).then(|| parts.xy / divisor)
}

fn variance(parts: &Parts, ddof: u32) -> Option<f64> {
    let divisor = parts.n - f64::from(ddof);
    (divisor > 0.0).then(|| parts.xx / divisor)
}

/// Without correction for bias, as SciPy has it by default; none of values that are all alike.
fn skew(parts: &Parts) -> Option<f64> {
    (parts.n > 0.0).then(|| parts.n.sqrt() * parts.m3 / parts.xx.powf(1.5))
}

/// Excess kurtosis without correction for bias, as SciPy has it by default.
fn kurtosis(parts: &Parts) -> Option<f64> {
    (parts.n > 0.0).then(|| parts.n * parts.m4 / (parts.xx * parts.xx) - 3.0)
}

fn mismatch() -> Error {
    Error::internal("an aggregate reads a state of another kind")
}
