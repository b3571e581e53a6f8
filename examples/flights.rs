//! One job over all four collections: departures out of New York in 2013, from twelve compressed CSV files.
//!
//! ```text
//! cargo run --release --example flights [directory of the files]
//! ```
//!
//! Each file is read once and only the four columns that are used are decoded, under a memory limit below the size of
//! these columns. The report goes to stdout, progress and what the run took to stderr.

use chunkwise::array::Ix0;
use chunkwise::prelude::*;

/// Below the 10.3 MiB that the decoded columns take together.
const MEMORY_LIMIT: &str = "8 MiB";

fn main() -> Result<()> {
    let directory = std::env::args().nth(1);
    let directory = directory.unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/flights").into());
    let runtime = Runtime::builder().memory_limit(MEMORY_LIMIT).progress(true).build()?;

    // A table: one partition per file.
    let flights = dataframe::read_csv(format!("{directory}/flights-2013-*.csv.gz")).null_values(["", "NA"]).open()?;
    let departed = flights.filter(col("dep_delay").is_not_null());
    let carriers = departed
        .group_by(["carrier"])
        .agg([col("dep_delay").count().alias("count"), col("dep_delay").mean().alias("mean_dep_delay")]);

    // An array: minutes of delay per mile.
    let both = departed.filter(col("distance").is_not_null());
    let ratio = (both.col("dep_delay") / both.col("distance")).to_array::<f64>();
    let (n, mean, std): (Array<u64, Ix0>, _, _) = (ratio.count(), ratio.mean(), ratio.std(0.0));

    // A bag: how often each aeroplane flew.
    let tails = flights.col("tailnum").to_bag::<String>().frequencies();

    // A plain function of all of them.
    let counts = (flights.count_rows(), departed.count_rows());
    let report =
        try_delayed_with((counts, &carriers, (&n, &mean, &std), &tails), |(counts, carriers, ratio, tails)| {
            write_report(counts, carriers, ratio, tails)
        });

    // One run.
    let report = report.compute_on(&runtime)?;
    print!("{report}");
    eprintln!("{}", runtime.last_report());
    Ok(())
}

fn write_report(
    (rows, departed): (&u64, &u64),
    carriers: &Table,
    (n, mean, std): (&u64, &f64, &f64),
    tails: &[(String, u64)],
) -> Result<String> {
    use std::fmt::Write as _;

    let mut out = String::new();
    let names = carriers.texts("carrier")?;
    let flights = carriers.column::<arrow::datatypes::Int64Type>("count")?;
    let delays = carriers.column::<arrow::datatypes::Float64Type>("mean_dep_delay")?;
    let mut lines = vec![
        format!("{rows} flights, {departed} of them departed"),
        String::new(),
        "carrier  flights  mean delay (min)".to_string(),
    ];
    for row in 0..carriers.num_rows() {
        lines.push(format!("{:<7}  {:>7}  {:>16.4}", names.value(row), flights.value(row), delays.value(row)));
    }
    lines.push(String::new());
    lines.push(format!("delay per mile: n {n}, mean {mean:.10}, std {std:.10}"));
    lines.push(String::new());
    lines.push(format!("{} aeroplanes; most flights:", tails.len()));
    lines.extend(tails.iter().take(10).map(|(tail, count)| format!("{tail:<7}  {count:>7}")));
    for line in lines {
        writeln!(out, "{line}").map_err(Error::from_user)?;
    }
    Ok(out)
}
