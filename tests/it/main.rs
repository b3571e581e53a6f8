//! Integration tests: what a program that depends on the crate sees.

mod delayed;
mod exchange;
mod faults;
#[cfg(feature = "gzip")]
mod flights;
mod runtime;
mod spill;
mod support;
mod tables;
