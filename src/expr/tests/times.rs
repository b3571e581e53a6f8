//! Dates, timestamps, times of day and durations.

use chrono::{NaiveDateTime, TimeDelta};

use super::*;

fn at(text: &str) -> i64 {
    NaiveDateTime::parse_from_str(text, "%F %T%.f").unwrap().and_utc().timestamp_micros()
}

fn times() -> RecordBatch {
    let stamps = ["2024-02-29 23:59:59.123456", "1969-12-31 22:30:00", "2021-01-03 00:00:00", "2023-12-31 12:00:00"];
    let micros: Vec<Option<i64>> = stamps.iter().map(|text| Some(at(text))).chain([None]).collect();
    let millis: Vec<Option<i64>> = micros.iter().map(|micros| micros.map(|micros| micros.div_euclid(1000))).collect();
    let days: Vec<Option<i32>> =
        micros.iter().map(|micros| micros.map(|micros| micros.div_euclid(86_400_000_000) as i32)).collect();
    let texts = ["2024-02-29 23:59:59", "1970-01-01 00:00:00", "2021-1-3 0:0:0", "x", ""];
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("ts", Arc::new(TimestampMicrosecondArray::from(micros.clone()))),
        ("ms", Arc::new(TimestampMillisecondArray::from(millis))),
        ("z", Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("+02:00"))),
        ("d", Arc::new(Date32Array::from(days))),
        ("t", Arc::new(StringArray::from(texts.to_vec()))),
        ("u", Arc::new(DurationSecondArray::from(vec![Some(90), Some(-86_400), Some(0), Some(3_600), None]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

#[track_caller]
fn gives(expr: Expr, expected: &str) {
    check_in(&times(), expr, expected);
}

fn ts() -> TimeExpr {
    col("ts").dt()
}

#[test]
fn parts() {
    gives(ts().year(), "2024 1969 2021 2023 -");
    gives(ts().iso_year(), "2024 1970 2020 2023 -");
    gives(ts().quarter(), "1 4 1 4 -");
    gives(ts().month(), "2 12 1 12 -");
    gives(ts().week(), "9 1 53 52 -");
    gives(ts().day(), "29 31 3 31 -");
    gives(ts().weekday(), "3 2 6 6 -");
    gives(ts().ordinal_day(), "60 365 3 365 -");
    gives(ts().hour(), "23 22 0 12 -");
    gives(col("z").dt().hour(), "1 0 2 14 -");
    gives(col("z").dt().date(), "2024-03-01 1970-01-01 2021-01-03 2023-12-31 -");
    gives(ts().minute(), "59 30 0 0 -");
    gives(ts().second(), "59 0 0 0 -");
    gives(ts().millisecond(), "123 0 0 0 -");
    gives(ts().microsecond(), "123456 0 0 0 -");
    gives(ts().date(), "2024-02-29 1969-12-31 2021-01-03 2023-12-31 -");
    gives(ts().time(), "23:59:59.123456 22:30:00 00:00:00 12:00:00 -");
    gives(ts().time().dt().hour(), "23 22 0 12 -");
    gives(ts().days_in_month(), "29 31 31 31 -");
    gives(ts().is_month_end(), "true true false true -");
    gives(ts().is_year_end(), "false true false true -");
    gives(ts().is_quarter_start(), "false false false false -");
    gives(ts().is_leap_year(), "true false false false -");
    gives(col("d").dt().year(), "2024 1969 2021 2023 -");
    gives(ts().timestamp(TimeUnit::Second), "1709251199 -5400 1609632000 1704024000 -");
    gives(ts().strftime("%d.%m.%y %H:%M"), "29.02.24 23:59 31.12.69 22:30 03.01.21 00:00 31.12.23 12:00 -");
    gives(col("z").dt().strftime("%H%z"), "01+0200 00+0200 02+0200 14+0200 -");
    gives(col("d").dt().day_name(), "Thursday Wednesday Sunday Sunday -");
    gives(ts().month_name(), "February December January December -");
    gives(col("u").dt().total_minutes(), "1.5 -1440.0 0.0 60.0 -");
    gives(col("u").dt().total_days(), "0.0010416666666666667 -1.0 0.0 0.041666666666666664 -");
    gives(col("u").dt().total_milliseconds(), "90000.0 -86400000.0 0.0 3600000.0 -");
}

#[test]
fn periods() {
    let shown = |expr: Expr, expected: &str| gives(expr.dt().strftime("%F_%T"), expected);
    shown(ts().truncate("15m"), "2024-02-29_23:45:00 1969-12-31_22:30:00 2021-01-03_00:00:00 2023-12-31_12:00:00 -");
    shown(ts().floor("1h"), "2024-02-29_23:00:00 1969-12-31_22:00:00 2021-01-03_00:00:00 2023-12-31_12:00:00 -");
    shown(ts().truncate("1d"), "2024-02-29_00:00:00 1969-12-31_00:00:00 2021-01-03_00:00:00 2023-12-31_00:00:00 -");
    shown(ts().truncate("1w"), "2024-02-26_00:00:00 1969-12-29_00:00:00 2020-12-28_00:00:00 2023-12-25_00:00:00 -");
    shown(ts().truncate("1mo"), "2024-02-01_00:00:00 1969-12-01_00:00:00 2021-01-01_00:00:00 2023-12-01_00:00:00 -");
    shown(ts().truncate("1q"), "2024-01-01_00:00:00 1969-10-01_00:00:00 2021-01-01_00:00:00 2023-10-01_00:00:00 -");
    shown(ts().truncate("5y"), "2020-01-01_00:00:00 1965-01-01_00:00:00 2020-01-01_00:00:00 2020-01-01_00:00:00 -");
    shown(ts().ceil("1d"), "2024-03-01_00:00:00 1970-01-01_00:00:00 2021-01-03_00:00:00 2024-01-01_00:00:00 -");
    shown(ts().ceil("1mo"), "2024-03-01_00:00:00 1970-01-01_00:00:00 2021-02-01_00:00:00 2024-01-01_00:00:00 -");
    shown(ts().round("1d"), "2024-03-01_00:00:00 1970-01-01_00:00:00 2021-01-03_00:00:00 2024-01-01_00:00:00 -");
    shown(ts().offset_by("1mo1d"), "2024-03-30_23:59:59 1970-02-01_22:30:00 2021-02-04_00:00:00 2024-02-01_12:00:00 -");
    shown(ts().offset_by("-1y"), "2023-02-28_23:59:59 1968-12-31_22:30:00 2020-01-03_00:00:00 2022-12-31_12:00:00 -");
    // In the zone it has.
    shown(
        col("z").dt().truncate("1d"),
        "2024-03-01_00:00:00 1970-01-01_00:00:00 2021-01-03_00:00:00 2023-12-31_00:00:00 -",
    );
    gives(col("d").dt().truncate("1mo"), "2024-02-01 1969-12-01 2021-01-01 2023-12-01 -");
    gives(col("d").dt().offset_by("1w"), "2024-03-07 1970-01-07 2021-01-10 2024-01-07 -");
    let plan = |expr: Expr| expr.data_type(times().schema_ref()).unwrap_err().message().to_string();
    assert!(plan(ts().truncate("1h30m7")).contains("is no time: it is made of numbers and units"));
    assert!(plan(ts().truncate("1mo1d")).contains("is no period: it takes one unit"));
    assert!(plan(col("ms").dt().truncate("1us")).contains("is not a whole number of the units"));
    assert!(plan(col("u").dt().year()).contains("has no year"));
    assert!(plan(ts().to_zone("+01:00")).contains("has no time zone: say which one with localize"));
}

#[test]
fn arithmetic() {
    let typed = |expr: Expr| expr.data_type(times().schema_ref()).unwrap();
    gives((col("d") - NaiveDate::from_ymd_opt(2024, 2, 28)).dt().total_days(), "1.0 -19782.0 -1151.0 -59.0 -");
    assert_eq!(typed(col("d") - col("d")), DataType::Duration(TimeUnit::Second));
    assert_eq!(typed(col("ts") - col("ms")), DataType::Duration(TimeUnit::Microsecond));
    assert_eq!(typed(col("ts") + col("u")), DataType::Timestamp(TimeUnit::Microsecond, None));
    assert_eq!(typed(col("d") + TimeDelta::hours(1)), DataType::Timestamp(TimeUnit::Microsecond, None));
    gives((col("ts") - col("ms")).dt().total_microseconds(), "456.0 0.0 0.0 0.0 -");
    gives((col("ts") + col("u")).dt().strftime("%d_%T"), "01_00:01:29 30_22:30:00 03_00:00:00 31_13:00:00 -");
    gives((col("d") + TimeDelta::hours(1)).dt().hour(), "1 1 1 1 -");
    gives(col("u") / TimeDelta::minutes(1), "1.5 -1440.0 0.0 60.0 -");
    gives((-col("u")).dt().total_seconds(), "-90.0 86400.0 0.0 -3600.0 -");
    assert_eq!(typed(col("u") * 3), DataType::Duration(TimeUnit::Second));
    gives((col("u") * 3).dt().total_seconds(), "270.0 -259200.0 0.0 10800.0 -");
    gives((lit(-2) * col("u")).dt().total_seconds(), "-180.0 172800.0 0.0 -7200.0 -");
    gives((col("u") * 0.25).dt().total_seconds(), "23.0 -21600.0 0.0 900.0 -");
    gives((col("u") / 7).dt().total_seconds(), "13.0 -12343.0 0.0 514.0 -");
    gives((col("u") / 0).dt().total_seconds(), "- - - - -");
    gives((col("u") * (col("u") / col("u"))).dt().total_seconds(), "90.0 -86400.0 - 3600.0 -");
    let error = (col("u") * i64::MAX).evaluate(&times()).unwrap_err();
    assert!(error.message().starts_with("row 0: `u * 9223372036854775807` overflows Duration"), "{error}");
    gives((col("u") * f64::NAN).dt().total_seconds(), "- - - - -");
    assert!((col("u") * f64::INFINITY).evaluate(&times()).is_err());
    let error = (col("u") * 1e18).evaluate(&times()).unwrap_err();
    assert!(error.message().contains("overflows Duration"), "{error}");
    assert!((lit(1) / col("u")).data_type(times().schema_ref()).is_err());
    assert!((col("ts") * 2).data_type(times().schema_ref()).is_err());
    gives(col("ts").gt(col("d")), "true true false true -");
    gives(col("ts").eq(col("ms")), "false true true true -");
    gives(col("ts").max_of(col("ms")), "true true true true -");
    assert!((col("ts") + col("d")).data_type(times().schema_ref()).is_err());
    assert!(col("z").gt(col("ts")).data_type(times().schema_ref()).is_err());
}

trait MaxOf {
    fn max_of(self, other: Expr) -> Expr;
}

impl MaxOf for Expr {
    /// Whether it is the greater of both.
    fn max_of(self, other: Expr) -> Expr {
        max_horizontal([self.clone(), other]).eq(self)
    }
}

#[test]
fn read_from_text() {
    let t = || col("t").str();
    gives(
        t().to_datetime_lossy("%Y-%m-%d %H:%M:%S"),
        "2024-02-29T23:59:59 1970-01-01T00:00:00 2021-01-03T00:00:00 - -",
    );
    gives(t().to_datetime_lossy("%F %T"), "2024-02-29T23:59:59 1970-01-01T00:00:00 2021-01-03T00:00:00 - -");
    gives(t().to_date_lossy("%F %T"), "2024-02-29 1970-01-01 2021-01-03 - -");
    gives(t().head(10).str().to_date_lossy("%Y-%m-%d"), "2024-02-29 1970-01-01 - - -");
    gives(lit("2024-02-30").str().to_date_lossy("%F"), "- - - - -");
    gives(lit("03/04/24 5:00PM").str().to_datetime("%d/%m/%y %I:%M%p"), ["2024-04-03T17:00:00"; 5].join(" ").as_str());
    gives(lit("2024-01-01 12:00+0200").str().to_datetime("%F %H:%M%z"), ["2024-01-01T10:00:00Z"; 5].join(" ").as_str());
    let error = t().to_datetime("%F %T").evaluate(&times()).unwrap_err();
    assert_eq!(error.message(), "row 3: `to_datetime(t, \"%F %T\")` cannot be read by \"%F %T\", where `t` is \"x\"");
}

#[test]
fn zones() {
    gives(col("z").dt().to_zone("-01:00").dt().hour(), "22 21 23 11 -");
    gives(ts().localize("+02:00").dt().hour(), "23 22 0 12 -");
    gives(ts().localize("+02:00").dt().timestamp(TimeUnit::Second), "1709243999 -12600 1609624800 1704016800 -");
    gives(ts().with_unit(TimeUnit::Second).dt().microsecond(), "0 0 0 0 -");
    let named = ts().localize("Europe/Berlin").data_type(times().schema_ref());
    match cfg!(feature = "timezones") {
        true => assert!(named.is_ok()),
        false => assert!(named.unwrap_err().message().ends_with("names of time zones need the feature `timezones`")),
    }
}

#[test]
fn times_beyond_the_calendar() {
    let far: Vec<(&str, ArrayRef)> = vec![
        ("d", Arc::new(Date32Array::from(vec![i32::MAX, i32::MIN, 0]))),
        ("d64", Arc::new(Date64Array::from(vec![i64::MAX, i64::MIN, 0]))),
        ("s", Arc::new(TimestampSecondArray::from(vec![i64::MAX, i64::MIN, 0]))),
        ("ms", Arc::new(TimestampMillisecondArray::from(vec![i64::MAX, i64::MIN, 0]))),
        ("us", Arc::new(TimestampMicrosecondArray::from(vec![i64::MAX, i64::MIN, 0]))),
        ("z", Arc::new(TimestampSecondArray::from(vec![i64::MAX, i64::MIN, 0]).with_timezone("+02:00"))),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(far.into_iter().map(|(name, array)| (name, array, true)));
    let batch = batch.unwrap();
    for name in ["d", "d64", "s", "ms", "us", "z"] {
        let of = || col(name).dt();
        let taken = [
            of().year(),
            of().iso_year(),
            of().quarter(),
            of().month(),
            of().week(),
            of().day(),
            of().weekday(),
            of().ordinal_day(),
            of().hour(),
            of().minute(),
            of().second(),
            of().millisecond(),
            of().microsecond(),
            of().nanosecond(),
            of().days_in_month(),
            of().is_month_start(),
            of().is_month_end(),
            of().is_quarter_start(),
            of().is_quarter_end(),
            of().is_year_start(),
            of().is_year_end(),
            of().is_leap_year(),
            of().time(),
            of().strftime("%F"),
            of().day_name(),
            of().month_name(),
        ];
        for expr in taken {
            let found = expr.evaluate(&batch).unwrap_or_else(|error| panic!("{expr}: {error}"));
            assert_eq!((found.is_null(0), found.is_null(1), found.is_null(2)), (true, true, false), "{expr}");
        }
        if !name.starts_with('d') {
            let dates = of().date().evaluate(&batch).unwrap();
            assert_eq!((dates.is_null(0), dates.is_null(1), dates.is_null(2)), (true, true, false), "{name}");
        }
        let changed = [
            of().truncate("1d"),
            of().truncate("1mo"),
            of().ceil("1w"),
            of().round("1y"),
            of().truncate("1h"),
            of().offset_by("-1d"),
            of().offset_by("1mo"),
            of().offset_by("1h"),
        ];
        for expr in changed {
            for row in 0..2 {
                let error =
                    expr.evaluate(&batch.slice(row, 2)).map(|array| shown(&array)).expect_err(&expr.to_string());
                assert_eq!(error.kind(), ErrorKind::Data, "{expr}: {error}");
                assert!(error.message().starts_with(&format!("row 0: `{expr}` ")), "{error}");
            }
            assert!(expr.evaluate(&batch.slice(2, 1)).is_ok());
        }
    }
    // Units that the count does not fit in, and those it does.
    for (name, unit, fails) in [
        ("s", TimeUnit::Second, false),
        ("s", TimeUnit::Millisecond, true),
        ("d", TimeUnit::Millisecond, false),
        ("d", TimeUnit::Microsecond, true),
        ("us", TimeUnit::Second, false),
        ("us", TimeUnit::Nanosecond, true),
        ("z", TimeUnit::Nanosecond, true),
    ] {
        for expr in [col(name).dt().timestamp(unit), col(name).dt().with_unit(unit)] {
            match expr.evaluate(&batch) {
                Ok(found) => assert!(!fails && found.null_count() == 0, "{expr}"),
                Err(error) => assert!(fails && error.kind() == ErrorKind::Data, "{expr}: {error}"),
            }
        }
    }
    assert!(col("d").dt().localize("+02:00").evaluate(&batch).unwrap_err().message().starts_with("row 0: `localize(d"));
}

#[test]
fn a_time_beyond_the_calendar_is_named_by_its_count() {
    let day: ArrayRef = Arc::new(Date32Array::from(vec![0, i32::MAX]));
    let second: ArrayRef = Arc::new(TimestampSecondArray::from(vec![0, i64::MAX]));
    let batch = RecordBatch::try_from_iter([("d", day), ("s", second)]).unwrap();
    for (expr, wanted) in [
        (col("d").cast(DataType::Utf8), "row 1: `cast(d as Utf8)` cannot be Utf8, where `d` is Date32(2147483647)"),
        (
            col("s").dt().truncate("1d"),
            "row 1: `truncate(s, \"1d\")` is beyond the calendar, where `s` is Timestamp(s)(9223372036854775807)",
        ),
    ] {
        assert!(expr.can_fail(batch.schema_ref()));
        assert_eq!(expr.evaluate(&batch).unwrap_err().message(), wanted);
    }
}
