//! Which integer type a column is of, by the texts of its sample.

use arrow::datatypes::DataType;

/// What integers in a sample of text are like. They are never rounded: all fit `Int64`, or all fit `UInt64`, or no type is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Integers {
    /// Whether there are any.
    pub any: bool,
    /// Whether one is below zero.
    pub negative: bool,
    /// Whether one is above what `Int64` holds, and within `UInt64`.
    pub large: bool,
    /// Whether one fits neither.
    pub beyond: bool,
}

impl Integers {
    /// Notes a text, if it is an integer: digits with or without a sign. Says whether it is one.
    pub fn add(&mut self, text: &[u8]) -> bool {
        let (minus, digits) = match text {
            [b'-', digits @ ..] => (true, digits),
            [b'+', digits @ ..] => (false, digits),
            digits => (false, digits),
        };
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return false;
        }
        self.any = true;
        let value = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u128>().ok());
        match (minus, value) {
            (_, Some(0)) => {}
            (true, Some(value)) if value <= i64::MIN.unsigned_abs().into() => self.negative = true,
            (false, Some(value)) if value <= i64::MAX.unsigned_abs().into() => {}
            (false, Some(value)) if value <= u64::MAX.into() => self.large = true,
            _ => self.beyond = true,
        }
        true
    }

    /// The type that holds all of them; nothing where there are none, or none does.
    pub fn data_type(&self) -> Option<DataType> {
        match (self.any, self.negative, self.large, self.beyond) {
            (false, ..) | (.., true) | (_, true, true, _) => None,
            (true, _, true, false) => Some(DataType::UInt64),
            (true, _, false, false) => Some(DataType::Int64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_integers() {
        for (texts, expected) in [
            (&["0", "-0", "+7", "007", "9223372036854775807", "-9223372036854775808"][..], Some(DataType::Int64)),
            (&["9223372036854775808", "-0"], Some(DataType::UInt64)),
            (&["18446744073709551615", "0"], Some(DataType::UInt64)),
            (&["9223372036854775808", "-1"], None),
            (&["18446744073709551616"], None),
            (&["-9223372036854775809"], None),
            (&["99999999999999999999999999999999999999999999"], None),
            (&[], None),
        ] {
            let mut seen = Integers::default();
            assert!(texts.iter().all(|text| seen.add(text.as_bytes())), "{texts:?}");
            assert_eq!(seen.data_type(), expected, "{texts:?}");
        }
        for text in ["", "-", "+", "1.0", "1e3", "x", "1_000", " 1", "--1"] {
            assert!(!Integers::default().add(text.as_bytes()), "{text}");
        }
    }
}
