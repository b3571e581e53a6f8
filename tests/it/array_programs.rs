//! Whole programs over arrays, as users write them.

use chunkwise::array::{Axis, Ix1, Ix2, random, s};
use chunkwise::prelude::*;
use ndarray::Array2;

use super::support::{AMPLE, On, assert_nothing_held};

/// Numbers that are never all there: their mean, deviation and greatest, in one pass and under a limit far below their size.
#[test]
fn numbers_larger_than_memory() -> Result<()> {
    let x = random::seed(7).uniform(0.0..1.0, (400, 300, 100), (100, 300, 100));
    assert_eq!(
        format!("{x:?}").split(", key").next().unwrap(),
        "Array<f64>: uniform Uniform { low: 0.0, high: 1.0 }",
        "nothing is computed to be shown"
    );
    assert_eq!((x.nbytes()?, x.nblocks()?, x.chunksize()?), (96_000_000, 4, vec![100, 300, 100]));
    let mut known: Option<(f64, f64, f64)> = None;
    for on in [On::Synchronous, On::Threads(1), On::Threads(2), On::Threads(8)] {
        let (runtime, disk) = on.runtime(8 << 20);
        let found = runtime.run(|| compute((x.mean(), x.std(0.0), x.max())))?;
        let bits = |(mean, std, max): (f64, f64, f64)| [mean, std, max].map(f64::to_bits);
        assert_eq!(bits(*known.get_or_insert(found)), bits(found), "{on:?}");
        assert!((found.0 - 0.5).abs() < 1e-3 && (found.1 - 1.0 / 12.0_f64.sqrt()).abs() < 1e-3 && found.2 < 1.0);
        assert!(runtime.last_report().peak_accounted_bytes < 8 << 20);
        assert_nothing_held(&runtime, "an array larger than the limit");
        assert!(disk.paths().is_empty());
    }
    Ok(())
}

/// What is fused runs as one layer of tasks, however many operations it has.
#[test]
fn a_symmetric_mean() -> Result<()> {
    let x = random::seed(1).uniform(0.0..1.0, (1000, 1000), (100, 100));
    let y = &x + &x.t();
    let z = y.slice(s![..;2, ..500]).mean_axis(Axis(0));
    assert_eq!((z.shape()?, z.nblocks()?), (vec![500], 5));
    let all = x.compute()?;
    let expected = (&all + &all.t()).slice(s![..;2, ..500]).mean_axis(Axis(0)).unwrap();
    let found = z.compute()?;
    assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found} {expected}");
    let mean = (&x + &x.t()).mean().compute()?;
    assert!((mean - 2.0 * all.mean().unwrap()).abs() < 1e-12);
    let plan = z.explain()?;
    // Two steps of the view's rows are blocks of 50: a task for each of 50 blocks, two of a tree, and what comes out.
    assert!(plan.contains("0 mean_axis 50 tasks"), "{plan}");
    Ok(())
}

#[test]
fn slices_of_a_range() -> Result<()> {
    let x = array::arange(0_i64, 1_000_000, 1, 10_000);
    assert_eq!(x.nblocks()?, 100);
    assert_eq!(x.slice(s![500_000..;100_000]).compute()?.to_vec(), [500_000, 600_000, 700_000, 800_000, 900_000]);
    let grid = Array2::from_shape_fn((100, 600), |(i, j)| (i * 600 + j) as i32);
    let y = array::from_ndarray(grid.clone(), (30, 70));
    // 500 down to 102 by twos.
    assert_eq!(y.slice(s![..50, 101..501;-2]).compute()?, grid.slice(s![..50, 101..501;-2]));
    assert_eq!(y.slice(s![3_usize, ..]).compute()?, grid.row(3));
    assert_eq!(y.index_axis(Axis(1), 599).compute()?, grid.column(599));
    let z = (&y + 1) * 2;
    assert_eq!(format!("{z:?}"), "Array<i32>: *, shape (100, 600), chunks (30, 70), 36 blocks, 234.4 KiB");
    Ok(())
}

/// Standardized columns: two passes over the source, whose numbers are made anew and never held.
#[test]
fn columns_are_standardized() -> Result<()> {
    let x = random::seed(3).normal(5.0, 2.0, (20_000, 50), (1000, 50));
    let n = (&x - &x.mean_axis(Axis(0))) / &x.std_axis(Axis(0), 0.0);
    for on in [On::Synchronous, On::Threads(2)] {
        let (runtime, _) = on.runtime(4 << 20);
        let (mean, std) = runtime.run(|| compute((n.mean_axis(Axis(0)), n.std_axis(Axis(0), 0.0))))?;
        assert!(mean.iter().all(|value| value.abs() < 1e-12) && std.iter().all(|value| (value - 1.0).abs() < 1e-12));
        assert_eq!(runtime.last_report().spilled_bytes, 0);
    }
    Ok(())
}

/// Random arrays are the same however they are cut, sliced or turned; parts of a seed differ.
#[test]
fn random_arrays() -> Result<()> {
    let make = |chunks: (i32, i32)| random::seed(9).key("x").uniform(-1.0..1.0, (37, 23), chunks);
    let known = make((37, 23)).compute()?;
    for chunks in [(1, -1), (10, 7), (-1, 1)] {
        assert_eq!(make(chunks).compute()?, known);
        assert_eq!(make(chunks).t().slice(s![2.., ..;-3]).compute()?, known.t().slice(s![2.., ..;-3]));
        assert_eq!(make(chunks).rechunk((5, 5)).map_blocks(|block| block.to_owned()).compute()?, known);
    }
    let rng = random::seed(9);
    let (a, b): (Array<f64, Ix1>, Array<f64, Ix1>) = (rng.uniform(0.0..1.0, 100, 30), rng.uniform(0.0..1.0, 100, 30));
    assert_ne!(a.compute()?, b.compute()?);
    assert_eq!(random::seed(9).uniform(0.0..1.0, 100, 7).compute()?, a.compute()?);
    let dice: Array<u8, Ix1> = rng.integers_inclusive(1..=6, 60_000, 7000);
    for face in 1..=6 {
        let count = dice.eq(face).sum().compute()?;
        assert!((9_500..10_500).contains(&count), "{face}: {count}");
    }
    assert_eq!(compute((dice.min(), dice.max()))?, (1, 6));
    let all: Array<i8, Ix1> = rng.integers(i8::MIN..0, 10_000, 999);
    assert_eq!(compute((all.min(), all.max()))?, (-128, -1));
    let normal = rng.normal(3.0, 2.0, 100_000, 10_000);
    let (mean, std) = compute((normal.mean(), normal.std(1.0)))?;
    assert!((mean - 3.0).abs() < 0.05 && (std - 2.0).abs() < 0.05);
    let counts = rng.poisson(4.0, 50_000, 999);
    assert!((counts.mean().compute()? - 4.0).abs() < 0.1);
    assert!(counts.floor().eq(&counts).all().compute()?);
    for wrong in [rng.gamma(-1.0, 1.0, 3, 3), rng.poisson(-1.0, 3, 3), rng.binomial(3, 2.0, 3, 3)] {
        let error = wrong.compute().unwrap_err();
        assert!(error.kind() == ErrorKind::Plan && error.to_string().contains("array_programs.rs:"), "{error}");
    }
    let none: Array<i32, Ix1> = rng.integers(5..5, 3, 3);
    assert!(none.compute().unwrap_err().to_string().contains("empty range 5..5"));
    Ok(())
}

/// What is drawn from an urn: each number once, or as often as its weight says; the same however it is cut.
#[test]
fn choices() -> Result<()> {
    let rng = || random::seed(4);
    for count in [1000_usize, 300_000] {
        let order = rng().permutation(count, count / 7).compute()?;
        let mut numbers = order.to_vec();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..count as i64));
        let first = rng().choice(count, (20, 30), false, (7, 30));
        assert_eq!(first.ravel().compute()?, order.slice(s![..600]));
        assert_eq!(first.t().slice(s![..;2, 3..]).compute()?, first.compute()?.t().slice(s![..;2, 3..]));
    }
    let drawn = rng().choice(5, 50_000, true, 999).bincount(5).compute()?;
    assert!(drawn.len() == 5 && drawn.iter().all(|count| (9_500..10_500).contains(count)), "{drawn}");
    let weighted = rng().choice_weighted(&[0.0, 1.0, 0.0, 4.0, 0.0], 50_000, 999).bincount(5).compute()?;
    assert!(weighted[0] + weighted[2] + weighted[4] == 0 && (39_000..41_000).contains(&weighted[3]), "{weighted}");
    let x = array::from_ndarray(Array2::from_shape_fn((50, 4), |(i, j)| (i * 4 + j) as i64), (8, 3));
    let shuffled = rng().choice_of(&x, 50, false, 0).compute()?;
    let mut rows: Vec<Vec<i64>> = shuffled.rows().into_iter().map(|row| row.to_vec()).collect();
    assert_ne!(rows[..10], x.compute()?.rows().into_iter().map(|row| row.to_vec()).collect::<Vec<_>>()[..10]);
    rows.sort_unstable();
    assert!(rows.into_iter().flatten().eq(0..200));
    assert_eq!(rng().choice_of(&x, 90, true, -1).compute()?.dim(), (50, 90));
    assert_eq!(rng().choice(0, 0, true, 1).compute()?.len() + rng().permutation(0, 1).compute()?.len(), 0);
    let says = |error: Error, text: &str| {
        let shown = error.to_string();
        assert!(
            error.kind() == ErrorKind::Plan && shown.contains(text) && shown.contains("array_programs.rs:"),
            "{shown}"
        );
    };
    says(rng().choice(5, (2, 3), false, 1).compute().unwrap_err(), "more than 5 numbers are chosen of 5");
    says(rng().choice(usize::MAX, 3, true, 1).compute().unwrap_err(), "of which not all are an i64");
    says(rng().choice(0, 3, true, 1).compute().unwrap_err(), "a choice of nothing");
    says(rng().choice_of(&x, 51, false, 0).compute().unwrap_err(), "51 places are chosen of 50");
    says(rng().choice_of(&x, 1, false, 2).compute().unwrap_err(), "axis");
    for wrong in [&[][..], &[0.0], &[1.0, -1.0], &[f64::NAN, 1.0], &[f64::MAX, f64::MAX]] {
        says(rng().choice_weighted(wrong, 3, 3).compute().unwrap_err(), "weights have to be finite");
    }
    Ok(())
}

/// Sums of so many products that they are taken in groups: into the same blocks one after another where there are many, else beside each other.
#[test]
fn long_sums_of_products() -> Result<()> {
    let long = 5_000_000_i64;
    let numbers = array::arange(0, long, 1, 1_000_000);
    let one = numbers.reshape((1, long as usize));
    let wanted = (0..i128::from(long)).map(|at| at * at).sum::<i128>() as i64;
    for rows in [1, 9] {
        let many = one.broadcast_to((rows, long as usize)).rechunk((1, 1_000_000));
        let product = many.dot(&one.t());
        for on in [On::Synchronous, On::Threads(2)] {
            let (runtime, _) = on.runtime(AMPLE);
            assert_eq!(product.compute_on(&runtime)?, Array2::from_elem((rows, 1), wanted), "{rows} {on:?}");
        }
    }
    Ok(())
}

/// A function of blocks sees each block as it is cut; a wrong shape is told with its line.
#[test]
fn functions_of_blocks() -> Result<()> {
    let x = array::from_ndarray(Array2::from_shape_fn((5, 4), |(i, j)| (i * 4 + j) as i64), (2, 3));
    let least = x.map_blocks(|block| ndarray::Array2::from_elem(block.dim(), *block.iter().min().unwrap() == 0));
    assert_eq!(least.sum().compute()?, 6, "the first block has two rows of three");
    let (runtime, _) = On::Threads(2).runtime(AMPLE);
    let wrong: Array<i64, Ix2> = x.map_blocks(|_| ndarray::Array2::zeros((1, 1)));
    let error = runtime.run(|| wrong.compute()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.to_string().contains("made the shape [1, 1]") && error.to_string().contains("array_programs.rs:"));
    // Slices that own more memory than they show.
    let whole = || Array2::from_shape_fn((5, 4), |(i, j)| (i * 4 + j) as i64);
    for rows in [0..2, 3..5, 1..4] {
        let part = whole().slice_move(s![rows.clone(), ..]);
        assert_eq!(array::from_ndarray(part.clone(), 2).compute()?, part);
        let moved = whole().slice_move(s![rows.clone(), ..]);
        assert_eq!(array::from_ndarray(moved, 2).compute()?, part);
        let row = x.rechunk(-1).map_blocks(|block| {
            let twice = ndarray::concatenate![Axis(0), block, block];
            twice.slice_move(s![5.., ..])
        });
        assert_eq!(row.compute()?, whole());
    }
    let broken: Array<i64, Ix2> = x.map_blocks(|_| -> ndarray::Array2<i64> { panic!("on purpose") });
    assert_eq!(broken.sum().compute().unwrap_err().kind(), ErrorKind::Panic);
    let kept = (&x * 2).persist()?;
    assert_eq!(kept.sum().compute()?, 380);
    assert_eq!((&kept - &x).compute()?, x.compute()?);
    Ok(())
}
