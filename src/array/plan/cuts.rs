//! Where axes are cut into blocks.

use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};

/// Where an axis is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cuts {
    /// From 0 to the length of the axis: one more than there are blocks.
    Known(Arc<[usize]>),
    /// So many blocks, whose lengths are found by a run.
    Unknown(u32),
}

/// By length and number of blocks: there may be thousands of cuts, and plans ask ten thousands of times.
impl Hash for Cuts {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.blocks(), self.len()).hash(state);
    }
}

impl Cuts {
    /// Of blocks of these lengths.
    pub fn of(lens: impl IntoIterator<Item = usize>) -> Cuts {
        let mut at = 0;
        let ends = lens.into_iter().map(|len| {
            at += len;
            at
        });
        Cuts::Known(std::iter::once(0).chain(ends).collect())
    }

    /// Of an axis in blocks of a length; an axis of none is one block.
    pub fn even(len: usize, block: usize) -> Cuts {
        let block = block.max(1);
        if len / block >= u32::MAX as usize / 4 {
            // More blocks than an array may have, and perhaps than memory holds: told when the array is planned.
            return Cuts::Unknown(u32::MAX);
        }
        let starts = (0..len.max(1)).step_by(block);
        Cuts::Known(starts.chain([len]).collect())
    }

    pub fn whole(len: usize) -> Cuts {
        Cuts::Known([0, len].into())
    }

    /// The length of the axis, if it is known.
    pub fn len(&self) -> Option<usize> {
        match self {
            Cuts::Known(cuts) => Some(cuts.last().copied().unwrap_or(0)),
            Cuts::Unknown(_) => None,
        }
    }

    /// Number of blocks.
    pub fn blocks(&self) -> u32 {
        match self {
            Cuts::Known(cuts) => cuts.len().saturating_sub(1) as u32,
            Cuts::Unknown(blocks) => *blocks,
        }
    }

    pub fn known(&self) -> Option<&[usize]> {
        match self {
            Cuts::Known(cuts) => Some(cuts),
            Cuts::Unknown(_) => None,
        }
    }

    /// Lengths of the blocks.
    pub fn lens(&self) -> Vec<Option<usize>> {
        match self {
            Cuts::Known(cuts) => cuts.windows(2).map(|two| Some(two[1] - two[0])).collect(),
            Cuts::Unknown(blocks) => vec![None; *blocks as usize],
        }
    }

    /// The longest block.
    pub fn most(&self) -> Option<usize> {
        let cuts = self.known()?;
        Some(cuts.windows(2).map(|two| two[1] - two[0]).max().unwrap_or(0))
    }

    /// With all cuts of two axes of one length.
    pub fn united(&self, other: &Cuts) -> Cuts {
        match (self, other) {
            (Cuts::Known(a), Cuts::Known(b)) if a != b => {
                let mut all: Vec<usize> = a.iter().chain(b.iter()).copied().collect();
                all.sort_unstable();
                all.dedup();
                if all.len() == 1 {
                    all.push(all[0]);
                }
                Cuts::Known(all.into())
            }
            _ => self.clone(),
        }
    }
}

/// What the tasks of a grid take of an axis.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    /// By their places on which axis of the grid; all take the same where there is none.
    by: Option<usize>,
    /// From where to where, by place; nothing of axes of unknown length, of which they take a block each, or all.
    ranges: Option<Arc<[(usize, usize)]>>,
    places: u32,
}

impl Taken {
    /// The blocks of an axis.
    pub fn blocks(by: usize, cuts: &Cuts) -> Taken {
        let ranges = cuts.known().map(|cuts| cuts.windows(2).map(|two| (two[0], two[1])).collect());
        Taken { by: Some(by), ranges, places: cuts.blocks() }
    }

    /// All of it.
    pub fn whole(cuts: &Cuts) -> Taken {
        Taken { by: None, ranges: cuts.len().map(|len| [(0, len)].into()), places: cuts.blocks() }
    }

    /// Ranges, which begin and end one behind another.
    pub fn ranges(by: usize, ranges: impl IntoIterator<Item = (usize, usize)>) -> Taken {
        let ranges: Arc<[(usize, usize)]> = ranges.into_iter().collect();
        Taken { by: Some(by), places: ranges.len() as u32, ranges: Some(ranges) }
    }

    pub fn by(&self) -> Option<usize> {
        self.by
    }

    /// How many different ranges, or of an axis of unknown length how many blocks, there are.
    pub fn places(&self) -> u32 {
        self.places
    }

    /// All ranges, if they are known.
    pub fn known(&self) -> Option<impl Iterator<Item = Range<usize>>> {
        self.ranges.as_ref().map(|ranges| ranges.iter().map(|(start, end)| *start..*end))
    }

    /// What a task takes, if that is known.
    pub fn range(&self, coords: &[u32]) -> Option<Range<usize>> {
        let ranges = self.ranges.as_ref()?;
        let (start, end) = ranges[self.by.map_or(0, |by| coords[by] as usize)];
        Some(start..end)
    }

    /// The longest range, if that is known.
    pub fn most(&self) -> Option<usize> {
        self.known().map(|mut ranges| ranges.by_ref().map(|range| range.len()).max().unwrap_or(0))
    }

    /// Whether each place takes the block of the same number.
    pub fn takes_blocks(&self, cuts: &Cuts) -> bool {
        match (cuts, &self.ranges) {
            (Cuts::Known(cuts), Some(ranges)) => {
                cuts.len() == ranges.len() + 1
                    && cuts.windows(2).zip(ranges.iter()).all(|(two, range)| (two[0], two[1]) == *range)
            }
            (Cuts::Unknown(blocks), None) => self.places == *blocks && (self.by.is_some() || *blocks == 1),
            _ => false,
        }
    }
}

/// An axis by its number, from behind where that is negative.
pub(crate) fn resolve_axis(axis: isize, rank: usize) -> Result<usize> {
    let at = if axis < 0 { axis + rank as isize } else { axis };
    usize::try_from(at).ok().filter(|at| *at < rank).ok_or_else(|| {
        let text = format!("there is no axis {axis} in an array of {rank} axes");
        Error::new(ErrorKind::Plan, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn united_cuts() {
        let all = Cuts::of([5, 5]).united(&Cuts::of([3, 3, 3, 1]));
        assert_eq!(all.lens(), [3, 2, 1, 3, 1].map(Some));
        assert_eq!(Cuts::whole(0).united(&Cuts::of([0, 0])), Cuts::whole(0));
    }
}
