//! Pipelines: what one task does with one morsel, batch by batch, from the source to the one who takes the batches.

use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};

use super::super::kernels::{self, Batches};
use super::super::plan::UserMap;
use crate::error::{Error, Result, Role};
use crate::expr::{Expr, Program, Value};
use crate::formats::scan::{ReadContext, Scan};
use crate::graph::{Input, Inputs, Meta, Pattern, TaskContext};

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
    /// The layer of pieces, where they are the source.
    pub piece_layer: Option<u32>,
    /// Number of tasks.
    pub tasks: u32,
    ready: OnceLock<Vec<Ready>>,
}

/// A step whose expressions are ready for batches.
enum Ready {
    Filter { mask: Program, columns: Vec<usize>, output: SchemaRef },
    Select { program: Program, output: SchemaRef },
    Map(UserMap),
}

/// Takes the batches of a pipeline, and says whether more are wanted.
pub type Take<'a> = dyn FnMut(RecordBatch) -> Result<ControlFlow<()>> + 'a;

impl Pipeline {
    pub fn new(source: Source, input: SchemaRef, meta: Meta, tasks: u32, piece_layer: Option<u32>) -> Pipeline {
        let (steps, parameters, parameter_layers) = (Vec::new(), Vec::new(), Vec::new());
        let ready = OnceLock::new();
        Pipeline { source, steps, input, meta, parameters, parameter_layers, piece_layer, tasks, ready }
    }

    /// Of what it gives.
    pub fn output(&self) -> &SchemaRef {
        self.steps.last().map_or(&self.input, |step| &step.output)
    }

    /// The edges of a layer of its tasks.
    pub fn inputs(&self) -> Vec<Input> {
        let piece = self.piece_layer.map(|layer| Input { layer, pattern: Pattern::OneToOne });
        piece.into_iter().chain(self.parameter_inputs()).collect()
    }

    /// The edges to its parameters.
    pub fn parameter_inputs(&self) -> impl Iterator<Item = Input> {
        self.parameter_layers.iter().map(|layer| Input { layer: *layer, pattern: Pattern::Broadcast })
    }

    /// About how many bytes the batches of the largest task take together, and one task needs beside them.
    pub fn most(&self) -> (u64, u64) {
        match &self.source {
            Source::Scan(scan) => {
                let most = |of: fn(&crate::formats::scan::Morsel) -> u64| scan.morsels().iter().map(of).max();
                (most(|morsel| morsel.bytes).unwrap_or(0), most(|morsel| morsel.need).unwrap_or(0))
            }
            Source::Piece => (0, 0),
        }
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
        match &self.source {
            Source::Scan(scan) => {
                let check = || context.check_cancelled();
                let count = |bytes: u64| context.count_read(bytes);
                let read = ReadContext { check: &check, count: &count };
                // What a later step finds is not the source's.
                let mut later: Option<Error> = None;
                let result = scan.read(index as usize, &read, &mut |batch| match self.push(ready, batch, take) {
                    Ok(flow) => Ok(flow),
                    Err(error) => {
                        later = Some(error.clone());
                        Err(error)
                    }
                });
                match later {
                    Some(error) => Err(error),
                    None => result.map_err(own),
                }
            }
            Source::Piece => {
                // By value where it is the last use: batches are dropped as they are gone through.
                let batches: Batches = inputs.take(0)?;
                for batch in batches {
                    context.check_cancelled()?;
                    if self.push(ready, batch, take)?.is_break() {
                        break;
                    }
                }
                Ok(())
            }
        }
    }

    /// Sends one batch through all steps.
    fn push(&self, ready: &[Ready], mut batch: RecordBatch, take: &mut Take<'_>) -> Result<ControlFlow<()>> {
        for (step, own) in self.steps.iter().zip(ready) {
            let made = match own {
                Ready::Filter { mask, columns, output } => {
                    mask.mask(&batch).and_then(|mask| kernels::filter(&batch, &mask, columns, output))
                }
                Ready::Select { program, output } => {
                    program.evaluate(&batch).and_then(|arrays| kernels::batch_of(output, arrays, batch.num_rows()))
                }
                Ready::Map(map) => kernels::conform(batch, &step.input)
                    .and_then(|batch| (map.function)(batch))
                    .and_then(|made| kernels::declared(made, &map.schema)),
            };
            batch = made.map_err(|error| error.frame(Role::In, step.meta.verb, step.meta.origin))?;
            if batch.num_rows() == 0 {
                return Ok(ControlFlow::Continue(()));
            }
        }
        if batch.num_rows() == 0 { Ok(ControlFlow::Continue(())) } else { take(batch) }
    }

    /// Makes the expressions ready, with the values of the parameters.
    fn prepare(&self, inputs: &mut Inputs<'_>, first: usize) -> Result<Vec<Ready>> {
        let mut values: Vec<(u64, Value)> = Vec::with_capacity(self.parameters.len());
        for (at, (id, data_type)) in self.parameters.iter().enumerate() {
            let array = single(inputs.get::<Batches>(first + at)?, data_type)?;
            values.push((*id, Value::Typed(array)));
        }
        let bind = |expr: &Expr| expr.bind(&|id| values.iter().find(|(known, _)| *known == id).map(|(_, v)| v.clone()));
        let mut ready = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            ready.push(match &step.what {
                What::Filter(condition) => {
                    let mask = Program::new(&[bind(condition)], &step.input)?;
                    let columns = step.output.fields().iter().map(|field| step.input.index_of(field.name()));
                    let columns = columns.collect::<Result<Vec<usize>, _>>();
                    let columns = columns.map_err(|_| Error::internal("a filter gives a column it does not get"))?;
                    Ready::Filter { mask, columns, output: step.output.clone() }
                }
                What::Select(exprs) => {
                    let exprs: Vec<Expr> = exprs.iter().map(bind).collect();
                    Ready::Select { program: Program::new(&exprs, &step.input)?, output: step.output.clone() }
                }
                What::Map(map) => Ready::Map(map.clone()),
            });
        }
        Ok(ready)
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
