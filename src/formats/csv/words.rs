//! Columns of few different texts as codes and a list of the texts.
//!
//! A list grows from batch to batch of one task. Where there are too many texts, the column is given as texts from then on.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, PrimitiveArray, StringArray};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::Int32Type;
use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// Texts that a list has at most.
const MOST: usize = 4096;

/// Short texts that are found without a look into the table.
const RECENT: usize = 1024;

/// The length of a short text, at most.
const SHORT: usize = 16;

/// The different texts of a column, in the order in which they came.
#[derive(Debug)]
pub(super) struct Words {
    bytes: Vec<u8>,
    offsets: Vec<i32>,
    table: HashTable<u32>,
    state: FixedState,
    recent: Vec<Recent>,
    /// The texts as an array, as long as there are no more.
    array: Option<Arc<StringArray>>,
    /// Whether there are too many.
    pub over: bool,
}

/// A short text and its code.
#[derive(Clone, Copy, Debug)]
struct Recent {
    letters: u128,
    length: usize,
    code: i32,
}

impl Words {
    pub fn new() -> Words {
        Words {
            bytes: Vec::new(),
            offsets: vec![0],
            table: HashTable::new(),
            state: FixedState::default(),
            recent: vec![Recent { letters: 0, length: usize::MAX, code: 0 }; RECENT],
            array: None,
            over: false,
        }
    }

    /// The code of a part of a text.
    #[inline(always)]
    pub fn code_at(&mut self, text: &[u8], start: usize, end: usize) -> i32 {
        let length = end - start;
        let Some(block) = text.get(start..).and_then(|text| text.first_chunk::<SHORT>()).filter(|_| length <= SHORT)
        else {
            return self.code(&text[start..end]);
        };
        let mask = u128::MAX.checked_shr(128 - 8 * length as u32).unwrap_or(0);
        let letters = u128::from_le_bytes(*block) & mask;
        let mixed = (letters as u64) ^ ((letters >> 64) as u64).rotate_left(29);
        let slot = (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) as usize % RECENT;
        let recent = self.recent[slot];
        if recent.letters == letters && recent.length == length {
            return recent.code;
        }
        let code = self.code(&text[start..end]);
        self.recent[slot] = Recent { letters, length, code };
        code
    }

    /// The code of a text.
    #[inline(never)]
    pub fn code(&mut self, text: &[u8]) -> i32 {
        let Words { bytes, offsets, table, state, .. } = self;
        let word = |code: u32| &bytes[offsets[code as usize] as usize..offsets[code as usize + 1] as usize];
        let hash = state.hash_one(text);
        if let Some(code) = table.find(hash, |code| word(*code) == text) {
            return code.cast_signed();
        }
        let code = offsets.len() as u32 - 1;
        if code as usize >= MOST || bytes.len() + text.len() > i32::MAX as usize {
            self.over = true;
            return 0;
        }
        table.insert_unique(hash, code, |code| state.hash_one(word(*code)));
        bytes.extend_from_slice(text);
        offsets.push(bytes.len() as i32);
        self.array = None;
        code.cast_signed()
    }

    /// A column of codes; nothing if the texts are no UTF-8.
    pub fn column(&mut self, codes: Vec<i32>, nulls: Option<NullBuffer>) -> Option<ArrayRef> {
        let words = match &self.array {
            Some(words) => words.clone(),
            None => {
                let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets.clone()));
                let words = StringArray::try_new(offsets, Buffer::from_vec(self.bytes.clone()), None).ok()?;
                self.array.insert(Arc::new(words)).clone()
            }
        };
        let codes = PrimitiveArray::<Int32Type>::new(codes.into(), nulls);
        Some(Arc::new(DictionaryArray::try_new(codes, words).ok()?))
    }
}
