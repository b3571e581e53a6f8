//! A program's own source of tables.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::narrow::same_columns;
use super::pick::Pick;
use super::scan::{BATCH_ROWS, Emit, Morsel, ReadContext, Scan, ScanRequest, TableSource};
use crate::error::{Error, ErrorKind, Result};

/// A table that a program reads by itself, partition by partition.
///
/// ```
/// use std::ops::ControlFlow;
/// use std::sync::Arc;
/// use arrow::array::{ArrayRef, Int64Array, RecordBatch};
/// use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
/// use chunkwise::formats::scan::{Emit, ReadContext, ScanRequest, TableSource};
/// use chunkwise::formats::user::{Source, UserSource};
///
/// /// The numbers of each thousand.
/// struct Thousands;
///
/// impl Source for Thousands {
///     fn schema(&self) -> SchemaRef {
///         Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]))
///     }
///
///     fn partitions(&self) -> u32 {
///         3
///     }
///
///     fn read(&self, partition: u32, columns: &[usize], emit: &mut Emit<'_>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
///         let first = i64::from(partition) * 1000;
///         let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(first..first + 1000));
///         let batch = RecordBatch::try_new(self.schema(), vec![numbers])?;
///         // More may be wanted or not; there is no more.
///         let _ = emit(batch.project(columns)?)?;
///         Ok(())
///     }
/// }
///
/// let source = Arc::new(UserSource::new(Thousands)?);
/// let scan = source.scan(&ScanRequest { columns: vec![0], ..ScanRequest::default() })?;
/// let mut rows = 0;
/// for morsel in 0..scan.morsels().len() {
///     scan.read(morsel, &ReadContext::default(), &mut |batch| {
///         rows += batch.num_rows();
///         Ok(ControlFlow::Continue(()))
///     })?;
/// }
/// assert_eq!(rows, 3000);
/// # Ok::<(), chunkwise::Error>(())
/// ```
pub trait Source: Send + Sync + 'static {
    /// All columns.
    fn schema(&self) -> SchemaRef;

    /// Number of partitions; each is read by one task.
    fn partitions(&self) -> u32;

    /// Reads some columns of a partition, given by their places in the schema, ascending: batch by batch, until `emit` says to stop or all is
    /// read. It may be read several times, and gives the same rows each time.
    ///
    /// # Errors
    /// What goes wrong, and what `emit` returns.
    fn read(
        &self,
        partition: u32,
        columns: &[usize],
        emit: &mut Emit<'_>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;

    /// What it is called in plans.
    fn label(&self) -> String {
        "a source of the program".to_string()
    }

    /// Number of rows, where it is known without reading them.
    fn rows(&self) -> Option<u64> {
        None
    }

    /// About how many bytes a partition takes in memory, decoded, where it is known.
    fn partition_bytes(&self) -> u64 {
        0
    }
}

/// A program's own source as a source of tables.
pub struct UserSource {
    source: Box<dyn Source>,
    schema: SchemaRef,
    partitions: u32,
}

impl fmt::Debug for UserSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserSource").field("label", &self.source.label()).field("schema", &self.schema).finish()
    }
}

impl UserSource {
    /// Takes a source. Its schema and the number of its partitions are asked for once.
    ///
    /// # Errors
    /// Of kind `Plan`, where it has no partitions.
    pub fn new(source: impl Source) -> Result<UserSource> {
        let (schema, partitions) = (source.schema(), source.partitions());
        if partitions == 0 {
            return Err(Error::new(
                ErrorKind::Plan,
                format!("{} has no partitions: give it one without rows", source.label()),
            ));
        }
        Ok(UserSource { source: Box::new(source), schema, partitions })
    }
}

impl TableSource for UserSource {
    fn label(&self) -> String {
        self.source.label()
    }

    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn key(&self) -> Option<String> {
        None
    }

    fn partitions(&self) -> u32 {
        self.partitions
    }

    fn rows(&self) -> Option<u64> {
        self.source.rows()
    }

    fn column_bytes(&self) -> Vec<u64> {
        let columns = self.schema.fields().len() as u64;
        let all = self.source.partition_bytes().saturating_mul(self.partitions.into());
        vec![all / columns.max(1); self.schema.fields().len()]
    }

    fn scan(self: Arc<Self>, request: &ScanRequest) -> Result<Arc<dyn Scan>> {
        let pick = Pick::new(request, &self.schema)?;
        let read = self.source.partition_bytes().saturating_mul(pick.read().len() as u64);
        let share = read / (self.schema.fields().len() as u64).max(1);
        let rows = self.source.rows().filter(|_| self.partitions == 1);
        let morsel = |partition| Morsel { partition, rows, bytes: share, need: 0 };
        let morsels = (0..self.partitions).map(morsel).collect();
        Ok(Arc::new(UserScan { source: self, pick, morsels }))
    }
}

/// A program's own source as it is read by one plan.
struct UserScan {
    source: Arc<UserSource>,
    pick: Pick,
    morsels: Vec<Morsel>,
}

impl UserScan {
    /// Whether a batch is what was asked for.
    fn check(&self, batch: &RecordBatch) -> Result<()> {
        let wanted = self.pick.read_schema();
        let found = batch.schema_ref();
        if same_columns(found, wanted) {
            return Ok(());
        }
        let label = self.source.label();
        Err(Error::new(ErrorKind::Data, format!("{label} gave a batch of {found}, and {wanted} was asked for")))
    }
}

impl Scan for UserScan {
    fn morsels(&self) -> &[Morsel] {
        &self.morsels
    }

    fn read(&self, morsel: usize, context: &ReadContext<'_>, emit: &mut Emit<'_>) -> Result<()> {
        let Some(of) = self.morsels.get(morsel) else {
            return Err(Error::new(ErrorKind::Plan, format!("there is no morsel {morsel} of {}", self.morsels.len())));
        };
        let mut stopped = false;
        let mut take = |batch: RecordBatch| {
            // Who goes on after the end is told again.
            if stopped {
                return Ok(ControlFlow::Break(()));
            }
            self.check(&batch)?;
            for start in (0..batch.num_rows()).step_by(BATCH_ROWS) {
                context.check()?;
                let part = batch.slice(start, BATCH_ROWS.min(batch.num_rows() - start));
                if let Some(picked) = self.pick.pick(&part)?
                    && emit(picked)?.is_break()
                {
                    stopped = true;
                    return Ok(ControlFlow::Break(()));
                }
            }
            Ok(ControlFlow::Continue(()))
        };
        self.source.source.read(of.partition, self.pick.read(), &mut take).map_err(Error::from_user)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;
    use crate::expr::col;

    /// Two columns; what it gives is wrong in a way.
    struct Wrong(&'static str);

    impl Source for Wrong {
        fn schema(&self) -> SchemaRef {
            Arc::new(Schema::new(["a", "b"].map(|name| Field::new(name, DataType::Int64, false)).to_vec()))
        }

        fn partitions(&self) -> u32 {
            u32::from(self.0 != "empty") * 2
        }

        fn read(
            &self,
            partition: u32,
            columns: &[usize],
            emit: &mut Emit<'_>,
        ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
            let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..40_000));
            let batch = RecordBatch::try_new(self.schema(), vec![numbers.clone(), numbers])?;
            match self.0 {
                "all" => _ = emit(batch)?,
                "fails" if partition == 1 => return Err("the line is dead".into()),
                _ => {
                    let batch = batch.project(columns)?;
                    // Goes on though it is told to stop.
                    _ = emit(batch.clone())?;
                    _ = emit(batch)?;
                }
            }
            Ok(())
        }
    }

    #[test]
    fn sizes_that_are_too_large_to_count_are_the_largest() {
        struct Huge;
        impl Source for Huge {
            fn schema(&self) -> SchemaRef {
                Wrong("").schema()
            }
            fn partitions(&self) -> u32 {
                2
            }
            fn read(
                &self,
                _: u32,
                _: &[usize],
                _: &mut Emit<'_>,
            ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
                Ok(())
            }
            fn partition_bytes(&self) -> u64 {
                u64::MAX
            }
        }
        let source = Arc::new(UserSource::new(Huge).unwrap());
        assert_eq!(source.column_bytes(), [u64::MAX / 2; 2]);
        let scan = source.scan(&ScanRequest { columns: vec![0, 1], ..ScanRequest::default() }).unwrap();
        assert_eq!(scan.morsels()[1].bytes, u64::MAX / 2);
    }

    fn rows(source: Wrong, columns: Vec<usize>, most: usize) -> Result<(usize, usize)> {
        let source = Arc::new(UserSource::new(source)?);
        let scan =
            source.scan(&ScanRequest { columns, predicates: vec![col("b").ge(10)], dictionaries: Vec::new() })?;
        let (mut rows, mut batches) = (0, 0);
        for morsel in 0..scan.morsels().len() {
            scan.read(morsel, &ReadContext::default(), &mut |batch| {
                assert!(batch.num_rows() <= BATCH_ROWS && batch.num_columns() == 1);
                (rows, batches) = (rows + batch.num_rows(), batches + 1);
                Ok(if batches % most == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })?;
        }
        Ok((rows, batches))
    }

    #[test]
    fn what_a_source_gives_is_checked_cut_and_filtered() {
        assert_eq!(rows(Wrong(""), vec![0], usize::MAX).unwrap(), (4 * (40_000 - 10), 12));
        assert_eq!(rows(Wrong(""), vec![0], 2).unwrap().1, 4);
        let error = rows(Wrong("fails"), vec![0], usize::MAX).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Task, "the line is dead"));
        assert_eq!(rows(Wrong("empty"), vec![0], 1).unwrap_err().kind(), ErrorKind::Plan);
        let source = Arc::new(UserSource::new(Wrong("all")).unwrap());
        let scan = source.scan(&ScanRequest { columns: vec![1], ..ScanRequest::default() }).unwrap();
        let error = scan.read(0, &ReadContext::default(), &mut |_| Ok(ControlFlow::Continue(()))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.message().starts_with("a source of the program gave a batch of "), "{error}");
    }
}
