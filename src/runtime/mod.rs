//! Running plans: the runtime and its settings, `compute` and what else asks for results, and what can be seen of a run.

pub mod config;
pub mod observe;

mod builder;
mod byte_size;
mod compute;
mod containers;
mod current;
mod duration;
mod inspect;
mod persist;
mod quantity;
mod router;
mod run;
mod scalar;
mod stream;
mod watching;

pub use self::builder::{Runtime, RuntimeBuilder};
pub use self::byte_size::IntoBytes;
pub(crate) use self::compute::finish_guarded;
pub use self::compute::{Computable, Compute, compute};
pub use self::inspect::{Inspect, Stage};
pub use self::persist::{Kept, Persist, persist};
pub use self::run::{Canceller, Progress, Run};
pub use self::scalar::Scalar;
pub use self::stream::Stream;
