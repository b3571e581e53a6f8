//! What most programs need: `use chunkwise::prelude::*;`.

pub use crate::array::{self, Array};
pub use crate::bag::{self, Bag};
pub use crate::dataframe::{self, DataFrame, DataType, Series, Table};
pub use crate::delayed::{Delayed, DelayedVec, GraphBuilder, delayed, delayed_with, try_delayed, try_delayed_with};
pub use crate::error::{Error, ErrorKind, Result};
pub use crate::expr::{Expr, col, lit};
pub use crate::runtime::{Compute, Inspect, Persist, Runtime, Scalar, compute, persist};
