//! State under a budget: what operators that need all of their input hold between tasks.
//!
//! [`exchange`] is the typed state of one exchange, [`group`] the tables of a group-by, [`join`] a table held to be joined with.

pub mod exchange;
pub mod group;
pub mod join;

pub use exchange::{Exchange, Load};
