//! Functions against those of `std`, at dense bits and at the edges.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_2, FRAC_PI_4, PI, SQRT_2, TAU};

use proptest::prelude::*;
use pulp::NullaryFnOnce;

use super::tile::OverOne;
use super::*;

/// The functions that have loops here.
const ALL: [Unary; 21] = [
    Unary::Exp,
    Unary::Exp2,
    Unary::ExpM1,
    Unary::Ln,
    Unary::Log2,
    Unary::Log10,
    Unary::Ln1p,
    Unary::Sin,
    Unary::Cos,
    Unary::Tan,
    Unary::Asin,
    Unary::Acos,
    Unary::Atan,
    Unary::Sinh,
    Unary::Cosh,
    Unary::Tanh,
    Unary::Asinh,
    Unary::Acosh,
    Unary::Atanh,
    Unary::Cbrt,
    Unary::Sqrt,
];

const ALL_OF_TWO: [Binary; 3] = [Binary::Pow, Binary::Atan2, Binary::Hypot];

fn unary_f64(f: Unary, x: &[f64], out: &mut [f64]) {
    assert!(unary(f, x, out));
}

fn unary_f32(f: Unary, x: &[f32], out: &mut [f32]) {
    assert!(unary(f, x, out));
}

fn binary_f64(f: Binary, x: &[f64], y: &[f64], out: &mut [f64]) {
    assert!(binary(f, x, y, out));
}

fn binary_f32(f: Binary, x: &[f32], y: &[f32], out: &mut [f32]) {
    assert!(binary(f, x, y, out));
}

/// What `std` has for a function.
fn std_of(f: Unary) -> fn(f64) -> f64 {
    match f {
        Unary::Exp => f64::exp,
        Unary::Exp2 => f64::exp2,
        Unary::ExpM1 => f64::exp_m1,
        Unary::Ln => f64::ln,
        Unary::Log2 => f64::log2,
        Unary::Log10 => f64::log10,
        Unary::Ln1p => f64::ln_1p,
        Unary::Sin => f64::sin,
        Unary::Cos => f64::cos,
        Unary::Tan => f64::tan,
        Unary::Asin => f64::asin,
        Unary::Acos => f64::acos,
        Unary::Atan => f64::atan,
        Unary::Sinh => f64::sinh,
        Unary::Cosh => f64::cosh,
        Unary::Tanh => f64::tanh,
        // The inverse hyperbolic functions of `std` overflow before the result does.
        Unary::Asinh => |x| match x.abs() {
            huge if huge > 1e9 => (huge.ln() + std::f64::consts::LN_2).copysign(x),
            _ => x.asinh(),
        },
        // And near 1 that of `std` has lost half of the digits.
        Unary::Acosh => |x| match x {
            huge if huge > 1e9 => huge.ln() + std::f64::consts::LN_2,
            near if (1.0..2.0).contains(&near) => ((near - 1.0) * (near + 1.0)).sqrt().asinh(),
            _ => x.acosh(),
        },
        Unary::Atanh => |x| match x.abs() {
            near if near > 0.5 => (0.5 * (2.0 * near / (1.0 - near)).ln_1p()).copysign(x),
            _ => x.atanh(),
        },
        Unary::Cbrt => f64::cbrt,
        Unary::Sqrt => f64::sqrt,
        other => panic!("{other:?} is not here"),
    }
}

fn std_of_two(f: Binary) -> fn(f64, f64) -> f64 {
    match f {
        Binary::Pow => f64::powf,
        Binary::Atan2 => f64::atan2,
        Binary::Hypot => f64::hypot,
        other => panic!("{other:?} is not here"),
    }
}

/// Units in the last place by which results may differ from those of `std`, which has errors of its own: see the table of the module.
fn tolerance(f: Unary) -> u64 {
    match f {
        Unary::Sqrt => 0,
        Unary::Exp | Unary::Exp2 | Unary::Ln | Unary::Log2 | Unary::Sin | Unary::Cos => 1,
        Unary::Asin | Unary::Acos | Unary::Atan => 1,
        Unary::ExpM1 | Unary::Log10 | Unary::Ln1p | Unary::Tan => 2,
        Unary::Sinh | Unary::Cosh | Unary::Tanh => 3,
        Unary::Cbrt | Unary::Asinh | Unary::Acosh | Unary::Atanh => 4,
        other => panic!("{other:?} is not here"),
    }
}

/// The distance of two numbers in units in the last place; zeros of different signs and NaN beside a number are far apart.
fn ulps(a: f64, b: f64) -> u64 {
    if a.is_nan() || b.is_nan() {
        return if a.is_nan() && b.is_nan() { 0 } else { u64::MAX };
    }
    if a == 0.0 && b == 0.0 {
        return if a.to_bits() == b.to_bits() { 0 } else { u64::MAX };
    }
    let ordered = |x: f64| {
        let bits = x.to_bits() as i64;
        i128::from(if bits < 0 { i64::MIN - bits } else { bits })
    };
    ordered(a).abs_diff(ordered(b)) as u64
}

fn check(f: Unary, x: &[f64]) {
    let mut out = vec![0.0; x.len()];
    unary_f64(f, x, &mut out);
    for (x, out) in x.iter().zip(&out) {
        let want = std_of(f)(*x);
        assert!(ulps(*out, want) <= tolerance(f), "{f:?} of {x:e} ({:#x}): {out:e}, not {want:e}", x.to_bits());
    }
}

fn check_two(f: Binary, x: &[f64], y: &[f64]) {
    let mut out = vec![0.0; x.len()];
    binary_f64(f, x, y, &mut out);
    for ((x, y), out) in x.iter().zip(y).zip(&out) {
        let want = std_of_two(f)(*x, *y);
        assert!(ulps(*out, want) <= 2, "{f:?} of {x:e} and {y:e}: {out:e}, not {want:e}");
    }
}

/// Noise for tests.
fn noise(count: u64) -> impl Iterator<Item = u64> {
    (1..=count).map(|i| {
        let z = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// Numbers at which something changes.
fn edges() -> Vec<f64> {
    let mut edges =
        vec![0.0, f64::INFINITY, f64::NAN, f64::MIN_POSITIVE, f64::MAX, 5e-324, 1e-310, 1e-300, 1e-20, 1e-17, 1e-9];
    for x in [
        0.1,
        0.25,
        0.34657359,
        0.4375,
        0.5,
        0.625,
        0.6875,
        FRAC_1_SQRT_2,
        FRAC_PI_4,
        0.8660254,
        1.0,
        1.0397207,
        1.1875,
        1.2247448,
        SQRT_2,
        1.5,
        FRAC_PI_2,
        2.0,
        2.4375,
        3.0,
        PI,
        TAU,
        10.0,
        22.0,
        36.7,
        37.4,
        44.0,
        64.0,
        100.0,
        1000.0,
        1024.0,
        1e5,
        1.6e6,
        1_647_099.0,
        268_435_456.0,
        1e10,
        1e15,
        4503599627370496.0,
        9007199254740992.0,
        1e22,
        1e100,
        1e300,
        708.0,
        708.39641853,
        709.0,
        709.78271289,
        710.4758600739,
        744.4400719,
        745.1332191,
        750.0,
        1021.0,
        1022.0,
        1023.0,
        1074.0,
        1075.0,
        1080.0,
    ] {
        edges.push(x);
        edges.extend([f64::next_up(x), f64::next_down(x)]);
    }
    for n in 1..200 {
        // Multiples of a quarter turn, rounded, and integers.
        edges.extend([f64::from(n) * FRAC_PI_2, f64::from(n) * 1000.0 * PI, f64::from(n)]);
    }
    let negative: Vec<f64> = edges.iter().map(|x| -x).collect();
    edges.extend(negative);
    edges
}

#[test]
fn edges_are_those_of_std() {
    for f in ALL {
        check(f, &edges());
    }
    // Near a root all digits of a cosine come from what is missing in the rounded argument.
    let mut out = [0.0];
    unary_f64(Unary::Cos, &[FRAC_PI_2], &mut out);
    assert_eq!(out, [6.123233995736766e-17]);
}

#[test]
fn bits_of_all_kinds() {
    let bits: Vec<f64> = noise(20_000).map(f64::from_bits).collect();
    // And moderate numbers, where functions are neither linear nor infinite.
    let moderate: Vec<f64> = noise(20_000)
        .map(|bits| f64::from_bits((bits & !(0x7ff << 52)) | ((1023 - 12 + ((bits >> 52) & 0x7ff) % 24) << 52)))
        .collect();
    for f in ALL {
        check(f, &bits);
        check(f, &moderate);
    }
    for f in ALL_OF_TWO {
        let turned: Vec<f64> = moderate.iter().rev().copied().collect();
        check_two(f, &moderate, &turned);
        check_two(f, &bits, &moderate);
        check_two(f, &moderate, &bits);
    }
}

#[test]
fn pairs_of_edges() {
    let mut some: Vec<f64> = edges().into_iter().step_by(5).collect();
    some.extend([
        0.0,
        -0.0,
        1.0,
        -1.0,
        2.0,
        -3.0,
        0.5,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        f64::MAX,
        5e-324,
        9007199254740991.0,
    ]);
    for f in ALL_OF_TWO {
        for x in &some {
            check_two(f, &vec![*x; some.len()], &some);
        }
    }
}

#[test]
fn single_precision_is_rounded_once() {
    let x: Vec<f32> =
        noise(20_000).map(|bits| f32::from_bits(bits as u32)).chain(edges().into_iter().map(|x| x as f32)).collect();
    let mut out = vec![0.0; x.len()];
    let near = |got: f32, want: f64| {
        let want = want as f32;
        (got.is_nan() && want.is_nan()) || got == want || got == want.next_up() || got == want.next_down()
    };
    for f in ALL {
        unary_f32(f, &x, &mut out);
        for (x, out) in x.iter().zip(&out) {
            let want = std_of(f)(f64::from(*x));
            assert!(near(*out, want), "{f:?} of {x:e}: {out:e}, not {want:e}");
        }
    }
    let y: Vec<f32> = x.iter().rev().copied().collect();
    for f in ALL_OF_TWO {
        binary_f32(f, &x, &y, &mut out);
        for ((x, y), out) in x.iter().zip(&y).zip(&out) {
            let want = std_of_two(f)(f64::from(*x), f64::from(*y));
            assert!(near(*out, want), "{f:?} of {x:e} and {y:e}: {out:e}, not {want:e}");
        }
    }
}

/// Every element by itself, compiled for the least common instruction set.
fn alone<F: One>(_function: F, x: &[f64]) -> Vec<u64> {
    let one = |x: &f64| {
        let mut out = [0.0];
        OverOne::<f64, F>::new(std::slice::from_ref(x), &mut out).call();
        out[0].to_bits()
    };
    x.iter().map(one).collect()
}

#[test]
fn bits_depend_neither_on_instructions_nor_on_the_place_in_the_tile() {
    let x: Vec<f64> = noise(1111).map(|bits| ((bits >> 11) as f64 / 9e15 - 0.3) * 30.0).collect();
    macro_rules! check {
        ($($name:ident)+) => {$(
            let mut out = vec![0.0; x.len()];
            one($name, &x, &mut out);
            let out: Vec<u64> = out.iter().map(|x| x.to_bits()).collect();
            let single = alone($name, &x);
            #[cfg(target_arch = "x86_64")]
            if let Some(avx2) = pulp::x86::V3::try_new() {
                let mut out = vec![0.0; x.len()];
                avx2.vectorize(OverOne::<f64, $name>::new(&x, &mut out));
                for (x, (out, single)) in x.iter().zip(out.iter().zip(&single)) {
                    assert!(out.to_bits() == *single || out.is_nan(), "{} of {x}", stringify!($name));
                }
            }
            for i in 0..x.len() {
                // Which NaN it is is not promised.
                assert!(out[i] == single[i] || f64::from_bits(out[i]).is_nan(), "{} of {}", stringify!($name), x[i]);
            }
        )+};
    }
    check! { Exp Exp2 ExpM1 Ln Log2 Log10 Ln1p Sin Cos Tan Asin Acos Atan Sinh Cosh Tanh Asinh Acosh Atanh Cbrt Sqrt }
}

#[test]
fn bits_are_the_same_for_ever() {
    // Arguments that `std` has no part in.
    let x: Vec<f64> = noise(4096).map(|bits| 0.001 + (bits >> 11) as f64 / 9_007_199_254_740_992.0 * 0.99).collect();
    let y: Vec<f64> = x.iter().rev().map(|x| x * 3.0).collect();
    let mut out = vec![0.0; x.len()];
    let mut sum = 0xcbf2_9ce4_8422_2325u64;
    let mut add = |out: &[f64]| {
        for number in out {
            let bits = if number.is_nan() { 1 } else { number.to_bits() };
            sum = (sum ^ bits).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        }
    };
    for f in ALL {
        unary_f64(f, &x, &mut out);
        add(&out);
    }
    for f in ALL_OF_TWO {
        binary_f64(f, &x, &y, &mut out);
        add(&out);
    }
    assert_eq!(sum, GOLDEN, "{sum:#x}");
}

const GOLDEN: u64 = 0x5c37_a3f7_c240_26d5;

proptest! {
    #[test]
    fn any_number(x in proptest::collection::vec(any::<f64>(), 0..40)) {
        for f in ALL {
            check(f, &x);
        }
    }

    #[test]
    fn any_pair(x in any::<f64>(), y in any::<f64>(), small in -300.0..300.0) {
        for f in ALL_OF_TWO {
            check_two(f, &[x, x, small], &[y, small, y]);
        }
    }
}
