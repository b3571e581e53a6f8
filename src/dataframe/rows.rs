//! Verbs that take some of the rows, or put tables together: `head`, `tail`, `nlargest`, `concat`.

use super::plan::{Frame, Op, SortKey};
use super::{DataFrame, IntoColumn};
use crate::error::{Error, ErrorKind, Result, Role};
use crate::expr::{Expr, Lookup, col, lit};
use crate::origin::Origin;

impl DataFrame {
    /// The first rows, from as many partitions as it takes: of a filtered table too there are `rows` of them, if the whole table
    /// has as many. No more is read than it must: morsels in waves, each twice as large as the one before.
    #[track_caller]
    pub fn head(&self, rows: usize) -> DataFrame {
        self.slice_at("head", rows, false, Origin::caller())
    }

    /// The last rows, in their order.
    #[track_caller]
    pub fn tail(&self, rows: usize) -> DataFrame {
        self.slice_at("tail", rows, true, Origin::caller())
    }

    fn slice_at(&self, verb: &'static str, rows: usize, end: bool, origin: Origin) -> DataFrame {
        let op = Op::Slice { len: rows as u64, end };
        self.derive(verb, origin, |frame| Frame::new(op, &[frame], verb, origin))
    }

    /// The rows with the greatest values of a column, greatest first; of equal ones those that come first. Null is less than all
    /// others, NaN greater.
    ///
    /// # Memory
    /// Twice as many rows for each morsel that is worked on; nothing is sorted as a whole.
    #[track_caller]
    pub fn nlargest<C: IntoColumn>(&self, rows: usize, by: impl IntoIterator<Item = C>) -> DataFrame {
        self.top("nlargest", rows, by.into_iter().map(C::into_column).collect(), true, Origin::caller())
    }

    /// The rows with the least values of a column, least first; of equal ones those that come first. Null and NaN are
    /// greater than all others.
    #[track_caller]
    pub fn nsmallest<C: IntoColumn>(&self, rows: usize, by: impl IntoIterator<Item = C>) -> DataFrame {
        self.top("nsmallest", rows, by.into_iter().map(C::into_column).collect(), false, Origin::caller())
    }

    fn top(&self, verb: &'static str, rows: usize, by: Vec<Expr>, descending: bool, origin: Origin) -> DataFrame {
        self.derive(verb, origin, |frame| {
            if by.is_empty() {
                return Err(Error::new(ErrorKind::Plan, "no columns to compare rows by"));
            }
            let by = super::parameters::expanded(by, &frame.schema)?;
            let by = by.into_iter().map(|of| SortKey { of, descending }).collect();
            Frame::new(Op::Top { by, len: rows as u64 }, &[frame], verb, origin)
        })
    }
}

/// The rows of several tables, one behind another. Columns are matched by name: one that a table lacks is null there, and
/// numbers of different types are brought to the smallest one that holds both.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let a = dataframe::from_columns([("x", vec![1, 2])]);
/// let b = dataframe::from_columns([("x", vec![3.5])]);
/// assert_eq!(dataframe::concat([&a, &b]).compute()?.to_string(), "  x\n---\n1.0\n2.0\n3.5\n");
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[track_caller]
pub fn concat<'a>(tables: impl IntoIterator<Item = &'a DataFrame>) -> DataFrame {
    let origin = Origin::caller();
    let made = || -> Result<Frame> {
        let frames = tables.into_iter().map(DataFrame::frame).collect::<Result<Vec<&Frame>>>()?;
        let aligned = aligned(&frames, origin)?;
        Frame::new(Op::Concat, &aligned.iter().collect::<Vec<_>>(), "concat", origin)
    };
    DataFrame { state: made().map_err(|error| error.frame(Role::In, "concat", origin)) }
}

/// Tables with the same columns: all that any of them has, in the order in which they come up.
fn aligned(frames: &[&Frame], origin: Origin) -> Result<Vec<Frame>> {
    if frames.is_empty() {
        return Err(Error::new(ErrorKind::Plan, "no tables to put together"));
    }
    let mut columns: Vec<(String, arrow::datatypes::DataType)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for frame in frames {
        for field in frame.schema.fields() {
            match places.get(field.name()) {
                None => {
                    places.insert(field.name().clone(), columns.len());
                    columns.push((field.name().clone(), field.data_type().clone()));
                }
                Some(at) => {
                    let (name, known): &mut (String, _) = &mut columns[*at];
                    if known != field.data_type() {
                        let common = crate::expr::common_type(known, field.data_type()).ok_or_else(|| {
                            let text = format!(
                                "column `{name}` is a {known} in one table and a {} in another: cast one of them",
                                field.data_type()
                            );
                            Error::new(ErrorKind::Plan, text)
                        })?;
                        *known = common;
                    }
                }
            }
        }
    }
    let align = |frame: &&Frame| {
        let same = frame.schema.fields().len() == columns.len()
            && frame
                .schema
                .fields()
                .iter()
                .zip(&columns)
                .all(|(field, (name, of))| field.name() == name && field.data_type() == of);
        if same {
            return Ok((*frame).clone());
        }
        let own = Lookup::new(&frame.schema);
        let exprs = columns.iter().map(|(name, of)| match own.field(name) {
            Some(field) if field.data_type() == of => col(name),
            Some(_) => col(name).cast(of.clone()).alias(name),
            None => lit(crate::expr::Value::Null).cast(of.clone()).alias(name),
        });
        Frame::new(Op::Select(exprs.collect()), &[*frame], "concat", origin)
    };
    frames.iter().map(align).collect()
}
