//! From expressions to a list of steps over registers. Types are settled, constants computed, columns found; equal
//! steps are one step.
//!
//! What may fail inside a branch of a condition is guarded: it fails only for rows that the branch is taken for. The guard is a
//! step like others, and is dropped where nothing needs it.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Schema};
use foldhash::fast::RandomState;
use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};

use super::kernels::{Kernel, Misfit, Operand, Planned, arithmetic, choose, compare, convert, logic, plan_call};
use super::types::Known;
use super::value::logical;
use super::{BinaryOp, Expr, Function, Lookup, UnaryOp, Value, unknown_column};
use crate::error::{Error, ErrorKind, Result};

/// Where the values of a part are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// Columns first, then steps.
    Register(usize),
    Constant(usize),
    /// Only its type is known: there is an aggregate or a parameter in it.
    Unknown,
}

/// A part of an expression that was compiled.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub place: Place,
    /// As the user sees it: a dictionary where the column is one.
    pub data_type: DataType,
    /// The value, where it is a constant that takes the type of others.
    literal: Option<Value>,
    pub has_aggregate: bool,
    /// Whether it, or what it is made of, may fail for some row.
    pub can_fail: bool,
}

impl Part {
    fn known(&self, compiler: &Compiler<'_>) -> Known {
        let constant = match self.place {
            Place::Constant(at) => Some(Value::Typed(compiler.constants[at].clone())),
            _ => None,
        };
        Known { data_type: logical(&self.data_type).clone(), value: self.literal.clone().or(constant) }
    }
}

/// One operation on registers.
#[derive(Clone)]
pub(super) struct Step {
    pub kernel: Kernel,
    pub operands: Vec<Place>,
    /// The types its operands have to have.
    pub types: Vec<DataType>,
    /// The type of what it gives.
    pub gives: DataType,
    /// What it computes, for errors.
    pub expr: Expr,
    pub can_fail: bool,
    /// Whether it may be computed once for each value of a dictionary.
    pub by_value: bool,
    /// Whether null gives null.
    pub strict: bool,
    /// The register of the rows for which it may fail.
    pub guard: Option<usize>,
}

/// A column that is read.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub place: usize,
    pub name: Arc<str>,
}

/// Parts that may fail are compiled anew for each branch that they are shared by; more than so many are refused: branches of
/// branches that share parts would not end.
const MOST_GUARDED: usize = 1 << 18;

/// A part by its address, and its guard.
type Site = (*const Expr, Option<usize>);

/// The guards of a condition and of its value.
type Branch = (Option<usize>, Option<usize>);

/// Compiles expressions over tables of one schema.
pub(super) struct Compiler<'a> {
    fields: &'a Lookup<'a>,
    pub columns: Vec<Column>,
    /// Whether a column of the schema is one of those.
    read: HashSet<usize>,
    /// Registers of steps follow those of the columns of the schema, so that columns may be found at any time.
    pub steps: Vec<Step>,
    pub constants: Vec<ArrayRef>,
    /// Parts by address and guard.
    made: HashMap<Site, Part>,
    /// Parts that cannot fail, by address.
    harmless: HashMap<*const Expr, Part>,
    /// Steps by what they compute.
    known: HashMap<u64, Vec<usize>>,
    /// Of the branches of conditions: the guards of each condition and of its value.
    guards: HashMap<Site, Vec<Branch>>,
    known_constants: HashMap<Value, usize>,
    /// Parts that may fail and were compiled under a guard.
    guarded: usize,
    hasher: RandomState,
}

enum Task<'e> {
    Enter(&'e Expr, Option<usize>),
    Leave(&'e Expr, Option<usize>),
    /// The branches of a condition from this one on; the last is the guard of what is left.
    Branch(&'e Expr, Option<usize>, usize, Option<usize>),
    /// The same, after the condition of this branch.
    Then(&'e Expr, Option<usize>, usize, Option<usize>),
    LeaveCase(&'e Expr, Option<usize>, Option<usize>),
}

impl<'a> Compiler<'a> {
    pub fn new(fields: &'a Lookup<'a>) -> Compiler<'a> {
        Compiler {
            fields,
            columns: Vec::new(),
            read: HashSet::new(),
            steps: Vec::new(),
            constants: Vec::new(),
            made: HashMap::new(),
            harmless: HashMap::new(),
            known: HashMap::new(),
            guards: HashMap::new(),
            known_constants: HashMap::new(),
            guarded: 0,
            hasher: RandomState::default(),
        }
    }

    /// Compiles an expression. The parts it is made of have to live as long as the compiler, for they are known by their
    /// addresses.
    pub fn add(&mut self, expr: &Expr) -> Result<Part> {
        let mut open = vec![Task::Enter(expr, None)];
        while let Some(task) = open.pop() {
            match task {
                Task::Enter(expr, guard) => {
                    if self.is_made(expr, guard) {
                        continue;
                    }
                    if let Expr::Case(..) = expr {
                        open.push(Task::Branch(expr, guard, 0, guard));
                    } else {
                        open.push(Task::Leave(expr, guard));
                        open.extend(expr.operands().into_iter().rev().map(|operand| Task::Enter(operand, guard)));
                    }
                }
                Task::Leave(expr, guard) => {
                    let part = self.part(expr, guard)?;
                    self.count(expr, guard, &part)?;
                    self.made.insert((std::ptr::from_ref(expr), guard), part);
                }
                Task::Branch(expr, guard, at, rest) => {
                    let Expr::Case(branches, otherwise) = expr else { continue };
                    match branches.get(at) {
                        Some((condition, _)) => {
                            open.push(Task::Then(expr, guard, at, rest));
                            open.push(Task::Enter(condition, rest));
                        }
                        None => {
                            open.push(Task::LeaveCase(expr, guard, rest));
                            open.extend(otherwise.as_deref().map(|otherwise| Task::Enter(otherwise, rest)));
                        }
                    }
                }
                Task::Then(expr, guard, at, rest) => {
                    let Expr::Case(branches, _) = expr else { continue };
                    let (condition, value) = &branches[at];
                    let (then, others) = self.split(condition, rest)?;
                    self.guards.entry((std::ptr::from_ref(expr), guard)).or_default().push((rest, then));
                    open.push(Task::Branch(expr, guard, at + 1, others));
                    open.push(Task::Enter(value, then));
                }
                Task::LeaveCase(expr, guard, rest) => {
                    let part = self.case(expr, guard, rest)?;
                    self.count(expr, guard, &part)?;
                    self.made.insert((std::ptr::from_ref(expr), guard), part);
                }
            }
        }
        self.found(expr, None)
    }

    fn count(&mut self, expr: &Expr, guard: Option<usize>, part: &Part) -> Result<()> {
        self.guarded += usize::from(guard.is_some() && part.can_fail);
        if self.guarded <= MOST_GUARDED {
            return Ok(());
        }
        let text = format!(
            "`{}` and others that may fail stand in more than {MOST_GUARDED} branches of `when`: compute what the branches \
             share as a column before",
            expr.brief()
        );
        Err(Error::new(ErrorKind::Plan, text))
    }

    /// Whether it is compiled already: what cannot fail needs no guard.
    fn is_made(&mut self, expr: &Expr, guard: Option<usize>) -> bool {
        let address = std::ptr::from_ref(expr);
        if self.made.contains_key(&(address, guard)) {
            return true;
        }
        let Some(part) = self.harmless.get(&address).or_else(|| self.made.get(&(address, None))) else { return false };
        let part = part.clone();
        self.made.insert((address, guard), part);
        true
    }

    fn found(&self, expr: &Expr, guard: Option<usize>) -> Result<Part> {
        let part = self.made.get(&(std::ptr::from_ref(expr), guard)).cloned();
        part.ok_or_else(|| Error::internal("a part of an expression was not compiled"))
    }

    fn part(&mut self, expr: &Expr, guard: Option<usize>) -> Result<Part> {
        let parts =
            expr.operands().into_iter().map(|operand| self.found(operand, guard)).collect::<Result<Vec<Part>>>()?;
        let known: Vec<Known> = parts.iter().map(|part| part.known(self)).collect();
        let planned = match expr {
            Expr::Column(name) => return self.column(name),
            Expr::Literal(value) => return Ok(self.constant(value)),
            Expr::Parameter(parameter) => return Ok(unknown(parameter.data_type.clone(), false, false)),
            Expr::Alias(..) | Expr::Affix(..) => return Ok(parts[0].clone()),
            Expr::Selector(selector) => {
                let text = format!("`{selector}` stands for several columns, and one value is needed here");
                return Err(Error::new(ErrorKind::Plan, text));
            }
            Expr::Aggregate(aggregate) => return aggregated(expr, aggregate, &parts),
            Expr::Cast(_, to, _) if parts[0].data_type == *to => return Ok(Part { literal: None, ..parts[0].clone() }),
            Expr::Cast(_, to, lossy) => convert::plan(&known[0], to, *lossy),
            Expr::Unary(op, _) => {
                let opposite = match (op, &parts[0].literal) {
                    (UnaryOp::Negative, Some(Value::Int(value))) => value.checked_neg().map(Value::Int),
                    (UnaryOp::Negative, Some(Value::Float(value))) => Some(Value::Float(-value)),
                    _ => None,
                };
                if let Some(value) = opposite {
                    return Ok(self.constant(&value));
                }
                logic::unary(*op, &known[0])
            }
            Expr::Binary(_, op, _) => match op {
                BinaryOp::And | BinaryOp::Or | BinaryOp::Xor => {
                    let planned = logic::plan(*op, &known[0], &known[1]);
                    if let (Ok(_), Some(same)) = (&planned, neutral(*op, &parts, &known)) {
                        return Ok(same);
                    }
                    planned
                }
                op if op.is_comparison() => compare::plan(*op, &known[0], &known[1]),
                op => arithmetic::plan(*op, &known[0], &known[1]),
            },
            Expr::Call(function, args) => plan_call(function, &known, args),
            Expr::Case(..) => return Err(Error::internal("a condition is no ordinary part")),
        };
        self.finish(expr, planned, &parts, guard)
    }

    fn column(&mut self, name: &Arc<str>) -> Result<Part> {
        let schema = self.fields.schema();
        let place = self.fields.place(name).ok_or_else(|| unknown_column(name, schema))?;
        let field = schema.field(place);
        if self.read.insert(place) {
            self.columns.push(Column { place, name: name.clone() });
        }
        let data_type = field.data_type().clone();
        let place = Place::Register(place);
        Ok(Part { place, data_type, literal: None, has_aggregate: false, can_fail: false })
    }

    fn constant(&mut self, value: &Value) -> Part {
        let place = self.intern(value.to_array());
        let literal = (!matches!(value, Value::Typed(_))).then(|| value.clone());
        Part { place, data_type: value.data_type(), literal, has_aggregate: false, can_fail: false }
    }

    fn intern(&mut self, array: ArrayRef) -> Place {
        let constants = &mut self.constants;
        let at = *self.known_constants.entry(Value::Typed(array.clone())).or_insert_with(|| {
            constants.push(array);
            constants.len() - 1
        });
        Place::Constant(at)
    }

    fn case(&mut self, expr: &Expr, guard: Option<usize>, rest: Option<usize>) -> Result<Part> {
        let Expr::Case(branches, otherwise) = expr else { return Err(Error::internal("no condition")) };
        let guards = self.guards.remove(&(std::ptr::from_ref(expr), guard)).unwrap_or_default();
        let (mut conditions, mut values, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        for ((condition, value), (of_condition, of_value)) in branches.iter().zip(guards) {
            let (condition, value) = (self.found(condition, of_condition)?, self.found(value, of_value)?);
            conditions.push(condition.known(self));
            values.push(value.known(self));
            parts.extend([condition, value]);
        }
        let last = match otherwise {
            Some(otherwise) => self.found(otherwise, rest)?,
            None => self.constant(&Value::Null),
        };
        values.push(last.known(self));
        parts.push(last);
        self.finish(expr, choose::case(&conditions, &values), &parts, guard)
    }

    /// The guards of a branch and of those behind it.
    fn split(&mut self, condition: &Expr, rest: Option<usize>) -> Result<(Option<usize>, Option<usize>)> {
        let part = self.found(condition, rest)?;
        if part.place == Place::Unknown || *logical(&part.data_type) != DataType::Boolean {
            return Ok((rest, rest));
        }
        let mut guard = |then: bool| {
            let mut operands = vec![part.place];
            operands.extend(rest.map(Place::Register));
            self.push(Step {
                types: vec![DataType::Boolean; operands.len()],
                gives: DataType::Boolean,
                kernel: Arc::new(move |operands: &mut [Operand], rows| logic::guard(operands, rows, then)),
                operands,
                expr: condition.clone(),
                can_fail: false,
                by_value: false,
                strict: false,
                guard: None,
            })
        };
        Ok((Some(guard(true)), Some(guard(false))))
    }

    fn finish(
        &mut self,
        expr: &Expr,
        planned: Result<Planned, Misfit>,
        parts: &[Part],
        guard: Option<usize>,
    ) -> Result<Part> {
        let misfit = |text: Misfit| Error::new(ErrorKind::Plan, format!("`{}`: {text}", expr.brief()));
        let planned = planned.map_err(misfit)?;
        let has_aggregate = parts.iter().any(|part| part.has_aggregate);
        let mut can_fail = planned.can_fail || parts.iter().any(|part| part.can_fail);
        let mut operands = Vec::with_capacity(parts.len());
        for (at, (part, wanted)) in parts.iter().zip(&planned.operands).enumerate() {
            let (place, cast_can_fail) = self.bring(expr, at, part, wanted, guard)?;
            can_fail |= cast_can_fail;
            operands.push(place);
        }
        if operands.contains(&Place::Unknown) {
            return Ok(unknown(planned.data_type, has_aggregate, can_fail));
        }
        let opaque = matches!(expr, Expr::Call(Function::User(_), _));
        let part = |place, can_fail| Part {
            place,
            data_type: planned.data_type.clone(),
            literal: None,
            has_aggregate,
            can_fail,
        };
        if !opaque && operands.iter().all(|place| matches!(place, Place::Constant(_))) {
            let mut values: Vec<Operand> = operands.iter().filter_map(|place| self.constant_at(*place)).collect();
            if let Ok(array) = (planned.kernel)(&mut values, 1) {
                let place = self.intern(array);
                return Ok(part(place, false));
            }
            // It fails for every row, but there may be none.
            can_fail = true;
        }
        let mut registers = operands.iter().filter(|place| matches!(place, Place::Register(_)));
        let first = registers.next();
        let by_value = !planned.can_fail && !opaque && first.is_some_and(|first| registers.all(|other| other == first));
        let register = self.step(Step {
            kernel: planned.kernel.clone(),
            operands,
            types: planned.operands.clone(),
            gives: planned.data_type.clone(),
            expr: expr.clone(),
            can_fail: planned.can_fail,
            by_value,
            strict: planned.strict,
            guard: if planned.can_fail { guard } else { None },
        });
        let part = part(Place::Register(register), can_fail);
        if !can_fail {
            self.harmless.insert(std::ptr::from_ref(expr), part.clone());
        }
        Ok(part)
    }

    fn constant_at(&self, place: Place) -> Option<Operand> {
        if let Place::Constant(at) = place { Some(Operand::Rows(self.constants[at].clone())) } else { None }
    }

    /// The operand as another type, and whether that may fail.
    fn bring(
        &mut self,
        expr: &Expr,
        at: usize,
        part: &Part,
        to: &DataType,
        guard: Option<usize>,
    ) -> Result<(Place, bool)> {
        match part.place {
            Place::Unknown => Ok((Place::Unknown, false)),
            Place::Constant(constant) => {
                let value = part.literal.clone().unwrap_or_else(|| Value::Typed(self.constants[constant].clone()));
                let array = value.to_array_of(to).ok_or_else(|| {
                    let text = format!("`{}`: {value} cannot be read as {to}", expr.brief());
                    Error::new(ErrorKind::Plan, text)
                })?;
                Ok((self.intern(array), false))
            }
            Place::Register(_) if logical(&part.data_type) == to => Ok((part.place, false)),
            Place::Register(_) => {
                let known = Known::of(&part.data_type);
                let planned = convert::plan(&known, to, false)
                    .map_err(|text| Error::new(ErrorKind::Plan, format!("`{}`: {text}", expr.brief())))?;
                // Operands of a condition stand in another order; casts of those do not fail.
                let of = expr.operands().get(at).map_or_else(|| expr.clone(), |operand| operand.unnamed().clone());
                let can_fail = planned.can_fail;
                let register = self.step(Step {
                    kernel: planned.kernel,
                    operands: vec![part.place],
                    types: planned.operands,
                    gives: planned.data_type,
                    expr: Expr::Cast(Arc::new(of), to.clone(), false),
                    can_fail,
                    by_value: !can_fail,
                    strict: true,
                    guard: if can_fail { guard } else { None },
                });
                Ok((Place::Register(register), can_fail))
            }
        }
    }

    /// The register of a step: of an equal one, if there is one.
    fn step(&mut self, step: Step) -> usize {
        let mut hasher = self.hasher.build_hasher();
        step.expr.hash_head(&mut hasher);
        (&step.operands, step.guard).hash(&mut hasher);
        let hash = hasher.finish();
        let equal = |at: &&usize| {
            let other = &self.steps[**at];
            other.operands == step.operands
                && other.guard == step.guard
                && other.types == step.types
                && other.expr.same_head(&step.expr)
        };
        if let Some(at) = self.known.get(&hash).and_then(|places| places.iter().find(equal)) {
            return self.fields.schema().fields().len() + at;
        }
        self.known.entry(hash).or_default().push(self.steps.len());
        self.push(step)
    }

    fn push(&mut self, step: Step) -> usize {
        self.steps.push(step);
        self.fields.schema().fields().len() + self.steps.len() - 1
    }
}

fn unknown(data_type: DataType, has_aggregate: bool, can_fail: bool) -> Part {
    Part { place: Place::Unknown, data_type, literal: None, has_aggregate, can_fail }
}

/// The other operand, where one changes nothing.
fn neutral(op: BinaryOp, parts: &[Part], known: &[Known]) -> Option<Part> {
    let value = match op {
        BinaryOp::And => true,
        BinaryOp::Or | BinaryOp::Xor => false,
        _ => return None,
    };
    let is = |at: usize| known[at].value.as_ref().and_then(Value::as_bool) == Some(value);
    let other = if is(0) {
        1
    } else if is(1) {
        0
    } else {
        return None;
    };
    (known[other].data_type == DataType::Boolean).then(|| Part { data_type: DataType::Boolean, ..parts[other].clone() })
}

fn aggregated(expr: &Expr, aggregate: &super::Aggregate, parts: &[Part]) -> Result<Part> {
    let (args, filter) = parts.split_at(aggregate.args.len().min(parts.len()));
    if parts.iter().any(|part| part.has_aggregate) {
        let text = format!("`{}` is an aggregate of an aggregate: compute the inner one first", expr.brief());
        return Err(Error::new(ErrorKind::Plan, text));
    }
    if let Some(filter) = filter.first()
        && !matches!(logical(&filter.data_type), DataType::Boolean | DataType::Null)
    {
        let text = format!("`{}`: its rows are chosen by a {} and no condition", expr.brief(), filter.data_type);
        return Err(Error::new(ErrorKind::Plan, text));
    }
    let types: Vec<DataType> = args.iter().map(|arg| arg.data_type.clone()).collect();
    let data_type = aggregate.function.result_type(&types).map_err(|error| {
        let text = match (&*aggregate.args, &*types) {
            ([of], [data_type]) => format!("`{}` of `{}`, which is {data_type}", aggregate.function.name(), of.brief()),
            _ => format!("`{}`: {}", expr.brief(), error.message()),
        };
        Error::new(ErrorKind::Plan, text)
    })?;
    Ok(unknown(data_type, true, parts.iter().any(|part| part.can_fail)))
}

impl Expr {
    /// The type it has over tables of a schema.
    ///
    /// # Errors
    /// Of kind `Plan`, where a column is not there or the operands do not fit.
    pub fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.type_in(&Lookup::new(schema))
    }

    /// As [`Expr::data_type`], for one of many.
    pub(crate) fn type_in(&self, fields: &Lookup<'_>) -> Result<DataType> {
        Ok(self.compiled(fields)?.data_type)
    }

    /// Whether evaluating it may be an error for some row; also where it does not fit the schema.
    pub fn can_fail(&self, schema: &Schema) -> bool {
        self.can_fail_in(&Lookup::new(schema))
    }

    /// As [`Expr::can_fail`], for one of many.
    pub(crate) fn can_fail_in(&self, fields: &Lookup<'_>) -> bool {
        self.compiled(fields).map_or(true, |part| part.can_fail)
    }

    fn compiled(&self, fields: &Lookup<'_>) -> Result<Part> {
        if !self.has_selector() {
            return Compiler::new(fields).add(self);
        }
        match &*self.expand(fields.schema())? {
            [one] => Compiler::new(fields).add(one),
            several => {
                let text = format!("`{}` stands for {} columns, and one is needed", self.brief(), several.len());
                Err(Error::new(ErrorKind::Plan, text))
            }
        }
    }
}
