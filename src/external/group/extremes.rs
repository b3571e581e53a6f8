//! Least and greatest values, first and last ones, by group.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, UInt64Type};
use arrow::row::{RowConverter, SortField};

use super::intern::failed;
use super::{Rows, places_for};
use crate::error::{Error, ErrorKind, Result};

/// The least or the greatest value of each group.
pub struct Extremes {
    data_type: DataType,
    most: bool,
    values: Values,
}

enum Values {
    Ints(Vec<Option<i64>>),
    Unsigned(Vec<Option<u64>>),
    Floats(Vec<Option<f64>>),
    /// Encoded so that bytes compare as values do.
    Bytes {
        found: Vec<Option<Box<[u8]>>>,
        converter: Option<Box<RowConverter>>,
    },
}

impl Extremes {
    pub fn new(data_type: &DataType, most: bool) -> Result<Extremes> {
        use DataType::{
            Date32, Date64, Duration, Float16, Float32, Float64, Int8, Int16, Int32, Int64, Time32, Time64, Timestamp,
            UInt8, UInt16, UInt32, UInt64,
        };
        let values = match data_type {
            Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | Date32 | Date64 | Time32(_) | Time64(_)
            | Timestamp(..) | Duration(_) => Values::Ints(Vec::new()),
            UInt64 => Values::Unsigned(Vec::new()),
            Float16 | Float32 | Float64 => Values::Floats(Vec::new()),
            DataType::Utf8 | DataType::Binary => Values::Bytes { found: Vec::new(), converter: None },
            other => {
                let converter = RowConverter::new(vec![SortField::new(other.clone())]);
                let converter = converter
                    .map_err(|_| Error::new(ErrorKind::Plan, format!("values of type {other} have no order")))?;
                Values::Bytes { found: Vec::new(), converter: Some(Box::new(converter)) }
            }
        };
        Ok(Extremes { data_type: data_type.clone(), most, values })
    }

    pub fn bytes(&self) -> usize {
        match &self.values {
            Values::Ints(found) => 16 * found.capacity(),
            Values::Unsigned(found) => 16 * found.capacity(),
            Values::Floats(found) => 16 * found.capacity(),
            Values::Bytes { found, .. } => {
                16 * found.capacity() + found.iter().flatten().map(|value| value.len()).sum::<usize>()
            }
        }
    }

    pub fn update(&mut self, rows: &Rows<'_>, array: &ArrayRef) -> Result<()> {
        let better = if self.most { Ordering::Greater } else { Ordering::Less };
        let nulls = array.logical_nulls();
        let nulls = nulls.as_ref();
        match &mut self.values {
            Values::Ints(found) => {
                places_for(found, rows.count, None);
                let words = if matches!(array.data_type(), DataType::Date32 | DataType::Time32(_)) {
                    cast(&cast(array, &DataType::Int32).map_err(failed)?, &DataType::Int64)
                } else {
                    cast(array, &DataType::Int64)
                };
                let words = words.map_err(failed)?;
                let words = words.as_primitive::<Int64Type>().values();
                rows.each_valid(nulls, |row, group| keep(&mut found[group], words[row], Ord::cmp, better));
            }
            Values::Unsigned(found) => {
                places_for(found, rows.count, None);
                let words = array.as_primitive::<UInt64Type>().values();
                rows.each_valid(nulls, |row, group| keep(&mut found[group], words[row], Ord::cmp, better));
            }
            Values::Floats(found) => {
                places_for(found, rows.count, None);
                let floats = cast(array, &DataType::Float64).map_err(failed)?;
                let floats = floats.as_primitive::<Float64Type>().values();
                rows.each_valid(nulls, |row, group| keep_float(&mut found[group], floats[row], better));
            }
            Values::Bytes { found, converter: Some(converter) } => {
                places_for(found, rows.count, None);
                let encoded = converter.convert_columns(std::slice::from_ref(array)).map_err(failed)?;
                rows.each_valid(nulls, |row, group| keep_bytes(&mut found[group], encoded.row(row).data(), better));
            }
            Values::Bytes { found, converter: None } => {
                places_for(found, rows.count, None);
                let binary = cast(array, &DataType::Binary).map_err(failed)?;
                let binary = binary.as_binary::<i32>();
                rows.each_valid(nulls, |row, group| keep_bytes(&mut found[group], binary.value(row), better));
            }
        }
        Ok(())
    }

    pub fn merge(&mut self, other: Extremes, map: &[u32], count: usize) {
        let better = if self.most { Ordering::Greater } else { Ordering::Less };
        match (&mut self.values, other.values) {
            (Values::Ints(found), Values::Ints(others)) => {
                places_for(found, count, None);
                for (group, other) in map.iter().zip(others) {
                    other.into_iter().for_each(|value| keep(&mut found[*group as usize], value, Ord::cmp, better));
                }
            }
            (Values::Unsigned(found), Values::Unsigned(others)) => {
                places_for(found, count, None);
                for (group, other) in map.iter().zip(others) {
                    other.into_iter().for_each(|value| keep(&mut found[*group as usize], value, Ord::cmp, better));
                }
            }
            (Values::Floats(found), Values::Floats(others)) => {
                places_for(found, count, None);
                for (group, other) in map.iter().zip(others) {
                    other.into_iter().for_each(|value| keep_float(&mut found[*group as usize], value, better));
                }
            }
            (Values::Bytes { found, .. }, Values::Bytes { found: others, .. }) => {
                places_for(found, count, None);
                for (group, other) in map.iter().zip(others) {
                    other.iter().for_each(|value| keep_bytes(&mut found[*group as usize], value, better));
                }
            }
            // Both were made for one column.
            _ => unreachable!("extremes of two kinds"),
        }
    }

    /// The values of all groups.
    pub fn finish(&mut self, count: usize) -> Result<ArrayRef> {
        let words: ArrayRef = match &mut self.values {
            Values::Ints(found) => {
                places_for(found, count, None);
                let words: PrimitiveArray<Int64Type> = found.iter().copied().collect();
                if matches!(self.data_type, DataType::Date32 | DataType::Time32(_)) {
                    cast(&words, &DataType::Int32).map_err(failed)?
                } else {
                    std::sync::Arc::new(words)
                }
            }
            Values::Unsigned(found) => {
                places_for(found, count, None);
                std::sync::Arc::new(found.iter().copied().collect::<PrimitiveArray<UInt64Type>>())
            }
            Values::Floats(found) => {
                places_for(found, count, None);
                std::sync::Arc::new(found.iter().copied().collect::<PrimitiveArray<Float64Type>>())
            }
            Values::Bytes { found, converter: Some(converter) } => {
                places_for(found, count, None);
                let parser = converter.parser();
                let null = arrow::array::new_null_array(&self.data_type, 1);
                let null = converter.convert_columns(&[null]).map_err(failed)?;
                let rows = found.iter().map(|value| match value {
                    Some(value) => parser.parse(value),
                    None => null.row(0),
                });
                let mut arrays = converter.convert_rows(rows).map_err(failed)?;
                arrays.pop().ok_or_else(|| Error::internal("an extreme without a column"))?
            }
            Values::Bytes { found, converter: None } => {
                places_for(found, count, None);
                let binary: arrow::array::BinaryArray = found.iter().map(Option::as_deref).collect();
                std::sync::Arc::new(binary)
            }
        };
        cast(&words, &self.data_type).map_err(failed)
    }
}

#[inline]
fn keep<T: Copy>(found: &mut Option<T>, value: T, compare: impl Fn(&T, &T) -> Ordering, better: Ordering) {
    match found {
        Some(known) if compare(&value, known) != better => {}
        _ => *found = Some(value),
    }
}

/// NaN is kept only while there is nothing else; of zeros the negative one is less.
#[inline]
fn keep_float(found: &mut Option<f64>, value: f64, better: Ordering) {
    match found {
        Some(known) if !known.is_nan() && (value.is_nan() || value.total_cmp(known) != better) => {}
        Some(_) if value.is_nan() => {}
        _ => *found = Some(if value.is_nan() { f64::NAN } else { value }),
    }
}

#[inline]
fn keep_bytes(found: &mut Option<Box<[u8]>>, value: &[u8], better: Ordering) {
    match found {
        Some(known) if value.cmp(known) != better => {}
        _ => *found = Some(value.into()),
    }
}

/// Whether any value of a group is true, or all are.
#[derive(Clone, Default)]
pub struct Logic {
    /// Seen true, seen false.
    seen: Vec<(bool, bool)>,
}

impl Logic {
    pub fn bytes(&self) -> usize {
        2 * self.seen.capacity()
    }

    pub fn update(&mut self, rows: &Rows<'_>, array: &ArrayRef) {
        places_for(&mut self.seen, rows.count, (false, false));
        let (values, seen) = (array.as_boolean().values(), &mut self.seen);
        rows.each_valid(
            array.nulls(),
            |row, group| {
                if values.value(row) { seen[group].0 = true } else { seen[group].1 = true }
            },
        );
    }

    pub fn merge(&mut self, other: &Logic, map: &[u32], count: usize) {
        places_for(&mut self.seen, count, (false, false));
        for (group, other) in map.iter().zip(&other.seen) {
            let own = &mut self.seen[*group as usize];
            *own = (own.0 | other.0, own.1 | other.1);
        }
    }

    pub fn finish(&mut self, count: usize, all: bool) -> BooleanArray {
        places_for(&mut self.seen, count, (false, false));
        self.seen.iter().map(|(yes, no)| Some(if all { !no } else { *yes })).collect()
    }
}

/// Products, of floats or of integers.
#[derive(Clone)]
pub struct Products {
    floats: Vec<f64>,
    /// The product where it fits, and whether there was a zero.
    ints: Vec<(Option<i128>, bool)>,
    exact: bool,
}

impl Products {
    pub fn new(exact: bool) -> Products {
        Products { floats: Vec::new(), ints: Vec::new(), exact }
    }

    pub fn bytes(&self) -> usize {
        8 * self.floats.capacity() + 48 * self.ints.capacity()
    }

    fn resize(&mut self, count: usize) {
        if self.exact {
            places_for(&mut self.ints, count, (Some(1), false));
        } else {
            places_for(&mut self.floats, count, 1.0);
        }
    }

    pub fn update(&mut self, rows: &Rows<'_>, array: &ArrayRef) -> Result<()> {
        self.resize(rows.count);
        let nulls = array.logical_nulls();
        if self.exact {
            let ints = &mut self.ints;
            let mut multiply = |group: usize, value: i128| match value {
                0 => ints[group].1 = true,
                _ => ints[group].0 = ints[group].0.and_then(|product| product.checked_mul(value)),
            };
            if *array.data_type() == DataType::UInt64 {
                let words = array.as_primitive::<UInt64Type>().values();
                rows.each_valid(nulls.as_ref(), |row, group| multiply(group, i128::from(words[row])));
            } else {
                let words = cast(array, &DataType::Int64).map_err(failed)?;
                let words = words.as_primitive::<Int64Type>().values();
                rows.each_valid(nulls.as_ref(), |row, group| multiply(group, i128::from(words[row])));
            }
        } else {
            let values = cast(array, &DataType::Float64).map_err(failed)?;
            let values = values.as_primitive::<Float64Type>().values();
            let floats = &mut self.floats;
            rows.each_valid(nulls.as_ref(), |row, group| floats[group] *= values[row]);
        }
        Ok(())
    }

    pub fn merge(&mut self, other: &Products, map: &[u32], count: usize) {
        self.resize(count);
        for (group, other) in map.iter().zip(&other.floats) {
            self.floats[*group as usize] *= other;
        }
        for (group, (product, zero)) in map.iter().zip(&other.ints) {
            let own = &mut self.ints[*group as usize];
            *own = (own.0.zip(*product).and_then(|(a, b)| a.checked_mul(b)), own.1 | zero);
        }
    }

    /// Of integers: nothing where a product is too large.
    pub fn exact(&mut self, count: usize) -> Option<Vec<i128>> {
        self.resize(count);
        self.ints.iter().map(|(product, zero)| if *zero { Some(0) } else { *product }).collect()
    }

    pub fn floats(&mut self, count: usize) -> &[f64] {
        self.resize(count);
        &self.floats
    }
}
