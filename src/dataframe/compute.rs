//! From a lazy table to its batches.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};

use super::kernels::conform;
use super::{DataFrame, Frame, Table};
use crate::error::Result;
use crate::graph::Chunk;
use crate::origin::Origin;
use crate::plan::{NodeRef, Poisoned, Request, Sink};
use crate::runtime::{Computable, Kept, Persist, Stream};

/// Where the morsels wait for the end of the run.
pub struct Partitions {
    schema: SchemaRef,
    batches: Mutex<BTreeMap<u32, Vec<RecordBatch>>>,
}

impl Partitions {
    pub(super) fn new(schema: SchemaRef) -> Partitions {
        Partitions { schema, batches: Mutex::default() }
    }

    /// What came, in the order of the plan.
    pub(super) fn table(&self) -> Result<Table> {
        let all = std::mem::take(&mut *self.batches.lock().unwrap_or_else(PoisonError::into_inner));
        let batches = all.into_values().flatten().map(|batch| conform(batch, &self.schema));
        Ok(Table::new(self.schema.clone(), batches.collect::<Result<Vec<RecordBatch>>>()?))
    }
}

impl Sink for Partitions {
    fn put(&self, values: &mut dyn Iterator<Item = (u32, Chunk)>) -> Result<()> {
        let mut all = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, chunk) in values {
            all.insert(at, chunk.take_or_clone()?);
        }
        Ok(())
    }
}

impl Computable for DataFrame {
    type Output = Table;
    type Pending = Arc<Partitions>;

    fn request(&self, request: &mut Request) -> Arc<Partitions> {
        let schema = self.frame().map_or_else(|_| Arc::new(Schema::empty()), |frame| frame.schema.clone());
        let pending = Arc::new(Partitions::new(schema));
        request.want_all(&self.node(), pending.clone());
        pending
    }

    fn finish(pending: Arc<Partitions>) -> Result<Table> {
        pending.table()
    }
}

impl DataFrame {
    /// With each partition in one piece.
    fn gathered(&self) -> NodeRef {
        let whole = self.frame().and_then(|frame| frame.gathered("persist", Origin::UNKNOWN));
        whole.map_or_else(Poisoned::node, |frame| frame.node)
    }

    /// The table batch by batch, in its order: computed as they are pulled, inside the memory limit, so that it may be larger
    /// than memory. Dropping the iterator cancels the run.
    ///
    /// # Errors
    /// Where the plan is wrong; each item may be the error of the run, after which there are no more.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let df = dataframe::from_columns([("x", (0..1000i64).collect::<Vec<_>>())]).filter(col("x").ge(10));
    /// let mut rows = 0;
    /// for batch in df.batches()? {
    ///     rows += batch?.num_rows();
    /// }
    /// assert_eq!(rows, 990);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn batches(&self) -> Result<Batches> {
        let origin = Origin::caller();
        let schema = self.frame()?.schema.clone();
        let pieces = Stream::start_all(&self.node(), "batches", origin)?;
        Ok(Batches { pieces, schema, waiting: Vec::new().into_iter() })
    }
}

/// The batches of a table, computed as they are pulled; see [`DataFrame::batches`].
pub struct Batches {
    pieces: Stream,
    schema: SchemaRef,
    waiting: std::vec::IntoIter<RecordBatch>,
}

impl Batches {
    /// Of all batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Result<RecordBatch>> {
        loop {
            if let Some(batch) = self.waiting.next() {
                return Some(conform(batch, &self.schema));
            }
            match self.pieces.next()?.and_then(Chunk::take_or_clone::<Vec<RecordBatch>>) {
                Ok(batches) => self.waiting = batches.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Persist for DataFrame {
    type Kept = DataFrame;

    fn ask(&self, request: &mut Request, sink: &Arc<dyn Sink>) {
        request.want_all(&self.gathered(), sink.clone());
    }

    fn keep(&self, kept: &Arc<Kept>, next: &mut u32) -> DataFrame {
        let Ok(frame) = self.frame() else { return self.clone() };
        let Some(node) = kept.row(next, frame.partitions) else { return self.clone() };
        let Frame { schema, partitions, bytes, ordered, .. } = frame.clone();
        let outside = Frame::outside(node, schema, partitions, bytes, kept.origin());
        DataFrame { state: Ok(Frame { ordered, ..outside }) }
    }
}
