//! All arrays of a request as one list of nodes, to be rewritten.

use std::sync::Arc;

use super::super::plan::{Cuts, DType, Op, Step, shown_shape};
use crate::error::{Error, Result};
use crate::origin::Origin;
use crate::plan::{Member, Read};

/// All arrays of a request. Nodes stand behind those they read.
#[derive(Clone, Default)]
pub(in crate::array) struct Plan {
    pub nodes: Vec<Node>,
    /// The nodes whose blocks are wanted.
    pub roots: Vec<usize>,
    /// By member the node that gives its blocks.
    pub node_of: Vec<usize>,
}

/// An operation and what it reads.
#[derive(Clone)]
pub(in crate::array) struct Node {
    pub op: Op,
    pub inputs: Vec<usize>,
    pub dtype: DType,
    pub cuts: Arc<[Cuts]>,
    pub origin: Origin,
    pub verb: &'static str,
    /// Which member of the region it comes from.
    pub member: u32,
    /// What its sources wait for.
    pub gate: Option<u32>,
}

impl Plan {
    /// The plan of the members of a region.
    ///
    /// # Errors
    /// Of kind `Internal`, where a member is no array.
    pub fn new(members: &[Member<'_>]) -> Result<Plan> {
        let mut plan = Plan::default();
        for (number, member) in members.iter().enumerate() {
            let step: &Step = member.node.downcast_ref().ok_or_else(|| Error::internal("an array that is none"))?;
            let inputs = match &step.op {
                // What it reads stands outside of the region, or is asked for as if it did.
                Op::Outside => Vec::new(),
                _ => {
                    let inputs = member.reads.iter().map(|read| match read {
                        Read::Member(of) => Ok(*of as usize),
                        Read::Outside(_) => Err(Error::internal("an array reads what is none")),
                    });
                    inputs.collect::<Result<_>>()?
                }
            };
            plan.nodes.push(Node {
                op: step.op.clone(),
                inputs,
                dtype: step.dtype,
                cuts: step.cuts.clone(),
                origin: step.origin,
                verb: step.verb,
                member: number as u32,
                gate: member.gate,
            });
        }
        plan.node_of = (0..members.len()).collect();
        plan.roots = members.iter().enumerate().filter(|(_, member)| member.is_root).map(|(at, _)| at).collect();
        Ok(plan)
    }

    /// Which nodes some root needs.
    pub fn needed(&self) -> Vec<bool> {
        let mut needed = vec![false; self.nodes.len()];
        self.roots.iter().for_each(|root| needed[*root] = true);
        for at in (0..self.nodes.len()).rev() {
            if needed[at] {
                self.nodes[at].inputs.iter().for_each(|input| needed[*input] = true);
            }
        }
        needed
    }

    /// As text: each root as a tree, what is read by several once and then by its number.
    pub fn text(&self) -> String {
        let mut readers = vec![0u32; self.nodes.len()];
        self.nodes.iter().flat_map(|node| &node.inputs).chain(&self.roots).for_each(|read| readers[*read] += 1);
        let mut text = String::new();
        let mut shown = vec![false; self.nodes.len()];
        let mut open: Vec<(usize, usize)> = self.roots.iter().rev().map(|root| (*root, 0)).collect();
        while let Some((at, depth)) = open.pop() {
            let node = &self.nodes[at];
            let number = if readers[at] > 1 { format!("#{at} ") } else { String::new() };
            let line = match shown[at] {
                true => format!("#{at} again"),
                false => {
                    let blocks: u32 = node.cuts.iter().map(Cuts::blocks).product();
                    let shape = shown_shape(&node.cuts);
                    format!("{number}{}: {} {shape} in {blocks} blocks", node.op.label(), node.dtype)
                }
            };
            text += &format!("{}{line}\n", "  ".repeat(depth));
            if !shown[at] {
                open.extend(node.inputs.iter().rev().map(|input| (*input, depth + 1)));
            }
            shown[at] = true;
        }
        text
    }
}
