//! The largest or smallest elements along axes, in order. NaN counts as the largest; of equal elements the first comes first.

use std::cmp::Ordering;

use super::fold::Fold;
use super::program::{Machine, Tile, with_lane};
use super::reduce::{Target, Work};
use super::steps::Lane;
use super::wide::Wide;
use crate::error::{Error, Result};
use crate::store::{Block, DType, Data, NdBlock, Stored};

/// The first `k` of an order.
pub(crate) struct TopK {
    pub of: DType,
    pub k: usize,
    pub largest: bool,
    /// Whether places are told and no elements.
    pub places: bool,
    /// The axis along which they are taken; of all axes there is one in the end.
    pub axis: usize,
}

/// Whether an element comes before another.
fn comes_before<T: Wide>(a: T, b: T, largest: bool) -> bool {
    match (a.is_nan(), b.is_nan()) {
        (false, false) => a.beats(b, largest),
        (a, b) => a != b && a == largest,
    }
}

/// The order of elements and their places; no two are equal.
fn order<T: Wide>(a: &(T, i64), b: &(T, i64), largest: bool) -> Ordering {
    match (comes_before(a.0, b.0, largest), comes_before(b.0, a.0, largest)) {
        (true, _) => Ordering::Less,
        (_, true) => Ordering::Greater,
        _ => a.1.cmp(&b.1),
    }
}

/// Leaves the first `k` of an order, the last of them at the end.
fn keep<T: Wide>(found: &mut Vec<(T, i64)>, k: usize, largest: bool) {
    if found.len() > k {
        found.select_nth_unstable_by(k - 1, |a, b| order(a, b, largest));
        found.truncate(k);
    }
}

/// Elements that are held of each place at most: what is among the first `k` is sorted out when there are so many.
fn most_held(k: usize) -> usize {
    2 * k + 8
}

impl Fold for TopK {
    fn name(&self) -> &str {
        if self.places { "argtopk" } else { "topk" }
    }

    fn key(&self) -> String {
        format!("topk {} {} {} {}", self.k, self.largest, self.places, self.axis)
    }

    fn kept_bytes(&self, places: u64) -> u64 {
        places * (most_held(self.k) as u64 * (self.of.bytes() as u64 + 16) + 64)
    }

    fn start(&self, places: usize) -> Box<dyn Work> {
        let (k, largest) = (self.k, self.largest);
        with_lane!(self.of, T => {
            Box::new(Best::<T> { found: vec![Vec::new(); places], last: vec![None; places], k, largest })
        })
    }

    fn merge(&self, into: &mut Vec<NdBlock>, other: &[NdBlock]) -> Result<()> {
        with_lane!(self.of, T => {
            let (mut best, more) = (kept::<T>(into)?, kept::<T>(other)?);
            if best.len() != more.len() {
                return Err(Error::internal("the largest of different places are put together"));
            }
            for (best, more) in best.iter_mut().zip(more) {
                best.extend(more);
                keep(best, self.k, self.largest);
            }
            *into = stored(best)?;
        });
        Ok(())
    }

    fn finish(&self, kept_blocks: &[NdBlock], shape: &[usize]) -> Result<NdBlock> {
        with_lane!(self.of, T => {
            let mut best = kept::<T>(kept_blocks)?;
            best.iter_mut().for_each(|best| best.sort_unstable_by(|a, b| order(a, b, self.largest)));
            // Of no places there is nothing to tell how many.
            let count = best.first().map_or(self.k, Vec::len);
            // Of all axes one is left.
            let (mut to, axis) = match self.axis < shape.len() {
                true => (shape.to_vec(), self.axis),
                false => (vec![1], 0),
            };
            to[axis] = count;
            let inner: usize = to[axis + 1..].iter().product();
            let mut order = Vec::with_capacity(best.len() * count);
            for outer in 0..to[..axis].iter().product() {
                for rank in 0..count {
                    order.extend((0..inner).map(|at| (outer * inner + at, rank)));
                }
            }
            let missing = || Error::internal("fewer elements at one place than at another");
            let found = |(place, rank): &(usize, usize)| best.get(*place).and_then(|best| best.get(*rank)).copied();
            if self.places {
                let all: Option<Vec<i64>> = order.iter().map(|at| found(at).map(|(_, place)| place)).collect();
                NdBlock::new(to, Data::I64(Block::from_vec(all.ok_or_else(missing)?)))
            } else {
                let all: Option<Vec<T>> = order.iter().map(|at| found(at).map(|(value, _)| value)).collect();
                let data = T::wrap(Block::from_vec(all.ok_or_else(missing)?));
                NdBlock::new(to, if self.of == DType::Bool { data.into_bools() } else { data })
            }
        })
    }
}

/// What is kept, as lists for each place.
fn kept<T: Lane>(blocks: &[NdBlock]) -> Result<Vec<Vec<(T, i64)>>> {
    let [values, at, lens] = blocks else { return Err(Error::internal("the largest were not kept")) };
    let (values, at, lens) = (values.get::<T>()?, at.get::<i64>()?, lens.get::<u64>()?);
    let (mut all, mut from) = (Vec::with_capacity(lens.len()), 0);
    for len in lens.iter() {
        let to = from + *len as usize;
        let (Some(values), Some(at)) = (values.get(from..to), at.get(from..to)) else {
            return Err(Error::internal("fewer of the largest than were kept"));
        };
        all.push(values.iter().copied().zip(at.iter().copied()).collect());
        from = to;
    }
    Ok(all)
}

fn stored<T: Stored>(best: Vec<Vec<(T, i64)>>) -> Result<Vec<NdBlock>> {
    let lens: Vec<u64> = best.iter().map(|best| best.len() as u64).collect();
    let (values, at): (Vec<T>, Vec<i64>) = best.into_iter().flatten().unzip();
    let count = values.len();
    Ok(vec![
        NdBlock::new([count], T::wrap(Block::from_vec(values)))?,
        NdBlock::new([count], Data::I64(Block::from_vec(at)))?,
        NdBlock::new([lens.len()], Data::U64(Block::from_vec(lens)))?,
    ])
}

struct Best<T> {
    /// Of each place what may be among the first.
    found: Vec<Vec<(T, i64)>>,
    /// The last of the first `k` when they were sorted out.
    last: Vec<Option<(T, i64)>>,
    k: usize,
    largest: bool,
}

impl<T: Wide> Best<T> {
    fn add(&mut self, place: usize, value: T, number: i64) {
        let (found, last) = (&mut self.found[place], &mut self.last[place]);
        if last.is_some_and(|last| order(&(value, number), &last, self.largest).is_gt()) {
            return;
        }
        found.push((value, number));
        if found.len() == most_held(self.k) {
            keep(found, self.k, self.largest);
            *last = found.last().copied();
        }
    }
}

/// Elements that are looked at together: most runs have none that is among the first.
const RUN: usize = 64;

impl<T: Wide> Work for Best<T> {
    fn add(&mut self, machine: &Machine<'_, '_>, tile: Tile, target: Target) -> Result<()> {
        let values = machine.output::<T>(tile.rows * tile.columns)?;
        let (number, down, along) = target.number;
        for (row, values) in values.chunks_exact(tile.columns.max(1)).enumerate() {
            let (place, number) = (target.first + row * target.down, number + row as i64 * down);
            for (run, values) in values.chunks(RUN).enumerate() {
                let first = run * RUN;
                if target.along == 0
                    && let Some((last, _)) = self.last[place]
                    && !values.iter().fold(false, |any, value| any | !comes_before(last, *value, self.largest))
                {
                    continue;
                }
                for (at, value) in values.iter().enumerate() {
                    let at = first + at;
                    Best::add(self, place + at * target.along, *value, number + at as i64 * along);
                }
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, _: &[usize]) -> Result<Vec<NdBlock>> {
        self.found.iter_mut().for_each(|found| keep(found, self.k, self.largest));
        stored(self.found)
    }
}
