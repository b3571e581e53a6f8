//! Batches in parts, where much more is made of a row than it has.

use arrow::array::{Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema};

use crate::error::{Error, ErrorKind, Result};
use crate::expr::{Expr, Growth};
use crate::store::{Budget, Reservation, shown_bytes};

/// What is made of a part takes at most so much, or the part is one row.
const MOST: u64 = 2 << 20;

/// Expressions that make much more of a row than it has.
pub struct Enlarging {
    growth: Growth,
    /// The columns they read.
    columns: Vec<usize>,
    /// How errors call them.
    shown: String,
}

impl Enlarging {
    /// `None` for expressions of which batches of the usual number of rows can be made.
    pub fn of(exprs: &[Expr], schema: &Schema) -> Option<Enlarging> {
        let growth = Growth::of(exprs);
        if !growth.is_large() {
            return None;
        }
        let large: Vec<&Expr> =
            exprs.iter().filter(|expr| Growth::of(std::slice::from_ref(*expr)).is_large()).collect();
        let names: std::collections::BTreeSet<_> = large.iter().flat_map(|expr| expr.columns()).collect();
        let columns = schema.fields().iter().enumerate();
        let columns = columns.filter(|(_, field)| names.contains(field.name().as_str())).map(|(at, _)| at).collect();
        let shown = large.first().map_or_else(String::new, |expr| expr.brief());
        Some(Enlarging { growth, columns, shown })
    }

    /// The rows of a batch in parts.
    pub fn parts(&self, batch: RecordBatch) -> Result<Parts> {
        // A dictionary does not tell how long the texts of some rows are.
        let is_dictionary = |at: &usize| matches!(batch.column(*at).data_type(), DataType::Dictionary(..));
        if !self.columns.iter().any(is_dictionary) {
            return Ok(Parts { batch, start: 0, next: 0, held: None });
        }
        let mut columns = batch.columns().to_vec();
        let mut fields = batch.schema_ref().fields().to_vec();
        for at in self.columns.iter().copied() {
            if let DataType::Dictionary(_, values) = columns[at].data_type() {
                let values = (**values).clone();
                let plain = cast(&columns[at], &values);
                columns[at] = plain.map_err(|error| Error::with_source(ErrorKind::Data, fields[at].name(), error))?;
                fields[at] = fields[at].as_ref().clone().with_data_type(values).into();
            }
        }
        let schema = Schema::new_with_metadata(fields, batch.schema_ref().metadata().clone());
        let batch = RecordBatch::try_new(schema.into(), columns);
        let batch = batch.map_err(|error| Error::with_source(ErrorKind::Internal, "a batch", error))?;
        Ok(Parts { batch, start: 0, next: 0, held: None })
    }
}

/// What is left of a batch.
pub struct Parts {
    batch: RecordBatch,
    /// Of the last part.
    start: usize,
    next: usize,
    /// For what is made of the last part.
    held: Option<Reservation>,
}

impl Parts {
    /// The next rows.
    ///
    /// # Errors
    /// Of kind `OutOfMemory`, where what is made of one row may be more than the budget has left.
    pub fn next(&mut self, of: &Enlarging, budget: &Budget) -> Result<Option<RecordBatch>> {
        self.held = None;
        let mut rows = self.batch.num_rows() - self.next;
        if rows == 0 {
            return Ok(None);
        }
        let made = |rows: usize| {
            let read = of.columns.iter().map(|at| shown_bytes(&self.batch.column(*at).slice(self.next, rows))).sum();
            of.growth.bytes(read, rows as u64)
        };
        let mut bytes = made(rows);
        while rows > 1 && bytes > MOST {
            rows = rows.div_ceil(2);
            bytes = made(rows);
        }
        if bytes > MOST {
            self.held = Some(budget.reserve("enlarged text", bytes).map_err(|refused| {
                let text = format!("{}: so much may be made of one row by `{}`", refused.message(), of.shown);
                Error::new(ErrorKind::OutOfMemory, text)
            })?);
        }
        let part = self.batch.slice(self.next, rows);
        (self.start, self.next) = (self.next, self.next + rows);
        Ok(Some(part))
    }

    /// What a row of the last part is called: by its place in the batch.
    pub fn placed(&self, error: Error) -> Error {
        error.behind(self.start as u64)
    }

    /// Rows of the batch.
    pub fn rows(&self) -> usize {
        self.batch.num_rows()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, DictionaryArray, StringArray};
    use arrow::compute::concat_batches;
    use arrow::datatypes::Int8Type;

    use super::*;
    use crate::prelude::col;

    fn batch(long: usize) -> RecordBatch {
        let texts: Vec<String> =
            (0..1000).map(|at| if at == 500 { "x".repeat(long) } else { format!("text {}", at % 7) }).collect();
        let n: ArrayRef = Arc::new(arrow::array::Int64Array::from_iter_values(0..1000));
        let s: ArrayRef = Arc::new(StringArray::from_iter_values(&texts));
        let d: DictionaryArray<Int8Type> = texts.iter().map(String::as_str).collect();
        RecordBatch::try_from_iter([("n", n), ("s", s), ("d", Arc::new(d))]).unwrap()
    }

    #[test]
    fn parts_are_small_and_together_the_whole() {
        let whole = batch(10);
        let schema = whole.schema();
        assert!(Enlarging::of(&[col("s").str().repeat(3), col("n") + 1], &schema).is_none());
        for column in ["s", "d"] {
            let expr = col(column).str().repeat(10_000);
            let enlarging = Enlarging::of(&[expr.clone(), col("n")], &schema).unwrap();
            let budget = Budget::new(1 << 20);
            let mut parts = enlarging.parts(whole.clone()).unwrap();
            let (mut all, mut count) = (Vec::new(), 0);
            while let Some(part) = parts.next(&enlarging, &budget).unwrap() {
                let made = expr.evaluate(&part).unwrap();
                assert!(made.get_array_memory_size() <= (MOST + (64 << 10)) as usize);
                let lengths: Vec<usize> = made.as_string::<i32>().iter().map(|text| text.unwrap().len()).collect();
                let texts = part.column_by_name("s").unwrap();
                let texts = texts.as_string::<i32>().iter().map(|text| text.unwrap().len() * 10_000);
                assert_eq!(lengths, texts.collect::<Vec<_>>());
                all.push(part.project(&[0, 1]).unwrap());
                count += 1;
            }
            assert!((30..200).contains(&count), "{count}");
            let first = whole.project(&[0, 1]).unwrap();
            assert_eq!(concat_batches(first.schema_ref(), &all).unwrap(), first);
            assert_eq!(budget.held(), 0);
        }
    }

    #[test]
    fn one_row_too_large_for_the_budget_is_an_error_that_names_the_expression() {
        let whole = batch(1000);
        let enlarging = Enlarging::of(&[col("s").str().repeat(10_000)], &whole.schema()).unwrap();
        let budget = Budget::new(8 << 20);
        let mut parts = enlarging.parts(whole).unwrap();
        let error = loop {
            match parts.next(&enlarging, &budget) {
                Ok(part) => assert!(part.is_some()),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::OutOfMemory);
        assert!(error.to_string().contains("made of one row by `repeat(s, 10000)`"), "{error}");
    }
}
