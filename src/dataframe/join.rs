//! Joins: `merge`, `cross_join`.

use std::collections::HashSet;

use arrow::datatypes::SchemaRef;

use super::DataFrame;
use super::plan::{Frame, JoinColumn, JoinOp, Matching, Op};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::{Lookup, unknown_column};
use crate::origin::Origin;

/// Which rows a [`DataFrame::merge`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum How {
    /// Each pair of rows with equal keys.
    Inner,
    /// These, and each row of the left table without a partner: what it lacks is null.
    Left,
    /// These, and each row of the right table without a partner.
    Right,
    /// The rows of the left table that have a partner; each once, its own columns only.
    Semi,
    /// The rows of the left table that have none.
    Anti,
}

/// What a [`DataFrame::merge`] compares, and how columns are called that both tables have.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let on = On::keys(["id"]); // of this name in both tables
/// let on = On::pairs([("customer", "id")]).suffixes("", "_customer");
/// let on = On::keys(["id"]).nulls_equal(); // a null finds a null
/// # let _ = on;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct On {
    pairs: Vec<(String, String)>,
    nulls_equal: bool,
    suffixes: (String, String),
}

impl On {
    /// Columns that are called alike in both tables. They are there once in the result.
    pub fn keys<S: Into<String>>(names: impl IntoIterator<Item = S>) -> On {
        On::pairs(names.into_iter().map(|name| {
            let name = name.into();
            (name.clone(), name)
        }))
    }

    /// Columns of the left table, each with one of the right. Where the two have other names both are in the result.
    pub fn pairs<L: Into<String>, R: Into<String>>(pairs: impl IntoIterator<Item = (L, R)>) -> On {
        let pairs = pairs.into_iter().map(|(left, right)| (left.into(), right.into())).collect();
        On { pairs, nulls_equal: false, suffixes: ("_x".to_string(), "_y".to_string()) }
    }

    /// A null key finds null keys. Else it finds nothing, as in SQL.
    pub fn nulls_equal(self) -> On {
        On { nulls_equal: true, ..self }
    }

    /// What is added to the names of other columns than keys that both tables have: `_x` and `_y`, if nothing is said.
    pub fn suffixes(self, left: impl Into<String>, right: impl Into<String>) -> On {
        On { suffixes: (left.into(), right.into()), ..self }
    }
}

impl DataFrame {
    /// The rows of two tables side by side where keys are equal: those of this one, the *left*, and of another, the *right*.
    ///
    /// Columns of the left table come first. Keys have to be of one type: all NaN are equal, and so are the two zeros; text is
    /// compared by its bytes. Where several rows have a key, each is paired with each. Rows come in the order of the
    /// left table (of [`How::Right`]: of the right one), partners of one row in the order of theirs.
    ///
    /// # Memory
    /// The right table (of [`How::Right`] the left one) is held in memory under the name `merge`, with the columns that are used; the
    /// other one streams.
    ///
    /// # Errors
    /// At compute: of kind `Plan`, where a key is not there or the types of a pair differ; of kind `OutOfMemory`, where the
    /// table that is held does not fit into the memory limit.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let orders = dataframe::from_columns([("category", vec!["b", "a", "x"])]);
    /// let lookup = dataframe::from_columns([
    ///     ("category", vec!["a", "b"].into_array()),
    ///     ("rate", vec![10, 20].into_array()),
    /// ]);
    /// let table = orders.merge(&lookup, On::keys(["category"]), How::Left).compute()?;
    /// assert_eq!(
    ///     table.to_string(),
    ///     "category  rate\n--------  ----\nb           20\na           10\nx         null\n"
    /// );
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn merge(&self, right: &DataFrame, on: On, how: How) -> DataFrame {
        let origin = Origin::caller();
        self.derive("merge", origin, |left| {
            let right = right.frame()?;
            if on.pairs.is_empty() {
                let text = "a merge needs keys: each row with each is cross_join";
                return Err(Error::new(ErrorKind::Plan, text));
            }
            keys_fit(&on.pairs, &left.schema, &right.schema)?;
            let columns = columns(&on, how, &left.schema, &right.schema)?;
            let (probe, build, matching) = match how {
                How::Inner => (left, right, Matching::Inner),
                How::Left => (left, right, Matching::Outer),
                How::Right => (right, left, Matching::Outer),
                How::Semi => (left, right, Matching::Semi),
                How::Anti => (left, right, Matching::Anti),
            };
            let swapped = how == How::Right;
            let pairs =
                on.pairs.iter().cloned().map(|(left, right)| if swapped { (right, left) } else { (left, right) });
            let join = JoinOp { matching, on: pairs.collect(), nulls_equal: on.nulls_equal, columns };
            Frame::new(Op::Join(join), &[probe, build], "merge", origin)
        })
    }

    /// Each row of this table with each of another one. Columns that both have get `_x` and `_y` after their names.
    ///
    /// # Memory
    /// As [`DataFrame::merge`]: the right table is held.
    #[track_caller]
    pub fn cross_join(&self, right: &DataFrame) -> DataFrame {
        let origin = Origin::caller();
        self.derive("cross_join", origin, |left| {
            let right = right.frame()?;
            let columns = columns(&On::keys::<String>([]), How::Inner, &left.schema, &right.schema)?;
            let join = JoinOp { matching: Matching::Cross, on: Vec::new(), nulls_equal: false, columns };
            Frame::new(Op::Join(join), &[left, right], "cross_join", origin)
        })
    }
}

/// Whether keys are there, and of one type.
fn keys_fit(pairs: &[(String, String)], left: &SchemaRef, right: &SchemaRef) -> Result<()> {
    let find = |name: &str, fields: &Lookup<'_>, side: &str| match fields.field(name) {
        Some(field) => Ok(field.data_type().clone()),
        None => {
            let unknown = unknown_column(name, fields.schema());
            Err(Error::new(ErrorKind::Plan, format!("in the {side} table: {}", unknown.message())))
        }
    };
    let (left, right) = (Lookup::new(left), Lookup::new(right));
    for (own, other) in pairs {
        let (own_type, other_type) = (find(own, &left, "left")?, find(other, &right, "right")?);
        if own_type != other_type {
            let text = format!(
                "`{own}` is a {own_type} in the left table and `{other}` a {other_type} in the right one: keys have to be of one \
                 type, cast one of them"
            );
            return Err(Error::new(ErrorKind::Plan, text));
        }
        crate::external::group::KeyTable::new(&[own_type], false).map(drop)?;
    }
    Ok(())
}

/// The columns of the result.
fn columns(on: &On, how: How, left: &SchemaRef, right: &SchemaRef) -> Result<Vec<JoinColumn>> {
    let swapped = how == How::Right;
    let same = on.pairs.iter().filter(|(left, right)| left == right);
    let same: HashSet<&str> = same.map(|(name, _)| name.as_str()).collect();
    let alike = |name: &str| same.contains(name);
    let (in_left, in_right) = (Lookup::new(left), Lookup::new(right));
    let clashes = |name: &str, other: &Lookup<'_>| !alike(name) && other.place(name).is_some();
    let mut columns = Vec::with_capacity(left.fields().len() + right.fields().len());
    for field in left.fields() {
        let name = field.name();
        let suffix = if clashes(name, &in_right) { &*on.suffixes.0 } else { "" };
        // A key that is there once has the value of the table whose rows are all kept.
        let held = if alike(name) { false } else { swapped };
        columns.push(JoinColumn { held, from: name.clone(), name: format!("{name}{suffix}") });
    }
    if !matches!(how, How::Semi | How::Anti) {
        for field in right.fields().iter().filter(|field| !alike(field.name())) {
            let name = field.name();
            let suffix = if clashes(name, &in_left) { &*on.suffixes.1 } else { "" };
            columns.push(JoinColumn { held: !swapped, from: name.clone(), name: format!("{name}{suffix}") });
        }
    } else {
        // Only the left table's columns are there: nothing clashes.
        columns.iter_mut().for_each(|column| column.name.clone_from(&column.from));
    }
    let mut names = HashSet::with_capacity(columns.len());
    if let Some(twice) = columns.iter().find(|column| !names.insert(&column.name)) {
        let text = format!("two columns would be called `{}`: tell them apart with On::suffixes", twice.name);
        return Err(Error::new(ErrorKind::Plan, text));
    }
    Ok(columns)
}
