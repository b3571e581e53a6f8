//! Numbers of the sample that no `Int64` holds: what they are is told by their digits.
//!
//! The library takes them for floats, which would round them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};
use arrow::error::ArrowError;

use super::objects::Shape;
use crate::formats::integers::Integers;
use crate::formats::lines::shown;

/// A number that no integer type of its column holds.
#[derive(Debug)]
pub(super) struct Misfit {
    /// Its row in the sample.
    pub row: usize,
    /// Its key, behind those of the objects that it is in.
    pub key: String,
    /// What is wrong with it.
    pub text: String,
}

/// The columns of a sample as they were inferred, but that floats are integers where all numbers of the column are written as such.
/// `rows` are those that the sample was inferred from; columns for which `declared` holds are left as they are.
pub(super) fn settle(
    schema: Schema,
    text: &[u8],
    rows: usize,
    declared: impl Fn(&str) -> bool,
) -> Result<Schema, Misfit> {
    let unsure = |field: &&FieldRef| has_floats(field.data_type()) && !declared(field.name());
    let wanted: Fields = schema.fields().iter().filter(unsure).map(as_digits).collect();
    if wanted.is_empty() {
        return Ok(schema);
    }
    // What cannot be made columns of is told, with its place, by whoever reads it.
    let Ok(Some(batch)) = digits(wanted, text, rows) else { return Ok(schema) };
    let all: Vec<usize> = (0..batch.num_rows()).collect();
    // They stand in the order of the schema.
    let mut made = batch.schema_ref().fields().iter().zip(batch.columns()).peekable();
    let settled = |field: &FieldRef| match made.next_if(|(of, _)| of.name() == field.name()) {
        Some((_, column)) => Ok(with_type(field, settled(field.data_type(), column, &all, field.name())?)),
        None => Ok(field.clone()),
    };
    Ok(Schema::new(schema.fields().iter().map(settled).collect::<Result<Vec<_>, _>>()?))
}

fn digits(wanted: Fields, text: &[u8], rows: usize) -> Result<Option<RecordBatch>, ArrowError> {
    let wanted = Arc::new(Schema::new(wanted));
    let shape = Shape { all: wanted.clone(), wanted, ignore_unknown: true };
    let lines = memchr::memchr_iter(b'\n', text).count() + 1;
    let mut decoder = shape.decoder(rows.clamp(1, lines))?;
    let used = decoder.decode(text)?;
    if used == text.len() && !text.ends_with(b"\n") {
        // A number at the very end may go on.
        decoder.decode(b"\n")?;
    }
    decoder.flush()
}

// Types are as deep as the text, whose depth the library bounds.

fn has_floats(data_type: &DataType) -> bool {
    match data_type {
        DataType::Float64 => true,
        DataType::List(inner) => has_floats(inner.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_floats(field.data_type())),
        _ => false,
    }
}

/// A field with texts in place of floats, and of what is not known.
fn as_digits(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Float64 | DataType::Null => DataType::Utf8,
        DataType::List(inner) => DataType::List(as_digits(inner)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(as_digits).collect()),
        other => other.clone(),
    };
    with_type(field, data_type)
}

fn with_type(field: &FieldRef, data_type: DataType) -> FieldRef {
    Field::clone(field).with_data_type(data_type).with_nullable(true).into()
}

/// The type of what was inferred as `data_type`; `rows` are those that the values are in.
fn settled(data_type: &DataType, values: &ArrayRef, rows: &[usize], key: &str) -> Result<DataType, Misfit> {
    match (data_type, values.data_type()) {
        (DataType::Float64, DataType::Utf8) => {
            let mut seen = Integers::default();
            for (text, row) in values.as_string::<i32>().iter().zip(rows) {
                let Some(text) = text else { continue };
                if !seen.add(text.as_bytes()) {
                    return Ok(DataType::Float64);
                }
                if seen.data_type().is_none() {
                    return misfit(values, rows, *row, text, key);
                }
            }
            Ok(seen.data_type().unwrap_or(DataType::Float64))
        }
        (DataType::List(inner), DataType::List(_)) => {
            let list = values.as_list::<i32>();
            let mut inside = Vec::with_capacity(list.values().len());
            for (row, length) in rows.iter().zip(list.offsets().lengths()) {
                inside.extend(std::iter::repeat_n(*row, length));
            }
            Ok(DataType::List(with_type(inner, settled(inner.data_type(), list.values(), &inside, key)?)))
        }
        (DataType::Struct(fields), DataType::Struct(_)) => {
            let columns = fields.iter().zip(values.as_struct().columns());
            let field = |(field, column): (&FieldRef, &ArrayRef)| {
                let key = format!("{key}.{}", field.name());
                Ok(with_type(field, settled(field.data_type(), column, rows, &key)?))
            };
            Ok(DataType::Struct(columns.map(field).collect::<Result<_, _>>()?))
        }
        (other, _) => Ok(other.clone()),
    }
}

/// The type of numbers among which one fits no integer type: floats if any of them is written as one.
fn misfit(values: &ArrayRef, rows: &[usize], row: usize, text: &str, key: &str) -> Result<DataType, Misfit> {
    let mut all = Integers::default();
    if values.as_string::<i32>().iter().take(rows.len()).flatten().any(|text| !all.add(text.as_bytes())) {
        return Ok(DataType::Float64);
    }
    let text = shown(text.as_bytes());
    let text = match all.negative && !all.beyond {
        true => format!(
            "{text} stands among negative integers and integers above {}, which no integer type has both",
            i64::MAX
        ),
        false => format!("{text} fits neither Int64 nor UInt64"),
    };
    Err(Misfit { row, key: key.to_string(), text })
}
