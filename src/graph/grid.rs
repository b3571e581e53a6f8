//! Layers whose tasks stand on a grid of several axes, and how the tasks of one grid read boxes of another.
//!
//! Tasks are numbered by rows: the last axis turns fastest. For each axis of the grid below a table says which places a task reads,
//! by its place on one axis of its own grid. Tables are as long as an axis, not as a layer, and their inverse is a search in them.

use std::fmt;
use std::ops::Range;

use super::explicit::Csr;

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
    len: u32,
    /// By the place on which axis above; all tasks read the same where there is none.
    by: Option<usize>,
    reads: Reads,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Reads {
    /// Per place on that axis, from one on, the first place that is read, and the one behind the last. Both must not go down from place
    /// to place, or both not up. Other places read nothing.
    Spans { from: u32, spans: Vec<(u32, u32)> },
    /// Per place the places that are read, ascending, and the inverse of that.
    Lists { rows: Csr, inverse: Csr },
}

/// Some places on an axis.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Places<'a> {
    Span(u32, u32),
    List(&'a [u32]),
    Some(Vec<u32>),
}

impl Places<'_> {
    fn len(&self) -> u32 {
        match self {
            Places::Span(from, to) => to.saturating_sub(*from),
            Places::List(places) => places.len() as u32,
            Places::Some(places) => places.len() as u32,
        }
    }

    fn get(&self, at: u32) -> u32 {
        match self {
            Places::Span(from, _) => from + at,
            Places::List(places) => places[at as usize],
            Places::Some(places) => places[at as usize],
        }
    }

    /// Those that are among others, too; both ascend.
    fn and(&self, other: &Places<'_>) -> Places<'static> {
        match (self, other) {
            (Places::Span(a, b), Places::Span(c, d)) => Places::Span(*a.max(c), *b.min(d)),
            (few, many) => {
                let is_in_many = |place: &u32| match many {
                    Places::Span(from, to) => (*from..*to).contains(place),
                    Places::List(places) => places.binary_search(place).is_ok(),
                    Places::Some(places) => places.binary_search(place).is_ok(),
                };
                Places::Some((0..few.len()).map(|at| few.get(at)).filter(is_in_many).collect())
            }
        }
    }
}

impl GridAxis {
    /// Places read one to one.
    pub fn same(len: u32, by: usize) -> GridAxis {
        GridAxis::spans(len, by, 0, (0..len).map(|at| (at, at + 1)).collect())
    }

    /// The same places for all tasks.
    pub fn fixed(len: u32, span: Range<u32>) -> GridAxis {
        let reads = Reads::Spans { from: 0, spans: vec![(span.start, span.end)] };
        GridAxis { len, by: None, reads }
    }

    /// Of an axis of a length: per place on the axis above, beginning with one, the first place that is read and the one behind the last.
    /// Both must not go down from place to place, or both not up; what is not named reads nothing.
    pub fn spans(len: u32, by: usize, from: u32, spans: Vec<(u32, u32)>) -> GridAxis {
        GridAxis { len, by: Some(by), reads: Reads::Spans { from, spans } }
    }

    /// Of an axis of a length: per place on the axis above the places that are read, which ascend.
    pub fn lists(len: u32, by: usize, rows: Csr) -> GridAxis {
        let inverse = rows.invert(0, len, 0);
        GridAxis { len, by: Some(by), reads: Reads::Lists { rows, inverse } }
    }

    /// The axis of tasks by which places are read.
    pub fn by(&self) -> Option<usize> {
        self.by
    }

    /// What is read at a place above: the first and the one behind the last, all between them unless there are [lists](GridAxis::lists).
    pub fn span(&self, place: u32) -> (u32, u32) {
        match self.read(place) {
            Places::Span(from, to) => (from, to.max(from)),
            list => match list.len() {
                0 => (0, 0),
                len => (list.get(0), list.get(len - 1) + 1),
            },
        }
    }

    /// How many places are read at a place above.
    pub fn count(&self, place: u32) -> u32 {
        self.read(place).len()
    }

    fn read(&self, place: u32) -> Places<'_> {
        match &self.reads {
            Reads::Spans { from, spans } => {
                let span = place.checked_sub(*from).and_then(|at| spans.get(at as usize));
                span.map_or(Places::Span(0, 0), |span| Places::Span(span.0, span.1))
            }
            Reads::Lists { rows, .. } => Places::List(rows.row(place)),
        }
    }

    /// The places above that read a place.
    fn inverse(&self, place: u32) -> Places<'_> {
        let (first, spans) = match &self.reads {
            Reads::Spans { from, spans } => (*from, spans),
            Reads::Lists { inverse, .. } => return Places::List(inverse.row(place)),
        };
        let rising = match (spans.first(), spans.last()) {
            (Some(first), Some(last)) => first <= last,
            _ => return Places::Span(0, 0),
        };
        let (from, to) = match rising {
            true => (spans.partition_point(|span| span.1 <= place), spans.partition_point(|span| span.0 <= place)),
            false => (spans.partition_point(|span| span.0 > place), spans.partition_point(|span| span.1 > place)),
        };
        Places::Span(first + from as u32, first + to.max(from) as u32)
    }

    fn is_sound(&self, above: &[u32]) -> bool {
        let places = match self.by {
            Some(axis) => above.get(axis).copied(),
            None => Some(1),
        };
        let Some(places) = places else { return false };
        match &self.reads {
            Reads::Spans { from, spans } => {
                let steps = || spans.windows(2);
                let end = u32::try_from(spans.len()).ok().and_then(|len| from.checked_add(len));
                end.is_some_and(|end| end <= places)
                    && spans.iter().all(|span| span.0 < span.1 && span.1 <= self.len)
                    && (steps().all(|two| two[0].0 <= two[1].0 && two[0].1 <= two[1].1)
                        || steps().all(|two| two[0].0 >= two[1].0 && two[0].1 >= two[1].1))
            }
            Reads::Lists { rows, .. } => {
                let ascends = |row| {
                    let row = rows.row(row);
                    row.iter().all(|place| *place < self.len) && row.windows(2).all(|two| two[0] < two[1])
                };
                rows.rows() == places && (0..places).all(ascends)
            }
        }
    }

    /// Whether every place is read by somebody.
    fn is_covered(&self) -> bool {
        let mut spans = match &self.reads {
            Reads::Spans { spans, .. } => spans.clone(),
            Reads::Lists { inverse, .. } => return (0..self.len).all(|place| !inverse.row(place).is_empty()),
        };
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

    /// Whether each place reads the one like it, and all do.
    fn is_identity(&self, above: u32) -> bool {
        match &self.reads {
            Reads::Spans { from: 0, spans } => {
                self.len == above
                    && spans.len() == above as usize
                    && spans.iter().zip(0..).all(|(span, at)| *span == (at, at + 1))
            }
            _ => false,
        }
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
            let one = *len == 1 && below.len == 1 && below.count(0) == 1;
            one || (below.by == Some(axis) && below.is_identity(*len))
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
    fn read<'a>(&self, index: u32, axis: &'a GridAxis) -> Places<'a> {
        axis.read(axis.by.map_or(0, |by| self.place(index, by)))
    }

    pub(super) fn count(&self, index: u32) -> u32 {
        self.below.iter().map(|axis| self.read(index, axis).len()).product()
    }

    pub(super) fn sources(&self, index: u32, base: u32, out: &mut Vec<u32>) {
        let places = self.below.iter().map(|axis| (self.read(index, axis), axis.len));
        every(places, base, out);
    }

    pub(super) fn readers(&self, piece: u32, base: u32, out: &mut Vec<u32>) {
        let mut places: Vec<Places<'_>> = self.above.iter().map(|len| Places::Span(0, *len)).collect();
        let mut rest = piece;
        for axis in self.below.iter().rev() {
            let place = rest % axis.len;
            rest /= axis.len;
            let inverse = axis.inverse(place);
            match axis.by {
                Some(by) if places[by] == Places::Span(0, self.above[by]) => places[by] = inverse,
                Some(by) => places[by] = places[by].and(&inverse),
                None if inverse.len() == 0 => return,
                None => {}
            }
        }
        every(places.into_iter().zip(self.above.iter().copied()), base, out);
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
            let places = axis.by.map_or(1, |by| self.above[by]);
            let most = (0..places).map(|place| axis.count(place)).max().unwrap_or(0);
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

/// Appends the numbers of all places of a box of a grid; of each axis which places, and its length.
fn every<'a>(axes: impl Iterator<Item = (Places<'a>, u32)>, base: u32, out: &mut Vec<u32>) {
    let from = out.len();
    out.push(0);
    for (places, len) in axes {
        let have = out.len();
        let count = places.len();
        if count == 0 {
            out.truncate(from);
            return;
        }
        // What was found of the axes before stands once for each place on this one.
        out.resize(from + (have - from) * count as usize, 0);
        for at in (from..have).rev() {
            let outer = out[at] * len;
            let to = from + (at - from) * count as usize;
            for place in (0..count).rev() {
                out[to + place as usize] = outer + places.get(place);
            }
        }
    }
    out[from..].iter_mut().for_each(|number| *number += base);
}

/// Grids over so many tasks, of all kinds, each with the number of tasks above.
#[cfg(test)]
pub(super) fn examples(below: u32) -> Vec<(Grid, u32)> {
    let spans = |len: u32, span: &dyn Fn(u32) -> (u32, u32)| (0..len).map(span).collect::<Vec<_>>();
    let lists = |len: u32, row: &dyn Fn(u32) -> Vec<u32>| {
        let mut rows = Csr::default();
        (0..len).for_each(|at| rows.push_row(row(at)));
        rows
    };
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
            Grid::new(vec![rows, halves], vec![same(rows, 0), GridAxis::spans(columns, 1, 0, pairs)]),
            Grid::new(vec![columns, rows], vec![same(rows, 1), GridAxis::spans(columns, 0, 0, back)]),
            Grid::new(
                vec![rows, columns],
                vec![GridAxis::spans(rows, 0, 0, near(rows)), GridAxis::spans(columns, 1, 0, near(columns))],
            ),
            Grid::new(vec![2, rows, 3, columns], vec![same(rows, 1), same(columns, 3)]),
            Grid::new(
                vec![rows.min(columns), 2],
                vec![
                    GridAxis::spans(rows, 0, 0, spans(rows.min(columns), &|at| (at, at + 1))),
                    GridAxis::spans(columns, 0, 0, spans(rows.min(columns), &|at| (at, at + 1))),
                ],
            ),
            // One of several that stand one behind another: others read nothing of it.
            Grid::new(
                vec![rows + 3, columns],
                vec![GridAxis::spans(rows, 0, 2, spans(rows, &|at| (at, at + 1))), same(columns, 1)],
            ),
            Grid::new(
                vec![3, 2 * columns],
                vec![
                    GridAxis::lists(rows, 0, lists(3, &|at| (0..rows).filter(|row| row % 3 == at).collect())),
                    GridAxis::lists(columns, 1, lists(2 * columns, &|at| vec![(7 * at + 1) % columns])),
                ],
            ),
            Grid::new(
                vec![columns],
                vec![
                    GridAxis::lists(rows, 0, lists(columns, &|at| (0..rows).filter(|row| row % 2 == at % 2).collect())),
                    GridAxis::lists(columns, 0, lists(columns, &|at| (0..=at).collect())),
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
        assert!(!Grid::new(vec![2], vec![GridAxis::spans(3, 0, 0, vec![(3, 4)])]).fits(3, 2));
    }
}
