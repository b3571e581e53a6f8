//! Plans of arrays before and after each pass, and as they run.

use chunkwise::array::{Axis, random, s};
use chunkwise::prelude::*;
use chunkwise::runtime::config;
use insta::assert_snapshot;

/// The part of what `explain` says behind a heading, up to the next one.
fn part(text: &str, heading: &str) -> String {
    let (_, rest) = text.split_once(&format!("{heading}\n")).unwrap_or_else(|| panic!("no {heading} in\n{text}"));
    rest.split_inclusive('\n')
        .take_while(|line| !line.trim_end().ends_with(':') && !line.starts_with("lowered"))
        .collect()
}

/// What `explain` says with one pass alone: the plan as it is, after the pass, and as it runs.
fn plans<C: Compute>(pass: &str, what: &C) -> [String; 3] {
    let settings = ["merge", "reads"].map(|known| (format!("optimize.{known}"), (pass == known).to_string()));
    let text = config::with(settings, || what.explain()).unwrap();
    ["arrays:", "arrays, optimized:", "arrays, as they run:"].map(|heading| part(&text, heading))
}

/// The plan before and after a pass.
fn pass<C: Compute>(pass: &str, what: &C) -> String {
    let [before, after, _] = plans(pass, what);
    format!("{before}becomes\n{after}")
}

/// The layers that arrays become.
fn layers<C: Compute>(what: &C) -> String {
    let [_, _, layers] = plans("merge", what);
    layers
}

fn numbers() -> Array<f64, array::Ix1> {
    array::from_vec(vec![1.0; 100], 10)
}

/// Equal work is one node; what a function of the user's makes is equal to nothing else.
#[test]
fn merge() {
    let x = numbers();
    assert_snapshot!(pass("merge", &((&x + 1.0).sum(), (&x + 1.0).max())));
    let same = |x: &Array<f64, _>| x.map_blocks(|block| block.to_owned());
    assert_snapshot!(pass("merge", &(same(&x), same(&x))));
}

/// Slices come to what is read, through element-wise work; parts of a source that lie far apart are read apart.
#[test]
fn reads() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.npy");
    numbers().to_npy(&path).compute()?;
    let x = array::read_npy::<f64, array::Ix1>(&path, 10)?;
    let shown = |what: &Array<f64, _>| pass("reads", what).replace(&path.display().to_string(), "x.npy");
    assert_snapshot!(shown(&(&x * 2.0).slice(s![5..25]).flip(&[0])));
    assert_snapshot!(shown(&(x.slice(s![..10]) + x.slice(s![90..]) + x.slice(s![2..12]))));
    // Somebody else looks at all of it.
    let all = &x * 2.0;
    assert_snapshot!(shown(&(all.slice(s![5..25]) + all.sum())));
    Ok(())
}

/// Blocks of a source that can make any region are cut where a task's need asks for it; the user's chunks stay.
#[test]
fn sources_are_cut_anew() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.npy");
    array::zeros_f64((4000, 4000), (1000, 4000)).to_npy(&path).compute()?;
    let x = array::read_npy::<f64, array::Ix2>(&path, (4000, 4000))?;
    let text = pass("reads", &x.sum()).replace(&path.display().to_string(), "x.npy");
    assert_eq!(x.chunks()?, [[Some(4000)], [Some(4000)]]);
    assert_snapshot!(text);
    Ok(())
}

/// A file is read once more for a second pass, with what is cheap to make of it, instead of being held; not what is dear.
#[test]
fn again() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.npy");
    numbers().to_npy(&path).compute()?;
    let x = array::read_npy::<f64, array::Ix1>(&path, 10)?;
    let shown = |what: &Array<f64, _>| pass("reads", what).replace(&path.display().to_string(), "x.npy");
    let y = &x * 2.0;
    assert_snapshot!(shown(&((&y - &y.mean()) / &y.std(0.0))));
    let dear = x.exp().sin().cos();
    assert_snapshot!(shown(&(&dear - &dear.mean())));
    // Five passes are too many.
    let often = (0..4).fold(x.clone(), |sum, _| &sum + &(&x - &sum.sum()));
    assert_snapshot!(shown(&often));
    assert_eq!(often.compute()?[0], 95_099_005.0);
    Ok(())
}

/// What is cut anew is read so, unless somebody else looks at it or what lies together would become short.
#[test]
fn rechunk() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.npy");
    array::zeros_f64((4000, 400), (1000, 400)).to_npy(&path).compute()?;
    let x = array::read_npy::<f64, array::Ix2>(&path, (1000, 400))?;
    let shown = |what: &Array<f64, _>| pass("reads", what).replace(&path.display().to_string(), "x.npy");
    assert_snapshot!(shown(&(&x * 2.0).rechunk((500, 400))));
    assert_snapshot!(shown(&x.rechunk((4000, 100))));
    assert_snapshot!(shown(&(x.rechunk((500, 400)) + &x)));
    Ok(())
}

/// Element-wise work, views and sources become a part of the reduction that reads them, turned or not.
#[test]
fn fused_layers() {
    let x = random::seed(7).uniform(0.0..1.0, (100_000, 100_000), (10_000, 10_000));
    let y = &x + &x.t();
    assert_snapshot!(layers(&y.slice(s![..;2, ..5000]).mean_axis(Axis(0))));
    // Several reductions read the same program; what functions of blocks make is read.
    assert_snapshot!(layers(&((&x - 0.5).square().mean(), (&x - 0.5).square().max())));
    let rows = numbers().map_blocks(|block| block.to_owned());
    assert_snapshot!(layers(&array::concatenate(0, &[&rows, &(&rows * 2.0)]).sum()));
}

/// Two passes: what is cheap is made again by each, what is dear is made once, and sources are always made again.
#[test]
fn made_again_or_kept() {
    let x = random::seed(7).normal(0.0, 1.0, (1000, 1000), (100, 1000));
    assert_snapshot!(layers(&(&x - &x.mean_axis(Axis(0))).max()));
    let dear = x.exp().sin();
    assert_snapshot!(layers(&(&dear - &dear.mean_axis(Axis(0))).max()));
    // The more need it, the sooner it is kept.
    let one = numbers().exp();
    assert_snapshot!(layers(&(&one - &one.mean()).max()));
    assert_snapshot!(layers(&(&one - &one.mean() - &one.slice(s![..;-1]).cumsum(0)).max()));
}
