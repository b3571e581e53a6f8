//! What is done with the batches of one partition.

use arrow::array::{Array, RecordBatch, RecordBatchOptions};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use crate::error::{Error, ErrorKind, Result};
use crate::expr::Expr;

/// The rows for which a condition is true, with some of the columns.
pub(super) fn filter(batches: &[RecordBatch], condition: &Expr, columns: &[String]) -> Result<Vec<RecordBatch>> {
    let kept = batches.iter().map(|batch| {
        let mask = condition.evaluate_mask(batch)?;
        let places: Result<Vec<usize>, ArrowError> =
            columns.iter().map(|name| batch.schema_ref().index_of(name)).collect();
        let batch = places.and_then(|places| batch.project(&places)).map_err(failed)?;
        filter_record_batch(&batch, &mask).map_err(failed)
    });
    kept.collect()
}

/// Columns computed of the columns that are there.
pub(super) fn select(batches: &[RecordBatch], exprs: &[Expr], schema: &SchemaRef) -> Result<Vec<RecordBatch>> {
    let computed = batches.iter().map(|batch| {
        let columns = exprs.iter().map(|expr| expr.evaluate(batch)).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(failed)
    });
    computed.collect()
}

/// The bytes of the values of a batch, without what is allocated beyond them.
pub(super) fn decoded_bytes(batch: &RecordBatch) -> u64 {
    let sizes = batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(0));
    sizes.sum::<usize>() as u64
}

fn failed(error: ArrowError) -> Error {
    Error::with_source(ErrorKind::Data, "", error)
}
