//! Verbs that open up nested columns: `explode` makes lists rows, `unnest` makes structs columns.

use std::collections::HashSet;

use arrow::datatypes::DataType;

use super::DataFrame;
use super::plan::{Frame, Op};
use super::select::{known, selected};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::{Expr, col};
use crate::origin::Origin;

impl DataFrame {
    /// A row for each item of the lists of these columns: the items stand in place of the lists, the other columns are
    /// repeated. An empty list and a null give one row with null. Of several columns the lists of a row are gone through
    /// side by side, and have to be equally long (an empty list and a null count as one item).
    ///
    /// # Errors
    /// Of kind `Plan`, where a column is no list. At compute of kind `Data`, where the lists of a row are not equally long.
    ///
    /// ```
    /// use arrow::array::ListArray;
    /// use arrow::datatypes::Int32Type;
    /// use chunkwise::prelude::*;
    ///
    /// let lists = vec![Some(vec![Some(1), Some(2)]), None, Some(vec![Some(3)])];
    /// let lists: arrow::array::ArrayRef =
    ///     std::sync::Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists));
    /// let df = dataframe::from_columns([("id", vec![7, 8, 9].into_array()), ("items", lists)]);
    /// let items: Vec<(i32, Option<i32>)> = df.explode(["items"]).compute()?.to_records()?;
    /// assert_eq!(items, [(7, Some(1)), (7, Some(2)), (8, None), (9, Some(3))]);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn explode<S: AsRef<str>>(&self, columns: impl IntoIterator<Item = S>) -> DataFrame {
        let origin = Origin::caller();
        let names = distinct(columns);
        self.derive("explode", origin, |frame| {
            if names.is_empty() {
                return Err(Error::new(ErrorKind::Plan, "no columns to explode"));
            }
            Frame::new(Op::Explode(names), &[frame], "explode", origin)
        })
    }

    /// The fields of structs as columns, in the places of the structs. The fields of a null are null.
    ///
    /// # Errors
    /// Of kind `Plan`, where a column is no struct, or a field is called as another column is.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Place {
    ///     x: f64,
    ///     y: f64,
    /// }
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Row {
    ///     id: i64,
    ///     place: Place,
    /// }
    ///
    /// let df = dataframe::from_records(&[Row { id: 1, place: Place { x: 0.5, y: 2.0 } }]);
    /// assert_eq!(df.unnest(["place"]).compute()?.to_string(), "id    x    y\n--  ---  ---\n 1  0.5  2.0\n");
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn unnest<S: AsRef<str>>(&self, columns: impl IntoIterator<Item = S>) -> DataFrame {
        let origin = Origin::caller();
        let names = distinct(columns);
        self.derive("unnest", origin, |frame| {
            known(frame, &names)?;
            selected(frame, unnested(frame, &names)?, "unnest", origin)
        })
    }
}

/// The columns of a frame, some of them as their fields.
fn unnested(frame: &Frame, names: &[String]) -> Result<Vec<Expr>> {
    let opened: HashSet<&str> = names.iter().map(String::as_str).collect();
    let fields = frame.schema.fields();
    let mut taken: HashSet<&str> =
        fields.iter().map(|field| field.name().as_str()).filter(|name| !opened.contains(name)).collect();
    let mut exprs = Vec::with_capacity(fields.len());
    for field in fields {
        let name = field.name();
        if !opened.contains(name.as_str()) {
            exprs.push(col(name));
            continue;
        }
        let DataType::Struct(parts) = field.data_type() else {
            let text = format!("the column `{name}` is a {} and no struct", field.data_type());
            return Err(Error::new(ErrorKind::Plan, text));
        };
        for part in parts {
            if !taken.insert(part.name()) {
                let part = part.name();
                let text = format!("the field `{part}` of `{name}` is called as another column is: rename that first");
                return Err(Error::new(ErrorKind::Plan, text));
            }
            exprs.push(col(name).field(part.name()).alias(part.name()));
        }
    }
    Ok(exprs)
}

/// Each name once, in the order in which they come up.
fn distinct<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Vec<String> {
    let mut seen = HashSet::new();
    let names = names.into_iter().map(|name| name.as_ref().to_string());
    names.filter(|name| seen.insert(name.clone())).collect()
}
