//! Which files a pattern names, in which order, and how they are opened.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use crate::error::{Error, ErrorKind, Result};

/// Bytes that are read from a compressed file at a time.
pub const READ_BYTES: usize = 64 << 10;

/// A file to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its size on disk.
    pub bytes: u64,
    /// When it was changed last, where the system tells.
    pub modified: Option<SystemTime>,
}

impl SourceFile {
    /// What is known of a file now.
    ///
    /// # Errors
    /// Of kind `Io`, where it is not there.
    pub fn at(path: &Path) -> Result<SourceFile> {
        let meta = std::fs::metadata(path).map_err(|error| Error::io(path, "cannot open", error))?;
        Ok(SourceFile { path: path.to_path_buf(), bytes: meta.len(), modified: meta.modified().ok() })
    }

    /// Opens the file as it was found.
    ///
    /// # Errors
    /// Of kind `Io`, where it cannot be opened; of kind `Data`, where it has changed since it was found.
    pub fn open(&self) -> Result<File> {
        let file = File::open(&self.path).map_err(|error| Error::io(&self.path, "cannot open", error))?;
        let meta = file.metadata().map_err(|error| Error::io(&self.path, "cannot read", error))?;
        if meta.len() != self.bytes || meta.modified().ok() != self.modified {
            return Err(self.changed());
        }
        Ok(file)
    }

    /// The error of a file that is not what it was.
    pub fn changed(&self) -> Error {
        let text = format!("{} has changed since it was opened: open it again", self.path.display());
        Error::new(ErrorKind::Data, text)
    }

    /// How it is compressed, by its name.
    pub fn compression(&self) -> Compression {
        Compression::of(&self.path)
    }

    /// About how many bytes its text has.
    pub fn text_bytes(&self) -> u64 {
        match self.compression() {
            Compression::None => self.bytes,
            Compression::Gzip | Compression::Zstd => self.bytes.saturating_mul(TEXT_RATIO),
        }
    }

    /// Its text from the beginning, decompressed.
    ///
    /// # Errors
    /// As [`SourceFile::open`]; where it is not compressed though its name says so, of kind `Io`; where the feature for it is off,
    /// of kind `Unsupported`.
    pub fn text(&self) -> Result<Box<dyn Read + Send>> {
        let file = self.open()?;
        match self.compression() {
            Compression::None => Ok(Box::new(file)),
            Compression::Gzip => gunzip(&self.path, file),
            Compression::Zstd => unzstd(&self.path, file),
        }
    }
}

/// How many times its size a compressed file is taken to be. Text compresses to a third or a quarter.
const TEXT_RATIO: u64 = 4;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// `.gz`.
    Gzip,
    /// `.zst`.
    Zstd,
}

impl Compression {
    /// By the name of a file.
    pub fn of(path: &Path) -> Compression {
        match path.extension() {
            Some(extension) if extension.eq_ignore_ascii_case("gz") => Compression::Gzip,
            Some(extension) if extension.eq_ignore_ascii_case("zst") => Compression::Zstd,
            Some(_) | None => Compression::None,
        }
    }
}

/// Reads at a place of a file; less than asked for only at its end.
///
/// # Errors
/// What the system says.
pub fn read_at(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < out.len() {
        match read_some_at(file, &mut out[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

#[cfg(unix)]
fn read_some_at(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, out, offset)
}

#[cfg(windows)]
fn read_some_at(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, out, offset)
}

#[cfg(not(any(unix, windows)))]
fn read_some_at(mut file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
    use std::io::Seek as _;
    file.seek(io::SeekFrom::Start(offset))?;
    file.read(out)
}

/// The files that a pattern names: `*` stands for any letters of a name and `?` for one. In natural order, so that
/// `part-9` comes before `part-10`.
///
/// # Errors
/// Of kind `Io`, where no file matches or a directory cannot be read.
pub fn find(pattern: &str) -> Result<Vec<SourceFile>> {
    let mut found = vec![PathBuf::new()];
    for component in Path::new(pattern).components() {
        let name = match component {
            Component::Normal(name) => name.to_str().filter(|name| name.contains(['*', '?'])),
            Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => None,
        };
        match name {
            None => found.iter_mut().for_each(|path| path.push(component)),
            Some(name) => {
                let mut next = Vec::new();
                for directory in &found {
                    next.extend(matching(directory, name)?);
                }
                found = next;
            }
        }
    }
    let mut files = Vec::with_capacity(found.len());
    for path in found {
        match std::fs::metadata(&path) {
            Ok(meta) if meta.is_file() => {
                files.push(SourceFile { bytes: meta.len(), modified: meta.modified().ok(), path });
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io(&path, "cannot open", error)),
        }
    }
    if files.is_empty() {
        let hint = match std::fs::metadata(pattern) {
            Ok(meta) if meta.is_dir() => ": it is a directory, name the files in it, such as with `*` at the end",
            _ => "",
        };
        return Err(Error::new(ErrorKind::Io, format!("no file matches `{pattern}`{hint}")));
    }
    files.sort_by(|a, b| natural(&a.path.to_string_lossy(), &b.path.to_string_lossy()));
    Ok(files)
}

/// How many files there are, in words.
pub fn count(files: &[SourceFile]) -> String {
    match files.len() {
        1 => "1 file".to_string(),
        count => format!("{count} files"),
    }
}

/// What lies in a directory under names that match.
fn matching(directory: &Path, name: &str) -> Result<Vec<PathBuf>> {
    let listed = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let entries = match std::fs::read_dir(listed) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(Error::io(listed, "cannot list", error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| Error::io(listed, "cannot list", error))?;
        let found = entry.file_name();
        let text = found.to_string_lossy();
        // As in a shell, a leading dot has to be asked for.
        let hidden = text.starts_with('.') && !name.starts_with('.');
        if !hidden && matches_name(name.as_bytes(), text.as_bytes()) {
            paths.push(directory.join(&found));
        }
    }
    Ok(paths)
}

/// Whether a name matches a pattern of letters, `?` and `*`.
fn matches_name(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where to go on when the last star has to take one letter more.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(letter) if *letter == b'?' || *letter == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    n = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|letter| *letter == b'*')
}

/// Names in the order in which people read them: runs of digits by their number, the rest letter by letter.
pub fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.as_bytes(), b.as_bytes());
    while let (Some(l), Some(r)) = (left.first(), right.first()) {
        if l.is_ascii_digit() && r.is_ascii_digit() {
            let (l, r) = (digits(&mut left), digits(&mut right));
            let order = l.len().cmp(&r.len()).then_with(|| l.cmp(r));
            if order != Ordering::Equal {
                return order;
            }
        } else if l != r {
            return l.cmp(r);
        } else {
            left = &left[1..];
            right = &right[1..];
        }
    }
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

/// Takes the digits at the front, without leading zeros.
fn digits<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(len);
    *text = rest;
    let zeros = number.iter().take_while(|byte| **byte == b'0').count();
    &number[zeros..]
}

/// The first bytes of every gzip file.
#[cfg(feature = "gzip")]
const GZIP_START: [u8; 2] = [0x1f, 0x8b];

#[cfg(feature = "gzip")]
fn gunzip(path: &Path, file: File) -> Result<Box<dyn Read + Send>> {
    use std::io::BufRead as _;
    let mut file = io::BufReader::with_capacity(READ_BYTES, file);
    let start = file.fill_buf().map_err(|error| Error::io(path, "cannot read", error))?;
    if !start.starts_with(&GZIP_START) {
        return Err(not_compressed(path, "gzip"));
    }
    Ok(Box::new(flate2::bufread::MultiGzDecoder::new(file)))
}

#[cfg(not(feature = "gzip"))]
fn gunzip(path: &Path, _: File) -> Result<Box<dyn Read + Send>> {
    Err(feature_is_off(path, "gzip"))
}

/// The first bytes of every Zstandard file.
#[cfg(feature = "zstd")]
const ZSTD_START: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

#[cfg(feature = "zstd")]
fn unzstd(path: &Path, file: File) -> Result<Box<dyn Read + Send>> {
    use std::io::BufRead as _;
    let mut file = io::BufReader::with_capacity(READ_BYTES, file);
    let start = file.fill_buf().map_err(|error| Error::io(path, "cannot read", error))?;
    if !start.starts_with(&ZSTD_START) {
        return Err(not_compressed(path, "Zstandard"));
    }
    let decoder = zstd::stream::read::Decoder::with_buffer(file);
    Ok(Box::new(decoder.map_err(|error| Error::io(path, "cannot read", error))?))
}

#[cfg(not(feature = "zstd"))]
fn unzstd(path: &Path, _: File) -> Result<Box<dyn Read + Send>> {
    Err(feature_is_off(path, "zstd"))
}

#[cfg(any(feature = "gzip", feature = "zstd"))]
fn not_compressed(path: &Path, by: &str) -> Error {
    let text = format!("cannot read {}: it is not compressed by {by}, though its name says so", path.display());
    Error::new(ErrorKind::Io, text)
}

#[cfg(not(all(feature = "gzip", feature = "zstd")))]
fn feature_is_off(path: &Path, feature: &str) -> Error {
    let text = format!("{} is compressed: reading it needs the feature `{feature}` of chunkwise", path.display());
    Error::new(ErrorKind::Unsupported, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, fits) in [
            ("*.csv", "a.csv", true),
            ("*.csv", "a.csv.gz", false),
            ("a*b*c", "aXbbYc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("**a", "ba", true),
        ] {
            assert_eq!(matches_name(pattern.as_bytes(), name.as_bytes()), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn natural_order() {
        let mut names = ["n10", "n9", "n09", "n1a", "m", "n", "n1"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["m", "n", "n1", "n1a", "n09", "n9", "n10"]);
    }

    #[test]
    fn finds_files_in_directories_and_tells_of_none() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b/x-10.csv", "b/x-9.csv", "c/x-1.csv", "c/.x-2.csv", "d/y.txt"] {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "1234").unwrap();
        }
        let at = |pattern: &str| find(dir.path().join(pattern).to_str().unwrap());
        let names = |files: Vec<SourceFile>| -> Vec<String> {
            let relative =
                |file: SourceFile| file.path.strip_prefix(dir.path()).unwrap().to_string_lossy().into_owned();
            files.into_iter().map(relative).collect()
        };
        assert_eq!(names(at("?/x-*.csv").unwrap()), ["b/x-9.csv", "b/x-10.csv", "c/x-1.csv"]);
        assert_eq!(names(at("d/y.txt").unwrap()), ["d/y.txt"]);
        for none in ["*.csv", "d/*.csv", "nowhere/*", "d/y.txt/*", "nothing.csv"] {
            let error = at(none).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Io, "{none}");
            assert!(error.message().starts_with("no file matches `"), "{error}");
        }
    }
}
