//! What is done with batches of tables: pure functions on Arrow's arrays.

pub mod explode;
pub mod fill;
pub mod number;
pub mod parts;
pub mod top;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array, UInt64Array, new_empty_array,
};
use arrow::compute::{FilterBuilder, cast, concat, concat_batches, take, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;

use crate::error::{Error, ErrorKind, Result};
use crate::expr::{Lookup, has_type};
use crate::store::shown_bytes;

/// A morsel or a partition of a table.
pub type Batches = Vec<RecordBatch>;

/// A batch of columns whose layout may be another one than the schema says: text may be a dictionary.
pub fn batch_of(schema: &SchemaRef, arrays: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let fits = schema.fields().iter().zip(&arrays).all(|(field, array)| field.data_type() == array.data_type());
    let schema = if fits { schema.clone() } else { laid_out(schema, &arrays) };
    RecordBatch::try_new_with_options(schema, arrays, &options)
        .map_err(|error| Error::with_source(ErrorKind::Internal, "a batch", error))
}

/// The schema with the types that arrays have.
fn laid_out(schema: &SchemaRef, arrays: &[ArrayRef]) -> SchemaRef {
    let fields = schema.fields().iter().zip(arrays).map(|(field, array)| {
        if field.data_type() == array.data_type() {
            field.clone()
        } else {
            Arc::new(Field::clone(field).with_data_type(array.data_type().clone()))
        }
    });
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone()))
}

/// A batch with the columns and types that the schema says; it may have more columns.
pub fn conform(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if Arc::ptr_eq(batch.schema_ref(), schema) || batch.schema_ref() == schema {
        return Ok(batch);
    }
    let rows = batch.num_rows();
    let found = batch.schema_ref();
    let places = Lookup::new(found);
    let arrays = schema.fields().iter().enumerate().map(|(at, field)| {
        // Mostly columns stand where they are wanted.
        let here = found.fields().get(at).is_some_and(|found| found.name() == field.name());
        let at = if here { Some(at) } else { places.place(field.name()) };
        let array = at.map(|at| batch.column(at));
        let array = array.ok_or_else(|| Error::internal(format!("a batch without the column `{}`", field.name())))?;
        if array.data_type() == field.data_type() {
            return Ok(array.clone());
        }
        cast(array, field.data_type()).map_err(|error| Error::with_source(ErrorKind::Data, field.name(), error))
    });
    batch_of(schema, arrays.collect::<Result<Vec<ArrayRef>>>()?, rows)
}

/// What a user's function gave, which has to have the columns that were declared.
pub fn declared(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let alike = |(a, b): (&Arc<Field>, &Arc<Field>)| a.name() == b.name() && a.data_type() == b.data_type();
    let same = batch.num_columns() == schema.fields().len()
        && batch.schema_ref().fields().iter().zip(schema.fields()).all(alike);
    if !same {
        let listed = |schema: &Schema| {
            let fields = schema.fields().iter().map(|field| format!("{}: {}", field.name(), field.data_type()));
            fields.collect::<Vec<_>>().join(", ")
        };
        let text = format!("the function gave ({}), and ({}) was declared", listed(batch.schema_ref()), listed(schema));
        return Err(Error::new(ErrorKind::Task, text));
    }
    let rows = batch.num_rows();
    batch_of(schema, batch.columns().to_vec(), rows)
}

/// The rows of some columns for which a mask without nulls is true.
pub fn filter(batch: &RecordBatch, mask: &BooleanArray, columns: &[usize], schema: &SchemaRef) -> Result<RecordBatch> {
    let kept = mask.values().count_set_bits();
    let arrays: Vec<ArrayRef> = if kept == mask.len() {
        columns.iter().map(|column| batch.column(*column).clone()).collect()
    } else {
        let mut filter = FilterBuilder::new(mask);
        if columns.len() > 1 {
            filter = filter.optimize();
        }
        let filter = filter.build();
        let filtered = columns.iter().map(|column| filter.filter(batch.column(*column)));
        filtered.collect::<Result<Vec<ArrayRef>, _>>().map_err(failed)?
    };
    batch_of(schema, arrays, kept)
}

/// Some rows of a batch, ascending; some perhaps several times.
pub fn take_rows(batch: &RecordBatch, rows: Vec<u32>) -> Result<RecordBatch> {
    if rows.len() == batch.num_rows() && rows.iter().enumerate().all(|(at, row)| at == *row as usize) {
        return Ok(batch.clone());
    }
    take_record_batch(batch, &UInt32Array::from(rows)).map_err(failed)
}

/// The columns of a batch that a schema names, laid out as they are.
pub fn named(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let same = |(a, b): (&Arc<Field>, &Arc<Field>)| a.name() == b.name();
    let found = batch.schema_ref().fields();
    if found.len() == schema.fields().len() && found.iter().zip(schema.fields()).all(same) {
        return Ok(batch.clone());
    }
    let places = Lookup::new(batch.schema_ref());
    let array = |field: &Arc<Field>| {
        let array = places.place(field.name()).map(|at| batch.column(at).clone());
        array.ok_or_else(|| Error::internal(format!("a batch without the column `{}`", field.name())))
    };
    let arrays = schema.fields().iter().map(array).collect::<Result<Vec<ArrayRef>>>()?;
    batch_of(schema, arrays, batch.num_rows())
}

/// A batch behind a column with the places of its rows, from `first` on.
pub fn numbered(batch: &RecordBatch, first: u64, schema: &SchemaRef) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    let places: ArrayRef = Arc::new(UInt64Array::from_iter_values(first..first + rows as u64));
    let mut arrays = Vec::with_capacity(schema.fields().len());
    arrays.push(places);
    let places = Lookup::new(batch.schema_ref());
    for field in schema.fields().iter().skip(1) {
        let array = places.place(field.name()).map(|at| batch.column(at).clone());
        arrays.push(array.ok_or_else(|| Error::internal(format!("a batch without the column `{}`", field.name())))?);
    }
    batch_of(schema, arrays, rows)
}

/// Batches of one schema as one.
///
/// # Errors
/// As [`concat_column`].
pub fn concat_rows(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<RecordBatch> {
    let arrays = schema.fields().iter().enumerate().map(|(at, field)| {
        let parts: Vec<&dyn Array> = batches.iter().map(|batch| &**batch.column(at)).collect();
        concat_column(field, &parts)
    });
    let arrays = arrays.collect::<Result<Vec<ArrayRef>>>()?;
    batch_of(schema, arrays, batches.iter().map(RecordBatch::num_rows).sum())
}

/// The parts of a column as one array.
///
/// # Errors
/// Of kind `Data`, naming the column, where they are too much for one.
pub fn concat_column(field: &Field, parts: &[&dyn Array]) -> Result<ArrayRef> {
    if parts.is_empty() {
        return Ok(new_empty_array(field.data_type()));
    }
    concat(parts).map_err(|error| {
        let (name, found) = (field.name(), field.data_type());
        let text = match (&error, found) {
            (ArrowError::DictionaryKeyOverflowError, _) => {
                let plain = match found {
                    DataType::Dictionary(_, values) => values.to_string(),
                    _ => "a type without a dictionary".to_string(),
                };
                format!(
                    "the column `{name}` has more different values than the keys of a {found} can number: cast it to \
                     {plain}, or to a dictionary with wider keys"
                )
            }
            (ArrowError::OffsetOverflowError(_), DataType::Utf8 | DataType::Binary) => {
                format!(
                    "the values of the column `{name}` are more than one {found} array holds: cast it to Large{found}"
                )
            }
            _ => format!("the column `{name}` of type {found} does not fit into one array"),
        };
        Error::with_source(ErrorKind::Data, text, error)
    })
}

/// Adds a batch to those that a task keeps: small ones are put together, and what holds much more memory than it shows is
/// copied, so that memory is what it is counted to be.
pub fn keep(kept: &mut Batches, batch: RecordBatch) -> Result<()> {
    const SMALL: usize = 4 << 10;
    // Rows may be large: as large as this they are not copied again and again.
    const SMALL_BYTES: u64 = 1 << 20;
    if batch.num_rows() == 0 {
        return Ok(());
    }
    let batch = compact(batch)?;
    if let Some(last) = kept.last_mut()
        && batch.num_rows() < SMALL
        && last.num_rows() < SMALL
        && last.schema_ref() == batch.schema_ref()
        // The values of two dictionaries may be more than keys can number.
        && !batch.schema_ref().fields().iter().any(|field| has_type(field.data_type(), is_dictionary))
        && batch_bytes(last) < SMALL_BYTES
        && batch_bytes(&batch) < SMALL_BYTES
    {
        *last = concat_batches(&last.schema(), [&*last, &batch]).map_err(failed)?;
    } else {
        kept.push(batch);
    }
    Ok(())
}

fn is_dictionary(of: &DataType) -> bool {
    matches!(of, DataType::Dictionary(..))
}

/// The memory that the rows of a batch take.
pub fn batch_bytes(batch: &RecordBatch) -> u64 {
    batch.columns().iter().map(|column| shown_bytes(column)).sum()
}

/// The batch with buffers of its own where those it has are more than twice as large as what it shows of them.
pub fn compact(batch: RecordBatch) -> Result<RecordBatch> {
    let wasteful = |array: &ArrayRef| {
        let copied =
            !matches!(array.data_type(), DataType::Dictionary(..) | DataType::ListView(_) | DataType::LargeListView(_));
        // Of these a copy looks into the same values.
        copied && array.get_buffer_memory_size() as u64 > shown_bytes(array).saturating_mul(2).saturating_add(1024)
    };
    if !batch.columns().iter().any(wasteful) {
        return Ok(batch);
    }
    let arrays = batch.columns().iter().map(|array| {
        if !wasteful(array) {
            return Ok(array.clone());
        }
        match array.data_type() {
            DataType::Utf8View => Ok(Arc::new(array.as_string_view().gc()) as ArrayRef),
            DataType::BinaryView => Ok(Arc::new(array.as_binary_view().gc()) as ArrayRef),
            _ => {
                let rows = UInt64Array::from_iter_values(0..array.len() as u64);
                take(array, &rows, None).map_err(failed)
            }
        }
    });
    let arrays = arrays.collect::<Result<Vec<ArrayRef>>>()?;
    batch_of(&batch.schema(), arrays, batch.num_rows())
}

/// The first rows of batches, or the last ones.
pub fn limit(batches: Batches, rows: usize, end: bool) -> Batches {
    let mut left = rows;
    let mut kept = Batches::new();
    let ordered: Box<dyn Iterator<Item = RecordBatch>> =
        if end { Box::new(batches.into_iter().rev()) } else { Box::new(batches.into_iter()) };
    for batch in ordered {
        let own = batch.num_rows().min(left);
        if own == 0 {
            break;
        }
        kept.push(batch.slice(if end { batch.num_rows() - own } else { 0 }, own));
        left -= own;
    }
    if end {
        kept.reverse();
    }
    kept
}

/// A column of conditions as a mask: null is false.
pub fn condition(array: &ArrayRef) -> Result<BooleanArray> {
    let mask = array.as_any().downcast_ref::<BooleanArray>();
    let mask = mask.ok_or_else(|| Error::internal("a condition that is none"))?;
    Ok(if mask.null_count() == 0 { mask.clone() } else { arrow::compute::prep_null_mask_filter(mask) })
}

pub fn failed(error: ArrowError) -> Error {
    Error::with_source(ErrorKind::Data, "", error)
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, Int64Array, ListArray, StringArray, StringViewArray, StructArray};
    use arrow::datatypes::{Int8Type, Int64Type};

    use super::*;

    fn batch(arrays: Vec<ArrayRef>) -> RecordBatch {
        RecordBatch::try_from_iter(arrays.into_iter().enumerate().map(|(at, array)| (format!("c{at}"), array))).unwrap()
    }

    #[test]
    fn a_slice_that_is_kept_holds_what_it_shows() {
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>((0..10_000).map(|n| Some(vec![Some(n); 3])));
        let views = StringViewArray::from_iter_values((0..10_000).map(|n| format!("{n} {}", "x".repeat(50))));
        let numbers = Int64Array::from_iter_values(0..10_000);
        let arrays: Vec<ArrayRef> = vec![Arc::new(lists), Arc::new(views), Arc::new(numbers)];
        let whole = batch(arrays);
        let mut kept = Batches::new();
        keep(&mut kept, whole.slice(5000, 100)).unwrap();
        assert_eq!(kept, [whole.slice(5000, 100)]);
        for array in kept[0].columns() {
            let (held, shown) = (array.get_buffer_memory_size() as u64, shown_bytes(array));
            assert!(held <= 2 * shown + 1024, "{}: {held} for {shown}", array.data_type());
        }
        // What shows all that it holds is not copied.
        let mut kept = Batches::new();
        keep(&mut kept, whole.clone()).unwrap();
        let start = |batch: &RecordBatch| batch.column(2).as_primitive::<Int64Type>().values().as_ptr();
        assert_eq!(start(&kept[0]), start(&whole));
    }

    /// A hundred rows, each with a value of its own.
    fn coded(start: usize) -> ArrayRef {
        let values: Vec<String> = (start..start + 100).map(|n| format!("value {n}")).collect();
        Arc::new(values.iter().map(|value| Some(value.as_str())).collect::<DictionaryArray<Int8Type>>())
    }

    #[test]
    fn dictionaries_are_not_put_together() {
        let nested = |array: ArrayRef| -> ArrayRef {
            Arc::new(StructArray::from(vec![(Arc::new(Field::new("in", array.data_type().clone(), true)), array)]))
        };
        for of in [&(|array| array) as &dyn Fn(ArrayRef) -> ArrayRef, &nested] {
            let batches: Batches = (0..3).map(|at| batch(vec![of(coded(100 * at))])).collect();
            let mut kept = Batches::new();
            batches.iter().for_each(|batch| keep(&mut kept, batch.clone()).unwrap());
            assert_eq!(kept, batches);
        }
        let numbers = |start: i64| batch(vec![Arc::new(Int64Array::from_iter_values(start..start + 100))]);
        let mut kept = Batches::new();
        (0..3).for_each(|at| keep(&mut kept, numbers(100 * at)).unwrap());
        assert_eq!(kept.len(), 1);
    }

    #[test]
    fn few_large_rows_are_not_put_together() {
        let text = batch(vec![Arc::new(StringArray::from(vec!["x".repeat(200 << 10); 10]))]);
        let mut kept = Batches::new();
        (0..3).for_each(|_| keep(&mut kept, text.clone()).unwrap());
        assert_eq!(kept.len(), 3);
    }

    #[test]
    fn what_does_not_fit_into_one_array_says_which_column_it_is() {
        let batches: Batches = (0..3).map(|at| batch(vec![coded(100 * at)])).collect();
        let error = concat_rows(&batches[0].schema(), &batches).unwrap_err();
        let text = "the column `c0` has more different values than the keys of a Dictionary(Int8, Utf8) can number: cast it \
                    to Utf8, or to a dictionary with wider keys";
        assert!(error.kind() == ErrorKind::Data && error.message().starts_with(text), "{error}");
        assert_eq!(concat_rows(&batches[0].schema(), &batches[..1]).unwrap(), batches[0]);
    }
}
