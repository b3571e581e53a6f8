//! Chunks, codecs, memory budget, block pool and spill files: the floor that holds the bytes.
//!
//! Nothing here knows of tasks, plans or threads. [`chunk`] is one erased value and what the engine knows about its type,
//! [`block`] the numeric chunk and [`pool`] the slabs under it, [`budget`] the memory ledger, [`codec`] how a value becomes
//! bytes, [`spill`] where these bytes go, [`process`] what the system says about the process, [`allocator`] what its
//! allocator keeps of freed memory.

pub mod allocator;
pub mod block;
pub mod budget;
pub mod chunk;
pub mod codec;
mod copy;
mod nd;
pub mod pool;
pub mod process;
mod size;
pub mod spill;

pub use block::{Block, Element};
pub use budget::{Budget, Reservation};
pub use chunk::{Chunk, Kind};
pub use codec::Codec;
pub(crate) use copy::{copy, is_known};
pub use nd::DType;
pub(crate) use nd::{Data, NdBlock, NdLists, Stored, lists_kind, with_data, with_stored};
pub use pool::Pool;
pub use size::{ARRAY_BYTES, BATCH_ROWS};
pub(crate) use size::{heap_bytes, largest_row, row_bytes, shown_bytes};
pub use spill::{Extent, SpillArea};
