//! The functions that make delayed values, and the verbs that combine them.

use std::any::Any;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::handle::Delayed;
use super::input::{Held, Inputs};
use super::task::{
    AliasNode, All, ByRef, Checkpoint, Map, Pass, Source, Split, Task, Then, TryByRef, TryMap, TrySource, Value,
};
use crate::origin::Origin;
use crate::plan::Alias;
use crate::store::chunk;

/// A function to be run later, once per `compute`.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let parts: Vec<Delayed<u64>> = (0..8).map(|i| delayed(move || i * i)).collect();
/// let total = Delayed::all(&parts).map(|squares| squares.iter().sum::<u64>());
/// assert_eq!(total.compute()?, 140);
/// # Ok::<(), chunkwise::Error>(())
/// ```
///
/// The function runs later and on another thread, so it owns what it uses. One that borrows a local does not compile; `move`
/// with a clone, or an `Arc`, does:
///
/// ```compile_fail,E0373
/// use chunkwise::prelude::*;
///
/// let prices = vec![3, 4];
/// let total = delayed(|| prices.iter().sum::<i32>()); // needs `move`
/// assert_eq!(total.compute()?, 7);
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[track_caller]
pub fn delayed<F, T>(function: F) -> Delayed<T>
where
    F: Fn() -> T + Send + Sync + 'static,
    T: Any + Send + Sync,
{
    Delayed::of(Task::new(Origin::caller(), (), Source::<F, T>(function, PhantomData)))
}

/// A fallible function to be run later; its error ends the run.
///
/// # Errors
/// At compute: the error of the function, of kind `Task` where it is none of this library.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let number = try_delayed(|| "12x".parse::<u32>());
/// assert_eq!(number.compute().unwrap_err().kind(), ErrorKind::Task);
/// ```
#[track_caller]
pub fn try_delayed<F, T, E>(function: F) -> Delayed<T>
where
    F: Fn() -> Result<T, E> + Send + Sync + 'static,
    T: Any + Send + Sync,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    Delayed::of(Task::new(Origin::caller(), (), TrySource::<F, T, E>(function, PhantomData)))
}

/// A function of delayed values, which it is given by reference: a tuple, `Vec`, array, `Option` or map of them, nested
/// as you like.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let rate = delayed(|| 3);
/// let items = vec![delayed(|| 1), delayed(|| 2)];
/// let sum = delayed_with((&rate, &items), |(rate, items)| items.into_iter().map(|item| item * rate).sum::<i32>());
/// assert_eq!(sum.compute()?, 9);
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[track_caller]
pub fn delayed_with<I, F, T>(inputs: I, function: F) -> Delayed<T>
where
    I: Inputs,
    F: for<'a> Fn(<I::Held as Held>::View<'a>) -> T + Send + Sync + 'static,
    T: Any + Send + Sync,
{
    Delayed::of(Task::new(Origin::caller(), inputs.hold(), ByRef::<F, T>(function, PhantomData)))
}

/// As [`delayed_with`], with a function that can fail; its error ends the run.
///
/// # Errors
/// At compute: the error of the function, of kind `Task` where it is none of this library.
#[track_caller]
pub fn try_delayed_with<I, F, T, E>(inputs: I, function: F) -> Delayed<T>
where
    I: Inputs,
    F: for<'a> Fn(<I::Held as Held>::View<'a>) -> Result<T, E> + Send + Sync + 'static,
    T: Any + Send + Sync,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    Delayed::of(Task::new(Origin::caller(), inputs.hold(), TryByRef::<F, T, E>(function, PhantomData)))
}

impl<T: Any + Send + Sync> Delayed<T> {
    /// A plain value among delayed ones. The plan holds it; readers get references, and `compute` a clone.
    #[track_caller]
    pub fn value(value: T) -> Delayed<T>
    where
        T: Clone,
    {
        Delayed::of(Value::new(Origin::caller(), value))
    }

    /// Many values of one type as one `Vec`, in their order. Values are moved where this is their last use, else cloned.
    ///
    /// All of them are in memory when they are put together.
    #[track_caller]
    pub fn all<'a>(values: impl IntoIterator<Item = &'a Delayed<T>>) -> Delayed<Vec<T>>
    where
        T: Clone,
    {
        let held: Vec<Delayed<T>> = values.into_iter().cloned().collect();
        Delayed::of(Task::new(Origin::caller(), held, All::<T>(PhantomData)))
    }

    /// A function of this value, by reference.
    #[track_caller]
    pub fn map<F, U>(&self, function: F) -> Delayed<U>
    where
        F: Fn(&T) -> U + Send + Sync + 'static,
        U: Any + Send + Sync,
    {
        Delayed::of(Task::new(Origin::caller(), self.clone(), Map::<F, T, U>(function, PhantomData)))
    }

    /// A fallible function of this value, by reference: an error ends the run and comes out of `compute`, with the line
    /// of this call.
    ///
    /// # Errors
    /// At compute: the error of the function, of kind `Task` where it is none of this library.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let parsed = delayed(|| "1.5").try_map(|text| text.parse::<f64>());
    /// assert_eq!(parsed.compute()?, 1.5);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn try_map<F, U, E>(&self, function: F) -> Delayed<U>
    where
        F: Fn(&T) -> Result<U, E> + Send + Sync + 'static,
        U: Any + Send + Sync,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        Delayed::of(Task::new(Origin::caller(), self.clone(), TryMap::<F, T, U, E>(function, PhantomData)))
    }

    /// A function of this value, by value: moved where this is its last use, else cloned.
    #[track_caller]
    pub fn then<F, U>(&self, function: F) -> Delayed<U>
    where
        F: Fn(T) -> U + Send + Sync + 'static,
        T: Clone,
        U: Any + Send + Sync,
    {
        Delayed::of(Task::new(Origin::caller(), self.clone(), Then::<F, T, U>(function, PhantomData)))
    }

    /// The same task under a name, for errors, profile and drawings.
    pub fn named(&self, name: impl Into<String>) -> Delayed<T> {
        self.alias(Alias::Named(name.into().into_boxed_str()), ())
    }

    /// The same task, whose value may be written to disk when memory is short, by serde.
    ///
    /// Blocks, text, vectors of numbers, arrays and tables can be spilled without this.
    pub fn spillable(&self) -> Delayed<T>
    where
        T: Serialize + DeserializeOwned,
    {
        self.alias(Alias::OfKind(chunk::serde::<T>()), ())
    }

    /// The same task, known to do the same as every other one of this type with an equal key: of those that are
    /// computed together one is run, the one that is met first; of the others not even the plans are looked at.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let load = |name: &'static str| delayed(move || name.len()).pure(name);
    /// let (a, b) = compute((load("jan").map(|n| n + 1), load("jan").map(|n| n + 2)))?; // loaded once
    /// assert_eq!((a, b), (4, 5));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    pub fn pure(&self, key: impl Into<String>) -> Delayed<T> {
        // Names of types are not unique.
        let key = format!("{:?}: {}", std::any::TypeId::of::<T>(), key.into());
        self.alias(Alias::Pure(key.into_boxed_str()), ())
    }

    /// A copy of this value's whole plan of which nothing begins before the others have run.
    ///
    /// The tasks below run again for the copy. To wait with the value alone, see [`Delayed::wait_on`].
    #[track_caller]
    pub fn bind(&self, after: impl Inputs) -> Delayed<T> {
        self.alias(Alias::Copy, Delayed::checkpoint(after))
    }

    /// A copy of this value's whole plan, whose tasks run for it alone.
    pub fn fresh(&self) -> Delayed<T> {
        self.alias(Alias::Copy, ())
    }

    /// The same value, once the others have run too.
    #[track_caller]
    pub fn wait_on(&self, others: impl Inputs) -> Delayed<T> {
        let others = Delayed::checkpoint(others);
        Delayed::of(Task::new(Origin::caller(), (self.clone(), others), Pass::<T>(PhantomData)))
    }

    fn alias<H: Held>(&self, alias: Alias, gate: H) -> Delayed<T> {
        Delayed::of(AliasNode::new(alias, self.node.clone(), gate))
    }
}

impl Delayed<()> {
    /// Nothing, once all of these have run. They need not be in memory together.
    #[track_caller]
    pub fn checkpoint(inputs: impl Inputs) -> Delayed<()> {
        let origin = Origin::caller();
        let held = inputs.hold();
        let mut passed: Vec<Delayed<()>> = Vec::new();
        held.visit(&mut |node| {
            let value: Delayed<()> = Delayed::from_node(node.clone());
            passed.push(Delayed::of(Task::new(origin, value, Checkpoint)));
        });
        match <[Delayed<()>; 1]>::try_from(passed) {
            Ok([only]) => only,
            Err(passed) => Delayed::of(Task::new(origin, passed, Checkpoint)),
        }
    }
}

impl<T: Any + Send + Sync + Clone> Delayed<Vec<T>> {
    /// The `count` items of this vector as values of their own, each kept, read and spilled by itself.
    ///
    /// # Errors
    /// At compute, of kind `Data`, where there are not `count` items.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let parts = delayed(|| vec!["a", "b"]).split(2);
    /// assert_eq!(compute((parts[1].map(|s| s.len()), &parts[0]))?, (1, "a"));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn split(&self, count: u32) -> Vec<Delayed<T>> {
        if count == 0 {
            return Vec::new();
        }
        let all: Delayed<T> = Delayed::of(Task::new(Origin::caller(), self.clone(), Split::<T>(count, PhantomData)));
        (0..count).map(|piece| Delayed::piece_of(&all.node, piece)).collect()
    }
}

/// Tuples as values of their own.
macro_rules! unzip {
    ($($name:ident $place:tt),+) => {
        impl<$($name: Any + Send + Sync + Clone),+> Delayed<($($name,)+)> {
            /// The members of this tuple as values of their own.
            #[track_caller]
            pub fn unzip(&self) -> ($(Delayed<$name>,)+) {
                ($(self.map(|tuple| tuple.$place.clone()),)+)
            }
        }
    };
}

unzip!(A 0, B 1);
unzip!(A 0, B 1, C 2);
unzip!(A 0, B 1, C 2, D 3);
