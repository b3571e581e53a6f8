//! Subtle rules as data: `tests/data/rules.json` holds what pandas and DuckDB say, or what was decided here. The script beside it
//! writes it.

use std::sync::Arc;

use arrow::array::Array;
use arrow::array::*;
use arrow::compute::cast;
use arrow::datatypes::TimeUnit;
use chunkwise::prelude::*;
use serde_json::Value;

fn data_type(name: &str) -> DataType {
    match name {
        "bool" => DataType::Boolean,
        "i8" => DataType::Int8,
        "i16" => DataType::Int16,
        "i32" => DataType::Int32,
        "i64" => DataType::Int64,
        "u8" => DataType::UInt8,
        "u32" => DataType::UInt32,
        "u64" => DataType::UInt64,
        "f32" => DataType::Float32,
        "f64" => DataType::Float64,
        "text" => DataType::Utf8,
        "date" => DataType::Date32,
        "micros" => DataType::Timestamp(TimeUnit::Microsecond, None),
        other => panic!("no type is called {other}"),
    }
}

/// The columns of a table as they stand in the file: name, type, values.
fn columns(of: &Value) -> Vec<(String, ArrayRef)> {
    let column = |column: &Value| {
        let of = data_type(column[1].as_str().unwrap());
        let values = column[2].as_array().unwrap();
        let texts = || values.iter().map(Value::as_str).collect::<StringArray>();
        let array: ArrayRef = match &of {
            DataType::Boolean => Arc::new(values.iter().map(Value::as_bool).collect::<BooleanArray>()),
            DataType::Utf8 => Arc::new(texts()),
            DataType::Date32 => cast(&cast(&texts(), &DataType::Int32).unwrap(), &of).unwrap(),
            DataType::Timestamp(..) => cast(&cast(&texts(), &DataType::Int64).unwrap(), &of).unwrap(),
            DataType::Float64 => {
                let parsed = values.iter().map(|value| value.as_str().map(|text| text.parse::<f64>().unwrap()));
                Arc::new(parsed.collect::<Float64Array>())
            }
            _ => cast(&texts(), &of).unwrap(),
        };
        (column[0].as_str().unwrap().to_string(), array)
    };
    of.as_array().unwrap().iter().map(column).collect()
}

fn aggregate(name: &str) -> Expr {
    let v = col("v");
    match name {
        "count" => v.count(),
        "size" => size(),
        "sum" => v.sum(),
        "mean" => v.mean(),
        "min" => v.min(),
        "max" => v.max(),
        "first" => v.first(),
        "last" => v.last(),
        "nunique" => v.nunique(),
        "std" => v.std(),
        "var" => v.var(),
        "sem" => v.sem(),
        "skew" => v.skew(),
        "kurtosis" => v.kurtosis(),
        "product" => v.product(),
        "sum of two" => v.sum_min_count(2),
        "any" => v.any(),
        "all" => v.all(),
        other => panic!("no aggregate is called {other}"),
    }
}

/// The operation of a case.
fn run(df: &DataFrame, what: &Value) -> DataFrame {
    let words: Vec<&str> = what.as_array().unwrap().iter().map(|word| word.as_str().unwrap_or("")).collect();
    let whole = |at: usize| what[at].as_i64();
    let (a, b, v, n) = (col("a"), col("b"), col("v"), col("n"));
    match words[0] {
        "group" => df.group_by([words[1]]).agg([aggregate(words[2]).alias("v")]),
        "group_nulls" => df.group_by([words[1]]).keep_nulls().agg([aggregate(words[2]).alias("v")]),
        "group_as" => df.group_by([col(words[1]).alias("k")]).agg([aggregate(words[2]).alias("v")]),
        "agg" => df.agg([aggregate(words[1]).alias("v")]),
        "corr" => df.agg([corr(a, b).alias("v")]),
        "cov" => df.agg([cov(a, b).alias("v")]),
        "math" => {
            let made = match words[1] {
                "+" => a + b,
                "/" => a / b,
                "//" => a.floor_div(b),
                "%" => a % b,
                "==" => a.eq(b),
                "!=" => a.ne(b),
                "<" => a.lt(b),
                "<=" => a.le(b),
                ">" => a.gt(b),
                ">=" => a.ge(b),
                "&" => a & b,
                "|" => a | b,
                _ => a ^ b,
            };
            df.select([made.alias("v")])
        }
        "filter" => match words[1] {
            "n" => df.filter(n.gt(whole(3).unwrap())),
            "not" => df.filter(!n.gt(whole(4).unwrap())),
            "in" => df.filter(n.is_in([whole(2), whole(3)])),
            _ => df.filter(!n.is_in([whole(2), whole(3)])),
        },
        "unique" => df.unique(["v"]),
        "value_counts" => df.value_counts("v"),
        "nlargest" => df.nlargest(whole(1).unwrap() as usize, ["v"]),
        "nsmallest" => df.nsmallest(whole(1).unwrap() as usize, ["v"]),
        "round" => df.select([v.round(0)]),
        "cast" => df.select([v.cast(data_type(words[1]))]),
        "try_cast" => df.select([v.try_cast(data_type(words[1]))]),
        "dt" => {
            let v = v.dt();
            let part = match words[1] {
                "year" => v.year(),
                "month" => v.month(),
                "day" => v.day(),
                "quarter" => v.quarter(),
                "weekday" => v.weekday(),
                "ordinal_day" => v.ordinal_day(),
                "iso_year" => v.iso_year(),
                "week" => v.week(),
                "days_in_month" => v.days_in_month(),
                "is_leap_year" => v.is_leap_year(),
                "is_month_end" => v.is_month_end(),
                "is_quarter_start" => v.is_quarter_start(),
                "is_year_end" => v.is_year_end(),
                "hour" => v.hour(),
                "minute" => v.minute(),
                "second" => v.second(),
                "microsecond" => v.microsecond(),
                other => panic!("no part is called {other}"),
            };
            df.select([part.alias("v")])
        }
        other => panic!("no operation is called {other}"),
    }
}

/// What is different; numbers may be so near.
fn difference(found: &Table, expected: &[(String, ArrayRef)], near: f64, absolute: f64) -> Option<String> {
    if found.schema().fields().len() != expected.len() {
        return Some(format!("{} columns", found.schema().fields().len()));
    }
    for (name, expected) in expected {
        let array = match found.array(name) {
            Ok(array) => array,
            Err(error) => return Some(error.to_string()),
        };
        if array.data_type() != expected.data_type() || array.len() != expected.len() {
            return Some(format!("`{name}` is {array:?} in place of {expected:?}"));
        }
        let numbers = |array: &ArrayRef| match array.data_type() {
            DataType::Float64 | DataType::Float32 => cast(array, &DataType::Float64).ok(),
            _ => None,
        };
        let same = match (numbers(&array), numbers(expected)) {
            (Some(found), Some(expected)) => {
                let (found, expected): (&Float64Array, &Float64Array) = (found.as_primitive(), expected.as_primitive());
                found.iter().zip(expected).all(|(a, b)| match (a, b) {
                    (Some(a), Some(b)) if a.is_nan() || b.is_nan() => a.is_nan() && b.is_nan(),
                    (Some(a), Some(b)) => a == b || (a - b).abs() <= near * a.abs().max(b.abs()) + absolute,
                    (a, b) => a == b,
                })
            }
            _ => array.as_ref() == expected.as_ref(),
        };
        if !same {
            return Some(format!("`{name}` is {array:?} in place of {expected:?}"));
        }
    }
    None
}

#[test]
fn what_others_say_and_what_was_decided() {
    let cases: Value = serde_json::from_str(include_str!("../data/rules.json")).unwrap();
    let mut wrong = Vec::new();
    for case in cases.as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns(&case["columns"]).into_iter().map(|(name, array)| (name, array, true)),
        );
        let batch = batch.unwrap();
        for partitions in [1, 3] {
            let df = dataframe::from_batches(vec![batch.clone()], partitions);
            let problem = match (run(&df, &case["do"]).compute(), case["error"].as_str()) {
                (Ok(_), Some(error)) => Some(format!("no error that says {error}")),
                (Err(error), Some(says)) => (!error.to_string().contains(says)).then(|| error.to_string()),
                (Err(error), None) => Some(error.to_string()),
                (Ok(found), None) => {
                    let number = |key: &str| case[key].as_f64().unwrap_or(0.0);
                    difference(&found, &columns(&case["expected"]), number("near"), number("absolute"))
                }
            };
            wrong.extend(problem.map(|problem| format!("{name}, {partitions} partitions: {problem}")));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n\n"));
    assert!(cases.as_array().unwrap().len() > 100, "the cases are there");
}
