//! How many elements lie in each of some ranges, and how often each whole number is there.

use std::marker::PhantomData;
use std::sync::Arc;

use pulp::{Arch, NullaryFnOnce};

use super::fold::Fold;
use super::program::{Machine, Tile, with_lane};
use super::reduce::{Target, Work};
use super::wide::Wide;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Block, DType, Data, NdBlock};

/// Counts of elements between edges; the last range has its upper edge, too. NaN lies in none.
pub(crate) struct Histogram {
    pub of: DType,
    /// At least two, none less than the one before.
    pub edges: Arc<[f64]>,
    /// Whether they are evenly apart.
    pub even: bool,
}

impl Fold for Histogram {
    fn name(&self) -> &str {
        "histogram"
    }

    fn key(&self) -> String {
        let edges: Vec<u64> = self.edges.iter().map(|edge| edge.to_bits()).collect();
        format!("histogram {edges:?}")
    }

    fn kept_bytes(&self, _: u64) -> u64 {
        8 * self.edges.len() as u64
    }

    fn start(&self, _: usize) -> Box<dyn Work> {
        let (edges, counts) = (self.edges.clone(), vec![0; self.edges.len() - 1]);
        let (first, last) = (edges[0], edges[edges.len() - 1]);
        let scale = counts.len() as f64 / (last - first);
        // What rounding may do to a place among the ranges, and to an edge. Where that is much, a place tells nothing.
        let margin = 8.0 * f64::EPSILON * (counts.len() as f64 + first.abs().max(last.abs()) * scale);
        let scale = if self.even && margin < 0.25 { scale } else { 0.0 };
        with_lane!(self.of, T => Box::new(Counting::<T> { edges, counts, first, last, scale, margin, of: PhantomData }))
    }

    fn merge(&self, into: &mut Vec<NdBlock>, other: &[NdBlock]) -> Result<()> {
        add_counts(into, other)
    }

    fn finish(&self, kept: &[NdBlock], _: &[usize]) -> Result<NdBlock> {
        kept.first().cloned().ok_or_else(missing)
    }
}

fn missing() -> Error {
    Error::internal("counts that were not kept")
}

/// Adds counts to others; the longer ones go on.
fn add_counts(into: &mut [NdBlock], other: &[NdBlock]) -> Result<()> {
    let (Some(into), Some(other)) = (into.first_mut(), other.first()) else { return Err(missing()) };
    let other = other.get::<u64>()?;
    if into.data().len() < other.len() {
        let mut longer = into.get::<u64>()?.to_vec();
        longer.resize(other.len(), 0);
        *into = counts(longer)?;
    }
    into.get_mut::<u64>()?.iter_mut().zip(other.iter()).for_each(|(count, more)| *count += more);
    Ok(())
}

fn counts(counts: Vec<u64>) -> Result<NdBlock> {
    NdBlock::new([counts.len()], Data::U64(Block::from_vec(counts)))
}

struct Counting<T> {
    edges: Arc<[f64]>,
    counts: Vec<u64>,
    first: f64,
    last: f64,
    /// Ranges for each unit, where all are equally wide; else 0.
    scale: f64,
    /// As near to an edge, in ranges, edges are looked at.
    margin: f64,
    of: PhantomData<T>,
}

/// Values whose ranges are found together.
const TOGETHER: usize = 128;

/// Finds the ranges of values among equally wide ones without a look at edges, and says whether none is near one or outside of all.
struct Ranges<'a, T> {
    values: &'a [T],
    bins: &'a mut [u64; TOGETHER],
    first: f64,
    scale: f64,
    margin: f64,
    count: f64,
}

impl<T: Wide> NullaryFnOnce for Ranges<'_, T> {
    type Output = bool;

    #[inline(always)]
    fn call(self) -> bool {
        // Added to a number it leaves the nearest whole one in the last bits.
        const WHOLE: f64 = 1.5 * (1_u64 << 52) as f64;
        let (low, high) = (self.margin, 1.0 - self.margin);
        let mut inside = true;
        for (bin, value) in self.bins.iter_mut().zip(self.values) {
            let place = (value.to_f64() - self.first) * self.scale;
            let whole = (place - 0.5) + WHOLE;
            let within = place - (whole - WHOLE);
            inside &= (within > low) & (within < high) & (place > 0.0) & (place < self.count);
            *bin = whole.to_bits() & u64::from(u32::MAX);
        }
        inside
    }
}

impl<T> Counting<T> {
    fn count(&mut self, value: f64) {
        // NaN is not between them.
        if !(value >= self.first && value <= self.last) {
            return;
        }
        let bins = self.counts.len();
        let bin = match self.scale {
            0.0 => (self.edges.partition_point(|edge| *edge <= value).max(1) - 1).min(bins - 1),
            scale => {
                // Rounding may give the range beside the right one.
                let about = (((value - self.first) * scale) as usize).min(bins - 1);
                if value < self.edges[about] {
                    about - 1
                } else if about + 1 < bins && value >= self.edges[about + 1] {
                    about + 1
                } else {
                    about
                }
            }
        };
        self.counts[bin] += 1;
    }
}

impl<T: Wide> Work for Counting<T> {
    fn add(&mut self, machine: &Machine<'_, '_>, tile: Tile, _: Target) -> Result<()> {
        let values = machine.output::<T>(tile.rows * tile.columns)?;
        if self.scale == 0.0 {
            values.iter().for_each(|value| self.count(value.to_f64()));
            return Ok(());
        }
        let (first, scale, margin, count) = (self.first, self.scale, self.margin, self.counts.len() as f64);
        let mut bins = [0; TOGETHER];
        for values in values.chunks(TOGETHER) {
            if Arch::new().dispatch(Ranges { values, bins: &mut bins, first, scale, margin, count }) {
                for bin in &bins[..values.len()] {
                    self.counts[*bin as usize] += 1;
                }
            } else {
                values.iter().for_each(|value| self.count(value.to_f64()));
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>, _: &[usize]) -> Result<Vec<NdBlock>> {
        Ok(vec![counts(self.counts)?])
    }
}

/// How often each number from 0 on is there.
pub(crate) struct Bincount {
    pub of: DType,
    /// So many are counted at least.
    pub least: usize,
}

/// So many numbers are counted where no more are asked for: their counts take 16 MiB in each task.
const COUNTED: usize = 1 << 21;

impl Bincount {
    /// How many numbers are counted at most.
    fn most(&self) -> usize {
        self.least.max(COUNTED)
    }
}

impl Fold for Bincount {
    fn name(&self) -> &str {
        "bincount"
    }

    fn key(&self) -> String {
        format!("bincount {}", self.least)
    }

    fn kept_bytes(&self, _: u64) -> u64 {
        8 * self.most() as u64
    }

    fn start(&self, _: usize) -> Box<dyn Work> {
        let (counts, most) = (vec![0; self.least], self.most());
        with_lane!(self.of, T => Box::new(Numbers::<T> { counts, most, of: PhantomData }))
    }

    fn merge(&self, into: &mut Vec<NdBlock>, other: &[NdBlock]) -> Result<()> {
        add_counts(into, other)
    }

    fn finish(&self, kept: &[NdBlock], _: &[usize]) -> Result<NdBlock> {
        kept.first().cloned().ok_or_else(missing)
    }
}

struct Numbers<T> {
    counts: Vec<u64>,
    most: usize,
    of: PhantomData<T>,
}

impl<T: Wide> Work for Numbers<T> {
    fn add(&mut self, machine: &Machine<'_, '_>, tile: Tile, _: Target) -> Result<()> {
        for value in machine.output::<T>(tile.rows * tile.columns)? {
            let float = value.to_f64();
            if !(0.0..self.most as f64).contains(&float) {
                let text = match float < 0.0 {
                    true => format!("bincount counts numbers from 0 on, and {float} is among them"),
                    false => {
                        let last = self.most - 1;
                        format!("bincount counts the numbers from 0 to {last}, and {float} is among them: ask for more")
                    }
                };
                return Err(Error::new(ErrorKind::Data, text));
            }
            let at = float as usize;
            if at >= self.counts.len() {
                self.counts.resize(at + 1, 0);
            }
            self.counts[at] += 1;
        }
        Ok(())
    }

    fn finish(self: Box<Self>, _: &[usize]) -> Result<Vec<NdBlock>> {
        Ok(vec![counts(self.counts)?])
    }
}
