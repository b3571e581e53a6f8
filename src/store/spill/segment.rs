//! The segment files of an area: which exist, which take more, which can be written over, and the open handles.
//!
//! A segment is in one of these states, and moves under the lock of its area:
//!
//! | state    | meaning                                             | left by                                        |
//! |----------|-----------------------------------------------------|------------------------------------------------|
//! | busy     | one writer appends to it                            | the writer's end: open, full, recycled, removed |
//! | open     | has live extents and room for more                  | a writer; the drop of its last extent          |
//! | full     | has live extents and no room                        | the drop of its last extent                    |
//! | recycled | has no live extents; its file is written over next  | a writer; want of space; the end of the run    |
//!
//! Writing over a file whose pages are still in the system's cache is faster than making a new one.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::store::spill::dir::SpillDir;
use crate::store::spill::disk::DiskFile;

/// All segments of an area.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    all: HashMap<u64, Segment>,
    open: Vec<u64>,
    recycled: Vec<u64>,
    next: u64,
    tick: u64,
    /// What the files have on disk, those that could not be removed included.
    pub disk_bytes: u64,
    /// Of these, what nobody knows any more and goes with its directory.
    stuck_bytes: u64,
    /// What the live extents have.
    pub live_bytes: u64,
    pub live_extents: u64,
    pub writers: u64,
}

#[derive(Debug)]
pub(crate) struct Segment {
    pub dir: Arc<SpillDir>,
    /// The length of the file.
    pub len: u64,
    /// Where the next group goes.
    tail: u64,
    extents: u64,
    busy: bool,
    handle: Option<(Arc<dyn DiskFile>, u64)>,
}

/// A segment taken out to be written to.
#[derive(Debug)]
pub(crate) struct Taken {
    pub id: u64,
    pub dir: Arc<SpillDir>,
    pub tail: u64,
    pub len: u64,
    pub is_new: bool,
}

impl Segments {
    /// Takes a segment for a group of about `hint` bytes: one with room, else one to write over, else a new one. A group
    /// as large as a segment gets one for itself.
    pub fn take(&mut self, hint: u64, segment_bytes: u64, dir: &Arc<SpillDir>) -> Taken {
        let found =
            if hint < segment_bytes { self.open.pop().or_else(|| self.recycled.pop()) } else { self.take_largest() };
        self.writers += 1;
        let (id, is_new) = match found {
            Some(id) => (id, false),
            None => {
                self.next += 1;
                let new = Segment { dir: dir.clone(), len: 0, tail: 0, extents: 0, busy: true, handle: None };
                self.all.insert(self.next, new);
                (self.next, true)
            }
        };
        let segment = self.get(id);
        segment.busy = true;
        Taken { id, dir: segment.dir.clone(), tail: segment.tail, len: segment.len, is_new }
    }

    fn take_largest(&mut self) -> Option<u64> {
        let longest = (0..self.recycled.len()).max_by_key(|&place| self.all[&self.recycled[place]].len)?;
        Some(self.recycled.swap_remove(longest))
    }

    /// Notes that the file is longer now.
    pub fn grow(&mut self, id: u64, len: u64) {
        let segment = self.get(id);
        let growth = len - segment.len;
        segment.len = len;
        self.disk_bytes += growth;
    }

    /// Notes that the file was cut back.
    pub fn cut(&mut self, id: u64, len: u64) {
        let segment = self.get(id);
        let cut = segment.len - len;
        segment.len = len;
        self.disk_bytes -= cut;
    }

    /// Ends a write that succeeded.
    pub fn wrote(&mut self, id: u64, tail: u64, extents: u64, bytes: u64, segment_bytes: u64) {
        self.writers -= 1;
        self.live_bytes += bytes;
        self.live_extents += extents;
        let segment = self.get(id);
        (segment.busy, segment.tail) = (false, tail);
        segment.extents += extents;
        if tail < segment_bytes {
            self.open.push(id);
        }
    }

    /// Ends a write that failed. Where no extent is left in the segment it is given out to be removed; where its file
    /// could be cut back to what it was it takes more.
    pub fn failed(&mut self, id: u64, is_as_before: bool) -> Option<Segment> {
        self.writers -= 1;
        let segment = self.get(id);
        segment.busy = false;
        if segment.extents == 0 {
            return self.all.remove(&id);
        }
        if is_as_before {
            self.open.push(id);
        }
        None
    }

    /// Drops one extent. Gives out the segment where it has to be removed: it was the last, and enough is recycled.
    pub fn release(&mut self, id: u64, bytes: u64, recycle_bytes: u64) -> Option<Segment> {
        self.live_bytes -= bytes;
        self.live_extents -= 1;
        let segment = self.get(id);
        segment.extents -= 1;
        if segment.extents > 0 || segment.busy {
            return None;
        }
        segment.tail = 0;
        let len = segment.len;
        self.open.retain(|open| *open != id);
        if self.recycled_bytes() + len > recycle_bytes {
            return self.all.remove(&id);
        }
        self.recycled.push(id);
        None
    }

    /// Gives out a recycled segment to be removed: somebody wants its space.
    pub fn take_recycled(&mut self) -> Option<(u64, Segment)> {
        let id = self.recycled.pop()?;
        self.all.remove(&id).map(|segment| (id, segment))
    }

    /// Notes that the file of a segment that was given out is gone, or that it resists.
    pub fn removed(&mut self, len: u64, is_gone: bool) {
        if is_gone {
            self.disk_bytes -= len;
        } else {
            self.stuck_bytes += len;
        }
    }

    /// Forgets all segments, none of which is live; their directory is about to be removed.
    pub fn clear(&mut self) -> Vec<Segment> {
        self.open.clear();
        self.recycled.clear();
        let all: Vec<Segment> = self.all.drain().map(|(_, segment)| segment).collect();
        self.stuck_bytes += all.iter().map(|segment| segment.len).sum::<u64>();
        all
    }

    /// Notes that the directories of all forgotten segments are gone.
    pub fn removed_stuck(&mut self) {
        self.disk_bytes -= std::mem::take(&mut self.stuck_bytes);
    }

    pub fn count(&self) -> u64 {
        self.all.len() as u64
    }

    fn recycled_bytes(&self) -> u64 {
        self.recycled.iter().map(|id| self.all[id].len).sum()
    }

    /// The open handle of a segment.
    pub fn handle(&mut self, id: u64) -> Option<Arc<dyn DiskFile>> {
        self.tick += 1;
        let tick = self.tick;
        let (file, used) = self.all.get_mut(&id)?.handle.as_mut()?;
        *used = tick;
        Some(file.clone())
    }

    /// Keeps a handle, and gives out those that are too many, which were not used for longest.
    pub fn keep_handle(&mut self, id: u64, file: Arc<dyn DiskFile>, most: usize) -> Vec<Arc<dyn DiskFile>> {
        self.tick += 1;
        let tick = self.tick;
        self.get(id).handle = Some((file, tick));
        let mut open: Vec<(u64, u64)> =
            self.all.iter().filter_map(|(id, segment)| Some((segment.handle.as_ref()?.1, *id))).collect();
        if open.len() <= most.max(1) {
            return Vec::new();
        }
        open.sort_unstable();
        let surplus = open.len() - most.max(1);
        open[..surplus].iter().filter_map(|(_, id)| self.get(*id).handle.take()).map(|(file, _)| file).collect()
    }

    /// A segment that a writer or an extent holds, and which therefore exists.
    fn get(&mut self, id: u64) -> &mut Segment {
        match self.all.get_mut(&id) {
            Some(segment) => segment,
            None => unreachable!("segment {id} was removed while it was held"),
        }
    }
}
