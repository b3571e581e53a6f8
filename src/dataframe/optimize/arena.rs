//! All tables of a request as one list of nodes, to be rewritten.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use super::super::plan::{Op, Step, order_of};
use crate::error::{Error, Result};
use crate::origin::Origin;
use crate::plan::{Member, Read, indentation};

/// All tables of a request. Nodes stand behind those they read.
#[derive(Clone, Debug, Default)]
pub(in crate::dataframe) struct Plan {
    pub nodes: Vec<Node>,
    /// The nodes whose tables are wanted.
    pub roots: Vec<usize>,
    /// The memory limit of the run.
    pub limit_bytes: u64,
}

/// What a pass leaves as it is of a wanted table.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::dataframe) struct Promise {
    schema: SchemaRef,
    partitions: u32,
    /// Whether the order of its rows is one that verbs may go by.
    ordered: bool,
}

/// An operation and what it reads.
#[derive(Clone, Debug)]
pub(in crate::dataframe) struct Node {
    pub op: Op,
    /// The tables, then one of a single value for each parameter.
    pub inputs: Vec<usize>,
    pub parameters: Vec<u64>,
    pub schema: SchemaRef,
    pub partitions: u32,
    /// About how many bytes each column of a partition takes; of the schema before any pass.
    pub bytes: Arc<[u64]>,
    pub origin: Origin,
    pub verb: &'static str,
    /// Which member of the region it comes from.
    pub member: u32,
    /// For what stands outside: which input of the member it is.
    pub outside: Option<u32>,
    /// What its sources wait for.
    pub gate: Option<u32>,
}

impl Node {
    /// The tables it reads, without parameters.
    pub fn tables(&self) -> &[usize] {
        &self.inputs[..self.inputs.len() - self.parameters.len()]
    }

    /// Another node of the same step.
    pub fn beside(&self, op: Op, inputs: Vec<usize>, schema: SchemaRef) -> Node {
        Node { op, inputs, schema, parameters: Vec::new(), outside: None, ..self.clone() }
    }
}

impl Plan {
    /// The plan of the members of a region.
    ///
    /// # Errors
    /// Of kind `Internal`, where a member is no table.
    pub fn new(members: &[Member<'_>]) -> Result<Plan> {
        let mut plan = Plan::default();
        let mut places: Vec<usize> = Vec::with_capacity(members.len());
        for (number, member) in members.iter().enumerate() {
            let step: &Step = member.node.downcast_ref().ok_or_else(|| Error::internal("a table that is none"))?;
            let mut inputs = Vec::with_capacity(member.reads.len());
            for (read, frame) in member.reads.iter().zip(&step.inputs) {
                inputs.push(match read {
                    Read::Member(of) => places[*of as usize],
                    Read::Outside(input) => {
                        plan.nodes.push(Node {
                            op: Op::Outside,
                            inputs: Vec::new(),
                            parameters: Vec::new(),
                            schema: frame.schema.clone(),
                            partitions: frame.partitions,
                            bytes: frame.bytes.clone(),
                            origin: step.origin,
                            verb: step.verb,
                            member: number as u32,
                            outside: Some(*input),
                            gate: member.gate,
                        });
                        plan.nodes.len() - 1
                    }
                });
            }
            if let (Op::Outside, [input]) = (&step.op, &inputs[..]) {
                // The step is only a name for what stands outside.
                places.push(*input);
            } else {
                plan.nodes.push(Node {
                    op: step.op.clone(),
                    inputs,
                    parameters: step.parameters.clone(),
                    schema: step.schema.clone(),
                    partitions: step.partitions,
                    bytes: step.bytes.clone(),
                    origin: step.origin,
                    verb: step.verb,
                    member: number as u32,
                    outside: None,
                    gate: member.gate,
                });
                places.push(plan.nodes.len() - 1);
            }
        }
        let roots = members.iter().zip(&places).filter(|(member, _)| member.is_root);
        plan.roots = roots.map(|(_, place)| *place).collect();
        Ok(plan)
    }

    /// How many read each node; a root is read once more.
    pub fn readers(&self) -> Vec<u32> {
        let mut readers = vec![0; self.nodes.len()];
        self.nodes.iter().flat_map(|node| &node.inputs).chain(&self.roots).for_each(|read| readers[*read] += 1);
        readers
    }

    /// Makes all who read one node read another.
    pub fn redirect(&mut self, changes: &HashMap<usize, usize>) {
        // Chains of changes are gone through once: what was found is kept.
        let mut ends: HashMap<usize, usize> = HashMap::with_capacity(changes.len());
        let mut passed = Vec::new();
        let mut find = |mut at: usize| {
            while let Some(next) = changes.get(&at) {
                if let Some(end) = ends.get(&at) {
                    at = *end;
                    break;
                }
                passed.push(at);
                at = *next;
            }
            passed.drain(..).for_each(|from| {
                ends.insert(from, at);
            });
            at
        };
        let inputs = self.nodes.iter_mut().flat_map(|node| &mut node.inputs);
        inputs.chain(&mut self.roots).for_each(|read| *read = find(*read));
    }

    /// Drops what no root needs, and brings nodes behind those they read.
    pub fn sort(&mut self) {
        const OPEN: usize = usize::MAX;
        let mut place = vec![None; self.nodes.len()];
        let mut order = Vec::with_capacity(self.nodes.len());
        let mut stack: Vec<usize> = self.roots.iter().rev().copied().collect();
        while let Some(at) = stack.pop() {
            match place[at] {
                None => {
                    place[at] = Some(OPEN);
                    stack.push(at);
                    stack.extend(self.nodes[at].inputs.iter().rev().filter(|input| place[**input].is_none()));
                }
                Some(OPEN) => {
                    place[at] = Some(order.len());
                    order.push(at);
                }
                Some(_) => {}
            }
        }
        let moved = |at: &mut usize| *at = place[*at].unwrap_or(OPEN);
        let mut nodes: Vec<Option<Node>> = std::mem::take(&mut self.nodes).into_iter().map(Some).collect();
        self.nodes = order.iter().filter_map(|at| nodes[*at].take()).collect();
        self.nodes.iter_mut().flat_map(|node| &mut node.inputs).for_each(moved);
        self.roots.iter_mut().for_each(moved);
    }

    /// What is promised of the wanted tables.
    ///
    /// # Errors
    /// Where an operation goes by an order that was waived.
    pub fn promises(&self) -> Result<Vec<Promise>> {
        let mut orders: Vec<bool> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            orders.push(order_of(&node.op, node.tables().iter().map(|input| orders[*input]))?);
        }
        let promise = |root: &usize| {
            let node = &self.nodes[*root];
            Promise { schema: node.schema.clone(), partitions: node.partitions, ordered: orders[*root] }
        };
        Ok(self.roots.iter().map(promise).collect())
    }

    /// Whether it is sound: nodes stand behind what they read, expressions fit, verbs that go by the order of rows still find one,
    /// and roots are what they were.
    pub fn check(&self, before: &[Promise]) -> Result<()> {
        for (at, node) in self.nodes.iter().enumerate() {
            if node.inputs.iter().any(|input| *input >= at) {
                return Err(Error::internal(format!("`{}` stands before what it reads", node.op.label())));
            }
            let Some(input) = node.tables().first().map(|input| &self.nodes[*input].schema) else { continue };
            let exprs: Vec<_> = match &node.op {
                Op::Filter(condition) => vec![condition],
                Op::Select(exprs) => exprs.iter().collect(),
                Op::Aggregate(grouping) => {
                    let args = grouping.aggregates.iter().flat_map(|of| of.args.iter().chain(&of.filter));
                    grouping.keys.iter().chain(args).collect()
                }
                Op::Top { by, .. } => by.iter().map(|key| &key.of).collect(),
                Op::Scan(_)
                | Op::Outside
                | Op::CountRows
                | Op::CountBytes
                | Op::Number(_)
                | Op::Fill(_)
                | Op::Repartition
                | Op::Slice { .. }
                | Op::Concat
                | Op::Join(_)
                | Op::Explode(_)
                | Op::Gather
                | Op::Partition(_)
                | Op::Map(_)
                | Op::Overlap(_)
                | Op::Write(_) => Vec::new(),
            };
            let fields = crate::expr::Lookup::new(input);
            for expr in exprs {
                expr.type_in(&fields)?;
            }
        }
        let now = self.promises()?;
        for ((root, was), is) in self.roots.iter().zip(before).zip(now) {
            let label = self.nodes[*root].op.label();
            if is.schema.fields() != was.schema.fields() {
                return Err(Error::internal(format!("`{label}` has other columns")));
            }
            if (is.partitions, is.ordered) != (was.partitions, was.ordered) {
                return Err(Error::internal(format!("`{label}` has other partitions or another order of rows")));
            }
        }
        Ok(())
    }

    /// As text: each root as a tree, what is read by several once and then by its number.
    pub fn text(&self) -> String {
        self.noted(&|_| String::new())
    }

    /// As text, with a note behind each operation.
    pub fn noted(&self, note: &dyn Fn(usize) -> String) -> String {
        let readers = self.readers();
        let mut text = String::new();
        let mut shown = vec![false; self.nodes.len()];
        let mut open: Vec<(usize, usize)> = self.roots.iter().rev().map(|root| (*root, 0)).collect();
        while let Some((at, depth)) = open.pop() {
            let node = &self.nodes[at];
            let number = if readers[at] > 1 { format!("#{at} ") } else { String::new() };
            let line =
                if shown[at] { format!("#{at} again") } else { format!("{number}{}{}", node.op.label(), note(at)) };
            text += &format!("{}{line}\n", indentation(depth));
            if !shown[at] {
                open.extend(node.inputs.iter().rev().map(|input| (*input, depth + 1)));
            }
            shown[at] = true;
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataframe::{DataFrame, from_columns};
    use crate::expr::col;

    /// The plan of tables that each read the one before them, of which the last is wanted.
    fn chain(tables: &[&DataFrame]) -> Plan {
        let frames: Vec<_> = tables.iter().map(|table| table.frame().unwrap()).collect();
        let members = frames.iter().enumerate().map(|(at, frame)| Member {
            node: frame.node.node().region().unwrap().1,
            reads: at.checked_sub(1).map(|below| Read::Member(below as u32)).into_iter().collect(),
            is_root: at + 1 == frames.len(),
            gate: None,
        });
        Plan::new(&members.collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn what_a_pass_breaks_is_seen() {
        let table = from_columns([("k", vec![1_i64, 2, 1]), ("v", vec![4, 5, 6])]);
        let groups = table.group_by(["k"]).agg([col("v").sum().alias("sum")]);
        let last = groups.tail(1);
        for (verbs, goes_by_order) in [(vec![&table, &groups, &last], true), (vec![&table, &groups], false)] {
            let plan = chain(&verbs);
            let before = plan.promises().unwrap();
            plan.check(&before).unwrap();
            let waived = {
                let mut plan = plan.clone();
                let Op::Aggregate(grouping) = &mut plan.nodes[1].op else { panic!("{}", plan.text()) };
                grouping.unordered = true;
                plan.check(&before).unwrap_err().to_string()
            };
            assert_eq!(waived.contains("goes by the order"), goes_by_order, "{waived}");
            assert!(goes_by_order || waived.contains("another order of rows"), "{waived}");
            let mut other = plan.clone();
            other.nodes[*plan.roots.last().unwrap()].partitions += 1;
            assert!(other.check(&before).unwrap_err().to_string().contains("other partitions"));
            let mut turned = plan.clone();
            turned.nodes.swap(0, 1);
            assert!(turned.check(&before).unwrap_err().to_string().contains("before what it reads"));
        }
    }
}
