//! Tables to files: rows are encoded in tasks side by side, and appended to files in the order of the plan.
//!
//! [`mod@format`] encodes batches and writes files of one format; [`ordered`] brings what tasks encoded into one file in its
//! order, [`aside`] what comes too early into a file meanwhile; [`keyed`] writes a file for each value of some columns; [`staging`] makes all of it appear whole or not at all.

pub mod aside;
mod fits;
pub mod format;
pub mod keyed;
pub mod ordered;
pub mod staging;
mod stood;
#[cfg(test)]
mod tests;

pub use aside::{Aside, Segment};
pub use format::{Encoder, Format, Item};
pub use keyed::{FileNames, Keyed};
pub use ordered::{Ordered, Part};
pub use staging::{IfExists, Staging};
