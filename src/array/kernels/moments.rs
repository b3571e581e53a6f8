//! Number, mean and squared deviations of a run of numbers, put together without loss of precision.

use bytemuck::cast_slice;

use crate::error::{Error, Result};
use crate::store::{Block, Element};

/// Elements that are summed in one go: short enough that plain sums are exact to the last digits.
const TILE: usize = 1024;

/// What is kept of numbers: enough for their mean and deviation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Moments {
    pub count: u64,
    pub mean: f64,
    /// Sum of the squared differences from the mean.
    pub squares: f64,
}

impl Moments {
    /// Of a block: tiles of fixed length, put together two by two, so that the result depends on the numbers alone.
    pub fn of<A: Element>(block: &Block<A>) -> Result<Moments> {
        if A::ID != f64::ID {
            return Err(Error::internal("moments of other numbers than f64"));
        }
        let numbers: &[f64] = cast_slice(block);
        // As many levels as there are binary digits of the number of tiles.
        let mut levels: Vec<Option<Moments>> = Vec::new();
        for tile in numbers.chunks(TILE) {
            let mut carried = Moments::of_tile(tile);
            let mut level = 0;
            loop {
                match levels.get_mut(level) {
                    None => {
                        levels.push(Some(carried));
                        break;
                    }
                    Some(place) => match place.take() {
                        None => {
                            *place = Some(carried);
                            break;
                        }
                        Some(before) => carried = before.merge(&carried),
                    },
                }
                level += 1;
            }
        }
        let rest = levels.into_iter().flatten();
        Ok(rest.reduce(|after, before| before.merge(&after)).unwrap_or_default())
    }

    fn of_tile(tile: &[f64]) -> Moments {
        let mean = tile.iter().sum::<f64>() / tile.len() as f64;
        let squares = tile.iter().map(|number| (number - mean) * (number - mean)).sum();
        Moments { count: tile.len() as u64, mean, squares }
    }

    /// Of these numbers and others behind them.
    pub fn merge(&self, other: &Moments) -> Moments {
        if self.count == 0 || other.count == 0 {
            return if self.count == 0 { *other } else { *self };
        }
        let count = self.count + other.count;
        let share = other.count as f64 / count as f64;
        let apart = other.mean - self.mean;
        Moments {
            count,
            mean: self.mean + apart * share,
            squares: self.squares + other.squares + apart * apart * share * self.count as f64,
        }
    }

    /// NaN where there are no numbers.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { f64::NAN } else { self.mean }
    }

    /// NaN where there are not more numbers than `ddof`.
    pub fn std(&self, ddof: f64) -> f64 {
        let divisor = self.count as f64 - ddof;
        if divisor > 0.0 { (self.squares / divisor).sqrt() } else { f64::NAN }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(numbers: &[f64]) -> Moments {
        Moments::of(&Block::from_slice(numbers)).unwrap()
    }

    #[test]
    fn a_large_offset_does_not_drown_the_deviation() {
        // Squares of these numbers need more digits than there are.
        let numbers: Vec<f64> = (0..10_000).map(|i| 1e9 + f64::from(i % 2)).collect();
        let moments = of(&numbers);
        assert_eq!((moments.count, moments.mean()), (10_000, 1e9 + 0.5));
        assert!((moments.std(0.0) - 0.5).abs() < 1e-12, "{}", moments.std(0.0));
        let parts = numbers.chunks(777).map(of).fold(Moments::default(), |all, part| all.merge(&part));
        // Means of parts are rounded to a ten-millionth at this size.
        assert!((parts.std(1.0) / moments.std(1.0) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn few_numbers() {
        let none = of(&[]);
        assert!(none.mean().is_nan() && none.std(0.0).is_nan());
        let one = of(&[3.0]);
        assert_eq!((one.mean(), one.std(0.0)), (3.0, 0.0));
        assert!(one.std(1.0).is_nan());
        assert_eq!(none.merge(&one), one);
        assert_eq!(one.merge(&none), one);
        assert!(of(&[1.0, f64::NAN]).mean().is_nan());
    }
}
