//! Reading a morsel: which rows of each row group, the columns of predicates first, the others where rows are left.

use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{and, cast, concat, concat_batches, filter, filter_record_batch};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowSelection};
use parquet::arrow::{ProjectionMask, parquet_to_arrow_field_levels};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use super::footer::damaged;
use super::group::{Group, dictionary_only};
use super::input::{Input, READ_AHEAD};
use super::scan::{ParquetScan, Work};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::guard::guarded;
use crate::formats::scan::{BATCH_ROWS, Emit, ReadContext, TableSource};

/// Of so many rows one must be left at most for the other columns to be decoded for those rows only; else it is cheaper to
/// decode all and to filter.
const LATE: usize = 4;

/// A column of a table, as it is made of what a file gives.
#[derive(Clone, Debug)]
struct Column {
    /// Its place in the source.
    source: usize,
    /// How it comes out.
    field: FieldRef,
    given: Given,
}

#[derive(Clone, Debug)]
enum Given {
    /// By a column of the file, at its place there.
    File(usize),
    /// The same value in all rows; at least so many rows as a batch has.
    Constant(ArrayRef),
}

/// How the rows of one row group are read.
struct Task<'a> {
    scan: &'a ParquetScan,
    path: &'a Path,
    file: usize,
    input: &'a Input,
    /// A footer that has the row group only.
    meta: Arc<ParquetMetaData>,
    group: usize,
    /// Rows of it that are read at most.
    rows: u64,
    /// The fields of the file, text as dictionaries where it is to come so.
    hints: Fields,
    context: &'a ReadContext<'a>,
}

impl ParquetScan {
    /// Reads the rows of a morsel.
    pub(super) fn read_work(&self, work: &Work, context: &ReadContext<'_>, emit: &mut Emit<'_>) -> Result<()> {
        let path = self.source.files[work.file].file.path.as_path();
        context.check()?;
        let input = self.open(work.file)?;
        let filter = &self.filters[work.filter];
        if self.request.columns.is_empty() && filter.programs.is_empty() {
            let rows = work.parts.iter().map(|(_, start, end)| end - start).sum();
            return counted(rows, context, emit);
        }
        for (group, start, end) in &work.parts {
            let meta = self.group(work.file, *group, work.filter, &input)?;
            let hints = self.hints(work.file, meta.row_group(0));
            let (file, group, rows) = (work.file, *group, end - start);
            let task = Task { scan: self, path, file, input: &input, meta, group, rows, hints, context };
            let flow = task.read(work.filter, *start..*end, emit);
            context.count(input.take_count());
            if flow?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The fields of a file as they are decoded: text that may come as a dictionary does so where all pages of the row group are coded so.
    fn hints(&self, file: usize, group: &RowGroupMetaData) -> Fields {
        let schema = self.source.footers[file].schema;
        let fields = &self.source.schemas[schema].fields;
        let places = self.request.dictionaries.iter().filter_map(|column| self.places[schema][*column]);
        let coded = |place: &usize| {
            let leaf = self.leaf(file, *place).filter(|_| self.may_be_coded(schema, *place));
            leaf.is_some_and(|leaf| dictionary_only(group.column(leaf)))
        };
        let coded: Vec<usize> = places.filter(coded).collect();
        let hint = |(place, field): (usize, &FieldRef)| {
            if !coded.contains(&place) {
                return field.clone();
            }
            let of = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            Arc::new(Field::clone(field).with_data_type(of))
        };
        fields.iter().enumerate().map(hint).collect()
    }
}

/// Batches without columns.
fn counted(mut rows: u64, context: &ReadContext<'_>, emit: &mut Emit<'_>) -> Result<()> {
    let schema: SchemaRef = Arc::new(Schema::empty());
    while rows > 0 {
        context.check()?;
        let now = rows.min(BATCH_ROWS as u64);
        rows -= now;
        if emit(batch(&schema, Vec::new(), now as usize)?)?.is_break() {
            break;
        }
    }
    Ok(())
}

fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
        .map_err(|error| Error::internal(error.to_string()))
}

/// A kernel of arrow that cannot fail on these arrays.
fn sound<T>(result: Result<T, arrow::error::ArrowError>) -> Result<T> {
    result.map_err(|error| Error::internal(error.to_string()))
}

impl Task<'_> {
    fn read(&self, filter: usize, rows: Range<u64>, emit: &mut Emit<'_>) -> Result<ControlFlow<()>> {
        let of = &self.scan.filters[filter];
        let group = Group::new(self.input, self.meta.clone(), self.path);
        let all = self.scan.source.footers[self.file].groups[self.group].rows;
        let mut ranges = vec![rows.clone()];
        if !of.pruned.is_empty() {
            let bounds = self.scan.bounds(filter, self.file, self.meta.row_group(0));
            let leaf = |place: usize| self.scan.leaf(self.file, place);
            ranges = match group.ranges(of, &bounds, &leaf, rows)? {
                Some(ranges) => ranges,
                None => return Ok(ControlFlow::Continue(())),
            };
        }
        let wanted: u64 = ranges.iter().map(|range| range.end - range.start).sum();
        if wanted == 0 {
            return Ok(ControlFlow::Continue(()));
        }
        let selection = (wanted < all).then(|| {
            let ranges = ranges.iter().map(|range| range.start as usize..range.end as usize);
            RowSelection::from_consecutive_ranges(ranges, all as usize)
        });
        let output = self.columns(&self.scan.request.columns);
        if of.programs.is_empty() {
            return self.all_rows(&group, &output, selection, emit);
        }
        self.some_rows(&group, filter, &output, selection, wanted as usize, emit)
    }

    /// How columns of the source are made of the file.
    fn columns(&self, columns: &[usize]) -> Vec<Column> {
        let schema = self.scan.source.schema();
        let schema_of_file = self.scan.source.footers[self.file].schema;
        let column = |column: &usize| {
            let field = &schema.fields()[*column];
            let (given, of) = match self.scan.places[schema_of_file][*column] {
                Some(place) => {
                    let hinted = self.hints[place].data_type();
                    let coded = *hinted != *self.scan.source.schemas[schema_of_file].fields[place].data_type();
                    (Given::File(place), if coded { hinted.clone() } else { field.data_type().clone() })
                }
                None => {
                    let source = &self.scan.source;
                    let coded = self.scan.request.dictionaries.contains(column) && source.options.dictionaries;
                    let array = source.per_file.column(*column, self.file, self.batch_rows(), coded);
                    let of = array.data_type().clone();
                    (Given::Constant(array), of)
                }
            };
            Column { source: *column, field: Arc::new(Field::clone(field).with_data_type(of)), given }
        };
        columns.iter().map(column).collect()
    }

    fn batch_rows(&self) -> usize {
        self.scan.source.options.batch_rows.min(usize::try_from(self.rows).unwrap_or(usize::MAX)).max(1)
    }

    /// A decoder of the columns of the file that are among these, in the order of the file; nothing where there are none.
    fn reader(&self, group: &Group, columns: &[Column], selection: Option<RowSelection>) -> Result<Option<Decoder>> {
        let schema = &self.scan.source.schemas[self.scan.source.footers[self.file].schema];
        let place = |column: &Column| if let Given::File(place) = column.given { Some(place) } else { None };
        let mut places: Vec<usize> = columns.iter().filter_map(place).collect();
        places.sort_unstable();
        places.dedup();
        if places.is_empty() {
            return Ok(None);
        }
        let leaves: Vec<usize> = places.iter().flat_map(|place| schema.leaves[*place].clone()).collect();
        let mask = ProjectionMask::leaves(&schema.parquet, leaves.iter().copied());
        let levels = parquet_to_arrow_field_levels(&schema.parquet, mask, Some(&self.hints));
        let levels = levels.map_err(|error| damaged(self.path, error))?;
        let group = group.of_leaves(leaves, selection.as_ref(), READ_AHEAD)?;
        let rows = self.batch_rows();
        let reader = guarded(self.path, || {
            let reader = ParquetRecordBatchReader::try_new_with_row_groups(&levels, &group, rows, selection);
            reader.map_err(|error| damaged(self.path, error))
        })?;
        Ok(Some(Decoder { reader, places }))
    }

    /// The next batch of a decoder.
    fn next(&self, decoder: &mut Decoder) -> Result<Option<RecordBatch>> {
        self.context.check()?;
        let batch = guarded(self.path, || {
            decoder.reader.next().transpose().map_err(|error| {
                let path = self.path.display();
                Error::with_source(ErrorKind::Data, format_args!("cannot read {path}: row group {}", self.group), error)
            })
        });
        self.context.count(self.input.take_count());
        batch
    }

    /// Columns out of a batch of the file and of what is the same in all rows.
    fn table(
        &self,
        columns: &[Column],
        decoded: Option<(&RecordBatch, &[usize])>,
        rows: usize,
    ) -> Result<Vec<ArrayRef>> {
        let array = |column: &Column| match (&column.given, decoded) {
            (Given::Constant(array), _) => Ok(array.slice(0, rows)),
            (Given::File(place), Some((batch, places))) => {
                let Ok(index) = places.binary_search(place) else {
                    return Err(Error::internal("a column that was not read"));
                };
                let array = batch.column(index);
                if array.data_type() == column.field.data_type() {
                    return Ok(array.clone());
                }
                cast(array, column.field.data_type()).map_err(|error| {
                    let context = format_args!("cannot read {}: column `{}`", self.path.display(), column.field.name());
                    Error::with_source(ErrorKind::Data, context, error)
                })
            }
            (Given::File(_), None) => Err(Error::internal("a column that was not read")),
        };
        columns.iter().map(array).collect()
    }

    /// Reads rows of which all are wanted.
    fn all_rows(
        &self,
        group: &Group,
        output: &[Column],
        selection: Option<RowSelection>,
        emit: &mut Emit<'_>,
    ) -> Result<ControlFlow<()>> {
        let schema = schema_of(output);
        let Some(mut decoder) = self.reader(group, output, selection.clone())? else {
            let all = self.scan.source.footers[self.file].groups[self.group].rows as usize;
            let mut left = selection.map_or(all, |selection| selection.row_count());
            while left > 0 {
                let rows = left.min(self.batch_rows());
                left -= rows;
                if emit(batch(&schema, self.table(output, None, rows)?, rows)?)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            return Ok(ControlFlow::Continue(()));
        };
        while let Some(decoded) = self.next(&mut decoder)? {
            let rows = decoded.num_rows();
            let columns = self.table(output, Some((&decoded, &decoder.places)), rows)?;
            if emit(batch(&schema, columns, rows)?)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Reads rows of which those are wanted that pass a filter.
    fn some_rows(
        &self,
        group: &Group,
        filter_of: usize,
        output: &[Column],
        selection: Option<RowSelection>,
        wanted: usize,
        emit: &mut Emit<'_>,
    ) -> Result<ControlFlow<()>> {
        let of = &self.scan.filters[filter_of];
        let asked = self.columns(&of.columns);
        let asked_schema = schema_of(&asked);
        let Some(mut decoder) = self.reader(group, &asked, selection.clone())? else {
            return Err(Error::internal("a filter that reads no column of the file"));
        };
        // What comes out of the columns that the filter reads anyway, and the others.
        let known = |column: &&Column| of.columns.contains(&column.source);
        let held: Vec<Column> = output.iter().filter(known).cloned().collect();
        let late: Vec<Column> = output.iter().filter(|column| !known(column)).cloned().collect();
        let is_late = late.iter().any(|column| matches!(column.given, Given::File(_)));
        let schema = schema_of(output);
        let mut out = Emitter { schema, rows: self.batch_rows(), pending: Vec::new(), pending_rows: 0, emit };
        let mut masks: Vec<BooleanArray> = Vec::new();
        let mut kept: Vec<Vec<ArrayRef>> = Vec::new();
        let (mut read, mut left) = (0, 0);
        while let Some(decoded) = self.next(&mut decoder)? {
            let rows = decoded.num_rows();
            let columns = self.table(&asked, Some((&decoded, &decoder.places)), rows)?;
            let table = batch(&asked_schema, columns, rows)?;
            let mask = self.mask(of, &table)?;
            let passed = mask.true_count();
            read += rows;
            left += passed;
            if is_late {
                let of_held = held.iter().map(|column| {
                    let Ok(index) = of.columns.binary_search(&column.source) else {
                        return Err(Error::internal("a column that was not read"));
                    };
                    let array = table.column(index);
                    if passed == rows { Ok(array.clone()) } else { sound(filter(array, &mask)) }
                });
                kept.push(of_held.collect::<Result<_>>()?);
                masks.push(mask);
                continue;
            }
            if passed == 0 {
                continue;
            }
            let columns = output.iter().map(|column| match (of.columns.binary_search(&column.source), &column.given) {
                (Ok(index), _) => Ok(table.column(index).clone()),
                (Err(_), Given::Constant(array)) => Ok(array.slice(0, rows)),
                (Err(_), Given::File(_)) => Err(Error::internal("a column that was not read")),
            });
            let whole = batch(&out.schema, columns.collect::<Result<_>>()?, rows)?;
            let flow =
                if passed == rows { out.put(whole)? } else { out.put(sound(filter_record_batch(&whole, &mask))?)? };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        drop(decoder);
        if read != wanted {
            return Err(self.too_few(read, wanted));
        }
        if !is_late || left == 0 {
            return out.flush();
        }
        if left * LATE <= read {
            let passed = RowSelection::from_filters(&masks);
            let selection = match &selection {
                Some(selection) => selection.and_then(&passed),
                None => passed,
            };
            let held = (0..held.len()).map(|column| {
                let parts: Vec<&dyn Array> = kept.iter().map(|columns| &*columns[column]).collect();
                sound(concat(&parts))
            });
            let held = held.collect::<Result<Vec<ArrayRef>>>()?;
            return self.late(group, output, &late, (&held, of.columns.as_slice()), selection, left, &mut out);
        }
        self.full(group, output, &late, &of.columns, (&masks, &kept), selection, &mut out)
    }

    fn too_few(&self, read: usize, wanted: usize) -> Error {
        let text = format!("cannot read {}: row group {} has {read} of {wanted} rows", self.path.display(), self.group);
        Error::new(ErrorKind::Data, text)
    }

    /// The rows of a batch that pass a filter.
    fn mask(&self, of: &super::scan::Filter, table: &RecordBatch) -> Result<BooleanArray> {
        let mut all: Option<BooleanArray> = None;
        for program in &of.programs {
            let mask = program.mask(table)?;
            let both = match all {
                Some(before) => sound(and(&before, &mask))?,
                None => mask,
            };
            let nothing = both.true_count() == 0;
            all = Some(both);
            if nothing {
                break;
            }
        }
        all.ok_or_else(|| Error::internal("a filter without conditions"))
    }

    /// Decodes the other columns for the rows that are left only.
    #[allow(clippy::too_many_arguments)]
    fn late(
        &self,
        group: &Group,
        output: &[Column],
        late: &[Column],
        (held, asked): (&[ArrayRef], &[usize]),
        selection: RowSelection,
        left: usize,
        out: &mut Emitter<'_, '_>,
    ) -> Result<ControlFlow<()>> {
        let Some(mut decoder) = self.reader(group, late, Some(selection))? else {
            return Err(Error::internal("no column is read late"));
        };
        let mut done = 0;
        while let Some(decoded) = self.next(&mut decoder)? {
            let rows = decoded.num_rows();
            if done + rows > left {
                return Err(self.too_few(done + rows, left));
            }
            let others = self.table(late, Some((&decoded, &decoder.places)), rows)?;
            let held: Vec<ArrayRef> = held.iter().map(|array| array.slice(done, rows)).collect();
            done += rows;
            let columns = interleave(output, asked, held, others);
            if out.put(batch(&out.schema, columns, rows)?)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        if done != left {
            return Err(self.too_few(done, left));
        }
        out.flush()
    }

    /// Decodes the other columns for all rows, in the same batches as before, and filters them.
    #[allow(clippy::too_many_arguments)]
    fn full(
        &self,
        group: &Group,
        output: &[Column],
        late: &[Column],
        asked: &[usize],
        (masks, kept): (&[BooleanArray], &[Vec<ArrayRef>]),
        selection: Option<RowSelection>,
        out: &mut Emitter<'_, '_>,
    ) -> Result<ControlFlow<()>> {
        let Some(mut decoder) = self.reader(group, late, selection)? else {
            return Err(Error::internal("no column is read late"));
        };
        for (mask, held) in masks.iter().zip(kept) {
            let decoded = self.next(&mut decoder)?;
            let rows = decoded.as_ref().map_or(0, RecordBatch::num_rows);
            let Some(decoded) = decoded.filter(|_| rows == mask.len()) else {
                return Err(self.too_few(rows, mask.len()));
            };
            let passed = mask.true_count();
            if passed == 0 {
                continue;
            }
            let mut others = self.table(late, Some((&decoded, &decoder.places)), rows)?;
            if passed < rows {
                others = others.iter().map(|array| sound(filter(array, mask))).collect::<Result<_>>()?;
            }
            let columns = interleave(output, asked, held.clone(), others);
            if out.put(batch(&out.schema, columns, passed)?)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        out.flush()
    }
}

/// Decodes columns of one row group.
struct Decoder {
    reader: ParquetRecordBatchReader,
    /// The places in the file of the columns of its batches.
    places: Vec<usize>,
}

/// Puts together what was asked for by a filter and the others, in the order in which they come out.
fn interleave(output: &[Column], asked: &[usize], held: Vec<ArrayRef>, others: Vec<ArrayRef>) -> Vec<ArrayRef> {
    let (mut held, mut others) = (held.into_iter(), others.into_iter());
    let next = |column: &Column| if asked.contains(&column.source) { held.next() } else { others.next() };
    output.iter().filter_map(next).collect()
}

fn schema_of(columns: &[Column]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(|column| column.field.clone()).collect::<Vec<_>>()))
}

/// Gives batches on; small ones are put together.
struct Emitter<'a, 'b> {
    schema: SchemaRef,
    /// Rows of a batch.
    rows: usize,
    pending: Vec<RecordBatch>,
    pending_rows: usize,
    emit: &'a mut Emit<'b>,
}

impl Emitter<'_, '_> {
    fn put(&mut self, batch: RecordBatch) -> Result<ControlFlow<()>> {
        let rows = batch.num_rows();
        if rows == 0 {
            return Ok(ControlFlow::Continue(()));
        }
        if self.pending_rows + rows > self.rows && self.flush()?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        // What is nearly full is not copied.
        if self.pending.is_empty() && rows * 2 >= self.rows {
            return (self.emit)(batch);
        }
        self.pending_rows += rows;
        self.pending.push(batch);
        Ok(ControlFlow::Continue(()))
    }

    fn flush(&mut self) -> Result<ControlFlow<()>> {
        self.pending_rows = 0;
        let batch = match self.pending.len() {
            0 => return Ok(ControlFlow::Continue(())),
            1 => self.pending.remove(0),
            _ => sound(concat_batches(&self.schema, &self.pending))?,
        };
        self.pending.clear();
        (self.emit)(batch)
    }
}
