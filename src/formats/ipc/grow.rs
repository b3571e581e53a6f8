//! Dictionaries that only grow: a file has one for each column, and batches come with their own.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, UInt64Array, downcast_integer};
use arrow::compute::{cast, concat, take};
use arrow::datatypes::{ArrowDictionaryKeyType, DataType, Field};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use foldhash::fast::FixedState;

use super::file::has_dictionary;
use crate::error::{Error, ErrorKind, Result};

/// The dictionary of a column in a file.
pub(super) struct Growing {
    name: String,
    keys: DataType,
    /// What is in it; nothing before the first batch.
    values: Option<ArrayRef>,
    /// What the last batch brought, and where its values stand in the file.
    last: Option<(ArrayRef, Option<UInt64Array>)>,
    /// Where each value stands; made when a batch brings other values than the first one.
    known: Option<Known>,
}

/// The values of a dictionary, by what their bytes are as a row.
struct Known {
    converter: RowConverter,
    places: HashMap<Box<[u8]>, u64, FixedState>,
}

impl Growing {
    /// Of a column; nothing, if it is no dictionary, or one with dictionaries in its values.
    pub(super) fn of(field: &Field) -> Option<Growing> {
        match field.data_type() {
            DataType::Dictionary(keys, values) if !has_dictionary(values) => Some(Growing {
                name: field.name().clone(),
                keys: (**keys).clone(),
                values: None,
                last: None,
                known: None,
            }),
            _ => None,
        }
    }

    /// The same column with the dictionary of the file, to which what is new in it was put.
    ///
    /// # Errors
    /// Of kind `Data`, where the keys cannot count so many values; of kind `Unsupported`, where the values cannot be compared.
    pub(super) fn bring(&mut self, array: &ArrayRef) -> Result<ArrayRef> {
        let Some(dictionary) = array.as_any_dictionary_opt() else {
            return Err(Error::internal("a dictionary that is none"));
        };
        let brought = dictionary.values();
        let all = match &self.values {
            Some(all) => all.clone(),
            None => {
                (self.values, self.last) = (Some(brought.clone()), Some((brought.clone(), None)));
                return Ok(array.clone());
            }
        };
        let known = self.last.as_ref().is_some_and(|(last, _)| last.to_data().ptr_eq(&brought.to_data()));
        if !known {
            let same = brought.len() <= all.len() && brought.to_data() == all.slice(0, brought.len()).to_data();
            let places = if same { None } else { Some(self.add(&all, brought)?) };
            self.last = Some((brought.clone(), places));
        }
        let (Some(all), Some((_, places))) = (&self.values, &self.last) else {
            return Err(Error::internal("a dictionary without values"));
        };
        let Some(places) = places else {
            return Ok(dictionary.with_values(all.clone()));
        };
        self.remap(dictionary.keys(), places, all).map_err(|error| self.failed(error))
    }

    /// Puts what is new among some values to the others, and says where each of them stands then.
    fn add(&mut self, all: &ArrayRef, brought: &ArrayRef) -> Result<UInt64Array> {
        let mut known = match self.known.take() {
            Some(known) => known,
            None => Known::new(all).map_err(|error| self.failed(error))?,
        };
        let rows =
            known.converter.convert_columns(std::slice::from_ref(brought)).map_err(|error| self.failed(error))?;
        let (mut new, mut count) = (Vec::new(), all.len() as u64);
        let places = rows.iter().enumerate().map(|(at, row)| match known.places.get(row.data()) {
            Some(place) => *place,
            None => {
                known.places.insert(row.data().into(), count);
                new.push(at as u64);
                count += 1;
                count - 1
            }
        });
        let places = UInt64Array::from_iter_values(places);
        if count > most(&self.keys) {
            let (name, keys) = (&self.name, &self.keys);
            return Err(Error::new(
                ErrorKind::Data,
                format!(
                    "column `{name}` has {count} values in its dictionaries, and keys of {keys} tell {} apart: cast it to a \
                     dictionary with keys of a wider type, or to its values",
                    most(keys)
                ),
            ));
        }
        if !new.is_empty() {
            let more = take(brought, &UInt64Array::from(new), None).map_err(|error| self.failed(error))?;
            self.values = Some(concat(&[all, &more]).map_err(|error| self.failed(error))?);
        }
        self.known = Some(known);
        Ok(places)
    }

    /// Keys that lead to the same values, which stand elsewhere.
    fn remap(
        &self,
        keys: &dyn Array,
        places: &UInt64Array,
        all: &ArrayRef,
    ) -> std::result::Result<ArrayRef, ArrowError> {
        fn dictionary<K: ArrowDictionaryKeyType>(
            keys: &ArrayRef,
            values: &ArrayRef,
        ) -> std::result::Result<ArrayRef, ArrowError> {
            let dictionary = DictionaryArray::<K>::try_new(keys.as_primitive::<K>().clone(), values.clone())?;
            Ok(Arc::new(dictionary))
        }
        macro_rules! dictionary {
            ($key:ty, $keys:ident, $values:ident) => {
                dictionary::<$key>($keys, $values)
            };
        }
        // Room for all of them was made sure of.
        let places = cast(places, &self.keys)?;
        let keys = &take(&places, keys, None)?;
        downcast_integer! {
            self.keys => (dictionary, keys, all),
            _ => Err(ArrowError::SchemaError("keys are integers".to_string()))
        }
    }

    fn failed(&self, error: ArrowError) -> Error {
        let (name, kind) = (&self.name, ErrorKind::Unsupported);
        let text = format!("column `{name}`: its dictionaries differ, and cannot be made one: cast it to its values");
        Error::with_source(kind, text, error)
    }
}

impl Known {
    fn new(values: &ArrayRef) -> std::result::Result<Known, ArrowError> {
        let converter = RowConverter::new(vec![SortField::new(values.data_type().clone())])?;
        let rows = converter.convert_columns(std::slice::from_ref(values))?;
        let mut places = HashMap::with_capacity_and_hasher(values.len(), FixedState::default());
        for (at, row) in rows.iter().enumerate() {
            places.entry(row.data().into()).or_insert(at as u64);
        }
        Ok(Known { converter, places })
    }
}

/// How many values keys of a type tell apart.
fn most(keys: &DataType) -> u64 {
    let bits = keys.primitive_width().unwrap_or(8) as u32 * 8 - u32::from(keys.is_signed_integer());
    1_u64.checked_shl(bits).unwrap_or(u64::MAX)
}
