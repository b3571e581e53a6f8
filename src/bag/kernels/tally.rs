//! Distinct items and how often they occur.

use std::any::Any;
use std::hash::Hash;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::Measure;
use crate::store::heap_bytes;

/// Items with their counts, in descending order of these, then in ascending order of the items.
pub(in crate::bag) type Ranked<T> = Vec<(T, u64)>;

/// Counts by item.
#[derive(Clone)]
pub(in crate::bag) struct Tally<T> {
    counts: HashMap<T, u64, FixedState>,
}

impl<T> Default for Tally<T> {
    fn default() -> Self {
        Tally { counts: HashMap::with_hasher(FixedState::default()) }
    }
}

impl<T: Clone + Hash + Ord> Tally<T> {
    /// The items of a partition.
    pub fn of(items: &[T]) -> Tally<T> {
        let mut tally = Tally::default();
        for item in items {
            // An item is cloned only when it is seen for the first time.
            match tally.counts.get_mut(item) {
                Some(count) => *count += 1,
                None => drop(tally.counts.insert(item.clone(), 1)),
            }
        }
        tally
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: Tally<T>) {
        if self.counts.is_empty() {
            *self = other;
            return;
        }
        for (item, count) in other.counts {
            *self.counts.entry(item).or_insert(0) += count;
        }
    }

    /// In a fixed order.
    pub fn ranked(self) -> Ranked<T> {
        let mut ranked: Ranked<T> = self.counts.into_iter().collect();
        ranked.sort_unstable_by(|(a, many), (b, few)| few.cmp(many).then_with(|| a.cmp(b)));
        ranked
    }
}

impl<T: Any + Send + Sync> Measure for Tally<T> {
    fn bytes(&self) -> u64 {
        let slots = self.counts.capacity() * (size_of::<(T, u64)>() + 1);
        (size_of::<Self>() + slots) as u64 + self.counts.keys().filter_map(heap_bytes).sum::<u64>()
    }
}

impl<T: Any + Send + Sync> Measure for Ranked<T> {
    fn bytes(&self) -> u64 {
        let slots = self.capacity() * size_of::<(T, u64)>();
        (size_of::<Self>() + slots) as u64 + self.iter().filter_map(|(item, _)| heap_bytes(item)).sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_added_and_ranked() {
        let words = |text: &str| text.split(' ').map(str::to_string).collect::<Vec<_>>();
        let mut tally = Tally::of(&words("b a b"));
        tally.add(Tally::of(&words("c a")));
        tally.add(Tally::default());
        assert!(tally.bytes() > 3 * 33);
        let ranked = tally.ranked();
        assert_eq!(ranked, [("a".to_string(), 2), ("b".to_string(), 2), ("c".to_string(), 1)]);
        assert!(ranked.bytes() >= 24 + 3 * 32 + 3);
    }
}
