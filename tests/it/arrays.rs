//! Arrays against ndarray: random programs, and what each verb promises.

use chunkwise::array::{Axis, Complex, Ix1, Ix2, IxDyn, s};
use chunkwise::prelude::*;
use ndarray::{ArrayD, IxDyn as Dyn, SliceInfoElem};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::support::{AMPLE, On, assert_nothing_held};

/// Numbers that look random, for choices.
pub struct Choices(pub u64);

impl Choices {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(1);
        (super::support::noise(self.0) % n.max(1) as u64) as usize
    }

    pub fn yes(&mut self) -> bool {
        self.below(2) == 1
    }
}

/// An array and what it should be. All numbers are whole and small, so that sums are exact in any order.
pub type Pair = (Array<f64, IxDyn>, ArrayD<f64>);

fn lens(choices: &mut Choices, len: usize) -> Vec<usize> {
    let mut left = len;
    let mut lens = Vec::new();
    while left > 0 {
        // Blocks of no elements, too.
        let block = choices.below(left + 1).min(1 + choices.below(5));
        lens.push(block);
        left -= block;
    }
    if lens.is_empty() || choices.below(8) == 0 {
        lens.push(0);
    }
    lens
}

pub fn chunks(choices: &mut Choices, shape: &[usize]) -> array::Chunks {
    let axes: Vec<array::AxisChunks> = shape.iter().map(|len| lens(choices, *len).into()).collect();
    array::Chunks::each(axes)
}

fn source(choices: &mut Choices) -> Pair {
    let rank = choices.below(5);
    let shape: Vec<usize> = (0..rank).map(|_| choices.below(if rank > 2 { 5 } else { 9 })).collect();
    let mut value = |_: Dyn| choices.below(19) as f64 - 9.0;
    let known = ArrayD::from_shape_fn(Dyn(&shape), &mut value);
    let chunks = chunks(choices, &shape);
    (array::from_ndarray(known.clone(), chunks), known)
}

fn bounded((array, known): Pair) -> Pair {
    (array.clip(-1000.0, 1000.0), known.mapv(|value| value.clamp(-1000.0, 1000.0)))
}

/// A slice of a shape, with new axes where they may be.
pub(super) fn slice_of(choices: &mut Choices, shape: &[usize], new_axes: bool) -> Vec<SliceInfoElem> {
    shape
        .iter()
        .flat_map(|len| {
            let from = choices.below(len + 1);
            let to = from + choices.below(len - from + 1);
            let step = [1, 2, 3, -1, -2][choices.below(5)];
            let part = match choices.below(6) {
                0 if *len > 0 => SliceInfoElem::Index(choices.below(*len) as isize),
                1 => SliceInfoElem::Slice { start: 0, end: None, step: 1 },
                _ => SliceInfoElem::Slice { start: from as isize, end: Some(to as isize), step },
            };
            if new_axes && choices.below(8) == 0 { vec![SliceInfoElem::NewAxis, part] } else { vec![part] }
        })
        .collect()
}

fn slice(choices: &mut Choices, (array, known): &Pair) -> Pair {
    let parts = slice_of(choices, known.shape(), true);
    (array.slice(&parts[..]), known.slice(&parts[..]).to_owned().into_dyn())
}

/// One more array from those that are there.
pub fn step(choices: &mut Choices, all: &[Pair]) -> Pair {
    let pick = |choices: &mut Choices| all[choices.below(all.len())].clone();
    let (a, x) = pick(choices);
    let rank = x.ndim();
    let axis = choices.below(rank);
    match choices.below(30) {
        0 => (-&a, -x),
        1 => (a.abs(), x.mapv(f64::abs)),
        2 => bounded((a.square(), x.mapv(|x| x * x))),
        3 => bounded((&a * 2.0 - 1.0, x * 2.0 - 1.0)),
        4 => slice(choices, &(a, x)),
        5 => (a.t(), x.reversed_axes()),
        6 if rank > 0 => {
            let mut y = x;
            y.invert_axis(Axis(axis));
            (a.flip(&[axis as isize]), y)
        }
        7 if rank > 1 => {
            let other = choices.below(rank);
            let mut y = x;
            y.swap_axes(axis, other);
            (a.swap_axes(axis as isize, other as isize - rank as isize), y)
        }
        8 if rank < 5 => (a.insert_axis(Axis(axis)), x.insert_axis(Axis(axis))),
        9 => {
            let chunks = chunks(choices, x.shape());
            (a.rechunk(chunks), x)
        }
        10 if rank > 0 => {
            let sum = x.sum_axis(Axis(axis));
            match choices.yes() {
                true => bounded((a.sum_axes(&[axis as isize], false), sum)),
                false => bounded((a.sum_axes(&[axis as isize - rank as isize], true), sum.insert_axis(Axis(axis)))),
            }
        }
        11 => {
            let all: Vec<isize> = (0..rank as isize).collect();
            bounded((a.sum_axes(&all, false), ndarray::arr0(x.sum()).into_dyn()))
        }
        12 if rank > 0 && x.len_of(Axis(axis)) > 0 => {
            let best = x.fold_axis(Axis(axis), f64::NEG_INFINITY, |best, value| best.max(*value));
            (a.max_axes(&[axis as isize], false), best)
        }
        13 if rank > 0 && x.len_of(Axis(axis)) > 0 => {
            let at = x.map_axis(Axis(axis), |row| {
                let least = row.iter().copied().fold(f64::INFINITY, f64::min);
                row.iter().position(|value| *value == least).unwrap() as f64
            });
            (a.argmin_axes(&[axis as isize], false).cast(), at)
        }
        18..27 => super::array_shapes::step(choices, all),
        27..30 => super::array_folds::step(choices, all),
        14 if rank > 0 => {
            let any = x.map_axis(Axis(axis), |row| f64::from(u8::from(row.iter().any(|value| *value != 0.0))));
            (a.any_axes(&[axis as isize], false).cast(), any)
        }
        _ => {
            let (b, y) = pick(choices);
            let shape = broadcast(x.shape(), y.shape());
            let Some(shape) = shape.filter(|shape| shape.iter().product::<usize>() < 4000) else { return (a, x) };
            let (x, y) = (x.broadcast(Dyn(&shape)).unwrap(), y.broadcast(Dyn(&shape)).unwrap());
            let zip = |with: &dyn Fn(f64, f64) -> f64| ndarray::Zip::from(&x).and(&y).map_collect(|x, y| with(*x, *y));
            match choices.below(7) {
                0 => bounded((&a - &b, zip(&|x, y| x - y))),
                1 => bounded((&a * b, zip(&|x, y| x * y))),
                2 => (a.maximum(&b), zip(&f64::max)),
                3 => (a.lt(&b).cast(), zip(&|x, y| f64::from(u8::from(x < y)))),
                4 => (a.ge(&b).select(&a, -&b), zip(&|x, y| if x >= y { x } else { -y })),
                5 => {
                    let whole: Array<i32, IxDyn> = (a.cast::<i32>()).floor_div(b.cast::<i32>());
                    (whole.cast(), zip(&|x, y| if y == 0.0 { 0.0 } else { (x / y).floor() }))
                }
                _ => bounded((a + b, zip(&|x, y| x + y))),
            }
        }
    }
}

fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let len = |of: &[usize], at: usize| (at + of.len()).checked_sub(rank).map_or(1, |axis| of[axis]);
    (0..rank)
        .map(|at| match (len(a, at), len(b, at)) {
            (n, m) if n == m || m == 1 => Some(n),
            (1, m) => Some(m),
            _ => None,
        })
        .collect()
}

/// Whether arrays are what they should be, in one run, with each of these settings, on one and several threads and in ample and little memory.
pub fn are_as_known(wanted: &[&Pair], settings: &[&[(&str, bool)]]) -> Result<(), TestCaseError> {
    let arrays: Vec<Array<f64, IxDyn>> = wanted.iter().map(|(array, _)| array.clone()).collect();
    // What comes out is held whole, and a program may make much of it: little memory is little beside that.
    let held: u64 = wanted.iter().map(|(_, known)| 8 * known.len() as u64).sum();
    for (on, limit) in [(On::Synchronous, AMPLE), (On::Threads(2), AMPLE), (On::Threads(8), (2 << 20) + held)] {
        for set in settings {
            let builder = Runtime::builder().memory_limit(limit);
            let builder = set.iter().fold(builder, |builder, (name, value)| builder.set(name, *value));
            let runtime = on.set(builder).build().unwrap();
            let got = runtime.run(|| compute(&arrays)).map_err(|error| TestCaseError::fail(error.to_string()))?;
            for (got, (array, known)) in got.iter().zip(wanted) {
                prop_assert!(got == known, "{on:?} {limit} {set:?}: {array:?}: {got} is to be {known}");
            }
            drop(got);
            assert_nothing_held(&runtime, "random arrays");
        }
    }
    Ok(())
}

/// Random programs of 30 steps give what ndarray gives, however they are cut, fused, threaded and limited.
#[test]
fn random_programs_give_what_ndarray_gives() {
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(120) });
    runner
        .run(&any::<u64>(), |seed| {
            let mut choices = Choices(seed);
            let mut all: Vec<Pair> = (0..3).map(|_| source(&mut choices)).collect();
            for _ in 0..30 {
                let next = step(&mut choices, &all);
                prop_assert_eq!(&next.0.shape().unwrap(), next.1.shape());
                all.push(next);
            }
            let all: Vec<&Pair> = all.iter().collect();
            are_as_known(&all, &[&[("optimize.elementwise", true)], &[("optimize.elementwise", false)]])
        })
        .unwrap();
}

/// Reductions of floats: near what a plain loop gives, and the same bits on any number of threads.
#[test]
fn reductions_of_floats_are_near_and_fixed() {
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(60) });
    runner
        .run(&any::<u64>(), |seed| {
            let mut choices = Choices(seed);
            let shape = [1 + choices.below(70), 1 + choices.below(300)];
            let known = ndarray::Array2::from_shape_fn(shape, |_| choices.below(1 << 20) as f64 / 997.0 - 300.0);
            let cut = chunks(&mut choices, &shape);
            let x = array::from_ndarray(known.clone(), cut);
            for axis in [Axis(0), Axis(1)] {
                let wanted = || (x.sum_axis(axis), x.mean_axis(axis), x.var_axis(axis, 1.0), x.std_axis(axis, 0.0));
                let on = |on: On| on.runtime(1 << 28).0.run(|| compute(wanted())).unwrap();
                let (sum, mean, var, std) = on(On::Synchronous);
                let near = |a: f64, b: f64, scale: f64| (a - b).abs() <= 1e-12 * scale || (a.is_nan() && b.is_nan());
                for (at, row) in known.lanes(axis).into_iter().enumerate() {
                    let n = row.len() as f64;
                    let scale: f64 = row.iter().map(|value| value.abs()).sum::<f64>() + 1.0;
                    let middle = row.sum() / n;
                    let squares: f64 = row.iter().map(|value| (value - middle).powi(2)).sum();
                    let one = if n > 1.0 { squares / (n - 1.0) } else { f64::NAN };
                    prop_assert!(near(sum[at], row.sum(), scale), "{} {}", sum[at], row.sum());
                    prop_assert!(near(mean[at], middle, scale), "{} {middle}", mean[at]);
                    prop_assert!(near(var[at], one, scale * scale), "{} {one}", var[at]);
                    prop_assert!(near(std[at], (squares / n).sqrt(), scale), "{}", std[at]);
                }
                let bits = |array: &ndarray::Array1<f64>| array.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
                for threads in [On::Threads(1), On::Threads(8)] {
                    let again = on(threads);
                    prop_assert_eq!(bits(&again.0), bits(&sum));
                    prop_assert_eq!(bits(&again.1), bits(&mean));
                    prop_assert_eq!(bits(&again.2), bits(&var));
                    prop_assert_eq!(bits(&again.3), bits(&std));
                }
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn nan_and_nothing() -> Result<()> {
    let nan = f64::NAN;
    let x = array::from_vec(vec![3.0, nan, 1.0, nan], 3);
    assert!(x.sum().compute()?.is_nan() && x.min().compute()?.is_nan() && x.mean().compute()?.is_nan());
    assert_eq!(compute((x.nansum(), x.nanmin(), x.nanmax(), x.nanmean()))?, (4.0, 1.0, 3.0, 2.0));
    assert_eq!(compute((x.nanstd(0.0), x.nanprod(), x.nanargmin(), x.argmin()))?, (1.0, 3.0, 2, 1));
    let none = array::from_vec(vec![nan, nan], 1);
    assert_eq!(compute((none.nansum(), none.nanprod()))?, (0.0, 1.0));
    assert!(
        none.nanmean().compute()?.is_nan() && none.nanmax().compute()?.is_nan() && none.nanvar(0.0).compute()?.is_nan()
    );
    let error = none.nanargmax().compute().unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Data, "nanargmax of nothing but NaN"));
    let empty = array::from_vec(Vec::<f64>::new(), 3);
    assert_eq!(compute((empty.sum(), empty.prod(), empty.any(), empty.all()))?, (0.0, 1.0, false, true));
    assert!(empty.mean().compute()?.is_nan() && empty.std(0.0).compute()?.is_nan());
    let error = empty.max().compute().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Plan);
    assert!(error.to_string().contains("`max` of no elements") && error.to_string().contains("arrays.rs:"), "{error}");
    assert_eq!(array::from_vec(vec![f64::INFINITY, 1.0], 1).sum().compute()?, f64::INFINITY);
    assert!(array::from_vec(vec![5.0_f64], 1).var(1.0).compute()?.is_nan());
    Ok(())
}

/// Types mix, sum and divide as NumPy's do.
#[test]
fn types() -> Result<()> {
    let small = array::from_vec(vec![127_i8, -7, 100], 2);
    let sum: i64 = small.sum().compute()?;
    assert_eq!(sum, 220);
    assert_eq!((&small + 1).compute()?.to_vec(), [-128, -6, 101]);
    let bytes = array::from_vec(vec![200_u8, 100], 1);
    let total: u64 = bytes.sum().compute()?;
    assert_eq!(total, 300);
    let wide: Array<i16, Ix1> = array::from_vec(vec![1_i8, 2], 2) + &bytes;
    assert_eq!(wide.compute()?.to_vec(), [201, 102]);
    let half: Array<f64, Ix1> = array::from_vec(vec![1_i32, 0], 1) / array::from_vec(vec![0_i32, 0], 1);
    assert!(half.compute()?[0].is_infinite() && half.compute()?[1].is_nan());
    let (seven, two) = (array::from_vec(vec![-7_i32], 1), array::from_vec(vec![2_i32], 1));
    let wanted = (seven.floor_div(&two), &seven % &two, seven.fmod(&two), seven.floor_div(0), &seven % 0);
    let (down, rest, left, zero, none) = compute(wanted)?;
    assert_eq!((down[0], rest[0], left[0], zero[0], none[0]), (-4, 1, -1, 0, 0));
    assert_eq!(seven.pow(3).compute()?[0], -343);
    let error = seven.pow(-1).compute().unwrap_err();
    assert!(error.kind() == ErrorKind::Data && error.to_string().contains("negative powers"), "{error}");
    assert_eq!(array::from_vec(vec![300_i64, -1], 2).cast::<u8>().compute()?.to_vec(), [44, 255]);
    assert_eq!(array::from_vec(vec![0.5, 1.5, 2.5, -0.5], 4).round().compute()?.to_vec(), [0.0, 2.0, 2.0, -0.0]);
    let truth = array::from_vec(vec![true, false, true], 2);
    assert_eq!(truth.sum().compute()?, 2_i64);
    assert_eq!((!&truth).compute()?.to_vec(), [false, true, false]);
    assert_eq!((&truth & &array::from_vec(vec![true, true, false], 3)).compute()?.to_vec(), [true, false, false]);
    assert!((&truth - &truth).compute().is_err(), "NumPy has no difference of truths");
    let mean: f64 = array::from_vec(vec![1_u8, 2], 1).mean().compute()?;
    assert_eq!(mean, 1.5);
    let i = Complex::new(0.0_f64, 1.0);
    let z = array::from_vec(vec![i, i + 3.0], 1);
    assert_eq!((&z * &z).compute()?.to_vec(), [Complex::new(-1.0, 0.0), Complex::new(8.0, 6.0)]);
    let length: Array<f64, Ix1> = z.abs();
    assert_eq!(length.compute()?[1], 10.0_f64.sqrt());
    assert_eq!(z.sum().compute()?, Complex::new(3.0, 2.0));
    assert_eq!(z.conj().im().compute()?.to_vec(), [-1.0, -1.0]);
    let error = z.max().compute().unwrap_err();
    assert!(error.to_string().contains("`max` is not defined for Complex<f64>"), "{error}");
    let single: f32 = array::from_vec(vec![1.5_f32, 2.0], 1).sum().compute()?;
    assert_eq!(single, 3.5);
    Ok(())
}

/// A wrong step is told with its line, and nothing panics.
#[test]
fn wrong_programs() {
    let x: Array<f64, Ix2> = array::zeros((4, 3), 2);
    let row = array::from_vec(vec![1.0, 2.0], 1);
    let wrong = |error: Result<()>, text: &str| {
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Plan, "{error}");
        assert!(error.to_string().contains(text) && error.to_string().contains("arrays.rs:"), "{error}");
    };
    wrong((&x + &row).compute().map(drop), "shapes (4, 3) and (2,) do not broadcast");
    wrong(x.sum_axis(Axis(2)).compute().map(drop), "there is no axis 2 in an array of 2 axes");
    wrong(x.sum_axes(&[0, -2], false).compute().map(drop), "an axis is named twice");
    wrong(x.slice(s![5.., ..]).compute().map(drop), "5 lies outside of an axis of length 4");
    wrong(x.slice(s![-5, ..]).compute().map(drop), "-5 lies outside of an axis of length 4");
    wrong(x.rechunk(0).compute().map(drop), "blocks of no elements");
    wrong(x.rechunk((vec![1, 1], -1)).compute().map(drop), "do not add up to its length 4");
    wrong(x.rechunk("12 apples").compute().map(drop), "chunks: ");
    wrong(x.broadcast_to((3, 3)).compute().map(drop), "does not broadcast");
    wrong(x.remove_axis(Axis(0)).compute().map(drop), "only axes of length 1 are dropped");
    wrong(x.permuted_axes((0, 0)).compute().map(drop), "no order of 2 axes");
    wrong(x.into_dimensionality::<Ix1>().compute().map(drop), "an array of 2 axes is none of 1");
    wrong(array::arange(0, 5, 0, 1).compute().map(drop), "a step other than 0");
    let huge: Array<f64, IxDyn> = array::zeros(Dyn(&[usize::MAX / 4, 16]), -1);
    wrong(huge.sum().compute().map(drop), "more elements than can be counted");
    wrong(array::zeros_f64((1 << 20, 1 << 20), (1, 1)).sum().compute().map(drop), "too many blocks");
    // The first wrong step is told, not what follows from it.
    wrong(((&x + &row) * 2.0).sum().compute().map(drop), "do not broadcast");
}
