//! Random numbers as sources of arrays.

use rand_distr::Distribution;

use super::program::{Made, MadeSlice};
use super::random::{self, Key, Permutation};
use crate::error::{Error, Result};
use crate::store::DType;

/// Numbers of a distribution that has a loop of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Draw {
    Uniform {
        low: f64,
        high: f64,
    },
    Normal {
        mean: f64,
        std: f64,
    },
    Exponential {
        mean: f64,
    },
    /// From the first to the last.
    Integers {
        low: i64,
        last: i64,
    },
    Unsigned {
        low: u64,
        last: u64,
    },
}

impl Draw {
    /// What is wrong with the parameters for numbers of a type, if something is.
    pub fn wrong(self, of: DType) -> Option<String> {
        let is_finite = |value: f64| if of == DType::F32 { (value as f32).is_finite() } else { value.is_finite() };
        match self {
            Draw::Uniform { low, high } if !is_finite(high - low) => {
                Some(format!("uniform numbers from {low} to {high}: both ends and what lies between are to be finite"))
            }
            Draw::Normal { mean, std } if !mean.is_finite() || !std.is_finite() || std < 0.0 => {
                Some(format!("normal numbers of the mean {mean} and the standard deviation {std}"))
            }
            Draw::Exponential { mean } if !mean.is_finite() || mean < 0.0 => {
                Some(format!("exponential numbers of the mean {mean}"))
            }
            _ => None,
        }
    }
}

/// A distribution and the key of an array.
pub(crate) struct Drawn {
    pub key: Key,
    pub draw: Draw,
}

fn other_type() -> Error {
    Error::internal("random numbers of another type than they are drawn as")
}

impl Made for Drawn {
    fn fill(&self, first: u64, step: i64, out: MadeSlice<'_>) -> Result<()> {
        let key = self.key;
        match (self.draw, out) {
            (Draw::Uniform { low, high }, MadeSlice::F64(out)) => random::uniform_f64(key, first, step, low, high, out),
            (Draw::Uniform { low, high }, MadeSlice::F32(out)) => {
                random::uniform_f32(key, first, step, low as f32, high as f32, out);
            }
            (Draw::Normal { mean, std }, MadeSlice::F64(out)) => random::normal_f64(key, first, step, mean, std, out),
            (Draw::Normal { mean, std }, MadeSlice::F32(out)) => {
                random::normal_f32(key, first, step, mean as f32, std as f32, out);
            }
            (Draw::Exponential { mean }, MadeSlice::F64(out)) => random::exponential_f64(key, first, step, mean, out),
            (Draw::Exponential { mean }, MadeSlice::F32(out)) => {
                random::exponential_f32(key, first, step, mean as f32, out);
            }
            // The bounds came from the type itself.
            (Draw::Integers { low, last }, MadeSlice::I64(out)) => {
                random::integers_through(key, first, step, low, last, out)
            }
            (Draw::Integers { low, last }, MadeSlice::I32(out)) => {
                random::integers_through(key, first, step, low as i32, last as i32, out);
            }
            (Draw::Integers { low, last }, MadeSlice::I16(out)) => {
                random::integers_through(key, first, step, low as i16, last as i16, out);
            }
            (Draw::Integers { low, last }, MadeSlice::I8(out)) => {
                random::integers_through(key, first, step, low as i8, last as i8, out);
            }
            (Draw::Unsigned { low, last }, MadeSlice::U64(out)) => {
                random::integers_through(key, first, step, low, last, out)
            }
            (Draw::Unsigned { low, last }, MadeSlice::U32(out)) => {
                random::integers_through(key, first, step, low as u32, last as u32, out);
            }
            (Draw::Unsigned { low, last }, MadeSlice::U16(out)) => {
                random::integers_through(key, first, step, low as u16, last as u16, out);
            }
            (Draw::Unsigned { low, last }, MadeSlice::U8(out)) => {
                random::integers_through(key, first, step, low as u8, last as u8, out);
            }
            _ => return Err(other_type()),
        }
        Ok(())
    }
}

/// Numbers of a distribution of `rand_distr`, as `f64`.
pub(crate) struct Sampled<D> {
    pub key: Key,
    pub distribution: D,
}

impl<D: Distribution<f64> + Send + Sync> Made for Sampled<D> {
    fn fill(&self, first: u64, step: i64, out: MadeSlice<'_>) -> Result<()> {
        let MadeSlice::F64(out) = out else { return Err(other_type()) };
        random::sample(self.key, first, step, &self.distribution, out);
        Ok(())
    }
}

/// Numbers in random order.
pub(crate) struct Permuted(pub Permutation);

impl Made for Permuted {
    fn fill(&self, first: u64, step: i64, out: MadeSlice<'_>) -> Result<()> {
        let MadeSlice::I64(out) = out else { return Err(other_type()) };
        let mut at = first;
        for out in out {
            *out = self.0.at(at).cast_signed();
            at = at.wrapping_add_signed(step);
        }
        Ok(())
    }
}

/// Places that are drawn by their shares: where each share ends among all of them.
pub(crate) struct Shares {
    pub key: Key,
    pub ends: Vec<f64>,
}

impl Made for Shares {
    fn fill(&self, first: u64, step: i64, out: MadeSlice<'_>) -> Result<()> {
        let MadeSlice::I64(out) = out else { return Err(other_type()) };
        let all = self.ends.last().copied().unwrap_or(0.0);
        let (mut at, mut drawn) = (first, [0.0; 128]);
        for out in out.chunks_mut(drawn.len()) {
            let drawn = &mut drawn[..out.len()];
            random::uniform_f64(self.key, at, step, 0.0, all, drawn);
            for (out, drawn) in out.iter_mut().zip(drawn) {
                // A number below the end of all: it lies before one of the ends.
                *out = self.ends.partition_point(|end| *end <= *drawn) as i64;
            }
            at = at.wrapping_add_signed(step.wrapping_mul(out.len() as i64));
        }
        Ok(())
    }
}
