//! Whether a condition can be true for any row of a row group or page, by what statistics tell of it.
//!
//! A condition is made a list in postfix order, so that nothing recurses. Each part says whether it *can be true* and whether it *can be
//! false*; what is not understood can be both. Comparisons are those of IEEE: NaN is unequal to everything.

use std::cmp::Ordering;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Fields, Schema};

use super::bounds::{Bounds, End, Literal, Physical, Point, Scale, compare};
use crate::expr::{BinaryOp, Expr, Function, Program, TextFunction, UnaryOp, Value};

/// Wrappers around a literal that are looked through.
const MAX_WRAPPED: usize = 8;

/// Conditions on the columns of one file, of which all have to be true.
#[derive(Debug)]
pub(super) struct Pruner {
    conditions: Vec<Vec<Part>>,
    /// The columns whose statistics are asked for, by their places among the fields.
    columns: Vec<usize>,
}

/// A condition of more parts is not looked at: where parts are shared, it would not end.
const MOST_PARTS: usize = 1 << 18;

/// A part of a condition, in postfix order.
#[derive(Debug)]
enum Part {
    Unknown,
    Always(bool),
    /// Whether the column at a place of `columns` is null.
    IsNull(usize),
    IsNotNull(usize),
    /// A column against a literal.
    Compare {
        column: usize,
        op: BinaryOp,
        scale: Scale,
        literal: Literal,
        is_float: bool,
    },
    /// Whether a column is one of some literals, which ascend.
    IsIn {
        column: usize,
        scale: Scale,
        literals: Vec<Literal>,
        /// Whether null is one of them: then it is never false.
        has_null: bool,
        is_float: bool,
    },
    /// Whether the text in a column begins so.
    StartsWith {
        column: usize,
        prefix: Vec<u8>,
    },
    Not,
    And,
    Or,
    Xor,
}

/// Whether it can be true, and whether it can be false, for some row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Can {
    pub(super) be_true: bool,
    pub(super) be_false: bool,
}

const BOTH: Can = Can { be_true: true, be_false: true };

/// Asks a bloom filter: whether a column, by its place among those of [`Pruner::new`], may have a value.
pub(super) type MayHave<'a> = dyn FnMut(usize, &Point) -> bool + 'a;

impl Pruner {
    /// Of conditions on the columns of a file. What they say of other columns is not known.
    pub(super) fn new(conditions: &[Expr], fields: &Fields) -> Pruner {
        let mut pruner = Pruner { conditions: Vec::new(), columns: Vec::new() };
        for condition in conditions {
            let parts = pruner.compile(condition, fields);
            if parts.iter().any(|part| !matches!(part, Part::Unknown)) {
                pruner.conditions.push(parts);
            }
        }
        pruner
    }

    /// The columns whose statistics are asked for, by their places among the fields.
    pub(super) fn columns(&self) -> &[usize] {
        &self.columns
    }

    fn compile(&mut self, condition: &Expr, fields: &Fields) -> Vec<Part> {
        let mut parts = Vec::new();
        // In reverse: an operation is put down before its operands.
        let mut open = vec![condition];
        while let Some(expr) = open.pop() {
            match expr {
                Expr::Alias(of, _) => open.push(of),
                Expr::Unary(UnaryOp::Not, of) => {
                    parts.push(Part::Not);
                    open.push(of);
                }
                Expr::Binary(left, op @ (BinaryOp::And | BinaryOp::Or | BinaryOp::Xor), right) => {
                    parts.push(match op {
                        BinaryOp::And => Part::And,
                        BinaryOp::Or => Part::Or,
                        _ => Part::Xor,
                    });
                    open.extend([&**left, right]);
                }
                other => parts.push(self.leaf(other, fields)),
            }
            if parts.len() > MOST_PARTS {
                return vec![Part::Unknown];
            }
        }
        parts.reverse();
        parts
    }

    /// A condition without conditions inside.
    fn leaf(&mut self, expr: &Expr, fields: &Fields) -> Part {
        let part = match expr {
            Expr::Literal(Value::Boolean(value)) => Some(Part::Always(*value)),
            Expr::Column(_) => self.comparison(expr, BinaryOp::Eq, &Value::Boolean(true), fields),
            Expr::Unary(op @ (UnaryOp::IsNull | UnaryOp::IsNotNull), of) => match &**of {
                Expr::Column(name) => self.column(name, fields).map(|column| match op {
                    UnaryOp::IsNull => Part::IsNull(column),
                    _ => Part::IsNotNull(column),
                }),
                _ => None,
            },
            Expr::Binary(left, op, right) => {
                let turned = match op {
                    BinaryOp::Eq | BinaryOp::NotEq => Some(*op),
                    BinaryOp::Lt => Some(BinaryOp::Gt),
                    BinaryOp::LtEq => Some(BinaryOp::GtEq),
                    BinaryOp::Gt => Some(BinaryOp::Lt),
                    BinaryOp::GtEq => Some(BinaryOp::LtEq),
                    _ => None,
                };
                turned.and_then(|turned| {
                    if let Some(literal) = constant(right) {
                        self.comparison(left, *op, &literal, fields)
                    } else {
                        self.comparison(right, turned, &constant(left)?, fields)
                    }
                })
            }
            Expr::Call(Function::IsIn(values), args) => self.is_in(args.first(), values, fields),
            Expr::Call(Function::Text(TextFunction::StartsWith), args) => self.starts_with(args, fields),
            _ => None,
        };
        part.unwrap_or(Part::Unknown)
    }

    fn is_in(&mut self, side: Option<&Expr>, values: &[Value], fields: &Fields) -> Option<Part> {
        let name = plain_column(side?, fields)?;
        let of = fields.find(name)?.1.data_type();
        let (mut scale, mut literals): (Option<Scale>, Vec<Literal>) = (None, Vec::with_capacity(values.len()));
        let known = || values.iter().filter(|value| !value.is_null());
        // All are compared in one type: a value beside others of another type might be rounded.
        if let Some(first) = known().next()
            && known().any(|value| value.data_type() != first.data_type())
        {
            return None;
        }
        for value in known() {
            let (on, literal) = compare(of, value)?;
            if *scale.get_or_insert(on) != on {
                return None;
            }
            literals.push(literal);
        }
        // Without values none is found on any scale.
        let scale = scale.unwrap_or(Scale::Bytes);
        // Both ends ascend then.
        literals.sort_by(|a, b| a.low.order(&b.low).unwrap_or(Ordering::Equal));
        let (has_null, is_float) = (values.iter().any(Value::is_null), of.is_floating());
        Some(Part::IsIn { column: self.column(name, fields)?, scale, literals, has_null, is_float })
    }

    fn starts_with(&mut self, args: &[Expr], fields: &Fields) -> Option<Part> {
        let [side, prefix] = args else { return None };
        let name = plain_column(side, fields)?;
        match compare(fields.find(name)?.1.data_type(), &constant(prefix)?)? {
            (Scale::Bytes, Literal { low: Point::Bytes(prefix), .. }) => {
                Some(Part::StartsWith { column: self.column(name, fields)?, prefix })
            }
            _ => None,
        }
    }

    fn comparison(&mut self, side: &Expr, op: BinaryOp, literal: &Value, fields: &Fields) -> Option<Part> {
        let name = plain_column(side, fields)?;
        let of = fields.find(name)?.1.data_type();
        let (scale, literal) = compare(of, literal)?;
        let column = self.column(name, fields)?;
        Some(Part::Compare { column, op, scale, literal, is_float: of.is_floating() })
    }

    /// The place of a column among those that are asked for; nothing where the file does not have it.
    fn column(&mut self, name: &str, fields: &Fields) -> Option<usize> {
        let (field, _) = fields.find(name)?;
        let known = self.columns.iter().position(|known| *known == field);
        Some(known.unwrap_or_else(|| {
            self.columns.push(field);
            self.columns.len() - 1
        }))
    }

    /// Whether all conditions can be true for a row. `bounds` are those of [`Pruner::columns`].
    pub(super) fn may_hold(&self, bounds: &[Bounds], mut bloom: Option<&mut MayHave<'_>>) -> bool {
        let mut stack = Vec::new();
        self.conditions.iter().all(|parts| {
            stack.clear();
            for part in parts {
                let can = self.part(part, bounds, &mut stack, &mut bloom);
                stack.push(can);
            }
            stack.last().is_none_or(|can| can.be_true)
        })
    }

    fn part(&self, part: &Part, bounds: &[Bounds], stack: &mut Vec<Can>, bloom: &mut Option<&mut MayHave<'_>>) -> Can {
        let mut pop = || stack.pop().unwrap_or(BOTH);
        match part {
            Part::Unknown => BOTH,
            Part::Always(value) => Can { be_true: *value, be_false: !value },
            Part::Not => {
                let of = pop();
                Can { be_true: of.be_false, be_false: of.be_true }
            }
            Part::And => {
                let (a, b) = (pop(), pop());
                Can { be_true: a.be_true && b.be_true, be_false: a.be_false || b.be_false }
            }
            Part::Or => {
                let (a, b) = (pop(), pop());
                Can { be_true: a.be_true || b.be_true, be_false: a.be_false && b.be_false }
            }
            Part::Xor => {
                let (a, b) = (pop(), pop());
                Can {
                    be_true: a.be_true && b.be_false || a.be_false && b.be_true,
                    be_false: a.be_true && b.be_true || a.be_false && b.be_false,
                }
            }
            Part::IsNull(column) | Part::IsNotNull(column) => {
                let of = &bounds[*column];
                let null = Can { be_true: of.nulls != Some(0), be_false: of.nulls != Some(of.rows) };
                match part {
                    Part::IsNull(_) => null,
                    _ => Can { be_true: null.be_false, be_false: null.be_true },
                }
            }
            Part::Compare { column, op, scale, literal, is_float } => {
                let mut can = compared(&bounds[*column], *op, scale, literal, *is_float);
                if let Some(may_have) = bloom
                    && *op == BinaryOp::Eq
                    && can.be_true
                {
                    can.be_true = self.bloom_may(*column, scale, literal, *may_have);
                }
                can
            }
            Part::IsIn { column, scale, literals, has_null, is_float } => {
                let (mut can, found) = contained(&bounds[*column], scale, literals, *is_float);
                can.be_false &= !has_null;
                if let Some(may_have) = bloom
                    && can.be_true
                {
                    can.be_true = found.iter().any(|literal| self.bloom_may(*column, scale, literal, *may_have));
                }
                can
            }
            Part::StartsWith { column, prefix } => begun(&bounds[*column], prefix),
        }
    }

    /// Whether a bloom filter may have a literal.
    fn bloom_may(&self, column: usize, scale: &Scale, literal: &Literal, may_have: &mut MayHave<'_>) -> bool {
        if literal.low != literal.high {
            return true;
        }
        match (scale, &literal.low) {
            // As it lies in the file; what does not lie on its grid is not there.
            (Scale::Int(factor, _), Point::Int(value)) => {
                value % factor == 0 && may_have(self.columns[column], &Point::Int(value / factor))
            }
            (Scale::Bytes, text) => may_have(self.columns[column], text),
            _ => true,
        }
    }
}

/// What a comparison can be for values within bounds.
fn compared(bounds: &Bounds, op: BinaryOp, scale: &Scale, literal: &Literal, is_float: bool) -> Can {
    if bounds.nulls.is_some_and(|nulls| nulls >= bounds.rows) {
        return Can { be_true: false, be_false: false };
    }
    let min = bounds.min.as_ref().and_then(|min| scale.point(min, End::Min));
    let max = bounds.max.as_ref().and_then(|max| scale.point(max, End::Max));
    // What is not known to lie otherwise may lie so.
    let may = |bound: &Option<Point>, wanted: &[Ordering], point: &Point| {
        bound.as_ref().and_then(|bound| bound.order(point)).is_none_or(|order| wanted.contains(&order))
    };
    let (low, high) = (&literal.low, &literal.high);
    let less = may(&min, &[Ordering::Less], high);
    let not_greater = may(&min, &[Ordering::Less, Ordering::Equal], high);
    let greater = may(&max, &[Ordering::Greater], low);
    let not_less = may(&max, &[Ordering::Greater, Ordering::Equal], low);
    let mut can = match op {
        BinaryOp::Lt => Can { be_true: less, be_false: not_less },
        BinaryOp::LtEq => Can { be_true: not_greater, be_false: greater },
        BinaryOp::Gt => Can { be_true: greater, be_false: not_greater },
        BinaryOp::GtEq => Can { be_true: not_less, be_false: less },
        BinaryOp::Eq | BinaryOp::NotEq => {
            let equal = not_greater && not_less;
            let unequal = min.is_none() || min != max || low != high || min.as_ref() != Some(low);
            match op {
                BinaryOp::Eq => Can { be_true: equal, be_false: unequal },
                _ => Can { be_true: unequal, be_false: equal },
            }
        }
        _ => BOTH,
    };
    if is_float && bounds.nan {
        match op {
            BinaryOp::NotEq => can.be_true = true,
            _ => can.be_false = true,
        }
    }
    can
}

/// What it can be, for values within bounds, to be one of some literals, which ascend; and which of them it may be.
fn contained<'a>(bounds: &Bounds, scale: &Scale, literals: &'a [Literal], is_float: bool) -> (Can, &'a [Literal]) {
    if bounds.nulls.is_some_and(|nulls| nulls >= bounds.rows) {
        return (Can { be_true: false, be_false: false }, &[]);
    }
    let min = bounds.min.as_ref().and_then(|min| scale.point(min, End::Min));
    let max = bounds.max.as_ref().and_then(|max| scale.point(max, End::Max));
    let below = |min: &Point| literals.partition_point(|literal| literal.high.order(min) == Some(Ordering::Less));
    let not_above = |max: &Point| literals.partition_point(|literal| literal.low.order(max) != Some(Ordering::Greater));
    let start = min.as_ref().map_or(0, below);
    let end = max.as_ref().map_or(literals.len(), not_above);
    let found = literals.get(start..end).unwrap_or_default();
    // All values are the same, and one of these.
    let is_only = |literal: &Literal| {
        min.is_some() && min == max && literal.low == literal.high && min.as_ref() == Some(&literal.low)
    };
    let be_false = is_float && bounds.nan || !found.first().is_some_and(is_only);
    (Can { be_true: !found.is_empty(), be_false }, found)
}

/// What it can be, for texts within bounds, to begin with a text.
fn begun(bounds: &Bounds, prefix: &[u8]) -> Can {
    if bounds.nulls.is_some_and(|nulls| nulls >= bounds.rows) {
        return Can { be_true: false, be_false: false };
    }
    let (min, max) = (text(bounds.min.as_ref()), text(bounds.max.as_ref()));
    let begins = |text: Option<&[u8]>| text.is_some_and(|text| text.starts_with(prefix));
    // Texts that begin so stand together, from the shortest on.
    let too_small = max.is_some_and(|max| max < prefix);
    let too_large = min.is_some_and(|min| min > prefix) && !begins(min);
    Can { be_true: !too_small && !too_large, be_false: !(begins(min) && begins(max)) }
}

fn text(bound: Option<&Physical>) -> Option<&[u8]> {
    match bound {
        Some(Physical::Bytes(text)) => Some(text),
        _ => None,
    }
}

/// The column of an expression that is one, or one cast to a type in which its values lie to each other as before.
fn plain_column<'a>(expr: &'a Expr, fields: &Fields) -> Option<&'a str> {
    match expr {
        Expr::Column(name) => Some(name),
        Expr::Cast(of, to, _) => {
            let Expr::Column(name) = &**of else { return None };
            let from = fields.find(name)?.1.data_type();
            let text = |of: &DataType| matches!(of, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
            let wider = from.is_integer()
                && to.is_integer()
                && (to.is_signed_integer() || from.is_unsigned_integer())
                && match (from.primitive_width(), to.primitive_width()) {
                    (Some(from_width), Some(width)) if from.is_unsigned_integer() && to.is_signed_integer() => {
                        width > from_width
                    }
                    (Some(from_width), Some(width)) => width >= from_width,
                    _ => false,
                };
            let float = (from.is_integer() || *from == DataType::Float32) && *to == DataType::Float64;
            (wider || float || from == to || text(from) && text(to)).then_some(name)
        }
        _ => None,
    }
}

/// The value of an expression without columns.
fn constant(expr: &Expr) -> Option<Value> {
    if let Expr::Literal(value) = expr {
        return Some(value.clone());
    }
    let mut inside = expr;
    for _ in 0..MAX_WRAPPED {
        match inside {
            Expr::Alias(of, _) | Expr::Cast(of, ..) | Expr::Unary(UnaryOp::Negative, of) => inside = of,
            Expr::Literal(_) => {
                let schema = Schema::new(vec![Field::new("none", DataType::Null, true)]);
                let row = RecordBatch::new_empty(schema.clone().into());
                let nothing = arrow::array::new_null_array(&DataType::Null, 1);
                let row = RecordBatch::try_new(row.schema(), vec![nothing]).ok()?;
                let program = Program::new(std::slice::from_ref(expr), &schema).ok()?;
                return program.evaluate(&row).ok()?.pop().map(Value::Typed);
            }
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Date32Array, Decimal128Array, TimestampMillisecondArray};
    use arrow::datatypes::TimeUnit;
    use parquet::data_type::ByteArray;
    use parquet::file::statistics::Statistics;
    use proptest::prelude::*;

    use super::super::bounds::of_statistics;
    use super::*;
    use crate::expr::{col, lit};

    fn may(expr: Expr, of: DataType, bounds: &Bounds) -> bool {
        let fields: Fields = vec![Field::new("x", of, true)].into();
        let pruner = Pruner::new(std::slice::from_ref(&expr), &fields);
        let bounds = vec![bounds.clone(); pruner.columns().len()];
        pruner.may_hold(&bounds, None)
    }

    fn ints(min: i64, max: i64) -> Bounds {
        Bounds { min: Some(Physical::Int(min)), max: Some(Physical::Int(max)), nulls: Some(1), rows: 10, nan: true }
    }

    #[test]
    fn what_can_be_and_what_cannot() {
        let x = || col("x");
        let floats =
            |min, max| Bounds { min: Some(Physical::Float(min)), max: Some(Physical::Float(max)), ..ints(0, 0) };
        let texts = |min: &str, max: &str| Bounds {
            min: Some(Physical::Bytes(min.into())),
            max: Some(Physical::Bytes(max.into())),
            ..ints(0, 0)
        };
        let no_nulls = Bounds { nulls: Some(0), ..ints(3, 5) };
        let all_null = Bounds { min: None, max: None, nulls: Some(10), ..ints(0, 0) };
        let unknown = Bounds { rows: 10, nan: true, ..Bounds::default() };
        let day_value = |day: i32| Value::Typed(Arc::new(Date32Array::from(vec![day])));
        let day = |day: i32| lit(day_value(day));
        let milli = |at: i64| lit(Value::Typed(Arc::new(TimestampMillisecondArray::from(vec![at]))));
        let decimal = |value: i128, scale: i8| {
            lit(Value::Typed(Arc::new(Decimal128Array::from(vec![value]).with_precision_and_scale(20, scale).unwrap())))
        };
        let (int, float) = (DataType::Int64, DataType::Float64);
        let micro = DataType::Timestamp(TimeUnit::Microsecond, None);
        let small = DataType::Float32;
        for (expr, of, bounds, can) in [
            (x().eq(4), &int, ints(3, 5), true),
            (x().eq(6), &int, ints(3, 5), false),
            (x().ne(4), &int, ints(4, 4), false),
            (!x().eq(4), &int, ints(4, 4), false),
            (!x().eq(4), &int, ints(4, 5), true),
            (lit(4).lt(x()), &int, ints(3, 4), false),
            (lit(4).le(x()), &int, ints(3, 4), true),
            (x().lt(3.5), &int, ints(4, 9), false),
            (x().gt(2.5) & x().lt(2.9), &int, ints(0, 2), false),
            (x().lt(1) | x().gt(9), &int, ints(2, 8), false),
            (!(x().ge(2) & x().le(8)), &int, ints(2, 8), false),
            (x().is_null(), &int, ints(2, 8), true),
            (x().is_null(), &int, no_nulls.clone(), false),
            (!x().is_null(), &int, all_null.clone(), false),
            (x().is_not_null(), &int, all_null.clone(), false),
            (x().ge(i64::MIN), &int, all_null.clone(), false),
            (!x().ge(0), &int, all_null.clone(), false),
            (x().eq(4), &int, unknown.clone(), true),
            (x().is_null(), &int, unknown.clone(), true),
            // What a float cannot tell apart is not left out.
            (x().gt(9_007_199_254_740_992.0), &int, ints(0, 9_007_199_254_740_993), true),
            (x().lt(9_007_199_254_740_993_i64), &float, floats(9_007_199_254_740_992.0, 1e300), true),
            // NaN is unequal to everything, and nothing else.
            (x().ne(1.0), &float, floats(1.0, 1.0), true),
            (!x().lt(5.0), &float, floats(1.0, 2.0), true),
            (x().gt(5.0), &float, floats(1.0, 2.0), false),
            (x().eq(0.0), &float, floats(-1.0, -0.0), true),
            (x().ge(0.0), &float, floats(-1.0, -0.0), true),
            (x().lt(-0.0), &float, floats(0.0, 1.0), false),
            (x().gt(5.0), &float, floats(f64::NAN, f64::NAN), true),
            (x().eq(0.1), &small, floats(f64::from(0.1_f32), 1.0), true),
            (x().eq(0.1), &small, floats(0.2, 1.0), false),
            (x().eq("b"), &DataType::Utf8, texts("c", "d"), false),
            (x().lt("ca"), &DataType::Utf8, texts("c", "d"), true),
            (x().eq(4_294_967_290_i64), &DataType::UInt32, ints(0, -3), true),
            (x().gt(4_294_967_294_i64), &DataType::UInt32, ints(0, -3), false),
            (x().ge(day(7)), &DataType::Date32, ints(2, 6), false),
            (x().ge(day(6)), &DataType::Date32, ints(2, 6), true),
            (x().gt(milli(5)), &micro, ints(0, 3_000), false),
            (x().gt(milli(5)), &micro, ints(0, 5_400), true),
            (x().eq(decimal(50, 2)), &DataType::Decimal128(9, 1), ints(5, 5), true),
            (x().eq(decimal(51, 2)), &DataType::Decimal128(9, 1), ints(5, 5), false),
            (x().ge(0.05), &DataType::Decimal128(9, 2), ints(0, 5), true),
            (x().ge(0.06), &DataType::Decimal128(9, 2), ints(0, 5), false),
            (x(), &DataType::Boolean, ints(0, 0), false),
            (!x(), &DataType::Boolean, ints(1, 1), false),
            (x().is_in([1, 9]), &int, ints(2, 8), false),
            (x().is_in([1, 5, 9]), &int, ints(2, 8), true),
            (x().is_in([9, 8, 1]), &int, ints(2, 8), true),
            (x().is_in([9, 1]), &int, unknown.clone(), true),
            (x().is_in(Vec::<i64>::new()), &int, ints(2, 8), false),
            (x().is_in([Some(1), None]), &int, ints(2, 8), false),
            (!x().is_in([1, 9]), &int, ints(2, 8), true),
            (!x().is_in([1, 4]), &int, ints(4, 4), false),
            (!x().is_in([1, 4]), &int, ints(4, 5), true),
            (!x().is_in([Some(1), None]), &int, ints(4, 5), false),
            (!x().is_in([1, 4]), &int, all_null.clone(), false),
            (x().is_in([1.5, 9.5]), &int, ints(2, 9), false),
            (!x().is_in([1.0, 2.0]), &float, floats(1.0, 1.0), true),
            (x().is_in([1.0, f64::NAN]), &float, floats(2.0, 3.0), true),
            (x().is_in([-0.0]), &float, floats(0.0, 1.0), true),
            (x().is_in(["a", "e"]), &DataType::Utf8, texts("c", "d"), false),
            (x().is_in([1, 7].map(day_value)), &DataType::Date32, ints(2, 6), false),
            (x().between(9, 12), &int, ints(2, 8), false),
            (x().str().starts_with("ca"), &DataType::Utf8, texts("c", "d"), true),
            (x().str().starts_with("b"), &DataType::Utf8, texts("c", "d"), false),
            (x().str().starts_with("e"), &DataType::Utf8, texts("c", "dz"), false),
            (x().str().starts_with("d"), &DataType::Utf8, texts("c", "dz"), true),
            (x().str().starts_with("d"), &DataType::Utf8, texts("c", "d"), true),
            (x().str().starts_with(""), &DataType::Utf8, texts("c", "d"), true),
            (!x().str().starts_with("c"), &DataType::Utf8, texts("ca", "cz"), false),
            (!x().str().starts_with("c"), &DataType::Utf8, texts("ca", "d"), true),
            // What one type for all values might round is not left out.
            (
                x().is_in([Value::Int(9_007_199_254_740_993), Value::Float(0.5)]),
                &int,
                ints(9_007_199_254_740_992, 9_007_199_254_740_992),
                true,
            ),
            // What is not understood can be.
            (x().eq("4"), &int, ints(7, 9), true),
            ((x() + 1).eq(0), &int, ints(7, 9), true),
            (col("y").eq(1) & x().eq(1), &int, ints(7, 9), false),
            (col("y").eq(1) | x().eq(1), &int, ints(7, 9), true),
        ] {
            assert_eq!(may(expr.clone(), of.clone(), &bounds), can, "{expr} {of} {bounds:?}");
        }
    }

    #[test]
    fn deep_conditions_do_not_recurse() {
        let mut deep = col("x").gt(9);
        for _ in 0..20_000 {
            deep = Expr::Unary(UnaryOp::Not, Arc::new(deep));
        }
        assert!(!may(deep.clone(), DataType::Int64, &ints(0, 5)));
        // It is dropped recursively as things stand.
        std::mem::forget(deep);
    }

    #[test]
    fn old_statistics_are_not_trusted_where_they_order_otherwise() {
        let old = |of: &DataType| {
            let text = |text: &str| Some(ByteArray::from(text));
            of_statistics(Some(&Statistics::byte_array(text("b"), text("c"), None, Some(2), true)), of, 5)
        };
        assert_eq!((old(&DataType::Utf8).min, old(&DataType::Utf8).nulls), (None, Some(2)));
        let old = Statistics::int32(Some(-1), Some(3), None, None, true);
        assert_eq!(of_statistics(Some(&old), &DataType::UInt32, 5).min, None);
        assert_eq!(of_statistics(Some(&old), &DataType::Int32, 5).min, Some(Physical::Int(-1)));
    }

    proptest! {
        /// What holds for some value within the bounds is never left out.
        #[test]
        fn floats_that_hold_are_not_left_out(
            values in prop::collection::vec(prop::sample::select(vec![f64::NAN, -0.0, 0.0, 1.0, -1.5, f64::INFINITY, 2.0]), 1..5),
            op in prop::sample::select(vec![BinaryOp::Eq, BinaryOp::NotEq, BinaryOp::Lt, BinaryOp::LtEq, BinaryOp::Gt, BinaryOp::GtEq]),
            literal in prop::sample::select(vec![-0.0, 0.0, 1.0, -1.5, 1.7, f64::NEG_INFINITY]),
            not in any::<bool>(),
        ) {
            let holds = |value: &f64| not != match op {
                BinaryOp::Eq => *value == literal,
                BinaryOp::NotEq => *value != literal,
                BinaryOp::Lt => *value < literal,
                BinaryOp::LtEq => *value <= literal,
                BinaryOp::Gt => *value > literal,
                _ => *value >= literal,
            };
            let known = || values.iter().copied().filter(|value| !value.is_nan());
            let bound = |bound: Option<f64>| bound.map(Physical::Float);
            let bounds = Bounds {
                min: bound(known().reduce(f64::min)),
                max: bound(known().reduce(f64::max)),
                nulls: Some(0),
                rows: values.len() as u64,
                nan: true,
            };
            let mut expr = Expr::Binary(Arc::new(col("x")), op, Arc::new(lit(literal)));
            if not {
                expr = !expr;
            }
            let may = may(expr, DataType::Float64, &bounds);
            prop_assert!(may || !values.iter().any(holds));
        }
    }
}
