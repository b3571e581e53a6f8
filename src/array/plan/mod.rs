//! What arrays are made of: operations as plain data, and what is known of their results.

mod cuts;
mod read;
mod view;

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::kernels::Made;
use super::lower;
use crate::error::{Error, ErrorKind, Result};
use crate::origin::Origin;
use crate::plan::{Node, NodeRef, Region, Role};
use crate::store::NdBlock;

pub(super) use super::kernels::{Binary, Fold, Number, Unary};
pub(crate) use crate::store::DType;
pub(crate) use cuts::{Cuts, Taken, resolve_axis};
pub use read::Written;
pub(crate) use read::{ReadOp, Window, WriteOp};
pub(crate) use view::{AxisMap, View, coords, strides};

/// An operation. Its inputs are arrays.
#[derive(Clone)]
pub(crate) enum Op {
    /// Numbers in memory.
    Memory(Arc<NdBlock>),
    /// The same number everywhere.
    Full(Number),
    /// Numbers that follow from their place.
    Made(MadeOp),
    /// Blocks that another node gives.
    Outside,
    /// Numbers that are read from where they are stored.
    Read(ReadOp),
    Unary(Unary),
    /// Of two arrays of one type, which broadcast to the shape of the result.
    Binary(Binary),
    /// Of a mask and two arrays.
    Select,
    Cast,
    /// Other places of the input.
    View(View),
    /// The same elements, cut in another way.
    Rechunk,
    /// Along some axes all elements become one or a few; the axes stay, as far as the result has them.
    Reduce(ReduceOp),
    /// Of each block what a fold makes of it along some axes.
    Totals(Arc<dyn Fold>, Arc<[usize]>),
    /// The sums or products of all elements up to each one along an axis, beginning with what a second input tells of each block.
    Scan {
        axis: usize,
        product: bool,
    },
    /// Products of matrices: of two arrays that agree in all axes but the last two. What is summed up is taken in groups, which begin and end at
    /// these places; along a first axis there is one for each of them, or one for all.
    Product(Arc<[usize]>),
    /// Arrays one behind another along an axis: where each begins, and where the last one ends.
    Concat {
        axis: usize,
        starts: Arc<[usize]>,
    },
    /// Places of an axis, in any order and as often as they are named.
    Take {
        axis: usize,
        places: Arc<[usize]>,
    },
    /// What a function makes of boxes of its inputs, block by block.
    Map(MapOp),
    /// The blocks are put where they are to be stored; what is known of that is the only piece.
    Write(WriteOp),
}

/// Numbers that follow from their place, as plain data with a kernel.
#[derive(Clone)]
pub(crate) struct MadeOp {
    /// What it is, in a line; equal for sources that give the same.
    pub label: String,
    pub kernel: Arc<dyn Made>,
    /// About how many additions it takes to make one.
    pub cost: u32,
}

/// A fold of all blocks along some axes.
#[derive(Clone)]
pub(crate) struct ReduceOp {
    pub fold: Arc<dyn Fold>,
    pub axes: Arc<[usize]>,
    /// How many blocks are put together at once, where the user says so.
    pub split_every: Option<u32>,
}

/// A function of boxes. Its tasks stand on a grid; in their order they give the blocks of the result in theirs.
#[derive(Clone)]
pub(crate) struct MapOp {
    /// What it is, in a line.
    pub label: String,
    /// Lengths of the axes of the grid.
    pub grid: Vec<u32>,
    /// What tasks take of each input, along each of its axes.
    pub takes: Vec<Vec<Taken>>,
    pub function: Arc<MapFunction>,
    /// Bytes that it makes of its boxes, at most.
    pub need: u64,
    /// Equal for functions that do the same; without one it is equal to no other.
    pub key: Option<String>,
}

/// Where a task stands.
pub(crate) struct TaskPlace {
    /// On the grid.
    pub coords: Vec<u32>,
    /// Where in each input its box begins; 0 along axes of unknown lengths.
    pub starts: Vec<Vec<usize>>,
}

/// Makes a block of the boxes of a task.
pub(crate) type MapFunction = dyn Fn(Vec<NdBlock>, &TaskPlace) -> Result<NdBlock> + Send + Sync;

/// A node of the plan and what is known of the array it gives.
#[derive(Clone)]
pub(crate) struct Blocks {
    pub node: NodeRef,
    pub dtype: DType,
    /// Of each axis.
    pub cuts: Arc<[Cuts]>,
}

/// A node.
pub(crate) struct Step {
    pub origin: Origin,
    pub verb: &'static str,
    pub op: Op,
    pub inputs: Vec<Blocks>,
    pub dtype: DType,
    pub cuts: Arc<[Cuts]>,
}

/// An array has no more blocks: they are numbered in 32 bits, and some operations have a few tasks for each.
pub(crate) const MOST_BLOCKS: usize = (u32::MAX / 4) as usize;

impl Blocks {
    /// The array that an operation gives.
    ///
    /// # Errors
    /// Of kind `Plan`, where there are more blocks than can be.
    pub fn new(
        op: Op,
        inputs: &[&Blocks],
        dtype: DType,
        cuts: impl Into<Arc<[Cuts]>>,
        verb: &'static str,
        origin: Origin,
    ) -> Result<Blocks> {
        let (cuts, inputs) = (cuts.into(), inputs.iter().map(|input| (*input).clone()).collect());
        let blocks = cuts.iter().try_fold(1u32, |blocks, cuts| blocks.checked_mul(cuts.blocks()));
        if blocks.is_none_or(|blocks| blocks as usize > MOST_BLOCKS) {
            return Err(too_many_blocks());
        }
        let elements =
            cuts.iter().filter_map(Cuts::len).try_fold(dtype.bytes(), |all, len| all.checked_mul(len.max(1)));
        if elements.is_none_or(|bytes| bytes > isize::MAX as usize) {
            return Err(Error::new(
                ErrorKind::Plan,
                format!("an array of the shape {} has more elements than can be counted", shown_shape(&cuts)),
            ));
        }
        let node = NodeRef::new(Step { origin, verb, op, inputs, dtype, cuts: cuts.clone() });
        Ok(Blocks { node, dtype, cuts })
    }

    /// An array whose blocks another node gives.
    pub fn outside(node: NodeRef, dtype: DType, cuts: Vec<Cuts>, verb: &'static str, origin: Origin) -> Result<Blocks> {
        let cuts: Arc<[Cuts]> = cuts.into();
        let input = Blocks { node, dtype, cuts: cuts.clone() };
        Blocks::new(Op::Outside, &[&input], dtype, cuts, verb, origin)
    }

    /// The operation that it is the result of; nothing where another collection's node gives it.
    pub fn step(&self) -> Option<&Step> {
        self.node.node().region().and_then(|(_, step)| step.downcast_ref())
    }

    pub fn rank(&self) -> usize {
        self.cuts.len()
    }

    /// Lengths of the axes, as far as they are known.
    pub fn shape(&self) -> Vec<Option<usize>> {
        self.cuts.iter().map(Cuts::len).collect()
    }

    /// Lengths of the axes.
    ///
    /// # Errors
    /// Of kind `Plan`, where one is not known.
    pub fn known_shape(&self) -> Result<Vec<usize>> {
        self.cuts.iter().map(Cuts::len).collect::<Option<_>>().ok_or_else(|| {
            let text = "the lengths of some axes are not known before a run: compute_chunk_sizes() finds them";
            Error::new(ErrorKind::Plan, text)
        })
    }

    /// The length of an axis.
    ///
    /// # Errors
    /// Of kind `Plan`, where it is not known.
    pub fn len_of(&self, axis: usize) -> Result<usize> {
        self.cuts_of(axis).map(|cuts| cuts.last().copied().unwrap_or(0))
    }

    /// Where an axis is cut.
    ///
    /// # Errors
    /// As [`Blocks::len_of`].
    pub fn cuts_of(&self, axis: usize) -> Result<&[usize]> {
        let text = || format!("the length of axis {axis} is not known before a run: compute_chunk_sizes() finds it");
        self.cuts[axis].known().ok_or_else(|| plan(text()))
    }

    /// Bytes of the largest block, if they are known.
    pub fn most_bytes(&self) -> Option<u64> {
        let most = self.cuts.iter().map(Cuts::most).try_fold(self.dtype.bytes(), |all, most| all.checked_mul(most?));
        most.map(|bytes| bytes as u64)
    }

    /// What is at single places of some axes, which are dropped.
    ///
    /// # Errors
    /// None that can be.
    pub fn at_places(&self, places: &[(usize, i64)], verb: &'static str, origin: Origin) -> Result<Blocks> {
        let is_left = |axis: &usize| places.iter().all(|(of, _)| of != axis);
        let cuts: Vec<Cuts> = (0..self.rank()).filter(is_left).map(|axis| self.cuts[axis].clone()).collect();
        Blocks::new(Op::View(View::without(self.rank(), places)), &[self], self.dtype, cuts, verb, origin)
    }

    /// Number of blocks.
    pub fn count(&self) -> u32 {
        self.cuts.iter().map(Cuts::blocks).product()
    }
}

/// The error of more than [`MOST_BLOCKS`].
pub(crate) fn too_many_blocks() -> Error {
    plan("too many blocks: make them larger")
}

/// The error of a plan that cannot be.
pub(crate) fn plan(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Plan, text)
}

/// A shape in a line.
pub(crate) fn shown_shape(cuts: &[Cuts]) -> String {
    let lens: Vec<String> = cuts.iter().map(|cuts| cuts.len().map_or("?".to_string(), |len| len.to_string())).collect();
    match &lens[..] {
        [only] => format!("({only},)"),
        lens => format!("({})", lens.join(", ")),
    }
}

/// The cuts of what two arrays broadcast to.
///
/// # Errors
/// Of kind `Plan`, where their shapes do not fit.
pub(crate) fn broadcast_cuts(a: &Blocks, b: &Blocks) -> Result<Vec<Cuts>> {
    let rank = a.rank().max(b.rank());
    let axis = |of: &Blocks, at: usize| (at + of.rank()).checked_sub(rank).map(|axis| of.cuts[axis].clone());
    let mut cuts = Vec::with_capacity(rank);
    for at in 0..rank {
        cuts.push(match (axis(a, at), axis(b, at)) {
            (Some(one), None) | (None, Some(one)) => one,
            (Some(x), Some(y)) => match (x.len(), y.len()) {
                (Some(n), Some(m)) if n == m => x.united(&y),
                (Some(1), _) => y,
                (_, Some(1)) => x,
                // Of unknown lengths nobody knows whether they are equal until the run: equal numbers of blocks may be.
                (None, None) if x.blocks() == y.blocks() => x,
                (None, _) | (_, None) => {
                    let text = "an axis whose length is not known before a run is put together with one that is \
                                cut in another way: compute_chunk_sizes() finds the lengths";
                    return Err(Error::new(ErrorKind::Plan, text));
                }
                _ => {
                    let text = format!("shapes {} and {} do not broadcast", shown_shape(&a.cuts), shown_shape(&b.cuts));
                    return Err(Error::new(ErrorKind::Plan, text));
                }
            },
            (None, None) => return Err(Error::internal("an axis of neither operand")),
        });
    }
    Ok(cuts)
}

impl MapOp {
    /// Whether several tasks take the same of an input.
    pub fn takes_again(&self, input: usize) -> bool {
        let takes = &self.takes[input];
        let free = (0..self.grid.len()).filter(|axis| takes.iter().all(|taken| taken.by() != Some(*axis)));
        free.map(|axis| self.grid[axis]).product::<u32>() > 1
    }
}

impl Op {
    /// A fold of all blocks along some axes, which are put together as the plan has it.
    pub fn reduce(fold: impl Fold + 'static, axes: impl Into<Arc<[usize]>>) -> Op {
        Op::Reduce(ReduceOp { fold: Arc::new(fold), axes: axes.into(), split_every: None })
    }

    /// What it is, in a line.
    pub fn label(&self) -> String {
        match self {
            Op::Memory(_) => "numbers in memory".to_string(),
            Op::Full(value) => format!("full of {value}"),
            Op::Made(made) => made.label.clone(),
            Op::Outside => "blocks".to_string(),
            Op::Read(read) => read.label(),
            Op::Unary(f) => format!("{f:?}").to_lowercase(),
            Op::Binary(f) => f.name().to_string(),
            Op::Select => "where".to_string(),
            Op::Cast => "cast".to_string(),
            Op::View(view) => {
                let axes = view.axes.iter().map(|axis| match (axis.of, axis.start, axis.step) {
                    (None, at, _) => format!("{at}"),
                    (Some(of), 0, 1) => format!("axis {of}"),
                    (Some(of), start, step) => format!("axis {of} from {start} by {step}"),
                });
                format!("view [{}]", axes.collect::<Vec<_>>().join("; "))
            }
            Op::Rechunk => "rechunk".to_string(),
            Op::Reduce(reduce) => {
                let axes: Vec<String> = reduce.axes.iter().map(usize::to_string).collect();
                let every = reduce.split_every.map_or(String::new(), |count| format!(", {count} together"));
                format!("{} over axes {}{every}", reduce.fold.name(), axes.join(", "))
            }
            Op::Totals(fold, _) => format!("{} of each block", fold.name()),
            Op::Scan { axis, product } => {
                format!("running {} along axis {axis}", if *product { "product" } else { "sum" })
            }
            Op::Product(groups) => {
                format!("products of {} places in {} groups", groups[groups.len() - 1], groups.len() - 1)
            }
            Op::Concat { axis, starts } => format!("{} arrays along axis {axis}", starts.len() - 1),
            Op::Take { axis, places } => format!("{} places of axis {axis}", places.len()),
            Op::Map(map) => map.label.clone(),
            Op::Write(write) => format!("write {}", write.label),
        }
    }
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label())
    }
}

impl Node for Step {
    fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a NodeRef)) {
        self.inputs.iter().for_each(|input| visit(&input.node));
    }

    fn label(&self) -> String {
        match &self.op {
            Op::Outside | Op::Memory(_) | Op::Full(_) => self.verb.to_string(),
            op => op.label(),
        }
    }

    fn role(&self) -> Role<'_> {
        Role::Layers
    }

    fn region(&self) -> Option<(&'static dyn Region, &dyn Any)> {
        Some((&lower::Arrays, self))
    }
}
