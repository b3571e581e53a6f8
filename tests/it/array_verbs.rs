//! Verbs over several arrays and whole blocks, and numbers at the ends of their types: what each promises.

use chunkwise::array::{Axis, BlockShape, Ix1, Ix2, IxDyn, Pad, random};
use chunkwise::prelude::*;
use ndarray::{ArrayD, IxDyn as Dyn, arr1, arr2};
use num_complex::Complex;

use super::support::{AMPLE, On, assert_nothing_held};

/// The same on one thread and many, with much memory and little.
fn everywhere<R: PartialEq + std::fmt::Debug>(what: &str, run: impl Fn() -> Result<R>) -> R {
    let mut all = Vec::new();
    for (on, limit) in [(On::Synchronous, AMPLE), (On::Threads(2), AMPLE), (On::Threads(8), 1 << 20)] {
        let (runtime, _) = on.runtime(limit);
        all.push(runtime.run(&run).unwrap_or_else(|error| panic!("{what}: {error}")));
        assert_nothing_held(&runtime, what);
    }
    let first = all.swap_remove(0);
    assert!(all.iter().all(|other| *other == first), "{what}: {first:?} and {all:?}");
    first
}

#[test]
fn arrays_of_several_types() -> Result<()> {
    let (whole, half) =
        (array::arange(0_i32, 6, 1, 4).reshape((2, 3)), array::from_ndarray(arr2(&[[0.5_f32, 1.5, 2.5]]), 2));
    let all = array::concatenate_as::<f64, _>(0, &[&whole, &half]);
    assert_eq!(all.compute()?, arr2(&[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [0.5, 1.5, 2.5]]));
    let both = array::stack_as::<i64, _>(0, &[&whole, &whole.lt(3)]);
    assert_eq!(both.compute()?.into_raw_vec_and_offset().0, [0, 1, 2, 3, 4, 5, 1, 1, 1, 0, 0, 0]);
    let error = array::concatenate_as::<f64, _>(0, &[&whole, &half.t()]).compute().unwrap_err();
    assert!(error.kind() == ErrorKind::Plan && error.to_string().contains("array_verbs.rs:"), "{error}");
    let error = array::stack(5, &[&whole, &whole]).compute().unwrap_err();
    assert!(error.to_string().contains("array_verbs.rs:") && !error.to_string().contains("join.rs"), "{error}");
    Ok(())
}

#[test]
fn functions_of_many_arrays() -> Result<()> {
    let shape = (30, 40);
    let (x, y) = (random::seed(1).uniform(0.0..1.0, shape, (7, 11)), random::seed(2).uniform(0.0..1.0, shape, (9, 40)));
    let z = random::seed(3).uniform(0.0..1.0, (1, 40), (1, 13));
    let made = everywhere("map_blocks", || {
        let all = array::map_blocks(&[&x, &y, &z], BlockShape::same(), |blocks, place| {
            &(&blocks[0] * &blocks[1]) + &blocks[2] + place.start[1] as f64 * 0.0
        });
        Ok((all.chunks()?[0].len(), all.compute()?))
    });
    let (known_x, known_y, known_z) = compute((&x, &y, &z))?;
    assert_eq!(made, (8, (&known_x * &known_y + &known_z).into_dyn()));
    // An axis less, of which each function is given all; and one more.
    let ends = array::map_blocks(&[&x, &y], BlockShape::same().drop_axis(1).new_axis(0, 2), |blocks, place| {
        assert_eq!(blocks[0].shape()[1], 40);
        assert_eq!(place.index.len(), 2);
        ndarray::stack(ndarray::Axis(0), &[blocks[0].sum_axis(Axis(1)).view(), blocks[1].sum_axis(Axis(1)).view()])
            .unwrap()
    });
    let ends = ends.compute()?;
    assert_eq!(ends.shape(), [2, 30]);
    assert!((ends.index_axis(Axis(0), 0).sum() - known_x.sum()).abs() < 1e-9);
    // Matrices by vectors, over axes that broadcast.
    let (a, b) =
        (random::seed(4).integers(0_i64..9, (5, 1, 4, 3), 2), random::seed(5).integers(0_i64..9, (6, 3), (4, 2)));
    let (a, b) = (a.into_dyn(), b.into_dyn());
    let products = everywhere("apply_gufunc", || {
        let made = array::apply_gufunc("(i,j),(j)->(i)", &[&a, &b], &[], |blocks| {
            let (a, b) = (&blocks[0], &blocks[1]);
            let (outer, inner, rows) = (a.shape()[0], b.shape()[0], a.shape()[2]);
            ArrayD::from_shape_fn(Dyn(&[outer, inner, rows]), |at| {
                (0..3).map(|j| a[[at[0], 0, at[2], j]] * b[[at[1], j]]).sum::<i64>()
            })
        });
        made.compute()
    });
    let wanted = array::einsum("aij,bj->abi", &[&a.index_axis(Axis(1), 0), &b]).compute()?;
    assert_eq!(products, wanted);
    let grown = array::apply_gufunc("(j)->(k)", &[&b], &[("k", 2)], |blocks| {
        ArrayD::from_shape_fn(Dyn(&[blocks[0].shape()[0], 2]), |at| blocks[0][[at[0], at[1]]])
    });
    assert_eq!(grown.compute()?, b.slice(s![.., ..2]).compute()?.into_dyn());
    let plan = |made: Array<i64, IxDyn>, text: &str| {
        let error = made.compute().unwrap_err();
        assert!(error.kind() == ErrorKind::Plan && error.to_string().contains(text), "{error}");
        assert!(error.to_string().contains("array_verbs.rs:"), "{error}");
    };
    let of = |text: &str, arrays: &[&Array<i64, IxDyn>]| {
        array::apply_gufunc(text, arrays, &[], |blocks| blocks[0].to_owned())
    };
    plan(of("(i)->", &[&b]), "is no signature");
    plan(of("(i),(j)->()", &[&b]), "is of 2 arrays, and 1 are given");
    plan(of("(i,j,k)->()", &[&b]), "array 0 has 2 axes");
    plan(of("(i)->(k)", &[&b]), "`k` in `(i)->(k)` is of no array");
    plan(of("(i,i)->()", &[&b]), "stands for axes of 6 and of 3");
    plan(of("(i),(i)->()", &[&a, &a.slice(s![..2, .., .., ..]).into_dyn()]), "");
    plan(
        array::map_blocks::<i64, IxDyn, ArrayD<i64>>(&[], BlockShape::same(), |_, _| unreachable!()),
        "there are no arrays",
    );
    Ok(())
}

#[test]
fn means_with_weights_of_any_type() -> Result<()> {
    let (bytes, halves) = (array::from_vec(vec![1_u8, 2, 6], 2), array::from_vec(vec![0.5_f32, 0.5, 1.0], 3));
    let whole: Array<f64, _> = bytes.average(&bytes);
    assert_eq!(everywhere("whole", || whole.compute()), 41.0 / 9.0);
    let mixed: Array<f64, _> = bytes.average(&halves);
    assert_eq!(mixed.compute()?, 3.75);
    let short: Array<f32, _> = halves.average_axis(&bytes.cast::<i16>(), Axis(0));
    assert_eq!(short.compute()?, 7.5 / 9.0);
    // Of numbers that none of their own type would hold together.
    let large = array::full(1000, 250_u8, 7);
    assert_eq!(large.average(&large).compute()?, 250.0);
    let complex = array::from_vec(vec![Complex::new(1.0, 2.0), Complex::new(3.0, -2.0)], 1);
    let mean: Complex<f64> = complex.average(&array::from_vec(vec![true, true], 1)).compute()?;
    assert_eq!(mean, Complex::new(2.0, 0.0));
    let error = bytes.average(&array::ones_f64(2, 2)).compute().unwrap_err();
    assert!(error.kind() == ErrorKind::Plan && error.to_string().contains("array_verbs.rs:"), "{error}");
    Ok(())
}

#[test]
fn trees_of_a_form_that_is_asked_for() -> Result<()> {
    let x = array::arange(0_i64, 5000, 1, 1).reshape((50, 100)).map_blocks(|block| block.to_owned());
    let tasks = |what: &Array<i64, _>| -> Result<u64> {
        let (runtime, _) = On::Threads(2).runtime(AMPLE);
        runtime.run(|| what.compute())?;
        Ok(runtime.last_report().tasks)
    };
    let mut before = u64::MAX;
    for every in [2, 3, 7, 100, u32::MAX] {
        let sum = x.sum().split_every(every);
        assert_eq!(everywhere("sum", || sum.compute()), 4999 * 2500);
        let now = tasks(&sum)?;
        assert!(now <= before, "{every}: {now} of {before}");
        before = now;
        assert_eq!(x.argmax_axis(Axis(1)).split_every(every).compute()?, ndarray::Array1::from_elem(50, 99));
        let std = x.std_axes(&[0, 1], 0.0, true).split_every(every).compute()?;
        assert!((std[[0, 0]] - (5000.0_f64 * 5000.0 / 12.0).sqrt()).abs() < 1e-3, "{std}");
    }
    // Of operations on elements of reductions too, and not of others.
    assert_eq!(
        tasks(&(x.sum() + x.max() * 2).split_every(2))?,
        tasks(&(x.sum().split_every(2) + x.max().split_every(2) * 2))?
    );
    let deep = (0..20_000).fold(x.sum(), |sum, _| sum + 0);
    assert_eq!(deep.split_every(2).compute()?, 4999 * 2500);
    for error in [x.sum().split_every(1).compute().unwrap_err(), (&x + 1).split_every(2).sum().compute().unwrap_err()] {
        assert!(error.kind() == ErrorKind::Plan && error.to_string().contains("array_verbs.rs:"), "{error}");
    }
    Ok(())
}

#[test]
fn little_of_much_in_little_memory() -> Result<()> {
    let in_little = |limit: u64, run: &dyn Fn() -> Result<i64>| -> Result<i64> {
        let (runtime, _) = On::Threads(2).runtime(limit);
        let given = runtime.run(run)?;
        assert_nothing_held(&runtime, "in little memory");
        Ok(given)
    };
    // Long sums of which little is left are taken in small groups.
    let line = array::arange(0_i64, 4_000_000, 1, 500_000) % 3;
    assert_eq!(in_little(24 << 20, &|| line.dot(&line).compute())?, 4_000_000 / 3 * 5);
    // Large states are put together two by two.
    let x = array::arange(0_i64, 4_000_000, 1, 250_000).reshape((16, 250_000));
    let greatest = x.reduction(
        &[0],
        1,
        |block| block.fold_axis(Axis(0), i64::MIN, |a, b| *a.max(b)).insert_axis(Axis(1)),
        |a, b| ndarray::Zip::from(&a).and(&b).map_collect(|a, b| *a.max(b)),
        |state| state.index_axis(Axis(1), 0).to_owned(),
    );
    let wanted = (3_750_000..4_000_000_i64).sum::<i64>();
    assert_eq!(in_little(16 << 20, &|| greatest.sum().compute())?, wanted);
    // Windows as long as blocks, and longer: whole blocks of them.
    let windows = array::arange(0_i64, 30_000, 1, 100).sliding_windows(20_000, 0);
    assert!(windows.numblocks()?[0] < 2000, "{:?}", windows.numblocks()?);
    let means = windows.slice(s![..;1000, ..]).sum_axis(Axis(1));
    let sums = |from: i64| (from..from + 20_000).sum::<i64>();
    assert_eq!(in_little(16 << 20, &|| means.sum().compute())?, (0..=10).map(|at| sums(at * 1000)).sum::<i64>());
    Ok(())
}

#[test]
fn some_blocks() -> Result<()> {
    let x = array::arange(0_i64, 70, 1, 70).reshape((7, 10)).rechunk((3, 4));
    let known = x.compute()?;
    assert_eq!(x.block_slice(s![1, ..]).compute()?, known.slice(s![3..6, ..]));
    assert_eq!(x.block_slice(s![-1, 1..]).compute()?, known.slice(s![6.., 4..]));
    assert_eq!(
        x.block_slice(s![..;2, 0]).compute()?,
        ndarray::concatenate![Axis(0), known.slice(s![..3, ..4]), known.slice(s![6.., ..4])]
    );
    assert_eq!(x.block_slice(s![1..1, ..]).shape()?, [0, 10]);
    for wrong in
        [x.block_slice(s![3, ..]), x.block_slice(s![.., ..9]), x.extract(&x.gt(3)).block_slice(s![0]).reshape((1, 1))]
    {
        assert_eq!(wrong.compute().unwrap_err().kind(), ErrorKind::Plan);
    }
    Ok(())
}

/// Blocks become values of tasks, and values blocks.
#[test]
fn blocks_and_tasks() -> Result<()> {
    let made = everywhere("blocks as values of tasks", || {
        let x = random::seed(1).uniform(0.0..1.0, (100, 90), (30, 40));
        let turned = x
            .to_delayed_blocks()?
            .map(|block| block.map(|block: &ndarray::Array2<f64>| block.t().as_standard_layout().to_owned()));
        let rows: Vec<Array<f64, Ix2>> = (0..4)
            .map(|row| {
                let parts: Vec<_> = (0..3)
                    .map(|column| {
                        let (rows, columns) = ([30, 30, 30, 10][row], [40, 40, 10][column]);
                        Array::from_delayed(&turned[[row, column]], (columns, rows))
                    })
                    .collect();
                array::concatenate(0, &parts.iter().collect::<Vec<_>>())
            })
            .collect();
        let all = array::concatenate(1, &rows.iter().collect::<Vec<_>>());
        assert_eq!(all.chunks()?.iter().map(Vec::len).collect::<Vec<_>>(), [3, 4]);
        let (apart, sum) = compute(((&all - &x.t()).abs().max(), all.sum()))?;
        assert_eq!(apart, 0.0);
        Ok(sum.to_bits())
    });
    assert_ne!(made, 0);
    // A number, and arrays without elements.
    let none = array::zeros_f64((0, 3), 2).to_delayed_blocks()?;
    assert_eq!(none.len(), 2);
    assert_eq!(none[[0, 1]].compute()?.shape(), [0, 1]);
    assert_eq!(array::zeros_f64(4, 2).sum().to_delayed_blocks()?[()].compute()?, ndarray::arr0(0.0));
    let wrong = Array::<f64, Ix1>::from_delayed(&delayed(|| arr1(&[1.0])), 2).compute().unwrap_err();
    assert!(
        wrong.kind() == ErrorKind::Data && wrong.to_string().contains("of the shape [1] where [2] was declared"),
        "{wrong}"
    );
    assert!(wrong.to_string().contains("array_verbs.rs:"), "{wrong}");
    Ok(())
}

/// Memory that others hold is taken as it is and stays theirs.
#[test]
fn arrays_that_others_hold() -> Result<()> {
    let held = ndarray::ArcArray2::<f64>::from_shape_fn((50, 40), |(row, column)| (row * 40 + column) as f64);
    let x = array::from_ndarray(held.clone(), (20, 20));
    assert_eq!((&x * 2.0).compute()?, &held * 2.0);
    assert_eq!(array::from_ndarray(held.clone().reversed_axes(), 9).compute()?, held.t());
    assert_eq!(
        array::from_ndarray(held.clone(), -1).cumsum(0).compute()?[[49, 39]],
        (0..50).map(|row| f64::from(row * 40 + 39)).sum::<f64>()
    );
    assert_eq!(held[[0, 1]], 1.0);
    let truths = ndarray::arr1(&[true, false]).into_shared();
    assert_eq!(array::from_ndarray(truths, 1).count_nonzero().compute()?, 1);
    Ok(())
}

#[test]
fn blocks_of_about_one_length() -> Result<()> {
    let x = array::zeros_f64((10, 100), (4, "auto"));
    assert_eq!(x.numblocks()?, [3, 1]);
    assert_eq!(
        x.rechunk(Chunks::from((4, 30)).balanced()).chunks()?,
        [vec![Some(5); 2], vec![Some(34), Some(34), Some(32)]]
    );
    assert_eq!(x.rechunk(Chunks::auto().and(0, 5)).numblocks()?, [2, 1]);
    let text = |chunks: Chunks| x.rechunk(chunks).compute().unwrap_err().to_string();
    assert!(text(Chunks::from(-7)).contains("chunks: blocks of -7 elements; -1 is the whole axis"));
    assert!(text("0 B".into()).contains("blocks of no bytes"));
    assert!(text((5, "12 apples").into()).contains("axis 1: "));
    Ok(())
}

/// Numbers at the ends of their types are errors or what they say, never a panic, a wait or a wrong number.
#[test]
fn ends_of_numbers() -> Result<()> {
    let x = array::arange(0_i64, 6, 1, 4);
    let square = x.reshape((2, 3));
    assert_eq!(x.roll(isize::MIN, 0).compute()?, x.roll(isize::MIN % 6, 0).compute()?);
    assert_eq!(x.roll(isize::MAX, 0).compute()?, x.roll(isize::MAX % 6, 0).compute()?);
    assert_eq!(x.slice(s![..;isize::MIN]).compute()?.to_vec(), [5]);
    assert_eq!(x.slice(s![1..;isize::MAX]).compute()?.to_vec(), [1]);
    for offset in [isize::MIN, isize::MIN + 1, isize::MAX - 1, isize::MAX] {
        let (lower, upper) = compute((square.tril(offset), square.triu(offset)))?;
        let all = if offset > 0 { (15, 0) } else { (0, 15) };
        assert_eq!((lower.sum(), upper.sum()), all, "{offset}");
        assert_eq!(square.diagonal(offset).compute()?.len(), 0);
        assert_eq!(square.trace(offset).compute()?, 0);
        assert_eq!(array::diag(&x, offset).compute().unwrap_err().kind(), ErrorKind::Plan);
    }
    assert_eq!(
        x.map_overlap(Depth::all(usize::MAX), Boundary::None, |block| block.to_owned()).compute()?,
        x.compute()?
    );
    let plan = |made: Result<()>| assert_eq!(made.unwrap_err().kind(), ErrorKind::Plan);
    plan(x.map_overlap(Depth::all(usize::MAX), Boundary::Nearest, |block| block.to_owned()).compute().map(drop));
    plan(x.tile(&[usize::MAX]).compute().map(drop));
    plan(x.bincount(usize::MAX).compute().map(drop));
    plan(x.map_blocks_as(BlockShape::same().block_len(0, usize::MAX), |block, _| block.to_owned()).compute().map(drop));
    let wide = array::zeros_f64((1 << 29, 1 << 29), 1 << 28);
    plan(wide.vdot(&wide).compute().map(drop));
    // Arrays of a length that is not known.
    let some = square.compress(&array::from_vec(vec![true, false], 1), 0);
    plan(some.pad(&[(0, 0), (1, 1)], Pad::Constant(0)).compute().map(drop));
    plan(some.repeat(2, 1).compute().map(drop));
    let two = x.extract(&(&x % 2).eq(0));
    let error = x.extract(&x.gt(0)).compress(&two.gt(0), 0).compute().unwrap_err();
    assert!(error.kind() == ErrorKind::Data && error.to_string().contains("fit together"), "{error}");
    let error = (&x - 1).bincount(0).compute().unwrap_err();
    assert!(error.to_string().contains("bincount counts numbers from 0 on, and -1 is among them"), "{error}");
    let rng = random::seed(1);
    plan(rng.normal(0.0, -1.0, 3, 3).compute().map(drop));
    plan(rng.normal(f64::NAN, 1.0, 3, 3).compute().map(drop));
    plan(rng.lognormal(0.0, -1.0, 3, 3).compute().map(drop));
    plan(rng.exponential(-1.0, 3, 3).compute().map(drop));
    plan(rng.uniform(0.0..f64::INFINITY, 3, 3).compute().map(drop));
    plan(rng.uniform(f64::MIN..f64::MAX, 3, 3).compute().map(drop));
    plan(rng.uniform_f32(f32::MIN..f32::MAX, 3, 3).compute().map(drop));
    // Weights that broadcast count as often as they are there.
    assert_eq!(array::ones_f64((2, 3), 2).average(&array::ones_f64((1, 3), 3)).compute()?, 1.0);
    let far = array::arange(0_i64, 3000, 1, 1000).square().diff(2000, 0);
    assert!(far.compute()?.iter().all(|value| *value == 0) && far.shape()? == [1000]);
    plan(array::einsum("...->", &[&square.into_dyn()]).compute().map(drop));
    plan(array::zeros_f64((10, 7), ("100 B", "24 B")).compute().map(drop));
    plan(array::concatenate_as::<f64, Ix1>(0, &[]).compute().map(drop));
    let endless = array::zeros_f64(1 << 59, 1_usize << 58);
    plan(array::concatenate(0, &[&endless; 40]).compute().map(drop));
    plan(array::zeros_f64(1 << 40, 1_usize << 30).sliding_windows(1 << 39, 0).compute().map(drop));
    plan(array::ones_f64((2, 2), 1).tile(&[1 << 20, 1 << 20]).compute().map(drop));
    plan(array::stack(-3, &[&x, &x]).compute().map(drop));
    let (column, row) = (array::zeros::<i64, _>((1 << 40, 1), -1), array::zeros::<i64, _>((1, 1 << 40), -1));
    plan(column.dot(&row).compute().map(drop));
    // What turns out to be nothing has no greatest element, and what is nothing but NaN has none that is a number.
    let (half, none) = (array::from_vec(vec![f64::NAN, 1.0], 1), array::from_vec(vec![false, false], 1));
    let error = half.extract(&none).max().compute().unwrap_err();
    assert!(error.kind() == ErrorKind::Data && error.to_string().contains("max of no elements"), "{error}");
    assert!(half.slice(s![..1]).nanmax().compute()?.is_nan());
    // Many differences keep their blocks.
    let many = array::arange(0_i64, 1000, 1, 100).diff(40, 0);
    assert_eq!((many.numblocks()?, many.compute()?.len()), (vec![10], 960));
    Ok(())
}

#[test]
#[cfg(feature = "zarr")]
fn zarr_of_any_type() -> Result<()> {
    use chunkwise::array::ZarrAny;

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.zarr");
    array::arange(0_u16, 60, 1, 60).reshape((3, 4, 5)).to_zarr(&path).write()?;
    match array::read_zarr_any(&path)? {
        ZarrAny::U16(x) => assert_eq!((x.shape()?, x.sum().compute()?), (vec![3, 4, 5], 59 * 30)),
        other => panic!("{}", other.dtype()),
    }
    let error = array::read_zarr_any(dir.path().join("nothing")).map(|any| any.dtype()).unwrap_err();
    assert!(error.kind() == ErrorKind::Io && error.to_string().contains("array_verbs.rs:"), "{error}");
    Ok(())
}
