//! The memory ledger: who holds how much, and no more than the limit.
//!
//! Nobody waits here. A [`Reservation`] grows or is refused at once; who is refused spills, gives up, or takes an overdraft
//! with its eyes open ([`Reservation::force_grow`]).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;

use crate::error::{Error, ErrorKind, Result, human_bytes};

/// A memory limit and what is held under it. A clone is the same budget.
///
/// ```
/// use chunkwise::ErrorKind;
/// use chunkwise::store::Budget;
///
/// let budget = Budget::new(1000);
/// let mut table = budget.reserve("hash table", 600)?;
/// assert_eq!(table.try_grow(600).unwrap_err().kind(), ErrorKind::OutOfMemory);
/// table.try_grow(400)?;
/// drop(table);
/// assert_eq!((budget.held(), budget.peak()), (0, 1000));
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[derive(Clone)]
pub struct Budget(Arc<Ledger>);

struct Ledger {
    limit: u64,
    /// What the scheduler accounts for by itself: chunks that wait.
    base: AtomicU64,
    /// All reservations, those of children and their bases included.
    reserved: AtomicU64,
    peak: AtomicU64,
    parent: Option<Budget>,
    /// Orders changes of a child's base, which are differences for its parent.
    base_changes: Mutex<()>,
    holders: Mutex<HashMap<usize, Arc<Holder>, foldhash::fast::FixedState>>,
}

struct Holder {
    name: Cow<'static, str>,
    bytes: AtomicU64,
}

/// What is held under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The name given to [`Budget::reserve`]; `chunks` for the base.
    pub name: String,
    /// The sum over all holders of that name.
    pub bytes: u64,
}

/// The name under which the base appears among the holders.
const BASE: &str = "chunks";

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: u64) -> Budget {
        Budget::with_parent(limit, None)
    }

    /// A budget whose use counts in this one, too, and which has a limit of its own.
    pub fn child(&self, limit: u64) -> Budget {
        Budget::with_parent(limit, Some(self.clone()))
    }

    fn with_parent(limit: u64, parent: Option<Budget>) -> Budget {
        Budget(Arc::new(Ledger {
            limit,
            base: AtomicU64::new(0),
            reserved: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            parent,
            base_changes: Mutex::new(()),
            holders: Mutex::default(),
        }))
    }

    /// The limit in bytes.
    pub fn limit(&self) -> u64 {
        self.0.limit
    }

    /// The limit of the outermost budget that this one is a child of, or its own.
    pub fn root_limit(&self) -> u64 {
        self.with_parents().last().map_or(self.0.limit, Budget::limit)
    }

    /// What is held: the base and all reservations.
    pub fn held(&self) -> u64 {
        self.0.base.load(Relaxed) + self.0.reserved.load(Relaxed)
    }

    /// The most that was ever held, or since [`Budget::reset_peak`].
    pub fn peak(&self) -> u64 {
        self.0.peak.load(Relaxed)
    }

    /// Starts the peak anew from what is held now.
    pub fn reset_peak(&self) {
        self.0.peak.store(self.held(), Relaxed);
    }

    /// States what the scheduler itself accounts for. It is never refused: the scheduler asks before it acts.
    pub fn set_base(&self, bytes: u64) {
        if let Some(parent) = &self.0.parent {
            let _ordered = lock(&self.0.base_changes);
            let before = self.0.base.swap(bytes, Relaxed);
            if bytes > before {
                parent.force(bytes - before);
            } else {
                parent.free(before - bytes);
            }
        } else {
            self.0.base.store(bytes, Relaxed);
        }
        self.note_peak();
    }

    /// Reserves memory under a name.
    ///
    /// # Errors
    /// Of kind [`OutOfMemory`](ErrorKind::OutOfMemory) where this budget or a parent has not that much left; it says what
    /// was asked, held and allowed, and who holds most.
    pub fn reserve(&self, name: impl Into<Cow<'static, str>>, bytes: u64) -> Result<Reservation> {
        let mut reservation = self.register(name.into());
        reservation.try_grow(bytes)?;
        Ok(reservation)
    }

    /// Reserves memory whether it is there or not.
    pub fn force_reserve(&self, name: impl Into<Cow<'static, str>>, bytes: u64) -> Reservation {
        let mut reservation = self.register(name.into());
        reservation.force_grow(bytes);
        reservation
    }

    /// The names under which most is held, largest first. Children's holders are among them.
    pub fn largest_holders(&self, count: usize) -> Vec<Holding> {
        let mut by_name: BTreeMap<String, u64> = BTreeMap::new();
        by_name.insert(BASE.to_string(), self.0.base.load(Relaxed));
        for holder in lock(&self.0.holders).values() {
            *by_name.entry(holder.name.to_string()).or_default() += holder.bytes.load(Relaxed);
        }
        let all = by_name.into_iter().filter(|(_, bytes)| *bytes > 0);
        let mut all: Vec<Holding> = all.map(|(name, bytes)| Holding { name, bytes }).collect();
        all.sort_by_key(|holding| std::cmp::Reverse(holding.bytes));
        all.truncate(count);
        all
    }

    fn register(&self, name: Cow<'static, str>) -> Reservation {
        let holder = Arc::new(Holder { name, bytes: AtomicU64::new(0) });
        for budget in self.with_parents() {
            lock(&budget.0.holders).insert(Arc::as_ptr(&holder) as usize, holder.clone());
        }
        Reservation { budget: self.clone(), holder, bytes: 0 }
    }

    fn with_parents(&self) -> impl Iterator<Item = &Budget> {
        std::iter::successors(Some(self), |budget| budget.0.parent.as_ref())
    }

    /// Takes the bytes from this budget and all its parents, or from none of them.
    fn take(&self, name: &str, bytes: u64) -> Result<()> {
        for (level, budget) in self.with_parents().enumerate() {
            if !budget.take_here(bytes) {
                self.with_parents().take(level).for_each(|below| below.give_here(bytes));
                return Err(budget.refusal(name, bytes));
            }
        }
        self.with_parents().for_each(Budget::note_peak);
        Ok(())
    }

    fn take_here(&self, bytes: u64) -> bool {
        let reserve = |reserved: u64| {
            let held = reserved.checked_add(self.0.base.load(Relaxed))?;
            let fits = held.checked_add(bytes)? <= self.0.limit;
            // Growing by nothing is no demand, also in an overdraft.
            (fits || bytes == 0).then_some(reserved + bytes)
        };
        self.0.reserved.fetch_update(Relaxed, Relaxed, reserve).is_ok()
    }

    fn give_here(&self, bytes: u64) {
        self.0.reserved.fetch_sub(bytes, Relaxed);
    }

    fn force(&self, bytes: u64) {
        for budget in self.with_parents() {
            budget.0.reserved.fetch_add(bytes, Relaxed);
            budget.note_peak();
        }
    }

    fn free(&self, bytes: u64) {
        self.with_parents().for_each(|budget| budget.give_here(bytes));
    }

    fn note_peak(&self) {
        let held = self.held();
        // Most calls are below the peak: they only read.
        if held > self.0.peak.load(Relaxed) {
            self.0.peak.fetch_max(held, Relaxed);
        }
    }

    fn refusal(&self, name: &str, bytes: u64) -> Error {
        let holders: Vec<String> = self.largest_holders(3).iter().map(Holding::to_string).collect();
        let most = if holders.is_empty() { String::new() } else { format!(", most by {}", holders.join(", ")) };
        Error::new(
            ErrorKind::OutOfMemory,
            format!(
                "`{name}` asked for {}, but {} of the limit of {} are held{most}",
                human_bytes(bytes),
                human_bytes(self.held()),
                human_bytes(self.0.limit),
            ),
        )
    }
}

impl fmt::Display for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({})", self.name, human_bytes(self.bytes))
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("limit", &self.limit())
            .field("held", &self.held())
            .field("peak", &self.peak())
            .field("largest", &self.largest_holders(3))
            .finish()
    }
}

/// Memory held under a name; given back when it is dropped, also by a panic.
#[must_use = "a reservation that is dropped at once holds nothing"]
pub struct Reservation {
    budget: Budget,
    holder: Arc<Holder>,
    bytes: u64,
}

impl Reservation {
    /// The bytes held.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The name it was reserved under.
    pub fn name(&self) -> &str {
        &self.holder.name
    }

    /// The budget it belongs to.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Reserves more.
    ///
    /// # Errors
    /// Of kind [`OutOfMemory`](ErrorKind::OutOfMemory); what is held stays as it is.
    pub fn try_grow(&mut self, bytes: u64) -> Result<()> {
        self.budget.take(&self.holder.name, bytes)?;
        self.set(self.bytes + bytes);
        Ok(())
    }

    /// Reserves more, beyond the limit if need be: for what is in memory already.
    pub fn force_grow(&mut self, bytes: u64) {
        self.budget.force(bytes);
        self.set(self.bytes + bytes);
    }

    /// Gives back as much, or all if that is less.
    pub fn shrink(&mut self, bytes: u64) {
        let bytes = bytes.min(self.bytes);
        self.set(self.bytes - bytes);
        self.budget.free(bytes);
    }

    /// Grows or shrinks to that many bytes.
    ///
    /// # Errors
    /// As for [`Reservation::try_grow`].
    pub fn resize(&mut self, bytes: u64) -> Result<()> {
        if bytes > self.bytes {
            self.try_grow(bytes - self.bytes)
        } else {
            self.shrink(self.bytes - bytes);
            Ok(())
        }
    }

    fn set(&mut self, bytes: u64) {
        self.bytes = bytes;
        self.holder.bytes.store(bytes, Relaxed);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.free(self.bytes);
        for budget in self.budget.with_parents() {
            lock(&budget.0.holders).remove(&(Arc::as_ptr(&self.holder) as usize));
        }
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reservation({:?}, {})", self.name(), human_bytes(self.bytes))
    }
}

/// No code that can panic runs under these locks, so a poisoned one is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::AtomicBool;

    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_refusal_names_everything() {
        let budget = Budget::new(512 * MIB);
        budget.set_base(100 * MIB);
        let _runs = [budget.reserve("sort runs", 150 * MIB).unwrap(), budget.reserve("sort runs", 150 * MIB).unwrap()];
        let _read = budget.reserve("read buffers", 50 * MIB).unwrap();
        let _small = budget.reserve("index", MIB).unwrap();
        let error = budget.reserve("join build", 64 * MIB).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfMemory);
        assert_eq!(
            error.message(),
            "`join build` asked for 64 MiB, but 451 MiB of the limit of 512 MiB are held, most by `sort runs` (300 MiB), \
             `chunks` (100 MiB), `read buffers` (50 MiB)"
        );
        assert_eq!(budget.largest_holders(10).len(), 4, "the refused one left no trace");
    }

    #[test]
    fn freed_on_drop_and_on_unwind() {
        let budget = Budget::new(100);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let mut held = budget.reserve("a", 60).unwrap();
            held.force_grow(100);
            panic!("in a task");
        }));
        assert!(caught.is_err());
        assert_eq!((budget.held(), budget.peak(), budget.largest_holders(9).len()), (0, 160, 0));
        budget.reset_peak();
        let mut held = budget.reserve("a", 100).unwrap();
        held.resize(30).unwrap();
        held.resize(50).unwrap();
        assert!(held.resize(101).is_err());
        assert_eq!((held.bytes(), held.name(), budget.held(), budget.peak()), (50, "a", 50, 100));
        held.shrink(u64::MAX);
        assert_eq!((held.bytes(), budget.held()), (0, 0));
        assert!(held.try_grow(u64::MAX).is_err());
    }

    #[test]
    fn a_child_counts_in_its_parent() {
        let parent = Budget::new(100);
        let child = parent.child(50);
        let mut held = child.reserve("inner", 40).unwrap();
        assert!(held.try_grow(20).unwrap_err().message().contains("limit of 50 B"));
        let outer = parent.reserve("outer", 55).unwrap();
        assert!(held.try_grow(10).unwrap_err().message().contains("limit of 100 B are held, most by `outer`"));
        assert_eq!((child.held(), parent.held()), (40, 95), "a refusal above is taken back below");
        child.set_base(3);
        assert_eq!((child.held(), parent.held()), (43, 98));
        child.set_base(1);
        assert_eq!(parent.largest_holders(9).len(), 2);
        drop((held, outer));
        assert_eq!((child.held(), parent.held(), parent.peak()), (1, 1, 98));
    }

    proptest! {
        #[test]
        fn the_sum_is_always_right(steps in proptest::collection::vec((0usize..4, 0u8..5, 0u64..60), 0..60)) {
            let parent = Budget::new(200);
            let budgets = [parent.clone(), parent.child(100)];
            let mut held: Vec<Reservation> = (0..4).map(|i| budgets[i % 2].reserve("r", 0).unwrap()).collect();
            for (who, what, bytes) in steps {
                let (before, room) = (held[who].bytes(), budgets[who % 2].limit() - budgets[who % 2].held());
                match what {
                    0 | 1 => {
                        let fits = bytes <= room && bytes <= 200 - parent.held();
                        prop_assert_eq!(held[who].try_grow(bytes).is_ok(), fits || bytes == 0);
                    }
                    2 => held[who].shrink(bytes),
                    3 => {
                        let _ = held[who].resize(bytes);
                    }
                    _ => held[who] = budgets[who % 2].reserve("r", bytes.min(before)).unwrap_or_else(|_| {
                        budgets[who % 2].reserve("r", 0).unwrap()
                    }),
                }
                let sum = |from: usize| held.iter().skip(from).step_by(from + 1).map(Reservation::bytes).sum::<u64>();
                prop_assert_eq!(parent.held(), sum(0));
                prop_assert_eq!(budgets[1].held(), sum(1));
                prop_assert!(parent.peak() <= 200 && budgets[1].peak() <= 100);
            }
        }
    }

    #[test]
    fn never_above_the_limit_under_stress() {
        let budget = Budget::new(1000);
        let child = budget.child(700);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..4u64)
                .map(|seed| {
                    let budget = if seed % 2 == 0 { &budget } else { &child };
                    scope.spawn(move || {
                        let mut state = seed + 1;
                        let mut held = budget.reserve("worker", 0).unwrap();
                        for _ in 0..20_000 {
                            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                            let bytes = state >> 55;
                            match state % 3 {
                                0 if held.bytes() > 300 => held = budget.reserve("worker", 0).unwrap(),
                                0 => held.shrink(bytes),
                                _ => drop(held.try_grow(bytes)),
                            }
                        }
                    })
                })
                .collect();
            let watcher = scope.spawn(|| {
                while !stop.load(Relaxed) {
                    assert!(budget.held() <= 1000 && child.held() <= 700);
                }
            });
            for worker in workers {
                worker.join().unwrap();
            }
            stop.store(true, Relaxed);
            watcher.join().unwrap();
        });
        assert_eq!((budget.held(), child.held(), budget.largest_holders(9).len()), (0, 0, 0));
        assert!(budget.peak() <= 1000 && child.peak() <= 700);
    }
}
