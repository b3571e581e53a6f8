//! Many delayed values of one type as one regular layer.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::handle::Delayed;
use super::many_ops::{Cut, Each, HandOn};
use super::task::clone_of;
use crate::error::{Error, ErrorKind, Result, Role as Place};
use crate::graph::{Inputs, LayerOp, Meta, Pattern};
use crate::origin::Origin;
use crate::plan::{LayerLowering, Node, NodeRef, Request, Role, Sink};
use crate::runtime::{Computable, Kept, Persist, Stream, finish_guarded};
use crate::store::{Chunk, chunk};

/// How many values a step of a tree takes together.
const TREE_FAN: u32 = 8;

/// A row of values of type `T` that are not there yet: one task each, all doing the same.
///
/// A million of them cost no more to build than one: nothing is stored per task.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let squares = DelayedVec::from_fn(1_000_000, |i| u64::from(i) * u64::from(i));
/// let total = squares.tree_reduce(|a, b| a + b);
/// assert_eq!(total.compute()?, Some(333_332_833_333_500_000));
/// let firsts: Vec<u64> = squares.iter()?.take(3).collect::<Result<_>>()?; // runs a few tasks
/// assert_eq!(firsts, [0, 1, 4]);
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[must_use = "a DelayedVec does nothing until it is computed"]
pub struct DelayedVec<T> {
    node: NodeRef,
    len: u32,
    type_of: PhantomData<fn() -> T>,
}

impl<T> Clone for DelayedVec<T> {
    fn clone(&self) -> Self {
        DelayedVec { node: self.node.clone(), len: self.len, type_of: PhantomData }
    }
}

impl<T> fmt::Debug for DelayedVec<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DelayedVec<{}>: {} tasks of {}", std::any::type_name::<T>(), self.len, self.node.node().label())
    }
}

/// What one input of a layer is: another layer by a pattern, or one value for all.
struct Read {
    node: NodeRef,
    pattern: Option<Pattern>,
}

/// One layer.
struct Step {
    verb: &'static str,
    tasks: u32,
    pieces: u32,
    op: Arc<dyn LayerOp>,
}

/// Layers on top of each other: the first reads the inputs, each other one the layer before it by its pattern.
struct Layers {
    origin: Origin,
    reads: Vec<Read>,
    first: Step,
    more: Vec<(Pattern, Step)>,
    /// How a value is cloned, where the verb asks for a type that can be.
    cloning: Option<fn(&Chunk) -> Option<Chunk>>,
}

impl Node for Layers {
    fn label(&self) -> String {
        self.first.verb.to_string()
    }

    fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a NodeRef)) {
        self.reads.iter().for_each(|read| visit(&read.node));
    }

    fn role(&self) -> Role<'_> {
        Role::Layers
    }

    fn clones(&self) -> bool {
        self.cloning.is_some()
    }

    fn clone_value(&self, value: &Chunk) -> Option<Chunk> {
        self.cloning.and_then(|clone| clone(value))
    }

    fn lower(&self, lowering: &mut LayerLowering<'_>) -> Result<u32> {
        let mut inputs = Vec::with_capacity(self.reads.len());
        for (at, read) in self.reads.iter().enumerate() {
            let (layer, piece) = lowering.input(at)?;
            let pattern = read.pattern.clone().unwrap_or(Pattern::Slice { start: piece, step: 0 });
            inputs.push(crate::graph::Input { layer, pattern });
        }
        let mut layer = self.add(&self.first, inputs, lowering)?;
        for (pattern, step) in &self.more {
            layer = self.add(step, vec![crate::graph::Input { layer, pattern: pattern.clone() }], lowering)?;
        }
        Ok(layer)
    }
}

impl Layers {
    fn add(&self, step: &Step, inputs: Vec<crate::graph::Input>, lowering: &mut LayerLowering<'_>) -> Result<u32> {
        let meta = Meta { name: step.verb.to_string(), verb: step.verb, origin: self.origin };
        lowering.draft().shared(meta, step.tasks, step.pieces, inputs, step.op.clone())
    }
}

fn step(verb: &'static str, tasks: u32, op: impl LayerOp + 'static) -> Step {
    Step { verb, tasks, pieces: 1, op: Arc::new(op) }
}

impl<T: Any + Send + Sync> DelayedVec<T> {
    /// `len` values, value `i` being `function(i)`.
    #[track_caller]
    pub fn from_fn(len: u32, function: impl Fn(u32) -> T + Send + Sync + 'static) -> DelayedVec<T> {
        let op = Each::new(move |index, _: &mut Inputs<'_>| Ok(function(index)));
        DelayedVec::of(Origin::caller(), Vec::new(), step("from_fn", len, op))
    }

    /// As [`DelayedVec::from_fn`], with a function that can fail.
    ///
    /// # Errors
    /// At compute: the error of the function, of kind `Task` where it is none of this library.
    #[track_caller]
    pub fn try_from_fn<E>(len: u32, function: impl Fn(u32) -> Result<T, E> + Send + Sync + 'static) -> DelayedVec<T>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        let op = Each::new(move |index, _: &mut Inputs<'_>| function(index).map_err(Error::from_user));
        DelayedVec::of(Origin::caller(), Vec::new(), step("try_from_fn", len, op))
    }

    /// A function of each item of a list; the plan holds the items.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let lengths = DelayedVec::from_map(["one", "three"], |word| word.len());
    /// assert_eq!(lengths.compute()?, [3, 5]);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn from_map<I: Any + Send + Sync>(
        items: impl IntoIterator<Item = I>,
        function: impl Fn(&I) -> T + Send + Sync + 'static,
    ) -> DelayedVec<T> {
        let items: Vec<I> = items.into_iter().collect();
        let len = u32::try_from(items.len()).unwrap_or(u32::MAX);
        let op = Each::new(move |index, _: &mut Inputs<'_>| Ok(function(&items[index as usize])));
        DelayedVec::of(Origin::caller(), Vec::new(), step("from_map", len, op))
    }

    fn of(origin: Origin, reads: Vec<Read>, first: Step) -> DelayedVec<T> {
        let len = first.tasks;
        let node = NodeRef::new(Layers { origin, reads, first, more: Vec::new(), cloning: None });
        DelayedVec { node, len, type_of: PhantomData }
    }

    fn read(&self, pattern: Pattern) -> Read {
        Read { node: self.node.clone(), pattern: Some(pattern) }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A function of each value, by reference.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let names = DelayedVec::from_fn(3, |i| i).map(|i| format!("part {i}"));
    /// assert_eq!(names.compute()?, ["part 0", "part 1", "part 2"]);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn map<U: Any + Send + Sync>(&self, function: impl Fn(&T) -> U + Send + Sync + 'static) -> DelayedVec<U> {
        let op = Each::new(move |_, inputs: &mut Inputs<'_>| Ok(function(inputs.get(0)?)));
        DelayedVec::of(Origin::caller(), vec![self.read(Pattern::OneToOne)], step("map", self.len, op))
    }

    /// The same values, each of which may be written to disk when memory is short, by serde.
    ///
    /// Blocks, text, vectors of numbers, arrays and tables can be spilled without this.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Trip(String, u32);
    ///
    /// let trips = DelayedVec::from_fn(100, |i| Trip(format!("trip {i}"), i)).spillable();
    /// assert_eq!(trips.map(|trip| trip.1).tree_reduce(|a, b| a + b).compute()?, Some(4950));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn spillable(&self) -> DelayedVec<T>
    where
        T: Serialize + DeserializeOwned,
    {
        let op = HandOn(chunk::serde::<T>());
        DelayedVec::of(Origin::caller(), vec![self.read(Pattern::OneToOne)], step("spillable", self.len, op))
    }

    /// A fallible function of each value, by reference.
    ///
    /// # Errors
    /// At compute: the error of the function, of kind `Task` where it is none of this library.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let texts = DelayedVec::from_map(["1", "2", "x"], |text| text.to_string());
    /// let error = texts.try_map(|text| text.parse::<u32>()).compute().unwrap_err();
    /// assert!(error.to_string().starts_with("task `try_map #2` failed: invalid digit"));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn try_map<U: Any + Send + Sync, E>(
        &self,
        function: impl Fn(&T) -> Result<U, E> + Send + Sync + 'static,
    ) -> DelayedVec<U>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        let op = Each::new(move |_, inputs: &mut Inputs<'_>| function(inputs.get(0)?).map_err(Error::from_user));
        DelayedVec::of(Origin::caller(), vec![self.read(Pattern::OneToOne)], step("try_map", self.len, op))
    }

    /// A function of each value and one value that all share, by reference.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let rate = delayed(|| 3);
    /// let scaled = DelayedVec::from_fn(3, |i| i).map_with(&rate, |value, rate| value * rate);
    /// assert_eq!(scaled.compute()?, [0, 3, 6]);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn map_with<S: Any + Send + Sync, U: Any + Send + Sync>(
        &self,
        shared: &Delayed<S>,
        function: impl Fn(&T, &S) -> U + Send + Sync + 'static,
    ) -> DelayedVec<U> {
        let op = Each::new(move |_, inputs: &mut Inputs<'_>| Ok(function(inputs.get(0)?, inputs.get(1)?)));
        let shared = Read { node: shared.source().clone(), pattern: None };
        DelayedVec::of(Origin::caller(), vec![self.read(Pattern::OneToOne), shared], step("map_with", self.len, op))
    }

    /// A function of the values at the same place of two rows, by reference.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where the rows are not of one length.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let (row, other) = (DelayedVec::from_fn(3, |i| i), DelayedVec::from_fn(3, |i| 10 * i));
    /// assert_eq!(row.zip_with(&other, |a, b| a + b).compute()?, [0, 11, 22]);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn zip_with<S: Any + Send + Sync, U: Any + Send + Sync>(
        &self,
        other: &DelayedVec<S>,
        function: impl Fn(&T, &S) -> U + Send + Sync + 'static,
    ) -> DelayedVec<U> {
        let origin = Origin::caller();
        if self.len != other.len {
            let text = format!("rows of {} and {} values cannot be zipped", self.len, other.len);
            let error = Error::new(ErrorKind::Plan, text).frame(Place::In, "zip_with", origin);
            return DelayedVec::poisoned(error, self.len);
        }
        let op = Each::new(move |_, inputs: &mut Inputs<'_>| Ok(function(inputs.get(0)?, inputs.get(1)?)));
        let reads = vec![self.read(Pattern::OneToOne), other.read(Pattern::OneToOne)];
        DelayedVec::of(origin, reads, step("zip_with", self.len, op))
    }

    /// A function of each value with its neighbours, as many before and after as there are up to these numbers.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let sums = DelayedVec::from_fn(4, |i| i).windows(1, 1, |around| around.iter().copied().sum::<u32>());
    /// assert_eq!(sums.compute()?, [1, 3, 6, 5]);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn windows<U: Any + Send + Sync>(
        &self,
        before: u32,
        after: u32,
        function: impl Fn(&[&T]) -> U + Send + Sync + 'static,
    ) -> DelayedVec<U> {
        let op = Each::new(move |_, inputs: &mut Inputs<'_>| {
            let window = (0..inputs.len()).map(|at| inputs.get(at)).collect::<Result<Vec<&T>>>()?;
            Ok(function(&window))
        });
        let reads = vec![self.read(Pattern::Stencil { before, after })];
        DelayedVec::of(Origin::caller(), reads, step("windows", self.len, op))
    }

    /// All values as one, by combining neighbours in a tree of fixed shape; none of no values.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let row = DelayedVec::from_fn(100, u64::from);
    /// assert_eq!(row.tree_reduce(|a, b| a + b).compute()?, Some(4950));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn tree_reduce(&self, combine: impl Fn(T, T) -> T + Send + Sync + 'static) -> Delayed<Option<T>>
    where
        T: Clone,
    {
        let origin = Origin::caller();
        let combine = Arc::new(combine);
        let mut more = Vec::new();
        let mut len = self.len.div_ceil(TREE_FAN);
        let mut steps = Vec::new();
        // The last layer wraps the value, and stands also where there is nothing to combine.
        while len > 1 {
            steps.push(len);
            len = len.div_ceil(TREE_FAN);
        }
        let part = |combine: &Arc<_>| {
            let combine: Arc<dyn Fn(T, T) -> T + Send + Sync> = Arc::clone(combine) as _;
            Each::new(move |_, inputs: &mut Inputs<'_>| {
                let mut total: T = inputs.take(0)?;
                for at in 1..inputs.len() {
                    total = combine(total, inputs.take(at)?);
                }
                Ok(total)
            })
        };
        let combine: Arc<dyn Fn(T, T) -> T + Send + Sync> = combine;
        let last = {
            let combine = combine.clone();
            Each::new(move |_, inputs: &mut Inputs<'_>| {
                let mut total: Option<T> = None;
                for at in 0..inputs.len() {
                    let next: T = inputs.take(at)?;
                    total = Some(match total {
                        None => next,
                        Some(total) => combine(total, next),
                    });
                }
                Ok(total)
            })
        };
        let last = step("tree_reduce", 1, last);
        let mut steps = steps.into_iter();
        let (pattern, first) = match steps.next() {
            None => (Pattern::All, last),
            Some(len) => {
                let tree = Pattern::Tree { fan: TREE_FAN };
                more.extend(steps.map(|len| (tree.clone(), step("tree_reduce", len, part(&combine)))));
                more.push((Pattern::All, last));
                (tree, step("tree_reduce", len, part(&combine)))
            }
        };
        let reads = vec![self.read(pattern)];
        Delayed::of(Layers { origin, reads, first, more, cloning: Some(clone_of::<Option<T>>) })
    }

    /// All values as one `Vec`, in order.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let longest = DelayedVec::from_fn(4, |i| i * i % 5).all().map(|all| all.iter().max().copied());
    /// assert_eq!(longest.compute()?, Some(4));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn all(&self) -> Delayed<Vec<T>>
    where
        T: Clone,
    {
        let op = Each::new(|_, inputs: &mut Inputs<'_>| {
            (0..inputs.len()).map(|at| inputs.take::<T>(at)).collect::<Result<Vec<T>>>()
        });
        let reads = vec![self.read(Pattern::All)];
        let first = step("all", 1, op);
        let cloning = Some(clone_of::<Vec<T>> as fn(&Chunk) -> Option<Chunk>);
        Delayed::of(Layers { origin: Origin::caller(), reads, first, more: Vec::new(), cloning })
    }

    /// Every value is cut into `parts` pieces; value `j` of the result is made of piece `j` of every value, in their
    /// order.
    ///
    /// The pieces of one value are spilled together, and read each by itself.
    ///
    /// # Errors
    /// At compute, of kind `Data`, where a value is cut into another number of pieces.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// // Numbers by their remainder, as a shuffle does.
    /// let rows = DelayedVec::from_fn(2, |i| (5 * i..5 * i + 5).collect::<Vec<u32>>());
    /// let cut = |row: Vec<u32>| (0..3).map(|r| row.iter().copied().filter(|n| n % 3 == r).collect()).collect();
    /// let by_remainder = rows.all_to_all(3, cut, |pieces: Vec<Vec<u32>>| pieces.concat());
    /// assert_eq!(by_remainder.compute()?, [vec![0, 3, 6, 9], vec![1, 4, 7], vec![2, 5, 8]]);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn all_to_all<P, U>(
        &self,
        parts: u32,
        cut: impl Fn(T) -> Vec<P> + Send + Sync + 'static,
        combine: impl Fn(Vec<P>) -> U + Send + Sync + 'static,
    ) -> DelayedVec<U>
    where
        T: Clone,
        P: Any + Send + Sync + Clone,
        U: Any + Send + Sync,
    {
        let origin = Origin::caller();
        let cut = Cut { cut, pieces: parts, type_of: PhantomData };
        let first = Step { verb: "all_to_all", tasks: self.len, pieces: parts, op: Arc::new(cut) };
        let combine = Each::new(move |_, inputs: &mut Inputs<'_>| {
            let pieces = (0..inputs.len()).map(|at| inputs.take::<P>(at)).collect::<Result<Vec<P>>>()?;
            Ok(combine(pieces))
        });
        let more = vec![(Pattern::AllToAll, step("all_to_all", parts, combine))];
        let reads = vec![self.read(Pattern::OneToOne)];
        if parts == 0 {
            return DelayedVec::of(origin, Vec::new(), step("all_to_all", 0, empty::<U>()));
        }
        let node = NodeRef::new(Layers { origin, reads, first, more, cloning: None });
        DelayedVec { node, len: parts, type_of: PhantomData }
    }

    /// One of the values.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where there is none at this place.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let row = DelayedVec::from_fn(1_000_000, |i| i / 2);
    /// assert_eq!(row.get(84).compute()?, 42); // runs one task
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn get(&self, index: u32) -> Delayed<T> {
        if index >= self.len {
            let text = format!("value {index} of {} values", self.len);
            let error = Error::new(ErrorKind::Plan, text).frame(Place::In, "get", Origin::caller());
            return Delayed::poisoned(error);
        }
        Delayed::piece_of(&self.node, index)
    }

    /// The values one by one, in order, computed as they are asked for: no more than a few beyond the one that is asked
    /// for are begun. Dropping the iterator cancels the run.
    ///
    /// # Errors
    /// Where the plan is wrong. Errors of tasks come out of the iterator, which then ends.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let row = DelayedVec::from_fn(1_000_000, |i| vec![i; 1000]); // 4 GB in all
    /// for value in row.iter()?.take(2) {
    ///     println!("{}", value?.len());
    /// }
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn iter(&self) -> Result<impl Iterator<Item = Result<T>> + use<T>>
    where
        T: Clone,
    {
        let stream = Stream::start_all(&self.node, "iter", Origin::caller())?;
        // A panic in the `Clone` of a value that is kept elsewhere too is an error, as everywhere.
        Ok(stream.map(|chunk| chunk.and_then(|chunk| finish_guarded(|| chunk.take_or_clone::<T>()))))
    }

    fn poisoned(error: Error, len: u32) -> DelayedVec<T> {
        DelayedVec { node: NodeRef::new(crate::plan::Poisoned::new(error)), len, type_of: PhantomData }
    }
}

fn empty<U: Any + Send + Sync>() -> impl LayerOp + 'static {
    Each::<_, U>::new(|_, _: &mut Inputs<'_>| Err(Error::internal("a task of an empty row")))
}

/// Where the values of a row wait for the end of the run.
pub struct Row<T> {
    values: Mutex<Vec<Option<T>>>,
}

impl<T: Any + Send + Sync + Clone> Sink for Row<T> {
    fn put(&self, values: &mut dyn Iterator<Item = (u32, Chunk)>) -> Result<()> {
        let mut row = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, chunk) in values {
            let value = chunk.take_or_clone::<T>()?;
            if let Some(place) = row.get_mut(at as usize) {
                *place = Some(value);
            }
        }
        Ok(())
    }
}

impl<T: Any + Send + Sync + Clone> Computable for DelayedVec<T> {
    type Output = Vec<T>;
    type Pending = Arc<Row<T>>;

    fn request(&self, request: &mut Request) -> Arc<Row<T>> {
        let mut values = Vec::new();
        values.resize_with(self.len as usize, || None);
        let row = Arc::new(Row { values: Mutex::new(values) });
        request.want_all(&self.node, row.clone());
        row
    }

    fn finish(row: Arc<Row<T>>) -> Result<Vec<T>> {
        let values = std::mem::take(&mut *row.values.lock().unwrap_or_else(PoisonError::into_inner));
        // In place: the vector of options becomes the vector of values without a second one.
        let all: Option<Vec<T>> = values.into_iter().collect();
        all.ok_or_else(|| Error::internal("a value was not delivered"))
    }
}

impl<T: Any + Send + Sync + Clone> Persist for DelayedVec<T> {
    type Kept = DelayedVec<T>;

    fn ask(&self, request: &mut Request, sink: &Arc<dyn Sink>) {
        request.want_all(&self.node, sink.clone());
    }

    fn keep(&self, kept: &Arc<Kept>, next: &mut u32) -> DelayedVec<T> {
        match kept.row(next, self.len) {
            Some(node) => DelayedVec { node, ..self.clone() },
            None => self.clone(),
        }
    }
}
