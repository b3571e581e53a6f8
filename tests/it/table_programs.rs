//! Programs as users of tables write them, from files to files.

use std::fmt::Write as _;
use std::fs;

use arrow::array::AsArray as _;
use arrow::datatypes::{Float64Type, Int64Type, TimeUnit};
use chunkwise::dataframe::{Compression, IfExists};
use chunkwise::prelude::*;
use serde::{Deserialize, Serialize};

use crate::support::noise;

fn uniform(at: u64) -> f64 {
    (noise(at) >> 11) as f64 / (1u64 << 53) as f64
}

/// Near to a normal distribution: a sum of twelve.
fn normal(at: u64) -> f64 {
    (0..12).map(|part| uniform(at * 12 + part)).sum::<f64>() - 6.0
}

#[test]
fn the_mean_of_a_table_in_memory() {
    let x: Vec<f64> = (0..10_000).map(uniform).collect();
    let z: Vec<&str> = (0..10_000).map(|at| ["A", "B", "C"][at % 3]).collect();
    let mean = x.iter().sum::<f64>() / 10_000.0;
    let y: Vec<f64> = (10_000..20_000).map(uniform).collect();
    let df = dataframe::from_columns([("x", x.into_array()), ("y", y.into_array()), ("z", z.into_array())]);
    let df = df.repartition(4);
    assert_eq!(df.npartitions().unwrap(), 4);
    let found: f64 = df.col("x").mean().as_::<f64>().compute().unwrap();
    assert!((found - mean).abs() < 1e-12);
}

#[test]
fn files_of_one_pattern_are_one_table() {
    const ROWS: u64 = 20_000;
    let dir = tempfile::tempdir().unwrap();
    for file in 0..5u64 {
        let mut text = "id,value,category,timestamp\n".to_string();
        for row in 0..ROWS {
            let (value, category) = (normal(file * ROWS + row), ["A", "B", "C", "D"][noise(row ^ file) as usize % 4]);
            let (day, second) = (1 + row / 86_400, row % 86_400);
            let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
            let _ = writeln!(text, "{row},{value},{category},2024-01-{day:02} {hour:02}:{minute:02}:{second:02}");
        }
        // In natural order the tenth file comes after the second.
        fs::write(dir.path().join(format!("data-{}.csv", file * 5)), text).unwrap();
    }
    let pattern = format!("{}/data-*.csv", dir.path().display());
    let df = dataframe::read_csv(&pattern).parse_dates(["timestamp"]).open().unwrap();
    assert_eq!(df.columns().unwrap(), ["id", "value", "category", "timestamp"]);
    assert!(df.npartitions().unwrap() >= 5);
    assert_eq!(df.count_rows().compute().unwrap(), 5 * ROWS);
    let types: Vec<DataType> = df.schema().unwrap().fields().iter().map(|field| field.data_type().clone()).collect();
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    assert_eq!(types, [DataType::Int64, DataType::Float64, DataType::Utf8, micros]);
    let head = df.head(5).compute().unwrap();
    assert!(head.column::<Int64Type>("id").unwrap().values().iter().copied().eq(0..5));
    assert!(head.to_string().lines().nth(2).unwrap().ends_with("2024-01-01T00:00:00"), "{head}");
    assert_eq!(head.column::<Float64Type>("value").unwrap().value(3), normal(3));
    let last = df.tail(1).select(["value"]).compute().unwrap();
    assert_eq!(last.column::<Float64Type>("value").unwrap().value(0), normal(5 * ROWS - 1));
}

#[test]
fn blanks_are_dropped_groups_taken_and_files_partitioned() {
    const ROWS: u64 = 100_000;
    let dir = tempfile::tempdir().unwrap();
    for file in 0..10u64 {
        let mut text = "category,value1,value2\n".to_string();
        for row in 0..ROWS {
            let at = file * ROWS + row;
            let category = ["A", "B", "C", "D", "E"][(noise(at) >> 7) as usize % 5];
            let _ = match row % 100 == file {
                true => writeln!(text, "{category},,{:.4}", normal(at ^ 1 << 40)),
                false => writeln!(text, "{category},{:.4},{:.4}", normal(at), normal(at ^ 1 << 40)),
            };
        }
        fs::write(dir.path().join(format!("part{file}.csv")), text).unwrap();
    }
    let runtime = Runtime::builder().memory_limit("256MiB").build().unwrap();
    runtime
        .run(|| {
            let df = dataframe::read_csv(format!("{}/part*.csv", dir.path().display())).open()?;
            let clean = df.drop_nulls(["value1"]);
            let aggregates = [Agg::Mean, Agg::Std, Agg::Count];
            let stats = clean.group_by(["category"]).agg_each(["value1", "value2"], aggregates);
            let out = dir.path().join("out");
            let written = clean.to_parquet(&out).partition_by(["category"]).compression(Compression::Snappy);
            let (rows, stats, written) = compute((clean.count_rows(), &stats, &written))?;
            assert_eq!((rows, written.rows), (990_000, 990_000));
            let names: Vec<&str> = stats.schema().fields().iter().map(|field| field.name().as_str()).collect();
            let wanted =
                ["category", "value1_mean", "value1_std", "value1_count", "value2_mean", "value2_std", "value2_count"];
            assert_eq!(names, wanted);
            assert!(stats.texts("category")?.iter().flatten().eq(["A", "B", "C", "D", "E"]));
            assert!(stats.column::<Float64Type>("value1_std")?.values().iter().all(|std| (std - 1.0).abs() < 0.02));
            let counts = stats.array("value1_count")?;
            let counts = arrow::compute::cast(&counts, &DataType::Int64).unwrap();
            assert_eq!(counts.as_primitive::<Int64Type>().values().iter().sum::<i64>(), 990_000);

            // The report of the run, as a file.
            let report = dir.path().join("report.txt");
            fs::write(&report, runtime.last_report().to_string()).unwrap();
            let text = fs::read_to_string(&report).unwrap();
            assert!(text.contains("tasks") && text.contains("MiB"), "{text}");

            let back = dataframe::read_parquet(out.to_str().unwrap()).open()?;
            let again =
                back.drop_nulls(["value1"]).group_by(["category"]).agg_each(["value1"], [Agg::Count]).compute()?;
            assert_eq!(again.num_rows(), 5);
            assert_eq!(df.repartition(10).repartition(12).npartitions()?, 12);
            let sizes = df.repartition(10).repartition(12).partitions().compute()?;
            assert_eq!(sizes.iter().map(Table::num_rows).sum::<usize>(), 1_000_000);
            Ok::<(), Error>(())
        })
        .unwrap();
}

#[test]
fn valid_rows_are_filled_and_summed() {
    let dir = tempfile::tempdir().unwrap();
    let text = "status,category,amount\nvalid,a,1.5\nvalid,b,\ninvalid,a,100\nvalid,,7\nvalid,a,2.5\n,b,9\nvalid,b,4\n";
    fs::write(dir.path().join("raw.csv"), text).unwrap();
    let df = dataframe::read_csv(dir.path().join("raw.csv").to_str().unwrap()).open().unwrap();
    let clean = df.filter(col("status").eq("valid")).fill_null("amount", 0.0).drop_nulls(["category"]);
    let by_category = clean.group_by(["category"]).agg([
        col("amount").sum().alias("sum"),
        col("amount").mean().alias("mean"),
        col("amount").count().alias("count"),
    ]);
    let target = dir.path().join("out");
    by_category.to_parquet(&target).if_exists(IfExists::Replace).write().unwrap();
    let back = dataframe::read_parquet(target.to_str().unwrap()).open().unwrap().compute().unwrap();
    assert_eq!(
        back.to_string(),
        "category  sum  mean  count\n--------  ---  ----  -----\na         4.0   2.0      2\nb         4.0   2.0      2\n"
    );
}

#[test]
fn rows_and_partitions_by_functions_of_ones_own() {
    #[derive(Serialize, Deserialize)]
    struct Area {
        a: f64,
        b: f64,
        area: f64,
    }
    let a: Vec<f64> = (0..1000).map(|at| uniform(at) + 1.0).collect();
    let b: Vec<f64> = (0..1000).map(|at| uniform(at + 5000)).collect();
    let products: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a * b).collect();
    let df = dataframe::from_columns([("a", a), ("b", b)]).repartition(4);
    let areas = df.map_rows(|(a, b): (f64, f64)| Area { a, b, area: a * b });
    let found = areas.compute().unwrap();
    assert_eq!(found.column::<Float64Type>("area").unwrap().values(), &products[..]);

    // An aggregate per partition.
    let ranges = df.partitions().to_delayed().map(|parts| {
        let range = |part: &Table| {
            let a = part.column::<Float64Type>("a").unwrap();
            let (least, most) = (arrow::compute::min(&a).unwrap(), arrow::compute::max(&a).unwrap());
            most - least
        };
        parts.iter().map(range).collect::<Vec<f64>>()
    });
    let ranges = ranges.compute().unwrap();
    assert!(ranges.len() == 4 && ranges.iter().all(|range| (0.9..1.0).contains(range)));

    let schema = df.select([col("a"), col("a").alias("norm")]).schema().unwrap();
    let normed = df.select(["a"]).map_partitions(schema, |part: Table| {
        part.with_column(((col("a") - col("a").mean()) / col("a").std()).alias("norm"))
    });
    for part in normed.partitions().compute().unwrap() {
        let norm = part.column::<Float64Type>("norm").unwrap();
        let mean = norm.values().iter().sum::<f64>() / norm.len() as f64;
        let square = norm.values().iter().map(|value| value * value).sum::<f64>() / (norm.len() - 1) as f64;
        assert!(part.num_rows() == 250 && mean.abs() < 1e-12 && (square - 1.0).abs() < 1e-12);
    }
}

#[test]
fn features_become_an_array() {
    let times: Vec<i64> = (0..1000).map(|at| 1_704_067_200_000_000 + at * 3_600_000_000).collect();
    let values: Vec<f64> = (0..1000).map(uniform).collect();
    let kinds: Vec<&str> = (0..1000).map(|at| ["b", "a", "c"][at % 3]).collect();
    let columns = [("t", times.into_array()), ("value", values.clone().into_array()), ("kind", kinds.into_array())];
    let df = dataframe::from_columns(columns).repartition(7);
    let at = col("t").cast(DataType::Timestamp(TimeUnit::Microsecond, None));
    let codes = when(col("kind").eq("a")).then(0).when(col("kind").eq("b")).then(1).otherwise(2);
    let features = df.select([
        col("value"),
        at.clone().dt().hour().alias("hour"),
        at.dt().weekday().alias("day"),
        codes.alias("code"),
    ]);
    for on in crate::support::EVERYWHERE {
        let (runtime, _) = on.runtime(crate::support::AMPLE);
        let array = runtime.run(|| features.to_array_with::<f64>(Lengths::Count)).unwrap();
        let shown = format!("{array:?}");
        assert!(shown.starts_with("Array<f64>: to_array, shape (1000, 4), chunks (143, 4), 7 blocks"), "{shown}");
        assert_eq!((array.ncols().unwrap(), array.known_len().unwrap()), (4, Some(1000)));
        let computed = array.compute_on(&runtime).unwrap();
        for (row, value) in values.iter().enumerate() {
            // The first of January 2024 is a Monday.
            let wanted = [*value, (row % 24) as f64, (row / 24 % 7) as f64, [1.0, 0.0, 2.0][row % 3]];
            assert_eq!(computed.row(row).to_vec(), wanted, "row {row}");
        }
        let kept = runtime.run(|| array.persist()).unwrap();
        assert_eq!(kept.compute_on(&runtime).unwrap(), computed);
        let small = features.select(["hour", "code"]).to_array::<i32>().compute_on(&runtime).unwrap();
        assert_eq!((small.shape(), small[[25, 0]], small[[2, 1]]), (&[1000, 2][..], 1, 2));
    }
    let says = |array: chunkwise::array::Array<i64, chunkwise::array::Ix2>, part: &str| {
        let error = array.compute().unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("to_array at tests/it/table_programs.rs"), "{error}");
    };
    says(df.to_array(), "column `kind` is a Utf8 and no number");
    says(df.select::<Expr>([]).to_array(), "an array of no columns");
    let nulls = dataframe::from_columns([("a", vec![Some(1i64), None]), ("b", vec![Some(1), Some(2)])]);
    says(nulls.to_array(), "column `a`: a null cannot be a i64");
}
