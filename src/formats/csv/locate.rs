//! Where in a file an error is. Only files with errors pay for it: they are read again row by row.

use std::sync::Arc;

use arrow::array::{Array, StringArray};
use arrow::datatypes::{DataType, Schema};
use arrow::error::ArrowError;

use super::quotes::{Quotes, never_closed};
use super::read::Layout;
use super::sample::SAMPLE_ROWS;
use super::{CsvSource, unnamed_types};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::files;

/// The error of a file with its line, and its column if it is of one.
pub(super) fn locate(source: &CsvSource, file: usize, layout: &Layout, error: &ArrowError) -> Error {
    let path = source.files()[file].path.display();
    match find(source, file, layout) {
        Ok(Some(text)) => Error::new(ErrorKind::Data, format!("{path}, {text}")),
        Ok(None) => Error::new(ErrorKind::Data, format!("{path}: {error}")),
        Err(other) => other,
    }
}

/// Goes through a file row by row up to the first that cannot be read.
fn find(source: &CsvSource, file: usize, layout: &Layout) -> Result<Option<String>> {
    let path = &source.files()[file].path;
    let mut reader = files::open(path)?;
    let mut decoder = source.decoder(layout, 1)?;
    let mut line = 1_u64;
    let mut row: Vec<u8> = Vec::new();
    // The first row of text is the header, which the parser passes over.
    let mut rows = 0_u64;
    let mut quotes = Quotes::new(source.options.delimiter);
    loop {
        let text = reader.fill_buf().map_err(|error| Error::io(path, "cannot read", error))?;
        let at_end = text.is_empty();
        if let (true, Some(line)) = (at_end, quotes.open()) {
            // What else is wrong comes of that.
            return Ok(Some(never_closed(line)));
        }
        let used = match decoder.decode(text) {
            Ok(used) => used,
            Err(error) => return Ok(Some(format!("line {}: {}", first_line(line, &row), fields(&error)))),
        };
        quotes.pass(&text[..used]);
        row.extend_from_slice(&text[..used]);
        reader.consume(used);
        if decoder.capacity() > 0 && !at_end {
            if rows == 0 && used > 0 {
                // That was the header, or a part of it.
                line += row.iter().filter(|byte| **byte == b'\n').count() as u64;
                row.clear();
            }
            continue;
        }
        rows += 1;
        match decoder.flush() {
            Ok(None) => return Ok(None),
            Ok(Some(_)) => {}
            Err(error) => return Ok(Some(bad_value(source, layout, first_line(line, &row), &row, &error)?)),
        }
        line += row.iter().filter(|byte| **byte == b'\n').count() as u64;
        row.clear();
        if at_end {
            return Ok(None);
        }
    }
}

/// The line on which a row begins, which may come after empty ones.
fn first_line(line: u64, row: &[u8]) -> u64 {
    line + row.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).filter(|byte| **byte == b'\n').count() as u64
}

/// What the parser says of a wrong number of fields, without the line, which it counts otherwise.
fn fields(error: &ArrowError) -> String {
    let text = error.to_string();
    match text.split_once(", expected ") {
        Some((_, rest)) => {
            let (expected, got) = rest.split_once(" got ").unwrap_or((rest, "another number"));
            format!("{got} fields where the header has {expected}")
        }
        None => text.trim_start_matches("Csv error: ").to_string(),
    }
}

/// Which column of a row does not fit its type.
fn bad_value(source: &CsvSource, layout: &Layout, line: u64, row: &[u8], error: &ArrowError) -> Result<String> {
    let names: Vec<String> = layout.schema.fields().iter().map(|field| field.name().clone()).collect();
    if let Err(error) = std::str::from_utf8(row) {
        // The parser looks at all columns at once.
        let (before, after) = row.split_at(error.valid_up_to());
        let mut quotes = Quotes::new(source.options.delimiter);
        quotes.pass(before);
        let name = names.get(quotes.column()).map_or("", String::as_str);
        let byte = after.first().copied().unwrap_or_default();
        return Ok(format!("line {line}, column `{name}`: the byte 0x{byte:02X} is not UTF-8"));
    }
    let mut header: Vec<u8> = vec![b'h'];
    header.extend(std::iter::repeat_n([source.options.delimiter, b'h'], names.len() - 1).flatten());
    header.push(b'\n');
    let read = |schema: Arc<Schema>, column: usize| {
        let one = Layout { schema, projection: vec![column], order: vec![0] };
        let mut decoder = source.decoder(&one, 1)?;
        for text in [&header[..], row, &[]] {
            let mut at = 0;
            while at < text.len() || text.is_empty() {
                let used = decoder.decode(&text[at..]).map_err(|e| Error::new(ErrorKind::Data, e.to_string()))?;
                at += used;
                if used == 0 {
                    break;
                }
            }
        }
        decoder.flush().map_err(|e| Error::new(ErrorKind::Data, e.to_string()))
    };
    for column in &layout.projection {
        if read(layout.schema.clone(), *column).is_ok() {
            continue;
        }
        let field = layout.schema.field(*column);
        let (name, data_type) = (field.name(), field.data_type());
        let as_text = Arc::new(unnamed_types(names.iter().cloned(), &DataType::Utf8));
        let value = match read(as_text, *column) {
            Ok(Some(batch)) => batch
                .column(0)
                .as_any()
                .downcast_ref::<StringArray>()
                .and_then(|texts| (texts.len() == 1 && texts.is_valid(0)).then(|| texts.value(0).to_string())),
            Ok(None) | Err(_) => None,
        };
        let Some(value) = value else { return Ok(format!("line {line}, column `{name}`: {error}")) };
        let mut text = format!("line {line}, column `{name}`: `{value}` is not a {data_type}");
        if !source.is_declared(name) {
            text.push_str(&format!(
                "; the type was taken from the first {SAMPLE_ROWS} rows: declare another with dtype(\"{name}\", …) or \
                 name what is null with null_values"
            ));
        }
        return Ok(text);
    }
    Ok(format!("line {line}: {error}"))
}
