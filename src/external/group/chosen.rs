//! Values of chosen rows, by group: of the first and the last one, and of the one in which something else is greatest or least.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array, new_null_array};
use arrow::compute::{cast, interleave, take};
use arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type};
use arrow::row::{RowConverter, SortField};

use super::Rows;
use super::intern::{failed, take_rows};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::one_zero;

/// A value for each group, or none.
struct Kept {
    data_type: DataType,
    /// Where the value of each group is: in which array, and which row.
    places: Vec<Option<(u32, u32)>>,
    arrays: Vec<ArrayRef>,
}

impl Kept {
    fn new(data_type: &DataType) -> Kept {
        Kept { data_type: data_type.clone(), places: Vec::new(), arrays: Vec::new() }
    }

    fn bytes(&self) -> usize {
        let arrays: usize = self.arrays.iter().map(|array| array.get_array_memory_size()).sum();
        12 * self.places.capacity() + arrays
    }

    /// Takes in the rows of a batch that places speak of as rows of the next array.
    fn push(&mut self, array: &ArrayRef, rows: &[u32]) -> Result<()> {
        if !rows.is_empty() {
            // Only what is kept: a slice would hold all of the batch.
            self.arrays.push(take_rows(array, rows)?);
        }
        self.tidy()
    }

    fn append(&mut self, arrays: Vec<ArrayRef>) -> Result<()> {
        self.arrays.extend(arrays);
        self.tidy()
    }

    fn tidy(&mut self) -> Result<()> {
        if self.arrays.len() > 64 { self.compact() } else { Ok(()) }
    }

    /// Brings all values that count into one array.
    fn compact(&mut self) -> Result<()> {
        let arrays = self.arrays.iter().map(|array| match array.data_type() {
            found if *found == self.data_type => Ok(array.clone()),
            _ => cast(array, &self.data_type).map_err(failed),
        });
        let arrays = arrays.collect::<Result<Vec<ArrayRef>>>()?;
        let arrays: Vec<&dyn Array> = arrays.iter().map(|array| &**array).collect();
        let places: Vec<(usize, usize)> =
            self.places.iter().flatten().map(|(at, row)| (*at as usize, *row as usize)).collect();
        if places.is_empty() {
            return Ok(());
        }
        let all = interleave(&arrays, &places).map_err(failed)?;
        for (row, place) in self.places.iter_mut().flatten().enumerate() {
            *place = (0, row as u32);
        }
        self.arrays = vec![all];
        Ok(())
    }

    fn finish(&mut self, count: usize) -> Result<ArrayRef> {
        self.places.resize(count, None);
        self.compact()?;
        let Some(all) = self.arrays.first() else { return Ok(new_null_array(&self.data_type, count)) };
        let rows: UInt32Array = self.places.iter().map(|place| place.map(|(_, row)| row)).collect();
        take(all, &rows, None).map_err(failed)
    }
}

/// The first or the last value of each group that is not null.
pub struct Ends {
    last: bool,
    kept: Kept,
}

impl Ends {
    pub fn new(data_type: &DataType, last: bool) -> Ends {
        Ends { last, kept: Kept::new(data_type) }
    }

    pub fn bytes(&self) -> usize {
        self.kept.bytes()
    }

    pub fn update(&mut self, rows: &Rows<'_>, array: &ArrayRef) -> Result<()> {
        self.kept.places.resize(rows.count, None);
        let now = self.kept.arrays.len() as u32;
        let (places, last) = (&mut self.kept.places, self.last);
        let mut taken: Vec<u32> = Vec::new();
        rows.each_valid(array.logical_nulls().as_ref(), |row, group| match &mut places[group] {
            Some((at, place)) if *at == now => {
                if last {
                    taken[*place as usize] = row as u32;
                }
            }
            Some(_) if !last => {}
            place => {
                *place = Some((now, taken.len() as u32));
                taken.push(row as u32);
            }
        });
        self.kept.push(array, &taken)
    }

    pub fn merge(&mut self, other: Ends, map: &[u32], count: usize) -> Result<()> {
        self.kept.places.resize(count, None);
        let base = self.kept.arrays.len() as u32;
        for (group, place) in map.iter().zip(&other.kept.places) {
            let own = &mut self.kept.places[*group as usize];
            if let Some((at, row)) = place
                && (self.last || own.is_none())
            {
                *own = Some((base + at, *row));
            }
        }
        self.kept.append(other.kept.arrays)
    }

    pub fn finish(&mut self, count: usize) -> Result<ArrayRef> {
        self.kept.finish(count)
    }
}

/// The value of the row of each group in which a key is greatest or least: of several rows the first, null where the value is. Rows
/// whose key is null do not count, those with NaN only where there are no others.
pub struct Best {
    better: Ordering,
    converter: RowConverter,
    /// Encoded so that bytes compare as keys do; of NaN nothing.
    keys: Vec<Box<[u8]>>,
    bytes: usize,
    kept: Kept,
}

impl Best {
    pub fn new(data_type: &DataType, by: &DataType, most: bool) -> Result<Best> {
        let converter = RowConverter::new(vec![SortField::new(by.clone())]);
        let converter =
            converter.map_err(|_| Error::new(ErrorKind::Plan, format!("values of type {by} have no order")))?;
        let better = if most { Ordering::Greater } else { Ordering::Less };
        Ok(Best { better, converter, keys: Vec::new(), bytes: 0, kept: Kept::new(data_type) })
    }

    pub fn bytes(&self) -> usize {
        16 * self.keys.capacity() + self.bytes + self.kept.bytes()
    }

    fn resize(&mut self, count: usize) {
        self.kept.places.resize(count, None);
        self.keys.resize(count, Box::default());
    }

    /// Whether a key is better than what a group has; it is the group's then. The key of NaN is empty.
    fn is_better(
        keys: &mut [Box<[u8]>],
        bytes: &mut usize,
        found: bool,
        group: usize,
        key: &[u8],
        better: Ordering,
    ) -> bool {
        let own = &mut keys[group];
        let wins = match (found, key.is_empty(), own.is_empty()) {
            (false, ..) | (true, false, true) => true,
            (true, true, _) => false,
            (true, false, false) => key.cmp(own) == better,
        };
        if wins {
            *bytes += key.len();
            *bytes -= own.len();
            *own = key.into();
        }
        wins
    }

    pub fn update(&mut self, rows: &Rows<'_>, array: &ArrayRef, by: &ArrayRef) -> Result<()> {
        self.resize(rows.count);
        let by = one_zero(by).map_err(failed)?;
        let nan = is_nan(&by);
        let encoded = self.converter.convert_columns(std::slice::from_ref(&by)).map_err(failed)?;
        let now = self.kept.arrays.len() as u32;
        let (keys, bytes, places, better) = (&mut self.keys, &mut self.bytes, &mut self.kept.places, self.better);
        let mut taken: Vec<u32> = Vec::new();
        rows.each_valid(by.logical_nulls().as_ref(), |row, group| {
            let key = encoded.row(row);
            let key = if nan.as_ref().is_some_and(|nan| nan.value(row)) { &[] } else { key.data() };
            let place = &mut places[group];
            if !Best::is_better(keys, bytes, place.is_some(), group, key, better) {
                return;
            }
            match place {
                Some((at, place)) if *at == now => taken[*place as usize] = row as u32,
                place => {
                    *place = Some((now, taken.len() as u32));
                    taken.push(row as u32);
                }
            }
        });
        self.kept.push(array, &taken)
    }

    /// Adds what another one, of later rows, has.
    pub fn merge(&mut self, other: Best, map: &[u32], count: usize) -> Result<()> {
        self.resize(count);
        let base = self.kept.arrays.len() as u32;
        for ((group, place), key) in map.iter().zip(&other.kept.places).zip(&other.keys) {
            let own = &mut self.kept.places[*group as usize];
            if let Some((at, row)) = place
                && Best::is_better(&mut self.keys, &mut self.bytes, own.is_some(), *group as usize, key, self.better)
            {
                *own = Some((base + at, *row));
            }
        }
        self.kept.append(other.kept.arrays)
    }

    pub fn finish(&mut self, count: usize) -> Result<ArrayRef> {
        self.kept.finish(count)
    }
}

/// Which values are NaN; nothing of what is no float.
fn is_nan(array: &ArrayRef) -> Option<BooleanArray> {
    Some(match array.data_type() {
        DataType::Float16 => BooleanArray::from_unary(array.as_primitive::<Float16Type>(), |value| value.is_nan()),
        DataType::Float32 => BooleanArray::from_unary(array.as_primitive::<Float32Type>(), f32::is_nan),
        DataType::Float64 => BooleanArray::from_unary(array.as_primitive::<Float64Type>(), f64::is_nan),
        _ => return None,
    })
}
