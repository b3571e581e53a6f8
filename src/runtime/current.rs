//! Which runtime `compute` uses on this thread.

use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};

use super::builder::Runtime;
use crate::error::Result;

thread_local! {
    static SCOPES: RefCell<Vec<Runtime>> = const { RefCell::new(Vec::new()) };
}

/// The runtime that is made by the first `compute` without one. One for the process: so that all that does not say
/// otherwise shares one budget.
static DEFAULT: Mutex<Option<Runtime>> = Mutex::new(None);

pub(super) struct Scope;

/// Makes a runtime the current one of this thread until the scope is dropped.
pub(super) fn enter(runtime: &Runtime) -> Scope {
    SCOPES.with_borrow_mut(|scopes| scopes.push(runtime.clone()));
    Scope
}

impl Drop for Scope {
    fn drop(&mut self) {
        let left = SCOPES.with_borrow_mut(Vec::pop);
        // Dropped here, not under the borrow: it may be the last handle and cancel runs.
        drop(left);
    }
}

pub(super) fn current() -> Result<Runtime> {
    if let Some(scoped) = SCOPES.with_borrow(|scopes| scopes.last().cloned()) {
        return Ok(scoped);
    }
    let mut default = DEFAULT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = &*default {
        return Ok(runtime.clone());
    }
    let runtime = Runtime::builder().build()?;
    *default = Some(runtime.clone());
    Ok(runtime)
}
