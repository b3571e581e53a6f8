//! From a lazy array to numbers.

use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::{ArrayD, Dimension, Ix0, Ix1, Ix2, Ix3, Ix4, Ix5, Ix6, IxDyn};

use super::Array;
use super::element::Element;
use super::plan::{Blocks, Cuts, coords, strides};
use crate::error::{Error, Result};
use crate::graph::Chunk;
use crate::plan::{Request, Sink};
use crate::runtime::{Computable, Kept, Persist};
use crate::store::NdBlock;

/// What arrays with these axes are computed to: without axes a plain number, otherwise an array of ndarray's.
pub trait Rank: Dimension {
    /// The computed value.
    type Value<A: Element>: Send;

    #[doc(hidden)]
    fn value<A: Element>(array: ArrayD<A>) -> Result<Self::Value<A>>;
}

impl Rank for Ix0 {
    type Value<A: Element> = A;

    fn value<A: Element>(array: ArrayD<A>) -> Result<A> {
        array.first().copied().ok_or_else(|| Error::internal("a number was not delivered"))
    }
}

macro_rules! ranks {
    ($($rank:ty)+) => {$(
        impl Rank for $rank {
            type Value<A: Element> = ndarray::Array<A, $rank>;

            fn value<A: Element>(array: ArrayD<A>) -> Result<ndarray::Array<A, $rank>> {
                let rank = array.ndim();
                array.into_dimensionality().map_err(|_| Error::internal(format!("an array of {rank} axes is none of {:?}", <$rank>::NDIM)))
            }
        }
    )+};
}

ranks! { Ix1 Ix2 Ix3 Ix4 Ix5 Ix6 IxDyn }

/// The elements so far. Blocks go to their places as they come where these are known; the others are held until all are there.
pub struct Assembly<A: Element> {
    cuts: Arc<[Cuts]>,
    made: Mutex<Made<A>>,
}

struct Made<A> {
    /// All elements by rows; made with the first block.
    all: Vec<A>,
    /// How many blocks are in place.
    placed: u32,
    held: Vec<Option<NdBlock>>,
}

/// Copies a block to where it belongs among all elements.
fn place<A: Element>(all: &mut [A], shape: &[usize], starts: &[usize], block: &NdBlock) -> Result<()> {
    let from: &[A::Stored] = block.get::<A::Stored>()?;
    let (to, lens) = (strides(shape), block.shape());
    let row = lens.last().copied().unwrap_or(1);
    if from.is_empty() {
        return Ok(());
    }
    let mut at = vec![0usize; lens.len().saturating_sub(1)];
    let last_start = starts.last().copied().unwrap_or(0);
    for values in from.chunks_exact(row) {
        let outer =
            at.iter().zip(starts).zip(&to).map(|((at, start), step)| (at + start) * *step as usize).sum::<usize>();
        let first = outer + last_start;
        let out =
            all.get_mut(first..first + row).ok_or_else(|| Error::internal("a block lies outside of its array"))?;
        A::copy(values, out);
        for axis in (0..at.len()).rev() {
            at[axis] += 1;
            if at[axis] < lens[axis] {
                break;
            }
            at[axis] = 0;
        }
    }
    Ok(())
}

impl<A: Element> Assembly<A> {
    fn shape(&self) -> Option<Vec<usize>> {
        self.cuts.iter().map(Cuts::len).collect()
    }

    fn put(&self, made: &mut Made<A>, index: u32, block: NdBlock) -> Result<()> {
        let at = coords(index, self.cuts.iter().map(Cuts::blocks));
        match self.shape() {
            Some(shape) => {
                if made.all.is_empty() {
                    // Not when the run is asked for: what is too large is refused first.
                    made.all = vec![A::default(); shape.iter().product()];
                }
                let starts: Vec<usize> = self
                    .cuts
                    .iter()
                    .zip(&at)
                    .map(|(cuts, at)| cuts.known().map_or(0, |cuts| cuts[*at as usize]))
                    .collect();
                place(&mut made.all, &shape, &starts, &block)?;
            }
            None => {
                if let Some(held) = made.held.get_mut(index as usize) {
                    *held = Some(block);
                }
            }
        }
        made.placed += 1;
        Ok(())
    }

    /// All elements, once all blocks came.
    fn take(&self) -> Result<ArrayD<A>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let lens: Vec<u32> = self.cuts.iter().map(Cuts::blocks).collect();
        if made.placed != lens.iter().product::<u32>() {
            return Err(Error::internal("a block was not delivered"));
        }
        let shape = match self.shape() {
            Some(shape) => {
                if made.all.is_empty() {
                    made.all = vec![A::default(); shape.iter().product()];
                }
                shape
            }
            None => {
                let held: Vec<NdBlock> = std::mem::take(&mut made.held).into_iter().flatten().collect();
                // Along an axis the first blocks of all others tell the lengths.
                let ends: Vec<Vec<usize>> = (0..lens.len())
                    .map(|axis| {
                        let stride: u32 = lens[axis + 1..].iter().product();
                        let len = |at: u32| held[(at * stride) as usize].shape()[axis];
                        let mut end = 0;
                        std::iter::once(0)
                            .chain((0..lens[axis]).map(|at| {
                                end += len(at);
                                end
                            }))
                            .collect()
                    })
                    .collect();
                let shape: Vec<usize> = ends.iter().map(|ends| ends.last().copied().unwrap_or(0)).collect();
                let mut all = vec![A::default(); shape.iter().product()];
                for (index, block) in held.iter().enumerate() {
                    let at = coords(index as u32, lens.iter().copied());
                    let starts: Vec<usize> = at.iter().zip(&ends).map(|(at, ends)| ends[*at as usize]).collect();
                    place(&mut all, &shape, &starts, block)?;
                }
                made.all = all;
                shape
            }
        };
        let all = std::mem::take(&mut made.all);
        ArrayD::from_shape_vec(IxDyn(&shape), all)
            .map_err(|error| Error::internal(format!("blocks of an array: {error}")))
    }
}

impl<A: Element> Sink for Assembly<A> {
    fn put(&self, values: &mut dyn Iterator<Item = (u32, Chunk)>) -> Result<()> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, chunk) in values {
            self.put(&mut made, at, chunk.take_or_clone()?)?;
        }
        Ok(())
    }
}

impl<A: Element, D: Rank> Computable for Array<A, D> {
    type Output = D::Value<A>;
    type Pending = (Arc<Assembly<A>>, PhantomData<D>);

    fn request(&self, request: &mut Request) -> Self::Pending {
        let cuts: Arc<[Cuts]> = self.planned().map_or_else(|_| Arc::from([]), |blocks| blocks.cuts.clone());
        let blocks: u32 = cuts.iter().map(Cuts::blocks).product();
        let known: Option<u64> =
            cuts.iter().map(Cuts::len).try_fold(A::DTYPE.bytes() as u64, |all, len| all.checked_mul(len? as u64));
        request.expect(known.unwrap_or(0));
        let held =
            if cuts.iter().all(|cuts| cuts.known().is_some()) { Vec::new() } else { vec![None; blocks as usize] };
        let made = Made { all: Vec::new(), placed: 0, held };
        let assembly = Arc::new(Assembly { cuts, made: Mutex::new(made) });
        request.want_all(&self.node(), assembly.clone());
        (assembly, PhantomData)
    }

    fn finish((assembly, _): Self::Pending) -> Result<D::Value<A>> {
        D::value(assembly.take()?)
    }
}

impl<A: Element, D> Persist for Array<A, D> {
    type Kept = Array<A, D>;

    fn ask(&self, request: &mut Request, sink: &Arc<dyn Sink>) {
        request.want_all(&self.node(), sink.clone());
    }

    fn keep(&self, kept: &Arc<Kept>, next: &mut u32) -> Array<A, D> {
        let made = |blocks: &Blocks| {
            let node = kept.row(next, blocks.count())?;
            let origin = crate::origin::Origin::UNKNOWN;
            Some(Blocks::outside(node, blocks.dtype, blocks.cuts.to_vec(), "persist", origin))
        };
        match self.planned().ok().and_then(made) {
            Some(blocks) => Array::of(blocks),
            None => self.clone(),
        }
    }
}
