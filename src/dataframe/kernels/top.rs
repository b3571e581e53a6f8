//! The first rows of an order, without sorting the rest.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{SortColumn, SortOptions, lexsort_to_indices, take_record_batch};

use super::parts::Enlarging;
use super::{Batches, concat_rows, failed};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::{Program, one_zero};
use crate::store::{Budget, Reservation};

/// Rows that are gathered before the first ones are picked out.
const GATHERED: usize = 64 << 10;

/// So many bytes are put together without being counted.
const UNCOUNTED: u64 = 4 << 20;

/// Keeps the first `len` rows of an order; of equal ones those that came first.
pub struct Top<'a> {
    /// Gives the columns to sort by.
    by: &'a Program,
    descending: &'a [bool],
    len: usize,
    kept: Batches,
    rows: usize,
    /// For the copy that rows are picked out of.
    held: Reservation,
    /// Where much more is made of a row to go by than it has.
    enlarging: Option<&'a Enlarging>,
    budget: Budget,
}

impl<'a> Top<'a> {
    pub fn new(by: &'a Program, descending: &'a [bool], len: usize, budget: &Budget) -> Top<'a> {
        let held = budget.force_reserve("first rows", 0);
        Top { by, descending, len, kept: Vec::new(), rows: 0, held, enlarging: None, budget: budget.clone() }
    }

    /// Goes by expressions that make much more of a row than it has, if they do.
    pub fn enlarging(self, enlarging: Option<&'a Enlarging>) -> Top<'a> {
        Top { enlarging, ..self }
    }

    pub fn add(&mut self, batch: RecordBatch) -> Result<()> {
        let Some(enlarging) = self.enlarging else { return self.add_part(batch) };
        let mut parts = enlarging.parts(batch)?;
        while let Some(part) = parts.next(enlarging, &self.budget)? {
            self.add_part(part)?;
            // So that few rows are gone by at a time.
            self.pick(false)?;
        }
        Ok(())
    }

    fn add_part(&mut self, batch: RecordBatch) -> Result<()> {
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
        let bytes = self.kept.iter().map(|batch| batch.get_array_memory_size() as u64).sum::<u64>();
        self.held.try_grow(bytes.saturating_sub(UNCOUNTED)).map_err(|refused| {
            let which = match self.len {
                usize::MAX => "rows are put in order in memory; raise memory_limit".to_string(),
                len => format!(
                    "the first {len} rows of an order are put together in memory; ask for fewer, or raise memory_limit"
                ),
            };
            let text = format!("{}: {which}", refused.message());
            Error::new(ErrorKind::OutOfMemory, text)
        })?;
        let all = concat_rows(&first.schema(), &self.kept)?;
        let picked = if all.num_rows() > self.len || sorted { self.first(&all, sorted)? } else { all };
        self.rows = picked.num_rows();
        self.kept = vec![picked];
        self.held.shrink(self.held.bytes());
        Ok(())
    }

    fn first(&self, batch: &RecordBatch, sorted: bool) -> Result<RecordBatch> {
        let columns: Vec<ArrayRef> = self.by.evaluate(batch)?;
        let columns = columns.iter().zip(self.descending).map(|(values, descending)| {
            // Arrow sorts floats by their bits.
            let values = one_zero(values).map_err(failed)?;
            Ok(SortColumn { values, options: Some(SortOptions { descending: *descending, nulls_first: false }) })
        });
        let mut columns = columns.collect::<Result<Vec<SortColumn>>>()?;
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{AsArray, Float64Array, Int64Array, StructArray};
    use arrow::datatypes::{DataType, Field, Int64Type};

    use super::*;
    use crate::expr::col;

    #[test]
    fn what_is_put_together_is_counted_and_may_be_refused() {
        let batch = |from: i64| {
            let values: ArrayRef = Arc::new(Int64Array::from_iter_values(from..from + 400_000));
            RecordBatch::try_from_iter([("by", values)]).unwrap()
        };
        let program = Program::new(&[col("by")], &batch(0).schema()).unwrap();
        for (limit, fits) in [(64 << 20, true), (8 << 20, false)] {
            let budget = Budget::new(limit);
            let mut top = Top::new(&program, &[true], 1_000_000, &budget);
            (0..5).for_each(|at| top.add(batch(at * 400_000)).unwrap());
            match top.finish(true) {
                Ok(found) => assert!(fits && found[0].num_rows() == 1_000_000 && budget.peak() > 8 << 20),
                Err(error) => {
                    assert!(!fits && error.kind() == ErrorKind::OutOfMemory, "{error}");
                    assert!(error.message().contains("the first 1000000 rows of an order"), "{error}");
                }
            }
            assert_eq!(budget.held(), 0);
        }
    }

    #[test]
    fn equal_floats_stay_in_their_order_wherever_they_are() {
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, 0.0, -0.0, -f64::NAN, f64::NAN, -1.0]));
        let inside = Arc::new(Field::new("x", DataType::Float64, true));
        let nested: ArrayRef = Arc::new(StructArray::from(vec![(inside, floats.clone())]));
        let places: ArrayRef = Arc::new(Int64Array::from_iter_values(0..6));
        for by in [floats, nested] {
            let batch = RecordBatch::try_from_iter([("by", by), ("place", places.clone())]).unwrap();
            let program = Program::new(&[col("by")], &batch.schema()).unwrap();
            let budget = Budget::new(1 << 20);
            for (descending, wanted) in [(false, [5, 1, 2, 0, 3]), (true, [0, 3, 4, 1, 2])] {
                let order = [descending];
                let mut top = Top::new(&program, &order, 5, &budget);
                top.add(batch.clone()).unwrap();
                let found = top.finish(true).unwrap();
                assert_eq!(found[0].column(1).as_primitive::<Int64Type>().values()[..], wanted);
            }
        }
    }
}
