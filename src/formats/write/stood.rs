//! What stood at a place, to be known again.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A directory and the files in it.
pub struct Stood {
    /// As long as it is open nothing else gets its number.
    #[cfg(unix)]
    directory: fs::File,
    files: BTreeSet<Seen>,
}

/// A file below a directory: where, how long, when it was changed, and which one it is, where files have numbers.
type Seen = (PathBuf, u64, Option<SystemTime>, Option<u64>);

impl Stood {
    /// The directory at a path; nothing, if nothing is there.
    ///
    /// # Errors
    /// Where it cannot be listed.
    pub fn at(path: &Path) -> io::Result<Option<Stood>> {
        #[cfg(unix)]
        let directory = match fs::File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        #[cfg(not(unix))]
        if !path.try_exists()? {
            return Ok(None);
        }
        Ok(Some(Stood {
            #[cfg(unix)]
            directory,
            files: files(path)?,
        }))
    }

    /// Whether this very directory is at a path now, with the same files in it.
    pub fn is(&self, path: &Path) -> bool {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let (Ok(own), Ok(found)) = (self.directory.metadata(), fs::symlink_metadata(path)) else { return false };
            if (own.dev(), own.ino()) != (found.dev(), found.ino()) {
                return false;
            }
        }
        files(path).is_ok_and(|files| files == self.files)
    }

    /// Whether just its files were linked, or copied, into a directory. Another writer's directory may have stood in its place
    /// for a moment and be gone again: what is told by the path alone may be of that one.
    pub fn was_linked(&self, to: &Path, copied: bool) -> io::Result<bool> {
        let linked = files(to)?;
        if !copied {
            return Ok(linked == self.files);
        }
        let known = |(path, bytes, ..): &Seen| (path.clone(), *bytes);
        Ok(linked.iter().map(known).eq(self.files.iter().map(known)))
    }
}

/// The number of a file.
#[cfg(unix)]
fn number(meta: &fs::Metadata) -> Option<u64> {
    Some(std::os::unix::fs::MetadataExt::ino(meta))
}

#[cfg(not(unix))]
fn number(_: &fs::Metadata) -> Option<u64> {
    None
}

fn files(directory: &Path) -> io::Result<BTreeSet<Seen>> {
    let mut found = BTreeSet::new();
    let mut open = vec![PathBuf::new()];
    while let Some(below) = open.pop() {
        for entry in fs::read_dir(directory.join(&below))? {
            let entry = entry?;
            let (path, meta) = (below.join(entry.file_name()), entry.metadata()?);
            match meta.is_dir() {
                true => open.push(path),
                false => _ = found.insert((path, meta.len(), meta.modified().ok(), number(&meta))),
            }
        }
    }
    Ok(found)
}
