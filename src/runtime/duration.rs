//! Spans of time as texts: `90s`, `2 min`, `1500ms`.

use std::time::Duration;

use super::quantity;

/// What a span of time may look like, for messages.
pub(super) const ACCEPTED: &str =
    "a span of time such as 90s, 1500ms or 2 min (ns, us, ms, s, min, h, d) or a number of seconds";

const UNITS: &[(&str, u128)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("", SECOND),
    ("s", SECOND),
    ("sec", SECOND),
    ("second", SECOND),
    ("seconds", SECOND),
    ("m", 60 * SECOND),
    ("min", 60 * SECOND),
    ("minute", 60 * SECOND),
    ("minutes", 60 * SECOND),
    ("h", 3_600 * SECOND),
    ("hour", 3_600 * SECOND),
    ("hours", 3_600 * SECOND),
    ("d", 86_400 * SECOND),
    ("day", 86_400 * SECOND),
    ("days", 86_400 * SECOND),
];
const SECOND: u128 = 1_000_000_000;

/// A text as a span of time, or what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    quantity::parse(text, UNITS, ACCEPTED).map(Duration::from_nanos)
}

/// A span of time for people, three digits of it: `1.24 s`, `35.0 ms`, `2 min 5 s`.
pub(super) fn human(duration: Duration) -> String {
    let nanos = duration.as_nanos() as f64;
    // Each border lies where the smaller unit would round to 1000.
    let (value, unit) = match nanos {
        n if n < 999.5 => return format!("{nanos:.0} ns"),
        n if n < 999.5e3 => (n / 1e3, "µs"),
        n if n < 999.5e6 => (n / 1e6, "ms"),
        n if n < 99.5e9 => (n / 1e9, "s"),
        _ => {
            let seconds = duration.as_secs_f64().round() as u64;
            let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            return match hours {
                0 => format!("{minutes} min {seconds} s"),
                _ => format!("{hours} h {minutes} min"),
            };
        }
    };
    match value {
        v if v < 9.995 => format!("{value:.2} {unit}"),
        v if v < 99.95 => format!("{value:.1} {unit}"),
        _ => format!("{value:.0} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for (text, millis) in [
            ("90s", 90_000),
            ("2 min", 120_000),
            ("1500ms", 1500),
            ("1h", 3_600_000),
            ("1.5 H", 5_400_000),
            ("30", 30_000),
            ("0.5", 500),
            ("1 day", 86_400_000),
            ("2000us", 2),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "soon", "-1s", "1 fortnight", "1000000 d"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn for_people() {
        for (nanos, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_240, "1.24 µs"),
            (35_000_000, "35.0 ms"),
            (999_600_000, "1.00 s"),
            (12_340_000_000, "12.3 s"),
            (125_000_000_000, "2 min 5 s"),
            (7_500_000_000_000, "2 h 5 min"),
        ] {
            assert_eq!(human(Duration::from_nanos(nanos)), text);
        }
    }
}
