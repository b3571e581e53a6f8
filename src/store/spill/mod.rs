//! Where chunks go when memory is short: files of one directory per process, checksummed, gone when nothing needs them.
//!
//! [`disk`] is the file system as a small trait, so that tests can stand in for it, [`dir`] the directory and who may remove
//! it, [`area`] what is written into it, in segments of it.

pub mod area;
pub mod dir;
pub mod disk;
mod faulty;
mod memory;
mod segment;
#[cfg(test)]
mod tests;

pub use area::{Extent, SpillArea, SpillOptions, SpillStats};
pub use dir::default_root;
pub use disk::{Disk, DiskFile, RealDisk};
pub use faulty::{Fault, FaultyDisk, Op};
pub use memory::MemoryDisk;
