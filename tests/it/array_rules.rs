//! NumPy's rules as data: `tests/data/array_rules.json` holds what NumPy says, and the script beside it writes it.

use std::any::type_name;
use std::cell::RefCell;

use chunkwise::array::{Axis, Complex, Element, Ix1, Ix2, IxDyn, Pad, Promote, Real, Tolerance};
use chunkwise::prelude::*;
use ndarray::ArrayD;
use serde_json::Value;

/// An element as the file tells it.
trait Told: Element {
    fn told(text: &str) -> Self;

    fn tells(self) -> String;
}

macro_rules! told_integers {
    ($($type:ty)+) => {$(
        impl Told for $type {
            fn told(text: &str) -> Self {
                text.parse().unwrap()
            }

            fn tells(self) -> String {
                self.to_string()
            }
        }
    )+};
}

macro_rules! told_floats {
    ($($type:ty)+) => {$(
        impl Told for $type {
            fn told(text: &str) -> Self {
                text.parse::<f64>().unwrap() as $type
            }

            // NaN is NaN, whatever its bits are.
            fn tells(self) -> String {
                if self.is_nan() { "nan".to_string() } else { format!("{:?}", f64::from(self)) }
            }
        }

        impl Told for Complex<$type> {
            fn told(text: &str) -> Self {
                let (re, im) = text.split_once(' ').unwrap();
                Complex::new(<$type>::told(re), <$type>::told(im))
            }

            fn tells(self) -> String {
                format!("{} {}", self.re.tells(), self.im.tells())
            }
        }
    )+};
}

told_integers! { i8 i32 i64 u8 u64 }
told_floats! { f32 f64 }

impl Told for bool {
    fn told(text: &str) -> Self {
        text == "1"
    }

    fn tells(self) -> String {
        u8::from(self).to_string()
    }
}

/// An array of the file: its type, shape and elements.
struct Stated<'a>(&'a Value);

impl Stated<'_> {
    fn of(&self) -> &str {
        self.0[0].as_str().unwrap()
    }

    fn shape(&self) -> Vec<usize> {
        self.0[1].as_array().unwrap().iter().map(|len| len.as_u64().unwrap() as usize).collect()
    }

    fn texts(&self) -> Vec<&str> {
        self.0[2].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
    }

    fn array<A: Told>(&self, cut: i64) -> Array<A, IxDyn> {
        let values = self.texts().into_iter().map(A::told).collect();
        array::from_ndarray(ArrayD::from_shape_vec(self.shape(), values).unwrap(), cut)
    }
}

struct Case<'a> {
    of: &'a Value,
    /// The length of blocks.
    cut: i64,
    wrong: &'a RefCell<Vec<String>>,
}

impl Case<'_> {
    fn name(&self) -> &str {
        self.of["name"].as_str().unwrap()
    }

    fn number(&self, name: &str) -> i64 {
        self.of["numbers"][name].as_i64().unwrap_or_else(|| panic!("no number {name} in {}", self.of))
    }

    fn axis(&self) -> Axis {
        Axis(self.number("axis") as usize)
    }

    fn given<A: Told>(&self, at: usize) -> Array<A, IxDyn> {
        Stated(&self.of["arrays"][at]).array(self.cut)
    }

    /// Looks whether an array is what NumPy says; floats up to so many of their last places.
    fn gives<B: Told, D: ndarray::Dimension + 'static>(&self, made: Array<B, D>, places: f64) {
        let made = made.into_dyn().compute().unwrap_or_else(|error| panic!("{}: {error}", self.of));
        let wanted = Stated(&self.of["gives"]);
        assert_eq!(made.shape(), wanted.shape(), "{} in blocks of {}", self.of, self.cut);
        let short = type_name::<B>().rsplit("::").next().unwrap();
        let short = match short {
            "Complex<f32>" => "c32",
            "Complex<f64>" => "c64",
            other => other,
        };
        assert_eq!(short, wanted.of(), "{}", self.of);
        for (at, (made, wanted)) in made.iter().zip(wanted.texts()).enumerate() {
            let text = made.tells();
            let wanted = B::told(wanted).tells();
            let near = places > 0.0
                && text.split(' ').zip(wanted.split(' ')).all(|(a, b)| {
                    let (a, b): (f64, f64) = (a.parse().unwrap(), b.parse().unwrap());
                    (a - b).abs() <= places * f64::EPSILON * b.abs().max(1.0)
                });
            // Of two zeros either is the greater one, as vectors of the processor have it.
            let zeros = ["maximum", "minimum", "fmax", "fmin"].contains(&self.name())
                && [&text, &wanted].iter().all(|of| of.ends_with("0.0") && of.len() <= 4);
            if text != wanted && !near && !zeros {
                let given = |array: &Value| array[2].get(at).map(Value::to_string).unwrap_or_default();
                let given: Vec<String> = self.of["arrays"].as_array().unwrap().iter().map(given).collect();
                let (name, numbers) = (self.name(), &self.of["numbers"]);
                self.wrong
                    .borrow_mut()
                    .push(format!("{name} {numbers} of {given:?} is {text}, not {wanted}: place {at}"));
            }
        }
    }

    /// A case of two arrays of numbers that are ordered.
    fn ordered<A: Told + Real + Promote<A, Output = A>>(&self) -> bool
    where
        <A as Promote<A>>::Quotient: Told,
    {
        let (a, b) = (self.given::<A>(0), || self.given::<A>(1));
        match self.name() {
            "add" => self.gives(&a + &b(), 0.0),
            "sub" => self.gives(&a - &b(), 0.0),
            "mul" => self.gives(&a * &b(), 0.0),
            "div" => self.gives(&a / &b(), 0.0),
            "rem" => self.gives(&a % &b(), 0.0),
            "floor_div" => self.gives(a.floor_div(b()), 0.0),
            "fmod" => self.gives(a.fmod(b()), 0.0),
            "maximum" => self.gives(a.maximum(b()), 0.0),
            "minimum" => self.gives(a.minimum(b()), 0.0),
            "fmax" => self.gives(a.fmax(b()), 0.0),
            "fmin" => self.gives(a.fmin(b()), 0.0),
            "pow" => self.gives(a.pow(b()), 0.0),
            "copysign" => self.gives(a.copysign(b()), 0.0),
            "eq" => self.gives(a.eq(b()), 0.0),
            "ne" => self.gives(a.ne(b()), 0.0),
            "lt" => self.gives(a.lt(b()), 0.0),
            "le" => self.gives(a.le(b()), 0.0),
            "gt" => self.gives(a.gt(b()), 0.0),
            "ge" => self.gives(a.ge(b()), 0.0),
            "neg" => self.gives(-&a, 0.0),
            "sign" => self.gives(a.sign(), 0.0),
            "isclose" => {
                let near = Tolerance { equal_nan: self.of["numbers"]["equal_nan"] == true, ..Tolerance::default() };
                self.gives(a.isclose(b(), near), 0.0);
            }
            _ => return false,
        }
        true
    }

    fn whole<A>(&self) -> bool
    where
        A: Told + Real<Abs = A> + Promote<A, Output = A>,
        <A as Promote<A>>::Quotient: Told,
    {
        let a = self.given::<A>(0);
        match self.name() {
            "and" => self.gives(&a & &self.given::<A>(1), 0.0),
            "or" => self.gives(&a | &self.given::<A>(1), 0.0),
            "xor" => self.gives(&a ^ &self.given::<A>(1), 0.0),
            "shl" => self.gives(&a << &self.given::<A>(1), 0.0),
            "shr" => self.gives(&a >> &self.given::<A>(1), 0.0),
            "abs" => self.gives(a.abs(), 0.0),
            _ => return self.ordered::<A>(),
        }
        true
    }

    fn float<A>(&self) -> bool
    where
        A: Told + Real<Abs = A, Float = A> + Promote<A, Output = A> + numbers::Small,
        <A as Promote<A>>::Quotient: Told,
    {
        let a = self.given::<A>(0);
        match self.name() {
            "rint" => self.gives(a.round(), 0.0),
            "floor" => self.gives(a.floor(), 0.0),
            "ceil" => self.gives(a.ceil(), 0.0),
            "trunc" => self.gives(a.trunc(), 0.0),
            "sqrt" => self.gives(a.sqrt(), 0.0),
            "abs" => self.gives(a.abs(), 0.0),
            "isnan" => self.gives(a.is_nan(), 0.0),
            "isinf" => self.gives(a.is_infinite(), 0.0),
            "isfinite" => self.gives(a.is_finite(), 0.0),
            "nan_to_num" => self.gives(a.nan_to_num(A::small(1), A::small(2), A::small(3)), 0.0),
            _ => return self.ordered::<A>(),
        }
        true
    }

    fn reduced<A>(&self) -> bool
    where
        A: Told + Real,
        A::Sum: Told + Real,
        A::Float: Told,
        A::Deviation: Told,
    {
        let (x, axis, ddof) = (self.given::<A>(0), self.axis(), || self.number("ddof") as f64);
        match self.name() {
            "sum" => self.gives(x.sum_axis(axis), 2.0),
            "prod" => self.gives(x.prod_axis(axis), 2.0),
            "mean" => self.gives(x.mean_axis(axis), 2.0),
            "min" => self.gives(x.min_axis(axis), 0.0),
            "max" => self.gives(x.max_axis(axis), 0.0),
            "nansum" => self.gives(x.nansum_axis(axis), 2.0),
            "nanprod" => self.gives(x.nanprod_axis(axis), 2.0),
            "nanmean" => self.gives(x.nanmean_axis(axis), 2.0),
            "nanmin" => self.gives(x.nanmin_axis(axis), 0.0),
            "nanmax" => self.gives(x.nanmax_axis(axis), 0.0),
            "std" => self.gives(x.std_axis(axis, ddof()), 2.0),
            "var" => self.gives(x.var_axis(axis, ddof()), 2.0),
            "nanstd" => self.gives(x.nanstd_axis(axis, ddof()), 2.0),
            "nanvar" => self.gives(x.nanvar_axis(axis, ddof()), 2.0),
            "argmin" => self.gives(x.argmin_axis(axis), 0.0),
            "argmax" => self.gives(x.argmax_axis(axis), 0.0),
            "nanargmin" => self.gives(x.nanargmin_axis(axis), 0.0),
            "nanargmax" => self.gives(x.nanargmax_axis(axis), 0.0),
            "any" => self.gives(x.any_axis(axis), 0.0),
            "all" => self.gives(x.all_axis(axis), 0.0),
            "count_nonzero" => self.gives(x.count_nonzero_axis(axis).cast::<i64>(), 0.0),
            "cumsum" => self.gives(x.cumsum(axis.0 as isize), 2.0),
            "cumprod" => self.gives(x.cumprod(axis.0 as isize), 2.0),
            "nancumsum" => self.gives(x.nancumsum(axis.0 as isize), 2.0),
            "nancumprod" => self.gives(x.nancumprod(axis.0 as isize), 2.0),
            _ => return false,
        }
        true
    }

    fn line<A: Told>(&self, at: usize) -> Array<A, Ix1> {
        self.given::<A>(at).into_dimensionality()
    }

    fn ranges(&self) -> bool {
        let right = || self.of["numbers"]["right"] == true;
        match self.name() {
            "digitize" => {
                let edges: Vec<f64> = Stated(&self.of["arrays"][1]).texts().into_iter().map(f64::told).collect();
                self.gives(self.given::<f64>(0).digitize(&edges, right()), 0.0);
            }
            "searchsorted" => self.gives(self.line::<f64>(0).searchsorted(&self.line::<f64>(1), right()), 0.0),
            "histogram" => self.gives(self.line::<f64>(0).histogram(self.number("bins") as usize, (0.0, 1.0)), 0.0),
            "bincount" => self.gives(self.line::<i64>(0).bincount(self.number("least") as usize), 0.0),
            "diff" if Stated(&self.of["arrays"][0]).of() == "bool" => self.gives(self.given::<bool>(0).diff(1, 1), 0.0),
            "diff" => self.gives(self.given::<i64>(0).diff(self.number("n") as usize, 1), 0.0),
            "gradient" => self.gives(self.line::<f64>(0).gradient(0.5, 0), 2.0),
            "average" => self.gives(self.given::<f64>(0).average_axis(&self.line::<f64>(1), Axis(1)), 2.0),
            "cast_u8" => self.gives(self.given::<i64>(0).cast::<u8>(), 0.0),
            "cast_i64" => self.gives(self.given::<f64>(0).cast::<i64>(), 0.0),
            "cast_bool" => self.gives(self.given::<f64>(0).cast::<bool>(), 0.0),
            "cov" | "corrcoef" => {
                if cfg!(feature = "linalg") {
                    self.related();
                }
            }
            "einsum" => {
                let letters = self.of["numbers"]["letters"].as_str().unwrap();
                let arrays: Vec<_> =
                    (0..self.of["arrays"].as_array().unwrap().len()).map(|at| self.given::<i64>(at)).collect();
                self.gives(array::einsum(letters, &arrays.iter().collect::<Vec<_>>()), 0.0);
            }
            "pad" => {
                let pad = match self.of["numbers"]["mode"].as_str().unwrap() {
                    "edge" => Pad::Edge,
                    "reflect" => Pad::Reflect,
                    "symmetric" => Pad::Symmetric,
                    _ => Pad::Wrap,
                };
                let widths = (self.number("before") as usize, self.number("behind") as usize);
                self.gives(self.given::<i64>(0).pad(&[widths], pad), 0.0);
            }
            _ => return false,
        }
        true
    }

    #[cfg(feature = "linalg")]
    fn related(&self) {
        let x: Array<f64, Ix2> = self.given::<f64>(0).into_dimensionality();
        match self.name() {
            "cov" => self.gives(x.cov(self.number("ddof") as f64), 4.0),
            _ => self.gives(x.corrcoef(), 4.0),
        }
    }

    #[cfg(not(feature = "linalg"))]
    fn related(&self) {}

    fn is_known(&self) -> bool {
        let of = |at: usize| Stated(&self.of["arrays"][at]).of().to_string();
        if self.ranges() {
            return true;
        }
        match (&of(0)[..], self.of["arrays"].get(1).map(|_| of(1)).as_deref()) {
            ("i64", Some("u64")) => self.unlike::<i64, u64>(),
            ("u64", Some("i64")) => self.unlike::<u64, i64>(),
            (_, None) if self.of["numbers"].get("axis").is_some() => match &of(0)[..] {
                "i8" => self.reduced::<i8>(),
                "u8" => self.reduced::<u8>(),
                "i64" => self.reduced::<i64>(),
                "bool" => self.reduced::<bool>(),
                "f64" => self.reduced::<f64>(),
                "c64" => self.complex(),
                _ => false,
            },
            ("i8", _) => self.whole::<i8>(),
            ("i64", _) => self.whole::<i64>(),
            ("u64", _) => self.whole::<u64>(),
            ("f32", _) => self.float::<f32>(),
            ("f64", _) => self.float::<f64>(),
            _ => false,
        }
    }

    fn complex(&self) -> bool {
        let (x, axis) = (self.given::<Complex<f64>>(0), self.axis());
        match self.name() {
            "sum" => self.gives(x.sum_axis(axis), 2.0),
            "mean" => self.gives(x.mean_axis(axis), 2.0),
            "std" => self.gives(x.std_axis(axis, 0.0), 4.0),
            "var" => self.gives(x.var_axis(axis, 0.0), 4.0),
            _ => return false,
        }
        true
    }

    /// Comparisons of two types.
    fn unlike<A: Told + Promote<B>, B: Told>(&self) -> bool {
        let (a, b) = (self.given::<A>(0), self.given::<B>(1));
        match self.name() {
            "eq" => self.gives(a.eq(&b), 0.0),
            "ne" => self.gives(a.ne(&b), 0.0),
            "lt" => self.gives(a.lt(&b), 0.0),
            "le" => self.gives(a.le(&b), 0.0),
            "gt" => self.gives(a.gt(&b), 0.0),
            "ge" => self.gives(a.ge(&b), 0.0),
            _ => return false,
        }
        true
    }
}

/// Small numbers of any type.
mod numbers {
    pub trait Small {
        fn small(of: u8) -> Self;
    }

    impl Small for f32 {
        fn small(of: u8) -> f32 {
            f32::from(of)
        }
    }

    impl Small for f64 {
        fn small(of: u8) -> f64 {
            f64::from(of)
        }
    }
}

fn stored() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/array_rules.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn rules_of_numpy() {
    let stored = stored();
    let cases = stored["cases"].as_array().unwrap();
    let wrong = RefCell::new(Vec::new());
    for of in cases {
        for cut in [-1, 2, 1] {
            let case = Case { of, cut, wrong: &wrong };
            assert!(case.is_known(), "nobody knows {} of {of}", case.name());
        }
    }
    let wrong = wrong.into_inner();
    assert!(wrong.is_empty(), "{} differ: {:#?}", wrong.len(), &wrong[..wrong.len().min(40)]);
    assert!(cases.len() > 200, "{}", cases.len());
}

/// The names of types that two others give, by the table in the file.
#[test]
fn types_mix_as_numpys() {
    let stored = stored();
    let short = |name: &str| match name.rsplit("::").next().unwrap() {
        "Complex<f32>" => "c32".to_string(),
        "Complex<f64>" => "c64".to_string(),
        other => other.to_string(),
    };
    let mut pairs = 0;
    macro_rules! row {
        ($row:expr, $a:ty: $($column:expr => $b:ty),+) => {$(
            let told = |table: &str| stored[table][$row][$column].as_str().unwrap().to_string();
            assert_eq!(short(type_name::<<$a as Promote<$b>>::Output>()), told("promotion"), "{} {}", $row, $column);
            assert_eq!(short(type_name::<<$a as Promote<$b>>::Quotient>()), told("quotients"), "{} {}", $row, $column);
            pairs += 1;
        )+};
    }
    macro_rules! table {
        ($($row:expr => $a:ty),+) => {$(
            row!($row, $a: 0 => bool, 1 => i8, 2 => i16, 3 => i32, 4 => i64, 5 => u8, 6 => u16, 7 => u32, 8 => u64, 9 => f32, 10 => f64,
                11 => Complex<f32>, 12 => Complex<f64>);
            assert_eq!(short(type_name::<<$a as Real>::Sum>()), stored["sums"][$row].as_str().unwrap());
            assert_eq!(short(type_name::<<$a as Real>::Float>()), stored["means"][$row].as_str().unwrap());
        )+};
    }
    table!(0 => bool, 1 => i8, 2 => i16, 3 => i32, 4 => i64, 5 => u8, 6 => u16, 7 => u32, 8 => u64, 9 => f32, 10 => f64,
        11 => Complex<f32>, 12 => Complex<f64>);
    assert_eq!(pairs, 169);
}
