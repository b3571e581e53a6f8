//! What a file of JSON lines tells of its columns, to whoever writes more of them.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use arrow::json::reader::infer_json_schema;

use super::sample::{as_read, sample};
use super::{JsonOptions, numbers, scan};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::files::SourceFile;

/// The columns of a file, by as many rows as a reader looks at; null is the type of what has no values. Nothing where there are no objects.
///
/// # Errors
/// Of kind `Io` or `Data`, where the file cannot be read.
pub fn columns_of(path: &Path) -> Result<Option<SchemaRef>> {
    let meta = std::fs::metadata(path).map_err(|error| Error::io(path, "cannot open", error))?;
    let file = SourceFile { path: path.to_path_buf(), bytes: meta.len(), modified: meta.modified().ok() };
    let (text, rows) = (sample(&file)?, JsonOptions::default().sample_rows);
    let text = as_read(&text);
    let found = infer_json_schema(Cursor::new(text), Some(rows));
    let (schema, _) =
        found.map_err(|error| Error::new(ErrorKind::Data, format!("{}: {}", path.display(), scan::plain(&error))))?;
    // Numbers that fit no integer type may have been written as decimals: they are left as they were found.
    let settled = numbers::settle(schema.clone(), text, rows, |_| false).unwrap_or(schema);
    Ok((!settled.fields().is_empty()).then(|| Arc::new(settled)))
}

/// Kinds of values that JSON tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Integer,
    Float,
    Boolean,
    Text,
    List,
    Struct,
}

/// Whether values of a type may be read as what was found in a file; true where that is not known.
pub fn may_be(own: &DataType, found: &DataType) -> bool {
    // Types are as deep as those of the table.
    match (own, found) {
        (DataType::Dictionary(_, values), _) => may_be(values, found),
        (DataType::List(own) | DataType::LargeList(own), DataType::List(found)) => {
            may_be(own.data_type(), found.data_type())
        }
        (DataType::Struct(own), DataType::Struct(found)) => own.iter().all(|field| {
            found.find(field.name()).is_some_and(|(_, found)| may_be(field.data_type(), found.data_type()))
        }),
        _ => match (kind(own), kind(found)) {
            (Some(own), Some(found)) => own == found,
            (None, _) | (_, None) => true,
        },
    }
}

/// As what values of a type are written; nothing where that is not one of these.
fn kind(data_type: &DataType) -> Option<Kind> {
    Some(match data_type {
        integer if integer.is_integer() => Kind::Integer,
        float if float.is_floating() => Kind::Float,
        DataType::Boolean => Kind::Boolean,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Kind::Text,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Kind::Text,
        DataType::List(_) | DataType::LargeList(_) => Kind::List,
        DataType::Struct(_) => Kind::Struct,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{Field, Fields};

    use super::*;

    #[test]
    fn kinds_that_are_told_apart() {
        let list = |of: DataType| DataType::List(Arc::new(Field::new("item", of, true)));
        let object = |name: &str, of: DataType| DataType::Struct(Fields::from(vec![Field::new(name, of, true)]));
        for (own, found, expected) in [
            (DataType::Int8, DataType::UInt64, true),
            (DataType::Int64, DataType::Float64, false),
            (DataType::Float32, DataType::Float64, true),
            (DataType::Date32, DataType::Utf8, true),
            (DataType::Boolean, DataType::Utf8, false),
            (DataType::Utf8, DataType::Null, true),
            (DataType::Decimal128(38, 0), DataType::Utf8, true),
            (list(DataType::Int64), list(DataType::Int64), true),
            (list(DataType::Int64), list(DataType::Utf8), false),
            (list(DataType::Int64), DataType::Int64, false),
            (object("a", DataType::Int64), object("a", DataType::Null), true),
            (object("b", DataType::Int64), object("a", DataType::Int64), false),
        ] {
            assert_eq!(may_be(&own, &found), expected, "{own} {found}");
        }
    }
}
