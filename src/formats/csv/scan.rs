//! Reading blocks: which records are of a block, and batches of the columns that are wanted.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::filter;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::CsvSource;
use super::chain::{Chain, Summary};
use super::fields::{Fields, Parser, Problem};
use super::mask::{Bits, Dialect, State, WORD, with_comments};
use super::record::{Next, next};
use super::rows::{Rows, Wanted};
use super::sample::{Layout, layout, never_closed};
use super::words::Words;
use crate::error::{Error, ErrorKind, Result};
use crate::formats::blocks::Block;
use crate::formats::files::SourceFile;
use crate::formats::lines::{LongLine, line_of, shown};
use crate::formats::narrow::{Conditions, Kept, projected};
use crate::formats::scan::{BATCH_ROWS, Emit, Morsel, ReadContext, Scan, ScanRequest, TableSource};
use crate::formats::window::{Feed, Window};

/// Text that becomes a batch, so that the text, the places of its fields and the columns made of it stay near the core.
const STEP: usize = 512 << 10;

/// Text behind a block that is read with it: its last record mostly ends there.
const BEHIND: usize = 8 << 10;

/// CSV files as one plan reads them.
pub(super) struct CsvScan {
    source: Arc<CsvSource>,
    dialect: Dialect,
    /// The columns that come out.
    columns: Vec<usize>,
    /// One for each of the source's columns that is read.
    parsers: Vec<Option<Parser>>,
    /// Which of the source's columns may come as codes.
    coded: Vec<bool>,
    conditions: Option<Conditions>,
    schema: SchemaRef,
    /// One for each morsel.
    blocks: Vec<Block>,
    morsels: Vec<Morsel>,
    /// What is left out of the source.
    detail: String,
    files: Vec<FileState>,
    /// Memory to be used again.
    idle: Mutex<Vec<Memory>>,
}

/// What is known of a file once a task has looked at it.
#[derive(Default)]
struct FileState {
    layout: OnceLock<Arc<Placed>>,
    chain: OnceLock<Mutex<Chain>>,
}

/// The layout of a file, and where the columns of the source are in it.
struct Placed {
    layout: Layout,
    places: Vec<Place>,
}

/// Where a column of the source comes from.
#[derive(Clone, Copy)]
enum Place {
    /// A field of each row.
    Field(usize),
    /// The file does not have it.
    Missing,
    /// All rows of the file have the same.
    Constant,
}

/// What a task needs beside its batches.
#[derive(Default)]
struct Memory {
    text: Vec<u8>,
    rows: Rows,
    spans: Vec<(u32, u32)>,
    /// For each of the source's columns that may come as codes, its texts.
    words: Vec<Option<Words>>,
}

impl CsvScan {
    pub fn new(source: Arc<CsvSource>, request: &ScanRequest) -> Result<CsvScan> {
        let judged = source.per_file.judge(&request.predicates, source.files.len())?;
        let conditions = Conditions::new(&judged.rest, source.schema())?;
        let fields = source.schema().fields();
        let is_any_of = |places: &[usize]| {
            let mut is = vec![false; fields.len()];
            for place in places {
                is.get_mut(*place).into_iter().for_each(|is| *is = true);
            }
            is
        };
        let wanted = is_any_of(&request.columns);
        let compared = is_any_of(conditions.as_ref().map_or(&[], Conditions::columns));
        let as_codes = is_any_of(&request.dictionaries);
        let by_column = source.options.by_column();
        let parser = |(column, field): (usize, &Arc<Field>)| {
            ((wanted[column] || compared[column]) && source.per_file.in_rows(column))
                .then(|| by_column.parser(field.name(), field.data_type().clone()))
        };
        let parsers = fields.iter().enumerate().map(parser).collect();
        let coded = fields
            .iter()
            .enumerate()
            .map(|(column, field)| as_codes[column] && *field.data_type() == DataType::Utf8 && !compared[column]);
        let coded = coded.collect();
        let schema = projected(source.schema(), &request.columns);
        let blocks = source.blocks.of_files(&judged.kept);
        let morsels = blocks.iter().map(|block| {
            let file = &source.files[block.file as usize];
            let text = block.end.map_or_else(|| file.text_bytes(), |end| end - block.start);
            let held = block.end.map_or(STEP as u64, |end| end - block.start) + BEHIND as u64;
            Morsel {
                partition: block.partition,
                rows: None,
                bytes: source.decoded_bytes(text, &request.columns),
                need: held + 2 * STEP as u64,
            }
        });
        let morsels = morsels.collect();
        let files = source.files.iter().map(|_| FileState::default()).collect();
        let dialect = source.options.dialect();
        let columns = request.columns.clone();
        Ok(CsvScan {
            source,
            dialect,
            columns,
            parsers,
            coded,
            conditions,
            schema,
            blocks,
            morsels,
            detail: judged.detail(),
            files,
            idle: Mutex::default(),
        })
    }

    fn placed(&self, file: usize) -> Result<Arc<Placed>> {
        if let Some(placed) = self.files[file].layout.get() {
            return Ok(placed.clone());
        }
        let layout = layout(&self.source.files[file], &self.source.options)?;
        let known: HashMap<&str, usize> =
            layout.names.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
        let places = self.source.schema().fields().iter().enumerate().map(|(column, field)| {
            match known.get(field.name().as_str()) {
                _ if !self.source.per_file.in_rows(column) => Place::Constant,
                Some(place) => Place::Field(*place),
                None => Place::Missing,
            }
        });
        let placed = Arc::new(Placed { places: places.collect(), layout });
        Ok(self.files[file].layout.get_or_init(|| placed).clone())
    }

    fn read_block(
        &self,
        block: &Block,
        memory: &mut Memory,
        context: &ReadContext<'_>,
        emit: &mut Emit<'_>,
    ) -> Result<()> {
        let index = block.file as usize;
        let file = &self.source.files[index];
        let placed = self.placed(index)?;
        let first = placed.layout.first;
        let buffer = std::mem::take(&mut memory.text);
        memory.words = self.coded.iter().map(|coded| coded.then(Words::new)).collect();
        let mut reading = Reading {
            scan: self,
            index,
            file,
            placed: &placed,
            context,
            end: u64::MAX,
            feed: None,
            window: Window::new(buffer, 0),
            long: LongLine::new("row", context.budget),
        };
        let wanted = match block.end {
            None => {
                reading.feed = Some(Feed::Stream(file.text()?));
                context.count(file.bytes);
                reading.pass_over(first)?;
                true
            }
            Some(end) if block.start.max(first) < end => {
                reading.end = end;
                reading.locate(block, &self.files[index].chain)?
            }
            Some(_) => false,
        };
        let done = if wanted { reading.run(memory, emit) } else { Ok(()) };
        let declared = block.end.map_or(STEP, |end| (end - block.start) as usize) + STEP;
        // What a long row took is given back.
        memory.text = reading.window.into_buffer();
        if memory.text.len() > declared {
            memory.text = Vec::new();
        }
        done
    }

    /// The batch of some rows; nothing if none is kept.
    fn batch(
        &self,
        reading: &Reading<'_>,
        text: &[u8],
        rows: &Rows,
        spans: &mut Vec<(u32, u32)>,
        words: &mut [Option<Words>],
    ) -> Result<Option<RecordBatch>> {
        let mut make = |column: usize, some: Option<&[u32]>| -> Result<ArrayRef> {
            let count = some.map_or(rows.len(), <[u32]>::len);
            let place = match (reading.placed.places[column], &self.parsers[column]) {
                (Place::Field(place), Some(parser)) => (place, parser),
                (Place::Constant | Place::Missing | Place::Field(_), _) => {
                    return Ok(self.source.per_file.column(column, reading.index, count, self.coded[column]));
                }
            };
            rows.spans(place.0, some, spans);
            let fields = Fields { text, spans, doubled: rows.doubled };
            let coded = match words.get_mut(column) {
                Some(Some(words)) if !words.over => place.1.parse_words(fields, words),
                Some(_) | None => Ok(None),
            };
            let made = coded.and_then(|coded| coded.map_or_else(|| place.1.parse(fields), Ok));
            made.or_else(|bad| {
                let row = some.map_or(bad.row, |some| some[bad.row] as usize);
                let (start, end) = spans[bad.row];
                let field = text.get(start as usize..end as usize).unwrap_or_default();
                Err(self.bad_field(reading, column, rows.start(row), field, bad.problem)?)
            })
        };
        let mut made: Vec<Option<ArrayRef>> = vec![None; self.parsers.len()];
        let mut chosen: Option<Vec<u32>> = None;
        if let Some(conditions) = &self.conditions {
            for column in conditions.columns() {
                made[*column] = Some(make(*column, None)?);
            }
            let columns = conditions.columns().iter().filter_map(|column| made[*column].clone()).collect();
            match conditions.kept(&batch_of(conditions.schema().clone(), columns, rows.len())?)? {
                Kept::All => {}
                Kept::Nothing => return Ok(None),
                Kept::Some(mask) => {
                    for array in made.iter_mut().flatten() {
                        *array = filter(array, &mask).map_err(|e| Error::with_source(ErrorKind::Data, "filter", e))?;
                    }
                    chosen = Some(mask.values().set_indices_u32().collect());
                }
            }
        }
        let mut columns = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            columns.push(match made[*column].take() {
                Some(array) => array,
                None => make(*column, chosen.as_deref())?,
            });
        }
        let count = chosen.as_ref().map_or(rows.len(), Vec::len);
        let same =
            columns.iter().zip(self.schema.fields()).all(|(array, field)| array.data_type() == field.data_type());
        let schema = if same { self.schema.clone() } else { with_types(&self.schema, &columns) };
        batch_of(schema, columns, count).map(Some)
    }

    /// The error of a field in a row that starts at a place of the text.
    fn bad_field(
        &self,
        reading: &Reading<'_>,
        column: usize,
        start: usize,
        field: &[u8],
        problem: Problem,
    ) -> Result<Error> {
        let line = line_of(reading.file, reading.window.offset() + start as u64)?;
        let wanted = self.source.schema().field(column);
        let (name, path) = (wanted.name(), reading.file.path.display());
        let mut text = format!("{path}, line {line}, column `{name}`: ");
        match problem {
            Problem::Utf8(byte) => text.push_str(&format!("the byte 0x{byte:02X} is not UTF-8")),
            Problem::Quote => text.push_str(&format!("{} has text behind its closing quote", shown(field))),
            Problem::Type => {
                let field = match self.dialect.quote {
                    Some(quote) if field.first() == Some(&quote) => super::fields::unquoted(field, quote),
                    Some(_) | None => None,
                }
                .unwrap_or(field.into());
                text.push_str(&format!("`{}` is not a {}", shown(&field), wanted.data_type()));
                if self.source.options.by_column().declared(name).is_none() {
                    let rows = self.source.options.sample_rows;
                    text.push_str(&format!(
                        "; the type was taken from the first {rows} rows: declare another with dtype(\"{name}\", …) or name \
                         what is null with null_values"
                    ));
                }
            }
        }
        Ok(Error::new(ErrorKind::Data, text))
    }
}

/// A schema with the types of columns as they are.
fn with_types(schema: &Schema, columns: &[ArrayRef]) -> SchemaRef {
    let fields = schema.fields().iter().zip(columns);
    let fields = fields.map(|(field, array)| field.as_ref().clone().with_data_type(array.data_type().clone()));
    Arc::new(Schema::new(fields.collect::<Vec<Field>>()))
}

fn batch_of(schema: Arc<Schema>, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let batch = RecordBatch::try_new_with_options(schema, columns, &options);
    batch.map_err(|error| Error::internal(format!("a batch of a CSV file: {error}")))
}

impl Scan for CsvScan {
    fn morsels(&self) -> &[Morsel] {
        &self.morsels
    }

    fn read(&self, morsel: usize, context: &ReadContext<'_>, emit: &mut Emit<'_>) -> Result<()> {
        let block = self.blocks.get(morsel);
        let block = block.ok_or_else(|| Error::internal("a morsel that is not there"))?;
        let mut memory = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        let done = self.read_block(block, &mut memory, context, emit);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
        done
    }

    fn detail(&self) -> String {
        self.detail.clone()
    }
}

/// One block while it is read.
struct Reading<'a> {
    scan: &'a CsvScan,
    /// Which file it is of.
    index: usize,
    file: &'a SourceFile,
    placed: &'a Placed,
    context: &'a ReadContext<'a>,
    /// Records that start before this place of the file are of the block.
    end: u64,
    feed: Option<Feed>,
    window: Window,
    /// Memory for a row that is longer than what was declared.
    long: LongLine<'a>,
}

impl Reading<'_> {
    fn fill(&mut self, bytes: usize) -> Result<usize> {
        let Some(feed) = &mut self.feed else { return Ok(0) };
        let read = self.window.fill(feed, bytes).map_err(|error| match (&*feed, error.kind()) {
            (Feed::File(..), std::io::ErrorKind::UnexpectedEof) => self.file.changed(),
            _ => Error::io(&self.file.path, "cannot read", error),
        })?;
        if let Feed::File(..) = feed {
            self.context.count(read as u64);
        }
        Ok(read)
    }

    /// Passes over the first bytes of a stream.
    fn pass_over(&mut self, bytes: u64) -> Result<()> {
        while self.window.offset() < bytes {
            if self.window.text().is_empty() && self.fill(STEP)? == 0 {
                break;
            }
            let left = usize::try_from(bytes - self.window.offset()).unwrap_or(usize::MAX);
            self.window.consume(left.min(self.window.text().len()));
        }
        Ok(())
    }

    /// Reads a block and moves to the first record that starts in it; says whether there is one.
    fn locate(&mut self, block: &Block, chain: &OnceLock<Mutex<Chain>>) -> Result<bool> {
        let dialect = &self.scan.dialect;
        let (first, length) = (self.placed.layout.first, self.file.bytes);
        let start = block.start.max(first);
        // Where neither quotes nor comments are, the byte before the block says it all.
        let plain = dialect.quote.is_none() && dialect.comment.is_none();
        let before = u64::from(plain && start > first);
        let buffer = std::mem::replace(&mut self.window, Window::new(Vec::new(), 0)).into_buffer();
        self.window = Window::new(buffer, start - before);
        let opened = self.file.open()?;
        let other = opened.try_clone().map_err(|error| Error::io(&self.file.path, "cannot read", error))?;
        self.feed = Some(Feed::File(opened, length));
        let own = (self.end - start + before) as usize;
        self.fill(own + BEHIND)?;
        let text = &self.window.text()[..own];
        let skip = if plain {
            if before == 0 { Some(0) } else { memchr::memchr(b'\n', text).map(|at| at + 1) }
        } else if self.end == length && start == first {
            Some(0)
        } else {
            let chain = chain.get_or_init(|| Mutex::new(Chain::new(self.scan.source.blocks.bytes, first, length)));
            let lock = || chain.lock().unwrap_or_else(PoisonError::into_inner);
            let lacks = lock().lacks(block.start);
            if lacks {
                // The others do not wait for it.
                let summary = Summary::of(text, dialect);
                lock().link(block.start, summary);
            }
            let count = |bytes| self.context.count(bytes);
            let state = lock().state(block.start, &other, dialect, &count);
            let state = state.map_err(|error| Error::io(&self.file.path, "cannot read", error))?;
            if state.record { Some(0) } else { first_end(text, dialect, state).map(|at| at + 1) }
        };
        match skip {
            Some(skip) if skip < own => {
                self.window.consume(skip);
                Ok(true)
            }
            Some(_) | None => Ok(false),
        }
    }

    /// Gives the rows batch by batch.
    fn run(&mut self, memory: &mut Memory, emit: &mut Emit<'_>) -> Result<()> {
        let options = &self.scan.source.options;
        let streamed = matches!(self.feed, Some(Feed::Stream(_)));
        let mut step = STEP;
        let declared = self.window.memory().max(STEP + BEHIND);
        loop {
            self.context.check()?;
            if streamed && self.window.text().len() < step {
                self.fill(step)?;
            }
            let before = usize::try_from(self.end.saturating_sub(self.window.offset())).unwrap_or(usize::MAX);
            let length = self.window.text().len();
            if before == 0 || (length == 0 && self.window.at_end()) {
                return Ok(());
            }
            let taken = length.min(step);
            let padded = self.window.padded(taken);
            let at_end = self.window.at_end() && taken == length;
            let wanted = Wanted {
                rows: BATCH_ROWS,
                before,
                at_end,
                fields: self.placed.layout.names.len(),
                short: options.short(),
                long: options.long(),
            };
            let rows = &mut memory.rows;
            if let Err(wrong) = rows.find(padded, &self.scan.dialect, &wanted) {
                return Err(self.wrong_fields(wrong.start, wrong.fields)?);
            }
            self.scan.source.skipped.fetch_add(rows.skipped, Ordering::Relaxed);
            if rows.used == 0 {
                if taken < length {
                    step *= 2;
                    self.make_room(length, step, declared)?;
                } else if at_end {
                    return Err(self.open_quote()?);
                } else {
                    let more = (length / 2).max(BEHIND);
                    self.make_room(length + more, step, declared)?;
                    self.fill(more)?;
                }
                continue;
            }
            if rows.len() > 0 {
                let text = self.window.padded(taken);
                if let Some(batch) = self.scan.batch(self, text, rows, &mut memory.spans, &mut memory.words)?
                    && emit(batch)? == ControlFlow::Break(())
                {
                    return Ok(());
                }
            }
            self.window.consume(memory.rows.used);
            if step > STEP {
                step = STEP;
                self.make_room(self.window.text().len(), step, declared)?;
            }
        }
    }

    /// Holds memory for a window of so much text, and for rows of a batch that are found in a step and what is made of them, as far as it was not
    /// declared.
    fn make_room(&mut self, text: usize, step: usize, declared: usize) -> Result<()> {
        let window = text.max(self.window.memory()).saturating_sub(declared);
        // As text in a column, and once more where that is on its way.
        let bytes = window + 2 * (step - STEP);
        let (start, seen) = (self.window.offset(), self.window.text().len().min(step));
        let Err(error) = self.long.hold(bytes as u64, self.file, start, seen as u64) else { return Ok(()) };
        let Next::Open(at) = next(self.window.text(), 0, &self.scan.dialect, true) else { return Err(error) };
        let line = line_of(self.file, start + at as u64)?;
        let text = format!("{}; a quote that is opened in line {line} may never be closed", error.message());
        Err(Error::new(error.kind(), text))
    }

    fn wrong_fields(&self, start: usize, fields: usize) -> Result<Error> {
        let line = line_of(self.file, self.window.offset() + start as u64)?;
        let expected = self.placed.layout.names.len();
        let (path, noun) = (self.file.path.display(), if fields == 1 { "field" } else { "fields" });
        let header = if self.scan.source.options.has_header { "header" } else { "first row" };
        let text = format!("{path}, line {line}: {fields} {noun} where the {header} has {expected}");
        Ok(Error::new(ErrorKind::Data, text))
    }

    /// The error of a record that has no end.
    fn open_quote(&self) -> Result<Error> {
        match next(self.window.text(), 0, &self.scan.dialect, true) {
            Next::Open(at) => never_closed(self.file, self.window.offset() + at as u64),
            _ => Ok(Error::internal("a text without records that is not used up")),
        }
    }
}

/// Where the first record that is open ends.
fn first_end(text: &[u8], dialect: &Dialect, state: State) -> Option<usize> {
    let mut state = state;
    for (at, part) in text.chunks(WORD).enumerate() {
        let newlines = match part.first_chunk::<WORD>() {
            Some(word) if dialect.comment.is_none() => {
                let bits = Bits::of(word, dialect, true);
                let (inside, _) = bits.inside(&mut state, WORD as u32 - 1);
                bits.newlines & !inside
            }
            Some(_) | None => with_comments(part, dialect, &mut state).newlines,
        };
        if newlines != 0 {
            return Some(at * WORD + newlines.trailing_zeros() as usize);
        }
    }
    None
}
