//! Nulls filled from the rows before or behind them.

use arrow::array::{Array, ArrayRef, UInt32Array, new_null_array};
use arrow::compute::{concat, take};

use super::failed;
use crate::error::Result;
use crate::store::{largest_row, row_bytes};

/// What comes from the rows that were gone through: the last value, and how many nulls stand after it.
#[derive(Clone, Debug, Default)]
pub struct Carry {
    /// One row.
    pub value: Option<ArrayRef>,
    pub nulls: u64,
}

impl Carry {
    /// Goes through an array without filling it.
    pub fn pass(&mut self, array: &ArrayRef, backward: bool) -> Result<()> {
        let Some(nulls) = array.logical_nulls() else {
            return self.end(array, if backward { 0 } else { array.len().saturating_sub(1) }, 0);
        };
        let found = if backward {
            nulls.inner().set_indices().next()
        } else {
            (0..nulls.len()).rev().find(|row| nulls.is_valid(*row))
        };
        match found {
            Some(row) => self.end(array, row, if backward { row } else { array.len() - 1 - row }),
            None => {
                self.nulls += array.len() as u64;
                Ok(())
            }
        }
    }

    fn end(&mut self, array: &ArrayRef, row: usize, nulls: usize) -> Result<()> {
        if !array.is_empty() {
            // A copy: a slice would hold all of the array.
            self.value = Some(take(array, &UInt32Array::from(vec![row as u32]), None).map_err(failed)?);
            self.nulls = nulls as u64;
        }
        Ok(())
    }

    /// Whether a filled array may take more than so many bytes.
    pub fn may_exceed(&self, array: &ArrayRef, bytes: u64) -> bool {
        self.largest(array).saturating_mul(array.len() as u64) > bytes
    }

    fn largest(&self, array: &ArrayRef) -> u64 {
        largest_row(array).max(self.value.as_ref().map_or(0, |value| largest_row(value)))
    }

    /// Adds to the bytes of each row what it takes when it is filled.
    pub fn add_bytes(&self, array: &ArrayRef, limit: Option<u64>, backward: bool, bytes: &mut [u64]) {
        let nulls = array.logical_nulls();
        let (mut last, mut since) = (self.value.as_ref().map_or(0, |value| row_bytes(value, 0)), self.nulls);
        let mut visit = |row: usize| {
            if nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
                (last, since) = (row_bytes(array, row), 0);
            } else {
                since += 1;
            }
            bytes[row] += if limit.is_none_or(|limit| since <= limit) { last } else { 0 };
        };
        if backward { (0..array.len()).rev().for_each(&mut visit) } else { (0..array.len()).for_each(&mut visit) }
    }

    /// Goes through an array: nulls take the value, no more than `limit` in a row.
    pub fn fill(&mut self, array: &ArrayRef, limit: Option<u64>, backward: bool) -> Result<ArrayRef> {
        let Some(nulls) = array.logical_nulls().filter(|nulls| nulls.null_count() > 0) else {
            self.pass(array, backward)?;
            return Ok(array.clone());
        };
        let nothing = || new_null_array(array.data_type(), 1);
        let before = self.value.clone().unwrap_or_else(nothing);
        // Row 0 is what came before.
        let rows = concat(&[&*before, &**array]).map_err(failed)?;
        let mut from = vec![0u32; array.len()];
        let (mut last, mut since) = (0u32, self.nulls);
        let mut visit = |row: usize| {
            if nulls.is_valid(row) {
                (last, since) = (row as u32 + 1, 0);
                from[row] = last;
            } else {
                since += 1;
                // The row itself is null.
                from[row] = if limit.is_none_or(|limit| since <= limit) { last } else { row as u32 + 1 };
            }
        };
        if backward {
            (0..array.len()).rev().for_each(&mut visit)
        } else {
            (0..array.len()).for_each(&mut visit)
        }
        self.pass(array, backward)?;
        take(&rows, &UInt32Array::from(from), None).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::Int64Type;
    use proptest::prelude::*;

    use super::*;

    /// By looking back from each null.
    fn naive(values: &[Option<i64>], limit: Option<u64>, backward: bool) -> Vec<Option<i64>> {
        let at = |row: usize, back: usize| if backward { row.checked_add(back) } else { row.checked_sub(back) };
        let filled = |row: usize| {
            (0..=limit.map_or(usize::MAX - 1, |limit| limit as usize))
                .map_while(|back| at(row, back).and_then(|row| values.get(row)))
                .find_map(|value| *value)
        };
        (0..values.len()).map(filled).collect()
    }

    proptest! {
        #[test]
        fn wherever_arrays_are_cut(
            values in prop::collection::vec(prop::option::weighted(0.3, 0i64..9), 0..40),
            cut in 1usize..9, limit in prop::option::of(0u64..4), backward in any::<bool>(),
        ) {
            let parts = values.chunks(cut).map(|part| Arc::new(Int64Array::from(part.to_vec())) as ArrayRef);
            let mut parts: Vec<ArrayRef> = parts.collect();
            if backward {
                parts.reverse();
            }
            let mut carry = Carry::default();
            let filled = parts.iter().map(|part| carry.fill(part, limit, backward).unwrap());
            let mut filled: Vec<ArrayRef> = filled.collect();
            if backward {
                filled.reverse();
            }
            let found: Vec<Option<i64>> =
                filled.iter().flat_map(|part| part.as_primitive::<Int64Type>().iter().collect::<Vec<_>>()).collect();
            prop_assert_eq!(found, naive(&values, limit, backward));
        }
    }
}
