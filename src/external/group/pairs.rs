//! Covariances of each two of many columns, over the rows where both have a value: one state for all of them.
//!
//! Blocks of rows are centered column by column, so that what each two columns have to do with each other is products of rows of
//! floats. In a column with nulls the rows of a pair may be few and far from its mean; where too much would cancel, the pair is gone
//! through by itself.

use arrow::array::ArrayRef;

use super::deviations::{CoMoment, Numbers, Parts, Twofold};
use crate::error::Result;

/// Rows that are centered together.
const BLOCK: usize = 256;

/// The moments of each two columns, of all rows.
pub struct Pairs {
    columns: usize,
    /// Of each column with those before it and itself, one after the other. Nothing until there are rows.
    moments: Vec<CoMoment>,
}

/// A block of rows of a column.
struct Centered<'a> {
    numbers: &'a Numbers,
    mean: Twofold,
    squares: Twofold,
    /// Whether each row has a value.
    full: bool,
    /// For each row how far it is from the mean, the square of that, and one; of nulls zeros.
    deviations: &'a mut [f64],
    squared: &'a mut [f64],
    counted: &'a mut [f64],
}

fn count_of_pairs(columns: usize) -> usize {
    columns * (columns + 1) / 2
}

impl Pairs {
    pub fn new(columns: usize) -> Pairs {
        Pairs { columns, moments: Vec::new() }
    }

    pub fn bytes(&self) -> usize {
        self.moments.capacity() * size_of::<CoMoment>()
    }

    /// Memory that a task takes for so many columns as soon as there are rows: its state, what that is added to, and a block.
    pub fn need(columns: usize) -> usize {
        2 * count_of_pairs(columns) * size_of::<CoMoment>() + 3 * columns * BLOCK * size_of::<f64>()
    }

    /// Adds all rows of a batch.
    pub fn update(&mut self, rows: usize, values: &[&ArrayRef]) -> Result<()> {
        self.moments.resize(count_of_pairs(self.columns), CoMoment::default());
        let numbers = values.iter().map(|values| Numbers::new(values)).collect::<Result<Vec<Numbers>>>()?;
        let most = rows.min(BLOCK);
        let mut floats = vec![0.0; 3 * most * self.columns];
        for start in (0..rows).step_by(BLOCK) {
            let len = (rows - start).min(BLOCK);
            let mut room = floats.chunks_exact_mut(most).map(|room| &mut room[..len]);
            let mut centered = Vec::with_capacity(self.columns);
            for numbers in &numbers {
                if let (Some(deviations), Some(squared), Some(counted)) = (room.next(), room.next(), room.next()) {
                    centered.push(Centered::of(numbers, start, deviations, squared, counted));
                }
            }
            let mut moments = self.moments.iter_mut();
            for (at, x) in centered.iter().enumerate() {
                for (y, own) in centered[..=at].iter().zip(&mut moments) {
                    own.merge(&x.with(y, start));
                }
            }
        }
        Ok(())
    }

    pub fn merge(&mut self, other: Pairs) {
        if self.moments.is_empty() {
            *self = other;
            return;
        }
        for (own, other) in self.moments.iter_mut().zip(&other.moments) {
            own.merge(other);
        }
    }

    /// Of each two columns.
    pub(super) fn parts(&self) -> impl Iterator<Item = Parts> {
        (0..count_of_pairs(self.columns)).map(|at| self.moments.get(at).map_or_else(Parts::default, CoMoment::parts))
    }
}

impl<'a> Centered<'a> {
    fn of(
        numbers: &'a Numbers,
        start: usize,
        deviations: &'a mut [f64],
        squared: &'a mut [f64],
        counted: &'a mut [f64],
    ) -> Centered<'a> {
        let rows = start..start + deviations.len();
        // A column with itself.
        let own = CoMoment::of(numbers, numbers, rows.clone().filter(|row| numbers.is_valid(*row)));
        for (at, row) in rows.enumerate() {
            let valid = numbers.is_valid(row);
            deviations[at] = if valid { numbers.deviation(row, own.x) } else { 0.0 };
            squared[at] = deviations[at] * deviations[at];
            counted[at] = if valid { 1.0 } else { 0.0 };
        }
        let full = own.n == deviations.len() as f64;
        Centered { numbers, mean: own.x, squares: own.xx, full, deviations, squared, counted }
    }

    /// The moments of two columns over the rows of the block where both have a value.
    fn with(&self, other: &Centered<'_>, start: usize) -> CoMoment {
        let (x, y) = (self, other);
        let xy = dot(x.deviations, y.deviations);
        if x.full && y.full {
            let n = x.deviations.len() as f64;
            return CoMoment { n, x: x.mean, y: y.mean, xx: x.squares, yy: y.squares, xy: xy.into() };
        }
        let n = dot(x.counted, y.counted);
        if n == 0.0 {
            return CoMoment::default();
        }
        let (sum_x, sum_y) = (dot(x.deviations, y.counted), dot(x.counted, y.deviations));
        let (xx, yy) = (dot(x.squared, y.counted), dot(x.counted, y.squared));
        let (lost_x, lost_y) = (sum_x * sum_x / n, sum_y * sum_y / n);
        // What is not finite in rows that do not count would count, too.
        let is_fine = x.squares.value().is_finite() && y.squares.value().is_finite();
        if !is_fine || lost_x > 0.75 * xx || lost_y > 0.75 * yy {
            let rows = start..start + x.deviations.len();
            let rows = rows.filter(|row| x.numbers.is_valid(*row) && y.numbers.is_valid(*row));
            return CoMoment::of(x.numbers, y.numbers, rows);
        }
        let (mut mean_x, mut mean_y) = (x.mean, y.mean);
        mean_x.add(sum_x / n);
        mean_y.add(sum_y / n);
        let (xx, yy, xy) = (xx - lost_x, yy - lost_y, xy - sum_x * sum_y / n);
        CoMoment { n, x: mean_x, y: mean_y, xx: xx.into(), yy: yy.into(), xy: xy.into() }
    }
}

/// The sum of products, in a fixed order: eight running sums.
fn dot(x: &[f64], y: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let ((x, rest_x), (y, rest_y)) = (x.as_chunks::<8>(), y.as_chunks::<8>());
    for (x, y) in x.iter().zip(y) {
        for at in 0..8 {
            lanes[at] += x[at] * y[at];
        }
    }
    for ((lane, x), y) in lanes.iter_mut().zip(rest_x).zip(rest_y) {
        *lane += x * y;
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}
