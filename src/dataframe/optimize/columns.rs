//! Only columns that are used are read and computed.

use std::collections::BTreeSet;

use super::super::plan::{NumberOp, Op, project, schema_of};
use super::arena::Plan;
use crate::error::{Error, Result};
use crate::expr::{Expr, Lookup};

/// The used columns of a node's table, by their places.
type Used = BTreeSet<usize>;

pub(super) fn run(plan: &mut Plan) -> Result<()> {
    plan.sort();
    let mut used: Vec<Used> = vec![Used::new(); plan.nodes.len()];
    for root in &plan.roots {
        used[*root] = (0..plan.nodes[*root].schema.fields().len()).collect();
    }
    for at in (0..plan.nodes.len()).rev() {
        let own = std::mem::take(&mut used[at]);
        for (slot, input) in plan.nodes[at].inputs.iter().enumerate() {
            let wanted = wanted(plan, at, slot, &own)?;
            used[*input].extend(wanted);
        }
        used[at] = own;
    }
    for (at, used) in used.iter().enumerate() {
        narrow(plan, at, used)?;
    }
    Ok(())
}

/// The columns of its input that a node needs for those of its own that are used.
fn wanted(plan: &Plan, at: usize, slot: usize, used: &Used) -> Result<Used> {
    let node = &plan.nodes[at];
    let input = &plan.nodes[node.inputs[slot]].schema;
    let all = || (0..input.fields().len()).collect::<Used>();
    if slot >= node.tables().len() {
        // A single value.
        return Ok(all());
    }
    let mut columns = Used::new();
    let places = Lookup::new(input);
    let mut add = |name: &str| match places.place(name) {
        Some(column) => {
            columns.insert(column);
            Ok(())
        }
        None => Err(Error::internal(format!("`{}` reads a column `{name}` that is not there", node.op.label()))),
    };
    let of = |exprs: &mut dyn Iterator<Item = &Expr>, add: &mut dyn FnMut(&str) -> Result<()>| {
        exprs.flat_map(Expr::columns).try_for_each(|name| add(&name))
    };
    let names = used.iter().map(|column| node.schema.field(*column).name());
    match &node.op {
        Op::Scan(_) | Op::Outside => {}
        Op::CountRows => {}
        Op::Filter(condition) => {
            names.into_iter().try_for_each(|name| add(name))?;
            of(&mut std::iter::once(condition), &mut add)?;
        }
        Op::Number(NumberOp::Index(own)) => {
            names.into_iter().filter(|name| *name != own).try_for_each(|name| add(name))?;
        }
        Op::Slice { .. } | Op::Concat | Op::Repartition | Op::Fill(_) | Op::Number(NumberOp::Sample(_)) => {
            names.into_iter().try_for_each(|name| add(name))?;
        }
        Op::CountBytes => return Ok(all()),
        Op::Top { by, .. } => {
            names.into_iter().try_for_each(|name| add(name))?;
            of(&mut by.iter().map(|key| &key.of), &mut add)?;
        }
        Op::Select(exprs) => of(&mut used.iter().map(|column| &exprs[*column]), &mut add)?,
        Op::Aggregate(grouping) => {
            let args = grouping.aggregates.iter().flat_map(|of| of.args.iter().chain(&of.filter));
            of(&mut grouping.keys.iter().chain(args), &mut add)?;
        }
        Op::Join(join) => {
            let held = slot == 1;
            let given = used.iter().map(|column| &join.columns[*column]).filter(|column| column.held == held);
            given.into_iter().try_for_each(|column| add(&column.from))?;
            join.on.iter().try_for_each(|(own, other)| add(if held { other } else { own }))?;
        }
        Op::Explode(columns) => {
            names.into_iter().try_for_each(|name| add(name))?;
            // They say how many rows there are.
            columns.iter().try_for_each(|name| add(name))?;
        }
        Op::Gather | Op::Partition(_) | Op::Map(_) | Op::Overlap(_) | Op::Write(_) => return Ok(all()),
    }
    Ok(columns)
}

/// Leaves out what is not used; what a node reads is narrow already.
fn narrow(plan: &mut Plan, at: usize, used: &Used) -> Result<()> {
    let columns: Vec<usize> = used.iter().copied().collect();
    let input = plan.nodes[at].tables().first().map(|input| plan.nodes[*input].schema.clone());
    let node = &mut plan.nodes[at];
    match (&mut node.op, input) {
        (Op::Scan(scan), _) => {
            scan.columns = columns.iter().map(|column| scan.columns[*column]).collect();
            node.schema = project(&node.schema, &columns);
        }
        (Op::Select(exprs), Some(input)) => {
            *exprs = columns.iter().map(|column| exprs[*column].clone()).collect();
            node.schema = schema_of(exprs, &input)?;
        }
        (Op::Join(join), Some(_)) => {
            join.columns = columns.iter().map(|column| join.columns[*column].clone()).collect();
            node.schema = project(&node.schema, &columns);
        }
        // Where nobody reads the numbers they are still given: they are the first column.
        (Op::Number(NumberOp::Index(_)), Some(_)) => {
            let with_first: Vec<usize> = std::iter::once(0).chain(columns.into_iter().filter(|at| *at > 0)).collect();
            node.schema = project(&node.schema, &with_first);
        }
        (Op::Fill(fill), Some(_)) => {
            node.schema = project(&node.schema, &columns);
            let places = Lookup::new(&node.schema);
            fill.columns.retain(|name| places.place(name).is_some());
        }
        (Op::Number(NumberOp::Sample(_)) | Op::Repartition | Op::Explode(_), Some(_))
        | (Op::Filter(_) | Op::Slice { .. } | Op::Top { .. } | Op::Concat, Some(_)) => {
            node.schema = project(&node.schema, &columns);
        }
        _ => {}
    }
    Ok(())
}
