//! A disk that fails on purpose, for tests.

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use crate::store::spill::disk::{Disk, DiskFile, DiskLock};

/// One operation of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "named as the methods of `Disk` and `DiskFile`")]
pub enum Op {
    CreateDir,
    Create,
    Open,
    RemoveFile,
    RemoveDir,
    List,
    Available,
    Lock,
    Write,
    Read,
    Truncate,
}

/// When a [`FaultyDisk`] fails, and how.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// The operation that fails, counted from 1.
    pub at: u64,
    /// Whether all later ones fail as well.
    pub onwards: bool,
    /// The error.
    pub kind: io::ErrorKind,
}

/// Wraps a disk, counts its operations and fails at a chosen one. A clone is the same disk.
#[derive(Clone, Debug)]
pub struct FaultyDisk(Arc<Faults>);

#[derive(Debug)]
struct Faults {
    disk: Box<dyn Disk>,
    fault: Option<Fault>,
    count: AtomicU64,
    log: Mutex<Vec<Op>>,
    flip_reads: AtomicBool,
}

impl FaultyDisk {
    /// A disk that fails as `fault` says, or only counts.
    pub fn new(disk: impl Disk + 'static, fault: Option<Fault>) -> FaultyDisk {
        FaultyDisk(Arc::new(Faults {
            disk: Box::new(disk),
            fault,
            count: AtomicU64::new(0),
            log: Mutex::default(),
            flip_reads: AtomicBool::new(false),
        }))
    }

    /// The operations so far.
    pub fn operations(&self) -> Vec<Op> {
        self.0.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The number of operations of one sort so far.
    pub fn count(&self, op: Op) -> usize {
        self.operations().iter().filter(|done| **done == op).count()
    }

    /// From now on every read flips one bit of what it reads, or none does.
    pub fn flip_reads(&self, on: bool) {
        self.0.flip_reads.store(on, Relaxed);
    }
}

impl Faults {
    fn check(&self, op: Op) -> io::Result<()> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.push(op);
        let now = self.count.fetch_add(1, Relaxed) + 1;
        match self.fault {
            Some(fault) if now == fault.at || (fault.onwards && now > fault.at) => {
                Err(io::Error::new(fault.kind, format!("planned fault in operation {now}, {op:?}")))
            }
            _ => Ok(()),
        }
    }
}

impl Disk for FaultyDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.0.check(Op::CreateDir)?;
        self.0.disk.create_dir(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.0.check(Op::Create)?;
        Ok(Arc::new(FaultyFile { file: self.0.disk.create(path)?, faults: self.0.clone() }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.0.check(Op::Open)?;
        Ok(Arc::new(FaultyFile { file: self.0.disk.open(path)?, faults: self.0.clone() }))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.check(Op::RemoveFile)?;
        self.0.disk.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.0.check(Op::RemoveDir)?;
        self.0.disk.remove_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.0.check(Op::List)?;
        self.0.disk.list(path)
    }

    fn available(&self, path: &Path) -> io::Result<u64> {
        self.0.check(Op::Available)?;
        self.0.disk.available(path)
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        self.0.check(Op::Lock)?;
        self.0.disk.try_lock(path)
    }
}

#[derive(Debug)]
struct FaultyFile {
    file: Arc<dyn DiskFile>,
    faults: Arc<Faults>,
}

impl DiskFile for FaultyFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if let Err(error) = self.faults.check(Op::Write) {
            // As real disks do: part of it is there.
            self.file.write_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(error);
        }
        self.file.write_at(bytes, offset)
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        self.faults.check(Op::Read)?;
        self.file.read_at(out, offset)?;
        if self.faults.flip_reads.load(Relaxed)
            && let Some(byte) = out.last_mut()
        {
            *byte ^= 1;
        }
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.faults.check(Op::Truncate)?;
        self.file.truncate(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::spill::MemoryDisk;

    #[test]
    fn without_a_fault_it_conforms_and_with_one_it_fails_there() {
        let root = Path::new("/spill");
        let clean = FaultyDisk::new(MemoryDisk::new(root), None);
        crate::store::spill::disk::conforms(&clean, root);
        assert!(clean.operations().len() > 20);

        let kind = io::ErrorKind::PermissionDenied;
        for (onwards, second, third) in [(false, Some(kind), None), (true, Some(kind), Some(kind))] {
            let disk = FaultyDisk::new(MemoryDisk::new(root), Some(Fault { at: 2, onwards, kind }));
            let failed = || disk.list(root).err().map(|error| error.kind());
            assert_eq!([failed(), failed(), failed()], [None, second, third]);
            assert_eq!(disk.count(Op::List), 3);
        }
    }
}
