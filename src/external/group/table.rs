//! The tables of one aggregation in one run: one for each worker, and what was put together of them.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{ArrayRef, BooleanArray, UInt32Array};
use arrow::compute::{SortColumn, SortOptions, lexsort_to_indices, take};
use arrow::row::{RowConverter, SortField};
use foldhash::fast::FixedState;

use super::finish::Finished;
use super::intern::failed;
use super::keys::KeyTable;
use super::packed::{pack, unpack};
use super::state::State;
use super::{Aggregation, Columns, NONE, Rows};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Budget, Reservation};

/// The state of an aggregation in one run. Morsels are aggregated side by side, each by a worker of its own; at the end all is put
/// together.
pub struct GroupTables {
    aggregation: Arc<Aggregation>,
    /// Tables that nobody fills at the moment.
    idle: Mutex<Vec<Table>>,
    merged: Mutex<Merged>,
}

/// One table: groups, and the states that do not depend on the order of rows.
struct Table {
    keys: KeyTable,
    /// By place; nothing where the order matters.
    free: Vec<Option<State>>,
    /// The group of each group among the merged ones, as far as they are told of.
    map: Vec<u32>,
    groups: Vec<u32>,
    /// Rows that are in its groups.
    rows: u64,
    /// What it holds, as far as it was counted.
    held: Reservation,
}

/// What morsels in their order were put together to.
struct Merged {
    keys: KeyTable,
    ordered: Vec<Option<State>>,
    /// The next morsel to be added.
    next: u32,
    /// Morsels that came early.
    waiting: BTreeMap<u32, Partial>,
    waiting_bytes: usize,
    /// Rows of all morsels that are in groups, and of those that were added.
    rows: u64,
    added: u64,
    held: Reservation,
}

/// The states of one morsel that depend on the order of the rows.
struct Partial {
    states: Vec<Option<State>>,
    map: Vec<u32>,
    rows: u64,
    /// Memory it takes.
    bytes: usize,
}

/// Aggregates the batches of one morsel.
pub struct Worker<'a> {
    tables: &'a GroupTables,
    table: Table,
    ordered: Vec<Option<State>>,
    morsel: u32,
    rows: u64,
}

impl GroupTables {
    /// Empty tables, which hold what they grow to under the name `group_by`.
    ///
    /// # Errors
    /// As [`Aggregation::new`].
    pub fn new(aggregation: Arc<Aggregation>, budget: &Budget) -> Result<GroupTables> {
        let merged = Merged {
            keys: aggregation.table()?,
            ordered: aggregation.states(true)?,
            next: 0,
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
            rows: 0,
            added: 0,
            held: budget.force_reserve("group_by", 0),
        };
        Ok(GroupTables { aggregation, idle: Mutex::new(Vec::new()), merged: Mutex::new(merged) })
    }

    /// Begins a morsel. Each is to be begun and finished once.
    ///
    /// # Errors
    /// As [`Aggregation::new`].
    pub fn begin(&self, morsel: u32, budget: &Budget) -> Result<Worker<'_>> {
        let idle = lock(&self.idle).pop();
        let table = match idle {
            Some(table) => table,
            None => Table {
                keys: self.aggregation.table()?,
                free: self.aggregation.states(false)?,
                map: Vec::new(),
                groups: Vec::new(),
                rows: 0,
                held: budget.force_reserve("group_by", 0),
            },
        };
        Ok(Worker { tables: self, table, ordered: self.aggregation.states(true)?, morsel, rows: 0 })
    }

    /// All groups in ascending order of their keys, if that is not waived: the keys, then the aggregates. The tables are gone afterwards; the arrays are held
    /// by the reservation.
    ///
    /// # Errors
    /// Of kind `Data`, where a sum is too large; of kind `OutOfMemory`, where all groups together are; of kind `Unsupported`,
    /// where a column of the result is too large for an array; of kind `Internal`, where rows were lost or made up.
    pub fn finish(&self) -> Result<(Vec<ArrayRef>, Reservation)> {
        let Together { keys, mut states, mut held } = self.together()?;
        let count = keys.len();
        let groups: Vec<u32> = (0..count as u32).collect();
        // All of the result, and once more while it is brought into order.
        let outputs: usize = self.aggregation.outputs.iter().map(|output| output.bytes(&states, count)).sum();
        let tables = held.bytes();
        grow(&mut held, tables + 2 * (keys.value_bytes() + outputs) as u64)?;
        let mut arrays = keys.keys(&groups)?;
        drop((keys, groups));
        if self.aggregation.packed.is_some() {
            arrays = arrays.iter().flat_map(unpack).collect();
        }
        let key_count = arrays.len();
        let mut finished = Finished { states: &mut states, count };
        for output in &self.aggregation.outputs {
            arrays.push(output.finish(&mut finished)?);
        }
        drop(states);
        if key_count > 0 && count > 1 {
            let keys = &arrays[..key_count];
            let order = if self.aggregation.unordered { scattered(keys)? } else { ascending(keys)? };
            for array in &mut arrays {
                *array = take(array, &order, None).map_err(failed)?;
            }
        }
        held.shrink(tables);
        Ok((arrays, held))
    }

    /// Brings the reservation of what was made of the groups to what it takes.
    ///
    /// # Errors
    /// Of kind `OutOfMemory`, where the budget has no room for it, naming limit and setting.
    pub fn hold(held: &mut Reservation, bytes: u64) -> Result<()> {
        grow(held, bytes)
    }

    /// What all tables make together; nothing is left in them.
    fn together(&self) -> Result<Together> {
        let tables = std::mem::take(&mut *lock(&self.idle));
        let mut merged = lock(&self.merged);
        let Merged { keys, ordered, waiting, rows, added, held, .. } = &mut *merged;
        let order_free = self.aggregation.is_order_free();
        if !waiting.is_empty() {
            return Err(Error::internal("a group_by is finished before all its morsels are"));
        }
        let counted: u64 = tables.iter().map(|table| table.rows).sum();
        if counted != *rows || !order_free && *added != *rows {
            let text = format!("a group_by was given {rows} rows, has {counted} in its tables and {added} in order");
            return Err(Error::internal(text));
        }
        let mut keys = std::mem::replace(keys, self.aggregation.table()?);
        let ordered = std::mem::take(ordered);
        let nothing = held.budget().force_reserve("group_by", 0);
        let mut held = std::mem::replace(held, nothing);
        let mut free = self.aggregation.states(false)?;
        for (number, table) in tables.into_iter().enumerate() {
            let Table { keys: own, free: states, mut map, held: own_held, .. } = table;
            if number == 0 && order_free {
                // Nothing was merged yet: the first table is what others are added to.
                (keys, free, held) = (own, states, own_held);
                continue;
            }
            extend(&mut keys, &own, &mut map)?;
            let count = keys.len();
            for (state, other) in free.iter_mut().zip(states) {
                if let (Some(state), Some(other)) = (state, other) {
                    state.merge(other, &map, count)?;
                }
            }
            drop((own, own_held));
            grow(&mut held, (bytes(&keys, &free) + states_bytes(&ordered)) as u64)?;
        }
        let states = free
            .into_iter()
            .zip(ordered)
            .map(|(free, ordered)| free.or(ordered).ok_or_else(|| Error::internal("a state that is nowhere")));
        let states = states.collect::<Result<Vec<State>>>()?;
        for (spec, state) in self.aggregation.states.iter().zip(&states) {
            if let (State::Sizes(sizes), None) = (state, spec.filter)
                && sizes.0.iter().sum::<u64>() != *rows
            {
                let out: u64 = sizes.0.iter().sum();
                return Err(Error::internal(format!("a group_by was given {rows} rows, and its groups have {out}")));
            }
        }
        Ok(Together { keys, states, held })
    }
}

/// All groups in no order.
struct Together {
    keys: KeyTable,
    states: Vec<State>,
    held: Reservation,
}

/// An order of rows that follows from their columns and costs less than sorting by them: that of hashes.
fn scattered(columns: &[ArrayRef]) -> Result<UInt32Array> {
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let converter = RowConverter::new(fields).map_err(failed)?;
    let rows = converter.convert_columns(columns).map_err(failed)?;
    let hasher = FixedState::default();
    let mut order: Vec<(u64, u32)> = rows.iter().zip(0..).map(|(row, at)| (hasher.hash_one(row.data()), at)).collect();
    order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| rows.row(a.1 as usize).cmp(&rows.row(b.1 as usize))));
    Ok(order.into_iter().map(|(_, at)| at).collect::<Vec<u32>>().into())
}

/// The order of rows by their columns, nulls last.
fn ascending(columns: &[ArrayRef]) -> Result<UInt32Array> {
    let options = Some(SortOptions { descending: false, nulls_first: false });
    let columns: Vec<SortColumn> =
        columns.iter().map(|values| SortColumn { values: values.clone(), options }).collect();
    lexsort_to_indices(&columns, None).map_err(failed)
}

impl Aggregation {
    fn table(&self) -> Result<KeyTable> {
        KeyTable::new(&self.keys, self.keep_nulls)
    }

    /// Empty states, of those that depend on the order of rows or of the others.
    fn states(&self, ordered: bool) -> Result<Vec<Option<State>>> {
        let state = |spec: &super::state::StateSpec| {
            if spec.kind.is_ordered() == ordered { State::new(spec).map(Some) } else { Ok(None) }
        };
        self.states.iter().map(state).collect()
    }

    fn is_order_free(&self) -> bool {
        self.states.iter().all(|spec| !spec.kind.is_ordered())
    }
}

impl Worker<'_> {
    /// Adds the rows of a batch.
    ///
    /// # Errors
    /// Where its columns are not what was announced, or a user's aggregate fails; of kind `OutOfMemory`, where the budget has no room for
    /// the groups, naming limit and setting.
    pub fn add(&mut self, columns: &Columns<'_>) -> Result<()> {
        let Table { keys, free, groups, held, .. } = &mut self.table;
        let by_key = !columns.keys.is_empty();
        if by_key {
            match &self.tables.aggregation.packed {
                Some(fields) => {
                    let packed = pack(fields, columns.keys, self.tables.aggregation.keep_nulls)?;
                    keys.groups(&[packed], groups)?;
                }
                None => keys.groups(columns.keys, groups)?,
            }
            self.rows += groups.iter().map(|group| u64::from(*group != NONE)).sum::<u64>();
        } else {
            self.rows += columns.rows as u64;
        }
        let count = keys.len();
        let aggregation = &self.tables.aggregation;
        // The groups as each condition sees them: rows for which it is not true are in none.
        let filtered: Vec<Vec<u32>> = columns.filters.iter().map(|filter| masked(filter, by_key, groups)).collect();
        // What states grow by: of a batch of thousands of columns that is far more than what one batch mostly brings.
        let mut grown = 0;
        for (spec, (free, ordered)) in aggregation.states.iter().zip(free.iter_mut().zip(&mut self.ordered)) {
            let own: Option<&[u32]> = match spec.filter {
                Some(filter) => Some(&filtered[filter]),
                None => by_key.then_some(&groups[..]),
            };
            let rows = Rows { groups: own, len: columns.rows, count };
            if let Some(state) = free.as_mut().or(ordered.as_mut()) {
                let before = state.bytes();
                state.update(spec, &rows, columns)?;
                grown += state.bytes().saturating_sub(before) as u64;
                if grown > ALWAYS {
                    let now = held.bytes();
                    grow(held, now + std::mem::take(&mut grown))?;
                }
            }
        }
        self.hold()
    }

    /// Holds what the table and the states of the morsel take now. Only after the last batch would be too late: a morsel may be of any size.
    fn hold(&mut self) -> Result<()> {
        let Table { keys, free, map, held, .. } = &mut self.table;
        let now = bytes(keys, free) + 4 * map.capacity() + states_bytes(&self.ordered);
        grow(held, now as u64)
    }

    /// Ends the morsel.
    ///
    /// # Errors
    /// Of kind `OutOfMemory`, where the budget has no room for the groups, naming limit and setting.
    pub fn finish(mut self) -> Result<()> {
        let tables = self.tables;
        let order_free = tables.aggregation.is_order_free();
        self.table.rows += self.rows;
        let held = bytes(&self.table.keys, &self.table.free) + 4 * self.table.map.capacity();
        grow(&mut self.table.held, held as u64)?;
        {
            let mut merged = lock(&tables.merged);
            merged.rows += self.rows;
            if !order_free {
                extend(&mut merged.keys, &self.table.keys, &mut self.table.map)?;
                let map = self.table.map.clone();
                let own = states_bytes(&self.ordered) + 4 * map.capacity();
                let partial = Partial { states: self.ordered, map, rows: self.rows, bytes: own };
                merged.waiting_bytes += own;
                merged.waiting.insert(self.morsel, partial);
                merged.advance()?;
                let bytes = bytes(&merged.keys, &merged.ordered) + merged.waiting_bytes;
                grow(&mut merged.held, bytes as u64)?;
            }
        }
        lock(&tables.idle).push(self.table);
        Ok(())
    }
}

impl Merged {
    /// Adds all morsels that are next.
    fn advance(&mut self) -> Result<()> {
        while let Some(partial) = self.waiting.remove(&self.next) {
            let count = self.keys.len();
            self.waiting_bytes -= partial.bytes;
            self.added += partial.rows;
            for (state, other) in self.ordered.iter_mut().zip(partial.states) {
                if let (Some(state), Some(other)) = (state, other) {
                    state.merge(other, &partial.map, count)?;
                }
            }
            self.next += 1;
        }
        Ok(())
    }
}

/// Tells a table of the groups of another one that are new since the last time.
fn extend(keys: &mut KeyTable, other: &KeyTable, map: &mut Vec<u32>) -> Result<()> {
    let new: Vec<u32> = (map.len() as u32..other.len() as u32).collect();
    if new.is_empty() {
        return Ok(());
    }
    let arrays = other.keys(&new)?;
    if arrays.is_empty() {
        // The one group of all rows.
        map.push(0);
        return Ok(());
    }
    let mut groups = Vec::new();
    keys.groups(&arrays, &mut groups)?;
    map.append(&mut groups);
    Ok(())
}

fn masked(filter: &BooleanArray, by_key: bool, groups: &[u32]) -> Vec<u32> {
    let group = |row: usize| if by_key { groups[row] } else { 0 };
    let values = filter.values();
    (0..filter.len()).map(|row| if values.value(row) { group(row) } else { NONE }).collect()
}

fn bytes(keys: &KeyTable, states: &[Option<State>]) -> usize {
    keys.bytes() + states_bytes(states)
}

fn states_bytes(states: &[Option<State>]) -> usize {
    size_of_val(states) + states.iter().flatten().map(State::bytes).sum::<usize>()
}

/// So much a table may always hold: its task is let in with as much.
const ALWAYS: u64 = 128 << 10;

/// Brings a reservation to what is held.
fn grow(held: &mut Reservation, bytes: u64) -> Result<()> {
    let now = held.bytes();
    if bytes <= now {
        held.shrink(now - bytes);
        return Ok(());
    }
    if bytes <= ALWAYS {
        held.force_grow(bytes - now);
        return Ok(());
    }
    held.try_grow(bytes - now).map_err(|refused| {
        let text = format!("{}: the groups do not fit; raise memory_limit", refused.message());
        Error::new(ErrorKind::OutOfMemory, text)
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
