//! The generator of one element.

use std::convert::Infallible;

use rand::rand_core::{TryRng, utils};

use super::key::Key;

/// 2^64 divided by the golden ratio: what SplitMix64 counts by.
pub(super) const INCREMENT: u64 = 0x9e37_79b9_7f4a_7c15;

/// Stafford's Mix13, the finalizer of SplitMix64, but for its last shift.
#[inline(always)]
fn half_mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb)
}

/// Stafford's Mix13: a permutation.
#[inline(always)]
pub(super) fn mix(z: u64) -> u64 {
    let z = half_mix(z);
    z ^ (z >> 31)
}

/// Evensen's moremur: a permutation that makes noise of a plain counter.
#[inline(always)]
fn moremur(z: u64) -> u64 {
    let z = (z ^ (z >> 27)).wrapping_mul(0x3c79_ac49_2ba7_b653);
    let z = (z ^ (z >> 33)).wrapping_mul(0x1c69_b3f7_4ac4_ae35);
    z ^ (z >> 27)
}

/// The random numbers of one element of an array: as many as it takes, by the traits of `rand`.
///
/// Not for cryptography.
#[derive(Clone, Debug)]
pub struct ElementRng {
    state: u64,
    stride: u64,
}

impl ElementRng {
    /// The generator of the element with this row-major index.
    #[inline]
    #[must_use]
    pub fn new(key: Key, index: u64) -> ElementRng {
        ElementRng::at(key, key.a.wrapping_add(index.wrapping_mul(INCREMENT)))
    }

    /// The generator of a place of the counter.
    #[inline(always)]
    pub(super) fn at(key: Key, counter: u64) -> ElementRng {
        let s = half_mix(counter);
        // Computed only where a second number is drawn: the compiler sees that.
        let stride = moremur(s.wrapping_add(key.b.rotate_left(32))) | 1;
        ElementRng { state: s ^ key.b, stride }
    }

    /// The next number.
    #[inline(always)]
    pub(super) fn draw(&mut self) -> u64 {
        let drawn = moremur(self.state);
        self.state = self.state.wrapping_add(self.stride);
        drawn
    }
}

impl TryRng for ElementRng {
    type Error = Infallible;

    /// The upper half of the next number.
    #[inline]
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.draw() >> 32) as u32)
    }

    #[inline]
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.draw())
    }

    #[inline]
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        utils::fill_bytes_via_next_word(out, || self.try_next_u64())
    }
}
