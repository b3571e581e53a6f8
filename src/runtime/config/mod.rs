//! Settings: dotted keys with text values, in layers.
//!
//! The layers, the stronger first:
//!
//! | layer | set by | lasts |
//! |---|---|---|
//! | call | a builder or an option of the call ([`Overrides`]) | that call |
//! | scope | [`with`], [`scoped`] | the closure or guard, on its thread |
//! | global | [`set`] | the process, all threads |
//! | environment | `CHUNKWISE_THREADS=4`; `__` is a dot: `CHUNKWISE_OPTIMIZE__FUSE=off` | read once, at the first use |
//! | default | the table below | |
//!
//! `timeout` and `optimize.*` are read anew by every run. The others say how a runtime is to be: a `compute` outside of
//! [`Runtime::run`](super::Runtime::run) uses one of the values in force where it is called, made at the first need and
//! shared by all that need the same one, and inside its tasks the same again; a [`Runtime`](super::Runtime) that a program builds takes from the layers, when
//! it is built, what its builder leaves open. A runtime keeps to what its builder said, and to the scopes it was built
//! in where no scope around the call says otherwise. So the call level is the runtime of `compute_on` or of
//! [`Runtime::run`](super::Runtime::run), and [`with`] around a single call does the same for one setting:
//!
//! ```
//! use chunkwise::prelude::*;
//! use chunkwise::runtime::config;
//!
//! let work = delayed(|| 6).map(|x| x * 7);
//! assert_eq!(config::with([("threads", "1")], || work.compute())?, 42);
//! let error = config::with([("timeout", "soon")], || work.compute()).unwrap_err();
//! assert!(error.to_string().starts_with("setting `timeout` (scope): `soon` is not accepted"));
//! # Ok::<(), chunkwise::Error>(())
//! ```
//!
//! In a key `-` equals `_`. The keys of the library:
//!
//! | key | accepted | default |
//! |---|---|---|
//! | `threads` | a whole number from 1 to 1024, or `auto`: as many as the process may use | `auto` |
//! | `memory_limit` | a size in bytes above 0, or `auto`: from the memory the process may use | `auto` |
//! | `spill_dir` | a path, or `auto` | `auto` |
//! | `spill_cap` | a size in bytes, or `none` | `none` |
//! | `scheduler` | `threads` or `synchronous` | `threads` |
//! | `progress` | `true` or `false` | `false` |
//! | `timeout` | a span of time, or `none` | `none` |
//! | `optimize.merge`, `optimize.simplify`, `optimize.rescan`, `optimize.predicates`, `optimize.columns`, `optimize.limits`, `optimize.pipeline` (tables); `optimize.merge`, `optimize.elementwise`, `optimize.reads` (arrays); `optimize.share`, `optimize.cull`, `optimize.fuse` (graphs) | `true` or `false` | `true` |
//! | `spill.open_files` | a whole number from 1 to 65535 | `64` |
//! | `observe.tasks` | `true` or `false` | `false` |
//!
//! Any other key without a dot, or below `optimize`, `spill` and `observe`, is an error that names the nearest known one.
//! Keys below other names (`myapp.colour`) are free for programs. One variable is no setting, though it begins like one:
//! `CHUNKWISE_BENCH`, by which a benchmark finds the program it is to start.
//!
//! ```
//! use chunkwise::runtime::config;
//!
//! config::set("myapp.colour", "green")?;
//! assert_eq!(config::get("myapp.colour")?, "green");
//! config::with([("threads", 2)], || {
//!     assert_eq!(config::get("threads")?, "2");
//!     Ok::<(), chunkwise::Error>(())
//! })?;
//! let error = config::set("thread", 2).unwrap_err();
//! assert!(error.to_string().starts_with("setting `thread` (global) is unknown (did you mean `threads`?)"));
//! # Ok::<(), chunkwise::Error>(())
//! ```

mod keys;
mod layers;
mod settings;

use std::any::Any;
use std::cell::RefCell;
use std::ffi::OsString;
use std::marker::PhantomData;
use std::sync::{LazyLock, PoisonError, RwLock};

pub use self::keys::MAX_THREADS;
use self::layers::{Layer, Source};
pub(super) use self::settings::PerRun;
pub use self::settings::{Optimize, Overrides, Scheduler, Settings};
use crate::error::{Error, ErrorKind, Result};
use crate::origin::Origin;

static GLOBAL: RwLock<Layer> = RwLock::new(Layer::new());
static ENVIRONMENT: LazyLock<Layer> = LazyLock::new(|| Layer::from_environment(std::env::vars_os()));

thread_local! {
    static SCOPES: RefCell<Vec<Open>> = const { RefCell::new(Vec::new()) };
}

/// A scope in force.
struct Open {
    id: u64,
    layer: Layer,
    /// What lives as long as the scope.
    kept: Option<Box<dyn Any>>,
}

/// Sets a value for the whole process, below every scope and call.
///
/// # Errors
/// Of kind [`ErrorKind::Config`]: an unknown key of the library, or a value it does not accept. Nothing is set then.
#[track_caller]
pub fn set(key: impl AsRef<str>, value: impl ToString) -> Result<()> {
    let source = Source::Global(Origin::caller());
    let mut one = Layer::new();
    one.set(key.as_ref(), value.to_string(), source);
    one.check()?;
    let mut global = GLOBAL.write().unwrap_or_else(PoisonError::into_inner);
    global.merge(one);
    Ok(())
}

/// Takes back what [`set`] set for a key; whether it had been set.
pub fn unset(key: impl AsRef<str>) -> bool {
    GLOBAL.write().unwrap_or_else(PoisonError::into_inner).unset(key.as_ref())
}

/// The value of a key, from the strongest layer that has it.
///
/// # Errors
/// Of kind [`ErrorKind::Config`]: the key is not set and has no default, or a layer holds a wrong key or value.
pub fn get(key: impl AsRef<str>) -> Result<String> {
    let key = key.as_ref();
    look_up(key)?.ok_or_else(|| {
        let hint = keys::suggestion(&keys::normal(key)).map(|near| format!(" (did you mean `{near}`?)"));
        Error::new(
            ErrorKind::Config,
            format!("setting `{key}` is not set and has no default{}", hint.unwrap_or_default()),
        )
    })
}

/// The value of a key, or `default` where it is not set.
///
/// # Errors
/// Of kind [`ErrorKind::Config`]: a layer holds a wrong key or value.
pub fn get_or(key: impl AsRef<str>, default: impl Into<String>) -> Result<String> {
    Ok(look_up(key.as_ref())?.unwrap_or_else(|| default.into()))
}

/// Runs a closure with settings that hold inside it, on this thread, for all that it builds and computes.
///
/// A wrong key or value is kept and comes out of the next read of the settings inside: [`get`], building a runtime,
/// `compute`; it names the line of this call.
#[track_caller]
pub fn with<K: AsRef<str>, V: ToString, R>(pairs: impl IntoIterator<Item = (K, V)>, run: impl FnOnce() -> R) -> R {
    let _scope = scoped(pairs);
    run()
}

/// The guard form of [`with`]: the settings hold on this thread until the guard is dropped.
#[track_caller]
pub fn scoped<K: AsRef<str>, V: ToString>(pairs: impl IntoIterator<Item = (K, V)>) -> Scope {
    let source = Source::Scope(Origin::caller());
    let mut layer = Layer::new();
    for (key, value) in pairs {
        layer.set(key.as_ref(), value.to_string(), source.clone());
    }
    SCOPES.with_borrow_mut(|scopes| {
        let id = scopes.last().map_or(0, |last| last.id + 1);
        scopes.push(Open { id, layer, kept: None });
        Scope { id, bound_to_thread: PhantomData }
    })
}

/// Settings that hold on this thread while it lives; made by [`scoped`].
#[derive(Debug)]
#[must_use = "the settings hold only while the guard lives"]
pub struct Scope {
    id: u64,
    bound_to_thread: PhantomData<*const ()>,
}

impl Drop for Scope {
    fn drop(&mut self) {
        // While the thread ends its scopes may be gone already.
        let gone = SCOPES.try_with(|scopes| {
            let mut scopes = scopes.borrow_mut();
            let at = scopes.iter().position(|open| open.id == self.id);
            at.map(|at| scopes.remove(at))
        });
        // Dropped here, not under the borrow: it may be a runtime, which ends its runs.
        drop(gone);
    }
}

fn look_up(key: &str) -> Result<Option<String>> {
    let key = keys::normal(key);
    let entry = merged(&ENVIRONMENT)?.into_value(&key);
    Ok(entry.or_else(|| keys::default(&key).map(str::to_string)))
}

/// The layers below the call as one, checked.
fn merged(environment: &Layer) -> Result<Layer> {
    let mut all = below_scopes(environment);
    all.merge(innermost());
    all.check()?;
    Ok(all)
}

fn below_scopes(environment: &Layer) -> Layer {
    let mut all = environment.clone();
    all.merge(GLOBAL.read().unwrap_or_else(PoisonError::into_inner).clone());
    all
}

/// The scopes in force on this thread as one layer.
fn innermost() -> Layer {
    let mut all = Layer::new();
    SCOPES.with_borrow(|scopes| scopes.iter().for_each(|open| all.merge(open.layer.clone())));
    all
}

/// Whether a scope of this thread says how a runtime is to be.
pub(super) fn scope_shapes_a_runtime() -> bool {
    SCOPES.with_borrow(|scopes| scopes.iter().any(|open| open.layer.shapes_a_runtime()))
}

/// Keeps a value as long as the innermost scope of this thread that says how a runtime is to be, in place of the one kept
/// there before, which comes back; the value itself comes back where there is no such scope.
pub(super) fn keep_in_scope<T: Any>(value: T) -> Result<Option<Box<dyn Any>>, T> {
    SCOPES.with_borrow_mut(|scopes| match scopes.iter_mut().rfind(|open| open.layer.shapes_a_runtime()) {
        Some(open) => Ok(open.kept.replace(Box::new(value))),
        None => Err(value),
    })
}

/// The settings of a call, where the environment is what is given: for tests, and for programs that bring their own.
///
/// # Errors
/// Of kind [`ErrorKind::Config`]: a wrong key or value in any layer.
pub fn settings_in(environment: impl IntoIterator<Item = (OsString, OsString)>, call: &Overrides) -> Result<Settings> {
    settings::resolve(&Layer::from_environment(environment), call)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(OsString, OsString)> {
        pairs.map(|(name, value)| (name.into(), value.into())).into()
    }

    #[test]
    fn the_stronger_layer_wins() {
        let environment =
            environment([("CHUNKWISE_SPILL__OPEN_FILES", "1"), ("HOME", "x"), ("CHUNKWISE_SPILL_CAP", "1GB")]);
        let open_files = |call: &Overrides| settings_in(environment.clone(), call).unwrap().open_files;
        let mut call = Overrides::new();
        assert_eq!(open_files(&call), 1);
        set("spill.open-files", 2).unwrap();
        assert_eq!(open_files(&call), 2);
        with([("spill.open_files", 3)], || {
            assert_eq!(open_files(&call), 3);
            let inner = scoped([("spill.open-files", 4)]);
            assert_eq!(open_files(&call), 4);
            call.set("spill.open_files", 5);
            assert_eq!(open_files(&call), 5);
            drop(inner);
        });
        assert_eq!(open_files(&Overrides::new()), 2);
        assert!(unset("spill.open_files") && !unset("spill.open_files"));
        assert_eq!(open_files(&Overrides::new()), 1);
        assert_eq!(settings_in(environment, &Overrides::new()).unwrap().spill_cap_bytes, Some(1_000_000_000));
        assert_eq!(settings_in([], &Overrides::new()).unwrap().open_files, 64);
    }

    #[test]
    fn a_scope_holds_on_its_thread_and_guards_may_be_dropped_in_any_order() {
        let first = scoped([("myapp.scope", "first")]);
        let second = scoped([("myapp.scope", "second")]);
        let elsewhere = std::thread::spawn(|| get_or("myapp.scope", "none").unwrap()).join().unwrap();
        assert_eq!(elsewhere, "none");
        drop(first);
        assert_eq!(get("myapp.scope").unwrap(), "second");
        let third = scoped([("myapp.scope", "third")]);
        drop(second);
        assert_eq!(get("myapp.scope").unwrap(), "third");
        drop(third);
        assert!(get("myapp.scope").is_err());
    }

    #[test]
    fn a_missing_key_is_an_error_unless_a_default_is_given() {
        insta::assert_snapshot!(get("myapp.size").unwrap_err(), @"setting `myapp.size` is not set and has no default");
        assert_eq!(get_or("myapp.size", "7").unwrap(), "7");
        assert_eq!(get_or("threads", "7").unwrap(), "auto");
        insta::assert_snapshot!(get("memory.limit").unwrap_err(), @"setting `memory.limit` is not set and has no default (did you mean `memory_limit`?)");
    }

    #[test]
    fn errors_name_key_value_source_and_what_is_accepted() {
        let mut texts = Vec::new();
        for (name, value) in [
            ("CHUNKWISE_THREADS", "many"),
            ("CHUNKWISE_MEMORY_LIMT", "1GB"),
            ("CHUNKWISE_OPTIMIZE_FUSE", "off"),
            ("CHUNKWISE_TIMEOUT", "soon"),
            ("CHUNKWISE_SCHEDULER", "proceses"),
        ] {
            texts.push(settings_in(environment([(name, value)]), &Overrides::new()).unwrap_err().to_string());
        }
        texts.push(set("memory_limit", "-1").unwrap_err().to_string());
        texts.push(with([("optimize.fues", true)], || get("myapp.x").unwrap_err().to_string()));
        let mut call = Overrides::new();
        call.bytes("memory_limit", 0);
        texts.push(settings_in([], &call).unwrap_err().to_string());
        let mut call = Overrides::new();
        call.bytes("memory_limit", "2 XB");
        texts.push(settings_in([], &call).unwrap_err().to_string());
        texts.push(set("colour", "red").unwrap_err().to_string());
        texts.push(set("a..b", 1).unwrap_err().to_string());
        // Lines of this file move.
        let texts: Vec<String> = texts.iter().map(|text| text.split(" at ").next().unwrap().to_string()).collect();
        insta::assert_snapshot!(texts.join("\n"), @r"
        setting `threads` (environment variable CHUNKWISE_THREADS): `many` is not accepted: accepted is a whole number from 1 to 1024, or auto
        setting `memory_limt` (environment variable CHUNKWISE_MEMORY_LIMT) is unknown (did you mean `CHUNKWISE_MEMORY_LIMIT`?)
        setting `optimize_fuse` (environment variable CHUNKWISE_OPTIMIZE_FUSE) is unknown (did you mean `CHUNKWISE_OPTIMIZE__FUSE`?)
        setting `timeout` (environment variable CHUNKWISE_TIMEOUT): `soon` is not accepted: it does not begin with a number; accepted is a span of time such as 90s, 1500ms or 2 min (ns, us, ms, s, min, h, d) or a number of seconds, or none
        setting `scheduler` (environment variable CHUNKWISE_SCHEDULER): `proceses` is not accepted: accepted are threads and synchronous
        setting `memory_limit` (global): `-1` is not accepted: it is negative; accepted is a size such as 2GB or 1.5 GiB (B, kB to PB, KiB to PiB) or a number of bytes, or auto
          in `config::set`
        setting `optimize.fues` (scope) is unknown (did you mean `optimize.fuse`?)
          in `config::with`
        setting `memory_limit` (call): `0` is not accepted: it is less than 1; accepted is a size such as 2GB or 1.5 GiB (B, kB to PB, KiB to PiB) or a number of bytes, or auto
          in `the call`
        setting `memory_limit` (call): `2 XB` is no size in bytes: the unit `XB` is unknown; accepted is a size such as 2GB or 1.5 GiB (B, kB to PB, KiB to PiB) or a number of bytes
          in `the call`
        setting `colour` (global) is unknown; known are threads, memory_limit, spill_dir, spill_cap, scheduler, progress, timeout, optimize.merge, optimize.simplify, optimize.rescan, optimize.predicates, optimize.columns, optimize.limits, optimize.pipeline, optimize.elementwise, optimize.reads, optimize.cull, optimize.share, optimize.fuse, spill.open_files, observe.tasks
          in `config::set`
        setting `a..b` (global) is no key: names separated by single dots are accepted
          in `config::set`
        ");
    }
}
