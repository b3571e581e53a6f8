//! From plans of tables to layers of tasks.
//!
//! All tables of a request are planned together: optimized, then cut into pipelines. What only keeps rows or computes columns is a
//! step of the pipeline of the one who reads it; what several read, or what needs more than one batch at a time, is a layer of
//! its own, whose pieces are lists of batches, one for each morsel.

mod aggregate;
mod explain;
mod fill;
mod join;
mod number;
mod overlap;
mod pipeline;
mod repartition;
mod rows;
mod write;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use super::kernels::{self, Batches};
use super::optimize::{self, Node, Plan};
use super::plan::Op;
use crate::error::{Error, ErrorKind, Result, Role};
use crate::expr::{Expr, Lookup};
use crate::formats::scan::{Scan, ScanRequest};
use crate::graph::{Call, Each, Inputs, LayerRef, Meta, TaskContext, Tasks, one_call};
use crate::origin::Origin;
use crate::plan::{Member, PlanOptions, Planned, Region, RegionLowering};
use pipeline::{Pipeline, Source, Starts, Step, What};

/// All tables.
pub(super) struct Tables;

impl Region for Tables {
    fn name(&self) -> &'static str {
        "tables"
    }

    fn plan(&self, members: &[Member<'_>], options: &PlanOptions<'_>) -> Result<Box<dyn Planned>> {
        let mut plan = Plan::new(members)?;
        let roots: Vec<u32> = (0..members.len() as u32).filter(|at| members[*at as usize].is_root).collect();
        plan.limit_bytes = options.limit_bytes;
        one_writer_each(&plan)?;
        plan.sort();
        let mut texts = Vec::new();
        if options.explain {
            texts.push(("tables:".to_string(), plan.text()));
        }
        optimize::optimize(&mut plan, options.is_on)?;
        if options.explain {
            texts.push(("tables, optimized:".to_string(), plan.text()));
        }
        let root_of = roots.into_iter().zip(plan.roots.iter().copied()).collect();
        let (readers, made) = (plan.readers(), vec![None; plan.nodes.len()]);
        let mut is_parameter = vec![false; plan.nodes.len()];
        for node in &plan.nodes {
            node.inputs[node.tables().len()..].iter().for_each(|input| is_parameter[*input] = true);
        }
        let pipelines = (options.is_on)("pipeline");
        Ok(Box::new(Lowering {
            plan,
            readers,
            made,
            root_of,
            texts,
            pipelines,
            is_parameter,
            builds: HashMap::new(),
            starts: HashMap::new(),
            scans: RefCell::default(),
            explains: options.explain,
            limit_bytes: options.limit_bytes,
        }))
    }
}

/// A planned request.
struct Lowering {
    plan: Plan,
    readers: Vec<u32>,
    /// The layers of nodes that have some.
    made: Vec<Option<Made>>,
    /// The node of each root, by member.
    root_of: HashMap<u32, usize>,
    texts: Vec<(String, String)>,
    /// Whether steps are joined to pipelines.
    pipelines: bool,
    /// Whether a node gives the value of a parameter.
    is_parameter: Vec<bool>,
    /// The layers of the tables that joins hold.
    builds: HashMap<usize, u32>,
    /// Where the rows of each task begin, of nodes that go by the places of rows.
    starts: HashMap<usize, Starts>,
    /// What is known of the scans that were begun, for texts.
    scans: RefCell<HashMap<usize, explain::Seen>>,
    explains: bool,
    limit_bytes: u64,
}

/// A layer whose pieces are lists of batches.
#[derive(Clone)]
struct Made {
    layer: u32,
    /// Pieces `bounds[p]..bounds[p + 1]` are those of partition `p`.
    bounds: Arc<[u32]>,
    /// About how many bytes the largest piece takes; 0 where nothing is known.
    bytes: u64,
}

impl Made {
    fn pieces(&self) -> u32 {
        self.bounds.last().copied().unwrap_or(0)
    }

    /// One piece per partition.
    fn each(layer: u32, partitions: u32) -> Made {
        Made { layer, bounds: (0..=partitions).collect(), bytes: 0 }
    }
}

impl Planned for Lowering {
    fn lower(&mut self, member: u32, lowering: &mut RegionLowering<'_, '_>) -> Result<u32> {
        let root = self.root_of.get(&member).copied().ok_or_else(|| Error::internal("a table that is no root"))?;
        // What the root needs, in the order of the plan.
        let mut needed = vec![false; root + 1];
        needed[root] = true;
        for at in (0..=root).rev() {
            if needed[at] {
                self.plan.nodes[at].inputs.iter().for_each(|input| needed[*input] = true);
            }
        }
        for at in (0..=root).filter(|at| needed[*at]) {
            if let Op::Join(join) = &self.plan.nodes[at].op
                && !self.builds.contains_key(&at)
            {
                let built = self.build(at, join, lowering)?;
                self.builds.insert(at, built);
            }
            if let Op::Number(_) = &self.plan.nodes[at].op
                && !self.starts.contains_key(&at)
            {
                let starts = self.number(at, lowering)?;
                self.starts.insert(at, starts);
            }
            let twice = match &self.plan.nodes[at].op {
                Op::Fill(_) => true,
                // Rows behind a partition are looked for before it is its turn.
                Op::Overlap(overlap) => overlap.after > 0,
                _ => false,
            };
            if twice {
                self.read_twice(self.plan.nodes[at].inputs[0], lowering)?;
            }
            if self.made[at].is_none() && (at == root || self.is_layer(at)) {
                self.made[at] = Some(self.make(at, lowering)?);
            }
        }
        self.made[root].as_ref().map(|made| made.layer).ok_or_else(|| Error::internal("a table without layers"))
    }

    fn texts(&self) -> Vec<(String, String)> {
        let mut texts = self.texts.clone();
        if self.explains {
            texts.push(("tables, as they run:".to_string(), self.plan.noted(&|at| self.note(at))));
        }
        texts
    }
}

impl Lowering {
    /// Whether a node is more than a step in the pipeline of its reader.
    fn is_layer(&self, at: usize) -> bool {
        let node = &self.plan.nodes[at];
        let step = match &node.op {
            Op::Scan(_) | Op::Filter(_) | Op::Select(_) | Op::Join(_) | Op::Explode(_) | Op::Number(_) => true,
            Op::Map(map) => !map.whole,
            Op::Outside
            | Op::Aggregate(_)
            | Op::CountRows
            | Op::CountBytes
            | Op::Repartition
            | Op::Fill(_)
            | Op::Slice { .. }
            | Op::Top { .. }
            | Op::Concat
            | Op::Gather
            | Op::Partition(_)
            | Op::Overlap(_)
            | Op::Write(_) => false,
        };
        !step || self.readers[at] != 1 || !self.pipelines || self.is_parameter[at]
    }

    /// Adds the layers of a node; those it reads are there, but for the steps of its pipeline.
    fn make(&self, at: usize, lowering: &mut RegionLowering<'_, '_>) -> Result<Made> {
        let node = &self.plan.nodes[at];
        match &node.op {
            Op::Outside => {
                let input = node.outside.ok_or_else(|| Error::internal("a table that stands nowhere"))?;
                let (layer, _) = lowering.outside(node.member, input)?;
                Ok(Made::each(layer, node.partitions))
            }
            Op::Scan(_) | Op::Filter(_) | Op::Select(_) | Op::Join(_) | Op::Explode(_) | Op::Number(_) => {
                self.collect(at, lowering)
            }
            Op::Map(map) if map.whole => self.map_partitions(at, lowering),
            Op::Map(_) => self.collect(at, lowering),
            Op::Overlap(overlap) => self.overlap(at, overlap, lowering),
            Op::Aggregate(grouping) => self.aggregate(at, grouping, lowering),
            Op::CountRows => self.count_rows(at, lowering),
            Op::CountBytes => self.count_bytes(at, lowering),
            Op::Repartition => self.repartition(at, lowering),
            Op::Fill(fill) => self.fill(at, fill, lowering),
            Op::Slice { len, end } => self.slice(at, *len, *end, lowering),
            Op::Top { by, len } => self.top(at, by, *len, lowering),
            Op::Concat => self.concat(at, lowering),
            Op::Gather => self.gather(at, lowering),
            Op::Write(op) => self.write(at, op, lowering),
            Op::Partition(number) => self.partition(at, *number, lowering),
        }
    }

    /// The pipeline that gives the batches of a node, and how its tasks stand to partitions. Whoever reads them groups by `keys`.
    fn pipeline(
        &self,
        at: usize,
        keys: &[Expr],
        lowering: &mut RegionLowering<'_, '_>,
    ) -> Result<(Pipeline, Arc<[u32]>)> {
        let mut steps: Vec<usize> = Vec::new();
        let mut base = at;
        let source = loop {
            if let Some(made) = &self.made[base] {
                break Err(made.clone());
            }
            match &self.plan.nodes[base].op {
                Op::Scan(scan) => break Ok(scan),
                Op::Filter(_) | Op::Select(_) | Op::Map(_) | Op::Join(_) | Op::Explode(_) | Op::Number(_) => {
                    steps.push(base);
                    base = self.plan.nodes[base].inputs[0];
                }
                _ => return Err(Error::internal("a table is read before its layer is made")),
            }
        };
        let node = &self.plan.nodes[base];
        let input = node.schema.clone();
        let (mut pipeline, bounds) = match source {
            Ok(scan) => {
                let dictionaries = self.dictionaries(keys, base, &steps);
                let request = ScanRequest {
                    columns: scan.columns.clone(),
                    predicates: scan.predicates.clone(),
                    dictionaries: dictionaries.iter().map(|column| scan.columns[*column]).collect(),
                };
                let source = scan.source.clone().scan(&request);
                let source = source.map_err(|error| error.frame(crate::error::Role::In, node.verb, node.origin))?;
                if self.explains {
                    self.scans.borrow_mut().insert(base, explain::Seen::of(&*source));
                }
                let bounds = partitions(&*source, node.partitions);
                let tasks = source.morsels().len() as u32;
                let mut pipeline = Pipeline::new(Source::Scan(source), input, meta(node, node.verb), tasks, None);
                pipeline.filters = !scan.predicates.is_empty();
                pipeline.label = scan.source.label();
                (pipeline, bounds)
            }
            Err(made) => {
                let (tasks, layer) = (made.pieces(), Some(made.layer));
                let mut pipeline = Pipeline::new(Source::Piece, input, meta(node, node.verb), tasks, layer);
                pipeline.piece_bytes = made.bytes;
                (pipeline, made.bounds)
            }
        };
        for step in steps.into_iter().rev() {
            self.add_step(&mut pipeline, step, lowering)?;
        }
        Ok((pipeline, bounds))
    }

    fn add_step(&self, pipeline: &mut Pipeline, at: usize, lowering: &mut RegionLowering<'_, '_>) -> Result<()> {
        let node = &self.plan.nodes[at];
        let what = match &node.op {
            Op::Filter(condition) => What::Filter(condition.clone()),
            Op::Select(exprs) => What::Select(exprs.clone()),
            Op::Map(map) => What::Map(map.clone()),
            Op::Explode(columns) => What::Explode(columns.clone()),
            Op::Join(join) => {
                let built = self.builds.get(&at).ok_or_else(|| Error::internal("a join without its table"))?;
                pipeline.held_layers.push(*built);
                What::Join(join.clone(), pipeline.held_layers.len() - 1)
            }
            Op::Number(number) => {
                let starts =
                    self.starts.get(&at).ok_or_else(|| Error::internal("places of rows without a beginning"))?;
                if let Starts::Layer(layer) = starts {
                    pipeline.start_layers.push(*layer);
                }
                What::Number(number.clone(), starts.clone())
            }
            _ => return Err(Error::internal("a step of a pipeline that is none")),
        };
        for (id, input) in node.parameters.iter().zip(&node.inputs[node.tables().len()..]) {
            let made = self.made[*input].as_ref().ok_or_else(|| Error::internal("a parameter without a layer"))?;
            let data_type = self.plan.nodes[*input].schema.fields().first().map(|field| field.data_type().clone());
            pipeline.parameters.push((*id, data_type.unwrap_or(arrow::datatypes::DataType::Null)));
            pipeline.parameter_layers.push(self.single_piece(made, lowering)?);
        }
        let (input, output) = (pipeline.output().clone(), node.schema.clone());
        pipeline.steps.push(Step { what, input, output, meta: meta(node, node.verb) });
        Ok(())
    }

    /// A layer of one piece.
    fn single_piece(&self, made: &Made, lowering: &mut RegionLowering<'_, '_>) -> Result<u32> {
        if made.pieces() == 1 {
            return Ok(made.layer);
        }
        gather_pieces(lowering, made, &[0, made.pieces()], meta_of("parameter", Origin::UNKNOWN), None)
    }

    /// The text columns of a scan that may come as dictionaries: those that end as keys of groups, without having been a
    /// part of anything else on the way.
    fn dictionaries(&self, keys: &[Expr], scan: usize, steps: &[usize]) -> Vec<usize> {
        let column = |key: &Expr| match key.unnamed() {
            Expr::Column(name) => Some(name.clone()),
            _ => None,
        };
        let mut names: Vec<Arc<str>> = keys.iter().filter_map(column).collect();
        for step in steps {
            match &self.plan.nodes[*step].op {
                Op::Select(exprs) if !names.is_empty() => {
                    let made: HashMap<Arc<str>, &Expr> = exprs.iter().map(|expr| (expr.output_name(), expr)).collect();
                    let below = names.iter().filter_map(|name| column(made.get(name)?));
                    names = below.collect();
                }
                // Rows were counted in tasks of a scan without.
                Op::Map(_) | Op::Number(_) => return Vec::new(),
                Op::Join(join) => {
                    let below = names.iter().filter_map(|name| {
                        let column = join.columns.iter().find(|column| *column.name == **name && !column.held)?;
                        Some(column.from.as_str().into())
                    });
                    names = below.collect();
                }
                _ => {}
            }
        }
        let schema = &self.plan.nodes[scan].schema;
        let text = |at: &usize| *schema.field(*at).data_type() == arrow::datatypes::DataType::Utf8;
        let places = Lookup::new(schema);
        names.iter().filter_map(|name| places.place(name)).filter(text).collect()
    }

    /// The pipeline of what a node reads.
    fn front(&self, at: usize, lowering: &mut RegionLowering<'_, '_>) -> Result<(Pipeline, Arc<[u32]>)> {
        self.pipeline(self.plan.nodes[at].inputs[0], &[], lowering)
    }

    /// The batches of a node as they are, a piece for each morsel.
    fn collect(&self, at: usize, lowering: &mut RegionLowering<'_, '_>) -> Result<Made> {
        let node = &self.plan.nodes[at];
        let (pipeline, bounds) = self.pipeline_of(at, lowering)?;
        let (bytes, need) = pipeline.most();
        let (tasks, inputs, schema) = (pipeline.tasks, pipeline.inputs(), node.schema.clone());
        let layer_meta = meta(node, node.verb);
        let (fans_out, own) = (pipeline.fans_out(), layer_meta.clone());
        let run = move |context: &TaskContext<'_>, index: u32, inputs: &mut Inputs<'_>| {
            let mut kept = Batches::new();
            // What comes of a part of a table is about as large as the part, but for partners and copies: those are counted as
            // they come.
            let mut more = fans_out.then(|| (0, context.budget().force_reserve(own.verb, 0)));
            pipeline.run(context, index, inputs, &mut |batch| {
                if let Some((made, held)) = &mut more {
                    *made += batch.get_array_memory_size() as u64;
                    let wanted = made.saturating_sub(bytes).saturating_sub(held.bytes());
                    held.try_grow(wanted).map_err(|refused| {
                        let text = format!(
                            "{}: rows that are made of one part of a table are held together; make the parts smaller with \
                             repartition, or raise memory_limit",
                            refused.message()
                        );
                        Error::new(ErrorKind::OutOfMemory, text).frame(Role::In, own.verb, own.origin)
                    })?;
                }
                kernels::keep(&mut kept, kernels::conform(batch, &schema)?)?;
                Ok(std::ops::ControlFlow::Continue(()))
            })?;
            Ok(kept)
        };
        let op = Each::new(run).need(bytes + need);
        let member = node.member;
        let layer: LayerRef<Batches> = lowering.gated(member, |draft| draft.regular(layer_meta, tasks, inputs, op))?;
        Ok(Made { layer: layer.layer(), bounds, bytes })
    }

    /// The pipeline that ends with a node itself.
    fn pipeline_of(&self, at: usize, lowering: &mut RegionLowering<'_, '_>) -> Result<(Pipeline, Arc<[u32]>)> {
        let node = &self.plan.nodes[at];
        if matches!(node.op, Op::Scan(_)) {
            return self.pipeline(at, &[], lowering);
        }
        let (mut pipeline, bounds) = self.front(at, lowering)?;
        self.add_step(&mut pipeline, at, lowering)?;
        Ok((pipeline, bounds))
    }
}

/// Whether no two writers of a request have one target, of which one would take away what the other put there.
fn one_writer_each(plan: &Plan) -> Result<()> {
    let mut targets = HashSet::new();
    for node in &plan.nodes {
        let Op::Write(write) = &node.op else { continue };
        let target = std::path::absolute(&write.target).unwrap_or_else(|_| write.target.clone());
        if !targets.insert(target) {
            let text = format!("two writers have the target `{}`: run one after the other", write.target.display());
            return Err(Error::new(ErrorKind::Plan, text).frame(Role::In, node.verb, node.origin));
        }
    }
    Ok(())
}

/// How the morsels of a scan stand to partitions.
fn partitions(scan: &dyn Scan, partitions: u32) -> Arc<[u32]> {
    let morsels = scan.morsels();
    (0..=partitions).map(|number| morsels.partition_point(|morsel| morsel.partition < number) as u32).collect()
}

fn meta(node: &Node, verb: &'static str) -> Meta {
    Meta { name: verb.to_string(), verb, origin: node.origin }
}

fn meta_of(name: &'static str, origin: Origin) -> Meta {
    Meta { name: name.to_string(), verb: name, origin }
}

/// Puts pieces together: a task for each range between two bounds.
fn gather_pieces(
    lowering: &mut RegionLowering<'_, '_>,
    made: &Made,
    bounds: &[u32],
    meta: Meta,
    schema: Option<SchemaRef>,
) -> Result<u32> {
    let first = lowering.draft().graph().layers()[made.layer as usize].pieces.start;
    let count = bounds.len().saturating_sub(1);
    let mut tasks = Tasks::with_capacity(count, made.pieces() as usize);
    let call = gather_call(&Arc::new(meta.clone()), schema);
    for range in bounds.windows(2) {
        tasks.push(call.clone(), first + range[0]..first + range[1], 1);
    }
    lowering.draft().explicit(meta, tasks)
}

/// Puts the batches of its inputs one behind another.
fn gather_call(meta: &Arc<Meta>, schema: Option<SchemaRef>) -> Arc<dyn Call> {
    one_call(meta, move |inputs: &mut Inputs<'_>| {
        let mut all = Batches::new();
        for at in 0..inputs.len() {
            for batch in inputs.take::<Batches>(at)? {
                all.push(match &schema {
                    Some(schema) => kernels::conform(batch, schema)?,
                    None => batch,
                });
            }
        }
        Ok(all)
    })
}
