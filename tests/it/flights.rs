//! The flights example against what pandas computes, over threads and limits: equal bits, each file read once, memory
//! below the size of what is read.

use arrow::datatypes::{Float64Type, Int64Type};
use chunkwise::array::Ix0;
use chunkwise::prelude::*;
use chunkwise::runtime::config::Scheduler;

const LIMIT: u64 = 8 << 20;

fn directory() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/flights").to_string()
}

fn flights() -> DataFrame {
    let pattern = format!("{}/flights-2013-*.csv.gz", directory());
    dataframe::read_csv(pattern).null_values(["", "NA"]).open().unwrap()
}

/// What the example computes, floats by their bits.
#[derive(Clone, Debug, PartialEq)]
struct Answer {
    rows: u64,
    departed: u64,
    carriers: Vec<(String, i64, u64)>,
    ratio: (u64, u64, u64),
    distinct: u64,
    top: Vec<(String, u64)>,
}

fn answer(runtime: &Runtime) -> Answer {
    let flights = flights();
    let departed = flights.filter(col("dep_delay").is_not_null());
    let carriers = departed
        .group_by(["carrier"])
        .agg([col("dep_delay").mean().alias("mean_dep_delay"), col("dep_delay").count().alias("count")]);
    let both = departed.filter(col("distance").is_not_null());
    let ratio = (both.col("dep_delay") / both.col("distance")).to_array::<f64>();
    let (n, mean, std): (Array<u64, Ix0>, Array<f64, Ix0>, Array<f64, Ix0>) =
        (ratio.count(), ratio.mean(), ratio.std(0.0));
    let tails = flights.col("tailnum").to_bag::<String>().frequencies();
    let all = ((flights.count_rows(), departed.count_rows()), carriers, (n, mean, std), (&tails, tails.count()));
    let (counts, table, (n, mean, std), (tails, distinct)) = all.compute_on(runtime).unwrap();
    assert_eq!(tails.len() as u64, distinct);
    let names = table.texts("carrier").unwrap();
    let means = table.column::<Float64Type>("mean_dep_delay").unwrap();
    let numbers = table.column::<Int64Type>("count").unwrap();
    let carrier = |row| (names.value(row).to_string(), numbers.value(row), means.value(row).to_bits());
    Answer {
        rows: counts.0,
        departed: counts.1,
        carriers: (0..table.num_rows()).map(carrier).collect(),
        ratio: (n, mean.to_bits(), std.to_bits()),
        distinct,
        top: tails[..10].to_vec(),
    }
}

/// What all files together take on disk.
fn file_bytes() -> u64 {
    let entries = std::fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap());
    let files = entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(".csv.gz"));
    files.map(|entry| entry.metadata().unwrap().len()).sum()
}

#[track_caller]
fn close(bits: u64, expected: &serde_json::Value) {
    let (found, expected) = (f64::from_bits(bits), expected.as_f64().unwrap());
    assert!((found / expected - 1.0).abs() <= 1e-12, "{found} is not {expected}");
}

#[test]
fn equal_to_pandas_in_equal_bits_below_the_limit() {
    let text = std::fs::read_to_string(format!("{}/expected.json", directory())).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
    let threaded = |threads| Runtime::builder().threads(threads).memory_limit(LIMIT).build().unwrap();
    let synchronous = Runtime::builder().scheduler(Scheduler::Synchronous).memory_limit(LIMIT).build().unwrap();
    let ample = Runtime::builder().threads(2).memory_limit("1 GiB").build().unwrap();
    let plain = Runtime::builder().threads(2).memory_limit(LIMIT);
    let plain = plain.set("optimize.share", false).set("optimize.fuse", false).set("optimize.cull", false);
    let runtimes = [threaded(1), threaded(2), threaded(8), synchronous, ample, plain.build().unwrap()];
    let answers = runtimes.each_ref().map(|runtime| {
        let answer = answer(runtime);
        let report = runtime.last_report();
        assert_eq!(runtime.memory_held(), 0, "{report}");
        // Each file once.
        assert_eq!(report.source_bytes, file_bytes(), "{report}");
        assert!(report.peak_accounted_bytes > 0, "{report}");
        // The first 128 KiB of a table of groups are granted to each worker, with which its task was let in.
        let granted = u64::from(report.threads) * (128 << 10);
        assert!(report.peak_accounted_bytes <= report.limit_bytes + granted, "{report}");
        let reads = report.layers.iter().filter(|layer| layer.name == "read_csv");
        assert_eq!(reads.map(|layer| layer.tasks).collect::<Vec<_>>(), [12], "{report}");
        answer
    });
    for (answer, runtime) in answers.iter().zip(&runtimes) {
        assert_eq!(*answer, answers[0], "{runtime:?}");
    }

    let [Answer { rows, departed, carriers, ratio, distinct, top }, ..] = answers;
    assert_eq!((expected["rows"].as_u64(), expected["departed"].as_u64()), (Some(rows), Some(departed)));
    let expected_carriers = expected["carriers"].as_array().unwrap();
    assert_eq!(carriers.len(), expected_carriers.len());
    for ((name, count, mean), expected) in carriers.iter().zip(expected_carriers) {
        assert_eq!((Some(&**name), Some(*count)), (expected["carrier"].as_str(), expected["count"].as_i64()));
        close(*mean, &expected["mean_dep_delay"]);
    }
    assert_eq!(Some(ratio.0), expected["delay_per_distance"]["n"].as_u64());
    close(ratio.1, &expected["delay_per_distance"]["mean"]);
    close(ratio.2, &expected["delay_per_distance"]["std"]);
    assert_eq!(Some(distinct), expected["tail_numbers"]["distinct"].as_u64());
    let expected_top = expected["tail_numbers"]["top"].as_array().unwrap().iter();
    let expected_top = expected_top.map(|tail| (tail["tailnum"].as_str(), tail["count"].as_u64()));
    assert!(top.iter().map(|(tail, count)| (Some(&**tail), Some(*count))).eq(expected_top), "{top:?}");
}

/// Columns that are not used are not read, and a limit below what one file needs is told before anything runs.
#[test]
fn columns_are_read_as_they_are_used_and_limits_told() {
    let runtime = Runtime::builder().threads(2).memory_limit("64 MiB").build().unwrap();
    let flights = flights();
    assert_eq!((flights.npartitions().unwrap(), flights.columns().unwrap().len()), (12, 19));
    let tails = flights.col("tailnum").to_bag::<String>().count();
    assert_eq!(tails.compute_on(&runtime).unwrap(), 336_776 - 2512);
    let plan = tails.explain().unwrap();
    assert!(plan.contains("1 of 19 columns: tailnum"), "{plan}");
    let all = flights.filter(col("flight").eq(1545)).compute_on(&runtime).unwrap();
    assert_eq!(all.num_columns(), 19);

    let runtime = Runtime::builder().threads(2).memory_limit("64 KiB").build().unwrap();
    let error = flights.col("tailnum").to_bag::<String>().count().compute_on(&runtime).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitTooSmall);
    let text = error.to_string();
    assert!(text.contains(" to start and the memory limit is 64 KiB: raise memory_limit"), "{text}");
}
