//! Mixes of collections: references, tuples, arrays, `Vec`, `Option` and maps.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash};

use super::compute::Computable;
use crate::error::{Error, Result};
use crate::plan::Request;

impl<C: Computable + ?Sized> Computable for &C {
    type Output = C::Output;
    type Pending = C::Pending;

    fn request(&self, request: &mut Request) -> C::Pending {
        (**self).request(request)
    }

    fn finish(pending: C::Pending) -> Result<C::Output> {
        C::finish(pending)
    }
}

impl<C: Computable> Computable for Vec<C> {
    type Output = Vec<C::Output>;
    type Pending = Vec<C::Pending>;

    fn request(&self, request: &mut Request) -> Self::Pending {
        self.iter().map(|item| item.request(request)).collect()
    }

    fn finish(pending: Self::Pending) -> Result<Self::Output> {
        pending.into_iter().map(C::finish).collect()
    }
}

impl<C: Computable> Computable for [C] {
    type Output = Vec<C::Output>;
    type Pending = Vec<C::Pending>;

    fn request(&self, request: &mut Request) -> Self::Pending {
        self.iter().map(|item| item.request(request)).collect()
    }

    fn finish(pending: Self::Pending) -> Result<Self::Output> {
        pending.into_iter().map(C::finish).collect()
    }
}

impl<C: Computable, const N: usize> Computable for [C; N] {
    type Output = [C::Output; N];
    type Pending = [C::Pending; N];

    fn request(&self, request: &mut Request) -> Self::Pending {
        self.each_ref().map(|item| item.request(request))
    }

    fn finish(pending: Self::Pending) -> Result<Self::Output> {
        let all: Result<Vec<C::Output>> = pending.into_iter().map(C::finish).collect();
        all?.try_into().map_err(|_| Error::internal("an array changed its length"))
    }
}

impl<C: Computable> Computable for Option<C> {
    type Output = Option<C::Output>;
    type Pending = Option<C::Pending>;

    fn request(&self, request: &mut Request) -> Self::Pending {
        self.as_ref().map(|item| item.request(request))
    }

    fn finish(pending: Self::Pending) -> Result<Self::Output> {
        pending.map(C::finish).transpose()
    }
}

impl<K: Clone + Eq + Hash + Send, C: Computable, S: BuildHasher + Default> Computable for HashMap<K, C, S> {
    type Output = HashMap<K, C::Output, S>;
    type Pending = Vec<(K, C::Pending)>;

    fn request(&self, request: &mut Request) -> Self::Pending {
        self.iter().map(|(key, item)| (key.clone(), item.request(request))).collect()
    }

    fn finish(pending: Self::Pending) -> Result<Self::Output> {
        pending.into_iter().map(|(key, item)| Ok((key, C::finish(item)?))).collect()
    }
}

impl<K: Clone + Ord + Send, C: Computable> Computable for BTreeMap<K, C> {
    type Output = BTreeMap<K, C::Output>;
    type Pending = Vec<(K, C::Pending)>;

    fn request(&self, request: &mut Request) -> Self::Pending {
        self.iter().map(|(key, item)| (key.clone(), item.request(request))).collect()
    }

    fn finish(pending: Self::Pending) -> Result<Self::Output> {
        pending.into_iter().map(|(key, item)| Ok((key, C::finish(item)?))).collect()
    }
}

macro_rules! tuples {
    ($($name:ident $place:tt),*) => {
        impl<$($name: Computable),*> Computable for ($($name,)*) {
            type Output = ($($name::Output,)*);
            type Pending = ($($name::Pending,)*);

            #[allow(unused_variables, clippy::unused_unit, reason = "the empty tuple asks for nothing")]
            fn request(&self, request: &mut Request) -> Self::Pending {
                ($(self.$place.request(request),)*)
            }

            #[allow(unused_variables, clippy::unused_unit, reason = "the empty tuple has nothing")]
            fn finish(pending: Self::Pending) -> Result<Self::Output> {
                Ok(($($name::finish(pending.$place)?,)*))
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
