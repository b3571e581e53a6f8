//! Gates that tasks and disks stand at until a test lets them through, so that what is to be interrupted is surely under
//! way.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use chunkwise::store::spill::disk::DiskLock;
use chunkwise::store::spill::{Disk, DiskFile, MemoryDisk, Op};

/// A test that waits longer than this has failed.
const TOO_LONG: Duration = Duration::from_secs(60);

/// Counts those that come, and holds them until it is opened. A clone is the same gate.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    come: usize,
    is_open: bool,
}

impl Gate {
    /// Comes to the gate and waits there.
    pub fn pass(&self) {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap();
        state.come += 1;
        changed.notify_all();
        let waited = changed.wait_timeout_while(state, TOO_LONG, |state| !state.is_open).unwrap().1;
        assert!(!waited.timed_out(), "nobody opens the gate");
    }

    /// Waits until so many have come.
    #[track_caller]
    pub fn wait_for(&self, come: usize) {
        let (state, changed) = &*self.0;
        let state = state.lock().unwrap();
        let (state, waited) = changed.wait_timeout_while(state, TOO_LONG, |state| state.come < come).unwrap();
        assert!(!waited.timed_out(), "{} came, not {come}", state.come);
    }

    /// Lets all through, now and later.
    pub fn open(&self) {
        let (state, changed) = &*self.0;
        state.lock().unwrap().is_open = true;
        changed.notify_all();
    }

    /// How many have come.
    pub fn come(&self) -> usize {
        self.0.0.lock().unwrap().come
    }
}

type Ask = dyn Fn(Op) -> io::Result<()> + Send + Sync;

/// A disk in memory that asks before every operation, which may wait or fail.
#[derive(Clone)]
pub struct AskingDisk {
    disk: MemoryDisk,
    ask: Arc<Ask>,
}

impl AskingDisk {
    pub fn new(disk: &MemoryDisk, ask: impl Fn(Op) -> io::Result<()> + Send + Sync + 'static) -> AskingDisk {
        AskingDisk { disk: disk.clone(), ask: Arc::new(ask) }
    }

    /// Holds every operation of one kind at a gate.
    pub fn gated(disk: &MemoryDisk, at: Op, gate: &Gate) -> AskingDisk {
        let gate = gate.clone();
        AskingDisk::new(disk, move |op| {
            if op == at {
                gate.pass();
            }
            Ok(())
        })
    }

    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(AskingFile { file, ask: self.ask.clone() })
    }
}

impl fmt::Debug for AskingDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AskingDisk")
    }
}

impl Disk for AskingDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        (self.ask)(Op::CreateDir)?;
        self.disk.create_dir(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        (self.ask)(Op::Create)?;
        Ok(self.file(self.disk.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        (self.ask)(Op::Open)?;
        Ok(self.file(self.disk.open(path)?))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        (self.ask)(Op::RemoveFile)?;
        self.disk.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        (self.ask)(Op::RemoveDir)?;
        self.disk.remove_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        (self.ask)(Op::List)?;
        self.disk.list(path)
    }

    fn available(&self, path: &Path) -> io::Result<u64> {
        (self.ask)(Op::Available)?;
        self.disk.available(path)
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        (self.ask)(Op::Lock)?;
        self.disk.try_lock(path)
    }
}

struct AskingFile {
    file: Arc<dyn DiskFile>,
    ask: Arc<Ask>,
}

impl fmt::Debug for AskingFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AskingFile")
    }
}

impl DiskFile for AskingFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        (self.ask)(Op::Write)?;
        self.file.write_at(bytes, offset)
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        (self.ask)(Op::Read)?;
        self.file.read_at(out, offset)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        (self.ask)(Op::Truncate)?;
        self.file.truncate(len)
    }
}
