//! Aggregates among rows: `col("v") - col("v").mean()` reads a value that has to be computed first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::datatypes::Schema;

use super::plan::{Frame, Grouping, Op};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::{Expr, Parameter, aggregate_column, aggregate_place, split_aggregates};
use crate::origin::Origin;

/// Parameters by their numbers, each with the table of one value that gives it.
pub(super) type Parameters = Vec<(u64, Frame)>;

/// So many values are taken from one table.
const TOGETHER: usize = 128;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A parameter that no other one is, for the only value of a table of one column and one row.
pub(super) fn parameter(frame: &Frame, label: Arc<str>) -> Parameter {
    let data_type = frame.schema.fields().first().map(|field| field.data_type().clone());
    let data_type = data_type.unwrap_or(arrow::datatypes::DataType::Null);
    Parameter { id: NEXT.fetch_add(1, Ordering::Relaxed), label, data_type }
}

/// Expressions without aggregates: each aggregate is a parameter, the value of a table of its own over the same rows.
///
/// # Errors
/// Of kind `Plan`, where an aggregate does not fit.
pub(super) fn without_aggregates(
    exprs: Vec<Expr>,
    frame: &Frame,
    verb: &'static str,
    origin: Origin,
) -> Result<(Vec<Expr>, Parameters)> {
    if !exprs.iter().any(Expr::has_aggregate) {
        return Ok((exprs, Vec::new()));
    }
    names_are_free(&exprs)?;
    let split = split_aggregates(&exprs);
    let mut parameters = Vec::with_capacity(split.aggregates.len());
    let mut made = Vec::with_capacity(split.aggregates.len());
    // One table of all of them: the rows are gone through once.
    let all: Vec<Expr> = split
        .aggregates
        .iter()
        .enumerate()
        .map(|(at, aggregate)| Expr::Aggregate(Arc::new(aggregate.clone())).alias(&aggregate_column(at)))
        .collect();
    let grouping = Grouping::new(Vec::new(), &all, false)?;
    let values = Frame::new(Op::Aggregate(grouping), &[frame], verb, origin)?;
    for (part, aggregates) in split.aggregates.chunks(TOGETHER).enumerate() {
        let columns = (part * TOGETHER..).map(|at| Expr::Column(aggregate_column(at))).take(aggregates.len());
        // Of many values each is taken from a table of some of them, which is less to go through than one of all.
        let some = match split.aggregates.len() > TOGETHER {
            true => &Frame::new(Op::Select(columns.clone().collect()), &[&values], verb, origin)?,
            false => &values,
        };
        for (aggregate, column) in aggregates.iter().zip(columns) {
            let single = Frame::new(Op::Select(vec![column]), &[some], verb, origin)?;
            let label = Expr::Aggregate(Arc::new(aggregate.clone())).brief();
            let parameter = parameter(&single, label.into());
            parameters.push((parameter.id, single));
            made.push(parameter);
        }
    }
    let replace = |name: &str| made.get(aggregate_place(name)?).cloned().map(Expr::Parameter);
    let exprs = exprs.iter().zip(&split.outputs).map(|(expr, output)| {
        let replaced = output.substitute(&replace);
        let name = expr.output_name();
        if replaced.output_name() == name { replaced } else { replaced.alias(&name) }
    });
    Ok((exprs.collect(), parameters))
}

/// Whether no column is called as those of aggregates are, beside which it would be taken for one.
///
/// # Errors
/// Of kind `Plan`.
pub(super) fn names_are_free(exprs: &[Expr]) -> Result<()> {
    let taken = exprs.iter().flat_map(Expr::columns).find(|name| aggregate_place(name).is_some());
    taken.map_or(Ok(()), |name| {
        let text = format!("a column `{name}` cannot stand beside aggregates, which are called so inside: rename it");
        Err(Error::new(ErrorKind::Plan, text))
    })
}

/// Whether each expression is one value for all rows: every column in it stands in an aggregate.
pub(super) fn all_reduce(exprs: &[Expr]) -> bool {
    !exprs.is_empty()
        && exprs.iter().all(|expr| {
            expr.has_aggregate() && {
                let split = split_aggregates(std::slice::from_ref(expr));
                let known = |name: &Arc<str>| aggregate_place(name).is_some_and(|at| at < split.aggregates.len());
                split.outputs.iter().flat_map(Expr::columns).all(|name| known(&name))
            }
        })
}

/// Selectors replaced by the columns they stand for.
///
/// # Errors
/// Of kind `Plan`, where one names a column that is not there.
pub(super) fn expanded(exprs: impl IntoIterator<Item = Expr>, schema: &Schema) -> Result<Vec<Expr>> {
    let mut all = Vec::new();
    for expr in exprs {
        all.extend(expr.expand(schema)?);
    }
    Ok(all)
}
