//! Numbers with a unit as people write them, `1.5 GiB` or `90s`: read exactly, without floating point.

/// Reads `text` as a number of the smallest unit; `units` names each unit and how many of the smallest it is.
///
/// Fractions are allowed and rounded down; units are compared without regard to case; spaces may stand around the number
/// and the unit. The error says what is wrong, as the end of the sentence "… is not accepted: ".
pub(super) fn parse(text: &str, units: &[(&str, u128)], what: &str) -> Result<u64, String> {
    let text = text.trim();
    let accepted = || format!("accepted is {what}");
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    if unsigned.starts_with('-') {
        return Err(format!("it is negative; {}", accepted()));
    }
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, unit) = (&unsigned[..end], unsigned[end..].trim());
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return Err(format!("it does not begin with a number; {}", accepted()));
    }
    let Some((_, size)) = units.iter().find(|(name, _)| same_unit(name, unit)) else {
        return Err(format!("the unit `{unit}` is unknown; {}", accepted()));
    };
    if *size == 1 && !fraction.trim_end_matches('0').is_empty() {
        return Err(format!("it is a fraction of the smallest unit; {}", accepted()));
    }
    scaled(whole, fraction, *size).ok_or_else(|| format!("it is too large; at most {} fit", u64::MAX))
}

fn same_unit(name: &str, unit: &str) -> bool {
    name.chars().flat_map(char::to_lowercase).eq(unit.chars().flat_map(char::to_lowercase))
}

/// `whole.fraction` times `size`, rounded down; `None` where it does not fit.
fn scaled(whole: &str, fraction: &str, size: u128) -> Option<u64> {
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u128>().ok()? };
    // More digits than these are below one of the smallest unit for every size in use, and would overflow.
    let fraction = &fraction[..fraction.len().min(18)];
    let part = if fraction.is_empty() { 0 } else { fraction.parse::<u128>().ok()? };
    let scale = 10_u128.pow(fraction.len() as u32);
    let total = whole.checked_mul(size)?.checked_add(part.checked_mul(size)? / scale)?;
    u64::try_from(total).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNITS: &[(&str, u128)] = &[("", 1), ("g", 1), ("kg", 1000)];

    #[test]
    fn numbers_are_exact() {
        for (text, grams) in [
            ("7", 7),
            (" 7 g ", 7),
            ("7.0", 7),
            ("+7KG", 7000),
            (".5kg", 500),
            ("1.9999 kg", 1999),
            ("1.", 1),
            ("18446744073709551615", u64::MAX),
            ("0.00000000000000000000000000000000001 kg", 0),
        ] {
            assert_eq!(parse(text, UNITS, "a weight"), Ok(grams), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, reason) in [
            ("", "it does not begin with a number; accepted is a weight"),
            (".", "it does not begin with a number; accepted is a weight"),
            ("1.2.3", "it does not begin with a number; accepted is a weight"),
            ("-1 kg", "it is negative; accepted is a weight"),
            ("1 stone", "the unit `stone` is unknown; accepted is a weight"),
            ("1.5 g", "it is a fraction of the smallest unit; accepted is a weight"),
            ("18446744073709551616", "it is too large; at most 18446744073709551615 fit"),
            ("99999999999999999999999999999999999999999999 kg", "it is too large; at most 18446744073709551615 fit"),
            ("١", "it does not begin with a number; accepted is a weight"),
        ] {
            assert_eq!(parse(text, UNITS, "a weight").unwrap_err(), reason, "{text}");
        }
    }
}
