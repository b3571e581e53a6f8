//! The numeric chunk: an immutable, shared run of elements in a pooled slab or in a vector somebody made.

use std::fmt;
use std::ops::{Bound, Deref, RangeBounds};
use std::sync::Arc;

use ndarray::{ArcArray1, ArrayView1};
use num_complex::Complex;

use crate::error::{Error, Result};
use crate::store::pool::{Pool, SMALLEST_SLAB, Slab, no_memory};

/// What a [`Block`] can hold: the fixed-size numbers. It cannot be implemented elsewhere.
pub trait Element: bytemuck::Pod + Send + Sync + fmt::Debug + PartialEq + sealed::Sealed {
    /// The number of the type in files: never given to another one.
    const ID: u8;

    /// The value with its bytes in the opposite order.
    #[must_use]
    fn swap_bytes(self) -> Self;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! integers {
    ($($int:ident $id:literal)+) => {$(
        impl sealed::Sealed for $int {}

        impl Element for $int {
            const ID: u8 = $id;

            fn swap_bytes(self) -> Self {
                $int::swap_bytes(self)
            }
        }
    )+};
}

macro_rules! floats {
    ($($float:ident $id:literal)+) => {$(
        impl sealed::Sealed for $float {}

        impl Element for $float {
            const ID: u8 = $id;

            fn swap_bytes(self) -> Self {
                $float::from_bits(self.to_bits().swap_bytes())
            }
        }
    )+};
}

macro_rules! complex {
    ($($float:ident $id:literal)+) => {$(
        impl sealed::Sealed for Complex<$float> {}

        impl Element for Complex<$float> {
            const ID: u8 = $id;

            fn swap_bytes(self) -> Self {
                Complex::new(Element::swap_bytes(self.re), Element::swap_bytes(self.im))
            }
        }
    )+};
}

integers! { u8 1 i8 2 u16 3 i16 4 u32 5 i32 6 u64 7 i64 8 u128 9 i128 10 }
floats! { f32 11 f64 12 }
complex! { f32 13 f64 14 }

/// An immutable run of elements. A clone and a slice share the memory.
///
/// A block is made by [`Block::build`] in a slab of the pool that the thread has entered (in a vector where it entered none,
/// or where the block is small), or by [`Block::from_vec`] around a vector.
///
/// ```
/// use chunkwise::store::Block;
///
/// let block = Block::build(4, |out: &mut [i32]| {
///     for (i, element) in out.iter_mut().enumerate() {
///         *element = i as i32;
///     }
/// });
/// let tail = block.slice(2..);
/// assert_eq!(*tail, [2, 3]);
/// assert_eq!((tail.bytes(), tail.storage_bytes()), (8, 16));
/// assert_eq!(block.view().sum(), 6);
/// ```
pub struct Block<T: Element> {
    storage: Arc<Storage<T>>,
    start: usize,
    len: usize,
}

enum Storage<T> {
    Vec(Vec<T>),
    Slab(Slab),
    /// An array of ndarray's that others may hold, too; its elements lie one behind another.
    Shared(ArcArray1<T>),
}

impl<T: Element> Storage<T> {
    fn whole(&self) -> &[T] {
        match self {
            Storage::Vec(vec) => vec,
            // Slabs begin at a page and classes are multiples of pages, so the cast cannot fail.
            Storage::Slab(slab) => bytemuck::cast_slice(slab.bytes()),
            Storage::Shared(array) => array.as_slice().unwrap_or(&[]),
        }
    }

    fn whole_mut(&mut self) -> &mut [T] {
        match self {
            Storage::Vec(vec) => vec,
            Storage::Slab(slab) => bytemuck::cast_slice_mut(slab.bytes_mut()),
            // In memory of its own, if others hold it.
            Storage::Shared(array) => array.as_slice_mut().unwrap_or(&mut []),
        }
    }
}

impl<T: Element> Block<T> {
    /// Adopts a vector; nothing is copied.
    pub fn from_vec(vec: Vec<T>) -> Block<T> {
        let len = vec.len();
        Block { storage: Arc::new(Storage::Vec(vec)), start: 0, len }
    }

    /// The elements of an array that may be shared with others; nothing is copied where they lie one behind another.
    ///
    /// ```
    /// use chunkwise::store::Block;
    ///
    /// let held = ndarray::arr1(&[1, 2, 3]).into_shared();
    /// assert_eq!(*Block::from_shared(held.clone()), [1, 2, 3]);
    /// assert_eq!(held[0], 1);
    /// ```
    pub fn from_shared(array: ArcArray1<T>) -> Block<T> {
        if array.as_slice().is_none() {
            return Block::from_vec(array.to_vec());
        }
        let len = array.len();
        Block { storage: Arc::new(Storage::Shared(array)), start: 0, len }
    }

    /// Copies a slice into a new block.
    pub fn from_slice(elements: &[T]) -> Block<T> {
        Block::build(elements.len(), |out| out.copy_from_slice(elements))
    }

    /// A block of `len` elements, written by `fill`.
    ///
    /// What `fill` finds in the slice is arbitrary: a recycled slab shows what its last user left.
    ///
    /// # Panics
    /// Where the system gives no memory.
    pub fn build(len: usize, fill: impl FnOnce(&mut [T])) -> Block<T> {
        let filled = Block::try_build(len, |out| {
            fill(out);
            Ok::<(), Error>(())
        });
        match filled {
            Ok(block) => block,
            Err(error) => panic!("{error}"),
        }
    }

    /// As [`Block::build`], with a closure that can fail.
    ///
    /// # Errors
    /// What `fill` returned; of kind [`OutOfMemory`](crate::ErrorKind::OutOfMemory) where the system gives no memory.
    pub fn try_build<E: From<Error>>(len: usize, fill: impl FnOnce(&mut [T]) -> Result<(), E>) -> Result<Block<T>, E> {
        let bytes = len.saturating_mul(size_of::<T>());
        let pool = if bytes < SMALLEST_SLAB { None } else { Pool::current() };
        let mut storage = match pool {
            Some(pool) => Storage::Slab(pool.take(bytes)?),
            None if bytes > isize::MAX as usize => return Err(no_memory(bytes, "larger than an address space").into()),
            None => Storage::Vec(vec![T::zeroed(); len]),
        };
        fill(&mut storage.whole_mut()[..len])?;
        Ok(Block { storage: Arc::new(storage), start: 0, len })
    }

    /// The elements of a range, sharing the memory.
    ///
    /// # Panics
    /// Where the range does not lie in the block.
    #[must_use]
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Block<T> {
        let from = match range.start_bound() {
            Bound::Included(&from) => from,
            Bound::Excluded(&before) => before + 1,
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(&last) => last + 1,
            Bound::Excluded(&to) => to,
            Bound::Unbounded => self.len,
        };
        assert!(from <= to && to <= self.len, "{from}..{to} is not in a block of {} elements", self.len);
        Block { storage: self.storage.clone(), start: self.start + from, len: to - from }
    }

    /// The bytes of the elements themselves.
    ///
    /// This is what a chunk is accounted with. Pieces cut from one slab and held apart sum up to the slab; a slab is freed
    /// when the last block that looks into it is dropped, so a small piece can pin a large one: see [`Block::compact`].
    pub fn bytes(&self) -> u64 {
        (self.len * size_of::<T>()) as u64
    }

    /// The bytes of the slab or vector that the block keeps alive.
    pub fn storage_bytes(&self) -> u64 {
        match &*self.storage {
            Storage::Vec(vec) => (vec.capacity() * size_of::<T>()) as u64,
            Storage::Slab(slab) => slab.bytes().len() as u64,
            Storage::Shared(array) => (array.len() * size_of::<T>()) as u64,
        }
    }

    /// The block, in memory of its own where it pins more than twice its bytes. For what is kept for long.
    #[must_use]
    pub fn compact(self) -> Block<T> {
        if self.storage_bytes() / 2 > self.bytes() { Block::from_slice(&self) } else { self }
    }

    /// The elements as a vector: the adopted one where this is its only holder and begins where it begins, a copy
    /// otherwise. A pooled slab never poses as a vector.
    pub fn into_vec(self) -> Vec<T> {
        let (start, len) = (self.start, self.len);
        match Arc::try_unwrap(self.storage) {
            Ok(Storage::Vec(mut vec)) if start == 0 => {
                vec.truncate(len);
                vec
            }
            Ok(storage) => storage.whole()[start..start + len].to_vec(),
            Err(shared) => shared.whole()[start..start + len].to_vec(),
        }
    }

    /// The elements to be written, where no other block shares the memory: a kernel can then work in place.
    pub fn as_mut_slice(&mut self) -> Option<&mut [T]> {
        let (start, len) = (self.start, self.len);
        Arc::get_mut(&mut self.storage).map(|storage| &mut storage.whole_mut()[start..start + len])
    }

    /// The elements as an ndarray view.
    pub fn view(&self) -> ArrayView1<'_, T> {
        ArrayView1::from(&**self)
    }
}

impl<T: Element> Deref for Block<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.storage.whole()[self.start..self.start + self.len]
    }
}

impl<T: Element> AsRef<[T]> for Block<T> {
    fn as_ref(&self) -> &[T] {
        self
    }
}

impl<T: Element> Clone for Block<T> {
    fn clone(&self) -> Block<T> {
        Block { storage: self.storage.clone(), ..*self }
    }
}

impl<T: Element> Default for Block<T> {
    fn default() -> Block<T> {
        Block::from_vec(Vec::new())
    }
}

impl<T: Element> From<Vec<T>> for Block<T> {
    fn from(vec: Vec<T>) -> Block<T> {
        Block::from_vec(vec)
    }
}

impl<T: Element> PartialEq for Block<T> {
    fn eq(&self, other: &Block<T>) -> bool {
        **self == **other
    }
}

impl<T: Element> fmt::Debug for Block<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        let mut list = f.debug_list();
        list.entries(&self[..self.len.min(SHOWN)]);
        if self.len > SHOWN {
            list.entry(&format_args!(".. {} in all", self.len));
        }
        list.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_vector_goes_in_and_out_without_a_copy() {
        let vec: Vec<i64> = (0..1000).collect();
        let at = vec.as_ptr();
        let mut block = Block::from_vec(vec);
        assert_eq!(block.as_ptr(), at);
        block.as_mut_slice().unwrap()[0] = 7;
        let other = block.clone();
        assert!(block.as_mut_slice().is_none());
        let head = other.slice(..10);
        drop((block, other));
        let vec = head.into_vec();
        assert_eq!((vec.as_ptr(), vec.len(), vec[0]), (at, 10, 7));
    }

    #[test]
    fn slices_share_and_nest() {
        let block = Block::from_vec((0..100u16).collect());
        let inner = block.slice(10..=50).slice(5..).slice((Bound::Excluded(0), Bound::Excluded(4)));
        assert_eq!(*inner, [16, 17, 18]);
        assert_eq!(inner.view().to_vec(), inner.clone().into_vec());
        assert_eq!(format!("{:?}", block.slice(..9)), "[0, 1, 2, 3, 4, 5, 6, 7, .. 9 in all]");
        assert!(block.slice(100..).is_empty());
    }

    #[test]
    #[should_panic(expected = "5..11 is not in a block of 10 elements")]
    fn a_slice_past_the_end_panics() {
        let _ = Block::from_vec(vec![0u8; 10]).slice(5..11);
    }

    #[test]
    fn pieces_of_a_slab_sum_up_to_it_and_free_it_together() {
        let pool = Pool::new(1 << 30);
        let _guard = pool.enter();
        let block = Block::build(4 << 20, |out: &mut [f64]| out.fill(0.5));
        let size = block.storage_bytes();
        assert_eq!((size, pool.in_use() as u64), (32 << 20, 32 << 20));
        let each = block.len() / 160 + 1;
        let pieces: Vec<Block<f64>> = (0..160).map(|i| block.slice(i * each..((i + 1) * each).min(4 << 20))).collect();
        drop(block);
        assert_eq!(pieces.iter().map(Block::bytes).sum::<u64>(), size);
        let last = pieces.into_iter().next_back().unwrap();
        assert_eq!(pool.in_use() as u64, size, "one piece pins the slab");
        let own = last.compact();
        assert_eq!(pool.in_use() as u64, own.storage_bytes());
        assert!(own.storage_bytes() < 256 << 10);
        drop(own);
        assert_eq!((pool.in_use(), pool.cached() as u64 > size), (0, true));
    }

    #[test]
    fn only_large_blocks_are_pooled_and_only_inside() {
        let pool = Pool::new(1 << 30);
        drop(Block::build(1 << 20, |_: &mut [u8]| ()));
        assert_eq!(pool.stats().misses, 0);
        let _guard = pool.enter();
        drop(Block::build(SMALLEST_SLAB - 1, |_: &mut [u8]| ()));
        assert_eq!(pool.stats().misses, 0);
        let mut block = Block::build(SMALLEST_SLAB + 8, |out: &mut [u8]| out.fill(3));
        assert_eq!((pool.stats().misses, block.len()), (1, SMALLEST_SLAB + 8));
        block.as_mut_slice().unwrap()[1] = 4;
        let vec = block.into_vec();
        assert_eq!((vec[1], vec.len(), pool.in_use()), (4, SMALLEST_SLAB + 8, 0));
        assert_eq!(Block::<u128>::build(SMALLEST_SLAB, |out| out[5] = 1).len(), SMALLEST_SLAB);
    }

    #[test]
    fn a_failed_or_panicking_build_gives_its_slab_back() {
        let pool = Pool::new(1 << 30);
        let guard = pool.enter();
        let failed = Block::try_build(1 << 20, |_: &mut [f32]| Err(Error::new(ErrorKind::Data, "bad")));
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::Data);
        let panicked = std::panic::catch_unwind(|| Block::build(1 << 20, |_: &mut [f32]| panic!("in a kernel")));
        assert!(panicked.is_err());
        assert_eq!((pool.in_use(), pool.stats().hits), (0, 1));
        let huge = Block::try_build(usize::MAX / 64, |_: &mut [f64]| Ok::<(), Error>(()));
        assert_eq!(huge.unwrap_err().kind(), ErrorKind::OutOfMemory);
        drop(guard);
        let huge = Block::try_build(usize::MAX / 8, |_: &mut [f64]| Ok::<(), Error>(()));
        assert_eq!(huge.unwrap_err().kind(), ErrorKind::OutOfMemory);
    }

    #[test]
    fn ids_differ_and_bytes_swap() {
        let ids = [u8::ID, i8::ID, u16::ID, i16::ID, u32::ID, i32::ID, u64::ID, i64::ID, u128::ID, i128::ID, f32::ID];
        let distinct: std::collections::BTreeSet<u8> = ids.into_iter().chain([f64::ID]).collect();
        assert_eq!(distinct.len(), 12);
        assert_eq!(Element::swap_bytes(0x1234u16), 0x3412);
        assert_eq!(Element::swap_bytes(Element::swap_bytes(1.5f64)), 1.5);
    }
}
