//! What a scan of Parquet files costs: `parquet_scan PATH COLUMNS [batch rows] [rounds]`, one thread, morsel by morsel.
//!
//! With `q6` or `q1` instead of columns, the filter and the columns of that query of TPC-H over `lineitem`.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arrow::array::{ArrayRef, Date32Array};
use chunkwise::expr::{Expr, Value, col, lit};
use chunkwise::formats::parquet::{ParquetOptions, ParquetSource};
use chunkwise::formats::scan::{ReadContext, ScanRequest, TableSource};

/// Days from 1970 to a first of January.
const YEAR_1994: i32 = 8766;
const YEAR_1995: i32 = 9131;
const SECOND_OF_SEPTEMBER_1998: i32 = 10471;

fn day(days: i32) -> Expr {
    let array: ArrayRef = Arc::new(Date32Array::from(vec![days]));
    lit(Value::Typed(array))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, path, what, ..] = args.as_slice() else {
        return Err("parquet_scan PATH COLUMNS|q1|q6 [batch rows] [rounds]".into());
    };
    let number = |at: usize, default: usize| args.get(at).map_or(Ok(default), |text| text.parse());
    if std::env::var_os("WARM").is_some() {
        drop(black_box(Vec::<u8>::with_capacity(16 << 20)));
    }
    let options = ParquetOptions { batch_rows: number(3, 16 << 10)?, ..ParquetOptions::default() };
    let started = Instant::now();
    let source = Arc::new(ParquetSource::open(&[path], options)?);
    println!("open {:?}: {} rows, {} partitions", started.elapsed(), source.rows().unwrap_or(0), source.partitions());
    let (names, predicates) = match what.as_str() {
        "q6" => (
            vec!["l_extendedprice", "l_discount"],
            vec![
                col("l_shipdate").ge(day(YEAR_1994)),
                col("l_shipdate").lt(day(YEAR_1995)),
                col("l_discount").ge(0.05),
                col("l_discount").le(0.07),
                col("l_quantity").lt(24.0),
            ],
        ),
        "q1" => (
            vec!["l_quantity", "l_extendedprice", "l_discount", "l_tax", "l_returnflag", "l_linestatus"],
            vec![col("l_shipdate").le(day(SECOND_OF_SEPTEMBER_1998))],
        ),
        names => (names.split(',').collect(), Vec::new()),
    };
    let mut columns: Vec<usize> = names.iter().map(|name| source.schema().index_of(name)).collect::<Result<_, _>>()?;
    columns.sort_unstable();
    let dictionaries = (0..source.schema().fields().len()).collect();
    let request = ScanRequest { columns, predicates, dictionaries };
    for _ in 0..number(4, 5)? {
        let started = Instant::now();
        let scan = source.clone().scan(&request)?;
        let planned = started.elapsed();
        let (mut rows, mut batches) = (0, 0);
        let bytes = AtomicU64::new(0);
        let context =
            ReadContext { count: &|more| _ = bytes.fetch_add(more, Ordering::Relaxed), ..ReadContext::default() };
        for morsel in 0..scan.morsels().len() {
            scan.read(morsel, &context, &mut |batch| {
                rows += batch.num_rows();
                batches += 1;
                black_box(&batch);
                Ok(ControlFlow::Continue(()))
            })?;
        }
        let (morsels, detail) = (scan.morsels().len(), scan.detail());
        println!(
            "{:?} (planned in {planned:?}): {rows} rows, {batches} batches, {morsels} morsels, {detail}, {} bytes read",
            started.elapsed(),
            bytes.into_inner()
        );
    }
    Ok(())
}
