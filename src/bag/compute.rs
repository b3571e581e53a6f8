//! From a lazy bag to its items.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Bag, Items};
use crate::error::{Error, Result};
use crate::graph::Chunk;
use crate::plan::{Request, Sink};
use crate::runtime::{Computable, Kept, Persist};

/// Where the partitions wait for the end of the run.
pub struct Partitions<T> {
    parts: Mutex<Vec<Option<Vec<T>>>>,
}

impl<T: Any + Send + Sync + Clone> Sink for Partitions<T> {
    fn put(&self, values: &mut dyn Iterator<Item = (u32, Chunk)>) -> Result<()> {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, chunk) in values {
            let part = chunk.take_or_clone()?;
            if let Some(place) = parts.get_mut(at as usize) {
                *place = Some(part);
            }
        }
        Ok(())
    }
}

impl<T: Any + Send + Sync + Clone> Computable for Bag<T> {
    type Output = Vec<T>;
    type Pending = Arc<Partitions<T>>;

    fn request(&self, request: &mut Request) -> Arc<Partitions<T>> {
        let count = self.items().map_or(0, |items| items.partitions as usize);
        let pending = Arc::new(Partitions { parts: Mutex::new(vec![None; count]) });
        request.want_all(&self.node(), pending.clone());
        pending
    }

    fn finish(pending: Arc<Partitions<T>>) -> Result<Vec<T>> {
        let parts = std::mem::take(&mut *pending.parts.lock().unwrap_or_else(PoisonError::into_inner));
        let parts: Option<Vec<Vec<T>>> = parts.into_iter().collect();
        let mut parts = parts.ok_or_else(|| Error::internal("a partition was not delivered"))?.into_iter();
        let mut all = parts.next().unwrap_or_default();
        parts.for_each(|part| all.extend(part));
        Ok(all)
    }
}

impl<T> Persist for Bag<T> {
    type Kept = Bag<T>;

    fn ask(&self, request: &mut Request, sink: &Arc<dyn Sink>) {
        request.want_all(&self.node(), sink.clone());
    }

    fn keep(&self, kept: &Arc<Kept>, next: &mut u32) -> Bag<T> {
        let node = self.items().ok().and_then(|items| Some((items, kept.row(next, items.partitions)?)));
        node.map_or_else(|| self.clone(), |(items, node)| Bag::of(Ok(Items { node, ..items.clone() })))
    }
}
