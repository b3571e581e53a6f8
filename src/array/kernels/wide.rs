//! What numbers are summed as, and how they stand to each other by size.

use num_complex::Complex;

use super::steps::Lane;

/// What numbers are summed as.
pub(super) trait Wide: Lane {
    type As: Lane;
    /// What a mean is.
    type Mean: Lane;
    const ONE: Self::As;
    /// Whether what rounding loses is carried along.
    const CARRIES: bool;

    fn widen(self) -> Self::As;

    /// Wrapping, for integers.
    fn plus(a: Self::As, b: Self::As) -> Self::As;

    fn times(a: Self::As, b: Self::As) -> Self::As;

    /// `a + b` and what it lost.
    fn plus_exactly(a: Self::As, b: Self::As) -> (Self::As, Self::As) {
        (Self::plus(a, b), Self::As::default())
    }

    /// A sum divided by a count.
    fn divided(sum: Self::As, count: f64) -> Self::Mean;

    fn to_f64(self) -> f64;

    fn is_nan(self) -> bool;

    /// NaN, of what has one.
    fn nan() -> Option<Self> {
        None
    }

    /// Whether it comes before another by size; NaN before all where `nan_first`.
    fn beats(self, other: Self, largest: bool) -> bool;
}

macro_rules! wide_integers {
    ($($int:ty as $wide:ty;)+) => {$(
        impl Wide for $int {
            type As = $wide;
            type Mean = f64;
            const ONE: $wide = 1;
            const CARRIES: bool = false;

            #[inline(always)]
            fn widen(self) -> $wide {
                self as $wide
            }

            #[inline(always)]
            fn plus(a: $wide, b: $wide) -> $wide {
                a.wrapping_add(b)
            }

            #[inline(always)]
            fn times(a: $wide, b: $wide) -> $wide {
                a.wrapping_mul(b)
            }

            fn divided(sum: $wide, count: f64) -> f64 {
                sum as f64 / count
            }

            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }

            #[inline(always)]
            fn is_nan(self) -> bool {
                false
            }

            #[inline(always)]
            fn beats(self, other: $int, largest: bool) -> bool {
                if largest { self > other } else { self < other }
            }
        }
    )+};
}

wide_integers! {
    i8 as i64; i16 as i64; i32 as i64; i64 as i64;
    u8 as u64; u16 as u64; u32 as u64; u64 as u64;
}

macro_rules! wide_floats {
    ($($float:ty)+) => {$(
        impl Wide for $float {
            type As = f64;
            type Mean = f64;
            const ONE: f64 = 1.0;
            const CARRIES: bool = true;

            #[inline(always)]
            fn widen(self) -> f64 {
                self as f64
            }

            #[inline(always)]
            fn plus(a: f64, b: f64) -> f64 {
                a + b
            }

            #[inline(always)]
            fn times(a: f64, b: f64) -> f64 {
                a * b
            }

            fn divided(sum: f64, count: f64) -> f64 {
                sum / count
            }

            fn nan() -> Option<$float> {
                Some(<$float>::NAN)
            }

            #[inline(always)]
            fn plus_exactly(a: f64, b: f64) -> (f64, f64) {
                let sum = a + b;
                let lost = if a.abs() >= b.abs() { (a - sum) + b } else { (b - sum) + a };
                // Of infinities there is nothing to carry.
                (sum, if lost.is_finite() { lost } else { 0.0 })
            }

            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }

            #[inline(always)]
            fn is_nan(self) -> bool {
                self != self
            }

            #[inline(always)]
            fn beats(self, other: $float, largest: bool) -> bool {
                if largest { self > other } else { self < other }
            }
        }
    )+};
}

wide_floats! { f32 f64 }

macro_rules! wide_complex {
    ($($float:ty)+) => {$(
        impl Wide for Complex<$float> {
            type As = Complex<f64>;
            type Mean = Complex<f64>;
            const ONE: Complex<f64> = Complex::new(1.0, 0.0);
            const CARRIES: bool = false;

            #[inline(always)]
            fn widen(self) -> Complex<f64> {
                Complex::new(self.re as f64, self.im as f64)
            }

            #[inline(always)]
            fn plus(a: Complex<f64>, b: Complex<f64>) -> Complex<f64> {
                a + b
            }

            #[inline(always)]
            fn times(a: Complex<f64>, b: Complex<f64>) -> Complex<f64> {
                a * b
            }

            fn divided(sum: Complex<f64>, count: f64) -> Complex<f64> {
                sum / count
            }

            fn to_f64(self) -> f64 {
                self.re as f64
            }

            fn is_nan(self) -> bool {
                self.re.is_nan() || self.im.is_nan()
            }

            fn beats(self, _: Self, _: bool) -> bool {
                false
            }
        }
    )+};
}

wide_complex! { f32 f64 }
