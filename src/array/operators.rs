//! Operators between arrays, numbers and references to arrays; comparisons; choices.

use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Not, Rem, Shl, Shr, Sub};

use ndarray::{DimMax, Dimension, Ix0};
use num_complex::Complex;

use super::Array;
use super::element::{Element, Real};
use super::kernels::{Binary, Number, Unary};
use super::plan::{Blocks, Op, broadcast_cuts};
use super::promote::Promote;
use crate::error::{Error, ErrorKind, Result, Role};
use crate::origin::Origin;
use crate::store::DType;

/// The array as another type; itself where it is of that type.
pub(super) fn cast(blocks: &Blocks, to: DType, verb: &'static str, origin: Origin) -> Result<Blocks> {
    if blocks.dtype == to {
        return Ok(blocks.clone());
    }
    Blocks::new(Op::Cast, &[blocks], to, blocks.cuts.clone(), verb, origin)
}

pub(super) fn unary(a: &Blocks, f: Unary, verb: &'static str, origin: Origin) -> Result<Blocks> {
    let to = f.output(a.dtype).ok_or_else(|| undefined(verb, a.dtype))?;
    Blocks::new(Op::Unary(f), &[a], to, a.cuts.clone(), verb, origin)
}

/// Of two arrays as one type.
pub(super) fn binary(
    a: &Blocks,
    b: &Blocks,
    f: Binary,
    of: DType,
    verb: &'static str,
    origin: Origin,
) -> Result<Blocks> {
    let to = f.output(of).ok_or_else(|| undefined(verb, of))?;
    if to == DType::Bool && a.dtype != b.dtype && of == DType::F64 {
        // No type holds all numbers of both.
        match (a.dtype, b.dtype) {
            (signed, DType::U64) if signed.is_signed_integer() => return compared(a, b, f, verb, origin),
            (DType::U64, signed) if signed.is_signed_integer() => return compared(b, a, f.turned(), verb, origin),
            _ => {}
        }
    }
    let cuts = broadcast_cuts(a, b)?;
    let (a, b) = (cast(a, of, verb, origin)?, cast(b, of, verb, origin)?);
    Blocks::new(Op::Binary(f), &[&a, &b], to, cuts, verb, origin)
}

/// A signed integer beside one that is not: as such integers, but where it is below all of them.
fn compared(signed: &Blocks, other: &Blocks, f: Binary, verb: &'static str, origin: Origin) -> Result<Blocks> {
    let zero = Blocks::new(Op::Full(Number::zero(signed.dtype)), &[], signed.dtype, Vec::new(), verb, origin)?;
    let as_other = binary(&cast(signed, DType::U64, verb, origin)?, other, f, DType::U64, verb, origin)?;
    let (below, both) = match f {
        Binary::Lt | Binary::Le | Binary::Ne => (Binary::Lt, Binary::Or),
        _ => (Binary::Ge, Binary::And),
    };
    let sign = binary(signed, &zero, below, signed.dtype, verb, origin)?;
    binary(&sign, &as_other, both, DType::Bool, verb, origin)
}

fn undefined(verb: &str, of: DType) -> Error {
    Error::new(ErrorKind::Plan, format!("`{verb}` is not defined for {of}: cast to another type"))
}

/// One number as an array without axes.
pub(super) fn scalar<A: Element>(value: A, origin: Origin) -> Result<Blocks> {
    Blocks::new(Op::Full(value.number()), &[], A::DTYPE, Vec::new(), "number", origin)
}

/// What can stand beside an array of `A` in a function of two: another array, or a number of the type `A` itself.
pub trait Operand<A, D> {
    /// The type of its elements.
    type Elem: Element;
    /// Its axes.
    type Dim: Dimension;

    #[doc(hidden)]
    fn operand(&self, origin: Origin) -> Operated;
}

/// What can be chosen by an array of truths: an array, or a number of any type.
pub trait Choice<D> {
    /// The type of its elements.
    type Elem: Element;
    /// Its axes.
    type Dim: Dimension;

    #[doc(hidden)]
    fn choice(&self, origin: Origin) -> Operated;
}

/// What an operand is in a plan.
#[doc(hidden)]
pub struct Operated(pub(super) Result<Blocks>);

macro_rules! array_operands {
    ($($array:ty)+) => {$(
        impl<A: Element, D: Dimension, B, E> Operand<B, E> for $array {
            type Elem = A;
            type Dim = D;

            fn operand(&self, _: Origin) -> Operated {
                Operated(self.planned().cloned())
            }
        }

        impl<A: Element, D: Dimension, E> Choice<E> for $array {
            type Elem = A;
            type Dim = D;

            fn choice(&self, _: Origin) -> Operated {
                Operated(self.planned().cloned())
            }
        }
    )+};
}

array_operands! { Array<A, D> &Array<A, D> }

impl<A: Element, E> Operand<A, E> for A {
    type Elem = A;
    type Dim = Ix0;

    fn operand(&self, origin: Origin) -> Operated {
        Operated(scalar(*self, origin))
    }
}

impl<A: Element, E> Choice<E> for A {
    type Elem = A;
    type Dim = Ix0;

    fn choice(&self, origin: Origin) -> Operated {
        Operated(scalar(*self, origin))
    }
}

/// A function of an array and something beside it.
pub(super) fn with<A: Element, D, B: Operand<A, D>, R, S>(
    a: &Array<A, D>,
    b: &B,
    f: Binary,
    of: DType,
    verb: &'static str,
    origin: Origin,
) -> Array<R, S> {
    let made = || binary(a.planned()?, &b.operand(origin).0?, f, of, verb, origin);
    Array::of(made().map_err(|error| error.frame(Role::In, verb, origin)))
}

type Wider<D, E> = <D as DimMax<E>>::Output;
type Mixed<A, B> = <A as Promote<B>>::Output;

/// What is chosen from two by truths.
type Chosen<D, B, C> = Array<
    Mixed<<B as Choice<D>>::Elem, <C as Choice<D>>::Elem>,
    Wider<Wider<D, <B as Choice<D>>::Dim>, <C as Choice<D>>::Dim>,
>;

macro_rules! operators {
    ($($trait:ident $method:ident $f:ident $output:ident $verb:literal;)+) => {$(
        operators!(@arrays $trait $method $f $output $verb, Array<A, D>, Array<B, E>);
        operators!(@arrays $trait $method $f $output $verb, Array<A, D>, &Array<B, E>);
        operators!(@arrays $trait $method $f $output $verb, &Array<A, D>, Array<B, E>);
        operators!(@arrays $trait $method $f $output $verb, &Array<A, D>, &Array<B, E>);
        operators!(@number $trait $method $f $output $verb, Array<A, D>);
        operators!(@number $trait $method $f $output $verb, &Array<A, D>);
        operators!(@from $trait $method $f $output $verb, i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 Complex<f32> Complex<f64>);
    )+};
    (@arrays $trait:ident $method:ident $f:ident $output:ident $verb:literal, $a:ty, $b:ty) => {
        impl<A: Promote<B>, B: Element, D: DimMax<E> + Dimension, E: Dimension> $trait<$b> for $a {
            type Output = Array<<A as Promote<B>>::$output, Wider<D, E>>;

            #[track_caller]
            fn $method(self, other: $b) -> Self::Output {
                let of = <A as Promote<B>>::$output::DTYPE;
                with::<A, D, _, _, _>(&self, &other, Binary::$f, of, $verb, Origin::caller())
            }
        }
    };
    (@number $trait:ident $method:ident $f:ident $output:ident $verb:literal, $a:ty) => {
        impl<A: Promote<A>, D: Dimension> $trait<A> for $a {
            type Output = Array<<A as Promote<A>>::$output, D>;

            #[track_caller]
            fn $method(self, other: A) -> Self::Output {
                let (of, origin) = (<A as Promote<A>>::$output::DTYPE, Origin::caller());
                let made = || binary(self.planned()?, &scalar(other, origin)?, Binary::$f, of, $verb, origin);
                Array::of(made().map_err(|error| error.frame(Role::In, $verb, origin)))
            }
        }
    };
    (@from $trait:ident $method:ident $f:ident $output:ident $verb:literal, $($number:ty)+) => {$(
        impl<D: Dimension> $trait<&Array<$number, D>> for $number {
            type Output = Array<<$number as Promote<$number>>::$output, D>;

            #[track_caller]
            fn $method(self, array: &Array<$number, D>) -> Self::Output {
                let (of, origin) = (<$number as Promote<$number>>::$output::DTYPE, Origin::caller());
                let made = || binary(&scalar(self, origin)?, array.planned()?, Binary::$f, of, $verb, origin);
                Array::of(made().map_err(|error| error.frame(Role::In, $verb, origin)))
            }
        }

        impl<D: Dimension> $trait<Array<$number, D>> for $number {
            type Output = Array<<$number as Promote<$number>>::$output, D>;

            #[track_caller]
            fn $method(self, array: Array<$number, D>) -> Self::Output {
                self.$method(&array)
            }
        }
    )+};
}

operators! {
    Add add Add Output "+";
    Sub sub Sub Output "-";
    Mul mul Mul Output "*";
    Div div Div Quotient "/";
    Rem rem Rem Output "%";
}

macro_rules! bit_operators {
    ($($trait:ident $method:ident $f:ident $verb:literal;)+) => {$(
        bit_operators!(@ $trait $method $f $verb, Array<A, D>, Array<B, E>);
        bit_operators!(@ $trait $method $f $verb, Array<A, D>, &Array<B, E>);
        bit_operators!(@ $trait $method $f $verb, &Array<A, D>, Array<B, E>);
        bit_operators!(@ $trait $method $f $verb, &Array<A, D>, &Array<B, E>);
        operators!(@number $trait $method $f Output $verb, Array<A, D>);
        operators!(@number $trait $method $f Output $verb, &Array<A, D>);
    )+};
    (@ $trait:ident $method:ident $f:ident $verb:literal, $a:ty, $b:ty) => {
        operators!(@arrays $trait $method $f Output $verb, $a, $b);
    };
}

bit_operators! {
    BitAnd bitand And "&";
    BitOr bitor Or "|";
    BitXor bitxor Xor "^";
    Shl shl Shl "<<";
    Shr shr Shr ">>";
}

macro_rules! unary_operators {
    ($($trait:ident $method:ident $f:ident $verb:literal;)+) => {$(
        impl<A: Element, D> $trait for &Array<A, D> {
            type Output = Array<A, D>;

            #[track_caller]
            fn $method(self) -> Array<A, D> {
                self.function(Unary::$f, $verb, Origin::caller())
            }
        }

        impl<A: Element, D> $trait for Array<A, D> {
            type Output = Array<A, D>;

            #[track_caller]
            fn $method(self) -> Array<A, D> {
                self.function(Unary::$f, $verb, Origin::caller())
            }
        }
    )+};
}

unary_operators! {
    Neg neg Neg "-";
    Not not Not "!";
}

impl<A: Element, D> Array<A, D> {
    /// A function of each element.
    pub(super) fn function<R, S>(&self, f: Unary, verb: &'static str, origin: Origin) -> Array<R, S> {
        let made = self.planned().and_then(|blocks| unary(blocks, f, verb, origin));
        Array::of(made.map_err(|error| error.frame(Role::In, verb, origin)))
    }

    /// As another type: integers wrap, floats are cut off and kept within bounds, complex numbers lose their imaginary part, what is
    /// not 0 is true.
    #[track_caller]
    pub fn cast<B: Element>(&self) -> Array<B, D> {
        let origin = Origin::caller();
        Array::of(self.planned().and_then(|blocks| cast(blocks, B::DTYPE, "cast", origin)))
    }
}

macro_rules! comparisons {
    ($($(#[$doc:meta])* $method:ident $f:ident;)+) => {
        impl<A: Element, D: Dimension> Array<A, D> {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $method<B: Operand<A, D>>(&self, other: B) -> Array<bool, Wider<D, B::Dim>>
            where
                A: Promote<B::Elem>,
                D: DimMax<B::Dim>,
            {
                let of = Mixed::<A, B::Elem>::DTYPE;
                with(self, &other, Binary::$f, of, stringify!($method), Origin::caller())
            }
        )+}
    };
}

comparisons! {
    /// Whether elements are equal; NaN is not equal to itself.
    eq Eq;
    /// Whether elements differ.
    ne Ne;
    /// Whether elements are less.
    lt Lt;
    /// Whether elements are less or equal.
    le Le;
    /// Whether elements are greater.
    gt Gt;
    /// Whether elements are greater or equal.
    ge Ge;
}

macro_rules! functions_of_two {
    ($($(#[$doc:meta])* $method:ident $f:ident;)+) => {
        impl<A: Element, D: Dimension> Array<A, D> {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $method<B: Operand<A, D>>(&self, other: B) -> Array<Mixed<A, B::Elem>, Wider<D, B::Dim>>
            where
                A: Promote<B::Elem>,
                D: DimMax<B::Dim>,
            {
                let of = Mixed::<A, B::Elem>::DTYPE;
                with(self, &other, Binary::$f, of, stringify!($method), Origin::caller())
            }
        )+}
    };
}

functions_of_two! {
    /// Divided and rounded down; of integers 0 where the divisor is.
    floor_div FloorDiv;
    /// What a division leaves, with the sign of the dividend.
    fmod Fmod;
    /// To a power; integers to powers that are not negative.
    pow Pow;
    /// The greater of two; NaN where one is.
    maximum Maximum;
    /// The lesser of two; NaN where one is.
    minimum Minimum;
    /// The greater of two; the other one where one is NaN.
    fmax Fmax;
    /// The lesser of two; the other one where one is NaN.
    fmin Fmin;
    /// The angle of a point by its height and width, of floats.
    atan2 Atan2;
    /// The length of the longest side of a right-angled triangle, of floats.
    hypot Hypot;
    /// The size of one with the sign of another, of floats.
    copysign Copysign;
}

impl<A: Real, D: Dimension> Array<A, D> {
    /// Kept between two numbers; NaN stays.
    #[track_caller]
    pub fn clip(&self, low: A, high: A) -> Array<A, D> {
        let origin = Origin::caller();
        let made = || {
            let blocks = self.planned()?;
            let raised = binary(blocks, &scalar(low, origin)?, Binary::Maximum, A::DTYPE, "clip", origin)?;
            binary(&raised, &scalar(high, origin)?, Binary::Minimum, A::DTYPE, "clip", origin)
        };
        Array::of(made().map_err(|error| error.frame(Role::In, "clip", origin)))
    }
}

impl<D: Dimension> Array<bool, D> {
    /// From one where this is true, else from another.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::from_vec(vec![-1.0, 2.0, -3.0], 2);
    /// let up = x.gt(0.0).select(&x, 0.0);
    /// assert_eq!(up.compute()?, ndarray::arr1(&[0.0, 2.0, 0.0]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn select<B: Choice<D>, C: Choice<D>>(&self, yes: B, no: C) -> Chosen<D, B, C>
    where
        B::Elem: Promote<C::Elem>,
        D: DimMax<B::Dim>,
        Wider<D, B::Dim>: DimMax<C::Dim>,
    {
        let (of, origin) = (Mixed::<B::Elem, C::Elem>::DTYPE, Origin::caller());
        let made = || {
            let (mask, a, b) = (self.planned()?, yes.choice(origin).0?, no.choice(origin).0?);
            let (a, b) = (cast(&a, of, "select", origin)?, cast(&b, of, "select", origin)?);
            let first = Blocks::new(Op::Select, &[mask, &a], of, broadcast_cuts(mask, &a)?, "select", origin)?;
            let cuts = broadcast_cuts(&first, &b)?;
            Blocks::new(Op::Select, &[mask, &a, &b], of, cuts, "select", origin)
        };
        Array::of(made().map_err(|error| error.frame(Role::In, "select", origin)))
    }
}
