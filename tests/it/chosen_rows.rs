//! Aggregates that choose rows, and those that are sketches: the same however a table is cut and whoever computes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use chunkwise::prelude::*;

use crate::support::{AMPLE, EVERYWHERE, noise};

const ROWS: u64 = 6000;

/// Keys, values and what goes by them: many equal, some null, NaN and both zeros.
fn batch() -> RecordBatch {
    let by = |at: u64| match noise(at) % 23 {
        0 => None,
        1 => Some(f64::NAN),
        2 => Some(-0.0),
        3 => Some(0.0),
        other => Some((other as f64 - 12.0) * 0.5),
    };
    let k: ArrayRef = Arc::new(Int64Array::from_iter_values((0..ROWS).map(|at| (noise(at ^ 5) % 40) as i64)));
    // Of some groups there is nothing but NaN and null.
    let v: ArrayRef = Arc::new(Float64Array::from_iter((0..ROWS).map(|at| match noise(at ^ 5) % 40 {
        39 => by(at).map(|_| f64::NAN),
        38 => None,
        37 => by(at).map(|value| if value.is_nan() { f64::INFINITY } else { value }),
        _ => by(at),
    })));
    let t: ArrayRef =
        Arc::new(StringArray::from_iter((0..ROWS).map(|at| (at % 11 != 0).then(|| format!("text {at}")))));
    let s: ArrayRef =
        Arc::new(StringArray::from_iter((0..ROWS).map(|at| {
            (!noise(at ^ 9).is_multiple_of(7)).then(|| ["", "a", "b", "ab", "ä"][(noise(at) % 5) as usize])
        })));
    RecordBatch::try_from_iter([("k", k), ("v", v), ("t", t), ("s", s)]).unwrap()
}

fn cuts() -> Vec<DataFrame> {
    let batch = batch();
    let small = (0..ROWS as usize).step_by(77).map(|at| batch.slice(at, 77.min(ROWS as usize - at))).collect();
    vec![
        dataframe::from_batches(vec![batch.clone()], 1),
        dataframe::from_batches(vec![batch], 13),
        dataframe::from_batches(small, 40),
    ]
}

/// The text in the first row with the best value: NaN is worst.
fn naive(batch: &RecordBatch, most: bool) -> BTreeMap<i64, Option<String>> {
    let k = batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap();
    let v = batch.column(1).as_any().downcast_ref::<Float64Array>().unwrap();
    let t = batch.column(2).as_any().downcast_ref::<StringArray>().unwrap();
    let mut best: BTreeMap<i64, Option<(f64, usize)>> = BTreeMap::new();
    for row in 0..batch.num_rows() {
        let own = best.entry(k.value(row)).or_default();
        if v.is_null(row) {
            continue;
        }
        let value = v.value(row);
        let wins = own.is_none_or(|(known, _)| match (value.is_nan(), known.is_nan()) {
            (true, _) => false,
            (false, true) => true,
            (false, false) => {
                if most {
                    value > known
                } else {
                    value < known
                }
            }
        });
        if wins {
            *own = Some((value, row));
        }
    }
    let text =
        |found: Option<(f64, usize)>| found.and_then(|(_, row)| t.is_valid(row).then(|| t.value(row).to_string()));
    best.into_iter().map(|(key, found)| (key, text(found))).collect()
}

#[test]
fn the_row_in_which_something_is_greatest_or_least() {
    let (whole, mut known) = (batch(), None);
    for df in cuts() {
        let grouped = df.group_by(["k"]).agg([
            col("t").max_by(col("v")).alias("most"),
            col("t").min_by(col("v")).alias("least"),
            col("v").max_by(col("s")).alias("by text"),
            col("t").max_by(col("v")).filter_by(col("v").lt(2.0)).alias("below two"),
        ]);
        for on in EVERYWHERE {
            for limit in [AMPLE, 4 << 20] {
                let (runtime, _) = on.runtime(limit);
                let table = grouped.compute_on(&runtime).unwrap();
                for (name, most) in [("most", true), ("least", false)] {
                    let texts = table.texts(name).unwrap();
                    let expected: Vec<Option<String>> = naive(&whole, most).into_values().collect();
                    assert_eq!(
                        texts.iter().map(|text| text.map(str::to_string)).collect::<Vec<_>>(),
                        expected,
                        "{name}"
                    );
                }
                let text = table.to_string();
                assert_eq!(*known.get_or_insert_with(|| text.clone()), text, "{on:?}");
            }
        }
    }
    let error = cuts()[0].agg([col("k").max_by(col("t").str().split(" "))]).compute().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Plan, "{error}");
}

#[cfg(feature = "sketches")]
#[test]
fn sketches_are_near_and_the_same_everywhere() {
    use arrow::datatypes::{Float64Type, Int64Type};

    let value = |at: u64| (noise(at) % 400_000) as f64;
    let rows = 300_000;
    let n: ArrayRef = Arc::new(Float64Array::from_iter_values((0..rows).map(value)));
    let k: ArrayRef = Arc::new(Int64Array::from_iter_values((0..rows).map(|at| if at % 100 == 0 { 1 } else { 0 })));
    let batch = RecordBatch::try_from_iter([("n", n), ("k", k)]).unwrap();
    let mut sorted: Vec<f64> = (0..rows).map(value).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let mut distinct = sorted.clone();
    distinct.dedup();
    let parts = [0.0, 0.001, 0.25, 0.5, 0.9, 0.999, 1.0];
    let mut counts = None;
    for partitions in [1, 7] {
        let df = dataframe::from_batches(vec![batch.clone()], partitions);
        let mut outputs: Vec<Expr> =
            parts.iter().map(|part| col("n").approx_quantile(*part).alias(&format!("{part}"))).collect();
        outputs.push(col("n").approx_nunique().alias("count"));
        let whole = df.agg(outputs);
        let grouped =
            df.group_by(["k"]).agg([col("n").approx_nunique(), col("n").approx_quantile(0.5).alias("median")]);
        let mut bits = None;
        for on in EVERYWHERE {
            let (runtime, _) = on.runtime(AMPLE);
            let (table, groups) = (whole.compute_on(&runtime).unwrap(), grouped.compute_on(&runtime).unwrap());
            let count = table.column::<Int64Type>("count").unwrap().value(0);
            let off = count as f64 / distinct.len() as f64 - 1.0;
            assert!(off.abs() < 4.0 * 0.0081, "{count} of {}", distinct.len());
            // Registers do not know how a table is cut.
            let few = groups.column::<Int64Type>("n").unwrap().value(1);
            assert_eq!(*counts.get_or_insert((count, few)), (count, few));
            assert!((2900..=3000).contains(&few), "{few}");
            let mut found = Vec::new();
            for part in parts {
                let quantile = table.column::<Float64Type>(&format!("{part}")).unwrap().value(0);
                let rank = sorted.partition_point(|value| *value < quantile) as f64 / sorted.len() as f64;
                assert!((rank - part).abs() < 0.01 * (4.0 * part * (1.0 - part)).max(0.05), "{part}: {rank}");
                found.push(quantile.to_bits());
            }
            found.push(groups.column::<Float64Type>("median").unwrap().value(1).to_bits());
            assert_eq!(*bits.get_or_insert_with(|| found.clone()), found, "{on:?}");
        }
    }

    // What cannot be averaged.
    let odd = dataframe::from_columns([
        ("k", vec![0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0]),
        ("v", vec![1.0, f64::NAN, 2.0, f64::INFINITY, 1.0, f64::NEG_INFINITY, f64::INFINITY, f64::INFINITY, 0.0]),
    ]);
    let quantiles = odd.group_by(["k"]).agg([
        col("v").approx_quantile(0.0).alias("0"),
        col("v").approx_quantile(0.5).alias("50"),
        col("v").approx_quantile(1.0).alias("100"),
        col("v").approx_quantile(0.5).filter_by(col("v").gt(1e300)).alias("none"),
        col("v").approx_nunique(),
    ]);
    let shown = "  k     0   50  100  none  v\n---  ----  ---  ---  ----  -\n0.0   NaN  NaN  NaN  null  3\n\
                 1.0  -inf  1.0  inf   inf  3\n2.0   0.0  inf  inf   inf  2\n";
    assert_eq!(quantiles.compute().unwrap().to_string(), shown);
    let error = odd.agg([col("v").approx_quantile(1.5)]).compute().unwrap_err();
    assert!(error.to_string().starts_with("`approx_quantile` takes a part between 0 and 1"), "{error}");
}
