//! Exponentials and hyperbolic functions.
//!
//! The argument is reduced as in Cody and Waite and fdlibm's `e_exp.c`: x = n ln 2 + r with |r| <= ln 2 / 2, n ln 2 in two
//! parts. e^r = 1 + r + r^2/2 + r^3 q(r) with q interpolated at the Chebyshev nodes (relative error 2^-60). Where other numbers are
//! added to it, 1 + r is kept as a sum and its error, so that what is rounded once more is only the small rest.

use std::f64::consts::{LN_2, LOG2_E};

use super::float::{SHIFT, clamp, fast_two_sum, head, horner, nearest, pow2, scale, shift};

/// The upper 32 bits of ln 2: products with integers below 2^21 are exact.
pub(super) const LN2_HIGH: f64 = 0.6931471803691238;
/// What is missing there.
pub(super) const LN2_LOW: f64 = 1.9082149292705877e-10;

/// The upper 21 bits of ln 2, for products with numbers of 21 bits.
const LN2_HEAD: f64 = 0.6931467056274414;
/// What is missing there.
const LN2_TAIL: f64 = 4.749_325_039_031_673e-7;

/// r, its rounding error and n of x = n ln 2 + r, for |x| below 2^20.
#[inline(always)]
fn reduce(x: f64) -> (f64, f64, f64) {
    let n = nearest(x * LOG2_E);
    let high = x - n * LN2_HIGH;
    let low = n * LN2_LOW;
    let r = high - low;
    (r, (high - r) - low, n)
}

/// e^r - 1 - r for |r| <= ln 2 / 2.
#[inline(always)]
fn rest(r: f64) -> f64 {
    let q = horner(
        r,
        [
            0.16666666666666669,
            0.041666666666666664,
            0.008333333333330062,
            0.0013888888888886567,
            0.00019841269863054255,
            2.480158731709216e-05,
            2.755726845900634e-06,
            2.755728303580833e-07,
            2.5100385966749044e-08,
            2.0911209096567803e-09,
        ],
    );
    let square = r * r;
    0.5 * square + square * r * q
}

/// e^(r + c) as a sum of a large and a small number.
#[inline(always)]
fn parts(r: f64, c: f64) -> (f64, f64) {
    let (sum, error) = fast_two_sum(1.0, r);
    (sum, error + (c + rest(r)))
}

/// Whether e^x is normal.
#[inline(always)]
pub(super) fn easy(x: f64) -> bool {
    (x > -708.0) & (x < 709.0)
}

/// e^x for [`easy`] numbers.
#[inline(always)]
pub(super) fn exp(x: f64) -> f64 {
    let t = x * LOG2_E + SHIFT;
    let n = t - SHIFT;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    shift(1.0 + (r + rest(r)), t)
}

/// e^x for all numbers.
#[inline(always)]
pub(super) fn exp_full(x: f64) -> f64 {
    let x = clamp(x, -750.0, 711.0);
    let n = nearest(x * LOG2_E);
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    scale(1.0 + (r + rest(r)), n)
}

/// Whether 2^x is normal.
#[inline(always)]
pub(super) fn easy2(x: f64) -> bool {
    (x > -1022.0) & (x < 1023.0)
}

/// 2^x for [`easy2`] numbers.
#[inline(always)]
pub(super) fn exp2(x: f64) -> f64 {
    let t = x + SHIFT;
    let r = (x - (t - SHIFT)) * LN_2;
    shift(1.0 + (r + rest(r)), t)
}

/// 2^x for all numbers.
#[inline(always)]
pub(super) fn exp2_full(x: f64) -> f64 {
    let x = clamp(x, -1080.0, 1025.0);
    let n = nearest(x);
    let r = (x - n) * LN_2;
    scale(1.0 + (r + rest(r)), n)
}

/// 2^(x + c) for an [`easy2`] x and c in its last place: what a power ends with.
#[inline(always)]
pub(super) fn exp2_of_sum(x: f64, c: f64) -> f64 {
    let t = x + SHIFT;
    let fraction = x - (t - SHIFT);
    let first = head(fraction);
    let high = first * LN2_HEAD;
    let low = ((fraction - first) + c) * LN_2 + first * LN2_TAIL;
    let (r, error) = fast_two_sum(high, low);
    let (sum, small) = parts(r, error);
    shift(sum + small, t)
}

/// e^x - 1: 2^n (1 - 2^-n + r + rest), the first three with the error of their sum.
#[inline(always)]
pub(super) fn expm1(x: f64) -> f64 {
    let (r, c, n) = reduce(clamp(x, -60.0, 711.0));
    let one = 1.0 - pow2(-clamp(n, -90.0, 64.0));
    let (sum, error) = fast_two_sum(one, r);
    scale(sum + (error + (c + rest(r))), n).copysign(x)
}

/// e^a for 0 <= a as a large and a small number to be scaled by 2^n, the reciprocal e^-a scaled likewise, and n.
#[inline(always)]
fn with_reciprocal(a: f64) -> (f64, f64, f64, f64) {
    let (r, c, n) = reduce(clamp(a, 0.0, 720.0));
    let (sum, small) = parts(r, c);
    let reciprocal = pow2(-2.0 * clamp(n, 0.0, 64.0)) / (sum + small);
    (sum, small, reciprocal, n)
}

/// The hyperbolic sine: a polynomial below 1, (e^x - e^-x) / 2 above.
#[inline(always)]
pub(super) fn sinh(x: f64) -> f64 {
    let a = x.abs();
    let (sum, small, reciprocal, n) = with_reciprocal(a);
    let large = scale(sum + (small - reciprocal), n - 1.0);
    let z = a * a;
    let p = horner(
        z,
        [
            0.16666666666666666,
            0.008333333333333299,
            0.00019841269841324198,
            2.7557319191381816e-06,
            2.5052117695907823e-08,
            1.6057679623801638e-10,
            7.746178593018827e-13,
        ],
    );
    let near = a + a * (z * p);
    (if a < 1.0 { near } else { large }).copysign(x)
}

/// The hyperbolic cosine.
#[inline(always)]
pub(super) fn cosh(x: f64) -> f64 {
    let (sum, small, reciprocal, n) = with_reciprocal(x.abs());
    scale(sum + (small + reciprocal), n - 1.0)
}

/// The hyperbolic tangent as in Cephes' `tanh.c`: a rational function below 0.625, 1 - 2 / (e^2x + 1) above.
#[inline(always)]
pub(super) fn tanh(x: f64) -> f64 {
    let a = clamp(x.abs(), 0.0, 22.0);
    let (r, c, n) = reduce(a + a);
    let (sum, small) = parts(r, c);
    let power = (sum + small) * pow2(n);
    let z = a * a;
    let p = horner(z, [-1.614_687_684_417_084_5e3, -9.928_772_310_019_185e1, -9.643_991_794_250_523e-1]);
    let q = horner(z, [4.844_063_053_251_255e3, 2.235_488_390_601_004_5e3, 1.128_116_784_916_329_4e2, 1.0]);
    let near = a < 0.625;
    let base = if near { a } else { 1.0 };
    let above = if near { a * (z * p) } else { -2.0 };
    let below = if near { q } else { power + 1.0 };
    (base + above / below).copysign(x)
}
