//! Joins with a table that is held: one exchange gathers it, the tasks of the other table's pipeline look into it.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};

use super::super::kernels::{self, Batches};
use super::super::plan::{JoinOp, Matching};
use super::Lowering;
use super::pipeline::{Pipeline, Step};
use crate::error::{Error, Result, Role};
use crate::expr::Lookup;
use crate::external::join::{Held, Joined, Pairs, too_large};
use crate::graph::{Chunk, Exchange, Inputs, Kind, LayerRef, Meta, TaskContext, exchange};
use crate::origin::Origin;
use crate::plan::RegionLowering;
use crate::store::{Budget, Reservation, chunk, shown_bytes};

impl Lowering {
    /// The layer of the table that a join holds, one piece.
    pub(super) fn build(&self, at: usize, join: &JoinOp, lowering: &mut RegionLowering<'_, '_>) -> Result<u32> {
        let node = &self.plan.nodes[at];
        let (pipeline, _) = self.pipeline(node.inputs[1], &[], lowering)?;
        let (tasks, inputs, (bytes, need)) = (pipeline.tasks, pipeline.inputs(), pipeline.most());
        let given: Vec<&String> = join.columns.iter().filter(|column| column.held).map(|column| &column.from).collect();
        let keys: Vec<&String> = join.on.iter().map(|(_, held)| held).collect();
        let schema = &self.plan.nodes[node.inputs[1]].schema;
        let (mut kept, mut known): (Vec<&String>, HashMap<&String, usize>) = (Vec::new(), HashMap::new());
        for name in keys.iter().chain(&given) {
            known.entry(name).or_insert_with(|| {
                kept.push(name);
                kept.len() - 1
            });
        }
        let place = |name: &&String| known.get(name).copied();
        let places = |names: &[&String]| -> Result<Vec<usize>> {
            let places = names.iter().map(place).collect::<Option<_>>();
            places.ok_or_else(|| Error::internal("a join holds a column that it does not have"))
        };
        let columns = Lookup::new(schema);
        let fields = kept.iter().map(|name| columns.field(name).cloned());
        let fields = fields.collect::<Option<Vec<_>>>().ok_or_else(|| Error::internal("a join on no column"))?;
        let layer_meta = Meta { name: "merge, held".to_string(), verb: node.verb, origin: node.origin };
        let tenant = Build {
            keys: places(&keys)?,
            given: places(&given)?,
            schema: std::sync::Arc::new(Schema::new(fields)),
            nulls_equal: join.nulls_equal,
            need: need + bytes,
            verb: node.verb,
            origin: node.origin,
            pipeline,
        };
        let parts: LayerRef<Held> =
            lowering.gated(node.member, |draft| exchange(draft, layer_meta, tasks, inputs, 1, tenant))?;
        Ok(parts.layer())
    }
}

/// Gathers a table, to be looked into.
struct Build {
    pipeline: Pipeline,
    /// Of the columns that are kept.
    schema: SchemaRef,
    /// By their places there.
    keys: Vec<usize>,
    given: Vec<usize>,
    nulls_equal: bool,
    need: u64,
    verb: &'static str,
    origin: Origin,
}

/// What came, by morsel.
struct Rows {
    budget: Budget,
    came: Mutex<(BTreeMap<u32, Batches>, Reservation)>,
    made: Mutex<Option<Held>>,
}

impl Exchange for Build {
    type State = Rows;

    fn open(&self, _: u32, budget: &Budget) -> Rows {
        let held = budget.force_reserve("merge", 0);
        Rows { budget: budget.clone(), came: Mutex::new((BTreeMap::new(), held)), made: Mutex::default() }
    }

    fn append_need(&self) -> u64 {
        self.need
    }

    fn append(&self, context: &TaskContext<'_>, state: &Rows, morsel: u32, inputs: &mut Inputs<'_>) -> Result<()> {
        let framed = |error: Error| error.frame(Role::In, self.verb, self.origin);
        let mut own = Batches::new();
        let mut bytes = 0;
        self.pipeline.run(context, morsel, inputs, &mut |batch| {
            let batch = kernels::conform(batch, &self.schema)?;
            bytes += kernels::batch_bytes(&batch);
            kernels::keep(&mut own, batch)?;
            Ok(ControlFlow::Continue(()))
        })?;
        let mut came = lock(&state.came);
        came.1.try_grow(bytes).map_err(|refused| framed(too_large(refused)))?;
        came.0.insert(morsel, own);
        Ok(())
    }

    fn seal(&self, _: &TaskContext<'_>, state: &Rows) -> Result<Vec<u64>> {
        let framed = |error: Error| error.frame(Role::In, self.verb, self.origin);
        let (came, mut held) = {
            let mut came = lock(&state.came);
            let empty = state.budget.force_reserve("merge", 0);
            (std::mem::take(&mut came.0), std::mem::replace(&mut came.1, empty))
        };
        let batches: Vec<RecordBatch> = came.into_values().flatten().collect();
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        let mut batches: Vec<_> = batches.into_iter().map(|batch| batch.into_parts().1.into_iter()).collect();
        // Column by column, so that no more than one of them is there twice.
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        for field in self.schema.fields() {
            let parts: Vec<ArrayRef> = batches.iter_mut().filter_map(Iterator::next).collect();
            let parts: Vec<&dyn arrow::array::Array> = parts.iter().map(|part| &**part).collect();
            let bytes = parts.iter().map(|part| shown_bytes(*part)).sum();
            held.try_grow(bytes).map_err(|refused| framed(too_large(refused)))?;
            columns.push(kernels::concat_column(field, &parts).map_err(framed)?);
            held.shrink(bytes);
        }
        let keys: Vec<ArrayRef> = self.keys.iter().map(|at| columns[*at].clone()).collect();
        let given = self.given.iter().map(|at| columns[*at].clone()).collect();
        let made = Held::new(&keys, self.nulls_equal, given, rows, held).map_err(framed)?;
        *lock(&state.made) = Some(made);
        Ok(vec![rows as u64])
    }

    fn kind(&self) -> &'static dyn Kind {
        chunk::plain::<Held>()
    }

    fn part(&self, _: &TaskContext<'_>, state: &Rows, _: u32, _: &mut Inputs<'_>) -> Result<Chunk> {
        let made = lock(&state.made).take();
        Ok(Chunk::new(made.ok_or_else(|| Error::internal("a table is held twice"))?))
    }
}

/// A join whose columns are known by their places.
pub(super) struct ReadyJoin {
    matching: Matching,
    /// Which of the held tables it is.
    held: usize,
    keys: Vec<usize>,
    /// The probe's columns that are given, and their schema.
    own: Vec<usize>,
    own_schema: SchemaRef,
    /// The place of each column of the output among its table's; whether it is of the held one.
    places: Vec<(bool, usize)>,
    output: SchemaRef,
}

impl ReadyJoin {
    pub fn new(join: &JoinOp, held: usize, step: &Step) -> Result<ReadyJoin> {
        let columns = Lookup::new(&step.input);
        let place = |name: &String| columns.place(name).ok_or_else(|| Error::internal("a join of no column"));
        let keys = join.on.iter().map(|(own, _)| place(own)).collect::<Result<Vec<usize>>>()?;
        let given = join.columns.iter().filter(|column| !column.held);
        let own = given.map(|column| place(&column.from)).collect::<Result<Vec<usize>>>()?;
        let mut next = [0, 0];
        let places = join.columns.iter().map(|column| {
            let next = &mut next[usize::from(column.held)];
            *next += 1;
            (column.held, *next - 1)
        });
        let places = places.collect();
        let own_schema = super::super::plan::project(&step.input, &own);
        let (matching, output) = (join.matching, step.output.clone());
        Ok(ReadyJoin { matching, held, keys, own, own_schema, places, output })
    }

    /// Looks up the rows of a batch.
    pub fn begin<'a>(&self, held: &[&'a Held], batch: RecordBatch) -> Result<Joined<'a>> {
        let held = held.get(self.held).ok_or_else(|| Error::internal("a join without its table"))?;
        let keys: Vec<ArrayRef> = self.keys.iter().map(|at| batch.column(*at).clone()).collect();
        let own = self.own.iter().map(|at| batch.column(*at).clone()).collect();
        held.join(self.matching, &keys, kernels::batch_of(&self.own_schema, own, batch.num_rows())?)
    }

    pub fn put_together(&self, pairs: Pairs) -> Result<RecordBatch> {
        let arrays = self.places.iter().map(|(held, at)| {
            let from = if *held { &pairs.held } else { &pairs.own };
            from.get(*at).cloned().ok_or_else(|| Error::internal("a join gives too few columns"))
        });
        kernels::batch_of(&self.output, arrays.collect::<Result<_>>()?, pairs.rows)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
