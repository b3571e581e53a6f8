//! Verbs that put arrays together, take them apart and look at neighbours: steps of the random programs, and what each verb promises.

use chunkwise::array::{Axis, BlockShape, Boundary, Depth, Ix1, IxDyn, Pad, s};
use chunkwise::prelude::*;
use ndarray::{ArrayD, IxDyn as Dyn, Slice};

use super::arrays::{Choices, Pair, slice_of};

/// The place in an axis of a length from which NumPy's `pad` takes what stands at `at`, which may lie outside.
fn padded_place(at: i64, len: i64, mode: usize) -> i64 {
    let mut at = at;
    match mode {
        0 => at.clamp(0, len - 1),
        1 => at.rem_euclid(len),
        2 if len == 1 => 0,
        _ => loop {
            let edge = i64::from(mode == 3);
            at = match at {
                at if at < 0 => -at - edge,
                at if at >= len => 2 * (len - 1) - at + edge,
                at => return at,
            };
        },
    }
}

fn padded(x: &ArrayD<f64>, widths: &[(usize, usize)], mode: usize) -> ArrayD<f64> {
    let shape: Vec<usize> = x.shape().iter().zip(widths).map(|(len, (a, b))| len + a + b).collect();
    ArrayD::from_shape_fn(Dyn(&shape), |at| {
        let mut place = Vec::new();
        for (axis, (before, _)) in widths.iter().enumerate() {
            let (from, len) = (at[axis] as i64 - *before as i64, x.shape()[axis] as i64);
            if mode == 4 {
                if from < 0 || from >= len {
                    return 7.0;
                }
                place.push(from as usize);
            } else {
                place.push(padded_place(from, len, mode) as usize);
            }
        }
        x[&place[..]]
    })
}

/// The shapes with as many elements as an array has, of a few axes.
fn same_size(choices: &mut Choices, mut count: usize) -> Vec<usize> {
    let mut shape = Vec::new();
    for _ in 0..choices.below(4) {
        let divisors: Vec<usize> = (1..=count.clamp(1, 40)).filter(|by| count.is_multiple_of(*by)).collect();
        let by = divisors[choices.below(divisors.len())];
        shape.push(by);
        count /= by.max(1);
    }
    shape.push(count);
    let last = shape.len() - 1;
    shape.swap(choices.below(last + 1), last);
    shape
}

/// One more array, by a verb of this file's.
pub(super) fn step(choices: &mut Choices, all: &[Pair]) -> Pair {
    let pick = |choices: &mut Choices| all[choices.below(all.len())].clone();
    let (a, x) = pick(choices);
    let rank = x.ndim();
    if rank == 0 || x.len() > 2000 {
        return (a, x);
    }
    let axis = choices.below(rank);
    let (len, at) = (x.len_of(Axis(axis)), axis as isize);
    match choices.below(17) {
        0 => {
            let parts: Vec<Pair> = (0..1 + choices.below(3)).map(|_| pick(choices)).collect();
            let fits = |y: &ArrayD<f64>| {
                y.ndim() == rank && (0..rank).all(|at| at == axis || y.len_of(Axis(at)) == x.len_of(Axis(at)))
            };
            let mut fitting: Vec<&Pair> = parts.iter().filter(|(_, y)| fits(y)).collect();
            let own = (a, x.clone());
            fitting.push(&own);
            fitting.push(&own);
            let arrays: Vec<&Array<f64, IxDyn>> = fitting.iter().map(|(array, _)| array).collect();
            let views: Vec<_> = fitting.iter().map(|(_, y)| y.view()).collect();
            let made = array::concatenate(at - if choices.yes() { rank as isize } else { 0 }, &arrays);
            (made, ndarray::concatenate(Axis(axis), &views).unwrap())
        }
        1 if rank < 4 => {
            let doubled = &a * 2.0;
            let made = array::stack(axis as isize - if choices.yes() { rank as isize + 1 } else { 0 }, &[&a, &doubled]);
            (
                made.clip(-1000.0, 1000.0),
                ndarray::stack(Axis(axis), &[x.view(), (&x * 2.0).view()]).unwrap().mapv(|x| x.clamp(-1000.0, 1000.0)),
            )
        }
        2 | 3 => {
            let mode = choices.below(5);
            if mode < 4 && x.shape().contains(&0) {
                return (a, x);
            }
            let widths: Vec<(usize, usize)> = (0..rank).map(|_| (choices.below(4), choices.below(4))).collect();
            let with = [Pad::Edge, Pad::Wrap, Pad::Reflect, Pad::Symmetric, Pad::Constant(7.0)][mode];
            let wanted = padded(&x, &widths, mode);
            if wanted.len() > 4000 { (a, x) } else { (a.pad(&widths, with), wanted) }
        }
        4 => {
            let by = choices.below(2 * len + 3) as isize - len as isize;
            let moved = ArrayD::from_shape_fn(x.raw_dim(), |mut place| {
                place[axis] = (place[axis] as isize - by).rem_euclid(len.max(1) as isize) as usize;
                x[place]
            });
            (a.roll(by, at), moved)
        }
        5 => {
            let shape = same_size(choices, x.len());
            (a.reshape(Dyn(&shape)), x.to_shape(Dyn(&shape)).unwrap().to_owned())
        }
        6 => (a.ravel().into_dyn(), x.to_shape(Dyn(&[x.len()])).unwrap().to_owned()),
        7 if len > 0 => {
            let places: Vec<usize> = (0..choices.below(2 * len + 2)).map(|_| choices.below(len)).collect();
            let signed: Vec<isize> =
                places.iter().map(|place| *place as isize - if choices.yes() { len as isize } else { 0 }).collect();
            (a.take(&signed, at), x.select(Axis(axis), &places))
        }
        8 => {
            let times = choices.below(3);
            let rows: Vec<usize> = (0..len * times).map(|place| place / times).collect();
            (a.repeat(times, at), x.select(Axis(axis), &rows))
        }
        9 if len > 0 => {
            let gone: Vec<usize> = (0..choices.below(len + 1)).map(|_| choices.below(len)).collect();
            let kept: Vec<usize> = (0..len).filter(|place| !gone.contains(place)).collect();
            (a.delete(&gone, at), x.select(Axis(axis), &kept))
        }
        10 => {
            let parts = slice_of(choices, x.shape(), false);
            let mut changed = x.clone();
            let region = changed.slice(&parts[..]).to_owned();
            let values = ArrayD::from_shape_fn(region.raw_dim(), |_| choices.below(9) as f64 + 20.0);
            changed.slice_mut(&parts[..]).assign(&values);
            let cut = super::arrays::chunks(choices, values.shape());
            (a.assign(&parts[..], &array::from_ndarray(values, cut)), changed)
        }
        11 if !x.shape().contains(&0) => {
            // Sums over a window along an axis, with neighbours beyond the edges.
            let (before, behind) = (choices.below(4), choices.below(4));
            let boundary = choices.below(5);
            let with =
                [Boundary::Nearest, Boundary::Periodic, Boundary::None, Boundary::Reflect, Boundary::Constant(7.0)]
                    [boundary];
            let depths: Vec<(usize, usize)> =
                (0..rank).map(|of| if of == axis { (before, behind) } else { (0, 0) }).collect();
            let window = move |block: ndarray::ArrayViewD<'_, f64>| {
                let mut sums = ArrayD::zeros(block.raw_dim());
                for (line, mut sums) in block.lanes(Axis(axis)).into_iter().zip(sums.lanes_mut(Axis(axis))) {
                    for place in 0..line.len() {
                        let (from, to) = (place.saturating_sub(before), (place + behind + 1).min(line.len()));
                        sums[place] = line.slice(ndarray::s![from..to]).sum();
                    }
                }
                sums
            };
            let around = if boundary == 2 { x.clone() } else { padded(&x, &depths, boundary) };
            let mut wanted = window(around.view());
            if boundary != 2 {
                wanted.slice_axis_inplace(Axis(axis), Slice::from(before..before + len));
            }
            let made = a.map_overlap(Depth::sides(depths), with, window).clip(-1000.0, 1000.0);
            (made, wanted.mapv(|x| x.clamp(-1000.0, 1000.0)))
        }
        12 if len > 0 => {
            let k = choices.below(len + 2).max(1);
            let largest = choices.yes();
            let mut best = x.clone();
            for mut line in best.lanes_mut(Axis(axis)) {
                let mut sorted = line.to_vec();
                sorted.sort_by(|a, b| if largest { b.total_cmp(a) } else { a.total_cmp(b) });
                line.assign(&ndarray::Array1::from(sorted));
            }
            best.slice_axis_inplace(Axis(axis), Slice::from(..k.min(len)));
            (a.topk(if largest { k as isize } else { -(k as isize) }, at), best)
        }
        13 => {
            let spans = x.map_axis(Axis(axis), |line| line.iter().copied().fold(3.0, |last, value| value - last));
            let made =
                a.map_blocks_as(BlockShape::same().drop_axis(at), move |block: ndarray::ArrayViewD<'_, f64>, _| {
                    block.map_axis(Axis(axis), |line| line.iter().copied().fold(3.0, |last, value| value - last))
                });
            let made: Array<f64, IxDyn> = made;
            (made.clip(-1000.0, 1000.0), spans.mapv(|x| x.clamp(-1000.0, 1000.0)))
        }
        14 => {
            let mut sums = x.clone();
            sums.accumulate_axis_inplace(Axis(axis), |last, value| *value += last);
            (a.cumsum(at).clip(-1000.0, 1000.0), sums.mapv(|x| x.clamp(-1000.0, 1000.0)))
        }
        15 if len > 0 => {
            let (front, back) = (Slice::from(..len - 1), Slice::from(1..));
            let rise = &x.slice_axis(Axis(axis), back) - &x.slice_axis(Axis(axis), front);
            (a.diff(1, at).clip(-1000.0, 1000.0), rise.mapv(|x| x.clamp(-1000.0, 1000.0)))
        }
        16 if (1..3).contains(&rank) => {
            // Whole numbers are multiplied and summed up without an error, in any order.
            let other = &all[choices.below(all.len())];
            let fits = |y: &ArrayD<f64>| {
                (1..3).contains(&y.ndim())
                    && y.shape()[y.ndim().saturating_sub(2)] == x.shape()[rank - 1]
                    && y.len() < 2000
            };
            let (b, y) = if fits(&other.1) { other.clone() } else { (a.t(), x.clone().reversed_axes()) };
            let rows = x.to_shape((x.len() / x.shape()[rank - 1].max(1), x.shape()[rank - 1])).unwrap().to_owned();
            let columns = match y.ndim() {
                1 => y.to_shape((y.len(), 1)).unwrap().to_owned(),
                _ => y.clone().into_dimensionality().unwrap(),
            };
            if rows.is_empty() || columns.is_empty() {
                return (a, x);
            }
            let mut wanted = rows.dot(&columns).into_dyn();
            if y.ndim() == 1 {
                wanted = wanted.remove_axis(Axis(1));
            }
            if rank == 1 {
                wanted = wanted.remove_axis(Axis(0));
            }
            (a.dot(&b).clip(-1000.0, 1000.0), wanted.mapv(|x| x.clamp(-1000.0, 1000.0)))
        }
        _ => (a, x),
    }
}

#[test]
fn sums_and_products_of_many_blocks() -> Result<()> {
    // More blocks than totals that are put together at once.
    let known: Vec<i64> = (0..1000).map(|at| (super::support::noise(at) % 100) as i64 - 50).collect();
    let x = array::from_vec(known.clone(), 3);
    let mut last = 0;
    let sums: Vec<i64> = known
        .iter()
        .map(|value| {
            last += value;
            last
        })
        .collect();
    assert_eq!(x.cumsum(0).compute()?.to_vec(), sums);
    assert_eq!(
        x.cast::<f64>().nancumsum(-1).compute()?.to_vec(),
        sums.iter().map(|sum| *sum as f64).collect::<Vec<_>>()
    );
    let nan = array::from_vec(vec![1.0, f64::NAN, 3.0], 2);
    assert!(nan.cumsum(0).compute()?[2].is_nan());
    assert_eq!(
        compute((nan.nancumsum(0), nan.nancumprod(0)))?,
        (ndarray::arr1(&[1.0, 1.0, 4.0]), ndarray::arr1(&[1.0, 1.0, 3.0]))
    );
    // Along an axis of blocks of unknown length.
    let even = x.extract(&(&x % 2).eq(0)).cumsum(0);
    let mut last = 0;
    let wanted: Vec<i64> = known
        .iter()
        .filter(|x| *x % 2 == 0)
        .map(|value| {
            last += value;
            last
        })
        .collect();
    assert_eq!(even.compute()?.to_vec(), wanted);
    // Floats in any number of threads and any limit have the same bits, and are near.
    let floats: Vec<f64> = known.iter().map(|value| *value as f64 / 7.0).collect();
    let y = array::from_ndarray(ndarray::Array2::from_shape_vec((50, 20), floats).unwrap(), (7, 6));
    let plain = y.compute()?;
    let wanted = plain.t().dot(&plain);
    let mut first = None;
    for on in [super::support::On::Synchronous, super::support::On::Threads(2), super::support::On::Threads(8)] {
        for limit in [256 << 10, 1 << 28] {
            let (runtime, _) = on.runtime(limit);
            let (product, sums) = runtime.run(|| compute((y.t().dot(&y), y.cumsum(0))))?;
            assert!(product.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-9));
            let bits: Vec<u64> = product.iter().chain(&sums).map(|value| value.to_bits()).collect();
            assert_eq!(*first.get_or_insert_with(|| bits.clone()), bits, "{on:?} {limit}");
        }
    }
    let batch = array::from_ndarray(plain.clone(), (7, 6)).reshape((5, 10, 20));
    let products = batch.into_dyn().dot(&batch.swap_axes(1, 2).into_dyn());
    let made = products.compute()?;
    for part in 0..5 {
        let rows = plain.slice(ndarray::s![part * 10..part * 10 + 10, ..]);
        let near = made.index_axis(Axis(0), part).iter().zip(&rows.dot(&rows.t())).all(|(a, b)| (a - b).abs() < 1e-9);
        assert!(near, "{part}");
    }
    let (cov, corr) = compute((y.cov(1.0), y.corrcoef()))?;
    assert!(cov.dim() == (50, 50) && (0..50).all(|at| (corr[(at, at)] - 1.0).abs() < 1e-12));
    let error = y.dot(&y).compute().unwrap_err();
    assert!(error.to_string().contains("(50, 20) and (50, 20) have no product: 20 columns meet 50 rows"), "{error}");
    Ok(())
}

/// Rows become columns of what does not fit: through cells that are written and read once.
#[test]
fn rows_become_columns_on_disk() -> Result<()> {
    let (rows, columns) = (600, 500);
    for chunk in [(rows, 5), (40, columns), (1, columns)] {
        let x: Array<f64, _> = array::arange(0.0, (rows * columns) as f64, 1.0, 5000).reshape((rows, columns));
        // A function of blocks: what it makes is kept, and cannot be made anew.
        let kept = x.rechunk(chunk).map_blocks(|block| block.mapv(|x| x * 2.0));
        let turned =
            kept.rechunk((-1, 7)).map_blocks_as(BlockShape::same().drop_axis(0), |block, _| block.sum_axis(Axis(0)));
        let runtime = Runtime::builder().memory_limit(1 << 20).threads(2).build()?;
        let sums: ndarray::Array1<f64> = runtime.run(|| turned.compute())?;
        let wanted = |column: usize| (0..rows).map(|row| 2.0 * (row * columns + column) as f64).sum::<f64>();
        assert!((0..columns).all(|column| sums[column] == wanted(column)), "{chunk:?}");
        let report = runtime.last_report();
        let read = report.read_back_bytes;
        // Rows of one block each go by way of blocks of a shape between.
        let times = if chunk.0 == 1 { 10 } else { 4 };
        assert!(
            read <= times * 8 * (rows * columns) as u64,
            "{chunk:?}: {read} bytes were read back of {}",
            8 * rows * columns
        );
    }
    Ok(())
}

#[test]
fn masks_and_places() -> Result<()> {
    let known = ndarray::Array2::from_shape_fn((13, 7), |(row, column)| ((row * 31 + column * 17) % 11) as i64 - 5);
    for chunks in [(13, 7), (4, 3), (1, 7), (5, 1)] {
        let x = array::from_ndarray(known.clone(), chunks);
        let mask = x.gt(1);
        let wanted: Vec<i64> = known.iter().copied().filter(|value| *value > 1).collect();
        assert_eq!(x.extract(&mask).compute()?.to_vec(), wanted);
        let rows = x.compress(&x.sum_axis(Axis(1)).gt(0), 0);
        let kept: Vec<usize> = (0..13).filter(|row| known.row(*row).sum() > 0).collect();
        assert_eq!(rows.compute()?, known.select(Axis(0), &kept));
        // What has rows of unknown number goes on.
        assert_eq!((&rows * 2).sum().compute()?, known.select(Axis(0), &kept).sum() * 2);
        let places: Vec<[i64; 2]> =
            known.indexed_iter().filter(|(_, v)| **v != 0).map(|((r, c), _)| [r as i64, c as i64]).collect();
        assert_eq!(x.argwhere().compute()?, ndarray::arr2(&places));
        let columns: Vec<i64> = places.iter().map(|[_, column]| *column).collect();
        assert_eq!(x.nonzero()?[1].compute()?.to_vec(), columns);
        let flat: Vec<i64> = places.iter().map(|[row, column]| row * 7 + column).collect();
        assert_eq!(x.flatnonzero().compute()?.to_vec(), flat);
        let points = x.vindex(&[&[3, 12, -13, 3], &[6, 0, 2, -1]]);
        assert_eq!(points.compute()?.to_vec(), [known[(3, 6)], known[(12, 0)], known[(0, 2)], known[(3, 6)]]);
    }
    Ok(())
}

/// Few places of long axes are made by themselves, of sources; those of layers are taken from their blocks.
#[test]
fn places_of_wide_arrays() -> Result<()> {
    let known = ndarray::Array2::from_shape_fn((40, 1000), |(row, column)| (row * 1000 + column) as f64);
    let x = array::from_ndarray(known.clone(), (7, 300));
    let (rows, columns): ([isize; 7], [isize; 4]) = ([39, 3, 4, 5, 3, 0, -40], [999, 0, 1, 500]);
    let place = |at: &isize, len: usize| at.rem_euclid(len as isize) as usize;
    let of_rows: Vec<usize> = rows.iter().map(|at| place(at, 40)).collect();
    let of_columns: Vec<usize> = columns.iter().map(|at| place(at, 1000)).collect();
    let doubled = array::concatenate(0, &[&(&x * 2.0), &x]);
    let both = ndarray::concatenate(Axis(0), &[(&known * 2.0).view(), known.view()]).unwrap();
    let kept = x.map_blocks(|block| block.to_owned());
    for (array, known) in [(&x, &known), (&x.t().t(), &known), (&kept, &known), (&doubled, &both)] {
        assert_eq!(array.take(&rows[..6], 0).compute()?, known.select(Axis(0), &of_rows[..6]));
        assert_eq!(array.take(&columns, 1).compute()?, known.select(Axis(1), &of_columns));
        let (both, one) = compute((array.take(&columns, 1).take(&[1, 1], 0), array.take(&[], 1)))?;
        assert_eq!(both, known.select(Axis(1), &of_columns).select(Axis(0), &[1, 1]));
        assert_eq!(one.shape(), [known.nrows(), 0]);
    }
    assert_eq!(x.take(&rows, 0).compute()?, known.select(Axis(0), &of_rows));
    let kept: Vec<usize> = (0..1000).filter(|at| ![0, 1, 500, 999].contains(at)).collect();
    assert_eq!(x.delete(&of_columns, 1).compute()?, known.select(Axis(1), &kept));
    assert_eq!(x.delete(&(0..40).collect::<Vec<_>>(), 0).compute()?.shape(), [0, 1000]);
    Ok(())
}

#[test]
fn counts_and_largest() -> Result<()> {
    let values: Vec<f64> = (0..5000).map(|at| (super::support::noise(at) % 1000) as f64 / 100.0).collect();
    let with_nan: Vec<f64> = values.iter().copied().chain([f64::NAN, -1.0, 10.0, f64::INFINITY]).collect();
    for chunk in [5004, 700, 1] {
        let x = array::from_vec(with_nan.clone(), chunk);
        let edges = array::histogram_edges(7, (0.0, 10.0))?;
        let wanted: Vec<u64> = (0..7)
            .map(|bin| {
                let inside = |x: &&f64| **x >= edges[bin] && (**x < edges[bin + 1] || (bin == 6 && **x == edges[7]));
                with_nan.iter().filter(inside).count() as u64
            })
            .collect();
        assert_eq!(x.histogram(7, (0.0, 10.0)).compute()?.to_vec(), wanted);
        assert_eq!(x.histogram_between(&edges).compute()?.to_vec(), wanted);
        let (best, at) = compute((x.topk(3, 0), x.argtopk(-2, 0)))?;
        assert!(best[0].is_nan() && best[1] == f64::INFINITY && best[2] == 10.0, "{best}");
        let least = values.iter().position(|value| *value == 0.0).unwrap_or(0) as i64;
        assert_eq!(at.to_vec(), [5001, least]);
    }
    // Numbers anywhere between edges, on them and beside them, near 0 and far from it.
    for (bins, low, high) in [(100_usize, 0.0, 1.0), (3, -7.5, 1e9), (1000, 1e15, 1e15 + 16.0), (10, 0.1, 0.7)] {
        let edges = array::histogram_edges(bins, (low, high))?;
        let somewhere = (0..20_000).map(|at| low + (high - low) * (super::support::noise(at) % 100_003) as f64 / 1e5);
        let beside = edges.iter().flat_map(|edge| [*edge, edge.next_up(), edge.next_down()]);
        let values: Vec<f64> = somewhere.chain(beside).collect();
        let mut wanted = vec![0_u64; bins];
        for value in &values {
            let last = edges.partition_point(|edge| edge <= value);
            if last > 0 && *value <= high {
                wanted[last.min(bins) - 1] += 1;
            }
        }
        let x = array::from_vec(values, 4000);
        assert_eq!(x.histogram(bins, (low, high)).compute()?.to_vec(), wanted, "{bins} from {low} to {high}");
    }
    // Many of many, in the order in which each is better than all before, and with many that are equal.
    let rising = array::arange(0_i64, 20_000, 1, 3000);
    let (best, at) = compute((rising.topk(5000, 0), rising.argtopk(-5000, 0)))?;
    assert!(
        best.iter().eq((15_000..20_000).rev().collect::<Vec<i64>>().iter())
            && at.iter().eq(&(0..5000).collect::<Vec<_>>())
    );
    let equal = (&rising % 3).argtopk(4, 0).compute()?;
    assert_eq!(equal.to_vec(), [2, 5, 8, 11]);
    // Of blocks of no elements the shape is told all the same.
    let empty = array::from_ndarray(ndarray::arr2(&[[1, 2, 3], [6, 5, 4]]), (vec![1, 1], vec![2, 0, 1]));
    let best = empty.topk(1, 0).map_blocks(|block| block.mapv(|value| value + block.len_of(Axis(0)) as i32));
    assert_eq!(best.compute()?, ndarray::arr2(&[[7, 6, 5]]));
    let whole = array::from_vec(vec![3_u8, 0, 3, 9], 2);
    assert_eq!(whole.bincount(12).compute()?.to_vec(), [1, 0, 0, 2, 0, 0, 0, 0, 0, 1, 0, 0]);
    let error = array::from_vec(vec![3_i8, -1], 2).bincount(0).compute().unwrap_err();
    assert!(error.kind() == ErrorKind::Data && error.to_string().contains("-1 is among them"), "{error}");
    let far = array::from_vec(vec![3, 1 << 21], 2);
    let error = far.bincount(0).compute().unwrap_err();
    assert!(error.to_string().contains("from 0 to 2097151, and 2097152 is among them: ask for more"), "{error}");
    assert_eq!(far.bincount((1 << 21) + 1).sum().compute()?, 2);
    assert_eq!(array::from_vec(vec![1, 2, 3, 4], 2).ptp().compute()?, 3);
    Ok(())
}

#[test]
fn wrong_steps() {
    let x: Array<f64, _> = array::zeros((4, 3), 2);
    let wrong = |error: Result<()>, text: &str| {
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Plan, "{error}");
        assert!(error.to_string().contains(text) && error.to_string().contains("array_shapes.rs:"), "{error}");
    };
    let y: Array<f64, _> = array::zeros((2, 5), 2);
    wrong(array::concatenate(0, &[&x, &y]).compute().map(drop), "array 1 has the shape (2, 5) and the first (4, 3)");
    wrong(array::concatenate::<f64, Ix1>(0, &[]).compute().map(drop), "no arrays to put together");
    wrong(x.reshape((5, 2)).compute().map(drop), "has 12 elements: it cannot have the shape [5, 2]");
    wrong(x.pad(&[(1, 1)], Pad::Edge).compute().map(drop), "1 widths for an array of 2 axes");
    wrong(x.take(&[4], 0).compute().map(drop), "4 lies outside of an axis of length 4");
    wrong(x.take(&[-5], 0).compute().map(drop), "-5 lies outside of an axis of length 4");
    wrong(x.vindex(&[&[0], &[0, 1]]).compute().map(drop), "lists of places of different lengths");
    wrong(x.compress(&array::full(3, true, 3), 0).compute().map(drop), "a mask of length 3 for an axis of length 4");
    wrong(x.extract(&y.gt(0.0)).compute().map(drop), "a mask of the shape [2, 5]");
    wrong(
        x.assign(s![0..2, ..], &y).compute().map(drop),
        "elements of the shape [2, 5] in a slice of the shape [2, 3]",
    );
    wrong(x.tile(&[2]).compute().map(drop), "1 numbers for an array of 2 axes");
    wrong(x.topk(0, 0).compute().map(drop), "the first 0 elements");
    wrong(x.histogram(0, (0.0, 1.0)).compute().map(drop), "a histogram of 0 ranges");
    wrong(x.histogram(3, (1.0, f64::NAN)).compute().map(drop), "a histogram from 1 to NaN");
    wrong(x.rot90(1, (0, 0)).compute().map(drop), "from one axis to another one");
    let rows = x.compress(&x.sum_axis(Axis(1)).gt(0.0), 0);
    wrong(rows.reshape(12).compute().map(drop), "compute_chunk_sizes()");
    wrong(array::concatenate(0, &[&rows, &x]).compute().map(drop), "compute_chunk_sizes()");
    let short = x.map_blocks(|block| block.slice(ndarray::s![..1, ..]).to_owned());
    let error = short.compute().unwrap_err();
    assert!(
        error.kind() == ErrorKind::Data && error.to_string().contains("map_blocks made the shape [1, 2]"),
        "{error}"
    );
    let flat: Array<f64, Ix1> = x.map_blocks_as(BlockShape::same(), |block, _| block.sum_axis(Axis(0)));
    wrong(flat.compute().map(drop), "the function gives arrays of 1 axes, and the result has 2");
    let failing =
        x.map_blocks(|_| -> Result<ndarray::Array2<f64>> { Err(Error::new(ErrorKind::Task, "no such block")) });
    assert!(failing.compute().unwrap_err().to_string().contains("no such block"));
}
