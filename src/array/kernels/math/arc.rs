//! Inverse circular functions, as in fdlibm's `s_atan.c`, `e_asin.c`, `e_acos.c` and `e_atan2.c`.

use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, PI};

use super::float::{head, horner};

/// What is missing in `FRAC_PI_2`.
const FRAC_PI_2_LOW: f64 = 6.123233995736766e-17;

/// The arc tangent of a number >= 0: atan(a) = atan(b) + atan((a - b) / (1 + a b)) for the nearest of some b.
#[inline(always)]
fn atan_abs(a: f64) -> f64 {
    let mut above = a;
    let mut below = 1.0;
    let mut high = 0.0;
    let mut low = 0.0;
    if a >= 0.4375 {
        (above, below, high, low) = (2.0 * a - 1.0, 2.0 + a, 0.4636476090008061, 2.2698777452961687e-17);
    }
    if a >= 0.6875 {
        (above, below, high, low) = (a - 1.0, a + 1.0, FRAC_PI_4, 3.061616997868383e-17);
    }
    if a >= 1.1875 {
        (above, below, high, low) = (a - 1.5, 1.0 + 1.5 * a, 0.982793723247329, 1.3903311031230998e-17);
    }
    if a >= 2.4375 {
        (above, below, high, low) = (-1.0, a, FRAC_PI_2, FRAC_PI_2_LOW);
    }
    let t = above / below;
    let z = t * t;
    let w = z * z;
    let even = z * horner(
        w,
        [
            3.333_333_333_333_293e-1,
            1.428_571_427_250_346_6e-1,
            9.090_887_133_436_507e-2,
            6.661_073_137_387_531e-2,
            4.976_877_994_615_932_4e-2,
            1.628_582_011_536_578_2e-2,
        ],
    );
    let odd = w * horner(
        w,
        [
            -1.999_999_999_987_648_3e-1,
            -1.111_111_040_546_235_6e-1,
            -7.691_876_205_044_83e-2,
            -5.833_570_133_790_573_5e-2,
            -3.653_157_274_421_691_6e-2,
        ],
    );
    high - ((t * (even + odd) - low) - t)
}

/// The arc tangent.
#[inline(always)]
pub(super) fn atan(x: f64) -> f64 {
    atan_abs(x.abs()).copysign(x)
}

/// Whether neither number nor their quotient is zero, subnormal, infinite or NaN.
#[inline(always)]
pub(super) fn easy_atan2(y: f64, x: f64) -> bool {
    let (a, b) = (y.abs(), x.abs());
    (a > 1e-150) & (a < 1e150) & (b > 1e-150) & (b < 1e150)
}

/// The angle of an [`easy_atan2`] point.
#[inline(always)]
pub(super) fn atan2(y: f64, x: f64) -> f64 {
    let angle = atan_abs(y.abs() / x.abs());
    let turned = PI - (angle - 2.0 * FRAC_PI_2_LOW);
    (if x < 0.0 { turned } else { angle }).copysign(y)
}

/// (asin(sqrt(z)) - sqrt(z)) / sqrt(z) for 0 <= z <= 1/4.
#[inline(always)]
fn asin_rest(z: f64) -> f64 {
    let p = horner(
        z,
        [
            1.666_666_666_666_666_6e-1,
            -3.255_658_186_224_009e-1,
            2.012_125_321_348_629_3e-1,
            -4.005_553_450_067_941e-2,
            7.915_349_942_898_145e-4,
            3.479_331_075_960_212e-5,
        ],
    );
    let q = horner(
        z,
        [1.0, -2.403_394_911_734_414, 2.020_945_760_233_505_7, -6.882_839_716_054_533e-1, 7.703_815_055_590_194e-2],
    );
    z * p / q
}

/// The arc sine.
#[inline(always)]
pub(super) fn asin(x: f64) -> f64 {
    let a = x.abs();
    let near = a < 0.5;
    let z = if near { a * a } else { (1.0 - a) * 0.5 };
    let r = asin_rest(z);
    let s = z.sqrt();
    let first = head(s);
    let c = (z - first * first) / (s + first);
    let far = FRAC_PI_4 - ((2.0 * s * r - (FRAC_PI_2_LOW - 2.0 * c)) - (FRAC_PI_4 - 2.0 * first));
    let far = if a == 1.0 { FRAC_PI_2 } else { far };
    (if near { a + a * r } else { far }).copysign(x)
}

/// The arc cosine.
#[inline(always)]
pub(super) fn acos(x: f64) -> f64 {
    let a = x.abs();
    let near = a < 0.5;
    let z = if near { a * a } else { (1.0 - a) * 0.5 };
    let r = asin_rest(z);
    let middle = FRAC_PI_2 - (x - (FRAC_PI_2_LOW - x * r));
    let s = z.sqrt();
    let left = 2.0 * (FRAC_PI_2 - (s + (r * s - FRAC_PI_2_LOW)));
    let first = head(s);
    let c = (z - first * first) / (s + first);
    let right = 2.0 * (first + (r * s + c));
    let right = if a == 1.0 { 0.0 } else { right };
    let far = if x < 0.0 { left } else { right };
    if near { middle } else { far }
}
