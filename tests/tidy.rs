//! Reads the sources and checks what the compiler does not: who may import whom, how long files get, what must not be left
//! behind. Each finding is printed as `file:line: what`.

use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

const GROUND: &[&str] = &["error", "origin"];
const COLLECTIONS: &[&str] = &["array", "dataframe", "bag", "delayed"];

/// Who may import whom: a module of `src/` and the modules it may use beside itself. Nothing not listed is allowed.
const IMPORTS: &[(&str, &[&[&str]])] = &[
    ("origin", &[]),
    ("error", &[&["origin"]]),
    ("expr", &[GROUND]),
    ("store", &[GROUND]),
    ("formats", &[&["store", "expr"], GROUND]),
    ("external", &[&["store", "expr"], GROUND]),
    ("schedule", &[&["error"]]),
    ("executor", &[&["schedule", "graph", "store"], GROUND]),
    ("graph", &[&["schedule", "store"], GROUND]),
    ("plan", &[&["graph"], GROUND]),
    ("runtime", &[&["plan", "executor", "graph", "schedule", "store"], GROUND]),
    ("array", &[COLLECTION_MAY_USE, GROUND]),
    ("dataframe", &[COLLECTION_MAY_USE, GROUND]),
    ("bag", &[COLLECTION_MAY_USE, GROUND]),
    ("delayed", &[COLLECTION_MAY_USE, GROUND]),
    ("convert", &[COLLECTIONS, COLLECTION_MAY_USE, GROUND]),
];
const COLLECTION_MAY_USE: &[&str] = &["runtime", "plan", "graph", "expr", "external", "formats", "store"];

/// Inside a collection: a room, the rooms of the same collection it may use, and the modules outside.
const ROOMS: &[(&str, &[&str], &[&str])] = &[
    ("optimize", &["plan"], &["plan", "formats", "expr", "error", "origin"]),
    (
        "lower",
        &["plan", "kernels", "optimize"],
        &["plan", "graph", "external", "formats", "store", "expr", "error", "origin"],
    ),
    ("kernels", &[], &["store", "expr", "error"]),
];

/// Files that see everything.
const FREE: &[&str] = &["lib", "prelude"];

/// Lines of a file, without the tests at its bottom.
const MAX_LINES: usize = 700;

/// A file is named after what it knows.
const BANNED_NAMES: &[&str] = &["utils", "util", "helpers", "helper", "common", "manager", "misc"];

/// What is not to be left in code.
const LEFT_OVERS: &[&str] = &["todo!", "unimplemented!", "dbg!", "#[ignore", "#![ignore"];

/// Files that may have `unsafe` in them, each with its reason.
const UNSAFE_ALLOWED: &[(&str, &str)] = &[
    ("tests/heap.rs", "a counting allocator"),
    ("src/array/kernels/ahead.rs", "an instruction that no library offers"),
    ("src/store/allocator.rs", "a function of glibc that no library offers"),
];

#[test]
fn modules_import_only_what_their_floor_allows() {
    let sources = rust_sources();
    let lib = sources.iter().find(|source| source.path == "src/lib.rs").expect("src/lib.rs");
    let exports = root_exports(&lib.code);
    check(&sources, |source, findings| {
        let Some(module) = source.module() else { return };
        for (line, path) in crate_paths(source.code_without_tests(), &module) {
            if let Some(problem) = import_problem(&module, &path, &exports) {
                findings.push((line, problem));
            }
        }
    });
}

#[test]
fn every_file_says_what_it_is() {
    check(&rust_sources(), |source, findings| {
        let first = source.text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!"));
        if !first.is_some_and(|line| line.starts_with("//!")) {
            findings.push((1, "no `//!` doc at the top of the file".to_string()));
        }
    });
}

#[test]
fn files_are_short_and_end_with_their_tests() {
    check(&rust_sources(), |source, findings| {
        let lines = source.code_without_tests().lines().count();
        if lines > MAX_LINES {
            findings.push((MAX_LINES + 1, format!("{lines} lines without tests; split it (at most {MAX_LINES})")));
        }
        if let Some(range) = source.tests() {
            let after = source.code[range.end..].trim_start();
            if !after.is_empty() {
                let line = line_of(&source.code, source.code.len() - after.len());
                findings.push((line, "code after the tests; they stand at the bottom".to_string()));
            }
        }
    });
}

#[test]
fn files_are_named_after_what_they_know() {
    check(&rust_sources(), |source, findings| {
        for part in Path::new(&source.path).with_extension("").iter() {
            if BANNED_NAMES.iter().any(|name| part == *name) {
                findings.push((1, format!("the name `{}` says nothing", part.display())));
            }
        }
    });
}

#[test]
fn nothing_is_left_over() {
    check(&rust_sources(), |source, findings| {
        for left_over in LEFT_OVERS {
            for (at, _) in source.code.match_indices(left_over) {
                if !source.code[..at].ends_with(is_word) {
                    findings.push((line_of(&source.code, at), format!("`{left_over}` left over")));
                }
            }
        }
        for note in [["TO", "DO"].concat(), ["FIX", "ME"].concat()] {
            for at in words(&source.text, &note) {
                findings.push((line_of(&source.text, at), format!("`{note}` left over")));
            }
        }
    });
}

#[test]
fn unsafe_stands_only_where_it_is_allowed() {
    check(&rust_sources(), |source, findings| {
        if UNSAFE_ALLOWED.iter().any(|(path, _)| *path == source.path) {
            return;
        }
        for at in words(&source.code, "unsafe") {
            findings.push((line_of(&source.code, at), "`unsafe` outside the list of allowed files".to_string()));
        }
    });
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    check(&text_files(), |source, findings| {
        // Joined here so that this file does not find itself.
        let roots = ["work", "root", "home", "Users"].map(|name| format!("/{name}"));
        for root in &roots {
            for (at, _) in source.text.match_indices(root) {
                if is_absolute_path(&source.text, at, root.len()) {
                    findings.push((line_of(&source.text, at), format!("an absolute path of a machine, `{root}`")));
                }
            }
        }
        for (at, host) in url_hosts(&source.text) {
            if !is_public_host(host) {
                findings.push((line_of(&source.text, at), format!("`{host}` is no public host")));
            }
        }
        for word in ["issue", "pull request"] {
            let numbered = format!("{word} #");
            for (at, _) in source.text.to_ascii_lowercase().match_indices(&numbered) {
                if source.text[at + numbered.len()..].starts_with(|c: char| c.is_ascii_digit()) {
                    findings.push((line_of(&source.text, at), format!("a numbered {word}: say what it is about")));
                }
            }
        }
    });
}

#[test]
fn locked_packages_come_from_the_public_registry() {
    let public = "\"registry+https://github.com/rust-lang/crates.io-index\"";
    check(&text_files(), |source, findings| {
        if source.path != "Cargo.lock" {
            return;
        }
        for (index, line) in source.text.lines().enumerate() {
            if line.strip_prefix("source = ").is_some_and(|origin| origin != public) {
                findings.push((index + 1, "a package from elsewhere than crates.io".to_string()));
            }
        }
    });
}

/// A file of the repository.
struct Source {
    /// Relative to the repository, with `/`.
    path: String,
    text: String,
    /// The text with comments and the insides of literals blanked out; same length, same lines. Empty where not Rust.
    code: String,
}

impl Source {
    /// The module path of a file of `src/`: `src/array/kernels/map.rs` is `array`, `kernels`, `map`.
    fn module(&self) -> Option<Vec<&str>> {
        let inside = self.path.strip_prefix("src/")?.strip_suffix(".rs")?;
        let path: Vec<&str> = inside.strip_suffix("/mod").unwrap_or(inside).split('/').collect();
        (!FREE.contains(&path[0])).then_some(path)
    }

    /// Where the tests at the bottom stand: from their attribute to their closing brace.
    fn tests(&self) -> Option<Range<usize>> {
        let start = self.code.find("\n#[cfg(test)]\nmod tests {")?;
        let end = self.code[start..].find("\n}").map_or(self.code.len(), |end| start + end + 2);
        Some(start..end)
    }

    fn code_without_tests(&self) -> &str {
        &self.code[..self.tests().map_or(self.code.len(), |range| range.start)]
    }
}

/// Runs one check over the files and fails with all that it finds.
#[track_caller]
fn check(sources: &[Source], find: impl Fn(&Source, &mut Vec<(usize, String)>)) {
    let mut report = String::new();
    for source in sources {
        let mut findings = Vec::new();
        find(source, &mut findings);
        findings.sort();
        for (line, what) in findings {
            writeln!(report, "{}:{line}: {what}", source.path).expect("writing to a String");
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

/// Why `module` may not use `path`, a path from the crate's root; `exports` are the root's re-exports.
fn import_problem(module: &[&str], path: &[String], exports: &[(String, String)]) -> Option<String> {
    let me = module[0];
    let Some((_, allowed)) = IMPORTS.iter().find(|(name, _)| *name == me) else {
        return Some(format!("module `{me}` is not in the import table"));
    };
    let first = path.first()?.as_str();
    let is_module = IMPORTS.iter().any(|(name, _)| *name == first) || FREE.contains(&first);
    let used = match exports.iter().find(|(name, _)| name == first) {
        Some((_, from)) => from.as_str(),
        None if is_module => first,
        None => return Some(format!("`crate::{first}` is neither a module of the table nor re-exported by the root")),
    };
    let room = module.get(1).filter(|_| COLLECTIONS.contains(&me)).and_then(|own| {
        let own = *own;
        ROOMS.iter().find(|(room, ..)| *room == own)
    });
    if used == me {
        let (room, rooms, _) = room?;
        let other = path.get(1)?.as_str();
        let fine = other == *room || rooms.contains(&other);
        return (!fine).then(|| format!("`{me}/{room}` may not use `{me}::{other}`"));
    }
    if let Some((room, _, outside)) = room {
        return (!outside.contains(&used)).then(|| format!("`{me}/{room}` may not use `{used}`"));
    }
    let fine = allowed.iter().any(|group| group.contains(&used));
    (!fine).then(|| format!("`{me}` may not use `{used}`"))
}

/// What `lib.rs` re-exports: a name and the module it comes from.
fn root_exports(lib: &str) -> Vec<(String, String)> {
    let mut exports = Vec::new();
    for (at, marker) in lib.match_indices("pub use ") {
        let statement = &lib[at + marker.len()..];
        let statement = &statement[..statement.find(';').unwrap_or(statement.len())];
        let statement = statement.strip_prefix("crate::").unwrap_or(statement);
        let Some((from, _)) = statement.split_once("::") else { continue };
        let names = statement.rsplit("::").next().unwrap_or("");
        for name in names.trim_matches(['{', '}', ' ', '\n']).split(',') {
            let name = name.rsplit(" as ").next().unwrap_or(name).trim();
            if !name.is_empty() {
                exports.push((name.to_string(), from.to_string()));
            }
        }
    }
    exports
}

/// All paths of the code that start at the crate's root, with their lines: `crate::a::b`, each branch of
/// `crate::{a, b::c}`, and `super::…` resolved against the file's module. (A `super` inside an inline module is taken as
/// one of the file.) Macros of the root (`crate::name!`) are left out.
fn crate_paths(code: &str, module: &[&str]) -> Vec<(usize, Vec<String>)> {
    let mut paths = Vec::new();
    for at in words(code, "crate") {
        branches(code, at + "crate".len(), Vec::new(), &mut paths);
    }
    for at in words(code, "super") {
        // Only the first `super` of a path.
        if code[..at].trim_end().ends_with("super::") || code[..at].trim_end().ends_with("(in") {
            continue;
        }
        let (mut depth, mut end) = (1, at + "super".len());
        while let Some(rest) = code[end..].strip_prefix("::super") {
            depth += 1;
            end = code.len() - rest.len();
        }
        if depth <= module.len() {
            let base = module[..module.len() - depth].iter().map(|part| part.to_string()).collect();
            branches(code, end, base, &mut paths);
        }
    }
    paths
}

/// Reads `::a::b` or `::{a, b::c}` at `at` and adds each branch, two names deep, to `paths`.
fn branches(code: &str, at: usize, base: Vec<String>, paths: &mut Vec<(usize, Vec<String>)>) {
    let Some(rest) = code[at..].trim_start().strip_prefix("::") else {
        return;
    };
    let rest = rest.trim_start();
    let at = code.len() - rest.len();
    if rest.starts_with('{') {
        let (mut depth, mut expects_name) = (0, true);
        for (offset, c) in rest.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => expects_name = true,
                c if is_word(c) && depth == 1 && expects_name => {
                    expects_name = false;
                    names(code, at + offset, base.clone(), paths);
                }
                _ => {}
            }
            if depth == 0 {
                return;
            }
        }
    } else {
        names(code, at, base, paths);
    }
}

fn names(code: &str, at: usize, mut path: Vec<String>, paths: &mut Vec<(usize, Vec<String>)>) {
    let mut rest = &code[at..];
    loop {
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        if end == 0 {
            break;
        }
        path.push(rest[..end].to_string());
        rest = &rest[end..];
        match rest.strip_prefix("::") {
            Some(more) if more.starts_with('{') && path.len() == 1 => {
                return branches(code, code.len() - rest.len(), path, paths);
            }
            Some(more) => rest = more,
            None => break,
        }
    }
    let is_macro = path.len() == 1 && rest.starts_with('!') && !rest.starts_with("!=");
    if !is_macro && !path.is_empty() && path[0] != "self" {
        paths.push((line_of(code, at), path));
    }
}

/// The same text with comments and the insides of string and character literals replaced by spaces.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let end = if rest.starts_with(b"//") {
            at + rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            at + block_comment(rest)
        } else if rest[0] == b'"' {
            at + string(rest)
        } else if rest[0] == b'r' && (at == 0 || !is_word(bytes[at - 1] as char) || bytes[at - 1] == b'b') {
            match raw_string(rest) {
                Some(length) => at + length,
                None => at,
            }
        } else if rest[0] == b'\'' {
            at + character(rest)
        } else {
            at
        };
        if end > at {
            code[at..end].iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b' ');
            at = end;
        } else {
            at += 1;
        }
    }
    String::from_utf8(code).expect("only whole literals and comments are replaced, by ASCII")
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn string(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

fn raw_string(rest: &[u8]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|b| **b == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let close = [b"\"".as_slice(), "#".repeat(hashes).as_bytes()].concat();
    let body = 2 + hashes;
    let length = rest[body..].windows(close.len()).position(|window| window == close);
    Some(length.map_or(rest.len(), |length| body + length + close.len()))
}

/// The length of a character literal, or 0 for a lifetime.
fn character(rest: &[u8]) -> usize {
    let text = String::from_utf8_lossy(&rest[1..rest.len().min(16)]).into_owned();
    let mut chars = text.chars();
    match chars.next() {
        Some('\\') => rest[3..].iter().position(|b| *b == b'\'').map_or(0, |length| 3 + length + 1),
        Some(c) if chars.next() == Some('\'') => 1 + c.len_utf8() + 1,
        _ => 0,
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where `word` stands as a whole word.
fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |at| !text[..*at].ends_with(is_word) && !text[at + word.len()..].starts_with(is_word))
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Whether the name at `at` begins a path: `/name` or `/name/…`, and not the middle of another path or of a URL.
fn is_absolute_path(text: &str, at: usize, length: usize) -> bool {
    let inside = |c: char| is_word(c) || matches!(c, '.' | '-' | '}' | ')' | '*' | ']' | '/' | '~' | '<' | '>' | '$');
    !text[..at].ends_with(inside) && !text[at + length..].starts_with(|c: char| is_word(c) || c == '-')
}

/// The hosts of the URLs in a text.
fn url_hosts(text: &str) -> impl Iterator<Item = (usize, &str)> {
    ["http", "https", "ftp", "ssh", "git"].into_iter().flat_map(move |scheme| {
        words(text, scheme).filter_map(move |at| {
            let rest = text[at + scheme.len()..].strip_prefix("://")?;
            let end = rest.find(|c: char| !is_word(c) && !matches!(c, '.' | '-' | '@')).unwrap_or(rest.len());
            (end > 0).then(|| (at, &rest[..end]))
        })
    })
}

/// A name with a public top-level domain, an example of the documentation, or this very machine.
fn is_public_host(host: &str) -> bool {
    let local = ["local", "internal", "intranet", "lan", "corp", "home"];
    let mirrors = ["artifactory", "nexus", "proxy", "mirror", "registry"];
    let last = host.rsplit('.').next().unwrap_or(host);
    host == "localhost"
        || host == "127.0.0.1"
        || (host.contains('.')
            && !last.chars().all(|c| c.is_ascii_digit())
            && !local.contains(&last)
            && !host.contains('@')
            && !host.split(['.', '-']).any(|part| mirrors.contains(&part)))
}

fn rust_sources() -> Vec<Source> {
    let mut sources = text_files();
    sources.retain_mut(|source| {
        let rust = source.path.ends_with(".rs");
        if rust {
            source.code = blank(&source.text);
        }
        rust
    });
    assert!(sources.len() > 3, "the sources are not where they should be");
    sources
}

/// Every text file of the repository.
fn text_files() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the repository") {
            let path = entry.expect("an entry of a folder").path();
            // `.git` is a file in a worktree; build folders carry cargo's cache tag.
            let skipped = path.ends_with(".git") || path.join("CACHEDIR.TAG").exists();
            match path.is_dir() {
                _ if skipped => {}
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files.sort();
    files.iter().filter_map(|path| read(root, path)).collect()
}

/// A file, unless it is no text.
fn read(root: &Path, path: &PathBuf) -> Option<Source> {
    let text = String::from_utf8(fs::read(path).expect("a file of the repository")).ok()?;
    let relative = path.strip_prefix(root).expect("a file below the root");
    let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
    Some(Source { path: parts.join("/"), text, code: String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked() {
        let text = "a /* b /* c */ d */ \"e \\\" f\" r#\"g\"h\"# 'i' '\\n' '\\u{1F600}' &'j k // l\nm";
        let code = blank(text);
        assert_eq!(code.len(), text.len());
        assert_eq!(code.split_whitespace().collect::<Vec<_>>(), ["a", "&'j", "k", "m"]);
    }

    #[test]
    fn paths_of_the_root_are_found() {
        let code = "use crate::{store::budget,\n error::{Error, Result}};\nfn f(x: crate::graph::Layer) { super::super::plan::g() }\n\
                    pub(crate) fn h() { crate::check!(); super::k() }";
        let found = crate_paths(code, &["array", "kernels"]);
        let found: Vec<_> = found.iter().map(|(line, path)| (*line, path.join("::"))).collect();
        let wanted = [
            (1, "store::budget"),
            (2, "error::Error"),
            (2, "error::Result"),
            (3, "graph::Layer"),
            (3, "plan::g"),
            (4, "array::k"),
        ];
        assert_eq!(found, wanted.map(|(line, path)| (line, path.to_string())));
    }

    #[test]
    fn the_table_is_obeyed() {
        let exports = root_exports("pub use error::{Error, ErrorKind};\npub use origin::Origin;");
        let problem = |module: &str, path: &str| {
            let module: Vec<&str> = module.split("::").collect();
            let path: Vec<String> = path.split("::").map(str::to_string).collect();
            import_problem(&module, &path, &exports)
        };
        for (module, path) in [
            ("store::spill", "error::Error"),
            ("store::spill", "Error"),
            ("store::spill", "store::budget"),
            ("array::kernels::map", "store::chunk"),
            ("array::kernels::map", "array::kernels::tile"),
            ("array::map", "array::plan"),
            ("array::lower", "array::kernels::map"),
            ("runtime", "graph"),
        ] {
            assert_eq!(problem(module, path), None, "{module} uses {path}");
        }
        for (module, path, text) in [
            ("schedule", "Origin", "`schedule` may not use `origin`"),
            ("array::map", "dataframe::plan", "`array` may not use `dataframe`"),
            ("array::kernels::map", "array::plan", "`array/kernels` may not use `array::plan`"),
            ("array::kernels::map", "graph::layer", "`array/kernels` may not use `graph`"),
            ("store", "prelude", "`store` may not use `prelude`"),
            ("gadgets", "error", "module `gadgets` is not in the import table"),
            ("store", "tools", "`crate::tools` is neither a module of the table nor re-exported by the root"),
        ] {
            assert_eq!(problem(module, path).as_deref(), Some(text));
        }
    }

    #[test]
    fn machine_paths_and_hosts_are_told_from_others() {
        // `|` for `/`, so that this file does not find itself.
        let is_path = |text: &str| {
            let (text, root) = (text.replace('|', "/"), "|work".replace('|', "/"));
            is_absolute_path(&text, text.find(&root).expect("it is there"), root.len())
        };
        assert!(is_path("cd \"|work/x\"") && is_path("|work") && is_path("see |work."));
        assert!(!is_path("doc|work/x") && !is_path("|workspace") && !is_path("https:||a.example|work"));
        let text = "see https:||docs.rs|x and http:||10.0.0.7:80| or git:||mirror.example".replace('|', "/");
        let judged: Vec<_> = url_hosts(&text).map(|(_, host)| (host, is_public_host(host))).collect();
        assert_eq!(judged, [("10.0.0.7", false), ("docs.rs", true), ("mirror.example", false)]);
    }
}
