//! Integration tests: what a program that depends on the crate sees.

mod delayed;
mod faults;
mod runtime;
mod spill;
mod support;
