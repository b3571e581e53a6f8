//! Pipelines: what one task does with one morsel, batch by batch, from the source to the one who takes the batches.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};

use super::super::kernels::explode::{Exploded, Exploding};
use super::super::kernels::number::{Picked, Picker};
use super::super::kernels::parts::{Enlarging, Parts};
use super::super::kernels::{self, Batches};
use super::super::plan::{JoinOp, Matching, NumberOp, UserMap};
use super::join::ReadyJoin;
use crate::error::{Error, Result, Role};
use crate::expr::{Expr, Growth, Lookup, Program, Value};
use crate::external::join::{Held, Joined};
use crate::formats::scan::{ReadContext, Scan};
use crate::graph::{Input, Inputs, Meta, Pattern, TaskContext};
use crate::store::Budget;

/// Where the batches of a task come from.
#[derive(Clone)]
pub enum Source {
    /// The morsel of a scan that has the number of the task.
    Scan(Arc<dyn Scan>),
    /// The piece that is the task's first input.
    Piece,
}

/// A step of a pipeline.
#[derive(Clone)]
pub struct Step {
    pub what: What,
    /// Of what goes in.
    pub input: SchemaRef,
    /// Of what comes out.
    pub output: SchemaRef,
    pub meta: Meta,
}

/// What a step does.
#[derive(Clone)]
pub enum What {
    /// Keeps rows for which a condition is true, and of them the columns of the output.
    Filter(Expr),
    /// Computes the columns of the output.
    Select(Vec<Expr>),
    /// A user's function of a batch.
    Map(UserMap),
    /// Partners of its rows among those of a table that is held, by its place among those of the pipeline.
    Join(JoinOp, usize),
    /// A row for each item of the lists of some columns.
    Explode(Vec<String>),
    /// What its place in the table makes of a row.
    Number(NumberOp, Starts),
}

/// Where the rows of each task of a pipeline begin, and how many there are in all: one more than there are tasks.
#[derive(Clone)]
pub enum Starts {
    /// The source knows.
    Known(Arc<[u64]>),
    /// A layer of one piece counts.
    Layer(u32),
}

/// A chain of steps over a source.
pub struct Pipeline {
    pub source: Source,
    pub steps: Vec<Step>,
    /// Of the source.
    pub input: SchemaRef,
    /// What the source's layer is called in errors.
    pub meta: Meta,
    /// The parameters in the steps, each with its type: the inputs of a task behind its piece.
    pub parameters: Vec<(u64, DataType)>,
    /// The layers that give them.
    pub parameter_layers: Vec<u32>,
    /// The layers of the tables that joins look into: the inputs of a task behind its parameters.
    pub held_layers: Vec<u32>,
    /// The layers that count rows: the inputs behind those.
    pub start_layers: Vec<u32>,
    /// The layer of pieces, where they are the source.
    pub piece_layer: Option<u32>,
    /// About how many bytes the largest piece takes, where pieces are the source.
    pub piece_bytes: u64,
    /// Whether the source leaves rows out.
    pub filters: bool,
    /// What the source is called where a row of it is named; nothing where it is pieces.
    pub label: String,
    /// Number of tasks.
    pub tasks: u32,
    ready: OnceLock<Vec<Ready>>,
}

/// A step whose expressions are ready for batches.
enum Ready {
    Filter { mask: Program, columns: Vec<usize>, output: SchemaRef, enlarging: Option<Enlarging> },
    Select { program: Program, output: SchemaRef, enlarging: Option<Enlarging> },
    Map(UserMap),
    Join(ReadyJoin),
    Explode(Exploding),
    Number(NumberOp, SchemaRef),
}

/// What a task knows beside its steps.
struct Known<'a> {
    ready: &'a [Ready],
    held: Vec<&'a Held>,
    /// By step: the place of the next row, and which ones are picked.
    places: Vec<(usize, u64, Option<Picker>)>,
    check: &'a dyn Fn() -> Result<()>,
    budget: &'a Budget,
    rows: Rows,
}

/// Which rows of the source the batch has that is under way, for errors.
struct Rows {
    task: u32,
    /// So many of the task went through before.
    before: u64,
    /// Of the rows of the source that are before those of the task, where they are known.
    first: Option<u64>,
    /// Up to this step a row is one of the source in its place; nothing where none is.
    exact: Option<usize>,
}

/// A step that makes several batches of one.
enum Several<'a> {
    Joined(Joined<'a>),
    Exploded(Exploded),
    Picked(RecordBatch, Picked),
    /// Of which more is made than of a whole batch fits.
    Parts(Parts),
    /// Much that a user's function made, from row `next` on in slices of so many rows: the steps behind it take a little at a time.
    Made {
        batch: RecordBatch,
        next: usize,
        rows: usize,
    },
}

/// Bytes of what a user's function makes of a batch that go on at once.
const MADE_BYTES: u64 = 2 << 20;

/// Takes the batches of a pipeline, and says whether more are wanted.
pub type Take<'a> = dyn FnMut(RecordBatch) -> Result<ControlFlow<()>> + 'a;

impl Pipeline {
    pub fn new(source: Source, input: SchemaRef, meta: Meta, tasks: u32, piece_layer: Option<u32>) -> Pipeline {
        Pipeline {
            source,
            steps: Vec::new(),
            input,
            meta,
            parameters: Vec::new(),
            parameter_layers: Vec::new(),
            held_layers: Vec::new(),
            start_layers: Vec::new(),
            piece_layer,
            piece_bytes: 0,
            filters: false,
            label: String::new(),
            tasks,
            ready: OnceLock::new(),
        }
    }

    /// Of what it gives.
    pub fn output(&self) -> &SchemaRef {
        self.steps.last().map_or(&self.input, |step| &step.output)
    }

    /// The edges of a layer of its tasks.
    pub fn inputs(&self) -> Vec<Input> {
        let piece = self.piece_layer.map(|layer| Input { layer, pattern: Pattern::OneToOne });
        piece.into_iter().chain(self.shared_inputs()).collect()
    }

    /// The edges to what all tasks read: parameters, tables to join with, numbers of rows.
    pub fn shared_inputs(&self) -> impl Iterator<Item = Input> {
        self.parameter_layers
            .iter()
            .chain(&self.held_layers)
            .chain(&self.start_layers)
            .map(|layer| Input { layer: *layer, pattern: Pattern::Broadcast })
    }

    /// About how many bytes the batches of the largest task take together, and one task needs beside them.
    pub fn most(&self) -> (u64, u64) {
        match &self.source {
            Source::Scan(scan) => {
                let most = |of: fn(&crate::formats::scan::Morsel) -> u64| scan.morsels().iter().map(of).max();
                (most(|morsel| morsel.bytes).unwrap_or(0), most(|morsel| morsel.need).unwrap_or(0))
            }
            // What comes of a piece is there beside it.
            Source::Piece => (self.piece_bytes, 0),
        }
    }

    /// Whether a task may give many more rows than it reads.
    pub fn fans_out(&self) -> bool {
        self.steps.iter().any(|step| match &step.what {
            What::Join(join, _) => !matches!(join.matching, Matching::Semi | Matching::Anti),
            What::Explode(_) => true,
            What::Number(NumberOp::Sample(sample), _) => sample.replace,
            What::Select(exprs) => Growth::of(exprs).is_large(),
            What::Filter(_) | What::Map(_) | What::Number(..) => false,
        })
    }

    /// Runs task `index`: gives all its batches, until no more are wanted.
    pub fn run(
        &self,
        context: &TaskContext<'_>,
        index: u32,
        inputs: &mut Inputs<'_>,
        take: &mut Take<'_>,
    ) -> Result<()> {
        let pieces = usize::from(self.piece_layer.is_some());
        let ready = match self.ready.get() {
            Some(ready) => ready,
            None => {
                let ready = self.prepare(inputs, pieces)?;
                self.ready.get_or_init(|| ready)
            }
        };
        let own = |error: Error| error.frame(Role::From, self.meta.verb, self.meta.origin);
        // By value where it is the last use: batches are dropped as they are gone through.
        let piece = match &self.source {
            Source::Scan(_) => Batches::new(),
            Source::Piece => inputs.take(0)?,
        };
        let first = pieces + self.parameters.len();
        let held = (0..self.held_layers.len()).map(|at| inputs.get::<Held>(first + at)).collect::<Result<Vec<_>>>()?;
        let places = self.places(index as usize, &*inputs, first + held.len())?;
        let check = || context.check_cancelled();
        let rows = self.rows(index, ready);
        let mut known = Known { ready, held, places, check: &check, budget: context.budget(), rows };
        match &self.source {
            Source::Scan(scan) => {
                let check = || context.check_cancelled();
                let count = |bytes: u64| context.count_read(bytes);
                let read = ReadContext { check: &check, count: &count, budget: Some(context.budget()) };
                // What a later step finds is not the source's.
                let mut later: Option<Error> = None;
                let result = scan.read(index as usize, &read, &mut |batch| {
                    let rows = batch.num_rows() as u64;
                    let flow = self.push(&mut known, batch, take);
                    known.rows.before += rows;
                    flow.inspect_err(|error| later = Some(error.clone()))
                });
                match later {
                    Some(error) => Err(error),
                    None => result.map_err(own),
                }
            }
            Source::Piece => {
                for batch in piece {
                    context.check_cancelled()?;
                    if self.push(&mut known, batch, take)?.is_break() {
                        break;
                    }
                }
                Ok(())
            }
        }
    }

    /// Sends one batch through all steps. A join and others may make several of it: each goes on by itself.
    fn push(&self, known: &mut Known<'_>, batch: RecordBatch, take: &mut Take<'_>) -> Result<ControlFlow<()>> {
        let Known { ready, held, places, check, budget, rows } = known;
        let mut several: Vec<(usize, Several<'_>)> = Vec::new();
        let mut next = Some((0, batch));
        loop {
            while let Some((at, batch)) = next.take() {
                if batch.num_rows() == 0 {
                    continue;
                }
                let count = batch.num_rows();
                let placed = |error: Error| error.placed(|row| self.place(rows, at, row, count));
                let Some((step, own)) = self.steps.get(at).zip(ready.get(at)) else {
                    if take(batch).map_err(placed)?.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                    continue;
                };
                let framed = |error: Error| placed(error).frame(Role::In, step.meta.verb, step.meta.origin);
                let made = match own {
                    Ready::Filter { enlarging: Some(enlarging), .. }
                    | Ready::Select { enlarging: Some(enlarging), .. } => {
                        several.push((at, Several::Parts(enlarging.parts(batch).map_err(framed)?)));
                        continue;
                    }
                    Ready::Filter { .. } | Ready::Select { .. } => own.computed(&batch),
                    Ready::Map(map) => {
                        let made = kernels::conform(batch, &step.input)
                            .and_then(|batch| (map.function)(batch))
                            .and_then(|made| kernels::declared(made, &map.schema));
                        let made = made.map_err(framed)?;
                        let slices = kernels::batch_bytes(&made).div_ceil(MADE_BYTES);
                        if slices > 1 {
                            let rows = (made.num_rows() as u64).div_ceil(slices) as usize;
                            several.push((at, Several::Made { batch: made, next: 0, rows }));
                            continue;
                        }
                        Ok(made)
                    }
                    Ready::Number(number, output) => {
                        let place = places.iter_mut().find(|(of, ..)| *of == at);
                        let (_, next, picker) = place.ok_or_else(|| Error::internal("a row without a place"))?;
                        let first = *next;
                        *next += batch.num_rows() as u64;
                        match (number, picker) {
                            (NumberOp::Sample(_), Some(picker)) => {
                                let rows = picker.pick(first, batch.num_rows());
                                let batch = kernels::named(&batch, output).map_err(framed)?;
                                several.push((at, Several::Picked(batch, rows)));
                                continue;
                            }
                            _ => kernels::numbered(&batch, first, output),
                        }
                    }
                    Ready::Join(join) => {
                        several.push((at, Several::Joined(join.begin(held, batch).map_err(framed)?)));
                        continue;
                    }
                    Ready::Explode(exploding) => {
                        several.push((at, Several::Exploded(exploding.begin(batch).map_err(framed)?)));
                        continue;
                    }
                };
                next = Some((at + 1, made.map_err(framed)?));
            }
            let Some((at, source)) = several.last_mut() else { return Ok(ControlFlow::Continue(())) };
            let (at, step) = (*at, &self.steps[*at]);
            check()?;
            let made = match source {
                Several::Joined(joined) => joined.next_pairs().and_then(|pairs| match (pairs, ready.get(at)) {
                    (Some(pairs), Some(Ready::Join(join))) => join.put_together(pairs).map(Some),
                    _ => Ok(None),
                }),
                Several::Exploded(exploded) => match &ready[at] {
                    Ready::Explode(exploding) => exploding.next(exploded),
                    _ => Ok(None),
                },
                Several::Made { batch, next, rows } => {
                    let first = std::mem::replace(next, batch.num_rows().min(*next + *rows));
                    // Copied, so that nobody holds all of it for a few of its rows.
                    let slice = (first < *next).then(|| kernels::compact(batch.slice(first, *next - first)));
                    slice.transpose()
                }
                Several::Picked(batch, picked) => picked.next().map(|rows| kernels::take_rows(batch, rows)).transpose(),
                Several::Parts(parts) => match &ready[at] {
                    own @ (Ready::Filter { enlarging: Some(of), .. } | Ready::Select { enlarging: Some(of), .. }) => {
                        let part =
                            parts.next(of, budget).and_then(|part| part.map(|part| own.computed(&part)).transpose());
                        let count = parts.rows();
                        part.map_err(|error| parts.placed(error).placed(|row| self.place(rows, at, row, count)))
                    }
                    _ => Ok(None),
                },
            };
            match made.map_err(|error| error.frame(Role::In, step.meta.verb, step.meta.origin))? {
                Some(batch) => next = Some((at + 1, batch)),
                None => drop(several.pop()),
            }
        }
    }

    /// Where a task is in the source.
    fn rows(&self, task: u32, ready: &[Ready]) -> Rows {
        let keeps =
            |step: &Ready| matches!(step, Ready::Select { enlarging: None, .. } | Ready::Number(NumberOp::Index(_), _));
        let exact = match self.filters {
            // Its batches are what was left of the source's.
            true => None,
            false => Some(ready.iter().position(|step| !keeps(step)).unwrap_or(ready.len())),
        };
        let first = match &self.source {
            Source::Scan(scan) => {
                let earlier = scan.morsels().iter().take(task as usize);
                earlier.map(|morsel| morsel.rows).try_fold(0u64, |sum, rows| sum.checked_add(rows?))
            }
            Source::Piece => None,
        };
        let exact = exact.filter(|_| matches!(self.source, Source::Scan(_)));
        Rows { task, before: 0, first, exact }
    }

    /// What is said of a row of a batch that a step is given: which of the source it is, if it is one of those.
    fn place(&self, rows: &Rows, step: usize, row: u64, count: usize) -> String {
        match (rows.exact.is_some_and(|exact| step <= exact), rows.first) {
            (true, Some(first)) => format!("row {} of {}", first + rows.before + row, self.label),
            (true, None) => format!("row {} of part {} of {}", rows.before + row, rows.task, self.label),
            _ => format!("row {row} of a batch of {count}"),
        }
    }

    /// The places of the first rows of a task, for the steps that go by them.
    fn places(&self, task: usize, inputs: &Inputs<'_>, first: usize) -> Result<Vec<(usize, u64, Option<Picker>)>> {
        let mut places = Vec::new();
        let mut next = first;
        for (at, step) in self.steps.iter().enumerate() {
            let What::Number(number, starts) = &step.what else { continue };
            let starts: &[u64] = match starts {
                Starts::Known(starts) => starts,
                Starts::Layer(_) => {
                    next += 1;
                    inputs.get::<Vec<u64>>(next - 1)?
                }
            };
            let (Some(start), Some(total)) = (starts.get(task), starts.last()) else {
                return Err(Error::internal("a task without the place of its first row"));
            };
            let picker = match number {
                NumberOp::Index(_) => None,
                NumberOp::Sample(sample) => Some(Picker::new(sample, *total)),
            };
            let picker = picker.transpose().map_err(|error| error.frame(Role::In, step.meta.verb, step.meta.origin))?;
            places.push((at, *start, picker));
        }
        Ok(places)
    }

    /// Makes the expressions ready, with the values of the parameters.
    fn prepare(&self, inputs: &mut Inputs<'_>, first: usize) -> Result<Vec<Ready>> {
        let mut values: HashMap<u64, Value> = HashMap::with_capacity(self.parameters.len());
        for (at, (id, data_type)) in self.parameters.iter().enumerate() {
            let array = single(inputs.get::<Batches>(first + at)?, data_type)?;
            values.insert(*id, Value::Typed(array));
        }
        let bind = |expr: &Expr| expr.bind(&|id| values.get(&id).cloned());
        let mut ready = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            ready.push(match &step.what {
                What::Filter(condition) => {
                    let condition = [bind(condition)];
                    let mask = Program::new(&condition, &step.input)?;
                    let places = Lookup::new(&step.input);
                    let columns = step.output.fields().iter().map(|field| places.place(field.name()));
                    let columns = columns.collect::<Option<Vec<usize>>>();
                    let columns = columns.ok_or_else(|| Error::internal("a filter gives a column it does not get"))?;
                    let enlarging = Enlarging::of(&condition, &step.input);
                    Ready::Filter { mask, columns, output: step.output.clone(), enlarging }
                }
                What::Select(exprs) => {
                    let exprs: Vec<Expr> = exprs.iter().map(bind).collect();
                    let program = Program::new(&exprs, &step.input)?;
                    Ready::Select {
                        program,
                        output: step.output.clone(),
                        enlarging: Enlarging::of(&exprs, &step.input),
                    }
                }
                What::Map(map) => Ready::Map(map.clone()),
                What::Number(number, _) => Ready::Number(number.clone(), step.output.clone()),
                What::Join(join, held) => Ready::Join(ReadyJoin::new(join, *held, step)?),
                What::Explode(columns) => Ready::Explode(Exploding::new(columns, &step.input, &step.output)?),
            });
        }
        Ok(ready)
    }
}

impl Ready {
    /// What a filter keeps of a batch, or what is computed of it.
    fn computed(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        match self {
            Ready::Filter { mask, columns, output, .. } => {
                mask.mask(batch).and_then(|mask| kernels::filter(batch, &mask, columns, output))
            }
            Ready::Select { program, output, .. } => {
                program.evaluate(batch).and_then(|arrays| kernels::batch_of(output, arrays, batch.num_rows()))
            }
            _ => Err(Error::internal("a step that is computed by itself")),
        }
    }
}

/// The only value of a table of one row and one column; null of a table without rows.
fn single(batches: &Batches, data_type: &DataType) -> Result<ArrayRef> {
    let batch = batches.iter().find(|batch| batch.num_rows() > 0);
    Ok(match batch.and_then(|batch| batch.columns().first()) {
        Some(column) => column.slice(0, 1),
        None => arrow::array::new_null_array(data_type, 1),
    })
}
