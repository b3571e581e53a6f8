//! One number of any type.

use std::fmt;

use num_complex::Complex;

use crate::store::DType;

/// A number of any type, exactly.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    Bool(bool),
    Int(i64),
    Unsigned(u64),
    Float(f64),
    Complex(f64, f64),
}

/// Equal where the bits are.
impl PartialEq for Number {
    fn eq(&self, other: &Number) -> bool {
        self.bits() == other.bits()
    }
}

impl Eq for Number {}

impl std::hash::Hash for Number {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.bits().hash(state);
    }
}

impl Number {
    fn bits(&self) -> (u8, u64, u64) {
        match *self {
            Number::Bool(truth) => (0, u64::from(truth), 0),
            Number::Int(int) => (1, int.cast_unsigned(), 0),
            Number::Unsigned(int) => (2, int, 0),
            Number::Float(float) => (3, float.to_bits(), 0),
            Number::Complex(re, im) => (4, re.to_bits(), im.to_bits()),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Bool(truth) => write!(f, "{truth}"),
            Number::Int(int) => write!(f, "{int}"),
            Number::Unsigned(int) => write!(f, "{int}"),
            Number::Float(float) => write!(f, "{float:?}"),
            Number::Complex(re, im) => write!(f, "{}", Complex::new(*re, *im)),
        }
    }
}

/// What numbers of all types are made of, as `as` does it: floats are cut off and kept within bounds, integers wrap.
pub(crate) trait FromNumber: Sized {
    fn from_number(number: Number) -> Self;
}

macro_rules! from_number {
    ($($type:ty)+) => {$(
        impl FromNumber for $type {
            fn from_number(number: Number) -> $type {
                match number {
                    Number::Bool(truth) => u8::from(truth) as $type,
                    Number::Int(int) => int as $type,
                    Number::Unsigned(int) => int as $type,
                    Number::Float(float) | Number::Complex(float, _) => float as $type,
                }
            }
        }
    )+};
}

from_number! { i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 }

impl FromNumber for Complex<f32> {
    fn from_number(number: Number) -> Self {
        match number {
            Number::Complex(re, im) => Complex::new(re as f32, im as f32),
            real => Complex::new(f32::from_number(real), 0.0),
        }
    }
}

impl FromNumber for Complex<f64> {
    fn from_number(number: Number) -> Self {
        match number {
            Number::Complex(re, im) => Complex::new(re, im),
            real => Complex::new(f64::from_number(real), 0.0),
        }
    }
}

impl Number {
    /// Nothing, of a type.
    pub fn zero(of: DType) -> Number {
        Number::Int(0).cast(of)
    }

    /// As one of another type, as a cast of elements gives it.
    pub fn cast(self, to: DType) -> Number {
        match to {
            DType::Bool => Number::Bool(match self {
                Number::Bool(truth) => truth,
                Number::Int(int) => int != 0,
                Number::Unsigned(int) => int != 0,
                Number::Float(float) => float != 0.0,
                Number::Complex(re, im) => re != 0.0 || im != 0.0,
            }),
            DType::I8 => Number::Int(i64::from(i8::from_number(self))),
            DType::I16 => Number::Int(i64::from(i16::from_number(self))),
            DType::I32 => Number::Int(i64::from(i32::from_number(self))),
            DType::I64 => Number::Int(i64::from_number(self)),
            DType::U8 => Number::Unsigned(u64::from(u8::from_number(self))),
            DType::U16 => Number::Unsigned(u64::from(u16::from_number(self))),
            DType::U32 => Number::Unsigned(u64::from(u32::from_number(self))),
            DType::U64 => Number::Unsigned(u64::from_number(self)),
            DType::F32 => Number::Float(f64::from(f32::from_number(self))),
            DType::F64 => Number::Float(f64::from_number(self)),
            DType::C32 => {
                let cast = Complex::<f32>::from_number(self);
                Number::Complex(f64::from(cast.re), f64::from(cast.im))
            }
            DType::C64 => {
                let cast = Complex::<f64>::from_number(self);
                Number::Complex(cast.re, cast.im)
            }
        }
    }
}
