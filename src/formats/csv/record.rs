//! Single records, taken apart without hurry: headers, samples, and what is wrong in a file.

use std::borrow::Cow;

use super::fields::unquoted;
use super::mask::{Dialect, State, WORD, with_comments};

/// A record of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// Its fields, as they are written.
    pub raw: Vec<&'a [u8]>,
    /// Where it starts.
    pub start: usize,
    /// Where the next one starts.
    pub next: usize,
}

impl Record<'_> {
    /// The fields without quotes; one with a quote in a wrong place as it is written.
    pub fn fields(&self, quote: Option<u8>) -> impl Iterator<Item = Cow<'_, [u8]>> {
        self.raw.iter().map(move |raw| match quote {
            Some(quote) if raw.first() == Some(&quote) => unquoted(raw, quote).unwrap_or(Cow::Borrowed(raw)),
            Some(_) | None => Cow::Borrowed(*raw),
        })
    }
}

/// What comes next in a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    Record(Record<'a>),
    /// There are no more.
    End,
    /// The text ends in the midst of a record.
    More,
    /// The text and the file end inside quotes that were opened at a place.
    Open(usize),
}

/// The next record of a text from a place on where one may start; blank lines and comments are passed over.
pub(super) fn next<'a>(text: &'a [u8], from: usize, dialect: &Dialect, at_end: bool) -> Next<'a> {
    let mut state = State::RECORD;
    let mut ends: Vec<usize> = Vec::new();
    let (mut start, mut opened) = (from, from);
    for (word, at) in text[from..].chunks(WORD).zip((from..).step_by(WORD)) {
        let bits = with_comments(word, dialect, &mut state);
        if bits.quotes != 0 {
            opened = at + 63 - bits.quotes.leading_zeros() as usize;
        }
        let mut both = bits.delimiters | bits.newlines;
        while both != 0 {
            let bit = both & both.wrapping_neg();
            let end = at + both.trailing_zeros() as usize;
            both ^= bit;
            ends.push(end);
            if bits.newlines & bit == 0 {
                continue;
            }
            if let Some(record) = record(text, start, &ends, end + 1, dialect) {
                return Next::Record(record);
            }
            ends.clear();
            start = end + 1;
        }
    }
    match (at_end, state.inside) {
        (false, _) => Next::More,
        (true, true) => Next::Open(opened),
        (true, false) => {
            ends.push(text.len());
            record(text, start, &ends, text.len(), dialect).map_or(Next::End, Next::Record)
        }
    }
}

fn record<'a>(text: &'a [u8], start: usize, ends: &[usize], next: usize, dialect: &Dialect) -> Option<Record<'a>> {
    let mut raw = Vec::with_capacity(ends.len());
    let mut from = start;
    for end in ends {
        raw.push(&text[from..*end]);
        from = end + 1;
    }
    if let Some(last) = raw.last_mut() {
        *last = last.strip_suffix(b"\r").unwrap_or(last);
    }
    let comment = dialect.comment.is_some() && raw.first()?.first().copied() == dialect.comment;
    let blank = raw.len() == 1 && raw[0].is_empty();
    (!comment && !blank).then_some(Record { raw, start, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_one_by_one() {
        let dialect = Dialect { delimiter: b',', quote: Some(b'"'), comment: Some(b'#') };
        let text = b"a,\"b\nc\"\r\n\n#x,\"y\n1,2\" ,3\n\r\n,\n4,\"5";
        let mut seen: Vec<Vec<String>> = Vec::new();
        let mut at = 0;
        let last = loop {
            match next(text, at, &dialect, true) {
                Next::Record(record) => {
                    seen.push(record.fields(Some(b'"')).map(|f| String::from_utf8_lossy(&f).into_owned()).collect());
                    at = record.next;
                }
                other => break other,
            }
        };
        assert_eq!(seen, [vec!["a", "b\nc"], vec!["1", "2\" ", "3"], vec!["", ""]]);
        assert_eq!(last, Next::Open(text.len() - 2));
        assert_eq!(next(text, at, &dialect, false), Next::More);
        assert_eq!(next(b"\n#", 0, &dialect, true), Next::End);
    }
}
