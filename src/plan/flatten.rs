//! From handles to a list: the nodes reachable from what is wanted, children before parents, depth first.

use std::collections::HashMap;
use std::sync::Arc;

use super::address_map::AddressMap;
use super::node::{Alias, NodeRef, Role};
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
    /// What its sources wait for, and the world that stands in.
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
    pub(super) tasks: Tasks,
    pub(super) specials: HashMap<u32, Special<'a>>,
    /// The places whose last read is the gate of a copy, which is to have run and is no input; ascending.
    pub(super) gated: Vec<u32>,
    /// What aliases say, by place.
    pub(super) naming: HashMap<u32, Naming<'a>>,
    /// Whether any place reads more than one value, so that there is an order of its inputs.
    pub(super) any_choice: bool,
    worlds: Vec<World<'a>>,
    /// The world the walk is in.
    world: u32,
    /// The value told last to [`Goal::NEXT`].
    told: u32,
    /// What stands at places without a task; the same at all of them.
    stand_in: Option<Arc<dyn Call>>,
}

/// What an open node reads, until it is finished: a value, or the address of a node that will give one.
#[derive(Clone, Copy)]
struct Pending(u64);

impl Pending {
    /// Addresses leave this bit free.
    const ADDRESS: u64 = 1 << 63;

    /// To be known when the only node that can be meant is finished.
    const UNKNOWN: Pending = Pending(OPEN as u64);

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
    /// What is to be done, a number, and where the value of the node goes: 4, 30 and 30 bits.
    bits: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// To be looked at.
    Look,
    /// A node that was looked at: to be finished when what it reads is. The number is the place of its first read among
    /// those that are pending.
    Node,
    /// The same, and the last of what it reads is its gate.
    Gated,
    /// The same, and it reads one value alone, which is told just before: so chains leave no reads pending.
    One,
    /// To stand for what it is a view of, which lies in the world of that number.
    Alias,
    /// From here on the walk is in the world of that number.
    Enter,
}

/// Where the value of a node is to be told.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Goal(u32);

impl Goal {
    /// All who read it find it by its address.
    const MAP: Goal = Goal(MOST);

    /// The only one that reads it is the next to be finished.
    const NEXT: Goal = Goal(MOST - 1);
}

/// More reads can not be pending, and more copies not be in a plan.
const MOST: u32 = (1 << 30) - 1;

impl<'a> Step<'a> {
    fn new(handle: &'a NodeRef, what: What, number: u32, goal: Goal) -> Step<'a> {
        Step { handle, bits: (what as u64) << 60 | u64::from(number) << 30 | u64::from(goal.0) }
    }

    fn look(handle: &'a NodeRef) -> Step<'a> {
        Step::new(handle, What::Look, 0, Goal::MAP)
    }

    fn what(self) -> What {
        const ALL: [What; 6] = [What::Look, What::Node, What::Gated, What::One, What::Alias, What::Enter];
        ALL[(self.bits >> 60) as usize]
    }

    fn number(self) -> u32 {
        (self.bits >> 30) as u32 & MOST
    }

    fn goal(self) -> Goal {
        Goal(self.bits as u32 & MOST)
    }
}

/// After so many places the walk gives back memory.
const SHRINK: u32 = 1 << 15;

/// In the map of a world: seen, and not finished. Values have less numbers.
const OPEN: u32 = AddressMap::NONE - 1;

#[cold]
fn too_many(what: &str) -> Error {
    Error::new(ErrorKind::Plan, format!("a plan of too many {what} is to be computed at once"))
}

impl<'a> Flat<'a> {
    /// All nodes below the roots. A poisoned one is an error.
    pub fn new(roots: impl DoubleEndedIterator<Item = &'a NodeRef>) -> Result<Flat<'a>> {
        let mut flat = Flat { worlds: vec![World::default()], ..Flat::default() };
        let mut pending: Vec<Pending> = Vec::new();
        let mut stack: Vec<Step<'a>> = roots.rev().map(Step::look).collect();
        while let Some(step) = stack.pop() {
            match step.what() {
                What::Look => flat.look(step, &mut stack, &mut pending)?,
                What::Node | What::Gated | What::One => {
                    flat.finish(step, &mut pending)?;
                    if flat.len().is_multiple_of(SHRINK) {
                        // From here on the lists of the graph grow while these become shorter.
                        stack.shrink_to(2 * stack.len());
                        pending.shrink_to(2 * pending.len());
                    }
                }
                What::Alias => flat.finish_alias(step, &mut pending)?,
                What::Enter => flat.world = step.number(),
            }
        }
        flat.tasks.shrink();
        Ok(flat)
    }

    fn look(&mut self, step: Step<'a>, stack: &mut Vec<Step<'a>>, pending: &mut Vec<Pending>) -> Result<()> {
        let (handle, goal, number) = (step.handle, step.goal(), self.world);
        let inner = self.worlds.len() as u32;
        let World { map, keyed, gate: around, outer } = &mut self.worlds[number as usize];
        if goal == Goal::MAP {
            let seen = map.entry(handle.address());
            if *seen != AddressMap::NONE {
                return Ok(());
            }
            *seen = OPEN;
        }
        let node = handle.node();
        let layers = match node.role() {
            Role::Poison(error) => return Err(error.clone()),
            Role::Alias(alias) => {
                if let Alias::Pure(key) = alias
                    && let Some(value) = keyed.get(&**key)
                {
                    // Another task does the same: what is below is not even looked at.
                    let value = *value;
                    self.tell(step, value, pending);
                    return Ok(());
                }
                let mut inputs = Vec::new();
                node.visit(&mut |input| inputs.push(input));
                let Some((target, gate)) = inputs.split_first() else { return Ok(()) };
                if matches!(alias, Alias::Copy) {
                    if inner >= MOST {
                        return Err(too_many("copies"));
                    }
                    // What has no gate of its own waits at the one around it.
                    let (gate, outer) = gate.first().map_or((*around, *outer), |gate| (Some(*gate), number));
                    self.worlds.push(World { gate, outer, ..World::default() });
                    stack.push(Step::new(handle, What::Alias, inner, goal));
                    stack.push(Step::new(handle, What::Enter, number, goal));
                    self.world = inner;
                } else {
                    stack.push(Step::new(handle, What::Alias, number, goal));
                }
                stack.push(Step::look(target));
                return Ok(());
            }
            Role::Task { .. } => false,
            Role::Layers => true,
        };
        let (own, first) = (stack.len(), pending.len());
        let mut lone = None;
        stack.push(Step::new(handle, What::Node, first as u32, goal));
        node.visit(&mut |input| {
            if input.is_only_handle() {
                lone = Some(input);
                // Nothing else can lead to it.
                stack.push(Step::new(input, What::Look, 0, Goal(pending.len() as u32)));
                pending.push(Pending::UNKNOWN);
                return;
            }
            let seen = *map.entry(input.address());
            if seen >= OPEN {
                pending.push(Pending::at(input.address()));
                stack.push(Step::look(input));
            } else {
                pending.push(Pending::value(seen));
            }
        });
        if pending.len() + 1 >= MOST as usize {
            return Err(too_many("values that one chain of steps reads"));
        }
        if let Some(input) = lone
            && pending.len() == first + 1
            && !layers
        {
            // No source, so it waits at no gate.
            pending.truncate(first);
            stack.truncate(own);
            stack.extend([Step::new(handle, What::One, 0, goal), Step::new(input, What::Look, 0, Goal::NEXT)]);
            return Ok(());
        }
        if stack.len() > own + 2 {
            // The first input on top: its part of the plan comes first.
            stack[own + 1..].reverse();
        }
        // The sources of a copy wait at its gate; of a node with layers only those know which of them are sources.
        if let Some(gate) = *around
            && (layers || pending.len() == first)
        {
            pending.push(Pending::at(gate.address()));
            stack[own] = Step::new(handle, What::Gated, first as u32, goal);
            let enter = |number| Step::new(handle, What::Enter, number, goal);
            stack.splice(own + 1..own + 1, [enter(number), Step::look(gate), enter(*outer)]);
        }
        Ok(())
    }

    /// Places a node whose reads are the last that are pending.
    fn finish(&mut self, step: Step<'a>, pending: &mut Vec<Pending>) -> Result<()> {
        let node = step.handle.node();
        let task = match node.role() {
            Role::Task { pieces } => Some((node.clone().call()?, pieces)),
            _ => None,
        };
        if step.what() == What::One {
            self.tasks.push_read(self.told);
            let value = self.place_node(step.handle, task)?;
            self.tell(step, value, pending);
            return Ok(());
        }
        let gated = step.what() == What::Gated;
        let first = step.number() as usize;
        let World { map, outer, .. } = &mut self.worlds[self.world as usize];
        let (reads, outer) = (&pending[first..pending.len() - usize::from(gated)], *outer);
        reads.iter().for_each(|read| self.tasks.push_read(read.resolve(map)));
        if gated && let Some(gate) = pending.last() {
            self.tasks.push_read(gate.resolve(&mut self.worlds[outer as usize].map));
            self.gated.push(self.len());
        }
        self.any_choice |= pending.len() > first + 1;
        pending.truncate(first);
        let value = self.place_node(step.handle, task)?;
        self.tell(step, value, pending);
        Ok(())
    }

    /// Adds a place that reads what was pushed, for a node that becomes a task or layers; gives its first value.
    fn place_node(&mut self, handle: &'a NodeRef, task: Option<(Arc<dyn Call>, u32)>) -> Result<u32> {
        match task {
            Some((call, pieces)) => self.place_task(call, pieces),
            None => self.place_special(Special::Layers(handle)),
        }
    }

    fn place_task(&mut self, call: Arc<dyn Call>, pieces: u32) -> Result<u32> {
        if self.tasks.pieces().saturating_add(pieces) >= OPEN {
            return Err(too_many("values"));
        }
        Ok(self.tasks.push_call(call, pieces))
    }

    /// Adds a place that reads what was pushed and is no task of a node; gives its value.
    fn place_special(&mut self, special: Special<'a>) -> Result<u32> {
        self.specials.insert(self.len(), special);
        let call = self.stand_in.get_or_insert_with(|| Arc::new(StandIn)).clone();
        self.place_task(call, 1)
    }

    fn finish_alias(&mut self, step: Step<'a>, pending: &mut [Pending]) -> Result<()> {
        let node = step.handle.node();
        let Role::Alias(alias) = node.role() else { return Ok(()) };
        let mut target = None;
        node.visit(&mut |input| target = target.or(Some(input)));
        let Some(target) = target else { return Ok(()) };
        let inner = step.number();
        let mut value = self.worlds[inner as usize].map.get(target.address());
        if inner != self.world {
            // All of the copy is placed. Worlds stand in each other, so it is the last one.
            self.worlds.truncate(inner as usize);
        }
        match alias {
            Alias::Piece(0) | Alias::Copy => {}
            Alias::Piece(piece) => {
                let of = self.place_of(value);
                value = match self.special(of) {
                    None => self.tasks.pieces_of(of).start + piece,
                    Some(_) => {
                        self.tasks.push_read(value);
                        self.place_special(Special::View { of, piece: *piece })?
                    }
                };
            }
            Alias::Named(name) => {
                let name = Some(&**name);
                self.naming(&mut value)?.name = name;
            }
            Alias::OfKind(kind) => self.naming(&mut value)?.kind = Some(*kind),
            Alias::Pure(key) => {
                self.worlds[self.world as usize].keyed.entry(key).or_insert(value);
            }
        }
        self.tell(step, value, pending);
        Ok(())
    }

    /// What aliases say of the place of a value. One value of layers gets a place of its own for it: what is said of it does
    /// not hold for the others.
    fn naming(&mut self, value: &mut u32) -> Result<&mut Naming<'a>> {
        if let Some(Special::Layers(_) | Special::View { .. }) = self.special(self.place_of(*value)) {
            self.tasks.push_read(*value);
            *value = self.place_special(Special::Renamed)?;
        }
        Ok(self.naming.entry(self.place_of(*value)).or_default())
    }

    /// Tells those who read a node which value it stands for.
    fn tell(&mut self, step: Step<'_>, value: u32, pending: &mut [Pending]) {
        match step.goal() {
            Goal::NEXT => self.told = value,
            Goal::MAP => *self.worlds[self.world as usize].map.entry(step.handle.address()) = value,
            Goal(at) => pending[at as usize] = Pending::value(value),
        }
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
