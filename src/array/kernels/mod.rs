//! Pure functions on blocks.

mod ahead;
mod copy;
mod draw;
mod fold;
mod function;
mod histogram;
mod made;
mod math;
mod merge;
mod moments;
mod number;
mod product;
mod program;
pub(super) mod random;
mod reduce;
mod scan;
mod steps;
mod thin;
mod topk;
mod wide;

pub(super) use copy::{copy_rows, keep_places, places_kept};
pub(super) use draw::{Draw, Drawn, Permuted, Sampled, Shares};
pub(super) use fold::Fold;
pub(super) use function::{Binary, Unary};
pub(super) use histogram::{Bincount, Histogram};
pub(super) use made::{Arange, Below, Diagonal, Every, Linspace};
pub(super) use number::{FromNumber, Number};
pub(super) use product::{Matrix, add_product};
pub(super) use program::{
    Bound, Machine, Made, MadeSlice, Place, Program, Register, Step, Tile, Walk, register_bytes, run_box, with_lane,
};
pub(super) use reduce::{Kind as ReduceKind, Reduction, Target, Work};
pub(super) use scan::{Line, Running, scan_tile};
pub(super) use steps::Lane;
pub(super) use thin::{empty, thinned};
pub(super) use topk::TopK;
