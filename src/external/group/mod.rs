//! Aggregation by key: tables of groups with running values, filled batch by batch, put together, read in the order of the
//! keys.
//!
//! What is kept of a group is a list of *states*, each of which several aggregates may read: a mean is a sum and a number
//! of rows. States whose result does not depend on the order of the rows (numbers, sums of integers, extremes, distinct
//! values) are kept for a worker as long as the run lasts. States that do (sums of floats, first and last, lists) are kept for one
//! morsel, and the morsels' are merged in the order of the morsels: so bits do not depend on threads.

mod bytes;
mod chosen;
mod deviations;
mod distinct;
mod extremes;
mod find;
mod finish;
mod intern;
mod keys;
mod lists;
mod moments;
mod packed;
mod pairs;
#[cfg(feature = "sketches")]
mod sketches;
mod state;
mod sums;
mod table;
#[cfg(test)]
mod tests;

use arrow::array::ArrayRef;
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Fields};

pub(crate) use keys::KeyTable;
pub use state::AggregateCall;
pub use table::GroupTables;

use crate::error::{Error, ErrorKind, Result};
use crate::expr::logical;
use state::{State, StateKind, StateSpec};

/// The group of a row that is in none.
pub(crate) const NONE: u32 = u32::MAX;

/// A state for each of so many groups. Where they are few no memory is taken beside what they need, as a vector does that grows: a table of
/// ten thousand columns has as many lists of one state, for each task and each verb.
fn places_for<T: Clone>(states: &mut Vec<T>, count: usize, empty: T) {
    if count < 4 {
        states.reserve_exact(count.saturating_sub(states.len()));
    }
    states.resize(count, empty);
}

/// Which keys there are, and what is made of each group.
#[derive(Debug)]
pub struct Aggregation {
    keys: Vec<DataType>,
    /// Of the keys, where they are so many that they are numbered together.
    packed: Option<Fields>,
    keep_nulls: bool,
    unordered: bool,
    states: Vec<StateSpec>,
    outputs: Vec<finish::Output>,
}

/// The arrays of a batch that an aggregation reads.
pub struct Columns<'a> {
    /// The keys.
    pub keys: &'a [ArrayRef],
    /// What aggregates are taken of.
    pub values: &'a [ArrayRef],
    /// Conditions of aggregates, without nulls.
    pub filters: &'a [arrow::array::BooleanArray],
    /// Number of rows.
    pub rows: usize,
}

impl Aggregation {
    /// Groups of keys of these types (a null among them is a value, or drops its row), and what is made of each.
    ///
    /// # Errors
    /// Of kind `Plan`, where keys cannot be compared or an aggregate does not take its values.
    pub fn new(keys: Vec<DataType>, keep_nulls: bool, calls: &[AggregateCall]) -> Result<Aggregation> {
        keys::KeyTable::new(&keys, keep_nulls)?;
        let packed = packed::fields(&keys);
        let keys = packed.clone().map_or(keys, |fields| vec![DataType::Struct(fields)]);
        // Aggregates know types, not layouts.
        let plain = |(place, of): &(usize, DataType)| (*place, logical(of).clone());
        let plain =
            |call: &AggregateCall| AggregateCall { args: call.args.iter().map(plain).collect(), ..call.clone() };
        let calls: Vec<AggregateCall> = calls.iter().map(plain).collect();
        let (states, outputs) = state::plan(&calls)?;
        states.iter().try_for_each(|spec| State::new(spec).map(drop))?;
        let is_whole = |spec: &StateSpec| keys.is_empty() && spec.filter.is_none();
        if states.iter().any(|spec| spec.kind == StateKind::Pairs && !is_whole(spec)) {
            let text = "correlations and covariances of many columns are those of all rows, not of groups";
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        Ok(Aggregation { keys, packed, keep_nulls, unordered: false, states, outputs })
    }

    /// About how much memory a task takes for its states before there is a group in them, one list of them for what depends on the order of rows and
    /// one for the others.
    pub(crate) fn state_need(&self) -> u64 {
        let wide: usize = self.states.iter().map(StateSpec::need).sum();
        (2 * self.states.len() * size_of::<Option<State>>() + wide) as u64
    }

    /// About how much memory it takes to number the keys of batches of so many bytes, beside the table.
    pub(crate) fn key_need(&self, bytes: u64) -> u64 {
        // Put side by side row by row, in a column and then with what stands before it.
        self.packed.as_ref().map_or(0, |fields| 3 * bytes + 512 * fields.len() as u64)
    }

    /// Whether groups may come in another order than that of their keys.
    #[must_use]
    pub fn unordered(self, unordered: bool) -> Aggregation {
        Aggregation { unordered, ..self }
    }
}

/// The rows of a batch and their groups.
pub(crate) struct Rows<'a> {
    /// The group of each row; of nothing all rows are in the first.
    pub groups: Option<&'a [u32]>,
    /// Number of rows.
    pub len: usize,
    /// Number of groups so far.
    pub count: usize,
}

impl Rows<'_> {
    /// Calls with row and group of each row that is in a group and has a value.
    #[inline]
    pub fn each_valid(&self, nulls: Option<&NullBuffer>, mut each: impl FnMut(usize, usize)) {
        let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
        match (self.groups, nulls) {
            (None, None) => (0..self.len).for_each(|row| each(row, 0)),
            (None, Some(nulls)) => nulls.valid_indices().for_each(|row| each(row, 0)),
            (Some(groups), None) => {
                for (row, group) in groups.iter().enumerate() {
                    if *group != NONE {
                        each(row, *group as usize);
                    }
                }
            }
            (Some(groups), Some(nulls)) => {
                for row in nulls.valid_indices() {
                    if groups[row] != NONE {
                        each(row, groups[row] as usize);
                    }
                }
            }
        }
    }
}

/// Spreads a word over all bits: the upper ones tell entries of a table apart, the lower ones choose the place.
#[inline]
pub(crate) fn mix(word: u64) -> u64 {
    let product = u128::from(word ^ 0x2545_f491_4f6c_dd1d).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    (product >> 64) as u64 ^ product as u64
}
