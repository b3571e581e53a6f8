//! Bags of values that are in memory.

use std::any::Any;
use std::sync::Arc;

use super::Bag;
use super::plan::{FromVec, Items};
use crate::origin::Origin;

/// A bag of these values in so many partitions of even size, or fewer where there are not as many values.
#[track_caller]
pub fn from_vec<T: Any + Send + Sync + Clone>(items: Vec<T>, npartitions: u32) -> Bag<T> {
    let len = items.len();
    let count = (npartitions.max(1) as usize).min(len);
    let mut items = items.into_iter();
    let share = |part: usize| len / count + usize::from(part < len % count);
    let parts: Vec<Arc<Vec<T>>> = (0..count).map(|part| Arc::new(items.by_ref().take(share(part)).collect())).collect();
    Bag::of(Ok(Items::new(count as u32, FromVec::new(parts, Origin::caller()))))
}
