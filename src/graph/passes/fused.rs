//! Operations and calls that run others one after the other.

use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::error::{Error, Result, Role};
use crate::graph::explicit::Call;
use crate::graph::layer::{LayerOp, Meta};
use crate::graph::pattern::{Extent, Pattern};
use crate::graph::task::{Inputs, Outputs, TaskContext};
use crate::origin::Origin;
use crate::store::{Chunk, Kind};

/// What one input of a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Argument {
    /// What an input of the whole layer gives.
    Outer(u32),
    /// The piece of an earlier member, for the last time.
    Member(u32),
    /// The piece of an earlier member that is read again later.
    Again(u32),
}

/// One operation of a fused layer.
pub(super) struct Member {
    pub op: Arc<dyn LayerOp>,
    pub meta: Meta,
    /// Its layer has more than one task, so that errors tell the index.
    pub many: bool,
    pub arguments: Vec<Argument>,
}

/// Operations of which each, but the last, is read by later ones only.
pub(super) struct FusedOp {
    kind: &'static dyn Kind,
    members: Vec<Member>,
    /// Per input of the layer how it is read; the extents are those of the layers before they were fused.
    outer: Vec<(Pattern, Extent)>,
    /// Each input is one piece, so that its number is its place.
    plain: bool,
    /// Name and origin of each member, those of fused ones included.
    metas: Vec<Meta>,
    key: Option<String>,
}

impl FusedOp {
    /// Members in the order in which they run, whose arguments are not yet told apart by whether they are read again;
    /// none of no members.
    pub fn new(mut members: Vec<Member>, outer: Vec<(Pattern, Extent)>) -> Option<FusedOp> {
        let kind = members.last()?.op.kind();
        let mut later = vec![false; members.len()];
        for argument in members.iter_mut().rev().flat_map(|member| member.arguments.iter_mut().rev()) {
            if let Argument::Member(earlier) = *argument
                && std::mem::replace(&mut later[earlier as usize], true)
            {
                *argument = Argument::Again(earlier);
            }
        }
        let plain = outer.iter().all(|(pattern, _)| {
            matches!(pattern, Pattern::OneToOne | Pattern::Broadcast | Pattern::Product { .. } | Pattern::Slice { .. })
        });
        let mut metas = Vec::with_capacity(members.len());
        for member in &members {
            match member.op.members() {
                [] => metas.push(member.meta.clone()),
                inner => metas.extend_from_slice(inner),
            }
        }
        let key = compose_key(&members);
        Some(FusedOp { kind, members, outer, plain, metas, key })
    }

    /// The places of the pieces that input number `input` gives to task `index`.
    fn places(&self, input: u32, index: u32) -> std::ops::Range<usize> {
        if self.plain {
            return input as usize..input as usize + 1;
        }
        let count = |(pattern, extent): &(Pattern, Extent)| pattern.count(index, *extent) as usize;
        let start: usize = self.outer[..input as usize].iter().map(count).sum();
        start..start + count(&self.outer[input as usize])
    }
}

/// The keys of all members and what each of them reads, if all have one.
fn compose_key(members: &[Member]) -> Option<String> {
    let mut key = String::from("fused");
    for member in members {
        let own = member.op.content_key()?;
        // The length in front keeps apart what a member's key might contain.
        let _ = write!(key, " {}:{own} {:?}", own.len(), member.arguments);
    }
    Some(key)
}

impl LayerOp for FusedOp {
    fn run(&self, context: &TaskContext<'_>, index: u32, inputs: &mut Inputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        let Some((last, before)) = self.members.split_last() else { return Ok(()) };
        // One piece per member before the last, until its reader takes it.
        let mut made: Vec<Option<Chunk>> = Vec::with_capacity(before.len());
        let mut given: Vec<Option<Chunk>> = Vec::new();
        let (mut chunks, mut counted) = (Vec::new(), Vec::new());
        for (at, member) in self.members.iter().enumerate() {
            if at > 0 {
                context.check_cancelled()?;
            }
            given.clear();
            for argument in &member.arguments {
                match argument {
                    Argument::Outer(input) => {
                        for place in self.places(*input, index) {
                            given.push(Some(inputs.take_chunk(place)?));
                        }
                    }
                    Argument::Again(earlier) => given.push(made[*earlier as usize].clone()),
                    Argument::Member(earlier) => given.push(made[*earlier as usize].take()),
                }
            }
            let mut inputs = Inputs::new(&mut given);
            if at == before.len() {
                return last.op.run(context, index, &mut inputs, out);
            }
            let mut piece = Outputs::new(&mut chunks, &mut counted);
            let ran = catch_unwind(AssertUnwindSafe(|| member.op.run(context, index, &mut inputs, &mut piece)));
            let ran = ran.unwrap_or_else(|panic| Err(Error::from_panic(panic)));
            let ran = ran.and_then(|()| one(&mut chunks));
            made.push(Some(ran.map_err(|error| {
                let index = member.many.then(|| u64::from(index));
                error.in_task(member.meta.name.as_str(), index).frame(Role::From, member.meta.verb, member.meta.origin)
            })?));
        }
        Ok(())
    }

    fn kind(&self) -> &'static dyn Kind {
        self.kind
    }

    fn needs_alike(&self) -> bool {
        self.members.iter().all(|member| member.op.needs_alike())
    }

    /// The largest sum, over the members, of what the member needs and of what the pieces of earlier members that are
    /// not yet used up, or that it is just using, were declared to need.
    fn need(&self, index: u32) -> u64 {
        let needs: Vec<u64> = self.members.iter().map(|member| member.op.need(index)).collect();
        let (mut live, mut most) = (0u64, 0u64);
        for (member, need) in self.members.iter().zip(&needs) {
            most = most.max(live.saturating_add(*need));
            for argument in &member.arguments {
                if let Argument::Member(earlier) = argument {
                    live = live.saturating_sub(needs[*earlier as usize]);
                }
            }
            live = live.saturating_add(*need);
        }
        most
    }

    fn content_key(&self) -> Option<String> {
        self.key.clone()
    }

    fn members(&self) -> &[Meta] {
        &self.metas
    }
}

/// Takes the only chunk.
fn one(chunks: &mut Vec<Chunk>) -> Result<Chunk> {
    match (chunks.pop(), chunks.len()) {
        (Some(chunk), 0) => Ok(chunk),
        (popped, left) => {
            let given = left + usize::from(popped.is_some());
            chunks.clear();
            Err(Error::internal(format!("gave {given} pieces instead of 1")))
        }
    }
}

/// Calls of which each reads the piece of the one before it and nothing else.
pub(super) struct FusedCall {
    members: Vec<Arc<dyn Call>>,
    last: Arc<dyn Call>,
    need: u64,
}

impl FusedCall {
    /// Members in the order in which they run; the members of one that is fused already count one by one.
    /// None of no members.
    pub fn new(members: impl Iterator<Item = Arc<dyn Call>>) -> Option<FusedCall> {
        let mut flat: Vec<Arc<dyn Call>> = Vec::with_capacity(members.size_hint().0);
        for member in members {
            match member.members() {
                [] => flat.push(member),
                inner => flat.extend_from_slice(inner),
            }
        }
        // What a member gives lives as long as the next one runs.
        let mut before = 0u64;
        let together = |call: &Arc<dyn Call>| {
            let need = call.need();
            std::mem::replace(&mut before, need).saturating_add(need)
        };
        let need = flat.iter().map(together).max().unwrap_or(0);
        let last = flat.last()?.clone();
        Some(FusedCall { members: flat, last, need })
    }
}

impl Call for FusedCall {
    fn call(&self, context: &TaskContext<'_>, inputs: &mut Inputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        let before = &self.members[..self.members.len() - 1];
        let (mut chunks, mut counted) = (Vec::new(), Vec::new());
        let mut piece: Option<Chunk> = None;
        for member in before {
            let mut piece_inputs = [piece.take()];
            let mut first = Outputs::new(&mut chunks, &mut counted);
            let ran = catch_unwind(AssertUnwindSafe(|| match piece_inputs[0].is_some() {
                true => member.call(context, &mut Inputs::new(&mut piece_inputs), &mut first),
                false => member.call(context, inputs, &mut first),
            }));
            let ran = ran.unwrap_or_else(|panic| Err(Error::from_panic(panic)));
            let ran = ran.and_then(|()| one(&mut chunks));
            piece = Some(ran.map_err(|error| {
                error.in_task(member.name(), None).frame(Role::From, member.verb(), member.origin())
            })?);
            context.check_cancelled()?;
        }
        self.last.call(context, &mut Inputs::new(&mut [piece]), out)
    }

    fn name(&self) -> &str {
        self.last.name()
    }

    fn verb(&self) -> &'static str {
        self.last.verb()
    }

    fn origin(&self) -> Origin {
        self.last.origin()
    }

    fn kind(&self, piece: u32) -> &'static dyn Kind {
        self.last.kind(piece)
    }

    fn need(&self) -> u64 {
        self.need
    }

    fn members(&self) -> &[Arc<dyn Call>] {
        &self.members
    }
}
