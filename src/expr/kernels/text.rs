//! Functions of text, as data. What is done with the bytes is in `text_edit` and `text_find`.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use arrow::datatypes::{DataType, TimeUnit};

use super::super::selector::regex;
use super::super::types::{Known, is_text};
use super::super::{Expr, Function};
use super::{Failure, Misfit, Operand, Outcome, Planned, defect, text_edit, text_find, time_parse};

/// An end of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The beginning.
    Left,
    /// The end.
    Right,
    /// Both.
    Both,
}

/// What all letters of a text may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CharClass {
    /// Letters.
    Alpha,
    /// The digits 0 to 9.
    Digit,
    /// Letters and digits.
    Alnum,
    /// White space.
    Space,
    /// No lower-case letters, and at least one upper-case one.
    Upper,
    /// No upper-case letters, and at least one lower-case one.
    Lower,
    /// Of ASCII alone; also the empty text.
    Ascii,
}

/// A function of text. Places and lengths are in characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TextFunction {
    /// Lower case.
    Lower,
    /// Upper case.
    Upper,
    /// The first letter of each word in upper case, the others in lower case.
    Title,
    /// The first letter in upper case, the others in lower case.
    Capitalize,
    /// Without these characters at its ends; without white space where none are given.
    Strip(Side, Option<Arc<str>>),
    /// Without this text at its beginning or end, if it is there.
    StripAffix(Side, Arc<str>),
    /// Number of characters.
    LenChars,
    /// Number of bytes.
    LenBytes,
    /// Whether a regular expression matches somewhere.
    Matches(Arc<str>),
    /// Whether the second operand is in it.
    Contains,
    /// Whether it starts with the second operand.
    StartsWith,
    /// Whether it ends with the second operand.
    EndsWith,
    /// Whether an SQL pattern with `%` and `_` matches the whole; the case does not count where the last is true.
    Like(Arc<str>, bool),
    /// What matches replaced by another text.
    Replace {
        /// What is looked for.
        pattern: Arc<str>,
        /// What stands there afterwards: `$1` is the first group, where the pattern is a regular expression.
        with: Arc<str>,
        /// Whether the pattern is a text, and no regular expression.
        literal: bool,
        /// Everywhere, not only the first.
        all: bool,
    },
    /// From a place on, from the end where it is negative, so many characters or all.
    Slice(i64, Option<u64>),
    /// The parts between a text, as a list.
    Split(Arc<str>),
    /// One of the parts between a text, from the end where it is negative; null where there are not so many.
    SplitPart(Arc<str>, i64),
    /// What a group of the first match of a regular expression matched; null where it does not match.
    Extract(Arc<str>, usize),
    /// All that a regular expression matches, as a list.
    ExtractAll(Arc<str>),
    /// Where a text stands first; null where it does not.
    Find(Arc<str>),
    /// How often a regular expression matches.
    CountMatches(Arc<str>),
    /// At least so many characters, with a character put before or behind it.
    Pad(Side, u32, char),
    /// At least so many characters, with zeros put behind its sign.
    Zfill(u32),
    /// So many times.
    Repeat(u32),
    /// From the last character to the first.
    Reverse,
    /// Whether it is not empty and all its characters are such.
    Is(CharClass),
    /// Texts with another between them.
    Concat {
        /// What stands between them.
        separator: Arc<str>,
    },
    /// Read as a date.
    ToDate {
        /// As of `strftime`.
        format: Arc<str>,
        /// Whether what cannot be read is null, and no error.
        lossy: bool,
    },
    /// Read as a timestamp in microseconds; with a zone where the format has one.
    ToDatetime {
        /// As of `strftime`.
        format: Arc<str>,
        /// Whether what cannot be read is null, and no error.
        lossy: bool,
    },
}

/// The functions of text of an expression; from [`Expr::str`].
#[derive(Clone, Debug)]
#[must_use = "a namespace does nothing by itself"]
pub struct TextExpr(Expr);

impl Expr {
    /// Functions of text.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let hour = col("time").str().slice(11, 2).cast(DataType::Int32).alias("hour");
    /// assert_eq!(hour.to_string(), "cast(slice(time, 11, 2) as Int32) as hour");
    /// ```
    pub fn str(self) -> TextExpr {
        TextExpr(self)
    }
}

macro_rules! functions {
    ($($(#[$doc:meta])+ $name:ident($($arg:ident: $of:ty),*) => $function:expr;)+) => {
        impl TextExpr {$(
            $(#[$doc])+
            #[must_use]
            pub fn $name(self $(, $arg: $of)*) -> Expr {
                self.0.call(Function::Text($function))
            }
        )+}
    };
}

functions! {
    /// In lower case.
    to_lowercase() => TextFunction::Lower;
    /// In upper case.
    to_uppercase() => TextFunction::Upper;
    /// The first letter of each word in upper case, the others in lower case.
    to_titlecase() => TextFunction::Title;
    /// The first letter in upper case, the others in lower case.
    capitalize() => TextFunction::Capitalize;
    /// Without white space at both ends.
    strip() => TextFunction::Strip(Side::Both, None);
    /// Without white space at its beginning.
    lstrip() => TextFunction::Strip(Side::Left, None);
    /// Without white space at its end.
    rstrip() => TextFunction::Strip(Side::Right, None);
    /// Without these characters at both ends.
    strip_chars(chars: &str) => TextFunction::Strip(Side::Both, Some(chars.into()));
    /// Without these characters at its beginning.
    lstrip_chars(chars: &str) => TextFunction::Strip(Side::Left, Some(chars.into()));
    /// Without these characters at its end.
    rstrip_chars(chars: &str) => TextFunction::Strip(Side::Right, Some(chars.into()));
    /// Without this text at its beginning, if it is there.
    strip_prefix(text: &str) => TextFunction::StripAffix(Side::Left, text.into());
    /// Without this text at its end, if it is there.
    strip_suffix(text: &str) => TextFunction::StripAffix(Side::Right, text.into());
    /// Number of characters.
    len_chars() => TextFunction::LenChars;
    /// Number of bytes.
    len_bytes() => TextFunction::LenBytes;
    /// Whether a regular expression matches somewhere. [`TextExpr::contains_literal`] looks for a text as it is.
    contains(pattern: &str) => TextFunction::Matches(pattern.into());
    /// Whether an SQL pattern matches the whole: `%` is any text, `_` any character.
    like(pattern: &str) => TextFunction::Like(pattern.into(), false);
    /// The same, where case does not count.
    ilike(pattern: &str) => TextFunction::Like(pattern.into(), true);
    /// The first match of a regular expression replaced; `$1` in the text is its first group.
    replace(pattern: &str, with: &str) => TextFunction::Replace { pattern: pattern.into(), with: with.into(), literal: false, all: false };
    /// All matches of a regular expression replaced; `$1` in the text is the first group.
    replace_all(pattern: &str, with: &str) => TextFunction::Replace { pattern: pattern.into(), with: with.into(), literal: false, all: true };
    /// The first place of a text replaced.
    replace_literal(text: &str, with: &str) => TextFunction::Replace { pattern: text.into(), with: with.into(), literal: true, all: false };
    /// All places of a text replaced.
    replace_all_literal(text: &str, with: &str) => TextFunction::Replace { pattern: text.into(), with: with.into(), literal: true, all: true };
    /// From a character on, counted from the end where it is negative, so many or (with `None`) all.
    slice(start: i64, len: impl Into<Option<u64>>) => TextFunction::Slice(start, len.into());
    /// The first characters.
    head(len: u64) => TextFunction::Slice(0, Some(len));
    /// The parts between a text, as a list.
    split(separator: &str) => TextFunction::Split(separator.into());
    /// One of the parts between a text, counted from the end where it is negative; null where there are not so many.
    split_part(separator: &str, part: i64) => TextFunction::SplitPart(separator.into(), part);
    /// What a group of the first match of a regular expression matched, 0 for the whole; null where there is none.
    extract(pattern: &str, group: usize) => TextFunction::Extract(pattern.into(), group);
    /// All that a regular expression matches, as a list.
    extract_all(pattern: &str) => TextFunction::ExtractAll(pattern.into());
    /// The character at which a text stands first; null where it does not.
    find(text: &str) => TextFunction::Find(text.into());
    /// How often a regular expression matches.
    count_matches(pattern: &str) => TextFunction::CountMatches(pattern.into());
    /// At least so many characters, with a character put before it.
    pad_start(width: u32, fill: char) => TextFunction::Pad(Side::Left, width, fill);
    /// At least so many characters, with a character put behind it.
    pad_end(width: u32, fill: char) => TextFunction::Pad(Side::Right, width, fill);
    /// At least so many characters, with zeros put before it, behind a sign.
    zfill(width: u32) => TextFunction::Zfill(width);
    /// So many times.
    repeat(times: u32) => TextFunction::Repeat(times);
    /// From the last character to the first.
    reverse() => TextFunction::Reverse;
    /// Whether it is not empty and of letters alone.
    is_alpha() => TextFunction::Is(CharClass::Alpha);
    /// Whether it is not empty and of the digits 0 to 9 alone.
    is_digit() => TextFunction::Is(CharClass::Digit);
    /// Whether it is not empty and of letters and digits alone.
    is_alnum() => TextFunction::Is(CharClass::Alnum);
    /// Whether it is not empty and of white space alone.
    is_space() => TextFunction::Is(CharClass::Space);
    /// Whether there are upper-case letters in it and no lower-case ones.
    is_upper() => TextFunction::Is(CharClass::Upper);
    /// Whether there are lower-case letters in it and no upper-case ones.
    is_lower() => TextFunction::Is(CharClass::Lower);
    /// Whether it is of ASCII alone.
    is_ascii() => TextFunction::Is(CharClass::Ascii);
    /// Read as a date by a format such as `%Y-%m-%d`; what cannot be read is an error.
    to_date(format: &str) => TextFunction::ToDate { format: format.into(), lossy: false };
    /// Read as a date; what cannot be read is null.
    to_date_lossy(format: &str) => TextFunction::ToDate { format: format.into(), lossy: true };
    /// Read as a timestamp in microseconds by a format such as `%F %T`; what cannot be read is an error. A format with a zone
    /// (`%z`) gives timestamps of UTC.
    to_datetime(format: &str) => TextFunction::ToDatetime { format: format.into(), lossy: false };
    /// Read as a timestamp; what cannot be read is null.
    to_datetime_lossy(format: &str) => TextFunction::ToDatetime { format: format.into(), lossy: true };
}

impl TextExpr {
    fn with(self, function: TextFunction, other: Expr) -> Expr {
        Expr::Call(Function::Text(function), [self.0, other].into())
    }

    /// The last characters.
    #[must_use]
    pub fn tail(self, len: u32) -> Expr {
        match len {
            0 => self.slice(0, 0),
            len => self.slice(-i64::from(len), None),
        }
    }

    /// Whether another text is in it, as it is.
    #[must_use]
    pub fn contains_literal(self, text: impl Into<Expr>) -> Expr {
        self.with(TextFunction::Contains, text.into())
    }

    /// Whether it starts with another text.
    #[must_use]
    pub fn starts_with(self, text: impl Into<Expr>) -> Expr {
        self.with(TextFunction::StartsWith, text.into())
    }

    /// Whether it ends with another text.
    #[must_use]
    pub fn ends_with(self, text: impl Into<Expr>) -> Expr {
        self.with(TextFunction::EndsWith, text.into())
    }

    /// It and other texts, one behind the other; null where one is null.
    #[must_use]
    pub fn concat<E: Into<Expr>>(self, others: impl IntoIterator<Item = E>) -> Expr {
        let all = std::iter::once(self.0).chain(others.into_iter().map(E::into));
        super::super::concat_str(all, "")
    }

    /// Read as an integer; what cannot be read is an error.
    #[must_use]
    pub fn to_integer(self) -> Expr {
        self.0.cast(DataType::Int64)
    }

    /// Read as an integer; what cannot be read is null.
    #[must_use]
    pub fn to_integer_lossy(self) -> Expr {
        self.0.try_cast(DataType::Int64)
    }

    /// Read as a decimal number with so many digits behind the point; what cannot be read is an error.
    #[must_use]
    pub fn to_decimal(self, scale: i8) -> Expr {
        self.0.cast(DataType::Decimal128(38, scale))
    }

    /// Read as a decimal number with so many digits behind the point; what cannot be read is null.
    #[must_use]
    pub fn to_decimal_lossy(self, scale: i8) -> Expr {
        self.0.try_cast(DataType::Decimal128(38, scale))
    }
}

impl TextFunction {
    pub(in super::super) fn name(&self) -> &'static str {
        match self {
            TextFunction::Lower => "to_lowercase",
            TextFunction::Upper => "to_uppercase",
            TextFunction::Title => "to_titlecase",
            TextFunction::Capitalize => "capitalize",
            TextFunction::Strip(Side::Left, _) => "lstrip",
            TextFunction::Strip(Side::Right, _) => "rstrip",
            TextFunction::Strip(Side::Both, _) => "strip",
            TextFunction::StripAffix(Side::Left, _) => "strip_prefix",
            TextFunction::StripAffix(..) => "strip_suffix",
            TextFunction::LenChars => "len_chars",
            TextFunction::LenBytes => "len_bytes",
            TextFunction::Matches(_) => "contains",
            TextFunction::Contains => "contains_literal",
            TextFunction::StartsWith => "starts_with",
            TextFunction::EndsWith => "ends_with",
            TextFunction::Like(_, false) => "like",
            TextFunction::Like(_, true) => "ilike",
            TextFunction::Replace { literal: false, all: false, .. } => "str_replace",
            TextFunction::Replace { literal: false, all: true, .. } => "str_replace_all",
            TextFunction::Replace { literal: true, all: false, .. } => "str_replace_literal",
            TextFunction::Replace { literal: true, all: true, .. } => "str_replace_all_literal",
            TextFunction::Slice(..) => "slice",
            TextFunction::Split(_) => "split",
            TextFunction::SplitPart(..) => "split_part",
            TextFunction::Extract(..) => "extract",
            TextFunction::ExtractAll(_) => "extract_all",
            TextFunction::Find(_) => "find",
            TextFunction::CountMatches(_) => "count_matches",
            TextFunction::Pad(Side::Left, ..) => "pad_start",
            TextFunction::Pad(..) => "pad_end",
            TextFunction::Zfill(_) => "zfill",
            TextFunction::Repeat(_) => "repeat",
            TextFunction::Reverse => "reverse",
            TextFunction::Is(class) => match class {
                CharClass::Alpha => "is_alpha",
                CharClass::Digit => "is_digit",
                CharClass::Alnum => "is_alnum",
                CharClass::Space => "is_space",
                CharClass::Upper => "is_upper",
                CharClass::Lower => "is_lower",
                CharClass::Ascii => "is_ascii",
            },
            TextFunction::Concat { .. } => "concat_str",
            TextFunction::ToDate { lossy: false, .. } => "to_date",
            TextFunction::ToDate { lossy: true, .. } => "to_date_lossy",
            TextFunction::ToDatetime { lossy: false, .. } => "to_datetime",
            TextFunction::ToDatetime { lossy: true, .. } => "to_datetime_lossy",
        }
    }

    pub(in super::super) fn settings(&self) -> Vec<String> {
        let quoted = |text: &str| format!("{text:?}");
        match self {
            TextFunction::Strip(_, Some(chars)) => vec![quoted(chars)],
            TextFunction::Replace { pattern, with, .. } => vec![quoted(pattern), quoted(with)],
            TextFunction::Slice(start, Some(len)) => vec![start.to_string(), len.to_string()],
            TextFunction::Slice(start, None) => vec![start.to_string()],
            TextFunction::SplitPart(text, part) => vec![quoted(text), part.to_string()],
            TextFunction::Extract(pattern, group) => vec![quoted(pattern), group.to_string()],
            TextFunction::StripAffix(_, text)
            | TextFunction::Matches(text)
            | TextFunction::Like(text, _)
            | TextFunction::Split(text)
            | TextFunction::ExtractAll(text)
            | TextFunction::Find(text)
            | TextFunction::CountMatches(text)
            | TextFunction::Concat { separator: text }
            | TextFunction::ToDate { format: text, .. }
            | TextFunction::ToDatetime { format: text, .. } => vec![quoted(text)],
            TextFunction::Pad(_, width, fill) => vec![width.to_string(), format!("{fill:?}")],
            TextFunction::Zfill(number) | TextFunction::Repeat(number) => vec![number.to_string()],
            _ => Vec::new(),
        }
    }
}

/// Plans a function of text.
pub(super) fn plan(function: &TextFunction, args: &[Known]) -> Result<Planned, Misfit> {
    use TextFunction as T;
    if let T::Concat { separator } = function {
        return concat(separator, args);
    }
    let takes = if matches!(function, T::Contains | T::StartsWith | T::EndsWith) { 2 } else { 1 };
    if args.len() != takes {
        return Err(format!("it takes {takes} operands, not {}", args.len()));
    }
    if let Some(other) = args.iter().find(|arg| !is_text(&arg.data_type) && arg.data_type != DataType::Null) {
        return Err(format!("it takes text, not {}: cast it first", other.data_type));
    }
    let pattern = |text: &str| regex(text).map_err(|error| error.message().to_string());
    Ok(match function {
        T::Lower | T::Upper | T::Title | T::Capitalize | T::Reverse => text_edit::letters(function.clone()),
        T::Strip(side, chars) => text_edit::strip(*side, chars.clone()),
        T::StripAffix(side, text) => text_edit::strip_affix(*side, text.clone()),
        T::Slice(start, len) => text_edit::slice(*start, *len),
        T::Pad(_, width, _) | T::Zfill(width) if *width as usize > MOST_BYTES => {
            return Err(format!("texts of {width} characters are too long"));
        }
        T::Pad(side, width, fill) => text_edit::pad(*side, *width as usize, *fill),
        T::Zfill(width) => text_edit::zfill(*width as usize),
        T::Repeat(times) => text_edit::repeat(*times as usize),
        T::Replace { pattern: text, with, literal: true, all } => {
            text_edit::replace_literal(text.clone(), with.clone(), *all)
        }
        T::Replace { pattern: text, with, literal: false, all } => {
            text_find::replace(pattern(text)?, with.clone(), *all)
        }
        T::LenChars | T::LenBytes => text_find::length(*function == T::LenChars),
        T::Matches(text) => text_find::matches(text, pattern(text)?),
        T::Contains | T::StartsWith | T::EndsWith => text_find::contains(function.clone()),
        T::Like(text, any_case) => text_find::like(text.clone(), *any_case),
        T::Split(separator) => text_find::split(separator.clone()),
        T::SplitPart(separator, part) => text_find::split_part(separator.clone(), *part),
        T::Extract(text, group) => text_find::extract(pattern(text)?, *group)?,
        T::ExtractAll(text) => text_find::extract_all(pattern(text)?),
        T::Find(text) => text_find::find(text.clone()),
        T::CountMatches(text) => text_find::count_matches(pattern(text)?),
        T::Is(class) => text_find::is(*class),
        T::ToDate { format, lossy } => time_parse::plan(format, *lossy, DataType::Date32)?,
        T::ToDatetime { format, lossy } => {
            time_parse::plan(format, *lossy, DataType::Timestamp(TimeUnit::Microsecond, None))?
        }
        T::Concat { .. } => return Err("it takes several operands".to_string()),
    })
}

pub(super) fn texts(array: &ArrayRef) -> Result<&StringArray, Failure> {
    array.as_string_opt::<i32>().ok_or_else(defect)
}

/// Plans an edit of each text: `edit` writes it anew.
pub(super) fn edited(edit: impl Fn(&str, &mut String) + Send + Sync + 'static) -> Planned {
    Planned::unary(DataType::Utf8, DataType::Utf8, move |array| {
        let texts = texts(array)?;
        let mut made = StringBuilder::with_capacity(texts.len(), texts.value_data().len());
        let mut text = String::new();
        for old in texts {
            match old {
                None => made.append_null(),
                Some(old) => {
                    text.clear();
                    edit(old, &mut text);
                    if made.values_slice().len() + text.len() > MOST_BYTES {
                        return Err(too_long());
                    }
                    made.append_value(&text);
                }
            }
        }
        Ok(Arc::new(made.finish()))
    })
}

/// What the offsets of an array of texts can say.
pub(super) const MOST_BYTES: usize = i32::MAX as usize;

/// Texts that an array cannot hold.
pub(super) fn too_long() -> Failure {
    Failure::Row("makes more than 2 GiB of text".to_string())
}

/// Plans a part of each text; null where there is none.
pub(super) fn part(of: impl Fn(&str) -> Option<&str> + Send + Sync + 'static) -> Planned {
    Planned::unary(DataType::Utf8, DataType::Utf8, move |array| {
        let texts = texts(array)?;
        let mut made = StringBuilder::with_capacity(texts.len(), texts.value_data().len());
        for text in texts {
            made.append_option(text.and_then(&of));
        }
        Ok(Arc::new(made.finish()))
    })
}

fn concat(separator: &Arc<str>, args: &[Known]) -> Result<Planned, Misfit> {
    if args.is_empty() {
        return Err("it takes at least one operand".to_string());
    }
    if let Some(other) = args.iter().find(|arg| arg.data_type.is_nested()) {
        return Err(format!("it takes text, not {}", other.data_type));
    }
    let separator = separator.clone();
    let kernel = move |operands: &mut [Operand], rows: usize| -> Outcome {
        let arrays =
            operands.iter().map(|operand| texts(operand.array()).cloned()).collect::<Result<Vec<_>, Failure>>()?;
        let bytes = arrays.iter().map(|array| array.value_data().len()).sum();
        let mut made = StringBuilder::with_capacity(rows, bytes);
        let place = |array: &StringArray, row: usize| if array.len() == rows { row } else { 0 };
        for row in 0..rows {
            if arrays.iter().any(|array| array.is_null(place(array, row))) {
                made.append_null();
                continue;
            }
            let of_row = arrays.iter().map(|array| array.value_length(place(array, row)) as usize + separator.len());
            if made.values_slice().len() + of_row.sum::<usize>() > MOST_BYTES {
                return Err(too_long());
            }
            for (at, array) in arrays.iter().enumerate() {
                if at > 0 {
                    // Writing into memory does not fail.
                    let _ = made.write_str(&separator);
                }
                let _ = made.write_str(array.value(place(array, row)));
            }
            made.append_value("");
        }
        Ok(Arc::new(made.finish()))
    };
    Ok(Planned::new(DataType::Utf8, vec![DataType::Utf8; args.len()], kernel))
}
