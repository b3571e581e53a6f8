//! Random orders of numbers, of which each place is found by itself.

use rand::seq::SliceRandom;

use super::element::{ElementRng, mix};
use super::key::Key;

/// Numbers that are shuffled in a list; of more each place is computed.
const LISTED: u64 = 1 << 16;

/// Rounds of the network; four are enough where the functions of the rounds are random (Luby, Rackoff 1988).
const ROUNDS: usize = 8;

/// The numbers below a count, each once, in random order.
///
/// Few are shuffled (Fisher, Yates), so that each order is as likely as any other. Many go through a Feistel network, which permutes the numbers of
/// an even count of bits, until one below the count comes out (cycle walking; Black, Rogaway 2002): less than four times on the average.
#[derive(Clone, Debug)]
pub struct Permutation {
    count: u64,
    list: Vec<u16>,
    /// Bits of a half.
    half: u32,
    keys: [u64; ROUNDS],
}

impl Permutation {
    pub fn new(key: Key, count: u64) -> Permutation {
        let mut generator = ElementRng::new(key, 0);
        let mut list = Vec::new();
        if count <= LISTED {
            // The last of so many is a `u16`.
            list = (0..count).map(|number| number as u16).collect();
            list.shuffle(&mut generator);
        }
        let bits = u64::BITS - count.saturating_sub(1).leading_zeros();
        Permutation { count, list, half: bits.div_ceil(2), keys: std::array::from_fn(|_| generator.draw()) }
    }

    /// The number at a place below the count.
    pub fn at(&self, place: u64) -> u64 {
        if self.count <= LISTED {
            return usize::try_from(place).ok().and_then(|at| self.list.get(at)).map_or(0, |number| (*number).into());
        }
        let mut number = place;
        loop {
            number = self.passed(number);
            if number < self.count {
                return number;
            }
        }
    }

    fn passed(&self, number: u64) -> u64 {
        let mask = (1_u64 << self.half) - 1;
        let (mut left, mut right) = (number >> self.half, number & mask);
        for key in self.keys {
            (left, right) = (right, left ^ (mix(right.wrapping_add(key)) & mask));
        }
        left << self.half | right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_comes_once() {
        for count in [0, 1, 2, 3, 1000, LISTED, LISTED + 1, 100_003] {
            let order = Permutation::new(Key::new(count), count);
            let mut numbers: Vec<u64> = (0..count).map(|place| order.at(place)).collect();
            assert!(count < 1000 || numbers[..100] != Vec::from_iter(0..100)[..]);
            numbers.sort_unstable();
            assert!(numbers.into_iter().eq(0..count), "{count}");
        }
        let many = Permutation::new(Key::new(1), u64::MAX);
        assert!(many.at(0) != many.at(1) && many.at(u64::MAX - 1) < u64::MAX);
    }

    #[test]
    fn each_number_comes_anywhere() {
        // Where a number stands, and what stands behind it, over many keys: chi-squared with 31 degrees of freedom stays below 70 but once in 10^4.
        let (count, keys) = (LISTED + 100, 6400);
        let (mut of_place, mut of_step) = ([0_f64; 32], [0_f64; 32]);
        for key in 0..keys {
            let order = Permutation::new(Key::new(key), count);
            let (one, other) = (order.at(17), order.at(18));
            of_place[(one * 32 / count) as usize] += 1.0;
            of_step[((other + count - one) % count * 32 / count) as usize] += 1.0;
        }
        for counts in [of_place, of_step] {
            let wanted = keys as f64 / 32.0;
            let chi: f64 = counts.iter().map(|found| (found - wanted).powi(2) / wanted).sum();
            assert!(chi < 70.0, "{chi}: {counts:?}");
        }
    }
}
