//! Means and deviations: of runs in fixed lanes, of places one by one (B. Welford, 1962), put together by T. Chan, G. Golub and
//! R. LeVeque (1979).

use std::marker::PhantomData;

use pulp::{Arch, NullaryFnOnce};

use super::ahead::ask_ahead;
use super::program::{Machine, Tile};
use super::reduce::{Counts, LANES, Target, Work, rows_of};
use super::wide::Wide;
use crate::error::Result;
use crate::store::{Block, NdBlock, Stored};

/// Means and squares of places under way.
pub(super) struct Moments<T> {
    skip_nan: bool,
    means: Vec<f64>,
    /// Summed squared differences from the mean.
    squares: Vec<f64>,
    counts: Vec<u64>,
    of: PhantomData<T>,
}

/// Number, mean and summed squared differences of two runs together.
#[inline(always)]
pub(super) fn joined((n, mean, squares): (u64, f64, f64), (m, other, more): (u64, f64, f64)) -> (u64, f64, f64) {
    if n == 0 || m == 0 {
        return if n == 0 { (m, other, more) } else { (n, mean, squares) };
    }
    let all = n + m;
    let (share, apart) = (m as f64 / all as f64, other - mean);
    (all, mean + apart * share, squares + more + apart * apart * share * n as f64)
}

/// Halves of the lanes put together, until one is left.
#[inline(always)]
fn fold_lanes(mut lanes: [f64; LANES]) -> f64 {
    let mut width = LANES / 2;
    while width > 0 {
        for at in 0..width {
            lanes[at] += lanes[at + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// Number, mean and summed squared differences of a run, in fixed lanes.
struct MomentsOf<'a, T>(&'a [T]);

impl<T: Wide> NullaryFnOnce for MomentsOf<'_, T> {
    type Output = (u64, f64, f64);

    #[inline(always)]
    fn call(self) -> (u64, f64, f64) {
        let values = self.0;
        let runs = values.chunks_exact(LANES);
        let rest = runs.remainder();
        let mut lanes = [0.0f64; LANES];
        for run in runs.clone() {
            ask_ahead(run);
            for (lane, value) in lanes.iter_mut().zip(run) {
                *lane += value.to_f64();
            }
        }
        for (lane, value) in lanes.iter_mut().zip(rest) {
            *lane += value.to_f64();
        }
        let mean = fold_lanes(lanes) / values.len().max(1) as f64;
        let mut lanes = [0.0f64; LANES];
        for run in runs {
            for (lane, value) in lanes.iter_mut().zip(run) {
                let apart = value.to_f64() - mean;
                *lane += apart * apart;
            }
        }
        for (lane, value) in lanes.iter_mut().zip(rest) {
            let apart = value.to_f64() - mean;
            *lane += apart * apart;
        }
        (values.len() as u64, mean, fold_lanes(lanes))
    }
}

/// One more of each of a run for means and squares of their own.
struct MomentsEach<'a, T> {
    means: &'a mut [f64],
    squares: &'a mut [f64],
    values: &'a [T],
    share: f64,
}

impl<T: Wide> NullaryFnOnce for MomentsEach<'_, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let own = self.means.chunks_mut(LANES).zip(self.squares.chunks_mut(LANES));
        for ((means, squares), run) in own.zip(self.values.chunks(LANES)) {
            ask_ahead(run);
            for ((mean, squares), value) in means.iter_mut().zip(squares).zip(run) {
                let value = value.to_f64();
                let apart = value - *mean;
                *mean += apart * self.share;
                *squares += apart * (value - *mean);
            }
        }
    }
}

impl<T: Wide> Moments<T> {
    pub fn new(skip_nan: bool, places: usize) -> Moments<T> {
        let zeros = || vec![0.0; places];
        Moments { skip_nan, means: zeros(), squares: zeros(), counts: vec![0; places], of: PhantomData }
    }

    fn join(&mut self, at: usize, more: (u64, f64, f64)) {
        let known = (self.counts[at], self.means[at], self.squares[at]);
        (self.counts[at], self.means[at], self.squares[at]) = joined(known, more);
    }
}

impl<T: Wide> Work for Moments<T> {
    fn add(&mut self, machine: &Machine<'_, '_>, tile: Tile, target: Target) -> Result<()> {
        let values = machine.output::<T>(tile.rows * tile.columns)?;
        for (first, row) in rows_of(values, tile, target) {
            if self.skip_nan {
                for (at, value) in row.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
                    self.join(first + at * target.along, (1, value.to_f64(), 0.0));
                }
            } else if target.along == 0 {
                self.join(first, Arch::new().dispatch(MomentsOf(row)));
            } else {
                // Places beside each other have seen the same number of elements (B. Welford, 1962).
                let places = first..first + row.len();
                let share = 1.0 / (self.counts[first] + 1) as f64;
                let (means, squares) = (&mut self.means[places.clone()], &mut self.squares[places.clone()]);
                Arch::new().dispatch(MomentsEach { means, squares, values: row, share });
                self.counts[places].iter_mut().for_each(|count| *count += 1);
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>, shape: &[usize]) -> Result<Vec<NdBlock>> {
        let counts = match self.counts.first() {
            Some(first) if self.counts.iter().all(|count| count == first) => Counts::Same(*first),
            _ => Counts::Each(self.counts),
        };
        Ok(vec![
            NdBlock::new(shape, f64::wrap(Block::from_vec(self.means)))?,
            NdBlock::new(shape, f64::wrap(Block::from_vec(self.squares)))?,
            counts.block(shape)?,
        ])
    }
}
