//! What is found in texts.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, ListBuilder, StringBuilder};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::comparison;
use arrow::datatypes::{DataType, Field};
use memchr::memmem;
use regex::Regex;

use super::text::{CharClass, TextFunction, edited, part, texts};
use super::{Misfit, Operand, Planned};

/// Plans a test of each text. It is asked about texts under nulls too.
fn test(test: impl Fn(&str) -> bool + Send + Sync + 'static) -> Planned {
    Planned::unary(DataType::Boolean, DataType::Utf8, move |array| {
        let texts = texts(array)?;
        let values = BooleanBuffer::collect_bool(texts.len(), |row| texts.is_valid(row) && test(texts.value(row)));
        Ok(Arc::new(BooleanArray::new(values, texts.nulls().cloned())))
    })
}

/// Plans a number of each text, where there is one.
fn number(of: impl Fn(&str) -> Option<usize> + Send + Sync + 'static) -> Planned {
    Planned::unary(DataType::Int64, DataType::Utf8, move |array| {
        let numbers = texts(array)?.iter().map(|text| text.and_then(&of).map(|number| number as i64));
        Ok(Arc::new(numbers.collect::<Int64Array>()))
    })
}

/// Plans several texts of each text.
fn many(of: impl Fn(&str, &mut dyn FnMut(&str)) + Send + Sync + 'static) -> Planned {
    let gives = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
    Planned::unary(gives, DataType::Utf8, move |array| {
        let texts = texts(array)?;
        let mut made = ListBuilder::new(StringBuilder::with_capacity(texts.len(), texts.value_data().len()));
        for text in texts {
            if let Some(text) = text {
                of(text, &mut |part| made.values().append_value(part));
            }
            made.append(text.is_some());
        }
        Ok(Arc::new(made.finish()) as ArrayRef)
    })
}

/// Plans the number of characters or bytes.
pub(super) fn length(characters: bool) -> Planned {
    Planned::unary(DataType::Int64, DataType::Utf8, move |array| {
        let texts = texts(array)?;
        let lengths: Vec<i64> = if characters && !texts.value_data().is_ascii() {
            (0..texts.len())
                .map(|row| if texts.is_null(row) { 0 } else { texts.value(row).chars().count() as i64 })
                .collect()
        } else {
            texts.offsets().lengths().map(|len| len as i64).collect()
        };
        Ok(Arc::new(Int64Array::new(lengths.into(), texts.nulls().cloned())))
    })
}

/// Plans whether a regular expression matches; where it is a plain text, whether that is there.
pub(super) fn matches(pattern: &str, regex: Regex) -> Planned {
    if regex::escape(pattern) == pattern {
        let finder = memmem::Finder::new(pattern).into_owned();
        return test(move |text| finder.find(text.as_bytes()).is_some());
    }
    test(move |text| regex.is_match(text))
}

/// Plans whether one text is in another, or at its end.
pub(super) fn contains(function: TextFunction) -> Planned {
    let kernel = match function {
        TextFunction::StartsWith => comparison::starts_with,
        TextFunction::EndsWith => comparison::ends_with,
        _ => comparison::contains,
    };
    Planned::new(DataType::Boolean, vec![DataType::Utf8; 2], move |operands: &mut [Operand], _| {
        Ok(Arc::new(kernel(&operands[0], &operands[1])?))
    })
}

/// Plans an SQL pattern.
pub(super) fn like(pattern: Arc<str>, any_case: bool) -> Planned {
    let pattern = arrow::array::StringArray::new_scalar(&*pattern);
    Planned::unary(DataType::Boolean, DataType::Utf8, move |array| {
        let found = if any_case { comparison::ilike(array, &pattern) } else { comparison::like(array, &pattern) };
        Ok(Arc::new(found?))
    })
}

/// Plans the replacement of what matches.
pub(super) fn replace(regex: Regex, with: Arc<str>, all: bool) -> Planned {
    edited(move |text, out| {
        let replaced = if all { regex.replace_all(text, &*with) } else { regex.replace(text, &*with) };
        out.push_str(&replaced);
    })
}

/// Plans the parts between a text.
pub(super) fn split(separator: Arc<str>) -> Planned {
    many(move |text, take| {
        if separator.is_empty() {
            // Into characters.
            let mut place = [0; 4];
            text.chars().for_each(|letter| take(letter.encode_utf8(&mut place)));
        } else {
            text.split(&*separator).for_each(take);
        }
    })
}

/// Plans one of the parts between a text.
pub(super) fn split_part(separator: Arc<str>, wanted: i64) -> Planned {
    let place = usize::try_from(if wanted < 0 { wanted.unsigned_abs() - 1 } else { wanted.unsigned_abs() });
    let place = place.unwrap_or(usize::MAX);
    part(move |text| match (separator.is_empty(), wanted < 0) {
        (false, false) => text.split(&*separator).nth(place),
        (false, true) => text.rsplit(&*separator).nth(place),
        (true, _) => {
            let mut letters = text.char_indices().map(|(at, letter)| &text[at..at + letter.len_utf8()]);
            if wanted < 0 { letters.nth_back(place) } else { letters.nth(place) }
        }
    })
}

/// Plans a group of the first match.
pub(super) fn extract(regex: Regex, group: usize) -> Result<Planned, Misfit> {
    let groups = regex.captures_len();
    if group >= groups {
        return Err(format!("the pattern has {} groups, and group {group} is asked for", groups - 1));
    }
    if group == 0 {
        return Ok(part(move |text| regex.find(text).map(|found| found.as_str())));
    }
    Ok(part(move |text| regex.captures(text)?.get(group).map(|found| found.as_str())))
}

/// Plans all matches.
pub(super) fn extract_all(regex: Regex) -> Planned {
    many(move |text, take| regex.find_iter(text).for_each(|found| take(found.as_str())))
}

/// Plans where a text stands first.
pub(super) fn find(sought: Arc<str>) -> Planned {
    number(move |text| text.find(&*sought).map(|at| text[..at].chars().count()))
}

/// Plans how often a regular expression matches.
pub(super) fn count_matches(regex: Regex) -> Planned {
    number(move |text| Some(regex.find_iter(text).count()))
}

/// Plans a test of all characters.
pub(super) fn is(class: CharClass) -> Planned {
    let all = |test: fn(char) -> bool| self::test(move |text| !text.is_empty() && text.chars().all(test));
    match class {
        CharClass::Alpha => all(char::is_alphabetic),
        CharClass::Digit => all(|letter| letter.is_ascii_digit()),
        CharClass::Alnum => all(char::is_alphanumeric),
        CharClass::Space => all(char::is_whitespace),
        CharClass::Upper => test(|text| text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase)),
        CharClass::Lower => test(|text| text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase)),
        CharClass::Ascii => test(str::is_ascii),
    }
}
