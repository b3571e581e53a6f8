//! The loops over tiles, compiled for each instruction set.

use std::marker::PhantomData;

use pulp::{Arch, NullaryFnOnce};

/// Elements whose hard cases are gathered before they are computed again.
const RUN: usize = 256;

/// A function of one number, without a branch where the number is easy. All is `#[inline(always)]`: what is called is not
/// compiled for the instruction set. Single precision is computed in double precision unless a function says otherwise.
pub(in crate::array::kernels) trait One {
    fn fast(x: f64) -> f64;

    #[inline(always)]
    fn easy(_x: f64) -> bool {
        true
    }

    #[inline(always)]
    fn slow(x: f64) -> f64 {
        Self::fast(x)
    }

    #[inline(always)]
    fn fast_f32(x: f32) -> f32 {
        Self::fast(f64::from(x)) as f32
    }

    #[inline(always)]
    fn easy_f32(x: f32) -> bool {
        Self::easy(f64::from(x))
    }

    #[inline(always)]
    fn slow_f32(x: f32) -> f32 {
        Self::slow(f64::from(x)) as f32
    }
}

/// A function of two numbers, likewise.
pub(in crate::array::kernels) trait Two {
    fn fast(x: f64, y: f64) -> f64;

    #[inline(always)]
    fn easy(_x: f64, _y: f64) -> bool {
        true
    }

    #[inline(always)]
    fn slow(x: f64, y: f64) -> f64 {
        Self::fast(x, y)
    }

    #[inline(always)]
    fn fast_f32(x: f32, y: f32) -> f32 {
        Self::fast(f64::from(x), f64::from(y)) as f32
    }

    #[inline(always)]
    fn easy_f32(x: f32, y: f32) -> bool {
        Self::easy(f64::from(x), f64::from(y))
    }

    #[inline(always)]
    fn slow_f32(x: f32, y: f32) -> f32 {
        Self::slow(f64::from(x), f64::from(y)) as f32
    }
}

/// A number that there are functions of: chooses the functions of its precision.
pub(in crate::array::kernels) trait Number: Copy {
    fn fast<F: One>(self) -> Self;
    fn easy<F: One>(self) -> bool;
    fn slow<F: One>(self) -> Self;
    fn fast_two<F: Two>(self, y: Self) -> Self;
    fn easy_two<F: Two>(self, y: Self) -> bool;
    fn slow_two<F: Two>(self, y: Self) -> Self;
}

macro_rules! number {
    ($float:ident, $fast:ident $easy:ident $slow:ident) => {
        impl Number for $float {
            #[inline(always)]
            fn fast<F: One>(self) -> $float {
                F::$fast(self)
            }

            #[inline(always)]
            fn easy<F: One>(self) -> bool {
                F::$easy(self)
            }

            #[inline(always)]
            fn slow<F: One>(self) -> $float {
                F::$slow(self)
            }

            #[inline(always)]
            fn fast_two<F: Two>(self, y: $float) -> $float {
                F::$fast(self, y)
            }

            #[inline(always)]
            fn easy_two<F: Two>(self, y: $float) -> bool {
                F::$easy(self, y)
            }

            #[inline(always)]
            fn slow_two<F: Two>(self, y: $float) -> $float {
                F::$slow(self, y)
            }
        }
    };
}

number! { f64, fast easy slow }
number! { f32, fast_f32 easy_f32 slow_f32 }

/// The loop over a tile. (Not a closure: that would be inlined only if it is small.)
pub(super) struct OverOne<'a, T, F> {
    x: &'a [T],
    out: &'a mut [T],
    function: PhantomData<F>,
}

impl<'a, T, F> OverOne<'a, T, F> {
    pub(super) fn new(x: &'a [T], out: &'a mut [T]) -> OverOne<'a, T, F> {
        OverOne { x, out, function: PhantomData }
    }
}

impl<T: Number, F: One> NullaryFnOnce for OverOne<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (out, x) in self.out.chunks_mut(RUN).zip(self.x.chunks(RUN)) {
            let mut hard = 0u8;
            for (out, x) in out.iter_mut().zip(x) {
                hard |= u8::from(!x.easy::<F>());
                *out = x.fast::<F>();
            }
            if hard != 0 {
                hard_ones::<T, F>(x, out);
            }
        }
    }
}

/// Computes again what is not easy. On its own, so that it is not vectorized.
#[cold]
#[inline(never)]
fn hard_ones<T: Number, F: One>(x: &[T], out: &mut [T]) {
    for (out, x) in out.iter_mut().zip(x) {
        if !x.easy::<F>() {
            *out = x.slow::<F>();
        }
    }
}

/// The same of pairs.
#[cold]
#[inline(never)]
fn hard_pairs<T: Number, F: Two>(x: &[T], y: &[T], out: &mut [T]) {
    for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
        if !x.easy_two::<F>(*y) {
            *out = x.slow_two::<F>(*y);
        }
    }
}

/// The loop over two tiles.
struct OverTwo<'a, T, F> {
    x: &'a [T],
    y: &'a [T],
    out: &'a mut [T],
    function: PhantomData<F>,
}

impl<T: Number, F: Two> NullaryFnOnce for OverTwo<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for ((out, x), y) in self.out.chunks_mut(RUN).zip(self.x.chunks(RUN)).zip(self.y.chunks(RUN)) {
            let mut hard = 0u8;
            for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
                hard |= u8::from(!x.easy_two::<F>(*y));
                *out = x.fast_two::<F>(*y);
            }
            if hard != 0 {
                hard_pairs::<T, F>(x, y, out);
            }
        }
    }
}

/// Writes the function of each number.
pub(super) fn one<T: Number, F: One>(_function: F, x: &[T], out: &mut [T]) {
    debug_assert_eq!(x.len(), out.len());
    Arch::new().dispatch(OverOne::<T, F>::new(x, out));
}

/// Writes the function of each pair of numbers.
pub(super) fn two<T: Number, F: Two>(_function: F, x: &[T], y: &[T], out: &mut [T]) {
    debug_assert!(x.len() == out.len() && y.len() == out.len());
    Arch::new().dispatch(OverTwo { x, y, out, function: PhantomData::<F> });
}
