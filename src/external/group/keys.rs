//! From the keys of rows to numbers of groups.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use hashbrown::HashTable;

use super::intern::Interner;
use super::{NONE, mix};
use crate::error::Result;

/// Groups by their keys. Groups are numbered as they come up; without keys there is one group, also of no rows.
///
/// Each column numbers its distinct values; then the numbers are put together column by column: pairs of numbers get
/// numbers, through a dense table while there are few, else through a hash table.
pub struct KeyTable {
    pub(super) columns: Vec<Interner>,
    /// One less than there are columns.
    pub(super) pairs: Vec<Pairs>,
    /// Numbers of the rows of a batch, kept for their memory.
    scratch: Vec<u32>,
}

/// Numbers for pairs of numbers.
#[derive(Default)]
pub(super) struct Pairs {
    /// By number.
    pairs: Vec<(u32, u32)>,
    /// At `left << shift | right`.
    pub(super) dense: Vec<u32>,
    pub(super) shift: u32,
    /// In place of `dense`, once there are too many.
    pub(super) hashed: Option<HashTable<(u64, u32)>>,
}

/// More entries than this are never held in a dense table.
const MOST_DENSE: u64 = 1 << 18;

impl KeyTable {
    /// No groups of keys of these types.
    ///
    /// # Errors
    /// Of kind `Plan`, where values of a type cannot be compared.
    pub fn new(keys: &[DataType], keep_nulls: bool) -> Result<KeyTable> {
        let columns = keys.iter().map(|key| Interner::new(key, keep_nulls)).collect::<Result<Vec<Interner>>>()?;
        let pairs = (1..keys.len()).map(|_| Pairs::default()).collect();
        Ok(KeyTable { columns, pairs, scratch: Vec::new() })
    }

    /// Number of groups.
    pub fn len(&self) -> usize {
        match (self.pairs.last(), self.columns.first()) {
            (Some(last), _) => last.pairs.len(),
            (None, Some(only)) => only.len() as usize,
            (None, None) => 1,
        }
    }

    /// Memory it takes.
    pub fn bytes(&self) -> usize {
        self.columns.iter().map(Interner::bytes).sum::<usize>()
            + self.pairs.iter().map(Pairs::bytes).sum::<usize>()
            + 4 * self.scratch.capacity()
    }

    /// About how many bytes the arrays of all keys take.
    pub fn value_bytes(&self) -> usize {
        let groups = self.len();
        self.columns.iter().map(|column| column.value_bytes(groups)).sum()
    }

    /// The group of each row of the keys, in place of what `out` held; [`NONE`] where a key is null and null is no value.
    /// Not to be asked without keys.
    ///
    /// # Errors
    /// Of kind `Internal`, where the keys are of other types.
    pub fn groups(&mut self, keys: &[ArrayRef], out: &mut Vec<u32>) -> Result<()> {
        let KeyTable { columns, pairs, scratch } = self;
        for (at, (column, key)) in columns.iter_mut().zip(keys).enumerate() {
            if at == 0 {
                column.number(key, out)?;
            } else {
                column.number(key, scratch)?;
                pairs[at - 1].number(out, scratch, column.len());
            }
        }
        Ok(())
    }

    /// The keys of groups from one number on, a column each.
    ///
    /// # Errors
    /// Where they are too large for one array.
    pub fn keys(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let mut left = groups.to_vec();
        let mut arrays = Vec::with_capacity(self.columns.len());
        for (at, column) in self.columns.iter().enumerate().rev() {
            let own: Vec<u32> = match at.checked_sub(1).and_then(|at| self.pairs.get(at)) {
                Some(pairs) => {
                    let own = left.iter().map(|number| pairs.pairs[*number as usize].1).collect();
                    left.iter_mut().for_each(|number| *number = pairs.pairs[*number as usize].0);
                    own
                }
                None => std::mem::take(&mut left),
            };
            arrays.push(column.values(&own)?);
        }
        arrays.reverse();
        Ok(arrays)
    }
}

impl Pairs {
    /// Replaces each left number by that of the pair. `rights` is more than any right number.
    fn number(&mut self, left: &mut [u32], right: &[u32], rights: u32) {
        if self.hashed.is_none() && !self.covers(left, rights) {
            self.hash_all();
        }
        match &mut self.hashed {
            None => {
                for (left, right) in left.iter_mut().zip(right) {
                    if *left == NONE || *right == NONE {
                        *left = NONE;
                        continue;
                    }
                    let place = &mut self.dense[(*left as usize) << self.shift | *right as usize];
                    if *place == NONE {
                        *place = self.pairs.len() as u32;
                        self.pairs.push((*left, *right));
                    }
                    *left = *place;
                }
            }
            Some(table) => {
                for (left, right) in left.iter_mut().zip(right) {
                    if *left == NONE || *right == NONE {
                        *left = NONE;
                        continue;
                    }
                    let word = u64::from(*left) << 32 | u64::from(*right);
                    let hash = mix(word);
                    let found = table.find(hash, |(known, _)| *known == word);
                    let number = match found {
                        Some((_, number)) => *number,
                        None => {
                            let number = self.pairs.len() as u32;
                            self.pairs.push((*left, *right));
                            table.insert_unique(hash, (word, number), |(known, _)| mix(*known));
                            number
                        }
                    };
                    *left = number;
                }
            }
        }
    }

    fn covers(&mut self, left: &[u32], rights: u32) -> bool {
        let lefts = left.iter().filter(|number| **number != NONE).max().map_or(0, |most| u64::from(*most) + 1);
        let need_shift = rights.next_power_of_two().trailing_zeros();
        if need_shift <= self.shift && (lefts << self.shift) <= self.dense.len() as u64 {
            return true;
        }
        let shift = need_shift.max(self.shift);
        let known = (self.dense.len() >> self.shift) as u64;
        let width = lefts.next_power_of_two().max(known) << shift;
        if width > MOST_DENSE {
            return false;
        }
        self.shift = shift;
        self.dense = vec![NONE; width as usize];
        for (number, (left, right)) in self.pairs.iter().enumerate() {
            self.dense[(*left as usize) << shift | *right as usize] = number as u32;
        }
        true
    }

    fn hash_all(&mut self) {
        let mut table = HashTable::with_capacity(2 * self.pairs.len());
        for (number, (left, right)) in self.pairs.iter().enumerate() {
            let word = u64::from(*left) << 32 | u64::from(*right);
            table.insert_unique(mix(word), (word, number as u32), |(known, _)| mix(*known));
        }
        self.dense = Vec::new();
        self.hashed = Some(table);
    }

    fn bytes(&self) -> usize {
        let hashed = self.hashed.as_ref().map_or(0, |table| table.capacity() * 17);
        8 * self.pairs.capacity() + 4 * self.dense.capacity() + hashed
    }
}
