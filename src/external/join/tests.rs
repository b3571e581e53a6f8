//! Joins beside two loops.

use std::sync::Arc;

use arrow::array::{AsArray, Int64Array};
use arrow::datatypes::{Field, Int64Type, Schema};
use proptest::prelude::*;

use super::*;
use crate::store::Budget;

type Row = (Option<i64>, i64);

fn batch(rows: &[Row]) -> (Vec<ArrayRef>, RecordBatch) {
    let keys: ArrayRef = Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>());
    let values: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.1)).collect::<Int64Array>());
    let schema = Arc::new(Schema::new(vec![Field::new("v", DataType::Int64, true)]));
    (vec![keys], RecordBatch::try_new(schema, vec![values]).unwrap())
}

/// Pairs of values, by looking at each row for each.
fn naive(matching: Matching, nulls_equal: bool, left: &[Row], right: &[Row]) -> Vec<(Option<i64>, Option<i64>)> {
    let mut found = Vec::new();
    for own in left {
        let equal = |other: &&Row| own.0 == other.0 && (own.0.is_some() || nulls_equal);
        let partners: Vec<&Row> = match matching {
            Matching::Cross => right.iter().collect(),
            _ => right.iter().filter(equal).collect(),
        };
        match matching {
            Matching::Semi if !partners.is_empty() => found.push((Some(own.1), None)),
            Matching::Anti if partners.is_empty() => found.push((Some(own.1), None)),
            Matching::Semi | Matching::Anti => {}
            Matching::Outer if partners.is_empty() => found.push((Some(own.1), None)),
            _ => found.extend(partners.iter().map(|other| (Some(own.1), Some(other.1)))),
        }
    }
    found
}

fn joined(matching: Matching, nulls_equal: bool, left: &[Row], right: &[Row]) -> Vec<(Option<i64>, Option<i64>)> {
    let budget = Budget::new(1 << 30);
    let (keys, held) = batch(right);
    let keys = if matching == Matching::Cross { Vec::new() } else { keys };
    let reserved = budget.reserve("merge", 0).unwrap();
    let held = Held::new(&keys, nulls_equal, held.columns().to_vec(), right.len(), reserved).unwrap();
    assert_eq!(held.rows(), right.len());
    assert!(keys.is_empty() || right.iter().all(|row| row.0.is_none()) || budget.held() > 0);
    let (own, probe) = batch(left);
    let mut found = Vec::new();
    let mut joined = held.join(matching, &own, probe).unwrap();
    while let Some(pairs) = joined.next().unwrap() {
        assert!(pairs.rows <= BATCH_ROWS.max(left.len()));
        let own = pairs.own[0].as_primitive::<Int64Type>();
        assert_eq!(own.len(), pairs.rows);
        match pairs.held.first() {
            Some(held) => found.extend(own.iter().zip(held.as_primitive::<Int64Type>().iter())),
            None => found.extend(own.iter().map(|own| (own, None))),
        }
    }
    drop(held);
    assert_eq!(budget.held(), 0);
    found
}

const ALL: [Matching; 5] = [Matching::Inner, Matching::Outer, Matching::Semi, Matching::Anti, Matching::Cross];

proptest! {
    /// The pairs of each kind of join are those of two loops, in their order.
    #[test]
    fn pairs_are_those_of_two_loops(
        left in prop::collection::vec((prop::option::of(0i64..6), 0i64..100), 0..40),
        right in prop::collection::vec((prop::option::of(0i64..8), 0i64..100), 0..40),
        unique in any::<bool>(), nulls_equal in any::<bool>(),
    ) {
        let mut right = right;
        if unique {
            let mut seen = std::collections::HashSet::new();
            right.retain(|row| seen.insert(row.0));
        }
        for matching in ALL {
            prop_assert_eq!(joined(matching, nulls_equal, &left, &right), naive(matching, nulls_equal, &left, &right));
        }
    }
}

#[test]
fn many_partners_come_in_batches() {
    let right: Vec<Row> = (0..30_000).map(|n| (Some(7), n)).collect();
    let left: Vec<Row> = vec![(Some(7), 1), (Some(8), 2), (None, 3), (Some(7), 4)];
    for matching in ALL {
        assert_eq!(joined(matching, false, &left, &right), naive(matching, false, &left, &right));
    }
}

#[test]
fn a_table_without_room_is_told() {
    let budget = Budget::new(1000);
    let (keys, held) = batch(&(0..1000).map(|n| (Some(n), n)).collect::<Vec<_>>());
    let reserved = budget.reserve("merge", 0).unwrap();
    let error = Held::new(&keys, false, held.columns().to_vec(), 1000, reserved).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::OutOfMemory);
    assert!(error.message().ends_with("let it be the smaller one, or raise memory_limit"), "{error}");
    assert_eq!(budget.held(), 0);
}
