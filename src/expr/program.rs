//! Expressions made ready for batches of one schema.

use std::fmt;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt64Array, new_empty_array, new_null_array};
use arrow::compute::{cast, filter, take};
use arrow::datatypes::{DataType, Schema};

use super::compile::{Column, Compiler, Place, Step};
use super::kernels::{Failure, Operand, Outcome, as_boolean, logic, repeat};
use super::types::is_text;
use super::value::shown;
use super::{Expr, Lookup, unknown_column};
use crate::error::{Error, ErrorKind, Result};

/// Expressions to be evaluated together on many batches of one schema: columns are found and types settled once, what is
/// in several of them is computed once.
///
/// The batches may hold a text column in another layout than the schema says: then operations that cannot fail are done once
/// for each value of a dictionary.
///
/// ```
/// use std::sync::Arc;
/// use arrow::array::{ArrayRef, Float64Array, RecordBatch};
/// use chunkwise::expr::Program;
/// use chunkwise::prelude::*;
///
/// let price: ArrayRef = Arc::new(Float64Array::from(vec![10.0, 20.0]));
/// let batch = RecordBatch::try_from_iter([("price", price)])?;
/// let program = Program::new(&[col("price") * 2], batch.schema_ref())?;
/// assert_eq!(program.evaluate(&batch)?[0].as_ref(), &Float64Array::from(vec![20.0, 40.0]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Program {
    exprs: Vec<Expr>,
    columns: Vec<Column>,
    /// Each gives the register behind those of the columns and of the steps before it.
    steps: Vec<Ready>,
    constants: Vec<ArrayRef>,
    outputs: Vec<Output>,
}

#[derive(Clone)]
struct Ready {
    step: Step,
    /// Of each operand, whether nobody needs the register afterwards.
    last: Vec<bool>,
    /// Registers that are not needed after this step.
    free: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Output {
    place: Place,
    data_type: DataType,
    /// Whether it is a column as it is.
    plain: bool,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exprs: Vec<String> = self.exprs.iter().map(Expr::brief).collect();
        f.debug_struct("Program").field("exprs", &exprs).field("steps", &self.steps.len()).finish()
    }
}

impl Program {
    /// The expressions over tables of a schema. They have no aggregates, selectors and parameters.
    ///
    /// # Errors
    /// Of kind `Plan`, where one of them does not fit the schema.
    pub fn new(exprs: &[Expr], schema: &Schema) -> Result<Program> {
        let fields = Lookup::new(schema);
        let mut compiler = Compiler::new(&fields);
        let mut outputs = Vec::with_capacity(exprs.len());
        for expr in exprs {
            let part = compiler.add(expr)?;
            if part.place == Place::Unknown {
                let what = if part.has_aggregate { "has an aggregate" } else { "has a parameter without a value" };
                return Err(Error::new(ErrorKind::Plan, format!("`{}` {what} in it", expr.brief())));
            }
            let plain = matches!(part.place, Place::Register(register) if register < schema.fields().len());
            outputs.push(Output { place: part.place, data_type: part.data_type, plain });
        }
        let Compiler { columns, steps, constants, .. } = compiler;
        let mut program = Program { exprs: exprs.to_vec(), columns, steps: Vec::new(), constants, outputs };
        program.arrange(steps, schema.fields().len());
        Ok(program)
    }

    /// Keeps the steps that outputs need, numbers the registers anew, and notes where each is used last.
    fn arrange(&mut self, steps: Vec<Step>, fields: usize) {
        let mut needed = vec![false; fields + steps.len()];
        for output in &self.outputs {
            if let Place::Register(register) = output.place {
                needed[register] = true;
            }
        }
        for (at, step) in steps.iter().enumerate().rev() {
            if needed[fields + at] {
                step.registers().for_each(|register| needed[register] = true);
            }
        }
        self.columns.retain(|column| needed[column.place]);
        let mut renamed = vec![0; needed.len()];
        for (register, column) in self.columns.iter().enumerate() {
            renamed[column.place] = register;
        }
        let mut next = self.columns.len();
        for (at, mut step) in steps.into_iter().enumerate() {
            if !needed[fields + at] {
                continue;
            }
            for place in &mut step.operands {
                if let Place::Register(register) = place {
                    *register = renamed[*register];
                }
            }
            step.guard = step.guard.map(|guard| renamed[guard]);
            renamed[fields + at] = next;
            next += 1;
            self.steps.push(Ready { last: vec![false; step.operands.len()], free: Vec::new(), step });
        }
        let mut used = vec![false; next];
        for output in &mut self.outputs {
            if let Place::Register(register) = &mut output.place {
                *register = renamed[*register];
                used[*register] = true;
            }
        }
        for ready in self.steps.iter_mut().rev() {
            // An operand that stands there twice is moved by none.
            for (at, place) in ready.step.operands.iter().enumerate() {
                let Place::Register(register) = place else { continue };
                let twice = ready.step.operands.iter().filter(|other| *other == place).count() > 1;
                ready.last[at] = !used[*register] && !twice && ready.step.guard != Some(*register);
            }
            for register in ready.step.registers() {
                if !used[register] {
                    used[register] = true;
                    ready.free.push(register);
                }
            }
        }
    }

    /// The value of each expression for each row.
    ///
    /// # Errors
    /// Of kind `Data`, where an operation fails, naming expression and row; of kind `Task` from users' functions.
    pub fn evaluate(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        let rows = batch.num_rows();
        let mut registers = self.run(batch)?;
        let outputs = self.outputs.iter().map(|output| match output.place {
            Place::Constant(at) => repeat(&self.constants[at], rows).map_err(unexpected),
            Place::Register(register) => {
                let array = registers[register].clone().filter(|_| rows > 0 || output.plain);
                let array = array.unwrap_or_else(|| new_empty_array(&output.data_type));
                if output.plain || array.data_type() == &output.data_type {
                    return Ok(array);
                }
                let unpacked = cast(&array, &output.data_type).map_err(|error| unexpected(error.into()))?;
                registers[register] = Some(unpacked.clone());
                Ok(unpacked)
            }
            Place::Unknown => Err(Error::internal("an output without a place")),
        });
        outputs.collect()
    }

    /// For the program of a single condition: the rows for which it is true; the mask has no nulls.
    ///
    /// # Errors
    /// As [`Program::evaluate`].
    pub fn mask(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        let [output] = &*self.outputs else {
            return Err(Error::new(
                ErrorKind::Plan,
                format!("a mask is made by one condition, not {}", self.exprs.len()),
            ));
        };
        let masks = self.evaluate(batch)?;
        let mask = match masks[0].data_type() {
            DataType::Boolean => masks[0].clone(),
            DataType::Null => new_null_array(&DataType::Boolean, batch.num_rows()),
            _ => {
                let text = format!("`{}` is a {} and no condition", self.exprs[0].brief(), output.data_type);
                return Err(Error::new(ErrorKind::Plan, text));
            }
        };
        let mask = as_boolean(&mask).map_err(unexpected)?;
        Ok(if mask.null_count() == 0 { mask.clone() } else { BooleanArray::new(logic::true_rows(mask), None) })
    }

    fn run(&self, batch: &RecordBatch) -> Result<Vec<Option<ArrayRef>>> {
        let mut registers = vec![None; self.columns.len() + self.steps.len()];
        let fields = Lookup::new(batch.schema_ref());
        for (register, column) in self.columns.iter().enumerate() {
            registers[register] = Some(column.of(batch, &fields)?);
        }
        if batch.num_rows() == 0 {
            return Ok(registers);
        }
        for (at, ready) in self.steps.iter().enumerate() {
            let value = self.step(ready, &mut registers, batch.num_rows())?;
            for register in &ready.free {
                registers[*register] = None;
            }
            registers[self.columns.len() + at] = Some(value);
        }
        Ok(registers)
    }

    fn step(&self, ready: &Ready, registers: &mut [Option<ArrayRef>], rows: usize) -> Result<ArrayRef> {
        let step = &ready.step;
        if step.by_value
            && let Some(value) = self.by_dictionary(step, registers, rows)
        {
            return value.map_err(unexpected);
        }
        let mut operands = Vec::with_capacity(step.operands.len());
        for ((place, wanted), last) in step.operands.iter().zip(&step.types).zip(&ready.last) {
            operands.push(match place {
                Place::Constant(at) => Operand::One(self.constants[*at].clone()),
                Place::Register(register) => {
                    let slot = &mut registers[*register];
                    let array = slot.take().ok_or_else(|| Error::internal("a register is empty"))?;
                    let array = match array.data_type() == wanted {
                        true => array,
                        // Unpacked once for all that follow.
                        false => cast(&array, wanted).map_err(|error| unexpected(error.into()))?,
                    };
                    if !last {
                        *slot = Some(array.clone());
                    }
                    Operand::Rows(array)
                }
                Place::Unknown => return Err(Error::internal("an operand without a place")),
            });
        }
        if operands.iter().all(|operand| operand.one().is_some()) {
            for operand in &mut operands {
                *operand = Operand::Rows(operand.to_rows(rows).map_err(unexpected)?);
            }
        }
        match (step.kernel)(&mut operands, rows) {
            Ok(array) => Ok(array),
            Err(failure) if step.can_fail => match step.guard.and_then(|guard| registers[guard].clone()) {
                Some(guard) => step.guarded(&operands, rows, &guard),
                None => Err(step.error(failure, &operands, rows, None)),
            },
            Err(failure) => Err(step.error(failure, &operands, rows, None)),
        }
    }

    /// Once for each value of a dictionary, where all operands but constants are one column that is a dictionary.
    fn by_dictionary(&self, step: &Step, registers: &mut [Option<ArrayRef>], rows: usize) -> Option<Outcome> {
        let register = step.registers().next()?;
        let array = registers[register].as_ref()?;
        let dictionary = array.as_any_dictionary_opt()?;
        let values = dictionary.values();
        if values.is_empty() || values.len() > rows || !step.strict && dictionary.keys().null_count() > 0 {
            return None;
        }
        let compute = || -> Outcome {
            let mut operands = Vec::with_capacity(step.operands.len());
            for (place, wanted) in step.operands.iter().zip(&step.types) {
                operands.push(match place {
                    Place::Constant(at) => Operand::One(self.constants[*at].clone()),
                    _ if values.data_type() == wanted => Operand::Rows(values.clone()),
                    _ => Operand::Rows(cast(values, wanted)?),
                });
            }
            let made = (step.kernel)(&mut operands, values.len())?;
            match made.data_type() {
                text if is_text(text) => Ok(dictionary.with_values(made)),
                DataType::Boolean => logic::spread(as_boolean(&made)?, dictionary.keys()),
                _ => Ok(take(&made, dictionary.keys(), None)?),
            }
        };
        match compute() {
            // To be found by its row.
            Err(Failure::Row(_)) => None,
            other => Some(other),
        }
    }
}

impl Column {
    fn of(&self, batch: &RecordBatch, fields: &Lookup<'_>) -> Result<ArrayRef> {
        let schema = fields.schema();
        if schema.fields().get(self.place).is_some_and(|field| field.name().as_str() == &*self.name) {
            return Ok(batch.column(self.place).clone());
        }
        let place = fields.place(&self.name).ok_or_else(|| unknown_column(&self.name, schema))?;
        Ok(batch.column(place).clone())
    }
}

impl Step {
    fn registers(&self) -> impl Iterator<Item = usize> {
        let operands = self.operands.iter().filter_map(|place| match place {
            Place::Register(register) => Some(*register),
            _ => None,
        });
        operands.chain(self.guard)
    }

    /// Only for the rows of the guard; null for the others.
    fn guarded(&self, operands: &[Operand], rows: usize, guard: &ArrayRef) -> Result<ArrayRef> {
        let mask = as_boolean(guard).map_err(unexpected)?;
        let kept: UInt64Array = mask.values().set_indices().map(|row| row as u64).collect();
        let mut fewer = Vec::with_capacity(operands.len());
        for operand in operands {
            fewer.push(match operand {
                Operand::Rows(array) => Operand::Rows(filter(array, mask).map_err(|error| unexpected(error.into()))?),
                one => one.clone(),
            });
        }
        let made = match kept.len() {
            0 => None,
            count => match (self.kernel)(&mut fewer, count) {
                Ok(made) => Some(made),
                Err(failure) => return Err(self.error(failure, &fewer, count, Some(&kept))),
            },
        };
        let Some(made) = made else {
            return Ok(new_null_array(&self.gives, rows));
        };
        let mut places = vec![None; rows];
        for (place, row) in kept.values().iter().enumerate() {
            places[*row as usize] = Some(place as u64);
        }
        take(&made, &UInt64Array::from(places), None).map_err(|error| unexpected(error.into()))
    }

    /// The error of the first row that fails: found by halving, for it is rare.
    fn error(&self, failure: Failure, operands: &[Operand], rows: usize, numbers: Option<&UInt64Array>) -> Error {
        let mut what = match failure {
            Failure::Whole(error) => return error,
            Failure::Row(what) => what,
        };
        // So many rows are fine, and so many are not.
        let (mut fine, mut failing) = (0, rows);
        while failing - fine > 1 {
            let middle = fine + (failing - fine) / 2;
            let first = |operand: &Operand| match operand {
                Operand::Rows(array) => Operand::Rows(array.slice(0, middle)),
                one => one.clone(),
            };
            match (self.kernel)(&mut operands.iter().map(first).collect::<Vec<_>>(), middle) {
                Ok(_) => fine = middle,
                Err(Failure::Row(text)) => (what, failing) = (text, middle),
                Err(Failure::Whole(error)) => return error,
            }
        }
        let of_batch = numbers.map_or(fine as u64, |numbers| numbers.value(fine));
        let texts = self.expr.operands().into_iter().zip(operands).filter_map(|(expr, operand)| match operand {
            Operand::Rows(array) if !matches!(expr.unnamed(), Expr::Literal(_)) => {
                Some(format!("`{}` is {}", expr.brief(), shown(array.as_ref(), fine)))
            }
            _ => None,
        });
        let texts: Vec<String> = texts.collect();
        let values = if texts.is_empty() { String::new() } else { format!(", where {}", texts.join(" and ")) };
        Error::at_row(of_batch, format_args!("`{}` {what}{values}", self.expr.brief()))
    }
}

fn unexpected(failure: Failure) -> Error {
    match failure {
        Failure::Whole(error) => error,
        Failure::Row(what) => Error::internal(format!("an operation that cannot fail {what}")),
    }
}

impl Expr {
    /// One value for each row of the batch. [`Program`] is for many batches.
    ///
    /// # Errors
    /// Of kind `Data`, where an operation fails (an integer overflows); of kind `Plan`, where the expression does not
    /// fit the batch.
    pub fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        let program = Program::new(std::slice::from_ref(self), batch.schema_ref())?;
        let mut values = program.evaluate(batch)?;
        values.pop().ok_or_else(|| Error::internal("an expression without a value"))
    }

    /// Which rows a condition keeps: those for which it is true, and not null.
    ///
    /// # Errors
    /// As [`Expr::evaluate`].
    pub fn evaluate_mask(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        Program::new(std::slice::from_ref(self), batch.schema_ref())?.mask(batch)
    }
}
