//! What is kept by reductions: two become one, and one becomes the result.

use super::moments::joined;
use super::program::with_lane;
use super::reduce::{Kind, Reduction, better, comes_first};
use super::steps::Lane;
use super::wide::Wide;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Block, DType, Data, NdBlock, Stored};

fn missing() -> Error {
    Error::internal("a reduction kept less than it should")
}

/// The first blocks of what is kept.
fn parts<const N: usize>(kept: &[NdBlock]) -> Result<&[NdBlock; N]> {
    kept.first_chunk().ok_or_else(missing)
}

fn parts_mut<const N: usize>(kept: &mut [NdBlock]) -> Result<&mut [NdBlock; N]> {
    kept.first_chunk_mut().ok_or_else(missing)
}

fn combine<T: Stored>(into: &mut NdBlock, other: &NdBlock, with: impl Fn(T, T) -> T) -> Result<()> {
    let other = other.get::<T>()?;
    let into = into.get_mut::<T>()?;
    if into.len() != other.len() {
        return Err(Error::internal("blocks of different shapes are put together"));
    }
    into.iter_mut().zip(other.iter()).for_each(|(into, other)| *into = with(*into, *other));
    Ok(())
}

pub(super) fn merge(of: &Reduction, into: &mut [NdBlock], other: &[NdBlock]) -> Result<()> {
    match of.kind {
        Kind::Sum | Kind::Mean => with_lane!(of.of, T => sums::<T>(into, other)),
        Kind::Prod => with_lane!(of.of, T => {
            let ([into], [other]) = (parts_mut(into)?, parts(other)?);
            combine(into, other, <T as Wide>::times)
        }),
        Kind::Min | Kind::Max => with_lane!(of.of, T => extremes::<T>(into, other, of.kind == Kind::Max)),
        Kind::ArgMin | Kind::ArgMax => with_lane!(of.of, T => places::<T>(into, other, of.kind == Kind::ArgMax)),
        Kind::Var { .. } | Kind::Std { .. } => moments(into, other),
        Kind::Any | Kind::All => {
            let any = of.kind == Kind::Any;
            let ([into], [other]) = (parts_mut(into)?, parts(other)?);
            combine(into, other, |a: u8, b: u8| if any { a | b } else { a & b })
        }
        Kind::Count | Kind::CountNonzero => {
            let ([into], [other]) = (parts_mut(into)?, parts(other)?);
            combine(into, other, |a: u64, b: u64| a + b)
        }
    }
}

fn sums<T: Wide>(into: &mut [NdBlock], other: &[NdBlock]) -> Result<()> {
    let ([sums, lost, counts], [more, more_lost, more_counts]) = (parts_mut(into)?, parts(other)?);
    combine(counts, more_counts, |a: u64, b: u64| a + b)?;
    if !T::CARRIES {
        return combine(sums, more, T::plus);
    }
    if lost.data().len() == 0 {
        *lost = NdBlock::new(sums.shape(), T::As::wrap(Block::from_vec(vec![T::As::default(); sums.data().len()])))?;
    }
    if more_lost.data().len() > 0 {
        combine(lost, more_lost, T::plus)?;
    }
    let (sums, lost, more) = (sums.get_mut::<T::As>()?, lost.get_mut::<T::As>()?, more.get::<T::As>()?);
    if sums.len() != more.len() || lost.len() != more.len() {
        return Err(Error::internal("sums of different shapes are put together"));
    }
    for ((sum, lost), more) in sums.iter_mut().zip(lost).zip(more.iter()) {
        let (together, left) = T::plus_exactly(*sum, *more);
        (*sum, *lost) = (together, T::plus(*lost, left));
    }
    Ok(())
}

fn extremes<T: Wide>(into: &mut [NdBlock], other: &[NdBlock], largest: bool) -> Result<()> {
    let ([best, seen], [more, more_seen]) = (parts_mut(into)?, parts(other)?);
    let (best, seen) = (best.get_mut::<T>()?, seen.get_mut::<u8>()?);
    let (more, more_seen) = (more.get::<T>()?, more_seen.get::<u8>()?);
    for (((best, seen), more), more_seen) in best.iter_mut().zip(seen).zip(more.iter()).zip(more_seen.iter()) {
        if *more_seen != 0 {
            *best = if *seen != 0 { better(*best, *more, largest) } else { *more };
            *seen = 1;
        }
    }
    Ok(())
}

fn places<T: Wide>(into: &mut [NdBlock], other: &[NdBlock], largest: bool) -> Result<()> {
    let ([best, at], [more, more_at]) = (parts_mut(into)?, parts(other)?);
    let (best, at) = (best.get_mut::<T>()?, at.get_mut::<i64>()?);
    let (more, more_at) = (more.get::<T>()?, more_at.get::<i64>()?);
    for (((best, at), more), more_at) in best.iter_mut().zip(at).zip(more.iter()).zip(more_at.iter()) {
        if *more_at >= 0 && (*at < 0 || comes_first((*more, *more_at), (*best, *at), largest)) {
            (*best, *at) = (*more, *more_at);
        }
    }
    Ok(())
}

fn moments(into: &mut [NdBlock], other: &[NdBlock]) -> Result<()> {
    let ([means, squares, counts], [more, more_squares, more_counts]) = (parts_mut(into)?, parts(other)?);
    let places = means.data().len();
    if more.data().len() != places || more_squares.data().len() != places {
        return Err(Error::internal("deviations of different shapes are put together"));
    }
    // One count for all places, or a count for each.
    if counts.data().len() != more_counts.data().len() && counts.data().len() != places {
        let count = counts.get::<u64>()?.first().copied().unwrap_or(0);
        *counts = NdBlock::new(means.shape(), u64::wrap(Block::from_vec(vec![count; places])))?;
    }
    let (means, squares, counts) = (means.get_mut::<f64>()?, squares.get_mut::<f64>()?, counts.get_mut::<u64>()?);
    let (more, more_squares, more_counts) = (more.get::<f64>()?, more_squares.get::<f64>()?, more_counts.get::<u64>()?);
    let more_count = |at: usize| *more_counts.get(at).or(more_counts.first()).unwrap_or(&0);
    if let ([count], 2..) = (&mut *counts, places) {
        let (before, other) = (*count, more_count(0));
        for (((mean, squares), more), more_squares) in means.iter_mut().zip(squares).zip(&**more).zip(&**more_squares) {
            (*count, *mean, *squares) = joined((before, *mean, *squares), (other, *more, *more_squares));
        }
        return Ok(());
    }
    for at in 0..places {
        let known = (counts[at], means[at], squares[at]);
        (counts[at], means[at], squares[at]) = joined(known, (more_count(at), more[at], more_squares[at]));
    }
    Ok(())
}

/// A block of what a function gives for each place.
fn made<T: Stored>(shape: &[usize], len: usize, of: impl Fn(usize) -> Result<T>) -> Result<NdBlock> {
    let mut values = Vec::with_capacity(len);
    for at in 0..len {
        values.push(of(at)?);
    }
    NdBlock::new(shape, T::wrap(Block::from_vec(values)))
}

/// A block of floats in the type that is wanted.
fn floats(shape: &[usize], len: usize, to: DType, of: impl Fn(usize) -> f64) -> Result<NdBlock> {
    match to {
        DType::F32 => made(shape, len, |at| Ok(of(at) as f32)),
        _ => made(shape, len, |at| Ok(of(at))),
    }
}

pub(super) fn finish(of: &Reduction, kept: &[NdBlock], shape: &[usize]) -> Result<NdBlock> {
    let to = of.output().ok_or_else(missing)?;
    match of.kind {
        Kind::Sum | Kind::Mean => with_lane!(of.of, T => finish_sums::<T>(of, to, kept, shape)),
        Kind::Prod => with_lane!(of.of, T => {
            let [products] = parts(kept)?;
            let products = products.get::<<T as Wide>::As>()?;
            as_output::<<T as Wide>::As>(to, shape, products.len(), |at| products[at])
        }),
        Kind::Min | Kind::Max => with_lane!(of.of, T => {
            let [best, seen] = parts(kept)?;
            let (best, seen) = (best.get::<T>()?, seen.get::<u8>()?);
            let block = made(shape, best.len(), |at| match seen[at] != 0 {
                true => Ok(best[at]),
                false => T::nan().filter(|_| of.skip_nan).ok_or_else(|| of_nothing(of)),
            })?;
            truths_or_numbers(block, to, shape)
        }),
        Kind::ArgMin | Kind::ArgMax => {
            let [_, at] = parts(kept)?;
            let places = at.get::<i64>()?;
            made(shape, places.len(), |at| match places[at] {
                -1 => Err(of_nothing(of)),
                place => Ok(place),
            })
        }
        Kind::Var { ddof } | Kind::Std { ddof } => {
            let [_, squares, counts] = parts(kept)?;
            let (squares, counts) = (squares.get::<f64>()?, counts.get::<u64>()?);
            let (ddof, root) = (f64::from_bits(ddof), matches!(of.kind, Kind::Std { .. }));
            floats(shape, squares.len(), to, |at| {
                let divisor = *counts.get(at).or(counts.first()).unwrap_or(&0) as f64 - ddof;
                let var = if divisor > 0.0 { squares[at] / divisor } else { f64::NAN };
                if root { var.sqrt() } else { var }
            })
        }
        Kind::Any | Kind::All => {
            let [truths] = parts(kept)?;
            NdBlock::new(shape, Data::Bool(truths.get::<u8>()?.clone()))
        }
        Kind::Count | Kind::CountNonzero => {
            let [counts] = parts(kept)?;
            NdBlock::new(shape, Data::U64(counts.get::<u64>()?.clone()))
        }
    }
}

fn of_nothing(of: &Reduction) -> Error {
    let what = if of.skip_nan { "nothing but NaN" } else { "no elements" };
    Error::new(ErrorKind::Data, format!("{} of {what}", of.name()))
}

/// Bytes of truths as truths.
fn truths_or_numbers(block: NdBlock, to: DType, shape: &[usize]) -> Result<NdBlock> {
    match to {
        DType::Bool => NdBlock::new(shape, block.into_data().into_bools()),
        _ => Ok(block),
    }
}

fn as_output<W: Lane>(to: DType, shape: &[usize], len: usize, of: impl Fn(usize) -> W) -> Result<NdBlock> {
    let wide: Vec<W> = (0..len).map(of).collect();
    with_lane!(to, U => {
        let mut narrow = vec![U::default(); len];
        W::cast_to::<U>(&wide, &mut narrow);
        NdBlock::new(shape, U::wrap(Block::from_vec(narrow)))
    })
}

fn finish_sums<T: Wide>(of: &Reduction, to: DType, kept: &[NdBlock], shape: &[usize]) -> Result<NdBlock> {
    let [sums, lost, counts] = parts(kept)?;
    let (sums, lost, counts) = (sums.get::<T::As>()?, lost.get::<T::As>()?, counts.get::<u64>()?);
    let whole = |at: usize| lost.get(at).map_or(sums[at], |lost| T::plus(sums[at], *lost));
    if of.kind == Kind::Sum {
        return as_output::<T::As>(to, shape, sums.len(), whole);
    }
    let count = |at: usize| *counts.get(at).or(counts.first()).unwrap_or(&0) as f64;
    as_output(to, shape, sums.len(), |at| T::divided(whole(at), count(at)))
}

#[cfg(test)]
mod tests {
    use super::super::fold::Fold;
    use super::*;

    #[test]
    fn no_more_is_kept_than_is_said() {
        const PLACES: usize = 100;
        let kinds = [
            Kind::Sum,
            Kind::Prod,
            Kind::Min,
            Kind::Max,
            Kind::Mean,
            Kind::Var { ddof: 0 },
            Kind::Any,
            Kind::CountNonzero,
            Kind::Count,
            Kind::ArgMin,
        ];
        for (kind, of, skip_nan) in kinds
            .into_iter()
            .flat_map(|kind| DType::ALL.into_iter().flat_map(move |of| [false, true].map(|skip| (kind, of, skip))))
        {
            let reduction = Reduction { kind, skip_nan, of };
            if reduction.output().is_none() {
                continue;
            }
            let nothing = || Reduction::start(&reduction, PLACES).finish(&[PLACES]).unwrap();
            let mut kept = nothing();
            super::merge(&reduction, &mut kept, &nothing()).unwrap();
            let bytes: u64 = kept.iter().map(|block| block.data().bytes()).sum();
            // And a count for all places.
            assert!(bytes <= reduction.kept_bytes(PLACES as u64) + 8, "{reduction:?}: {bytes}");
        }
    }
}
