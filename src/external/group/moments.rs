//! Variances and covariances of integers, by group: the sums of powers are kept exactly, so nothing depends on any order.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, UInt64Type, i256};

use super::deviations::Parts;
use super::intern::failed;
use super::{Rows, places_for};
use crate::error::Result;

/// A sum of products of integers: in 128 bits until they overflow, then in 256.
#[derive(Clone, Copy, Default)]
struct Exact {
    low: i128,
    high: i64,
}

impl Exact {
    #[inline]
    fn add(&mut self, value: i128) {
        let (low, carried) = self.low.overflowing_add(value);
        self.low = low;
        if carried {
            // What lies in `low` is less by 2^128 than it should be, or more.
            self.high += if value < 0 { -1 } else { 1 };
        }
    }

    /// Adds the product of two numbers of 64 bits.
    #[inline]
    fn add_product(&mut self, x: i128, y: i128) {
        let (product, overflows) = x.overflowing_mul(y);
        self.add(product);
        // Only that of two large unsigned ones does: it is less by 2^128 than it should be.
        self.high += i64::from(overflows);
    }

    fn merge(&mut self, other: Exact) {
        self.add(other.low);
        self.high += other.high;
    }

    fn wide(self) -> i256 {
        // 2^128 times `high` is `high` in the upper half.
        i256::from_i128(self.low).wrapping_add(i256::from_parts(0, i128::from(self.high)))
    }
}

/// Sums over the rows of a group where both values are there: their number, each value, squares and products.
#[derive(Clone, Copy, Default)]
struct Powers {
    n: u64,
    x: i128,
    y: i128,
    xx: Exact,
    yy: Exact,
    xy: Exact,
}

/// Exact moments of one column of integers, or of two.
#[derive(Clone)]
pub struct IntMoments {
    groups: Vec<Powers>,
    /// Sums that are known to fit 64 bits, on their way into `groups`: a third of the memory to go through.
    narrow: Vec<Narrow>,
    /// No sum in `narrow` is larger than this.
    bound: u64,
    pair: bool,
}

/// [`Powers`] of small numbers.
#[derive(Clone, Copy, Default)]
struct Narrow {
    n: i64,
    x: i64,
    y: i64,
    xx: i64,
    yy: i64,
    xy: i64,
}

impl IntMoments {
    pub fn new(pair: bool) -> IntMoments {
        IntMoments { groups: Vec::new(), narrow: Vec::new(), bound: 0, pair }
    }

    pub fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Powers>() + self.narrow.capacity() * size_of::<Narrow>()
    }

    pub fn update(&mut self, rows: &Rows<'_>, values: &[&ArrayRef]) -> Result<()> {
        let x = Integers::new(values[0])?;
        let y = if self.pair { Some(Integers::new(values[1])?) } else { None };
        let nulls = match &y {
            Some(y) => NullBuffer::union(x.nulls.as_ref(), y.nulls.as_ref()),
            None => x.nulls.clone(),
        };
        let most = x.most().max(y.as_ref().map_or(0, Integers::most));
        let added = most.checked_mul(most.max(1)).and_then(|square| square.checked_mul(rows.len as u64));
        if let Some(added) = added.filter(|added| *added < 1 << 62) {
            if self.bound + added >= 1 << 62 {
                self.widen();
            }
            self.bound += added;
            places_for(&mut self.narrow, rows.count, Narrow::default());
            let narrow = &mut self.narrow;
            match &y {
                None => rows.each_valid(nulls.as_ref(), |row, group| {
                    let (sums, x) = (&mut narrow[group], x.words[row]);
                    sums.n += 1;
                    sums.x += x;
                    sums.xx += x * x;
                }),
                Some(y) => rows.each_valid(nulls.as_ref(), |row, group| {
                    let (sums, x, y) = (&mut narrow[group], x.words[row], y.words[row]);
                    sums.n += 1;
                    sums.x += x;
                    sums.y += y;
                    sums.xx += x * x;
                    sums.yy += y * y;
                    sums.xy += x * y;
                }),
            }
            return Ok(());
        }
        let count = rows.count.max(self.groups.len());
        places_for(&mut self.groups, count, Powers::default());
        let groups = &mut self.groups;
        rows.each_valid(nulls.as_ref(), |row, group| {
            let (sums, x, y) = (&mut groups[group], x.get(row), y.as_ref().map_or(0, |y| y.get(row)));
            sums.n += 1;
            sums.x += x;
            sums.y += y;
            sums.xx.add_product(x, x);
            sums.yy.add_product(y, y);
            sums.xy.add_product(x, y);
        });
        Ok(())
    }

    /// Brings the narrow sums to the others.
    fn widen(&mut self) {
        self.bound = 0;
        let count = self.groups.len().max(self.narrow.len());
        places_for(&mut self.groups, count, Powers::default());
        for (sums, narrow) in self.groups.iter_mut().zip(&mut self.narrow) {
            let Narrow { n, x, y, xx, yy, xy } = std::mem::take(narrow);
            sums.n += n as u64;
            sums.x += i128::from(x);
            sums.y += i128::from(y);
            sums.xx.add(xx.into());
            sums.yy.add(yy.into());
            sums.xy.add(xy.into());
        }
    }

    pub fn merge(&mut self, mut other: IntMoments, map: &[u32], count: usize) {
        self.widen();
        other.widen();
        places_for(&mut self.groups, count, Powers::default());
        for (group, other) in map.iter().zip(&other.groups) {
            let sums = &mut self.groups[*group as usize];
            sums.n += other.n;
            sums.x += other.x;
            sums.y += other.y;
            sums.xx.merge(other.xx);
            sums.yy.merge(other.yy);
            sums.xy.merge(other.xy);
        }
    }

    /// Brings all sums to where [`IntMoments::parts`] reads them.
    pub fn finish(&mut self) {
        self.widen();
        self.narrow = Vec::new();
    }

    /// Of a group.
    pub fn parts(&self, group: usize) -> Parts {
        let sums = self.groups.get(group).copied().unwrap_or_default();
        if sums.n == 0 {
            return Parts::default();
        }
        let n = i128::from(sums.n);
        // Deviations from the nearest integers to the means, exactly; what is left of the means is less than one.
        let (a, b) = (sums.x.div_euclid(n), sums.y.div_euclid(n));
        let (rest_x, rest_y) = ((sums.x - a * n) as f64, (sums.y - b * n) as f64);
        let deviation = |sum: Exact, p: i128, q: i128, sum_p: i128, sum_q: i128, rest: f64| {
            // sum of (x - p)(y - q) = sum xy - p sum y - q sum x + n p q
            let wide = |value: i128| i256::from_i128(value);
            let exact = sum
                .wide()
                .wrapping_sub(wide(p).wrapping_mul(wide(sum_q)))
                .wrapping_sub(wide(q).wrapping_mul(wide(sum_p)))
                .wrapping_add(wide(n).wrapping_mul(wide(p)).wrapping_mul(wide(q)));
            to_f64(exact) - rest / n as f64
        };
        Parts {
            n: sums.n as f64,
            xx: deviation(sums.xx, a, a, sums.x, sums.x, rest_x * rest_x).max(0.0),
            yy: deviation(sums.yy, b, b, sums.y, sums.y, rest_y * rest_y).max(0.0),
            xy: deviation(sums.xy, a, b, sums.x, sums.y, rest_x * rest_y),
            ..Parts::default()
        }
    }
}

fn to_f64(value: i256) -> f64 {
    if value < i256::ZERO {
        return -to_f64(value.wrapping_neg());
    }
    let (low, high) = value.to_parts();
    // Two halves: the lower one counts from zero.
    high as f64 * 2f64.powi(128) + low as f64
}

/// A column of integers.
struct Integers {
    words: ScalarBuffer<i64>,
    /// What a word is less than its number where its sign bit is set: 2^64 of unsigned ones.
    wrap: i128,
    nulls: Option<NullBuffer>,
}

impl Integers {
    fn new(values: &ArrayRef) -> Result<Integers> {
        let nulls = values.logical_nulls();
        if *values.data_type() == DataType::UInt64 {
            let words = values.as_primitive::<UInt64Type>().values();
            let words = ScalarBuffer::new(words.inner().clone(), 0, words.len());
            return Ok(Integers { words, wrap: 1 << 64, nulls });
        }
        let values = match values.data_type() {
            DataType::Int64 => values.clone(),
            _ => cast(values, &DataType::Int64).map_err(failed)?,
        };
        Ok(Integers { words: values.as_primitive::<Int64Type>().values().clone(), wrap: 0, nulls })
    }

    /// The largest number, or its negative, of all rows; of what lies under nulls too.
    fn most(&self) -> u64 {
        if self.wrap > 0 && self.words.iter().any(|word| *word < 0) {
            return u64::MAX;
        }
        self.words.iter().fold(0, |most, word| most.max(word.unsigned_abs()))
    }

    #[inline]
    fn get(&self, row: usize) -> i128 {
        let word = self.words[row];
        i128::from(word) + if word < 0 { self.wrap } else { 0 }
    }
}
