//! Verbs over windows, tables of counts, products over any axes and reductions by functions: steps of the random programs, and what each promises.

use chunkwise::array::{Axis, Ix1, Ix2, IxDyn, Pad, random};
use chunkwise::prelude::*;
use ndarray::{ArrayD, ArrayViewD, Dimension, IxDyn as Dyn, stack};

use super::arrays::{Choices, Pair, chunks};
use super::support::{AMPLE, On, assert_nothing_held};

/// Sums of products by a loop over all places of all letters.
fn summed(letters: &[&[char]], out: &[char], arrays: &[&ArrayD<f64>]) -> ArrayD<f64> {
    let mut all: Vec<(char, usize)> = Vec::new();
    for (letters, array) in letters.iter().zip(arrays) {
        for (letter, len) in letters.iter().zip(array.shape()) {
            if !all.iter().any(|(of, _)| of == letter) {
                all.push((*letter, *len));
            }
        }
    }
    let lens: Vec<usize> = all.iter().map(|(_, len)| *len).collect();
    let at_letters = |at: &[usize], letters: &[char]| -> Vec<usize> {
        letters.iter().map(|letter| at[all.iter().position(|(of, _)| of == letter).unwrap()]).collect()
    };
    let shape = at_letters(&lens, out);
    let mut sums = ArrayD::zeros(Dyn(&shape));
    for at in ndarray::indices(Dyn(&lens)) {
        let product: f64 =
            letters.iter().zip(arrays).map(|(letters, array)| array[&at_letters(at.slice(), letters)[..]]).product();
        sums[&at_letters(at.slice(), out)[..]] += product;
    }
    sums
}

fn bounded(array: Array<f64, IxDyn>, known: ArrayD<f64>) -> Pair {
    (array.clip(-1000.0, 1000.0), known.mapv(|value| value.clamp(-1000.0, 1000.0)))
}

/// One more array, by a verb of this file's.
pub(super) fn step(choices: &mut Choices, all: &[Pair]) -> Pair {
    let (a, x) = all[choices.below(all.len())].clone();
    let rank = x.ndim();
    if rank == 0 || x.len() > 1000 {
        return (a, x);
    }
    let axis = choices.below(rank);
    let (len, at) = (x.len_of(Axis(axis)), axis as isize);
    match choices.below(7) {
        0 if len > 0 && rank < 4 => {
            let window = 1 + choices.below(len.min(4));
            let windows: Vec<_> =
                (0..window).map(|from| x.slice_axis(Axis(axis), (from..from + len - window + 1).into())).collect();
            (a.sliding_windows(window, at), stack(Axis(rank), &windows).unwrap())
        }
        1 => {
            let factor = 1 + choices.below(3);
            let sums = ArrayD::from_shape_fn(
                Dyn(&x
                    .shape()
                    .iter()
                    .enumerate()
                    .map(|(of, len)| if of == axis { len / factor } else { *len })
                    .collect::<Vec<_>>()),
                |place| {
                    let mut place = place;
                    let first = place[axis] * factor;
                    (first..first + factor)
                        .map(|at| {
                            place[axis] = at;
                            x[&place]
                        })
                        .sum::<f64>()
                },
            );
            bounded(a.coarsen(&[(at, factor)], true, |windows, axes| windows.sum_axes(axes, false)), sums)
        }
        2 => {
            // The sum and the greatest of what is there, by a state of two numbers.
            let mut axes: Vec<usize> = (0..rank).filter(|_| choices.yes()).collect();
            axes.reverse();
            let over = axes.clone();
            let state = move |block: ArrayViewD<'_, f64>| {
                let (mut sum, mut best) = (block.to_owned(), block.to_owned());
                for axis in &over {
                    sum = sum.sum_axis(Axis(*axis));
                    best = best.fold_axis(Axis(*axis), -5000.0, |a: &f64, b| a.max(*b));
                }
                stack(Axis(sum.ndim()), &[sum.view(), best.view()]).unwrap()
            };
            let made = a.reduction(
                &axes.iter().map(|axis| *axis as isize).collect::<Vec<_>>(),
                2,
                state,
                |a, b| {
                    let mut both = &a + &b;
                    let last = Axis(a.ndim() - 1);
                    let best = |of: &ArrayViewD<'_, f64>| of.index_axis(last, 1).to_owned();
                    let (one, other) = (best(&a), best(&b));
                    both.index_axis_mut(last, 1)
                        .assign(&ndarray::Zip::from(&one).and(&other).map_collect(|a, b| a.max(*b)));
                    both
                },
                |state| {
                    let last = Axis(state.ndim() - 1);
                    &state.index_axis(last, 0) - &state.index_axis(last, 1)
                },
            );
            let (mut sum, mut best) = (x.clone(), x);
            for axis in axes {
                sum = sum.sum_axis(Axis(axis));
                best = best.fold_axis(Axis(axis), -5000.0, |a, b| a.max(*b));
            }
            bounded(made, sum - best)
        }
        3 if len > 0 => {
            let widths: Vec<(usize, usize)> =
                (0..rank).map(|of| if of == axis { (choices.below(3), choices.below(3)) } else { (0, 0) }).collect();
            let greatest = choices.yes();
            let best = x.map_axis(Axis(axis), |row| {
                row.iter().copied().reduce(if greatest { f64::max } else { f64::min }).unwrap()
            });
            let wide = |count| {
                let mut shape = x.shape().to_vec();
                shape[axis] = count;
                best.clone().insert_axis(Axis(axis)).broadcast(Dyn(&shape)).unwrap().to_owned()
            };
            let (before, behind) = (wide(widths[axis].0), wide(widths[axis].1));
            let known = ndarray::concatenate(Axis(axis), &[before.view(), x.view(), behind.view()]).unwrap();
            (a.pad(&widths, if greatest { Pad::Maximum } else { Pad::Minimum }), known)
        }
        4 => {
            let (b, y) = all[choices.below(all.len())].clone();
            let names: Vec<char> = ('a'..='z').collect();
            let of_x = &names[..rank];
            // Letters that both have, where lengths allow, in any order.
            let of_y: Vec<char> = y
                .shape()
                .iter()
                .enumerate()
                .map(|(at, len)| match choices.below(rank + 1) {
                    of if of < rank && x.shape()[of] == *len => of_x[of],
                    _ => names[rank + at],
                })
                .collect();
            let mut out: Vec<char> = of_x.iter().chain(&of_y).copied().filter(|_| choices.yes()).collect();
            out.sort_unstable();
            out.dedup();
            if out.len() > 1 && choices.yes() {
                out.swap(0, 1);
            }
            let len = |of: &char| of_x.iter().position(|x| x == of).map(|at| x.shape()[at]);
            let lens = of_y.iter().zip(y.shape()).filter(|(letter, _)| len(letter).is_none()).map(|(_, len)| *len);
            if x.len() * lens.product::<usize>() > 20_000 {
                return (a, x);
            }
            let text = |letters: &[char]| letters.iter().collect::<String>();
            let notation = format!("{},{}->{}", text(of_x), text(&of_y), text(&out));
            bounded(array::einsum(&notation, &[&a, &b]), summed(&[of_x, &of_y], &out, &[&x, &y]))
        }
        5 => {
            let edges = [-10.0, -2.0, 0.0, 3.0, 9.0];
            let counts = a.histogram2d(&(&a * -1.0), &edges, &edges).into_dyn();
            let mut known = ArrayD::<f64>::zeros(Dyn(&[4, 4]));
            let range = |of: f64| match of {
                9.0 => Some(3),
                of => edges.windows(2).position(|two| two[0] <= of && of < two[1]),
            };
            for value in &x {
                if let (Some(row), Some(column)) = (range(*value), range(-*value)) {
                    known[[row, column]] += 1.0;
                }
            }
            (counts, known)
        }
        _ => {
            let which = a.abs().cast::<i64>();
            let which = &which % 2;
            let chosen = array::choose(&which, &[&(&a * 2.0), &a]);
            bounded(chosen, x.mapv(|value| if value.abs() % 2.0 == 0.0 { value * 2.0 } else { value }))
        }
    }
}

/// What NumPy 2.4 gives for `pad` with ramps and means.
#[test]
fn ramps_and_means() -> Result<()> {
    for chunk in [5, 2, 1] {
        let x = array::from_vec(vec![4_i64, 1, 3, 2, 7], chunk);
        assert_eq!(x.pad(&[(3, 2)], Pad::LinearRamp(-1)).compute()?.to_vec(), [-1, 0, 2, 4, 1, 3, 2, 7, 3, -1]);
        assert_eq!(x.pad(&[(1, 1)], Pad::Mean).compute()?.to_vec(), [3, 4, 1, 3, 2, 7, 3]);
        let y = (&x.cast::<f64>() / 2.0).pad(&[(2, 4)], Pad::LinearRamp(0.0)).compute()?;
        assert_eq!(y.to_vec(), [0.0, 1.0, 2.0, 0.5, 1.5, 1.0, 3.5, 2.625, 1.75, 0.875, 0.0]);
        assert_eq!(x.pad(&[(2, 0)], Pad::Maximum).compute()?.to_vec(), [7, 7, 4, 1, 3, 2, 7]);
    }
    let half = array::from_vec(vec![1_i32, 2], 1).pad(&[(1, 0)], Pad::Mean).compute()?;
    assert_eq!(half.to_vec(), [2, 1, 2], "1.5 is rounded to an even number");
    let square = array::from_ndarray(ndarray::arr2(&[[1.0, 3.0], [5.0, 7.0]]), 1);
    let padded = square.pad(&[(1, 0), (1, 0)], Pad::Mean).compute()?;
    assert_eq!(padded, ndarray::arr2(&[[4.0, 3.0, 5.0], [2.0, 1.0, 3.0], [6.0, 5.0, 7.0]]));
    Ok(())
}

/// Numbers with NaN, equal ones and infinities find their places, however both arrays are cut.
#[test]
fn places_in_sorted_arrays() -> Result<()> {
    let mut sorted: Vec<f64> = (0..200).map(|at| (super::support::noise(at) % 50) as f64).collect();
    sorted.sort_by(f64::total_cmp);
    sorted.extend([f64::INFINITY, f64::NAN, f64::NAN]);
    let values = [-1.0, 0.0, 7.0, 7.5, 49.0, 50.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
    for (cut, other) in [(203, 9), (10, 2), (1, 4)] {
        let (edges, x) = (array::from_vec(sorted.clone(), cut), array::from_vec(values.to_vec(), other));
        let (left, right) = compute((edges.searchsorted(&x, false), edges.searchsorted(&x, true)))?;
        for (at, value) in values.iter().enumerate() {
            let less = sorted.iter().filter(|of| **of < *value || (value.is_nan() && !of.is_nan())).count() as i64;
            let equal = sorted.iter().filter(|of| **of == *value || (value.is_nan() && of.is_nan())).count() as i64;
            assert_eq!((left[at], right[at]), (less, less + equal), "{value}");
        }
    }
    let none = array::from_vec(Vec::<i32>::new(), 1);
    assert_eq!(none.searchsorted(&array::arange(0, 3, 1, 2), true).compute()?.to_vec(), [0, 0, 0]);
    Ok(())
}

#[test]
fn counts_with_weights() -> Result<()> {
    let (x, y) =
        (random::seed(1).uniform(-1.0..2.0, (50, 40), (9, 7)), random::seed(2).uniform(-1.0..2.0, (50, 40), (50, 3)));
    let weights = random::seed(3).integers(0_i64..9, (50, 40), (11, 40)).cast::<f64>();
    let edges = [array::histogram_edges(5, (0.0, 1.0))?, array::histogram_edges(3, (-1.0, 1.5))?];
    let table = array::histogramdd(&[&x, &y], &edges, Some(&weights));
    let (known_x, known_y, known) = compute((&x, &y, &weights))?;
    let mut wanted = ArrayD::<f64>::zeros(Dyn(&[5, 3]));
    for ((x, y), weight) in known_x.iter().zip(&known_y).zip(&known) {
        let range = |edges: &[f64], of: f64| edges.windows(2).position(|two| two[0] <= of && of < two[1]);
        if let (Some(row), Some(column)) = (range(&edges[0], *x), range(&edges[1], *y)) {
            wanted[[row, column]] += weight;
        }
    }
    for (on, limit) in [(On::Synchronous, AMPLE), (On::Threads(2), AMPLE), (On::Threads(8), 2 << 20)] {
        let (runtime, _) = on.runtime(limit);
        assert_eq!(runtime.run(|| table.compute())?, wanted);
        assert_nothing_held(&runtime, "a table of counts");
    }
    let line = x.histogram_weighted(&edges[0], &weights).compute()?;
    let all = array::histogramdd(&[&x], &edges[..1], Some(&weights)).compute()?;
    assert_eq!(line.into_dyn(), all);
    let numbers = weights.cast::<i64>();
    let sums = numbers.bincount_weighted(&weights, 9).compute()?;
    let counts = numbers.bincount(9).compute()?;
    assert!((0..9).all(|at| sums[at] == at as f64 * counts[at] as f64));
    Ok(())
}

/// Numbers that are drawn by parameters of their own are the same however these are cut, and follow them.
#[test]
fn drawn_by_parameters() -> Result<()> {
    let means = ndarray::Array2::from_shape_fn((60, 50), |(row, column)| (row * 50 + column) as f64);
    let drawn = |cut: (i32, i32)| {
        let (rng, x) = (random::seed(5), array::from_ndarray(means.clone(), cut));
        let around = rng.draw_each(&[&x, &(&x * 2.0)], |rng, own| own[0] + own[1] + rand_like(rng));
        compute((around, rng.normal_of(&x, &array::full((50,), 0.25, 7)), rng.normal_of(&x, &x.zeros_like())))
    };
    let (around, normal, exact) = drawn((60, 50))?;
    assert_eq!(drawn((7, 13))?, (around.clone(), normal.clone(), exact.clone()));
    assert_eq!(exact, means);
    let apart = &around - &(&means * 3.0);
    assert!(apart.iter().all(|part| (0.0..1.0).contains(part)) && (apart.mean().unwrap() - 0.5).abs() < 0.02);
    let apart = &normal - &means;
    assert!((apart.mean().unwrap()).abs() < 0.02 && (apart.std(0.0) - 0.25).abs() < 0.02);
    let error = random::seed(1).draw_each::<f64, Ix1, f64>(&[], |_, _| 0.0).compute().unwrap_err();
    assert!(error.kind() == ErrorKind::Plan && error.to_string().contains("array_folds.rs:"), "{error}");
    Ok(())
}

/// A number from 0 up to 1.
fn rand_like(rng: &mut random::ElementRng) -> f64 {
    use rand::RngExt;
    rng.random()
}

/// Contractions over several axes, beside what a loop gives.
#[test]
fn tensors() -> Result<()> {
    let mut choices = Choices(3);
    let made = |choices: &mut Choices, shape: &[usize]| -> Pair {
        let known = ArrayD::from_shape_fn(Dyn(shape), |_| choices.below(19) as f64 - 9.0);
        let cut = chunks(choices, shape);
        (array::from_ndarray(known.clone(), cut), known)
    };
    for _ in 0..5 {
        let ((a, x), (b, y), (c, z)) =
            (made(&mut choices, &[3, 4, 5]), made(&mut choices, &[5, 3, 2]), made(&mut choices, &[4, 4, 2]));
        let two = a.tensordot(&b, &[(0, 1), (-1, 0)]).compute()?;
        assert_eq!(two, summed(&[&['i', 'j', 'k'], &['k', 'i', 'l']], &['j', 'l'], &[&x, &y]));
        let none = a.tensordot(&b, &[]).compute()?;
        assert_eq!(none, summed(&[&['a', 'b', 'c'], &['d', 'e', 'f']], &['a', 'b', 'c', 'd', 'e', 'f'], &[&x, &y]));
        let three = array::einsum("ijk, kil, jjl -> lj", &[&a, &b, &c]).compute()?;
        let wanted = summed(&[&['i', 'j', 'k'], &['k', 'i', 'l'], &['j', 'j', 'l']], &['l', 'j'], &[&x, &y, &z]);
        assert_eq!(three, wanted);
        let unlike = array::einsum("ba,cb", &[&a.index_axis(Axis(0), 1), &b.index_axis(Axis(2), 0).t()]);
        assert!(unlike.compute().is_err());
        assert_eq!(a.vdot(&a).compute()?, x.iter().map(|value| value * value).sum::<f64>());
    }
    let whole = array::from_ndarray(ndarray::arr2(&[[1_i64, 2], [3, 4]]), 1).into_dyn();
    assert_eq!(array::einsum("ij", &[&whole]).compute()?, ndarray::arr2(&[[1, 2], [3, 4]]).into_dyn());
    assert_eq!(array::einsum("ba", &[&whole]).compute()?, ndarray::arr2(&[[1, 3], [2, 4]]).into_dyn());
    let i = chunkwise::array::Complex::new(0.0_f64, 1.0);
    assert_eq!(array::from_vec(vec![i, i], 1).vdot(&array::from_vec(vec![i, i], 2)).compute()?.re, 2.0);
    Ok(())
}

#[test]
fn other_numbers() -> Result<()> {
    let x = array::from_vec(vec![f64::NAN, -0.0, f64::INFINITY, f64::NEG_INFINITY, 7.0], 2);
    assert_eq!(x.nan_to_num(1.0, 2.0, 3.0).compute()?.to_vec(), [1.0, 0.0, 2.0, 3.0, 7.0]);
    assert_eq!(array::from_vec(vec![1, 2], 1).nan_to_num(5, 5, 5).compute()?.to_vec(), [1, 2]);
    let y = array::from_ndarray(ndarray::arr2(&[[1, 2, 6], [5, 5, 5]]), 2);
    assert_eq!(y.moment_axis(3, Axis(1)).compute()?.to_vec(), [6.0, 0.0]);
    assert_eq!((y.moment(0).compute()?, y.moment(1).compute()?), (1.0, 0.0));
    Ok(())
}

#[test]
fn wrong_folds() {
    let x: Array<f64, Ix2> = array::zeros((4, 3), 2);
    let wrong = |error: Result<()>, kind: ErrorKind, text: &str| {
        let error = error.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(text) && error.to_string().contains("array_folds.rs:"), "{error}");
    };
    let plan = |error: Result<()>, text: &str| wrong(error, ErrorKind::Plan, text);
    plan(x.sliding_windows(4, 1).compute().map(drop), "windows of 4 elements along an axis of 3");
    plan(x.sliding_windows(0, 1).compute().map(drop), "windows of 0 elements");
    plan(x.sliding_windows(1, 2).compute().map(drop), "there is no axis 2");
    let sums = |windows: &Array<f64, IxDyn>, axes: &[isize]| windows.sum_axes(axes, false);
    plan(x.coarsen(&[(1, 2)], false, sums).compute().map(drop), "windows of 2 do not divide axis 1 of 3");
    plan(x.coarsen(&[(1, 0)], true, sums).compute().map(drop), "windows without elements");
    plan(x.coarsen(&[(1, 1), (-1, 3)], true, sums).compute().map(drop), "an axis is named twice");
    plan(
        x.coarsen(&[(0, 2)], true, |windows, _| windows.clone()).compute().map(drop),
        "of the windows an array of the shape (2, 2, 3)",
    );
    let own = |axes: &[isize], kept: usize| {
        let state = |block: ArrayViewD<'_, f64>| ArrayD::from_elem(Dyn(&[block.shape()[0], 1]), 0.0);
        x.reduction(axes, kept, state, |a, b| &a + &b, |state| state.index_axis(Axis(1), 0).to_owned())
    };
    plan(own(&[1, -1], 1).compute().map(drop), "an axis is named twice");
    plan(own(&[2], 1).compute().map(drop), "there is no axis 2");
    wrong(own(&[1], 2).compute().map(drop), ErrorKind::Data, "gave states of the shape [2, 1] where [2, 2] was to be");
    assert_eq!(own(&[1], 1).compute().unwrap().shape(), [4]);
    let y: Array<f64, Ix2> = array::zeros((3, 4), 2);
    plan(
        x.histogram2d(&y, &[0.0, 1.0], &[0.0, 1.0]).compute().map(drop),
        "shapes (4, 3) and (3, 4) do not lie beside each other",
    );
    plan(x.histogram2d(&x, &[0.0, 1.0], &[1.0, 0.0]).compute().map(drop), "and ascend");
    plan(array::histogramdd(&[&x], &[], None).compute().map(drop), "0 lists of edges for 1 arrays");
    let huge = vec![0.0; 1 << 22];
    plan(
        array::histogramdd(&[&x, &x, &x], &[huge.clone(), huge.clone(), huge], None).compute().map(drop),
        "can be counted",
    );
    plan(array::choose::<f64, Ix1>(&array::arange(0, 2, 1, 1), &[]).compute().map(drop), "nothing to choose from");
    let error = array::choose(&array::arange(0, 2, 1, 1), &[&array::arange(0, 2, 1, 2)]).compute().unwrap_err();
    assert!(error.kind() == ErrorKind::Data && error.to_string().contains("array 1 is chosen of 1"), "{error}");
    let (a, b) = (x.clone().into_dyn(), y.clone().into_dyn());
    plan(array::einsum("ij->ij", &[&a, &b]).compute().map(drop), "names the axes of 1 arrays, not of 2");
    plan(array::einsum("ijk->ij", &[&a]).compute().map(drop), "the letters `ijk` for an array of 2 axes");
    plan(array::einsum("ij->ik", &[&a]).compute().map(drop), "the letter `k` of the result is of no array");
    plan(array::einsum("ij->ii", &[&a]).compute().map(drop), "the result has the letter `i` twice");
    plan(array::einsum("ii", &[&a]).compute().map(drop), "names axes of the shape (4, 3) that differ");
    plan(array::einsum("ij,ij->", &[&a, &b]).compute().map(drop), "axes of the letter `i` have the lengths 4 and 3");
    plan(array::einsum("i..->i", &[&a]).compute().map(drop), "not by `.`");
    plan(x.tensordot(&y, &[(0, 0)]).compute().map(drop), "have the lengths 4 and 3");
    plan(x.tensordot(&y, &[(0, 1), (0, 1)]).compute().map(drop), "an axis is named twice");
    plan(x.vdot(&y.slice(chunkwise::prelude::s![..2, ..])).compute().map(drop), "have the lengths 12 and 8");
    plan(x.eq(0.0).pad(&[(1, 1), (0, 0)], Pad::LinearRamp(true)).compute().map(drop), "a ramp of bool");
    let numbers = array::from_vec(vec![0, 3], 1);
    let error = numbers.bincount_weighted(&array::zeros(2, 1), 3).compute().unwrap_err();
    assert!(error.kind() == ErrorKind::Data && error.to_string().contains("bincount_weighted of 3"), "{error}");
}

/// What is large, long, or of a length that is not known is a number as it should be, or an error; never a wrong number, a panic or a wait.
#[test]
fn far_ends() -> Result<()> {
    let late = array::from_vec((0..10).map(|at| 1_700_000_000_000_000_000_i64 + at).collect(), 3);
    let (mean, axis) = compute((late.mean(), late.nanmean_axes(&[0], true)))?;
    assert!((mean - 1.7e18).abs() < 1e4 && (axis[[0]] - 1.7e18).abs() < 1e4, "{mean}");
    assert_eq!(array::from_vec(vec![u64::MAX, 1], 1).mean().compute()?, 2.0_f64.powi(63));
    let edges = array::from_vec(vec![0.0, 1.0, 5.0, 5.0], 3);
    let ones = array::ones_f64(4, 3);
    assert_eq!(edges.histogram_weighted(&[0.0, 5.0, 5.0], &ones).compute()?.to_vec(), [2.0, 2.0]);
    assert_eq!(edges.histogram_between(&[0.0, 5.0, 5.0]).compute()?.to_vec(), [2, 2]);
    #[cfg(feature = "linalg")]
    {
        let few = array::from_ndarray(ndarray::arr2(&[[1.0, 2.0], [3.0, 5.0]]), 1);
        assert!(few.cov(3.0).compute()?.iter().all(|value| value.is_nan()));
    }
    let says = |error: Result<()>, kind: ErrorKind, text: &str| {
        let error = error.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(text) && error.to_string().contains("array_folds.rs:"), "{error}");
    };
    let plan = |error: Result<()>, text: &str| says(error, ErrorKind::Plan, text);
    // Rows of a number that is not known.
    let rows = array::arange(0_i64, 24, 1, 24).reshape((4, 6)).rechunk(2);
    let some = rows.compress(&array::from_vec(vec![true, false, true, true], 2), 0);
    plan(some.topk(1, 1).compute().map(drop), "compute_chunk_sizes()");
    assert_eq!(some.compute_chunk_sizes()?.topk(-1, 1).sum().compute()?, 30);
    let y = array::arange(0_i64, 20, 1, 6);
    let (two, three) = (y.extract(&(&y % 2).eq(0)), y.extract(&(&y % 3).eq(0)));
    let data = |error: Result<()>| says(error, ErrorKind::Data, "elements do not fit together");
    data(three.bincount_weighted(&two.cast(), 20).compute().map(drop));
    data(array::choose(&(&two - &two), &[&three]).compute().map(drop));
    data(two.zip_blocks(&three, |a, _| a.to_owned()).compute().map(drop));
    let (a, b) = (two.clone().into_dyn(), three.into_dyn());
    data(array::blockwise("i", &[(&a, "i"), (&b, "i")], &[], |blocks| blocks[0].to_owned()).compute().map(drop));
    assert_eq!(two.bincount_weighted(&two.cast(), 20).sum().compute()?, 90.0);
    let x = array::arange(0, 10, 1, 3);
    let all = x.clone().into_dyn();
    plan(
        array::blockwise("ii", &[(&all, "i")], &[], |blocks| blocks[0].to_owned()).compute().map(drop),
        "letter i twice",
    );
    plan(x.flip(&[0, 0]).compute().map(drop), "an axis is named twice");
    // Lengths that no memory holds.
    plan(array::zeros_f64(1 << 40, 1).sum().compute().map(drop), "too many blocks");
    plan(array::zeros_f64(usize::MAX, 1).sum().compute().map(drop), "too many blocks");
    plan(x.pad(&[(1 << 40, 0)], Pad::Edge).compute().map(drop), "too many blocks");
    plan(x.pad(&[(usize::MAX, 0)], Pad::Edge).compute().map(drop), "longer than can be");
    plan(x.pad(&[(1 << 34, 0)], Pad::Reflect).compute().map(drop), "repeated over 17179869184 places");
    plan(x.histogram(1 << 40, (0.0, 1.0)).compute().map(drop), "ranges");
    plan(random::seed(1).choice_of(&x, 1 << 50, true, 0).compute().map(drop), "more than a plan can hold");
    plan(random::seed(1).choice_of(&x, usize::MAX, true, 0).compute().map(drop), "more than a plan can hold");
    assert_eq!(x.diff(2_000_000, 0).compute()?.len(), 0);
    // Each task looks at its own cuts only.
    let many = array::arange(0_i64, 30_000, 1, 100).rechunk(1).map_blocks(|block| block.to_owned());
    let sum: i64 = many.sum().compute()?;
    assert_eq!(sum, 449_985_000);
    Ok(())
}
