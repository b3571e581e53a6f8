//! The first rows of an order, without sorting the rest.

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::compute::{SortColumn, SortOptions, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, Float32Type, Float64Type};

use super::{Batches, concat_rows, failed};
use crate::error::Result;
use crate::expr::Program;

/// Rows that are gathered before the first ones are picked out.
const GATHERED: usize = 64 << 10;

/// Keeps the first `len` rows of an order; of equal ones those that came first.
pub struct Top<'a> {
    /// Gives the columns to sort by.
    by: &'a Program,
    descending: &'a [bool],
    len: usize,
    kept: Batches,
    rows: usize,
}

impl<'a> Top<'a> {
    pub fn new(by: &'a Program, descending: &'a [bool], len: usize) -> Top<'a> {
        Top { by, descending, len, kept: Vec::new(), rows: 0 }
    }

    pub fn add(&mut self, batch: RecordBatch) -> Result<()> {
        // Of one batch no more than `len` rows can be among the first.
        let batch = if batch.num_rows() > self.len { self.first(&batch, false)? } else { batch };
        self.rows += batch.num_rows();
        self.kept.push(batch);
        if self.rows > self.len.saturating_mul(2).saturating_add(GATHERED) {
            self.pick(false)?;
        }
        Ok(())
    }

    /// The first rows: in their order, or in that in which they came.
    pub fn finish(mut self, sorted: bool) -> Result<Batches> {
        self.pick(sorted)?;
        Ok(self.kept)
    }

    fn pick(&mut self, sorted: bool) -> Result<()> {
        let Some(first) = self.kept.first() else { return Ok(()) };
        let all = concat_rows(&first.schema(), &self.kept)?;
        let picked = if all.num_rows() > self.len || sorted { self.first(&all, sorted)? } else { all };
        self.rows = picked.num_rows();
        self.kept = vec![picked];
        Ok(())
    }

    fn first(&self, batch: &RecordBatch, sorted: bool) -> Result<RecordBatch> {
        let columns: Vec<ArrayRef> = self.by.evaluate(batch)?;
        let mut columns: Vec<SortColumn> = columns
            .into_iter()
            .zip(self.descending)
            .map(|(values, descending)| SortColumn {
                values: comparable(values),
                options: Some(SortOptions { descending: *descending, nulls_first: false }),
            })
            .collect();
        // Of equal rows the first ones: the place is the last thing to sort by.
        let places = arrow::array::UInt32Array::from_iter_values(0..batch.num_rows() as u32);
        columns.push(SortColumn { values: std::sync::Arc::new(places), options: None });
        let picked = lexsort_to_indices(&columns, Some(self.len)).map_err(failed)?;
        let picked = if sorted {
            picked
        } else {
            let mut places = picked.values().to_vec();
            places.sort_unstable();
            places.into()
        };
        take_record_batch(batch, &picked).map_err(failed)
    }
}

/// The values with one zero and one NaN, the greatest of all: Arrow sorts floats by their bits.
fn comparable(values: ArrayRef) -> ArrayRef {
    macro_rules! floats {
        ($array:ty, $native:ident) => {{
            let one = |value: $native| if value.is_nan() { $native::NAN } else { value + 0.0 };
            std::sync::Arc::new(values.as_primitive::<$array>().unary::<_, $array>(one))
        }};
    }
    match values.data_type() {
        DataType::Float32 => floats!(Float32Type, f32),
        DataType::Float64 => floats!(Float64Type, f64),
        _ => values,
    }
}
