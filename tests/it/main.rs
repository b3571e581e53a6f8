//! Integration tests: what a program that depends on the crate sees.

mod cancel;
mod copies;
mod delayed;
mod disks;
mod edges;
mod exchange;
mod faults;
#[cfg(feature = "gzip")]
mod flights;
mod gate;
mod large;
mod layers;
mod order;
mod persist;
mod programs;
mod runtime;
mod sharing;
mod spill;
mod support;
mod tables;
