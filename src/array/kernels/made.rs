//! Numbers that follow from their place.

use num_complex::Complex;

use super::number::{FromNumber, Number};
use super::program::{Made, MadeSlice};
use crate::error::Result;

/// Writes what a function gives for each place, as numbers of any type.
fn fill_with(first: u64, step: i64, out: MadeSlice<'_>, of: impl Fn(u64) -> Number) -> Result<()> {
    fn each<T: FromNumber>(first: u64, step: i64, out: &mut [T], of: impl Fn(u64) -> Number) {
        let mut at = first;
        for out in out {
            *out = T::from_number(of(at));
            at = at.wrapping_add_signed(step);
        }
    }
    match out {
        MadeSlice::U8(out) => each(first, step, out, of),
        MadeSlice::I8(out) => each(first, step, out, of),
        MadeSlice::I16(out) => each(first, step, out, of),
        MadeSlice::I32(out) => each(first, step, out, of),
        MadeSlice::I64(out) => each(first, step, out, of),
        MadeSlice::U16(out) => each(first, step, out, of),
        MadeSlice::U32(out) => each(first, step, out, of),
        MadeSlice::U64(out) => each(first, step, out, of),
        MadeSlice::F32(out) => each(first, step, out, of),
        MadeSlice::F64(out) => each(first, step, out, of),
        MadeSlice::C32(out) => each::<Complex<f32>>(first, step, out, of),
        MadeSlice::C64(out) => each::<Complex<f64>>(first, step, out, of),
    }
    Ok(())
}

/// `start + place * step`.
pub(crate) struct Arange {
    pub start: Number,
    pub step: Number,
}

impl Made for Arange {
    fn fill(&self, first: u64, step: i64, out: MadeSlice<'_>) -> Result<()> {
        match (self.start, self.step) {
            (Number::Float(start), Number::Float(by)) => {
                fill_with(first, step, out, |at| Number::Float(start + at as f64 * by))
            }
            (Number::Unsigned(start), Number::Unsigned(by)) => {
                fill_with(first, step, out, |at| Number::Unsigned(start.wrapping_add(at.wrapping_mul(by))))
            }
            (start, by) => {
                let (start, by) = (i64::from_number(start), i64::from_number(by));
                fill_with(first, step, out, |at| Number::Int(start.wrapping_add(at.cast_signed().wrapping_mul(by))))
            }
        }
    }
}

/// Evenly from one number to another, both of them taken.
pub(crate) struct Linspace {
    pub from: f64,
    pub to: f64,
    pub len: u64,
}

impl Made for Linspace {
    fn fill(&self, first: u64, step: i64, out: MadeSlice<'_>) -> Result<()> {
        let last = self.len.saturating_sub(1);
        let by = if last == 0 { 0.0 } else { (self.to - self.from) / last as f64 };
        fill_with(first, step, out, |at| {
            Number::Float(if at == last && last > 0 { self.to } else { self.from + at as f64 * by })
        })
    }
}

/// Ones on a diagonal of rows of a length, and 0 elsewhere.
pub(crate) struct Diagonal {
    pub columns: u64,
    /// How far right of the main one.
    pub offset: i64,
}

impl Made for Diagonal {
    fn fill(&self, first: u64, step: i64, out: MadeSlice<'_>) -> Result<()> {
        let columns = self.columns.max(1);
        fill_with(first, step, out, |at| {
            let (row, column) = (at / columns, at % columns);
            Number::Int(i64::from(column.cast_signed() - row.cast_signed() == self.offset))
        })
    }
}

/// True at every so manieth place, from the first on.
pub(crate) struct Every {
    pub step: u64,
}

impl Made for Every {
    fn fill(&self, first: u64, step: i64, out: MadeSlice<'_>) -> Result<()> {
        let every = self.step.max(1);
        fill_with(first, step, out, |at| Number::Bool(at.is_multiple_of(every)))
    }
}

/// True on and below a diagonal of rows of a length.
pub(crate) struct Below {
    pub columns: u64,
    /// How far right of the main one.
    pub offset: i64,
}

impl Made for Below {
    fn fill(&self, first: u64, step: i64, out: MadeSlice<'_>) -> Result<()> {
        let columns = self.columns.max(1);
        fill_with(first, step, out, |at| {
            let (row, column) = (at / columns, at % columns);
            Number::Bool(column.cast_signed() - row.cast_signed() <= self.offset)
        })
    }
}
