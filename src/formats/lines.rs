//! Places in text files as people count them. Only files with errors pay for it: their text is read again up to there.

use std::io::Read as _;

use super::files::SourceFile;
use crate::error::{Error, ErrorKind, Result, human_bytes};
use crate::store::{Budget, Reservation};

/// The longest line or row that is read where there is no budget, in bytes.
pub const LONGEST: u64 = 64 << 20;

/// The longest one that is read at all: places in it are numbers of 32 bits.
const LONGEST_OF_ALL: u64 = 1 << 30;

/// Letters of a text that are shown in a message.
const SHOWN: usize = 80;

/// The line, from 1, in which a byte of a file's text is.
///
/// # Errors
/// Of kind `Io`, where the file cannot be read any more.
pub fn line_of(file: &SourceFile, offset: u64) -> Result<u64> {
    let mut text = file.text()?.take(offset);
    let mut buffer = vec![0; 64 << 10];
    let mut line = 1;
    loop {
        let read = text.read(&mut buffer).map_err(|error| Error::io(&file.path, "cannot read", error))?;
        if read == 0 {
            return Ok(line);
        }
        line += memchr::memchr_iter(b'\n', &buffer[..read]).count() as u64;
    }
}

/// Memory for a line that is longer than lines are, as far as the budget has some.
pub struct LongLine<'a> {
    /// A line or a row.
    noun: &'static str,
    budget: Option<&'a Budget>,
    held: Option<Reservation>,
}

impl<'a> LongLine<'a> {
    /// Nothing yet.
    pub fn new(noun: &'static str, budget: Option<&'a Budget>) -> LongLine<'a> {
        LongLine { noun, budget, held: None }
    }

    /// Holds `bytes`, and no more than those, for a line that starts at a place of a file and has no end in so much text.
    ///
    /// # Errors
    /// Of kind `OutOfMemory`, where the budget has not that much left; of kind `Data`, where no line is so long. Both name path and line.
    pub fn hold(&mut self, bytes: u64, file: &SourceFile, start: u64, text: u64) -> Result<()> {
        let most = if self.budget.is_some() { LONGEST_OF_ALL } else { LONGEST };
        if text > most {
            return Err(too_long(self.noun, file, start, most)?);
        }
        let Some(budget) = self.budget.filter(|_| bytes > 0 || self.held.is_some()) else { return Ok(()) };
        let held = self.held.get_or_insert_with(|| budget.force_reserve("a long line", 0));
        let Err(refused) = held.resize(bytes) else { return Ok(()) };
        let error = too_long(self.noun, file, start, text)?;
        let (what, needed) = (error.message(), human_bytes(bytes));
        let text = format!("{what} needs {needed} to be read: {}; raise memory_limit", refused.message());
        Err(Error::new(ErrorKind::OutOfMemory, text))
    }
}

/// The error of a line that starts at a place and has no end in so much text.
///
/// # Errors
/// Of kind `Io`, where the file cannot be read any more.
pub fn too_long(noun: &str, file: &SourceFile, start: u64, text: u64) -> Result<Error> {
    let (path, line) = (file.path.display(), line_of(file, start)?);
    Ok(Error::new(ErrorKind::Data, format!("{path}, line {line}: a {noun} of more than {}", human_bytes(text))))
}

/// A piece of text for a message: not too long, and on one line.
pub fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut shown: String =
        text.chars().take(SHOWN).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}
