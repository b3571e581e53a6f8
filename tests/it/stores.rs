//! Arrays in files: what NumPy, Zarr and Dask wrote is read, what is written is what was to be, and wrong files are told.

use std::fmt::Debug;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use chunkwise::array::{ArrayTarget, Complex, Element, IfExists, Ix1, Ix2, Ix3, IxDyn, s};
use chunkwise::prelude::*;
use ndarray::{ArrayD, ArrayViewD, Axis, IxDyn as Dyn};

use super::support::{AMPLE, On, assert_nothing_held};

pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/stored").join(name)
}

/// A number of its place, as `stored.py` has it.
pub trait Numbered: Element {
    const NAME: &'static str;

    fn of(n: usize) -> Self;
}

macro_rules! numbered {
    ($($type:ty: $name:literal, $n:ident => $of:expr;)+) => {$(
        impl Numbered for $type {
            const NAME: &'static str = $name;

            fn of($n: usize) -> Self {
                $of
            }
        }
    )+};
}

fn value(n: usize) -> u8 {
    ((7 * n + 3) % 101) as u8
}

numbered! {
    bool: "bool", n => value(n).is_multiple_of(2);
    i8: "int8", n => value(n) as i8;
    i16: "int16", n => value(n).into();
    i32: "int32", n => value(n).into();
    i64: "int64", n => value(n).into();
    u8: "uint8", n => value(n);
    u16: "uint16", n => value(n).into();
    u32: "uint32", n => value(n).into();
    u64: "uint64", n => value(n).into();
    f32: "float32", n => value(n).into();
    f64: "float64", n => value(n).into();
    Complex<f32>: "complex64", n => Complex::new(value(n).into(), n as f32);
    Complex<f64>: "complex128", n => Complex::new(value(n).into(), n as f64);
}

/// Runs the same for all types.
macro_rules! each_type {
    ($run:ident($($with:expr),*)) => {
        $run::<bool>($($with),*);
        $run::<i8>($($with),*);
        $run::<i16>($($with),*);
        $run::<i32>($($with),*);
        $run::<i64>($($with),*);
        $run::<u8>($($with),*);
        $run::<u16>($($with),*);
        $run::<u32>($($with),*);
        $run::<u64>($($with),*);
        $run::<f32>($($with),*);
        $run::<f64>($($with),*);
        $run::<Complex<f32>>($($with),*);
        $run::<Complex<f64>>($($with),*);
    };
}
#[cfg_attr(not(feature = "zarr"), allow(unused_imports))]
pub(super) use each_type;

pub fn numbers<A: Numbered>(shape: &[usize]) -> ArrayD<A> {
    let mut next = 0;
    ArrayD::from_shape_simple_fn(Dyn(shape), || {
        next += 1;
        A::of(next - 1)
    })
}

/// All of an array and parts of it are what they should be, with and without what is brought to the file, under any limit.
#[track_caller]
pub fn check<A: Element + Debug>(x: &Array<A, IxDyn>, known: &ArrayD<A>) {
    for (on, limit) in [(On::Synchronous, AMPLE), (On::Threads(2), 4 << 20)] {
        for reads in [true, false] {
            let builder = Runtime::builder().memory_limit(limit).set("optimize.reads", reads);
            let runtime = on.set(builder).build().unwrap();
            let all = runtime.run(|| x.compute()).unwrap();
            assert_eq!(all, known, "{x:?}");
            for axis in 0..known.ndim() {
                let turned = runtime.run(|| x.swap_axes(0, axis as isize).flip(&[axis as isize]).compute()).unwrap();
                let mut wanted = known.clone();
                wanted.swap_axes(0, axis);
                wanted.invert_axis(Axis(axis));
                assert_eq!(turned, wanted, "{x:?}");
                for at in 0..known.len_of(Axis(axis)) {
                    let row = runtime.run(|| x.index_axis(Axis(axis), at).compute()).unwrap();
                    assert_eq!(row, known.index_axis(Axis(axis), at), "{x:?}");
                }
            }
            drop(all);
            assert_nothing_held(&runtime, "stored arrays");
        }
    }
}

#[track_caller]
pub fn error<T>(result: Result<T>, kind: ErrorKind, text: &str) {
    let Err(error) = result else { panic!("no error, and `{text}` is to be one") };
    assert!(error.kind() == kind && error.to_string().contains(text), "{kind:?} `{text}` is to be, found {error:?}");
    assert!(error.to_string().contains("stores.rs:"), "no line: {error}");
}

fn npy<A: Element>(path: impl AsRef<Path>, chunks: impl Into<array::Chunks>) -> Array<A, IxDyn> {
    array::read_npy(path, chunks).unwrap()
}

#[test]
fn npy_files_of_numpy() {
    fn of<A: Numbered>() {
        let known = numbers::<A>(&[3, 4]);
        check(&npy(data(&format!("npy/{}.npy", A::NAME)), 2), &known);
        let other = array::read_npy::<A, Ix1>(data(&format!("npy/{}.npy", A::NAME)), 2);
        error(other.map(drop), ErrorKind::Data, "has 2 axes, and an array of 1 is to be");
    }
    each_type!(of());
    check(&npy(data("npy/fortran.npy"), (2, 4, 3)), &numbers::<f64>(&[3, 4, 5]));
    check(&npy(data("npy/fortran.npy"), "auto"), &numbers::<f64>(&[3, 4, 5]));
    check(&npy(data("npy/big.npy"), 2), &numbers::<i32>(&[3, 4]));
    check(&npy(data("npy/bigcomplex.npy"), 3), &numbers::<Complex<f32>>(&[3, 4]));
    check(&npy(data("npy/second.npy"), 3), &numbers::<f64>(&[3, 4]));
    check(&npy(data("npy/one.npy"), 3), &ArrayD::from_elem(Dyn(&[]), 3.5));
    check(&npy(data("npy/none.npy"), 3), &numbers::<i16>(&[0, 3]));
    let half = array::read_npy::<f32, Ix1>(data("npy/half.npy"), 3);
    error(half.map(drop), ErrorKind::Data, "half.npy holds elements of the type `<f2`, which arrays cannot hold");
    let other = array::read_npy::<f32, Ix2>(data("npy/float64.npy"), 3);
    error(other.map(drop), ErrorKind::Data, "float64.npy holds f64, and an array of f32 is to be");
}

#[test]
fn wrong_npy_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.npy");
    let open = || array::read_npy::<f64, Ix2>(&path, 2).map(drop);
    error(open(), ErrorKind::Io, "x.npy");
    let whole = fs::read(data("npy/float64.npy")).unwrap();
    for (bytes, text) in [
        (&b""[..], "x.npy is no .npy file"),
        (b"PK\x03\x04 something else", "x.npy is no .npy file"),
        (&whole[..8], "x.npy ends within its header"),
        (&whole[..60], "x.npy ends within its header"),
        (
            &whole[..whole.len() - 1],
            "x.npy is cut off: its header tells of the shape [3, 4], 96 bytes of f64, and 95 are there",
        ),
    ] {
        fs::write(&path, bytes).unwrap();
        error(open(), ErrorKind::Data, text);
    }
    // It becomes shorter behind the reader's back.
    fs::write(&path, &whole).unwrap();
    let x = array::read_npy::<f64, Ix2>(&path, 2).unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(150).unwrap();
    error(x.sum().compute(), ErrorKind::Data, "x.npy has changed since it was opened");
    let mut truths = fs::read(data("npy/bool.npy")).unwrap();
    *truths.last_mut().unwrap() = 2;
    fs::write(&path, truths).unwrap();
    let x = array::read_npy::<bool, Ix2>(&path, 2).unwrap();
    error(
        x.any().compute(),
        ErrorKind::Data,
        "x.npy, region [2..3, 2..4]: holds bytes as truths that are neither 0 nor 1",
    );
    let known = numbers::<bool>(&[3, 4]).into_dimensionality::<Ix2>().unwrap();
    assert_eq!(x.slice(s![..2, ..]).compute().unwrap(), known.slice(s![..2, ..]), "the others are there");
}

#[test]
fn npy_files_are_read_by_others() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/er/x.npy");
    fn of<A: Numbered>(path: &Path) {
        for shape in [&[][..], &[7], &[0, 3], &[5, 6], &[3, 4, 5]] {
            let known = numbers::<A>(shape);
            for chunks in [array::Chunks::auto(), 2.into()] {
                let x = array::from_ndarray(known.clone(), chunks);
                let written = x.to_npy(path).write().unwrap();
                assert_eq!(
                    (written.bytes, written.paths),
                    (size_of_val(known.as_slice().unwrap()) as u64, vec![path.into()])
                );
                assert_eq!(npy::<A>(path, 3).compute().unwrap(), known);
            }
        }
    }
    each_type!(of(&path));
    let x = array::arange(0.0, 60.0, 1.0, 7);
    x.to_npy(&path).write()?;
    let found: ndarray::Array1<f64> = ndarray_npy::read_npy(&path).unwrap();
    assert_eq!(found, x.compute()?);
    let turned = ndarray::Array3::<f32>::from_shape_fn((3, 4, 5), |(i, j, k)| (i * 100 + j * 10 + k) as f32);
    ndarray_npy::write_npy(&path, &turned.view().reversed_axes()).unwrap();
    check(&npy(&path, 2), &turned.reversed_axes().into_dyn());
    // Over what it reads.
    (npy::<f32>(&path, 2) + 1.0).to_npy(&path).write()?;
    assert_eq!(npy::<f32>(&path, 2).compute()?[[4, 3, 2]], 235.0);
    Ok(())
}

#[test]
fn whole_or_not_at_all() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.npy");
    let x = array::arange(0, 100, 1, 10);
    let bad = x.map_blocks(|block| if block[0] == 50 { panic!("no") } else { block.to_owned() });
    let listed = || fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(bad.to_npy(&path).write().unwrap_err().kind(), ErrorKind::Panic);
    assert_eq!(bad.to_npy_stack(dir.path().join("stack"), 0).write().unwrap_err().kind(), ErrorKind::Panic);
    assert_eq!(listed(), 0, "nothing is left");
    x.to_npy(&path).durable(true).write()?;
    assert!(bad.to_npy(&path).write().is_err());
    assert_eq!(npy::<i32>(&path, 7).sum_axes(&[0], false).compute()?.sum(), 4950);
    error(x.to_npy(&path).if_exists(IfExists::Fail).write(), ErrorKind::Plan, "is there already");
    error(
        x.to_npy(&path).if_exists(IfExists::Append).write(),
        ErrorKind::Plan,
        "`IfExists::Append` is no option of `to_npy`",
    );
    error(x.to_npy(dir.path()).write(), ErrorKind::Plan, "is no file, and a single file is to be written");
    error(x.to_npy_stack(dir.path(), 0).write(), ErrorKind::Plan, "holds `x.npy`, which is no part of a data set");
    error(x.to_npy_stack(dir.path().join("y"), 1).write(), ErrorKind::Plan, "there is no axis 1");
    assert_eq!(listed(), 1);
    Ok(())
}

#[test]
fn stacks() -> Result<()> {
    let of_dask = array::read_npy_stack::<f32, IxDyn>(data("stack"))?;
    assert_eq!(of_dask.chunks()?, [vec![Some(4)], vec![Some(3), Some(3), Some(1)]]);
    check(&of_dask, &numbers::<f32>(&[4, 7]));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stack");
    let known = numbers::<Complex<f64>>(&[5, 4, 3]);
    let x = array::from_ndarray(known.clone(), (vec![0, 2, 3], 2, 1));
    for axis in [0, -2, 2] {
        let written = x.to_npy_stack(&path, axis).write()?;
        assert_eq!(written.blocks as usize, x.numblocks()?[(axis + 3) as usize % 3]);
        let back = array::read_npy_stack::<Complex<f64>, IxDyn>(&path)?;
        check(&back, &known);
        check(&back.rechunk(3), &known);
    }
    fs::copy(data("npy/bool.npy"), path.join("1.npy")).unwrap();
    let back = array::read_npy_stack::<Complex<f64>, Ix3>(&path)?;
    error(
        back.compute().map(drop),
        ErrorKind::Data,
        "1.npy holds bool of the shape [3, 4], and the stack tells of Complex<f64> of the shape",
    );
    fs::write(path.join("info"), b"\x80\x04N.").unwrap();
    let none = array::read_npy_stack::<Complex<f64>, Ix3>(&path);
    error(none.map(drop), ErrorKind::Data, "does not tell `chunks`, `dtype` and `axis` of a stack");
    error(array::read_npy_stack::<f64, Ix1>(dir.path()).map(drop), ErrorKind::Io, "info");
    Ok(())
}

/// A matrix to which blocks are given.
struct Given {
    matrix: Arc<Mutex<ArrayD<i32>>>,
    said: Arc<Mutex<Vec<String>>>,
    fails: bool,
}

impl ArrayTarget<i32> for Given {
    fn begin(&self, shape: &[usize]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.said.lock().unwrap().push(format!("begin {shape:?}"));
        Ok(())
    }

    fn write_block(
        &self,
        region: &[Range<usize>],
        block: ArrayViewD<'_, i32>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        assert!(!block.is_empty());
        if self.fails && region[0].start > 0 {
            return Err("no room".into());
        }
        let mut matrix = self.matrix.lock().unwrap();
        let mut place = matrix.slice_each_axis_mut(|axis| region[axis.axis.0].clone().into());
        assert!(place.iter().all(|old| *old == 0), "each element comes once");
        place.assign(&block);
        Ok(())
    }

    fn finish(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.said.lock().unwrap().push("finish".to_string());
        Ok(())
    }
}

#[test]
fn a_target_of_the_program() {
    let known = numbers::<i32>(&[5, 6]);
    for fails in [false, true] {
        let (matrix, said) = (Arc::new(Mutex::new(ArrayD::zeros(Dyn(&[5, 6])))), Arc::default());
        let given = Given { matrix: matrix.clone(), said: Arc::clone(&said), fails };
        let x = array::from_ndarray(known.clone(), (vec![2, 0, 3], 4));
        let writer = x.store_into(given);
        match fails {
            true => error(writer.write(), ErrorKind::Task, "a target of the program, region [2..5, "),
            false => {
                let written = writer.write().unwrap();
                assert_eq!((written.blocks, written.bytes, written.paths), (6, 120, vec![]));
                assert_eq!(*matrix.lock().unwrap(), known);
            }
        }
        let said = said.lock().unwrap();
        assert_eq!((&said[0][..], said.len()), ("begin [5, 6]", if fails { 1 } else { 2 }));
        error(
            x.store_into(Given { matrix, said: Arc::default(), fails }).durable(true).write(),
            ErrorKind::Plan,
            "no option",
        );
    }
}

/// Under limits far below the size of the array, with other work in the same run.
#[test]
fn large_files_under_small_limits() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("a.npy"), dir.path().join("b.npy"));
    for on in [On::Synchronous, On::Threads(1), On::Threads(2)] {
        let (runtime, _) = on.runtime(12 << 20);
        let x = array::arange(0.0, 4e6, 1.0, 200_000);
        runtime.run(|| x.to_npy(&first).write())?;
        let back: Array<f64, Ix1> = array::read_npy(&first, 500_000)?;
        let wanted = || compute(((&back * 2.0).to_npy(&second), back.sum(), back.slice(s![..;1_000_000]).max()));
        let (written, sum, most) = runtime.run(wanted)?;
        assert_eq!((written.blocks, written.bytes, sum, most), (8, 32_000_000, 4e6 * (4e6 - 1.0) / 2.0, 3e6));
        assert_eq!(runtime.run(|| array::read_npy::<f64, Ix1>(&second, -1)?.max().compute())?, 2.0 * (4e6 - 1.0));
        assert_nothing_held(&runtime, "large files");
    }
    Ok(())
}
