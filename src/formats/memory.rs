//! Batches in memory as a source of tables.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};

use super::pick::Pick;
use super::scan::{
    BATCH_ROWS, Emit, MORSEL_BYTES, MORSELS, Morsel, PARTITION_BYTES, ReadContext, Reread, Scan, ScanRequest,
    TableSource,
};
use super::widen::{same_values, widest};
use crate::error::{Error, ErrorKind, Result};
use crate::store::shown_bytes;

/// Bytes of a morsel below which nothing is gained by more morsels.
const LEAST_MORSEL_BYTES: u64 = 128 << 10;

/// Batches of one schema as one table. Nothing of them is copied.
///
/// ```
/// use std::sync::Arc;
/// use arrow::array::{ArrayRef, Int64Array, RecordBatch};
/// use chunkwise::formats::memory::MemorySource;
/// use chunkwise::formats::scan::{ScanRequest, TableSource};
///
/// let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..10));
/// let batch = RecordBatch::try_from_iter([("n", numbers)])?;
/// let source = Arc::new(MemorySource::new(batch.schema(), vec![batch], Some(4))?);
/// let scan = source.scan(&ScanRequest { columns: vec![0], ..ScanRequest::default() })?;
/// let rows: Vec<_> = scan.morsels().iter().map(|morsel| morsel.rows).collect();
/// assert_eq!(rows, [Some(3), Some(3), Some(2), Some(2)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MemorySource {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    /// The row at which each batch begins, and the number of rows.
    starts: Vec<u64>,
    partitions: u32,
    column_bytes: Vec<u64>,
}

impl MemorySource {
    /// A table of batches, in so many partitions; as many as it takes by their bytes where nothing is said. Their rows differ by one at most.
    /// Batches may differ from the schema in what may be null: the table says so of all that may be null in one of them.
    ///
    /// # Errors
    /// Of kind `Plan`, where a batch has another schema, or there are to be no partitions.
    pub fn new(schema: SchemaRef, batches: Vec<RecordBatch>, partitions: Option<u32>) -> Result<MemorySource> {
        let schema = common(&schema, &batches)?;
        let batches = batches.into_iter().map(|batch| conform(batch, &schema)).collect::<Result<Vec<_>>>()?;
        let mut starts = vec![0];
        let mut column_bytes = vec![0_u64; schema.fields().len()];
        for batch in &batches {
            starts.push(starts.last().copied().unwrap_or(0) + batch.num_rows() as u64);
            for (bytes, array) in column_bytes.iter_mut().zip(batch.columns()) {
                *bytes += shown_bytes(array);
            }
        }
        let by_bytes = column_bytes.iter().sum::<u64>().div_ceil(PARTITION_BYTES).max(1);
        let partitions = partitions.unwrap_or(u32::try_from(by_bytes).unwrap_or(u32::MAX));
        if partitions == 0 {
            return Err(Error::new(ErrorKind::Plan, "a table has at least one partition"));
        }
        Ok(MemorySource { schema, batches, starts, partitions, column_bytes })
    }

    fn all_rows(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }
}

/// The schema of a table, with all that may be null in one of its batches.
fn common(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<SchemaRef> {
    let mut fields = schema.fields().to_vec();
    for (index, batch) in batches.iter().enumerate() {
        let found = batch.schema_ref();
        if found == schema {
            continue;
        }
        let merged = (fields.len() == found.fields().len()).then(|| {
            let merge = |(own, other): (&FieldRef, &FieldRef)| {
                let (a, b) = (own.data_type(), other.data_type());
                let of = if own.name() == other.name() && same_values(a, b) { widest(a, b)? } else { return None };
                let nullable = own.is_nullable() || other.is_nullable();
                Some(Arc::new(Field::clone(own).with_data_type(of).with_nullable(nullable)))
            };
            fields.iter().zip(found.fields()).map(merge).collect::<Option<Vec<_>>>()
        });
        fields = merged.flatten().ok_or_else(|| {
            let text = format!("batch {index} has the schema {found}, and the table {schema}");
            Error::new(ErrorKind::Plan, text)
        })?;
    }
    Ok(Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())))
}

/// The same rows as a batch of the schema, which differs in nothing but what may be null.
fn conform(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if batch.schema_ref() == schema {
        return Ok(batch);
    }
    let failed = |error| Error::with_source(ErrorKind::Plan, "a batch does not fit its table", error);
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| cast(column, field.data_type()));
    let columns = columns.collect::<std::result::Result<Vec<_>, _>>().map_err(failed)?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(failed)
}

/// The rows of part `part` of `parts`: as many in each, but one more in the first ones.
pub(super) fn balanced(rows: Range<u64>, part: u64, parts: u64) -> Range<u64> {
    let all = rows.end - rows.start;
    let (each, more) = (all / parts, all % parts);
    let start = |part: u64| rows.start + part * each + part.min(more);
    start(part)..start(part + 1)
}

impl TableSource for MemorySource {
    fn label(&self) -> String {
        format!("{} rows in memory", self.all_rows())
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
        Some(self.all_rows())
    }

    fn column_bytes(&self) -> Vec<u64> {
        self.column_bytes.clone()
    }

    fn reread(&self) -> Reread {
        Reread::Free
    }

    fn scan(self: Arc<Self>, request: &ScanRequest) -> Result<Arc<dyn Scan>> {
        let pick = Pick::new(request, &self.schema)?;
        let bytes: u64 = pick.read().iter().map(|column| self.column_bytes[*column]).sum();
        let target = (bytes / MORSELS).clamp(LEAST_MORSEL_BYTES, MORSEL_BYTES);
        let all = self.all_rows();
        let share = |rows: u64| (u128::from(bytes) * u128::from(rows) / u128::from(all.max(1))) as u64;
        let need = if pick.filters() { share(all.min(BATCH_ROWS as u64)) } else { 0 };
        let (mut rows, mut morsels) = (Vec::new(), Vec::new());
        for partition in 0..self.partitions {
            let of = balanced(0..all, partition.into(), self.partitions.into());
            let count = of.end - of.start;
            let parts = share(count).div_ceil(target).clamp(1, count.max(1));
            for range in (0..parts).map(|part| balanced(of.clone(), part, parts)).filter(|range| !range.is_empty()) {
                let count = range.end - range.start;
                morsels.push(Morsel { partition, rows: Some(count), bytes: share(count), need });
                rows.push(range);
            }
        }
        Ok(Arc::new(MemoryScan { source: self, pick, rows, morsels }))
    }
}

/// Batches in memory as they are read by one plan.
struct MemoryScan {
    source: Arc<MemorySource>,
    pick: Pick,
    /// The rows of each morsel.
    rows: Vec<Range<u64>>,
    morsels: Vec<Morsel>,
}

impl Scan for MemoryScan {
    fn morsels(&self) -> &[Morsel] {
        &self.morsels
    }

    fn read(&self, morsel: usize, context: &ReadContext<'_>, emit: &mut Emit<'_>) -> Result<()> {
        let Some(rows) = self.rows.get(morsel) else {
            return Err(Error::new(ErrorKind::Plan, format!("there is no morsel {morsel} of {}", self.rows.len())));
        };
        let starts = &self.source.starts;
        let mut at = rows.start;
        while at < rows.end {
            context.check()?;
            // The last batch that begins there or before: empty ones before it are passed over.
            let index = starts.partition_point(|start| *start <= at) - 1;
            let end = rows.end.min(starts[index + 1]).min(at + BATCH_ROWS as u64);
            let batch = self.source.batches[index].slice((at - starts[index]) as usize, (end - at) as usize);
            let batch = batch.project(self.pick.read()).map_err(|error| Error::internal(error.to_string()))?;
            at = end;
            if let Some(picked) = self.pick.pick(&batch)?
                && emit(picked)?.is_break()
            {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use arrow::array::{ArrayRef, AsArray, Int64Array};
    use arrow::datatypes::Int64Type;

    use super::*;
    use crate::expr::{Expr, col};

    fn numbers(range: Range<i64>) -> RecordBatch {
        let n: ArrayRef = Arc::new(Int64Array::from_iter_values(range.clone()));
        let m: ArrayRef = Arc::new(Int64Array::from_iter_values(range.map(|n| -n)));
        RecordBatch::try_from_iter([("n", n), ("m", m)]).unwrap()
    }

    fn read(
        source: &Arc<MemorySource>,
        columns: Vec<usize>,
        predicates: Vec<Expr>,
    ) -> (Vec<Option<u64>>, Vec<RecordBatch>) {
        let request = ScanRequest { columns, predicates, dictionaries: Vec::new() };
        let scan = source.clone().scan(&request).unwrap();
        let mut found = Vec::new();
        for morsel in 0..scan.morsels().len() {
            let mut emit = |batch| {
                found.push(batch);
                Ok(ControlFlow::Continue(()))
            };
            scan.read(morsel, &ReadContext::default(), &mut emit).unwrap();
        }
        (scan.morsels().iter().map(|morsel| morsel.rows).collect(), found)
    }

    fn column(batches: &[RecordBatch]) -> Vec<i64> {
        batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
    }

    #[test]
    fn rows_come_in_balanced_partitions_and_are_not_copied() {
        let batches = vec![numbers(0..0), numbers(0..4), numbers(4..4), numbers(4..10), numbers(10..10)];
        let source = Arc::new(MemorySource::new(batches[0].schema(), batches.clone(), Some(4)).unwrap());
        let (rows, found) = read(&source, vec![0], Vec::new());
        assert_eq!(rows, [Some(3), Some(3), Some(2), Some(2)]);
        assert_eq!(column(&found), (0..10).collect::<Vec<_>>());
        let first = found[0].column(0).as_primitive::<Int64Type>().values().inner().as_ptr();
        assert_eq!(first, batches[1].column(0).as_primitive::<Int64Type>().values().inner().as_ptr());
        let (_, found) = read(&source, vec![1], vec![col("n").gt(3), col("m").gt(-7)]);
        assert_eq!(column(&found), [-4, -5, -6]);
        let (_, found) = read(&source, Vec::new(), Vec::new());
        assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), 10);
        let (rows, found) =
            read(&Arc::new(MemorySource::new(batches[0].schema(), Vec::new(), None).unwrap()), vec![0], Vec::new());
        assert!(rows.is_empty() && found.is_empty());
    }

    #[test]
    fn large_tables_are_cut_and_other_schemas_refused() {
        let source = Arc::new(MemorySource::new(numbers(0..1).schema(), vec![numbers(0..1_000_000)], None).unwrap());
        assert_eq!((source.partitions(), source.rows()), (1, Some(1_000_000)));
        let (rows, found) = read(&source, vec![0], Vec::new());
        assert!((60..=62).contains(&rows.len()), "{}", rows.len());
        assert!(found.iter().all(|batch| batch.num_rows() <= BATCH_ROWS));
        assert!(column(&found).into_iter().eq(0..1_000_000));
        let other = numbers(0..1).project(&[0]).unwrap();
        let error = MemorySource::new(numbers(0..1).schema(), vec![other], None).unwrap_err();
        assert!(error.message().starts_with("batch 0 has the schema "), "{error}");
    }

    #[test]
    fn batches_may_differ_in_what_may_be_null() {
        use arrow::array::{ListArray, StructArray};
        use arrow::buffer::OffsetBuffer;
        use arrow::datatypes::DataType;
        let batch = |values: Vec<Option<i64>>, nullable: bool| {
            let item = Arc::new(Field::new("item", DataType::Int64, nullable));
            let n: ArrayRef = Arc::new(Int64Array::from(values));
            let offsets = OffsetBuffer::from_lengths(vec![1; n.len()]);
            let list: ArrayRef = Arc::new(ListArray::new(item.clone(), offsets, n.clone(), None));
            let inner: ArrayRef = Arc::new(StructArray::new(vec![item].into(), vec![n.clone()], None));
            let columns = [("n", n, nullable), ("list", list, nullable), ("struct", inner, nullable)];
            RecordBatch::try_from_iter_with_nullable(columns).unwrap()
        };
        let (sure, unsure) = (batch(vec![Some(1), Some(2)], false), batch(vec![None, Some(3)], true));
        for batches in [vec![sure.clone(), unsure.clone()], vec![unsure.clone(), sure.clone()]] {
            let source = Arc::new(MemorySource::new(batches[0].schema(), batches, Some(2)).unwrap());
            assert_eq!(source.schema(), unsure.schema_ref());
            let (_, found) = read(&source, vec![0, 1, 2], Vec::new());
            assert!(found.iter().all(|batch| batch.schema_ref() == unsure.schema_ref()));
            assert_eq!(
                found.iter().map(|batch| batch.column(1).as_list::<i32>().values().null_count()).sum::<usize>(),
                1
            );
        }
        let source = MemorySource::new(sure.schema(), vec![sure.clone()], None).unwrap();
        assert_eq!(source.schema(), sure.schema_ref());
    }
}
