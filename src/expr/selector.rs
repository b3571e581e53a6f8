//! Columns that are known when there is a schema.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use regex::Regex;

use super::types::{is_temporal, is_text};
use super::value::logical;
use super::{Expr, Lookup, unknown_column};
use crate::error::{Error, ErrorKind, Result};

/// Stands for columns of a schema, in the order in which they stand there; those of names in the order of the names.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let totals = numeric().exclude(["id"]).sum().suffix("_total");
/// assert_eq!(totals.to_string(), "sum(exclude(numeric(), cols([\"id\"]))) as \"\" + name + \"_total\"");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Selector {
    /// Sets of columns, and what is done with the last two of them, in the order in which it is done.
    steps: Arc<[Step]>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    All,
    Names(Arc<[Arc<str>]>),
    Matching(Arc<str>),
    Type(DataType),
    Class(Class),
    Union,
    Intersection,
    Difference,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Class {
    Numeric,
    Integers,
    Floats,
    Text,
    Temporal,
    Booleans,
}

/// All columns.
pub fn all() -> Expr {
    of(Step::All)
}

/// Columns by their names, in this order; one that is not there is an error.
pub fn cols<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Expr {
    of(Step::Names(names.into_iter().map(|name| name.as_ref().into()).collect()))
}

/// Columns whose names match a regular expression somewhere.
pub fn cols_matching(pattern: &str) -> Expr {
    of(Step::Matching(pattern.into()))
}

/// Columns of one type.
pub fn by_type(data_type: DataType) -> Expr {
    of(Step::Type(data_type))
}

/// Columns of numbers.
pub fn numeric() -> Expr {
    of(Step::Class(Class::Numeric))
}

/// Columns of integers.
pub fn integers() -> Expr {
    of(Step::Class(Class::Integers))
}

/// Columns of floats.
pub fn floats() -> Expr {
    of(Step::Class(Class::Floats))
}

/// Columns of text.
pub fn text() -> Expr {
    of(Step::Class(Class::Text))
}

/// Columns of dates, times and durations.
pub fn temporal() -> Expr {
    of(Step::Class(Class::Temporal))
}

/// Columns of true and false.
pub fn booleans() -> Expr {
    of(Step::Class(Class::Booleans))
}

/// All columns but these.
pub fn exclude<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Expr {
    all().exclude(names)
}

fn of(step: Step) -> Expr {
    Expr::Selector(Selector { steps: [step].into() })
}

impl Expr {
    /// The columns of a selector but these.
    #[must_use]
    pub fn exclude<S: AsRef<str>>(self, names: impl IntoIterator<Item = S>) -> Expr {
        self.combine(&cols(names), Step::Difference, "exclude")
    }

    /// The columns that one of two selectors stands for, or both.
    #[must_use]
    pub fn union(self, other: Expr) -> Expr {
        self.combine(&other, Step::Union, "union")
    }

    /// The columns that both of two selectors stand for.
    #[must_use]
    pub fn intersection(self, other: Expr) -> Expr {
        self.combine(&other, Step::Intersection, "intersection")
    }

    /// The columns that one selector stands for and another does not.
    #[must_use]
    pub fn difference(self, other: Expr) -> Expr {
        self.combine(&other, Step::Difference, "difference")
    }

    fn combine(self, other: &Expr, how: Step, name: &str) -> Expr {
        match (&self, other) {
            (Expr::Selector(left), Expr::Selector(right)) => {
                let steps = left.steps.iter().chain(&*right.steps).cloned().chain([how]).collect();
                Expr::Selector(Selector { steps })
            }
            _ => self.clone().invalid(format!("`{name}` takes selectors, as all() and cols([…])")),
        }
    }
}

impl Selector {
    /// The names of the columns it stands for.
    ///
    /// # Errors
    /// Of kind `Plan`, where a name is not there, or a pattern is none.
    pub fn select(&self, schema: &Schema) -> Result<Vec<Arc<str>>> {
        let mut sets: Vec<Vec<Arc<str>>> = Vec::new();
        for step in &*self.steps {
            let set = match step {
                Step::All => those(schema, |_, _| true),
                Step::Names(names) => {
                    let fields = Lookup::new(schema);
                    if let Some(name) = names.iter().find(|name| fields.place(name).is_none()) {
                        return Err(unknown_column(name, schema));
                    }
                    names.to_vec()
                }
                Step::Matching(pattern) => {
                    let pattern = regex(pattern)?;
                    those(schema, |name, _| pattern.is_match(name))
                }
                Step::Type(wanted) => those(schema, |_, data_type| data_type == wanted || logical(data_type) == wanted),
                Step::Class(class) => those(schema, |_, data_type| class.has(logical(data_type))),
                Step::Union | Step::Intersection | Step::Difference => {
                    let (Some(right), Some(left)) = (sets.pop(), sets.pop()) else {
                        return Err(Error::internal("a selector without its sets"));
                    };
                    combined(step, left, right)
                }
            };
            sets.push(set);
        }
        Ok(sets.pop().unwrap_or_default())
    }
}

fn combined(how: &Step, left: Vec<Arc<str>>, right: Vec<Arc<str>>) -> Vec<Arc<str>> {
    let set = |names: &[Arc<str>]| names.iter().cloned().collect::<HashSet<Arc<str>>>();
    match how {
        Step::Union => {
            let known = set(&left);
            left.into_iter().chain(right.into_iter().filter(|name| !known.contains(name))).collect()
        }
        _ => {
            let (known, wanted) = (set(&right), matches!(how, Step::Intersection));
            left.into_iter().filter(|name| known.contains(name) == wanted).collect()
        }
    }
}

fn those(schema: &Schema, wanted: impl Fn(&str, &DataType) -> bool) -> Vec<Arc<str>> {
    let fields = schema.fields().iter().filter(|field| wanted(field.name(), field.data_type()));
    fields.map(|field| field.name().as_str().into()).collect()
}

impl Class {
    fn has(self, data_type: &DataType) -> bool {
        match self {
            Class::Numeric => data_type.is_numeric(),
            Class::Integers => data_type.is_integer(),
            Class::Floats => data_type.is_floating(),
            Class::Text => is_text(data_type),
            Class::Temporal => is_temporal(data_type),
            Class::Booleans => matches!(data_type, DataType::Boolean),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Class::Numeric => "numeric()",
            Class::Integers => "integers()",
            Class::Floats => "floats()",
            Class::Text => "text()",
            Class::Temporal => "temporal()",
            Class::Booleans => "booleans()",
        }
    }
}

/// A regular expression, or the error of a wrong one.
pub(super) fn regex(pattern: &str) -> Result<Regex> {
    Regex::new(pattern).map_err(|error| {
        // The last line of it says what is wrong; the others show where.
        let error = error.to_string();
        let reason = error.lines().last().unwrap_or_default().trim_start_matches("error: ").to_string();
        Error::new(ErrorKind::Plan, format!("{pattern:?} is no regular expression: {reason}"))
    })
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut texts: Vec<String> = Vec::new();
        for step in &*self.steps {
            let text = match step {
                Step::All => "all()".to_string(),
                Step::Names(names) => format!("cols({names:?})"),
                Step::Matching(pattern) => format!("cols_matching({pattern:?})"),
                Step::Type(data_type) => format!("by_type({data_type})"),
                Step::Class(class) => class.name().to_string(),
                Step::Union | Step::Intersection | Step::Difference => {
                    let (right, left) = (texts.pop().unwrap_or_default(), texts.pop().unwrap_or_default());
                    let how = match step {
                        Step::Union => "union",
                        Step::Intersection => "intersection",
                        _ => "exclude",
                    };
                    format!("{how}({left}, {right})")
                }
            };
            texts.push(text);
        }
        f.write_str(&texts.pop().unwrap_or_default())
    }
}
