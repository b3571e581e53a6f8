//! All arrays of a request as one list of nodes, to be rewritten.

use std::sync::Arc;

use super::super::plan::{Cuts, DType, Op, Step, shown_shape};
use crate::error::{Error, Result};
use crate::origin::Origin;
use crate::plan::{Member, Read, indentation};

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
        let (readers, mut shown) = (self.readers(), vec![false; self.nodes.len()]);
        let mut text = String::new();
        for root in &self.roots {
            self.tree(*root, &mut text, &mut |at| match std::mem::replace(&mut shown[at], true) {
                true => (format!("#{at} again"), false),
                false => (number(at, readers[at]) + &self.line(at), true),
            });
        }
        text
    }

    /// The same as it runs: each layer with what is fused into it. `owners` tells how many layers make a node, or read it; `pass_of`
    /// the first of those that are made in one pass.
    pub fn text_of_layers(&self, is_layer: &[bool], owners: &[u32], pass_of: &dyn Fn(usize) -> usize) -> String {
        let (needed, readers) = (self.needed(), self.readers());
        let mut text = String::new();
        let mut shown_in = vec![usize::MAX; self.nodes.len()];
        for layer in (0..self.nodes.len()).filter(|at| is_layer[*at] && needed[*at]) {
            self.tree(layer, &mut text, &mut |at| {
                let again = std::mem::replace(&mut shown_in[at], layer) == layer;
                let is_free = matches!(self.nodes[at].op, Op::Full(_) | Op::Memory(_));
                match (at == layer, is_layer[at], owners[at]) {
                    (true, _, _) if pass_of(at) != at => {
                        (format!("#{at} {}, in one pass with #{}", self.line(at), pass_of(at)), false)
                    }
                    (true, _, 0 | 1) => (format!("#{at} {}", self.line(at)), true),
                    (true, _, readers) => (format!("#{at} {}, kept for {readers} layers", self.line(at)), true),
                    (false, true, _) => (format!("reads #{at}"), false),
                    _ if again => (format!("#{at} again"), false),
                    (false, false, makers) if makers > 1 && !is_free => {
                        (format!("#{at} {}, made by each of {makers} layers", self.line(at)), true)
                    }
                    _ => (number(at, readers[at]) + &self.line(at), true),
                }
            });
        }
        text
    }

    /// By how many others each node is read, or wanted.
    fn readers(&self) -> Vec<u32> {
        let mut readers = vec![0u32; self.nodes.len()];
        self.nodes.iter().flat_map(|node| &node.inputs).chain(&self.roots).for_each(|read| readers[*read] += 1);
        readers
    }

    /// A node in a line.
    fn line(&self, at: usize) -> String {
        let node = &self.nodes[at];
        let blocks: u32 = node.cuts.iter().map(Cuts::blocks).product();
        format!("{}: {} {} in {blocks} blocks", node.op.label(), node.dtype, shown_shape(&node.cuts))
    }

    /// A node and what it reads, each line as it is told, and with it whether what that one reads is shown.
    fn tree(&self, root: usize, text: &mut String, line: &mut dyn FnMut(usize) -> (String, bool)) {
        let mut open = vec![(root, 0)];
        while let Some((at, depth)) = open.pop() {
            let (line, goes_on) = line(at);
            *text += &format!("{}{line}\n", indentation(depth));
            if goes_on {
                open.extend(self.nodes[at].inputs.iter().rev().map(|input| (*input, depth + 1)));
            }
        }
    }
}

/// The number of a node that several read.
fn number(at: usize, readers: u32) -> String {
    if readers > 1 { format!("#{at} ") } else { String::new() }
}
