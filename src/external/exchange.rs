//! The state of an exchange: what producers bring, until one task seals it and others read what was made of it.
//!
//! It holds what it is given under a named reservation. What each producer brought is put together in the order of the
//! producers, whatever the order in which they came, so that the bits of the result do not depend on timing.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, ErrorKind, Result};
use crate::store::{Budget, Reservation};

/// How much something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Rows of the input that it stands for.
    pub rows: u64,
    /// Memory it takes.
    pub bytes: u64,
}

/// The state of one exchange in one run: parts `P` from the producers, and what is made of them, `S`.
///
/// ```
/// use chunkwise::external::{Exchange, Load};
/// use chunkwise::store::Budget;
///
/// let budget = Budget::new(1000);
/// let exchange: Exchange<Vec<u32>, Vec<u32>> = Exchange::open("numbers", 2, &budget);
/// exchange.append(1, vec![3], Load { rows: 1, bytes: 4 }, 0)?;
/// exchange.append(0, vec![1, 2], Load { rows: 2, bytes: 8 }, 0)?;
/// exchange.seal(0, |parts| Ok((parts.concat(), Load { rows: 3, bytes: 12 })))?;
/// assert_eq!(*exchange.sealed()?, [1, 2, 3]);
/// assert_eq!(budget.held(), 12);
/// drop(exchange);
/// assert_eq!(budget.held(), 0);
/// # Ok::<(), chunkwise::Error>(())
/// ```
pub struct Exchange<P, S> {
    name: Cow<'static, str>,
    inner: Mutex<Inner<P, S>>,
}

struct Inner<P, S> {
    phase: Phase<P, S>,
    held: Reservation,
}

enum Phase<P, S> {
    /// Parts come in: each with its load, by producer.
    Open(Vec<Option<(P, Load)>>),
    /// Somebody puts the parts together.
    Sealing,
    Sealed(Arc<S>),
}

impl<P, S> Exchange<P, S> {
    /// A state that waits for `producers` parts. It holds nothing yet.
    pub fn open(name: impl Into<Cow<'static, str>>, producers: u32, budget: &Budget) -> Exchange<P, S> {
        let name = name.into();
        let mut parts = Vec::new();
        parts.resize_with(producers as usize, || None);
        // Nothing is asked for, so nothing can be refused.
        let held = budget.force_reserve(name.clone(), 0);
        Exchange { name, inner: Mutex::new(Inner { phase: Phase::Open(parts), held }) }
    }

    /// Takes in the part of a producer. `admitted` is what the producing task was admitted with: so much is taken also
    /// where other tasks hold the rest of the budget, for the task gives it back when it ends.
    ///
    /// # Errors
    /// Of kind `OutOfMemory`, where the budget has no room for it, naming limit and setting.
    pub fn append(&self, producer: u32, part: P, load: Load, admitted: u64) -> Result<()> {
        let mut inner = self.lock();
        let Inner { phase, held } = &mut *inner;
        let Phase::Open(parts) = phase else { return Err(self.defect("a part comes after the seal")) };
        match parts.get_mut(producer as usize) {
            Some(place @ None) => {
                self.grow(held, load.bytes, admitted)?;
                *place = Some((part, load));
                Ok(())
            }
            Some(Some(_)) => Err(self.defect("a producer brings two parts")),
            None => Err(self.defect("a part of an unknown producer")),
        }
    }

    /// Puts the parts together, which `merge` is given in the order of the producers; it says how much it made of them.
    /// From then on the parts are gone.
    ///
    /// # Errors
    /// What `merge` returns; as [`Exchange::append`] for what it made; of kind `Internal`, where a part is missing or rows
    /// were lost or made up.
    pub fn seal(&self, admitted: u64, merge: impl FnOnce(Vec<P>) -> Result<(S, Load)>) -> Result<()> {
        let parts = match std::mem::replace(&mut self.lock().phase, Phase::Sealing) {
            Phase::Open(parts) => parts,
            Phase::Sealing | Phase::Sealed(_) => return Err(self.defect("it is sealed twice")),
        };
        let before: u64 = parts.iter().flatten().map(|(_, load)| load.bytes).sum();
        let rows: u64 = parts.iter().flatten().map(|(_, load)| load.rows).sum();
        let all: Option<Vec<P>> = parts.into_iter().map(|part| Some(part?.0)).collect();
        let all = all.ok_or_else(|| self.defect("it is sealed before all parts came"))?;
        let (sealed, load) = merge(all)?;
        if load.rows != rows {
            return Err(self.defect(&format!("{rows} rows came in and {} go out", load.rows)));
        }
        let mut inner = self.lock();
        let Inner { phase, held } = &mut *inner;
        held.shrink(before);
        self.grow(held, load.bytes, admitted.max(before))?;
        *phase = Phase::Sealed(Arc::new(sealed));
        Ok(())
    }

    /// What was made of the parts.
    ///
    /// # Errors
    /// Of kind `Internal`, where it is not sealed yet.
    pub fn sealed(&self) -> Result<Arc<S>> {
        match &self.lock().phase {
            Phase::Sealed(sealed) => Ok(sealed.clone()),
            Phase::Open(_) | Phase::Sealing => Err(self.defect("it is read before the seal")),
        }
    }

    /// What it holds.
    pub fn bytes(&self) -> u64 {
        self.lock().held.bytes()
    }

    fn grow(&self, held: &mut Reservation, bytes: u64, admitted: u64) -> Result<()> {
        match held.try_grow(bytes) {
            Ok(()) => Ok(()),
            Err(_) if bytes <= admitted => {
                held.force_grow(bytes);
                Ok(())
            }
            Err(refused) => {
                let text = format!("{}: raise memory_limit", refused.message());
                Err(Error::new(ErrorKind::OutOfMemory, text))
            }
        }
    }

    fn defect(&self, what: &str) -> Error {
        Error::internal(format!("the exchange `{}`: {what}", self.name))
    }

    fn lock(&self) -> MutexGuard<'_, Inner<P, S>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Numbers = Exchange<Vec<u64>, Vec<u64>>;

    fn load(rows: u64) -> Load {
        Load { rows, bytes: 8 * rows }
    }

    fn concat(parts: Vec<Vec<u64>>) -> Result<(Vec<u64>, Load)> {
        let all = parts.concat();
        let load = load(all.len() as u64);
        Ok((all, load))
    }

    #[test]
    fn parts_stand_in_the_order_of_the_producers() {
        let budget = Budget::new(1000);
        let exchange = Numbers::open("numbers", 3, &budget);
        for producer in [2, 0, 1] {
            exchange.append(producer, vec![u64::from(producer); 2], load(2), 0).unwrap();
        }
        assert_eq!(budget.held(), 48);
        exchange.seal(0, concat).unwrap();
        assert_eq!(*exchange.sealed().unwrap(), [0, 0, 1, 1, 2, 2]);
        assert_eq!((budget.held(), exchange.bytes()), (48, 48));
        drop(exchange);
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn a_refusal_names_limit_and_setting_and_loses_nothing() {
        let budget = Budget::new(100);
        let exchange = Numbers::open("group_by", 2, &budget);
        exchange.append(0, vec![0; 10], load(10), 0).unwrap();
        let error = exchange.append(1, vec![0; 10], load(10), 79).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfMemory);
        assert_eq!(
            error.message(),
            "`group_by` asked for 80 B, but 80 B of the limit of 100 B are held, most by `group_by` (80 B): raise \
             memory_limit"
        );
        assert_eq!(budget.held(), 80);
        // What the task was admitted with is not refused.
        exchange.append(1, vec![0; 10], load(10), 80).unwrap();
        assert_eq!(budget.held(), 160);
        // What is made of the parts takes their place.
        exchange.seal(0, concat).unwrap();
        assert_eq!(budget.held(), 160);
    }

    #[test]
    fn rows_in_are_rows_out() {
        let budget = Budget::new(1000);
        let exchange = Numbers::open("lossy", 1, &budget);
        exchange.append(0, vec![1, 2, 3], load(3), 0).unwrap();
        let error = exchange.seal(0, |parts| concat(vec![parts[0][1..].to_vec()])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!(error.message().ends_with("the exchange `lossy`: 3 rows came in and 2 go out"), "{error}");
    }

    #[test]
    fn what_comes_at_the_wrong_time_is_told() {
        let budget = Budget::new(1000);
        let exchange = Numbers::open("early", 2, &budget);
        let says = |result: Result<()>, what: &str| {
            let error = result.unwrap_err();
            assert!(error.message().ends_with(what), "{error}");
        };
        says(exchange.sealed().map(drop), "it is read before the seal");
        exchange.append(0, vec![], load(0), 0).unwrap();
        says(exchange.append(0, vec![], load(0), 0), "a producer brings two parts");
        says(exchange.append(2, vec![], load(0), 0), "a part of an unknown producer");
        says(exchange.seal(0, concat), "it is sealed before all parts came");
        says(exchange.append(1, vec![], load(0), 0), "a part comes after the seal");
        says(exchange.seal(0, concat), "it is sealed twice");
    }

    #[test]
    fn an_error_of_the_merge_is_given_back() {
        let budget = Budget::new(1000);
        let exchange = Numbers::open("bad", 1, &budget);
        exchange.append(0, vec![1], load(1), 0).unwrap();
        let error = exchange.seal(0, |_| Err(Error::new(ErrorKind::Data, "no"))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        drop(exchange);
        assert_eq!(budget.held(), 0);
    }
}
