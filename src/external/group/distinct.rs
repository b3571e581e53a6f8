//! Numbers of distinct values, by group.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use hashbrown::HashTable;

use super::intern::Interner;
use super::{NONE, Rows, mix};
use crate::error::Result;

/// The distinct values of each group; null is none.
pub struct Distinct {
    values: Interner,
    /// Group and number of the value.
    pairs: HashTable<u64>,
    counts: Vec<u64>,
    scratch: Vec<u32>,
}

impl Distinct {
    pub fn new(data_type: &DataType) -> Result<Distinct> {
        let values = Interner::new(data_type, false)?;
        Ok(Distinct { values, pairs: HashTable::new(), counts: Vec::new(), scratch: Vec::new() })
    }

    pub fn bytes(&self) -> usize {
        self.values.bytes() + 9 * self.pairs.capacity() + 8 * self.counts.capacity() + 4 * self.scratch.capacity()
    }

    pub fn update(&mut self, rows: &Rows<'_>, array: &ArrayRef) -> Result<()> {
        self.counts.resize(rows.count, 0);
        let mut numbers = std::mem::take(&mut self.scratch);
        self.values.number(array, &mut numbers)?;
        for (row, number) in numbers.iter().enumerate().filter(|(_, number)| **number != NONE) {
            let group = rows.groups.map_or(0, |groups| groups[row]);
            if group != NONE {
                self.add(group, *number);
            }
        }
        self.scratch = numbers;
        Ok(())
    }

    #[inline]
    fn add(&mut self, group: u32, number: u32) {
        let pair = u64::from(group) << 32 | u64::from(number);
        let entry = self.pairs.entry(mix(pair), |known| *known == pair, |known| mix(*known));
        if let hashbrown::hash_table::Entry::Vacant(place) = entry {
            place.insert(pair);
            self.counts[group as usize] += 1;
        }
    }

    pub fn merge(&mut self, other: &Distinct, map: &[u32], count: usize) -> Result<()> {
        self.counts.resize(count, 0);
        let all: Vec<u32> = (0..other.values.len()).collect();
        let mut numbers = Vec::new();
        self.values.number(&other.values.values(&all)?, &mut numbers)?;
        for pair in &other.pairs {
            self.add(map[(pair >> 32) as usize], numbers[*pair as u32 as usize]);
        }
        Ok(())
    }

    pub fn counts(&mut self, count: usize) -> &[u64] {
        self.counts.resize(count, 0);
        &self.counts
    }
}
