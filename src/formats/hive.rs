//! Files of a data set: a file, a pattern or a directory, and the columns that lie in directory names such as `year=2024`.

use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arrow::array::{Array, ArrayRef, Date32Array, Int64Array, StringArray, UInt64Array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Date32Type};

use super::files::{SourceFile, find, natural};
use crate::error::{Error, ErrorKind, Result};

/// What a directory is called that holds the rows whose key is null.
pub const NULL_KEY: &str = "__HIVE_DEFAULT_PARTITION__";

/// Directories below each other that are looked into; deeper ones are taken for a circle of links.
const MAX_DEPTH: usize = 64;

/// A file of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFile {
    /// The file.
    pub file: SourceFile,
    /// The keys that its directories name, outermost first, with their values; null where the directory says so.
    pub keys: Vec<(String, Option<String>)>,
}

/// The files of a data set, in natural order.
///
/// A path is a file, a pattern (see [`find`]) or a directory. A directory is looked through with all that lies below it, for names that
/// end in one of `extensions`, without those that begin with `_` or `.`, but for directories such as `_key=1`. The keys are those of the directories below
/// the given one, or from the first part of a pattern on that is not plain.
///
/// # Errors
/// Of kind `Io`, where there is no file or a directory cannot be read.
pub fn data_files(path: &str, extensions: &[&str]) -> Result<Vec<DataFile>> {
    let root = Path::new(path);
    let is_directory = std::fs::metadata(root).is_ok_and(|meta| meta.is_dir());
    let (files, above) = if is_directory {
        (below(root, extensions)?, root.components().count())
    } else {
        let plain = |part: &Component<'_>| !part.as_os_str().to_string_lossy().contains(['*', '?']);
        (find(path)?, root.components().take_while(plain).count())
    };
    Ok(files
        .into_iter()
        .map(|file| {
            let directories = file.path.parent().into_iter().flat_map(Path::components).skip(above);
            let keys = directories.filter_map(|part| key_of(part.as_os_str().to_str()?)).collect();
            DataFile { file, keys }
        })
        .collect())
}

/// What a data set is called in plans, by the verb that reads it.
pub(super) fn label(verb: &str, files: &[DataFile]) -> String {
    match files {
        [only] => format!("{verb} of {}", only.file.path.display()),
        files => format!("{verb} of {} files", files.len()),
    }
}

/// A text that is equal for data sets of one kind that read the same: of each file what tells that it is the same, and the options.
pub(super) fn content_key<'a>(
    kind: &str,
    files: impl Iterator<Item = (&'a Path, u64, Option<SystemTime>)>,
    options: &impl Debug,
) -> String {
    let files: Vec<_> = files.collect();
    format!("{kind} {:032x}", digest(&(files, format!("{options:?}"))))
}

/// Two hashes of 64 bits, begun differently, so that no two data sets are taken for one.
pub(super) fn digest(value: &impl Hash) -> u128 {
    let hash = |begin: u64| {
        let mut hasher = DefaultHasher::new();
        begin.hash(&mut hasher);
        value.hash(&mut hasher);
        u128::from(hasher.finish())
    };
    hash(0) << 64 | hash(1)
}

/// The files below a directory, in natural order.
fn below(root: &Path, extensions: &[&str]) -> Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    let mut open: Vec<(PathBuf, usize)> = vec![(root.to_path_buf(), 0)];
    while let Some((directory, depth)) = open.pop() {
        if depth > MAX_DEPTH {
            let text = format!("{} has directories {depth} deep; is there a circle of links?", root.display());
            return Err(Error::new(ErrorKind::Io, text));
        }
        let listed = |error| Error::io(&directory, "cannot list", error);
        for entry in std::fs::read_dir(&directory).map_err(listed)? {
            let entry = entry.map_err(listed)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            // Where a key begins with `_`, its directory does.
            let is_key = name.starts_with('_') && key_of(&name).is_some();
            if name.starts_with(['.', '_']) && !is_key {
                continue;
            }
            let path = entry.path();
            let meta = match std::fs::metadata(&path) {
                Ok(meta) => meta,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::io(&path, "cannot open", error)),
            };
            if meta.is_dir() {
                open.push((path, depth + 1));
            } else if !is_key && extensions.iter().any(|one| ends_in(&path, one)) {
                files.push(SourceFile { path, bytes: meta.len(), modified: meta.modified().ok() });
            }
        }
    }
    if files.is_empty() {
        let names: Vec<String> = extensions.iter().map(|one| format!("`.{one}`")).collect();
        let text = format!("no file in {} ends in {}", root.display(), names.join(" or "));
        return Err(Error::new(ErrorKind::Io, text));
    }
    files.sort_by(|a, b| natural(&a.path.to_string_lossy(), &b.path.to_string_lossy()));
    Ok(files)
}

/// Whether the name of a file ends in a point and an extension, which may have points in it.
fn ends_in(path: &Path, extension: &str) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    name.strip_suffix(extension).is_some_and(|rest| rest.ends_with('.'))
}

/// The key that a directory names, if it names one.
pub(super) fn key_of(directory: &str) -> Option<(String, Option<String>)> {
    let (key, value) = directory.split_once('=')?;
    let value = if value == NULL_KEY { None } else { Some(decode(value)) };
    (!key.is_empty()).then(|| (decode(key), value))
}

/// A text in which `%20` and the like stand for bytes.
fn decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_string();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                // Two digits of base 16 are one byte.
                bytes.push((high * 16 + low) as u8);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_string())
}

/// A column of keys: one value per file.
#[derive(Clone, Debug)]
pub struct KeyColumn {
    /// Its name.
    pub name: String,
    /// Its value in each file.
    pub values: ArrayRef,
}

/// The columns that the directories of all files name, in the order in which they are met. A file without a key has null there. Values are
/// integers (`Int64`, or `UInt64` where one is too large for it) or dates where each of them is written as its integer or date is, else text:
/// `1` and `01` are two texts. `types` declares others, the last one of a column.
///
/// # Errors
/// Of kind `Data`, where a value is not of the declared type, naming the file.
pub fn key_columns(files: &[DataFile], types: &[(String, DataType)]) -> Result<Vec<KeyColumn>> {
    let mut names: Vec<&str> = Vec::new();
    for file in files {
        for (key, _) in &file.keys {
            if !names.contains(&key.as_str()) {
                names.push(key);
            }
        }
    }
    let column = |name: &str| -> Result<KeyColumn> {
        let value = |file: &DataFile| file.keys.iter().rev().find(|(key, _)| key == name).and_then(|(_, v)| v.clone());
        let texts: Vec<Option<String>> = files.iter().map(value).collect();
        let declared = types.iter().rev().find(|(of, _)| of == name);
        let values = match declared {
            None => typed(&texts),
            Some((_, to)) => {
                let text: ArrayRef = Arc::new(StringArray::from(texts.clone()));
                let cast = cast_with_options(&text, to, &CastOptions::default())
                    .map_err(|error| Error::with_source(ErrorKind::Plan, format!("key `{name}` as {to}"), error))?;
                if let Some(at) = (0..texts.len()).find(|at| texts[*at].is_some() && cast.is_null(*at)) {
                    let (path, found) = (files[at].file.path.display(), texts[at].as_deref().unwrap_or_default());
                    let text = format!("{path}: key `{name}`: `{found}` is not a {to}");
                    return Err(Error::new(ErrorKind::Data, text));
                }
                cast
            }
        };
        Ok(KeyColumn { name: name.to_string(), values })
    };
    names.into_iter().map(column).collect()
}

/// Texts as integers or dates, where each is just what its integer or date is written as: two texts never become one value.
fn typed(texts: &[Option<String>]) -> ArrayRef {
    fn all<'a, T: ToString>(
        texts: &'a [Option<String>],
        value: impl Fn(&'a str) -> Option<T>,
    ) -> Option<Vec<Option<T>>> {
        let canonical = |text: &'a String| value(text).filter(|value| value.to_string() == *text);
        let values: Vec<Option<T>> = texts.iter().map(|text| canonical(text.as_ref()?)).collect();
        let known = values.iter().zip(texts).all(|(value, text)| value.is_some() == text.is_some());
        (known && values.iter().any(Option::is_some)).then_some(values)
    }
    if let Some(values) = all(texts, |text| text.parse::<i64>().ok()) {
        return Arc::new(Int64Array::from(values));
    }
    if let Some(values) = all(texts, |text| text.parse::<u64>().ok()) {
        return Arc::new(UInt64Array::from(values));
    }
    match all(texts, |text| chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()) {
        Some(values) => {
            Arc::new(values.into_iter().map(|day| day.map(Date32Type::from_naive_date)).collect::<Date32Array>())
        }
        None => Arc::new(StringArray::from(texts.to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;

    use super::*;

    fn keyed(keys: &[(&str, Option<&str>)]) -> DataFile {
        let keys = keys.iter().map(|(key, value)| (key.to_string(), value.map(str::to_string))).collect();
        DataFile { file: SourceFile { path: "f".into(), bytes: 0, modified: None }, keys }
    }

    #[test]
    fn files_of_a_directory_with_their_keys() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "year=2024/m=10/b.parquet",
            "year=2024/m=9/a.parquet",
            "year=2024/m=9/_SUCCESS",
            "year=2024/_tmp/c.parquet",
            "year=2024/_n=1.parquet",
            "year=2024/.m=3/d.parquet",
            "year=2023/m=1%2F2/.x.parquet",
            "year=2023/m=1%2F2/p.PARQUET",
            "year=__HIVE_DEFAULT_PARTITION__/m=1/q.parquet",
            "year=2024/notes.txt",
        ] {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        let root = dir.path().to_str().unwrap();
        let files = data_files(root, &["parquet"]).unwrap();
        let keys: Vec<String> = files.iter().map(|file| format!("{:?}", file.keys)).collect();
        assert_eq!(
            keys,
            [
                r#"[("year", Some("2023")), ("m", Some("1/2"))]"#,
                r#"[("year", Some("2024")), ("m", Some("9"))]"#,
                r#"[("year", Some("2024")), ("m", Some("10"))]"#,
                r#"[("year", None), ("m", Some("1"))]"#,
            ]
        );
        let by_pattern = data_files(&format!("{root}/year=2024/m=*/*.parquet"), &["parquet"]).unwrap();
        assert_eq!(by_pattern.len(), 2);
        assert_eq!(by_pattern[0].keys, [("m".to_string(), Some("9".to_string()))]);
        let error = data_files(root, &["csv"]).unwrap_err();
        assert_eq!(error.message(), format!("no file in {root} ends in `.csv`"));
        assert_eq!(data_files(&format!("{root}/none"), &["csv"]).unwrap_err().kind(), ErrorKind::Io);
    }

    #[test]
    fn keys_have_types() {
        let files = [
            keyed(&[("n", Some("12")), ("d", Some("2024-02-29")), ("t", Some("a"))]),
            keyed(&[("n", None), ("d", Some("1969-12-31")), ("t", Some("7"))]),
            keyed(&[("n", Some("-3"))]),
        ];
        let columns = key_columns(&files, &[]).unwrap();
        let shown: Vec<String> =
            columns.iter().map(|column| format!("{} {}", column.name, column.values.data_type())).collect();
        assert_eq!(shown, ["n Int64", "d Date32", "t Utf8"]);
        assert!(columns[0].values.is_null(1) && columns[1].values.is_null(2));
        let declared = |to| key_columns(&files, &[("t".to_string(), to)]);
        assert_eq!(declared(DataType::LargeUtf8).unwrap()[2].values.data_type(), &DataType::LargeUtf8);
        assert_eq!(declared(DataType::Int8).unwrap_err().message(), "f: key `t`: `a` is not a Int8");
    }

    #[test]
    fn texts_that_differ_stay_different() {
        let of = |texts: &[&str]| {
            let files: Vec<DataFile> = texts.iter().map(|text| keyed(&[("k", Some(*text))])).collect();
            key_columns(&files, &[]).unwrap()[0].values.clone()
        };
        for texts in [
            &["1", "01"][..],
            &["+1"],
            &["-0"],
            &["1_000"],
            &[" 1"],
            &["1", ""],
            &["18446744073709551616"],
            &["18446744073709551615", "-1"],
            &["2024-1-1"],
            &["2024-01-01", "02024-01-01"],
            &["2024-02-30"],
            &["2024-01-01", "1"],
        ] {
            let values = of(texts);
            let back: Vec<&str> = values.as_string::<i32>().iter().map(|text| text.unwrap()).collect();
            assert_eq!(back, texts);
        }
        assert_eq!(of(&["18446744073709551615", "0"]).data_type(), &DataType::UInt64);
        assert_eq!(of(&["-9223372036854775808", "0"]).data_type(), &DataType::Int64);
    }
}
