//! Slabs of memory for numeric blocks, recycled: the first touch of fresh pages costs more than most arithmetic on them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use memmap2::MmapMut;

use crate::error::{Error, ErrorKind, Result, human_bytes};

/// Below this many bytes a block is a plain vector: the allocator is as good there.
pub const SMALLEST_SLAB: usize = 64 << 10;

/// Size classes per doubling: at most an eighth of what was asked for is added to it.
const STEPS: usize = 8;

/// A cached slab of up to this many classes above the wanted one is taken before a new one is mapped: its pages are there
/// already, and a task's need, which was declared by its elements, stays within a quarter of the truth.
const CLASSES_ABOVE: usize = 1;

const HUGE_PAGE: usize = 2 << 20;

/// A pool of slabs. A clone is the same pool; it is thread safe.
///
/// ```
/// use chunkwise::store::{Block, Pool};
///
/// let pool = Pool::new(1 << 30);
/// let _guard = pool.enter(); // blocks built on this thread come from the pool now
/// drop(Block::build(1 << 20, |out: &mut [f64]| out.fill(1.0)));
/// assert_eq!(pool.cached(), 8 << 20);
/// let again = Block::build(1 << 20, |out: &mut [f64]| out.fill(2.0));
/// assert_eq!((pool.cached(), pool.in_use(), pool.stats().hits), (0, 8 << 20, 1));
/// # drop(again);
/// ```
#[derive(Clone)]
pub struct Pool(Arc<Shared>);

struct Shared {
    retain_limit: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Slabs by class size; the last one in is the first one out, as its lines may still be in a cache.
    free: BTreeMap<usize, Vec<Mapping>>,
    cached: usize,
    in_use: usize,
    hits: u64,
    misses: u64,
}

/// What a pool did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Slabs taken from a free list.
    pub hits: u64,
    /// Slabs mapped anew.
    pub misses: u64,
}

impl Pool {
    /// A pool that keeps slabs as long as those in use and those cached are no more than `retain_limit` bytes together.
    pub fn new(retain_limit: usize) -> Pool {
        Pool(Arc::new(Shared { retain_limit, state: Mutex::default() }))
    }

    /// Makes this the current pool of the thread, until the guard is dropped.
    ///
    /// It is current on this thread only: a block built by a nested parallel call on another thread that has not entered
    /// a pool lies in a vector.
    pub fn enter(&self) -> PoolGuard {
        let before = CURRENT.with(|current| current.replace(Some(self.clone())));
        PoolGuard { before, _of_this_thread: PhantomData }
    }

    /// The pool this thread has entered.
    pub fn current() -> Option<Pool> {
        CURRENT.with(|current| current.borrow().clone())
    }

    /// Bytes in the free lists.
    pub fn cached(&self) -> usize {
        self.0.lock().cached
    }

    /// Bytes in slabs that are held by blocks.
    pub fn in_use(&self) -> usize {
        self.0.lock().in_use
    }

    /// Hits and misses.
    pub fn stats(&self) -> PoolStats {
        let state = self.0.lock();
        PoolStats { hits: state.hits, misses: state.misses }
    }

    /// Gives cached slabs back to the system, the largest first, until at most `keep_bytes` are cached. Returns the bytes
    /// given back.
    pub fn trim(&self, keep_bytes: usize) -> usize {
        let evicted = self.0.lock().evict_to(keep_bytes);
        // Unmapped here, after the lock is free again.
        evicted.iter().map(Mapping::len).sum()
    }

    /// A slab of at least `bytes` bytes. Its contents are what its last user left there, or zeros.
    ///
    /// # Errors
    /// Of kind [`OutOfMemory`](ErrorKind::OutOfMemory) where the system gives no memory.
    pub(crate) fn take(&self, bytes: usize) -> Result<Slab> {
        let class = class_of(bytes).ok_or_else(|| no_memory(bytes, "larger than an address space"))?;
        let (found, evicted) = {
            let mut state = self.0.lock();
            match state.take_cached(class) {
                Some(mapping) => {
                    state.hits += 1;
                    state.in_use += mapping.len();
                    (Some(mapping), Vec::new())
                }
                None => {
                    state.misses += 1;
                    state.in_use += class;
                    // Room for the new one, so that caching never adds to the peak.
                    let keep = self.0.retain_limit.saturating_sub(state.in_use);
                    (None, state.evict_to(keep))
                }
            }
        };
        drop(evicted);
        let mapping = match found {
            Some(mapping) => mapping,
            None => Mapping::new(class).map_err(|error| {
                self.0.lock().in_use -= class;
                no_memory(bytes, error)
            })?,
        };
        Ok(Slab { mapping: Some(mapping), home: Arc::downgrade(&self.0) })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_cached(&mut self, class: usize) -> Option<Mapping> {
        let largest = (0..CLASSES_ABOVE).fold(class, |class, _| class_of(class + 1).unwrap_or(class));
        // Lists that ran empty stay, so that taking and giving back in turn allocates nothing.
        let mapping = self.free.range_mut(class..=largest).find_map(|(_, list)| list.pop())?;
        self.cached -= mapping.len();
        Some(mapping)
    }

    fn evict_to(&mut self, keep_bytes: usize) -> Vec<Mapping> {
        let mut evicted = Vec::new();
        while self.cached > keep_bytes {
            let Some(mut largest) = self.free.last_entry() else { break };
            match largest.get_mut().pop() {
                Some(mapping) => {
                    self.cached -= mapping.len();
                    evicted.push(mapping);
                }
                None => drop(largest.remove()),
            }
        }
        evicted
    }
}

/// The system refused memory.
pub(crate) fn no_memory(bytes: usize, cause: impl fmt::Display) -> Error {
    let asked = human_bytes(bytes as u64);
    Error::new(ErrorKind::OutOfMemory, format!("the system gave no memory for a block of {asked}: {cause}"))
}

/// The size class of a slab for that many bytes: the next of eight steps per doubling.
fn class_of(bytes: usize) -> Option<usize> {
    let bytes = bytes.max(SMALLEST_SLAB);
    let step = (1 << (bytes - 1).ilog2()) / STEPS;
    bytes.checked_next_multiple_of(step).filter(|class| *class <= isize::MAX as usize / 2)
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock();
        f.debug_struct("Pool")
            .field("retain_limit", &self.0.retain_limit)
            .field("cached", &state.cached)
            .field("in_use", &state.in_use)
            .field("hits", &state.hits)
            .field("misses", &state.misses)
            .finish()
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Pool>> = const { RefCell::new(None) };
}

/// Makes the pool that was current before [`Pool::enter`] current again when it is dropped.
#[must_use = "the pool is current until the guard is dropped"]
pub struct PoolGuard {
    before: Option<Pool>,
    _of_this_thread: PhantomData<*const ()>,
}

impl Drop for PoolGuard {
    fn drop(&mut self) {
        CURRENT.with(|current| current.replace(self.before.take()));
    }
}

/// A piece of memory that goes back to its pool when it is dropped.
pub(crate) struct Slab {
    /// `None` only while it is dropped.
    mapping: Option<Mapping>,
    /// Weak: a slab that outlives its pool is unmapped.
    home: Weak<Shared>,
}

impl Slab {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.mapping.as_ref().map_or(&[], Mapping::bytes)
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.mapping.as_mut().map_or(&mut [], Mapping::bytes_mut)
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        let (Some(mapping), Some(home)) = (self.mapping.take(), self.home.upgrade()) else { return };
        let len = mapping.len();
        let mut state = home.lock();
        if state.cached + state.in_use <= home.retain_limit {
            state.cached += len;
            state.free.entry(len).or_default().push(mapping);
            state.in_use -= len;
        } else {
            state.in_use -= len;
            drop(state);
            drop(mapping);
        }
    }
}

/// Anonymous memory; from 2 MiB on aligned to huge pages, and made of them where the system has some.
struct Mapping {
    map: MmapMut,
    start: usize,
    len: usize,
}

impl Mapping {
    fn new(len: usize) -> std::io::Result<Mapping> {
        if len < HUGE_PAGE || cfg!(not(target_os = "linux")) {
            return Ok(Mapping { map: MmapMut::map_anon(len)?, start: 0, len });
        }
        // The room to align in is address space only: it is never touched.
        let map = MmapMut::map_anon(len + HUGE_PAGE)?;
        let start = map.as_ptr().align_offset(HUGE_PAGE).min(HUGE_PAGE);
        #[cfg(target_os = "linux")]
        {
            // Whole huge pages only: one that begins in the tail would make memory resident that is never used. Advice that
            // the system does not take makes things slower, not wrong.
            let whole = len / HUGE_PAGE * HUGE_PAGE;
            let _ = map.advise_range(memmap2::Advice::HugePage, start, whole);
            if whole < map.len() - start {
                let _ = map.advise_range(memmap2::Advice::NoHugePage, start + whole, map.len() - start - whole);
            }
        }
        Ok(Mapping { map, start, len })
    }

    fn len(&self) -> usize {
        self.len
    }

    fn bytes(&self) -> &[u8] {
        &self.map[self.start..self.start + self.len]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.map[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: usize = 1 << 20;

    proptest! {
        #[test]
        fn a_class_wastes_an_eighth_at_most(bytes in SMALLEST_SLAB..1 << 40) {
            let class = class_of(bytes).unwrap();
            prop_assert!(class >= bytes && class - bytes <= bytes / STEPS + 1, "{bytes} in {class}");
            prop_assert_eq!(class_of(class), Some(class));
            prop_assert_eq!(class % 4096, 0);
        }
    }

    #[test]
    fn classes_at_the_ends() {
        assert_eq!(class_of(0), Some(SMALLEST_SLAB));
        assert_eq!(class_of(SMALLEST_SLAB + 1), Some(SMALLEST_SLAB * 9 / 8));
        assert_eq!(class_of(32 * MIB), Some(32 * MIB));
        assert_eq!(class_of(usize::MAX), None);
        assert!(Pool::new(0).take(usize::MAX - 5).is_err_and(|error| error.kind() == ErrorKind::OutOfMemory));
        let pool = Pool::new(0);
        assert!(pool.take(isize::MAX as usize / 4).is_err(), "more than any machine maps");
        assert_eq!(pool.in_use(), 0);
    }

    #[test]
    fn slabs_are_recycled_aligned_and_counted() {
        let pool = Pool::new(100 * MIB);
        let mut slab = pool.take(5 * MIB).unwrap();
        assert!(slab.bytes().iter().all(|byte| *byte == 0));
        assert!(slab.bytes().as_ptr().addr().is_multiple_of(4096));
        if cfg!(target_os = "linux") {
            assert!(slab.bytes().as_ptr().addr().is_multiple_of(HUGE_PAGE));
        }
        slab.bytes_mut().fill(7);
        assert_eq!((pool.cached(), pool.in_use()), (0, 5 * MIB));
        drop(slab);
        assert_eq!((pool.cached(), pool.in_use()), (5 * MIB, 0));
        // One class below finds it, two below or above do not.
        let slab = pool.take(5 * MIB - MIB / 2).unwrap();
        assert_eq!((slab.bytes().len(), slab.bytes()[0]), (5 * MIB, 7));
        drop(slab);
        for bytes in [4 * MIB, 5 * MIB + 1] {
            let slab = pool.take(bytes).unwrap();
            assert_eq!(slab.bytes()[0], 0);
        }
        assert_eq!(pool.stats(), PoolStats { hits: 1, misses: 3 });
        let cached = pool.cached();
        // The largest goes first: the one of 5.5 MiB.
        assert_eq!(pool.trim(cached - 1), class_of(5 * MIB + 1).unwrap());
        assert_eq!(pool.trim(0), 9 * MIB);
        assert_eq!((pool.cached(), pool.in_use()), (0, 0));
    }

    #[test]
    fn caching_stays_below_the_limit() {
        let pool = Pool::new(10 * MIB);
        let slabs: Vec<Slab> = (0..3).map(|_| pool.take(4 * MIB).unwrap()).collect();
        assert_eq!(pool.in_use(), 12 * MIB, "what is in use is not the pool's to refuse");
        drop(slabs);
        assert_eq!((pool.cached(), pool.in_use()), (8 * MIB, 0), "the first came back above the limit");
        let slab = pool.take(8 * MIB).unwrap();
        assert_eq!((pool.cached(), pool.in_use()), (0, 8 * MIB), "made room before it mapped");
        drop(pool);
        drop(slab); // outlives its pool
    }

    #[test]
    fn the_current_pool_nests() {
        assert!(Pool::current().is_none());
        let (outer, inner) = (Pool::new(1), Pool::new(2));
        let same = |pool: &Pool| Pool::current().is_some_and(|current| Arc::ptr_eq(&current.0, &pool.0));
        let guard = outer.enter();
        assert!(same(&outer));
        {
            let _guard = inner.enter();
            assert!(same(&inner));
        }
        assert!(same(&outer));
        drop(guard);
        assert!(Pool::current().is_none());
    }

    #[test]
    fn many_threads_share_a_pool() {
        let pool = Pool::new(3 * MIB);
        std::thread::scope(|scope| {
            for seed in 0..4usize {
                let pool = &pool;
                scope.spawn(move || {
                    for i in 0..300 {
                        let mut slab = pool.take(SMALLEST_SLAB * (1 + (i * 7 + seed) % 5)).unwrap();
                        slab.bytes_mut()[..100].fill(seed as u8);
                        std::thread::yield_now();
                        assert!(slab.bytes()[..100].iter().all(|byte| *byte == seed as u8));
                    }
                });
            }
        });
        assert_eq!(pool.in_use(), 0);
        assert!(pool.cached() <= 3 * MIB);
        let cached = pool.cached();
        assert_eq!((pool.trim(0), pool.cached()), (cached, 0));
    }
}
