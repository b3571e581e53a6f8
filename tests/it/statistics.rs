//! Tables of one row or one square: what all columns are reduced to, against plain loops, in every way they can be run.

use arrow::array::{Array, ArrayRef, AsArray as _};
use arrow::compute::cast;
use arrow::datatypes::{Float64Type, UInt64Type};
use chunkwise::dataframe::IntoArray as _;
use chunkwise::prelude::*;

use crate::support::{AMPLE, EVERYWHERE, noise};

const ROWS: usize = 3_000;

/// Memory that is about what it takes to begin.
const TINY: u64 = 400_000;

/// The columns by their names: far from zero, so that careless sums would lose all digits; with nulls in different rows; all alike.
fn columns() -> Vec<(&'static str, Vec<Option<f64>>)> {
    let of = |make: fn(u64) -> Option<f64>| (0..ROWS as u64).map(make).collect();
    vec![
        ("int", of(|at| (!noise(at).is_multiple_of(7)).then_some(1e9 + (noise(at ^ 77) % 1000) as f64))),
        (
            "float",
            of(|at| {
                (!noise(at).is_multiple_of(5))
                    .then_some(1e8 + (noise(at ^ 77) % 1000) as f64 / 8.0 + (noise(at) % 97) as f64)
            }),
        ),
        ("small", of(|at| Some((noise(at ^ 3) % 200) as f64))),
        ("alike", of(|at| (at % 3 > 0).then_some(2.5))),
        ("one", of(|at| (at == 1234).then_some(-7.0))),
        ("none", of(|_| None)),
    ]
}

fn table(dir: &std::path::Path) -> DataFrame {
    let mut all: Vec<(&str, ArrayRef)> =
        columns().into_iter().map(|(name, values)| (name, values.into_array())).collect();
    all[0].1 = cast(&all[0].1, &DataType::Int64).unwrap();
    all[2].1 = cast(&all[2].1, &DataType::UInt8).unwrap();
    all.insert(1, ("text", (0..ROWS).map(|at| format!("t{at}")).collect::<Vec<_>>().into_array()));
    all.push(("yes", (0..ROWS).map(|at| (at % 4 > 0).then_some(at == 17)).collect::<Vec<_>>().into_array()));
    all.push(("sure", (0..ROWS).map(|at| (at % 4 > 0).then_some(at < ROWS)).collect::<Vec<_>>().into_array()));
    let path = dir.join("rows");
    dataframe::from_columns(all).repartition(7).to_ipc(&path).write().unwrap();
    dataframe::read_ipc(path.to_str().unwrap()).open().unwrap()
}

/// What a table gives, which is the same to the bit however it is made.
#[track_caller]
fn everywhere(df: &DataFrame) -> Table {
    let mut known: Option<Table> = None;
    for flag in [true, false] {
        for on in EVERYWHERE {
            for limit in [AMPLE, TINY] {
                let (_, disk) = on.runtime(limit);
                let builder = on.set(Runtime::builder().memory_limit(limit)).spill_dir("/spill").disk(disk);
                let builder = ["pipeline", "limits", "predicates", "columns", "simplify", "merge"]
                    .iter()
                    .fold(builder, |builder, pass| builder.set(&format!("optimize.{pass}"), flag));
                let made = df.compute_on(&builder.build().unwrap()).unwrap();
                let bits = |table: &Table| format!("{:?}", table.batches());
                let known = known.get_or_insert_with(|| made.clone());
                assert_eq!(bits(known), bits(&made), "{flag} {on:?} {limit}");
            }
        }
    }
    known.unwrap()
}

/// A value of a row, as a float.
fn value(table: &Table, name: &str, row: usize) -> Option<f64> {
    let array = cast(&table.array(name).unwrap(), &DataType::Float64).unwrap();
    let array = array.as_primitive::<Float64Type>();
    array.is_valid(row).then(|| array.value(row))
}

fn near(found: Option<f64>, wanted: Option<f64>, what: &str) {
    let fits = match (found, wanted) {
        (Some(a), Some(b)) => a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= 1e-9 * b.abs().max(1.0),
        (a, b) => a == b,
    };
    assert!(fits, "{what}: {found:?} is not {wanted:?}");
}

/// Number, sums of squares of deviations, and of their products, of the rows in which both have a value.
fn moments(x: &[Option<f64>], y: &[Option<f64>]) -> (f64, f64, f64, f64) {
    let both: Vec<(f64, f64)> = x.iter().zip(y).filter_map(|(x, y)| Some(((*x)?, (*y)?))).collect();
    let n = both.len() as f64;
    // From a value near the means, so that the sums are small.
    let (a, b) = both.first().copied().unwrap_or_default();
    let mean = |of: fn(&(f64, f64)) -> f64, from: f64| both.iter().map(|pair| of(pair) - from).sum::<f64>() / n;
    let (mx, my) = (mean(|pair| pair.0, a), mean(|pair| pair.1, b));
    let sum = |of: &dyn Fn(f64, f64) -> f64| both.iter().map(|(x, y)| of(x - a - mx, y - b - my)).sum::<f64>();
    (n, sum(&|x, _| x * x), sum(&|_, y| y * y), sum(&|x, y| x * y))
}

#[test]
fn pairs_of_columns() {
    let dir = tempfile::tempdir().unwrap();
    let df = table(dir.path());
    let (corr, cov) = (everywhere(&df.corr()), everywhere(&df.cov()));
    let columns = columns();
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    for table in [&corr, &cov] {
        assert!(table.texts("column").unwrap().iter().map(Option::unwrap).eq(names.iter().copied()));
        assert_eq!((table.num_rows(), table.num_columns()), (6, 7));
    }
    for (row, (one, x)) in columns.iter().enumerate() {
        for (column, (other, y)) in columns.iter().enumerate() {
            let (n, xx, yy, xy) = moments(x, y);
            let what = format!("{one} and {other}");
            near(value(&cov, other, row), (n > 1.0).then(|| xy / (n - 1.0)), &what);
            near(value(&corr, other, row), (n > 1.0).then(|| xy / (xx * yy).sqrt()), &what);
            assert_eq!(value(&corr, other, row).map(f64::to_bits), value(&corr, one, column).map(f64::to_bits));
        }
    }
    assert_eq!((value(&corr, "int", 0), value(&corr, "float", 1)), (Some(1.0), Some(1.0)));
    // They are what the expressions give.
    let single = df.agg([chunkwise::prelude::corr(col("int"), col("float")).alias("c")]).compute().unwrap();
    near(value(&single, "c", 0), value(&corr, "float", 0), "single");
    assert!(value(&corr, "float", 0).unwrap() > 0.5);
    // The name of the rows is one that no column has, and the table is one as any other.
    let named = df.select(["small", "int"]).rename([("small", "column")]).corr();
    assert_eq!(named.columns().unwrap(), ["column_", "column", "int"]);
    assert_eq!(
        named.filter(col("column_").eq("int")).select(["int"]).compute().unwrap().to_string(),
        "int\n---\n1.0\n"
    );
    let none = df.filter(lit(false)).corr().compute().unwrap();
    assert!(none.num_rows() == 6 && (0..6).all(|row| value(&none, "int", row).is_none()));
    for (wrong, text) in [
        (df.select(["text"]).corr(), "there are no columns of numbers"),
        (df.select(["text"]).describe(), "there are no columns of numbers"),
        (df.select(["text"]).sum(), "there are no columns of numbers"),
        (df.select(["text"]).any(), "there are no columns of true and false"),
        (df.select(["text"]).all(), "there are no columns of true and false"),
        (df.select(["text"]).idxmin(), "there are no columns of numbers, dates or times"),
        (
            df.select((0..600).map(|at| col("int").alias(&format!("c{at}")))).cov(),
            "`cov` pairs 512 columns at most, and 600 are numbers",
        ),
    ] {
        let error = wrong.compute().unwrap_err();
        assert!(error.kind() == ErrorKind::Plan && error.message().starts_with(text), "{error}");
    }
}

#[test]
fn every_column_as_one_value() {
    let dir = tempfile::tempdir().unwrap();
    let df = table(dir.path());
    let small = df.filter(col("int").lt(1_000_000_003)).select(["text", "int", "float", "small", "one", "none"]);
    let (sem, skew, kurtosis) = (everywhere(&df.sem()), everywhere(&df.skew()), everywhere(&df.kurtosis()));
    for (name, x) in columns() {
        let (n, xx, ..) = moments(&x, &x);
        let all: Vec<f64> = x.iter().copied().flatten().collect();
        let from = all.first().copied().unwrap_or(0.0);
        let mean = all.iter().map(|x| x - from).sum::<f64>() / n;
        let power = |k: i32| all.iter().map(|x| (x - from - mean).powi(k)).sum::<f64>() / n;
        near(value(&sem, name, 0), (n > 1.0).then(|| (xx / (n - 1.0) / n).sqrt()), name);
        near(value(&skew, name, 0), (n > 0.0).then(|| power(3) / power(2).powf(1.5)), name);
        near(value(&kurtosis, name, 0), (n > 0.0).then(|| power(4) / power(2).powi(2) - 3.0), name);
    }
    let rows: Vec<usize> = (0..ROWS).filter(|at| columns()[0].1[*at].is_some_and(|x| x < 1_000_000_003.0)).collect();
    let product = everywhere(&small.select(["text", "small", "one", "none"]).product());
    let wanted = |column: usize| rows.iter().filter_map(|at| columns()[column].1[*at]).product::<f64>();
    near(value(&product, "small", 0), Some(wanted(2)), "product");
    assert_eq!((value(&product, "none", 0), product.num_columns()), (Some(1.0), 3));
    let too_large = df.select(["int"]).product().compute().unwrap_err();
    assert!(too_large.kind() == ErrorKind::Data && too_large.message().contains("overflows"), "{too_large}");
    assert_eq!(everywhere(&df.any()).to_string(), "yes   sure\n----  ----\ntrue  true\n");
    assert_eq!(everywhere(&df.all()).to_string(), "yes    sure\n-----  ----\nfalse  true\n");
}

#[test]
fn rows_of_the_least_and_of_the_greatest() {
    let dir = tempfile::tempdir().unwrap();
    let df = table(dir.path());
    let (least, most) = (everywhere(&df.idxmin()), everywhere(&df.idxmax()));
    for (name, values) in columns() {
        let there = || values.iter().enumerate().filter_map(|(at, value)| Some((at as u64, (*value)?)));
        // The first of several.
        let first = |better: fn(f64, f64) -> bool| {
            there().fold(None, |best: Option<(u64, f64)>, next| match best {
                Some(best) if !better(next.1, best.1) => Some(best),
                _ => Some(next),
            })
        };
        let found = |table: &Table| {
            let array = table.array(name).unwrap();
            let array = array.as_primitive::<UInt64Type>();
            array.is_valid(0).then(|| array.value(0))
        };
        assert_eq!(found(&least), first(|a, b| a < b).map(|(at, _)| at), "{name}");
        assert_eq!(found(&most), first(|a, b| a > b).map(|(at, _)| at), "{name}");
    }
    assert_eq!(least.schema().fields().len(), 6);
    // Of rows that are left and of what is computed, by their new numbers.
    let kept = df.filter(col("small").ge(100));
    let turned = kept.col("small").cast(DataType::Int64) * -1i64;
    let rows: Vec<f64> = columns()[2].1.iter().flatten().copied().filter(|small| *small >= 100.0).collect();
    let wanted = |of: f64| rows.iter().position(|small| *small == of).unwrap() as u64;
    let (first, last) = compute((turned.idxmax().as_::<u64>(), turned.idxmin().as_::<u64>())).unwrap();
    let ends = rows.iter().fold((f64::MAX, f64::MIN), |(a, b), small| (a.min(*small), b.max(*small)));
    assert_eq!((first, last), (wanted(ends.0), wanted(ends.1)));
    let error = df.group_by(["small"]).unordered().agg([col("int").sum()]).idxmin().compute().unwrap_err();
    assert!(error.message().contains("goes by the order of rows"), "{error}");
}

/// A column that is told exactly: integers, to which a large one is added, in units of a power of two.
struct Exact {
    name: &'static str,
    values: Vec<Option<i128>>,
    base: i128,
    unit: f64,
}

const EXACT_ROWS: u64 = 20_000;

/// Far from zero, so that a mean that is rounded to a float is wrong by much of what is asked.
fn exact_columns() -> Vec<Exact> {
    let of = |name, base, unit, value: fn(u64) -> Option<i128>| Exact {
        name,
        values: (0..EXACT_ROWS).map(value).collect(),
        base,
        unit,
    };
    let dyadic = 1.0 / (1u64 << 20) as f64;
    vec![
        of("times", 1_700_000_000 << 20, dyadic, |at| Some((noise(at) % 1000) as i128)),
        of("parity", 1_000_000_000_000_000, 1.0, |at| Some((at % 2) as i128)),
        of("parts", 1_000_000_000 << 14, 1.0 / (1u64 << 14) as f64, |at| Some((noise(at ^ 5) % (1 << 14)) as i128)),
        of("outlier", 1_000_000_000_000, 1.0, |at| Some(if at == 0 { 1 << 17 } else { (noise(at ^ 9) % 64) as i128 })),
        of("gaps", 1 << 50, 1.0, |at| (!noise(at ^ 3).is_multiple_of(7)).then_some((noise(at ^ 8) % 500) as i128)),
        of("odd", 7 << 40, 0.5, |at| (at % 2 > 0).then_some((noise(at ^ 4) % 100) as i128)),
        of("clusters", 0, 1.0, |at| Some((at % 2 * 10_000 + noise(at ^ 6) % 16) as i128)),
        of("nanoseconds", 1_700_000_000_000_000_000, 1.0, |at| Some(at as i128 * 1000)),
    ]
}

fn exact_table(columns: &[Exact]) -> Table {
    let mut all: Vec<(&str, ArrayRef)> = Vec::new();
    for Exact { name, values, base, unit } in columns {
        // The last one is of integers: as floats its numbers would not be exact.
        let whole = |value: i128| (base + value) as i64;
        all.push(match *name {
            "nanoseconds" => (name, values.iter().map(|value| value.map(whole)).collect::<Vec<_>>().into_array()),
            _ => {
                let floats = values.iter().map(|value| value.map(|value| (base + value) as f64 * unit));
                (name, floats.collect::<Vec<_>>().into_array())
            }
        });
    }
    all.push(("few", (0..EXACT_ROWS).map(|at| (at % 3) as i64).collect::<Vec<_>>().into_array()));
    // In a partition there are few rows of each, and in most batches one or two.
    all.push(("many", (0..EXACT_ROWS).map(|at| (noise(at ^ 21) % 700) as i64).collect::<Vec<_>>().into_array()));
    dataframe::from_columns(all).compute().unwrap()
}

/// Variance, skewness and excess kurtosis by exact sums.
fn exact_moments(values: impl Iterator<Item = i128> + Clone, unit: f64) -> (f64, f64, f64) {
    let n = values.clone().count() as i128;
    let sum = |power: u32| values.clone().map(|value| value.pow(power)).sum::<i128>();
    let (s1, s2, s3, s4) = (sum(1), sum(2), sum(3), sum(4));
    let m2 = (n * s2 - s1 * s1) as f64;
    let m3 = (n * n * s3 - 3 * n * s1 * s2 + 2 * s1 * s1 * s1) as f64;
    let m4 = (n * n * n * s4 - 4 * n * n * s1 * s3 + 6 * n * s1 * s1 * s2 - 3 * s1 * s1 * s1 * s1) as f64;
    (m2 * unit * unit / (n * (n - 1)) as f64, m3 / m2.powf(1.5), m4 / (m2 * m2) - 3.0)
}

#[track_caller]
fn within(found: Option<f64>, wanted: f64, scale: f64, what: &str) {
    let found = found.unwrap_or_else(|| panic!("{what}: nothing"));
    let apart = (found - wanted).abs();
    assert!(apart <= 1e-12 * scale.abs() || found.is_nan() && wanted.is_nan(), "{what}: {found} is not {wanted}");
}

#[test]
fn moments_far_from_zero() {
    let columns = exact_columns();
    let table = exact_table(&columns);
    let mut outputs = Vec::new();
    for Exact { name, .. } in &columns {
        let of = |expr: Expr, what: &str| expr.alias(&format!("{name}_{what}"));
        outputs.extend([
            of(col(name).var(), "var"),
            of(col(name).std(), "std"),
            of(col(name).skew(), "skew"),
            of(col(name).kurtosis(), "kurtosis"),
        ]);
    }
    for key in [None, Some("few"), Some("many")] {
        // Groups come in the order of their keys.
        let group = |at: u64| match key {
            None => 0,
            Some("few") => at % 3,
            Some(_) => noise(at ^ 21) % 700,
        };
        let groups = if key.is_some() { (0..EXACT_ROWS).map(group).max().unwrap() as usize + 1 } else { 1 };
        let wanted: Vec<Vec<(f64, f64, f64)>> = columns
            .iter()
            .map(|Exact { name, values, unit, .. }| {
                // Small numbers have fourth powers whose sums fit.
                let step = if *name == "nanoseconds" { 1000 } else { 1 };
                let mut rows = vec![Vec::new(); groups];
                for (at, value) in (0..).zip(values) {
                    rows[group(at) as usize].extend(value.map(|value| value / step));
                }
                let moments = |rows: &Vec<i128>| {
                    let least = rows.iter().min().copied().unwrap_or(0);
                    exact_moments(rows.iter().map(|value| value - least), unit * step as f64)
                };
                rows.iter().map(moments).collect()
            })
            .collect();
        for parts in [1, 2, 5, 20] {
            let df = table.to_dataframe(parts);
            let found = match key {
                Some(key) => df.group_by([key]).agg(outputs.clone()),
                None => df.agg(outputs.clone()),
            };
            let found = found.compute().unwrap();
            assert_eq!(found.num_rows(), groups);
            for (Exact { name, .. }, wanted) in columns.iter().zip(&wanted) {
                let all =
                    ["var", "std", "skew", "kurtosis"].map(|what| found.array(&format!("{name}_{what}")).unwrap());
                for (group, (var, skew, kurtosis)) in wanted.iter().copied().enumerate() {
                    let what = format!("{name} in {parts} parts, group {group} of {key:?}");
                    let get = |at: usize| Some(all[at].as_primitive::<Float64Type>().value(group));
                    within(get(0), var, var, &what);
                    within(get(1), var.sqrt(), var.sqrt(), &what);
                    within(get(2), skew, 1.0 + skew.abs(), &what);
                    within(get(3), kurtosis, 3.0 + kurtosis.abs(), &what);
                }
            }
        }
    }
}

#[test]
fn pairs_far_from_zero() {
    let columns = exact_columns();
    let table = exact_table(&columns);
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    for parts in [1, 2, 5, 20] {
        let df = table.to_dataframe(parts);
        let numbers = df.select(names.clone());
        let (corrs, covs) = (numbers.corr().compute().unwrap(), numbers.cov().compute().unwrap());
        for (row, x) in columns.iter().enumerate() {
            let singles = columns.iter().flat_map(|y| {
                let both = [chunkwise::prelude::corr(col(x.name), col(y.name)), cov(col(x.name), col(y.name))];
                let [corr, cov] = both;
                [corr.alias(&format!("{}_corr", y.name)), cov.alias(&format!("{}_cov", y.name))]
            });
            let single = df.agg(singles.collect::<Vec<_>>()).compute().unwrap();
            for y in &columns {
                let both = x.values.iter().zip(&y.values).filter_map(|(x, y)| Some(((*x)?, (*y)?)));
                let both: Vec<(i128, i128)> = both.collect();
                let n = both.len() as i128;
                let sum = |of: fn(&(i128, i128)) -> i128| both.iter().map(of).sum::<i128>();
                let (sx, sy) = (sum(|pair| pair.0), sum(|pair| pair.1));
                let xx = (n * sum(|pair| pair.0 * pair.0) - sx * sx) as f64;
                let yy = (n * sum(|pair| pair.1 * pair.1) - sy * sy) as f64;
                let xy = (n * sum(|pair| pair.0 * pair.1) - sx * sy) as f64;
                let scale = x.unit * y.unit / (n * (n - 1)) as f64;
                let what = format!("{} and {} in {parts} parts", x.name, y.name);
                for (corr, cov) in [
                    (value(&corrs, y.name, row), value(&covs, y.name, row)),
                    (value(&single, &format!("{}_corr", y.name), 0), value(&single, &format!("{}_cov", y.name), 0)),
                ] {
                    within(cov, xy * scale, (xx * yy).sqrt() * scale, &what);
                    within(corr, xy / (xx * yy).sqrt(), 1.0, &what);
                }
            }
        }
    }
}

/// Rows in which one of two has no value do not count, whatever the other has there.
#[test]
fn pairs_of_columns_with_nan_and_with_values_that_are_too_large() {
    let of = |value: fn(u64) -> Option<f64>| (0..2_000).map(value).collect::<Vec<_>>().into_array();
    let df = dataframe::from_columns([
        ("plain", of(|at| Some((noise(at) % 100) as f64))),
        ("gaps", of(|at| (at % 3 > 0).then_some((noise(at ^ 1) % 100) as f64))),
        ("nan", of(|at| Some(if at == 3 { f64::NAN } else { (noise(at ^ 2) % 100) as f64 }))),
        ("large", of(|at| Some(if at == 6 { f64::INFINITY } else { (noise(at ^ 2) % 100) as f64 }))),
        ("alike", of(|at| (at % 5 > 0).then_some(0.1))),
    ]);
    for parts in [1, 7] {
        let df = df.compute().unwrap().to_dataframe(parts);
        let corr = df.corr().compute().unwrap();
        let found = |name: &str, row: usize| value(&corr, name, row).unwrap();
        assert!(found("nan", 0).is_nan() && found("large", 0).is_nan() && found("alike", 1).is_nan());
        // The rows of NaN and of infinity are not among those of the column with gaps.
        assert!(found("nan", 1).is_finite() && found("large", 1).is_finite());
        near(Some(found("nan", 1)), Some(found("large", 1)), "both");
    }
}

#[test]
fn many_pairs_take_the_memory_that_is_told() {
    let column = |column: u64| (0..40u64).map(|row| (noise(column << 8 | row) % 1000) as f64).collect::<Vec<_>>();
    let names: Vec<String> = (0..512).map(|at| format!("c{at}")).collect();
    let df = dataframe::from_columns(names.iter().zip(0..).map(|(name, at)| (name.as_str(), column(at).into_array())));
    let corr = df.corr().compute().unwrap();
    for (one, other) in [(0, 511), (200, 17), (511, 510)] {
        let single = df.agg([chunkwise::prelude::corr(col(&names[one]), col(&names[other])).alias("c")]).compute();
        near(value(&corr, &names[other], one), value(&single.unwrap(), "c", 0), "single");
    }
    let (runtime, _) = crate::support::On::Threads(1).runtime(10 << 20);
    let refused = df.corr().compute_on(&runtime).unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::LimitTooSmall | ErrorKind::OutOfMemory), "{refused}");
}

#[test]
fn descriptions_are_what_the_verbs_give() {
    let columns = exact_columns();
    let exact = exact_table(&columns);
    let ids = (0..1000).map(|at| (1i64 << 60) + at).collect::<Vec<_>>().into_array();
    let three = |a: i64, b: i64, c: i64| vec![a, b, c].into_array();
    let large = 10i64.pow(18);
    let odd = dataframe::from_columns([
        ("near", three(large + 1, large + 2, large + 3)),
        ("ends", three(i64::MAX, i64::MIN, 0)),
        ("cancels", three(10i64.pow(16), 1, -10i64.pow(16))),
        ("zeros", vec![0.0, -0.0, -0.0].into_array()),
        ("others", vec![-0.0, 0.0, -0.0].into_array()),
        ("nan", vec![f64::NAN, 1.0, f64::NAN].into_array()),
        ("none", vec![None::<f64>, None, None].into_array()),
        ("decimal", cast(&vec![Some(1.25), None, Some(2.5)].into_array(), &DataType::Decimal128(10, 2)).unwrap()),
        ("wide", cast(&vec![1.25, 3.0, 2.5].into_array(), &DataType::Decimal256(40, 2)).unwrap()),
    ]);
    let odd = odd.compute().unwrap();
    let ids = dataframe::from_columns([("ids", ids)]).compute().unwrap();
    for table in [&exact, &odd, &ids] {
        for parts in [1, 2, 5, 20] {
            let df = table.to_dataframe(parts).drop(table.schema().index_of("wide").map(|_| "wide"));
            let found = df.describe().compute().unwrap();
            let told = found.texts("statistic").unwrap();
            assert!(told.iter().map(Option::unwrap).eq(["count", "mean", "std", "min", "max"]));
            let verbs = [df.count(), df.mean(), df.std(), df.min(), df.max()];
            for (row, verb) in verbs.iter().enumerate() {
                let wanted = verb.compute().unwrap();
                for name in &df.columns().unwrap() {
                    let (found, wanted) = (value(&found, name, row), value(&wanted, name, 0));
                    let what = format!("{name} in {parts} parts, row {row}: {found:?} is not {wanted:?}");
                    assert_eq!(found.map(f64::to_bits), wanted.map(f64::to_bits), "{what}");
                }
            }
        }
    }
    let found = odd.to_dataframe(2).describe().compute().unwrap();
    let get = |name: &str, row: usize| value(&found, name, row).unwrap();
    assert_eq!((get("near", 2), get("ends", 1), get("cancels", 1)), (1.0, -1.0 / 3.0, 1.0 / 3.0));
    assert!(get("zeros", 3).is_sign_negative() && get("others", 4).is_sign_positive());
    assert_eq!((get("wide", 1), get("wide", 0)), (2.25, 3.0));
    let found = ids.to_dataframe(5).describe().compute().unwrap();
    within(value(&found, "ids", 2), (1000.0f64 * 1001.0 / 12.0).sqrt(), 289.0, "ids");
    // The plan says what it does, in the same words each time.
    let df = odd.to_dataframe(2).select(["near"]);
    let explained = || df.describe().explain().unwrap().to_string();
    let shown = explained();
    assert!(shown.contains("summary(near)") && !shown.contains('#'), "{shown}");
    assert_eq!(shown, explained());
}
