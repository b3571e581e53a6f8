//! Small tools on the bits of an `f64` that compile to a few vector instructions on every instruction set.
//!
//! There is no 64-bit arithmetic shift, no 64-bit conversion and no 64-bit product in AVX2, so integers are made and read by
//! adding a large constant, whose lowest mantissa bits are then the integer.

/// 1.5 * 2^52: a number below 2^51 added to it is rounded to an integer (half to even), which is then in the low bits.
pub(super) const SHIFT: f64 = 6_755_399_441_055_744.0;

/// The mantissa bits of an `f64`.
pub(super) const MANTISSA: u64 = (1 << 52) - 1;

/// The nearest integer to a number below 2^51.
#[inline(always)]
pub(super) fn nearest(x: f64) -> f64 {
    (x + SHIFT) - SHIFT
}

/// The low bits of an integral number below 2^51, in two's complement; the high bits are noise.
#[inline(always)]
pub(super) fn low_bits(n: f64) -> u64 {
    (n + SHIFT).to_bits()
}

/// 2^n for an integral `n` between -1022 and 1023.
#[inline(always)]
pub(super) fn pow2(n: f64) -> f64 {
    f64::from_bits(low_bits(n).wrapping_add(1023) << 52)
}

/// y * 2^n for an integral `n` between -2000 and 2000, rounded once, and only where the result is subnormal.
#[inline(always)]
pub(super) fn scale(y: f64, n: f64) -> f64 {
    let half = nearest(n * 0.5);
    y * pow2(half) * pow2(n - half)
}

/// y * 2^n for t = n + [`SHIFT`], where y and the result are normal.
#[inline(always)]
pub(super) fn shift(y: f64, t: f64) -> f64 {
    f64::from_bits(y.to_bits().wrapping_add(t.to_bits() << 52))
}

/// The number within bounds; NaN stays.
#[inline(always)]
pub(super) fn clamp(x: f64, low: f64, high: f64) -> f64 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// The number without the 32 low bits of its mantissa: 21 bits are left, so that products of two such are exact.
#[inline(always)]
pub(super) fn head(x: f64) -> f64 {
    f64::from_bits(x.to_bits() & 0xffff_ffff_0000_0000)
}

/// a + b and the exact error of it, where |a| >= |b| or a is zero.
#[inline(always)]
pub(super) fn fast_two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    (sum, (a - sum) + b)
}

/// The polynomial with these coefficients, lowest power first, by Horner's rule.
#[inline(always)]
pub(super) fn horner<const N: usize>(x: f64, coefficients: [f64; N]) -> f64 {
    let mut sum = coefficients[N - 1];
    let mut i = N - 1;
    while i > 0 {
        i -= 1;
        sum = sum * x + coefficients[i];
    }
    sum
}
