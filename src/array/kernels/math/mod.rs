//! Functions of numbers, for whole tiles at a time.
//!
//! Each function is a straight line of additions, multiplications and choices without a branch, inlined into a loop over the
//! tile, and the loop is compiled for AVX-512, for AVX2 and for the least common instruction set; which one runs is found out
//! when the program runs (`tile.rs`). No fused multiply-add is used, so all of them give the same bits. Where a method is
//! not good for an argument (sines of huge numbers, powers near the ends of the range), the elements concerned are computed
//! again, by the same method in full or by `std`, whose last bit depends on the system.
//!
//! Single precision has polynomials of its own for the commonest functions (`single.rs`); the others are computed in double
//! precision and rounded once.
//!
//! # Errors
//!
//! The largest ones found, in units in the last place, over 3 million arguments each (a fifth of them random bits, the others in the
//! ranges where the method changes; multiples of quarter turns for the circular functions), against functions of 64 bits of
//! mantissa. Beside it those of the C library on the same arguments (glibc 2.36; `std` calls it but for the three inverse hyperbolic
//! functions, where `std` loses many more digits). Single precision: against `std` in double precision, over every 61st number.
//!
//! | function | double | C library | single |
//! |---|---|---|---|
//! | exp | 0.93 | 0.51 | 0.98 |
//! | exp2 | 0.98 | 0.51 | 1.19 |
//! | expm1 | 1.10 | 0.86 | 0.51 |
//! | ln | 0.82 | 0.52 | 0.84 |
//! | log2 | 0.81 | 0.55 | 1.40 |
//! | log10 | 0.72 | 1.60 | 1.73 |
//! | ln_1p | 0.84 | 0.82 | 0.51 |
//! | sin | 0.78 | 0.52 | 1.53 |
//! | cos | 0.77 | 0.52 | 1.50 |
//! | tan | 1.74 | 0.69 | 0.51 |
//! | asin | 0.89 | 0.52 | 0.51 |
//! | acos | 0.90 | 0.52 | 0.51 |
//! | atan | 0.85 | 0.52 | 0.51 |
//! | sinh | 0.84 | 1.83 | 0.51 |
//! | cosh | 0.88 | 1.78 | 0.51 |
//! | tanh | 1.33 | 2.15 | 0.51 |
//! | asinh | 1.63 | 1.63 | 0.51 |
//! | acosh | 2.09 | 2.09 | 0.51 |
//! | atanh | 1.68 | 1.68 | 0.51 |
//! | cbrt | 0.67 | 3.32 | 0.51 |
//! | sqrt | 0.50 | 0.50 | 0.50 |
//! | pow | 0.66 | 0.51 | 0.51 |
//! | atan2 | 1.46 | 0.52 | 0.51 |
//! | hypot | 1.17 | 0.57 | 0.51 |

mod arc;
mod exp;
mod float;
mod log;
mod pow;
mod single;
mod tile;
mod trig;

#[cfg(test)]
mod tests;

pub(super) use log::ln as ln_lane;
pub(super) use trig::sin_turns;

pub(in crate::array::kernels) use tile::Number;
use tile::{One, Two, one, two};

use super::function::{Binary, Unary};

/// A type of no size for each function, to choose the loop by.
macro_rules! functions {
    ($($name:ident = $fast:path $(, unless $easy:path, $slow:path)? $(, single $own:path, unless $own_easy:path, $own_slow:path)?;)+) => {$(
        struct $name;

        impl One for $name {
            #[inline(always)]
            fn fast(x: f64) -> f64 {
                $fast(x)
            }
            $(
                #[inline(always)]
                fn easy(x: f64) -> bool {
                    $easy(x)
                }

                #[inline(always)]
                fn slow(x: f64) -> f64 {
                    $slow(x)
                }
            )?
            $(
                #[inline(always)]
                fn fast_f32(x: f32) -> f32 {
                    $own(x)
                }

                #[inline(always)]
                fn easy_f32(x: f32) -> bool {
                    $own_easy(x)
                }

                #[inline(always)]
                fn slow_f32(x: f32) -> f32 {
                    $own_slow(x)
                }
            )?
        }
    )+};
}

/// The same for pairs.
macro_rules! functions_of_two {
    ($($name:ident = $fast:path $(, unless $easy:path, $slow:path)? $(, single $own:path, unless $own_easy:path, $own_slow:path)?;)+) => {$(
        struct $name;

        impl Two for $name {
            #[inline(always)]
            fn fast(x: f64, y: f64) -> f64 {
                $fast(x, y)
            }
            $(
                #[inline(always)]
                fn easy(x: f64, y: f64) -> bool {
                    $easy(x, y)
                }

                #[inline(always)]
                fn slow(x: f64, y: f64) -> f64 {
                    $slow(x, y)
                }
            )?
            $(
                #[inline(always)]
                fn fast_f32(x: f32, y: f32) -> f32 {
                    $own(x, y)
                }

                #[inline(always)]
                fn easy_f32(x: f32, y: f32) -> bool {
                    $own_easy(x, y)
                }

                #[inline(always)]
                fn slow_f32(x: f32, y: f32) -> f32 {
                    $own_slow(x, y)
                }
            )?
        }
    )+};
}

functions! {
    Exp = exp::exp, unless exp::easy, exp::exp_full, single single::exp, unless single::easy_exp, single::exp_full;
    Exp2 = exp::exp2, unless exp::easy2, exp::exp2_full, single single::exp2, unless single::easy_exp2, single::exp2_full;
    ExpM1 = exp::expm1;
    Ln = log::ln, unless log::easy, log::ln_full, single single::ln, unless single::easy_ln, single::ln_full;
    Log2 = log::log2, unless log::easy, log::log2_full, single single::log2, unless single::easy_ln, single::log2_full;
    Log10 = log::log10, unless log::easy, log::log10_full, single single::log10, unless single::easy_ln, single::log10_full;
    Ln1p = log::ln_1p;
    Sin = trig::sin, unless trig::easy, f64::sin, single single::sin, unless single::easy_sin, single::sin_full;
    Cos = trig::cos, unless trig::easy, f64::cos, single single::cos, unless single::easy_sin, single::cos_full;
    Tan = trig::tan, unless trig::easy, f64::tan;
    Asin = arc::asin;
    Acos = arc::acos;
    Atan = arc::atan;
    Sinh = exp::sinh;
    Cosh = exp::cosh;
    Tanh = exp::tanh;
    Asinh = log::asinh;
    Acosh = log::acosh;
    Atanh = log::atanh;
    Cbrt = pow::cbrt;
    Sqrt = f64::sqrt;
}

functions_of_two! {
    Pow = pow::pow, unless pow::easy, f64::powf, single single::pow, unless single::easy_pow, single::pow_full;
    Atan2 = arc::atan2, unless arc::easy_atan2, f64::atan2;
    Hypot = pow::hypot, single single::hypot, unless single::any_pair, single::hypot;
}

/// Writes the function of each number; whether it is one of those here.
pub(super) fn unary<T: Number>(f: Unary, x: &[T], out: &mut [T]) -> bool {
    match f {
        Unary::Exp => one(Exp, x, out),
        Unary::Exp2 => one(Exp2, x, out),
        Unary::ExpM1 => one(ExpM1, x, out),
        Unary::Ln => one(Ln, x, out),
        Unary::Log2 => one(Log2, x, out),
        Unary::Log10 => one(Log10, x, out),
        Unary::Ln1p => one(Ln1p, x, out),
        Unary::Sin => one(Sin, x, out),
        Unary::Cos => one(Cos, x, out),
        Unary::Tan => one(Tan, x, out),
        Unary::Asin => one(Asin, x, out),
        Unary::Acos => one(Acos, x, out),
        Unary::Atan => one(Atan, x, out),
        Unary::Sinh => one(Sinh, x, out),
        Unary::Cosh => one(Cosh, x, out),
        Unary::Tanh => one(Tanh, x, out),
        Unary::Asinh => one(Asinh, x, out),
        Unary::Acosh => one(Acosh, x, out),
        Unary::Atanh => one(Atanh, x, out),
        Unary::Cbrt => one(Cbrt, x, out),
        Unary::Sqrt => one(Sqrt, x, out),
        _ => return false,
    }
    true
}

/// Writes the function of each pair of numbers; whether it is one of those here.
pub(super) fn binary<T: Number>(f: Binary, x: &[T], y: &[T], out: &mut [T]) -> bool {
    match f {
        Binary::Pow => two(Pow, x, y, out),
        Binary::Atan2 => two(Atan2, x, y, out),
        Binary::Hypot => two(Hypot, x, y, out),
        _ => return false,
    }
    true
}
