//! What most programs need: `use chunkwise::prelude::*;`.

pub use crate::array::{self, Array, Axis, Boundary, Chunks, Depth, s};
pub use crate::bag::{self, Bag};
pub use crate::convert::Lengths;
pub use crate::dataframe::{self, Agg, DataFrame, DataType, How, IntoArray, On, Sample, Series, Table};
pub use crate::delayed::{Delayed, DelayedVec, GraphBuilder, delayed, delayed_with, try_delayed, try_delayed_with};
pub use crate::error::{Error, ErrorKind, Result};
pub use crate::expr::{
    Expr, aggregate, all, all_horizontal, any_horizontal, booleans, by_type, coalesce, col, cols, cols_matching,
    concat_str, corr, cov, exclude, floats, integers, lit, max_horizontal, min_horizontal, numeric, size,
    sum_horizontal, temporal, text, when,
};
pub use crate::runtime::{Compute, Inspect, Persist, Runtime, Scalar, compute, persist};
