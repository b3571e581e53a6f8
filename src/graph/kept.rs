//! Which tasks of a regular layer are left after culling.

use std::ops::Range;

/// The tasks of a layer that are left, by their original indices.
///
/// The layer's operation, its names and its patterns go on speaking of original indices; only the dense numbers of the
/// graph count what is left. A task's *place* is its rank among those that are left.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kept {
    /// Ascending, not empty, not touching.
    ranges: Vec<Range<u32>>,
    /// Per range the place of its first index.
    starts: Vec<u32>,
    len: u32,
    of: u32,
}

impl Kept {
    /// Keeps ascending, disjoint ranges of `of` tasks.
    pub(super) fn new(ranges: Vec<Range<u32>>, of: u32) -> Kept {
        let mut len = 0;
        let starts = ranges
            .iter()
            .map(|range| {
                let start = len;
                len += range.end - range.start;
                start
            })
            .collect();
        Kept { ranges, starts, len, of }
    }

    /// Number of tasks left.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of tasks there were.
    pub fn of(&self) -> u32 {
        self.of
    }

    /// The original indices that are left, as ascending ranges.
    pub fn ranges(&self) -> &[Range<u32>] {
        &self.ranges
    }

    /// The original index of the task at a place.
    pub fn index(&self, place: u32) -> u32 {
        let at = self.starts.partition_point(|start| *start <= place) - 1;
        self.ranges[at].start + (place - self.starts[at])
    }

    /// The place of an original index, if it is left.
    pub fn place(&self, index: u32) -> Option<u32> {
        let at = self.ranges.partition_point(|range| range.end <= index);
        let range = self.ranges.get(at)?;
        range.contains(&index).then(|| self.starts[at] + (index - range.start))
    }
}

/// Sorts ranges and joins those that touch or overlap.
pub(super) fn join_ranges(ranges: &mut Vec<Range<u32>>) {
    ranges.retain(|range| !range.is_empty());
    if !ranges.is_sorted_by_key(|range| range.start) {
        ranges.sort_unstable_by_key(|range| range.start);
    }
    ranges.dedup_by(|next, last| {
        let joined = next.start <= last.end;
        if joined {
            last.end = last.end.max(next.end);
        }
        joined
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_indices() {
        let mut ranges = vec![7..9, 2..4, 3..5, 9..9, 9..10, 20..21];
        join_ranges(&mut ranges);
        assert_eq!(ranges, [2..5, 7..10, 20..21]);
        let kept = Kept::new(ranges, 30);
        assert_eq!((kept.len(), kept.of(), kept.is_empty()), (7, 30, false));
        let indices: Vec<u32> = (0..7).map(|place| kept.index(place)).collect();
        assert_eq!(indices, [2, 3, 4, 7, 8, 9, 20]);
        for (place, index) in indices.iter().enumerate() {
            assert_eq!(kept.place(*index), Some(place as u32));
        }
        assert_eq!((kept.place(0), kept.place(5), kept.place(21)), (None, None, None));
    }
}
