//! As much of Python's pickles as the file beside the parts of a stack needs: numbers, texts, tuples, dictionaries and the types of NumPy.
//!
//! Nothing is called: a call in a pickle is kept as what is called and with what.

use std::rc::Rc;

use crate::error::{Error, ErrorKind, Result};

/// How deep values may stand in each other.
const MOST_DEEP: u32 = 16;

/// A value of Python.
#[derive(Clone, Debug)]
pub(super) struct Value {
    what: Rc<What>,
    depth: u32,
}

#[derive(Clone, Debug)]
enum What {
    None,
    Int(i64),
    Text(String),
    /// A list is one, too.
    Tuple(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    Global(String),
    /// A call, and the state that was given to what it made.
    Object {
        of: Value,
        with: Value,
        state: Option<Value>,
    },
}

fn wrong(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Data, text)
}

impl Value {
    fn new(what: What) -> Result<Value> {
        let below = match &what {
            What::Tuple(all) => all.iter().map(|value| value.depth).max(),
            What::Dict(all) => all.iter().map(|(key, value)| key.depth.max(value.depth)).max(),
            What::Object { of, with, state } => {
                Some(of.depth.max(with.depth).max(state.as_ref().map_or(0, |state| state.depth)))
            }
            _ => None,
        };
        let depth = below.map_or(0, |below| below + 1);
        if depth > MOST_DEEP {
            return Err(wrong("is a pickle of values that stand too deep in each other"));
        }
        Ok(Value { what: Rc::new(what), depth })
    }

    /// The value of a key of a dictionary.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let What::Dict(all) = &*self.what else { return None };
        all.iter().rev().find(|(known, _)| known.text() == Some(key)).map(|(_, value)| value)
    }

    pub fn int(&self) -> Option<i64> {
        if let What::Int(int) = *self.what { Some(int) } else { None }
    }

    pub fn text(&self) -> Option<&str> {
        if let What::Text(text) = &*self.what { Some(text) } else { None }
    }

    /// The values of a tuple or a list.
    pub fn all(&self) -> Option<&[Value]> {
        if let What::Tuple(all) = &*self.what { Some(all) } else { None }
    }

    /// The text that NumPy has for a type.
    pub fn dtype(&self) -> Option<String> {
        let What::Object { of, with, state } = &*self.what else { return self.text().map(str::to_string) };
        let What::Global(of) = &*of.what else { return None };
        let name = with.all()?.first()?.text()?;
        let order = state.as_ref().and_then(|state| state.all()?.get(1)?.text()).unwrap_or("");
        (of == "numpy dtype").then(|| format!("{order}{name}"))
    }
}

/// What is left of a pickle.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(|| wrong("is a pickle that ends early"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// A number of so many bytes, without sign.
    fn number(&mut self, len: usize) -> Result<usize> {
        let bytes = self.take(len)?.iter().rev();
        Ok(bytes.fold(0u64, |all, byte| all << 8 | u64::from(*byte)) as usize)
    }

    fn line(&mut self) -> Result<&'a str> {
        let end =
            self.rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| wrong("is a pickle that ends early"))?;
        let line = self.take(end + 1)?;
        std::str::from_utf8(&line[..end]).map_err(|_| wrong("is a pickle of texts that are none"))
    }

    fn text(&mut self, len: usize) -> Result<What> {
        let text = std::str::from_utf8(self.take(len)?).map_err(|_| wrong("is a pickle of texts that are none"))?;
        Ok(What::Text(text.to_string()))
    }
}

/// What stands on the stack of a reader: values, and marks of where a list of them begins.
#[derive(Default)]
struct Stack {
    values: Vec<Value>,
    marks: Vec<usize>,
    memo: std::collections::HashMap<usize, Value>,
}

impl Stack {
    fn pop(&mut self) -> Result<Value> {
        let kept = self.marks.last().copied().unwrap_or(0);
        if self.values.len() <= kept {
            return Err(wrong("is a pickle that takes what is not there"));
        }
        self.values.pop().ok_or_else(|| wrong("is a pickle that takes what is not there"))
    }

    fn pops(&mut self, count: usize) -> Result<Vec<Value>> {
        let mut popped = (0..count).map(|_| self.pop()).collect::<Result<Vec<_>>>()?;
        popped.reverse();
        Ok(popped)
    }

    fn since_mark(&mut self) -> Result<Vec<Value>> {
        let mark = self.marks.pop().ok_or_else(|| wrong("is a pickle that takes what is not there"))?;
        Ok(self.values.split_off(mark))
    }

    fn remember(&mut self, at: usize) -> Result<()> {
        let value = self.values.last().cloned().ok_or_else(|| wrong("is a pickle that takes what is not there"))?;
        self.memo.insert(at, value);
        Ok(())
    }
}

/// The value of a pickle.
///
/// # Errors
/// Of kind `Data`, where it holds more than stacks of arrays need, or is none.
pub(super) fn read(bytes: &[u8]) -> Result<Value> {
    let (mut reader, mut stack) = (Reader { rest: bytes }, Stack::default());
    loop {
        let code = reader.take(1)?[0];
        let what = match code {
            b'.' => return stack.pop(),
            0x80 => {
                reader.take(1)?;
                continue;
            }
            0x95 => {
                reader.take(8)?;
                continue;
            }
            b'(' => {
                stack.marks.push(stack.values.len());
                continue;
            }
            0x94 => {
                stack.remember(stack.memo.len())?;
                continue;
            }
            b'q' | b'r' => {
                let at = reader.number(if code == b'q' { 1 } else { 4 })?;
                stack.remember(at)?;
                continue;
            }
            b'h' | b'j' => {
                let at = reader.number(if code == b'h' { 1 } else { 4 })?;
                let known = stack.memo.get(&at).cloned();
                stack.values.push(known.ok_or_else(|| wrong("is a pickle that takes what is not there"))?);
                continue;
            }
            b'N' => What::None,
            0x88 | 0x89 => What::Int(i64::from(code == 0x88)),
            b'K' => What::Int(reader.number(1)? as i64),
            b'M' => What::Int(reader.number(2)? as i64),
            b'J' => What::Int(i64::from(reader.number(4)? as u32 as i32)),
            0x8a => {
                let len = reader.number(1)?;
                if len > 8 {
                    return Err(wrong("is a pickle of a number that is too large"));
                }
                let bytes = reader.take(len)?;
                let mut all = [if bytes.last().is_some_and(|last| *last > 127) { 255 } else { 0 }; 8];
                all[..len].copy_from_slice(bytes);
                What::Int(i64::from_le_bytes(all))
            }
            0x8c => {
                let len = reader.number(1)?;
                reader.text(len)?
            }
            b'X' => {
                let len = reader.number(4)?;
                reader.text(len)?
            }
            b')' | b']' => What::Tuple(Vec::new()),
            b'}' => What::Dict(Vec::new()),
            0x85..=0x87 => What::Tuple(stack.pops(usize::from(code - 0x84))?),
            b't' | b'l' => What::Tuple(stack.since_mark()?),
            b'e' | b'a' => {
                let more = if code == b'e' { stack.since_mark()? } else { stack.pops(1)? };
                let list = stack.pop()?;
                let mut all = list.all().ok_or_else(|| wrong("is a pickle that appends to what is no list"))?.to_vec();
                all.extend(more);
                What::Tuple(all)
            }
            b'u' | b's' => {
                let more = if code == b'u' { stack.since_mark()? } else { stack.pops(2)? };
                let dict = stack.pop()?;
                let What::Dict(known) = &*dict.what else {
                    return Err(wrong("is a pickle that puts keys into what is no dictionary"));
                };
                let pairs = more.chunks_exact(2).map(|two| (two[0].clone(), two[1].clone()));
                What::Dict(known.iter().cloned().chain(pairs).collect())
            }
            b'c' => What::Global(format!("{} {}", reader.line()?, reader.line()?)),
            0x93 => {
                let two = stack.pops(2)?;
                match (two[0].text(), two[1].text()) {
                    (Some(module), Some(name)) => What::Global(format!("{module} {name}")),
                    _ => return Err(wrong("is a pickle of a name that is no text")),
                }
            }
            b'R' => {
                let (with, of) = (stack.pop()?, stack.pop()?);
                What::Object { of, with, state: None }
            }
            b'b' => {
                let (state, of) = (stack.pop()?, stack.pop()?);
                match &*of.what {
                    What::Object { of, with, .. } => {
                        What::Object { of: of.clone(), with: with.clone(), state: Some(state) }
                    }
                    _ => return Err(wrong("is a pickle of a state of what has none")),
                }
            }
            other => return Err(wrong(format!("is a pickle with the code {other:#04x}, which is not known here"))),
        };
        stack.values.push(Value::new(what)?);
    }
}

/// The pickle of a dictionary with the cuts, the type and the axis of a stack.
pub(super) fn written(chunks: &[Vec<usize>], dtype: &str, axis: usize) -> Vec<u8> {
    fn text(out: &mut Vec<u8>, text: &str) {
        out.push(b'X');
        out.extend((text.len() as u32).to_le_bytes());
        out.extend(text.bytes());
    }
    fn int(out: &mut Vec<u8>, int: usize) {
        out.extend([0x8a, 8]);
        out.extend((int as i64).to_le_bytes());
    }
    let mut out = vec![0x80, 2, b'}', b'('];
    text(&mut out, "chunks");
    out.push(b'(');
    for lens in chunks {
        out.push(b'(');
        lens.iter().for_each(|len| int(&mut out, *len));
        out.push(b't');
    }
    out.push(b't');
    text(&mut out, "dtype");
    out.extend(b"cnumpy\ndtype\n(");
    text(&mut out, dtype);
    out.extend(b"tR");
    text(&mut out, "axis");
    int(&mut out, axis);
    out.extend(b"u.");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let value = read(&written(&[vec![5, 3], vec![70_000]], "<f8", 1)).unwrap();
        assert_eq!(
            (value.get("axis").unwrap().int(), value.get("dtype").unwrap().dtype().unwrap()),
            (Some(1), "<f8".to_string())
        );
        let chunks = value.get("chunks").unwrap().all().unwrap();
        let lens: Vec<i64> = chunks[0].all().unwrap().iter().filter_map(Value::int).collect();
        assert_eq!((lens, chunks[1].all().unwrap()[0].int()), (vec![5, 3], Some(70_000)));
    }

    #[test]
    fn wrong_pickles() {
        let good = written(&[vec![5, 3]], "<f8", 0);
        for end in 0..good.len() {
            assert!(read(&good[..end]).is_err(), "cut at {end}");
        }
        let deep: Vec<u8> = [b"(".repeat(40), b")".to_vec(), b"t".repeat(40), b".".to_vec()].concat();
        assert!(read(&deep).unwrap_err().message().contains("too deep"));
        for wrong in
            [&b"t."[..], b"q\0.", b"h\0.", b")s.", b"NNb.", b"\x8a\x09aaaaaaaaa.", b"I1\n.", b"X\xff\xff\xff\xff."]
        {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
