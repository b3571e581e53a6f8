//! What is left of a batch once rows and columns that are not wanted are gone, for sources that cannot leave them out themselves.

use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{and, filter_record_batch};
use arrow::datatypes::{Schema, SchemaRef};

use super::scan::ScanRequest;
use crate::error::{Error, Result};
use crate::expr::{Program, unknown_column};

/// The columns and rows of a request.
#[derive(Clone, Debug)]
pub(super) struct Pick {
    /// The columns that have to be read, by their places in the schema, ascending.
    read: Vec<usize>,
    /// The columns that come out, by their places among those that are read.
    output: Vec<usize>,
    /// One condition each.
    programs: Vec<Program>,
    read_schema: SchemaRef,
}

impl Pick {
    /// What a request means for tables of a schema.
    pub(super) fn new(request: &ScanRequest, schema: &Schema) -> Result<Pick> {
        let mut read = request.columns.clone();
        for predicate in &request.predicates {
            for name in predicate.columns() {
                let Some((place, _)) = schema.column_with_name(&name) else {
                    return Err(unknown_column(&name, schema));
                };
                read.push(place);
            }
        }
        read.sort_unstable();
        read.dedup();
        let read_schema = schema.project(&read).map_err(|error| Error::internal(error.to_string()))?;
        let output = request.columns.iter().filter_map(|column| read.binary_search(column).ok()).collect();
        let program = |predicate| Program::new(std::slice::from_ref(predicate), &read_schema);
        let programs = request.predicates.iter().map(program).collect::<Result<_>>()?;
        Ok(Pick { read, output, programs, read_schema: Arc::new(read_schema) })
    }

    /// The columns that have to be read.
    pub(super) fn read(&self) -> &[usize] {
        &self.read
    }

    /// The schema of what is read.
    pub(super) fn read_schema(&self) -> &SchemaRef {
        &self.read_schema
    }

    /// Whether rows are left out.
    pub(super) fn filters(&self) -> bool {
        !self.programs.is_empty()
    }

    /// The wanted rows and columns of a batch of the columns that are read; nothing where no row is wanted.
    pub(super) fn pick(&self, batch: &RecordBatch) -> Result<Option<RecordBatch>> {
        let mut mask: Option<BooleanArray> = None;
        for program in &self.programs {
            let more = program.mask(batch)?;
            let both = match mask {
                Some(before) => and(&before, &more).map_err(|error| Error::internal(error.to_string()))?,
                None => more,
            };
            if both.true_count() == 0 {
                return Ok(None);
            }
            mask = Some(both);
        }
        let output = batch.project(&self.output).map_err(|error| Error::internal(error.to_string()))?;
        let picked = match &mask {
            Some(mask) if mask.true_count() < mask.len() => {
                filter_record_batch(&output, mask).map_err(|error| Error::internal(error.to_string()))?
            }
            _ => output,
        };
        Ok((picked.num_rows() > 0).then_some(picked))
    }
}
