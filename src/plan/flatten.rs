//! From handles to a list: the nodes reachable from what is wanted, children before parents, depth first.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::address_map::AddressMap;
use super::node::{Node, NodeRef, Role};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Call, Kind};

/// A node in one world.
#[derive(Clone, Copy)]
struct Place {
    first_read: u32,
    /// The number of reads, and [`GATED`].
    reads: u32,
    /// Of a task, how many pieces it gives; [`LAYERS`] where the node becomes layers of its own.
    pieces: u32,
}

impl Place {
    fn is_gated(self) -> bool {
        self.reads & GATED != 0
    }

    /// Where its reads stand.
    fn range(self) -> Range<usize> {
        let first = self.first_read as usize;
        first..first + (self.reads & !GATED) as usize
    }
}

/// The last of a place's reads is the gate of a copy, which is to have run and is no input.
const GATED: u32 = 1 << 31;

const LAYERS: u32 = u32::MAX;

/// Which piece of the node at which place is read; before that place is known, the address of the node.
#[derive(Clone, Copy)]
pub(super) struct Read(u64);

impl Read {
    /// Pieces of one node have less numbers than this.
    const PIECES: u64 = 1 << 32;

    /// Places have less numbers than this, so that the highest bit tells an address.
    const PLACES: u32 = 1 << 31;

    const ADDRESS: u64 = 1 << 63;

    fn at(address: usize) -> Read {
        Read(Read::ADDRESS | address as u64)
    }

    fn address(self) -> Option<usize> {
        (self.0 & Read::ADDRESS != 0).then_some((self.0 & !Read::ADDRESS) as usize)
    }

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
#[derive(Clone, Copy, Default)]
pub(super) struct Naming<'a> {
    pub name: Option<&'a str>,
    pub kind: Option<&'static dyn Kind>,
}

/// A copy of a part of the plan: its sources wait for the gate, which stands in another world.
#[derive(Default)]
struct World<'a> {
    map: AddressMap,
    gate: Option<&'a NodeRef>,
    outer: u32,
    /// Pieces of aliases, where they are not the first.
    pieces: HashMap<usize, u32>,
    /// What stands for the first nodes with a key.
    keyed: HashMap<&'a str, Read>,
}

/// Nodes in topological order, found by a depth-first walk that finishes each node after its children: so what
/// belongs together stands together. Where aliases lead to a node, their addresses stand for its place as well.
#[derive(Default)]
pub(super) struct Flat<'a> {
    places: Vec<Place>,
    /// What the tasks among them run; none where one hands on what it reads, under another name.
    calls: Vec<Option<Arc<dyn Call>>>,
    /// What aliases say, by place.
    naming: HashMap<u32, Naming<'a>>,
    /// Per place what it reads. Until the place is finished, the addresses of the nodes.
    reads: Vec<Read>,
    worlds: Vec<World<'a>>,
    /// The nodes that become layers of their own.
    layered: HashMap<u32, &'a Arc<dyn Node>>,
    /// Whether any place waits at a gate.
    pub any_gated: bool,
}

/// A step of the walk.
enum Step<'a> {
    /// To be looked at.
    Look { handle: &'a NodeRef, world: u32 },
    /// Looked at: to be finished with its reads when these are.
    Node { handle: &'a NodeRef, world: u32, place: Place },
    /// To stand for what it is a view of, which lies in the world `inner`.
    Alias { handle: &'a NodeRef, world: u32, target: &'a NodeRef, inner: u32 },
}

/// In the map of a world: seen, and not finished.
const OPEN: u32 = u32::MAX - 1;

impl<'a> Flat<'a> {
    /// All nodes below the roots. A poisoned one is an error.
    pub fn new(roots: impl DoubleEndedIterator<Item = &'a NodeRef>) -> Result<Flat<'a>> {
        let mut flat = Flat { worlds: vec![World::default()], ..Flat::default() };
        let mut stack: Vec<Step<'a>> = roots.rev().map(|handle| Step::Look { handle, world: 0 }).collect();
        while let Some(step) = stack.pop() {
            match step {
                Step::Look { handle, world } => flat.look(handle, world, &mut stack)?,
                Step::Node { handle, world, place } => flat.finish(handle, world, place)?,
                Step::Alias { handle, world, target, inner } => {
                    let target = flat.resolve(target.address(), inner);
                    flat.finish_alias(handle, world, target)?;
                }
            }
        }
        Ok(flat)
    }

    fn look(&mut self, handle: &'a NodeRef, world: u32, stack: &mut Vec<Step<'a>>) -> Result<()> {
        let seen = self.worlds[world as usize].map.entry(handle.address());
        if *seen != AddressMap::NONE {
            return Ok(());
        }
        *seen = OPEN;
        let node = handle.node();
        let own = stack.len();
        let first_read = self.reads.len() as u32;
        let pieces = match node.role() {
            Role::Poison(error) => return Err(error.clone()),
            Role::Alias(alias) => {
                let keyed = &self.worlds[world as usize].keyed;
                if let Some(read) = alias.key.as_deref().and_then(|key| keyed.get(key)) {
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
                    self.worlds.push(World { gate: gate.first().copied(), outer: world, ..World::default() });
                }
                stack.push(Step::Alias { handle, world, target, inner });
                stack.push(Step::Look { handle: target, world: inner });
                return Ok(());
            }
            Role::Task { pieces } => pieces,
            Role::Layers => LAYERS,
        };
        let place = Place { first_read, reads: 0, pieces };
        stack.push(Step::Node { handle, world, place });
        let Flat { reads, worlds, .. } = self;
        let World { map, pieces: aliased, .. } = &mut worlds[world as usize];
        node.visit(&mut |input| {
            let seen = *map.entry(input.address());
            if seen >= OPEN || !aliased.is_empty() {
                reads.push(Read::at(input.address()));
                stack.push(Step::Look { handle: input, world });
            } else {
                reads.push(Read::new(seen, 0));
            }
        });
        // The sources of a copy wait at its gate; of a node with layers only those know which of them are sources.
        let is_source = self.reads.len() as u32 == first_read || pieces == LAYERS;
        let World { gate, outer, .. } = self.worlds[world as usize];
        let gate = gate.filter(|_| is_source);
        if let Some(gate) = gate {
            self.reads.push(Read::at(gate.address()));
            stack.push(Step::Look { handle: gate, world: outer });
        }
        let count = self.reads.len() as u32 - first_read;
        if let Step::Node { place, .. } = &mut stack[own] {
            place.reads = if gate.is_some() { count | GATED } else { count };
            self.any_gated |= gate.is_some();
        }
        if stack.len() > own + 2 {
            // The first input on top: its part of the plan comes first.
            stack[own + 1..].reverse();
        }
        Ok(())
    }

    fn finish(&mut self, handle: &'a NodeRef, world: u32, place: Place) -> Result<()> {
        let reads = place.range();
        for at in reads.clone() {
            if let Some(address) = self.reads[at].address() {
                let gate = place.is_gated() && at + 1 == reads.end;
                let of = if gate { self.worlds[world as usize].outer } else { world };
                self.reads[at] = self.resolve(address, of);
            }
        }
        let node = handle.node();
        // Mostly the node was looked at a moment ago, and is in the cache.
        let call = if place.pieces == LAYERS { None } else { Some(node.clone().call()?) };
        let read = self.push(place, call)?;
        if place.pieces == LAYERS {
            self.layered.insert(read.place(), node);
        }
        self.stand_for(handle, world, read);
        Ok(())
    }

    fn push(&mut self, place: Place, call: Option<Arc<dyn Call>>) -> Result<Read> {
        let number = self.places.len() as u32;
        if number >= Read::PLACES {
            let text = format!("a plan of more than {} steps is to be computed at once", Read::PLACES);
            return Err(Error::new(ErrorKind::Plan, text));
        }
        self.places.push(place);
        self.calls.push(call);
        Ok(Read::new(number, 0))
    }

    fn finish_alias(&mut self, handle: &'a NodeRef, world: u32, target: Read) -> Result<()> {
        let Role::Alias(alias) = handle.node().role() else { return Ok(()) };
        let piece = if alias.piece > 0 { alias.piece } else { target.piece() };
        let mut read = Read::new(target.place(), piece);
        if alias.name.is_some() || alias.kind.is_some() {
            if self.task_pieces(read.place()).is_none() {
                // One value of a layer: what is said of it does not hold for the others.
                let first_read = self.reads.len() as u32;
                self.reads.push(read);
                read = self.push(Place { first_read, reads: 1, pieces: 1 }, None)?;
            }
            let naming = self.naming.entry(read.place()).or_default();
            // The outermost alias is finished last, and counts.
            naming.name = alias.name.as_deref().or(naming.name);
            naming.kind = alias.kind.or(naming.kind);
        }
        if let Some(key) = &alias.key {
            self.worlds[world as usize].keyed.entry(key).or_insert(read);
        }
        self.stand_for(handle, world, read);
        Ok(())
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
    fn resolve(&mut self, address: usize, world: u32) -> Read {
        let world = &mut self.worlds[world as usize];
        let piece = if world.pieces.is_empty() { None } else { world.pieces.get(&address).copied() };
        Read::new(world.map.get(address), piece.unwrap_or(0))
    }

    /// What the node at a place reads, in the order of its inputs, and last the gate where it waits at one.
    pub fn reads(&self, place: u32) -> &[Read] {
        &self.reads[self.places[place as usize].range()]
    }

    /// Whether the last read of a place is a gate.
    pub fn is_gated(&self, place: u32) -> bool {
        self.places[place as usize].is_gated()
    }

    /// How many pieces the task at a place gives; none where it is no task.
    #[inline]
    pub fn task_pieces(&self, place: u32) -> Option<u32> {
        let pieces = self.places[place as usize].pieces;
        (pieces != LAYERS).then_some(pieces)
    }

    /// Number of places.
    pub fn len(&self) -> u32 {
        self.places.len() as u32
    }

    /// Whether any node becomes layers of its own.
    pub fn any_layers(&self) -> bool {
        !self.layered.is_empty()
    }

    /// The node at a place that becomes layers of its own.
    pub fn layered(&self, place: u32) -> Option<&'a Arc<dyn Node>> {
        self.layered.get(&place).copied()
    }

    /// What all tasks run, where there are only tasks.
    pub fn take_calls(&mut self) -> Vec<Option<Arc<dyn Call>>> {
        std::mem::take(&mut self.calls)
    }

    /// What the task at a place runs; once.
    pub fn take_call(&mut self, place: u32) -> Option<Arc<dyn Call>> {
        self.calls[place as usize].take()
    }

    /// What aliases say of the node at a place.
    pub fn naming_of(&self, place: u32) -> Option<&Naming<'a>> {
        // Mostly nothing is named, and a hash for each of a million places would be for nothing.
        if self.naming.is_empty() { None } else { self.naming.get(&place) }
    }

    /// Whether aliases say anything.
    pub fn any_named(&self) -> bool {
        !self.naming.is_empty()
    }

    /// Number of reads of all nodes.
    pub fn read_count(&self) -> usize {
        self.reads.len()
    }

    /// What a root stands for.
    pub fn root(&mut self, root: &NodeRef) -> Read {
        self.resolve(root.address(), 0)
    }

    /// Frees what only [`Flat::root`] needs.
    pub fn forget_addresses(&mut self) {
        self.worlds = Vec::new();
    }
}
