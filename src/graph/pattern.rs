//! How the tasks of a regular layer read the pieces of another layer: computed both ways, never stored.

use std::ops::Range;
use std::sync::Arc;

use super::grid::Grid;

/// Which pieces of the layer below a task reads. `index` is the task's place in its layer.
///
/// Unless said otherwise the layer below gives one piece per task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// Task `i` reads piece `i`.
    OneToOne,
    /// Every task reads the only piece of the layer below.
    Broadcast,
    /// Task `i` reads the pieces from `i - before` to `i + after` that exist.
    Stencil { before: u32, after: u32 },
    /// Task `i` reads the pieces `i * fan` to `(i + 1) * fan - 1` that exist.
    Tree { fan: u32 },
    /// Task `i` reads piece `i / stride % extent`: one axis of a product of index spaces.
    Product { stride: u32, extent: u32 },
    /// Task `i` reads piece `start + i * step`.
    Slice { start: u32, step: u32 },
    /// The layer below gives as many pieces per task as this layer has tasks; task `i` reads the `i`-th of each.
    AllToAll,
    /// Every task reads all pieces: a gather or barrier. Not over tasks that give different numbers of pieces.
    All,
    /// Both layers are grids of several axes; a task reads a box of the one below.
    Grid(Arc<Grid>),
}

/// The number of tasks below, of pieces each of them gives, and of tasks above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub below: u32,
    pub pieces: u32,
    pub above: u32,
}

impl Pattern {
    /// Whether the pattern fits layers of these sizes.
    pub(super) fn fits(&self, extent: Extent) -> bool {
        let Extent { below, pieces, above } = extent;
        let single = pieces == 1;
        match self {
            Pattern::OneToOne => single && below == above,
            Pattern::Broadcast => single && below == 1,
            Pattern::Stencil { .. } => single && below == above,
            &Pattern::Tree { fan } => single && fan > 0 && below.div_ceil(fan) == above,
            &Pattern::Product { stride, extent } => single && stride > 0 && extent == below,
            &Pattern::Slice { start, step } => {
                let last = u64::from(start) + u64::from(above.saturating_sub(1)) * u64::from(step);
                single && (above == 0 || last < u64::from(below))
            }
            Pattern::AllToAll => pieces == above,
            Pattern::All => pieces > 0,
            Pattern::Grid(grid) => single && grid.fits(below, above),
        }
    }

    /// How many pieces task `index` reads.
    pub(super) fn count(&self, index: u32, extent: Extent) -> u32 {
        match self {
            Pattern::OneToOne | Pattern::Broadcast | Pattern::Product { .. } | Pattern::Slice { .. } => 1,
            &Pattern::Stencil { before, after } => {
                index.saturating_add(after).min(extent.below - 1) - index.saturating_sub(before) + 1
            }
            &Pattern::Tree { fan } => fan.min(extent.below - index * fan),
            Pattern::AllToAll => extent.below,
            Pattern::All => extent.below * extent.pieces,
            Pattern::Grid(grid) => grid.count(index),
        }
    }

    /// Appends the pieces that task `index` reads, numbered from `base`.
    pub(super) fn sources(&self, index: u32, extent: Extent, base: u32, out: &mut Vec<u32>) {
        match self {
            Pattern::OneToOne => out.push(base + index),
            Pattern::Broadcast => out.push(base),
            &Pattern::Stencil { before, after } => {
                let last = index.saturating_add(after).min(extent.below - 1);
                out.extend(base + index.saturating_sub(before)..=base + last);
            }
            &Pattern::Tree { fan } => {
                let first = index * fan;
                out.extend(base + first..base + (first + fan).min(extent.below));
            }
            &Pattern::Product { stride, extent } => out.push(base + index / stride % extent),
            &Pattern::Slice { start, step } => out.push(base + start + index * step),
            Pattern::AllToAll => out.extend((0..extent.below).map(|task| base + task * extent.pieces + index)),
            Pattern::All => out.extend(base..base + extent.below * extent.pieces),
            Pattern::Grid(grid) => grid.sources(index, base, out),
        }
    }

    /// Appends the tasks that read piece `piece` (its place among the pieces of the layer below), numbered from `base`.
    pub(super) fn readers(&self, piece: u32, extent: Extent, base: u32, out: &mut Vec<u32>) {
        match self {
            Pattern::OneToOne => out.push(base + piece),
            Pattern::Broadcast | Pattern::All => out.extend(base..base + extent.above),
            &Pattern::Stencil { before, after } => {
                let last = piece.saturating_add(before).min(extent.above - 1);
                out.extend(base + piece.saturating_sub(after)..=base + last);
            }
            &Pattern::Tree { fan } => out.push(base + piece / fan),
            &Pattern::Product { stride, extent: modulo } => {
                let mut block = u64::from(piece) * u64::from(stride);
                while block < u64::from(extent.above) {
                    let end = (block + u64::from(stride)).min(u64::from(extent.above));
                    out.extend(base + block as u32..base + end as u32);
                    block += u64::from(stride) * u64::from(modulo);
                }
            }
            &Pattern::Slice { start, step } => {
                let Some(beyond) = piece.checked_sub(start) else { return };
                if step == 0 {
                    if beyond == 0 {
                        out.extend(base..base + extent.above);
                    }
                } else if beyond % step == 0 && beyond / step < extent.above {
                    out.push(base + beyond / step);
                }
            }
            Pattern::AllToAll => out.push(base + piece % extent.pieces),
            Pattern::Grid(grid) => grid.readers(piece, base, out),
        }
    }

    /// Appends ranges of the tasks below whose pieces the tasks of a non-empty range read.
    pub(super) fn tasks_below(&self, above: Range<u32>, extent: Extent, out: &mut Vec<Range<u32>>) {
        match self {
            Pattern::OneToOne => out.push(above),
            Pattern::Broadcast => out.push(0..1),
            &Pattern::Stencil { before, after } => {
                let end = (above.end - 1).saturating_add(after).min(extent.below - 1) + 1;
                out.push(above.start.saturating_sub(before)..end);
            }
            &Pattern::Tree { fan } => {
                out.push(above.start * fan..((above.end - 1) * fan).saturating_add(fan).min(extent.below));
            }
            &Pattern::Product { stride, extent: modulo } => {
                let (first, last) = (above.start / stride, (above.end - 1) / stride);
                if last - first + 1 >= modulo {
                    out.push(0..modulo);
                } else if first % modulo <= last % modulo {
                    out.push(first % modulo..last % modulo + 1);
                } else {
                    out.extend([first % modulo..modulo, 0..last % modulo + 1]);
                }
            }
            &Pattern::Slice { start, step: 0 } => out.push(start..start + 1),
            &Pattern::Slice { start, step: 1 } => out.push(start + above.start..start + above.end),
            &Pattern::Slice { start, step } => {
                out.extend(above.map(|index| start + index * step).map(|index| index..index + 1));
            }
            Pattern::AllToAll | Pattern::All => out.push(0..extent.below),
            Pattern::Grid(grid) => grid.tasks_below(above, out),
        }
    }

    /// Whether all tasks above together surely read every task below.
    pub(super) fn covers(&self, extent: Extent) -> bool {
        match self {
            &Pattern::Product { stride, extent: modulo } => {
                u64::from(stride) * u64::from(modulo) <= u64::from(extent.above)
            }
            &Pattern::Slice { start, step } => start == 0 && step == 1 && extent.above == extent.below,
            Pattern::Grid(grid) => grid.covers(),
            _ => extent.above > 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn all(extent: Extent) -> Vec<Pattern> {
        let mut patterns = vec![
            Pattern::OneToOne,
            Pattern::Broadcast,
            Pattern::AllToAll,
            Pattern::All,
            Pattern::Product { stride: 1, extent: extent.below },
            Pattern::Product { stride: 3, extent: extent.below },
        ];
        for n in 0..4 {
            patterns.push(Pattern::Stencil { before: n, after: 3 - n });
            patterns.push(Pattern::Tree { fan: n });
            patterns.push(Pattern::Slice { start: n, step: 1 });
            patterns.push(Pattern::Slice { start: n, step: n });
        }
        patterns
    }

    /// The inverse against the definition, over all small extents.
    #[test]
    fn readers_are_the_inverse_of_sources() {
        let mut checked = 0;
        for below in 1..8 {
            for pieces in 1..5 {
                for above in 1..15 {
                    let extent = Extent { below, pieces, above };
                    let grids = super::super::grid::examples(below).into_iter();
                    let grids = grids.map(|(grid, _)| Pattern::Grid(Arc::new(grid)));
                    let patterns = all(extent).into_iter().chain(grids);
                    for pattern in patterns.filter(|pattern| pattern.fits(extent)) {
                        checked += 1;
                        let mut readers = vec![Vec::new(); (below * pieces) as usize];
                        for index in 0..above {
                            let mut sources = Vec::new();
                            pattern.sources(index, extent, 100, &mut sources);
                            assert_eq!(sources.len() as u32, pattern.count(index, extent), "{pattern:?} {extent:?}");
                            for piece in sources {
                                readers[(piece - 100) as usize].push(index + 50);
                            }
                        }
                        for from in 0..above {
                            for to in from + 1..=above {
                                let mut found = Vec::new();
                                pattern.tasks_below(from..to, extent, &mut found);
                                let found: BTreeSet<u32> = found.into_iter().flatten().collect();
                                let read = |(_, readers): &(usize, &Vec<u32>)| {
                                    readers.iter().any(|reader| (from + 50..to + 50).contains(reader))
                                };
                                let pieces = readers.iter().enumerate().filter(read);
                                let expected: BTreeSet<u32> = pieces.map(|(at, _)| at as u32 / extent.pieces).collect();
                                assert_eq!(found, expected, "{pattern:?} {extent:?} {from}..{to}");
                                let all = (from, to) == (0, above) && pattern.covers(extent);
                                assert!(!all || found.len() as u32 == below, "{pattern:?} {extent:?}");
                            }
                        }
                        for (piece, expected) in readers.into_iter().enumerate() {
                            let mut found = Vec::new();
                            pattern.readers(piece as u32, extent, 50, &mut found);
                            assert_eq!(found, expected, "{pattern:?} {extent:?} piece {piece}");
                        }
                    }
                }
            }
        }
        assert!(checked > 500, "{checked}");
    }
}
