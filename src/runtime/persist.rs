//! `persist`: run now, keep the values with the runtime, go on with the same kind of collection.

use std::sync::Arc;

use super::builder::Runtime;
use super::compute::{launch, locate, prepare};
use crate::error::Result;
use crate::executor::RunHandle;
use crate::origin::Origin;
use crate::plan::{OneValue, Request, Sink};
use crate::store::Chunk;

/// The values of a run that are kept: in memory, or on disk where memory is short. They are dropped with the last
/// collection that reads them.
pub struct Kept {
    handle: RunHandle,
}

impl Kept {
    /// One value; it stays where it is.
    ///
    /// # Errors
    /// Where it was spilled and cannot be read back.
    pub fn get(&self, output: u32) -> Result<Chunk> {
        self.handle.get(output)
    }
}

/// Something lazy whose values can be kept.
pub trait Persist {
    /// The same kind of collection, over kept values.
    type Kept;

    /// Asks for the values, by `want`ing its nodes with `sink`, which is never called.
    fn ask(&self, request: &mut Request, sink: &Arc<dyn Sink>);

    /// The collection over the kept values, which stand in the order in which they were asked for, from `next` on.
    fn keep(&self, kept: &Arc<Kept>, next: &mut u32) -> Self::Kept;

    /// Computes with the current runtime and keeps the values there. Nothing that was computed so far runs again.
    ///
    /// # Errors
    /// As [`super::compute`].
    #[track_caller]
    fn persist(&self) -> Result<Self::Kept>
    where
        Self: Sized,
    {
        let origin = Origin::caller();
        Runtime::current().and_then(|runtime| persist_at(self, &runtime, origin))
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
        persist_at(self, runtime, Origin::caller())
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
    let origin = Origin::caller();
    Runtime::current().and_then(|runtime| persist_at(&what, &runtime, origin))
}

fn persist_at<P: Persist>(what: &P, runtime: &Runtime, origin: Origin) -> Result<P::Kept> {
    let mut request = Request::new();
    let sink: Arc<dyn Sink> = Arc::new(OneValue::default());
    what.ask(&mut request, &sink);
    let prepared = prepare(request, runtime).map_err(|error| locate(error, origin))?;
    let handle = launch(prepared, None, false, runtime);
    handle.wait().map_err(|error| locate(error, origin))?;
    Ok(what.keep(&Arc::new(Kept { handle }), &mut 0))
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

macro_rules! tuples {
    ($($name:ident $place:tt),+) => {
        impl<$($name: Persist),+> Persist for ($($name,)+) {
            type Kept = ($($name::Kept,)+);

            fn ask(&self, request: &mut Request, sink: &Arc<dyn Sink>) {
                $(self.$place.ask(request, sink);)+
            }

            fn keep(&self, kept: &Arc<Kept>, next: &mut u32) -> Self::Kept {
                ($(self.$place.keep(kept, next),)+)
            }
        }
    };
}

tuples!(A 0);
tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
tuples!(A 0, B 1, C 2, D 3, E 4);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5);
