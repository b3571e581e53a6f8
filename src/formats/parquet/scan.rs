//! What of a data set is read for one plan: which files and row groups, cut into morsels.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Fields, Schema};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::page_index::index_reader::decode_offset_index;
use parquet::file::reader::ChunkReader;

use super::bounds::{Bounds, of_statistics};
use super::footer::{Group, check_unchanged, damaged, group_of, in_parallel, open};
use super::input::{Input, READ_AHEAD};
use super::prune::Pruner;
use super::source::{ParquetSource, Piece, even};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::{Expr, Program, unknown_column};
use crate::formats::scan::{Emit, MORSEL_BYTES, MORSELS, Morsel, ReadContext, Scan, ScanRequest, TableSource};

/// Bytes of a morsel, decoded, below which nothing is gained by more morsels.
const LEAST_MORSEL_BYTES: u64 = 128 << 10;

/// Bytes of a page, of which one is in memory at a time: what writers make by default.
const PAGE_BYTES: u64 = 1 << 20;

/// Memory of what reads a column beside its pages and values.
const READER_BYTES: u64 = 2 << 10;

/// A data set as it is read by one plan.
pub(super) struct ParquetScan {
    pub(super) source: Arc<ParquetSource>,
    pub(super) request: ScanRequest,
    pub(super) filters: Vec<Filter>,
    /// For each schema, where each column of the source is.
    pub(super) places: Vec<Vec<Option<usize>>>,
    pub(super) works: Vec<Work>,
    morsels: Vec<Morsel>,
    /// Row groups that are read, and that there are.
    groups: (usize, usize),
}

/// Of what a morsel consists.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) file: usize,
    /// Which of the filters its rows have to pass.
    pub(super) filter: usize,
    /// Rows of row groups: the number of the group, and from where to where.
    pub(super) parts: Vec<(usize, u64, u64)>,
}

/// The conditions that are left for files of one schema once the values are known that are the same in a whole file.
#[derive(Debug)]
pub(super) struct Filter {
    /// One condition each.
    pub(super) programs: Vec<Program>,
    /// The columns that they read, by their places in the source.
    pub(super) columns: Vec<usize>,
    pub(super) pruner: Pruner,
    /// The columns of the pruner by their places in the file.
    pub(super) pruned: Vec<usize>,
}

/// What is known of the rows of a file before they are read.
enum Verdict {
    /// None is wanted.
    Nothing,
    /// These row groups, through a filter.
    Groups(usize, Vec<bool>),
}

impl ParquetScan {
    pub(super) fn plan(source: Arc<ParquetSource>, request: &ScanRequest) -> Result<ParquetScan> {
        let width = source.schema().fields().len();
        if let Some(beyond) = request.columns.iter().chain(&request.dictionaries).find(|column| **column >= width) {
            return Err(Error::internal(format!("column {beyond} of a table with {width} columns")));
        }
        let places = source.places();
        let mut scan = ParquetScan {
            source,
            request: request.clone(),
            filters: Vec::new(),
            places,
            works: Vec::new(),
            morsels: Vec::new(),
            groups: (0, 0),
        };
        let verdicts = scan.judge()?;
        scan.cut(&verdicts)?;
        Ok(scan)
    }

    /// Which files and row groups may have rows for which all predicates are true.
    fn judge(&mut self) -> Result<Vec<Verdict>> {
        let source = self.source.clone();
        let schema = source.schema().clone();
        let judged = source.per_file.judge(&self.request.predicates, source.files.len())?;
        self.request.predicates = judged.rest;
        // The columns of each predicate, by their places.
        let mut reads: Vec<Vec<usize>> = Vec::with_capacity(self.request.predicates.len());
        for predicate in &self.request.predicates {
            let place = |name: &Arc<str>| {
                schema.column_with_name(name).map(|(place, _)| place).ok_or_else(|| unknown_column(name, &schema))
            };
            reads.push(predicate.columns().iter().map(place).collect::<Result<_>>()?);
        }
        // Filters by the schema of the files and the conditions that are left.
        let mut known: HashMap<(usize, Vec<bool>), usize> = HashMap::new();
        let mut filters: Vec<Option<usize>> = Vec::with_capacity(source.files.len());
        for (file, footer) in source.footers.iter().enumerate() {
            let left = if judged.kept[file] { self.left(file, &reads)? } else { None };
            let Some(left) = left else {
                filters.push(None);
                continue;
            };
            let key = (footer.schema, left);
            let filter = match known.get(&key) {
                Some(filter) => *filter,
                None => {
                    self.filters.push(self.filter(footer.schema, &key.1, &reads)?);
                    known.insert(key, self.filters.len() - 1);
                    self.filters.len() - 1
                }
            };
            filters.push(Some(filter));
        }
        let judge = |file: usize| -> Result<Verdict> {
            let Some(filter) = filters[file] else { return Ok(Verdict::Nothing) };
            let groups = source.footers[file].groups.len();
            if self.filters[filter].pruned.is_empty() {
                return Ok(Verdict::Groups(filter, vec![true; groups]));
            }
            let mut input = None;
            let mut keep = Vec::with_capacity(groups);
            for group in 0..groups {
                let meta = match &source.footers[file].groups[group].kept {
                    Some(kept) => kept.clone(),
                    None => {
                        let input = match &input {
                            Some(input) => input,
                            None => input.insert(self.open(file)?),
                        };
                        self.group(file, group, filter, input)?
                    }
                };
                let bounds = self.bounds(filter, file, meta.row_group(0));
                keep.push(self.filters[filter].pruner.may_hold(&bounds, None));
            }
            if !keep.contains(&true) {
                // Nobody opens it.
                source.file_unchanged(file)?;
            }
            Ok(Verdict::Groups(filter, keep))
        };
        in_parallel(source.files.len(), judge).into_iter().collect()
    }

    /// Which predicates are still to be asked for the rows of a file; nothing where one is not true in any of its rows as the file lacks the
    /// columns that it reads.
    fn left(&self, file: usize, reads: &[Vec<usize>]) -> Result<Option<Vec<bool>>> {
        let places = &self.places[self.source.footers[file].schema];
        let mut left = vec![true; reads.len()];
        for (index, columns) in reads.iter().enumerate() {
            if columns.iter().any(|column| places[*column].is_some()) {
                continue;
            }
            let field = |column: &usize| self.source.schema().field(*column).clone();
            let mut fields: Vec<Field> = columns.iter().map(field).collect();
            let mut arrays: Vec<_> =
                columns.iter().map(|column| self.source.per_file.constant(*column, file)).collect();
            if fields.is_empty() {
                fields.push(Field::new("", DataType::Null, true));
                arrays.push(arrow::array::new_null_array(&DataType::Null, 1));
            }
            let schema = Arc::new(Schema::new(fields));
            let program = Program::new(std::slice::from_ref(&self.request.predicates[index]), &schema)?;
            let row = RecordBatch::try_new(schema, arrays).map_err(|error| Error::internal(error.to_string()))?;
            if program.mask(&row)?.true_count() == 0 {
                return Ok(None);
            }
            left[index] = false;
        }
        Ok(Some(left))
    }

    fn filter(&self, schema: usize, left: &[bool], reads: &[Vec<usize>]) -> Result<Filter> {
        let of_table = self.source.schema();
        let conditions: Vec<Expr> =
            self.request.predicates.iter().zip(left).filter(|(_, left)| **left).map(|(expr, _)| expr.clone()).collect();
        let mut columns: Vec<usize> =
            reads.iter().zip(left).filter(|(_, left)| **left).flat_map(|(columns, _)| columns.clone()).collect();
        columns.sort_unstable();
        columns.dedup();
        let programs =
            conditions.iter().map(|one| Program::new(std::slice::from_ref(one), of_table)).collect::<Result<_>>()?;
        // The columns of the file under the names and in the types in which they are compared with its statistics.
        let in_file: Vec<usize> = columns.iter().filter_map(|column| self.places[schema][*column]).collect();
        let fields: Fields = in_file.iter().map(|place| self.source.schemas[schema].fields[*place].clone()).collect();
        let pruner = Pruner::new(&conditions, &fields);
        let pruned = pruner.columns().iter().map(|column| in_file[*column]).collect();
        Ok(Filter { programs, columns, pruner, pruned })
    }

    /// What the statistics of a row group tell of the columns of a pruner.
    pub(super) fn bounds(&self, filter: usize, file: usize, group: &RowGroupMetaData) -> Vec<Bounds> {
        let schema = &self.source.schemas[self.source.footers[file].schema];
        let rows = group.num_rows() as u64;
        let of = |place: &usize| {
            let statistics = match self.leaf(file, *place) {
                Some(leaf) => group.column(leaf).statistics(),
                None => None,
            };
            of_statistics(statistics, schema.fields[*place].data_type(), rows)
        };
        self.filters[filter].pruned.iter().map(of).collect()
    }

    /// The leaf of a column of a file that has only one.
    pub(super) fn leaf(&self, file: usize, place: usize) -> Option<usize> {
        let schema = &self.source.schemas[self.source.footers[file].schema];
        let leaves = schema.leaves[place].clone();
        (leaves.len() == 1 && !schema.fields[place].data_type().is_nested()).then_some(leaves.start)
    }

    /// The leaves of a file that are read: of what comes out, and of what its filter reads.
    pub(super) fn leaves(&self, file: usize, filter: usize) -> Vec<usize> {
        let schema = self.source.footers[file].schema;
        let columns = self.request.columns.iter().chain(&self.filters[filter].columns);
        let mut leaves: Vec<usize> = columns
            .filter_map(|column| self.places[schema][*column])
            .flat_map(|place| self.source.schemas[schema].leaves[place].clone())
            .collect();
        leaves.sort_unstable();
        leaves.dedup();
        leaves
    }

    /// Opens a file, which has to be as it was.
    pub(super) fn open(&self, file: usize) -> Result<Input> {
        let path = &self.source.files[file].file.path;
        let (input, meta) = open(path)?;
        check_unchanged(path, &self.source.footers[file], &meta)?;
        Ok(input)
    }

    /// What the footer of a file tells of a row group, with the statistics that its filter asks for: a footer that has one row group.
    pub(super) fn group(
        &self,
        file: usize,
        group: usize,
        filter: usize,
        input: &Input,
    ) -> Result<Arc<ParquetMetaData>> {
        let footer = &self.source.footers[file];
        let pruned: Vec<usize> =
            self.filters[filter].pruned.iter().filter_map(|place| self.leaf(file, *place)).collect();
        let (path, schema) = (&self.source.files[file].file.path, &self.source.schemas[footer.schema]);
        group_of(path, input, footer, group, schema, &pruned)
    }

    /// Cuts what is to be read into morsels.
    fn cut(&mut self, verdicts: &[Verdict]) -> Result<()> {
        let source = self.source.clone();
        let mut wanted: Vec<(Piece, usize, Arc<[usize]>, u64)> = Vec::new();
        let mut leaves: Option<(usize, Arc<[usize]>)> = None;
        let mut kept = std::collections::HashSet::new();
        for piece in &source.pieces {
            let (file, group) = (piece.file as usize, piece.group as usize);
            let Verdict::Groups(filter, keep) = &verdicts[file] else { continue };
            if !keep[group] || piece.start == piece.end {
                continue;
            }
            kept.insert((file, group));
            if leaves.as_ref().is_none_or(|(of, _)| *of != file) {
                leaves = Some((file, self.leaves(file, *filter).into()));
            }
            let Some((_, leaves)) = &leaves else { continue };
            let of = &source.footers[file].groups[group];
            let coded = self.coded(file);
            let decoded: u64 = leaves.iter().map(|leaf| of.leaves[*leaf].made(of.rows, coded.contains(leaf))).sum();
            let share = u128::from(decoded) * u128::from(piece.end - piece.start) / u128::from(of.rows.max(1));
            wanted.push((*piece, *filter, leaves.clone(), share as u64));
        }
        self.groups = (kept.len(), source.footers.iter().map(|footer| footer.groups.len()).sum());
        let all: u64 = wanted.iter().map(|(.., bytes)| bytes).sum();
        let target = (all / MORSELS).clamp(LEAST_MORSEL_BYTES, MORSEL_BYTES);
        let mut pages = None;
        for (piece, filter, leaves, bytes) in wanted {
            let (file, group) = (piece.file as usize, piece.group as usize);
            let of = &source.footers[file].groups[group];
            let whole = self.need(of, &leaves, file, filter, piece.end - piece.start);
            if let (Some(work), Some(morsel)) = (self.works.last_mut(), self.morsels.last_mut())
                && work.file == file
                && morsel.partition == piece.partition
                && morsel.bytes + bytes <= target
            {
                work.parts.push((group, piece.start, piece.end));
                morsel.rows = morsel.rows.map(|rows| rows + piece.end - piece.start);
                morsel.bytes += bytes;
                morsel.need = morsel.need.max(whole);
                continue;
            }
            let rows = piece.end - piece.start;
            let parts = bytes.div_ceil(MORSEL_BYTES).clamp(1, rows);
            let starts =
                if parts > 1 { self.page_starts(&mut pages, file, filter, group, &leaves)? } else { Vec::new() };
            // Where a page begins, if one begins near.
            let bound = |part: u64| {
                let even = piece.start + even(rows, part, parts);
                let at = starts.partition_point(|start| *start < even);
                match starts.get(at) {
                    Some(start) if part > 0 && *start < piece.end && *start - even <= rows / parts => *start,
                    _ => even,
                }
            };
            let mut start = piece.start;
            for part in 1..=parts {
                let end = if part == parts { piece.end } else { bound(part).clamp(start, piece.end) };
                if end > start {
                    let bytes = (u128::from(bytes) * u128::from(end - start) / u128::from(rows)) as u64;
                    let need = self.need(of, &leaves, file, filter, end - start);
                    self.works.push(Work { file, filter, parts: vec![(group, start, end)] });
                    self.morsels.push(Morsel { partition: piece.partition, rows: Some(end - start), bytes, need });
                }
                start = end;
            }
        }
        Ok(())
    }

    /// The rows at which the pages of the widest column of a row group begin, where the file tells.
    fn page_starts(
        &self,
        opened: &mut Option<(usize, Input)>,
        file: usize,
        filter: usize,
        group: usize,
        leaves: &[usize],
    ) -> Result<Vec<u64>> {
        let of = &self.source.footers[file].groups[group];
        let Some(widest) = leaves.iter().max_by_key(|leaf| of.leaves[**leaf].plain) else { return Ok(Vec::new()) };
        let input = match opened {
            Some((known, input)) if *known == file => input.clone(),
            _ => {
                let input = self.open(file)?;
                *opened = Some((file, input.clone()));
                input
            }
        };
        let path = &self.source.files[file].file.path;
        let meta = self.group(file, group, filter, &input)?;
        let Some(range) = meta.row_group(0).column(*widest).offset_index_range() else { return Ok(Vec::new()) };
        let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let text = input.get_bytes(range.start, length).map_err(|error| damaged(path, error))?;
        let index = decode_offset_index(&text).map_err(|error| damaged(path, error))?;
        let starts: Vec<u64> =
            index.page_locations().iter().filter_map(|page| u64::try_from(page.first_row_index).ok()).collect();
        Ok(if starts.is_sorted() { starts } else { Vec::new() })
    }

    /// The leaves of a file whose text may come as dictionaries, where all of a row group is coded so.
    fn coded(&self, file: usize) -> Vec<usize> {
        let schema = self.source.footers[file].schema;
        let places = self.request.dictionaries.iter().filter_map(|column| self.places[schema][*column]);
        let places = places.filter(|place| self.may_be_coded(schema, *place));
        places.filter_map(|place| self.leaf(file, place)).collect()
    }

    /// Whether a column of files with a schema is text that may come as a dictionary.
    pub(super) fn may_be_coded(&self, schema: usize, place: usize) -> bool {
        let of = self.source.schemas[schema].fields[place].data_type();
        self.source.options.dictionaries && matches!(of, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
    }

    /// About how much memory it takes to read some rows of a row group, beside what comes out: of each column what is read ahead, a page as it lies in
    /// the file and decompressed, the dictionary and a batch; of predicates the rows of their columns that come out too; and what the
    /// footer tells of the row group, if that is not kept.
    fn need(&self, group: &Group, leaves: &[usize], file: usize, filter: usize, rows: u64) -> u64 {
        let batch = (self.source.options.batch_rows as u64).min(rows.max(1));
        let coded = self.coded(file);
        let of_leaf = |at: &usize| {
            let leaf = &group.leaves[*at];
            let page = leaf.plain.min(PAGE_BYTES);
            let decoded = match coded.contains(at) && leaf.coded {
                // The values are those of the dictionary.
                true => 4 * batch,
                false => (u128::from(leaf.decoded) * u128::from(batch) / u128::from(group.rows.max(1))) as u64,
            };
            READER_BYTES + leaf.stored.min(READ_AHEAD as u64 + page) + page + 2 * leaf.dictionary + decoded
        };
        let columns = &self.filters[filter].columns;
        let schema = self.source.footers[file].schema;
        let both = self.request.columns.iter().filter(|column| columns.contains(column));
        let held = both
            .filter_map(|column| self.places[schema][*column])
            .flat_map(|place| self.source.schemas[schema].leaves[place].clone())
            .map(|leaf| group.leaves[leaf].decoded.min(MORSEL_BYTES));
        leaves.iter().map(of_leaf).sum::<u64>() + held.sum::<u64>() + group.need()
    }
}

impl Scan for ParquetScan {
    fn morsels(&self) -> &[Morsel] {
        &self.morsels
    }

    fn read(&self, morsel: usize, context: &ReadContext<'_>, emit: &mut Emit<'_>) -> Result<()> {
        let Some(work) = self.works.get(morsel) else {
            return Err(Error::new(ErrorKind::Plan, format!("there is no morsel {morsel} of {}", self.works.len())));
        };
        self.read_work(work, context, emit)
    }

    fn detail(&self) -> String {
        let (kept, all) = self.groups;
        if kept == all { format!("row groups {all}") } else { format!("row groups {kept} of {all}") }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, StringArray};

    use super::super::{ParquetEncoder, ParquetEncoding, ParquetFileWriter, ParquetOptions};
    use super::*;

    #[test]
    fn few_long_texts_need_what_their_dictionary_takes() {
        const ROWS: u64 = 20_000;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.parquet");
        let texts: Vec<String> = (0..10).map(|n| n.to_string().repeat(1000)).collect();
        let column = StringArray::from_iter_values((0..ROWS as usize).map(|row| texts[row % 10].as_str()));
        let batch = RecordBatch::try_from_iter([("t", Arc::new(column) as ArrayRef)]).unwrap();
        let encoder = ParquetEncoder::new(batch.schema(), &ParquetEncoding::default()).unwrap();
        let mut writer = ParquetFileWriter::create(&path, &encoder).unwrap();
        writer.append(encoder.encode(&[batch]).unwrap()).unwrap();
        writer.finish().unwrap();
        let source = Arc::new(ParquetSource::open(&[path.to_str().unwrap()], ParquetOptions::default()).unwrap());
        let request = |dictionaries| ScanRequest { columns: vec![0], predicates: Vec::new(), dictionaries };
        let most = |dictionaries: Vec<usize>| {
            let scan = source.clone().scan(&request(dictionaries)).unwrap();
            let of = |of: fn(&Morsel) -> u64| scan.morsels().iter().map(of).max().unwrap();
            (of(|morsel| morsel.need), of(|morsel| morsel.bytes))
        };
        let (need, bytes) = most(vec![0]);
        assert!(need < 256 << 10 && bytes < 256 << 10, "{need} {bytes}");
        // As text each row has its own copy.
        let (need, bytes) = most(Vec::new());
        assert!(need > 8 << 20 && bytes > 8 << 20, "{need} {bytes}");
    }
}
