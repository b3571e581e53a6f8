//! The ends of all fields of some rows of text: the same number of them for each row, whatever the text looks like.
//!
//! The tokenizer writes down where fields end, row after row, and knows nothing of columns; whoever wants a column takes
//! each n-th place. So fields that nobody wants cost about a nanosecond, and columns are parsed one after the other in loops of
//! one type. Blank lines, comments and rows with too few fields are rare: only text that has them is walked through row by row.

use super::mask::{Bits, Dialect, State, WORD, with_comments};

/// What has been found in a text. Places are relative to its start.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Where fields end: `stride` for each row.
    ends: Vec<u32>,
    /// Where rows start.
    starts: Vec<u32>,
    stride: usize,
    /// How much of the text they take, with blank lines and comments between them.
    pub used: usize,
    /// Whether there may be quotes inside quoted fields.
    pub doubled: bool,
    /// Rows left out since they have a wrong number of fields.
    pub skipped: u64,
    /// Whether the text ends inside quotes.
    pub open: bool,
    found: Vec<u32>,
}

/// What is to be found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// Rows at most.
    pub rows: usize,
    /// Only rows that start before this place.
    pub before: usize,
    /// Whether nothing comes after the text.
    pub at_end: bool,
    /// Fields of a row.
    pub fields: usize,
    /// What is done with rows with fewer fields.
    pub short: Irregular,
    /// What is done with rows with more.
    pub long: Irregular,
}

/// What is done with a row that has another number of fields than the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Irregular {
    Refused,
    Skipped,
    Padded,
}

/// A row with a wrong number of fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WrongFields {
    /// Where it starts.
    pub start: usize,
    /// How many it has.
    pub fields: usize,
}

/// Bytes that have to be readable after a text.
pub(super) const PADDING: usize = WORD;

impl Rows {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Where a row starts.
    pub fn start(&self, row: usize) -> usize {
        self.starts[row] as usize
    }

    /// Where the fields of a column are, of all rows or some of them. A field that is missing ends before it starts.
    pub fn spans(&self, column: usize, rows: Option<&[u32]>, spans: &mut Vec<(u32, u32)>) {
        spans.clear();
        let ends = self.ends.chunks_exact(self.stride);
        match (column.checked_sub(1), rows) {
            (None, None) => spans.extend(self.starts.iter().zip(ends).map(|(start, row)| (*start, row[0]))),
            (Some(before), None) => spans.extend(ends.map(|row| (row[before] + 1, row[column]))),
            (None, Some(rows)) => spans.extend(rows.iter().map(|row| {
                let row = *row as usize;
                (self.starts[row], self.ends[row * self.stride])
            })),
            (Some(before), Some(rows)) => spans.extend(rows.iter().map(|row| {
                let row = &self.ends[*row as usize * self.stride..][..self.stride];
                (row[before] + 1, row[column])
            })),
        }
    }

    /// Finds the rows at the start of a text; the last [`PADDING`] bytes of `padded` are not part of it, and the first of
    /// them is a newline. A row at the end without a newline is one only if nothing comes after it.
    ///
    /// # Errors
    /// The first row with a wrong number of fields; the rows before it are there.
    pub fn find(&mut self, padded: &[u8], dialect: &Dialect, wanted: &Wanted) -> Result<(), WrongFields> {
        self.stride = wanted.fields;
        self.starts.clear();
        self.skipped = 0;
        let (places, newlines) = self.flatten(padded, dialect, wanted);
        if self.regular(padded, dialect, wanted, places, newlines) {
            return Ok(());
        }
        // Ends may have been moved before carriage returns.
        let (places, _) = self.flatten(padded, dialect, wanted);
        self.walk(padded, dialect, wanted, places)
    }

    /// Writes down all ends of fields; gives their number and the number of newlines among them.
    fn flatten(&mut self, padded: &[u8], dialect: &Dialect, wanted: &Wanted) -> (usize, usize) {
        match (dialect.comment, dialect.quote) {
            (Some(_), _) => self.flatten_as::<true, true>(padded, dialect, wanted),
            (None, Some(_)) => self.flatten_as::<true, false>(padded, dialect, wanted),
            (None, None) => self.flatten_as::<false, false>(padded, dialect, wanted),
        }
    }

    fn flatten_as<const QUOTED: bool, const COMMENTS: bool>(
        &mut self,
        padded: &[u8],
        dialect: &Dialect,
        wanted: &Wanted,
    ) -> (usize, usize) {
        let length = padded.len() - PADDING;
        let mut state = State::RECORD;
        let mut doubled = 0_u64;
        let (mut places, mut newlines, mut at) = (0_usize, 0_usize, 0_usize);
        let (mut ended, mut carried) = (false, 0_u64);
        while at < length && newlines < wanted.rows && !ended {
            let Some(word) = padded.get(at..).and_then(|rest| rest.first_chunk::<WORD>()) else { break };
            let mut bits = Bits::of(word, dialect, QUOTED);
            let here = (length - at).min(WORD);
            if here < WORD {
                bits = bits.first(here);
            }
            if COMMENTS {
                bits = with_comments(&word[..here], dialect, &mut state);
                doubled |= bits.quotes;
            } else if QUOTED && (bits.quotes != 0 || state.inside) {
                let (inside, letters) = bits.inside(&mut state, here as u32 - 1);
                doubled |= (bits.quotes & ((bits.quotes << 1) | carried)) | u64::from(letters);
                bits.delimiters &= !inside;
                bits.newlines &= !inside;
            } else if QUOTED {
                let last = here as u32 - 1;
                state.opens = ((bits.delimiters | bits.newlines) >> last) & 1 != 0;
                state.record = (bits.newlines >> last) & 1 != 0;
            } else {
                state.record = (bits.newlines >> (here as u32 - 1)) & 1 != 0;
            }
            if self.found.len() < places + WORD {
                let more = (self.found.len() * 2).max(places + 16 * WORD);
                self.found.resize(more, 0);
            }
            if let Some(out) = self.found[places..].first_chunk_mut::<WORD>() {
                places += write_places(bits.delimiters | bits.newlines, at as u32, out);
            }
            newlines += bits.newlines.count_ones() as usize;
            carried = bits.quotes >> 63;
            if at + WORD >= wanted.before {
                // Once a row starts at or after the limit, what comes is not wanted.
                let from = wanted.before.saturating_sub(at + 1);
                ended = from < WORD && bits.newlines >> from != 0;
            }
            at += WORD;
        }
        self.open = at >= length && state.inside;
        if wanted.at_end && at >= length && !state.record && !state.inside && length > 0 {
            // The newline that is not there.
            self.found.resize(self.found.len().max(places + 1), 0);
            self.found[places] = length as u32;
            places += 1;
            newlines += 1;
        }
        self.doubled = doubled != 0;
        (places, newlines)
    }

    /// Takes the places as rows of the same number of fields; says whether they are.
    fn regular(&mut self, padded: &[u8], dialect: &Dialect, wanted: &Wanted, places: usize, newlines: usize) -> bool {
        let stride = self.stride;
        if places < newlines * stride {
            return false;
        }
        std::mem::swap(&mut self.found, &mut self.ends);
        self.starts.reserve(newlines);
        let mut start = 0_u32;
        let (mut wrong, mut no_row) = (0_u8, false);
        for row in self.ends[..newlines * stride].chunks_exact_mut(stride) {
            let end = row[stride - 1];
            wrong |= padded[end as usize] ^ b'\n';
            let carriage = end > start && padded[end as usize - 1] == b'\r';
            row[stride - 1] = end - u32::from(carriage);
            no_row |= stride == 1 && dialect.comment == Some(padded[start as usize]);
            self.starts.push(start);
            start = end + 1;
        }
        if wrong != 0 || no_row {
            std::mem::swap(&mut self.found, &mut self.ends);
            self.starts.clear();
            return false;
        }
        let mut rows = newlines.min(wanted.rows);
        if self.starts.get(rows.saturating_sub(1)).is_some_and(|last| *last as usize >= wanted.before) {
            rows = self.starts[..rows].partition_point(|start| (*start as usize) < wanted.before);
        }
        self.used = self.starts.get(rows).map_or(start as usize, |next| *next as usize).min(padded.len() - PADDING);
        self.starts.truncate(rows);
        self.ends.truncate(rows * stride);
        true
    }

    /// Goes through the places row by row.
    fn walk(&mut self, padded: &[u8], dialect: &Dialect, wanted: &Wanted, places: usize) -> Result<(), WrongFields> {
        let stride = self.stride;
        let length = padded.len() - PADDING;
        self.ends.clear();
        self.starts.clear();
        self.used = 0;
        let mut start = 0_usize;
        let mut first = 0_usize;
        for at in 0..places {
            let end = self.found[at] as usize;
            if padded[end] != b'\n' {
                continue;
            }
            if self.starts.len() == wanted.rows || start >= wanted.before {
                break;
            }
            let fields = at + 1 - first;
            let carriage = end > start && padded[end - 1] == b'\r';
            let last = end - usize::from(carriage);
            // Of a table of one column, a blank line is a row.
            let blank = last == start && stride > 1;
            let no_row = fields == 1 && (blank || dialect.comment == Some(padded[start]));
            if !no_row {
                let irregular = if fields < stride { wanted.short } else { wanted.long };
                match irregular {
                    _ if fields == stride => {}
                    Irregular::Refused => return Err(WrongFields { start, fields }),
                    Irregular::Skipped => self.skipped += 1,
                    Irregular::Padded => {}
                }
                if fields == stride || irregular == Irregular::Padded {
                    self.starts.push(start as u32);
                    let taken = fields.min(stride);
                    self.ends.extend_from_slice(&self.found[first..first + taken]);
                    if fields <= stride
                        && let Some(end) = self.ends.last_mut()
                    {
                        *end = last as u32;
                    }
                    // Missing fields end before they start.
                    self.ends.extend(std::iter::repeat_n(last as u32, stride - taken));
                }
            }
            first = at + 1;
            start = (end + 1).min(length);
            self.used = start;
        }
        Ok(())
    }
}

/// Writes down the places of bits, and gives their number. More may be written than there are.
#[inline(always)]
fn write_places(bits: u64, base: u32, out: &mut [u32; WORD]) -> usize {
    let count = bits.count_ones() as usize;
    let mut bits = bits;
    let mut next = || {
        // The top bit spares the case of no bit at all.
        let place = base + (bits | 1 << 63).trailing_zeros();
        bits &= bits.wrapping_sub(1);
        place
    };
    for slot in &mut out[..8] {
        *slot = next();
    }
    if count > 8 {
        for slot in &mut out[8..16] {
            *slot = next();
        }
        if count > 16 {
            for slot in &mut out[16..count.min(WORD)] {
                *slot = next();
            }
        }
    }
    count
}
