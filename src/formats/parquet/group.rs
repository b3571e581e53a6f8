//! The pages of one row group: where they lie, which of them may have rows that are wanted, and how a decoder gets them.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use parquet::arrow::arrow_reader::{RowGroups, RowSelection};
use parquet::basic::{ConvertedType, Encoding, LogicalType, Type};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{PageIterator, PageReader};
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::page_index::index_reader::{decode_column_index, decode_offset_index};
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::reader::{ChunkReader, SerializedPageReader};

use super::bounds::{Bounds, Point, of_page};
use super::footer::damaged;
use super::input::Input;
use super::scan::Filter;
use crate::error::Result;
use crate::formats::guard::guarded;

/// Rows of runs that are read at least, on the average, for it to pay to leave out pages between them one by one.
const SPARSE: usize = 16;

/// A row group of a file.
pub(super) struct Group<'a> {
    input: &'a Input,
    /// A footer that has this row group only.
    meta: Arc<ParquetMetaData>,
    path: &'a Path,
}

impl<'a> Group<'a> {
    pub(super) fn new(input: &'a Input, meta: Arc<ParquetMetaData>, path: &'a Path) -> Group<'a> {
        Group { input, meta, path }
    }

    fn chunk(&self, leaf: usize) -> &ColumnChunkMetaData {
        self.meta.row_group(0).column(leaf)
    }

    /// Where the pages of a column lie, if the file tells.
    fn locations(&self, leaf: usize) -> Result<Option<Vec<PageLocation>>> {
        let Some(text) = self.index(self.chunk(leaf).offset_index_range())? else { return Ok(None) };
        let index = guarded(self.path, || decode_offset_index(&text).map_err(|error| damaged(self.path, error)))?;
        let pages = index.page_locations();
        // What is told has to be so: ascending, from the first row on, and inside the column.
        let (start, length) = self.chunk(leaf).byte_range();
        let inside = |page: &PageLocation| {
            let at = u64::try_from(page.offset).unwrap_or(0);
            at >= start && page.compressed_page_size >= 0 && at + page.compressed_page_size as u64 <= start + length
        };
        let rows = self.meta.row_group(0).num_rows();
        let ascending = pages.windows(2).all(|pair| pair[0].first_row_index < pair[1].first_row_index);
        let whole = pages.first().is_some_and(|first| first.first_row_index == 0)
            && pages.last().is_some_and(|last| last.first_row_index < rows);
        let sound = whole && ascending && pages.iter().all(inside);
        Ok(sound.then(|| pages.clone()))
    }

    fn index(&self, range: Option<Range<u64>>) -> Result<Option<bytes::Bytes>> {
        let Some(range) = range else { return Ok(None) };
        let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        self.input.get_bytes(range.start, length).map(Some).map_err(|error| damaged(self.path, error))
    }

    /// The rows of a range that may be wanted, by bloom filters and by what the file tells of pages; nothing where none is. `bounds` are those of the
    /// row group, `leaf` finds the leaf of a column.
    pub(super) fn ranges(
        &self,
        filter: &Filter,
        bounds: &[Bounds],
        leaf: &dyn Fn(usize) -> Option<usize>,
        rows: Range<u64>,
    ) -> Result<Option<Vec<Range<u64>>>> {
        let leaves: Vec<Option<usize>> = filter.pruned.iter().map(|place| leaf(*place)).collect();
        if leaves.iter().flatten().any(|leaf| self.chunk(*leaf).bloom_filter_offset().is_some()) {
            let mut failed = None;
            let mut read: HashMap<usize, Option<Sbbf>> = HashMap::new();
            let mut may_have = |column: usize, point: &Point| {
                // The pruner speaks of columns by their places among those it was made for.
                let Some(place) = filter.pruner.columns().iter().position(|known| *known == column) else {
                    return true;
                };
                let Some(leaf) = leaves[place] else { return true };
                let filter = read.entry(leaf).or_insert_with(|| {
                    let read = || {
                        Sbbf::read_from_column_chunk(self.chunk(leaf), self.input)
                            .map_err(|error| damaged(self.path, error))
                    };
                    guarded(self.path, read).unwrap_or_else(|error| {
                        failed = Some(error);
                        None
                    })
                });
                filter.as_ref().is_none_or(|filter| has(filter, self.chunk(leaf), point))
            };
            let may = filter.pruner.may_hold(bounds, Some(&mut may_have));
            if let Some(error) = failed {
                return Err(error);
            }
            if !may {
                return Ok(None);
            }
        }
        // Where the pages of each column begin, and what is known of each.
        let all = self.meta.row_group(0).num_rows() as u64;
        let mut pages: Vec<Option<(Vec<u64>, ColumnIndexMetaData)>> = Vec::with_capacity(leaves.len());
        let mut cuts = vec![rows.start, rows.end];
        for leaf in &leaves {
            let of = match leaf {
                Some(leaf) => self.pages(*leaf, all)?,
                None => None,
            };
            if let Some((starts, _)) = &of {
                cuts.extend(starts.iter().copied().filter(|start| rows.contains(start)));
            }
            pages.push(of);
        }
        cuts.sort_unstable();
        cuts.dedup();
        if pages.iter().all(Option::is_none) {
            return Ok(Some(vec![rows]));
        }
        let mut kept: Vec<Range<u64>> = Vec::new();
        let mut now = bounds.to_vec();
        for pair in cuts.windows(2) {
            for (column, of) in pages.iter().enumerate() {
                if let Some((starts, index)) = of {
                    let page = starts.partition_point(|start| *start <= pair[0]).saturating_sub(1);
                    let end = starts.get(page + 1).copied().unwrap_or(all);
                    now[column] = of_page(index, page, end - starts[page]);
                }
            }
            if filter.pruner.may_hold(&now, None) {
                match kept.last_mut() {
                    Some(last) if last.end == pair[0] => last.end = pair[1],
                    _ => kept.push(pair[0]..pair[1]),
                }
            }
        }
        Ok((!kept.is_empty()).then_some(kept))
    }

    /// The rows at which the pages of a column begin and what the file tells of them, if it does and there are several.
    fn pages(&self, leaf: usize, rows: u64) -> Result<Option<(Vec<u64>, ColumnIndexMetaData)>> {
        if self.chunk(leaf).column_index_range().is_none() {
            return Ok(None);
        }
        let Some(locations) = self.locations(leaf)?.filter(|pages| pages.len() > 1) else { return Ok(None) };
        let Some(text) = self.index(self.chunk(leaf).column_index_range())? else { return Ok(None) };
        let of = self.chunk(leaf).column_type();
        let index = guarded(self.path, || decode_column_index(&text, of).map_err(|error| damaged(self.path, error)))?;
        let starts: Vec<u64> = locations.iter().map(|page| page.first_row_index as u64).collect();
        let fits = index.num_pages() == starts.len() as u64 && starts.last().is_some_and(|last| *last < rows);
        Ok(fits.then_some((starts, index)))
    }

    /// What a decoder needs of some columns. Where only some rows are read, pages are found by what the file tells of them.
    pub(super) fn of_leaves(
        &self,
        leaves: Vec<usize>,
        selection: Option<&RowSelection>,
        ahead: usize,
    ) -> Result<Pages> {
        let mut locations = HashMap::new();
        let sparse = selection.is_some_and(|selection| {
            let runs = selection.iter().filter(|run| !run.skip).count().max(1);
            // Of rows that lie scattered all pages are read.
            selection.row_count() / runs >= SPARSE || selection.row_count() * 100 < selection.total_row_count()
        });
        if sparse {
            for leaf in &leaves {
                if let Some(pages) = self.locations(*leaf)? {
                    locations.insert(*leaf, pages);
                }
            }
        }
        let chunks = leaves.iter().map(|leaf| self.chunk(*leaf).byte_range()).collect();
        // What lies ahead may be left out.
        let ahead = if locations.is_empty() { ahead } else { 0 };
        let input = Arc::new(self.input.with_windows(ahead, chunks));
        Ok(Pages { input, meta: self.meta.clone(), locations })
    }
}

/// Whether a bloom filter may have a value, given as it lies in the file.
fn has(filter: &Sbbf, chunk: &ColumnChunkMetaData, point: &Point) -> bool {
    let unsigned = matches!(chunk.column_descr().logical_type_ref(), Some(LogicalType::Integer(of)) if !of.is_signed)
        || matches!(
            chunk.column_descr().converted_type(),
            ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64
        );
    match (chunk.column_type(), point) {
        (Type::INT32, Point::Int(value)) => match unsigned {
            true => u32::try_from(*value).is_ok_and(|value| filter.check(&value.cast_signed())),
            false => i32::try_from(*value).is_ok_and(|value| filter.check(&value)),
        },
        (Type::INT64, Point::Int(value)) => match unsigned {
            true => u64::try_from(*value).is_ok_and(|value| filter.check(&value.cast_signed())),
            false => i64::try_from(*value).is_ok_and(|value| filter.check(&value)),
        },
        (Type::BYTE_ARRAY, Point::Bytes(value)) => filter.check(value.as_slice()),
        _ => true,
    }
}

/// Whether all pages of a column chunk are coded by its dictionary.
pub(super) fn dictionary_only(chunk: &ColumnChunkMetaData) -> bool {
    if chunk.dictionary_page_offset().is_none() {
        return false;
    }
    let coded = |encoding: Encoding| {
        #[allow(deprecated)]
        let of_old = encoding == Encoding::PLAIN_DICTIONARY;
        of_old || encoding == Encoding::RLE_DICTIONARY
    };
    if let Some(mask) = chunk.page_encoding_stats_mask() {
        let mut any = false;
        return mask.encodings().all(|encoding| {
            any = true;
            coded(encoding)
        }) && any;
    }
    // The dictionary itself is plain in newer files, so that nothing can be said of them.
    #[allow(deprecated)]
    let levels = |encoding: Encoding| encoding == Encoding::RLE || encoding == Encoding::BIT_PACKED;
    let mut any = false;
    chunk.encodings().all(|encoding| {
        any |= coded(encoding);
        coded(encoding) || levels(encoding)
    }) && any
}

/// The pages of some columns of a row group, for a decoder.
pub(super) struct Pages {
    input: Arc<Input>,
    meta: Arc<ParquetMetaData>,
    locations: HashMap<usize, Vec<PageLocation>>,
}

impl RowGroups for Pages {
    fn num_rows(&self) -> usize {
        self.meta.row_group(0).num_rows() as usize
    }

    fn column_chunks(&self, leaf: usize) -> ParquetResult<Box<dyn PageIterator>> {
        let chunk = self.meta.row_group(0).column(leaf);
        let locations = self.locations.get(&leaf).cloned();
        let reader = SerializedPageReader::new(self.input.clone(), chunk, self.num_rows(), locations)?;
        Ok(Box::new(OneChunk { reader: Some(Box::new(reader)) }))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(std::iter::once(self.meta.row_group(0)))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.meta
    }
}

/// The pages of one column chunk.
struct OneChunk {
    reader: Option<Box<dyn PageReader>>,
}

impl Iterator for OneChunk {
    type Item = ParquetResult<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.reader.take().map(Ok)
    }
}

impl PageIterator for OneChunk {}
