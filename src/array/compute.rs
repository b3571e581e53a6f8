//! From a lazy array to numbers.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::{Array1, Array2};

use super::{Array, Blocks, Ix0, Ix1, Ix2};
use crate::error::{Error, Result};
use crate::graph::Chunk;
use crate::plan::{OneValue, Request, Sink};
use crate::runtime::{Computable, Kept, Persist};
use crate::store::{Block, Element};

impl<A: Any + Send + Sync + Clone> Computable for Array<A, Ix0> {
    type Output = A;
    type Pending = Arc<OneValue>;

    fn request(&self, request: &mut Request) -> Arc<OneValue> {
        let value = Arc::new(OneValue::default());
        request.want(&self.node(), value.clone());
        value
    }

    fn finish(pending: Arc<OneValue>) -> Result<A> {
        let chunk = pending.take().ok_or_else(|| Error::internal("a value was not delivered"))?;
        chunk.take_or_clone()
    }
}

/// The elements so far. Blocks go to their place as they come, mostly in their order; only those that come before their turn
/// are held as blocks, so that there is never a second copy of all.
pub struct Row<A: Element> {
    made: Mutex<Made<A>>,
}

struct Made<A: Element> {
    all: Vec<A>,
    /// The length in the end, if it is known.
    len: usize,
    /// How many blocks are in place.
    next: usize,
    early: Vec<Option<Block<A>>>,
}

impl<A: Element> Made<A> {
    fn put(&mut self, at: usize, block: Block<A>) {
        if at != self.next {
            if let Some(place) = self.early.get_mut(at) {
                *place = Some(block);
            }
            return;
        }
        // Not when the run is asked for: what is too large is refused first.
        self.all.reserve_exact(self.len.saturating_sub(self.all.len()));
        let mut block = Some(block);
        while let Some(ready) = block {
            self.all.extend_from_slice(&ready);
            self.next += 1;
            block = self.early.get_mut(self.next).and_then(Option::take);
        }
    }
}

impl<A: Element> Sink for Row<A> {
    fn put(&self, values: &mut dyn Iterator<Item = (u32, Chunk)>) -> Result<()> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, chunk) in values {
            made.put(at as usize, chunk.take_or_clone()?);
        }
        Ok(())
    }
}

impl<A: Element> Computable for Array<A, Ix1> {
    type Output = Array1<A>;
    type Pending = Arc<Row<A>>;

    fn request(&self, request: &mut Request) -> Arc<Row<A>> {
        self.elements(request)
    }

    fn finish(row: Arc<Row<A>>) -> Result<Array1<A>> {
        row.take().map(Array1::from_vec)
    }
}

impl<A: Element> Computable for Array<A, Ix2> {
    type Output = Array2<A>;
    type Pending = (Arc<Row<A>>, usize);

    fn request(&self, request: &mut Request) -> (Arc<Row<A>>, usize) {
        (self.elements(request), self.blocks().map_or(1, |blocks| blocks.width as usize))
    }

    fn finish((row, width): (Arc<Row<A>>, usize)) -> Result<Array2<A>> {
        let all = row.take()?;
        let made = Array2::from_shape_vec((all.len() / width.max(1), width), all);
        made.map_err(|error| Error::internal(format!("rows of {width} elements: {error}")))
    }
}

impl<A: Element, D> Array<A, D> {
    /// Asks for all elements, in the order of rows.
    fn elements(&self, request: &mut Request) -> Arc<Row<A>> {
        let (count, width) = self.blocks().map_or((0, 1), |blocks| (blocks.count as usize, blocks.width.into()));
        let len = self.known_len().ok().flatten().unwrap_or(0).saturating_mul(width);
        request.expect(len.saturating_mul(size_of::<A>() as u64));
        let made = Made { all: Vec::new(), len: len as usize, next: 0, early: vec![None; count] };
        let row = Arc::new(Row { made: Mutex::new(made) });
        request.want_all(&self.node(), row.clone());
        row
    }
}

impl<A: Element> Row<A> {
    fn take(&self) -> Result<Vec<A>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.next != made.early.len() {
            return Err(Error::internal("a block was not delivered"));
        }
        Ok(std::mem::take(&mut made.all))
    }
}

impl<A, D> Persist for Array<A, D> {
    type Kept = Array<A, D>;

    fn ask(&self, request: &mut Request, sink: &Arc<dyn Sink>) {
        request.want_all(&self.node(), sink.clone());
    }

    fn keep(&self, kept: &Arc<Kept>, next: &mut u32) -> Array<A, D> {
        let node = self.blocks().ok().and_then(|blocks| Some((blocks, kept.row(next, blocks.count)?)));
        node.map_or_else(|| self.clone(), |(blocks, node)| Array::of(Ok(Blocks { node, ..blocks.clone() })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_in_any_order() {
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
            let mut made = Made { all: Vec::new(), len: 7, next: 0, early: vec![None; 4] };
            for at in order {
                let block: Vec<u64> = (2 * at as u64..(2 * at as u64 + 2).min(7)).collect();
                made.put(at, Block::from(block));
            }
            assert_eq!((made.all, made.next), ((0..7).collect(), 4), "{order:?}");
        }
    }
}
