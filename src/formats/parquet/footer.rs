//! The footers of the files of a data set: read once, in parallel, and kept as far as they are small.
//!
//! A footer is parsed row group by row group, so that no more than one is in memory beside what is kept. What is not kept of a row group
//! is its place in the file: whoever reads its rows parses it again, alone.

use std::fs::{File, Metadata};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use arrow::datatypes::{Fields, Schema};
use parquet::arrow::parquet_to_arrow_schema;
use parquet::basic::Type as Physical;
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, FooterTail, ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader,
    ParquetStatisticsPolicy, RowGroupMetaData,
};
use parquet::file::reader::ChunkReader;
use parquet::file::statistics::Statistics;
use parquet::schema::types::SchemaDescPtr;

use super::group::dictionary_only;
use super::input::Input;
use super::thrift::{Places, footer_of};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::guard::guarded;
use crate::formats::hive::DataFile;

/// Threads that read footers, and files that are open at a time.
const READERS: usize = 8;

/// Files whose footers are read before what is kept of them is looked at.
const AT_ONCE: usize = 64;

/// Bytes that are read of the end of a file to find its footer there.
const TAIL_BYTES: u64 = 16 << 10;

/// Bytes of a dictionary, at which writers end it by default.
const DICTIONARY_BYTES: u64 = 1 << 20;

/// A larger one is so many times smaller compressed at most, as far as nothing else is known.
const MOST_COMPRESSED: u64 = 8;

/// Length of what stands behind the footer: its length and the name of the format.
const END_BYTES: usize = 8;

/// Bytes of parsed footers that a source keeps; row groups of others are parsed again when they are read.
const KEPT_BYTES: u64 = 32 << 20;

/// What is known of a file.
#[derive(Debug)]
pub(super) struct Footer {
    /// Size and time of change when it was read.
    pub(super) bytes: u64,
    pub(super) modified: Option<SystemTime>,
    /// Which of the schemas it has.
    pub(super) schema: usize,
    pub(super) groups: Box<[Group]>,
}

/// A row group.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) rows: u64,
    pub(super) leaves: Box<[Leaf]>,
    /// Where its part of the footer lies in the file.
    text: Range<u64>,
    /// Bytes of memory that this part takes, parsed.
    parsed: u64,
    /// This part as a footer of its own, with all that it tells, if it is kept.
    pub(super) kept: Option<Arc<ParquetMetaData>>,
}

impl Group {
    /// Bytes that a task takes for what the footer tells of the row group.
    pub(super) fn need(&self) -> u64 {
        // To be parsed, the text is copied.
        if self.kept.is_some() { 0 } else { self.parsed + 2 * (self.text.end - self.text.start) }
    }
}

/// A column chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaf {
    /// About how much memory it takes, decoded.
    pub(super) decoded: u64,
    /// Its bytes in the file, and those of its pages decompressed.
    pub(super) stored: u64,
    pub(super) plain: u64,
    /// About how many bytes its dictionary has at most, decompressed; none where it has no dictionary.
    pub(super) dictionary: u64,
    /// Whether all its pages are coded by that.
    pub(super) coded: bool,
}

impl Leaf {
    /// About how many bytes its values take, as codes and a dictionary where they are `wanted` so and are so.
    pub(super) fn made(&self, rows: u64, wanted: bool) -> u64 {
        if wanted && self.coded { self.decoded.min(4 * rows + self.dictionary) } else { self.decoded }
    }
}

/// A schema that files have.
#[derive(Debug)]
pub(super) struct FileSchema {
    pub(super) parquet: SchemaDescPtr,
    /// What tells it from others beside the columns: the Arrow schema that the writer left.
    arrow: Option<String>,
    pub(super) fields: Fields,
    /// The leaves of each field.
    pub(super) leaves: Vec<std::ops::Range<usize>>,
    /// The file that has it first.
    pub(super) first: usize,
}

/// The error of a file that cannot be read as Parquet.
pub(super) fn damaged(path: &Path, error: impl Into<ParquetError>) -> Error {
    let error = error.into();
    let is_io = matches!(&error, ParquetError::External(source) if source.is::<std::io::Error>());
    let kind = if is_io { ErrorKind::Io } else { ErrorKind::Data };
    Error::with_source(kind, format_args!("cannot read {}", path.display()), error)
}

/// The error of a file that is encrypted.
fn encrypted(path: &Path) -> Error {
    let text = format!("{} is encrypted: reading encrypted Parquet files is not supported", path.display());
    Error::new(ErrorKind::Unsupported, text)
}

/// The text of a footer, found at the end of a file, and where it begins there.
fn find(path: &Path, input: &Input, bytes: u64) -> Result<(bytes::Bytes, u64)> {
    let no_parquet = |what: String| {
        Error::new(ErrorKind::Data, format!("{} is no Parquet file, or not all of it: {what}", path.display()))
    };
    // The name of the format stands at both ends.
    if bytes < 4 + END_BYTES as u64 {
        return Err(no_parquet(format!("it has {bytes} bytes")));
    }
    let tail_bytes = bytes.min(TAIL_BYTES) as usize;
    let tail = input.get_bytes(bytes - tail_bytes as u64, tail_bytes).map_err(|error| damaged(path, error))?;
    let (before, end) = tail.split_at(tail_bytes - END_BYTES);
    if end.ends_with(b"PARE") {
        return Err(encrypted(path));
    }
    let end = FooterTail::try_from(end).map_err(|_| no_parquet("it does not end as one".to_string()))?;
    let length = end.metadata_length();
    if length as u64 + (4 + END_BYTES as u64) > bytes {
        return Err(no_parquet(format!("its footer has {length} bytes, and the file {bytes}")));
    }
    let at = bytes - (length + END_BYTES) as u64;
    if length <= before.len() {
        return Ok((tail.slice(before.len() - length..before.len()), at));
    }
    Ok((input.get_bytes(at, length).map_err(|error| damaged(path, error))?, at))
}

/// Opens a file.
pub(super) fn open(path: &Path) -> Result<(Input, Metadata)> {
    let file = File::open(path).map_err(|error| Error::io(path, "cannot open", error))?;
    let meta = file.metadata().map_err(|error| Error::io(path, "cannot open", error))?;
    Ok((Input::new(file, meta.len()), meta))
}

/// Reads the footer of a file, with the schema of `known` that it has. Where it has none of them, what the footer tells beside its row groups
/// is given too. Parsed row groups are there if they are to be kept.
fn read(path: &Path, known: &[Arc<FileSchema>], keep: bool) -> Result<(Footer, Option<ParquetMetaData>)> {
    let (input, meta) = open(path)?;
    let (text, at) = find(path, &input, meta.len())?;
    let schema = ParquetMetaDataReader::decode_schema(&text).map_err(|error| damaged(path, error))?;
    let same = known.iter().position(|one| one.parquet.root_schema() == schema.root_schema());
    let shared = same.map_or(schema, |same| known[same].parquet.clone());
    let options = ParquetMetaDataOptions::new().with_encoding_stats_as_mask(true).with_schema(shared);
    let Some(places) = Places::find(&text) else {
        return Err(wrong(path, "it has no row groups, or not all of them"));
    };
    let parsed = parse(path, &places.without_groups(&text), &options)?;
    if parsed.num_row_groups() > 0 {
        return Err(wrong(path, "it has two lists of row groups"));
    }
    // With each row group that is parsed, what all have together is counted.
    let shared = FileMetaData::new(1, 0, None, None, parsed.file_metadata().schema_descr_ptr(), None);
    let shared_bytes = ParquetMetaData::new(shared, Vec::new()).memory_size();
    let mut groups = Vec::with_capacity(places.groups.len());
    let mut rows = 0_u64;
    for (index, place) in places.groups.iter().enumerate() {
        let one = parse(path, &footer_of(&text[place.clone()]), &options)?;
        let group = check(path, index, &one, meta.len())?;
        rows = rows.saturating_add(group.num_rows() as u64);
        groups.push(Group {
            rows: group.num_rows() as u64,
            leaves: group.columns().iter().map(|chunk| leaf(chunk, group.num_rows() as u64)).collect(),
            text: at + place.start as u64..at + place.end as u64,
            parsed: one.memory_size().saturating_sub(shared_bytes) as u64,
            kept: keep.then(|| Arc::new(one)),
        });
    }
    let told = parsed.file_metadata().num_rows();
    if u64::try_from(told) != Ok(rows) {
        return Err(wrong(path, format_args!("it has {told} rows, and its row groups {rows}")));
    }
    let arrow = arrow_text(&parsed);
    let same = known.iter().position(|one| {
        Arc::ptr_eq(&one.parquet, &parsed.file_metadata().schema_descr_ptr()) && one.arrow.as_deref() == arrow
    });
    let footer = Footer {
        bytes: meta.len(),
        modified: meta.modified().ok(),
        // Else it is still to be placed.
        schema: same.unwrap_or_default(),
        groups: groups.into(),
    };
    Ok((footer, same.is_none().then_some(parsed)))
}

fn parse(path: &Path, text: &[u8], options: &ParquetMetaDataOptions) -> Result<ParquetMetaData> {
    ParquetMetaDataReader::decode_metadata_with_options(text, Some(options)).map_err(|error| damaged(path, error))
}

/// The error of a footer that says what cannot be.
fn wrong(path: &Path, what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Data, format!("cannot read {}: its footer is damaged: {what}", path.display()))
}

/// The row group of a footer that has one, which is number `index` in a file of so many bytes, if what is said of it can be: nothing that follows
/// has to ask again.
fn check<'a>(path: &Path, index: usize, parsed: &'a ParquetMetaData, bytes: u64) -> Result<&'a RowGroupMetaData> {
    let [group] = parsed.row_groups() else {
        return Err(wrong(path, format_args!("row group {index} is none")));
    };
    if group.num_rows() < 0 {
        return Err(wrong(path, format_args!("row group {index} has {} rows", group.num_rows())));
    }
    if group.num_columns() != parsed.file_metadata().schema_descr().num_columns() {
        return Err(wrong(path, format_args!("row group {index} has {} columns", group.num_columns())));
    }
    for chunk in group.columns() {
        let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
        let end = start.checked_add(chunk.compressed_size());
        let inside = end.and_then(|end| u64::try_from(end).ok()).is_some_and(|end| end <= bytes);
        let column = chunk.column_path();
        if start < 0
            || chunk.compressed_size() < 0
            || chunk.uncompressed_size() < 0
            || chunk.num_values() < 0
            || !inside
        {
            return Err(wrong(path, format_args!("column `{column}` of row group {index} lies outside the file")));
        }
        if chunk.file_path().is_some() {
            return Err(wrong(path, format_args!("column `{column}` of row group {index} lies in another file")));
        }
    }
    Ok(group)
}

/// The schema that a writer of Arrow left in the file.
fn arrow_text(parsed: &ParquetMetaData) -> Option<&str> {
    let pairs = parsed.file_metadata().key_value_metadata()?;
    pairs.iter().find(|pair| pair.key == parquet::arrow::ARROW_SCHEMA_META_KEY)?.value.as_deref()
}

/// The footers of all files and the schemas that they have.
pub(super) fn read_all(files: &[DataFile]) -> Result<(Vec<Footer>, Vec<Arc<FileSchema>>)> {
    let mut schemas: Vec<Arc<FileSchema>> = Vec::new();
    let mut footers: Vec<Footer> = Vec::with_capacity(files.len());
    // Bytes of the parsed row groups that are kept, and of those of the largest file.
    let (mut kept, mut largest) = (0, 1);
    let mut rest = files;
    // The first file alone: what follows mostly has its schema, which is then shared.
    let mut at_once = 1;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(at_once.min(rest.len()));
        let keep = kept < KEPT_BYTES;
        for (result, file) in in_parallel(now.len(), |index| {
            let path = &now[index].file.path;
            guarded(path, || read(path, &schemas, keep))
        })
        .into_iter()
        .zip(now)
        {
            let (mut footer, unknown) = result?;
            if let Some(parsed) = unknown {
                footer.schema = place(&file.file.path, &parsed, footers.len(), &mut schemas)?;
            }
            let parsed: u64 = footer.groups.iter().map(|group| group.parsed).sum();
            largest = largest.max(parsed);
            kept += parsed;
            if kept > KEPT_BYTES {
                footer.groups.iter_mut().for_each(|group| group.kept = None);
            }
            footers.push(footer);
        }
        rest = later;
        // Not many more than will be kept.
        at_once = if kept < KEPT_BYTES { (KEPT_BYTES - kept) / largest } else { AT_ONCE as u64 } as usize;
        at_once = at_once.clamp(READERS, AT_ONCE);
    }
    Ok((footers, schemas))
}

/// The number of the schema of a file that has none of those known when it was read.
fn place(path: &Path, parsed: &ParquetMetaData, file: usize, schemas: &mut Vec<Arc<FileSchema>>) -> Result<usize> {
    let parquet = parsed.file_metadata().schema_descr_ptr();
    let arrow = arrow_text(parsed);
    let same =
        |one: &Arc<FileSchema>| one.parquet.root_schema() == parquet.root_schema() && one.arrow.as_deref() == arrow;
    if let Some(known) = schemas.iter().position(same) {
        return Ok(known);
    }
    let pairs = parsed.file_metadata().key_value_metadata();
    let schema: Schema =
        guarded(path, || parquet_to_arrow_schema(&parquet, pairs).map_err(|error| damaged(path, error)))?;
    let mut leaves = vec![0..0; parquet.root_schema().get_fields().len()];
    for leaf in 0..parquet.num_columns() {
        let range = &mut leaves[parquet.get_column_root_idx(leaf)];
        *range = if range.start == range.end { leaf..leaf + 1 } else { range.start..leaf + 1 };
    }
    if schema.fields().len() != leaves.len() {
        let text = format!("cannot read {}: its Arrow schema has other columns than the file", path.display());
        return Err(Error::new(ErrorKind::Data, text));
    }
    let fields = schema.fields().clone();
    schemas.push(Arc::new(FileSchema { parquet, arrow: arrow.map(str::to_string), fields, leaves, first: file }));
    Ok(schemas.len() - 1)
}

/// What the footer of a file tells of a row group: what is kept, or what is read again, with statistics of some leaves; the file has to be as it was.
/// It is a footer with one row group.
pub(super) fn group_of(
    path: &Path,
    input: &Input,
    footer: &Footer,
    index: usize,
    schema: &FileSchema,
    statistics_of: &[usize],
) -> Result<Arc<ParquetMetaData>> {
    let of = &footer.groups[index];
    if let Some(kept) = &of.kept {
        return Ok(kept.clone());
    }
    let options = ParquetMetaDataOptions::new()
        .with_encoding_stats_as_mask(true)
        .with_schema(schema.parquet.clone())
        .with_column_stats_policy(ParquetStatisticsPolicy::skip_except(statistics_of))
        .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll);
    // It was in memory when the file was opened.
    let length = (of.text.end - of.text.start) as usize;
    let text = input.get_bytes(of.text.start, length).map_err(|error| damaged(path, error))?;
    let parsed = guarded(path, || parse(path, &footer_of(&text), &options))?;
    let group = check(path, index, &parsed, footer.bytes)?;
    if group.num_rows() as u64 == of.rows { Ok(Arc::new(parsed)) } else { Err(changed(path)) }
}

/// The error of a file that is not as it was when the plan was made.
pub(super) fn changed(path: &Path) -> Error {
    let text = format!("{} was changed after it was opened: open it again", path.display());
    Error::new(ErrorKind::Io, text)
}

/// Whether a file is as it was when its footer was read.
pub(super) fn check_unchanged(path: &Path, footer: &Footer, meta: &Metadata) -> Result<()> {
    let same = meta.len() == footer.bytes && meta.modified().ok() == footer.modified;
    if same { Ok(()) } else { Err(changed(path)) }
}

/// What is known of a column chunk.
fn leaf(chunk: &ColumnChunkMetaData, rows: u64) -> Leaf {
    let values = chunk.num_values() as u64;
    let plain = chunk.uncompressed_size() as u64;
    let bytes = match chunk.column_type() {
        Physical::BOOLEAN => values.div_ceil(8),
        Physical::INT32 | Physical::FLOAT => values * 4,
        Physical::INT64 | Physical::DOUBLE | Physical::INT96 => values * 8,
        Physical::FIXED_LEN_BYTE_ARRAY => {
            let length = chunk.column_descr().type_length().max(0) as u64;
            let is_decimal = chunk.column_descr().type_scale() > 0 || chunk.column_descr().type_precision() > 0;
            values * if is_decimal { length.max(16) } else { length }
        }
        Physical::BYTE_ARRAY => {
            let text = match chunk.unencoded_byte_array_data_bytes() {
                Some(bytes) => bytes.max(0) as u64,
                // Of a dictionary each value stands once only: a long value tells of the others.
                None => {
                    let longest = |statistics: &Statistics| {
                        let lengths = [statistics.min_bytes_opt(), statistics.max_bytes_opt()];
                        lengths.into_iter().flatten().map(<[u8]>::len).max()
                    };
                    plain.max(values * chunk.statistics().and_then(longest).unwrap_or(0) as u64)
                }
            };
            text + 4 * values
        }
    };
    let levels = chunk.column_descr().max_rep_level() > 0;
    let dictionary = chunk.dictionary_page_offset().map_or(0, |start| {
        // How small it was made is not told, but that it was made of a part of all.
        let stored = chunk.data_page_offset().saturating_sub(start).max(0) as u64;
        plain.min((MOST_COMPRESSED * stored).max(DICTIONARY_BYTES))
    });
    Leaf {
        decoded: bytes + if levels { 4 * rows } else { 0 },
        stored: chunk.compressed_size() as u64,
        plain,
        dictionary,
        coded: dictionary_only(chunk),
    }
}

/// What a function gives for each number below `count`, worked out by a few threads.
pub(super) fn in_parallel<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let readers = READERS.min(count);
    if readers <= 1 {
        return (0..count).map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let mut found: Vec<(usize, T)> = std::thread::scope(|scope| {
        let run = || {
            let mut found = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return found;
                }
                found.push((index, work(index)));
            }
        };
        let threads: Vec<_> = (1..readers).map(|_| scope.spawn(run)).collect();
        let mut found = run();
        for thread in threads {
            match thread.join() {
                Ok(more) => found.extend(more),
                Err(payload) => std::panic::resume_unwind(payload),
            }
        }
        found
    });
    found.sort_by_key(|(index, _)| *index);
    found.into_iter().map(|(_, value)| value).collect()
}
