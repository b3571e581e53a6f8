//! Numbers of rows and sums, by group.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, UInt64Type};

use super::intern::failed;
use super::{NONE, Rows, places_for};
use crate::error::Result;

/// Rows of each group.
#[derive(Clone, Default)]
pub struct Sizes(pub Vec<u64>);

impl Sizes {
    pub fn update(&mut self, rows: &Rows<'_>) {
        places_for(&mut self.0, rows.count, 0);
        match rows.groups {
            None => self.0[0] += rows.len as u64,
            Some(groups) => {
                for group in groups {
                    if let Some(size) = self.0.get_mut(*group as usize) {
                        *size += 1;
                    }
                }
            }
        }
    }

    pub fn merge(&mut self, other: &Sizes, map: &[u32], count: usize) {
        places_for(&mut self.0, count, 0);
        add_each(&mut self.0, map, &other.0);
    }
}

/// Rows of each group whose value is null.
#[derive(Clone, Default)]
pub struct Nulls(pub Vec<u64>);

impl Nulls {
    pub fn update(&mut self, rows: &Rows<'_>, values: &ArrayRef) {
        places_for(&mut self.0, rows.count, 0);
        let Some(nulls) = values.logical_nulls().filter(|nulls| nulls.null_count() > 0) else { return };
        match rows.groups {
            None => self.0[0] += nulls.null_count() as u64,
            Some(groups) => {
                for (row, group) in groups.iter().enumerate() {
                    if *group != NONE && nulls.is_null(row) {
                        self.0[*group as usize] += 1;
                    }
                }
            }
        }
    }

    pub fn merge(&mut self, other: &Nulls, map: &[u32], count: usize) {
        places_for(&mut self.0, count, 0);
        add_each(&mut self.0, map, &other.0);
    }
}

/// Exact sums of integers, booleans and decimals.
#[derive(Clone, Default)]
pub struct IntSums(pub Vec<i128>);

impl IntSums {
    pub fn update(&mut self, rows: &Rows<'_>, values: &ArrayRef) -> Result<()> {
        places_for(&mut self.0, rows.count, 0);
        match values.data_type() {
            DataType::UInt64 => {
                let array = values.as_primitive::<UInt64Type>();
                self.add(rows, array.nulls(), |row| i128::from(array.values()[row]));
            }
            DataType::Decimal128(..) => {
                let array = values.as_primitive::<Decimal128Type>();
                self.add(rows, array.nulls(), |row| array.values()[row]);
            }
            DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) => {
                let wide = cast(values, &DataType::Decimal128(38, *scale)).map_err(failed)?;
                let array = wide.as_primitive::<Decimal128Type>();
                self.add(rows, array.nulls(), |row| array.values()[row]);
            }
            DataType::Int64 => self.add_words(rows, values),
            _ => self.add_words(rows, &cast(values, &DataType::Int64).map_err(failed)?),
        }
        Ok(())
    }

    fn add_words(&mut self, rows: &Rows<'_>, values: &ArrayRef) {
        let array = values.as_primitive::<Int64Type>();
        let words = &array.values()[..rows.len];
        if rows.groups.is_none() && array.null_count() == 0 {
            // Halves that cannot overflow within a batch are summed apart, which vectorizes.
            let (mut high, mut low) = (0i64, 0i64);
            for word in words {
                high += word >> 32;
                low += word & 0xffff_ffff;
            }
            self.0[0] += (i128::from(high) << 32) + i128::from(low);
            return;
        }
        self.add(rows, array.nulls(), |row| i128::from(words[row]));
    }

    #[inline]
    fn add(&mut self, rows: &Rows<'_>, nulls: Option<&arrow::buffer::NullBuffer>, value: impl Fn(usize) -> i128) {
        let sums = &mut self.0;
        rows.each_valid(nulls, |row, group| sums[group] = sums[group].wrapping_add(value(row)));
    }

    pub fn merge(&mut self, other: &IntSums, map: &[u32], count: usize) {
        places_for(&mut self.0, count, 0);
        for (group, other) in map.iter().zip(&other.0) {
            let sum = &mut self.0[*group as usize];
            *sum = sum.wrapping_add(*other);
        }
    }
}

/// Sums of some columns of floats, added in the order of the rows. All columns of a group lie together: their additions do not
/// wait for each other, as those of one column in few groups do.
#[derive(Clone, Default)]
pub struct FloatSums {
    sums: Vec<f64>,
    columns: usize,
}

impl FloatSums {
    pub fn new(columns: usize) -> FloatSums {
        FloatSums { sums: Vec::new(), columns }
    }

    /// The sum of a column in a group.
    pub fn sum(&self, group: usize, column: usize) -> f64 {
        self.sums.get(group * self.columns + column).copied().unwrap_or(0.0)
    }

    pub fn capacity(&self) -> usize {
        self.sums.capacity()
    }

    pub fn update(&mut self, rows: &Rows<'_>, values: &[&ArrayRef]) -> Result<()> {
        places_for(&mut self.sums, rows.count * self.columns, 0.0);
        let values = values.iter().map(|values| match values.data_type() {
            DataType::Float64 => Ok((*values).clone()),
            _ => cast(*values, &DataType::Float64).map_err(failed),
        });
        let values = values.collect::<Result<Vec<ArrayRef>>>()?;
        let mut full: Vec<(usize, &[f64])> = Vec::with_capacity(values.len());
        for (column, values) in values.iter().enumerate() {
            let array = values.as_primitive::<Float64Type>();
            let numbers = &array.values()[..rows.len];
            if array.null_count() > 0 {
                let (sums, columns) = (&mut self.sums, self.columns);
                rows.each_valid(array.nulls(), |row, group| sums[group * columns + column] += numbers[row]);
            } else if rows.groups.is_none() {
                self.sums[column] += sum_all(numbers);
            } else {
                full.push((column, numbers));
            }
        }
        let Some(groups) = rows.groups else { return Ok(()) };
        let mut left = &full[..];
        while !left.is_empty() {
            let now = left.len().min(4);
            match left[..now] {
                [a, b, c, d] => self.add([a, b, c, d], groups),
                [a, b, c] => self.add([a, b, c], groups),
                [a, b] => self.add([a, b], groups),
                [a] => self.add([a], groups),
                _ => {}
            }
            left = &left[now..];
        }
        Ok(())
    }

    fn add<const K: usize>(&mut self, columns: [(usize, &[f64]); K], groups: &[u32]) {
        let columns = columns.map(|(column, numbers)| (column, &numbers[..groups.len()]));
        for (row, group) in groups.iter().enumerate() {
            if *group == NONE {
                continue;
            }
            let start = *group as usize * self.columns;
            let sums = &mut self.sums[start..start + self.columns];
            for (column, numbers) in &columns {
                sums[*column] += numbers[row];
            }
        }
    }

    pub fn merge(&mut self, other: &FloatSums, map: &[u32], count: usize) {
        places_for(&mut self.sums, count * self.columns, 0.0);
        if self.columns == 0 {
            return;
        }
        for (group, other) in map.iter().zip(other.sums.chunks_exact(self.columns)) {
            let start = *group as usize * self.columns;
            for (sum, other) in self.sums[start..start + self.columns].iter_mut().zip(other) {
                *sum += other;
            }
        }
    }
}

/// The sum of a slice, in a fixed order: sixteen running sums, then a tree.
pub(super) fn sum_all(values: &[f64]) -> f64 {
    const LANES: usize = 16;
    let mut lanes = [0.0; LANES];
    let (blocks, rest) = values.as_chunks::<LANES>();
    for block in blocks {
        for (lane, value) in lanes.iter_mut().zip(block) {
            *lane += value;
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane += value;
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for at in 0..width {
            lanes[at] += lanes[at + width];
        }
    }
    lanes[0]
}

fn add_each(sums: &mut [u64], map: &[u32], others: &[u64]) {
    for (group, other) in map.iter().zip(others) {
        sums[*group as usize] += other;
    }
}
