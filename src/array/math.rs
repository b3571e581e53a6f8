//! Functions of each element.

use ndarray::{Axis, Dimension, Ix0, RemoveAxis};

use super::Array;
use super::blocks::at_line;
use super::element::{Element, Real};
use super::kernels::{Binary, Unary};
use super::operators::{binary, cast, scalar, unary};
use super::plan::{Blocks, Op, plan};
use crate::error::Role;
use crate::origin::Origin;

/// Functions of floats and complex numbers; integers and truths become floats first.
macro_rules! of_floats {
    ($($(#[$doc:meta])* $method:ident $f:ident;)+) => {
        impl<A: Real, D> Array<A, D> {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $method(&self) -> Array<A::Float, D> {
                let origin = Origin::caller();
                let made = || {
                    let of = cast(self.planned()?, A::Float::DTYPE, stringify!($method), origin)?;
                    unary(&of, Unary::$f, stringify!($method), origin)
                };
                Array::of(made().map_err(|error| error.frame(Role::In, stringify!($method), origin)))
            }
        )+}
    };
}

of_floats! {
    /// The square root.
    sqrt Sqrt;
    /// The cube root, of real numbers.
    cbrt Cbrt;
    /// `e` to the power of each element.
    exp Exp;
    /// 2 to the power of each element, of real numbers.
    exp2 Exp2;
    /// `e` to the power of each element less 1, exact near 0; of real numbers.
    exp_m1 ExpM1;
    /// The natural logarithm.
    ln Ln;
    /// The logarithm to base 2.
    log2 Log2;
    /// The logarithm to base 10.
    log10 Log10;
    /// The natural logarithm of each element and 1, exact near 0; of real numbers.
    ln_1p Ln1p;
    /// The sine of an angle in radians.
    sin Sin;
    /// The cosine of an angle in radians.
    cos Cos;
    /// The tangent of an angle in radians.
    tan Tan;
    /// The angle of a sine, in radians.
    asin Asin;
    /// The angle of a cosine, in radians.
    acos Acos;
    /// The angle of a tangent, in radians.
    atan Atan;
    /// The hyperbolic sine.
    sinh Sinh;
    /// The hyperbolic cosine.
    cosh Cosh;
    /// The hyperbolic tangent.
    tanh Tanh;
    /// The inverse of the hyperbolic sine.
    asinh Asinh;
    /// The inverse of the hyperbolic cosine.
    acosh Acosh;
    /// The inverse of the hyperbolic tangent.
    atanh Atanh;
    /// 1 divided by each element.
    recip Reciprocal;
}

macro_rules! of_all {
    ($($(#[$doc:meta])* $method:ident $f:ident;)+) => {
        impl<A: Element, D> Array<A, D> {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $method(&self) -> Array<A, D> {
                self.function(Unary::$f, stringify!($method), Origin::caller())
            }
        )+}
    };
}

of_all! {
    /// 1, 0 or -1; NaN of NaN. Of complex numbers and truths an error.
    sign Sign;
    /// Each element times itself.
    square Square;
    /// Down to a whole number.
    floor Floor;
    /// Up to a whole number.
    ceil Ceil;
    /// To the nearest whole number, halves to even ones.
    round Rint;
    /// To the whole number that is nearer to 0.
    trunc Trunc;
    /// With the opposite imaginary part.
    conj Conj;
}

macro_rules! of_all_to_truth {
    ($($(#[$doc:meta])* $method:ident $f:ident;)+) => {
        impl<A: Element, D> Array<A, D> {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $method(&self) -> Array<bool, D> {
                self.function(Unary::$f, stringify!($method), Origin::caller())
            }
        )+}
    };
}

of_all_to_truth! {
    /// Whether it is NaN.
    is_nan IsNan;
    /// Whether it is infinite.
    is_infinite IsInf;
    /// Whether it is neither infinite nor NaN.
    is_finite IsFinite;
}

macro_rules! to_real {
    ($($(#[$doc:meta])* $method:ident $f:ident;)+) => {
        impl<A: Real, D> Array<A, D> {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $method(&self) -> Array<A::Abs, D> {
                self.function(Unary::$f, stringify!($method), Origin::caller())
            }
        )+}
    };
}

to_real! {
    /// The size without sign; of complex numbers the length. The least integer stays as it is.
    abs Abs;
    /// The real part.
    re Re;
    /// The imaginary part.
    im Im;
}

impl<A: Real, D: Dimension> Array<A, D> {
    /// Other numbers where elements are NaN, or infinite above or below. Of integers nothing changes.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, of complex numbers.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::from_vec(vec![f64::NAN, 1.0, f64::INFINITY, f64::NEG_INFINITY], 2);
    /// assert_eq!(x.nan_to_num(0.0, f64::MAX, f64::MIN).compute()?.to_vec(), [0.0, 1.0, f64::MAX, f64::MIN]);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn nan_to_num(&self, nan: A, above: A, below: A) -> Array<A, D> {
        let (verb, origin) = ("nan_to_num", Origin::caller());
        let made = || {
            let blocks = self.planned()?;
            if !matches!(blocks.dtype, crate::store::DType::F32 | crate::store::DType::F64) {
                return match blocks.dtype {
                    crate::store::DType::C32 | crate::store::DType::C64 => {
                        Err(plan(format!("`{verb}` is not defined for {}", blocks.dtype)))
                    }
                    _ => Ok(blocks.clone()),
                };
            }
            let chosen = |mask: &Blocks, yes: A, no: &Blocks| {
                let yes = scalar(yes, origin)?;
                Blocks::new(Op::Select, &[mask, &yes, no], A::DTYPE, blocks.cuts.clone(), verb, origin)
            };
            let zero = scalar(A::default(), origin)?;
            let infinite = unary(blocks, Unary::IsInf, verb, origin)?;
            let positive = binary(blocks, &zero, Binary::Gt, A::DTYPE, verb, origin)?;
            let ends = chosen(&positive, above, &scalar(below, origin)?)?;
            let finite =
                Blocks::new(Op::Select, &[&infinite, &ends, blocks], A::DTYPE, blocks.cuts.clone(), verb, origin)?;
            chosen(&unary(blocks, Unary::IsNan, verb, origin)?, nan, &finite)
        };
        at_line(made(), verb, origin)
    }

    /// The mean of the differences from the mean to a power: 0 to the power of 1, the variance to that of 2.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::from_vec(vec![1.0, 1.0, 4.0], 2);
    /// assert_eq!(compute((x.moment(1), x.moment(2), x.moment(3)))?, (0.0, 2.0, 2.0));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn moment(&self, order: u32) -> Array<f64, Ix0> {
        let x = self.cast::<f64>().into_dyn();
        (&x - &x.mean()).pow(f64::from(order)).mean()
    }

    /// As [`Array::moment`], along an axis, which is dropped.
    #[track_caller]
    pub fn moment_axis(&self, order: u32, axis: Axis) -> Array<f64, D::Smaller>
    where
        D: RemoveAxis,
    {
        let x = self.cast::<f64>().into_dyn();
        let mean = x.mean_axis(axis).insert_axis(axis);
        Array::of((&x - &mean).pow(f64::from(order)).mean_axis(axis).planned().cloned())
    }
}
