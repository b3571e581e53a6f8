//! A data set of Parquet files.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};

use super::footer::{FileSchema, Footer, check_unchanged, read_all};
use super::scan::ParquetScan;
use crate::error::{Error, ErrorKind, Result};
use crate::expr::Lookup;
use crate::formats::hive::{DataFile, content_key, data_files, label};
use crate::formats::per_file::{FileColumns, PerFile};
use crate::formats::scan::{BATCH_ROWS, PARTITION_BYTES, Reread, Scan, ScanRequest, TableSource};
use crate::formats::unify::unify;

/// What files in a directory are called.
const EXTENSIONS: [&str; 4] = ["parquet", "parq", "pqt", "pq"];

/// How a data set is read.
#[derive(Clone, Debug, PartialEq)]
pub struct ParquetOptions {
    /// The columns, in the order in which they are wanted; all where there is nothing.
    pub columns: Option<Vec<String>>,
    /// The columns beside those in the files.
    pub file_columns: FileColumns,
    /// Whether a column that has different types in different files has the smallest type that holds all.
    pub widen: bool,
    /// Rows of a batch.
    pub batch_rows: usize,
    /// Whether text may come as dictionaries where it lies so.
    pub dictionaries: bool,
    /// Bytes of a partition, decoded.
    pub partition_bytes: u64,
}

impl Default for ParquetOptions {
    fn default() -> Self {
        ParquetOptions {
            columns: None,
            file_columns: FileColumns::default(),
            widen: false,
            batch_rows: BATCH_ROWS,
            dictionaries: true,
            partition_bytes: PARTITION_BYTES,
        }
    }
}

/// Parquet files as one table: those of a pattern or of a directory.
///
/// ```
/// use std::sync::Arc;
/// use chunkwise::formats::parquet::{ParquetOptions, ParquetSource};
/// use chunkwise::formats::scan::TableSource;
/// # use arrow::array::{ArrayRef, Int64Array, RecordBatch};
/// # let dir = tempfile::tempdir()?;
/// # let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
/// # let batch = RecordBatch::try_from_iter([("n", numbers)])?;
/// # std::fs::create_dir(dir.path().join("year=2024"))?;
/// # let file = std::fs::File::create(dir.path().join("year=2024/a.parquet"))?;
/// # let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None)?;
/// # writer.write(&batch)?;
/// # writer.close()?;
/// # let path = dir.path().to_str().unwrap();
///
/// let source = ParquetSource::open(&[path], ParquetOptions::default())?;
/// assert_eq!(source.rows(), Some(3));
/// let names: Vec<&String> = source.schema().fields().iter().map(|field| field.name()).collect();
/// assert_eq!(names, ["n", "year"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ParquetSource {
    pub(super) files: Vec<DataFile>,
    pub(super) footers: Vec<Footer>,
    pub(super) schemas: Vec<Arc<FileSchema>>,
    pub(super) options: ParquetOptions,
    pub(super) per_file: PerFile,
    /// The rows of each partition, one after another.
    pub(super) pieces: Vec<Piece>,
    partitions: u32,
    column_bytes: Vec<u64>,
}

/// Rows of a row group, all of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) partition: u32,
    pub(super) file: u32,
    pub(super) group: u32,
    pub(super) start: u64,
    pub(super) end: u64,
}

impl std::fmt::Debug for ParquetSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetSource").field("label", &self.label()).field("schema", self.schema()).finish()
    }
}

impl ParquetSource {
    /// Opens files, patterns and directories, and reads the footers of all files.
    ///
    /// # Errors
    /// Of kind `Io` or `Data`, where there is no file, or one cannot be read or does not fit the others; of kind `Plan`, where an option names
    /// a column that is not there; of kind `Unsupported`, where a file is encrypted.
    pub fn open(paths: &[impl AsRef<str>], options: ParquetOptions) -> Result<ParquetSource> {
        let mut files = Vec::new();
        for path in paths {
            files.extend(data_files(path.as_ref(), &EXTENSIONS)?);
        }
        if files.is_empty() {
            return Err(Error::new(ErrorKind::Plan, "no path is given: name a file, a pattern or a directory"));
        }
        if options.batch_rows == 0 || options.partition_bytes == 0 {
            return Err(Error::new(
                ErrorKind::Plan,
                "batches and partitions need room: `batch_rows` and `partition_bytes` are at least 1",
            ));
        }
        let (footers, schemas) = read_all(&files)?;
        let of_files = schemas.iter().map(|schema| (&schema.fields, files[schema.first].file.path.as_path()));
        let mut per_file = PerFile::new(unify(of_files, options.widen)?, &files, &options.file_columns, &[])?;
        if let Some(names) = &options.columns {
            per_file = per_file.select(names)?;
        }
        for file in &mut files {
            file.keys = Vec::new();
        }
        let mut source = ParquetSource {
            files,
            footers,
            schemas,
            options,
            per_file,
            pieces: Vec::new(),
            partitions: 0,
            column_bytes: Vec::new(),
        };
        source.column_bytes = source.count_bytes();
        source.cut();
        Ok(source)
    }

    /// For each schema, the place of each column of the source; nothing where files of the schema do not have it.
    pub(super) fn places(&self) -> Vec<Vec<Option<usize>>> {
        let of = |schema: &Arc<FileSchema>| {
            let of_file = Schema::new(schema.fields.clone());
            let known = Lookup::new(&of_file);
            let names = self.schema().fields().iter().enumerate();
            names.map(|(column, field)| known.place(self.per_file.in_rows(column).then(|| field.name())?)).collect()
        };
        self.schemas.iter().map(of).collect()
    }

    /// Whether a file is as it was when its footer was read.
    pub(super) fn file_unchanged(&self, file: usize) -> Result<()> {
        let path = &self.files[file].file.path;
        let meta = std::fs::metadata(path).map_err(|error| Error::io(path, "cannot open", error))?;
        check_unchanged(path, &self.footers[file], &meta)
    }

    fn count_bytes(&self) -> Vec<u64> {
        let places = self.places();
        let mut bytes = vec![0_u64; self.schema().fields().len()];
        for footer in &self.footers {
            let leaves = &self.schemas[footer.schema].leaves;
            for (column, place) in places[footer.schema].iter().enumerate() {
                for group in &footer.groups {
                    bytes[column] += match place {
                        Some(place) => leaves[place.to_owned()].clone().map(|leaf| group.leaves[leaf].decoded).sum(),
                        None => group.rows * 8,
                    };
                }
            }
        }
        bytes
    }

    /// Cuts the rows into partitions: runs of row groups up to their size; a larger row group is cut into several.
    fn cut(&mut self) {
        let most = self.options.partition_bytes;
        let places = self.places();
        let (mut partition, mut filled, mut any) = (0, 0, false);
        for (file, footer) in self.footers.iter().enumerate() {
            let leaves = &self.schemas[footer.schema].leaves;
            let wanted: Vec<usize> =
                places[footer.schema].iter().flatten().flat_map(|place| leaves[*place].clone()).collect();
            for (index, group) in footer.groups.iter().enumerate() {
                let bytes: u64 = wanted.iter().map(|leaf| group.leaves[*leaf].decoded).sum();
                if filled > 0 && filled + bytes > most {
                    (partition, filled) = (partition + 1, 0);
                }
                let parts = bytes.div_ceil(most).clamp(1, group.rows.max(1));
                for part in 0..parts {
                    if part > 0 {
                        (partition, filled) = (partition + 1, 0);
                    }
                    let (start, end) = (even(group.rows, part, parts), even(group.rows, part + 1, parts));
                    self.pieces.push(Piece { partition, file: file as u32, group: index as u32, start, end });
                    any = true;
                    // An empty row group takes no room, and does not begin a partition either.
                    filled += (bytes / parts).max(u64::from(group.rows > 0));
                }
            }
        }
        self.partitions = if any { partition + 1 } else { 1 };
    }
}

/// Where part `part` of `parts` begins, so that they differ by one at most.
pub(super) fn even(rows: u64, part: u64, parts: u64) -> u64 {
    // Below `rows`, as `part` is at most `parts`.
    (u128::from(rows) * u128::from(part) / u128::from(parts)) as u64
}

impl TableSource for ParquetSource {
    fn label(&self) -> String {
        label("read_parquet", &self.files)
    }

    fn schema(&self) -> &SchemaRef {
        self.per_file.schema()
    }

    fn key(&self) -> Option<String> {
        let files = self.files.iter().zip(&self.footers);
        let files = files.map(|(at, footer)| (at.file.path.as_path(), footer.bytes, footer.modified));
        Some(content_key("parquet", files, &(&self.options, self.per_file.digest())))
    }

    fn partitions(&self) -> u32 {
        self.partitions
    }

    fn rows(&self) -> Option<u64> {
        Some(self.footers.iter().flat_map(|footer| &footer.groups).map(|group| group.rows).sum())
    }

    fn unchanged(&self) -> Result<()> {
        (0..self.files.len()).try_for_each(|file| self.file_unchanged(file))
    }

    fn column_bytes(&self) -> Vec<u64> {
        self.column_bytes.clone()
    }

    fn reread(&self) -> Reread {
        Reread::Decode
    }

    fn scan(self: Arc<Self>, request: &ScanRequest) -> Result<Arc<dyn Scan>> {
        Ok(Arc::new(ParquetScan::plan(self, request)?))
    }
}
