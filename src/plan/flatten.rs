//! From handles to a list: the nodes reachable from what is wanted, children before parents, depth first.

use std::collections::HashMap;
use std::sync::Arc;

use super::id_map::IdMap;
use super::node::{Node, NodeRef, Role};
use crate::error::Result;
use crate::graph::Kind;

/// A node in one world.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub node: &'a Arc<dyn Node>,
    /// For a task its pieces; none for a node with layers of its own.
    pub pieces: Option<u32>,
    first_read: u32,
    reads: u32,
}

/// Which piece of which node is read. While the list is made the node is known by its number, then by its place.
#[derive(Clone, Copy)]
pub(super) struct Read {
    node: u64,
    pub piece: u32,
    world: u32,
}

impl Read {
    /// The place of the node.
    pub fn place(&self) -> u32 {
        self.node as u32
    }
}

/// What aliases say about a node.
#[derive(Default)]
pub(super) struct Naming<'a> {
    pub name: Option<&'a str>,
    pub kind: Option<&'static dyn Kind>,
}

/// A copy of a part of the plan: its sources wait for the gate, which stands in another world.
#[derive(Default)]
struct World<'a> {
    map: IdMap,
    gate: Vec<(&'a NodeRef, u32)>,
    outer: u32,
}

/// Nodes in topological order, found by a depth-first walk that finishes each node after its children: so what
/// belongs together stands together. Where aliases lead to a node, their numbers stand for its place as well.
#[derive(Default)]
pub(super) struct Flat<'a> {
    pub places: Vec<Place<'a>>,
    /// What aliases say, by place.
    pub naming: HashMap<u32, Naming<'a>>,
    reads: Vec<Read>,
    worlds: Vec<World<'a>>,
    /// Places of the first nodes with a key.
    keyed: HashMap<&'a str, u32>,
}

/// A step of the walk: a node to be looked at, or, with its reads, to be finished.
struct Step<'a> {
    handle: &'a NodeRef,
    world: u32,
    /// `LOOK` where the node is to be looked at.
    first_read: u32,
    reads: u32,
}

const LOOK: u32 = u32::MAX;

/// In the map of a world: seen, and not finished.
const OPEN: u32 = u32::MAX - 1;

impl<'a> Flat<'a> {
    /// All nodes below the roots. A poisoned one is an error.
    pub fn new(roots: impl DoubleEndedIterator<Item = &'a NodeRef>) -> Result<Flat<'a>> {
        let mut flat = Flat { worlds: vec![World::default()], ..Flat::default() };
        let mut stack: Vec<Step<'a>> = roots.rev().map(|handle| look(handle, 0)).collect();
        while let Some(step) = stack.pop() {
            if step.first_read == LOOK {
                flat.look(step, &mut stack)?;
            } else {
                flat.finish(&step);
            }
        }
        Ok(flat)
    }

    fn look(&mut self, step: Step<'a>, stack: &mut Vec<Step<'a>>) -> Result<()> {
        let Step { handle, world, .. } = step;
        let node = handle.node();
        let seen = self.worlds[world as usize].map.entry(node.id());
        if *seen != IdMap::NONE {
            return Ok(());
        }
        *seen = OPEN;
        let own = stack.len();
        let first_read = self.reads.len() as u32;
        match node.role() {
            Role::Poison(error) => return Err(error.clone()),
            Role::Alias(alias) => {
                if let Some(place) = alias.key.as_deref().and_then(|key| self.keyed.get(key)) {
                    // Another task does the same: what is below is not even looked at.
                    *seen = *place;
                    return Ok(());
                }
                let mut inputs = Vec::new();
                visit(node, |input, piece| inputs.push((input, piece)));
                let Some((target, gate)) = inputs.split_first() else { return Ok(()) };
                let mut inner = world;
                if alias.copies {
                    inner = self.worlds.len() as u32;
                    self.worlds.push(World { map: IdMap::default(), gate: gate.to_vec(), outer: world });
                }
                stack.push(Step { handle, world, first_read, reads: 1 });
                self.reads.push(Read { node: target.0.node().id(), piece: 0, world: inner });
                stack.push(look(target.0, inner));
            }
            Role::Task { .. } | Role::Layers => {
                stack.push(Step { handle, world, first_read, reads: 0 });
                let reads = &mut self.reads;
                visit(node, |input, piece| {
                    reads.push(Read { node: input.node().id(), piece, world });
                    stack.push(look(input, world));
                });
                if stack.len() == own + 1 && world > 0 {
                    // A source of a copy waits at its gate.
                    let World { gate, outer, .. } = &self.worlds[world as usize];
                    for (input, piece) in gate {
                        reads.push(Read { node: input.node().id(), piece: *piece, world: *outer });
                        stack.push(look(input, *outer));
                    }
                }
                stack[own].reads = (stack.len() - own - 1) as u32;
                // The first input on top: its part of the plan comes first.
                stack[own + 1..].reverse();
            }
        }
        Ok(())
    }

    fn finish(&mut self, step: &Step<'a>) {
        for read in step.first_read..step.first_read + step.reads {
            let Read { node, world, .. } = self.reads[read as usize];
            self.reads[read as usize].node = u64::from(self.worlds[world as usize].map.get(node));
        }
        let node = step.handle.node();
        let place = match node.role() {
            Role::Alias(alias) => {
                let place = self.reads[step.first_read as usize].place();
                if alias.name.is_some() || alias.kind.is_some() {
                    let naming = self.naming.entry(place).or_default();
                    // The outermost alias is finished last, and counts.
                    naming.name = alias.name.as_deref().or(naming.name);
                    naming.kind = alias.kind.or(naming.kind);
                }
                if let Some(key) = &alias.key {
                    self.keyed.entry(key).or_insert(place);
                }
                place
            }
            role => {
                let pieces = match role {
                    Role::Task { pieces } => Some(pieces),
                    _ => None,
                };
                self.places.push(Place { node, pieces, first_read: step.first_read, reads: step.reads });
                self.places.len() as u32 - 1
            }
        };
        *self.worlds[step.world as usize].map.entry(node.id()) = place;
    }

    /// What the node at a place reads, in the order of its inputs; a source of a copy reads its gate.
    pub fn reads(&self, place: u32) -> &[Read] {
        let Place { first_read, reads, .. } = self.places[place as usize];
        &self.reads[first_read as usize..(first_read + reads) as usize]
    }

    /// Number of reads of all nodes.
    pub fn read_count(&self) -> usize {
        self.reads.len()
    }

    /// The place of a root.
    pub fn root(&mut self, root: &NodeRef) -> u32 {
        self.worlds[0].map.get(root.node().id())
    }
}

fn look(handle: &NodeRef, world: u32) -> Step<'_> {
    Step { handle, world, first_read: LOOK, reads: 0 }
}

/// Visits with the lifetime of the node, which the trait object cannot say.
fn visit<'a>(node: &'a Arc<dyn Node>, mut tell: impl FnMut(&'a NodeRef, u32)) {
    node.visit(&mut tell);
}
