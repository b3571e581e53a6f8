//! Texts made of texts.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray, StringBuilder};
use arrow::buffer::Buffer;
use arrow::datatypes::DataType;

use super::text::{MOST_BYTES, Side, TextFunction, edited, part, texts, too_long};
use super::{Failure, Planned};

/// Plans changes of case, and the order of letters.
pub(super) fn letters(function: TextFunction) -> Planned {
    let upper = match function {
        TextFunction::Lower => false,
        TextFunction::Upper => true,
        TextFunction::Title => return edited(title),
        TextFunction::Capitalize => return edited(capitalize),
        _ => return edited(|text, out| out.extend(text.chars().rev())),
    };
    let other = if upper {
        edited(|text, out| text.chars().for_each(|c| out.extend(c.to_uppercase())))
    } else {
        // As a whole, for the last sigma of a word is another one.
        edited(|text, out| out.push_str(&text.to_lowercase()))
    };
    Planned::unary(DataType::Utf8, DataType::Utf8, move |array| match ascii_case(texts(array)?, upper)? {
        Some(array) => Ok(array),
        None => (other.kernel)(&mut [super::Operand::Rows(array.clone())], array.len()),
    })
}

/// Texts of ASCII alone, all at once: their bytes keep their places.
fn ascii_case(texts: &StringArray, upper: bool) -> Result<Option<ArrayRef>, Failure> {
    if !texts.value_data().is_ascii() {
        return Ok(None);
    }
    let mut bytes = texts.value_data().to_vec();
    match upper {
        true => bytes.make_ascii_uppercase(),
        false => bytes.make_ascii_lowercase(),
    }
    let made = StringArray::try_new(texts.offsets().clone(), Buffer::from_vec(bytes), texts.nulls().cloned())?;
    Ok(Some(Arc::new(made)))
}

fn capitalize(text: &str, out: &mut String) {
    let mut letters = text.chars();
    if let Some(first) = letters.next() {
        out.extend(first.to_uppercase());
        out.push_str(&letters.as_str().to_lowercase());
    }
}

fn title(text: &str, out: &mut String) {
    let mut inside = false;
    for letter in text.chars() {
        match inside {
            true => out.extend(letter.to_lowercase()),
            false => out.extend(letter.to_uppercase()),
        }
        inside = letter.is_alphabetic();
    }
}

/// Plans the removal of characters at the ends.
pub(super) fn strip(side: Side, chars: Option<Arc<str>>) -> Planned {
    let Some(chars) = chars else {
        return part(move |text| {
            Some(match side {
                Side::Left => text.trim_start(),
                Side::Right => text.trim_end(),
                Side::Both => text.trim(),
            })
        });
    };
    let chars: Vec<char> = chars.chars().collect();
    part(move |text| {
        let is = |letter: char| chars.contains(&letter);
        Some(match side {
            Side::Left => text.trim_start_matches(is),
            Side::Right => text.trim_end_matches(is),
            Side::Both => text.trim_matches(is),
        })
    })
}

/// Plans the removal of a text at an end.
pub(super) fn strip_affix(side: Side, affix: Arc<str>) -> Planned {
    part(move |text| {
        let without = if side == Side::Left { text.strip_prefix(&*affix) } else { text.strip_suffix(&*affix) };
        Some(without.unwrap_or(text))
    })
}

/// Plans a range of characters.
pub(super) fn slice(start: i64, len: Option<u64>) -> Planned {
    let byte = |text: &str, characters: usize| match text.is_ascii() {
        true => characters.min(text.len()),
        false => text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at),
    };
    part(move |text| {
        let characters = |text: &str| if text.is_ascii() { text.len() } else { text.chars().count() };
        let (from, len) = match usize::try_from(start) {
            Ok(from) => (from, len),
            Err(_) => {
                let behind = usize::try_from(start.unsigned_abs()).unwrap_or(usize::MAX);
                let all = characters(text);
                // What would stand before the text is counted, and is not there.
                let missing = behind.saturating_sub(all) as u64;
                (all.saturating_sub(behind), len.map(|len| len.saturating_sub(missing)))
            }
        };
        let rest = &text[byte(text, from)..];
        Some(match len {
            Some(len) => &rest[..byte(rest, usize::try_from(len).unwrap_or(usize::MAX))],
            None => rest,
        })
    })
}

/// Plans texts of a least width.
pub(super) fn pad(side: Side, width: usize, fill: char) -> Planned {
    edited(move |text, out| {
        let missing = width.saturating_sub(text.chars().count());
        let fill = std::iter::repeat_n(fill, missing);
        if side == Side::Left {
            out.extend(fill);
            out.push_str(text);
        } else {
            out.push_str(text);
            out.extend(fill);
        }
    })
}

/// Plans numbers of a least width.
pub(super) fn zfill(width: usize) -> Planned {
    edited(move |text, out| {
        let missing = width.saturating_sub(text.chars().count());
        let digits = text.trim_start_matches(['+', '-']);
        // One sign at most.
        let digits = if text.len() - digits.len() > 1 { &text[1..] } else { digits };
        out.push_str(&text[..text.len() - digits.len()]);
        out.extend(std::iter::repeat_n('0', missing));
        out.push_str(digits);
    })
}

/// Plans a text so many times.
pub(super) fn repeat(times: usize) -> Planned {
    Planned::unary(DataType::Utf8, DataType::Utf8, move |array| {
        let texts = texts(array)?;
        // Known before anything is made of it: it may be any size.
        let bytes = (texts.value_offsets()[texts.len()] - texts.value_offsets()[0]) as usize;
        let bytes = bytes.checked_mul(times).filter(|bytes| *bytes <= MOST_BYTES).ok_or_else(too_long)?;
        let mut made = StringBuilder::with_capacity(texts.len(), bytes);
        for text in texts {
            match text {
                None => made.append_null(),
                Some(text) => {
                    for _ in 0..times {
                        // Writing into memory does not fail.
                        let _ = made.write_str(text);
                    }
                    made.append_value("");
                }
            }
        }
        Ok(Arc::new(made.finish()))
    })
}

/// Plans the replacement of a text as it is.
pub(super) fn replace_literal(pattern: Arc<str>, with: Arc<str>, all: bool) -> Planned {
    edited(move |text, out| {
        let mut rest = 0;
        for (at, found) in text.match_indices(&*pattern) {
            out.push_str(&text[rest..at]);
            out.push_str(&with);
            rest = at + found.len();
            if !all {
                break;
            }
        }
        out.push_str(&text[rest..]);
    })
}
