//! Seeing a run: what the runtime tells while it works, and what stands on it.
//!
//! An [`Observer`] is told [`RunEvent`]s. The library's own are [`Profile`] (every task with its times), [`Callbacks`]
//! (closures), the progress bar (feature `progress`) and `tracing` spans and events (feature `tracing`). Each run ends with a
//! [`RunReport`].

mod callbacks;
mod event;
#[cfg(test)]
mod fixture;
mod notify;
mod profile;
#[cfg(feature = "progress")]
mod progress_bar;
mod report;
mod trace;
#[cfg(feature = "tracing")]
mod tracing_observer;

pub use self::callbacks::Callbacks;
pub use self::event::{LayerInfo, NamedTask, Observer, RunEvent, TaskRecord};
pub use self::notify::Observers;
pub use self::profile::{Move, MoveKind, Profile, ProfiledRun, RunEnd};
#[cfg(feature = "progress")]
pub use self::progress_bar::ProgressBar;
pub use self::report::{LayerReport, Outcome, RunReport};
#[cfg(feature = "tracing")]
pub use self::tracing_observer::TracingObserver;
