//! Arrays in Zarr: what Zarr for Python wrote is read, what is written is read by both, and chunks are changed by one task each.

use std::fs;
use std::path::Path;

use chunkwise::array::{Complex, IfExists, Ix1, Ix2, Ix3, IxDyn, ZarrCompression, ZarrFormat, s};
use chunkwise::prelude::*;
use ndarray::ArrayD;

use super::stores::{Numbered, check, data, each_type, error, numbers};
use super::support::{On, assert_nothing_held};

fn zarr<A: Numbered>(path: impl AsRef<Path>) -> Array<A, IxDyn> {
    array::read_zarr(path).unwrap()
}

#[test]
fn stores_of_python() -> Result<()> {
    fn of<A: Numbered>() {
        for version in ["v2", "v3"] {
            let path = data(&format!("{version}/{}", A::NAME));
            check(&zarr::<A>(&path), &numbers(&[3, 4]));
            check(&array::read_zarr_with(&path, (1, 3)).unwrap(), &numbers::<A>(&[3, 4]));
        }
    }
    each_type!(of());
    check(&zarr(data("v2/big")), &numbers::<i32>(&[3, 4]));
    check(&zarr(data("v3/turned")), &numbers::<i32>(&[3, 4, 5]));
    check(&zarr(data("v3/sharded")), &numbers::<f32>(&[7, 8]));
    check(&zarr(data("v3/group/inner")), &numbers::<i64>(&[5]));
    assert_eq!(array::read_zarr::<f64, array::Ix0>(data("v3/one"))?.compute()?, 3.5);
    let missing = array::read_zarr::<i16, Ix2>(data("v3/missing"))?.compute()?;
    let mut known = ndarray::Array2::from_elem((4, 4), 7);
    known.slice_mut(s![2.., ..2]).assign(&numbers::<i16>(&[2, 2]).into_dimensionality::<ndarray::Ix2>().unwrap());
    assert_eq!(missing, known);
    let missing = array::read_zarr::<f64, Ix2>(data("v2/missing"))?;
    assert_eq!(compute((missing.nansum(), missing.is_nan().sum()))?, (numbers::<f64>(&[2, 2]).sum(), 12));
    let sharded = array::read_zarr_with::<f32, Ix2>(data("v3/sharded"), "16 B")?;
    assert_eq!(sharded.chunksize()?, [2, 2], "blocks are whole inner chunks");
    Ok(())
}

#[test]
fn wrong_stores() {
    let open = |path: &Path| array::read_zarr::<f64, Ix2>(path).map(drop);
    error(open(&data("v3/int8")), ErrorKind::Data, "int8 holds i8, and an array of f64 is to be");
    error(open(&data("v3/group/inner")), ErrorKind::Data, "inner has 1 axes, and an array of 2 is to be");
    error(open(&data("v3/group")), ErrorKind::Data, "group is a Zarr group and no array: in it are inner");
    error(open(&data("v3/nowhere")), ErrorKind::Io, "nowhere");
    error(open(&data("npy")), ErrorKind::Data, "npy is no Zarr array: it has neither `zarr.json` nor `.zarray`");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    let x = array::ones_f64((4, 4), 2);
    for (from, to, text) in [
        ("\"float64\"", "\"float8\"", "x holds elements of the type `float8`"),
        ("\"zstd\"", "\"squeeze\"", "squeeze"),
        ("\"regular\"", "\"crooked\"", "zarr.json: "),
        ("[\n    4,", "[\n    -4,", "zarr.json: "),
        ("\"shape\"", "\"shame\"", "zarr.json: "),
        ("{", "", "zarr.json"),
    ] {
        x.to_zarr(&path).write().unwrap();
        let file = path.join("zarr.json");
        let text_there = fs::read_to_string(&file).unwrap();
        assert!(text_there.contains(from), "{from} in {text_there}");
        fs::write(&file, text_there.replacen(from, to, 1)).unwrap();
        error(open(&path), ErrorKind::Data, text);
    }
    x.to_zarr(&path).write().unwrap();
    let opened = array::read_zarr::<f64, Ix2>(&path).unwrap();
    fs::write(path.join("c/1/0"), b"no chunk").unwrap();
    error(opened.compute().map(drop), ErrorKind::Data, "chunk `c/1/0`");
    assert_eq!(opened.slice(s![..2, ..]).sum().compute().unwrap(), 8.0, "the others are there");
    // Chunks that lie as they are in memory: one that is cut off, one that is not there, one of nothing but what is there anyway.
    let plain = &x * array::arange(0.0, 4.0, 1.0, 4);
    plain.to_zarr(&path).compression(ZarrCompression::None).write().unwrap();
    let opened = array::read_zarr::<f64, Ix2>(&path).unwrap();
    fs::write(path.join("c/1/0"), b"no chunk").unwrap();
    error(opened.compute().map(drop), ErrorKind::Data, "chunk `c/1/0` has 8 bytes, and 32 belong to it");
    fs::remove_file(path.join("c/1/0")).unwrap();
    assert_eq!(opened.slice(s![1.., 1..3]).compute().unwrap(), ndarray::arr2(&[[1.0, 2.0], [0.0, 2.0], [0.0, 2.0]]));
    (&x * 0.0).to_zarr(&path).compression(ZarrCompression::None).write().unwrap();
    assert!(!path.join("c").exists() && array::read_zarr::<f64, Ix2>(&path).unwrap().sum().compute().unwrap() == 0.0);
}

const FORMATS: [ZarrFormat; 2] = [ZarrFormat::V2, ZarrFormat::V3];
const COMPRESSIONS: [ZarrCompression; 3] = [ZarrCompression::None, ZarrCompression::Gzip(1), ZarrCompression::Zstd];

/// What is written is read again. Where `STORED_ARRAYS` names a directory, it stays there for `stored.py check`.
#[test]
fn written_and_read() -> Result<()> {
    fn of<A: Numbered>(dir: &Path) {
        let known = numbers::<A>(&[5, 7]);
        for (format, name) in FORMATS.into_iter().zip(["v2", "v3"]) {
            for (at, compression) in COMPRESSIONS.into_iter().enumerate() {
                let path = dir.join(format!("{}-{name}-{at}", A::NAME));
                let x = array::from_ndarray(known.clone(), (vec![1, 0, 4], 3));
                let writer = x.to_zarr(&path).zarr_format(format).compression(compression);
                let written = writer.durable(at == 0).write().unwrap();
                assert_eq!((written.blocks, &written.paths[..]), (6, &[path.clone()][..]));
                let back = zarr::<A>(&path);
                check(&back, &known);
                assert_eq!(array::read_zarr_with::<A, IxDyn>(&path, "1 B").unwrap().chunksize().unwrap(), [4, 3]);
            }
        }
    }
    let (dir, stays) = (tempfile::tempdir().unwrap(), std::env::var_os("STORED_ARRAYS"));
    let dir = stays.as_ref().map_or(dir.path(), Path::new);
    each_type!(of(dir));
    let known = numbers::<f32>(&[4, 6]);
    array::from_ndarray(known.clone(), 2).to_npy(dir.join("by_rows.npy")).write()?;
    array::from_ndarray(known.clone(), 2).to_npy_stack(dir.join("stack"), 1).write()?;
    let x = array::from_ndarray(known.clone(), (2, 6));
    x.to_zarr(dir.join("cut")).chunks((4, 5)).write()?;
    assert_eq!(array::read_zarr_with::<f32, Ix2>(dir.join("cut"), "1 B")?.chunksize()?, [4, 5]);
    check(&zarr(dir.join("cut")), &known);
    x.to_zarr(dir.join("fine")).chunks((1, 2)).write()?;
    check(&zarr(dir.join("fine")), &known);
    for shape in [&[][..], &[0, 3], &[1, 1, 1, 1, 1]] {
        let path = dir.join("shape");
        array::from_ndarray(numbers::<i32>(shape), 2).to_zarr(&path).write()?;
        assert_eq!(zarr::<i32>(&path).compute()?, numbers::<i32>(shape));
        fs::remove_dir_all(path).unwrap();
    }
    Ok(())
}

#[test]
fn what_stands_there() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.zarr");
    let x = array::ones_f64((4, 4), 2);
    x.to_zarr(&path).write()?;
    // Over what it reads.
    let back = array::read_zarr::<f64, Ix2>(&path)?;
    (&back + 1.0).to_zarr(&path).zarr_format(ZarrFormat::V2).write()?;
    assert_eq!(array::read_zarr::<f64, Ix2>(&path)?.sum().compute()?, 32.0);
    assert!(!path.join("zarr.json").exists());
    error(x.to_zarr(&path).if_exists(IfExists::Fail).write(), ErrorKind::Plan, "is there already");
    let bad = x.map_blocks(|block| -> ndarray::Array2<f64> { panic!("no {block}") });
    assert_eq!(bad.to_zarr(&path).write().unwrap_err().kind(), ErrorKind::Panic);
    assert_eq!(array::read_zarr::<f64, Ix2>(&path)?.sum().compute()?, 32.0);
    fs::create_dir(dir.path().join("full")).unwrap();
    fs::write(dir.path().join("full/other.txt"), "x").unwrap();
    error(x.to_zarr(dir.path().join("full")).write(), ErrorKind::Plan, "holds `other.txt`");
    fs::create_dir(dir.path().join("group")).unwrap();
    fs::write(dir.path().join("group/.zgroup"), r#"{"zarr_format": 2}"#).unwrap();
    error(x.to_zarr(dir.path().join("group")).write(), ErrorKind::Plan, "holds `.zgroup`");
    x.to_zarr(dir.path().join("group/x")).zarr_format(ZarrFormat::V2).write()?;
    assert_eq!(array::read_zarr::<f64, Ix2>(dir.path().join("group/x"))?.sum().compute()?, 16.0);
    error(
        x.to_zarr(dir.path().join("y")).chunks((vec![1, 3], 2)).write(),
        ErrorKind::Plan,
        "axis 0: chunks of a Zarr array are all of one length",
    );
    error(x.to_npy(dir.path().join("y")).chunks(2).write(), ErrorKind::Plan, "`chunks` is no option of `to_npy`");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3, "nothing else is left");
    Ok(())
}

/// Regions, between chunks and across them, by many threads: what is beside them stays.
#[test]
fn regions() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    for (at, format) in FORMATS.into_iter().enumerate() {
        let path = dir.path().join(format!("x{at}"));
        let mut known = numbers::<f64>(&[20, 30]).into_dimensionality::<Ix2>().unwrap();
        let there = || array::read_zarr::<f64, Ix2>(&path).unwrap().compute().unwrap();
        array::from_ndarray(known.clone(), (6, 7)).to_zarr(&path).zarr_format(format).write()?;
        for (number, (rows, columns)) in
            [(0..20, 0..30), (6..12, 7..21), (5..13, 3..22), (19..20, 29..30), (3..3, 1..5), (1..20, 0..30)]
                .into_iter()
                .enumerate()
        {
            let region = s![rows, columns];
            let part = known.slice(region).mapv(|x| x + 1000.0 * (number + 1) as f64);
            let x = array::from_ndarray(part.clone(), (3, 2));
            for on in [On::Threads(8), On::Synchronous] {
                let (runtime, _) = on.runtime(64 << 20);
                runtime.run(|| x.to_zarr(&path).region(region).write())?;
                assert_nothing_held(&runtime, "regions");
            }
            known.slice_mut(region).assign(&part);
            assert_eq!(there(), known);
        }
        let row = array::from_vec((0..30).map(f64::from).collect(), 4);
        row.to_zarr(&path).region(s![-2, ..]).write()?;
        known.slice_mut(s![-2, ..]).assign(&ndarray::Array1::from_iter((0..30).map(f64::from)));
        assert_eq!(there(), known);
        let write = |region: &[ndarray::SliceInfoElem]| row.to_zarr(&path).region(region).write();
        error(
            write(s![..2, ..].as_ref()),
            ErrorKind::Plan,
            "an array of the shape [30] for a region of the shape [2, 30]",
        );
        error(write(s![0, ..;2].as_ref()), ErrorKind::Plan, "axis 1: a region with the step 2");
        error(write(s![20, ..].as_ref()), ErrorKind::Plan, "20 lies outside of an axis of length 20");
        error(write(s![..].as_ref()), ErrorKind::Plan, "a region of 1 axes of an array of 2");
        error(
            row.cast::<f32>().to_zarr(&path).region(s![0, ..]).write(),
            ErrorKind::Plan,
            "holds f64, and an array of f32 is to be written",
        );
        error(
            row.to_zarr(&path).region(s![0, ..]).zarr_format(format).write(),
            ErrorKind::Plan,
            "with its own version",
        );
        error(row.to_zarr(dir.path()).region(s![0, ..]).write(), ErrorKind::Data, "is no Zarr array");
    }
    Ok(())
}

/// A mean over time, and what differs from it, from one store to another under a limit far below their size.
#[test]
fn differences_from_a_mean() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    let x = array::random::seed(5).uniform(0.0..1.0, (48, 200, 250), (6, 100, 250));
    x.to_zarr(&from).write()?;
    let mut known: Option<ArrayD<f64>> = None;
    for on in [On::Synchronous, On::Threads(2)] {
        let (runtime, _) = on.runtime(16 << 20);
        let found = runtime.run(|| {
            let stack = array::read_zarr_with::<f64, Ix3>(&from, (6, 100, 250))?;
            let mean = stack.mean_axis(Axis(0));
            let written = (&stack - &mean).to_zarr(&to);
            compute((written, stack.sum()))
        });
        let (written, sum) = found?;
        assert_eq!(written.blocks, 16);
        assert!(runtime.last_report().peak_accounted_bytes <= 16 << 20);
        assert!((sum / 2_400_000.0 - 0.5).abs() < 1e-3);
        assert_nothing_held(&runtime, "differences");
        let back = zarr::<f64>(&to);
        let rest = back.sum_axes(&[0], false).abs().max_axes(&[0, 1], false);
        assert!(rest.compute()?.sum() < 1e-12);
        let slice: Array<f64, Ix1> = back.into_dimensionality::<Ix3>().slice(s![.., 3_usize, 4_usize]);
        let slice = slice.compute()?.into_dyn();
        assert_eq!(*known.get_or_insert(slice.clone()), slice, "the same bits");
    }
    Ok(())
}
