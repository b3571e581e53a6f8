//! Reductions to one value: `count_rows`.

use super::DataFrame;
use super::plan::{Frame, Op};
use crate::error::Role;
use crate::origin::Origin;
use crate::plan::Poisoned;
use crate::runtime::Scalar;

impl DataFrame {
    /// The number of rows.
    #[track_caller]
    pub fn count_rows(&self) -> Scalar<u64> {
        let origin = Origin::caller();
        let counted = self.frame().and_then(|frame| {
            let counted = Frame::new(Op::CountRows, Some(frame), origin);
            counted.map_err(|error| error.frame(Role::In, "count_rows", origin))
        });
        match counted {
            Ok(frame) => Scalar::of(frame.node),
            Err(error) => Scalar::of(Poisoned::node(error)),
        }
    }
}
