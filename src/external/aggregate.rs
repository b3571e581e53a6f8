//! The table of a group-by: one row of running values per key, made per part of the input, put together, read by key.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::error::{Error, ErrorKind, Result};

/// What is made of the values of a group that are not null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// Their number.
    Count,
    /// The exact sum of integers.
    IntSum,
    /// The sum of floats, in the order of the input within a part and then in the order of the parts.
    FloatSum,
    /// The mean of integers, of their exact sum.
    IntMean,
    /// The mean of floats, of their sum as for `FloatSum`.
    FloatMean,
}

/// Which keys a table has, and which values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aggregation {
    /// Types of the keys.
    pub keys: Vec<DataType>,
    /// One value each.
    pub functions: Vec<Function>,
}

/// Running values by key. Rows with a null among their keys are dropped.
pub struct Groups {
    /// From the hash of a key to its group.
    table: HashTable<u32>,
    /// The encoded keys one after another, and where each ends.
    keys: Vec<u8>,
    ends: Vec<usize>,
    /// Rows of each group.
    rows: Vec<u64>,
    columns: Vec<Column>,
}

/// The running values of one function.
enum Column {
    Count(Vec<u64>),
    Int { sums: Vec<i128>, counts: Vec<u64> },
    Float { sums: Vec<f64>, counts: Vec<u64> },
}

const NO_GROUP: u32 = u32::MAX;

impl Aggregation {
    /// A table without groups.
    pub fn groups(&self) -> Groups {
        let column = |function: &Function| match function {
            Function::Count => Column::Count(Vec::new()),
            Function::IntSum | Function::IntMean => Column::Int { sums: Vec::new(), counts: Vec::new() },
            Function::FloatSum | Function::FloatMean => Column::Float { sums: Vec::new(), counts: Vec::new() },
        };
        Groups {
            table: HashTable::new(),
            keys: Vec::new(),
            ends: Vec::new(),
            rows: Vec::new(),
            columns: self.functions.iter().map(column).collect(),
        }
    }

    fn converter(&self) -> Result<RowConverter> {
        RowConverter::new(self.keys.iter().cloned().map(SortField::new).collect()).map_err(failed)
    }

    /// Adds rows: their keys, and for each function its values.
    ///
    /// # Errors
    /// Of kind `Data`, where a value cannot be what its function needs.
    pub fn add(&self, groups: &mut Groups, keys: &[ArrayRef], values: &[ArrayRef]) -> Result<()> {
        let nulls = keys.iter().fold(None, |all, key| NullBuffer::union(all.as_ref(), key.logical_nulls().as_ref()));
        let rows = self.converter()?.convert_columns(keys).map_err(failed)?;
        let mut group_of = Vec::with_capacity(rows.num_rows());
        for (at, row) in rows.iter().enumerate() {
            let known = nulls.as_ref().is_none_or(|nulls| nulls.is_valid(at));
            group_of.push(if known { groups.group(row.data(), 1) } else { NO_GROUP });
        }
        for (column, values) in groups.columns.iter_mut().zip(values) {
            column.add(&group_of, values)?;
        }
        Ok(())
    }

    /// Puts tables together, in their order.
    pub fn merge(&self, parts: Vec<Groups>) -> Groups {
        let mut parts = parts.into_iter();
        let Some(mut all) = parts.next() else { return self.groups() };
        for part in parts {
            let group_of: Vec<u32> =
                (0..part.len()).map(|group| all.group(part.key(group), part.rows[group])).collect();
            for (column, other) in all.columns.iter_mut().zip(part.columns) {
                column.merge(&group_of, other);
            }
        }
        all
    }

    /// The keys in ascending order, and the value of each function.
    ///
    /// # Errors
    /// Of kind `Data`, where a sum of integers does not fit 64 bits.
    pub fn finish(&self, groups: &Groups) -> Result<Vec<ArrayRef>> {
        let mut order: Vec<usize> = (0..groups.len()).collect();
        order.sort_unstable_by_key(|group| groups.key(*group));
        let converter = self.converter()?;
        let parser = converter.parser();
        let rows = order.iter().map(|group| parser.parse(groups.key(*group)));
        let mut arrays = converter.convert_rows(rows).map_err(failed)?;
        for (function, column) in self.functions.iter().zip(&groups.columns) {
            arrays.push(column.finish(*function, &order)?);
        }
        Ok(arrays)
    }
}

impl Groups {
    /// Number of groups.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Rows of the input that are in a group.
    pub fn rows(&self) -> u64 {
        self.rows.iter().sum()
    }

    /// Memory it takes.
    pub fn bytes(&self) -> u64 {
        let columns: usize = self.columns.iter().map(Column::bytes).sum();
        let table = self.table.capacity() * 8;
        (size_of::<Groups>()
            + table
            + self.keys.capacity()
            + 8 * (self.ends.capacity() + self.rows.capacity())
            + columns) as u64
    }

    fn key(&self, group: usize) -> &[u8] {
        let start = if group == 0 { 0 } else { self.ends[group - 1] };
        &self.keys[start..self.ends[group]]
    }

    /// The group of a key, made where it is not there; so many rows are added to it.
    fn group(&mut self, key: &[u8], rows: u64) -> u32 {
        let Groups { table, keys, ends, rows: counts, columns } = self;
        let start = |group: u32| if group == 0 { 0 } else { ends[group as usize - 1] };
        let found = table.find(hash(key), |group| &keys[start(*group)..ends[*group as usize]] == key);
        if let Some(group) = found {
            counts[*group as usize] += rows;
            return *group;
        }
        let group = ends.len() as u32;
        keys.extend_from_slice(key);
        ends.push(keys.len());
        counts.push(rows);
        columns.iter_mut().for_each(Column::push);
        let (keys, ends) = (&*keys, &*ends);
        table.insert_unique(hash(key), group, |group| {
            let start = if *group == 0 { 0 } else { ends[*group as usize - 1] };
            hash(&keys[start..ends[*group as usize]])
        });
        group
    }
}

fn hash(key: &[u8]) -> u64 {
    let mut hasher = FixedState::default().build_hasher();
    hasher.write(key);
    hasher.finish()
}

impl Column {
    /// One more group.
    fn push(&mut self) {
        match self {
            Column::Count(counts) => counts.push(0),
            Column::Int { sums, counts } => {
                sums.push(0);
                counts.push(0);
            }
            Column::Float { sums, counts } => {
                sums.push(0.0);
                counts.push(0);
            }
        }
    }

    fn add(&mut self, group_of: &[u32], values: &ArrayRef) -> Result<()> {
        let nulls = values.logical_nulls();
        let valid = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        let rows = group_of.iter().enumerate().filter(|(row, group)| **group != NO_GROUP && valid(*row));
        match self {
            Column::Count(counts) => rows.for_each(|(_, group)| counts[*group as usize] += 1),
            Column::Int { sums, counts } => {
                let values = cast(values, &DataType::Int64).map_err(failed)?;
                let values = values.as_primitive::<Int64Type>().values();
                for (row, group) in rows {
                    sums[*group as usize] += i128::from(values[row]);
                    counts[*group as usize] += 1;
                }
            }
            Column::Float { sums, counts } => {
                let values = cast(values, &DataType::Float64).map_err(failed)?;
                let values = values.as_primitive::<Float64Type>().values();
                for (row, group) in rows {
                    sums[*group as usize] += values[row];
                    counts[*group as usize] += 1;
                }
            }
        }
        Ok(())
    }

    fn merge(&mut self, group_of: &[u32], other: Column) {
        match (self, other) {
            (Column::Count(counts), Column::Count(others)) => add_each(counts, group_of, others),
            (Column::Int { sums, counts }, Column::Int { sums: other_sums, counts: others }) => {
                add_each(sums, group_of, other_sums);
                add_each(counts, group_of, others);
            }
            (Column::Float { sums, counts }, Column::Float { sums: other_sums, counts: others }) => {
                add_each(sums, group_of, other_sums);
                add_each(counts, group_of, others);
            }
            // Both tables were made by one aggregation.
            (Column::Count(_) | Column::Int { .. } | Column::Float { .. }, _) => unreachable!("tables of two kinds"),
        }
    }

    fn finish(&self, function: Function, order: &[usize]) -> Result<ArrayRef> {
        let integers = |values: &mut dyn Iterator<Item = i128>| -> Result<ArrayRef> {
            let values = values.map(|value| {
                i64::try_from(value).map_err(|_| Error::new(ErrorKind::Data, format!("a sum of {value} is too large")))
            });
            Ok(Arc::new(Int64Array::from(values.collect::<Result<Vec<i64>>>()?)))
        };
        let float = |group: usize| match self {
            Column::Count(counts) => (counts[group] as f64, 1),
            Column::Int { sums, counts } => (sums[group] as f64, counts[group]),
            Column::Float { sums, counts } => (sums[group], counts[group]),
        };
        match (function, self) {
            (Function::Count, Column::Count(counts)) => {
                integers(&mut order.iter().map(|group| i128::from(counts[*group])))
            }
            (Function::IntSum, Column::Int { sums, .. }) => integers(&mut order.iter().map(|group| sums[*group])),
            (Function::IntMean | Function::FloatMean, _) => {
                let means = order.iter().map(|group| {
                    let (sum, count) = float(*group);
                    (count > 0).then(|| sum / count as f64)
                });
                Ok(Arc::new(means.collect::<Float64Array>()))
            }
            (Function::Count | Function::IntSum | Function::FloatSum, _) => {
                let sums = order.iter().map(|group| float(*group).0);
                Ok(Arc::new(Float64Array::from_iter_values(sums)))
            }
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Column::Count(counts) => 8 * counts.capacity(),
            Column::Int { sums, counts } => 16 * sums.capacity() + 8 * counts.capacity(),
            Column::Float { sums, counts } => 8 * (sums.capacity() + counts.capacity()),
        }
    }
}

fn add_each<N: std::ops::AddAssign>(sums: &mut [N], group_of: &[u32], others: Vec<N>) {
    for (group, other) in group_of.iter().zip(others) {
        sums[*group as usize] += other;
    }
}

fn failed(error: ArrowError) -> Error {
    Error::with_source(ErrorKind::Data, "group_by", error)
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;

    use super::*;

    fn aggregation() -> Aggregation {
        use Function::{Count, FloatMean, FloatSum, IntMean, IntSum};
        Aggregation { keys: vec![DataType::Utf8], functions: vec![Count, IntSum, IntMean, FloatSum, FloatMean] }
    }

    fn part(aggregation: &Aggregation, keys: &[Option<&str>], values: &[Option<i64>]) -> Groups {
        let mut groups = aggregation.groups();
        let keys: ArrayRef = Arc::new(StringArray::from(keys.to_vec()));
        let values: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
        aggregation.add(&mut groups, &[keys], &vec![values; 5]).unwrap();
        groups
    }

    #[test]
    fn groups_are_merged_and_sorted_and_null_keys_dropped() {
        let aggregation = aggregation();
        let one = part(&aggregation, &[Some("b"), None, Some("a"), Some("b")], &[Some(1), Some(100), None, Some(4)]);
        let two = part(&aggregation, &[Some("c"), Some("b")], &[Some(7), None]);
        assert_eq!((one.len(), one.rows(), two.rows()), (2, 3, 2));
        let all = aggregation.merge(vec![one, two]);
        assert_eq!((all.len(), all.rows()), (3, 5));
        assert!(all.bytes() > 100);
        let arrays = aggregation.finish(&all).unwrap();
        assert_eq!(arrays[0].as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(arrays[1].as_primitive::<Int64Type>().values(), &[0, 2, 1]);
        assert_eq!(arrays[2].as_primitive::<Int64Type>().values(), &[0, 5, 7]);
        let means: Vec<Option<f64>> = arrays[3].as_primitive::<Float64Type>().iter().collect();
        assert_eq!(means, [None, Some(2.5), Some(7.0)]);
        assert_eq!(arrays[4].as_primitive::<Float64Type>().values(), &[0.0, 5.0, 7.0]);
        assert_eq!(arrays[5].as_primitive::<Float64Type>().iter().collect::<Vec<_>>(), means);
    }

    #[test]
    fn no_rows_and_no_parts() {
        let aggregation = aggregation();
        for groups in [aggregation.merge(vec![]), part(&aggregation, &[], &[])] {
            let arrays = aggregation.finish(&groups).unwrap();
            assert!(groups.is_empty() && arrays.iter().all(|array| array.is_empty()) && arrays.len() == 6);
        }
    }

    #[test]
    fn a_sum_beyond_64_bits_is_an_error() {
        let aggregation = aggregation();
        let groups = part(&aggregation, &[Some("a"); 2], &[Some(i64::MAX); 2]);
        assert_eq!(aggregation.finish(&groups).unwrap_err().kind(), ErrorKind::Data);
    }

    #[test]
    fn many_groups() {
        let aggregation = Aggregation { keys: vec![DataType::Int64, DataType::Utf8], functions: vec![Function::Count] };
        let mut groups = aggregation.groups();
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values((0..10_000).map(|i| i % 3000 - 1500)));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..10_000).map(|i| format!("t{}", i % 2))));
        aggregation.add(&mut groups, &[numbers.clone(), texts], &[numbers]).unwrap();
        let arrays = aggregation.finish(&groups).unwrap();
        assert_eq!(arrays[0].len(), 3000);
        assert_eq!(arrays[0].as_primitive::<Int64Type>().value(0), -1500);
        assert_eq!(arrays[2].as_primitive::<Int64Type>().values().iter().sum::<i64>(), 10_000);
    }
}
