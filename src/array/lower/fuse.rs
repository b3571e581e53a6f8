//! Regions of element-wise work become one program: what computes elements from elements at the same place, wherever views take it
//! from, down to numbers that are there or can be made.

use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashMap;

use super::super::kernels::{Made, Program, Register, Step};
use super::super::optimize::Plan;
use super::super::plan::{AxisMap, Cuts, Op, View};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{DType, NdBlock};

/// A part of a region that is one program.
pub(super) struct Section {
    pub fused: Fused,
    /// Which places of the region, along each axis; to the largest number where its length is not known.
    pub within: Vec<Range<usize>>,
}

/// A region of element-wise work.
pub(super) struct Fused {
    pub program: Program,
    pub leaves: Vec<Leaf>,
}

/// Where a program's numbers come from.
pub(super) struct Leaf {
    pub source: LeafSource,
    /// Which places of it.
    pub view: View,
    pub cuts: Arc<[Cuts]>,
}

pub(super) enum LeafSource {
    Memory(Arc<NdBlock>),
    Made(Arc<dyn Made>),
    /// The pieces of a node that has layers.
    Piece(usize),
    /// The pieces of a layer.
    Layer(u32),
}

impl Fused {
    /// Whether nothing is done with what is read.
    pub fn is_read(&self) -> bool {
        matches!(self.program.steps[..], [Step::Load { .. }])
    }
}

/// Why there is no program.
enum Stop {
    /// Other arrays stand at other places: along an axis the region is to be cut at these.
    Split(usize, Vec<usize>),
    Error(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Error(error)
    }
}

/// The steps so far, each value with a number of its own.
#[derive(Default)]
struct Draft {
    steps: Vec<Step>,
    types: Vec<DType>,
    leaves: Vec<Leaf>,
    values: HashMap<(usize, Arc<View>), usize>,
}

/// The programs that give the elements of a node: one, or one for each section of it in which other arrays are put together. Nodes for
/// which `is_layer` says so are leaves; the wanted one itself is computed.
///
/// # Errors
/// Of kind `Plan`, where a program would be too large.
pub(super) fn fuse(plan: &Plan, wanted: usize, is_layer: &dyn Fn(usize) -> bool) -> Result<Vec<Section>> {
    let cuts = &plan.nodes[wanted].cuts;
    let identity = Arc::new(View::identity(cuts.len()));
    let all: Vec<Range<usize>> = cuts.iter().map(|cuts| 0..cuts.len().unwrap_or(usize::MAX)).collect();
    let (mut open, mut sections) = (vec![all], Vec::new());
    while let Some(within) = open.pop() {
        let mut draft = Draft::default();
        match draft.add(plan, wanted, &identity, &within, is_layer) {
            Ok(value) => sections.push(Section { fused: draft.finish(&[value])?, within }),
            Err(Stop::Error(error)) => return Err(error),
            Err(Stop::Split(axis, at)) => {
                let ends = at.iter().copied().chain([within[axis].end]).collect::<Vec<_>>();
                let starts = std::iter::once(within[axis].start).chain(at.iter().copied());
                let parts = starts.zip(ends).map(|(start, end)| {
                    let mut part = within.clone();
                    part[axis] = start..end;
                    part
                });
                // The last one is taken first: they come out in their order.
                let parts: Vec<_> = parts.collect();
                open.extend(parts.into_iter().rev());
            }
        }
    }
    Ok(sections)
}

/// Of arrays that stand one behind another along an axis the one that a view looks at within a range, and where it begins.
fn stands_at(starts: &[usize], map: &AxisMap, within: &[Range<usize>]) -> Result<(usize, usize), Stop> {
    let (first, last) = match map.of {
        None => (map.start, map.start),
        Some(of) => (map.at(within[of].start), map.at(within[of].end.max(within[of].start + 1) - 1)),
    };
    let of_place = |place: i64| {
        let place = usize::try_from(place).unwrap_or(0);
        starts.partition_point(|start| *start <= place).clamp(1, starts.len() - 1) - 1
    };
    let (one, other) = (of_place(first), of_place(last));
    match map.of {
        Some(of) if one != other => {
            let range = &within[of];
            let beyond = starts.iter().filter_map(|start| map.beyond(*start as i64));
            let mut at: Vec<usize> = beyond.filter_map(|at| usize::try_from(at).ok()).collect();
            at.retain(|at| *at > range.start && *at < range.end);
            at.sort_unstable();
            at.dedup();
            match at.is_empty() {
                true => Err(Stop::Error(Error::internal("arrays one behind another without a place between them"))),
                false => Err(Stop::Split(of, at)),
            }
        }
        _ => Ok((one, starts[one])),
    }
}

impl Draft {
    fn add(
        &mut self,
        plan: &Plan,
        wanted: usize,
        view: &Arc<View>,
        within: &[Range<usize>],
        is_layer: &dyn Fn(usize) -> bool,
    ) -> Result<usize, Stop> {
        // What is to be looked at, and whether its inputs were.
        let mut open: Vec<(usize, Arc<View>, bool)> = vec![(wanted, view.clone(), false)];
        while let Some((at, view, ready)) = open.pop() {
            if self.values.contains_key(&(at, view.clone())) {
                continue;
            }
            let node = &plan.nodes[at];
            if at != wanted && is_layer(at) {
                let value = self.leaf(LeafSource::Piece(at), &view, &node.cuts, node.dtype)?;
                self.values.insert((at, view), value);
                continue;
            }
            let inputs: Vec<(usize, Arc<View>)> = match &node.op {
                Op::Memory(block) => {
                    let value = self.leaf(LeafSource::Memory(block.clone()), &view, &node.cuts, node.dtype)?;
                    self.values.insert((at, view), value);
                    continue;
                }
                Op::Made(made) => {
                    let value = self.leaf(LeafSource::Made(made.kernel.clone()), &view, &node.cuts, node.dtype)?;
                    self.values.insert((at, view), value);
                    continue;
                }
                Op::Full(number) => {
                    let value = self.value(node.dtype)?;
                    let to = value as Register;
                    self.steps.push(Step::Constant { value: *number, of: node.dtype, to });
                    self.values.insert((at, view), value);
                    continue;
                }
                Op::View(of) => vec![(node.inputs[0], Arc::new(view.of(of)))],
                Op::Concat { axis, starts } => {
                    let (of, start) = stands_at(starts, &view.axes[*axis], within)?;
                    let mut moved = View::clone(&view);
                    moved.axes[*axis].start -= start as i64;
                    vec![(node.inputs[of], Arc::new(moved))]
                }
                Op::Rechunk => vec![(node.inputs[0], view.clone())],
                Op::Unary(_) | Op::Cast => vec![(node.inputs[0], view.clone())],
                Op::Binary(_) | Op::Select => {
                    let through = |input: &usize| {
                        let from: Vec<Option<usize>> = plan.nodes[*input].cuts.iter().map(Cuts::len).collect();
                        // An axis of length 1 is stretched only where the result is longer.
                        let stretched: Vec<Option<usize>> = (0..from.len())
                            .map(|axis| {
                                let to = node.cuts[axis + node.cuts.len() - from.len()].len();
                                if from[axis] == Some(1) && to == Some(1) { None } else { from[axis] }
                            })
                            .collect();
                        let broadcast = View::broadcast(&stretched, node.cuts.len());
                        (*input, Arc::new(view.of(&broadcast)))
                    };
                    node.inputs.iter().map(through).collect()
                }
                _ => return Err(Error::internal("blocks are read before their layer is made").into()),
            };
            if !ready {
                open.push((at, view, true));
                open.extend(inputs.into_iter().rev().map(|(input, view)| (input, view, false)));
                continue;
            }
            let found: Vec<usize> = inputs
                .iter()
                .map(|input| self.values.get(input).copied().ok_or_else(|| Error::internal("a step without inputs")))
                .collect::<Result<_>>()?;
            let value = match (&node.op, &found[..]) {
                (Op::View(_) | Op::Rechunk | Op::Concat { .. }, [same]) => *same,
                (Op::Unary(f), [a]) => {
                    let (f, of, a) = (*f, self.types[*a], *a as Register);
                    self.step(node.dtype, |to| Step::Unary { f, of, a, to })?
                }
                (Op::Cast, [a]) => {
                    let (from, into, a) = (self.types[*a], node.dtype, *a as Register);
                    self.step(node.dtype, |to| Step::Cast { from, into, a, to })?
                }
                (Op::Binary(f), [a, b]) => {
                    let (f, of, a, b) = (*f, self.types[*a], *a as Register, *b as Register);
                    self.step(node.dtype, |to| Step::Binary { f, of, a, b, to })?
                }
                (Op::Select, [mask, a, b]) => {
                    let (of, mask, a, b) = (node.dtype, *mask as Register, *a as Register, *b as Register);
                    self.step(node.dtype, |to| Step::Select { of, mask, a, b, to })?
                }
                _ => return Err(Error::internal("a step with other inputs than it takes").into()),
            };
            self.values.insert((at, view), value);
        }
        let found = self.values.get(&(wanted, view.clone())).copied();
        found.ok_or_else(|| Error::internal("a program without a result").into())
    }

    fn value(&mut self, dtype: DType) -> Result<usize> {
        if self.types.len() >= usize::from(Register::MAX) {
            return Err(Error::new(
                ErrorKind::Plan,
                "more than 65 000 operations in one element-wise step: persist a part",
            ));
        }
        self.types.push(dtype);
        Ok(self.types.len() - 1)
    }

    fn step(&mut self, dtype: DType, step: impl FnOnce(Register) -> Step) -> Result<usize> {
        let value = self.value(dtype)?;
        self.steps.push(step(value as Register));
        Ok(value)
    }

    fn leaf(&mut self, source: LeafSource, view: &View, cuts: &Arc<[Cuts]>, dtype: DType) -> Result<usize> {
        let value = self.value(dtype)?;
        let leaf = u16::try_from(self.leaves.len()).map_err(|_| Error::internal("more leaves than values"))?;
        self.leaves.push(Leaf { source, view: view.clone(), cuts: cuts.clone() });
        self.steps.push(Step::Load { leaf, to: value as Register });
        Ok(value)
    }

    /// Gives values that are not there at the same time the same registers.
    fn finish(self, outputs: &[usize]) -> Result<Fused> {
        let mut last_use = vec![0usize; self.types.len()];
        let reads = |step: &Step| -> [Option<Register>; 3] {
            match step {
                Step::Load { .. } | Step::Constant { .. } => [None; 3],
                Step::Unary { a, .. } | Step::Cast { a, .. } => [Some(*a), None, None],
                Step::Binary { a, b, .. } => [Some(*a), Some(*b), None],
                Step::Select { mask, a, b, .. } => [Some(*mask), Some(*a), Some(*b)],
            }
        };
        for (at, step) in self.steps.iter().enumerate() {
            reads(step).into_iter().flatten().for_each(|value| last_use[usize::from(value)] = at);
        }
        outputs.iter().for_each(|value| last_use[*value] = usize::MAX);
        let mut leaves = vec![DType::Bool; self.leaves.len()];
        for step in &self.steps {
            match step {
                Step::Load { leaf, to } => leaves[usize::from(*leaf)] = self.types[usize::from(*to)],
                // Constants are written once, before the first tile.
                Step::Constant { to, .. } => last_use[usize::from(*to)] = usize::MAX,
                _ => {}
            }
        }
        let (mut place, mut free, mut registers) = (vec![Register::MAX; self.types.len()], Vec::new(), 0);
        let mut steps = self.steps;
        for (at, step) in steps.iter_mut().enumerate() {
            let read = reads(step);
            let is_constant = matches!(step, Step::Constant { .. });
            let (to, operands): (&mut Register, Vec<&mut Register>) = match step {
                Step::Load { to, .. } | Step::Constant { to, .. } => (to, Vec::new()),
                Step::Unary { a, to, .. } | Step::Cast { a, to, .. } => (to, vec![a]),
                Step::Binary { a, b, to, .. } => (to, vec![a, b]),
                Step::Select { mask, a, b, to, .. } => (to, vec![mask, a, b]),
            };
            operands.into_iter().for_each(|operand| *operand = place[usize::from(*operand)]);
            let value = usize::from(*to);
            let register = match if is_constant { None } else { free.pop() } {
                Some(register) => register,
                None => {
                    registers += 1;
                    registers - 1
                }
            };
            (place[value], *to) = (register, register);
            let mut done: Vec<Register> = read.into_iter().flatten().collect();
            done.sort_unstable();
            done.dedup();
            let done = done.into_iter().map(usize::from).filter(|value| last_use[*value] == at);
            free.extend(done.map(|value| place[value]));
        }
        let outputs = outputs.iter().map(|value| (place[*value], self.types[*value])).collect();
        Ok(Fused { program: Program { steps, leaves, registers, outputs }, leaves: self.leaves })
    }
}

/// A program that only reads the blocks of a node.
///
/// # Errors
/// Where it cannot be made.
pub(super) fn read(plan: &Plan, at: usize) -> Result<Vec<Section>> {
    let node = &plan.nodes[at];
    let mut draft = Draft::default();
    let value = draft.leaf(LeafSource::Piece(at), &View::identity(node.cuts.len()), &node.cuts, node.dtype)?;
    let within = node.cuts.iter().map(|cuts| 0..cuts.len().unwrap_or(usize::MAX)).collect();
    Ok(vec![Section { fused: draft.finish(&[value])?, within }])
}
