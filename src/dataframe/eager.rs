//! The verbs of expressions on a table that is there.

use arrow::array::RecordBatch;

use super::{DataFrame, IntoColumn, Table, from_batches};
use crate::error::Result;
use crate::expr::Expr;
use crate::runtime::Compute;

impl Table {
    /// The table as a lazy one, in so many partitions.
    #[track_caller]
    pub fn to_dataframe(&self, npartitions: usize) -> DataFrame {
        let mut batches = self.batches().to_vec();
        if batches.is_empty() {
            batches.push(RecordBatch::new_empty(self.schema().clone()));
        }
        from_batches(batches, npartitions)
    }

    /// The rows for which a condition is true; aggregates in it are of the whole table.
    ///
    /// # Errors
    /// Where the condition does not fit, or cannot be computed.
    #[track_caller]
    pub fn filter(&self, condition: Expr) -> Result<Table> {
        self.now(self.to_dataframe(1).filter(condition))
    }

    /// Columns by name, or computed ones; aggregates in them are of the whole table.
    ///
    /// # Errors
    /// Where an expression does not fit, or cannot be computed.
    #[track_caller]
    pub fn select<C: IntoColumn>(&self, columns: impl IntoIterator<Item = C>) -> Result<Table> {
        self.now(self.to_dataframe(1).select(columns))
    }

    /// All columns, and more; one of a name that is there takes its place.
    ///
    /// # Errors
    /// Where an expression does not fit, or cannot be computed.
    #[track_caller]
    pub fn with_columns<C: IntoColumn>(&self, columns: impl IntoIterator<Item = C>) -> Result<Table> {
        self.now(self.to_dataframe(1).with_columns(columns))
    }

    /// As [`Table::with_columns`], of one column.
    ///
    /// # Errors
    /// Where the expression does not fit, or cannot be computed.
    #[track_caller]
    pub fn with_column(&self, column: Expr) -> Result<Table> {
        self.with_columns([column])
    }

    /// One row per group of equal keys, in ascending order of the keys: the keys, and the outputs.
    ///
    /// # Errors
    /// Where an expression does not fit, or cannot be computed.
    #[track_caller]
    pub fn group_by_agg<C: IntoColumn>(
        &self,
        keys: impl IntoIterator<Item = C>,
        outputs: impl IntoIterator<Item = Expr>,
    ) -> Result<Table> {
        self.now(self.to_dataframe(1).group_by(keys).agg(outputs))
    }

    /// Computes with the current runtime; inside a task of it, on the task's own thread.
    #[track_caller]
    fn now(&self, table: DataFrame) -> Result<Table> {
        table.compute()
    }
}
