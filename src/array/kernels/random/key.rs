//! Keys: who may draw which numbers.

use super::element::{INCREMENT, mix};

/// What the random numbers of an array go by: 128 bits, made of a seed and of numbers and names of parts.
///
/// The same calls give the same key for ever. Different numbers under one key give different keys; everything else collides with
/// the chance of 128 random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub(super) a: u64,
    pub(super) b: u64,
}

/// What a word that is mixed in means, so that a seed, a number and a name with the same bits differ.
#[derive(Clone, Copy)]
enum Meaning {
    Seed = 1,
    Sub = 2,
    Name = 3,
    Length = 4,
}

impl Key {
    /// The key of a user's seed. Every seed is as good as any other, zero too.
    #[must_use]
    pub fn new(seed: u64) -> Key {
        // The first digits of pi.
        Key { a: 0x243f_6a88_85a3_08d3, b: 0x1319_8a2e_0370_7344 }.mixed(seed, Meaning::Seed)
    }

    /// The key of part `n`.
    #[must_use]
    #[allow(clippy::should_implement_trait)]
    pub fn sub(self, n: u64) -> Key {
        self.mixed(n, Meaning::Sub)
    }

    /// The key of the part with this name.
    #[must_use]
    pub fn named(self, name: &str) -> Key {
        let mut key = self;
        for piece in name.as_bytes().chunks(8) {
            let word = piece.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
            key = key.mixed(word, Meaning::Name);
        }
        key.mixed(name.len() as u64, Meaning::Length)
    }

    /// Both words as they are, for what a key is written to.
    #[must_use]
    pub fn words(self) -> [u64; 2] {
        [self.a, self.b]
    }

    /// The key that [`Key::words`] gave.
    #[cfg(test)]
    pub fn from_words([a, b]: [u64; 2]) -> Key {
        Key { a, b }
    }

    /// A permutation of keys for each word, and for each key another `a` for every word.
    fn mixed(self, word: u64, meaning: Meaning) -> Key {
        let word = mix(word.wrapping_add(INCREMENT.wrapping_mul(meaning as u64)));
        let a = mix(self.a ^ word).wrapping_add(self.b);
        let b = mix(mix(self.b.wrapping_add(word.rotate_left(32))) ^ a);
        Key { a, b }
    }
}
