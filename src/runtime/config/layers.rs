//! One layer of settings: values with where each came from, and what was wrong with the others.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use super::keys;
use crate::error::{Error, ErrorKind, Result, Role};
use crate::origin::Origin;

const PREFIX: &str = "CHUNKWISE_";

/// Variables with the prefix that are no settings: tools around the library read them and hand their environment on.
const FOR_TOOLS: &[&str] = &["CHUNKWISE_BENCH"];

/// Where a value was set.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// By the variable of this name.
    Environment(String),
    /// By `config::set`.
    Global(Origin),
    /// By `config::with` or `config::scoped`.
    Scope(Origin),
    /// By a builder or an option of a call.
    Call(Origin),
}

/// Values by key. A wrong key or value is kept as the layer's error and comes out of [`Layer::check`].
#[derive(Clone, Debug)]
pub(super) struct Layer {
    values: BTreeMap<String, String>,
    /// Of the values those that are paths which no text can hold.
    paths: BTreeMap<String, PathBuf>,
    error: Option<Error>,
}

impl Layer {
    pub(super) const fn new() -> Layer {
        Layer { values: BTreeMap::new(), paths: BTreeMap::new(), error: None }
    }

    /// The layer of all variables that begin with `CHUNKWISE_`, without those reserved for tools.
    pub(super) fn from_environment(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Layer {
        let mut layer = Layer::new();
        let mut sorted: Vec<(String, OsString)> = variables
            .into_iter()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
            .filter(|(name, _)| name.starts_with(PREFIX) && !FOR_TOOLS.contains(&&**name))
            .collect();
        sorted.sort();
        for (name, value) in sorted {
            let key = name[PREFIX.len()..].to_lowercase().replace("__", ".");
            match value.into_string() {
                Ok(value) => layer.set(&key, value, Source::Environment(name)),
                Err(_) => {
                    let text = format!("the environment variable {name} is not UTF-8");
                    layer.poison(Error::new(ErrorKind::Config, text));
                }
            }
        }
        layer
    }

    /// Sets a value; a wrong one poisons the layer.
    pub(super) fn set(&mut self, key: &str, value: String, source: Source) {
        let key = keys::normal(key);
        match check(&key, &value, &source) {
            Ok(()) => {
                self.paths.remove(&key);
                self.values.insert(key, value);
            }
            Err(error) => self.poison(error),
        }
    }

    /// Sets a path, which need not be UTF-8.
    pub(super) fn set_path(&mut self, key: &str, path: PathBuf, source: Source) {
        match path.into_os_string().into_string() {
            Ok(text) => self.set(key, text, source),
            Err(path) => {
                self.set(key, path.to_string_lossy().into_owned(), source);
                self.paths.insert(keys::normal(key), PathBuf::from(path));
            }
        }
    }

    /// Keeps an error, if it is the layer's first.
    pub(super) fn poison(&mut self, error: Error) {
        self.error.get_or_insert(error);
    }

    /// Removes a value; whether there was one.
    pub(super) fn unset(&mut self, key: &str) -> bool {
        let key = keys::normal(key);
        self.paths.remove(&key);
        self.values.remove(&key).is_some()
    }

    /// Lays a stronger layer over this one.
    pub(super) fn merge(&mut self, stronger: Layer) {
        self.paths.retain(|key, _| !stronger.values.contains_key(key));
        self.paths.extend(stronger.paths);
        self.values.extend(stronger.values);
        if let Some(error) = stronger.error {
            self.poison(error);
        }
    }

    /// The first error of the layer.
    pub(super) fn check(&self) -> Result<()> {
        self.error.clone().map_or(Ok(()), Err)
    }

    /// The value of a key in its normal spelling, or the key's default.
    pub(super) fn value(&self, key: &'static str) -> &str {
        self.values.get(key).map(String::as_str).or_else(|| keys::default(key)).unwrap_or("")
    }

    /// Whether it has a key of the library that shapes a runtime.
    pub(super) fn shapes_a_runtime(&self) -> bool {
        self.values.keys().any(|key| keys::default(key).is_some() && !super::settings::is_per_run(key))
    }

    /// The value of a key that is a path.
    pub(super) fn path(&self, key: &'static str) -> PathBuf {
        self.paths.get(key).cloned().unwrap_or_else(|| PathBuf::from(self.value(key)))
    }

    pub(super) fn into_value(mut self, key: &str) -> Option<String> {
        self.values.remove(key)
    }
}

impl Source {
    /// The error of a setting from here.
    pub(super) fn error(&self, message: impl Into<String>) -> Error {
        let error = Error::new(ErrorKind::Config, message);
        match self {
            Source::Environment(_) => error,
            Source::Global(origin) => error.frame(Role::In, "config::set", *origin),
            Source::Scope(origin) => error.frame(Role::In, "config::with", *origin),
            Source::Call(origin) => error.frame(Role::In, "the call", *origin),
        }
    }

    fn name(&self) -> String {
        match self {
            Source::Environment(name) => format!("environment variable {name}"),
            Source::Global(_) => "global".to_string(),
            Source::Scope(_) => "scope".to_string(),
            Source::Call(_) => "call".to_string(),
        }
    }

    /// A key as it is written here.
    fn spell(&self, key: &str) -> String {
        match self {
            Source::Environment(_) => format!("{PREFIX}{}", key.replace('.', "__").to_uppercase()),
            Source::Global(_) | Source::Scope(_) | Source::Call(_) => key.to_string(),
        }
    }
}

fn check(key: &str, value: &str, source: &Source) -> Result<()> {
    let name = source.name();
    keys::check_key(key, |known| source.spell(known))
        .map_err(|reason| source.error(format!("setting `{key}` ({name}) {reason}")))?;
    keys::check_value(key, value)
        .map_err(|reason| source.error(format!("setting `{key}` ({name}): `{value}` is not accepted: {reason}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_become_keys() {
        let variables = [("CHUNKWISE_MYAPP__DEEP__KEY", "1"), ("CHUNKWISE_THREADS", "3"), ("OTHER", "x")];
        let layer = Layer::from_environment(variables.map(|(name, value)| (name.into(), value.into())));
        layer.check().unwrap();
        assert_eq!(layer.value("myapp.deep.key"), "1");
        assert_eq!(layer.value("threads"), "3");
        assert_eq!(layer.value("scheduler"), "threads");
        assert_eq!(layer.values.len(), 2);
    }

    #[test]
    fn variables_of_tools_are_no_settings() {
        let layer = Layer::from_environment([("CHUNKWISE_BENCH".into(), "target/contender".into())]);
        layer.check().unwrap();
        assert!(layer.values.is_empty());
        for wrong in ["CHUNKWISE_BENCHES", "CHUNKWISE_BENCH_"] {
            let error = Layer::from_environment([(wrong.into(), "x".into())]).check().unwrap_err();
            assert!(error.message().contains(wrong) && error.message().contains("is unknown"), "{error}");
        }
        let docs = include_str!("mod.rs");
        for name in FOR_TOOLS {
            assert!(docs.contains(&format!("`{name}`")), "{name} is not in the docs");
        }
    }

    #[test]
    fn the_first_error_stays() {
        let mut layer = Layer::new();
        layer.set("threads", "none".to_string(), Source::Call(Origin::UNKNOWN));
        layer.set("colour", "red".to_string(), Source::Call(Origin::UNKNOWN));
        layer.set("threads", "2".to_string(), Source::Call(Origin::UNKNOWN));
        assert!(layer.check().unwrap_err().message().contains("`none`"));
    }
}
