//! Layers whose tasks stand on a grid of several axes, and how the tasks of one grid read boxes of another.
//!
//! Tasks are numbered by rows: the last axis turns fastest. For each axis of the grid below a table says which places a task reads,
//! by its place on one axis of its own grid. Tables are as long as an axis, not as a layer, and their inverse is a search in them.

use std::fmt;
use std::ops::Range;

/// How the tasks of a grid read the pieces of another grid.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Grid {
    /// Lengths of the axes above.
    above: Vec<u32>,
    /// The axes below.
    below: Vec<GridAxis>,
}

/// Which places on an axis below are read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GridAxis {
    /// Its length.
    pub len: u32,
    /// By the place on which axis above; all tasks read the same where there is none.
    pub by: Option<usize>,
    /// Per place on that axis the first place that is read, and the one behind the last; at least one is. Both must not go down from
    /// place to place, or both not up.
    pub spans: Vec<(u32, u32)>,
}

impl GridAxis {
    /// Places read one to one.
    pub fn same(len: u32, by: usize) -> GridAxis {
        GridAxis { len, by: Some(by), spans: (0..len).map(|at| (at, at + 1)).collect() }
    }

    /// The same places for all tasks.
    pub fn fixed(len: u32, span: Range<u32>) -> GridAxis {
        GridAxis { len, by: None, spans: vec![(span.start, span.end)] }
    }

    /// The places above that read a place.
    fn inverse(&self, place: u32) -> Range<u32> {
        let rising = match (self.spans.first(), self.spans.last()) {
            (Some(first), Some(last)) => first <= last,
            _ => return 0..0,
        };
        let (from, to) = match rising {
            true => {
                (self.spans.partition_point(|span| span.1 <= place), self.spans.partition_point(|span| span.0 <= place))
            }
            false => {
                (self.spans.partition_point(|span| span.0 > place), self.spans.partition_point(|span| span.1 > place))
            }
        };
        from as u32..to.max(from) as u32
    }

    fn is_sound(&self, above: &[u32]) -> bool {
        let places = match self.by {
            Some(axis) => above.get(axis).copied(),
            None => Some(1),
        };
        let steps = || self.spans.windows(2);
        places == u32::try_from(self.spans.len()).ok()
            && self.spans.iter().all(|span| span.0 < span.1 && span.1 <= self.len)
            && (steps().all(|two| two[0].0 <= two[1].0 && two[0].1 <= two[1].1)
                || steps().all(|two| two[0].0 >= two[1].0 && two[0].1 >= two[1].1))
    }

    /// Whether every place is read by somebody.
    fn is_covered(&self) -> bool {
        let mut spans = self.spans.clone();
        spans.sort_unstable();
        let mut end = 0;
        for span in spans {
            if span.0 > end {
                return false;
            }
            end = end.max(span.1);
        }
        end == self.len
    }
}

impl Grid {
    /// Grids with these axes.
    pub fn new(above: Vec<u32>, below: Vec<GridAxis>) -> Grid {
        Grid { above, below }
    }

    /// Whether each task reads the one that stands where it stands.
    pub fn is_identity(&self) -> bool {
        let same = |(axis, (len, below)): (usize, (&u32, &GridAxis))| {
            let one = *len == 1 && below.len == 1;
            let each = || below.spans.iter().zip(0..).all(|(span, at)| *span == (at, at + 1));
            one || (below.len == *len && below.by == Some(axis) && each())
        };
        self.above.len() == self.below.len() && self.above.iter().zip(&self.below).enumerate().all(same)
    }

    pub(super) fn fits(&self, below: u32, above: u32) -> bool {
        let product = |lens: &[u32]| lens.iter().try_fold(1u32, |product, len| product.checked_mul(*len));
        let lens: Vec<u32> = self.below.iter().map(|axis| axis.len).collect();
        product(&self.above) == Some(above)
            && product(&lens) == Some(below)
            && (above == 0 || self.below.iter().all(|axis| axis.is_sound(&self.above)))
    }

    /// The place of a task on an axis above.
    fn place(&self, index: u32, axis: usize) -> u32 {
        let inner: u32 = self.above[axis + 1..].iter().product();
        index / inner % self.above[axis]
    }

    /// What a task reads of an axis below.
    fn span(&self, index: u32, axis: &GridAxis) -> (u32, u32) {
        axis.spans[axis.by.map_or(0, |by| self.place(index, by) as usize)]
    }

    pub(super) fn count(&self, index: u32) -> u32 {
        self.below.iter().map(|axis| self.span(index, axis)).map(|span| span.1 - span.0).product()
    }

    pub(super) fn sources(&self, index: u32, base: u32, out: &mut Vec<u32>) {
        let spans = self.below.iter().map(|axis| (self.span(index, axis), axis.len));
        every(spans, base, out);
    }

    pub(super) fn readers(&self, piece: u32, base: u32, out: &mut Vec<u32>) {
        let mut spans: Vec<(u32, u32)> = self.above.iter().map(|len| (0, *len)).collect();
        let mut rest = piece;
        for axis in self.below.iter().rev() {
            let place = rest % axis.len;
            rest /= axis.len;
            let inverse = axis.inverse(place);
            match axis.by {
                Some(by) => {
                    let span = &mut spans[by];
                    *span = (span.0.max(inverse.start), span.1.min(inverse.end));
                }
                None if inverse.is_empty() => return,
                None => {}
            }
        }
        if spans.iter().all(|span| span.0 < span.1) {
            every(spans.into_iter().zip(self.above.iter().copied()), base, out);
        }
    }

    pub(super) fn tasks_below(&self, above: Range<u32>, out: &mut Vec<Range<u32>>) {
        let mut pieces = Vec::new();
        for index in above {
            pieces.clear();
            self.sources(index, 0, &mut pieces);
            for piece in &pieces {
                match out.last_mut() {
                    Some(last) if last.end == *piece => last.end += 1,
                    Some(last) if last.contains(piece) => {}
                    _ => out.push(*piece..*piece + 1),
                }
            }
        }
    }

    pub(super) fn covers(&self) -> bool {
        let apart =
            |at: usize| self.below[..at].iter().all(|other| other.by.is_none() || other.by != self.below[at].by);
        self.above.iter().all(|len| *len > 0)
            && (0..self.below.len()).all(|at| apart(at) && self.below[at].is_covered())
    }

    /// The first task that reads the first piece, and the first that reads the last one, as far as there are such.
    pub(super) fn first_readers(&self) -> (u32, u32) {
        let mut out = Vec::new();
        let last = self.below.iter().map(|axis| axis.len).product::<u32>().saturating_sub(1);
        let mut first = |piece| {
            out.clear();
            self.readers(piece, 0, &mut out);
            out.first().copied().unwrap_or(0)
        };
        (first(0), first(last))
    }
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("grid of")?;
        for (at, axis) in self.below.iter().enumerate() {
            let most = axis.spans.iter().map(|span| span.1 - span.0).max().unwrap_or(0);
            write!(f, "{} {}", if at == 0 { "" } else { " by" }, axis.len)?;
            match axis.by {
                Some(by) if by != at => write!(f, " (axis {by})")?,
                _ => {}
            }
            if most > 1 {
                write!(f, ", {most} at a time")?;
            }
        }
        Ok(())
    }
}

/// Appends the numbers of all places of a box of a grid; of each axis from where, to where, and the length.
fn every(spans: impl Iterator<Item = ((u32, u32), u32)>, base: u32, out: &mut Vec<u32>) {
    let from = out.len();
    out.push(0);
    for ((start, end), len) in spans {
        let have = out.len();
        // What was found of the axes before stands once for each place on this one.
        let places = (end - start) as usize;
        out.resize(from + (have - from) * places, 0);
        for at in (from..have).rev() {
            let outer = out[at] * len;
            let to = from + (at - from) * places;
            for (place, number) in (start..end).zip(&mut out[to..to + places]) {
                *number = outer + place;
            }
        }
    }
    out[from..].iter_mut().for_each(|number| *number += base);
}

/// Grids over so many tasks, of all kinds, each with the number of tasks above.
#[cfg(test)]
pub(super) fn examples(below: u32) -> Vec<(Grid, u32)> {
    let spans = |len: u32, span: &dyn Fn(u32) -> (u32, u32)| (0..len).map(span).collect::<Vec<_>>();
    let mut grids = Vec::new();
    for rows in (1..=below).filter(|rows| below.is_multiple_of(*rows)) {
        let columns = below / rows;
        let (same, halves) = (GridAxis::same, columns.div_ceil(2));
        let pairs = spans(halves, &|at| (2 * at, (2 * at + 2).min(columns)));
        let back = spans(columns, &|at| (columns - 1 - at, columns - at));
        let near = |len: u32| spans(len, &|at| (at.saturating_sub(1), (at + 2).min(len)));
        grids.extend([
            Grid::new(vec![rows, columns], vec![same(rows, 0), same(columns, 1)]),
            Grid::new(vec![columns, rows], vec![same(rows, 1), same(columns, 0)]),
            Grid::new(vec![columns], vec![GridAxis::fixed(rows, 0..rows), same(columns, 0)]),
            Grid::new(vec![rows], vec![same(rows, 0), GridAxis::fixed(columns, columns - 1..columns)]),
            Grid::new(vec![rows, halves], vec![same(rows, 0), GridAxis { len: columns, by: Some(1), spans: pairs }]),
            Grid::new(vec![columns, rows], vec![same(rows, 1), GridAxis { len: columns, by: Some(0), spans: back }]),
            Grid::new(
                vec![rows, columns],
                vec![
                    GridAxis { len: rows, by: Some(0), spans: near(rows) },
                    GridAxis { len: columns, by: Some(1), spans: near(columns) },
                ],
            ),
            Grid::new(vec![2, rows, 3, columns], vec![same(rows, 1), same(columns, 3)]),
            Grid::new(
                vec![rows.min(columns), 2],
                vec![
                    GridAxis { len: rows, by: Some(0), spans: spans(rows.min(columns), &|at| (at, at + 1)) },
                    GridAxis { len: columns, by: Some(0), spans: spans(rows.min(columns), &|at| (at, at + 1)) },
                ],
            ),
        ]);
    }
    grids.into_iter().map(|grid| (grid.above.iter().product(), grid)).map(|(above, grid)| (grid, above)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transposed_grid_and_an_axis_read_whole() {
        // Two rows and three columns below, three rows and two columns above.
        let turned = Grid::new(vec![3, 2], vec![GridAxis::same(2, 1), GridAxis::same(3, 0)]);
        assert!(turned.fits(6, 6) && turned.covers() && !turned.is_identity());
        let mut read = Vec::new();
        (0..6).for_each(|task| turned.sources(task, 100, &mut read));
        assert_eq!(read, [100, 103, 101, 104, 102, 105]);
        let summed = Grid::new(vec![3], vec![GridAxis::fixed(2, 0..2), GridAxis::same(3, 0)]);
        let mut read = Vec::new();
        summed.sources(1, 0, &mut read);
        assert_eq!((read, summed.count(1)), (vec![1, 4], 2));
        let same = Grid::new(vec![2, 3], vec![GridAxis::same(2, 0), GridAxis::same(3, 1)]);
        assert!(same.is_identity());
        assert!(!Grid::new(vec![2], vec![GridAxis { len: 3, by: Some(0), spans: vec![(2, 3)] }]).fits(3, 2));
    }
}
