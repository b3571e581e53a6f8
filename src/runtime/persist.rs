//! `persist`: run now, keep the values with the runtime, go on with the same kind of collection.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash};
use std::ops::Range;
use std::sync::Arc;

use super::builder::Runtime;
use super::compute::{Asked, launch, prepare};
use crate::error::Result;
use crate::executor::RunHandle;
use crate::graph::{Inputs, LayerOp, Meta, Outputs, TaskContext};
use crate::origin::Origin;
use crate::plan::{LayerLowering, Node, NodeRef, OneValue, Request, Role, Sink};
use crate::store::{Chunk, Kind};

/// The values of a run that are kept: in memory, or on disk where memory is short. They are dropped with the last
/// collection that reads them.
pub struct Kept {
    handle: RunHandle,
    /// Per range of outputs of the graph the number of its first output.
    firsts: Vec<u32>,
    /// The memory limit they were made under.
    limit: u64,
    origin: Origin,
}

impl Kept {
    fn new(handle: RunHandle, limit: u64, origin: Origin) -> Kept {
        let mut next = 0;
        let first = |range: &Range<u32>| {
            let first = next;
            next += range.len() as u32;
            first
        };
        let firsts = handle.graph().outputs().iter().map(first).collect();
        Kept { handle, firsts, limit, origin }
    }

    /// What the engine knows about a value: what it knew where the value was made.
    pub fn kind(&self, output: u32) -> Option<&'static dyn Kind> {
        let graph = self.handle.graph();
        let output = graph.results().map_or(Some(output), |results| results.get(output as usize).copied())?;
        // Of ranges that begin at the same output all but the last are empty.
        let at = self.firsts.partition_point(|first| *first <= output).checked_sub(1)?;
        let piece = graph.outputs()[at].start + (output - self.firsts[at]);
        graph.outputs()[at].contains(&piece).then(|| graph.kind(piece))
    }

    /// What reading one of some values takes: its bytes, which may have to be read back. What was made under the limit can
    /// be read under it.
    pub fn need(&self, outputs: Range<u32>) -> u64 {
        self.handle.largest(outputs).min(self.limit)
    }

    /// The line of the `persist`.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// A node whose values are `count` kept ones, from `next` on; none where there are no values.
    pub fn row(self: &Arc<Kept>, next: &mut u32, count: u32) -> Option<NodeRef> {
        let first = *next;
        *next += count;
        let kind = if count == 0 { None } else { self.kind(first) }?;
        let op = ReadKept { kept: self.clone(), first, need: self.need(first..*next), kind };
        Some(NodeRef::new(KeptRow { count, op: Arc::new(op) }))
    }

    /// One value; it stays where it is.
    ///
    /// # Errors
    /// Where it was spilled and cannot be read back.
    pub fn get(&self, output: u32) -> Result<Chunk> {
        self.handle.get(output)
    }
}

/// A row of kept values as a layer.
struct KeptRow {
    count: u32,
    op: Arc<ReadKept>,
}

impl Node for KeptRow {
    fn visit<'a>(&'a self, _: &mut dyn FnMut(&'a NodeRef)) {}

    fn label(&self) -> String {
        "kept".to_string()
    }

    fn role(&self) -> Role<'_> {
        Role::Layers
    }

    fn lower(&self, lowering: &mut LayerLowering<'_>) -> Result<u32> {
        let meta = Meta { name: "kept".to_string(), verb: "persist", origin: self.op.kept.origin };
        lowering.draft().shared(meta, self.count, 1, Vec::new(), self.op.clone())
    }
}

struct ReadKept {
    kept: Arc<Kept>,
    first: u32,
    need: u64,
    kind: &'static dyn Kind,
}

impl LayerOp for ReadKept {
    fn run(&self, _: &TaskContext<'_>, index: u32, _: &mut Inputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        out.push_chunk(self.kept.get(self.first + index)?);
        Ok(())
    }

    fn kind(&self) -> &'static dyn Kind {
        self.kind
    }

    fn need(&self, _: u32) -> u64 {
        self.need
    }
}

/// Something lazy whose values can be kept: every collection, and any mix of them in tuples, arrays, `Vec`, `Option` and
/// maps.
pub trait Persist {
    /// The same kind of collection, over kept values.
    type Kept;

    /// Asks for the values, by `want`ing its nodes with `sink`, which is never called.
    fn ask(&self, request: &mut Request, sink: &Arc<dyn Sink>);

    /// The collection over the kept values, which stand in the order in which they were asked for, from `next` on.
    fn keep(&self, kept: &Arc<Kept>, next: &mut u32) -> Self::Kept;

    /// Computes with the current runtime and keeps the values there, in memory or, where that is short, on disk; those of
    /// types that cannot be spilled (see [`Delayed`](crate::delayed::Delayed)) all in memory, also beyond the limit. Nothing
    /// that was computed so far runs again. The values are freed with the last collection that reads them.
    ///
    /// # Errors
    /// As [`super::compute`]; the values may be larger than the memory limit.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let row = DelayedVec::from_fn(100, u64::from).map(|n| n * n).persist()?; // runs
    /// let sum = row.tree_reduce(|a, b| a + b);
    /// assert_eq!(compute((row.get(7), &sum))?, (49, Some(328_350))); // reads what is kept
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    fn persist(&self) -> Result<Self::Kept>
    where
        Self: Sized,
    {
        persist_at(self, None, Asked { verb: "persist", origin: Origin::caller() })
    }

    /// As [`Persist::persist`], with a runtime.
    ///
    /// # Errors
    /// As [`super::compute`].
    #[track_caller]
    fn persist_on(&self, runtime: &Runtime) -> Result<Self::Kept>
    where
        Self: Sized,
    {
        persist_at(self, Some(runtime), Asked { verb: "persist_on", origin: Origin::caller() })
    }
}

/// Keeps the values of a mix of collections, computed in one run.
///
/// # Errors
/// As [`super::compute`].
///
/// ```
/// use chunkwise::prelude::*;
///
/// let slow = delayed(|| vec![1, 2, 3]);
/// let (kept, len) = persist((&slow, slow.map(|v| v.len())))?;
/// assert_eq!(compute((kept.map(|v| v[0]), &len))?, (1, 3)); // `slow` does not run again
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[track_caller]
pub fn persist<P: Persist>(what: P) -> Result<P::Kept> {
    persist_at(&what, None, Asked { verb: "persist", origin: Origin::caller() })
}

fn persist_at<P: Persist>(what: &P, runtime: Option<&Runtime>, asked: Asked) -> Result<P::Kept> {
    let mut request = Request::new();
    let sink: Arc<dyn Sink> = Arc::new(OneValue::default());
    what.ask(&mut request, &sink);
    let kept = || {
        let runtime = runtime.map_or_else(Runtime::current, |runtime| Ok(runtime.clone()))?;
        let handle = launch(prepare(request, &runtime)?, None, false, &runtime);
        handle.wait()?;
        Ok(Arc::new(Kept::new(handle, runtime.memory_limit(), asked.origin)))
    };
    Ok(what.keep(&kept().map_err(|error| asked.locate(error))?, &mut 0))
}

impl<P: Persist + ?Sized> Persist for &P {
    type Kept = P::Kept;

    fn ask(&self, request: &mut Request, sink: &Arc<dyn Sink>) {
        (**self).ask(request, sink);
    }

    fn keep(&self, kept: &Arc<Kept>, next: &mut u32) -> P::Kept {
        (**self).keep(kept, next)
    }
}

impl<P: Persist> Persist for Vec<P> {
    type Kept = Vec<P::Kept>;

    fn ask(&self, request: &mut Request, sink: &Arc<dyn Sink>) {
        self.iter().for_each(|item| item.ask(request, sink));
    }

    fn keep(&self, kept: &Arc<Kept>, next: &mut u32) -> Self::Kept {
        self.iter().map(|item| item.keep(kept, next)).collect()
    }
}

impl<P: Persist> Persist for [P] {
    type Kept = Vec<P::Kept>;

    fn ask(&self, request: &mut Request, sink: &Arc<dyn Sink>) {
        self.iter().for_each(|item| item.ask(request, sink));
    }

    fn keep(&self, kept: &Arc<Kept>, next: &mut u32) -> Self::Kept {
        self.iter().map(|item| item.keep(kept, next)).collect()
    }
}

impl<P: Persist, const N: usize> Persist for [P; N] {
    type Kept = [P::Kept; N];

    fn ask(&self, request: &mut Request, sink: &Arc<dyn Sink>) {
        self.iter().for_each(|item| item.ask(request, sink));
    }

    fn keep(&self, kept: &Arc<Kept>, next: &mut u32) -> Self::Kept {
        self.each_ref().map(|item| item.keep(kept, next))
    }
}

impl<P: Persist> Persist for Option<P> {
    type Kept = Option<P::Kept>;

    fn ask(&self, request: &mut Request, sink: &Arc<dyn Sink>) {
        self.iter().for_each(|item| item.ask(request, sink));
    }

    fn keep(&self, kept: &Arc<Kept>, next: &mut u32) -> Self::Kept {
        self.as_ref().map(|item| item.keep(kept, next))
    }
}

impl<K: Clone + Eq + Hash, P: Persist, S: BuildHasher + Default> Persist for HashMap<K, P, S> {
    type Kept = HashMap<K, P::Kept, S>;

    fn ask(&self, request: &mut Request, sink: &Arc<dyn Sink>) {
        self.values().for_each(|item| item.ask(request, sink));
    }

    fn keep(&self, kept: &Arc<Kept>, next: &mut u32) -> Self::Kept {
        // In the order of `ask`: a map that is not changed keeps its order.
        self.iter().map(|(key, item)| (key.clone(), item.keep(kept, next))).collect()
    }
}

impl<K: Clone + Ord, P: Persist> Persist for BTreeMap<K, P> {
    type Kept = BTreeMap<K, P::Kept>;

    fn ask(&self, request: &mut Request, sink: &Arc<dyn Sink>) {
        self.values().for_each(|item| item.ask(request, sink));
    }

    fn keep(&self, kept: &Arc<Kept>, next: &mut u32) -> Self::Kept {
        self.iter().map(|(key, item)| (key.clone(), item.keep(kept, next))).collect()
    }
}

macro_rules! tuples {
    ($($name:ident $place:tt),*) => {
        impl<$($name: Persist),*> Persist for ($($name,)*) {
            type Kept = ($($name::Kept,)*);

            #[allow(unused_variables, reason = "the empty tuple asks for nothing")]
            fn ask(&self, request: &mut Request, sink: &Arc<dyn Sink>) {
                $(self.$place.ask(request, sink);)*
            }

            #[allow(unused_variables, clippy::unused_unit, reason = "the empty tuple keeps nothing")]
            fn keep(&self, kept: &Arc<Kept>, next: &mut u32) -> Self::Kept {
                ($(self.$place.keep(kept, next),)*)
            }
        }
    };
}

tuples!();
tuples!(A 0);
tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
tuples!(A 0, B 1, C 2, D 3, E 4);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
