//! Counts and places that are found block by block: histograms along several axes and with weights, places in a sorted array.

use std::cmp::Ordering;

use ndarray::{ArrayD, ArrayViewD, Axis, Dimension, Ix1, Ix2, IxDyn};

use super::Array;
use super::blocks::{Mapped, at_line, block, view};
use super::element::{Element, Real};
use super::kernels::ReduceKind;
use super::many::broadcast_all;
use super::operators::cast;
use super::plan::{Blocks, Cuts, Taken, TaskPlace, plan, shown_shape};
use super::reduce::reduced;
use crate::error::{Error, ErrorKind, Result};
use crate::origin::Origin;
use crate::store::{DType, NdBlock};

/// The cuts of arrays of one shape, wherever one of them is cut.
///
/// # Errors
/// Of kind `Plan`, where there are none, or they differ in shape.
pub(super) fn alike(arrays: &[&Blocks]) -> Result<Vec<Cuts>> {
    let first = *arrays.first().ok_or_else(|| plan("there are no arrays"))?;
    let mut cuts = first.cuts.to_vec();
    for array in arrays {
        let same = |(a, b): (&Cuts, &Cuts)| a.len() == b.len() && (a.len().is_some() || a.blocks() == b.blocks());
        if array.rank() != first.rank() || !first.cuts.iter().zip(array.cuts.iter()).all(same) {
            let (one, other) = (shown_shape(&first.cuts), shown_shape(&array.cuts));
            return Err(plan(format!("arrays of the shapes {one} and {other} do not lie beside each other")));
        }
        cuts.iter_mut().zip(array.cuts.iter()).for_each(|(all, own)| *all = all.united(own));
    }
    Ok(cuts)
}

/// What the tasks on a grid of these blocks take of each of some arrays: the block that stands where they do.
pub(super) fn beside(cuts: &[Cuts], arrays: usize) -> Vec<Vec<Taken>> {
    vec![cuts.iter().enumerate().map(|(axis, cuts)| Taken::blocks(axis, cuts)).collect(); arrays]
}

/// Looks at edges of ranges.
fn edges_ascend(edges: &[f64]) -> Result<()> {
    match edges.len() >= 2 && edges.windows(2).all(|two| two[0] <= two[1]) {
        true => Ok(()),
        false => Err(plan("the edges of a histogram are two at least, and ascend")),
    }
}

/// In which of the ranges between edges a number lies: a range has its lower edge, the last one its upper edge too.
fn range_of(edges: &[f64], value: f64) -> Option<usize> {
    let last = edges.len() - 1;
    if value == edges[last] {
        return Some(last - 1);
    }
    let at = edges.partition_point(|edge| *edge <= value);
    (at > 0 && at <= last && !value.is_nan()).then(|| at - 1)
}

/// A table of sums for each block, which are added up: each element of the samples, which lie beside each other, and of the weights behind
/// them, goes to a place of the table, or nowhere.
fn summed(
    samples: &[&Blocks],
    weights: Option<&Blocks>,
    shape: &[usize],
    place: impl Fn(&[&[f64]], usize) -> Result<Option<usize>> + Send + Sync + 'static,
    verb: &'static str,
    origin: Origin,
) -> Result<Blocks> {
    let floats = samples.iter().map(|sample| cast(sample, DType::F64, verb, origin)).collect::<Result<Vec<_>>>()?;
    let mut inputs: Vec<&Blocks> = floats.iter().collect();
    inputs.extend(weights);
    let places = shape.iter().try_fold(1_usize, |all, len| all.checked_mul(*len));
    let places = places.ok_or_else(|| plan(format!("a table of {shape:?} places is more than can be counted")))?;
    let cuts = alike(&inputs)?;
    let (takes, grid): (_, Vec<u32>) = (beside(&cuts, inputs.len()), cuts.iter().map(Cuts::blocks).collect());
    let count = grid.iter().try_fold(1_u32, |all, blocks| all.checked_mul(*blocks));
    let count = count.ok_or_else(super::plan::too_many_blocks)?;
    let mut cuts = vec![Cuts::even(count as usize, 1)];
    cuts.extend(shape.iter().map(|len| Cuts::whole(*len)));
    let of_block: Vec<usize> = std::iter::once(1).chain(shape.iter().copied()).collect();
    let samples = samples.len();
    let mapped = Mapped { verb, origin, inputs, grid, takes, cuts, key: None };
    let tables = mapped.of::<f64>(move |given: Vec<NdBlock>, _: &TaskPlace| {
        let mut sums = vec![0.0; places];
        let columns = given.iter().map(|block| Ok(&block.get::<f64>()?[..])).collect::<Result<Vec<&[f64]>>>()?;
        let (columns, weights) = columns.split_at(samples);
        let len = columns.first().map_or(0, |column| column.len());
        let each_weight = |at: usize| weights.first().map_or(1.0, |weights| weights[at]);
        for at in 0..len {
            if let Some(place) = place(columns, at)? {
                sums[place] += each_weight(at);
            }
        }
        let table = ArrayD::from_shape_vec(IxDyn(&of_block), sums);
        block(table.map_err(|error| Error::internal(format!("a table of another shape: {error}")))?)
    })?;
    reduced(&tables, (ReduceKind::Sum, false), &[0], false, verb, origin)
}

/// How many points lie in each box of a grid, which edges along each axis make; with weights the sums of these. Each array gives the
/// points' places along an axis, as `f64`; all are of one shape. A range has its lower edge, the last one its upper edge too; what lies
/// outside along any axis, and NaN, is not counted.
///
/// # Errors
/// At compute, of kind `Plan`, where there is not a list of edges for each array, they are fewer than two or do not ascend, or the arrays differ
/// in shape. A table of all boxes is made for each block of points: where it does not fit, of kind `OutOfMemory`.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let x = array::from_vec(vec![0.5, 1.5, 1.5], 2);
/// let y = array::from_vec(vec![0.5, 0.5, 9.0], 2);
/// let edges = [vec![0.0, 1.0, 2.0], vec![0.0, 1.0]];
/// let counts = array::histogramdd(&[&x, &y], &edges, None);
/// assert_eq!(counts.compute()?, ndarray::arr2(&[[1.0], [1.0]]).into_dyn());
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[track_caller]
pub fn histogramdd<A: Real, D: Dimension>(
    points: &[&Array<A, D>],
    edges: &[Vec<f64>],
    weights: Option<&Array<f64, D>>,
) -> Array<f64, IxDyn> {
    let (verb, origin) = ("histogramdd", Origin::caller());
    at_line(counted(points, edges, weights, verb, origin), verb, origin)
}

/// See [`histogramdd`].
fn counted<A, D>(
    points: &[&Array<A, D>],
    edges: &[Vec<f64>],
    weights: Option<&Array<f64, D>>,
    verb: &'static str,
    origin: Origin,
) -> Result<Blocks> {
    if points.is_empty() || points.len() != edges.len() {
        return Err(plan(format!("{} lists of edges for {} arrays", edges.len(), points.len())));
    }
    edges.iter().try_for_each(|edges| edges_ascend(edges))?;
    let shape: Vec<usize> = edges.iter().map(|edges| edges.len() - 1).collect();
    let samples = points.iter().map(|points| points.planned()).collect::<Result<Vec<_>>>()?;
    if let Some(complex) = samples.iter().find(|sample| matches!(sample.dtype, DType::C32 | DType::C64)) {
        return Err(plan(format!("`{verb}` is not defined for {}", complex.dtype)));
    }
    let weights = weights.map(Array::planned).transpose()?;
    let edges = edges.to_vec();
    let place = move |columns: &[&[f64]], at: usize| {
        let mut place = 0;
        for (edges, column) in edges.iter().zip(columns) {
            let Some(range) = range_of(edges, column[at]) else { return Ok(None) };
            place = place * (edges.len() - 1) + range;
        }
        Ok(Some(place))
    };
    summed(&samples, weights, &shape, place, verb, origin)
}

impl<A: Real, D: Dimension> Array<A, D> {
    /// As [`histogram_between`](Array::histogram_between), but of each element a weight is added, not 1.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where there are fewer than two edges, or they do not ascend; where the shapes differ.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let (x, weights) = (array::from_vec(vec![0, 1, 1], 2), array::from_vec(vec![0.5, 1.0, 2.0], 2));
    /// assert_eq!(x.histogram_weighted(&[0.0, 1.0, 2.0], &weights).compute()?, ndarray::arr1(&[0.5, 3.0]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn histogram_weighted(&self, edges: &[f64], weights: &Array<f64, D>) -> Array<f64, Ix1> {
        let (verb, origin) = ("histogram_weighted", Origin::caller());
        at_line(counted(&[self], &[edges.to_vec()], Some(weights), verb, origin), verb, origin)
    }

    /// How many pairs of elements of two arrays, which have one shape, lie in each rectangle between edges: see [`histogramdd`].
    ///
    /// # Errors
    /// As [`histogramdd`].
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let (x, y) = (array::from_vec(vec![0.5, 1.5, 1.5], 2), array::from_vec(vec![0.5, 0.5, 1.0], 2));
    /// let counts = x.histogram2d(&y, &[0.0, 1.0, 2.0], &[0.0, 1.0]);
    /// assert_eq!(counts.compute()?, ndarray::arr2(&[[1.0], [2.0]]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn histogram2d(&self, other: &Array<A, D>, edges: &[f64], other_edges: &[f64]) -> Array<f64, Ix2> {
        let (verb, origin) = ("histogram2d", Origin::caller());
        let edges = [edges.to_vec(), other_edges.to_vec()];
        at_line(counted(&[self, other], &edges, None, verb, origin), verb, origin)
    }

    /// The sums of the weights of each number from 0 on, below `length`.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where the elements are no integers, or the shapes differ; of kind `Data`, where a number is negative, or
    /// not below `length`.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let (x, weights) = (array::from_vec(vec![0, 2, 2], 2), array::from_vec(vec![0.5, 1.0, 2.0], 2));
    /// assert_eq!(x.bincount_weighted(&weights, 3).compute()?, ndarray::arr1(&[0.5, 0.0, 3.0]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn bincount_weighted(&self, weights: &Array<f64, D>, length: usize) -> Array<f64, Ix1> {
        let (verb, origin) = ("bincount_weighted", Origin::caller());
        let made = || {
            let (blocks, weights) = (self.planned()?, weights.planned()?);
            if matches!(blocks.dtype, DType::F32 | DType::F64 | DType::C32 | DType::C64) {
                return Err(plan(format!("bincount counts whole numbers, not {}: cast them", blocks.dtype)));
            }
            let place = move |columns: &[&[f64]], at: usize| {
                let number = columns[0][at];
                if number < 0.0 || number >= length as f64 {
                    let text = format!(
                        "bincount_weighted of {number}, where numbers from 0 on and below {length} are counted"
                    );
                    return Err(Error::new(ErrorKind::Data, text));
                }
                Ok(Some(number as usize))
            };
            summed(&[blocks], Some(weights), &[length], place, verb, origin)
        };
        at_line(made(), verb, origin)
    }
}

/// As NumPy sorts: NaN behind all.
fn order<A: PartialOrd>(a: &A, b: &A) -> Ordering {
    let is_nan = |of: &A| of.partial_cmp(of).is_none();
    a.partial_cmp(b).unwrap_or_else(|| is_nan(a).cmp(&is_nan(b)))
}

impl<A: Element + PartialOrd> Array<A, Ix1> {
    /// Where elements would stand in this array, which is sorted: how many of its elements are less, or with `right` at most as large. NaN
    /// is larger than all else. Neither array has to fit in memory: each block of the one is looked at for each of the other.
    ///
    /// # Errors
    /// Those of the arrays. Of one that is not sorted the result has no meaning.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let sorted = array::from_vec(vec![1, 3, 3, 5], 3);
    /// let x = array::from_ndarray(ndarray::arr2(&[[0, 3], [5, 9]]), 1);
    /// assert_eq!(sorted.searchsorted(&x, false).compute()?, ndarray::arr2(&[[0, 1], [3, 4]]));
    /// assert_eq!(sorted.searchsorted(&x, true).compute()?, ndarray::arr2(&[[0, 3], [4, 4]]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn searchsorted<D: Dimension>(&self, values: &Array<A, D>, right: bool) -> Array<i64, D> {
        let (verb, origin) = ("searchsorted", Origin::caller());
        let made = || {
            let (sorted, of) = (self.planned()?, values.planned()?);
            let mut cuts = vec![Cuts::even(sorted.count() as usize, 1)];
            cuts.extend(of.cuts.iter().cloned());
            let own = vec![Taken::blocks(0, &sorted.cuts[0])];
            let other = of.cuts.iter().enumerate().map(|(axis, cuts)| Taken::blocks(axis + 1, cuts)).collect();
            let (grid, takes) = (cuts.iter().map(Cuts::blocks).collect(), vec![own, other]);
            let key = Some(format!("searchsorted, right {right}"));
            let mapped = Mapped { verb, origin, inputs: vec![sorted, of], grid, takes, cuts, key };
            let counts = mapped.of::<i64>(move |given, _| {
                let [sorted, values] = &given[..] else { return Err(Error::internal("two arrays without one")) };
                let sorted = view::<A, Ix1>(sorted)?;
                let values: ArrayViewD<'_, A> = view::<A, IxDyn>(values)?;
                let counts = values.mapv(|value| {
                    let before = |at: &A| match order(at, &value) {
                        Ordering::Less => true,
                        Ordering::Equal => right,
                        Ordering::Greater => false,
                    };
                    match sorted.as_slice() {
                        Some(sorted) => sorted.partition_point(before) as i64,
                        None => sorted.iter().take_while(|at| before(at)).count() as i64,
                    }
                });
                block(counts.insert_axis(Axis(0)))
            })?;
            reduced(&counts, (ReduceKind::Sum, false), &[0], false, verb, origin)
        };
        at_line(made(), verb, origin)
    }
}

/// Of each place the element of the array whose number an array of numbers tells there. All of them broadcast.
///
/// # Errors
/// At compute, of kind `Plan`, where there are no arrays or they do not broadcast; of kind `Data`, where a number is that of no array.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let (x, y) = (array::arange(0, 4, 1, 2), array::full(1, 10, 1));
/// let which = array::from_vec(vec![0, 1, 1, 0], 4);
/// assert_eq!(array::choose(&which, &[&x, &y]).compute()?.to_vec(), [0, 10, 10, 3]);
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[track_caller]
pub fn choose<A: Element, D: Dimension + 'static>(which: &Array<i64, D>, arrays: &[&Array<A, D>]) -> Array<A, D> {
    let (verb, origin) = ("choose", Origin::caller());
    let made = || {
        let mut inputs = vec![which.planned()?];
        for array in arrays {
            inputs.push(array.planned()?);
        }
        if arrays.is_empty() {
            return Err(plan("there is nothing to choose from"));
        }
        let inputs = broadcast_all(&inputs, verb, origin)?;
        let inputs: Vec<&Blocks> = inputs.iter().collect();
        let cuts = alike(&inputs)?;
        let (takes, grid) = (beside(&cuts, inputs.len()), cuts.iter().map(Cuts::blocks).collect());
        let mapped = Mapped { verb, origin, inputs, grid, takes, cuts, key: Some("choose".to_string()) };
        mapped.of::<A>(move |given, _| {
            let Some((which, arrays)) = given.split_first() else { return Err(Error::internal("no array")) };
            let arrays = arrays.iter().map(|block| A::slice(block.get::<A::Stored>()?)).collect::<Result<Vec<_>>>()?;
            let mut chosen = Vec::with_capacity(which.data().len());
            for (at, number) in which.get::<i64>()?.iter().enumerate() {
                let array = usize::try_from(*number).ok().and_then(|number| arrays.get(number));
                let Some(value) = array.and_then(|array| array.get(at)) else {
                    let text = format!("array {number} is chosen of {}, which are numbered from 0 on", arrays.len());
                    return Err(Error::new(ErrorKind::Data, text));
                };
                chosen.push(*value);
            }
            let chosen = ArrayD::from_shape_vec(IxDyn(which.shape()), chosen);
            block(chosen.map_err(|error| Error::internal(format!("a choice of another shape: {error}")))?)
        })
    };
    at_line(made(), verb, origin)
}
