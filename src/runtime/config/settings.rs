//! The settings as typed values, and what a call gives on top of the layers.

use std::path::PathBuf;
use std::time::Duration;

use super::layers::{Layer, Source};
use super::{ENVIRONMENT, innermost, keys, merged};
use crate::error::{Error, Result};
use crate::origin::Origin;
use crate::runtime::byte_size::{self, IntoBytes};
use crate::runtime::duration;

/// All settings, read from the layers at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Worker threads; `None` is for as many as the process may use.
    pub threads: Option<usize>,
    /// The memory limit; `None` is for one made from the memory the process may use.
    pub memory_limit_bytes: Option<u64>,
    /// Where spill files go; `None` is for a place chosen by the library.
    pub spill_dir: Option<PathBuf>,
    /// The most that may lie in spill files at once.
    pub spill_cap_bytes: Option<u64>,
    /// Who runs the tasks.
    pub scheduler: Scheduler,
    /// Whether long runs show a progress bar on stderr.
    pub progress: bool,
    /// How long a run may take.
    pub timeout: Option<Duration>,
    /// Which passes over the graph are made.
    pub optimize: Optimize,
    /// How many spill files are kept open at once.
    pub open_files: usize,
    /// Whether every task is timed and reported.
    pub observe_tasks: bool,
}

/// Who runs the tasks of a graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scheduler {
    /// A pool of threads.
    #[default]
    Threads,
    /// The calling thread, one task after the other, in a fixed order.
    Synchronous,
}

/// Which passes over plans and graphs are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Optimize {
    /// By their places in [`Optimize::PASSES`].
    on: [bool; Optimize::PASSES.len()],
}

impl Optimize {
    /// The keys of the passes: first those over plans of tables, in their order, then those over graphs.
    pub const PASSES: [&'static str; 12] = [
        "optimize.merge",
        "optimize.simplify",
        "optimize.rescan",
        "optimize.predicates",
        "optimize.columns",
        "optimize.limits",
        "optimize.pipeline",
        "optimize.elementwise",
        "optimize.reads",
        "optimize.share",
        "optimize.cull",
        "optimize.fuse",
    ];

    /// Every pass, or none.
    pub fn all(on: bool) -> Optimize {
        Optimize { on: [on; Optimize::PASSES.len()] }
    }

    /// Whether a pass is made; one that is not known is.
    pub fn is_on(&self, pass: &str) -> bool {
        let is_it = |known: &&str| known.strip_prefix("optimize.") == Some(pass);
        Optimize::PASSES.iter().position(is_it).is_none_or(|at| self.on[at])
    }

    /// As each pass is told.
    fn read(mut is_on: impl FnMut(&'static str) -> Result<bool>) -> Result<Optimize> {
        let mut optimize = Optimize::all(true);
        for (on, pass) in optimize.on.iter_mut().zip(Optimize::PASSES) {
            *on = is_on(pass)?;
        }
        Ok(optimize)
    }
}

/// What every run reads anew, from the layers of that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::runtime) struct PerRun {
    pub timeout: Option<Duration>,
    pub optimize: Optimize,
}

/// Keys of [`PerRun`]; all others shape a runtime when it is built.
pub(super) fn is_per_run(key: &str) -> bool {
    key == "timeout" || key.starts_with("optimize.")
}

impl PerRun {
    /// Of this moment, on this thread, for a runtime with what its builder said and the scopes it was built in.
    pub fn resolve(built_in: &Overrides, builder: &Overrides) -> Result<PerRun> {
        let mut all = super::below_scopes(&ENVIRONMENT);
        all.merge(built_in.0.clone());
        all.merge(innermost());
        all.merge(builder.0.clone());
        all.check()?;
        PerRun::read(&Read(&all))
    }

    fn read(read: &Read<'_>) -> Result<PerRun> {
        Ok(PerRun {
            timeout: read.unless("timeout", "none", |text| duration::parse(text).ok())?,
            optimize: Optimize::read(|key| read.value(key, keys::flag))?,
        })
    }
}

impl Settings {
    /// What tells runtimes from each other: without what every run reads anew.
    pub(in crate::runtime) fn shape(&self) -> Settings {
        let optimize = Optimize::all(true);
        Settings { timeout: None, optimize, ..self.clone() }
    }

    /// The settings of this moment, on this thread, with those of a call on top.
    ///
    /// # Errors
    /// Of kind [`Config`](crate::error::ErrorKind::Config): a wrong key or value in any layer.
    pub fn resolve(call: &Overrides) -> Result<Settings> {
        resolve(&ENVIRONMENT, call)
    }
}

/// What a call gives: the strongest layer. A wrong key or value is kept until the settings are resolved.
#[derive(Clone, Debug)]
pub struct Overrides(Layer);

impl Default for Overrides {
    fn default() -> Overrides {
        Overrides::new()
    }
}

impl Overrides {
    /// Nothing given.
    pub const fn new() -> Overrides {
        Overrides(Layer::new())
    }

    /// What the scopes in force on this thread say.
    pub(in crate::runtime) fn of_scopes() -> Overrides {
        Overrides(innermost())
    }

    /// Gives a value.
    #[track_caller]
    pub fn set(&mut self, key: &str, value: impl ToString) {
        self.0.set(key, value.to_string(), Source::Call(Origin::caller()));
    }

    /// Gives a size in bytes.
    #[track_caller]
    pub fn bytes(&mut self, key: &str, size: impl IntoBytes) {
        let source = Source::Call(Origin::caller());
        match size.into_byte_count() {
            Ok(bytes) => self.0.set(key, bytes.to_string(), source),
            Err(error) => self.0.poison(source.error(format!("setting `{key}` (call): {}", error.message()))),
        }
    }

    /// Gives a path, which need not be UTF-8.
    #[track_caller]
    pub fn path(&mut self, key: &str, path: impl Into<PathBuf>) {
        self.0.set_path(key, path.into(), Source::Call(Origin::caller()));
    }

    /// Gives a span of time. One of more than five hundred years is the same as `none`.
    #[track_caller]
    pub fn duration(&mut self, key: &str, span: Duration) {
        let text = match u64::try_from(span.as_nanos()) {
            Ok(nanos) => format!("{nanos} ns"),
            Err(_) => "none".to_string(),
        };
        self.0.set(key, text, Source::Call(Origin::caller()));
    }
}

pub(super) fn resolve(environment: &Layer, call: &Overrides) -> Result<Settings> {
    let mut all = merged(environment)?;
    all.merge(call.0.clone());
    all.check()?;
    let read = Read(&all);
    let per_run = PerRun::read(&read)?;
    Ok(Settings {
        threads: read.unless("threads", "auto", keys::count)?,
        memory_limit_bytes: read.unless("memory_limit", "auto", |text| byte_size::parse(text).ok())?,
        spill_dir: read.unless("spill_dir", "auto", |_| Some(all.path("spill_dir")))?,
        spill_cap_bytes: read.unless("spill_cap", "none", |text| byte_size::parse(text).ok())?,
        scheduler: read.value("scheduler", |text| {
            Some(if keys::is_word(text, "synchronous") { Scheduler::Synchronous } else { Scheduler::Threads })
        })?,
        progress: read.value("progress", keys::flag)?,
        timeout: per_run.timeout,
        optimize: per_run.optimize,
        open_files: read.value("spill.open_files", keys::count)?,
        observe_tasks: read.value("observe.tasks", keys::flag)?,
    })
}

/// Reads checked values as what they are.
struct Read<'a>(&'a Layer);

impl Read<'_> {
    fn value<T>(&self, key: &'static str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T> {
        let text = self.0.value(key);
        // Every value was checked when it was set.
        parse(text).ok_or_else(|| Error::internal(format!("setting `{key}` holds `{text}`")))
    }

    /// `None` where the value is the word for "nothing given".
    fn unless<T>(&self, key: &'static str, word: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>> {
        if keys::is_word(self.0.value(key), word) { Ok(None) } else { self.value(key, parse).map(Some) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(give: impl FnOnce(&mut Overrides)) -> Result<Settings> {
        let mut call = Overrides::new();
        give(&mut call);
        resolve(&Layer::new(), &call)
    }

    #[test]
    fn every_setting_is_read() {
        let settings = settings(|call| {
            call.set("threads", 3);
            call.bytes("memory-limit", "2GB");
            call.set("spill-dir", "spill here");
            call.bytes("spill_cap", 1 << 30);
            call.set("scheduler", "Synchronous");
            call.set("progress", true);
            call.duration("timeout", Duration::from_millis(1500));
            for (pass, off) in Optimize::PASSES.iter().zip(["off", "false", "0"].into_iter().cycle()) {
                call.set(pass, off);
            }
            call.set("spill.open-files", 9);
            call.set("observe.tasks", "yes");
        });
        let expected = Settings {
            threads: Some(3),
            memory_limit_bytes: Some(2_000_000_000),
            spill_dir: Some("spill here".into()),
            spill_cap_bytes: Some(1 << 30),
            scheduler: Scheduler::Synchronous,
            progress: true,
            timeout: Some(Duration::from_millis(1500)),
            optimize: Optimize::all(false),
            open_files: 9,
            observe_tasks: true,
        };
        assert_eq!(settings.unwrap(), expected);
    }

    #[test]
    fn the_defaults() {
        let settings = settings(|_| {}).unwrap();
        assert_eq!((settings.threads, settings.memory_limit_bytes, settings.timeout), (None, None, None));
        assert_eq!(settings.optimize, Optimize::all(true));
        assert_eq!(settings.scheduler, Scheduler::Threads);
    }

    #[test]
    fn what_no_text_can_hold() {
        let settings_of = |give: &dyn Fn(&mut Overrides)| settings(|call| give(call)).unwrap();
        assert_eq!(settings_of(&|call| call.duration("timeout", Duration::MAX)).timeout, None);
        assert_eq!(settings_of(&|call| call.path("spill_dir", "here")).spill_dir, Some("here".into()));
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStringExt;
            let path = PathBuf::from(std::ffi::OsString::from_vec(vec![b'/', 0xff]));
            assert_eq!(settings_of(&|call| call.path("spill-dir", &path)).spill_dir, Some(path.clone()));
            // The last word counts.
            let again = settings_of(&|call| {
                call.path("spill_dir", &path);
                call.set("spill_dir", "text");
            });
            assert_eq!(again.spill_dir, Some("text".into()));
        }
    }

    #[test]
    fn an_error_waits_and_names_the_line_of_the_call() {
        let mut line = 0;
        let error = settings(|call| {
            line = line!() + 1;
            call.bytes("memory_limit", -1);
            call.set("threads", 2);
        });
        let text = error.unwrap_err().to_string();
        assert!(text.starts_with("setting `memory_limit` (call): `-1` is no size in bytes: it is negative"), "{text}");
        assert!(text.ends_with(&format!("in `the call` at {}:{line}", file!())), "{text}");
    }
}
