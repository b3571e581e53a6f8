//! The same numbers for ever, and a small battery of statistics.

use proptest::prelude::*;
use rand::Rng;
use rand_distr::{Distribution, Gamma, StandardNormal};

use super::bulk::{fill_u64, integers};
use super::element::ElementRng;
use super::*;

fn words(key: Key, first: u64, step: i64, count: usize) -> Vec<u64> {
    let mut out = vec![0; count];
    fill_u64(key, first, step, &mut out);
    out
}

#[test]
fn numbers_are_the_same_for_ever() {
    let key = Key::new(42);
    let fruit = key.named("apples").sub(7);
    let mut element = ElementRng::new(fruit, 1_000_000);
    let drawn: Vec<u64> = (0..3).map(|_| element.next_u64()).collect();
    assert_eq!(key.words(), GOLDEN_KEY, "{:#x?}", key.words());
    assert_eq!(fruit.words(), GOLDEN_FRUIT, "{:#x?}", fruit.words());
    assert_eq!(drawn, GOLDEN_DRAWS, "{drawn:#x?}");
    assert_eq!(words(key, 5, -2, 3), GOLDEN_WORDS, "{:#x?}", words(key, 5, -2, 3));
    let (mut uniform, mut normal, mut exponential, mut integer) = ([0.0; 2], [0.0; 2], [0.0; 2], [0i32; 4]);
    uniform_f64(key, 0, 1, -1.0, 1.0, &mut uniform);
    normal_f64(key, 0, 1, 0.0, 1.0, &mut normal);
    exponential_f64(key, 0, 1, 1.0, &mut exponential);
    integers(key, 0, 1, -50, 50, &mut integer);
    assert_eq!((uniform, normal, exponential, integer), GOLDEN_NUMBERS);
    assert_eq!(Key::from_words(key.words()), key);
}

const GOLDEN_KEY: [u64; 2] = [0xae8d_681a_7909_0097, 0x1d27_678a_c30e_3321];
const GOLDEN_FRUIT: [u64; 2] = [0x8739_0d73_dd49_2d51, 0x03ff_5ec3_9f18_e048];
const GOLDEN_DRAWS: [u64; 3] = [0xa94a_0337_927f_9ee1, 0x7831_7a83_2cc5_9cdb, 0x6165_1297_daf8_3a41];
const GOLDEN_WORDS: [u64; 3] = [0xd0d5_4186_b3f1_fe6d, 0x0237_f6c9_a3a8_001d, 0xdc08_0ea9_9cfd_cefd];
const GOLDEN_NUMBERS: ([f64; 2], [f64; 2], [f64; 2], [i32; 4]) = (
    [-0.4521387788213993, 0.7189958885373768],
    [-1.134720801446744, 0.511389547886061],
    [1.2948804506907075, 0.15140684593790676],
    [-23, 35, -13, -50],
);

/// Everything that is made in vectors, as bits, for these elements.
fn all_kinds(key: Key, first: u64, step: i64, count: usize) -> Vec<Vec<u64>> {
    let (mut wide, mut narrow) = (vec![0f64; count], vec![0f32; count]);
    let mut all = vec![words(key, first, step, count)];
    macro_rules! add {
        ($out:ident, $call:expr) => {
            $call;
            all.push($out.iter().map(|number| number.to_bits().into()).collect());
        };
    }
    add!(wide, uniform_f64(key, first, step, -3.0, 5.0, &mut wide));
    add!(wide, uniform_f64(key, first, step, -1e308, 1e308, &mut wide));
    add!(narrow, uniform_f32(key, first, step, 0.0, 1.0, &mut narrow));
    add!(wide, normal_f64(key, first, step, 1.0, 2.0, &mut wide));
    add!(narrow, normal_f32(key, first, step, 1.0, 2.0, &mut narrow));
    add!(wide, exponential_f64(key, first, step, 3.0, &mut wide));
    add!(narrow, exponential_f32(key, first, step, 3.0, &mut narrow));
    add!(wide, sample(key, first, step, &Gamma::new(0.5, 1.0).unwrap(), &mut wide));
    let mut signed = vec![0i64; count];
    for (low, high) in [
        (-3, 4),
        (-7, 1_000_000_000_000),
        (0, (1 << 56) - 1),
        (0, 1 << 31),
        (-5, (3 << 30) + 1),
        (i64::MIN, i64::MAX),
        (0, 3 << 61),
    ] {
        integers(key, first, step, low, high, &mut signed);
        all.push(signed.iter().map(|number| *number as u64).collect());
    }
    all
}

proptest! {
    #[test]
    fn numbers_do_not_depend_on_the_cutting(
        seed in any::<u64>(), first in any::<u64>(), step in any::<i64>(), count in 1..100usize, cut in 0..100usize,
    ) {
        let key = Key::new(seed);
        let cut = cut.min(count);
        let whole = all_kinds(key, first, step, count);
        let then = first.wrapping_add((step as u64).wrapping_mul(cut as u64));
        let parts = all_kinds(key, first, step, cut).into_iter().zip(all_kinds(key, then, step, count - cut));
        for (i, (whole, (a, b))) in whole.into_iter().zip(parts).enumerate() {
            prop_assert_eq!(whole, [a, b].concat(), "kind {}", i);
        }
    }

    #[test]
    fn numbers_are_those_of_the_element(seed in any::<u64>(), first in any::<u64>(), step in any::<i64>()) {
        let key = Key::new(seed).sub(3);
        let mut normal = [0.0; 20];
        sample(key, first, step, &StandardNormal, &mut normal);
        let drawn = words(key, first, step, 20);
        let mut unit = [0.0; 20];
        uniform_f64(key, first, step, 0.0, 1.0, &mut unit);
        for i in 0..20 {
            let mut element = ElementRng::new(key, first.wrapping_add((step as u64).wrapping_mul(i as u64)));
            let number: f64 = StandardNormal.sample(&mut element.clone());
            prop_assert_eq!(normal[i], number);
            prop_assert_eq!(drawn[i], element.next_u64());
            for (low, high, offset) in [(-5i64, 95i64, 100i64), (-5, 1_000_000_000_000, 1_000_000_000_005), (0, 3 << 61, 3 << 61)] {
                let (mut one, index) = ([0i64], first.wrapping_add((step as u64).wrapping_mul(i as u64)));
                integers(key, index, step, low, high, &mut one);
                let offset = u128::from(offset as u64);
                // By the definition of Lemire's method.
                let threshold = ((1 << 64) - offset) % offset;
                let mut element = ElementRng::new(key, index);
                let mut product = u128::from(element.next_u64()) * offset;
                while (product & u128::from(u64::MAX)) < threshold {
                    product = u128::from(element.next_u64()) * offset;
                }
                prop_assert_eq!(one[0], low + (product >> 64) as i64);
            }
            prop_assert_eq!(unit[i], ((drawn[i] >> 12) as f64 + 0.5) / 4_503_599_627_370_496.0);
        }
    }

    #[test]
    fn uniform_numbers_are_within_bounds(seed in any::<u64>(), a in any::<f64>(), b in any::<f64>(), near in 1..50u64) {
        for (a, b) in [(a, b), (a, f64::from_bits(a.to_bits() + near)), (a, a)] {
            let (low, high) = if a < b { (a, b) } else { (b, a) };
            let mut out = [0.0; 50];
            uniform_f64(Key::new(seed), 0, 1, low, high, &mut out);
            if low.is_finite() && high.is_finite() {
                prop_assert!(out.iter().all(|x| *x >= low && (*x < high || low == high)), "{low:e} {high:e} {out:?}");
            } else {
                prop_assert!(out.iter().all(|x| x.is_nan()));
            }
            let (low, high) = (low as f32, high as f32);
            let mut out = [0.0; 50];
            uniform_f32(Key::new(seed), 0, 1, low, high, &mut out);
            if low.is_finite() && high.is_finite() {
                prop_assert!(out.iter().all(|x| *x >= low && (*x < high || low == high)), "{low:e} {high:e} {out:?}");
            }
        }
    }

    #[test]
    fn integers_are_within_bounds(seed in any::<u64>(), a in any::<i64>(), b in any::<i64>(), c in any::<i8>(), d in any::<i8>()) {
        let mut out = [0; 50];
        integers(Key::new(seed), 0, 1, a.min(b), a.max(b), &mut out);
        prop_assert!(out.iter().all(|x| *x >= a.min(b) && (*x < a.max(b) || a == b)));
        let mut out = [0; 50];
        integers_through(Key::new(seed), 0, 1, c.min(d), c.max(d), &mut out);
        prop_assert!(out.iter().all(|x| *x >= c.min(d) && *x <= c.max(d)));
    }
}

#[test]
fn all_integers_come_and_equally_often() {
    let key = Key::new(9);
    let mut bytes = vec![0u8; 1 << 16];
    integers_through(key, 0, 1, 0, u8::MAX, &mut bytes);
    chi_square(256, bytes.iter().map(|byte| usize::from(*byte)));
    let mut days = vec![0u16; 70_000];
    integers(key, 0, 1, 1, 8, &mut days);
    chi_square(7, days.iter().map(|day| usize::from(*day) - 1));
    // Half of the first numbers are rejected: without drawing anew, a third would be twice as frequent.
    let span = (1i64 << 31) * 3 / 2;
    let mut wide = vec![0i64; 30_000];
    integers(key, 0, 1, 0, span, &mut wide);
    chi_square(3, wide.iter().map(|x| (*x / (span / 3)) as usize));
    let span = (1i64 << 61) * 3;
    integers(key, 0, 1, 0, span, &mut wide);
    chi_square(3, wide.iter().map(|x| (*x / (span / 3)) as usize));
    let mut all = vec![0u64; 100];
    integers_through(key, 0, 1, 0, u64::MAX, &mut all);
    assert_eq!(all, words(key, 0, 1, 100));
}

/// Frequencies of that many classes are such as chance makes them: within 5 deviations of what is expected.
fn chi_square(classes: usize, drawn: impl Iterator<Item = usize>) {
    let mut counts = vec![0u32; classes];
    drawn.for_each(|class| counts[class] += 1);
    let expected = f64::from(counts.iter().sum::<u32>()) / classes as f64;
    let sum: f64 = counts.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum();
    let free = (classes - 1) as f64;
    assert!((sum - free).abs() < 5.0 * (2.0 * free).sqrt() + 3.0, "{sum} of {free}");
}

/// Streams in the orders that arrays have: each must look like noise.
fn streams() -> Vec<(&'static str, Vec<u64>)> {
    const COUNT: usize = 1 << 16;
    let draws = |elements: u64, each: usize, key: &dyn Fn(u64) -> ElementRng| {
        let mut all = Vec::with_capacity(COUNT);
        for i in 0..elements {
            let mut element = key(i);
            all.extend((0..each).map(|_| element.next_u64()));
        }
        all
    };
    vec![
        ("elements", words(Key::new(0), 0, 1, COUNT)),
        ("every millionth", words(Key::new(0), 0, 1 << 20, COUNT)),
        ("backwards", words(Key::new(0), u64::MAX, -1, COUNT)),
        ("draws of an element", draws(1, COUNT, &|i| ElementRng::new(Key::new(1), i))),
        ("four draws of each", draws(COUNT as u64 / 4, 4, &|i| ElementRng::new(Key::new(1), i))),
        ("seeds", draws(COUNT as u64, 1, &|i| ElementRng::new(Key::new(i), 0))),
        ("sub-keys", draws(COUNT as u64, 1, &|i| ElementRng::new(Key::new(0).sub(i), 77))),
        ("names", draws(COUNT as u64, 1, &|i| ElementRng::new(Key::new(0).named(&i.to_string()), 0))),
        ("two keys by turns", draws(COUNT as u64, 1, &|i| ElementRng::new(Key::new(i % 2), i / 2))),
    ]
}

#[test]
fn streams_look_like_noise() {
    for (name, words) in streams() {
        let count = words.len() as f64;
        // Each bit is set half of the time, also where the bit before, or the one of the word before, is.
        for bit in 0..64 {
            let set = words.iter().filter(|word| *word >> bit & 1 == 1).count() as f64;
            assert!((set - count / 2.0).abs() < 5.0 * count.sqrt() / 2.0, "{name}: bit {bit} {set}");
            let after = words.windows(2).filter(|pair| (pair[0] ^ pair[1].rotate_left(bit)) & 1 == 1).count() as f64;
            assert!((after - count / 2.0).abs() < 5.0 * count.sqrt() / 2.0, "{name}: turned by {bit} {after}");
        }
        chi_square(256, words.iter().flat_map(|word| word.to_le_bytes()).map(usize::from));
        chi_square(1024, words.iter().map(|word| (word >> 54) as usize));
        // Products with what comes 1, 2, 3.. later are uncorrelated.
        let units: Vec<f64> = words.iter().map(|word| *word as f64 / 2f64.powi(64) - 0.5).collect();
        for lag in [1, 2, 3, 4, 8, 64, 1024] {
            let sum: f64 = units.iter().zip(&units[lag..]).map(|(a, b)| a * b * 12.0).sum();
            assert!(sum.abs() < 5.0 * count.sqrt(), "{name}: lag {lag} {sum}");
        }
        // Numbers of set bits of neighbours are independent.
        let weights: Vec<f64> = words.iter().map(|word| f64::from(word.count_ones()) - 32.0).collect();
        let sum: f64 = weights.windows(2).map(|pair| pair[0] * pair[1] / 16.0).sum();
        assert!(sum.abs() < 5.0 * count.sqrt(), "{name}: weights {sum}");
        // Equal distances between sorted numbers of 44 bits: 2^48 / 2^46 = 4 of them are expected.
        let mut days: Vec<u64> = words.iter().map(|word| word >> 20 & ((1 << 44) - 1)).collect();
        days.sort_unstable();
        let mut gaps: Vec<u64> = days.windows(2).map(|pair| pair[1] - pair[0]).collect();
        gaps.sort_unstable();
        let equal = gaps.windows(2).filter(|pair| pair[0] == pair[1]).count();
        assert!((1..14).contains(&equal), "{name}: {equal} equal gaps");
    }
}

#[test]
fn streams_share_no_words() {
    let mut all: Vec<u64> = Vec::new();
    for key in [Key::new(1), Key::new(2), Key::new(3), Key::new(1).sub(0), Key::new(1).sub(1), Key::new(2).sub(0)] {
        all.extend(words(key, 0, 1, 1 << 14));
        for i in 0..64 {
            let mut element = ElementRng::new(key, i);
            // The first one is above already.
            element.next_u64();
            all.extend((0..128).map(|_| element.next_u64()));
        }
    }
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count);
}

#[test]
fn every_bit_changes_half_of_the_bits() {
    // Whatever single bit of the index, the seed or the number of the sub-key changes, and for draws 0 and 1.
    const TRIALS: u64 = 512;
    let draw = |seed: u64, sub: u64, index: u64, which: usize| {
        let mut element = ElementRng::new(Key::new(seed).sub(sub), index);
        (0..which).for_each(|_| _ = element.next_u64());
        element.next_u64()
    };
    for which in 0..2 {
        for bit in 0..64 {
            let mut flips = [[0u32; 64]; 3];
            for i in 0..TRIALS {
                let before = draw(i, i, i, which);
                let after =
                    [draw(i ^ 1 << bit, i, i, which), draw(i, i ^ 1 << bit, i, which), draw(i, i, i ^ 1 << bit, which)];
                for (flips, after) in flips.iter_mut().zip(after) {
                    for (out, flips) in flips.iter_mut().enumerate() {
                        *flips += ((before ^ after) >> out & 1) as u32;
                    }
                }
            }
            for (part, flips) in flips.iter().enumerate() {
                for (out, flips) in flips.iter().enumerate() {
                    let off = (f64::from(*flips) - TRIALS as f64 / 2.0) / (TRIALS as f64 / 4.0).sqrt();
                    // 24576 of these: 5.5 deviations come once in a thousand times.
                    assert!(off.abs() < 5.5, "draw {which}, part {part}, bit {bit} to {out}: {off}");
                }
            }
        }
    }
}

#[test]
fn distributions_have_their_moments() {
    const COUNT: usize = 200_000;
    let key = Key::new(5).named("moments");
    let mut out = vec![0.0; COUNT];
    let moments = |out: &[f64]| {
        let mean = out.iter().sum::<f64>() / COUNT as f64;
        let central = |power| out.iter().map(|x| (x - mean).powi(power)).sum::<f64>() / COUNT as f64;
        let variance = central(2);
        (mean, variance, central(3) / variance.powf(1.5), central(4) / variance.powi(2))
    };
    let near = |got: f64, want: f64, by: f64| assert!((got - want).abs() < by, "{got}, not {want}");
    normal_f64(key, 0, 1, 10.0, 2.0, &mut out);
    let (mean, variance, skew, kurtosis) = moments(&out);
    near(mean, 10.0, 0.02);
    near(variance, 4.0, 0.06);
    near(skew, 0.0, 0.03);
    near(kurtosis, 3.0, 0.06);
    let beyond = out.iter().filter(|x| (**x - 10.0).abs() > 6.0).count() as f64;
    near(beyond / COUNT as f64, 0.0027, 0.0006);
    exponential_f64(key, 0, 1, 3.0, &mut out);
    let (mean, variance, skew, _) = moments(&out);
    near(mean, 3.0, 0.04);
    near(variance, 9.0, 0.3);
    near(skew, 2.0, 0.1);
    assert!(out.iter().all(|x| *x >= 0.0 && x.is_sign_positive()));
    uniform_f64(key, 0, 1, -1.0, 1.0, &mut out);
    let (mean, variance, _, kurtosis) = moments(&out);
    near(mean, 0.0, 0.007);
    near(variance, 1.0 / 3.0, 0.004);
    near(kurtosis, 1.8, 0.02);
}
