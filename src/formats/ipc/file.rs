//! One Arrow IPC file: its footer, and which bytes of a record batch belong to which column.

use std::fs::{File, Metadata};
use std::ops::Range;
use std::path::Path;
use std::time::SystemTime;

use arrow::buffer::{Buffer, MutableBuffer};
use arrow::datatypes::{DataType, Schema};
use arrow::ipc::convert::try_fb_to_schema;
use arrow::ipc::reader::{FileDecoder, read_footer_length};
use arrow::ipc::{Block, Message, MetadataVersion, root_as_footer, root_as_message};

use crate::error::{Error, ErrorKind, Result};
use crate::expr::has_type;
use crate::formats::guard::guarded;
use crate::formats::scan::ReadContext;

/// What stands at both ends of a file.
const MAGIC: &[u8] = b"ARROW1";

/// Bytes behind the footer: its length, and the magic.
const END_BYTES: usize = 10;

/// A compressed column may be so many bytes, and so many times as large as in the file; more is damage, and not given room.
const MAX_EXPANDED: i64 = 64 << 20;
const MAX_EXPANSION: i64 = 1 << 16;

/// What is known of a file.
#[derive(Debug)]
pub(super) struct IpcFile {
    /// Size and time of change when it was opened.
    pub(super) bytes: u64,
    pub(super) modified: Option<SystemTime>,
    pub(super) schema: Schema,
    pub(super) layout: Layout,
}

/// How batches lie in a file.
#[derive(Debug)]
pub(super) enum Layout {
    /// One after another, to be read from the front.
    Stream,
    /// To be read in any order.
    Blocks { version: MetadataVersion, batches: Vec<Batch>, dictionaries: Vec<Block> },
}

/// A record batch.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) block: Block,
    pub(super) rows: u64,
    /// Whether its buffers are compressed.
    pub(super) compressed: bool,
    /// The columns in its body; nothing where they cannot be told apart.
    pub(super) columns: Option<Box<[Column]>>,
}

/// Where a column of a batch lies.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// Its bytes in the body.
    bytes: Range<u64>,
    /// The numbers of its buffers.
    buffers: Range<usize>,
}

/// Buffers lie at multiples of so many bytes, so that numbers are where a machine wants them.
const ALIGNMENT: usize = 64;

/// Bytes of the place and the length of a buffer in the head of a batch, each.
const NUMBER: usize = 8;

impl Batch {
    /// Bytes of some columns.
    pub(super) fn stored(&self, columns: &[usize]) -> u64 {
        match &self.columns {
            Some(all) => columns.iter().map(|column| all[*column].bytes.end - all[*column].bytes.start).sum(),
            None => self.block.bodyLength().unsigned_abs(),
        }
    }
}

/// The error of a file that cannot be read.
pub(super) fn damaged(path: &Path, what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Data, format!("cannot read {}: {what}", path.display()))
}

/// Opens a file.
pub(super) fn open(path: &Path) -> Result<(File, Metadata)> {
    let file = File::open(path).map_err(|error| Error::io(path, "cannot open", error))?;
    let meta = file.metadata().map_err(|error| Error::io(path, "cannot open", error))?;
    Ok((file, meta))
}

/// Reads bytes from a place of a file.
pub(super) fn read_at(path: &Path, file: &File, buffer: &mut [u8], at: u64) -> Result<()> {
    #[cfg(unix)]
    let result = std::os::unix::fs::FileExt::read_exact_at(file, buffer, at);
    #[cfg(not(unix))]
    let result = {
        use std::io::{Read, Seek, SeekFrom};
        // A file is read by one task at a time.
        let mut file = file;
        file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(buffer))
    };
    result.map_err(|error| Error::io(path, "cannot read", error))
}

/// Reads what stands at the end of a file and at the head of each batch.
pub(super) fn read_footer(path: &Path) -> Result<IpcFile> {
    let (file, meta) = open(path)?;
    let bytes = meta.len();
    let modified = meta.modified().ok();
    let mut start = vec![0; MAGIC.len().min(usize::try_from(bytes).unwrap_or(usize::MAX))];
    read_at(path, &file, &mut start, 0)?;
    if start != MAGIC {
        if start.len() < 4 || start[..4] != [0xff; 4] {
            return Err(damaged(path, "it does not begin as an Arrow IPC file or stream"));
        }
        let reader = std::io::BufReader::new(&file);
        let open = || arrow::ipc::reader::StreamReader::try_new(reader, None).map_err(|error| damaged(path, error));
        let schema = guarded(path, || Ok(Schema::clone(&open()?.schema())))?;
        return Ok(IpcFile { bytes, modified, schema, layout: Layout::Stream });
    }
    if bytes < (MAGIC.len() + END_BYTES) as u64 {
        return Err(damaged(path, format_args!("it has {bytes} bytes")));
    }
    let mut end = [0; END_BYTES];
    let end_at = bytes - END_BYTES as u64;
    read_at(path, &file, &mut end, end_at)?;
    let length = read_footer_length(end).map_err(|error| damaged(path, error))?;
    if length as u64 > end_at {
        return Err(damaged(path, format_args!("its footer has {length} bytes, and the file {bytes}")));
    }
    let footer_at = end_at - length as u64;
    let mut text = vec![0; length];
    read_at(path, &file, &mut text, footer_at)?;
    let footer =
        root_as_footer(&text).map_err(|error| damaged(path, format_args!("its footer is damaged: {error}")))?;
    let schema = footer.schema().ok_or_else(|| damaged(path, "its footer has no schema"))?;
    if !schema.endianness().equals_to_target_endianness() {
        return Err(damaged(path, "its numbers lie in the byte order of another machine"));
    }
    let schema = guarded(path, || try_fb_to_schema(schema).map_err(|error| damaged(path, error)))?;
    let inside = |block: &Block| {
        let (at, head, body) = (block.offset(), i64::from(block.metaDataLength()), block.bodyLength());
        let end = at.checked_add(head).and_then(|end| end.checked_add(body));
        let fits = at >= 0 && head >= 8 && body >= 0 && end.is_some_and(|end| end.unsigned_abs() <= footer_at);
        if fits { Ok(*block) } else { Err(damaged(path, "a batch lies outside the file")) }
    };
    let dictionaries = footer.dictionaries().iter().flatten().map(inside).collect::<Result<_>>()?;
    let mut batches = Vec::new();
    for block in footer.recordBatches().iter().flatten() {
        batches.push(head(path, &file, inside(block)?, &schema)?);
    }
    Ok(IpcFile { bytes, modified, schema, layout: Layout::Blocks { version: footer.version(), batches, dictionaries } })
}

/// The head of a block, behind its length.
fn message<'a>(path: &Path, text: &'a [u8]) -> Result<Message<'a>> {
    // There are 8 bytes at least, see `read_footer`.
    let inside = if text[..4] == [0xff; 4] { &text[8..] } else { &text[4..] };
    root_as_message(inside).map_err(|error| damaged(path, format_args!("a batch is damaged: {error}")))
}

/// Reads the head of a batch.
fn head(path: &Path, file: &File, block: Block, schema: &Schema) -> Result<Batch> {
    // Not negative, see `inside`.
    let mut text = vec![0; block.metaDataLength().unsigned_abs() as usize];
    read_at(path, file, &mut text, block.offset().unsigned_abs())?;
    let message = if text[..4] == [0xff; 4] { &text[8..] } else { &text[4..] };
    let message =
        root_as_message(message).map_err(|error| damaged(path, format_args!("a batch is damaged: {error}")))?;
    let batch = message.header_as_record_batch().ok_or_else(|| damaged(path, "what should be a batch is none"))?;
    let rows = u64::try_from(batch.length()).map_err(|_| damaged(path, "a batch has less than no rows"))?;
    let body = block.bodyLength().unsigned_abs();
    let mut buffers = Vec::new();
    for buffer in batch.buffers().iter().flatten() {
        let (at, length) = (u64::try_from(buffer.offset()), u64::try_from(buffer.length()));
        match (at, length) {
            (Ok(at), Ok(length)) if at.checked_add(length).is_some_and(|end| end <= body) => {
                buffers.push(at..at + length)
            }
            _ => return Err(damaged(path, "a column lies outside its batch")),
        }
    }
    let mut views = batch.variadicBufferCounts().iter().flatten().collect::<Vec<_>>().into_iter();
    let mut begin = 0;
    let of_column = |field: &std::sync::Arc<arrow::datatypes::Field>| {
        let own = begin..begin + buffers_of(field.data_type(), &mut views)?;
        begin = own.end;
        let all = buffers.get(own.clone())?.iter().cloned();
        let all = all.reduce(|all, next| all.start.min(next.start)..all.end.max(next.end));
        Some(Column { bytes: all.unwrap_or(0..0), buffers: own })
    };
    let columns: Option<Box<[Column]>> = schema.fields().iter().map(of_column).collect();
    Ok(Batch { block, rows, compressed: batch.compression().is_some(), columns })
}

/// How many buffers a column of a type has, if that is known.
fn buffers_of(of: &DataType, views: &mut impl Iterator<Item = i64>) -> Option<usize> {
    let mut count = 0;
    // In the order in which they lie.
    let mut open = vec![of];
    while let Some(of) = open.pop() {
        count += match of {
            DataType::Null => 0,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary => 3,
            DataType::Utf8View | DataType::BinaryView => 2 + usize::try_from(views.next()?).ok()?,
            DataType::List(item) | DataType::LargeList(item) | DataType::Map(item, _) => {
                open.push(item.data_type());
                2
            }
            DataType::ListView(item) | DataType::LargeListView(item) => {
                open.push(item.data_type());
                3
            }
            DataType::FixedSizeList(item, _) => {
                open.push(item.data_type());
                1
            }
            DataType::Struct(fields) => {
                open.extend(fields.iter().rev().map(|field| field.data_type()));
                1
            }
            DataType::Union(..) | DataType::RunEndEncoded(..) => return None,
            _ => 2,
        };
    }
    Some(count)
}

/// Reads a block, with all of its body.
pub(super) fn read_block(path: &Path, file: &File, block: &Block, context: &ReadContext<'_>) -> Result<Buffer> {
    let length = block.metaDataLength().unsigned_abs() as usize + block.bodyLength().unsigned_abs() as usize;
    let mut buffer = MutableBuffer::from_len_zeroed(length);
    read_at(path, file, &mut buffer, block.offset().unsigned_abs())?;
    context.count(length as u64);
    Ok(buffer.into())
}

/// Reads some columns of a block: gives a block that has nothing else in its body.
pub(super) fn read_columns(
    path: &Path,
    file: &File,
    block: &Block,
    columns: &[&Column],
    context: &ReadContext<'_>,
) -> Result<(Block, Buffer)> {
    let (head, at) = (block.metaDataLength().unsigned_abs() as usize, block.offset().unsigned_abs());
    let mut end = head;
    let place = |column: &&Column| {
        // As far behind a multiple as in the file.
        let start = end.next_multiple_of(ALIGNMENT) + column.bytes.start as usize % ALIGNMENT;
        end = start + (column.bytes.end - column.bytes.start) as usize;
        start..end
    };
    let places: Vec<Range<usize>> = columns.iter().map(place).collect();
    let mut buffer = MutableBuffer::from_len_zeroed(end);
    read_at(path, file, &mut buffer[..head], at)?;
    context.count(head as u64);
    for (column, place) in columns.iter().zip(&places) {
        read_at(path, file, &mut buffer[place.clone()], at + head as u64 + column.bytes.start)?;
        context.count(place.len() as u64);
    }
    // The head says where buffers lie: of other columns nowhere.
    let known = message(path, &buffer[..head])?;
    let known = known.header_as_record_batch().and_then(|batch| batch.buffers());
    let known = known.ok_or_else(|| damaged(path, "what should be a batch is none"))?;
    let list = known.bytes().as_ptr() as usize - buffer.as_ptr() as usize;
    let mut moved = vec![[0_i64; 2]; known.len()];
    for (column, place) in columns.iter().zip(&places) {
        for number in column.buffers.clone() {
            let slot = moved.get_mut(number).ok_or_else(|| damaged(path, "a column has lost its buffers"))?;
            let of = known.get(number);
            let inside = of.offset().checked_sub_unsigned(column.bytes.start);
            let inside = inside.ok_or_else(|| damaged(path, "a column lies outside its batch"))?;
            *slot = [(place.start - head) as i64 + inside, of.length()];
        }
    }
    for (at, number) in (list..).step_by(NUMBER).zip(moved.into_iter().flatten()) {
        buffer[at..at + NUMBER].copy_from_slice(&number.to_le_bytes());
    }
    Ok((Block::new(block.offset(), block.metaDataLength(), (end - head) as i64), buffer.into()))
}

/// Whether the buffers of a block lie in its body, and say that they are of sizes that can be.
pub(super) fn check_block(path: &Path, block: &Block, buffer: &Buffer) -> Result<()> {
    let head = block.metaDataLength().unsigned_abs() as usize;
    let message = message(path, &buffer[..head])?;
    let batch = message.header_as_record_batch().or_else(|| message.header_as_dictionary_batch()?.data());
    let batch = batch.ok_or_else(|| damaged(path, "what should be a batch is none"))?;
    let body = &buffer[head..];
    for of in batch.buffers().iter().flatten() {
        let (Ok(at), Ok(length)) = (usize::try_from(of.offset()), usize::try_from(of.length())) else {
            return Err(damaged(path, "a column lies outside its batch"));
        };
        let Some(bytes) = at.checked_add(length).and_then(|end| body.get(at..end)) else {
            return Err(damaged(path, "a column lies outside its batch"));
        };
        if let (Some(_), Some(first)) = (batch.compression(), bytes.first_chunk()) {
            // Its size decompressed stands before it; -1 says that it is not compressed.
            let size = i64::from_le_bytes(*first);
            if size < -1 || size > MAX_EXPANDED.max(length as i64 * MAX_EXPANSION) {
                return Err(damaged(
                    path,
                    format_args!("{length} bytes of a column are said to be {size}, decompressed"),
                ));
            }
        }
    }
    Ok(())
}

/// A decoder of some columns, ascending, with the dictionaries of the file where they need any.
pub(super) fn decoder(
    path: &Path,
    of: &IpcFile,
    columns: Vec<usize>,
    context: &ReadContext<'_>,
) -> Result<FileDecoder> {
    let Layout::Blocks { version, dictionaries, .. } = &of.layout else {
        return Err(Error::internal("a stream has no blocks"));
    };
    let needs = columns.iter().any(|column| has_dictionary(of.schema.field(*column).data_type()));
    let mut decoder = FileDecoder::new(of.schema.clone().into(), *version).with_projection(columns);
    if needs {
        let (file, _) = open(path)?;
        for block in dictionaries {
            context.check()?;
            let buffer = read_block(path, &file, block, context)?;
            check_block(path, block, &buffer)?;
            guarded(path, || decoder.read_dictionary(block, &buffer).map_err(|error| damaged(path, error)))?;
        }
    }
    Ok(decoder)
}

/// Whether there is a dictionary in a type.
pub(super) fn has_dictionary(of: &DataType) -> bool {
    has_type(of, |of| matches!(of, DataType::Dictionary(..)))
}
