//! One directory per process and spill root, and who may remove it.
//!
//! The directory `chunkwise-<pid>-<random>` holds a file `pid` that its owner keeps locked; the lock, not the number, tells
//! the living from the dead, so a process number used again fools nobody. The protocol:
//!
//! 1. An owner makes the directory, makes `pid`, locks it, and then looks whether `pid` is still there. If any step finds
//!    that somebody was faster, it begins again under another name.
//! 2. A cleaner (every runtime is one with its first run, and every owner, when it begins) locks `pid` of each directory it finds. If it gets the lock, the
//!    owner is dead or has not locked yet: it removes the segments, then `pid`, then the directory, and then gives the lock up.
//! 3. A directory without `pid` is being made, or was left half way: the cleaner tries to remove it, which works only
//!    while it is empty; its maker then does not find it and begins again.
//!
//! Whoever has locked a `pid` that is still there has the directory to itself: another lock on the same file is refused, a
//! file that was removed before is noticed, and a random name is never made twice.

use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::store::process;
use crate::store::spill::disk::{Disk, DiskLock};

const PREFIX: &str = "chunkwise-";
const PID: &str = "pid";
const SEGMENT: &str = "segment-";

/// A directory that this process owns.
#[derive(Debug)]
pub struct SpillDir {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// Held as long as the directory is.
    _lock: Box<dyn DiskLock>,
}

impl SpillDir {
    /// Makes a directory below `root`, which is made as well if only its parent exists. What dead processes left there
    /// is removed first.
    ///
    /// # Errors
    /// Of kind [`Spill`](ErrorKind::Spill), or [`SpillFull`](ErrorKind::SpillFull) on a full disk, naming the path.
    pub fn create(disk: Arc<dyn Disk>, root: &Path) -> Result<SpillDir> {
        make_root(&*disk, root)?;
        remove_left_overs(&*disk, root);
        // Each round is lost only to a cleaner that came in the same microseconds.
        for _ in 0..100 {
            let path = root.join(format!("{PREFIX}{}-{:016x}", std::process::id(), random()));
            match claim(&*disk, &path) {
                Ok(Some(lock)) => return Ok(SpillDir { disk, path, _lock: lock }),
                Ok(None) => {}
                Err(error) => {
                    let error = disk_error(&*disk, &path, "cannot make the spill directory", 0, error);
                    // Nothing of the attempt stays.
                    let _ = disk.remove_file(&path.join(PID));
                    let _ = disk.remove_dir(&path).or_else(|_| disk.remove_dir(&path));
                    return Err(error);
                }
            }
        }
        let root = root.display();
        Err(Error::new(ErrorKind::Spill, format!("cannot make a spill directory in {root}: others keep removing it")))
    }

    /// The path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a segment file.
    pub fn segment(&self, id: u64) -> PathBuf {
        self.path.join(format!("{SEGMENT}{id}"))
    }

    /// Removes the directory with all segments.
    ///
    /// # Errors
    /// What the disk says. It can be called again.
    pub fn remove(&self) -> io::Result<()> {
        remove_dir(&*self.disk, &self.path)
    }
}

fn claim(disk: &dyn Disk, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
    let lost = |error: io::Error| if error.kind() == io::ErrorKind::NotFound { Ok(None) } else { Err(error) };
    match disk.create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
        made => made?,
    }
    let pid_path = path.join(PID);
    let pid = match disk.create(&pid_path) {
        Ok(file) => file,
        Err(error) => return lost(error),
    };
    let lock = match disk.try_lock(&pid_path) {
        Ok(Some(lock)) => lock,
        Ok(None) => return Ok(None),
        Err(error) => return lost(error),
    };
    if let Err(error) = disk.open(&pid_path) {
        return lost(error);
    }
    // For people who find it.
    pid.write_at(std::process::id().to_string().as_bytes(), 0)?;
    Ok(Some(lock))
}

fn make_root(disk: &dyn Disk, root: &Path) -> Result<()> {
    match disk.create_dir(root) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // Where the parent is not ours to write to, the root may still be there.
        Err(error) => match disk.list(root) {
            Ok(_) => Ok(()),
            Err(_) => Err(disk_error(disk, root, "cannot make the spill root", 0, error)),
        },
    }
}

/// Removes what dead processes left. A directory that resists (another user's) is left to whoever can.
pub(super) fn remove_left_overs(disk: &dyn Disk, root: &Path) {
    for name in disk.list(root).unwrap_or_default() {
        if !name.starts_with(PREFIX) {
            continue;
        }
        let path = root.join(name);
        let _ = match disk.try_lock(&path.join(PID)) {
            Ok(Some(lock)) => {
                let removed = remove_dir(disk, &path);
                drop(lock);
                removed
            }
            Ok(None) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => disk.remove_dir(&path),
            Err(_) => Ok(()),
        };
    }
}

fn remove_dir(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let gone = |result: io::Result<()>| match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    let names = match disk.list(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        names => names?,
    };
    for name in names.iter().filter(|name| name.starts_with(SEGMENT)) {
        gone(disk.remove_file(&path.join(name)))?;
    }
    // Last of the files: as long as it is there, somebody can take the work up.
    gone(disk.remove_file(&path.join(PID)))?;
    gone(disk.remove_dir(path))
}

/// A number that no other process and no earlier call has.
fn random() -> u64 {
    // The standard library seeds these from the system's random source and makes each one different.
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}

/// A failed operation as an error that names the path; for a full disk also what was needed and what is free.
pub(crate) fn disk_error(disk: &dyn Disk, path: &Path, doing: &str, needed: u64, source: io::Error) -> Error {
    let shown = path.display();
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            let dir = path.parent().unwrap_or(path);
            let free = match disk.available(dir) {
                Ok(free) => crate::error::human_bytes(free),
                Err(_) => "an unknown number of bytes".to_string(),
            };
            let needed = crate::error::human_bytes(needed);
            let text = format_args!("{doing} {shown}: the disk is full, {needed} more were needed, {free} are free");
            Error::with_source(ErrorKind::SpillFull, text, source)
        }
        _ => Error::with_source(ErrorKind::Spill, format_args!("{doing} {shown}"), source),
    }
}

/// Where to spill when nobody says where: the directory for temporary files, unless it lies in memory; then `/var/tmp`,
/// then the current directory.
pub fn default_root() -> PathBuf {
    let mounts = process::mounts();
    let on_disk = |path: &PathBuf| {
        let real = path.canonicalize().ok().filter(|real| real.is_dir());
        real.is_some_and(|real| process::mount_of(&mounts, &real).is_none_or(|mount| !mount.is_memory()))
    };
    let choices = [std::env::temp_dir(), PathBuf::from("/var/tmp")];
    choices.into_iter().find(on_disk).unwrap_or_else(|| PathBuf::from("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::spill::{MemoryDisk, RealDisk};

    fn real() -> Arc<dyn Disk> {
        Arc::new(RealDisk)
    }

    #[test]
    fn the_dead_are_removed_and_the_living_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let living = SpillDir::create(real(), root.path()).unwrap();
        std::fs::write(living.segment(3), "data").unwrap();
        // Died with data, before it locked, before it made its pid file; and two that are not ours to remove.
        let make = |name: &str, files: &[&str]| {
            let path = root.path().join(name);
            std::fs::create_dir(&path).unwrap();
            for file in files {
                std::fs::write(path.join(file), "x").unwrap();
            }
            path
        };
        let dead = [
            make("chunkwise-1-a", &["pid", "segment-0", "segment-17"]),
            make("chunkwise-4000000000-b", &["pid"]),
            make("chunkwise-2-c", &[]),
        ];
        let kept = [make("chunkwise-3-d", &["precious"]), make("other-1-a", &["pid"])];
        let mine = SpillDir::create(real(), root.path()).unwrap();
        assert!(dead.iter().all(|path| !path.exists()));
        assert!(kept.iter().all(|path| path.exists()));
        assert!(living.segment(3).exists() && mine.path().exists());
        let pid = std::fs::read_to_string(mine.path().join(PID)).unwrap();
        assert_eq!(pid, std::process::id().to_string());
        living.remove().unwrap();
        living.remove().unwrap();
        assert!(!living.path().exists());
        // A lock that is given up (the process died) makes the next one remove it.
        std::fs::write(mine.segment(0), "data").unwrap();
        let path = mine.path().to_path_buf();
        drop(mine);
        let next = SpillDir::create(real(), root.path()).unwrap();
        assert!(!path.exists());
        next.remove().unwrap();
    }

    #[test]
    fn a_missing_root_is_made_but_not_its_parents() {
        let root = tempfile::tempdir().unwrap();
        let dir = SpillDir::create(real(), &root.path().join("new")).unwrap();
        dir.remove().unwrap();
        let missing = root.path().join("none").join("deeper");
        let error = SpillDir::create(real(), &missing).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Spill);
        assert!(error.message().contains(&missing.display().to_string()), "{error}");
        let file = root.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = SpillDir::create(real(), &file).unwrap_err();
        assert!(error.message().contains(&file.display().to_string()), "{error}");
    }

    #[test]
    fn many_begin_at_once() {
        // Everybody cleans while everybody makes: nobody may lose a directory it was given.
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new("/spill"));
        let root = tempfile::tempdir().unwrap();
        for (disk, root) in [(disk, Path::new("/spill")), (real(), root.path())] {
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        for _ in 0..20 {
                            let dir = SpillDir::create(disk.clone(), root).unwrap();
                            let file = disk.create(&dir.segment(1)).unwrap();
                            file.write_at(b"mine", 0).unwrap();
                            std::thread::yield_now();
                            disk.open(&dir.segment(1)).unwrap();
                            dir.remove().unwrap();
                        }
                    });
                }
            });
            assert!(disk.list(root).unwrap().is_empty());
        }
    }

    #[test]
    fn the_default_root_is_a_directory() {
        assert!(default_root().is_dir());
    }
}
