//! Whether numbers are nearly equal.

use ndarray::{DimMax, Dimension, Ix0};

use super::Array;
use super::blocks::at_line;
use super::element::Element;
use super::kernels::{Binary, Number, ReduceKind, Unary};
use super::operators::{Operand, binary, cast, unary};
use super::plan::{Blocks, Op};
use super::promote::Promote;
use super::reduce::reduced;
use crate::error::Result;
use crate::origin::Origin;
use crate::store::DType;

/// How near numbers are to each other to be taken for equal: a difference of at most `absolute` and `relative` times the size of the second.
///
/// The default is NumPy's: `1e-5` of the size and `1e-8`, and NaN is equal to nothing.
///
/// ```
/// use chunkwise::array::Tolerance;
/// use chunkwise::prelude::*;
///
/// let (x, y) = (array::from_vec(vec![1.0, 100.0], 2), array::from_vec(vec![1.1, 101.0], 2));
/// let near = Tolerance { relative: 0.01, absolute: 0.0, ..Tolerance::default() };
/// assert_eq!(x.isclose(&y, near).compute()?.to_vec(), [false, true]);
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// The share of the size of the second number.
    pub relative: f64,
    /// What is allowed whatever the size is.
    pub absolute: f64,
    /// Whether two NaN are taken for equal.
    pub equal_nan: bool,
}

impl Default for Tolerance {
    fn default() -> Self {
        Tolerance { relative: 1e-5, absolute: 1e-8, equal_nan: false }
    }
}

/// Whether elements are near each other, by the rules of `numpy.isclose`: infinities only where they are equal.
fn close(a: &Blocks, b: &Blocks, of: DType, near: Tolerance, verb: &'static str, origin: Origin) -> Result<Blocks> {
    let (wide, real) = match of {
        DType::F32 => (DType::F32, DType::F32),
        DType::C32 => (DType::C32, DType::F32),
        DType::C64 => (DType::C64, DType::F64),
        _ => (DType::F64, DType::F64),
    };
    let number =
        |value: f64| Blocks::new(Op::Full(Number::Float(value).cast(real)), &[], real, Vec::new(), verb, origin);
    let function = |f: Binary, a: &Blocks, b: &Blocks, of: DType| binary(a, b, f, of, verb, origin);
    let size = |of: &Blocks| unary(of, Unary::Abs, verb, origin);
    let (x, y) = (cast(a, wide, verb, origin)?, cast(b, wide, verb, origin)?);
    let share = function(Binary::Mul, &size(&y)?, &number(near.relative)?, real)?;
    let bound = function(Binary::Add, &share, &number(near.absolute)?, real)?;
    let within = function(Binary::Le, &size(&function(Binary::Sub, &x, &y, wide)?)?, &bound, real)?;
    let within = function(Binary::And, &within, &unary(&y, Unary::IsFinite, verb, origin)?, DType::Bool)?;
    let mut all = function(Binary::Or, &within, &function(Binary::Eq, a, b, of)?, DType::Bool)?;
    if near.equal_nan {
        let (one, other) = (unary(&x, Unary::IsNan, verb, origin)?, unary(&y, Unary::IsNan, verb, origin)?);
        all = function(Binary::Or, &all, &function(Binary::And, &one, &other, DType::Bool)?, DType::Bool)?;
    }
    Ok(all)
}

impl<A: Element, D: Dimension> Array<A, D> {
    /// Whether elements are nearly equal: `|a - b| <= absolute + relative * |b|`. Infinities are near only those that are equal.
    ///
    /// ```
    /// use chunkwise::array::Tolerance;
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::from_vec(vec![1.0, f64::NAN, f64::INFINITY], 2);
    /// let y = array::from_vec(vec![1.0 + 1e-7, f64::NAN, 1e300], 2);
    /// let near = x.isclose(&y, Tolerance { equal_nan: true, ..Tolerance::default() });
    /// assert_eq!(near.compute()?.to_vec(), [true, true, false]);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn isclose<B: Operand<A, D>>(&self, other: B, near: Tolerance) -> Array<bool, <D as DimMax<B::Dim>>::Output>
    where
        A: Promote<B::Elem>,
        D: DimMax<B::Dim>,
    {
        let (verb, origin) = ("isclose", Origin::caller());
        let of = <A as Promote<B::Elem>>::Output::DTYPE;
        let made = || close(self.planned()?, &other.operand(origin).0?, of, near, verb, origin);
        at_line(made(), verb, origin)
    }

    /// Whether all elements are nearly equal: see [`Array::isclose`].
    ///
    /// ```
    /// use chunkwise::array::Tolerance;
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::linspace(0.0, 1.0, 100, 30);
    /// assert!(x.sqrt().square().allclose(&x, Tolerance::default()).compute()?);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn allclose<B: Operand<A, D>>(&self, other: B, near: Tolerance) -> Array<bool, Ix0>
    where
        A: Promote<B::Elem>,
        D: DimMax<B::Dim>,
    {
        let (verb, origin) = ("allclose", Origin::caller());
        let of = <A as Promote<B::Elem>>::Output::DTYPE;
        let made = || {
            let near = close(self.planned()?, &other.operand(origin).0?, of, near, verb, origin)?;
            let axes: Vec<usize> = (0..near.rank()).collect();
            reduced(&near, (ReduceKind::All, false), &axes, false, verb, origin)
        };
        at_line(made(), verb, origin)
    }
}
