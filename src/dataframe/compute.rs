//! From a lazy table to its batches.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};

use super::{DataFrame, Frame, Table};
use crate::error::{Error, Result};
use crate::graph::Chunk;
use crate::plan::{Request, Sink};
use crate::runtime::{Computable, Kept, Persist};

/// Where the partitions wait for the end of the run.
pub struct Partitions {
    schema: SchemaRef,
    batches: Mutex<Vec<Option<Vec<RecordBatch>>>>,
}

impl Sink for Partitions {
    fn put(&self, values: &mut dyn Iterator<Item = (u32, Chunk)>) -> Result<()> {
        let mut all = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, chunk) in values {
            let batches = chunk.take_or_clone()?;
            if let Some(place) = all.get_mut(at as usize) {
                *place = Some(batches);
            }
        }
        Ok(())
    }
}

impl Computable for DataFrame {
    type Output = Table;
    type Pending = Arc<Partitions>;

    fn request(&self, request: &mut Request) -> Arc<Partitions> {
        let (schema, count) = match self.frame() {
            Ok(frame) => (frame.schema.clone(), frame.partitions as usize),
            Err(_) => (Arc::new(Schema::empty()), 0),
        };
        let pending = Arc::new(Partitions { schema, batches: Mutex::new(vec![None; count]) });
        request.want_all(&self.node(), pending.clone());
        pending
    }

    fn finish(pending: Arc<Partitions>) -> Result<Table> {
        let all = std::mem::take(&mut *pending.batches.lock().unwrap_or_else(PoisonError::into_inner));
        let all: Option<Vec<Vec<RecordBatch>>> = all.into_iter().collect();
        let all = all.ok_or_else(|| Error::internal("a partition was not delivered"))?;
        Ok(Table::new(pending.schema.clone(), all.concat()))
    }
}

impl Persist for DataFrame {
    type Kept = DataFrame;

    fn ask(&self, request: &mut Request, sink: &Arc<dyn Sink>) {
        request.want_all(&self.node(), sink.clone());
    }

    fn keep(&self, kept: &Arc<Kept>, next: &mut u32) -> DataFrame {
        let node = self.frame().ok().and_then(|frame| Some((frame, kept.row(next, frame.partitions)?)));
        node.map_or_else(|| self.clone(), |(frame, node)| DataFrame { state: Ok(Frame { node, ..frame.clone() }) })
    }
}
