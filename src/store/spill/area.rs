//! The spill area: groups of values in, one append each; values out, verified; space back when they are dropped.
//!
//! A value is never lost by a failure: it is written while its owner still has it, and a group whose write fails leaves
//! nothing behind.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, ErrorKind, Result, human_bytes};
use crate::store::Chunk;
use crate::store::codec::{Codec, GroupWriter, ReadAt, SpillSource};
use crate::store::spill::dir::{SpillDir, disk_error, remove_left_overs};
use crate::store::spill::disk::{Disk, DiskFile};
use crate::store::spill::segment::{Segment, Segments, Taken};

/// How a [`SpillArea`] uses the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpillOptions {
    /// The most that may be on disk; `None` for as much as there is.
    pub cap: Option<u64>,
    /// Groups are appended to a file until it has that many bytes. 64 MiB.
    pub segment_bytes: u64,
    /// The most files held open. 64.
    pub open_files: usize,
    /// The most bytes of files that are kept to be written over after all in them was dropped. 512 MiB.
    pub recycle_bytes: u64,
}

impl Default for SpillOptions {
    fn default() -> SpillOptions {
        SpillOptions { cap: None, segment_bytes: 64 << 20, open_files: 64, recycle_bytes: 512 << 20 }
    }
}

/// What an area did so far, and what it has on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpillStats {
    /// Bytes written, also by groups that failed in the end.
    pub bytes_written: u64,
    /// Bytes read back.
    pub bytes_read: u64,
    /// Groups written.
    pub writes: u64,
    /// Values read back.
    pub reads: u64,
    /// Files made.
    pub files_created: u64,
    /// Files there are now.
    pub files: u64,
    /// Bytes of these files.
    pub disk_bytes: u64,
}

/// A place on disk for values that do not fit into memory. A clone is the same area; several threads may write and read
/// at once.
///
/// Its directory is made by the first write. It is removed by [`SpillArea::idle`], and when the area and the last extent
/// are dropped.
///
/// ```
/// use std::sync::Arc;
/// use chunkwise::store::{Chunk, SpillArea, chunk};
/// use chunkwise::store::spill::MemoryDisk;
///
/// let area = SpillArea::new(Arc::new(MemoryDisk::new("/spill")), "/spill".into(), None);
/// let kind = chunk::plain::<Vec<f64>>();
/// let codec = kind.codec().unwrap();
/// let value = Chunk::new(vec![1.0, 2.5]);
/// let extent = area.write(&[(&value, codec)])?.remove(0);
/// drop(value);
/// assert_eq!(area.live_bytes(), extent.bytes());
/// assert_eq!(area.read(&extent, codec)?.get::<Vec<f64>>()?, &[1.0, 2.5]);
/// drop(extent);
/// assert_eq!(area.live_bytes(), 0);
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[derive(Clone)]
pub struct SpillArea(Arc<Inner>);

struct Inner {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    options: SpillOptions,
    /// Locked before `segments`, and by nobody who has locked that.
    dir: Mutex<Dirs>,
    segments: Mutex<Segments>,
    bytes_written: AtomicU64,
    bytes_read: AtomicU64,
    writes: AtomicU64,
    reads: AtomicU64,
    files_created: AtomicU64,
}

#[derive(Default)]
struct Dirs {
    current: Option<Arc<SpillDir>>,
    /// Those that could not be removed yet.
    doomed: Vec<Arc<SpillDir>>,
}

/// A value on disk. Dropping it frees its space.
pub struct Extent {
    area: Arc<Inner>,
    dir: Arc<SpillDir>,
    segment: u64,
    offset: u64,
    len: u64,
    checksum: u64,
}

impl SpillArea {
    /// An area below `root`, with at most `cap` bytes on disk.
    pub fn new(disk: Arc<dyn Disk>, root: PathBuf, cap: Option<u64>) -> SpillArea {
        SpillArea::with_options(disk, root, SpillOptions { cap, ..SpillOptions::default() })
    }

    /// An area with all options.
    pub fn with_options(disk: Arc<dyn Disk>, root: PathBuf, options: SpillOptions) -> SpillArea {
        // A later change of the current directory must not move it. An empty path stays, for the disk to refuse.
        let root = std::path::absolute(&root).unwrap_or(root);
        SpillArea(Arc::new(Inner {
            disk,
            root,
            options,
            dir: Mutex::default(),
            segments: Mutex::default(),
            bytes_written: AtomicU64::new(0),
            bytes_read: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            files_created: AtomicU64::new(0),
        }))
    }

    /// Writes a group of values by one append to one file: all of them or none.
    ///
    /// # Errors
    /// Of kind [`SpillFull`](ErrorKind::SpillFull) where the cap is reached or the disk is full, of kind
    /// [`Spill`](ErrorKind::Spill) for other trouble with the disk, and what a codec returned. Nothing of the group is left
    /// on disk then.
    pub fn write(&self, pieces: &[(&Chunk, &dyn Codec)]) -> Result<Vec<Extent>> {
        if pieces.is_empty() {
            return Ok(Vec::new());
        }
        let hint = pieces.iter().map(|(chunk, codec)| codec.encoded_bytes(chunk)).sum();
        let mut writing = self.0.begin(hint)?;
        let written = {
            let mut append = |bytes: &[u8]| writing.append(bytes);
            let mut group = GroupWriter::new(&mut append);
            let mut written = Vec::with_capacity(pieces.len());
            for (chunk, codec) in pieces {
                codec.encode(chunk, &mut group)?;
                written.push(group.end_piece());
            }
            group.flush()?;
            written
        };
        let mut offset = writing.commit(pieces.len() as u64);
        let extents = written.into_iter().map(|piece| {
            let extent = Extent {
                area: self.0.clone(),
                dir: writing.taken.dir.clone(),
                segment: writing.taken.id,
                offset,
                len: piece.len,
                checksum: piece.checksum,
            };
            offset += piece.len;
            extent
        });
        Ok(extents.collect())
    }

    /// Reads a value back. It stays on disk until its extent is dropped.
    ///
    /// # Errors
    /// Of kind [`Corrupt`](ErrorKind::Corrupt), naming file and offset, where the bytes are not those that were written; of
    /// kind [`Spill`](ErrorKind::Spill) for other trouble with the disk.
    pub fn read(&self, extent: &Extent, codec: &dyn Codec) -> Result<Chunk> {
        if !Arc::ptr_eq(&self.0, &extent.area) {
            return Err(Error::internal("an extent of another spill area"));
        }
        let path = extent.path();
        let file = SegmentFile { disk: &*self.0.disk, file: self.0.handle(extent.segment, &path)?, path: &path };
        let chunk = SpillSource::decode(&file, extent.offset, extent.len, extent.checksum, codec)?;
        self.0.bytes_read.fetch_add(extent.len, Relaxed);
        self.0.reads.fetch_add(1, Relaxed);
        Ok(chunk)
    }

    /// The bytes of all values on disk.
    pub fn live_bytes(&self) -> u64 {
        self.0.segments().live_bytes
    }

    /// What was done so far.
    pub fn stats(&self) -> SpillStats {
        let segments = self.0.segments();
        SpillStats {
            bytes_written: self.0.bytes_written.load(Relaxed),
            bytes_read: self.0.bytes_read.load(Relaxed),
            writes: self.0.writes.load(Relaxed),
            reads: self.0.reads.load(Relaxed),
            files_created: self.0.files_created.load(Relaxed),
            files: segments.count(),
            disk_bytes: segments.disk_bytes,
        }
    }

    /// Removes what dead processes left below the root, as the first write does too. What cannot be removed stays.
    pub fn sweep(&self) {
        remove_left_overs(&*self.0.disk, &self.0.root);
    }

    /// The directory of the area, where there is one.
    pub fn path(&self) -> Option<PathBuf> {
        lock(&self.0.dir).current.as_ref().map(|dir| dir.path().to_path_buf())
    }

    /// To be called when a run ends: removes files and directory if no value is on disk any more. The next write makes a
    /// new directory.
    ///
    /// # Errors
    /// Of kind [`Spill`](ErrorKind::Spill), naming what could not be removed; the next call and the end of the area try
    /// again.
    pub fn idle(&self) -> Result<()> {
        let mut dirs = lock(&self.0.dir);
        {
            let mut segments = self.0.segments();
            if segments.live_extents > 0 || segments.writers > 0 {
                return Ok(());
            }
            dirs.doom();
            let forgotten = segments.clear();
            drop(segments);
            // Their handles are closed here, without the lock.
            drop(forgotten);
        }
        // Nobody can begin to write meanwhile: that takes the lock of the directory.
        dirs.remove_doomed()
            .map_err(|(path, error)| disk_error(&*self.0.disk, &path, "cannot remove the spill directory", 0, error))?;
        self.0.segments().removed_stuck();
        Ok(())
    }
}

impl Dirs {
    fn doom(&mut self) {
        self.doomed.extend(self.current.take());
    }

    fn remove_doomed(&mut self) -> std::result::Result<(), (PathBuf, io::Error)> {
        while let Some(dir) = self.doomed.last() {
            dir.remove().map_err(|error| (dir.path().to_path_buf(), error))?;
            self.doomed.pop();
        }
        Ok(())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let dirs = self.dir.get_mut().unwrap_or_else(PoisonError::into_inner);
        dirs.doom();
        // There is nobody left to tell. A second try, since the first may have met a passing trouble; what resists is
        // removed by the next process that spills here.
        if dirs.remove_doomed().is_err() {
            let _ = dirs.remove_doomed();
        }
    }
}

impl Inner {
    fn segments(&self) -> MutexGuard<'_, Segments> {
        lock(&self.segments)
    }

    fn begin(&self, hint: u64) -> Result<Writing<'_>> {
        let taken = {
            let mut dirs = lock(&self.dir);
            let dir = match &dirs.current {
                Some(dir) => dir.clone(),
                None => {
                    let dir = Arc::new(SpillDir::create(self.disk.clone(), &self.root)?);
                    dirs.current.insert(dir).clone()
                }
            };
            // Still under the lock of the directory: from here on the writer keeps it from being removed.
            self.segments().take(hint, self.options.segment_bytes, &dir)
        };
        let path = taken.dir.segment(taken.id);
        let position = taken.tail;
        let mut writing = Writing { area: self, hint, taken, path, file: None, position, committed: false };
        let file = if writing.taken.is_new {
            let file = self.disk.create(&writing.path);
            let file = file.map_err(|error| disk_error(&*self.disk, &writing.path, "cannot make", hint, error))?;
            self.files_created.fetch_add(1, Relaxed);
            self.keep_handle(writing.taken.id, file.clone());
            file
        } else {
            self.handle(writing.taken.id, &writing.path)?
        };
        writing.file = Some(file);
        Ok(writing)
    }

    fn handle(&self, id: u64, path: &Path) -> Result<Arc<dyn DiskFile>> {
        if let Some(file) = self.segments().handle(id) {
            return Ok(file);
        }
        let file = self.disk.open(path).map_err(|error| disk_error(&*self.disk, path, "cannot open", 0, error))?;
        self.keep_handle(id, file.clone());
        Ok(file)
    }

    fn keep_handle(&self, id: u64, file: Arc<dyn DiskFile>) {
        let surplus = self.segments().keep_handle(id, file, self.options.open_files);
        // Closed here, without the lock.
        drop(surplus);
    }

    /// Makes room for a file to grow: under the cap, at the cost of recycled files.
    fn claim(&self, id: u64, from: u64, to: u64) -> Result<()> {
        loop {
            let mut segments = self.segments();
            let wanted = segments.disk_bytes + (to - from);
            match self.options.cap {
                Some(cap) if wanted > cap => {
                    let used = human_bytes(segments.disk_bytes);
                    drop(segments);
                    if !self.remove_recycled() {
                        let (cap, more) = (human_bytes(cap), human_bytes(to - from));
                        return Err(Error::new(
                            ErrorKind::SpillFull,
                            format!(
                                "the spill cap of {cap} (setting `spill_cap`) is reached in {}: {used} are used, {more} \
                                 more were needed",
                                self.root.display()
                            ),
                        ));
                    }
                }
                _ => {
                    segments.grow(id, to);
                    return Ok(());
                }
            }
        }
    }

    /// Removes one recycled file; whether there was one.
    fn remove_recycled(&self) -> bool {
        let recycled = self.segments().take_recycled();
        let Some((id, segment)) = recycled else { return false };
        self.remove(id, segment);
        true
    }

    /// Removes the file of a segment that nobody knows any more. One that resists stays counted, and goes with its
    /// directory.
    fn remove(&self, id: u64, segment: Segment) {
        let is_gone = match self.disk.remove_file(&segment.dir.segment(id)) {
            Ok(()) => true,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        self.segments().removed(segment.len, is_gone);
    }
}

/// One group on its way to disk. Dropped before it is committed, it takes back what it wrote.
struct Writing<'a> {
    area: &'a Inner,
    /// About how many bytes the group has.
    hint: u64,
    taken: Taken,
    path: PathBuf,
    /// `None` until it could be opened.
    file: Option<Arc<dyn DiskFile>>,
    position: u64,
    committed: bool,
}

impl Writing<'_> {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(file) = &self.file else { return Err(Error::internal("a write without a file")) };
        let end = self.position + bytes.len() as u64;
        let len = self.taken.len.max(self.position);
        if end > len {
            self.area.claim(self.taken.id, len, end)?;
        }
        while let Err(error) = file.write_at(bytes, self.position) {
            let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            // Files that wait to be written over give their space first.
            if !(is_full && self.area.remove_recycled()) {
                let needed = self.hint.saturating_sub(self.position - self.taken.tail).max(bytes.len() as u64);
                return Err(disk_error(&*self.area.disk, &self.path, "cannot write to", needed, error));
            }
        }
        self.position = end;
        self.area.bytes_written.fetch_add(bytes.len() as u64, Relaxed);
        Ok(())
    }

    /// Makes the group live; gives the place where it begins.
    fn commit(&mut self, extents: u64) -> u64 {
        let Taken { id, tail, .. } = self.taken;
        let mut segments = self.area.segments();
        segments.wrote(id, self.position, extents, self.position - tail, self.area.options.segment_bytes);
        self.committed = true;
        self.area.writes.fetch_add(1, Relaxed);
        tail
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        let Taken { id, len, .. } = self.taken;
        // The last write may have failed half way, so the file can be longer than `position` says.
        let is_cut = self.file.as_ref().is_none_or(|file| file.truncate(len).is_ok());
        let mut segments = self.area.segments();
        if is_cut {
            segments.cut(id, len);
        }
        let emptied = segments.failed(id, is_cut);
        drop(segments);
        if let Some(segment) = emptied {
            self.area.remove(id, segment);
        }
    }
}

impl Extent {
    /// The bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.len
    }

    fn path(&self) -> PathBuf {
        self.dir.segment(self.segment)
    }
}

impl Drop for Extent {
    fn drop(&mut self) {
        let emptied = self.area.segments().release(self.segment, self.len, self.area.options.recycle_bytes);
        if let Some(segment) = emptied {
            self.area.remove(self.segment, segment);
        }
    }
}

impl fmt::Debug for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Extent({}, {} bytes at {})", self.path().display(), self.len, self.offset)
    }
}

impl fmt::Debug for SpillArea {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpillArea").field("root", &self.0.root).field("stats", &self.stats()).finish()
    }
}

struct SegmentFile<'a> {
    disk: &'a dyn Disk,
    file: Arc<dyn DiskFile>,
    path: &'a Path,
}

impl ReadAt for SegmentFile<'_> {
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> Result<()> {
        self.file.read_at(out, offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Error::new(
                ErrorKind::Corrupt,
                format!("{} ends before offset {}", self.name(), offset + out.len() as u64),
            ),
            _ => disk_error(self.disk, self.path, "cannot read", 0, error),
        })
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

/// No code that can panic runs under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
