//! Many keys as one: a table for each of hundreds of columns would take far more memory than the columns.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StructArray};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields};

use super::intern::{failed, plain_type};
use crate::error::Result;

/// As many keys have a table each; more are put side by side row by row.
const MOST_APART: usize = 32;

/// The keys as fields of one value, where there are many.
pub(super) fn fields(keys: &[DataType]) -> Option<Fields> {
    let field = |(at, key): (usize, &DataType)| Field::new(at.to_string(), plain_type(key), true);
    (keys.len() > MOST_APART).then(|| keys.iter().enumerate().map(field).collect())
}

/// Keys put together. Where null is no value, a row that has one among them is null.
pub(super) fn pack(fields: &Fields, keys: &[ArrayRef], keep_nulls: bool) -> Result<ArrayRef> {
    let plain = |(field, key): (&Arc<Field>, &ArrayRef)| match key.data_type() == field.data_type() {
        true => Ok(key.clone()),
        false => cast(key, field.data_type()).map_err(failed),
    };
    let columns = fields.iter().zip(keys).map(plain).collect::<Result<Vec<ArrayRef>>>()?;
    let nulls = match keep_nulls {
        true => None,
        false => columns.iter().fold(None, |all, column| {
            let own = column.logical_nulls().filter(|nulls| nulls.null_count() > 0);
            NullBuffer::union(all.as_ref(), own.as_ref())
        }),
    };
    Ok(Arc::new(StructArray::try_new(fields.clone(), columns, nulls).map_err(failed)?))
}

/// The keys again.
pub(super) fn unpack(packed: &ArrayRef) -> Vec<ArrayRef> {
    packed.as_struct().columns().to_vec()
}
