//! Products of matrices: of floats by faer, where that is built in, of whole numbers by plain loops.

#[cfg(feature = "linalg")]
use num_complex::Complex;

use super::steps::Lane;
use crate::error::{Error, Result};
use crate::store::{DType, Data};

/// A matrix as it lies in memory.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub data: &'a Data,
    /// Where the first element is.
    pub first: usize,
    pub rows: usize,
    pub columns: usize,
    /// From a row to the next.
    pub down: i64,
    /// From a column to the next.
    pub along: i64,
}

/// Adds a product to a matrix that lies by rows, so far apart.
///
/// # Errors
/// Of kind `Internal`, where a matrix does not lie where it should.
pub(crate) fn add_product<T: Lane>(out: &mut [T], apart: usize, a: Matrix<'_>, b: Matrix<'_>) -> Result<()> {
    if a.columns != b.rows {
        return Err(Error::internal("matrices that do not fit are multiplied"));
    }
    if a.rows == 0 || a.columns == 0 || b.columns == 0 {
        return Ok(());
    }
    if out.len() < (a.rows - 1) * apart + b.columns {
        return Err(outside());
    }
    match T::DTYPE {
        #[cfg(feature = "linalg")]
        DType::F32 => floats::add::<f32>(bytemuck::cast_slice_mut(out), apart, a, b),
        #[cfg(feature = "linalg")]
        DType::F64 => floats::add::<f64>(bytemuck::cast_slice_mut(out), apart, a, b),
        #[cfg(feature = "linalg")]
        DType::C32 => floats::add::<Complex<f32>>(bytemuck::cast_slice_mut(out), apart, a, b),
        #[cfg(feature = "linalg")]
        DType::C64 => floats::add::<Complex<f64>>(bytemuck::cast_slice_mut(out), apart, a, b),
        DType::I64 => whole(bytemuck::cast_slice_mut::<T, i64>(out), apart, a, b, i64::wrapping_mul, i64::wrapping_add),
        DType::U64 => whole(bytemuck::cast_slice_mut::<T, u64>(out), apart, a, b, u64::wrapping_mul, u64::wrapping_add),
        other => Err(Error::internal(format!("products of matrices of {other}"))),
    }
}

fn outside() -> Error {
    Error::internal("a matrix outside of its memory")
}

/// The elements of a matrix by rows: as they lie, if they lie so, and how far rows are apart; else packed.
fn by_rows<'a, T: Lane>(of: &Matrix<'a>, packed: &'a mut Vec<T>) -> Result<(&'a [T], usize)> {
    let all: &'a [T] = T::of(of.data).ok_or_else(outside)?;
    let lies = (of.along == 1 || of.columns == 1) && (of.down >= of.columns as i64 || of.rows == 1);
    if lies {
        let apart = if of.rows == 1 { of.columns } else { of.down as usize };
        return Ok((all.get(of.first..).ok_or_else(outside)?, apart));
    }
    packed.reserve(of.rows * of.columns);
    for row in 0..of.rows {
        for column in 0..of.columns {
            let at = of.first as i64 + row as i64 * of.down + column as i64 * of.along;
            let value = usize::try_from(at).ok().and_then(|at| all.get(at)).ok_or_else(outside)?;
            packed.push(*value);
        }
    }
    Ok((packed, of.columns))
}

fn whole<T: Lane>(
    out: &mut [T],
    apart: usize,
    a: Matrix<'_>,
    b: Matrix<'_>,
    times: fn(T, T) -> T,
    plus: fn(T, T) -> T,
) -> Result<()> {
    let (mut own, mut other) = (Vec::new(), Vec::new());
    let ((left, left_apart), (right, right_apart)) = (by_rows(&a, &mut own)?, by_rows(&b, &mut other)?);
    for (row, out) in out.chunks_mut(apart).take(a.rows).enumerate() {
        for at in 0..a.columns {
            let factor = *left.get(row * left_apart + at).ok_or_else(outside)?;
            let line = right.get(at * right_apart..at * right_apart + b.columns).ok_or_else(outside)?;
            out.iter_mut().zip(line).for_each(|(out, value)| *out = plus(*out, times(factor, *value)));
        }
    }
    Ok(())
}

#[cfg(feature = "linalg")]
mod floats {
    use faer::linalg::matmul::matmul;
    use faer::traits::ComplexField;
    use faer::{Accum, MatMut, MatRef, Par};

    use super::*;

    pub fn add<T: Lane + ComplexField>(out: &mut [T], apart: usize, a: Matrix<'_>, b: Matrix<'_>) -> Result<()> {
        let (mut own, mut other) = (Vec::<T>::new(), Vec::<T>::new());
        // By rows as the turned matrix by columns: faer 0.24 takes `from_row_major_slice_with_stride_mut` for one by columns, and writes
        // beyond its end.
        let end = (a.rows - 1) * apart + b.columns;
        let out = out.get_mut(..end).ok_or_else(outside)?;
        let out = MatMut::from_column_major_slice_with_stride_mut(out, b.columns, a.rows, apart).transpose_mut();
        let (left, right) = (view(&a, &mut own)?, view(&b, &mut other)?);
        // Tasks run beside each other: one takes one thread.
        matmul(out, Accum::Add, left, right, T::one_impl(), Par::Seq);
        Ok(())
    }

    /// A matrix as faer sees it; columns that lie behind one another need not be packed either.
    fn view<'a, T: Lane>(of: &Matrix<'a>, packed: &'a mut Vec<T>) -> Result<MatRef<'a, T>> {
        if of.down == 1 && of.along >= of.rows as i64 && of.columns > 1 {
            let turned = Matrix { rows: of.columns, columns: of.rows, down: of.along, along: of.down, ..*of };
            return Ok(view(&turned, packed)?.transpose());
        }
        let (values, apart) = by_rows(of, packed)?;
        let end = (of.rows - 1) * apart + of.columns;
        let values = values.get(..end).ok_or_else(outside)?;
        Ok(MatRef::from_row_major_slice_with_stride(values, of.rows, of.columns, apart))
    }
}
