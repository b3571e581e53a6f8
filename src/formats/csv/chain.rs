//! What state the text is in where a block starts, exactly, at next to no cost.
//!
//! Whether a newline ends a record depends on all quotes before it. So each block has a [`Summary`]: the state after it for
//! each state before it. A task makes the one of its own block while it has it in memory, before anything else, and links it into
//! the [`Chain`] of the file; the state at a block follows from the summaries of those before. As tasks start in order, these
//! are mostly there; one that is not is made from the file. A block without quotes, and so a whole file without them, costs one
//! search for a byte; the first block of a file and files of one block cost nothing.
//!
//! A summary holds for the two usual states before a block: inside quotes, and outside. In one of the two nearly every quote is in
//! a wrong place, so that way is given up after a few words. Should it be the true one, or files have comments, the text is gone through
//! from the state before it, byte for byte.

use std::fs::File;
use std::io;

use super::mask::{Bits, Dialect, State, WORD, with_comments};
use crate::formats::files::read_at;

/// What a stretch of text does to the state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Summary {
    /// From outside, where a quote would open a field.
    outside: Option<State>,
    /// From inside.
    inside: Option<State>,
    /// Whether it starts with a quote, which is a letter in the midst of a field.
    quote_first: bool,
}

impl Summary {
    /// Of a text that is not empty; nothing where there are comments.
    pub fn of(text: &[u8], dialect: &Dialect) -> Option<Summary> {
        if dialect.comment.is_some() {
            return None;
        }
        let (quote, last) = (dialect.quote?, *text.last()?);
        if memchr::memchr(quote, text).is_none() {
            let (newline, delimiter) = (last == b'\n', last == dialect.delimiter);
            let state = State { inside: false, opens: newline || delimiter, record: newline, comment: false };
            return Some(Summary { outside: Some(state), inside: Some(State::INSIDE), quote_first: false });
        }
        Some(Summary {
            outside: advance(text, dialect, State { record: false, ..State::RECORD }, true),
            inside: advance(text, dialect, State::INSIDE, true),
            quote_first: text[0] == quote,
        })
    }

    /// The state after the text, if it is known.
    fn after(&self, state: State) -> Option<State> {
        match state {
            State { inside: true, .. } => self.inside,
            State { comment: true, .. } => None,
            State { opens: false, .. } if self.quote_first => None,
            State { .. } => self.outside,
        }
    }
}

/// The state after a text. With `strict` nothing, where a quote is a letter.
pub(super) fn advance(text: &[u8], dialect: &Dialect, state: State, strict: bool) -> Option<State> {
    let mut state = state;
    let (words, rest) = text.as_chunks::<WORD>();
    if dialect.comment.is_some() {
        for word in text.chunks(WORD) {
            with_comments(word, dialect, &mut state);
        }
        return Some(state);
    }
    for word in words {
        let (_, letters) = Bits::of(word, dialect, true).inside(&mut state, WORD as u32 - 1);
        if letters && strict {
            return None;
        }
    }
    if !rest.is_empty() {
        let mut word = [0; WORD];
        word[..rest.len()].copy_from_slice(rest);
        let (_, letters) = Bits::of(&word, dialect, true).first(rest.len()).inside(&mut state, rest.len() as u32 - 1);
        if letters && strict {
            return None;
        }
    }
    Some(state)
}

/// The states at the starts of the blocks of a file.
#[derive(Debug)]
pub(super) struct Chain {
    /// Bytes of a block.
    bytes: u64,
    /// Where records begin, behind the header.
    first: u64,
    /// For each block from the one on in which records begin: the state at its start.
    states: Vec<State>,
    summaries: Vec<Option<Summary>>,
}

/// Text that is read at a time to go through it.
const STRETCH: usize = 256 << 10;

impl Chain {
    /// Of a file of a length whose records begin at a place, cut every so many bytes.
    pub fn new(bytes: u64, first: u64, length: u64) -> Chain {
        let blocks = length.div_ceil(bytes).saturating_sub(first / bytes);
        Chain { bytes, first, states: vec![State::RECORD], summaries: vec![None; blocks as usize] }
    }

    /// The place in the lists of the block that starts at an offset.
    fn index(&self, start: u64) -> usize {
        (start / self.bytes).saturating_sub(self.first / self.bytes) as usize
    }

    /// Whether the state at the end of a block is not known yet and may be asked for.
    pub fn lacks(&self, start: u64) -> bool {
        let index = self.index(start);
        index + 1 < self.summaries.len() && self.summaries[index].is_none() && self.states.len() <= index + 1
    }

    /// Adds the summary of a block.
    pub fn link(&mut self, start: u64, summary: Option<Summary>) {
        let index = self.index(start);
        if let Some(slot) = self.summaries.get_mut(index) {
            *slot = summary;
        }
    }

    /// The state at the start of a block.
    ///
    /// # Errors
    /// What the system says where blocks before it have to be read. `count` is told of bytes that are.
    pub fn state(&mut self, start: u64, file: &File, dialect: &Dialect, count: &dyn Fn(u64)) -> io::Result<State> {
        let index = self.index(start);
        while self.states.len() <= index {
            let at = self.states.len() - 1;
            let state = self.states[at];
            let known = self.summaries.get(at).copied().flatten().and_then(|summary| summary.after(state));
            let after = match known {
                Some(after) => after,
                None => self.through(at, state, file, dialect, count)?,
            };
            self.states.push(after);
        }
        Ok(self.states[index])
    }

    /// Goes through the text of a block.
    fn through(
        &self,
        at: usize,
        state: State,
        file: &File,
        dialect: &Dialect,
        count: &dyn Fn(u64),
    ) -> io::Result<State> {
        let block = self.first / self.bytes + at as u64;
        let (mut place, end) = ((block * self.bytes).max(self.first), (block + 1) * self.bytes);
        let mut buffer = vec![0; STRETCH.min((end - place) as usize)];
        let mut state = state;
        while place < end {
            let wanted = buffer.len().min((end - place) as usize);
            let read = read_at(file, &mut buffer[..wanted], place)?;
            if read == 0 {
                break;
            }
            count(read as u64);
            state = advance(&buffer[..read], dialect, state, false).unwrap_or(state);
            place += read as u64;
        }
        Ok(state)
    }
}
