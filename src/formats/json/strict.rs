//! Whether a line is a JSON object, by the same rules wherever it stands in a file.
//!
//! The library's decoder takes more than JSON: numbers such as `01`, letters that must be escaped, commas that are not there, several objects
//! on a line and one over several lines. So serde_json reads each line before, and makes nothing of its values.

use std::collections::HashMap;
use std::fmt;

use arrow::error::ArrowError;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The lines of a text, with their newlines.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    let ends = memchr::memchr_iter(b'\n', text).map(|at| at + 1);
    let last = (!text.ends_with(b"\n") && !text.is_empty()).then_some(text.len());
    ends.chain(last).map(move |end| {
        let line = &text[start..end];
        start = end;
        line
    })
}

/// Whether nothing is on a line.
pub(super) fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}

/// Whether each line of a text that is not blank is an object.
///
/// # Errors
/// What is wrong with the first that is none; [`fault`] says it in full.
pub(super) fn check(text: &[u8]) -> Result<(), ArrowError> {
    lines(text).filter(|line| !is_blank(line)).try_for_each(|line| {
        let read = serde_json::from_slice::<Line>(line);
        read.map(drop).map_err(|error| ArrowError::JsonError(error.to_string()))
    })
}

/// What is wrong with a line, if it is not blank and no object.
pub(super) fn fault(line: &[u8]) -> Option<String> {
    if is_blank(line) {
        return None;
    }
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let error = serde_json::from_slice::<Line>(line).err()?;
    let mut text = error.to_string();
    // There is one line.
    if let Some(cut) = text.rfind(" at line ").filter(|_| error.line() > 0) {
        text.truncate(cut);
    }
    if text == "recursion limit exceeded" {
        text = "lists and objects lie in each other 128 deep".to_string();
    }
    // JSON may be right and have a value that nothing can hold, such as a number out of range.
    let values: HashMap<String, &RawValue> = serde_json::from_slice(line).unwrap_or_default();
    let wrong = values.iter().filter(|(_, value)| serde_json::from_str::<Sound>(value.get()).is_err());
    let what = match wrong.min_by_key(|(_, value)| value.get().as_ptr()) {
        Some((key, _)) => format!("key `{key}`"),
        None => "no JSON object".to_string(),
    };
    Some(format!("{what}: {text}, at column {}", error.column().max(1)))
}

/// An object.
struct Line;

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Line, D::Error> {
        from.deserialize_map(Values).map(|Sound| Line)
    }
}

/// A value of any kind, of which nothing is kept.
struct Sound;

impl<'de> Deserialize<'de> for Sound {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Sound, D::Error> {
        from.deserialize_any(Values)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Sound;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Other values are never asked for.
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_str<E>(self, _: &str) -> Result<Sound, E> {
        Ok(Sound)
    }

    // The depth is bounded by serde_json.

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Sound, A::Error> {
        while items.next_element::<Sound>()?.is_some() {}
        Ok(Sound)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Sound, A::Error> {
        while entries.next_entry::<Sound, Sound>()?.is_some() {}
        Ok(Sound)
    }
}
