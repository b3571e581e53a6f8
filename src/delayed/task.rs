//! The nodes behind the verbs: what is read, and what is done with it.

use std::any::{Any, type_name};
use std::marker::PhantomData;
use std::sync::Arc;

use super::input::Held;
use crate::error::{Error, Result};
use crate::graph::{Call, Inputs as TaskInputs, Outputs, TaskContext};
use crate::origin::Origin;
use crate::plan::{Alias, Node, NodeRef, Role};
use crate::store::{Chunk, Kind, chunk};

/// What a task does with its inputs.
pub(super) trait Body<H>: Send + Sync + 'static {
    /// The verb of the public API.
    const VERB: &'static str;

    fn run(&self, held: &H, values: &mut TaskInputs<'_>, out: &mut Outputs<'_>) -> Result<()>;

    fn kind(&self) -> &'static dyn Kind;

    /// The name where none is given.
    fn name(&self) -> &'static str {
        Self::VERB
    }

    /// Number of pieces.
    fn pieces(&self) -> u32 {
        1
    }

    /// How a piece is cloned, where the verb asks for a type that can be.
    fn cloning(&self) -> Option<fn(&Chunk) -> Option<Chunk>> {
        None
    }
}

/// A clone of a value whose type is known.
pub(super) fn clone_of<T: Any + Send + Sync + Clone>(value: &Chunk) -> Option<Chunk> {
    value.get::<T>().ok().cloned().map(Chunk::new)
}

/// A task.
pub(super) struct Task<H, B> {
    origin: Origin,
    held: H,
    body: B,
}

impl<H: Held, B: Body<H>> Task<H, B> {
    pub fn new(origin: Origin, held: H, body: B) -> Task<H, B> {
        Task { origin, held, body }
    }
}

impl<H: Held, B: Body<H>> Node for Task<H, B> {
    fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a NodeRef)) {
        self.held.visit(visit);
    }

    fn role(&self) -> Role<'_> {
        Role::Task { pieces: self.body.pieces() }
    }

    fn label(&self) -> String {
        self.body.name().to_string()
    }

    fn call(self: Arc<Self>) -> Result<Arc<dyn Call>> {
        Ok(self)
    }

    fn clones(&self) -> bool {
        self.body.cloning().is_some()
    }

    fn clone_value(&self, value: &Chunk) -> Option<Chunk> {
        self.body.cloning().and_then(|clone| clone(value))
    }
}

impl<H: Held, B: Body<H>> Call for Task<H, B> {
    fn call(&self, _: &TaskContext<'_>, inputs: &mut TaskInputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        self.body.run(&self.held, inputs, out)
    }

    fn name(&self) -> &str {
        self.body.name()
    }

    fn verb(&self) -> &'static str {
        B::VERB
    }

    fn origin(&self) -> Origin {
        self.origin
    }

    fn kind(&self, _: u32) -> &'static dyn Kind {
        self.body.kind()
    }
}

/// The name of a function, or the verb where it is a closure.
pub(super) fn function_name<F>(verb: &'static str) -> &'static str {
    let name = type_name::<F>();
    // Of generic functions the path before the parameters counts.
    let path = name.split('<').next().unwrap_or(name);
    match path.rsplit("::").next() {
        Some(last) if !last.is_empty() && last.chars().all(|c| c.is_alphanumeric() || c == '_') => last,
        _ => verb,
    }
}

type Of<T> = PhantomData<fn() -> T>;

/// A function of references to the inputs.
pub(super) struct ByRef<F, T>(pub F, pub Of<T>);

impl<H, F, T> Body<H> for ByRef<F, T>
where
    H: Held,
    F: for<'a> Fn(H::View<'a>) -> T + Send + Sync + 'static,
    T: Any + Send + Sync,
{
    const VERB: &'static str = "delayed_with";

    fn run(&self, held: &H, values: &mut TaskInputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        let value = (self.0)(held.view(values, &mut 0)?);
        out.push(value);
        Ok(())
    }

    fn kind(&self) -> &'static dyn Kind {
        chunk::plain::<T>()
    }

    fn name(&self) -> &'static str {
        function_name::<F>("delayed_with")
    }
}

/// A function of nothing.
pub(super) struct Source<F, T>(pub F, pub Of<T>);

impl<F, T> Body<()> for Source<F, T>
where
    F: Fn() -> T + Send + Sync + 'static,
    T: Any + Send + Sync,
{
    const VERB: &'static str = "delayed";

    fn run(&self, _: &(), _: &mut TaskInputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        out.push((self.0)());
        Ok(())
    }

    fn kind(&self) -> &'static dyn Kind {
        chunk::plain::<T>()
    }

    fn name(&self) -> &'static str {
        function_name::<F>("delayed")
    }
}

/// A fallible function of references to the inputs.
pub(super) struct TryByRef<F, T, E>(pub F, pub Of<(T, E)>);

impl<H, F, T, E> Body<H> for TryByRef<F, T, E>
where
    H: Held,
    F: for<'a> Fn(H::View<'a>) -> Result<T, E> + Send + Sync + 'static,
    T: Any + Send + Sync,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    const VERB: &'static str = "try_delayed_with";

    fn run(&self, held: &H, values: &mut TaskInputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        let value = (self.0)(held.view(values, &mut 0)?).map_err(Error::from_user)?;
        out.push(value);
        Ok(())
    }

    fn kind(&self) -> &'static dyn Kind {
        chunk::plain::<T>()
    }

    fn name(&self) -> &'static str {
        function_name::<F>("try_delayed_with")
    }
}

/// A fallible function of nothing.
pub(super) struct TrySource<F, T, E>(pub F, pub Of<(T, E)>);

impl<F, T, E> Body<()> for TrySource<F, T, E>
where
    F: Fn() -> Result<T, E> + Send + Sync + 'static,
    T: Any + Send + Sync,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    const VERB: &'static str = "try_delayed";

    fn run(&self, _: &(), _: &mut TaskInputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        out.push((self.0)().map_err(Error::from_user)?);
        Ok(())
    }

    fn kind(&self) -> &'static dyn Kind {
        chunk::plain::<T>()
    }

    fn name(&self) -> &'static str {
        function_name::<F>("try_delayed")
    }
}

/// `map`: a function of a reference to one value.
pub(super) struct Map<F, T, U>(pub F, pub Of<(T, U)>);

impl<H: Held, F, T, U> Body<H> for Map<F, T, U>
where
    F: Fn(&T) -> U + Send + Sync + 'static,
    T: Any + Send + Sync,
    U: Any + Send + Sync,
{
    const VERB: &'static str = "map";

    fn run(&self, _: &H, values: &mut TaskInputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        let value = (self.0)(values.get(0)?);
        out.push(value);
        Ok(())
    }

    fn kind(&self) -> &'static dyn Kind {
        chunk::plain::<U>()
    }

    fn name(&self) -> &'static str {
        function_name::<F>("map")
    }
}

/// `try_map`: a fallible function of a reference to one value.
pub(super) struct TryMap<F, T, U, E>(pub F, pub Of<(T, U, E)>);

impl<H: Held, F, T, U, E> Body<H> for TryMap<F, T, U, E>
where
    F: Fn(&T) -> Result<U, E> + Send + Sync + 'static,
    T: Any + Send + Sync,
    U: Any + Send + Sync,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    const VERB: &'static str = "try_map";

    fn run(&self, _: &H, values: &mut TaskInputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        let value = (self.0)(values.get(0)?).map_err(Error::from_user)?;
        out.push(value);
        Ok(())
    }

    fn kind(&self) -> &'static dyn Kind {
        chunk::plain::<U>()
    }

    fn name(&self) -> &'static str {
        function_name::<F>("try_map")
    }
}

/// `then`: a function of one value.
pub(super) struct Then<F, T, U>(pub F, pub Of<(T, U)>);

impl<H: Held, F, T, U> Body<H> for Then<F, T, U>
where
    F: Fn(T) -> U + Send + Sync + 'static,
    T: Any + Send + Sync + Clone,
    U: Any + Send + Sync,
{
    const VERB: &'static str = "then";

    fn run(&self, _: &H, values: &mut TaskInputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        let value = (self.0)(values.take(0)?);
        out.push(value);
        Ok(())
    }

    fn kind(&self) -> &'static dyn Kind {
        chunk::plain::<U>()
    }

    fn name(&self) -> &'static str {
        function_name::<F>("then")
    }
}

/// `all`: many values of one type as one.
pub(super) struct All<T>(pub Of<T>);

impl<H: Held, T: Any + Send + Sync + Clone> Body<H> for All<T> {
    const VERB: &'static str = "all";

    fn run(&self, _: &H, values: &mut TaskInputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        let all = (0..values.len()).map(|at| values.take::<T>(at)).collect::<Result<Vec<T>>>()?;
        out.push(all);
        Ok(())
    }

    fn kind(&self) -> &'static dyn Kind {
        chunk::plain::<Vec<T>>()
    }

    fn cloning(&self) -> Option<fn(&Chunk) -> Option<Chunk>> {
        Some(clone_of::<Vec<T>>)
    }
}

/// `split`: the items of one vector as values of their own.
pub(super) struct Split<T>(pub u32, pub Of<T>);

impl<H: Held, T: Any + Send + Sync + Clone> Body<H> for Split<T> {
    const VERB: &'static str = "split";

    fn run(&self, _: &H, values: &mut TaskInputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        let items: Vec<T> = values.take(0)?;
        if items.len() != self.0 as usize {
            let text = format!("split into {} values, but there are {}", self.0, items.len());
            return Err(Error::new(crate::error::ErrorKind::Data, text));
        }
        items.into_iter().for_each(|item| out.push(item));
        Ok(())
    }

    fn kind(&self) -> &'static dyn Kind {
        chunk::plain::<T>()
    }

    fn pieces(&self) -> u32 {
        self.0
    }

    fn cloning(&self) -> Option<fn(&Chunk) -> Option<Chunk>> {
        Some(clone_of::<T>)
    }
}

/// The first input as it is, once the others have run.
pub(super) struct Pass<T>(pub Of<T>);

impl<H: Held, T: Any + Send + Sync> Body<H> for Pass<T> {
    const VERB: &'static str = "wait_on";

    fn run(&self, _: &H, values: &mut TaskInputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        let chunk = values.take_chunk(0)?;
        chunk.get::<T>()?;
        out.push_chunk(chunk);
        Ok(())
    }

    fn kind(&self) -> &'static dyn Kind {
        chunk::plain::<T>()
    }
}

/// Nothing, once the inputs have run.
pub(super) struct Checkpoint;

impl<H: Held> Body<H> for Checkpoint {
    const VERB: &'static str = "checkpoint";

    fn run(&self, _: &H, _: &mut TaskInputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        out.push(());
        Ok(())
    }

    fn kind(&self) -> &'static dyn Kind {
        chunk::plain::<()>()
    }
}

/// A value that is there already.
pub(super) struct Value<T> {
    origin: Origin,
    value: Chunk,
    type_of: Of<T>,
}

impl<T: Any + Send + Sync + Clone> Value<T> {
    pub fn new(origin: Origin, value: T) -> Value<T> {
        Value { origin, value: Chunk::new(value), type_of: PhantomData }
    }
}

impl<T: Any + Send + Sync + Clone> Node for Value<T> {
    fn visit<'a>(&'a self, _: &mut dyn FnMut(&'a NodeRef)) {}

    fn role(&self) -> Role<'_> {
        Role::Task { pieces: 1 }
    }

    fn label(&self) -> String {
        "value".to_string()
    }

    fn call(self: Arc<Self>) -> Result<Arc<dyn Call>> {
        Ok(self)
    }

    fn clones(&self) -> bool {
        true
    }

    fn clone_value(&self, value: &Chunk) -> Option<Chunk> {
        clone_of::<T>(value)
    }
}

impl<T: Any + Send + Sync + Clone> Call for Value<T> {
    fn call(&self, _: &TaskContext<'_>, _: &mut TaskInputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        out.push_chunk(self.value.clone());
        Ok(())
    }

    fn name(&self) -> &str {
        "value"
    }

    fn verb(&self) -> &'static str {
        "value"
    }

    fn origin(&self) -> Origin {
        self.origin
    }

    fn kind(&self, _: u32) -> &'static dyn Kind {
        chunk::plain::<T>()
    }
}

/// Another view of a node: first the node, then what must run before a copy of it.
pub(super) struct AliasNode<H> {
    alias: Alias,
    node: NodeRef,
    gate: H,
}

impl<H: Held> AliasNode<H> {
    pub fn new(alias: Alias, node: NodeRef, gate: H) -> AliasNode<H> {
        AliasNode { alias, node, gate }
    }
}

impl<H: Held> Node for AliasNode<H> {
    fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a NodeRef)) {
        visit(&self.node);
        self.gate.visit(visit);
    }

    fn role(&self) -> Role<'_> {
        Role::Alias(&self.alias)
    }

    fn label(&self) -> String {
        self.node.node().label()
    }
}
