//! Slices are brought to where numbers are read: no more is read than somebody looks at.
//!
//! A view goes through element-wise work that nobody else looks at, and through other views. At what is read it becomes a window. Several
//! windows of one source are read apart, where that is less than all of what they span; else what they span is read once.

use std::sync::Arc;

use hashbrown::HashMap;

use super::super::plan::{AxisMap, Cuts, Op, ReadOp, View, Window};
use super::arena::{Node, Plan};

/// A node, or a view of it with the cuts that it has.
type Key = (usize, Option<Looked>);
type Looked = (Arc<View>, Arc<[Cuts]>);

/// What becomes of one.
enum Made {
    /// The same as another one.
    Same(Key),
    /// The node with other inputs; of a view, with the cuts of the view.
    Copy(Vec<Key>),
    /// A view of the node.
    Looked,
    /// Of the source that a node reads.
    Read,
}

/// Runs the pass.
pub(super) fn run(plan: &mut Plan) {
    let needed = plan.needed();
    if !plan.nodes.iter().zip(&needed).any(|(node, needed)| *needed && matches!(node.op, Op::Read(_))) {
        return;
    }
    let pass = Pass::new(plan, &needed);
    let order = pass.order();
    *plan = pass.rebuilt(&order);
}

struct Pass<'p> {
    plan: &'p Plan,
    /// Whether a view of the node comes to something that is read.
    reaches: Vec<bool>,
    /// Whether one node alone reads it, and nobody wants it.
    is_inner: Vec<bool>,
}

fn is_elementwise(op: &Op) -> bool {
    matches!(op, Op::Unary(_) | Op::Binary(_) | Op::Select | Op::Cast | Op::Rechunk)
}

impl<'p> Pass<'p> {
    fn new(plan: &'p Plan, needed: &[bool]) -> Pass<'p> {
        let mut reaches: Vec<bool> = Vec::with_capacity(plan.nodes.len());
        let mut readers = vec![0u32; plan.nodes.len()];
        for (at, node) in plan.nodes.iter().enumerate() {
            let below = node.inputs.iter().any(|input| reaches[*input]);
            let through = is_elementwise(&node.op) || matches!(node.op, Op::View(_));
            reaches.push(matches!(node.op, Op::Read(_)) || (through && below));
            if needed[at] {
                let mut inputs = node.inputs.clone();
                inputs.sort_unstable();
                inputs.dedup();
                inputs.into_iter().for_each(|input| readers[input] += 1);
            }
        }
        plan.roots.iter().for_each(|root| readers[*root] += 2);
        Pass { plan, reaches, is_inner: readers.into_iter().map(|readers| readers < 2).collect() }
    }

    fn made(&self, (at, looked): &Key) -> Made {
        let node = &self.plan.nodes[*at];
        let Some((view, cuts)) = looked else {
            return match &node.op {
                Op::View(view) if self.reaches[*at] => {
                    Made::Same((node.inputs[0], Some((Arc::new(view.clone()), node.cuts.clone()))))
                }
                Op::Read(_) => Made::Read,
                _ => Made::Copy(node.inputs.iter().map(|input| (*input, None)).collect()),
            };
        };
        match &node.op {
            Op::View(inner) => Made::Same((node.inputs[0], Some((Arc::new(view.of(inner)), cuts.clone())))),
            Op::Rechunk => Made::Same((node.inputs[0], Some((view.clone(), cuts.clone())))),
            Op::Read(_) => Made::Read,
            op if is_elementwise(op) && self.reaches[*at] && self.is_inner[*at] => {
                let through = |input: &usize| {
                    let from: Vec<Option<usize>> = self.plan.nodes[*input].cuts.iter().map(Cuts::len).collect();
                    let behind = node.cuts.len() - from.len();
                    let stretched = from.iter().enumerate().map(|(axis, len)| match node.cuts[axis + behind].len() {
                        // An axis of length 1 is stretched only where the result is longer.
                        Some(1) if *len == Some(1) => None,
                        _ => *len,
                    });
                    let broadcast = View::broadcast(&stretched.collect::<Vec<_>>(), node.cuts.len());
                    (*input, Some((Arc::new(view.of(&broadcast)), cuts.clone())))
                };
                Made::Copy(node.inputs.iter().map(through).collect())
            }
            _ => Made::Looked,
        }
    }

    /// All that roots need, behind what it needs itself.
    fn order(&self) -> Vec<Key> {
        let (mut order, mut seen) = (Vec::new(), HashMap::new());
        let mut open: Vec<(Key, bool)> = self.plan.roots.iter().rev().map(|root| ((*root, None), false)).collect();
        while let Some((key, ready)) = open.pop() {
            if ready {
                order.push(key);
                continue;
            }
            if seen.insert(key.clone(), ()).is_some() {
                continue;
            }
            let below = match self.made(&key) {
                Made::Same(other) => vec![other],
                Made::Copy(inputs) => inputs,
                Made::Looked => vec![(key.0, None)],
                Made::Read => Vec::new(),
            };
            open.push((key, true));
            open.extend(below.into_iter().rev().map(|below| (below, false)));
        }
        order
    }

    fn rebuilt(&self, order: &[Key]) -> Plan {
        let mut plan = Plan { node_of: vec![usize::MAX; self.plan.node_of.len()], ..Plan::default() };
        let reads = self.reads(order, &mut plan);
        let mut places: HashMap<&Key, usize> = HashMap::with_capacity(order.len());
        for key in order {
            let (at, looked) = key;
            let node = &self.plan.nodes[*at];
            let place = match self.made(key) {
                Made::Same(other) => places[&other],
                Made::Copy(inputs) => {
                    let inputs = inputs.iter().map(|input| places[input]).collect();
                    let cuts = looked.as_ref().map_or(&node.cuts, |(_, cuts)| cuts).clone();
                    plan.nodes.push(Node { inputs, cuts, ..node.clone() });
                    plan.nodes.len() - 1
                }
                Made::Read => {
                    let (read, windows) = &reads[key];
                    let inner = |(view, cuts): &Looked| (inside(view, cuts, windows), cuts.clone());
                    look(&mut plan, *read, looked.as_ref().map(inner), node)
                }
                Made::Looked => {
                    let inner = |(view, cuts): &Looked| ((**view).clone(), cuts.clone());
                    look(&mut plan, places[&(*at, None)], looked.as_ref().map(inner), node)
                }
            };
            places.insert(key, place);
        }
        let place = |at: &usize| places.get(&(*at, None)).copied();
        plan.roots = self.plan.roots.iter().filter_map(place).collect();
        for (new, old) in plan.node_of.iter_mut().zip(&self.plan.node_of) {
            *new = place(old).unwrap_or(usize::MAX);
        }
        plan
    }

    /// Adds a node for each part of a source that is read; gives by key the one in which it lies.
    fn reads<'k>(&self, order: &'k [Key], plan: &mut Plan) -> HashMap<&'k Key, (usize, Vec<Window>)> {
        let mut wanted: Vec<(usize, Vec<&Key>)> = Vec::new();
        let mut known: HashMap<usize, usize> = HashMap::new();
        for key in order.iter().filter(|(at, _)| matches!(self.plan.nodes[*at].op, Op::Read(_))) {
            let at = *known.entry(key.0).or_insert_with(|| {
                wanted.push((key.0, Vec::new()));
                wanted.len() - 1
            });
            wanted[at].1.push(key);
        }
        let mut reads = HashMap::new();
        for (at, keys) in wanted {
            let node = &self.plan.nodes[at];
            let Op::Read(read) = &node.op else { continue };
            let windows = |looked: &Option<Looked>| match looked {
                Some((view, cuts)) => windows(view, cuts),
                None => read.windows.iter().map(|window| Window::whole(window.len)).collect(),
            };
            let all: Vec<Vec<Window>> = keys.iter().map(|key| windows(&key.1)).collect();
            let united = all[1..].iter().fold(all[0].clone(), |all, one| united(&all, one));
            let mut apart: Vec<&Vec<Window>> = all.iter().collect();
            apart.sort_unstable_by_key(|windows| {
                windows.iter().map(|window| (window.start, window.len)).collect::<Vec<_>>()
            });
            apart.dedup();
            let bytes: u64 = apart.iter().fold(0, |bytes, one| bytes.saturating_add(spanned(one, read)));
            let mut made: HashMap<&Vec<Window>, usize> = HashMap::new();
            for (key, own) in keys.into_iter().zip(&all) {
                let windows = if bytes <= spanned(&united, read) { own } else { &united };
                let place = *made.entry(windows).or_insert_with(|| {
                    plan.nodes.push(narrowed(node, read, windows));
                    plan.nodes.len() - 1
                });
                reads.insert(key, (place, windows.clone()));
            }
        }
        reads
    }
}

/// A node, or a view of it, which is added where it is no other than the node itself; `like` tells what it is called.
fn look(plan: &mut Plan, below: usize, looked: Option<(View, Arc<[Cuts]>)>, like: &Node) -> usize {
    let Some((view, cuts)) = looked else { return below };
    if view == View::identity(cuts.len()) && plan.nodes[below].cuts[..] == cuts[..] {
        return below;
    }
    plan.nodes.push(Node { op: Op::View(view), inputs: vec![below], cuts, ..like.clone() });
    plan.nodes.len() - 1
}

/// What a view looks at, along each axis of what it is of.
fn windows(view: &View, cuts: &[Cuts]) -> Vec<Window> {
    let along = |axis: &AxisMap| match axis.of {
        None => Window::of(axis.start, 1, 1),
        Some(of) => Window::of(axis.start, axis.step, cuts[of].len().unwrap_or(0)),
    };
    let windows: Vec<Window> = view.axes.iter().map(along).collect();
    // Of an axis of the view that no axis is along there may be nothing to look at, too.
    match cuts.iter().any(|cuts| cuts.len() == Some(0)) {
        true => windows.iter().map(|_| Window { start: 0, step: 1, len: 0 }).collect(),
        false => windows,
    }
}

fn united(one: &[Window], other: &[Window]) -> Vec<Window> {
    one.iter().zip(other).map(|(one, other)| one.united(other)).collect()
}

/// Elements of the natural pieces that windows meet.
fn spanned(windows: &[Window], read: &ReadOp) -> u64 {
    let along = windows.iter().zip(read.windows.iter()).zip(read.source.natural());
    along
        .map(|((window, outer), natural)| {
            let (window, natural) = (window.within(outer), (*natural).max(1));
            let first = window.start / natural;
            (window.end().div_ceil(natural).saturating_sub(first) * natural) as u64
        })
        .fold(1, u64::saturating_mul)
}

/// A node that reads a part of what another one reads.
fn narrowed(node: &Node, read: &ReadOp, windows: &[Window]) -> Node {
    let cuts = windows.iter().zip(node.cuts.iter()).map(|(window, cuts)| window.cuts(cuts.known().unwrap_or(&[])));
    let within = windows.iter().zip(read.windows.iter()).map(|(window, outer)| window.within(outer)).collect();
    let cuts: Vec<Cuts> = cuts.collect();
    let whole = windows.iter().zip(read.windows.iter()).all(|(window, outer)| *window == Window::whole(outer.len));
    let cuts = if whole { node.cuts.clone() } else { cuts.into() };
    Node { op: Op::Read(ReadOp { source: read.source.clone(), windows: within }), cuts, ..node.clone() }
}

/// The view, as one of the part that is read.
fn inside(view: &View, cuts: &[Cuts], windows: &[Window]) -> View {
    let along = |(axis, window): (&AxisMap, &Window)| {
        let len = axis.of.map_or(1, |of| cuts[of].len().unwrap_or(0)).min(window.len);
        let (start, by) = (axis.start - window.start as i64, window.step as i64);
        match (axis.of, len) {
            (of, 0) => AxisMap { of, start: 0, step: i64::from(of.is_some()) },
            (None, _) => AxisMap::fixed(start / by),
            (of, 1) => AxisMap { of, start: start / by, step: 1 },
            (of, _) => AxisMap { of, start: start / by, step: axis.step / by },
        }
    };
    View { axes: view.axes.iter().zip(windows).map(along).collect() }
}
