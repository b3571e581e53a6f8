//! A simulator: the real brain in a fake world, driven by a seed. See [`world`].
//!
//! A failing seed is printed with its story and replays exactly: `SIM_FIRST=<seed> SIM_SEEDS=1`.

mod coverage;
mod graph;
mod model;
mod prng;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use coverage::Coverage;
use world::World;

/// Cases that the tests of this module run together, unless told otherwise.
const SEEDS: u64 = 100_000;

/// Tests they are split over, so that they run side by side.
const SHARES: u64 = 4;

fn told(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is not a number: {value}")))
}

fn simulate(share: u64) {
    let first = told("SIM_FIRST").unwrap_or(0);
    let seeds = told("SIM_SEEDS").unwrap_or(SEEDS);
    let mut coverage = Coverage::default();
    for seed in (first..first + seeds).filter(|seed| seed % SHARES == share) {
        let lived = catch_unwind(|| {
            let mut world = World::new(seed, false);
            world.live();
            world.seen
        });
        match lived {
            Ok(seen) => coverage.add(&seen),
            Err(_) => {
                println!("seed {seed}:");
                let _ = catch_unwind(AssertUnwindSafe(|| World::new(seed, true).live()));
                panic!("seed {seed} fails; SIM_FIRST={seed} SIM_SEEDS=1 runs it alone");
            }
        }
    }
    println!("{coverage}");
    coverage.expect();
}

#[test]
fn simulated_first_quarter() {
    simulate(0);
}

#[test]
fn simulated_second_quarter() {
    simulate(1);
}

#[test]
fn simulated_third_quarter() {
    simulate(2);
}

#[test]
fn simulated_last_quarter() {
    simulate(3);
}
