//! A file system in memory, for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::store::spill::disk::{Disk, DiskFile, DiskLock};

/// A [`Disk`] in memory. A clone is the same disk. It begins with the directories it was made with.
#[derive(Clone, Debug)]
pub struct MemoryDisk(Arc<Mutex<Tree>>);

#[derive(Debug)]
struct Tree {
    dirs: BTreeSet<PathBuf>,
    files: BTreeMap<PathBuf, Arc<MemoryFile>>,
    available: u64,
}

#[derive(Debug, Default)]
struct MemoryFile {
    bytes: RwLock<Vec<u8>>,
    locked: Mutex<bool>,
}

impl MemoryDisk {
    /// A disk with one empty directory.
    pub fn new(root: impl Into<PathBuf>) -> MemoryDisk {
        let tree = Tree { dirs: BTreeSet::from([root.into()]), files: BTreeMap::new(), available: 1 << 40 };
        MemoryDisk(Arc::new(Mutex::new(tree)))
    }

    /// What [`Disk::available`] answers.
    pub fn set_available(&self, bytes: u64) {
        self.tree().available = bytes;
    }

    /// All files and directories, the first one left out.
    pub fn paths(&self) -> Vec<PathBuf> {
        let tree = self.tree();
        tree.dirs.iter().skip(1).chain(tree.files.keys()).cloned().collect()
    }

    /// The bytes in all files.
    pub fn used(&self) -> u64 {
        self.tree().files.values().map(|file| read(&file.bytes).len() as u64).sum()
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Tree {
    fn need_parent(&self, path: &Path) -> io::Result<()> {
        path.parent().filter(|parent| self.dirs.contains(*parent)).map(drop).ok_or_else(not_found)
    }

    fn file(&self, path: &Path) -> io::Result<Arc<MemoryFile>> {
        self.files.get(path).cloned().ok_or_else(not_found)
    }

    fn names_in(&self, dir: &Path) -> Vec<String> {
        let all = self.dirs.iter().chain(self.files.keys()).filter(|path| path.parent() == Some(dir));
        all.filter_map(|path| Some(path.file_name()?.to_str()?.to_string())).collect()
    }
}

impl Disk for MemoryDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut tree = self.tree();
        if tree.dirs.contains(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        tree.need_parent(path)?;
        tree.dirs.insert(path.into());
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut tree = self.tree();
        tree.need_parent(path)?;
        if tree.files.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = Arc::new(MemoryFile::default());
        tree.files.insert(path.into(), file.clone());
        Ok(file)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.tree().file(path)?)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.tree().files.remove(path).map(drop).ok_or_else(not_found)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut tree = self.tree();
        if !tree.names_in(path).is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        if tree.dirs.remove(path) { Ok(()) } else { Err(not_found()) }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let tree = self.tree();
        if tree.dirs.contains(path) { Ok(tree.names_in(path)) } else { Err(not_found()) }
    }

    fn available(&self, _: &Path) -> io::Result<u64> {
        Ok(self.tree().available)
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        let file = self.tree().file(path)?;
        let taken = std::mem::replace(&mut *file.locked.lock().unwrap_or_else(PoisonError::into_inner), true);
        Ok(if taken { None } else { Some(Box::new(MemoryLock(file))) })
    }
}

impl DiskFile for MemoryFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut file = self.bytes.write().unwrap_or_else(PoisonError::into_inner);
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let to = from + bytes.len();
        if file.len() < to {
            file.resize(to, 0);
        }
        file[from..to].copy_from_slice(bytes);
        Ok(())
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        let file = read(&self.bytes);
        let from = usize::try_from(offset).ok().and_then(|from| file.get(from..)?.get(..out.len()));
        out.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        self.bytes.write().unwrap_or_else(PoisonError::into_inner).resize(len, 0);
        Ok(())
    }
}

#[derive(Debug)]
struct MemoryLock(Arc<MemoryFile>);

impl DiskLock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        *self.0.locked.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_disk_conforms() {
        let disk = MemoryDisk::new("/spill");
        crate::store::spill::disk::conforms(&disk, Path::new("/spill"));
        assert!(disk.paths().is_empty());
    }
}
