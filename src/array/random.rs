//! Random arrays.
//!
//! Each element has a generator of its own, found by the key of the array and the element's place by rows. So an array is the same
//! however it is cut, sliced or transposed, on any number of threads, and each time it is computed.
//!
//! ```
//! use chunkwise::prelude::*;
//!
//! let rng = array::random::seed(7);
//! let x = rng.uniform(0.0..1.0, (100, 20), (30, 20));
//! let y = rng.normal(0.0, 1.0, 1000, 100); // another part of the seed: nothing in common with x
//! assert_eq!(x.slice(s![50.., ..;2]).compute()?, x.compute()?.slice(s![50.., ..;2]));
//! assert_eq!(rng.key("weights").uniform(0.0..1.0, 3, 3).compute()?, rng.key("weights").uniform(0.0..1.0, 3, 1).compute()?);
//! assert!(y.mean().compute()?.abs() < 0.2);
//! # Ok::<(), chunkwise::Error>(())
//! ```

use std::fmt::{Debug, Display};
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ndarray::{DimMax, IntoDimension, Ix1, IxDyn};
use rand_distr::{Beta, Binomial, Cauchy, ChiSquared, Distribution, Gamma, LogNormal, Poisson, StudentT, Weibull};

use super::Array;
use super::blocks::{Mapped, at_line, block};
use super::chunks::Chunks;
use super::counts::{alike, beside};
use super::create::source;
use super::element::Element;
pub use super::kernels::random::ElementRng;
use super::kernels::random::{Key, Permutation};
use super::kernels::{Binary, Draw, Drawn, Made, MadeSlice, Permuted, Sampled, Shares};
use super::many::broadcast_all;
use super::operators::binary;
use super::plan::{Blocks, Cuts, MadeOp, Op, broadcast_cuts, resolve_axis};
use crate::error::{Error, ErrorKind, Role};
use crate::origin::Origin;
use crate::store::DType;

/// A source of random arrays. Each array takes the next part of it; a clone goes on with the same parts.
#[derive(Clone, Debug)]
pub struct Rng {
    key: Key,
    next: Arc<AtomicU64>,
}

/// A source of random arrays by a seed: any number is as good as any other.
pub fn seed(seed: u64) -> Rng {
    Rng { key: Key::new(seed), next: Arc::default() }
}

/// Integers that can be drawn.
pub trait Drawable: Element {
    #[doc(hidden)]
    fn draw(first: Self, last: Self) -> DrawOf;

    #[doc(hidden)]
    fn before(self) -> Self;
}

/// How integers are drawn.
#[doc(hidden)]
pub struct DrawOf(Draw);

macro_rules! drawable {
    ($($int:ty: $draw:ident;)+) => {$(
        impl Drawable for $int {
            fn draw(first: $int, last: $int) -> DrawOf {
                DrawOf(Draw::$draw { low: first.into(), last: last.into() })
            }

            fn before(self) -> $int {
                self.wrapping_sub(1)
            }
        }
    )+};
}

drawable! {
    i8: Integers; i16: Integers; i32: Integers; i64: Integers;
    u8: Unsigned; u16: Unsigned; u32: Unsigned; u64: Unsigned;
}

impl Rng {
    /// The part with a name: the same however many arrays were made before.
    #[must_use]
    pub fn key(&self, name: &str) -> Rng {
        Rng { key: self.key.named(name), next: Arc::default() }
    }

    fn next_key(&self) -> Key {
        self.key.sub(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Numbers of the next part.
    fn array<A: Element, Sh: IntoDimension>(
        &self,
        what: impl Debug,
        make: impl FnOnce(Key) -> Arc<dyn Made>,
        (shape, chunks): (Sh, Chunks),
        cost: u32,
        verb: &'static str,
        origin: Origin,
    ) -> Array<A, Sh::Dim> {
        let (key, shape) = (self.next_key(), shape.into_dimension());
        let [a, b] = key.words();
        let op = Op::Made(MadeOp { label: format!("{verb} {what:?}, key {a:016x}{b:016x}"), kernel: make(key), cost });
        source(op, ndarray::Dimension::slice(&shape), chunks, verb, origin)
    }

    fn drawn<A: Element, Sh: IntoDimension>(
        &self,
        draw: Draw,
        shape: (Sh, Chunks),
        cost: u32,
        verb: &'static str,
        origin: Origin,
    ) -> Array<A, Sh::Dim> {
        if let Some(wrong) = draw.wrong(A::DTYPE) {
            return Array::of(Err(Error::new(ErrorKind::Plan, wrong).frame(Role::In, verb, origin)));
        }
        self.array(draw, |key| Arc::new(Drawn { key, draw }), shape, cost, verb, origin)
    }

    /// Uniform numbers, less than the end of the range. Of a range that is empty all are its start.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where an end is not finite, or the two are further apart than can be counted.
    #[track_caller]
    pub fn uniform<Sh: IntoDimension>(
        &self,
        range: Range<f64>,
        shape: Sh,
        chunks: impl Into<Chunks>,
    ) -> Array<f64, Sh::Dim> {
        let draw = Draw::Uniform { low: range.start, high: range.end };
        self.drawn(draw, (shape, chunks.into()), 4, "uniform", Origin::caller())
    }

    /// As [`Rng::uniform`], as `f32`.
    #[track_caller]
    pub fn uniform_f32<Sh: IntoDimension>(
        &self,
        range: Range<f32>,
        shape: Sh,
        chunks: impl Into<Chunks>,
    ) -> Array<f32, Sh::Dim> {
        let draw = Draw::Uniform { low: range.start.into(), high: range.end.into() };
        self.drawn(draw, (shape, chunks.into()), 4, "uniform", Origin::caller())
    }

    /// Normal numbers with a mean and a standard deviation.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where the deviation is negative, or one of both is not finite.
    #[track_caller]
    pub fn normal<Sh: IntoDimension>(
        &self,
        mean: f64,
        std: f64,
        shape: Sh,
        chunks: impl Into<Chunks>,
    ) -> Array<f64, Sh::Dim> {
        self.drawn(Draw::Normal { mean, std }, (shape, chunks.into()), 30, "normal", Origin::caller())
    }

    /// As [`Rng::normal`], as `f32`.
    #[track_caller]
    pub fn normal_f32<Sh: IntoDimension>(
        &self,
        mean: f32,
        std: f32,
        shape: Sh,
        chunks: impl Into<Chunks>,
    ) -> Array<f32, Sh::Dim> {
        let draw = Draw::Normal { mean: mean.into(), std: std.into() };
        self.drawn(draw, (shape, chunks.into()), 30, "normal", Origin::caller())
    }

    /// Exponential numbers with a mean.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where the mean is negative or not finite.
    #[track_caller]
    pub fn exponential<Sh: IntoDimension>(
        &self,
        mean: f64,
        shape: Sh,
        chunks: impl Into<Chunks>,
    ) -> Array<f64, Sh::Dim> {
        self.drawn(Draw::Exponential { mean }, (shape, chunks.into()), 20, "exponential", Origin::caller())
    }

    /// Integers, less than the end of the range, each as likely as any other (D. Lemire, 2019).
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where the range is empty.
    #[track_caller]
    pub fn integers<A: Drawable + PartialOrd, Sh: IntoDimension>(
        &self,
        range: Range<A>,
        shape: Sh,
        chunks: impl Into<Chunks>,
    ) -> Array<A, Sh::Dim> {
        let origin = Origin::caller();
        if range.is_empty() {
            let text = format!("integers of the empty range {range:?}");
            return Array::of(Err(Error::new(ErrorKind::Plan, text).frame(Role::In, "integers", origin)));
        }
        self.drawn(A::draw(range.start, range.end.before()).0, (shape, chunks.into()), 6, "integers", origin)
    }

    /// Integers from the first to the last, each as likely as any other.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where the range is empty.
    #[track_caller]
    pub fn integers_inclusive<A: Drawable + PartialOrd, Sh: IntoDimension>(
        &self,
        range: RangeInclusive<A>,
        shape: Sh,
        chunks: impl Into<Chunks>,
    ) -> Array<A, Sh::Dim> {
        let origin = Origin::caller();
        if range.is_empty() {
            let text = format!("integers of the empty range {range:?}");
            return Array::of(Err(Error::new(ErrorKind::Plan, text).frame(Role::In, "integers_inclusive", origin)));
        }
        let draw = A::draw(*range.start(), *range.end()).0;
        self.drawn(draw, (shape, chunks.into()), 6, "integers_inclusive", origin)
    }

    /// The numbers below a count in random order, each once. Any part of them is made by itself, however many there are.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let order = array::random::seed(7).permutation(1_000_000, 100_000);
    /// assert_eq!(order.sum().compute()?, 999_999 * 1_000_000 / 2);
    /// assert!(order.slice(s![..10]).compute()? != array::arange(0, 10, 1, 10).compute()?);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn permutation(&self, count: usize, chunks: impl Into<Chunks>) -> Array<i64, Ix1> {
        self.array(count, permuted(count), (count, chunks.into()), 60, "permutation", Origin::caller())
    }

    /// Numbers below a count as they are drawn from an urn: put back each time, or not.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where there are none, more than an `i64` can number, or fewer than are drawn and not put back.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let drawn = array::random::seed(7).choice(1_000_000_000, (100, 20), false, (50, 20));
    /// assert!(drawn.max().compute()? < 1_000_000_000);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn choice<Sh: IntoDimension>(
        &self,
        count: usize,
        shape: Sh,
        replace: bool,
        chunks: impl Into<Chunks>,
    ) -> Array<i64, Sh::Dim> {
        let (verb, origin) = ("choice", Origin::caller());
        let shape = shape.into_dimension();
        let wrong = |text| Array::of(Err(Error::new(ErrorKind::Plan, text).frame(Role::In, verb, origin)));
        let wanted = ndarray::Dimension::slice(&shape).iter().try_fold(1_usize, |all, len| all.checked_mul(*len));
        let Ok(numbers) = i64::try_from(count) else {
            return wrong(format!("a choice of {count} numbers, of which not all are an i64"));
        };
        match (replace, wanted) {
            (true, Some(1..)) if count == 0 => wrong("a choice of nothing".to_string()),
            (true, _) => {
                let draw = Draw::Integers { low: 0, last: (numbers - 1).max(0) };
                self.drawn(draw, (shape, chunks.into()), 6, verb, origin)
            }
            (false, Some(wanted)) if wanted <= count => {
                self.array(count, permuted(count), (shape, chunks.into()), 60, verb, origin)
            }
            (false, _) => wrong(format!("more than {count} numbers are chosen of {count} without putting them back")),
        }
    }

    /// Places of a list of weights, each as often as its share of all of them: drawn and put back.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where a weight is negative or not finite, or there is none above 0.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let drawn = array::random::seed(7).choice_weighted(&[1.0, 0.0, 3.0], 10_000, 1000);
    /// let counts = drawn.bincount(3).compute()?;
    /// assert!(counts[1] == 0 && (7000..8000).contains(&counts[2]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn choice_weighted<Sh: IntoDimension>(
        &self,
        weights: &[f64],
        shape: Sh,
        chunks: impl Into<Chunks>,
    ) -> Array<i64, Sh::Dim> {
        let (verb, origin) = ("choice_weighted", Origin::caller());
        let (mut ends, mut sum) = (Vec::with_capacity(weights.len()), 0.0);
        for weight in weights {
            sum += weight;
            ends.push(sum);
        }
        if !(sum > 0.0 && sum.is_finite()) || weights.iter().any(|weight| weight.is_nan() || *weight < 0.0) {
            let text = "weights have to be finite, none below 0, and one at least above";
            return Array::of(Err(Error::new(ErrorKind::Plan, text).frame(Role::In, verb, origin)));
        }
        let what = ends.iter().fold(Key::new(weights.len() as u64), |key, end| key.sub(end.to_bits())).words();
        let make = |key| -> Arc<dyn Made> { Arc::new(Shares { key, ends }) };
        self.array(what, make, (shape, chunks.into()), 30, verb, origin)
    }

    /// Places along an axis of an array that are drawn, with what stands there: put back each time, or not. Where they are is drawn at once, and
    /// takes 8 bytes each in the plan.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where more are drawn than there are, or the axis is not there.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::arange(0, 1000, 10, 30);
    /// let shuffled = array::random::seed(7).choice_of(&x, 100, false, 0);
    /// let sums: (i64, i64) = compute((shuffled.sum(), x.sum()))?;
    /// assert_eq!(sums.0, sums.1);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn choice_of<A: Element, D: ndarray::Dimension>(
        &self,
        of: &Array<A, D>,
        count: usize,
        replace: bool,
        axis: isize,
    ) -> Array<A, D> {
        let (verb, origin) = ("choice_of", Origin::caller());
        let key = self.next_key();
        let drawn = || {
            let blocks = of.planned()?;
            let len = blocks.len_of(resolve_axis(axis, blocks.rank())?)?;
            if count > len && (len == 0 || !replace) {
                return Err(Error::new(ErrorKind::Plan, format!("{count} places are chosen of {len}")));
            }
            let mut places = Vec::new();
            places
                .try_reserve_exact(count)
                .map_err(|_| Error::new(ErrorKind::Plan, format!("{count} places are more than a plan can hold")))?;
            places.resize(count, 0_i64);
            let into = MadeSlice::I64(&mut places);
            match replace {
                true => Drawn { key, draw: Draw::Integers { low: 0, last: len as i64 - 1 } }.fill(0, 1, into)?,
                false => Permuted(Permutation::new(key, len as u64)).fill(0, 1, into)?,
            }
            Ok(places.into_iter().map(|place| place as isize).collect::<Vec<_>>())
        };
        match drawn() {
            Ok(places) => of.take(&places, axis),
            Err(error) => Array::of(Err(error.frame(Role::In, verb, origin))),
        }
    }

    /// Normal numbers of which each has a mean and a standard deviation of its own. The arrays broadcast. Of a negative deviation they are
    /// those of a positive one on the other side of the mean.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let means = array::from_vec(vec![0.0, 1000.0], 2);
    /// let drawn = array::random::seed(7).normal_of(&means, &array::full(2, 0.5, 2)).compute()?;
    /// assert!(drawn[0].abs() < 10.0 && (drawn[1] - 1000.0).abs() < 10.0);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn normal_of<D, E>(&self, mean: &Array<f64, D>, std: &Array<f64, E>) -> Array<f64, <D as DimMax<E>>::Output>
    where
        D: ndarray::Dimension + DimMax<E>,
        E: ndarray::Dimension,
    {
        let (verb, origin, key) = ("normal_of", Origin::caller(), self.next_key());
        let made = || {
            let (mean, std) = (mean.planned()?, std.planned()?);
            let cuts = broadcast_cuts(mean, std)?;
            let [a, b] = key.words();
            let kernel = Arc::new(Drawn { key, draw: Draw::Normal { mean: 0.0, std: 1.0 } });
            let op = Op::Made(MadeOp { label: format!("{verb}, key {a:016x}{b:016x}"), kernel, cost: 30 });
            let noise = Blocks::new(op, &[], DType::F64, cuts, verb, origin)?;
            noise.known_shape()?;
            let scaled = binary(&noise, std, Binary::Mul, DType::F64, verb, origin)?;
            binary(&scaled, mean, Binary::Add, DType::F64, verb, origin)
        };
        at_line(made(), verb, origin)
    }

    /// What a function draws for each place, by the parameters that stand there: any distribution whose parameters are arrays, which
    /// broadcast. The generator is that of the element, so that numbers do not depend on how arrays are cut.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where there are no arrays, they do not broadcast, or a length is not known.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    /// use rand_distr::{Distribution, Poisson};
    ///
    /// let means = array::linspace(1.0, 100.0, 1000, 300);
    /// let events = array::random::seed(7).draw_each(&[&means], |rng, mean| Poisson::new(mean[0]).map_or(f64::NAN, |of| of.sample(rng)));
    /// let (drawn, wanted) = compute((events.mean(), means.mean()))?;
    /// assert!((drawn - wanted).abs() < 2.0);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn draw_each<A: Element, D: ndarray::Dimension + 'static, B: Element>(
        &self,
        parameters: &[&Array<A, D>],
        draw: impl Fn(&mut ElementRng, &[A]) -> B + Send + Sync + 'static,
    ) -> Array<B, D> {
        let (verb, origin, key) = ("draw_each", Origin::caller(), self.next_key());
        let made = || {
            let inputs = parameters.iter().map(|array| array.planned()).collect::<Result<Vec<_>, _>>()?;
            let inputs = broadcast_all(&inputs, verb, origin)?;
            let inputs: Vec<&Blocks> = inputs.iter().collect();
            let cuts = alike(&inputs)?;
            let lens = inputs[0].known_shape()?;
            let (takes, grid) = (beside(&cuts, inputs.len()), cuts.iter().map(Cuts::blocks).collect());
            let mapped = Mapped { verb, origin, inputs, grid, takes, cuts, key: None };
            mapped.of::<B>(move |given, place| {
                let arrays = given.iter().map(|block| A::slice(block.get::<A::Stored>()?));
                let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
                let (Some(first), Some(starts)) = (given.first(), place.starts.first()) else {
                    return Err(Error::internal("numbers without parameters"));
                };
                let (shape, row) = (first.shape(), first.shape().last().copied().unwrap_or(1));
                let mut own = vec![A::default(); arrays.len()];
                let mut drawn = Vec::with_capacity(shape.iter().product());
                // The numbers of a row's elements among all are one behind another.
                let (mut at, count) = (vec![0; shape.len()], shape.iter().product::<usize>());
                while drawn.len() < count {
                    let places = at.iter().zip(starts).zip(&lens);
                    let first = places.fold(0, |index, ((at, start), len)| index * *len as u64 + (at + start) as u64);
                    for column in 0..row {
                        let from = drawn.len();
                        own.iter_mut().zip(&arrays).for_each(|(own, array)| *own = array[from]);
                        drawn.push(draw(&mut ElementRng::new(key, first + column as u64), &own));
                    }
                    for axis in (0..shape.len().saturating_sub(1)).rev() {
                        at[axis] += 1;
                        if at[axis] < shape[axis] {
                            break;
                        }
                        at[axis] = 0;
                    }
                }
                let drawn = ndarray::ArrayD::from_shape_vec(IxDyn(shape), drawn);
                block(drawn.map_err(|error| Error::internal(format!("numbers of another shape: {error}")))?)
            })
        };
        at_line(made(), verb, origin)
    }

    /// Numbers of a distribution of `rand_distr`, or what is wrong with it.
    fn sampled<D, E, Sh>(
        &self,
        distribution: Result<D, E>,
        shape: (Sh, Chunks),
        verb: &'static str,
        origin: Origin,
    ) -> Array<f64, Sh::Dim>
    where
        D: Distribution<f64> + Debug + Clone + Send + Sync + 'static,
        E: Display,
        Sh: IntoDimension,
    {
        match distribution {
            Ok(distribution) => {
                let make = |key| -> Arc<dyn Made> { Arc::new(Sampled { key, distribution: distribution.clone() }) };
                self.array(distribution.clone(), make, shape, 60, verb, origin)
            }
            Err(error) => Array::of(Err(Error::new(ErrorKind::Plan, error.to_string()).frame(Role::In, verb, origin))),
        }
    }
}

/// Makes the numbers below a count in random order.
fn permuted(count: usize) -> impl FnOnce(Key) -> Arc<dyn Made> {
    move |key| Arc::new(Permuted(Permutation::new(key, count as u64)))
}

/// The distributions that need no more than their parameters.
macro_rules! distributions {
    ($($(#[$doc:meta])* $method:ident($($parameter:ident: $type:ty),+) $distribution:expr;)+) => {
        impl Rng {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// At compute, of kind `Plan`, where a parameter is out of bounds.
            #[track_caller]
            pub fn $method<Sh: IntoDimension>(
                &self,
                $($parameter: $type,)+
                shape: Sh,
                chunks: impl Into<Chunks>,
            ) -> Array<f64, Sh::Dim> {
                self.sampled($distribution, (shape, chunks.into()), stringify!($method), Origin::caller())
            }
        )+}
    };
}

distributions! {
    /// Numbers whose logarithms are normal, with the mean and the deviation of those.
    lognormal(mean: f64, std: f64) LogNormal::new(mean, if std < 0.0 { f64::NAN } else { std });
    /// Gamma numbers by shape and scale.
    gamma(form: f64, scale: f64) Gamma::new(form, scale);
    /// Beta numbers.
    beta(a: f64, b: f64) Beta::new(a, b);
    /// Whole numbers of events, by their mean.
    poisson(mean: f64) Poisson::new(mean);
    /// Student's t by its degrees of freedom.
    student_t(freedom: f64) StudentT::new(freedom);
    /// Chi-squared by its degrees of freedom.
    chi_squared(freedom: f64) ChiSquared::new(freedom);
    /// Cauchy numbers by median and scale.
    cauchy(median: f64, scale: f64) Cauchy::new(median, scale);
    /// Weibull numbers by scale and shape.
    weibull(scale: f64, form: f64) Weibull::new(scale, form);
    /// How many of `n` tries succeed.
    binomial(n: u64, p: f64) Binomial::new(n, p).map(Whole);
}

/// Whole numbers as floats.
#[derive(Clone, Debug)]
struct Whole<D>(D);

impl<D: Distribution<u64>> Distribution<f64> for Whole<D> {
    fn sample<R: rand::Rng + ?Sized>(&self, rng: &mut R) -> f64 {
        self.0.sample(rng) as f64
    }
}
