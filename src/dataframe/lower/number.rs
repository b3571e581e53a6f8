//! The places of rows: where those of each task begin.
//!
//! Some sources know how many rows each morsel has. Else the rows before the one in question have to be counted: they are read twice, where
//! that is cheap, or wait (on disk, as far as memory is short) until all are counted.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::super::kernels::Batches;
use super::super::optimize::reads_again;
use super::pipeline::{Pipeline, Source, Starts, What};
use super::{Lowering, meta};
use crate::error::Result;
use crate::graph::{Each, Inputs, LayerRef, Pattern, TaskContext};
use crate::plan::RegionLowering;

impl Lowering {
    /// Where the rows of each task begin of what a node reads.
    pub(super) fn number(&mut self, at: usize, lowering: &mut RegionLowering<'_, '_>) -> Result<Starts> {
        let below = self.plan.nodes[at].inputs[0];
        let pipeline = self.pipeline(below, &[], lowering)?.0;
        if let Some(starts) = known(&pipeline) {
            return Ok(Starts::Known(starts));
        }
        drop(pipeline);
        self.read_twice(below, lowering)?;
        let pipeline = self.pipeline(below, &[], lowering)?.0;
        self.counted(at, pipeline, lowering).map(Starts::Layer)
    }

    /// Makes the pieces of a node that is read twice, where it is cheaper that they wait than that they are made again.
    pub(super) fn read_twice(&mut self, at: usize, lowering: &mut RegionLowering<'_, '_>) -> Result<()> {
        if self.made[at].is_some() {
            return Ok(());
        }
        let pipeline = self.pipeline(at, &[], lowering)?.0;
        let plain = pipeline.steps.iter().all(|step| matches!(step.what, What::Filter(_) | What::Select(_)));
        if !plain || !reads_again(&self.plan, at) {
            self.made[at] = Some(self.collect(at, lowering)?);
        }
        Ok(())
    }

    /// A layer of one piece: where the rows of each task of a pipeline begin.
    fn counted(&self, at: usize, pipeline: Pipeline, lowering: &mut RegionLowering<'_, '_>) -> Result<u32> {
        let node = &self.plan.nodes[at];
        let (tasks, (_, need)) = (pipeline.tasks, pipeline.most());
        let inputs = pipeline.inputs();
        let layer_meta = meta(node, node.verb);
        let pieces = matches!(pipeline.source, Source::Piece) && pipeline.steps.is_empty();
        let count = Each::new(move |context: &TaskContext<'_>, index, inputs: &mut Inputs<'_>| {
            if pieces {
                // They stay where they are: others read them too.
                return inputs
                    .get::<Batches>(0)
                    .map(|batches| batches.iter().map(|batch| batch.num_rows() as u64).sum());
            }
            let mut rows = 0u64;
            pipeline.run(context, index, inputs, &mut |batch| {
                rows += batch.num_rows() as u64;
                Ok(ControlFlow::Continue(()))
            })?;
            Ok(rows)
        });
        let sums = Each::new(|_: &TaskContext<'_>, _, inputs: &mut Inputs<'_>| {
            let counts = (0..inputs.len()).map(|at| inputs.get::<u64>(at).copied()).collect::<Result<Vec<u64>>>()?;
            Ok(running(counts))
        });
        lowering.gated(node.member, |draft| {
            let counts: LayerRef<u64> = draft.regular(layer_meta.clone(), tasks, inputs, count.need(need))?;
            let sums: LayerRef<Vec<u64>> = draft.regular(layer_meta, 1, vec![counts.read(Pattern::All)], sums)?;
            Ok(sums.layer())
        })
    }
}

/// The sums of all before each, and of all.
pub(super) fn running(counts: impl IntoIterator<Item = u64>) -> Vec<u64> {
    let mut sums = vec![0];
    let mut sum = 0;
    for count in counts {
        sum += count;
        sums.push(sum);
    }
    sums
}

/// Where the source knows the rows of each morsel, and all of them come through.
fn known(pipeline: &Pipeline) -> Option<Arc<[u64]>> {
    let Source::Scan(scan) = &pipeline.source else { return None };
    if pipeline.filters || !pipeline.steps.iter().all(|step| matches!(step.what, What::Select(_))) {
        return None;
    }
    let counts: Option<Vec<u64>> = scan.morsels().iter().map(|morsel| morsel.rows).collect();
    counts.map(|counts| running(counts).into())
}
