//! What every source of tables is to the engine: a schema, and morsels that are read batch by batch.
//!
//! A [`TableSource`] is opened once, when the plan is built: it knows its schema, how it is cut into partitions, and about
//! how large it is. When a plan runs, the optimizer asks it for a [`Scan`]: which columns come out, and which rows
//! are wanted. The scan names its morsels, one task each; their bounds follow from source and request alone, never from
//! threads, budget or time.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::error::Result;
use crate::expr::Expr;
use crate::store::Budget;

pub use crate::store::BATCH_ROWS;

/// Bytes of a morsel, decoded, that a source should stay below where it can be cut.
pub const MORSEL_BYTES: u64 = 16 << 20;

/// Morsels that a source should give at least where it can be cut without harm, so that the work is balanced.
pub const MORSELS: u64 = 128;

/// Bytes of a partition, as the user sees it, by default.
pub const PARTITION_BYTES: u64 = 128 << 20;

/// Where tables come from.
pub trait TableSource: fmt::Debug + Send + Sync {
    /// What it is called in plans, such as `read_csv of 3 files`.
    fn label(&self) -> String;

    /// All columns, with the types that the user sees.
    fn schema(&self) -> &SchemaRef;

    /// A text that is equal for sources that read the same; nothing for memory and closures.
    fn key(&self) -> Option<String>;

    /// Number of partitions as the user sees them.
    fn partitions(&self) -> u32;

    /// Number of rows, where it is known without reading them.
    fn rows(&self) -> Option<u64>;

    /// Whether what it knows of itself still holds, where rows are told by that and not read.
    ///
    /// # Errors
    /// Where a file is not as it was when the source was opened, naming it.
    fn unchanged(&self) -> Result<()> {
        Ok(())
    }

    /// About how many bytes each column takes in memory, of all rows together.
    fn column_bytes(&self) -> Vec<u64>;

    /// What it costs to read it a second time.
    fn reread(&self) -> Reread {
        Reread::Parse
    }

    /// What it takes to read what is wanted.
    ///
    /// # Errors
    /// Where the source cannot be read; nothing of its rows is read yet.
    fn scan(self: Arc<Self>, request: &ScanRequest) -> Result<Arc<dyn Scan>>;
}

/// What it costs to read a source a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reread {
    /// Nothing: it is in memory.
    Free,
    /// Decoding columns, at some gigabytes a second.
    Decode,
    /// More than writing its rows to disk and reading them back.
    Parse,
}

/// What is wanted of a source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScanRequest {
    /// The columns that come out, by their places in the schema, ascending.
    pub columns: Vec<usize>,
    /// Only rows for which all of these are true come out. They may read columns that do not come out, and cannot fail.
    pub predicates: Vec<Expr>,
    /// Text columns, by their places in the schema, that may come out as dictionaries with keys of type Int32 where they
    /// lie so.
    pub dictionaries: Vec<usize>,
}

/// A source as it is read by one plan.
pub trait Scan: Send + Sync {
    /// The morsels, in the order of their rows. Those of a partition stand together.
    fn morsels(&self) -> &[Morsel];

    /// Reads a morsel, batch by batch, until all is read or `emit` says to stop. A batch has at most about [`BATCH_ROWS`] rows and
    /// the wanted columns; a column that may come as a dictionary is one or not, as the batch has it.
    ///
    /// # Errors
    /// Of kind `Io` or `Data`, naming path and place; and what `emit` and `context` return.
    fn read(&self, morsel: usize, context: &ReadContext<'_>, emit: &mut Emit<'_>) -> Result<()>;

    /// What is left out of the source, for `explain`, such as `row groups 12 of 80`.
    fn detail(&self) -> String {
        String::new()
    }
}

/// Takes a batch, and says whether more are wanted.
pub type Emit<'a> = dyn FnMut(RecordBatch) -> Result<ControlFlow<()>> + 'a;

/// What one task reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Morsel {
    /// Of which partition it is.
    pub partition: u32,
    /// Its rows before predicates, where they are known.
    pub rows: Option<u64>,
    /// About how many bytes the wanted columns take, decoded.
    pub bytes: u64,
    /// About how many bytes reading it takes beside the batches it gives, at most.
    pub need: u64,
}

/// The surroundings of a read.
pub struct ReadContext<'a> {
    /// To be called now and then: an error once the run is ending.
    pub check: &'a dyn Fn() -> Result<()>,
    /// To be told of bytes read from files.
    pub count: &'a dyn Fn(u64),
    /// For what is larger than anybody could know before. Without one, what is read at a time has bounds of its own.
    pub budget: Option<&'a Budget>,
}

impl ReadContext<'_> {
    /// Goes on, or is the error of a run that is ending.
    pub fn check(&self) -> Result<()> {
        (self.check)()
    }

    /// Counts bytes that were read from files.
    pub fn count(&self, bytes: u64) {
        (self.count)(bytes);
    }
}

impl Default for ReadContext<'_> {
    /// Of nobody: never ends, counts nothing, has no budget.
    fn default() -> Self {
        ReadContext { check: &|| Ok(()), count: &|_| {}, budget: None }
    }
}
