//! Arrays that a program's own source gives: the same as those in memory, and no more is read than is looked at.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use chunkwise::array::{ArraySource, Axis, Ix1, Ix2, s};
use chunkwise::prelude::*;
use ndarray::{ArrayD, IxDyn as Dyn, SliceInfoElem};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::arrays::{Choices, Pair, are_as_known, chunks, step};
use super::support::{AMPLE, On, assert_nothing_held};

type Asked = Arc<Mutex<Vec<Vec<Range<usize>>>>>;

/// Numbers in memory behind a door at which it is noted what is asked for.
struct Noted {
    known: ArrayD<f64>,
    pieces: Option<Vec<usize>>,
    asked: Asked,
}

impl ArraySource<f64> for Noted {
    fn shape(&self) -> Vec<usize> {
        self.known.shape().to_vec()
    }

    fn chunk_shape(&self) -> Option<Vec<usize>> {
        self.pieces.clone()
    }

    fn read_block(&self, region: &[Range<usize>]) -> Result<ArrayD<f64>, Box<dyn std::error::Error + Send + Sync>> {
        assert!(region.iter().all(|range| !range.is_empty()), "nothing is asked for: {region:?}");
        self.asked.lock().unwrap().push(region.to_vec());
        let parts = region.iter().map(|range| (range.start..range.end).into()).collect::<Vec<SliceInfoElem>>();
        Ok(self.known.slice(&parts[..]).to_owned().into_dyn())
    }

    fn label(&self) -> String {
        "noted".to_string()
    }
}

fn numbers(shape: &[usize]) -> ArrayD<f64> {
    let mut next = 0.0;
    ArrayD::from_shape_simple_fn(Dyn(shape), || {
        next += 1.0;
        next
    })
}

/// An array of two axes whose reads are noted.
fn noted(shape: [usize; 2], block: impl Into<array::Chunks>) -> (Array<f64, Ix2>, ndarray::Array2<f64>, Asked) {
    let (known, asked) = (numbers(&shape), Asked::default());
    let source = Noted { known: known.clone(), pieces: None, asked: asked.clone() };
    (array::from_source(source, block), known.into_dimensionality().unwrap(), asked)
}

fn regions(asked: &Asked) -> Vec<Vec<Range<usize>>> {
    let mut asked = std::mem::take(&mut *asked.lock().unwrap());
    asked.sort_by_key(|region| region.iter().map(|range| range.start).collect::<Vec<_>>());
    asked
}

/// Random programs over sources give what ndarray gives, with and without what is brought to the source.
#[test]
fn random_programs_over_sources() {
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(150) });
    runner
        .run(&any::<u64>(), |seed| {
            let mut choices = Choices(seed);
            let mut all: Vec<Pair> = Vec::new();
            for _ in 0..3 {
                let rank = choices.below(5);
                let shape: Vec<usize> = (0..rank).map(|_| choices.below(if rank > 2 { 5 } else { 9 })).collect();
                let known = ArrayD::from_shape_simple_fn(Dyn(&shape), || choices.below(19) as f64 - 9.0);
                let pieces = choices.yes().then(|| shape.iter().map(|_| 1 + choices.below(4)).collect());
                let source = Noted { known: known.clone(), pieces, asked: Asked::default() };
                let cut = if choices.yes() { chunks(&mut choices, &shape) } else { array::Chunks::bytes(64) };
                all.push((array::from_source(source, cut), known));
            }
            for _ in 0..12 {
                let next = step(&mut choices, &all);
                all.push(next);
            }
            // Not all: what nobody wants is not there to be read.
            let wanted: Vec<&Pair> = (0..3).map(|_| &all[all.len() - 1 - choices.below(6)]).collect();
            let set = |reads, fuse| [("optimize.reads", reads), ("optimize.elementwise", fuse)];
            are_as_known(&wanted, &[&set(true, true), &set(true, false), &set(false, true)])
        })
        .unwrap();
}

#[test]
fn a_slice_reads_what_it_shows() -> Result<()> {
    let (x, known, asked) = noted([100, 100], 10);
    let picked = x.slice(s![5..25;3, 7]);
    assert!(regions(&asked).is_empty(), "nothing is read before it is computed");
    let column: Array<f64, Ix1> = picked;
    assert_eq!(column.compute()?, known.slice(s![5..25;3, 7]));
    assert_eq!(regions(&asked), [[5..9, 7..8], [11..18, 7..8], [20..24, 7..8]]);
    // From behind, turned, and through functions that nobody else looks at.
    let work = ((&x - 1.0) * 2.0).t();
    let found = work.slice(s![..;-1, 0..10]).slice(s![..5, ..]).compute()?;
    let expected = ((&known - 1.0) * 2.0).reversed_axes();
    assert_eq!(found, expected.slice(s![..;-1, 0..10]).slice(s![..5, ..]));
    assert_eq!(regions(&asked), [[0..10, 95..100]]);
    let mean = x.slice(s![0..3, ..]).mean().compute()?;
    assert_eq!(mean, known.slice(s![0..3, ..]).mean().unwrap());
    assert_eq!(regions(&asked).len(), 10);
    // What stretches over rows is read as it is.
    let sum = (&x + &x.slice(s![0..1, ..])).slice(s![50..52, 3..5]).compute()?;
    assert_eq!(sum, (&known + &known.slice(s![0..1, ..])).slice(s![50..52, 3..5]));
    assert_eq!(regions(&asked), [[0..1, 3..5], [50..52, 3..5]]);
    Ok(())
}

#[test]
fn several_slices_of_one_source() -> Result<()> {
    let (x, known, asked) = noted([100, 4], (25, 4));
    // They overlap: what they span is read once.
    let change = x.slice(s![1..10, ..]) - x.slice(s![..9, ..]);
    assert_eq!(change.compute()?, &known.slice(s![1..10, ..]) - &known.slice(s![..9, ..]));
    assert_eq!(regions(&asked), [[0..10, 0..4]]);
    // They lie far apart: each is read alone.
    let ends = x.slice(s![..2, ..]) + x.slice(s![98.., ..]);
    assert_eq!(ends.compute()?, &known.slice(s![..2, ..]) + &known.slice(s![98.., ..]));
    assert_eq!(regions(&asked), [[0..2, 0..4], [98..100, 0..4]]);
    // Somebody wants all of it.
    let (all, part) = compute((&x, x.slice(s![30..31, ..]).sum()))?;
    assert_eq!((all, part), (known.clone(), known.row(30).sum()));
    assert_eq!(regions(&asked).len(), 4);
    // A result that several look at is made, and read for, once.
    let costly = x.sin().exp();
    let (one, other) = compute((costly.slice(s![..5, ..]).sum(), costly.sum_axis(Axis(0))))?;
    assert!((one - known.slice(s![..5, ..]).mapv(|x| x.sin().exp()).sum()).abs() < 1e-9 && other.len() == 4);
    assert_eq!(regions(&asked).len(), 4);
    Ok(())
}

/// Blocks of 32 MiB that only a reduction sees are read in smaller ones, which begin where pieces of the source do.
#[test]
fn reductions_of_large_blocks() -> Result<()> {
    let (known, asked) = (numbers(&[4 << 20]), Asked::default());
    let sums: f64 = (1..=4u64 << 20).sum::<u64>() as f64;
    let pieces = Some(vec![1_000_003]);
    let x: Array<f64, Ix1> = array::from_source(Noted { known, pieces, asked: asked.clone() }, -1);
    for (on, limit) in [(On::Synchronous, AMPLE), (On::Threads(2), 40 << 20), (On::Threads(1), 20 << 20)] {
        let (runtime, _) = on.runtime(limit);
        let (sum, most) = runtime.run(|| compute(((&x * 1.0).sum(), x.max())))?;
        assert_eq!((sum, most), (sums, (4 << 20) as f64));
        let ends: Vec<usize> = regions(&asked).iter().map(|region| region[0].end).collect();
        assert_eq!(ends, [1_000_003, 2_000_006, 3_000_009, 4_000_012, 4 << 20]);
        assert_nothing_held(&runtime, "large blocks");
    }
    let (runtime, _) = On::Threads(1).runtime(24 << 20);
    let error = runtime.run(|| x.map_blocks(|block| block.to_owned()).sum().compute()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitTooSmall, "{error}");
    Ok(())
}

/// A source that is wrong in a way.
struct Wrong(&'static str);

impl ArraySource<i32> for Wrong {
    fn shape(&self) -> Vec<usize> {
        vec![10, 10]
    }

    fn chunk_shape(&self) -> Option<Vec<usize>> {
        (self.0 == "pieces").then(|| vec![5])
    }

    fn read_block(&self, _: &[Range<usize>]) -> Result<ArrayD<i32>, Box<dyn std::error::Error + Send + Sync>> {
        match self.0 {
            "fails" => Err("the line is dead".into()),
            "panics" => panic!("no line at all"),
            _ => Ok(ArrayD::zeros(Dyn(&[3, 3]))),
        }
    }
}

#[test]
fn wrong_sources() {
    let error = |of: &'static str| {
        let x: Array<i32, Ix2> = array::from_source(Wrong(of), 5);
        let error = x.slice(s![6.., ..]).sum().compute().unwrap_err();
        assert!(error.to_string().contains("stored_arrays.rs:"), "{error}");
        error
    };
    let dead = error("fails");
    assert_eq!(dead.kind(), ErrorKind::Task);
    assert!(dead.message().starts_with("a source of the program, region [6..10, "), "{dead}");
    assert!(dead.message().ends_with("]: the line is dead"), "{dead}");
    assert_eq!(error("panics").kind(), ErrorKind::Panic);
    let shape = error("shape");
    assert_eq!(shape.kind(), ErrorKind::Data);
    assert!(shape.message().contains("gave i32 of the shape [3, 3], and i32 was asked for"), "{shape}");
    let pieces = error("pieces");
    assert_eq!(pieces.kind(), ErrorKind::Plan);
    assert!(pieces.message().contains("has pieces of the shape [5]"), "{pieces}");
    let x: Array<i32, Ix1> = array::from_source(Wrong("fails"), 5);
    let axes = x.compute().unwrap_err();
    assert!(axes.message().contains("has 2 axes, and an array of 1 is to be"), "{axes}");
}
