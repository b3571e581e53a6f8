//! Nodes of plans and the handles that hold them.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use super::lower::LayerLowering;
use super::region::Region;
use crate::error::{Error, Result};
use crate::graph::{Call, Chunk, Kind};

/// What a node becomes in a graph.
pub enum Role<'a> {
    /// A task of an explicit layer, which gives so many pieces.
    Task { pieces: u32 },
    /// Layers of its own.
    Layers,
    /// The node below under another name, or as a copy of its own.
    Alias(&'a Alias),
    /// Nothing: the step that made it was wrong.
    Poison(&'a Error),
}

/// Another view of a node. What is said twice holds as the outermost view says it.
pub enum Alias {
    /// Only one of its pieces.
    Piece(u32),
    /// The name its task gets.
    Named(Box<str>),
    /// What the engine is to know about its value, in place of what the node says.
    OfKind(&'static dyn Kind),
    /// Of tasks with equal keys one is run.
    Pure(Box<str>),
    /// Everything below is run again for this view, and only after the node's further input has run, if it has one.
    Copy,
}

impl Alias {
    /// The name it gives.
    pub fn name(&self) -> Option<&str> {
        if let Alias::Named(name) = self { Some(name) } else { None }
    }
}

/// A node of a plan.
pub trait Node: Send + Sync {
    /// Tells of each node it reads, in the order of the inputs; of an alias, what it is a view of, then its gate, if any.
    fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a NodeRef));

    /// What it is called where it has no name.
    fn label(&self) -> String;

    /// The name it stands for, where it was used before it was defined.
    fn forward_name(&self) -> Option<&str> {
        None
    }

    /// What it becomes.
    fn role(&self) -> Role<'_>;

    /// For a task: what it runs.
    fn call(self: Arc<Self>) -> Result<Arc<dyn Call>> {
        Err(Error::internal("a plan node without a task is to be run"))
    }

    /// Whether [`Node::clone_value`] gives clones.
    fn clones(&self) -> bool {
        false
    }

    /// A clone of a value of this node, where it is known that its type can be cloned.
    fn clone_value(&self, value: &Chunk) -> Option<Chunk> {
        let _ = value;
        None
    }

    /// For a node that is planned together with others: with which, and itself.
    fn region(&self) -> Option<(&'static dyn Region, &dyn Any)> {
        None
    }

    /// For layers: adds them to the graph and says which one is read by others.
    fn lower(&self, lowering: &mut LayerLowering<'_>) -> Result<u32> {
        let _ = lowering;
        Err(Error::internal("a plan node without layers is to be lowered"))
    }
}

/// A shared node. Dropping it drops what only it holds, without recursion however long the chain is.
#[derive(Clone)]
pub struct NodeRef(Option<Arc<dyn Node>>);

impl NodeRef {
    /// A handle of a new node.
    pub fn new(node: impl Node + 'static) -> NodeRef {
        NodeRef(Some(Arc::new(node)))
    }

    /// Where the node lies: what tells it from all others that live.
    pub fn address(&self) -> usize {
        Arc::as_ptr(self.node()).cast::<()>() as usize
    }

    /// Whether no other handle of the node is left, and none can come up while this one is borrowed and not cloned.
    pub fn is_only_handle(&self) -> bool {
        Arc::strong_count(self.node()) == 1
    }

    /// The node.
    pub fn node(&self) -> &Arc<dyn Node> {
        match &self.0 {
            Some(node) => node,
            None => unreachable!("only drop takes the node out"),
        }
    }
}

impl fmt::Debug for NodeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.node().label())
    }
}

thread_local! {
    /// Nodes to be dropped by the outermost drop on this thread, while there is one.
    static DROPPING: RefCell<Option<Vec<Arc<dyn Node>>>> = const { RefCell::new(None) };
}

impl Drop for NodeRef {
    fn drop(&mut self) {
        let Some(node) = self.0.take() else { return };
        if Arc::strong_count(&node) > 1 {
            // Not the last one. Should others let go meanwhile, the handles inside start a queue of their own.
            return;
        }
        let mut node = Some(node);
        let outermost = DROPPING.try_with(|dropping| {
            let mut dropping = dropping.borrow_mut();
            match (&mut *dropping, node.take()) {
                (Some(queue), Some(inner)) => {
                    queue.push(inner);
                    false
                }
                (none, taken) => {
                    *none = Some(Vec::new());
                    node = taken;
                    true
                }
            }
        });
        match outermost {
            Ok(false) => {}
            // The thread is ending and its queue is gone: a chain cannot be long here, so drop it as it is.
            Err(_) => drop(node),
            Ok(true) => {
                // Ends the queue also when a user's value panics in its drop.
                struct End;
                impl Drop for End {
                    fn drop(&mut self) {
                        let rest = DROPPING.with_borrow_mut(Option::take);
                        drop(rest);
                    }
                }
                let end = End;
                while let Some(next) = node.take() {
                    drop(next);
                    node = DROPPING.with_borrow_mut(|dropping| dropping.as_mut().and_then(Vec::pop));
                }
                drop(end);
            }
        }
    }
}
