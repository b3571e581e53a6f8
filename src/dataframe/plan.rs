//! What tables are made of: operations as plain data, and what is known of their results.

use std::any::Any;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::kernels::explode::item_of;
use super::kernels::number::{Sample, Size};
use super::lower;
use crate::error::{Error, ErrorKind, Result};
use crate::expr::{AGGREGATE_COLUMN, Aggregate, Expr, Lookup, aggregate_column, split_aggregates, unknown_column};
pub(super) use crate::external::join::Matching;
use crate::formats::scan::TableSource;
use crate::formats::write::{FileNames, Format, IfExists};
use crate::origin::Origin;
use crate::plan::{Node, NodeRef, Region, Role};

/// An operation.
#[derive(Clone, Debug)]
pub(super) enum Op {
    /// Reads a source.
    Scan(ScanOp),
    /// Partitions that something else gives: kept ones, or another collection's. They have the node's schema.
    Outside,
    /// Keeps the rows for which a condition is true.
    Filter(Expr),
    /// Computes columns.
    Select(Vec<Expr>),
    /// One row per key; without keys one row.
    Aggregate(Grouping),
    /// The number of rows: one value and no table.
    CountRows,
    /// The bytes that they take in memory: one value and no table.
    CountBytes,
    /// So many rows, from the beginning or to the end.
    Slice { len: u64, end: bool },
    /// The first rows of an order, in that order; of equal ones those that come first.
    Top { by: Vec<SortKey>, len: u64 },
    /// Rows of the first input with those of the second that have equal keys; the second one is held in memory.
    Join(JoinOp),
    /// A row for each item of the lists of some columns, which are equally long.
    Explode(Vec<String>),
    /// What becomes of a row by its place in the table.
    Number(NumberOp),
    /// Nulls take the value of the nearest row before or behind them that has one.
    Fill(FillOp),
    /// The same rows in another number of partitions.
    Repartition,
    /// The rows of all inputs, one after another.
    Concat,
    /// The same rows; each partition in one piece.
    Gather,
    /// One of the partitions, of an input that has each in one piece.
    Partition(u32),
    /// What a user's function makes of each batch, or of each whole partition.
    Map(UserMap),
    /// What a user's function makes of each partition with rows of its neighbours.
    Overlap(OverlapOp),
    /// Files of all rows: one value and no table.
    Write(WriteOp),
}

/// What is written, and where.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct WriteOp {
    pub target: PathBuf,
    pub names: FileNames,
    pub format: Format,
    pub layout: Layout,
    pub if_exists: IfExists,
    pub durable: bool,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The files, in natural order.
    pub files: Vec<PathBuf>,
    /// Their rows together.
    pub rows: u64,
    /// Their bytes together.
    pub bytes: u64,
}

/// Which files there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// One.
    Single,
    /// One for each partition.
    Partitions,
    /// One for each value of some columns.
    Keys(Vec<String>),
}

/// What is read of a source.
#[derive(Clone, Debug)]
pub(super) struct ScanOp {
    pub source: Arc<dyn TableSource>,
    /// By their places in the schema of the source.
    pub columns: Vec<usize>,
    /// All of these are true of the rows that come out.
    pub predicates: Vec<Expr>,
}

/// A group-by.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Grouping {
    pub keys: Vec<Expr>,
    pub aggregates: Vec<Aggregate>,
    /// Over the keys, by their names, and the aggregates.
    pub outputs: Vec<Expr>,
    /// Whether null is a key.
    pub keep_nulls: bool,
    /// Whether groups may come in any order that follows from the data.
    pub unordered: bool,
}

/// A join. The rows of the first input, the *probe*, stream; those of the second, the *build*, are held.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct JoinOp {
    pub matching: Matching,
    /// Columns of the probe and of the build that are compared.
    pub on: Vec<(String, String)>,
    pub nulls_equal: bool,
    pub columns: Vec<JoinColumn>,
}

/// Which nulls are filled from other rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FillOp {
    pub columns: Vec<String>,
    /// From rows behind them, not before.
    pub backward: bool,
    /// No more than so many in a row.
    pub limit: Option<u64>,
}

/// What becomes of a row by its place in the table.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum NumberOp {
    /// The place stands in a column, the first one.
    Index(String),
    /// It says whether the row is picked.
    Sample(Sample),
}

/// A column that a join gives.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct JoinColumn {
    /// Whether it is one of the build.
    pub held: bool,
    /// What it is called there.
    pub from: String,
    pub name: String,
}

/// A column to sort by.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SortKey {
    pub of: Expr,
    pub descending: bool,
}

/// A user's function of batches.
#[derive(Clone)]
pub(super) struct UserMap {
    pub function: Arc<dyn Fn(RecordBatch) -> Result<RecordBatch> + Send + Sync>,
    pub schema: SchemaRef,
    /// Whether it is given each partition as one batch.
    pub whole: bool,
}

/// A user's function of partitions that sees rows around them and gives as many as it is given.
#[derive(Clone, Debug)]
pub(super) struct OverlapOp {
    /// Rows of those that stand before a partition, and of those behind it.
    pub before: usize,
    pub after: usize,
    pub map: UserMap,
}

impl fmt::Debug for UserMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "function {:p}", Arc::as_ptr(&self.function))
    }
}

/// A node of the plan and what is known of the table it gives.
#[derive(Clone)]
pub(crate) struct Frame {
    pub node: NodeRef,
    pub schema: SchemaRef,
    pub partitions: u32,
    /// About how many bytes each column of a partition takes at most; 0 where nothing is known.
    pub bytes: Arc<[u64]>,
    /// Whether the order of its rows is one that verbs may go by.
    pub ordered: bool,
}

/// A node.
pub(super) struct Step {
    pub origin: Origin,
    pub verb: &'static str,
    pub op: Op,
    /// The tables it reads, then one of a single value for each of its parameters.
    pub inputs: Vec<Frame>,
    /// The parameters that its expressions have, by their numbers.
    pub parameters: Vec<u64>,
    /// Of what it gives.
    pub schema: SchemaRef,
    pub partitions: u32,
    pub bytes: Arc<[u64]>,
}

impl Frame {
    /// The table that an operation gives.
    ///
    /// # Errors
    /// Of kind `Plan`, where the operation does not fit its inputs.
    pub(super) fn new(op: Op, inputs: &[&Frame], verb: &'static str, origin: Origin) -> Result<Frame> {
        Frame::with_parameters(op, inputs, &[], verb, origin)
    }

    /// The table that an operation gives whose expressions have parameters: their numbers, and tables of one value.
    pub(super) fn with_parameters(
        op: Op,
        inputs: &[&Frame],
        parameters: &[(u64, Frame)],
        verb: &'static str,
        origin: Origin,
    ) -> Result<Frame> {
        let (schema, partitions, bytes) = metadata(&op, inputs)?;
        let schema = nullable(schema);
        let ordered = order_of(&op, inputs.iter().map(|input| input.ordered))?;
        let inputs = inputs.iter().map(|frame| (*frame).clone()).chain(parameters.iter().map(|(_, of)| of.clone()));
        let parameters = parameters.iter().map(|(id, _)| *id).collect();
        let (inputs, kept) = (inputs.collect(), (schema.clone(), bytes.clone()));
        let step = Step { origin, verb, op, inputs, parameters, schema, partitions, bytes };
        Ok(Frame { node: NodeRef::new(step), schema: kept.0, partitions, bytes: kept.1, ordered })
    }

    /// A table whose partitions another node gives, as lists of batches of this schema.
    pub fn outside(node: NodeRef, schema: SchemaRef, partitions: u32, bytes: Arc<[u64]>, origin: Origin) -> Frame {
        let schema = nullable(schema);
        let input = Frame { node, schema: schema.clone(), partitions, bytes: bytes.clone(), ordered: true };
        let (op, kept) = (Op::Outside, (schema.clone(), bytes.clone()));
        let (inputs, verb) = (vec![input], "from_batches");
        let step = Step { origin, verb, op, inputs, parameters: Vec::new(), schema, partitions, bytes };
        Frame { node: NodeRef::new(step), schema: kept.0, partitions, bytes: kept.1, ordered: true }
    }

    /// About how many bytes a partition takes.
    pub fn partition_bytes(&self) -> u64 {
        self.bytes.iter().sum()
    }

    /// The same rows in so many partitions.
    pub fn repartitioned(&self, partitions: u32, verb: &'static str, origin: Origin) -> Frame {
        let (schema, inputs) = (self.schema.clone(), vec![self.clone()]);
        let scaled =
            |bytes: &u64| (u128::from(*bytes) * u128::from(self.partitions) / u128::from(partitions.max(1))) as u64;
        let bytes: Arc<[u64]> = self.bytes.iter().map(scaled).collect();
        let (op, parameters, kept) = (Op::Repartition, Vec::new(), (schema.clone(), bytes.clone()));
        let step = Step { origin, verb, op, inputs, parameters, schema, partitions, bytes };
        Frame { node: NodeRef::new(step), schema: kept.0, partitions, bytes: kept.1, ordered: self.ordered }
    }

    /// With each partition in one piece, as others read it.
    pub fn gathered(&self, verb: &'static str, origin: Origin) -> Result<Frame> {
        Frame::new(Op::Gather, &[self], verb, origin)
    }
}

/// Schema, number of partitions and bytes per column of what an operation gives.
fn metadata(op: &Op, inputs: &[&Frame]) -> Result<(SchemaRef, u32, Arc<[u64]>)> {
    let input = || inputs.first().copied().ok_or_else(|| Error::internal("an operation on tables without an input"));
    let unknown = |schema: &SchemaRef| vec![0; schema.fields().len()].into();
    Ok(match op {
        Op::Scan(scan) => {
            let schema = project(scan.source.schema(), &scan.columns);
            let (partitions, all) = (scan.source.partitions(), scan.source.column_bytes());
            let each = |column: &usize| all.get(*column).map_or(0, |bytes| bytes / u64::from(partitions.max(1)));
            (schema, partitions, scan.columns.iter().map(each).collect())
        }
        Op::Outside | Op::Gather | Op::Repartition | Op::Fill(_) | Op::Number(NumberOp::Sample(_)) | Op::Filter(_) => {
            let input = input()?;
            if let Op::Filter(condition) = op {
                outside_of_agg(condition)?;
                let found = condition.data_type(&input.schema)?;
                if found != DataType::Boolean {
                    let text = format!("`{}` is a {found} and no condition", condition.brief());
                    return Err(Error::new(ErrorKind::Plan, text));
                }
            }
            (input.schema.clone(), input.partitions, input.bytes.clone())
        }
        Op::Select(exprs) => {
            let input = input()?;
            exprs.iter().try_for_each(outside_of_agg)?;
            let fields = Lookup::new(&input.schema);
            let bytes = exprs.iter().map(|expr| expr_bytes(input, &fields, expr)).collect();
            (schema_of(exprs, &input.schema)?, input.partitions, bytes)
        }
        Op::Aggregate(grouping) => {
            let schema = grouping.schema(&input()?.schema)?;
            let bytes = unknown(&schema);
            (schema, 1, bytes)
        }
        Op::CountRows | Op::CountBytes | Op::Write(_) => (Arc::new(Schema::empty()), 1, Arc::new([])),
        Op::Partition(_) => {
            let input = input()?;
            (input.schema.clone(), 1, input.bytes.clone())
        }
        Op::Slice { .. } | Op::Top { .. } => {
            let input = input()?;
            if let Op::Top { by, .. } = op {
                by.iter().try_for_each(|key| outside_of_agg(&key.of))?;
                by.iter().try_for_each(|key| key.of.data_type(&input.schema).map(drop))?;
            }
            (input.schema.clone(), 1, unknown(&input.schema))
        }
        Op::Concat => {
            let first = input()?;
            let partitions = inputs.iter().try_fold(0u32, |sum, frame| sum.checked_add(frame.partitions));
            let partitions = partitions.ok_or_else(|| Error::new(ErrorKind::Plan, "too many partitions"))?;
            let most = |at: usize| inputs.iter().filter_map(|frame| frame.bytes.get(at)).max().copied().unwrap_or(0);
            let bytes = (0..first.schema.fields().len()).map(most).collect();
            (first.schema.clone(), partitions, bytes)
        }
        Op::Map(map) | Op::Overlap(OverlapOp { map, .. }) => {
            (map.schema.clone(), input()?.partitions, unknown(&map.schema))
        }
        Op::Explode(columns) => {
            let input = input()?;
            (exploded(columns, &input.schema)?, input.partitions, input.bytes.clone())
        }
        Op::Number(NumberOp::Index(name)) => {
            let input = input()?;
            if input.schema.index_of(name).is_ok() {
                let text = format!("there is a column `{name}` already: give the row numbers another name");
                return Err(Error::new(ErrorKind::Plan, text));
            }
            let number = Arc::new(Field::new(name, DataType::UInt64, true));
            let fields: Vec<_> = std::iter::once(number).chain(input.schema.fields().iter().cloned()).collect();
            let rows = input.bytes.first().copied().unwrap_or(0);
            (
                Arc::new(Schema::new(fields)),
                input.partitions,
                std::iter::once(rows).chain(input.bytes.iter().copied()).collect(),
            )
        }
        Op::Join(join) => {
            let [probe, build] = inputs else { return Err(Error::internal("a join without two tables")) };
            let schema = join.schema(&probe.schema, &build.schema)?;
            let fields = Lookup::new(&probe.schema);
            let bytes = join.columns.iter().map(|column| {
                let found = if column.held { None } else { fields.place(&column.from) };
                found.and_then(|at| probe.bytes.get(at).copied()).unwrap_or(0)
            });
            let bytes = bytes.collect();
            (schema, probe.partitions, bytes)
        }
    })
}

/// Whether the order of the rows that an operation gives is one to go by, from whether those are that it reads.
///
/// # Errors
/// Of kind `Plan`, where the operation itself goes by an order that was waived.
pub(super) fn order_of(op: &Op, mut inputs: impl Iterator<Item = bool>) -> Result<bool> {
    let kept = match op {
        Op::Scan(_) | Op::Outside => true,
        Op::Concat => inputs.all(|ordered| ordered),
        _ => inputs.next().is_none_or(|ordered| ordered),
    };
    let reads = match op {
        Op::Slice { end: true, .. } | Op::Number(NumberOp::Index(_)) | Op::Fill(_) => Some(op.label()),
        Op::Overlap(overlap) if overlap.before > 0 || overlap.after > 0 => Some(op.label()),
        Op::Aggregate(grouping) => {
            let by_order = grouping.aggregates.iter().find(|of| of.function.goes_by_order());
            by_order.map(|of| Expr::Aggregate(Arc::new(of.clone())).brief())
        }
        _ => None,
    };
    if let (Some(what), false) = (reads, kept) {
        let text = format!("`{what}` goes by the order of rows, which `.unordered()` waived: leave that out");
        return Err(Error::new(ErrorKind::Plan, text));
    }
    Ok(match op {
        Op::Aggregate(grouping) => !grouping.unordered,
        Op::Top { .. } | Op::CountRows | Op::CountBytes | Op::Write(_) => true,
        _ => kept,
    })
}

impl JoinOp {
    /// Of what it gives.
    ///
    /// # Errors
    /// Of kind `Internal`, where a column is not there.
    pub fn schema(&self, probe: &Schema, build: &Schema) -> Result<SchemaRef> {
        let (probe, build) = (Lookup::new(probe), Lookup::new(build));
        let fields = self.columns.iter().map(|column| {
            let from = if column.held { &build } else { &probe };
            let field = from.field(&column.from);
            let field =
                field.ok_or_else(|| Error::internal(format!("a join gives `{}`, which is not there", column.from)))?;
            Ok(field.clone().with_name(&*column.name).with_nullable(true))
        });
        Ok(Arc::new(Schema::new(fields.collect::<Result<Vec<Field>>>()?)))
    }
}

impl Grouping {
    /// Groups by keys, with the outputs of `agg`, in which aggregates may stand in expressions.
    ///
    /// # Errors
    /// Of kind `Plan`, where there is something in an output that is neither aggregate nor key.
    pub fn new(keys: Vec<Expr>, outputs: &[Expr], keep_nulls: bool) -> Result<Grouping> {
        keys.iter().try_for_each(outside_of_agg)?;
        for expr in outputs {
            if !expr.has_aggregate() && !keys.iter().any(|key| key.output_name() == expr.output_name()) {
                // What is wrong in itself says so.
                expr.check_valid()?;
                let expr = expr.brief();
                let text = format!(
                    "`{expr}` is no aggregate: `agg` takes one value for a group, such as {expr}.sum() or {expr}.first()"
                );
                return Err(Error::new(ErrorKind::Plan, text));
            }
        }
        if !outputs.is_empty() {
            // Of rows they may be called so, of groups not.
            let named: Vec<Expr> = keys.iter().map(|key| Expr::Column(key.output_name())).collect();
            super::parameters::names_are_free(&named)?;
        }
        let split = split_aggregates(outputs);
        if let Some(nested) =
            split.aggregates.iter().find(|of| of.args.iter().chain(&of.filter).any(Expr::has_aggregate))
        {
            let nested = Expr::Aggregate(Arc::new(nested.clone()));
            let text = format!("`{}` is an aggregate of an aggregate", nested.brief());
            return Err(Error::new(ErrorKind::Plan, text));
        }
        Ok(Grouping { keys, aggregates: split.aggregates, outputs: split.outputs, keep_nulls, unordered: false })
    }

    /// The keys under their names, then the aggregates under theirs: what the outputs are made of.
    pub fn inner_schema(&self, input: &Schema) -> Result<Schema> {
        let mut fields = Vec::with_capacity(self.keys.len() + self.aggregates.len());
        let input = Lookup::new(input);
        for key in &self.keys {
            fields.push(Field::new(&*key.output_name(), key.type_in(&input)?, true));
        }
        for (at, aggregate) in self.aggregates.iter().enumerate() {
            let whole = Expr::Aggregate(Arc::new(aggregate.clone()));
            fields.push(Field::new(&*aggregate_column(at), whole.type_in(&input)?, true));
        }
        Ok(Schema::new(fields))
    }

    fn schema(&self, input: &Schema) -> Result<SchemaRef> {
        let inner = self.inner_schema(input)?;
        let keys = self.keys.iter().map(|key| Expr::Column(key.output_name()));
        let all: Vec<Expr> = keys.chain(self.outputs.iter().cloned()).collect();
        schema_of(&all, &inner).map_err(|error| self.in_own_words(error))
    }

    /// An error of its outputs with the aggregates as the user wrote them.
    pub fn in_own_words(&self, error: Error) -> Error {
        error.reworded(|text| {
            let mut parts = text.split(AGGREGATE_COLUMN);
            let mut said = parts.next().unwrap_or_default().to_string();
            for part in parts {
                let digits = part.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(part.len());
                match part[..digits].parse::<usize>().ok().and_then(|at| self.aggregates.get(at)) {
                    Some(aggregate) => said += &Expr::Aggregate(Arc::new(aggregate.clone())).brief(),
                    None => said.extend([AGGREGATE_COLUMN, &part[..digits]]),
                }
                said += &part[digits..];
            }
            said
        })
    }
}

/// With the items of lists in place of the lists.
fn exploded(columns: &[String], input: &SchemaRef) -> Result<SchemaRef> {
    let mut fields = input.fields().to_vec();
    let places = Lookup::new(input);
    for name in columns {
        let at = places.place(name).ok_or_else(|| unknown_column(name, input))?;
        let of = input.field(at).data_type();
        let item = item_of(of).ok_or_else(|| {
            let text = format!("the column `{name}` is a {of} and no list: only lists are exploded");
            Error::new(ErrorKind::Plan, text)
        })?;
        fields[at] = Arc::new(item.as_ref().clone().with_name(name).with_nullable(true));
    }
    Ok(Arc::new(Schema::new_with_metadata(fields, input.metadata().clone())))
}

/// About how many bytes an expression takes: a column as many as it has, anything else as the largest it reads.
fn expr_bytes(input: &Frame, fields: &Lookup<'_>, expr: &Expr) -> u64 {
    let of = |name: &Arc<str>| fields.place(name).and_then(|at| input.bytes.get(at).copied());
    expr.columns().iter().filter_map(of).max().unwrap_or(0)
}

pub(super) fn outside_of_agg(expr: &Expr) -> Result<()> {
    if expr.has_aggregate() {
        let text = format!("`{}` has an aggregate in it: those belong into `agg`", expr.brief());
        return Err(Error::new(ErrorKind::Plan, text));
    }
    Ok(())
}

/// The same columns, each of which may be null: what one source knows of its own rows another one breaks.
pub(crate) fn nullable(schema: SchemaRef) -> SchemaRef {
    if schema.fields().iter().all(|field| field.is_nullable()) {
        return schema;
    }
    let fields = schema.fields().iter().map(|field| match field.is_nullable() {
        true => field.clone(),
        false => Arc::new(Field::clone(field).with_nullable(true)),
    });
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone()))
}

/// Some columns of a schema.
pub(super) fn project(schema: &SchemaRef, columns: &[usize]) -> SchemaRef {
    if columns.len() == schema.fields().len() && columns.iter().enumerate().all(|(at, column)| at == *column) {
        return schema.clone();
    }
    let fields = columns.iter().filter_map(|column| schema.fields().get(*column).cloned());
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Expressions as columns, each name once. A plain column keeps its field as it is.
pub(super) fn schema_of(exprs: &[Expr], input: &Schema) -> Result<SchemaRef> {
    let mut fields: Vec<Field> = Vec::with_capacity(exprs.len());
    let mut names = std::collections::HashSet::with_capacity(exprs.len());
    let known = Lookup::new(input);
    for expr in exprs {
        let name = expr.output_name();
        if !names.insert(name.clone()) {
            let text = format!("two columns would be called `{name}`: give one another name with .alias(\"…\")");
            return Err(Error::new(ErrorKind::Plan, text));
        }
        let data_type = expr.type_in(&known)?;
        fields.push(match expr.unnamed() {
            Expr::Column(column) => match known.field(column) {
                Some(field) => field.clone().with_name(&*name).with_nullable(true),
                None => Field::new(&*name, data_type, true),
            },
            _ => Field::new(&*name, data_type, true),
        });
    }
    Ok(Arc::new(Schema::new(fields)))
}

impl Op {
    /// What it is, in a line; long expressions are cut off.
    pub fn label(&self) -> String {
        match self {
            Op::Scan(scan) => {
                let mut text = scan.source.label();
                let all = scan.source.schema().fields();
                if scan.columns.len() < all.len() {
                    let names: Vec<&str> = scan.columns.iter().map(|at| all[*at].name().as_str()).collect();
                    text += &format!(", {} of {} columns: {}", names.len(), all.len(), names.join(", "));
                }
                if !scan.predicates.is_empty() {
                    let predicates: Vec<String> = scan.predicates.iter().map(Expr::brief).collect();
                    text += &format!(", where {}", predicates.join(" & "));
                }
                text
            }
            Op::Outside => "partitions".to_string(),
            Op::Filter(condition) => format!("filter {}", condition.brief()),
            Op::Select(exprs) => format!("select {}", listed(exprs)),
            Op::Aggregate(grouping) => {
                let aggregates = grouping.aggregates.iter().map(|of| Expr::Aggregate(Arc::new(of.clone())));
                let aggregates: Vec<Expr> = aggregates.collect();
                match grouping.keys.is_empty() {
                    true => format!("agg {}", listed(&aggregates)),
                    false => format!("group_by {} agg {}", listed(&grouping.keys), listed(&aggregates)),
                }
            }
            Op::CountRows => "count_rows".to_string(),
            Op::CountBytes => "memory_usage".to_string(),
            Op::Number(NumberOp::Index(name)) => format!("row numbers as {name}"),
            Op::Number(NumberOp::Sample(sample)) => {
                let size = match sample.size {
                    Size::Rows(rows) => format!("{rows} rows"),
                    Size::Fraction(part) => format!("{part} of the rows"),
                    Size::Range(from, to) => format!("{from} to {to} of the rows in a random order"),
                };
                let replace = if sample.replace { ", with replacement" } else { "" };
                format!("sample {size}{replace}, seed {}", sample.seed)
            }
            Op::Explode(columns) => format!("explode {}", columns.join(", ")),
            Op::Repartition => "repartition".to_string(),
            Op::Fill(fill) => {
                let limit = fill.limit.map_or_else(String::new, |limit| format!(", at most {limit} in a row"));
                let from = if fill.backward { "backward" } else { "forward" };
                format!("fill {} {from}{limit}", fill.columns.join(", "))
            }
            Op::Slice { len, end: false } => format!("head {len}"),
            Op::Slice { len, end: true } => format!("tail {len}"),
            Op::Top { by, len } => {
                let key =
                    |key: &SortKey| format!("{}{}", key.of.brief(), if key.descending { " descending" } else { "" });
                format!("top {len} by {}", by.iter().map(key).collect::<Vec<_>>().join(", "))
            }
            Op::Join(join) => {
                let how = match join.matching {
                    Matching::Inner => "inner",
                    Matching::Outer => "keeping all",
                    Matching::Semi => "semi",
                    Matching::Anti => "anti",
                    Matching::Cross => return "merge, each row with each".to_string(),
                };
                let on = join.on.iter().map(|(own, held)| match own == held {
                    true => own.clone(),
                    false => format!("{own} = {held}"),
                });
                format!("merge {how} on {}", on.collect::<Vec<_>>().join(", "))
            }
            Op::Concat => "concat".to_string(),
            Op::Gather => "partitions in one piece".to_string(),
            Op::Write(write) => {
                let by = match &write.layout {
                    Layout::Single => " as one file".to_string(),
                    Layout::Partitions => String::new(),
                    Layout::Keys(columns) => format!(" by {}", columns.join(", ")),
                };
                format!("write {} to {}{by}", write.format.extension(), write.target.display())
            }
            Op::Partition(number) => format!("partition {number}"),
            Op::Map(map) => format!("map {}", if map.whole { "partitions" } else { "batches" }),
            Op::Overlap(of) => format!("map partitions with {} rows before them and {} behind", of.before, of.after),
        }
    }
}

impl Node for Step {
    fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a NodeRef)) {
        self.inputs.iter().for_each(|input| visit(&input.node));
    }

    fn label(&self) -> String {
        self.op.label()
    }

    fn role(&self) -> Role<'_> {
        Role::Layers
    }

    fn region(&self) -> Option<(&'static dyn Region, &dyn Any)> {
        Some((&lower::Tables, self))
    }
}

fn listed(exprs: &[Expr]) -> String {
    exprs.iter().map(Expr::brief).collect::<Vec<_>>().join(", ")
}
