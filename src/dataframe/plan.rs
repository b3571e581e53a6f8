//! What tables are made of: operations as plain data, and what is known of their results.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::lower;
use crate::error::{Error, ErrorKind, Result};
use crate::expr::{Expr, unknown_column};
use crate::formats::csv::CsvSource;
use crate::origin::Origin;
use crate::plan::{Columns, LayerLowering, Node, NodeRef, Role};

/// An operation.
#[derive(Clone, Debug)]
pub(super) enum Op {
    /// Reads one file per partition.
    ReadCsv(Arc<CsvSource>),
    /// Keeps the rows for which a condition is true.
    Filter(Expr),
    /// Computes columns.
    Select(Vec<Expr>),
    /// One row per key: the keys, then one column per aggregate.
    GroupBy { keys: Vec<Arc<str>>, aggregates: Vec<Expr> },
    /// The number of rows: one value and no table.
    CountRows,
}

/// A node of the plan and what is known of the table it gives.
#[derive(Clone)]
pub(crate) struct Frame {
    pub node: NodeRef,
    pub schema: SchemaRef,
    pub partitions: u32,
    /// About how many bytes each column of a partition takes at most; 0 where nothing is known.
    pub bytes: Arc<[u64]>,
}

/// A node.
pub(super) struct Step {
    pub origin: Origin,
    pub op: Op,
    /// What it reads, if it is no source.
    pub input: Option<Frame>,
    /// Of what it gives.
    pub schema: SchemaRef,
    pub partitions: u32,
    pub bytes: Arc<[u64]>,
}

impl Frame {
    /// The table that an operation gives.
    ///
    /// # Errors
    /// Of kind `Plan`, where the operation does not fit its input.
    pub(super) fn new(op: Op, input: Option<&Frame>, origin: Origin) -> Result<Frame> {
        let step = Step::new(op, input, origin)?;
        let (schema, partitions, bytes) = (step.schema.clone(), step.partitions, step.bytes.clone());
        Ok(Frame { node: NodeRef::new(step), schema, partitions, bytes })
    }

    /// About how many bytes the used columns of a partition take.
    pub fn used_bytes(&self, used: &Columns) -> u64 {
        let fields = self.schema.fields().iter().zip(&*self.bytes);
        fields.filter(|(field, _)| used.contains(field.name())).map(|(_, bytes)| bytes).sum()
    }

    fn column_bytes(&self, name: &str) -> u64 {
        let at = self.schema.index_of(name).ok();
        at.and_then(|at| self.bytes.get(at)).copied().unwrap_or(0)
    }

    /// About how many bytes an expression takes: a column as many as it has, anything else as the largest it reads.
    fn expr_bytes(&self, expr: &Expr) -> u64 {
        expr.columns().iter().map(|name| self.column_bytes(name)).max().unwrap_or(0)
    }
}

impl Step {
    fn new(op: Op, input: Option<&Frame>, origin: Origin) -> Result<Step> {
        let (schema, partitions, bytes): (SchemaRef, u32, Arc<[u64]>) = match (&op, input) {
            (Op::ReadCsv(source), None) => {
                let partitions = u32::try_from(source.files().len());
                let partitions = partitions.map_err(|_| Error::new(ErrorKind::Plan, "too many files"))?;
                let columns = 0..source.schema().fields().len();
                let bytes = columns.map(|column| source.most_decoded_bytes(&[column])).collect();
                (source.schema().clone(), partitions, bytes)
            }
            (Op::Filter(condition), Some(input)) => {
                outside_of_agg(condition)?;
                match condition.data_type(&input.schema)? {
                    DataType::Boolean => (input.schema.clone(), input.partitions, input.bytes.clone()),
                    other => {
                        return Err(Error::new(
                            ErrorKind::Plan,
                            format!("`{condition}` is a {other} and no condition"),
                        ));
                    }
                }
            }
            (Op::Select(exprs), Some(input)) => {
                exprs.iter().try_for_each(outside_of_agg)?;
                let bytes = exprs.iter().map(|expr| input.expr_bytes(expr)).collect();
                (schema_of(exprs, &[], &input.schema)?, input.partitions, bytes)
            }
            (Op::GroupBy { keys, aggregates }, Some(input)) => {
                if keys.is_empty() {
                    return Err(Error::new(ErrorKind::Plan, "no keys to group by"));
                }
                for expr in aggregates {
                    match expr.as_aggregate() {
                        Some((_, of)) if !of.has_aggregate() => {}
                        Some(_) | None => {
                            let text =
                                format!("`{expr}` is no aggregate: `agg` takes count, sum or mean of an expression");
                            return Err(Error::new(ErrorKind::Plan, text));
                        }
                    }
                }
                let schema = schema_of(aggregates, keys, &input.schema)?;
                let bytes = vec![0; schema.fields().len()].into();
                (schema, 1, bytes)
            }
            (Op::CountRows, Some(_)) => (Arc::new(Schema::empty()), 1, Arc::new([])),
            (Op::ReadCsv(_), Some(_)) | (Op::Filter(_) | Op::Select(_) | Op::GroupBy { .. } | Op::CountRows, None) => {
                return Err(Error::internal("an operation on tables with a wrong number of inputs"));
            }
        };
        Ok(Step { origin, op, input: input.cloned(), schema, partitions, bytes })
    }
}

fn outside_of_agg(expr: &Expr) -> Result<()> {
    if expr.has_aggregate() {
        return Err(Error::new(ErrorKind::Plan, format!("`{expr}` has an aggregate in it: those belong into `agg`")));
    }
    Ok(())
}

/// Keys and expressions as columns, each name once.
fn schema_of(exprs: &[Expr], keys: &[Arc<str>], input: &Schema) -> Result<SchemaRef> {
    let mut fields: Vec<Field> = Vec::with_capacity(keys.len() + exprs.len());
    let mut add = |name: &str, data_type: DataType| {
        if fields.iter().any(|field| field.name() == name) {
            let text = format!("two columns would be called `{name}`: give one another name with .alias(\"…\")");
            return Err(Error::new(ErrorKind::Plan, text));
        }
        fields.push(Field::new(name, data_type, true));
        Ok(())
    };
    for key in keys {
        let field = input.field_with_name(key).map_err(|_| unknown_column(key, input))?;
        add(key, field.data_type().clone())?;
    }
    for expr in exprs {
        add(&expr.output_name(), expr.data_type(input)?)?;
    }
    Ok(Arc::new(Schema::new(fields)))
}

impl Node for Step {
    fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a NodeRef)) {
        self.input.iter().for_each(|input| visit(&input.node));
    }

    fn label(&self) -> String {
        match &self.op {
            Op::ReadCsv(source) => format!("read_csv of {} files", source.files().len()),
            Op::Filter(condition) => format!("filter {condition}"),
            Op::Select(exprs) => format!("select {}", listed(exprs)),
            Op::GroupBy { keys, aggregates } => format!("group_by {} agg {}", keys.join(", "), listed(aggregates)),
            Op::CountRows => "count_rows".to_string(),
        }
    }

    fn role(&self) -> Role<'_> {
        Role::Layers
    }

    fn columns(&self, _: usize, used: &Columns) -> Columns {
        let of = |exprs: &mut dyn Iterator<Item = &Expr>| -> Columns { exprs.flat_map(Expr::columns).collect() };
        match &self.op {
            Op::ReadCsv(_) | Op::CountRows => Columns::none(),
            Op::Filter(condition) => {
                let mut columns = used_of(&self.schema, used);
                columns.extend(of(&mut std::iter::once(condition)));
                columns
            }
            Op::Select(exprs) => of(&mut exprs.iter().filter(|expr| used.contains(&expr.output_name()))),
            Op::GroupBy { keys, aggregates } => {
                let mut columns = of(&mut aggregates.iter());
                columns.extend(keys.iter().cloned().collect());
                columns
            }
        }
    }

    fn lower(&self, lowering: &mut LayerLowering<'_>) -> Result<u32> {
        lower::lower(self, lowering)
    }
}

/// The used columns by their names, also where all are.
fn used_of(schema: &Schema, used: &Columns) -> Columns {
    let names = schema.fields().iter().map(|field| field.name().as_str());
    names.filter(|name| used.contains(name)).collect()
}

fn listed(exprs: &[Expr]) -> String {
    exprs.iter().map(Expr::to_string).collect::<Vec<_>>().join(", ")
}
