//! Integration tests: what a program that depends on the crate sees.

mod delayed;
mod spill;
mod support;
