//! Arrays like others, diagonals and triangles, and whether elements are among some.

use std::sync::Arc;

use ndarray::{Dimension, Ix1, Ix2};

use super::Array;
use super::blocks::{Mapped, as_cut, at_line, block, only, view};
use super::chunks::Chunks;
use super::element::{Element, Real};
use super::kernels::{Below, Number};
use super::plan::{AxisMap, Blocks, Cuts, MadeOp, Op, View, plan};
use crate::error::{Error, Result};
use crate::origin::Origin;
use crate::store::DType;

/// A mask of rows and columns that is true up to so far right of the diagonal.
fn below(cuts: [Cuts; 2], offset: isize, verb: &'static str, origin: Origin) -> Result<Blocks> {
    let columns = cuts[1].len().unwrap_or(0) as u64;
    let kernel = Below { columns, offset: offset as i64 };
    let made = MadeOp { label: format!("below {offset} of {columns} columns"), kernel: Arc::new(kernel), cost: 1 };
    Blocks::new(Op::Made(made), &[], DType::Bool, cuts.to_vec(), verb, origin)
}

/// The elements of the last two axes on one side of a diagonal, and 0 elsewhere.
fn side(of: &Blocks, offset: isize, lower: bool, verb: &'static str, origin: Origin) -> Result<Blocks> {
    of.known_shape()?;
    let [.., rows, columns] = &of.cuts[..] else {
        return Err(plan(format!("a triangle of an array of {} axes", of.rank())));
    };
    let mask = below([rows.clone(), columns.clone()], offset, verb, origin)?;
    let zero = Blocks::new(Op::Full(Number::zero(of.dtype)), &[], of.dtype, Vec::new(), verb, origin)?;
    let (kept, other) = if lower { (of, &zero) } else { (&zero, of) };
    Blocks::new(Op::Select, &[&mask, kept, other], of.dtype, of.cuts.clone(), verb, origin)
}

/// Ones on and below a diagonal, so far right of the main one, and zeros above it.
///
/// ```
/// use chunkwise::prelude::*;
///
/// assert_eq!(array::tri::<i32>(2, 3, 0, 2).compute()?, ndarray::arr2(&[[1, 0, 0], [1, 1, 0]]));
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[track_caller]
pub fn tri<A: Element>(rows: usize, columns: usize, offset: isize, chunks: impl Into<Chunks>) -> Array<A, Ix2> {
    let (verb, origin) = ("tri", Origin::caller());
    let made = || {
        let cuts = chunks.into().cuts(&[rows, columns], A::DTYPE, None)?;
        let [rows, columns] = &cuts[..] else { return Err(Error::internal("two axes that are none")) };
        let mask = below([rows.clone(), columns.clone()], offset, verb, origin)?;
        super::operators::cast(&mask, A::DTYPE, verb, origin)
    };
    at_line(made(), verb, origin)
}

/// A matrix with these elements on a diagonal, so far right of the main one, and 0 elsewhere.
///
/// ```
/// use chunkwise::prelude::*;
///
/// assert_eq!(array::diag(&array::arange(1, 3, 1, 2), 0).compute()?, ndarray::arr2(&[[1, 0], [0, 2]]));
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[track_caller]
pub fn diag<A: Element>(values: &Array<A, Ix1>, offset: isize) -> Array<A, Ix2> {
    let (verb, origin) = ("diag", Origin::caller());
    let made = || {
        let blocks = values.planned()?;
        blocks.known_shape()?;
        let around = offset.unsigned_abs();
        let pad = |before: usize, behind: usize, of: &Blocks| {
            super::join::padded(of, &[(before, behind)], super::join::Pad::Constant(A::default()), verb, origin)
        };
        // Each row has its element, in the column so far right of it.
        let rows = if offset < 0 { pad(around, 0, blocks)? } else { pad(0, around, blocks)? };
        let cuts = [rows.cuts[0].clone(), rows.cuts[0].clone()];
        let (on, under) = (below(cuts.clone(), offset, verb, origin)?, below(cuts.clone(), offset - 1, verb, origin)?);
        let column = View { axes: vec![AxisMap::same(0)] };
        let column = Blocks::new(Op::View(column), &[&rows], rows.dtype, cuts.to_vec(), verb, origin)?;
        let zero = Blocks::new(Op::Full(Number::zero(rows.dtype)), &[], rows.dtype, Vec::new(), verb, origin)?;
        let inside = Blocks::new(Op::Select, &[&on, &column, &zero], rows.dtype, cuts.to_vec(), verb, origin)?;
        Blocks::new(Op::Select, &[&under, &zero, &inside], rows.dtype, cuts.to_vec(), verb, origin)
    };
    at_line(made(), verb, origin)
}

impl<A: Element, D: Dimension> Array<A, D> {
    fn like(&self, value: Number, verb: &'static str, origin: Origin) -> Array<A, D> {
        let made = || {
            let blocks = self.planned()?;
            blocks.known_shape()?;
            Blocks::new(Op::Full(value), &[], blocks.dtype, blocks.cuts.clone(), verb, origin)
        };
        at_line(made(), verb, origin)
    }

    /// Zeros of the same shape in the same blocks.
    #[track_caller]
    pub fn zeros_like(&self) -> Array<A, D> {
        self.like(Number::zero(A::DTYPE), "zeros_like", Origin::caller())
    }

    /// Ones of the same shape in the same blocks.
    #[track_caller]
    pub fn ones_like(&self) -> Array<A, D> {
        self.like(Number::Int(1).cast(A::DTYPE), "ones_like", Origin::caller())
    }

    /// The same number of the same shape in the same blocks.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// assert_eq!(array::arange(0, 3, 1, 2).full_like(7).compute()?, ndarray::arr1(&[7, 7, 7]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn full_like(&self, value: A) -> Array<A, D> {
        self.like(value.number(), "full_like", Origin::caller())
    }

    /// The elements of the last two axes on and below a diagonal, so far right of the main one, and 0 above it.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::from_ndarray(ndarray::arr2(&[[1, 2], [3, 4]]), 1);
    /// assert_eq!(x.tril(0).compute()?, ndarray::arr2(&[[1, 0], [3, 4]]));
    /// assert_eq!(x.triu(0).compute()?, ndarray::arr2(&[[1, 2], [0, 4]]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn tril(&self, offset: isize) -> Array<A, D> {
        let (verb, origin) = ("tril", Origin::caller());
        at_line(self.planned().and_then(|blocks| side(blocks, offset, true, verb, origin)), verb, origin)
    }

    /// The elements of the last two axes on and above a diagonal, so far right of the main one, and 0 below it.
    #[track_caller]
    pub fn triu(&self, offset: isize) -> Array<A, D> {
        let (verb, origin) = ("triu", Origin::caller());
        at_line(
            self.planned().and_then(|blocks| side(blocks, offset.saturating_sub(1), false, verb, origin)),
            verb,
            origin,
        )
    }
}

impl<A: Element> Array<A, Ix2> {
    /// The elements of a diagonal, so far right of the main one.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where a length is not known.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::from_ndarray(ndarray::arr2(&[[1, 2], [3, 4]]), 1);
    /// assert_eq!(compute((x.diagonal(0), x.diagonal(1)))?, (ndarray::arr1(&[1, 4]), ndarray::arr1(&[2])));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn diagonal(&self, offset: isize) -> Array<A, Ix1> {
        let (verb, origin) = ("diagonal", Origin::caller());
        let made = || {
            let blocks = self.planned()?;
            let shape = blocks.known_shape()?;
            let (row, column) = if offset < 0 { (offset.unsigned_abs(), 0) } else { (0, offset.unsigned_abs()) };
            let (row, column) = (row.min(shape[0]), column.min(shape[1]));
            let len = (shape[0] - row).min(shape[1] - column);
            let along = |start: usize| AxisMap { of: Some(0), start: start as i64, step: 1 };
            // Cut where the rows are.
            let rows = blocks.cuts[0].known().unwrap_or(&[]);
            let cuts = vec![super::select::sliced_cuts(rows, row as i64, 1, len)];
            let view = View { axes: vec![along(row), along(column)] };
            Blocks::new(Op::View(view), &[blocks], blocks.dtype, cuts, verb, origin)
        };
        at_line(made(), verb, origin)
    }
}

impl<A: Real + PartialOrd, D: Dimension + 'static> Array<A, D> {
    /// What a function makes of each element: as a map of blocks.
    fn each<B: Element>(
        &self,
        verb: &'static str,
        origin: Origin,
        function: impl Fn(A) -> B + Send + Sync + 'static,
    ) -> Array<B, D> {
        let made = || {
            let blocks = self.planned()?;
            let (grid, takes) = as_cut(blocks);
            let (inputs, cuts) = (vec![blocks], blocks.cuts.to_vec());
            let mapped = Mapped { verb, origin, inputs, grid, takes: vec![takes], cuts, key: None };
            mapped.of::<B>(move |given, _| block(view::<A, D>(&only(given)?)?.mapv(&function)))
        };
        at_line(made(), verb, origin)
    }

    /// Whether each element is one of these; NaN is none.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// assert_eq!(array::arange(0, 4, 1, 2).is_in(&[3, 1]).compute()?.to_vec(), [false, true, false, true]);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn is_in(&self, values: &[A]) -> Array<bool, D> {
        let origin = Origin::caller();
        let mut sorted: Vec<A> = values.iter().copied().filter(is_number).collect();
        sorted.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        self.each("is_in", origin, move |value| {
            let at = sorted.partition_point(|other| *other < value);
            sorted.get(at).is_some_and(|other| *other == value)
        })
    }

    /// In which of some ranges each element lies: how many of these edges, which ascend, are at most it, or with `right` less than it. Of
    /// edges that descend how many are above it, or with `right` at least it. NaN lies behind all ascending edges and before all
    /// descending ones.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where the edges neither ascend nor descend.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::from_vec(vec![0.5, 1.0, 9.0], 2);
    /// assert_eq!(x.digitize(&[1.0, 2.0], false).compute()?.to_vec(), [0, 1, 2]);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn digitize(&self, edges: &[A], right: bool) -> Array<i64, D> {
        let (verb, origin) = ("digitize", Origin::caller());
        let ascend = edges.windows(2).all(|two| two[0] <= two[1]);
        if !ascend && !edges.windows(2).all(|two| two[0] >= two[1]) {
            return at_line(Err(plan("the edges of ranges ascend or descend")), verb, origin);
        }
        let edges = edges.to_vec();
        self.each(verb, origin, move |value| {
            let before = |edge: &A| match (ascend, right) {
                (true, true) => *edge < value,
                (true, false) => *edge <= value,
                (false, true) => *edge >= value,
                (false, false) => *edge > value,
            };
            match (is_number(&value), ascend) {
                (true, _) => edges.partition_point(before) as i64,
                (false, true) => edges.len() as i64,
                (false, false) => 0,
            }
        })
    }
}

/// Whether it is equal to itself, as all but NaN are.
fn is_number<A: PartialOrd>(value: &A) -> bool {
    value.partial_cmp(value).is_some()
}

/// Where a choice is made, and what is chosen there: see [`select`].
pub type MaskAndValues<'a, A, D> = (&'a Array<bool, D>, &'a Array<A, D>);

/// Of each place the element of the first array whose mask is true there, or else another number.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let x = array::arange(0, 4, 1, 2);
/// let chosen = array::select(&[(&x.lt(1), &(&x - 5)), (&x.gt(2), &(&x * 10))], 7);
/// assert_eq!(chosen.compute()?.to_vec(), [-5, 7, 7, 30]);
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[track_caller]
pub fn select<A: Element, D: Dimension>(choices: &[MaskAndValues<'_, A, D>], other: A) -> Array<A, D> {
    let (verb, origin) = ("select", Origin::caller());
    let made = || {
        let mut all = super::operators::scalar(other, origin)?;
        for (mask, values) in choices.iter().rev() {
            let (mask, values) = (mask.planned()?, values.planned()?);
            let cuts = super::plan::broadcast_cuts(mask, values)?;
            let both = Blocks::new(Op::Full(Number::zero(A::DTYPE)), &[], A::DTYPE, cuts, verb, origin)?;
            let cuts = super::plan::broadcast_cuts(&both, &all)?;
            all = Blocks::new(Op::Select, &[mask, values, &all], A::DTYPE, cuts, verb, origin)?;
        }
        if choices.is_empty() {
            return Err(plan("there is nothing to choose from"));
        }
        Ok(all)
    };
    at_line(made(), verb, origin)
}
