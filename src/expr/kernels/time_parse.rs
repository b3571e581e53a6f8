//! Dates and timestamps read from text by a format.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanBufferBuilder, Date32Array, Int64Array};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use chrono::format::{Fixed, Item, Numeric, Pad, Parsed, parse};
use chrono::{Datelike, NaiveDate};

use super::text::texts;
use super::time::{count_of, items};
use super::{Failure, Misfit, Planned};

/// Plans the reading of dates or timestamps in microseconds.
pub(super) fn plan(format: &str, lossy: bool, to: DataType) -> Result<Planned, Misfit> {
    let items = items(format)?;
    let dates = to == DataType::Date32;
    let zoned = items.iter().any(|item| {
        matches!(
            item,
            Item::Fixed(
                Fixed::TimezoneOffset
                    | Fixed::TimezoneOffsetColon
                    | Fixed::TimezoneOffsetDoubleColon
                    | Fixed::TimezoneOffsetTripleColon
                    | Fixed::TimezoneOffsetColonZ
                    | Fixed::TimezoneOffsetZ
                    | Fixed::RFC2822
                    | Fixed::RFC3339
            ) | Item::Numeric(Numeric::Timestamp, _)
        )
    });
    let to = match to {
        DataType::Timestamp(unit, _) if zoned => DataType::Timestamp(unit, Some("+00:00".into())),
        to => to,
    };
    let shape = Shape::of(&items);
    // Microseconds since 1970.
    let read = move |text: &str| -> Option<i64> {
        if let Some(seconds) = shape.as_ref().and_then(|shape| shape.read(text.as_bytes())) {
            return Some(seconds * 1_000_000);
        }
        let mut parsed = Parsed::new();
        parse(&mut parsed, text, items.iter()).ok()?;
        let time = match zoned {
            true => parsed.to_datetime().ok()?.naive_utc(),
            false => match parsed.to_naive_datetime_with_offset(0) {
                Ok(time) => time,
                // A date alone is its beginning.
                Err(_) if parsed.hour_mod_12().is_some() || parsed.minute().is_some() => return None,
                Err(_) => parsed.to_naive_date().ok()?.and_hms_opt(0, 0, 0)?,
            },
        };
        count_of(time, TimeUnit::Microsecond)
    };
    let (wanted, what) = (to.clone(), format!("cannot be read by {format:?}"));
    let planned = Planned::unary(to, DataType::Utf8, move |array| {
        let texts = texts(array)?;
        let mut micros = vec![0_i64; texts.len()];
        let mut found = BooleanBufferBuilder::new(texts.len());
        for (text, micros) in texts.iter().zip(&mut micros) {
            let read = text.and_then(&read);
            *micros = read.unwrap_or(0);
            found.append(read.is_some());
        }
        let found = NullBuffer::new(found.finish());
        let wrong = found.null_count() > texts.null_count();
        let found = (found.null_count() > 0).then_some(found);
        let array: ArrayRef = if dates {
            let days: Vec<i32> = micros.iter().map(|micros| micros.div_euclid(86_400_000_000) as i32).collect();
            Arc::new(Date32Array::new(days.into(), found))
        } else {
            cast(&Int64Array::new(micros.into(), found), &wanted)?
        };
        if wrong && !lossy { Err(Failure::Row(what.clone())) } else { Ok(array) }
    });
    Ok(if lossy { planned } else { planned.failing() })
}

/// A format of fixed places: digits of years, months, …, and letters between them.
struct Shape {
    len: usize,
    fields: Vec<(Numeric, usize, usize)>,
    letters: Vec<(usize, u8)>,
}

impl Shape {
    fn of(items: &[Item<'static>]) -> Option<Shape> {
        let mut shape = Shape { len: 0, fields: Vec::new(), letters: Vec::new() };
        for item in items {
            match item {
                Item::Numeric(
                    field @ (Numeric::Year
                    | Numeric::Month
                    | Numeric::Day
                    | Numeric::Hour
                    | Numeric::Minute
                    | Numeric::Second),
                    Pad::Zero,
                ) => {
                    let width = if *field == Numeric::Year { 4 } else { 2 };
                    shape.fields.push((field.clone(), shape.len, width));
                    shape.len += width;
                }
                Item::OwnedLiteral(text) | Item::OwnedSpace(text) => {
                    // White space matches any, but as it stands there too.
                    shape.letters.extend(text.bytes().enumerate().map(|(at, byte)| (shape.len + at, byte)));
                    shape.len += text.len();
                }
                Item::Literal(text) | Item::Space(text) => {
                    shape.letters.extend(text.bytes().enumerate().map(|(at, byte)| (shape.len + at, byte)));
                    shape.len += text.len();
                }
                _ => return None,
            }
        }
        let has = |wanted: Numeric| shape.fields.iter().filter(|(field, ..)| *field == wanted).count() == 1;
        (has(Numeric::Year) && has(Numeric::Month) && has(Numeric::Day)
            // Minutes without hours are no time.
            && (shape.fields.len() == 3
                || has(Numeric::Hour) && has(Numeric::Minute) && shape.fields.len() <= 6
                    && (shape.fields.len() == 5 || has(Numeric::Second))))
        .then_some(shape)
    }

    /// Reads a text that has exactly this shape: seconds since 1970.
    fn read(&self, text: &[u8]) -> Option<i64> {
        if text.len() != self.len || self.letters.iter().any(|(at, byte)| text[*at] != *byte) {
            return None;
        }
        let (mut year, mut month, mut day, mut hour, mut minute, mut second) = (0, 0, 0, 0, 0, 0);
        for (field, start, width) in &self.fields {
            let mut number = 0_u32;
            for byte in &text[*start..start + width] {
                let digit = byte.wrapping_sub(b'0');
                if digit > 9 {
                    return None;
                }
                number = number * 10 + u32::from(digit);
            }
            match field {
                Numeric::Year => year = number,
                Numeric::Month => month = number,
                Numeric::Day => day = number,
                Numeric::Hour => hour = number,
                Numeric::Minute => minute = number,
                _ => second = number,
            }
        }
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let days = NaiveDate::from_ymd_opt(year as i32, month, day)?.num_days_from_ce() - 719_163;
        Some(i64::from(days) * 86_400 + i64::from(hour * 3_600 + minute * 60 + second))
    }
}
