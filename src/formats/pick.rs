//! What is left of a batch once rows and columns that are not wanted are gone, for sources that cannot leave them out themselves.

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};

use super::narrow::{Conditions, projected};
use super::scan::ScanRequest;
use crate::error::{Error, Result};
use crate::expr::Expr;

/// The columns and rows of a request.
#[derive(Clone, Debug)]
pub(super) struct Pick {
    /// The columns that have to be read, by their places in the schema, ascending.
    read: Vec<usize>,
    read_schema: SchemaRef,
    /// The columns that come out, by their places in the schema.
    columns: Vec<usize>,
    conditions: Option<Conditions>,
}

impl Pick {
    /// What a request means for tables of a schema.
    pub(super) fn new(request: &ScanRequest, schema: &Schema) -> Result<Pick> {
        Pick::of(&request.columns, &request.predicates, schema)
    }

    /// What columns and predicates mean for tables of a schema.
    pub(super) fn of(columns: &[usize], predicates: &[Expr], schema: &Schema) -> Result<Pick> {
        let conditions = Conditions::new(predicates, schema)?;
        let columns = columns.to_vec();
        let mut read = columns.clone();
        read.extend(conditions.iter().flat_map(|conditions| conditions.columns()));
        read.sort_unstable();
        read.dedup();
        Ok(Pick { read_schema: projected(schema, &read), read, columns, conditions })
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
        self.conditions.is_some()
    }

    /// The wanted rows and columns of a batch of the columns that are read; nothing where no row is wanted.
    pub(super) fn pick(&self, batch: &RecordBatch) -> Result<Option<RecordBatch>> {
        let picked = match &self.conditions {
            Some(conditions) => conditions.narrow(batch, &self.read, &self.columns)?,
            None => {
                let places = self.columns.iter().filter_map(|column| self.read.binary_search(column).ok());
                let places: Vec<usize> = places.collect();
                Some(batch.project(&places).map_err(|error| Error::internal(error.to_string()))?)
            }
        };
        Ok(picked.filter(|batch| batch.num_rows() > 0))
    }
}
