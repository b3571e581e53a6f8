//! Arrays: inputs are in memory before the clock starts, results end in memory. What each case computes is what NumPy's line says.

use std::io::Read;
use std::path::Path;

use chunkwise::array::{BlockShape, Boundary, Depth};
use chunkwise::prelude::*;
use ndarray::{Array1, Array2, ArrayD, Axis, s};
use serde_json::{Value, json};

/// Numbers of a case, in memory.
#[derive(Default)]
pub struct Inputs(Vec<Array<f64, ndarray::Ix2>>);

/// What a case gave.
pub enum Given {
    Number(f64),
    Array(ArrayD<f64>),
    /// Near enough to be compared loosely: mean and standard deviation.
    Near(f64, f64),
    /// A store that was written.
    #[cfg(feature = "zarr")]
    Store(std::path::PathBuf),
}

/// Reads what a case works on.
pub fn load(case: &str, data: &Path) -> Result<Inputs> {
    let names: &[&str] = match case {
        "chain" => &["x", "y"],
        "slice_mean" => &["y"],
        "rechunk" => &["wide"],
        "random_1e9" | "npy_sum" | "anomaly_zarr" | "zarr_rechunk" => &[],
        "matmul5" => &["m5", "n5"],
        "matmul8" => &["m8", "n8"],
        _ => &["x"],
    };
    let read = |name: &&str| npy(&data.join("array").join(format!("{name}.npy")));
    Ok(Inputs(names.iter().map(read).collect::<Result<_>>()?))
}

/// Numbers of two axes in NumPy's format, by rows, read into their place as the others do.
fn npy(path: &Path) -> Result<Array<f64, ndarray::Ix2>> {
    let failed = |error: std::io::Error| Error::new(ErrorKind::Io, format!("{}: {error}", path.display()));
    let wrong = || Error::new(ErrorKind::Data, format!("{}: no numbers of two axes", path.display()));
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut start = [0; 10];
    file.read_exact(&mut start).map_err(failed)?;
    let mut head = vec![0; usize::from(u16::from_le_bytes([start[8], start[9]]))];
    file.read_exact(&mut head).map_err(failed)?;
    let head = String::from_utf8_lossy(&head).into_owned();
    let shape = head.split('(').nth(1).and_then(|rest| rest.split(')').next()).ok_or_else(wrong)?;
    let lens: Vec<usize> = shape.split(',').filter_map(|len| len.trim().parse().ok()).collect();
    let [rows, columns] = lens[..] else { return Err(wrong()) };
    if !head.contains("'<f8'") || head.contains("'fortran_order': True") || cfg!(target_endian = "big") {
        return Err(wrong());
    }
    let mut values = vec![0.0_f64; rows * columns];
    file.read_exact(bytemuck::cast_slice_mut(&mut values)).map_err(failed)?;
    let array = Array2::from_shape_vec((rows, columns), values).map_err(|_| wrong())?;
    Ok(array::from_ndarray(array, (2000, 2000)))
}

/// Computes a case over stored arrays, if it is one.
fn stored(case: &str, data: &Path, tmp: &Path) -> Result<Option<Given>> {
    let data = data.join("array");
    if case == "npy_sum" {
        let x = array::read_npy::<f64, ndarray::Ix2>(data.join("wide.npy"), (1000, -1))?;
        return Ok(Some(Given::Array(x.sum_axis(Axis(0)).compute()?.into_dyn())));
    }
    #[cfg(feature = "zarr")]
    {
        let name = format!("chunkwise-{}-{case}.zarr", std::process::id());
        if case == "anomaly_zarr" || case == "zarr_rechunk" {
            let z = array::read_zarr::<f64, ndarray::Ix3>(data.join("cube.zarr"))?;
            let path = tmp.join(name);
            let made = match case {
                "anomaly_zarr" => &z - &z.mean_axis(Axis(0)),
                _ => {
                    let shape = z.shape()?;
                    z.rechunk((shape[0], (shape[1] / 8).max(1), (shape[2] / 4).max(1)))
                }
            };
            // As the others write it.
            let writer = made.to_zarr(&path).compression(array::ZarrCompression::None);
            writer.if_exists(array::IfExists::Replace).write()?;
            return Ok(Some(Given::Store(path)));
        }
    }
    #[cfg(not(feature = "zarr"))]
    let _ = tmp;
    Ok(None)
}

/// Computes a case.
pub fn run(case: &str, inputs: &Inputs, data: &Path, tmp: &Path) -> Result<Given> {
    if let Some(given) = stored(case, data, tmp)? {
        return Ok(given);
    }
    if case == "random_1e9" {
        let count = std::env::var("BENCH_RANDOM_N").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000_000);
        let x = array::random::seed(1).uniform(0.0..1.0, count, 4_000_000);
        let (mean, std) = compute((x.mean(), x.std(0.0)))?;
        return Ok(Given::Near(mean, std));
    }
    let x = &inputs.0[0];
    let number = |array: Array<f64, ndarray::Ix0>| Ok(Given::Number(array.compute()?));
    let row = |array: Array<f64, ndarray::Ix1>| Ok(Given::Array(array.compute()?.into_dyn()));
    match case {
        "sym_mean" => number((x + &x.t()).mean()),
        "standardize" => number(((x - &x.mean_axis(Axis(0))) / &x.std_axis(Axis(0), 0.0)).mean()),
        "chain" => {
            let y = &inputs.0[1];
            number(((x.square() + y.square()).sqrt() * (-x).exp() + y.sin()).sum())
        }
        "sum0" => row(x.sum_axis(Axis(0))),
        "sum1" => row(x.sum_axis(Axis(1))),
        "sum_all" => number(x.sum()),
        "std0" => row(x.std_axis(Axis(0), 0.0)),
        "max" => number(x.max()),
        "argmax0" => row(x.argmax_axis(Axis(0)).cast::<f64>()),
        "cumsum0" => Ok(Given::Array(x.cumsum(0).compute()?.into_dyn())),
        "cumsum_flat" => row(x.ravel().cumsum(0)),
        "topk" => row(x.ravel().topk(100, 0)),
        "hist" => row(x.histogram(100, (0.0, 1.0)).cast::<f64>()),
        "gauss" => Ok(Given::Array(gauss(x).compute()?.into_dyn())),
        "rechunk" => {
            // Whole columns, twenty blocks of them, each summed up on its own.
            let columns = (x.ncols()? / 20).max(1);
            let blocks =
                x.rechunk((-1, columns)).map_blocks_as(BlockShape::same().drop_axis(0).block_len(0, 1), |block, _| {
                    ndarray::arr1(&[block.sum()])
                });
            row(blocks)
        }
        "matmul5" | "matmul8" => Ok(Given::Array(x.dot(&inputs.0[1]).compute()?.into_dyn())),
        "slice_mean" => {
            let half = x.ncols()? / 2;
            row(x.slice(s![..;2, ..half]).mean_axis(Axis(0)))
        }
        _ => Err(Error::new(ErrorKind::Plan, format!("no such case: {case}"))),
    }
}

/// A Gaussian filter with a standard deviation of 2, along one axis and then the other; mirrored at the edges.
fn gauss(x: &Array<f64, ndarray::Ix2>) -> Array<f64, ndarray::Ix2> {
    const RADIUS: usize = 8;
    let weight = |at: usize| (-0.125 * (at as f64 - RADIUS as f64).powi(2)).exp();
    let sum: f64 = (0..=2 * RADIUS).map(weight).sum();
    let weights: [f64; 2 * RADIUS + 1] = std::array::from_fn(|at| weight(at) / sum);
    x.map_overlap(Depth::all(RADIUS), Boundary::Reflect, move |block| {
        let (rows, columns) = block.dim();
        let mut made = Array2::<f64>::zeros((rows, columns));
        let (mut line, arch) = (vec![0.0; columns], pulp::Arch::new());
        for row in RADIUS..rows.saturating_sub(RADIUS) {
            let rows: [_; 2 * RADIUS + 1] = std::array::from_fn(|at| block.row(row + at - RADIUS));
            arch.dispatch(Weighted(&mut line, &weights, |at: usize| rows[at].to_slice().unwrap_or(&[])));
            let mut out = made.row_mut(row);
            let out = &mut out.as_slice_mut().unwrap_or(&mut [])[RADIUS..columns - RADIUS];
            arch.dispatch(Weighted(out, &weights, |at: usize| &line[at..]));
        }
        made
    })
}

/// Weighted sums of runs, a few at a time so that they stay in registers; compiled for what processors have, and chosen as it runs.
struct Weighted<'a, F>(&'a mut [f64], &'a [f64], F);

impl<'a, F: Fn(usize) -> &'a [f64]> pulp::NullaryFnOnce for Weighted<'_, F> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        const FEW: usize = 32;
        let Weighted(out, weights, run) = self;
        for (part, out) in out.chunks_mut(FEW).enumerate() {
            let mut sums = [0.0; FEW];
            for (at, weight) in weights.iter().enumerate() {
                let from = run(at).get(part * FEW..).unwrap_or(&[]);
                match from.first_chunk::<FEW>() {
                    Some(from) => sums.iter_mut().zip(from).for_each(|(sum, value)| *sum += weight * value),
                    None => sums.iter_mut().zip(from).for_each(|(sum, value)| *sum += weight * value),
                }
            }
            out.copy_from_slice(&sums[..out.len()]);
        }
    }
}

/// What can be compared with what others found.
pub fn summary(given: &Given) -> Result<Value> {
    Ok(match given {
        #[cfg(feature = "zarr")]
        Given::Store(path) => {
            let z = array::read_zarr::<f64, ndarray::Ix3>(path)?;
            let (sum, first) = compute((z.square().sum(), z.slice(s![..1, ..1, ..1]).sum()))?;
            json!({ "shape": z.shape()?, "scalars": { "sumsq": sum, "first": first } })
        }
        Given::Near(mean, std) => json!({ "scalars": { "mean": mean, "std": std }, "rtol": 1e-3 }),
        Given::Number(value) => json!({ "scalars": { "value": value } }),
        Given::Array(array) => {
            let last = array.shape().last().copied().unwrap_or(1);
            let weights = Array1::linspace(1.0, 2.0, last);
            let (sum, abs): (f64, f64) = (array.sum(), array.iter().map(|value| value.abs()).sum());
            let wsum: f64 = array.iter().zip(weights.iter().cycle()).map(|(value, weight)| value * weight).sum();
            let (first, end) = (array.first().copied(), array.iter().last().copied());
            json!({
                "shape": array.shape(),
                "scalars": { "sum": sum, "abs": abs, "wsum": wsum, "first": first, "last": end },
            })
        }
    })
}
