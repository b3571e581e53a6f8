//! Lists made rows.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array, UInt64Array, new_null_array};
use arrow::compute::take;
use arrow::datatypes::{DataType, FieldRef, SchemaRef};

use super::{batch_of, failed};
use crate::error::{Error, Result};
use crate::expr::Lookup;
use crate::store::{BATCH_ROWS, largest_row, row_bytes};

/// What is made of a batch at a time repeats at most so many bytes, or is one row.
const BATCH_BYTES: u64 = 16 << 20;

/// The items of a type of lists.
pub fn item_of(of: &DataType) -> Option<&FieldRef> {
    match of {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => Some(item),
        _ => None,
    }
}

/// Which columns are lists that become rows, by their places.
pub struct Exploding {
    names: Vec<String>,
    /// In the input.
    lists: Vec<usize>,
    /// Of each column of the output: which of the lists it is, or its place in the input.
    columns: Vec<From>,
    output: SchemaRef,
}

#[derive(Clone, Copy)]
enum From {
    List(usize),
    Other(usize),
}

impl Exploding {
    /// Of columns by their names; the output may have fewer columns than the input.
    ///
    /// # Errors
    /// Of kind `Internal`, where a column is not there.
    pub fn new(names: &[String], input: &SchemaRef, output: &SchemaRef) -> Result<Exploding> {
        let known = Lookup::new(input);
        let missing = |name: &str| Error::internal(format!("the column `{name}` is not there to be exploded"));
        let place = |name: &str| known.place(name).ok_or_else(|| missing(name));
        let lists = names.iter().map(|name| place(name)).collect::<Result<Vec<usize>>>()?;
        let opened: HashMap<&str, usize> =
            names.iter().enumerate().rev().map(|(at, name)| (name.as_str(), at)).collect();
        let columns = output.fields().iter().map(|field| match opened.get(field.name().as_str()) {
            Some(list) => Ok(From::List(*list)),
            None => place(field.name()).map(From::Other),
        });
        Ok(Exploding { names: names.to_vec(), lists, columns: columns.collect::<Result<_>>()?, output: output.clone() })
    }

    /// Looks at the lists of a batch.
    ///
    /// # Errors
    /// Of kind `Data`, where those of a row are not equally long.
    pub fn begin(&self, batch: RecordBatch) -> Result<Exploded> {
        let lists = self.lists.iter().map(|at| Lists::of(batch.column(*at))).collect::<Result<Vec<Lists>>>()?;
        let Some((first, others)) = lists.split_first() else { return Err(Error::internal("no lists to explode")) };
        for (other, name) in others.iter().zip(&self.names[1..]) {
            let unequal = (0..batch.num_rows()).find(|row| first.rows(*row) != other.rows(*row));
            if let Some(row) = unequal {
                let text = format!(
                    "the lists of `{}` and `{name}` have {} and {} values: columns are exploded together where their lists \
                     are equally long",
                    self.names[0], first.spans[row].1, other.spans[row].1
                );
                return Err(Error::at_row(row as u64, text));
            }
        }
        let repeated = self.columns.iter().filter_map(|from| match from {
            From::List(_) => None,
            From::Other(at) => Some(largest_row(batch.column(*at))),
        });
        let large = repeated.sum::<u64>() > BATCH_BYTES / BATCH_ROWS as u64;
        Ok(Exploded { batch, lists, large, row: 0, item: 0 })
    }

    /// The next rows; nothing at the end.
    pub fn next(&self, of: &mut Exploded) -> Result<Option<RecordBatch>> {
        let spans = self.spans(of);
        if spans.is_empty() {
            return Ok(None);
        }
        let count = spans.iter().map(|span| span.rows).sum();
        let whole = count == spans.len() && spans.iter().map(|span| span.row).eq(0..of.batch.num_rows());
        let rows = spans.iter().flat_map(|span| std::iter::repeat_n(span.row as u32, span.rows));
        let rows = (!whole).then(|| UInt32Array::from_iter_values(rows));
        let arrays = self.columns.iter().map(|from| match (from, &rows) {
            (From::List(list), _) => of.lists[*list].items(&spans, count),
            (From::Other(at), Some(rows)) => take(of.batch.column(*at), rows, None).map_err(failed),
            (From::Other(at), None) => Ok(of.batch.column(*at).clone()),
        });
        batch_of(&self.output, arrays.collect::<Result<Vec<ArrayRef>>>()?, count).map(Some)
    }

    /// As many of the next rows as a batch has, and as are not too large together; one at least.
    fn spans(&self, of: &mut Exploded) -> Vec<Span> {
        let mut spans = Vec::new();
        let (mut room, mut bytes) = (BATCH_ROWS, 0u64);
        while of.row < of.batch.num_rows() && room > 0 {
            let all = of.lists[0].rows(of.row);
            let mut rows = (all - of.item).min(room);
            if of.large {
                let repeated = self.columns.iter().map(|from| match from {
                    From::List(_) => 0,
                    From::Other(at) => row_bytes(of.batch.column(*at), of.row),
                });
                let each = repeated.sum::<u64>().max(1);
                let fit = (BATCH_BYTES.saturating_sub(bytes) / each) as usize;
                rows = rows.min(if spans.is_empty() { fit.max(1) } else { fit });
                bytes += each.saturating_mul(rows as u64);
            }
            if rows == 0 {
                break;
            }
            spans.push(Span { row: of.row, item: of.item, rows });
            room -= rows;
            of.item += rows;
            if of.item == all {
                (of.row, of.item) = (of.row + 1, 0);
            }
        }
        spans
    }
}

/// What is left of a batch.
pub struct Exploded {
    batch: RecordBatch,
    lists: Vec<Lists>,
    /// Whether rows are so large that their bytes have to be looked at.
    large: bool,
    /// The next row, and the next item of its lists.
    row: usize,
    item: usize,
}

/// Rows that are made of one row: of its items from one on, or of none.
struct Span {
    row: usize,
    item: usize,
    rows: usize,
}

/// A column of lists.
struct Lists {
    values: ArrayRef,
    /// Of each row where its items begin, and how many they are.
    spans: Vec<(usize, usize)>,
}

impl Lists {
    fn of(array: &ArrayRef) -> Result<Lists> {
        let (values, mut spans): (_, Vec<(usize, usize)>) = match array.data_type() {
            DataType::List(_) => {
                let lists = array.as_list::<i32>();
                let ends = lists.value_offsets().windows(2);
                (lists.values(), ends.map(|ends| (ends[0] as usize, (ends[1] - ends[0]) as usize)).collect())
            }
            DataType::LargeList(_) => {
                let lists = array.as_list::<i64>();
                let ends = lists.value_offsets().windows(2);
                (lists.values(), ends.map(|ends| (ends[0] as usize, (ends[1] - ends[0]) as usize)).collect())
            }
            DataType::ListView(_) => {
                let lists = array.as_list_view::<i32>();
                let spans = lists.value_offsets().iter().zip(lists.value_sizes());
                (lists.values(), spans.map(|(start, len)| (*start as usize, *len as usize)).collect())
            }
            DataType::LargeListView(_) => {
                let lists = array.as_list_view::<i64>();
                let spans = lists.value_offsets().iter().zip(lists.value_sizes());
                (lists.values(), spans.map(|(start, len)| (*start as usize, *len as usize)).collect())
            }
            DataType::FixedSizeList(_, len) => {
                let lists = array.as_fixed_size_list();
                let start = |row| lists.value_offset_at(row);
                (lists.values(), (0..lists.len()).map(|row| (start(row), *len as usize)).collect())
            }
            other => return Err(Error::internal(format!("a {other} is to be exploded"))),
        };
        if let Some(nulls) = array.nulls().filter(|nulls| nulls.null_count() > 0) {
            for (row, span) in spans.iter_mut().enumerate() {
                if nulls.is_null(row) {
                    span.1 = 0;
                }
            }
        }
        Ok(Lists { values: values.clone(), spans })
    }

    /// How many rows are made of a row.
    fn rows(&self, row: usize) -> usize {
        self.spans[row].1.max(1)
    }

    /// The items of rows; null where there are none.
    fn items(&self, spans: &[Span], count: usize) -> Result<ArrayRef> {
        let mut places = spans.iter().map(|span| (self.spans[span.row], span));
        let first = places.clone().next().map_or(0, |((start, _), span)| start + span.item);
        let mut next = first;
        let in_a_row = places.all(|((start, len), span)| {
            let is_next = len > 0 && start + span.item == next;
            next += span.rows;
            is_next
        });
        if in_a_row {
            return Ok(self.values.slice(first, count));
        }
        if self.values.is_empty() {
            return Ok(new_null_array(self.values.data_type(), count));
        }
        let mut places: Vec<Option<u64>> = Vec::with_capacity(count);
        for span in spans {
            match self.spans[span.row] {
                (_, 0) => places.push(None),
                (start, _) => places.extend((0..span.rows).map(|at| Some((start + span.item + at) as u64))),
            }
        }
        take(&self.values, &UInt64Array::from(places), None).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, ListArray, StringArray};
    use arrow::datatypes::{Field, Int64Type, Schema};

    use super::super::batch_bytes;
    use super::*;

    fn all(batch: &RecordBatch) -> Vec<RecordBatch> {
        let item = Field::new("l", DataType::Int64, true);
        let fields: Vec<Field> = batch.schema().fields().iter().map(|field| Field::clone(field)).collect();
        let fields = fields.into_iter().map(|field| if field.name() == "l" { item.clone() } else { field });
        let output = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let exploding = Exploding::new(&["l".to_string()], &batch.schema(), &output).unwrap();
        let mut rest = exploding.begin(batch.clone()).unwrap();
        std::iter::from_fn(|| exploding.next(&mut rest).unwrap()).collect()
    }

    fn batch(lists: Vec<Option<Vec<Option<i64>>>>, texts: Vec<String>) -> RecordBatch {
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists));
        let texts: ArrayRef = Arc::new(StringArray::from(texts));
        RecordBatch::try_from_iter_with_nullable([("t", texts, true), ("l", lists, true)]).unwrap()
    }

    #[test]
    fn many_items_come_in_batches() {
        let long = |len: i64| Some((0..len).map(Some).collect::<Vec<_>>());
        let lens = [3, 40_000, 0, 2];
        let whole = batch(lens.map(long).to_vec(), (0..4).map(|at| format!("text {at}")).collect());
        let made = all(&whole);
        let sizes: Vec<usize> = made.iter().map(RecordBatch::num_rows).collect();
        assert_eq!(sizes, [BATCH_ROWS, BATCH_ROWS, 40_006 - 2 * BATCH_ROWS]);
        let items = made.iter().flat_map(|batch| batch.column(1).as_primitive::<Int64Type>().iter());
        let wanted = lens.into_iter().flat_map(|len| (0..len.max(1)).map(move |at| (len > 0).then_some(at)));
        assert!(items.eq(wanted));
        let texts = made.iter().flat_map(|batch| batch.column(0).as_string::<i32>().iter());
        let wanted = (0..4).flat_map(|at| vec![format!("text {at}"); lens[at].max(1) as usize]);
        assert!(texts.map(|text| text.unwrap().to_string()).eq(wanted));
    }

    #[test]
    fn large_rows_are_repeated_a_few_at_a_time() {
        let list = || Some(vec![Some(1); 50]);
        let texts = [1 << 20, 10, 20 << 20, 3].map(|len| "x".repeat(len)).to_vec();
        let made = all(&batch(vec![list(), list(), list(), list()], texts));
        assert_eq!(made.iter().map(RecordBatch::num_rows).sum::<usize>(), 200);
        for batch in &made {
            assert!(batch.num_rows() == 1 || batch_bytes(batch) <= BATCH_BYTES + (64 << 10), "{}", batch_bytes(batch));
        }
        // 15 of a megabyte each fit; those of more than fit stand alone.
        assert!((53..60).contains(&made.len()), "{}", made.len());
    }

    #[test]
    fn lists_without_gaps_are_not_copied() {
        let items = Int64Array::from_iter_values(0..30);
        let start = items.values().as_ptr();
        let lists = ListArray::new(
            Arc::new(Field::new("item", DataType::Int64, true)),
            arrow::buffer::OffsetBuffer::from_lengths([10; 3]),
            Arc::new(items),
            None,
        );
        let lists: ArrayRef = Arc::new(lists);
        let whole = RecordBatch::try_from_iter_with_nullable([("l", lists, true)]).unwrap();
        let made = all(&whole);
        assert_eq!(made[0].column(0).as_primitive::<Int64Type>().values().as_ptr(), start);
        let part = all(&whole.slice(1, 2));
        assert_eq!(part[0].column(0).as_primitive::<Int64Type>().values()[0], 10);
    }
}
