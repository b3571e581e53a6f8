//! Telling observers, such that none of them can break a run.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::event::{Observer, RunEvent};

/// The observers of a run or a runtime.
///
/// A panic of one is caught (the panic hook has printed it by then) and that observer is not called again.
#[derive(Default)]
pub struct Observers {
    slots: Vec<Slot>,
}

struct Slot {
    observer: Arc<dyn Observer>,
    /// Set by its first panic; relaxed, since a call that races with it is only one more panic to catch.
    silenced: AtomicBool,
}

impl Observers {
    /// These observers, told in this order.
    pub fn new(observers: impl IntoIterator<Item = Arc<dyn Observer>>) -> Observers {
        let slots = observers.into_iter().map(|observer| Slot { observer, silenced: AtomicBool::new(false) });
        Observers { slots: slots.collect() }
    }

    /// Whether there is nobody to tell, so that events need not be made.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether one of them wants every task.
    pub fn wants_tasks(&self) -> bool {
        // All are asked, so that what one answers does not depend on another.
        self.slots.iter().filter(|slot| slot.call(|observer| observer.wants_tasks()) == Some(true)).count() > 0
    }

    /// Tells all of them.
    pub fn notify(&self, event: &RunEvent<'_>) {
        for slot in &self.slots {
            slot.call(|observer| observer.observe(event));
        }
    }

    /// How many have panicked.
    pub fn silenced(&self) -> usize {
        self.slots.iter().filter(|slot| slot.silenced.load(Ordering::Relaxed)).count()
    }
}

impl Slot {
    fn call<R>(&self, call: impl FnOnce(&dyn Observer) -> R) -> Option<R> {
        if self.silenced.load(Ordering::Relaxed) {
            return None;
        }
        match catch_unwind(AssertUnwindSafe(|| call(&*self.observer))) {
            Ok(answer) => Some(answer),
            Err(payload) => {
                self.silenced.store(true, Ordering::Relaxed);
                // What the panic carried may itself panic when dropped.
                let dropped = catch_unwind(AssertUnwindSafe(|| drop(payload)));
                std::mem::forget(dropped);
                None
            }
        }
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Observers({}, {} silenced)", self.slots.len(), self.silenced())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::time::Duration;

    use super::*;

    struct Counting {
        calls: AtomicU64,
        panics_at: u64,
    }

    impl Observer for Counting {
        fn wants_tasks(&self) -> bool {
            assert!(self.panics_at > 0, "asked");
            false
        }

        fn observe(&self, _: &RunEvent<'_>) {
            let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
            assert!(call != self.panics_at, "as planned");
        }
    }

    struct Tasks;

    impl Observer for Tasks {
        fn wants_tasks(&self) -> bool {
            true
        }

        fn observe(&self, _: &RunEvent<'_>) {}
    }

    #[test]
    fn a_panicking_observer_is_called_no_more_and_the_others_are() {
        let make = |panics_at| Arc::new(Counting { calls: AtomicU64::new(0), panics_at });
        let all = [make(2), make(u64::MAX), make(0)];
        let mut list: Vec<Arc<dyn Observer>> = Vec::new();
        list.extend(all.iter().map(|observer| observer.clone() as Arc<dyn Observer>));
        list.push(Arc::new(Arc::new(Tasks)));
        let observers = Observers::new(list);
        assert!(observers.wants_tasks());
        assert_eq!(observers.silenced(), 1);
        for _ in 0..4 {
            observers.notify(&RunEvent::Started { run: 1, layers: &[], at: Duration::ZERO });
        }
        assert_eq!(all.map(|observer| observer.calls.load(Ordering::Relaxed)), [2, 4, 0]);
        assert_eq!(format!("{observers:?}"), "Observers(4, 2 silenced)");
        assert!(Observers::default().is_empty() && !Observers::default().wants_tasks());
    }
}
