//! What a task can read: delayed values, and tuples, vectors, options and maps of them.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash};

use super::handle::Delayed;
use crate::error::Result;
use crate::graph::Inputs as TaskInputs;
use crate::plan::NodeRef;

mod sealed {
    /// What holds inputs has to own them alone: a plan takes a node with one handle to be read once.
    pub trait Sealed {}
}

use sealed::Sealed;

/// Inputs as they are held by a task: delayed values, and tuples, vectors, options and maps of them. Not to be implemented
/// elsewhere.
pub trait Held: Sealed + Send + Sync + 'static {
    /// What the task's function is given: references in place of the delayed values.
    type View<'a>;

    /// Tells of each node that is read, in order.
    fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a NodeRef));

    /// The values, in the order of `visit`; `next` is the place of the first.
    ///
    /// # Errors
    /// Of kind `Internal`, where a value is not what it should be.
    fn view<'a>(&'a self, values: &'a TaskInputs<'_>, next: &mut usize) -> Result<Self::View<'a>>;
}

/// Inputs as they are given: by reference or by value.
pub trait Inputs {
    /// How they are held.
    type Held: Held;

    /// Takes hold of them; cheap.
    fn hold(self) -> Self::Held;
}

impl<T> Sealed for Delayed<T> {}

impl<T: Any + Send + Sync> Held for Delayed<T> {
    type View<'a> = &'a T;

    fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a NodeRef)) {
        visit(&self.node);
    }

    fn view<'a>(&'a self, values: &'a TaskInputs<'_>, next: &mut usize) -> Result<&'a T> {
        let value = values.get(*next);
        *next += 1;
        value
    }
}

impl<T: Any + Send + Sync> Inputs for Delayed<T> {
    type Held = Delayed<T>;

    fn hold(self) -> Delayed<T> {
        self
    }
}

impl<T: Any + Send + Sync> Inputs for &Delayed<T> {
    type Held = Delayed<T>;

    fn hold(self) -> Delayed<T> {
        self.clone()
    }
}

impl<H> Sealed for Vec<H> {}

impl<H: Held> Held for Vec<H> {
    type View<'a> = Vec<H::View<'a>>;

    fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a NodeRef)) {
        self.iter().for_each(|item| item.visit(visit));
    }

    fn view<'a>(&'a self, values: &'a TaskInputs<'_>, next: &mut usize) -> Result<Self::View<'a>> {
        self.iter().map(|item| item.view(values, next)).collect()
    }
}

impl<I: Inputs> Inputs for Vec<I> {
    type Held = Vec<I::Held>;

    fn hold(self) -> Self::Held {
        self.into_iter().map(I::hold).collect()
    }
}

impl<'v, I> Inputs for &'v Vec<I>
where
    &'v I: Inputs,
{
    type Held = Vec<<&'v I as Inputs>::Held>;

    fn hold(self) -> Self::Held {
        self.iter().map(Inputs::hold).collect()
    }
}

impl<'v, I> Inputs for &'v [I]
where
    &'v I: Inputs,
{
    type Held = Vec<<&'v I as Inputs>::Held>;

    fn hold(self) -> Self::Held {
        self.iter().map(Inputs::hold).collect()
    }
}

impl<I: Inputs, const N: usize> Inputs for [I; N] {
    type Held = Vec<I::Held>;

    fn hold(self) -> Self::Held {
        self.into_iter().map(I::hold).collect()
    }
}

impl<H> Sealed for Option<H> {}

impl<H: Held> Held for Option<H> {
    type View<'a> = Option<H::View<'a>>;

    fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a NodeRef)) {
        self.iter().for_each(|item| item.visit(visit));
    }

    fn view<'a>(&'a self, values: &'a TaskInputs<'_>, next: &mut usize) -> Result<Self::View<'a>> {
        self.as_ref().map(|item| item.view(values, next)).transpose()
    }
}

impl<I: Inputs> Inputs for Option<I> {
    type Held = Option<I::Held>;

    fn hold(self) -> Self::Held {
        self.map(I::hold)
    }
}

impl<'v, I> Inputs for &'v Option<I>
where
    &'v I: Inputs,
{
    type Held = Option<<&'v I as Inputs>::Held>;

    fn hold(self) -> Self::Held {
        self.as_ref().map(Inputs::hold)
    }
}

// A map is given to the function with its keys by reference.

impl<K, H, S> Sealed for HashMap<K, H, S> {}

impl<K: Eq + Hash + Clone + Send + Sync + 'static, H: Held, S: BuildHasher + Default + Send + Sync + 'static> Held
    for HashMap<K, H, S>
{
    type View<'a> = HashMap<&'a K, H::View<'a>, S>;

    fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a NodeRef)) {
        self.values().for_each(|item| item.visit(visit));
    }

    fn view<'a>(&'a self, values: &'a TaskInputs<'_>, next: &mut usize) -> Result<Self::View<'a>> {
        self.iter().map(|(key, item)| Ok((key, item.view(values, next)?))).collect()
    }
}

impl<K: Eq + Hash + Clone + Send + Sync + 'static, I: Inputs, S: BuildHasher + Default + Send + Sync + 'static> Inputs
    for HashMap<K, I, S>
{
    type Held = HashMap<K, I::Held, S>;

    fn hold(self) -> Self::Held {
        self.into_iter().map(|(key, item)| (key, item.hold())).collect()
    }
}

impl<'v, K: Eq + Hash + Clone + Send + Sync + 'static, I, S: BuildHasher + Default + Send + Sync + 'static> Inputs
    for &'v HashMap<K, I, S>
where
    &'v I: Inputs,
{
    type Held = HashMap<K, <&'v I as Inputs>::Held, S>;

    fn hold(self) -> Self::Held {
        self.iter().map(|(key, item)| (key.clone(), item.hold())).collect()
    }
}

impl<K, H> Sealed for BTreeMap<K, H> {}

impl<K: Ord + Clone + Send + Sync + 'static, H: Held> Held for BTreeMap<K, H> {
    type View<'a> = BTreeMap<&'a K, H::View<'a>>;

    fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a NodeRef)) {
        self.values().for_each(|item| item.visit(visit));
    }

    fn view<'a>(&'a self, values: &'a TaskInputs<'_>, next: &mut usize) -> Result<Self::View<'a>> {
        self.iter().map(|(key, item)| Ok((key, item.view(values, next)?))).collect()
    }
}

impl<K: Ord + Clone + Send + Sync + 'static, I: Inputs> Inputs for BTreeMap<K, I> {
    type Held = BTreeMap<K, I::Held>;

    fn hold(self) -> Self::Held {
        self.into_iter().map(|(key, item)| (key, item.hold())).collect()
    }
}

impl<'v, K: Ord + Clone + Send + Sync + 'static, I> Inputs for &'v BTreeMap<K, I>
where
    &'v I: Inputs,
{
    type Held = BTreeMap<K, <&'v I as Inputs>::Held>;

    fn hold(self) -> Self::Held {
        self.iter().map(|(key, item)| (key.clone(), item.hold())).collect()
    }
}

macro_rules! tuples {
    ($($name:ident $place:tt),*) => {
        impl<$($name),*> Sealed for ($($name,)*) {}

        impl<$($name: Held),*> Held for ($($name,)*) {
            type View<'a> = ($($name::View<'a>,)*);

            #[allow(unused_variables, reason = "the empty tuple reads nothing")]
            fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a NodeRef)) {
                $(self.$place.visit(visit);)*
            }

            #[allow(unused_variables, clippy::unused_unit, reason = "the empty tuple reads nothing")]
            fn view<'a>(&'a self, values: &'a TaskInputs<'_>, next: &mut usize) -> Result<Self::View<'a>> {
                Ok(($(self.$place.view(values, next)?,)*))
            }
        }

        impl<$($name: Inputs),*> Inputs for ($($name,)*) {
            type Held = ($($name::Held,)*);

            #[allow(clippy::unused_unit, reason = "the empty tuple reads nothing")]
            fn hold(self) -> Self::Held {
                ($(self.$place.hold(),)*)
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
