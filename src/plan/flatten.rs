//! From handles to a list: the nodes reachable from what is wanted, children before parents.

use std::collections::HashMap;
use std::sync::Arc;

use super::id_map::IdMap;
use super::node::{Alias, Node, NodeRef, Role};
use crate::error::Result;
use crate::graph::Kind;

/// A copy of a part of the plan: its sources wait for the further inputs of the alias that asked for it.
#[derive(Clone, Copy)]
struct World {
    /// The world in which the alias stands.
    outer: u32,
}

/// A node in one world.
pub(super) struct Place<'a> {
    pub node: &'a Arc<dyn Node>,
    pub world: u32,
}

/// What aliases say about a node.
#[derive(Default)]
pub(super) struct Naming<'a> {
    pub name: Option<&'a str>,
    pub kind: Option<&'static dyn Kind>,
}

/// Nodes in topological order.
pub(super) struct Flat<'a> {
    pub places: Vec<Place<'a>>,
    /// Per world, from a node's number to its place.
    maps: Vec<IdMap>,
    worlds: Vec<World>,
    /// From the number of a copying alias to the world it opens, per world it stands in.
    opened: HashMap<(u64, u32), u32>,
    /// Nodes whose first use has a key, by key.
    keyed: HashMap<String, (u64, u32)>,
    /// Which node stands in for another one of equal key.
    stand_ins: HashMap<(u64, u32), (u64, u32)>,
    /// What aliases say, by place.
    pub naming: HashMap<u32, Naming<'a>>,
    /// A name was used before it was defined.
    forward: bool,
    /// Per world the nodes its sources wait for: node and piece, in the outer world.
    gates: Vec<Vec<(&'a NodeRef, u32)>>,
}

/// A node as it is found by following aliases.
struct Target<'a> {
    node: &'a Arc<dyn Node>,
    world: u32,
}

impl<'a> Flat<'a> {
    /// All nodes below the roots. A poisoned one is an error.
    pub fn new(roots: impl Iterator<Item = &'a NodeRef>) -> Result<Flat<'a>> {
        let mut flat = Flat {
            places: Vec::new(),
            maps: vec![IdMap::default()],
            worlds: vec![World { outer: 0 }],
            opened: HashMap::new(),
            keyed: HashMap::new(),
            stand_ins: HashMap::new(),
            naming: HashMap::new(),
            forward: false,
            gates: vec![Vec::new()],
        };
        // Where aliases name a node is kept by number until the places are final.
        let mut names: Vec<(u64, u32, &'a Alias)> = Vec::new();
        let mut stack: Vec<(&'a NodeRef, u32)> = roots.map(|root| (root, 0)).collect();
        while let Some((handle, world)) = stack.pop() {
            let node = handle.node();
            let seen = flat.maps[world as usize].entry(node.id());
            if *seen != IdMap::NONE {
                continue;
            }
            *seen = 0;
            match node.role() {
                Role::Poison(error) => return Err(error.clone()),
                Role::Alias(alias) => flat.follow(node, alias, world, &mut stack, &mut names),
                Role::Task { .. } | Role::Layers => {
                    flat.places.push(Place { node, world });
                    let before = stack.len();
                    visit(node, |input, _| stack.push((input, world)));
                    if stack.len() == before {
                        // A source of a copy waits at its gate.
                        let outer = flat.worlds[world as usize].outer;
                        stack.extend(flat.gates[world as usize].iter().map(|(input, _)| (*input, outer)));
                    }
                }
            }
        }
        // A node's number is above those of all it reads.
        flat.places.sort_unstable_by_key(|place| (place.world, place.node.id()));
        flat.order();
        for (at, place) in flat.places.iter().enumerate() {
            *flat.maps[place.world as usize].entry(place.node.id()) = at as u32;
        }
        for (id, world, alias) in names {
            let at = flat.maps[world as usize].get(id);
            let naming = flat.naming.entry(at).or_default();
            naming.name = naming.name.or(alias.name.as_deref());
            naming.kind = naming.kind.or(alias.kind);
        }
        Ok(flat)
    }

    fn follow(
        &mut self,
        node: &'a Arc<dyn Node>,
        alias: &'a Alias,
        world: u32,
        stack: &mut Vec<(&'a NodeRef, u32)>,
        names: &mut Vec<(u64, u32, &'a Alias)>,
    ) {
        let mut inputs = Vec::new();
        visit(node, |input, piece| inputs.push((input, piece)));
        let Some((first, gate)) = inputs.split_first() else { return };
        let mut inner = world;
        self.forward |= alias.forward;
        if alias.copies {
            inner = self.worlds.len() as u32;
            self.worlds.push(World { outer: world });
            self.maps.push(IdMap::default());
            self.gates.push(gate.to_vec());
            self.opened.insert((node.id(), world), inner);
        }
        let target = self.resolve(first.0, inner);
        if let Some(key) = &alias.key {
            let own = (target.node.id(), target.world);
            let stand_in = *self.keyed.entry(key.clone()).or_insert(own);
            if stand_in != own {
                // Another task does the same: this one is not even looked at.
                self.stand_ins.insert(own, stand_in);
                return;
            }
        }
        stack.push((first.0, inner));
        if alias.name.is_some() || alias.kind.is_some() {
            names.push((target.node.id(), target.world, alias));
        }
    }

    /// The node behind aliases.
    fn resolve(&self, handle: &'a NodeRef, mut world: u32) -> Target<'a> {
        let mut node = handle.node();
        while let Role::Alias(alias) = node.role() {
            if alias.copies {
                match self.opened.get(&(node.id(), world)) {
                    Some(opened) => world = *opened,
                    None => break,
                }
            }
            let mut first = None;
            visit(node, |input, _| first = first.or(Some(input)));
            match first {
                Some(next) => node = next.node(),
                None => break,
            }
        }
        Target { node, world }
    }

    /// Puts nodes behind what they read where their numbers do not say so: where there are copies, which wait at gates,
    /// and names used before they are defined.
    fn order(&mut self) {
        if self.worlds.len() == 1 && !self.forward {
            return;
        }
        let mut at = HashMap::new();
        for (index, place) in self.places.iter().enumerate() {
            at.insert((place.node.id(), place.world), index);
        }
        let mut left = vec![0u32; self.places.len()];
        let mut readers: Vec<Vec<usize>> = vec![Vec::new(); self.places.len()];
        for (index, place) in self.places.iter().enumerate() {
            for (input, world) in self.reads(place) {
                let target = self.resolve(input, world);
                if let Some(below) = at.get(&(target.node.id(), target.world)) {
                    readers[*below].push(index);
                    left[index] += 1;
                }
            }
        }
        let mut ready: Vec<usize> = (0..left.len()).rev().filter(|index| left[*index] == 0).collect();
        let mut order = vec![0usize; left.len()];
        let mut next = 0;
        while let Some(index) = ready.pop() {
            order[index] = next;
            next += 1;
            for reader in readers[index].drain(..).rev() {
                left[reader] -= 1;
                if left[reader] == 0 {
                    ready.push(reader);
                }
            }
        }
        let mut ordered: Vec<(usize, Place<'a>)> = order.into_iter().zip(self.places.drain(..)).collect();
        ordered.sort_by_key(|(order, _)| *order);
        self.places.extend(ordered.into_iter().map(|(_, place)| place));
    }

    /// What a node reads, with worlds, and what its gate waits for.
    fn reads(&self, place: &Place<'a>) -> Vec<(&'a NodeRef, u32)> {
        let mut reads = Vec::new();
        visit(place.node, |input, _| reads.push((input, place.world)));
        if reads.is_empty() {
            let outer = self.worlds[place.world as usize].outer;
            reads.extend(self.gates[place.world as usize].iter().map(|(input, _)| (*input, outer)));
        }
        reads
    }

    /// Tells of each input of a node where it stands and which piece is read; of a source of a copy, its gate.
    pub fn inputs(&mut self, place: u32, mut tell: impl FnMut(u32, u32)) {
        let (node, world) = (self.places[place as usize].node, self.places[place as usize].world);
        let mut any = false;
        let plain = self.worlds.len() == 1 && self.stand_ins.is_empty();
        visit(node, |input, piece| {
            any = true;
            let target = if plain && !matches!(input.node().role(), Role::Alias(_)) {
                Target { node: input.node(), world: 0 }
            } else {
                self.resolve(input, world)
            };
            tell(Self::place_of(&mut self.maps, &self.stand_ins, &target), piece);
        });
        if !any && world > 0 {
            let outer = self.worlds[world as usize].outer;
            for (input, piece) in self.gates[world as usize].clone() {
                let target = self.resolve(input, outer);
                tell(Self::place_of(&mut self.maps, &self.stand_ins, &target), piece);
            }
        }
    }

    /// Where the node of a root stands.
    pub fn root(&mut self, root: &'a NodeRef) -> u32 {
        let target = self.resolve(root, 0);
        Self::place_of(&mut self.maps, &self.stand_ins, &target)
    }

    fn place_of(maps: &mut [IdMap], stand_ins: &HashMap<(u64, u32), (u64, u32)>, target: &Target<'_>) -> u32 {
        let mut key = (target.node.id(), target.world);
        if let Some(stand_in) = stand_ins.get(&key) {
            key = *stand_in;
        }
        maps[key.1 as usize].get(key.0)
    }
}

fn visit<'a>(node: &'a Arc<dyn Node>, mut tell: impl FnMut(&'a NodeRef, u32)) {
    node.visit(&mut tell);
}
