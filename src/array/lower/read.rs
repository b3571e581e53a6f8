//! Blocks of stored arrays, each read by a task.

use std::ops::Range;

use super::super::kernels::{empty, thinned};
use super::super::plan::{Cuts, ReadOp, Window, coords};
use super::{Lowering, meta};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::array::shown_region;
use crate::graph::{Each, Inputs, LayerRef, TaskContext};
use crate::plan::RegionLowering;
use crate::store::NdBlock;

/// The places of the source that a part of a window spans.
fn spanned(window: &Window, from: usize, to: usize) -> Range<usize> {
    let start = window.start + window.step * from;
    start..start + window.step * (to - from - 1) + 1
}

impl Lowering {
    pub(super) fn read(&self, at: usize, read: &ReadOp, lowering: &mut RegionLowering<'_, '_>) -> Result<u32> {
        let node = &self.plan.nodes[at];
        let known = |cuts: &Cuts| cuts.known().map(<[usize]>::to_vec);
        let cuts: Option<Vec<Vec<usize>>> = node.cuts.iter().map(known).collect();
        let cuts = cuts.ok_or_else(|| Error::internal("a stored array of unknown lengths"))?;
        let most: Vec<usize> = node.cuts.iter().map(|cuts| cuts.most().unwrap_or(0)).collect();
        let spans: Vec<usize> = most
            .iter()
            .zip(read.windows.iter())
            .map(|(len, window)| if *len == 0 { 0 } else { window.step * (len - 1) + 1 })
            .collect();
        let bytes =
            |lens: &[usize]| lens.iter().fold(node.dtype.bytes() as u64, |all, len| all.saturating_mul(*len as u64));
        let is_thin = read.windows.iter().any(|window| window.step > 1);
        let between = if is_thin { bytes(&spans) } else { 0 };
        let need = bytes(&most).saturating_add(between).saturating_add(read.source.need(&spans));
        let (tasks, dtype, read) = (node.cuts.iter().map(Cuts::blocks).product(), node.dtype, read.clone());
        let op = move |context: &TaskContext<'_>, index, _: &mut Inputs<'_>| {
            let at = coords(index, cuts.iter().map(|cuts| cuts.len() as u32 - 1));
            let ends = cuts.iter().zip(&at).map(|(cuts, at)| (cuts[*at as usize], cuts[*at as usize + 1]));
            let ends: Vec<(usize, usize)> = ends.collect();
            let lens: Vec<usize> = ends.iter().map(|(from, to)| to - from).collect();
            if lens.contains(&0) {
                return empty(lens, dtype);
            }
            let along = ends.iter().zip(read.windows.iter());
            let region: Vec<Range<usize>> = along.map(|((from, to), window)| spanned(window, *from, *to)).collect();
            let block = (|| {
                let (block, bytes) = read.source.read(&region)?;
                context.count_read(bytes);
                let fits = block.shape().iter().eq(region.iter().map(|range| range.len()).collect::<Vec<_>>().iter());
                if !fits || block.data().dtype() != dtype {
                    let (shape, found) = (block.shape(), block.data().dtype());
                    let text = format!("gave {found} of the shape {shape:?}, and {dtype} was asked for");
                    return Err(Error::new(ErrorKind::Data, text));
                }
                Ok(block)
            })();
            let place = |said: &str| format!("{}, region {}: {said}", read.source.label(), shown_region(&region));
            let block = block.map_err(|error| error.reworded(place))?;
            match is_thin {
                true => thinned(&block, &lens, &read.windows.iter().map(|window| window.step).collect::<Vec<_>>()),
                false => Ok(block),
            }
        };
        let op = Each::new(op).kind(NdBlock::kind()).need(need);
        let meta = meta(node);
        let layer: LayerRef<NdBlock> =
            lowering.gated(node.member, |draft| draft.regular(meta, tasks, Vec::new(), op))?;
        Ok(layer.layer())
    }
}
