//! Sums and products that run on along an axis, and differences of neighbours.

use std::sync::Arc;

use ndarray::Dimension;

use super::Array;
use super::blocks::{Mapped, as_cut, at_line, only};
use super::element::{Element, Real};
use super::join::{joined, range};
use super::kernels::{Binary, Number, ReduceKind, Reduction, Unary};
use super::operators::{binary, cast, unary};
use super::plan::{Blocks, Cuts, Op, plan, resolve_axis};
use crate::error::Result;
use crate::origin::Origin;
use crate::store::DType;

/// Blocks of totals that are put together at once.
const FAN: usize = 64;

/// Values that run on along an axis.
fn cumulated(x: &Blocks, axis: usize, product: bool, verb: &'static str, origin: Origin) -> Result<Blocks> {
    let op = Op::Scan { axis, product };
    let count = x.cuts[axis].blocks() as usize;
    if count <= 1 {
        return Blocks::new(op, &[x], x.dtype, x.cuts.clone(), verb, origin);
    }
    let kind = if product { ReduceKind::Prod } else { ReduceKind::Sum };
    let total = Reduction { kind, skip_nan: false, of: x.dtype };
    let mut cuts = x.cuts.to_vec();
    cuts[axis] = Cuts::even(count, 1);
    let totals = Op::Totals(Arc::new(total), [axis].into());
    let totals = Blocks::new(totals, &[x], x.dtype, cuts.clone(), verb, origin)?;
    cuts[axis] = Cuts::even(count, FAN);
    let together = Blocks::new(Op::Rechunk, &[&totals], x.dtype, cuts, verb, origin)?;
    let before = cumulated(&together, axis, product, verb, origin)?;
    Blocks::new(op, &[x, &before], x.dtype, x.cuts.clone(), verb, origin)
}

fn running<A: Element, B: Real, D>(
    of: &Array<A, D>,
    axis: isize,
    (product, skip_nan): (bool, bool),
    verb: &'static str,
    origin: Origin,
) -> Result<Blocks> {
    let blocks = of.planned()?;
    let axis = resolve_axis(axis, blocks.rank())?;
    let mut numbers = blocks.clone();
    if skip_nan && matches!(blocks.dtype, DType::F32 | DType::F64) {
        // What is no number changes nothing.
        let nothing = Number::Int(i64::from(product)).cast(blocks.dtype);
        let nothing = Blocks::new(Op::Full(nothing), &[], blocks.dtype, Vec::new(), verb, origin)?;
        let is_nan = unary(blocks, Unary::IsNan, verb, origin)?;
        numbers =
            Blocks::new(Op::Select, &[&is_nan, &nothing, blocks], blocks.dtype, blocks.cuts.clone(), verb, origin)?;
    }
    cumulated(&cast(&numbers, B::DTYPE, verb, origin)?, axis, product, verb, origin)
}

macro_rules! cumulative {
    ($($(#[$doc:meta])* $name:ident $product:literal $skip:literal;)+) => {
        impl<A: Real, D: Dimension> Array<A, D>
        where
            A::Sum: Real,
        {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(&self, axis: isize) -> Array<A::Sum, D> {
                let (verb, origin) = (stringify!($name), Origin::caller());
                at_line(running::<A, A::Sum, D>(self, axis, ($product, $skip), verb, origin), verb, origin)
            }
        )+}
    };
}

cumulative! {
    /// The sum of all elements up to each one along an axis; integers in 64 bits. Of all elements by rows: `x.ravel().cumsum(0)`.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// assert_eq!(array::arange(1, 6, 1, 2).cumsum(0).compute()?, ndarray::arr1(&[1_i64, 3, 6, 10, 15]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    cumsum false false;
    /// The product of all elements up to each one along an axis; integers in 64 bits.
    cumprod true false;
    /// As [`Array::cumsum`], with NaN as 0.
    nancumsum false true;
    /// As [`Array::cumprod`], with NaN as 1.
    nancumprod true true;
}

impl<A: Element, D: Dimension> Array<A, D> {
    /// The difference of each element and the one before it along an axis, which is one shorter; `n` times.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where the axis is not there or its length not known.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::from_vec(vec![1, 4, 9, 16], 2);
    /// assert_eq!(x.diff(1, 0).compute()?, ndarray::arr1(&[3, 5, 7]));
    /// assert_eq!(x.diff(2, 0).compute()?, ndarray::arr1(&[2, 2]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn diff(&self, n: usize, axis: isize) -> Array<A, D> {
        let (verb, origin) = ("diff", Origin::caller());
        let made = || {
            let mut all = self.planned()?.clone();
            let axis = resolve_axis(axis, all.rank())?;
            // Nothing is left of as many elements.
            for number in 0..n.min(all.known_shape()?[axis]) {
                let len = all.known_shape()?[axis];
                if number > 0 && number % TOGETHER == 0 {
                    all = in_blocks(&all, verb, origin)?;
                }
                let (next, own) = (
                    range(&all, axis, len.min(1), len, verb, origin)?,
                    range(&all, axis, 0, len.saturating_sub(1), verb, origin)?,
                );
                // Truths differ where they are not equal.
                let f = if all.dtype == DType::Bool { Binary::Xor } else { Binary::Sub };
                all = binary(&next, &own, f, all.dtype, verb, origin)?;
                // In blocks as before: not cut again, each time, one place before every cut.
                if all.cuts != own.cuts {
                    all = Blocks::new(Op::Rechunk, &[&all], all.dtype, own.cuts.clone(), verb, origin)?;
                }
            }
            Ok(all)
        };
        at_line(made(), verb, origin)
    }
}

/// So many differences are one step of work: each is made of two elements of the one before.
const TOGETHER: usize = 32;

/// The same elements in blocks of their own, of which what follows is made.
fn in_blocks(of: &Blocks, verb: &'static str, origin: Origin) -> Result<Blocks> {
    let (grid, takes) = as_cut(of);
    let (inputs, cuts) = (vec![of], of.cuts.to_vec());
    let mapped = Mapped { verb, origin, inputs, grid, takes: vec![takes], cuts, key: Some("as it is".to_string()) };
    mapped.of_type(of.dtype, None, |given, _| only(given))
}

impl<D: Dimension> Array<f64, D> {
    /// How fast elements change along an axis, of places so far apart: half the difference of both neighbours, and at the edges the
    /// difference of the edge and its neighbour, as NumPy's `gradient`.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where the axis has fewer than two elements.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::from_vec(vec![1.0, 2.0, 4.0, 7.0], 2);
    /// assert_eq!(x.gradient(1.0, 0).compute()?, ndarray::arr1(&[1.0, 1.5, 2.5, 3.0]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn gradient(&self, apart: f64, axis: isize) -> Array<f64, D> {
        let (verb, origin) = ("gradient", Origin::caller());
        let made = || {
            let blocks = self.planned()?;
            let axis = resolve_axis(axis, blocks.rank())?;
            let len = blocks.known_shape()?[axis];
            if len < 2 {
                return Err(plan(format!("a gradient takes two elements at least, and axis {axis} has {len}")));
            }
            let slope = |from: (usize, usize), to: (usize, usize), apart: f64| {
                let (one, other) = (
                    range(blocks, axis, from.0, from.1, verb, origin)?,
                    range(blocks, axis, to.0, to.1, verb, origin)?,
                );
                let rise = binary(&other, &one, Binary::Sub, DType::F64, verb, origin)?;
                let apart = super::operators::scalar(apart, origin)?;
                binary(&rise, &apart, Binary::Div, DType::F64, verb, origin)
            };
            let (first, last) = (slope((0, 1), (1, 2), apart)?, slope((len - 2, len - 1), (len - 1, len), apart)?);
            let middle = slope((0, len - 2), (2, len), 2.0 * apart)?;
            joined(&[&first, &middle, &last], axis, verb, origin)
        };
        at_line(made(), verb, origin)
    }
}
