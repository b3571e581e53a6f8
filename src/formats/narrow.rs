//! The conditions of a scan, and the rows of a batch for which they hold.

use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::filter;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};

use crate::error::{Error, ErrorKind, Result};
use crate::expr::{BinaryOp, Expr, Lookup, Program, unknown_column};

/// All conditions of a scan together, made ready for batches of the columns that they read.
#[derive(Clone, Debug)]
pub struct Conditions {
    program: Program,
    columns: Vec<usize>,
    schema: SchemaRef,
}

/// Which rows of a batch are kept.
#[derive(Clone, Debug)]
pub enum Kept {
    /// Every one.
    All,
    /// None.
    Nothing,
    /// Those that are true; some are and some are not, and none is null.
    Some(BooleanArray),
}

impl Conditions {
    /// Of predicates over a source's schema; nothing if there are none.
    ///
    /// # Errors
    /// Of kind `Plan`, where a predicate does not fit the schema.
    pub fn new(predicates: &[Expr], schema: &Schema) -> Result<Option<Conditions>> {
        let and = |left: Expr, right: Expr| Expr::Binary(Arc::new(left), BinaryOp::And, Arc::new(right));
        let Some(all) = predicates.iter().cloned().reduce(and) else { return Ok(None) };
        let (mut columns, known) = (Vec::new(), Lookup::new(schema));
        for name in all.columns() {
            columns.push(known.place(&name).ok_or_else(|| unknown_column(&name, schema))?);
        }
        columns.sort_unstable();
        let schema = projected(schema, &columns);
        Ok(Some(Conditions { program: Program::new(&[all], &schema)?, columns, schema }))
    }

    /// The columns that they read, by their places in the source's schema, ascending.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// The schema of these columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Which rows of a batch of [`Conditions::columns`] are kept.
    ///
    /// # Errors
    /// What evaluating them says.
    pub fn kept(&self, batch: &RecordBatch) -> Result<Kept> {
        let mask = self.program.mask(batch)?;
        let count = mask.true_count();
        Ok(if count == mask.len() {
            Kept::All
        } else if count == 0 {
            Kept::Nothing
        } else {
            Kept::Some(mask)
        })
    }

    /// Of a batch of some columns of the source, `places` ascending and those of the conditions among them, the rows that are kept and
    /// the columns `out`. Nothing if no row is kept.
    ///
    /// # Errors
    /// As [`Conditions::kept`].
    pub fn narrow(&self, batch: &RecordBatch, places: &[usize], out: &[usize]) -> Result<Option<RecordBatch>> {
        let find = |wanted: &[usize]| -> Result<Vec<usize>> {
            let found = wanted.iter().map(|column| places.binary_search(column).ok());
            found.collect::<Option<_>>().ok_or_else(|| Error::internal("a condition on a column that is not read"))
        };
        let read = batch.project(&find(&self.columns)?).map_err(failed)?;
        let wanted = batch.project(&find(out)?).map_err(failed)?;
        match self.kept(&read)? {
            Kept::All => Ok(Some(wanted)),
            Kept::Nothing => Ok(None),
            Kept::Some(mask) => {
                let columns = wanted.columns().iter().map(|column| filter(column, &mask));
                let columns = columns.collect::<Result<Vec<_>, _>>().map_err(failed)?;
                let options = RecordBatchOptions::new().with_row_count(Some(mask.true_count()));
                RecordBatch::try_new_with_options(wanted.schema(), columns, &options).map(Some).map_err(failed)
            }
        }
    }
}

/// The schema of some columns.
pub fn projected(schema: &Schema, columns: &[usize]) -> SchemaRef {
    let fields = columns.iter().filter_map(|column| schema.fields().get(*column).cloned());
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Whether two schemas have the same columns: names and types.
pub fn same_columns(one: &Schema, other: &Schema) -> bool {
    let same =
        |(one, other): (&FieldRef, &FieldRef)| one.name() == other.name() && one.data_type() == other.data_type();
    one.fields().len() == other.fields().len() && one.fields().iter().zip(other.fields()).all(same)
}

fn failed(error: arrow::error::ArrowError) -> Error {
    Error::with_source(ErrorKind::Data, "filtering rows", error)
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;
    use crate::error::ErrorKind;
    use crate::expr::{col, lit};

    #[test]
    fn keeps_rows_and_drops_columns() {
        let a: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3), Some(4)]));
        let b: ArrayRef = Arc::new(StringArray::from(vec!["w", "x", "y", "z"]));
        let batch = RecordBatch::try_from_iter([("a", a.clone()), ("b", b), ("c", a)]).unwrap();
        let run = |predicates: &[Expr], out: &[usize]| {
            let conditions = Conditions::new(predicates, &batch.schema()).unwrap().unwrap();
            conditions.narrow(&batch, &[0, 1, 2], out).unwrap().map(|batch| (batch.num_rows(), batch.num_columns()))
        };
        assert_eq!(run(&[col("a").gt(2)], &[1]), Some((2, 1)));
        assert_eq!(run(&[col("a").gt(2), col("b").eq(lit("z"))], &[0, 2]), Some((1, 2)));
        assert_eq!(run(&[col("b").gt(lit(""))], &[]), Some((4, 0)));
        assert_eq!(run(&[col("a").gt(2)], &[]), Some((2, 0)));
        assert_eq!(run(&[col("a").gt(20)], &[0]), None);
        assert!(Conditions::new(&[], &batch.schema()).unwrap().is_none());
        let error = Conditions::new(&[col("d").gt(2)], &batch.schema()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Plan);
    }
}
