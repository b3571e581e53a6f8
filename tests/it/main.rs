//! Integration tests: what a program that depends on the crate sees.

mod delayed;
mod exchange;
#[cfg(feature = "gzip")]
mod flights;
mod tables;
