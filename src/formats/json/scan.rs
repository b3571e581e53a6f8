//! Reading blocks of lines.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::error::ArrowError;
use arrow::json::reader::Decoder;
use serde_json::value::RawValue;

use super::objects::{LostKey, Misfit, Shape, lost_key, misfit};
use super::sample::cut;
use super::{JsonSource, strict};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::blocks::Block;
use crate::formats::files::SourceFile;
use crate::formats::lines::{LONGEST, LongLine, line_of, shown};
use crate::formats::narrow::projected;
use crate::formats::pick::Pick;
use crate::formats::scan::{BATCH_ROWS, Emit, Morsel, ReadContext, Scan, ScanRequest, TableSource};
use crate::formats::window::{Feed, Window};

/// Text that is read at a time.
const STEP: usize = 256 << 10;

/// Text of the rows of a batch, about.
const BATCH_BYTES: f64 = 1048576.0;

/// Text of the rows of a batch at most, where not a single line is longer.
const MOST_BATCH_BYTES: u64 = 2 << 20;

/// So many times that are decoded with a decoder that is not used again.
const LARGE_BATCHES: u64 = 2;

/// Lines of JSON as one plan reads them.
pub(super) struct JsonScan {
    source: Arc<JsonSource>,
    pick: Pick,
    /// What objects are made into.
    shape: Shape,
    /// One for each morsel.
    blocks: Vec<Block>,
    morsels: Vec<Morsel>,
    /// What is left out of the source.
    detail: String,
}

impl JsonScan {
    pub fn new(source: Arc<JsonSource>, request: &ScanRequest) -> Result<JsonScan> {
        let judged = source.per_file.judge(&request.predicates, source.files.len())?;
        let pick = Pick::of(&request.columns, &judged.rest, source.schema())?;
        let in_rows = |column: &usize| source.per_file.in_rows(*column);
        let mut of_files: Vec<usize> = pick.read().iter().copied().filter(in_rows).collect();
        if of_files.is_empty() {
            // Rows are counted by any column.
            of_files.push(0);
        }
        let wanted = projected(&source.of_files, &of_files);
        let shape = Shape { wanted, all: source.of_files.clone(), ignore_unknown: source.options.ignore_unknown };
        let blocks = source.blocks.of_files(&judged.kept);
        let morsels = blocks.iter().map(|block| {
            let text =
                block.end.map_or_else(|| source.files[block.file as usize].text_bytes(), |end| end - block.start);
            Morsel {
                partition: block.partition,
                rows: None,
                bytes: source.decoded_bytes(text, &request.columns),
                // The decoder keeps numbers and texts of a batch with an index of them.
                need: STEP as u64 + 4 * BATCH_BYTES as u64,
            }
        });
        let morsels = morsels.collect();
        Ok(JsonScan { pick, shape, blocks, morsels, detail: judged.detail(), source })
    }

    fn decoder(&self, rows: usize) -> Result<Decoder> {
        let made = self.shape.decoder(rows);
        made.map_err(|error| Error::with_source(ErrorKind::Plan, "reading JSON", error))
    }

    /// The columns and rows that come out of what was read of a file; nothing if no row does.
    fn narrow(&self, file: usize, batch: &RecordBatch) -> Result<Option<RecordBatch>> {
        let per_file = &self.source.per_file;
        // Those in rows stand in the order of the schema.
        let mut of_rows = batch.columns().iter().cloned();
        let column = |column: &usize| match per_file.in_rows(*column) {
            true => of_rows.next().ok_or_else(|| Error::internal("a column that was not read")),
            false => Ok(per_file.column(*column, file, batch.num_rows(), false)),
        };
        let columns = self.pick.read().iter().map(column).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let read = RecordBatch::try_new_with_options(self.pick.read_schema().clone(), columns, &options);
        self.pick.pick(&read.map_err(|error| Error::internal(format!("a batch of JSON lines: {error}")))?)
    }

    fn read_block(&self, block: &Block, context: &ReadContext<'_>, emit: &mut Emit<'_>) -> Result<()> {
        let file = &self.source.files[block.file as usize];
        let before = u64::from(block.start > 0);
        let end = block.end.unwrap_or(u64::MAX);
        let mut feed = match block.end {
            Some(_) => Feed::File(file.open()?, file.bytes),
            None => Feed::Stream(file.text()?),
        };
        if block.end.is_none() {
            context.count(file.bytes);
        }
        let mut window = Window::new(Vec::new(), block.start - before);
        let mut fill = |window: &mut Window, bytes: usize| -> Result<()> {
            let read = window.fill(&mut feed, bytes).map_err(|error| match error.kind() {
                std::io::ErrorKind::UnexpectedEof if block.end.is_some() => file.changed(),
                _ => Error::io(&file.path, "cannot read", error),
            })?;
            if block.end.is_some() {
                context.count(read as u64);
            }
            Ok(())
        };
        fill(&mut window, STEP)?;
        if before == 0 && window.text().starts_with(b"\xEF\xBB\xBF") {
            window.consume(3);
        }
        // The line that is open belongs to the block before.
        let mut open = before == 1;
        while open {
            match memchr::memchr(b'\n', window.text()) {
                Some(at) => {
                    window.consume(at + 1);
                    open = false;
                }
                None if window.at_end() || window.offset() >= end => return Ok(()),
                None => {
                    window.consume(window.text().len());
                    fill(&mut window, STEP)?;
                }
            }
        }
        let rows = ((BATCH_BYTES / self.source.row_bytes) as usize).clamp(64, BATCH_ROWS);
        let mut decoder = self.decoder(rows)?;
        // The first line begins before a byte-order mark.
        let mut done = if before == 0 { end == 0 } else { window.offset() >= end };
        let mut batch_start = window.offset();
        let mut long = LongLine::new("line", context.budget);
        // Text of the window in which there is no newline.
        let mut seen = 0;
        while !done {
            context.check()?;
            let text = window.text();
            // The last line of the block ends with the first newline at or behind its last byte.
            let last = usize::try_from((end - 1).saturating_sub(window.offset())).unwrap_or(usize::MAX).max(seen);
            let newline = text.get(last..).and_then(|rest| memchr::memchr(b'\n', rest));
            let whole = match newline {
                Some(at) => Some(last + at + 1),
                None => memchr::memrchr(b'\n', &text[seen..]).map(|at| seen + at + 1),
            };
            let Some(cut) = whole.or_else(|| window.at_end().then_some(text.len())) else {
                seen = text.len();
                long.hold(long_line(seen), file, window.offset(), seen as u64)?;
                fill(&mut window, STEP.max(seen / 4))?;
                continue;
            };
            done = newline.is_some() || window.at_end() && cut == text.len();
            long.hold(long_line(cut), file, window.offset(), cut as u64)?;
            strict::check(&text[..cut]).map_err(|error| self.failed(file, batch_start, &error))?;
            let (base, mut at) = (window.offset(), 0);
            loop {
                let used = decoder.decode(&text[at..cut]).map_err(|error| self.failed(file, batch_start, &error))?;
                at += used;
                let decoded = base + at as u64 - batch_start;
                if at == cut && !done && decoded < MOST_BATCH_BYTES {
                    break;
                }
                let batch = decoder.flush().map_err(|error| self.failed(file, batch_start, &error))?;
                batch_start = base + at as u64;
                if let Some(batch) = batch
                    && let Some(batch) = self.narrow(block.file as usize, &batch)?
                    && emit(batch)? == ControlFlow::Break(())
                {
                    return Ok(());
                }
                if decoded > LARGE_BATCHES * MOST_BATCH_BYTES {
                    // What the decoder grew to is given back with it.
                    decoder = self.decoder(rows)?;
                }
                if at == cut {
                    break;
                }
            }
            window.consume(cut);
            seen = 0;
            if done {
                break;
            }
            if window.memory() > MOST_BATCH_BYTES as usize {
                window.shrink();
            }
            long.hold(0, file, batch_start, 0)?;
            if !window.at_end() {
                fill(&mut window, STEP)?;
            }
        }
        Ok(())
    }

    /// The error of a file with its line and column: its lines are read again from the start of the batch on.
    fn failed(&self, file: &SourceFile, from: u64, error: &ArrowError) -> Error {
        match self.find(file, from) {
            Ok(Some(found)) => found,
            Ok(None) => Error::new(ErrorKind::Data, format!("{}: {}", file.path.display(), plain(error))),
            Err(other) => other,
        }
    }

    fn find(&self, file: &SourceFile, from: u64) -> Result<Option<Error>> {
        let failed = |error| Error::io(&file.path, "cannot read", error);
        let mut source = BufReader::new(file.text()?);
        std::io::copy(&mut source.by_ref().take(from), &mut std::io::sink()).map_err(failed)?;
        // As many lines as a batch may have been made of, and where each of them ends.
        let (mut start, mut text, mut ends) = (from, Vec::new(), Vec::new());
        loop {
            let read = source.by_ref().take(LONGEST).read_until(b'\n', &mut text).map_err(failed)? as u64;
            // A line that long is not held a second time.
            if read == LONGEST {
                return Ok(None);
            }
            if read > 0 {
                ends.push(text.len());
            }
            if read > 0 && ends.len() < BATCH_ROWS && (text.len() as u64) < MOST_BATCH_BYTES {
                continue;
            }
            if let Some(line) = self.first_wrong(&text, &ends) {
                let begin = line.checked_sub(1).map_or(0, |before| ends[before]);
                return self.told(file, start + begin as u64, &text[begin..ends[line]]).map(Some);
            }
            if read == 0 {
                return Ok(None);
            }
            start += text.len() as u64;
            text.clear();
            ends.clear();
        }
    }

    /// The first of some lines without which those before it can be read. Halves are tried, as each try goes through all columns.
    fn first_wrong(&self, text: &[u8], ends: &[usize]) -> Option<usize> {
        let mut right = ends.len();
        if right == 0 || decoded(&self.shape, text, right).is_ok() {
            return None;
        }
        let mut left = 0;
        while right - left > 1 {
            let middle = left + (right - left) / 2;
            let begin = left.checked_sub(1).map_or(0, |before| ends[before]);
            match decoded(&self.shape, &text[begin..ends[middle - 1]], middle - left) {
                Ok(()) => left = middle,
                Err(_) => right = middle,
            }
        }
        Some(left)
    }

    /// What is wrong with a line that begins at a place of the file.
    fn told(&self, file: &SourceFile, place: u64, line: &[u8]) -> Result<Error> {
        let number = line_of(file, place)?;
        let path = file.path.display();
        let text = match (strict::fault(line), decoded(&self.shape, line, 1)) {
            (Some(fault), _) => cut(fault),
            (None, Ok(())) => "cannot be read".to_string(),
            (None, Err(error)) => match (lost_key(&error), misfit(&error)) {
                (Some(key), _) => self.how_to_keep(key),
                (None, Some(misfit)) => return Ok(self.of_another_type(file, number, line, misfit)),
                (None, None) => plain(&error),
            },
        };
        Ok(Error::new(ErrorKind::Data, format!("{path}, line {number}: {text}")))
    }

    /// The error of a value that is not what its column is of.
    fn of_another_type(&self, file: &SourceFile, number: u64, line: &[u8], misfit: &Misfit) -> Error {
        let (path, name) = (file.path.display(), &misfit.column);
        let Some(value) = value_of(line, name) else {
            let text = format!("{path}, line {number}, column `{name}`: {}", plain(&misfit.error));
            return Error::new(ErrorKind::Data, text);
        };
        let value = shown(value.as_bytes());
        let mut text = format!("{path}, line {number}, column `{name}`: `{value}` is not a {}", misfit.data_type);
        if !self.source.options.dtypes.iter().any(|(declared, _)| declared == name) {
            let rows = self.source.options.sample_rows;
            text.push_str(&format!(
                "; the type was taken from the first {rows} rows: declare another with dtype(\"{name}\", …)"
            ));
        }
        Error::new(ErrorKind::Data, text)
    }
}

impl JsonScan {
    /// What is wrong with a key, and what helps.
    fn how_to_keep(&self, key: &LostKey) -> String {
        let options = &self.source.options;
        let column = key.path.first().map_or("", String::as_str);
        let declared = options.dtypes.iter().any(|(name, _)| name == column);
        let fix = match (key.twice, key.path.len()) {
            (true, _) => "a value of it would be lost".to_string(),
            (false, 2..) if declared => format!(
                "dtype(\"{column}\", …) does not say so: declare it there, or pass over such keys with ignore_unknown()"
            ),
            _ => format!(
                "it is not in the first {} rows: take more of them with sample_rows(…), declare it with dtype(\"{column}\", …), \
                 or pass over such keys with ignore_unknown()",
                options.sample_rows
            ),
        };
        format!("{key}; {fix}")
    }
}

impl Scan for JsonScan {
    fn morsels(&self) -> &[Morsel] {
        &self.morsels
    }

    fn read(&self, morsel: usize, context: &ReadContext<'_>, emit: &mut Emit<'_>) -> Result<()> {
        let block = self.blocks.get(morsel);
        self.read_block(block.ok_or_else(|| Error::internal("a morsel that is not there"))?, context, emit)
    }

    fn detail(&self) -> String {
        self.detail.clone()
    }
}

/// What a line of so much text takes beyond what lines do: it is in the window, in the decoder, in columns and on its way.
fn long_line(text: usize) -> u64 {
    5 * (text as u64).saturating_sub(MOST_BATCH_BYTES)
}

/// Reads some lines to see whether they can be.
fn decoded(shape: &Shape, text: &[u8], lines: usize) -> Result<(), ArrowError> {
    strict::check(text)?;
    let mut decoder = shape.decoder(lines)?;
    // There are no more objects than lines.
    decoder.decode(text)?;
    decoder.flush().map(drop)
}

/// The value of a key as it is written in a line.
pub(super) fn value_of<'a>(line: &'a [u8], key: &str) -> Option<&'a str> {
    let values: HashMap<String, &RawValue> = serde_json::from_slice(line).ok()?;
    values.get(key).map(|value| value.get())
}

/// What the library says, without its own prefix.
pub(super) fn plain(error: &ArrowError) -> String {
    let text = match error {
        ArrowError::ExternalError(inner) => inner.to_string(),
        other => other.to_string(),
    };
    cut(text.strip_prefix("Json error: ").unwrap_or(&text).to_string())
}
