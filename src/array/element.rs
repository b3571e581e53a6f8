//! What arrays hold, and how types mix.

use std::fmt::Debug;

use ndarray::ArcArray1;
use num_complex::Complex;

use super::kernels::Number;
use crate::error::{Error, Result};
use crate::store::{Block, DType, Stored};

/// An element of an array: a number or a truth. It cannot be implemented elsewhere.
pub trait Element: Copy + Default + PartialEq + Debug + Send + Sync + 'static + sealed::Sealed {
    /// The type as a value.
    const DTYPE: DType;
}

/// What the library does with elements and users do not see.
pub(crate) mod sealed {
    use super::*;

    pub trait Sealed: Sized {
        /// How it lies in blocks.
        type Stored: Stored;

        fn to_stored(self) -> Self::Stored;

        fn of_stored(stored: Self::Stored) -> Self;

        fn number(self) -> Number;

        /// What lies in blocks, as elements.
        ///
        /// # Errors
        /// Of kind `Internal`, where it is none.
        fn slice(stored: &[Self::Stored]) -> Result<&[Self]>;

        /// Copies what lies in blocks.
        fn copy(from: &[Self::Stored], to: &mut [Self]);

        /// A vector as a block; without a copy where the element lies there as it is.
        fn block(values: Vec<Self>) -> Block<Self::Stored>;

        /// As [`Sealed::block`], of what others may hold, too.
        fn shared(values: ArcArray1<Self>) -> Block<Self::Stored>;
    }
}

macro_rules! elements {
    ($($type:ty: $dtype:ident, $number:ident as $wide:ty;)+) => {$(
        impl Element for $type {
            const DTYPE: DType = DType::$dtype;
        }

        impl sealed::Sealed for $type {
            type Stored = $type;

            fn to_stored(self) -> $type {
                self
            }

            fn of_stored(stored: $type) -> $type {
                stored
            }

            fn number(self) -> Number {
                Number::$number(<$wide>::from(self))
            }

            fn slice(stored: &[$type]) -> Result<&[$type]> {
                Ok(stored)
            }

            fn copy(from: &[$type], to: &mut [$type]) {
                to.copy_from_slice(from);
            }

            fn block(values: Vec<$type>) -> Block<$type> {
                Block::from_vec(values)
            }

            fn shared(values: ArcArray1<$type>) -> Block<$type> {
                Block::from_shared(values)
            }
        }
    )+};
}

elements! {
    i8: I8, Int as i64;
    i16: I16, Int as i64;
    i32: I32, Int as i64;
    i64: I64, Int as i64;
    u8: U8, Unsigned as u64;
    u16: U16, Unsigned as u64;
    u32: U32, Unsigned as u64;
    u64: U64, Unsigned as u64;
    f32: F32, Float as f64;
    f64: F64, Float as f64;
}

impl Element for bool {
    const DTYPE: DType = DType::Bool;
}

impl sealed::Sealed for bool {
    type Stored = u8;

    fn to_stored(self) -> u8 {
        u8::from(self)
    }

    fn of_stored(stored: u8) -> bool {
        stored != 0
    }

    fn number(self) -> Number {
        Number::Bool(self)
    }

    fn slice(stored: &[u8]) -> Result<&[bool]> {
        bytemuck::checked::try_cast_slice(stored).map_err(|error| Error::internal(format!("truths: {error}")))
    }

    fn copy(from: &[u8], to: &mut [bool]) {
        to.iter_mut().zip(from).for_each(|(to, from)| *to = *from != 0);
    }

    fn block(values: Vec<bool>) -> Block<u8> {
        values.into_iter().map(u8::from).collect::<Vec<u8>>().into()
    }

    fn shared(values: ArcArray1<bool>) -> Block<u8> {
        values.iter().map(|value| u8::from(*value)).collect::<Vec<u8>>().into()
    }
}

macro_rules! complex {
    ($($float:ty: $dtype:ident;)+) => {$(
        impl Element for Complex<$float> {
            const DTYPE: DType = DType::$dtype;
        }

        impl sealed::Sealed for Complex<$float> {
            type Stored = Complex<$float>;

            fn to_stored(self) -> Self {
                self
            }

            fn of_stored(stored: Self) -> Self {
                stored
            }

            fn number(self) -> Number {
                Number::Complex(f64::from(self.re), f64::from(self.im))
            }

            fn slice(stored: &[Self]) -> Result<&[Self]> {
                Ok(stored)
            }

            fn copy(from: &[Self], to: &mut [Self]) {
                to.copy_from_slice(from);
            }

            fn block(values: Vec<Self>) -> Block<Self> {
                Block::from_vec(values)
            }

            fn shared(values: ArcArray1<Self>) -> Block<Self> {
                Block::from_shared(values)
            }
        }
    )+};
}

complex! { f32: C32; f64: C64; }

/// The real type that belongs to an element: of integers and truths a float.
pub trait Real: Element {
    /// Of roots, means and the like: integers become `f64`.
    type Float: Element;
    /// Of absolute values: of complex numbers the float they are made of.
    type Abs: Element;
    /// Of sums: integers of any size become 64 bits.
    type Sum: Element;
    /// Of deviations: a real float.
    type Deviation: Element;
}

macro_rules! real {
    ($($type:ty: $float:ty, $abs:ty, $sum:ty, $deviation:ty;)+) => {$(
        impl Real for $type {
            type Float = $float;
            type Abs = $abs;
            type Sum = $sum;
            type Deviation = $deviation;
        }
    )+};
}

real! {
    bool: f64, bool, i64, f64;
    i8: f64, i8, i64, f64;
    i16: f64, i16, i64, f64;
    i32: f64, i32, i64, f64;
    i64: f64, i64, i64, f64;
    u8: f64, u8, u64, f64;
    u16: f64, u16, u64, f64;
    u32: f64, u32, u64, f64;
    u64: f64, u64, u64, f64;
    f32: f32, f32, f32, f32;
    f64: f64, f64, f64, f64;
    Complex<f32>: Complex<f32>, f32, Complex<f32>, f32;
    Complex<f64>: Complex<f64>, f64, Complex<f64>, f64;
}
