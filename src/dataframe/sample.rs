//! Verbs that go by the places of rows: `with_row_index`, `sample`, `random_split`.

use std::hash::{BuildHasher, RandomState};

use super::DataFrame;
use super::kernels::number::{self, Size};
use super::plan::{Frame, NumberOp, Op};
use crate::error::{Error, ErrorKind, Result};
use crate::origin::Origin;

/// How many rows [`DataFrame::sample`] picks, and how.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let df = dataframe::from_columns([("x", (0..1000i64).collect::<Vec<_>>())]);
/// let few = df.sample(Sample::frac(0.1).seed(7));
/// assert_eq!(few.count_rows().compute()?, 100);
/// let drawn = df.sample(Sample::rows(5000).replace().seed(7));
/// assert_eq!(drawn.count_rows().compute()?, 5000);
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct Sample {
    size: Size,
    replace: bool,
    seed: Option<u64>,
}

impl Sample {
    /// This part of all rows, rounded to a whole number of them.
    pub fn frac(part: f64) -> Sample {
        Sample { size: Size::Fraction(part), replace: false, seed: None }
    }

    /// So many rows.
    pub fn rows(count: u64) -> Sample {
        Sample { size: Size::Rows(count), replace: false, seed: None }
    }

    /// A row may be picked more than once.
    pub fn replace(self) -> Sample {
        Sample { replace: true, ..self }
    }

    /// Equal seeds pick the same rows of the same table. Without one, each call of a verb has a seed of its own.
    pub fn seed(self, seed: u64) -> Sample {
        Sample { seed: Some(seed), ..self }
    }
}

impl DataFrame {
    /// All columns behind a new one with the places of the rows in the whole table, from 0.
    ///
    /// Rows are counted first, where the source does not know how many each part has: they are read twice where that is cheap, else they
    /// wait, spilled as far as memory is short.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where there is a column of this name.
    #[track_caller]
    pub fn with_row_index(&self, name: &str) -> DataFrame {
        let (origin, op) = (Origin::caller(), Op::Number(NumberOp::Index(name.to_string())));
        self.derive("with_row_index", origin, |frame| Frame::new(op, &[frame], "with_row_index", origin))
    }

    /// Some of the rows, picked at random, in their order: exactly as many as asked for. Which ones follows from the seed
    /// and the places of rows in the table, however it is cut; each set of rows is as likely as another.
    ///
    /// Rows are counted first, as for [`DataFrame::with_row_index`].
    ///
    /// # Errors
    /// At compute: of kind `Plan`, where a part is no number from 0 to 1 (with replacement it may be more); of kind `Data`, where the
    /// table has fewer rows than are to be picked without replacement.
    #[track_caller]
    pub fn sample(&self, sample: Sample) -> DataFrame {
        let origin = Origin::caller();
        self.derive("sample", origin, |frame| {
            if let Size::Fraction(part) = sample.size {
                let most = if sample.replace { f64::MAX } else { 1.0 };
                if !(0.0..=most).contains(&part) {
                    let hint = if part > 1.0 { ": more than all rows can be drawn with replace()" } else { "" };
                    return Err(Error::new(ErrorKind::Plan, format!("{part} is no part of a table{hint}")));
                }
            }
            let seed = sample.seed.unwrap_or_else(own_seed);
            picked(frame, number::Sample { seed, size: sample.size, replace: sample.replace }, "sample", origin)
        })
    }

    /// The rows cut at random into tables whose sizes stand to each other as the weights do: each row is in one of them.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where a weight is negative or none is positive.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let df = dataframe::from_columns([("x", (0..100i64).collect::<Vec<_>>())]);
    /// let parts = df.random_split([0.8, 0.2], 42);
    /// assert_eq!(compute((parts[0].count_rows(), parts[1].count_rows()))?, (80, 20));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn random_split(&self, weights: impl IntoIterator<Item = f64>, seed: u64) -> Vec<DataFrame> {
        let origin = Origin::caller();
        let weights: Vec<f64> = weights.into_iter().collect();
        let total: f64 = weights.iter().sum();
        let sound = total > 0.0 && total.is_finite() && weights.iter().all(|weight| *weight >= 0.0);
        let bound = |at: usize| match at == weights.len() {
            true => 1.0,
            false => weights[..at].iter().sum::<f64>() / total,
        };
        let part = |at: usize| {
            self.derive("random_split", origin, |frame| {
                if !sound {
                    return Err(Error::new(ErrorKind::Plan, format!("{weights:?} are no weights to split a table by")));
                }
                let size = Size::Range(bound(at), bound(at + 1));
                picked(frame, number::Sample { seed, size, replace: false }, "random_split", origin)
            })
        };
        (0..weights.len()).map(part).collect()
    }
}

fn picked(frame: &Frame, sample: number::Sample, verb: &'static str, origin: Origin) -> Result<Frame> {
    Frame::new(Op::Number(NumberOp::Sample(sample)), &[frame], verb, origin)
}

/// A seed that no other call has.
fn own_seed() -> u64 {
    RandomState::new().hash_one(0)
}
