//! Verbs that join tables and cut them anew, in every way they can be run.

use arrow::array::AsArray as _;
use arrow::datatypes::{Int64Type, UInt64Type};
use chunkwise::dataframe::Keep;
use chunkwise::prelude::*;

use crate::support::{AMPLE, EVERYWHERE, noise};

/// A table in memory, and the same read from files of text, of several partitions.
fn tables(dir: &std::path::Path, rows: i64) -> Vec<DataFrame> {
    let (keys, values): (Vec<i64>, Vec<i64>) = (0..rows).map(|at| ((noise(at as u64) % 50) as i64, at)).unzip();
    let df = dataframe::from_columns([("k", keys), ("v", values)]);
    let memory = df.compute().unwrap().to_dataframe(7);
    memory.to_csv(dir.join("csv")).write().unwrap();
    let pattern = format!("{}/csv/*.csv", dir.display());
    let text = dataframe::read_csv(&pattern).open().unwrap();
    vec![df, memory, text]
}

fn column(table: &Table, name: &str) -> Vec<i64> {
    table.column::<Int64Type>(name).unwrap().values().to_vec()
}

#[test]
fn sampled_rows_are_the_same_however_a_table_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let tables = tables(dir.path(), 5000);
    for (sample, count) in [
        (Sample::frac(0.1).seed(3), 500),
        (Sample::rows(77).seed(3), 77),
        (Sample::rows(9000).replace().seed(3), 9000),
        (Sample::rows(0).seed(3), 0),
    ] {
        let mut known: Option<Vec<i64>> = None;
        for df in &tables {
            let df = df.filter(col("v").ge(0)).sample(sample);
            for on in EVERYWHERE {
                let (runtime, _) = on.runtime(AMPLE);
                let rows = column(&df.compute_on(&runtime).unwrap(), "v");
                assert_eq!(rows.len(), count);
                assert!(rows.is_sorted());
                assert_eq!(*known.get_or_insert_with(|| rows.clone()), rows);
            }
        }
    }
    for df in &tables {
        let parts = df.random_split([2.0, 1.0, 2.0], 9);
        let mut rows: Vec<i64> = Vec::new();
        for (part, count) in parts.iter().zip([2000, 1000, 2000]) {
            let own = column(&part.compute().unwrap(), "v");
            assert_eq!(own.len(), count);
            rows.extend(own);
        }
        rows.sort_unstable();
        assert!(rows.into_iter().eq(0..5000));
    }
}

#[test]
fn rows_are_numbered_through_all_partitions() {
    let dir = tempfile::tempdir().unwrap();
    for df in tables(dir.path(), 5000) {
        for flag in [true, false] {
            for on in EVERYWHERE {
                let (_, disk) = on.runtime(AMPLE);
                let builder = on.set(Runtime::builder().memory_limit(AMPLE)).spill_dir("/spill").disk(disk);
                let builder = ["pipeline", "limits", "predicates", "columns"]
                    .iter()
                    .fold(builder, |builder, pass| builder.set(&format!("optimize.{pass}"), flag));
                let runtime = builder.build().unwrap();
                let kept = df.filter((col("v") % 3).eq(1)).with_row_index("row");
                let table = kept.compute_on(&runtime).unwrap();
                let rows = table.array("row").unwrap();
                assert!(rows.as_primitive::<UInt64Type>().values().iter().copied().eq(0..1667));
                assert!(column(&table, "v").into_iter().eq((0..1667).map(|row| 3 * row + 1)));
                let some = kept.filter(col("row").ge(1660)).head(3).compute_on(&runtime).unwrap();
                assert_eq!(column(&some, "v"), [4981, 4984, 4987]);
                let first = kept.select(["row"]).head(2).compute_on(&runtime).unwrap();
                assert_eq!(first.to_string(), "row\n---\n  0\n  1\n");
                assert_eq!(kept.select(["k"]).count_rows().compute_on(&runtime).unwrap(), 1667);
            }
        }
    }
}

#[test]
fn partitions_are_cut_and_put_together_at_rows() {
    let dir = tempfile::tempdir().unwrap();
    for df in tables(dir.path(), 1000) {
        let old = df.npartitions().unwrap();
        for count in [1, 2, 3, 7, 10, 14, 21, 64, 1500] {
            let cut = df.repartition(count);
            assert_eq!(cut.npartitions().unwrap(), count);
            for on in EVERYWHERE {
                let (runtime, _) = on.runtime(AMPLE);
                let (rows, parts) = runtime
                    .run(|| compute((&cut, cut.partitions())))
                    .unwrap_or_else(|error| panic!("{old} to {count}: {error}"));
                let sizes: Vec<usize> = parts.iter().map(Table::num_rows).collect();
                assert!(column(&rows, "v").into_iter().eq(0..1000), "{old} to {count}");
                assert_eq!(sizes.len(), count);
                let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
                // Fractions of partitions whose rows differ by one, rounded.
                assert!(
                    most - least <= 1 + 1000usize.div_ceil(count).div_ceil(5).max(2),
                    "{old} to {count}: {sizes:?}"
                );
            }
        }
        let by_bytes = df.repartition_bytes(4000).unwrap();
        assert_eq!(by_bytes.npartitions().unwrap(), 4, "16 bytes each for 1000 rows");
        assert!(column(&by_bytes.compute().unwrap(), "v").into_iter().eq(0..1000));
        let files = dir.path().join("parts");
        let written = df.repartition(5).to_csv(&files).if_exists(dataframe::IfExists::Replace).write().unwrap();
        assert_eq!(written.files.len(), 5);
    }
    let empty = dataframe::from_columns([("x", Vec::<i64>::new())]);
    assert_eq!(empty.repartition(4).compute().unwrap().num_rows(), 0);
    assert_eq!(empty.repartition_bytes("1MB").unwrap().npartitions().unwrap(), 1);
}

#[test]
fn wrong_calls_are_told() {
    let df = dataframe::from_columns([("a", vec![1i64, 2]), ("b", vec![3, 4])]);
    let text = dataframe::from_columns([("a", vec!["x"])]);
    let says = |df: DataFrame, part: &str| {
        let error = df.compute().unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("table_verbs.rs"), "{error}");
    };
    says(df.merge(&df, On::keys(["c"]), How::Inner), "in the left table: column `c` not found");
    says(df.merge(&df.select(["b"]), On::keys(["a"]), How::Inner), "in the right table: column `a` not found");
    says(df.merge(&text, On::keys(["a"]), How::Inner), "`a` is a Int64 in the left table and `a` a Utf8 in the right");
    says(df.merge(&df, On::keys::<String>([]), How::Inner), "cross_join");
    says(df.merge(&df, On::keys(["a"]).suffixes("", ""), How::Left), "two columns would be called `b`");
    says(df.merge(&df.filter(col("z").gt(1)), On::keys(["a"]), How::Left), "column `z` not found");
    says(df.repartition(0), "cannot have 0 partitions");
    says(df.sample(Sample::frac(1.5)), "1.5 is no part of a table: more than all rows can be drawn with replace()");
    says(df.sample(Sample::frac(f64::NAN)), "NaN is no part of a table");
    says(df.sample(Sample::rows(3)), "3 rows are to be picked of a table of 2");
    says(df.with_row_index("a"), "there is a column `a` already");
    says(df.random_split([1.0, -1.0], 0)[0].clone(), "are no weights");
    let error = df.repartition_bytes("many").unwrap_err();
    assert!(error.to_string().contains("repartition_bytes at"), "{error}");
}

#[test]
fn a_table_that_is_held_fits_or_is_refused() {
    let rows = 200_000i64;
    let big = dataframe::from_columns([("k", (0..rows).collect::<Vec<_>>()), ("v", (0..rows).collect())]);
    let big = big.compute().unwrap().to_dataframe(9);
    let small = dataframe::from_columns([("k", vec![5i64, 7])]);
    for on in EVERYWHERE {
        // The large table may stream past the small one, and not the other way round.
        let (runtime, _) = on.runtime(4 << 20);
        let found = big.merge(&small, On::keys(["k"]), How::Inner).compute_on(&runtime).unwrap();
        assert_eq!(column(&found, "v"), [5, 7]);
        let error = small.merge(&big, On::keys(["k"]), How::Inner).compute_on(&runtime).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfMemory);
        let text = error.to_string();
        assert!(
            text.contains("`merge`") && text.contains("raise memory_limit") && text.contains("in merge at"),
            "{text}"
        );
        crate::support::assert_nothing_held(&runtime, "after a refusal");
        let (roomy, _) = on.runtime(64 << 20);
        assert_eq!(small.merge(&big, On::keys(["k"]), How::Inner).compute_on(&roomy).unwrap().num_rows(), 2);
        crate::support::assert_nothing_held(&roomy, "after a merge");
    }
}

#[test]
fn many_merges_on_top_of_each_other() {
    let lookup = dataframe::from_columns([("k", vec![1i64, 2, 3]), ("w", vec![10, 20, 30])]);
    let mut df = dataframe::from_columns([("k", vec![3i64, 1])]);
    let mut right = lookup.clone();
    for at in 0..300 {
        df = df.merge(&lookup.rename([("w", format!("w{at}"))]), On::keys(["k"]), How::Left);
        right = lookup.merge(&right.select(["k"]), On::keys(["k"]), How::Semi);
    }
    let table = df.compute().unwrap();
    assert_eq!((table.num_rows(), table.schema().fields().len()), (2, 301));
    assert_eq!(column(&table, "w299"), [30, 10]);
    assert_eq!(column(&right.compute().unwrap(), "w"), [10, 20, 30]);
}

#[test]
fn groups_in_any_order_are_the_same_groups() {
    let dir = tempfile::tempdir().unwrap();
    for df in tables(dir.path(), 5000) {
        let keys = || [col("k"), (col("v") % 3).alias("m")];
        let sorted = df.group_by(keys()).agg([col("v").sum()]);
        let any = df.group_by(keys()).unordered().agg([col("v").sum()]);
        let mut known: Option<Vec<(i64, i64, i64)>> = None;
        for on in EVERYWHERE {
            let (runtime, _) = on.runtime(AMPLE);
            let (sorted, any) = runtime.run(|| compute((&sorted, &any))).unwrap();
            let sorted: Vec<(i64, i64, i64)> = sorted.to_records().unwrap();
            let mut any: Vec<(i64, i64, i64)> = any.to_records().unwrap();
            // Of the data alone, not of threads.
            assert_eq!(*known.get_or_insert_with(|| any.clone()), any);
            assert_ne!(sorted, any);
            any.sort_unstable();
            assert_eq!(sorted, any);
        }
        let says = |df: DataFrame, part: &str| {
            let error = df.compute().unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("which `.unordered()` waived"), "{error}");
        };
        says(any.tail(2), "`tail 2`");
        says(any.filter(col("k").gt(3)).with_row_index("row"), "`row numbers as row`");
        says(any.ffill(["v"], None), "`fill v forward`");
        says(any.group_by(["m"]).agg([col("v").first()]), "`first(v)`");
        assert_eq!(any.head(2).compute().unwrap().num_rows(), 2);
        assert_eq!(any.nlargest(2, ["v"]).tail(1).compute().unwrap().num_rows(), 1);
        assert_eq!(any.group_by(["m"]).agg([col("v").max()]).tail(1).compute().unwrap().num_rows(), 1);
        assert!(any.persist().unwrap().tail(1).compute().is_err());
    }
}

#[test]
fn files_are_numbered_where_a_star_stands() {
    let dir = tempfile::tempdir().unwrap();
    let df =
        dataframe::from_columns([("n", (0..100i64).collect::<Vec<_>>()), ("__place", vec![0; 100])]).repartition(3);
    let names = |path: &std::path::Path| {
        let mut names: Vec<String> =
            std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let out = dir.path().join("out");
    df.to_csv(out.join("day-*.txt")).write().unwrap();
    assert_eq!(names(&out), ["day-0.txt", "day-1.txt", "day-2.txt"]);
    df.to_csv(out.join("day-*.txt")).append().write().unwrap();
    assert_eq!(names(&out).len(), 6);
    assert!(names(&out).contains(&"day-5.txt".to_string()));
    let back = dataframe::read_csv(out.join("*.txt").to_str().unwrap()).open().unwrap();
    assert_eq!(back.count_rows().compute().unwrap(), 200);
    assert_eq!(back.drop_duplicates(["n", "__place"], Keep::First).count_rows().compute().unwrap(), 100);
    df.to_csv(out.join("day-*.txt")).write().unwrap();
    assert_eq!(names(&out).len(), 3);
    let by = df.with_column((col("n") % 2).alias("k")).to_json(out.join("x*")).partition_by(["k"]);
    let error = by.write().unwrap_err().to_string();
    assert!(error.contains("day-"), "{error}");
    let says = |writer: dataframe::Writer, part: &str| {
        let error = writer.write().unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("table_verbs.rs"), "{error}");
    };
    says(df.to_csv(out.join("a*b*.csv")), "has two `*`");
    says(df.to_csv("day-*.csv"), "need a directory of their own");
    says(df.to_csv(out.join("day-*.csv")).single_file(), "a single file has no number");
}

#[test]
fn modes_and_rows_of_nulls() {
    let df = dataframe::from_columns([
        ("a", vec![Some(3i64), None, Some(1), Some(3), Some(1), None, None]),
        ("b", vec![None, None, Some(2), None, None, None, Some(1)]),
    ]);
    for df in [df.clone(), df.compute().unwrap().to_dataframe(4)] {
        assert_eq!(df.mode("a").compute().unwrap().to_string(), "a\n-\n1\n3\n");
        assert_eq!(df.drop_all_null(["a", "b"]).count_rows().compute().unwrap(), 5);
        assert_eq!(df.drop_all_null::<&str>([]).count_rows().compute().unwrap(), 5);
        assert_eq!(df.drop_all_null(["b"]).count_rows().compute().unwrap(), 2);
        let error = df.ffill(["c"], None).compute().unwrap_err().to_string();
        assert!(error.contains("column `c` not found") && error.contains("in ffill at"), "{error}");
        assert_eq!(df.ffill(["b"], None).select(["a"]).drop_nulls(["a"]).count_rows().compute().unwrap(), 4);
    }
}

/// What a fresh user and a fresh reader of the code found.
#[test]
fn found_by_reviewers() {
    let message = |df: &DataFrame| df.compute().unwrap_err().to_string();
    // A column called as aggregates are inside.
    let df = dataframe::from_columns([("x", vec![1i64, 2, 3]), ("__aggregate_0", vec![10, 20, 30])]);
    let mixed = df.with_columns([(col("__aggregate_0") - col("x").mean()).alias("r")]);
    assert!(message(&mixed).contains("a column `__aggregate_0` cannot stand beside aggregates"), "{}", message(&mixed));
    assert!(message(&df.group_by(["__aggregate_0"]).agg([col("x").sum()])).contains("rename it"));
    assert_eq!(
        df.with_column(col("x") + 1).sum().compute().unwrap().to_string(),
        "x  __aggregate_0\n-  -------------\n9             60\n"
    );
    // Groups of equal floats are filtered as groups.
    let df = dataframe::from_columns([("k", vec![0.0, -0.0, 1.0]), ("v", vec![1.0, 2.0, 3.0])]);
    let kept = df.group_by(["k"]).agg([col("v").sum()]).filter((lit(1.0) / col("k")).gt(0.0));
    assert_eq!(kept.compute().unwrap().to_string(), "  k    v\n---  ---\n0.0  3.0\n1.0  3.0\n");
    // Tables of which one has no nulls.
    let batch = |values: Vec<Option<i64>>, nullable| {
        let field = arrow::datatypes::Field::new("x", DataType::Int64, nullable);
        let schema = std::sync::Arc::new(arrow::datatypes::Schema::new(vec![field]));
        let array: arrow::array::ArrayRef = std::sync::Arc::new(arrow::array::Int64Array::from(values));
        arrow::array::RecordBatch::try_new(schema, vec![array]).unwrap()
    };
    let full = dataframe::from_batches(vec![batch(vec![Some(1)], false)], 1);
    let part = dataframe::from_batches(vec![batch(vec![None], true)], 1);
    assert_eq!(dataframe::concat([&full, &part]).count_rows().compute().unwrap(), 2);
    assert_eq!(dataframe::concat([&full, &part]).compute().unwrap().num_rows(), 2);
    let nulls = full.map_batches(full.schema().unwrap(), move |_| Ok(batch(vec![None], true)));
    assert_eq!(nulls.compute().unwrap().to_string(), "x\n----\nnull\n".replace("x\n", "   x\n"));
    // More draws than memory holds, as many as they are.
    let (runtime, _) = crate::support::On::Threads(2).runtime(16 << 20);
    let df = dataframe::from_columns([("x", (0..1000i64).collect::<Vec<_>>())]);
    let drawn = df.sample(Sample::rows(20_000_000).replace().seed(1));
    assert_eq!(drawn.count_rows().compute_on(&runtime).unwrap(), 20_000_000);
    let error = drawn.filter(col("x").ge(0)).head(15_000_000).compute_on(&runtime).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::OutOfMemory | ErrorKind::ResultTooLarge | ErrorKind::LimitTooSmall),
        "{error}"
    );
    let pairs = df.cross_join(&dataframe::from_columns([("y", (0..5000i64).collect::<Vec<_>>())]));
    assert_eq!(pairs.count_rows().compute_on(&runtime).unwrap(), 5_000_000);
    let error = runtime.run(|| pairs.batches()?.collect::<Result<Vec<_>>>().map(drop)).unwrap_err();
    assert!(error.kind() == ErrorKind::OutOfMemory && error.message().contains("smaller with repartition"), "{error}");
    // Two writers of one target.
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("same");
    let error = compute((df.to_parquet(&out), drawn.to_csv(&out))).unwrap_err().to_string();
    assert!(error.contains("two writers have the target") && !out.exists(), "{error}");
    // Times outside of the calendar.
    let far = dataframe::from_columns([("i", vec![i64::MAX])]);
    let far = far.cast([("i", DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None))]);
    for writer in [far.to_json(&out), far.to_csv(&out)] {
        let error = writer.write().unwrap_err();
        assert!(error.kind() == ErrorKind::Data && error.message().contains("column `i` cannot be written"), "{error}");
        assert!(!out.exists());
    }
    // Long plans.
    let mut df = dataframe::from_columns([("x", vec![1.0])]);
    for _ in 0..2000 {
        df = df.with_column((col("x") * 0.5 + 1.0).alias("x")).filter(lit(true));
    }
    assert_eq!(df.count_rows().compute().unwrap(), 1);
    assert!(df.compute().unwrap().to_string().contains("2.0"));
    let list = dataframe::from_columns([("s", vec!["a,b,c", ""])]).select([col("s")
        .str()
        .split(",")
        .list()
        .slice(i64::MIN, 1)]);
    assert_eq!(list.count_rows().compute().unwrap(), 2);
    assert_eq!(list.compute().unwrap().num_rows(), 2);
}

/// A user's function may give something else the second time: it is called once for each row.
#[test]
fn users_functions_are_not_run_twice_for_places() {
    use std::sync::atomic::{AtomicU64, Ordering};
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let df = dataframe::from_columns([("x", (0..200_000i64).collect::<Vec<_>>())]);
    let coin = col("x").map("coin", |x: i64| {
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        (noise(call) ^ x as u64).is_multiple_of(2)
    });
    let kept = df.compute().unwrap().to_dataframe(8).filter(coin).with_row_index("row").compute().unwrap();
    let rows = kept.array("row").unwrap();
    assert!(rows.as_primitive::<UInt64Type>().values().iter().copied().eq(0..kept.num_rows() as u64));
    assert_eq!(CALLS.load(Ordering::Relaxed), 200_000);
}

#[test]
fn columns_may_be_called_as_what_verbs_add() {
    let df = dataframe::from_columns([("count", vec![3.0, 3.0, 4.0]), ("statistic", vec![1.0, 2.0, 3.0])]);
    assert_eq!(
        df.value_counts("count").compute().unwrap().to_string(),
        "count  count_\n-----  ------\n  3.0       2\n  4.0       1\n"
    );
    let described = df.describe().compute().unwrap();
    assert_eq!(described.schema().field(0).name(), "statistic_");
    assert_eq!(described.num_columns(), 3);
}

#[test]
fn a_table_that_arrow_cannot_show_is_shown_all_the_same() {
    let times = arrow::array::TimestampMillisecondArray::from(vec![Some(0), None]).with_timezone("Mars/Olympus");
    let times: arrow::array::ArrayRef = std::sync::Arc::new(times);
    let shown = Table::from_batch(arrow::array::RecordBatch::try_from_iter([("t", times)]).unwrap()).to_string();
    assert!(shown.starts_with("t\n"), "{shown}");
    assert_eq!(shown.lines().count(), 4, "{shown}");
    let zoned = arrow::array::TimestampMillisecondArray::from(vec![0]).with_timezone("UTC");
    let zoned: arrow::array::ArrayRef = std::sync::Arc::new(zoned);
    let shown = Table::from_batch(arrow::array::RecordBatch::try_from_iter([("t", zoned)]).unwrap()).to_string();
    assert!(shown.contains("1970-01-01T00:00:00Z"), "{shown}");
}

#[test]
fn the_first_rows_of_what_is_much_larger_than_the_rows() {
    let df = dataframe::from_columns([("n", (0..20_000i64).map(|n| n * 7919 % 20_000).collect::<Vec<_>>())]).compute();
    let df = df.unwrap().to_dataframe(3);
    let by = col("n").cast(DataType::Utf8).str().zfill(6).str().repeat(2_000);
    let (runtime, _) = crate::support::On::Threads(2).runtime(16 << 20);
    let top = df.nlargest(3, [by]).compute_on(&runtime).unwrap();
    assert_eq!(column(&top, "n"), [19_999, 19_998, 19_997]);
}
