//! The file system as a small trait, and the real one.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;

use fs4::{FileExt, TryLockError};

/// What spilling needs of a file system. Every method is one operation of it.
pub trait Disk: Send + Sync + Debug {
    /// Makes one directory, for the owner only. Its parent must exist.
    ///
    /// # Errors
    /// As [`std::fs::create_dir`].
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes a file, for the owner only, that must not exist yet; to be written and read.
    ///
    /// # Errors
    /// As [`File::create_new`].
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file to be written and read.
    ///
    /// # Errors
    /// As [`File::open`].
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Removes a file; handles to it stay usable.
    ///
    /// # Errors
    /// As [`std::fs::remove_file`].
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    ///
    /// # Errors
    /// As [`std::fs::remove_dir`].
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// The names in a directory that are plain files or directories, links left out.
    ///
    /// # Errors
    /// As [`std::fs::read_dir`].
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;

    /// The bytes that can still be written below a path.
    ///
    /// # Errors
    /// What the system says.
    fn available(&self, path: &Path) -> io::Result<u64>;

    /// Locks an existing file against everybody else, also in this process, until the lock is dropped or the process
    /// ends. `None` where somebody holds it.
    ///
    /// # Errors
    /// What the system says.
    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>>;
}

/// An open file, read and written at positions, from several threads at once.
pub trait DiskFile: Send + Sync + Debug {
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// What the system says; part of the bytes may be written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Fills `out` from `offset` on.
    ///
    /// # Errors
    /// What the system says; [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) where the file ends before.
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()>;

    /// Cuts the file to a length.
    ///
    /// # Errors
    /// What the system says.
    fn truncate(&self, len: u64) -> io::Result<()>;
}

/// A lock that is held.
pub trait DiskLock: Send + Sync + Debug {}

/// The real file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        #[cfg_attr(not(unix), allow(unused_mut))]
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Arc::new(RealFile(options.open(path)?)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(RealFile(OpenOptions::new().read(true).write(true).open(path)?)))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            // A name that is not text is not one of ours; neither is a link, which could lead anywhere.
            if let (Ok(name), false) = (entry.file_name().into_string(), entry.file_type()?.is_symlink()) {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn available(&self, path: &Path) -> io::Result<u64> {
        fs4::available_space(path)
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        match FileExt::try_lock(&file) {
            Ok(()) => Ok(Some(Box::new(RealLock(file)))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

#[derive(Debug)]
struct RealFile(File);

/// The lock goes with the handle.
#[derive(Debug)]
struct RealLock(#[allow(dead_code, reason = "held, not read")] File);

impl DiskLock for RealLock {}

#[cfg(unix)]
impl DiskFile for RealFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.0, bytes, offset)
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.0, out, offset)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}

#[cfg(windows)]
impl DiskFile for RealFile {
    fn write_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match std::os::windows::fs::FileExt::seek_write(&self.0, bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => (bytes, offset) = (&bytes[count..], offset + count as u64),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn read_at(&self, mut out: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !out.is_empty() {
            match std::os::windows::fs::FileExt::seek_read(&self.0, out, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => (out, offset) = (&mut out[count..], offset + count as u64),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}

/// What every [`Disk`] must do; run over the real one, the one in memory and the faulty one that does not fail.
#[cfg(test)]
pub(crate) fn conforms(disk: &dyn Disk, root: &Path) {
    use std::io::ErrorKind as Kind;
    let kind = |result: io::Result<()>| result.unwrap_err().kind();

    let dir = root.join("dir");
    assert_eq!(kind(disk.create_dir(&dir.join("deep"))), Kind::NotFound);
    disk.create_dir(&dir).unwrap();
    assert_eq!(kind(disk.create_dir(&dir)), Kind::AlreadyExists);
    let path = dir.join("file");
    assert_eq!(kind(disk.open(&path).map(drop)), Kind::NotFound);
    assert_eq!(kind(disk.try_lock(&path).map(drop)), Kind::NotFound);
    let file = disk.create(&path).unwrap();
    assert_eq!(kind(disk.create(&path).map(drop)), Kind::AlreadyExists);
    assert_eq!(kind(disk.create(&root.join("none").join("file")).map(drop)), Kind::NotFound);
    file.write_at(b"world", 6).unwrap();
    file.write_at(b"hello ", 0).unwrap();
    let mut out = [0; 11];
    disk.open(&path).unwrap().read_at(&mut out, 0).unwrap();
    assert_eq!(&out, b"hello world");
    assert_eq!(kind(file.read_at(&mut out, 1)), Kind::UnexpectedEof);
    file.truncate(5).unwrap();
    assert_eq!(kind(file.read_at(&mut out[..1], 5)), Kind::UnexpectedEof);
    assert_eq!(disk.list(root).unwrap(), ["dir"]);
    assert_eq!(disk.list(&dir).unwrap(), ["file"]);
    assert!(disk.list(&root.join("none")).is_err());
    assert!(disk.available(root).unwrap() > 0);

    let lock = disk.try_lock(&path).unwrap().unwrap();
    assert!(disk.try_lock(&path).unwrap().is_none());
    drop(lock);
    assert!(disk.try_lock(&path).unwrap().is_some());

    assert!(disk.remove_dir(&dir).is_err(), "not empty");
    disk.remove_file(&path).unwrap();
    assert_eq!(kind(disk.remove_file(&path)), Kind::NotFound);
    file.read_at(&mut out[..5], 0).unwrap(); // through the handle that is left
    disk.remove_dir(&dir).unwrap();
    assert_eq!(kind(disk.remove_dir(&dir)), Kind::NotFound);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_disk_conforms_and_is_private() {
        let root = tempfile::tempdir().unwrap();
        conforms(&RealDisk, root.path());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let dir = root.path().join("private");
            RealDisk.create_dir(&dir).unwrap();
            RealDisk.create(&dir.join("file")).unwrap();
            let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&dir), mode(&dir.join("file"))), (0o700, 0o600));
            std::os::unix::fs::symlink(&dir, root.path().join("link")).unwrap();
            assert_eq!(RealDisk.list(root.path()).unwrap(), ["private"]);
        }
    }
}
