//! How many partitions a table has: `repartition`, `repartition_bytes`, `memory_usage`.

use super::DataFrame;
use super::plan::{Frame, Op};
use crate::error::{Error, ErrorKind, Result, Role};
use crate::origin::Origin;
use crate::plan::Poisoned;
use crate::runtime::{Compute, IntoBytes, Scalar};

impl DataFrame {
    /// The same rows, in their order, in another number of partitions. Fewer are neighbours put together, more are old ones cut at
    /// rows: an old partition gives equal numbers of rows to those that share it.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where there are to be none, or more than 2^32.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let df = dataframe::from_columns([("x", (0..10i64).collect::<Vec<_>>())]).repartition(4);
    /// let sizes: Vec<usize> = df.partitions().compute()?.iter().map(Table::num_rows).collect();
    /// assert_eq!(sizes, [3, 2, 3, 2]);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn repartition(&self, npartitions: usize) -> DataFrame {
        let origin = Origin::caller();
        self.derive("repartition", origin, |frame| match u32::try_from(npartitions) {
            Ok(count) if count > 0 => Ok(frame.repartitioned(count, "repartition", origin)),
            _ => Err(Error::new(ErrorKind::Plan, format!("a table cannot have {npartitions} partitions"))),
        })
    }

    /// The same rows in as many partitions as it takes for each to be of about this size in memory: a number of bytes, or a text
    /// such as `"100MB"`. Computes [`DataFrame::memory_usage`] to find that out.
    ///
    /// # Errors
    /// Where the size is none, or the table cannot be computed.
    #[track_caller]
    pub fn repartition_bytes(&self, size: impl IntoBytes) -> Result<DataFrame> {
        let origin = Origin::caller();
        let framed = |error: Error| error.frame(Role::In, "repartition_bytes", origin);
        let size = size.into_byte_count().map_err(framed)?;
        if size == 0 {
            return Err(framed(Error::new(ErrorKind::Plan, "partitions cannot be of 0 bytes")));
        }
        let bytes = self.memory_usage().compute()?;
        let count = u32::try_from(bytes.div_ceil(size).max(1));
        let count = count.map_err(|_| framed(Error::new(ErrorKind::Plan, "more than 2^32 partitions")))?;
        Ok(self
            .derive("repartition_bytes", origin, |frame| Ok(frame.repartitioned(count, "repartition_bytes", origin))))
    }

    /// About how many bytes the rows take in memory, in the types that the schema says. They are computed for it, batch by
    /// batch.
    #[track_caller]
    pub fn memory_usage(&self) -> Scalar<u64> {
        let origin = Origin::caller();
        let counted = self.frame().and_then(|frame| {
            let counted = Frame::new(Op::CountBytes, &[frame], "memory_usage", origin);
            counted.map_err(|error| error.frame(Role::In, "memory_usage", origin))
        });
        Scalar::of(counted.map_or_else(Poisoned::node, |frame| frame.node))
    }
}
