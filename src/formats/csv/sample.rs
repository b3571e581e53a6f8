//! Names, types and sizes of columns, from the first rows of a file; and how each file is laid out.

use std::collections::{HashMap, HashSet};
use std::io::Read as _;
use std::path::Path;

use arrow::datatypes::{DataType, TimeUnit};

use super::encode::CsvWriteOptions;
use super::instant;
use super::number;
use super::options::CsvOptions;
use super::record::{Next, Record, next};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::files::SourceFile;
use crate::formats::integers::Integers;
use crate::formats::lines::{LONGEST, line_of, too_long};

/// Text that the sample is taken from, if not a single row is longer.
const SAMPLE_BYTES: usize = 1 << 20;

/// What the sample showed of the sizes.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// Text per row.
    row_bytes: f64,
    /// Memory per row and column.
    widths: Vec<f64>,
    /// Whether there are any rows.
    any: bool,
}

impl Sample {
    /// Memory of some columns of so much text; a quarter more than the sample says, for it is no more than a sample.
    pub fn decoded_bytes(&self, text_bytes: u64, columns: &[usize]) -> u64 {
        let rows = text_bytes as f64 / self.row_bytes.max(1.0);
        let width: f64 = columns.iter().map(|column| self.widths.get(*column).copied().unwrap_or(PATH_WIDTH)).sum();
        (rows * width * 1.25) as u64 + 1024
    }
}

/// Bytes of a path in a column of paths.
const PATH_WIDTH: f64 = 64.0;

/// How a file is laid out.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// Where its first row starts, behind the header.
    pub first: u64,
    /// The names of its columns.
    pub names: Vec<String>,
}

/// The start of a file's text.
struct Start {
    text: Vec<u8>,
    /// Behind byte-order mark and lines that are passed over.
    from: usize,
    at_end: bool,
}

impl Start {
    /// Reads the start of a file, so much of it that there are some whole records if there are any.
    fn read(file: &SourceFile, options: &CsvOptions, bytes: usize) -> Result<Start> {
        let mut source = file.text()?;
        let mut start = Start { text: Vec::new(), from: 0, at_end: false };
        let mut wanted = bytes;
        loop {
            let more = wanted.saturating_sub(start.text.len()) as u64;
            let read = source.by_ref().take(more).read_to_end(&mut start.text);
            let read = read.map_err(|error| Error::io(&file.path, "cannot read", error))? as u64;
            start.at_end = read < more;
            let place = start.skip(options.skip_rows);
            if let Some(from) = place {
                start.from = from;
                let whole = !matches!(next(&start.text, from, &options.dialect(), start.at_end), Next::More);
                if whole || start.at_end {
                    return Ok(start);
                }
            } else if start.at_end {
                start.from = start.text.len();
                return Ok(start);
            }
            if start.text.len() as u64 > LONGEST {
                return Err(too_long("row", file, start.from as u64, LONGEST)?);
            }
            wanted = (start.text.len() * 4).min(LONGEST as usize + 1);
        }
    }

    /// Where the text starts behind a byte-order mark and some lines.
    fn skip(&self, lines: usize) -> Option<usize> {
        let mut at = if self.text.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
        for _ in 0..lines {
            at += memchr::memchr(b'\n', &self.text[at..])? + 1;
        }
        Some(at)
    }

    fn next(&self, from: usize, options: &CsvOptions) -> Next<'_> {
        next(&self.text, from, &options.dialect(), self.at_end)
    }

    /// The names of the columns and where rows begin.
    fn layout(&self, file: &SourceFile, options: &CsvOptions) -> Result<Layout> {
        let record = match self.next(self.from, options) {
            Next::Record(record) => record,
            Next::Open(at) => return Err(never_closed(file, at as u64)?),
            Next::More | Next::End if !options.column_names.is_empty() => {
                return Ok(Layout { first: self.from as u64, names: options.column_names.clone() });
            }
            Next::More | Next::End => {
                let what = if options.has_header { "header row" } else { "rows" };
                return Err(Error::new(ErrorKind::Data, format!("{} has no {what}", file.path.display())));
            }
        };
        let first = if options.has_header { record.next } else { self.from };
        let names = self.names(file, options, &record)?;
        Ok(Layout { first: first as u64, names })
    }

    fn names(&self, file: &SourceFile, options: &CsvOptions, record: &Record<'_>) -> Result<Vec<String>> {
        let path = file.path.display();
        if !options.column_names.is_empty() {
            let (given, there) = (options.column_names.len(), record.raw.len());
            if given != there {
                let text = format!("{path} has {there} columns, and {given} names are given for them");
                return Err(Error::new(ErrorKind::Data, text));
            }
            return Ok(options.column_names.clone());
        }
        if !options.has_header {
            return Ok((1..=record.raw.len()).map(|column| format!("column_{column}")).collect());
        }
        let mut names = Vec::with_capacity(record.raw.len());
        for field in record.fields(options.quote) {
            match String::from_utf8(field.into_owned()) {
                Ok(name) => names.push(name),
                Err(error) if options.lossy => names.push(String::from_utf8_lossy(error.as_bytes()).into_owned()),
                Err(_) => {
                    let line = line_of(file, record.start as u64)?;
                    let text = format!("{path}, line {line}: the names of the columns are not UTF-8");
                    return Err(Error::new(ErrorKind::Data, text));
                }
            }
        }
        let mut seen = HashSet::new();
        if let Some(twice) = names.iter().find(|name| !seen.insert(name.as_str())) {
            let line = line_of(file, record.start as u64)?;
            let text = format!("{path}, line {line}: two columns are called `{twice}`");
            return Err(Error::new(ErrorKind::Data, text));
        }
        Ok(names)
    }
}

/// How a file is laid out.
pub(super) fn layout(file: &SourceFile, options: &CsvOptions) -> Result<Layout> {
    Start::read(file, options, 16 << 10)?.layout(file, options)
}

/// How many fields the first row of a file has that was written with these options and no header; nothing where it has no rows.
///
/// # Errors
/// Of kind `Io`, where the file cannot be read; of kind `Data`, where it is no CSV.
pub fn fields_of_first(path: &Path, written: &CsvWriteOptions) -> Result<Option<usize>> {
    let meta = std::fs::metadata(path).map_err(|error| Error::io(path, "cannot open", error))?;
    let file = SourceFile { path: path.to_path_buf(), bytes: meta.len(), modified: meta.modified().ok() };
    let (delimiter, quote) = (written.delimiter, Some(written.quote));
    let options = CsvOptions { delimiter, quote, has_header: false, ..CsvOptions::default() };
    let start = Start::read(&file, &options, 16 << 10)?;
    match start.next(start.from, &options) {
        Next::Record(record) => Ok(Some(record.raw.len())),
        Next::Open(at) => Err(never_closed(&file, at as u64)?),
        // Blank lines are rows of one field.
        Next::More | Next::End => Ok((start.from < start.text.len()).then_some(1)),
    }
}

/// The error of a quote that was opened at a place.
pub(super) fn never_closed(file: &SourceFile, opened: u64) -> Result<Error> {
    let line = line_of(file, opened)?;
    let text = format!("{}, line {line}: a quote is opened and never closed", file.path.display());
    Ok(Error::new(ErrorKind::Data, text))
}

/// The names of the columns of the first file, and their types and sizes by the first that has rows.
pub(super) fn take<'a>(
    mut files: impl Iterator<Item = &'a SourceFile>,
    options: &CsvOptions,
) -> Result<(Vec<(String, DataType)>, Sample)> {
    let first = files.next().ok_or_else(|| Error::new(ErrorKind::Io, "no files to read"))?;
    let (mut columns, mut sample) = take_one(first, options)?;
    if sample.any {
        return Ok((columns, sample));
    }
    for file in files {
        let (found, of_found) = take_one(file, options)?;
        if !of_found.any {
            continue;
        }
        let found: HashMap<&str, (&DataType, f64)> =
            found.iter().zip(&of_found.widths).map(|((name, of), width)| (name.as_str(), (of, *width))).collect();
        for ((name, data_type), width) in columns.iter_mut().zip(&mut sample.widths) {
            if let Some((of, wide)) = found.get(name.as_str()) {
                (*data_type, *width) = (DataType::clone(of), *wide);
            }
        }
        sample.row_bytes = of_found.row_bytes;
        break;
    }
    Ok((columns, sample))
}

/// Names and types of the columns of a file, and sizes.
fn take_one(file: &SourceFile, options: &CsvOptions) -> Result<(Vec<(String, DataType)>, Sample)> {
    let start = Start::read(file, options, SAMPLE_BYTES)?;
    let layout = start.layout(file, options)?;
    let mut seen: Vec<Seen> = layout.names.iter().map(|_| Seen::default()).collect();
    let by_column = options.by_column();
    let nulls: Vec<_> = layout.names.iter().map(|name| by_column.parser(name, DataType::Utf8)).collect();
    let mut at = layout.first as usize;
    let mut rows = 0;
    while rows < options.sample_rows.max(1) {
        let record = match start.next(at, options) {
            Next::Record(record) => record,
            Next::Open(at) => return Err(never_closed(file, at as u64)?),
            Next::More | Next::End => break,
        };
        for ((field, seen), nulls) in record.fields(options.quote).zip(&mut seen).zip(&nulls) {
            seen.bytes += field.len();
            let null = field.is_empty() || nulls.markers.contain(&field);
            if !null && rows < options.sample_rows {
                seen.add(&field);
            }
        }
        rows += 1;
        at = record.next;
    }
    let text = (at - (layout.first as usize).min(at)).max(1) as f64;
    if seen.len() == 1 {
        // Blank lines are rows.
        rows = memchr::memchr_iter(b'\n', start.text.get(layout.first as usize..at).unwrap_or_default()).count();
    }
    let any = rows > 0;
    let rows = rows.max(1) as f64;
    let mut widths = Vec::with_capacity(seen.len());
    let mut columns = Vec::with_capacity(seen.len());
    for (name, seen) in layout.names.into_iter().zip(seen) {
        let data_type = by_column.declared(&name).unwrap_or_else(|| seen.data_type());
        widths.push(match data_type.primitive_width() {
            Some(width) => width as f64 + 0.125,
            None => seen.bytes as f64 / rows + 4.125,
        });
        columns.push((name, seen.data_type()));
    }
    Ok((columns, Sample { row_bytes: text / rows, widths, any }))
}

/// What the fields of a column look like.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    bytes: usize,
    integers: Integers,
    floats: bool,
    booleans: bool,
    dates: bool,
    instants: bool,
    zoned: bool,
    texts: bool,
}

impl Seen {
    fn add(&mut self, field: &[u8]) {
        let field = field.trim_ascii();
        if self.integers.add(field) {
            return;
        }
        if number::any_float(field).is_some() {
            self.floats = true;
        } else if super::fields::boolean(field).is_some() {
            self.booleans = true;
        } else if instant::date(field).is_some() {
            self.dates = true;
        } else if instant::timestamp(field, 1_000_000).is_some() {
            self.instants = true;
        } else if field.len() > 19 && instant::timestamp(&field[..19], 1).is_some() {
            // The time of the day is behind a point or before a zone.
            let known = instant::any_timestamp(field, TimeUnit::Microsecond, None).is_some();
            *(if known { &mut self.zoned } else { &mut self.texts }) = true;
        } else {
            self.texts = true;
        }
    }

    fn data_type(&self) -> DataType {
        let numbers = self.integers.any || self.floats;
        let days = self.dates || self.instants;
        match (numbers, self.booleans, days, self.zoned, self.texts) {
            (true, false, false, false, false) if self.floats => DataType::Float64,
            // What does not fit keeps its digits.
            (true, false, false, false, false) => self.integers.data_type().unwrap_or(DataType::Utf8),
            (false, true, false, false, false) => DataType::Boolean,
            (false, false, true, false, false) if self.instants => DataType::Timestamp(TimeUnit::Microsecond, None),
            (false, false, true, false, false) => DataType::Date32,
            (false, false, false, true, false) => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
            _ => DataType::Utf8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_fields() {
        let micros = || DataType::Timestamp(TimeUnit::Microsecond, None);
        for (fields, expected) in [
            (&["1", "-20", "007"][..], DataType::Int64),
            (&["1", "2.5"], DataType::Float64),
            (&["1", "NaN"], DataType::Float64),
            (&["1e5"], DataType::Float64),
            (&["9223372036854775808", "1"], DataType::UInt64),
            (&["9223372036854775808", "-1"], DataType::Utf8),
            (&["9223372036854775808", "2.5"], DataType::Float64),
            (&["18446744073709551616"], DataType::Utf8),
            (&["-99999999999999999999999999999999999999999999"], DataType::Utf8),
            (&["99999999999999999999999999999999999999999999"], DataType::Utf8),
            (&["1", "x"], DataType::Utf8),
            (&["true", "False"], DataType::Boolean),
            (&["true", "1"], DataType::Utf8),
            (&["2024-01-01"], DataType::Date32),
            (&["2024-01-01", "2024-01-01 10:00:00"], micros()),
            (&["2024-01-01T10:00:00.123456"], micros()),
            (&["2024-01-01T10:00:00Z"], DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))),
            (&["2024-01-01T10:00:00Z", "2024-01-01"], DataType::Utf8),
            (&["2024-13-01"], DataType::Utf8),
            (&[], DataType::Utf8),
        ] {
            let mut seen = Seen::default();
            fields.iter().for_each(|field| seen.add(field.as_bytes()));
            assert_eq!(seen.data_type(), expected, "{fields:?}");
        }
    }
}
