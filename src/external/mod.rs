//! State under a budget: what operators that need all of their input hold between tasks.
//!
//! [`exchange`] is the typed state of one exchange, [`aggregate`] the table of a group-by.

pub mod aggregate;
pub mod exchange;

pub use exchange::{Exchange, Load};
