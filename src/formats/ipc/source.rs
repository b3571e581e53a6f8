//! Arrow IPC files as a source of tables.

use std::io::{BufReader, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use arrow::ipc::reader::{FileDecoder, StreamReader};

use super::file::{
    Batch, IpcFile, Layout, check_block, damaged, decoder, has_dictionary, open, read_block, read_columns, read_footer,
};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::Lookup;
use crate::formats::guard::guarded;
use crate::formats::hive::{DataFile, content_key, data_files, label};
use crate::formats::per_file::{FileColumns, PerFile};
use crate::formats::pick::Pick;
use crate::formats::scan::{
    BATCH_ROWS, Emit, Morsel, PARTITION_BYTES, ReadContext, Reread, Scan, ScanRequest, TableSource,
};
use crate::formats::unify::unify;

/// What files in a directory are called.
const EXTENSIONS: [&str; 4] = ["arrow", "feather", "ipc", "arrows"];

/// How much larger a compressed batch is taken to be in memory.
const EXPANSION: u64 = 3;

/// How files are read.
#[derive(Clone, Debug, PartialEq)]
pub struct IpcOptions {
    /// Whether a column that has different types in different files has the smallest type that holds all.
    pub widen: bool,
    /// The columns beside those in the files.
    pub file_columns: FileColumns,
    /// Bytes of a partition.
    pub partition_bytes: u64,
}

impl Default for IpcOptions {
    fn default() -> Self {
        IpcOptions { widen: false, file_columns: FileColumns::default(), partition_bytes: PARTITION_BYTES }
    }
}

/// Arrow IPC files (`.arrow`, `.feather`), and streams, as one table: those of a pattern or of a directory.
///
/// Each record batch of a file is a morsel. It is in memory as a whole while it is read, but for columns that are not wanted; batches are best
/// written with some megabytes. A stream is one morsel.
pub struct IpcSource {
    paths: Vec<DataFile>,
    files: Vec<IpcFile>,
    per_file: PerFile,
    /// For each file, where each column is.
    places: Vec<Vec<Option<usize>>>,
    pieces: Vec<Piece>,
    partitions: u32,
    options: IpcOptions,
}

/// A batch of a file, or a whole stream.
#[derive(Clone, Copy, Debug)]
struct Piece {
    partition: u32,
    file: usize,
    batch: Option<usize>,
}

impl IpcFile {
    /// About how many bytes columns at some places take in memory.
    fn decoded_bytes(&self, batch: &Batch, places: &[usize]) -> u64 {
        if !batch.compressed {
            return batch.stored(places);
        }
        let of = |place: &usize| match self.schema.field(*place).data_type().primitive_width() {
            Some(width) => batch.rows * width as u64 + batch.rows / 8,
            None => batch.stored(std::slice::from_ref(place)) * EXPANSION,
        };
        places.iter().map(of).sum()
    }
}

impl std::fmt::Debug for IpcSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IpcSource").field("label", &self.label()).field("schema", self.schema()).finish()
    }
}

impl IpcSource {
    /// Opens files, patterns and directories, and reads what stands at the end of all files and at the head of all batches.
    ///
    /// # Errors
    /// Of kind `Io` or `Data`, where there is no file, or one cannot be read or does not fit the others; of kind `Plan`, where an option is
    /// wrong.
    pub fn open(paths: &[impl AsRef<str>], options: IpcOptions) -> Result<IpcSource> {
        let mut found = Vec::new();
        for path in paths {
            found.extend(data_files(path.as_ref(), &EXTENSIONS)?);
        }
        if found.is_empty() {
            return Err(Error::new(ErrorKind::Plan, "no path is given: name a file, a pattern or a directory"));
        }
        if options.partition_bytes == 0 {
            return Err(Error::new(ErrorKind::Plan, "partitions need room: `partition_bytes` is at least 1"));
        }
        let files = found.iter().map(|file| read_footer(&file.file.path)).collect::<Result<Vec<_>>>()?;
        let of_files = files.iter().zip(&found).map(|(file, at)| (file.schema.fields(), at.file.path.as_path()));
        let per_file = PerFile::new(unify(of_files, options.widen)?, &found, &options.file_columns, &[])?;
        for file in &mut found {
            file.keys = Vec::new();
        }
        let place = |file: &IpcFile| {
            let known = Lookup::new(&file.schema);
            let place =
                |(column, field): (usize, &FieldRef)| known.place(per_file.in_rows(column).then(|| field.name())?);
            per_file.schema().fields().iter().enumerate().map(place).collect()
        };
        let places = files.iter().map(place).collect();
        let (mut partition, mut filled, mut pieces) = (0, 0, Vec::new());
        for (index, file) in files.iter().enumerate() {
            let batches: Vec<(Option<usize>, u64)> = match &file.layout {
                Layout::Stream => vec![(None, file.bytes)],
                Layout::Blocks { batches, .. } => {
                    let bytes = |batch: &Batch| {
                        batch.block.bodyLength().unsigned_abs() * if batch.compressed { EXPANSION } else { 1 }
                    };
                    batches.iter().enumerate().map(|(at, batch)| (Some(at), bytes(batch))).collect()
                }
            };
            for (batch, bytes) in batches {
                if filled > 0 && filled + bytes > options.partition_bytes {
                    (partition, filled) = (partition + 1, 0);
                }
                filled += bytes.max(1);
                pieces.push(Piece { partition, file: index, batch });
            }
        }
        Ok(IpcSource { paths: found, files, per_file, places, pieces, partitions: partition + 1, options })
    }

    fn path(&self, file: usize) -> &Path {
        &self.paths[file].file.path
    }

    /// Whether a file is as it was when its footer was read.
    fn check_unchanged(&self, file: usize, now: &std::fs::Metadata) -> Result<()> {
        let known = &self.files[file];
        if now.len() == known.bytes && now.modified().ok() == known.modified {
            return Ok(());
        }
        let text = format!("{} was changed after it was opened: open it again", self.path(file).display());
        Err(Error::new(ErrorKind::Io, text))
    }

    /// The places in a file of columns of the source, ascending.
    fn in_file(&self, file: usize, columns: &[usize]) -> Vec<usize> {
        let mut places: Vec<usize> = columns.iter().filter_map(|column| self.places[file][*column]).collect();
        places.sort_unstable();
        places
    }
}

impl TableSource for IpcSource {
    fn label(&self) -> String {
        label("read_ipc", &self.paths)
    }

    fn schema(&self) -> &SchemaRef {
        self.per_file.schema()
    }

    fn key(&self) -> Option<String> {
        let files = self.paths.iter().zip(&self.files);
        let files = files.map(|(at, file)| (at.file.path.as_path(), file.bytes, file.modified));
        Some(content_key("ipc", files, &(&self.options, self.per_file.digest())))
    }

    fn partitions(&self) -> u32 {
        self.partitions
    }

    fn rows(&self) -> Option<u64> {
        let rows = |file: &IpcFile| match &file.layout {
            Layout::Stream => None,
            Layout::Blocks { batches, .. } => Some(batches.iter().map(|batch| batch.rows).sum::<u64>()),
        };
        self.files.iter().map(rows).sum()
    }

    fn unchanged(&self) -> Result<()> {
        (0..self.files.len()).try_for_each(|file| {
            let path = self.path(file);
            let meta = std::fs::metadata(path).map_err(|error| Error::io(path, "cannot open", error))?;
            self.check_unchanged(file, &meta)
        })
    }

    fn column_bytes(&self) -> Vec<u64> {
        let mut all = vec![0; self.schema().fields().len()];
        for (index, file) in self.files.iter().enumerate() {
            for (column, bytes) in all.iter_mut().enumerate() {
                let places = self.in_file(index, &[column]);
                *bytes += match &file.layout {
                    _ if places.is_empty() => 0,
                    Layout::Stream => file.bytes / file.schema.fields().len() as u64,
                    Layout::Blocks { batches, .. } => {
                        batches.iter().map(|batch| file.decoded_bytes(batch, &places)).sum()
                    }
                };
            }
        }
        all
    }

    fn reread(&self) -> Reread {
        Reread::Decode
    }

    fn scan(self: Arc<Self>, request: &ScanRequest) -> Result<Arc<dyn Scan>> {
        let judged = self.per_file.judge(&request.predicates, self.files.len())?;
        let pick = Pick::of(&request.columns, &judged.rest, self.schema())?;
        let pieces: Vec<Piece> = self.pieces.iter().filter(|piece| judged.kept[piece.file]).copied().collect();
        let morsel = |piece: &Piece| {
            let places = self.in_file(piece.file, pick.read());
            let file = &self.files[piece.file];
            let (rows, bytes, need) = match (&file.layout, piece.batch) {
                (Layout::Blocks { batches, dictionaries, .. }, Some(at)) => {
                    let stored = batches[at].stored(&places);
                    let needs = places.iter().any(|place| has_dictionary(file.schema.field(*place).data_type()));
                    let coded: u64 =
                        dictionaries.iter().filter(|_| needs).map(|block| block.bodyLength().unsigned_abs()).sum();
                    // What is read, and what it is decompressed to; batches that come out are parts of it, if they are not made anew.
                    let bytes = file.decoded_bytes(&batches[at], &places);
                    let read = if batches[at].compressed { stored + bytes } else { stored };
                    let column = |column: &usize| (self.places[piece.file][*column], self.schema().field(*column));
                    let cast = pick.read().iter().map(column).any(|(place, field)| {
                        place.is_some_and(|place| file.schema.field(place).data_type() != field.data_type())
                    });
                    let part = bytes.div_ceil(batches[at].rows.div_ceil(BATCH_ROWS as u64).max(1));
                    let made = part * (u64::from(cast) + u64::from(pick.filters()));
                    (Some(batches[at].rows), bytes, read + made + coded)
                }
                _ => (None, file.bytes, file.bytes.min(64 << 20)),
            };
            Morsel { partition: piece.partition, rows, bytes, need }
        };
        let morsels = pieces.iter().map(morsel).collect();
        let decoders = self.files.iter().map(|_| OnceLock::new()).collect();
        Ok(Arc::new(IpcScan { source: self, pick, pieces, morsels, detail: judged.detail(), decoders }))
    }
}

/// Files as they are read by one plan.
struct IpcScan {
    source: Arc<IpcSource>,
    pick: Pick,
    /// One for each morsel.
    pieces: Vec<Piece>,
    morsels: Vec<Morsel>,
    /// What is left out of the source.
    detail: String,
    /// Of each file, once it is read.
    decoders: Vec<OnceLock<Arc<FileDecoder>>>,
}

impl IpcScan {
    /// Opens a file, which has to be as it was.
    fn open(&self, file: usize) -> Result<std::fs::File> {
        let (opened, meta) = open(self.source.path(file))?;
        self.source.check_unchanged(file, &meta)?;
        Ok(opened)
    }

    fn decoder(&self, file: usize, places: &[usize], context: &ReadContext<'_>) -> Result<Arc<FileDecoder>> {
        if let Some(known) = self.decoders[file].get() {
            return Ok(known.clone());
        }
        let made = Arc::new(decoder(self.source.path(file), &self.source.files[file], places.to_vec(), context)?);
        Ok(self.decoders[file].get_or_init(|| made).clone())
    }

    /// Gives on a batch of the columns of a file at some places.
    fn put(
        &self,
        file: usize,
        places: &[usize],
        decoded: &RecordBatch,
        context: &ReadContext<'_>,
        emit: &mut Emit<'_>,
    ) -> Result<ControlFlow<()>> {
        let schema = self.pick.read_schema();
        for start in (0..decoded.num_rows()).step_by(BATCH_ROWS) {
            context.check()?;
            let rows = BATCH_ROWS.min(decoded.num_rows() - start);
            let array = |(column, field): (&usize, &Arc<arrow::datatypes::Field>)| -> Result<ArrayRef> {
                let Some(place) = self.source.places[file][*column] else {
                    return Ok(self.source.per_file.column(*column, file, rows, false));
                };
                let Ok(index) = places.binary_search(&place) else {
                    return Err(Error::internal("a column that was not read"));
                };
                let array = decoded.column(index).slice(start, rows);
                if array.data_type() == field.data_type() {
                    return Ok(array);
                }
                cast(&array, field.data_type()).map_err(|error| damaged(self.source.path(file), error))
            };
            let columns = self.pick.read().iter().zip(schema.fields()).map(array).collect::<Result<Vec<_>>>()?;
            let options = RecordBatchOptions::new().with_row_count(Some(rows));
            let batch = RecordBatch::try_new_with_options(schema.clone(), columns, &options)
                .map_err(|error| damaged(self.source.path(file), error))?;
            if let Some(picked) = self.pick.pick(&batch)?
                && emit(picked)?.is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl Scan for IpcScan {
    fn morsels(&self) -> &[Morsel] {
        &self.morsels
    }

    fn read(&self, morsel: usize, context: &ReadContext<'_>, emit: &mut Emit<'_>) -> Result<()> {
        let Some(piece) = self.pieces.get(morsel) else {
            return Err(Error::new(ErrorKind::Plan, format!("there is no morsel {morsel} of {}", self.morsels.len())));
        };
        context.check()?;
        let path = self.source.path(piece.file);
        let places = self.source.in_file(piece.file, self.pick.read());
        let opened = self.open(piece.file)?;
        let (Layout::Blocks { batches, .. }, Some(at)) = (&self.source.files[piece.file].layout, piece.batch) else {
            return self.read_stream(piece.file, &places, opened, context, emit);
        };
        let batch = &batches[at];
        if places.is_empty() {
            let empty = rows_only(batch.rows)?;
            return self.put(piece.file, &places, &empty, context, emit).map(drop);
        }
        let decoder = self.decoder(piece.file, &places, context)?;
        let (block, buffer) = match &batch.columns {
            Some(all) => {
                let columns: Vec<_> = places.iter().map(|place| &all[*place]).collect();
                read_columns(path, &opened, &batch.block, &columns, context)?
            }
            None => (batch.block, read_block(path, &opened, &batch.block, context)?),
        };
        check_block(path, &block, &buffer)?;
        let decode = || decoder.read_record_batch(&block, &buffer).map_err(|error| damaged(path, error));
        let decoded = guarded(path, decode)?;
        let Some(decoded) = decoded else { return Err(damaged(path, "what should be a batch is none")) };
        drop(buffer);
        self.put(piece.file, &places, &decoded, context, emit).map(drop)
    }

    fn detail(&self) -> String {
        self.detail.clone()
    }
}

/// A batch without columns.
fn rows_only(rows: u64) -> Result<RecordBatch> {
    let rows = usize::try_from(rows).map_err(|error| Error::internal(error.to_string()))?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)
        .map_err(|error| Error::internal(error.to_string()))
}

impl IpcScan {
    fn read_stream(
        &self,
        file: usize,
        places: &[usize],
        opened: std::fs::File,
        context: &ReadContext<'_>,
        emit: &mut Emit<'_>,
    ) -> Result<()> {
        let path = self.source.path(file);
        let counted = CountedRead { file: opened, context };
        let buffered = BufReader::with_capacity(256 << 10, counted);
        let open = || StreamReader::try_new(buffered, Some(places.to_vec())).map_err(|error| damaged(path, error));
        let mut reader = guarded(path, open)?;
        while let Some(decoded) = guarded(path, || reader.next().transpose().map_err(|error| damaged(path, error)))? {
            if self.put(file, places, &decoded, context, emit)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// Counts what is read.
struct CountedRead<'a> {
    file: std::fs::File,
    context: &'a ReadContext<'a>,
}

impl Read for CountedRead<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.context.count(read as u64);
        Ok(read)
    }
}
