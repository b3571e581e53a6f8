//! Rows by their places in a table: numbered, or picked at random.
//!
//! What is picked follows from seed, place and number of rows alone, so it does not depend on how a table is cut, nor on who
//! asks for which part of it first.

use std::convert::Infallible;

use rand::{Rng, TryRng};
use rand_distr::{Binomial, Distribution};

use crate::error::{Error, ErrorKind, Result};
use crate::store::BATCH_ROWS;

/// Which rows of a table are picked at random.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    pub seed: u64,
    pub size: Size,
    /// Whether a row may be picked several times.
    pub replace: bool,
}

/// How many rows are picked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Size {
    Rows(u64),
    /// So much of all.
    Fraction(f64),
    /// Of all rows in a random order those from one place on to another one, as fractions of all.
    Range(f64, f64),
}

/// Picks rows of a table of known length.
pub struct Picker {
    total: u64,
    rule: Rule,
}

enum Rule {
    /// The rows whose place in a random order is one of these.
    Range { from: u64, to: u64, order: Permutation },
    /// So many draws, each of any row.
    Draws { seed: u64, draws: u64 },
}

impl Picker {
    /// For a table of so many rows.
    ///
    /// # Errors
    /// Of kind `Data`, where more rows are to be picked than there are.
    pub fn new(sample: &Sample, total: u64) -> Result<Picker> {
        let part = |fraction: f64| (fraction * total as f64).round() as u64;
        let (from, to) = match sample.size {
            Size::Rows(rows) => (0, rows),
            Size::Fraction(fraction) => (0, part(fraction)),
            Size::Range(from, to) => (part(from), part(to)),
        };
        if sample.replace {
            if to > 0 && total == 0 {
                return Err(Error::new(ErrorKind::Data, format!("{to} rows are to be drawn of a table without rows")));
            }
            return Ok(Picker { total, rule: Rule::Draws { seed: sample.seed, draws: to } });
        }
        if to > total {
            let text =
                format!("{to} rows are to be picked of a table of {total}: allow a row more than once with replace()");
            return Err(Error::new(ErrorKind::Data, text));
        }
        Ok(Picker { total, rule: Rule::Range { from, to, order: Permutation::new(sample.seed, total) } })
    }

    /// The picked ones of some rows, counted from the first of these, and how often each.
    pub fn pick(&self, first: u64, len: usize) -> Picked {
        let rows = match &self.rule {
            Rule::Range { from, to, order } => {
                let picked = |row: &u32| (*from..*to).contains(&order.place(first + u64::from(*row)));
                (0..len as u32).filter(picked).map(|row| (row, 1)).collect()
            }
            Rule::Draws { seed, draws } => self.drawn(*seed, *draws, first, first + len as u64),
        };
        Picked { rows, at: 0, given: 0 }
    }

    /// The draws that fall on some rows. Draws of a range fall on its halves by the binomial distribution, and so on down to
    /// single rows; each range has random numbers of its own.
    fn drawn(&self, seed: u64, draws: u64, first: u64, end: u64) -> Vec<(u32, u64)> {
        let mut picked = Vec::new();
        let mut open = vec![(0, self.total, draws)];
        while let Some((low, high, draws)) = open.pop() {
            if draws == 0 || high <= first || end <= low {
                continue;
            }
            if high - low == 1 {
                picked.push(((low - first) as u32, draws));
                continue;
            }
            let middle = low + (high - low) / 2;
            let share = (middle - low) as f64 / (high - low) as f64;
            let mut rng = Stream(mix(mix(seed ^ mix(low)) ^ high));
            let left = match Binomial::new(draws, share) {
                Ok(binomial) => binomial.sample(&mut rng),
                // A share is always between nothing and all.
                Err(_) => draws / 2,
            };
            // Lower rows first.
            open.push((middle, high, draws - left));
            open.push((low, middle, left));
        }
        picked
    }
}

/// Rows that were picked, a batch of them at a time.
pub struct Picked {
    rows: Vec<(u32, u64)>,
    at: usize,
    /// How often the row at hand was given already.
    given: u64,
}

impl Iterator for Picked {
    type Item = Vec<u32>;

    /// Some rows, ascending; one that is picked several times stands several times.
    fn next(&mut self) -> Option<Vec<u32>> {
        let mut rows = Vec::with_capacity(BATCH_ROWS.min(self.rows.len()));
        while let Some((row, times)) = self.rows.get(self.at)
            && rows.len() < BATCH_ROWS
        {
            let now = (times - self.given).min((BATCH_ROWS - rows.len()) as u64);
            rows.resize(rows.len() + now as usize, *row);
            self.given += now;
            if self.given == *times {
                (self.at, self.given) = (self.at + 1, 0);
            }
        }
        (!rows.is_empty()).then_some(rows)
    }
}

/// A random order of the numbers below a bound: a Feistel network over the next power of two (Luby and Rackoff, 1988), walked
/// until it comes back below the bound (Black and Rogaway, 2002).
struct Permutation {
    seed: u64,
    len: u64,
    low_bits: u32,
    high_bits: u32,
}

impl Permutation {
    const ROUNDS: u64 = 6;

    fn new(seed: u64, len: u64) -> Permutation {
        let bits = u64::BITS - len.saturating_sub(1).leading_zeros();
        Permutation { seed: mix(seed), len, low_bits: bits - bits / 2, high_bits: bits / 2 }
    }

    /// The place of a number in the order.
    fn place(&self, number: u64) -> u64 {
        let (low_mask, high_mask) = ((1u64 << self.low_bits) - 1, (1u64 << self.high_bits) - 1);
        let mut at = number;
        loop {
            let (mut low, mut high) = (at & low_mask, at >> self.low_bits);
            for round in 0..Permutation::ROUNDS {
                low ^= mix(self.seed ^ high ^ round << 58) & low_mask;
                high ^= mix(self.seed ^ low ^ round << 58 ^ 1 << 57) & high_mask;
            }
            at = high << self.low_bits | low;
            if at < self.len {
                return at;
            }
        }
    }
}

/// Random numbers of one place: SplitMix64 (Steele, Lea and Flood, 2014).
struct Stream(u64);

impl TryRng for Stream {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.next_u64() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        Ok(mix(self.0))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for part in bytes.chunks_mut(8) {
            let word = self.next_u64().to_le_bytes();
            part.copy_from_slice(&word[..part.len()]);
        }
        Ok(())
    }
}

/// The finalizer of SplitMix64.
fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(sample: Sample, total: u64, step: usize) -> Vec<u64> {
        let picker = Picker::new(&sample, total).unwrap();
        let mut picked = Vec::new();
        for first in (0..total).step_by(step) {
            let len = step.min((total - first) as usize);
            picked.extend(picker.pick(first, len).flatten().map(|row| first + u64::from(row)));
        }
        picked
    }

    #[test]
    fn an_order_has_each_number_once() {
        for len in [1, 2, 3, 5, 8, 9, 100, 1000, 1025] {
            for seed in 0..5 {
                let order = Permutation::new(seed, len);
                let mut places: Vec<u64> = (0..len).map(|number| order.place(number)).collect();
                places.sort_unstable();
                assert!(places.into_iter().eq(0..len));
            }
        }
    }

    #[test]
    fn as_many_as_asked_for_wherever_it_is_cut() {
        for (size, replace, count) in [
            (Size::Rows(37), false, 37),
            (Size::Fraction(0.25), false, 25),
            (Size::Range(0.1, 0.4), false, 30),
            (Size::Rows(250), true, 250),
            (Size::Fraction(1.5), true, 150),
            (Size::Rows(0), false, 0),
            (Size::Fraction(1.0), false, 100),
        ] {
            let sample = Sample { seed: 7, size, replace };
            let whole = all(sample, 100, 100);
            assert_eq!(whole.len(), count, "{size:?}");
            assert!(whole.is_sorted());
            for step in [1, 3, 64] {
                assert_eq!(all(sample, 100, step), whole, "{size:?}, {step}");
            }
            assert!(count < 3 || count == 100 || all(Sample { seed: 8, ..sample }, 100, 100) != whole);
        }
        let parts: Vec<u64> = [(0.0, 0.3), (0.3, 0.95), (0.95, 1.0)]
            .into_iter()
            .flat_map(|(from, to)| all(Sample { seed: 1, size: Size::Range(from, to), replace: false }, 99, 10))
            .collect();
        let mut sorted = parts;
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..99), "parts of a split are all rows, each once");
    }

    #[test]
    fn more_than_there_are_is_an_error() {
        let error = |size, replace, total| Picker::new(&Sample { seed: 0, size, replace }, total).err().unwrap();
        assert!(error(Size::Rows(6), false, 5).message().contains("6 rows are to be picked of a table of 5"));
        assert!(error(Size::Rows(6), true, 0).message().contains("of a table without rows"));
        assert!(Picker::new(&Sample { seed: 0, size: Size::Fraction(0.5), replace: true }, 0).is_ok());
    }

    #[test]
    fn many_draws_come_in_batches() {
        let picker = Picker::new(&Sample { seed: 3, size: Size::Rows(u64::MAX), replace: true }, 10).unwrap();
        let mut picked = picker.pick(0, 10);
        let batches: Vec<Vec<u32>> = picked.by_ref().take(3).collect();
        assert!(batches.iter().all(|batch| *batch == vec![0; BATCH_ROWS]));
        assert_eq!(picked.rows.iter().map(|(_, times)| u128::from(*times)).sum::<u128>(), u64::MAX.into());
    }

    /// Each row, and each pair of rows, is picked as often as chance has it: within five standard deviations.
    #[test]
    fn picks_are_fair() {
        const SEEDS: u64 = 20_000;
        for replace in [false, true] {
            for (total, rows) in [(10u64, 3u64), (7, 3), (16, 8)] {
                let mut single = vec![0.0; total as usize];
                let mut pairs = vec![0.0; (total * total) as usize];
                for seed in 0..SEEDS {
                    let picked = all(Sample { seed, size: Size::Rows(rows), replace }, total, total as usize);
                    for (at, row) in picked.iter().enumerate() {
                        single[*row as usize] += 1.0;
                        picked[at + 1..].iter().for_each(|other| pairs[(row * total + other) as usize] += 1.0);
                    }
                }
                let near = |found: f64, chance: f64| {
                    let (mean, deviation) = (SEEDS as f64 * chance, (SEEDS as f64 * chance).sqrt());
                    assert!(
                        (found - mean).abs() < 5.0 * deviation,
                        "{found} in place of {mean}: {total}, {rows}, {replace}"
                    );
                };
                let (n, k) = (total as f64, rows as f64);
                single.iter().for_each(|found| near(*found, k / n));
                for low in 0..total {
                    for high in low + 1..total {
                        let chance = if replace { k * (k - 1.0) / (n * n) } else { k * (k - 1.0) / (n * (n - 1.0)) };
                        near(pairs[(low * total + high) as usize], chance);
                    }
                }
            }
        }
    }
}
