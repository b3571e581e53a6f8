//! Pure functions on blocks.

mod moments;

pub(super) use moments::Moments;
