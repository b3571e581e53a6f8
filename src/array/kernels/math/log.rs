//! Logarithms and the inverse hyperbolic functions, which are made of them.
//!
//! As fdlibm's `e_log.c`: x = 2^k (1 + f) with 1 + f between sqrt(1/2) and sqrt(2), s = f / (2 + f), and
//! ln(1 + f) = f - f^2/2 + s (f^2/2 + R(s^2)), with fdlibm's minimax polynomial R. The bases 2 and 10 are made of the same parts
//! multiplied in two pieces, as in FreeBSD's `e_log2.c` and `e_log10.c`.

use std::f64::consts::LN_2;

use super::exp::{LN2_HIGH, LN2_LOW};
use super::float::{MANTISSA, fast_two_sum, head, horner};

/// The bits of the double below sqrt(1/2).
const ROOT_HALF: u64 = 0x3fe6_a09e_0000_0000;

/// k and f of a positive normal number: x = 2^k (1 + f).
#[inline(always)]
pub(super) fn split(x: f64) -> (f64, f64) {
    let shifted = x.to_bits().wrapping_add((1023 << 52) - ROOT_HALF);
    // The exponent, made a number by the constant 2^52.
    let biased = f64::from_bits((shifted >> 52) | 0x4330_0000_0000_0000);
    (biased - (4_503_599_627_370_496.0 + 1023.0), f64::from_bits((shifted & MANTISSA) + ROOT_HALF) - 1.0)
}

/// The same of any positive finite number.
#[inline(always)]
pub(super) fn split_full(x: f64) -> (f64, f64) {
    let tiny = x < f64::MIN_POSITIVE;
    let (k, f) = split(if tiny { x * 18_014_398_509_481_984.0 } else { x });
    (k - if tiny { 54.0 } else { 0.0 }, f)
}

/// f^2/2 and s (f^2/2 + R): ln(1 + f) is f less the first plus the second.
#[inline(always)]
fn parts(f: f64) -> (f64, f64) {
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let even = w * horner(w, [3.999999999940942e-01, 2.222_219_843_214_978_4e-1, 1.531_383_769_920_937_3e-1]);
    let odd = z * horner(
        w,
        [6.666_666_666_666_735e-1, 2.857_142_874_366_239e-1, 1.818_357_216_161_805e-1, 1.479_819_860_511_658_6e-1],
    );
    let half = 0.5 * f * f;
    (half, s * (half + (even + odd)))
}

/// k ln 2 + ln(1 + f) + c, where `low` is k [`LN2_LOW`] + c.
#[inline(always)]
fn natural(k: f64, f: f64, low: f64) -> f64 {
    let (half, more) = parts(f);
    k * LN2_HIGH + (f + ((more + low) - half))
}

/// The value, unless the argument of the logarithm is zero, negative, infinite or NaN.
#[inline(always)]
fn ends(x: f64, value: f64) -> f64 {
    let value = if x == 0.0 { f64::NEG_INFINITY } else { value };
    let value = if x < 0.0 { f64::NAN } else { value };
    if x < f64::INFINITY { value } else { x }
}

/// Whether the number is positive and normal.
#[inline(always)]
pub(super) fn easy(x: f64) -> bool {
    // One comparison: the bits of negative numbers and of zero wrap around.
    x.to_bits().wrapping_sub(1 << 52) < (0x7ff << 52) - (1 << 52)
}

/// The natural logarithm of [`easy`] numbers.
#[inline(always)]
pub(crate) fn ln(x: f64) -> f64 {
    let (k, f) = split(x);
    natural(k, f, k * LN2_LOW)
}

/// The natural logarithm of all numbers.
#[inline(always)]
pub(super) fn ln_full(x: f64) -> f64 {
    let (k, f) = split_full(x);
    ends(x, natural(k, f, k * LN2_LOW))
}

/// ln(1 + x): with what is lost in 1 + x.
#[inline(always)]
pub(super) fn ln_1p(x: f64) -> f64 {
    let u = 1.0 + x;
    let (k, f) = split(u);
    let lost = if k > 1.0 { 1.0 - (u - x) } else { x - (u - 1.0) };
    let near = k == 0.0;
    let f = if near { x } else { f };
    let c = if near { 0.0 } else { lost / u };
    let value = ends(u, natural(k, f, k * LN2_LOW + c));
    if x.abs() < 1e-17 { x } else { value }
}

/// f - f^2/2 + more in two pieces, of which the first has 21 bits.
#[inline(always)]
fn two_pieces(f: f64) -> (f64, f64) {
    let (half, more) = parts(f);
    let high = head(f - half);
    (high, ((f - high) - half) + more)
}

/// The logarithm to base 2 from its parts.
#[inline(always)]
fn to_base_2((k, f): (f64, f64)) -> f64 {
    const HIGH: f64 = 1.4426950216293335;
    const LOW: f64 = 1.9259629911266175e-08;
    let (high, low) = two_pieces(f);
    let (sum, error) = fast_two_sum(k, high * HIGH);
    sum + (error + ((low + high) * LOW + low * HIGH))
}

/// The logarithm to base 2; exact for powers of two; of [`easy`] numbers.
#[inline(always)]
pub(super) fn log2(x: f64) -> f64 {
    to_base_2(split(x))
}

/// The same of all numbers.
#[inline(always)]
pub(super) fn log2_full(x: f64) -> f64 {
    ends(x, to_base_2(split_full(x)))
}

/// The logarithm to base 10 from its parts.
#[inline(always)]
fn to_base_10((k, f): (f64, f64)) -> f64 {
    const HIGH: f64 = 0.4342944771051407;
    const LOW: f64 = 4.798111141615973e-09;
    const OF_2_HIGH: f64 = 0.3010299955494702;
    const OF_2_LOW: f64 = 1.1451100898021838e-10;
    let (high, low) = two_pieces(f);
    let (sum, error) = fast_two_sum(k * OF_2_HIGH, high * HIGH);
    sum + (error + (k * OF_2_LOW + ((low + high) * LOW + low * HIGH)))
}

/// The logarithm to base 10; of [`easy`] numbers.
#[inline(always)]
pub(super) fn log10(x: f64) -> f64 {
    to_base_10(split(x))
}

/// The same of all numbers.
#[inline(always)]
pub(super) fn log10_full(x: f64) -> f64 {
    ends(x, to_base_10(split_full(x)))
}

/// Above this 1 + x^2 is x^2.
const HUGE: f64 = 268_435_456.0;

/// The inverse hyperbolic sine, as in fdlibm's `s_asinh.c`: ln(1 + |x| + x^2 / (1 + sqrt(1 + x^2))).
#[inline(always)]
pub(super) fn asinh(x: f64) -> f64 {
    let a = x.abs();
    let huge = a > HUGE;
    let near = a + a * a / (1.0 + (1.0 + a * a).sqrt());
    let value = ln_1p(if huge { a - 1.0 } else { near });
    (value + if huge { LN_2 } else { 0.0 }).copysign(x)
}

/// The inverse hyperbolic cosine, as in fdlibm's `e_acosh.c`: with t = x - 1, ln(1 + t + sqrt(2 t + t^2)).
#[inline(always)]
pub(super) fn acosh(x: f64) -> f64 {
    let huge = x > HUGE;
    let t = x - 1.0;
    let near = t + (2.0 * t + t * t).sqrt();
    let value = ln_1p(if huge { t } else { near }) + if huge { LN_2 } else { 0.0 };
    if x < 1.0 { f64::NAN } else { value }
}

/// The inverse hyperbolic tangent, as in fdlibm's `e_atanh.c`: ln(1 + 2 x / (1 - x)) / 2.
#[inline(always)]
pub(super) fn atanh(x: f64) -> f64 {
    let a = x.abs();
    let twice = a + a;
    let ratio = (if a < 0.5 { twice * a } else { twice }) / (1.0 - a);
    let value = 0.5 * ln_1p(if a < 0.5 { twice + ratio } else { ratio });
    value.copysign(x)
}
