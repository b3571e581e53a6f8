//! Tests of expressions: tables of cases, the texts of errors, expressions as deep as memory goes.

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::*;
use chrono::NaiveDate;

use super::*;
use crate::error::ErrorKind;

mod layouts;
mod random;
mod texts;
mod times;

fn batch() -> RecordBatch {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("a", Arc::new(Int64Array::from(vec![Some(1), None, Some(-3)]))),
        ("b", Arc::new(Float64Array::from(vec![2.0, 0.5, 0.0]))),
        ("t", Arc::new(StringArray::from(vec![Some("x"), Some("Yb"), None]))),
        ("i8", Arc::new(Int8Array::from(vec![100, -128, 7]))),
        ("u8", Arc::new(UInt8Array::from(vec![Some(200), Some(0), None]))),
        ("i32", Arc::new(Int32Array::from(vec![7, -7, 0]))),
        ("u64", Arc::new(UInt64Array::from(vec![1, 2, u64::MAX]))),
        ("f32", Arc::new(Float32Array::from(vec![0.1, f32::NAN, -0.0]))),
        ("nan", Arc::new(Float64Array::from(vec![Some(f64::NAN), None, Some(1.0)]))),
        ("p", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
        ("d", Arc::new(Date32Array::from(vec![Some(19723), Some(0), None]))),
        ("ts", Arc::new(TimestampMicrosecondArray::from(vec![Some(1_704_067_200_000_000), Some(-1), None]))),
        (
            "dec",
            Arc::new(Decimal128Array::from(vec![Some(123), Some(5), None]).with_precision_and_scale(15, 2).unwrap()),
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn shown(array: &ArrayRef) -> String {
    let options = arrow::util::display::FormatOptions::new().with_null("-");
    let shown = arrow::util::display::ArrayFormatter::try_new(array, &options).unwrap();
    let rows: Vec<String> = (0..array.len()).map(|row| shown.value(row).to_string()).collect();
    rows.join(" ")
}

/// The values, and that types and simpler forms agree.
#[track_caller]
fn check_in(batch: &RecordBatch, expr: Expr, expected: &str) {
    let schema = batch.schema();
    let array = expr.evaluate(batch).unwrap_or_else(|error| panic!("{expr}: {error}"));
    assert_eq!(array.data_type(), &expr.data_type(&schema).unwrap(), "{expr}");
    assert_eq!(shown(&array), expected, "{expr}");
    let simple = expr.simplified(&schema);
    assert_eq!(simple.output_name(), expr.output_name(), "{expr}");
    let other = simple.evaluate(batch).unwrap_or_else(|error| panic!("{expr} as {simple}: {error}"));
    assert_eq!(other.to_data(), array.to_data(), "{expr} as {simple}");
    // No rows are no error, and of the same type.
    let empty = expr.evaluate(&batch.slice(0, 0)).unwrap();
    assert_eq!((empty.len(), empty.data_type()), (0, array.data_type()), "{expr}");
    // Row by row the same, so that no kernel mixes rows up.
    for row in 0..batch.num_rows() {
        let one = expr.evaluate(&batch.slice(row, 1)).unwrap();
        assert_eq!(one.to_data(), array.slice(row, 1).to_data(), "{expr}, row {row}");
    }
}

#[track_caller]
fn check(expr: Expr, expected: &str) {
    check_in(&batch(), expr, expected);
}

#[track_caller]
fn check_typed(expr: Expr, data_type: DataType, expected: &str) {
    assert_eq!(expr.data_type(batch().schema_ref()).unwrap(), data_type, "{expr}");
    check(expr, expected);
}

#[track_caller]
fn misfit(expr: Expr, expected: &str) {
    let error = expr.data_type(batch().schema_ref()).expect_err(&expr.to_string());
    assert_eq!((error.kind(), error.message()), (ErrorKind::Plan, expected), "{expr}");
    assert!(Program::new(&[expr], batch().schema_ref()).is_err());
}

#[track_caller]
fn fails(expr: Expr, expected: &str) {
    let batch = batch();
    assert!(expr.can_fail(batch.schema_ref()), "{expr}");
    let error = expr.evaluate(&batch).map(|array| shown(&array)).expect_err(&expr.to_string());
    assert_eq!((error.kind(), error.message()), (ErrorKind::Data, expected), "{expr}");
    let simple = expr.simplified(batch.schema_ref());
    assert!(simple.evaluate(&batch).is_err(), "{simple}");
}

#[test]
fn arithmetic_and_promotion() {
    check(col("a") + 1, "2 - -2");
    check(col("a") * col("b"), "2.0 - -0.0");
    check(col("a") / 2, "0.5 - -1.5");
    check(col("a") / 0, "inf - -inf");
    check(lit(1) - col("b"), "-1.0 0.5 1.0");
    check(1 - col("b"), "-1.0 0.5 1.0");
    check(lit(1) + 2, "3 3 3");
    check(-col("a"), "-1 - 3");
    check(-col("b"), "-2.0 -0.5 -0.0");
    check(col("a").floor_div(2), "0 - -2");
    check(col("a") % 2, "1 - 1");
    check(col("i32").floor_div(col("a")), "7 - 0");
    check(col("i32").floor_div(0), "- - -");
    check(col("i32") % col("i32"), "0 0 -");
    check(lit(-7) % col("b"), "1.0 0.0 NaN");
    check(col("b").floor_div(0.3), "6.0 1.0 0.0");
    check(col("a").wrapping_mul(i64::MAX), "9223372036854775807 - -9223372036854775805");
    check_typed(col("i8").wrapping_add(100), DataType::Int8, "-56 -28 107");
    check_typed(col("i8") + 300, DataType::Int16, "400 172 307");
    check_typed(col("i8") + col("u8"), DataType::Int16, "300 -128 -");
    check_typed(col("i8") - 1_000_000, DataType::Int32, "-999900 -1000128 -999993");
    check_typed(col("u8") + 55, DataType::UInt8, "255 55 -");
    check_typed(col("u8") + 300, DataType::UInt16, "500 300 -");
    check_typed(col("i8") + col("i32"), DataType::Int32, "107 -135 7");
    check_typed(col("f32") * 2, DataType::Float32, "0.2 NaN -0.0");
    check_typed(col("f32") + 0.5, DataType::Float32, "0.6 NaN 0.5");
    check_typed(col("f32") + col("i8"), DataType::Float32, "100.1 NaN 7.0");
    check_typed(col("f32") + col("i32"), DataType::Float64, "7.100000001490116 NaN 0.0");
    check_typed(col("u64") - 1_u64 + 1, DataType::UInt64, "1 2 18446744073709551615");
    check_typed(col("dec") * 2, DataType::Decimal128(17, 2), "2.46 0.10 -");
    check_typed(lit(1) - col("dec"), DataType::Decimal128(16, 2), "-0.23 0.95 -");
    check_typed(col("dec") / 2, DataType::Float64, "0.615 0.025 -");
    check(col("dec").ge(0.05) & col("dec").lt(1.235), "true true -");
    check(col("a") + Value::Null, "- - -");
}

#[test]
fn overflow_is_told_with_its_row() {
    let max = i64::MAX;
    fails(col("a") + max, "row 0: `a + 9223372036854775807` overflows Int64, where `a` is 1");
    fails(col("i8") * 2, "row 0: `i8 * 2` overflows Int8, where `i8` is 100");
    fails(-col("i8"), "row 1: `-i8` overflows Int8, where `i8` is -128");
    fails(col("i8").abs(), "row 1: `abs(i8)` overflows Int8, where `i8` is -128");
    fails(col("i8").floor_div(-1), "row 1: `i8 // -1` overflows Int8, where `i8` is -128");
    fails(
        col("u64") + col("u64"),
        "row 2: `u64 + u64` overflows UInt64, where `u64` is 18446744073709551615 and `u64` is 18446744073709551615",
    );
    fails(col("u8") - 1, "row 1: `u8 - 1` overflows UInt8, where `u8` is 0");
    fails(lit(max) + 1, "row 0: `9223372036854775807 + 1` overflows Int64");
    fails(col("i32").pow(40), "row 0: `pow(i32, 40)` overflows Int32, where `i32` is 7");
    // What lies under a null does not count.
    let hidden: ArrayRef = Arc::new(Int64Array::new(vec![max, 1].into(), Some(vec![false, true].into())));
    let hidden = RecordBatch::try_from_iter([("h", hidden)]).unwrap();
    check_in(&hidden, col("h") + 1, "- 2");
    check_in(&hidden, col("h") * col("h"), "- 1");
}

#[test]
fn comparisons() {
    check(col("a").gt(1), "false - false");
    check(col("b").le(0.5), "false true true");
    check(col("t").eq("x"), "true false -");
    check(col("nan").eq(col("nan")), "false - true");
    check(col("nan").ne(col("nan")), "true - false");
    check(col("nan").lt(2) | col("nan").ge(2), "false - true");
    check(lit(1.0).ge(col("nan")), "false - true");
    check(col("f32").eq(0), "false false true");
    check(col("f32").eq(0.1), "true false false");
    check(col("i8").lt(300), "true true true");
    check(col("u64").gt(-1_i64) & col("i8").lt(i64::MAX), "true true true");
    check(col("d").ge("2024-01-01"), "true false -");
    check(col("d").eq(NaiveDate::from_ymd_opt(2024, 1, 1)), "true false -");
    check(col("ts").ge("2024-01-01"), "true false -");
    check(col("ts").eq(col("d")), "true false -");
    check(col("ts").lt("2024-01-01 00:00:01"), "true true -");
    check(col("p").eq(true), "true false -");
    check(col("a").between(-3, 0), "false - true");
    check(col("a").eq(Value::Null), "- - -");
    misfit(col("t").eq(1), "`t == 1`: `==` does not take Utf8 and Int64: cast one of them");
    misfit(
        col("u64").eq(col("a")),
        "`u64 == a`: `==` does not take UInt64 and Int64: no integer type holds both, cast one of them",
    );
    misfit(col("d").ge("yesterday"), "`d >= \"yesterday\"`: \"yesterday\" cannot be read as Date32");
}

#[test]
fn logic_and_nulls() {
    check(col("t").is_null() | col("a").ge(1), "true - true");
    check(col("a").is_not_null() & true, "true false true");
    check(!col("a").is_null(), "true false true");
    check(col("p") & false, "false false false");
    check(col("p") | true, "true true true");
    check(col("p") & Value::Null, "- false -");
    check(col("p") ^ true, "false true -");
    check(!!(col("p") & col("p")), "true false -");
    check(!(col("a").lt(1) | col("b").lt(1)), "true false false");
    check(col("a").fill_null(0), "1 0 -3");
    check(col("a").fill_null(col("i32")), "1 -7 -3");
    check(col("t").fill_null("none"), "x Yb none");
    check_typed(col("u8").fill_null(300), DataType::UInt16, "200 0 300");
    check(coalesce([col("a"), col("u8").cast(DataType::Int64), lit(5)]), "1 0 -3");
    check(coalesce([lit(5), col("a")]), "5 5 5");
    check(col("nan").is_nan(), "true - false");
    check(col("nan").is_not_nan(), "false - true");
    check(col("a").is_finite(), "true - true");
    check(col("nan").fill_nan(0), "0.0 - 1.0");
    check(col("a").null_if(1), "- - -3");
    check(col("a").mask(col("b").gt(1), 0), "0 - -3");
    check(col("a").where_(col("b").gt(1), Value::Null), "1 - -");
    check(col("a").is_in([1, 7]), "true - false");
    check(col("a").is_in([Some(1), None]), "true - -");
    check(col("a").is_in(0..20), "true - false");
    check(col("t").is_in(["x", "z"]), "true false -");
    check(col("nan").is_in([f64::NAN, 1.0]), "false - true");
    check(col("nan").is_in((1..20).map(f64::from).chain([f64::NAN])), "false - true");
    check(col("f32").is_in([0.0]), "false false true");
    check(col("f32").is_in((0..20).map(f64::from)), "false false true");
    check(col("d").is_in(["2024-01-01"]), "true false -");
    check(col("a").is_in(Vec::<i64>::new()), "false - false");
    check(col("a").clip(0, Value::Null), "1 - 0");
    check(col("b").clip(0.25, 1), "1.0 0.5 0.25");
    check(col("a").replace([(1, 10), (5, 50)]), "10 - -3");
    check(col("t").replace([(Some("x"), "one"), (None, "none")]), "one Yb none");
    check(col("a").replace([(1, 0.5)]), "0.5 - -3.0");
    misfit(col("a").is_in(["x"]), "`is_in(a, [\"x\"])`: it takes values that compare with Int64, and \"x\" does not");
    misfit(!col("a"), "`!a`: `!` needs a Boolean and not a Int64");
    misfit(col("a") & true, "`a & true`: `&` does not take Int64 and Boolean");
}

#[test]
fn conditions() {
    check(when(col("a").gt(0)).then("big").otherwise("small"), "big small small");
    check(when(col("a").gt(0)).then(1), "1 - -");
    check(when(col("a").gt(0)).then(1).when(col("b").gt(0.1)).then(2.5).otherwise(col("i8")), "1.0 2.5 7.0");
    check_typed(when(col("p")).then(col("i8")).otherwise(0), DataType::Int8, "100 0 0");
    check(when(true).then(col("t")).otherwise("n"), "x Yb -");
    // What is not chosen does not fail.
    let safe = when(col("i8").lt(60)).then(col("i8") * 2 + 300).otherwise(0);
    fails(safe, "row 1: `i8 * 2` overflows Int8, where `i8` is -128");
    let guarded = |low: i32| col("i8").gt(low) & col("i8").lt(60);
    check(when(guarded(-60)).then(col("i8") * 2).otherwise(-1), "-1 -1 14");
    check(when(!guarded(-60)).then(-1).otherwise(col("i8") * 2), "-1 -1 14");
    check(when(!guarded(-60)).then(-1).when(col("i8").gt(200)).then(0).otherwise(col("i8") * 2), "-1 -1 14");
    check(when(false).then(col("i8") * 2).otherwise(1), "1 1 1");
    let inner = when(col("i8").lt(60)).then(col("i8") * 2).otherwise(0);
    check(when(col("i8").gt(-60)).then(inner.clone()).otherwise(9), "0 9 14");
    // The same part outside of the condition fails for all.
    assert!((when(guarded(-60)).then(col("i8") * 2).otherwise(-1) + col("i8") * 2).evaluate(&batch()).is_err());
    let text = when(col("t").str().is_digit()).then(col("t").cast(DataType::Int64)).otherwise(0);
    check(text, "0 0 0");
    misfit(when(col("a")).then(1), "`when(a, 1)`: a condition has to be a Boolean, and one is a Int64");
    misfit(
        when(col("p")).then(1).otherwise("x"),
        "`when(p, 1).otherwise(\"x\")`: no type holds Int64 and Utf8: cast some of them",
    );
    misfit(
        col("a").otherwise(1),
        "`invalid(a, \"`otherwise` goes after `when(…).then(…)` only\")`: `otherwise` goes after `when(…).then(…)` only",
    );
}

#[test]
fn casts() {
    check(col("a").cast(DataType::Utf8), "1 - -3");
    check(col("b").cast(DataType::Int32), "2 0 0");
    check(col("t").try_cast(DataType::Int64), "- - -");
    check(col("nan").try_cast(DataType::Int64), "- - 1");
    check(lit("12").cast(DataType::Int8), "12 12 12");
    check(col("d").cast(DataType::Timestamp(TimeUnit::Second, None)), "2024-01-01T00:00:00 1970-01-01T00:00:00 -");
    check(col("p").cast(DataType::Int8), "1 0 -");
    fails(col("t").cast(DataType::Int64), "row 0: `cast(t as Int64)` cannot be read as Int64, where `t` is \"x\"");
    fails(col("nan").cast(DataType::Int64), "row 0: `cast(nan as Int64)` does not fit into Int64, where `nan` is NaN");
    fails(col("i8").cast(DataType::UInt8), "row 1: `cast(i8 as UInt8)` does not fit into UInt8, where `i8` is -128");
    assert!(!col("i8").cast(DataType::Int16).can_fail(batch().schema_ref()));
    misfit(col("p").cast(DataType::Date32), "`cast(p as Date32)`: there is no cast from Boolean to Date32");
}

#[test]
fn math() {
    check(col("b").sqrt(), "1.4142135623730951 0.7071067811865476 0.0");
    check_typed(col("f32").abs(), DataType::Float32, "0.1 NaN 0.0");
    check(col("a").abs(), "1 - 3");
    check(col("a").sign(), "1 - -1");
    check(col("b").pow(2), "4.0 0.25 0.0");
    check_typed(col("i32").pow(2), DataType::Int32, "49 49 0");
    check_typed(col("i32").pow(-1), DataType::Float64, "0.14285714285714285 -0.14285714285714285 inf");
    check(col("a").pow(3), "1 - -27");
    check(lit(2).pow(col("a")), "2.0 - 0.125");
    check((col("b") + 0.5).round(0), "2.0 1.0 0.0");
    check((col("b") * 1.25).round(1), "2.5 0.6 0.0");
    check((col("i32") * 10 + 5).round(-1), "80 -60 0");
    check(col("a").ln().exp().round(6), "1.0 - NaN");
    check(col("b").log(2), "1.0 -1.0 -inf");
    check(col("b").atan2(1).round(3), "1.107 0.464 0.0");
    check(col("b").hypot(1.5).round(3), "2.5 1.581 1.5");
    check(col("b").degrees().radians(), "2.0 0.5 0.0");
    check((col("b") - 1).floor() + (col("b") - 1).ceil() * 10 + (col("b") - 1).trunc() * 100, "111.0 -1.0 -111.0");
    check(min_horizontal([col("a"), col("i32")]), "1 -7 -3");
    check(max_horizontal([col("nan"), col("b"), lit(0.75)]), "2.0 0.75 1.0");
    check(min_horizontal([col("nan"), col("nan")]), "NaN - 1.0");
    check(max_horizontal([col("t"), lit("a")]), "x a a");
    check(sum_horizontal([col("a"), col("i8"), lit(1)]), "102 -127 5");
    check(any_horizontal([col("p"), lit(false)]), "true false false");
    check(all_horizontal([col("p"), lit(true)]), "true false true");
    misfit(col("t").sqrt(), "`sqrt(t)`: it takes numbers, not Utf8");
    misfit(col("t") + 1, "`t + 1`: `+` does not take Utf8 and Int64: cast the text to a number");
}

#[test]
fn names_columns_and_texts() {
    let expr = (col("b") / col("a")).mean().alias("m");
    assert_eq!((&*expr.output_name(), &*(col("b") / col("a")).output_name()), ("m", "b"));
    assert_eq!(expr.columns().into_iter().collect::<Vec<_>>(), ["a".into(), "b".into()]);
    assert!(expr.has_aggregate() && expr.as_aggregate().is_some());
    let name = |expr: Expr| expr.output_name().to_string();
    assert_eq!(name(1 - col("b")), "b");
    assert_eq!(name(when(col("a").gt(1)).then(1).otherwise(2)), "a");
    assert_eq!(name(size()), "size");
    assert_eq!(name(lit(1) + 2), "literal");
    assert_eq!(name(col("a").alias("x").prefix("p_").suffix("_s")), "p_x_s");
    let text = |expr: Expr| expr.to_string();
    assert_eq!(text(col("a b").eq(col("true"))), "col(\"a b\") == col(\"true\")");
    assert_eq!(text(-lit(1)), "-(1)");
    assert_eq!(text(lit(-1)), "-1");
    assert_eq!(text(-(col("a") + 1)), "-(a + 1)");
    assert_eq!(text(!col("a").is_null()), "!(a is null)");
    assert_eq!(text((!col("a")).is_null()), "!a is null");
    assert_eq!(text(lit(u64::MAX)), "UInt64(18446744073709551615)");
    assert_eq!(text(lit(NaiveDate::from_ymd_opt(2024, 2, 29))), "Date32(2024-02-29)");
    assert_eq!(text(lit(1.0) + lit(f64::NAN)), "1.0 + NaN");
    assert_eq!(text(col("x").std_with(0)), "std(x, ddof 0)");
    assert_eq!(text(size().filter_by(col("x").gt(1))), "size(where x > 1)");
    assert_eq!(text(corr("a", col("b"))), "corr(\"a\", b)");
    assert_eq!(text(col("t").str().pad_start(3, '0').cast(DataType::Int8)), "cast(pad_start(t, 3, '0') as Int8)");
    assert_eq!(text(col("s").field("x").list().get(-1)), "list_get(field(s, \"x\"), -1)");
    assert_eq!(format!("{:?}", col("a") + 1), "a + 1");
}

#[test]
fn equal_by_bits() {
    assert_eq!(lit(f64::NAN), lit(f64::NAN));
    assert_ne!(lit(0.0), lit(-0.0));
    assert_ne!(lit(1), lit(1.0));
    let double = |x: f64| 2.0 * x;
    let (one, other) = (col("a").map("double", double), col("a").map("double", double));
    assert_eq!(one, one.clone());
    assert_ne!(one, other);
    assert_ne!(one.to_string(), other.to_string());
    let hash = |expr: &Expr| {
        use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
        BuildHasherDefault::<DefaultHasher>::default().hash_one(expr)
    };
    assert_eq!(hash(&(col("a") + 1.5)), hash(&(col("a") + 1.5)));
    assert_ne!(hash(&(col("a") + 1.5)), hash(&(col("a") + 2.5)));
}

#[test]
fn users_functions() {
    check(col("a").map("double", |x: i64| 2 * x), "2 - -6");
    check(col("i8").map("half", |x: f64| x / 2.0), "50.0 -64.0 3.5");
    check(col("t").map_text("len", |text| text.len() as u64), "1 2 -");
    check(col("t").map("twice", |text: String| (text != "x").then(|| text.repeat(2))), "- YbYb -");
    let sum = map_arrays("sum", [col("a"), lit(1)], DataType::Int64, |arrays| {
        arrow::compute::kernels::numeric::add(&arrays[0], &arrays[1])
    });
    check(sum.clone(), "2 - -2");
    assert!(!sum.is_deterministic() && sum.can_fail(batch().schema_ref()));
    let error = col("t").map("x", |x: i64| x).data_type(batch().schema_ref()).unwrap_err();
    assert!(error.message().ends_with("the function takes Int64 and not Utf8: cast it first"), "{error}");
    let wrong = col("a").map_arrays("wrong", DataType::Utf8, |arrays| Ok::<_, crate::Error>(arrays[0].clone()));
    let error = wrong.evaluate(&batch()).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Task, "`wrong` gave Int64 where it promised Utf8"));
}

#[test]
fn misfits_of_aggregates() {
    misfit(col("t").mean(), "`mean` of `t`, which is Utf8");
    misfit(
        col("A").sum(),
        "column `A` not found; columns are a, b, t, i8, u8, i32, u64, f32, nan, p, d, ts, dec (did you mean `a`?)",
    );
    misfit(col("a").sum().mean(), "`mean(sum(a))` is an aggregate of an aggregate: compute the inner one first");
    misfit(col("a").sum().filter_by(col("a")), "`sum(a where a)`: its rows are chosen by a Int64 and no condition");
    misfit(
        col("a").filter_by(col("p")),
        "`invalid(a, \"`filter_by` takes the rows of an aggregate, and there is none\")`: `filter_by` takes the rows of an aggregate, and there is none",
    );
    let typed = |expr: Expr| expr.data_type(batch().schema_ref()).unwrap();
    assert_eq!(typed(col("i8").sum()), DataType::Int64);
    assert_eq!(typed(col("u8").sum()), DataType::UInt64);
    assert_eq!(typed(col("f32").sum() / size()), DataType::Float64);
    assert_eq!(typed(col("dec").sum()), DataType::Decimal128(38, 2));
    assert_eq!(typed(col("d").max()), DataType::Date32);
    assert_eq!(typed(corr(col("a"), col("b"))), DataType::Float64);
    let error = col("a").sum().evaluate(&batch()).unwrap_err();
    assert_eq!(error.message(), "`sum(a)` has an aggregate in it");
}

#[test]
fn rewriting() {
    let schema = batch().schema();
    let expanded = |expr: Expr| -> Vec<String> { expr.expand(&schema).unwrap().iter().map(Expr::to_string).collect() };
    assert_eq!(expanded(cols(["b", "a"]) * 2), ["b * 2", "a * 2"]);
    assert_eq!(expanded(floats().sum()), ["sum(b)", "sum(f32)", "sum(nan)"]);
    assert_eq!(expanded(integers().intersection(cols_matching("8$"))), ["i8", "u8"]);
    assert_eq!(expanded(numeric().exclude(["a"]).difference(floats())), ["i8", "u8", "i32", "u64", "dec"]);
    assert_eq!(expanded(text().union(booleans()).union(by_type(DataType::Date32))), ["t", "p", "d"]);
    assert_eq!(expanded(cols(["a", "b"]) / cols(["b", "a"]).sum()), ["a / sum(b)", "b / sum(a)"]);
    assert_eq!(expanded(max_horizontal([floats(), lit(1)])), ["max_horizontal(b, f32, nan, 1)"]);
    assert_eq!(expanded(col("a") + 1), ["a + 1"]);
    assert_eq!(all().expand(&schema).unwrap().len(), 13);
    assert_eq!(exclude(["a"]).expand(&schema).unwrap().len(), 12);
    let wrong = |expr: Expr| expr.expand(&schema).unwrap_err().message().to_string();
    assert!(wrong(cols(["a", "bb"])).ends_with("(did you mean `b`?)"));
    assert!(wrong(exclude(["q"])).starts_with("column `q` not found"));
    assert!(wrong(cols_matching("(")).contains("is no regular expression"));
    assert!(wrong(floats() + integers()).contains("these have 3 and 5"));

    let parts: Vec<String> =
        (col("p") & col("q") & (col("r") & col("s"))).conjuncts().iter().map(Expr::to_string).collect();
    assert_eq!(parts, ["p", "q", "r", "s"]);
    let parameter = Parameter { id: 7, label: "mean".into(), data_type: DataType::Float64 };
    let expr = col("a") - Expr::Parameter(parameter.clone());
    assert_eq!((expr.to_string().as_str(), expr.parameters()), ("a - $mean@7", vec![parameter]));
    assert_eq!(expr.data_type(&schema).unwrap(), DataType::Float64);
    assert!(expr.evaluate(&batch()).is_err());
    check(expr.bind(&|id| (id == 7).then_some(Value::Int(1))), "0.0 - -4.0");
    let pushed = (col("x").gt(1)).substitute(&|name| (name == "x").then(|| (col("a") * 2).alias("x")));
    assert_eq!(pushed.to_string(), "(a * 2) > 1 as x");

    let range = (col("v1").max() - col("v2").min()).alias("range");
    let split = split_aggregates(&[range, size() + col("v2").min(), col("k")]);
    assert_eq!(split.aggregates.len(), 3);
    let outputs: Vec<String> = split.outputs.iter().map(Expr::to_string).collect();
    assert_eq!(outputs, ["__aggregate_0 - __aggregate_1 as range", "__aggregate_2 + __aggregate_1 as v2", "k"]);
}

#[test]
fn simpler_forms() {
    let schema = batch().schema();
    let simple = |expr: Expr| expr.simplified(&schema).to_string();
    assert_eq!(simple(!(col("a").lt(1))), "a >= 1");
    assert_eq!(simple(!(col("b").lt(1))), "!(b < 1)");
    assert_eq!(simple(!(col("b").eq(1))), "b != 1");
    assert_eq!(simple(!col("a").is_null()), "a is not null");
    assert_eq!(simple(col("p") & true), "p");
    assert_eq!(simple(col("p") & false), "false as p");
    assert_eq!(simple((col("a") + 1).gt(1) & false), "((a + 1) > 1) & false");
    assert_eq!(simple(col("a").gt(lit("12").cast(DataType::Int64))), "a > Int64(12)");
    assert_eq!(simple(col("a").cast(DataType::Int64)), "a");
    assert_eq!(simple((col("a").alias("z") + 1).alias("y")), "a + 1 as y");
    assert_eq!(simple(col("a").alias("z") + 1), "a + 1 as z");
    assert_eq!(simple(when(false).then(col("a")).otherwise(col("a").alias("q"))), "a");
    assert_eq!(simple(col("i8") + (lit(1) + 2)), "i8 + Int64(3)");
    assert_eq!(simple(lit(i64::MAX) + 1), "9223372036854775807 + 1");
}

/// In a thread with a small stack: whatever recursed would end it.
#[test]
fn as_deep_as_memory_goes() {
    const DEEP: usize = 10_000;
    let run = || {
        let batch = batch();
        let schema = batch.schema();
        let mut sum = col("b");
        let mut condition = col("p");
        let mut case = col("a");
        for at in 0..DEEP {
            sum = if at % 2 == 0 { sum + col("b") } else { lit(1.0) * sum };
            condition = !(condition & col("b").gt(0));
            case = when(col("a").eq(at as i64)).then(at as i64).otherwise(case);
        }
        let mut deepest = col("b");
        for _ in 0..100_000 {
            deepest = -(deepest + 1);
        }
        assert!(deepest.to_string().len() > 100_000 && deepest.columns().len() == 1);
        deepest.data_type(&schema).unwrap();
        assert_eq!(sum, sum.rebuild(|part| part));
        for expr in [&sum, &condition, &case] {
            expr.data_type(&schema).unwrap();
            assert!(!expr.can_fail(&schema));
            let rebuilt = expr.substitute(&|_| None);
            assert!(rebuilt == *expr);
            let value = expr.evaluate(&batch).unwrap();
            assert_eq!(expr.simplified(&schema).evaluate(&batch).unwrap().len(), value.len());
        }
        let mut shared = col("b");
        for _ in 0..64 {
            shared = shared.clone() + shared;
        }
        assert_eq!(shared.data_type(&schema).unwrap(), DataType::Float64);
        assert_eq!(shown(&shared.evaluate(&batch).unwrap()), "3.6893488147419103e19 9.223372036854776e18 0.0");
        assert!(shared == shared.clone() && shared.simplified(&schema) == shared);
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap();
}

/// Expressions of which each level stands twice in the next one: as text, of 2^60 parts.
fn doubled(start: Expr, twice: impl Fn(Expr, Expr) -> Expr) -> Expr {
    (0..60).fold(start, |expr, _| twice(expr.clone(), expr))
}

#[test]
fn shared_parts_are_seen_once() {
    let batch = batch();
    let schema = batch.schema();
    type Twice = dyn Fn(Expr, Expr) -> Expr;
    let twice: [(&str, &Twice); 5] = [
        ("b", &|a, b| (a + b) / 2),
        ("b", &|a, b| max_horizontal([a, b])),
        ("b", &|a, b| when(col("p")).then(a).otherwise(b)),
        ("p", &|a, b| (a & col("b").gt(0)) | (b & col("b").le(0))),
        ("p", &|a, b| a & b),
    ];
    for (name, twice) in twice {
        let expr = doubled(col(name), twice);
        assert!(expr.brief().len() < 300);
        assert_eq!(expr.columns().first().map(|name| name.len()), Some(1));
        assert!(expr == doubled(col(name), twice) && expr != doubled(col("f32"), twice));
        assert!(!expr.has_aggregate() && !expr.conjuncts().is_empty());
        let value = shown(&expr.evaluate(&batch).unwrap());
        assert_eq!(expr.data_type(&schema).unwrap(), *batch.column_by_name(name).unwrap().data_type());
        let split = split_aggregates(&[expr.clone().max().alias("m"), doubled(col(name).max(), twice)]);
        assert_eq!((split.aggregates.len(), split.outputs.len()), (2, 2));
        // However often it is made anew, it does not grow.
        let mut again = expr.expand(&schema).unwrap().pop().unwrap();
        for _ in 0..30 {
            again = again.substitute(&|name| Some(col(name)));
            again = again.simplified(&schema);
        }
        assert_eq!(shown(&again.evaluate(&batch).unwrap()), value);
        assert!(expr.substitute(&|column| Some(col(column).alias("x"))) == expr);
        let all = doubled(by_type(DataType::Float64), twice);
        // A function of any number takes both columns.
        let many = all.expand(&schema).unwrap().len();
        assert!(many == 2 || many == 1 && all.brief().starts_with("max_horizontal"));
        let program = Program::new(&[expr.clone(), again], &schema).unwrap();
        assert!(format!("{program:?}").len() < 700);
    }
}

#[test]
fn shared_parts_that_may_fail_in_branches_end() {
    let schema = batch().schema();
    // Each of the branches of the branches has rows of its own for which the sum may fail.
    let expr = (0..60).fold(col("a") + 1, |expr, at| when(col("a").gt(at)).then(expr.clone() + 1).otherwise(expr));
    let error = Program::new(std::slice::from_ref(&expr), &schema).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Plan);
    let told = "stand in more than 262144 branches of `when`: compute what the branches share as a column before";
    assert!(error.message().ends_with(told), "{error}");
}
