//! Which runtime `compute` uses on this thread.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::builder::{Inner, Runtime};
use super::config::{self, Overrides, Settings};
use crate::error::Result;
use crate::executor::Engine;

thread_local! {
    static SCOPES: RefCell<Vec<Runtime>> = const { RefCell::new(Vec::new()) };
}

/// The runtimes that `compute` makes where there is none, by the settings that shape them: so that all that does not say
/// otherwise shares one budget.
static DEFAULTS: Mutex<Defaults> = Mutex::new(Defaults { plain: None, made: Vec::new() });

struct Defaults {
    /// Of the settings without scopes. It stays until these change.
    plain: Option<(Settings, Runtime)>,
    /// All that still live; those of scopes are held by these.
    made: Vec<(Settings, Weak<Inner>)>,
}

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
    let wanted = Settings::resolve(&Overrides::new())?.shape();
    if Engine::inside_task() && !config::scope_shapes_a_runtime() {
        // A task sees no scope of the thread that computes it, and is to stay within what that one asked for.
        let at_work = live_defaults().into_iter().find(|runtime| runtime.0.engine.is_at_work_here());
        if let Some(at_work) = at_work {
            return Ok(at_work);
        }
    }
    let mut defaults = DEFAULTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, plain)) = defaults.plain.as_ref().filter(|(settings, _)| *settings == wanted) {
        return Ok(plain.clone());
    }
    let known = defaults.made.iter().filter(|(settings, _)| *settings == wanted);
    let runtime = match known.filter_map(|(_, runtime)| runtime.upgrade()).next() {
        Some(known) => Runtime(known),
        // Under the lock, so that it is made once.
        None => Runtime::builder().build_default(wanted.clone())?,
    };
    defaults.made.retain(|(settings, other)| other.strong_count() > 0 && *settings != wanted);
    defaults.made.push((wanted.clone(), Arc::downgrade(&runtime.0)));
    let replaced = match config::keep_in_scope(runtime.clone()) {
        Ok(replaced) => (replaced, None),
        Err(plain) => (None, defaults.plain.replace((wanted, plain))),
    };
    drop(defaults);
    // Not under the lock: the last handle ends runs, and what they drop may be anything.
    drop(replaced);
    Ok(runtime)
}

/// Not under the lock when they are dropped: the last handle ends runs, and what they drop may be anything.
fn live_defaults() -> Vec<Runtime> {
    let defaults = DEFAULTS.lock().unwrap_or_else(PoisonError::into_inner);
    defaults.made.iter().filter_map(|(_, runtime)| runtime.upgrade().map(Runtime)).collect()
}
