//! State under a budget: what operators that need all of their input hold between tasks.
//!
//! [`exchange`] is the typed state of one exchange, [`group`] the tables of a group-by.

pub mod exchange;
pub mod group;

pub use exchange::{Exchange, Load};
