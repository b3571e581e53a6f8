//! Functions of partitions that see their neighbours, and lists and structs that become rows and columns.

use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, DictionaryArray, FixedSizeListArray, Int64Array, ListArray, ListBuilder, RecordBatch,
    StringArray, StringBuilder, StructArray, new_empty_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{Field, Int32Type, Int64Type, Schema, SchemaRef};
use chunkwise::prelude::*;

use crate::support::{AMPLE, EVERYWHERE, assert_nothing_held, noise};

/// Runs a check on all kinds of threads, with an ample and a small limit, optimized and not.
fn everywhere(small: u64, check: impl Fn(&Runtime, &str)) {
    for on in EVERYWHERE {
        for limit in [AMPLE, small] {
            for flag in [true, false] {
                let (_, disk) = on.runtime(limit);
                let builder = on.set(Runtime::builder().memory_limit(limit)).spill_dir("/spill").disk(disk);
                let passes = ["pipeline", "limits", "predicates", "columns", "merge", "simplify"];
                let builder =
                    passes.iter().fold(builder, |builder, pass| builder.set(&format!("optimize.{pass}"), flag));
                let runtime = builder.build().unwrap();
                let case = format!("{on:?}, limit {limit}, optimized {flag}");
                check(&runtime, &case);
                assert_nothing_held(&runtime, &case);
            }
        }
    }
}

fn column(table: &Table, name: &str) -> Vec<i64> {
    table.column::<Int64Type>(name).unwrap().values().to_vec()
}

fn numbers(names: &[&str]) -> SchemaRef {
    Arc::new(Schema::new(names.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect::<Vec<_>>()))
}

/// A sum over each row, those before and those behind it, in which places count.
fn windows(values: &[i64], before: usize, after: usize) -> Vec<i64> {
    let of = |row: usize| {
        let (first, end) = (row.saturating_sub(before), row.saturating_add(after).saturating_add(1).min(values.len()));
        (first..end).map(|at| values[at].wrapping_mul(at as i64 - row as i64 + 1000)).fold(0, i64::wrapping_add)
    };
    (0..values.len()).map(of).collect()
}

/// The value, what [`windows`] makes of it, and how many rows the function was given.
fn windowed(df: &DataFrame, before: usize, after: usize) -> DataFrame {
    let schema = numbers(&["v", "w", "given"]);
    let own = schema.clone();
    df.map_overlap(before, after, schema, move |t: Table| {
        let v = column(&t, "v");
        let (w, given) = (windows(&v, before, after), vec![v.len() as i64; v.len()]);
        let arrays = [v, w, given].map(|values| Arc::new(Int64Array::from(values)) as ArrayRef);
        Ok(Table::from_batch(RecordBatch::try_new(own.clone(), arrays.to_vec()).unwrap()))
    })
}

#[test]
fn rows_of_neighbours_stand_around_partitions() {
    let dir = tempfile::tempdir().unwrap();
    for seed in 0..4u64 {
        let count = if seed == 3 { 1 } else { 9 };
        let sizes: Vec<usize> =
            (0..count).map(|at| [0, 0, 1, 2, 3, 7, 40][noise(seed * 100 + at) as usize % 7]).collect();
        let values: Vec<i64> = (0..sizes.iter().sum()).map(|at: usize| noise(at as u64) as i64 % 1000).collect();
        // In memory, read again; in files of text, which wait.
        let mut rest = &values[..];
        let mut parts = Vec::new();
        for (at, size) in sizes.iter().enumerate() {
            let (own, left) = rest.split_at(*size);
            rest = left;
            parts.push(dataframe::from_columns([("v", own.to_vec())]));
            let lines: String = own.iter().map(|value| format!("{value}\n")).collect();
            std::fs::create_dir_all(dir.path().join(seed.to_string())).unwrap();
            std::fs::write(dir.path().join(format!("{seed}/{at}.csv")), format!("v\n{lines}")).unwrap();
        }
        let memory = dataframe::concat(&parts);
        assert_eq!(memory.npartitions().unwrap(), sizes.len());
        let text = dataframe::read_csv(dir.path().join(format!("{seed}/*.csv")).to_str().unwrap());
        let text = text.dtype("v", DataType::Int64).open().unwrap();
        let overlaps = [(0, 0), (1, 0), (0, 1), (3, 5), (50, 2), (usize::MAX, 10), (0, usize::MAX)];
        for (number, (before, after)) in overlaps.into_iter().enumerate() {
            // All of them would take minutes.
            let df = if (number + seed as usize).is_multiple_of(2) { &memory } else { &text };
            let mut first = 0;
            let given: Vec<i64> = sizes
                .iter()
                .flat_map(|size| {
                    let around = before.min(first) + after.min(values.len() - first - size);
                    first += size;
                    std::iter::repeat_n((size + around) as i64, *size)
                })
                .collect();
            let made = windowed(df, before, after);
            let wanted = if (before, after) == (0, 0) {
                values.iter().map(|v| v * 1000).collect()
            } else {
                windows(&values, before, after)
            };
            everywhere(2 << 20, |runtime, case| {
                let (table, kept) =
                    runtime.run(|| compute((&made, made.filter(col("v").gt(500)).select(["w"])))).unwrap();
                let case = format!("{sizes:?}, {before} and {after}, {case}");
                assert_eq!(column(&table, "v"), values, "{case}");
                assert_eq!(column(&table, "w"), wanted, "{case}");
                if std::ptr::eq(df, &memory) {
                    assert_eq!(column(&table, "given"), given, "{case}");
                }
                let picked: Vec<i64> = values.iter().zip(&wanted).filter(|(v, _)| **v > 500).map(|(_, w)| *w).collect();
                assert_eq!(column(&kept, "w"), picked, "{case}");
            });
        }
    }
}

#[test]
fn more_rows_than_memory_holds_have_neighbours() {
    let dir = tempfile::tempdir().unwrap();
    let values: Vec<i64> = (0..400_000).map(|at| noise(at) as i64 % 1000).collect();
    let df = dataframe::from_columns([("v", values.clone())]).repartition(32);
    df.to_csv(dir.path().join("csv")).write().unwrap();
    let text = dataframe::read_csv(format!("{}/csv/*.csv", dir.path().display())).open().unwrap();
    let kept = text.persist().unwrap();
    let wanted = windows(&values, 20, 5).into_iter().fold(0, i64::wrapping_add);
    for df in [&df, &text, &kept] {
        let sum = windowed(df, 20, 5).agg([col("w").sum(), col("w").count().alias("rows")]);
        for on in EVERYWHERE {
            let (runtime, _) = on.runtime(2 << 20);
            let table = sum.compute_on(&runtime).unwrap();
            assert_eq!((column(&table, "w"), column(&table, "rows")), (vec![wanted], vec![400_000]), "{on:?}");
            assert!(!std::ptr::eq(df, &text) || runtime.last_report().spilled_bytes > 0, "{on:?}");
            assert_nothing_held(&runtime, "after windows");
        }
    }
    // What stands before is handed on; nothing waits for it.
    let wanted = windows(&values, 20, 0).into_iter().fold(0, i64::wrapping_add);
    let (runtime, _) = EVERYWHERE[0].runtime(2 << 20);
    let table = windowed(&text, 20, 0).agg([col("w").sum()]).compute_on(&runtime).unwrap();
    assert_eq!((column(&table, "w"), runtime.last_report().spilled_bytes), (vec![wanted], 0));
}

#[test]
fn functions_of_neighbours_that_are_wrong() {
    let df = dataframe::from_columns([("v", (0..10i64).collect::<Vec<_>>())]).repartition(2);
    let schema = df.schema().unwrap();
    let says = |df: DataFrame, kind: ErrorKind, parts: &[&str]| {
        let error = df.compute().unwrap_err();
        let text = error.to_string();
        assert!(error.kind() == kind && parts.iter().all(|part| text.contains(part)), "{text}");
        assert!(text.contains("table_shapes.rs"), "{text}");
    };
    let cut = df.map_overlap(2, 1, schema.clone(), |t| Ok(Table::from_batch(t.batches()[0].slice(1, 2))));
    says(cut, ErrorKind::Task, &["the function gave 2 rows of ", "in map_overlap at "]);
    let other = df.map_overlap(2, 1, numbers(&["w"]), Ok);
    says(other, ErrorKind::Task, &["the function gave (v: Int64), and (w: Int64) was declared", "in map_overlap at "]);
    let fails = df.map_overlap(0, 1, schema.clone(), |_| Err(Error::new(ErrorKind::Task, "out of luck")));
    says(fails, ErrorKind::Task, &["out of luck", "in map_overlap at "]);
    let any = df.group_by(["v"]).unordered().agg([col("v").sum().alias("v_sum")]).select(["v"]);
    says(any.map_overlap(1, 0, schema.clone(), Ok), ErrorKind::Plan, &["which `.unordered()` waived"]);
    assert_eq!(any.map_overlap(0, 0, schema.clone(), Ok).compute().unwrap().num_rows(), 10);
    // The same rows again; nothing is handed on without need.
    assert_eq!(
        df.map_overlap(3, 3, schema.clone(), Ok).compute().unwrap(),
        df.map_partitions(schema.clone(), Ok).compute().unwrap()
    );
    let notes = |before, after| {
        let text = df.filter(col("v").gt(2)).map_overlap(before, after, schema.clone(), Ok).explain().unwrap();
        let (_, notes) = text.split_once("tables, as they run:\n").unwrap();
        notes.lines().next().unwrap().to_string()
    };
    assert_eq!(
        notes(0, 0),
        "map partitions with 0 rows before them and 0 behind  [holds a partition, at most about 40 B, twice]"
    );
    assert!(notes(1, 0).ends_with("twice; the last rows of each are handed on]"), "{}", notes(1, 0));
    assert!(
        notes(0, 1).ends_with("twice; rows behind each are found first, and all wait in pieces that spill]"),
        "{}",
        notes(0, 1)
    );
    let memory = dataframe::from_columns([("v", vec![1i64])]).map_overlap(0, 1, schema, Ok).explain().unwrap();
    assert!(memory.contains("rows behind each are found first, and read twice]"), "{memory}");
}

type Row = (i64, Option<String>, Option<Vec<Option<i64>>>, Option<Vec<Option<String>>>);

/// A row of items of both lists.
type Both = (i64, Option<String>, Option<i64>, Option<String>);

/// Rows whose two lists are equally long; an empty one, a null and one of one item are so too.
fn rows(count: u64) -> Vec<Row> {
    let row = |at: u64| {
        let (len, of) = ((noise(at) % 5) as usize, |item: usize, salt| noise(at * 1000 + item as u64 + salt));
        let len = if at % 997 == 5 { 3000 } else { len };
        let numbers = |len| (0..len).map(|item| (!of(item, 1).is_multiple_of(4)).then(|| (of(item, 2) % 100) as i64));
        let texts =
            |len| (0..len).map(|item| (!of(item, 3).is_multiple_of(4)).then(|| format!("{}é", of(item, 4) % 50)));
        let lens = |salt| match noise(at + salt) % 3 {
            0 if len <= 1 => None,
            1 if len <= 1 => Some(0),
            _ if len <= 1 => Some(1),
            _ => Some(len),
        };
        let name = (!noise(at + 7).is_multiple_of(5)).then(|| format!("name {}", noise(at + 8) % 6));
        (
            at as i64,
            name,
            lens(1 << 20).map(|len| numbers(len).collect()),
            lens(2 << 20).map(|len| texts(len).collect()),
        )
    };
    (0..count).map(row).collect()
}

/// Columns id, name (a dictionary), a and b.
fn batch_of(rows: &[Row]) -> RecordBatch {
    let ids = Int64Array::from_iter_values(rows.iter().map(|row| row.0));
    let names: DictionaryArray<Int32Type> = rows.iter().map(|row| row.1.as_deref()).collect();
    let numbers = ListArray::from_iter_primitive::<Int64Type, _, _>(rows.iter().map(|row| row.2.clone()));
    let mut texts = ListBuilder::new(StringBuilder::new());
    rows.iter().for_each(|row| texts.append_option(row.3.clone()));
    let texts =
        cast(&texts.finish(), &DataType::LargeList(Arc::new(Field::new("item", DataType::Utf8, true)))).unwrap();
    let columns: [(&str, ArrayRef, bool); 4] = [
        ("id", Arc::new(ids), true),
        ("name", Arc::new(names), true),
        ("a", Arc::new(numbers), true),
        ("b", texts, true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// What a list becomes in so many rows.
fn items<T: Clone>(list: &Option<Vec<Option<T>>>, rows: usize) -> Vec<Option<T>> {
    let mut items = list.clone().unwrap_or_default();
    items.resize(rows, None);
    items
}

#[test]
fn lists_become_rows() {
    let dir = tempfile::tempdir().unwrap();
    let rows = rows(3000);
    let whole = batch_of(&rows);
    let parts = rows.chunks(331).map(batch_of).collect();
    let memory = dataframe::from_batches(parts, 5);
    memory.to_ipc(dir.path().join("ipc")).write().unwrap();
    let files = dataframe::read_ipc(format!("{}/ipc/*.arrow", dir.path().display())).open().unwrap();
    let mut single: Vec<(i64, Option<String>, Option<i64>)> = Vec::new();
    let mut both: Vec<Both> = Vec::new();
    for (id, name, a, b) in &rows {
        let len = a.as_ref().map_or(1, |a| a.len().max(1));
        assert_eq!(len, b.as_ref().map_or(1, |b| b.len().max(1)));
        single.extend(items(a, len).into_iter().map(|a| (*id, name.clone(), a)));
        both.extend(items(a, len).into_iter().zip(items(b, len)).map(|(a, b)| (*id, name.clone(), a, b)));
    }
    let mut sums: std::collections::BTreeMap<String, i64> = Default::default();
    for (_, name, a) in &single {
        if let Some(name) = name {
            *sums.entry(name.clone()).or_default() += a.unwrap_or(0);
        }
    }
    for df in [dataframe::from_batches(vec![whole.slice(0, 3000)], 1), memory, files] {
        let a = df.drop(["b"]).explode(["a"]);
        let ab = df.explode(["a", "b", "a"]);
        assert_eq!(ab.schema().unwrap().field(2).data_type(), &DataType::Int64);
        assert_eq!(ab.schema().unwrap().field(3).data_type(), &DataType::Utf8);
        everywhere(8 << 20, |runtime, case| {
            type Found = (Table, Table, Table, Table);
            let (of_a, of_ab, kept, texts): Found = runtime
                .run(|| {
                    let kept = ab.filter(col("id").ge(2000) & col("a").gt(50)).select(["b", "id"]);
                    let texts = ab.filter(col("b").eq("7é")).select(["name"]);
                    compute((&a, &ab, kept, texts))
                })
                .unwrap();
            assert!(of_a.to_records::<(i64, Option<String>, Option<i64>)>().unwrap() == single, "{case}");
            let found = of_ab.to_records::<Both>().unwrap();
            assert!(found == both, "{case}");
            let wanted = both.iter().filter(|row| row.0 >= 2000 && row.2.is_some_and(|a| a > 50));
            let wanted: Vec<_> = wanted.map(|row| (row.3.clone(), row.0)).collect();
            assert!(kept.to_records::<(Option<String>, i64)>().unwrap() == wanted, "{case}");
            let wanted = both.iter().filter(|row| row.3.as_deref() == Some("7é"));
            let wanted: Vec<_> = wanted.map(|row| (row.1.clone(),)).collect();
            assert!(texts.to_records::<(Option<String>,)>().unwrap() == wanted, "{case}");

            let (count, ids, head, tail, groups) = runtime
                .run(|| {
                    let groups = a.group_by(["name"]).agg([col("a").sum()]);
                    compute((a.count_rows(), ab.select(["id"]), a.head(700), a.tail(9), groups))
                })
                .unwrap();
            assert_eq!(count as usize, single.len(), "{case}");
            assert!(column(&ids, "id").into_iter().eq(single.iter().map(|row| row.0)), "{case}");
            let ends = (&single[..700], &single[single.len() - 9..]);
            assert!(head.to_records::<(i64, Option<String>, Option<i64>)>().unwrap() == ends.0, "{case}");
            assert!(tail.to_records::<(i64, Option<String>, Option<i64>)>().unwrap() == ends.1, "{case}");
            assert!(groups.to_records::<(String, i64)>().unwrap().into_iter().eq(sums.clone()), "{case}");
        });
    }
}

#[test]
fn lists_of_lists_and_other_lists_become_rows() {
    let item = || Arc::new(Field::new("item", DataType::Int64, true));
    let numbers = Int64Array::from(vec![Some(1), Some(2), None, Some(4), Some(5), Some(6)]);
    // [[1, 2], []], null, [null, [null, 4]], []; of the null there are items below.
    let inner = ListArray::new(
        item(),
        OffsetBuffer::new(vec![0, 2, 2, 3, 3, 4, 6].into()),
        Arc::new(numbers.clone()),
        Some(vec![true, true, true, false, true, true].into()),
    );
    let lists = ListArray::new(
        Arc::new(Field::new("item", inner.data_type().clone(), true)),
        OffsetBuffer::new(vec![0, 2, 3, 5, 5].into()),
        Arc::new(inner),
        Some(vec![true, false, true, true].into()),
    );
    let ids = || Int64Array::from(vec![10, 20, 30, 40]);
    let df = dataframe::from_columns([("id", Arc::new(ids()) as ArrayRef), ("l", Arc::new(lists) as ArrayRef)]);
    let once = df.explode(["l"]);
    let twice: Vec<(i64, Option<i64>)> = once.explode(["l"]).compute().unwrap().to_records().unwrap();
    assert_eq!(once.count_rows().compute().unwrap(), 6);
    assert_eq!(twice, [(10, Some(1)), (10, Some(2)), (10, None), (20, None), (30, None), (30, Some(4)), (40, None)]);
    // Every layout of lists, whole and as a slice.
    let fixed = FixedSizeListArray::new(item(), 2, Arc::new(numbers), Some(vec![true, false, true].into()));
    let layouts = [
        DataType::FixedSizeList(item(), 2),
        DataType::List(item()),
        DataType::LargeList(item()),
        DataType::ListView(item()),
        DataType::LargeListView(item()),
    ];
    for layout in layouts {
        let lists = cast(&fixed, &layout).unwrap();
        let df = dataframe::from_columns([("id", Arc::new(ids().slice(0, 3)) as ArrayRef), ("l", lists.clone())]);
        let found: Vec<(i64, Option<i64>)> = df.explode(["l"]).compute().unwrap().to_records().unwrap();
        assert_eq!(found, [(10, Some(1)), (10, Some(2)), (20, None), (30, Some(5)), (30, Some(6))], "{layout}");
        let df = dataframe::from_columns([("l", lists.slice(1, 2))]);
        let found: Vec<(Option<i64>,)> = df.explode(["l"]).compute().unwrap().to_records().unwrap();
        assert_eq!(found, [(None,), (Some(5),), (Some(6),)], "{layout}");
    }
    let none = FixedSizeListArray::try_new_with_length(item(), 0, new_empty_array(&DataType::Int64), None, 3).unwrap();
    let df = dataframe::from_columns([("l", Arc::new(none) as ArrayRef)]);
    assert_eq!(df.explode(["l"]).drop_nulls::<&str>([]).count_rows().compute().unwrap(), 0);
    assert_eq!(df.explode(["l"]).count_rows().compute().unwrap(), 3);
}

#[test]
fn what_cannot_be_exploded_is_told() {
    let mut rows = rows(50);
    rows[33] = (33, None, Some(vec![Some(1), Some(2)]), Some(vec![None; 3]));
    let df = dataframe::from_batches(vec![batch_of(&rows)], 3);
    let says = |df: &DataFrame, kind: ErrorKind, part: &str| {
        let error = df.compute().unwrap_err();
        let text = error.to_string();
        assert!(error.kind() == kind && text.contains(part) && text.contains("table_shapes.rs"), "{text}");
    };
    says(&df.explode(["id"]), ErrorKind::Plan, "the column `id` is a Int64 and no list: only lists are exploded");
    says(&df.explode(["a", "d"]), ErrorKind::Plan, "column `d` not found");
    says(&df.explode::<&str>([]), ErrorKind::Plan, "no columns to explode");
    let both = df.explode(["a", "b"]);
    says(&both, ErrorKind::Data, "row 33 of 50 rows in memory: the lists of `a` and `b` have 2 and 3 values");
    says(&both, ErrorKind::Data, "in explode at");
    says(&both.select(["id"]), ErrorKind::Data, "the lists of `a` and `b` have 2 and 3 values");
    assert_eq!(df.explode(["a"]).select(["id"]).filter(col("id").eq(33)).count_rows().compute().unwrap(), 2);
}

#[test]
fn one_row_becomes_more_than_memory_holds() {
    // 400 000 rows with a text of 1 kB are made of one.
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some((0..400_000i64).map(Some))]);
    let text = StringArray::from(vec!["x".repeat(1000)]);
    let df = dataframe::from_columns([("t", Arc::new(text) as ArrayRef), ("l", Arc::new(list) as ArrayRef)]);
    let made = df.explode(["l"]);
    let length = made.select([col("t").str().len_bytes().alias("n"), col("l")]);
    for on in EVERYWHERE {
        let (runtime, _) = on.runtime(64 << 20);
        let sums = length.agg([col("n").sum(), col("l").sum()]).compute_on(&runtime).unwrap();
        let sums: Vec<(i64, i64)> = sums.to_records().unwrap();
        assert_eq!(sums, [(400_000_000, 79_999_800_000)]);
        let error = made.compute_on(&runtime).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::OutOfMemory | ErrorKind::ResultTooLarge | ErrorKind::LimitTooSmall),
            "{error}"
        );
        assert_nothing_held(&runtime, "after lists");
    }
}

#[test]
fn structs_become_columns() {
    let fields = vec![Field::new("x", DataType::Int64, true), Field::new("y", DataType::Utf8, true)];
    let x: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(2), None]));
    let y: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c"]));
    let places = StructArray::new(fields.into(), vec![x, y], Some(vec![true, false, true].into()));
    let id: ArrayRef = Arc::new(Int64Array::from(vec![10, 20, 30]));
    let df = dataframe::from_columns([("a", id.clone()), ("s", Arc::new(places) as ArrayRef), ("b", id)]);
    let made = df.unnest(["s"]);
    assert_eq!(made.columns().unwrap(), ["a", "x", "y", "b"]);
    type Found = (i64, Option<i64>, Option<String>, i64);
    let wanted: [Found; 3] =
        [(10, Some(1), Some("a".to_string()), 10), (20, None, None, 20), (30, None, Some("c".to_string()), 30)];
    everywhere(2 << 20, |runtime, case| {
        assert_eq!(made.compute_on(runtime).unwrap().to_records::<Found>().unwrap(), wanted, "{case}");
        let kept = made.filter(col("y").eq("c")).select(["a"]).compute_on(runtime).unwrap();
        assert_eq!(column(&kept, "a"), [30], "{case}");
    });
    let says = |df: DataFrame, part: &str| {
        let error = df.compute().unwrap_err();
        let text = error.to_string();
        assert!(error.kind() == ErrorKind::Plan && text.contains(part) && text.contains("in unnest at"), "{text}");
    };
    says(df.unnest(["a"]), "the column `a` is a Int64 and no struct");
    says(df.unnest(["z"]), "column `z` not found");
    says(
        df.rename([("a", "x")]).unnest(["s"]),
        "the field `x` of `s` is called as another column is: rename that first",
    );
    // A field may be called as its own struct is.
    assert_eq!(df.rename([("s", "x")]).unnest(["x"]).columns().unwrap(), ["a", "x", "y", "b"]);
    assert_eq!(df.select(["a"]).unnest::<&str>([]).columns().unwrap(), ["a"]);
}
