//! Verbs of the naive engine: random ones, what they make of rows, and how the library is told.

use std::cmp::Ordering;

use chunkwise::dataframe::Keep;
use chunkwise::prelude::*;

use super::Pick;
use super::expr::{self, E, Overflow};
use super::merge::Merge;
use super::value::{Column, Rows, T, V, order};

#[derive(Clone, Debug)]
pub enum Verb {
    Filter(E),
    /// All rows in which a column is more than its mean, or less than its maximum.
    FilterByAggregate(String, bool),
    Select(Vec<(String, E)>),
    With(Vec<(String, E)>),
    /// A column without its least value, behind the others.
    Shift(String, String),
    Group {
        keys: Vec<(String, E)>,
        keep_nulls: bool,
        aggregates: Vec<(String, A)>,
    },
    Agg(Vec<(String, A)>),
    Unique(Vec<String>),
    ValueCounts(String, bool),
    Head(usize),
    Tail(usize),
    Top {
        largest: bool,
        len: usize,
        by: Vec<String>,
    },
    /// With some of its own rows behind it.
    Concat(E),
    DropNulls(Vec<String>),
    Drop(String),
    Rename(String, String),
    /// With some of its own rows and columns.
    Merge(Merge),
    /// Cut anew: rows stay as they are.
    Repartition(usize),
    /// Nulls of columns from the rows behind, or before.
    Fill(Vec<String>, Option<u64>, bool),
    /// Rows that are there once by some columns.
    Single(Vec<String>, Keep),
}

/// An aggregate, of the rows for which a condition is true.
#[derive(Clone, Debug)]
pub struct A {
    function: &'static str,
    of: E,
    second: Option<E>,
    condition: Option<E>,
}

impl A {
    fn expr(&self) -> Expr {
        let of = self.of.expr();
        let made = match self.function {
            "count" => of.count(),
            "size" => size(),
            "sum" => of.sum(),
            "product" => of.product(),
            "mean" => of.mean(),
            "min" => of.min(),
            "max" => of.max(),
            "std" => of.std(),
            "var" => of.var(),
            "first" => of.first(),
            "last" => of.last(),
            "nunique" => of.nunique(),
            "any" => of.any(),
            "all" => of.all(),
            "list" => of.collect_list(),
            "top_k" => of.top_k(2),
            "bottom_k" => of.bottom_k(3),
            "sum_min" => of.sum_min_count(2),
            "cov" => cov(of, self.second.as_ref().expect("two operands").expr()),
            _ => corr(of, self.second.as_ref().expect("two operands").expr()),
        };
        match &self.condition {
            Some(condition) => made.filter_by(condition.expr()),
            None => made,
        }
    }

    /// Its value over some rows; and for floats how large the numbers were.
    fn value(&self, columns: &[Column], rows: &[&Vec<V>], of: T) -> Result<(V, f64), Overflow> {
        let (mut all, mut values) = (Vec::new(), Vec::new());
        let mut pairs = Vec::new();
        let mut size = 0;
        for row in rows {
            if let Some(condition) = &self.condition
                && condition.eval(columns, row)? != V::Bool(true)
            {
                continue;
            }
            size += 1;
            let value = self.of.eval(columns, row)?;
            if let Some(second) = &self.second {
                pairs.push((value.clone(), second.eval(columns, row)?));
            }
            all.push(value.clone());
            if value != V::Null {
                values.push(value);
            }
        }
        let numbers = || values.iter().map(number).collect::<Vec<f64>>();
        let magnitude: f64 = match values.first() {
            Some(V::Int(_) | V::Float(_) | V::Bool(_)) => numbers().iter().map(|x| x.abs()).sum(),
            _ => 0.0,
        };
        let mut area = 0.0;
        let int = |value: i128| of.fit(value).ok_or(Overflow);
        let whole = |value: &V| match value {
            V::Int(value) => *value,
            V::Bool(value) => i128::from(*value),
            other => panic!("{other:?} is no integer"),
        };
        let value = match self.function {
            "count" => V::Int(values.len() as i128),
            "size" => V::Int(size),
            "sum_min" if values.len() < 2 => V::Null,
            "sum" | "sum_min" if of.is_int() => int(values.iter().map(whole).sum())?,
            "sum" | "sum_min" => V::Float(numbers().iter().sum::<f64>() + 0.0),
            "product" => int(values.iter().map(whole).product())?,
            "mean" if values.is_empty() => V::Null,
            // Integers are added exactly.
            "mean" if !matches!(values[0], V::Float(_)) => {
                V::Float(values.iter().map(whole).sum::<i128>() as f64 / values.len() as f64)
            }
            "mean" => V::Float(numbers().iter().sum::<f64>() / values.len() as f64),
            "min" => extreme(&values, Ordering::Less),
            "max" => extreme(&values, Ordering::Greater),
            "std" | "var" if values.len() < 2 => V::Null,
            "std" | "var" => {
                let numbers = numbers();
                let n = numbers.len() as f64;
                let mean = numbers.iter().sum::<f64>() / n;
                let var = numbers.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0);
                V::Float(if self.function == "std" { var.sqrt() } else { var })
            }
            "first" => values.first().cloned().unwrap_or(V::Null),
            "last" => values.last().cloned().unwrap_or(V::Null),
            "nunique" => {
                values.sort_by(order);
                values.dedup_by(|a, b| order(a, b).is_eq());
                V::Int(values.len() as i128)
            }
            "any" => V::Bool(values.contains(&V::Bool(true))),
            "all" => V::Bool(!values.contains(&V::Bool(false))),
            "list" => V::List(all),
            "top_k" | "bottom_k" => {
                values.sort_by(order);
                if self.function == "top_k" {
                    values.reverse();
                }
                values.truncate(if self.function == "top_k" { 2 } else { 3 });
                V::List(values.clone())
            }
            _ => {
                let both = |(a, b): &(V, V)| (*a != V::Null && *b != V::Null).then(|| (number(a), number(b)));
                let pairs: Vec<(f64, f64)> = pairs.iter().filter_map(both).collect();
                let size = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(|pair| of(pair).abs()).sum::<f64>();
                area = size(|pair| pair.0) * size(|pair| pair.1);
                correlation(&pairs, self.function == "cov")
            }
        };
        let scale = match self.function {
            "var" => magnitude * magnitude,
            "std" | "sum" | "sum_min" | "mean" => magnitude,
            "cov" => area,
            _ => 1.0,
        };
        Ok((value, if scale.is_finite() { scale } else { 0.0 }))
    }

    /// Whether its operands overflow in any row.
    fn overflows(&self, input: &Rows) -> bool {
        let operands = [Some(&self.of), self.second.as_ref(), self.condition.as_ref()];
        let fails = |expr: &E| input.rows.iter().any(|row| expr.eval(&input.columns, row).is_err());
        operands.into_iter().flatten().any(fails)
    }

    /// The type of the result.
    fn of(&self) -> T {
        match self.function {
            "count" | "size" | "nunique" => T::Int(64, true),
            "sum" | "sum_min" | "product" => match self.of.of() {
                T::Int(_, signed) => T::Int(64, signed),
                T::Bool => T::Int(64, true),
                _ => T::F64,
            },
            "mean" | "std" | "var" | "corr" | "cov" => T::F64,
            "list" | "top_k" | "bottom_k" => self.of.of().list(),
            "any" | "all" => T::Bool,
            _ => self.of.of(),
        }
    }

    /// What is known of the result: whether its bits depend on the order of additions, or on the sign of zeros.
    fn column(&self, name: &str, input: &Rows, scale: f64) -> Column {
        let of = self.of();
        let floats = self.of.of().is_float();
        let exact = match self.function {
            "std" | "var" | "corr" | "cov" => false,
            "sum" | "sum_min" | "mean" => !floats || expr::dyadic(&self.of, input),
            "min" | "max" => !floats,
            _ => true,
        };
        let rough = (of.is_float() && !exact).then_some(scale);
        let dyadic = of.is_int() || matches!(self.function, "sum" | "first" | "last") && expr::dyadic(&self.of, input);
        Column { name: name.to_string(), of, rough, dyadic }
    }

    fn pick(pick: &mut Pick, columns: &[Column]) -> Option<A> {
        let functions = [
            "count", "size", "sum", "mean", "min", "max", "std", "var", "first", "last", "nunique", "any", "all",
            "corr", "sum", "mean", "product", "list", "top_k", "bottom_k", "sum_min", "cov",
        ];
        let function: &str = pick.one(&functions);
        let depth = pick.below(2) as u32;
        let exact = |column: &&Column| column.rough.is_none();
        let any = columns.iter().filter(exact).collect::<Vec<_>>();
        let any = any[pick.below(any.len())];
        let any = E::Col(any.name.clone(), any.of);
        let mut condition = if pick.chance(25) { expr::condition(pick, columns, 1) } else { None };
        let (mut of, mut second) = (any, None);
        match function {
            "sum" | "sum_min" | "mean" | "std" | "var" => of = expr::number(pick, columns, depth)?,
            "corr" | "cov" => {
                of = expr::number(pick, columns, 0)?;
                second = Some(expr::number(pick, columns, 0)?);
            }
            "any" | "all" => of = expr::condition(pick, columns, 0)?,
            "product" => {
                let name = columns.iter().find(|column| column.of == T::Int(8, true))?.name.clone();
                of = E::Col(name, T::Int(8, true));
                let bound = |value: i128| Box::new(E::Lit(V::Int(value), T::Int(8, true)));
                condition = Some(E::Between(Box::new(of.clone()), bound(-1), bound(1)));
            }
            _ => {}
        }
        Some(A { function, of, second, condition })
    }

    fn list(pick: &mut Pick, columns: &[Column]) -> Vec<(String, A)> {
        let made = (0..1 + pick.below(4)).filter_map(|_| A::pick(pick, columns));
        made.collect::<Vec<A>>().into_iter().enumerate().map(|(at, a)| (format!("a{at}_{}", a.function), a)).collect()
    }
}

fn number(value: &V) -> f64 {
    match value {
        V::Int(value) => *value as f64,
        V::Float(value) => *value,
        V::Bool(value) => f64::from(u8::from(*value)),
        other => panic!("{other:?} is no number"),
    }
}

/// NaN only where there is nothing else.
fn extreme(values: &[V], which: Ordering) -> V {
    let is_nan = |value: &&V| matches!(value, V::Float(value) if value.is_nan());
    let mut best: Option<&V> = None;
    for value in values.iter().filter(|value| !is_nan(value)) {
        if best.is_none_or(|best| order(value, best) == which) {
            best = Some(value);
        }
    }
    best.or(values.first()).cloned().unwrap_or(V::Null)
}

fn correlation(pairs: &[(f64, f64)], covariance: bool) -> V {
    if pairs.len() < 2 {
        return V::Null;
    }
    let n = pairs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / n;
    let (mx, my) = (mean(|pair| pair.0), mean(|pair| pair.1));
    let sum = |of: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>();
    let xy = sum(&|p| (p.0 - mx) * (p.1 - my));
    if covariance {
        return V::Float(xy / (n - 1.0));
    }
    let (xx, yy) = (sum(&|p| (p.0 - mx) * (p.0 - mx)), sum(&|p| (p.1 - my) * (p.1 - my)));
    V::Float(xy / (xx.sqrt() * yy.sqrt()))
}

impl Verb {
    /// One that fits the columns.
    pub fn pick(pick: &mut Pick, input: &Rows) -> Option<Verb> {
        let columns = &input.columns;
        let exact: Vec<&Column> = columns.iter().filter(|column| column.rough.is_none()).collect();
        if exact.is_empty() {
            return Some(Verb::Head(pick.below(5)));
        }
        let names = |pick: &mut Pick, most: usize| {
            let mut names: Vec<String> = Vec::new();
            for _ in 0..1 + pick.below(most) {
                let name = exact[pick.below(exact.len())].name.clone();
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            names
        };
        let dyadic = |pick: &mut Pick| {
            let meant: Vec<&&Column> = exact.iter().filter(|column| column.of.is_number() && column.dyadic).collect();
            (!meant.is_empty()).then(|| meant[pick.below(meant.len())].name.clone())
        };
        let any = |pick: &mut Pick, depth| match pick.below(4) {
            0 => expr::condition(pick, columns, depth),
            1 => expr::text_of(pick, columns, depth),
            _ => expr::number(pick, columns, depth),
        };
        Some(match pick.below(26) {
            20 | 21 => {
                let (keys, others) = (names(pick, 2), names(pick, 2));
                Verb::Merge(Merge::pick(pick, input, keys, others)?)
            }
            22 => Verb::Repartition(1 + pick.below(9)),
            23 | 24 => {
                let limit = if pick.chance(50) { Some(pick.below(4) as u64) } else { None };
                Verb::Fill(names(pick, 2), limit, pick.chance(50))
            }
            25 => Verb::Single(names(pick, 2), pick.one(&[Keep::First, Keep::Last, Keep::None])),
            0..=3 => Verb::Filter(expr::condition(pick, columns, 2)?),
            4 => Verb::FilterByAggregate(dyadic(pick)?, pick.chance(50)),
            5 | 6 => {
                let mut made: Vec<(String, E)> = Vec::new();
                for at in 0..1 + pick.below(3) {
                    let name =
                        if pick.chance(40) { exact[pick.below(exact.len())].name.clone() } else { format!("n{at}") };
                    if let Some(expr) = any(pick, 2)
                        && made.iter().all(|(other, _)| *other != name)
                    {
                        made.push((name, expr));
                    }
                }
                Verb::With(made)
            }
            7 | 8 => {
                let kept = names(pick, 5).into_iter().map(|name| {
                    let of = columns[input.place(&name)].of;
                    (name.clone(), E::Col(name, of))
                });
                let mut made: Vec<(String, E)> = kept.collect();
                if let Some(expr) = any(pick, 2) {
                    made.push(("s".to_string(), expr));
                }
                made.dedup_by(|a, b| a.0 == b.0);
                if made.iter().filter(|(name, _)| name == "s").count() > 1 {
                    made.pop();
                }
                Verb::Select(made)
            }
            9 => Verb::Shift(dyadic(pick)?, "shifted".to_string()),
            10..=12 => {
                let mut keys: Vec<(String, E)> = Vec::new();
                for name in names(pick, 3) {
                    let of = columns[input.place(&name)].of;
                    keys.push((format!("k_{name}"), E::Col(name, of)));
                }
                if pick.chance(25)
                    && let Some(key) = any(pick, 1)
                {
                    keys.push(("k".to_string(), key));
                }
                Verb::Group { keys, keep_nulls: pick.chance(50), aggregates: A::list(pick, columns) }
            }
            13 => Verb::Agg(Some(A::list(pick, columns)).filter(|list| !list.is_empty())?),
            14 => match pick.below(3) {
                0 => Verb::Unique(if pick.chance(30) && exact.len() == columns.len() {
                    Vec::new()
                } else {
                    names(pick, 3)
                }),
                _ => {
                    let name = names(pick, 1).pop()?;
                    if name == "count" { Verb::Head(7) } else { Verb::ValueCounts(name, pick.chance(50)) }
                }
            },
            15 => Verb::Head(pick.size()),
            16 => Verb::Tail(pick.size()),
            17 => Verb::Top { largest: pick.chance(50), len: pick.size(), by: names(pick, 2) },
            18 => Verb::Concat(expr::condition(pick, columns, 1)?),
            _ => match pick.below(3) {
                0 if columns.len() > 1 => Verb::Drop(columns[pick.below(columns.len())].name.clone()),
                1 if columns.iter().all(|column| column.name != "renamed") => {
                    Verb::Rename(columns[pick.below(columns.len())].name.clone(), "renamed".to_string())
                }
                _ => Verb::DropNulls(names(pick, 2)),
            },
        })
    }

    /// As the library is told.
    pub fn tell(&self, df: &DataFrame) -> DataFrame {
        let named = |list: &[(String, E)]| list.iter().map(|(name, expr)| expr.expr().alias(name)).collect::<Vec<_>>();
        let aggregates = |list: &[(String, A)]| list.iter().map(|(name, a)| a.expr().alias(name)).collect::<Vec<_>>();
        match self {
            Verb::Filter(condition) => df.filter(condition.expr()),
            Verb::FilterByAggregate(name, true) => df.filter(col(name).gt(col(name).mean())),
            Verb::FilterByAggregate(name, false) => df.filter(col(name).lt(col(name).max())),
            Verb::Select(list) => df.select(named(list)),
            Verb::With(list) => df.with_columns(named(list)),
            Verb::Shift(from, to) => df.with_column((col(from).cast(DataType::Float64) - col(from).mean()).alias(to)),
            Verb::Group { keys, keep_nulls, aggregates: list } => {
                let groups = df.group_by(named(keys));
                if *keep_nulls { groups.keep_nulls().agg(aggregates(list)) } else { groups.agg(aggregates(list)) }
            }
            Verb::Agg(list) => df.agg(aggregates(list)),
            Verb::Unique(names) => df.unique(names),
            Verb::ValueCounts(name, true) => df.value_counts_with_null(name),
            Verb::ValueCounts(name, false) => df.value_counts(name),
            Verb::Head(len) => df.head(*len),
            Verb::Tail(len) => df.tail(*len),
            Verb::Top { largest: true, len, by } => df.nlargest(*len, by),
            Verb::Top { largest: false, len, by } => df.nsmallest(*len, by),
            Verb::Concat(condition) => dataframe::concat([df, &df.filter(condition.expr())]),
            Verb::DropNulls(names) => df.drop_nulls(names),
            Verb::Drop(name) => df.drop([name]),
            Verb::Rename(from, to) => df.rename([(from, to)]),
            Verb::Merge(merge) => merge.tell(df),
            Verb::Repartition(count) => df.repartition(*count),
            Verb::Fill(names, limit, true) => df.bfill(names, *limit),
            Verb::Fill(names, limit, false) => df.ffill(names, *limit),
            Verb::Single(names, keep) => df.drop_duplicates(names, *keep),
        }
    }

    /// Whether it reads only some of the rows, so that what is wrong in others is not seen.
    pub fn is_partial(&self) -> bool {
        matches!(self, Verb::Head(_) | Verb::Tail(_))
    }

    /// What it makes of rows.
    pub fn run(&self, input: &Rows) -> Result<Rows, Overflow> {
        let columns = &input.columns;
        let of_each = |list: &[(String, E)]| -> Result<Rows, Overflow> {
            let made = list.iter().map(|(name, expr)| match expr {
                E::Col(from, _) => Column { name: name.clone(), ..columns[input.place(from)].clone() },
                _ => Column {
                    name: name.clone(),
                    of: expr.of(),
                    rough: None,
                    dyadic: expr::dyadic(expr, input) || expr.of().is_int(),
                },
            });
            let row = |row: &Vec<V>| list.iter().map(|(_, expr)| expr.eval(columns, row)).collect();
            let rows = input.rows.iter().map(row).collect::<Result<_, _>>()?;
            Ok(Rows { columns: made.collect(), rows, shaky: input.shaky })
        };
        let keep = |rows: Vec<Vec<V>>| Rows { columns: columns.clone(), rows, shaky: input.shaky };
        Ok(match self {
            Verb::Filter(condition) => {
                let mut rows = Vec::new();
                for row in &input.rows {
                    if condition.eval(columns, row)? == V::Bool(true) {
                        rows.push(row.clone());
                    }
                }
                keep(rows)
            }
            Verb::FilterByAggregate(name, by_mean) => {
                let (at, of) = (input.place(name), columns[input.place(name)].of);
                let function = if *by_mean { "mean" } else { "max" };
                let bound = A { function, of: E::Col(name.clone(), of), second: None, condition: None };
                let bound = bound.value(columns, &input.rows.iter().collect::<Vec<_>>(), of)?.0;
                let is_kept = |row: &&Vec<V>| match (&row[at], &bound) {
                    (V::Null, _) | (_, V::Null) => false,
                    (value, bound) if *by_mean => number(value) > number(bound),
                    (V::Int(value), V::Int(bound)) => value < bound,
                    (value, bound) => number(value) < number(bound),
                };
                keep(input.rows.iter().filter(is_kept).cloned().collect())
            }
            Verb::Select(list) => of_each(list)?,
            Verb::With(list) => {
                let old = columns.iter().map(|column| {
                    let new = list.iter().find(|(name, _)| *name == column.name);
                    new.cloned().unwrap_or_else(|| (column.name.clone(), E::Col(column.name.clone(), column.of)))
                });
                let mut all: Vec<(String, E)> = old.collect();
                all.extend(list.iter().filter(|(name, _)| columns.iter().all(|column| column.name != *name)).cloned());
                of_each(&all)?
            }
            Verb::Shift(from, to) => {
                let (at, of) = (input.place(from), columns[input.place(from)].of);
                let mean = A { function: "mean", of: E::Col(from.clone(), of), second: None, condition: None };
                let mean = mean.value(columns, &input.rows.iter().collect::<Vec<_>>(), of)?.0;
                let mut out = input.clone();
                let made = Column { name: to.clone(), of: T::F64, rough: None, dyadic: false };
                let old = columns.iter().position(|column| column.name == *to);
                for row in &mut out.rows {
                    let value = match (&row[at], &mean) {
                        (V::Null, _) | (_, V::Null) => V::Null,
                        (value, mean) => V::Float(number(value) - number(mean)),
                    };
                    match old {
                        Some(old) => row[old] = value,
                        None => row.push(value),
                    }
                }
                match old {
                    Some(old) => out.columns[old] = made,
                    None => out.columns.push(made),
                }
                out
            }
            Verb::Group { keys, keep_nulls, aggregates } => group(input, keys, *keep_nulls, aggregates)?,
            Verb::Agg(aggregates) => {
                let all: Vec<&Vec<V>> = input.rows.iter().collect();
                let shaky = input.shaky || aggregates.iter().any(|(_, a)| a.overflows(input));
                let mut out = Rows { columns: Vec::new(), rows: vec![Vec::new()], shaky };
                for (name, a) in aggregates {
                    let (value, scale) = a.value(columns, &all, a.of())?;
                    out.columns.push(a.column(name, input, scale));
                    out.rows[0].push(value);
                }
                out
            }
            Verb::Unique(names) => {
                let all: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
                let names = if names.is_empty() { &all } else { names };
                let key = |name: &String| (name.clone(), E::Col(name.clone(), columns[input.place(name)].of));
                group(input, &names.iter().map(key).collect::<Vec<_>>(), true, &[])?
            }
            Verb::ValueCounts(name, nulls) => {
                let key = (name.clone(), E::Col(name.clone(), columns[input.place(name)].of));
                let size = A { function: "size", of: key.1.clone(), second: None, condition: None };
                let mut counts = group(input, &[key], *nulls, &[("count".to_string(), size)])?;
                counts.rows.sort_by(|a, b| order(&b[1], &a[1]));
                counts
            }
            Verb::Head(len) => keep(input.rows.iter().take(*len).cloned().collect()),
            Verb::Tail(len) => keep(input.rows[input.rows.len().saturating_sub(*len)..].to_vec()),
            Verb::Top { largest, len, by } => {
                let by: Vec<usize> = by.iter().map(|name| input.place(name)).collect();
                let mut rows = input.rows.clone();
                rows.sort_by(|a, b| {
                    let one = |at: &usize| match (&a[*at], &b[*at]) {
                        // Nulls are last either way.
                        (a, b) if *largest && *a != V::Null && *b != V::Null => order(b, a),
                        (a, b) => order(a, b),
                    };
                    by.iter().map(one).find(|found| found.is_ne()).unwrap_or(Ordering::Equal)
                });
                rows.truncate(*len);
                keep(rows)
            }
            Verb::Concat(condition) => {
                let more = Verb::Filter(condition.clone()).run(input)?;
                keep(input.rows.iter().chain(&more.rows).cloned().collect())
            }
            Verb::DropNulls(names) => {
                let places: Vec<usize> = names.iter().map(|name| input.place(name)).collect();
                let full = |row: &&Vec<V>| places.iter().all(|at| row[*at] != V::Null);
                keep(input.rows.iter().filter(full).cloned().collect())
            }
            Verb::Drop(name) => {
                let at = input.place(name);
                let mut out = input.clone();
                out.columns.remove(at);
                out.rows.iter_mut().for_each(|row| drop(row.remove(at)));
                out
            }
            Verb::Rename(from, to) => {
                let mut out = input.clone();
                out.columns[input.place(from)].name = to.clone();
                out
            }
            Verb::Merge(merge) => merge.run(input)?,
            Verb::Repartition(_) => input.clone(),
            Verb::Fill(names, limit, backward) => {
                let mut out = input.clone();
                for at in names.iter().map(|name| input.place(name)) {
                    let mut order: Vec<usize> = (0..out.rows.len()).collect();
                    if *backward {
                        order.reverse();
                    }
                    let (mut last, mut since) = (V::Null, 0);
                    for row in order {
                        let value = &mut out.rows[row][at];
                        if *value != V::Null {
                            (last, since) = (value.clone(), 0);
                            continue;
                        }
                        since += 1;
                        if limit.is_none_or(|limit| since <= limit) {
                            *value = last.clone();
                        }
                    }
                }
                out
            }
            Verb::Single(names, which) => {
                let places: Vec<usize> = names.iter().map(|name| input.place(name)).collect();
                let equal = |a: &Vec<V>, b: &Vec<V>| places.iter().all(|at| order(&a[*at], &b[*at]).is_eq());
                let twin = |rows: &[Vec<V>], row: &Vec<V>| rows.iter().any(|other| equal(other, row));
                let is_kept = |at: &usize| {
                    let (before, row, after) = (&input.rows[..*at], &input.rows[*at], &input.rows[at + 1..]);
                    match which {
                        Keep::First => !twin(before, row),
                        Keep::Last => !twin(after, row),
                        Keep::None => !twin(before, row) && !twin(after, row),
                    }
                };
                keep((0..input.rows.len()).filter(is_kept).map(|at| input.rows[at].clone()).collect())
            }
        })
    }
}

fn group(input: &Rows, keys: &[(String, E)], keep_nulls: bool, aggregates: &[(String, A)]) -> Result<Rows, Overflow> {
    let columns = &input.columns;
    let mut groups: Vec<(Vec<V>, Vec<&Vec<V>>)> = Vec::new();
    for row in &input.rows {
        let key = keys.iter().map(|(_, key)| key.eval(columns, row)).collect::<Result<Vec<V>, _>>()?;
        if !keep_nulls && key.contains(&V::Null) {
            continue;
        }
        let same = |known: &&mut (Vec<V>, Vec<&Vec<V>>)| known.0.iter().zip(&key).all(|(a, b)| order(a, b).is_eq());
        match groups.iter_mut().find(same) {
            Some(group) => group.1.push(row),
            None => groups.push((key, vec![row])),
        }
    }
    groups.sort_by(|a, b| {
        let found = a.0.iter().zip(&b.0).map(|(a, b)| order(a, b)).find(|found| found.is_ne());
        found.unwrap_or(Ordering::Equal)
    });
    let shaky = input.shaky || aggregates.iter().any(|(_, a)| a.overflows(input));
    let mut out = Rows { columns: Vec::new(), rows: Vec::new(), shaky };
    let mut scales = vec![0.0f64; aggregates.len()];
    for (key, rows) in &groups {
        let mut made = key.clone();
        for ((_, a), scale) in aggregates.iter().zip(&mut scales) {
            let (value, own) = a.value(columns, rows, a.of())?;
            *scale = scale.max(own);
            made.push(value);
        }
        out.rows.push(made);
    }
    for (name, key) in keys {
        let dyadic = key.of().is_int() || expr::dyadic(key, input);
        // Of zeros that are equal either may stand for the group.
        let rough = key.of().is_float().then_some(0.0);
        out.columns.push(Column { name: name.clone(), of: key.of(), rough, dyadic });
    }
    for ((name, a), scale) in aggregates.iter().zip(scales) {
        out.columns.push(a.column(name, input, scale));
    }
    Ok(out)
}
