//! What becomes of the elements along some axes: kept of each block, put together, and finished.

use super::reduce::{Kind, Reduction, Work};
use crate::error::Result;
use crate::store::{DType, NdBlock};

/// A way in which the elements along some axes become few. What is kept is a list of blocks.
pub(crate) trait Fold: Send + Sync {
    /// What it is called.
    fn name(&self) -> &str;

    /// Equal for those that do the same.
    fn key(&self) -> String;

    /// Bytes that are kept for so many places that are left, at most.
    fn kept_bytes(&self, places: u64) -> u64;

    /// One that has seen nothing, of so many places.
    fn start(&self, places: usize) -> Box<dyn Work>;

    /// Puts what is kept of another block behind what is kept of one.
    ///
    /// # Errors
    /// Of kind `Internal`, where they are kept by others.
    fn merge(&self, into: &mut Vec<NdBlock>, other: &[NdBlock]) -> Result<()>;

    /// What comes out in the end, of places in a shape that has length 1 along the axes that are gone.
    ///
    /// # Errors
    /// Of kind `Data`, where there is no element that has a place; of kind `Internal`, where it is kept by others.
    fn finish(&self, kept: &[NdBlock], shape: &[usize]) -> Result<NdBlock>;
}

impl Fold for Reduction {
    fn name(&self) -> &str {
        Reduction::name(self)
    }

    fn key(&self) -> String {
        format!("{self:?}")
    }

    fn kept_bytes(&self, places: u64) -> u64 {
        let own = self.of.bytes() as u64;
        let complex = matches!(self.of, DType::C32 | DType::C64);
        let carries = complex || matches!(self.of, DType::F32 | DType::F64);
        let wide = if complex { 16 } else { 8 };
        places
            * match self.kind {
                Kind::Sum | Kind::Mean => wide + if carries { wide } else { 0 } + if self.skip_nan { 8 } else { 0 },
                Kind::Prod => wide,
                Kind::Min | Kind::Max => own + 1,
                Kind::ArgMin | Kind::ArgMax => own + 8,
                Kind::Var { .. } | Kind::Std { .. } => 24,
                Kind::Any | Kind::All => 1,
                Kind::Count | Kind::CountNonzero => 8,
            }
    }

    fn start(&self, places: usize) -> Box<dyn Work> {
        Reduction::start(self, places)
    }

    fn merge(&self, into: &mut Vec<NdBlock>, other: &[NdBlock]) -> Result<()> {
        Reduction::merge(self, into, other)
    }

    fn finish(&self, kept: &[NdBlock], shape: &[usize]) -> Result<NdBlock> {
        Reduction::finish(self, kept, shape)
    }
}
