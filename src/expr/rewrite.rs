//! Expressions made of expressions: selectors and parameters replaced, aggregates taken out.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::Schema;

use super::{Aggregate, Expr, Value, col};
use crate::error::{Error, ErrorKind, Result};

impl Expr {
    /// The expressions that it stands for over tables of a schema: one for each column of its selector, itself where it has
    /// none. Several selectors in one expression go side by side, and need as many columns each; among the operands of a
    /// function that takes any number of them, a selector stands for so many more operands.
    ///
    /// # Errors
    /// Of kind `Plan`, where a selector names a column that is not there, or two do not go side by side.
    pub fn expand(&self, schema: &Schema) -> Result<Vec<Expr>> {
        if !self.has_selector() {
            return Ok(vec![self.clone()]);
        }
        // Of each part the expressions it stands for: one if there is no selector below.
        let mut made: HashMap<*const Expr, (Vec<Expr>, bool)> = HashMap::new();
        for expr in self.parts() {
            let expanded = if let Expr::Selector(selector) = expr {
                (selector.select(schema)?.into_iter().map(Expr::Column).collect(), true)
            } else {
                self.expand_part(expr, &made)?
            };
            made.insert(std::ptr::from_ref(expr), expanded);
        }
        Ok(made.remove(&std::ptr::from_ref(self)).map(|(exprs, _)| exprs).unwrap_or_default())
    }

    fn expand_part(&self, expr: &Expr, made: &HashMap<*const Expr, (Vec<Expr>, bool)>) -> Result<(Vec<Expr>, bool)> {
        let operands = expr.operands();
        if operands.is_empty() {
            return Ok((vec![expr.clone()], false));
        }
        if let Expr::Call(function, args) = expr
            && function.takes_many()
        {
            let spliced = args.iter().flat_map(|arg| match arg {
                Expr::Selector(_) => made[&std::ptr::from_ref(arg)].0.iter().map(|expr| vec![expr.clone()]).collect(),
                arg => vec![made[&std::ptr::from_ref(arg)].0.clone()],
            });
            let spliced: Vec<Vec<Expr>> = spliced.collect();
            let many = args.iter().any(|arg| !matches!(arg, Expr::Selector(_)) && made[&std::ptr::from_ref(arg)].1);
            let lists: Vec<(&[Expr], bool)> = spliced.iter().map(|list| (&**list, list.len() != 1)).collect();
            let rows = self.side_by_side(&lists, many)?;
            let calls = rows.into_iter().map(|args| Expr::Call(function.clone(), args.into()));
            return Ok((calls.collect(), many));
        }
        let of_operands = operands.iter().map(|operand| &made[&std::ptr::from_ref(*operand)]);
        let lists: Vec<(&[Expr], bool)> = of_operands.map(|(exprs, many)| (&**exprs, *many)).collect();
        let many = lists.iter().any(|(_, many)| *many);
        let rows = self.side_by_side(&lists, many)?;
        Ok((rows.into_iter().map(|operands| expr.with_operands(operands)).collect(), many))
    }

    /// The operands of the first, of the second, …
    fn side_by_side(&self, lists: &[(&[Expr], bool)], many: bool) -> Result<Vec<Vec<Expr>>> {
        if !many {
            return Ok(vec![lists.iter().filter_map(|(exprs, _)| exprs.first().cloned()).collect()]);
        }
        let mut count = None;
        for (exprs, _) in lists.iter().filter(|(_, many)| *many) {
            if count.is_some_and(|count| count != exprs.len()) {
                let text = format!(
                    "`{}`: selectors in one expression need as many columns each, and these have {} and {}",
                    self.brief(),
                    count.unwrap_or(0),
                    exprs.len()
                );
                return Err(Error::new(ErrorKind::Plan, text));
            }
            count = Some(exprs.len());
        }
        let row = |at: usize| {
            let operands = lists.iter().filter_map(|(exprs, many)| exprs.get(if *many { at } else { 0 }).cloned());
            operands.collect()
        };
        Ok((0..count.unwrap_or(0)).map(row).collect())
    }

    /// The same with parameters replaced by their values, where those are known.
    #[must_use]
    pub fn bind(&self, values: &dyn Fn(u64) -> Option<Value>) -> Expr {
        if self.parameters().is_empty() {
            return self.clone();
        }
        let name = self.output_name();
        let bound = self.rebuild(|expr| match &expr {
            Expr::Parameter(parameter) => match values(parameter.id) {
                // Of the type it was promised to have.
                Some(value) => Expr::Literal(match value.to_array_of(&parameter.data_type) {
                    Some(array) => Value::Typed(array),
                    None => value,
                }),
                None => expr,
            },
            _ => expr,
        });
        bound.named(&name)
    }

    /// The same with columns replaced by expressions, where there is one; it keeps its name.
    #[must_use]
    pub fn substitute(&self, columns: &dyn Fn(&str) -> Option<Expr>) -> Expr {
        let name = self.output_name();
        let replaced = self.rebuild(|expr| match &expr {
            Expr::Column(name) => columns(name).map_or(expr.clone(), |found| found.unnamed().clone()),
            _ => expr,
        });
        replaced.named(&name)
    }

    /// Under this name, if it has another one.
    pub(super) fn named(self, name: &Arc<str>) -> Expr {
        if self.output_name() == *name { self } else { Expr::Alias(Arc::new(self), name.clone()) }
    }

    /// As text of a bounded length.
    pub(crate) fn brief(&self) -> String {
        use std::fmt::Write;

        struct Bounded(String);
        impl Write for Bounded {
            fn write_str(&mut self, text: &str) -> std::fmt::Result {
                self.0.push_str(text);
                if self.0.len() > 240 { Err(std::fmt::Error) } else { Ok(()) }
            }
        }

        let mut text = Bounded(String::new());
        match write!(text, "{self}") {
            Ok(()) => text.0,
            Err(_) => {
                let kept: String = text.0.chars().take(200).collect();
                format!("{kept}…")
            }
        }
    }
}

/// Expressions over groups in two steps: aggregates of the rows, and what is made of them.
#[derive(Clone, Debug, PartialEq)]
pub struct SplitAggregates {
    /// The aggregates, each once.
    pub aggregates: Vec<Aggregate>,
    /// The expressions over columns called as [`aggregate_column`] says, under the names they had.
    pub outputs: Vec<Expr>,
}

/// What the names of the columns of aggregates begin with.
pub(crate) const AGGREGATE_COLUMN: &str = "__aggregate_";

/// The name of the column of an aggregate by its place.
pub fn aggregate_column(at: usize) -> Arc<str> {
    format!("{AGGREGATE_COLUMN}{at}").into()
}

/// The place of an aggregate by the name of its column.
pub fn aggregate_place(name: &str) -> Option<usize> {
    name.strip_prefix(AGGREGATE_COLUMN)?.parse().ok()
}

/// Takes the aggregates out of expressions such as `sum(a) / sum(b)`. Aggregates inside of aggregates stay where they are.
///
/// ```
/// use chunkwise::expr::split_aggregates;
/// use chunkwise::prelude::*;
///
/// let split = split_aggregates(&[col("a").sum() / col("b").sum(), col("a").sum()]);
/// assert_eq!(split.aggregates.len(), 2);
/// assert_eq!(split.outputs[0].to_string(), "__aggregate_0 / __aggregate_1 as a");
/// assert_eq!(split.outputs[1].to_string(), "__aggregate_0 as a");
/// ```
pub fn split_aggregates(exprs: &[Expr]) -> SplitAggregates {
    let mut places: HashMap<Aggregate, usize> = HashMap::new();
    let mut aggregates = Vec::new();
    let outputs = exprs.iter().map(|expr| {
        // Parts below an aggregate are not looked at, so this is no `rebuild`.
        let mut made: HashMap<*const Expr, Expr> = HashMap::new();
        let mut open = vec![(expr, false)];
        while let Some((part, done)) = open.pop() {
            let address = std::ptr::from_ref(part);
            if made.contains_key(&address) {
                continue;
            }
            if let Expr::Aggregate(aggregate) = part {
                let at = *places.entry(Aggregate::clone(aggregate)).or_insert_with(|| {
                    aggregates.push(Aggregate::clone(aggregate));
                    aggregates.len() - 1
                });
                made.insert(address, col(&aggregate_column(at)));
                continue;
            }
            let operands = part.operands();
            if done || operands.is_empty() {
                let operands = operands.into_iter().map(|operand| made[&std::ptr::from_ref(operand)].clone());
                made.insert(address, part.with_operands(operands.collect()));
            } else {
                open.push((part, true));
                open.extend(operands.into_iter().rev().map(|operand| (operand, false)));
            }
        }
        let output = made.remove(&std::ptr::from_ref(expr)).unwrap_or_else(|| expr.clone());
        output.named(&expr.output_name())
    });
    let outputs = outputs.collect();
    SplitAggregates { aggregates, outputs }
}
