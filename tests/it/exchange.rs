//! Exchanges as layers of a run: order, splits, refusals, failures, and plans that run twice.

use std::sync::Arc;

use chunkwise::external::{Exchange as State, Load};
use chunkwise::graph::{Chunk, Each, Exchange, Inputs, Kind, LayerRef, Meta, Pattern, TaskContext, exchange};
use chunkwise::plan::{LayerLowering, Node, NodeRef, OneValue, Request, Role};
use chunkwise::prelude::*;
use chunkwise::runtime::Computable;
use chunkwise::store::{Budget, chunk};
use chunkwise::{Origin, plan};

/// Scatters the numbers below `producers * each` by their rest: producer `p` brings `p * each..(p + 1) * each`, part `r` is
/// the list of all with rest `r`, in the order of the producers.
#[derive(Clone)]
struct Scatter {
    producers: u32,
    each: u64,
    parts: u32,
    /// Bytes that a number is said to take.
    width: u64,
    /// What a producer is admitted with.
    need: u64,
    /// A producer that fails.
    failing: Option<u32>,
    /// Parts with more numbers are split in two.
    most: u64,
}

impl Default for Scatter {
    fn default() -> Self {
        Scatter { producers: 10, each: 30, parts: 4, width: 8, need: 1024, failing: None, most: u64::MAX }
    }
}

type Lists = Vec<Vec<u64>>;

impl Exchange for Scatter {
    type State = State<Lists, Lists>;

    fn open(&self, producers: u32, budget: &Budget) -> Self::State {
        State::open("scatter", producers, budget)
    }

    fn append_need(&self) -> u64 {
        self.need
    }

    fn append(&self, _: &TaskContext<'_>, state: &Self::State, producer: u32, inputs: &mut Inputs<'_>) -> Result<()> {
        if self.failing == Some(producer) {
            return Err(Error::new(ErrorKind::Data, "this producer fails"));
        }
        let mut lists = vec![Vec::new(); self.parts as usize];
        for number in inputs.get::<Vec<u64>>(0)? {
            lists[(*number % u64::from(self.parts)) as usize].push(*number);
        }
        state.append(producer, lists, Load { rows: self.each, bytes: self.each * self.width }, self.need)
    }

    fn seal(&self, _: &TaskContext<'_>, state: &Self::State) -> Result<Vec<u64>> {
        let mut counted = Vec::new();
        state.seal(0, |parts| {
            let mut all = vec![Vec::new(); self.parts as usize];
            for part in parts {
                all.iter_mut().zip(part).for_each(|(list, more)| list.extend(more));
            }
            counted.extend(all.iter().map(|list| list.len() as u64));
            let rows = counted.iter().sum();
            Ok((all, Load { rows, bytes: rows * self.width }))
        })?;
        Ok(counted)
    }

    fn expand(&self, counted: &[u64]) -> Vec<(u32, u32)> {
        let large = counted.iter().enumerate().filter(|(_, count)| **count > self.most);
        large.map(|(part, _)| (part as u32, 2)).collect()
    }

    fn kind(&self) -> &'static dyn Kind {
        chunk::plain::<Vec<u64>>()
    }

    fn part(&self, _: &TaskContext<'_>, state: &Self::State, part: u32, pieces: &mut Inputs<'_>) -> Result<Chunk> {
        if pieces.is_empty() {
            return Ok(Chunk::new(state.sealed()?[part as usize].clone()));
        }
        let pieces: Result<Lists> = (0..pieces.len()).map(|at| pieces.take(at)).collect();
        Ok(Chunk::new(pieces?.concat()))
    }

    fn piece(&self, _: &TaskContext<'_>, state: &Self::State, part: u32, piece: u32) -> Result<Chunk> {
        let sealed = state.sealed()?;
        let list = &sealed[part as usize];
        let (first, second) = list.split_at(list.len() / 2);
        Ok(Chunk::new(if piece == 0 { first.to_vec() } else { second.to_vec() }))
    }
}

/// A plan of one exchange, computed to the lists of all parts.
struct Scattered {
    node: NodeRef,
}

struct Plan {
    scatter: Scatter,
}

impl Node for Plan {
    fn visit<'a>(&'a self, _: &mut dyn FnMut(&'a NodeRef)) {}

    fn label(&self) -> String {
        "scatter".to_string()
    }

    fn role(&self) -> Role<'_> {
        Role::Layers
    }

    fn lower(&self, lowering: &mut LayerLowering<'_>) -> Result<u32> {
        let Scatter { producers, each, parts, .. } = self.scatter;
        let meta = |name: &str| Meta { name: name.to_string(), verb: "scatter", origin: Origin::UNKNOWN };
        let numbers = move |_: &TaskContext<'_>, index: u32, _: &mut Inputs<'_>| {
            Ok((u64::from(index) * each..u64::from(index + 1) * each).collect::<Vec<u64>>())
        };
        let draft = lowering.draft();
        let source: LayerRef<Vec<u64>> = draft.regular(meta("source"), producers, Vec::new(), Each::new(numbers))?;
        let reads = vec![source.read(Pattern::OneToOne)];
        let lists: LayerRef<Vec<u64>> =
            exchange(draft, meta("scatter"), producers, reads, parts, self.scatter.clone())?;
        let all = |_: &TaskContext<'_>, _: u32, inputs: &mut Inputs<'_>| {
            (0..inputs.len()).map(|at| inputs.take(at)).collect::<Result<Lists>>()
        };
        let all: LayerRef<Lists> = draft.regular(meta("all"), 1, vec![lists.read(Pattern::All)], Each::new(all))?;
        Ok(all.layer())
    }
}

fn scattered(scatter: Scatter) -> Scattered {
    Scattered { node: NodeRef::new(Plan { scatter }) }
}

impl Computable for Scattered {
    type Output = Lists;
    type Pending = Arc<OneValue>;

    fn request(&self, request: &mut Request) -> Arc<OneValue> {
        let value = Arc::new(OneValue::default());
        request.want(&self.node, value.clone() as Arc<dyn plan::Sink>);
        value
    }

    fn finish(pending: Arc<OneValue>) -> Result<Lists> {
        pending.take().expect("a value").take_or_clone()
    }
}

fn expected(scatter: &Scatter) -> Lists {
    let (parts, count) = (u64::from(scatter.parts), u64::from(scatter.producers) * scatter.each);
    (0..parts).map(|rest| (0..count).filter(|number| number % parts == rest).collect()).collect()
}

fn runtimes() -> Vec<Runtime> {
    let threads = [1, 2, 8].map(|threads| Runtime::builder().threads(threads).memory_limit("1 MiB").build().unwrap());
    threads.into_iter().chain([Runtime::synchronous()]).collect()
}

#[test]
fn every_row_arrives_in_order_and_the_same_plan_runs_twice() {
    for runtime in runtimes() {
        let scatter = Scatter::default();
        let lists = scattered(scatter.clone());
        for _ in 0..3 {
            assert_eq!(lists.compute_on(&runtime).unwrap(), expected(&scatter), "{runtime:?}");
            assert_eq!(runtime.memory_held(), 0, "{runtime:?}");
        }
        // Two in one run have a state each.
        let other = Scatter { parts: 7, ..Scatter::default() };
        let both = (&lists, &scattered(other.clone())).compute_on(&runtime).unwrap();
        assert_eq!(both, (expected(&scatter), expected(&other)));
    }
}

#[test]
fn large_parts_are_split() {
    for runtime in runtimes() {
        // Of 300 numbers two parts have 75 each and one fewer.
        for most in [0, 74, 75] {
            let scatter = Scatter { most, ..Scatter::default() };
            assert_eq!(scattered(scatter.clone()).compute_on(&runtime).unwrap(), expected(&scatter), "{most}");
        }
        assert_eq!(runtime.memory_held(), 0);
    }
}

#[test]
fn one_producer_one_part_and_no_rows() {
    for (producers, each, parts) in [(1, 5, 1), (3, 0, 2), (50, 1, 60)] {
        let scatter = Scatter { producers, each, parts, ..Scatter::default() };
        for runtime in runtimes() {
            assert_eq!(scattered(scatter.clone()).compute_on(&runtime).unwrap(), expected(&scatter));
        }
    }
}

#[test]
fn a_refusal_of_the_budget_stops_the_run_with_limit_and_setting() {
    for runtime in runtimes().into_iter().take(3) {
        // What is appended is more than the tasks said they need, and together more than there is.
        let lists = scattered(Scatter { width: 10_000, need: 0, ..Scatter::default() });
        let error = lists.compute_on(&runtime).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfMemory, "{error}");
        let text = error.to_string();
        assert!(text.starts_with("task `scatter #"), "{text}");
        assert!(text.contains("`scatter` asked for 293 KiB"), "{text}");
        assert!(text.contains("of the limit of 1 MiB are held") && text.contains("raise memory_limit"), "{text}");
        drop(lists);
        assert_eq!(runtime.memory_held(), 0, "{runtime:?}");
        let fits = Scatter::default();
        assert_eq!(scattered(fits.clone()).compute_on(&runtime).unwrap(), expected(&fits));
    }
}

#[test]
fn a_failing_producer_stops_the_run_and_leaves_nothing() {
    for runtime in runtimes() {
        let lists = scattered(Scatter { failing: Some(4), ..Scatter::default() });
        for _ in 0..2 {
            let error = lists.compute_on(&runtime).unwrap_err();
            assert_eq!((error.kind(), error.message()), (ErrorKind::Data, "this producer fails"));
            assert_eq!(error.task().unwrap().to_string(), "scatter #4");
            assert_eq!(runtime.memory_held(), 0, "{runtime:?}");
        }
    }
}
