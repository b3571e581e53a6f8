//! The known settings: their names, what they accept, their defaults; and the nearest known name of a wrong one.

use super::super::{byte_size, duration};

/// What a setting accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Count { auto: bool, most: usize },
    Bytes { least: u64, none: &'static str },
    Duration,
    Path,
    Flag,
    Choice(&'static [&'static str]),
}

struct Key {
    name: &'static str,
    kind: Kind,
    default: &'static str,
}

/// Every setting of the library.
const KEYS: &[Key] = &[
    Key { name: "threads", kind: Kind::Count { auto: true, most: MAX_THREADS }, default: "auto" },
    Key { name: "memory_limit", kind: Kind::Bytes { least: 1, none: "auto" }, default: "auto" },
    Key { name: "spill_dir", kind: Kind::Path, default: "auto" },
    Key { name: "spill_cap", kind: Kind::Bytes { least: 0, none: "none" }, default: "none" },
    Key { name: "scheduler", kind: Kind::Choice(&["threads", "synchronous"]), default: "threads" },
    Key { name: "progress", kind: Kind::Flag, default: "false" },
    Key { name: "timeout", kind: Kind::Duration, default: "none" },
    Key { name: "optimize.merge", kind: Kind::Flag, default: "true" },
    Key { name: "optimize.simplify", kind: Kind::Flag, default: "true" },
    Key { name: "optimize.rescan", kind: Kind::Flag, default: "true" },
    Key { name: "optimize.predicates", kind: Kind::Flag, default: "true" },
    Key { name: "optimize.columns", kind: Kind::Flag, default: "true" },
    Key { name: "optimize.limits", kind: Kind::Flag, default: "true" },
    Key { name: "optimize.pipeline", kind: Kind::Flag, default: "true" },
    Key { name: "optimize.elementwise", kind: Kind::Flag, default: "true" },
    Key { name: "optimize.reads", kind: Kind::Flag, default: "true" },
    Key { name: "optimize.cull", kind: Kind::Flag, default: "true" },
    Key { name: "optimize.share", kind: Kind::Flag, default: "true" },
    Key { name: "optimize.fuse", kind: Kind::Flag, default: "true" },
    Key { name: "spill.open_files", kind: Kind::Count { auto: false, most: MAX_COUNT }, default: "64" },
    Key { name: "observe.tasks", kind: Kind::Flag, default: "false" },
];

const MAX_COUNT: usize = 65_535;

/// The most threads of a runtime's own pool. Each has a stack and places in every table of workers; more of them than that
/// is a slip, and the system would answer it with a process that hardly moves.
pub const MAX_THREADS: usize = 1024;

/// The one spelling of a key: `-` is `_`.
pub(super) fn normal(key: &str) -> String {
    key.trim().replace('-', "_")
}

/// The default of a known key.
pub(super) fn default(key: &str) -> Option<&'static str> {
    find(key).map(|known| known.default)
}

/// What is wrong with a key in its normal spelling: the end of the sentence "setting `…` …".
pub(super) fn check_key(key: &str, spell: impl Fn(&str) -> String) -> Result<(), String> {
    if key.split('.').any(|part| part.is_empty() || part.contains(char::is_whitespace)) {
        return Err("is no key: names separated by single dots are accepted".to_string());
    }
    if find(key).is_some() || !is_ours(key) {
        return Ok(());
    }
    Err(match suggestion(key) {
        Some(near) => format!("is unknown (did you mean `{}`?)", spell(near)),
        None => {
            let known: Vec<String> = KEYS.iter().map(|known| spell(known.name)).collect();
            format!("is unknown; known are {}", known.join(", "))
        }
    })
}

/// What is wrong with the value of a key, if the key is known: the end of the sentence "… is not accepted: ".
pub(super) fn check_value(key: &str, value: &str) -> Result<(), String> {
    let Some(known) = find(key) else { return Ok(()) };
    match known.kind {
        Kind::Count { auto, most } => match count(value) {
            _ if auto && is_word(value, "auto") => Ok(()),
            Some(number) if number <= most => Ok(()),
            _ if auto => Err(format!("accepted is a whole number from 1 to {most}, or auto")),
            _ => Err(format!("accepted is a whole number from 1 to {most}")),
        },
        Kind::Bytes { none, .. } if is_word(value, none) => Ok(()),
        Kind::Bytes { least, none } => match byte_size::parse(value) {
            Ok(bytes) if bytes >= least => Ok(()),
            Ok(_) => Err(format!("it is less than {least}; accepted is {}, or {none}", byte_size::ACCEPTED)),
            Err(reason) => Err(format!("{reason}, or {none}")),
        },
        Kind::Duration if is_word(value, "none") => Ok(()),
        Kind::Duration => duration::parse(value).map(drop).map_err(|reason| format!("{reason}, or none")),
        Kind::Path if value.is_empty() => Err("accepted is a path, or auto".to_string()),
        Kind::Path => Ok(()),
        Kind::Flag => flag(value).map(drop).ok_or_else(|| "accepted are true and false".to_string()),
        Kind::Choice(choices) if choices.iter().any(|choice| is_word(value, choice)) => Ok(()),
        Kind::Choice(choices) => {
            let hint = nearest(&value.to_lowercase(), choices).map(|near| format!(" (did you mean `{near}`?)"));
            Err(format!("accepted are {}{}", choices.join(" and "), hint.unwrap_or_default()))
        }
    }
}

/// A whole number in the range of counts.
pub(super) fn count(value: &str) -> Option<usize> {
    let number = value.trim().parse::<usize>().ok()?;
    (1..=MAX_COUNT).contains(&number).then_some(number)
}

/// A yes or a no.
pub(super) fn flag(value: &str) -> Option<bool> {
    match value.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// Whether a value is a fixed word such as `auto`.
pub(super) fn is_word(value: &str, word: &str) -> bool {
    value.trim().eq_ignore_ascii_case(word)
}

/// The known key nearest to a wrong one.
pub(super) fn suggestion(key: &str) -> Option<&'static str> {
    let names: Vec<&'static str> = KEYS.iter().map(|known| known.name).collect();
    // The commonest slip, one separator for the other, counts as no difference.
    let alike = names.iter().find(|name| name.replace('.', "_") == key.replace('.', "_"));
    alike.copied().or_else(|| nearest(key, &names))
}

fn find(key: &str) -> Option<&'static Key> {
    KEYS.iter().find(|known| known.name == key)
}

/// Whether a key lies where only the library's own are allowed: without a dot, or below one of its first names.
fn is_ours(key: &str) -> bool {
    match key.split_once('.') {
        None => true,
        Some((first, _)) => {
            KEYS.iter().any(|known| known.name == first || known.name.starts_with(&format!("{first}.")))
        }
    }
}

/// The name with the fewest changed letters, if that is at most a third of them.
fn nearest(wrong: &str, names: &[&'static str]) -> Option<&'static str> {
    let (changes, near) = names.iter().map(|name| (edits(wrong, name), *name)).min()?;
    (changes <= near.len().max(3) / 3).then_some(near)
}

/// How many letters must be changed, added, removed or swapped with their neighbour to make `b` from `a`.
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = match (i, j) {
                (0, _) => j,
                (_, 0) => i,
                _ => {
                    let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let mut least = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                    if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                        least = least.min(rows[i - 2][j - 2] + 1);
                    }
                    least
                }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_accepted() {
        for key in KEYS {
            assert_eq!(check_key(key.name, str::to_string), Ok(()));
            assert_eq!(check_value(key.name, key.default), Ok(()), "{}", key.name);
        }
    }

    #[test]
    fn the_table_of_the_docs_is_this_one() {
        let docs = include_str!("mod.rs");
        for key in KEYS {
            let row = docs.lines().find(|line| line.starts_with("//! |") && line.contains(&format!("`{}`", key.name)));
            let row = row.unwrap_or_else(|| panic!("{} is not in the table", key.name));
            assert!(row.ends_with(&format!("| `{}` |", key.default)), "{row}");
        }
    }

    #[test]
    fn the_nearest_name() {
        for (wrong, near) in [
            ("thread", Some("threads")),
            ("memorylimit", Some("memory_limit")),
            ("memory.limit", Some("memory_limit")),
            ("optimize.fues", Some("optimize.fuse")),
            ("optimize_fuse", Some("optimize.fuse")),
            ("colour", None),
        ] {
            assert_eq!(suggestion(wrong), near, "{wrong}");
        }
        assert_eq!((edits("", "abc"), edits("abc", "abc"), edits("abc", "acb"), edits("abc", "xbcd")), (3, 0, 1, 2));
    }

    #[test]
    fn words_and_flags() {
        assert_eq!(check_value("threads", " AUTO "), Ok(()));
        assert_eq!(check_value("progress", "Yes"), Ok(()));
        assert_eq!(check_value("spill_cap", "0"), Ok(()));
        for (key, value) in [("threads", "0"), ("threads", "1025"), ("spill.open_files", "auto"), ("spill_dir", "")] {
            assert!(check_value(key, value).is_err(), "{key} = {value}");
        }
    }
}
