//! Powers and roots.

use super::exp::exp2_of_sum;
use super::float::{fast_two_sum, head, horner, nearest, pow2};
use super::log::{self, split, split_full};

/// Exponents above this are left to `std`: the product with the logarithm would not be exact enough.
const STEEP: f64 = 1_073_741_824.0;

/// log2 of a positive normal number in two pieces, the first of 21 bits, as in fdlibm's `e_pow.c`.
///
/// x = 2^k b (1 + f) with b of 1 and 1.5, and log2(1 + f) = 2 / (3 ln 2) (3 s + s^3 + ..) with s = f / (2 + f), each of the
/// sums in two pieces of which the first are short, so that their products are exact.
#[inline(always)]
fn log2_in_two(x: f64) -> (f64, f64) {
    const SCALE: f64 = 0.9617966939259756;
    const SCALE_HIGH: f64 = 0.9617962837219238;
    const SCALE_LOW: f64 = 4.102040517767816e-07;
    const OF_BASE_HIGH: f64 = 0.5849623680114746;
    const OF_BASE_LOW: f64 = 1.3270968157207873e-07;

    // A mantissa between sqrt(1/2) and sqrt(2), brought between sqrt(3)/2 and sqrt(3/2) by the base.
    let (k, f) = split(x);
    let m = 1.0 + f;
    let (m, k) = if m < 0.866_025_403_784_438_6 { (m + m, k - 1.0) } else { (m, k) };
    let far = m > 1.224_744_871_391_589;
    let (base, of_base_high, of_base_low) = if far { (1.5, OF_BASE_HIGH, OF_BASE_LOW) } else { (1.0, 0.0, 0.0) };

    // s in two pieces: what the short quotient times the exact divisor leaves is divided again.
    let u = m - base;
    let v = 1.0 / (m + base);
    let s = u * v;
    let s_high = head(s);
    let divisor = head(m + base);
    let divisor_low = m - (divisor - base);
    let s_low = v * ((u - s_high * divisor) - s_high * divisor_low);

    let z = s * s;
    let r = z
        * z
        * horner(
            z,
            [
                5.999_999_999_999_946e-1,
                4.285_714_285_785_502e-1,
                3.333_333_298_183_774_3e-1,
                2.727_281_238_085_34e-1,
                2.306_607_457_755_617_5e-1,
                2.069_750_178_003_384_2e-1,
            ],
        )
        + s_low * (s_high + s);
    let square = s_high * s_high;
    let three = head(3.0 + square + r);
    let three_low = r - ((three - 3.0) - square);
    let product = s_high * three;
    let product_low = s_low * three + three_low * s;
    let p_high = head(product + product_low);
    let p_low = product_low - (p_high - product);
    let z_high = SCALE_HIGH * p_high;
    let z_low = SCALE_LOW * p_high + p_low * SCALE + of_base_low;
    let high = head(((z_high + z_low) + of_base_high) + k);
    (high, z_low - (((high - k) - of_base_high) - z_high))
}

/// y log2 |x| in two pieces.
#[inline(always)]
fn exponent(x: f64, y: f64) -> (f64, f64) {
    let (high, low) = log2_in_two(x.abs());
    let y_high = head(y);
    (y_high * high, (y - y_high) * high + y * low)
}

/// Whether the power is normal and neither number is zero, subnormal, infinite, NaN or huge.
#[inline(always)]
pub(super) fn easy(x: f64, y: f64) -> bool {
    let (high, low) = exponent(x, y);
    log::easy(x.abs()) & (y.abs() < STEEP) & ((high + low).abs() < 1021.0)
}

/// x^y, given |x|^y.
#[inline(always)]
pub(super) fn with_sign(x: f64, y: f64, value: f64) -> f64 {
    let half = y * 0.5;
    let whole = nearest(y) == y;
    let even = nearest(half) == half;
    let signed = if even { value } else { -value };
    let of_negative = if whole { signed } else { f64::NAN };
    if x < 0.0 { of_negative } else { value }
}

/// The power of an [`easy`] pair.
#[inline(always)]
pub(super) fn pow(x: f64, y: f64) -> f64 {
    let (high, low) = exponent(x, y);
    let (sum, error) = fast_two_sum(high, low);
    with_sign(x, y, exp2_of_sum(sum, error))
}

/// The length of a vector, by squares of numbers that are brought near 1 by a power of two where need be.
#[inline(always)]
pub(super) fn hypot(x: f64, y: f64) -> f64 {
    const UP: f64 = 4.149_515_568_880_993e180;
    const DOWN: f64 = 2.409_919_865_102_884e-181;
    let (a, b) = (x.abs(), y.abs());
    let larger = if a > b { a } else { b };
    let (mut by, mut back) = (1.0, 1.0);
    if larger > 1e150 {
        (by, back) = (DOWN, UP);
    }
    if larger < 1e-140 {
        (by, back) = (UP, DOWN);
    }
    let (a, b) = (a * by, b * by);
    let value = (a * a + b * b).sqrt() * back;
    let infinite = (a == f64::INFINITY) | (b == f64::INFINITY);
    if infinite { f64::INFINITY } else { value }
}

/// The cube root: a parabola, two steps of Halley, and a last one of Newton on a root of 21 bits whose square is exact, as in
/// FreeBSD's `s_cbrt.c`.
#[inline(always)]
pub(super) fn cbrt(x: f64) -> f64 {
    let a = x.abs();
    let (k, f) = split_full(a);
    let third = nearest(k * (1.0 / 3.0));
    let left = k - 3.0 * third;
    // Between sqrt(1/2)/2 and 2 sqrt(2).
    let m = (1.0 + f) * pow2(left);
    let guess = 0.489_1 + m * (0.607_6 - m * 0.096_7);
    let halley = |t: f64| {
        let cube = t * t * t;
        t * ((cube + (m + m)) / (cube + cube + m))
    };
    let t = head(halley(halley(guess)));
    let r = m / (t * t);
    let root = t + t * ((r - t) / (t + t + r));
    let value = root * pow2(third);
    let value = if a < f64::INFINITY { value } else { a };
    (if a == 0.0 { a } else { value }).copysign(x)
}
