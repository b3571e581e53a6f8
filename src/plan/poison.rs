//! The node of a step that was wrong: whatever is made of it gives its error.

use super::node::{Node, NodeRef, Role};
use crate::error::Error;

/// An error in place of a node.
pub struct Poisoned {
    error: Error,
}

impl Poisoned {
    /// A node that gives this error.
    pub fn new(error: Error) -> Poisoned {
        Poisoned { error }
    }

    /// As a handle.
    pub fn node(error: Error) -> NodeRef {
        NodeRef::new(Poisoned::new(error))
    }
}

impl Node for Poisoned {
    fn visit<'a>(&'a self, _: &mut dyn FnMut(&'a NodeRef)) {}

    fn label(&self) -> String {
        "error".to_string()
    }

    fn role(&self) -> Role<'_> {
        Role::Poison(&self.error)
    }
}
