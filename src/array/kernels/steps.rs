//! Loops over tiles: each function for each type, written so that the compiler turns it into vector instructions, of the best set
//! that the processor has.

use num_complex::{Complex, ComplexFloat};
use pulp::{Arch, NullaryFnOnce};

use super::function::{Binary, Unary};
use super::math;
use super::number::FromNumber;
use super::program::MadeSlice;
use crate::store::Stored;

/// The loop over a tile. (Not a closure: that would be compiled for the instruction set only where it is small.)
struct Map<'a, T, U, F> {
    a: &'a [T],
    out: &'a mut [U],
    f: F,
}

impl<T: Copy, U, F: Fn(T) -> U> NullaryFnOnce for Map<'_, T, U, F> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (out, a) in self.out.iter_mut().zip(self.a) {
            *out = (self.f)(*a);
        }
    }
}

/// The loop over two tiles.
struct Zip<'a, T, V, U, F> {
    a: &'a [T],
    b: &'a [V],
    out: &'a mut [U],
    f: F,
}

impl<T: Copy, V: Copy, U, F: Fn(T, V) -> U> NullaryFnOnce for Zip<'_, T, V, U, F> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for ((out, a), b) in self.out.iter_mut().zip(self.a).zip(self.b) {
            *out = (self.f)(*a, *b);
        }
    }
}

/// Each element through a function.
pub(super) fn map<T: Copy, U>(a: &[T], out: &mut [U], f: impl Fn(T) -> U) {
    Arch::new().dispatch(Map { a, out, f });
}

/// Each pair of elements through a function.
pub(super) fn zip<T: Copy, V: Copy, U>(a: &[T], b: &[V], out: &mut [U], f: impl Fn(T, V) -> U) {
    Arch::new().dispatch(Zip { a, b, out, f });
}

/// What tiles are made of, and what can be done with it.
pub(crate) trait Lane: Stored + FromNumber + Through {
    /// Whether the function is there; `out` is of the same type.
    fn unary(f: Unary, a: &[Self], out: &mut [Self]) -> bool;

    /// A function whose results are truths.
    fn test(f: Unary, a: &[Self], out: &mut [u8]) -> bool;

    fn binary(f: Binary, a: &[Self], b: &[Self], out: &mut [Self]) -> bool;

    fn compare(f: Binary, a: &[Self], b: &[Self], out: &mut [u8]) -> bool;

    /// As a cast does it: real parts, floats cut off, integers wrapped.
    fn cast_to<U: Lane>(a: &[Self], out: &mut [U]);

    fn is_true(self) -> bool;

    fn is_negative_integer(self) -> bool {
        false
    }

    /// As a place for made numbers.
    fn made(out: &mut [Self]) -> MadeSlice<'_>;
}

/// The numbers on the way from one type to another.
pub(crate) trait Through: Copy {
    fn of_int(int: i64) -> Self;
    fn of_unsigned(int: u64) -> Self;
    fn of_f32(float: f32) -> Self;
    fn of_f64(float: f64) -> Self;
    fn of_complex(number: Complex<f64>) -> Self;
}

macro_rules! through {
    ($($type:ty)+) => {$(
        impl Through for $type {
            #[inline(always)]
            fn of_int(int: i64) -> $type {
                int as $type
            }

            #[inline(always)]
            fn of_unsigned(int: u64) -> $type {
                int as $type
            }

            #[inline(always)]
            fn of_f32(float: f32) -> $type {
                float as $type
            }

            #[inline(always)]
            fn of_f64(float: f64) -> $type {
                float as $type
            }

            #[inline(always)]
            fn of_complex(number: Complex<f64>) -> $type {
                number.re as $type
            }
        }
    )+};
}

through! { i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 }

macro_rules! complex_through {
    ($($float:ty)+) => {$(
        impl Through for Complex<$float> {
            fn of_int(int: i64) -> Self {
                Complex::new(int as $float, 0.0)
            }

            fn of_unsigned(int: u64) -> Self {
                Complex::new(int as $float, 0.0)
            }

            fn of_f32(float: f32) -> Self {
                Complex::new(float as $float, 0.0)
            }

            fn of_f64(float: f64) -> Self {
                Complex::new(float as $float, 0.0)
            }

            fn of_complex(number: Complex<f64>) -> Self {
                Complex::new(number.re as $float, number.im as $float)
            }
        }
    )+};
}

complex_through! { f32 f64 }

/// Compares by the operators that a type has.
macro_rules! comparisons {
    () => {
        fn compare(f: Binary, a: &[Self], b: &[Self], out: &mut [u8]) -> bool {
            match f {
                Binary::Eq => zip(a, b, out, |a, b| u8::from(a == b)),
                Binary::Ne => zip(a, b, out, |a, b| u8::from(a != b)),
                Binary::Lt => zip(a, b, out, |a, b| u8::from(a < b)),
                Binary::Le => zip(a, b, out, |a, b| u8::from(a <= b)),
                Binary::Gt => zip(a, b, out, |a, b| u8::from(a > b)),
                Binary::Ge => zip(a, b, out, |a, b| u8::from(a >= b)),
                _ => return false,
            }
            true
        }
    };
}

macro_rules! integer_lanes {
    ($($int:ident $through:ident $wide:ty, $made:ident, signed $signed:tt;)+) => {$(
        impl Lane for $int {
            fn unary(f: Unary, a: &[$int], out: &mut [$int]) -> bool {
                match f {
                    Unary::Neg => map(a, out, |a| a.wrapping_neg()),
                    Unary::Abs => integer_lanes!(@abs $signed, a, out),
                    Unary::Sign => integer_lanes!(@sign $signed, $int, a, out),
                    Unary::Square => map(a, out, |a| a.wrapping_mul(a)),
                    Unary::Not => map(a, out, |a| !a),
                    Unary::Floor | Unary::Ceil | Unary::Rint | Unary::Trunc | Unary::Conj | Unary::Re => {
                        out.copy_from_slice(a);
                    }
                    Unary::Im => out.fill(0),
                    _ => return false,
                }
                true
            }

            fn test(f: Unary, a: &[$int], out: &mut [u8]) -> bool {
                let _ = a;
                match f {
                    Unary::IsNan | Unary::IsInf => out.fill(0),
                    Unary::IsFinite => out.fill(1),
                    _ => return false,
                }
                true
            }

            fn binary(f: Binary, a: &[$int], b: &[$int], out: &mut [$int]) -> bool {
                match f {
                    Binary::Add => zip(a, b, out, |a, b| a.wrapping_add(b)),
                    Binary::Sub => zip(a, b, out, |a, b| a.wrapping_sub(b)),
                    Binary::Mul => zip(a, b, out, |a, b| a.wrapping_mul(b)),
                    Binary::FloorDiv => zip(a, b, out, |a, b| integer_lanes!(@floor_div $signed, a, b)),
                    Binary::Rem => zip(a, b, out, |a, b| integer_lanes!(@rem $signed, a, b)),
                    Binary::Fmod => zip(a, b, out, |a, b| if b == 0 { 0 } else { a.wrapping_rem(b) }),
                    Binary::Pow => zip(a, b, out, |a, b| power(a, b as u64, $int::wrapping_mul, 1)),
                    Binary::Maximum | Binary::Fmax => zip(a, b, out, |a, b| a.max(b)),
                    Binary::Minimum | Binary::Fmin => zip(a, b, out, |a, b| a.min(b)),
                    Binary::And => zip(a, b, out, |a, b| a & b),
                    Binary::Or => zip(a, b, out, |a, b| a | b),
                    Binary::Xor => zip(a, b, out, |a, b| a ^ b),
                    // Bits that are moved out are lost, however far.
                    Binary::Shl => zip(a, b, out, |a, b| if (b as u64) < u64::from($int::BITS) { a << b } else { 0 }),
                    Binary::Shr => zip(a, b, out, |a, b| {
                        let all = $int::BITS - 1;
                        if (b as u64) <= u64::from(all) { a >> b } else { (a >> all) >> integer_lanes!(@one $signed) }
                    }),
                    _ => return false,
                }
                true
            }

            comparisons!();

            fn cast_to<U: Lane>(a: &[$int], out: &mut [U]) {
                map(a, out, |a| U::$through(a as $wide));
            }

            #[inline(always)]
            fn is_true(self) -> bool {
                self != 0
            }

            #[allow(unused_comparisons)]
            fn is_negative_integer(self) -> bool {
                self < 0
            }

            fn made(out: &mut [$int]) -> MadeSlice<'_> {
                MadeSlice::$made(out)
            }
        }
    )+};
    (@one true) => { 0 };
    (@one false) => { 1 };
    (@abs true, $a:expr, $out:expr) => { map($a, $out, |a| a.wrapping_abs()) };
    (@abs false, $a:expr, $out:expr) => { $out.copy_from_slice($a) };
    (@sign true, $int:ident, $a:expr, $out:expr) => { map($a, $out, |a| a.signum()) };
    (@sign false, $int:ident, $a:expr, $out:expr) => { map($a, $out, |a| $int::from(a != 0)) };
    (@floor_div true, $a:expr, $b:expr) => {{
        let (a, b) = ($a, $b);
        if b == 0 {
            0
        } else {
            let down = a.wrapping_div(b);
            if a.wrapping_rem(b) != 0 && ((a < 0) != (b < 0)) { down.wrapping_sub(1) } else { down }
        }
    }};
    (@floor_div false, $a:expr, $b:expr) => { $a.checked_div($b).unwrap_or(0) };
    (@rem true, $a:expr, $b:expr) => {{
        let (a, b) = ($a, $b);
        if b == 0 {
            0
        } else {
            let rest = a.wrapping_rem(b);
            if rest != 0 && ((rest < 0) != (b < 0)) { rest + b } else { rest }
        }
    }};
    (@rem false, $a:expr, $b:expr) => { $a.checked_rem($b).unwrap_or(0) };
}

/// By squaring.
fn power<T: Copy>(base: T, mut exponent: u64, times: impl Fn(T, T) -> T, one: T) -> T {
    let (mut square, mut result) = (base, one);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = times(result, square);
        }
        square = times(square, square);
        exponent >>= 1;
    }
    result
}

integer_lanes! {
    i8 of_int i64, I8, signed true;
    i16 of_int i64, I16, signed true;
    i32 of_int i64, I32, signed true;
    i64 of_int i64, I64, signed true;
    u8 of_unsigned u64, U8, signed false;
    u16 of_unsigned u64, U16, signed false;
    u32 of_unsigned u64, U32, signed false;
    u64 of_unsigned u64, U64, signed false;
}

macro_rules! float_lanes {
    ($($float:ident $through:ident $made:ident;)+) => {$(
        impl Lane for $float {
            fn unary(f: Unary, a: &[$float], out: &mut [$float]) -> bool {
                match f {
                    Unary::Neg => map(a, out, |a| -a),
                    Unary::Abs => map(a, out, |a| a.abs()),
                    Unary::Sign => map(a, out, |a| if a > 0.0 { 1.0 } else if a < 0.0 { -1.0 } else if a == 0.0 { 0.0 } else { a }),
                    Unary::Square => map(a, out, |a| a * a),
                    Unary::Reciprocal => map(a, out, |a| 1.0 / a),
                    Unary::Floor => map(a, out, |a| a.floor()),
                    Unary::Ceil => map(a, out, |a| a.ceil()),
                    Unary::Rint => map(a, out, |a| a.round_ties_even()),
                    Unary::Trunc => map(a, out, |a| a.trunc()),
                    Unary::Conj | Unary::Re => out.copy_from_slice(a),
                    Unary::Im => out.fill(0.0),
                    f => return math::unary(f, a, out),
                }
                true
            }

            fn test(f: Unary, a: &[$float], out: &mut [u8]) -> bool {
                match f {
                    Unary::IsNan => map(a, out, |a| u8::from(a.is_nan())),
                    Unary::IsInf => map(a, out, |a| u8::from(a.is_infinite())),
                    Unary::IsFinite => map(a, out, |a| u8::from(a.is_finite())),
                    _ => return false,
                }
                true
            }

            fn binary(f: Binary, a: &[$float], b: &[$float], out: &mut [$float]) -> bool {
                match f {
                    Binary::Add => zip(a, b, out, |a, b| a + b),
                    Binary::Sub => zip(a, b, out, |a, b| a - b),
                    Binary::Mul => zip(a, b, out, |a, b| a * b),
                    Binary::Div => zip(a, b, out, |a, b| a / b),
                    // As Python has it: what is left has the sign of the divisor, and is exact; the quotient belongs to it.
                    Binary::FloorDiv => zip(a, b, out, |a, b| {
                        let rest = a % b;
                        if b == 0.0 || rest.is_nan() {
                            return if b == 0.0 { a / b } else { rest };
                        }
                        let below = rest != 0.0 && ((rest < 0.0) != (b < 0.0));
                        let quotient = (a - rest) / b - if below { 1.0 } else { 0.0 };
                        let whole = quotient.floor();
                        match quotient == 0.0 {
                            true => (0.0 as $float).copysign(a / b),
                            false => if quotient - whole > 0.5 { whole + 1.0 } else { whole },
                        }
                    }),
                    Binary::Rem => zip(a, b, out, |a, b| {
                        let rest = a % b;
                        match rest == 0.0 {
                            true => rest.copysign(b),
                            false => if (rest < 0.0) != (b < 0.0) { rest + b } else { rest },
                        }
                    }),
                    Binary::Fmod => zip(a, b, out, |a, b| a % b),
                    Binary::Maximum => zip(a, b, out, |a, b| if a >= b || a.is_nan() { a } else { b }),
                    Binary::Minimum => zip(a, b, out, |a, b| if a <= b || a.is_nan() { a } else { b }),
                    Binary::Fmax => zip(a, b, out, |a, b| a.max(b)),
                    Binary::Fmin => zip(a, b, out, |a, b| a.min(b)),
                    Binary::Copysign => zip(a, b, out, |a, b| a.copysign(b)),
                    f => return math::binary(f, a, b, out),
                }
                true
            }

            comparisons!();

            fn cast_to<U: Lane>(a: &[$float], out: &mut [U]) {
                map(a, out, |a| U::$through(a));
            }

            #[inline(always)]
            fn is_true(self) -> bool {
                self != 0.0
            }

            fn made(out: &mut [$float]) -> MadeSlice<'_> {
                MadeSlice::$made(out)
            }
        }
    )+};
}

float_lanes! { f32 of_f32 F32; f64 of_f64 F64; }

macro_rules! complex_lanes {
    ($($float:ident $made:ident)+) => {$(
        impl Lane for Complex<$float> {
            fn unary(f: Unary, a: &[Self], out: &mut [Self]) -> bool {
                match f {
                    Unary::Neg => map(a, out, |a| -a),
                    Unary::Square => map(a, out, |a| a * a),
                    Unary::Reciprocal => map(a, out, |a| a.inv()),
                    Unary::Sqrt => map(a, out, |a| a.sqrt()),
                    Unary::Exp => map(a, out, |a| a.exp()),
                    Unary::Ln => map(a, out, |a| a.ln()),
                    Unary::Log2 => map(a, out, |a| ComplexFloat::log2(a)),
                    Unary::Log10 => map(a, out, |a| ComplexFloat::log10(a)),
                    Unary::Sin => map(a, out, |a| a.sin()),
                    Unary::Cos => map(a, out, |a| a.cos()),
                    Unary::Tan => map(a, out, |a| a.tan()),
                    Unary::Asin => map(a, out, |a| a.asin()),
                    Unary::Acos => map(a, out, |a| a.acos()),
                    Unary::Atan => map(a, out, |a| a.atan()),
                    Unary::Sinh => map(a, out, |a| a.sinh()),
                    Unary::Cosh => map(a, out, |a| a.cosh()),
                    Unary::Tanh => map(a, out, |a| a.tanh()),
                    Unary::Asinh => map(a, out, |a| a.asinh()),
                    Unary::Acosh => map(a, out, |a| a.acosh()),
                    Unary::Atanh => map(a, out, |a| a.atanh()),
                    Unary::Conj => map(a, out, |a| a.conj()),
                    _ => return false,
                }
                true
            }

            fn test(f: Unary, a: &[Self], out: &mut [u8]) -> bool {
                match f {
                    Unary::IsNan => map(a, out, |a| u8::from(a.is_nan())),
                    Unary::IsInf => map(a, out, |a| u8::from(!a.is_nan() && a.is_infinite())),
                    Unary::IsFinite => map(a, out, |a| u8::from(a.is_finite())),
                    _ => return false,
                }
                true
            }

            fn binary(f: Binary, a: &[Self], b: &[Self], out: &mut [Self]) -> bool {
                match f {
                    Binary::Add => zip(a, b, out, |a, b| a + b),
                    Binary::Sub => zip(a, b, out, |a, b| a - b),
                    Binary::Mul => zip(a, b, out, |a, b| a * b),
                    Binary::Div => zip(a, b, out, |a, b| a / b),
                    Binary::Pow => zip(a, b, out, |a, b| a.powc(b)),
                    _ => return false,
                }
                true
            }

            fn compare(f: Binary, a: &[Self], b: &[Self], out: &mut [u8]) -> bool {
                match f {
                    Binary::Eq => zip(a, b, out, |a, b| u8::from(a == b)),
                    Binary::Ne => zip(a, b, out, |a, b| u8::from(a != b)),
                    _ => return false,
                }
                true
            }

            fn cast_to<U: Lane>(a: &[Self], out: &mut [U]) {
                map(a, out, |a| U::of_complex(Complex::new(f64::from(a.re), f64::from(a.im))));
            }

            #[inline(always)]
            fn is_true(self) -> bool {
                self.re != 0.0 || self.im != 0.0
            }

            fn made(out: &mut [Self]) -> MadeSlice<'_> {
                MadeSlice::$made(out)
            }
        }
    )+};
}

complex_lanes! { f32 C32 f64 C64 }

/// Truths: what is more than arithmetic with bytes.
pub(super) fn bool_unary(f: Unary, a: &[u8], out: &mut [u8]) -> bool {
    match f {
        Unary::Not => map(a, out, |a| a ^ 1),
        Unary::IsNan | Unary::IsInf => out.fill(0),
        Unary::IsFinite => out.fill(1),
        Unary::Abs
        | Unary::Square
        | Unary::Conj
        | Unary::Re
        | Unary::Floor
        | Unary::Ceil
        | Unary::Rint
        | Unary::Trunc => out.copy_from_slice(a),
        _ => return false,
    }
    true
}

pub(super) fn bool_binary(f: Binary, a: &[u8], b: &[u8], out: &mut [u8]) -> bool {
    match f {
        Binary::Add | Binary::Or | Binary::Maximum | Binary::Fmax => zip(a, b, out, |a, b| a | b),
        Binary::Mul | Binary::And | Binary::Minimum | Binary::Fmin => zip(a, b, out, |a, b| a & b),
        Binary::Xor => zip(a, b, out, |a, b| a ^ b),
        f => return u8::compare(f, a, b, out),
    }
    true
}
