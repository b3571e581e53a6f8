//! Tables: group-bys, TPC-H, conversions. What each case computes is what the SQL of the other engines says.

use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{cast, sum};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use chunkwise::prelude::*;
use serde_json::{Value, json};

use super::Done;

/// Computes a case.
pub fn run(case: &str, data: &Path, tmp: &Path) -> Result<Done> {
    let at = |path: &str| data.join(path).to_string_lossy().into_owned();
    let table = |table: DataFrame| Ok(Done { table: Some(table.compute()?), ..Done::default() });
    if let Some(query) = case.strip_prefix("csv_") {
        return table(group_by(query, &dataframe::read_csv(at("g1/csv/*.csv")).open()?)?);
    }
    match case {
        "q1" | "q2" | "q3" | "q4" | "q5" | "q7" | "q9" | "q10" => {
            table(group_by(case, &dataframe::read_parquet(at("g1/parquet/*.parquet")).open()?)?)
        }
        "t1" => table(t1(&dataframe::read_parquet(at("tpch/lineitem/*.parquet")).open()?)),
        "t6" => table(t6(&dataframe::read_parquet(at("tpch/lineitem/*.parquet")).open()?)),
        "value_counts" => table(dataframe::read_parquet(at("g1/parquet/*.parquet")).open()?.value_counts("id3")),
        "csv2parquet" => {
            let path = tmp.join("c2p.parquet");
            dataframe::read_csv(at("g1/csv/*.csv")).open()?.to_parquet(&path).single_file().write()?;
            Ok(Done { written: Some(path), ..Done::default() })
        }
        "etl" => {
            let path = tmp.join("etl");
            let raw = dataframe::read_csv(at("seed10/*.csv")).open()?;
            let clean = raw.drop_nulls(["value1", "value2"]);
            let stats = clean.group_by(["category"]).agg_each(["value1", "value2"], [Agg::Mean, Agg::Std, Agg::Count]);
            let writer = clean.to_parquet(&path).partition_by(["category"]);
            let (_, table) = compute((&writer, &stats))?;
            Ok(Done { written: Some(path), table: Some(table), ..Done::default() })
        }
        _ => Err(Error::new(ErrorKind::Plan, format!("no such case: {case}"))),
    }
}

fn group_by(query: &str, g: &DataFrame) -> Result<DataFrame> {
    let (v1, v2, v3) = (col("v1"), col("v2"), col("v3"));
    Ok(match query {
        "q1" => g.group_by(["id1"]).agg([v1.sum()]),
        "q2" => g.group_by(["id1", "id2"]).agg([v1.sum()]),
        "q3" => g.group_by(["id3"]).agg([v1.sum(), v3.mean()]),
        "q4" => g.group_by(["id4"]).agg([v1.mean(), v2.mean(), v3.mean()]),
        "q5" => g.group_by(["id6"]).agg([v1.sum(), v2.sum(), v3.sum()]),
        "q7" => g.group_by(["id3"]).agg([(v1.max() - v2.min()).alias("range_v1_v2")]),
        "q9" => g.group_by(["id2", "id4"]).agg([corr(v1, v2).pow(2).alias("r2")]),
        "q10" => {
            let keys = ["id1", "id2", "id3", "id4", "id5", "id6"];
            g.group_by(keys).agg([v3.sum(), size().alias("count")])
        }
        _ => return Err(Error::new(ErrorKind::Plan, format!("no such case: {query}"))),
    })
}

fn t1(lineitem: &DataFrame) -> DataFrame {
    let (price, discount) = (col("l_extendedprice"), col("l_discount"));
    let net = price.clone() * (1.0 - discount.clone());
    lineitem.filter(col("l_shipdate").le("1998-09-02")).group_by(["l_returnflag", "l_linestatus"]).agg([
        col("l_quantity").sum().alias("sum_qty"),
        price.clone().sum().alias("sum_base_price"),
        net.clone().sum().alias("sum_disc_price"),
        (net * (1.0 + col("l_tax"))).sum().alias("sum_charge"),
        col("l_quantity").mean().alias("avg_qty"),
        price.mean().alias("avg_price"),
        discount.mean().alias("avg_disc"),
        size().alias("count_order"),
    ])
}

fn t6(lineitem: &DataFrame) -> DataFrame {
    let date = col("l_shipdate");
    let wanted = date.clone().ge("1994-01-01")
        & date.lt("1995-01-01")
        & col("l_discount").between(0.05, 0.07)
        & col("l_quantity").lt(24.0);
    let revenue = (col("l_extendedprice") * col("l_discount")).sum().alias("revenue");
    lineitem.filter(wanted).select([revenue])
}

/// What came back, in numbers that other engines can be compared with.
pub fn summary(done: &Done) -> Result<Value> {
    let Some(path) = &done.written else {
        return done.table.as_ref().map_or(Ok(Value::Null), summary_of);
    };
    let pattern = if path.is_dir() { path.join("**/*.parquet") } else { path.clone() };
    let back = dataframe::read_parquet(pattern.to_string_lossy()).hive(false).open()?.compute()?;
    let mut found = summary_of(&back)?;
    if let Some(table) = &done.table {
        // A hive column is in the names of the directories.
        let whole = dataframe::read_parquet(path.to_string_lossy()).open()?.compute()?;
        found = summary_of(&whole)?;
        found["extra"] = summary_of(table)?;
    }
    Ok(found)
}

fn summary_of(table: &Table) -> Result<Value> {
    let failed = |error| Error::new(ErrorKind::Data, format!("{error}"));
    let mut columns = serde_json::Map::new();
    for field in table.schema().fields() {
        let (mut total, mut len, mut nulls) = (0.0, 0u64, 0);
        for batch in table.batches() {
            let array: &ArrayRef = batch.column_by_name(field.name()).ok_or_else(|| Error::internal("a column"))?;
            nulls += array.null_count();
            if *array.data_type() == DataType::Utf8 {
                len += array.as_string::<i32>().iter().flatten().map(|text| text.len() as u64).sum::<u64>();
                continue;
            }
            let numbers = match array.data_type() {
                DataType::Date32 => cast(array, &DataType::Int32).and_then(|days| cast(&days, &DataType::Float64)),
                DataType::Timestamp(..) => {
                    let seconds = DataType::Timestamp(arrow::datatypes::TimeUnit::Second, None);
                    let words = cast(array, &seconds).and_then(|words| cast(&words, &DataType::Int64));
                    words
                        .map(|words| words.as_primitive::<Int64Type>().clone())
                        .and_then(|w| cast(&w, &DataType::Float64))
                }
                _ => cast(array, &DataType::Float64),
            };
            let numbers = numbers.map_err(failed)?;
            let numbers = numbers.as_primitive::<Float64Type>();
            let nans = numbers.iter().flatten().filter(|value| value.is_nan()).count();
            nulls += nans;
            total += if nans == 0 {
                sum(numbers).unwrap_or(0.0)
            } else {
                numbers.iter().flatten().filter(|value| !value.is_nan()).sum()
            };
        }
        let is_text = *field.data_type() == DataType::Utf8;
        let column =
            if is_text { json!({ "len": len, "nulls": nulls }) } else { json!({ "sum": total, "nulls": nulls }) };
        columns.insert(field.name().clone(), column);
    }
    Ok(json!({ "rows": table.num_rows(), "cols": columns }))
}
