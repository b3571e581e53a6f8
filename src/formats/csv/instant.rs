//! Dates and times from text: the usual forms by place, everything else by the library.

use arrow::array::timezone::Tz;
use arrow::compute::kernels::cast_utils::{Parser, string_to_datetime};
use arrow::datatypes::{Date32Type, TimeUnit};
use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeZone as _, Utc};

/// A date, `2024-02-29`, as days since 1970.
pub(super) fn date(text: &[u8]) -> Option<i32> {
    match text.first_chunk::<10>() {
        Some(day) if text.len() == 10 => usual_date(day),
        _ => None,
    }
}

/// A date in any form that the library knows.
pub(super) fn any_date(text: &[u8]) -> Option<i32> {
    Date32Type::parse(std::str::from_utf8(text).ok()?)
}

/// Of four digits, two and two, with dashes between.
#[inline]
fn usual_date(text: &[u8; 10]) -> Option<i32> {
    let [a, b, c, d, b'-', e, f, b'-', g, h] = text.map(|byte| byte) else { return None };
    let year = i32::from(two(a, b)?) * 100 + i32::from(two(c, d)?);
    let (month, day) = (i32::from(two(e, f)?), i32::from(two(g, h)?));
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Years from March on: the day that leap years have more is the last one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

#[inline]
fn two(tens: u8, ones: u8) -> Option<u8> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then_some(tens * 10 + ones)
}

/// How many of a unit a second has.
pub(super) fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// A point in time, `2024-02-29 12:30:00.5` with a space or a `T`, or a date alone, in units since 1970. Digits that the unit
/// does not hold are dropped.
#[inline]
pub(super) fn timestamp(text: &[u8], per_second: i64) -> Option<i64> {
    let (day, rest) = text.split_first_chunk::<10>()?;
    let days = i64::from(usual_date(day)?);
    if rest.is_empty() {
        return (days * 86_400).checked_mul(per_second);
    }
    let (time, rest) = rest.split_first_chunk::<9>()?;
    let [b'T' | b' ', a, b, b':', c, d, b':', e, f] = time.map(|byte| byte) else { return None };
    let (hours, minutes, seconds) = (two(a, b)?, two(c, d)?, two(e, f)?);
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let seconds = days * 86_400 + i64::from(hours) * 3600 + i64::from(minutes) * 60 + i64::from(seconds);
    let fraction = match rest {
        [] => 0,
        [b'.', digits @ ..] if (1..=9).contains(&digits.len()) => {
            let mut nanoseconds = 0_i64;
            for at in 0..9 {
                let digit = digits.get(at).map_or(0, |byte| byte.wrapping_sub(b'0'));
                if digit > 9 {
                    return None;
                }
                nanoseconds = nanoseconds * 10 + i64::from(digit);
            }
            nanoseconds / (1_000_000_000 / per_second)
        }
        _ => return None,
    };
    seconds.checked_mul(per_second)?.checked_add(fraction)
}

/// A point in time in any form that the library knows; without a zone of its own it is of `zone`, or of UTC.
pub(super) fn any_timestamp(text: &[u8], unit: TimeUnit, zone: Option<Tz>) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let instant = match zone {
        Some(zone) => string_to_datetime(&zone, text).ok()?.with_timezone(&Utc),
        None => string_to_datetime(&Utc, text).ok()?,
    };
    in_units(instant, unit)
}

fn in_units(instant: DateTime<Utc>, unit: TimeUnit) -> Option<i64> {
    match unit {
        TimeUnit::Second => Some(instant.timestamp()),
        TimeUnit::Millisecond => Some(instant.timestamp_millis()),
        TimeUnit::Microsecond => Some(instant.timestamp_micros()),
        TimeUnit::Nanosecond => instant.timestamp_nanos_opt(),
    }
}

/// A date in a form of the user's.
pub(super) fn date_as(text: &[u8], format: &str) -> Option<i32> {
    let text = std::str::from_utf8(text).ok()?;
    let date = NaiveDate::parse_from_str(text, format)
        .or_else(|_| NaiveDateTime::parse_from_str(text, format).map(|instant| instant.date()));
    let days = date.ok()?.signed_duration_since(NaiveDate::default()).num_days();
    i32::try_from(days).ok()
}

/// A point in time in a form of the user's, with a zone in it, without one, or a date alone.
pub(super) fn timestamp_as(text: &[u8], format: &str, unit: TimeUnit, zone: Option<Tz>) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let local = |instant: NaiveDateTime| match zone {
        Some(zone) => zone.from_local_datetime(&instant).earliest().map(|instant| instant.with_timezone(&Utc)),
        None => Some(instant.and_utc()),
    };
    let instant = DateTime::parse_from_str(text, format)
        .ok()
        .map(|instant| instant.with_timezone(&Utc))
        .or_else(|| NaiveDateTime::parse_from_str(text, format).ok().and_then(local))
        .or_else(|| NaiveDate::parse_from_str(text, format).ok()?.and_hms_opt(0, 0, 0).and_then(local));
    in_units(instant?, unit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates() {
        for text in ["1970-01-01", "2024-02-29", "2000-02-29", "1900-03-01", "0000-01-01", "9999-12-31", "1969-12-31"] {
            assert_eq!(date(text.as_bytes()), any_date(text.as_bytes()), "{text}");
            assert!(date(text.as_bytes()).is_some());
        }
        for text in ["2023-02-29", "1900-02-29", "2024-13-01", "2024-00-01", "2024-01-00", "2024-04-31", "2024/01/01"] {
            assert_eq!(date(text.as_bytes()), None, "{text}");
        }
        assert_eq!(date_as(b"29.02.2024", "%d.%m.%Y"), date(b"2024-02-29"));
        assert_eq!(date_as(b"29.02.2023", "%d.%m.%Y"), None);
    }

    #[test]
    fn timestamps() {
        let micros = |text: &str| timestamp(text.as_bytes(), 1_000_000);
        for text in ["2024-02-29 12:30:01", "2024-02-29T12:30:01.5", "1969-12-31 23:59:59.123456789", "2024-01-01"] {
            assert_eq!(micros(text), any_timestamp(text.as_bytes(), TimeUnit::Microsecond, None), "{text}");
            assert!(micros(text).is_some(), "{text}");
        }
        for text in ["2024-02-29 24:00:00", "2024-02-29 12:60:00", "2024-02-29 12:30", "2024-02-29 12:30:01.", ""] {
            assert_eq!(micros(text), None, "{text}");
        }
        let zone: Tz = "+02:00".parse().unwrap();
        let of_zone = any_timestamp(b"2024-01-01T02:00:00", TimeUnit::Second, Some(zone));
        assert_eq!(of_zone, timestamp(b"2024-01-01", 1));
        assert_eq!(any_timestamp(b"2024-01-01T00:00:00Z", TimeUnit::Second, Some(zone)), of_zone);
        let as_written = |text: &str, format| timestamp_as(text.as_bytes(), format, TimeUnit::Second, None);
        assert_eq!(as_written("01/02/24 03:04", "%d/%m/%y %H:%M"), timestamp(b"2024-02-01 03:04:00", 1));
        assert_eq!(as_written("01/02/24", "%d/%m/%y"), timestamp(b"2024-02-01", 1));
        assert_eq!(as_written("2024-01-01 02:00", "%F %H:%M %z"), None);
        assert_eq!(as_written("2024-01-01 02:00 +0200", "%F %H:%M %z"), timestamp(b"2024-01-01", 1));
    }

    proptest! {
        #[test]
        fn as_the_library(days in -100_000..100_000_i64, second in 0..86_400_i64, nano in 0..1_000_000_000_u32, t in any::<bool>()) {
            let instant = DateTime::from_timestamp(days * 86_400 + second, nano).unwrap();
            let text = instant.format(if t { "%Y-%m-%dT%H:%M:%S%.f" } else { "%Y-%m-%d %H:%M:%S%.f" }).to_string();
            prop_assert_eq!(timestamp(text.as_bytes(), 1_000_000_000), instant.timestamp_nanos_opt());
        }
    }
}
