//! Joining with a table that is held in memory: its rows by their keys, looked up by many tasks at once.
//!
//! Keys are numbered as those of groups are; of each number the rows that have it stand one behind another.

#[cfg(test)]
mod tests;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::{filter, take};
use arrow::datatypes::DataType;

use super::group::{KeyTable, NONE};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{BATCH_ROWS, Reservation, largest_row, row_bytes, shown_bytes};

/// Bytes of such a batch, where a single row is not larger.
const BATCH_BYTES: u64 = 16 << 20;

/// Which rows a join gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Matching {
    /// Each pair of rows with equal keys.
    Inner,
    /// These, and each row without a partner once.
    Outer,
    /// The rows that have a partner.
    Semi,
    /// The rows that have none.
    Anti,
    /// Each pair of rows.
    Cross,
}

/// A table held in memory, and its rows by their keys.
pub struct Held {
    /// The columns that a join gives of it.
    columns: Vec<ArrayRef>,
    rows: usize,
    /// Bytes of the largest row.
    largest: u64,
    keys: Option<KeyTable>,
    /// Of group `g` the rows are `members[starts[g]..starts[g + 1]]`, ascending. Nothing, where no two rows have one key: then
    /// `members[g]` is the one.
    starts: Vec<u32>,
    members: Vec<u32>,
    /// Given back when the last task that looks something up is done.
    reserved: Reservation,
}

impl Held {
    /// A table by some of its columns; of null keys no row is found, unless `nulls_equal`.
    ///
    /// # Errors
    /// Of kind `Plan`, where keys cannot be compared; of kind `Data`, where there are more than 2^32 rows; of kind `OutOfMemory`,
    /// where the budget has no room for it.
    pub fn new(
        keys: &[ArrayRef],
        nulls_equal: bool,
        columns: Vec<ArrayRef>,
        rows: usize,
        reserved: Reservation,
    ) -> Result<Held> {
        if u32::try_from(rows).is_err() {
            let text = format!("a table of {rows} rows is held for a join: no more than {} can be", u32::MAX);
            return Err(Error::new(ErrorKind::Data, text));
        }
        let largest = columns.iter().map(|column| largest_row(column)).sum();
        let (starts, members) = (Vec::new(), Vec::new());
        let mut held = Held { columns, rows, largest, keys: None, starts, members, reserved };
        if keys.is_empty() {
            return Ok(held);
        }
        let types: Vec<DataType> = keys.iter().map(|key| key.data_type().clone()).collect();
        let mut table = KeyTable::new(&types, nulls_equal)?;
        // What is made here, before it is made: numbers and places of rows, and keys that are copied.
        let guessed = 24 * rows as u64 + 2 * keys.iter().map(|key| shown_bytes(key)).sum::<u64>();
        held.reserved.try_grow(guessed).map_err(too_large)?;
        let mut groups = Vec::new();
        table.groups(keys, &mut groups)?;
        let count = table.len();
        let known = groups.iter().filter(|group| **group != NONE).count();
        let mut starts = vec![0u32; count + 1];
        groups.iter().filter(|group| **group != NONE).for_each(|group| starts[*group as usize + 1] += 1);
        for group in 0..count {
            starts[group + 1] += starts[group];
        }
        let mut next = starts.clone();
        held.members = vec![0; known];
        for (row, group) in groups.iter().enumerate().filter(|(_, group)| **group != NONE) {
            let place = &mut next[*group as usize];
            held.members[*place as usize] = row as u32;
            *place += 1;
        }
        // Each group has a row: as many as there are rows, each has one.
        if known != count {
            held.starts = starts;
        }
        let own = table.bytes() + 4 * (held.starts.capacity() + held.members.capacity());
        held.keys = Some(table);
        drop((groups, next));
        match (own as u64).checked_sub(guessed) {
            Some(more) => held.reserved.try_grow(more).map_err(too_large)?,
            None => held.reserved.shrink(guessed - own as u64),
        }
        Ok(held)
    }

    /// Number of its rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The rows of a group.
    fn members(&self, group: u32) -> &[u32] {
        let group = group as usize;
        match self.starts.is_empty() {
            true => &self.members[group..group + 1],
            false => &self.members[self.starts[group] as usize..self.starts[group + 1] as usize],
        }
    }

    /// Joins a batch: gives its own `columns` and those that are held, in lists that belong together.
    ///
    /// # Errors
    /// Of kind `Internal`, where the keys are of other types.
    pub fn join(&self, matching: Matching, keys: &[ArrayRef], batch: RecordBatch) -> Result<Joined<'_>> {
        let rows = batch.num_rows();
        let mut groups = Vec::new();
        if let Some(table) = &self.keys {
            table.find(keys, &mut groups)?;
        } else if matching != Matching::Cross {
            return Err(Error::internal("a join without keys"));
        }
        let own_largest: u64 = batch.columns().iter().map(|column| largest_row(column)).sum();
        let large = self.largest.saturating_add(own_largest) > BATCH_BYTES / BATCH_ROWS as u64;
        Ok(Joined { held: self, matching, batch, groups, rows, large, row: 0, member: 0 })
    }
}

/// That a table does not fit into the memory limit.
pub fn too_large(refused: Error) -> Error {
    let text = format!(
        "{}: one of the two tables is held in memory; let it be the smaller one, or raise memory_limit",
        refused.message()
    );
    Error::new(ErrorKind::OutOfMemory, text)
}

/// What a join gives of a batch, some rows at a time.
pub struct Joined<'a> {
    held: &'a Held,
    matching: Matching,
    batch: RecordBatch,
    groups: Vec<u32>,
    rows: usize,
    /// Whether rows are so large that their bytes have to be looked at.
    large: bool,
    /// The next row of the batch, and the next of its partners.
    row: usize,
    member: usize,
}

/// Rows of a join: columns of the batch, and columns that are held.
pub struct Pairs {
    /// Those of the batch.
    pub own: Vec<ArrayRef>,
    /// Those that are held.
    pub held: Vec<ArrayRef>,
    /// Number of rows.
    pub rows: usize,
}

impl Joined<'_> {
    /// The next rows; nothing at the end.
    ///
    /// # Errors
    /// Of kind `Data`, where rows together are too large for one array.
    pub fn next_pairs(&mut self) -> Result<Option<Pairs>> {
        if self.row >= self.rows {
            return Ok(None);
        }
        match self.matching {
            Matching::Semi => self.some(true).map(Some),
            Matching::Anti => self.some(false).map(Some),
            Matching::Inner | Matching::Outer if self.held.starts.is_empty() => self.single().map(Some),
            Matching::Inner | Matching::Outer | Matching::Cross => self.several(),
        }
    }

    /// The rows with a partner, or those without.
    fn some(&mut self, partner: bool) -> Result<Pairs> {
        self.row = self.rows;
        let mask = BooleanBuffer::collect_bool(self.rows, |row| (self.groups[row] != NONE) == partner);
        let own = kept(&self.batch, &BooleanArray::new(mask, None))?;
        let rows = own.first().map_or_else(|| self.count(partner), |array| array.len());
        Ok(Pairs { own, held: Vec::new(), rows })
    }

    fn count(&self, partner: bool) -> usize {
        self.groups.iter().filter(|group| (**group != NONE) == partner).count()
    }

    /// Bytes of a row of the batch, and of a held one.
    fn own_bytes(&self, row: usize) -> u64 {
        self.batch.columns().iter().map(|column| row_bytes(column, row)).sum()
    }

    fn held_bytes(&self, row: u32) -> u64 {
        self.held.columns.iter().map(|column| row_bytes(column, row as usize)).sum()
    }

    /// The end of as many of the next rows as have partners that are not too large together, one at least.
    fn single_end(&self) -> usize {
        let most = self.held.largest.saturating_mul((self.rows - self.row) as u64);
        if most <= BATCH_BYTES {
            return self.rows;
        }
        let (mut bytes, mut end) = (0u64, self.row);
        while end < self.rows {
            if self.groups[end] != NONE {
                bytes += self.held_bytes(self.held.members[self.groups[end] as usize]);
            }
            if bytes > BATCH_BYTES && end > self.row {
                break;
            }
            end += 1;
        }
        end
    }

    /// Where no row has more than one partner: the batch's own columns stay as they are, or are filtered.
    fn single(&mut self) -> Result<Pairs> {
        let (start, end) = (self.row, self.single_end());
        self.row = end;
        let (members, groups, rows) = (&self.held.members, &self.groups[start..end], end - start);
        let batch = self.batch.slice(start, rows);
        if self.matching == Matching::Outer {
            let valid = BooleanBuffer::collect_bool(rows, |row| groups[row] != NONE);
            let partners = groups.iter().map(|group| if *group == NONE { 0 } else { members[*group as usize] });
            let nulls = Some(NullBuffer::new(valid)).filter(|nulls| nulls.null_count() > 0);
            let partners = UInt32Array::new(partners.collect::<Vec<u32>>().into(), nulls);
            return Ok(Pairs { own: batch.columns().to_vec(), held: self.taken(&partners)?, rows });
        }
        let mask = BooleanBuffer::collect_bool(rows, |row| groups[row] != NONE);
        let partners = groups.iter().filter(|group| **group != NONE).map(|group| members[*group as usize]);
        let partners = UInt32Array::from_iter_values(partners);
        let own = kept(&batch, &BooleanArray::new(mask, None))?;
        Ok(Pairs { own, held: self.taken(&partners)?, rows: partners.len() })
    }

    /// As many pairs as a batch has.
    fn several(&mut self) -> Result<Option<Pairs>> {
        let mut rows: Vec<u32> = Vec::with_capacity(BATCH_ROWS);
        let mut partners: Vec<u32> = Vec::with_capacity(BATCH_ROWS);
        let mut valid: Vec<bool> = Vec::new();
        let outer = self.matching == Matching::Outer;
        let mut bytes = 0u64;
        while self.row < self.rows && rows.len() < BATCH_ROWS {
            let room = BATCH_ROWS - rows.len();
            let all = match self.matching {
                Matching::Cross => self.held.rows,
                _ if self.groups[self.row] == NONE => 0,
                _ => self.held.members(self.groups[self.row]).len(),
            };
            let mut end = all.min(self.member + room);
            if self.large {
                let own = self.own_bytes(self.row);
                let first = rows.is_empty();
                let mut fits = |held: u64, first: bool| {
                    bytes += own + held;
                    bytes <= BATCH_BYTES || first
                };
                if all == 0 {
                    if outer && !fits(0, first) {
                        break;
                    }
                } else {
                    let held = |member: usize| match self.matching {
                        Matching::Cross => self.held_bytes(member as u32),
                        _ => self.held_bytes(self.held.members(self.groups[self.row])[member]),
                    };
                    let start = self.member;
                    end = (start..end).find(|at| !fits(held(*at), first && *at == start)).unwrap_or(end);
                    if end == start {
                        break;
                    }
                }
            }
            if self.matching == Matching::Cross {
                partners.extend(self.member as u32..end as u32);
            } else if all > 0 {
                partners.extend_from_slice(&self.held.members(self.groups[self.row])[self.member..end]);
            }
            if all == 0 && outer {
                // Alone: beside it stands what is held of no row.
                valid.resize(partners.len(), true);
                valid.push(false);
                partners.push(0);
            }
            rows.resize(partners.len(), self.row as u32);
            if end == all {
                (self.row, self.member) = (self.row + 1, 0);
            } else {
                self.member = end;
            }
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let nulls = (!valid.is_empty()).then(|| {
            valid.resize(partners.len(), true);
            NullBuffer::from(valid)
        });
        let count = rows.len();
        let (rows, partners) = (UInt32Array::from(rows), UInt32Array::new(partners.into(), nulls));
        let own = self.batch.columns().iter().map(|column| take(column, &rows, None).map_err(failed));
        Ok(Some(Pairs { own: own.collect::<Result<_>>()?, held: self.taken(&partners)?, rows: count }))
    }

    fn taken(&self, partners: &UInt32Array) -> Result<Vec<ArrayRef>> {
        if self.held.rows == 0 {
            // There is nothing to take, not even for nulls to stand upon.
            let null = |column: &ArrayRef| arrow::array::new_null_array(column.data_type(), partners.len());
            return Ok(self.held.columns.iter().map(null).collect());
        }
        self.held.columns.iter().map(|column| take(column, partners, None).map_err(failed)).collect()
    }
}

fn failed(error: arrow::error::ArrowError) -> Error {
    Error::with_source(ErrorKind::Data, "a join", error)
}

/// The rows of a batch for which a mask is true.
fn kept(batch: &RecordBatch, mask: &BooleanArray) -> Result<Vec<ArrayRef>> {
    if mask.values().count_set_bits() == mask.len() {
        return Ok(batch.columns().to_vec());
    }
    batch.columns().iter().map(|column| filter(column, mask).map_err(failed)).collect()
}
