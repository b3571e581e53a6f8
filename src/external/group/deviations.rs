//! Variances, covariances and their kin of floats, by group.
//!
//! A batch is gone through twice, first for the means, then for the deviations from them, and batches are put together with the formulas
//! of Chan, Golub and LeVeque (1979) and of Pébay (2008). Means and sums are kept in two parts: of numbers far from zero the means of two
//! batches differ by less than one float can tell, and what rounding takes from many small terms shows in how the rows are cut.

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Float64Type, Int64Type, UInt64Type};

use super::intern::failed;
use super::{Rows, places_for};
use crate::error::Result;

/// Number of rows, and sums of products and powers of deviations from the means: what variances and their kin are made of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Parts {
    pub n: f64,
    pub xx: f64,
    pub yy: f64,
    pub xy: f64,
    pub m3: f64,
    pub m4: f64,
}

/// A number as a float and what is missing from it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Twofold {
    high: f64,
    low: f64,
}

impl Twofold {
    /// Adds a float; what rounding takes from the sum (D. Knuth's two-sum) goes into the lower part.
    #[inline]
    pub fn add(&mut self, value: f64) {
        let sum = self.high + value;
        let added = sum - self.high;
        self.low += (self.high - (sum - added)) + (value - added);
        self.high = sum;
    }

    #[inline]
    fn add_twofold(&mut self, other: Twofold) {
        self.add(other.high);
        self.low += other.low;
    }

    /// This sum of so many numbers as their mean.
    pub fn over(self, n: f64) -> Twofold {
        let high = self.high / n;
        let low = (high.mul_add(-n, self.high) + self.low) / n;
        // Of a sum that is too large, or not a number, nothing is missing.
        Twofold { high, low: if low.is_finite() { low } else { 0.0 } }
    }

    /// How far a number is from it. What is exact in the first step is all that can cancel.
    #[inline]
    fn to(self, other: Twofold) -> f64 {
        (other.high - self.high) + (other.low - self.low)
    }

    pub fn value(self) -> f64 {
        if self.low.is_finite() { self.high + self.low } else { self.high }
    }
}

impl From<f64> for Twofold {
    fn from(high: f64) -> Twofold {
        Twofold { high, low: 0.0 }
    }
}

/// A column as floats, of large integers with what is missing from them.
pub(super) struct Numbers {
    high: ScalarBuffer<f64>,
    /// Nothing where nothing is missing.
    low: Vec<f64>,
    pub nulls: Option<NullBuffer>,
}

impl Numbers {
    pub fn new(values: &ArrayRef) -> Result<Numbers> {
        let floats = match values.data_type() {
            DataType::Float64 => values.clone(),
            _ => cast(values, &DataType::Float64).map_err(failed)?,
        };
        let high = floats.as_primitive::<Float64Type>().values().clone();
        let low = match values.data_type() {
            DataType::Int64 => missing(values.as_primitive::<Int64Type>(), &high),
            DataType::UInt64 => missing(values.as_primitive::<UInt64Type>(), &high),
            _ => Vec::new(),
        };
        Ok(Numbers { high, low, nulls: floats.logical_nulls().filter(|nulls| nulls.null_count() > 0) })
    }

    #[inline]
    pub fn get(&self, row: usize) -> Twofold {
        Twofold { high: self.high[row], low: self.low.get(row).copied().unwrap_or(0.0) }
    }

    #[inline]
    pub fn is_valid(&self, row: usize) -> bool {
        self.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row))
    }

    /// How far the number of a row is from a mean.
    #[inline]
    pub fn deviation(&self, row: usize, mean: Twofold) -> f64 {
        mean.to(self.get(row))
    }
}

/// What integers have more than the floats nearest to them, if one has.
fn missing<T: ArrowPrimitiveType>(ints: &PrimitiveArray<T>, floats: &[f64]) -> Vec<f64>
where
    T::Native: Into<i128>,
{
    const EXACT: f64 = (1u64 << 53) as f64;
    if floats.iter().all(|float| float.abs() <= EXACT) {
        return Vec::new();
    }
    ints.values().iter().zip(floats).map(|(int, float)| ((*int).into() - *float as i128) as f64).collect()
}

/// Number, means, and sums of products of deviations from them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CoMoment {
    pub n: f64,
    pub x: Twofold,
    pub y: Twofold,
    pub xx: Twofold,
    pub yy: Twofold,
    pub xy: Twofold,
}

impl CoMoment {
    /// Of some rows, in all of which both columns have a value.
    pub fn of(x: &Numbers, y: &Numbers, rows: impl Iterator<Item = usize> + Clone) -> CoMoment {
        let mut own = CoMoment::default();
        rows.clone().for_each(|row| own.count(x.get(row), y.get(row)));
        own.center();
        rows.for_each(|row| own.deviate(x.deviation(row, own.x), y.deviation(row, own.y)));
        own
    }

    /// Before [`CoMoment::center`] the means are sums.
    #[inline]
    fn count(&mut self, x: Twofold, y: Twofold) {
        self.n += 1.0;
        self.x.add_twofold(x);
        self.y.add_twofold(y);
    }

    fn center(&mut self) {
        if self.n > 0.0 {
            (self.x, self.y) = (self.x.over(self.n), self.y.over(self.n));
        }
    }

    #[inline]
    fn deviate(&mut self, dx: f64, dy: f64) {
        self.xx.add(dx * dx);
        self.yy.add(dy * dy);
        self.xy.add(dx * dy);
    }

    pub fn merge(&mut self, other: &CoMoment) {
        if other.n == 0.0 {
            return;
        }
        if self.n == 0.0 {
            *self = *other;
            return;
        }
        let n = self.n + other.n;
        let (dx, dy) = (self.x.to(other.x), self.y.to(other.y));
        let (weight, share) = (self.n * (other.n / n), other.n / n);
        self.xx.add_twofold(other.xx);
        self.yy.add_twofold(other.yy);
        self.xy.add_twofold(other.xy);
        self.xx.add(dx * dx * weight);
        self.yy.add(dy * dy * weight);
        self.xy.add(dx * dy * weight);
        self.x.add(dx * share);
        self.y.add(dy * share);
        self.n = n;
    }

    pub fn parts(&self) -> Parts {
        let (xx, yy, xy) = (self.xx.value(), self.yy.value(), self.xy.value());
        Parts { n: self.n, xx, yy, xy, ..Parts::default() }
    }
}

/// Moments of pairs of floats.
#[derive(Default)]
pub struct CoMoments {
    groups: Vec<CoMoment>,
    batch: Vec<CoMoment>,
}

impl CoMoments {
    pub fn bytes(&self) -> usize {
        (self.groups.capacity() + self.batch.capacity()) * size_of::<CoMoment>()
    }

    pub(super) fn parts(&self, group: usize) -> Parts {
        self.groups.get(group).map_or_else(Parts::default, CoMoment::parts)
    }

    pub fn update(&mut self, rows: &Rows<'_>, values: &[&ArrayRef]) -> Result<()> {
        places_for(&mut self.groups, rows.count, CoMoment::default());
        let (x, y) = (Numbers::new(values[0])?, Numbers::new(values[1])?);
        let nulls = NullBuffer::union(x.nulls.as_ref(), y.nulls.as_ref());
        let batch = &mut self.batch;
        places_for(batch, rows.count, CoMoment::default());
        let mut touched = Vec::new();
        rows.each_valid(nulls.as_ref(), |row, group| {
            let own = &mut batch[group];
            if own.n == 0.0 {
                touched.push(group);
            }
            own.count(x.get(row), y.get(row));
        });
        touched.iter().for_each(|group| batch[*group].center());
        rows.each_valid(nulls.as_ref(), |row, group| {
            let own = &mut batch[group];
            own.deviate(x.deviation(row, own.x), y.deviation(row, own.y));
        });
        for group in touched {
            self.groups[group].merge(&std::mem::take(&mut batch[group]));
        }
        Ok(())
    }

    pub fn merge(&mut self, other: &CoMoments, map: &[u32], count: usize) {
        places_for(&mut self.groups, count, CoMoment::default());
        for (group, other) in map.iter().zip(&other.groups) {
            self.groups[*group as usize].merge(other);
        }
    }
}

/// Number, mean, and sums of powers of deviations from it: of the second, or of the second to the fourth.
#[derive(Clone, Copy, Debug)]
struct Moment<const K: usize> {
    n: f64,
    mean: Twofold,
    powers: [Twofold; K],
}

impl<const K: usize> Moment<K> {
    const EMPTY: Moment<K> =
        Moment { n: 0.0, mean: Twofold { high: 0.0, low: 0.0 }, powers: [Twofold { high: 0.0, low: 0.0 }; K] };

    #[inline]
    fn deviate(&mut self, d: f64) {
        let mut power = d;
        for sum in &mut self.powers {
            power *= d;
            sum.add(power);
        }
    }

    fn merge(&mut self, other: &Moment<K>) {
        if other.n == 0.0 {
            return;
        }
        if self.n == 0.0 {
            *self = *other;
            return;
        }
        let (a, b) = (self.n, other.n);
        let n = a + b;
        let d = self.mean.to(other.mean);
        let dn = d / n;
        if let ([own2, own3, own4], [other2, other3, other4]) = (&mut self.powers[..], &other.powers[..]) {
            let (m2, m3) = ((own2.value(), other2.value()), (own3.value(), other3.value()));
            own4.add_twofold(*other4);
            own4.add(d * dn * dn * dn * a * b * (a * a - a * b + b * b));
            own4.add(6.0 * dn * dn * (a * a * m2.1 + b * b * m2.0));
            own4.add(4.0 * dn * (a * m3.1 - b * m3.0));
            own3.add_twofold(*other3);
            own3.add(d * dn * dn * a * b * (a - b));
            own3.add(3.0 * dn * (a * m2.1 - b * m2.0));
        }
        self.powers[0].add_twofold(other.powers[0]);
        self.powers[0].add(d * dn * a * b);
        self.mean.add(dn * b);
        self.n = n;
    }
}

/// Moments of floats: with `K` of one up to the second, of three up to the fourth.
pub struct Moments<const K: usize> {
    groups: Vec<Moment<K>>,
    batch: Vec<Moment<K>>,
}

impl<const K: usize> Default for Moments<K> {
    fn default() -> Moments<K> {
        Moments { groups: Vec::new(), batch: Vec::new() }
    }
}

impl<const K: usize> Moments<K> {
    pub fn bytes(&self) -> usize {
        (self.groups.capacity() + self.batch.capacity()) * size_of::<Moment<K>>()
    }

    pub(super) fn parts(&self, group: usize) -> Parts {
        let own = self.groups.get(group).copied().unwrap_or(Moment::EMPTY);
        let power = |at: usize| own.powers.get(at).map_or(0.0, |sum| sum.value());
        Parts { n: own.n, xx: power(0), m3: power(1), m4: power(2), ..Parts::default() }
    }

    pub fn update(&mut self, rows: &Rows<'_>, values: &ArrayRef) -> Result<()> {
        places_for(&mut self.groups, rows.count, Moment::EMPTY);
        let x = Numbers::new(values)?;
        let batch = &mut self.batch;
        places_for(batch, rows.count, Moment::EMPTY);
        let mut touched = Vec::new();
        rows.each_valid(x.nulls.as_ref(), |row, group| {
            let own = &mut batch[group];
            if own.n == 0.0 {
                touched.push(group);
            }
            own.n += 1.0;
            own.mean.add_twofold(x.get(row));
        });
        touched.iter().for_each(|group| batch[*group].mean = batch[*group].mean.over(batch[*group].n));
        rows.each_valid(x.nulls.as_ref(), |row, group| {
            let own = &mut batch[group];
            own.deviate(x.deviation(row, own.mean));
        });
        for group in touched {
            self.groups[group].merge(&std::mem::replace(&mut batch[group], Moment::EMPTY));
        }
        Ok(())
    }

    pub fn merge(&mut self, other: &Moments<K>, map: &[u32], count: usize) {
        places_for(&mut self.groups, count, Moment::EMPTY);
        for (group, other) in map.iter().zip(&other.groups) {
            self.groups[*group as usize].merge(other);
        }
    }
}
