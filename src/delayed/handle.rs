//! The type `Delayed`, how it is computed and how it is kept.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::task::AliasNode;
use crate::error::{Error, Result};
use crate::graph::{Call, Inputs as TaskInputs, Outputs, TaskContext};
use crate::origin::Origin;
use crate::plan::{Alias, Node, NodeRef, OneValue, Request, Role, Sink};
use crate::runtime::{Computable, Kept, Persist};
use crate::store::{self, Chunk, Kind, chunk};

/// A value of type `T` that is not there yet: a task, and all the tasks it needs.
///
/// A clone is the same task, and a task that several others use runs once per `compute`. Building is cheap (one
/// allocation) and never fails; what is wrong is told by `compute`, with the line of the call.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let a = delayed(|| 10);
/// let b = delayed(|| 20);
/// let c = delayed_with((&a, &b), |(a, b)| a + b); // a and b run in parallel
/// let d = c.map(|c| c * 2);
/// assert_eq!(d.compute()?, 60);
/// # Ok::<(), chunkwise::Error>(())
/// ```
///
/// # Asked for twice
/// `compute((&d, &d))` runs the task once and gives its value twice where it is known how to clone it: numbers, text,
/// vectors of them, arrays, tables, and what came out of a verb that asks for `Clone` itself ([`Delayed::value`],
/// [`Delayed::all`], [`Delayed::split`], [`tree_reduce`](super::DelayedVec::tree_reduce), persisted values). For other types
/// it is an error, told before anything runs.
///
/// # Memory
/// A value is held until its last reader has run. Its size is known for numbers, text, vectors of them, arrays and
/// tables; of other types only the value itself is counted, not what it points to, unless it is
/// [`spillable`](Delayed::spillable).
#[must_use = "a Delayed does nothing until it is computed"]
pub struct Delayed<T> {
    pub(super) node: NodeRef,
    type_of: PhantomData<fn() -> T>,
}

impl<T> Clone for Delayed<T> {
    fn clone(&self) -> Self {
        Delayed { node: self.node.clone(), type_of: PhantomData }
    }
}

impl<T> fmt::Debug for Delayed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.node.node();
        let what = match node.role() {
            Role::Task { .. } => node.label(),
            Role::Alias(alias) => alias.name().unwrap_or("alias").to_string(),
            Role::Layers => "layers".to_string(),
            Role::Poison(error) => return write!(f, "Delayed<{}>: {error}", std::any::type_name::<T>()),
        };
        write!(f, "Delayed<{}>: {what}", std::any::type_name::<T>())
    }
}

impl<T> Delayed<T> {
    pub(super) fn of(node: impl Node + 'static) -> Delayed<T> {
        Delayed { node: NodeRef::new(node), type_of: PhantomData }
    }

    /// One piece of a node.
    pub(crate) fn piece_of(node: &NodeRef, piece: u32) -> Delayed<T> {
        Delayed::of(AliasNode::new(Alias::Piece(piece), node.clone(), ()))
    }

    /// A handle of a node that gives one piece.
    pub(crate) fn from_node(node: NodeRef) -> Delayed<T> {
        Delayed { node, type_of: PhantomData }
    }

    pub(super) fn poisoned(error: Error) -> Delayed<T> {
        Delayed::of(crate::plan::Poisoned::new(error))
    }

    /// The node of the plan, for conversions to other collections.
    pub(crate) fn source(&self) -> &NodeRef {
        &self.node
    }
}

/// What [`Delayed`] waits with for its value.
pub struct Pending<T> {
    value: Arc<OneValue>,
    node: NodeRef,
    type_of: PhantomData<fn() -> T>,
}

/// What a node is a view of, however many names it got.
fn behind_aliases(node: &NodeRef) -> &NodeRef {
    let mut node = node;
    while let Role::Alias(_) = node.node().role() {
        let mut target = None;
        node.node().visit(&mut |input| target = target.or(Some(input)));
        let Some(target) = target else { return node };
        node = target;
    }
    node
}

impl<T: Any + Send + Sync> Computable for Delayed<T> {
    type Output = T;
    type Pending = Pending<T>;

    fn request(&self, request: &mut Request) -> Pending<T> {
        let value = Arc::new(OneValue::default());
        if store::is_known::<T>() || behind_aliases(&self.node).node().clones() {
            request.want(&self.node, value.clone());
        } else {
            request.want_alone(&self.node, value.clone());
        }
        Pending { value, node: self.node.clone(), type_of: PhantomData }
    }

    fn finish(pending: Pending<T>) -> Result<T> {
        let chunk = pending.value.take().ok_or_else(|| Error::internal("a value was not delivered"))?;
        match chunk.try_take::<T>() {
            Ok(value) => Ok(value),
            Err(shared) => {
                // The plan holds it too, or it was asked for twice.
                let value = shared.get::<T>()?;
                let node = behind_aliases(&pending.node).node();
                let copied = catch_unwind(AssertUnwindSafe(|| {
                    store::copy(value).or_else(|| node.clone_value(&shared)?.try_take::<T>().ok())
                }));
                let name = || shown_name(&**pending.node.node());
                let copy = copied.map_err(|panic| Error::from_panic(panic).in_task(name(), None))?;
                copy.ok_or_else(|| Error::internal("a value that cannot be cloned was given to two"))
            }
        }
    }
}

/// The name a node was given, or what it is called without one.
fn shown_name(node: &dyn Node) -> String {
    match node.role() {
        Role::Alias(alias) => alias.name().map_or_else(|| node.label(), str::to_string),
        _ => node.label(),
    }
}

impl<T: Any + Send + Sync + Clone> Persist for Delayed<T> {
    type Kept = Delayed<T>;

    fn ask(&self, request: &mut Request, sink: &Arc<dyn Sink>) {
        request.want(&self.node, sink.clone());
    }

    fn keep(&self, kept: &Arc<Kept>, next: &mut u32) -> Delayed<T> {
        let output = *next;
        *next += 1;
        let need = kept.need(output..*next);
        Delayed::of(KeptValue::<T> { kept: kept.clone(), output, need, type_of: PhantomData })
    }
}

/// A value that a runtime keeps.
struct KeptValue<T> {
    kept: Arc<Kept>,
    output: u32,
    need: u64,
    type_of: PhantomData<fn() -> T>,
}

impl<T: Any + Send + Sync + Clone> Node for KeptValue<T> {
    fn visit<'a>(&'a self, _: &mut dyn FnMut(&'a NodeRef)) {}

    fn role(&self) -> Role<'_> {
        Role::Task { pieces: 1 }
    }

    fn label(&self) -> String {
        self.name().to_string()
    }

    fn call(self: Arc<Self>) -> Result<Arc<dyn Call>> {
        Ok(self)
    }

    fn clones(&self) -> bool {
        true
    }

    fn clone_value(&self, value: &Chunk) -> Option<Chunk> {
        value.get::<T>().ok().cloned().map(Chunk::new)
    }
}

impl<T: Any + Send + Sync + Clone> Call for KeptValue<T> {
    fn call(&self, _: &TaskContext<'_>, _: &mut TaskInputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        out.push_chunk(self.kept.get(self.output)?);
        Ok(())
    }

    fn name(&self) -> &str {
        "kept"
    }

    fn verb(&self) -> &'static str {
        "persist"
    }

    fn origin(&self) -> Origin {
        self.kept.origin()
    }

    fn kind(&self, _: u32) -> &'static dyn Kind {
        self.kept.kind(self.output).unwrap_or_else(chunk::plain::<T>)
    }

    fn need(&self) -> u64 {
        self.need
    }
}
