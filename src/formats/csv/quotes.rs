//! Whether a text ends inside quotes. The parser takes such a text for complete and the rest of the file for one field.

/// Follows quotes as the parser does: a field is quoted that begins with a quote, and two quotes in it stand for one.
pub(super) struct Quotes {
    delimiter: u8,
    state: State,
    line: u64,
    /// The line of the last quote that opened a field.
    opened: u64,
    /// Fields of the row before the one it is in.
    column: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    FieldStart,
    Plain,
    Quoted,
    /// After a quote in a quoted field: its end, or the first of two.
    Quote,
}

impl Quotes {
    /// At the beginning of a text.
    pub fn new(delimiter: u8) -> Quotes {
        Quotes { delimiter, state: State::FieldStart, line: 1, opened: 1, column: 0 }
    }

    /// Goes on over a part of the text.
    pub fn pass(&mut self, text: &[u8]) {
        for byte in text {
            let ends_field = *byte == self.delimiter || matches!(byte, b'\n' | b'\r');
            self.state = match self.state {
                State::Quoted if *byte == b'"' => State::Quote,
                State::Quoted => State::Quoted,
                State::Quote if *byte == b'"' => State::Quoted,
                State::FieldStart if *byte == b'"' => {
                    self.opened = self.line;
                    State::Quoted
                }
                _ if ends_field => State::FieldStart,
                _ => State::Plain,
            };
            self.line += u64::from(*byte == b'\n');
            if self.state == State::FieldStart {
                self.column = if *byte == self.delimiter { self.column + 1 } else { 0 };
            }
        }
    }

    /// The line of the quote that is open, if one is.
    pub fn open(&self) -> Option<u64> {
        (self.state == State::Quoted).then_some(self.opened)
    }

    /// The place in its row of the field in which the text so far ends.
    pub fn column(&self) -> usize {
        self.column
    }
}

/// The text of the error of a quote that is never closed.
pub(super) fn never_closed(line: u64) -> String {
    format!("line {line}: a quote is opened and never closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_quotes_over_any_cut() {
        for (text, open, column) in [
            ("a,b\n1,2\n", None, 0),
            ("a,b\n1,\"2", Some(2), 1),
            ("a,b\n1,\"x\ny\"\n3,\"z\n\n", Some(4), 1),
            ("a,b\n1,\"say \"\"no\"\"\"", None, 1),
            ("a,b\n1,\"say \"\"no", Some(2), 1),
            ("a,b\n5\" disk,6\"\n", None, 0),
            ("\"a", Some(1), 0),
            ("", None, 0),
        ] {
            for cut in 0..=text.len() {
                let mut quotes = Quotes::new(b',');
                quotes.pass(&text.as_bytes()[..cut]);
                quotes.pass(&text.as_bytes()[cut..]);
                assert_eq!((quotes.open(), quotes.column()), (open, column), "{text:?} cut at {cut}");
            }
        }
    }
}
