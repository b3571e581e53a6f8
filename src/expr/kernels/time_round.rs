//! Dates and timestamps cut to periods, and moved.

use arrow::array::timezone::Tz;
use arrow::array::{ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use chrono::{Datelike, Months, NaiveDate, NaiveDateTime};

use super::time::{TimeFunction, calendar, count_of, in_unit, local, of_zone, per_second, utc, zone_of};
use super::{Failure, Misfit, Outcome, Planned, defect};

/// A time as months and nanoseconds; days and weeks have as many nanoseconds as they have by the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    months: i64,
    days: i64,
    nanos: i64,
}

const DAY: i64 = 86_400_000_000_000;

/// Reads a text such as `1mo`, `15m`, `-2d12h`.
fn span(text: &str) -> Result<Span, Misfit> {
    let misfit = || {
        let known = "ns, us, ms, s, m, h, d, w, mo, q and y";
        format!("{text:?} is no time: it is made of numbers and units, as 1h30m; units are {known}")
    };
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut span = Span { months: 0, days: 0, nanos: 0 };
    if rest.is_empty() {
        return Err(misfit());
    }
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(misfit)?;
        let number: i64 = rest[..digits].parse().map_err(|_| misfit())?;
        rest = &rest[digits..];
        let letters = rest.find(|letter: char| letter.is_ascii_digit()).unwrap_or(rest.len());
        let (months, days, nanos) = match &rest[..letters] {
            "ns" => (0, 0, 1),
            "us" => (0, 0, 1_000),
            "ms" => (0, 0, 1_000_000),
            "s" => (0, 0, 1_000_000_000),
            "m" | "min" => (0, 0, 60_000_000_000),
            "h" => (0, 0, 3_600_000_000_000),
            "d" => (0, 1, 0),
            "w" => (0, 7, 0),
            "mo" => (1, 0, 0),
            "q" => (3, 0, 0),
            "y" => (12, 0, 0),
            _ => return Err(misfit()),
        };
        rest = &rest[letters..];
        let add = |so_far: i64, of: i64| {
            let more = if negative { number.checked_neg()? } else { number }.checked_mul(of)?;
            so_far.checked_add(more)
        };
        span = Span {
            months: add(span.months, months).ok_or_else(misfit)?,
            days: add(span.days, days).ok_or_else(misfit)?,
            nanos: add(span.nanos, nanos).ok_or_else(misfit)?,
        };
    }
    Ok(span)
}

/// How times are cut.
#[derive(Clone, Copy)]
enum Period {
    /// Into so many units, counted from here.
    Units(i64, i64),
    Months(i64),
}

/// What is done to the count of units of a local time, and which counts those are.
struct Counted {
    /// As which type the counts are taken.
    counted_as: DataType,
    unit: TimeUnit,
    zone: Option<Tz>,
}

impl Counted {
    fn new(from: &DataType, finer_than_days: bool) -> Result<(Counted, DataType), Misfit> {
        Ok(match from {
            DataType::Timestamp(unit, zone) => {
                let zone = zone.as_deref().map(zone_of).transpose()?;
                (Counted { counted_as: from.clone(), unit: *unit, zone }, from.clone())
            }
            // A date stays one, unless it is moved by less.
            _ if finer_than_days => {
                let to = DataType::Timestamp(TimeUnit::Microsecond, None);
                (Counted { counted_as: to.clone(), unit: TimeUnit::Microsecond, zone: None }, to)
            }
            _ => {
                let counted_as = DataType::Timestamp(TimeUnit::Second, None);
                (Counted { counted_as, unit: TimeUnit::Second, zone: None }, from.clone())
            }
        })
    }

    /// Plans what is done to each count of what the clock shows, and gives what it shows then.
    fn plan(
        self,
        from: DataType,
        to: DataType,
        what: String,
        change: impl Fn(i64, TimeUnit) -> Option<i64> + Send + Sync + 'static,
    ) -> Planned {
        let Counted { counted_as, unit, zone } = self;
        let wanted = to.clone();
        let planned = Planned::unary(to, from, move |array: &ArrayRef| -> Outcome {
            let counts = cast(&in_unit(array, &counted_as)?, &DataType::Int64)?;
            let counts = counts.as_primitive_opt::<Int64Type>().ok_or_else(defect)?;
            let calendar = calendar(unit);
            let changed = counts.try_unary::<_, Int64Type, _>(|count| {
                let changed = match &zone {
                    _ if !calendar.contains(&count) => None,
                    None => change(count, unit),
                    Some(zone) => {
                        let changed = local(count, unit, zone).and_then(|count| change(count, unit));
                        changed.and_then(|count| of_zone(count, unit, zone))
                    }
                };
                changed.filter(|count| calendar.contains(count)).ok_or(())
            });
            let changed = changed.map_err(|()| Failure::Row(what.clone()))?;
            Ok(cast(&cast(&changed, &counted_as)?, &wanted)?)
        });
        planned.failing()
    }
}

/// Plans `truncate`, `ceil` and `round`.
pub(super) fn plan(function: &TimeFunction, text: &str, from: DataType) -> Result<Planned, Misfit> {
    let whole = span(text)?;
    let fine = whole.nanos != 0;
    let (counted, to) = Counted::new(&from, fine)?;
    let unit = counted.unit;
    let period = match whole {
        Span { months, days: 0, nanos: 0 } if months > 0 => Period::Months(months),
        Span { months: 0, days, nanos: 0 } if days > 0 => {
            let day = 86_400 * per_second(unit);
            // 1970 began on a Thursday, and weeks begin on Mondays.
            let monday = if days % 7 == 0 { -3 * day } else { 0 };
            Period::Units(days.checked_mul(day).ok_or("the period is too long")?, monday)
        }
        Span { months: 0, days: 0, nanos } if nanos > 0 => {
            let one = 1_000_000_000 / per_second(unit);
            if nanos % one != 0 {
                return Err(format!("{text:?} is not a whole number of the units of {to}"));
            }
            Period::Units(nanos / one, 0)
        }
        _ => return Err(format!("{text:?} is no period: it takes one unit, as 15m or 1mo")),
    };
    let (up, near) = (matches!(function, TimeFunction::Ceil(_)), matches!(function, TimeFunction::Round(_)));
    let change = move |count: i64, unit: TimeUnit| {
        let low = floor(count, unit, period)?;
        if low == count {
            return Some(low);
        }
        if !up && !near {
            return Some(low);
        }
        let high = match period {
            Period::Units(units, _) => low.checked_add(units)?,
            Period::Months(months) => count_of(moved(utc(low, unit)?, months)?, unit)?,
        };
        Some(if near && count - low < high - count { low } else { high })
    };
    Ok(counted.plan(from, to, "is beyond the calendar".to_string(), change))
}

fn floor(count: i64, unit: TimeUnit, period: Period) -> Option<i64> {
    match period {
        Period::Units(units, start) => {
            let rest = (count.checked_sub(start)?).rem_euclid(units);
            count.checked_sub(rest)
        }
        Period::Months(months) => {
            let time = utc(count, unit)?;
            let month = i64::from(time.year()) * 12 + i64::from(time.month0());
            // Years are counted from 1970.
            let month = month - (month - 1970 * 12).rem_euclid(months);
            let (year, month) = (i32::try_from(month.div_euclid(12)).ok()?, month.rem_euclid(12) as u32 + 1);
            count_of(NaiveDate::from_ymd_opt(year, month, 1)?.and_hms_opt(0, 0, 0)?, unit)
        }
    }
}

fn moved(time: NaiveDateTime, months: i64) -> Option<NaiveDateTime> {
    let count = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
    if months < 0 { time.checked_sub_months(count) } else { time.checked_add_months(count) }
}

/// Plans a move by a time.
pub(super) fn offset_by(text: &str, from: DataType) -> Result<Planned, Misfit> {
    let by = span(text)?;
    let (counted, to) = Counted::new(&from, by.nanos != 0)?;
    let one = 1_000_000_000 / per_second(counted.unit);
    if by.nanos % one != 0 {
        return Err(format!("{text:?} is not a whole number of the units of {to}"));
    }
    let change = move |count: i64, unit: TimeUnit| {
        let months = match by.months {
            0 => count,
            months => count_of(moved(utc(count, unit)?, months)?, unit)?,
        };
        let more = by.days.checked_mul(DAY / one)?.checked_add(by.nanos / one)?;
        months.checked_add(more)
    };
    Ok(counted.plan(from, to, format!("cannot be moved by {text}"), change))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        let of = |months, days, nanos| Ok(Span { months, days, nanos });
        assert_eq!(span("1h30m"), of(0, 0, 5_400_000_000_000));
        assert_eq!(span("-2d12h"), of(0, -2, -43_200_000_000_000));
        assert_eq!(span("1y2q3mo"), of(21, 0, 0));
        assert_eq!(span("2w1ms2us3ns"), of(0, 14, 1_002_003));
        for wrong in ["", "-", "h", "1", "1x", "1.5h", "1h-2m", "99999999999999999999s", "9223372036854775807d1w"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
