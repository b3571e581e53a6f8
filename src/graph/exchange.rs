//! Exchanges as layers: producers append to a state of the run, one task seals it, others read its parts.
//!
//! ```text
//! producers   #0 #1 #2 …      append; their pieces are empty
//!               \ | /
//! seal            #            puts together, counts, says how parts are to be split
//!               / | \
//! parts       #0 #1 …          read; the last one drops the state
//! ```

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::draft::{Draft, LayerRef};
use super::layer::{Input, LayerOp, Meta};
use super::pattern::Pattern;
use super::task::{Inputs, Outputs, TaskContext};
use crate::error::{Error, Result, Role};
use crate::store::{Budget, Chunk, Kind, chunk};

/// What an exchange does with its state. The state belongs to one run.
pub trait Exchange: Send + Sync + 'static {
    /// What producers append to.
    type State: Any + Send + Sync;

    /// A state to which `producers` tasks will append; it holds nothing yet.
    fn open(&self, producers: u32, budget: &Budget) -> Self::State;

    /// A key that is equal for exchanges that are equal as plain data; see [`LayerOp::content_key`].
    fn content_key(&self) -> Option<String> {
        None
    }

    /// Bytes that a producer needs beside its inputs, with what it appends.
    fn append_need(&self) -> u64;

    /// Task `producer` appends what it makes of its inputs.
    fn append(
        &self,
        context: &TaskContext<'_>,
        state: &Self::State,
        producer: u32,
        inputs: &mut Inputs<'_>,
    ) -> Result<()>;

    /// Bytes that sealing needs.
    fn seal_need(&self) -> u64 {
        0
    }

    /// Puts together what was appended; gives what [`Exchange::expand`] decides by.
    fn seal(&self, context: &TaskContext<'_>, state: &Self::State) -> Result<Vec<u64>>;

    /// Which parts are to be split, and into how many: a pure function of what was counted.
    fn expand(&self, counted: &[u64]) -> Vec<(u32, u32)> {
        let _ = counted;
        Vec::new()
    }

    /// What the engine knows about the parts.
    fn kind(&self) -> &'static dyn Kind;

    /// Part `part` of the sealed state. Of a part that was split, `pieces` are what its pieces gave.
    fn part(&self, context: &TaskContext<'_>, state: &Self::State, part: u32, pieces: &mut Inputs<'_>)
    -> Result<Chunk>;

    /// Piece `piece` of a part that was split.
    fn piece(&self, context: &TaskContext<'_>, state: &Self::State, part: u32, piece: u32) -> Result<Chunk> {
        let _ = (context, state, part, piece);
        Err(Error::internal("a part was split that has no pieces"))
    }

    /// What the engine knows about the pieces of a split part.
    fn piece_kind(&self) -> &'static dyn Kind {
        self.kind()
    }
}

/// Adds the three layers of an exchange: `producers` tasks that read `inputs`, the seal, and `parts` tasks that give one
/// piece of type `T` each.
pub fn exchange<T>(
    draft: &mut Draft,
    meta: Meta,
    producers: u32,
    inputs: Vec<Input>,
    parts: u32,
    exchange: impl Exchange,
) -> Result<LayerRef<T>> {
    let shared = Arc::new(Shared { exchange, producers, parts, meta: meta.clone() });
    let named = |what: &str| Meta { name: format!("{} {what}", meta.name), ..meta.clone() };
    let append: LayerRef<()> = draft.regular(meta.clone(), producers, inputs, Append(shared.clone()))?;
    let seal: LayerRef<()> = draft.regular(named("seal"), 1, vec![append.read(Pattern::All)], Seal(shared.clone()))?;
    draft.regular(named("parts"), parts, vec![seal.read(Pattern::Broadcast)], Part(shared))
}

/// One exchange of one graph.
struct Shared<E> {
    exchange: E,
    producers: u32,
    parts: u32,
    /// Of the layer of its producers.
    meta: Meta,
}

/// The state of a run, and how many parts are still to be read.
struct Live<S> {
    state: S,
    left: AtomicU32,
}

impl<E: Exchange> Shared<E> {
    /// The key of its state: two exchanges of one graph are at two places.
    fn key(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self) as usize
    }

    /// In errors all of it is one task: its stages are no names that a user knows.
    fn named(&self, error: Error) -> Error {
        error.in_task(self.meta.name.as_str(), None).frame(Role::From, self.meta.verb, self.meta.origin)
    }

    fn content_key(&self, role: &str) -> Option<String> {
        self.exchange.content_key().map(|key| format!("{role} {key}"))
    }

    fn live(self: &Arc<Self>, context: &TaskContext<'_>) -> Result<Arc<Live<E::State>>> {
        context.scope().state(self.key(), || Live {
            state: self.exchange.open(self.producers, context.budget()),
            left: AtomicU32::new(self.parts),
        })
    }
}

struct Append<E>(Arc<Shared<E>>);

impl<E: Exchange> LayerOp for Append<E> {
    fn run(&self, context: &TaskContext<'_>, index: u32, inputs: &mut Inputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        let live = self.0.live(context)?;
        self.0.exchange.append(context, &live.state, index, inputs)?;
        out.push(());
        Ok(())
    }

    fn kind(&self) -> &'static dyn Kind {
        chunk::plain::<()>()
    }

    fn need(&self, _: u32) -> u64 {
        self.0.exchange.append_need()
    }

    fn content_key(&self) -> Option<String> {
        self.0.content_key("append")
    }
}

struct Seal<E>(Arc<Shared<E>>);

impl<E: Exchange> LayerOp for Seal<E> {
    fn run(&self, context: &TaskContext<'_>, _: u32, _: &mut Inputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        let live = self.0.live(context)?;
        out.count(self.0.exchange.seal(context, &live.state).map_err(|error| self.0.named(error))?);
        out.push(());
        Ok(())
    }

    fn kind(&self) -> &'static dyn Kind {
        chunk::plain::<()>()
    }

    fn need(&self, _: u32) -> u64 {
        self.0.exchange.seal_need()
    }

    fn expand(&self, counted: &[u64]) -> Vec<(u32, u32)> {
        self.0.exchange.expand(counted)
    }

    fn content_key(&self) -> Option<String> {
        self.0.content_key("seal")
    }

    fn is_barrier(&self) -> bool {
        true
    }
}

struct Part<E>(Arc<Shared<E>>);

impl<E: Exchange> LayerOp for Part<E> {
    fn run(&self, context: &TaskContext<'_>, index: u32, inputs: &mut Inputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
        let live = self.0.live(context)?;
        // The first input is the seal's.
        let pieces = inputs.len().saturating_sub(1);
        let part = self.0.exchange.part(context, &live.state, index, &mut inputs.part(1, pieces));
        out.push_chunk(part.map_err(|error| self.0.named(error))?);
        if live.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            context.scope().close(self.0.key());
        }
        Ok(())
    }

    fn kind(&self) -> &'static dyn Kind {
        self.0.exchange.kind()
    }

    fn run_part(
        &self,
        context: &TaskContext<'_>,
        index: u32,
        part: u32,
        _: &mut Inputs<'_>,
        out: &mut Outputs<'_>,
    ) -> Result<()> {
        let live = self.0.live(context)?;
        let piece = self.0.exchange.piece(context, &live.state, index, part);
        out.push_chunk(piece.map_err(|error| self.0.named(error))?);
        Ok(())
    }

    fn part_kind(&self) -> &'static dyn Kind {
        self.0.exchange.piece_kind()
    }

    fn content_key(&self) -> Option<String> {
        self.0.content_key("parts")
    }
}
