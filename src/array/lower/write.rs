//! Blocks to where they are stored: each by a task, then one that puts all in place.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::super::plan::{Cuts, WriteOp, Written, coords};
use super::{Lowering, meta};
use crate::error::{Error, Result};
use crate::formats::array::{BlockTarget, OpenTarget, shown_region};
use crate::graph::{Chunk, Exchange, Input, Inputs, Kind, LayerRef, Pattern, TaskContext, exchange};
use crate::plan::RegionLowering;
use crate::store::{Budget, NdBlock, chunk};

/// What writes one array.
struct WriteExchange {
    label: String,
    target: Arc<dyn BlockTarget>,
    /// Of each axis.
    cuts: Vec<Vec<usize>>,
    need: u64,
}

/// What a run writes.
#[derive(Default)]
struct Writing {
    /// Made by the first task that has a block.
    open: OnceLock<Result<Box<dyn OpenTarget>>>,
    blocks: AtomicU64,
    bytes: AtomicU64,
    written: Mutex<Option<Written>>,
}

impl Lowering {
    pub(super) fn write(&self, at: usize, write: &WriteOp, lowering: &mut RegionLowering<'_, '_>) -> Result<u32> {
        let node = &self.plan.nodes[at];
        let input = node.inputs[0];
        let layer = self.made[input].ok_or_else(|| Error::internal("blocks are written before they are made"))?;
        let of = &self.plan.nodes[input];
        let cuts: Option<Vec<Vec<usize>>> = of.cuts.iter().map(|cuts| cuts.known().map(<[usize]>::to_vec)).collect();
        let cuts = cuts.ok_or_else(|| Error::internal("blocks of unknown lengths are written"))?;
        let most = of.cuts.iter().filter_map(Cuts::most).fold(of.dtype.bytes() as u64, |all, len| all * len as u64);
        let tasks = of.cuts.iter().map(Cuts::blocks).product();
        let (label, target) = (write.label.clone(), write.target.clone());
        let tenant = WriteExchange { label, need: target.need(most), target, cuts };
        let reads = vec![Input { layer, pattern: Pattern::OneToOne }];
        let written: LayerRef<Written> = exchange(lowering.draft(), meta(node), tasks, reads, 1, tenant)?;
        Ok(written.layer())
    }
}

impl WriteExchange {
    fn open<'a>(&self, state: &'a Writing) -> Result<&'a dyn OpenTarget> {
        let open = state.open.get_or_init(|| self.target.begin());
        open.as_ref().map(|open| &**open).map_err(Error::clone)
    }
}

impl Exchange for WriteExchange {
    type State = Writing;

    fn open(&self, _: u32, _: &Budget) -> Writing {
        Writing::default()
    }

    fn append_need(&self) -> u64 {
        self.need
    }

    fn append(&self, _: &TaskContext<'_>, state: &Writing, index: u32, inputs: &mut Inputs<'_>) -> Result<()> {
        let at = coords(index, self.cuts.iter().map(|cuts| cuts.len() as u32 - 1));
        let region = self.cuts.iter().zip(&at).map(|(cuts, at)| cuts[*at as usize]..cuts[*at as usize + 1]);
        let region: Vec<Range<usize>> = region.collect();
        let block = inputs.get::<NdBlock>(0)?;
        let shape: Vec<usize> = region.iter().map(ExactSizeIterator::len).collect();
        if block.shape() != shape {
            return Err(Error::internal(format!("a block of the shape {:?} at {region:?}", block.shape())));
        }
        let written = WriteExchange::open(self, state)?.write(&at, &region, block);
        let place = |said: &str| format!("{}, region {}: {said}", self.label, shown_region(&region));
        state.bytes.fetch_add(written.map_err(|error| error.reworded(place))?, Ordering::Relaxed);
        state.blocks.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn seal(&self, context: &TaskContext<'_>, state: &Writing) -> Result<Vec<u64>> {
        let open = WriteExchange::open(self, state)?;
        context.check_cancelled()?;
        let paths = open.finish()?;
        let (blocks, bytes) = (state.blocks.load(Ordering::Relaxed), state.bytes.load(Ordering::Relaxed));
        let written = Written { paths, blocks, bytes };
        *state.written.lock().unwrap_or_else(PoisonError::into_inner) = Some(written);
        Ok(vec![blocks])
    }

    fn kind(&self) -> &'static dyn Kind {
        chunk::plain::<Written>()
    }

    fn part(&self, _: &TaskContext<'_>, state: &Writing, _: u32, _: &mut Inputs<'_>) -> Result<Chunk> {
        let written = state.written.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(Chunk::new(written.ok_or_else(|| Error::internal("nothing is told of what was written"))?))
    }
}
