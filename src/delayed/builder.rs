//! The custom graph of names: values and tasks under names, in any order.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::handle::Delayed;
use super::input::{Held, Inputs};
use super::verbs::delayed_with;
use crate::error::{Error, ErrorKind, Result, Role as Place};
use crate::origin::Origin;
use crate::plan::{Alias, Node, NodeRef, Request, Role, Sink};
use crate::runtime::{Computable, Compute, Kept, Persist};

/// A name in a [`GraphBuilder`] and the type of its value.
pub struct Key<T> {
    value: Delayed<T>,
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        Key { value: self.value.clone() }
    }
}

impl<T> std::fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.value.fmt(f)
    }
}

impl<T: Any + Send + Sync> Inputs for &Key<T> {
    type Held = Delayed<T>;

    fn hold(self) -> Delayed<T> {
        self.value.clone()
    }
}

impl<T: Any + Send + Sync> Computable for Key<T> {
    type Output = T;
    type Pending = <Delayed<T> as Computable>::Pending;

    fn request(&self, request: &mut Request) -> Self::Pending {
        self.value.request(request)
    }

    fn finish(pending: Self::Pending) -> Result<T> {
        Delayed::<T>::finish(pending)
    }
}

impl<T: Any + Send + Sync + Clone> Persist for Key<T> {
    type Kept = Delayed<T>;

    fn ask(&self, request: &mut Request, sink: &Arc<dyn Sink>) {
        self.value.ask(request, sink);
    }

    fn keep(&self, kept: &Arc<Kept>, next: &mut u32) -> Delayed<T> {
        self.value.keep(kept, next)
    }
}

/// Builds a graph of named values and tasks.
///
/// What is wrong (a name used twice, a name never defined, another type than was expected, a cycle) is told by
/// [`GraphBuilder::build`].
///
/// ```
/// use chunkwise::prelude::*;
///
/// let mut g = GraphBuilder::new();
/// let x = g.value("x", 1_i64);
/// let y = g.value("y", 2_i64);
/// let z = g.task("z", (&x, &y), |(x, y)| x + y);
/// let w = g.task("w", &z, |z| z * 2);
/// let result = g.task("result", (&w, &y), |(w, y)| w.pow(*y as u32));
/// assert_eq!(g.build()?.compute(&result)?, 36);
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[derive(Default)]
pub struct GraphBuilder {
    entries: Vec<Entry>,
    forward: Vec<Arc<Forward>>,
}

struct Entry {
    name: String,
    origin: Origin,
    value: NodeRef,
    type_id: TypeId,
    type_name: &'static str,
}

/// A name that is used before it is defined.
struct Forward {
    name: String,
    origin: Origin,
    type_id: TypeId,
    type_name: &'static str,
    target: OnceLock<NodeRef>,
    undefined: Error,
}

/// The node of a [`Forward`]: once the graph is built, another view of what it names.
struct ForwardNode {
    forward: Arc<Forward>,
    alias: Alias,
}

impl Node for ForwardNode {
    fn label(&self) -> String {
        self.forward.name.clone()
    }

    fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a NodeRef)) {
        self.forward.target.get().into_iter().for_each(visit);
    }

    fn role(&self) -> Role<'_> {
        match self.forward.target.get() {
            Some(_) => Role::Alias(&self.alias),
            None => Role::Poison(&self.forward.undefined),
        }
    }

    fn forward_name(&self) -> Option<&str> {
        Some(&self.forward.name)
    }
}

impl GraphBuilder {
    /// An empty graph.
    pub fn new() -> GraphBuilder {
        GraphBuilder::default()
    }

    /// A plain value under a name.
    #[track_caller]
    pub fn value<T: Any + Send + Sync + Clone>(&mut self, name: impl Into<String>, value: T) -> Key<T> {
        self.define(name.into(), Delayed::value(value), Origin::caller())
    }

    /// A task under a name: a function of the values of other keys, by reference.
    #[track_caller]
    pub fn task<I, F, T>(&mut self, name: impl Into<String>, inputs: I, function: F) -> Key<T>
    where
        I: Inputs,
        F: for<'a> Fn(<I::Held as Held>::View<'a>) -> T + Send + Sync + 'static,
        T: Any + Send + Sync,
    {
        self.define(name.into(), delayed_with(inputs, function), Origin::caller())
    }

    /// Another name for a key.
    #[track_caller]
    pub fn alias<T: Any + Send + Sync>(&mut self, name: impl Into<String>, key: &Key<T>) -> Key<T> {
        self.define(name.into(), key.value.clone(), Origin::caller())
    }

    /// A name that is defined later.
    #[track_caller]
    pub fn key<T: Any + Send + Sync>(&mut self, name: impl Into<String>) -> Key<T> {
        let name = name.into();
        let origin = Origin::caller();
        let text = format!("the name `{name}` is used before the graph is built");
        let forward = Arc::new(Forward {
            undefined: Error::new(ErrorKind::Plan, text).frame(Place::In, "key", origin),
            name,
            origin,
            type_id: TypeId::of::<T>(),
            type_name: type_name::<T>(),
            target: OnceLock::new(),
        });
        self.forward.push(forward.clone());
        let alias = Alias::Piece(0);
        Key { value: Delayed::of(ForwardNode { forward, alias }) }
    }

    fn define<T: Any + Send + Sync>(&mut self, name: String, value: Delayed<T>, origin: Origin) -> Key<T> {
        let value = value.named(name.clone());
        self.entries.push(Entry {
            name,
            origin,
            value: value.source().clone(),
            type_id: TypeId::of::<T>(),
            type_name: type_name::<T>(),
        });
        Key { value }
    }

    /// Checks the graph.
    ///
    /// # Errors
    /// Of kind `Plan`: a name used twice, a name never defined, a name of another type, a cycle with its path.
    pub fn build(self) -> Result<BuiltGraph> {
        let mut index: HashMap<&str, usize> = HashMap::new();
        for (at, entry) in self.entries.iter().enumerate() {
            if let Some(first) = index.insert(&entry.name, at) {
                let (name, first) = (&entry.name, self.entries[first].origin);
                let text = format!("the name `{name}` is used twice, first at {first}");
                return Err(Error::new(ErrorKind::Plan, text).frame(Place::In, "GraphBuilder", entry.origin));
            }
        }
        for forward in &self.forward {
            let wrong = |text: String| Err(Error::new(ErrorKind::Plan, text).frame(Place::In, "key", forward.origin));
            let Some(entry) = index.get(&*forward.name).map(|at| &self.entries[*at]) else {
                let mut names: Vec<&str> = index.keys().copied().collect();
                names.sort_unstable();
                let names = names.join(", ");
                return wrong(format!("the name `{}` is never defined; names are {names}", forward.name));
            };
            if entry.type_id != forward.type_id {
                let (name, is, expected) = (&forward.name, entry.type_name, forward.type_name);
                return wrong(format!("the name `{name}` is a `{is}`, not a `{expected}`"));
            }
        }
        self.check_cycles(&index)?;
        for forward in &self.forward {
            if let Some(at) = index.get(&*forward.name) {
                let entry = &self.entries[*at];
                // Set once: every forward stands in the list once.
                let _ = forward.target.set(entry.value.clone());
            }
        }
        Ok(BuiltGraph { entries: self.entries })
    }

    /// Walks over all that the entries read, each node once; a name that is used before it is defined leads on to its
    /// entry, and only by that can a walk come back to where it is.
    fn check_cycles(&self, index: &HashMap<&str, usize>) -> Result<()> {
        struct Open<'a> {
            node: &'a NodeRef,
            /// What it reads and is still to be looked at, the first last.
            below: Vec<&'a NodeRef>,
        }
        fn open<'a>(node: &'a NodeRef, entries: &'a [Entry], index: &HashMap<&str, usize>) -> Open<'a> {
            let inner = node.node();
            let mut below = Vec::new();
            // A forward of a graph that was built before has its target, and is a node like others.
            let forward = inner.forward_name().filter(|_| matches!(inner.role(), Role::Poison(_)));
            match forward.and_then(|name| index.get(name)) {
                Some(at) => below.push(&entries[*at].value),
                None => inner.visit(&mut |node| below.push(node)),
            }
            below.reverse();
            Open { node, below }
        }
        let by_node: HashMap<usize, usize> =
            self.entries.iter().enumerate().map(|(at, entry)| (entry.value.address(), at)).collect();
        // Nodes that were seen: whether the walk is through with them.
        let mut done: HashMap<usize, bool> = HashMap::new();
        let mut path: Vec<Open<'_>> = Vec::new();
        for entry in &self.entries {
            if done.contains_key(&entry.value.address()) {
                continue;
            }
            done.insert(entry.value.address(), false);
            path.push(open(&entry.value, &self.entries, index));
            while let Some(last) = path.last_mut() {
                let Some(child) = last.below.pop() else {
                    done.insert(last.node.address(), true);
                    path.pop();
                    continue;
                };
                match done.get(&child.address()) {
                    Some(true) => {}
                    Some(false) => return Err(self.cycle(&by_node, path.iter().map(|open| open.node), child)),
                    None => {
                        done.insert(child.address(), false);
                        path.push(open(child, &self.entries, index));
                    }
                }
            }
        }
        Ok(())
    }

    /// The error of a walk that came back to `child`.
    fn cycle<'a>(
        &self,
        by_node: &HashMap<usize, usize>,
        path: impl Iterator<Item = &'a NodeRef>,
        child: &'a NodeRef,
    ) -> Error {
        let cycle = path.skip_while(|node| node.address() != child.address()).chain([child]);
        let entries: Vec<usize> = cycle.filter_map(|node| by_node.get(&node.address()).copied()).collect();
        let names: Vec<&str> = entries.iter().map(|at| &*self.entries[*at].name).collect();
        let origin = entries.last().map_or(Origin::UNKNOWN, |at| self.entries[*at].origin);
        let text = format!("the graph has a cycle: {}", names.join(" -> "));
        Error::new(ErrorKind::Plan, text).frame(Place::In, "GraphBuilder", origin)
    }
}

/// A graph of names that was checked.
pub struct BuiltGraph {
    entries: Vec<Entry>,
}

impl BuiltGraph {
    /// Computes one key, or keys nested in tuples, arrays, `Vec`, `Option` and maps, in one run.
    ///
    /// # Errors
    /// As [`crate::compute`].
    #[track_caller]
    pub fn compute<C: Computable>(&self, keys: C) -> Result<C::Output> {
        keys.compute()
    }

    /// The value under a name, as a delayed value.
    ///
    /// # Errors
    /// Of kind `Plan`, where there is no such name, or its value is of another type.
    #[track_caller]
    pub fn get<T: Any + Send + Sync>(&self, name: &str) -> Result<Delayed<T>> {
        let origin = Origin::caller();
        let wrong = |text: String| Err(Error::new(ErrorKind::Plan, text).frame(Place::In, "get", origin));
        let Some(entry) = self.entries.iter().find(|entry| entry.name == name) else {
            let names: Vec<&str> = self.names().collect();
            return wrong(format!("there is no name `{name}`; names are {}", names.join(", ")));
        };
        if entry.type_id != TypeId::of::<T>() {
            let (is, asked) = (entry.type_name, type_name::<T>());
            return wrong(format!("the name `{name}` is a `{is}`, not a `{asked}`"));
        }
        Ok(Delayed::from_node(entry.value.clone()))
    }

    /// All names, in the order in which they were defined.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| &*entry.name)
    }
}
