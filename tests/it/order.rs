//! The order of tasks that were made one by one: how many values are held, and that the values are right whatever the plan.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chunkwise::prelude::*;
use chunkwise::runtime::config::Scheduler;
use proptest::prelude::*;

use crate::support::EVERYWHERE;

/// Counts how many values there are, and how many there were at most.
#[derive(Clone, Default)]
struct Counter(Arc<(AtomicI64, AtomicI64)>);

struct Counted(Counter, u64);

impl Counter {
    fn value(&self, value: u64) -> Counted {
        // Tiny tasks are done by the hundred before what they gave is let go.
        std::thread::sleep(Duration::from_micros(100));
        let now = self.0.0.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.1.fetch_max(now, Ordering::SeqCst);
        Counted(self.clone(), value)
    }

    fn most(&self) -> i64 {
        assert_eq!(self.0.0.load(Ordering::SeqCst), 0, "all values are dropped");
        self.0.1.load(Ordering::SeqCst)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn synchronous() -> Runtime {
    Runtime::builder().scheduler(Scheduler::Synchronous).set("optimize.fuse", false).build().unwrap()
}

/// The sum of a fold over parts, and how many values were held at most.
fn fold(make: impl Fn(&Counter, &[Delayed<Counted>]) -> Delayed<Counted>, keep: bool) -> (u64, i64) {
    let counter = Counter::default();
    let sum = {
        let parts: Vec<Delayed<Counted>> = (0..100u64)
            .map(|i| {
                let (load, clean) = (counter.clone(), counter.clone());
                delayed(move || load.value(i)).map(move |part| clean.value(part.1 + 1))
            })
            .collect();
        let last = make(&counter, &parts).map(|value| value.1);
        if !keep {
            drop(parts);
        }
        last.compute_on(&synchronous()).unwrap()
    };
    (sum, counter.most())
}

fn add(counter: &Counter, left: &Delayed<Counted>, right: &Delayed<Counted>) -> Delayed<Counted> {
    let counter = counter.clone();
    delayed_with((left, right), move |(left, right)| counter.value(left.1 + right.1))
}

/// `acc = f(part, acc)`: the part is asked for before what was added up so far, and yet made after it.
#[test]
fn a_fold_holds_few_values_whichever_side_it_is_written() {
    type Add = fn(&Counter, &Delayed<Counted>, &Delayed<Counted>) -> Delayed<Counted>;
    let sides: [Add; 2] = [|counter, acc, part| add(counter, acc, part), |counter, acc, part| add(counter, part, acc)];
    for side in sides {
        for keep in [false, true] {
            let (sum, most) = fold(
                |counter, parts| {
                    let (first, rest) = parts.split_first().unwrap();
                    rest.iter().fold(first.clone(), |acc, part| side(counter, &acc, part))
                },
                keep,
            );
            assert_eq!(sum, 100 * 101 / 2);
            assert!(most <= 3, "{most} values at a time");
        }
    }
}

/// Three inputs, the fold in the middle; and a fold of folds.
#[test]
fn folds_of_several_inputs() {
    let (sum, most) = fold(
        |counter, parts| {
            let (first, rest) = parts.split_first().unwrap();
            rest.chunks(2).fold(first.clone(), |acc, pair| {
                let counter = counter.clone();
                let inputs = vec![pair[0].clone(), acc, pair[pair.len() - 1].clone()];
                delayed_with(inputs, move |values| counter.value(values.iter().map(|value| value.1).sum()))
            })
        },
        false,
    );
    // The last part is alone, and read twice.
    assert_eq!(sum, 100 * 101 / 2 + 100);
    assert!(most <= 5, "{most} values at a time");

    let (sum, most) = fold(
        |counter, parts| {
            let folds = parts.chunks(10).map(|parts| {
                let (first, rest) = parts.split_first().unwrap();
                rest.iter().fold(first.clone(), |acc, part| add(counter, part, &acc))
            });
            folds.reduce(|acc, fold| add(counter, &fold, &acc)).unwrap()
        },
        false,
    );
    assert_eq!(sum, 100 * 101 / 2);
    assert!(most <= 5, "{most} values at a time");
}

type One = (Delayed<u64>, u64);
type Row = (DelayedVec<u64>, Vec<u64>);

fn mix(x: u64, y: u64) -> u64 {
    x.wrapping_mul(31).wrapping_add(y) % 1_000_003
}

fn mix_all(values: impl IntoIterator<Item = u64>) -> u64 {
    values.into_iter().fold(7, mix)
}

/// A plan out of arbitrary numbers, with what its values are to be.
fn plan(steps: &[[u16; 5]]) -> (Vec<One>, Vec<Row>) {
    let mut made: Vec<One> = vec![(delayed(|| 1), 1)];
    let mut rows: Vec<Row> = vec![(DelayedVec::from_fn(0, u64::from), Vec::new())];
    for (number, choice) in (0u64..).zip(steps) {
        let [what, first, second, third, size] = *choice;
        let pick = |at: u16| made[usize::from(at) % made.len()].clone();
        let ((a, x), (b, y), (c, z)) = (pick(first), pick(second), pick(third));
        let (row, items) = rows[usize::from(third) % rows.len()].clone();
        let at = usize::from(second) % items.len().max(1);
        let size = u32::from(size % 5);
        match what % 20 {
            0 | 1 => made.push((delayed(move || number), number)),
            2 => made.push((a.map(move |x| mix(*x, number)), mix(x, number))),
            3 | 4 => made.push((delayed_with((&a, &b), |(x, y)| mix(*x, *y)), mix(x, y))),
            5 => {
                let all = delayed_with(vec![&a, &b, &c, &b], |all| mix_all(all.into_iter().copied()));
                made.push((all, mix_all([x, y, z, y])));
            }
            6 => made.push((a.named(format!("step {number}")), x)),
            7 => {
                let piece = u32::from(second) % (size + 1);
                let pieces = a.map(move |x| (0..=size).map(|at| mix(*x, u64::from(at))).collect::<Vec<u64>>());
                made.push((pieces.split(size + 1)[piece as usize].clone(), mix(x, u64::from(piece))));
            }
            8 => made.push((a.bind(&b), x)),
            9 => made.push((a.wait_on((&b, &c)), x)),
            10 => made.push((delayed(move || x).pure(format!("{x}")).map(|x| mix(*x, 1)), mix(x, 1))),
            11 => made.push((a.fresh(), x)),
            12 => made.push((a.fresh().bind(b.bind(&c)).pure(format!("bound {x}")), x)),
            // Rows: layers before, between and after the tasks; also of nothing.
            13 => {
                let items = (0..size).map(|at| number + u64::from(at)).collect();
                rows.push((DelayedVec::from_fn(size, move |at| number + u64::from(at)), items));
            }
            14 => {
                let items = items.iter().map(|item| mix(*item, x)).collect();
                rows.push((row.map_with(&a, |item, x| mix(*item, *x)), items));
            }
            15 => {
                let window =
                    |at: usize| mix_all(items[at.saturating_sub(1)..(at + 2).min(items.len())].iter().copied());
                let windows = (0..items.len()).map(window).collect();
                rows.push((row.windows(1, 1, |items| mix_all(items.iter().map(|item| **item))), windows));
            }
            16 => {
                let cut = move |item: u64| (0..u64::from(size)).map(|part| mix(item, part)).collect();
                let parts = (0..u64::from(size)).map(|part| mix_all(items.iter().map(|item| mix(*item, part))));
                rows.push((row.all_to_all(size, cut, |parts: Vec<u64>| mix_all(parts)), parts.collect()));
            }
            17 => {
                let sum = row.tree_reduce(|a, b| a + b).named("sum of a row").map(|sum| sum.unwrap_or(3));
                made.push((sum, items.iter().copied().reduce(|a, b| a + b).unwrap_or(3)));
            }
            18 if !items.is_empty() => made.push((row.get(at as u32).named("one of a row"), items[at])),
            19 if !items.is_empty() => made.push((row.get(at as u32).bind(&a), items[at])),
            _ => made.push((row.all().map(|all| mix_all(all.iter().copied())), mix_all(items))),
        }
    }
    (made, rows)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_plan_gives_its_values(
        steps in prop::collection::vec(any::<[u16; 5]>(), 1..40),
        wanted in prop::collection::vec(any::<u16>(), 1..6),
        wanted_rows in prop::collection::vec(any::<u16>(), 0..4),
    ) {
        let (made, rows) = plan(&steps);
        let (asked, values): (Vec<Delayed<u64>>, Vec<u64>) =
            wanted.iter().map(|at| made[usize::from(*at) % made.len()].clone()).unzip();
        let (asked_rows, row_values): (Vec<DelayedVec<u64>>, Vec<Vec<u64>>) =
            wanted_rows.iter().map(|at| rows[usize::from(*at) % rows.len()].clone()).unzip();
        let (asked, values) = ((asked, asked_rows), (values, row_values));
        // With all handles there, and again with those alone that are asked for.
        let (first, _) = EVERYWHERE[0].runtime(1 << 30);
        prop_assert_eq!(&asked.compute_on(&first).unwrap(), &values);
        drop((made, rows));
        for passes in 0..4 {
            let runtime = Runtime::builder()
                .threads(2)
                .set("optimize.fuse", passes & 1 > 0)
                .set("optimize.cull", passes & 2 > 0)
                .build()
                .unwrap();
            prop_assert_eq!(&asked.compute_on(&runtime).unwrap(), &values, "passes: {}", passes);
        }
    }
}
