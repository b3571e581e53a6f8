//! Places in text files as people count them. Only files with errors pay for it: their text is read again up to there.

use std::io::Read as _;

use super::files::SourceFile;
use crate::error::{Error, Result};

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
