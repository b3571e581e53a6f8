//! From a lazy array to numbers.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::Array1;

use super::{Array, Ix0, Ix1};
use crate::error::{Error, Result};
use crate::graph::Chunk;
use crate::plan::{OneValue, Request, Sink};
use crate::runtime::Computable;
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

/// Where the blocks wait for the end of the run.
pub struct Row<A: Element> {
    blocks: Mutex<Vec<Option<Block<A>>>>,
}

impl<A: Element> Sink for Row<A> {
    fn put(&self, values: &mut dyn Iterator<Item = (u32, Chunk)>) -> Result<()> {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, chunk) in values {
            let block = chunk.take_or_clone()?;
            if let Some(place) = blocks.get_mut(at as usize) {
                *place = Some(block);
            }
        }
        Ok(())
    }
}

impl<A: Element> Computable for Array<A, Ix1> {
    type Output = Array1<A>;
    type Pending = Arc<Row<A>>;

    fn request(&self, request: &mut Request) -> Arc<Row<A>> {
        let count = self.blocks().map_or(0, |blocks| blocks.count as usize);
        let row = Arc::new(Row { blocks: Mutex::new(vec![None; count]) });
        request.want_all(&self.node(), row.clone());
        row
    }

    fn finish(row: Arc<Row<A>>) -> Result<Array1<A>> {
        let blocks = std::mem::take(&mut *row.blocks.lock().unwrap_or_else(PoisonError::into_inner));
        let blocks: Option<Vec<Block<A>>> = blocks.into_iter().collect();
        let blocks = blocks.ok_or_else(|| Error::internal("a block was not delivered"))?;
        let mut all = Vec::with_capacity(blocks.iter().map(|block| block.len()).sum());
        for block in blocks {
            all.extend_from_slice(&block);
        }
        Ok(Array1::from_vec(all))
    }
}
