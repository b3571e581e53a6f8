//! Functions of dates, times and durations, as data, and those that take something out of them.

use std::fmt::Write;
use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int32Array, Int64Array, StringBuilder, Time64MicrosecondArray,
};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::{CastOptions, DatePart, cast, cast_with_options, date_part};
use arrow::datatypes::{DataType, Date32Type, Int64Type, TimeUnit};
use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, Offset, TimeZone};

use super::super::types::{Known, cast_can_fail, is_temporal};
use super::super::{Expr, Function};
use super::{Failure, Misfit, Outcome, Planned, defect, time_round};

/// A part of a date or a time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimePart {
    /// The year.
    Year,
    /// The year to which the ISO week belongs.
    IsoYear,
    /// 1 to 4.
    Quarter,
    /// 1 to 12.
    Month,
    /// The ISO week, 1 to 53.
    Week,
    /// 1 to 31.
    Day,
    /// The day of the week: 0 for Monday to 6 for Sunday.
    Weekday,
    /// The day of the year, 1 to 366.
    OrdinalDay,
    /// 0 to 23.
    Hour,
    /// 0 to 59.
    Minute,
    /// 0 to 59.
    Second,
    /// Of the second, 0 to 999.
    Millisecond,
    /// Of the second, 0 to 999 999.
    Microsecond,
    /// Of the second, 0 to 999 999 999.
    Nanosecond,
    /// Days of its month, 28 to 31.
    DaysInMonth,
}

/// What may be said of a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeFlag {
    /// The first day of a month.
    MonthStart,
    /// The last day of a month.
    MonthEnd,
    /// The first day of a quarter.
    QuarterStart,
    /// The last day of a quarter.
    QuarterEnd,
    /// The first day of a year.
    YearStart,
    /// The last day of a year.
    YearEnd,
    /// In a leap year.
    LeapYear,
}

/// A function of dates, times of day, timestamps or durations.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TimeFunction {
    /// A part, as a number.
    Part(TimePart),
    /// Whether something is so.
    Is(TimeFlag),
    /// The date of a timestamp.
    Date,
    /// The time of day of a timestamp.
    Time,
    /// The beginning of the period it is in, as `15m` or `1mo`.
    Truncate(Arc<str>),
    /// The end of the period it is in; itself at a beginning.
    Ceil(Arc<str>),
    /// The nearer of both; halfway up.
    Round(Arc<str>),
    /// Moved by a time, as `1mo` or `-2d12h`.
    OffsetBy(Arc<str>),
    /// As text, by a format of `strftime`.
    Format(Arc<str>),
    /// Units since 1970.
    Timestamp(TimeUnit),
    /// A duration as a number of seconds, with a fraction, times this: 1 for seconds, 1000 for milliseconds; divided where
    /// negative: -60 for minutes.
    Total(i64),
    /// In another unit; what is finer is cut off.
    WithUnit(TimeUnit),
    /// The same point in time in another zone.
    ToZone(Arc<str>),
    /// A local time as one of a zone.
    Localize(Arc<str>),
}

/// The functions of dates and times of an expression; from [`Expr::dt`].
#[derive(Clone, Debug)]
#[must_use = "a namespace does nothing by itself"]
pub struct TimeExpr(Expr);

impl Expr {
    /// Functions of dates and times. A timestamp with a time zone is taken apart as the clock there shows it.
    ///
    /// Calendars end: what is taken out of a time more than some 262 000 years away (a part, a flag, the date, the time of day, a
    /// text) is null. To cut, to move or to count such a time is an error, as it is where the result is one.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let quarter_hour = col("time").dt().truncate("15m");
    /// assert_eq!(quarter_hour.to_string(), "truncate(time, \"15m\")");
    /// ```
    pub fn dt(self) -> TimeExpr {
        TimeExpr(self)
    }
}

macro_rules! functions {
    ($($(#[$doc:meta])+ $name:ident($($arg:ident: $of:ty),*) => $function:expr;)+) => {
        impl TimeExpr {$(
            $(#[$doc])+
            #[must_use]
            pub fn $name(self $(, $arg: $of)*) -> Expr {
                self.0.call(Function::Time($function))
            }
        )+}
    };
}

functions! {
    /// The year.
    year() => TimeFunction::Part(TimePart::Year);
    /// The year to which the ISO week belongs.
    iso_year() => TimeFunction::Part(TimePart::IsoYear);
    /// The quarter, 1 to 4.
    quarter() => TimeFunction::Part(TimePart::Quarter);
    /// The month, 1 to 12.
    month() => TimeFunction::Part(TimePart::Month);
    /// The ISO week, 1 to 53.
    week() => TimeFunction::Part(TimePart::Week);
    /// The day of the month, 1 to 31.
    day() => TimeFunction::Part(TimePart::Day);
    /// The day of the week: 0 for Monday to 6 for Sunday.
    weekday() => TimeFunction::Part(TimePart::Weekday);
    /// The day of the year, 1 to 366.
    ordinal_day() => TimeFunction::Part(TimePart::OrdinalDay);
    /// The hour, 0 to 23.
    hour() => TimeFunction::Part(TimePart::Hour);
    /// The minute, 0 to 59.
    minute() => TimeFunction::Part(TimePart::Minute);
    /// The second, 0 to 59.
    second() => TimeFunction::Part(TimePart::Second);
    /// Milliseconds of the second, 0 to 999.
    millisecond() => TimeFunction::Part(TimePart::Millisecond);
    /// Microseconds of the second, 0 to 999 999.
    microsecond() => TimeFunction::Part(TimePart::Microsecond);
    /// Nanoseconds of the second, 0 to 999 999 999.
    nanosecond() => TimeFunction::Part(TimePart::Nanosecond);
    /// Days of its month, 28 to 31.
    days_in_month() => TimeFunction::Part(TimePart::DaysInMonth);
    /// Whether it is the first day of a month.
    is_month_start() => TimeFunction::Is(TimeFlag::MonthStart);
    /// Whether it is the last day of a month.
    is_month_end() => TimeFunction::Is(TimeFlag::MonthEnd);
    /// Whether it is the first day of a quarter.
    is_quarter_start() => TimeFunction::Is(TimeFlag::QuarterStart);
    /// Whether it is the last day of a quarter.
    is_quarter_end() => TimeFunction::Is(TimeFlag::QuarterEnd);
    /// Whether it is the first day of a year.
    is_year_start() => TimeFunction::Is(TimeFlag::YearStart);
    /// Whether it is the last day of a year.
    is_year_end() => TimeFunction::Is(TimeFlag::YearEnd);
    /// Whether it is in a leap year.
    is_leap_year() => TimeFunction::Is(TimeFlag::LeapYear);
    /// The date.
    date() => TimeFunction::Date;
    /// The time of day, in microseconds.
    time() => TimeFunction::Time;
    /// The beginning of the period it is in: `1h`, `15m`, `1d`, `1w` (from Monday), `1mo`, `1q`, `1y`.
    truncate(period: &str) => TimeFunction::Truncate(period.into());
    /// The beginning of the period it is in; the same as [`TimeExpr::truncate`].
    floor(period: &str) => TimeFunction::Truncate(period.into());
    /// The end of the period it is in, which is the beginning of the next; itself where it is a beginning.
    ceil(period: &str) => TimeFunction::Ceil(period.into());
    /// The nearer of the beginning and the end of the period it is in; halfway the end.
    round(period: &str) => TimeFunction::Round(period.into());
    /// Moved by a time such as `1d`, `-2h30m` or `3mo`; the last day of a month where the month is shorter.
    offset_by(time: &str) => TimeFunction::OffsetBy(time.into());
    /// As text, by a format such as `%Y-%m-%d %H:%M`.
    strftime(format: &str) => TimeFunction::Format(format.into());
    /// The English name of the day of the week.
    day_name() => TimeFunction::Format("%A".into());
    /// The English name of the month.
    month_name() => TimeFunction::Format("%B".into());
    /// Units since 1970, as an integer.
    timestamp(unit: TimeUnit) => TimeFunction::Timestamp(unit);
    /// A duration in days, with a fraction.
    total_days() => TimeFunction::Total(-86_400);
    /// A duration in hours, with a fraction.
    total_hours() => TimeFunction::Total(-3_600);
    /// A duration in minutes, with a fraction.
    total_minutes() => TimeFunction::Total(-60);
    /// A duration in seconds, with a fraction.
    total_seconds() => TimeFunction::Total(1);
    /// A duration in milliseconds, with a fraction.
    total_milliseconds() => TimeFunction::Total(1_000);
    /// A duration in microseconds, with a fraction.
    total_microseconds() => TimeFunction::Total(1_000_000);
    /// A duration in nanoseconds.
    total_nanoseconds() => TimeFunction::Total(1_000_000_000);
    /// In another unit; what is finer is cut off.
    with_unit(unit: TimeUnit) => TimeFunction::WithUnit(unit);
    /// The same point in time as the clock of another zone shows it. Names of zones need the feature `timezones`; offsets such
    /// as `+02:00` do not.
    to_zone(zone: &str) => TimeFunction::ToZone(zone.into());
    /// A local time as one of a zone; an error where the clock there never showed it, the earlier where it did twice.
    localize(zone: &str) => TimeFunction::Localize(zone.into());
}

impl TimeFunction {
    pub(in super::super) fn name(&self) -> &'static str {
        match self {
            TimeFunction::Part(part) => match part {
                TimePart::Year => "year",
                TimePart::IsoYear => "iso_year",
                TimePart::Quarter => "quarter",
                TimePart::Month => "month",
                TimePart::Week => "week",
                TimePart::Day => "day",
                TimePart::Weekday => "weekday",
                TimePart::OrdinalDay => "ordinal_day",
                TimePart::Hour => "hour",
                TimePart::Minute => "minute",
                TimePart::Second => "second",
                TimePart::Millisecond => "millisecond",
                TimePart::Microsecond => "microsecond",
                TimePart::Nanosecond => "nanosecond",
                TimePart::DaysInMonth => "days_in_month",
            },
            TimeFunction::Is(flag) => match flag {
                TimeFlag::MonthStart => "is_month_start",
                TimeFlag::MonthEnd => "is_month_end",
                TimeFlag::QuarterStart => "is_quarter_start",
                TimeFlag::QuarterEnd => "is_quarter_end",
                TimeFlag::YearStart => "is_year_start",
                TimeFlag::YearEnd => "is_year_end",
                TimeFlag::LeapYear => "is_leap_year",
            },
            TimeFunction::Date => "date",
            TimeFunction::Time => "time",
            TimeFunction::Truncate(_) => "truncate",
            TimeFunction::Ceil(_) => "dt_ceil",
            TimeFunction::Round(_) => "dt_round",
            TimeFunction::OffsetBy(_) => "offset_by",
            TimeFunction::Format(_) => "strftime",
            TimeFunction::Timestamp(_) => "timestamp",
            TimeFunction::Total(_) => "total",
            TimeFunction::WithUnit(_) => "with_unit",
            TimeFunction::ToZone(_) => "to_zone",
            TimeFunction::Localize(_) => "localize",
        }
    }

    pub(in super::super) fn settings(&self) -> Vec<String> {
        match self {
            TimeFunction::Truncate(text)
            | TimeFunction::Ceil(text)
            | TimeFunction::Round(text)
            | TimeFunction::OffsetBy(text)
            | TimeFunction::Format(text)
            | TimeFunction::ToZone(text)
            | TimeFunction::Localize(text) => vec![format!("{text:?}")],
            TimeFunction::Timestamp(unit) | TimeFunction::WithUnit(unit) => vec![unit.to_string()],
            TimeFunction::Total(factor) => vec![factor.to_string()],
            _ => Vec::new(),
        }
    }
}

/// Plans a function of dates and times.
pub(super) fn plan(function: &TimeFunction, of: &Known) -> Result<Planned, Misfit> {
    use TimeFunction as T;
    let from = match &of.data_type {
        // Nothing of any kind.
        DataType::Null => DataType::Timestamp(TimeUnit::Microsecond, None),
        other => other.clone(),
    };
    if !is_temporal(&from) {
        return Err(format!("it takes dates, times and durations, not {from}: cast it first"));
    }
    let dated = matches!(from, DataType::Date32 | DataType::Date64 | DataType::Timestamp(..));
    let timed = matches!(from, DataType::Time32(_) | DataType::Time64(_));
    if let DataType::Timestamp(_, Some(zone)) = &from {
        zone_of(zone)?;
    }
    let needs_date = || if dated { Ok(()) } else { Err(format!("it takes dates and timestamps, not {from}")) };
    match function {
        T::Part(part) => {
            let of_day = matches!(
                part,
                TimePart::Hour
                    | TimePart::Minute
                    | TimePart::Second
                    | TimePart::Millisecond
                    | TimePart::Microsecond
                    | TimePart::Nanosecond
            );
            if !(dated || timed && of_day) {
                return Err(format!("{from} has no {}", function.name()));
            }
            let part = *part;
            Ok(Planned::unary(DataType::Int32, from, move |array| part_of(array, part)))
        }
        T::Is(flag) => {
            needs_date()?;
            let flag = *flag;
            Ok(Planned::unary(DataType::Boolean, from, move |array| is(array, flag)))
        }
        T::Date => {
            needs_date()?;
            Ok(Planned::unary(DataType::Date32, from, date))
        }
        T::Time => {
            needs_date()?;
            Ok(Planned::unary(DataType::Time64(TimeUnit::Microsecond), from, time_of_day))
        }
        T::Truncate(period) | T::Ceil(period) | T::Round(period) => {
            needs_date()?;
            time_round::plan(function, period, from)
        }
        T::OffsetBy(time) => {
            needs_date()?;
            time_round::offset_by(time, from)
        }
        T::Format(format) => {
            if !dated && !timed {
                return Err(format!("it takes dates and times, not {from}"));
            }
            formatted(format, from)
        }
        T::Timestamp(unit) => {
            needs_date()?;
            let wanted = DataType::Timestamp(*unit, None);
            let fails = cast_can_fail(&from, &wanted);
            let planned = Planned::unary(DataType::Int64, from, move |array| {
                let without_zone = without_zone(array)?;
                Ok(cast(&in_unit(&without_zone, &wanted)?, &DataType::Int64)?)
            });
            Ok(if fails { planned.failing() } else { planned })
        }
        T::Total(factor) => {
            let DataType::Duration(unit) = from else { return Err(format!("it takes durations, not {from}")) };
            let per_second = per_second(unit) as f64;
            let factor = if *factor < 0 { 1.0 / -(*factor as f64) } else { *factor as f64 };
            Ok(Planned::unary(DataType::Float64, from, move |array| {
                let counts = cast(array, &DataType::Int64)?;
                let counts = counts.as_primitive_opt::<Int64Type>().ok_or_else(defect)?;
                // One division, so that whole numbers stay whole.
                let total: Float64Array = match factor < 1.0 {
                    true => counts.unary(|count| count as f64 / (per_second * (1.0 / factor).round())),
                    false => counts.unary(|count| count as f64 * factor / per_second),
                };
                Ok(Arc::new(total))
            }))
        }
        T::WithUnit(unit) => {
            let to = match &from {
                DataType::Timestamp(_, zone) => DataType::Timestamp(*unit, zone.clone()),
                DataType::Date32 | DataType::Date64 => DataType::Timestamp(*unit, None),
                DataType::Duration(_) => DataType::Duration(*unit),
                DataType::Time32(_) | DataType::Time64(_) => super::super::types::time_of(*unit),
                other => return Err(format!("{other} has no unit")),
            };
            super::convert::plan(&Known::of(&from), &to, false)
        }
        T::ToZone(zone) => {
            let DataType::Timestamp(unit, Some(_)) = &from else {
                return Err(format!("{from} has no time zone: say which one with localize"));
            };
            zone_of(zone)?;
            let to = DataType::Timestamp(*unit, Some(zone.clone()));
            let wanted = to.clone();
            Ok(Planned::unary(to, from, move |array| Ok(cast(array, &wanted)?)))
        }
        T::Localize(zone) => {
            let unit = match &from {
                DataType::Timestamp(unit, None) => *unit,
                DataType::Date32 | DataType::Date64 => TimeUnit::Microsecond,
                other => return Err(format!("{other} is not a local time: it has a zone, or no date")),
            };
            let (zone, to) = (zone_of(zone)?, DataType::Timestamp(unit, Some(zone.clone())));
            let (local, wanted) = (DataType::Timestamp(unit, None), to.clone());
            let planned = Planned::unary(to, from, move |array| {
                let counts = cast(&in_unit(array, &local)?, &DataType::Int64)?;
                let counts = counts.as_primitive_opt::<Int64Type>().ok_or_else(defect)?;
                let moved = counts.try_unary::<_, Int64Type, _>(|count| of_zone(count, unit, &zone).ok_or(()));
                let moved = moved.map_err(|()| Failure::Row("is no time of that zone".to_string()))?;
                Ok(cast(&moved, &wanted)?)
            });
            Ok(planned.failing())
        }
    }
}

/// A zone by its name or offset.
pub(super) fn zone_of(zone: &str) -> Result<Tz, Misfit> {
    zone.parse().map_err(|_| match cfg!(feature = "timezones") {
        true => format!("`{zone}` is no time zone"),
        false => format!("`{zone}` is no offset such as +02:00; names of time zones need the feature `timezones`"),
    })
}

/// Units of a second.
pub(super) fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// The counts of units since 1970 that are in the calendar.
pub(super) fn calendar(unit: TimeUnit) -> RangeInclusive<i64> {
    let (first, last) = (NaiveDateTime::MIN.and_utc().timestamp(), NaiveDateTime::MAX.and_utc().timestamp());
    let units = per_second(unit);
    first.saturating_mul(units)..=last.saturating_mul(units).saturating_add(units - 1)
}

/// Dates and timestamps as timestamps of some unit; an error where there are not so many.
pub(super) fn in_unit(array: &ArrayRef, to: &DataType) -> Outcome {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, to, &options).map_err(|_| Failure::Row(format!("is too far away for {to}")))
}

/// The point in time as chrono has it, of UTC.
pub(super) fn utc(count: i64, unit: TimeUnit) -> Option<NaiveDateTime> {
    let per_second = per_second(unit);
    let (seconds, rest) = (count.div_euclid(per_second), count.rem_euclid(per_second));
    DateTime::from_timestamp(seconds, (rest * (1_000_000_000 / per_second)) as u32).map(|time| time.naive_utc())
}

/// Units since 1970 of a point in time of UTC.
pub(super) fn count_of(time: NaiveDateTime, unit: TimeUnit) -> Option<i64> {
    let (time, per_second) = (time.and_utc(), per_second(unit));
    let rest = i64::from(time.timestamp_subsec_nanos()) / (1_000_000_000 / per_second);
    time.timestamp().checked_mul(per_second)?.checked_add(rest)
}

/// What the clock of a zone shows.
pub(super) fn local(count: i64, unit: TimeUnit, zone: &Tz) -> Option<i64> {
    let offset = zone.offset_from_utc_datetime(&utc(count, unit)?).fix().local_minus_utc();
    count.checked_add(i64::from(offset).checked_mul(per_second(unit))?)
}

/// The point in time at which the clock of a zone shows it; the earlier, where it does so twice.
pub(super) fn of_zone(count: i64, unit: TimeUnit, zone: &Tz) -> Option<i64> {
    let offset = zone.offset_from_local_datetime(&utc(count, unit)?).earliest()?.fix().local_minus_utc();
    count.checked_sub(i64::from(offset).checked_mul(per_second(unit))?)
}

/// Timestamps as the clock of their zone shows them; others as they are.
pub(super) fn local_times(array: &ArrayRef) -> Outcome {
    let DataType::Timestamp(unit, Some(zone)) = array.data_type() else { return Ok(array.clone()) };
    let zone = zone_of(zone).map_err(Failure::Row)?;
    let counts = cast(array, &DataType::Int64)?;
    let counts = counts.as_primitive_opt::<Int64Type>().ok_or_else(defect)?;
    let moved: Int64Array = counts.unary_opt(|count| local(count, *unit, &zone));
    Ok(cast(&moved, &DataType::Timestamp(*unit, None))?)
}

/// The same counts without a zone.
fn without_zone(array: &ArrayRef) -> Outcome {
    match array.data_type() {
        DataType::Timestamp(unit, Some(_)) => {
            Ok(cast(&cast(array, &DataType::Int64)?, &DataType::Timestamp(*unit, None))?)
        }
        _ => Ok(array.clone()),
    }
}

fn date(array: &ArrayRef) -> Outcome {
    let times = local_times(array)?;
    let dates = cast(&times, &DataType::Date32)?;
    match beyond(&times)? {
        Some(inside) => super::with_nulls(dates.as_ref(), Some(&inside)),
        None => Ok(dates),
    }
}

fn time_of_day(array: &ArrayRef) -> Outcome {
    let times = local_times(array)?;
    let (times, unit) = match times.data_type() {
        DataType::Timestamp(unit, _) => (times.clone(), *unit),
        // Of dates a number that all of them have.
        _ => (cast(&times, &DataType::Timestamp(TimeUnit::Millisecond, None))?, TimeUnit::Millisecond),
    };
    let counts = cast(&times, &DataType::Int64)?;
    let counts = counts.as_primitive_opt::<Int64Type>().ok_or_else(defect)?;
    let (units, calendar) = (per_second(unit), calendar(unit));
    let micros = |count: i64| match units > 1_000_000 {
        true => count.rem_euclid(86_400 * units) / (units / 1_000_000),
        false => count.rem_euclid(86_400 * units) * (1_000_000 / units),
    };
    let times: Time64MicrosecondArray = counts.unary_opt(|count| calendar.contains(&count).then(|| micros(count)));
    Ok(Arc::new(times))
}

fn part_of(array: &ArrayRef, part: TimePart) -> Outcome {
    let part = match part {
        TimePart::Year => DatePart::Year,
        TimePart::IsoYear => DatePart::YearISO,
        TimePart::Quarter => DatePart::Quarter,
        TimePart::Month => DatePart::Month,
        TimePart::Week => DatePart::WeekISO,
        TimePart::Day => DatePart::Day,
        TimePart::Weekday => DatePart::DayOfWeekMonday0,
        TimePart::OrdinalDay => DatePart::DayOfYear,
        TimePart::Hour => DatePart::Hour,
        TimePart::Minute => DatePart::Minute,
        TimePart::Second => DatePart::Second,
        TimePart::Millisecond => DatePart::Millisecond,
        TimePart::Microsecond => DatePart::Microsecond,
        TimePart::Nanosecond => DatePart::Nanosecond,
        TimePart::DaysInMonth => {
            let dates = date(array)?;
            let dates = dates.as_primitive_opt::<Date32Type>().ok_or_else(defect)?;
            let days = |date: NaiveDate| last_of_month(date).map(|last| last.day() as i32);
            let days: Int32Array = dates.unary_opt(|date| Date32Type::to_naive_date_opt(date).and_then(days));
            return Ok(Arc::new(days));
        }
    };
    if let Some(dates) = array.as_primitive_opt::<Date32Type>() {
        // Midnight, and of no calendar's day nothing.
        let midnight: Int32Array = dates.unary_opt(|date| Date32Type::to_naive_date_opt(date).map(|_| 0));
        match part {
            DatePart::Hour | DatePart::Minute | DatePart::Second => return Ok(Arc::new(midnight)),
            DatePart::Millisecond | DatePart::Microsecond | DatePart::Nanosecond => return Ok(Arc::new(midnight)),
            _ => {}
        }
    }
    let parts = date_part(array, part)?;
    match beyond(array)? {
        Some(inside) => super::with_nulls(parts.as_ref(), Some(&inside)),
        None => Ok(parts),
    }
}

/// Which timestamps are in the calendar, if any is not: parts of the day are counted without one.
fn beyond(array: &ArrayRef) -> Result<Option<NullBuffer>, Failure> {
    let DataType::Timestamp(unit @ (TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond), _) =
        array.data_type()
    else {
        return Ok(None);
    };
    let counts = cast(array, &DataType::Int64)?;
    let counts = counts.as_primitive_opt::<Int64Type>().ok_or_else(defect)?.values();
    let calendar = calendar(*unit);
    let inside = BooleanBuffer::collect_bool(counts.len(), |row| calendar.contains(&counts[row]));
    Ok((inside.count_set_bits() < counts.len()).then(|| NullBuffer::new(inside)))
}

fn last_of_month(date: NaiveDate) -> Option<NaiveDate> {
    date.with_day(1)?.checked_add_months(chrono::Months::new(1))?.pred_opt()
}

fn is(array: &ArrayRef, flag: TimeFlag) -> Outcome {
    let dates = date(array)?;
    let dates = dates.as_primitive_opt::<Date32Type>().ok_or_else(defect)?;
    let test = |date: NaiveDate| {
        let ends_month = || date.checked_add_days(Days::new(1)).is_none_or(|next| next.day() == 1);
        match flag {
            TimeFlag::MonthStart => date.day() == 1,
            TimeFlag::MonthEnd => ends_month(),
            TimeFlag::QuarterStart => date.day() == 1 && date.month0().is_multiple_of(3),
            TimeFlag::QuarterEnd => date.month().is_multiple_of(3) && ends_month(),
            TimeFlag::YearStart => date.ordinal() == 1,
            TimeFlag::YearEnd => date.month() == 12 && date.day() == 31,
            TimeFlag::LeapYear => date.leap_year(),
        }
    };
    let (days, mut beyond) = (dates.values(), false);
    let values = BooleanBuffer::collect_bool(days.len(), |row| match Date32Type::to_naive_date_opt(days[row]) {
        Some(date) => test(date),
        None => {
            beyond = true;
            false
        }
    });
    let known = || BooleanBuffer::collect_bool(days.len(), |row| Date32Type::to_naive_date_opt(days[row]).is_some());
    let known = beyond.then(|| NullBuffer::new(known()));
    Ok(Arc::new(BooleanArray::new(values, NullBuffer::union(dates.nulls(), known.as_ref()))))
}

/// The items of a format, checked.
pub(super) fn items(format: &str) -> Result<Vec<Item<'static>>, Misfit> {
    let items: Vec<Item<'static>> = StrftimeItems::new(format).map(Item::to_owned).collect();
    if items.contains(&Item::Error) {
        return Err(format!("{format:?} is no format of dates and times"));
    }
    Ok(items)
}

fn formatted(format: &str, from: DataType) -> Result<Planned, Misfit> {
    let items = items(format)?;
    let zone = match &from {
        DataType::Timestamp(_, Some(zone)) => Some(zone_of(zone)?),
        _ => None,
    };
    let only_time = matches!(from, DataType::Time32(_) | DataType::Time64(_));
    let write = move |out: &mut String, time: NaiveDateTime| -> std::fmt::Result {
        match &zone {
            Some(zone) => write!(out, "{}", zone.from_utc_datetime(&time).format_with_items(items.iter())),
            None if only_time => write!(out, "{}", time.time().format_with_items(items.iter())),
            None => write!(out, "{}", time.format_with_items(items.iter())),
        }
    };
    if write(&mut String::new(), NaiveDateTime::default()).is_err() {
        return Err(format!("{format:?} asks for what {from} does not have"));
    }
    let unit = match &from {
        DataType::Timestamp(unit, _) => *unit,
        DataType::Time32(_) | DataType::Time64(_) => TimeUnit::Nanosecond,
        _ => TimeUnit::Millisecond,
    };
    Ok(Planned::unary(DataType::Utf8, from, move |array| {
        let array = match array.data_type() {
            DataType::Time32(_) => cast(array, &DataType::Time64(TimeUnit::Nanosecond))?,
            DataType::Time64(_) => cast(array, &DataType::Time64(TimeUnit::Nanosecond))?,
            DataType::Timestamp(..) => array.clone(),
            _ => cast(array, &DataType::Timestamp(TimeUnit::Millisecond, None))?,
        };
        let counts = cast(&array, &DataType::Int64)?;
        let counts = counts.as_primitive_opt::<Int64Type>().ok_or_else(defect)?;
        let mut made = StringBuilder::with_capacity(counts.len(), 20 * counts.len());
        let mut text = String::new();
        for count in counts {
            // What no calendar holds is null.
            let Some(time) = count.and_then(|count| utc(count, unit)) else {
                made.append_null();
                continue;
            };
            text.clear();
            match write(&mut text, time) {
                Ok(()) => made.append_value(&text),
                Err(_) => made.append_null(),
            }
        }
        Ok(Arc::new(made.finish()))
    }))
}
