//! Running plans: settings, and what can be seen of a run.

pub mod config;
pub mod observe;

mod byte_size;
mod duration;
mod quantity;

pub use self::byte_size::IntoBytes;
