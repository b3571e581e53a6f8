//! Where fields and records end, 64 bytes at a time, as bits: one bit per byte.
//!
//! Quotes follow RFC 4180: a quote at the start of a field opens it, two quotes inside stand for one, and delimiters and
//! newlines inside are text. A quote elsewhere in a field that is not quoted is a letter like any other (`5" disk`).
//! What a quote means depends on all that was before it in the file, but of that only a [`State`] is left at any byte.

/// Bytes that are looked at together.
pub(super) const WORD: usize = 64;

/// The bytes with a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    /// Between fields.
    pub delimiter: u8,
    /// Around fields.
    pub quote: Option<u8>,
    /// At the start of a line that is none.
    pub comment: Option<u8>,
}

/// What a byte needs to know of all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// Inside quotes.
    pub inside: bool,
    /// A quote would open a field, or go on with one that it just closed.
    pub opens: bool,
    /// A record starts here.
    pub record: bool,
    /// Inside a comment.
    pub comment: bool,
}

impl State {
    /// At the start of a record.
    pub const RECORD: State = State { inside: false, opens: true, record: true, comment: false };
    /// Inside quotes.
    pub const INSIDE: State = State { inside: true, opens: false, record: false, comment: false };
}

/// Where the bytes with a meaning are in a word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bits {
    pub delimiters: u64,
    pub newlines: u64,
    pub quotes: u64,
}

impl Bits {
    /// Of a word; `quoted` is whether quotes are looked for.
    #[inline(always)]
    pub fn of(word: &[u8; WORD], dialect: &Dialect, quoted: bool) -> Bits {
        let wide = Wide::load(word);
        let quotes = match dialect.quote {
            Some(quote) if quoted => wide.equal(quote),
            _ => 0,
        };
        Bits { delimiters: wide.equal(dialect.delimiter), newlines: wide.equal(b'\n'), quotes }
    }

    /// The first `bytes` of them, fewer than 64.
    #[inline]
    pub fn first(self, bytes: usize) -> Bits {
        let mask = (1_u64 << bytes) - 1;
        Bits { delimiters: self.delimiters & mask, newlines: self.newlines & mask, quotes: self.quotes & mask }
    }

    /// Which bytes are inside quotes, the opening quote among them and the closing one not. `last` is the place of the
    /// last byte. The second value tells of quotes that are letters.
    #[inline(always)]
    pub fn inside(&self, state: &mut State, last: u32) -> (u64, bool) {
        let separators = self.delimiters | self.newlines;
        let mut quotes = self.quotes;
        let mut letters = false;
        let before = if state.inside { u64::MAX } else { 0 };
        let (inside, open_after) = loop {
            let inside = prefix_xor(quotes) ^ before;
            let closing = quotes & !inside;
            let open_after = (separators & !inside) | closing;
            let wrong = quotes & inside & !((open_after << 1) | u64::from(state.opens));
            if wrong == 0 {
                break (inside, open_after);
            }
            // The first of them is none of those that come of taking another one for an opening quote.
            quotes &= !(wrong & wrong.wrapping_neg());
            letters = true;
        };
        state.inside = (inside >> last) & 1 != 0;
        state.opens = (open_after >> last) & 1 != 0;
        state.record = ((self.newlines & !inside) >> last) & 1 != 0;
        (inside, letters)
    }
}

/// Each bit is the parity of itself and all below.
#[inline(always)]
fn prefix_xor(bits: u64) -> u64 {
    let mut bits = bits;
    bits ^= bits << 1;
    bits ^= bits << 2;
    bits ^= bits << 4;
    bits ^= bits << 8;
    bits ^= bits << 16;
    bits ^= bits << 32;
    bits
}

/// The ends of fields and of records of a word in a file with comments: byte by byte where a comment may be. The
/// line of a comment has one end, its newline.
pub(super) fn with_comments(word: &[u8], dialect: &Dialect, state: &mut State) -> Bits {
    let mut bits = Bits { delimiters: 0, newlines: 0, quotes: 0 };
    for (at, byte) in word.iter().enumerate() {
        let bit = 1_u64 << at;
        let newline = *byte == b'\n';
        if state.inside {
            if Some(*byte) == dialect.quote {
                *state = State { inside: false, opens: true, ..*state };
            }
        } else if newline {
            bits.newlines |= bit;
            *state = State::RECORD;
        } else if state.comment || (state.record && Some(*byte) == dialect.comment) {
            *state = State { comment: true, opens: false, record: false, inside: false };
        } else if Some(*byte) == dialect.quote && state.opens {
            bits.quotes |= bit;
            *state = State::INSIDE;
        } else {
            let delimiter = *byte == dialect.delimiter;
            bits.delimiters |= if delimiter { bit } else { 0 };
            *state = State { opens: delimiter, record: false, ..*state };
        }
    }
    bits
}

/// 64 bytes in registers.
#[cfg(target_arch = "x86_64")]
struct Wide([wide::i8x16; 4]);

#[cfg(target_arch = "x86_64")]
impl Wide {
    #[inline(always)]
    fn load(word: &[u8; WORD]) -> Wide {
        Wide(bytemuck::cast(*word))
    }

    /// Which of them are `byte`.
    #[inline(always)]
    fn equal(&self, byte: u8) -> u64 {
        use wide::CmpEq as _;
        let wanted = wide::i8x16::splat(byte.cast_signed());
        let [a, b, c, d] = self.0.map(|part| u64::from(part.cmp_eq(wanted).move_mask().cast_unsigned()));
        a | (b << 16) | (c << 32) | (d << 48)
    }
}

/// 64 bytes in registers.
#[cfg(not(target_arch = "x86_64"))]
struct Wide([u64; 8]);

#[cfg(not(target_arch = "x86_64"))]
impl Wide {
    #[inline(always)]
    fn load(word: &[u8; WORD]) -> Wide {
        Wide(swar::load(word))
    }

    #[inline(always)]
    fn equal(&self, byte: u8) -> u64 {
        swar::equal(&self.0, byte)
    }
}

/// The same with plain integers.
#[cfg(any(test, not(target_arch = "x86_64")))]
mod swar {
    use super::WORD;

    #[inline(always)]
    pub fn load(word: &[u8; WORD]) -> [u64; 8] {
        let (parts, _) = word.as_chunks::<8>();
        std::array::from_fn(|at| u64::from_le_bytes(parts[at]))
    }

    #[inline(always)]
    pub fn equal(words: &[u64; 8], byte: u8) -> u64 {
        const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
        let wanted = u64::from_le_bytes([byte; 8]);
        words.iter().rev().fold(0, |bits, word| {
            let differ = word ^ wanted;
            // The top bit of each byte that is zero, exactly.
            let same = !(((differ & LOW) + LOW) | differ | LOW);
            // The eight top bits side by side.
            bits << 8 | (same >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIALECT: Dialect = Dialect { delimiter: b',', quote: Some(b'"'), comment: None };

    proptest! {
        #[test]
        fn finds_bytes_in_words(words in prop::collection::vec(any::<u8>(), 64), byte in any::<u8>()) {
            let word: &[u8; 64] = words.as_slice().try_into().unwrap();
            let expected = (0..64).fold(0_u64, |bits, at| bits | u64::from(word[at] == byte) << at);
            prop_assert_eq!(Wide::load(word).equal(byte), expected);
            prop_assert_eq!(swar::equal(&swar::load(word), byte), expected);
        }

        #[test]
        fn words_and_bytes_agree(text in prop::collection::vec(prop::sample::select(b"a\",\n\r".to_vec()), 1..=64),
                                 inside in any::<bool>(), opens in any::<bool>(), record in any::<bool>()) {
            let start = State { inside, opens: opens && !inside, record: record && opens && !inside, comment: false };
            let mut word = [0; 64];
            word[..text.len()].copy_from_slice(&text);
            let bits = Bits::of(&word, &DIALECT, true);
            let bits = if text.len() < 64 { bits.first(text.len()) } else { bits };
            let mut state = start;
            let (quoted, _) = bits.inside(&mut state, text.len() as u32 - 1);
            let mut slow = start;
            let expected = with_comments(&text, &DIALECT, &mut slow);
            prop_assert_eq!(bits.delimiters & !quoted, expected.delimiters);
            prop_assert_eq!(bits.newlines & !quoted, expected.newlines);
            prop_assert_eq!(state, slow);
        }
    }
}
