//! From handles to a list: the nodes reachable from what is wanted, children before parents, depth first.

use std::collections::HashMap;
use std::sync::Arc;

use super::address_map::AddressMap;
use super::node::{NodeRef, Role};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Call, Kind, StandIn, Tasks};

/// What aliases say about a node.
#[derive(Clone, Copy, Default)]
pub(super) struct Naming<'a> {
    pub name: Option<&'a str>,
    pub kind: Option<&'static dyn Kind>,
}

/// A place that is no task of a node.
#[derive(Clone, Copy)]
pub(super) enum Special<'a> {
    /// A node that becomes layers of its own.
    Layers(&'a NodeRef),
    /// A piece of the layers at a place.
    View { of: u32, piece: u32 },
    /// The value it reads, which stands in layers, under another name or as another kind.
    Renamed,
}

/// A copy of a part of the plan: its sources wait for the gate, which stands in another world.
#[derive(Default)]
struct World<'a> {
    /// The values that addresses of nodes stand for.
    map: AddressMap,
    gate: Option<&'a NodeRef>,
    outer: u32,
    /// What stands for the first nodes with a key.
    keyed: HashMap<&'a str, u32>,
}

/// Nodes in topological order, found by a depth-first walk that finishes each node after its children: so what
/// belongs together stands together. Where aliases lead to a node, their addresses stand for its value as well.
///
/// What can be read is a *value* and has a number. Each place has as many as its task gives pieces, and one where it is
/// [`Special`]. So of a plan of tasks alone the walk writes the very lists that the graph is made of, and a million tasks
/// are not written twice.
#[derive(Default)]
pub(super) struct Flat<'a> {
    /// A task for each place, which reads values; at places of another kind it stands for nothing.
    tasks: Tasks,
    specials: HashMap<u32, Special<'a>>,
    /// The places whose last read is the gate of a copy, which is to have run and is no input; ascending.
    gated: Vec<u32>,
    /// What aliases say, by place.
    naming: HashMap<u32, Naming<'a>>,
    worlds: Vec<World<'a>>,
    /// The world the walk is in.
    world: u32,
}

/// What an open node reads, until it is finished.
#[derive(Clone, Copy)]
struct Pending(u64);

impl Pending {
    /// Addresses leave this bit free.
    const ADDRESS: u64 = 1 << 63;

    fn at(address: usize) -> Pending {
        Pending(Pending::ADDRESS | address as u64)
    }

    fn value(value: u32) -> Pending {
        Pending(u64::from(value))
    }

    fn resolve(self, map: &mut AddressMap) -> u32 {
        match self.0 & Pending::ADDRESS {
            0 => self.0 as u32,
            _ => map.get((self.0 & !Pending::ADDRESS) as usize),
        }
    }
}

/// A step of the walk. As many stand on the stack as the plan is deep, so they are small.
#[derive(Clone, Copy)]
struct Step<'a> {
    /// Of which node.
    handle: &'a NodeRef,
    what: What,
    /// Of an open node the place of its first read among those that are pending; else a world.
    number: u32,
}

#[derive(Clone, Copy)]
enum What {
    /// To be looked at.
    Look,
    /// A node that was looked at: to be finished when what it reads is.
    Node,
    /// The same, and the last of what it reads is its gate.
    Gated,
    /// To stand for what it is a view of, which lies in a world.
    Alias,
    /// From here on the walk is in a world.
    Enter,
}

impl<'a> Step<'a> {
    fn look(handle: &'a NodeRef) -> Step<'a> {
        Step { handle, what: What::Look, number: 0 }
    }
}

/// In the map of a world: seen, and not finished. Values have less numbers.
const OPEN: u32 = AddressMap::NONE - 1;

impl<'a> Flat<'a> {
    /// All nodes below the roots. A poisoned one is an error.
    pub fn new(roots: impl DoubleEndedIterator<Item = &'a NodeRef>) -> Result<Flat<'a>> {
        let mut flat = Flat { worlds: vec![World::default()], ..Flat::default() };
        let mut pending: Vec<Pending> = Vec::new();
        let mut stack: Vec<Step<'a>> = roots.rev().map(Step::look).collect();
        while let Some(Step { handle, what, number }) = stack.pop() {
            match what {
                What::Look => flat.look(handle, &mut stack, &mut pending)?,
                What::Node => flat.finish(handle, number, false, &mut pending)?,
                What::Gated => flat.finish(handle, number, true, &mut pending)?,
                What::Alias => flat.finish_alias(handle, number)?,
                What::Enter => flat.world = number,
            }
        }
        flat.tasks.shrink();
        Ok(flat)
    }

    fn look(&mut self, handle: &'a NodeRef, stack: &mut Vec<Step<'a>>, pending: &mut Vec<Pending>) -> Result<()> {
        let number = self.world;
        let World { map, keyed, gate, outer } = &mut self.worlds[number as usize];
        let seen = map.entry(handle.address());
        if *seen != AddressMap::NONE {
            return Ok(());
        }
        *seen = OPEN;
        let node = handle.node();
        let layers = match node.role() {
            Role::Poison(error) => return Err(error.clone()),
            Role::Alias(alias) => {
                if let Some(value) = alias.key.as_deref().and_then(|key| keyed.get(key)) {
                    // Another task does the same: what is below is not even looked at.
                    *map.entry(handle.address()) = *value;
                    return Ok(());
                }
                let mut inputs = Vec::new();
                node.visit(&mut |input| inputs.push(input));
                let Some((target, gate)) = inputs.split_first() else { return Ok(()) };
                if alias.copies {
                    let inner = self.worlds.len() as u32;
                    self.worlds.push(World { gate: gate.first().copied(), outer: number, ..World::default() });
                    stack.push(Step { handle, what: What::Alias, number: inner });
                    stack.push(Step { handle, what: What::Enter, number });
                    self.world = inner;
                } else {
                    stack.push(Step { handle, what: What::Alias, number });
                }
                stack.push(Step::look(target));
                return Ok(());
            }
            Role::Task { .. } => false,
            Role::Layers => true,
        };
        let (own, first) = (stack.len(), pending.len());
        stack.push(Step { handle, what: What::Node, number: first as u32 });
        node.visit(&mut |input| {
            let seen = *map.entry(input.address());
            if seen >= OPEN {
                pending.push(Pending::at(input.address()));
                stack.push(Step::look(input));
            } else {
                pending.push(Pending::value(seen));
            }
        });
        if stack.len() > own + 2 {
            // The first input on top: its part of the plan comes first.
            stack[own + 1..].reverse();
        }
        // The sources of a copy wait at its gate; of a node with layers only those know which of them are sources.
        if let Some(gate) = *gate
            && (layers || pending.len() == first)
        {
            pending.push(Pending::at(gate.address()));
            stack[own].what = What::Gated;
            let enter = |number| Step { handle, what: What::Enter, number };
            stack.splice(own + 1..own + 1, [enter(number), Step::look(gate), enter(*outer)]);
        }
        Ok(())
    }

    /// Places a node whose reads are the last that are pending, from the place `first` on.
    fn finish(&mut self, handle: &'a NodeRef, first: u32, gated: bool, pending: &mut Vec<Pending>) -> Result<()> {
        let node = handle.node();
        let (call, pieces, special): (Arc<dyn Call>, _, _) = match node.role() {
            Role::Task { pieces } => (node.clone().call()?, pieces, None),
            _ => (Arc::new(StandIn), 1, Some(Special::Layers(handle))),
        };
        let outer = self.worlds[self.world as usize].outer;
        let inputs = pending.len() - usize::from(gated);
        for (at, read) in pending.iter().enumerate().skip(first as usize) {
            let world = if at == inputs { outer } else { self.world };
            self.tasks.push_read(read.resolve(&mut self.worlds[world as usize].map));
        }
        pending.truncate(first as usize);
        if gated {
            self.gated.push(self.len());
        }
        let value = self.place(call, pieces, special)?;
        self.stand_for(handle, value);
        Ok(())
    }

    /// Adds a place that reads what was pushed; gives its first value.
    fn place(&mut self, call: Arc<dyn Call>, pieces: u32, special: Option<Special<'a>>) -> Result<u32> {
        if self.tasks.pieces().saturating_add(pieces) >= OPEN {
            let text = format!("a plan of more than {OPEN} values is to be computed at once");
            return Err(Error::new(ErrorKind::Plan, text));
        }
        if let Some(special) = special {
            self.specials.insert(self.len(), special);
        }
        Ok(self.tasks.push_call(call, pieces))
    }

    fn finish_alias(&mut self, handle: &'a NodeRef, inner: u32) -> Result<()> {
        let Role::Alias(alias) = handle.node().role() else { return Ok(()) };
        let mut target = None;
        handle.node().visit(&mut |input| target = target.or(Some(input)));
        let Some(target) = target else { return Ok(()) };
        let mut value = self.worlds[inner as usize].map.get(target.address());
        if alias.piece > 0 {
            let of = self.place_of(value);
            value = match self.special(of) {
                None => self.tasks.pieces_of(of).start + alias.piece,
                Some(_) => {
                    self.tasks.push_read(value);
                    self.place(Arc::new(StandIn), 1, Some(Special::View { of, piece: alias.piece }))?
                }
            };
        }
        if alias.name.is_some() || alias.kind.is_some() {
            if self.special(self.place_of(value)).is_some_and(|special| !matches!(special, Special::Renamed)) {
                // One value of a layer: what is said of it does not hold for the others.
                self.tasks.push_read(value);
                value = self.place(Arc::new(StandIn), 1, Some(Special::Renamed))?;
            }
            let naming = self.naming.entry(self.place_of(value)).or_default();
            // The outermost alias is finished last, and counts.
            naming.name = alias.name.as_deref().or(naming.name);
            naming.kind = alias.kind.or(naming.kind);
        }
        if let Some(key) = &alias.key {
            self.worlds[self.world as usize].keyed.entry(key).or_insert(value);
        }
        self.stand_for(handle, value);
        Ok(())
    }

    /// From now on the address of a node stands for a value, in this world.
    fn stand_for(&mut self, handle: &NodeRef, value: u32) {
        *self.worlds[self.world as usize].map.entry(handle.address()) = value;
    }

    /// Number of places.
    pub fn len(&self) -> u32 {
        self.tasks.len()
    }

    /// The place that gives a value.
    pub fn place_of(&self, value: u32) -> u32 {
        self.tasks.task_of(value)
    }

    /// The place that gives a value, and which of its values that is.
    pub fn source(&self, value: u32) -> (u32, u32) {
        let place = self.place_of(value);
        (place, value - self.tasks.pieces_of(place).start)
    }

    /// Number of values of a place.
    pub fn values(&self, place: u32) -> u32 {
        self.tasks.pieces_of(place).len() as u32
    }

    /// The values a place reads, in the order of its inputs, and last the gate where it waits at one.
    pub fn reads(&self, place: u32) -> &[u32] {
        self.tasks.reads(place)
    }

    /// Whether the last read of a place is a gate.
    pub fn is_gated(&self, place: u32) -> bool {
        self.gated.binary_search(&place).is_ok()
    }

    /// What a place is, where it is no task of a node.
    pub fn special(&self, place: u32) -> Option<Special<'a>> {
        // Mostly there is none, and a hash for each of a million places would be for nothing.
        if self.specials.is_empty() { None } else { self.specials.get(&place).copied() }
    }

    /// Whether every place is a task of a node.
    pub fn only_tasks(&self) -> bool {
        self.specials.is_empty()
    }

    /// The places whose calls are not to be run as they are.
    pub fn described(&self) -> impl Iterator<Item = u32> + use<> {
        let mut places = self.gated.clone();
        places.extend(self.naming.keys());
        places.sort_unstable();
        places.dedup();
        places.into_iter()
    }

    /// All places as tasks, of which values are the pieces; only once, and only where there are no others.
    pub fn take_tasks(&mut self) -> Tasks {
        std::mem::take(&mut self.tasks)
    }

    /// What the task at a place runs.
    pub fn call(&self, place: u32) -> &Arc<dyn Call> {
        self.tasks.call(place)
    }

    /// What aliases say of the node at a place.
    pub fn naming_of(&self, place: u32) -> Option<&Naming<'a>> {
        if self.naming.is_empty() { None } else { self.naming.get(&place) }
    }

    /// The value a root stands for.
    pub fn root(&mut self, root: &NodeRef) -> u32 {
        self.worlds[0].map.get(root.address())
    }

    /// Frees what only [`Flat::root`] needs.
    pub fn forget_addresses(&mut self) {
        self.worlds = Vec::new();
    }
}
