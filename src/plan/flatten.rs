//! From handles to a list: the nodes reachable from what is wanted, children before parents, depth first.

use std::collections::HashMap;
use std::sync::Arc;

use super::address_map::AddressMap;
use super::node::{Node, NodeRef, Role};
use crate::error::Result;
use crate::graph::Kind;

/// A node in one world.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub node: &'a Arc<dyn Node>,
    first_read: u32,
    reads: u32,
}

/// Which piece of the node at which place is read.
#[derive(Clone, Copy)]
pub(super) struct Read(u64);

impl Read {
    /// Pieces of one node have less numbers than this.
    const PIECES: u64 = 1 << 32;

    fn new(place: u32, piece: u32) -> Read {
        Read(u64::from(place) * Read::PIECES + u64::from(piece))
    }

    pub fn place(self) -> u32 {
        (self.0 / Read::PIECES) as u32
    }

    pub fn piece(self) -> u32 {
        (self.0 % Read::PIECES) as u32
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
    map: AddressMap,
    gate: Vec<&'a NodeRef>,
    outer: u32,
    /// Pieces of aliases, where they are not the first.
    pieces: HashMap<usize, u32>,
}

/// Nodes in topological order, found by a depth-first walk that finishes each node after its children: so what
/// belongs together stands together. Where aliases lead to a node, their addresses stand for its place as well.
#[derive(Default)]
pub(super) struct Flat<'a> {
    pub places: Vec<Place<'a>>,
    /// What aliases say, by place.
    naming: HashMap<u32, Naming<'a>>,
    /// Per place what it reads. Until the place is finished, the addresses of the nodes.
    reads: Vec<Read>,
    worlds: Vec<World<'a>>,
    /// What stands for the first nodes with a key.
    keyed: HashMap<&'a str, Read>,
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
        let seen = self.worlds[world as usize].map.entry(handle.address());
        if *seen != AddressMap::NONE {
            return Ok(());
        }
        *seen = OPEN;
        let node = handle.node();
        let own = stack.len();
        let first_read = self.reads.len() as u32;
        match node.role() {
            Role::Poison(error) => return Err(error.clone()),
            Role::Alias(alias) => {
                if let Some(read) = alias.key.as_deref().and_then(|key| self.keyed.get(key)) {
                    // Another task does the same: what is below is not even looked at.
                    let read = *read;
                    self.stand_for(handle, world, read);
                    return Ok(());
                }
                let mut inputs = Vec::new();
                node.visit(&mut |input| inputs.push(input));
                let Some((target, gate)) = inputs.split_first() else { return Ok(()) };
                let mut inner = world;
                if alias.copies {
                    inner = self.worlds.len() as u32;
                    self.worlds.push(World { gate: gate.to_vec(), outer: world, ..World::default() });
                }
                // The world of what it reads stands in place of the number of reads.
                stack.push(Step { handle, world, first_read, reads: inner });
                self.reads.push(Read(target.address() as u64));
                stack.push(look(target, inner));
            }
            Role::Task { .. } | Role::Layers => {
                stack.push(Step { handle, world, first_read, reads: 0 });
                let reads = &mut self.reads;
                node.visit(&mut |input| {
                    reads.push(Read(input.address() as u64));
                    stack.push(look(input, world));
                });
                if stack.len() == own + 1 && world > 0 {
                    // A source of a copy waits at its gate.
                    let World { gate, outer, .. } = &self.worlds[world as usize];
                    for input in gate {
                        reads.push(Read(input.address() as u64));
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
        let node = step.handle.node();
        let first = step.first_read as usize;
        if let Role::Alias(alias) = node.role() {
            let target = self.resolve(self.reads[first], step.reads);
            let piece = if alias.piece > 0 { alias.piece } else { target.piece() };
            let read = Read::new(target.place(), piece);
            if alias.name.is_some() || alias.kind.is_some() {
                let naming = self.naming.entry(read.place()).or_default();
                // The outermost alias is finished last, and counts.
                naming.name = alias.name.as_deref().or(naming.name);
                naming.kind = alias.kind.or(naming.kind);
            }
            if let Some(key) = &alias.key {
                self.keyed.entry(key).or_insert(read);
            }
            self.stand_for(step.handle, step.world, read);
            return;
        }
        let mut any = false;
        node.visit(&mut |_| any = true);
        // Without inputs of its own it reads the gate of its world.
        let world = if any { step.world } else { self.worlds[step.world as usize].outer };
        for at in first..first + step.reads as usize {
            self.reads[at] = self.resolve(self.reads[at], world);
        }
        self.places.push(Place { node, first_read: step.first_read, reads: step.reads });
        let place = self.places.len() as u32 - 1;
        self.stand_for(step.handle, step.world, Read::new(place, 0));
    }

    /// From now on the address of a node stands for what was found.
    fn stand_for(&mut self, handle: &NodeRef, world: u32, read: Read) {
        let world = &mut self.worlds[world as usize];
        *world.map.entry(handle.address()) = read.place();
        if read.piece() > 0 {
            world.pieces.insert(handle.address(), read.piece());
        }
    }

    /// What an address stands for.
    fn resolve(&mut self, address: Read, world: u32) -> Read {
        let world = &mut self.worlds[world as usize];
        let address = address.0 as usize;
        let piece = if world.pieces.is_empty() { None } else { world.pieces.get(&address).copied() };
        Read::new(world.map.get(address), piece.unwrap_or(0))
    }

    /// What the node at a place reads, in the order of its inputs; a source of a copy reads its gate.
    pub fn reads(&self, place: u32) -> &[Read] {
        let Place { first_read, reads, .. } = self.places[place as usize];
        &self.reads[first_read as usize..(first_read + reads) as usize]
    }

    /// What aliases say of the node at a place.
    pub fn naming_of(&self, place: u32) -> Option<&Naming<'a>> {
        // Mostly nothing is named, and a hash for each of a million places would be for nothing.
        if self.naming.is_empty() { None } else { self.naming.get(&place) }
    }

    /// Number of reads of all nodes.
    pub fn read_count(&self) -> usize {
        self.reads.len()
    }

    /// What a root stands for.
    pub fn root(&mut self, root: &NodeRef) -> Read {
        self.resolve(Read(root.address() as u64), 0)
    }

    /// Frees what only [`Flat::root`] needs.
    pub fn forget_addresses(&mut self) {
        self.worlds = Vec::new();
    }
}

fn look(handle: &NodeRef, world: u32) -> Step<'_> {
    Step { handle, world, first_read: LOOK, reads: 0 }
}
