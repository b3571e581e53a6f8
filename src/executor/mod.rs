//! Obeys the brain: gives tasks to threads, carries values between them, writes and reads spill files.
//!
//! # Protocol
//! 1. `core::Core` is the brain, the values of all runs and the actions being applied; one lock, the *core lock*.
//! 2. Each worker has a lease, with a lock of its own: the tasks given to it with their inputs, and what it has
//!    finished. Its owner holds the lock to put back a finished task and take the next; another worker that was told to
//!    steal holds it to take tasks from the back and to collect what is finished. The core lock is taken before a lease
//!    lock, never after.
//! 3. Values move: worker → lease → (core lock) slots → (core lock) lease of the reader. No value is dropped and no user
//!    code runs under the core lock; but the `Clone` of a result that is collected from another worker may.
//! 4. A run that is to end has its flag set before the brain is told, so workers skip what they were given.
//! 5. An output goes to its receiver before its task is reported, so a run that has ended has all outputs delivered.

mod core;
mod crew;
mod disk;
mod engine;
mod lease;
mod presence;
mod relief;
mod run;
mod values;
mod worker;

pub use engine::{Engine, EngineOptions, RunOptions, Threads, Watch};
pub use run::{LayerStats, Receiver, RunCanceller, RunHandle, RunStats, limit_too_small, result_too_large};
pub use worker::TaskTimes;
