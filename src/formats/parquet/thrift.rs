//! Where the row groups stand in the text of a footer, so that each can be parsed without the others.
//!
//! A footer is a struct in the compact protocol of Thrift. Row groups are field 4 of it, a list of structs; all else is passed over, and
//! what it means is left to the library.

use std::ops::Range;

/// The number of the field that has the row groups.
const ROW_GROUPS: i64 = 4;

/// The type of a list, and that of a struct.
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// How deep values may lie in each other; those of a footer lie less than ten deep.
const DEPTH: u32 = 32;

/// Where the row groups stand in a footer.
#[derive(Debug, PartialEq)]
pub(super) struct Places {
    /// The list of them, with its head.
    list: Range<usize>,
    pub(super) groups: Vec<Range<usize>>,
}

impl Places {
    /// Finds the row groups of a footer; nothing where it is damaged or has no list of them.
    pub(super) fn find(text: &[u8]) -> Option<Places> {
        let mut reader = Reader { text, at: 0 };
        let mut id = 0_i64;
        while let Some((next, kind)) = reader.field(id)? {
            id = next;
            if id != ROW_GROUPS {
                reader.value(kind, DEPTH)?;
                continue;
            }
            let start = reader.at;
            let (count, of) = reader.list()?;
            if kind != LIST || of != STRUCT {
                return None;
            }
            let mut groups = Vec::new();
            for _ in 0..count {
                let start = reader.at;
                reader.value(STRUCT, DEPTH)?;
                groups.push(start..reader.at);
            }
            return Some(Places { list: start..reader.at, groups });
        }
        None
    }

    /// The footer without row groups.
    pub(super) fn without_groups(&self, text: &[u8]) -> Vec<u8> {
        [&text[..self.list.start], &[STRUCT], &text[self.list.end..]].concat()
    }
}

/// The text of a footer that has one row group, and no more than a footer must have: version 1, no rows, no schema.
pub(super) fn footer_of(group: &[u8]) -> Vec<u8> {
    [&[0x15, 2, 0x26, 0, 0x10 | LIST, 0x10 | STRUCT], group, &[0]].concat()
}

/// Passes over values. Everything is nothing where the text ends before its end or is none.
struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.text.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn pass(&mut self, bytes: u64) -> Option<()> {
        let end = self.at.checked_add(usize::try_from(bytes).ok()?)?;
        self.at = (end <= self.text.len()).then_some(end)?;
        Some(())
    }

    /// The number of the field that comes after another one, and its type; at the end of the struct neither.
    fn field(&mut self, before: i64) -> Option<Option<(i64, u8)>> {
        let head = self.byte()?;
        let (step, kind) = (head >> 4, head & 0x0F);
        if kind == 0 {
            return Some(None);
        }
        let id = match step {
            0 => {
                let number = self.number()?;
                (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
            }
            step => before.checked_add(i64::from(step))?,
        };
        Some(Some((id, kind)))
    }

    /// How many values a list has, and of which type.
    fn list(&mut self) -> Option<(u64, u8)> {
        let head = self.byte()?;
        let count = if head >> 4 == 15 { self.number()? } else { u64::from(head >> 4) };
        Some((count, head & 0x0F))
    }

    fn value(&mut self, kind: u8, depth: u32) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match kind {
            // What is true or false is told by the type.
            1 | 2 => Some(()),
            3 => self.pass(1),
            4..=6 => self.number().map(drop),
            7 => self.pass(8),
            8 => {
                let bytes = self.number()?;
                self.pass(bytes)
            }
            LIST | 10 => {
                let (count, of) = self.list()?;
                (0..count).try_for_each(|_| self.item(of, depth))
            }
            11 => {
                let count = self.number()?;
                let kinds = if count > 0 { self.byte()? } else { 0 };
                (0..count).try_for_each(|_| {
                    self.item(kinds >> 4, depth)?;
                    self.item(kinds & 0x0F, depth)
                })
            }
            STRUCT => {
                let mut id = 0;
                while let Some((next, kind)) = self.field(id)? {
                    id = next;
                    self.value(kind, depth)?;
                }
                Some(())
            }
            13 => self.pass(16),
            _ => None,
        }
    }

    /// A value in a list or a map, where each takes a byte at least.
    fn item(&mut self, kind: u8, depth: u32) -> Option<()> {
        if matches!(kind, 1 | 2) { self.pass(1) } else { self.value(kind, depth) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_among_values_of_every_type() {
        // Fields 1 to 3: a number, a list of texts, and a struct with a map and a truth; then the list, and a number in field 100.
        let before =
            [0x15, 2, 0x19, 0x28, 1, b'a', 0, 0x1C, 0x1B, 1, 0x81, 1, b'k', 1, 0x11, 0x17, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let groups = [&[0x16, 0x80, 1, 0][..], &[0][..], &[0x18, 2, 0, 0, 0][..]];
        let after = [0x05, 0xC8, 1, 3, 0];
        let text = [&before[..], &[0x19, 0x3C], &groups.concat(), &after].concat();
        let places = Places::find(&text).unwrap();
        let found: Vec<&[u8]> = places.groups.iter().map(|place| &text[place.clone()]).collect();
        assert_eq!(found, groups);
        let without = places.without_groups(&text);
        assert_eq!(without, [&before[..], &[0x19, 0x0C], &after].concat());
        assert!(Places::find(&without).unwrap().groups.is_empty());
        // Cut anywhere before its end, the list is not found; nor is one of other things, or one that has more than there is.
        for end in 0..before.len() + 2 + groups.concat().len() {
            assert_eq!(Places::find(&text[..end]), None, "{end}");
        }
        assert_eq!(Places::find(&[0x49, 0x15, 2, 0]), None);
        assert_eq!(Places::find(&[0x49, 0xFC, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0]), None);
        assert_eq!(Places::find(&[0x1C; 100]), None);
    }
}
