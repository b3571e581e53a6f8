//! Reductions: along some axes or all of them elements become one.

use hashbrown::HashMap;
use ndarray::{Axis, Dimension, Ix0, IxDyn, RemoveAxis};

use super::Array;
use super::element::{Element, Real};
use super::kernels::{Binary, Number, ReduceKind, Reduction, Unary};
use super::operators::{binary, cast, unary};
use super::plan::{Blocks, Cuts, DType, Op, ReduceOp, Step, plan, resolve_axis};
use crate::error::{Error, ErrorKind, Result, Role};
use crate::origin::Origin;

/// The reduction of an array over axes, which are dropped or stay with length 1.
pub(super) fn reduced(
    blocks: &Blocks,
    (kind, skip_nan): (ReduceKind, bool),
    axes: &[usize],
    keep: bool,
    verb: &'static str,
    origin: Origin,
) -> Result<Blocks> {
    // The sum of whole numbers may be larger than any of them: a mean is that of floats, as NumPy has it.
    let floats = match (kind, blocks.dtype) {
        (ReduceKind::Mean, DType::F32 | DType::F64 | DType::C32 | DType::C64) => None,
        (ReduceKind::Mean, _) => Some(cast(blocks, DType::F64, verb, origin)?),
        _ => None,
    };
    let blocks = floats.as_ref().unwrap_or(blocks);
    if let (ReduceKind::Var { ddof } | ReduceKind::Std { ddof }, DType::C32 | DType::C64) = (kind, blocks.dtype) {
        // How far complex numbers are from their mean is how far their parts are.
        let part = |f: Unary| {
            let mut part = unary(blocks, f, verb, origin)?;
            if skip_nan {
                // A number with one part that is NaN counts in neither.
                let broken = unary(blocks, Unary::IsNan, verb, origin)?;
                let nan = Blocks::new(
                    Op::Full(Number::Float(f64::NAN).cast(part.dtype)),
                    &[],
                    part.dtype,
                    Vec::new(),
                    verb,
                    origin,
                )?;
                let cuts = part.cuts.clone();
                part = Blocks::new(Op::Select, &[&broken, &nan, &part], nan.dtype, cuts, verb, origin)?;
            }
            reduced(&part, (ReduceKind::Var { ddof }, skip_nan), axes, keep, verb, origin)
        };
        let (re, im) = (part(Unary::Re)?, part(Unary::Im)?);
        let var = binary(&re, &im, Binary::Add, re.dtype, verb, origin)?;
        return match kind {
            ReduceKind::Std { .. } => unary(&var, Unary::Sqrt, verb, origin),
            _ => Ok(var),
        };
    }
    let reduction = Reduction { kind, skip_nan, of: blocks.dtype };
    let to = reduction
        .output()
        .ok_or_else(|| Error::new(ErrorKind::Plan, format!("`{verb}` is not defined for {}", blocks.dtype)))?;
    let mut axes = axes.to_vec();
    axes.sort_unstable();
    if axes.windows(2).any(|two| two[0] == two[1]) {
        return Err(Error::new(ErrorKind::Plan, "an axis is named twice"));
    }
    if reduction.needs_elements() && axes.iter().any(|axis| blocks.cuts[*axis].len() == Some(0)) {
        return Err(Error::new(ErrorKind::Plan, format!("`{verb}` of no elements has no value")));
    }
    let places = matches!(kind, ReduceKind::ArgMin | ReduceKind::ArgMax);
    if places && axes.iter().any(|axis| blocks.cuts[*axis].len().is_none()) {
        let text = format!("`{verb}` along an axis of unknown length: compute_chunk_sizes() finds it");
        return Err(Error::new(ErrorKind::Plan, text));
    }
    let cut = |(axis, cuts): (usize, &Cuts)| if axes.contains(&axis) { Cuts::whole(1) } else { cuts.clone() };
    let cuts: Vec<Cuts> = blocks.cuts.iter().enumerate().map(cut).collect();
    let kept = Blocks::new(Op::reduce(reduction, &axes[..]), &[blocks], to, cuts, verb, origin)?;
    if keep || axes.is_empty() {
        return Ok(kept);
    }
    kept.at_places(&axes.iter().map(|axis| (*axis, 0)).collect::<Vec<_>>(), verb, origin)
}

impl<A: Element, D> Array<A, D> {
    fn over_all<R>(&self, kind: (ReduceKind, bool), verb: &'static str, origin: Origin) -> Array<R, Ix0> {
        let made = || {
            let blocks = self.planned()?;
            let axes: Vec<usize> = (0..blocks.rank()).collect();
            reduced(blocks, kind, &axes, false, verb, origin)
        };
        Array::of(made().map_err(|error| error.frame(Role::In, verb, origin)))
    }

    fn over_axis<R, E>(&self, kind: (ReduceKind, bool), axis: Axis, verb: &'static str, origin: Origin) -> Array<R, E> {
        let made = || {
            let blocks = self.planned()?;
            let axis = resolve_axis(isize::try_from(axis.0).unwrap_or(isize::MAX), blocks.rank())?;
            reduced(blocks, kind, &[axis], false, verb, origin)
        };
        Array::of(made().map_err(|error| error.frame(Role::In, verb, origin)))
    }

    fn over_axes<R>(
        &self,
        kind: (ReduceKind, bool),
        axes: &[isize],
        keep: bool,
        verb: &'static str,
        origin: Origin,
    ) -> Array<R, IxDyn> {
        let made = || {
            let blocks = self.planned()?;
            let axes: Result<Vec<usize>> = axes.iter().map(|axis| resolve_axis(*axis, blocks.rank())).collect();
            reduced(blocks, kind, &axes?, keep, verb, origin)
        };
        Array::of(made().map_err(|error| error.frame(Role::In, verb, origin)))
    }
}

impl<A: Element, D: Dimension> Array<A, D> {
    /// The same reduction with so many blocks put together at once: each step of its tree reads as many. Without it the plan takes up to 16,
    /// fewer where what is kept of blocks is large.
    ///
    /// More in one step makes fewer tasks, which hold more at once; sums of floats in another order may differ in their last bits.
    /// Reductions of one array are one pass only where they have the same number.
    ///
    /// It is for what these verbs give, also after operations on elements: `mean` over some axes, or `(x.sum() / 2.0)`. Reductions by
    /// functions ([`Array::reduction`]) and products of matrices are put together as they are planned.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where the number is less than 2, or the array is not made of reductions.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let sum: i64 = array::arange(0_i64, 100, 1, 1).sum().split_every(4).compute()?;
    /// assert_eq!(sum, 4950);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn split_every(&self, blocks: u32) -> Array<A, D> {
        let (verb, origin) = ("split_every", Origin::caller());
        let made = || {
            if blocks < 2 {
                return Err(plan(format!("{blocks} blocks together would never become one")));
            }
            match with_split_every(self.planned()?, blocks)? {
                Some(made) => Ok(made),
                None => Err(plan(
                    "the array is not made of sums, means, extremes or other reductions, whose blocks are put together in a tree",
                )),
            }
        };
        Array::of(made().map_err(|error| error.frame(Role::In, verb, origin)))
    }
}

/// The array made anew with so many blocks together in the reductions that it is made of element by element; nothing where there are none.
fn with_split_every(of: &Blocks, count: u32) -> Result<Option<Blocks>> {
    fn again(step: &Step, op: Op, inputs: &[&Blocks]) -> Result<Blocks> {
        Blocks::new(op, inputs, step.dtype, step.cuts.clone(), step.verb, step.origin)
    }
    // By hand: an array may be made of thousands of steps.
    let (mut made, mut open) = (HashMap::<usize, Option<Blocks>>::new(), vec![(of, false)]);
    while let Some((at, inputs_are_made)) = open.pop() {
        let address = at.node.address();
        if made.contains_key(&address) {
            continue;
        }
        let new = match at.step().map(|step| (step, &step.op)) {
            Some((step, Op::Reduce(reduce))) => {
                let reduce = ReduceOp { split_every: Some(count), ..reduce.clone() };
                Some(again(step, Op::Reduce(reduce), &step.inputs.iter().collect::<Vec<_>>())?)
            }
            Some((step, op @ (Op::Unary(_) | Op::Binary(_) | Op::Select | Op::Cast | Op::View(_)))) => {
                if !inputs_are_made {
                    open.push((at, true));
                    open.extend(step.inputs.iter().map(|input| (input, false)));
                    continue;
                }
                let new: Vec<Option<&Blocks>> =
                    step.inputs.iter().map(|input| made.get(&input.node.address())?.as_ref()).collect();
                match new.iter().any(Option::is_some) {
                    true => {
                        let inputs: Vec<&Blocks> =
                            new.iter().zip(&step.inputs).map(|(new, own)| new.unwrap_or(own)).collect();
                        Some(again(step, op.clone(), &inputs)?)
                    }
                    false => None,
                }
            }
            _ => None,
        };
        made.insert(address, new);
    }
    Ok(made.remove(&of.node.address()).flatten())
}

/// For each reduction three verbs: over all axes, over one, over some.
macro_rules! reductions {
    ($($(#[$doc:meta])* [$($bounds:tt)+] $all:ident $one:ident $some:ident $kind:ident $skip:literal => $output:ty;)+) => {$(
        impl<A: $($bounds)+, D: Dimension> Array<A, D> {
            $(#[$doc])*
            ///
            /// Over all elements.
            #[track_caller]
            pub fn $all(&self) -> Array<$output, Ix0> {
                self.over_all((ReduceKind::$kind, $skip), stringify!($all), Origin::caller())
            }

            $(#[$doc])*
            ///
            /// Along one axis, which is dropped.
            #[track_caller]
            pub fn $one(&self, axis: Axis) -> Array<$output, D::Smaller>
            where
                D: RemoveAxis,
            {
                self.over_axis((ReduceKind::$kind, $skip), axis, stringify!($one), Origin::caller())
            }

            $(#[$doc])*
            ///
            /// Along some axes, from behind where they are negative; they are dropped, or stay with length 1 where `keep` says so.
            #[track_caller]
            pub fn $some(&self, axes: &[isize], keep: bool) -> Array<$output, IxDyn> {
                self.over_axes((ReduceKind::$kind, $skip), axes, keep, stringify!($some), Origin::caller())
            }
        }
    )+};
}

reductions! {
    /// The sum. Integers of any size are summed in 64 bits and wrap; `f32` stays `f32`, and is summed as `f64`. Runs of up to some thousand
    /// floats are summed in 32 lanes; what rounding loses where these sums are put together is carried along.
    [Real] sum sum_axis sum_axes Sum false => A::Sum;
    /// The sum of what is not NaN.
    [Real] nansum nansum_axis nansum_axes Sum true => A::Sum;
    /// The product. Integers wrap in 64 bits.
    [Real] prod prod_axis prod_axes Prod false => A::Sum;
    /// The product of what is not NaN.
    [Real] nanprod nanprod_axis nanprod_axes Prod true => A::Sum;
    /// The least; NaN where one is. Of no elements an error.
    [Element] min min_axis min_axes Min false => A;
    /// The least of what is not NaN; NaN where nothing is left.
    [Element] nanmin nanmin_axis nanmin_axes Min true => A;
    /// The greatest; NaN where one is. Of no elements an error.
    [Element] max max_axis max_axes Max false => A;
    /// The greatest of what is not NaN; NaN where nothing is left.
    [Element] nanmax nanmax_axis nanmax_axes Max true => A;
    /// The arithmetic mean; NaN of no elements. Of integers and truths an `f64`.
    ///
    /// The same bits come out on any number of threads: elements are summed in fixed lanes, tiles and trees.
    [Real] mean mean_axis mean_axes Mean false => A::Float;
    /// The arithmetic mean of what is not NaN; NaN where nothing is left.
    [Real] nanmean nanmean_axis nanmean_axes Mean true => A::Float;
    /// Whether any is true, or not 0.
    [Element] any any_axis any_axes Any false => bool;
    /// Whether all are true, or not 0.
    [Element] all all_axis all_axes All false => bool;
    /// How many are not 0.
    [Element] count_nonzero count_nonzero_axis count_nonzero_axes CountNonzero false => u64;
    /// How many there are: for arrays whose lengths are not known before a run.
    [Element] count count_axis count_axes Count false => u64;
    /// Where the least is, the first of equal ones, or the first NaN; over several axes the place among all by rows.
    [Element] argmin argmin_axis argmin_axes ArgMin false => i64;
    /// Where the least is of what is not NaN; an error where nothing is left.
    [Element] nanargmin nanargmin_axis nanargmin_axes ArgMin true => i64;
    /// Where the greatest is, the first of equal ones, or the first NaN; over several axes the place among all by rows.
    [Element] argmax argmax_axis argmax_axes ArgMax false => i64;
    /// Where the greatest is of what is not NaN; an error where nothing is left.
    [Element] nanargmax nanargmax_axis nanargmax_axes ArgMax true => i64;
}

/// As [`reductions`], with the number by which the divisor is less than the number of elements.
macro_rules! deviations {
    ($($(#[$doc:meta])* $all:ident $one:ident $some:ident $kind:ident $skip:literal;)+) => {$(
        impl<A: Real, D: Dimension> Array<A, D> {
            $(#[$doc])*
            ///
            /// Over all elements.
            #[track_caller]
            pub fn $all(&self, ddof: f64) -> Array<A::Deviation, Ix0> {
                let kind = ReduceKind::$kind { ddof: ddof.to_bits() };
                self.over_all((kind, $skip), stringify!($all), Origin::caller())
            }

            $(#[$doc])*
            ///
            /// Along one axis, which is dropped.
            #[track_caller]
            pub fn $one(&self, axis: Axis, ddof: f64) -> Array<A::Deviation, D::Smaller>
            where
                D: RemoveAxis,
            {
                let kind = ReduceKind::$kind { ddof: ddof.to_bits() };
                self.over_axis((kind, $skip), axis, stringify!($one), Origin::caller())
            }

            $(#[$doc])*
            ///
            /// Along some axes, from behind where they are negative; they are dropped, or stay with length 1 where `keep` says so.
            #[track_caller]
            pub fn $some(&self, axes: &[isize], ddof: f64, keep: bool) -> Array<A::Deviation, IxDyn> {
                let kind = ReduceKind::$kind { ddof: ddof.to_bits() };
                self.over_axes((kind, $skip), axes, keep, stringify!($some), Origin::caller())
            }
        }
    )+};
}

deviations! {
    /// The variance: summed squared differences from the mean, divided by the number of elements less `ddof`. NaN where there are not more
    /// elements than that. Of complex numbers the squared distances from the mean.
    var var_axis var_axes Var false;
    /// The variance of what is not NaN.
    nanvar nanvar_axis nanvar_axes Var true;
    /// The standard deviation: the root of the variance.
    std std_axis std_axes Std false;
    /// The standard deviation of what is not NaN.
    nanstd nanstd_axis nanstd_axes Std true;
}
