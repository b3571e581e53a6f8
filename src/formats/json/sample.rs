//! The first lines of a file, and the columns that they tell of.

use std::collections::HashSet;
use std::io::{Cursor, Read as _};

use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::json::reader::{infer_json_schema, infer_json_schema_from_iterator};
use serde_json::{Map, Value};

use super::scan::{plain, value_of};
use super::{JsonOptions, numbers, strict};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::files::SourceFile;
use crate::formats::lines::{LONGEST, shown, too_long};

/// Text that the sample is taken from, if not a single line is longer.
const SAMPLE_BYTES: u64 = 1 << 20;

/// Whole lines at the start of a file, one at least if there is one.
pub(super) fn sample(file: &SourceFile) -> Result<Vec<u8>> {
    let mut source = file.text()?;
    let mut text = Vec::new();
    let mut wanted = SAMPLE_BYTES;
    loop {
        let more = wanted - text.len() as u64;
        let read = source.by_ref().take(more).read_to_end(&mut text);
        let read = read.map_err(|error| Error::io(&file.path, "cannot read", error))? as u64;
        let at_end = read < more;
        if !at_end {
            match memchr::memrchr(b'\n', &text) {
                Some(last) => text.truncate(last + 1),
                None if wanted > LONGEST => return Err(too_long("line", file, 0, LONGEST)?),
                None => {
                    wanted *= 4;
                    continue;
                }
            }
        }
        return Ok(text);
    }
}

/// Text without the byte-order mark that it may begin with.
pub(super) fn as_read(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text)
}

/// The columns of the first rows of a sample.
pub(super) fn infer(file: &SourceFile, text: &[u8], options: &JsonOptions) -> Result<Schema> {
    let rows = options.sample_rows.max(1);
    let text = as_read(text);
    let path = file.path.display();
    let lines = || (1..).zip(strict::lines(text)).filter(|(_, line)| !strict::is_blank(line)).take(rows);
    for (number, line) in lines() {
        if let Some(fault) = strict::fault(line) {
            return Err(Error::new(ErrorKind::Data, format!("{path}, line {number}: {}", cut(fault))));
        }
    }
    let (schema, _) = infer_json_schema(Cursor::new(text), Some(rows)).map_err(|error| {
        let lines: Vec<(usize, &[u8])> = lines().collect();
        let text = conflict(&lines).unwrap_or_else(|| format!(": {}", plain(&error)));
        Error::new(ErrorKind::Data, format!("{path}{text}"))
    })?;
    let declared: HashSet<&str> = options.dtypes.iter().map(|(name, _)| name.as_str()).collect();
    numbers::settle(schema, text, rows, |column| declared.contains(column)).map_err(|misfit| {
        let line = lines().nth(misfit.row).map_or(1, |(number, _)| number);
        let column = misfit.key.split('.').next().unwrap_or_default();
        let text = format!(
            "{path}, line {line}, key `{}`: {}: declare a type with dtype(\"{column}\", …), such as Float64, which rounds, \
             or Decimal128, which does not",
            misfit.key, misfit.text
        );
        Error::new(ErrorKind::Data, text)
    })
}

/// Where lines that are objects have no columns together: in the first that does not fit those before it, and in which value.
fn conflict(lines: &[(usize, &[u8])]) -> Option<String> {
    let parsed = |(_, line): &(usize, &[u8])| serde_json::from_slice::<Value>(line).ok();
    let objects: Vec<Value> = lines.iter().map(parsed).collect::<Option<_>>()?;
    let fit = |objects: &mut dyn Iterator<Item = Value>| {
        let objects = objects.map(Ok::<Value, ArrowError>);
        infer_json_schema_from_iterator(objects).is_ok()
    };
    // Once lines do not fit, no more do.
    let counts: Vec<usize> = (1..=objects.len()).collect();
    let at = counts.partition_point(|count| fit(&mut objects[..*count].iter().cloned()));
    let wrong = objects.get(at)?.as_object()?;
    let only = |key: &String, of: &Value| -> Option<Value> {
        Some(Value::Object(Map::from_iter([(key.clone(), of.get(key)?.clone())])))
    };
    let (key, value) = wrong.iter().find(|(key, _)| !fit(&mut objects[..=at].iter().filter_map(|of| only(key, of))))?;
    let among = |places: &[usize]| fit(&mut places.iter().filter_map(|place| only(key, &objects[*place])));
    let (number, line) = lines[at];
    let shown = value_of(line, key).map(|value| shown(value.as_bytes())).unwrap_or_default();
    let other = if among(&[at]) { (0..at).find(|before| !among(&[*before, at])) } else { None };
    let what = match other {
        Some(before) if kind(&objects[before][key]) != kind(value) => {
            format!("`{shown}` is {}, and line {} has {}", kind(value), lines[before].0, kind(&objects[before][key]))
        }
        Some(before) => format!("`{shown}` holds values of other kinds than line {} does", lines[before].0),
        None => format!("`{shown}` holds values of several kinds"),
    };
    Some(format!(", line {number}, column `{key}`: {what}"))
}

/// What a value is called.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Letters that are shown of what is said of a line: there may be whole values in it.
const SAID: usize = 400;

/// A text that is not too long.
pub(super) fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(SAID) {
        text.truncate(end);
        text.push('…');
    }
    text
}
