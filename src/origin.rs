//! Where in the user's program something was asked for: file and line of the call.

use std::fmt;
use std::panic::Location;

/// The file and line of a user's call, or "unknown".
///
/// Every verb is `#[track_caller]` and keeps the origin of its call in the plan node it makes, so that errors, task names
/// and reports can name the user's own line. Where a verb is handed to the standard library as a function
/// (`iter.map(delayed)`, `reduce(Add::add)`) the compiler can only give a line inside the library: that counts as
/// unknown.
///
/// ```
/// let here = chunkwise::Origin::caller();
/// assert!(here.to_string().ends_with(&format!(":{}", line!() - 1)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin(Option<&'static Location<'static>>);

impl Origin {
    /// No known place.
    pub const UNKNOWN: Origin = Origin(None);

    /// The place of the caller of the innermost function that is not `#[track_caller]`.
    #[track_caller]
    pub fn caller() -> Origin {
        Origin(Some(Location::caller()))
    }

    /// File and line, unless unknown or inside the standard library.
    ///
    /// The check for the library is made here and not in [`Origin::caller`], so that building a million nodes pays for
    /// none of it.
    pub fn location(&self) -> Option<(&'static str, u32)> {
        let location = self.0?;
        let file = location.file();
        let in_library = file.starts_with("/rustc/") || file.contains("/lib/rustlib/src/rust/library/");
        (!in_library).then(|| (file, location.line()))
    }

    /// Whether the place is known.
    pub fn is_known(&self) -> bool {
        self.location().is_some()
    }

    /// This origin, or `other` where this one is unknown.
    pub fn or(self, other: Origin) -> Origin {
        if self.is_known() { self } else { other }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.location() {
            Some((file, line)) => write!(f, "{file}:{line}"),
            None => f.write_str("an unknown line"),
        }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn verb(_: u32) -> Origin {
        Origin::caller()
    }

    #[test]
    fn a_direct_call_is_known_and_a_call_through_the_library_is_not() {
        assert_eq!(verb(0).location(), Some((file!(), line!())));
        let through_std: Vec<Origin> = (0..1).map(verb).collect();
        assert_eq!(through_std[0].location(), None);
        let fallback = verb(1);
        assert_eq!(through_std[0].or(fallback), fallback);
    }
}
