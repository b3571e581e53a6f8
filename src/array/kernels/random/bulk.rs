//! Random numbers of many elements at a time, in vectors. Each is what its own [`ElementRng`] gives.
//!
//! `first` is the row-major index of the first element, `step` the distance to the next; both wrap around.

use pulp::{Arch, NullaryFnOnce};
use rand_distr::Distribution;

use super::element::{ElementRng, INCREMENT};
use super::key::Key;
use crate::array::kernels::math::{ln_lane, sin_turns};

/// A number from the generator of an element. It is `#[inline(always)]` where it is to be in vectors.
trait Make<T> {
    fn make(&self, element: ElementRng) -> T;
}

/// The loop over elements.
struct Fill<'a, T, M> {
    key: Key,
    first: u64,
    step: i64,
    out: &'a mut [T],
    make: M,
}

impl<T, M: Make<T>> NullaryFnOnce for Fill<'_, T, M> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let start = self.key.a.wrapping_add(self.first.wrapping_mul(INCREMENT));
        let stride = (self.step as u64).wrapping_mul(INCREMENT);
        let mut counter = start;
        for out in self.out {
            *out = self.make.make(ElementRng::at(self.key, counter));
            counter = counter.wrapping_add(stride);
        }
    }
}

fn fill<T>(key: Key, first: u64, step: i64, out: &mut [T], make: impl Make<T>) {
    Arch::new().dispatch(Fill { key, first, step, out, make });
}

/// 52 bits as an odd multiple of 2^-53, between 0 and 1: written into the mantissa of a number in [1, 2), which needs no
/// conversion of integers and is symmetric.
#[inline(always)]
fn unit_f64(word: u64) -> f64 {
    f64::from_bits(word >> 12 | 0x3ff0_0000_0000_0000) - (1.0 - f64::EPSILON / 2.0)
}

/// 23 bits as an odd multiple of 2^-24, likewise.
#[inline(always)]
fn unit_f32(word: u64) -> f32 {
    f32::from_bits((word >> 41) as u32 | 0x3f80_0000) - (1.0 - f32::EPSILON / 2.0)
}

#[cfg(test)]
struct Word;

#[cfg(test)]
impl Make<u64> for Word {
    #[inline(always)]
    fn make(&self, mut element: ElementRng) -> u64 {
        element.draw()
    }
}

/// The first number of each element.
#[cfg(test)]
pub fn fill_u64(key: Key, first: u64, step: i64, out: &mut [u64]) {
    fill(key, first, step, out, Word);
}

/// Numbers from `low` on that are at most `last`.
struct Uniform<F> {
    low: F,
    span: F,
    last: F,
}

/// The same of halves of the bounds, for spans that are not finite.
struct Halves<F>(Uniform<F>);

macro_rules! uniform {
    ($name:ident $float:ident $unit:ident $bits:literal) => {
        /// Uniform numbers in [`low`, `high`): never `high`, also where the sum is rounded up to it. All are `low` where `low` is
        /// not less than `high`, NaN where one of them is not a finite number.
        #[doc = concat!("Of the first number of the element, the ", $bits, " upper bits are used.")]
        pub fn $name(key: Key, first: u64, step: i64, low: $float, high: $float, out: &mut [$float]) {
            if !(low.is_finite() && high.is_finite()) {
                return out.fill($float::NAN);
            }
            if low >= high {
                return out.fill(low);
            }
            let (span, last) = (high - low, high.next_down());
            if span.is_finite() {
                return fill(key, first, step, out, Uniform { low, span, last });
            }
            let (low, span, last) = (low * 0.5, high * 0.5 - low * 0.5, last * 0.5);
            fill(key, first, step, out, Halves(Uniform { low, span, last }));
        }

        impl Make<$float> for Uniform<$float> {
            #[inline(always)]
            fn make(&self, mut element: ElementRng) -> $float {
                let number = self.low + $unit(element.draw()) * self.span;
                if number > self.last { self.last } else { number }
            }
        }

        impl Make<$float> for Halves<$float> {
            #[inline(always)]
            fn make(&self, element: ElementRng) -> $float {
                self.0.make(element) * 2.0
            }
        }
    };
}

uniform! { uniform_f64 f64 unit_f64 "52" }
uniform! { uniform_f32 f32 unit_f32 "23" }

/// Integers that [`integers`] makes.
pub trait Integer: Copy + Ord + sealed::Sealed {
    /// The bits, sign extended.
    fn to_word(self) -> u64;
    /// The lowest bits.
    fn of_word(word: u64) -> Self;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! integers {
    ($($int:ident)+) => {$(
        impl sealed::Sealed for $int {}

        impl Integer for $int {
            #[inline(always)]
            fn to_word(self) -> u64 {
                self as u64
            }

            #[inline(always)]
            fn of_word(word: u64) -> $int {
                word as $int
            }
        }
    )+};
}

integers! { i8 i16 i32 i64 u8 u16 u32 u64 }

/// Lemire's method: the upper half of number times span, drawn anew where the lower half is below 2^64 modulo the span.
struct Bounded {
    low: u64,
    span: u64,
    threshold: u64,
}

impl Bounded {
    /// Draws until a number is good.
    #[inline]
    fn offset(&self, element: &mut ElementRng) -> u64 {
        loop {
            let product = u128::from(element.draw()) * u128::from(self.span);
            if product as u64 >= self.threshold {
                return (product >> 64) as u64;
            }
        }
    }
}

/// The same in vectors: products are made of products of 32 bits, and runs with an element whose first number is rejected are
/// computed again.
struct InVectors<'a, T, const WIDE: bool> {
    key: Key,
    first: u64,
    step: i64,
    out: &'a mut [T],
    bounded: Bounded,
}

/// The halves of a product; where it is not `WIDE`, b is below 2^32.
#[inline(always)]
fn halves<const WIDE: bool>(a: u64, b: u64) -> (u64, u64) {
    const LOW: u64 = 0xffff_ffff;
    let lower = (a & LOW) * (b & LOW);
    let middle = (a >> 32) * (b & LOW) + (lower >> 32);
    if !WIDE {
        return (middle >> 32, middle << 32 | lower & LOW);
    }
    let other = (a & LOW) * (b >> 32) + (middle & LOW);
    ((a >> 32) * (b >> 32) + (middle >> 32) + (other >> 32), other << 32 | lower & LOW)
}

impl<T: Integer, const WIDE: bool> NullaryFnOnce for InVectors<'_, T, WIDE> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Bounded { low, span, threshold } = self.bounded;
        let stride = (self.step as u64).wrapping_mul(INCREMENT);
        let mut counter = self.key.a.wrapping_add(self.first.wrapping_mul(INCREMENT));
        for out in self.out.chunks_mut(RUN) {
            let start = counter;
            let mut rejected = 0u8;
            for out in out.iter_mut() {
                let word = ElementRng::at(self.key, counter).draw();
                counter = counter.wrapping_add(stride);
                let (upper, lower) = halves::<WIDE>(word, span);
                rejected |= u8::from(lower < threshold);
                *out = T::of_word(low.wrapping_add(upper));
            }
            if rejected != 0 {
                again(self.key, start, stride, &self.bounded, out);
            }
        }
    }
}

/// A run whose elements draw until a number is good. On its own, so that it is not vectorized.
#[inline(never)]
fn again<T: Integer>(key: Key, start: u64, stride: u64, bounded: &Bounded, out: &mut [T]) {
    let mut counter = start;
    for out in out {
        let offset = bounded.offset(&mut ElementRng::at(key, counter));
        *out = T::of_word(bounded.low.wrapping_add(offset));
        counter = counter.wrapping_add(stride);
    }
}

/// Uniform integers in [`low`, `high`), without bias: by Lemire's method (2019), with as many numbers of the element as it takes,
/// one but with a chance below (`high` - `low`) / 2^64. All are `low` where `low` is not less than `high`.
#[cfg(test)]
pub fn integers<T: Integer>(key: Key, first: u64, step: i64, low: T, high: T, out: &mut [T]) {
    if low >= high {
        return out.fill(low);
    }
    bounded(key, first, step, low.to_word(), high.to_word().wrapping_sub(low.to_word()), out);
}

/// Uniform integers from `low` to `last`, both included. All are `low` where `low` is not less than `last`.
pub fn integers_through<T: Integer>(key: Key, first: u64, step: i64, low: T, last: T, out: &mut [T]) {
    if low >= last {
        return out.fill(low);
    }
    bounded(key, first, step, low.to_word(), last.to_word().wrapping_sub(low.to_word()).wrapping_add(1), out);
}

/// Integers from `low` on; a span of 0 is one of 2^64.
fn bounded<T: Integer>(key: Key, first: u64, step: i64, low: u64, span: u64, out: &mut [T]) {
    if span.is_power_of_two() || span == 0 {
        // No number is rejected, and the upper bits are the product.
        return fill(key, first, step, out, Upper { low, down: 64 - span.trailing_zeros() });
    }
    let bounded = Bounded { low, span, threshold: span.wrapping_neg() % span };
    if span >> 32 == 0 {
        Arch::new().dispatch(InVectors::<T, false> { key, first, step, out, bounded });
    } else if span < 1 << 56 {
        Arch::new().dispatch(InVectors::<T, true> { key, first, step, out, bounded });
    } else {
        // One of 256 numbers may be rejected, so most runs would be computed again.
        let start = key.a.wrapping_add(first.wrapping_mul(INCREMENT));
        again(key, start, (step as u64).wrapping_mul(INCREMENT), &bounded, out);
    }
}

/// Elements that are computed again where the first number of one is rejected.
const RUN: usize = 512;

/// The upper bits of a number.
struct Upper {
    low: u64,
    down: u32,
}

impl<T: Integer> Make<T> for Upper {
    #[inline(always)]
    fn make(&self, mut element: ElementRng) -> T {
        let word = element.draw();
        // Nothing is left of a shift by all 64 bits.
        let offset = if self.down == 64 { 0 } else { word >> (self.down & 63) };
        T::of_word(self.low.wrapping_add(offset))
    }
}

/// Normal numbers by the method of Box and Muller: the first number of the element is the radius, the second the angle.
struct Normal {
    mean: f64,
    std: f64,
}

impl Make<f64> for Normal {
    #[inline(always)]
    fn make(&self, mut element: ElementRng) -> f64 {
        let radius = (-2.0 * ln_lane(unit_f64(element.draw()))).sqrt();
        self.mean + self.std * (radius * sin_turns(unit_f64(element.draw()) - 0.5))
    }
}

impl Make<f32> for Normal {
    #[inline(always)]
    fn make(&self, element: ElementRng) -> f32 {
        let number: f64 = self.make(element);
        number as f32
    }
}

/// Normal numbers with this mean and standard deviation. Their distance from the mean is 8.57 deviations at most.
pub fn normal_f64(key: Key, first: u64, step: i64, mean: f64, std: f64, out: &mut [f64]) {
    fill(key, first, step, out, Normal { mean, std });
}

/// The numbers of [`normal_f64`], rounded.
pub fn normal_f32(key: Key, first: u64, step: i64, mean: f32, std: f32, out: &mut [f32]) {
    fill(key, first, step, out, Normal { mean: f64::from(mean), std: f64::from(std) });
}

/// Exponential numbers by the logarithm of the first number of the element.
struct Exponential {
    mean: f64,
}

impl Make<f64> for Exponential {
    #[inline(always)]
    fn make(&self, mut element: ElementRng) -> f64 {
        self.mean * -ln_lane(unit_f64(element.draw()))
    }
}

impl Make<f32> for Exponential {
    #[inline(always)]
    fn make(&self, element: ElementRng) -> f32 {
        let number: f64 = self.make(element);
        number as f32
    }
}

/// Exponential numbers with this mean (the reciprocal of the rate), 36.7 times the mean at most.
pub fn exponential_f64(key: Key, first: u64, step: i64, mean: f64, out: &mut [f64]) {
    fill(key, first, step, out, Exponential { mean });
}

/// The numbers of [`exponential_f64`], rounded.
pub fn exponential_f32(key: Key, first: u64, step: i64, mean: f32, out: &mut [f32]) {
    fill(key, first, step, out, Exponential { mean: f64::from(mean) });
}

/// Numbers of any distribution of `rand_distr`, each drawn from the generator of its element.
pub fn sample<T, D: Distribution<T>>(key: Key, first: u64, step: i64, distribution: &D, out: &mut [T]) {
    for (i, out) in out.iter_mut().enumerate() {
        let index = first.wrapping_add((step as u64).wrapping_mul(i as u64));
        *out = distribution.sample(&mut ElementRng::new(key, index));
    }
}
