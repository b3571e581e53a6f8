//! Sine, cosine and tangent.
//!
//! The argument is reduced to y = x - n pi/2 as in fdlibm's `e_rem_pio2.c`, with pi/2 in two parts, of 33 and 53 bits:
//! exact for |n| < 2^20 but for n 2^-87. What is larger ([`FAR`]) or so near to a multiple that digits are missing ([`NEAR`]) goes to
//! `std`.
//! Polynomials of sine and cosine: fdlibm's `k_sin.c` and `k_cos.c`; of the tangent: Cephes' `tan.c`.

use std::f64::consts::FRAC_2_PI;

use super::float::{horner, low_bits, nearest};

/// The largest argument that is reduced here.
pub(super) const FAR: f64 = 1_600_000.0;

/// A remainder must not be smaller than this for each quarter turn that was taken away: 2^-31.
const NEAR: f64 = 4.656_612_873_077_393e-10;

/// y, its error, and n, of x = n pi/2 + y.
#[inline(always)]
fn reduce(x: f64) -> (f64, f64, f64) {
    const FIRST: f64 = 1.5707963267341256;
    const SECOND: f64 = 6.077100506506192e-11;
    let n = nearest(x * FRAC_2_PI);
    let first = x - n * FIRST;
    let second = n * SECOND;
    let y = first - second;
    (y, (first - y) - second, n)
}

/// Whether the reduction is good for this argument (and for NaN).
#[inline(always)]
pub(super) fn easy(x: f64) -> bool {
    let (y, _, n) = reduce(x);
    !((x.abs() > FAR) | (y.abs() < NEAR * n.abs()))
}

/// sin(y + c) for |y| <= pi/4.
#[inline(always)]
fn sin_near(y: f64, c: f64) -> f64 {
    let z = y * y;
    let v = z * y;
    let r = horner(
        z,
        [
            8.333_333_333_322_49e-3,
            -1.984_126_982_985_795e-4,
            2.755_731_370_707_006_8e-6,
            -2.505_076_025_340_686_3e-8,
            1.589_690_995_211_55e-10,
        ],
    );
    y - ((z * (0.5 * c - v * r) - c) - v * -1.666_666_666_666_663_2e-1)
}

/// cos(y + c) for |y| <= pi/4.
#[inline(always)]
fn cos_near(y: f64, c: f64) -> f64 {
    let z = y * y;
    let r = z * horner(
        z,
        [
            4.166_666_666_666_66e-2,
            -1.388_888_888_887_411e-3,
            2.480_158_728_947_673e-5,
            -2.755_731_435_139_066_3e-7,
            2.087_572_321_298_175e-9,
            -1.135_964_755_778_819_5e-11,
        ],
    );
    let half = 0.5 * z;
    let w = 1.0 - half;
    w + (((1.0 - w) - half) + (z * r - y * c))
}

/// sin(n pi/2 + y + c).
#[inline(always)]
fn turned(y: f64, c: f64, quarter: u64) -> f64 {
    let value = if quarter & 1 == 0 { sin_near(y, c) } else { cos_near(y, c) };
    f64::from_bits(value.to_bits() ^ ((quarter & 2) << 62))
}

/// The sine of an [`easy`] argument.
#[inline(always)]
pub(super) fn sin(x: f64) -> f64 {
    let (y, c, n) = reduce(x);
    turned(y, c, low_bits(n))
}

/// The cosine of an [`easy`] argument.
#[inline(always)]
pub(super) fn cos(x: f64) -> f64 {
    let (y, c, n) = reduce(x);
    turned(y, c, low_bits(n).wrapping_add(1))
}

/// sin(2 pi t) for |t| <= 1/2, to within 2^-51: an odd polynomial on the quarter turns beside zero, interpolated at the Chebyshev
/// nodes (error 2^-54).
#[inline(always)]
pub(crate) fn sin_turns(t: f64) -> f64 {
    let t = if t.abs() > 0.25 { 0.5f64.copysign(t) - t } else { t };
    t * horner(
        t * t,
        [
            std::f64::consts::TAU,
            -41.341702240399755,
            81.60524927607362,
            -76.70585975282492,
            42.058693925428685,
            -15.0946416761179,
            3.8199280942271643,
            -0.7177337921413454,
            0.10089695501646812,
        ],
    )
}

/// The tangent of an [`easy`] argument.
#[inline(always)]
pub(super) fn tan(x: f64) -> f64 {
    let (y, c, n) = reduce(x);
    let z = y * y;
    let p = horner(z, [-1.795_652_519_764_848_8e7, 1.153_516_648_385_874_2e6, -1.309_369_391_813_837_9e4]);
    let q = horner(
        z,
        [-5.386_957_559_294_546e7, 2.500_838_018_233_579e7, -1.320_892_344_402_109_7e6, 1.368_129_634_706_929_5e4, 1.0],
    );
    let more = y * (z * p / q);
    // The sum of zeros of two signs would be positive.
    let near = (y + (more + c * (1.0 + z))).copysign(y);
    if low_bits(n) & 1 == 0 { near } else { -1.0 / near }
}
