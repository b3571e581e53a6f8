//! Tables to files: `to_parquet`, `to_csv`, `to_json`, `to_ipc`.

use std::path::Path;
use std::sync::Arc;

use super::DataFrame;
pub use super::plan::Written;
use super::plan::{Frame, Layout, Op, WriteOp};
use crate::error::{Error, ErrorKind, Result, Role};
pub use crate::formats::csv::CsvWriteOptions;
pub use crate::formats::ipc::IpcCompression;
#[cfg(feature = "parquet")]
pub use crate::formats::parquet::{Compression, StatisticsLevel};
pub use crate::formats::write::IfExists;
use crate::formats::write::{FileNames, Format};
use crate::origin::Origin;
use crate::plan::{NodeRef, OneValue, Poisoned, Request};
use crate::runtime::{Computable, Compute};

/// A table that is to be written; [`Writer::write`] does it, alone, and [`compute`](crate::compute) together with other things.
///
/// Nothing is seen at the target before all is written: then it takes the place of what was there, in one step. So the table
/// may be read from where it is written to, and after an error, a cancelled run or a killed process the target is what it was.
///
/// ```
/// use chunkwise::prelude::*;
///
/// # let dir = tempfile::tempdir()?;
/// # let out = dir.path().join("out");
/// let df = dataframe::from_columns([("k", vec![1, 2, 1]), ("v", vec![10, 20, 30])]);
/// let written = df.to_parquet(&out).partition_by(["k"]).write()?;
/// assert_eq!((written.rows, written.files.len()), (3, 2)); // k=1/part.0.parquet, k=2/part.0.parquet
/// let back = dataframe::read_parquet(out.to_str().unwrap()).open()?;
/// assert_eq!(back.filter(col("k").eq(1)).count_rows().compute()?, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A long write is watched like any run: a runtime with `.progress(true)` shows a line for it, and a run in the background says how many of
/// its tasks are done. Each task encodes a part of the rows; the last one puts all in place.
///
/// ```
/// use chunkwise::prelude::*;
///
/// # let dir = tempfile::tempdir()?;
/// # let out = dir.path().join("out");
/// let df = dataframe::from_columns([("v", (0..1000).collect::<Vec<i64>>())]);
/// let run = df.to_parquet(&out).start_on(&Runtime::current()?);
/// let progress = run.progress();
/// println!("{} of {} tasks after {:?}", progress.done, progress.tasks, progress.elapsed);
/// assert_eq!(run.wait()?.rows, 1000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is written before `write` or `compute`"]
pub struct Writer {
    frame: DataFrame,
    op: WriteOp,
    verb: &'static str,
    origin: Origin,
    /// An option that does not fit.
    wrong: Option<String>,
}

impl DataFrame {
    /// Writes Parquet files into a directory, one for each partition: `part.0.parquet` and so on.
    #[cfg(feature = "parquet")]
    #[track_caller]
    pub fn to_parquet(&self, path: impl AsRef<Path>) -> Writer {
        Writer::new(self, path.as_ref(), Format::Parquet(Default::default()), "to_parquet", Origin::caller())
    }

    /// Writes CSV files into a directory, one for each partition: `part.0.csv` and so on; of a path such as `out/day-*.csv`
    /// `day-0.csv` and so on in `out`. Durations, which cannot be read back from text, are an error.
    #[track_caller]
    pub fn to_csv(&self, path: impl AsRef<Path>) -> Writer {
        Writer::new(self, path.as_ref(), Format::Csv(CsvWriteOptions::default()), "to_csv", Origin::caller())
    }

    /// Writes files of JSON lines into a directory, one for each partition: `part.0.jsonl` and so on. JSON knows neither NaN nor
    /// infinities: they are written as `null`, as nulls are, and read back as that. Durations, which cannot be read back from text, are
    /// an error.
    #[track_caller]
    pub fn to_json(&self, path: impl AsRef<Path>) -> Writer {
        Writer::new(self, path.as_ref(), Format::Json, "to_json", Origin::caller())
    }

    /// Writes Arrow IPC files into a directory, one for each partition: `part.0.arrow` and so on.
    #[track_caller]
    pub fn to_ipc(&self, path: impl AsRef<Path>) -> Writer {
        Writer::new(self, path.as_ref(), Format::Ipc(IpcCompression::None), "to_ipc", Origin::caller())
    }
}

/// What is wrong with two of them.
const ONE_LAYOUT: &str = "`single_file` writes one file and `partition_by` many: leave one of them out";

/// Endings of names that the readers take for compressed text.
const COMPRESSED: [&str; 2] = [".gz", ".zst"];

impl Writer {
    fn new(frame: &DataFrame, target: &Path, format: Format, verb: &'static str, origin: Origin) -> Writer {
        let (layout, if_exists) = (Layout::Partitions, IfExists::Replace);
        let (mut target, mut names, mut wrong) = (target.to_path_buf(), FileNames::parts(format.extension()), None);
        let last = target.file_name().and_then(|name| name.to_str()).map(str::to_string);
        if let Some((prefix, suffix)) = last.as_deref().and_then(|name| name.split_once('*')) {
            names = FileNames { prefix: prefix.to_string(), suffix: suffix.to_string() };
            if suffix.contains('*') {
                wrong = Some("the name of files has two `*`: one stands for their numbers".to_string());
            } else if !target.pop() || target.as_os_str().is_empty() {
                wrong =
                    Some("files with numbers in their names need a directory of their own: `out/*.csv`".to_string());
            }
        }
        if matches!(format, Format::Csv(_) | Format::Json)
            && let Some(ending) =
                COMPRESSED.iter().find(|ending| last.as_deref().is_some_and(|name| name.ends_with(*ending)))
        {
            let text = format!("text is written as it is, and a name that ends in `{ending}` says it is compressed");
            wrong.get_or_insert(text);
        }
        let op = WriteOp { target, names, format, layout, if_exists, durable: false };
        Writer { frame: frame.clone(), op, verb, origin, wrong }
    }

    fn misfit(mut self, option: &str) -> Writer {
        self.wrong.get_or_insert_with(|| format!("`{option}` is no option of `{}`", self.verb));
        self
    }

    /// One file at the path, in place of a directory with one for each partition.
    pub fn single_file(mut self) -> Writer {
        let plain = FileNames::parts(self.op.format.extension());
        if self.op.names != plain {
            self.wrong.get_or_insert("a single file has no number for a `*` in its name".to_string());
        }
        if let Layout::Keys(_) = &self.op.layout {
            self.wrong.get_or_insert(ONE_LAYOUT.to_string());
        }
        self.op.layout = Layout::Single;
        self
    }

    /// A directory `key=value` for each value of some columns, which do not stand in the files then. Null has a
    /// directory called `__HIVE_DEFAULT_PARTITION__`. There may be any number of values.
    ///
    /// Names of directories have no types: integers and dates come back as what they were, other columns as text, and so do texts, but where
    /// all of a column are written as integers or dates are. The readers' `hive_type` declares what a key is.
    pub fn partition_by<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Writer {
        if self.op.layout == Layout::Single {
            self.wrong.get_or_insert(ONE_LAYOUT.to_string());
        }
        self.op.layout = Layout::Keys(columns.into_iter().map(Into::into).collect());
        self
    }

    /// What becomes of what stands at the path already; by default it is replaced.
    pub fn if_exists(mut self, what: IfExists) -> Writer {
        self.op.if_exists = what;
        self
    }

    /// Puts the files beside those that are there, numbered on; a single file cannot be appended to. They appear all together. Their columns
    /// have to be among those of the files that are there, with the same types; of JSON the keys and kinds of values in the first rows are
    /// looked at. Directories of keys have to be those that are there.
    pub fn append(self) -> Writer {
        self.if_exists(IfExists::Append)
    }

    /// What was written also survives a loss of power.
    pub fn durable(mut self, durable: bool) -> Writer {
        self.op.durable = durable;
        self
    }

    /// How pages of Parquet files are compressed; Snappy by default.
    #[cfg(feature = "parquet")]
    pub fn compression(mut self, compression: Compression) -> Writer {
        match &mut self.op.format {
            Format::Parquet(encoding) => encoding.compression = compression,
            _ => return self.misfit("compression"),
        }
        self
    }

    /// Rows that a row group of Parquet files has at most.
    #[cfg(feature = "parquet")]
    pub fn row_group_rows(mut self, rows: usize) -> Writer {
        match &mut self.op.format {
            Format::Parquet(encoding) => encoding.row_group_rows = rows,
            _ => return self.misfit("row_group_rows"),
        }
        self
    }

    /// Encoded bytes at which a row group of Parquet files is ended.
    #[cfg(feature = "parquet")]
    pub fn row_group_bytes(mut self, bytes: usize) -> Writer {
        match &mut self.op.format {
            Format::Parquet(encoding) => encoding.row_group_bytes = bytes,
            _ => return self.misfit("row_group_bytes"),
        }
        self
    }

    /// Which statistics Parquet files have.
    #[cfg(feature = "parquet")]
    pub fn statistics(mut self, level: StatisticsLevel) -> Writer {
        match &mut self.op.format {
            Format::Parquet(encoding) => encoding.statistics = level,
            _ => return self.misfit("statistics"),
        }
        self
    }

    /// Columns of Parquet files that get bloom filters, by which a reader leaves out what has not the value it looks for.
    #[cfg(feature = "parquet")]
    pub fn bloom_filters<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Writer {
        match &mut self.op.format {
            Format::Parquet(encoding) => encoding.bloom_filters = columns.into_iter().map(Into::into).collect(),
            _ => return self.misfit("bloom_filters"),
        }
        self
    }

    /// How CSV files are written.
    pub fn csv_options(mut self, options: CsvWriteOptions) -> Writer {
        match &mut self.op.format {
            Format::Csv(own) => *own = options,
            _ => return self.misfit("csv_options"),
        }
        self
    }

    /// How the batches of Arrow IPC files are compressed.
    pub fn ipc_compression(mut self, compression: IpcCompression) -> Writer {
        match &mut self.op.format {
            Format::Ipc(own) => *own = compression,
            _ => return self.misfit("ipc_compression"),
        }
        self
    }

    /// Writes, with the current runtime.
    ///
    /// # Errors
    /// Of the plan or the run; of kind `Io`, where the files cannot be written; of kind `Plan`, where something stands at the path
    /// that is not to be replaced. In all these cases the target is what it was.
    #[track_caller]
    pub fn write(&self) -> Result<Written> {
        self.compute()
    }

    fn node(&self) -> NodeRef {
        let made = self.frame.frame().and_then(|frame| {
            let single = self.op.layout == Layout::Single && self.op.if_exists == IfExists::Append;
            let checked = match &self.wrong {
                Some(text) => Err(Error::new(ErrorKind::Plan, text)),
                None if single => {
                    let text =
                        "only a directory can be appended to, and `single_file` writes a file: leave one of them out";
                    Err(Error::new(ErrorKind::Plan, text))
                }
                None => self.op.encoder(&frame.schema).map(drop),
            };
            let made = checked.and_then(|()| Frame::new(Op::Write(self.op.clone()), &[frame], self.verb, self.origin));
            made.map_err(|error| error.frame(Role::In, self.verb, self.origin))
        });
        made.map_or_else(Poisoned::node, |frame| frame.node)
    }
}

impl Computable for Writer {
    type Output = Written;
    type Pending = Arc<OneValue>;

    fn request(&self, request: &mut Request) -> Arc<OneValue> {
        let value = Arc::new(OneValue::default());
        request.want(&self.node(), value.clone());
        value
    }

    fn finish(pending: Arc<OneValue>) -> Result<Written> {
        pending.take().ok_or_else(|| Error::internal("nothing is told of what was written"))?.take_or_clone()
    }
}
