//! Reductions: what is kept of a block, how two of them become one, and what comes out in the end.
//!
//! What is kept is a list of blocks of numbers, one place for each element that is left. Elements of a tile go into fixed lanes that are put
//! together in a fixed way, so that the bits do not depend on how wide the processor's vectors are. Sums of floats carry what
//! rounding lost from tile to tile (A. Neumaier, 1974).

use std::marker::PhantomData;

use pulp::{Arch, NullaryFnOnce};

use super::ahead::ask_ahead;
use super::merge;
use super::moments::Moments;
use super::program::{Machine, Tile, with_lane};
use super::wide::Wide;
use crate::error::Result;
use crate::store::{Block, DType, NdBlock, Stored};

/// Which reduction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Sum,
    Prod,
    Min,
    Max,
    Mean,
    /// The divisor is the number of elements less so many, as bits of a float.
    Var {
        ddof: u64,
    },
    Std {
        ddof: u64,
    },
    Any,
    All,
    /// How many are not 0.
    CountNonzero,
    /// How many there are.
    Count,
    /// Where the least is; the first of equal ones.
    ArgMin,
    ArgMax,
}

/// A reduction of elements of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Reduction {
    pub kind: Kind,
    /// Whether NaN is passed over.
    pub skip_nan: bool,
    pub of: DType,
}

/// Where the elements of a tile go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// The place of the first element, among what is left.
    pub first: usize,
    /// The steps down the rows and along them; 0 along what is reduced.
    pub down: usize,
    pub along: usize,
    /// The number of the first element, and the steps of it: for those who tell where something is.
    pub number: (i64, i64, i64),
}

/// A reduction under way in a block.
pub(crate) trait Work {
    /// Takes a tile.
    ///
    /// # Errors
    /// Of kind `Internal`, where the program gives other numbers; of kind `Data`, where an element has no place.
    fn add(&mut self, machine: &Machine<'_, '_>, tile: Tile, target: Target) -> Result<()>;

    /// What is kept, of so many places in this shape.
    ///
    /// # Errors
    /// Of kind `Internal`, where the shape has other places.
    fn finish(self: Box<Self>, shape: &[usize]) -> Result<Vec<NdBlock>>;
}

impl Reduction {
    /// What comes out; nothing where the reduction is not defined.
    pub fn output(&self) -> Option<DType> {
        let complex = matches!(self.of, DType::C32 | DType::C64);
        let float = matches!(self.of, DType::F32 | DType::F64);
        Some(match self.kind {
            Kind::Sum | Kind::Prod => match self.of {
                DType::Bool | DType::I8 | DType::I16 | DType::I32 | DType::I64 => DType::I64,
                DType::U8 | DType::U16 | DType::U32 | DType::U64 => DType::U64,
                other => other,
            },
            Kind::Mean if complex || float => self.of,
            // Whole numbers are made floats first.
            Kind::Mean => return None,
            Kind::Min | Kind::Max if complex => return None,
            Kind::Min | Kind::Max => self.of,
            Kind::Var { .. } | Kind::Std { .. } if complex => return None,
            Kind::Var { .. } | Kind::Std { .. } if float => self.of,
            Kind::Var { .. } | Kind::Std { .. } => DType::F64,
            Kind::Any | Kind::All => DType::Bool,
            Kind::Count | Kind::CountNonzero => DType::U64,
            Kind::ArgMin | Kind::ArgMax if complex => return None,
            Kind::ArgMin | Kind::ArgMax => DType::I64,
        })
    }

    /// Whether there is nothing to say of no elements.
    pub fn needs_elements(&self) -> bool {
        matches!(self.kind, Kind::Min | Kind::Max | Kind::ArgMin | Kind::ArgMax)
    }

    pub fn name(&self) -> &'static str {
        match (self.kind, self.skip_nan) {
            (Kind::Sum, false) => "sum",
            (Kind::Sum, true) => "nansum",
            (Kind::Prod, false) => "prod",
            (Kind::Prod, true) => "nanprod",
            (Kind::Min, false) => "min",
            (Kind::Min, true) => "nanmin",
            (Kind::Max, false) => "max",
            (Kind::Max, true) => "nanmax",
            (Kind::Mean, false) => "mean",
            (Kind::Mean, true) => "nanmean",
            (Kind::Var { .. }, false) => "var",
            (Kind::Var { .. }, true) => "nanvar",
            (Kind::Std { .. }, false) => "std",
            (Kind::Std { .. }, true) => "nanstd",
            (Kind::Any, _) => "any",
            (Kind::All, _) => "all",
            (Kind::CountNonzero, _) => "count_nonzero",
            (Kind::Count, _) => "count",
            (Kind::ArgMin, false) => "argmin",
            (Kind::ArgMin, true) => "nanargmin",
            (Kind::ArgMax, false) => "argmax",
            (Kind::ArgMax, true) => "nanargmax",
        }
    }

    /// A reduction that has seen nothing, over what a program gives.
    pub fn start(&self, places: usize) -> Box<dyn Work> {
        let this = *self;
        with_lane!(self.of, T => {
            match self.kind {
                Kind::Sum | Kind::Mean => Box::new(Sums::<T> { this, sums: vec![Default::default(); places], lost: Vec::new(), counts: Counts::new(this.skip_nan, places) }),
                Kind::Prod => Box::new(Products::<T> { this, products: vec![<T as Wide>::ONE; places] }),
                Kind::Min | Kind::Max => Box::new(Extremes::<T> { this, best: vec![T::default(); places], seen: vec![0; places] }),
                Kind::ArgMin | Kind::ArgMax => Box::new(Places::<T> { this, best: vec![T::default(); places], at: vec![-1; places] }),
                Kind::Var { .. } | Kind::Std { .. } => Box::new(Moments::<T>::new(this.skip_nan, places)),
                Kind::Any | Kind::All => Box::new(Truths::<T> { this, truths: vec![u8::from(self.kind == Kind::All); places], of: PhantomData }),
                Kind::Count | Kind::CountNonzero => Box::new(Numbers::<T> { this, counts: vec![0; places], of: PhantomData }),
            }
        })
    }

    /// Puts what is kept of another block behind what is kept of one.
    ///
    /// # Errors
    /// Of kind `Internal`, where they are of different reductions.
    pub fn merge(&self, into: &mut [NdBlock], other: &[NdBlock]) -> Result<()> {
        merge::merge(self, into, other)
    }

    /// What comes out in the end.
    ///
    /// # Errors
    /// Of kind `Data`, where there is no element that has a place; of kind `Internal`, where it is kept of another reduction.
    pub fn finish(&self, kept: &[NdBlock], shape: &[usize]) -> Result<NdBlock> {
        merge::finish(self, kept, shape)
    }
}

/// How many elements went into each place: the same number into all where none is passed over.
pub(super) enum Counts {
    Same(u64),
    Each(Vec<u64>),
}

impl Counts {
    fn new(each: bool, places: usize) -> Counts {
        if each { Counts::Each(vec![0; places]) } else { Counts::Same(0) }
    }

    pub fn block(self, shape: &[usize]) -> Result<NdBlock> {
        match self {
            Counts::Same(count) => NdBlock::new([], u64::wrap(Block::from_vec(vec![count]))),
            Counts::Each(counts) => NdBlock::new(shape, u64::wrap(Block::from_vec(counts))),
        }
    }
}

/// The rows of a tile, or all of it at once where all of it goes to one place.
pub(super) fn rows_of<T>(values: &[T], tile: Tile, target: Target) -> impl Iterator<Item = (usize, &[T])> {
    let whole = target.down == 0 && target.along == 0;
    let columns = if whole { tile.rows * tile.columns } else { tile.columns };
    values.chunks_exact(columns.max(1)).enumerate().map(move |(row, values)| (target.first + row * target.down, values))
}

pub(super) const LANES: usize = 32;

/// The sum of a run, in fixed lanes. (These loops are types and no closures: a closure is compiled for the instruction set only where it
/// is small.)
struct SumOf<'a, T>(&'a [T]);

impl<T: Wide> NullaryFnOnce for SumOf<'_, T> {
    type Output = T::As;

    #[inline(always)]
    fn call(self) -> T::As {
        let mut lanes = [T::As::default(); LANES];
        let runs = self.0.chunks_exact(LANES);
        let rest = runs.remainder();
        for run in runs {
            ask_ahead(run);
            for (lane, value) in lanes.iter_mut().zip(run) {
                *lane = T::plus(*lane, value.widen());
            }
        }
        for (lane, value) in lanes.iter_mut().zip(rest) {
            *lane = T::plus(*lane, value.widen());
        }
        let mut width = LANES / 2;
        while width > 0 {
            for at in 0..width {
                lanes[at] = T::plus(lanes[at], lanes[at + width]);
            }
            width /= 2;
        }
        lanes[0]
    }
}

/// The sum of what is not NaN in a run.
fn sum_of_numbers<T: Wide>(values: &[T]) -> T::As {
    let numbers = values.iter().filter(|value| !value.is_nan());
    numbers.fold(T::As::default(), |sum, value| T::plus(sum, value.widen()))
}

/// Adds each of a run to a sum of its own.
struct AddEach<'a, T: Wide>(&'a mut [T::As], &'a [T]);

impl<T: Wide> NullaryFnOnce for AddEach<'_, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (sums, run) in self.0.chunks_mut(LANES).zip(self.1.chunks(LANES)) {
            ask_ahead(run);
            for (sum, value) in sums.iter_mut().zip(run) {
                *sum = T::plus(*sum, value.widen());
            }
        }
    }
}

struct Sums<T: Wide> {
    this: Reduction,
    sums: Vec<T::As>,
    /// What rounding lost, where that is carried; of no places as long as nothing was put together.
    lost: Vec<T::As>,
    counts: Counts,
}

impl<T: Wide> Work for Sums<T> {
    fn add(&mut self, machine: &Machine<'_, '_>, tile: Tile, target: Target) -> Result<()> {
        let values = machine.output::<T>(tile.rows * tile.columns)?;
        let skip = self.this.skip_nan;
        for (first, row) in rows_of(values, tile, target) {
            if target.along == 0 {
                let sum = if skip { sum_of_numbers(row) } else { Arch::new().dispatch(SumOf(row)) };
                if T::CARRIES {
                    if self.lost.is_empty() {
                        self.lost = vec![T::As::default(); self.sums.len()];
                    }
                    let (sum, lost) = T::plus_exactly(self.sums[first], sum);
                    self.sums[first] = sum;
                    self.lost[first] = T::plus(self.lost[first], lost);
                } else {
                    self.sums[first] = T::plus(self.sums[first], sum);
                }
                if let Counts::Each(counts) = &mut self.counts {
                    counts[first] += row.iter().filter(|value| !value.is_nan()).count() as u64;
                }
            } else {
                let sums = &mut self.sums[first..first + row.len()];
                if skip {
                    for (sum, value) in sums.iter_mut().zip(row).filter(|(_, value)| !value.is_nan()) {
                        *sum = T::plus(*sum, value.widen());
                    }
                } else {
                    Arch::new().dispatch(AddEach(sums, row));
                }
                if let Counts::Each(counts) = &mut self.counts {
                    let counts = counts[first..].iter_mut().zip(row);
                    counts.for_each(|(count, value)| *count += u64::from(!value.is_nan()));
                }
            }
        }
        if let Counts::Same(count) = &mut self.counts {
            *count += values.len() as u64;
        }
        Ok(())
    }

    fn finish(self: Box<Self>, shape: &[usize]) -> Result<Vec<NdBlock>> {
        let places = self.sums.len() as u64;
        let counts = match self.counts {
            // Each place has had its share.
            Counts::Same(all) => Counts::Same(all / places.max(1)),
            each => each,
        };
        Ok(vec![
            NdBlock::new(shape, T::As::wrap(Block::from_vec(self.sums)))?,
            NdBlock::new([self.lost.len()], T::As::wrap(Block::from_vec(self.lost)))?,
            counts.block(shape)?,
        ])
    }
}

struct Products<T: Wide> {
    this: Reduction,
    products: Vec<T::As>,
}

impl<T: Wide> Work for Products<T> {
    fn add(&mut self, machine: &Machine<'_, '_>, tile: Tile, target: Target) -> Result<()> {
        let values = machine.output::<T>(tile.rows * tile.columns)?;
        for (first, row) in rows_of(values, tile, target) {
            for (at, value) in row.iter().enumerate().filter(|(_, value)| !self.this.skip_nan || !value.is_nan()) {
                let product = &mut self.products[first + at * target.along];
                *product = T::times(*product, value.widen());
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>, shape: &[usize]) -> Result<Vec<NdBlock>> {
        Ok(vec![NdBlock::new(shape, T::As::wrap(Block::from_vec(self.products)))?])
    }
}

struct Extremes<T> {
    this: Reduction,
    best: Vec<T>,
    seen: Vec<u8>,
}

/// The greater or lesser of two, NaN where one is.
#[inline(always)]
pub(super) fn better<T: Wide>(a: T, b: T, largest: bool) -> T {
    if b.beats(a, largest) || (b.is_nan() && !a.is_nan()) { b } else { a }
}

/// The best of a run that is not empty, in fixed lanes; NaN where one is.
struct BestOf<'a, T, const LARGEST: bool> {
    first: T,
    values: &'a [T],
}

impl<T: Wide, const LARGEST: bool> NullaryFnOnce for BestOf<'_, T, LARGEST> {
    type Output = T;

    #[inline(always)]
    fn call(self) -> T {
        // Whether there is NaN is found apart: a choice by two conditions keeps a loop from being vectors. As numbers of the same width, for
        // vectors of truths would have to be packed.
        let (mut lanes, mut broken) = ([self.first; LANES], [T::default(); LANES]);
        let runs = self.values.chunks_exact(LANES);
        let rest = runs.remainder();
        for run in runs {
            ask_ahead(run);
            for at in 0..LANES {
                let value = run[at];
                broken[at] = if value.is_nan() { value } else { broken[at] };
                lanes[at] = if value.beats(lanes[at], LARGEST) { value } else { lanes[at] };
            }
        }
        let mut best = lanes[0];
        for value in lanes.into_iter().chain(rest.iter().copied()) {
            best = better(best, value, LARGEST);
        }
        match broken.iter().any(|value| value.is_nan()) {
            true => self.values.iter().copied().find(|value| value.is_nan()).unwrap_or(best),
            false => best,
        }
    }
}

/// The better of each of a run and one of its own; NaN where one is.
struct BestEach<'a, T, const LARGEST: bool>(&'a mut [T], &'a [T]);

impl<T: Wide, const LARGEST: bool> NullaryFnOnce for BestEach<'_, T, LARGEST> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (best, run) in self.0.chunks_mut(LANES).zip(self.1.chunks(LANES)) {
            ask_ahead(run);
            for (best, value) in best.iter_mut().zip(run) {
                // One NaN stays, another one comes: neither is less or greater.
                let with = if value.beats(*best, LARGEST) { *value } else { *best };
                *best = if value.is_nan() && !best.is_nan() { *value } else { with };
            }
        }
    }
}

/// The best of a run; NaN where one is.
fn best_of<T: Wide>(values: &[T], largest: bool) -> Option<T> {
    let first = *values.first()?;
    let arch = Arch::new();
    Some(match largest {
        true => arch.dispatch(BestOf::<T, true> { first, values }),
        false => arch.dispatch(BestOf::<T, false> { first, values }),
    })
}

impl<T: Wide> Work for Extremes<T> {
    fn add(&mut self, machine: &Machine<'_, '_>, tile: Tile, target: Target) -> Result<()> {
        let values = machine.output::<T>(tile.rows * tile.columns)?;
        let largest = self.this.kind == Kind::Max;
        for (first, row) in rows_of(values, tile, target) {
            if target.along == 0 && !self.this.skip_nan {
                let Some(best) = best_of(row, largest) else { continue };
                let known = std::mem::replace(&mut self.seen[first], 1) != 0;
                self.best[first] = if known { better(self.best[first], best, largest) } else { best };
                continue;
            }
            if target.along == 1 && !self.this.skip_nan {
                let places = first..first + row.len();
                if self.seen[places.clone()].iter().all(|seen| *seen != 0) {
                    let best = &mut self.best[places];
                    match largest {
                        true => Arch::new().dispatch(BestEach::<T, true>(best, row)),
                        false => Arch::new().dispatch(BestEach::<T, false>(best, row)),
                    }
                    continue;
                }
            }
            for (at, value) in row.iter().enumerate() {
                let place = first + at * target.along;
                if self.this.skip_nan && value.is_nan() {
                    continue;
                }
                let known = std::mem::replace(&mut self.seen[place], 1) != 0;
                self.best[place] = if known { better(self.best[place], *value, largest) } else { *value };
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>, shape: &[usize]) -> Result<Vec<NdBlock>> {
        let best = NdBlock::new(shape, T::wrap(Block::from_vec(self.best)))?;
        Ok(vec![best, NdBlock::new(shape, u8::wrap(Block::from_vec(self.seen)))?])
    }
}

/// Whether one comes before another as the place of an extreme: NaN before numbers, then by size, then by place.
#[inline(always)]
pub(super) fn comes_first<T: Wide>((a, a_at): (T, i64), (b, b_at): (T, i64), largest: bool) -> bool {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => a_at < b_at,
        (true, false) => true,
        (false, true) => false,
        (false, false) => a.beats(b, largest) || (!b.beats(a, largest) && a_at < b_at),
    }
}

struct Places<T> {
    this: Reduction,
    best: Vec<T>,
    at: Vec<i64>,
}

impl<T: Wide> Work for Places<T> {
    fn add(&mut self, machine: &Machine<'_, '_>, tile: Tile, target: Target) -> Result<()> {
        let values = machine.output::<T>(tile.rows * tile.columns)?;
        let largest = self.this.kind == Kind::ArgMax;
        let (number, down, along) = target.number;
        for row in 0..tile.rows {
            let values = &values[row * tile.columns..(row + 1) * tile.columns];
            let (first, number) = (target.first + row * target.down, number + row as i64 * down);
            if target.along == 0 && !self.this.skip_nan {
                // What the best is comes out fast; where it is has to be looked for only where it is better.
                let Some(best) = best_of(values, largest) else { continue };
                let known = self.at[first] >= 0;
                if known && !comes_first((best, i64::MIN), (self.best[first], self.at[first]), largest) {
                    continue;
                }
                let same = |value: &T| if best.is_nan() { value.is_nan() } else { *value == best };
                let Some(place) = values.iter().position(same) else { continue };
                let at = number + place as i64 * along;
                if !known || comes_first((best, at), (self.best[first], self.at[first]), largest) {
                    (self.best[first], self.at[first]) = (best, at);
                }
                continue;
            }
            for (column, value) in values.iter().enumerate() {
                if self.this.skip_nan && value.is_nan() {
                    continue;
                }
                let place = first + column * target.along;
                let at = number + column as i64 * along;
                if self.at[place] < 0 || comes_first((*value, at), (self.best[place], self.at[place]), largest) {
                    (self.best[place], self.at[place]) = (*value, at);
                }
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>, shape: &[usize]) -> Result<Vec<NdBlock>> {
        let best = NdBlock::new(shape, T::wrap(Block::from_vec(self.best)))?;
        Ok(vec![best, NdBlock::new(shape, i64::wrap(Block::from_vec(self.at)))?])
    }
}

struct Truths<T> {
    this: Reduction,
    truths: Vec<u8>,
    of: PhantomData<T>,
}

impl<T: Wide> Work for Truths<T> {
    fn add(&mut self, machine: &Machine<'_, '_>, tile: Tile, target: Target) -> Result<()> {
        let values = machine.output::<T>(tile.rows * tile.columns)?;
        let any = self.this.kind == Kind::Any;
        for (first, row) in rows_of(values, tile, target) {
            for (at, value) in row.iter().enumerate() {
                let (truth, value) = (&mut self.truths[first + at * target.along], u8::from(value.is_true()));
                *truth = if any { *truth | value } else { *truth & value };
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>, shape: &[usize]) -> Result<Vec<NdBlock>> {
        Ok(vec![NdBlock::new(shape, u8::wrap(Block::from_vec(self.truths)))?])
    }
}

struct Numbers<T> {
    this: Reduction,
    counts: Vec<u64>,
    of: PhantomData<T>,
}

impl<T: Wide> Work for Numbers<T> {
    fn add(&mut self, machine: &Machine<'_, '_>, tile: Tile, target: Target) -> Result<()> {
        let values = machine.output::<T>(tile.rows * tile.columns)?;
        let all = self.this.kind == Kind::Count;
        for (first, row) in rows_of(values, tile, target) {
            for (at, value) in row.iter().enumerate() {
                self.counts[first + at * target.along] += u64::from(all || value.is_true());
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>, shape: &[usize]) -> Result<Vec<NdBlock>> {
        Ok(vec![NdBlock::new(shape, u64::wrap(Block::from_vec(self.counts)))?])
    }
}
