//! Running sums and products.

use num_complex::Complex;

use super::program::{Place, Tile};
use super::steps::Lane;
use crate::error::{Error, Result};

/// What can be summed up on the way.
pub(crate) trait Running: Lane {
    /// With one more; integers wrap.
    fn then(self, next: Self, product: bool) -> Self;
}

macro_rules! running {
    ($($type:ty: $plus:expr, $times:expr;)+) => {$(
        impl Running for $type {
            #[inline(always)]
            fn then(self, next: $type, product: bool) -> $type {
                if product { $times(self, next) } else { $plus(self, next) }
            }
        }
    )+};
}

running! {
    i64: i64::wrapping_add, i64::wrapping_mul;
    u64: u64::wrapping_add, u64::wrapping_mul;
    f32: std::ops::Add::add, std::ops::Mul::mul;
    f64: std::ops::Add::add, std::ops::Mul::mul;
    Complex<f32>: std::ops::Add::add, std::ops::Mul::mul;
    Complex<f64>: std::ops::Add::add, std::ops::Mul::mul;
}

/// A line along which values run on, in a block by rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    /// From one of its elements to the next.
    pub stride: usize,
    /// How many it has.
    pub len: usize,
    /// Whether they are multiplied and not added.
    pub product: bool,
}

/// Takes a tile of a block into what has run up so far. Tiles come in an order in which what stands before an element on its line came before
/// it. `before` has for each line what runs on into the block, by rows.
///
/// # Errors
/// Of kind `Internal`, where a tile lies outside of its block.
pub(crate) fn scan_tile<T: Running>(
    line: Line,
    values: &[T],
    tile: Tile,
    (first, down, _): Place,
    before: Option<&[T]>,
    out: &mut [T],
) -> Result<()> {
    let outside = || Error::internal("a tile outside of its block");
    let Line { stride, len, product } = line;
    for (row, values) in values.chunks_exact(tile.columns.max(1)).enumerate() {
        let mut at = usize::try_from(first + row as i64 * down).map_err(|_| outside())?;
        let mut values = values;
        while !values.is_empty() {
            let (place, inner) = (at / stride % len, at % stride);
            let lines = at / (stride * len) * stride + inner;
            if stride == 1 {
                // Along the line itself.
                let (now, rest) = values.split_at(values.len().min(len - place));
                let mut last = match (place, before) {
                    (0, None) => None,
                    (0, Some(before)) => Some(*before.get(lines).ok_or_else(outside)?),
                    _ => Some(*out.get(at - 1).ok_or_else(outside)?),
                };
                for (value, out) in now.iter().zip(out.get_mut(at..at + now.len()).ok_or_else(outside)?) {
                    let next = last.map_or(*value, |last| last.then(*value, product));
                    (*out, last) = (next, Some(next));
                }
                (at, values) = (at + now.len(), rest);
                continue;
            }
            // Beside each other: each is the one before it on its line with one more.
            let (now, rest) = values.split_at(values.len().min(stride - inner));
            let (ready, open) = out.split_at_mut_checked(at).ok_or_else(outside)?;
            let open = open.get_mut(..now.len()).ok_or_else(outside)?;
            let last = match place {
                0 => match before {
                    Some(before) => Some(before.get(lines..lines + now.len()).ok_or_else(outside)?),
                    None => None,
                },
                _ => Some(ready.get(at - stride..at - stride + now.len()).ok_or_else(outside)?),
            };
            match last {
                None => open.copy_from_slice(now),
                Some(last) => {
                    for ((out, last), value) in open.iter_mut().zip(last).zip(now) {
                        *out = last.then(*value, product);
                    }
                }
            }
            (at, values) = (at + now.len(), rest);
        }
    }
    Ok(())
}
