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
    while let Some(pairs) = joined.next_pairs().unwrap() {
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

/// Joins rows with large texts; gives the batches.
fn with_texts(matching: Matching, own: &[(i64, usize)], held: &[(i64, usize)]) -> Vec<Pairs> {
    let table = |rows: &[(i64, usize)]| -> (ArrayRef, ArrayRef) {
        let keys = Int64Array::from_iter_values(rows.iter().map(|row| row.0));
        let texts = arrow::array::StringArray::from_iter_values(rows.iter().map(|row| "x".repeat(row.1)));
        (Arc::new(keys), Arc::new(texts))
    };
    let (keys, texts) = table(held);
    let keys = if matching == Matching::Cross { vec![] } else { vec![keys] };
    let reserved = Budget::new(1 << 30).reserve("merge", 0).unwrap();
    let held = Held::new(&keys, false, vec![texts], held.len(), reserved).unwrap();
    let (keys, texts) = table(own);
    let batch = RecordBatch::try_from_iter([("n", keys.clone()), ("t", texts)]).unwrap();
    let mut joined = held.join(matching, &[keys], batch).unwrap();
    std::iter::from_fn(|| joined.next_pairs().unwrap()).collect()
}

#[test]
fn batches_of_large_rows_are_short() {
    const LARGE: usize = 200 << 10;
    let size = |pairs: &Pairs| pairs.own.iter().chain(&pairs.held).map(|array| shown_bytes(array)).sum::<u64>();
    let check = |found: &[Pairs], rows: usize, least: usize| {
        assert_eq!(found.iter().map(|pairs| pairs.rows).sum::<usize>(), rows);
        assert!(found.iter().all(|pairs| size(pairs) <= BATCH_BYTES + (1 << 20)), "a batch is too large");
        // Not one row in each, either.
        assert!((least..=2 * least).contains(&found.len()), "{} batches", found.len());
    };
    let probe: Vec<(i64, usize)> = (0..800).map(|row| (row % 2, 1)).collect();
    let places = |found: &[Pairs]| -> Vec<i64> {
        found.iter().flat_map(|pairs| pairs.own[0].as_primitive::<Int64Type>().values().to_vec()).collect()
    };
    // One partner each: 400 or 800 rows, a large text for every other one.
    check(&with_texts(Matching::Inner, &probe, &[(0, LARGE)]), 400, 5);
    let found = with_texts(Matching::Outer, &probe, &[(0, LARGE), (2, 1)]);
    check(&found, 800, 5);
    assert_eq!(places(&found), probe.iter().map(|row| row.0).collect::<Vec<_>>());
    // Only what is large makes batches short.
    check(&with_texts(Matching::Inner, &probe, &[(1, 1), (5, LARGE)]), 400, 1);
    // Several partners.
    check(&with_texts(Matching::Inner, &probe, &[(0, LARGE), (0, 1)]), 800, 5);
    check(&with_texts(Matching::Outer, &probe, &[(0, LARGE), (0, 1)]), 1200, 5);
    check(&with_texts(Matching::Cross, &probe[..100], &[(0, LARGE), (0, 1)]), 200, 2);
    // Rows of the batch that are repeated.
    check(&with_texts(Matching::Inner, &[(7, LARGE)], &[(7, 1); 400]), 400, 5);
    check(&with_texts(Matching::Outer, &[(7, LARGE), (8, LARGE)], &[(7, 1); 400]), 401, 5);
    // A row that is too large is alone.
    let found = with_texts(Matching::Cross, &[(7, 1)], &[(7, 20 << 20), (7, 20 << 20), (7, 1)]);
    assert_eq!(found.iter().map(|pairs| pairs.rows).collect::<Vec<_>>(), [1, 1, 1]);
}

#[test]
fn memory_for_keys_is_asked_for_before_they_are_numbered() {
    let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(0..10_000));
    let budget = Budget::new(300 << 10);
    let held =
        |rows: usize| Held::new(&[keys.slice(0, rows)], false, Vec::new(), rows, budget.reserve("merge", 0).unwrap());
    let error = held(10_000).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::OutOfMemory);
    assert_eq!(budget.held(), 0);
    // What was guessed is made right: less than that is held.
    let table = held(7000).unwrap();
    assert!((7000 * 4..7000 * 40).contains(&budget.held()), "{}", budget.held());
    drop(table);
    assert_eq!(budget.held(), 0);
}
