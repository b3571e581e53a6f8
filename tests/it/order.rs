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

/// A plan out of arbitrary numbers, with what its values are to be.
fn plan(steps: &[[u16; 5]]) -> Vec<(Delayed<u64>, u64)> {
    let mut made: Vec<(Delayed<u64>, u64)> = Vec::new();
    for (number, choice) in (0u64..).zip(steps) {
        let [what, first, second, third, size] = *choice;
        let pick = |at: u16| made.get(usize::from(at) % made.len().max(1)).cloned();
        let source = (delayed(move || number), number);
        let Some(((a, x), (b, y), (c, z))) =
            pick(first).zip(pick(second)).zip(pick(third)).map(|((a, b), c)| (a, b, c))
        else {
            made.push(source);
            continue;
        };
        let size = u32::from(size % 5) + 1;
        let mix = |x: u64, y: u64| x.wrapping_mul(31).wrapping_add(y) % 1_000_003;
        let new = match what % 14 {
            0 | 1 => source,
            2 => (a.map(move |x| mix(*x, number)), mix(x, number)),
            3 | 4 => (delayed_with((&a, &b), move |(x, y)| mix(*x, *y)), mix(x, y)),
            5 => {
                let value = [x, y, z, y].into_iter().reduce(mix).unwrap();
                (delayed_with(vec![&a, &b, &c, &b], move |all| all.into_iter().copied().reduce(mix).unwrap()), value)
            }
            6 => (a.named(format!("step {number}")), x),
            7 => {
                let piece = u32::from(second) % size;
                let split =
                    a.map(move |x| (0..size).map(|at| mix(*x, u64::from(at))).collect::<Vec<u64>>()).split(size);
                (split[piece as usize].clone(), mix(x, u64::from(piece)))
            }
            8 => (a.bind(&b), x),
            9 => (a.wait_on((&b, &c)), x),
            10 => (delayed(move || x).pure(format!("{x}")).map(move |x| mix(*x, 1)), mix(x, 1)),
            // Layers between the tasks.
            11 => {
                let row = DelayedVec::from_fn(size, move |at| mix(number, u64::from(at)));
                let row = row.map_with(&a, move |item, x| mix(*item, *x));
                let at = u32::from(second) % size;
                (row.get(at), mix(mix(number, u64::from(at)), x))
            }
            12 => {
                let row = DelayedVec::from_fn(size, u64::from).map_with(&b, move |item, y| mix(*item, *y));
                let value = (0..size).map(|at| mix(u64::from(at), y)).sum::<u64>();
                (row.all().map(|all| all.iter().sum()).named("sum of a row"), value)
            }
            _ => {
                let at = u32::from(third) % size;
                let row = DelayedVec::from_fn(size, move |at| number + u64::from(at));
                (row.get(at).named("one of a row").map(move |x| mix(*x, 2)), mix(number + u64::from(at), 2))
            }
        };
        made.push(new);
    }
    made
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_plan_gives_its_values(
        steps in prop::collection::vec(any::<[u16; 5]>(), 1..40),
        wanted in prop::collection::vec(any::<u16>(), 1..6),
    ) {
        let made = plan(&steps);
        let (asked, values): (Vec<Delayed<u64>>, Vec<u64>) =
            wanted.iter().map(|at| made[usize::from(*at) % made.len()].clone()).unzip();
        // With all handles there, and again with those alone that are asked for.
        let (first, _) = EVERYWHERE[0].runtime(1 << 30);
        prop_assert_eq!(&asked.compute_on(&first).unwrap(), &values);
        drop(made);
        for fuse in [false, true] {
            let runtime = Runtime::builder().threads(2).set("optimize.fuse", fuse).build().unwrap();
            prop_assert_eq!(&asked.compute_on(&runtime).unwrap(), &values, "fused: {}", fuse);
        }
    }
}
