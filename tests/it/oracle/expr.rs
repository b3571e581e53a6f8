//! Expressions of the naive engine: generated with their types, evaluated row by row, and said to the library.

use chunkwise::prelude::*;

use super::Pick;
use super::value::{Column, Rows, T, V, order};

/// Why a value cannot be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overflow;

#[derive(Clone, Debug)]
pub enum E {
    Col(String, T),
    Lit(V, T),
    /// `+`, `-`, `*`, `/`, `f` for the floor of a quotient, `%`; with the type of the result.
    Math(char, Box<E>, Box<E>, T),
    Neg(Box<E>, T),
    Compare(&'static str, Box<E>, Box<E>),
    Logic(char, Box<E>, Box<E>),
    Not(Box<E>),
    IsNull(Box<E>, bool),
    IsNan(Box<E>),
    FillNull(Box<E>, Box<E>),
    When(Vec<(E, E)>, Option<Box<E>>, T),
    Cast(Box<E>, T, bool),
    Between(Box<E>, Box<E>, Box<E>),
    IsIn(Box<E>, Vec<V>),
    Abs(Box<E>),
    Upper(Box<E>),
    Chars(Box<E>),
    Slice(Box<E>, usize, usize),
    StartsWith(Box<E>, String),
    Has(Box<E>, String),
    Join(Box<E>, Box<E>),
    Year(Box<E>),
}

/// The smallest type that holds both; none for 64 bits with and without sign.
pub fn promoted(left: T, right: T) -> Option<T> {
    Some(match (left, right) {
        (a, b) if a == b => a,
        (T::Int(a, true), T::Int(b, true)) => T::Int(a.max(b), true),
        (T::Int(..), T::Int(..)) => return None,
        (T::F32, T::Int(8 | 16, true)) | (T::Int(8 | 16, true), T::F32) => T::F32,
        (a, b) if a.is_number() && b.is_number() => T::F64,
        _ => return None,
    })
}

impl E {
    pub fn of(&self) -> T {
        match self {
            E::Col(_, of) | E::Lit(_, of) | E::Math(.., of) | E::Neg(_, of) | E::When(.., of) | E::Cast(_, of, _) => {
                *of
            }
            E::Compare(..) | E::Logic(..) | E::Not(_) | E::IsNull(..) | E::IsNan(_) | E::Between(..) | E::IsIn(..) => {
                T::Bool
            }
            E::StartsWith(..) | E::Has(..) => T::Bool,
            E::FillNull(of, _) | E::Abs(of) => of.of(),
            E::Upper(_) | E::Slice(..) | E::Join(..) => T::Text,
            E::Chars(_) => T::Int(64, true),
            E::Year(_) => T::Int(32, true),
        }
    }

    /// As the library is told.
    pub fn expr(&self) -> Expr {
        match self {
            E::Col(name, _) => col(name),
            E::Lit(value, _) => literal(value),
            E::Math(op, a, b, _) => match op {
                '+' => a.expr() + b.expr(),
                '-' => a.expr() - b.expr(),
                '*' => a.expr() * b.expr(),
                '/' => a.expr() / b.expr(),
                '%' => a.expr() % b.expr(),
                _ => a.expr().floor_div(b.expr()),
            },
            E::Neg(of, _) => -of.expr(),
            E::Compare(op, a, b) => match *op {
                "==" => a.expr().eq(b.expr()),
                "!=" => a.expr().ne(b.expr()),
                "<" => a.expr().lt(b.expr()),
                "<=" => a.expr().le(b.expr()),
                ">" => a.expr().gt(b.expr()),
                _ => a.expr().ge(b.expr()),
            },
            E::Logic(op, a, b) => match op {
                '&' => a.expr() & b.expr(),
                '|' => a.expr() | b.expr(),
                _ => a.expr() ^ b.expr(),
            },
            E::Not(of) => !of.expr(),
            E::IsNull(of, true) => of.expr().is_null(),
            E::IsNull(of, false) => of.expr().is_not_null(),
            E::IsNan(of) => of.expr().is_nan(),
            E::FillNull(of, with) => of.expr().fill_null(with.expr()),
            E::When(branches, otherwise, _) => {
                let mut made: Option<Expr> = None;
                for (condition, value) in branches {
                    let begun = match made {
                        None => when(condition.expr()),
                        Some(made) => made.when(condition.expr()),
                    };
                    made = Some(begun.then(value.expr()));
                }
                let made = made.expect("a branch");
                otherwise.iter().fold(made, |made, other| made.otherwise(other.expr()))
            }
            E::Cast(of, to, false) => of.expr().cast(to.arrow()),
            E::Cast(of, to, true) => of.expr().try_cast(to.arrow()),
            E::Between(of, low, high) => of.expr().between(low.expr(), high.expr()),
            E::IsIn(of, values) => of.expr().is_in(values.iter().map(value)),
            E::Abs(of) => of.expr().abs(),
            E::Upper(of) => of.expr().str().to_uppercase(),
            E::Chars(of) => of.expr().str().len_chars(),
            E::Slice(of, from, len) => of.expr().str().slice(*from as i64, *len as u64),
            E::StartsWith(of, text) => of.expr().str().starts_with(text.as_str()),
            E::Has(of, text) => of.expr().str().contains_literal(text.as_str()),
            E::Join(a, b) => concat_str([a.expr(), b.expr()], "-"),
            E::Year(of) => of.expr().dt().year(),
        }
    }

    pub fn eval(&self, rows: &[Column], row: &[V]) -> Result<V, Overflow> {
        let of = |expr: &E| expr.eval(rows, row);
        Ok(match self {
            E::Col(name, _) => row[rows.iter().position(|column| column.name == *name).expect(name)].clone(),
            E::Lit(value, _) => value.clone(),
            E::Math(op, a, b, to) => math(*op, of(a)?, of(b)?, *to)?,
            E::Neg(one, to) => match of(one)? {
                V::Int(value) => to.fit(-value).ok_or(Overflow)?,
                V::Float(value) => V::Float(-value),
                other => other,
            },
            E::Compare(op, a, b) => compare(op, &of(a)?, &of(b)?, common_type(a, b)),
            E::Logic(op, a, b) => logic(*op, &of(a)?, &of(b)?),
            E::Not(one) => match of(one)? {
                V::Bool(value) => V::Bool(!value),
                other => other,
            },
            E::IsNull(one, wanted) => V::Bool((of(one)? == V::Null) == *wanted),
            E::IsNan(one) => match of(one)? {
                V::Float(value) => V::Bool(value.is_nan()),
                V::Null => V::Null,
                _ => V::Bool(false),
            },
            E::FillNull(one, with) => match of(one)? {
                V::Null => of(with)?,
                value => value,
            },
            E::When(branches, otherwise, _) => {
                for (condition, value) in branches {
                    if of(condition)? == V::Bool(true) {
                        return of(value);
                    }
                }
                otherwise.as_ref().map_or(Ok(V::Null), |other| of(other))?
            }
            E::Cast(one, to, lossy) => match cast(of(one)?, *to) {
                None if *lossy => V::Null,
                value => value.ok_or(Overflow)?,
            },
            E::Between(one, low, high) => {
                let value = of(one)?;
                let low = compare(">=", &value, &of(low)?, common_type(one, low));
                logic('&', &low, &compare("<=", &value, &of(high)?, common_type(one, high)))
            }
            E::IsIn(one, values) => match of(one)? {
                V::Null => V::Null,
                value if values.iter().any(|other| compare("==", &value, other, one.of()) == V::Bool(true)) => {
                    V::Bool(true)
                }
                _ if values.contains(&V::Null) => V::Null,
                _ => V::Bool(false),
            },
            E::Abs(one) => match of(one)? {
                V::Int(value) => one.of().fit(value.abs()).ok_or(Overflow)?,
                V::Float(value) => V::Float(value.abs()),
                other => other,
            },
            E::Upper(one) => text(of(one)?, |text| V::Text(text.to_uppercase())),
            E::Chars(one) => text(of(one)?, |text| V::Int(text.chars().count() as i128)),
            E::Slice(one, from, len) => text(of(one)?, |text| V::Text(text.chars().skip(*from).take(*len).collect())),
            E::StartsWith(one, with) => text(of(one)?, |text| V::Bool(text.starts_with(with))),
            E::Has(one, part) => text(of(one)?, |text| V::Bool(text.contains(part))),
            E::Join(a, b) => match (of(a)?, of(b)?) {
                (V::Text(a), V::Text(b)) => V::Text(format!("{a}-{b}")),
                _ => V::Null,
            },
            E::Year(one) => match (of(one)?, one.of()) {
                (V::Time(days), T::Date) => V::Int(year(days).into()),
                (V::Time(micros), _) => V::Int(year(micros.div_euclid(86_400_000_000)).into()),
                (other, _) => other,
            },
        })
    }
}

fn text(value: V, function: impl FnOnce(&str) -> V) -> V {
    match value {
        V::Text(text) => function(&text),
        other => other,
    }
}

/// The year of a day since 1970, counted year by year.
fn year(days: i64) -> i64 {
    let len = |year: i64| if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) { 366 } else { 365 };
    let (mut year, mut left) = (1970, days);
    while left < 0 {
        year -= 1;
        left += len(year);
    }
    while left >= len(year) {
        left -= len(year);
        year += 1;
    }
    year
}

/// Untyped constants take the type of the other operand.
fn common_type(a: &E, b: &E) -> T {
    match (a, b) {
        (_, E::Lit(..)) => a.of(),
        (E::Lit(..), _) => b.of(),
        _ => promoted(a.of(), b.of()).unwrap_or(a.of()),
    }
}

fn float(value: &V, to: T) -> Option<f64> {
    match value {
        // Once, from the integer: not by way of another float.
        V::Int(value) if to == T::F32 => Some(f64::from(*value as f32)),
        V::Int(value) => Some(*value as f64),
        V::Float(value) => Some(*value),
        _ => None,
    }
}

fn math(op: char, a: V, b: V, to: T) -> Result<V, Overflow> {
    if a == V::Null || b == V::Null {
        return Ok(V::Null);
    }
    if let (V::Int(a), V::Int(b), T::Int(..)) = (&a, &b, to) {
        let exact = match op {
            '+' => a.checked_add(*b),
            '-' => a.checked_sub(*b),
            '*' => a.checked_mul(*b),
            _ if *b == 0 => return Ok(V::Null),
            '%' => Some(a - b * floor_quotient(*a, *b)),
            _ => Some(floor_quotient(*a, *b)),
        };
        return exact.and_then(|exact| to.fit(exact)).ok_or(Overflow);
    }
    let (a, b) = (float(&a, to).expect("a number"), float(&b, to).expect("a number"));
    // Of two f32 these are exact enough in f64 to be rounded once.
    Ok(to.float(match op {
        '+' => a + b,
        '-' => a - b,
        '*' => a * b,
        '/' => a / b,
        _ => panic!("floats have no {op} here"),
    }))
}

fn floor_quotient(a: i128, b: i128) -> i128 {
    let quotient = a / b;
    if a % b != 0 && (a < 0) != (b < 0) { quotient - 1 } else { quotient }
}

fn compare(op: &str, a: &V, b: &V, of: T) -> V {
    if *a == V::Null || *b == V::Null {
        return V::Null;
    }
    let (less, equal) = match (a, b) {
        (V::Int(a), V::Int(b)) => (a < b, a == b),
        (V::Int(_) | V::Float(_), V::Int(_) | V::Float(_)) => {
            let (a, b) = (float(a, of).expect("a number"), float(b, of).expect("a number"));
            return V::Bool(match op {
                "==" => a == b,
                "!=" => a != b,
                "<" => a < b,
                "<=" => a <= b,
                ">" => a > b,
                _ => a >= b,
            });
        }
        _ => (order(a, b).is_lt(), order(a, b).is_eq()),
    };
    V::Bool(match op {
        "==" => equal,
        "!=" => !equal,
        "<" => less,
        "<=" => less || equal,
        ">" => !less && !equal,
        _ => !less,
    })
}

fn logic(op: char, a: &V, b: &V) -> V {
    match (op, a, b) {
        ('&', V::Bool(false), _) | ('&', _, V::Bool(false)) => V::Bool(false),
        ('|', V::Bool(true), _) | ('|', _, V::Bool(true)) => V::Bool(true),
        (_, V::Bool(a), V::Bool(b)) => V::Bool(match op {
            '&' => *a && *b,
            '|' => *a || *b,
            _ => a != b,
        }),
        _ => V::Null,
    }
}

fn cast(value: V, to: T) -> Option<V> {
    match (value, to) {
        (V::Null, _) => Some(V::Null),
        (V::Int(value), T::Int(..)) => to.fit(value),
        (V::Int(value), T::F32) => Some(V::Float(f64::from(value as f32))),
        (V::Int(value), T::F64) => Some(V::Float(value as f64)),
        (V::Int(value), T::Text) => Some(V::Text(value.to_string())),
        (V::Float(value), T::F32 | T::F64) => Some(to.float(value)),
        (V::Float(value), T::Int(..)) if value.is_finite() => to.fit(value.trunc() as i128),
        (V::Float(_), T::Int(..)) => None,
        (V::Bool(value), T::Int(..)) => to.fit(value.into()),
        (value, _) => panic!("no cast of {value:?}"),
    }
}

fn value(value: &V) -> chunkwise::expr::Value {
    match value {
        V::List(_) => panic!("lists are made by aggregates alone"),
        V::Null => chunkwise::expr::Value::Null,
        V::Bool(value) => (*value).into(),
        V::Int(value) => match i64::try_from(*value) {
            Ok(value) => value.into(),
            Err(_) => u64::try_from(*value).expect("64 bits").into(),
        },
        V::Float(value) => (*value).into(),
        V::Text(value) => value.as_str().into(),
        V::Time(_) => panic!("no constants of time"),
    }
}

fn literal(of: &V) -> Expr {
    value(of).into()
}

/// A column of a kind, if there is one whose values are known to the bit.
fn column(pick: &mut Pick, columns: &[Column], fits: impl Fn(T) -> bool) -> Option<E> {
    let meant: Vec<&Column> = columns.iter().filter(|column| column.rough.is_none() && fits(column.of)).collect();
    (!meant.is_empty()).then(|| {
        let column = meant[pick.below(meant.len())];
        E::Col(column.name.clone(), column.of)
    })
}

/// A constant near the values of a type.
fn constant(pick: &mut Pick, of: T) -> E {
    let value = match of {
        T::List(_) => panic!("lists are made by aggregates alone"),
        T::Int(_, signed) => V::Int(pick.below(20) as i128 - if signed { 8 } else { 0 }),
        T::F32 | T::F64 => V::Float((pick.below(41) as f64 - 20.0) / 4.0),
        T::Bool => V::Bool(pick.chance(50)),
        T::Text => V::Text(pick.text()),
        T::Date | T::Micros => panic!("no constants of time"),
    };
    E::Lit(value, of)
}

pub fn number(pick: &mut Pick, columns: &[Column], depth: u32) -> Option<E> {
    if depth == 0 || pick.chance(30) {
        return column(pick, columns, T::is_number);
    }
    let one = number(pick, columns, depth - 1)?;
    Some(match pick.below(12) {
        0..=5 => {
            let other = if pick.chance(40) { constant(pick, one.of()) } else { number(pick, columns, depth - 1)? };
            // A constant has the type of the other side.
            let common = common_type(&one, &other);
            if !matches!(other, E::Lit(..)) && promoted(one.of(), other.of()).is_none() {
                return Some(one);
            }
            let op = match (pick.below(8), common.is_int()) {
                (0 | 1, _) => '+',
                (2 | 3, _) => '-',
                (4, _) => '*',
                (5, _) => '/',
                (6, true) => '%',
                (_, true) => 'f',
                (_, false) => '+',
            };
            let of = if op == '/' { T::F64 } else { common };
            E::Math(op, Box::new(one), Box::new(other), of)
        }
        6 if !matches!(one.of(), T::Int(_, false)) => {
            let of = one.of();
            E::Neg(Box::new(one), of)
        }
        7 => E::Abs(Box::new(one)),
        8 => {
            let of = one.of();
            let with = constant(pick, of);
            E::FillNull(Box::new(one), Box::new(with))
        }
        9 => {
            let of = one.of();
            let condition = condition(pick, columns, depth - 1)?;
            let other = pick.chance(70).then(|| Box::new(constant(pick, of)));
            E::When(vec![(condition, one)], other, of)
        }
        10 => {
            let to = pick.one(&[T::Int(8, true), T::Int(64, true), T::F32, T::F64, T::Int(64, false)]);
            let lossy = to.is_int();
            E::Cast(Box::new(one), to, lossy)
        }
        _ => match text_of(pick, columns, depth - 1) {
            Some(text) => E::Chars(Box::new(text)),
            None => {
                column(pick, columns, |of| matches!(of, T::Date | T::Micros)).map_or(one, |of| E::Year(Box::new(of)))
            }
        },
    })
}

pub fn condition(pick: &mut Pick, columns: &[Column], depth: u32) -> Option<E> {
    let compares = ["==", "!=", "<", "<=", ">", ">="];
    Some(match pick.below(if depth == 0 { 6 } else { 11 }) {
        0 | 1 => {
            let one = number(pick, columns, depth.min(1))?;
            let other = if pick.chance(60) { constant(pick, one.of()) } else { number(pick, columns, 0)? };
            if !matches!(other, E::Lit(..)) && promoted(one.of(), other.of()).is_none() {
                return Some(E::IsNull(Box::new(one), pick.chance(50)));
            }
            E::Compare(pick.one(&compares), Box::new(one), Box::new(other))
        }
        2 => {
            let one = column(pick, columns, |_| true)?;
            match column(pick, columns, |of| of == one.of()) {
                Some(other) => E::Compare(pick.one(&compares), Box::new(one), Box::new(other)),
                None => E::IsNull(Box::new(one), true),
            }
        }
        3 => match column(pick, columns, |of| of == T::Text) {
            Some(one) => {
                let other = constant(pick, T::Text);
                E::Compare(pick.one(&compares), Box::new(one), Box::new(other))
            }
            None => E::IsNull(Box::new(column(pick, columns, |_| true)?), false),
        },
        4 => {
            let one = column(pick, columns, |_| true)?;
            E::IsNull(Box::new(one), pick.chance(50))
        }
        5 => column(pick, columns, |of| of == T::Bool)
            .or_else(|| column(pick, columns, T::is_number).map(|one| E::IsNan(Box::new(one))))?,
        6 => E::Not(Box::new(condition(pick, columns, depth - 1)?)),
        7 => {
            let (a, b) = (condition(pick, columns, depth - 1)?, condition(pick, columns, depth - 1)?);
            E::Logic(pick.one(&['&', '|', '^']), Box::new(a), Box::new(b))
        }
        8 => {
            let one = number(pick, columns, 0)?;
            let (low, high) = (constant(pick, one.of()), constant(pick, one.of()));
            E::Between(Box::new(one), Box::new(low), Box::new(high))
        }
        9 => {
            let one = column(pick, columns, |of| of.is_number() || of == T::Text)?;
            let mut values: Vec<V> = Vec::new();
            for _ in 0..1 + pick.below(3) {
                let E::Lit(value, _) = constant(pick, one.of()) else { return None };
                values.push(value);
            }
            if pick.chance(15) {
                values.push(V::Null);
            }
            E::IsIn(Box::new(one), values)
        }
        _ => match text_of(pick, columns, depth - 1) {
            Some(one) if pick.chance(50) => E::StartsWith(Box::new(one), pick.text()),
            Some(one) => E::Has(Box::new(one), pick.text()),
            None => condition(pick, columns, 0)?,
        },
    })
}

pub fn text_of(pick: &mut Pick, columns: &[Column], depth: u32) -> Option<E> {
    let one = column(pick, columns, |of| of == T::Text)?;
    if depth == 0 {
        return Some(one);
    }
    Some(match pick.below(6) {
        0 => E::Upper(Box::new(one)),
        1 => E::Slice(Box::new(one), pick.below(3), 1 + pick.below(3)),
        2 => {
            let other = text_of(pick, columns, depth - 1)?;
            E::Join(Box::new(one), Box::new(other))
        }
        3 => {
            let with = constant(pick, T::Text);
            E::FillNull(Box::new(one), Box::new(with))
        }
        4 => match column(pick, columns, T::is_int) {
            Some(of) => E::Cast(Box::new(of), T::Text, false),
            None => one,
        },
        _ => one,
    })
}

/// Whether sums of it are exact in any order: whole numbers and quarters of moderate size.
pub fn dyadic(expr: &E, rows: &Rows) -> bool {
    match expr {
        E::Col(name, _) => rows.columns[rows.place(name)].dyadic,
        E::Lit(..) => true,
        E::Neg(of, _) | E::Abs(of) => dyadic(of, rows),
        E::FillNull(of, with) => dyadic(of, rows) && dyadic(with, rows),
        _ => false,
    }
}
