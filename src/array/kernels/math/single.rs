//! The commonest functions with polynomials of their own for single precision, twice as many in a vector: those of Cephes'
//! `expf.c`, `exp2f.c`, `logf.c`, `log2f.c`, `log10f.c` and `sinf.c`. What is not easy is computed in double precision.

use super::{exp, log, pow, trig};

/// 1.5 * 2^23: a number below 2^22 added to it is rounded to an integer, which is then in the low bits.
const SHIFT: f32 = 12_582_912.0;

/// The polynomial with these coefficients, lowest power first, by Horner's rule.
#[inline(always)]
fn horner<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut sum = coefficients[N - 1];
    let mut i = N - 1;
    while i > 0 {
        i -= 1;
        sum = sum * x + coefficients[i];
    }
    sum
}

/// y * 2^n for t = n + [`SHIFT`], where y and the result are normal.
#[inline(always)]
fn shift(y: f32, t: f32) -> f32 {
    f32::from_bits(y.to_bits().wrapping_add(t.to_bits() << 23))
}

/// Whether e^x is normal.
#[inline(always)]
pub(super) fn easy_exp(x: f32) -> bool {
    (x > -87.0) & (x < 88.0)
}

/// e^x of an easy number.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    let t = x * std::f32::consts::LOG2_E + SHIFT;
    let n = t - SHIFT;
    let r = (x - n * 0.693_359_4) - n * -2.121_944_4e-4;
    let p = horner(r, [5e-1, 1.666_666_6e-1, 4.166_579_6e-2, 8.333_452e-3, 1.398_199_9e-3, 1.987_569_1e-4]);
    shift(1.0 + (r + r * r * p), t)
}

/// Whether 2^x is normal.
#[inline(always)]
pub(super) fn easy_exp2(x: f32) -> bool {
    (x > -126.0) & (x < 127.0)
}

/// 2^x of an easy number.
#[inline(always)]
pub(super) fn exp2(x: f32) -> f32 {
    let t = x + SHIFT;
    let r = x - (t - SHIFT);
    let p = horner(r, [6.931_472e-1, 2.402_264_8e-1, 5.550_332_4e-2, 9.618_437e-3, 1.339_887_4e-3, 1.535_336_2e-4]);
    shift(1.0 + r * p, t)
}

/// Whether the number is positive and normal.
#[inline(always)]
pub(super) fn easy_ln(x: f32) -> bool {
    x.to_bits().wrapping_sub(1 << 23) < (0xff << 23) - (1 << 23)
}

/// k, f and ln(1 + f) - f of an easy x = 2^k (1 + f).
#[inline(always)]
fn log_parts(x: f32) -> (f32, f32, f32) {
    const ROOT_HALF: u32 = 0x3f35_04f3;
    let shifted = x.to_bits().wrapping_add((127 << 23) - ROOT_HALF);
    let k = ((shifted >> 23) as i32 - 127) as f32;
    let f = f32::from_bits((shifted & 0x007f_ffff) + ROOT_HALF) - 1.0;
    let z = f * f;
    let p = horner(
        f,
        [
            3.333_333e-1,
            -2.499_999_4e-1,
            2.000_071_4e-1,
            -1.666_805_7e-1,
            1.424_932_3e-1,
            -1.242_014_1e-1,
            1.167_699_84e-1,
            -1.151_461e-1,
            7.037_683_6e-2,
        ],
    );
    (k, f, f * z * p - 0.5 * z)
}

/// The natural logarithm of an easy number.
#[inline(always)]
pub(super) fn ln(x: f32) -> f32 {
    let (k, f, more) = log_parts(x);
    (f + (more + k * -2.121_944_4e-4)) + k * 0.693_359_4
}

/// The logarithm to base 2 of an easy number.
#[inline(always)]
pub(super) fn log2(x: f32) -> f32 {
    /// What 1 / ln 2 is above 1.
    const ABOVE: f32 = 0.442_695_05;
    let (k, f, more) = log_parts(x);
    (((more * ABOVE + f * ABOVE) + more) + f) + k
}

/// The logarithm to base 10 of an easy number.
#[inline(always)]
pub(super) fn log10(x: f32) -> f32 {
    let (k, f, more) = log_parts(x);
    let low = (f + more) * 7.007_319e-4 + more * 0.433_593_75;
    ((low + f * 0.433_593_75) + k * 2.487_456_6e-4) + k * 0.300_781_25
}

/// y and n of x = n pi/2 + y: pi/2 in three parts, the first two with so few digits that their products are exact.
#[inline(always)]
fn reduce(x: f32) -> (f32, f32, f32) {
    let t = x * std::f32::consts::FRAC_2_PI + SHIFT;
    let n = t - SHIFT;
    (((x - n * 1.570_312_5) - n * 4.837_513e-4) - n * 7.549_79e-8, n, t)
}

/// Whether the reduction is good for this argument (and for NaN).
#[inline(always)]
pub(super) fn easy_sin(x: f32) -> bool {
    let (y, n, _) = reduce(x);
    !((x.abs() > 2000.0) | (y.abs() < 2.4e-7 * n.abs()))
}

/// sin(n pi/2 + y).
#[inline(always)]
fn turned(y: f32, quarter: u32) -> f32 {
    let z = y * y;
    let sin = y + y * (z * horner(z, [-1.666_665_5e-1, 8.332_161e-3, -1.951_529_6e-4]));
    let cos = 1.0 - (0.5 * z - z * z * horner(z, [4.166_664_6e-2, -1.388_731_6e-3, 2.443_315_7e-5]));
    let value = if quarter & 1 == 0 { sin } else { cos };
    f32::from_bits(value.to_bits() ^ ((quarter & 2) << 30))
}

/// The sine of an easy number.
#[inline(always)]
pub(super) fn sin(x: f32) -> f32 {
    let (y, _, t) = reduce(x);
    turned(y, t.to_bits())
}

/// The cosine of an easy number.
#[inline(always)]
pub(super) fn cos(x: f32) -> f32 {
    let (y, _, t) = reduce(x);
    turned(y, t.to_bits().wrapping_add(1))
}

macro_rules! in_double {
    ($($name:ident $full:path;)+) => {$(
        /// Any number, in double precision.
        #[inline(always)]
        pub(super) fn $name(x: f32) -> f32 {
            $full(f64::from(x)) as f32
        }
    )+};
}

in_double! {
    exp_full exp::exp_full;
    exp2_full exp::exp2_full;
    ln_full log::ln_full;
    log2_full log::log2_full;
    log10_full log::log10_full;
    sin_full sin_double;
    cos_full cos_double;
}

#[inline(always)]
fn sin_double(x: f64) -> f64 {
    if trig::easy(x) { trig::sin(x) } else { x.sin() }
}

#[inline(always)]
fn cos_double(x: f64) -> f64 {
    if trig::easy(x) { trig::cos(x) } else { x.cos() }
}

/// y log2 |x|: single in, double precision is enough for it.
#[inline(always)]
fn exponent(x: f64, y: f64) -> f64 {
    y * log::log2(x.abs())
}

/// Whether the power can be computed by [`pow`].
#[inline(always)]
pub(super) fn easy_pow(x: f32, y: f32) -> bool {
    let (x, y) = (f64::from(x), f64::from(y));
    log::easy(x.abs()) & (y.abs() < 1e9) & exp::easy2(exponent(x, y))
}

/// The power of an easy pair, in plain double precision: 2^-42 is what a large exponent loses of it.
#[inline(always)]
pub(super) fn pow(x: f32, y: f32) -> f32 {
    let (x, y) = (f64::from(x), f64::from(y));
    pow::with_sign(x, y, exp::exp2(exponent(x, y))) as f32
}

/// Any power.
#[inline(always)]
pub(super) fn pow_full(x: f32, y: f32) -> f32 {
    f64::from(x).powf(f64::from(y)) as f32
}

/// The length of a vector: squares do not overflow in double precision.
#[inline(always)]
pub(super) fn hypot(x: f32, y: f32) -> f32 {
    let (a, b) = (f64::from(x), f64::from(y));
    let value = (a * a + b * b).sqrt() as f32;
    let infinite = (x.abs() == f32::INFINITY) | (y.abs() == f32::INFINITY);
    if infinite { f32::INFINITY } else { value }
}

/// Every pair is easy for [`hypot`].
#[inline(always)]
pub(super) fn any_pair(_: f32, _: f32) -> bool {
    true
}
