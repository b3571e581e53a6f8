//! Numbers from text, eight digits at a time. What these do not know (long numbers, exponents, names of infinities) is
//! left to the libraries.
//!
//! All take a text and a place in it, behind which at least 16 bytes can be read.

const ZEROS: u64 = 0x3030_3030_3030_3030;

/// An integer with or without sign, of at most 16 digits.
#[inline(always)]
pub(super) fn integer(text: &[u8], start: usize, end: usize) -> Option<i64> {
    match digits(text, start, end) {
        Some(value) => Some(value.cast_signed()),
        None => signed(text, start, end),
    }
}

#[inline(never)]
fn signed(text: &[u8], start: usize, end: usize) -> Option<i64> {
    match text.get(start)? {
        b'-' => digits(text, start + 1, end).map(|value| -value.cast_signed()),
        b'+' => digits(text, start + 1, end).map(u64::cast_signed),
        _ => None,
    }
}

/// An integer of 1 to 16 digits.
#[inline(always)]
fn digits(text: &[u8], start: usize, end: usize) -> Option<u64> {
    let length = end.wrapping_sub(start);
    let first = load(text, start)?;
    if length.wrapping_sub(1) < 8 {
        return eight(justified(first, length));
    }
    if length.wrapping_sub(9) < 8 {
        let second = load(text, end - 8)?;
        return Some(eight(justified(first, length - 8))? * 100_000_000 + eight(second)?);
    }
    None
}

#[inline(always)]
fn load(text: &[u8], start: usize) -> Option<u64> {
    text.get(start..)?.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes))
}

/// The first `length` bytes, 1 to 8, behind as many zeros as are missing.
#[inline(always)]
fn justified(word: u64, length: usize) -> u64 {
    let missing = (8 - length as u32) * 8;
    (word << missing) | (ZEROS & !(u64::MAX << missing))
}

/// The number that eight digits are.
#[inline(always)]
fn eight(word: u64) -> Option<u64> {
    const TENS: u64 = 0xf0f0_f0f0_f0f0_f0f0;
    let all_digits = ((word & TENS) ^ ZEROS) | ((word.wrapping_add(0x0606_0606_0606_0606) & TENS) ^ ZEROS);
    if all_digits != 0 {
        return None;
    }
    // Pairs, fours, all.
    let word = word - ZEROS;
    let word = (word * 10) + (word >> 8);
    let low = (word & 0x0000_00ff_0000_00ff).wrapping_mul(0x000f_4240_0000_0064);
    let high = ((word >> 16) & 0x0000_00ff_0000_00ff).wrapping_mul(0x0000_2710_0000_0001);
    Some(low.wrapping_add(high) >> 32)
}

/// Powers of ten that are exact.
const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// A number with or without sign and point, of at most 15 digits and without exponent. It is exact: digits and power of ten are
/// both exact, and one division rounds once.
#[inline(always)]
pub(super) fn float(text: &[u8], start: usize, end: usize) -> Option<f64> {
    match decimal(text, start, end) {
        None if text.get(start) == Some(&b'-') => decimal(text, start + 1, end).map(|value| -value),
        value => value,
    }
}

#[inline(always)]
fn decimal(text: &[u8], start: usize, end: usize) -> Option<f64> {
    const ONES: u128 = 0x0101_0101_0101_0101_0101_0101_0101_0101;
    let length = end.wrapping_sub(start);
    if length.wrapping_sub(1) >= 15 {
        return None;
    }
    let word = u128::from_le_bytes(*text.get(start..)?.first_chunk::<16>()?);
    // Without what comes behind the number.
    let word = word & !(u128::MAX << (8 * length as u32));
    let differ = word ^ (ONES * b'.' as u128);
    let points = differ.wrapping_sub(ONES) & !differ & (ONES << 7);
    let (digits, count, fraction) = if points == 0 {
        (word, length, 0)
    } else {
        let point = points.trailing_zeros() / 8;
        let below = !(u128::MAX << (8 * point));
        ((word & below) | ((word >> 8) & !below), length - 1, length - 1 - point as usize)
    };
    if count == 0 {
        return None;
    }
    let digits = digits << (8 * (16 - count as u32));
    let zeros = (ONES * b'0' as u128) & !(u128::MAX << (8 * (16 - count as u32)));
    let digits = digits | zeros;
    let value = eight(digits as u64)? * 100_000_000 + eight((digits >> 64) as u64)?;
    let value = value as f64;
    Some(if fraction == 0 { value } else { value / POWERS[fraction] })
}

/// An integer as the library reads it, of any length.
pub(super) fn any_integer(text: &[u8]) -> Option<i128> {
    lexical_core::parse(text).ok()
}

/// A float as the library reads it: with exponent, `inf`, `NaN`.
pub(super) fn any_float(text: &[u8]) -> Option<f64> {
    lexical_core::parse(text).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn padded(text: &str) -> Vec<u8> {
        // What stands behind a number must not matter.
        let mut bytes = text.as_bytes().to_vec();
        bytes.extend_from_slice(b",99.9999999999999999");
        bytes
    }

    fn read_integer(text: &str) -> Option<i64> {
        integer(&padded(text), 0, text.len())
    }

    fn read_float(text: &str) -> Option<f64> {
        float(&padded(text), 0, text.len())
    }

    #[test]
    fn wrong_numbers_are_none() {
        for text in ["", "-", "+", "a", "1a", "12345678a", "a2345678", "1.5", "--1", " 1", "1 ", "/", ":", "1234567:"] {
            assert_eq!(read_integer(text), None, "{text}");
        }
        for text in ["", "-", ".", "-.", "1.2.3", "..", "1e5", "a", "1,5", "NaN", "12345678901234567"] {
            assert_eq!(read_float(text), None, "{text}");
        }
        assert_eq!((read_float("1."), read_float(".5"), read_float("-.5")), (Some(1.0), Some(0.5), Some(-0.5)));
        assert_eq!(read_float("-0").map(f64::to_bits), Some((-0.0_f64).to_bits()));
        assert_eq!((read_integer("+7"), read_integer("007"), read_integer("-0")), (Some(7), Some(7), Some(0)));
    }

    proptest! {
        #[test]
        fn integers(value in any::<i64>(), shift in 0..60_u32) {
            let value = value >> shift;
            let text = value.to_string();
            let expected = (text.trim_start_matches('-').len() <= 16).then_some(value);
            prop_assert_eq!(read_integer(&text), expected);
        }

        #[test]
        fn any_text(text in "[0-9./:+a-]{0,18}") {
            let integer = read_integer(&text);
            prop_assert!(integer.is_none() || integer == text.parse().ok());
            let float = read_float(&text);
            prop_assert!(float.is_none() || float == text.parse().ok(), "{:?}", float);
        }

        #[test]
        fn floats(text in "-?[0-9]{0,9}[.]?[0-9]{0,6}") {
            if let Ok(expected) = text.parse::<f64>() && text.trim_start_matches('-').len() <= 15 {
                prop_assert_eq!(read_float(&text).map(f64::to_bits), Some(expected.to_bits()));
            }
        }
    }
}
