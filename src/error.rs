//! The one error type of the library: what went wrong, in which task, and which line of the user's program asked for it.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::origin::Origin;

/// The result of everything that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of trouble an [`Error`] is; for programs that branch on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A user's function returned an error.
    Task,
    /// A user's function (or a kernel) panicked.
    Panic,
    /// The run was cancelled: by a canceller, by dropping its handle or iterator, or by dropping its runtime.
    Cancelled,
    /// The run did not end within its timeout.
    Timeout,
    /// One task needs more memory than the limit allows.
    LimitTooSmall,
    /// A result to be held in memory is larger than the memory limit.
    ResultTooLarge,
    /// Memory beyond the limit was asked for by a named holder.
    OutOfMemory,
    /// Writing or reading a spill file failed.
    Spill,
    /// The spill cap is reached or the spill disk is full.
    SpillFull,
    /// What was read back or decoded is not what was written.
    Corrupt,
    /// A file could not be opened, read or written.
    Io,
    /// Input data cannot be read as what it was declared to be.
    Data,
    /// The plan is wrong: a missing column, shapes that do not fit, a name used twice, a cycle.
    Plan,
    /// A setting has a value that cannot be used.
    Config,
    /// The operation is not supported.
    Unsupported,
    /// A defect of the library itself.
    Internal,
}

/// An error with its provenance.
///
/// It is one pointer wide and cheap to clone. [`Error::kind`] tells what happened, `Display` prints the cause followed
/// by one indented line per frame: the task and chunk, the verb, and the user's own file and line.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let text = delayed(|| String::from("12x"));
/// let number = text.try_map(|t| t.parse::<u32>());
/// let error = number.compute().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Task);
/// assert!(error.to_string().contains("invalid digit found in string"));
/// assert!(error.to_string().contains("try_map at "));
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    task: Option<TaskName>,
    frames: Vec<Frame>,
    /// The row of a batch that the message begins with, until somebody knows where the batch is.
    row: Option<u64>,
}

/// The task in which an error arose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskName {
    /// The layer's name: `parse`, `sum`, or what `.named()` said.
    pub layer: String,
    /// The index of the task in its layer, where the layer has more than one.
    pub index: Option<u64>,
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(f, "{} #{index}", self.layer),
            None => f.write_str(&self.layer),
        }
    }
}

/// One step of an error's provenance: `verb` called at `origin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// How the step stands to the one before it.
    pub role: Role,
    /// The verb of the public API.
    pub verb: String,
    /// The user's line.
    pub origin: Origin,
}

/// How a frame stands to the error: printed as the word before the verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The call that is wrong by itself.
    In,
    /// The call whose task failed.
    From,
    /// A later call that uses the failed one.
    Under,
}

impl Error {
    /// An error of a kind with the text of its cause.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error(Arc::new(Inner {
            kind,
            message: message.into(),
            source: None,
            task: None,
            frames: Vec::new(),
            row: None,
        }))
    }

    /// An error caused by another one, which stays reachable through [`std::error::Error::source`].
    ///
    /// `context` says what was being done; the text of the source is appended to it.
    pub fn with_source(
        kind: ErrorKind,
        context: impl fmt::Display,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        let source: Box<dyn std::error::Error + Send + Sync> = source.into();
        let context = context.to_string();
        let said = bare(&*source);
        let message = if context.is_empty() { said } else { format!("{context}: {said}") };
        Error(Arc::new(Inner {
            kind,
            message,
            source: Some(Arc::from(source)),
            task: None,
            frames: Vec::new(),
            row: None,
        }))
    }

    /// An error of bad data in a row of a batch; it begins with the row, which those who know more [place](Error::placed).
    pub(crate) fn at_row(row: u64, message: impl fmt::Display) -> Error {
        let error = Error::new(ErrorKind::Data, format!("row {row}: {message}"));
        error.change(|inner| inner.row = Some(row))
    }

    /// The same error with what is said of its row instead of the row of a batch, unless that was done before.
    #[must_use]
    pub(crate) fn placed(self, place: impl FnOnce(u64) -> String) -> Error {
        let Some(row) = self.0.row else { return self };
        self.change(|inner| {
            let message = inner.message.strip_prefix(&format!("row {row}: ")).unwrap_or(&inner.message);
            inner.message = format!("{}: {message}", place(row));
            inner.row = None;
        })
    }

    /// The same error of a part of a batch, before which the batch has so many rows.
    #[must_use]
    pub(crate) fn behind(self, rows: u64) -> Error {
        match self.0.row {
            Some(row) => self.placed(|_| format!("row {}", row + rows)).change(|inner| inner.row = Some(row + rows)),
            None => self,
        }
    }

    /// A failed operation on a file: names the path.
    pub fn io(path: impl AsRef<std::path::Path>, doing: &str, source: std::io::Error) -> Error {
        Error::with_source(ErrorKind::Io, format_args!("{doing} {}", path.as_ref().display()), source)
    }

    /// A defect of the library.
    pub fn internal(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Internal, format!("internal error (please report): {}", message.into()))
    }

    /// What a caught panic carried, as an error of kind [`ErrorKind::Panic`].
    pub fn from_panic(payload: Box<dyn Any + Send>) -> Error {
        let text = match payload.downcast::<String>() {
            Ok(text) => *text,
            Err(payload) => match payload.downcast::<&'static str>() {
                Ok(text) => text.to_string(),
                // An error thrown through a panic by the library's own nested compute keeps its kind's text.
                Err(_) => "a value that is not text".to_string(),
            },
        };
        Error::new(ErrorKind::Panic, format!("panicked: {text}"))
    }

    /// What a user's fallible function returned: an [`Error`] of this library is kept as it is (a nested compute, a
    /// reader), anything else becomes one of kind [`ErrorKind::Task`].
    pub fn from_user(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        match error.into().downcast::<Error>() {
            Ok(own) => *own,
            Err(other) => Error::with_source(ErrorKind::Task, "", other),
        }
    }

    /// What happened.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The cause alone, without task and frames.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The task in which the error arose, if it arose in one.
    pub fn task(&self) -> Option<&TaskName> {
        self.0.task.as_ref()
    }

    /// The provenance, innermost first.
    pub fn frames(&self) -> &[Frame] {
        &self.0.frames
    }

    /// The same error with the task that failed; an inner task already named stays.
    #[must_use]
    pub fn in_task(self, layer: impl Into<String>, index: Option<u64>) -> Error {
        if self.0.task.is_some() {
            return self;
        }
        self.change(|inner| inner.task = Some(TaskName { layer: layer.into(), index }))
    }

    /// The same error with one more frame, unless the last one says the same of the same call.
    #[must_use]
    pub fn frame(self, role: Role, verb: impl Into<String>, origin: Origin) -> Error {
        let verb = verb.into();
        let said = |last: &Frame| last.verb == verb && last.origin == origin && origin.is_known();
        if self.0.frames.last().is_some_and(said) {
            return self;
        }
        self.change(|inner| inner.frames.push(Frame { role, verb, origin }))
    }

    /// The same error in other words.
    #[must_use]
    pub(crate) fn reworded(self, words: impl FnOnce(&str) -> String) -> Error {
        self.change(|inner| inner.message = words(&inner.message))
    }

    fn change(self, edit: impl FnOnce(&mut Inner)) -> Error {
        let mut inner = Arc::unwrap_or_clone(self.0);
        edit(&mut inner);
        Error(Arc::new(inner))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(task) = &self.0.task {
            write!(f, "task `{task}` failed: ")?;
        }
        f.write_str(&self.0.message)?;
        // `in` stands on its own line; a chain `from …, under …, under …` shares one.
        let mut line_open = false;
        // A line that is not known is only worth a word where none is.
        let some_known = self.0.frames.iter().any(|frame| frame.origin.is_known());
        for frame in &self.0.frames {
            let word = match frame.role {
                Role::In => "in",
                Role::From => "from",
                Role::Under => "under",
            };
            let joined = frame.role == Role::Under && line_open;
            f.write_str(if joined { ", " } else { "\n  " })?;
            let verb = if frame.verb.chars().all(|c| c.is_alphanumeric() || c == '_') {
                frame.verb.clone()
            } else {
                format!("`{}`", frame.verb)
            };
            match some_known && !frame.origin.is_known() {
                true => write!(f, "{word} {verb}")?,
                false => write!(f, "{word} {verb} at {}", frame.origin)?,
            }
            line_open = true;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

/// What libraries of files put before the error of another one, such as of the disk.
const COVERS: [&str; 3] = ["External: ", "External error: ", "Io error: "];

/// The text of an error, without the words of libraries that only hand it on.
fn bare(mut error: &(dyn std::error::Error + 'static)) -> String {
    loop {
        let text = error.to_string();
        let inner = error.source().filter(|inner| {
            let inner = inner.to_string();
            COVERS.iter().any(|cover| text.strip_prefix(cover) == Some(&inner))
        });
        match inner {
            Some(inner) => error = inner,
            None => return text,
        }
    }
}

/// What Arrow's functions say inside a user's function, so that `?` takes it.
impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Error {
        Error::from_user(error)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

/// Bytes as people write them: `96 MiB`, `1.5 GiB`, `512 B`.
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 || (value - value.round()).abs() < 0.05 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pointer_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        assert_eq!(size_of::<Result<(), Error>>(), size_of::<usize>());
    }

    #[test]
    fn prints_cause_then_frames() {
        let line = line!() + 1;
        let origin = Origin::caller();
        let error = Error::new(ErrorKind::Data, "raw/2024-03.csv, line 10412, column `amount`: `n/a` is not a Float64")
            .in_task("parse", Some(17))
            .frame(Role::From, "read_csv", origin)
            .frame(Role::Under, "filter", origin);
        assert_eq!(
            error.to_string(),
            format!(
                "task `parse #17` failed: raw/2024-03.csv, line 10412, column `amount`: `n/a` is not a Float64\n  from \
                 read_csv at {f}:{line}, under filter at {f}:{line}",
                f = file!()
            )
        );
        let error = Error::new(ErrorKind::Plan, "shapes do not broadcast").frame(Role::In, "-", origin);
        assert!(error.to_string().ends_with(&format!("\n  in `-` at {}:{line}", file!())));
    }

    #[test]
    fn a_user_error_of_this_library_is_kept() {
        let inner = Error::new(ErrorKind::Timeout, "late");
        assert_eq!(Error::from_user(inner).kind(), ErrorKind::Timeout);
        let parse = "x".parse::<u32>().unwrap_err();
        let error = Error::from_user(parse);
        assert_eq!((error.kind(), error.message()), (ErrorKind::Task, "invalid digit found in string"));
        assert!(std::error::Error::source(&error).is_some());
    }

    #[test]
    fn a_call_is_named_once() {
        let (line, origin) = (line!(), Origin::caller());
        let at = format!("{}:{line}", file!());
        let error = Error::new(ErrorKind::Data, "x").frame(Role::In, "select", origin);
        let twice = error.frame(Role::From, "select", origin);
        assert_eq!(twice.to_string(), format!("x\n  in select at {at}"));
        let other = twice.frame(Role::From, "agg", origin).frame(Role::From, "persist", Origin::UNKNOWN);
        assert_eq!(other.to_string(), format!("x\n  in select at {at}\n  from agg at {at}\n  from persist"));
        let unknown = Error::new(ErrorKind::Data, "x").frame(Role::In, "select", Origin::UNKNOWN);
        assert_eq!(unknown.to_string(), "x\n  in select at an unknown line");
    }

    #[test]
    fn a_row_is_placed_once() {
        let error = Error::at_row(7, "no number");
        assert_eq!((error.kind(), error.message()), (ErrorKind::Data, "row 7: no number"));
        let placed = error.placed(|row| format!("row {} of t", row + 100));
        assert_eq!(placed.message(), "row 107 of t: no number");
        assert_eq!(placed.placed(|_| "elsewhere".to_string()).message(), "row 107 of t: no number");
        assert_eq!(Error::new(ErrorKind::Data, "row 1: x").placed(|_| String::new()).message(), "row 1: x");
        let behind = Error::at_row(7, "no number").behind(10);
        assert_eq!(behind.message(), "row 17: no number");
        assert_eq!(behind.placed(|row| format!("row {row} of t")).message(), "row 17 of t: no number");
    }

    #[test]
    fn what_is_handed_on_is_told_as_it_was() {
        let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
        let told = |source: Box<dyn std::error::Error + Send + Sync>| {
            let error = Error::with_source(ErrorKind::Io, "cannot write f", source);
            assert!(std::error::Error::source(&error).is_some());
            error.message().to_string()
        };
        use arrow::error::ArrowError;
        let whole = format!("cannot write f: {}", full());
        assert_eq!(told(ArrowError::from(full()).into()), whole);
        assert_eq!(told(ArrowError::ExternalError(Box::new(ArrowError::from(full()))).into()), whole);
        #[cfg(feature = "parquet")]
        assert_eq!(told(parquet::errors::ParquetError::from(ArrowError::from(full())).into()), whole);
        assert_eq!(told(ArrowError::CastError("x".into()).into()), "cannot write f: Cast error: x");
        assert_eq!(told("External: x".into()), "cannot write f: External: x");
    }

    #[test]
    fn bytes_for_people() {
        for (bytes, text) in [
            (0, "0 B"),
            (512, "512 B"),
            (96 << 20, "96 MiB"),
            (3 << 29, "1.5 GiB"),
            (1025, "1 KiB"),
            (1 << 50, "1024 TiB"),
        ] {
            assert_eq!(human_bytes(bytes), text);
        }
    }
}
