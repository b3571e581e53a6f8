//! Values, rows and tables of the naive engine, and how a computed table is compared with one.

use std::cmp::Ordering;

use arrow::array::{Array, AsArray as _, RecordBatch};
use arrow::datatypes::*;
use chunkwise::prelude::Table;

/// A value of a cell.
#[derive(Clone, Debug, PartialEq)]
pub enum V {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    /// Days, or microseconds.
    Time(i64),
    List(Vec<V>),
}

/// A type of cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum T {
    Bool,
    /// Bits, and whether it has a sign.
    Int(u32, bool),
    F32,
    F64,
    Text,
    Date,
    Micros,
    List(&'static T),
}

/// What lists can be made of.
static TYPES: [T; 11] = [
    T::Bool,
    T::Int(8, true),
    T::Int(16, true),
    T::Int(32, true),
    T::Int(64, true),
    T::Int(64, false),
    T::F32,
    T::F64,
    T::Text,
    T::Date,
    T::Micros,
];

impl T {
    pub fn arrow(self) -> DataType {
        match self {
            T::Bool => DataType::Boolean,
            T::Int(8, true) => DataType::Int8,
            T::Int(16, true) => DataType::Int16,
            T::Int(32, true) => DataType::Int32,
            T::Int(64, true) => DataType::Int64,
            T::Int(64, false) => DataType::UInt64,
            T::Int(bits, signed) => panic!("no such integers: {bits} {signed}"),
            T::F32 => DataType::Float32,
            T::F64 => DataType::Float64,
            T::Text => DataType::Utf8,
            T::Date => DataType::Date32,
            T::Micros => DataType::Timestamp(TimeUnit::Microsecond, None),
            T::List(of) => DataType::new_list(of.arrow(), true),
        }
    }

    /// Lists of it.
    pub fn list(self) -> T {
        T::List(TYPES.iter().find(|of| **of == self).expect("a type of plain values"))
    }

    pub fn is_int(self) -> bool {
        matches!(self, T::Int(..))
    }

    pub fn is_float(self) -> bool {
        matches!(self, T::F32 | T::F64)
    }

    pub fn is_number(self) -> bool {
        self.is_int() || self.is_float()
    }

    /// The integer, if it is one of this type.
    pub fn fit(self, value: i128) -> Option<V> {
        let T::Int(bits, signed) = self else { return None };
        let (least, most) = match signed {
            true => (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1),
            false => (0, (1i128 << bits) - 1),
        };
        (least..=most).contains(&value).then_some(V::Int(value))
    }

    pub fn float(self, value: f64) -> V {
        V::Float(if self == T::F32 { f64::from(value as f32) } else { value })
    }
}

/// A column, and how well its values are known.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub name: String,
    pub of: T,
    /// For floats that depend on the order of additions: how large the numbers were that were added.
    pub rough: Option<f64>,
    /// Whether sums of its floats are exact in any order.
    pub dyadic: bool,
}

#[derive(Clone, Debug)]
pub struct Rows {
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<V>>,
    /// Whether something overflows that belongs to no group or is left out by the condition of an aggregate: it may be an
    /// error or not.
    pub shaky: bool,
}

impl Rows {
    pub fn place(&self, name: &str) -> usize {
        self.columns.iter().position(|column| column.name == name).expect(name)
    }
}

/// The order of keys: NaN is the greatest value, null comes last.
pub fn order(left: &V, right: &V) -> Ordering {
    match (left, right) {
        (V::Null, V::Null) => Ordering::Equal,
        (V::Null, _) => Ordering::Greater,
        (_, V::Null) => Ordering::Less,
        (V::Bool(a), V::Bool(b)) => a.cmp(b),
        (V::Int(a), V::Int(b)) => a.cmp(b),
        (V::Float(a), V::Float(b)) => order_floats(*a, *b),
        (V::Text(a), V::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (V::Time(a), V::Time(b)) => a.cmp(b),
        _ => panic!("{left:?} and {right:?} are of two types"),
    }
}

pub fn order_floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// The cell of an array.
pub fn cell(array: &dyn Array, row: usize) -> V {
    if array.is_null(row) {
        return V::Null;
    }
    macro_rules! int {
        ($t:ty) => {
            V::Int(i128::from(array.as_primitive::<$t>().value(row)))
        };
    }
    match array.data_type() {
        DataType::Boolean => V::Bool(array.as_boolean().value(row)),
        DataType::Int8 => int!(Int8Type),
        DataType::Int16 => int!(Int16Type),
        DataType::Int32 => int!(Int32Type),
        DataType::Int64 => int!(Int64Type),
        DataType::UInt64 => int!(UInt64Type),
        DataType::Float32 => V::Float(f64::from(array.as_primitive::<Float32Type>().value(row))),
        DataType::Float64 => V::Float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => V::Text(array.as_string::<i32>().value(row).to_string()),
        DataType::Date32 => V::Time(array.as_primitive::<Date32Type>().value(row).into()),
        DataType::Timestamp(TimeUnit::Microsecond, None) => {
            V::Time(array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::List(_) => {
            let values = array.as_list::<i32>().value(row);
            V::List((0..values.len()).map(|at| cell(&values, at)).collect())
        }
        other => panic!("no cell of {other}"),
    }
}

/// All cells, in order.
pub fn cells(table: &Table) -> Vec<Vec<V>> {
    let row = |batch: &RecordBatch, row| batch.columns().iter().map(|column| cell(column, row)).collect();
    let batches = table.batches().iter();
    batches.flat_map(|batch| (0..batch.num_rows()).map(move |at| row(batch, at))).collect()
}

/// Cells with the bits of floats, for equality of two runs.
pub fn exactly(rows: &[Vec<V>]) -> Vec<Vec<String>> {
    fn bits(value: &V) -> String {
        match value {
            V::Float(value) => format!("{:x}", value.to_bits()),
            V::List(values) => values.iter().map(|value| bits(value) + ",").collect(),
            other => format!("{other:?}"),
        }
    }
    rows.iter().map(|row| row.iter().map(bits).collect()).collect()
}

/// What is different between a computed table and the expected rows.
pub fn difference(table: &Table, expected: &Rows) -> Option<String> {
    let schema = table.schema();
    let names: Vec<&String> = schema.fields().iter().map(|field| field.name()).collect();
    let wanted: Vec<&String> = expected.columns.iter().map(|column| &column.name).collect();
    if names != wanted {
        return Some(format!("columns {names:?} in place of {wanted:?}"));
    }
    for (field, column) in schema.fields().iter().zip(&expected.columns) {
        if *field.data_type() != column.of.arrow() {
            return Some(format!("column {} is {} in place of {}", column.name, field.data_type(), column.of.arrow()));
        }
    }
    let found = cells(table);
    if found.len() != expected.rows.len() {
        return Some(format!("{} rows in place of {}", found.len(), expected.rows.len()));
    }
    for (at, (found, wanted)) in found.iter().zip(&expected.rows).enumerate() {
        for ((found, wanted), column) in found.iter().zip(wanted).zip(&expected.columns) {
            if !same(found, wanted, column.rough) {
                return Some(format!("row {at}, column {}: {found:?} in place of {wanted:?}", column.name));
            }
        }
    }
    None
}

fn same(found: &V, wanted: &V, rough: Option<f64>) -> bool {
    match (found, wanted) {
        (V::Float(a), V::Float(b)) if a.is_nan() || b.is_nan() || a.is_infinite() || b.is_infinite() => {
            a == b || a.is_nan() && b.is_nan()
        }
        (V::Float(a), V::Float(b)) => match rough {
            Some(scale) => (a - b).abs() <= 1e-12 * a.abs().max(b.abs()).max(scale),
            None => a == b,
        },
        (V::List(a), V::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b, None)),
        (found, wanted) => found == wanted,
    }
}
