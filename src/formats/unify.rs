//! One schema for the files of a data set: columns by name, null where a file does not have them.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields};

use super::widen::{same_values, widest};
use crate::error::{Error, ErrorKind, Result};

/// The columns of files with these schemas, of which each is that of the file beside it, in the order in which they are met. All may be null.
///
/// # Errors
/// Of kind `Data`, where a column has different types and they are not to be widened, or nothing holds both; and where a file
/// has two columns of one name.
pub(super) fn unify<'a>(
    schemas: impl IntoIterator<Item = (&'a Fields, &'a Path)>,
    widen: bool,
) -> Result<Vec<FieldRef>> {
    // With the file whose type it has.
    let mut columns: Vec<(FieldRef, &Path)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for (fields, path) in schemas {
        let mut seen = std::collections::HashSet::new();
        for field in fields {
            if !seen.insert(field.name()) {
                let text = format!("{} has two columns `{}`", path.display(), field.name());
                return Err(Error::new(ErrorKind::Data, text));
            }
            let Some(place) = places.get(field.name()) else {
                places.insert(field.name().clone(), columns.len());
                columns.push((Arc::new(Field::clone(field).with_nullable(true)), path));
                continue;
            };
            let (known, first): &mut (FieldRef, &Path) = &mut columns[*place];
            let (a, b) = (known.data_type(), field.data_type());
            if a == b {
                continue;
            }
            let common = if widen || same_values(a, b) { widest(a, b) } else { None };
            let common = common.ok_or_else(|| mismatch(field.name(), a, first, b, path, widen))?;
            if common != *a {
                *known = Arc::new(Field::clone(known).with_data_type(common));
                *first = path;
            }
        }
    }
    Ok(columns.into_iter().map(|(field, _)| field).collect())
}

fn mismatch(name: &str, a: &DataType, first: &Path, b: &DataType, second: &Path, widen: bool) -> Error {
    let (first, second) = (first.display(), second.display());
    let fix = if widen { "no type holds both" } else { "widen the schema, or read the files apart" };
    Error::new(ErrorKind::Data, format!("column `{name}` is {a} in {first} and {b} in {second}: {fix}"))
}
