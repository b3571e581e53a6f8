//! Sizes in bytes as numbers or texts: `1 << 30`, `"2GB"`, `"128 MiB"`.

use super::quantity;
use crate::error::{Error, ErrorKind, Result};

/// What can be given where a size in bytes is asked for: a number of bytes, or a text with a unit.
///
/// Decimal units are powers of 1000 (`kB`, `MB`, `GB`, `TB`, `PB`), binary ones powers of 1024 (`KiB`, `MiB`, `GiB`, `TiB`,
/// `PiB`); the `B` may be left out, case does not matter, spaces may stand before the unit, and fractions are rounded down
/// to a whole byte.
///
/// ```
/// use chunkwise::runtime::IntoBytes;
///
/// assert_eq!("2GB".into_byte_count()?, 2_000_000_000);
/// assert_eq!("128 MiB".into_byte_count()?, 134_217_728);
/// assert_eq!("1.5gib".into_byte_count()?, 1_610_612_736);
/// assert_eq!((1 << 30).into_byte_count()?, 1_073_741_824);
/// assert!((-1).into_byte_count().is_err());
/// # Ok::<(), chunkwise::Error>(())
/// ```
pub trait IntoBytes {
    /// The number of bytes.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Config`]: a negative number, a text without a number, an unknown unit, more than fits 64 bits.
    fn into_byte_count(self) -> Result<u64>;
}

/// What a size may look like, for messages.
pub(super) const ACCEPTED: &str = "a size such as 2GB or 1.5 GiB (B, kB to PB, KiB to PiB) or a number of bytes";

const UNITS: &[(&str, u128)] = &[
    ("", 1),
    ("B", 1),
    ("byte", 1),
    ("bytes", 1),
    ("k", 1000),
    ("kB", 1000),
    ("M", 1000_u128.pow(2)),
    ("MB", 1000_u128.pow(2)),
    ("G", 1000_u128.pow(3)),
    ("GB", 1000_u128.pow(3)),
    ("T", 1000_u128.pow(4)),
    ("TB", 1000_u128.pow(4)),
    ("P", 1000_u128.pow(5)),
    ("PB", 1000_u128.pow(5)),
    ("Ki", 1 << 10),
    ("KiB", 1 << 10),
    ("Mi", 1 << 20),
    ("MiB", 1 << 20),
    ("Gi", 1 << 30),
    ("GiB", 1 << 30),
    ("Ti", 1 << 40),
    ("TiB", 1 << 40),
    ("Pi", 1 << 50),
    ("PiB", 1 << 50),
];

/// A text as a number of bytes, or what is wrong with it.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    quantity::parse(text, UNITS, ACCEPTED)
}

impl IntoBytes for &str {
    fn into_byte_count(self) -> Result<u64> {
        parse(self).map_err(|reason| not_accepted(self, &reason))
    }
}

impl IntoBytes for String {
    fn into_byte_count(self) -> Result<u64> {
        self.as_str().into_byte_count()
    }
}

impl IntoBytes for &String {
    fn into_byte_count(self) -> Result<u64> {
        self.as_str().into_byte_count()
    }
}

macro_rules! numbers_into_bytes {
    ($($number:ty),*) => {$(
        impl IntoBytes for $number {
            fn into_byte_count(self) -> Result<u64> {
                u64::try_from(self).map_err(|_| {
                    let reason = if self.to_string().starts_with('-') { "it is negative" } else { "it is too large" };
                    not_accepted(&self.to_string(), &format!("{reason}; accepted is {ACCEPTED}"))
                })
            }
        }
    )*};
}

numbers_into_bytes!(u32, u64, usize, i32, i64);

fn not_accepted(text: &str, reason: &str) -> Error {
    Error::new(ErrorKind::Config, format!("`{text}` is no size in bytes: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_numbers() {
        for (text, bytes) in [
            ("2GB", 2_000_000_000),
            ("100MB", 100_000_000),
            ("128 MiB", 134_217_728),
            ("1.5GiB", 1_610_612_736),
            ("1024", 1024),
            ("  64 kib ", 65_536),
            ("64k", 64_000),
            ("64Ki", 65_536),
            ("1 byte", 1),
            ("0", 0),
            ("16383 PiB", 16383 << 50),
        ] {
            assert_eq!(text.into_byte_count().unwrap(), bytes, "{text}");
            assert_eq!(text.to_string().into_byte_count().unwrap(), bytes, "{text}");
        }
        assert_eq!((1 << 30).into_byte_count().unwrap(), 1 << 30);
        assert_eq!(7_usize.into_byte_count().unwrap(), 7);
        assert_eq!(u64::MAX.into_byte_count().unwrap(), u64::MAX);
    }

    #[test]
    fn errors_say_what_is_accepted() {
        let text = |error: Result<u64>| error.unwrap_err().to_string();
        insta::assert_snapshot!(
            [text("2 GX".into_byte_count()), text((-1).into_byte_count()), text("16384 PiB".into_byte_count()), text("".into_byte_count())].join("\n"),
            @r"
        `2 GX` is no size in bytes: the unit `GX` is unknown; accepted is a size such as 2GB or 1.5 GiB (B, kB to PB, KiB to PiB) or a number of bytes
        `-1` is no size in bytes: it is negative; accepted is a size such as 2GB or 1.5 GiB (B, kB to PB, KiB to PiB) or a number of bytes
        `16384 PiB` is no size in bytes: it is too large; at most 18446744073709551615 fit
        `` is no size in bytes: it does not begin with a number; accepted is a size such as 2GB or 1.5 GiB (B, kB to PB, KiB to PiB) or a number of bytes
        ");
        assert_eq!("lots".into_byte_count().unwrap_err().kind(), ErrorKind::Config);
    }
}
