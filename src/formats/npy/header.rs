//! The header of a `.npy` file: a version, a length, and a literal of Python that says what lies behind.

use crate::error::{Error, ErrorKind, Result};
use crate::formats::array::{numpy_descriptor, numpy_name};
use crate::store::DType;

const MAGIC: &[u8] = b"\x93NUMPY";

/// The longest header that is read: NumPy itself reads 10 000 bytes where nothing else is said.
const MOST_BYTES: usize = 1 << 20;

/// Where numbers begin is a multiple of this.
const ALIGNED: usize = 64;

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub dtype: DType,
    /// Whether bytes stand in the order that this machine does not have.
    pub swapped: bool,
    /// Whether the first axis varies fastest.
    pub fortran: bool,
    pub shape: Vec<usize>,
    /// Where the numbers begin.
    pub start: usize,
}

fn wrong(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Data, text)
}

/// How many bytes from the beginning of a file make its header, by its first twelve.
///
/// # Errors
/// Of kind `Data`, where it is no file of this kind.
pub(super) fn header_bytes(first: &[u8]) -> Result<usize> {
    let Some(rest) = first.strip_prefix(MAGIC) else {
        return Err(wrong("is no .npy file: it does not begin as one"));
    };
    let length = match rest {
        [1, 0, a, b, ..] => 10 + usize::from(u16::from_le_bytes([*a, *b])),
        [2 | 3, 0, a, b, c, d] => 12 + u32::from_le_bytes([*a, *b, *c, *d]) as usize,
        [major, minor, _, _, ..] => return Err(wrong(format!("has the version {major}.{minor}: 1.0 to 3.0 are read"))),
        _ => return Err(wrong("ends within its header")),
    };
    match length {
        0..=MOST_BYTES => Ok(length),
        _ => Err(wrong(format!("has a header of {length} bytes: no more than {MOST_BYTES} are read"))),
    }
}

/// The type that a text of NumPy's stands for, and whether its bytes have to be swapped.
///
/// # Errors
/// Of kind `Data`, where arrays hold no such type.
pub(super) fn dtype(text: &str) -> Result<(DType, bool)> {
    let (order, name) = match text.split_at_checked(1) {
        Some((order @ ("<" | ">" | "|" | "="), name)) => (order, name),
        _ => ("=", text),
    };
    let dtype = DType::ALL.into_iter().find(|dtype| numpy_name(*dtype) == name);
    let dtype = dtype.ok_or_else(|| wrong(format!("holds elements of the type `{text}`, which arrays cannot hold")))?;
    let foreign = if cfg!(target_endian = "little") { ">" } else { "<" };
    Ok((dtype, order == foreign && dtype.bytes() > 1))
}

/// The bytes of the header of an array by rows.
pub(super) fn written(dtype: DType, shape: &[usize]) -> Vec<u8> {
    let lens: Vec<String> = shape.iter().map(|len| format!("{len},")).collect();
    let mut text =
        format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", numpy_descriptor(dtype), lens.join(" "));
    // Version 1.0 where two bytes can tell its length.
    let short = text.len() + 10 + ALIGNED <= usize::from(u16::MAX);
    let prefix = if short { 10 } else { 12 };
    while !(prefix + text.len() + 1).is_multiple_of(ALIGNED) {
        text.push(' ');
    }
    text.push('\n');
    let mut bytes = MAGIC.to_vec();
    match short {
        true => bytes.extend([1, 0].into_iter().chain((text.len() as u16).to_le_bytes())),
        false => bytes.extend([2, 0].into_iter().chain((text.len() as u32).to_le_bytes())),
    }
    bytes.extend(text.into_bytes());
    bytes
}

/// What a header says, given as a whole.
///
/// # Errors
/// Of kind `Data`, where it cannot be understood.
pub(super) fn parse(bytes: &[u8]) -> Result<Header> {
    let prefix = if bytes.get(6) == Some(&1) { 10 } else { 12 };
    let text = bytes.get(prefix..).and_then(|text| std::str::from_utf8(text).ok());
    let mut literal = Literal { rest: text.ok_or_else(|| wrong("has a header that is no text"))? };
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    literal.take('{')?;
    while !literal.skip('}') {
        let key = literal.text()?;
        literal.take(':')?;
        match key {
            "descr" => descr = Some(literal.text()?),
            "fortran_order" => fortran = Some(literal.truth()?),
            "shape" => shape = Some(literal.numbers()?),
            other => return Err(wrong(format!("has a header with `{other}`, which is not known"))),
        }
        if !literal.skip(',') {
            literal.take('}')?;
            break;
        }
    }
    let (Some(descr), Some(fortran), Some(shape)) = (descr, fortran, shape) else {
        return Err(wrong("has a header that does not tell its type, its shape and the order of its axes"));
    };
    let (dtype, swapped) = dtype(descr)?;
    Ok(Header { dtype, swapped, fortran, shape, start: bytes.len() })
}

/// What is left of a literal of Python.
struct Literal<'a> {
    rest: &'a str,
}

impl<'a> Literal<'a> {
    fn skip(&mut self, sign: char) -> bool {
        let rest = self.rest.trim_start().strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn take(&mut self, sign: char) -> Result<()> {
        if self.skip(sign) { Ok(()) } else { Err(self.unexpected(&format!("`{sign}`"))) }
    }

    fn unexpected(&self, wanted: &str) -> Error {
        let near: String = self.rest.trim_start().chars().take(20).collect();
        wrong(format!("has a header with `{near}` where {wanted} is to be"))
    }

    fn text(&mut self) -> Result<&'a str> {
        let rest = self.rest.trim_start();
        let quote = rest.chars().next().filter(|quote| ['\'', '"'].contains(quote));
        let quoted = quote.and_then(|quote| rest[1..].split_once(quote));
        let (text, rest) = quoted.ok_or_else(|| self.unexpected("a text"))?;
        self.rest = rest;
        Ok(text)
    }

    fn truth(&mut self) -> Result<bool> {
        let rest = self.rest.trim_start();
        let found = [("True", true), ("False", false)].into_iter().find(|(word, _)| rest.starts_with(word));
        let (word, truth) = found.ok_or_else(|| self.unexpected("True or False"))?;
        self.rest = &rest[word.len()..];
        Ok(truth)
    }

    /// A tuple of lengths.
    fn numbers(&mut self) -> Result<Vec<usize>> {
        let mut numbers = Vec::new();
        self.take('(')?;
        while !self.skip(')') {
            let rest = self.rest.trim_start();
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            numbers.push(rest[..digits].parse().map_err(|_| self.unexpected("a length"))?);
            // Python 2 wrote `3L`.
            self.rest = rest[digits..].trim_start_matches('L');
            if !self.skip(',') {
                self.take(')')?;
                break;
            }
        }
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Header> {
        let mut bytes = b"\x93NUMPY\x01\x00\x00\x00".to_vec();
        bytes.extend(text.bytes());
        parse(&bytes)
    }

    #[test]
    fn headers() {
        let header = of("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }   \n").unwrap();
        assert_eq!(
            (header.dtype, header.swapped, header.fortran, &header.shape[..]),
            (DType::F64, false, false, &[3, 4][..])
        );
        let header = of("{\"shape\": (), 'fortran_order':True,'descr':'>c8'}").unwrap();
        assert_eq!((header.dtype, header.swapped, header.fortran, header.shape.len()), (DType::C32, true, true, 0));
        assert_eq!(of("{'descr': '|b1', 'fortran_order': False, 'shape': (7L,)}").unwrap().shape, [7]);
        for dtype in DType::ALL {
            for shape in [vec![], vec![5], vec![0, 3], vec![1; 30_000]] {
                let bytes = written(dtype, &shape);
                assert_eq!((header_bytes(&bytes[..12]).unwrap(), bytes.len() % 64), (bytes.len(), 0));
                let header = Header { dtype, swapped: false, fortran: false, shape, start: bytes.len() };
                assert_eq!(parse(&bytes).unwrap(), header);
            }
        }
    }

    #[test]
    fn wrong_headers() {
        let error = |text: &str| of(text).unwrap_err().message().to_string();
        assert_eq!(
            error("{'descr': '<f2', 'fortran_order': False, 'shape': ()}"),
            "holds elements of the type `<f2`, which arrays cannot hold"
        );
        assert_eq!(
            error("{'descr': [('a', '<f8')], 'shape': ()}"),
            "has a header with `[('a', '<f8')], 'sha` where a text is to be"
        );
        assert_eq!(error("{'shape': (-1,)}"), "has a header with `-1,)}` where a length is to be");
        assert_eq!(
            error("{'shape': (99999999999999999999999,)}"),
            "has a header with `99999999999999999999` where a length is to be"
        );
        assert_eq!(
            error("{'shape': (1,)}"),
            "has a header that does not tell its type, its shape and the order of its axes"
        );
        assert_eq!(error("{'x': 1}"), "has a header with `x`, which is not known");
        for cut in ["", "{", "{'descr", "{'shape': (1", "{'fortran_order': ", "{'descr': é"] {
            error(cut);
        }
        let first = |bytes: &[u8]| header_bytes(bytes).unwrap_err().message().to_string();
        assert_eq!(first(b"PK"), "is no .npy file: it does not begin as one");
        assert_eq!(first(b"\x93NUMPY\x01"), "ends within its header");
        assert_eq!(first(b"\x93NUMPY\x04\x00aaaa"), "has the version 4.0: 1.0 to 3.0 are read");
        assert!(first(b"\x93NUMPY\x02\x00\xff\xff\xff\xff").starts_with("has a header of 4294967307 bytes"));
    }
}
