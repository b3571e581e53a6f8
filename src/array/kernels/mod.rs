//! Pure functions on blocks.

mod draw;
mod function;
mod made;
mod math;
mod merge;
mod number;
mod program;
pub(super) mod random;
mod reduce;
mod steps;
mod wide;

pub(super) use draw::{Draw, Drawn, Sampled};
pub(super) use function::{Binary, Unary};
pub(super) use made::{Arange, Diagonal, Linspace};
pub(super) use number::{FromNumber, Number};
pub(super) use program::{
    Bound, Machine, Made, Place, Program, REGISTER_BYTES, Register, Step, Tile, Walk, run_box, with_lane,
};
pub(super) use reduce::{Kind as ReduceKind, Reduction, Target, Work};
pub(super) use steps::Lane;
