//! The brain: which task runs when, where, and what leaves memory for it.
//!
//! A pure state machine. [`Brain::handle`] takes what happened and says what is to be done; it has no thread, clock,
//! lock, file or random source, and knows a graph only through [`Topology`]. Executors obey and report. One brain
//! serves all runs of a runtime and arbitrates memory between them.

mod brain;
mod check;
mod event;
mod lease;
mod ledger;
mod memory;
mod run;
mod shape;
#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;
mod topology;

pub use brain::{Brain, BrainConfig, SubTask};
pub use event::{Actions, Event, Outcome, OutputMode, Pieces, RunId, SMALL_RESULTS, Start, Submission, Worker};
pub use topology::{Expansion, Topology};
