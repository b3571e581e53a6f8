//! Looking keys up in a table that grows no more: several threads may do so at once.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{ArrowNativeType, DataType, Int32Type};

use super::intern::{Interner, Kind, Words, encoded, failed, to_words};
use super::keys::{KeyTable, Pairs};
use super::{NONE, mix};
use crate::error::Result;

impl KeyTable {
    /// The group of each row of the keys, in place of what `out` held; [`NONE`] where there is no such group. Not to be asked
    /// without keys.
    ///
    /// # Errors
    /// Of kind `Internal`, where the keys are of other types.
    pub fn find(&self, keys: &[ArrayRef], out: &mut Vec<u32>) -> Result<()> {
        let mut right = Vec::new();
        for (at, (column, key)) in self.columns.iter().zip(keys).enumerate() {
            if at == 0 {
                column.find(key, out)?;
            } else {
                column.find(key, &mut right)?;
                self.pairs[at - 1].find(out, &right);
            }
        }
        Ok(())
    }
}

impl Interner {
    /// The number of each value of an array, in place of what `out` held; [`NONE`] of one that has none.
    fn find(&self, array: &ArrayRef, out: &mut Vec<u32>) -> Result<()> {
        out.clear();
        match array.data_type() {
            DataType::Dictionary(key, _) if **key == DataType::Int32 => {
                let codes = array.as_dictionary::<Int32Type>();
                let values = cast(codes.values(), &self.data_type).map_err(failed)?;
                let mut numbers = Vec::new();
                self.find_plain(&values, &mut numbers)?;
                let null = self.null_number_or_none();
                let keys = codes.keys();
                out.extend((0..keys.len()).map(|row| match keys.is_null(row) {
                    true => null,
                    false => numbers[keys.value(row).as_usize()],
                }));
                Ok(())
            }
            found if *found == self.data_type => self.find_plain(array, out),
            _ => self.find_plain(&self.unpacked(array)?, out),
        }
    }

    fn null_number_or_none(&self) -> u32 {
        self.null.unwrap_or(NONE)
    }

    fn find_plain(&self, array: &ArrayRef, out: &mut Vec<u32>) -> Result<()> {
        let nulls = array.logical_nulls().filter(|nulls| nulls.null_count() > 0);
        let null = self.null_number_or_none();
        let valid = |row: usize| nulls.as_ref().is_none_or(|nulls: &NullBuffer| nulls.is_valid(row));
        out.reserve(array.len());
        match &self.kind {
            Kind::Words(words) => {
                let values = to_words(array)?;
                words.find(&values, out);
                if let Some(nulls) = &nulls {
                    let places = nulls.iter().zip(out.iter_mut()).filter(|(valid, _)| !valid);
                    places.for_each(|(_, place)| *place = null);
                }
            }
            Kind::Bytes(table) => {
                macro_rules! values {
                    ($array:expr, $value:ident => $bytes:expr) => {{
                        let array = $array;
                        out.extend((0..array.len()).map(|row| {
                            if !valid(row) {
                                return null;
                            }
                            let $value = array.value(row);
                            table.find($bytes).unwrap_or(NONE)
                        }));
                    }};
                }
                match array.data_type() {
                    DataType::Utf8 => values!(array.as_string::<i32>(), value => value.as_bytes()),
                    DataType::LargeUtf8 => values!(array.as_string::<i64>(), value => value.as_bytes()),
                    DataType::Utf8View => values!(array.as_string_view(), value => value.as_bytes()),
                    DataType::Binary => values!(array.as_binary::<i32>(), value => value),
                    DataType::LargeBinary => values!(array.as_binary::<i64>(), value => value),
                    _ => values!(array.as_binary_view(), value => value),
                }
            }
            Kind::Rows { converter, table } => {
                let rows = encoded(converter, array)?;
                let number = |(at, row): (usize, arrow::row::Row<'_>)| match valid(at) {
                    true => table.find(row.data()).unwrap_or(NONE),
                    false => null,
                };
                out.extend(rows.iter().enumerate().map(number));
            }
        }
        Ok(())
    }
}

impl Words {
    fn find(&self, values: &[i64], out: &mut Vec<u32>) {
        match &self.hashed {
            None => out.extend(values.iter().map(|value| {
                let place = value.wrapping_sub(self.low) as u64;
                self.dense.get(usize::try_from(place).unwrap_or(usize::MAX)).copied().unwrap_or(NONE)
            })),
            Some(table) => out.extend(values.iter().map(|value| {
                let found = table.find(mix(*value as u64), |(known, _)| known == value);
                found.map_or(NONE, |(_, number)| *number)
            })),
        }
    }
}

impl Pairs {
    /// Replaces each left number by that of the pair.
    fn find(&self, left: &mut [u32], right: &[u32]) {
        for (left, right) in left.iter_mut().zip(right) {
            if *left == NONE || *right == NONE {
                *left = NONE;
                continue;
            }
            *left = match &self.hashed {
                // Wider than the table was made for: no pair has it.
                None if *right >> self.shift != 0 => NONE,
                None => self.dense.get((*left as usize) << self.shift | *right as usize).copied().unwrap_or(NONE),
                Some(table) => {
                    let word = u64::from(*left) << 32 | u64::from(*right);
                    table.find(mix(word), |(known, _)| *known == word).map_or(NONE, |(_, number)| *number)
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{DictionaryArray, Float64Array, Int64Array, ListArray, StringArray};
    use proptest::prelude::*;

    use super::*;

    fn columns(rows: &[(Option<i64>, Option<u8>, Option<i8>)]) -> Vec<ArrayRef> {
        let float = |n: i8| match n {
            0 => -0.0,
            1 => 0.0,
            2 => f64::NAN,
            3 => -f64::NAN,
            n => f64::from(n),
        };
        vec![
            Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>()),
            Arc::new(rows.iter().map(|row| row.1.map(|n| "x".repeat(n.into()))).collect::<StringArray>()),
            Arc::new(rows.iter().map(|row| row.2.map(float)).collect::<Float64Array>()),
        ]
    }

    proptest! {
        /// What is found has the number that it got when it was put in; what was not put in has none.
        #[test]
        fn found_is_what_was_numbered(
            known in prop::collection::vec((prop::option::of(-3i64..900_000_000), prop::option::of(0u8..4), prop::option::of(0i8..6)), 0..40),
            other in prop::collection::vec((prop::option::of(-3i64..5), prop::option::of(0u8..5), prop::option::of(0i8..7)), 0..40),
            narrow in any::<bool>(), keep_nulls in any::<bool>(), width in 1usize..4,
        ) {
            let known: Vec<_> = known.into_iter().map(|(n, a, b)| (if narrow { n.map(|n| n % 5) } else { n }, a, b)).collect();
            let known: Vec<_> = known.into_iter().chain(other.iter().step_by(2).copied()).collect();
            let (mut inner, mut outer) = (columns(&known), columns(&other));
            inner.truncate(width);
            outer.truncate(width);
            let types: Vec<DataType> = inner.iter().map(|array| array.data_type().clone()).collect();
            let mut table = KeyTable::new(&types, keep_nulls).unwrap();
            let (mut numbered, mut found, mut again) = (Vec::new(), Vec::new(), Vec::new());
            table.groups(&inner, &mut numbered).unwrap();
            table.find(&inner, &mut found).unwrap();
            prop_assert_eq!(&numbered, &found);
            table.find(&outer, &mut found).unwrap();
            let before = table.len();
            table.groups(&outer, &mut again).unwrap();
            for (found, again) in found.iter().zip(&again) {
                prop_assert_eq!(*found, if (*again as usize) < before { *again } else { NONE });
            }
        }
    }

    #[test]
    fn floats_inside_of_nested_keys_are_one_zero_and_one_nan() {
        use arrow::array::{FixedSizeListArray, StructArray};
        use arrow::datatypes::Field;
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![0.0, -0.0, f64::NAN, -f64::NAN]));
        let item = Arc::new(Field::new_list_field(DataType::Float64, true));
        let pairs: ArrayRef = Arc::new(FixedSizeListArray::new(item, 1, floats.clone(), None));
        let of = |array: &ArrayRef| -> ArrayRef {
            Arc::new(StructArray::from(vec![(
                Arc::new(Field::new("x", array.data_type().clone(), true)),
                array.clone(),
            )]))
        };
        let codes = |array: &ArrayRef| -> ArrayRef {
            let keys = arrow::array::Int32Array::from_iter_values(0..4);
            Arc::new(DictionaryArray::<Int32Type>::new(keys, array.clone()))
        };
        for array in [of(&floats), of(&of(&floats)), pairs.clone(), of(&pairs), of(&codes(&floats))] {
            let mut table = KeyTable::new(&[array.data_type().clone()], true).unwrap();
            let (mut numbers, mut found) = (Vec::new(), Vec::new());
            table.groups(std::slice::from_ref(&array), &mut numbers).unwrap();
            assert_eq!((table.len(), &numbers[..]), (2, &[0, 0, 1, 1][..]), "{}", array.data_type());
            table.find(std::slice::from_ref(&array), &mut found).unwrap();
            assert_eq!(found, numbers);
            // Through a dictionary of such values.
            let mut table = KeyTable::new(&[array.data_type().clone()], true).unwrap();
            table.groups(&[codes(&array)], &mut numbers).unwrap();
            assert_eq!((table.len(), &numbers[..]), (2, &[0, 0, 1, 1][..]), "{}", array.data_type());
            table.find(&[codes(&array)], &mut found).unwrap();
            assert_eq!(found, numbers);
        }
    }

    #[test]
    fn dictionaries_and_nested_values_are_found() {
        let plain: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("b")]));
        let mut table = KeyTable::new(&[DataType::Utf8], true).unwrap();
        table.groups(&[plain], &mut Vec::new()).unwrap();
        let codes: DictionaryArray<Int32Type> = vec![Some("c"), Some("b"), None, Some("a")].into_iter().collect();
        let mut found = Vec::new();
        table.find(&[Arc::new(codes)], &mut found).unwrap();
        assert_eq!(found, [NONE, 2, 0, 1]);
        let lists = |rows: Vec<Option<Vec<Option<i64>>>>| -> ArrayRef {
            Arc::new(ListArray::from_iter_primitive::<arrow::datatypes::Int64Type, _, _>(rows))
        };
        let known = lists(vec![Some(vec![Some(1), None]), Some(vec![])]);
        let mut table = KeyTable::new(&[known.data_type().clone()], false).unwrap();
        table.groups(&[known], &mut Vec::new()).unwrap();
        table
            .find(&[lists(vec![Some(vec![]), None, Some(vec![Some(1)]), Some(vec![Some(1), None])])], &mut found)
            .unwrap();
        assert_eq!(found, [1, NONE, NONE, 0]);
    }
}
