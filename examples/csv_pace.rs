//! How fast CSV files are read, on one thread: `cargo run --release --example csv_pace -- 'dir/*.csv' [rounds] [columns] [codes]`.
//!
//! Columns are places from 0 on, such as `0,6`; without them all are read. With a fourth argument texts may come as codes. Prints the best and the median of the rounds.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use chunkwise::formats::csv::{CsvOptions, CsvSource};
use chunkwise::formats::scan::{ReadContext, ScanRequest, TableSource};

fn main() -> chunkwise::Result<()> {
    let mut args = std::env::args().skip(1);
    let pattern = args.next().unwrap_or_else(|| "*.csv".to_string());
    let rounds: usize = args.next().and_then(|text| text.parse().ok()).unwrap_or(5);
    let columns = args.next();
    let source = Arc::new(CsvSource::open(&pattern, CsvOptions::default())?);
    let all = 0..source.schema().fields().len();
    let columns: Vec<usize> = match &columns {
        Some(list) => list.split(',').filter_map(|text| text.parse().ok()).collect(),
        None => all.collect(),
    };
    let dictionaries = if args.next().is_some() { columns.clone() } else { Vec::new() };
    let request = ScanRequest { columns: columns.clone(), dictionaries, ..ScanRequest::default() };
    let bytes: u64 = source.files().iter().map(|file| file.bytes).sum();
    let mut times = Vec::new();
    let mut rows = 0;
    for _ in 0..rounds {
        let start = Instant::now();
        let scan = source.clone().scan(&request)?;
        rows = 0;
        for morsel in 0..scan.morsels().len() {
            scan.read(morsel, &ReadContext::default(), &mut |batch| {
                rows += batch.num_rows();
                Ok(ControlFlow::Continue(()))
            })?;
        }
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let pace = |seconds: f64| bytes as f64 / seconds / 1e6;
    let median = times[times.len() / 2];
    println!(
        "{} MB, {rows} rows, {columns:?}: best {:.0} MB/s, median {:.0} MB/s",
        bytes / 1_000_000,
        pace(times[0]),
        pace(median)
    );
    Ok(())
}
