//! One value of a collection that is not there yet.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::compute::Computable;
use super::persist::{Kept, Persist};
use crate::error::{Error, Result};
use crate::plan::{NodeRef, OneValue, Request, Sink};

/// A single value that a collection is reduced to, such as its number of rows; computed it is a `T`.
#[must_use = "a Scalar does nothing until it is computed"]
pub struct Scalar<T> {
    node: NodeRef,
    type_of: PhantomData<fn() -> T>,
}

impl<T> Scalar<T> {
    /// The only value of a node.
    pub(crate) fn of(node: NodeRef) -> Scalar<T> {
        Scalar { node, type_of: PhantomData }
    }

    pub(crate) fn node(&self) -> &NodeRef {
        &self.node
    }
}

impl<T> Clone for Scalar<T> {
    fn clone(&self) -> Self {
        Scalar::of(self.node.clone())
    }
}

impl<T> fmt::Debug for Scalar<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scalar<{}>: {}", std::any::type_name::<T>(), self.node.node().label())
    }
}

impl<T: Any + Send + Sync + Clone> Computable for Scalar<T> {
    type Output = T;
    type Pending = Arc<OneValue>;

    fn request(&self, request: &mut Request) -> Arc<OneValue> {
        let value = Arc::new(OneValue::default());
        request.want(&self.node, value.clone());
        value
    }

    fn finish(pending: Arc<OneValue>) -> Result<T> {
        let chunk = pending.take().ok_or_else(|| Error::internal("a value was not delivered"))?;
        chunk.take_or_clone()
    }
}

impl<T: Any + Send + Sync + Clone> Persist for Scalar<T> {
    type Kept = Scalar<T>;

    fn ask(&self, request: &mut Request, sink: &Arc<dyn Sink>) {
        request.want(&self.node, sink.clone());
    }

    fn keep(&self, kept: &Arc<Kept>, next: &mut u32) -> Scalar<T> {
        kept.row(next, 1).map_or_else(|| self.clone(), Scalar::of)
    }
}
